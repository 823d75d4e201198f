#include <gtest/gtest.h>

#include <leat/drive/adaptive_burst.hpp>

namespace leat {
namespace {

// A device with so many packets. Counts what reading them costs.
struct Source {
  AdaptiveBurst burst;
  std::size_t reads = 0;
  std::size_t turns = 0;

  // One wake-up with `waiting` packets; returns those that are left.
  std::size_t turn(std::size_t waiting) {
    ++turns;
    for (;;) {
      const std::size_t ask = burst.ask(64);
      const std::size_t got = std::min(ask, waiting);
      reads += got + (got < ask ? 1 : 0);  // the last read finds nothing
      waiting -= got;
      if (!burst.brought(ask, got)) return waiting;
    }
  }
  // Each request comes as so many packets.
  void closed_loop(unsigned rounds, std::size_t packets = 1) {
    for (unsigned i = 0; i < rounds; ++i) EXPECT_EQ(turn(packets), 0U);
  }
};

TEST(AdaptiveBurst, BeginsByAskingForEverything) {
  const AdaptiveBurst burst;
  EXPECT_EQ(burst.ask(64), 64U);
  EXPECT_EQ(burst.ask(1), 1U);
}

TEST(AdaptiveBurst, AClosedLoopReadsOncePerPacket) {
  for (const std::size_t packets : {1U, 2U, 4U}) {
    Source s;
    s.closed_loop(AdaptiveBurst::kSame, packets);
    EXPECT_EQ(s.reads, (packets + 1) * AdaptiveBurst::kSame);
    s.reads = 0;
    s.closed_loop(AdaptiveBurst::kOften, packets);
    EXPECT_EQ(s.reads, packets * AdaptiveBurst::kOften) << "not one in vain";
    s.reads = 0;
    s.closed_loop(10'000, packets);
    EXPECT_LE(s.reads, packets * 10'000 + 20);
  }
}

TEST(AdaptiveBurst, BulkIsReadInFullBatches) {
  for (const std::size_t packets : {5U, 63U, 300U}) {
    Source s;
    for (unsigned i = 0; i < 100; ++i) EXPECT_EQ(s.turn(packets), 0U);
    EXPECT_EQ(s.reads, 100 * (packets + 1));
  }
}

TEST(AdaptiveBurst, BulkAfterALongClosedLoopIsFoundOut) {
  Source s;
  s.closed_loop(100'000);
  s.turns = 0;
  std::size_t waiting = 10'000;
  while (waiting > 0) waiting = s.turn(waiting);
  EXPECT_LE(s.turns, AdaptiveBurst::kRarest + 1U);
  s.turns = 0;
  EXPECT_EQ(s.turn(300), 0U) << "and then it is remembered";
}

TEST(AdaptiveBurst, ABurstOfLessLowersTheSize) {
  Source s;
  s.closed_loop(AdaptiveBurst::kSame, 3);
  s.reads = 0;
  s.closed_loop(5, 1);
  EXPECT_EQ(s.reads, 6U) << "one read in vain";
}

TEST(AdaptiveBurst, NothingSaysNothing) {
  Source s;
  s.closed_loop(AdaptiveBurst::kSame);
  for (unsigned i = 0; i < 1000; ++i) EXPECT_EQ(s.turn(0), 0U);
  EXPECT_EQ(s.burst.ask(64), 1U);
  Source bulk;
  for (unsigned i = 0; i < 1000; ++i) EXPECT_EQ(bulk.turn(i % 3 == 0 ? 9 : 0), 0U);
  EXPECT_EQ(bulk.burst.ask(64), 64U);
}

TEST(AdaptiveBurst, SizesThatChangeAreNotSteady) {
  Source s;
  for (unsigned i = 0; i < 100; ++i) EXPECT_EQ(s.turn(i % AdaptiveBurst::kSame == 0 ? 2 : 1), 0U);
  EXPECT_EQ(s.burst.ask(64), 64U);
}

}  // namespace
}  // namespace leat
