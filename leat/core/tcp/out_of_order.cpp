#include <leat/core/tcp/out_of_order.hpp>

namespace leat::tcp {

OooInsert OooPool::insert(OutOfOrder& o, SeqNum seq, Packet&& payload, std::uint32_t cap, std::uint32_t budget,
                          wire::SackBlock* overlap) {
  const SeqNum end = seq + payload.size();
  bool stored = false;
  bool refused = false;
  if (overlap != nullptr) *overlap = {};
  while (payload && payload.size() > 0) {
    SeqTreap<OooRange> t = tree(o);
    const Index before = t.find_le(seq);
    if (before != kNoIndex && seq < nodes_[before].end()) {  // the front is here already
      const SeqNum known = min(nodes_[before].end(), end);
      if (overlap != nullptr && overlap->left == overlap->right) *overlap = {seq, known};
      payload.trim_front(known - seq);
      seq = known;
      touch(o, before);
      continue;
    }
    const Index after = before == kNoIndex ? t.first() : t.next(before);
    if (after == kNoIndex || end <= nodes_[after].start) {
      const bool ok = store(o, seq, std::move(payload), cap, budget);
      stored = stored || ok;
      refused = refused || !ok;
      break;
    }
    // It reaches into the next range: the gap's part first, then what lies behind.
    const std::uint32_t gap = nodes_[after].start - seq;
    Packet part = payload.clone();
    if (!part) {
      refused = true;
      break;
    }
    part.truncate(gap);
    payload.trim_front(gap);
    if (store(o, seq, std::move(part), cap, budget)) {
      stored = true;
    } else {
      refused = true;
    }
    seq += gap;
  }
  payload.reset();  // NOLINT(bugprone-use-after-move): empty when store() has taken it
  if (refused) return OooInsert::refused;
  return stored ? OooInsert::stored : OooInsert::duplicate;
}

bool OooPool::store(OutOfOrder& o, SeqNum seq, Packet&& payload, std::uint32_t cap, std::uint32_t budget) {
  PacketPool& packets = payload.pool();
  const SeqNum end = seq + payload.size();
  if (o.true_size + payload.true_size() > budget) {
    payload.reset();
    return false;
  }
  // A small payload in a large chunk moves to one of its own size: a peer must not pin memory with single bytes (D16).
  if (payload.size() * 4 < payload.true_size()) {
    if (Packet small = payload.copy_to(packets, 0)) payload = std::move(small);
  }
  SeqTreap<OooRange> t = tree(o);
  const Index before = t.find_le(seq);
  const Index after = before == kNoIndex ? t.first() : t.next(before);
  const bool joins_after = after != kNoIndex && nodes_[after].start == end;
  if (before != kNoIndex && nodes_[before].end() == seq) {
    OooRange& b = nodes_[before];
    o.true_size -= b.bytes.true_size();
    b.bytes.push(std::move(payload));
    if (joins_after) {
      OooRange& a = nodes_[after];
      o.true_size -= a.bytes.true_size();
      b.bytes.splice(packets, a.bytes);
      give(o, after);
    }
    o.true_size += b.bytes.true_size();
    touch(o, before);
    return true;
  }
  if (joins_after) {
    // Same node, new start: nothing lies between, so the order holds.
    OooRange& a = nodes_[after];
    o.true_size -= a.bytes.true_size();
    ChunkQueue joined;
    joined.push(std::move(payload));
    joined.splice(packets, a.bytes);
    a.bytes = joined;
    a.start = seq;
    o.true_size += a.bytes.true_size();
    touch(o, after);
    return true;
  }
  const Index n = o.count >= cap ? kNoIndex : pool_.take([this](Index k) -> Index& { return nodes_[k].treap.next; });
  if (n == kNoIndex) {
    payload.reset();
    return false;
  }
  nodes_[n] = OooRange{};
  nodes_[n].start = seq;
  nodes_[n].bytes.push(std::move(payload));
  o.true_size += nodes_[n].bytes.true_size();
  t.insert(n);
  ++o.count;
  o.recent.push_front(n, [this](Index k) -> IndexLink& { return nodes_[k].recent; });
  return true;
}

void OooPool::touch(OutOfOrder& o, Index i) {
  const auto link = [this](Index k) -> IndexLink& { return nodes_[k].recent; };
  if (o.recent.front() == i) return;
  o.recent.remove(i, link);
  o.recent.push_front(i, link);
}

void OooPool::give(OutOfOrder& o, Index i) {
  tree(o).erase(i);
  o.recent.remove(i, [this](Index k) -> IndexLink& { return nodes_[k].recent; });
  --o.count;
  pool_.give(i, [this](Index k) -> Index& { return nodes_[k].treap.next; });
}

std::uint32_t OooPool::deliver(OutOfOrder& o, PacketPool& packets, SeqNum next, ChunkQueue& into) {
  std::uint32_t moved = 0;
  while (o.tree.first != kNoIndex) {
    const Index i = o.tree.first;
    OooRange& r = nodes_[i];
    if (next < r.start) break;
    o.true_size -= r.bytes.true_size();
    const std::uint32_t known = next - r.start;
    r.bytes.consume(packets, std::min(known, r.bytes.size()));
    const std::uint32_t n = r.bytes.size();
    into.splice(packets, r.bytes);
    give(o, i);
    next += n;
    moved += n;
  }
  return moved;
}

std::size_t OooPool::sack_blocks(const OutOfOrder& o, std::span<wire::SackBlock> blocks) const {
  std::size_t n = 0;
  for (Index i = o.recent.front(); i != kNoIndex && n < blocks.size(); i = nodes_[i].recent.next)
    blocks[n++] = {nodes_[i].start, nodes_[i].end()};
  return n;
}

bool OooPool::covers(const OutOfOrder& o, SeqNum seq) const {
  SeqTree t = o.tree;
  const Index i = SeqTreap<OooRange>{nodes_, t, salt_}.find_le(seq);
  return i != kNoIndex && seq < nodes_[i].end();
}

std::uint32_t OooPool::drop_last(OutOfOrder& o, PacketPool& packets) {
  const Index i = o.tree.last;
  if (i == kNoIndex) return 0;
  const std::uint32_t n = nodes_[i].bytes.size();
  o.true_size -= nodes_[i].bytes.true_size();
  nodes_[i].bytes.clear(packets);
  give(o, i);
  return n;
}

void OooPool::clear(OutOfOrder& o, PacketPool& packets) {
  while (drop_last(o, packets) > 0) {
  }
}

void OooPool::check_invariants(const OutOfOrder& o, PacketPool& packets) const {
  SeqTree copy = o.tree;
  LEAT_ASSERT((SeqTreap<OooRange>{nodes_, copy, salt_}.check() == o.count));
  std::uint32_t size = 0;
  for (Index i = o.tree.first; i != kNoIndex; i = nodes_[i].treap.next) {
    const OooRange& r = nodes_[i];
    r.bytes.check_invariants(packets);
    LEAT_ASSERT(r.bytes.size() > 0);
    if (r.treap.next != kNoIndex) LEAT_ASSERT(r.end() < nodes_[r.treap.next].start);  // touching ranges were joined
    size += r.bytes.true_size();
  }
  LEAT_ASSERT(size == o.true_size);
  std::uint32_t listed = 0;
  for (Index i = o.recent.front(); i != kNoIndex; i = nodes_[i].recent.next) ++listed;
  LEAT_ASSERT(listed == o.count);
}

}  // namespace leat::tcp
