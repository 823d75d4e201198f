// The link layer's way in: Ethernet (RFC 894, 1122 2.3) or raw IP, one batch at a time.

#include <leat/core/core.hpp>
#include <leat/core/iface/iface.hpp>
#include <leat/core/iface/link.hpp>
#include <leat/core/ip/datagram.hpp>
#include <leat/core/ip/input.hpp>

namespace leat::iface {
namespace {

// Does a multicast frame interest anybody here? Group addresses of Ethernet are shared by several IP groups: IP looks
// again.
bool takes_group(const Core& core, InterfaceId id, const MacAddress& mac) {
  if (mac == IpAddress::v4(224, 0, 0, 1).multicast_mac()) return true;
  if (mac == MacAddress{{0x33, 0x33, 0, 0, 0, 1}}) return true;  // ff02::1
  for (Index i = 0; i < core.iface.group_pool.watermark(); ++i)
    if (core.iface.groups[i].interface == id && core.iface.groups[i].group.multicast_mac() == mac) return true;
  return false;
}

// Of a frame that is not addressed to us.
LinkCast cast_of(const MacAddress& to) {
  if (!to.is_multicast()) return LinkCast::other_host;
  return to.is_broadcast() ? LinkCast::broadcast : LinkCast::multicast;
}

// The plain case in one look: an untagged IPv4 frame for our address. False: nothing was done but notes in the meta.
bool usual_frame(Core& core, InterfaceId id, std::uint64_t our_mac, Packet& p) {
  PacketMeta& m = p.meta();
  m.interface = id;
  if (m.head_length < wire::EthernetHeader::kLength || m.vlan != 0) return false;
  const std::uint8_t* const h = p.head().data();
  if (load_be64(h) >> 16 != our_mac || load_be16(h + 12) != static_cast<std::uint16_t>(wire::EtherType::ipv4)) {
    return false;
  }
  m.link_cast = LinkCast::unicast;
  return ip::stage_usual_segment(core, p, id, wire::EthernetHeader::kLength);
}

void ethernet_input(Core& core, InterfaceId id, const Interface& ifc, Packet&& p) {
  PacketMeta& m = p.meta();
  // L1: a frame must hold its header. The device delivers at least that much contiguously or has nothing to deliver.
  if (m.head_length < wire::EthernetHeader::kLength && !p.pull(wire::EthernetHeader::kLength)) {
    core.drop(std::move(p), DropReason::link_too_short);
    return;
  }
  const std::uint8_t* const h = p.head().data();
  const bool ours = load_be32(h) == load_be32(&ifc.mac.bytes[0]) && load_be16(h + 4) == load_be16(&ifc.mac.bytes[4]);
  m.link_cast = ours ? LinkCast::unicast : cast_of(wire::load_mac(h));
  if (!ours && !ifc.promiscuous &&
      (m.link_cast == LinkCast::other_host ||
       (m.link_cast == LinkCast::multicast && !takes_group(core, id, wire::load_mac(h))))) {
    core.drop(std::move(p), DropReason::link_not_for_us);
    return;
  }
  // A link that brings our own groups back to us speaks to nobody: our own probe is no sign of another (RFC 7527 1).
  if (m.link_cast != LinkCast::unicast && wire::load_mac(h + 6) == ifc.mac) {
    core.drop(std::move(p), DropReason::link_not_for_us);
    return;
  }
  const auto type = static_cast<wire::EtherType>(load_be16(h + 12));
  // L2: we are in no VLAN, whether the tag stands in the frame or was taken out by the device.
  if (m.vlan != 0 || type == wire::EtherType::vlan || type == wire::EtherType::service_vlan) {
    core.drop(std::move(p), DropReason::link_vlan);
    return;
  }
  ip::strip_header(p, wire::EthernetHeader::kLength);
  if (type == wire::EtherType::ipv4) {
    ip::ipv4_input(core, std::move(p), id, ip::Origin::wire);
  } else if (type == wire::EtherType::ipv6 && core.modules.ipv6 != nullptr) {
    ip::ipv6_input(core, std::move(p), id, ip::Origin::wire);
  } else if (type == wire::EtherType::arp) {
    ip::flush_staged(core);
    if (p.head().size() < wire::ArpHeader::kLength && p.size() >= wire::ArpHeader::kLength) {
      (void)p.pull(wire::ArpHeader::kLength);
    }
    arp_input(core, id, std::move(p));
  } else {
    core.drop(std::move(p), DropReason::link_unknown_ethertype);
  }
}

}  // namespace

void input(Core& core, InterfaceId id, PacketBatch& batch) {
  const Interface* const ifc = core.iface.find(id);
  const bool up = ifc != nullptr && ifc->up;
  const bool ethernet = up && ifc->link == LinkType::ethernet;
  const std::uint64_t our_mac =
      up ? std::uint64_t{load_be32(&ifc->mac.bytes[0])} << 16 | load_be16(&ifc->mac.bytes[4]) : 0;
  for (Packet& slot : batch) {
    if (!slot) continue;
    if (ethernet && usual_frame(core, id, our_mac, slot)) continue;
    Packet p = std::move(slot);
    if (!up) {
      core.drop(std::move(p), DropReason::interface_down);
      continue;
    }
    p.meta().interface = id;
    if (ethernet) {
      ethernet_input(core, id, *ifc, std::move(p));
    } else {
      p.meta().link_cast = LinkCast::unicast;
      ip::input_by_version(core, std::move(p), id, ip::Origin::wire);
    }
  }
  ip::flush_staged(core);
  batch.clear();
}

namespace {

// Connections with ourselves belong to no interface: their transports are asked here.
bool waits(const Core& core, const TransportModule* t) {
  return t != nullptr && t->has_output != nullptr && t->has_output(core, kNoInterface);
}

[[gnu::noinline]] bool run_loopback_queue(Core& core, unsigned budget) {
  PacketBatch none{0};
  for (const TransportModule* t : {core.modules.tcp, core.modules.udp})
    if (waits(core, t) && t->output != nullptr) t->output(core, kNoInterface, none);
  // What is put in while these are handled waits for the next turn: no packet can keep us here.
  const std::uint32_t waiting = core.ip.loopback.count();
  for (std::uint32_t n = std::min<std::uint32_t>(budget, waiting); n > 0; --n) {
    Packet p = core.ip.loopback.pop_front(core.pool);
    const InterfaceId id = p.meta().interface;  // of a datagram to a group: where it was sent
    ip::input_by_version(core, std::move(p), id, ip::Origin::loopback);
  }
  ip::flush_staged(core);
  if (!core.ip.loopback_waiters.empty() && core.ip.loopback.count() <= core.ip.loopback_limit / 2) {
    ip::room_again(core, kNoInterface);
  }
  return !core.ip.loopback.empty() || waits(core, core.modules.tcp) || waits(core, core.modules.udp);
}

}  // namespace

// Every turn asks, and hardly ever is there something.
bool run_loopback(Core& core, unsigned budget) {
  const bool nothing = core.ip.loopback.empty() && core.ip.loopback_waiters.empty() && !waits(core, core.modules.tcp) &&
                       !waits(core, core.modules.udp);
  return !nothing && run_loopback_queue(core, budget);
}

}  // namespace leat::iface
