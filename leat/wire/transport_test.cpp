#include <gtest/gtest.h>

#include <leat/base/rng.hpp>
#include <leat/wire/captured_test_support.hpp>
#include <leat/wire/ipv4.hpp>
#include <leat/wire/ipv6.hpp>
#include <leat/wire/tcp_options.hpp>
#include <leat/wire/udp.hpp>

namespace leat::wire {
namespace {

using namespace captured;

const Bytes kSyn = without_first(kTcpSynV4, 34);
const Bytes kDatagram = without_first(kUdpV4, 34);

TEST(Udp, ReadsACapturedDatagram) {
  const auto view = UdpView::parse(kDatagram);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->source_port(), Port{0xb253});
  EXPECT_EQ(view->destination_port(), Port{53});
  EXPECT_EQ(view->length(), 18U);
  EXPECT_EQ(view->payload_length(), 10U);
  EXPECT_TRUE(view->has_checksum());
  EXPECT_EQ(std::string(view->payload().begin(), view->payload().end()), "hello leat");
  const Sum pseudo = pseudo_header_sum(IpAddress::v4(10, 0, 0, 1), IpAddress::v4(10, 0, 0, 2), 17, 18);
  EXPECT_EQ(checksum_finish(checksum_add(pseudo, kDatagram)), 0);
}

TEST(Udp, TheChecksumOfAnOddLengthOverIpv6IsRight) {
  const auto ip = Ipv6View::parse(ByteSpan{kUdpV6}.subspan(14));
  ASSERT_TRUE(ip);
  const Sum pseudo = pseudo_header_sum(ip->source(), ip->destination(), 17, 11);
  EXPECT_EQ(checksum_finish(checksum_add(pseudo, ip->payload())), 0);
}

TEST(Udp, ParseOfEmitIsTheSame) {
  const UdpHeader header{Port{1}, Port{65'535}, 65'507, 0xffff};
  Bytes out(8);
  ASSERT_EQ(header.emit(out), 8U);
  EXPECT_EQ(UdpView::parse(out, 65'507)->header(), header);
  EXPECT_EQ(header.emit(MutableByteSpan{out}.first(7)), 0U);
  EXPECT_EQ(UdpHeader::checksum_field(0), 0xffff);
  EXPECT_EQ(UdpHeader::checksum_field(5), 5);
}

// Attack row U6.
TEST(Udp, RefusesTruncationAndImpossibleLengths) {
  for (std::size_t n = 0; n < kDatagram.size(); ++n) {
    EXPECT_EQ(UdpView::parse(first(kDatagram, n)).error(), n < 8 ? ParseError::truncated : ParseError::bad_length) << n;
  }
  for (const std::uint16_t length : {std::uint16_t{0}, std::uint16_t{7}, std::uint16_t{19}, std::uint16_t{65'535}}) {
    Bytes bad = kDatagram;
    store_be16(&bad[4], length);
    EXPECT_EQ(UdpView::parse(bad).error(), ParseError::bad_length) << length;
  }
  Bytes shorter = kDatagram;  // the IP payload may be longer than the datagram
  store_be16(&shorter[4], 12);
  EXPECT_EQ(UdpView::parse(shorter)->payload().size(), 4U);
}

TEST(Tcp, ReadsACapturedSyn) {
  const auto view = TcpView::parse(kSyn);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->source_port(), Port{0x8188});
  EXPECT_EQ(view->destination_port(), Port{80});
  EXPECT_EQ(view->seq(), SeqNum{0xcb1d6df6});
  EXPECT_EQ(view->ack(), SeqNum{0});
  EXPECT_EQ(view->header_length(), 40U);
  EXPECT_EQ(view->flags(), TcpFlag::syn);
  EXPECT_EQ(view->window(), 64'240);
  EXPECT_EQ(view->urgent(), 0);
  EXPECT_EQ(view->options().size(), 20U);
  EXPECT_EQ(view->payload_length(), 0U);
  EXPECT_EQ(view->sequence_length(), 1U);
  const Sum pseudo = pseudo_header_sum(IpAddress::v4(10, 0, 0, 1), IpAddress::v4(10, 0, 0, 2), 6, 40);
  EXPECT_EQ(checksum_finish(checksum_add(pseudo, kSyn)), 0);
}

TEST(Tcp, EmitsTheCapturedSynsAgainByteForByte) {
  for (const Bytes& frame : {kTcpSynV4, kTcpSynV6}) {
    const bool v4 = frame[12] == 8;
    const Bytes segment = without_first(frame, v4 ? 34 : 54);
    const auto view = TcpView::parse(segment);
    ASSERT_TRUE(view);
    Bytes out(40);
    const std::size_t options = TcpOptions::parse(view->options()).emit(MutableByteSpan{out}.subspan(20));
    ASSERT_EQ(options, 20U);
    ASSERT_EQ(view->header().emit(out, options), 40U);
    const ByteSpan packet = ByteSpan{frame}.subspan(14);
    const Sum pseudo =
        v4 ? pseudo_header_sum(Ipv4View::parse(packet)->source(), Ipv4View::parse(packet)->destination(), 6, 40)
           : pseudo_header_sum(Ipv6View::parse(packet)->source(), Ipv6View::parse(packet)->destination(), 6, 40);
    TcpHeader::finish_checksum(out, pseudo);
    EXPECT_EQ(out, segment);
  }
}

TEST(Tcp, RefusesEveryTruncationAndImpossibleOffsets) {
  for (std::size_t n = 0; n < kSyn.size(); ++n) {
    EXPECT_EQ(TcpView::parse(first(kSyn, n)).error(), n < 20 ? ParseError::truncated : ParseError::bad_header_length)
        << n;
  }
  for (unsigned offset = 0; offset < 16; ++offset) {
    Bytes bad = kSyn;
    bad[12] = static_cast<std::uint8_t>(offset << 4);
    EXPECT_EQ(TcpView::parse(bad).has_value(), offset >= 5 && offset <= 10) << offset;
  }
  // The header is all there, but part of it is link padding.
  EXPECT_EQ(TcpView::parse(kSyn, 39).error(), ParseError::bad_header_length);
}

TEST(Tcp, ASuperSegmentContinuesInOtherBuffers) {
  Bytes segment = kSyn;
  segment.resize(50);
  segment[13] = 0x19;  // FIN, PSH, ACK
  const auto view = TcpView::parse(segment, 64'000);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->payload_length(), 63'960U);
  EXPECT_EQ(view->payload().size(), 10U);
  EXPECT_EQ(view->sequence_length(), 63'961U);
  EXPECT_EQ(TcpView::parse(segment, 45)->payload().size(), 5U) << "padding is not payload";
}

TEST(Tcp, ParseOfEmitIsTheSameForAllFlags) {
  for (unsigned bits = 0; bits < 512; ++bits) {
    const TcpHeader header{
        Port{0xfffe}, Port{1}, SeqNum{0xfffffffe}, SeqNum{1}, TcpFlags::from_bits(static_cast<std::uint16_t>(bits)),
        0xabcd,       0x1234};
    Bytes out(20);
    ASSERT_EQ(header.emit(out), 20U);
    ASSERT_EQ(TcpView::parse(out)->header(), header);
    ASSERT_EQ(TcpView::parse(out)->header_length(), 20U);
  }
  Bytes small(19);
  EXPECT_EQ(TcpHeader{}.emit(small), 0U);
}

TEST(Tcp, TimestampsAreEmittedWhereTheFastPathReadsThem) {
  Bytes out(32);
  ASSERT_EQ(TcpHeader{}.emit_with_timestamps(out, 0x01020304, 0xfffefdfc), 32U);
  std::uint32_t value = 0;
  std::uint32_t echo = 0;
  ASSERT_TRUE(fast_timestamps(TcpView::parse(out)->options(), value, echo));
  EXPECT_EQ(value, 0x01020304U);
  EXPECT_EQ(echo, 0xfffefdfcU);
  EXPECT_EQ(TcpOptions::parse(TcpView::parse(out)->options()).timestamps, (TcpTimestamps{value, echo}));
  EXPECT_EQ(TcpHeader{}.emit_with_timestamps(MutableByteSpan{out}.first(31), 1, 2), 0U);
  EXPECT_FALSE(fast_timestamps(ByteSpan{kSyn}.subspan(20), value, echo));
  out[20] = 8;
  EXPECT_FALSE(fast_timestamps(ByteSpan{out}.subspan(20), value, echo));
}

TEST(TcpFlags, AreASet) {
  constexpr TcpFlags kSynAck = TcpFlag::syn | TcpFlag::ack;
  static_assert(kSynAck.syn() && kSynAck.ack() && !kSynAck.fin());
  static_assert(kSynAck.all(TcpFlag::syn | TcpFlag::ack) && !kSynAck.all(TcpFlag::syn | TcpFlag::rst));
  static_assert(kSynAck.any(TcpFlag::syn | TcpFlag::rst) && !kSynAck.any(TcpFlag::fin));
  static_assert(kSynAck.without(TcpFlag::ack) == TcpFlag::syn);
  static_assert(kSynAck.only(TcpFlag::ack | TcpFlag::fin) == TcpFlag::ack);
  static_assert(TcpFlags{TcpFlag::ae}.bits() == 0x100);
}

TEST(TcpOptions, ReadsTheOptionsOfACapturedSyn) {
  const auto o = TcpOptions::parse(TcpView::parse(kSyn)->options());
  EXPECT_EQ(o.mss, 1460);
  EXPECT_EQ(o.window_scale, 10);
  EXPECT_TRUE(o.sack_permitted);
  EXPECT_EQ(o.timestamps, (TcpTimestamps{0x3883be92, 0}));
  EXPECT_EQ(o.sack_count, 0);
  EXPECT_FALSE(o.fast_open);
  EXPECT_EQ(o.unknown, 0);
  EXPECT_FALSE(o.malformed);
}

// Attack row T11: no length makes the parser loop, and what came before a bad one counts.
TEST(TcpOptions, StopsAtImpossibleLengths) {
  for (unsigned length = 0; length < 256; ++length) {
    if (length >= 2 && length <= 4) continue;
    const Bytes options{2, 4, 5, 0xb4, 3, static_cast<std::uint8_t>(length), 7, 0};
    const auto o = TcpOptions::parse(options);
    EXPECT_TRUE(o.malformed) << length;
    EXPECT_EQ(o.mss, 1460);
    EXPECT_FALSE(o.window_scale);
  }
  EXPECT_TRUE(TcpOptions::parse(Bytes{1, 1, 1, 8}).malformed) << "a kind without a length";
  for (const std::uint8_t length : {std::uint8_t{0}, std::uint8_t{1}}) {
    const Bytes scale{3, length, 7};
    EXPECT_TRUE(TcpOptions::parse(scale).malformed);
    EXPECT_FALSE(TcpOptions::parse(scale).window_scale) << "what is left is not its body";
  }
}

TEST(TcpOptions, IgnoresKnownOptionsOfWrongLength) {
  const Bytes options{2, 3, 5, 4, 3, 0, 8, 9, 1, 2, 3,  4, 5, 6, 7, 3,  2, 5,
                      9, 1, 2, 3, 4, 5, 6, 7, 5, 2, 34, 5, 1, 2, 3, 34, 3, 9};
  const auto o = TcpOptions::parse(options);
  EXPECT_FALSE(o.malformed);
  TcpOptions nothing;
  EXPECT_EQ(o, nothing);
  const Bytes longer{2, 6, 5, 0xb4, 5, 0xb4, 3, 4, 7, 7, 8, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  EXPECT_EQ(TcpOptions::parse(longer), nothing);
}

TEST(TcpOptions, SkipsAndCountsUnknownKindsAndStopsAtTheEnd) {
  const Bytes options{254, 4, 0xf9, 0x89, 19, 2, 3, 3, 99, 0, 2, 4, 1, 1};
  const auto o = TcpOptions::parse(options);
  EXPECT_EQ(o.unknown, 2);
  EXPECT_EQ(o.window_scale, 14) << "RFC 7323 2.3: more than 14 counts as 14";
  EXPECT_FALSE(o.mss) << "it stands behind end-of-list";
}

TEST(TcpOptions, ReadsSackBlocksAndCookies) {
  const Bytes options{5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 9, 34, 6, 1, 2, 3, 4};
  const auto o = TcpOptions::parse(options);
  ASSERT_EQ(o.sack().size(), 2U);
  EXPECT_EQ(o.sack()[0], (SackBlock{SeqNum{1}, SeqNum{2}}));
  EXPECT_EQ(o.sack()[1], (SackBlock{SeqNum{0xffffffff}, SeqNum{9}}));
  ASSERT_TRUE(o.fast_open);
  EXPECT_EQ(o.fast_open->size(), 4U);
  EXPECT_EQ((*o.fast_open)[3], 4);
  const auto request = TcpOptions::parse(Bytes{34, 2});
  ASSERT_TRUE(request.fast_open);
  EXPECT_TRUE(request.fast_open->empty());
}

TcpOptions full_syn() {
  TcpOptions o;
  o.mss = 1460;
  o.window_scale = 7;
  o.sack_permitted = true;
  o.timestamps = TcpTimestamps{0x11223344, 0x55667788};
  return o;
}

TEST(TcpOptions, EmitsEitherOrder) {
  Bytes out(40);
  out.resize(full_syn().emit(out));
  EXPECT_EQ(out, from_hex("020405b40402080a11223344556677880103"
                          "0307"));
  out.resize(40);
  out.resize(full_syn().emit(out, TcpOptionOrder::mss_scale_sack_timestamps));
  EXPECT_EQ(out, from_hex("020405b4010303070402080a1122334455667788"));
}

TEST(TcpOptions, AlignsWhateverIsLeftOut) {
  TcpOptions o = full_syn();
  o.timestamps.reset();
  Bytes out(40);
  out.resize(o.emit(out));
  EXPECT_EQ(out, from_hex("020405b40101040201030307"));
  o.sack_permitted = false;
  out.resize(40);
  out.resize(o.emit(out));
  EXPECT_EQ(out, from_hex("020405b401030307"));
}

TEST(TcpOptions, WritesAsManySackBlocksAsFit) {
  TcpOptions o;
  for (std::uint32_t i = 0; i < 4; ++i) EXPECT_TRUE(o.add_sack({SeqNum{10 * i}, SeqNum{10 * i + 5}}));
  EXPECT_FALSE(o.add_sack({}));
  Bytes out(40);
  EXPECT_EQ(o.emit(out), 36U);
  EXPECT_EQ(TcpOptions::parse(ByteSpan{out}.first(36)).sack_count, 4);
  o.timestamps = TcpTimestamps{1, 2};
  ASSERT_EQ(o.emit(out), 40U);
  const auto with_timestamps = TcpOptions::parse(out);
  EXPECT_EQ(with_timestamps.sack_count, 3);
  EXPECT_EQ(with_timestamps.sack()[2], o.sack()[2]);
  o.timestamps.reset();
  for (std::size_t room = 0; room <= 40; ++room) {
    const std::size_t blocks = room < 12 ? 0 : (room - 4) / 8;
    EXPECT_EQ(o.emit(MutableByteSpan{out}.first(room)), blocks == 0 ? 0 : 4 + 8 * blocks) << room;
  }
}

// Every combination of options and both orders.
TEST(TcpOptions, ParseOfEmitIsTheSame) {
  const Bytes cookie{1, 2, 3, 4, 5, 6, 7, 8};
  for (unsigned mask = 0; mask < 64; ++mask) {
    TcpOptions o;
    if ((mask & 1) != 0) o.mss = 536;
    if ((mask & 2) != 0) o.window_scale = 14;
    o.sack_permitted = (mask & 4) != 0;
    if ((mask & 8) != 0) o.timestamps = TcpTimestamps{0xffffffff, 1};
    if ((mask & 16) != 0) o.fast_open = cookie;
    if ((mask & 32) != 0 && (mask & 16) == 0) {
      EXPECT_TRUE(o.add_sack({SeqNum{0xfffffff0}, SeqNum{0x10}}));
    }
    for (const auto order : {TcpOptionOrder::mss_sack_timestamps_scale, TcpOptionOrder::mss_scale_sack_timestamps}) {
      Bytes out(40);
      const std::size_t length = o.emit(out, order);
      ASSERT_EQ(length == 0, mask == 0) << mask;
      ASSERT_EQ(length % 4, 0U);
      ASSERT_EQ(TcpOptions::parse(ByteSpan{out}.first(length)), o) << mask;
      if (o.sack_count > 0) continue;  // with less room, fewer blocks are written
      for (std::size_t n = 0; n < length; ++n) ASSERT_EQ(o.emit(MutableByteSpan{out}.first(n), order), 0U) << n;
    }
  }
}

TEST(TcpOptions, EveryTruncationAndRandomBytesAreSafe) {
  const Bytes options = first(without_first(kSyn, 20), 20);
  for (std::size_t n = 0; n <= options.size(); ++n) {
    const auto o = TcpOptions::parse(first(options, n));
    EXPECT_EQ(o.malformed, n != 0 && n != 4 && n != 6 && n != 16 && n != 17 && n != 20) << n;
  }
  Rng rng{{5, 6}};
  for (int round = 0; round < 20'000; ++round) {
    Bytes bytes(rng.below(41));
    for (auto& b : bytes) b = static_cast<std::uint8_t>(rng.below(rng.below(2) == 0 ? 12 : 256));
    const auto o = TcpOptions::parse(bytes);
    ASSERT_LE(o.sack_count, 4);
    Bytes out(40);
    const std::size_t length = o.emit(out);
    TcpOptions again = TcpOptions::parse(ByteSpan{out}.first(length));
    // What was understood survives, but for SACK blocks that don't fit beside everything else.
    again.unknown = o.unknown;
    again.malformed = o.malformed;
    if (again.sack_count == o.sack_count && length > 0) {
      ASSERT_EQ(again, o);
    }
  }
}

}  // namespace
}  // namespace leat::wire
