#pragma once
// AckQueue: when delayed ACKs are due, in order of time. All wait equally long, so a ring holds them sorted, without a
// visit to the neighbours of a list, and tells long before which connections will be needed:
//
//   if (!queue.push(i, due)) ...                    // full, or due before the last entry: the timer wheel's
//   while (!queue.empty() && passed(queue.front().due)) look_at(queue.pop().connection);
//
// An entry promises nothing: the ACK may have left, the connection may be over and its slot another's. Who takes it out
// looks. Memory: 8 bytes for each connection. Complexity: O(1). Threading: one owner.

#include <algorithm>
#include <cstdint>
#include <leat/base/index_list.hpp>
#include <leat/base/ring.hpp>
#include <span>

namespace leat::tcp {

class AckQueue {
 public:
  struct Entry {
    Index connection;
    std::uint32_t due;  // tick of the wheel, modulo 2^32
  };
  // Beyond 2^18 the wheel takes what is over: a million connections with an ACK each would fill it in 40 ms.
  static constexpr std::size_t entries_for(std::size_t connections) {
    return std::clamp<std::size_t>(connections, 1, std::size_t{1} << 18);
  }

  explicit AckQueue(std::span<Entry> entries) : ring_(entries) {}

  // False: no room, or it would not be the last to be due.
  [[nodiscard]] bool push(Index connection, std::uint32_t due) {
    return none_after(due) && ring_.push({connection, due});
  }
  // No entry is due later than `due`.
  [[nodiscard]] bool none_after(std::uint32_t due) const {
    return ring_.empty() || static_cast<std::int32_t>(due - ring_[ring_.size() - 1].due) >= 0;
  }
  [[nodiscard]] bool empty() const { return ring_.empty(); }
  [[nodiscard]] std::size_t size() const { return ring_.size(); }
  [[nodiscard]] const Entry& front() const { return ring_.front(); }
  // The connection `ahead` entries behind the front; kNoIndex: there is none.
  [[nodiscard]] Index upcoming(std::size_t ahead) const {
    return ahead < ring_.size() ? ring_[ahead].connection : kNoIndex;
  }
  Entry pop() { return ring_.pop(); }
  void check_invariants() const {
    for (std::size_t i = 1; i < ring_.size(); ++i)
      LEAT_ASSERT(static_cast<std::int32_t>(ring_[i].due - ring_[i - 1].due) >= 0);
  }

 private:
  SpanRing<Entry> ring_;
};

}  // namespace leat::tcp
