#include <gtest/gtest.h>

#include <array>
#include <leat/base/siphash.hpp>

namespace leat {
namespace {

// Vectors of the reference paper: key 00..0f, message 00..(n-1).
constexpr SipKey kKey{0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};

TEST(SipHash, MatchesThePublishedVectors) {
  std::array<std::uint8_t, 16> m{};
  for (std::size_t i = 0; i < m.size(); ++i) m[i] = static_cast<std::uint8_t>(i);
  EXPECT_EQ(siphash24(kKey, ByteSpan{m.data(), 0}), 0x726fdb47dd0e0e31ULL);
  EXPECT_EQ(siphash24(kKey, ByteSpan{m.data(), 15}), 0xa129ca6149be45e5ULL);
}

TEST(SipHash, WordsEqualTheirLittleEndianBytes) {
  std::array<std::uint8_t, 16> m{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  EXPECT_EQ(siphash24(kKey, ByteSpan{m}), siphash24(kKey, 0x0807060504030201ULL, std::uint64_t{0x100f0e0d0c0b0a09ULL}));
  EXPECT_EQ(siphash13(kKey, ByteSpan{m}), siphash13(kKey, 0x0807060504030201ULL, std::uint64_t{0x100f0e0d0c0b0a09ULL}));
}

}  // namespace
}  // namespace leat
