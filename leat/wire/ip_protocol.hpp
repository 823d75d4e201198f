#pragma once
// Protocol numbers of IPv4 and next-header values of IPv6 (IANA "Protocol Numbers"). Any 8-bit value may stand in a
// packet.

#include <cstdint>

namespace leat::wire {

enum class IpProtocol : std::uint8_t {
  hop_by_hop = 0,
  icmpv4 = 1,
  igmp = 2,
  ipv4 = 4,
  tcp = 6,
  udp = 17,
  ipv6 = 41,
  routing = 43,
  fragment = 44,
  esp = 50,
  authentication = 51,
  icmpv6 = 58,
  no_next_header = 59,
  destination_options = 60,
};

// The two low bits of the IPv4 TOS byte and of the IPv6 traffic class (RFC 3168 5).
enum class Ecn : std::uint8_t { not_ect = 0, ect1 = 1, ect0 = 2, ce = 3 };

}  // namespace leat::wire
