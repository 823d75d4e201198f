#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <leat/runtime/event_loop.hpp>
#include <utility>

namespace leat {

EventLoop::EventLoop(std::shared_ptr<Service> service)
    : service_(std::move(service)), stop_bell_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

EventLoop::~EventLoop() {
  LEAT_ASSERT(watches_.empty());
  Op op;
  op.verb = Verb::close_set;
  op.set = &set_;
  service_->run(op);
}

// With the mutex: what the engine reads of a member is written by one thread at a time.
Errc EventLoop::member_call(Verb verb, Watch& watch) {
  Op op;
  op.verb = verb;
  op.set = &set_;
  op.member = &watch.member_;
  service_->run(op);
  return op.error;
}

Result<void> EventLoop::add(Watch& watch, Handle socket, Ready wanted, Callback callback) {
  const std::lock_guard lock(mutex_);
  if (watch.loop_ != nullptr) return fail(Errc::already_exists);
  watch.callback_ = std::make_shared<Callback>(std::move(callback));
  watch.member_.socket = socket;
  watch.member_.wanted = wanted;
  watch.member_.flags.one_shot = true;  // told once, then silent until its callback has returned
  watch.member_.data = next_number_++;
  if (const Errc error = member_call(Verb::add_member, watch); error != Errc{}) return fail(error);
  watch.loop_ = this;
  watches_.emplace(watch.member_.data, &watch);
  return {};
}

Result<void> EventLoop::change(Watch& watch, Ready wanted) {
  const std::lock_guard lock(mutex_);
  LEAT_ASSERT(watch.loop_ == this);
  watch.member_.wanted = wanted;
  if (running_.contains(watch.member_.data)) return {};  // it is armed anew when the callback returns
  if (const Errc error = member_call(Verb::change_member, watch); error != Errc{}) return fail(error);
  return {};
}

void EventLoop::remove(Watch& watch) {
  std::unique_lock lock(mutex_);
  if (watch.loop_ == nullptr) return;
  LEAT_ASSERT(watch.loop_ == this);
  watches_.erase(watch.member_.data);
  (void)member_call(Verb::remove_member, watch);  // not_found: its socket was closed
  const std::uint64_t number = watch.member_.data;
  if (const auto at = running_.find(number); at != running_.end() && at->second != std::this_thread::get_id())
    returned_.wait(lock, [&] { return !running_.contains(number); });
  watch.loop_ = nullptr;
}

bool EventLoop::run() {
  struct Runner {
    explicit Runner(std::atomic<unsigned>& c) : count(&c) { count->fetch_add(1, std::memory_order_relaxed); }
    Runner(const Runner&) = delete;
    Runner& operator=(const Runner&) = delete;
    ~Runner() { count->fetch_sub(1, std::memory_order_relaxed); }
    std::atomic<unsigned>* count;
  };
  const Runner runner(runners_);
  Ran ran = Ran::nothing;
  while (!stopped() && ran != Ran::ended)
    ran = wait_and_run(Instant::never(), runners_.load(std::memory_order_relaxed) > 1 ? 1 : kEvents);
  return ran != Ran::ended;
}

bool EventLoop::run_one(Duration timeout) {
  const Instant deadline = service_->now() + timeout;
  while (!stopped()) {
    const Ran ran = wait_and_run(deadline, 1);
    if (ran == Ran::some) return true;
    if (ran == Ran::ended || service_->now() >= deadline) return false;
  }
  return false;
}

EventLoop::Ran EventLoop::wait_and_run(Instant deadline, std::size_t most) {
  std::array<SetEvent, kEvents> events;
  Op op;
  op.verb = Verb::wait_set;
  op.set = &set_;
  op.events = {events.data(), most};
  op.deadline = deadline;
  op.also_fd = stop_bell_.get();
  service_->run(op);
  if (op.error == Errc::shut_down || op.error == Errc::bad_handle || op.error == Errc::again) return Ran::ended;
  if (op.error != Errc{}) return Ran::nothing;  // interrupted, or no descriptor to sleep with: look again
  Ran ran = Ran::nothing;
  const std::span<const SetEvent> taken(events.data(), op.count);
  for (std::size_t i = 0; i < taken.size(); ++i) {
    try {
      if (tell(taken[i])) ran = Ran::some;
    } catch (...) {  // of the callback: what was taken with its event is told by a later wait
      give_back(taken.subspan(i + 1));
      throw;
    }
  }
  return ran;
}

// Not those that another thread is told of meanwhile: that one arms them again.
void EventLoop::give_back(std::span<const SetEvent> events) {
  const std::lock_guard lock(mutex_);
  for (const SetEvent& event : events)
    if (!running_.contains(event.data)) arm_again(event.data);
}

// With the mutex.
void EventLoop::arm_again(std::uint64_t number) {
  // not_found: its socket was closed.
  if (const auto at = watches_.find(number); at != watches_.end()) (void)member_call(Verb::change_member, *at->second);
}

void EventLoop::returned(std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  running_.erase(number);
  returned_.notify_all();
  arm_again(number);
}

bool EventLoop::tell(const SetEvent& event) {
  std::shared_ptr<Callback> callback;
  {
    const std::lock_guard lock(mutex_);
    const auto at = watches_.find(event.data);
    if (at == watches_.end()) return false;  // removed since it was taken
    // Armed anew by change() while we had the event already, and told to another thread: that one arms it again.
    if (!running_.emplace(event.data, std::this_thread::get_id()).second) return false;
    callback = at->second->callback_;
  }
  struct Running {  // also of one that throws
    EventLoop* loop;
    std::uint64_t number;
    ~Running() { loop->returned(number); }
  };
  const Running running{this, event.data};
  (*callback)(event.socket, event.ready);  // may remove the watch, and end it
  return true;
}

void EventLoop::stop() {
  stopped_.store(true, std::memory_order_release);
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t sent = ::write(stop_bell_.get(), &one, sizeof one);
}

void EventLoop::restart() {
  stopped_.store(false, std::memory_order_release);
  std::uint64_t value = 0;
  [[maybe_unused]] const ssize_t got = ::read(stop_bell_.get(), &value, sizeof value);
}

}  // namespace leat
