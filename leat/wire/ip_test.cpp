#include <gtest/gtest.h>

#include <leat/wire/captured_test_support.hpp>
#include <leat/wire/ipv4.hpp>
#include <leat/wire/ipv6.hpp>
#include <leat/wire/quoted.hpp>

namespace leat::wire {
namespace {

using namespace captured;

const Bytes kV4 = without_first(kTcpSynV4, 14);
const Bytes kV6 = without_first(kTcpSynV6, 14);

TEST(Ipv4, ReadsACapturedHeader) {
  const auto view = Ipv4View::parse(kV4);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->header_length(), 20U);
  EXPECT_EQ(view->total_length(), 60U);
  EXPECT_EQ(view->payload_length(), 40U);
  EXPECT_EQ(view->tos(), 0);
  EXPECT_EQ(view->ecn(), Ecn::not_ect);
  EXPECT_EQ(view->id(), 0x1f5f);
  EXPECT_TRUE(view->dont_fragment());
  EXPECT_FALSE(view->more_fragments());
  EXPECT_FALSE(view->is_fragment());
  EXPECT_EQ(view->ttl(), 64);
  EXPECT_EQ(view->protocol(), IpProtocol::tcp);
  EXPECT_EQ(view->checksum(), 0x075b);
  EXPECT_TRUE(view->checksum_ok());
  EXPECT_EQ(view->source(), IpAddress::v4(10, 0, 0, 1));
  EXPECT_EQ(view->destination(), IpAddress::v4(10, 0, 0, 2));
  EXPECT_TRUE(view->options().empty());
  EXPECT_FALSE(view->has_options());
  EXPECT_EQ(view->payload().size(), 40U);
}

TEST(Ipv4, EmitsTheCapturedHeaderAgain) {
  Bytes out(20);
  EXPECT_EQ(Ipv4View::parse(kV4)->header().emit(out), 20U);
  EXPECT_EQ(out, first(kV4, 20));
}

TEST(Ipv4, AnyDamagedByteFailsTheChecksum) {
  for (std::size_t at = 1; at < 20; ++at) {
    if (at == 2 || at == 3) continue;  // the length, which parse refuses
    Bytes bad = kV4;
    bad[at] ^= 0x10;
    EXPECT_FALSE(Ipv4View::parse(bad)->checksum_ok()) << at;
  }
}

TEST(Ipv4, RefusesEveryTruncation) {
  for (std::size_t n = 0; n < kV4.size(); ++n) {
    const auto parsed = Ipv4View::parse(first(kV4, n));
    EXPECT_EQ(parsed.error(), n < 20 ? ParseError::truncated : ParseError::bad_length) << n;
  }
}

// Attack row I1: each length that contradicts another.
TEST(Ipv4, RefusesImpossibleLengthsAndVersions) {
  const auto with = [](std::size_t at, std::uint8_t value) {
    Bytes bad = kV4;
    bad[at] = value;
    return Ipv4View::parse(bad).error();
  };
  EXPECT_EQ(with(0, 0x44), ParseError::bad_header_length);
  EXPECT_EQ(with(0, 0x40), ParseError::bad_header_length);
  EXPECT_EQ(with(0, 0x65), ParseError::bad_version);
  EXPECT_EQ(with(0, 0x05), ParseError::bad_version);
  EXPECT_EQ(with(0, 0x4f), ParseError::none);  // 60 bytes of header, nothing else: legal
  EXPECT_EQ(with(3, 19), ParseError::bad_length);
  EXPECT_EQ(with(3, 0), ParseError::bad_length);
  EXPECT_EQ(with(3, 61), ParseError::bad_length);
  EXPECT_EQ(with(2, 0xff), ParseError::bad_length);
  Bytes short_header = first(kV4, 20);
  short_header[0] = 0x46;
  EXPECT_EQ(Ipv4View::parse(short_header).error(), ParseError::bad_header_length);
}

// Attack row L1: link padding is not payload.
TEST(Ipv4, TrimsLinkPadding) {
  Bytes padded = kV4;
  padded.resize(kV4.size() + 6, 0xaa);
  const auto view = Ipv4View::parse(padded);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->payload().size(), 40U);
}

TEST(Ipv4, ASuperSegmentContinuesInOtherBuffers) {
  Bytes header = first(kV4, 60);
  store_be16(&header[2], 64'000);
  EXPECT_EQ(Ipv4View::parse(header).error(), ParseError::bad_length);
  const auto view = Ipv4View::parse(header, 64'000);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->payload_length(), 63'980U);
  EXPECT_EQ(view->payload().size(), 40U);
  EXPECT_EQ(Ipv4View::parse(header, 63'999).error(), ParseError::bad_length);
}

TEST(Ipv4, ParseOfEmitIsTheSame) {
  const std::array<std::uint8_t, 6> options{7, 4, 4, 0, 1, 1};
  const std::array<std::uint8_t, 8> padded{7, 4, 4, 0, 1, 1, 0, 0};
  Ipv4Header header{.tos = 0xb9,
                    .id = 0xbeef,
                    .dont_fragment = false,
                    .more_fragments = true,
                    .fragment_offset = 65'528,
                    .ttl = 1,
                    .protocol = IpProtocol::udp,
                    .source = IpAddress::v4(192, 168, 1, 2),
                    .destination = IpAddress::v4(224, 0, 0, 251),
                    .payload_length = 4,
                    .options = options};
  Bytes out(32, 0xcc);
  ASSERT_EQ(header.emit(out), 28U);
  const auto view = Ipv4View::parse(out);
  ASSERT_TRUE(view);
  EXPECT_TRUE(view->checksum_ok());
  EXPECT_TRUE(view->is_fragment());
  EXPECT_EQ(view->ecn(), Ecn::ect1);
  header.options = padded;
  EXPECT_EQ(view->header(), header);
  EXPECT_EQ(header.emit(MutableByteSpan{out}.first(27)), 0U);
  header.payload_length = 65'508;
  EXPECT_EQ(header.emit(out), 0U) << "65,535 bytes is the most";
  header.payload_length = 65'507;
  EXPECT_EQ(header.emit(out), 28U);
}

TEST(Ipv4, AFragmentIsOneByOffsetOrByMoreFragments) {
  Bytes packet = kV4;
  store_be16(&packet[6], 0x2000);
  EXPECT_TRUE(Ipv4View::parse(packet)->is_fragment());
  store_be16(&packet[6], 0x0001);
  EXPECT_TRUE(Ipv4View::parse(packet)->is_fragment());
  EXPECT_EQ(Ipv4View::parse(packet)->fragment_offset(), 8);
  store_be16(&packet[6], 0xc000);  // the reserved bit and DF
  EXPECT_FALSE(Ipv4View::parse(packet)->is_fragment());
}

TEST(Ipv4Options, ReadsTheOnesThatMatter) {
  const std::array<std::uint8_t, 12> options{1, 148, 4, 0, 0, 131, 3, 4, 68, 4, 5, 0};
  const auto o = Ipv4Options::parse(options);
  EXPECT_FALSE(o.malformed);
  EXPECT_TRUE(o.router_alert && o.source_route && o.timestamp && !o.record_route);
  const std::array<std::uint8_t, 8> after_end{0, 131, 3, 4, 0, 0, 0, 0};
  EXPECT_EQ(Ipv4Options::parse(after_end), Ipv4Options{});
}

// Attack row I6: lengths 0, 1 and past the end stop the walk and say where.
TEST(Ipv4Options, MalformedLengthsAreNamed) {
  for (const std::uint8_t length : {std::uint8_t{0}, std::uint8_t{1}, std::uint8_t{7}, std::uint8_t{255}}) {
    const std::array<std::uint8_t, 8> options{1, 1, 131, length, 0, 0, 0, 0};
    const auto o = Ipv4Options::parse(options);
    EXPECT_TRUE(o.malformed) << int{length};
    EXPECT_EQ(o.problem_at, 22);
    EXPECT_FALSE(o.source_route);
  }
  const std::array<std::uint8_t, 4> cut{1, 1, 1, 131};
  EXPECT_TRUE(Ipv4Options::parse(cut).malformed);
}

TEST(Ipv6, ReadsACapturedHeader) {
  const auto view = Ipv6View::parse(kV6);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->traffic_class(), 0);
  EXPECT_EQ(view->flow_label(), 0x29957U);
  EXPECT_EQ(view->payload_length(), 40U);
  EXPECT_EQ(view->total_length(), 80U);
  EXPECT_EQ(view->next_header(), IpProtocol::tcp);
  EXPECT_EQ(view->hop_limit(), 64);
  EXPECT_EQ(view->source(), IpAddress::parse("2001:db8::1"));
  EXPECT_EQ(view->destination(), IpAddress::parse("2001:db8::2"));
  EXPECT_EQ(view->payload().size(), 40U);
  Bytes out(40);
  EXPECT_EQ(view->header().emit(out), 40U);
  EXPECT_EQ(out, first(kV6, 40));
}

TEST(Ipv6, RefusesEveryTruncationAndTrimsPadding) {
  for (std::size_t n = 0; n < kV6.size(); ++n) {
    EXPECT_EQ(Ipv6View::parse(first(kV6, n)).error(), n < 40 ? ParseError::truncated : ParseError::bad_length) << n;
  }
  Bytes padded = kV6;
  padded.resize(kV6.size() + 3);
  EXPECT_EQ(Ipv6View::parse(padded)->payload().size(), 40U);
}

TEST(Ipv6, ParseOfEmitIsTheSame) {
  const Ipv6Header header{0xff,
                          0xfffff,
                          0,
                          IpProtocol::no_next_header,
                          1,
                          *IpAddress::parse("fe80::1"),
                          *IpAddress::parse("ff02::1:ff00:1")};
  Bytes out(40);
  ASSERT_EQ(header.emit(out), 40U);
  const auto view = Ipv6View::parse(out);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->header(), header);
  EXPECT_EQ(view->ecn(), Ecn::ce);
  EXPECT_EQ(header.emit(MutableByteSpan{out}.first(39)), 0U);
}

// RFC 4291 2.5.5.2: the mapped form stands for an IPv4 address inside a host; on the wire it would be taken for one.
TEST(Ipv6, RefusesMappedAddresses) {
  for (const std::size_t at : {8U, 24U}) {
    Bytes bad = kV6;
    std::copy_n(IpAddress::v4(10, 0, 0, 1).bytes().begin(), 16, bad.begin() + static_cast<std::ptrdiff_t>(at));
    EXPECT_EQ(Ipv6View::parse(bad).error(), ParseError::bad_address);
  }
}

TEST(Ipv6, RefusesTheOtherVersion) {
  EXPECT_EQ(Ipv6View::parse(kV4).error(), ParseError::bad_version);
  EXPECT_EQ(Ipv4View::parse(kV6).error(), ParseError::bad_version);
}

TEST(Quoted, FindsTheFlowOfAPacketCutBehindEightBytes) {
  const Bytes cut_v4 = first(kV4, 28);
  const auto v4 = parse_quoted(cut_v4);
  ASSERT_TRUE(v4);
  EXPECT_EQ(v4->source, IpAddress::v4(10, 0, 0, 1));
  EXPECT_EQ(v4->protocol, IpProtocol::tcp);
  ASSERT_TRUE(v4->has_ports());
  EXPECT_EQ(v4->source_port(), Port{0x8188});
  EXPECT_EQ(v4->destination_port(), Port{80});
  EXPECT_EQ(v4->tcp_sequence(), 0xcb1d6df6U);
  const Bytes cut_v6 = first(kV6, 48);
  const auto v6 = parse_quoted(cut_v6);
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6->destination, IpAddress::parse("2001:db8::2"));
  EXPECT_EQ(v6->destination_port(), Port{80});
}

TEST(Quoted, EveryTruncationIsSafe) {
  for (const Bytes& packet : {kV4, kV6, without_first(kMldReport, 14)}) {
    for (std::size_t n = 0; n <= packet.size(); ++n) {
      const Bytes cut = first(packet, n);
      const auto quoted = parse_quoted(cut);
      const std::size_t header = (packet[0] >> 4) == 4 ? 20 : 40;
      EXPECT_EQ(quoted.has_value(), n >= header);
      if (quoted && n < header + 8) {
        EXPECT_FALSE(quoted->has_ports());
      }
    }
  }
}

TEST(Quoted, ALaterFragmentHasNoPorts) {
  Bytes packet = kV4;
  store_be16(&packet[6], 0x0010);
  const auto quoted = parse_quoted(packet);
  ASSERT_TRUE(quoted);
  EXPECT_FALSE(quoted->first_part);
  EXPECT_FALSE(quoted->has_ports());
}

}  // namespace
}  // namespace leat::wire
