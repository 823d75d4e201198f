#include <gtest/gtest.h>

#include <algorithm>
#include <leat/base/rng.hpp>
#include <leat/core/timer_wheel.hpp>
#include <vector>

namespace leat {
namespace {

constexpr std::int64_t kTickNs = TimerWheel::kTick.count_ns();
Instant at(std::int64_t tick) {
  return Instant::from_ns(tick * kTickNs);
}

struct Object {  // the node lies in the middle of something larger, as in a connection
  std::uint64_t before = 0;
  TimerNode timer;
  std::uint32_t after = 0;
};

class Wheel {
 public:
  explicit Wheel(std::size_t n, Instant now = Instant{})
      : objects_(n), wheel(TimerNodes::of(std::span<Object>{objects_}, &Object::timer), now) {}
  std::vector<Index> advance(Instant now, unsigned budget = 1'000'000) {
    fired_.clear();
    const unsigned n = wheel.advance(now, budget, Delegate<void(Index)>::to<&Wheel::on_fire>(*this));
    EXPECT_EQ(n, fired_.size());
    wheel.check_invariants();
    return fired_;
  }
  // Calls `advance` at each deadline that the wheel names, as a runner does, until `end`.
  std::vector<std::pair<Index, Instant>> run_until(Instant end, unsigned& turns) {
    std::vector<std::pair<Index, Instant>> log;
    for (turns = 0; wheel.next_deadline() <= end; ++turns) {
      const Instant now = wheel.next_deadline();
      for (const Index i : advance(now)) log.emplace_back(i, now);
    }
    return log;
  }

 private:
  void on_fire(Index i) {
    EXPECT_FALSE(wheel.armed(i));
    fired_.push_back(i);
  }
  std::vector<Object> objects_;
  std::vector<Index> fired_;

 public:
  TimerWheel wheel;
};

TEST(TimerWheel, ZeroNodesAreUnarmed) {
  Wheel w(2);
  EXPECT_FALSE(w.wheel.armed(0));
  w.wheel.cancel(1);
  EXPECT_TRUE(w.wheel.empty());
  EXPECT_TRUE(w.wheel.next_deadline().is_never());
  EXPECT_TRUE(w.advance(at(1'000'000)).empty());
}

TEST(TimerWheel, FiresAtTheTickAfterTheDeadlineNeverBefore) {
  for (const std::int64_t ns :
       {std::int64_t{1}, kTickNs - 1, kTickNs, kTickNs + 1, 31 * kTickNs, 32 * kTickNs, 33 * kTickNs + 5,
        1023 * kTickNs, 1024 * kTickNs, std::int64_t{7'200'000'000'000}, std::int64_t{89'000'000'000'000}}) {
    Wheel fresh(1);
    fresh.wheel.arm(0, Instant::from_ns(ns));
    const Instant due = at((ns + kTickNs - 1) / kTickNs);
    EXPECT_EQ(fresh.wheel.due(0), due);
    EXPECT_EQ(fresh.wheel.next_deadline(), due);  // alone in its slot: exact
    EXPECT_TRUE(fresh.advance(Instant::from_ns(ns - 1)).empty()) << ns;
    EXPECT_TRUE(fresh.advance(due - Duration::ns(1)).empty()) << ns;
    EXPECT_EQ(fresh.advance(due), std::vector<Index>{0}) << ns;
  }
}

TEST(TimerWheel, SameTickFiresInArmingOrderWhateverTheDistanceAtArming) {
  Wheel w(4);
  const Instant due = at(5000);
  w.wheel.arm(2, due);
  w.advance(at(4000));
  w.wheel.arm(0, due);
  w.advance(at(4990));
  w.wheel.arm(3, due);
  w.advance(at(4999));
  w.wheel.arm(1, due);
  w.wheel.arm(2, due);  // armed again: the last now
  EXPECT_EQ(w.advance(due), (std::vector<Index>{0, 3, 1, 2}));
}

TEST(TimerWheel, TellsWhetherANodeFiresInTimeAcrossTheWrapOfTicks) {
  Wheel w(1, at(0xffff'fff0));
  EXPECT_FALSE(w.wheel.fires_by(0, 0xffff'ffff)) << "it is not armed";
  w.wheel.arm(0, at(0x1'0000'0002));
  EXPECT_FALSE(w.wheel.fires_by(0, 0xffff'ffff));
  EXPECT_FALSE(w.wheel.fires_by(0, 1));
  EXPECT_TRUE(w.wheel.fires_by(0, 2));
  EXPECT_TRUE(w.wheel.fires_by(0, 3));
  w.wheel.cancel(0);
  EXPECT_FALSE(w.wheel.fires_by(0, 3));
}

TEST(TimerWheel, NeverCancels) {
  Wheel w(1);
  w.wheel.arm(0, at(7));
  w.wheel.arm(0, Instant::never());
  EXPECT_FALSE(w.wheel.armed(0));
  EXPECT_TRUE(w.wheel.empty());
}

TEST(TimerWheel, PassedDeadlinesFireAtTheNextAdvance) {
  Wheel w(3, at(100));
  w.wheel.arm(1, at(101));
  w.wheel.arm(0, at(50));
  w.wheel.arm(2, Instant{});
  EXPECT_LE(w.wheel.next_deadline(), at(50));
  EXPECT_EQ(w.advance(at(100)), (std::vector<Index>{0, 2}));
  EXPECT_EQ(w.advance(at(101)), (std::vector<Index>{1}));
}

TEST(TimerWheel, DeadlineAfterADayOfSilence) {
  Wheel w(2);
  const Instant now = Instant{} + Duration::s(40 * 24 * 3600);  // nothing was armed: nobody called advance
  w.wheel.arm(0, now + Duration::ms(200));
  EXPECT_TRUE(w.advance(now).empty());
  EXPECT_TRUE(w.advance(now + Duration::ms(199)).empty());
  EXPECT_EQ(w.advance(now + Duration::ms(201)), std::vector<Index>{0});
}

TEST(TimerWheel, ACallbackThatArmsThePresentDoesNotLoop) {
  std::vector<TimerNode> nodes(2);
  TimerWheel wheel(TimerNodes::of(std::span<TimerNode>{nodes}), Instant{});
  struct Rearm {
    TimerWheel& wheel;
    unsigned fired = 0;
    void fire(Index i) {
      ++fired;
      wheel.arm(i, Instant{});
      wheel.cancel(1 - i);  // and the other one never comes
    }
  } rearm{wheel};
  wheel.arm(0, at(3));
  wheel.arm(1, at(3));
  for (unsigned call = 1; call <= 5; ++call) {
    EXPECT_EQ(wheel.advance(at(3), 100, Delegate<void(Index)>::to<&Rearm::fire>(rearm)), 1U);
    EXPECT_EQ(rearm.fired, call);
    EXPECT_LE(wheel.next_deadline(), at(3));
  }
}

TEST(TimerWheel, AFewTimersCostFewTurns) {
  Wheel w(3);
  w.wheel.arm(0, Instant{} + Duration::s(7200));
  w.wheel.arm(1, Instant{} + Duration::ms(200));
  w.wheel.arm(2, Instant{} + Duration::s(90));
  unsigned turns = 0;
  EXPECT_EQ(w.run_until(Instant{} + Duration::s(10'000), turns).size(), 3U);
  EXPECT_EQ(turns, 3U);
}

// C11: an hour passes at once with a thousand timers due: they come in order, budget by budget.
TEST(C11_TimerWheel, HourJumpIsWorkedOffInOrder) {
  constexpr unsigned kTimers = 1000;
  Wheel w(kTimers);
  for (Index i = 0; i < kTimers; ++i) w.wheel.arm(i, at(1 + (i * 7919) % 50'000'000));
  const Instant now = Instant{} + Duration::s(3600);
  std::vector<Index> order;
  unsigned calls = 0;
  while (w.wheel.next_deadline() <= now) {
    const std::vector<Index> some = w.advance(now, 10);
    EXPECT_LE(some.size(), 10U);
    order.insert(order.end(), some.begin(), some.end());
    ASSERT_LT(++calls, 1000U);
  }
  ASSERT_EQ(order.size(), kTimers);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end(), [](Index a, Index b) {
    return 1 + (a * 7919) % 50'000'000 < 1 + (b * 7919) % 50'000'000;
  }));
  EXPECT_TRUE(w.wheel.next_deadline().is_never());
}

// C11: as many as one likes may be due at one tick, or be armed for the past: a budget splits them too.
TEST(C11_TimerWheel, ManyOfOneTickAreWorkedOffBudgetByBudget) {
  for (const std::int64_t due : {std::int64_t{5}, std::int64_t{40}, std::int64_t{100'000}, std::int64_t{-3}}) {
    Wheel w(10, at(1));
    for (Index i = 0; i < 10; ++i) w.wheel.arm(i, at(due));
    const Instant now = at(std::max<std::int64_t>(due, 1));
    std::vector<Index> order;
    for (unsigned calls = 0; w.wheel.next_deadline() <= now && calls < 50; ++calls) {
      const std::vector<Index> some = w.advance(now, 3);
      EXPECT_LE(some.size(), 3U) << due;
      order.insert(order.end(), some.begin(), some.end());
    }
    EXPECT_EQ(order, (std::vector<Index>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})) << due;
  }
}

// C11: the clock goes back an hour: nothing fires early, old timers keep their instants, new ones follow the new clock.
TEST(C11_TimerWheel, BackwardClockNeitherFiresNorStalls) {
  const Instant start = Instant{} + Duration::s(10'000);
  Wheel w(4, start);
  w.wheel.arm(0, start + Duration::ms(50));
  w.wheel.arm(1, start + Duration::s(5));
  const Instant back = start - Duration::s(3600);
  w.wheel.arm(2, back + Duration::ms(200));  // before advance has seen the new clock
  EXPECT_LE(w.wheel.next_deadline(), back + Duration::ms(201));
  EXPECT_TRUE(w.advance(back).empty());
  w.wheel.arm(3, back + Duration::ms(100));
  unsigned turns = 0;
  const auto log = w.run_until(start + Duration::s(10), turns);
  ASSERT_EQ(log.size(), 4U);
  const Index order[] = {3, 2, 0, 1};
  const Instant due[] = {back + Duration::ms(100), back + Duration::ms(200), start + Duration::ms(50),
                         start + Duration::s(5)};
  for (std::size_t k = 0; k < 4; ++k) {
    EXPECT_EQ(log[k].first, order[k]);
    EXPECT_GE(log[k].second, due[k]);
    EXPECT_LE(log[k].second, due[k] + TimerWheel::kTick);
  }
  EXPECT_LT(turns, 40U);
}

// C11: a storm is impossible: however often a starved loop comes late, each armed node fires once.
TEST(C11_TimerWheel, StarvedLoopFiresEachNodeOnce) {
  Wheel w(100);
  for (Index i = 0; i < 100; ++i) w.wheel.arm(i, at(10 + i));
  EXPECT_EQ(w.advance(Instant{} + Duration::s(600)).size(), 100U);
  EXPECT_TRUE(w.advance(Instant{} + Duration::s(1200)).empty());
}

// Random operations against a sorted list. The model knows the order (due tick, arming) and the wheel's own rule for
// deadlines that have passed; budgets split the work at random places.
class Model {
 public:
  Model(std::uint64_t seed, std::int64_t start)
      : rng_(SipKey{seed, 1}), now_(start), current_(start), w_(kNodes, at(start)), armed_(kNodes) {}

  void run(unsigned steps) {
    for (unsigned n = 0; n < steps && !::testing::Test::HasFailure(); ++n) {
      const std::uint32_t what = rng_.below(10);
      const Index i = rng_.below(kNodes);
      if (what < 5) {
        arm(i, now_ + random_delay());
      } else if (what < 6) {
        w_.wheel.cancel(i);
        drop(i);
      } else {
        now_ +=
            rng_.below(4) == 0 ? std::max<std::int64_t>(0, random_delay()) : static_cast<std::int64_t>(rng_.below(40));
        catch_up();
      }
      check();
    }
  }

 private:
  static constexpr std::uint32_t kNodes = 200;
  struct Armed {
    std::int64_t due = 0;
    std::uint64_t order = 0;
    Index i = 0;
    bool was_overdue = false;
  };
  std::int64_t random_delay() {
    return static_cast<std::int64_t>(rng_.next() >> (64 - 1 - rng_.below(29))) - (rng_.below(8) == 0 ? 50 : 0);
  }
  void arm(Index i, std::int64_t tick) {
    drop(i);
    // Anywhere in the tick before: rounding up gives `tick`.
    w_.wheel.arm(i, at(tick) - Duration::ns(static_cast<std::int64_t>(rng_.below(1U << TimerWheel::kTickShift))));
    (tick <= current_ ? overdue_ : pending_).push_back({tick, next_order_++, i, false});
    armed_[i] = true;
    if (tick > current_) sort();
  }
  void drop(Index i) {
    if (!armed_[i]) return;
    armed_[i] = false;
    for (std::vector<Armed>* list : {&pending_, &overdue_}) {
      std::erase_if(*list, [i](const Armed& a) { return a.i == i; });
    }
  }
  void sort() {
    std::sort(pending_.begin(), pending_.end(),
              [](const Armed& a, const Armed& b) { return a.due != b.due ? a.due < b.due : a.order < b.order; });
  }
  void catch_up() {
    for (unsigned calls = 0;; ++calls) {
      ASSERT_LT(calls, 100'000U);
      for (Armed a : overdue_) {  // they join the current tick, behind what it holds
        a.due = current_;
        a.order = next_order_++;
        a.was_overdue = true;
        pending_.push_back(a);
      }
      overdue_.clear();
      sort();
      w_.wheel.advance(at(now_) + Duration::ns(static_cast<std::int64_t>(rng_.below(1000))), 1 + rng_.below(60),
                       Delegate<void(Index)>::to<&Model::on_fire>(*this));
      w_.wheel.check_invariants();
      if (w_.wheel.next_deadline() > at(now_)) break;
    }
    current_ = now_;
    ASSERT_TRUE(overdue_.empty());
    ASSERT_TRUE(pending_.empty() || pending_.front().due > now_) << "missed";
  }
  void on_fire(Index i) {
    ASSERT_FALSE(pending_.empty());
    ASSERT_EQ(pending_.front().i, i);
    ASSERT_LE(pending_.front().due, now_);
    current_ = pending_.front().due;
    // Which tick the wheel is at while it fires what was overdue is not for the model to know: nothing near it then.
    const bool near = !pending_.front().was_overdue;
    pending_.erase(pending_.begin());
    armed_[i] = false;
    if (near && rng_.below(3) == 0) arm(i, current_ + random_delay());
    if (!near && rng_.below(3) == 0) arm(i, current_ - rng_.below(3));
    if (rng_.below(5) == 0) {
      const Index other = rng_.below(kNodes);
      arm(other, now_ + 1 + (random_delay() & 0xffffff));
    }
    if (rng_.below(5) == 0) {
      const Index other = rng_.below(kNodes);
      w_.wheel.cancel(other);
      drop(other);
    }
  }
  void check() {
    ASSERT_EQ(w_.wheel.armed_count(), pending_.size() + overdue_.size());
    for (Index i = 0; i < kNodes; ++i) ASSERT_EQ(w_.wheel.armed(i), armed_[i]);
    const Instant next = w_.wheel.next_deadline();
    for (const Armed& a : overdue_) ASSERT_LE(next, at(a.due));
    if (pending_.empty() && overdue_.empty()) {
      ASSERT_TRUE(next.is_never());
    } else if (!pending_.empty()) {
      ASSERT_LE(next, at(pending_.front().due));
      if (overdue_.empty()) {
        ASSERT_GT(next, at(now_));  // and no idle turning
      }
    }
  }

  Rng rng_;
  std::int64_t now_;
  std::int64_t current_;
  Wheel w_;
  std::vector<Armed> pending_;
  std::vector<Armed> overdue_;
  std::vector<bool> armed_;
  std::uint64_t next_order_ = 0;
};

TEST(TimerWheel, RandomOperationsMatchASortedList) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    // Some begin just before the 32-bit tick count wraps.
    const std::int64_t start = seed % 3 == 0 ? (std::int64_t{1} << 32) - 20'000 : static_cast<std::int64_t>(seed * 977);
    Model(seed, start).run(4000);
    if (HasFailure()) return;
  }
}

// Under a clock that jumps both ways every node fires, never before its due tick and soon after it.
TEST(TimerWheel, RandomClockJumpsLoseNothing) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(SipKey{seed, 2});
    constexpr std::uint32_t kNodes = 64;
    std::int64_t now = 1'000'000'000'000;
    Wheel w(kNodes, at(now));
    std::vector<std::int64_t> due(kNodes, -1);
    for (unsigned n = 0; n < 20'000; ++n) {
      const Index i = rng.below(kNodes);
      if (rng.below(3) == 0) {
        due[i] = now + static_cast<std::int64_t>(rng.next() >> (64 - 1 - rng.below(24)));
        w.wheel.arm(i, at(due[i]));
        continue;
      }
      const std::uint32_t jump = rng.below(200);
      now += jump == 0   ? -static_cast<std::int64_t>(rng.below(60'000'000))
             : jump == 1 ? static_cast<std::int64_t>(rng.below(60'000'000))
                         : static_cast<std::int64_t>(rng.below(100));
      for (const Index k : w.advance(at(now))) {
        ASSERT_GE(due[k], 0);
        ASSERT_LE(due[k], now) << "early";
        due[k] = -1;
      }
      for (Index k = 0; k < kNodes; ++k) ASSERT_TRUE(due[k] < 0 || due[k] > now) << "late " << k;
    }
  }
}

}  // namespace
}  // namespace leat
