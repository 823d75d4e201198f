#pragma once
// ByteWriter: writes fields one after another into a caller's buffer. A write past the end writes nothing and sets the
// failure flag, as does every write after it; `size()` is what was written.
//
// Threading: a value type.

#include <cstddef>
#include <cstdint>
#include <leat/base/bytes.hpp>

namespace leat {

class ByteWriter {
 public:
  constexpr explicit ByteWriter(MutableByteSpan out) : out_(out) {}

  [[nodiscard]] constexpr bool ok() const { return ok_; }
  [[nodiscard]] constexpr std::size_t size() const { return size_; }
  [[nodiscard]] constexpr std::size_t remaining() const { return ok_ ? out_.size() - size_ : 0; }

  constexpr void u8(std::uint8_t v) {
    if (take(1)) out_[size_ - 1] = v;
  }
  constexpr void be16(std::uint16_t v) {
    if (take(2)) store_be16(&out_[size_ - 2], v);
  }
  constexpr void be24(std::uint32_t v) {
    if (take(3)) store_be24(&out_[size_ - 3], v);
  }
  constexpr void be32(std::uint32_t v) {
    if (take(4)) store_be32(&out_[size_ - 4], v);
  }
  constexpr void be64(std::uint64_t v) {
    if (take(8)) store_be64(&out_[size_ - 8], v);
  }
  constexpr void bytes(ByteSpan v) {
    if (!take(v.size())) return;
    for (std::size_t i = 0; i < v.size(); ++i) out_[size_ - v.size() + i] = v[i];
  }
  constexpr void fill(std::size_t n, std::uint8_t v) {
    for (std::size_t i = 0; i < n && ok_; ++i) u8(v);
  }

 private:
  constexpr bool take(std::size_t n) {
    if (!ok_ || n > out_.size() - size_) {
      ok_ = false;
      return false;
    }
    size_ += n;
    return true;
  }
  MutableByteSpan out_;
  std::size_t size_ = 0;
  bool ok_ = true;
};

}  // namespace leat
