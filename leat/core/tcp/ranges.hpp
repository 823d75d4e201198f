#pragma once
// Ranges: what a connection has in flight, as byte ranges. The retransmission unit is a range {start, end, last
// transmit time, flags}, one per transmitted super-segment, split by SACK and partial acknowledgements, merged when
// neighbours agree. Packets are not kept: a range is sent again from the send queue.
//
//   SND.UNA                                                         SND.NXT
//   | sent ........ | SACKed | lost | lost, sent again | SACKed | sent |
//
// Ranges cover SND.UNA..SND.NXT without gaps, whatever happens: when no node is to be had, the last range grows, and a
// SACK or loss that needs a split is ignored, never recorded wrongly. `cap` bounds a connection's nodes.
//
// in flight ("pipe", RFC 6675 4) = all - SACKed - lost + lost and sent again, kept incrementally in 32 bits: a send
// queue is below 2^30 bytes. Complexity: O(log n) a split or look-up, O(1) amortised per byte range sent, acknowledged,
// lost or sent again. Threading: one owner.

#include <cstdint>
#include <leat/core/tcp/seq_treap.hpp>
#include <optional>
#include <span>

namespace leat::tcp {

struct Range {
  SeqNum start;
  SeqNum end;
  std::uint32_t sent_tick = 0;  // when last transmitted
  std::uint32_t delivered = 0;  // delivery snapshot at that time (for rate samples)
  TreapLink treap;
  std::uint16_t transmissions = 1;
  bool sacked = false;
  bool lost = false;
  bool resent = false;  // lost, and sent again since
};

struct RangeList {
  SeqTree tree;
  std::uint32_t count = 0;
  std::uint32_t sacked = 0;  // bytes
  std::uint32_t lost = 0;    // bytes, sent again or not
  std::uint32_t resent = 0;  // bytes that are lost and sent again
  SeqNum resend_hint;        // below it nothing is lost and unsent
  SeqNum lost_edge;          // below it every unSACKed range was judged (RFC 6675 IsLost)
  SeqNum highest_sacked;     // right edge of the highest SACKed range; start of the list when none
};

// What an acknowledgement covered.
struct AckedRanges {
  std::uint32_t bytes = 0;       // newly acknowledged
  std::uint32_t not_sacked = 0;  // of them, without those that had been SACKed before
  bool any_resent = false;       // some of it was transmitted more than once (Karn)
  bool reordered = false;        // some of it was sent once, and SACKs had passed over it
  // Of the ranges that had not been SACKed, if any: when the oldest and the newest of them left.
  std::uint32_t first_sent_tick = 0;
  std::uint32_t last_sent_tick = 0;
};

class RangePool {
 public:
  // `salt`: a number that no peer knows (seq_treap.hpp).
  explicit RangePool(std::span<Range> nodes, std::uint32_t salt = 0)
      : nodes_(nodes), pool_(static_cast<std::uint32_t>(nodes.size())), salt_(salt) {}

  // False: an empty list could not be begun; the connection must wait with new data.
  [[nodiscard]] bool room(const RangeList& list) const { return list.count > 0 || pool_.available() > 0; }
  // New data start..end went out at `tick`; start is where the list ends. room() must be true.
  void sent(RangeList&, SeqNum start, SeqNum end, std::uint32_t tick, std::uint32_t delivered, std::uint32_t cap);
  // Everything below `una` is acknowledged.
  AckedRanges acked(RangeList&, SeqNum una);
  // Whether all of the list left in one piece, once, and nothing was said about it yet.
  [[nodiscard]] bool plain(const RangeList& list) const {
    return list.count == 1 && (list.sacked | list.lost) == 0 && nodes_[list.tree.first].transmissions == 1;
  }
  // acked() for all of a plain list, which ends at `end`. Returns when it was sent.
  std::uint32_t acked_plain(RangeList& list, SeqNum end) {
    const Index i = list.tree.first;
    const std::uint32_t sent = nodes_[i].sent_tick;
    list.tree = {};
    list.count = 0;
    list.resend_hint = list.lost_edge = list.highest_sacked = end;
    pool_.give(i, [this](Index k) -> Index& { return nodes_[k].treap.next; });
    return sent;
  }
  // Time-out: whatever is not SACKed is lost and has not been sent again (RFC 6675 5.1). With `forget_sacks` SACKed
  // ranges count as unSACKed too (the receiver reneged, RFC 2018 8).
  void mark_all_lost(RangeList&, bool forget_sacks);
  // NewReno: the first `bytes` from the start are lost (once).
  void mark_first_lost(RangeList&, std::uint32_t bytes, std::uint32_t cap);
  // Everything unSACKed below `edge` is lost; judged once.
  void mark_lost_below(RangeList&, SeqNum edge, std::uint32_t cap);
  // RFC 6675 4, NextSeg (3): the first hole below SACKed data that was not judged lost counts as lost, at most `bytes`
  // of it, if it begins before `edge`.
  void mark_hole_lost(RangeList&, SeqNum edge, std::uint32_t bytes, std::uint32_t cap);
  // Lost marks go (a recovery was undone, or ended); SACKs stay.
  void clear_lost(RangeList&);

  struct Span {
    SeqNum start;
    SeqNum end;
  };
  // The first range that is lost and not sent again yet.
  [[nodiscard]] std::optional<Span> next_lost(RangeList&);
  // start..end, all within ranges that next_lost named, went out again.
  void resent(RangeList&, SeqNum start, SeqNum end, std::uint32_t tick, std::uint32_t delivered, std::uint32_t cap);

  // Marks start..end as SACKed; returns the bytes that were not before. Parts outside the list are ignored. `late`
  // (when given) is set if some of them lie below `passed` and were sent once: they arrived behind what was sent later.
  std::uint32_t mark_sacked(RangeList&, SeqNum start, SeqNum end, std::uint32_t cap, SeqNum passed = {},
                            bool* late = nullptr);

  [[nodiscard]] static std::uint32_t in_flight(const RangeList& list, std::uint32_t all) {
    return all - list.sacked - list.lost + list.resent;
  }
  [[nodiscard]] const Range* first(const RangeList& list) const {
    return list.tree.first == kNoIndex ? nullptr : &nodes_[list.tree.first];
  }
  [[nodiscard]] const Range& operator[](Index i) const { return nodes_[i]; }
  void clear(RangeList&);
  [[nodiscard]] std::uint32_t used() const { return pool_.used(); }
  void check_invariants(const RangeList&) const;

 private:
  friend class Scoreboard;
  [[nodiscard]] SeqTreap<Range> tree(RangeList& list) { return {nodes_, list.tree, salt_}; }
  Index take();
  void give(RangeList&, Index);
  // Makes `at` a boundary. True when it is one now (or lies outside the list).
  bool split(RangeList&, SeqNum at, std::uint32_t cap);
  void merge_with_next(RangeList&, Index);
  void account(RangeList&, const Range&, bool add);

  std::span<Range> nodes_;
  IndexPool pool_;
  std::uint32_t salt_;
};

}  // namespace leat::tcp
