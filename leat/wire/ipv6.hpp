#pragma once
// IPv6 headers (RFC 8200 3).
//
//    0       1       2       3
//   | v | class | flow label         |
//   | payload length | next  | hops  |
//   | source, 16 bytes               |
//   | destination, 16 bytes          |
//
// `bytes` and `available` are as for IPv4. Jumbograms (RFC 2675) don't exist here: a payload length of 0 is one.
// Packets from or to an IPv4-mapped address are refused: inside, that form means IPv4, and RFC 4291 2.5.5.2 keeps it
// off the wire.
//
// Threading: views borrow the bytes that they were parsed from.

#include <algorithm>
#include <leat/base/address.hpp>
#include <leat/wire/ip_protocol.hpp>
#include <leat/wire/parse_error.hpp>

namespace leat::wire {

struct Ipv6Header {
  static constexpr std::size_t kLength = 40;
  static constexpr std::size_t kNextHeaderOffset = 6;
  std::uint8_t traffic_class = 0;
  std::uint32_t flow_label = 0;  // 20 bits
  std::uint16_t payload_length = 0;
  IpProtocol next_header{};
  std::uint8_t hop_limit = 64;
  IpAddress source;
  IpAddress destination;

  constexpr bool operator==(const Ipv6Header&) const = default;
  [[nodiscard]] constexpr std::size_t emit(MutableByteSpan out) const {
    if (out.size() < kLength) return 0;
    store_be32(&out[0], 0x60000000U | (std::uint32_t{traffic_class} << 20) | (flow_label & 0xfffffU));
    store_be16(&out[4], payload_length);
    out[6] = static_cast<std::uint8_t>(next_header);
    out[7] = hop_limit;
    std::copy_n(source.bytes().data(), 16, &out[8]);
    std::copy_n(destination.bytes().data(), 16, &out[24]);
    return kLength;
  }
};

class Ipv6View {
 public:
  static constexpr Parsed<Ipv6View> parse(ByteSpan bytes, std::size_t available) {
    if (const auto e = check_header(bytes); e != ParseError::none) return e;
    if (Ipv6Header::kLength + load_be16(&bytes[4]) > available) return ParseError::bad_length;
    return Ipv6View{bytes};
  }
  static constexpr Parsed<Ipv6View> parse(ByteSpan packet) { return parse(packet, packet.size()); }
  // The header alone, as an ICMP error quotes it.
  static constexpr Parsed<Ipv6View> parse_quoted(ByteSpan bytes) {
    if (const auto e = check_header(bytes); e != ParseError::none) return e;
    return Ipv6View{bytes};
  }

  [[nodiscard]] constexpr std::uint8_t traffic_class() const {
    return static_cast<std::uint8_t>(load_be16(&bytes_[0]) >> 4);
  }
  [[nodiscard]] constexpr Ecn ecn() const { return static_cast<Ecn>(traffic_class() & 3); }
  [[nodiscard]] constexpr std::uint32_t flow_label() const { return load_be32(&bytes_[0]) & 0xfffff; }
  [[nodiscard]] constexpr std::size_t payload_length() const { return load_be16(&bytes_[4]); }
  [[nodiscard]] constexpr std::size_t total_length() const { return Ipv6Header::kLength + payload_length(); }
  [[nodiscard]] constexpr IpProtocol next_header() const { return static_cast<IpProtocol>(bytes_[6]); }
  [[nodiscard]] constexpr std::uint8_t hop_limit() const { return bytes_[7]; }
  [[nodiscard]] constexpr IpAddress source() const { return IpAddress::v6_wire(&bytes_[8]); }
  [[nodiscard]] constexpr IpAddress destination() const { return IpAddress::v6_wire(&bytes_[24]); }
  // The contiguous part of the payload, extension headers included, without link padding.
  [[nodiscard]] constexpr ByteSpan payload() const {
    return bytes_.subspan(Ipv6Header::kLength, std::min(bytes_.size(), total_length()) - Ipv6Header::kLength);
  }
  [[nodiscard]] constexpr Ipv6Header header() const {
    return {traffic_class(), flow_label(), load_be16(&bytes_[4]), next_header(), hop_limit(), source(), destination()};
  }
  // ::ffff:0:0/96 at `p`.
  static constexpr bool is_mapped(const std::uint8_t* p) { return load_be64(p) == 0 && load_be32(p + 8) == 0xffff; }

 private:
  friend class Parsed<Ipv6View>;
  static constexpr ParseError check_header(ByteSpan bytes) {
    if (bytes.size() < Ipv6Header::kLength) return ParseError::truncated;
    if ((bytes[0] >> 4) != 6) return ParseError::bad_version;
    if (is_mapped(&bytes[8]) || is_mapped(&bytes[24])) return ParseError::bad_address;
    return ParseError::none;
  }
  constexpr Ipv6View() = default;
  constexpr explicit Ipv6View(ByteSpan bytes) : bytes_(bytes) {}
  ByteSpan bytes_;
};

}  // namespace leat::wire
