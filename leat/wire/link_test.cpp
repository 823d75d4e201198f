#include <gtest/gtest.h>

#include <leat/wire/arp.hpp>
#include <leat/wire/captured_test_support.hpp>
#include <leat/wire/vlan.hpp>

namespace leat::wire {
namespace {

using namespace captured;

TEST(Ethernet, ReadsACapturedFrame) {
  const auto view = EthernetView::parse(kTcpSynV4);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->destination(), MacAddress::parse("02:00:00:00:00:02"));
  EXPECT_EQ(view->source(), MacAddress::parse("02:00:00:00:00:01"));
  EXPECT_EQ(view->type(), EtherType::ipv4);
  EXPECT_FALSE(view->is_802_3());
  EXPECT_EQ(view->payload().size(), kTcpSynV4.size() - 14);
}

TEST(Ethernet, RefusesEveryTruncatedHeaderAndEmitsWhatItParses) {
  for (std::size_t n = 0; n < 14; ++n) {
    EXPECT_EQ(EthernetView::parse(first(kArpRequest, n)).error(), ParseError::truncated) << n;
  }
  const auto view = EthernetView::parse(kArpRequest);
  Bytes out(14);
  EXPECT_EQ(view->header().emit(out), 14U);
  EXPECT_EQ(out, first(kArpRequest, 14));
  EXPECT_EQ(view->header().emit(MutableByteSpan{out}.first(13)), 0U);
}

TEST(Ethernet, TellsLengthsFromTypes) {
  Bytes frame = kArpRequest;
  store_be16(&frame[12], 0x05dc);
  EXPECT_TRUE(EthernetView::parse(frame)->is_802_3());
  store_be16(&frame[12], 0x0600);
  EXPECT_FALSE(EthernetView::parse(frame)->is_802_3());
}

TEST(Vlan, ParseOfEmitIsTheSame) {
  for (const VlanHeader tag : {VlanHeader{5, true, 4094, EtherType::ipv6}, VlanHeader{0, false, 1, EtherType::arp},
                               VlanHeader{7, false, 0, EtherType::ipv4}}) {
    Bytes out(6, 0xee);
    ASSERT_EQ(tag.emit(out), 4U);
    const auto view = VlanView::parse(out);
    ASSERT_TRUE(view);
    EXPECT_EQ(view->header(), tag);
    EXPECT_EQ(view->payload().size(), 2U);
    for (std::size_t n = 0; n < 4; ++n) EXPECT_FALSE(VlanView::parse(first(out, n)));
  }
}

TEST(Arp, ReadsACapturedRequest) {
  const auto view = ArpView::parse(EthernetView::parse(kArpRequest)->payload());
  ASSERT_TRUE(view);
  EXPECT_EQ(view->operation(), ArpOperation::request);
  EXPECT_EQ(view->sender_mac(), MacAddress::parse("02:00:00:00:00:01"));
  EXPECT_EQ(view->sender_ip(), IpAddress::v4(10, 0, 0, 1));
  EXPECT_TRUE(view->target_mac().is_zero());
  EXPECT_EQ(view->target_ip(), IpAddress::v4(10, 0, 0, 2));
  Bytes out(28);
  EXPECT_EQ(view->header().emit(out), 28U);
  EXPECT_EQ(out, without_first(kArpRequest, 14));
}

TEST(Arp, ParseOfEmitIsTheSame) {
  const ArpHeader reply{
      ArpOperation::reply, {{2, 3, 4, 5, 6, 7}}, IpAddress::v4(0xfffefdfc), {{8, 9, 10, 11, 12, 13}}, IpAddress::v4(1)};
  Bytes out(28);
  ASSERT_EQ(reply.emit(out), 28U);
  EXPECT_EQ(ArpView::parse(out)->header(), reply);
  EXPECT_EQ(reply.emit(MutableByteSpan{out}.first(27)), 0U);
}

TEST(Arp, RefusesWhatIsNotIpv4OverEthernet) {
  const Bytes good = without_first(kArpRequest, 14);
  for (std::size_t n = 0; n < 28; ++n) EXPECT_EQ(ArpView::parse(first(good, n)).error(), ParseError::truncated) << n;
  const auto with = [&](std::size_t at, std::uint8_t value) {
    Bytes bad = good;
    bad[at] = value;
    return ArpView::parse(bad).error();
  };
  EXPECT_EQ(with(1, 6), ParseError::bad_type);     // hardware
  EXPECT_EQ(with(2, 0x86), ParseError::bad_type);  // protocol
  EXPECT_EQ(with(4, 8), ParseError::bad_length);
  EXPECT_EQ(with(5, 16), ParseError::bad_length);
  EXPECT_EQ(with(7, 0), ParseError::bad_type);  // operation
  EXPECT_EQ(with(7, 3), ParseError::bad_type);
}

}  // namespace
}  // namespace leat::wire
