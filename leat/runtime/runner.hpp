#pragma once
// Runner: the loop of a hosted program. It turns its shards, sleeps in epoll until a device has a packet, a deadline
// comes, a watched descriptor is ready or another thread posts something, and turns again.
//
//   leat::Runner runner;
//   runner.add(shard);
//   leat::StopOnSignals signals(runner);   // signals.hpp: SIGINT and SIGTERM
//   runner.run();                          // in the caller, until request_stop()
//
//   runner.start();                        // or in a thread of its own
//   runner.post([&] { ... shard ... });    // runs in that thread between two turns
//   runner.stop();                         // returns when the thread has ended
//
// Whoever is in run() owns the shards. From any thread: post, call, request_stop (also from a signal handler). All
// other members: before run() or start(), or from inside the loop (a socket's callback, a watch, a timer, a posted
// task).

#include <atomic>
#include <cstdint>
#include <functional>
#include <leat/base/delegate.hpp>
#include <leat/drive/shard.hpp>
#include <leat/runtime/wait_policy.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace leat {

class Runner {
 public:
  using Task = std::function<void()>;
  using TimerId = std::uint64_t;
  enum class End : std::uint8_t { stopped, deadline };

  explicit Runner(WaitPolicy policy = {});
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // The shard's devices are watched from the next turn on. Both must outlive the runner or be removed.
  void add(Shard& shard);
  void remove(Shard& shard);
  // Calls `ready` with the epoll events of the descriptor (level-triggered). One watch per descriptor; false when the
  // kernel can't watch it (a plain file).
  bool watch(int fd, std::uint32_t events, std::function<void(std::uint32_t events)> ready);
  void unwatch(int fd);
  // Runs the task once, not before `delay` has passed.
  TimerId after(Duration delay, Task task);
  void cancel(TimerId timer);

  // Runs in the caller until request_stop() or until the monotonic clock shows `until`; when both come, it was stopped.
  End run(Instant until = Instant::never());
  // Runs until `done()` is true, asked after every turn. False when the deadline came or it was stopped first.
  bool run_until(const std::function<bool()>& done, Instant until = Instant::never());
  // Async-signal-safe. The next end of a turn ends run(); one that comes before run() is not lost.
  void request_stop();

  void start();
  // Requests a stop and waits for the thread. Nothing when it was not started.
  void stop();
  // Runs the task in the loop, soon. Tasks run in the order of their posting.
  void post(Task task);
  // The same, and waits for it. In the loop's own thread it just runs.
  void call(const Task& task);

  // The time of the current turn.
  [[nodiscard]] Instant now() const { return now_; }
  [[nodiscard]] std::uint64_t turns() const { return turns_; }
  [[nodiscard]] std::uint64_t sleeps() const { return sleeps_; }

 private:
  enum class LoopEnd : std::uint8_t { done, stopped, deadline };

  LoopEnd loop(const std::function<bool()>& done, Instant until);
  LoopEnd turns_until(const std::function<bool()>& done, Instant until);
  Instant turn();
  void run_posted();
  void run_due_timers();
  void watch_devices();
  void sleep(Instant until);
  [[nodiscard]] std::uint64_t packets_moved() const;

  WaitPolicy policy_;
  int epoll_ = -1;
  int wake_ = -1;  // eventfd, in the epoll set
  std::vector<Shard*> shards_;
  std::vector<std::pair<AnyDevice*, int>> devices_;  // those whose descriptors are in the epoll set
  std::unordered_map<int, std::shared_ptr<std::function<void(std::uint32_t)>>> watches_;
  std::map<std::pair<Instant, TimerId>, Task> timers_;
  std::unordered_map<TimerId, Instant> timer_times_;
  TimerId next_timer_ = 1;
  Instant now_;
  std::uint64_t turns_ = 0;
  std::uint64_t sleeps_ = 0;
  std::uint64_t moved_ = 0;
  Instant last_packet_;

  // Written by request_stop (any thread, signal handlers), read by the loop. Relaxed: no data hangs on it; the eventfd
  // write wakes the sleeper.
  std::atomic<bool> stop_{false};
  // Written under mutex_ by post, read by the loop without it as a hint that the queue is not empty.
  std::atomic<bool> has_posted_{false};
  std::mutex mutex_;
  std::vector<Task> posted_;  // guarded by mutex_
  std::thread thread_;
  // Who is in run(); read by call() to see whether it is the loop itself. Default: nobody.
  std::atomic<std::thread::id> owner_{};
};

}  // namespace leat
