#pragma once
// Big-endian loads and stores: no overlay of structs on bytes, no alignment assumption, the same on every machine. Each
// is one load or store and a byte swap. Shifts alone would say the same, but compilers recognise them only where they
// stand alone: in loops and next to other fields they become byte by byte (emitting an IPv4 and
// a TCP header took 22 ns instead of 13).

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace leat {

using ByteSpan = std::span<const std::uint8_t>;
using MutableByteSpan = std::span<std::uint8_t>;

namespace detail {
constexpr std::uint16_t swap_bytes(std::uint16_t v) {
  return __builtin_bswap16(v);
}
constexpr std::uint32_t swap_bytes(std::uint32_t v) {
  return __builtin_bswap32(v);
}
constexpr std::uint64_t swap_bytes(std::uint64_t v) {
  return __builtin_bswap64(v);
}
template <class Word>
constexpr Word load_be(const std::uint8_t* p) {
  Word v = 0;
  if (std::is_constant_evaluated()) {
    for (std::size_t i = 0; i < sizeof(Word); ++i) v = static_cast<Word>(std::uint64_t{v} << 8 | p[i]);
    return v;
  }
  __builtin_memcpy(&v, p, sizeof v);
  return std::endian::native == std::endian::little ? swap_bytes(v) : v;
}
template <class Word>
constexpr void store_be(std::uint8_t* p, Word v) {
  if (std::is_constant_evaluated()) {
    for (std::size_t i = sizeof(Word); i-- > 0; v = static_cast<Word>(std::uint64_t{v} >> 8)) {
      p[i] = static_cast<std::uint8_t>(v);
    }
    return;
  }
  if (std::endian::native == std::endian::little) v = swap_bytes(v);
  __builtin_memcpy(p, &v, sizeof v);
}
}  // namespace detail

constexpr std::uint16_t load_be16(const std::uint8_t* p) {
  return detail::load_be<std::uint16_t>(p);
}
constexpr std::uint32_t load_be24(const std::uint8_t* p) {
  return (std::uint32_t{p[0]} << 16) | (std::uint32_t{p[1]} << 8) | p[2];
}
constexpr std::uint32_t load_be32(const std::uint8_t* p) {
  return detail::load_be<std::uint32_t>(p);
}
constexpr std::uint64_t load_be64(const std::uint8_t* p) {
  return detail::load_be<std::uint64_t>(p);
}
constexpr void store_be16(std::uint8_t* p, std::uint16_t v) {
  detail::store_be(p, v);
}
constexpr void store_be24(std::uint8_t* p, std::uint32_t v) {
  p[0] = static_cast<std::uint8_t>(v >> 16);
  p[1] = static_cast<std::uint8_t>(v >> 8);
  p[2] = static_cast<std::uint8_t>(v);
}
constexpr void store_be32(std::uint8_t* p, std::uint32_t v) {
  detail::store_be(p, v);
}
constexpr void store_be64(std::uint8_t* p, std::uint64_t v) {
  detail::store_be(p, v);
}

}  // namespace leat
