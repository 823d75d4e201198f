#include <gtest/gtest.h>

#include <cmath>
#include <leat/core/tcp/congestion/congestion.hpp>
#include <leat/core/tcp/rtt.hpp>
#include <random>
#include <vector>

namespace leat::tcp {
namespace {

// RFC 6298 2.2 and 2.3, in numbers.
TEST(Rtt, FollowsTheRfcsFormulas) {
  Rtt r;
  EXPECT_FALSE(r.measured());
  EXPECT_EQ(r.rto_us(1'000'000, 1000, 60'000'000, 0), 1'000'000U);
  r.sample(80'000);
  EXPECT_EQ(r.srtt_us(), 80'000U);
  EXPECT_EQ(r.rttvar_us(), 40'000U);
  EXPECT_EQ(r.rto_us(1'000'000, 1000, 60'000'000, 0), 240'000U);
  r.sample(160'000);
  EXPECT_EQ(r.rttvar_us(), 50'000U);  // 3/4 * 40,000 + 1/4 * |80,000 - 160,000|
  EXPECT_EQ(r.srtt_us(), 90'000U);    // 7/8 * 80,000 + 1/8 * 160,000
  EXPECT_EQ(r.rto_us(1'000'000, 1000, 60'000'000, 0), 290'000U);
}

TEST(Rtt, BacksOffByDoublingUpToTheMaximumAndKeepsTheLeastAllowance) {
  Rtt r;
  r.sample(1000);
  EXPECT_EQ(r.rto_us(1'000'000, 200'000, 60'000'000, 0), 201'000U);
  EXPECT_EQ(r.rto_us(1'000'000, 200'000, 60'000'000, 3), 1'608'000U);
  EXPECT_EQ(r.rto_us(1'000'000, 200'000, 60'000'000, 200), 60'000'000U);
  EXPECT_EQ(r.rto_us(1'000'000, 0, 60'000'000, 0, 1000), 1000U + 2000U);
  for (int i = 0; i < 100; ++i) r.sample(1000);
  EXPECT_EQ(r.rto_us(1'000'000, 0, 60'000'000, 0, 16'000), r.srtt_us() + 16'000);  // a coarse clock: RFC 6298 2.3's G
}

// A satellite's round trips hardly differ, and ACKs are delayed all the same.
TEST(Rtt, AnEvenLongRoundTripLeavesRoomForADelayedAck) {
  Rtt r;
  for (int i = 0; i < 100; ++i) r.sample(600'000);
  EXPECT_GE(r.rto_us(1'000'000, 200'000, 60'000'000, 0), 800'000U - 20);
}

TEST(D21_ArithmeticAtTheLimits, RttOfMinutesAndOfNothingNeverOverflows) {
  for (unsigned seed = 1; seed <= 50; ++seed) {
    std::mt19937 random(seed);
    Rtt r;
    for (int i = 0; i < 500; ++i) {
      constexpr std::array<std::uint32_t, 6> kExtremes{0, 1, 7, 1000, 240'000'000, 0xffff'ffffU};
      r.sample(kExtremes[random() % kExtremes.size()]);
      ASSERT_GE(r.srtt_us(), 1U) << "seed " << seed;
      ASSERT_LE(r.srtt_us(), 240'000'000U);
      ASSERT_LE(r.rttvar_us(), 240'000'000U);
      const std::uint32_t rto = r.rto_us(1'000'000, 200'000, 0xffff'ffffU, 0);
      ASSERT_GE(std::uint64_t{rto} + 8, std::uint64_t{r.srtt_us()} + 4ULL * r.rttvar_us());
    }
  }
}

struct Flow {
  const CongestionOps& ops;
  std::uint32_t mss;
  std::uint32_t rtt_us = 40'000;
  CongestionState state{};
  Window w{};
  Instant now = Instant::from_ns(1'000'000'000);
  std::uint32_t una = 0;

  Flow(const CongestionOps& o, std::uint32_t m, std::uint32_t isn = 0) : ops(o), mss(m), una(isn) {
    ops.on_start(state, w, mss, 10);
  }
  void ack(std::uint32_t acked, std::uint32_t sample_us) {
    una += acked;
    ops.on_ack(state, w,
               AckEvent{.now = now,
                        .acked = acked,
                        .in_flight = w.cwnd,
                        .mss = mss,
                        .rtt_us = sample_us,
                        .srtt_us = rtt_us,
                        .snd_una = una,
                        .snd_nxt = una + w.cwnd,
                        .app_limited = false});
  }
  void ack(std::uint32_t acked) { ack(acked, rtt_us); }
  // One round trip: a window's worth of acknowledgements of `step` octets each, spread over it.
  void round(std::uint32_t step) {
    const std::uint32_t window = w.cwnd;
    const Instant begin = now;
    for (std::uint32_t done = 0; done < window;) {
      const std::uint32_t n = std::min(step, window - done);
      done += n;
      now = begin + Duration::ns(std::int64_t{rtt_us} * 1000 * done / window);
      ack(n);
    }
  }
  void lose() {
    ops.on_congestion(state, w, LossEvent{.now = now, .in_flight = w.cwnd, .mss = mss, .by_ecn = false});
    w.cwnd = w.ssthresh;
  }
};

// RFC 5681 3.1, RFC 6928 2.
TEST(NewReno, SlowStartDoublesAndAvoidanceAddsASegmentARound) {
  Flow f(kNewReno, 1460);
  EXPECT_EQ(f.w.cwnd, 14'600U);
  f.round(1460);
  EXPECT_EQ(f.w.cwnd, 29'200U);
  f.round(2920);
  EXPECT_EQ(f.w.cwnd, 58'400U);
  f.lose();
  EXPECT_EQ(f.w.ssthresh, 29'200U);
  for (std::uint32_t i = 1; i <= 10; ++i) {
    f.round(1460);
    EXPECT_EQ(f.w.cwnd, 29'200U + i * 1460) << i;
  }
  f.ops.on_timeout(f.state, f.w, LossEvent{.now = f.now, .in_flight = 20 * 1460, .mss = 1460, .by_ecn = false});
  EXPECT_EQ(f.w.cwnd, 1460U);
  EXPECT_EQ(f.w.ssthresh, 14'600U);
}

// RFC 3465: octets count, not acknowledgements.
TEST(D20_SplitAcks, GainNothingOverWholeOnes) {
  for (const CongestionOps* ops : {&kNewReno, &kCubic}) {
    for (const bool avoiding : {false, true}) {
      Flow whole(*ops, 1460);
      Flow split(*ops, 1460);
      for (Flow* f : {&whole, &split}) {
        f->w.cwnd = 100 * 1460;
        if (avoiding) f->lose();
      }
      for (int i = 0; i < 5; ++i) {
        whole.round(2920);
        split.round(7);
      }
      EXPECT_LE(split.w.cwnd, whole.w.cwnd + whole.w.cwnd / 100) << ops->name << avoiding;
      EXPECT_GT(split.w.cwnd, 53U * 1460);
    }
  }
}

// RFC 9438 in long double, fed with the same events.
struct CubicModel {
  long double mss;
  long double cwnd;
  long double w_max;
  long double w_est = 0;
  long double k = 0;
  long double start = -1;

  [[nodiscard]] long double w(long double t) const { return 0.4L * mss * (t - k) * (t - k) * (t - k) + w_max; }
  void ack(long double now, long double acked, long double rtt) {
    constexpr long double kMost = kMaxWindow;
    if (start < 0) {
      start = now;
      w_est = cwnd;
      k = cwnd < w_max ? std::cbrt((w_max - cwnd) / (0.4L * mss)) : 0;
      w_max = std::max(w_max, cwnd);
    }
    w_est = std::min(kMost, w_est + (w_est < w_max ? 9.0L / 17.0L : 1.0L) * mss * acked / cwnd);
    const long double t = now - start;
    if (w(t) < w_est) {
      cwnd = std::max(cwnd, w_est);
      return;
    }
    const long double target = std::max(cwnd, std::min({w(t + rtt), cwnd * 1.5L, kMost}));
    cwnd = std::min(kMost, cwnd + (target - cwnd) / cwnd * acked);
  }
};

// Windows up to the largest that TCP can express (a BDP of 64 Gbit/s over 130 ms), every kind of MSS and RTT.
TEST(D21_ArithmeticAtTheLimits, CubicFollowsTheRealNumbers) {
  for (const std::uint32_t mss : {1U, 48U, 536U, 1460U, 8948U, 65'535U}) {
    for (const std::uint32_t rtt_us : {50U, 1'000U, 40'000U, 300'000U}) {
      for (std::uint64_t window : {std::uint64_t{20} * mss, std::uint64_t{1000} * mss, std::uint64_t{100'000} * mss,
                                   std::uint64_t{500'000'000}, std::uint64_t{800'000'000}, std::uint64_t{kMaxWindow}}) {
        window = std::min<std::uint64_t>(window, kMaxWindow);
        if (window < 4 * mss) continue;
        SCOPED_TRACE(testing::Message() << "mss " << mss << " rtt " << rtt_us << " window " << window);
        Flow f(kCubic, mss, 0xffff'0000U);
        f.rtt_us = rtt_us;
        f.w.cwnd = static_cast<std::uint32_t>(window);
        f.lose();
        ASSERT_NEAR(static_cast<double>(f.w.cwnd), 0.7 * static_cast<double>(window), 2.0 * mss);
        CubicModel m{.mss = static_cast<long double>(mss),
                     .cwnd = static_cast<long double>(f.w.cwnd),
                     .w_max = static_cast<long double>(window)};
        // 400 acknowledgements over one and a half times the way back to W_max, or ten round trips.
        const long double k = std::cbrt(0.3L * static_cast<long double>(window) / (0.4L * mss));
        const auto end_us = static_cast<std::int64_t>(std::max(1.5e6L * k, 10.0L * rtt_us));
        const std::int64_t gap_us = std::max<std::int64_t>(1, end_us / 400);
        for (std::int64_t t = 0; t < end_us; t += gap_us) {
          f.now = f.now + Duration::us(gap_us);
          const auto acked = static_cast<std::uint32_t>(
              std::clamp<std::int64_t>(std::int64_t{f.w.cwnd} / rtt_us * gap_us, 2 * mss, f.w.cwnd));
          f.ack(acked);
          m.ack(static_cast<long double>(f.now.count_ns()) / 1e9L, acked, rtt_us / 1e6L);
          ASSERT_LE(f.w.cwnd, kMaxWindow);
          // The clock has 0.98 ms: near the start of an epoch that is what the two differ by.
          ASSERT_NEAR(static_cast<double>(f.w.cwnd), static_cast<double>(m.cwnd),
                      0.01 * static_cast<double>(m.cwnd) + 3.0 * mss + 8)
              << "after " << t << " us";
        }
      }
    }
  }
}

TEST(D21_ArithmeticAtTheLimits, RandomEventsKeepEveryWindowInItsRange) {
  for (const CongestionOps* ops : {&kNewReno, &kCubic}) {
    for (unsigned seed = 1; seed <= 300; ++seed) {
      SCOPED_TRACE(testing::Message() << ops->name << " seed " << seed);
      std::mt19937 random(seed);
      const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
      constexpr std::array<std::uint32_t, 6> kSegments{1, 48, 536, 1460, 9000, 65'535};
      const std::uint32_t mss = kSegments[seed % kSegments.size()];
      Flow f(*ops, mss, static_cast<std::uint32_t>(random()));
      const std::uint32_t first = f.w.cwnd;
      Window before = f.w;
      for (int step = 0; step < 400; ++step) {
        constexpr std::array<std::int64_t, 5> kGaps{0, 1, 1000, 10'000'000, 4'000'000'000'000};
        f.now = f.now + Duration::us(kGaps[below(kGaps.size())]);
        const std::uint32_t in_flight = below(4) == 0 ? kMaxWindow : below(f.w.cwnd + 1);
        const LossEvent loss{.now = f.now, .in_flight = in_flight, .mss = mss, .by_ecn = below(2) == 0};
        switch (below(12)) {
          case 0:
            before = f.w;
            ops->on_congestion(f.state, f.w, loss);
            f.w.cwnd = f.w.ssthresh;
            break;
          case 1:
            before = f.w;
            ops->on_timeout(f.state, f.w, loss);
            EXPECT_EQ(f.w.cwnd, mss);
            break;
          case 2:
            ops->on_exit(f.state, f.w, loss);
            break;
          case 3:
            ops->on_idle(f.state, f.w, mss, 10);
            break;
          case 4:
            ops->on_undo(f.state, f.w, before);
            break;
          case 5:
            f.w.cwnd = std::max(mss, kMaxWindow - below(1000));
            break;
          default: {
            const std::uint32_t was = f.w.cwnd;
            f.rtt_us = 1 + below(1'000'000);
            const std::uint32_t acked = below(3) == 0 ? in_flight : below(4 * mss);
            f.ack(acked, below(2) * f.rtt_us);
            ASSERT_GE(f.w.cwnd, was);  // an acknowledgement never shrinks the window
            if (ops == &kNewReno) {
              ASSERT_LE(f.w.cwnd, was + std::max(acked, mss));
            }
          }
        }
        ASSERT_GE(f.w.cwnd, mss);
        ASSERT_LE(f.w.cwnd, std::max(kMaxWindow, first));
        ASSERT_GE(f.w.ssthresh, mss);
      }
    }
  }
}

// RFC 9406: the round-trip time grows by more than an eighth within slow start: five slower rounds, then avoidance.
TEST(D18_NumbersWrapAtEveryBoundary, HyStartLeavesSlowStartForEveryInitialNumber) {
  for (const std::uint32_t isn : {0U, 0x7fff'0000U, 0x8000'0001U, 0xc000'0000U, 0xffff'0000U}) {
    SCOPED_TRACE(isn);
    Flow f(kCubic, 1460, isn);
    f.rtt_us = 40'000;
    f.round(1460);
    f.round(1460);
    EXPECT_EQ(f.w.cwnd, 4U * 14'600);  // no reason to leave
    f.rtt_us = 60'000;                 // a queue builds
    std::vector<std::uint32_t> windows;
    for (int i = 0; i < 12 && f.w.cwnd < f.w.ssthresh; ++i) {
      f.round(1460);
      windows.push_back(f.w.cwnd);
    }
    EXPECT_GE(f.w.cwnd, f.w.ssthresh) << "still in slow start";
    ASSERT_GE(windows.size(), 4U);
    EXPECT_LT(windows[2], windows[1] + windows[1] / 3);  // a quarter of the growth (RFC 9406 4.2, CSS_GROWTH_DIVISOR)
  }
}

TEST(Cubic, HyStartGoesOnWhenItWasJitter) {
  Flow f(kCubic, 1460, 0xfff0'0000U);
  f.round(1460);
  f.rtt_us = 60'000;
  f.round(1460);
  f.rtt_us = 38'000;
  const std::uint32_t was = f.w.cwnd;
  f.round(1460);
  f.round(1460);
  EXPECT_GT(f.w.cwnd, 3 * was);
  EXPECT_LT(f.w.cwnd, f.w.ssthresh);
}

// A reduction that was spurious is taken back, and slow start begins with a clean slate.
TEST(Cubic, UndoReturnsToSlowStart) {
  Flow f(kCubic, 1460, 0x9000'0000U);
  f.round(1460);
  const Window before = f.w;
  f.lose();
  for (int i = 0; i < 4; ++i) f.round(1460);  // avoidance uses the words that slow start has
  f.ops.on_undo(f.state, f.w, before);
  EXPECT_EQ(f.w.ssthresh, before.ssthresh);
  EXPECT_GE(f.w.cwnd, before.cwnd);
  const std::uint32_t was = f.w.cwnd;
  f.round(1460);
  EXPECT_EQ(f.w.cwnd, 2 * was);
}

// RFC 7661: a window that was not used does not grow.
TEST(Congestion, TheWindowDoesNotGrowWhileTheApplicationHoldsBack) {
  for (const CongestionOps* ops : {&kNewReno, &kCubic}) {
    for (const bool avoiding : {false, true}) {
      Flow f(*ops, 1460);
      if (avoiding) f.lose();
      const std::uint32_t was = f.w.cwnd;
      for (int i = 0; i < 100; ++i)
        ops->on_ack(f.state, f.w,
                    AckEvent{.now = f.now,
                             .acked = 1460,
                             .in_flight = 1460,
                             .mss = 1460,
                             .rtt_us = 1000,
                             .srtt_us = 1000,
                             .snd_una = 1460U * i,
                             .snd_nxt = 1460U * (i + 1),
                             .app_limited = true});
      EXPECT_EQ(f.w.cwnd, was) << ops->name;
    }
  }
}

}  // namespace
}  // namespace leat::tcp
