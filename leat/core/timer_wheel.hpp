#pragma once
// TimerWheel: deadlines of many objects, each named by its Index. A node of 12 bytes lives in the object; the wheel
// itself is 1.6 KB whatever the number of objects. A tick is 2^16 ns (65.5 us).
//
//   TimerWheel wheel(TimerNodes::of(connections, &Connection::timer), now);
//   wheel.arm(i, now + Duration::ms(200));
//   wheel.advance(now, 64, Delegate<void(Index)>::to<&Tcp::on_timer>(tcp));
//
// Layout: six levels of 32 slots and one of 4, a slot being a FIFO. A node stands in the slot that the highest bit in
// which its due tick differs from the current tick selects; when time enters a slot, its nodes move down. So all nodes
// of one tick are always in one slot, in arming order.
//
//   level  0      1      2       3      4       5       6
//   slot   65 us  2 ms   67 ms   2.1 s  69 s    37 min  19.5 h
//
// Guarantees
// - A node never fires before its instant and fires at the first `advance` at most one tick after it, budget allowing:
//   in order of due tick, within a tick in arming order. A deadline that has passed already counts as the current tick;
//   armed inside a callback it fires in the next `advance`, so that no call loops.
// - Deadlines are at most kMaxDelay (25 h, more than any option allows) ahead; a longer wait is its owner's to split.
//   Only if nothing called `advance` for that long while nodes were armed may one armed then fire early.
// - `next_deadline` is never later than the true next expiry; it is in the past while an exhausted budget left work.
// - Time may jump forward: the backlog comes in order, budget by budget. Time may go back, up to
//   14 h: nothing fires early, and what is armed then fires by the new clock.
// - An all-zero node is unarmed, so never-touched memory needs no construction.
//
// Complexity: arm, cancel O(1); a node moves at most six times in its life. Threading: one owner.
// Reading: Varghese and Lauck, "Hashed and hierarchical timing wheels" (1987).

#include <array>
#include <cstddef>
#include <cstdint>
#include <leat/base/assert.hpp>
#include <leat/base/delegate.hpp>
#include <leat/base/index_list.hpp>
#include <leat/base/time.hpp>
#include <span>

namespace leat {

struct TimerNode {
  std::uint32_t next = 0;  // index + 1, or the slot at the end of its list
  std::uint32_t prev = 0;  // 0: unarmed
  std::uint32_t due = 0;   // tick modulo 2^32
};
static_assert(sizeof(TimerNode) == 12);

// Where the nodes are: one at a fixed place in each element of an array.
class TimerNodes {
 public:
  constexpr TimerNodes() = default;
  template <class T>
  static TimerNodes of(std::span<T> objects, TimerNode T::*member) {
    TimerNodes nodes;
    if (objects.empty()) return nodes;
    nodes.first_ = static_cast<unsigned char*>(static_cast<void*>(&(objects[0].*member)));
    nodes.stride_ = sizeof(T);
    nodes.size_ = static_cast<std::uint32_t>(objects.size());
    return nodes;
  }
  static TimerNodes of(std::span<TimerNode> plain) {
    TimerNodes nodes;
    nodes.first_ = static_cast<unsigned char*>(static_cast<void*>(plain.data()));
    nodes.stride_ = sizeof(TimerNode);
    nodes.size_ = static_cast<std::uint32_t>(plain.size());
    return nodes;
  }
  [[nodiscard]] TimerNode& operator[](Index i) const {
    LEAT_ASSERT(i < size_);
    return *static_cast<TimerNode*>(static_cast<void*>(first_ + static_cast<std::size_t>(i) * stride_));
  }
  [[nodiscard]] std::uint32_t size() const { return size_; }

 private:
  unsigned char* first_ = nullptr;
  std::size_t stride_ = 0;
  std::uint32_t size_ = 0;
};

class TimerWheel {
 public:
  static constexpr unsigned kTickShift = 16;
  static constexpr Duration kTick = Duration::ns(1 << kTickShift);
  static constexpr Duration kMaxDelay = Duration::s(25 * 3600);

  TimerWheel(TimerNodes nodes, Instant now);

  // Arms or re-arms; `never` cancels.
  void arm(Index i, Instant deadline);
  // The same by tick, which counts from the epoch of Instant.
  void arm_tick(Index i, std::int64_t tick);
  void cancel(Index i);  // nothing happens to an unarmed node
  [[nodiscard]] bool armed(Index i) const { return nodes_[i].prev != 0; }
  // Whether node i fires at tick `due` (modulo 2^32) or before it.
  [[nodiscard]] bool fires_by(Index i, std::uint32_t due) const {
    const TimerNode& node = nodes_[i];
    return node.prev != 0 && static_cast<std::int32_t>(node.due - due) <= 0;
  }
  // When node i, which is armed, is due: its deadline rounded up to a tick.
  [[nodiscard]] Instant due(Index i) const;

  // Fires what is due at `now`. A node is unarmed when `fire` gets it; `fire` may arm and cancel any node. `budget`
  // bounds the nodes fired or moved. Returns how many fired.
  unsigned advance(Instant now, unsigned budget, Delegate<void(Index)> fire) {
    const std::int64_t target = now.count_ns() >> kTickShift;
    if (target < current_ || target >= earliest_ || !present_is_done()) return advance_to(target, budget, fire);
    current_ = target;
    return 0;
  }
  // Nothing armed: never. Else at most the true next expiry, and exactly it where few nodes share its slot.
  [[nodiscard]] Instant next_deadline() const {  // amortised O(1)
    if (deadline_ > current_ && present_is_done()) return Instant::from_ns(deadline_ << kTickShift);
    return read_deadline();
  }
  // While `fire` runs: the node that will probably be next, so that its memory can be on its way. kNoIndex: unknown.
  [[nodiscard]] Index upcoming() const { return upcoming_ == 0 ? kNoIndex : upcoming_ - 1; }
  [[nodiscard]] bool empty() const { return armed_ == 0; }
  [[nodiscard]] std::uint32_t armed_count() const { return armed_; }
  void check_invariants() const;  // O(armed)

 private:
  static constexpr unsigned kBits = 5;
  static constexpr unsigned kLevels = 7;
  static constexpr unsigned kTopSlots = 4;                              // 2^32 ticks
  static constexpr unsigned kOverdue = (kLevels - 1) * 32 + kTopSlots;  // armed for the past
  static constexpr unsigned kLate = kOverdue + 1;                       // overdue when this call of advance began
  static constexpr unsigned kLists = kLate + 1;
  static constexpr std::uint32_t kListTag = 0x80000000U;  // a link with it names a list, else index + 1

  struct List {
    std::uint32_t head = 0;  // index + 1; 0: empty
    std::uint32_t tail = 0;
  };
  // When a level has something to do next: at the start of its first occupied slot after the current one.
  struct Event {
    std::int64_t tick = INT64_MAX;
    unsigned list = kLists;  // kLists: none
    unsigned level = 0;
  };

  static unsigned shift(unsigned level) { return level * kBits; }
  static std::uint32_t slot_of(std::uint32_t tick, unsigned level) {
    return (tick >> shift(level)) & (level + 1 < kLevels ? 31U : kTopSlots - 1);
  }
  [[nodiscard]] std::int64_t due_tick(const TimerNode& node) const {
    return current_ + static_cast<std::int32_t>(node.due - static_cast<std::uint32_t>(current_));
  }
  // Nothing is due at the current tick or before it.
  [[nodiscard]] bool present_is_done() const {
    return !entering_ && lists_[kOverdue].head == 0 && lists_[kLate].head == 0 &&
           lists_[slot_of(static_cast<std::uint32_t>(current_), 0)].head == 0;
  }
  unsigned advance_to(std::int64_t target, unsigned budget, Delegate<void(Index)> fire);
  [[nodiscard]] Instant read_deadline() const;
  [[nodiscard]] Event event_of(unsigned level) const;
  [[nodiscard]] Event next_event() const;
  void place(Index i, std::int64_t current);
  void append(Index i, unsigned list);
  Index pop_front(unsigned list);
  void unlink(TimerNode& node);
  void move_overdue();
  bool drain(unsigned list, unsigned& budget, Delegate<void(Index)> fire, unsigned& fired);
  bool enter_next(unsigned& budget);

  TimerNodes nodes_;
  std::array<List, kLists> lists_{};
  std::array<std::uint32_t, kLevels> occupied_{};  // bit: slot not empty
  std::int64_t current_;                           // ticks up to here are done, but for what its own slot holds
  std::int64_t overdue_from_ = INT64_MAX;          // at most the least due tick in the lists overdue and late
  // What most calls of `advance` and `next_deadline` need, so that they read no slot: at most the tick of the next
  // event, and the last answer. Cancelling leaves both too early at worst; time that goes back makes them worthless.
  std::int64_t earliest_ = INT64_MIN;
  mutable std::int64_t deadline_ = INT64_MIN;
  std::uint32_t armed_ = 0;
  std::uint32_t upcoming_ = 0;  // index + 1; 0: unknown
  bool entering_ = false;       // nodes are moving down for the tick after the current one
};

}  // namespace leat
