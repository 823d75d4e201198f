#include <gtest/gtest.h>

#include <array>
#include <leat/core/tcp/out_of_order.hpp>
#include <optional>
#include <random>
#include <vector>

namespace leat::tcp {
namespace {

using wire::SackBlock;

struct Memory {
  explicit Memory(const PoolLayout& l) : bytes(PacketPool::bytes_needed(l)), pool(bytes, l) {}
  std::vector<std::uint8_t> bytes;
  PacketPool pool;
};

struct Receiver {
  explicit Receiver(std::size_t n, std::uint32_t origin, PoolLayout layout = {4096, {4096, 4096, 0}, 0})
      : memory(layout), nodes(n), pool(nodes, 3), base(origin) {}
  ~Receiver() {
    pool.clear(queue, memory.pool);
    stream.clear(memory.pool);
    EXPECT_EQ(pool.used(), 0U);
    EXPECT_TRUE(memory.pool.all_free());
  }
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  Memory memory;
  std::vector<OooRange> nodes;
  OooPool pool;
  OutOfOrder queue;
  ChunkQueue stream;
  SeqNum base;
  std::uint32_t cap = 4096;
  std::uint32_t budget = 1U << 30;

  Packet payload(const std::vector<std::uint8_t>& data) {
    Packet p = memory.pool.allocate_for(static_cast<std::uint32_t>(data.size()), kHeadroom);
    if (p) std::copy(data.begin(), data.end(), p.append(static_cast<std::uint32_t>(data.size())).begin());
    return p;
  }
  OooInsert insert(std::uint32_t at, const std::vector<std::uint8_t>& data, SackBlock* overlap = nullptr) {
    Packet p = payload(data);
    if (!p) return OooInsert::refused;
    return pool.insert(queue, base + at, std::move(p), cap, budget, overlap);
  }
  OooInsert insert(std::uint32_t at, std::uint32_t n, std::uint8_t value, SackBlock* overlap = nullptr) {
    return insert(at, std::vector<std::uint8_t>(n, value), overlap);
  }
  std::vector<SackBlock> sacks(std::size_t most = 4) {
    std::vector<SackBlock> b(most);
    b.resize(pool.sack_blocks(queue, b));
    return b;
  }
  std::vector<std::uint8_t> delivered(std::uint32_t next) {
    ChunkQueue out;
    const std::uint32_t n = pool.deliver(queue, memory.pool, base + next, out);
    EXPECT_EQ(out.size(), n);
    out.check_invariants(memory.pool);
    std::vector<std::uint8_t> bytes(n);
    EXPECT_EQ(out.read(memory.pool, bytes), n);
    return bytes;
  }
  void check() { pool.check_invariants(queue, memory.pool); }
};

constexpr std::array<std::uint32_t, 4> kOrigins{0, 0x7fff'fe00U, 0xffff'fe00U, 0x1357'9bdfU};

TEST(OutOfOrder, NeighboursJoinAndTheStreamContinues) {
  Receiver r(16, 100);
  EXPECT_EQ(r.insert(100, 100, 1), OooInsert::stored);
  EXPECT_EQ(r.insert(300, 100, 3), OooInsert::stored);
  EXPECT_EQ(r.queue.count, 2U);
  EXPECT_EQ(r.insert(200, 100, 2), OooInsert::stored);
  EXPECT_EQ(r.queue.count, 1U);
  EXPECT_TRUE(r.pool.covers(r.queue, r.base + 399));
  EXPECT_FALSE(r.pool.covers(r.queue, r.base + 400));
  EXPECT_FALSE(r.pool.covers(r.queue, r.base + 99));
  EXPECT_TRUE(r.delivered(99).empty());
  const auto bytes = r.delivered(150);  // what was delivered in order may overlap
  ASSERT_EQ(bytes.size(), 250U);
  EXPECT_EQ(bytes.front(), 1);
  EXPECT_EQ(bytes[50], 2);
  EXPECT_EQ(bytes.back(), 3);
}

// RFC 2018 4: the first block holds the segment that triggered the acknowledgement; then the others, latest first.
TEST(OutOfOrder, SackBlocksNameWhatChangedLastFirst) {
  Receiver r(16, 0xffff'fff0U);
  const auto block = [&](std::uint32_t from, std::uint32_t to) { return SackBlock{r.base + from, r.base + to}; };
  r.insert(10, 10, 1);
  r.insert(30, 10, 1);
  r.insert(50, 10, 1);
  EXPECT_EQ(r.sacks(), (std::vector{block(50, 60), block(30, 40), block(10, 20)}));
  r.insert(20, 5, 1);
  EXPECT_EQ(r.sacks(), (std::vector{block(10, 25), block(50, 60), block(30, 40)}));
  r.insert(30, 10, 9);  // nothing new, but it is what arrived last
  EXPECT_EQ(r.sacks(), (std::vector{block(30, 40), block(10, 25), block(50, 60)}));
  EXPECT_EQ(r.sacks(2).size(), 2U);
  r.check();
}

// RFC 2883: what arrived twice is told, once.
TEST(OutOfOrder, TellsWhatWasHereAlready) {
  Receiver r(16, 0);
  SackBlock twice;
  EXPECT_EQ(r.insert(100, 100, 1, &twice), OooInsert::stored);
  EXPECT_EQ(twice.left, twice.right);
  EXPECT_EQ(r.insert(120, 30, 1, &twice), OooInsert::duplicate);
  EXPECT_EQ(twice, (SackBlock{r.base + 120, r.base + 150}));
  EXPECT_EQ(r.insert(150, 100, 1, &twice), OooInsert::stored);
  EXPECT_EQ(twice, (SackBlock{r.base + 150, r.base + 200}));
  // RFC 2883 4: of several the first.
  EXPECT_EQ(r.insert(300, 50, 1, &twice), OooInsert::stored);
  EXPECT_EQ(r.insert(240, 100, 1, &twice), OooInsert::stored);
  EXPECT_EQ(twice, (SackBlock{r.base + 240, r.base + 250}));
}

TEST(D17_OverlapsWithOtherBytes, TheFirstReceivedWinsForEveryShapeOfOverlap) {
  for (const std::uint32_t origin : kOrigins) {
    for (std::uint32_t from = 180; from <= 420; from += 20) {
      for (std::uint32_t to = from + 20; to <= 440; to += 20) {
        SCOPED_TRACE(testing::Message() << from << ".." << to << " origin " << origin);
        Receiver r(16, origin);
        r.insert(200, 50, 1);
        r.insert(300, 50, 2);
        r.insert(400, 20, 3);
        std::vector<int> expected(480, 0);
        for (std::uint32_t i = 0; i < expected.size(); ++i)
          expected[i] = i >= 200 && i < 250 ? 1 : i >= 300 && i < 350 ? 2 : i >= 400 && i < 420 ? 3 : 0;
        r.insert(from, to - from, 0xee);
        for (std::uint32_t i = from; i < to; ++i)
          if (expected[i] == 0) expected[i] = 0xee;
        r.check();
        for (std::uint32_t at = 0; at < expected.size();) {
          if (expected[at] == 0) {
            EXPECT_FALSE(r.pool.covers(r.queue, r.base + at));
            ++at;
            continue;
          }
          const auto bytes = r.delivered(at);
          ASSERT_FALSE(bytes.empty());
          for (const std::uint8_t b : bytes) ASSERT_EQ(b, expected[at++]);
        }
      }
    }
  }
}

// Random segments with contents that disagree, delivered as the hole at the front closes.
TEST(D18_NumbersWrapAtEveryBoundary, OutOfOrderAgreesWithAByteByByteModel) {
  for (const std::uint32_t origin : kOrigins) {
    for (unsigned seed = 1; seed <= 60; ++seed) {
      SCOPED_TRACE(testing::Message() << "origin " << origin << " seed " << seed);
      std::mt19937 random(seed);
      const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
      Receiver r(2048, origin);
      std::vector<std::optional<std::uint8_t>> model(2048);
      std::uint32_t next = 0;
      std::vector<std::uint8_t> got;
      std::vector<std::uint8_t> expected;
      while (next + 300 < model.size()) {
        if (below(6) > 0) {
          const std::uint32_t at = next + 1 + below(200);
          std::vector<std::uint8_t> data(1 + below(below(3) == 0 ? 90 : 12));
          for (std::uint8_t& b : data) b = static_cast<std::uint8_t>(random());
          bool fresh = false;
          for (std::uint32_t i = 0; i < data.size(); ++i) {
            if (model[at + i]) continue;
            model[at + i] = data[i];
            fresh = true;
          }
          ASSERT_EQ(r.insert(at, data), fresh ? OooInsert::stored : OooInsert::duplicate);
          const auto sacks = r.sacks(1);
          ASSERT_EQ(sacks.size(), 1U);  // the block of what just arrived: all of it is there
          ASSERT_TRUE(sacks[0].left <= r.base + at && r.base + at < sacks[0].right);
        } else {
          const std::uint32_t n = 1 + below(40);  // in order: takes over what was queued for these bytes
          for (std::uint32_t i = 0; i < n; ++i) {
            expected.push_back(0);
            got.push_back(0);
          }
          next += n;
          const auto more = r.delivered(next);
          got.insert(got.end(), more.begin(), more.end());
          for (; model[next]; ++next) expected.push_back(*model[next]);
          ASSERT_EQ(got, expected);
        }
        r.check();
      }
    }
  }
}

TEST(D16_SegmentsOfOneByte, NodesAndMemoryAreBoundedOverTheWholeWindow) {
  constexpr std::uint32_t kWindow = 65'535;
  constexpr std::uint32_t kCap = 128;
  constexpr std::uint32_t kBudget = 2 * kWindow;
  for (const std::uint32_t step : {2U, 3U, 100U}) {
    Receiver r(1024, 0xffff'8000U, {8192, {8192, 64, 0}, 0});
    r.cap = kCap;
    r.budget = kBudget;
    for (std::uint32_t at = 1; at < kWindow; at += step) {
      r.insert(at, 1, 7);
      ASSERT_LE(r.queue.count, kCap);
      ASSERT_LE(r.queue.true_size, kBudget);
    }
    EXPECT_EQ(r.queue.count, kCap);
    // One byte never keeps a chunk for a whole frame.
    EXPECT_LE(r.queue.true_size, kCap * kChunkBytes[0]);
    r.check();
  }
}

// A device reads a byte into a chunk for a whole frame: it moves to a small one. And bytes have a bound of their own,
// however few nodes they take.
TEST(D16_SegmentsOfOneByte, InLargeChunksMoveAndTheByteBudgetHolds) {
  Receiver r(64, 100);
  for (std::uint32_t at = 0; at < 20; at += 2) {
    Packet p = r.memory.pool.allocate(ChunkClass::normal);
    p.append(1)[0] = 7;
    EXPECT_EQ(r.pool.insert(r.queue, r.base + 10 + at, std::move(p), r.cap, r.budget, nullptr), OooInsert::stored);
  }
  EXPECT_LE(r.queue.true_size, 10 * kChunkBytes[0]);
  r.budget = r.queue.true_size + 3 * kChunkBytes[1];
  std::uint32_t stored = 0;
  for (std::uint32_t n = 0; n < 10; ++n) stored += r.insert(1000 + n * 1500, 1400, 9) == OooInsert::stored ? 1 : 0;
  EXPECT_EQ(stored, 3U);
  EXPECT_LE(r.queue.true_size, r.budget);
  r.check();
}

// In whatever order single bytes come, what hangs together is as dense as it would be in order.
TEST(D16_SegmentsOfOneByte, ThatHangTogetherShareChunks) {
  enum class Order { up, down, even_then_odd, outwards };
  for (const Order order : {Order::up, Order::down, Order::even_then_odd, Order::outwards}) {
    SCOPED_TRACE(static_cast<int>(order));
    constexpr std::uint32_t kBytes = 4096;
    Receiver r(kBytes, 0x7fff'f000U, {8192, {8192, 64, 0}, 0});
    for (std::uint32_t i = 0; i < kBytes; ++i) {
      std::uint32_t at = i;
      if (order == Order::down) at = kBytes - 1 - i;
      if (order == Order::even_then_odd) at = i < kBytes / 2 ? 2 * i : 2 * (i - kBytes / 2) + 1;
      if (order == Order::outwards) at = i % 2 == 0 ? kBytes / 2 + i / 2 : kBytes / 2 - 1 - i / 2;
      ASSERT_EQ(r.insert(1 + at, {static_cast<std::uint8_t>(at)}), OooInsert::stored);
    }
    r.check();
    EXPECT_EQ(r.queue.count, 1U);
    EXPECT_LE(r.queue.true_size, 3 * kBytes);
    const auto bytes = r.delivered(1);
    ASSERT_EQ(bytes.size(), kBytes);
    for (std::uint32_t i = 0; i < kBytes; ++i) ASSERT_EQ(bytes[i], static_cast<std::uint8_t>(i));
  }
}

// Memory pressure takes the bytes that are needed last.
TEST(OutOfOrder, GivesBackTheFarthestFirst) {
  Receiver r(16, 0);
  r.insert(100, 10, 1);
  r.insert(300, 30, 1);
  r.insert(200, 20, 1);
  EXPECT_EQ(r.pool.drop_last(r.queue, r.memory.pool), 30U);
  EXPECT_EQ(r.pool.drop_last(r.queue, r.memory.pool), 20U);
  EXPECT_EQ(r.pool.drop_last(r.queue, r.memory.pool), 10U);
  EXPECT_EQ(r.pool.drop_last(r.queue, r.memory.pool), 0U);
  EXPECT_EQ(r.queue.true_size, 0U);
}

// Every allocation fails once: the segment may be refused, but what is stored stays right and nothing leaks.
TEST(OutOfOrder, SurvivesTheFailureOfEachAllocation) {
  for (std::uint64_t n = 1; n < 40; ++n) {
    SCOPED_TRACE(n);
    Receiver r(16, 0xffff'fff0U);
    r.memory.pool.fail_allocation(n);
    r.insert(20, 10, 1);
    r.insert(40, 10, 2);
    r.insert(60, 10, 3);
    r.insert(10, 70, 4);  // fills all gaps
    r.insert(10, 70, 5);  // and again: what was refused may be stored now
    r.check();
    const auto bytes = r.delivered(10);
    ASSERT_EQ(bytes.size(), 70U);
    for (std::uint32_t i = 0; i < bytes.size(); ++i) {
      const bool second = i >= 30 && i < 40;
      EXPECT_TRUE(bytes[i] == 4 || bytes[i] == 5 || (second && bytes[i] == 2) || bytes[i] == 1 || bytes[i] == 3);
    }
  }
}

}  // namespace
}  // namespace leat::tcp
