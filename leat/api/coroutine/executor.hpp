#pragma once
// Executor: where coroutines run. Tasks are spawned on it, and go on inside run(), run_one() and poll() and nowhere
// else: never in the thread that completed an operation, never inside a call of another form.
//
//   Executor executor(service);
//   executor.spawn(serve(listener));
//   executor.run();                               // until every spawned task has ended
//   Result<int> r = executor.run(ask(service));   // one task, and its result
//
// An executor that has nothing to do waits inside the service, so that it can be the one who watches the devices: a
// server of one thread needs no other. It is woken through an eventfd only when another thread completes its operation.
//
// Cancelling: stop() asks every task that was spawned without a stop token of its own; operations end with
// Errc::cancelled (or with what they moved), the tasks see that and return. A task that was spawned must have ended
// before the executor does: an assertion.
//
// Threading: spawn() and stop() from any thread. One thread at a time calls run, run_one or poll; tasks of one executor
// never overlap. Several executors may share a service, and their tasks the sockets of it, one operation per direction
// and task.

#include <atomic>
#include <cstddef>
#include <exception>
#include <leat/api/coroutine/resumption.hpp>
#include <leat/api/coroutine/task.hpp>
#include <leat/op/service.hpp>
#include <memory>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace leat::coroutine {

class Executor {
 public:
  // Aborts the program when no eventfd can be had.
  explicit Executor(std::shared_ptr<Service> service);
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // The task begins at the next run or poll. An exception that leaves it is thrown by run, run_one or poll.
  void spawn(Task<void> task) { spawn(std::move(task), stop_.get_token()); }
  void spawn(Task<void> task, std::stop_token stop);

  // Runs until every spawned task has ended.
  void run();
  // Goes on with one coroutine, and waits for one; false: no task is left.
  bool run_one();
  // Goes on with what can go on now; how many coroutines did.
  std::size_t poll();
  // Runs this task to its end, and others meanwhile.
  template <class T>
  T run(Task<T> task);

  void stop() { stop_.request_stop(); }
  [[nodiscard]] std::stop_token stop_token() const { return stop_.get_token(); }
  [[nodiscard]] const std::shared_ptr<Service>& service() const { return service_; }
  // Spawned and not ended.
  [[nodiscard]] std::size_t tasks() const { return tasks_.load(std::memory_order_acquire); }

  // For awaiters. From any thread, for a coroutine of this executor that is suspended; it may be over when this
  // returns.
  void push(Resumption& r) {
    if (queue_.push(r)) wake();
  }
  // Whether the coroutine that runs now may go on although it could be suspended: an operation that is complete at once
  // need not go through the queue, but one task whose operations all are must not starve the others.
  [[nodiscard]] bool may_go_on() { return turns_left_ > 0 && turns_left_-- > 0; }

 private:
  struct Root;
  static Root root(Executor& executor, Task<void> task);
  void wake() const;
  void wait();
  bool step();
  void task_ended(std::exception_ptr thrown);

  std::shared_ptr<Service> service_;
  std::stop_source stop_;
  ResumptionQueue queue_;
  int wake_fd_;
  unsigned turns_left_ = 0;
  unsigned steps_ = 0;
  // Incremented by who spawns, decremented by who runs (release), read by anybody (acquire): at 0 no frame is left.
  std::atomic<std::size_t> tasks_{0};
  std::exception_ptr thrown_;
};

template <class T>
T Executor::run(Task<T> task) {
  using Kept = std::conditional_t<std::is_void_v<T>, bool, std::optional<T>>;
  Kept kept{};
  std::exception_ptr thrown;
  bool done = false;
  spawn([](Task<T> t, Kept& to, std::exception_ptr& e, bool& over) -> Task<void> {
    try {
      if constexpr (std::is_void_v<T>) {
        co_await std::move(t);
      } else {
        to.emplace(co_await std::move(t));
      }
    } catch (...) {
      e = std::current_exception();
    }
    over = true;
  }(std::move(task), kept, thrown, done));
  std::exception_ptr of_others;
  while (!done) {  // NOLINT(bugprone-infinite-loop): the task sets it
    try {
      (void)run_one();
    } catch (...) {  // another task's: it waits until this one, whose frame is ours, has ended
      if (!of_others) of_others = std::current_exception();
    }
  }
  if (of_others && !thrown_) thrown_ = std::move(of_others);
  if (thrown) std::rethrow_exception(thrown);
  if constexpr (!std::is_void_v<T>) return std::move(*kept);
}

}  // namespace leat::coroutine
