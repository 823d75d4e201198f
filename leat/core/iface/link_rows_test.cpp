// Rows L1 to L11 of docs/attack-checklist.md: what arrives on the link, and what neighbours claim.

#include <leat/core/iface/link.hpp>
#include <tests/support/test_host.hpp>

namespace leat::test {
namespace {

const MacAddress kOtherMac = mac("02:00:00:00:00:99");
const MacAddress kGroupMac = mac("01:00:5e:00:00:01");

Bytes ping4(const IpAddress& from = kPeer, unsigned sequence = 1) {
  return echo_request({.source = from, .destination = kUs}, 1, sequence, {1, 2, 3});
}
Bytes arp_frame(wire::ArpOperation op, const MacAddress& from, const IpAddress& sender, const IpAddress& target,
                const MacAddress& to = MacAddress::broadcast()) {
  return ethernet(to, from, arp({op, from, sender, {}, target}), 0x0806);
}
const iface::Neighbor* neighbor(TestHost& host, const IpAddress& a) {
  const Index i = host.core().iface.neighbors.find(host.eth, a);
  return i == kNoIndex ? nullptr : &host.core().iface.neighbors[i];
}

// --- L1 --------------------------------------------------------------------------------------------------------------

TEST(L1_ShortAndPaddedFrames, AFrameShorterThanItsHeaderIsDropped) {
  TestHost host;
  const Bytes frame = ethernet(kOurMac, kPeerMac, ping4());
  for (std::size_t n = 0; n < frame.size(); ++n)
    host.receive(Bytes(frame.begin(), frame.begin() + static_cast<long>(n)));
  EXPECT_EQ(host.drops(DropReason::link_too_short), 14U);
  EXPECT_EQ(host.drops(DropReason::ip_malformed), frame.size() - 14);
  EXPECT_TRUE(host.sent().empty());
}

TEST(L1_ShortAndPaddedFrames, PaddingIsTrimmed) {
  TestHost host;
  host.resolve();
  Bytes frame = ethernet(kOurMac, kPeerMac, ping4());
  frame.resize(60, 0xee);
  host.receive(frame);
  EXPECT_EQ(host.sent_one().payload, (Bytes{1, 2, 3}));
  host.resolve(kPeer6);
  frame = ethernet(kOurMac, kPeerMac, echo_request({.source = kPeer6, .destination = kUs6}, 1, 1, {4}));
  frame.resize(90, 0xee);
  host.receive(frame);
  EXPECT_EQ(host.sent_one().payload, Bytes{4});
}

// --- L2 --------------------------------------------------------------------------------------------------------------

TEST(L2_TagsAndUnknownTypes, AreDroppedAndCountedWithoutAnError) {
  TestHost host;
  host.resolve();
  const Bytes tagged = Bytes{0x00, 0x05, 0x08, 0x00} + ping4();
  host.receive(ethernet(kOurMac, kPeerMac, tagged, 0x8100));
  host.receive(ethernet(kOurMac, kPeerMac, Bytes{0x00, 0x05, 0x81, 0x00} + tagged, 0x88a8));
  EXPECT_EQ(host.drops(DropReason::link_vlan), 2U);
  host.receive(ethernet(kOurMac, kPeerMac, ping4(), 0x1234));
  host.receive(ethernet(kOurMac, kPeerMac, ping4(), 46));  // an 802.3 length
  EXPECT_EQ(host.drops(DropReason::link_unknown_ethertype), 2U);
  // A device took the tag out and says so beside the frame.
  Packet stripped = host.packet(ethernet(kOurMac, kPeerMac, ping4()));
  stripped.meta().vlan = 5;
  host.receive(std::move(stripped));
  EXPECT_EQ(host.drops(DropReason::link_vlan), 3U);
  EXPECT_TRUE(host.sent().empty());
}

TEST(L2_TagsAndUnknownTypes, FramesForOtherStationsAndForeignGroupsAreDropped) {
  TestHost host;
  host.receive(ethernet(kOtherMac, kPeerMac, ping4()));
  host.receive(ethernet(mac("01:00:5e:01:02:03"), kPeerMac, ping4()));
  EXPECT_EQ(host.drops(DropReason::link_not_for_us), 2U);
}

// --- L3 --------------------------------------------------------------------------------------------------------------

TEST(L3_UnicastInBroadcastFrames, NobodyIsToldOfAnError) {
  TestHost host;
  host.resolve();
  const Bytes datagram = udp_packet({.source = kPeer, .destination = kUs}, 1000, 9, {1});
  // RFC 1122 3.3.6: dropped in silence when the link broadcast it.
  host.receive(ethernet(MacAddress::broadcast(), kPeerMac, datagram));
  host.receive(ethernet(MacAddress::broadcast(), kPeerMac, ping4()));
  EXPECT_EQ(host.drops(DropReason::ip_bad_destination), 2U);
  // A group frame: delivered, but RFC 1122 3.2.2 forbids the error.
  host.receive(ethernet(kGroupMac, kPeerMac, datagram));
  EXPECT_EQ(host.drops(DropReason::udp_no_socket), 1U);
  EXPECT_TRUE(host.sent().empty());
  // Nor is a TCP segment that many got answered by a reset.
  host.receive(ethernet(kGroupMac, kPeerMac, tcp_packet({.source = kPeer, .destination = kUs}, {.to = 9})));
  EXPECT_EQ(host.drops(DropReason::ip_bad_destination), 3U);
  EXPECT_TRUE(host.sent().empty());
  host.receive_ip(tcp_packet({.source = kPeer, .destination = kUs}, {.to = 9}));
  EXPECT_EQ(host.sent_one().protocol, 6U);
  // The same datagram, sent to us alone, is answered.
  host.receive_ip(datagram);
  EXPECT_EQ(host.sent_one().icmp_type, 3U);
}

// --- L4 --------------------------------------------------------------------------------------------------------------

TEST(L4_UnsolicitedArp, RepliesMakeNoEntry) {
  TestHost host;
  host.receive(arp_frame(wire::ArpOperation::reply, kPeerMac, kPeer, kUs, kOurMac));
  host.receive(arp_frame(wire::ArpOperation::request, kPeerMac, kPeer, ip("10.0.0.77")));
  EXPECT_EQ(host.core().iface.neighbors.used(), 0U);
  EXPECT_EQ(host.drops(DropReason::arp_ignored), 2U);
  // Asking for us is answered.
  host.receive(arp_frame(wire::ArpOperation::request, kPeerMac, kPeer, kUs));
  const Decoded reply = host.sent_one();
  ASSERT_TRUE(reply.arp);
  EXPECT_EQ(reply.arp->operation, wire::ArpOperation::reply);
  EXPECT_EQ(reply.arp->sender_mac, kOurMac);
  EXPECT_EQ(reply.arp->sender_ip, kUs);
  EXPECT_EQ(reply.arp->target_mac, kPeerMac);
  EXPECT_EQ(reply.link->destination, kPeerMac);
}

// RFC 826: who asks for our address is about to talk to us.
TEST(L4_UnsolicitedArp, ARequestForOurAddressTeachesItsSender) {
  TestHost host;
  const auto ask = [&](const IpAddress& who, const IpAddress& target) {
    host.receive(ethernet(MacAddress::broadcast(), kPeerMac,
                          arp({wire::ArpOperation::request, kPeerMac, who, {}, target}), 0x0806));
    (void)host.sent();
    return host.core().iface.neighbors.find(host.eth, who) != kNoIndex;
  };
  EXPECT_FALSE(ask(ip("10.0.0.9"), ip("10.0.0.77"))) << "not for us";
  EXPECT_FALSE(ask(ip("192.168.1.1"), kUs)) << "no neighbour";
  EXPECT_TRUE(ask(kPeer, kUs));
  const Handle s = host.stack().open_udp().value();
  ASSERT_TRUE(host.stack().try_send_to(s, Bytes{1}, {kPeer, Port{9}}));
  const Decoded d = host.sent_one();
  EXPECT_EQ(d.protocol, 17U) << "at once";
  EXPECT_EQ(d.link->destination, kPeerMac);
}

// L7: requests for us with made-up senders fill what room there is and push out nobody.
TEST(L7_SpoofedSources, RequestsForUsPushOutNobodyWhoIsResolved) {
  TestHost host;
  host.resolve();
  const std::uint32_t capacity = host.core().iface.neighbors.capacity();
  for (unsigned n = 0; n < 10'000; ++n) {
    const IpAddress who = IpAddress::v4(0x0a000000U + 3 + n % 250);
    const MacAddress mac{{2, 0, 0, 1, static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n)}};
    host.receive(ethernet(MacAddress::broadcast(), mac, arp({wire::ArpOperation::request, mac, who, {}, kUs}), 0x0806));
    (void)host.sent();
  }
  EXPECT_LE(host.core().iface.neighbors.used(), capacity);
  EXPECT_NE(host.core().iface.neighbors.find(host.eth, kPeer), kNoIndex);
  const Handle s = host.stack().open_udp().value();
  ASSERT_TRUE(host.stack().try_send_to(s, Bytes{1}, {kPeer, Port{9}}));
  EXPECT_EQ(host.sent_one().link->destination, kPeerMac);
}

TEST(L4_UnsolicitedArp, ImpossibleSendersAreIgnoredEvenWhenWeAsked) {
  TestHost host;
  host.receive_ip(ping4());
  (void)host.sent();  // our question
  for (const MacAddress& from : {MacAddress::broadcast(), kGroupMac, kOurMac, MacAddress{}}) {
    host.receive(ethernet(kOurMac, kPeerMac, arp({wire::ArpOperation::reply, from, kPeer, kOurMac, kUs}), 0x0806));
  }
  for (const IpAddress& sender : {ip("224.0.0.1"), ip("255.255.255.255"), ip("127.0.0.1")})
    host.receive(arp_frame(wire::ArpOperation::reply, kPeerMac, sender, kUs, kOurMac));
  EXPECT_EQ(host.drops(DropReason::arp_malformed), 7U);
  EXPECT_EQ(neighbor(host, kPeer)->state, iface::NeighborState::incomplete);
  EXPECT_TRUE(host.sent().empty());
}

// --- L5 --------------------------------------------------------------------------------------------------------------

TEST(L5_ProbesAndConflicts, AProbeForOurAddressIsAnsweredAtALimitedRate) {
  TestHost host;
  const Bytes probe = arp_frame(wire::ArpOperation::request, kPeerMac, IpAddress::v4(0), kUs);
  host.receive(probe);
  EXPECT_EQ(host.sent_one().arp->sender_ip, kUs);
  for (int i = 0; i < 1000; ++i) host.receive(probe);
  EXPECT_LE(host.sent().size(), 10U);
  host.advance(Duration::s(1));
  host.receive(probe);
  EXPECT_EQ(host.sent().size(), 1U);
}

TEST(L5_ProbesAndConflicts, AClaimOnOurAddressIsContestedOncePerInterval) {
  TestHost host;
  const Bytes claim = arp_frame(wire::ArpOperation::request, kOtherMac, kUs, kUs);
  for (int i = 0; i < 20; ++i) host.receive(claim);
  const Decoded defence = host.sent_one();  // RFC 5227 2.4 (c): one announcement, not twenty
  EXPECT_TRUE(defence.link->destination.is_broadcast());
  EXPECT_EQ(defence.arp->sender_ip, kUs);
  EXPECT_EQ(defence.arp->target_ip, kUs);
  EXPECT_EQ(host.count(Counter::arp_conflicts), 20U);
  host.advance(Duration::s(11));
  host.receive(claim);
  EXPECT_EQ(host.sent().size(), 1U);
}

TEST(L5_ProbesAndConflicts, ATentativeAddressIsGivenUpWhenSomebodyHasIt) {
  TestHost host({.addresses = false});
  ASSERT_TRUE(host.stack().add_address(host.eth, {kUs, 24}, {.detect_duplicates = true}));
  const Decoded probe = host.sent_one();
  EXPECT_TRUE(probe.arp->sender_ip.is_unspecified());
  EXPECT_EQ(probe.arp->target_ip, kUs);
  // RFC 5227 2.1.1: not ours yet, so nobody is answered.
  host.receive(arp_frame(wire::ArpOperation::request, kPeerMac, kPeer, kUs));
  EXPECT_TRUE(host.sent().empty());
  host.receive(arp_frame(wire::ArpOperation::reply, kOtherMac, kUs, kUs, kOurMac));
  EXPECT_EQ(iface::address_state(host.core(), host.eth, kUs), iface::AddressState::duplicated);
  host.advance(Duration::s(10));
  EXPECT_TRUE(host.sent().empty());
  EXPECT_FALSE(ip::is_local_address(host.core(), kUs));
}

TEST(L5_ProbesAndConflicts, AnUncontestedAddressIsAnnounced) {
  TestHost host({.addresses = false});
  ASSERT_TRUE(host.stack().add_address(host.eth, {kUs, 24}, {.detect_duplicates = true}));
  (void)host.sent();
  host.advance(Duration::s(1));
  EXPECT_EQ(iface::address_state(host.core(), host.eth, kUs), iface::AddressState::announcing);
  EXPECT_EQ(host.sent_one().arp->sender_ip, kUs);
  host.advance(Duration::s(2));
  EXPECT_EQ(host.sent_one().arp->sender_ip, kUs);
  EXPECT_EQ(iface::address_state(host.core(), host.eth, kUs), iface::AddressState::valid);
  EXPECT_TRUE(host.stack().next_deadline().is_never());
}

// --- L6 --------------------------------------------------------------------------------------------------------------

TEST(L6_GratuitousArp, UpdatesAnExistingEntryOnly) {
  TestHost host;
  host.resolve();
  const Bytes news = arp_frame(wire::ArpOperation::request, kOtherMac, kPeer, kPeer);
  host.receive(news);
  ASSERT_NE(neighbor(host, kPeer), nullptr);
  EXPECT_EQ(neighbor(host, kPeer)->mac, kOtherMac);
  EXPECT_EQ(neighbor(host, kPeer)->state, iface::NeighborState::stale);
  host.receive_ip(ping4());
  EXPECT_EQ(host.sent_one().link->destination, kOtherMac);
  host.receive(arp_frame(wire::ArpOperation::request, kOtherMac, ip("10.0.0.50"), ip("10.0.0.50")));
  EXPECT_EQ(neighbor(host, ip("10.0.0.50")), nullptr);
}

// --- L7 --------------------------------------------------------------------------------------------------------------

TEST(L7_SpoofedSources, CantPushOutWhoIsKnownNorPinThePool) {
  TestHost host({.addresses = false});
  ASSERT_TRUE(host.stack().add_address(host.eth, {kUs, 16}));
  const IpAddress gateway = ip("10.0.0.254");
  ASSERT_TRUE(host.stack().add_route({.destination = {ip("0.0.0.0"), 0}, .gateway = gateway}));
  host.resolve();
  // The gateway is known because traffic went through it.
  host.receive_ip(ping4(ip("192.0.2.1")));
  (void)host.sent();
  host.resolve(gateway, kOtherMac);
  EXPECT_EQ(host.sent_one().link->destination, kOtherMac);

  const std::uint32_t before = host.pool().packets_free();
  std::uint32_t least = before;
  std::size_t questions = 0;
  for (unsigned i = 0; i < 10'000; ++i) {
    host.receive_ip(
        ping4(IpAddress::v4(10, 0, static_cast<std::uint8_t>(1 + i / 250), static_cast<std::uint8_t>(1 + i % 250))));
    questions += host.sent().size();
    least = std::min(least, host.pool().packets_free());
    if (i % 1000 == 0) host.advance(Duration::ms(10));
  }
  EXPECT_EQ(host.core().iface.neighbors.used(), host.core().iface.neighbors.capacity());
  EXPECT_GE(least, before - before / 8);
  EXPECT_LT(questions, 400U) << "RFC 6583: a scan must not become a storm of requests";
  // Those who are known still are, and are answered at once.
  host.receive_ip(ping4());
  EXPECT_EQ(host.sent_one().link->destination, kPeerMac);
  host.receive_ip(ping4(ip("192.0.2.1")));
  EXPECT_EQ(host.sent_one().link->destination, kOtherMac);
  host.advance(Duration::s(10));
  (void)host.sent();
  EXPECT_EQ(host.core().iface.neighbors.used(), 2U);
  EXPECT_EQ(host.pool().packets_free(), before);
}

TEST(L7_SpoofedSources, TheQueueOfOneNeighbourKeepsTheNewest) {
  TestHost host;
  for (unsigned i = 1; i <= 40; ++i) host.receive_ip(ping4(kPeer, i));
  (void)host.sent();
  EXPECT_EQ(host.drops(DropReason::neighbor_queue_full), 24U);
  host.receive(arp_frame(wire::ArpOperation::reply, kPeerMac, kPeer, kUs, kOurMac));
  const auto replies = host.sent_decoded();
  ASSERT_EQ(replies.size(), 16U);
  for (unsigned i = 0; i < 16; ++i) EXPECT_EQ(replies[i].icmp_rest & 0xffff, 25 + i);
}

// --- L8 --------------------------------------------------------------------------------------------------------------

TEST(L8_UnresolvableNextHop, OthersGoOnAndTheSocketIsTold) {
  TestHost host;
  host.resolve();
  const Handle lost = host.stack().open_udp().value();
  const Handle fine = host.stack().open_udp().value();
  ASSERT_TRUE(host.stack().connect(lost, {ip("10.0.0.66"), Port{7}}));
  ASSERT_TRUE(host.stack().connect(fine, {kPeer, Port{7}}));
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(host.stack().try_send(lost, Bytes{1}));
    ASSERT_TRUE(host.stack().try_send(fine, Bytes{2}));
  }
  const auto first = host.sent_decoded();
  EXPECT_EQ(std::count_if(first.begin(), first.end(), [](const Decoded& d) { return d.protocol == 17; }), 5);
  EXPECT_EQ(std::count_if(first.begin(), first.end(), [](const Decoded& d) { return d.arp.has_value(); }), 1);
  EXPECT_FALSE(host.stack().take_error(lost));
  // RFC 4861 7.2.2: three questions, a second apart, then it is given up.
  host.advance(Duration::ms(2900));
  EXPECT_EQ(host.sent().size(), 2U);
  EXPECT_FALSE(any(host.stack().readiness(lost) & Ready::error));
  host.advance(Duration::ms(200));
  EXPECT_TRUE(host.sent().empty());
  EXPECT_EQ(host.drops(DropReason::neighbor_unreachable), 5U);
  EXPECT_TRUE(any(host.stack().readiness(lost) & Ready::error));
  EXPECT_EQ(host.stack().take_error(lost), Errc::host_unreachable);
  EXPECT_FALSE(host.stack().take_error(fine));
  ASSERT_TRUE(host.stack().try_send(fine, Bytes{3}));
  EXPECT_EQ(host.sent_one().payload, Bytes{3});
  // The next packet starts the question anew.
  ASSERT_TRUE(host.stack().try_send(lost, Bytes{1}));
  EXPECT_TRUE(host.sent_one().arp);
}

// Linux, and whoever waits for connect(), hears of a neighbour that is not there long before the last SYN.
TEST(L8_UnresolvableNextHop, AnAttemptToConnectEndsWithTheThirdRoundOfQuestions) {
  for (const char* const nobody : {"10.0.0.66", "fd00::66"}) {
    TestHost host;
    const Handle socket = host.stack().open_stream().value();
    ASSERT_TRUE(host.stack().connect(socket, {ip(nobody), Port{7}})) << nobody;
    unsigned questions = 0;
    for (int ms = 0; ms < 9900; ms += 100) {
      questions += static_cast<unsigned>(host.sent().size());
      ASSERT_FALSE(any(host.stack().readiness(socket) & Ready::error)) << nobody << " after " << ms << " ms";
      host.advance(Duration::ms(100));
    }
    // Three questions may be lost: the first round or two do not end it.
    EXPECT_GE(questions, 6U) << nobody;
    host.advance(Duration::ms(1300));
    EXPECT_TRUE(any(host.stack().readiness(socket) & Ready::error)) << nobody;
    EXPECT_EQ(host.stack().take_error(socket), Errc::host_unreachable) << nobody;
    (void)host.sent();
    host.advance(Duration::s(300));
    EXPECT_TRUE(host.sent().empty()) << nobody;
  }
}

TEST(L8_UnresolvableNextHop, ANeighborThatAnswersAtLastIsConnectedTo) {
  TestHost host;
  const Handle socket = host.stack().open_stream().value();
  ASSERT_TRUE(host.stack().connect(socket, {kPeer, Port{7}}));
  for (int i = 0; i < 90; ++i) {
    host.advance(Duration::ms(100));
    (void)host.sent();
  }
  host.resolve();
  const auto sent = host.sent_decoded();
  EXPECT_TRUE(std::any_of(sent.begin(), sent.end(), [](const Decoded& d) { return d.protocol == 6; }));
  host.advance(Duration::s(5));
  EXPECT_FALSE(any(host.stack().readiness(socket) & Ready::error));
}

// --- L9 --------------------------------------------------------------------------------------------------------------

Bytes solicitation(const IpAddress& source, const IpAddress& target, std::optional<MacAddress> from = std::nullopt,
                   std::optional<IpAddress> to = std::nullopt) {
  wire::NeighborSolicitation ns{.target = target, .options = {}};
  ns.options.source_mac = from;
  const IpAddress destination = to.value_or(target.solicited_node());
  return ethernet(destination.is_multicast() ? destination.multicast_mac() : kOurMac, kPeerMac,
                  ndp_packet({.source = source, .destination = destination}, ns));
}

TEST(L9_DuplicateDetection, ATentativeAddressFailsWhenSomebodyElseProbes) {
  TestHost host({.addresses = false});
  ASSERT_TRUE(host.stack().add_address(host.eth, {kUs6, 64}, {.detect_duplicates = true}));
  const Decoded probe = host.sent_one();
  EXPECT_EQ(probe.icmp_type, 135U);
  EXPECT_TRUE(probe.ip_source.is_unspecified());
  EXPECT_EQ(probe.ip_destination, kUs6.solicited_node());
  // A link that brings our own probe back says nothing either.
  Bytes echoed = solicitation(IpAddress{}, kUs6);
  std::copy(kOurMac.bytes.begin(), kOurMac.bytes.end(), echoed.begin() + 6);
  host.receive(echoed);
  EXPECT_EQ(iface::address_state(host.core(), host.eth, kUs6), iface::AddressState::tentative);
  // RFC 4862 5.4.3: somebody resolves it, which says nothing; somebody else probes for it, which does.
  host.receive(solicitation(kPeer6, kUs6, kPeerMac));
  EXPECT_EQ(iface::address_state(host.core(), host.eth, kUs6), iface::AddressState::tentative);
  EXPECT_TRUE(host.sent().empty());
  host.receive(solicitation(IpAddress{}, kUs6));
  EXPECT_EQ(iface::address_state(host.core(), host.eth, kUs6), iface::AddressState::duplicated);
  host.advance(Duration::s(5));
  host.receive(solicitation(kPeer6, kUs6, kPeerMac));
  EXPECT_TRUE(host.sent().empty());
}

TEST(L9_DuplicateDetection, AnAdvertisementEndsATentativeAddressToo) {
  TestHost host({.addresses = false});
  ASSERT_TRUE(host.stack().add_address(host.eth, {kUs6, 64}, {.detect_duplicates = true}));
  (void)host.sent();
  wire::NeighborAdvertisement na{.override_cache = true, .target = kUs6, .options = {}};
  na.options.target_mac = kOtherMac;
  const IpAddress all = ip("ff02::1");
  host.receive(ethernet(all.multicast_mac(), kOtherMac, ndp_packet({.source = kUs6, .destination = all}, na)));
  // From our own (tentative) address: the source is not ours yet, so it is heard.
  EXPECT_EQ(iface::address_state(host.core(), host.eth, kUs6), iface::AddressState::duplicated);
}

TEST(L9_DuplicateDetection, AnAssignedAddressIsDefended) {
  TestHost host;
  host.receive(solicitation(IpAddress{}, kUs6));
  const Decoded defence = host.sent_one();
  EXPECT_EQ(defence.icmp_type, 136U);
  EXPECT_EQ(defence.ip_source, kUs6);
  EXPECT_EQ(defence.ip_destination, ip("ff02::1"));
  EXPECT_EQ(defence.icmp_rest & 0x60000000U, 0x20000000U);  // override, not solicited
  EXPECT_TRUE(defence.checksums_ok);
  EXPECT_TRUE(ip::is_local_address(host.core(), kUs6));
}

TEST(L9_DuplicateDetection, SilenceMakesTheAddressOurs) {
  TestHost host({.addresses = false});
  ASSERT_TRUE(host.stack().add_address(host.eth, {kUs6, 64}, {.detect_duplicates = true}));
  (void)host.sent();
  host.advance(Duration::s(1));
  EXPECT_EQ(iface::address_state(host.core(), host.eth, kUs6), iface::AddressState::valid);
  host.receive(solicitation(kPeer6, kUs6, kPeerMac));
  const Decoded answer = host.sent_one();
  EXPECT_EQ(answer.icmp_type, 136U);
  EXPECT_EQ(answer.ip_destination, kPeer6);
  EXPECT_EQ(answer.link->destination, kPeerMac);
  EXPECT_EQ(answer.icmp_rest & 0x60000000U, 0x60000000U);
}

TEST(L9_DuplicateDetection, ProbesAsOftenAsTheOptionSays) {
  for (const IpPrefix& ours : {IpPrefix{kUs, 24}, IpPrefix{kUs6, 64}}) {
    const bool v4 = ours.address.is_v4();
    SCOPED_TRACE(v4 ? "IPv4" : "IPv6");
    const auto is_probe = [&](const Decoded& d) {
      return v4 ? d.arp && d.arp->sender_ip.is_unspecified() && d.arp->target_ip == kUs
                : d.icmp_type == 135 && d.ip_source.is_unspecified();
    };
    TestHost host({.addresses = false});
    ASSERT_TRUE(host.stack().set_option(OptionId::dad_transmits, 3));
    ASSERT_TRUE(host.stack().add_address(host.eth, ours, {.detect_duplicates = true}));
    host.advance(Duration::ms(2999));
    EXPECT_EQ(iface::address_state(host.core(), host.eth, ours.address), iface::AddressState::tentative);
    const auto probes = host.sent_decoded();
    EXPECT_EQ(probes.size(), 3U);
    for (const Decoded& d : probes) EXPECT_TRUE(is_probe(d));
    host.advance(Duration::ms(1));
    EXPECT_TRUE(ip::is_local_address(host.core(), ours.address));
    for (const Decoded& d : host.sent_decoded()) EXPECT_FALSE(is_probe(d));
    // RFC 4862 5.1: with 0 nobody is asked.
    TestHost trusting({.addresses = false});
    ASSERT_TRUE(trusting.stack().set_option(OptionId::dad_transmits, 0));
    ASSERT_TRUE(trusting.stack().add_address(trusting.eth, ours, {.detect_duplicates = true}));
    EXPECT_EQ(iface::address_state(trusting.core(), trusting.eth, ours.address), iface::AddressState::valid);
    trusting.advance(Duration::s(10));
    EXPECT_TRUE(trusting.sent().empty());
  }
}

// --- L10 -------------------------------------------------------------------------------------------------------------

TEST(L10_DamagedDiscovery, IsDroppedWhole) {
  TestHost host;
  host.resolve(kPeer6);
  wire::NeighborSolicitation ns{.target = kUs6, .options = {}};
  ns.options.source_mac = kOtherMac;
  wire::NeighborAdvertisement na{.solicited = true, .override_cache = true, .target = kPeer6, .options = {}};
  na.options.target_mac = kOtherMac;
  wire::RouterAdvertisement ra;
  wire::Redirect redirect;
  redirect.target = redirect.destination = ip("fd00::9");
  const IpAddress link_local = ip("fe80::7");
  const std::vector<Bytes> messages{ndp_packet({.source = kPeer6, .destination = kUs6}, ns),
                                    ndp_packet({.source = kPeer6, .destination = kUs6}, na),
                                    ndp_packet({.source = link_local, .destination = kUs6}, ra),
                                    ndp_packet({.source = link_local, .destination = kUs6}, redirect)};
  std::uint64_t expected = 0;
  for (const Bytes& good : messages) {
    const auto refused = [&](Bytes p, const char* what) {
      // The message's own checksum is right: it is refused for what it says.
      put16(p, 42, 0);
      const Sum pseudo = pseudo_header_sum(IpAddress::v6_wire(&p[8]), IpAddress::v6_wire(&p[24]), 58,
                                           static_cast<std::uint32_t>(p.size() - 40));
      put16(p, 42, checksum_finish(checksum_add(pseudo, ByteSpan{p}.subspan(40))));
      host.receive_ip(p);
      EXPECT_EQ(host.drops(DropReason::ndp_malformed), ++expected) << what << " of type " << int{good[40]};
    };
    Bytes p = good;
    put8(p, 7, 254);
    refused(p, "hop limit 254");
    p = good;
    put8(p, 41, 1);
    refused(p, "code 1");
    p = good + Bytes{1, 0, 0, 0, 0, 0, 0, 0};
    put16(p, 4, static_cast<unsigned>(p.size() - 40));
    refused(p, "option of length 0");
    p = good + Bytes{1, 9, 0, 0, 0, 0, 0, 0};
    put16(p, 4, static_cast<unsigned>(p.size() - 40));
    refused(p, "option past the end");
    // RFC 6980: in a fragment, even one that is whole.
    p = Bytes(good.begin(), good.begin() + 40) + Bytes{58, 0, 0, 0, 0, 0, 0, 1} + Bytes(good.begin() + 40, good.end());
    put8(p, 6, 44);
    put16(p, 4, static_cast<unsigned>(p.size() - 40));
    host.receive_ip(p);
    EXPECT_EQ(host.drops(DropReason::ndp_malformed), ++expected) << "fragment header";
  }
  // Nobody believed any of it.
  EXPECT_EQ(neighbor(host, kPeer6)->mac, kPeerMac);
  EXPECT_TRUE(host.sent().empty());
  // Undamaged, they are what they claim.
  host.receive_ip(messages[1]);
  EXPECT_EQ(neighbor(host, kPeer6)->mac, kOtherMac);
}

// --- L11 -------------------------------------------------------------------------------------------------------------

TEST(L11_ForeignTarget, TeachesNothing) {
  TestHost host;
  host.receive(solicitation(kPeer6, ip("fd00::77"), kPeerMac, kUs6));
  host.receive(solicitation(kPeer6, ip("fd00:0:0:0:ffff::1"), kPeerMac));  // shares our solicited-node group
  EXPECT_EQ(host.core().iface.neighbors.used(), 0U);
  EXPECT_EQ(host.drops(DropReason::ndp_ignored), 2U);
  EXPECT_TRUE(host.sent().empty());
  // For our own address it does, and is answered.
  host.receive(solicitation(kPeer6, kUs6, kPeerMac));
  EXPECT_EQ(host.core().iface.neighbors.used(), 1U);
  EXPECT_EQ(host.sent_one().icmp_type, 136U);
}

TEST(L11_ForeignTarget, AnAdvertisementThatNobodyAskedForTeachesNothing) {
  TestHost host;
  wire::NeighborAdvertisement na{.override_cache = true, .target = kPeer6, .options = {}};
  na.options.target_mac = kPeerMac;
  host.receive_ip(ndp_packet({.source = kPeer6, .destination = kUs6}, na));
  EXPECT_EQ(host.core().iface.neighbors.used(), 0U);
  EXPECT_EQ(host.drops(DropReason::ndp_ignored), 1U);
}

}  // namespace
}  // namespace leat::test
