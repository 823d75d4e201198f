// The first story: a neighbour pings us, over both versions, and not one reply is lost.

#include <tests/support/test_host.hpp>

namespace leat::test {
namespace {

TEST(Ping, TheFirstPingIsAnsweredThoughTheNeighbourMustBeResolvedFirst) {
  TestHost host;
  const Bytes data = pattern(56);
  host.receive_ip(echo_request({.source = kPeer, .destination = kUs}, 77, 1, data));

  // The reply waits while we ask who the peer is.
  const Decoded question = host.sent_one();
  ASSERT_TRUE(question.arp);
  EXPECT_TRUE(question.link->destination.is_broadcast());
  EXPECT_EQ(question.arp->operation, wire::ArpOperation::request);
  EXPECT_EQ(question.arp->sender_ip, kUs);
  EXPECT_EQ(question.arp->sender_mac, kOurMac);
  EXPECT_EQ(question.arp->target_ip, kPeer);

  host.receive(ethernet(kOurMac, kPeerMac, arp({wire::ArpOperation::reply, kPeerMac, kPeer, kOurMac, kUs}), 0x0806));
  const Decoded reply = host.sent_one();
  EXPECT_EQ(reply.link->destination, kPeerMac);
  EXPECT_EQ(reply.link->source, kOurMac);
  EXPECT_EQ(reply.ip_source, kUs);
  EXPECT_EQ(reply.ip_destination, kPeer);
  EXPECT_EQ(reply.icmp_type, 0U);
  EXPECT_EQ(reply.icmp_rest, (77U << 16) | 1U);
  EXPECT_EQ(reply.payload, data);
  EXPECT_TRUE(reply.checksums_ok);

  // From now on it is at once.
  host.receive_ip(echo_request({.source = kPeer, .destination = kUs}, 77, 2, data));
  EXPECT_EQ(host.sent_one().icmp_rest, (77U << 16) | 2U);
  EXPECT_EQ(host.count(Counter::icmp_echo_replied), 2U);
}

TEST(Ping, OverIpv6) {
  TestHost host;
  const Bytes data = pattern(1000);
  host.receive_ip(echo_request({.source = kPeer6, .destination = kUs6}, 5, 9, data));
  const Decoded question = host.sent_one();
  EXPECT_EQ(question.icmp_type, 135U);  // neighbour solicitation
  EXPECT_EQ(question.ip_source, kUs6);
  EXPECT_EQ(question.ip_destination, kPeer6.solicited_node());
  EXPECT_EQ(question.link->destination, kPeer6.solicited_node().multicast_mac());
  EXPECT_EQ(question.ttl, 255U);
  EXPECT_TRUE(question.checksums_ok);
  host.resolve(kPeer6);
  const Decoded reply = host.sent_one();
  EXPECT_EQ(reply.icmp_type, 129U);
  EXPECT_EQ(reply.icmp_rest, (5U << 16) | 9U);
  EXPECT_EQ(reply.payload, data);
  EXPECT_TRUE(reply.checksums_ok);
  EXPECT_EQ(reply.link->destination, kPeerMac);
}

TEST(Ping, OverALinkWithoutAddresses) {
  TestHost host({.link = LinkType::ip});
  host.receive(echo_request({.source = kPeer, .destination = kUs}, 1, 1, {}));
  EXPECT_EQ(host.sent_one().icmp_type, 0U);
  host.receive(echo_request({.source = kPeer6, .destination = kUs6}, 1, 1, pattern(64)));
  const Decoded reply = host.sent_one();
  EXPECT_EQ(reply.icmp_type, 129U);
  EXPECT_EQ(reply.payload, pattern(64));
}

TEST(Ping, WhoseChecksumTheDeviceLeftToUsIsAnsweredWithAWholeOne) {
  TestHost host;
  host.resolve(kPeer6);
  const Bytes request = echo_request({.source = kPeer6, .destination = kUs6}, 5, 9, pattern(100));
  Packet p = host.packet(ethernet(kOurMac, kPeerMac, request));
  const auto length = static_cast<std::uint32_t>(request.size() - 40);
  const Sum pseudo = pseudo_header_sum(kPeer6, kUs6, 58, length);
  store_be16(&p.writable_head()[14 + 40 + 2], static_cast<std::uint16_t>(checksum_fold(pseudo)));
  p.meta().checksum = ChecksumState::to_fill;
  host.receive(std::move(p));
  const Decoded reply = host.sent_one();
  EXPECT_EQ(reply.icmp_type, 129U);
  EXPECT_TRUE(reply.checksums_ok);
}

TEST(Ping, LargeOnesComeBackWhole) {
  TestHost host({.mtu = 65535});
  host.resolve();
  const Bytes data = pattern(60000);
  host.receive_ip(echo_request({.source = kPeer, .destination = kUs}, 1, 1, data));
  const Decoded reply = host.sent_one();
  EXPECT_EQ(reply.payload, data);
  EXPECT_TRUE(reply.checksums_ok);
}

TEST(Ping, AnImageWithoutIpv6AnswersOverIpv4AndDropsTheRest) {
  static constexpr Modules kOnlyV4{};
  TestHost host({.modules = &kOnlyV4});
  host.resolve();
  host.receive_ip(echo_request({.source = kPeer, .destination = kUs}, 1, 1, {}));
  EXPECT_EQ(host.sent_one().icmp_type, 0U);
  host.receive_ip(echo_request({.source = kPeer6, .destination = kUs6}, 1, 1, {}));
  EXPECT_EQ(host.drops(DropReason::link_unknown_ethertype), 1U);
  EXPECT_EQ(host.stack().add_address(host.eth, {kUs6, 64}).error(), Errc::not_supported);
  EXPECT_TRUE(host.sent().empty());
}

}  // namespace
}  // namespace leat::test
