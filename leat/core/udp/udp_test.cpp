// UDP, raw and ping sockets, and rows U1 to U7 of docs/attack-checklist.md.

#include <tests/support/test_host.hpp>

namespace leat::test {
namespace {

const MacAddress kAllOnes = MacAddress::broadcast();

struct Udp : testing::Test {
  Udp() {
    host.resolve();
    host.resolve(kPeer6);
  }
  Handle socket() { return host.stack().open_udp().value(); }
  Handle bound(const Endpoint& e) {
    const Handle h = socket();
    EXPECT_TRUE(host.stack().bind(h, e));
    return h;
  }
  void datagram(unsigned from, unsigned to, const Bytes& data, const IpAddress& source = kPeer,
                const IpAddress& destination = kUs) {
    host.receive_ip(udp_packet({.source = source, .destination = destination}, from, to, data));
  }
  // The next datagram's bytes; nothing when it would block.
  std::optional<Bytes> next(Handle h, Message* message = nullptr) {
    Bytes buffer(70000);
    Message m;
    const auto n = host.stack().try_receive_from(h, buffer, m);
    if (message != nullptr) *message = m;
    if (!n || n->status != IoStatus::done) return std::nullopt;
    buffer.resize(n->count);
    return buffer;
  }
  TestHost host;
};

TEST_F(Udp, ADatagramComesAndAnAnswerGoes) {
  const Handle s = bound({kUs, Port{53}});
  EXPECT_EQ(host.stack().readiness(s), Ready::writable);
  host.receive_ip(udp_packet({.source = kPeer, .destination = kUs, .ttl = 17, .tos = 0x28}, 4000, 53, pattern(100)));
  EXPECT_EQ(host.stack().readiness(s), Ready::writable | Ready::readable);
  Message m;
  EXPECT_EQ(next(s, &m), pattern(100));
  EXPECT_EQ(m.from, (Endpoint{kPeer, Port{4000}}));
  EXPECT_EQ(m.to, (Endpoint{kUs, Port{53}}));
  EXPECT_EQ(m.interface, host.eth);
  EXPECT_EQ(m.ttl, 17);
  EXPECT_EQ(m.traffic_class, 0x28);
  EXPECT_EQ(m.full_size, 100U);
  ASSERT_TRUE(host.stack().try_send_to(s, pattern(50), m.from));
  const Decoded d = host.sent_one();
  EXPECT_EQ(d.ip_source, kUs);
  EXPECT_EQ(d.ip_destination, kPeer);
  EXPECT_EQ(d.source_port, 53U);
  EXPECT_EQ(d.destination_port, 4000U);
  EXPECT_EQ(d.payload, pattern(50));
  EXPECT_TRUE(d.checksums_ok);
  EXPECT_TRUE(d.dont_fragment);
  EXPECT_FALSE(next(s));
}

TEST_F(Udp, AnAnswerLeavesFromTheAddressThatWasAsked) {
  ASSERT_TRUE(host.stack().add_address(host.eth, {ip("10.0.0.3"), 24}));
  const Handle s = bound({IpAddress{}, Port{53}});
  datagram(4000, 53, {1}, kPeer, ip("10.0.0.3"));
  Message m;
  ASSERT_EQ(next(s, &m), Bytes{1});
  ASSERT_TRUE(host.stack().try_send_to(s, Bytes{2}, m.from));
  EXPECT_EQ(host.sent_one().ip_source, kUs) << "what the route says";
  ASSERT_TRUE(host.stack().try_send_as(s, Bytes{2}, &m.from, {.source = m.to.address, .ttl = 9, .tos = 0x2e}));
  const Decoded d = host.sent_one();
  EXPECT_EQ(d.ip_source, ip("10.0.0.3"));
  EXPECT_EQ(d.source_port, 53U);
  EXPECT_EQ(d.ttl, 9U);
  EXPECT_EQ(d.tos, 0x2eU);
  EXPECT_TRUE(d.checksums_ok);
  EXPECT_EQ(host.stack().try_send_as(s, Bytes{2}, &m.from, {.source = ip("10.0.0.4")}).error(),
            Errc::address_not_available);
  EXPECT_EQ(host.stack().try_send_as(s, Bytes{2}, &m.from, {.interface = 9}).error(), Errc::network_unreachable);
  ASSERT_TRUE(host.stack().try_send_as(s, Bytes{2}, &m.from, {.source = ip("10.0.0.255")})) << "broadcast: the route's";
  EXPECT_EQ(host.sent_one().ip_source, kUs);
  ASSERT_TRUE(host.stack().connect(s, {kPeer, Port{4000}}));
  ASSERT_TRUE(host.stack().try_send_as(s, Bytes{3}, nullptr, {.ttl = 3}));
  EXPECT_EQ(host.sent_one().ttl, 3U);
}

TEST_F(Udp, EmptyDatagramsAreDatagrams) {
  const Handle s = bound({IpAddress{}, Port{53}});
  datagram(1, 53, {});
  datagram(1, 53, {9});
  EXPECT_EQ(next(s), Bytes{});
  EXPECT_EQ(next(s), Bytes{9});
  ASSERT_TRUE(host.stack().try_send_to(s, {}, {kPeer, Port{1}}));
  EXPECT_EQ(host.sent_one().l4.size(), 8U);
}

TEST_F(Udp, PeekLeavesItAndAShortBufferTruncates) {
  const Handle s = bound({kUs, Port{53}});
  datagram(1, 53, pattern(100));
  datagram(1, 53, {7});
  Bytes small(10);
  Message m;
  for (int i = 0; i < 2; ++i) {
    const auto n = host.stack().try_receive_from(s, small, m, RecvFlags::peek).value();
    EXPECT_EQ(n.count, 10U);
    EXPECT_EQ(m.full_size, 100U);
  }
  EXPECT_EQ(host.stack().try_receive_from(s, small, m).value().count, 10U);
  EXPECT_EQ(m.full_size, 100U) << "more than was given: it was truncated";
  EXPECT_EQ(next(s), Bytes{7}) << "the rest of the first one is gone";
}

TEST_F(Udp, AConnectedSocketHearsItsPeerOnlyAndComesFirst) {
  const Handle any = bound({IpAddress{}, Port{7000}});
  (void)any;
  const Handle s = bound({kUs, Port{53}});
  ASSERT_TRUE(host.stack().set_option(s, OptionId::reuse_port, 0));
  ASSERT_TRUE(host.stack().connect(s, {kPeer, Port{4000}}));
  EXPECT_EQ(host.stack().remote_endpoint(s).value(), (Endpoint{kPeer, Port{4000}}));
  datagram(4001, 53, {1});
  datagram(4000, 53, {2}, ip("10.0.0.9"));
  datagram(4000, 53, {3});
  EXPECT_EQ(next(s), Bytes{3});
  EXPECT_FALSE(next(s));
  EXPECT_EQ(host.drops(DropReason::udp_no_socket), 2U);
  (void)host.sent();
  ASSERT_TRUE(host.stack().try_send(s, Bytes{4}));
  EXPECT_EQ(host.sent_one().destination_port, 4000U);
  // Disconnected, it hears all again.
  ASSERT_TRUE(host.stack().connect(s, {}));
  datagram(4001, 53, {5});
  EXPECT_EQ(next(s), Bytes{5});
  EXPECT_EQ(host.stack().try_send(s, Bytes{1}).error(), Errc::destination_required);
}

TEST_F(Udp, TheExactAddressWinsOverTheAnyAddress) {
  const Handle any = bound({IpAddress{}, Port{53}});
  ASSERT_EQ(host.stack().bind(socket(), {kUs, Port{53}}).error(), Errc::address_in_use);
  const Handle six = bound({ip("::1"), Port{54}});
  (void)six;
  datagram(1, 53, {1});
  datagram(1, 53, {6}, kPeer6, kUs6);
  Message m;
  EXPECT_EQ(next(any, &m), Bytes{1});
  EXPECT_EQ(m.from.address, kPeer) << "IPv4 arrives in its mapped form";
  EXPECT_EQ(next(any), Bytes{6});
}

TEST_F(Udp, V6OnlyTakesNoIpv4) {
  const Handle s = socket();
  ASSERT_TRUE(host.stack().set_option(s, OptionId::v6only, 1));
  ASSERT_TRUE(host.stack().bind(s, {IpAddress{}, Port{53}}));
  const Handle four = bound({ip("0.0.0.0"), Port{53}});
  datagram(1, 53, {4});
  datagram(1, 53, {6}, kPeer6, kUs6);
  EXPECT_EQ(next(s), Bytes{6});
  EXPECT_FALSE(next(s));
  EXPECT_EQ(next(four), Bytes{4});
}

TEST_F(Udp, SocketsThatShareAPortDivideTheFlows) {
  std::vector<Handle> members;
  for (int i = 0; i < 4; ++i) {
    members.push_back(socket());
    ASSERT_TRUE(host.stack().set_option(members.back(), OptionId::reuse_port, 1));
    ASSERT_TRUE(host.stack().bind(members.back(), {kUs, Port{53}}));
  }
  for (unsigned port = 1000; port < 1200; ++port) datagram(port, 53, {1});
  std::size_t total = 0;
  for (const Handle h : members) {
    std::size_t n = 0;
    while (next(h)) ++n;
    EXPECT_GT(n, 10U);
    total += n;
  }
  EXPECT_EQ(total, 200U);
}

TEST_F(Udp, EphemeralPortsAreFreeAndNotGuessable) {
  std::vector<unsigned> ports;
  for (int i = 0; i < 8; ++i) {
    const Handle h = socket();
    ASSERT_TRUE(host.stack().connect(h, {kPeer, Port{static_cast<std::uint16_t>(100 + i)}}));
    ports.push_back(host.stack().local_endpoint(h).value().port.value());
    EXPECT_GE(ports.back(), 32768U);
    EXPECT_LE(ports.back(), 60999U);
  }
  std::sort(ports.begin(), ports.end());
  EXPECT_EQ(std::unique(ports.begin(), ports.end()), ports.end());
  EXPECT_GT(ports.back() - ports.front(), 64U);
}

TEST_F(Udp, BindingWhatIsNotOursOrTakenIsAnError) {
  EXPECT_EQ(host.stack().bind(socket(), {kPeer, Port{1}}).error(), Errc::address_not_available);
  const Handle s = bound({kUs, Port{53}});
  EXPECT_EQ(host.stack().bind(s, {kUs, Port{54}}).error(), Errc::invalid_argument);
  EXPECT_EQ(host.stack().bind(socket(), {kUs, Port{53}}).error(), Errc::address_in_use);
  ASSERT_TRUE(host.stack().close(s));
  EXPECT_EQ(host.stack().try_send(s, Bytes{1}).error(), Errc::bad_handle);
  EXPECT_TRUE(host.stack().bind(socket(), {kUs, Port{53}}));
}

TEST_F(Udp, BroadcastNeedsPermissionAndReachesEveryone) {
  const Handle s = socket();
  EXPECT_EQ(host.stack().try_send_to(s, Bytes{1}, {ip("255.255.255.255"), Port{9}}).error(), Errc::permission_denied);
  EXPECT_EQ(host.stack().try_send_to(s, Bytes{1}, {ip("10.0.0.255"), Port{9}}).error(), Errc::permission_denied);
  ASSERT_TRUE(host.stack().set_option(s, OptionId::broadcast, 1));
  ASSERT_TRUE(host.stack().try_send_to(s, Bytes{1}, {ip("10.0.0.255"), Port{9}}));
  EXPECT_TRUE(host.sent_one().link->destination.is_broadcast());
  std::vector<Handle> listeners;
  for (int i = 0; i < 3; ++i) {
    listeners.push_back(socket());
    ASSERT_TRUE(host.stack().set_option(listeners.back(), OptionId::reuse_address, 1));
    ASSERT_TRUE(host.stack().bind(listeners.back(), {ip("0.0.0.0"), Port{67}}));
  }
  for (const char* to : {"255.255.255.255", "10.0.0.255"}) {
    host.receive(ethernet(kAllOnes, kPeerMac, udp_packet({.source = kPeer, .destination = ip(to)}, 68, 67, {5})));
    for (const Handle h : listeners) EXPECT_EQ(next(h), Bytes{5});
  }
}

TEST_F(Udp, MulticastGoesOutWithItsOwnTtlAndComesBackToMembers) {
  const IpAddress group = ip("239.1.2.3");
  const Handle receiver = bound({ip("0.0.0.0"), Port{5353}});
  const Handle sender = socket();
  ASSERT_TRUE(host.stack().try_send_to(sender, Bytes{1}, {group, Port{5353}}));
  const Decoded d = host.sent_one();
  EXPECT_EQ(d.ttl, 1U);
  EXPECT_EQ(d.link->destination, group.multicast_mac());
  host.settle();
  EXPECT_FALSE(next(receiver)) << "nobody joined";
  ASSERT_TRUE(iface::join_group(host.core(), host.eth, group));
  ASSERT_TRUE(host.stack().try_send_to(sender, Bytes{2}, {group, Port{5353}}));
  host.settle();
  EXPECT_EQ(next(receiver), Bytes{2});
  host.receive(
      ethernet(group.multicast_mac(), kPeerMac, udp_packet({.source = kPeer, .destination = group}, 1, 5353, {3})));
  EXPECT_EQ(next(receiver), Bytes{3});
  ASSERT_TRUE(host.stack().set_option(sender, OptionId::ip_multicast_loop, 0));
  ASSERT_TRUE(host.stack().set_option(sender, OptionId::ip_multicast_ttl, 9));
  (void)host.sent();
  ASSERT_TRUE(host.stack().try_send_to(sender, Bytes{4}, {group, Port{5353}}));
  EXPECT_EQ(host.sent_one().ttl, 9U);
  host.settle();
  EXPECT_FALSE(next(receiver));
}

TEST_F(Udp, ASocketOfOneInterfaceHearsOnlyThat) {
  const InterfaceId second = host.stack().add_interface({.name = "ip1", .link = LinkType::ip}).value();
  ASSERT_TRUE(host.stack().add_address(second, {ip("10.1.0.1"), 24}));
  const Handle s = bound({IpAddress{}, Port{53}});
  ASSERT_TRUE(host.stack().set_option(s, OptionId::bind_interface, second));
  datagram(1, 53, {1});
  EXPECT_FALSE(next(s));
  host.receive(udp_packet({.source = ip("10.1.0.2"), .destination = ip("10.1.0.1")}, 1, 53, {2}), second);
  EXPECT_EQ(next(s), Bytes{2});
  EXPECT_EQ(host.stack().try_send_to(s, Bytes{1}, {kPeer, Port{1}}).error(), Errc::network_unreachable);
  // Nor when it is connected: the same two endpoints may come by another link.
  ASSERT_TRUE(host.stack().connect(s, {ip("10.1.0.2"), Port{1}}));
  const Bytes forged = udp_packet({.source = ip("10.1.0.2"), .destination = ip("10.1.0.1")}, 1, 53, {3});
  host.receive_ip(forged);
  EXPECT_FALSE(next(s));
  host.receive(forged, second);
  EXPECT_EQ(next(s), Bytes{3});
}

TEST_F(Udp, APortUnreachableIsTheConnectedSocketsError) {
  const Handle s = socket();
  ASSERT_TRUE(host.stack().connect(s, {kPeer, Port{9}}));
  const unsigned port = host.stack().local_endpoint(s).value().port.value();
  const Bytes ours = udp_packet({.source = kUs, .destination = kPeer}, port, 9, {1});
  host.receive_ip(icmp_packet({.source = kPeer, .destination = kUs}, 3, 3, 0, ours));
  EXPECT_TRUE(any(host.stack().readiness(s) & Ready::error));
  EXPECT_EQ(host.stack().try_send(s, Bytes{1}).error(), Errc::connection_refused);
  EXPECT_TRUE(host.stack().try_send(s, Bytes{1})) << "told once";
  EXPECT_EQ(host.count(Counter::icmp_errors_accepted), 1U);
}

TEST_F(Udp, ClosedForReadingIsTheEndAndForWritingABrokenPipe) {
  const Handle s = socket();
  EXPECT_EQ(host.stack().shutdown(s, ShutdownHow::both).error(), Errc::not_connected);
  ASSERT_TRUE(host.stack().connect(s, {kPeer, Port{9}}));
  ASSERT_TRUE(host.stack().shutdown(s, ShutdownHow::both));
  Bytes b(10);
  EXPECT_EQ(host.stack().try_receive(s, b).value().status, IoStatus::end_of_stream);
  EXPECT_EQ(host.stack().try_send(s, b).error(), Errc::broken_pipe);
}

TEST_F(Udp, EveryAllocationMayFailAndNothingIsLostButTheDatagram) {
  const Handle s = bound({kUs, Port{53}});
  for (std::uint64_t n = 1; n < 20; ++n) {
    host.pool().fail_allocation(n, true);
    const auto sent = host.stack().try_send_to(s, Bytes(1000), {kPeer, Port{9}});
    host.pool().fail_allocation(0);
    if (!sent) {
      EXPECT_EQ(sent.error(), Errc::no_buffers);
    }
    (void)host.sent();
    if (sent) return;
  }
  FAIL() << "it never worked";
}

TEST_F(Udp, AFullTransmitQueueIsWaitedFor) {
  for (const IpAddress& to : {kPeer, ip("127.0.0.1")}) {
    const Handle s = socket();
    ASSERT_TRUE(host.stack().set_sink(s, nullptr, 0, Ready::writable));
    int sent = 0;
    while (host.stack().try_send_to(s, Bytes{1}, {to, Port{9}}).value().status == IoStatus::done) ++sent;
    EXPECT_EQ(sent, 64);
    EXPECT_EQ(host.stack().readiness(s), Ready::none);
    ReadyEvent event;
    while (host.stack().next_ready(event)) {
    }
    (void)host.sent();
    host.settle();
    (void)host.sent();
    ASSERT_TRUE(host.stack().next_ready(event));
    EXPECT_EQ(event.socket, s);
    EXPECT_EQ(event.edges, Ready::writable);
    EXPECT_EQ(host.stack().readiness(s) & Ready::writable, Ready::writable);
    EXPECT_EQ(host.stack().try_send_to(s, Bytes{1}, {to, Port{9}}).value().status, IoStatus::done);
    (void)host.sent();
  }
  EXPECT_EQ(host.drops(DropReason::interface_queue_full), 0U);
}

TEST_F(Udp, AnInterfaceThatGoesWakesThoseWhoWaitForIt) {
  const Handle s = socket();
  ASSERT_TRUE(host.stack().set_sink(s, nullptr, 0, Ready::writable));
  while (host.stack().try_send_to(s, Bytes{1}, {kPeer, Port{9}}).value().status == IoStatus::done) {
  }
  ASSERT_TRUE(host.stack().remove_interface(host.eth));
  ReadyEvent event;
  ASSERT_TRUE(host.stack().next_ready(event));
  EXPECT_EQ(host.stack().try_send_to(s, Bytes{1}, {kPeer, Port{9}}).error(), Errc::network_unreachable);
}

TEST_F(Udp, ClosingASocketThatWaitsLeavesNothingBehind) {
  const Handle a = socket();
  const Handle b = socket();
  for (const Handle s : {a, b}) {
    while (host.stack().try_send_to(s, Bytes{1}, {kPeer, Port{9}}).value().status == IoStatus::done) {
    }
  }
  ASSERT_TRUE(host.stack().close(a));
  (void)host.sent();
  EXPECT_EQ(host.stack().readiness(b) & Ready::writable, Ready::writable);
}

// --- raw and ping ----------------------------------------------------------------------------------------------------

TEST_F(Udp, RawSocketsSeeTheirProtocolAndSilenceTheError) {
  const Handle raw = host.stack().open_raw(IpVersion::v4, 200).value();
  const Handle all = host.stack().open_raw(IpVersion::v4, 0).value();
  const Bytes p = ipv4({.source = kPeer, .destination = kUs, .protocol = 200}, pattern(30));
  host.receive_ip(p);
  EXPECT_EQ(next(raw), p) << "IPv4 with its header";
  EXPECT_EQ(next(all), p);
  EXPECT_TRUE(host.sent().empty()) << "somebody took it";
  host.receive_ip(ipv4({.source = kPeer, .destination = kUs, .protocol = 201}, pattern(30)));
  EXPECT_EQ(host.sent_one().icmp_code, 2U) << "a socket for everything only listens";
  EXPECT_TRUE(next(all));
  EXPECT_FALSE(next(raw));
  ASSERT_TRUE(host.stack().try_send_to(raw, pattern(12), {kPeer, Port{}}));
  const Decoded d = host.sent_one();
  EXPECT_EQ(d.protocol, 200U);
  EXPECT_EQ(d.l4, pattern(12));
  ASSERT_TRUE(host.stack().close(raw));
  host.receive_ip(p);
  EXPECT_EQ(host.sent_one().icmp_code, 2U);
}

TEST_F(Udp, RawSocketsOverIpv6GetThePayloadAndAnIcmpChecksum) {
  const Handle raw = host.stack().open_raw(IpVersion::v6, 58).value();
  const Bytes p = echo_request({.source = kPeer6, .destination = kUs6}, 1, 2, {3});
  host.receive_ip(p);
  EXPECT_EQ(next(raw), Bytes(p.begin() + 40, p.end()));
  EXPECT_EQ(host.sent_one().icmp_type, 129U) << "the stack answers as well";
  ASSERT_TRUE(host.stack().try_send_to(raw, Bytes{128, 0, 0, 0, 0, 1, 0, 2, 9}, {kPeer6, Port{}}));
  const Decoded d = host.sent_one();
  EXPECT_EQ(d.icmp_type, 128U);
  EXPECT_TRUE(d.checksums_ok);
}

TEST_F(Udp, PingSocketsHearTheirOwnEchoes) {
  for (const IpAddress& peer : {kPeer, kPeer6}) {
    const bool v4 = peer.is_v4();
    const Handle a = host.stack().open_icmp().value();
    const Handle b = host.stack().open_icmp().value();
    const Bytes request{static_cast<std::uint8_t>(v4 ? 8 : 128), 0, 0, 0, 0, 0, 0, 5, 'h', 'i'};
    ASSERT_TRUE(host.stack().try_send_to(a, request, {peer, Port{}}));
    ASSERT_TRUE(host.stack().try_send_to(b, request, {peer, Port{}}));
    const auto sent = host.sent_decoded();
    ASSERT_EQ(sent.size(), 2U);
    EXPECT_TRUE(sent[0].checksums_ok);
    EXPECT_NE(sent[0].icmp_rest >> 16, sent[1].icmp_rest >> 16);
    const Bytes reply =
        echo_reply({.source = peer, .destination = v4 ? kUs : kUs6}, sent[1].icmp_rest >> 16, 5, {'h', 'i'});
    host.receive_ip(reply);
    EXPECT_FALSE(next(a));
    EXPECT_EQ(next(b), Bytes(reply.begin() + (v4 ? 20 : 40), reply.end()));
    EXPECT_EQ(host.stack().try_send_to(a, Bytes{0, 0, 0, 0, 0, 0, 0, 0}, {peer, Port{}}).error(),
              Errc::invalid_argument);
    EXPECT_TRUE(host.stack().close(a));
    EXPECT_TRUE(host.stack().close(b));
  }
  host.receive_ip(echo_reply({.source = kPeer, .destination = kUs}, 4711, 1, {}));
  EXPECT_EQ(host.drops(DropReason::icmp_ignored), 1U);
}

// --- U1 to U7 --------------------------------------------------------------------------------------------------------

TEST(U1_EchoToManyStations, IsNotAnsweredByDefault) {
  TestHost host;
  host.resolve();
  host.resolve(kPeer6);
  const auto ask = [&] {
    for (const char* to : {"10.0.0.255", "255.255.255.255", "224.0.0.1"}) {
      const IpAddress a = ip(to);
      host.receive(ethernet(a.is_multicast() ? a.multicast_mac() : kAllOnes, kPeerMac,
                            echo_request({.source = kPeer, .destination = a}, 1, 1, {})));
    }
    const IpAddress all = ip("ff02::1");
    host.receive(
        ethernet(all.multicast_mac(), kPeerMac, echo_request({.source = kPeer6, .destination = all}, 1, 1, {7})));
  };
  ask();
  EXPECT_TRUE(host.sent().empty());
  EXPECT_EQ(host.drops(DropReason::icmp_ignored), 4U);
  ASSERT_TRUE(host.stack().set_option(OptionId::icmp_echo_broadcast, 1));
  ask();
  const auto replies = host.sent_decoded();
  ASSERT_EQ(replies.size(), 4U);
  for (const Decoded& d : replies) {
    EXPECT_EQ(d.ip_source, d.version == 4 ? kUs : kUs6);
    EXPECT_TRUE(d.checksums_ok);
  }
}

TEST(U2_ClosedPorts, ErrorsAreLimitedInAllAndPerDestination) {
  TestHost host;
  ASSERT_TRUE(host.stack().set_option(OptionId::icmp_rate, 100));
  ASSERT_TRUE(host.stack().set_option(OptionId::icmp_burst, 50));
  std::vector<IpAddress> peers;
  for (std::uint8_t i = 0; i < 40; ++i) {
    peers.push_back(IpAddress::v4(10, 0, 0, static_cast<std::uint8_t>(100 + i)));
    host.resolve(peers.back());
  }
  // One destination at line rate: its own limit.
  for (int i = 0; i < 10'000; ++i) host.receive_ip(udp_packet({.source = peers[0], .destination = kUs}, 1, 9, {}));
  EXPECT_EQ(host.sent().size(), 10U);
  // Many: what all share.
  for (int i = 0; i < 1000; ++i) {
    host.receive_ip(udp_packet({.source = peers[static_cast<std::size_t>(i) % 40], .destination = kUs}, 1, 9, {}));
  }
  EXPECT_LE(host.sent().size(), 40U);
  EXPECT_EQ(host.drops(DropReason::udp_no_socket), 11'000U);
  EXPECT_EQ(host.count(Counter::icmp_errors_sent) + host.drops(DropReason::icmp_rate_limited), 11'000U);
  // Time fills the buckets again.
  host.advance(Duration::s(2));
  host.receive_ip(udp_packet({.source = peers[0], .destination = kUs}, 1, 9, pattern(1000)));
  const Decoded error = host.sent_one();
  EXPECT_EQ(error.icmp_type, 3U);
  EXPECT_EQ(error.icmp_code, 3U);
  EXPECT_LE(error.ip.size(), 576U);  // RFC 1812 4.3.2.3
  EXPECT_TRUE(error.checksums_ok);
  ASSERT_TRUE(host.stack().set_option(OptionId::icmp_rate, 0));
  host.advance(Duration::s(2));
  host.receive_ip(udp_packet({.source = peers[0], .destination = kUs}, 1, 9, {}));
  EXPECT_TRUE(host.sent().empty());
}

TEST(U3_ErrorsAboutWhatWeNeverSent, AreIgnored) {
  TestHost host;
  const Handle s = host.stack().open_udp().value();
  ASSERT_TRUE(host.stack().bind(s, {kUs, Port{53}}));
  const Ip h{.source = ip("10.0.0.254"), .destination = kUs};
  // Another host's packet, our packet to somebody that the socket never spoke to, and nothing recognisable at all.
  host.receive_ip(icmp_packet(h, 3, 3, 0, udp_packet({.source = ip("10.0.0.7"), .destination = kPeer}, 53, 9, {})));
  host.receive_ip(icmp_packet(h, 3, 3, 0, udp_packet({.source = kUs, .destination = kPeer}, 53, 9, {})));
  host.receive_ip(icmp_packet(h, 3, 3, 0, {1, 2, 3}));
  host.receive_ip(icmp_packet(h, 3, 3, 0, tcp_packet({.source = kUs, .destination = kPeer}, {})));
  // What goes from us to ourselves is on no wire, and no router speaks of it.
  const Handle own = host.stack().open_udp().value();
  ASSERT_TRUE(host.stack().bind(own, {ip("127.0.0.1"), Port{7}}));
  ASSERT_TRUE(host.stack().connect(own, {ip("127.0.0.1"), Port{8}}));
  host.receive_ip(
      icmp_packet(h, 3, 3, 0, udp_packet({.source = ip("127.0.0.1"), .destination = ip("127.0.0.1")}, 7, 8, {})));
  EXPECT_EQ(host.stack().readiness(own), Ready::writable);
  EXPECT_EQ(host.count(Counter::icmp_errors_accepted), 0U);
  EXPECT_EQ(host.stack().readiness(s), Ready::writable);
  EXPECT_TRUE(host.sent().empty());
}

TEST(U4_SourceQuenchAndUnknownErrors, QuenchIsIgnoredAndUnknownTypesPassedUp) {
  TestHost host;
  host.resolve();
  host.resolve(kPeer6);
  const Handle four = host.stack().open_udp().value();
  const Handle six = host.stack().open_udp().value();
  ASSERT_TRUE(host.stack().connect(four, {kPeer, Port{9}}));
  ASSERT_TRUE(host.stack().connect(six, {kPeer6, Port{9}}));
  const Bytes ours4 =
      udp_packet({.source = kUs, .destination = kPeer}, host.stack().local_endpoint(four)->port.value(), 9, {});
  const Bytes ours6 =
      udp_packet({.source = kUs6, .destination = kPeer6}, host.stack().local_endpoint(six)->port.value(), 9, {});
  host.receive_ip(icmp_packet({.source = kPeer, .destination = kUs}, 4, 0, 0, ours4));
  EXPECT_FALSE(host.stack().take_error(four));
  EXPECT_EQ(host.drops(DropReason::icmp_ignored), 1U);
  // RFC 4443 2.4 (a): an unknown error type is passed to the upper layer; (b): an unknown question is not.
  host.receive_ip(icmp_packet({.source = kPeer6, .destination = kUs6}, 100, 0, 0, ours6));
  EXPECT_EQ(host.stack().take_error(six), Errc::protocol_error);
  host.receive_ip(icmp_packet({.source = kPeer6, .destination = kUs6}, 200, 0, 0, ours6));
  EXPECT_FALSE(host.stack().take_error(six));
  EXPECT_TRUE(host.sent().empty());
}

TEST(U6_DamagedDatagrams, AreDropped) {
  TestHost host;
  host.resolve();
  const Handle s = host.stack().open_udp().value();
  ASSERT_TRUE(host.stack().bind(s, {IpAddress{}, Port{53}}));
  const Ip h{.source = kPeer, .destination = kUs, .protocol = 17};
  const Ip h6{.source = kPeer6, .destination = kUs6, .protocol = 17};
  std::uint64_t expected = 0;
  const auto refused = [&](const Bytes& p, const char* what) {
    host.receive_ip(p);
    EXPECT_EQ(host.drops(DropReason::udp_malformed), ++expected) << what;
  };
  for (std::size_t n = 0; n < 8; ++n) refused(ipv4(h, Bytes(n)), "shorter than its header");
  Bytes d = udp(h, 1, 53, {1, 2, 3});
  put16(d, 4, 7);
  refused(ipv4(h, d), "length below 8");
  put16(d, 4, 12);
  refused(ipv4(h, d), "length beyond the packet");
  d = udp(h, 1, 53, {1, 2, 3});
  put8(d, 8, 9);
  refused(ipv4(h, d), "bad checksum");
  d = udp(h6, 1, 53, {1});
  put16(d, 6, 0);
  refused(ipv6(h6, d), "no checksum over IPv6");
  // Over IPv4 zero means that there is none, and bytes behind the datagram are not its own.
  d = udp(h, 1, 53, {1, 2, 3});
  put16(d, 6, 0);
  host.receive_ip(ipv4(h, d));
  host.receive_ip(ipv4(h, udp(h, 1, 53, {4, 5}) + Bytes{0xee, 0xee}));
  Bytes buffer(10);
  EXPECT_EQ(host.stack().try_receive(s, buffer).value().count, 3U);
  EXPECT_EQ(host.stack().try_receive(s, buffer).value().count, 2U);
  EXPECT_TRUE(host.sent().empty());
}

TEST(U7_SocketNeverRead, CannotStarveThePool) {
  TestHost host;
  host.resolve();
  std::vector<Handle> sockets;
  const Handle lazy = host.stack().open_udp().value();
  ASSERT_TRUE(host.stack().bind(lazy, {kUs, Port{53}}));
  ASSERT_TRUE(host.stack().set_option(lazy, OptionId::receive_buffer, 1 << 30));
  const auto before = std::array{host.pool().packets_free(), host.pool().chunks_free(ChunkClass::small),
                                 host.pool().chunks_free(ChunkClass::normal)};
  for (const std::size_t size : {1400U, 1U}) {
    for (int i = 0; i < 2000; ++i)
      host.receive_ip(udp_packet({.source = kPeer, .destination = kUs}, 1, 53, Bytes(size)));
  }
  EXPECT_GT(host.drops(DropReason::udp_receive_full), 3000U);
  EXPECT_GE(host.pool().packets_free(), before[0] * 3 / 4);
  EXPECT_GE(host.pool().chunks_free(ChunkClass::small), before[1] * 3 / 4);
  EXPECT_GE(host.pool().chunks_free(ChunkClass::normal), before[2] * 3 / 4);
  // Everybody else goes on.
  const Handle other = host.stack().open_udp().value();
  ASSERT_TRUE(host.stack().bind(other, {kUs, Port{54}}));
  host.receive_ip(udp_packet({.source = kPeer, .destination = kUs}, 1, 54, Bytes(1400)));
  Bytes buffer(1500);
  EXPECT_EQ(host.stack().try_receive(other, buffer).value().count, 1400U);
}

TEST(U7_SocketNeverRead, TheReceiveBufferCountsTrueSize) {
  TestHost host;
  const Handle s = host.stack().open_udp().value();
  ASSERT_TRUE(host.stack().bind(s, {kUs, Port{53}}));
  ASSERT_TRUE(host.stack().set_option(s, OptionId::receive_buffer, 2048));
  // One-byte datagrams are moved into small chunks of 256 bytes: eight of them are the budget.
  for (int i = 0; i < 100; ++i) host.receive_ip(udp_packet({.source = kPeer, .destination = kUs}, 1, 53, {1}));
  EXPECT_EQ(host.count(Counter::udp_received), 8U);
  EXPECT_EQ(host.drops(DropReason::udp_receive_full), 92U);
  Bytes buffer(10);
  EXPECT_EQ(host.stack().try_receive(s, buffer).value().count, 1U);
  host.receive_ip(udp_packet({.source = kPeer, .destination = kUs}, 1, 53, {1}));
  EXPECT_EQ(host.count(Counter::udp_received), 9U);
}

}  // namespace
}  // namespace leat::test
