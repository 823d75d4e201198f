#include <gtest/gtest.h>

#include <leat/base/rng.hpp>
#include <leat/wire/captured_test_support.hpp>
#include <leat/wire/pretty_print.hpp>
#include <string>

namespace leat::wire {
namespace {

using namespace captured;

std::string printed(const Bytes& frame) {
  std::array<char, kPrettyLength> out{};
  return {out.data(), print_frame(frame, out)};
}

TEST(PrettyPrint, SaysWhatTheCapturedFramesAre) {
  EXPECT_EQ(printed(kArpRequest), "ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28");
  EXPECT_EQ(printed(kTcpSynV4),
            "IP 10.0.0.1.33160 > 10.0.0.2.80: Flags [S], seq 3407703542, win 64240, options [mss 1460,sackOK,TS val "
            "948158098 ecr 0,wscale 10], length 0");
  EXPECT_EQ(printed(kUdpV4), "IP 10.0.0.1.45651 > 10.0.0.2.53: UDP, length 10");
  EXPECT_EQ(printed(kUdpV6), "IP6 2001:db8::1.40183 > 2001:db8::2.53: UDP, length 3");
  EXPECT_EQ(printed(kPingV4), "IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 22224, seq 1, length 64");
  EXPECT_EQ(printed(kPingV6), "IP6 2001:db8::1 > 2001:db8::2: ICMP6 echo request, id 22225, seq 1, length 28");
  EXPECT_EQ(printed(kDadSolicitation),
            "IP6 :: > ff02::1:ff00:1: ICMP6 neighbor solicitation, who has fe80::ff:fe00:1, length 32");
  EXPECT_EQ(printed(kRouterSolicitation),
            "IP6 fe80::ff:fe00:1 > ff02::2: ICMP6 router solicitation, source 02:00:00:00:00:01, length 16");
  EXPECT_EQ(printed(kMldReport), "IP6 :: > ff02::16: ICMP6 type 143 code 0, length 28");
}

TEST(PrettyPrint, ShowsDataSegmentsWithTheirRange) {
  Bytes frame = kTcpSynV4;
  frame[34 + 13] = 0x18;
  store_be32(&frame[34 + 8], 77);
  frame[34 + 12] = 0x50;  // the options become 20 bytes of payload
  EXPECT_EQ(printed(frame),
            "IP 10.0.0.1.33160 > 10.0.0.2.80: Flags [P.], seq 3407703542:3407703562, ack 77, win 64240, length 20");
}

TEST(PrettyPrint, ShowsTagsFragmentsAndUnknownTypes) {
  Bytes tagged = kPingV4;
  const Bytes tag{0x81, 0x00, 0x00, 0x2a};
  tagged.insert(tagged.begin() + 12, tag.begin(), tag.end());
  EXPECT_EQ(printed(tagged), "vlan 42, " + printed(kPingV4));
  Bytes fragment = kPingV4;
  store_be16(&fragment[14 + 6], 0x20b9);
  EXPECT_EQ(printed(fragment), "IP 10.0.0.1 > 10.0.0.2: frag id 51063 offset 1480 length 64+ ip-proto-1");
  Bytes unknown = kPingV4;
  store_be16(&unknown[12], 0x88cc);
  EXPECT_EQ(printed(unknown), "ethertype 0x88cc, length 84");
}

TEST(PrettyPrint, ShowsTheFlowThatAnErrorQuotes) {
  Bytes packet = from_hex(
      "45000038000000004001000"
      "00a0000020a000001"
      "0304000000000578");
  const Bytes quoted = first(without_first(kUdpV4, 14), 28);
  packet.insert(packet.end(), quoted.begin(), quoted.end());
  std::array<char, kPrettyLength> out{};
  EXPECT_EQ(
      std::string(out.data(), print_ip(packet, out)),
      "IP 10.0.0.2 > 10.0.0.1: ICMP unreachable code 4 mtu 1400 for 10.0.0.1.45651 > 10.0.0.2.53 proto 17, length "
      "36");
}

TEST(PrettyPrint, NamesWhatIsMalformed) {
  EXPECT_EQ(printed(first(kTcpSynV4, 10)), "Ethernet malformed (truncated), length 10");
  EXPECT_EQ(printed(first(kTcpSynV4, 40)), "IP malformed (bad length), length 26");
  Bytes bad = kTcpSynV4;
  bad[34 + 12] = 0x10;
  EXPECT_EQ(printed(bad), "IP 10.0.0.1 > 10.0.0.2: TCP malformed (bad header length), length 40");
  Bytes mld = kMldReport;
  mld[14 + 40 + 2] = 0xc5;
  EXPECT_EQ(printed(mld), "IP6 :: > ff02::16: extension headers refused (code 2 pointer 42), length 36");
}

TEST(PrettyPrint, AnyDamageAndAnyBufferSizeIsSafe) {
  Rng rng{{7, 8}};
  for (const Bytes& frame : {kArpRequest, kTcpSynV4, kTcpSynV6, kUdpV4, kPingV6, kDadSolicitation, kMldReport}) {
    const std::string whole = printed(frame);
    for (std::size_t n = 0; n <= whole.size(); ++n) {
      std::vector<char> out(n);
      ASSERT_EQ(print_frame(frame, out), n);
      ASSERT_EQ(std::string(out.begin(), out.end()), whole.substr(0, n));
    }
    for (std::size_t n = 0; n <= frame.size(); ++n) EXPECT_FALSE(printed(first(frame, n)).empty());
    for (int round = 0; round < 2'000; ++round) {
      Bytes damaged = first(frame, rng.below(static_cast<std::uint32_t>(frame.size()) + 1));
      for (unsigned i = rng.below(6); i > 0 && !damaged.empty(); --i) {
        damaged[rng.below(static_cast<std::uint32_t>(damaged.size()))] = static_cast<std::uint8_t>(rng.next32());
      }
      EXPECT_FALSE(printed(damaged).empty());
    }
  }
}

}  // namespace
}  // namespace leat::wire
