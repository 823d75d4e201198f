#pragma once
// ByteReader: reads fields one after another from bytes that a stranger sent. A read past the end gives zero (or an
// empty span), sets the failure flag, and so does every read after it: a parser reads all its fields and asks `ok()`
// once.
//
//   ByteReader r{bytes};   const auto type = r.u8();   const auto value = r.be32();   if (!r.ok()) return truncated;
//
// Threading: a value type.

#include <cstddef>
#include <cstdint>
#include <leat/base/bytes.hpp>

namespace leat {

class ByteReader {
 public:
  constexpr explicit ByteReader(ByteSpan bytes) : bytes_(bytes) {}

  [[nodiscard]] constexpr bool ok() const { return ok_; }
  // Bytes read so far, and bytes that can still be read: 0 after a failure.
  [[nodiscard]] constexpr std::size_t offset() const { return offset_; }
  [[nodiscard]] constexpr std::size_t remaining() const { return ok_ ? bytes_.size() - offset_ : 0; }
  [[nodiscard]] constexpr bool at_end() const { return remaining() == 0; }

  constexpr std::uint8_t u8() { return take(1) ? bytes_[offset_ - 1] : std::uint8_t{0}; }
  constexpr std::uint16_t be16() { return take(2) ? load_be16(&bytes_[offset_ - 2]) : std::uint16_t{0}; }
  constexpr std::uint32_t be24() { return take(3) ? load_be24(&bytes_[offset_ - 3]) : 0; }
  constexpr std::uint32_t be32() { return take(4) ? load_be32(&bytes_[offset_ - 4]) : 0; }
  constexpr std::uint64_t be64() { return take(8) ? load_be64(&bytes_[offset_ - 8]) : 0; }
  constexpr ByteSpan bytes(std::size_t n) { return take(n) ? bytes_.subspan(offset_ - n, n) : ByteSpan{}; }
  constexpr ByteSpan rest() { return bytes(remaining()); }
  constexpr void skip(std::size_t n) { static_cast<void>(take(n)); }
  constexpr void fail() { ok_ = false; }

 private:
  constexpr bool take(std::size_t n) {
    if (!ok_ || n > bytes_.size() - offset_) {
      ok_ = false;
      return false;
    }
    offset_ += n;
    return true;
  }
  ByteSpan bytes_;
  std::size_t offset_ = 0;
  bool ok_ = true;
};

}  // namespace leat
