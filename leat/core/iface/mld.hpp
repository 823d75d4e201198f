#pragma once
// Multicast listener discovery (RFC 2710, RFC 3810), inside the IPv6 module. Threading: the owner of the shard.

#include <leat/core/iface/multicast.hpp>
#include <leat/core/modules.hpp>

namespace leat::iface {

// Whether the ICMPv6 message at `at` is one of MLD.
[[nodiscard]] inline bool is_mld(ByteSpan head, std::size_t at) {
  return at < head.size() && ((head[at] >= 130 && head[at] <= 132) || head[at] == 143);
}
// A message of MLD, its checksum right.
void mld_input(Core&, TransportInput&& in);
[[nodiscard]] bool send_mld_report(Core&, InterfaceId, ReportKind, Index only_group);
[[nodiscard]] bool send_mld_older(Core&, InterfaceId, OlderMessage, const IpAddress& group);

}  // namespace leat::iface
