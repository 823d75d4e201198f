#include <gtest/gtest.h>

#include <leat/buf/chunk_queue.hpp>
#include <leat/buf/packet.hpp>
#include <leat/buf/packet_batch.hpp>
#include <numeric>
#include <random>
#include <vector>

namespace leat {
namespace {

struct Memory {
  explicit Memory(const PoolLayout& l) : bytes(PacketPool::bytes_needed(l)), pool(bytes, l) {}
  std::vector<std::uint8_t> bytes;
  PacketPool pool;
};

std::vector<std::uint8_t> numbers(std::size_t n, unsigned seed = 0) {
  std::vector<std::uint8_t> v(n);
  for (std::size_t i = 0; i < n; ++i) v[i] = static_cast<std::uint8_t>((i * 7 + seed) ^ (i >> 8));
  return v;
}

std::vector<std::uint8_t> contents(const Packet& p) {
  std::vector<std::uint8_t> v(p.size());
  EXPECT_EQ(p.copy_out(0, v), v.size());
  return v;
}

TEST(PacketPool, GivesTheSmallestClassThatFitsAndTakesAllBack) {
  Memory m({.packets = 8, .chunks = {4, 4, 1}});
  EXPECT_EQ(chunk_class(m.pool.allocate_for(100).meta().chunk), ChunkClass::small);
  EXPECT_EQ(chunk_class(m.pool.allocate_for(1514).meta().chunk), ChunkClass::normal);
  EXPECT_EQ(chunk_class(m.pool.allocate_for(65536).meta().chunk), ChunkClass::large);
  EXPECT_FALSE(m.pool.allocate_for(65537));
  EXPECT_TRUE(m.pool.all_free());
}

// The one or the other may be what runs out first: chunks, or what describes a packet.
TEST(PacketPool, TheReserveHoldsForChunksAndForDescriptions) {
  for (const PoolLayout& layout : {PoolLayout{.packets = 20, .chunks = {6, 0, 0}, .reserve = 2},
                                   PoolLayout{.packets = 6, .chunks = {20, 0, 0}, .reserve = 2}}) {
    Memory m(layout);
    std::vector<Packet> held;
    while (Packet p = m.pool.allocate(ChunkClass::small)) held.push_back(std::move(p));
    EXPECT_EQ(held.size(), 4U);
    while (Packet p = m.pool.allocate(ChunkClass::small, kHeadroom, Priority::control)) held.push_back(std::move(p));
    EXPECT_EQ(held.size(), 6U);
    held.clear();
    EXPECT_TRUE(m.pool.all_free());
  }
}

TEST(PacketPool, ExhaustionReturnsEmptyIsCountedAndLeavesTheReserveToControl) {
  Memory m({.packets = 4, .chunks = {4, 0, 0}, .reserve = 1});
  std::vector<Packet> held;
  for (int i = 0; i < 3; ++i) held.push_back(m.pool.allocate(ChunkClass::small));
  EXPECT_TRUE(held.back());
  EXPECT_FALSE(m.pool.allocate(ChunkClass::small));
  EXPECT_EQ(m.pool.exhausted(), 1U);
  EXPECT_TRUE(m.pool.allocate(ChunkClass::small, 0, Priority::control));
}

TEST(PacketPool, FailsTheNthAllocationOnRequest) {
  Memory m({.packets = 8, .chunks = {8, 0, 0}});
  m.pool.fail_allocation(2);
  EXPECT_TRUE(m.pool.allocate(ChunkClass::small));
  EXPECT_FALSE(m.pool.allocate(ChunkClass::small));
  EXPECT_TRUE(m.pool.allocate(ChunkClass::small));
}

TEST(Packet, AbsorbsAllButTheFirstBytes) {
  Memory m({.packets = 4, .chunks = {4, 4, 0}});
  const auto filled = [&](std::size_t n, unsigned seed) {
    Packet p = m.pool.allocate(ChunkClass::normal);
    std::ranges::copy(numbers(n, seed), p.append(static_cast<std::uint32_t>(n)).begin());
    return p;
  };
  for (const std::uint32_t skip : {0U, 1U, 66U, 100U}) {
    Packet head = filled(50, 1);
    Packet tail = filled(100, 2);
    m.pool.fail_allocation(1);
    EXPECT_EQ(head.absorb(std::move(tail), skip), skip == 100) << skip;  // nothing left: no list is needed
    if (tail) {
      EXPECT_EQ(contents(tail), numbers(100, 2));
      EXPECT_TRUE(head.absorb(std::move(tail), skip));
    }
    auto expected = numbers(50, 1);
    const auto more = numbers(100, 2);
    expected.insert(expected.end(), more.begin() + skip, more.end());
    EXPECT_EQ(contents(head), expected);
    EXPECT_FALSE(tail);
    m.pool.fail_allocation(0);
  }
  EXPECT_TRUE(m.pool.all_free());
}

TEST(Packet, PrependsAndAppendsAroundItsData) {
  Memory m({.packets = 2, .chunks = {0, 2, 0}});
  Packet p = m.pool.allocate(ChunkClass::normal);
  p.append(3)[0] = 7;
  p.meta().l4_offset = 0;
  p.prepend(20)[0] = 9;
  EXPECT_EQ(p.size(), 23U);
  EXPECT_EQ(p.head()[0], 9);
  EXPECT_EQ(p.head()[20], 7);
  EXPECT_EQ(p.meta().l4_offset, 20);
}

TEST(Packet, TrimsTruncatesAndPullsAcrossFragments) {
  Memory m({.packets = 16, .chunks = {16, 16, 0}});
  const auto bytes = numbers(600);
  for (std::uint32_t front = 0; front <= 600; front += 37) {
    for (std::uint32_t length = front; length <= 600; length += 41) {
      Packet p = m.pool.allocate(ChunkClass::normal);
      std::copy_n(bytes.begin(), 200, p.append(200).begin());
      for (std::uint32_t k = 1; k < 3; ++k) {
        Packet q = m.pool.allocate(ChunkClass::normal);
        std::copy_n(bytes.begin() + 200 * k, 200, q.append(200).begin());
        ASSERT_TRUE(p.absorb(std::move(q)));
      }
      p.truncate(length);
      p.trim_front(front);
      ASSERT_EQ(contents(p), std::vector<std::uint8_t>(bytes.begin() + front, bytes.begin() + length));
      const std::uint32_t whole = p.size();
      ASSERT_TRUE(p.pull(whole));
      ASSERT_EQ(p.head().size(), whole);
      ASSERT_EQ(contents(p), std::vector<std::uint8_t>(bytes.begin() + front, bytes.begin() + length));
    }
  }
  EXPECT_TRUE(m.pool.all_free());
}

// A small chunk that is full to its end, and a head that another packet shares.
TEST(Packet, PullsIntoAChunkOfItsOwnWhereTheHeadCannotGrow) {
  Memory m({.packets = 8, .chunks = {4, 2, 0}});
  Packet p = m.pool.allocate(ChunkClass::small);
  std::ranges::copy(numbers(100, 1), p.append(100).begin());
  Packet q = m.pool.allocate(ChunkClass::normal);
  std::ranges::copy(numbers(200, 2), q.append(200).begin());
  ASSERT_TRUE(p.absorb(std::move(q)));
  auto expected = numbers(100, 1);
  const auto more = numbers(200, 2);
  expected.insert(expected.end(), more.begin(), more.end());

  Packet shared = p.clone();
  ASSERT_TRUE(p.pull(128));
  EXPECT_EQ(p.head().size(), 128U);
  EXPECT_EQ(p.headroom(), kHeadroom);
  EXPECT_EQ(contents(p), expected);
  EXPECT_EQ(contents(shared), expected);

  ASSERT_TRUE(shared.pull(300));
  EXPECT_EQ(contents(shared), expected);
  p.reset();
  EXPECT_EQ(contents(shared), expected);
  shared.reset();
  EXPECT_TRUE(m.pool.all_free());
}

TEST(Packet, PullingWithoutMemoryChangesNothing) {
  Memory m({.packets = 8, .chunks = {3, 1, 0}});
  Packet p = m.pool.allocate(ChunkClass::small);
  std::ranges::copy(numbers(120, 1), p.append(120).begin());
  Packet q = m.pool.allocate(ChunkClass::normal);
  std::ranges::copy(numbers(50, 2), q.append(50).begin());
  ASSERT_TRUE(p.absorb(std::move(q)));
  const auto before = contents(p);
  EXPECT_FALSE(p.pull(150));
  EXPECT_EQ(contents(p), before);
  EXPECT_EQ(p.head().size(), 120U);
  p.reset();
  EXPECT_TRUE(m.pool.all_free());
}

TEST(Packet, AClonePinsTheChunksUntilBothAreGone) {
  Memory m({.packets = 4, .chunks = {1, 1, 0}});
  Packet p = m.pool.allocate(ChunkClass::normal);
  p.append(10);
  Packet q = p.clone();
  EXPECT_FALSE(p.exclusive());
  p.reset();
  EXPECT_EQ(m.pool.chunks_free(ChunkClass::normal), 0U);
  EXPECT_EQ(q.size(), 10U);
  q.reset();
  EXPECT_TRUE(m.pool.all_free());
}

TEST(Packet, AtMostEighteenFragmentsAndNothingIsLostBeyond) {
  Memory m({.packets = 32, .chunks = {4, 32, 0}});
  Packet p = m.pool.allocate(ChunkClass::normal);
  for (int i = 0; i < kMaxFragments; ++i) {
    Packet q = m.pool.allocate(ChunkClass::normal);
    q.append(1);
    ASSERT_TRUE(p.absorb(std::move(q)));
  }
  Packet q = m.pool.allocate(ChunkClass::normal);
  q.append(1);
  EXPECT_FALSE(p.absorb(std::move(q)));
  EXPECT_TRUE(q);
  EXPECT_EQ(p.size(), 18U);
}

TEST(Packet, NeighbouringPiecesOfOneChunkBecomeOneFragment) {
  Memory m({.packets = 64, .chunks = {64, 4, 1}});
  const auto bytes = numbers(40 * 1000);
  const ChunkRef chunk = m.pool.take_chunk(ChunkClass::large);
  std::ranges::copy(bytes, m.pool.data(chunk));
  Packet p = m.pool.allocate(ChunkClass::small, 0);
  for (std::uint32_t i = 0; i < 40; ++i) {
    Packet q = m.pool.allocate(ChunkClass::small, 0);
    ASSERT_TRUE(q.add_fragment(chunk, i * 1000, 1000));
    ASSERT_TRUE(p.absorb(std::move(q)));
  }
  EXPECT_EQ(p.fragments().size(), 1U);
  EXPECT_EQ(m.pool.refs(chunk), 2U);
  EXPECT_EQ(contents(p), bytes);
  // One that does not continue it stands on its own.
  Packet q = m.pool.allocate(ChunkClass::small, 0);
  ASSERT_TRUE(q.add_fragment(chunk, 0, 10));
  ASSERT_TRUE(q.add_fragment(chunk, 20, 10));
  ASSERT_TRUE(p.absorb(std::move(q)));
  EXPECT_EQ(p.fragments().size(), 3U);
  m.pool.drop_ref(chunk);
  p.reset();
  EXPECT_TRUE(m.pool.all_free());
}

TEST(ChunkQueue, IsAStreamUnderRandomAppendsSlicesAndConsumption) {
  Memory m({.packets = 256, .chunks = {64, 64, 8}});
  std::mt19937 rng(1);
  ChunkQueue q;
  ChunkCursor cursor;
  std::vector<std::uint8_t> model;
  for (int step = 0; step < 5000; ++step) {
    if (rng() % 2 == 0) {
      const auto bytes = numbers(rng() % (rng() % 8 == 0 ? 30000 : 700), static_cast<unsigned>(step));
      const std::size_t n = q.append(m.pool, bytes);
      model.insert(model.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
    }
    if (!model.empty()) {
      const auto offset = static_cast<std::uint32_t>(rng() % model.size());
      Packet p = m.pool.allocate(ChunkClass::small);
      if (p) {
        const std::uint32_t n = q.slice(m.pool, offset, 3000, p, cursor);
        ASSERT_EQ(contents(p), std::vector<std::uint8_t>(model.begin() + offset, model.begin() + offset + n));
        if (n == 0) {
          ASSERT_EQ(m.pool.chunks_free(ChunkClass::small), 0U);
        }
      }
      p.reset();
      const auto eaten = static_cast<std::uint32_t>(rng() % (model.size() + 1));
      q.consume(m.pool, eaten);
      model.erase(model.begin(), model.begin() + eaten);
    }
    q.check_invariants(m.pool);
    ASSERT_EQ(q.size(), model.size());
  }
  q.clear(m.pool);
  EXPECT_TRUE(m.pool.all_free());
}

TEST(ChunkQueue, SmallReceivedSegmentsShareAChunk) {
  Memory m({.packets = 64, .chunks = {4, 64, 0}});
  ChunkQueue q;
  for (int i = 0; i < 50; ++i) {
    Packet p = m.pool.allocate(ChunkClass::normal);
    p.append(20)[0] = static_cast<std::uint8_t>(i);
    q.push(std::move(p));
  }
  EXPECT_EQ(q.size(), 1000U);
  EXPECT_LE(q.true_size(), 2 * 2048U);
  std::vector<std::uint8_t> out(1000);
  EXPECT_EQ(q.read(m.pool, out), 1000U);
  for (std::size_t i = 0; i < 50; ++i) EXPECT_EQ(out[20 * i], i);
  EXPECT_TRUE(m.pool.all_free());
}

TEST(ChunkQueue, TakesACopyOnlyIntoRoomThatIsItsOwn) {
  Memory m({.packets = 8, .chunks = {4, 4, 0}});
  ChunkQueue q;
  const std::vector<std::uint8_t> bytes = numbers(600, 1);
  const auto few = ByteSpan{bytes}.first(100);
  EXPECT_FALSE(q.take_copy(m.pool, few));  // there is no tail
  Packet shared = m.pool.allocate(ChunkClass::normal);
  shared.append(10);
  q.push(shared.clone());
  EXPECT_FALSE(q.take_copy(m.pool, few));  // the room belongs to both
  Packet whole = m.pool.allocate(ChunkClass::normal, 0);
  whole.append(1500);
  q.push(std::move(whole));
  EXPECT_FALSE(q.take_copy(m.pool, ByteSpan{bytes}.first(513)));  // not a few
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(q.take_copy(m.pool, few));
  EXPECT_FALSE(q.take_copy(m.pool, few));  // 48 bytes are left
  q.check_invariants(m.pool);
  std::vector<std::uint8_t> last(100);
  EXPECT_EQ(q.peek(m.pool, 10 + 1500 + 400, last), 100U);
  EXPECT_TRUE(std::equal(last.begin(), last.end(), few.begin()));
  q.clear(m.pool);
  shared.reset();
  EXPECT_TRUE(m.pool.all_free());
}

TEST(ChunkQueue, TakesThePayloadOfALonePacketAsPushDoes) {
  Memory m({.packets = 8, .chunks = {4, 4, 0}});
  const auto data = numbers(100);
  for (const bool shared : {false, true}) {
    ChunkQueue pushed, taken;
    for (ChunkQueue* q : {&pushed, &taken}) {
      Packet p = m.pool.allocate(ChunkClass::normal);
      std::ranges::copy(data, p.append(100).begin());
      const Packet other = shared ? p.clone() : Packet{};
      if (q == &taken) {
        q->take_alone(std::move(p), 40, 50);
      } else {
        p.trim_front(40);
        p.truncate(50);
        q->push(std::move(p));
      }
      EXPECT_EQ(q->size(), 50U);
      EXPECT_EQ(q->true_size(), 2048U);
      EXPECT_EQ(q->take_copy(m.pool, std::span{data}.first(8)), !shared) << "the room behind it is its own alone";
      q->check_invariants(m.pool);
    }
    std::vector<std::uint8_t> a(58), b(58);
    EXPECT_EQ(pushed.read(m.pool, a), taken.read(m.pool, b));
    EXPECT_EQ(a, b);
  }
  EXPECT_TRUE(m.pool.all_free());
}

TEST(ChunkQueue, SumsWhileItCopiesWhateverThePieces) {
  std::mt19937 rng(5);
  for (int run = 0; run < 200; ++run) {
    Memory m({.packets = 64, .chunks = {64, 16, 0}});
    ChunkQueue q;
    for (int i = 0; i < 6; ++i) {
      const auto piece = numbers(1 + rng() % 90, static_cast<unsigned>(rng()));
      Packet p = m.pool.allocate(ChunkClass::small);
      std::copy(piece.begin(), piece.end(), p.append(static_cast<std::uint32_t>(piece.size())).begin());
      Packet other = p.clone();  // nothing is copied together: odd pieces stay apart
      q.push(std::move(p));
    }
    const auto offset = static_cast<std::uint32_t>(rng() % q.size());
    std::vector<std::uint8_t> plain(1 + rng() % 300), summed(plain.size());
    Sum sum = 0;
    const std::size_t n = q.peek(m.pool, offset, plain);
    ASSERT_EQ(q.peek_summed(m.pool, offset, summed, sum), n);
    ASSERT_EQ(summed, plain);
    ASSERT_EQ(checksum_finish(sum), checksum_finish(checksum_add(0, ByteSpan{plain}.first(n))));
    q.clear(m.pool);
  }
}

TEST(ChunkQueue, SpliceMovesEverythingWhateverTheTwoQueuesHold) {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Memory m({.packets = 512, .chunks = {256, 256, 8}});
    std::mt19937 rng(seed);
    ChunkQueue q;
    std::vector<std::uint8_t> model;
    for (int step = 0; step < 100; ++step) {
      ChunkQueue tail;
      std::vector<std::uint8_t> added;
      for (unsigned k = rng() % 4; k > 0; --k) {
        const auto bytes = numbers(1 + rng() % (rng() % 3 == 0 ? 1400 : 60), static_cast<unsigned>(rng()));
        std::size_t n = bytes.size();
        if (rng() % 2 == 0) {
          n = tail.append(m.pool, bytes);
        } else if (Packet p = m.pool.allocate_for(static_cast<std::uint32_t>(n), 0)) {
          std::copy(bytes.begin(), bytes.end(), p.append(static_cast<std::uint32_t>(n)).begin());
          Packet shared;
          if (rng() % 4 == 0) shared = p.clone();  // then the room behind it belongs to nobody
          tail.push(std::move(p));
        } else {
          n = 0;
        }
        added.insert(added.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
      }
      q.splice(m.pool, tail);
      EXPECT_TRUE(tail.empty());
      EXPECT_EQ(tail.true_size(), 0U);
      tail.check_invariants(m.pool);
      q.check_invariants(m.pool);
      model.insert(model.end(), added.begin(), added.end());
      std::vector<std::uint8_t> all(model.size());
      ASSERT_EQ(q.peek(m.pool, 0, all), model.size());
      ASSERT_EQ(all, model);
      const auto eaten = static_cast<std::uint32_t>(rng() % (model.size() + 1));
      if (rng() % 2 == 0) {
        q.consume(m.pool, eaten);
        model.erase(model.begin(), model.begin() + eaten);
      }
    }
    q.clear(m.pool);
    EXPECT_TRUE(m.pool.all_free());
  }
}

TEST(ChunkQueue, SpliceCopiesSmallPiecesTogether) {
  Memory m({.packets = 256, .chunks = {256, 4, 0}});
  ChunkQueue q;
  for (int i = 0; i < 200; ++i) {
    ChunkQueue one;
    Packet p = m.pool.allocate(ChunkClass::small, 0);
    p.append(1)[0] = static_cast<std::uint8_t>(i);
    one.push(std::move(p));
    q.splice(m.pool, one);
  }
  EXPECT_EQ(q.size(), 200U);
  EXPECT_EQ(q.true_size(), 256U);
  q.clear(m.pool);
}

TEST(PacketBatch, KeepsInOrderWhatWasNotTaken) {
  Memory m({.packets = 8, .chunks = {8, 0, 0}});
  PacketBatch b(4);
  for (std::uint8_t i = 0; i < 4; ++i) {
    b.push(m.pool.allocate(ChunkClass::small));
    b[i].append(1)[0] = i;
  }
  EXPECT_TRUE(b.full());
  b.pop_front(1);
  b[1].reset();
  b.compact();
  ASSERT_EQ(b.size(), 2U);
  EXPECT_EQ(b[0].head()[0], 1);
  EXPECT_EQ(b[1].head()[0], 3);
}

}  // namespace
}  // namespace leat
