#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <leat/api/coroutine/executor.hpp>

namespace leat::coroutine {
namespace {

// How often in a row a coroutine may go on without the queue.
constexpr unsigned kTurns = 64;
// After how many coroutines a busy executor gives the stack a turn.
constexpr unsigned kStepsToPoll = 64;
// How many coroutines one poll() goes on with: those that yield come back at once.
constexpr std::size_t kPollBudget = 1024;

}  // namespace

// The outermost coroutine of a spawned task: pushed when it is to begin, gone when the task has ended.
struct Executor::Root {
  // NOLINTNEXTLINE(readability-identifier-naming): the language's name
  struct promise_type : PromiseBase {
    Resumption node;
    Context own_context;
    promise_type(Executor& executor, Task<void>&) : own_context{&executor, {}} { found_context = &own_context; }
    Root get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
    [[nodiscard]] std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const {}
    void unhandled_exception() const { std::terminate(); }
  };
  std::coroutine_handle<promise_type> handle;
};

Executor::Root Executor::root(Executor& executor, Task<void> task) {
  std::exception_ptr thrown;
  {
    Task<void> own = std::move(task);  // the task's frame ends before it is counted as ended
    try {
      co_await own;
    } catch (...) {
      thrown = std::current_exception();
    }
  }
  executor.task_ended(std::move(thrown));
}

Executor::Executor(std::shared_ptr<Service> service) : service_(std::move(service)), wake_fd_(eventfd(0, EFD_CLOEXEC)) {
  LEAT_ASSERT(service_ != nullptr);
  LEAT_ASSERT(wake_fd_ >= 0);  // out of descriptors
}

Executor::~Executor() {
  LEAT_ASSERT(tasks() == 0);  // stop(), and run() to their ends
  close(wake_fd_);
}

void Executor::spawn(Task<void> task, std::stop_token stop) {
  tasks_.fetch_add(1, std::memory_order_relaxed);  // published by the push
  auto& promise = root(*this, std::move(task)).handle.promise();
  promise.own_context.stop = std::move(stop);
  promise.node.handle = std::coroutine_handle<Root::promise_type>::from_promise(promise);
  push(promise.node);
}

void Executor::task_ended(std::exception_ptr thrown) {
  if (thrown && !thrown_) thrown_ = std::move(thrown);
  tasks_.fetch_sub(1, std::memory_order_release);
}

bool Executor::step() {
  Resumption* const r = queue_.take();
  if (r == nullptr) return false;
  if (++steps_ % kStepsToPoll == 0) (void)service_->poll();  // an executor that never waits still makes time pass
  turns_left_ = kTurns;
  r->handle.resume();  // r is gone
  turns_left_ = 0;
  if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
  return true;
}

void Executor::run() {
  while (run_one()) {
  }
}

bool Executor::run_one() {
  while (!step()) {
    if (tasks() == 0) return false;
    wait();
  }
  return true;
}

std::size_t Executor::poll() {
  std::size_t n = 0;
  if (queue_.empty()) (void)service_->poll();  // a thread that only polls must make time pass
  while (n < kPollBudget && step()) ++n;
  return n;
}

void Executor::wake() const {
  const std::uint64_t one = 1;
  while (write(wake_fd_, &one, sizeof one) < 0 && errno == EINTR) {
  }
}

// Nothing can go on: the thread gives itself to the service until something is pushed.
void Executor::wait() {
  if (!queue_.fall_asleep()) return;
  Op nothing;
  nothing.verb = Verb::poll;  // no watches: it ends only when it is interrupted
  nothing.also_fd = wake_fd_;
  service_->run(nothing);
  // A signal may have ended the wait. When the stack has ended nobody waits inside it any more, and only a push can
  // change anything.
  const bool waits_no_more = nothing.error != Errc{} && nothing.error != Errc::interrupted;
  if (!waits_no_more && !queue_.wake_up()) return;
  // Exactly one pusher was told to wake us. It may still be on its way, and uses the executor until it has written.
  std::uint64_t count = 0;
  while (read(wake_fd_, &count, sizeof count) < 0 && errno == EINTR) {
  }
}

}  // namespace leat::coroutine
