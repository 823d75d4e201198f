#include <leat/device/received.hpp>

namespace leat {
namespace {

constexpr std::uint32_t kSmall = kChunkBytes[static_cast<std::size_t>(ChunkClass::small)];
constexpr std::uint32_t kPiece = kChunkBytes[static_cast<std::size_t>(ChunkClass::normal)];
constexpr std::uint32_t kLargest = kChunkBytes[static_cast<std::size_t>(ChunkClass::large)];

// A frame of the largest MTU fits a large chunk only with less headroom; received packets need none.
constexpr std::uint32_t headroom_for(std::uint32_t size) {
  return size <= kLargest ? std::min(kHeadroom, kLargest - size) : kHeadroom;
}

void copy_notes(const PacketMeta& from, PacketMeta& to) {
  to.l3_offset = from.l3_offset;
  to.l4_offset = from.l4_offset;
  to.payload_offset = from.payload_offset;
  to.gso_size = from.gso_size;
  to.gso_type = from.gso_type;
  to.merged = from.merged;
  to.ce_marks = from.ce_marks;
  to.checksum = from.checksum;
  to.link_cast = from.link_cast;
  to.flow_hash = from.flow_hash;
  to.mark = from.mark;
  to.vlan = from.vlan;
  to.interface = from.interface;
  to.time = from.time;
}

}  // namespace

bool can_ever_copy(std::uint32_t size, const PacketPool& pool) {
  const PoolLayout& l = pool.layout();
  for (std::size_t c = 0; c < kChunkClasses; ++c)
    if (l.chunks[c] > 0 && kChunkBytes[c] >= size + headroom_for(size)) return true;
  const std::uint32_t pieces = std::min<std::uint32_t>(l.chunks[1], 1U + kMaxFragments);
  return pieces > 0 && l.chunks[0] > 0 && size <= pieces * kPiece - kHeadroom;
}

bool fits(const Packet& p, const DeviceCaps& caps) {
  const PacketMeta& m = p.meta();
  const auto link = static_cast<std::uint32_t>(link_header_length(caps.link));
  if (m.length < link) return false;
  if (m.checksum == ChecksumState::to_fill && !caps.tx_checksum) return false;
  return m.length - link <= (wire_segments(m) == 1 ? caps.mtu : caps.max_gso);
}

Packet copy_into(const Packet& p, PacketPool& pool) {
  if (Packet whole = p.copy_to(pool, headroom_for(p.size()))) return whole;
  const std::uint32_t size = p.size();
  if (size <= kSmall - kHeadroom) {
    Packet small = pool.allocate(ChunkClass::small, kHeadroom, Priority::control);
    if (!small) return {};
    p.copy_out(0, small.append(size));
    copy_notes(p.meta(), small.meta());
    return small;
  }
  if (size <= kPiece - kHeadroom || size > (1U + kMaxFragments) * kPiece - kHeadroom) return {};
  Packet copy = pool.allocate(ChunkClass::normal);
  if (!copy) return {};
  std::uint32_t at = kPiece - kHeadroom;
  p.copy_out(0, copy.append(at));
  while (at < size) {
    const ChunkRef chunk = pool.take_chunk(ChunkClass::normal);
    if (chunk == kNoChunk) return {};
    const std::uint32_t n = std::min(kPiece, size - at);
    p.copy_out(at, MutableByteSpan{pool.data(chunk), n});
    const bool added = copy.add_fragment(chunk, 0, n);
    pool.drop_ref(chunk);
    if (!added) return {};
    at += n;
  }
  copy_notes(p.meta(), copy.meta());
  return copy;
}

}  // namespace leat
