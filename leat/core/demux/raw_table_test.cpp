#include <gtest/gtest.h>

#include <leat/core/demux/raw_table.hpp>
#include <vector>

namespace leat {
namespace {

std::vector<Index> receivers(const RawTable& table, IpVersion version, std::uint8_t protocol) {
  std::vector<Index> values;
  const unsigned called = table.for_each(version, protocol, [&](Index v) { values.push_back(v); });
  EXPECT_EQ(called, values.size());
  return values;
}

TEST(RawTable, ProtocolAndVersionSelectAndZeroTakesAll) {
  std::vector<RawEntry> memory(8);
  RawTable table(memory);
  EXPECT_TRUE(table.empty());
  EXPECT_NE(table.add(IpVersion::v4, 0, 100), kNoIndex);
  EXPECT_NE(table.add(IpVersion::v4, 1, 101), kNoIndex);
  EXPECT_NE(table.add(IpVersion::v4, 1, 102), kNoIndex);
  EXPECT_NE(table.add(IpVersion::v4, 17, 103), kNoIndex);  // the same list as 1
  EXPECT_NE(table.add(IpVersion::v6, 1, 104), kNoIndex);
  EXPECT_EQ(receivers(table, IpVersion::v4, 1), (std::vector<Index>{101, 102, 100}));
  EXPECT_EQ(receivers(table, IpVersion::v4, 17), (std::vector<Index>{103, 100}));
  EXPECT_EQ(receivers(table, IpVersion::v4, 6), (std::vector<Index>{100}));
  EXPECT_EQ(receivers(table, IpVersion::v6, 1), (std::vector<Index>{104}));
  EXPECT_EQ(receivers(table, IpVersion::v6, 58), (std::vector<Index>{}));
  // Protocol 0 is also IPv6 hop-by-hop: who takes all gets it once.
  EXPECT_EQ(receivers(table, IpVersion::v4, 0), (std::vector<Index>{100}));
}

TEST(RawTable, IsBoundedAndEntriesMayLeaveDuringAWalk) {
  std::vector<RawEntry> memory(3);
  RawTable table(memory);
  std::vector<Index> entries;
  for (Index v = 0; v < 3; ++v) entries.push_back(table.add(IpVersion::v4, 89, v));
  EXPECT_EQ(table.add(IpVersion::v4, 89, 3), kNoIndex);
  std::vector<Index> seen;
  table.for_each(IpVersion::v4, 89, [&](Index v) {
    seen.push_back(v);
    table.remove(entries[v]);
  });
  EXPECT_EQ(seen, (std::vector<Index>{0, 1, 2}));
  EXPECT_TRUE(table.empty());
  EXPECT_NE(table.add(IpVersion::v4, 89, 9), kNoIndex);
  EXPECT_EQ(receivers(table, IpVersion::v4, 89), (std::vector<Index>{9}));
}

}  // namespace
}  // namespace leat
