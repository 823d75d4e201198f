#pragma once
// Addresses. IpAddress is 16 bytes for both versions: IPv4 stands as ::ffff:a.b.c.d, so that every table key has one
// form and a dual-stack listener is an ordinary any-address entry. The IPv4 wildcard 0.0.0.0 is ::ffff:0.0.0.0 and the
// IPv6 wildcard is `::`; `is_unspecified` is true of both.
//
// Text goes to caller-supplied buffers (no heap): `format(span)` returns the characters written. RFC 5952 for IPv6.

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <leat/base/bytes.hpp>
#include <optional>
#include <string_view>

namespace leat {

struct MacAddress {
  std::array<std::uint8_t, 6> bytes{};
  constexpr auto operator<=>(const MacAddress&) const = default;
  static constexpr MacAddress broadcast() { return {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}; }
  [[nodiscard]] constexpr bool is_broadcast() const { return *this == broadcast(); }
  [[nodiscard]] constexpr bool is_multicast() const { return (bytes[0] & 1) != 0; }  // broadcast included
  [[nodiscard]] constexpr bool is_zero() const { return *this == MacAddress{}; }
  static std::optional<MacAddress> parse(std::string_view text);
};

enum class IpVersion : std::uint8_t { v4 = 4, v6 = 6 };

class IpAddress {
 public:
  constexpr IpAddress() = default;  // `::`
  static constexpr IpAddress v4(std::uint32_t host_order) {
    IpAddress a;
    store_be64(&a.bytes_[8], 0xffff'0000'0000ULL | host_order);  // one store, which later loads can take over
    return a;
  }
  static constexpr IpAddress v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    return v4((std::uint32_t{a} << 24) | (std::uint32_t{b} << 16) | (std::uint32_t{c} << 8) | d);
  }
  // `wire` points at 4 bytes.
  static constexpr IpAddress v4_wire(const std::uint8_t* wire) {
    IpAddress a;
    a.bytes_ = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, wire[0], wire[1], wire[2], wire[3]};
    return a;
  }
  // `wire` points at 16 bytes.
  static constexpr IpAddress v6_wire(const std::uint8_t* wire) {
    IpAddress a;
    for (std::size_t i = 0; i < 16; ++i) a.bytes_[i] = wire[i];
    return a;
  }
  static constexpr IpAddress v6(std::array<std::uint16_t, 8> groups) {
    IpAddress a;
    for (std::size_t i = 0; i < 8; ++i) store_be16(&a.bytes_[2 * i], groups[i]);
    return a;
  }
  static constexpr IpAddress any(IpVersion v) { return v == IpVersion::v4 ? v4(0) : IpAddress{}; }

  constexpr auto operator<=>(const IpAddress&) const = default;
  constexpr bool operator==(const IpAddress& o) const {  // runs per packet: two words instead of a call of memcmp
    return load_be64(&bytes_[0]) == load_be64(&o.bytes_[0]) && load_be64(&bytes_[8]) == load_be64(&o.bytes_[8]);
  }

  [[nodiscard]] constexpr bool is_v4() const {
    return load_be64(&bytes_[0]) == 0 && load_be32(&bytes_[8]) == 0xffff;  // two loads: this runs per packet
  }
  [[nodiscard]] constexpr IpVersion version() const { return is_v4() ? IpVersion::v4 : IpVersion::v6; }
  [[nodiscard]] constexpr std::uint32_t v4_value() const { return load_be32(&bytes_[12]); }
  [[nodiscard]] constexpr const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }
  [[nodiscard]] constexpr const std::uint8_t* v4_bytes() const { return &bytes_[12]; }
  // The bytes as they stand on the wire: 4 or 16.
  [[nodiscard]] constexpr ByteSpan wire() const {
    return is_v4() ? ByteSpan{&bytes_[12], 4} : ByteSpan{bytes_.data(), 16};
  }

  [[nodiscard]] constexpr bool is_unspecified() const { return *this == IpAddress{} || *this == v4(0); }
  [[nodiscard]] constexpr bool is_loopback() const {
    if (is_v4()) return (v4_value() >> 24) == 127;
    IpAddress one;
    one.bytes_[15] = 1;
    return *this == one;
  }
  [[nodiscard]] constexpr bool is_multicast() const { return is_v4() ? (v4_value() >> 28) == 14 : bytes_[0] == 0xff; }
  [[nodiscard]] constexpr bool is_limited_broadcast() const { return is_v4() && v4_value() == 0xffffffffU; }
  [[nodiscard]] constexpr bool is_link_local() const {
    return is_v4() ? (v4_value() >> 16) == 0xa9fe : (bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80);
  }
  // RFC 4291 2.7.1: ff02::1:ffXX:XXXX for an IPv6 unicast address.
  [[nodiscard]] constexpr IpAddress solicited_node() const {
    IpAddress a;
    a.bytes_ = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, bytes_[13], bytes_[14], bytes_[15]};
    return a;
  }
  // RFC 1112 6.4 and RFC 2464 7: the Ethernet group address of a multicast address.
  [[nodiscard]] constexpr MacAddress multicast_mac() const {
    if (is_v4()) return {{0x01, 0x00, 0x5e, static_cast<std::uint8_t>(bytes_[13] & 0x7f), bytes_[14], bytes_[15]}};
    return {{0x33, 0x33, bytes_[12], bytes_[13], bytes_[14], bytes_[15]}};
  }

  static std::optional<IpAddress> parse(std::string_view text);  // "10.0.0.1", "fe80::1"

 private:
  std::array<std::uint8_t, 16> bytes_{};
};

// An address with a prefix length: an interface address ("10.0.0.2/24") or a route's destination. `length` counts bits
// of the version's own width: 0..32 or 0..128.
struct IpPrefix {
  IpAddress address;
  std::uint8_t length = 0;
  constexpr bool operator==(const IpPrefix&) const = default;
  // Prefix length over the 128-bit form.
  [[nodiscard]] constexpr unsigned mapped_length() const { return address.is_v4() ? length + 96U : length; }
  [[nodiscard]] constexpr bool contains(const IpAddress& a) const {
    if (a.is_v4() != address.is_v4()) return false;
    unsigned bits = mapped_length();
    for (std::size_t i = 0; i < 16 && bits > 0; ++i) {
      const unsigned take = bits < 8 ? bits : 8;
      const auto mask = static_cast<std::uint8_t>(0xff00U >> take);
      if (((a.bytes()[i] ^ address.bytes()[i]) & mask) != 0) return false;
      bits -= take;
    }
    return true;
  }
  // The directed broadcast address of an IPv4 prefix; nothing for /31, /32 and IPv6 (RFC 919, RFC 3021).
  [[nodiscard]] constexpr std::optional<IpAddress> broadcast() const {
    if (!address.is_v4() || length >= 31) return std::nullopt;
    return IpAddress::v4(address.v4_value() | (0xffffffffU >> length));
  }
  static std::optional<IpPrefix> parse(std::string_view text);  // "10.0.0.2/24"; without a length: a host
};

class Port {
 public:
  constexpr Port() = default;
  constexpr explicit Port(std::uint16_t v) : value_(v) {}
  [[nodiscard]] constexpr std::uint16_t value() const { return value_; }
  constexpr auto operator<=>(const Port&) const = default;

 private:
  std::uint16_t value_ = 0;
};

struct Endpoint {
  IpAddress address;
  Port port;
  constexpr auto operator<=>(const Endpoint&) const = default;
};

// Every lookup key carries a scope: a stack instance or VRF.
using Scope = std::uint16_t;

// The identity of a connected flow, from our side.
struct FlowKey {
  IpAddress local{};
  IpAddress remote{};
  Port local_port{};
  Port remote_port{};
  Scope scope = 0;
  constexpr bool operator==(const FlowKey&) const = default;
};

// Longest texts, terminators not included: "255.255.255.255" 15, IPv6 39 (46 with an embedded IPv4), MAC 17,
// "[v6]:65535" 54.
inline constexpr std::size_t kMaxAddressText = 64;
std::size_t format(const MacAddress& a, std::span<char> out);
std::size_t format(const IpAddress& a, std::span<char> out);
std::size_t format(const IpPrefix& p, std::span<char> out);
std::size_t format(const Endpoint& e, std::span<char> out);  // "10.0.0.1:80", "[fe80::1]:80"

// A text of an address with its own storage, for messages: `AddressText(a).view()`.
class AddressText {
 public:
  template <class T>
  explicit AddressText(const T& value) : length_(format(value, std::span<char>{text_})) {}
  [[nodiscard]] std::string_view view() const { return {text_.data(), length_}; }

 private:
  std::array<char, kMaxAddressText> text_{};
  std::size_t length_;
};

}  // namespace leat
