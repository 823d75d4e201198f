#pragma once
// Executor: where a coroutine goes on. An operation completes in whatever thread let the stack go, which must not run a
// stranger's code: it posts the coroutine's Resumption, a node in the awaiter's own frame, and the executor's thread
// resumes it. RunQueue is the executor that comes with the channel: a FIFO and timers.
//
//   RunQueue tasks;
//   Channel channel(service, &tasks);
//   tasks.block_on(talk(channel));        // or: tasks.run_ready() in a loop of your own, tasks.wait(...)
//
// Threading: post, abandon and stop from any thread; everything else from the one that runs the queue. An executor
// outlives whatever may still be posted to it.

#include <condition_variable>
#include <coroutine>
#include <leat/base/assert.hpp>
#include <leat/base/delegate.hpp>
#include <leat/base/result.hpp>
#include <leat/base/time.hpp>
#include <mutex>
#include <type_traits>

namespace leat::channel {

struct Resumption {
  std::coroutine_handle<> handle;
  Resumption* next = nullptr;
  enum class State : std::uint8_t { idle, pending, posted } state = State::idle;  // the executor's
};

class Executor {
 public:
  // The resumption will be posted, by whomever.
  virtual void expect(Resumption&) = 0;
  // Once for each expect(); again is nothing.
  virtual void post(Resumption&) = 0;
  // The coroutine of an expected resumption goes away: waits until it was posted, and takes it back. True: it was
  // posted already.
  virtual bool posted(Resumption&) = 0;
  virtual void abandon(Resumption&) = 0;

 protected:
  ~Executor() = default;
};

class RunQueue final : public Executor {
 public:
  // The clock of sleep_until; without one there are no timers.
  explicit RunQueue(Delegate<Instant()> clock = {}) : clock_(clock) {}
  ~RunQueue();
  RunQueue(const RunQueue&) = delete;
  RunQueue& operator=(const RunQueue&) = delete;

  void expect(Resumption&) override;
  void post(Resumption&) override;
  bool posted(Resumption&) override;
  void abandon(Resumption&) override;

  // Resumes what is posted now, and what that posts, up to `budget`; returns how many.
  std::size_t run_ready(std::size_t budget = 1024);
  // Sleeps until something is posted, a timer is due or stop() was called.
  void wait(Instant until = Instant::never());
  // run_ready and wait until `done` says so or stop() was called. False: stopped.
  template <class Done>
  bool run_until(Done&& done) {
    while (!done()) {
      if (run_ready() == 0 && !done()) wait();
      if (stopped()) return done();
    }
    return true;
  }
  // Starts the task (task.hpp) and runs until it is done. When stop() was called before that the task is dropped: a
  // task of a Result gives Errc::cancelled, one of void nothing; who stops a queue under any other keeps it himself,
  // takes run_until, and asks for the result when there is one (asserted).
  template <class Task>
  auto block_on(Task task) {
    using Value = decltype(task.result());
    task.start();
    const bool done = run_until([&] { return task.done(); });
    if constexpr (std::is_void_v<Value>) {
      if (done) task.result();
    } else if constexpr (std::is_convertible_v<Unexpected, Value>) {
      return done ? task.result() : Value{fail(Errc::cancelled)};
    } else {
      LEAT_ASSERT(done);
      return task.result();
    }
  }
  // For good: run_until and block_on go on no more.
  void stop();
  [[nodiscard]] bool stopped();
  // Called when something is posted, from any thread: wakes whoever turns this queue in a loop of its own. It must not
  // call the queue. Once set_wake has returned, the old one is not called any more.
  void set_wake(Delegate<void()> wake);
  // When the next timer is due.
  [[nodiscard]] Instant next_timer() const { return timers_ == nullptr ? Instant::never() : timers_->when; }
  [[nodiscard]] bool has_ready();

  // co_await queue.sleep_until(t): goes on when the clock shows t, or when somebody calls ring(), from any thread,
  // while the Sleep is there.
  class Sleep {
   public:
    Sleep(RunQueue& queue, Instant at) : when(at), queue_(&queue) {}
    Sleep(const Sleep&) = delete;
    Sleep& operator=(const Sleep&) = delete;
    ~Sleep();
    [[nodiscard]] bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> handle);
    void await_resume() {
      if (waiting_) queue_->forget(*this);
    }
    void ring() { queue_->post(resumption_); }

    Instant when;

   private:
    friend class RunQueue;
    RunQueue* queue_;
    Resumption resumption_;
    Sleep* next_ = nullptr;
    bool waiting_ = false;
  };
  [[nodiscard]] Sleep sleep_until(Instant when) { return {*this, when}; }
  [[nodiscard]] Instant now() const { return clock_ ? clock_() : Instant{}; }

 private:
  void fire_timers();
  void forget(Sleep&);

  Delegate<Instant()> clock_;
  std::mutex mutex_;
  Delegate<void()> wake_;  // guarded by mutex_
  std::condition_variable changed_;
  Resumption* head_ = nullptr;  // guarded by mutex_, as the states of resumptions are
  Resumption* tail_ = nullptr;
  bool stopped_ = false;
  Sleep* timers_ = nullptr;  // earliest first; of the queue's thread
};

}  // namespace leat::channel
