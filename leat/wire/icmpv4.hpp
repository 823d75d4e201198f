#pragma once
// ICMPv4 (RFC 792, RFC 1122 3.2.2, RFC 1191 4 for the next-hop MTU). The shape is in icmp.hpp.

#include <leat/wire/icmp.hpp>

namespace leat::wire {

enum class Icmpv4Type : std::uint8_t {
  echo_reply = 0,
  destination_unreachable = 3,
  source_quench = 4,
  redirect = 5,
  echo_request = 8,
  router_advertisement = 9,
  router_solicitation = 10,
  time_exceeded = 11,
  parameter_problem = 12,
  timestamp_request = 13,
  timestamp_reply = 14,
};

// Codes of destination_unreachable.
namespace icmpv4_unreachable {
inline constexpr std::uint8_t kNetwork = 0;
inline constexpr std::uint8_t kHost = 1;
inline constexpr std::uint8_t kProtocol = 2;
inline constexpr std::uint8_t kPort = 3;
inline constexpr std::uint8_t kFragmentationNeeded = 4;
inline constexpr std::uint8_t kSourceRouteFailed = 5;
inline constexpr std::uint8_t kNetworkProhibited = 9;
inline constexpr std::uint8_t kHostProhibited = 10;
inline constexpr std::uint8_t kProhibited = 13;
}  // namespace icmpv4_unreachable

using Icmpv4Header = BasicIcmpHeader<Icmpv4Type>;
using Icmpv4View = BasicIcmpView<Icmpv4Type>;

// RFC 1122 3.2.2: error messages, to which no error message may answer.
constexpr bool is_error(Icmpv4Type type) {
  return type == Icmpv4Type::destination_unreachable || type == Icmpv4Type::source_quench ||
         type == Icmpv4Type::redirect || type == Icmpv4Type::time_exceeded || type == Icmpv4Type::parameter_problem;
}
// RFC 1191 4: the MTU of the next hop in a "fragmentation needed"; 0 from routers that don't know it.
constexpr std::uint16_t next_hop_mtu(const Icmpv4View& view) {
  return static_cast<std::uint16_t>(view.rest());
}
// The byte of the quoted packet that a parameter problem points at.
constexpr std::uint8_t problem_pointer(const Icmpv4View& view) {
  return static_cast<std::uint8_t>(view.rest() >> 24);
}

}  // namespace leat::wire
