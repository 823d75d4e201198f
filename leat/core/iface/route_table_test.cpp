#include <gtest/gtest.h>

#include <algorithm>
#include <leat/core/iface/route_table.hpp>
#include <random>
#include <tests/support/packet_builder.hpp>
#include <tests/support/test_host.hpp>
#include <vector>

namespace leat::test {
namespace {

using iface::Route;
using iface::RouteKind;
using iface::RouteNode;
using iface::RouteTable;

struct Table {
  explicit Table(std::size_t n) : routes(n), nodes(2 * n), table(routes, nodes) {}
  Index add(const IpPrefix& p, std::uint32_t metric = 0, RouteKind kind = RouteKind::unicast, Scope scope = 0) {
    Route r;
    r.destination = p;
    r.metric = metric;
    r.kind = kind;
    return table.add(scope, r);
  }
  [[nodiscard]] Index find(const IpAddress& a, Scope scope = 0) const {
    return table.find(scope, a, [](const Route&) { return true; });
  }
  std::vector<Route> routes;
  std::vector<RouteNode> nodes;
  RouteTable table;
};

IpPrefix prefix(const char* text) {
  return IpPrefix::parse(text).value();
}

TEST(RouteTable, TheLongestPrefixWinsInBothVersions) {
  Table t(16);
  const Index all4 = t.add(prefix("0.0.0.0/0"));
  const Index net = t.add(prefix("10.0.0.0/8"));
  const Index sub = t.add(prefix("10.1.0.0/16"));
  const Index host = t.add(prefix("10.1.2.3/32"));
  const Index all6 = t.add(prefix("::/0"));
  const Index net6 = t.add(prefix("2001:db8::/32"));
  EXPECT_EQ(t.find(ip("192.0.2.1")), all4);
  EXPECT_EQ(t.find(ip("10.2.0.1")), net);
  EXPECT_EQ(t.find(ip("10.1.9.9")), sub);
  EXPECT_EQ(t.find(ip("10.1.2.3")), host);
  EXPECT_EQ(t.find(ip("2001:db8::1")), net6);
  EXPECT_EQ(t.find(ip("2001:db9::1")), all6);
  t.table.remove(0, sub);
  EXPECT_EQ(t.find(ip("10.1.9.9")), net);
  t.table.remove(0, all4);
  EXPECT_EQ(t.find(ip("192.0.2.1")), kNoIndex);  // IPv4 stands under ::/0 in the mapped form
  t.table.check_invariants();
}

TEST(RouteTable, AmongEqualPrefixesKindThenMetricThenAge) {
  Table t(8);
  const Index late = t.add(prefix("10.0.0.0/8"), 20);
  const Index best = t.add(prefix("10.0.0.0/8"), 10);
  const Index same = t.add(prefix("10.0.0.0/8"), 10);
  EXPECT_EQ(t.find(ip("10.1.1.1")), best);
  const Index local = t.add(prefix("10.0.0.0/8"), 99, RouteKind::local);
  EXPECT_EQ(t.find(ip("10.1.1.1")), local);
  EXPECT_EQ(t.table[local].next, best);
  EXPECT_EQ(t.table[best].next, same);
  EXPECT_EQ(t.table[same].next, late);
  // A filter looks further down the list, and further up the tree.
  EXPECT_EQ(t.table.find(0, ip("10.1.1.1"), [](const Route& r) { return r.metric == 20; }), late);
}

TEST(RouteTable, ScopesAreApart) {
  Table t(8);
  const Index one = t.add(prefix("10.0.0.0/8"), 0, RouteKind::unicast, 1);
  EXPECT_EQ(t.find(ip("10.0.0.1"), 0), kNoIndex);
  EXPECT_EQ(t.find(ip("10.0.0.1"), 1), one);
}

TEST(RouteTable, FullIsAnAnswer) {
  Table t(2);
  EXPECT_NE(t.add(prefix("10.0.0.0/8")), kNoIndex);
  EXPECT_NE(t.add(prefix("11.0.0.0/8")), kNoIndex);
  EXPECT_EQ(t.add(prefix("12.0.0.0/8")), kNoIndex);
  t.table.check_invariants();
}

// Against a list that is searched from end to end.
TEST(RouteTable, EqualsALinearSearchUnderRandomChanges) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 rng(seed);
  Table t(300);
  std::vector<Index> present;
  const auto random_address = [&] {
    // Few distinct bits, so that prefixes nest and share.
    if (rng() % 2 == 0)
      return IpAddress::v4(10, static_cast<std::uint8_t>(rng() % 4), 0, static_cast<std::uint8_t>(rng() % 8));
    IpAddress a = IpAddress::v6(
        {0x2001, 0xdb8, static_cast<std::uint16_t>(rng() % 4), 0, 0, 0, 0, static_cast<std::uint16_t>(rng() % 8)});
    return a;
  };
  for (int step = 0; step < 20000; ++step) {
    if (present.size() < 280 && rng() % 2 == 0) {
      IpPrefix p{random_address(), 0};
      p.length = static_cast<std::uint8_t>(rng() % (p.address.is_v4() ? 33 : 129));
      present.push_back(t.add(p, static_cast<std::uint32_t>(rng() % 3)));
      ASSERT_NE(present.back(), kNoIndex);
    } else if (!present.empty()) {
      const std::size_t i = rng() % present.size();
      t.table.remove(0, present[i]);
      present[i] = present.back();
      present.pop_back();
    }
    if (step % 16 != 0) continue;
    t.table.check_invariants();
    const IpAddress a = random_address();
    const Index found = t.table.find(0, a, [&](const Route& r) { return r.destination.address.is_v4() == a.is_v4(); });
    unsigned best = 0;
    bool any = false;
    std::uint32_t metric = 0;
    for (const Index i : present) {
      const Route& r = t.table[i];
      if (!r.destination.contains(a)) continue;
      const unsigned length = r.destination.mapped_length();
      if (!any || length > best || (length == best && r.metric < metric)) metric = r.metric;
      if (!any || length > best) best = length;
      any = true;
    }
    ASSERT_EQ(any, found != kNoIndex);
    if (any) {
      ASSERT_EQ(t.table[found].destination.mapped_length(), best);
      ASSERT_EQ(t.table[found].metric, metric);
    }
  }
}

// --- the same through the stack
// ---------------------------------------------------------------------------------------

TEST(Paths, SourceInterfaceAndNextHopFollowTheRoute) {
  TestHost host;
  Stack& s = host.stack();
  const InterfaceId second = s.add_interface({.name = "ip1", .link = LinkType::ip, .mtu = 1400}).value();
  ASSERT_TRUE(s.add_address(second, prefix("172.16.0.1/12")));
  ASSERT_TRUE(s.add_address(host.eth, prefix("10.9.0.1/16")));
  ASSERT_TRUE(s.add_route({.destination = prefix("0.0.0.0/0"), .gateway = ip("10.0.0.254")}));
  ASSERT_TRUE(s.add_route({.destination = prefix("198.51.100.0/24"), .gateway = ip("10.9.0.254"), .mtu = 1000}));
  ASSERT_TRUE(s.add_route({.destination = prefix("203.0.113.0/24"), .interface = second}));
  ASSERT_TRUE(s.add_route({.destination = prefix("203.0.113.7/32"), .kind = RouteConfig::Kind::reject}));
  Core& core = host.core();

  auto p = ip::find_path(core, ip("8.8.8.8"), {}).value();
  EXPECT_EQ(p.interface, host.eth);
  EXPECT_EQ(p.next_hop, ip("10.0.0.254"));
  EXPECT_EQ(p.source, kUs);
  EXPECT_EQ(p.mtu, 1500U);
  p = ip::find_path(core, ip("198.51.100.1"), {}).value();
  EXPECT_EQ(p.source, ip("10.9.0.1")) << "the address of the gateway's network";
  EXPECT_EQ(p.mtu, 1000U);
  p = ip::find_path(core, ip("203.0.113.1"), {}).value();
  EXPECT_EQ(p.interface, second);
  EXPECT_EQ(p.next_hop, ip("203.0.113.1"));
  EXPECT_EQ(p.source, ip("172.16.0.1"));
  EXPECT_EQ(p.mtu, 1400U);
  EXPECT_EQ(ip::find_path(core, ip("203.0.113.7"), {}).error(), Errc::network_unreachable);
  EXPECT_EQ(ip::find_path(core, kPeer, ip("10.7.7.7")).error(), Errc::address_not_available);
  EXPECT_EQ(ip::find_path(core, kPeer, {}, second).error(), Errc::network_unreachable);
  EXPECT_EQ(ip::find_path(core, kPeer, ip("172.16.0.1")).value().source, ip("172.16.0.1"));
  // Our own addresses, on any interface: never on a wire.
  for (const char* own : {"10.0.0.1", "172.16.0.1", "127.0.0.1", "127.8.8.8", "fd00::1", "::1"}) {
    p = ip::find_path(core, ip(own), {}).value();
    EXPECT_TRUE(p.loopback) << own;
    EXPECT_EQ(p.interface, kNoInterface);
    EXPECT_EQ(p.source, ip(own));
  }
  EXPECT_EQ(ip::find_path(core, ip("10.0.0.255"), {}).value().cast, IpCast::broadcast);
  EXPECT_EQ(ip::find_path(core, ip("255.255.255.255"), {}).value().cast, IpCast::broadcast);
  EXPECT_EQ(ip::find_path(core, ip("224.0.0.251"), {}).value().cast, IpCast::multicast);
  EXPECT_EQ(ip::find_path(core, ip("224.0.0.251"), {}, second).value().interface, second);
}

TEST(Paths, AnyIpTakesAWholePrefixAsOurs) {
  TestHost host;
  host.resolve();
  ASSERT_TRUE(host.stack().add_route({.destination = prefix("192.0.2.0/24"), .kind = RouteConfig::Kind::local}));
  EXPECT_TRUE(ip::is_local_address(host.core(), ip("192.0.2.200")));
  host.receive_ip(echo_request({.source = kPeer, .destination = ip("192.0.2.200")}, 1, 1, {}));
  const Decoded reply = host.sent_one();
  EXPECT_EQ(reply.icmp_type, 0U);
  EXPECT_EQ(reply.ip_source, ip("192.0.2.200"));
  ASSERT_TRUE(host.stack().remove_route(prefix("192.0.2.0/24"), {}));
  host.receive_ip(echo_request({.source = kPeer, .destination = ip("192.0.2.200")}, 1, 1, {}));
  EXPECT_EQ(host.drops(DropReason::ip_not_for_us), 1U);
}

// What comes for a rejected destination, and what would go to one, is told apart from what nobody has a route for.
TEST(Paths, RejectedPacketsAreCountedAsSuch) {
  for (const bool v6 : {false, true}) {
    SCOPED_TRACE(v6);
    TestHost host;
    Stack& s = host.stack();
    const IpAddress us = v6 ? kUs6 : kUs;
    const IpAddress peer = v6 ? kPeer6 : kPeer;
    const IpAddress far = v6 ? ip("2001:db8::7") : ip("203.0.113.7");
    const IpPrefix far_net{far, static_cast<std::uint8_t>(v6 ? 32 : 24)};
    host.resolve(peer);
    const auto rejected = [&host] { return host.drops(DropReason::ip_reject_route); };
    const auto ping = [&](const IpAddress& from, const IpAddress& to) {
      host.receive_ip(echo_request({.source = from, .destination = to}, 1, 1, {}));
    };
    ping(peer, far);
    EXPECT_EQ(host.drops(DropReason::ip_not_for_us), 1U);
    ping(far, us);
    EXPECT_EQ(host.drops(DropReason::ip_no_route), 1U);
    ASSERT_TRUE(s.add_route({.destination = far_net, .gateway = peer}));
    const auto path = ip::find_path(host.core(), far, {});
    ASSERT_TRUE(path);
    EXPECT_EQ(rejected(), 0U);

    ASSERT_TRUE(s.add_route({.destination = {far, static_cast<std::uint8_t>(v6 ? 128 : 32)},
                             .interface = host.eth,
                             .kind = RouteConfig::Kind::reject}));
    ping(peer, far);
    EXPECT_EQ(rejected(), 1U) << "the way in";
    ping(far, us);
    EXPECT_EQ(rejected(), 2U) << "the reply to a ping";
    host.receive_ip(tcp_packet({.source = far, .destination = us}, {}));
    EXPECT_EQ(rejected(), 3U) << "the reset that nobody's SYN asks for";
    Packet p = host.core().pool.allocate(ChunkClass::normal);
    (void)p.append(10);
    EXPECT_EQ(ip::send(host.core(), std::move(p), {.source = us, .destination = far, .protocol = 99}, *path),
              ip::SendStatus::dropped);
    EXPECT_EQ(rejected(), 4U) << "a path that was found before";
    EXPECT_TRUE(host.sent().empty());
    EXPECT_EQ(host.drops(DropReason::ip_not_for_us), 1U);
    EXPECT_EQ(host.drops(DropReason::ip_no_route), 1U);

    ASSERT_TRUE(s.remove_route({far, static_cast<std::uint8_t>(v6 ? 128 : 32)}, {}));
    EXPECT_EQ(host.core().iface.reject_routes, 0U);
    ping(peer, far);
    EXPECT_EQ(host.drops(DropReason::ip_not_for_us), 2U);
    ASSERT_TRUE(s.add_route({.destination = far_net, .interface = host.eth, .kind = RouteConfig::Kind::reject}));
    ASSERT_TRUE(s.remove_interface(host.eth));
    EXPECT_EQ(host.core().iface.reject_routes, 0U);
  }
}

TEST(Paths, AConnectionWhoseWayIsRejectedMeanwhileCountsWhatItCannotSend) {
  TestHost host;
  host.resolve();
  const Handle h = host.stack().open_stream().value();
  ASSERT_TRUE(host.stack().connect(h, {kPeer, Port{80}}));
  EXPECT_EQ(host.sent().size(), 1U);
  ASSERT_TRUE(host.stack().add_route({.destination = {kPeer, 32}, .kind = RouteConfig::Kind::reject}));
  host.advance(Duration::ms(1100));
  EXPECT_TRUE(host.sent().empty()) << "the second SYN";
  EXPECT_EQ(host.drops(DropReason::ip_reject_route), 1U);
  EXPECT_EQ(host.drops(DropReason::ip_no_route), 0U);
  ASSERT_TRUE(host.stack().close(h));
}

TEST(Paths, AnAddressThatGoesTakesItsRoutesAlong) {
  TestHost host;
  ASSERT_TRUE(host.stack().remove_address(host.eth, kUs));
  EXPECT_EQ(ip::find_path(host.core(), kPeer, {}).error(), Errc::network_unreachable);
  EXPECT_FALSE(ip::is_local_address(host.core(), kUs));
  host.receive_ip(echo_request({.source = kPeer, .destination = kUs}, 1, 1, {}));
  EXPECT_EQ(host.drops(DropReason::ip_not_for_us), 1U);
  ASSERT_TRUE(host.stack().add_address(host.eth, {kUs, 24}));
  EXPECT_TRUE(ip::find_path(host.core(), kPeer, {}));
}

TEST(Paths, AddressesHaveRoomHoweverManyRoutesAreConfigured) {
  TestHost host;
  std::uint32_t n = 0;
  while (host.stack().add_route({.destination = {IpAddress::v4((20U << 24) + (n << 8)), 24}, .interface = host.eth}))
    ++n;
  EXPECT_EQ(n, 32U);
  for (std::uint8_t i = 0; i < 14; ++i)
    EXPECT_TRUE(host.stack().add_address(host.eth, {IpAddress::v4(10, 50, i, 1), 24}));
  EXPECT_EQ(host.stack().add_address(host.eth, {ip("10.60.0.1"), 24}).error(), Errc::no_memory);
}

}  // namespace
}  // namespace leat::test
