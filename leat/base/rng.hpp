#pragma once
// Randomness. Entropy is a mandatory argument of every stack: 32 bytes that the owner takes from a real source (a test
// takes them from its seed). From it the stack derives separate keys for ISNs, ports, IP ids, timestamps, cookies and
// the flow hash; Rng serves what needs unpredictability without a key. Rng is SipHash-2-4 in counter mode: the outputs
// reveal neither key nor each other. Deterministic on every compiler.

#include <array>
#include <cstdint>
#include <leat/base/siphash.hpp>

namespace leat {

struct Entropy {
  std::array<std::uint64_t, 4> words{};
};

class Rng {
 public:
  constexpr explicit Rng(SipKey key) : key_(key) {}
  [[nodiscard]] std::uint64_t next() { return siphash24(key_, counter_++); }
  [[nodiscard]] std::uint32_t next32() { return static_cast<std::uint32_t>(next()); }
  // Uniform in [0, bound), bound > 0; multiply-shift, bias below 2^-32.
  [[nodiscard]] std::uint32_t below(std::uint32_t bound) {
    return static_cast<std::uint32_t>((std::uint64_t{next32()} * bound) >> 32);
  }

 private:
  SipKey key_;
  std::uint64_t counter_ = 0;
};

// Derives the key for `purpose` from the entropy: different purposes give unrelated keys.
[[nodiscard]] inline SipKey derive_key(const Entropy& entropy, std::uint64_t purpose) {
  const SipKey a{entropy.words[0], entropy.words[1]};
  const SipKey b{entropy.words[2], entropy.words[3]};
  return {siphash24(a, purpose), siphash24(b, purpose)};
}

}  // namespace leat
