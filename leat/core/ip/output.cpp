// The way out: paths, IPv4 headers, identifiers, path MTUs, the loopback queue.

#include <leat/core/core.hpp>
#include <leat/core/iface/iface.hpp>
#include <leat/core/iface/link.hpp>
#include <leat/core/ip/frame_headers.hpp>
#include <leat/core/ip/input.hpp>
#include <leat/core/ip/ip.hpp>
#include <leat/offload/gso.hpp>
#include <leat/wire/ipv4.hpp>

namespace leat::ip {
namespace {

constexpr std::uint32_t kLoopbackMtu = 65535;
constexpr std::uint32_t kMinPathMtu4 = 552;   // as Linux: an IPv4 path MTU below this is an attack, not a network
constexpr std::uint32_t kMinPathMtu6 = 1280;  // RFC 8200 5
constexpr Duration kPathMtuLifetime = Duration::s(600);  // RFC 8201 4

// --- path MTUs -------------------------------------------------------------------------------------------------------

std::span<PathMtu> path_mtu_set(Core& core, Scope scope, const IpAddress& remote) {
  const std::uint64_t h = siphash13(core.keys.flow_hash, load_be64(&remote.bytes()[0]), load_be64(&remote.bytes()[8]),
                                    std::uint64_t{scope} | 0x10000);
  const std::size_t sets = core.ip.path_mtus.size() / kPathMtuWays;
  return core.ip.path_mtus.subspan((static_cast<std::size_t>(h) & (sets - 1)) * kPathMtuWays, kPathMtuWays);
}

// nullptr: nothing is known.
const PathMtu* path_mtu(Core& core, Scope scope, const IpAddress& remote) {
  for (const PathMtu& p : path_mtu_set(core, scope, remote))
    if (p.mtu != 0 && p.remote == remote && p.scope == scope && core.now < p.expires) return &p;
  return nullptr;
}

// --- paths -----------------------------------------------------------------------------------------------------------

// Which counter gives a pair of addresses its identifiers: see next_id().
std::uint32_t id_hash(const Core& core, const IpAddress& source, const IpAddress& destination) {
  return static_cast<std::uint32_t>(siphash13(core.keys.ip_id, load_be64(&source.bytes()[0]),
                                              load_be64(&source.bytes()[8]), load_be64(&destination.bytes()[0]),
                                              load_be64(&destination.bytes()[8])));
}

Path loopback_path(Core& core, const IpAddress& remote, const IpAddress& local, InterfaceId bound, Scope scope) {
  Path p;
  p.source = local.is_unspecified() ? remote : local;
  p.next_hop = remote;
  p.mtu = kLoopbackMtu;
  p.loopback = true;
  p.route_epoch = core.route_epoch;
  p.bound = bound;
  p.scope = scope;
  p.id_hash = remote.is_v4() ? id_hash(core, p.source, remote) : 0;
  return p;
}

// An interface for packets to groups, when no route says so: the one of the first usable address.
InterfaceId first_interface(const Core& core, IpVersion version) {
  for (std::uint32_t i = 0; i < core.iface.interface_pool.watermark(); ++i) {
    const iface::Interface& ifc = core.iface.interfaces[i];
    if (!ifc.used || !ifc.up) continue;
    for (Index a = ifc.addresses; a != kNoIndex; a = core.iface.addresses[a].next)
      if (core.iface.addresses[a].usable() && core.iface.addresses[a].prefix.address.version() == version) {
        return static_cast<InterfaceId>(i + 1);
      }
  }
  return kNoInterface;
}

IpAddress source_anywhere(const Core& core, const IpAddress& destination) {
  for (std::uint32_t i = 0; i < core.iface.interface_pool.watermark(); ++i) {
    const IpAddress a = iface::select_source(core, static_cast<InterfaceId>(i + 1), destination);
    if (!a.is_unspecified() && !(a.is_link_local() && !a.is_v4())) return a;
  }
  return IpAddress::any(destination.version());
}

bool is_up(const Core& core, InterfaceId id) {
  const iface::Interface* const ifc = core.iface.find(id);
  return ifc != nullptr && ifc->up;
}

bool is_to_all(const IpAddress& remote) {
  return remote.is_multicast() || remote.is_limited_broadcast();
}

// The route to `remote`, bound to an interface or not; kNoIndex: none.
Index find_route(const Core& core, const IpAddress& remote, InterfaceId bound) {
  return core.iface.routes.find(core.scope, remote, [&](const iface::Route& route) {
    switch (route.kind) {
      case iface::RouteKind::local:
        // The same link-local address may be ours on one link and a neighbour's on another.
        return !(remote.is_link_local() && !remote.is_v4() && bound != kNoInterface && route.interface != bound);
      case iface::RouteKind::any_ip:
      case iface::RouteKind::reject:
        return !is_to_all(remote);
      case iface::RouteKind::broadcast:
      case iface::RouteKind::unicast:
        return (bound == kNoInterface || route.interface == bound) && is_up(core, route.interface);
    }
    return false;
  });
}

// --- IPv4 headers ----------------------------------------------------------------------------------------------------

void push_ipv4(Core& core, Packet& p, const SendInfo& info, const Path& path) {
  const std::uint32_t payload = p.size();
  const wire::Ipv4Header h{.tos = info.traffic_class,
                           .id = next_id(core, path.id_hash, wire_segments(p.meta())),
                           .dont_fragment = info.dont_fragment,
                           .ttl = info.ttl,
                           .protocol = static_cast<wire::IpProtocol>(info.protocol),
                           .source = info.source,
                           .destination = info.destination,
                           .payload_length = static_cast<std::uint16_t>(payload)};
  (void)h.emit(p.prepend(wire::Ipv4Header::kLength));
}

void push_header(Core& core, Packet& p, const SendInfo& info, const Path& path) {
  if (info.destination.is_v4()) {
    push_ipv4(core, p, info, path);
  } else {
    core.modules.ipv6->push_header(p, info);
  }
  p.meta().l3_offset = 0;
}

// `id`: the interface of a datagram to a group, to whose members it goes.
SendStatus loop_back(Core& core, Packet&& p, InterfaceId id = kNoInterface) {
  if (core.ip.loopback.count() >= core.ip.loopback_limit) {
    core.drop(std::move(p), DropReason::loopback_queue_full);
    return SendStatus::dropped;
  }
  PacketMeta& m = p.meta();
  m.merged = static_cast<std::uint16_t>(std::min<std::uint32_t>(wire_segments(m), 0xffffU));
  m.link_cast = LinkCast::unicast;
  m.interface = id;
  m.vlan = 0;
  m.ce_marks = 0;
  m.time = core.now;
  core.counters.add(Counter::ip_sent);
  core.ip.loopback.push_back(std::move(p));
  return SendStatus::sent;
}

// The link address of the next hop, from the neighbour that the path remembers. Nothing: it must be resolved first.
const MacAddress* resolved(const Core& core, const Path& path) {
  const iface::NeighborCache& cache = core.iface.neighbors;
  if (!cache.alive(path.neighbor, path.neighbor_generation)) return nullptr;
  const iface::Neighbor& n = cache[path.neighbor];
  switch (n.state) {
    case iface::NeighborState::reachable:
      return core.now < n.reachable_until ? &n.mac : nullptr;
    case iface::NeighborState::delay:
    case iface::NeighborState::probe:
      return &n.mac;
    case iface::NeighborState::none:
    case iface::NeighborState::incomplete:
    case iface::NeighborState::stale:
      break;
  }
  return nullptr;
}

Result<Path> look_up_path(Core&, const IpAddress& remote, const IpAddress& local, InterfaceId bound, Scope,
                          Instant& expires);

}  // namespace

Result<Path> find_path(Core& core, const IpAddress& remote, const IpAddress& local, InterfaceId bound, Scope scope) {
  // Transports ask for every packet or connection: the answer is remembered. What is unkeyed here costs time at worst.
  const std::uint32_t mix = (load_be32(&remote.bytes()[12]) ^ load_be32(&local.bytes()[12])) * 0x9e3779b1U;
  KnownPath& known = core.ip.paths[(mix >> 16) & (core.ip.paths.size() - 1)];
  if (known.path.route_epoch == core.route_epoch && known.remote == remote && known.local == local &&
      known.path.bound == bound && known.path.scope == scope && core.now < known.expires) {
    return known.path;
  }
  Instant expires = Instant::never();
  auto found = look_up_path(core, remote, local, bound, scope, expires);
  if (found) known = {*found, remote, local, expires};
  return found;
}

DropReason why_no_path(const Core& core, const IpAddress& remote, InterfaceId bound) {
  const Index r = find_route(core, remote, bound);
  const bool rejected = r != kNoIndex && core.iface.routes[r].kind == iface::RouteKind::reject;
  return rejected ? DropReason::ip_reject_route : DropReason::ip_no_route;
}

namespace {

Result<Path> look_up_path(Core& core, const IpAddress& remote, const IpAddress& local, InterfaceId bound, Scope scope,
                          Instant& expires) {
  if (remote.is_unspecified()) return fail(Errc::network_unreachable);
  if (!remote.is_v4() && core.modules.ipv6 == nullptr) return fail(Errc::network_unreachable);
  const bool fixed = !local.is_unspecified();
  if (fixed) {
    if (local.is_v4() != remote.is_v4()) return fail(Errc::address_not_available);
    if (!is_local_address(core, local, scope)) return fail(Errc::address_not_available);
  }
  // I5: what speaks of the loopback network never reaches a wire.
  if (remote.is_loopback()) {
    if (!core.options.on(OptionId::ip_loopback)) return fail(Errc::network_unreachable);
    return loopback_path(core, remote, local, bound, scope);
  }

  const bool to_all = is_to_all(remote);
  const Index r = find_route(core, remote, bound);
  Path p;
  p.bound = bound;
  p.scope = scope;
  p.route = r;
  p.route_epoch = core.route_epoch;
  p.next_hop = remote;
  std::uint32_t route_mtu = 0;
  IpAddress preferred = IpAddress::any(remote.version());
  if (to_all) {
    p.interface = bound != kNoInterface ? bound
                  : r != kNoIndex       ? core.iface.routes[r].interface
                                        : first_interface(core, remote.version());
    if (!is_up(core, p.interface)) return fail(Errc::network_unreachable);
    p.cast = remote.is_multicast() ? IpCast::multicast : IpCast::broadcast;
  } else {
    if (r == kNoIndex) return fail(Errc::network_unreachable);
    const iface::Route& route = core.iface.routes[r];
    switch (route.kind) {
      case iface::RouteKind::local:
      case iface::RouteKind::any_ip:
        if (fixed && local.is_loopback()) return fail(Errc::address_not_available);
        return loopback_path(core, remote, local, bound, scope);
      case iface::RouteKind::reject:
        return fail(Errc::network_unreachable);
      case iface::RouteKind::broadcast:
        p.cast = IpCast::broadcast;
        break;
      case iface::RouteKind::unicast:
        if (!route.gateway.is_unspecified()) p.next_hop = route.gateway;
        break;
    }
    p.interface = route.interface;
    route_mtu = route.mtu;
    preferred = route.source;
  }
  if (fixed && local.is_loopback()) return fail(Errc::address_not_available);
  p.source = local;
  if (!fixed) {
    // RFC 6724: the address that came with the route, but in IPv6 the scope and the prefix of the destination count.
    // A route through a gateway outlives the address that it came with.
    if (!preferred.is_unspecified() && remote.is_v4() && is_local_address(core, preferred, scope)) {
      p.source = preferred;
    } else {
      p.source = iface::select_source(core, p.interface, remote);
      if (p.source.is_unspecified()) p.source = source_anywhere(core, remote);
    }
    if (p.source.is_unspecified()) return fail(Errc::address_not_available);
  }
  const iface::Interface& ifc = *core.iface.find(p.interface);
  p.mtu = ifc.mtu;
  p.max_gso = ifc.max_gso;
  p.tx_checksum = ifc.tx_checksum;
  if (route_mtu != 0) p.mtu = std::min(p.mtu, route_mtu);
  if (const PathMtu* known = path_mtu(core, scope, remote); known != nullptr && known->mtu < p.mtu) {
    p.mtu = known->mtu;
    expires = known->expires;
  }
  if (remote.is_v4()) p.id_hash = id_hash(core, p.source, remote);
  return p;
}

}  // namespace

namespace {

// A packet with its IP header, into its frame and out.
SendStatus to_link(Core& core, Packet&& packet, const IpAddress& destination, const Path& path,
                   const iface::Interface* ifc, PacketBatch* out) {
  if (ifc == nullptr) return loop_back(core, std::move(packet));
  packet.meta().interface = path.interface;
  if (ifc->link == LinkType::ethernet) {
    const auto type = destination.is_v4() ? wire::EtherType::ipv4 : wire::EtherType::ipv6;
    if (path.cast != IpCast::unicast) {
      const MacAddress to = path.cast == IpCast::multicast ? destination.multicast_mac() : MacAddress::broadcast();
      iface::push_ethernet(packet, ifc->mac, to, type);
    } else {
      const MacAddress* to = resolved(core, path);
      if (to == nullptr) {
        const Index n = iface::neighbor_for_output(core, path.interface, path.next_hop, path.next_hop != destination);
        if (n == kNoIndex) {
          core.drop(std::move(packet), DropReason::neighbor_table_full);
          return SendStatus::dropped;
        }
        const iface::Neighbor& neighbor = core.iface.neighbors[n];
        path.neighbor = n;
        path.neighbor_generation = neighbor.generation;
        if (neighbor.state == iface::NeighborState::incomplete) {
          iface::park(core, n, std::move(packet));
          return SendStatus::pending;
        }
        to = &neighbor.mac;
      }
      iface::push_ethernet(packet, ifc->mac, *to, type);
    }
  }
  return send_framed(core, std::move(packet), path.interface, out);
}

}  // namespace

SendStatus send_framed(Core& core, Packet&& packet, InterfaceId id, PacketBatch* out) {
  core.counters.add(Counter::ip_sent);
  if (out != nullptr && !out->full()) {
    out->push(std::move(packet));
    return SendStatus::sent;
  }
  return iface::enqueue(core, id, std::move(packet)) ? SendStatus::sent : SendStatus::dropped;
}

SendStatus send(Core& core, Packet&& packet, const SendInfo& info, const Path& path, PacketBatch* out) {
  if (path.route_epoch != core.route_epoch) {
    // Something changed since the look-up: the interface that the path names may be another one by now.
    const auto fresh =
        find_path(core, info.destination, IpAddress::any(info.destination.version()), path.bound, path.scope);
    if (!fresh) {
      core.drop(std::move(packet), why_no_path(core, info.destination, path.bound));
      return SendStatus::dropped;
    }
    return send(core, std::move(packet), info, *fresh, out);
  }
  PacketMeta& m = packet.meta();
  m.mark = info.mark;
  const std::uint32_t header = info.destination.is_v4() ? 20 : 40;
  const std::uint32_t size = m.length + header;
  const iface::Interface* const ifc = path.loopback ? nullptr : &core.iface.interfaces[path.interface - 1U];
  const std::uint32_t limit = m.gso_size == 0 || ifc == nullptr ? path.mtu : ifc->max_gso;
  if (size > limit || size - (info.destination.is_v4() ? 0 : 40) > 0xffff) {
    core.drop(std::move(packet), DropReason::ip_too_big);
    return SendStatus::dropped;
  }
  if (info.multicast_loop && path.cast == IpCast::multicast &&
      iface::is_member(core, path.interface, info.destination)) {
    if (Packet copy = packet.copy_to(core.pool)) {
      push_header(core, copy, info, path);
      (void)loop_back(core, std::move(copy), path.interface);
    } else {
      core.counters.add(DropReason::no_buffers);
    }
  }
  push_header(core, packet, info, path);
  return to_link(core, std::move(packet), info.destination, path, ifc, out);
}

SendStatus send_made(Core& core, Packet&& packet, const IpAddress& destination, const Path& path) {
  PacketMeta& m = packet.meta();
  m.l3_offset = 0;
  if (m.length > path.mtu || path.route_epoch != core.route_epoch) {
    core.drop(std::move(packet), DropReason::ip_too_big);
    return SendStatus::dropped;
  }
  const iface::Interface* const ifc = path.loopback ? nullptr : &core.iface.interfaces[path.interface - 1U];
  return to_link(core, std::move(packet), destination, path, ifc, nullptr);
}

std::uint16_t fresh_id(Core& core, const Path& path) {
  return next_id(core, path.id_hash, 1);
}

bool still_true(const Core& core, const FrameHeaders& h, const Path& path, const HeaderMarks& marks) {
  if (h.length == 0 || h.route_epoch != core.route_epoch || h.marks != marks) return false;
  if (h.link == 0) return true;
  const MacAddress* const mac = resolved(core, path);
  return mac != nullptr && std::memcmp(h.bytes.data(), mac->bytes.data(), mac->bytes.size()) == 0;
}

void prepare(Core& core, const SendInfo& info, const Path& path, FrameHeaders& to) {
  to.length = 0;
  if (path.loopback || path.cast != IpCast::unicast || path.route_epoch != core.route_epoch ||
      !info.destination.is_v4()) {
    return;
  }
  const iface::Interface& ifc = core.iface.interfaces[path.interface - 1U];
  std::uint8_t* at = to.bytes.data();
  to.link = 0;
  if (ifc.link == LinkType::ethernet) {
    const MacAddress* const mac = resolved(core, path);
    if (mac == nullptr) return;
    wire::store_mac(at, *mac);
    wire::store_mac(at + 6, ifc.mac);
    store_be16(at + 12, static_cast<std::uint16_t>(wire::EtherType::ipv4));
    to.link = wire::EthernetHeader::kLength;
    at += wire::EthernetHeader::kLength;
  }
  const std::uint32_t source = info.source.v4_value();
  const std::uint32_t destination = info.destination.v4_value();
  const std::uint32_t version = 0x45000000U | (std::uint32_t{info.traffic_class} << 16);
  const std::uint32_t fragment = info.dont_fragment ? 0x4000U : 0U;
  const std::uint32_t protocol = (std::uint32_t{info.ttl} << 24) | (std::uint32_t{info.protocol} << 16);
  store_be32(at, version);
  store_be32(at + 4, fragment);
  store_be32(at + 8, protocol);
  store_be32(at + 12, source);
  store_be32(at + 16, destination);
  const std::uint64_t addresses = std::uint64_t{source} + destination;
  to.ip_sum = checksum_fold(addresses + version + fragment + protocol);
  to.pseudo_sum = checksum_fold(addresses + info.protocol);
  to.interface = path.interface;
  to.id_hash = path.id_hash;
  to.marks = {info.ttl, info.traffic_class, info.mark};
  to.route_epoch = path.route_epoch;
  to.mtu = path.mtu;
  to.max_gso = ifc.max_gso;
  to.length = static_cast<std::uint8_t>(to.link + wire::Ipv4Header::kLength);
}

void confirm_reachable(Core& core, const Path& path) {
  if (core.iface.neighbors.alive(path.neighbor, path.neighbor_generation)) {
    iface::confirm_neighbor(core, path.neighbor);
  }
}

void doubt_reachable(Core& core, const Path& path) {
  if (core.iface.neighbors.alive(path.neighbor, path.neighbor_generation)) {
    iface::doubt_neighbor(core, path.neighbor);
  }
}

std::uint32_t update_path_mtu(Core& core, const IpAddress& remote, std::uint32_t mtu, Scope scope) {
  const PathMtu* const known = path_mtu(core, scope, remote);
  const std::uint32_t now_valid = known == nullptr ? 0 : known->mtu;
  if (remote.is_v4()) {
    mtu = std::max(mtu, kMinPathMtu4);
  } else if (mtu < kMinPathMtu6) {
    return now_valid;  // RFC 8201 4: such a message is discarded
  }
  if (now_valid != 0 && mtu >= now_valid) return now_valid;
  const auto set = path_mtu_set(core, scope, remote);
  PathMtu* place = set.data();
  for (PathMtu& p : set) {
    if (p.mtu != 0 && p.remote == remote && p.scope == scope) {
      place = &p;
      break;
    }
    // Else the one that is free, expired or ends first.
    if (p.mtu == 0 || (place->mtu != 0 && p.expires < place->expires)) place = &p;
  }
  *place = {remote, scope, mtu, core.now + kPathMtuLifetime};
  core.ip.path_mtus_due = earlier(core.ip.path_mtus_due, place->expires);
  ++core.route_epoch;
  return mtu;
}

void end_path_mtus(Core& core) {
  if (core.now < core.ip.path_mtus_due) return;
  core.ip.path_mtus_due = Instant::never();
  for (PathMtu& p : core.ip.path_mtus) {
    if (p.mtu == 0) continue;
    if (core.now < p.expires) {
      core.ip.path_mtus_due = earlier(core.ip.path_mtus_due, p.expires);
    } else {
      p = {};
      ++core.route_epoch;  // who holds a path looks again
    }
  }
}

bool is_local_address(const Core& core, const IpAddress& a, Scope) {
  if (a.is_loopback()) return core.options.on(OptionId::ip_loopback);
  if (core.iface.any_ip_routes == 0 && !core.iface.filter_has(a)) return false;
  const Index r = core.iface.routes.find(core.scope, a, [](const iface::Route&) { return true; });
  return r != kNoIndex && (core.iface.routes[r].kind == iface::RouteKind::local ||
                           core.iface.routes[r].kind == iface::RouteKind::any_ip);
}

bool is_unicast_peer(const Core& core, const IpAddress& a, InterfaceId) {
  if (a.is_unspecified() || a.is_multicast() || a.is_limited_broadcast()) return false;
  if (!a.is_v4() || !core.iface.filter_has(a)) return true;
  const Index r = core.iface.routes.find(core.scope, a, [](const iface::Route&) { return true; });
  return r == kNoIndex || core.iface.routes[r].kind != iface::RouteKind::broadcast;
}

}  // namespace leat::ip
