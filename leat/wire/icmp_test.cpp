#include <gtest/gtest.h>

#include <leat/wire/captured_test_support.hpp>
#include <leat/wire/icmpv4.hpp>
#include <leat/wire/ipv6.hpp>
#include <leat/wire/ndp.hpp>

namespace leat::wire {
namespace {

using namespace captured;

const IpAddress kHost = *IpAddress::parse("2001:db8::2");
const IpAddress kRouter = *IpAddress::parse("fe80::1");
const IpAddress kAllNodes = *IpAddress::parse("ff02::1");
const MacAddress kMac{{2, 0, 0, 0, 0, 9}};

TEST(Icmpv4, ReadsACapturedEchoRequest) {
  const Bytes message = without_first(kPingV4, 34);
  const auto view = Icmpv4View::parse(message);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->type(), Icmpv4Type::echo_request);
  EXPECT_EQ(view->code(), 0);
  EXPECT_EQ(view->echo_id(), 0x56d0);
  EXPECT_EQ(view->echo_sequence(), 1);
  EXPECT_EQ(view->body().size(), 56U);
  EXPECT_EQ(checksum_finish(checksum_add(0, message)), 0);
  EXPECT_FALSE(is_error(view->type()));

  Bytes out = message;
  ASSERT_EQ(Icmpv4Header::echo(Icmpv4Type::echo_request, 0x56d0, 1).emit(out), 8U);
  Icmpv4Header::finish_checksum(MutableByteSpan{out}.first(8), checksum_add(0, view->body()));
  EXPECT_EQ(out, message);
}

TEST(Icmpv4, ParseOfEmitIsTheSameAndTruncationIsRefused) {
  const Icmpv4Header header{Icmpv4Type::destination_unreachable, icmpv4_unreachable::kFragmentationNeeded, 1400};
  Bytes out(8);
  ASSERT_EQ(header.emit(out), 8U);
  const auto view = Icmpv4View::parse(out);
  EXPECT_EQ(view->header(), header);
  EXPECT_EQ(next_hop_mtu(*view), 1400);
  EXPECT_TRUE(is_error(view->type()));
  for (std::size_t n = 0; n < 8; ++n) EXPECT_EQ(Icmpv4View::parse(first(out, n)).error(), ParseError::truncated);
  EXPECT_EQ(header.emit(MutableByteSpan{out}.first(7)), 0U);
  const Icmpv4Header problem{Icmpv4Type::parameter_problem, 0, 0x14000000};
  ASSERT_EQ(problem.emit(out), 8U);
  EXPECT_EQ(problem_pointer(*Icmpv4View::parse(out)), 20);
}

TEST(Icmpv6, ReadsACapturedEchoRequest) {
  const auto ip = Ipv6View::parse(ByteSpan{kPingV6}.subspan(14));
  const auto view = Icmpv6View::parse(ip->payload());
  ASSERT_TRUE(view);
  EXPECT_EQ(view->type(), Icmpv6Type::echo_request);
  EXPECT_EQ(view->echo_id(), 0x56d1);
  EXPECT_EQ(view->echo_sequence(), 1);
  Bytes message(ip->payload().begin(), ip->payload().end());
  message[2] = message[3] = 0;
  finish_icmpv6_checksum(message, ip->source(), ip->destination());
  EXPECT_EQ(load_be16(&message[2]), view->checksum());
}

TEST(Icmpv6, ErrorsAreTheLowerHalfOfTheTypes) {
  EXPECT_TRUE(is_error(Icmpv6Type::packet_too_big));
  EXPECT_TRUE(is_error(static_cast<Icmpv6Type>(100)));
  EXPECT_FALSE(is_error(Icmpv6Type::echo_request));
}

TEST(Ndp, ReadsCapturedDuplicateAddressDetection) {
  const auto ip = Ipv6View::parse(ByteSpan{kDadSolicitation}.subspan(14));
  const auto message = NeighborSolicitation::parse(ip->payload(), {ip->source(), ip->destination(), ip->hop_limit()});
  ASSERT_TRUE(message) << name_of(message.error());
  EXPECT_EQ(message->target, IpAddress::parse("fe80::ff:fe00:1"));
  EXPECT_FALSE(message->options.source_mac);
  EXPECT_EQ(message->options.skipped, 1);  // the nonce
}

TEST(Ndp, ReadsACapturedRouterSolicitationAndEmitsItAgain) {
  const auto ip = Ipv6View::parse(ByteSpan{kRouterSolicitation}.subspan(14));
  const auto message = RouterSolicitation::parse(ip->payload(), {ip->source(), ip->destination(), ip->hop_limit()});
  ASSERT_TRUE(message);
  EXPECT_EQ(message->options.source_mac, MacAddress::parse("02:00:00:00:00:01"));
  Bytes out(16);
  ASSERT_EQ(message->emit(out), 16U);
  finish_icmpv6_checksum(out, ip->source(), ip->destination());
  EXPECT_EQ(out, Bytes(ip->payload().begin(), ip->payload().end()));
}

template <class Message>
void expect_round_trip(const Message& message, const NdpEnvelope& envelope, std::size_t fixed) {
  Bytes out(600);
  const std::size_t length = message.emit(out);
  ASSERT_GT(length, 0U);
  out.resize(length);
  const auto parsed = Message::parse(out, envelope);
  ASSERT_TRUE(parsed) << name_of(parsed.error());
  EXPECT_EQ(*parsed, message);
  for (std::size_t n = 0; n < length; ++n) {
    const auto cut = Message::parse(first(out, n), envelope);
    if (n < fixed) {
      EXPECT_EQ(cut.error(), ParseError::truncated) << n;
    }
    // Cut between two options, the message is whole again, but for what was cut.
    if (cut) {
      EXPECT_EQ((n - fixed) % 8, 0U) << n;
    }
    EXPECT_EQ(message.emit(MutableByteSpan{out}.first(n)), 0U) << n;
  }
  // Attack row L10: each of these drops the whole message.
  NdpEnvelope routed = envelope;
  routed.hop_limit = 254;
  EXPECT_EQ(Message::parse(out, routed).error(), ParseError::bad_hop_limit);
  Bytes bad = out;
  bad[1] = 1;
  EXPECT_EQ(Message::parse(bad, envelope).error(), ParseError::bad_type);
  if (length > fixed) {
    bad = out;
    bad[fixed + 1] = 0;
    EXPECT_EQ(Message::parse(bad, envelope).error(), ParseError::bad_option);
    bad[fixed + 1] = 255;
    EXPECT_EQ(Message::parse(bad, envelope).error(), ParseError::bad_option);
  }
}

TEST(Ndp, ParseOfEmitIsTheSameForAllMessages) {
  const Bytes quoted(64, 0x42);
  NdpOptions source;
  source.source_mac = kMac;
  NdpOptions target;
  target.target_mac = kMac;
  expect_round_trip(RouterSolicitation{source}, {kHost, kAllNodes, 255}, 8);
  expect_round_trip(NeighborSolicitation{kHost, source}, {kRouter, kHost, 255}, 24);
  expect_round_trip(NeighborSolicitation{kHost, {}}, {IpAddress{}, kHost.solicited_node(), 255}, 24);
  expect_round_trip(NeighborAdvertisement{true, true, true, kHost, target}, {kHost, kRouter, 255}, 24);
  expect_round_trip(NeighborAdvertisement{false, false, true, kHost, {}}, {kHost, kAllNodes, 255}, 24);
  NdpOptions router;
  router.source_mac = kMac;
  router.mtu = 1492;
  router.prefixes.push_back({*IpAddress::parse("2001:db8::"), 64, true, true, 86'400, 14'400});
  router.prefixes.push_back({*IpAddress::parse("fd00::"), 48, false, true, 0xffffffff, 0});
  expect_round_trip(RouterAdvertisement{64, false, true, RouterPreference::low, 1800, 30'000, 1000, router},
                    {kRouter, kAllNodes, 255}, 16);
  NdpOptions redirect;
  redirect.target_mac = kMac;
  redirect.redirected = quoted;
  expect_round_trip(Redirect{*IpAddress::parse("fe80::2"), *IpAddress::parse("2001:db8:1::1"), redirect},
                    {kRouter, kHost, 255}, 40);
}

// RFC 4861 7.1.1, 7.1.2, 6.1.1, 6.1.2, 8.1: the rules about addresses.
TEST(Ndp, RefusesMessagesWithWrongAddresses) {
  Bytes out(100);
  const auto emitted = [&](const auto& message) {
    out.assign(100, 0);
    out.resize(message.emit(out));
    return ByteSpan{out};
  };
  NdpOptions source;
  source.source_mac = kMac;
  EXPECT_EQ(NeighborSolicitation::parse(emitted(NeighborSolicitation{kAllNodes, {}}), {kRouter, kHost}).error(),
            ParseError::bad_address);
  EXPECT_EQ(
      NeighborSolicitation::parse(emitted(NeighborSolicitation{kHost, source}), {IpAddress{}, kHost.solicited_node()})
          .error(),
      ParseError::bad_option);
  EXPECT_EQ(NeighborSolicitation::parse(emitted(NeighborSolicitation{kHost, {}}), {IpAddress{}, kHost}).error(),
            ParseError::bad_address);
  EXPECT_EQ(
      NeighborAdvertisement::parse(emitted(NeighborAdvertisement{false, true, true, kHost, {}}), {kHost, kAllNodes})
          .error(),
      ParseError::bad_address);
  EXPECT_EQ(RouterSolicitation::parse(emitted(RouterSolicitation{source}), {IpAddress{}, kAllNodes}).error(),
            ParseError::bad_option);
  EXPECT_EQ(RouterAdvertisement::parse(emitted(RouterAdvertisement{}), {kHost, kAllNodes}).error(),
            ParseError::bad_address);
  EXPECT_EQ(Redirect::parse(emitted(Redirect{kHost, *IpAddress::parse("2001:db8::3"), {}}), {kRouter, kHost}).error(),
            ParseError::bad_address);
  EXPECT_EQ(Redirect::parse(emitted(Redirect{kHost, kHost, {}}), {kHost, kHost}).error(), ParseError::bad_address);
  EXPECT_TRUE(Redirect::parse(emitted(Redirect{kHost, kHost, {}}), {kRouter, kHost}));
}

TEST(Ndp, SkipsUnknownOptionsAndPrefixesBeyondTheCap) {
  Bytes options{200, 1, 0, 0, 0, 0, 0, 0};
  Bytes prefix(32, 0);
  prefix[0] = 3;
  prefix[1] = 4;
  prefix[2] = 64;
  for (std::size_t i = 0; i < NdpOptions::kMaxPrefixes + 2; ++i) {
    options.insert(options.end(), prefix.begin(), prefix.end());
  }
  const auto parsed = NdpOptions::parse(options);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->prefixes.size(), NdpOptions::kMaxPrefixes);
  EXPECT_EQ(parsed->skipped, 3);
  options[8 + 2] = 129;
  EXPECT_EQ(NdpOptions::parse(options)->skipped, 3) << "a prefix length of 129 is skipped, and so makes room for one";
}

}  // namespace
}  // namespace leat::wire
