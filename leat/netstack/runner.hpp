#pragma once
// Runners of a Netstack: the loop that takes commands, moves packets and sleeps between.
//
//   run_blocking(stack, {.stop = token});                 // in the caller, until the token says so
//   NetstackThread thread(stack);                          // in a thread of its own, while the object lives
//   tasks.block_on(run_async(stack, tasks, token))         // as a coroutine beside others
//
// The clock and the sleep are the caller's if he wants: a simulator's clock, a sleep that waits for something else too.
// `tasks`: coroutines that are resumed in the same thread between two turns.
//
// Threading: the thread that runs owns the stack meanwhile.

#include <functional>
#include <leat/netstack/netstack.hpp>
#include <stop_token>
#include <thread>

namespace leat {

struct NetstackRunner {
  std::stop_token stop{};
  std::function<Instant()> clock{};                                    // unset: the monotonic clock
  std::function<void(Netstack&, Instant now, Instant until)> sleep{};  // unset: Netstack::wait_for_io
  channel::RunQueue* tasks = nullptr;
  std::function<bool()> done{};  // asked after every turn; unset: never
};

void run_blocking(Netstack& stack, const NetstackRunner& options);

// The coroutine: it goes on whenever a command, a packet of a device with a waker, or a deadline comes. `tasks` has the
// clock.
[[nodiscard]] channel::Task<void> run_async(Netstack& stack, channel::RunQueue& tasks, std::stop_token stop);

class NetstackThread {
 public:
  explicit NetstackThread(Netstack& stack, NetstackRunner options = {});
  ~NetstackThread();
  NetstackThread(const NetstackThread&) = delete;
  NetstackThread& operator=(const NetstackThread&) = delete;

 private:
  Netstack* stack_;
  std::jthread thread_;
};

}  // namespace leat
