#pragma once
// ChunkQueue: a byte stream in packet memory: the send queue and the receive queue of a connection. A FIFO of packets
// linked through their metas, addressed by byte offset from the front. It holds nothing before there is data.
//
// Send side: `append` copies bytes in (into the tail chunk's free room first), `slice` references a byte range from a
// packet to be sent (no copy), `consume` drops what was acknowledged. Bytes, once appended, never change, so slices may
// be in flight while the tail chunk grows behind them. Receive side: `push` takes a packet whose data is the next
// bytes; small ones are copied into the tail's free room, so that true size stays within twice the payload. `read`
// copies out and consumes, `peek` only copies, `for_each_piece` shows the bytes in place.
//
// Complexity: append, push, consume amortised O(1) per chunk; slice and peek O(chunks before offset) without a cursor
// and O(1) with one. Threading: one owner. It does not know its pool: every call names it. 24 bytes.

#include <leat/base/checksum.hpp>
#include <leat/buf/packet.hpp>

namespace leat {

// Remembers a place, so that sequential slices don't walk from the front. Any consume() invalidates it when
// `valid_at` lies before the new front; ChunkQueue checks this by stream position.
struct ChunkCursor {
  Index packet = kNoIndex;
  std::uint32_t start = 0;  // stream position of the packet's first byte
};

class ChunkQueue {
 public:
  [[nodiscard]] std::uint32_t size() const { return bytes_; }
  [[nodiscard]] bool empty() const { return bytes_ == 0; }
  [[nodiscard]] std::uint32_t true_size() const { return true_size_; }
  // Stream position (modulo 2^32) of the first byte: what was ever consumed.
  [[nodiscard]] std::uint32_t front_position() const { return position_; }

  // Copies as much of `from` as memory allows; returns the bytes taken. New chunks are of class `largest` at most.
  std::size_t append(PacketPool& pool, ByteSpan from, ChunkClass largest = ChunkClass::large);
  // Takes all data of `p`. Never fails.
  void push(Packet&& p);
  // For an empty queue: `n` bytes from `at` of a packet that lies in one piece. push() after both ends were cut off.
  void take_alone(Packet&& p, std::uint32_t at, std::uint32_t n) {
    PacketPool& pool = p.pool();
    PacketMeta& m = p.meta();
    LEAT_ASSERT(head_ == kNoIndex && n > 0 && m.fragment_count == 0 && at + n <= m.head_length);
    m.offset += at;
    m.head_length = m.length = n;
    m.next = kNoIndex;
    tail_writable_ = pool.refs(m.chunk) == 1 ? 1 : 0;
    head_ = tail_ = p.release();
    bytes_ = n;
    true_size_ = kChunkBytes[static_cast<std::size_t>(chunk_class(m.chunk))];
  }
  // A copy of a few bytes into the tail's free room: what push() does with a small packet, for who needs no packet.
  // False: too many, or no room.
  [[nodiscard]] bool take_copy(PacketPool& pool, ByteSpan bytes) {
    if (tail_writable_ == 0 || bytes.size() > kSmallCopy) return false;
    PacketMeta& m = pool.meta(tail_);
    const auto n = static_cast<std::uint32_t>(bytes.size());
    const std::uint32_t end = m.offset + m.head_length;
    if (m.fragment_count > 0 || n > kChunkBytes[static_cast<std::size_t>(chunk_class(m.chunk))] - end) return false;
    std::memcpy(pool.data(m.chunk) + end, bytes.data(), n);
    m.head_length += n;
    m.length += n;
    bytes_ += n;
    return true;
  }
  // Moves everything from `tail` to the end; `tail` is empty then. Small packets at its front are copied together with
  // ours, so that pieces that arrive in any order end up as dense as in order. O(1).
  void splice(PacketPool& pool, ChunkQueue& tail);
  // Adds references to up to `length` bytes from `offset` to `to`. Returns the bytes added: less when the packet's
  // fragment list is full, 0 when it could not be had.
  std::uint32_t slice(PacketPool& pool, std::uint32_t offset, std::uint32_t length, Packet& to, ChunkCursor& cursor,
                      Priority priority = Priority::data) const;
  void consume(PacketPool& pool, std::uint32_t n);
  std::size_t read(PacketPool& pool, MutableByteSpan to);
  std::size_t peek(PacketPool& pool, std::uint32_t offset, MutableByteSpan to) const;
  // The same, and the Internet checksum of the bytes copied, added to `sum`, in one pass.
  std::size_t peek_summed(PacketPool& pool, std::uint32_t offset, MutableByteSpan to, Sum& sum) const;
  template <class Visit>  // visit(ByteSpan) -> bool: go on?
  void for_each_piece(PacketPool& pool, Visit&& visit) const {
    for (Index i = head_; i != kNoIndex; i = pool.meta(i).next) {
      const PacketMeta& m = pool.meta(i);
      if (m.head_length > 0 && !visit(ByteSpan{pool.data(m.chunk) + m.offset, m.head_length})) return;
      if (m.fragment_count == 0) continue;
      const Fragment* f = pool.fragment_array(m.fragments);
      for (std::uint16_t k = 0; k < m.fragment_count; ++k)
        if (!visit(ByteSpan{pool.data(f[k].chunk) + f[k].offset, f[k].length})) return;
    }
  }
  void clear(PacketPool& pool);
  // Walks everything and asserts the counts.
  void check_invariants(PacketPool& pool) const;

 private:
  static constexpr std::uint32_t kSmallCopy = 512;  // received payloads up to this are worth copying together
  void link_back(PacketPool& pool, Index i);
  static std::uint32_t footprint(PacketPool& pool, Index i);

  Index head_ = kNoIndex;
  Index tail_ = kNoIndex;
  std::uint32_t bytes_ = 0;
  std::uint32_t true_size_ = 0;
  std::uint32_t position_ = 0;
  std::uint32_t tail_writable_ = 0;  // 1: the tail chunk's free room is this queue's to fill
};
static_assert(sizeof(ChunkQueue) == 24);

}  // namespace leat
