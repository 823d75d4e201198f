#pragma once
// CommandQueue: the Service of a stack that one thread turns. Callers put their operations into it; the stack's thread
// takes them, does them, and tells. Nothing is copied: the queue links operations that stand in their callers' frames.
//
//   caller:  queue.run(op), start(op), cancel(op)            (op/service.hpp)
//   stack:   while (Op* op = queue.take()) if (engine.start(*op)) queue.finish(*op);
//            while (Op* op = queue.take_cancel()) engine.withdraw(*op, Errc::cancelled);
//            while (Op* op = engine.take_completed()) queue.finish(*op);
//            if (queue.before_sleep()) sleep until the bell rings, then queue.after_sleep();
//
// `capacity` operations may wait to be taken. Beyond it a caller that may wait stands in line, first come first served;
// one that may not (flags.dont_wait) is told Errc::no_buffers; closing, aborting and giving back always pass. After
// close() every call ends with the error given there: a stack that is gone fails its callers.
//
// A call from the stack's own thread is done at once; where that can't bring its end (nobody else turns the
// stack), the call ends with Errc::again instead of waiting for ever. `also_fd` is not watched.
//
// Deadlines are the engine's business; where there is a clock (set_clock), a caller whose time is over before anybody
// took its operation does not wait any longer. Threading: run, start, cancel, now, wake from any thread; the stack's
// side from one thread at a time.

#include <atomic>
#include <condition_variable>
#include <functional>
#include <leat/base/delegate.hpp>
#include <leat/op/service.hpp>
#include <mutex>
#include <thread>

namespace leat::channel {

class CommandQueue final : public Service {
 public:
  static constexpr std::size_t kUnbounded = SIZE_MAX;
  explicit CommandQueue(std::size_t capacity = 32) : capacity_(capacity) {}
  ~CommandQueue();
  CommandQueue(const CommandQueue&) = delete;
  CommandQueue& operator=(const CommandQueue&) = delete;

  void run(Op& op) override;
  void start(Op& op) override;
  void cancel(Op& op) override;
  [[nodiscard]] Instant now() const override;

  // --- the stack's side ---
  [[nodiscard]] Op* take();
  // Taken, parked, and its caller wants its end.
  [[nodiscard]] Op* take_cancel();
  void finish(Op& op);
  // This thread is the stack's from now on; `inside`: it is in the middle of its work, so calls end with Errc::again.
  void own(bool inside);
  // Another thread will turn the stack.
  void disown() { owner_.store({}, std::memory_order_relaxed); }
  // For calls from the stack's own thread. `take_all` does what is in the queue; `drive` brings everything else
  // forward, false: nothing more will happen. Neither runs code of a user's. Of the stack's thread.
  void set_own_calls(Delegate<void()> take_all, Delegate<bool()> drive) {
    take_all_ = take_all;
    drive_ = drive;
  }
  // Rings whenever something comes while the stack sleeps; it may be called by any thread.
  void set_bell(Delegate<void()> bell);
  // False: there is something to do. True: the bell will ring.
  [[nodiscard]] bool before_sleep();
  void after_sleep();
  [[nodiscard]] bool has_work() const;
  void wake();
  // Time without a clock: what the last turn had.
  void set_now(Instant now) { last_now_.store(now.count_ns(), std::memory_order_relaxed); }
  void set_clock(std::function<Instant()> clock);
  void close(Errc why = Errc::shut_down);

  [[nodiscard]] std::size_t waiting() const;
  [[nodiscard]] std::size_t capacity() const { return capacity_; }

 private:
  struct Sleeper {
    std::condition_variable done_changed;
    bool done = false;
  };
  enum class Put : std::uint8_t { queued, full, closed };
  Put put(Op& op);
  bool remove(Op& op);
  void ring_if(bool asleep);
  void run_in_own_thread(Op& op, const Sleeper& sleeper);
  static bool counts(const Op& op) {
    return op.verb != Verb::close && op.verb != Verb::abort && op.verb != Verb::give_back &&
           op.verb != Verb::give_accepted;
  }

  const std::size_t capacity_;
  mutable std::mutex mutex_;
  // All guarded by mutex_, and so is Op::state of every operation that is here.
  PostNode* head_ = nullptr;
  PostNode* tail_ = nullptr;
  PostNode* cancels_ = nullptr;
  std::size_t counted_ = 0;  // operations in the queue that need room
  Errc closed_{};
  bool asleep_ = false;
  bool woken_ = false;
  std::function<Instant()> clock_;

  std::mutex bell_mutex_;  // guards bell_, is held while it rings; never taken with mutex_ held
  Delegate<void()> bell_;
  Delegate<void()> take_all_;
  Delegate<bool()> drive_;
  bool inside_ = false;  // of the stack's thread
  // The stack's thread: written by it, read by callers who ask whether that is they. Relaxed: nothing hangs on another
  // thread's value.
  std::atomic<std::thread::id> owner_{};
  // Written by the stack, read by callers as an approximate time. Relaxed.
  std::atomic<std::int64_t> last_now_{0};
};

}  // namespace leat::channel
