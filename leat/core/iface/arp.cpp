// ARP (RFC 826) with address conflict detection (RFC 5227).

#include <leat/core/core.hpp>
#include <leat/core/iface/link.hpp>
#include <leat/core/ip/ip.hpp>

namespace leat::iface {
namespace {

// L5: probes for our addresses are answered, this often.
constexpr std::int64_t kProbeAnswerRate = 10;
constexpr std::int64_t kProbeAnswerBurst = 10;

// L4: addresses that no honest station has.
bool sender_impossible(const wire::ArpView& arp, const Interface& ifc) {
  const MacAddress mac = arp.sender_mac();
  const IpAddress ip = arp.sender_ip();
  return mac.is_multicast() || mac.is_zero() || mac == ifc.mac || ip.is_multicast() || ip.is_loopback() ||
         ip.is_limited_broadcast();
}

bool is_on_link(const Core& core, InterfaceId id, const IpAddress& a) {
  const Index r = core.iface.routes.find(core.scope, a, [](const Route&) { return true; });
  return r != kNoIndex && core.iface.routes[r].kind == RouteKind::unicast && core.iface.routes[r].interface == id &&
         core.iface.routes[r].gateway.is_unspecified();
}

void answer(Core& core, InterfaceId id, const wire::ArpView& arp) {
  const Interface& ifc = core.iface.interfaces[id - 1U];
  send_arp(core, id, {wire::ArpOperation::reply, ifc.mac, arp.target_ip(), arp.sender_mac(), arp.sender_ip()},
           arp.sender_mac());
}

}  // namespace

void arp_input(Core& core, InterfaceId id, Packet&& packet) {
  const Interface& ifc = core.iface.interfaces[id - 1U];
  const auto arp = wire::ArpView::parse(packet.head());
  if (!arp || sender_impossible(*arp, ifc)) {
    core.drop(std::move(packet), DropReason::arp_malformed);
    return;
  }
  const IpAddress sender = arp->sender_ip();
  const IpAddress target = arp->target_ip();
  const bool request = arp->operation() == wire::ArpOperation::request;
  const bool probe = sender.is_unspecified();

  // RFC 5227 2.1.1, 2.4: somebody uses, or is about to use, an address of ours.
  if (const Index claimed = find_address(core, id, sender); claimed != kNoIndex) {
    address_conflict(core, claimed);
    core.drop(std::move(packet), DropReason::arp_ignored);
    return;
  }
  const Index wanted = find_address(core, id, target);
  if (probe) {
    if (request && wanted != kNoIndex) {
      if (core.iface.addresses[wanted].state == AddressState::tentative) {
        address_conflict(core, wanted);
      } else if (core.iface.addresses[wanted].usable() &&
                 core.iface.defences.take(core.now, kProbeAnswerRate, kProbeAnswerBurst)) {
        answer(core, id, *arp);
        packet.reset();
        return;
      }
    }
    core.drop(std::move(packet), DropReason::arp_ignored);
    return;
  }

  bool useful = false;
  if (request) {
    // RFC 826: an entry that exists learns the sender's address, whomever the request is for. One is made when the
    // request is for us: its sender is about to talk to us. L4, L7: anybody can send requests with any sender, so only
    // for a neighbour, and nobody who is resolved gives way.
    const bool for_us = wanted != kNoIndex && core.iface.addresses[wanted].usable();
    useful = for_us || core.iface.neighbors.find(id, sender) != kNoIndex;
    learn_neighbor(core, id, sender, arp->sender_mac(), for_us && is_on_link(core, id, sender));
    if (for_us) answer(core, id, *arp);
  } else {
    // It counts as solicited only when we are in fact asking: otherwise it is news that NUD will check.
    const Index i = core.iface.neighbors.find(id, sender);
    const NeighborState state = i == kNoIndex ? NeighborState::none : core.iface.neighbors[i].state;
    const bool asked = wanted != kNoIndex && (state == NeighborState::incomplete || state == NeighborState::probe);
    useful = neighbor_advertised(core, id, sender, {.mac = arp->sender_mac(), .solicited = asked});
  }
  if (useful) {
    packet.reset();
  } else {
    core.drop(std::move(packet), DropReason::arp_ignored);
  }
}

void send_arp(Core& core, InterfaceId id, const wire::ArpHeader& arp, const MacAddress& to) {
  Packet p = core.pool.allocate(ChunkClass::small, wire::EthernetHeader::kLength, Priority::control);
  if (!p) {
    core.counters.add(DropReason::no_buffers);
    return;
  }
  (void)arp.emit(p.append(wire::ArpHeader::kLength));
  push_ethernet(p, core.iface.interfaces[id - 1U].mac, to, wire::EtherType::arp);
  enqueue(core, id, std::move(p), true);
}

void send_arp_request(Core& core, InterfaceId id, const IpAddress& target, const MacAddress* known) {
  const Interface& ifc = core.iface.interfaces[id - 1U];
  IpAddress source = select_source(core, id, target);
  if (source.is_unspecified()) source = IpAddress::v4(0);
  send_arp(core, id, {wire::ArpOperation::request, ifc.mac, source, {}, target},
           known == nullptr ? MacAddress::broadcast() : *known);
}

}  // namespace leat::iface
