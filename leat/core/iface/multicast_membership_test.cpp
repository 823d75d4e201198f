// Memberships of sockets (RFC 3678): what each of them hears.

#include <leat/core/iface/multicast_test_support.hpp>

namespace leat::test {
namespace {

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
