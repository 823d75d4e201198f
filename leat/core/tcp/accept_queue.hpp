#pragma once
// AcceptQueue: the established connections of a listener that nobody has accepted yet, in order. The backlog bounds it
// as on Linux: a queue is full when it holds more than `backlog` connections, so that a backlog of 0 still takes one.
// Threading: one owner. Complexity: O(1).

#include <algorithm>
#include <cstdint>
#include <leat/base/index_list.hpp>

namespace leat::tcp {

class AcceptQueue {
 public:
  static constexpr std::uint32_t kMaxBacklog = 65535;

  constexpr explicit AcceptQueue(std::uint32_t backlog = 0) { set_backlog(backlog); }
  // A smaller backlog drops nobody; it keeps newcomers out until the queue is short enough.
  constexpr void set_backlog(std::uint32_t backlog) { backlog_ = std::min(backlog, kMaxBacklog); }
  [[nodiscard]] constexpr std::uint32_t backlog() const { return backlog_; }
  [[nodiscard]] constexpr std::uint32_t size() const { return size_; }
  [[nodiscard]] constexpr bool empty() const { return size_ == 0; }
  [[nodiscard]] constexpr bool full() const { return size_ > backlog_; }
  [[nodiscard]] constexpr Index front() const { return fifo_.front(); }

  // next(i): reference to the link of connection i. False: full, nothing changed.
  template <class Next>
  [[nodiscard]] constexpr bool push(Index i, Next&& next) {
    if (full()) return false;
    fifo_.push_back(i, next);
    ++size_;
    return true;
  }
  // kNoIndex when empty.
  template <class Next>
  [[nodiscard]] constexpr Index pop(Next&& next) {
    if (size_ == 0) return kNoIndex;
    --size_;
    return fifo_.pop_front(next);
  }

 private:
  IndexFifo fifo_;
  std::uint32_t size_ = 0;
  std::uint32_t backlog_ = 0;
};

}  // namespace leat::tcp
