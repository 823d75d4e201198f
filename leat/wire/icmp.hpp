#pragma once
// What ICMPv4 and ICMPv6 share: an eight-byte header of type, code, checksum and four bytes whose meaning depends on
// the type, followed by a body (echo data, or the packet that an error speaks of).
//
//    0      1      2          4              8
//   | type | code | checksum | rest          | body ...
//
// Threading: views borrow the bytes that they were parsed from.

#include <leat/base/checksum.hpp>
#include <leat/wire/parse_error.hpp>

namespace leat::wire {

template <class Type>
struct BasicIcmpHeader {
  static constexpr std::size_t kLength = 8;
  static constexpr std::size_t kChecksumOffset = 2;
  Type type{};
  std::uint8_t code = 0;
  std::uint32_t rest = 0;

  static constexpr BasicIcmpHeader echo(Type type, std::uint16_t id, std::uint16_t sequence) {
    return {type, 0, (std::uint32_t{id} << 16) | sequence};
  }
  constexpr bool operator==(const BasicIcmpHeader&) const = default;
  // The checksum field is 0: see finish_checksum.
  [[nodiscard]] constexpr std::size_t emit(MutableByteSpan out) const {
    if (out.size() < kLength) return 0;
    out[0] = static_cast<std::uint8_t>(type);
    out[1] = code;
    store_be16(&out[2], 0);
    store_be32(&out[4], rest);
    return kLength;
  }
  // Completes the checksum of an emitted header (its field still 0), or of a whole contiguous message. `rest_sum` is
  // the sum of what is not in `bytes`: the body, and for ICMPv6 the pseudo-header.
  static void finish_checksum(MutableByteSpan bytes, Sum rest_sum) {
    store_be16(&bytes[kChecksumOffset], checksum_finish(checksum_add(rest_sum, bytes)));
  }
};

template <class Type>
class BasicIcmpView {
 public:
  using Header = BasicIcmpHeader<Type>;
  // `message` is what is contiguous of the IP payload.
  static constexpr Parsed<BasicIcmpView> parse(ByteSpan message) {
    if (message.size() < Header::kLength) return ParseError::truncated;
    return BasicIcmpView{message};
  }
  [[nodiscard]] constexpr Type type() const { return static_cast<Type>(bytes_[0]); }
  [[nodiscard]] constexpr std::uint8_t code() const { return bytes_[1]; }
  [[nodiscard]] constexpr std::uint16_t checksum() const { return load_be16(&bytes_[2]); }
  [[nodiscard]] constexpr std::uint32_t rest() const { return load_be32(&bytes_[4]); }
  [[nodiscard]] constexpr std::uint16_t echo_id() const { return load_be16(&bytes_[4]); }
  [[nodiscard]] constexpr std::uint16_t echo_sequence() const { return load_be16(&bytes_[6]); }
  [[nodiscard]] constexpr ByteSpan message() const { return bytes_; }
  // Echo data, or the packet that an error quotes: the contiguous part.
  [[nodiscard]] constexpr ByteSpan body() const { return bytes_.subspan(Header::kLength); }
  [[nodiscard]] constexpr Header header() const { return {type(), code(), rest()}; }

 private:
  friend class Parsed<BasicIcmpView>;
  constexpr BasicIcmpView() = default;
  constexpr explicit BasicIcmpView(ByteSpan bytes) : bytes_(bytes) {}
  ByteSpan bytes_;
};

}  // namespace leat::wire
