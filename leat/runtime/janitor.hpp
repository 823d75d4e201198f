#pragma once
// Janitor: the thread that keeps a shared stack's time while all callers compute: timers fire, data is acknowledged,
// retransmissions leave. Most of the time it does nothing (rule 14):
//
//   deep     asleep; somebody else watches the devices
//   grace    nobody watches since a moment ago: it looks again after 1 ms, for the caller is probably back by then;
//            after up to 8 ms when the caller was at work each time, but never 1 ms later than a timer is due
//   leading  nobody came back: it watches
//
// It is given what to do as functions, so that it knows no shard. Threading: start and stop by one thread; ask and ring
// by any.

#include <atomic>
#include <leat/base/delegate.hpp>
#include <leat/runtime/shard_token.hpp>
#include <leat/runtime/sleeper.hpp>
#include <memory>
#include <thread>

namespace leat {

class Janitor {
 public:
  struct Work {
    Delegate<void(Sleeper&)> serve;
    Delegate<JanitorPlan(Sleeper&)> grace_ends;
  };

  Janitor() = default;
  ~Janitor() { stop(); }
  Janitor(const Janitor&) = delete;
  Janitor& operator=(const Janitor&) = delete;

  // Where its thread sleeps; nullptr: no descriptors, or no thread.
  [[nodiscard]] Sleeper* start(const std::shared_ptr<ShardMark>& mark, int watch_fd, const Work& work);
  // Waits for the thread; from inside the thread itself it lets the thread end by itself.
  void stop();
  [[nodiscard]] bool running() const { return sleeper_ != nullptr; }

  // A turn is wanted, not only a change of mode. ring() follows.
  void ask() { control_->asked.store(true, std::memory_order_release); }
  void ring() { sleeper_->wake(); }

 private:
  // Outlives this object in the thread that ends it from inside.
  struct Control {
    // Written by stop(), read by the thread behind every wake. Release/acquire: what was before stop() is seen.
    std::atomic<bool> stop{false};
    // Written by ask(), taken by the thread. Release/acquire: what is to be done is seen, though the token orders it
    // too.
    std::atomic<bool> asked{false};
  };
  static void loop(const std::shared_ptr<Control>& control, Sleeper& sleeper, const Work& work);

  std::shared_ptr<Control> control_;
  Sleeper* sleeper_ = nullptr;
  std::thread thread_;
};

}  // namespace leat
