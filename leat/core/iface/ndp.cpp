#include <leat/core/iface/link.hpp>
#include <leat/core/iface/ndp.hpp>
#include <leat/core/ip/input.hpp>
#include <leat/wire/ip_protocol.hpp>
#include <leat/wire/ndp.hpp>

namespace leat::iface {
namespace {

constexpr std::uint8_t kHopLimit = 255;  // RFC 4861 11.2: no router passes it on
constexpr IpAddress kAllNodes = IpAddress::v6({0xff02, 0, 0, 0, 0, 0, 0, 1});
constexpr std::int64_t kProbeAnswerRate = 10;  // L5, L9: answers to probes for our addresses
constexpr std::int64_t kProbeAnswerBurst = 10;

// Sends a message of neighbour discovery to a group, or to the station at `known`.
template <class Message>
void send_message(Core& core, InterfaceId id, const Message& message, const IpAddress& source, const IpAddress& to,
                  const MacAddress* known) {
  const Interface* const ifc = core.iface.find(id);
  if (ifc == nullptr || ifc->link != LinkType::ethernet) return;
  Packet p = core.pool.allocate(ChunkClass::small, 64, Priority::control);
  if (!p) {
    core.counters.add(DropReason::no_buffers);
    return;
  }
  const MutableByteSpan room = p.append(p.tailroom());
  const std::size_t length = message.emit(room);
  LEAT_ASSERT(length > 0);
  p.truncate(static_cast<std::uint32_t>(length));
  wire::finish_icmpv6_checksum(p.writable_head(), source, to);
  core.modules.ipv6->push_header(p, {.source = source,
                                     .destination = to,
                                     .protocol = static_cast<std::uint8_t>(wire::IpProtocol::icmpv6),
                                     .ttl = kHopLimit});
  p.meta().l3_offset = 0;
  push_ethernet(p, ifc->mac, known == nullptr ? to.multicast_mac() : *known, wire::EtherType::ipv6);
  enqueue(core, id, std::move(p), true);
}

void advertise_to(Core& core, InterfaceId id, const IpAddress& own, const IpAddress& to, const MacAddress* known) {
  wire::NeighborAdvertisement na{.solicited = !to.is_multicast(), .override_cache = true, .target = own, .options = {}};
  na.options.target_mac = core.iface.interfaces[id - 1U].mac;
  send_message(core, id, na, own, to, known);
}

// What a message said, or nothing and the packet is gone.
DropReason solicitation(Core& core, const TransportInput& in, const wire::NeighborSolicitation& ns) {
  const Index a = find_address(core, in.interface, ns.target);
  // L11: what does not concern us teaches us nothing.
  if (a == kNoIndex) return DropReason::ndp_ignored;
  const Address& own = core.iface.addresses[a];
  if (in.source.is_unspecified()) {
    // L9: somebody is about to take the address.
    if (own.state == AddressState::tentative) {
      address_conflict(core, a);
      return DropReason::count_;
    }
    if (!own.usable()) return DropReason::ndp_ignored;
    if (!core.iface.defences.take(core.now, kProbeAnswerRate, kProbeAnswerBurst)) return DropReason::ndp_ignored;
    advertise_to(core, in.interface, ns.target, kAllNodes, nullptr);
    return DropReason::count_;
  }
  // RFC 4862 5.4.3: a tentative address is nobody's yet.
  if (!own.usable()) return DropReason::ndp_ignored;
  std::optional<MacAddress> to = ns.options.source_mac;
  if (to) {
    if (to->is_multicast() || *to == core.iface.interfaces[in.interface - 1U].mac) return DropReason::ndp_malformed;
    learn_neighbor(core, in.interface, in.source, *to, true);
  } else if (const Index n = core.iface.neighbors.find(in.interface, in.source);
             n != kNoIndex && core.iface.neighbors[n].state != NeighborState::incomplete) {
    to = core.iface.neighbors[n].mac;
  }
  if (to) {
    advertise_to(core, in.interface, ns.target, in.source, &*to);
  } else {
    // Its address must be asked for first; the asker will ask again.
    (void)neighbor_for_output(core, in.interface, in.source, false);
  }
  return DropReason::count_;
}

DropReason advertisement(Core& core, const TransportInput& in, const wire::NeighborAdvertisement& na) {
  if (const Index a = find_address(core, in.interface, na.target); a != kNoIndex) {
    address_conflict(core, a);
    return DropReason::count_;
  }
  const auto& mac = na.options.target_mac;
  if (mac && (mac->is_multicast() || *mac == core.iface.interfaces[in.interface - 1U].mac)) {
    return DropReason::ndp_malformed;
  }
  // L4: an advertisement that nobody asked for makes no entry (RFC 4861 7.2.5).
  const bool known = neighbor_advertised(core, in.interface, na.target,
                                         {.mac = mac,
                                          .solicited = na.solicited,
                                          .override_cache = na.override_cache,
                                          .speaks_of_router = true,
                                          .router = na.router});
  return known ? DropReason::count_ : DropReason::ndp_ignored;
}

}  // namespace

void ndp_input(Core& core, TransportInput&& in) {
  const Interface* const ifc = core.iface.find(in.interface);
  // Links without addresses have no neighbours to discover, and nobody discovers the loopback queue.
  if (ifc == nullptr || ifc->link != LinkType::ethernet) {
    core.drop(std::move(in.packet), DropReason::ndp_ignored);
    return;
  }
  const std::uint32_t at = in.packet.meta().l4_offset;
  if (!ip::need_contiguous(in.packet, 1280)) {
    core.drop(std::move(in.packet), DropReason::no_buffers);
    return;
  }
  const ByteSpan message = in.packet.head().subspan(at);
  // L10: hop limit, code, lengths and options are checked by the parsers: what is wrong in one place is wrong whole.
  const wire::NdpEnvelope envelope{in.source, in.destination, in.ttl};
  DropReason reason = DropReason::ndp_malformed;
  switch (static_cast<wire::Icmpv6Type>(message[0])) {
    case wire::Icmpv6Type::neighbor_solicitation:
      if (const auto ns = wire::NeighborSolicitation::parse(message, envelope)) reason = solicitation(core, in, *ns);
      break;
    case wire::Icmpv6Type::neighbor_advertisement:
      if (const auto na = wire::NeighborAdvertisement::parse(message, envelope)) reason = advertisement(core, in, *na);
      break;
    case wire::Icmpv6Type::router_advertisement:
      // Autoconfiguration (RFC 4862 5.5) has its place here.
      if (wire::RouterAdvertisement::parse(message, envelope)) reason = DropReason::ndp_ignored;
      break;
    case wire::Icmpv6Type::router_solicitation:
      if (wire::RouterSolicitation::parse(message, envelope)) reason = DropReason::ndp_ignored;
      break;
    case wire::Icmpv6Type::redirect:
      // Routes are what the configuration says: a redirect that is well formed is ignored.
      if (wire::Redirect::parse(message, envelope)) reason = DropReason::ndp_ignored;
      break;
    default:
      break;
  }
  if (reason == DropReason::count_) {
    in.packet.reset();
  } else {
    core.drop(std::move(in.packet), reason);
  }
}

void solicit_neighbor(Core& core, InterfaceId id, const IpAddress& target, const MacAddress* known) {
  const IpAddress source = select_source(core, id, target);
  // RFC 4861 7.2.2: from `::` it would be duplicate detection.
  if (source.is_unspecified()) return;
  wire::NeighborSolicitation ns{.target = target, .options = {}};
  ns.options.source_mac = core.iface.interfaces[id - 1U].mac;
  send_message(core, id, ns, source, known == nullptr ? target.solicited_node() : target, known);
}

void probe_duplicate(Core& core, InterfaceId id, const IpAddress& tentative) {
  send_message(core, id, wire::NeighborSolicitation{.target = tentative, .options = {}}, IpAddress{},
               tentative.solicited_node(), nullptr);
}

void advertise_address(Core& core, InterfaceId id, const IpAddress& own) {
  advertise_to(core, id, own, kAllNodes, nullptr);
}

}  // namespace leat::iface
