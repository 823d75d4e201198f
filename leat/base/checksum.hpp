#pragma once
// The Internet checksum (RFC 1071). A `Sum` is a ones'-complement partial sum of big-endian 16-bit words, folded to 16
// bits after every call, so that it can be stored, added and compared. Kernels (scalar, AVX2, AVX-512) are chosen at
// run time and agree bit for bit.
//
//   Sum s = pseudo_header_sum(src, dst, 6, length);   s = checksum_add(s, segment);   field = checksum_finish(s);
//
// A received segment is intact when checksum_finish over everything, its checksum field included, is 0.

#include <cstdint>
#include <leat/base/address.hpp>
#include <leat/base/bytes.hpp>

namespace leat {

using Sum = std::uint32_t;  // always <= 0xffff between calls

// What sums. Every kernel gives the same 16 bits for the same bytes, so the choice is one of speed only.
enum class ChecksumKernel : std::uint8_t { scalar, avx2, avx512 };
[[nodiscard]] bool checksum_kernel_supported(ChecksumKernel kernel);
[[nodiscard]] ChecksumKernel checksum_kernel();  // the one in use: at start the fastest supported
// Forces a kernel, to compare them. Called before other threads compute checksums; the kernel must be supported.
void set_checksum_kernel(ChecksumKernel kernel);

[[nodiscard]] Sum checksum_add(Sum sum, ByteSpan data);  // `data` starts at an even offset of the summed whole
// memcpy(to, from.data(), from.size()) and the sum of the bytes in one pass.
[[nodiscard]] Sum checksum_copy(Sum sum, std::uint8_t* to, ByteSpan from);
[[nodiscard]] constexpr Sum checksum_fold(std::uint64_t s) {
  // A sum of a word and its rotation has the ones'-complement sum of its halves, carry included, in its upper half.
  s = (s + ((s << 32) | (s >> 32))) >> 32;
  const auto word = static_cast<std::uint32_t>(s);
  return (word + ((word << 16) | (word >> 16))) >> 16;
}
// Appends a part that was summed on its own and starts at byte offset `at` of the whole: an odd offset swaps its bytes.
[[nodiscard]] constexpr Sum checksum_append(Sum sum, Sum part, std::size_t at) {
  if ((at & 1) != 0) part = ((part & 0xff) << 8) | (part >> 8);
  return checksum_fold(std::uint64_t{sum} + part);
}
[[nodiscard]] constexpr std::uint16_t checksum_finish(Sum sum) {
  return static_cast<std::uint16_t>(~sum & 0xffff);
}
// RFC 1624 eqn. 3: the checksum field after a 16-bit word of the data changed.
[[nodiscard]] constexpr std::uint16_t checksum_update(std::uint16_t field, std::uint16_t was, std::uint16_t is) {
  return checksum_finish(
      checksum_fold(std::uint64_t{static_cast<std::uint16_t>(~field)} + static_cast<std::uint16_t>(~was) + is));
}
// RFC 9293 3.1, RFC 8200 8.1. `length` is that of the upper-layer packet. A mapped IPv4 address is summed over its 16
// bytes like an IPv6 one: its ffff is zero in ones' complement, so no branch on the version is needed.
[[nodiscard]] constexpr Sum pseudo_header_sum(const IpAddress& source, const IpAddress& destination,
                                              std::uint8_t protocol, std::uint32_t length) {
  std::uint64_t sum = std::uint64_t{protocol} + length;
  for (std::size_t i = 0; i < 16; i += 4) {
    sum += load_be32(&source.bytes()[i]);
    sum += load_be32(&destination.bytes()[i]);
  }
  return checksum_fold(sum);
}

}  // namespace leat
