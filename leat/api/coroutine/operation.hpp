#pragma once
// Operation: an Op that a coroutine awaits. It stands in the awaiting frame, is given to the service when it is
// awaited, and its coroutine goes on in its executor when it is complete. Nothing is allocated.
//
//   auto got = co_await stream.read(buffer);                                  // until something comes
//   auto got = co_await stream.read(buffer, {.within = Duration::s(5)});      // Errc::timed_out
//   auto got = co_await stream.read(buffer, {.stop = &token});                // Errc::cancelled
//   auto read = stream.read(buffer);  ...another task: read.cancel()...  auto got = co_await read;
//
// Cancelling waits: the coroutine goes on when the operation has ended, with Errc::cancelled or with the real result
// when that was first. So no byte and no connection is lost by it. A frame that is destroyed before its operation has
// ended is a broken invariant: an assertion.
//
//   given to the service -> complete, in any thread ---------+-> the last of both: the coroutine goes on
//                        -> stop callbacks set, suspended ---+
//
// Threading: awaited once, in a task of an executor. Stop may be requested from any thread; cancel() is called by tasks
// of the same executor.

#include <atomic>
#include <coroutine>
#include <leat/api/coroutine/executor.hpp>
#include <leat/api/coroutine/task.hpp>
#include <leat/op/service.hpp>
#include <optional>
#include <stop_token>

namespace leat::coroutine {

// How long an operation may take, and what ends it beside its task's own stop token. The earlier of both times counts.
// The token is copied when the operation is made. (It is a pointer because g++ 12 destroys a temporary twice that is
// made with braces inside a co_await expression: what has a destructor must not be there.)
struct Limit {
  Duration within = Duration::max();
  Instant until = Instant::never();
  const std::stop_token* stop = nullptr;
};

class Operation {
 public:
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  // Asks for its end. Nothing happens when it has not begun or is complete.
  void cancel();

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> h) {
    return suspend(h, h.promise().context());
  }

 protected:
  // `service` lives until the operation is complete; nullptr: the executor's.
  Operation(Service* service, const Limit& limit) : service_(service), limit_(limit) {
    if (limit.stop != nullptr) own_token_ = *limit.stop;
  }
  // An operation that failed before it began.
  explicit Operation(Errc failed) : service_(nullptr) {
    op_.error = failed;
    phase_ = Phase::failed;
  }
  ~Operation() { LEAT_ASSERT(phase_ != Phase::given); }

  // For await_resume: the operation is over, its result stands in op().
  Op& finish();
  Op& op() { return op_; }
  [[nodiscard]] Service& service() const { return *service_; }

 private:
  enum class Phase : std::uint8_t { fresh, failed, given, over };
  struct Stop {
    Operation* operation;
    void operator()() const noexcept { operation->service_->cancel(operation->op_); }
  };
  bool suspend(std::coroutine_handle<> h, const Context& context);
  static void on_completed(Op& op);

  Op op_;
  Service* service_;
  Executor* executor_ = nullptr;
  Limit limit_;
  std::stop_token own_token_;
  Resumption node_;
  std::optional<std::stop_callback<Stop>> task_stop_;
  std::optional<std::stop_callback<Stop>> own_stop_;
  // What the coroutine waits for: completion, and the end of suspend(). Each decrements (release) when its work on this
  // object is over; who brings it to 0 (acquire) has the object alone and lets the coroutine go on.
  std::atomic<unsigned> waits_for_{0};
  Phase phase_ = Phase::fresh;  // the executor's thread
};

// A transfer: how many bytes moved, and why it is less than asked for.
class [[nodiscard]] IoOperation final : public Operation {
 public:
  template <class Fill>
  IoOperation(Service* service, const Limit& limit, Fill&& fill) : Operation(service, limit) {
    fill(op());
  }
  Result<IoCount> await_resume() { return finish().io(); }
};

// An operation without a value.
class [[nodiscard]] VoidOperation final : public Operation {
 public:
  template <class Fill>
  VoidOperation(Service* service, const Limit& limit, Fill&& fill) : Operation(service, limit) {
    fill(op());
  }
  Result<void> await_resume() { return finish().done(); }
};

// co_await sleep_for(Duration::ms(5)): Errc::cancelled when the task, or the given token, is stopped.
class [[nodiscard]] SleepOperation final : public Operation {
 public:
  explicit SleepOperation(const Limit& limit) : Operation(nullptr, limit) { op().verb = Verb::poll; }
  Result<void> await_resume() { return finish().done(); }
};
[[nodiscard]] inline SleepOperation sleep_for(Duration d, const std::stop_token* stop = nullptr) {
  return SleepOperation{Limit{d, Instant::never(), stop}};
}
[[nodiscard]] inline SleepOperation sleep_until(Instant t, const std::stop_token* stop = nullptr) {
  return SleepOperation{Limit{Duration::max(), t, stop}};
}

// co_await yield(): the other coroutines of the executor that can go on do so first.
class [[nodiscard]] Yield {
 public:
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> h) {
    node_.handle = h;
    h.promise().context().executor->push(node_);
  }
  void await_resume() const noexcept {}

 private:
  Resumption node_;
};
[[nodiscard]] inline Yield yield() {
  return {};
}

}  // namespace leat::coroutine
