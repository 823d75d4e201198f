#include <leat/buf/packet.hpp>

namespace leat {

void Packet::trim_front(std::uint32_t n) {
  PacketMeta& m = meta();
  LEAT_ASSERT(n <= m.length);
  const std::uint32_t from_head = std::min(n, m.head_length);
  m.offset += from_head;
  m.head_length -= from_head;
  m.length -= n;
  shift_layers(-static_cast<std::int32_t>(n));
  n -= from_head;
  if (n == 0) return;
  Fragment* f = pool_->fragment_array(m.fragments);
  std::uint16_t gone = 0;
  while (n > 0 && n >= f[gone].length) {
    n -= f[gone].length;
    pool_->drop_ref(f[gone].chunk);
    ++gone;
  }
  if (n > 0) {
    f[gone].offset += n;
    f[gone].length -= n;
  }
  std::copy(f + gone, f + m.fragment_count, f);
  m.fragment_count = static_cast<std::uint16_t>(m.fragment_count - gone);
}

void Packet::truncate(std::uint32_t n) {
  PacketMeta& m = meta();
  LEAT_ASSERT(n <= m.length);
  m.length = n;
  if (n <= m.head_length) {
    m.head_length = n;
    n = 0;
  } else {
    n -= m.head_length;
  }
  if (m.fragment_count == 0) return;
  Fragment* f = pool_->fragment_array(m.fragments);
  std::uint16_t kept = 0;
  for (std::uint16_t i = 0; i < m.fragment_count; ++i) {
    if (n == 0) {
      pool_->drop_ref(f[i].chunk);
      continue;
    }
    f[i].length = std::min(f[i].length, n);
    n -= f[i].length;
    ++kept;
  }
  m.fragment_count = kept;
}

bool Packet::pull(std::uint32_t n) {
  PacketMeta& m = meta();
  if (n <= m.head_length) return true;
  if (n > m.length) return false;
  const std::uint32_t need = n - m.head_length;
  if ((!exclusive() || need > tailroom()) && !move_head(n)) return false;
  MutableByteSpan to{head_data() + m.head_length, need};
  copy_out(m.head_length, to);
  // The bytes now stand in the head: take them from the fragments.
  Fragment* f = pool_->fragment_array(m.fragments);
  std::uint32_t left = need;
  std::uint16_t gone = 0;
  while (left > 0 && left >= f[gone].length) {
    left -= f[gone].length;
    pool_->drop_ref(f[gone].chunk);
    ++gone;
  }
  if (left > 0) {
    f[gone].offset += left;
    f[gone].length -= left;
  }
  std::copy(f + gone, f + m.fragment_count, f);
  m.fragment_count = static_cast<std::uint16_t>(m.fragment_count - gone);
  m.head_length = n;
  return true;
}

bool Packet::move_head(std::uint32_t room) {
  PacketMeta& m = meta();
  const ChunkRef chunk = pool_->take_chunk_for(m.offset + room);
  if (chunk == kNoChunk) return false;
  if (m.head_length > 0) std::memcpy(pool_->data(chunk) + m.offset, head_data(), m.head_length);
  pool_->drop_ref(std::exchange(m.chunk, chunk));
  return true;
}

bool Packet::add_fragment(ChunkRef chunk, std::uint32_t offset, std::uint32_t length, Priority priority) {
  PacketMeta& m = meta();
  if (m.fragment_count == kMaxFragments) return false;
  if (m.fragments == kNoChunk) {
    m.fragments = pool_->take_chunk(ChunkClass::small, priority);
    if (m.fragments == kNoChunk) return false;
  }
  Fragment* f = pool_->fragment_array(m.fragments);
  // Neighbouring bytes of one chunk extend the last fragment.
  if (m.fragment_count > 0) {
    Fragment& last = f[m.fragment_count - 1];
    if (last.chunk == chunk && last.offset + last.length == offset) {
      last.length += length;
      m.length += length;
      return true;
    }
  }
  f[m.fragment_count++] = {chunk, offset, length};
  pool_->add_ref(chunk);
  m.length += length;
  return true;
}

bool Packet::absorb_any(Packet&& tail, std::uint32_t skip) {
  LEAT_ASSERT(pool_ == tail.pool_);
  PacketMeta& m = meta();
  PacketMeta& t = tail.meta();
  LEAT_ASSERT(skip <= t.head_length);
  const Fragment head{t.chunk, t.offset + skip, t.head_length - skip};
  const std::span<const Fragment> more = tail.fragments();
  // Neighbouring bytes of one chunk extend our last fragment: whose reference counts for both.
  const Fragment* first = head.length > 0 ? &head : more.data();
  const unsigned pieces = (head.length > 0 ? 1U : 0U) + t.fragment_count;
  bool joined = false;
  if (m.fragment_count > 0 && pieces > 0) {
    const Fragment& last = pool_->fragment_array(m.fragments)[m.fragment_count - 1];
    joined = last.chunk == first->chunk && last.offset + last.length == first->offset;
  }
  if (m.fragment_count + pieces - (joined ? 1U : 0U) > kMaxFragments) return false;
  if (m.fragments == kNoChunk && pieces > 0) {
    m.fragments = pool_->take_chunk(ChunkClass::small);
    if (m.fragments == kNoChunk) return false;
  }
  m.length += t.length - skip;
  if (pieces > 0) {
    Fragment* f = pool_->fragment_array(m.fragments);
    const auto take = [&](const Fragment& piece) {
      if (!std::exchange(joined, false)) {
        f[m.fragment_count++] = piece;  // its reference is ours now
        return;
      }
      f[m.fragment_count - 1].length += piece.length;
      pool_->drop_ref(piece.chunk);
    };
    if (head.length > 0) {
      take(head);
      t.chunk = kNoChunk;
    }
    for (const Fragment& piece : more) take(piece);
    t.fragment_count = 0;
  }
  tail.reset();
  return true;
}

Packet Packet::clone(Priority priority) const {
  const Index i = pool_->take_meta(priority);
  if (i == kNoIndex) return {};
  const PacketMeta& m = meta();
  PacketMeta& c = pool_->metas_[i];
  c = m;
  c.next = kNoIndex;
  c.fragments = kNoChunk;
  c.fragment_count = 0;
  pool_->add_ref(c.chunk);
  Packet p{pool_, i};
  if (m.fragment_count > 0) {
    c.fragments = pool_->take_chunk(ChunkClass::small, priority);
    if (c.fragments == kNoChunk) return {};
    Fragment* to = pool_->fragment_array(c.fragments);
    for (const Fragment& f : fragments()) {
      to[c.fragment_count++] = f;
      pool_->add_ref(f.chunk);
    }
  }
  return p;
}

Packet Packet::copy_to(PacketPool& pool, std::uint32_t headroom) const {
  Packet p = pool.allocate_for(size(), headroom);
  if (!p) return {};
  const PacketMeta& m = meta();
  PacketMeta& c = p.meta();
  const ChunkRef chunk = c.chunk;
  c = m;
  c.chunk = chunk;
  c.offset = headroom;
  c.head_length = m.length;
  c.fragments = kNoChunk;
  c.fragment_count = 0;
  c.next = kNoIndex;
  copy_out(0, p.writable_head());
  return p;
}

std::size_t Packet::copy_out(std::size_t offset, MutableByteSpan to) const {
  std::size_t done = 0;
  for_each_piece(offset, [&](ByteSpan piece) {
    const std::size_t n = std::min(piece.size(), to.size() - done);
    if (n > 0) std::memcpy(to.data() + done, piece.data(), n);
    done += n;
  });
  return done;
}

std::uint32_t Packet::true_size() const {
  const PacketMeta& m = meta();
  std::uint32_t n = kChunkBytes[static_cast<std::size_t>(chunk_class(m.chunk))];
  for (const Fragment& f : fragments()) n += kChunkBytes[static_cast<std::size_t>(chunk_class(f.chunk))];
  return n;
}

}  // namespace leat
