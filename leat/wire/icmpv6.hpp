#pragma once
// ICMPv6 (RFC 4443). The shape is in icmp.hpp; neighbour discovery is in ndp.hpp. The checksum covers the
// pseudo-header with next header 58.

#include <leat/wire/icmp.hpp>

namespace leat::wire {

enum class Icmpv6Type : std::uint8_t {
  destination_unreachable = 1,
  packet_too_big = 2,
  time_exceeded = 3,
  parameter_problem = 4,
  echo_request = 128,
  echo_reply = 129,
  mld_query = 130,
  mld_report = 131,
  mld_done = 132,
  router_solicitation = 133,
  router_advertisement = 134,
  neighbor_solicitation = 135,
  neighbor_advertisement = 136,
  redirect = 137,
  mldv2_report = 143,
};

// Codes of destination_unreachable.
namespace icmpv6_unreachable {
inline constexpr std::uint8_t kNoRoute = 0;
inline constexpr std::uint8_t kProhibited = 1;
inline constexpr std::uint8_t kBeyondScope = 2;
inline constexpr std::uint8_t kAddress = 3;
inline constexpr std::uint8_t kPort = 4;
inline constexpr std::uint8_t kPolicy = 5;
inline constexpr std::uint8_t kRejectRoute = 6;
}  // namespace icmpv6_unreachable

// Codes of parameter_problem.
namespace icmpv6_problem {
inline constexpr std::uint8_t kField = 0;
inline constexpr std::uint8_t kNextHeader = 1;
inline constexpr std::uint8_t kOption = 2;
inline constexpr std::uint8_t kIncompleteChain = 3;  // RFC 7112
}  // namespace icmpv6_problem

using Icmpv6Header = BasicIcmpHeader<Icmpv6Type>;
using Icmpv6View = BasicIcmpView<Icmpv6Type>;

// RFC 4443 2.1: error messages have the high bit of the type clear, known or not.
constexpr bool is_error(Icmpv6Type type) {
  return static_cast<std::uint8_t>(type) < 128;
}
// The whole checksum of a contiguous message whose field is 0.
inline void finish_icmpv6_checksum(MutableByteSpan message, const IpAddress& source, const IpAddress& destination) {
  Icmpv6Header::finish_checksum(message,
                                pseudo_header_sum(source, destination, 58, static_cast<std::uint32_t>(message.size())));
}

}  // namespace leat::wire
