#pragma once
// UDP headers (RFC 768; over IPv6 RFC 8200 8.1).
//
//    0       2       4       6       8
//   | source | dest. | length| chksum| data ...
//
// `bytes` is what is contiguous of the IP payload; `available` is the IP payload's whole length.
//
// Threading: views borrow the bytes that they were parsed from.

#include <algorithm>
#include <leat/base/address.hpp>
#include <leat/wire/parse_error.hpp>

namespace leat::wire {

struct UdpHeader {
  static constexpr std::size_t kLength = 8;
  static constexpr std::size_t kChecksumOffset = 6;
  Port source_port;
  Port destination_port;
  std::uint16_t length = kLength;  // header and data
  std::uint16_t checksum = 0;      // 0: none; a computed 0 is sent as 0xffff, see checksum_field()

  constexpr bool operator==(const UdpHeader&) const = default;
  [[nodiscard]] constexpr std::size_t emit(MutableByteSpan out) const {
    if (out.size() < kLength) return 0;
    store_be16(&out[0], source_port.value());
    store_be16(&out[2], destination_port.value());
    store_be16(&out[4], length);
    store_be16(&out[6], checksum);
    return kLength;
  }
  // RFC 768: a checksum that comes out as zero is transmitted as all ones, because zero means none.
  static constexpr std::uint16_t checksum_field(std::uint16_t computed) { return computed == 0 ? 0xffff : computed; }
};

class UdpView {
 public:
  static constexpr Parsed<UdpView> parse(ByteSpan bytes, std::size_t available) {
    if (bytes.size() < UdpHeader::kLength) return ParseError::truncated;
    const std::size_t length = load_be16(&bytes[4]);
    if (length < UdpHeader::kLength || length > available) return ParseError::bad_length;
    return UdpView{bytes};
  }
  static constexpr Parsed<UdpView> parse(ByteSpan bytes) { return parse(bytes, bytes.size()); }

  [[nodiscard]] constexpr Port source_port() const { return Port{load_be16(&bytes_[0])}; }
  [[nodiscard]] constexpr Port destination_port() const { return Port{load_be16(&bytes_[2])}; }
  [[nodiscard]] constexpr std::size_t length() const { return load_be16(&bytes_[4]); }
  [[nodiscard]] constexpr std::size_t payload_length() const { return length() - UdpHeader::kLength; }
  [[nodiscard]] constexpr std::uint16_t checksum() const { return load_be16(&bytes_[6]); }
  [[nodiscard]] constexpr bool has_checksum() const { return checksum() != 0; }
  // The contiguous part of the data.
  [[nodiscard]] constexpr ByteSpan payload() const {
    return bytes_.subspan(UdpHeader::kLength, std::min(bytes_.size(), length()) - UdpHeader::kLength);
  }
  [[nodiscard]] constexpr UdpHeader header() const {
    return {source_port(), destination_port(), load_be16(&bytes_[4]), checksum()};
  }

 private:
  friend class Parsed<UdpView>;
  constexpr UdpView() = default;
  constexpr explicit UdpView(ByteSpan bytes) : bytes_(bytes) {}
  ByteSpan bytes_;
};

}  // namespace leat::wire
