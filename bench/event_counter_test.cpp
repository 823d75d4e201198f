#include <gtest/gtest.h>
#include <linux/perf_event.h>

#include <bench/clock.hpp>
#include <bench/event_counter.hpp>

namespace leat::bench {
namespace {

double spend() {
  const double began = thread_cpu_seconds();
  double now = began;
  while (now - began < 0.005) now = thread_cpu_seconds();
  return now - began;
}

// The kernel's clock of a thread needs no counters of the processor.
TEST(Bench_EventCounter, CountsWhatThisThreadDoes) {
  const EventCounter clock(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK);
  const auto first = clock.read();
  if (!first) GTEST_SKIP() << "this machine lets nobody count";
  const double spent = spend();
  const auto second = clock.read();
  ASSERT_TRUE(second);
  EXPECT_GE(static_cast<double>(*second - *first), spent * 1e9 * 0.9);
}

TEST(Bench_EventCounter, WhatIsNotKnownIsNoFigure) {
  EXPECT_FALSE(EventCounter(PERF_TYPE_HARDWARE, 0xffff).read());
}

TEST(Bench_EventCounter, InstructionsAreManyWhereTheyAreKnown) {
  const EventCounter instructions = EventCounter::instructions();
  const auto first = instructions.read();
  if (!first) GTEST_SKIP() << "this processor shows no counters";
  spend();
  EXPECT_GT(instructions.read().value_or(0), *first + 1000);
}

}  // namespace
}  // namespace leat::bench
