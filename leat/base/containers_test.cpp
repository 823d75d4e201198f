#include <gtest/gtest.h>

#include <leat/base/index_list.hpp>
#include <leat/base/ring.hpp>
#include <leat/base/static_vector.hpp>
#include <memory>
#include <numeric>
#include <vector>

namespace leat {
namespace {

TEST(StaticVector, RefusesWhatDoesNotFit) {
  StaticVector<int, 2> v;
  EXPECT_TRUE(v.try_push(1));
  EXPECT_TRUE(v.try_push(2));
  EXPECT_FALSE(v.try_push(3));
  EXPECT_EQ(v.size(), 2U);
  EXPECT_EQ(v[1], 2);
}

TEST(StaticVector, RemovesWithAndWithoutOrder) {
  StaticVector<int, 8> v;
  for (int i = 0; i < 5; ++i) v.push_back(i);
  v.erase(1);
  EXPECT_EQ((std::vector<int>{v.begin(), v.end()}), (std::vector<int>{0, 2, 3, 4}));
  v.swap_erase(0);
  EXPECT_EQ((std::vector<int>{v.begin(), v.end()}), (std::vector<int>{4, 2, 3}));
  v.swap_erase(2);
  EXPECT_EQ(v.pop_back(), 2);
  EXPECT_EQ(v.size(), 1U);
}

TEST(StaticVector, DestroysEachElementOnce) {
  const auto probe = std::make_shared<int>(0);
  {
    StaticVector<std::shared_ptr<int>, 4> a;
    a.push_back(probe);
    a.push_back(probe);
    auto b = a;
    EXPECT_EQ(probe.use_count(), 5);
    const auto c = std::move(a);
    EXPECT_EQ(probe.use_count(), 5);
    b.erase(0);
    EXPECT_EQ(probe.use_count(), 4);
    b = c;
    EXPECT_EQ(probe.use_count(), 5);
  }
  EXPECT_EQ(probe.use_count(), 1);
}

TEST(Ring, IsFifoAcrossTheWrapAndRefusesWhenFull) {
  Ring<int, 3> ring;
  int next_in = 0;
  int next_out = 0;
  for (int round = 0; round < 10; ++round) {
    while (ring.push(next_in)) ++next_in;
    EXPECT_EQ(ring.size(), 3U);
    EXPECT_EQ(ring.front(), next_out);
    EXPECT_EQ(ring[2], next_in - 1);
    EXPECT_EQ(ring.pop(), next_out++);
    EXPECT_EQ(ring.pop(), next_out++);
  }
}

TEST(Ring, MovesOwnersInAndOut) {
  Ring<std::unique_ptr<int>, 2> ring;
  EXPECT_TRUE(ring.push(std::make_unique<int>(1)));
  EXPECT_TRUE(ring.push(std::make_unique<int>(2)));
  auto third = std::make_unique<int>(3);
  EXPECT_FALSE(ring.push(std::move(third)));
  EXPECT_TRUE(third) << "a refused value stays with the caller";
  EXPECT_EQ(*ring.pop(), 1);
  ring.clear();
  EXPECT_TRUE(ring.empty());
}

TEST(Ring, StandsOnTheCallersMemory) {
  std::array<int, 4> memory{};
  SpanRing<int> ring{memory};
  EXPECT_EQ(ring.capacity(), 4U);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(ring.push(i));
  EXPECT_FALSE(ring.push(4));
  EXPECT_EQ(memory[3], 3);
  SpanRing<int> none;
  EXPECT_FALSE(none.push(1));
}

TEST(IndexFifo, KeepsOrderThroughTheObjectsLinks) {
  std::array<Index, 4> next{};
  const auto link = [&](Index i) -> Index& { return next[i]; };
  IndexFifo fifo;
  for (const Index i : {2U, 0U, 3U}) fifo.push_back(i, link);
  EXPECT_EQ(fifo.pop_front(link), 2U);
  fifo.push_back(1, link);
  EXPECT_EQ(fifo.pop_front(link), 0U);
  EXPECT_EQ(fifo.pop_front(link), 3U);
  EXPECT_EQ(fifo.pop_front(link), 1U);
  EXPECT_TRUE(fifo.empty());
}

TEST(IndexList, RemovesFromFrontMiddleAndBack) {
  std::array<IndexLink, 5> links{};
  const auto link = [&](Index i) -> IndexLink& { return links[i]; };
  IndexList list;
  for (Index i = 0; i < 5; ++i) list.push_back(i, link);
  for (const Index i : {2U, 0U, 4U}) list.remove(i, link);
  EXPECT_EQ(list.front(), 1U);
  EXPECT_EQ(list.back(), 3U);
  EXPECT_EQ(links[1].next, 3U);
  list.remove(1, link);
  list.remove(3, link);
  EXPECT_TRUE(list.empty());
}

TEST(IndexPool, TakesUntouchedSlotsOnlyWhenNoneCameBack) {
  std::array<Index, 3> next{};
  const auto link = [&](Index i) -> Index& { return next[i]; };
  IndexPool pool{3};
  EXPECT_EQ(pool.take(link), 0U);
  EXPECT_EQ(pool.take(link), 1U);
  pool.give(0, link);
  EXPECT_EQ(pool.take(link), 0U);
  EXPECT_EQ(pool.watermark(), 2U);
  EXPECT_EQ(pool.take(link), 2U);
  EXPECT_EQ(pool.take(link), kNoIndex);
  EXPECT_EQ(pool.available(), 0U);
}

}  // namespace
}  // namespace leat
