#include <benchmark/benchmark.h>

#include <leat/offload/gro.hpp>
#include <leat/offload/gso.hpp>
#include <vector>

// What cutting and merging cost per 1448-byte frame. "sum" rows are the payload's checksum alone over the same memory:
// the difference is the price of the headers, the metadata and the pool.

namespace leat {
namespace {

constexpr std::uint32_t kMss = 1448;
constexpr std::uint32_t kSegments = 40;
constexpr std::uint32_t kHeaders = 66;

struct Memory {
  Memory() : bytes(PacketPool::bytes_needed(kLayout)), pool(bytes, kLayout) {}
  static constexpr PoolLayout kLayout{.packets = 256, .chunks = {512, 256, 4}};
  std::vector<std::uint8_t> bytes;
  PacketPool pool;
};

void write_headers(std::uint8_t* at, std::uint32_t payload, std::uint32_t seq) {
  const wire::EthernetHeader ethernet{MacAddress{{2, 0, 0, 0, 0, 2}}, MacAddress{{2, 0, 0, 0, 0, 1}},
                                      wire::EtherType::ipv4};
  static_cast<void>(ethernet.emit({at, 14}));
  wire::Ipv4Header ip;
  ip.protocol = wire::IpProtocol::tcp;
  ip.dont_fragment = true;
  ip.source = IpAddress::v4(10, 0, 0, 1);
  ip.destination = IpAddress::v4(10, 0, 0, 2);
  ip.payload_length = static_cast<std::uint16_t>(32 + payload);
  static_cast<void>(ip.emit({at + 14, 20}));
  wire::TcpHeader tcp;
  tcp.source_port = Port{40000};
  tcp.destination_port = Port{80};
  tcp.seq = SeqNum{seq};
  tcp.flags = wire::TcpFlag::ack;
  static_cast<void>(tcp.emit_with_timestamps({at + 34, 32}, 1, 2));
}

Packet super_segment(PacketPool& pool) {
  Packet p = pool.allocate(ChunkClass::small, 128);
  write_headers(p.append(kHeaders).data(), kSegments * kMss, 1);
  const ChunkRef c = pool.take_chunk(ChunkClass::large);
  std::memset(pool.data(c), 0x5a, kSegments * kMss);
  static_cast<void>(p.add_fragment(c, 0, kSegments * kMss));
  pool.drop_ref(c);
  PacketMeta& m = p.meta();
  m.l3_offset = 14;
  m.l4_offset = 34;
  m.payload_offset = kHeaders;
  m.gso_size = kMss;
  m.gso_type = GsoType::tcp_v4;
  return p;
}

void gso(benchmark::State& state, GsoSplitter::Format format) {
  Memory memory;
  const Packet super = super_segment(memory.pool);
  PacketBatch batch;
  for (auto _ : state) {
    GsoSplitter splitter;
    if (!splitter.begin(super.clone(), format)) return state.SkipWithError("refused");
    splitter.run(batch);
    if (batch.size() != kSegments) return state.SkipWithError("short");
    batch.clear();
  }
  state.counters["ns/frame"] = benchmark::Counter(static_cast<double>(state.iterations()) * kSegments * 1e-9,
                                                  benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

// The pool's part of a frame by reference: two chunks, a reference and a meta, taken and given back.
void gso_pool_only(benchmark::State& state) {
  Memory memory;
  const Packet super = super_segment(memory.pool);
  const ChunkRef chunk = super.fragments()[0].chunk;
  PacketBatch batch;
  for (auto _ : state) {
    for (std::uint32_t i = 0; i < kSegments; ++i) {
      Packet p = memory.pool.allocate(ChunkClass::small);
      static_cast<void>(p.add_fragment(chunk, i * kMss, kMss));
      batch.push(std::move(p));
    }
    batch.clear();
  }
  state.counters["ns/frame"] = benchmark::Counter(static_cast<double>(state.iterations()) * kSegments * 1e-9,
                                                  benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void gso_payload_sum(benchmark::State& state) {
  Memory memory;
  const Packet super = super_segment(memory.pool);
  const std::uint8_t* data = memory.pool.data(super.fragments()[0].chunk);
  for (auto _ : state)
    for (std::uint32_t i = 0; i < kSegments; ++i)
      benchmark::DoNotOptimize(checksum_add(0, ByteSpan{data + i * kMss, kMss}));
  state.counters["ns/frame"] = benchmark::Counter(static_cast<double>(state.iterations()) * kSegments * 1e-9,
                                                  benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

// A burst of 57 frames (three packets of 19) of one connection, allocated, merged, and freed. Frames keep their bytes
// in the chunks from round to round; what merging overwrote in the heads is written again. With `trusted` the device
// has verified the checksums.
void gro_rounds(benchmark::State& state, bool merge, bool trusted, unsigned flows) {
  constexpr std::uint32_t kBurst = 57;
  Memory memory;
  Gro gro(LinkType::ethernet);
  PacketBatch batch;
  std::vector<std::uint8_t> frames(kBurst * std::size_t{kHeaders});
  Sum payload_sum = 0;
  {
    const std::vector<std::uint8_t> payload(kMss, 0x5a);
    payload_sum = checksum_add(0, payload);
  }
  for (std::uint32_t i = 0; i < kBurst; ++i) {
    std::uint8_t* h = &frames[i * std::size_t{kHeaders}];
    write_headers(h, kMss, 1 + (i / flows) * kMss);
    store_be16(h + 34, static_cast<std::uint16_t>(40000 + i % flows));
    const Sum pseudo = pseudo_header_sum(IpAddress::v4(10, 0, 0, 1), IpAddress::v4(10, 0, 0, 2), 6, 32 + kMss);
    wire::TcpHeader::finish_checksum({h + 34, 32}, checksum_append(pseudo, payload_sum, 0));
  }
  for (std::uint32_t i = 0; i < Memory::kLayout.chunks[1]; ++i)
    std::memset(memory.pool.data((1U << 30) | i), 0x5a, kChunkBytes[1]);
  for (auto _ : state) {
    for (std::uint32_t i = 0; i < kBurst; ++i) {
      Packet p = memory.pool.allocate(ChunkClass::normal);
      std::memcpy(p.append(kHeaders + kMss).data(), &frames[i * std::size_t{kHeaders}], kHeaders);
      if (trusted) p.meta().checksum = ChecksumState::verified;
      batch.push(std::move(p));
    }
    if (merge) gro.merge(batch);
    benchmark::DoNotOptimize(batch.size());
    batch.clear();
  }
  if (merge && gro.counters().bad_checksums != 0) return state.SkipWithError("bad checksum");
  if (merge && flows == 1 && gro.counters().merged == 0) return state.SkipWithError("nothing merged");
  state.counters["ns/frame"] = benchmark::Counter(static_cast<double>(state.iterations()) * kBurst * 1e-9,
                                                  benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void gro_payload_sum(benchmark::State& state) {
  Memory memory;
  for (std::uint32_t i = 0; i < Memory::kLayout.chunks[1]; ++i)
    std::memset(memory.pool.data((1U << 30) | i), 0x5a, kChunkBytes[1]);
  for (auto _ : state)
    for (std::uint32_t i = 0; i < 57; ++i)
      benchmark::DoNotOptimize(checksum_add(0, ByteSpan{memory.pool.data((1U << 30) | i) + kHeadroom + 34, 32 + kMss}));
  state.counters["ns/frame"] = benchmark::Counter(static_cast<double>(state.iterations()) * 57 * 1e-9,
                                                  benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

BENCHMARK(gso_payload_sum);
BENCHMARK(gso_pool_only);
BENCHMARK_CAPTURE(gso, gather, GsoSplitter::Format{.linear = false, .checksum_offload = false});
BENCHMARK_CAPTURE(gso, gather_checksum_offload, GsoSplitter::Format{.linear = false, .checksum_offload = true});
BENCHMARK_CAPTURE(gso, linear, GsoSplitter::Format{.linear = true, .checksum_offload = false});
BENCHMARK(gro_payload_sum);
BENCHMARK_CAPTURE(gro_rounds, without_gro, false, true, 1U);
BENCHMARK_CAPTURE(gro_rounds, one_flow_verified, true, true, 1U);
BENCHMARK_CAPTURE(gro_rounds, one_flow, true, false, 1U);
BENCHMARK_CAPTURE(gro_rounds, eight_flows_verified, true, true, 8U);
BENCHMARK_CAPTURE(gro_rounds, nineteen_flows_verified, true, true, 19U);

}  // namespace
}  // namespace leat
