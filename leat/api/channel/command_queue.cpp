#include <chrono>
#include <leat/api/channel/command_queue.hpp>
#include <utility>

namespace leat::channel {
namespace {

PostState state_of(const Op& op) {
  return static_cast<PostState>(op.state);
}
void set_state(Op& op, PostState s) {
  op.state = static_cast<std::uint32_t>(s);
}
Op& op_of(PostNode& n) {
  return static_cast<Op&>(n);
}

}  // namespace

// In here `posted` is in the queue, `parked` is taken by the stack.

CommandQueue::~CommandQueue() {
  LEAT_ASSERT(head_ == nullptr && cancels_ == nullptr);
}

CommandQueue::Put CommandQueue::put(Op& op) {
  bool asleep = false;
  {
    const std::lock_guard lock(mutex_);
    if (closed_ != Errc{}) {
      op.error = closed_;
      set_state(op, PostState::done);
      return Put::closed;
    }
    if (counts(op)) {
      if (op.flags.dont_wait && counted_ >= capacity_) {
        op.error = Errc::no_buffers;
        set_state(op, PostState::done);
        return Put::full;
      }
      ++counted_;
    }
    set_state(op, PostState::posted);
    op.cancel_state = 0;
    PostNode& node = op;
    node.next = nullptr;
    (head_ == nullptr ? head_ : tail_->next) = &node;
    tail_ = &node;
    asleep = std::exchange(asleep_, false);
  }
  ring_if(asleep);
  return Put::queued;
}

void CommandQueue::ring_if(bool asleep) {
  if (!asleep) return;
  const std::lock_guard lock(bell_mutex_);
  if (bell_) bell_();
}

// Under mutex_.
bool CommandQueue::remove(Op& op) {
  PostNode* before = nullptr;
  for (PostNode* n = head_; n != nullptr; before = n, n = n->next) {
    if (n != &static_cast<PostNode&>(op)) continue;
    (before == nullptr ? head_ : before->next) = n->next;
    if (tail_ == n) tail_ = before;
    if (counts(op)) --counted_;
    return true;
  }
  return false;
}

void CommandQueue::run(Op& op) {
  Sleeper sleeper;
  op.sleeper = &sleeper;
  if (owner_.load(std::memory_order_relaxed) == std::this_thread::get_id()) {
    run_in_own_thread(op, sleeper);
  } else if (put(op) == Put::queued) {
    std::unique_lock lock(mutex_);
    const auto done = [&] { return sleeper.done; };
    while (!sleeper.done) {
      if (op.deadline.is_never() || !clock_) {
        sleeper.done_changed.wait(lock, done);
        break;
      }
      const Duration rest = op.deadline - clock_();
      if (state_of(op) == PostState::posted && rest <= Duration{}) {  // nobody took it
        (void)remove(op);
        op.error = Errc::timed_out;
        break;
      }
      // Once it is taken, the stack keeps the time.
      const Duration pause = rest < Duration::ms(1) ? Duration::ms(1) : rest;
      sleeper.done_changed.wait_for(lock, std::chrono::nanoseconds(pause.count_ns()), done);
    }
  }
  op.sleeper = nullptr;
}

void CommandQueue::run_in_own_thread(Op& op, const Sleeper& sleeper) {
  if (inside_) {
    op.error = Errc::again;
    return;
  }
  if (take_all_) take_all_();  // makes room
  if (put(op) != Put::queued) return;
  do {
    if (take_all_) take_all_();
  } while (!sleeper.done && drive_ && drive_());
  if (sleeper.done) return;
  cancel(op);
  LEAT_ASSERT(sleeper.done);
  if (op.error == Errc::cancelled) op.error = Errc::again;
}

void CommandQueue::start(Op& op) {
  op.sleeper = nullptr;
  if (put(op) != Put::queued) op.completed(op);
}

void CommandQueue::cancel(Op& op) {
  bool asleep = false;
  {
    std::unique_lock lock(mutex_);
    if (state_of(op) == PostState::posted) {
      (void)remove(op);
      op.error = Errc::cancelled;
      lock.unlock();
      finish(op);
      return;
    }
    if (state_of(op) != PostState::parked || op.cancel_state != 0) return;
    op.cancel_state = 1;
    op.cancel_node.next = cancels_;
    cancels_ = &op.cancel_node;
    asleep = std::exchange(asleep_, false);
  }
  ring_if(asleep);
  // From the stack's own thread it is done at once: the caller may wait for its end.
  if (owner_.load(std::memory_order_relaxed) == std::this_thread::get_id() && !inside_ && take_all_) take_all_();
}

Instant CommandQueue::now() const {
  {
    const std::lock_guard lock(mutex_);
    if (clock_) return clock_();
  }
  return Instant::from_ns(last_now_.load(std::memory_order_relaxed));
}

Op* CommandQueue::take() {
  const std::lock_guard lock(mutex_);
  if (head_ == nullptr) return nullptr;
  Op& op = op_of(*head_);
  (void)remove(op);
  set_state(op, PostState::parked);
  return &op;
}

Op* CommandQueue::take_cancel() {
  const std::lock_guard lock(mutex_);
  if (cancels_ == nullptr) return nullptr;
  auto& node = static_cast<CancelNode&>(*cancels_);
  cancels_ = node.next;
  node.op->cancel_state = 2;  // asked for and taken: asking again does nothing
  return node.op;
}

void CommandQueue::finish(Op& op) {
  {
    const std::lock_guard lock(mutex_);
    set_state(op, PostState::done);
    if (op.cancel_state == 1) {  // it was complete first: nobody may find the node any more
      PostNode** at = &cancels_;
      while (*at != &op.cancel_node) at = &(*at)->next;
      *at = op.cancel_node.next;
    }
    op.cancel_state = 0;
    if (auto* const sleeper = static_cast<Sleeper*>(op.sleeper); sleeper != nullptr) {
      sleeper->done = true;
      sleeper->done_changed.notify_one();  // under the lock: the frame is gone as soon as its caller sees `done`
      return;
    }
  }
  op.completed(op);
}

void CommandQueue::own(bool inside) {
  inside_ = inside;
  if (const auto me = std::this_thread::get_id(); owner_.load(std::memory_order_relaxed) != me)
    owner_.store(me, std::memory_order_relaxed);
}

void CommandQueue::set_bell(Delegate<void()> bell) {
  const std::lock_guard lock(bell_mutex_);
  bell_ = bell;
}

bool CommandQueue::before_sleep() {
  const std::lock_guard lock(mutex_);
  if (head_ != nullptr || cancels_ != nullptr || woken_ || closed_ != Errc{}) {
    woken_ = false;
    return false;
  }
  asleep_ = true;
  return true;
}

void CommandQueue::after_sleep() {
  const std::lock_guard lock(mutex_);
  asleep_ = false;
  woken_ = false;
}

bool CommandQueue::has_work() const {
  const std::lock_guard lock(mutex_);
  return head_ != nullptr || cancels_ != nullptr;
}

void CommandQueue::wake() {
  bool asleep = false;
  {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    asleep = std::exchange(asleep_, false);
  }
  ring_if(asleep);
}

void CommandQueue::set_clock(std::function<Instant()> clock) {
  const std::lock_guard lock(mutex_);
  clock_ = std::move(clock);
}

void CommandQueue::close(Errc why) {
  {
    const std::lock_guard lock(mutex_);
    closed_ = why;
    clock_ = nullptr;
  }
  set_bell({});
  take_all_ = {};
  drive_ = {};
  owner_.store({}, std::memory_order_relaxed);
  while (Op* const op = take()) {
    op->error = why;
    finish(*op);
  }
}

std::size_t CommandQueue::waiting() const {
  const std::lock_guard lock(mutex_);
  return counted_;
}

}  // namespace leat::channel
