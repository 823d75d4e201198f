// Quantities, near misses, tables and JSON.

#include "text.hpp"

#include <gtest/gtest.h>

#include <array>

#include "json.hpp"

namespace leat::tools {
namespace {

TEST(Text, SizesAreDecimalUnlessTheySayI) {
  EXPECT_EQ(parse_size("1500"), 1500U);
  EXPECT_EQ(parse_size("10M"), 10'000'000U);
  EXPECT_EQ(parse_size("1.5K"), 1500U);
  EXPECT_EQ(parse_size("64Ki"), 65536U);
  EXPECT_EQ(parse_size("18446744073709551615"), UINT64_MAX);
  for (const char* wrong : {"", "M", "10X", "-1", "1.5", "10 M x", "1e6", "99999999999999999999", "0x10", ".", "1.2.3"})
    EXPECT_FALSE(parse_size(wrong)) << wrong;
}

TEST(Text, DurationsNeedAUnit) {
  EXPECT_EQ(parse_duration("40ms"), Duration::ms(40));
  EXPECT_EQ(parse_duration("1.5s"), Duration::ms(1500));
  EXPECT_EQ(parse_duration("200us"), Duration::us(200));
  EXPECT_EQ(parse_duration("0"), Duration{});
  for (const char* wrong : {"", "40", "ms", "-1s", "40 parsecs"}) EXPECT_FALSE(parse_duration(wrong)) << wrong;
}

TEST(Text, ChancesArePercent) {
  EXPECT_EQ(parse_ppm("2%"), 20'000U);
  EXPECT_EQ(parse_ppm("0.1%"), 1000U);
  EXPECT_EQ(parse_ppm("100%"), 1'000'000U);
  EXPECT_EQ(parse_ppm("0"), 0U);
  for (const char* wrong : {"", "2", "101%", "-1%", "%"}) EXPECT_FALSE(parse_ppm(wrong)) << wrong;
}

TEST(Text, QuantitiesForPeople) {
  EXPECT_EQ(bytes_text(512), "512 B");
  EXPECT_EQ(bytes_text(1e8), "100 MB");
  EXPECT_EQ(rate_text(8.314e9), "8.31 Gbit/s");
  EXPECT_EQ(time_text(41.2e-6), "41.2 us");
  EXPECT_EQ(time_text(2.3), "2.30 s");
}

TEST(Text, NearMissesFindTheirName) {
  constexpr std::array<std::string_view, 4> kKnown{"tcp_sack", "tcp_nodelay", "addresses", "gateway"};
  EXPECT_EQ(nearest("adresses", kKnown), "addresses");
  EXPECT_EQ(nearest("tcp_sak", kKnown), "tcp_sack");
  EXPECT_EQ(nearest("nodelay", kKnown), "tcp_nodelay");
  EXPECT_EQ(nearest("quux", kKnown), "");
}

TEST(Text, TablesAlignNumbersToTheRight) {
  EXPECT_EQ(table({{"name", "n"}, {"a", "10"}, {"longer", "5"}}), "name    n\na       10\nlonger   5\n");
}

TEST(Json, KeepsTheOrderOfKeysAndTheKindOfNumbers) {
  Value v;
  v.set("z", 1).set("a", true).set("f", 0.5).set("s", "q\"\n").set("list", Value::Array{1, "x"});
  EXPECT_EQ(v.dump(), "{\"z\":1,\"a\":true,\"f\":0.5,\"s\":\"q\\\"\\n\",\"list\":[1,\"x\"]}");
  EXPECT_EQ(v.find("a")->text(), "yes");
  EXPECT_EQ(v.find("none"), nullptr);
}

TEST(Json, BytesThatAreNotUtf8DontEndTheProgram) {
  EXPECT_NO_THROW((void)Value("\xff\xfe name").dump());
}

}  // namespace
}  // namespace leat::tools
