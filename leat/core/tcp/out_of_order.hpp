#pragma once
// OutOfOrder: payload that arrived before what precedes it. Ranges of bytes, disjoint and not touching, each a stream
// in packet memory, in a tree by sequence number; beside it the order of arrival, for SACK blocks (RFC 2018 4: the
// block that changed last comes first).
//
// First received wins: bytes that are here already are never replaced, whatever a later segment says (D17). Bounded: at
// most `cap` ranges per connection, `budget` bytes of true size; beyond it a segment is refused, and the peer sends it
// again. Small payloads are copied together, so that true size stays near the payload.
//
// Complexity: O(log n) per insert, plus O(1) per range that the segment covers. Threading: one owner. 28 bytes per
// connection, 64 per range.

#include <cstdint>
#include <leat/buf/chunk_queue.hpp>
#include <leat/core/tcp/seq_treap.hpp>
#include <leat/wire/tcp_options.hpp>
#include <span>

namespace leat::tcp {

struct OooRange {
  SeqNum start;
  ChunkQueue bytes;
  TreapLink treap;
  IndexLink recent;
  [[nodiscard]] SeqNum end() const { return start + bytes.size(); }
};

struct OutOfOrder {
  SeqTree tree;
  IndexList recent;  // front: changed last
  std::uint32_t count = 0;
  std::uint32_t true_size = 0;
};

enum class OooInsert : std::uint8_t {
  stored,     // at least one new byte
  duplicate,  // everything was here already
  refused,    // over the node cap, the byte budget, or out of memory; some of it may be stored
};

class OooPool {
 public:
  // `salt`: a number that no peer knows (seq_treap.hpp).
  explicit OooPool(std::span<OooRange> nodes, std::uint32_t salt = 0)
      : nodes_(nodes), pool_(static_cast<std::uint32_t>(nodes.size())), salt_(salt) {}

  // `payload` holds only payload, its first byte at `seq`; all of it lies within the receive window. On `duplicate`,
  // `overlap` (when given) gets the part that was here already (for DSACK).
  OooInsert insert(OutOfOrder&, SeqNum seq, Packet&& payload, std::uint32_t cap, std::uint32_t budget,
                   wire::SackBlock* overlap = nullptr);
  // Moves what now continues the stream at `next` to `into`; returns the bytes moved.
  std::uint32_t deliver(OutOfOrder&, PacketPool&, SeqNum next, ChunkQueue& into);
  // Up to blocks.size() SACK blocks, changed last first; returns how many.
  std::size_t sack_blocks(const OutOfOrder&, std::span<wire::SackBlock> blocks) const;
  [[nodiscard]] bool covers(const OutOfOrder&, SeqNum seq) const;
  // Where the first range begins; there is one.
  [[nodiscard]] SeqNum first_start(const OutOfOrder& o) const { return nodes_[o.tree.first].start; }
  void clear(OutOfOrder&, PacketPool&);
  // Gives back the range farthest from delivery; returns its bytes (0: nothing there). For memory pressure.
  std::uint32_t drop_last(OutOfOrder&, PacketPool&);
  [[nodiscard]] std::uint32_t used() const { return pool_.used(); }
  void check_invariants(const OutOfOrder&, PacketPool&) const;

 private:
  [[nodiscard]] SeqTreap<OooRange> tree(OutOfOrder& o) { return {nodes_, o.tree, salt_}; }
  // Stores bytes for a gap; `payload` fits exactly between its neighbours.
  bool store(OutOfOrder&, SeqNum seq, Packet&& payload, std::uint32_t cap, std::uint32_t budget);
  void touch(OutOfOrder&, Index);
  void give(OutOfOrder&, Index);

  std::span<OooRange> nodes_;
  IndexPool pool_;
  std::uint32_t salt_;
};

}  // namespace leat::tcp
