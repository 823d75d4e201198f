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

// Without a bad line the seed still gives hosts their keys, and with these sequence numbers and ports.
TEST(SimTransfer, OnAGoodLineTheSeedShowsAsWell) {
  const TransferReport one = run_transfer(small(1));
  const TransferReport two = run_transfer(small(2));
  EXPECT_EQ(one.capture_packets, two.capture_packets);
  EXPECT_NE(one.capture_hash, two.capture_hash);
}

// Every MTU that is accepted carries segments on a good line: merged ones of a few octets, and the largest packets.
TEST(SimTransfer, EveryMtuCarries) {
  for (const std::uint32_t mtu : {68U, 76U, 100U, 114U, 115U, 116U, 576U, 1280U, 9000U, 65'522U, 65'523U, 65'535U}) {
    for (const IpVersion version : {IpVersion::v4, IpVersion::v6}) {
      if (version == IpVersion::v6 && mtu < 1280) continue;
      TransferOptions o = small(1);
      o.version = version;
      o.mtu = mtu;
      const TransferReport r = run_transfer(o);
      EXPECT_TRUE(r.ok) << mtu << ": " << r.problem;
      EXPECT_EQ(r.timeouts, 0U) << mtu;
    }
  }
}

// What the options say reaches the line and the hosts, each of them in both directions.
TEST(SimTransfer, EveryKnobReachesTheLine) {
  const auto ran = [](const auto& change) {
    TransferOptions o = small(5);
    o.both_ways = true;
    change(o);
    TransferReport r = run_transfer(o);
    EXPECT_TRUE(r.ok) << r.problem;
    return r;
  };
  const TransferReport plain = ran([](auto&) {});
  EXPECT_EQ(plain.there.lost + plain.back.lost + plain.there.reordered + plain.there.duplicated + plain.there.corrupted,
            0U);
  const TransferReport bad_line = ran([](auto& o) {
    o.loss_ppm = 20'000;
    o.reorder_ppm = 20'000;
    o.duplicate_ppm = 20'000;
    o.corrupt_ppm = 20'000;
  });
  for (const ImpairmentCounters* c : {&bad_line.there, &bad_line.back}) {
    EXPECT_GT(c->lost, 0U);
    EXPECT_GT(c->reordered, 0U);
    EXPECT_GT(c->duplicated, 0U);
    EXPECT_GT(c->corrupted, 0U);
  }
  EXPECT_GT(bad_line.retransmitted_segments, 0U);
  EXPECT_GT(bad_line.fast_retransmits, 0U);
  // 200 KB at 10 Mbit/s: 160 ms; a short queue drops what slow start sends too fast.
  const TransferReport slow = ran([](auto& o) { o.rate_bps = 10'000'000; });
  EXPECT_GE(slow.elapsed, Duration::ms(160));
  EXPECT_LT(plain.elapsed, Duration::ms(160));
  EXPECT_EQ(slow.there.queue_full, 0U);
  const TransferReport full = ran([](auto& o) {
    o.rate_bps = 10'000'000;
    o.queue_packets = 5;
  });
  EXPECT_GT(full.there.queue_full, 0U);
  EXPECT_GT(full.back.queue_full, 0U);
  // A handshake, a request and an end: each takes the round trip once.
  const auto tiny = [](auto& o) { o.bytes = 10; };
  const TransferReport near = ran(tiny);
  EXPECT_GE(near.elapsed, Duration::ms(20));
  EXPECT_LT(near.elapsed, Duration::ms(60));
  EXPECT_EQ(near.elapsed, ran(tiny).elapsed);
  const TransferReport shaken = ran([&](auto& o) {
    tiny(o);
    o.jitter = Duration::ms(3);
  });
  EXPECT_GT(shaken.elapsed, near.elapsed);
  EXPECT_LT(shaken.elapsed, near.elapsed + Duration::ms(30));
  // Fewer frames are larger ones; a bare IP link asks nobody for addresses; IPv6's headers are longer.
  EXPECT_LT(ran([](auto& o) { o.mtu = 9000; }).there.submitted, plain.there.submitted / 2);
  const TransferReport bare = ran([&](auto& o) {
    tiny(o);
    o.link = LinkType::ip;
  });
  EXPECT_LT(bare.there.submitted, near.there.submitted);
  EXPECT_NE(ran([&](auto& o) {
              tiny(o);
              o.link = LinkType::ip;
              o.version = IpVersion::v6;
            }).capture_hash,
            bare.capture_hash);
  // Merging shows in the acknowledgements, and so does how much moves at once.
  const TransferReport merged = ran([](auto& o) { o = bad(5); });
  const auto unmerged = ran([](auto& o) { (o = bad(5)).software_gro = false; });
  EXPECT_NE(unmerged.capture_hash, merged.capture_hash);
  EXPECT_NE(ran([](auto& o) { (o = bad(5)).batch = 1; }).capture_hash, merged.capture_hash);
}

TEST(SimTransfer, OptionsReachBothHosts) {
  // A window of 4 KB for a round trip of 10 ms: 200 KB take half a second, whichever side has it.
  TransferOptions o = small(6);
  EXPECT_LT(run_transfer(o).elapsed, Duration::ms(200));
  o.options = {{OptionId::receive_buffer, 4096}};
  EXPECT_GT(run_transfer(o).elapsed, Duration::ms(400));
  o.options = {{OptionId::send_buffer, 4096}};
  EXPECT_GT(run_transfer(o).elapsed, Duration::ms(400));
  o.options = {{OptionId::tcp_sack, 7}};
  const TransferReport r = run_transfer(o);
  EXPECT_FALSE(r.ok);
  EXPECT_NE(r.problem.find("tcp_sack does not take 7"), std::string::npos) << r.problem;
}

TEST(SimTransfer, TheReportSaysHowItWent) {
  TransferOptions o = small(7);
  o.connections = 3;
  std::uint64_t last = 0;
  o.on_progress = [&](std::uint64_t delivered) {
    EXPECT_GE(delivered, last);
    last = delivered;
  };
  const TransferReport r = run_transfer(o);
  EXPECT_EQ(last, 600'000U);
  EXPECT_EQ(r.seed, 7U);
  EXPECT_EQ(r.goodput_bps, std::uint64_t{600'000} * 8 * 1000 / static_cast<std::uint64_t>(r.elapsed.count_ms()));
  EXPECT_GT(r.turns, 10U);
  EXPECT_GT(r.capture_packets, 400U);
  o.on_progress = {};
  o.hash = false;  // then nothing is recorded
  const TransferReport unrecorded = run_transfer(o);
  EXPECT_EQ(unrecorded.capture_packets, 0U);
  EXPECT_EQ(unrecorded.elapsed, r.elapsed);
}

TEST(SimTransfer, ACaptureThatCannotBeWrittenIsAProblem) {
  TransferOptions o = small(8);
  o.pcap_path = "/nonexistent/x.pcapng";
  const TransferReport nowhere = run_transfer(o);
  EXPECT_FALSE(nowhere.ok);
  EXPECT_EQ(nowhere.problem, "the capture /nonexistent/x.pcapng can't be created");
  EXPECT_EQ(nowhere.turns, 0U);
  o.pcap_path = "/dev/full";
  if (!Capture(o.pcap_path).good()) GTEST_SKIP() << "no /dev/full here";
  const TransferReport full = run_transfer(o);
  EXPECT_FALSE(full.ok);
  EXPECT_EQ(full.problem, "the capture /dev/full can't be written");
}

// The watch: with a bound below a partition's length nothing moves for too long, and no error is reported.
TEST(SimTransfer, WhatDoesNotMoveIsAStall) {
  TransferOptions o = small(9);
  o.bytes = 1'000'000;
  o.rate_bps = 10'000'000;
  o.partitions = {{Duration::ms(200), Duration::s(30)}};
  o.stall_bound = Duration::s(3);
  const TransferReport r = run_transfer(o);
  EXPECT_FALSE(r.ok);
  EXPECT_TRUE(r.stalled);
  EXPECT_EQ(r.error, std::nullopt);
  EXPECT_GE(r.elapsed, Duration::s(3));
  EXPECT_LT(r.elapsed, Duration::ms(3300));
  EXPECT_EQ(r.problem.find("nothing moved for 3 s, and no error was reported at 3"), 0U) << r.problem;
  o.stall_bound = Duration::s(100);
  EXPECT_TRUE(run_transfer(o).ok);
  o.limit = Duration::s(1);  // and the time for all of it
  const TransferReport cut = run_transfer(o);
  EXPECT_FALSE(cut.ok);
  EXPECT_TRUE(cut.stalled);
  EXPECT_EQ(cut.elapsed, Duration::s(1));
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

// Where a packet is hardly larger than its headers, SACK blocks are what has to give way.
TEST(SimTransfer, TheSmallestMtusOverABadLine) {
  for (std::uint32_t mtu = 68; mtu <= 112; mtu += 4) {
    TransferOptions o = bad(mtu);
    o.mtu = mtu;
    o.bytes = 10'000;
    o.both_ways = true;
    for (const std::int64_t timestamps : {0, 1}) {
      o.options = {{OptionId::tcp_timestamps, timestamps}};
      expect_complete(o, run_transfer(o));
    }
  }
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
