#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <leat/core/tcp/seq_treap.hpp>
#include <map>
#include <numeric>
#include <random>
#include <vector>

namespace leat::tcp {
namespace {

// Counts how often sequence numbers are compared: what an operation on the tree costs.
struct CountedSeq : SeqNum {
  static inline std::uint64_t comparisons = 0;
  CountedSeq() = default;
  explicit CountedSeq(SeqNum s) : SeqNum(s) {}
  bool operator<(SeqNum o) const {
    ++comparisons;
    return SeqNum::operator<(o);
  }
  bool operator<=(SeqNum o) const {
    ++comparisons;
    return SeqNum::operator<=(o);
  }
};
struct Node {
  CountedSeq start;
  TreapLink treap;
};

// Where rows of D18 start: the tree crosses 2^31 and 2^32 in its middle.
constexpr std::array<std::uint32_t, 4> kOrigins{0, 0x7fff'8000U, 0xffff'8000U, 0x1234'5678U};

TEST(D18_NumbersWrapAtEveryBoundary, TreapKeepsOrderLinksAndHeap) {
  for (const std::uint32_t origin : kOrigins) {
    for (unsigned seed = 1; seed <= 20; ++seed) {
      SCOPED_TRACE(testing::Message() << "origin " << origin << " seed " << seed);
      std::mt19937 random(seed);
      std::vector<Node> nodes(200);
      SeqTree tree;
      SeqTreap<Node> treap{nodes, tree, seed};
      std::map<std::uint32_t, Index> model;  // by offset from the origin
      std::vector<Index> free(nodes.size());
      std::iota(free.begin(), free.end(), 0U);
      for (int step = 0; step < 600; ++step) {
        const std::uint32_t offset = random() % 0x1'0000U;
        if (!free.empty() && random() % 5 < 3) {
          if (model.contains(offset)) continue;
          const Index n = free.back();
          free.pop_back();
          nodes[n] = Node{CountedSeq{SeqNum{origin + offset}}, {}};
          treap.insert(n);
          model[offset] = n;
        } else if (!model.empty()) {
          auto victim = model.lower_bound(offset);
          if (victim == model.end()) victim = model.begin();
          treap.erase(victim->second);
          free.push_back(victim->second);
          model.erase(victim);
        }
        const std::uint32_t asked = random() % 0x1'0000U;
        const auto above = model.upper_bound(asked);
        const Index expected = above == model.begin() ? kNoIndex : std::prev(above)->second;
        ASSERT_EQ(treap.find_le(SeqNum{origin + asked}), expected);
        if (step % 20 == 0) {
          ASSERT_EQ(treap.check(), model.size());
        }
      }
      Index i = treap.first();
      for (const auto& [offset, n] : model) {
        ASSERT_EQ(i, n);
        i = treap.next(i);
      }
      EXPECT_EQ(i, kNoIndex);
    }
  }
}

// Comparisons of one look-up, the worst of all nodes: the depth of the tree.
std::uint64_t depth(SeqTreap<Node>& treap, const std::vector<Node>& nodes, std::size_t n) {
  std::uint64_t worst = 0;
  for (std::size_t i = 0; i < n; ++i) {
    CountedSeq::comparisons = 0;
    (void)treap.find_le(nodes[i].start);
    worst = std::max(worst, CountedSeq::comparisons);
  }
  return worst;
}

TEST(D16_SegmentsOfOneByte, TreapDepthStaysLogarithmicWhateverTheOrderOfArrival) {
  constexpr std::uint32_t kNodes = 4096;
  enum class Order { up, down, alternating, random };
  for (const Order order : {Order::up, Order::down, Order::alternating, Order::random}) {
    std::vector<Node> nodes(kNodes);
    SeqTree tree;
    SeqTreap<Node> treap{nodes, tree, 7};
    std::vector<std::uint32_t> at(kNodes);
    std::iota(at.begin(), at.end(), 0U);
    if (order == Order::down) std::reverse(at.begin(), at.end());
    if (order == Order::alternating)
      for (std::uint32_t i = 0; i < kNodes; ++i) at[i] = i % 2 == 0 ? i / 2 : kNodes - 1 - i / 2;
    if (order == Order::random) std::shuffle(at.begin(), at.end(), std::mt19937(1));
    for (Index i = 0; i < kNodes; ++i) {
      nodes[i].start = CountedSeq{SeqNum{at[i] * 2}};
      treap.insert(i);
    }
    EXPECT_LE(depth(treap, nodes, kNodes), 48U);  // a random tree of 4096 has about 28
    EXPECT_EQ(treap.check(), kNodes);
  }
}

// A peer that knew the priorities could send segments whose order by sequence number is their order by priority: a
// list. It learns the order from a tree of its own; the salt makes it worthless for any other.
TEST(D16_SegmentsOfOneByte, TreapOrderChosenAgainstOneSaltIsHarmlessUnderAnother) {
  constexpr std::uint32_t kNodes = 512;
  // The order by priority under salt 1: repeatedly, who is the root of what is left.
  std::vector<std::uint32_t> rank(kNodes);
  {
    std::vector<Node> nodes(kNodes);
    SeqTree tree;
    SeqTreap<Node> treap{nodes, tree, 1};
    for (Index i = 0; i < kNodes; ++i) {
      nodes[i].start = CountedSeq{SeqNum{i}};
      treap.insert(i);
    }
    for (std::uint32_t r = 0; r < kNodes; ++r) {
      const Index root = tree.root;
      treap.erase(root);
      rank[root] = r;
    }
  }
  const auto depth_under = [&](std::uint32_t salt) {
    std::vector<Node> nodes(kNodes);
    SeqTree tree;
    SeqTreap<Node> treap{nodes, tree, salt};
    for (Index i = 0; i < kNodes; ++i) {
      nodes[i].start = CountedSeq{SeqNum{rank[i]}};
      treap.insert(i);
    }
    return depth(treap, nodes, kNodes);
  };
  EXPECT_EQ(depth_under(1), kNodes);  // the attack works where the salt is known
  for (const std::uint32_t salt : {2U, 77U, 0x8000'0000U, 0xffff'ffffU}) EXPECT_LE(depth_under(salt), 48U) << salt;
}

}  // namespace
}  // namespace leat::tcp
