#include <gtest/gtest.h>

#include <leat/drive/adaptive_burst.hpp>

namespace leat {
namespace {

// A device with so many packets. Counts what reading them costs.
struct Source {
  AdaptiveBurst burst;
  unsigned reads = 0;
  unsigned turns = 0;

  // One wake-up with `waiting` packets; returns those that are left.
  std::size_t turn(std::size_t waiting) {
    ++turns;
    for (;;) {
      const std::size_t ask = burst.ask(64);
      const std::size_t got = std::min(ask, waiting);
      reads += static_cast<unsigned>(got + (got < ask ? 1 : 0));  // the last read finds nothing
      burst.brought(ask, got);
      waiting -= got;
      if (got < ask || ask == 1) return waiting;
    }
  }
  void request_and_reply(unsigned rounds) {
    for (unsigned i = 0; i < rounds; ++i) EXPECT_EQ(turn(1), 0U);
  }
};

TEST(AdaptiveBurst, AskingForEverythingIsWhatItBeginsWith) {
  const AdaptiveBurst burst;
  EXPECT_EQ(burst.ask(64), 64U);
  EXPECT_EQ(burst.ask(1), 1U);
}

TEST(AdaptiveBurst, AClosedLoopReadsOncePerPacket) {
  Source s;
  s.request_and_reply(AdaptiveBurst::kSingles);
  EXPECT_EQ(s.reads, 2U * AdaptiveBurst::kSingles);
  s.reads = 0;
  s.request_and_reply(AdaptiveBurst::kOften);
  EXPECT_EQ(s.reads, AdaptiveBurst::kOften) << "not one in vain";
  s.reads = 0;
  s.request_and_reply(10'000);
  EXPECT_LE(s.reads, 10'020U);
}

TEST(AdaptiveBurst, BulkIsReadInFullBatches) {
  Source s;
  for (unsigned i = 0; i < 100; ++i) EXPECT_EQ(s.turn(300), 0U);
  EXPECT_EQ(s.reads, 100U * 301U);
}

TEST(AdaptiveBurst, BulkAfterALongClosedLoopIsFoundOut) {
  Source s;
  s.request_and_reply(100'000);
  s.turns = 0;
  std::size_t waiting = 10'000;
  while (waiting > 0) waiting = s.turn(waiting);
  EXPECT_LE(s.turns, AdaptiveBurst::kRarest + 1U);
  s.turns = 0;
  EXPECT_EQ(s.turn(300), 0U) << "and then it is remembered";
}

TEST(AdaptiveBurst, NothingSaysNothing) {
  Source s;
  s.request_and_reply(AdaptiveBurst::kSingles);
  for (unsigned i = 0; i < 1000; ++i) EXPECT_EQ(s.turn(0), 0U);
  EXPECT_EQ(s.burst.ask(64), 1U);
  Source bulk;
  for (unsigned i = 0; i < 1000; ++i) EXPECT_EQ(bulk.turn(i % 3 == 0 ? 9 : 0), 0U);
  EXPECT_EQ(bulk.burst.ask(64), 64U);
}

TEST(AdaptiveBurst, SinglesBetweenBurstsDoNotAddUp) {
  Source s;
  for (unsigned i = 0; i < 100; ++i) EXPECT_EQ(s.turn(i % AdaptiveBurst::kSingles == 0 ? 2 : 1), 0U);
  EXPECT_EQ(s.burst.ask(64), 64U);
}

}  // namespace
}  // namespace leat
