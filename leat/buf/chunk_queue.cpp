#include <leat/buf/chunk_queue.hpp>

namespace leat {
namespace {

std::uint32_t room_behind(PacketPool& pool, Index i) {
  const PacketMeta& m = pool.meta(i);
  if (m.fragment_count > 0) return 0;
  return kChunkBytes[static_cast<std::size_t>(chunk_class(m.chunk))] - m.offset - m.head_length;
}

// The class for `wanted` more bytes: large ones for bulk, so that a super-segment has few fragments.
ChunkClass class_for(std::size_t wanted) {
  if (wanted <= kChunkBytes[0]) return ChunkClass::small;
  if (wanted <= 4 * std::size_t{kChunkBytes[1]}) return ChunkClass::normal;
  return ChunkClass::large;
}

// The wanted class, else any other up to `largest` that has something.
Packet allocate_any(PacketPool& pool, ChunkClass wanted, ChunkClass largest) {
  if (pool.chunks_free(wanted) > 0)
    if (Packet p = pool.allocate(wanted, 0)) return p;
  for (const ChunkClass c : {ChunkClass::normal, ChunkClass::large, ChunkClass::small}) {
    if (c == wanted || c > largest || pool.chunks_free(c) == 0) continue;
    if (Packet p = pool.allocate(c, 0)) return p;
  }
  return {};
}

}  // namespace

std::uint32_t ChunkQueue::footprint(PacketPool& pool, Index i) {
  const PacketMeta& m = pool.meta(i);
  std::uint32_t n = kChunkBytes[static_cast<std::size_t>(chunk_class(m.chunk))];
  if (m.fragment_count == 0) return n;
  const Fragment* f = pool.fragment_array(m.fragments);
  for (std::uint16_t k = 0; k < m.fragment_count; ++k)
    n += kChunkBytes[static_cast<std::size_t>(chunk_class(f[k].chunk))];
  return n;
}

void ChunkQueue::link_back(PacketPool& pool, Index i) {
  pool.meta(i).next = kNoIndex;
  (tail_ == kNoIndex ? head_ : pool.meta(tail_).next) = i;
  tail_ = i;
  true_size_ += footprint(pool, i);
}

std::size_t ChunkQueue::append(PacketPool& pool, ByteSpan from, ChunkClass largest) {
  std::size_t taken = 0;
  while (taken < from.size()) {
    std::uint32_t room = tail_ != kNoIndex && tail_writable_ != 0 ? room_behind(pool, tail_) : 0;
    if (room == 0) {
      Packet p =
          allocate_any(pool, std::min(largest, class_for(from.size() - taken + (bytes_ > 16384 ? 16384 : 0))), largest);
      if (!p) break;
      link_back(pool, p.release());
      tail_writable_ = 1;
      room = room_behind(pool, tail_);
    }
    PacketMeta& m = pool.meta(tail_);
    const auto n = static_cast<std::uint32_t>(std::min<std::size_t>(room, from.size() - taken));
    std::memcpy(pool.data(m.chunk) + m.offset + m.head_length, from.data() + taken, n);
    m.head_length += n;
    m.length += n;
    bytes_ += n;
    taken += n;
  }
  return taken;
}

void ChunkQueue::push(Packet&& p) {
  if (p.size() == 0) {
    p.reset();
    return;
  }
  PacketPool& pool = p.pool();
  const std::uint32_t n = p.size();
  bytes_ += n;
  if (n <= kSmallCopy && tail_ != kNoIndex && tail_writable_ != 0 && n <= room_behind(pool, tail_)) {
    PacketMeta& m = pool.meta(tail_);
    p.copy_out(0, MutableByteSpan{pool.data(m.chunk) + m.offset + m.head_length, n});
    m.head_length += n;
    m.length += n;
    p.reset();
    return;
  }
  const bool whole = p.fragments().empty() && p.exclusive();
  link_back(pool, p.release());
  tail_writable_ = whole ? 1 : 0;
}

void ChunkQueue::splice(PacketPool& pool, ChunkQueue& tail) {
  // Small packets at its front move into our free room, as push would have it; the rest is linked.
  std::uint32_t copied = 0;
  while (tail.head_ != kNoIndex && tail_ != kNoIndex && tail_writable_ != 0) {
    const std::uint32_t n = pool.meta(tail.head_).length;
    if (copied + n > kSmallCopy || n > room_behind(pool, tail_)) break;
    PacketMeta& m = pool.meta(tail_);
    tail.peek(pool, 0, MutableByteSpan{pool.data(m.chunk) + m.offset + m.head_length, n});
    tail.consume(pool, n);
    m.head_length += n;
    m.length += n;
    bytes_ += n;
    copied += n;
  }
  if (tail.head_ != kNoIndex) {
    (tail_ == kNoIndex ? head_ : pool.meta(tail_).next) = tail.head_;
    tail_ = tail.tail_;
    tail_writable_ = tail.tail_writable_;
    bytes_ += tail.bytes_;
    true_size_ += tail.true_size_;
  }
  tail = ChunkQueue{};
}

std::uint32_t ChunkQueue::slice(PacketPool& pool, std::uint32_t offset, std::uint32_t length, Packet& to,
                                ChunkCursor& cursor, Priority priority) const {
  LEAT_ASSERT(offset <= bytes_);
  length = std::min(length, bytes_ - offset);
  if (length == 0) return 0;
  const std::uint32_t wanted = position_ + offset;
  Index i = head_;
  std::uint32_t start = position_;
  // The cursor is good when its packet starts between the front and the wanted byte.
  if (cursor.packet != kNoIndex && cursor.start - position_ <= offset) {
    i = cursor.packet;
    start = cursor.start;
  }
  while (wanted - start >= pool.meta(i).length) {
    start += pool.meta(i).length;
    i = pool.meta(i).next;
  }
  std::uint32_t skip = wanted - start;
  std::uint32_t added = 0;
  while (added < length && i != kNoIndex) {
    const PacketMeta& m = pool.meta(i);
    const auto piece = [&](ChunkRef chunk, std::uint32_t at, std::uint32_t bytes) {
      if (skip >= bytes) {
        skip -= bytes;
        return true;
      }
      const std::uint32_t n = std::min(bytes - skip, length - added);
      if (!to.add_fragment(chunk, at + skip, n, priority)) return false;
      skip = 0;
      added += n;
      return added < length;
    };
    bool more = piece(m.chunk, m.offset, m.head_length);
    const Fragment* f = m.fragment_count > 0 ? pool.fragment_array(m.fragments) : nullptr;
    for (std::uint16_t k = 0; more && k < m.fragment_count; ++k) more = piece(f[k].chunk, f[k].offset, f[k].length);
    if (!more || m.next == kNoIndex) break;  // the cursor stays on the last packet: the next bytes will be behind it
    start += m.length;
    i = m.next;
  }
  cursor = {i, start};
  return added;
}

void ChunkQueue::consume(PacketPool& pool, std::uint32_t n) {
  LEAT_ASSERT(n <= bytes_);
  position_ += n;
  if (n == bytes_) {  // everything: nothing is left to be counted
    for (Index i = head_; i != kNoIndex;) pool.free_packet(std::exchange(i, pool.meta(i).next));
    head_ = tail_ = kNoIndex;
    bytes_ = true_size_ = tail_writable_ = 0;
    return;
  }
  bytes_ -= n;
  while (n > 0) {
    const Index i = head_;
    PacketMeta& m = pool.meta(i);
    if (n < m.length) {
      const std::uint32_t before = footprint(pool, i);
      Packet p = Packet::adopt(pool, i);
      p.trim_front(n);
      (void)p.release();
      true_size_ -= before - footprint(pool, i);
      return;
    }
    n -= m.length;
    true_size_ -= footprint(pool, i);
    head_ = m.next;
    pool.free_packet(i);
  }
}

std::size_t ChunkQueue::peek(PacketPool& pool, std::uint32_t offset, MutableByteSpan to) const {
  std::size_t done = 0;
  for_each_piece(pool, [&](ByteSpan piece) {
    if (offset >= piece.size()) {
      offset -= static_cast<std::uint32_t>(piece.size());
      return true;
    }
    piece = piece.subspan(offset);
    offset = 0;
    const std::size_t n = std::min(piece.size(), to.size() - done);
    if (n > 0) std::memcpy(to.data() + done, piece.data(), n);
    done += n;
    return done < to.size();
  });
  return done;
}

std::size_t ChunkQueue::peek_summed(PacketPool& pool, std::uint32_t offset, MutableByteSpan to, Sum& sum) const {
  if (head_ != kNoIndex) {
    // A request, or its reply: one piece.
    const PacketMeta& m = pool.meta(head_);
    if (offset + to.size() <= m.head_length) {
      sum = checksum_copy(sum, to.data(), {pool.data(m.chunk) + m.offset + offset, to.size()});
      return to.size();
    }
  }
  std::size_t done = 0;
  for_each_piece(pool, [&](ByteSpan piece) {
    if (offset >= piece.size()) {
      offset -= static_cast<std::uint32_t>(piece.size());
      return true;
    }
    piece = piece.subspan(offset).first(std::min<std::size_t>(piece.size() - offset, to.size() - done));
    offset = 0;
    sum = checksum_append(sum, checksum_copy(0, to.data() + done, piece), done);
    done += piece.size();
    return done < to.size();
  });
  return done;
}

std::size_t ChunkQueue::read(PacketPool& pool, MutableByteSpan to) {
  if (head_ != kNoIndex && head_ == tail_ && bytes_ <= to.size() && pool.meta(head_).fragment_count == 0) {
    // A request, or its reply: one piece.
    const PacketMeta& m = pool.meta(head_);
    const std::uint32_t all = bytes_;
    std::memcpy(to.data(), pool.data(m.chunk) + m.offset, all);
    consume(pool, all);
    return all;
  }
  const std::size_t n = peek(pool, 0, to);
  consume(pool, static_cast<std::uint32_t>(n));
  return n;
}

void ChunkQueue::clear(PacketPool& pool) {
  consume(pool, bytes_);
  // Packets without bytes can't be in the list: append and push never leave one.
  LEAT_ASSERT(head_ == kNoIndex);
}

void ChunkQueue::check_invariants(PacketPool& pool) const {
  std::uint32_t bytes = 0;
  std::uint32_t size = 0;
  Index last = kNoIndex;
  for (Index i = head_; i != kNoIndex; i = pool.meta(i).next) {
    LEAT_ASSERT(pool.meta(i).length > 0);
    bytes += pool.meta(i).length;
    size += footprint(pool, i);
    last = i;
  }
  LEAT_ASSERT(last == tail_ && bytes == bytes_ && size == true_size_);
}

}  // namespace leat
