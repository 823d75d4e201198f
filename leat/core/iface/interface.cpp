// Interfaces and configured routes; the transmit queue; the network layer's timers.

#include <leat/core/core.hpp>
#include <leat/core/iface/iface.hpp>
#include <leat/core/iface/link.hpp>
#include <leat/core/iface/multicast.hpp>
#include <leat/core/ip/datagram.hpp>
#include <leat/core/ip/ip.hpp>

namespace leat::iface {
namespace {

constexpr std::uint32_t kMinMtu = 68;        // RFC 791 3.2
constexpr std::uint32_t kMinIpv6Mtu = 1280;  // RFC 8200 5
constexpr std::uint32_t kMaxMtu = 65535;
constexpr std::uint32_t kControlRoom = 16;  // of the transmit queue, for control packets alone

bool has_ipv6(const Core& core, const Interface& ifc) {
  for (Index i = ifc.addresses; i != kNoIndex; i = core.iface.addresses[i].next)
    if (!core.iface.addresses[i].prefix.address.is_v4()) return true;
  return false;
}

void drop_queue(Core& core, InterfaceId id, DropReason reason) {
  Interface& ifc = core.iface.interfaces[id - 1U];
  while (!ifc.queue.empty()) core.drop(ifc.queue.pop_front(core.pool), reason);
  ip::room_again(core, id);  // the next attempt tells them what happened
}

// Routes that decide about packets that come are counted: while there are none, only addresses need a look.
void note_kind(Core& core, RouteKind kind) {
  if (kind == RouteKind::any_ip) ++core.iface.any_ip_routes;
  if (kind == RouteKind::reject) ++core.iface.reject_routes;
}
void forget_kind(Core& core, RouteKind kind) {
  if (kind == RouteKind::any_ip) --core.iface.any_ip_routes;
  if (kind == RouteKind::reject) --core.iface.reject_routes;
}

// Takes away every configured route through the interface.
void remove_routes_through(Core& core, InterfaceId id) {
  for (;;) {
    std::array<Index, 32> found{};
    std::size_t n = 0;
    core.iface.routes.for_each(core.scope, [&](Index i, const Route& r) {
      if (r.interface == id && !r.by_address) found[n++] = i;
      return n < found.size();
    });
    for (std::size_t k = 0; k < n; ++k) {
      forget_kind(core, core.iface.routes[found[k]].kind);
      core.iface.routes.remove(core.scope, found[k]);
      --core.iface.configured_routes;
    }
    if (n < found.size()) return;
  }
}

}  // namespace

Result<InterfaceId> add_interface(Core& core, const InterfaceConfig& c) {
  if (c.mtu < kMinMtu || c.mtu > kMaxMtu || c.max_gso > kMaxMtu) return fail(Errc::invalid_argument);
  if (c.link == LinkType::ethernet && (c.mac.is_multicast() || c.mac.is_zero())) return fail(Errc::invalid_argument);
  State& s = core.iface;
  if (c.name.size() > std::size(Interface{}.name)) return fail(Errc::invalid_argument);
  for (std::uint32_t i = 0; i < s.interface_pool.watermark(); ++i)
    if (s.interfaces[i].used && !c.name.empty() && s.interfaces[i].name_text() == c.name) {
      return fail(Errc::already_exists);
    }
  const Index i = s.interface_pool.take([&](Index k) -> Index& { return s.interfaces[k].free_next; });
  if (i == kNoIndex) return fail(Errc::no_memory);
  if (i >= kMaxInterfaces) {
    // Lists by interface are made for so many.
    s.interface_pool.give(i, [&](Index k) -> Index& { return s.interfaces[k].free_next; });
    return fail(Errc::no_memory);
  }
  Interface& ifc = s.interfaces[i];
  ifc = Interface{};
  ifc.used = true;
  ifc.up = true;
  ifc.promiscuous = c.promiscuous;
  ifc.tx_checksum = c.tx_checksum;
  ifc.link = c.link;
  ifc.mac = c.mac;
  ifc.mtu = c.mtu;
  ifc.max_gso = c.max_gso;
  ifc.name_length = static_cast<std::uint8_t>(c.name.size());
  std::copy(c.name.begin(), c.name.end(), ifc.name.begin());
  ++core.route_epoch;
  return static_cast<InterfaceId>(i + 1);
}

Result<void> remove_interface(Core& core, InterfaceId id) {
  Interface* const ifc = core.iface.find(id);
  if (ifc == nullptr) return fail(Errc::not_found);
  // S4: whatever waits for the interface is dropped and counted; paths that led here are stale by their epoch.
  while (ifc->addresses != kNoIndex) {
    (void)remove_address(core, id, core.iface.addresses[ifc->addresses].prefix.address);
  }
  remove_routes_through(core, id);
  forget_neighbors(core, id, DropReason::interface_down);
  forget_memberships(core, id);
  forget_groups(core, id);
  drop_queue(core, id, DropReason::interface_down);
  ifc->used = false;
  ifc->up = false;
  core.iface.interface_pool.give(id - 1U, [&](Index k) -> Index& { return core.iface.interfaces[k].free_next; });
  ++core.route_epoch;
  return {};
}

Result<void> set_up(Core& core, InterfaceId id, bool up) {
  Interface* const ifc = core.iface.find(id);
  if (ifc == nullptr) return fail(Errc::not_found);
  if (ifc->up == up) return {};
  ifc->up = up;
  ++core.route_epoch;
  if (up) {
    report_again(core, id);
  } else {
    forget_neighbors(core, id, DropReason::interface_down);
    drop_queue(core, id, DropReason::interface_down);
  }
  return {};
}

Result<void> set_mtu(Core& core, InterfaceId id, std::uint32_t mtu) {
  Interface* const ifc = core.iface.find(id);
  if (ifc == nullptr) return fail(Errc::not_found);
  // S6: below the versions' own minimum an interface can't carry them.
  if (mtu < kMinMtu || mtu > kMaxMtu || (mtu < kMinIpv6Mtu && has_ipv6(core, *ifc))) {
    return fail(Errc::invalid_argument);
  }
  ifc->mtu = mtu;
  ++core.route_epoch;
  return {};
}

Result<void> add_route(Core& core, const RouteConfig& c) {
  const IpPrefix& to = c.destination;
  if (to.length > (to.address.is_v4() ? 32 : 128)) return fail(Errc::invalid_argument);
  if (!to.address.is_v4() && core.modules.ipv6 == nullptr) return fail(Errc::not_supported);
  if (c.interface != kNoInterface && core.iface.find(c.interface) == nullptr) return fail(Errc::not_found);
  Route r{.destination = to,
          .interface = c.interface,
          .gateway = IpAddress::any(to.address.version()),
          .source = IpAddress::any(to.address.version()),
          .metric = c.metric,
          .mtu = c.mtu};
  switch (c.kind) {
    case RouteConfig::Kind::local:
      r.kind = RouteKind::any_ip;
      break;
    case RouteConfig::Kind::reject:
      r.kind = RouteKind::reject;
      break;
    case RouteConfig::Kind::unicast:
      if (!c.gateway.is_unspecified()) {
        if (c.gateway.is_v4() != to.address.is_v4() || c.gateway.is_multicast() || c.gateway.is_loopback()) {
          return fail(Errc::invalid_argument);
        }
        r.gateway = c.gateway;
        // The gateway must be a neighbour: the interface is the one that its network is on.
        const Index via = core.iface.routes.find(core.scope, c.gateway, [&c](const Route& way) {
          return way.kind == RouteKind::local || (way.kind == RouteKind::unicast && way.gateway.is_unspecified() &&
                                                  (c.interface == kNoInterface || way.interface == c.interface));
        });
        if (via != kNoIndex && core.iface.routes[via].kind == RouteKind::local) return fail(Errc::invalid_argument);
        if (via == kNoIndex && c.interface == kNoInterface) return fail(Errc::network_unreachable);
        if (c.interface == kNoInterface) r.interface = core.iface.routes[via].interface;
        // RFC 6724: the source that the gateway's network gave us.
        if (via != kNoIndex) r.source = core.iface.routes[via].source;
        if (r.source.is_unspecified() || (r.source.is_link_local() && !r.source.is_v4())) {
          r.source = IpAddress::any(to.address.version());
        }
      }
      if (r.interface == kNoInterface) return fail(Errc::invalid_argument);
      break;
  }
  for (Index i = core.iface.routes.exact(core.scope, to); i != kNoIndex; i = core.iface.routes[i].next) {
    const Route& other = core.iface.routes[i];
    if (!other.by_address && other.gateway == r.gateway && other.interface == r.interface && other.kind == r.kind) {
      return fail(Errc::already_exists);
    }
  }
  const std::size_t room = core.iface.routes.used() + core.iface.routes.available() -
                           std::size_t{kRoutesPerAddress} * core.iface.addresses.size();
  if (core.iface.configured_routes >= room || core.iface.routes.add(core.scope, r) == kNoIndex) {
    return fail(Errc::no_memory);
  }
  ++core.iface.configured_routes;
  note_kind(core, r.kind);
  ++core.route_epoch;
  return {};
}

Result<void> remove_route(Core& core, const IpPrefix& to, const IpAddress& gateway) {
  for (Index i = core.iface.routes.exact(core.scope, to); i != kNoIndex; i = core.iface.routes[i].next) {
    const Route& r = core.iface.routes[i];
    const bool same_gateway = r.gateway == gateway || (r.gateway.is_unspecified() && gateway.is_unspecified());
    if (r.by_address || !same_gateway) continue;
    forget_kind(core, r.kind);
    core.iface.routes.remove(core.scope, i);
    --core.iface.configured_routes;
    ++core.route_epoch;
    return {};
  }
  return fail(Errc::not_found);
}

bool enqueue(Core& core, InterfaceId id, Packet&& p, bool control) {
  Interface* const ifc = core.iface.find(id);
  if (ifc == nullptr || !ifc->up) {
    core.drop(std::move(p), DropReason::interface_down);
    return false;
  }
  if (ifc->queue.count() >= core.iface.transmit_queue + (control ? kControlRoom : 0)) {
    core.drop(std::move(p), DropReason::interface_queue_full);
    return false;
  }
  p.meta().interface = id;
  ifc->queue.push_back(std::move(p));
  return true;
}

void output(Core& core, InterfaceId id, PacketBatch& batch) {
  Interface* const ifc = core.iface.find(id);
  if (ifc == nullptr) return;
  while (!ifc->queue.empty() && !batch.full()) batch.push(ifc->queue.pop_front(core.pool));
  // Half empty: not every packet that leaves wakes somebody for one more.
  if (!ifc->waiters.empty() && ifc->queue.count() <= core.iface.transmit_queue / 2) ip::room_again(core, id);
}

bool has_output(const Core& core, InterfaceId id) {
  const Interface* const ifc = core.iface.find(id);
  return ifc != nullptr && !ifc->queue.empty();
}

void run_timers(Core& core, unsigned budget) {
  if (core.now < next_deadline(core)) return;
  run_neighbor_timers(core, budget);
  run_address_timers(core, budget);
  run_multicast_timers(core, budget);
}

Instant next_deadline(const Core& core) {
  const State& s = core.iface;
  Instant t = earlier(s.neighbors.next_deadline(), s.multicast_due);
  if (!s.tentative.empty()) t = earlier(t, s.addresses[s.tentative.front()].due);
  if (!s.announcing.empty()) t = earlier(t, s.addresses[s.announcing.front()].due);
  return t;
}

void shut_down(Core& core) {
  forget_neighbors(core, kNoInterface, DropReason::stack_gone);
  for (std::uint32_t i = 0; i < core.iface.interface_pool.watermark(); ++i)
    if (core.iface.interfaces[i].used) drop_queue(core, static_cast<InterfaceId>(i + 1), DropReason::stack_gone);
  while (!core.ip.loopback.empty()) core.drop(core.ip.loopback.pop_front(core.pool), DropReason::stack_gone);
}

void check_invariants(const Core& core) {
  core.iface.neighbors.check_invariants();
  core.iface.routes.check_invariants();
}

}  // namespace leat::iface
