#pragma once
// ARP for IPv4 over Ethernet (RFC 826): 28 bytes. Other hardware and protocol types are refused: nothing here could
// use them. Operations other than request and reply are refused too.
//
// Threading: views borrow the bytes that they were parsed from.

#include <leat/wire/ethernet.hpp>

namespace leat::wire {

enum class ArpOperation : std::uint16_t { request = 1, reply = 2 };

struct ArpHeader {
  static constexpr std::size_t kLength = 28;
  ArpOperation operation = ArpOperation::request;
  MacAddress sender_mac;
  IpAddress sender_ip = IpAddress::v4(0);
  MacAddress target_mac;
  IpAddress target_ip = IpAddress::v4(0);

  constexpr bool operator==(const ArpHeader&) const = default;
  [[nodiscard]] constexpr std::size_t emit(MutableByteSpan out) const {
    if (out.size() < kLength) return 0;
    store_be16(&out[0], 1);  // Ethernet
    store_be16(&out[2], static_cast<std::uint16_t>(EtherType::ipv4));
    out[4] = 6;
    out[5] = 4;
    store_be16(&out[6], static_cast<std::uint16_t>(operation));
    store_mac(&out[8], sender_mac);
    store_be32(&out[14], sender_ip.v4_value());
    store_mac(&out[18], target_mac);
    store_be32(&out[24], target_ip.v4_value());
    return kLength;
  }
};

class ArpView {
 public:
  static constexpr Parsed<ArpView> parse(ByteSpan bytes) {
    if (bytes.size() < ArpHeader::kLength) return ParseError::truncated;
    if (load_be16(&bytes[0]) != 1 || load_be16(&bytes[2]) != static_cast<std::uint16_t>(EtherType::ipv4)) {
      return ParseError::bad_type;
    }
    if (bytes[4] != 6 || bytes[5] != 4) return ParseError::bad_length;
    const std::uint16_t operation = load_be16(&bytes[6]);
    if (operation != 1 && operation != 2) return ParseError::bad_type;
    return ArpView{bytes};
  }
  [[nodiscard]] constexpr ArpOperation operation() const { return static_cast<ArpOperation>(load_be16(&bytes_[6])); }
  [[nodiscard]] constexpr MacAddress sender_mac() const { return load_mac(&bytes_[8]); }
  [[nodiscard]] constexpr IpAddress sender_ip() const { return IpAddress::v4_wire(&bytes_[14]); }
  [[nodiscard]] constexpr MacAddress target_mac() const { return load_mac(&bytes_[18]); }
  [[nodiscard]] constexpr IpAddress target_ip() const { return IpAddress::v4_wire(&bytes_[24]); }
  [[nodiscard]] constexpr ArpHeader header() const {
    return {operation(), sender_mac(), sender_ip(), target_mac(), target_ip()};
  }

 private:
  friend class Parsed<ArpView>;
  constexpr ArpView() = default;
  constexpr explicit ArpView(ByteSpan bytes) : bytes_(bytes) {}
  ByteSpan bytes_;
};

}  // namespace leat::wire
