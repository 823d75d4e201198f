// Transfers over bad lines: every byte arrives, or an error is reported, and a run repeats exactly.

#include <gtest/gtest.h>

#include <leat/core/all_modules.hpp>
#include <leat/sim/transfer.hpp>

namespace leat::sim {
namespace {

TransferOptions small(std::uint64_t seed = 1) {
  TransferOptions o;
  o.modules = &kAllModules;
  o.seed = seed;
  o.bytes = 200'000;
  return o;
}

TransferOptions bad(std::uint64_t seed) {
  TransferOptions o = small(seed);
  o.rtt = Duration::ms(20);
  o.jitter = Duration::ms(2);
  o.loss_ppm = 20'000;
  o.reorder_ppm = 10'000;
  o.duplicate_ppm = 10'000;
  o.corrupt_ppm = 2'000;
  o.rate_bps = 100'000'000;
  o.queue_packets = 64;
  return o;
}

void expect_complete(const TransferOptions& o, const TransferReport& r) {
  EXPECT_TRUE(r.ok) << r.problem;
  EXPECT_FALSE(r.stalled);
  EXPECT_EQ(r.error, std::nullopt);
  EXPECT_EQ(r.bytes_to_server, o.bytes * o.connections);
  EXPECT_EQ(r.bytes_to_client, o.both_ways ? o.bytes * o.connections : 0);
  EXPECT_TRUE(r.pools_clean) << "packets were not given back, seed " << o.seed;
}

TEST(SimTransfer, AGoodLineNeedsNoRetransmission) {
  TransferOptions o = small();
  o.both_ways = true;
  const TransferReport r = run_transfer(o);
  expect_complete(o, r);
  EXPECT_EQ(r.retransmitted_segments, 0U);
  EXPECT_EQ(r.timeouts, 0U);
}

TEST(SimTransfer, TheSameSeedGivesTheSameCapture) {
  const TransferReport first = run_transfer(bad(5));
  const TransferReport again = run_transfer(bad(5));
  const TransferReport other = run_transfer(bad(6));
  EXPECT_GT(first.capture_packets, 300U);
  EXPECT_EQ(first.capture_hash, again.capture_hash);
  EXPECT_EQ(first.elapsed, again.elapsed);
  EXPECT_NE(first.capture_hash, other.capture_hash);
}

// Architecture, section 10: where budgets don't bind, how many packets move at once changes nothing.
TEST(SimTransfer, BatchesOfOneAndOfSixtyFourGiveTheSameCapture) {
  for (const std::uint64_t seed : {1, 2, 3}) {
    TransferOptions o = bad(seed);
    o.software_gro = false;  // merging sees what is in one batch
    o.both_ways = true;
    const TransferReport many = run_transfer(o);
    o.batch = 1;
    const TransferReport one = run_transfer(o);
    EXPECT_TRUE(one.ok) << one.problem;
    EXPECT_EQ(one.capture_packets, many.capture_packets) << "seed " << seed;
    EXPECT_EQ(one.capture_hash, many.capture_hash) << "seed " << seed;
  }
}

TEST(SimTransfer, TwentySeedsOverABadLine) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    TransferOptions o = bad(seed);
    o.both_ways = seed % 2 == 0;
    expect_complete(o, run_transfer(o));
  }
}

TEST(SimTransfer, Ipv6AndBareIpAndSmallAndLargeMtu) {
  for (const std::uint32_t mtu : {1280U, 1500U, 9000U}) {
    for (const LinkType link : {LinkType::ethernet, LinkType::ip}) {
      TransferOptions o = bad(mtu);
      o.version = IpVersion::v6;
      o.link = link;
      o.mtu = mtu;
      expect_complete(o, run_transfer(o));
    }
  }
  TransferOptions tiny = small(3);
  tiny.mtu = 200;
  tiny.bytes = 20'000;
  expect_complete(tiny, run_transfer(tiny));
}

TEST(SimTransfer, SeveralConnectionsShareALine) {
  TransferOptions o = bad(11);
  o.connections = 16;
  o.bytes = 50'000;
  o.both_ways = true;
  expect_complete(o, run_transfer(o));
}

TEST(SimTransfer, EveryCongestionControlMovesEverything) {
  for (const std::int64_t congestion : {0, 1}) {
    TransferOptions o = bad(21);
    o.options = {{OptionId::tcp_congestion, congestion}};
    expect_complete(o, run_transfer(o));
  }
}

TEST(SimTransfer, WithoutSackTimestampsAndScaling) {
  TransferOptions o = bad(31);
  o.options = {{OptionId::tcp_sack, 0}, {OptionId::tcp_timestamps, 0}, {OptionId::tcp_window_scaling, 0}};
  expect_complete(o, run_transfer(o));
}

// Row D12: the model of Mathis et al. (1997), 1.22 * MSS / (RTT * sqrt(p)), holds for loss that is repaired without a
// time-out. With one in fifty a window of nine segments hardly ever lets that fail, and a second copy of a segment goes
// for each that was lost, and for nothing else, however long the path.
TEST(D12_LossyPath, KeepsTheModelsRateAndSendsNothingTwice) {
  for (const std::int64_t rtt_ms : {10, 40, 250}) {
    for (const std::int64_t congestion : {0, 1}) {
      std::uint64_t lost = 0;
      std::uint64_t resent = 0;
      std::uint64_t timeouts = 0;
      std::uint64_t goodput = 0;
      for (std::uint64_t seed = 1; seed <= 8; ++seed) {
        TransferOptions o = small(seed);
        o.bytes = 2'000'000;
        o.rtt = Duration::ms(rtt_ms);
        o.loss_ppm = 20'000;
        o.rate_bps = 1'000'000'000;
        o.options = {{OptionId::tcp_congestion, congestion}};
        const TransferReport r = run_transfer(o);
        expect_complete(o, r);
        lost += r.there.lost;
        resent += r.retransmitted_segments;
        timeouts += r.timeouts;
        goodput += r.goodput_bps / 8;
      }
      SCOPED_TRACE(testing::Message() << rtt_ms << " ms, congestion control " << congestion << ": lost " << lost
                                      << ", sent again " << resent << ", time-outs " << timeouts);
      const std::uint64_t model = 122 * 1448 * 8 * 1000 / (100 * static_cast<std::uint64_t>(rtt_ms)) * 1000 / 141;
      EXPECT_GE(goodput, model * 7 / 10);
      EXPECT_LE(goodput, model * 2);
      EXPECT_LE(resent, lost + lost / 20);
      EXPECT_LE(timeouts, lost / 10);  // a second copy is lost as well: what RACK would find
    }
  }
}

TEST(SimTransfer, SmallBuffersAndHeavyLoss) {
  TransferOptions o = bad(41);
  o.bytes = 60'000;
  o.loss_ppm = 150'000;
  o.options = {{OptionId::receive_buffer, 4096}, {OptionId::send_buffer, 4096}};
  expect_complete(o, run_transfer(o));
}

TEST(SimTransfer, APartitionHeals) {
  TransferOptions o = small(51);
  o.bytes = 1'000'000;
  o.rate_bps = 10'000'000;
  o.partitions = {{Duration::ms(200), Duration::s(8)}, {Duration::s(30), Duration::s(31)}};
  const TransferReport r = run_transfer(o);
  expect_complete(o, r);
  EXPECT_GT(r.elapsed, Duration::s(8));
  EXPECT_GT(r.timeouts, 0U);
}

TEST(SimTransfer, APartitionForEverIsReported) {
  // On Ethernet the neighbour goes silent as well, which says why the connection was given up.
  for (const LinkType link : {LinkType::ethernet, LinkType::ip}) {
    TransferOptions o = small(61);
    o.link = link;
    o.bytes = 1'000'000;
    o.rate_bps = 10'000'000;
    o.partitions = {{Duration::ms(200), Duration::s(1'000'000)}};
    const TransferReport r = run_transfer(o);
    EXPECT_FALSE(r.ok);
    EXPECT_FALSE(r.stalled) << r.problem;
    EXPECT_EQ(r.error, link == LinkType::ethernet ? Errc::host_unreachable : Errc::timed_out) << r.problem;
  }
}

TEST(SimTransfer, AConnectionToNobodyIsReported) {
  for (const LinkType link : {LinkType::ethernet, LinkType::ip}) {
    TransferOptions o = small(71);
    o.link = link;
    o.server_absent = true;
    const TransferReport r = run_transfer(o);
    EXPECT_FALSE(r.ok);
    EXPECT_FALSE(r.stalled) << r.problem;
    ASSERT_TRUE(r.error.has_value()) << r.problem;
    EXPECT_TRUE(*r.error == Errc::timed_out || *r.error == Errc::host_unreachable);
    EXPECT_LT(r.elapsed, Duration::s(200));
    EXPECT_NE(r.problem.find("seed 71"), std::string::npos) << r.problem;
  }
}

TEST(SimTransfer, ASmallPoolSlowsDownAndDelivers) {
  TransferOptions o = bad(81);
  o.pool = {.packets = 96, .chunks = {96, 96, 0}, .reserve = 16};
  o.both_ways = true;
  expect_complete(o, run_transfer(o));
}

}  // namespace
}  // namespace leat::sim
