#include <algorithm>
#include <bit>
#include <leat/core/timer_wheel.hpp>

namespace leat {
namespace {

constexpr std::int64_t kMaxTicks = TimerWheel::kMaxDelay / TimerWheel::kTick;

constexpr std::int64_t tick_before(Instant t) {
  return t.count_ns() >> TimerWheel::kTickShift;
}
constexpr std::int64_t tick_after(Instant t) {
  const std::int64_t whole = tick_before(t);
  return (t.count_ns() & ((1 << TimerWheel::kTickShift) - 1)) == 0 ? whole : whole + 1;
}
constexpr Instant instant_of(std::int64_t tick) {
  return Instant::from_ns(tick * TimerWheel::kTick.count_ns());
}

}  // namespace

TimerWheel::TimerWheel(TimerNodes nodes, Instant now) : nodes_(nodes), current_(tick_before(now)) {}

void TimerWheel::arm(Index i, Instant deadline) {
  if (deadline.is_never()) return cancel(i);
  arm_tick(i, tick_after(deadline));
}

void TimerWheel::arm_tick(Index i, std::int64_t tick) {
  TimerNode& node = nodes_[i];
  if (node.prev != 0) {
    unlink(node);
    --armed_;
  }
  // Nothing was armed for long: nobody had to tell us how late it is.
  if (armed_ == 0) current_ = std::max(current_, tick - kMaxTicks);
  tick = std::clamp(tick, current_ - kMaxTicks, current_ + kMaxTicks);
  node.due = static_cast<std::uint32_t>(tick);
  if (tick <= current_) {
    append(i, kOverdue);
    overdue_from_ = std::min(overdue_from_, tick);
  } else {
    place(i, current_);
  }
  ++armed_;
}

void TimerWheel::cancel(Index i) {
  TimerNode& node = nodes_[i];
  if (node.prev == 0) return;
  unlink(node);
  --armed_;
}

Instant TimerWheel::due(Index i) const {
  return instant_of(due_tick(nodes_[i]));
}

unsigned TimerWheel::advance_to(std::int64_t target, unsigned budget, Delegate<void(Index)> fire) {
  if (target < current_) {
    // Time went back. The slots stay as they are: a node is found early there, never late, and moves to its new place.
    current_ = target;
    entering_ = false;
    earliest_ = deadline_ = INT64_MIN;
  }
  if (armed_ == 0) {
    current_ = target;
    entering_ = false;
    return 0;
  }
  deadline_ = INT64_MIN;
  unsigned fired = 0;
  move_overdue();  // what was armed for the past until now, not what callbacks arm so from here on
  const unsigned present = slot_of(static_cast<std::uint32_t>(current_), 0);
  if (!entering_ && !drain(present, budget, fire, fired)) return fired;
  if (!drain(kLate, budget, fire, fired)) return fired;
  if (lists_[kOverdue].head == 0) overdue_from_ = INT64_MAX;
  for (;;) {
    if (!entering_) {
      const Event event = next_event();
      if (event.tick > target) {
        earliest_ = event.tick;
        break;
      }
      current_ = event.tick - 1;
      entering_ = true;
    }
    if (!enter_next(budget)) return fired;
    if (!drain(slot_of(static_cast<std::uint32_t>(current_), 0), budget, fire, fired)) return fired;
  }
  current_ = target;
  return fired;
}

// Fires what a list holds for the current tick or before; what is later moves to its slot (after the clock went back).
// False: the budget ended first.
bool TimerWheel::drain(unsigned list, unsigned& budget, Delegate<void(Index)> fire, unsigned& fired) {
  while (lists_[list].head != 0) {
    if (budget == 0) return false;
    --budget;
    const Index i = pop_front(list);
    if (due_tick(nodes_[i]) > current_) {
      place(i, current_);
      continue;
    }
    --armed_;
    ++fired;
    upcoming_ = lists_[list].head;
    fire(i);
  }
  return true;
}

// Makes the tick after the current one current: the nodes of all slots that begin with it move down first. It stays the
// next one over as many calls as that takes, so that what is armed meanwhile queues up behind the nodes still to move.
bool TimerWheel::enter_next(unsigned& budget) {
  const std::int64_t tick = current_ + 1;
  for (unsigned level = kLevels - 1; level > 0; --level) {
    if ((tick & ((std::int64_t{1} << shift(level)) - 1)) != 0) continue;
    const unsigned list = level * 32 + slot_of(static_cast<std::uint32_t>(tick), level);
    while (lists_[list].head != 0) {
      if (budget == 0) return false;
      --budget;
      place(pop_front(list), tick);
    }
  }
  if (budget == 0) return false;
  current_ = tick;
  entering_ = false;
  return true;
}

Instant TimerWheel::read_deadline() const {
  if (lists_[kOverdue].head != 0 || lists_[kLate].head != 0) return instant_of(overdue_from_);
  if (entering_) return instant_of(current_ + 1);
  if (lists_[slot_of(static_cast<std::uint32_t>(current_), 0)].head != 0) return instant_of(current_);
  const Event first = next_event();
  if (first.list == kLists) return Instant::never();
  // The slot says when its earliest node may be due at the soonest. A short list is worth reading: it spares the turns
  // that would only move nodes down.
  std::int64_t limit = first.tick + (std::int64_t{1} << shift(first.level));
  for (unsigned level = 0; level < kLevels; ++level) {
    if (level != first.level) limit = std::min(limit, event_of(level).tick);
  }
  std::uint32_t link = lists_[first.list].head;
  for (unsigned reads = 0; (link & kListTag) == 0; ++reads) {
    if (reads == 4) {
      deadline_ = first.tick;
      return instant_of(first.tick);
    }
    const TimerNode& node = nodes_[link - 1];
    limit = std::min(limit, due_tick(node));
    link = node.next;
  }
  deadline_ = limit;
  return instant_of(limit);
}

TimerWheel::Event TimerWheel::event_of(unsigned level) const {
  std::uint32_t bits = occupied_[level];
  if (bits == 0) return {};
  if (level + 1 == kLevels) bits *= 0x11111111U;  // four slots, repeated: then all levels rotate alike
  const std::uint32_t slot = slot_of(static_cast<std::uint32_t>(current_), level);
  const int ahead = std::countr_zero(std::rotr(bits, static_cast<int>(slot) + 1)) + 1;
  const std::int64_t first = (current_ >> shift(level)) + ahead;
  return {first << shift(level),
          level * 32 + ((slot + static_cast<unsigned>(ahead)) & (level + 1 < kLevels ? 31U : 3U)), level};
}

TimerWheel::Event TimerWheel::next_event() const {
  Event best;
  for (unsigned level = 0; level < kLevels; ++level) {
    const Event event = event_of(level);
    if (event.tick < best.tick) best = event;
  }
  return best;
}

// Into the slot that node i has when `current` is the current tick; its due tick is not before that.
void TimerWheel::place(Index i, std::int64_t current) {
  const std::uint32_t due = nodes_[i].due;
  const std::uint32_t differ = due ^ static_cast<std::uint32_t>(current);
  const unsigned level = differ == 0 ? 0 : static_cast<unsigned>(31 - std::countl_zero(differ)) / kBits;
  const std::int64_t tick = current + static_cast<std::int32_t>(due - static_cast<std::uint32_t>(current));
  earliest_ = std::min(earliest_, tick >> shift(level) << shift(level));
  deadline_ = std::min(deadline_, tick);
  append(i, level * 32 + slot_of(due, level));
}

void TimerWheel::append(Index i, unsigned list) {
  TimerNode& node = nodes_[i];
  List& l = lists_[list];
  node.next = kListTag | list;
  if (l.tail == 0) {
    node.prev = kListTag | list;
    l.head = i + 1;
    if (list < kOverdue) occupied_[list / 32] |= 1U << (list % 32);
  } else {
    node.prev = l.tail;
    nodes_[l.tail - 1].next = i + 1;
  }
  l.tail = i + 1;
}

Index TimerWheel::pop_front(unsigned list) {
  const Index i = lists_[list].head - 1;
  unlink(nodes_[i]);
  return i;
}

void TimerWheel::unlink(TimerNode& node) {
  const bool first = (node.prev & kListTag) != 0;
  const bool last = (node.next & kListTag) != 0;
  const unsigned list = (first ? node.prev : node.next) & ~kListTag;  // meaningful when first or last
  if (first) {
    lists_[list].head = last ? 0 : node.next;
  } else {
    nodes_[node.prev - 1].next = node.next;
  }
  if (last) {
    lists_[list].tail = first ? 0 : node.prev;
  } else {
    nodes_[node.next - 1].prev = node.prev;
  }
  if (first && last && list < kOverdue) occupied_[list / 32] &= ~(1U << (list % 32));
  node.next = node.prev = 0;
}

// The overdue list becomes the tail of the late one.
void TimerWheel::move_overdue() {
  List& from = lists_[kOverdue];
  List& to = lists_[kLate];
  if (from.head == 0) return;
  nodes_[from.tail - 1].next = kListTag | kLate;
  if (to.tail == 0) {
    nodes_[from.head - 1].prev = kListTag | kLate;
    to.head = from.head;
  } else {
    nodes_[from.head - 1].prev = to.tail;
    nodes_[to.tail - 1].next = from.head;
  }
  to.tail = from.tail;
  from = {};
}

void TimerWheel::check_invariants() const {
  std::uint32_t count = 0;
  for (unsigned list = 0; list < kLists; ++list) {
    const List& l = lists_[list];
    LEAT_ASSERT((l.head == 0) == (l.tail == 0));
    if (list < kOverdue) LEAT_ASSERT(((occupied_[list / 32] >> (list % 32)) & 1U) == (l.head != 0 ? 1U : 0U));
    if (l.head == 0) continue;
    std::uint32_t behind = kListTag | list;
    for (std::uint32_t link = l.head;;) {
      const TimerNode& node = nodes_[link - 1];
      LEAT_ASSERT(node.prev == behind);
      LEAT_ASSERT(++count <= armed_);
      if (list >= kOverdue) LEAT_ASSERT(due_tick(node) >= overdue_from_);
      behind = link;
      if ((node.next & kListTag) != 0) {
        LEAT_ASSERT(node.next == (kListTag | list) && l.tail == link);
        break;
      }
      link = node.next;
    }
  }
  LEAT_ASSERT(count == armed_);
}

}  // namespace leat
