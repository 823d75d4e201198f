// What the network layer costs per packet: TCP segments in and out, with a transport that only takes and makes them.

#include <benchmark/benchmark.h>

#include <leat/core/all_modules.hpp>
#include <leat/core/iface/iface.hpp>
#include <leat/core/stack.hpp>
#include <leat/wire/ethernet.hpp>
#include <leat/wire/ipv4.hpp>
#include <memory>
#include <vector>

namespace leat {
namespace {

const IpAddress kUs = IpAddress::v4(10, 0, 0, 1);
const IpAddress kPeer = IpAddress::v4(10, 0, 0, 2);
const IpAddress kUs6 = IpAddress::v6({0xfd00, 0, 0, 0, 0, 0, 0, 1});
const IpAddress kPeer6 = IpAddress::v6({0xfd00, 0, 0, 0, 0, 0, 0, 2});

void take(Core&, std::span<TransportInput> segments) {
  for (TransportInput& in : segments) {
    benchmark::DoNotOptimize(in.packet.meta().l4_offset);
    (void)in.packet.release();  // the bench puts the same packets in again
  }
}
constexpr TransportModule kTake{.protocol = 6, .input = take};
constexpr Modules kModules{.ipv6 = &kIpv6Module, .tcp = &kTake};

struct World {
  World()
      : region(PacketPool::bytes_needed(kLayout)),
        pool(region, kLayout),
        storage(std::make_unique<StackStorage<kSmallLimits>>()),
        stack(storage->view(pool), kModules, Entropy{{1, 2, 3, 4}}, Instant::from_ns(1)) {
    eth =
        stack.add_interface({.name = "eth0", .link = LinkType::ethernet, .mac = {{2, 0, 0, 0, 0, 1}}, .max_gso = 65535})
            .value();
    (void)stack.add_address(eth, {kUs, 24});
    (void)stack.add_address(eth, {kUs6, 64});
  }
  static constexpr PoolLayout kLayout{.packets = 1024, .chunks = {256, 1024, 0}, .reserve = 16};
  std::vector<std::uint8_t> region;
  PacketPool pool;
  std::unique_ptr<StackStorage<kSmallLimits>> storage;
  Stack stack;
  InterfaceId eth = 0;
};

// Ethernet, IP and a TCP header in a frame of 118 bytes, as the device delivers it.
Index make_segment(World& w, bool v6) {
  Packet p = w.pool.allocate(ChunkClass::normal);
  (void)p.append(64 + 20);
  const ip::SendInfo info{.source = v6 ? kPeer6 : kPeer, .destination = v6 ? kUs6 : kUs, .protocol = 6};
  if (v6) {
    kIpv6Module.push_header(p, info);
  } else {
    (void)wire::Ipv4Header{.protocol = wire::IpProtocol::tcp,
                           .source = kPeer,
                           .destination = kUs,
                           .payload_length = static_cast<std::uint16_t>(p.size())}
        .emit(p.prepend(20));
  }
  (void)wire::EthernetHeader{
      {{2, 0, 0, 0, 0, 1}}, {{2, 0, 0, 0, 0, 2}}, v6 ? wire::EtherType::ipv6 : wire::EtherType::ipv4}
      .emit(p.prepend(14));
  p.meta().checksum = ChecksumState::verified;
  return p.release();
}

void receive_tcp(benchmark::State& state) {
  const bool v6 = state.range(0) == 6;
  const auto n = static_cast<std::size_t>(state.range(1));
  World w;
  std::vector<Index> segments;
  std::vector<PacketMeta> metas;
  for (std::size_t i = 0; i < n; ++i) {
    segments.push_back(make_segment(w, v6));
    metas.push_back(w.pool.meta(segments.back()));
  }
  for (auto _ : state) {
    PacketBatch batch;
    for (std::size_t i = 0; i < n; ++i) {
      w.pool.meta(segments[i]) = metas[i];
      batch.push(Packet::adopt(w.pool, segments[i]));
    }
    w.stack.input(w.eth, batch, Instant::from_ns(1));
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(n));
}
BENCHMARK(receive_tcp)->ArgsProduct({{4, 6}, {1, 64}})->ArgNames({"version", "batch"});

void send_packet(benchmark::State& state) {
  const bool v6 = state.range(0) == 6;
  World w;
  Core& core = w.stack.core();
  (void)iface::join_group(core, w.eth, IpAddress::v4(224, 0, 0, 9));
  const auto path = ip::find_path(core, v6 ? kPeer6 : kPeer, {}).value();
  const Index n = core.iface.neighbors.create(w.eth, v6 ? kPeer6 : kPeer);
  core.iface.neighbors[n].mac = {{2, 0, 0, 0, 0, 2}};
  core.iface.neighbors.set_state(n, iface::NeighborState::reachable);
  core.iface.neighbors[n].reachable_until = Instant::never();
  Packet p = w.pool.allocate(ChunkClass::normal);
  (void)p.append(1000);
  const PacketMeta meta = p.meta();
  PacketBatch out;
  for (auto _ : state) {
    p.meta() = meta;
    (void)ip::send(core, std::move(p), {.source = path.source, .destination = v6 ? kPeer6 : kPeer, .protocol = 6}, path,
                   &out);
    p = std::move(out[0]);
    out.clear();
  }
}
BENCHMARK(send_packet)->Arg(4)->Arg(6)->ArgName("version");

void find_path(benchmark::State& state) {
  World w;
  for (auto _ : state) benchmark::DoNotOptimize(ip::find_path(w.stack.core(), kPeer, {}));
}
BENCHMARK(find_path);

}  // namespace
}  // namespace leat
