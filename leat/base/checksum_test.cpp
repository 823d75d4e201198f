#include <gtest/gtest.h>

#include <algorithm>
#include <leat/base/checksum.hpp>
#include <leat/base/rng.hpp>
#include <vector>

namespace leat {
namespace {

// The definition, a byte at a time.
Sum reference_sum(ByteSpan data) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < data.size(); ++i) sum += (i & 1) != 0 ? data[i] : std::uint64_t{data[i]} << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<Sum>(sum);
}

std::vector<std::uint8_t> random_bytes(std::size_t n) {
  Rng rng{{1, 2}};
  std::vector<std::uint8_t> bytes(n);
  for (auto& b : bytes) b = static_cast<std::uint8_t>(rng.next32());
  return bytes;
}

class ChecksumKernels : public ::testing::TestWithParam<ChecksumKernel> {
 protected:
  void SetUp() override {
    was_ = checksum_kernel();
    if (!checksum_kernel_supported(GetParam())) GTEST_SKIP() << "this processor does not have the kernel";
    set_checksum_kernel(GetParam());
  }
  void TearDown() override { set_checksum_kernel(was_); }

 private:
  ChecksumKernel was_{};
};
INSTANTIATE_TEST_SUITE_P(All, ChecksumKernels,
                         ::testing::Values(ChecksumKernel::scalar, ChecksumKernel::avx2, ChecksumKernel::avx512));

TEST_P(ChecksumKernels, EqualTheDefinitionAtEveryLengthAndAlignment) {
  const auto bytes = random_bytes(512);
  for (std::size_t alignment = 0; alignment < 64; alignment += alignment < 9 ? 1 : 11) {
    for (std::size_t length = 0; length <= 300; ++length) {
      const ByteSpan data{&bytes[alignment], length};
      ASSERT_EQ(checksum_add(0, data), reference_sum(data)) << length << " bytes at " << alignment;
    }
  }
}

TEST_P(ChecksumKernels, EqualTheDefinitionAtFrameAndSuperSegmentSizes) {
  const auto bytes = random_bytes(70'100);
  std::vector<std::uint8_t> to(70'000);
  for (const std::size_t length : {511U, 512U, 513U, 575U, 1448U, 1500U, 8948U, 65'535U, 70'000U}) {
    for (std::size_t alignment = 0; alignment < 65; alignment += length < 2000 ? 1 : 13) {
      const ByteSpan data{&bytes[alignment], length};
      ASSERT_EQ(checksum_add(0, data), reference_sum(data)) << length << " bytes at " << alignment;
      ASSERT_EQ(checksum_copy(0, to.data(), data), reference_sum(data)) << length << " bytes at " << alignment;
      ASSERT_TRUE(std::equal(data.begin(), data.end(), to.begin()));
    }
  }
}

TEST_P(ChecksumKernels, CarriesOfFullWordsAreKept) {
  const std::vector<std::uint8_t> ones(70'000, 0xff);
  for (std::size_t length = 1; length <= 300; ++length) {
    const ByteSpan data{ones.data(), length};
    ASSERT_EQ(checksum_add(0, data), reference_sum(data)) << length;
  }
  EXPECT_EQ(checksum_add(0, ones), 0xffffU);
}

// Kernels that keep partial sums in 32 bits work in blocks.
TEST_P(ChecksumKernels, LongDataOverflowsNoLane) {
  std::vector<std::uint8_t> bytes(1'400'001, 0xff);
  bytes[700'001] = 0x12;
  std::vector<std::uint8_t> to(bytes.size());
  for (const std::size_t alignment : {0U, 1U, 2U, 63U}) {
    const ByteSpan data = ByteSpan{bytes}.subspan(alignment);
    ASSERT_EQ(checksum_add(0, data), reference_sum(data)) << alignment;
    ASSERT_EQ(checksum_copy(0, to.data(), data), reference_sum(data)) << alignment;
    ASSERT_TRUE(std::equal(data.begin(), data.end(), to.begin()));
  }
}

TEST_P(ChecksumKernels, OnlyZerosSumToZero) {
  std::vector<std::uint8_t> zeros(300, 0);
  for (std::size_t length = 0; length <= 300; ++length) ASSERT_EQ(checksum_add(0, ByteSpan{zeros.data(), length}), 0U);
  for (std::size_t at = 0; at < 300; ++at) {
    zeros[at] = 1;
    ASSERT_NE(checksum_add(0, zeros), 0U) << at;
    zeros[at] = 0;
  }
}

TEST_P(ChecksumKernels, CopyMovesExactlyTheBytesItSums) {
  const auto bytes = random_bytes(400);
  for (std::size_t alignment = 0; alignment < 9; ++alignment) {
    for (std::size_t length = 0; length <= 300; ++length) {
      const ByteSpan from{&bytes[alignment], length};
      std::vector<std::uint8_t> to(length + 2, 0xa5);
      ASSERT_EQ(checksum_copy(7, to.data() + 1, from), checksum_add(7, from)) << length;
      ASSERT_TRUE(std::equal(from.begin(), from.end(), to.begin() + 1)) << length;
      ASSERT_EQ(to.front(), 0xa5);
      ASSERT_EQ(to.back(), 0xa5);
    }
  }
}

TEST(Checksum, TheStartKernelIsSupported) {
  EXPECT_TRUE(checksum_kernel_supported(checksum_kernel()));
}

// RFC 1071 3: the worked example.
TEST(Checksum, MatchesTheExampleOfRfc1071) {
  const std::array<std::uint8_t, 8> data{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  EXPECT_EQ(checksum_add(0, data), 0xddf2U);
  EXPECT_EQ(checksum_finish(checksum_add(0, data)), 0x220d);
}

TEST(Checksum, PartsJoinAtEvenAndOddOffsets) {
  const auto bytes = random_bytes(200);
  const ByteSpan whole{bytes};
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    const Sum joined = checksum_append(checksum_add(0, whole.first(cut)), checksum_add(0, whole.subspan(cut)), cut);
    ASSERT_EQ(joined, checksum_add(0, whole)) << cut;
  }
}

// RFC 1624 4: the example where the older equation gives the wrong zero.
TEST(Checksum, UpdateFollowsRfc1624) {
  EXPECT_EQ(checksum_update(0xdd2f, 0x5555, 0x3285), 0x0000);
  auto bytes = random_bytes(20);
  const std::uint16_t before = checksum_finish(checksum_add(0, bytes));
  const std::uint16_t was = load_be16(&bytes[8]);
  store_be16(&bytes[8], 0x1234);
  EXPECT_EQ(checksum_update(before, was, 0x1234), checksum_finish(checksum_add(0, bytes)));
}

TEST(Checksum, PseudoHeaderSumsTheFieldsOfBothVersions) {
  const std::array<std::uint8_t, 12> v4{10, 0, 0, 1, 192, 168, 255, 2, 0, 6, 0x05, 0xdc};
  EXPECT_EQ(pseudo_header_sum(IpAddress::v4(10, 0, 0, 1), IpAddress::v4(192, 168, 255, 2), 6, 1500), reference_sum(v4));
  const auto source = *IpAddress::parse("2001:db8::1");
  const auto destination = *IpAddress::parse("fe80::ffff:fffe");
  std::vector<std::uint8_t> v6;
  v6.insert(v6.end(), source.bytes().begin(), source.bytes().end());
  v6.insert(v6.end(), destination.bytes().begin(), destination.bytes().end());
  const std::array<std::uint8_t, 8> rest{0x00, 0x01, 0x11, 0x70, 0, 0, 0, 58};
  v6.insert(v6.end(), rest.begin(), rest.end());
  EXPECT_EQ(pseudo_header_sum(source, destination, 58, 0x11170), reference_sum(v6));
}

}  // namespace
}  // namespace leat
