#include <gtest/gtest.h>

#include <algorithm>
#include <leat/base/rng.hpp>
#include <leat/core/demux/flow_table.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace leat {
namespace {

FlowKey v4_flow(std::uint32_t remote, std::uint16_t remote_port) {
  return {IpAddress::v4(10, 0, 0, 1), IpAddress::v4(remote), Port{80}, Port{remote_port}, 0};
}

// Memory that was used before: the table must not read what it has not written.
std::vector<IndexBucket> dirty(std::size_t buckets) {
  std::vector<IndexBucket> memory(buckets);
  for (IndexBucket& b : memory) {
    std::fill(std::begin(b.hash), std::end(b.hash), 0xa5a5a5a5U);
    std::fill(std::begin(b.value), std::end(b.value), 0xa5a5a5a5U);
  }
  return memory;
}

TEST(FlowTable, FindsByTheOwnersKey) {
  auto memory = dirty(8);
  FlowTable table(memory, {1, 2});
  const FlowKey a = v4_flow(1, 1000);
  const FlowValue va{FlowKind::connection, 7};
  EXPECT_FALSE(table.find(table.hash(a), [](FlowValue) { return true; }));
  ASSERT_TRUE(table.insert(table.hash(a), va));
  EXPECT_EQ(table.find(table.hash(a), [&](FlowValue v) { return v == va; }), va);
  EXPECT_FALSE(table.find(table.hash(a), [](FlowValue) { return false; }));  // same hash, another key
  EXPECT_EQ(table.size(), 1U);
}

TEST(FlowTable, IndexZeroAndTheLargestAreValues) {
  auto memory = dirty(8);
  FlowTable table(memory, {1, 2});
  for (const FlowKind kind : {FlowKind::connection, FlowKind::time_wait, FlowKind::syn_record}) {
    for (const Index i : {Index{0}, FlowValue::kMaxIndex}) {
      const FlowValue v{kind, i};
      EXPECT_EQ(v.kind(), kind);
      EXPECT_EQ(v.index(), i);
      ASSERT_TRUE(table.insert(5, v));
      EXPECT_EQ(table.find(5, [&](FlowValue x) { return x == v; }), v);
    }
  }
}

TEST(FlowTable, ReplaceTakesAFlowOver) {
  auto memory = dirty(4);
  FlowTable table(memory, {1, 2});
  const FlowHash h = table.hash(v4_flow(1, 1));
  const FlowValue syn{FlowKind::syn_record, 3};
  const FlowValue connection{FlowKind::connection, 9};
  ASSERT_TRUE(table.insert(h, syn));
  const std::uint32_t epoch = table.epoch();
  EXPECT_TRUE(table.replace(h, syn, connection));
  EXPECT_NE(table.epoch(), epoch);
  EXPECT_FALSE(table.replace(h, syn, connection));
  EXPECT_EQ(table.find(h, [](FlowValue) { return true; }), connection);
  EXPECT_FALSE(table.erase(h, syn));
  EXPECT_TRUE(table.erase(h, connection));
  EXPECT_FALSE(table.erase(h, connection));
  EXPECT_EQ(table.size(), 0U);
}

TEST(FlowTable, EpochMovesWithEveryChangeOnly) {
  auto memory = dirty(4);
  FlowTable table(memory, {1, 2});
  const std::uint32_t start = table.epoch();
  static_cast<void>(table.find(1, [](FlowValue) { return true; }));
  EXPECT_FALSE(table.erase(1, {FlowKind::connection, 1}));
  EXPECT_EQ(table.epoch(), start);
  ASSERT_TRUE(table.insert(1, {FlowKind::connection, 1}));
  EXPECT_EQ(table.epoch(), start + 1);
  EXPECT_TRUE(table.erase(1, {FlowKind::connection, 1}));
  EXPECT_EQ(table.epoch(), start + 2);
}

// Every planned size holds what it was planned for, whatever the phase of growth.
TEST(FlowTable, PlannedSizesHoldTheirFlows) {
  for (std::size_t flows = 1; flows < 6000; flows += 1 + flows / 40) {
    auto memory = dirty(FlowTable::buckets_for(flows));
    FlowTable table(memory, {flows, 99});
    for (std::uint32_t i = 0; i < flows; ++i) {
      ASSERT_TRUE(table.insert(table.hash(v4_flow(i, 1)), {FlowKind::connection, i})) << i << " of " << flows;
    }
    table.check_invariants();
    for (std::uint32_t i = 0; i < flows; ++i) {
      ASSERT_TRUE(table.find(table.hash(v4_flow(i, 1)), [i](FlowValue v) { return v.index() == i; }));
    }
  }
}

// Full means false, never a loop, and nothing is lost; ten bytes a flow at the planned load.
TEST(FlowTable, FullTableRefuses) {
  auto memory = dirty(100);
  FlowTable table(memory, {3, 4});
  std::uint32_t held = 0;
  while (table.insert(table.hash(v4_flow(held, 1)), {FlowKind::connection, held})) ++held;
  EXPECT_GE(held, 740U);  // of 800 slots: displacement fills over 90 %
  for (std::uint32_t i = 0; i < 1000; ++i) {
    EXPECT_FALSE(table.insert(table.hash(v4_flow(held, 1)), {FlowKind::connection, held}));
  }
  for (std::uint32_t i = 0; i < held; ++i) {
    ASSERT_TRUE(table.find(table.hash(v4_flow(i, 1)), [i](FlowValue v) { return v.index() == i; }));
  }
  table.check_invariants();
  ASSERT_TRUE(table.erase(table.hash(v4_flow(5, 1)), {FlowKind::connection, 5}));
  EXPECT_TRUE(table.insert(table.hash(v4_flow(5, 1)), {FlowKind::connection, 5}));
  EXPECT_LE(sizeof(IndexBucket) * FlowTable::buckets_for(1'000'000), 10U * 1'000'000 + 128);
}

TEST(FlowTable, CommitsAheadAndSurvivesItsRefusal) {
  struct Pages {
    std::size_t committed = 0;
    std::size_t limit = 128;
    bool commit(std::size_t buckets) {
      if (buckets > limit) return false;
      committed = std::max(committed, buckets);
      return true;
    }
  } pages;
  auto memory = dirty(400);
  FlowTable table(memory, {5, 6}, IndexTable::Commit::to<&Pages::commit>(pages));
  EXPECT_EQ(pages.committed, 64U);
  std::uint32_t held = 0;
  while (table.insert(table.hash(v4_flow(held, 2)), {FlowKind::connection, held})) ++held;
  EXPECT_EQ(pages.committed, 128U);
  EXPECT_GE(held, 128U * 8 * 9 / 10);
  EXPECT_TRUE(std::all_of(memory.begin() + 128, memory.end(), [](const IndexBucket& b) {
    return b.value[0] == 0xa5a5a5a5U && b.hash[7] == 0xa5a5a5a5U;
  })) << "touched what was not committed";
  pages.limit = 400;  // memory is back
  for (; held < 2400; ++held) {
    ASSERT_TRUE(table.insert(table.hash(v4_flow(held, 2)), {FlowKind::connection, held}));
  }
  table.check_invariants();
}

TEST(FlowTable, HashIsSipHash13OfTheBytes) {
  const SipKey secret{0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};
  const FlowKey key{IpAddress::v4(0x01020304), IpAddress::v4(0x05060708), Port{0x090a}, Port{0x0b0c}, 0x0d0e};
  const std::uint8_t bytes[] = {8, 7, 6, 5, 4, 3, 2, 1, 0x0c, 0x0b, 0x0a, 0x09, 0x0e, 0x0d};
  EXPECT_EQ(keyed_flow_hash(secret, key), siphash13(secret, bytes) >> 32);
  FlowKey v6 = key;
  v6.local = IpAddress::v6({0x2001, 0xdb8, 1, 2, 3, 4, 5, 6});
  v6.remote = IpAddress::v6({0x2001, 0xdb8, 9, 8, 7, 6, 5, 4});
  std::vector<std::uint8_t> long_form;
  for (const IpAddress& a : {v6.local, v6.remote}) {
    for (const std::size_t half : {std::size_t{0}, std::size_t{8}}) {
      for (std::size_t i = 8; i-- > 0;) long_form.push_back(a.bytes()[half + i]);
    }
  }
  long_form.insert(long_form.end(), bytes + 8, bytes + 14);
  EXPECT_EQ(keyed_flow_hash(secret, v6), siphash13(secret, long_form) >> 32);
}

TEST(FlowTable, EveryFieldOfTheKeyCounts) {
  const SipKey secret{1, 2};
  const FlowKey base = v4_flow(77, 5);
  std::vector<FlowKey> others(7, base);
  others[0].local = IpAddress::v4(1);
  others[1].remote = IpAddress::v4(1);
  others[2].local_port = Port{1};
  others[3].remote_port = Port{1};
  others[4].scope = 1;
  others[5].local = IpAddress::v6({0, 0, 0, 0, 0, 0, 0x0a00, 1});  // ::10.0.0.1, not the mapped form
  std::swap(others[6].local, others[6].remote);
  for (const FlowKey& k : others) EXPECT_NE(keyed_flow_hash(secret, base), keyed_flow_hash(secret, k));
}

// S2: tuples that collide under one key are spread evenly under another, and no pattern of addresses and ports crowds
// the table: a lookup reads two cache lines at most by construction, so what can go wrong is an insert.
TEST(S2_FlowTable, CraftedTuplesDoNotCollideUnderAnotherKey) {
  const SipKey known{11, 22};
  const SipKey secret{33, 44};
  std::vector<FlowKey> crafted;  // all in one of 1024 buckets, had the attacker known the key
  for (std::uint32_t i = 0; crafted.size() < 2000; ++i) {
    const FlowKey k = v4_flow(0xc0000000U + i, static_cast<std::uint16_t>(i >> 16));
    if ((keyed_flow_hash(known, k) & 1023U) == 7) crafted.push_back(k);
  }
  std::vector<unsigned> load(256);
  for (const FlowKey& k : crafted) ++load[keyed_flow_hash(secret, k) & 255U];
  EXPECT_LT(*std::max_element(load.begin(), load.end()), 30U);  // 7.8 expected
  auto memory = dirty(FlowTable::buckets_for(crafted.size()));
  FlowTable table(memory, secret);
  for (Index i = 0; i < crafted.size(); ++i) {
    ASSERT_TRUE(table.insert(table.hash(crafted[i]), {FlowKind::connection, i}));
  }
}

TEST(S2_FlowTable, PatternedTuplesFillTheTableEvenly) {
  constexpr Index kFlows = 50'000;
  for (unsigned pattern = 0; pattern < 4; ++pattern) {
    auto memory = dirty(FlowTable::buckets_for(kFlows));
    FlowTable table(memory, {pattern, 7});
    for (Index i = 0; i < kFlows; ++i) {
      const FlowKey key = pattern == 0   ? v4_flow(i, 1)
                          : pattern == 1 ? v4_flow(1, static_cast<std::uint16_t>(i))
                          : pattern == 2 ? v4_flow(i << 12, static_cast<std::uint16_t>(i & 15))
                                         : v4_flow(i * 0x01010101U, static_cast<std::uint16_t>(i * 4097));
      ASSERT_TRUE(table.insert(table.hash(key), {FlowKind::connection, i})) << "pattern " << pattern << " flow " << i;
    }
    table.check_invariants();
  }
}

// Even a peer that owns one hash value (2^32 tries for each) gets two buckets full and no more: refused, not slow.
TEST(S2_FlowTable, EqualHashesAreBounded) {
  auto memory = dirty(64);
  FlowTable table(memory, {1, 1});
  unsigned held = 0;
  while (table.insert(0xdeadbeef, {FlowKind::connection, held})) ++held;
  EXPECT_LE(held, 16U);
  EXPECT_TRUE(table.insert(0x12345678, {FlowKind::connection, 1000}));
}

// Random operations against std::map, over growth, full tables and deletions.
TEST(FlowTable, RandomOperationsMatchAMap) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(SipKey{seed, 3});
    const std::size_t planned = 1 + rng.below(800);
    auto memory = dirty(FlowTable::buckets_for(planned));
    FlowTable table(memory, {seed, 4});
    std::map<std::uint32_t, FlowValue> model;  // by remote address
    const std::uint32_t keys = static_cast<std::uint32_t>(memory.size()) * 10;
    for (unsigned n = 0; n < 12'000; ++n) {
      const std::uint32_t k = rng.below(keys);
      const FlowHash h = table.hash(v4_flow(k, 1));
      const FlowValue fresh{static_cast<FlowKind>(1 + rng.below(3)), (k << 4) | rng.below(16)};
      const auto found = model.find(k);
      const auto matches = [k](FlowValue v) { return v.index() >> 4 == k; };
      ASSERT_EQ(table.find(h, matches), found == model.end() ? FlowValue{} : found->second);
      const std::uint32_t what = rng.below(n / 4000 == 1 ? 6 : 4);  // the middle third deletes more
      if (found == model.end()) {
        const bool ok = table.insert(h, fresh);
        if (ok) model[k] = fresh;
        ASSERT_TRUE(ok || model.size() >= planned) << model.size() << " of " << table.capacity();
      } else if (what == 0) {
        ASSERT_TRUE(table.replace(h, found->second, fresh));
        found->second = fresh;
      } else if (what >= 2) {
        ASSERT_TRUE(table.erase(h, found->second));
        model.erase(found);
      }
      ASSERT_EQ(table.size(), model.size());
      if (n % 1000 == 0) table.check_invariants();
    }
    for (const auto& [k, v] : model) {
      ASSERT_EQ(table.find(table.hash(v4_flow(k, 1)), [key = k](FlowValue x) { return x.index() >> 4 == key; }), v);
    }
  }
}

}  // namespace
}  // namespace leat
