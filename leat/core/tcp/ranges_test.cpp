#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <leat/core/tcp/ranges.hpp>
#include <leat/core/tcp/scoreboard.hpp>
#include <random>
#include <vector>

namespace leat::tcp {
namespace {

using wire::SackBlock;

// The same as RangeList says, a byte at a time: slow and plain.
class ByteModel {
 public:
  struct Byte {
    bool sacked = false;
    bool lost = false;
    bool resent = false;
    unsigned transmissions = 1;
  };
  std::vector<Byte> bytes;  // from SND.UNA

  void acked(std::uint32_t n) { bytes.erase(bytes.begin(), bytes.begin() + n); }
  std::uint32_t sack(std::uint32_t from, std::uint32_t to) {
    std::uint32_t fresh = 0;
    for (std::uint32_t i = from; i < to; ++i) {
      if (bytes[i].sacked) continue;
      bytes[i].sacked = true;
      bytes[i].lost = bytes[i].resent = false;
      ++fresh;
    }
    return fresh;
  }
  // RFC 6675 4: IsLost, for every byte.
  std::uint32_t update_lost(std::uint32_t mss, unsigned dup_threshold) {
    std::uint32_t newly = 0;
    std::uint64_t above = 0;
    unsigned runs = 0;
    for (std::size_t i = bytes.size(); i-- > 0;) {
      Byte& b = bytes[i];
      if (b.sacked) {
        ++above;
        if (i + 1 == bytes.size() || !bytes[i + 1].sacked) ++runs;
      } else if (!b.lost && (runs >= dup_threshold || above > (dup_threshold - 1) * mss)) {
        b.lost = true;
        ++newly;
      }
    }
    return newly;
  }
  void all_lost(bool forget) {
    for (Byte& b : bytes) {
      if (forget) b.sacked = false;
      b.lost = !b.sacked;
      b.resent = false;
    }
  }
  void clear_lost() {
    for (Byte& b : bytes) b.lost = b.resent = false;
  }
  void resent(std::uint32_t from, std::uint32_t to) {
    for (std::uint32_t i = from; i < to; ++i) {
      bytes[i].resent = true;
      ++bytes[i].transmissions;
    }
  }
  [[nodiscard]] std::uint32_t in_flight() const {
    std::uint32_t n = 0;
    for (const Byte& b : bytes) n += b.sacked || (b.lost && !b.resent) ? 0 : 1;
    return n;
  }
};

struct Flight {
  explicit Flight(std::size_t nodes, std::uint32_t origin, std::uint32_t most)
      : memory(nodes), pool(memory, 99), una(origin), nxt(origin), cap(most) {}
  std::vector<Range> memory;
  RangePool pool;
  RangeList list;
  SeqNum una;
  SeqNum nxt;
  std::uint32_t cap;
  std::uint32_t tick = 0;

  void send(std::uint32_t n) {
    ASSERT_TRUE(pool.room(list));
    pool.sent(list, nxt, nxt + n, ++tick, 0, cap);
    nxt += n;
  }
  AckedRanges ack(std::uint32_t n) {
    una += n;
    return pool.acked(list, una);
  }
  SackResult sack(const std::vector<std::pair<std::uint32_t, std::uint32_t>>& offsets) {
    std::vector<SackBlock> blocks;
    for (const auto& [from, to] : offsets) blocks.push_back({una + from, una + to});
    return kSack.apply(pool, list, una, nxt, blocks, cap);
  }
  std::uint32_t update_lost(std::uint32_t mss) { return kSack.update_lost(pool, list, mss, 3, cap); }
  [[nodiscard]] std::uint32_t in_flight() const { return RangePool::in_flight(list, nxt - una); }
  void check_coverage() const {
    pool.check_invariants(list);
    if (list.tree.first == kNoIndex) {
      ASSERT_EQ(una, nxt);
      return;
    }
    ASSERT_EQ(pool[list.tree.first].start, una);
    ASSERT_EQ(pool[list.tree.last].end, nxt);
  }
  [[nodiscard]] std::uint32_t next_lost_offset() {
    const auto span = pool.next_lost(list);
    return span ? span->start - una : 0xffffffffU;
  }
};

constexpr std::array<std::uint32_t, 4> kOrigins{0, 0x7fff'fc00U, 0xffff'fc00U, 0x9abc'def0U};

TEST(Ranges, CoverWhatIsInFlightAndMergeWhatAgrees) {
  Flight f(8, 1000, 8);
  f.send(100);
  f.pool.sent(f.list, f.nxt, f.nxt + 100, f.tick, 0, f.cap);  // the same burst: the same range
  f.nxt += 100;
  EXPECT_EQ(f.list.count, 1U);
  f.send(100);
  EXPECT_EQ(f.list.count, 2U);
  EXPECT_EQ(f.in_flight(), 300U);
  const AckedRanges a = f.ack(250);
  EXPECT_EQ(a.bytes, 250U);
  EXPECT_EQ(a.first_sent_tick, 1U);
  EXPECT_EQ(a.last_sent_tick, 2U);
  EXPECT_FALSE(a.any_resent);
  f.check_coverage();
  f.ack(50);
  EXPECT_EQ(f.pool.used(), 0U);
  EXPECT_EQ(f.in_flight(), 0U);
}

// What the usual acknowledgement does to a list is what the general one does, and it keeps away from all other lists.
TEST(Ranges, OneRangeSentOnceIsPlainAndGoesWhole) {
  std::array<Range, 8> memory{}, other{};
  RangePool pool{memory}, general{other};
  RangeList list, same;
  EXPECT_FALSE(pool.plain(list)) << "empty";
  for (auto [p, l] : {std::pair{&pool, &list}, std::pair{&general, &same}})
    p->sent(*l, SeqNum{0xffff'fff0}, SeqNum{0x10}, 7, 0, 8);
  ASSERT_TRUE(pool.plain(list));
  EXPECT_EQ(pool.acked_plain(list, SeqNum{0x10}), 7u);
  EXPECT_EQ(general.acked(same, SeqNum{0x10}).last_sent_tick, 7u);
  EXPECT_EQ(list.count, same.count);
  EXPECT_EQ(list.resend_hint, same.resend_hint);
  EXPECT_EQ(list.lost_edge, same.lost_edge);
  EXPECT_EQ(list.highest_sacked, same.highest_sacked);
  EXPECT_EQ(pool.used(), 0u);
  pool.check_invariants(list);

  pool.sent(list, SeqNum{0x10}, SeqNum{0x20}, 8, 0, 8);
  pool.sent(list, SeqNum{0x20}, SeqNum{0x30}, 9, 0, 8);
  EXPECT_FALSE(pool.plain(list)) << "two of them";
  (void)pool.acked(list, SeqNum{0x20});
  EXPECT_TRUE(pool.plain(list));
  pool.mark_all_lost(list, false);
  EXPECT_FALSE(pool.plain(list)) << "lost";
  pool.resent(list, SeqNum{0x20}, SeqNum{0x30}, 10, 0, 8);
  pool.clear_lost(list);
  EXPECT_FALSE(pool.plain(list)) << "sent twice: Karn's rule wants to know";
  pool.clear(list);
  pool.sent(list, SeqNum{0x40}, SeqNum{0x50}, 11, 0, 8);
  pool.mark_sacked(list, SeqNum{0x40}, SeqNum{0x50}, 8);
  EXPECT_FALSE(pool.plain(list)) << "SACKed";
  pool.clear(list);
}

// RFC 6675 4 and 5, on ten segments of which the third is missing.
TEST(Ranges, ThreeSegmentsAboveAHoleMakeItLostAndItIsSentAgainOnce) {
  Flight f(32, 0, 32);
  for (int i = 0; i < 10; ++i) f.send(100);
  f.ack(200);
  f.sack({{100, 200}});
  f.sack({{100, 300}});
  EXPECT_EQ(f.update_lost(100), 0U);  // two segments are no more than (DupThresh - 1) * SMSS
  f.sack({{100, 400}});
  EXPECT_EQ(f.update_lost(100), 100U);
  EXPECT_EQ(f.in_flight(), 400U);  // 800 - 300 SACKed - 100 lost
  const auto lost = f.pool.next_lost(f.list);
  ASSERT_TRUE(lost.has_value());
  EXPECT_EQ(lost->start - f.una, 0U);
  EXPECT_EQ(lost->end - f.una, 100U);
  f.pool.resent(f.list, lost->start, lost->end, 50, 0, f.cap);
  EXPECT_EQ(f.in_flight(), 500U);
  EXPECT_FALSE(f.pool.next_lost(f.list).has_value());
  const AckedRanges a = f.ack(400);
  EXPECT_EQ(a.bytes, 400U);
  EXPECT_EQ(a.not_sacked, 100U);
  EXPECT_TRUE(a.any_resent);  // Karn: no sample from it
  f.check_coverage();
}

// RFC 6675 4, NextSeg (3): holes that nobody judged, one after the other, each in pieces of a segment, and nothing
// above what was SACKed.
TEST(Ranges, HolesBelowSackedDataAreTakenInOrder) {
  Flight f(32, 0, 32);
  f.pool.mark_hole_lost(f.list, f.una + 300, 70, f.cap);
  for (int i = 0; i < 8; ++i) f.send(100);
  f.pool.mark_hole_lost(f.list, f.una + 300, 70, f.cap);
  EXPECT_EQ(f.list.lost, 0U) << "nothing is SACKed";
  f.sack({{200, 300}});
  f.sack({{400, 500}});
  for (const auto& [start, end] :
       {std::pair{0U, 70U}, {70U, 100U}, {100U, 170U}, {170U, 200U}, {300U, 370U}, {370U, 400U}}) {
    f.pool.mark_hole_lost(f.list, f.una + start, 70, f.cap);
    EXPECT_FALSE(f.pool.next_lost(f.list).has_value()) << "it begins at the edge";
    f.pool.mark_hole_lost(f.list, f.una + start + 1, 70, f.cap);
    const auto lost = f.pool.next_lost(f.list);
    ASSERT_TRUE(lost.has_value());
    EXPECT_EQ(lost->start - f.una, start);
    EXPECT_EQ(lost->end - f.una, end);
    f.pool.resent(f.list, lost->start, lost->end, 50, 0, f.cap);
  }
  f.pool.mark_hole_lost(f.list, f.una + 800, 70, f.cap);
  EXPECT_FALSE(f.pool.next_lost(f.list).has_value());
  EXPECT_EQ(f.list.lost, 300U);
  f.check_coverage();
}

// Thousands of random histories: what the ranges say of every byte is what the plain model says.
TEST(D18_NumbersWrapAtEveryBoundary, RangesAgreeWithAByteByByteModel) {
  for (const std::uint32_t origin : kOrigins) {
    for (unsigned seed = 1; seed <= 60; ++seed) {
      SCOPED_TRACE(testing::Message() << "origin " << origin << " seed " << seed);
      std::mt19937 random(seed);
      const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
      const std::uint32_t mss = 1 + below(60);
      Flight f(4096, origin, 4096);
      ByteModel model;
      for (int step = 0; step < 250; ++step) {
        const auto flight = static_cast<std::uint32_t>(model.bytes.size());
        switch (below(9)) {
          case 0:
          case 1:
            if (flight < 1500) {
              const std::uint32_t n = 1 + below(100);
              f.send(n);
              model.bytes.resize(flight + n);
            }
            break;
          case 2: {
            if (flight == 0) break;
            const std::uint32_t n = 1 + below(std::min(flight, 120U));
            const AckedRanges a = f.ack(n);
            std::uint32_t fresh = 0;
            bool again = false;
            for (std::uint32_t i = 0; i < n; ++i) {
              fresh += model.bytes[i].sacked ? 0 : 1;
              again = again || model.bytes[i].transmissions > 1;
            }
            ASSERT_EQ(a.bytes, n);
            ASSERT_EQ(a.not_sacked, fresh);
            // A SACKed run knows of its parts only that one of them was sent again.
            ASSERT_TRUE(a.any_resent || !again);
            model.acked(n);
            break;
          }
          case 3:
          case 4:
          case 5: {
            if (flight < 2) break;
            const std::uint32_t from = 1 + below(flight - 1);
            const std::uint32_t to = from + 1 + below(std::min(flight - from, 150U));
            const SackResult r = f.sack({{from, std::min(to, flight)}});
            ASSERT_EQ(r.newly_sacked, model.sack(from, std::min(to, flight)));
            ASSERT_EQ(r.reneged, !model.bytes.empty() && model.bytes[0].sacked);
            ASSERT_FALSE(r.dsack);
            break;
          }
          case 6:
            ASSERT_EQ(f.update_lost(mss), model.update_lost(mss, 3));
            break;
          case 7:
            if (below(4) == 0) {
              const bool forget = below(2) == 0;
              f.pool.mark_all_lost(f.list, forget);
              model.all_lost(forget);
            } else if (below(4) == 0) {
              f.pool.clear_lost(f.list);
              model.clear_lost();
            }
            break;
          case 8: {
            const auto span = f.pool.next_lost(f.list);
            std::uint32_t first = 0;
            while (first < flight && (!model.bytes[first].lost || model.bytes[first].resent)) ++first;
            ASSERT_EQ(span.has_value(), first < flight);
            if (!span) break;
            ASSERT_EQ(span->start - f.una, first);
            for (std::uint32_t i = first; i < span->end - f.una; ++i)
              ASSERT_TRUE(model.bytes[i].lost && !model.bytes[i].resent);
            const std::uint32_t n = 1 + below(span->end - span->start);
            f.pool.resent(f.list, span->start, span->start + n, ++f.tick, 0, f.cap);
            model.resent(first, first + n);
            break;
          }
        }
        f.check_coverage();
        ASSERT_EQ(f.in_flight(), model.in_flight());
        bool last_sacked = false;
        for (Index i = f.list.tree.first; i != kNoIndex; i = f.pool[i].treap.next) {
          const Range& r = f.pool[i];
          ASSERT_FALSE(last_sacked && r.sacked) << "SACKed neighbours were not merged";
          last_sacked = r.sacked;
          for (SeqNum s = r.start; s < r.end; s += 1) {
            const ByteModel::Byte& b = model.bytes[s - f.una];
            ASSERT_TRUE(b.sacked == r.sacked && b.lost == r.lost && b.resent == r.resent)
                << "byte " << s - f.una << " in step " << step;
          }
        }
      }
      f.pool.clear(f.list);
      EXPECT_EQ(f.pool.used(), 0U);
    }
  }
}

// With no nodes left, marks may be missing but are never wrong: nothing counts as SACKed that was not, and every byte
// stays covered.
TEST(D15_SackWithTinySegments, AtTheNodeCapNothingIsRecordedWrongly) {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
    Flight f(4 + below(12), 0xffff'ff00U, 3 + below(8));
    ByteModel model;
    for (int step = 0; step < 300; ++step) {
      const auto flight = static_cast<std::uint32_t>(model.bytes.size());
      switch (below(8)) {
        case 0:
        case 1:
          if (flight < 2000 && f.pool.room(f.list)) {
            const std::uint32_t n = 1 + below(100);
            f.send(n);
            model.bytes.resize(flight + n);
          }
          break;
        case 2:
          if (flight > 0) {
            const std::uint32_t n = 1 + below(std::min(flight, 120U));
            ASSERT_EQ(f.ack(n).bytes, n);
            model.acked(n);
          }
          break;
        case 3:
        case 4:
          if (flight > 1) {
            const std::uint32_t from = 1 + below(flight - 1);
            const std::uint32_t to = std::min(flight, from + 1 + below(150));
            const std::uint32_t fresh = f.sack({{from, to}}).newly_sacked;
            model.sack(from, to);
            ASSERT_LE(fresh, to - from);
          }
          break;
        case 5:
          f.update_lost(30);
          break;
        case 6:
          if (below(4) == 0) f.pool.mark_all_lost(f.list, below(4) == 0);
          break;
        case 7:
          if (const auto span = f.pool.next_lost(f.list)) {
            const std::uint32_t before = f.in_flight();
            f.pool.resent(f.list, span->start, span->start + 1 + below(span->end - span->start), ++f.tick, 0, f.cap);
            ASSERT_GT(f.in_flight(), before);  // it makes progress: the same bytes are not named for ever
          }
          break;
      }
      f.check_coverage();
      ASSERT_LE(f.list.count, std::max(f.cap, 1U));
      ASSERT_LE(f.in_flight(), f.nxt - f.una);
      for (Index i = f.list.tree.first; i != kNoIndex; i = f.pool[i].treap.next)
        if (f.pool[i].sacked)
          for (SeqNum s = f.pool[i].start; s < f.pool[i].end; s += 1) {
            ASSERT_TRUE(model.bytes[s - f.una].sacked);
          }
    }
    f.pool.clear(f.list);
    EXPECT_EQ(f.pool.used(), 0U);
  }
}

TEST(D15_SackWithTinySegments, ARetransmissionAtTheCapMarksNoMoreThanWasSent) {
  Flight f(16, 0, 3);
  f.send(1000);
  f.send(1000);
  f.pool.mark_all_lost(f.list, false);
  f.pool.resent(f.list, SeqNum{0}, SeqNum{100}, 9, 0, f.cap);  // takes the last node
  EXPECT_EQ(f.list.count, f.cap);
  for (std::uint32_t at = 100; at < 900; at += 100) {
    f.pool.resent(f.list, SeqNum{at}, SeqNum{at + 100}, 9 + at, 0, f.cap);
    ASSERT_EQ(f.next_lost_offset(), at + 100);
    ASSERT_EQ(f.in_flight(), at + 100);
  }
  f.check_coverage();
}

// CVE-2019-11477 and 11478: MSS 48, 64 KB and more in flight, SACK blocks at every second segment.
TEST(D15_SackWithTinySegments, AlternatingHolesCostNodesUpToTheCapAndShortWalks) {
  constexpr std::uint32_t kMss = 48;
  constexpr std::uint32_t kSegments = 4096;  // 196,608 bytes
  for (const std::uint32_t cap : {256U, 2048U, 8192U}) {
    Flight f(16384, 0xffff'0000U, cap);
    for (std::uint32_t i = 0; i < kSegments; ++i) f.send(kMss);
    std::uint32_t sacked = 0;
    for (std::uint32_t i = 1; i < kSegments; i += 2) {
      sacked += f.sack({{i * kMss, (i + 1) * kMss}}).newly_sacked;
      f.update_lost(kMss);
      ASSERT_LE(f.list.count, cap);
      // What update_lost looked at: from the highest SACKed range down to the third.
      unsigned looked_at = 0;
      unsigned runs = 0;
      for (Index k = f.list.tree.last; k != kNoIndex && runs < 3; k = f.pool[k].treap.prev) {
        if (f.pool[k].end > f.list.highest_sacked) continue;
        ++looked_at;
        runs += f.pool[k].sacked ? 1 : 0;
      }
      ASSERT_LE(looked_at, 6U);
    }
    f.check_coverage();
    EXPECT_EQ(f.list.sacked, sacked);
    EXPECT_TRUE(cap <= kSegments || sacked == kSegments / 2 * kMss);
    // All but the three highest holes are lost, 32-bit counters are right, and each is sent again exactly once.
    std::uint32_t again = 0;
    while (const auto span = f.pool.next_lost(f.list)) {
      const std::uint32_t n = std::min(kMss, span->end - span->start);
      f.pool.resent(f.list, span->start, span->start + n, ++f.tick, 0, cap);
      again += n;
      ASSERT_LE(again, kSegments * kMss);
    }
    EXPECT_GE(f.list.lost, again);
    f.check_coverage();
    EXPECT_EQ(f.ack(kSegments * kMss).bytes, kSegments * kMss);
    EXPECT_EQ(f.pool.used(), 0U);
  }
}

TEST(D14_SackBlocksThatLie, AreIgnoredWithoutATrace) {
  for (const std::uint32_t origin : kOrigins) {
    Flight f(32, origin, 32);
    for (int i = 0; i < 10; ++i) f.send(100);
    f.ack(200);
    const std::vector<SackBlock> lies{
        {f.una + 500, f.una + 400},          // reversed
        {f.una + 500, f.una + 500},          // empty
        {f.una + 700, f.nxt + 1},            // ends beyond SND.NXT
        {f.nxt, f.nxt + 100},                // begins there
        {f.nxt + 0x7000'0000U, f.nxt + 1},   // far away
        {f.una - 100, f.una + 100},          // reaches below the acknowledgement
        {f.una + 100, f.una + 0x9000'0000U}  // longer than half the space
    };
    for (const SackBlock& lie : lies) {
      const std::vector<SackBlock> blocks{{f.una + 300, f.una + 400}, lie};  // not first: no DSACK either
      Flight g(32, origin, 32);
      for (int i = 0; i < 10; ++i) g.send(100);
      g.ack(200);
      const SackResult r = kSack.apply(g.pool, g.list, g.una, g.nxt, blocks, g.cap);
      EXPECT_EQ(r.newly_sacked, 100U);
      EXPECT_EQ(g.list.sacked, 100U);
      EXPECT_FALSE(r.dsack);
      EXPECT_FALSE(r.reneged);
      g.check_coverage();
      // Alone it says nothing at all.
      const SackResult alone = kSack.apply(f.pool, f.list, f.una, f.nxt, std::span{&lie, 1}, f.cap);
      EXPECT_EQ(alone.newly_sacked, 0U);
      EXPECT_EQ(f.list.sacked, 0U);
      f.check_coverage();
    }
  }
}

TEST(D14_SackBlocksThatLie, OverlappingBlocksCountEveryByteOnce) {
  Flight f(32, 0xffff'ff00U, 32);
  for (int i = 0; i < 10; ++i) f.send(100);
  EXPECT_EQ(f.sack({{350, 650}, {300, 500}, {600, 700}, {300, 700}}).newly_sacked, 400U);
  EXPECT_EQ(f.list.sacked, 400U);
  EXPECT_EQ(f.in_flight(), 600U);
  f.check_coverage();
}

// RFC 2883 4.1 and 4.2.
TEST(D14_SackBlocksThatLie, ADuplicateIsReportedByTheFirstBlockAlone) {
  Flight f(32, 5000, 32);
  for (int i = 0; i < 10; ++i) f.send(100);
  f.ack(300);
  std::vector<SackBlock> blocks{{f.una - 200, f.una - 100}, {f.una + 100, f.una + 200}};
  SackResult r = kSack.apply(f.pool, f.list, f.una, f.nxt, blocks, f.cap);
  EXPECT_TRUE(r.dsack);
  EXPECT_EQ(r.duplicate, blocks[0]);
  EXPECT_EQ(r.newly_sacked, 100U);
  blocks = {{f.una + 120, f.una + 150}, {f.una + 100, f.una + 200}};
  r = kSack.apply(f.pool, f.list, f.una, f.nxt, blocks, f.cap);
  EXPECT_TRUE(r.dsack);
  EXPECT_EQ(r.newly_sacked, 0U);
  // In second place the same block is a lie.
  blocks = {{f.una + 100, f.una + 200}, {f.una - 200, f.una - 100}};
  r = kSack.apply(f.pool, f.list, f.una, f.nxt, blocks, f.cap);
  EXPECT_FALSE(r.dsack);
  EXPECT_EQ(r.newly_sacked, 0U);
  // An empty or a reversed block reports nothing, below the acknowledgement or not.
  for (const SackBlock lie : {SackBlock{f.una - 100, f.una - 100}, SackBlock{f.una - 100, f.una - 200},
                              SackBlock{f.una + 150, f.una + 120}}) {
    blocks = {lie, {f.una + 100, f.una + 200}};
    r = kSack.apply(f.pool, f.list, f.una, f.nxt, blocks, f.cap);
    EXPECT_FALSE(r.dsack);
    EXPECT_EQ(r.newly_sacked, 0U);
  }
  f.check_coverage();
}

// RFC 2018 8: SACKed data may be thrown away by the receiver. It is noticed, and a time-out sends all of it again.
TEST(D14_SackBlocksThatLie, ARenegingReceiverGetsEverythingAgain) {
  Flight f(32, 0, 32);
  for (int i = 0; i < 10; ++i) f.send(100);
  EXPECT_FALSE(f.sack({{100, 400}}).reneged);
  f.ack(100);  // the hole is filled, yet the acknowledgement stops where the SACKed data begins
  EXPECT_TRUE(f.sack({{500, 600}}).reneged);
  f.pool.mark_all_lost(f.list, true);
  EXPECT_EQ(f.list.sacked, 0U);
  EXPECT_EQ(f.in_flight(), 0U);
  std::uint32_t again = 0;
  while (const auto span = f.pool.next_lost(f.list)) {
    f.pool.resent(f.list, span->start, span->end, 77, 0, f.cap);
    again += span->end - span->start;
  }
  EXPECT_EQ(again, 900U);
  EXPECT_EQ(f.in_flight(), 900U);
  f.check_coverage();
}

}  // namespace
}  // namespace leat::tcp
