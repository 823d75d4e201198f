// What a host tells about its groups: IGMP and MLD reports, and row U9 of docs/attack-checklist.md, joins without
// memory.

#include <leat/core/iface/multicast_test_support.hpp>

namespace leat::test {
namespace {

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

TEST_F(Multicast, WhoDoesNotReportIsAMemberAllTheSame) {
  ASSERT_TRUE(host.stack().set_option(OptionId::multicast_reports, 0));
  const Handle s = bound(5000);
  ASSERT_TRUE(host.stack().join_group(s, {.group = kGroup}));
  ASSERT_TRUE(host.stack().join_group(s, {.group = kGroup6}));
  host.advance(Duration::s(30));
  EXPECT_TRUE(said().empty());
  EXPECT_TRUE(iface::is_member(host.core(), host.eth, kGroup));
  EXPECT_TRUE(iface::is_member(host.core(), host.eth, kGroup6));
  EXPECT_TRUE(hears(s, kGroup, kPeer));
  query(wire::IgmpQuery{.max_response_ms = 1000});
  query(wire::MldQuery{.max_response_ms = 1000});
  host.advance(Duration::s(30));
  EXPECT_TRUE(said().empty()) << "nor does it answer";
  ASSERT_TRUE(host.stack().close(s));
  host.advance(Duration::s(30));
  EXPECT_TRUE(said().empty());
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

}  // namespace
}  // namespace leat::test
