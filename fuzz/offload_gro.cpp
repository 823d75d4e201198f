// GRO over a burst of any frames: no segment is lost, changed or moved within its connection, and GSO cuts what was
// merged into the segments that came. Input: a flags byte (1: checksums count as verified by the device, 2: Ethernet),
// then frames, each a big-endian length and its bytes.
#include <array>
#include <leat/base/byte_reader.hpp>
#include <leat/offload/checksum_completion.hpp>
#include <leat/offload/gro.hpp>
#include <leat/offload/gso.hpp>
#include <map>
#include <tuple>
#include <vector>

namespace {

using namespace leat;  // NOLINT(google-build-using-namespace)
using Bytes = std::vector<std::uint8_t>;
using Connection = Bytes;  // addresses and ports
using Segment = std::tuple<std::uint32_t, Bytes>;

constexpr PoolLayout kLayout{.packets = 400, .chunks = {800, 150, 2}};

PacketPool& pool() {
  static std::vector<std::uint8_t> memory(PacketPool::bytes_needed(kLayout));
  static PacketPool the_pool(memory, kLayout);
  return the_pool;
}

// The segments of a packet that GRO may touch.
void note(std::map<Connection, std::vector<Segment>>& to, const Packet& p, LinkType link, unsigned segments,
          std::uint32_t size) {
  const PacketLayers layers = packet_layers(p, link);
  if (layers.kind != PacketLayers::Kind::tcp) return;
  const std::uint8_t* data = p.head().data();
  const bool v6 = layers.version == IpVersion::v6;
  const std::uint8_t* addresses = data + layers.l3 + (v6 ? 8 : 12);
  Connection key(addresses, addresses + (v6 ? 32 : 8));
  key.insert(key.end(), data + layers.l4, data + layers.l4 + 4);
  Bytes payload(layers.end - layers.payload);
  p.copy_out(layers.payload, payload);
  std::uint32_t seq = load_be32(data + layers.l4 + 4);
  std::size_t at = 0;
  for (unsigned i = 0; i < segments; ++i) {
    const std::size_t n = segments == 1 ? payload.size() : std::min<std::size_t>(size, payload.size() - at);
    const auto begin = payload.begin() + static_cast<std::ptrdiff_t>(at);
    to[key].emplace_back(seq, Bytes(begin, begin + static_cast<std::ptrdiff_t>(n)));
    at += n;
    seq += static_cast<std::uint32_t>(n);
  }
  LEAT_ASSERT(at == payload.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader in({data, size});
  const std::uint8_t flags = in.u8();
  const LinkType link = (flags & 2) != 0 ? LinkType::ethernet : LinkType::ip;
  {
    PacketBatch batch;
    std::map<Connection, std::vector<Segment>> sent;
    while (in.ok() && in.remaining() > 0 && !batch.full()) {
      const ByteSpan frame = in.bytes(in.be16());
      if (!in.ok() || frame.size() > 1900) break;
      Packet p = pool().allocate_for(static_cast<std::uint32_t>(frame.size()));
      LEAT_ASSERT(p);
      std::ranges::copy(frame, p.append(static_cast<std::uint32_t>(frame.size())).begin());
      // A right IPv4 checksum is hard to guess.
      const std::size_t ip = link_header_length(link);
      if ((flags & 1) != 0 && frame.size() >= ip + 20 && frame[ip] == 0x45) {
        const MutableByteSpan header = p.writable_head().subspan(ip, 20);
        store_be16(&header[10], 0);
        store_be16(&header[10], checksum_finish(wire::Ipv4Header::header_sum(header)));
      }
      if ((flags & 1) != 0) p.meta().checksum = ChecksumState::verified;
      note(sent, p, link, 1, 0);
      batch.push(std::move(p));
    }
    const std::size_t before = batch.size();
    Gro gro(link);
    gro.merge(batch);
    LEAT_ASSERT(batch.size() + gro.counters().merged == before);
    std::map<Connection, std::vector<Segment>> got;
    for (Packet& p : batch) {
      const PacketMeta& m = p.meta();
      LEAT_ASSERT(p.size() <= link_header_length(link) + 65535);
      note(got, p, link, m.merged, m.gso_size);
      if (m.merged == 1) continue;
      LEAT_ASSERT(m.gso_size > 0 && wire_segments(m) == m.merged);
      GsoSplitter gso;
      LEAT_ASSERT(gso.begin(p.clone(), {}));
      PacketBatch frames;
      LEAT_ASSERT(gso.run(frames) == GsoSplitter::Progress::done && frames.size() == m.merged);
      for (Packet& frame : frames) LEAT_ASSERT(verify_checksum(frame, link) == ChecksumVerdict::good);
    }
    LEAT_ASSERT(got == sent);
  }
  LEAT_ASSERT(pool().all_free());
  return 0;
}
