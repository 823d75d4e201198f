#include <leat/core/iface/neighbor_cache.hpp>

namespace leat::iface {
namespace {
bool timed(NeighborState s) {
  return s == NeighborState::incomplete || s == NeighborState::delay || s == NeighborState::probe;
}
constexpr Instant kUnarmed = Instant::never();
}  // namespace

Index NeighborCache::victim(bool resolving_only) const {
  constexpr unsigned kSteps = 32;  // bound on what gateways and busy entries at the front may cost
  unsigned steps = 0;
  for (Index i = resolving_.front(); i != kNoIndex && steps < kSteps; i = entries_[i].age.next, ++steps)
    if (!entries_[i].gateway) return i;
  if (resolving_only) return kNoIndex;
  steps = 0;
  for (Index i = resolved_.front(); i != kNoIndex && steps < kSteps; i = entries_[i].age.next, ++steps)
    if (!entries_[i].gateway && entries_[i].state == NeighborState::stale) return i;
  // No stale one among the oldest: the oldest reachable one that is no gateway is evicted all the same, so that a
  // table smaller than the link still works.
  steps = 0;
  for (Index i = resolved_.front(); i != kNoIndex && steps < kSteps; i = entries_[i].age.next, ++steps)
    if (!entries_[i].gateway) return i;
  return kNoIndex;
}

Index NeighborCache::create(InterfaceId interface, const IpAddress& a) {
  const Index i = pool_.take([this](Index k) -> Index& { return entries_[k].hash_next; });
  LEAT_ASSERT(i != kNoIndex);
  Neighbor& n = entries_[i];
  n = Neighbor{};
  n.address = a;
  n.interface = interface;
  n.state = NeighborState::incomplete;
  n.generation = ++generation_;
  n.due = kUnarmed;
  Index& head = buckets_[bucket(interface, a)];
  n.hash_next = head;
  head = i + 1;
  resolving_.push_back(i, [this](Index k) -> IndexLink& { return entries_[k].age; });
  return i;
}

void NeighborCache::remove(Index i) {
  Neighbor& n = entries_[i];
  LEAT_ASSERT(n.pending.empty());
  disarm(i);
  age_list(n.state).remove(i, [this](Index k) -> IndexLink& { return entries_[k].age; });
  Index* link = &buckets_[bucket(n.interface, n.address)];
  while (*link != i + 1) link = &entries_[*link - 1].hash_next;
  *link = n.hash_next;
  n.state = NeighborState::none;
  pool_.give(i, [this](Index k) -> Index& { return entries_[k].hash_next; });
}

void NeighborCache::disarm(Index i) {
  Neighbor& n = entries_[i];
  if (n.due == kUnarmed) return;
  timer_list(n.state).remove(i, [this](Index k) -> IndexLink& { return entries_[k].timer; });
  n.due = kUnarmed;
}

void NeighborCache::set_state(Index i, NeighborState state) {
  Neighbor& n = entries_[i];
  disarm(i);
  const auto age = [this](Index k) -> IndexLink& { return entries_[k].age; };
  age_list(n.state).remove(i, age);
  n.state = state;
  n.probes = 0;
  age_list(state).push_back(i, age);
}

void NeighborCache::arm(Index i, Instant due) {
  disarm(i);
  Neighbor& n = entries_[i];
  LEAT_ASSERT(timed(n.state));
  IndexList& list = timer_list(n.state);
  // The interval is an option that may have been shortened meanwhile: order comes first.
  if (!list.empty() && entries_[list.back()].due > due) due = entries_[list.back()].due;
  n.due = due;
  list.push_back(i, [this](Index k) -> IndexLink& { return entries_[k].timer; });
}

void NeighborCache::check_invariants() const {
  std::uint32_t alive_entries = 0;
  for (const IndexList* l : {&resolving_, &resolved_}) {
    for (Index i = l->front(); i != kNoIndex; i = entries_[i].age.next) {
      const Neighbor& n = entries_[i];
      ++alive_entries;
      LEAT_ASSERT((n.state == NeighborState::incomplete) == (l == &resolving_));
      LEAT_ASSERT(n.state == NeighborState::incomplete || n.pending.empty());
      LEAT_ASSERT(find(n.interface, n.address) == i);
      LEAT_ASSERT(timed(n.state) == (n.due != kUnarmed));
    }
  }
  LEAT_ASSERT(alive_entries == pool_.used());
  for (const IndexList* l : {&retransmit_, &delay_}) {
    Instant last;
    for (Index i = l->front(); i != kNoIndex; i = entries_[i].timer.next) {
      LEAT_ASSERT(entries_[i].due >= last);
      last = entries_[i].due;
    }
  }
}

}  // namespace leat::iface
