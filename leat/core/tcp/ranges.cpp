#include <algorithm>
#include <leat/core/tcp/ranges.hpp>

namespace leat::tcp {

Index RangePool::take() {
  const Index i = pool_.take([this](Index k) -> Index& { return nodes_[k].treap.next; });
  if (i != kNoIndex) nodes_[i] = Range{};
  return i;
}

void RangePool::give(RangeList& list, Index i) {
  if (list.count == 1) {
    list.tree = {};
  } else {
    tree(list).erase(i);
  }
  --list.count;
  pool_.give(i, [this](Index k) -> Index& { return nodes_[k].treap.next; });
}

void RangePool::account(RangeList& list, const Range& r, bool add) {
  const std::uint32_t n = r.end - r.start;
  const auto change = [&](std::uint32_t& total, bool mine) {
    if (mine) total = add ? total + n : total - n;
  };
  change(list.sacked, r.sacked);
  change(list.lost, r.lost);
  change(list.resent, r.resent);
}

void RangePool::sent(RangeList& list, SeqNum start, SeqNum end, std::uint32_t tick, std::uint32_t delivered,
                     std::uint32_t cap) {
  const Index last = list.tree.last;
  if (last != kNoIndex) {
    Range& l = nodes_[last];
    LEAT_ASSERT(l.end == start);
    const bool agree = !l.sacked && !l.lost && l.transmissions == 1 && l.sent_tick == tick && l.delivered == delivered;
    const Index i = agree || list.count >= cap ? kNoIndex : take();
    if (i == kNoIndex) {
      // Either the neighbours agree, or there is no node left: then the last range stands for the new bytes too. Its
      // marks must hold for all of it, so the new bytes share them; a later acknowledgement sorts it out.
      account(list, l, false);
      l.end = end;
      l.sent_tick = tick;
      if (!agree) l.sacked = false;
      account(list, l, true);
      return;
    }
    nodes_[i].start = start;
    nodes_[i].end = end;
    nodes_[i].sent_tick = tick;
    nodes_[i].delivered = delivered;
    tree(list).insert(i);
    ++list.count;
    return;
  }
  list.resend_hint = list.lost_edge = list.highest_sacked = start;
  const Index i = take();
  LEAT_ASSERT(i != kNoIndex);
  nodes_[i].start = start;
  nodes_[i].end = end;
  nodes_[i].sent_tick = tick;
  nodes_[i].delivered = delivered;
  list.tree = {i, i, i};  // alone
  list.count = 1;
}

AckedRanges RangePool::acked(RangeList& list, SeqNum una) {
  AckedRanges out;
  while (list.tree.first != kNoIndex) {
    const Index i = list.tree.first;
    Range& r = nodes_[i];
    if (r.start >= una) break;
    const SeqNum upto = min(r.end, una);
    const std::uint32_t n = upto - r.start;
    out.bytes += n;
    if (!r.sacked) {
      if (out.not_sacked == 0) out.first_sent_tick = r.sent_tick;
      out.last_sent_tick = r.sent_tick;
      out.not_sacked += n;
    }
    out.any_resent = out.any_resent || r.transmissions > 1;
    out.reordered = out.reordered || (!r.sacked && r.transmissions == 1 && r.start < list.highest_sacked);
    account(list, r, false);
    if (upto == r.end) {
      give(list, i);
      continue;
    }
    r.start = upto;  // order is kept: nothing lies between the old start and the new one
    account(list, r, true);
  }
  if (list.resend_hint < una) list.resend_hint = una;
  if (list.lost_edge < una) list.lost_edge = una;
  if (list.highest_sacked < una) list.highest_sacked = una;
  return out;
}

bool RangePool::split(RangeList& list, SeqNum at, std::uint32_t cap) {
  const Index i = tree(list).find_le(at);
  if (i == kNoIndex) return true;
  if (nodes_[i].start == at || at >= nodes_[i].end) return true;
  if (list.count >= cap) return false;
  const Index n = take();
  if (n == kNoIndex) return false;
  const TreapLink link = nodes_[n].treap;
  nodes_[n] = nodes_[i];
  nodes_[n].treap = link;
  nodes_[n].start = at;
  nodes_[i].end = at;
  tree(list).insert(n);
  ++list.count;
  return true;
}

void RangePool::merge_with_next(RangeList& list, Index i) {
  const Index n = nodes_[i].treap.next;
  if (n == kNoIndex) return;
  Range& a = nodes_[i];
  const Range& b = nodes_[n];
  if (a.sacked != b.sacked || a.lost != b.lost || a.resent != b.resent) return;
  // SACKed ranges need no times of their own any more; others must agree in all that is looked at. That one was sent
  // again must not get lost: Karn's rule asks for it when the acknowledgement arrives.
  if (!a.sacked && (a.sent_tick != b.sent_tick || a.transmissions != b.transmissions || a.delivered != b.delivered))
    return;
  const SeqNum end = b.end;
  a.transmissions = std::max(a.transmissions, b.transmissions);
  if (static_cast<std::int32_t>(b.sent_tick - a.sent_tick) > 0) a.sent_tick = b.sent_tick;
  give(list, n);
  a.end = end;
}

std::uint32_t RangePool::mark_sacked(RangeList& list, SeqNum start, SeqNum end, std::uint32_t cap, SeqNum passed,
                                     bool* late) {
  if (list.tree.first == kNoIndex) return 0;
  start = max(start, nodes_[list.tree.first].start);
  end = min(end, nodes_[list.tree.last].end);
  if (!(start < end)) return 0;
  if (!split(list, start, cap) || !split(list, end, cap)) return 0;
  std::uint32_t fresh = 0;
  Index i = tree(list).find_le(start);
  const Index before = nodes_[i].treap.prev;
  for (; i != kNoIndex && nodes_[i].start < end; i = nodes_[i].treap.next) {
    Range& r = nodes_[i];
    if (r.sacked) continue;
    if (late != nullptr && r.transmissions == 1 && r.start < passed) *late = true;
    account(list, r, false);
    r.sacked = true;
    r.lost = r.resent = false;
    account(list, r, true);
    fresh += r.end - r.start;
  }
  if (list.highest_sacked < end) list.highest_sacked = end;
  // One SACKed range for what hangs together: the node count follows the holes, not the blocks.
  Index at = before != kNoIndex ? before : list.tree.first;
  while (at != kNoIndex && nodes_[at].start < end) {
    const Index next = nodes_[at].treap.next;
    merge_with_next(list, at);
    if (nodes_[at].treap.next == next) at = next;  // nothing merged: go on
  }
  return fresh;
}

void RangePool::mark_all_lost(RangeList& list, bool forget_sacks) {
  if (list.tree.first == kNoIndex) return;
  for (Index i = list.tree.first; i != kNoIndex; i = nodes_[i].treap.next) {
    Range& r = nodes_[i];
    account(list, r, false);
    if (forget_sacks) r.sacked = false;
    r.lost = !r.sacked;
    r.resent = false;
    account(list, r, true);
  }
  list.resend_hint = nodes_[list.tree.first].start;
  list.lost_edge = nodes_[list.tree.last].end;
  if (forget_sacks) list.highest_sacked = nodes_[list.tree.first].start;
}

void RangePool::mark_lost_below(RangeList& list, SeqNum edge, std::uint32_t cap) {
  if (list.tree.first == kNoIndex || !(list.lost_edge < edge)) return;
  (void)split(list, edge, cap);  // without a node the range is judged when a later edge passes it
  Index i = tree(list).find_le(list.lost_edge);
  if (i == kNoIndex) i = list.tree.first;
  for (; i != kNoIndex && nodes_[i].end <= edge; i = nodes_[i].treap.next) {
    Range& r = nodes_[i];
    if (r.end <= list.lost_edge || r.sacked || r.lost) continue;
    account(list, r, false);
    r.lost = true;
    r.resent = false;
    account(list, r, true);
    if (r.start < list.resend_hint) list.resend_hint = r.start;
  }
  list.lost_edge = i == kNoIndex ? edge : min(edge, nodes_[i].start);
}

void RangePool::mark_first_lost(RangeList& list, std::uint32_t bytes, std::uint32_t cap) {
  if (list.tree.first == kNoIndex) return;
  const SeqNum start = nodes_[list.tree.first].start;
  (void)split(list, start + bytes, cap);
  Range& r = nodes_[list.tree.first];
  if (r.sacked || r.lost) return;
  account(list, r, false);
  r.lost = true;
  r.resent = false;
  account(list, r, true);
  list.resend_hint = start;
}

void RangePool::mark_hole_lost(RangeList& list, SeqNum edge, std::uint32_t bytes, std::uint32_t cap) {
  if (list.sacked == 0) return;
  Index i = tree(list).find_le(list.lost_edge);
  if (i == kNoIndex) i = list.tree.first;
  while (i != kNoIndex && (nodes_[i].sacked || nodes_[i].lost)) i = nodes_[i].treap.next;
  if (i == kNoIndex || nodes_[i].start >= min(edge, list.highest_sacked)) return;
  if (const SeqNum upto = nodes_[i].start + bytes; upto < nodes_[i].end) (void)split(list, upto, cap);
  Range& r = nodes_[i];
  account(list, r, false);
  r.lost = true;
  r.resent = false;
  account(list, r, true);
  if (r.start < list.resend_hint) list.resend_hint = r.start;
}

void RangePool::clear_lost(RangeList& list) {
  if (list.lost == 0) return;
  for (Index i = list.tree.first; i != kNoIndex; i = nodes_[i].treap.next) {
    Range& r = nodes_[i];
    account(list, r, false);
    r.lost = r.resent = false;
    account(list, r, true);
  }
  list.lost_edge = nodes_[list.tree.first].start;
  list.resend_hint = nodes_[list.tree.last].end;
}

std::optional<RangePool::Span> RangePool::next_lost(RangeList& list) {
  if (list.lost == list.resent) return std::nullopt;
  Index i = tree(list).find_le(list.resend_hint);
  if (i == kNoIndex) i = list.tree.first;
  for (; i != kNoIndex; i = nodes_[i].treap.next) {
    const Range& r = nodes_[i];
    if (r.lost && !r.resent) {
      list.resend_hint = r.start;
      return Span{r.start, r.end};
    }
  }
  return std::nullopt;
}

void RangePool::resent(RangeList& list, SeqNum start, SeqNum end, std::uint32_t tick, std::uint32_t delivered,
                       std::uint32_t cap) {
  if (list.tree.first == kNoIndex) return;
  (void)split(list, start, cap);
  const bool bounded = split(list, end, cap);
  Index i = tree(list).find_le(start);
  if (i == kNoIndex) i = list.tree.first;
  for (; i != kNoIndex && nodes_[i].start < end; i = nodes_[i].treap.next) {
    Range& r = nodes_[i];
    if (r.sacked) continue;
    const Index before = r.treap.prev;
    if (!bounded && end < r.end && before != kNoIndex && nodes_[before].resent) {
      // No node for the rest: what was sent again before takes these bytes over, and the boundary moves.
      Range& b = nodes_[before];
      account(list, b, false);
      account(list, r, false);
      b.end = r.start = end;
      b.sent_tick = tick;
      b.delivered = delivered;
      b.transmissions = std::max(b.transmissions, static_cast<std::uint16_t>(r.transmissions + 1));
      account(list, b, true);
      account(list, r, true);
      break;
    }
    // Without a node and such a neighbour the whole range counts as sent again, so that it is not sent for ever; if the
    // rest is really lost, the next time-out brings it.
    account(list, r, false);
    r.lost = r.resent = true;
    r.sent_tick = tick;
    r.delivered = delivered;
    if (r.transmissions < 0xffff) ++r.transmissions;
    account(list, r, true);
  }
  if (list.resend_hint < end) list.resend_hint = end;
}

void RangePool::clear(RangeList& list) {
  while (list.tree.first != kNoIndex) give(list, list.tree.first);
  list = RangeList{};
}

void RangePool::check_invariants(const RangeList& list) const {
  RangeList copy = list;
  const SeqTreap<Range> t{nodes_, copy.tree, salt_};
  LEAT_ASSERT(t.check() == list.count);
  std::uint32_t sacked = 0;
  std::uint32_t lost = 0;
  std::uint32_t again = 0;
  for (Index i = list.tree.first; i != kNoIndex; i = nodes_[i].treap.next) {
    const Range& r = nodes_[i];
    LEAT_ASSERT(r.start < r.end);
    if (r.treap.next != kNoIndex) LEAT_ASSERT(r.end == nodes_[r.treap.next].start);
    LEAT_ASSERT(!(r.sacked && r.lost) && (r.lost || !r.resent));
    const std::uint32_t n = r.end - r.start;
    sacked += r.sacked ? n : 0;
    lost += r.lost ? n : 0;
    again += r.resent ? n : 0;
  }
  LEAT_ASSERT(sacked == list.sacked && lost == list.lost && again == list.resent);
}

}  // namespace leat::tcp
