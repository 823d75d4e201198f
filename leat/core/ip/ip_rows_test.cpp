// Rows I1 to I11 and I17 to I21 of docs/attack-checklist.md.

#include <leat/wire/ipv6_ext.hpp>
#include <set>
#include <tests/support/test_host.hpp>

namespace leat::test {
namespace {

Bytes ping4(const Ip& h = {.source = kPeer, .destination = kUs}) {
  return echo_request(h, 1, 1, pattern(20));
}
Bytes ping6(const Ip& h = {.source = kPeer6, .destination = kUs6}) {
  return echo_request(h, 1, 1, pattern(20));
}
TestHost& ready(TestHost& host) {
  host.resolve();
  host.resolve(kPeer6);
  return host;
}
// An IPv6 packet to us with these extension headers (each begins with a byte for the next header, which is filled in).
struct Extension {
  unsigned type;
  Bytes bytes;
};
Bytes with_extensions(std::vector<Extension> chain, unsigned protocol, const Bytes& payload,
                      Ip h = {.source = kPeer6, .destination = kUs6}) {
  Bytes all;
  for (std::size_t i = 0; i < chain.size(); ++i) {
    chain[i].bytes.at(0) = static_cast<std::uint8_t>(i + 1 < chain.size() ? chain[i + 1].type : protocol);
    all = all + chain[i].bytes;
  }
  h.protocol = chain.empty() ? protocol : chain[0].type;
  return ipv6(h, all + payload);
}
// The ICMPv6 message of an echo request, its checksum for the usual addresses.
Bytes echo6(const IpAddress& to = kUs6) {
  const Bytes p = ping6({.source = kPeer6, .destination = to});
  return {p.begin() + 40, p.end()};
}
constexpr unsigned kHopByHop = 0, kFragment = 44, kDestination = 60, kIcmp6 = 58;
Bytes options_header(const Bytes& options) {  // padded to a multiple of 8
  Bytes b = Bytes{0, 0} + options;
  if (b.size() % 8 == 7) {
    b.push_back(0);  // Pad1
  } else if (b.size() % 8 != 0) {
    const std::size_t pad = 8 - b.size() % 8;
    b.push_back(1);
    b.push_back(static_cast<std::uint8_t>(pad - 2));
    b.resize(b.size() + pad - 2, 0);
  }
  b[1] = static_cast<std::uint8_t>(b.size() / 8 - 1);
  return b;
}
Bytes fragment_header(unsigned offset, bool more, std::uint32_t id = 7) {
  Bytes b(8, 0);
  put16(b, 2, offset | (more ? 1U : 0U));
  put32(b, 4, id);
  return b;
}

// --- I1 --------------------------------------------------------------------------------------------------------------

TEST(I1_HeaderLengths, ImpossibleOnesAreDropped) {
  TestHost host;
  ready(host);
  std::uint64_t expected = 0;
  const auto refused = [&](Bytes p, const char* what, bool fix = true) {
    if (fix && (p[0] & 15) >= 5) fix_ipv4(p);
    host.receive_ip(p);
    EXPECT_EQ(host.drops(DropReason::ip_malformed), ++expected) << what;
  };
  for (const unsigned ihl : {0U, 1U, 4U}) {
    Bytes p = ping4();
    put8(p, 0, 0x40 | ihl);
    refused(p, "IHL < 5");
  }
  Bytes p = ipv4({.source = kPeer, .destination = kUs, .protocol = 1}, {});
  put8(p, 0, 0x4f);
  refused(p, "IHL beyond the packet", false);
  p = ping4();
  put16(p, 2, static_cast<unsigned>(p.size() + 1));
  refused(p, "total length beyond the frame");
  p = ping4();
  put16(p, 2, 19);
  refused(p, "total length below the header");
  p = ping4();
  put8(p, 0, 0x65);
  host.receive(ethernet(kOurMac, kPeerMac, p, 0x0800));
  EXPECT_EQ(host.drops(DropReason::ip_malformed), ++expected) << "version 6 under IPv4's type";
  host.receive(ethernet(kOurMac, kPeerMac, ping4(), 0x86dd));
  EXPECT_EQ(host.drops(DropReason::ip_malformed), ++expected) << "version 4 under IPv6's type";
  p = ping6();
  put16(p, 4, static_cast<unsigned>(p.size() - 39));
  refused(p, "IPv6 payload length beyond the frame", false);
  p = ping6();
  p.resize(39);
  host.receive(ethernet(kOurMac, kPeerMac, p, 0x86dd));
  EXPECT_EQ(host.drops(DropReason::ip_malformed), ++expected) << "cut short";
  EXPECT_TRUE(host.sent().empty());
}

// --- I2 --------------------------------------------------------------------------------------------------------------

TEST(I2_HeaderChecksum, IsVerifiedWhateverTheDeviceSaidOfTheTransport) {
  TestHost host;
  ready(host);
  Bytes p = ping4();
  put8(p, 8, 63);  // TTL, without fixing the checksum
  host.receive_ip(p);
  EXPECT_EQ(host.drops(DropReason::ip_bad_checksum), 1U);
  Packet flagged = host.packet(ethernet(kOurMac, kPeerMac, p));
  flagged.meta().checksum = ChecksumState::verified;
  host.receive(std::move(flagged));
  EXPECT_EQ(host.drops(DropReason::ip_bad_checksum), 2U);
  EXPECT_TRUE(host.sent().empty());
}

TEST(I2_HeaderChecksum, TheTransportsChecksumIsTrustedOnlyWithTheFlag) {
  TestHost host;
  ready(host);
  const Handle s = host.stack().open_udp().value();
  ASSERT_TRUE(host.stack().bind(s, {kUs, Port{9}}));
  Bytes p = udp_packet({.source = kPeer, .destination = kUs}, 1000, 9, {1, 2});
  put8(p, p.size() - 1, 3);
  host.receive_ip(p);
  EXPECT_EQ(host.drops(DropReason::udp_malformed), 1U);
  Packet flagged = host.packet(ethernet(kOurMac, kPeerMac, p));
  flagged.meta().checksum = ChecksumState::verified;
  host.receive(std::move(flagged));
  EXPECT_EQ(host.count(Counter::udp_received), 1U);
}

TEST(I2_HeaderChecksum, OfTcpToo) {
  for (const bool v6 : {false, true}) {
    SCOPED_TRACE(v6 ? "IPv6" : "IPv4");
    TestHost host;
    ready(host);
    const std::size_t tcp = v6 ? 40 : 20;
    const Bytes good = tcp_packet({.source = v6 ? kPeer6 : kPeer, .destination = v6 ? kUs6 : kUs}, Tcp{.to = 81});
    std::uint64_t malformed = 0;
    for (const unsigned words : {0U, 4U, 15U}) {  // less than a header, and more than the segment
      Bytes p = good;
      put8(p, tcp + 12, words << 4);
      host.receive_ip(p);
      EXPECT_EQ(host.drops(DropReason::tcp_malformed), ++malformed) << words;
    }
    Bytes p = good;
    put8(p, tcp + 15, p[tcp + 15] ^ 1U);  // the window
    host.receive_ip(p);
    EXPECT_EQ(host.drops(DropReason::tcp_bad_checksum), 1U);
    EXPECT_TRUE(host.sent().empty());
    Packet flagged = host.packet(ethernet(kOurMac, kPeerMac, p));
    flagged.meta().checksum = ChecksumState::verified;
    host.receive(std::move(flagged));
    const Decoded reset = host.sent_one();
    ASSERT_EQ(reset.l4.size(), 20U);
    EXPECT_EQ(reset.l4[13] & 4, 4) << "the closed port's RST";
    EXPECT_EQ(host.drops(DropReason::tcp_bad_checksum), 1U);
  }
}

// --- I3 --------------------------------------------------------------------------------------------------------------

TEST(I3_ImpossibleSources, AreDroppedFromTheWire) {
  TestHost host;
  ready(host);
  std::uint64_t expected = 0;
  for (const char* source : {"127.0.0.1", "0.0.0.0", "0.1.2.3", "240.0.0.1", "255.255.255.255", "224.0.0.1",
                             "239.1.1.1", "10.0.0.1", "10.0.0.255", "10.0.0.0"}) {
    host.receive_ip(ping4({.source = ip(source), .destination = kUs}));
    EXPECT_EQ(host.drops(DropReason::ip_bad_source), ++expected) << source;
  }
  for (const char* source : {"::1", "::", "ff02::1", "fd00::1"}) {
    host.receive_ip(ping6({.source = ip(source), .destination = kUs6}));
    EXPECT_EQ(host.drops(DropReason::ip_bad_source), ++expected) << source;
    host.receive_ip(udp_packet({.source = ip(source), .destination = kUs6}, 1, 2, {}));
    EXPECT_EQ(host.drops(DropReason::ip_bad_source), ++expected) << source;
  }
  // A mapped IPv4 address must not stand in an IPv6 header (RFC 4291 2.5.5.2).
  Bytes p = ping6();
  const IpAddress mapped = kPeer;
  std::copy(mapped.bytes().begin(), mapped.bytes().end(), p.begin() + 8);
  host.receive(ethernet(kOurMac, kPeerMac, p, 0x86dd));
  EXPECT_EQ(host.drops(DropReason::ip_malformed), 1U);
  EXPECT_TRUE(host.sent().empty());
}

// --- I4, I5 ----------------------------------------------------------------------------------------------------------

TEST(I4_LoopbackFromTheWire, IsDropped) {
  TestHost host;
  ready(host);
  host.receive_ip(ping4({.source = kPeer, .destination = ip("127.0.0.1")}));
  host.receive_ip(ping6({.source = kPeer6, .destination = ip("::1")}));
  host.receive_ip(ping6({.source = kPeer6, .destination = ip("ff01::1")}));
  EXPECT_EQ(host.drops(DropReason::ip_bad_destination), 3U);
  EXPECT_TRUE(host.sent().empty());
}

TEST(I5_LoopbackFromHere, NeverReachesAWire) {
  TestHost host;
  for (const char* address : {"127.0.0.1", "127.1.2.3", "::1", "10.0.0.1", "fd00::1"}) {
    const Handle server = host.stack().open_udp().value();
    const Handle client = host.stack().open_udp().value();
    ASSERT_TRUE(host.stack().bind(server, {ip(address), Port{5000}})) << address;
    ASSERT_TRUE(host.stack().connect(client, {ip(address), Port{5000}}));
    ASSERT_TRUE(host.stack().try_send(client, bytes_of("to ourselves")));
    // Nothing is delivered from inside the call that sent it.
    std::array<std::uint8_t, 64> buffer{};
    EXPECT_EQ(host.stack().try_receive(server, buffer).value().status, IoStatus::would_block);
    host.settle();
    Message m;
    EXPECT_EQ(host.stack().try_receive_from(server, buffer, m).value().count, 12U);
    EXPECT_EQ(m.from.address, ip(address));
    ASSERT_TRUE(host.stack().try_send_to(server, bytes_of("back"), m.from));
    host.settle();
    EXPECT_EQ(host.stack().try_receive(client, buffer).value().count, 4U);
    EXPECT_TRUE(host.stack().close(server));
    EXPECT_TRUE(host.stack().close(client));
  }
  // With a source of the loopback network nothing leaves either.
  const Handle s = host.stack().open_udp().value();
  ASSERT_TRUE(host.stack().bind(s, {ip("127.0.0.1"), Port{5001}}));
  EXPECT_EQ(host.stack().try_send_to(s, Bytes{1}, {kPeer, Port{1}}).error(), Errc::address_not_available);
  EXPECT_TRUE(host.sent().empty());
}

TEST(I5_LoopbackFromHere, TheQueueIsBounded) {
  TestHost host;
  const Handle s = host.stack().open_udp().value();
  ASSERT_TRUE(host.stack().connect(s, {ip("127.0.0.1"), Port{5000}}));
  int sent = 0;
  while (host.stack().try_send(s, Bytes{1}).value().status == IoStatus::done) ++sent;
  EXPECT_EQ(sent, 64);
  // Who does not look at it is refused.
  const auto path = ip::find_path(host.core(), ip("127.0.0.1"), {}).value();
  Packet p = host.pool().allocate(ChunkClass::small, 64);
  (void)p.append(8);
  EXPECT_EQ(ip::send(host.core(), std::move(p), {.source = path.source, .destination = ip("127.0.0.1"), .protocol = 99},
                     path),
            ip::SendStatus::dropped);
  EXPECT_EQ(host.drops(DropReason::loopback_queue_full), 1U);
  EXPECT_TRUE(host.stack().run_loopback(host.now(), 10));
}

// --- I6 --------------------------------------------------------------------------------------------------------------

TEST(I6_Ipv4Options, SourceRoutesAreRefusedAndMalformedOnesReported) {
  TestHost host;
  ready(host);
  for (const std::uint8_t kind : Bytes{131, 137}) {
    host.receive_ip(ping4({.source = kPeer, .destination = kUs, .options = {kind, 7, 4, 1, 2, 3, 4, 0}}));
  }
  EXPECT_EQ(host.drops(DropReason::ip_source_route), 2U);
  EXPECT_TRUE(host.sent().empty());
  // Option lengths 0, 1, and past the end: no loop, a parameter problem that points there (RFC 1122 3.2.2.5).
  for (const std::uint8_t length : Bytes{0, 1, 5, 255}) {
    host.receive_ip(ping4({.source = kPeer, .destination = kUs, .options = {1, 7, length, 0}}));
    const Decoded problem = host.sent_one();
    EXPECT_EQ(problem.icmp_type, 12U);
    EXPECT_EQ(problem.icmp_rest >> 24, 21U);
    EXPECT_TRUE(problem.checksums_ok);
  }
  EXPECT_EQ(host.drops(DropReason::ip_malformed), 4U);
  // Others are skipped.
  host.receive_ip(ping4({.source = kPeer, .destination = kUs, .options = {148, 4, 0, 0, 0x99, 3, 1, 0}}));
  EXPECT_EQ(host.sent_one().icmp_type, 0U);
  ASSERT_TRUE(host.stack().set_option(OptionId::ip_accept_source_route, 1));
  host.receive_ip(ping4({.source = kPeer, .destination = kUs, .options = {131, 7, 8, 1, 2, 3, 4, 0}}));
  EXPECT_EQ(host.sent_one().icmp_type, 0U);
}

// --- I7, I8 ----------------------------------------------------------------------------------------------------------

TEST(I7_ExtensionChains, AreWalkedWithABound) {
  TestHost host;
  ready(host);
  const Bytes empty = options_header({});
  host.receive_ip(with_extensions({{kHopByHop, empty}, {kDestination, empty}}, kIcmp6, echo6()));
  EXPECT_EQ(host.sent_one().icmp_type, 129U);
  // A hundred nested headers.
  std::vector<Extension> chain(100, {kDestination, empty});
  host.receive_ip(with_extensions(chain, kIcmp6, echo6()));
  // A length that leads past the end of the packet.
  Bytes beyond = empty;
  beyond[1] = 255;
  host.receive_ip(with_extensions({{kDestination, beyond}}, kIcmp6, echo6()));
  // An option that is longer than its header.
  host.receive_ip(with_extensions({{kDestination, {0, 0, 5, 200, 0, 0, 0, 0}}}, kIcmp6, echo6()));
  // Hop-by-hop options anywhere but first.
  host.receive_ip(with_extensions({{kDestination, empty}, {kHopByHop, empty}}, kIcmp6, echo6()));
  EXPECT_EQ(host.drops(DropReason::ip_extension), 4U);
  for (const Decoded& d : host.sent_decoded()) EXPECT_EQ(d.icmp_type, 4U) << "nothing but parameter problems";
}

TEST(I7_ExtensionChains, ParameterProblemsAreLimited) {
  TestHost host;
  ready(host);
  const Bytes bad = with_extensions({{kDestination, options_header({0x80, 0})}}, kIcmp6, echo6());
  for (int i = 0; i < 1000; ++i) host.receive_ip(bad);
  EXPECT_EQ(host.sent().size(), 10U);
  EXPECT_EQ(host.drops(DropReason::icmp_rate_limited), 990U);
}

TEST(I7_ExtensionChains, ParameterProblemsForOneDestinationAreAsManyAsTheOptionSays) {
  TestHost host;
  ready(host);
  const IpAddress other = ip("fd00::3");
  host.resolve(other);
  ASSERT_TRUE(host.stack().set_option(OptionId::icmp_rate_per_destination, 3));
  const auto answers = [&](const IpAddress& from) {
    const Ip h{.source = from, .destination = kUs6};
    const Bytes bad = with_extensions({{kDestination, options_header({0x80, 0})}}, kIcmp6, echo6(), h);
    for (int i = 0; i < 100; ++i) host.receive_ip(bad);
    return host.sent().size();
  };
  EXPECT_EQ(answers(kPeer6), 3U);
  EXPECT_EQ(answers(other), 3U) << "it has a bucket of its own";
  host.advance(Duration::s(1));
  (void)host.sent();
  EXPECT_EQ(answers(kPeer6), 3U);
  ASSERT_TRUE(host.stack().set_option(OptionId::icmp_rate_per_destination, 0));
  host.advance(Duration::s(1));
  (void)host.sent();
  EXPECT_EQ(answers(kPeer6), 0U);
}

TEST(I7_ExtensionChains, ThatContinueInFragmentsOfMemoryAreReadAllTheSame) {
  TestHost host;
  ready(host);
  std::vector<Extension> chain(6, {kDestination, options_header(Bytes(54, 0))});
  const Bytes frame = ethernet(kOurMac, kPeerMac, with_extensions(chain, kIcmp6, echo6()));
  // The head chunk holds 60 bytes; the rest lies in a second chunk.
  Packet p = host.pool().allocate(ChunkClass::normal, 0);
  std::copy_n(frame.begin(), 60, p.append(60).begin());
  const ChunkRef rest = host.pool().take_chunk(ChunkClass::normal);
  std::copy(frame.begin() + 60, frame.end(), host.pool().data(rest));
  ASSERT_TRUE(p.add_fragment(rest, 0, static_cast<std::uint32_t>(frame.size() - 60)));
  host.pool().drop_ref(rest);
  host.receive(std::move(p));
  EXPECT_EQ(host.sent_one().icmp_type, 129U);
}

TEST(I8_ZeroLengthExtensions, Terminate) {
  TestHost host;
  ready(host);
  // Headers whose length field is 0 are eight bytes long: a packet full of them is still finite.
  std::vector<Extension> chain(180, {kDestination, {0, 0, 1, 4, 0, 0, 0, 0}});
  host.receive_ip(with_extensions(chain, kDestination, {}));
  // PadN of length 0 is two bytes long.
  host.receive_ip(with_extensions({{kDestination, {0, 0, 1, 0, 1, 0, 1, 0}}}, kIcmp6, echo6()));
  EXPECT_EQ(host.drops(DropReason::ip_extension), 1U);
  const auto all = host.sent_decoded();
  EXPECT_EQ(std::count_if(all.begin(), all.end(), [](const Decoded& d) { return d.icmp_type == 129; }), 1);
}

// --- I9 --------------------------------------------------------------------------------------------------------------

TEST(I9_UnknownOptions, TheTypesUpperBitsSayWhatToDo) {
  // RFC 8200 4.2: 00 skip, 01 discard, 10 discard and report, 11 discard and report unless to a group.
  const IpAddress group = ip("ff02::1");
  for (const bool multicast : {false, true}) {
    TestHost host;
    ready(host);
    ASSERT_TRUE(host.stack().set_option(OptionId::icmp_echo_broadcast, 1));
    const IpAddress to = multicast ? group : kUs6;
    const Ip h{.source = kPeer6, .destination = to};
    for (unsigned bits = 0; bits < 4; ++bits) {
      const auto type = static_cast<std::uint8_t>((bits << 6) | 0x1e);
      const Bytes p = with_extensions({{kDestination, options_header({type, 2, 0, 0})}}, kIcmp6, echo6(to), h);
      host.receive(ethernet(multicast ? group.multicast_mac() : kOurMac, kPeerMac, p));
      const auto answers = host.sent_decoded();
      const bool reported = bits == 2 || (bits == 3 && !multicast);
      ASSERT_EQ(answers.size(), bits == 0 || reported ? 1U : 0U) << bits << multicast;
      if (bits == 0) {
        EXPECT_EQ(answers[0].icmp_type, 129U);
      }
      if (!reported) continue;
      EXPECT_EQ(answers[0].icmp_type, 4U);
      EXPECT_EQ(answers[0].icmp_code, 2U);
      EXPECT_EQ(answers[0].icmp_rest, 42U) << "points at the option type";
      EXPECT_EQ(answers[0].ip_source, kUs6);
      EXPECT_TRUE(answers[0].checksums_ok);
      EXPECT_EQ(answers[0].payload, p);
    }
    EXPECT_EQ(host.drops(DropReason::ip_extension), 3U);
  }
}

// RFC 4443 2.4 (e.1, e.2).
TEST(I9_UnknownOptions, InFrontOfAnErrorOrARedirectAreNotReported) {
  TestHost host;
  ready(host);
  const Bytes ours = udp_packet({.source = kUs6, .destination = kPeer6}, 1, 9, {});
  for (const unsigned type : {1U, 2U, 3U, 4U, 137U, 128U}) {
    Bytes error = icmp_packet({.source = kPeer6, .destination = kUs6}, type, 0, 0, ours);
    error.erase(error.begin(), error.begin() + 40);
    const Bytes p = with_extensions({{kDestination, options_header({0x9e, 2, 0, 0})}}, kIcmp6, error,
                                    {.source = kPeer6, .destination = kUs6});
    host.receive(ethernet(kOurMac, kPeerMac, p));
    EXPECT_EQ(host.sent().size(), type == 128 ? 1U : 0U) << type;
  }
}

TEST(I9_UnknownOptions, UnknownProtocolsAreReportedByBothVersions) {
  TestHost host;
  ready(host);
  host.receive_ip(ipv4({.source = kPeer, .destination = kUs, .protocol = 200}, pattern(10)));
  Decoded error = host.sent_one();
  EXPECT_EQ(error.icmp_type, 3U);
  EXPECT_EQ(error.icmp_code, 2U);
  host.receive_ip(with_extensions({{kDestination, options_header({})}}, 200, pattern(10)));
  error = host.sent_one();
  EXPECT_EQ(error.icmp_type, 4U);
  EXPECT_EQ(error.icmp_code, 1U);
  EXPECT_EQ(error.icmp_rest, 40U) << "the byte that names the protocol";
  // RFC 8200 4.7: "no next header" is no error.
  host.receive_ip(ipv6({.source = kPeer6, .destination = kUs6, .protocol = 59}, {}));
  EXPECT_TRUE(host.sent().empty());
  EXPECT_EQ(host.drops(DropReason::ip_unknown_protocol), 3U);
}

// --- I10, I11 --------------------------------------------------------------------------------------------------------

TEST(I10_FirstFragmentWithoutItsHeaders, IsDropped) {
  TestHost host;
  ready(host);
  // RFC 7112: the transport header is not in the first fragment: neither all of it nor any.
  host.receive_ip(with_extensions({{kFragment, fragment_header(0, true)}}, kDestination, Bytes(8, 0)));
  EXPECT_EQ(host.drops(DropReason::ip_fragment_header_chain), 1U);
  EXPECT_EQ(host.drops(DropReason::ip_fragment), 0U);
  // With it, it is a fragment like any other.
  host.receive_ip(with_extensions({{kFragment, fragment_header(0, true)}}, kIcmp6, Bytes(32, 0)));
  EXPECT_EQ(host.drops(DropReason::ip_fragment), 1U);
  host.receive_ip(ping4({.source = kPeer, .destination = kUs, .more_fragments = true}));
  host.receive_ip(ping4({.source = kPeer, .destination = kUs, .fragment_offset = 64}));
  EXPECT_EQ(host.drops(DropReason::ip_fragment), 3U);
  EXPECT_TRUE(host.sent().empty());
}

TEST(I11_AtomicFragments, AreProcessedAlone) {
  TestHost host;
  ready(host);
  host.receive_ip(with_extensions({{kFragment, fragment_header(0, false)}}, kIcmp6, echo6()));
  const Decoded reply = host.sent_one();
  EXPECT_EQ(reply.icmp_type, 129U);
  EXPECT_EQ(reply.payload, pattern(20));
  EXPECT_EQ(host.drops(DropReason::ip_fragment), 0U);
}

// --- I17 -------------------------------------------------------------------------------------------------------------

TEST(I17_Identifiers, OfOneDestinationTellNothingAboutAnother) {
  const auto ids_towards = [](TestHost& host, const IpAddress& to, int n) {
    std::vector<unsigned> ids;
    const Handle s = host.stack().open_udp().value();
    (void)host.stack().connect(s, {to, Port{9}});
    for (int i = 0; i < n; ++i) {
      (void)host.stack().try_send(s, Bytes{1});
      for (const Decoded& d : host.sent_decoded())
        if (d.protocol == 17) ids.push_back(d.id);
    }
    (void)host.stack().close(s);
    return ids;
  };
  TestHost host;
  std::set<unsigned> offsets;
  unsigned last = 0;
  for (std::uint8_t i = 2; i < 34; ++i) {
    const IpAddress peer = IpAddress::v4(10, 0, 0, i);
    host.resolve(peer);
    const auto ids = ids_towards(host, peer, 5);
    ASSERT_EQ(ids.size(), 5U);
    // RFC 6864: towards one destination they don't repeat for long: they count.
    for (std::size_t k = 1; k < ids.size(); ++k) EXPECT_EQ((ids[k] - ids[k - 1]) & 0xffff, 1U);
    offsets.insert((ids[0] - last) & 0xffff);
    last = ids[0];
  }
  EXPECT_GT(offsets.size(), 30U) << "where each destination starts is unrelated";
}

TEST(I17_Identifiers, ASuperSegmentTakesOneForEachOfItsFrames) {
  TestHost host({.link = LinkType::ip});
  const auto path = ip::find_path(host.core(), kPeer, {}).value();
  const auto send = [&](std::uint32_t payload, std::uint16_t gso) {
    Packet p = host.core().pool.allocate(ChunkClass::normal);
    (void)p.append(20 + payload);
    p.meta().l4_offset = 0;
    p.meta().payload_offset = 20;
    p.meta().gso_size = gso;
    p.meta().gso_type = gso > 0 ? GsoType::tcp_v4 : GsoType::none;
    EXPECT_EQ(ip::send(host.core(), std::move(p), {.source = kUs, .destination = kPeer, .protocol = 6}, path),
              ip::SendStatus::sent);
    return host.sent_one().id;
  };
  const unsigned first = send(1000, 100);
  EXPECT_EQ((send(10, 0) - first) & 0xffff, 10U);
  EXPECT_EQ((send(10, 0) - first) & 0xffff, 11U);
}

// --- I18 -------------------------------------------------------------------------------------------------------------

TEST(I18_LargerThanTheMtu, IsAnErrorOfTheCall) {
  TestHost host;
  ready(host);
  const Handle udp4 = host.stack().open_udp().value();
  EXPECT_TRUE(host.stack().try_send_to(udp4, Bytes(1472), {kPeer, Port{9}}));
  EXPECT_EQ(host.stack().try_send_to(udp4, Bytes(1473), {kPeer, Port{9}}).error(), Errc::message_too_long);
  EXPECT_TRUE(host.stack().try_send_to(udp4, Bytes(1452), {kPeer6, Port{9}}));
  EXPECT_EQ(host.stack().try_send_to(udp4, Bytes(1453), {kPeer6, Port{9}}).error(), Errc::message_too_long);
  EXPECT_EQ(host.stack().try_send_to(udp4, Bytes(70000), {ip("127.0.0.1"), Port{9}}).error(), Errc::message_too_long);
  const Handle raw = host.stack().open_raw(IpVersion::v4, 200).value();
  EXPECT_TRUE(host.stack().try_send_to(raw, Bytes(1480), {kPeer, Port{}}));
  EXPECT_EQ(host.stack().try_send_to(raw, Bytes(1481), {kPeer, Port{}}).error(), Errc::message_too_long);
  for (const Bytes& f : host.sent()) EXPECT_LE(f.size(), 1514U);
  ASSERT_TRUE(host.stack().set_interface_mtu(host.eth, 1300));
  EXPECT_EQ(host.stack().try_send_to(udp4, Bytes(1473 - 200), {kPeer, Port{9}}).error(), Errc::message_too_long);
}

// --- I19, I20 --------------------------------------------------------------------------------------------------------

class PathMtu : public testing::TestWithParam<bool> {
 protected:
  PathMtu() {
    ready(host);
    socket = host.stack().open_udp().value();
    EXPECT_TRUE(host.stack().connect(socket, {peer(), Port{9}}));
    port = host.stack().local_endpoint(socket).value().port.value();
  }
  [[nodiscard]] IpAddress us() const { return GetParam() ? kUs6 : kUs; }
  [[nodiscard]] IpAddress peer() const { return GetParam() ? kPeer6 : kPeer; }
  // A router says that a datagram of ours was too big.
  void too_big(unsigned mtu, unsigned from_port, const IpAddress& quoted_destination) {
    const Bytes ours = udp_packet({.source = us(), .destination = quoted_destination}, from_port, 9, pattern(64));
    const IpAddress router = GetParam() ? ip("fd00::fe") : ip("10.0.0.254");
    const Ip h{.source = router, .destination = us()};
    host.receive_ip(GetParam() ? icmp_packet(h, 2, 0, mtu, ours) : icmp_packet(h, 3, 4, mtu, ours));
  }
  [[nodiscard]] std::uint32_t mtu() { return ip::find_path(host.core(), peer(), {}).value().mtu; }
  TestHost host;
  Handle socket;
  unsigned port = 0;
};
using I19_PathMtu = PathMtu;
using I20_ForgedPathMtu = PathMtu;
INSTANTIATE_TEST_SUITE_P(, I19_PathMtu, testing::Bool(), [](const auto& p) { return p.param ? "v6" : "v4"; });
INSTANTIATE_TEST_SUITE_P(, I20_ForgedPathMtu, testing::Bool(), [](const auto& p) { return p.param ? "v6" : "v4"; });

TEST_P(I19_PathMtu, ALiveFlowLearnsItForTenMinutes) {
  EXPECT_EQ(mtu(), 1500U);
  too_big(1400, port, peer());
  EXPECT_EQ(mtu(), 1400U);
  EXPECT_EQ(host.stack().try_send(socket, Bytes(1453)).error(), Errc::message_too_long);
  EXPECT_TRUE(host.stack().try_send(socket, Bytes(1340)));
  too_big(1300, port, peer());
  EXPECT_EQ(mtu(), 1300U);
  too_big(1400, port, peer());
  EXPECT_EQ(mtu(), 1300U) << "it never grows by a message";
  // Others are not concerned.
  EXPECT_EQ(ip::find_path(host.core(), GetParam() ? ip("fd00::3") : ip("10.0.0.3"), {}).value().mtu, 1500U);
  host.advance(Duration::s(599));
  EXPECT_EQ(mtu(), 1300U);
  EXPECT_EQ(host.stack().try_send(socket, Bytes(1400)).error(), Errc::message_too_long);
  host.advance(Duration::s(2));
  EXPECT_TRUE(host.stack().try_send(socket, Bytes(1400))) << "who holds a path looks again";
  EXPECT_EQ(mtu(), 1500U);
  EXPECT_EQ(host.core().ip.path_mtus_due, Instant::never());
}

TEST_P(I19_PathMtu, HasAFloor) {
  too_big(GetParam() ? 1280 : 68, port, peer());
  EXPECT_EQ(mtu(), GetParam() ? 1280U : 552U);
}

TEST_P(I20_ForgedPathMtu, ForeignTuplesAndTinyMtusAreIgnored) {
  too_big(1300, port + 1, peer());
  too_big(1300, port, GetParam() ? ip("fd00::77") : ip("10.0.0.77"));
  if (GetParam()) {
    for (const unsigned tiny : {0U, 68U, 1279U}) too_big(tiny, port, peer());  // RFC 8201 4
  }
  EXPECT_EQ(mtu(), 1500U);
  EXPECT_EQ(ip::find_path(host.core(), GetParam() ? ip("fd00::77") : ip("10.0.0.77"), {}).value().mtu, 1500U);
}

TEST_P(I20_ForgedPathMtu, AnUnconnectedSocketIsBelievedOnlyAboutWhomItSentToLast) {
  const Handle open = host.stack().open_udp().value();
  ASSERT_TRUE(host.stack().bind(open, {IpAddress{}, Port{4321}}));
  const IpAddress never = GetParam() ? ip("fd00::77") : ip("10.0.0.77");
  too_big(1300, 4321, never);
  EXPECT_EQ(ip::find_path(host.core(), never, {}).value().mtu, 1500U);
  ASSERT_TRUE(host.stack().try_send_to(open, Bytes{1}, {peer(), Port{9}}));
  too_big(1300, 4321, never);
  EXPECT_EQ(ip::find_path(host.core(), never, {}).value().mtu, 1500U);
  too_big(1300, 4321, peer());
  EXPECT_EQ(mtu(), 1300U);
}

TEST_P(I20_ForgedPathMtu, TenThousandOfThemLeaveTheTableBounded) {
  for (unsigned i = 0; i < 10'000; ++i) {
    too_big(1300 + i % 100, port,
            GetParam() ? IpAddress::v6({0xfd00, 0, 0, 0, 0, 0, 1, static_cast<std::uint16_t>(i)})
                       : IpAddress::v4((10U << 24) + 0x10000 + i));
  }
  EXPECT_EQ(mtu(), 1500U);
  for (const ip::PathMtu& p : host.core().ip.path_mtus) EXPECT_EQ(p.mtu, 0U);
  too_big(1400, port, peer());
  for (unsigned i = 0; i < 10'000; ++i) too_big(GetParam() ? 1280 : 68, port + 1, peer());
  EXPECT_EQ(mtu(), 1400U);
}

TEST(I19_OldRouters, AFragmentationNeededWithoutAnMtuTakesTheNextPlateau) {
  TestHost host;
  ready(host);
  const Handle s = host.stack().open_udp().value();
  ASSERT_TRUE(host.stack().connect(s, {kPeer, Port{9}}));
  const unsigned port = host.stack().local_endpoint(s).value().port.value();
  Bytes ours = udp_packet({.source = kUs, .destination = kPeer}, port, 9, pattern(1472));
  ours.resize(28);  // RFC 792: the header and eight bytes
  host.receive_ip(icmp_packet({.source = ip("10.0.0.254"), .destination = kUs}, 3, 4, 0, ours));
  EXPECT_EQ(ip::find_path(host.core(), kPeer, {}).value().mtu, 1492U);  // RFC 1191 7
}

// --- I21 -------------------------------------------------------------------------------------------------------------

TEST(I21_NestedErrors, AreParsedOnceAndNotAnswered) {
  TestHost host({.mtu = 9000});
  ready(host);
  for (const bool v6 : {false, true}) {
    const Ip h{.source = v6 ? kPeer6 : kPeer, .destination = v6 ? kUs6 : kUs};
    const Ip own{.source = h.destination, .destination = h.source};
    Bytes p = udp_packet(own, 1, 2, {1});
    for (int level = 0; level < 100; ++level) p = icmp_packet(level % 2 == 0 ? h : own, v6 ? 1 : 3, 1, 0, p);
    p = icmp_packet(h, v6 ? 1 : 3, 1, 0, p);
    host.receive_ip(p);
    EXPECT_TRUE(host.sent().empty());
  }
}

}  // namespace
}  // namespace leat::test
