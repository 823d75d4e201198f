#pragma once
// TextWriter: builds a text in a caller's buffer, without heap or locale. What doesn't fit is cut.
//
//   std::array<char, 80> line;   TextWriter w{line};   w.put("seq ");   w.decimal(7);   std::string_view text =
//   w.view();
//
// Threading: one owner.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace leat {

class TextWriter {
 public:
  explicit constexpr TextWriter(std::span<char> out) : out_(out) {}

  constexpr void put(char c) {
    if (length_ < out_.size()) out_[length_++] = c;
  }
  constexpr void put(std::string_view text) {
    for (const char c : text) put(c);
  }
  constexpr void decimal(std::uint64_t value) {
    std::array<char, 20> digits{};
    std::size_t n = 0;
    do {
      digits[n++] = static_cast<char>('0' + value % 10);
      value /= 10;
    } while (value != 0);
    while (n > 0) put(digits[--n]);
  }
  // Lower case, at least `digits` of them, no prefix.
  constexpr void hex(std::uint64_t value, unsigned digits = 1) {
    for (unsigned i = 16; i-- > 0;) {
      if (i < digits || (value >> (4 * i)) != 0) put("0123456789abcdef"[(value >> (4 * i)) & 15]);
    }
  }
  // Anything with a `format(value, std::span<char>)`: addresses, endpoints.
  template <class T>
  void formatted(const T& value) {
    length_ += format(value, out_.subspan(length_));
  }

  [[nodiscard]] constexpr std::size_t length() const { return length_; }
  [[nodiscard]] constexpr bool full() const { return length_ == out_.size(); }
  [[nodiscard]] constexpr std::string_view view() const { return {out_.data(), length_}; }

 private:
  std::span<char> out_;
  std::size_t length_ = 0;
};

}  // namespace leat
