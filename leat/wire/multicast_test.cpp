#include <gtest/gtest.h>

#include <leat/base/rng.hpp>
#include <leat/wire/captured_test_support.hpp>
#include <leat/wire/igmp.hpp>
#include <leat/wire/ipv6.hpp>

namespace leat::wire {
namespace {

using namespace captured;

const IpAddress kGroup6 = *IpAddress::parse("ff02::1:ff00:1");
const IpAddress kGroup4 = IpAddress::v4(224, 0, 0, 251);

TEST(Mld, ReadsACapturedReportAndWritesItAgain) {
  const auto ip = Ipv6View::parse(ByteSpan{kMldReport}.subspan(14));
  const ByteSpan message = ip->payload().subspan(8);
  auto reader = *MldReportReader::parse(message);
  EXPECT_EQ(reader.next(), (MulticastRecord{MulticastRecordType::change_to_exclude, kGroup6}));
  EXPECT_EQ(reader.next(), std::nullopt);

  Bytes out(40);
  MldReportWriter writer{out};
  EXPECT_TRUE(writer.add({MulticastRecordType::change_to_exclude, kGroup6}));
  EXPECT_FALSE(writer.add({MulticastRecordType::change_to_exclude, kGroup6})) << "40 bytes hold one record";
  out.resize(writer.finish());
  finish_icmpv6_checksum(out, ip->source(), ip->destination());
  EXPECT_EQ(out, Bytes(message.begin(), message.end()));
  EXPECT_EQ(MldReportWriter{out}.finish(), 0U);
}

TEST(Mld, TheHopByHopHeaderIsTheCapturedOneButForThePadding) {
  const auto header = mld_hop_by_hop();
  EXPECT_EQ(Bytes(header.begin(), header.end()), from_hex("3a00050200000100"));
  EXPECT_EQ(first(without_first(kMldReport, 54), 8), from_hex("3a00050200000100"));
}

TEST(Mld, RecordsThatContradictTheMessageEndTheReport) {
  Bytes report(8 + 20 + 20);
  report[0] = 143;
  report[7] = 5;      // five records are announced, two are there
  report[8 + 3] = 1;  // the first has a source of 16 bytes
  auto reader = *MldReportReader::parse(report);
  EXPECT_TRUE(reader.next());
  EXPECT_FALSE(reader.next()) << "only 4 bytes are left behind it";
  report[8 + 2] = 0xff;
  reader = *MldReportReader::parse(report);
  EXPECT_FALSE(reader.next());
  for (std::size_t n = 0; n < 8; ++n)
    EXPECT_EQ(MldReportReader::parse(first(report, n)).error(), ParseError::truncated);
}

TEST(Mld, QueriesOfBothVersionsRoundTrip) {
  for (const MldQuery query :
       {MldQuery{MldQuery::Version::v1, 10'000, {}, 0}, MldQuery{MldQuery::Version::v2, 1'000, kGroup6, 0}}) {
    Bytes out(28);
    out.resize(query.emit(out));
    EXPECT_EQ(*MldQuery::parse(out), query);
    for (std::size_t n = 0; n < out.size(); ++n) {
      if (n == 24) continue;  // a version 1 query
      EXPECT_FALSE(MldQuery::parse(first(out, n))) << n;
      EXPECT_TRUE(n >= 24 || query.emit(MutableByteSpan{out}.first(n)) == 0);
    }
  }
  Bytes bad(28);
  ASSERT_EQ(MldQuery{}.emit(bad), 28U);
  bad[27] = 1;  // a source that is not there
  EXPECT_EQ(MldQuery::parse(bad).error(), ParseError::bad_length);
  bad[27] = 0;
  bad[8] = 0x20;
  EXPECT_EQ(MldQuery::parse(bad).error(), ParseError::bad_address);
}

// RFC 3810 5.1.3, RFC 3376 4.1.1: response codes above the linear range.
TEST(Mld, ResponseCodesAreFloatingPointAboveTheHighBit) {
  EXPECT_EQ(decode_code(32'767, 12), 32'767U);
  EXPECT_EQ(decode_code(0x8000, 12), 0x1000U << 3);
  EXPECT_EQ(decode_code(0xffff, 12), 0x1fffU << 10);
  EXPECT_EQ(decode_code(127, 4), 127U);
  EXPECT_EQ(decode_code(0x80, 4), 16U << 3);
  EXPECT_EQ(decode_code(0xff, 4), 31U << 10);
}

TEST(Mld, Version1MessagesRoundTrip) {
  const MldV1Message done{Icmpv6Type::mld_done, kGroup6};
  Bytes out(24);
  ASSERT_EQ(done.emit(out), 24U);
  EXPECT_EQ(*MldV1Message::parse(out), done);
  for (std::size_t n = 0; n < 24; ++n) EXPECT_FALSE(MldV1Message::parse(first(out, n)));
  out[8] = 0xfe;
  EXPECT_EQ(MldV1Message::parse(out).error(), ParseError::bad_address);
}

TEST(Igmp, MessagesRoundTripAndDamageIsNoticed) {
  for (const IgmpQuery query : {IgmpQuery{IgmpQuery::Version::v1, 10'000, IpAddress::v4(0), 0},
                                IgmpQuery{IgmpQuery::Version::v2, 2'500, kGroup4, 0},
                                IgmpQuery{IgmpQuery::Version::v3, 12'700, IpAddress::v4(0), 0}}) {
    Bytes out(12);
    out.resize(query.emit(out));
    EXPECT_EQ(*IgmpQuery::parse(out), query);
    for (std::size_t n = 0; n < out.size(); ++n) {
      if (n == 8) continue;  // zeros cut from a version 3 query leave one of version 2
      EXPECT_FALSE(IgmpQuery::parse(first(out, n))) << n;
    }
    for (std::size_t at = 1; at < out.size(); ++at) {
      Bytes bad = out;
      bad[at] ^= 4;
      EXPECT_EQ(IgmpQuery::parse(bad).error(), ParseError::bad_checksum) << at;
    }
  }
  const IgmpV2Message leave{IgmpType::v2_leave, kGroup4};
  Bytes out(8);
  ASSERT_EQ(leave.emit(out), 8U);
  EXPECT_EQ(*IgmpV2Message::parse(out), leave);
  for (std::size_t n = 0; n < 8; ++n) EXPECT_FALSE(IgmpV2Message::parse(first(out, n)));
  out[5] ^= 1;
  EXPECT_EQ(IgmpV2Message::parse(out).error(), ParseError::bad_checksum);
}

// A report of Linux for 224.0.0.251.
TEST(Igmp, ReadsAndWritesVersion3Reports) {
  const Bytes report = from_hex("2200f9020000000104000000e00000fb");
  auto reader = *IgmpReportReader::parse(report);
  EXPECT_EQ(reader.next(), (MulticastRecord{MulticastRecordType::change_to_exclude, kGroup4}));
  EXPECT_FALSE(reader.next());
  Bytes out(16);
  IgmpReportWriter writer{out};
  EXPECT_TRUE(writer.add({MulticastRecordType::change_to_exclude, kGroup4}));
  EXPECT_FALSE(writer.add({MulticastRecordType::change_to_exclude, kGroup4}));
  EXPECT_EQ(writer.finish(), 16U);
  EXPECT_EQ(out, report);
  for (std::size_t n = 0; n < 8; ++n) EXPECT_FALSE(IgmpReportReader::parse(first(report, n)));
}

}  // namespace
}  // namespace leat::wire
