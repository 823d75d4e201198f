#pragma once
// Ethernet II frames (RFC 894, IEEE 802.3 3.2.6).
//
//    0            6           12      14
//   | destination | source    | type  | payload ...
//
// Threading: views borrow the bytes that they were parsed from.

#include <algorithm>
#include <leat/base/address.hpp>
#include <leat/wire/parse_error.hpp>

namespace leat::wire {

// Any 16-bit value may stand in a frame; these are the ones that we know.
enum class EtherType : std::uint16_t {
  ipv4 = 0x0800,
  arp = 0x0806,
  vlan = 0x8100,
  ipv6 = 0x86dd,
  service_vlan = 0x88a8,
};

constexpr MacAddress load_mac(const std::uint8_t* p) {
  return {{p[0], p[1], p[2], p[3], p[4], p[5]}};
}
constexpr void store_mac(std::uint8_t* p, const MacAddress& mac) {
  std::copy_n(mac.bytes.data(), 6, p);
}

struct EthernetHeader {
  static constexpr std::size_t kLength = 14;
  MacAddress destination;
  MacAddress source;
  EtherType type{};

  constexpr bool operator==(const EthernetHeader&) const = default;
  // Bytes written; 0 when `out` is too small.
  [[nodiscard]] constexpr std::size_t emit(MutableByteSpan out) const {
    if (out.size() < kLength) return 0;
    store_mac(&out[0], destination);
    store_mac(&out[6], source);
    store_be16(&out[12], static_cast<std::uint16_t>(type));
    return kLength;
  }
};

class EthernetView {
 public:
  static constexpr Parsed<EthernetView> parse(ByteSpan frame) {
    if (frame.size() < EthernetHeader::kLength) return ParseError::truncated;
    return EthernetView{frame};
  }
  [[nodiscard]] constexpr MacAddress destination() const { return load_mac(&frame_[0]); }
  [[nodiscard]] constexpr MacAddress source() const { return load_mac(&frame_[6]); }
  [[nodiscard]] constexpr EtherType type() const { return static_cast<EtherType>(load_be16(&frame_[12])); }
  // IEEE 802.3 3.2.6: values below 0x0600 are a length, not a type.
  [[nodiscard]] constexpr bool is_802_3() const { return load_be16(&frame_[12]) < 0x0600; }
  [[nodiscard]] constexpr ByteSpan payload() const { return frame_.subspan(EthernetHeader::kLength); }
  [[nodiscard]] constexpr EthernetHeader header() const { return {destination(), source(), type()}; }

 private:
  friend class Parsed<EthernetView>;
  constexpr EthernetView() = default;
  constexpr explicit EthernetView(ByteSpan frame) : frame_(frame) {}
  ByteSpan frame_;
};

}  // namespace leat::wire
