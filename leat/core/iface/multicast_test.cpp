// Multicast groups: IGMP (RFC 2236, 3376), MLD (RFC 2710, 3810), memberships of sockets (RFC 3678), and rows U8 and U9
// of docs/attack-checklist.md.

#include <leat/core/iface/multicast.hpp>
#include <leat/wire/igmp.hpp>
#include <map>
#include <tests/support/test_host.hpp>

namespace leat::test {
namespace {

const IpAddress kGroup = ip("239.1.2.3");
const IpAddress kOther = ip("239.1.2.4");
const IpAddress kGroup6 = ip("ff15::7");
const IpAddress kRouter = ip("10.0.0.254");
const IpAddress kRouter6 = ip("fe80::254");
const IpAddress kS1 = ip("10.9.0.1");
const IpAddress kS2 = ip("10.9.0.2");
const IpAddress kS3 = ip("10.9.0.3");
const IpAddress kV3Routers = ip("224.0.0.22");
const IpAddress kV2Routers6 = ip("ff02::16");

using Type = wire::MulticastRecordType;
struct Record {
  Type type{};
  IpAddress group{};
  std::vector<IpAddress> sources{};
  bool operator==(const Record&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Record& r) {
  out << static_cast<int>(r.type) << ' ' << AddressText(r.group).view() << " {";
  for (const IpAddress& s : r.sources) out << ' ' << AddressText(s).view();
  return out << " }";
}

// One message about groups, whatever its protocol and version.
struct Said {
  IpAddress from, to;
  unsigned type = 0;              // of IGMP or ICMPv6
  IpAddress group{};              // older versions
  std::vector<Record> records{};  // current version
};

std::vector<Record> records_of(ByteSpan message, std::size_t address) {
  std::vector<Record> all;
  std::size_t at = 8;
  const auto read = [&] {
    const std::uint8_t* const p = &message[at];
    at += address;
    return address == 4 ? IpAddress::v4_wire(p) : IpAddress::v6_wire(p);
  };
  for (unsigned n = load_be16(&message[6]); n > 0; --n) {
    Record r{static_cast<Type>(message[at])};
    const unsigned sources = load_be16(&message[at + 2]);
    at += 4;
    r.group = read();
    for (unsigned k = 0; k < sources; ++k) r.sources.push_back(read());
    std::sort(r.sources.begin(), r.sources.end());
    all.push_back(r);
  }
  EXPECT_EQ(at, message.size());
  return all;
}

constexpr Limits kLimits{.iface = {.group_sources = 2048, .queried_sources = 96}};

struct Multicast : testing::Test {
  Multicast() { quiet(); }
  static HostOptions options() {
    HostOptions o;
    o.group_reports = true;
    return o;
  }
  void quiet(Duration d = Duration::s(20)) {
    host.advance(d);
    (void)host.sent();
  }
  Handle socket() { return host.stack().open_udp().value(); }
  Handle bound(unsigned port) {
    const Handle s = socket();
    EXPECT_TRUE(host.stack().bind(s, {IpAddress{}, Port{static_cast<std::uint16_t>(port)}}));
    return s;
  }
  Handle member(const GroupRequest& r) {
    const Handle s = socket();
    EXPECT_TRUE(host.stack().join_group(s, r));
    return s;
  }
  // What was said about groups since the last call; anything else that was sent is a mistake.
  std::vector<Said> said() {
    host.advance(Duration{});
    std::vector<Said> all;
    for (const Decoded& d : host.sent_decoded()) {
      Said s{.from = d.ip_source, .to = d.ip_destination};
      EXPECT_EQ(d.ttl, 1U);
      EXPECT_EQ(d.link->destination, d.ip_destination.multicast_mac());
      Bytes m;
      if (d.version == 4) {
        EXPECT_EQ(d.protocol, 2U);
        EXPECT_TRUE(d.checksums_ok);
        EXPECT_EQ(d.ip[0], 0x46);
        EXPECT_EQ(load_be32(&d.ip[20]), 0x94040000U) << "router alert";
        m = d.l4;
        EXPECT_EQ(checksum_finish(checksum_add(0, m)), 0U);
      } else {
        EXPECT_EQ(d.protocol, 0U);
        EXPECT_EQ(Bytes(d.l4.begin(), d.l4.begin() + 8), (Bytes{58, 0, 5, 2, 0, 0, 1, 0})) << "router alert";
        m.assign(d.l4.begin() + 8, d.l4.end());
        const Sum pseudo = pseudo_header_sum(d.ip_source, d.ip_destination, 58, static_cast<std::uint32_t>(m.size()));
        EXPECT_EQ(checksum_finish(checksum_add(pseudo, m)), 0U);
      }
      s.type = m[0];
      if (s.type == 0x22 || s.type == 143) {
        s.records = records_of(m, d.version == 4 ? 4 : 16);
        EXPECT_EQ(d.ip_destination, d.version == 4 ? kV3Routers : kV2Routers6);
      } else {
        s.group = d.version == 4 ? IpAddress::v4_wire(&m[4]) : IpAddress::v6_wire(&m[8]);
      }
      all.push_back(s);
    }
    return all;
  }
  // The records of the one report since the last call.
  std::vector<Record> report() {
    const auto all = said();
    EXPECT_EQ(all.size(), 1U);
    return all.size() == 1 ? all[0].records : std::vector<Record>{};
  }
  // That is said twice, once at once and once within a second, and then no more.
  void expect_twice(const std::vector<Record>& records) {
    EXPECT_EQ(report(), records);
    host.advance(Duration::s(1));
    EXPECT_EQ(report(), records) << "RFC 3376 5.1: robustness";
    host.advance(Duration::s(30));
    EXPECT_TRUE(said().empty());
  }
  void query(const wire::IgmpQuery& q, unsigned ttl = 1) {
    Bytes b(12);
    b.resize(q.emit(b));
    const IpAddress to = q.group.is_unspecified() ? ip("224.0.0.1") : q.group;
    igmp(b, to, ttl);
  }
  // About certain sources of a group.
  void query(wire::IgmpQuery q, const std::vector<IpAddress>& sources) {
    Bytes b(12);
    b.resize(q.emit(b));
    for (const IpAddress& s : sources) b = b + Bytes{s.bytes().begin() + 12, s.bytes().end()};
    store_be16(&b[10], static_cast<std::uint16_t>(sources.size()));
    store_be16(&b[2], 0);
    store_be16(&b[2], checksum_finish(checksum_add(0, b)));
    igmp(b, q.group);
  }
  void query(const wire::MldQuery& q, const std::vector<IpAddress>& sources) {
    Bytes b = mld_query(q);
    for (const IpAddress& s : sources) b = b + Bytes{s.bytes().begin(), s.bytes().end()};
    store_be16(&b[26], static_cast<std::uint16_t>(sources.size()));
    mld(b, q.group);
  }
  void igmp(const Bytes& message, const IpAddress& to, unsigned ttl = 1, const IpAddress& from = kRouter) {
    host.receive(ethernet(
        to.multicast_mac(), kPeerMac,
        ipv4({.source = from, .destination = to, .protocol = 2, .ttl = ttl, .options = {0x94, 4, 0, 0}}, message)));
  }
  void older_report(wire::IgmpType type, const IpAddress& group) {
    Bytes b(8);
    ASSERT_EQ((wire::IgmpV2Message{type, group}.emit(b)), 8U);
    igmp(b, group, 1, kPeer);
  }
  void mld(Bytes message, const IpAddress& to, const IpAddress& from = kRouter6, unsigned ttl = 1,
           const Bytes& before = {58, 0, 5, 2, 0, 0, 1, 0}) {
    wire::finish_icmpv6_checksum(message, from, to);
    host.receive(ethernet(to.multicast_mac(), kPeerMac,
                          ipv6({.source = from, .destination = to, .protocol = before.empty() ? 58U : 0U, .ttl = ttl},
                               before + message)));
  }
  static Bytes mld_query(const wire::MldQuery& q) {
    Bytes b(28);
    b.resize(q.emit(b));
    return b;
  }
  void query(const wire::MldQuery& q) { mld(mld_query(q), q.group.is_unspecified() ? ip("ff02::1") : q.group); }
  // A datagram to a group arrives; how many bytes each of these sockets got of it.
  bool hears(Handle s, const IpAddress& group, const IpAddress& from, unsigned port = 5000) {
    host.receive(
        ethernet(group.multicast_mac(), kPeerMac, udp_packet({.source = from, .destination = group}, 1, port, {1})));
    Bytes b(10);
    return host.stack().try_receive(s, b)->status == IoStatus::done;
  }
  // What a round of reports says in all, by type and group, and in how many messages; none says anything twice.
  std::size_t tell(std::map<std::pair<Type, IpAddress>, std::vector<IpAddress>>& told) {
    const auto all = said();
    for (const Said& s : all)
      for (const Record& r : s.records) {
        auto& sources = told[{r.type, r.group}];
        sources.insert(sources.end(), r.sources.begin(), r.sources.end());
      }
    for (auto& [key, sources] : told) std::sort(sources.begin(), sources.end());
    return all.size();
  }
  static std::vector<IpAddress> sources(std::uint32_t first, std::uint32_t count) {
    std::vector<IpAddress> all;
    for (std::uint32_t i = 0; i < count; ++i) all.push_back(IpAddress::v4(0x0a090000U + first + i));
    return all;
  }
  static std::vector<IpAddress> sources6(std::uint16_t count) {
    std::vector<IpAddress> all;
    for (std::uint16_t i = 1; i <= count; ++i) all.push_back(IpAddress::v6({0xfd09, 0, 0, 0, 0, 0, 0, i}));
    return all;
  }
  BasicTestHost<kLimits> host{options()};
};
using Told = std::map<std::pair<Type, IpAddress>, std::vector<IpAddress>>;

// --- what is told ----------------------------------------------------------------------------------------------------

TEST_F(Multicast, AJoinIsToldTwiceAndSoIsTheLastLeave) {
  const Handle a = member({.group = kGroup});
  expect_twice({{Type::change_to_exclude, kGroup}});
  const Handle b = member({.group = kGroup, .interface = host.eth});
  EXPECT_TRUE(said().empty()) << "the interface is a member already";
  ASSERT_TRUE(host.stack().leave_group(a, {.group = kGroup}));
  EXPECT_TRUE(said().empty());
  ASSERT_TRUE(host.stack().close(b));
  expect_twice({{Type::change_to_include, kGroup}});
  EXPECT_FALSE(iface::is_member(host.core(), host.eth, kGroup));
}

TEST_F(Multicast, ChangesOfOneTurnAreOneReport) {
  const Handle s = member({.group = kGroup});
  ASSERT_TRUE(host.stack().join_group(s, {.group = kOther}));
  expect_twice({{Type::change_to_exclude, kGroup}, {Type::change_to_exclude, kOther}});
}

TEST_F(Multicast, ALeaveBeforeTheSecondReportTakesItsPlace) {
  const Handle s = member({.group = kGroup});
  EXPECT_EQ(report(), (std::vector<Record>{{Type::change_to_exclude, kGroup}}));
  ASSERT_TRUE(host.stack().leave_group(s, {.group = kGroup}));
  expect_twice({{Type::change_to_include, kGroup}});
}

TEST_F(Multicast, SourcesAreToldAsTheyChange) {
  const Handle s = member({.group = kGroup, .source = kS1});
  expect_twice({{Type::allow_new_sources, kGroup, {kS1}}});
  ASSERT_TRUE(host.stack().join_group(s, {.group = kGroup, .source = kS2}));
  expect_twice({{Type::allow_new_sources, kGroup, {kS2}}});
  ASSERT_TRUE(host.stack().leave_group(s, {.group = kGroup, .source = kS1}));
  expect_twice({{Type::block_old_sources, kGroup, {kS1}}});
  // RFC 3376 3.2: with anybody in mode exclude the interface is.
  const Handle any = member({.group = kGroup});
  expect_twice({{Type::change_to_exclude, kGroup}});
  ASSERT_TRUE(host.stack().block_source(any, {.group = kGroup, .source = kS1}));
  expect_twice({{Type::block_old_sources, kGroup, {kS1}}});
  ASSERT_TRUE(host.stack().block_source(any, {.group = kGroup, .source = kS2}));
  EXPECT_TRUE(said().empty()) << "somebody includes it";
  ASSERT_TRUE(host.stack().close(s));
  expect_twice({{Type::block_old_sources, kGroup, {kS2}}});
  ASSERT_TRUE(host.stack().unblock_source(any, {.group = kGroup, .source = kS2}));
  expect_twice({{Type::allow_new_sources, kGroup, {kS2}}});
  const Handle again = member({.group = kGroup, .source = kS2});
  EXPECT_TRUE(said().empty());
  ASSERT_TRUE(host.stack().close(any));
  expect_twice({{Type::change_to_include, kGroup, {kS2}}});
  ASSERT_TRUE(host.stack().leave_group(again, {.group = kGroup, .source = kS2}));
  expect_twice({{Type::block_old_sources, kGroup, {kS2}}});
  EXPECT_EQ(host.core().iface.source_pool.used(), 0U);
  EXPECT_EQ(host.core().iface.membership_pool.used(), 0U);
}

TEST_F(Multicast, ChangesOfSourcesMergeAndEachIsToldAsOftenAsRobustnessWants) {
  query(wire::IgmpQuery{.max_response_ms = 100, .robustness = 3});
  quiet();
  const Handle s = member({.group = kGroup, .source = kS1});
  using Records = std::vector<Record>;
  EXPECT_EQ(report(), (Records{{Type::allow_new_sources, kGroup, {kS1}}}));
  ASSERT_TRUE(host.stack().join_group(s, {.group = kGroup, .source = kS2}));
  EXPECT_EQ(report(), (Records{{Type::allow_new_sources, kGroup, {kS1, kS2}}})) << "RFC 3376 5.1: one report of both";
  ASSERT_TRUE(host.stack().leave_group(s, {.group = kGroup, .source = kS1}));
  EXPECT_EQ(report(), (Records{{Type::allow_new_sources, kGroup, {kS2}}, {Type::block_old_sources, kGroup, {kS1}}}));
  std::vector<Records> rest;
  for (int i = 0; i < 500; ++i) {
    host.advance(Duration::ms(10));
    for (const Said& m : said()) rest.push_back(m.records);
  }
  const Record left{Type::block_old_sources, kGroup, {kS1}};
  EXPECT_EQ(rest, (std::vector<Records>{{{Type::allow_new_sources, kGroup, {kS2}}, left}, {left}}))
      << "three times each";
}

TEST_F(Multicast, AWholeFilterCanBeSetAtOnce) {
  const Handle s = member({.group = kGroup});
  quiet();
  const std::array sources{kS1, kS2};
  ASSERT_TRUE(host.stack().set_source_filter(s, {.group = kGroup}, FilterMode::include, sources));
  expect_twice({{Type::change_to_include, kGroup, {kS1, kS2}}});
  FilterMode mode{};
  std::array<IpAddress, 1> one;
  EXPECT_EQ(host.stack().source_filter(s, {.group = kGroup}, mode, one).value(), 2U);
  EXPECT_EQ(mode, FilterMode::include);
  ASSERT_TRUE(host.stack().set_source_filter(s, {.group = kGroup}, FilterMode::exclude, std::span{sources}.first(1)));
  expect_twice({{Type::change_to_exclude, kGroup, {kS1}}});
  ASSERT_TRUE(host.stack().set_source_filter(s, {.group = kGroup}, FilterMode::include, {}));
  expect_twice({{Type::change_to_include, kGroup}});
  EXPECT_EQ(host.stack().leave_group(s, {.group = kGroup}).error(), Errc::address_not_available);
}

TEST_F(Multicast, AddressesOfOneSolicitedNodeGroupShareIt) {
  ASSERT_TRUE(host.stack().add_address(host.eth, {ip("fe80::1"), 64}));
  EXPECT_TRUE(said().empty()) << "fd00::1 has the same group";
  ASSERT_TRUE(host.stack().remove_address(host.eth, kUs6));
  EXPECT_TRUE(said().empty());
  ASSERT_TRUE(host.stack().remove_address(host.eth, ip("fe80::1")));
  EXPECT_EQ(report(), (std::vector<Record>{{Type::change_to_include, kUs6.solicited_node()}}));
}

TEST_F(Multicast, MldReportsComeFromTheLinkLocalAddress) {
  const Handle s = member({.group = kGroup6});
  auto all = said();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].from, IpAddress{}) << "RFC 3590: there is none";
  EXPECT_EQ(all[0].records, (std::vector<Record>{{Type::change_to_exclude, kGroup6}}));
  quiet();
  ASSERT_TRUE(host.stack().add_address(host.eth, {ip("fe80::42"), 64}));
  ASSERT_TRUE(host.stack().leave_group(s, {.group = kGroup6}));
  all = said();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].from, ip("fe80::42"));
  const std::vector<Record> both{{Type::change_to_exclude, ip("ff02::1:ff00:42")}, {Type::change_to_include, kGroup6}};
  EXPECT_TRUE(std::is_permutation(all[0].records.begin(), all[0].records.end(), both.begin(), both.end()));
}

TEST_F(Multicast, WhatNoRouterCanPassOnIsNotTold) {
  const Handle s = member({.group = ip("224.0.0.1")});
  ASSERT_TRUE(host.stack().join_group(s, {.group = ip("ff02::1"), .interface = host.eth}));
  ASSERT_TRUE(host.stack().join_group(s, {.group = ip("ff01::9"), .interface = host.eth}));
  EXPECT_TRUE(said().empty());
  ASSERT_TRUE(host.stack().close(s));
  EXPECT_TRUE(said().empty());
  EXPECT_TRUE(iface::is_member(host.core(), host.eth, ip("ff02::1"))) << "for ever";
}

TEST_F(Multicast, AnInterfaceThatComesUpTellsAnew) {
  const Handle s = member({.group = kGroup, .source = kS1});
  const Handle t = member({.group = kOther});
  (void)s;
  (void)t;
  quiet();
  ASSERT_TRUE(host.stack().set_interface_up(host.eth, false));
  ASSERT_TRUE(host.stack().set_interface_up(host.eth, true));
  std::map<IpAddress, Record> by_group;
  for (const Said& m : said())
    for (const Record& r : m.records) by_group[r.group] = r;
  EXPECT_EQ(by_group[kGroup], (Record{Type::allow_new_sources, kGroup, {kS1}}));
  EXPECT_EQ(by_group[kOther], (Record{Type::change_to_exclude, kOther}));
}

TEST_F(Multicast, ManyGroupsAreSeveralReportsOfTheMtu) {
  std::vector<Handle> sockets;
  const auto groups = static_cast<unsigned>(host.core().iface.group_pool.available());
  const auto room = std::min<std::uint32_t>(groups, host.core().iface.membership_pool.available());
  ASSERT_TRUE(host.stack().set_interface_mtu(host.eth, 1280));
  for (unsigned n = 0; n < room; ++n)
    sockets.push_back(member({.group = IpAddress::v4(239, 0, 0, static_cast<std::uint8_t>(n + 1))}));
  EXPECT_EQ(report().size(), room);
  EXPECT_EQ(host.stack().join_group(sockets[0], {.group = kGroup}).error(), Errc::no_buffers);
}

TEST_F(Multicast, AFilterThatFillsMoreThanOneMessageIsToldInSeveral) {
  ASSERT_TRUE(host.stack().set_interface_mtu(host.eth, 1280));
  const Handle s = member({.group = kGroup});
  const Handle other = member({.group = kOther});
  quiet();
  const auto first = sources(0, 400);
  ASSERT_TRUE(host.stack().set_source_filter(s, {.group = kGroup}, FilterMode::include, first));
  ASSERT_TRUE(host.stack().close(other));
  for (int round = 0; round < 2; ++round) {
    Told told;
    EXPECT_EQ(tell(told), 2U);
    EXPECT_EQ(told, (Told{{{Type::change_to_include, kGroup}, first}, {{Type::change_to_include, kOther}, {}}}));
    host.advance(Duration::s(1));
  }
  EXPECT_TRUE(said().empty());
  // RFC 3376 5.1: both records, together, each in a message, and either divided.
  struct Step {
    std::uint32_t gone, count;
    std::size_t messages;
  };
  for (const auto& [gone, count, messages] : {Step{200, 300, 1}, {300, 300, 2}, {398, 300, 3}, {350, 400, 3}}) {
    ASSERT_TRUE(host.stack().set_source_filter(s, {.group = kGroup}, FilterMode::include, first));
    quiet();
    ASSERT_TRUE(host.stack().set_source_filter(s, {.group = kGroup}, FilterMode::include, sources(gone, count)));
    Told told;
    EXPECT_EQ(tell(told), messages);
    EXPECT_EQ(told, (Told{{{Type::allow_new_sources, kGroup}, sources(400, gone + count - 400)},
                          {{Type::block_old_sources, kGroup}, sources(0, gone)}}));
    quiet();
  }
  // And back before it was told as often as it should be.
  ASSERT_TRUE(host.stack().set_source_filter(s, {.group = kGroup}, FilterMode::include, first));
  quiet();
  ASSERT_TRUE(host.stack().set_source_filter(s, {.group = kGroup}, FilterMode::include, sources(400, 400)));
  (void)said();
  ASSERT_TRUE(host.stack().set_source_filter(s, {.group = kGroup}, FilterMode::include, first));
  Told told;
  EXPECT_EQ(tell(told), 3U);
  EXPECT_EQ(told,
            (Told{{{Type::allow_new_sources, kGroup}, first}, {{Type::block_old_sources, kGroup}, sources(400, 400)}}));
}

// With 308 sources the first record leaves room for the head of the second alone.
TEST_F(Multicast, NoRecordWithoutSourcesComesOfADivision) {
  ASSERT_TRUE(host.stack().set_interface_mtu(host.eth, 1280));
  const Handle s = member({.group = kGroup});
  ASSERT_TRUE(host.stack().set_source_filter(s, {.group = kGroup}, FilterMode::include, sources(0, 100)));
  quiet();
  for (std::uint32_t n = 300; n < 311; ++n) {
    ASSERT_TRUE(host.stack().set_source_filter(s, {.group = kGroup}, FilterMode::include, sources(100, n)));
    Told told;
    for (const Said& m : said())
      for (const Record& r : m.records) {
        EXPECT_FALSE(r.sources.empty()) << n;
        told[{r.type, r.group}].insert(told[{r.type, r.group}].end(), r.sources.begin(), r.sources.end());
      }
    EXPECT_EQ(told.at({Type::allow_new_sources, kGroup}).size(), n);
    EXPECT_EQ(told.at({Type::block_old_sources, kGroup}).size(), 100U);
    quiet();
    ASSERT_TRUE(host.stack().set_source_filter(s, {.group = kGroup}, FilterMode::include, sources(0, 100)));
    quiet();
  }
}

// RFC 3376 4.2.16: the exception.
TEST_F(Multicast, OfTooManySourcesThatAreNotWantedAsManyAsFitAreTold) {
  ASSERT_TRUE(host.stack().set_interface_mtu(host.eth, 1280));
  const Handle s = member({.group = kGroup, .source = kS1});
  quiet();
  ASSERT_TRUE(host.stack().set_source_filter(s, {.group = kGroup}, FilterMode::exclude, sources(0, 400)));
  const auto once = report();
  ASSERT_EQ(once.size(), 1U);
  EXPECT_EQ(once[0].type, Type::change_to_exclude);
  EXPECT_EQ(once[0].sources.size(), (1280U - 24 - 16) / 4);
  host.advance(Duration::s(1));
  EXPECT_EQ(report(), once) << "always the same";
}

// --- rows U8 and U9 --------------------------------------------------------------------------------------------------

struct U8_GroupQueries : Multicast {  // NOLINT(readability-identifier-naming): in tests' names
  U8_GroupQueries() {
    sockets.push_back(member({.group = kGroup}));
    sockets.push_back(member({.group = kOther, .source = kS1}));
    sockets.push_back(member({.group = kGroup6}));
    quiet();
  }
  // Everything that is said within the time, with its moment.
  std::vector<std::pair<Duration, Said>> within(Duration d) {
    std::vector<std::pair<Duration, Said>> all;
    const Instant start = host.now();
    for (Duration t; t < d; t += Duration::ms(10)) {
      for (const Said& s : said()) all.emplace_back(host.now() - start, s);
      host.advance(Duration::ms(10));
    }
    return all;
  }
  std::vector<Handle> sockets;
};

TEST_F(U8_GroupQueries, AGeneralQueryIsAnsweredOnceForAllGroupsAtARandomTime) {
  std::vector<Duration> moments;
  for (int i = 0; i < 20; ++i) {
    query(wire::IgmpQuery{.max_response_ms = 10'000});
    const auto all = within(Duration::s(11));
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].second.records,
              (std::vector<Record>{{Type::mode_is_exclude, kGroup}, {Type::mode_is_include, kOther, {kS1}}}));
    moments.push_back(all[0].first);
    EXPECT_LE(all[0].first, Duration::ms(10'010));
  }
  std::sort(moments.begin(), moments.end());
  EXPECT_LT(moments.front(), Duration::s(3)) << "spread over the time";
  EXPECT_GT(moments.back(), Duration::s(7));
}

TEST_F(U8_GroupQueries, AGroupQueryDuringAGeneralOneLosesNeither) {
  for (int i = 0; i < 10; ++i) {
    query(wire::IgmpQuery{.max_response_ms = 12'000});
    query(wire::IgmpQuery{.max_response_ms = 1'000, .group = kGroup});
    bool in_time = false;
    bool general = false;
    for (const auto& [moment, s] : within(Duration::s(13))) {
      for (const Record& r : s.records) {
        in_time = in_time || (r.group == kGroup && moment <= Duration::ms(1'010));
        general = general || (r.group == kOther && moment <= Duration::ms(12'010));
      }
    }
    EXPECT_TRUE(in_time) << "RFC 3376 5.2: the group's own answer is due sooner";
    EXPECT_TRUE(general);
  }
  query(wire::IgmpQuery{.max_response_ms = 1'000, .group = ip("239.9.9.9")});
  EXPECT_TRUE(within(Duration::s(2)).empty()) << "not a member";
}

TEST_F(U8_GroupQueries, AGeneralAnswerThatIsDueSoonerIsAnswerEnough) {
  query(wire::IgmpQuery{.max_response_ms = 100});
  query(wire::IgmpQuery{.max_response_ms = 12'000, .group = kGroup});
  const auto all = within(Duration::s(13));
  EXPECT_LE(all.size(), 2U);
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all[0].second.records.size(), 2U);
}

TEST_F(U8_GroupQueries, AQueryAboutSourcesIsAnsweredForThemOnly) {
  ASSERT_TRUE(host.stack().join_group(sockets[1], {.group = kOther, .source = kS2}));
  ASSERT_TRUE(host.stack().block_source(sockets[0], {.group = kGroup, .source = kS1}));
  quiet();
  const auto asked = [&](const IpAddress& group, const std::vector<IpAddress>& sources) {
    query(wire::IgmpQuery{.max_response_ms = 1'000, .group = group}, sources);
    std::vector<Record> all;
    for (const auto& [moment, s] : within(Duration::ms(1'100)))
      all.insert(all.end(), s.records.begin(), s.records.end());
    return all;
  };
  using Records = std::vector<Record>;
  // RFC 3376 5.2: of a list to be taken what was asked, else what was asked without the list that is not.
  EXPECT_EQ(asked(kOther, {kS1, kS3}), (Records{{Type::mode_is_include, kOther, {kS1}}}));
  EXPECT_EQ(asked(kOther, {kS1, kS2, kS1}), (Records{{Type::mode_is_include, kOther, {kS1, kS2}}}));
  EXPECT_EQ(asked(kOther, {kS3}), Records{}) << "nothing to say";
  EXPECT_EQ(asked(kGroup, {kS1, kS2, kS3}), (Records{{Type::mode_is_include, kGroup, {kS2, kS3}}}));
  EXPECT_EQ(asked(kGroup, {kS1}), Records{});
  EXPECT_EQ(asked(ip("239.9.9.9"), {kS1}), Records{}) << "not a member";
  EXPECT_EQ(host.core().iface.queried_pool.used(), 0U);
}

TEST_F(U8_GroupQueries, SourcesThatAreAskedAboutAddUpToOneAnswer) {
  ASSERT_TRUE(host.stack().join_group(sockets[1], {.group = kOther, .source = kS2}));
  quiet();
  query(wire::IgmpQuery{.max_response_ms = 1'000, .group = kOther}, {kS1});
  query(wire::IgmpQuery{.max_response_ms = 12'000, .group = kOther}, {kS2});
  const auto all = within(Duration::s(13));
  ASSERT_EQ(all.size(), 1U);
  EXPECT_LE(all[0].first, Duration::ms(1'010)) << "RFC 3376 5.2 (5): when the earlier one is due";
  EXPECT_EQ(all[0].second.records, (std::vector<Record>{{Type::mode_is_include, kOther, {kS1, kS2}}}));
}

TEST_F(U8_GroupQueries, AnAnswerForTheWholeGroupTakesThePlaceOfOneForSources) {
  const std::vector<Record> whole{{Type::mode_is_exclude, kGroup}};
  for (const bool sources_first : {true, false}) {
    if (sources_first) query(wire::IgmpQuery{.max_response_ms = 1'000, .group = kGroup}, {kS1});
    query(wire::IgmpQuery{.max_response_ms = 12'000, .group = kGroup});
    if (!sources_first) query(wire::IgmpQuery{.max_response_ms = 1'000, .group = kGroup}, {kS1});
    const auto all = within(Duration::s(13));
    ASSERT_EQ(all.size(), 1U);
    EXPECT_LE(all[0].first, Duration::ms(1'010));
    EXPECT_EQ(all[0].second.records, whole) << "RFC 3376 5.2 (4)";
  }
  EXPECT_EQ(host.core().iface.queried_pool.used(), 0U);
}

TEST_F(U8_GroupQueries, MoreSourcesThanThereIsRoomForAreAnsweredForTheWholeGroup) {
  std::vector<IpAddress> many;
  for (std::uint32_t i = 0; i <= host.core().iface.queried_pool.available(); ++i)
    many.push_back(IpAddress::v4(0x0a090000U + i));
  query(wire::IgmpQuery{.max_response_ms = 1'000, .group = kGroup}, many);
  const auto all = within(Duration::ms(1'100));
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].second.records, (std::vector<Record>{{Type::mode_is_exclude, kGroup}}));
  EXPECT_EQ(host.core().iface.queried_pool.used(), 0U);
}

TEST_F(U8_GroupQueries, AnAnswerThatFillsMoreThanOneMessageIsSeveral) {
  ASSERT_TRUE(host.stack().set_interface_mtu(host.eth, 1280));
  ASSERT_TRUE(host.stack().set_source_filter(sockets[1], {.group = kOther}, FilterMode::include, sources(0, 400)));
  quiet();
  query(wire::IgmpQuery{.max_response_ms = 100});
  host.advance(Duration::ms(110));
  Told told;
  EXPECT_EQ(tell(told), 3U) << "kGroup has one for itself";
  EXPECT_EQ(told, (Told{{{Type::mode_is_exclude, kGroup}, {}}, {{Type::mode_is_include, kOther}, sources(0, 400)}}));
  // About sources, 75 of which are a message of MLD.
  query(wire::MldQuery{.max_response_ms = 100, .group = kGroup6}, sources6(80));
  host.advance(Duration::ms(110));
  told.clear();
  EXPECT_EQ(tell(told), 2U);
  EXPECT_EQ(told, (Told{{{Type::mode_is_include, kGroup6}, sources6(80)}}));
  EXPECT_EQ(host.core().iface.queried_pool.used(), 0U);
}

TEST_F(U8_GroupQueries, OfSourcesThatLeftMeanwhileNothingIsSaid) {
  query(wire::IgmpQuery{.max_response_ms = 12'000, .group = kGroup}, {kS1});
  ASSERT_TRUE(host.stack().block_source(sockets[0], {.group = kGroup, .source = kS1}));
  for (const auto& [moment, s] : within(Duration::s(13)))
    EXPECT_EQ(s.records, (std::vector<Record>{{Type::block_old_sources, kGroup, {kS1}}})) << "only that it left";
  query(wire::IgmpQuery{.max_response_ms = 12'000, .group = kGroup}, {kS2});
  ASSERT_TRUE(host.stack().close(sockets[0]));
  for (const auto& [moment, s] : within(Duration::s(13)))
    EXPECT_EQ(s.records, (std::vector<Record>{{Type::change_to_include, kGroup}}));
  EXPECT_EQ(host.core().iface.queried_pool.used(), 0U);
}

TEST_F(U8_GroupQueries, WithAnOlderQuerierSourcesAreNotSpokenOf) {
  query(wire::IgmpQuery{.max_response_ms = 12'000, .group = kGroup}, {kS1});
  query(wire::IgmpQuery{.version = wire::IgmpQuery::Version::v2, .max_response_ms = 100});
  EXPECT_EQ(host.core().iface.queried_pool.used(), 0U) << "RFC 3376 7.2.1: the switch cancels what was pending";
  for (const auto& [moment, s] : within(Duration::s(13))) EXPECT_EQ(s.type, 0x16U);
  query(wire::IgmpQuery{.max_response_ms = 1'000, .group = kGroup}, {kS1});
  const auto all = within(Duration::ms(1'100));
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].second.type, 0x16U);
  EXPECT_EQ(all[0].second.group, kGroup);
}

TEST_F(U8_GroupQueries, MldAnswersForSourcesToo) {
  const IpAddress one = ip("fd09::1");
  const IpAddress two = ip("fd09::2");
  ASSERT_TRUE(host.stack().block_source(sockets[2], {.group = kGroup6, .source = one}));
  quiet();
  query(wire::MldQuery{.max_response_ms = 1'000, .group = kGroup6}, {one});
  EXPECT_TRUE(within(Duration::ms(1'100)).empty());
  query(wire::MldQuery{.max_response_ms = 1'000, .group = kGroup6}, {one, two});
  auto all = within(Duration::ms(1'100));
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].second.records, (std::vector<Record>{{Type::mode_is_include, kGroup6, {two}}}));
  query(wire::MldQuery{.max_response_ms = 1'000, .group = kGroup6}, {two});
  query(wire::MldQuery{.max_response_ms = 1'000, .group = kGroup6});
  all = within(Duration::ms(1'100));
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].second.records, (std::vector<Record>{{Type::mode_is_exclude, kGroup6, {one}}}));
}

TEST_F(U8_GroupQueries, CodeZeroOfVersion3IsAnsweredAtOnce) {
  query(wire::IgmpQuery{.max_response_ms = 0});
  const auto all = within(Duration::ms(100));
  ASSERT_EQ(all.size(), 1U);
  EXPECT_LE(all[0].first, Duration::ms(10));
}

TEST_F(U8_GroupQueries, AVersion2QuerierGetsVersion2UntilItIsGone) {
  query(wire::IgmpQuery{.version = wire::IgmpQuery::Version::v2, .max_response_ms = 2'000});
  std::map<IpAddress, int> reports;
  for (const auto& [moment, s] : within(Duration::ms(2'100))) {
    EXPECT_EQ(s.type, 0x16U);
    EXPECT_EQ(s.to, s.group) << "to the group itself";
    ++reports[s.group];
  }
  EXPECT_EQ(reports, (std::map<IpAddress, int>{{kGroup, 1}, {kOther, 1}}));
  // A join is told at once and again within 10 s, a leave to all routers: we were the last who reported.
  const Handle s = member({.group = ip("239.5.5.5")});
  auto all = within(Duration::s(21));
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].second.type, 0x16U);
  EXPECT_EQ(all[0].first, Duration{});
  EXPECT_LE(all[1].first, Duration::ms(10'010));
  ASSERT_TRUE(host.stack().leave_group(s, {.group = ip("239.5.5.5")}));
  all = within(Duration::s(2));
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].second.type, 0x17U);
  EXPECT_EQ(all[0].second.to, ip("224.0.0.2"));
  // RFC 3376 8.12: robustness * interval + response time after its last general query.
  host.advance(Duration::s(220));
  ASSERT_TRUE(host.stack().leave_group(sockets[0], {.group = kGroup}));
  EXPECT_EQ(said().at(0).type, 0x17U);
  host.advance(Duration::s(20));
  ASSERT_TRUE(host.stack().leave_group(sockets[1], {.group = kOther}));
  EXPECT_EQ(report(), (std::vector<Record>{{Type::block_old_sources, kOther, {kS1}}})) << "version 3 again";
  ASSERT_TRUE(host.stack().join_group(sockets[0], {.group = kGroup}));
  EXPECT_EQ(said().at(0).type, 0x22U);
}

TEST_F(U8_GroupQueries, CodeZeroInEightBytesIsAVersion1Querier) {
  query(wire::IgmpQuery{.version = wire::IgmpQuery::Version::v1});
  std::map<IpAddress, int> reports;
  for (const auto& [moment, s] : within(Duration::ms(10'100))) {
    EXPECT_EQ(s.type, 0x12U);
    ++reports[s.group];
  }
  EXPECT_EQ(reports, (std::map<IpAddress, int>{{kGroup, 1}, {kOther, 1}}));
  ASSERT_TRUE(host.stack().leave_group(sockets[0], {.group = kGroup}));
  EXPECT_TRUE(within(Duration::s(2)).empty()) << "version 1 knows no leave";
  // A version 2 query does not make it forget the older one.
  query(wire::IgmpQuery{.version = wire::IgmpQuery::Version::v2, .max_response_ms = 100});
  EXPECT_EQ(within(Duration::ms(10'100)).at(0).second.type, 0x12U);
}

TEST_F(U8_GroupQueries, InOlderVersionsAnotherHostsReportIsEnough) {
  query(wire::IgmpQuery{.version = wire::IgmpQuery::Version::v2, .max_response_ms = 5'000});
  older_report(wire::IgmpType::v2_report, kGroup);
  for (const auto& [moment, s] : within(Duration::s(6))) EXPECT_EQ(s.group, kOther);
  ASSERT_TRUE(host.stack().leave_group(sockets[0], {.group = kGroup}));
  EXPECT_TRUE(within(Duration::s(2)).empty()) << "RFC 2236 3: somebody else reported last";
}

TEST_F(U8_GroupQueries, ARunningTimerIsDrawnAnewOnlyWhenItWouldEndTooLate) {
  query(wire::IgmpQuery{.version = wire::IgmpQuery::Version::v2, .max_response_ms = 10'000});
  query(wire::IgmpQuery{.version = wire::IgmpQuery::Version::v2, .max_response_ms = 200, .group = kGroup});
  bool in_time = false;
  int reports = 0;
  for (const auto& [moment, s] : within(Duration::s(11))) {
    in_time = in_time || (s.group == kGroup && moment <= Duration::ms(210));
    reports += s.group == kGroup ? 1 : 0;
  }
  EXPECT_TRUE(in_time);
  EXPECT_EQ(reports, 1) << "one answer for both";
}

TEST_F(U8_GroupQueries, TheQueriersRobustnessIsEverybodys) {
  query(wire::IgmpQuery{.max_response_ms = 100, .robustness = 4});
  (void)within(Duration::ms(200));
  ASSERT_TRUE(host.stack().leave_group(sockets[0], {.group = kGroup}));
  EXPECT_EQ(within(Duration::s(5)).size(), 4U);
}

TEST_F(U8_GroupQueries, ForgedAndDamagedOnesAreIgnored) {
  query(wire::IgmpQuery{.max_response_ms = 100}, 2);
  Bytes bad(12);
  (void)wire::IgmpQuery{.max_response_ms = 100}.emit(bad);
  bad[3] ^= 1;
  igmp(bad, ip("224.0.0.1"));
  igmp({0x11, 1, 0, 0}, ip("224.0.0.1"));
  EXPECT_TRUE(within(Duration::s(1)).empty());
  EXPECT_EQ(host.drops(DropReason::igmp_ignored), 3U);
  const Bytes six = mld_query({.max_response_ms = 100});
  mld(six, ip("ff02::1"), ip("fd00::9"));
  mld(six, ip("ff02::1"), kRouter6, 2);
  mld(six, ip("ff02::1"), kRouter6, 1, {});
  mld(six, ip("ff02::1"), kRouter6, 1, {58, 0, 1, 4, 0, 0, 0, 0});
  EXPECT_TRUE(within(Duration::s(1)).empty());
  EXPECT_EQ(host.drops(DropReason::igmp_ignored), 7U);
}

TEST_F(U8_GroupQueries, MldAnswersGeneralAndGroupQueries) {
  query(wire::MldQuery{.max_response_ms = 1'000});
  auto all = within(Duration::ms(1'100));
  ASSERT_EQ(all.size(), 1U);
  const std::vector<Record> both{{Type::mode_is_exclude, kUs6.solicited_node()}, {Type::mode_is_exclude, kGroup6}};
  EXPECT_EQ(all[0].second.records, both);
  query(wire::MldQuery{.max_response_ms = 30'000});
  query(wire::MldQuery{.max_response_ms = 500, .group = kGroup6});
  all = within(Duration::ms(31'000));
  ASSERT_FALSE(all.empty());
  EXPECT_LE(all[0].first, Duration::ms(510));
  EXPECT_GE(all.back().second.records.size(), 2U);
}

TEST_F(U8_GroupQueries, AnMldVersion1QuerierGetsVersion1) {
  query(wire::MldQuery{.version = wire::MldQuery::Version::v1, .max_response_ms = 1'000});
  std::map<IpAddress, int> reports;
  for (const auto& [moment, s] : within(Duration::ms(1'100))) {
    EXPECT_EQ(s.type, 131U);
    EXPECT_EQ(s.to, s.group);
    ++reports[s.group];
  }
  EXPECT_EQ(reports, (std::map<IpAddress, int>{{kUs6.solicited_node(), 1}, {kGroup6, 1}}));
  ASSERT_TRUE(host.stack().leave_group(sockets[2], {.group = kGroup6}));
  const auto all = within(Duration::s(1));
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].second.type, 132U);
  EXPECT_EQ(all[0].second.to, ip("ff02::2"));
  EXPECT_EQ(all[0].second.group, kGroup6);
  // IGMP is another protocol: it goes on in version 3.
  ASSERT_TRUE(host.stack().leave_group(sockets[0], {.group = kGroup}));
  EXPECT_EQ(said().at(0).type, 0x22U);
}

struct U9_JoinWithoutMemory : Multicast {  // NOLINT(readability-identifier-naming): in tests' names
  void drain() {
    for (const ChunkClass c : {ChunkClass::small, ChunkClass::normal})
      while (Packet p = host.pool().allocate(c, 0, Priority::control)) held.push_back(std::move(p));
  }
  std::vector<Packet> held;
};

TEST_F(U9_JoinWithoutMemory, IsTriedAgainUntilItIsTold) {
  drain();
  const Handle s = member({.group = kGroup});
  ASSERT_TRUE(host.stack().join_group(s, {.group = kGroup6}));
  host.advance(Duration::s(5));
  EXPECT_TRUE(host.sent().empty());
  EXPECT_TRUE(iface::is_member(host.core(), host.eth, kGroup)) << "it is a member all the same";
  EXPECT_LE(host.drops(DropReason::no_buffers), 200U) << "not at full speed";
  held.clear();
  host.advance(Duration::ms(100));
  std::vector<Record> all;
  for (const Said& m : said()) all.insert(all.end(), m.records.begin(), m.records.end());
  EXPECT_EQ(all, (std::vector<Record>{{Type::change_to_exclude, kGroup}, {Type::change_to_exclude, kGroup6}}));
  host.advance(Duration::s(1));
  EXPECT_EQ(said().size(), 2U) << "and again, as robustness wants it";
}

TEST_F(U9_JoinWithoutMemory, ChangesOfSourcesAndAnswersForThemToo) {
  const Handle s = member({.group = kGroup});
  query(wire::IgmpQuery{.max_response_ms = 100, .robustness = 3});
  quiet();
  query(wire::IgmpQuery{.max_response_ms = 1'000, .group = kGroup, .robustness = 3}, {kS1, kS2});
  drain();
  ASSERT_TRUE(host.stack().block_source(s, {.group = kGroup, .source = kS1}));
  host.advance(Duration::s(2));
  EXPECT_TRUE(host.sent().empty());
  held.clear();
  std::map<Type, int> times;
  for (int i = 0; i < 500; ++i) {
    host.advance(Duration::ms(10));
    for (const Said& m : said()) {
      const bool change = m.records.at(0).type == Type::block_old_sources;
      EXPECT_EQ(m.records, change ? (std::vector<Record>{{Type::block_old_sources, kGroup, {kS1}}})
                                  : (std::vector<Record>{{Type::mode_is_include, kGroup, {kS2}}}));
      ++times[m.records[0].type];
    }
  }
  EXPECT_EQ(times, (std::map<Type, int>{{Type::block_old_sources, 3}, {Type::mode_is_include, 1}}));
}

TEST_F(U9_JoinWithoutMemory, AFilterOfWhichOnlyAPartCouldLeaveIsToldAgain) {
  ASSERT_TRUE(host.stack().set_interface_mtu(host.eth, 1280));
  const Handle s = member({.group = kGroup6});
  quiet();
  drain();
  held.pop_back();
  ASSERT_TRUE(host.stack().set_source_filter(s, {.group = kGroup6}, FilterMode::include, sources6(200)));
  EXPECT_EQ(report().at(0).sources.size(), 75U);
  held.clear();
  std::vector<std::size_t> messages;
  for (int i = 0; i < 300; ++i) {
    host.advance(Duration::ms(10));
    Told told;
    if (const std::size_t n = tell(told); n != 0) {
      EXPECT_EQ(told, (Told{{{Type::change_to_include, kGroup6}, sources6(200)}}));
      messages.push_back(n);
    }
  }
  EXPECT_EQ(messages, (std::vector<std::size_t>{3, 3})) << "as often as robustness wants it";
}

TEST_F(U9_JoinWithoutMemory, InVersion2Too) {
  query(wire::IgmpQuery{.version = wire::IgmpQuery::Version::v2, .max_response_ms = 100});
  quiet();
  drain();
  const Handle s = member({.group = kGroup});
  host.advance(Duration::s(2));
  held.clear();
  host.advance(Duration::ms(100));
  EXPECT_EQ(said().at(0).type, 0x16U);
  drain();
  ASSERT_TRUE(host.stack().close(s));
  host.advance(Duration::s(2));
  held.clear();
  host.advance(Duration::ms(100));
  EXPECT_EQ(said().at(0).type, 0x17U) << "nor is a leave lost";
}

// --- what sockets hear -----------------------------------------------------------------------------------------------

TEST_F(Multicast, ASocketHearsWhatAnybodyJoinedUnlessItSaysOtherwise) {
  const Handle s = bound(5000);
  EXPECT_FALSE(hears(s, kGroup, kPeer)) << "nobody is a member";
  const Handle joiner = member({.group = kGroup});
  EXPECT_TRUE(hears(s, kGroup, kPeer)) << "Linux IP_MULTICAST_ALL";
  ASSERT_TRUE(host.stack().set_option(s, OptionId::ip_multicast_all, 0));
  EXPECT_FALSE(hears(s, kGroup, kPeer));
  ASSERT_TRUE(host.stack().join_group(s, {.group = kGroup}));
  EXPECT_TRUE(hears(s, kGroup, kPeer));
  ASSERT_TRUE(host.stack().close(joiner));
  EXPECT_TRUE(hears(s, kGroup, kPeer));
}

TEST_F(Multicast, ItsOwnFilterDecides) {
  const Handle one = bound(5000);
  const Handle all = bound(5001);
  ASSERT_TRUE(host.stack().join_group(one, {.group = kGroup, .source = kS1}));
  EXPECT_TRUE(hears(one, kGroup, kS1));
  EXPECT_FALSE(hears(one, kGroup, kS2));
  EXPECT_TRUE(hears(all, kGroup, kS1, 5001));
  EXPECT_FALSE(hears(all, kGroup, kS2, 5001)) << "the interface does not take it";
  ASSERT_TRUE(host.stack().join_group(all, {.group = kGroup}));
  EXPECT_TRUE(hears(all, kGroup, kS2, 5001));
  EXPECT_FALSE(hears(one, kGroup, kS2));
  ASSERT_TRUE(host.stack().block_source(all, {.group = kGroup, .source = kS1}));
  EXPECT_FALSE(hears(all, kGroup, kS1, 5001));
  EXPECT_TRUE(hears(one, kGroup, kS1)) << "what somebody includes is taken";
}

TEST_F(Multicast, RawSocketsObeyTooAndIpv6IsTheSame) {
  const Handle raw = host.stack().open_raw(IpVersion::v4, 17).value();
  ASSERT_TRUE(host.stack().join_group(raw, {.group = kGroup, .source = kS1}));
  EXPECT_TRUE(hears(raw, kGroup, kS1));
  EXPECT_FALSE(hears(raw, kGroup, kS2));
  const Handle six = bound(5000);
  ASSERT_TRUE(host.stack().join_group(six, {.group = kGroup6, .source = ip("fd00::77")}));
  EXPECT_TRUE(hears(six, kGroup6, ip("fd00::77")));
  EXPECT_FALSE(hears(six, kGroup6, ip("fd00::78")));
}

TEST_F(Multicast, OwnDatagramsComeBackToMembersOfTheInterface) {
  const InterfaceId second =
      host.stack().add_interface({.name = "eth1", .link = LinkType::ethernet, .mac = mac("02:00:00:00:00:09")}).value();
  ASSERT_TRUE(host.stack().add_address(second, {ip("10.0.9.1"), 24}));
  const Handle s = bound(5000);
  ASSERT_TRUE(host.stack().set_option(s, OptionId::ip_multicast_all, 0));
  ASSERT_TRUE(host.stack().join_group(s, {.group = kGroup, .interface = second}));
  quiet();
  Bytes b(10);
  const auto comes_back = [&] {
    EXPECT_TRUE(host.stack().try_send_to(s, Bytes{1}, {kGroup, Port{5000}}));
    host.settle();
    return host.stack().try_receive(s, b)->status == IoStatus::done;
  };
  EXPECT_FALSE(comes_back()) << "it left by the other interface";
  EXPECT_EQ(host.sent_one().ttl, 1U);
  ASSERT_TRUE(host.stack().set_option(s, OptionId::ip_multicast_interface, second));
  ASSERT_TRUE(host.stack().set_option(s, OptionId::ip_multicast_ttl, 7));
  (void)host.sent(second);
  EXPECT_TRUE(comes_back());
  const Decoded d = host.sent_one(second);
  EXPECT_EQ(d.ttl, 7U);
  EXPECT_EQ(d.ip_source, ip("10.0.9.1"));
  ASSERT_TRUE(host.stack().set_option(s, OptionId::ip_multicast_loop, 0));
  EXPECT_FALSE(comes_back());
}

TEST_F(Multicast, TheVerbsAnswerAsLinuxDoes) {
  const Handle s = socket();
  Stack& stack = host.stack();
  EXPECT_EQ(stack.join_group(s, {.group = kPeer}).error(), Errc::invalid_argument);
  EXPECT_EQ(stack.join_group(s, {.group = kGroup, .interface = 99}).error(), Errc::no_device);
  EXPECT_EQ(stack.join_group(s, {.group = kGroup, .source = kPeer6}).error(), Errc::invalid_argument);
  EXPECT_EQ(stack.leave_group(s, {.group = kGroup}).error(), Errc::address_not_available);
  EXPECT_EQ(stack.block_source(s, {.group = kGroup, .source = kS1}).error(), Errc::invalid_argument) << "no member";
  ASSERT_TRUE(stack.join_group(s, {.group = kGroup}));
  EXPECT_EQ(stack.join_group(s, {.group = kGroup}).error(), Errc::address_in_use);
  EXPECT_EQ(stack.unblock_source(s, {.group = kGroup, .source = kS1}).error(), Errc::address_not_available);
  ASSERT_TRUE(stack.block_source(s, {.group = kGroup, .source = kS1}));
  EXPECT_EQ(stack.block_source(s, {.group = kGroup, .source = kS1}).error(), Errc::address_not_available);
  EXPECT_EQ(stack.join_group(s, {.group = kGroup, .source = kS2}).error(), Errc::invalid_argument) << "the other mode";
  EXPECT_EQ(stack.join_group(stack.open_stream().value(), {.group = kGroup}).error(), Errc::not_supported);
  EXPECT_EQ(stack.join_group(Handle{}, {.group = kGroup}).error(), Errc::bad_handle);
}

TEST_F(Multicast, AnInterfaceThatGoesTakesItsMembershipsAlong) {
  const InterfaceId second =
      host.stack().add_interface({.name = "eth1", .link = LinkType::ethernet, .mac = mac("02:00:00:00:00:09")}).value();
  const Handle s = member({.group = kGroup, .source = kS1, .interface = second});
  ASSERT_TRUE(host.stack().join_group(s, {.group = kGroup}));
  ASSERT_TRUE(host.stack().remove_interface(second));
  EXPECT_EQ(host.core().iface.membership_pool.used(), 1U);
  EXPECT_EQ(host.core().iface.source_pool.used(), 0U);
  EXPECT_EQ(host.stack().leave_group(s, {.group = kGroup, .source = {}, .interface = second}).error(), Errc::no_device);
  EXPECT_TRUE(host.stack().leave_group(s, {.group = kGroup}));
}

}  // namespace
}  // namespace leat::test
