// Answers to queries about groups: row U8 of docs/attack-checklist.md.

#include <leat/core/iface/multicast_test_support.hpp>

namespace leat::test {
namespace {

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

TEST_F(U8_GroupQueries, ASwitchWithoutAnAddressIsAnsweredToo) {
  Bytes b(12);
  b.resize(wire::IgmpQuery{.max_response_ms = 1'000}.emit(b));
  igmp(b, ip("224.0.0.1"), 1, ip("0.0.0.0"));  // RFC 4541 2.1.1
  EXPECT_EQ(within(Duration::s(2)).size(), 1U);
  igmp(b, ip("224.0.0.1"), 1, ip("0.0.0.1"));
  EXPECT_TRUE(within(Duration::s(2)).empty());
  EXPECT_EQ(host.drops(DropReason::ip_bad_source), 1U);
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

}  // namespace
}  // namespace leat::test
