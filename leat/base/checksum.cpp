#include <bit>
#include <cstring>
#include <leat/base/assert.hpp>
#include <leat/base/checksum.hpp>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

// RFC 1071 2: the sum may be computed over words of any width and in either byte order; folding and one byte swap at
// the end give the same 16 bits. The kernels therefore load native words. A folded sum is 0 only when every word was
// 0, and any other residue has one representative in 1..0xffff: that is why kernels of different widths agree bit for
// bit.

namespace leat {
namespace {

template <class Word>
inline Word load_native(const std::uint8_t* p) {
  Word word;
  std::memcpy(&word, p, sizeof word);
  return word;
}

// Between a folded big-endian sum and one of native words.
inline Sum swap_if_little(Sum sum) {
  if constexpr (std::endian::native == std::endian::little) return ((sum & 0xff) << 8) | (sum >> 8);
  return sum;
}

// Fewer than 4 bytes. Written so that the last byte of an odd length is the high one of a big-endian word.
template <bool kCopy>
inline std::uint64_t sum_last_bytes(std::uint8_t* to, const std::uint8_t* from, std::size_t n) {
  if constexpr (kCopy) {
    for (std::size_t i = 0; i < n; ++i) to[i] = from[i];
  }
  std::uint64_t sum = 0;
  if (n >= 2) sum = load_native<std::uint16_t>(from);
  if ((n & 1) != 0) sum += std::endian::native == std::endian::little ? from[n - 1] : std::uint64_t{from[n - 1]} << 8;
  return sum;
}

// Words of 32 bits into 64-bit sums: no carries to catch, and right for 32-bit machines.
template <bool kCopy>
std::uint64_t sum_scalar(std::uint8_t* to, const std::uint8_t* from, std::size_t n) {
  std::uint64_t even = 0;
  std::uint64_t odd = 0;
  for (; n >= 8; n -= 8, from += 8) {
    const auto a = load_native<std::uint32_t>(from);
    const auto b = load_native<std::uint32_t>(from + 4);
    if constexpr (kCopy) {
      std::memcpy(to, &a, 4);
      std::memcpy(to + 4, &b, 4);
      to += 8;
    }
    even += a;
    odd += b;
  }
  if (n >= 4) {
    const auto a = load_native<std::uint32_t>(from);
    if constexpr (kCopy) {
      std::memcpy(to, &a, 4);
      to += 4;
    }
    even += a;
    n -= 4;
    from += 4;
  }
  return even + odd + sum_last_bytes<kCopy>(to, from, n);
}

#if defined(__x86_64__)

// Vectors of 64-bit lanes. Each lane keeps the wrapping sum of its words and the exact sum of their upper halves; the
// exact sum of the lower halves follows from both, so a vector costs two adds and a shift.
#define LEAT_SUM_VECTORS(kernel, isa, kWidth)                                                                    \
  template <bool kCopy>                                                                                          \
  __attribute__((target(isa))) std::uint64_t kernel(std::uint8_t* to, const std::uint8_t* from, std::size_t n) { \
    using Vector [[gnu::vector_size(kWidth)]] = std::uint64_t;                                                   \
    Vector total_a{};                                                                                            \
    Vector upper_a{};                                                                                            \
    Vector total_b{};                                                                                            \
    Vector upper_b{};                                                                                            \
    for (; n >= 2 * kWidth; n -= 2 * kWidth, from += 2 * kWidth) {                                               \
      Vector a;                                                                                                  \
      Vector b;                                                                                                  \
      std::memcpy(&a, from, kWidth);                                                                             \
      std::memcpy(&b, from + kWidth, kWidth);                                                                    \
      if constexpr (kCopy) {                                                                                     \
        std::memcpy(to, &a, kWidth);                                                                             \
        std::memcpy(to + kWidth, &b, kWidth);                                                                    \
        to += 2 * kWidth;                                                                                        \
      }                                                                                                          \
      total_a += a;                                                                                              \
      upper_a += a >> 32;                                                                                        \
      total_b += b;                                                                                              \
      upper_b += b >> 32;                                                                                        \
    }                                                                                                            \
    if (n >= kWidth) {                                                                                           \
      Vector a;                                                                                                  \
      std::memcpy(&a, from, kWidth);                                                                             \
      if constexpr (kCopy) {                                                                                     \
        std::memcpy(to, &a, kWidth);                                                                             \
        to += kWidth;                                                                                            \
      }                                                                                                          \
      total_a += a;                                                                                              \
      upper_a += a >> 32;                                                                                        \
      n -= kWidth;                                                                                               \
      from += kWidth;                                                                                            \
    }                                                                                                            \
    const Vector upper = upper_a + upper_b;                                                                      \
    const Vector sums = (total_a + total_b) - (upper << 32) + upper;                                             \
    std::uint64_t sum = 0;                                                                                       \
    for (std::size_t lane = 0; lane < kWidth / 8; ++lane) sum += sums[lane];                                     \
    return sum + sum_scalar<kCopy>(to, from, n);                                                                 \
  }

LEAT_SUM_VECTORS(sum_avx2, "avx2", 32)
#undef LEAT_SUM_VECTORS

// With VNNI a vector costs two instructions: sums of its even bytes and of its odd bytes, four bytes to a lane. Masked
// loads take what does not fill a vector, at the begin (to come to a cache line) and at the end.
#define LEAT_AVX512 __attribute__((target("avx512f,avx512vl,avx512bw,avx512vnni")))
// So many bytes can't overflow a lane: 2^13 vectors of at most 510, shifted by 8, are less than 2^31.
constexpr std::size_t kAvx512Block = std::size_t{1} << 19;

struct Avx512Sums {
  __m512i even, odd;
};
template <bool kCopy>
LEAT_AVX512 inline void take_vector(Avx512Sums& sums, std::uint8_t* to, __m512i v) {
  if constexpr (kCopy) _mm512_storeu_si512(to, v);
  sums.even = _mm512_dpbusd_epi32(sums.even, v, _mm512_set1_epi16(0x0001));
  sums.odd = _mm512_dpbusd_epi32(sums.odd, v, _mm512_set1_epi16(0x0100));
}
template <bool kCopy>
LEAT_AVX512 inline void take_part(Avx512Sums& sums, std::uint8_t* to, const std::uint8_t* from, std::size_t n) {
  const __mmask64 mask = ~std::uint64_t{0} >> (64 - n);  // n is 1 to 63
  const __m512i v = _mm512_maskz_loadu_epi8(mask, from);
  if constexpr (kCopy) _mm512_mask_storeu_epi8(to, mask, v);
  take_vector<false>(sums, nullptr, v);
}

template <bool kCopy>
LEAT_AVX512 std::uint64_t sum_avx512_block(std::uint8_t* to, const std::uint8_t* from, std::size_t n,
                                           std::size_t head) {
  Avx512Sums a{_mm512_setzero_si512(), _mm512_setzero_si512()};
  Avx512Sums b = a;
  if (head != 0) {
    take_part<kCopy>(a, to, from, head);
    if constexpr (kCopy) to += head;
    from += head;
    n -= head;
  }
  for (; n >= 128; n -= 128, from += 128) {
    take_vector<kCopy>(a, to, _mm512_loadu_si512(from));
    take_vector<kCopy>(b, kCopy ? to + 64 : nullptr, _mm512_loadu_si512(from + 64));
    if constexpr (kCopy) to += 128;
  }
  if (n >= 64) {
    take_vector<kCopy>(a, to, _mm512_loadu_si512(from));
    if constexpr (kCopy) to += 64;
    from += 64;
    n -= 64;
  }
  if (n > 0) take_part<kCopy>(b, to, from, n);
  // Neither sums nor shift leave their 32 bits, so lanes may be handled in pairs.
  const __m512i pairs = a.even + b.even + ((a.odd + b.odd) << 8);
  const __m512i lanes = (pairs >> 32) + (pairs & 0xffffffff);
  std::uint64_t sum = 0;
  for (std::size_t lane = 0; lane < 8; ++lane) sum += static_cast<std::uint64_t>(lanes[lane]);
  return sum;
}

ChecksumKernel fastest_kernel() {
  __builtin_cpu_init();
  if (checksum_kernel_supported(ChecksumKernel::avx512)) return ChecksumKernel::avx512;
  if (checksum_kernel_supported(ChecksumKernel::avx2)) return ChecksumKernel::avx2;
  return ChecksumKernel::scalar;
}

// Written at start-up only. Until this file's initialiser has run it is zero, the scalar kernel, which is right too.
ChecksumKernel g_kernel = fastest_kernel();

// Below this the set-up of the vector kernels costs more than they save.
constexpr std::size_t kVectorsFrom = 96;
// From here on it pays to bring the loads to cache lines first: one that straddles two costs twice.
constexpr std::size_t kAlignFrom = 512;

template <bool kCopy>
std::uint64_t sum_vectors(std::uint8_t* to, const std::uint8_t* from, std::size_t n) {
  std::uint64_t sum = 0;
  std::size_t head = -std::bit_cast<std::uintptr_t>(from) & 63;
  if (n < kAlignFrom || (head & 1) != 0) head = 0;  // an odd begin would swap the bytes of what follows
  if (g_kernel == ChecksumKernel::avx512) {
    while (n > 0) {
      const std::size_t block = n < kAvx512Block ? n : kAvx512Block;
      sum += sum_avx512_block<kCopy>(to, from, block, head);
      if constexpr (kCopy) to += block;
      from += block;
      n -= block;
      head = 0;
    }
    return sum;
  }
  if (head != 0) {
    sum = sum_scalar<kCopy>(to, from, head);
    if constexpr (kCopy) to += head;
    from += head;
    n -= head;
  }
  return sum + sum_avx2<kCopy>(to, from, n);
}

#endif

template <bool kCopy>
inline Sum sum_bytes(Sum sum, std::uint8_t* to, ByteSpan data) {
  std::uint64_t native = swap_if_little(sum);
#if defined(__x86_64__)
  if (data.size() >= kVectorsFrom && g_kernel != ChecksumKernel::scalar) {
    native += sum_vectors<kCopy>(to, data.data(), data.size());
    return swap_if_little(checksum_fold(native));
  }
#endif
  native += sum_scalar<kCopy>(to, data.data(), data.size());
  return swap_if_little(checksum_fold(native));
}

}  // namespace

bool checksum_kernel_supported(ChecksumKernel kernel) {
  switch (kernel) {
    case ChecksumKernel::scalar:
      return true;
#if defined(__x86_64__)
    case ChecksumKernel::avx2:
      return __builtin_cpu_supports("avx2") != 0;
    case ChecksumKernel::avx512:
      return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
             __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vnni") != 0;
#else
    case ChecksumKernel::avx2:
    case ChecksumKernel::avx512:
      return false;
#endif
  }
  return false;
}

ChecksumKernel checksum_kernel() {
#if defined(__x86_64__)
  return g_kernel;
#else
  return ChecksumKernel::scalar;
#endif
}

void set_checksum_kernel(ChecksumKernel kernel) {
  LEAT_ASSERT(checksum_kernel_supported(kernel));
#if defined(__x86_64__)
  g_kernel = kernel;
#endif
}

Sum checksum_add(Sum sum, ByteSpan data) {
  return sum_bytes<false>(sum, nullptr, data);
}

Sum checksum_copy(Sum sum, std::uint8_t* to, ByteSpan from) {
  return sum_bytes<true>(sum, to, from);
}

}  // namespace leat
