#pragma once
// The IEEE 802.1Q tag, from behind the tag's ethertype: 3 bits of priority, 1 bit drop-eligible, 12 bits of VLAN id,
// and the ethertype of what follows.
//
// Threading: views borrow the bytes that they were parsed from.

#include <leat/wire/ethernet.hpp>

namespace leat::wire {

struct VlanHeader {
  static constexpr std::size_t kLength = 4;
  std::uint8_t priority = 0;
  bool drop_eligible = false;
  std::uint16_t id = 0;  // 0: priority only; 0xfff is reserved
  EtherType type{};

  constexpr bool operator==(const VlanHeader&) const = default;
  [[nodiscard]] constexpr std::size_t emit(MutableByteSpan out) const {
    if (out.size() < kLength) return 0;
    store_be16(&out[0],
               static_cast<std::uint16_t>(((priority & 7U) << 13) | (drop_eligible ? 0x1000U : 0U) | (id & 0xfffU)));
    store_be16(&out[2], static_cast<std::uint16_t>(type));
    return kLength;
  }
};

class VlanView {
 public:
  static constexpr Parsed<VlanView> parse(ByteSpan bytes) {
    if (bytes.size() < VlanHeader::kLength) return ParseError::truncated;
    return VlanView{bytes};
  }
  [[nodiscard]] constexpr std::uint8_t priority() const { return bytes_[0] >> 5; }
  [[nodiscard]] constexpr bool drop_eligible() const { return (bytes_[0] & 0x10) != 0; }
  [[nodiscard]] constexpr std::uint16_t id() const { return load_be16(&bytes_[0]) & 0xfff; }
  [[nodiscard]] constexpr EtherType type() const { return static_cast<EtherType>(load_be16(&bytes_[2])); }
  [[nodiscard]] constexpr ByteSpan payload() const { return bytes_.subspan(VlanHeader::kLength); }
  [[nodiscard]] constexpr VlanHeader header() const { return {priority(), drop_eligible(), id(), type()}; }

 private:
  friend class Parsed<VlanView>;
  constexpr VlanView() = default;
  constexpr explicit VlanView(ByteSpan bytes) : bytes_(bytes) {}
  ByteSpan bytes_;
};

}  // namespace leat::wire
