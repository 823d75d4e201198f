#include <gtest/gtest.h>

#include <leat/core/tcp/syn_cache.hpp>
#include <leat/core/tcp/syn_cookie.hpp>
#include <leat/core/tcp/time_wait.hpp>
#include <random>
#include <vector>

namespace leat::tcp {
namespace {

FlowKey tuple(std::uint16_t port) {
  return {IpAddress::v4(10, 0, 0, 1), IpAddress::v4(10, 0, 0, 2), Port{80}, Port{port}, 0};
}
Instant at_ms(std::int64_t ms) {
  return Instant::from_ns(ms * 1'000'000);
}

// --- cookies ---------------------------------------------------------------------------------------------------------

TEST(SynCookie, ComesBackWithItsMssRoundedDown) {
  const SynCookies cookies{{1, 2}};
  for (const unsigned offered : {1U, 64U, 536U, 1300U, 1460U, 9000U, 65535U}) {
    const auto mss = static_cast<std::uint16_t>(offered);
    const SeqNum iss = cookies.make(tuple(1), SeqNum{77}, mss, at_ms(1'000'000));
    const auto found = cookies.check(tuple(1), SeqNum{77}, iss, at_ms(1'000'500));
    ASSERT_TRUE(found);
    EXPECT_EQ(*found, kCookieMss[cookie_mss_class(mss)]);
    EXPECT_TRUE(*found <= mss || mss < kCookieMss[0]);
  }
}

TEST(SynCookie, IsGoodForThisEpochAndTheNextAndForNothingElse) {
  const SynCookies cookies{{1, 2}};
  const Instant made = at_ms(64'000 * 10 + 1);
  const SeqNum iss = cookies.make(tuple(1), SeqNum{77}, 1460, made);
  EXPECT_TRUE(cookies.check(tuple(1), SeqNum{77}, iss, made + Duration::s(100)));
  EXPECT_FALSE(cookies.check(tuple(1), SeqNum{77}, iss, made + Duration::s(130)));
  EXPECT_FALSE(cookies.check(tuple(2), SeqNum{77}, iss, made));
  EXPECT_FALSE(cookies.check(tuple(1), SeqNum{78}, iss, made));
  EXPECT_FALSE(SynCookies({3, 4}).check(tuple(1), SeqNum{77}, iss, made));
}

TEST(SynCookie, ABlindAckIsNotAccepted) {
  const SynCookies cookies{{1, 2}};
  std::mt19937 rng(1);
  int accepted = 0;
  for (int i = 0; i < 200'000; ++i)
    accepted += cookies.check(tuple(1), SeqNum{77}, SeqNum{static_cast<std::uint32_t>(rng())}, at_ms(640'000)) ? 1 : 0;
  EXPECT_LE(accepted, 1);
}

TEST(SynCookie, TheTimestampCarriesOptionsAndNeverRunsAhead) {
  for (std::uint32_t ts = 0; ts < 300; ++ts) {
    for (std::uint8_t scale = 0; scale < 16; ++scale) {
      const CookieOptions o{.wscale = scale, .sack = (ts & 1) != 0, .ecn = (ts & 2) != 0};
      const std::uint32_t sent = cookie_timestamp(ts, o);
      EXPECT_EQ(cookie_options(sent), o);
      EXPECT_LE(ts - sent, 127U);
    }
  }
}

// --- SYN cache -------------------------------------------------------------------------------------------------------

struct Log {
  std::vector<std::pair<Index, SynEvent>> events;
  void on(Index i, SynEvent e) { events.emplace_back(i, e); }
};

TEST(SynCache, ARecordIsSentAgainWithDoublingWaitsAndThenExpires) {
  std::vector<SynRecord> memory(4);
  SynCache cache(memory, {.rto = Duration::s(1), .max_rto = Duration::s(60), .retries = 3});
  Log log;
  const auto callback = SynCache::Callback::to<&Log::on>(log);
  const Index i = cache.insert({.key = tuple(1), .irs = SeqNum{5}, .listener = 3, .sack = true}, at_ms(0));
  std::vector<std::int64_t> times;
  for (std::int64_t ms = 0; ms < 60'000; ms += 10) {
    if (cache.advance(at_ms(ms), 8, callback) > 0) times.push_back(ms);
    cache.check_invariants();
  }
  ASSERT_EQ(log.events.size(), 4U);
  EXPECT_EQ(log.events[2], (std::pair{i, SynEvent::retransmit}));
  EXPECT_EQ(log.events[3], (std::pair{i, SynEvent::expired}));
  // 1, 1+2, 1+2+4, 1+2+4+8 seconds, and never early.
  const std::vector<std::int64_t> wanted{1000, 3000, 7000, 15000};
  for (std::size_t k = 0; k < 4; ++k) {
    EXPECT_GE(times[k], wanted[k]);
    EXPECT_LE(times[k], wanted[k] + 60);
  }
  EXPECT_EQ(cache.size(), 0U);
  EXPECT_TRUE(cache.next_deadline().is_never());
}

// RFC 6298 3 (Karn): only one answer to one SYN-ACK is a measurement; with timestamps they tell.
TEST(SynCache, KnowsWhenTheOnlySynAckLeft) {
  std::vector<SynRecord> memory(4);
  SynCache cache(memory, {.rto = Duration::s(1), .max_rto = Duration::s(60), .retries = 3});
  Log log;
  const Index once = cache.insert({.key = tuple(1)}, at_ms(7));
  const Index answered = cache.insert({.key = tuple(2)}, at_ms(7));
  const Index stamped = cache.insert({.key = tuple(3), .ts_recent = 5, .timestamps = true}, at_ms(7));
  cache[answered].forget_sent();
  cache[stamped].forget_sent();
  EXPECT_EQ(cache[once].info().sent_us, 7000U);
  EXPECT_EQ(cache[once].info().ts_recent, 0U);
  EXPECT_EQ(cache[answered].info().sent_us, 0U);
  EXPECT_EQ(cache[stamped].info().sent_us, 0U);
  EXPECT_EQ(cache[stamped].info().ts_recent, 5U);
  EXPECT_EQ(cache.advance(at_ms(1100), 8, SynCache::Callback::to<&Log::on>(log)), 3U);
  EXPECT_EQ(cache[once].info().sent_us, 0U) << "sent again";
  EXPECT_EQ(cache[stamped].info().ts_recent, 5U);
}

TEST(SynCache, KeepsEveryFieldAndIsBounded) {
  std::vector<SynRecord> memory(2);
  SynCache cache(memory, {});
  const SynInfo info{.key = tuple(9),
                     .irs = SeqNum{1},
                     .iss = SeqNum{2},
                     .ts_recent = 3,
                     .listener = 65535,
                     .mss = 1440,
                     .wscale = 14,
                     .ecn = 3,
                     .sack = true,
                     .timestamps = true};
  const Index i = cache.insert(info, at_ms(5));
  EXPECT_FALSE(cache[i].info().acknowledged);
  cache[i].set_acknowledged();
  EXPECT_TRUE(cache[i].info().acknowledged);
  const SynInfo got = cache[i].info();
  EXPECT_EQ(got.key, info.key);
  EXPECT_EQ(got.listener, 65535U);
  EXPECT_EQ(got.mss, 1440);
  EXPECT_EQ(got.wscale, 14);
  EXPECT_EQ(got.ecn, 3);
  EXPECT_TRUE(got.sack && got.timestamps);
  EXPECT_NE(cache.insert({.key = tuple(2)}, at_ms(5)), kNoIndex);
  EXPECT_EQ(cache.insert({.key = tuple(3)}, at_ms(5)), kNoIndex);
  EXPECT_EQ(cache.oldest(), i);
  cache.remove(i);
  EXPECT_NE(cache.insert({.key = tuple(3)}, at_ms(6)), kNoIndex);
}

// C11: an hour passes at once. All records are overdue; each is sent again within its turn's budget and then gets the
// whole of its next wait, though others are still overdue.
TEST(C11_SynCache, AnHourLaterRecordsAreServedInBoundedStepsAndWaitOn) {
  std::vector<SynRecord> memory(100);
  SynCache cache(memory, {.retries = 1});
  Log log;
  const auto callback = SynCache::Callback::to<&Log::on>(log);
  for (std::uint16_t p = 0; p < 100; ++p) ASSERT_NE(cache.insert({.key = tuple(p)}, at_ms(p)), kNoIndex);
  Instant now = at_ms(3'600'000);
  std::vector<Instant> sent(100);
  for (int step = 0; step < 200 && cache.size() > 0; ++step) {
    EXPECT_LE(cache.next_deadline(), step < 10 ? now : now + Duration::s(2));
    const std::size_t before = log.events.size();
    EXPECT_LE(cache.advance(now, 10, callback), 10U);
    for (std::size_t k = before; k < log.events.size(); ++k) {
      const auto [i, event] = log.events[k];
      if (event == SynEvent::retransmit) {
        EXPECT_EQ(sent[i], Instant{}) << "sent twice";
        sent[i] = now;
      } else {
        EXPECT_GE(now - sent[i], Duration::s(2)) << i;
      }
    }
    now = now + Duration::ms(100);
  }
  EXPECT_EQ(cache.size(), 0U);
  EXPECT_EQ(log.events.size(), 200U);
}

// C11: the clock goes back an hour: old records don't wait for it to catch up, and new ones wait as long as they
// should.
TEST(C11_SynCache, BackwardClockDoesNotStall) {
  std::vector<SynRecord> memory(4);
  SynCache cache(memory, {.retries = 2});
  Log log;
  const auto callback = SynCache::Callback::to<&Log::on>(log);
  ASSERT_NE(cache.insert({.key = tuple(1)}, at_ms(10'000'000)), kNoIndex);
  const Instant back = at_ms(6'400'000);
  const Index fresh = cache.insert({.key = tuple(2)}, back);
  std::vector<std::int64_t> fresh_ms;
  for (std::int64_t ms = 0; ms <= 10'000; ms += 10) {
    const std::size_t before = log.events.size();
    cache.advance(back + Duration::ms(ms), 8, callback);
    for (std::size_t k = before; k < log.events.size(); ++k) {
      if (log.events[k].first == fresh) fresh_ms.push_back(ms);
    }
  }
  EXPECT_EQ(cache.size(), 0U);
  ASSERT_EQ(fresh_ms.size(), 3U);
  EXPECT_NEAR(static_cast<double>(fresh_ms[0]), 1000, 20);
  EXPECT_NEAR(static_cast<double>(fresh_ms[1]), 3000, 40);
  EXPECT_NEAR(static_cast<double>(fresh_ms[2]), 7000, 60);
  EXPECT_LE(log.events.size(), 6U);  // no storm
}

// --- TIME-WAIT -------------------------------------------------------------------------------------------------------

struct TimeWait : testing::Test {
  std::vector<TimeWaitRecord> memory{3};
  TimeWaitTable table{memory};
  std::vector<Index> ended;
  void on_end(Index i) { ended.push_back(i); }
  Delegate<void(Index)> callback() { return Delegate<void(Index)>::to<&TimeWait::on_end>(*this); }
  Index add(std::uint16_t port, std::int64_t ms, bool timestamps = true) {
    return table.add({.key = tuple(port),
                      .snd_nxt = SeqNum{1000},
                      .rcv_nxt = SeqNum{500},
                      .ts_recent = 70,
                      .rcv_wnd = 65535,
                      .wscale = 0,
                      .timestamps = timestamps},
                     at_ms(ms), Duration::s(60));
  }
};

TEST_F(TimeWait, EndsAfterItsTimeAndARestartedOneLater) {
  const Index a = add(1, 0);
  const Index b = add(2, 10'000);
  table.restart(a, at_ms(20'000), Duration::s(60));
  table.check_invariants();
  EXPECT_EQ(table.advance(at_ms(60'500), 8, callback()), 0U);
  EXPECT_EQ(table.advance(at_ms(70'100), 8, callback()), 1U);
  EXPECT_EQ(ended, std::vector<Index>{b});
  EXPECT_EQ(table.advance(at_ms(80'100), 8, callback()), 1U);
  EXPECT_EQ(table.size(), 0U);
}

using C11_TimeWait = TimeWait;
TEST_F(C11_TimeWait, AnHourLaterAllEndInBoundedSteps) {
  for (std::uint16_t port = 1; port <= 3; ++port) (void)add(port, 0);
  EXPECT_EQ(table.advance(at_ms(3'600'000), 2, callback()), 2U);
  EXPECT_EQ(table.size(), 1U);
  EXPECT_EQ(table.advance(at_ms(3'600'000), 2, callback()), 1U);
}

using C9_TimeWait = TimeWait;
TEST_F(C9_TimeWait, TheTableIsBoundedAndTheOldestMakesRoom) {
  const Index first = add(1, 0);
  (void)add(2, 1);
  (void)add(3, 2);
  EXPECT_EQ(add(4, 3), kNoIndex);
  EXPECT_EQ(table.oldest(), first);
  table.remove(first);
  EXPECT_NE(add(4, 3), kNoIndex);
  static_assert(sizeof(TimeWaitRecord) <= 64);
}

using C7_TimeWait = TimeWait;
TEST_F(C7_TimeWait, LateFinRestartsRstIsIgnoredAndANewerSynReuses) {
  TimeWaitRecord& r = table[add(1, 0)];
  const auto verdict = [&](TimeWaitSegment s, bool ignore_rst = true) { return time_wait_verdict(r, s, ignore_rst); };
  EXPECT_EQ(verdict({.seq = SeqNum{499}, .fin = true, .has_ack = true, .has_timestamp = true, .tsval = 71}),
            TimeWaitVerdict::re_ack_restart);
  EXPECT_EQ(r.ts_recent, 71U);
  EXPECT_EQ(verdict({.seq = SeqNum{500}, .rst = true}), TimeWaitVerdict::ignore);
  EXPECT_EQ(verdict({.seq = SeqNum{500}, .rst = true}, false), TimeWaitVerdict::end);
  EXPECT_EQ(verdict({.seq = SeqNum{501}, .rst = true}, false), TimeWaitVerdict::re_ack);
  EXPECT_EQ(verdict({.seq = SeqNum{400}, .rst = true}, false), TimeWaitVerdict::ignore);
  // RFC 6191: the timestamp decides, then the sequence number.
  EXPECT_EQ(verdict({.seq = SeqNum{1}, .syn = true, .has_timestamp = true, .tsval = 72}), TimeWaitVerdict::reuse);
  EXPECT_EQ(verdict({.seq = SeqNum{501}, .syn = true, .has_timestamp = true, .tsval = 71}), TimeWaitVerdict::reuse);
  EXPECT_EQ(verdict({.seq = SeqNum{1}, .syn = true, .has_timestamp = true, .tsval = 71}), TimeWaitVerdict::re_ack);
  EXPECT_EQ(verdict({.seq = SeqNum{501}, .syn = true}), TimeWaitVerdict::reuse);
  EXPECT_EQ(verdict({.seq = SeqNum{1}, .syn = true}), TimeWaitVerdict::re_ack);
  EXPECT_EQ(verdict({.seq = SeqNum{501}, .syn = true, .has_ack = true}), TimeWaitVerdict::re_ack);
  // PAWS, and an ACK that crossed ours.
  EXPECT_EQ(verdict({.seq = SeqNum{500}, .has_ack = true, .has_timestamp = true, .tsval = 60}),
            TimeWaitVerdict::re_ack);
  EXPECT_EQ(verdict({.seq = SeqNum{500}, .has_ack = true, .has_timestamp = true, .tsval = 71}),
            TimeWaitVerdict::ignore);
  EXPECT_EQ(verdict({.seq = SeqNum{500}, .payload = 10, .has_ack = true}), TimeWaitVerdict::re_ack);
}

// C9: a million connections end within one TIME-WAIT; 64 bytes each, and the cap holds by ending the oldest.
TEST_F(C9_TimeWait, AMillionConnectionsStayWithinTheCap) {
  std::vector<TimeWaitRecord> records(100'000);
  TimeWaitTable many(records);
  std::uint32_t recycled = 0;
  for (std::uint32_t n = 0; n < 1'000'000; ++n) {
    const TimeWaitInfo info{.key = {IpAddress::v4(10, 0, 0, 1), IpAddress::v4(n), Port{80}, Port{1}, 0}};
    Index i = many.add(info, at_ms(n / 100), Duration::s(60));
    if (i == kNoIndex) {
      ASSERT_EQ(many[many.oldest()].remote, IpAddress::v4(recycled));  // in order
      many.remove(many.oldest());
      ++recycled;
      i = many.add(info, at_ms(n / 100), Duration::s(60));
    }
    ASSERT_NE(i, kNoIndex);
  }
  EXPECT_EQ(many.size(), 100'000U);
  EXPECT_EQ(recycled, 900'000U);
  many.check_invariants();
}

// Records keep their expiry in 32 bits of milliseconds. A table that is never empty must still know, after more than
// the 24 days of half their range, which of them are over.
TEST_F(C9_TimeWait, ATableThatIsNeverEmptyEndsItsRecordsInTimeForMonths) {
  constexpr std::int64_t kStep = 40'000;
  constexpr std::int64_t kTwoMonths = std::int64_t{60} * 86'400'000;
  for (std::int64_t ms = 0; ms < kTwoMonths; ms += kStep) {
    const std::size_t before = ended.size();
    (void)table.advance(at_ms(ms), 8, callback());
    ASSERT_EQ(ended.size() - before, ms < 2 * kStep ? 0U : 1U) << "day " << ms / 86'400'000;
    ASSERT_NE(add(static_cast<std::uint16_t>(ms / kStep), ms), kNoIndex);
  }
}

TEST_F(TimeWait, AReusedPairStartsBeyondWhatTheOldOneUsed) {
  const TimeWaitRecord& r = table[add(1, 0)];
  EXPECT_EQ(reuse_iss(r, SeqNum{5000}), SeqNum{5000});
  EXPECT_TRUE(reuse_iss(r, SeqNum{900}) > r.snd_nxt);
}

}  // namespace
}  // namespace leat::tcp
