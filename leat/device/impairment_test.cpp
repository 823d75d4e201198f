#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <leat/device/impairment.hpp>
#include <leat/offload/checksum_completion.hpp>
#include <leat/offload/frames_test_support.hpp>
#include <leat/offload/gro.hpp>

namespace leat {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)

Instant at_ms(std::int64_t n) {
  return Instant{} + Duration::ms(n);
}

struct ImpairmentTest : testing::Test {
  Memory m{{.packets = 600, .chunks = {600, 64, 0}}};
  std::vector<DelaySlot> slots{512};
  std::vector<unsigned> got;  // numbers of the packets taken

  Impairment line(const ImpairmentConfig& c, std::uint64_t seed = 1) {
    return Impairment{slots, c, SipKey{seed, 2}, LinkType::ip};
  }
  // A packet of `size` bytes that knows its number.
  Packet numbered(unsigned n, std::size_t size = 100) {
    Bytes bytes(size, 0x40);
    store_be32(&bytes[0], n);
    return packet_of(m.pool, bytes);
  }
  void take_all(Impairment& i, Instant now) {
    while (Packet p = i.take(now)) got.push_back(load_be32(p.head().data()));
  }
};

TEST_F(ImpairmentTest, APerfectLinePassesEverythingAtOnceInOrder) {
  Impairment i = line({});
  for (unsigned n = 0; n < 100; ++n) i.submit(numbered(n), at_ms(5));
  EXPECT_EQ(i.next_event(), at_ms(5));
  take_all(i, at_ms(5));
  ASSERT_EQ(got.size(), 100U);
  for (unsigned n = 0; n < 100; ++n) EXPECT_EQ(got[n], n);
  EXPECT_EQ(i.next_event(), Instant::never());
  EXPECT_TRUE(m.pool.all_free());
}

TEST_F(ImpairmentTest, DelaysByTheNanosecond) {
  Impairment i = line({.delay = Duration::ms(20), .jitter = {}});
  i.submit(numbered(0), at_ms(3));
  EXPECT_EQ(i.next_event(), at_ms(23));
  EXPECT_FALSE(i.take(at_ms(23) - Duration::ns(1)));
  EXPECT_TRUE(i.take(at_ms(23)));
}

TEST_F(ImpairmentTest, JitterStaysInItsBoundsAndKeepsTheOrder) {
  Impairment i = line({.delay = Duration::ms(20), .jitter = Duration::ms(10)});
  Duration shortest = Duration::s(1);
  Duration longest;
  for (unsigned n = 0; n < 400; ++n) {
    const Instant sent = at_ms(100 * n);  // apart, so that no packet waits for the one before
    i.submit(numbered(n), sent);
    const Duration took = i.next_event() - sent;
    shortest = std::min(shortest, took);
    longest = std::max(longest, took);
    take_all(i, sent + took);
  }
  EXPECT_GE(shortest, Duration::ms(20));
  EXPECT_LE(longest, Duration::ms(30));
  EXPECT_LT(shortest, Duration::us(20'200)) << "of 400 draws";
  EXPECT_GT(longest, Duration::us(29'800));
  for (unsigned n = 400; n < 800; ++n) i.submit(numbered(n), at_ms(100'000) + Duration::us(n));
  take_all(i, at_ms(200'000));
  for (unsigned n = 0; n < 800; ++n) EXPECT_EQ(got[n], n);
}

TEST_F(ImpairmentTest, LosesTheGivenShare) {
  Impairment i = line({.delay = {}, .jitter = {}, .loss_ppm = 20'000});
  for (unsigned n = 0; n < 100'000; ++n) {
    i.submit(numbered(n), at_ms(n));
    take_all(i, at_ms(n));
  }
  EXPECT_NEAR(static_cast<double>(i.counters().lost), 2000, 200);
  EXPECT_EQ(i.counters().delivered + i.counters().lost, 100'000U);
  EXPECT_EQ(got.size(), i.counters().delivered);
}

TEST_F(ImpairmentTest, RateSpacesPacketsAndTheQueueDropsTheNewest) {
  // 1 Mbit/s: a packet of 125 bytes takes 1 ms.
  Impairment i = line({.delay = Duration::ms(10), .jitter = {}, .rate_bps = 1'000'000, .queue_packets = 3});
  for (unsigned n = 0; n < 6; ++n) i.submit(numbered(n, 125), at_ms(0));
  EXPECT_EQ(i.counters().queue_full, 3U);
  i.check_invariants();
  for (std::int64_t n = 0; n < 3; ++n) {
    EXPECT_EQ(i.next_event(), at_ms(11 + n));
    take_all(i, at_ms(11 + n));
  }
  EXPECT_EQ(got, (std::vector<unsigned>{0, 1, 2}));
  // By 12 ms of time two of them had left the queue long ago: room again, and the line is idle.
  i.submit(numbered(7, 125), at_ms(50));
  EXPECT_EQ(i.next_event(), at_ms(61));
  i.submit(numbered(8, 125), at_ms(50) + Duration::us(500));
  take_all(i, at_ms(61));
  EXPECT_EQ(i.next_event(), at_ms(62));
}

// The queue ends with the last bit on the line: what is still under way does not fill it.
TEST_F(ImpairmentTest, APacketLeavesTheQueueWithItsLastBit) {
  Impairment i = line({.delay = Duration::ms(100), .jitter = {}, .rate_bps = 1'000'000, .queue_packets = 2});
  for (unsigned n = 0; n < 3; ++n) i.submit(numbered(n, 125), at_ms(0));
  EXPECT_EQ(i.counters().queue_full, 1U);
  i.submit(numbered(3, 125), at_ms(1) - Duration::ns(1));
  EXPECT_EQ(i.counters().queue_full, 2U);
  i.submit(numbered(4, 125), at_ms(1));
  EXPECT_EQ(i.counters().queue_full, 2U);
  i.check_invariants();
  take_all(i, at_ms(200));
  EXPECT_EQ(got, (std::vector<unsigned>{0, 1, 4}));
}

TEST_F(ImpairmentTest, AQueueIsBoundedOnlyWhereItIsAskedForAndThereIsARate) {
  Impairment unbounded = line({.delay = {}, .jitter = {}, .rate_bps = 1'000'000});
  for (unsigned n = 0; n < 512; ++n) unbounded.submit(numbered(n, 125), at_ms(0));
  EXPECT_EQ(unbounded.counters().queue_full, 0U);
  take_all(unbounded, at_ms(600));
  Impairment fast = line({.delay = Duration::ms(1), .jitter = {}, .queue_packets = 3});
  for (unsigned n = 0; n < 10; ++n) fast.submit(numbered(n), at_ms(0));
  EXPECT_EQ(fast.counters().queue_full, 0U);
  EXPECT_EQ(fast.in_flight(), 10U);
}

TEST_F(ImpairmentTest, WhatIsDroppedBeforeTheLineTakesNoTimeOnIt) {
  Impairment i = line({.delay = {}, .jitter = {}, .loss_ppm = kPpm, .rate_bps = 1'000'000});
  for (unsigned n = 0; n < 5; ++n) i.submit(numbered(n, 125), at_ms(0));
  i.configure({.delay = {}, .jitter = {}, .rate_bps = 1'000'000});
  i.submit(numbered(5, 125), at_ms(0));
  EXPECT_EQ(i.next_event(), at_ms(1));
  slots.clear();
  slots.resize(1);
  Impairment full = line({.delay = {}, .jitter = {}, .rate_bps = 1'000'000});
  for (unsigned n = 0; n < 5; ++n) full.submit(numbered(n, 125), at_ms(0));
  take_all(full, at_ms(1));
  full.submit(numbered(5, 125), at_ms(1));
  EXPECT_EQ(full.next_event(), at_ms(2));
}

TEST_F(ImpairmentTest, TheLinkHeaderTakesNoTime) {
  Impairment i(slots, {.delay = {}, .jitter = {}, .rate_bps = 1'000'000}, SipKey{1, 2}, LinkType::ethernet);
  i.submit(numbered(0, 125 + 14), at_ms(0));
  EXPECT_EQ(i.next_event(), at_ms(1));
}

TEST_F(ImpairmentTest, AReorderedPacketComesLaterByTheTimeThatWasSaid) {
  Impairment i =
      line({.delay = Duration::ms(5), .jitter = {}, .loss_ppm = 0, .reorder_ppm = kPpm, .reorder_by = Duration::ms(2)});
  i.submit(numbered(0), at_ms(0));
  EXPECT_EQ(i.next_event(), at_ms(7));
}

TEST_F(ImpairmentTest, ReorderedPacketsAreOvertaken) {
  Impairment i = line(
      {.delay = Duration::ms(5), .jitter = {}, .loss_ppm = 0, .reorder_ppm = 100'000, .reorder_by = Duration::ms(2)});
  for (unsigned n = 0; n < 1000; ++n) {
    i.submit(numbered(n), at_ms(n));
    take_all(i, at_ms(n));
  }
  take_all(i, at_ms(5000));
  ASSERT_EQ(got.size(), 1000U);
  unsigned late = 0;
  unsigned highest = 0;
  for (const unsigned n : got) {
    if (n < highest) ++late;
    highest = std::max(highest, n);
  }
  EXPECT_NEAR(late, 100, 40);
  EXPECT_NEAR(static_cast<double>(i.counters().reordered), 100, 40);
}

TEST_F(ImpairmentTest, DuplicatesAreIndependentCopies) {
  Impairment i = line({.delay = {}, .jitter = {}, .loss_ppm = 0, .duplicate_ppm = kPpm});
  i.submit(numbered(1), at_ms(0));
  Packet a = i.take(at_ms(0));
  Packet b = i.take(at_ms(0));
  ASSERT_TRUE(a && b);
  EXPECT_EQ(contents(a), contents(b));
  EXPECT_TRUE(a.exclusive() && b.exclusive());  // a receiver may write into either
  EXPECT_FALSE(i.take(at_ms(0)));
  EXPECT_EQ(i.counters().duplicated, 1U);
  // Without memory for the copy the packet itself still arrives.
  Packet alone = numbered(2);
  m.pool.fail_allocation(1, true);
  i.submit(std::move(alone), at_ms(0));
  m.pool.fail_allocation(0);
  EXPECT_EQ(i.counters().no_memory, 1U);
  EXPECT_TRUE(i.take(at_ms(0)));
  EXPECT_FALSE(i.take(at_ms(0)));
}

TEST_F(ImpairmentTest, ADuplicateHasADelayOfItsOwn) {
  Impairment i = line({.delay = Duration::ms(5), .jitter = Duration::ms(10), .loss_ppm = 0, .duplicate_ppm = kPpm});
  unsigned apart = 0;
  for (unsigned n = 0; n < 50; ++n) {
    i.submit(numbered(n), at_ms(100 * n));
    const Instant first = i.next_event();
    EXPECT_TRUE(i.take(first));
    const Instant second = i.next_event();
    EXPECT_GE(second, at_ms(100 * n + 5));
    EXPECT_LE(second, at_ms(100 * n + 15));
    if (second != first) ++apart;
    EXPECT_TRUE(i.take(second));
  }
  EXPECT_GT(apart, 15U);  // half of the draws are smaller than the first and wait for it
}

TEST_F(ImpairmentTest, CorruptionChangesOneBitOrByteAndAlwaysShows) {
  ImpairmentConfig config;
  config.corrupt_ppm = kPpm;
  Impairment i(slots, config, SipKey{3, 4}, LinkType::ethernet);
  unsigned in_headers = 0;
  unsigned single_bits = 0;
  for (unsigned n = 0; n < 3000; ++n) {
    FrameSpec s{.v6 = n % 2 == 0, .udp = n % 3 == 0, .payload = numbers(60, n)};
    const Bytes before = make_frame(s);
    Packet p = packet_of(m.pool, before);
    p.meta().checksum = ChecksumState::verified;  // it was, before the line
    i.submit(std::move(p), at_ms(n));
    Packet damaged = i.take(at_ms(n));
    const Bytes after = contents(damaged);
    ASSERT_EQ(after.size(), before.size());
    unsigned changed = 0;
    std::size_t where = 0;
    for (std::size_t k = 0; k < after.size(); ++k) {
      if (after[k] == before[k]) continue;
      ++changed;
      where = k;
    }
    EXPECT_EQ(changed, 1U);
    EXPECT_GE(where, 14U);
    if (where < header_length(s)) ++in_headers;
    if (std::popcount(static_cast<unsigned>(after[where] ^ before[where])) == 1) ++single_bits;
    EXPECT_EQ(damaged.meta().checksum, ChecksumState::none);
    // What the transport or IPv4 header checksum covers can't get through.
    const bool covered = !s.v6 || where >= 14 + 8;
    PacketBatch batch;
    batch.push(std::move(damaged));
    Gro gro(LinkType::ethernet);
    gro.merge(batch);
    if (covered) {
      EXPECT_EQ(batch[0].meta().checksum, ChecksumState::none) << where;
    }
  }
  EXPECT_GT(in_headers, 500U);
  EXPECT_GT(single_bits, 1300U);  // half are bits, the other half mostly more than one
  EXPECT_LT(single_bits, 1800U);
  EXPECT_EQ(i.counters().corrupted, 3000U);
  EXPECT_TRUE(m.pool.all_free());
}

TEST_F(ImpairmentTest, CorruptionLeavesSharedMemoryAlone) {
  ImpairmentConfig config;
  config.corrupt_ppm = kPpm;
  Impairment i = line(config);
  Packet original = numbered(1);
  i.submit(original.clone(), at_ms(0));
  EXPECT_EQ(contents(original), contents(numbered(1)));
  EXPECT_NE(contents(i.take(at_ms(0))), contents(original));
  // Without memory for the copy the packet is lost, never delivered undamaged by accident.
  Packet shared = original.clone();
  m.pool.fail_allocation(1, true);
  i.submit(std::move(shared), at_ms(0));
  EXPECT_EQ(i.counters().no_memory, 1U);
  EXPECT_FALSE(i.take(at_ms(0)));
}

TEST_F(ImpairmentTest, CorruptionReachesWhatStandsInFragments) {
  ImpairmentConfig config;
  config.corrupt_ppm = kPpm;
  Impairment i(slots, config, SipKey{3, 4}, LinkType::ethernet);
  const FrameSpec s{.payload = numbers(1000)};
  const Bytes before = make_frame(s);
  unsigned in_payload = 0;
  for (unsigned n = 0; n < 50; ++n) {
    i.submit(super_segment(m.pool, s, 0, {500, 500}), at_ms(n));
    const Bytes after = contents(i.take(at_ms(n)));
    ASSERT_EQ(after.size(), before.size());
    const auto [was, is] = std::ranges::mismatch(before, after);
    ASSERT_NE(is, after.end());
    if (static_cast<std::size_t>(is - after.begin()) >= header_length(s)) ++in_payload;
  }
  EXPECT_GT(in_payload, 30U);
}

TEST_F(ImpairmentTest, ArpIsSpared) {
  ImpairmentConfig config;
  config.corrupt_ppm = kPpm;
  Impairment i(slots, config, SipKey{3, 4}, LinkType::ethernet);
  Bytes arp(60, 0);
  store_be16(&arp[12], 0x0806);
  i.submit(packet_of(m.pool, arp), at_ms(0));
  EXPECT_EQ(contents(i.take(at_ms(0))), arp);
}

TEST_F(ImpairmentTest, WhileDownEverythingThatEntersIsLost) {
  Impairment i = line({.delay = Duration::ms(10), .jitter = {}});
  i.submit(numbered(0), at_ms(0));
  i.set_down(true);
  i.submit(numbered(1), at_ms(1));
  take_all(i, at_ms(10));
  EXPECT_EQ(got, (std::vector<unsigned>{0}));  // what was on its way arrives
  i.set_down(false);
  i.submit(numbered(2), at_ms(12));
  take_all(i, at_ms(100));
  EXPECT_EQ(got, (std::vector<unsigned>{0, 2}));
  EXPECT_EQ(i.counters().down, 1U);
}

TEST_F(ImpairmentTest, WhenAllSlotsAreUsedTheNewestIsDropped) {
  slots.clear();
  slots.resize(4);
  Impairment i = line({.delay = Duration::ms(1), .jitter = {}});
  for (unsigned n = 0; n < 6; ++n) i.submit(numbered(n), at_ms(0));
  EXPECT_EQ(i.in_flight(), 4U);
  take_all(i, at_ms(1));
  EXPECT_EQ(got, (std::vector<unsigned>{0, 1, 2, 3}));
  EXPECT_EQ(i.counters().queue_full, 2U);
  EXPECT_TRUE(m.pool.all_free());
}

// Everything at once, in random order of calls: counts add up, nothing leaks, times never run backwards.
std::uint64_t stormy_run(Memory& m, std::span<DelaySlot> slots, std::uint64_t seed) {
  Impairment i(slots,
               {.delay = Duration::ms(20),
                .jitter = Duration::ms(2),
                .loss_ppm = 20'000,
                .reorder_ppm = 10'000,
                .reorder_by = Duration::ms(1),
                .duplicate_ppm = 10'000,
                .corrupt_ppm = 10'000,
                .rate_bps = 100'000'000,
                .queue_packets = 64},
               SipKey{seed, 0}, LinkType::ip);
  Rng random({seed, 99});
  Instant now;
  SipKey hash{0, 0};
  for (unsigned n = 0; n < 5000; ++n) {
    now = now + Duration::us(random.below(200));
    const std::uint32_t size = 20 + random.below(1400);
    Bytes bytes(size, static_cast<std::uint8_t>(n));
    i.submit(packet_of(m.pool, bytes), now);
    while (Packet p = i.take(now))
      hash = {siphash24(hash, contents(p)), hash.k0 ^ static_cast<std::uint64_t>(now.count_ns())};
    if (n % 64 == 0) i.check_invariants();
  }
  while (!i.next_event().is_never()) {
    now = i.next_event();
    while (Packet p = i.take(now))
      hash = {siphash24(hash, contents(p)), hash.k0 ^ static_cast<std::uint64_t>(now.count_ns())};
  }
  const ImpairmentCounters& c = i.counters();
  EXPECT_EQ(c.submitted + c.duplicated, c.delivered + c.lost + c.queue_full + c.no_memory);
  return hash.k0;
}

TEST_F(ImpairmentTest, TheSameSeedGivesTheSameBytesOnEveryMachine) {
  Memory big({.packets = 600, .chunks = {600, 600, 0}});
  const std::uint64_t first = stormy_run(big, slots, 1);
  EXPECT_EQ(first, stormy_run(big, slots, 1));
  EXPECT_NE(first, stormy_run(big, slots, 2));
  EXPECT_EQ(first, 9648943688137713370U);  // of every compiler and optimisation
  EXPECT_TRUE(big.pool.all_free());
}

}  // namespace
}  // namespace leat
