#pragma once
// ModelWorld: a world without a system for ShardToken, whose bells, devices and timers are plain values; and Trial: one
// run of threads that call it. What is checked is rule 19 of shared-stack-protocol.md:
//   (a) every operation ends   (b) no packet waits for nobody   (c) one owner at a time   (d) an operation that ended
//   is not touched   (e) with all asleep the timer is not late   (f) an operation runs within two budgets of its post
//
//   explore(scenario, 2, 30'000);   // every schedule with two preemptions
//   stop_each(scenario);            // each thread stopped before each of its steps
//   wander(scenario, 2000);         // random ones
//
// Threading: one thread.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <functional>
#include <leat/runtime/schedule_test_support.hpp>
#include <leat/runtime/shard_token.hpp>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace leat::test {

struct ModelSleeper : SleeperState<StepAtomics> {
  bool armed = false;
  bool bell = false, bell_alone = false;
  bool signal = false;
  int references = 1;
  bool asleep = false;
  unsigned spins_left = 0;
};

inline constexpr std::size_t kSockets = 4;

// Operations of the model: Verb::receive takes a packet of socket `value`, Verb::take_error ends at once.
class ModelWorld {
 public:
  using Atomics = StepAtomics;
  using Sleeper = ModelSleeper;
  static constexpr unsigned kForeignOps = 1;
  static constexpr unsigned kAlone = 2;

  struct Woken {
    bool watch = false, interrupted = false, also = false, rung = false;
  };
  struct Drained {
    bool timer = false, kick = false;
  };

  // --- under the token
  bool start(Op& op) {
    const Owner owner(*this);
    alive(op);
    ++starts_;
    works_for(op);
    const auto posted = std::ranges::find(posts_, &op, &std::pair<Op*, unsigned>::first);
    if (posted != posts_.end()) {
      // (f): two budgets, and one operation of each caller's own.
      if (starts_ - posted->second > 2 * kForeignOps + scheduler->fibers().size())
        scheduler->fail("(f) it waited long");
      posts_.erase(posted);
    }
    op.error = Errc{};
    op.count = 0;
    if (attempt(op)) {
      ended(op);
      return true;
    }
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
  void reset_peers() {
    const Owner owner(*this);
    if (!parked_.empty() || told_) scheduler->fail("peers are told once, when nobody waits any more");
    told_ = true;
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
      take(ring_);
      take(device_);
      for (unsigned n = 0; n < packets_a_turn && !taken_.empty(); ++n) {
        ++sockets_[taken_.front()];
        taken_.pop_front();
      }
    }
    scheduler->step();
    return flush();
  }
  Instant flush() {
    const Owner owner(*this);
    turn_time_ = clock;
    Instant next = taken_.empty() ? Instant::never() : clock;
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
  void led_again(Sleeper& s) {
    const Owner owner(*this);
    check(s);
    EXPECT_TRUE(s.armed);
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
  bool begin_spin(Sleeper& s, SpinReason why) const {
    s.spins_left = why.owner ? posted_spin_rounds : why.leads || why.alone ? spin_rounds : 0;  // as adaptive
    return s.spins_left > 0;
  }
  static bool spin_on(Sleeper& s) { return --s.spins_left > 0; }
  static void end_spin(const Sleeper&, bool) {}
  [[nodiscard]] unsigned posted_spins(const Sleeper&) const { return posted_spin_rounds; }
  [[nodiscard]] Instant now() const { return clock; }
  static HeldToken*& held() { return scheduler->current().held; }
  static void follow_up(Op* list) {
    Thread& f = scheduler->current();
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
  [[nodiscard]] bool somebody_watches() const {
    return std::ranges::any_of(sleepers_, [](const auto& s) { return s.second->armed && s.second->asleep; });
  }
  [[nodiscard]] bool device_waits() const { return !device_.empty() || !ring_.empty() || !taken_.empty(); }
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
  Sleeper* sleeper_of(Thread& f) {
    const auto at = sleepers_.find(&f);
    return at == sleepers_.end() ? nullptr : at->second.get();
  }

  Instant clock = Instant::from_ns(1000);
  unsigned packets_a_turn = 1000;  // its budget: for what is left another turn is due at once
  unsigned spin_rounds = 0;
  unsigned posted_spin_rounds = 0;
  Sleeper* janitor = nullptr;
  bool janitor_asked = false;
  bool janitor_grace = false;
  Instant janitor_looks;  // in grace
  bool janitor_started = false;
  unsigned janitor_plans = 0;

 private:
  // (c): whoever is in here holds the token; two at once are seen because every step lets others in.
  struct Owner {
    explicit Owner(ModelWorld& w) : world(&w) {
      if (w.owner_ != nullptr && w.owner_ != &scheduler->current()) scheduler->fail("(c) two owners");
      before = std::exchange(w.owner_, &scheduler->current());
      scheduler->step();
    }
    ~Owner() { world->owner_ = before; }
    ModelWorld* world;
    Thread* before;
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
  // (f), the other way round: who has what it came for does not work on for others without end (rule 6). Without a
  // janitor it may have to.
  void works_for(const Op& op) {
    Thread& me = scheduler->current();
    if (me.served && &op != me.own && janitor != nullptr && ++me.worked > kForeignOps)
      scheduler->fail("(f) it works on for others");
  }
  static void ended(const Op& op) {
    for (const auto& t : scheduler->fibers())
      if (t->own == &op) t->served = true, t->worked = 0;
  }
  void complete(Op& op) {
    alive(op);
    ended(op);
    std::erase(parked_, &op);
    op.pending = false;
    completed_.push_back(&op);
  }
  void take(std::deque<std::size_t>& from) {
    received_ += from.size();
    taken_.insert(taken_.end(), from.begin(), from.end());
    from.clear();
  }

  std::deque<std::size_t> device_, ring_;
  std::deque<std::size_t> taken_;  // from them, and not yet with their sockets
  bool wish_ = false, rung_ = false;
  std::array<unsigned, kSockets> sockets_{};
  std::vector<Op*> parked_;
  bool told_ = false;  // that the stack ends
  std::deque<Op*> completed_;
  std::vector<std::pair<Op*, unsigned>> posts_;
  unsigned starts_ = 0;
  std::uint64_t received_ = 0;
  Instant turn_time_;
  Instant timer_ = Instant::never();
  bool timer_fired_ = false;
  bool kicked_ = false;
  Thread* owner_ = nullptr;
  std::map<Thread*, std::unique_ptr<ModelSleeper>> sleepers_;
};

// --- operations whose end is watched

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
inline Graveyard* graveyard = nullptr;

inline void check_graves(const void* at) {
  if (graveyard->holds(at)) scheduler->fail("(d) an operation is touched after its end");
}

// --- a run

class Trial {
 public:
  explicit Trial(Plan& plan) : schedule(plan), token(world) {
    graveyard = &graves;
    check_alive = &check_graves;
  }
  ~Trial() {
    schedule.end_all();
    graveyard = nullptr;
  }
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;

  // A blocking call, as its own frame has it. Returns how it ended.
  Errc call(Verb verb, std::size_t socket = 0, Duration limit = Duration::max()) {
    Op& op = graves.make();
    op.verb = verb;
    op.value = static_cast<std::int64_t>(socket);
    if (limit < Duration::max()) op.deadline = world.clock + limit;
    world.note_post(op);
    Thread& me = schedule.current();
    me.own = &op;
    token.run(op);
    me.own = nullptr;
    me.served = false;
    const Errc error = op.error;
    graves.bury(op);
    return error;
  }
  Thread& caller(const std::string& name, std::function<void()> body) {
    return schedule.add(name, [this, body = std::move(body)] {
      body();
      if (Thread& me = schedule.current(); world.sleeper_of(me) != nullptr) world.unref(*world.sleeper_of(me));
    });
  }
  // As Janitor::loop; its time passes when nobody else can run.
  void with_janitor() {
    janitor_sleeper = std::make_unique<ModelSleeper>();
    world.janitor = janitor_sleeper.get();
    Thread& f = schedule.add("janitor", [this] {
      ModelSleeper& s = *janitor_sleeper;
      token.janitor_starts(s);
      world.janitor_started = true;
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
          world.janitor_looks = world.clock + kShortGrace;
          continue;
        }
        if (!grace || watch || !over) continue;
        const JanitorPlan plan = token.janitor_grace_ends(s);
        world.janitor_grace = plan.mode == JanitorMode::grace;
        world.janitor_looks = world.clock + plan.grace;
        ++world.janitor_plans;
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
    if (!anybody_stopped() && world.janitor_grace && !world.somebody_watches() &&
        world.next_deadline() + kShortGrace < world.janitor_looks) {
      schedule.fail("(e) the janitor looks late");
      return false;
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
  ModelWorld world;
  ShardToken<ModelWorld> token;
  std::unique_ptr<ModelSleeper> janitor_sleeper;
  bool grace_over = false;
  unsigned janitor_quiets = 0;
  std::function<void()> at_end;
};

using Scenario = std::function<void(Trial&)>;

// What the schedules of one test went through, so that a test can say that they went where it meant them to.
struct Covered {
  std::uint64_t grants = 0, left_behind = 0, foreign_ops = 0, role_moves = 0, departures = 0, janitor_turns = 0,
                takeovers = 0;
  void add(const ShardTokenCounters& c) {
    grants += c.grants;
    left_behind += c.left_behind;
    foreign_ops += c.foreign_ops;
    role_moves += c.role_moves;
    departures += c.departures;
    janitor_turns += c.janitor_turns;
    takeovers += c.takeovers;
  }
};
inline Covered covered;

inline std::string describe(const Trial& run) {
  std::string text = *run.schedule.failed + ", schedule";
  for (const auto& [chosen, ways] : run.schedule.trail)
    text += ' ' + std::to_string(chosen) + '/' + std::to_string(ways);
  return text;
}

// Nothing when all is well.
inline std::optional<std::string> run_once(const Scenario& scenario, Plan& plan,
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
inline unsigned explore(const Scenario& scenario, unsigned preemptions, unsigned most) {
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
inline void wander(const Scenario& scenario, unsigned runs) {
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
inline unsigned stop_each(const Scenario& scenario) {
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

}  // namespace leat::test
