#pragma once
// The IPv6 part of the network layer, as a table: what the common code calls. An image whose Modules has none links
// no IPv6 input, ICMPv6 or neighbour discovery.

#include <leat/core/iface/multicast.hpp>
#include <leat/core/ip/ip.hpp>
#include <leat/core/modules.hpp>

namespace leat {

struct Ipv6Module {
  // A packet with data at the IPv6 header.
  void (*input)(Core&, Packet&&, InterfaceId, bool from_wire) = nullptr;
  void (*icmp_input)(Core&, TransportInput&&) = nullptr;
  // Puts the header in front.
  void (*push_header)(Packet&, const ip::SendInfo&) = nullptr;
  // RFC 4861 7.2.2: asks for the link address of `target`, in its solicited-node group or from itself at `known`.
  void (*solicit)(Core&, InterfaceId, const IpAddress& target, const MacAddress* known) = nullptr;
  // RFC 4862 5.4.2: asks whether somebody else has a tentative address.
  void (*probe_duplicate)(Core&, InterfaceId, const IpAddress& tentative) = nullptr;
  // RFC 4861 7.2.6: tells everybody on the link that an address is ours.
  void (*advertise)(Core&, InterfaceId, const IpAddress&) = nullptr;
  // RFC 3810 5.2: what is said of multicast groups. False: it could not be sent now.
  bool (*group_report)(Core&, InterfaceId, iface::ReportKind, Index only_group) = nullptr;
  bool (*older_group_message)(Core&, InterfaceId, iface::OlderMessage, const IpAddress& group) = nullptr;
  // An ICMPv6 error; the rules that allow it were checked.
  void (*send_error)(Core&, const TransportInput& offending, IcmpErrorKind, std::uint32_t info) = nullptr;
};

extern const Ipv6Module kIpv6Module;

}  // namespace leat
