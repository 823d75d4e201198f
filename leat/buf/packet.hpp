#pragma once
// Packet: the move-only owner of one packet in a PacketPool. An empty Packet (after a move, or from an exhausted pool)
// is false. Data is the head (contiguous, in the head chunk) followed by the fragments, if any.
//
//   Packet p = pool.allocate(ChunkClass::normal);
//   if (!p) return count(no_buffers);
//   std::ranges::copy(payload, p.append(payload.size()).begin());
//   emit(header, p.prepend(20));
//
// Writing is allowed only while the head chunk has one reference; writing to a shared chunk is an assertion.
// Threading: the owner of the shard. It is 16 bytes; moving it is two stores.

#include <algorithm>
#include <cstring>
#include <leat/base/assert.hpp>
#include <leat/buf/packet_pool.hpp>
#include <utility>

namespace leat {

class Packet {
 public:
  Packet() = default;
  Packet(Packet&& o) noexcept : pool_(std::exchange(o.pool_, nullptr)), index_(o.index_) {}
  Packet& operator=(Packet&& o) noexcept {
    if (this != &o) {
      reset();
      pool_ = std::exchange(o.pool_, nullptr);
      index_ = o.index_;
    }
    return *this;
  }
  Packet(const Packet&) = delete;
  Packet& operator=(const Packet&) = delete;
  ~Packet() { reset(); }

  // Takes over packet `index` of `pool`, which a list held; release() is the way into a list.
  static Packet adopt(PacketPool& pool, Index index) { return Packet{&pool, index}; }
  [[nodiscard]] Index release() {
    pool_ = nullptr;
    return index_;
  }
  void reset() {
    if (pool_ != nullptr) std::exchange(pool_, nullptr)->free_packet(index_);
  }

  explicit operator bool() const { return pool_ != nullptr; }
  [[nodiscard]] PacketPool& pool() const { return *pool_; }
  [[nodiscard]] Index index() const { return index_; }
  [[nodiscard]] PacketMeta& meta() { return pool_->metas_[index_]; }
  [[nodiscard]] const PacketMeta& meta() const { return pool_->metas_[index_]; }

  [[nodiscard]] std::uint32_t size() const { return meta().length; }
  [[nodiscard]] ByteSpan head() const { return {head_data(), meta().head_length}; }
  [[nodiscard]] MutableByteSpan writable_head() {
    LEAT_ASSERT(exclusive());
    return {head_data(), meta().head_length};
  }
  [[nodiscard]] bool exclusive() const { return pool_->refs(meta().chunk) == 1; }
  [[nodiscard]] std::uint32_t headroom() const { return meta().offset; }
  [[nodiscard]] std::uint32_t tailroom() const {
    const PacketMeta& m = meta();
    return kChunkBytes[static_cast<std::size_t>(chunk_class(m.chunk))] - m.offset - m.head_length;
  }
  [[nodiscard]] std::span<const Fragment> fragments() const {
    const PacketMeta& m = meta();
    if (m.fragment_count == 0) return {};
    return {pool_->fragment_array(m.fragments), m.fragment_count};
  }

  // Grows the data to the front by `n` bytes (n <= headroom()) and returns them. Layer offsets move along.
  MutableByteSpan prepend(std::uint32_t n) {
    PacketMeta& m = meta();
    LEAT_ASSERT(n <= m.offset && exclusive());
    m.offset -= n;
    m.head_length += n;
    m.length += n;
    shift_layers(static_cast<std::int32_t>(n));
    return {head_data(), n};
  }
  // prepend() for a packet that was just allocated: nobody shares its head, and its layers are still to be set.
  [[nodiscard]] std::uint8_t* fill_headroom(std::uint32_t n) {
    PacketMeta& m = meta();
    LEAT_ASSERT(n <= m.offset);
    m.offset -= n;
    m.head_length += n;
    m.length += n;
    return pool_->data(m.chunk) + m.offset;
  }
  // Grows the head at its end by `n` bytes (n <= tailroom(), no fragments yet) and returns them.
  MutableByteSpan append(std::uint32_t n) {
    PacketMeta& m = meta();
    LEAT_ASSERT(n <= tailroom() && m.fragment_count == 0 && exclusive());
    std::uint8_t* at = head_data() + m.head_length;
    m.head_length += n;
    m.length += n;
    return {at, n};
  }
  // Drops `n` bytes at the front or all but the first `n`, across fragments; what is left of an emptied head stays
  // empty. n <= size(). O(fragments).
  void trim_front(std::uint32_t n);
  void truncate(std::uint32_t n);
  // Makes the first `n` bytes contiguous in the head, copying from the fragments; a head without room for them, or a
  // shared one, moves to a chunk of its own. False when n > size(), or when there is no chunk for that.
  [[nodiscard]] bool pull(std::uint32_t n);

  // Adds a reference to part of a chunk at the end. False when no fragment array could be had or it is full. On success
  // the packet owns one reference: the caller's own is kept (add_ref is called here).
  [[nodiscard]] bool add_fragment(ChunkRef chunk, std::uint32_t offset, std::uint32_t length,
                                  Priority priority = Priority::data);
  // Appends the data of `tail` (same pool) but its first `skip` bytes, which lie in its head; takes over its chunks. On
  // false (too many fragments, or no chunk for the list) nothing changed.
  [[nodiscard]] bool absorb(Packet&& tail, std::uint32_t skip = 0) {
    PacketMeta& m = meta();
    PacketMeta& t = tail.meta();
    // GRO's case, once per received segment: one more chunk for a list that has room.
    if (m.fragment_count > 0 && m.fragment_count < kMaxFragments && t.fragment_count == 0 && t.head_length > skip) {
      Fragment* f = pool_->fragment_array(m.fragments) + m.fragment_count;
      if (f[-1].chunk != t.chunk) {
        LEAT_ASSERT(pool_ == tail.pool_);
        *f = {t.chunk, t.offset + skip, t.head_length - skip};
        ++m.fragment_count;
        m.length += t.head_length - skip;
        t.chunk = kNoChunk;  // its reference is ours now
        tail.reset();
        return true;
      }
    }
    return absorb_any(std::move(tail), skip);
  }
  // A second packet that shares all chunks, metadata copied. Empty when exhausted.
  [[nodiscard]] Packet clone(Priority priority = Priority::data) const;
  // A copy of all data in chunks of `pool` (possibly another one), metadata copied, contiguous when it fits a chunk.
  [[nodiscard]] Packet copy_to(PacketPool& pool, std::uint32_t headroom = kHeadroom) const;

  // Copies size bytes from `offset`; returns the bytes copied (less at the end of data).
  std::size_t copy_out(std::size_t offset, MutableByteSpan to) const;
  // Calls visit(ByteSpan) for each contiguous piece from `offset` on.
  template <class Visit>
  void for_each_piece(std::size_t offset, Visit&& visit) const {
    const auto one = [&](ByteSpan piece) {
      if (offset >= piece.size()) {
        offset -= piece.size();
        return;
      }
      visit(piece.subspan(std::exchange(offset, 0)));
    };
    one(head());
    for (const Fragment& f : fragments()) one(ByteSpan{pool_->data(f.chunk) + f.offset, f.length});
  }
  // Bytes of memory that the packet keeps busy: whole chunks, a shared one counted in full. What budgets count.
  [[nodiscard]] std::uint32_t true_size() const;

 private:
  friend class PacketPool;
  [[nodiscard]] bool absorb_any(Packet&& tail, std::uint32_t skip);
  [[nodiscard]] bool move_head(std::uint32_t room);
  Packet(PacketPool* pool, Index index) : pool_(pool), index_(index) {}
  [[nodiscard]] std::uint8_t* head_data() const { return pool_->data(meta().chunk) + meta().offset; }
  void shift_layers(std::int32_t n) {
    PacketMeta& m = meta();
    const auto move = [n](std::uint16_t& o) {
      const std::int32_t moved = std::int32_t{o} + n;
      o = static_cast<std::uint16_t>(moved < 0 ? 0 : moved);
    };
    move(m.l3_offset);
    move(m.l4_offset);
    move(m.payload_offset);
  }

  PacketPool* pool_ = nullptr;
  Index index_ = kNoIndex;
};

// A FIFO of packets linked through their metas; owns them. It does not know its pool: every call names it.
class PacketFifo {
 public:
  [[nodiscard]] bool empty() const { return fifo_.empty(); }
  [[nodiscard]] std::uint32_t count() const { return count_; }
  [[nodiscard]] Index front() const { return fifo_.front(); }
  void push_back(Packet&& p) {
    PacketPool& pool = p.pool();
    ++count_;
    fifo_.push_back(p.release(), [&](Index i) -> Index& { return pool.meta(i).next; });
  }
  [[nodiscard]] Packet pop_front(PacketPool& pool) {
    --count_;
    return Packet::adopt(pool, fifo_.pop_front([&](Index i) -> Index& { return pool.meta(i).next; }));
  }
  void clear(PacketPool& pool) {
    while (!empty()) pop_front(pool).reset();
  }

 private:
  IndexFifo fifo_;
  std::uint32_t count_ = 0;
};

}  // namespace leat
