#pragma once
// Neighbour discovery (RFC 4861) and duplicate address detection (RFC 4862 5.4), inside the IPv6 module. Threading: the
// owner of the shard.

#include <leat/core/modules.hpp>

namespace leat::iface {

// Whether the ICMPv6 message at `at` is one of neighbour discovery.
[[nodiscard]] inline bool is_ndp(ByteSpan head, std::size_t at) {
  return at < head.size() && head[at] >= 133 && head[at] <= 137;
}
// A message of neighbour discovery, its checksum right.
void ndp_input(Core&, TransportInput&& in);

void solicit_neighbor(Core&, InterfaceId, const IpAddress& target, const MacAddress* known);
void probe_duplicate(Core&, InterfaceId, const IpAddress& tentative);
void advertise_address(Core&, InterfaceId, const IpAddress&);

}  // namespace leat::iface
