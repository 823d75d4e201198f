#pragma once
// Schedules: threads that run one at a time and hand control on at every step, so that a test can walk all the orders
// in which they may run. A step is an access to an atomic (StepAtomics), or whatever else says Scheduler::step(). A
// schedule is the list of choices that were made: which of those who can go on does. Threads are fibers; a run that is
// over unwinds those that have not ended.
//
// Threading: one thread.

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <leat/op/op.hpp>
#include <leat/runtime/fiber_test_support.hpp>
#include <leat/runtime/shard_token.hpp>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace leat::test {

class Scheduler;
inline Scheduler* scheduler = nullptr;  // of the run that is going on

// A thread of the run.
struct Thread {
  std::string name;
  std::function<void()> body;
  Fiber fiber;
  std::function<bool()> waits_for;  // runnable when this is true; unset: runnable
  bool idle_only = false;           // runs only when nobody else can: time passes
  bool background = false;          // need not end
  bool finished = false;
  unsigned steps = 0;
  const Op* own = nullptr;  // what it waits for
  bool served = false;      // that has ended
  unsigned worked = 0;      // operations that it ran for others since
  HeldToken* held = nullptr;
  Op* follow_head = nullptr;
  Op* follow_tail = nullptr;
  bool following = false;
};

// How a run differs from the one that never preempts.
struct Plan {
  std::vector<unsigned> choices;  // what was chosen at each point with more than one way
  unsigned preemptions = 0;
  int stopped = -1;      // this fiber stops ...
  unsigned at_step = 0;  // ... before this step of its own
  std::mt19937* random = nullptr;
};

class Scheduler {
 public:
  explicit Scheduler(Plan& plan) : plan_(&plan) { scheduler = this; }
  ~Scheduler() { scheduler = nullptr; }
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  Thread& add(std::string name, std::function<void()> body) {
    auto f = std::make_unique<Thread>();
    f->name = std::move(name);
    f->body = std::move(body);
    fibers_.push_back(std::move(f));
    return *fibers_.back();
  }
  Thread& current() { return *fibers_[current_]; }
  [[nodiscard]] bool stopped(const Thread& f) const {
    return plan_->stopped >= 0 && fibers_[static_cast<std::size_t>(plan_->stopped)].get() == &f &&
           f.steps >= plan_->at_step;
  }
  std::vector<std::unique_ptr<Thread>>& fibers() { return fibers_; }

  // Runs until nobody can. `quiet` is called then and may make somebody runnable (true).
  void run(const std::function<bool()>& quiet) {
    for (auto& f : fibers_) f->fiber.begin_with(&Scheduler::enter);
    resume(quiet);
  }
  // Goes on, after a plan has changed.
  void resume(const std::function<bool()>& quiet) {
    do {
      while (!failed && pick(fibers_.size())) Fiber::go(main_, current().fiber);
    } while (!failed && quiet());
  }

  // A step of the current fiber: others may come between.
  void step() {
    Thread& me = current();
    if (ending_) throw Ending{};
    ++me.steps;
    if (++steps > kMostSteps) fail("it does not end");
    const std::size_t self = current_;
    const bool on = !failed && pick(self);
    if (!on) {
      Fiber::go(me.fiber, main_);
    } else if (current_ != self) {
      Fiber::go(me.fiber, current().fiber);
    }
    if (failed && !ending_) Fiber::go(me.fiber, main_);
    if (ending_) throw Ending{};
  }
  // The run is over: those that have not ended leave all their frames.
  void end_all() {
    ending_ = true;
    for (current_ = 0; current_ < fibers_.size(); ++current_)
      if (current().fiber.begun() && !current().finished) Fiber::go(main_, current().fiber);
  }
  void wait(std::function<bool()> until) {
    Thread& me = current();
    me.waits_for = std::move(until);
    step();
    me.waits_for = nullptr;
  }
  void fail(const std::string& why) {
    if (!failed) failed = why;
  }

  std::optional<std::string> failed;
  unsigned steps = 0;
  // The choices that this run made, with how many there were.
  std::vector<std::pair<unsigned, unsigned>> trail;

 private:
  struct Ending {};
  static constexpr unsigned kMostSteps = 20'000;

  static void enter() {
    Scheduler& s = *scheduler;
    Fiber::arrived(s.main_);
    Thread& me = s.current();
    try {
      me.body();
    } catch (const Ending&) {
    }
    me.finished = true;
    const bool on = !s.ending_ && !s.failed && s.pick(s.fibers_.size());
    Fiber::go(me.fiber, on ? s.current().fiber : s.main_, true);
  }
  [[nodiscard]] bool runnable(const Thread& f) const {
    return !f.finished && !stopped(f) && (!f.waits_for || f.waits_for());
  }
  // Chooses who goes on; `self` has been running and goes on by default. False: nobody can.
  bool pick(std::size_t self) {
    std::array<std::size_t, 8> ways{};
    unsigned n = 0;
    const bool on = self < fibers_.size() && runnable(*fibers_[self]);
    if (on) ways[n++] = self;
    if (!on || preemptions_ < plan_->preemptions)
      for (std::size_t i = 0; i < fibers_.size(); ++i)
        if (i != self && runnable(*fibers_[i]) && !fibers_[i]->idle_only) ways[n++] = i;
    if (n == 0)
      for (std::size_t i = 0; i < fibers_.size() && n == 0; ++i)
        if (i != self && runnable(*fibers_[i])) ways[n++] = i;
    if (n == 0) return false;
    unsigned chosen = 0;
    if (n > 1) {
      if (plan_->random != nullptr) {
        chosen = on && (*plan_->random)() % 8 != 0 ? 0 : static_cast<unsigned>((*plan_->random)() % n);
      } else if (trail.size() < plan_->choices.size()) {
        chosen = plan_->choices[trail.size()];
      }
      trail.emplace_back(chosen, n);
    }
    if (on && chosen != 0) ++preemptions_;
    current_ = ways[chosen];
    return true;
  }

  Plan* plan_;
  std::vector<std::unique_ptr<Thread>> fibers_;
  std::size_t current_ = 0;
  unsigned preemptions_ = 0;
  Fiber main_;
  bool ending_ = false;
};

// --- atomics that are steps

// Where an operation is accessed: (d) of rule 19.
inline void (*check_alive)(const void* at) = nullptr;

template <class T>
class StepAtomic {
 public:
  StepAtomic() = default;
  explicit StepAtomic(T v) : value_(v) {}
  T load(std::memory_order) const {
    scheduler->step();
    return value_;
  }
  void store(T v, std::memory_order) {
    scheduler->step();
    value_ = v;
  }
  T exchange(T v, std::memory_order) {
    scheduler->step();
    return std::exchange(value_, v);
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order, std::memory_order) {
    scheduler->step();
    if (value_ != expected) {
      expected = value_;
      return false;
    }
    value_ = desired;
    return true;
  }
  bool compare_exchange_weak(T& e, T d, std::memory_order a, std::memory_order b) {
    return compare_exchange_strong(e, d, a, b);
  }

 private:
  T value_{};
};

template <class T>
class StepRef {
 public:
  explicit StepRef(T& value) : value_(&value) {}
  T load(std::memory_order) const {
    at();
    return *value_;
  }
  void store(T v, std::memory_order) {
    at();
    *value_ = v;
  }
  T exchange(T v, std::memory_order) {
    at();
    const T old = std::exchange(*value_, v);
    scheduler->step();  // it may have told somebody: what follows is not its own any more
    return old;
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order, std::memory_order) {
    at();
    if (*value_ != expected) {
      expected = *value_;
      return false;
    }
    *value_ = desired;
    return true;
  }

 private:
  void at() const {
    scheduler->step();
    check_alive(value_);  // (d), after others went on
  }
  T* value_;
};

struct StepAtomics {
  template <class T>
  using Atomic = StepAtomic<T>;
  template <class T>
  using Ref = StepRef<T>;
};

}  // namespace leat::test
