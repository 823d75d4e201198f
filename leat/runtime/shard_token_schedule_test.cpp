// Every schedule of a few threads over the shared stack's protocol (ShardToken, TokenWord), with a bounded number of
// preemptions, on the real source: the atomics and the World are this file's and hand control to a scheduler at every
// access. A thread is a fiber; a schedule is the list of choices that were made, walked depth first.
//
// What is checked is rule 19 of shared-stack-protocol.md:
//   (a) every operation ends   (b) no packet waits for nobody   (c) one owner at a time   (d) an operation that ended
//   is not touched   (e) with all asleep the timer is not late   (f) an operation runs within two budgets of its post
// and each again with one thread stopped for good at every one of its steps: what does not depend on it still holds.

#include <gtest/gtest.h>
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <functional>
#include <leat/runtime/shard_token.hpp>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LEAT_TEST_NO_FIBERS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LEAT_TEST_NO_FIBERS 1
#endif
#endif

namespace leat {
namespace {

// --- the scheduler ---------------------------------------------------------------------------------------------------

class Scheduler;
Scheduler* scheduler = nullptr;  // of the run that is going on

constexpr std::size_t kStack = std::size_t{128} << 10;

struct Fiber {
  std::string name;
  std::function<void()> body;
  ucontext_t context{};  // how it begins
  jmp_buf place{};       // where it went on, later: unlike swapcontext it asks the kernel for nothing
  bool begun = false;
  std::unique_ptr<std::array<char, kStack>> stack;
  std::function<bool()> waits_for;  // runnable when this is true; unset: runnable
  bool idle_only = false;           // runs only when nobody else can: time passes
  bool background = false;          // need not end
  bool finished = false;
  unsigned steps = 0;
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
  ~Scheduler() {
    scheduler = nullptr;
    for (auto& f : fibers_) stacks().push_back(std::move(f->stack));
  }

  Fiber& add(std::string name, std::function<void()> body) {
    auto f = std::make_unique<Fiber>();
    f->name = std::move(name);
    f->body = std::move(body);
    if (stacks().empty()) {
      f->stack = std::make_unique<std::array<char, kStack>>();
    } else {
      f->stack = std::move(stacks().back());
      stacks().pop_back();
    }
    fibers_.push_back(std::move(f));
    return *fibers_.back();
  }
  Fiber& current() { return *fibers_[current_]; }
  [[nodiscard]] bool stopped(const Fiber& f) const {
    return plan_->stopped >= 0 && fibers_[static_cast<std::size_t>(plan_->stopped)].get() == &f &&
           f.steps >= plan_->at_step;
  }
  std::vector<std::unique_ptr<Fiber>>& fibers() { return fibers_; }

  // Runs until nobody can. `quiet` is called then and may make somebody runnable (true).
  void run(const std::function<bool()>& quiet) {
    for (auto& f : fibers_) {
      getcontext(&f->context);
      f->context.uc_stack.ss_sp = f->stack->data();
      f->context.uc_stack.ss_size = f->stack->size();
      f->context.uc_link = nullptr;  // enter() never returns
      makecontext(&f->context, &Scheduler::enter, 0);
    }
    resume(quiet);
  }
  // Goes on, after a plan has changed.
  void resume(const std::function<bool()>& quiet) {
    do {
      while (!failed && pick(fibers_.size())) go(main_, current());
    } while (!failed && quiet());
  }

  // A step of the current fiber: others may come between.
  void step() {
    Fiber& me = current();
    ++me.steps;
    if (++steps > kMostSteps) fail("it does not end");
    const std::size_t self = current_;
    if (failed || !pick(self)) {
      go(me.place, main_);
      return;
    }
    if (current_ != self) go(me.place, current());
    if (failed) go(me.place, main_);
  }
  void wait(std::function<bool()> until) {
    Fiber& me = current();
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
  // For the next run: they cost more than the run.
  static std::vector<std::unique_ptr<std::array<char, kStack>>>& stacks() {
    static std::vector<std::unique_ptr<std::array<char, kStack>>> all;
    return all;
  }
  static constexpr unsigned kMostSteps = 20'000;

  static void enter() {
    Scheduler& s = *scheduler;
    Fiber& me = s.current();
    me.body();
    me.finished = true;
    jmp_buf nowhere;
    if (!s.failed && s.pick(s.fibers_.size())) {
      go(nowhere, s.current());
    } else {
      go(nowhere, s.main_);
    }
  }
  static void go(jmp_buf& from, Fiber& to) {
    if (_setjmp(from) != 0) return;
    if (to.begun) _longjmp(to.place, 1);
    to.begun = true;
    setcontext(&to.context);
  }
  static void go(jmp_buf& from, jmp_buf& to) {
    if (_setjmp(from) == 0) _longjmp(to, 1);
  }
  [[nodiscard]] bool runnable(const Fiber& f) const {
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
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::size_t current_ = 0;
  unsigned preemptions_ = 0;
  jmp_buf main_{};
};

// --- atomics that are steps ------------------------------------------------------------------------------------------

void check_alive(const void* at);

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
    return std::exchange(*value_, v);
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

// --- a world without a system ----------------------------------------------------------------------------------------

struct ModelSleeper : SleeperState<StepAtomics> {
  bool armed = false;
  bool bell = false, bell_alone = false;
  bool signal = false;
  int references = 1;
  bool asleep = false;
  unsigned spins_left = 0;
};

constexpr std::size_t kSockets = 4;

// Operations of the model: Verb::receive takes a packet of socket `value`, Verb::take_error ends at once.
class World {
 public:
  using Atomics = StepAtomics;
  using Sleeper = ModelSleeper;
  static constexpr unsigned kForeignOps = 1;

  struct Woken {
    bool watch = false, interrupted = false, rung = false;
  };
  struct Drained {
    bool timer = false, kick = false;
  };

  // --- under the token
  bool start(Op& op) {
    const Owner owner(*this);
    alive(op);
    ++starts_;
    const auto posted = std::ranges::find(posts_, &op, &std::pair<Op*, unsigned>::first);
    if (posted != posts_.end()) {
      // (f): two budgets, and one operation of each caller's own.
      if (starts_ - posted->second > 2 * kForeignOps + scheduler->fibers().size())
        scheduler->fail("(f) it waited long");
      posts_.erase(posted);
    }
    op.error = Errc{};
    op.count = 0;
    if (attempt(op)) return true;
    op.pending = true;
    parked_.push_back(&op);
    return false;
  }
  bool withdraw(Op& op, Errc why) {
    const Owner owner(*this);
    alive(op);
    if (!op.pending) return false;
    op.error = why;
    complete(op);
    return true;
  }
  void withdraw_all(Errc why) {
    while (!parked_.empty()) (void)withdraw(*parked_.front(), why);
  }
  Op* take_completed() {
    const Owner owner(*this);
    if (completed_.empty()) return nullptr;
    Op* const op = completed_.front();
    completed_.pop_front();
    return op;
  }
  Instant turn() {
    {
      const Owner owner(*this);
      drain_ring();
      received_ += device_.size();
      while (!device_.empty()) {
        ++sockets_[device_.front()];
        device_.pop_front();
      }
    }
    scheduler->step();
    return flush();
  }
  Instant flush() {
    const Owner owner(*this);
    turn_time_ = clock;
    Instant next = Instant::never();
    const auto all = parked_;
    for (Op* op : all) {
      if (attempt(*op)) {
        complete(*op);
      } else if (op->deadline <= clock) {
        op->error = Errc::timed_out;
        complete(*op);
      } else {
        next = earlier(next, op->deadline);
      }
    }
    return next;
  }
  [[nodiscard]] Instant turn_time() const { return turn_time_; }
  [[nodiscard]] std::uint64_t received() const { return received_; }
  [[nodiscard]] static bool checks() { return true; }
  // Rule 11's ring: the device says that somebody wants to be rung.
  bool before_sleep() {
    const Owner owner(*this);
    wish_ = true;
    scheduler->step();
    if (ring_.empty()) return true;
    wish_ = false;
    return false;
  }
  void after_sleep() { wish_ = rung_ = false; }
  void arm(Sleeper& s, bool on) {
    const Owner owner(*this);
    check(s);
    s.armed = on;
  }
  void set_timer(Instant when) {
    const Owner owner(*this);
    timer_ = when;
    timer_fired_ = false;
  }
  Drained drain_watch() {
    const Owner owner(*this);
    const Drained d{timer_fired_, kicked_};
    timer_fired_ = kicked_ = false;
    return d;
  }

  // --- from any thread
  Sleeper* sleeper() {
    auto& s = sleepers_[&scheduler->current()];
    if (s == nullptr) s = std::make_unique<ModelSleeper>();
    return s.get();
  }
  void ref(Sleeper& s) {
    check(s);
    ++s.references;
  }
  void unref(Sleeper& s) {
    check(s);
    --s.references;
  }
  void wake(Sleeper& s) {
    scheduler->step();
    check(s);
    s.bell = s.bell_alone = true;
  }
  void kick() {
    scheduler->step();
    kicked_ = true;
  }
  void ask_janitor() { janitor_asked = true; }
  void wake_janitor() { wake(*janitor); }
  Woken sleep(Sleeper& s, int) {
    s.asleep = true;
    scheduler->wait([this, &s] { return s.bell || s.signal || (s.armed && watch_readable()); });
    s.asleep = false;
    const Woken w{.watch = s.armed && watch_readable(), .interrupted = s.signal, .rung = s.bell};
    s.bell = s.signal = false;
    return w;
  }
  static void sleep_alone(Sleeper& s) {
    s.asleep = true;
    scheduler->wait([&s] { return s.bell_alone; });
    s.asleep = false;
    s.bell_alone = false;
  }
  static void pause() { scheduler->step(); }
  static void pause_long() { scheduler->step(); }
  bool begin_spin(Sleeper& s, bool for_owner) const {
    s.spins_left = for_owner ? posted_spin_rounds : spin_rounds;
    return s.spins_left > 0;
  }
  static bool spin_on(Sleeper& s) { return --s.spins_left > 0; }
  static void end_spin(const Sleeper&, bool) {}
  [[nodiscard]] unsigned posted_spins(const Sleeper&) const { return posted_spin_rounds; }
  [[nodiscard]] Instant now() const { return clock; }
  static HeldToken*& held() { return scheduler->current().held; }
  static void follow_up(Op* list) {
    Fiber& f = scheduler->current();
    if (list != nullptr) {
      Op* last = list;
      while (last->list_next != nullptr) last = last->list_next;
      (f.follow_head == nullptr ? f.follow_head : f.follow_tail->list_next) = list;
      f.follow_tail = last;
    }
    if (f.follow_head == nullptr || f.following || f.held != nullptr) return;
    f.following = true;
    while (f.follow_head != nullptr) {
      Op& op = *f.follow_head;
      f.follow_head = op.list_next;
      op.list_next = nullptr;
      op.completed(op);
    }
    f.following = false;
  }

  // --- for scenarios
  void packet(std::size_t socket) {
    scheduler->step();
    device_.push_back(socket);
  }
  // A packet over the ring of rule 11: publish, look at the wish, ring.
  void ring_packet(std::size_t socket) {
    scheduler->step();
    ring_.push_back(socket);
    scheduler->step();
    if (!wish_) return;
    wish_ = false;
    scheduler->step();
    rung_ = true;
  }
  void note_post(Op& op) { posts_.emplace_back(&op, starts_); }
  [[nodiscard]] bool watch_readable() const { return !device_.empty() || kicked_ || timer_fired_ || rung_; }
  [[nodiscard]] bool somebody_parked() const { return !parked_.empty(); }
  [[nodiscard]] bool device_waits() const { return !device_.empty() || !ring_.empty(); }
  [[nodiscard]] Instant next_deadline() const {
    Instant next = Instant::never();
    for (const Op* op : parked_) next = earlier(next, op->deadline);
    return next;
  }
  [[nodiscard]] Instant timer() const { return timer_fired_ ? Instant::from_ns(0) : timer_; }
  bool fire_timer() {
    if (timer_.is_never() || timer_fired_) return false;
    clock = clock < timer_ ? timer_ : clock;
    timer_ = Instant::never();
    timer_fired_ = true;
    return true;
  }
  Sleeper* sleeper_of(Fiber& f) {
    const auto at = sleepers_.find(&f);
    return at == sleepers_.end() ? nullptr : at->second.get();
  }

  Instant clock = Instant::from_ns(1000);
  unsigned spin_rounds = 0;
  unsigned posted_spin_rounds = 0;
  Sleeper* janitor = nullptr;
  bool janitor_asked = false;
  bool janitor_grace = false;

 private:
  // (c): whoever is in here holds the token; two at once are seen because every step lets others in.
  struct Owner {
    explicit Owner(World& w) : world(&w) {
      if (w.owner_ != nullptr && w.owner_ != &scheduler->current()) scheduler->fail("(c) two owners");
      before = std::exchange(w.owner_, &scheduler->current());
      scheduler->step();
    }
    ~Owner() { world->owner_ = before; }
    World* world;
    Fiber* before;
  };
  static void check(const Sleeper& s) {
    if (s.references <= 0) scheduler->fail("a sleeper is used after its end");
  }
  static void alive(const Op& op) { check_alive(&op); }
  bool attempt(Op& op) {
    alive(op);
    if (op.verb != Verb::receive) return true;
    auto& waiting = sockets_[static_cast<std::size_t>(op.value)];
    if (waiting == 0) return false;
    --waiting;
    op.count = 1;
    return true;
  }
  void complete(Op& op) {
    alive(op);
    std::erase(parked_, &op);
    op.pending = false;
    completed_.push_back(&op);
  }
  void drain_ring() {
    received_ += ring_.size();
    while (!ring_.empty()) {
      ++sockets_[ring_.front()];
      ring_.pop_front();
    }
  }

  std::deque<std::size_t> device_, ring_;
  bool wish_ = false, rung_ = false;
  std::array<unsigned, kSockets> sockets_{};
  std::vector<Op*> parked_;
  std::deque<Op*> completed_;
  std::vector<std::pair<Op*, unsigned>> posts_;
  unsigned starts_ = 0;
  std::uint64_t received_ = 0;
  Instant turn_time_;
  Instant timer_ = Instant::never();
  bool timer_fired_ = false;
  bool kicked_ = false;
  Fiber* owner_ = nullptr;
  std::map<Fiber*, std::unique_ptr<ModelSleeper>> sleepers_;
};

// --- operations whose end is watched ---------------------------------------------------------------------------------

// Operations of the run that have ended: poisoned, and kept to the end of the run.
struct Graveyard {
  std::vector<std::pair<const void*, std::size_t>> dead;
  std::vector<void*> memory;
  ~Graveyard() {
    for (void* m : memory) ::operator delete (m, std::align_val_t{alignof(Op)});
  }
  Op& make() {
    void* const m = ::operator new (sizeof(Op), std::align_val_t{alignof(Op)});
    memory.push_back(m);
    return *new (m) Op;
  }
  void bury(Op& op) {
    void* const m = &op;
    std::destroy_at(&op);
    std::memset(m, 0xdd, sizeof(Op));
    dead.emplace_back(m, sizeof(Op));
  }
  [[nodiscard]] bool disturbed() const {
    return std::ranges::any_of(dead, [](const auto& d) {
      const auto* const b = static_cast<const unsigned char*>(d.first);
      return std::any_of(b, b + d.second, [](unsigned char c) { return c != 0xdd; });
    });
  }
  [[nodiscard]] bool holds(const void* at) const {
    return std::ranges::any_of(dead, [&](const auto& d) {
      const auto* const b = static_cast<const std::byte*>(d.first);
      const auto* const p = static_cast<const std::byte*>(at);
      return std::less_equal<>{}(b, p) && std::less<>{}(p, b + d.second);
    });
  }
};
Graveyard* graveyard = nullptr;

void check_alive(const void* at) {
  if (graveyard->holds(at)) scheduler->fail("(d) an operation is touched after its end");
}

// --- a run -----------------------------------------------------------------------------------------------------------

class Trial {
 public:
  explicit Trial(Plan& plan) : schedule(plan), token(world) { graveyard = &graves; }
  ~Trial() { graveyard = nullptr; }
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;

  // A blocking call, as its own frame has it. Returns how it ended.
  Errc call(Verb verb, std::size_t socket = 0, Duration limit = Duration::max()) {
    Op& op = graves.make();
    op.verb = verb;
    op.value = static_cast<std::int64_t>(socket);
    if (limit < Duration::max()) op.deadline = world.clock + limit;
    world.note_post(op);
    token.run(op);
    const Errc error = op.error;
    graves.bury(op);
    return error;
  }
  Fiber& caller(const std::string& name, std::function<void()> body) {
    return schedule.add(name, [this, body = std::move(body)] {
      body();
      if (Fiber& me = schedule.current(); world.sleeper_of(me) != nullptr) world.unref(*world.sleeper_of(me));
    });
  }
  // As Janitor::loop; its time passes when nobody else can run.
  void with_janitor() {
    janitor_sleeper = std::make_unique<ModelSleeper>();
    world.janitor = janitor_sleeper.get();
    Fiber& f = schedule.add("janitor", [this] {
      ModelSleeper& s = *janitor_sleeper;
      token.janitor_starts(s);
      for (;;) {
        const bool grace = world.janitor_grace;
        s.asleep = true;
        schedule.wait([this, &s] {
          return s.bell || (s.armed && world.watch_readable()) || (world.janitor_grace && grace_over);
        });
        s.asleep = false;
        const bool watch = s.armed && world.watch_readable();
        const bool rung = std::exchange(s.bell, false);
        const bool over = std::exchange(grace_over, false);
        if (token.dead()) return;
        if (watch || std::exchange(world.janitor_asked, false)) token.janitor_serves(s);
        if (rung) {
          world.janitor_grace = true;
          continue;
        }
        if (!grace || watch || !over) continue;
        world.janitor_grace = token.janitor_grace_ends(s) == JanitorMode::grace;
      }
    });
    f.background = true;
  }

  // Nobody can go on. Time passes: a grace ends, or the timer fires. True: go on.
  bool quiet() {
    // (b)
    if (world.somebody_parked() && world.device_waits() && !anybody_stopped() && !world.janitor_grace) {
      schedule.fail("(b) a packet waits and nobody watches");
      return false;
    }
    // (e)
    if (!anybody_stopped() && world.next_deadline() < world.timer()) {
      if (!world.janitor_grace) {
        schedule.fail("(e) the timer is late");
        return false;
      }
    }
    if (world.janitor_grace && !grace_over && janitor_quiets < 8) {
      ++janitor_quiets;
      grace_over = true;
      return true;
    }
    return world.fire_timer();
  }
  [[nodiscard]] bool anybody_stopped() {
    return std::ranges::any_of(schedule.fibers(), [&](const auto& f) { return schedule.stopped(*f); });
  }

  Graveyard graves;
  Scheduler schedule;
  World world;
  ShardToken<World> token;
  std::unique_ptr<ModelSleeper> janitor_sleeper;
  bool grace_over = false;
  unsigned janitor_quiets = 0;
  std::function<void()> at_end;
};

using Scenario = std::function<void(Trial&)>;

// What the schedules of one test went through, so that a test can say that they went where it meant them to.
struct Covered {
  std::uint64_t grants = 0, left_behind = 0, foreign_ops = 0, role_moves = 0, departures = 0, janitor_turns = 0;
  void add(const ShardTokenCounters& c) {
    grants += c.grants;
    left_behind += c.left_behind;
    foreign_ops += c.foreign_ops;
    role_moves += c.role_moves;
    departures += c.departures;
    janitor_turns += c.janitor_turns;
  }
};
Covered covered;

std::string describe(const Trial& run) {
  std::string text = *run.schedule.failed + ", schedule";
  for (const auto& [chosen, ways] : run.schedule.trail)
    text += ' ' + std::to_string(chosen) + '/' + std::to_string(ways);
  return text;
}

// Nothing when all is well.
std::optional<std::string> run_once(const Scenario& scenario, Plan& plan,
                                    std::vector<std::pair<unsigned, unsigned>>* trail = nullptr,
                                    std::vector<unsigned>* steps = nullptr) {
  Trial run(plan);
  scenario(run);
  run.schedule.run([&] { return run.quiet(); });
  if (!run.schedule.failed && plan.stopped >= 0) {  // and it wakes up at last
    plan.stopped = -1;
    run.janitor_quiets = 0;
    run.schedule.resume([&] { return run.quiet(); });
  }
  if (!run.schedule.failed)
    for (const auto& f : run.schedule.fibers())
      if (!f->finished && !f->background) run.schedule.fail("(a) " + f->name + " does not end");
  if (!run.schedule.failed && run.graves.disturbed()) run.schedule.fail("(d) an operation is written after its end");
  if (!run.schedule.failed && run.at_end) run.at_end();
  covered.add(run.token.counters());
  if (trail != nullptr) *trail = run.schedule.trail;
  if (steps != nullptr)
    for (const auto& f : run.schedule.fibers()) steps->push_back(f->steps);
  if (run.schedule.failed) return describe(run);
  return std::nullopt;
}

// All schedules with so many preemptions, at most `most` of them. Returns how many there were.
unsigned explore(const Scenario& scenario, unsigned preemptions, unsigned most) {
  Plan plan;
  plan.preemptions = preemptions;
  unsigned runs = 0;
  for (; runs < most; ++runs) {
    std::vector<std::pair<unsigned, unsigned>> trail;
    if (const auto failed = run_once(scenario, plan, &trail)) {
      ADD_FAILURE() << *failed;
      return runs + 1;
    }
    while (!trail.empty() && trail.back().first + 1 == trail.back().second) trail.pop_back();
    if (trail.empty()) return runs + 1;
    ++trail.back().first;
    plan.choices.clear();
    for (const auto& t : trail) plan.choices.push_back(t.first);
  }
  return runs;
}

// Random schedules, from seeds that are told.
void wander(const Scenario& scenario, unsigned runs) {
  for (unsigned seed = 1; seed <= runs; ++seed) {
    std::mt19937 random(seed);
    Plan plan;
    plan.preemptions = 1000;
    plan.random = &random;
    if (const auto failed = run_once(scenario, plan)) {
      ADD_FAILURE() << "seed " << seed << ": " << *failed;
      return;
    }
  }
}

// Each fiber stopped before each of its steps; the others go on as far as they can, and it wakes up at last.
unsigned stop_each(const Scenario& scenario) {
  std::vector<unsigned> steps;
  Plan plain;
  if (const auto failed = run_once(scenario, plain, nullptr, &steps)) {
    ADD_FAILURE() << *failed;
    return 0;
  }
  unsigned runs = 0;
  for (std::size_t f = 0; f < steps.size(); ++f)
    for (unsigned at = 0; at <= steps[f]; ++at) {
      Plan plan;
      plan.stopped = static_cast<int>(f);
      plan.at_step = at;
      ++runs;
      if (const auto failed = run_once(scenario, plan)) {
        ADD_FAILURE() << "fiber " << f << " stopped at " << at << ": " << *failed;
        return runs;
      }
    }
  return runs;
}

class SharedSchedules : public ::testing::Test {
 protected:
  void SetUp() override {
#ifdef LEAT_TEST_NO_FIBERS
    GTEST_SKIP() << "fibers and this sanitizer do not go together";
#endif
  }
  // A preemption more in fewer of the schedules is the job of the random ones.
  static void prove(const Scenario& scenario, unsigned most = 30'000) {
    covered = {};
    const unsigned all = explore(scenario, 2, most);
    const unsigned stops = stop_each(scenario);
    wander(scenario, 2000);
    RecordProperty("schedules", static_cast<int>(all));
    std::printf("  %u schedules%s, %u stops; %llu grants, %llu times left behind, %llu role moves, %llu foreign\n", all,
                all == most ? " (not all)" : "", stops, static_cast<unsigned long long>(covered.grants),
                static_cast<unsigned long long>(covered.left_behind),
                static_cast<unsigned long long>(covered.role_moves),
                static_cast<unsigned long long>(covered.foreign_ops));
  }
};

void spin_everywhere(Trial& run) {
  run.world.spin_rounds = 2;
  run.world.posted_spin_rounds = 2;
}

TEST_F(SharedSchedules, ThreeCallersWhoNeverWaitForPackets) {
  prove([](Trial& run) {
    for (int i = 0; i < 3; ++i)
      run.caller("caller", [&run] {
        if (run.call(Verb::take_error) != Errc{}) run.schedule.fail("refused");
      });
  });
}

TEST_F(SharedSchedules, FourCallersSpinAndTheTokenIsGranted) {
  prove([](Trial& run) {
    spin_everywhere(run);
    for (int i = 0; i < 4; ++i)
      run.caller("caller", [&run] {
        if (run.call(Verb::take_error) != Errc{}) run.schedule.fail("refused");
      });
  });
  EXPECT_GT(covered.grants, 0U);
}

TEST_F(SharedSchedules, WorkIsLeftBehindForASleeperWhenNobodySpins) {
  prove([](Trial& run) {
    for (int i = 0; i < 3; ++i) run.caller("caller", [&run] { (void)run.call(Verb::take_error); });
  });
  EXPECT_GT(covered.left_behind, 0U);
  prove([](Trial& run) {
    run.with_janitor();
    for (int i = 0; i < 4; ++i) run.caller("caller", [&run] { (void)run.call(Verb::take_error); });
  });
  EXPECT_GT(covered.left_behind, 0U);
}

// The one who watches asked for a turn, sleeps without the watch, and its wish is left behind.
TEST_F(SharedSchedules, TheWatchersTurnIsLeftBehindWithoutAJanitor) {
  prove([](Trial& run) {
    run.caller("reader", [&run] { (void)run.call(Verb::receive, 0); });
    for (int i = 0; i < 2; ++i)
      run.caller("busy", [&run] {
        (void)run.call(Verb::take_error);
        (void)run.call(Verb::take_error);
      });
    run.schedule.add("wire", [&run] { run.world.packet(0); });
  });
  EXPECT_GT(covered.left_behind, 0U);
  EXPECT_GT(covered.role_moves, 0U);
}

TEST_F(SharedSchedules, TwoWaitForPacketsAndTheWatchIsHandedOn) {
  prove([](Trial& run) {
    for (std::size_t i = 0; i < 2; ++i)
      run.caller("reader", [&run, i] {
        if (run.call(Verb::receive, i) != Errc{}) run.schedule.fail("refused");
      });
    run.schedule.add("wire", [&run] {
      run.world.packet(0);
      run.world.packet(1);
    });
  });
}

TEST_F(SharedSchedules, TwoWaitForPacketsSpinning) {
  prove([](Trial& run) {
    spin_everywhere(run);
    for (std::size_t i = 0; i < 2; ++i) run.caller("reader", [&run, i] { (void)run.call(Verb::receive, i); });
    run.schedule.add("wire", [&run] {
      run.world.packet(0);
      run.world.packet(1);
    });
  });
}

TEST_F(SharedSchedules, AReaderAndABusyCallerWithAJanitor) {
  prove([](Trial& run) {
    run.with_janitor();
    run.caller("reader", [&run] { (void)run.call(Verb::receive, 0); });
    run.caller("busy", [&run] {
      (void)run.call(Verb::take_error);
      (void)run.call(Verb::take_error);
    });
    run.schedule.add("wire", [&run] { run.world.packet(0); });
  });
}

TEST_F(SharedSchedules, ARingWithoutADescriptorLosesNoPacket) {
  prove([](Trial& run) {
    for (std::size_t i = 0; i < 2; ++i) run.caller("reader", [&run, i] { (void)run.call(Verb::receive, i); });
    run.schedule.add("wire", [&run] {
      run.world.ring_packet(0);
      run.world.ring_packet(1);
    });
  });
}

TEST_F(SharedSchedules, AStartedOperationIsTheJanitorsWhenItsCallerHasGone) {
  prove([](Trial& run) {
    run.with_janitor();
    Op& op = run.graves.make();
    auto told = std::make_shared<int>(0);
    op.verb = Verb::receive;
    op.context = told.get();
    op.completed = [](Op& o) { ++*static_cast<int*>(o.context); };
    run.caller("starter", [&run, &op] {
      run.token.start(op);
      (void)run.call(Verb::receive, 1);
    });
    run.schedule.add("wire", [&run] {
      run.world.packet(1);
      run.world.packet(0);
    });
    run.at_end = [&run, told] {
      if (*told != 1) run.schedule.fail("(a) told " + std::to_string(*told) + " times");
    };
  });
}

TEST_F(SharedSchedules, CancelMeetsCompletion) {
  prove([](Trial& run) {
    Op& op = run.graves.make();
    struct Told {
      Trial* run;
      int times = 0;
      bool cancelled = false;
    };
    auto told = std::make_shared<Told>(Told{&run});
    op.verb = Verb::receive;
    op.context = told.get();
    op.completed = [](Op& o) {
      auto* const t = static_cast<Told*>(o.context);
      ++t->times;
      t->cancelled = o.error == Errc::cancelled;
    };
    auto started = std::make_shared<bool>(false);
    run.caller("starter", [&run, &op, started] {
      run.token.start(op);
      *started = true;
      (void)run.call(Verb::receive, 1);
    });
    run.caller("canceller", [&run, &op, started] {
      run.schedule.wait([started] { return *started; });
      run.token.cancel(op);
      run.token.cancel(op);
    });
    run.schedule.add("wire", [&run] {
      run.world.packet(0);
      run.world.packet(1);
    });
    run.at_end = [&run, told] {
      if (told->times != 1) run.schedule.fail("(a) told " + std::to_string(told->times) + " times");
    };
  });
}

TEST_F(SharedSchedules, ASignalMeetsAPacket) {
  prove([](Trial& run) {
    auto ended = std::make_shared<bool>(false);
    Fiber& reader = run.caller("reader", [&run, ended] {
      const Errc e = run.call(Verb::receive, 0);
      if (e != Errc{} && e != Errc::interrupted) run.schedule.fail("a third way to end");
      *ended = true;
    });
    run.caller("other", [&run] { (void)run.call(Verb::receive, 1); });
    run.schedule.add("signal", [&run, &reader, ended] {
      run.schedule.wait([&] {
        ModelSleeper* const s = run.world.sleeper_of(reader);
        return *ended || (s != nullptr && s->asleep);
      });
      if (!*ended) run.world.sleeper_of(reader)->signal = true;
    });
    run.schedule.add("wire", [&run] {
      run.world.packet(0);
      run.world.packet(1);
    });
  });
}

TEST_F(SharedSchedules, StopEndsWhoWaitsWhoStartedAndWhoCancels) {
  prove([](Trial& run) {
    run.with_janitor();
    Op& op = run.graves.make();
    auto told = std::make_shared<int>(0);
    op.verb = Verb::receive;
    op.value = 2;
    op.context = told.get();
    op.completed = [](Op& o) { ++*static_cast<int*>(o.context); };
    run.caller("reader", [&run] {
      const Errc e = run.call(Verb::receive, 0);
      if (e != Errc::shut_down) run.schedule.fail("not shut down");
    });
    run.caller("canceller", [&run, &op] {
      run.token.start(op);
      run.token.cancel(op);
    });
    run.caller("stopper", [&run] {
      run.token.stop();
      if (run.call(Verb::take_error) != Errc::shut_down) run.schedule.fail("alive after its end");
    });
    run.at_end = [&run, told] {
      if (*told != 1) run.schedule.fail("(a) told " + std::to_string(*told) + " times");
    };
  });
}

TEST_F(SharedSchedules, ADeadlineIsKeptByWhoeverWatches) {
  prove([](Trial& run) {
    run.with_janitor();
    run.caller("hurried", [&run] {
      if (run.call(Verb::receive, 0, Duration::ns(500)) != Errc::timed_out) run.schedule.fail("not timed out");
    });
    run.caller("patient", [&run] { (void)run.call(Verb::receive, 1, Duration::ns(900)); });
  });
}

}  // namespace
}  // namespace leat
