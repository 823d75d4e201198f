#include <gtest/gtest.h>

#include <array>
#include <leat/core/demux/flow_memo.hpp>

namespace leat {
namespace {

TEST(FlowMemo, RemembersTheLastFlowOfASlotAndNothingElse) {
  std::array<FlowMemo::Entry, 64> entries{};
  FlowMemo memo{entries};
  EXPECT_EQ(memo.guess(FlowMemo::mix(1, 2, 3)), kNoIndex);
  for (std::uint32_t i = 0; i < 1000; ++i) {
    const std::uint64_t mix = FlowMemo::mix(0xffff0a000001, 0xffff0b000000 + i % 7, 50'000U << 16 | i);
    memo.note(mix, i);
    EXPECT_EQ(memo.guess(mix), i);
  }
  // At most one of each slot is left, and a flow that was pushed out is not taken for who did it.
  unsigned known = 0;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    const Index g = memo.guess(FlowMemo::mix(0xffff0a000001, 0xffff0b000000 + i % 7, 50'000U << 16 | i));
    if (g == kNoIndex) continue;
    EXPECT_EQ(g, i);
    ++known;
  }
  EXPECT_LE(known, entries.size());
  EXPECT_GE(known, entries.size() / 2);
}

TEST(FlowMemo, BothAddressesAndBothPortsCount) {
  const std::uint64_t a = 0xffff0a000001, b = 0xffff0a000002;
  const std::uint64_t mix = FlowMemo::mix(a, b, 0x12345678);
  EXPECT_NE(mix, FlowMemo::mix(b, a, 0x12345678));
  EXPECT_NE(mix, FlowMemo::mix(a, b, 0x56781234));
  EXPECT_NE(mix, FlowMemo::mix(a, b + 1, 0x12345678));
  EXPECT_NE(mix, FlowMemo::mix(a + 1, b, 0x12345678));
}

TEST(FlowMemo, HasAPowerOfTwoOfEntries) {
  EXPECT_EQ(FlowMemo::entries_for(0), 1U);
  EXPECT_EQ(FlowMemo::entries_for(33), 64U);
  EXPECT_EQ(FlowMemo::entries_for(10'000'000), 2048U);
}

}  // namespace
}  // namespace leat
