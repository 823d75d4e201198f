// Neighbour unreachability detection (RFC 4861 7.3), the same for ARP and NDP, and interfaces that go away.

#include <leat/core/iface/link.hpp>
#include <tests/support/test_host.hpp>

namespace leat::test {
namespace {

using iface::NeighborState;

class Nud : public testing::TestWithParam<bool> {
 protected:
  [[nodiscard]] IpAddress us() const { return GetParam() ? kUs6 : kUs; }
  [[nodiscard]] IpAddress peer() const { return GetParam() ? kPeer6 : kPeer; }
  const iface::Neighbor& entry() {
    const Index i = host.core().iface.neighbors.find(host.eth, peer());
    EXPECT_NE(i, kNoIndex);
    return host.core().iface.neighbors[i];
  }
  void ping() { host.receive_ip(echo_request({.source = peer(), .destination = us()}, 1, 1, {})); }
  static bool is_question(const Decoded& d) {
    return d.arp ? d.arp->operation == wire::ArpOperation::request : d.icmp_type == 135;
  }
  TestHost host;
};
INSTANTIATE_TEST_SUITE_P(, Nud, testing::Bool(), [](const auto& p) { return p.param ? "Ndp" : "Arp"; });

TEST_P(Nud, ReachableGoesStaleDelayProbeAndIsForgotten) {
  host.resolve(peer());
  EXPECT_EQ(entry().state, NeighborState::reachable);
  host.advance(Duration::s(60));  // more than 1.5 times the reachable time
  ping();
  EXPECT_EQ(entry().state, NeighborState::delay);
  EXPECT_EQ(host.sent_one().link->destination, kPeerMac) << "a packet to a stale neighbour is not held back";
  // Nobody confirms: after 5 s it is asked, three times, itself and not the whole link.
  host.advance(Duration::ms(4999));
  EXPECT_TRUE(host.sent().empty());
  host.advance(Duration::ms(1));
  EXPECT_EQ(entry().state, NeighborState::probe);
  Decoded question = host.sent_one();
  EXPECT_TRUE(is_question(question));
  EXPECT_EQ(question.link->destination, kPeerMac);
  host.advance(Duration::s(2));
  EXPECT_EQ(host.sent().size(), 2U);
  ping();
  EXPECT_EQ(host.sent_one().link->destination, kPeerMac);
  host.advance(Duration::s(1));
  EXPECT_EQ(host.core().iface.neighbors.used(), 0U);
  ping();
  question = host.sent_one();
  EXPECT_TRUE(is_question(question));
  EXPECT_TRUE(question.link->destination.is_multicast());
}

TEST_P(Nud, AsksAsOftenAsTheOptionSays) {
  for (const unsigned probes : {1U, 5U}) {
    SCOPED_TRACE(probes);
    ASSERT_TRUE(host.stack().set_option(OptionId::neighbor_probes, probes));
    const std::uint64_t before = host.drops(DropReason::neighbor_unreachable);
    ping();
    host.advance(Duration::ms(1000 * probes - 1));
    const auto questions = host.sent_decoded();
    EXPECT_EQ(questions.size(), probes);
    for (const Decoded& d : questions) EXPECT_TRUE(is_question(d));
    EXPECT_EQ(host.core().iface.neighbors.used(), 1U);
    host.advance(Duration::ms(1));
    EXPECT_EQ(host.core().iface.neighbors.used(), 0U);
    EXPECT_EQ(host.drops(DropReason::neighbor_unreachable), before + 1);
    host.advance(Duration::s(10));
    EXPECT_TRUE(host.sent().empty());
  }
}

TEST_P(Nud, AnAnswerToTheProbeConfirms) {
  host.resolve(peer());
  host.advance(Duration::s(60));
  ping();
  host.advance(Duration::s(5));
  EXPECT_EQ(entry().state, NeighborState::probe);
  host.resolve(peer());
  EXPECT_EQ(entry().state, NeighborState::reachable);
  EXPECT_TRUE(host.stack().next_deadline().is_never());
}

TEST_P(Nud, UpperLayersConfirmSoThatNobodyNeedsToAsk) {
  host.resolve(peer());
  const auto path = ip::find_path(host.core(), peer(), {});
  ASSERT_TRUE(path);
  std::vector<Decoded> all;
  for (int i = 0; i < 100; ++i) {
    host.advance(Duration::s(10));
    Packet p = host.core().pool.allocate(ChunkClass::normal);
    (void)p.append(10);
    ASSERT_EQ(ip::send(host.core(), std::move(p), {.source = us(), .destination = peer(), .protocol = 99}, *path),
              ip::SendStatus::sent);
    ip::confirm_reachable(host.core(), *path);
    for (Decoded& d : host.sent_decoded()) all.push_back(std::move(d));
  }
  EXPECT_EQ(all.size(), 100U);
  for (const Decoded& d : all) EXPECT_FALSE(is_question(d));
}

// RFC 9293 3.8.3, RFC 1122 3.3.1.4: the peer has another link address, and tells nobody. Its entry would be good for up
// to 45 s, and be asked after 5 s more: the third time-out asks at once, and the fourth finds the peer.
TEST_P(Nud, TimeOutsOfAConnectionAskAfterTheNextHop) {
  host.resolve(peer());
  const Handle h = host.stack().open_stream().value();
  ASSERT_TRUE(host.stack().connect(h, {peer(), Port{80}}));
  const auto count = [&](bool questions, const MacAddress& to) {
    const auto all = host.sent_decoded();
    return std::ranges::count_if(
        all, [&](const Decoded& d) { return is_question(d) == questions && d.link->destination == to; });
  };
  EXPECT_EQ(count(false, kPeerMac), 1) << "the SYN";
  host.advance(Duration::ms(6900));  // and two of its copies, after 1 s and 3 s
  EXPECT_EQ(entry().state, NeighborState::reachable);
  (void)host.sent();
  host.advance(Duration::ms(200));
  EXPECT_EQ(entry().state, NeighborState::probe);
  EXPECT_EQ(count(true, kPeerMac), 1);
  host.advance(Duration::s(3));
  EXPECT_EQ(host.core().iface.neighbors.used(), 0U) << "nobody answers there";
  (void)host.sent();
  host.advance(Duration::s(5));
  const auto all = host.sent_decoded();
  ASSERT_FALSE(all.empty());
  EXPECT_TRUE(is_question(all[0]));
  EXPECT_TRUE(all[0].link->destination.is_multicast()) << "everybody is asked";
  ASSERT_TRUE(host.stack().close(h));
}

// RFC 4861 7.3.1: many connections through one next hop, to hosts behind it that are gone. Each doubts it with its
// third time-out, and it answers at once: that answer is for all of them, for as long as nobody probes a neighbour
// anyway.
TEST_P(Nud, ManyWhoDoubtAskOnce) {
  host.resolve(peer());
  std::vector<Handle> all;
  for (unsigned i = 0; i < 8; ++i) {
    all.push_back(host.stack().open_stream().value());
    ASSERT_TRUE(host.stack().connect(all.back(), {peer(), Port{static_cast<std::uint16_t>(80 + i)}}));
    host.advance(Duration::ms(100));
  }
  (void)host.sent();
  const auto asked_for = [&](Duration time) {
    unsigned questions = 0;
    for (const Instant end = host.now() + time; host.now() < end; host.advance(Duration::ms(10))) {
      for (const Decoded& d : host.sent_decoded()) {
        if (!is_question(d)) continue;
        ++questions;
        host.resolve(peer());
      }
    }
    return questions;
  };
  EXPECT_EQ(asked_for(Duration::s(8)), 1U) << "the third time-outs, after 7 s";
  EXPECT_EQ(asked_for(Duration::s(8)), 1U) << "the fourth, after 15 s";
  for (const Handle h : all) ASSERT_TRUE(host.stack().close(h));
}

// Who answers is left alone, and doubts about one who is being asked change nothing.
TEST_P(Nud, DoubtIsOverWithTheAnswer) {
  host.resolve(peer());
  const auto path = ip::find_path(host.core(), peer(), {});
  ASSERT_TRUE(path);
  ping();
  (void)host.sent();
  iface::doubt_neighbor(host.core(), host.core().iface.neighbors.find(host.eth, peer()));
  EXPECT_TRUE(is_question(host.sent_one()));
  host.advance(Duration::ms(900));
  iface::doubt_neighbor(host.core(), host.core().iface.neighbors.find(host.eth, peer()));
  EXPECT_TRUE(host.sent().empty());
  host.resolve(peer());
  EXPECT_EQ(entry().state, NeighborState::reachable);
  host.advance(Duration::s(10));
  EXPECT_TRUE(host.sent().empty());
}

TEST_P(Nud, AnOverrideChangesTheAddressAndDoubtOnlyMakesStale) {
  host.resolve(peer());
  const MacAddress other = mac("02:00:00:00:00:55");
  iface::neighbor_advertised(host.core(), host.eth, peer(), {.mac = other, .override_cache = false});
  EXPECT_EQ(entry().mac, kPeerMac);
  EXPECT_EQ(entry().state, NeighborState::stale);
  iface::neighbor_advertised(host.core(), host.eth, peer(), {.mac = other, .override_cache = true});
  EXPECT_EQ(entry().mac, other);
  EXPECT_EQ(entry().state, NeighborState::stale);
  iface::neighbor_advertised(host.core(), host.eth, peer(), {.mac = other, .solicited = true});
  EXPECT_EQ(entry().state, NeighborState::reachable);
}

TEST(Interfaces, RemovedInMidTrafficTheyGiveEverythingBack) {
  TestHost host;
  host.resolve();
  const auto path = ip::find_path(host.core(), kPeer, {});
  ASSERT_TRUE(path);
  host.receive_ip(echo_request({.source = kPeer, .destination = kUs}, 1, 1, {}));           // in the queue
  host.receive_ip(echo_request({.source = ip("10.0.0.9"), .destination = kUs}, 1, 1, {}));  // waits for a neighbour
  const std::uint32_t epoch = host.core().route_epoch;
  ASSERT_TRUE(host.stack().remove_interface(host.eth));
  EXPECT_EQ(host.drops(DropReason::interface_down), 3U);  // the question as well
  EXPECT_NE(host.core().route_epoch, epoch);
  EXPECT_TRUE(host.pool().all_free());
  // A path that was found before does not lead anywhere, even when another interface has its number.
  host.eth = host.stack().add_interface({.name = "eth1", .link = LinkType::ethernet, .mac = kOurMac}).value();
  EXPECT_EQ(host.eth, path->interface);
  Packet p = host.core().pool.allocate(ChunkClass::small, 64);
  (void)p.append(8);
  EXPECT_EQ(ip::send(host.core(), std::move(p), {.source = kUs, .destination = kPeer, .protocol = 17}, *path),
            ip::SendStatus::dropped);
  EXPECT_EQ(host.drops(DropReason::ip_no_route), 1U);
  EXPECT_EQ(ip::find_path(host.core(), kPeer, {}).error(), Errc::network_unreachable);
}

TEST(Interfaces, DownMeansNothingInAndNothingOut) {
  TestHost host;
  host.resolve();
  host.receive_ip(echo_request({.source = kPeer, .destination = kUs}, 1, 1, {}));
  ASSERT_TRUE(host.stack().set_interface_up(host.eth, false));
  EXPECT_FALSE(host.stack().has_output(host.eth));
  host.receive_ip(echo_request({.source = kPeer, .destination = kUs}, 1, 1, {}));
  EXPECT_EQ(host.drops(DropReason::interface_down), 2U);
  EXPECT_EQ(ip::find_path(host.core(), kPeer, {}).error(), Errc::network_unreachable);
  ASSERT_TRUE(host.stack().set_interface_up(host.eth, true));
  host.resolve();
  host.receive_ip(echo_request({.source = kPeer, .destination = kUs}, 1, 1, {}));
  EXPECT_EQ(host.sent_one().icmp_type, 0U);
}

TEST(Interfaces, TheTransmitQueueIsBoundedButQuestionsStillGoOut) {
  TestHost host;
  host.resolve();
  for (int i = 0; i < 200; ++i) host.receive_ip(echo_request({.source = kPeer, .destination = kUs}, 1, 1, {}));
  EXPECT_EQ(host.drops(DropReason::interface_queue_full), 200U - 64U);
  host.receive_ip(echo_request({.source = ip("10.0.0.9"), .destination = kUs}, 1, 1, {}));
  const auto all = host.sent_decoded();
  ASSERT_EQ(all.size(), 65U);
  EXPECT_TRUE(all.back().arp);
}

TEST(Interfaces, BadConfigurationIsAnError) {
  TestHost host;
  Stack& s = host.stack();
  EXPECT_EQ(s.add_interface({.name = "eth0", .link = LinkType::ip}).error(), Errc::already_exists);
  EXPECT_EQ(s.add_interface({.name = "x", .link = LinkType::ip, .mtu = 67}).error(), Errc::invalid_argument);
  EXPECT_EQ(s.add_interface({.name = "a name that is too long", .link = LinkType::ip}).error(), Errc::invalid_argument);
  EXPECT_EQ(s.set_interface_mtu(host.eth, 1279).error(), Errc::invalid_argument) << "it has an IPv6 address";
  EXPECT_EQ(s.set_interface_mtu(9, 1500).error(), Errc::not_found);
  EXPECT_EQ(s.add_address(host.eth, {kUs, 24}).error(), Errc::already_exists);
  EXPECT_EQ(s.add_address(host.eth, {ip("224.0.0.5"), 24}).error(), Errc::invalid_argument);
  EXPECT_EQ(s.add_address(host.eth, {ip("10.0.0.5"), 33}).error(), Errc::invalid_argument);
  EXPECT_EQ(s.remove_address(host.eth, kPeer).error(), Errc::not_found);
  EXPECT_EQ(s.add_route({.destination = {ip("0.0.0.0"), 0}, .gateway = ip("192.0.2.1")}).error(),
            Errc::network_unreachable);
  EXPECT_EQ(s.add_route({.destination = {ip("0.0.0.0"), 0}, .gateway = kUs}).error(), Errc::invalid_argument);
  EXPECT_EQ(s.remove_route({ip("0.0.0.0"), 0}, kPeer).error(), Errc::not_found);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(s.add_interface({.link = LinkType::ip}));
  EXPECT_EQ(s.add_interface({.link = LinkType::ip}).error(), Errc::no_memory);
}

}  // namespace
}  // namespace leat::test
