// Every checksum kernel that this processor has gives the scalar one's sum and copy, whatever the length, alignment and
// split. Input: byte 0 the alignment, bytes 1-2 where the data is split, the rest the data.
#include <array>
#include <cstring>
#include <leat/base/assert.hpp>
#include <leat/base/checksum.hpp>

namespace {

constexpr std::size_t kMost = 4096;

struct Outcome {
  leat::Sum whole = 0;
  leat::Sum parts = 0;
  leat::Sum copied = 0;
  std::array<std::uint8_t, kMost> copy{};
  bool operator==(const Outcome&) const = default;
};

Outcome sums(leat::ChecksumKernel kernel, leat::ByteSpan data, std::size_t split) {
  leat::set_checksum_kernel(kernel);
  Outcome out;
  out.whole = leat::checksum_add(0, data);
  out.parts = leat::checksum_append(leat::checksum_add(0, data.first(split)),
                                    leat::checksum_add(0, data.subspan(split)), split);
  out.copied = leat::checksum_copy(0, out.copy.data(), data);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3 || size - 3 > kMost) return 0;
  alignas(64) static std::array<std::uint8_t, kMost + 64> buffer;
  std::uint8_t* const start = buffer.data() + data[0] % 64;
  if (size > 3) std::memcpy(start, data + 3, size - 3);
  const leat::ByteSpan bytes{start, size - 3};
  const std::size_t split = (std::size_t{data[1]} << 8 | data[2]) % (bytes.size() + 1);

  const Outcome expected = sums(leat::ChecksumKernel::scalar, bytes, split);
  LEAT_ASSERT(expected.whole == expected.parts && expected.whole == expected.copied);
  for (const auto kernel : {leat::ChecksumKernel::avx2, leat::ChecksumKernel::avx512}) {
    if (leat::checksum_kernel_supported(kernel)) LEAT_ASSERT(sums(kernel, bytes, split) == expected);
  }
  LEAT_ASSERT(std::memcmp(expected.copy.data(), bytes.data(), bytes.size()) == 0);
  return 0;
}
