#include <gtest/gtest.h>

#include <leat/offload/checksum_completion.hpp>
#include <leat/offload/frames_test_support.hpp>
#include <leat/offload/gro.hpp>
#include <leat/offload/gso.hpp>
#include <map>
#include <random>

namespace leat {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)

struct GroTest : testing::Test {
  Memory m{{.packets = 200, .chunks = {300, 200, 4}}};
  PacketBatch batch;
  Gro gro{LinkType::ethernet};

  // Adds a segment of `n` bytes that follows the last one added with the same spec.
  void segment(FrameSpec& s, std::size_t n) {
    s.payload = numbers(n, s.seq);
    batch.push(packet_of(m.pool, make_frame(s)));
    s.seq += static_cast<std::uint32_t>(n);
  }
  wire::TcpView tcp(std::size_t i) {
    const PacketMeta& meta = batch[i].meta();
    return *wire::TcpView::parse(batch[i].head().subspan(meta.l4_offset), batch[i].size() - meta.l4_offset);
  }
  wire::Ipv4View ip(std::size_t i) { return *wire::Ipv4View::parse(batch[i].head().subspan(14), batch[i].size() - 14); }
};

TEST_F(GroTest, MergesABurstOfOneConnection) {
  for (const bool v6 : {false, true}) {
    FrameSpec s{.v6 = v6, .ts_value = 100, .ts_echo = 50};
    Bytes all;
    for (unsigned i = 0; i < 5; ++i) {
      s.ack = 500 + i;
      s.window = static_cast<std::uint16_t>(1000 + i);
      s.ts_value = 100 + i;
      s.ts_echo = 50 + i;
      if (i == 4) s.flags |= wire::TcpFlag::psh;
      const FrameSpec before = s;
      segment(s, i == 4 ? 600 : 1448);
      all.insert(all.end(), s.payload.begin(), s.payload.end());
      s.flags = before.flags;
    }
    gro.merge(batch);
    ASSERT_EQ(batch.size(), 1U);
    const PacketMeta& meta = batch[0].meta();
    EXPECT_EQ(meta.merged, 5);
    EXPECT_EQ(meta.gso_size, 1448);
    EXPECT_EQ(meta.gso_type, v6 ? GsoType::tcp_v6 : GsoType::tcp_v4);
    EXPECT_EQ(meta.checksum, ChecksumState::verified);
    EXPECT_EQ(meta.payload_offset, header_length(s));
    EXPECT_EQ(tcp(0).seq(), SeqNum{1000});
    EXPECT_EQ(tcp(0).ack(), SeqNum{504});
    EXPECT_EQ(tcp(0).window(), 1004);
    EXPECT_TRUE(tcp(0).flags().psh());
    std::uint32_t value = 0;
    std::uint32_t echo = 0;
    ASSERT_TRUE(wire::fast_timestamps(tcp(0).options(), value, echo));
    EXPECT_EQ(value, 104U);
    EXPECT_EQ(echo, 54U);
    Bytes payload = contents(batch[0]);
    payload.erase(payload.begin(), payload.begin() + meta.payload_offset);
    EXPECT_EQ(payload, all);
    if (v6) {
      EXPECT_EQ(load_be16(&batch[0].head()[14 + 4]), batch[0].size() - 14 - 40);
    } else {
      EXPECT_TRUE(ip(0).checksum_ok());
      EXPECT_EQ(ip(0).total_length(), batch[0].size() - 14);
    }
    batch.clear();
  }
  EXPECT_EQ(gro.counters().merged, 8U);
  EXPECT_TRUE(m.pool.all_free());
}

TEST_F(GroTest, GsoCutsAMergedPacketIntoTheSegmentsThatCame) {
  for (const bool v6 : {false, true}) {
    for (const bool timestamps : {false, true}) {
      FrameSpec s{.v6 = v6, .timestamps = timestamps, .payload = numbers(20000)};
      const auto frames = wire_frames(s, 1400);
      for (const Bytes& f : frames) batch.push(packet_of(m.pool, f));
      gro.merge(batch);
      ASSERT_EQ(batch.size(), 1U);
      GsoSplitter gso;
      ASSERT_TRUE(gso.begin(std::move(batch[0]), {}));
      batch.clear();
      EXPECT_EQ(gso.run(batch), GsoSplitter::Progress::done);
      std::vector<Bytes> again;
      for (const Packet& p : batch) again.push_back(contents(p));
      EXPECT_EQ(again, frames);
      batch.clear();
    }
  }
}

TEST_F(GroTest, MergesZeroCopyFramesOfAPipe) {
  const FrameSpec s{.payload = numbers(10000)};
  GsoSplitter gso;
  ASSERT_TRUE(gso.begin(super_segment(m.pool, s, 1448, {5000, 0}), {}));
  EXPECT_EQ(gso.run(batch), GsoSplitter::Progress::done);
  gro.merge(batch);
  ASSERT_EQ(batch.size(), 1U);
  Bytes expected = make_frame(s);
  Bytes got = contents(batch[0]);
  EXPECT_EQ(Bytes(got.begin() + 66, got.end()), Bytes(expected.begin() + 66, expected.end()));
  EXPECT_EQ(batch[0].meta().merged, 7);
}

TEST_F(GroTest, KeepsPureAcksInOrderWithTheData) {
  FrameSpec s;
  segment(s, 1000);
  segment(s, 1000);
  segment(s, 0);
  segment(s, 1000);
  segment(s, 1000);
  gro.merge(batch);
  ASSERT_EQ(batch.size(), 3U);
  EXPECT_EQ(batch[0].meta().merged, 2);
  EXPECT_EQ(tcp(1).payload_length(), 0U);
  EXPECT_EQ(batch[1].meta().checksum, ChecksumState::none) << "left to the core";
  EXPECT_EQ(batch[2].meta().merged, 2);
  EXPECT_EQ(tcp(2).seq(), SeqNum{3000});
}

TEST_F(GroTest, WhatMayNotMergeStaysApart) {
  struct Case {
    const char* name;
    void (*change)(FrameSpec&);
    bool merges;
  };
  const Case cases[] = {
      {"nothing", [](FrameSpec&) {}, true},
      {"psh", [](FrameSpec& s) { s.flags |= wire::TcpFlag::psh; }, true},
      {"fin", [](FrameSpec& s) { s.flags |= wire::TcpFlag::fin; }, false},
      {"syn", [](FrameSpec& s) { s.flags |= wire::TcpFlag::syn; }, false},
      {"rst", [](FrameSpec& s) { s.flags |= wire::TcpFlag::rst; }, false},
      {"urg", [](FrameSpec& s) { s.flags |= wire::TcpFlag::urg; }, false},
      {"ece", [](FrameSpec& s) { s.flags |= wire::TcpFlag::ece; }, false},
      {"cwr", [](FrameSpec& s) { s.flags |= wire::TcpFlag::cwr; }, false},
      {"no ack", [](FrameSpec& s) { s.flags = {}; }, false},
      {"gap", [](FrameSpec& s) { s.seq += 1; }, false},
      {"overlap", [](FrameSpec& s) { s.seq -= 1; }, false},
      {"duplicate", [](FrameSpec& s) { s.seq -= 1000; }, false},
      {"newer ack", [](FrameSpec& s) { s.ack += 1000; }, true},
      {"older ack", [](FrameSpec& s) { s.ack -= 1; }, false},
      {"newer timestamp", [](FrameSpec& s) { s.ts_value += 1; }, true},
      {"older timestamp", [](FrameSpec& s) { s.ts_value -= 1; }, false},
      {"no timestamps", [](FrameSpec& s) { s.timestamps = false; }, false},
      {"sack", [](FrameSpec& s) { s.options = {1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2}; }, false},
      {"other port", [](FrameSpec& s) { s.source_port += 1; }, false},
      {"ttl", [](FrameSpec& s) { s.ttl -= 1; }, false},
      {"dscp", [](FrameSpec& s) { s.tos = 0x20; }, false},
      {"ect", [](FrameSpec& s) { s.tos = 2; }, false},
      {"any id", [](FrameSpec& s) { s.id = 12345; }, true},
  };
  for (const bool v6 : {false, true}) {
    for (const Case& c : cases) {
      FrameSpec s{.v6 = v6};
      segment(s, 1000);
      c.change(s);
      segment(s, 1000);
      gro.merge(batch);
      EXPECT_EQ(batch.size(), c.merges ? 1U : 2U) << c.name;
      if (batch.size() == 2) {
        EXPECT_EQ(batch[0].meta().merged, 1) << c.name;
        EXPECT_EQ(batch[0].meta().gso_size, 0) << c.name;
      }
      batch.clear();
    }
  }
}

TEST_F(GroTest, ASmallerSegmentEndsThePacketAndALargerOneStartsAnew) {
  FrameSpec s;
  segment(s, 1000);
  segment(s, 999);
  segment(s, 999);
  segment(s, 1000);
  gro.merge(batch);
  ASSERT_EQ(batch.size(), 3U);
  EXPECT_EQ(batch[0].meta().merged, 2);
  EXPECT_EQ(batch[1].meta().merged, 1);
  EXPECT_EQ(batch[2].meta().merged, 1);
}

TEST_F(GroTest, CountsCeMarksAndCarriesCeInTheHeader) {
  for (const bool v6 : {false, true}) {
    FrameSpec s{.v6 = v6, .tos = 0x2e};  // DSCP and ECT(0)
    segment(s, 1000);
    s.tos = 0x2f;  // CE
    segment(s, 1000);
    segment(s, 1000);
    s.tos = 0x2e;
    segment(s, 1000);
    s.tos = 0x2d;  // ECT(1): another kind of sender, RFC 9331
    segment(s, 1000);
    gro.merge(batch);
    // CE joins both, and what is CE by now takes ECT(1) as well.
    ASSERT_GE(batch.size(), 1U);
    EXPECT_EQ(batch[0].meta().ce_marks, 2);
    const std::uint8_t* header = batch[0].head().data() + 14;
    EXPECT_EQ(v6 ? (load_be16(header) >> 4) & 0xff : header[1], 0x2f);
    if (!v6) {
      EXPECT_TRUE(ip(0).checksum_ok());
    }
    batch.clear();
  }
}

TEST_F(GroTest, KeepsEct0AndEct1Apart) {
  FrameSpec s{.tos = 2};
  segment(s, 1000);
  s.tos = 1;
  segment(s, 1000);
  gro.merge(batch);
  EXPECT_EQ(batch.size(), 2U);
}

TEST_F(GroTest, ADamagedSegmentIsLeftAsItCameAndMergesWithNothing) {
  FrameSpec s;
  segment(s, 1000);
  s.payload = numbers(1000, s.seq);
  Bytes bad = make_frame(s);
  bad[500] ^= 4;
  batch.push(packet_of(m.pool, bad));
  s.seq += 1000;
  segment(s, 1000);
  Bytes bad_ip = make_frame(s);
  bad_ip[14 + 8] ^= 1;  // TTL: only the header checksum knows
  batch.push(packet_of(m.pool, bad_ip));
  gro.merge(batch);
  ASSERT_EQ(batch.size(), 4U);
  EXPECT_EQ(contents(batch[1]), bad);
  EXPECT_EQ(batch[1].meta().checksum, ChecksumState::none);
  EXPECT_EQ(contents(batch[3]), bad_ip);
  EXPECT_EQ(batch[3].meta().checksum, ChecksumState::none);
  EXPECT_EQ(gro.counters().bad_checksums, 2U);
}

TEST_F(GroTest, TrimsLinkPadding) {
  FrameSpec s{.padding = 6};
  segment(s, 1000);
  segment(s, 1000);
  gro.merge(batch);
  ASSERT_EQ(batch.size(), 1U);
  EXPECT_EQ(batch[0].size(), 66U + 2000U);
}

TEST_F(GroTest, CopiesSmallPayloadsTogetherInsteadOfKeepingAChunkForEach) {
  FrameSpec s;
  Bytes all;
  for (int i = 0; i < 10; ++i) {
    segment(s, 100);
    all.insert(all.end(), s.payload.begin(), s.payload.end());
  }
  gro.merge(batch);
  ASSERT_EQ(batch.size(), 1U);
  EXPECT_TRUE(batch[0].fragments().empty());
  EXPECT_EQ(batch[0].true_size(), kChunkBytes[1]);
  EXPECT_EQ(batch[0].meta().merged, 10);
  Bytes got;
  for (const Packet& p : batch) {
    const Bytes c = contents(p);
    got.insert(got.end(), c.begin() + 66, c.end());
  }
  EXPECT_EQ(got, all);
}

TEST_F(GroTest, AFragmentListHoldsEighteenAndTheNextSegmentStartsAnew) {
  FrameSpec s;
  for (int i = 0; i < 40; ++i) segment(s, 1448);
  gro.merge(batch);
  ASSERT_EQ(batch.size(), 3U);
  EXPECT_EQ(batch[0].meta().merged, 19);
  EXPECT_EQ(batch[1].meta().merged, 19);
  EXPECT_EQ(batch[2].meta().merged, 2);
}

TEST_F(GroTest, NeverMakesMoreThanAnIpPacketHolds) {
  Memory big({.packets = 16, .chunks = {16, 0, 12}});
  FrameSpec s;
  for (int i = 0; i < 8; ++i) {
    s.payload = numbers(9000);
    batch.push(packet_of(big.pool, make_frame(s)));
    s.seq += 9000;
  }
  gro.merge(batch);
  ASSERT_EQ(batch.size(), 2U);
  EXPECT_EQ(batch[0].size(), 66U + 7 * 9000U);
  batch.clear();
}

TEST_F(GroTest, WithoutMemoryForTheListTheSegmentsStaySingle) {
  FrameSpec s;
  for (int i = 0; i < 4; ++i) segment(s, 1448);
  m.pool.fail_allocation(1, true);
  gro.merge(batch);
  m.pool.fail_allocation(0);
  ASSERT_EQ(batch.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(tcp(i).seq(), SeqNum{static_cast<std::uint32_t>(1000 + i * 1448)});
    EXPECT_EQ(batch[i].meta().payload_offset, 66);
    EXPECT_EQ(batch[i].size(), 66U + 1448U);
  }
}

TEST_F(GroTest, VerifiesUdpAndSetsItsOffsets) {
  FrameSpec s{.udp = true, .payload = numbers(300)};
  batch.push(packet_of(m.pool, make_frame(s)));
  batch.push(packet_of(m.pool, make_frame(s)));
  gro.merge(batch);
  ASSERT_EQ(batch.size(), 2U);
  EXPECT_EQ(batch[0].meta().checksum, ChecksumState::verified);
  EXPECT_EQ(batch[0].meta().payload_offset, 42);
}

TEST_F(GroTest, LeavesAForeignSharedOrMergedPacketAlone) {
  FrameSpec s;
  batch.push(packet_of(m.pool, numbers(60)));  // no IP
  batch.push(packet_of(m.pool, Bytes{}));      // nothing at all
  batch.push(super_segment(m.pool, {.seq = 1, .payload = numbers(4000)}, 1000, {0}));
  segment(s, 1000);
  Packet second = batch[3].clone();
  segment(s, 1000);
  gro.merge(batch);
  EXPECT_EQ(batch.size(), 5U);
  EXPECT_EQ(contents(second), contents(batch[3]));
}

TEST_F(GroTest, OrderWithinEachConnectionHoldsForRandomMixes) {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    std::mt19937 random(seed);
    std::map<std::uint16_t, std::vector<std::pair<std::uint32_t, Bytes>>>
        sent;  // port -> (seq, payload), one per segment
    std::map<std::uint16_t, FrameSpec> specs;
    const auto flows = static_cast<unsigned>(1 + random() % 24);  // more than the table holds
    for (int i = 0; i < 64; ++i) {
      const auto port = static_cast<std::uint16_t>(1000 + random() % flows);
      FrameSpec& s = specs.try_emplace(port, FrameSpec{}).first->second;
      s.source_port = port;
      s.v6 = port % 3 == 0;
      s.flags = wire::TcpFlag::ack;
      if (random() % 10 == 0) s.seq += 100;
      if (random() % 12 == 0) s.flags |= wire::TcpFlag::fin;
      const std::size_t n = random() % 6 == 0 ? 0 : (random() % 3 == 0 ? 77 : 1000);
      const std::uint32_t seq = s.seq;
      segment(s, n);
      sent[port].emplace_back(seq, s.payload);
    }
    gro.merge(batch);
    std::map<std::uint16_t, std::vector<std::pair<std::uint32_t, Bytes>>> got;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const PacketMeta& meta = batch[i].meta();
      Bytes payload = contents(batch[i]);
      payload.erase(payload.begin(), payload.begin() + meta.payload_offset);
      EXPECT_EQ(meta.checksum, payload.empty() ? ChecksumState::none : ChecksumState::verified);
      std::uint32_t seq = tcp(i).seq().value();
      auto& list = got[tcp(i).source_port().value()];
      const std::size_t piece = meta.merged == 1 ? payload.size() : meta.gso_size;
      std::size_t at = 0;
      for (unsigned k = 0; k < meta.merged; ++k) {
        const std::size_t n = std::min(piece, payload.size() - at);
        list.emplace_back(seq, Bytes(payload.begin() + static_cast<std::ptrdiff_t>(at),
                                     payload.begin() + static_cast<std::ptrdiff_t>(at + n)));
        at += n;
        seq += static_cast<std::uint32_t>(n);
      }
      EXPECT_EQ(at, payload.size());
    }
    EXPECT_EQ(got, sent) << "seed " << seed;
    batch.clear();
    EXPECT_TRUE(m.pool.all_free());
  }
}

}  // namespace
}  // namespace leat
