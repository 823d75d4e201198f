#pragma once
// Resumption and its queue: which coroutines are to go on. Whoever completes an operation pushes the node that stands
// in its awaiter; the one thread that runs the executor takes them, oldest first. Nothing is allocated.
//
//   word = 0         empty, the consumer is awake
//   word = kAsleep   empty, the consumer sleeps: who pushes now must wake it, exactly once
//   word = node      newest pushed, older ones behind it by `next`
//
// Queue and sleep are one word, so that going to sleep and pushing can't miss each other. Threading: push from any
// thread; take and the sleeping calls from the consumer only. A pusher that was not told to wake touches neither queue
// nor node afterwards, so both may end as soon as the consumer has the node.

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <leat/base/assert.hpp>

namespace leat::coroutine {

struct Resumption {
  Resumption* next = nullptr;
  std::coroutine_handle<> handle;
};

class ResumptionQueue {
 public:
  ResumptionQueue() = default;
  ResumptionQueue(const ResumptionQueue&) = delete;
  ResumptionQueue& operator=(const ResumptionQueue&) = delete;
  ~ResumptionQueue() { LEAT_ASSERT(empty()); }

  // True: the consumer sleeps and waits for the caller to wake it.
  [[nodiscard]] bool push(Resumption& r) {
    Resumption* newest = newest_.load(std::memory_order_relaxed);  // a guess, checked by the exchange
    for (;;) {
      r.next = newest == &asleep_ ? nullptr : newest;
      // release: the consumer sees the node, and what the operation wrote before it.
      if (newest_.compare_exchange_weak(newest, &r, std::memory_order_release, std::memory_order_relaxed))
        return newest == &asleep_;
    }
  }

  // The oldest; nullptr: none.
  [[nodiscard]] Resumption* take() {
    if (taken_ == nullptr) {
      // acquire: pairs with push.
      Resumption* newest = newest_.exchange(nullptr, std::memory_order_acquire);
      LEAT_ASSERT(newest != &asleep_);
      while (newest != nullptr) {  // they come newest first
        Resumption* const older = newest->next;
        newest->next = taken_;
        taken_ = newest;
        newest = older;
      }
    }
    Resumption* const r = taken_;
    if (r != nullptr) taken_ = r->next;
    return r;
  }

  // False: something was pushed meanwhile.
  [[nodiscard]] bool fall_asleep() {
    LEAT_ASSERT(taken_ == nullptr);
    Resumption* expected = nullptr;
    // relaxed: nothing is published with it, and take() acquires.
    return newest_.compare_exchange_strong(expected, &asleep_, std::memory_order_relaxed);
  }
  // True: a pusher was told to wake the consumer, has done so or is about to.
  [[nodiscard]] bool wake_up() {
    Resumption* expected = &asleep_;
    return !newest_.compare_exchange_strong(expected, nullptr, std::memory_order_relaxed);
  }

  [[nodiscard]] bool empty() const {
    const Resumption* const newest = newest_.load(std::memory_order_relaxed);
    return taken_ == nullptr && (newest == nullptr || newest == &asleep_);
  }

 private:
  Resumption asleep_;  // only its address counts
  std::atomic<Resumption*> newest_{
      nullptr};                  // written by every thread that pushes and by the consumer; see each access
  Resumption* taken_ = nullptr;  // the consumer's, oldest first
};

}  // namespace leat::coroutine
