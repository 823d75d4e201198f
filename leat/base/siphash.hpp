#pragma once
// SipHash (Aumasson, Bernstein 2012): a keyed 64-bit PRF. 2-4 for secrets that a peer sees outputs of (ISNs, cookies,
// ids), 1-3 for hash tables, where only flooding must be prevented.

#include <cstddef>
#include <cstdint>
#include <leat/base/bytes.hpp>

namespace leat {

struct SipKey {
  std::uint64_t k0 = 0;
  std::uint64_t k1 = 0;
};

namespace detail {
struct SipState {
  std::uint64_t v0, v1, v2, v3;
  static constexpr std::uint64_t rotl(std::uint64_t x, int b) { return (x << b) | (x >> (64 - b)); }
  constexpr explicit SipState(SipKey k)
      : v0(k.k0 ^ 0x736f6d6570736575ULL),
        v1(k.k1 ^ 0x646f72616e646f6dULL),
        v2(k.k0 ^ 0x6c7967656e657261ULL),
        v3(k.k1 ^ 0x7465646279746573ULL) {}
  constexpr void round() {
    v0 += v1;
    v1 = rotl(v1, 13);
    v1 ^= v0;
    v0 = rotl(v0, 32);
    v2 += v3;
    v3 = rotl(v3, 16);
    v3 ^= v2;
    v0 += v3;
    v3 = rotl(v3, 21);
    v3 ^= v0;
    v2 += v1;
    v1 = rotl(v1, 17);
    v1 ^= v2;
    v2 = rotl(v2, 32);
  }
  template <int C>
  constexpr void absorb(std::uint64_t m) {
    v3 ^= m;
    for (int i = 0; i < C; ++i) round();
    v0 ^= m;
  }
  template <int D>
  constexpr std::uint64_t finish() {
    v2 ^= 0xff;
    for (int i = 0; i < D; ++i) round();
    return v0 ^ v1 ^ v2 ^ v3;
  }
};
constexpr std::uint64_t load_le64(const std::uint8_t* p) {
  std::uint64_t v = 0;
  for (int i = 7; i >= 0; --i) v = (v << 8) | p[i];
  return v;
}
template <int C, int D>
constexpr std::uint64_t siphash_bytes(SipKey key, ByteSpan data) {
  SipState s{key};
  std::size_t i = 0;
  for (; i + 8 <= data.size(); i += 8) s.template absorb<C>(load_le64(&data[i]));
  std::uint64_t last = static_cast<std::uint64_t>(data.size()) << 56;
  for (std::size_t j = 0; i + j < data.size(); ++j) last |= static_cast<std::uint64_t>(data[i + j]) << (8 * j);
  s.template absorb<C>(last);
  return s.template finish<D>();
}
// Over whole 64-bit words: equal to siphash_bytes over their little-endian bytes.
template <int C, int D, class... Words>
constexpr std::uint64_t siphash_words(SipKey key, Words... words) {
  SipState s{key};
  (s.template absorb<C>(static_cast<std::uint64_t>(words)), ...);
  s.template absorb<C>(static_cast<std::uint64_t>(sizeof...(Words) * 8) << 56);
  return s.template finish<D>();
}
}  // namespace detail

constexpr std::uint64_t siphash24(SipKey key, ByteSpan data) {
  return detail::siphash_bytes<2, 4>(key, data);
}
constexpr std::uint64_t siphash13(SipKey key, ByteSpan data) {
  return detail::siphash_bytes<1, 3>(key, data);
}
template <class... Words>
constexpr std::uint64_t siphash24(SipKey key, std::uint64_t first, Words... rest) {
  return detail::siphash_words<2, 4>(key, first, rest...);
}
template <class... Words>
constexpr std::uint64_t siphash13(SipKey key, std::uint64_t first, Words... rest) {
  return detail::siphash_words<1, 3>(key, first, rest...);
}

}  // namespace leat
