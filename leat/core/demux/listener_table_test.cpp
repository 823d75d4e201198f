#include <gtest/gtest.h>

#include <leat/core/demux/listener_table.hpp>
#include <leat/core/demux/port_alloc.hpp>
#include <map>
#include <random>
#include <set>
#include <vector>

namespace leat {
namespace {

const IpAddress kA = IpAddress::v4(10, 0, 0, 1);
const IpAddress kB = IpAddress::v4(10, 0, 0, 2);
const IpAddress kAny4 = IpAddress::v4(0);
const IpAddress kAny6{};
const IpAddress kSix = *IpAddress::parse("fd00::1");

struct Table {
  explicit Table(BindRule rule, std::size_t n = 32)
      : entries(n),
        groups(IndexTable::buckets_for(n)),
        ports(IndexTable::buckets_for(n)),
        table({entries, groups, ports}, {1, 2}, rule) {}
  Result<Index> bind(const IpAddress& a, std::uint16_t port, Index value, BindFlags flags = {}, std::uint16_t ifc = 0) {
    auto r = table.bind({a, Port{port}, ifc, 0}, flags, value);
    table.check_invariants();
    return r;
  }
  void listen(const IpAddress& a, std::uint16_t port, Index value, BindFlags flags = {}, std::uint16_t ifc = 0) {
    ASSERT_TRUE(table.activate(bind(a, port, value, flags, ifc).value()));
    table.check_invariants();
  }
  Index lookup(const IpAddress& a, std::uint16_t port, std::uint16_t ifc = 1, std::uint32_t flow = 0) {
    return table.lookup({a, Port{port}, ifc, 0}, flow);
  }
  std::vector<BindEntry> entries;
  std::vector<IndexBucket> groups, ports;
  ListenerTable table;
};

TEST(ListenerTable, TheExactAddressWinsOverAnyAndTheInterfaceOverBoth) {
  Table t(BindRule::stream);
  const BindFlags share{.reuse_port = true};
  t.listen(kAny4, 80, 1, share);
  t.listen(kA, 80, 2, share);
  t.listen(kA, 80, 3, share, 7);
  t.listen(kAny4, 80, 4, share, 7);
  EXPECT_EQ(t.lookup(kA, 80, 1), 2U);
  EXPECT_EQ(t.lookup(kB, 80, 1), 1U);
  EXPECT_EQ(t.lookup(kA, 80, 7), 3U);
  EXPECT_EQ(t.lookup(kB, 80, 7), 4U);
  EXPECT_EQ(t.lookup(kA, 81), kNoIndex);
  EXPECT_EQ(t.lookup(kSix, 80), kNoIndex);
}

TEST(ListenerTable, SeveralListenersOnOnePortWithDifferentAddresses) {
  Table t(BindRule::stream);
  t.listen(kA, 80, 1);
  t.listen(kB, 80, 2);
  t.listen(kSix, 80, 3);
  EXPECT_EQ(t.lookup(kA, 80), 1U);
  EXPECT_EQ(t.lookup(kB, 80), 2U);
  EXPECT_EQ(t.lookup(kSix, 80), 3U);
}

TEST(ListenerTable, ADualStackWildcardTakesIpv4UnlessToldNotTo) {
  Table dual(BindRule::stream);
  dual.listen(kAny6, 80, 1);
  EXPECT_EQ(dual.lookup(kA, 80), 1U);
  EXPECT_EQ(dual.lookup(kSix, 80), 1U);
  EXPECT_EQ(dual.bind(kAny4, 80, 2).error(), Errc::address_in_use);
  EXPECT_EQ(dual.bind(kA, 80, 2).error(), Errc::address_in_use);

  Table only(BindRule::stream);
  only.listen(kAny6, 80, 1, {.v6only = true});
  EXPECT_EQ(only.lookup(kA, 80), kNoIndex);
  only.listen(kAny4, 80, 2);
  EXPECT_EQ(only.lookup(kA, 80), 2U);
  EXPECT_EQ(only.lookup(kSix, 80), 1U);
}

TEST(ListenerTable, AddressInUseFollowsTheReuseRules) {
  Table t(BindRule::stream);
  const BindFlags reuse{.reuse_address = true};
  const Index a = t.bind(kA, 80, 1, reuse).value();
  EXPECT_EQ(t.bind(kA, 80, 2).error(), Errc::address_in_use);  // only one of them asked
  const Index b = t.bind(kA, 80, 2, reuse).value();            // both did, nobody listens
  EXPECT_TRUE(t.table.activate(a));
  EXPECT_FALSE(t.table.activate(b));                                     // one listener an endpoint
  EXPECT_EQ(t.bind(kAny4, 80, 3, reuse).error(), Errc::address_in_use);  // the other listens
  t.table.unbind(a);
  EXPECT_TRUE(t.table.activate(b));
  t.table.unbind(b);
  EXPECT_FALSE(t.table.in_use({kA, Port{80}}, {}));

  Table u(BindRule::datagram);
  u.listen(kAny4, 53, 1, reuse);
  u.listen(kAny4, 53, 2, reuse);
  EXPECT_EQ(u.lookup(kA, 53), 2U);  // the one bound last
  EXPECT_EQ(u.bind(kAny4, 53, 3).error(), Errc::address_in_use);
}

TEST(ListenerTable, ReusePortSpreadsFlowsEvenlyAmongOneOwnersSockets) {
  Table t(BindRule::stream);
  const BindFlags share{.reuse_port = true, .user = 5};
  for (Index v = 0; v < 4; ++v) t.listen(kAny4, 80, v, share);
  EXPECT_EQ(t.bind(kAny4, 80, 9, {.reuse_port = true, .user = 6}).error(), Errc::address_in_use);
  std::map<Index, int> hits;
  std::mt19937 rng(1);
  for (int i = 0; i < 4000; ++i) ++hits[t.lookup(kA, 80, 1, static_cast<std::uint32_t>(rng()))];
  ASSERT_EQ(hits.size(), 4U);
  for (const auto& [value, n] : hits) EXPECT_NEAR(n, 1000, 200) << value;
}

TEST(ListenerTable, EveryMatchingReceiverOfAGroupIsFound) {
  Table t(BindRule::datagram);
  const BindFlags reuse{.reuse_address = true};
  const IpAddress group = IpAddress::v4(224, 0, 0, 5);
  t.listen(group, 5000, 1, reuse);
  t.listen(kAny4, 5000, 2, reuse);
  t.listen(kAny6, 5000, 3, reuse);
  t.listen(kB, 5000, 4, reuse);
  std::vector<Index> found;
  t.table.for_each_match({group, Port{5000}, 1, 0}, [&](Index v) { found.push_back(v); });
  EXPECT_EQ(found, (std::vector<Index>{3, 2, 1}));
}

TEST(ListenerTable, FillsUpWithAnErrorAndGoesOnAfterAnUnbind) {
  Table t(BindRule::stream, 3);
  const Index first = t.bind(kA, 1, 0).value();
  ASSERT_TRUE(t.bind(kA, 2, 1));
  ASSERT_TRUE(t.bind(kA, 3, 2));
  EXPECT_EQ(t.bind(kA, 4, 3).error(), Errc::no_memory);
  t.table.unbind(first);
  EXPECT_TRUE(t.bind(kA, 4, 3));
}

TEST(ListenerTable, RandomBindsAgreeWithAModel) {
  std::mt19937 rng(7);
  Table t(BindRule::datagram, 64);
  struct Bound {
    Index entry;
    BindKey key;
    BindFlags flags;
    Index value;
  };
  std::vector<Bound> model;
  const std::vector<IpAddress> addresses{kA, kB, kAny4, kAny6, kSix};
  for (Index step = 0; step < 5000; ++step) {
    if (rng() % 3 != 0) {
      const BindKey key{addresses[rng() % 5], Port{static_cast<std::uint16_t>(1 + rng() % 4)},
                        static_cast<std::uint16_t>(rng() % 3), 0};
      const BindFlags flags{.reuse_address = rng() % 2 == 0, .reuse_port = rng() % 2 == 0, .v6only = rng() % 2 == 0};
      const auto r = t.table.bind(key, flags, step);
      if (r) {
        ASSERT_TRUE(t.table.activate(*r));
        model.push_back({*r, key, flags, step});
      } else if (r.error() == Errc::no_memory) {
        ASSERT_EQ(model.size(), 64U) << "step " << step;
      }
    } else if (!model.empty()) {
      const std::size_t k = rng() % model.size();
      t.table.unbind(model[k].entry);
      model.erase(model.begin() + static_cast<std::ptrdiff_t>(k));
    }
    t.table.check_invariants();
    const BindKey to{addresses[rng() % 2 == 0 ? 0 : 4], Port{static_cast<std::uint16_t>(1 + rng() % 4)},
                     static_cast<std::uint16_t>(1 + rng() % 2), 0};
    // The model's best class of those that accept.
    int best = 0;
    for (const Bound& b : model) {
      if (b.key.port != to.port || (b.key.interface != 0 && b.key.interface != to.interface)) continue;
      int rank = 0;
      if (b.key.address == to.address) {
        rank = b.key.interface != 0 ? 6 : 5;
      } else if (b.key.address == kAny4 && to.address.is_v4()) {
        rank = b.key.interface != 0 ? 4 : 2;
      } else if (b.key.address == kAny6 && (!to.address.is_v4() || !b.flags.v6only)) {
        rank = b.key.interface != 0 ? 3 : 1;
      }
      best = std::max(best, rank);
    }
    const Index found = t.table.lookup(to, static_cast<std::uint32_t>(rng()));
    ASSERT_EQ(found != kNoIndex, best != 0) << "step " << step;
    if (found == kNoIndex) continue;
    const auto it = std::find_if(model.begin(), model.end(), [&](const Bound& b) { return b.value == found; });
    ASSERT_NE(it, model.end());
    const bool interface = it->key.interface != 0;
    const int rank = it->key.address == to.address ? (interface ? 6 : 5)
                     : it->key.address == kAny4    ? (interface ? 4 : 2)
                                                   : (interface ? 3 : 1);
    ASSERT_EQ(rank, best) << "step " << step;
  }
}

// --- ephemeral ports -------------------------------------------------------------------------------------------------

TEST(T14_EphemeralPorts, ComeFromTheRangeNeverCollideAndAreAllUsed) {
  PortAllocator ports({1, 2});
  const PortRange range{Port{40000}, Port{40099}};
  std::set<std::uint16_t> used;
  const Endpoint remote{kB, Port{80}};
  for (int i = 0; i < 100; ++i) {
    const auto p = ports.pick(kA, remote, 0, range, [&](Port x) { return used.contains(x.value()); });
    ASSERT_TRUE(p);
    ASSERT_TRUE(p->value() >= 40000 && p->value() <= 40099);
    ASSERT_TRUE(used.insert(p->value()).second);
  }
  EXPECT_FALSE(ports.pick(kA, remote, 0, range, [&](Port x) { return used.contains(x.value()); }));
}

TEST(T14_EphemeralPorts, DifferentDestinationsAndSecretsGiveUnrelatedSequences) {
  PortAllocator one({1, 2});
  PortAllocator other({3, 4});
  const auto nobody = [](Port) { return false; };
  int equal = 0;
  int successive = 0;
  std::uint16_t before = 0;
  for (std::uint8_t i = 1; i < 200; ++i) {
    const Endpoint remote{IpAddress::v4(10, 1, 1, i), Port{80}};
    const auto p = one.pick(kA, remote, 0, {}, nobody)->value();
    equal += p == other.pick(kA, remote, 0, {}, nobody)->value() ? 1 : 0;
    successive += p == before + 1 ? 1 : 0;
    before = p;
  }
  EXPECT_LE(equal, 2);
  EXPECT_LE(successive, 2);
}

TEST(T14_EphemeralPorts, OneCallProbesABoundedNumber) {
  PortAllocator ports({1, 2});
  int asked = 0;
  EXPECT_FALSE(ports.pick(kA, {kB, Port{80}}, 0, {Port{1024}, Port{65535}}, [&](Port) {
    ++asked;
    return true;
  }));
  EXPECT_LE(asked, static_cast<int>(PortAllocator::kMaxProbes));
}

}  // namespace
}  // namespace leat
