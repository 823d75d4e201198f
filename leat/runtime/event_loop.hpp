#pragma once
// EventLoop: sockets with callbacks, over any Service. Callbacks run inside run() and run_one() and nowhere else,
// without the stack's token: they may call anything, and block if the program can bear it.
//
//   EventLoop loop(stack);
//   EventLoop::Watch watch;
//   loop.add(watch, socket, Ready::readable, [&](Handle s, Ready ready) { ... receive with dont_wait ... });
//   loop.run();                        // in as many threads as you like, until stop()
//
// Any number of threads may run one loop. The callbacks of one socket never overlap and come one after the other: while
// one runs its socket is silent, and what became ready meanwhile is told when it has returned. Readiness is told as
// long as it is true (level-triggered): a callback takes what there is, or changes what it wants.
//
// A Watch is the caller's, stays in place while it is added, and is removed before it ends, in its own callback or
// elsewhere; remove() waits for a callback of it that runs in another thread. When its socket is closed nothing more is
// told; it is removed all the same. What a callback throws comes out of the run() or run_one() that called it, and the
// loop can be run again: nothing that is ready is forgotten.
//
// Threading: every function from any thread, callbacks included; the destructor when nobody is in run(). Costs: two
// operations of the stack for each event.

#include <atomic>
#include <condition_variable>
#include <functional>
#include <leat/device/descriptor.hpp>
#include <leat/op/service.hpp>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <unordered_map>

namespace leat {

class EventLoop {
 public:
  using Callback = std::function<void(Handle socket, Ready ready)>;

  class Watch {
   public:
    Watch() = default;
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    ~Watch() { LEAT_ASSERT(loop_ == nullptr); }
    [[nodiscard]] bool added() const { return loop_ != nullptr; }

   private:
    friend class EventLoop;
    SetMember member_;
    std::shared_ptr<Callback> callback_;  // outlives the watch while it runs
    EventLoop* loop_ = nullptr;
  };

  explicit EventLoop(std::shared_ptr<Service> service);
  ~EventLoop();  // every watch has been removed
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Errors: bad_handle, wrong_state (the socket has a callback of another kind), already_exists, shut_down.
  Result<void> add(Watch& watch, Handle socket, Ready wanted, Callback callback);
  // What it wants from now on. Errors: not_found (its socket was closed), shut_down.
  Result<void> change(Watch& watch, Ready wanted);
  void remove(Watch& watch);

  // Runs callbacks until stop(). False: the stack is gone.
  bool run();
  // Waits for one event, at most so long, and runs its callback. True: one ran.
  bool run_one(Duration timeout);
  // Ends every run() and run_one(), and those that come later until restart().
  void stop();
  void restart();
  [[nodiscard]] bool stopped() const { return stopped_.load(std::memory_order_acquire); }

 private:
  // One thread takes what is there at once; several take one event each, so that none waits behind a long callback.
  static constexpr std::size_t kEvents = 16;
  enum class Ran : std::uint8_t { some, nothing, ended };

  Ran wait_and_run(Instant deadline, std::size_t most);
  bool tell(const SetEvent& event);
  void returned(std::uint64_t number);
  void give_back(std::span<const SetEvent> events);
  void arm_again(std::uint64_t number);
  [[nodiscard]] Errc member_call(Verb verb, Watch& watch);

  std::shared_ptr<Service> service_;
  ReadySet set_;
  Descriptor stop_bell_;  // readable while stopped
  // Written by stop() and restart(), read by the loops. Release/acquire: who sees a stop sees what was before it.
  std::atomic<bool> stopped_{false};
  std::atomic<unsigned> runners_{0};  // threads in run(); relaxed, a hint
  std::mutex mutex_;
  std::condition_variable returned_;  // a callback returned
  // Guarded by mutex_, by the number that events carry: the watches, and who runs a callback (the busy bits).
  std::unordered_map<std::uint64_t, Watch*> watches_;
  std::unordered_map<std::uint64_t, std::thread::id> running_;
  std::uint64_t next_number_ = 1;
};

}  // namespace leat
