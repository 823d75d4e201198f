#include <algorithm>
#include <chrono>
#include <leat/api/channel/executor.hpp>

namespace leat::channel {

void RunQueue::expect(Resumption& r) {
  const std::lock_guard lock(mutex_);
  r.state = Resumption::State::pending;
}

RunQueue::~RunQueue() {
  const std::lock_guard lock(mutex_);  // the last who posted is out of post()
}

// All under the lock: as soon as it is let go the coroutine may go on, and with it the queue may end.
void RunQueue::post(Resumption& r) {
  const std::lock_guard lock(mutex_);
  if (r.state != Resumption::State::pending) return;
  r.state = Resumption::State::posted;
  r.next = nullptr;
  (head_ == nullptr ? head_ : tail_->next) = &r;
  tail_ = &r;
  changed_.notify_all();
  if (wake_) wake_();
}

void RunQueue::set_wake(Delegate<void()> wake) {
  const std::lock_guard lock(mutex_);
  wake_ = wake;
}

bool RunQueue::posted(Resumption& r) {
  const std::lock_guard lock(mutex_);
  return r.state == Resumption::State::posted;
}

void RunQueue::abandon(Resumption& r) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return r.state != Resumption::State::pending; });
  if (r.state == Resumption::State::idle) return;
  Resumption* before = nullptr;
  for (Resumption* x = head_; x != nullptr; before = x, x = x->next) {
    if (x != &r) continue;
    (before == nullptr ? head_ : before->next) = r.next;
    if (tail_ == &r) tail_ = before;
    break;
  }
  r.state = Resumption::State::idle;
}

std::size_t RunQueue::run_ready(std::size_t budget) {
  fire_timers();
  std::size_t n = 0;
  for (; n < budget; ++n) {
    std::coroutine_handle<> handle;
    {
      const std::lock_guard lock(mutex_);
      if (head_ == nullptr) break;
      Resumption& r = *head_;
      head_ = r.next;
      if (head_ == nullptr) tail_ = nullptr;
      r.state = Resumption::State::idle;
      handle = r.handle;
    }
    handle.resume();
  }
  return n;
}

void RunQueue::wait(Instant until) {
  const Instant at = earlier(until, next_timer());
  std::unique_lock lock(mutex_);
  const auto ready = [&] { return head_ != nullptr || stopped_; };
  if (at.is_never() || !clock_) {
    changed_.wait(lock, ready);
    return;
  }
  const Duration rest = at - clock_();
  if (rest > Duration{}) changed_.wait_for(lock, std::chrono::nanoseconds(rest.count_ns()), ready);
}

void RunQueue::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  changed_.notify_all();
  if (wake_) wake_();
}

bool RunQueue::stopped() {
  const std::lock_guard lock(mutex_);
  return stopped_;
}

bool RunQueue::has_ready() {
  const std::lock_guard lock(mutex_);
  return head_ != nullptr;
}

void RunQueue::fire_timers() {
  if (timers_ == nullptr) return;
  const Instant t = now();
  while (timers_ != nullptr && timers_->when <= t) {
    Sleep& due = *timers_;
    timers_ = due.next_;
    due.waiting_ = false;
    post(due.resumption_);
  }
}

void RunQueue::forget(Sleep& s) {
  Sleep** at = &timers_;
  while (*at != &s) at = &(*at)->next_;
  *at = s.next_;
  s.waiting_ = false;
}

// Timers of tasks are few: a sorted list; equal times fire in the order in which they were asked for.
void RunQueue::Sleep::await_suspend(std::coroutine_handle<> handle) {
  resumption_.handle = handle;
  queue_->expect(resumption_);
  waiting_ = true;
  Sleep** at = &queue_->timers_;
  while (*at != nullptr && (*at)->when <= when) at = &(*at)->next_;
  next_ = *at;
  *at = this;
}

RunQueue::Sleep::~Sleep() {
  if (waiting_) queue_->forget(*this);
  queue_->post(resumption_);  // nobody else will, and abandon() waits for it
  queue_->abandon(resumption_);
}

}  // namespace leat::channel
