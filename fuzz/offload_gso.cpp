// GSO of a packet whose metadata may say anything: it is refused and left alone, or every byte of payload leaves in
// order, in frames of the right size, also when memory runs out in between. Input: l3, l4 and payload offset, GSO size
// and type, format, the allocation that fails, where the head ends; then the packet's bytes.
#include <leat/base/byte_reader.hpp>
#include <leat/offload/gso.hpp>
#include <vector>

namespace {

using namespace leat;  // NOLINT(google-build-using-namespace)
using Bytes = std::vector<std::uint8_t>;

constexpr PoolLayout kLayout{.packets = 200, .chunks = {400, 200, 2}};

PacketPool& pool() {
  static std::vector<std::uint8_t> memory(PacketPool::bytes_needed(kLayout));
  static PacketPool the_pool(memory, kLayout);
  return the_pool;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader in({data, size});
  const std::uint8_t l3 = in.u8();
  const std::uint8_t l4 = in.u8();
  const std::uint8_t payload_at = in.u8();
  const std::uint16_t gso_size = in.be16();
  const std::uint8_t type = in.u8();
  const std::uint8_t format = in.u8();
  const std::uint8_t failing = in.u8();
  const std::uint16_t head_end = in.be16();
  if (!in.ok()) return 0;
  const ByteSpan bytes = in.bytes(std::min<std::size_t>(in.remaining(), 6000));
  {
    const std::size_t head = std::min<std::size_t>({bytes.size(), head_end, 1900});
    Packet p = pool().allocate(ChunkClass::normal);
    LEAT_ASSERT(p);
    std::ranges::copy(bytes.first(head), p.append(static_cast<std::uint32_t>(head)).begin());
    for (std::size_t at = head; at < bytes.size();) {
      const std::size_t n = std::min<std::size_t>(bytes.size() - at, 1 + head_end % 2047);
      const ChunkRef c = pool().take_chunk(ChunkClass::normal);
      LEAT_ASSERT(c != kNoChunk);
      std::memcpy(pool().data(c), &bytes[at], n);
      const bool added = p.add_fragment(c, 0, static_cast<std::uint32_t>(n));
      pool().drop_ref(c);
      if (!added) break;
      at += n;
    }
    PacketMeta& m = p.meta();
    m.l3_offset = l3;
    m.l4_offset = l4;
    m.payload_offset = payload_at;
    m.gso_size = gso_size;
    m.gso_type = static_cast<GsoType>(type % 4);
    Bytes whole(p.size());
    p.copy_out(0, whole);
    GsoSplitter gso;
    if (!gso.begin(std::move(p), {.linear = (format & 1) != 0, .checksum_offload = (format & 2) != 0})) {
      Bytes after(p.size());  // NOLINT(bugprone-use-after-move): a refusal leaves it whole
      p.copy_out(0, after);
      LEAT_ASSERT(after == whole);
    } else {
      if (failing > 0) pool().fail_allocation(failing);
      Bytes payload;
      for (int rounds = 0; gso.active(); ++rounds) {
        LEAT_ASSERT(rounds < 7000);
        PacketBatch frames((format >> 2) % 63 + 1U);
        const auto progress = gso.run(frames);
        LEAT_ASSERT(progress != GsoSplitter::Progress::batch_full || frames.full());
        for (const Packet& frame : frames) {
          LEAT_ASSERT(frame.meta().payload_offset == payload_at && frame.size() <= std::size_t{payload_at} + gso_size);
          const std::size_t n = frame.size() - payload_at;
          payload.resize(payload.size() + n);
          frame.copy_out(payload_at, MutableByteSpan{payload}.last(n));
        }
      }
      pool().fail_allocation(0);
      LEAT_ASSERT(Bytes(whole.begin() + payload_at, whole.end()) == payload);
    }
  }
  LEAT_ASSERT(pool().all_free());
  return 0;
}
