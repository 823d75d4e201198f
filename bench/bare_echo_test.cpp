// The echo without a stack answers as a peer expects it, with what the checksum field needs to be completed.

#include <gtest/gtest.h>

#include <array>
#include <bench/bare_echo.hpp>
#include <leat/wire/arp.hpp>
#include <leat/wire/ethernet.hpp>
#include <leat/wire/ipv4.hpp>
#include <leat/wire/tcp_options.hpp>
#include <vector>

namespace leat::bench {
namespace {

using wire::TcpFlag;

const MacAddress kPeerMac{{2, 0, 0, 0, 0, 1}}, kOurMac{{2, 0, 0, 0, 0, 2}};
const IpAddress kPeer = IpAddress::v4(0x0a4f0401), kOurs = IpAddress::v4(0x0a4f0402);
constexpr std::size_t kIp = wire::EthernetHeader::kLength, kTcp = kIp + wire::Ipv4Header::kLength;

// As Linux hands it to a TAP: the checksum field holds the sum of the pseudo header.
std::vector<std::uint8_t> segment(const wire::TcpHeader& tcp, ByteSpan options, std::size_t payload) {
  const std::size_t length = wire::TcpHeader::kLength + options.size() + payload;
  std::vector<std::uint8_t> frame(kTcp + length, 0x61);
  const MutableByteSpan all{frame};
  EXPECT_GT((wire::EthernetHeader{kOurMac, kPeerMac, wire::EtherType::ipv4}.emit(all)), 0U);
  wire::Ipv4Header ip;
  ip.protocol = wire::IpProtocol::tcp;
  ip.source = kPeer;
  ip.destination = kOurs;
  ip.payload_length = static_cast<std::uint16_t>(length);
  EXPECT_GT(ip.emit(all.subspan(kIp)), 0U);
  EXPECT_GT(tcp.emit(all.subspan(kTcp), options.size()), 0U);
  std::ranges::copy(options, all.subspan(kTcp + wire::TcpHeader::kLength).begin());
  store_be16(&frame[kTcp + wire::TcpHeader::kChecksumOffset],
             static_cast<std::uint16_t>(pseudo_header_sum(kPeer, kOurs, 6, static_cast<std::uint32_t>(length))));
  return frame;
}

// The answer's TCP header, once the kernel has completed its checksum.
wire::TcpView checked(std::vector<std::uint8_t>& frame) {
  const auto link = wire::EthernetView::parse(frame);
  EXPECT_EQ(link->destination(), kPeerMac);
  EXPECT_EQ(link->source(), kOurMac);
  const auto ip = wire::Ipv4View::parse(link->payload());
  EXPECT_TRUE(ip->checksum_ok());
  EXPECT_EQ(ip->source(), kOurs);
  EXPECT_EQ(ip->destination(), kPeer);
  const MutableByteSpan tcp = MutableByteSpan{frame}.subspan(kTcp);
  store_be16(&tcp[wire::TcpHeader::kChecksumOffset], checksum_finish(checksum_add(0, tcp)));
  const Sum pseudo = pseudo_header_sum(kOurs, kPeer, 6, static_cast<std::uint32_t>(tcp.size()));
  EXPECT_EQ(checksum_finish(checksum_add(pseudo, tcp)), 0);
  return *wire::TcpView::parse(tcp);
}

TEST(Bench_BareEcho, TakesAConnectionWithItsMssAlone) {
  const std::array<std::uint8_t, 20> options{2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7};
  const wire::TcpHeader syn{Port{40000}, Port{7}, SeqNum{77}, SeqNum{0}, TcpFlag::syn};
  auto frame = segment(syn, options, 0);
  ASSERT_TRUE(turn_round(frame, kOurMac, kOurs));
  const auto reply = checked(frame);
  EXPECT_EQ(reply.source_port(), Port{7});
  EXPECT_EQ(reply.destination_port(), Port{40000});
  EXPECT_EQ(reply.flags(), TcpFlag::syn | TcpFlag::ack);
  EXPECT_EQ(reply.seq(), SeqNum{77});
  EXPECT_EQ(reply.ack(), SeqNum{78});
  const auto taken = wire::TcpOptions::parse(reply.options());
  EXPECT_EQ(taken.mss, 1460);
  EXPECT_FALSE(taken.window_scale || taken.sack_permitted || taken.timestamps || taken.malformed);
}

TEST(Bench_BareEcho, SendsBackDataAndTheEndAndNothingElse) {
  wire::TcpHeader tcp{Port{40000}, Port{7}, SeqNum{100}, SeqNum{5000}, TcpFlag::ack | TcpFlag::psh, 600};
  auto frame = segment(tcp, {}, 500);
  ASSERT_TRUE(turn_round(frame, kOurMac, kOurs));
  const auto echo = checked(frame);
  EXPECT_EQ(echo.seq(), SeqNum{100}) << "its own numbers, whatever else of the peer's is on the way";
  EXPECT_EQ(echo.ack(), SeqNum{600});
  EXPECT_EQ(echo.flags(), TcpFlag::ack | TcpFlag::psh);
  EXPECT_EQ(echo.window(), 600);
  EXPECT_EQ(std::ranges::count(echo.payload(), 0x61), 500);

  tcp.flags = TcpFlag::ack | TcpFlag::fin;
  frame = segment(tcp, {}, 0);
  ASSERT_TRUE(turn_round(frame, kOurMac, kOurs));
  const auto end = checked(frame);
  EXPECT_EQ(end.flags(), TcpFlag::ack | TcpFlag::fin);
  EXPECT_EQ(end.ack(), SeqNum{101});

  tcp.flags = TcpFlag::ack;
  frame = segment(tcp, {}, 0);
  EXPECT_FALSE(turn_round(frame, kOurMac, kOurs));
  tcp.flags = TcpFlag::rst;
  frame = segment(tcp, {}, 5);
  EXPECT_FALSE(turn_round(frame, kOurMac, kOurs));
  for (std::size_t length = 0; length < kTcp + wire::TcpHeader::kLength; ++length)
    EXPECT_FALSE(turn_round(MutableByteSpan{frame}.first(length), kOurMac, kOurs)) << length;
}

TEST(Bench_BareEcho, TellsItsAddress) {
  std::vector<std::uint8_t> frame(kIp + wire::ArpHeader::kLength);
  const wire::ArpHeader request{wire::ArpOperation::request, kPeerMac, kPeer, {}, kOurs};
  const MutableByteSpan all{frame};
  EXPECT_GT((wire::EthernetHeader{MacAddress::broadcast(), kPeerMac, wire::EtherType::arp}.emit(all)), 0U);
  EXPECT_GT(request.emit(all.subspan(kIp)), 0U);
  auto other = frame;
  ASSERT_TRUE(turn_round(frame, kOurMac, kOurs));
  const auto reply = wire::ArpView::parse(ByteSpan{frame}.subspan(kIp));
  EXPECT_EQ(reply->operation(), wire::ArpOperation::reply);
  EXPECT_EQ(reply->sender_mac(), kOurMac);
  EXPECT_EQ(reply->target_mac(), kPeerMac);
  EXPECT_FALSE(turn_round(other, kOurMac, kPeer)) << "asked for another";
}

}  // namespace
}  // namespace leat::bench
