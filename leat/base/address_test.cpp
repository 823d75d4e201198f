#include <gtest/gtest.h>

#include <leat/base/address.hpp>
#include <string>

namespace leat {
namespace {

template <class T>
std::string text_of(const T& value) {
  return std::string{AddressText(value).view()};
}
std::string reformatted(std::string_view text) {
  const auto a = IpAddress::parse(text);
  return a ? text_of(*a) : "refused";
}

TEST(IpAddress, ParsesDottedDecimal) {
  EXPECT_EQ(IpAddress::parse("10.0.0.1"), IpAddress::v4(10, 0, 0, 1));
  EXPECT_EQ(IpAddress::parse("255.255.255.255"), IpAddress::v4(0xffffffff));
  EXPECT_EQ(IpAddress::parse("0.0.0.0"), IpAddress::v4(0));
  for (const char* bad : {"", "1", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "1..2.3", "256.1.1.1", "01.2.3.4",
                          "1.2.3.04", "1.2.3.4 ", " 1.2.3.4", "+1.2.3.4", "1.2.3.4a", "1.2.3.1000", "0x1.2.3.4"}) {
    EXPECT_FALSE(IpAddress::parse(bad)) << bad;
  }
}

TEST(IpAddress, ParsesEveryFormOfRfc4291) {
  EXPECT_EQ(IpAddress::parse("::"), IpAddress{});
  EXPECT_EQ(IpAddress::parse("::1"), IpAddress::v6({0, 0, 0, 0, 0, 0, 0, 1}));
  EXPECT_EQ(IpAddress::parse("1::"), IpAddress::v6({1, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(IpAddress::parse("2001:DB8:0:0:8:800:200C:417A"),
            IpAddress::v6({0x2001, 0xdb8, 0, 0, 8, 0x800, 0x200c, 0x417a}));
  EXPECT_EQ(IpAddress::parse("2001:db8::8:800:200c:417a"),
            IpAddress::v6({0x2001, 0xdb8, 0, 0, 8, 0x800, 0x200c, 0x417a}));
  EXPECT_EQ(IpAddress::parse("1:2:3:4:5:6:7::"), IpAddress::v6({1, 2, 3, 4, 5, 6, 7, 0}));
  EXPECT_EQ(IpAddress::parse("::2:3:4:5:6:7:8"), IpAddress::v6({0, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(IpAddress::parse("::ffff:192.0.2.1"), IpAddress::v4(192, 0, 2, 1));
  EXPECT_EQ(IpAddress::parse("64:ff9b::192.0.2.1"), IpAddress::v6({0x64, 0xff9b, 0, 0, 0, 0, 0xc000, 0x201}));
  EXPECT_EQ(IpAddress::parse("1:2:3:4:5:6:1.2.3.4"), IpAddress::v6({1, 2, 3, 4, 5, 6, 0x102, 0x304}));
  for (const char* bad : {":", ":::", "1:", ":1", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
                          "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "12345::", "g::", "1:2:3:4:5:6:7:1.2.3.4",
                          "::1.2.3", "1.2.3.4::", "fe80::1%1", "1::2:", "::1:", "[::1]"}) {
    EXPECT_FALSE(IpAddress::parse(bad)) << bad;
  }
}

// RFC 5952 4: one canonical text.
TEST(IpAddress, FormatsAsRfc5952Recommends) {
  EXPECT_EQ(reformatted("2001:0DB8:0000:0000:0001:0000:0000:0001"), "2001:db8::1:0:0:1");  // first of equal runs
  EXPECT_EQ(reformatted("2001:db8:0:1:1:1:1:1"), "2001:db8:0:1:1:1:1:1");                  // a single group stays
  EXPECT_EQ(reformatted("2001:0:0:1:0:0:0:1"), "2001:0:0:1::1");                           // the longest run
  EXPECT_EQ(reformatted("0:0:0:0:0:0:0:0"), "::");
  EXPECT_EQ(reformatted("0:0:0:0:0:0:0:1"), "::1");
  EXPECT_EQ(reformatted("1:0:0:0:0:0:0:0"), "1::");
  EXPECT_EQ(reformatted("fe80::AbCd"), "fe80::abcd");
  EXPECT_EQ(reformatted("::ffff:10.0.0.1"), "10.0.0.1");
  EXPECT_EQ(reformatted("1:2:3:4:5:6:0:0"), "1:2:3:4:5:6::");
  EXPECT_EQ(reformatted("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

TEST(IpAddress, FormatThenParseGivesTheSameForEveryPatternOfZeroGroups) {
  for (unsigned mask = 0; mask < 256; ++mask) {
    std::array<std::uint16_t, 8> groups{};
    for (std::size_t i = 0; i < 8; ++i) groups[i] = static_cast<std::uint16_t>((mask >> i) & 1 ? 0x10 + i : 0);
    const IpAddress a = IpAddress::v6(groups);
    EXPECT_EQ(IpAddress::parse(text_of(a)), a) << text_of(a);
  }
}

TEST(IpAddress, FormatCutsAtTheEndOfTheBuffer) {
  std::array<char, 5> small{};
  EXPECT_EQ(format(IpAddress::v4(10, 20, 30, 40), small), 5U);
  EXPECT_EQ(std::string(small.data(), 5), "10.20");
  EXPECT_EQ(format(IpAddress::v4(10, 20, 30, 40), std::span<char>{}), 0U);
}

TEST(IpAddress, MappedAddressesAreVersion4) {
  EXPECT_TRUE(IpAddress::v4(0).is_v4());
  EXPECT_TRUE(IpAddress::v4(1, 2, 3, 4).is_v4());
  EXPECT_FALSE(IpAddress{}.is_v4());
  EXPECT_FALSE(IpAddress::v6({0, 0, 0, 0, 0, 0xfffe, 1, 1}).is_v4());
  EXPECT_FALSE(IpAddress::v6({0, 0, 0, 1, 0, 0xffff, 1, 1}).is_v4());
  EXPECT_FALSE(IpAddress::v6({0, 0, 0, 0, 1, 0xffff, 1, 1}).is_v4());
}

TEST(IpPrefix, ParsesAddressAndLength) {
  EXPECT_EQ(IpPrefix::parse("10.0.0.2/24"), (IpPrefix{IpAddress::v4(10, 0, 0, 2), 24}));
  EXPECT_EQ(IpPrefix::parse("10.0.0.2"), (IpPrefix{IpAddress::v4(10, 0, 0, 2), 32}));
  EXPECT_EQ(IpPrefix::parse("fe80::1/64")->length, 64);
  EXPECT_EQ(IpPrefix::parse("fe80::1")->length, 128);
  EXPECT_EQ(IpPrefix::parse("::/0")->length, 0);
  EXPECT_EQ(IpPrefix::parse("::ffff:10.0.0.0/104"), (IpPrefix{IpAddress::v4(10, 0, 0, 0), 8}));
  for (const char* bad : {"10.0.0.2/", "10.0.0.2/33", "10.0.0.2/024", "fe80::1/129", "/24", "10.0.0.2/-1",
                          "10.0.0.2/2x", "::ffff:10.0.0.0/64"}) {
    EXPECT_FALSE(IpPrefix::parse(bad)) << bad;
  }
  EXPECT_EQ(text_of(*IpPrefix::parse("10.0.0.2/24")), "10.0.0.2/24");
}

TEST(IpPrefix, ContainsComparesTheLeadingBits) {
  const auto p = *IpPrefix::parse("10.1.128.0/17");
  EXPECT_TRUE(p.contains(*IpAddress::parse("10.1.255.255")));
  EXPECT_FALSE(p.contains(*IpAddress::parse("10.1.127.255")));
  EXPECT_FALSE(p.contains(*IpAddress::parse("::1")));
  EXPECT_EQ(p.broadcast(), IpAddress::parse("10.1.255.255"));
  EXPECT_EQ(IpPrefix::parse("10.0.0.0/31")->broadcast(), std::nullopt);
  EXPECT_TRUE(IpPrefix::parse("::/0")->contains(*IpAddress::parse("fe80::1")));
}

TEST(MacAddress, ParsesAndFormats) {
  const MacAddress mac{{0x02, 0x00, 0x5e, 0x10, 0xAb, 0xff}};
  EXPECT_EQ(MacAddress::parse("02:00:5e:10:AB:ff"), mac);
  EXPECT_EQ(MacAddress::parse("02-00-5e-10-ab-ff"), mac);
  EXPECT_EQ(text_of(mac), "02:00:5e:10:ab:ff");
  for (const char* bad : {"", "02:00:5e:10:ab", "02:00:5e:10:ab:fg", "2:00:5e:10:ab:ff1", "02:00:5e:10:ab:ff:"}) {
    EXPECT_FALSE(MacAddress::parse(bad)) << bad;
  }
}

TEST(Endpoint, PutsIpv6InBrackets) {
  EXPECT_EQ(text_of(Endpoint{IpAddress::v4(10, 0, 0, 1), Port{80}}), "10.0.0.1:80");
  EXPECT_EQ(text_of(Endpoint{*IpAddress::parse("fe80::1"), Port{65535}}), "[fe80::1]:65535");
}

}  // namespace
}  // namespace leat
