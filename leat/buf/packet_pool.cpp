#include <leat/base/assert.hpp>
#include <leat/buf/packet.hpp>
#include <leat/buf/packet_pool.hpp>
#include <leat/buf/region_unsafe.hpp>

namespace leat {
namespace {
constexpr std::uint32_t total_chunks(const PoolLayout& l) {
  return l.chunks[0] + l.chunks[1] + l.chunks[2];
}
constexpr std::size_t align64(std::size_t n) {
  return (n + 63) & ~std::size_t{63};
}
}  // namespace

std::size_t PacketPool::bytes_needed(const PoolLayout& l) {
  std::size_t n = 64 + std::size_t{l.packets} * sizeof(PacketMeta) + align64(std::size_t{total_chunks(l)} * 4);
  for (std::size_t c = 0; c < kChunkClasses; ++c) n += std::size_t{l.chunks[c]} * kChunkBytes[c];
  return n;
}

PacketPool::PacketPool(MutableByteSpan region, const PoolLayout& layout) : layout_(layout), meta_pool_(layout.packets) {
  LEAT_ASSERT(region.size() >= bytes_needed(layout));
  std::uint8_t* at = align_up(region.data(), 64);
  metas_ = carve<PacketMeta>(at);
  at += std::size_t{layout.packets} * sizeof(PacketMeta);
  link_ = carve<std::uint32_t>(at);
  at += align64(std::size_t{total_chunks(layout)} * 4);
  std::uint32_t first = 0;
  for (std::size_t c = 0; c < kChunkClasses; ++c) {
    base_[c] = at;
    first_[c] = first;
    chunk_pool_[c] = IndexPool{layout.chunks[c]};
    at += std::size_t{layout.chunks[c]} * kChunkBytes[c];
    first += layout.chunks[c];
  }
}

bool PacketPool::injected_failure() {
  const bool now = fail_on_ ? allocations_ >= fail_at_ : allocations_ == fail_at_;
  if (now) ++exhausted_;
  return now;
}

inline ChunkRef PacketPool::take_chunk_unchecked(ChunkClass cls, Priority priority) {
  const auto c = static_cast<std::size_t>(cls);
  IndexPool& pool = chunk_pool_[c];
  const std::uint32_t keep = priority == Priority::control || cls != ChunkClass::small ? 0 : layout_.reserve;
  if (pool.available() <= keep) return kNoChunk;
  std::uint32_t* links = link_ + first_[c];
  const Index i = pool.take([links](Index k) -> Index& { return links[k]; });
  links[i] = 1;
  return static_cast<ChunkRef>(c << 30) | i;
}

inline Index PacketPool::take_meta_unchecked(Priority priority) {
  if (meta_pool_.available() <= (priority == Priority::control ? 0 : layout_.reserve)) return kNoIndex;
  const Index i = meta_pool_.take([this](Index k) -> Index& { return metas_[k].next; });
  construct(&metas_[i]);
  return i;
}

ChunkRef PacketPool::take_chunk(ChunkClass cls, Priority priority) {
  if (refuse()) return kNoChunk;
  const ChunkRef c = take_chunk_unchecked(cls, priority);
  if (c == kNoChunk) ++exhausted_;
  return c;
}

Index PacketPool::take_meta(Priority priority) {
  if (refuse()) return kNoIndex;
  const Index i = take_meta_unchecked(priority);
  if (i == kNoIndex) ++exhausted_;
  return i;
}

Packet PacketPool::allocate(ChunkClass cls, std::uint32_t headroom, Priority priority) {
  LEAT_ASSERT(headroom <= kChunkBytes[static_cast<std::size_t>(cls)]);
  if (refuse()) return {};
  const Index i = take_meta_unchecked(priority);
  if (i == kNoIndex) {
    ++exhausted_;
    return {};
  }
  const ChunkRef c = take_chunk_unchecked(cls, priority);
  if (c == kNoChunk) {
    meta_pool_.give(i, [this](Index k) -> Index& { return metas_[k].next; });
    ++exhausted_;
    return {};
  }
  metas_[i].chunk = c;
  metas_[i].offset = headroom;
  return Packet{this, i};
}

ChunkRef PacketPool::take_chunk_for(std::uint32_t bytes, Priority priority) {
  for (std::size_t c = 0; c < kChunkClasses; ++c) {
    if (kChunkBytes[c] < bytes || chunk_pool_[c].available() == 0) continue;
    // The reserve of small chunks may be all that is left: a larger class is still good.
    if (const ChunkRef chunk = take_chunk(static_cast<ChunkClass>(c), priority); chunk != kNoChunk) return chunk;
  }
  return kNoChunk;
}

Packet PacketPool::allocate_for(std::uint32_t size, std::uint32_t headroom, Priority priority) {
  const ChunkRef chunk = take_chunk_for(size + headroom, priority);
  if (chunk == kNoChunk) return {};
  const Index i = take_meta_unchecked(priority);  // one allocation, however many parts it has
  if (i == kNoIndex) {
    ++exhausted_;
    drop_ref(chunk);
    return {};
  }
  metas_[i].chunk = chunk;
  metas_[i].offset = headroom;
  return Packet{this, i};
}

void PacketPool::drop_fragments(const PacketMeta& m) {
  const Fragment* f = fragment_array(m.fragments);
  for (std::uint16_t i = 0; i < m.fragment_count; ++i) drop_ref(f[i].chunk);
  drop_ref(m.fragments);
}

bool PacketPool::all_free() const {
  if (meta_pool_.used() != 0) return false;
  for (const IndexPool& p : chunk_pool_)
    if (p.used() != 0) return false;
  return true;
}

}  // namespace leat
