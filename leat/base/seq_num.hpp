#pragma once
// SeqNum: a TCP sequence number, arithmetic modulo 2^32 (RFC 9293 3.4). Comparison is only meaningful between numbers
// less than 2^31 apart.

#include <cstdint>

namespace leat {

class SeqNum {
 public:
  constexpr SeqNum() = default;
  constexpr explicit SeqNum(std::uint32_t value) : value_(value) {}
  [[nodiscard]] constexpr std::uint32_t value() const { return value_; }

  constexpr bool operator==(const SeqNum&) const = default;
  constexpr SeqNum operator+(std::uint32_t n) const { return SeqNum{value_ + n}; }
  constexpr SeqNum operator-(std::uint32_t n) const { return SeqNum{value_ - n}; }
  constexpr SeqNum& operator+=(std::uint32_t n) {
    value_ += n;
    return *this;
  }
  // Distance from `o` to this, modulo 2^32: how many octets `this` is ahead.
  constexpr std::uint32_t operator-(SeqNum o) const { return value_ - o.value_; }

  constexpr bool operator<(SeqNum o) const { return static_cast<std::int32_t>(value_ - o.value_) < 0; }
  constexpr bool operator>(SeqNum o) const { return o < *this; }
  constexpr bool operator<=(SeqNum o) const { return !(o < *this); }
  constexpr bool operator>=(SeqNum o) const { return !(*this < o); }
  // lo <= this < lo + length: one subtraction, exact over the whole space.
  [[nodiscard]] constexpr bool in_window(SeqNum lo, std::uint32_t length) const { return value_ - lo.value_ < length; }

 private:
  std::uint32_t value_ = 0;
};

constexpr SeqNum max(SeqNum a, SeqNum b) {
  return a < b ? b : a;
}
constexpr SeqNum min(SeqNum a, SeqNum b) {
  return b < a ? b : a;
}

}  // namespace leat
