// Received frames whose vnet header may say anything: each is refused and left as it was, or its metadata holds what
// the floors above count on: the stack takes it without an assertion, GSO splits it within bounds, and what goes out
// again has a header that says the same. Input: link and more bits, where the head ends, the vnet header; then the
// frame.
#include <fuzz/stack_memory.hpp>
#include <leat/base/byte_reader.hpp>
#include <leat/core/all_modules.hpp>
#include <leat/core/stack.hpp>
#include <leat/device/vnet_header.hpp>
#include <leat/offload/checksum_completion.hpp>
#include <leat/offload/gso.hpp>
#include <vector>

namespace {

using namespace leat;  // NOLINT(google-build-using-namespace)
using Bytes = std::vector<std::uint8_t>;

constexpr PoolLayout kLayout{.packets = 200, .chunks = {400, 200, 2}};
constexpr Instant kNow = Instant::from_ns(1'000'000'000);
constexpr Limits kLimits = [] {
  Limits l;
  l.sockets = 8;
  l.tcp.connections = 4;
  l.tcp.active = 4;
  l.tcp.listeners = 2;
  l.tcp.syn_records = 2;
  l.tcp.time_wait = 2;
  l.tcp.ranges = 8;
  l.tcp.ooo_nodes = 8;
  return l;
}();

PacketPool& pool() {
  static std::vector<std::uint8_t> memory(PacketPool::bytes_needed(kLayout));
  static PacketPool the_pool(memory, kLayout);
  return the_pool;
}

Bytes contents(const Packet& p) {
  Bytes b(p.size());
  p.copy_out(0, b);
  return b;
}

// As Tap builds it: a head, and chunks behind it.
Packet packet_of(ByteSpan bytes, std::uint16_t head_end) {
  const std::size_t head = std::min<std::size_t>({bytes.size(), head_end, 1900});
  Packet p = pool().allocate(ChunkClass::normal);
  LEAT_ASSERT(p);
  std::ranges::copy(bytes.first(head), p.append(static_cast<std::uint32_t>(head)).begin());
  for (std::size_t at = head; at < bytes.size();) {
    const std::size_t n = std::min<std::size_t>(bytes.size() - at, 2048);
    const ChunkRef c = pool().take_chunk(ChunkClass::normal);
    LEAT_ASSERT(c != kNoChunk);
    std::memcpy(pool().data(c), &bytes[at], n);
    const bool added = p.add_fragment(c, 0, static_cast<std::uint32_t>(n));
    pool().drop_ref(c);
    if (!added) break;
    at += n;
  }
  return p;
}

void check(const Packet& p) {
  const PacketMeta& m = p.meta();
  if (m.checksum == ChecksumState::to_fill || m.gso_size != 0)
    LEAT_ASSERT(m.l3_offset <= m.l4_offset && m.l4_offset < m.payload_offset && m.payload_offset <= m.head_length);
  LEAT_ASSERT((m.gso_size == 0) == (m.gso_type == GsoType::none));
  if (m.gso_size != 0) LEAT_ASSERT(m.merged == wire_segments(m) && m.merged >= 1);
}

void check_split(Packet&& p) {
  if (wire_segments(p.meta()) <= 1) return;
  const std::uint32_t segments = wire_segments(p.meta());
  GsoSplitter gso;
  if (!gso.begin(std::move(p), {.linear = true, .checksum_offload = false})) return;
  std::uint32_t frames = 0;
  for (int rounds = 0; gso.active(); ++rounds) {
    LEAT_ASSERT(rounds < 70'000);
    PacketBatch batch;
    (void)gso.run(batch);
    frames += static_cast<std::uint32_t>(batch.size());
  }
  LEAT_ASSERT(frames == segments);
}

// A stack with a listener and a UDP socket for everything to arrive at.
void give_to_stack(Packet&& p, LinkType link) {
  Stack stack(test::StackMemory<kLimits, kLayout>::storage()->view(pool()), kAllModules, Entropy{{1, 2, 3, 4}}, kNow);
  const InterfaceId id =
      stack
          .add_interface(
              {.name = "f0", .link = link, .mac = MacAddress{{2, 0, 0, 0, 0, 2}}, .mtu = 1500, .max_gso = 65535U})
          .value();
  for (const IpAddress& a : {IpAddress::v4(10, 0, 0, 2), IpAddress::v6({0xfd00, 0, 0, 0, 0, 0, 0, 2})})
    LEAT_ASSERT(stack.add_address(id, {a, static_cast<std::uint8_t>(a.is_v4() ? 24 : 64)}));
  const Handle listener = stack.open_stream().value();
  LEAT_ASSERT(stack.bind(listener, {IpAddress{}, Port{80}}) && stack.listen(listener, 4));
  const Handle udp = stack.open_udp().value();
  LEAT_ASSERT(stack.bind(udp, {IpAddress{}, Port{80}}));
  PacketBatch batch;
  batch.push(std::move(p));
  stack.input(id, batch, kNow);
  LEAT_ASSERT(batch.empty());
  for (int rounds = 0; rounds < 64 && stack.has_output(id); ++rounds) {
    stack.output(id, batch, kNow);
    batch.clear();
  }
  stack.check_invariants();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader in({data, size});
  const std::uint8_t bits = in.u8();
  const std::uint16_t head_end = in.be16();
  const ByteSpan header = in.bytes(VnetHeader::kLength);
  if (!in.ok()) return 0;
  const LinkType link = (bits & 1) != 0 ? LinkType::ethernet : LinkType::ip;
  const ByteSpan bytes = in.bytes(std::min<std::size_t>(in.remaining(), 6000));
  {
    const VnetHeader v = VnetHeader::parse(header);
    Packet p = packet_of(bytes, head_end);
    const Bytes before = contents(p);
    if (!apply_vnet_header(v, p, link)) {
      LEAT_ASSERT(contents(p) == before && p.meta().gso_size == 0 && p.meta().checksum == ChecksumState::none);
      return 0;
    }
    check(p);
    if (p.meta().checksum == ChecksumState::to_fill) {
      const auto again = make_vnet_header(p, link, true);
      LEAT_ASSERT(again && again->checksum_start == v.checksum_start && again->checksum_offset == v.checksum_offset);
      LEAT_ASSERT(again->gso_size == 0 || again->gso_size == v.gso_size);
      Packet copy = packet_of(contents(p), head_end);
      LEAT_ASSERT(apply_vnet_header(*again, copy, link));
      check_split(std::move(copy));
    }
    give_to_stack(std::move(p), link);
  }
  LEAT_ASSERT(pool().all_free());
  return 0;
}
