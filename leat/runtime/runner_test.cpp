// The runner's loop over watches, timers, posted tasks and signals. Shards in a runner are tested in
// runner_budget_test.cpp and where there are whole stacks (tests/system). It is a loop over real time, so these tests
// wait, for a few milliseconds.

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <leat/runtime/clock.hpp>
#include <leat/runtime/signals.hpp>

namespace leat {
namespace {

constexpr Duration kPatience = Duration::s(20);  // how long a test waits for what must come; never reached

TEST(Runner, TimersFireInOrderAndCancelledOnesDont) {
  Runner runner;
  std::vector<int> fired;
  runner.after(Duration::us(300), [&] { fired.push_back(2); });
  runner.after(Duration::us(100), [&] {
    fired.push_back(1);
    runner.after(Duration::ms(1), [&] { fired.push_back(3); });
  });
  const auto never = runner.after(Duration::us(200), [&] { fired.push_back(99); });
  runner.cancel(never);
  EXPECT_TRUE(runner.run_until([&] { return fired.size() == 3; }, monotonic_now() + kPatience));
  EXPECT_EQ(fired, (std::vector{1, 2, 3}));
}

TEST(Runner, EndsAtItsDeadlineAndSleepsUntilThen) {
  Runner runner;
  EXPECT_EQ(runner.run(monotonic_now() + Duration::ms(5)), Runner::End::deadline);
  EXPECT_LE(runner.turns(), 4U) << "an idle runner turns in vain";
  EXPECT_GE(runner.sleeps(), 1U);
}

TEST(Runner, AStopBeforeTheStartIsNotLost) {
  Runner runner;
  runner.request_stop();
  EXPECT_EQ(runner.run(monotonic_now() + kPatience), Runner::End::stopped);
}

TEST(Runner, WatchesADescriptorUntilUnwatched) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  Runner runner;
  int calls = 0;
  ASSERT_TRUE(runner.watch(ends[0], EPOLLIN, [&](std::uint32_t events) {
    EXPECT_NE(events & EPOLLIN, 0U);
    if (++calls == 3) runner.unwatch(ends[0]);  // level-triggered: it was never read
  }));
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  EXPECT_TRUE(runner.run_until([&] { return calls == 3; }, monotonic_now() + kPatience));
  runner.run(monotonic_now() + Duration::ms(2));
  EXPECT_EQ(calls, 3);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(Runner, TasksOfOtherThreadsRunInTheLoopInOrder) {
  Runner runner;
  runner.start();
  std::thread::id loop;
  runner.call([&] { loop = std::this_thread::get_id(); });
  EXPECT_NE(loop, std::this_thread::get_id());
  std::vector<int> order;
  for (int i = 0; i < 100; ++i) runner.post([&order, i] { order.push_back(i); });
  bool nested = false;
  runner.call([&] { runner.call([&] { nested = true; }); });
  EXPECT_TRUE(nested);
  ASSERT_EQ(order.size(), 100U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
  runner.stop();
  runner.start();  // and again
  runner.call([] {});
  runner.stop();
}

TEST(Runner, ASignalStopsIt) {
  Runner runner;
  const StopOnSignals signals(runner);
  runner.after(Duration::ms(1), [] { ::raise(SIGTERM); });
  EXPECT_EQ(runner.run(monotonic_now() + kPatience), Runner::End::stopped);
  EXPECT_EQ(StopOnSignals::caught(), SIGTERM);
}

// The loop of a program that looks at something now and then: the signal that ends it may come while the time is up.
TEST(Runner, ASignalThatComesWithTheDeadlineStopsIt) {
  Runner runner;
  const StopOnSignals signals(runner);
  const Instant until = monotonic_now() + Duration::ms(2);
  runner.post([until] {
    while (monotonic_now() < until) {
    }
    ::raise(SIGTERM);
  });
  EXPECT_EQ(runner.run(until), Runner::End::stopped);
  EXPECT_EQ(runner.run(monotonic_now() + Duration::ms(2)), Runner::End::deadline) << "it is told once";
  // And after the deadline, before the next run.
  ::raise(SIGINT);
  EXPECT_EQ(runner.run(monotonic_now()), Runner::End::stopped);
}

}  // namespace
}  // namespace leat
