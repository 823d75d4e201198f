#pragma once
// RawSettings: what a raw socket lets through, and which checksum it leaves to the stack: a value that stands beside
// the operation (Verb::set_raw, get_raw), so that the many that have nothing to do with it do not carry it.
//
// Read RFC 3542 3.1 and 3.2, Linux raw(7). Threading: values.

#include <array>
#include <cstdint>

namespace leat {

struct RawSettings {
  // ICMP and ICMPv6: messages of type t do not come when bit t % 32 of word t / 32 is set.
  std::array<std::uint32_t, 8> blocked_types{};
  // IPv6: where in what is sent and received the checksum stands. It is filled in and looked at. Below 0: nowhere.
  std::int32_t checksum_at = -1;

  [[nodiscard]] constexpr bool blocks(std::uint8_t type) const {
    return (blocked_types[type / 32] >> (type % 32) & 1U) != 0;
  }
};

}  // namespace leat
