// Interface addresses, duplicate detection (RFC 4862 5.4, RFC 5227 2.1), source selection (RFC 6724 in short).

#include <leat/core/core.hpp>
#include <leat/core/iface/iface.hpp>
#include <leat/core/iface/link.hpp>
#include <leat/core/ip/ipv6_module.hpp>

namespace leat::iface {
namespace {

constexpr std::uint32_t kMinIpv6Mtu = 1280;             // RFC 8200 5
constexpr Duration kAnnounceInterval = Duration::s(2);  // RFC 5227 1.1
constexpr std::uint8_t kAnnouncements = 2;              // RFC 5227 1.1
constexpr Duration kDefendInterval = Duration::s(10);   // RFC 5227 1.1
constexpr std::uint8_t host_length(const IpAddress& a) {
  return a.is_v4() ? 32 : 128;
}

auto timer_link(Core& core) {
  return [&core](Index k) -> IndexLink& { return core.iface.addresses[k].timer; };
}

void add_route_or_die(Core& core, const Route& r) {
  const Index i = core.iface.routes.add(core.scope, r);
  LEAT_ASSERT(i != kNoIndex);  // room was checked when the address was added
}

// From now on the address is ours: its routes are made.
void install(Core& core, Index i) {
  const Address& a = core.iface.addresses[i];
  const IpAddress own = a.prefix.address;
  Route r{.destination = {own, host_length(own)},
          .kind = RouteKind::local,
          .by_address = true,
          .interface = a.interface,
          .gateway = IpAddress::any(own.version()),
          .source = own,
          .address = i};
  add_route_or_die(core, r);
  core.iface.filter_add(own);
  if (a.prefix.length < host_length(own)) {
    r.destination = a.prefix;
    r.kind = RouteKind::unicast;
    add_route_or_die(core, r);
  }
  if (const auto broadcast = a.prefix.broadcast()) {
    // RFC 1122 3.2.1.3: the all-ones form, and the obsolete all-zeros form, which must be recognised too.
    r.kind = RouteKind::broadcast;
    r.destination = {*broadcast, 32};
    add_route_or_die(core, r);
    core.iface.filter_add(*broadcast);
    r.destination = {IpAddress::v4(a.prefix.length == 0 ? 0 : own.v4_value() & (0xffffffffU << (32 - a.prefix.length))),
                     32};
    add_route_or_die(core, r);
    core.iface.filter_add(r.destination.address);
  }
  ++core.route_epoch;
}

void remove_routes_of(Core& core, Index address) {
  for (;;) {
    Index found = kNoIndex;
    const IpPrefix& p = core.iface.addresses[address].prefix;
    // They all lie on the way down to the address or its broadcast forms.
    const std::array<IpPrefix, 4> places{
        IpPrefix{p.address, host_length(p.address)}, p,
        IpPrefix{p.broadcast().value_or(p.address), host_length(p.address)},
        IpPrefix{p.address.is_v4() && p.length < 32
                     ? IpAddress::v4(p.length == 0 ? 0 : p.address.v4_value() & (0xffffffffU << (32 - p.length)))
                     : p.address,
                 host_length(p.address)}};
    for (const IpPrefix& place : places) {
      for (Index r = core.iface.routes.exact(core.scope, place); r != kNoIndex; r = core.iface.routes[r].next)
        if (core.iface.routes[r].address == address) found = r;
      if (found != kNoIndex) break;
    }
    if (found == kNoIndex) break;
    core.iface.routes.remove(core.scope, found);
  }
  State& s = core.iface;
  s.maybe_ours = {};
  s.routes.for_each(core.scope, [&s](Index, const Route& r) {
    if (r.kind == RouteKind::local || r.kind == RouteKind::broadcast) s.filter_add(r.destination.address);
    return true;
  });
  ++core.route_epoch;
}

void stop_timer(Core& core, Index i) {
  Address& a = core.iface.addresses[i];
  if (a.state == AddressState::tentative) core.iface.tentative.remove(i, timer_link(core));
  if (a.state == AddressState::announcing) core.iface.announcing.remove(i, timer_link(core));
}

void start_timer(Core& core, Index i, Instant due) {
  Address& a = core.iface.addresses[i];
  IndexList& list = a.state == AddressState::tentative ? core.iface.tentative : core.iface.announcing;
  if (!list.empty()) due = std::max(due, core.iface.addresses[list.back()].due);
  a.due = due;
  list.push_back(i, timer_link(core));
}

void announce(Core& core, const Address& a) {
  const MacAddress mac = core.iface.interfaces[a.interface - 1U].mac;
  send_arp(core, a.interface, {wire::ArpOperation::request, mac, a.prefix.address, {}, a.prefix.address},
           MacAddress::broadcast());
}

// Sends what is next in the life of an address that waits for time, and sets its timer.
void advance(Core& core, Index i) {
  Address& a = core.iface.addresses[i];
  const bool v4 = a.prefix.address.is_v4();
  if (a.state == AddressState::tentative) {
    if (a.sent < core.options.get(OptionId::dad_transmits)) {
      ++a.sent;
      if (v4) {
        const MacAddress mac = core.iface.interfaces[a.interface - 1U].mac;
        send_arp(core, a.interface, {wire::ArpOperation::request, mac, IpAddress::v4(0), {}, a.prefix.address},
                 MacAddress::broadcast());
      } else {
        core.modules.ipv6->probe_duplicate(core, a.interface, a.prefix.address);
      }
      start_timer(core, i, core.now + Duration::us(core.options.get(OptionId::neighbor_retransmit_time)));
      return;
    }
    // Nobody objected: it is ours.
    a.state = v4 ? AddressState::announcing : AddressState::valid;
    a.sent = 0;
    install(core, i);
    if (!v4) return;
  }
  ++a.sent;
  announce(core, a);
  if (a.sent < kAnnouncements) {
    start_timer(core, i, core.now + kAnnounceInterval);
  } else {
    a.state = AddressState::valid;
  }
}

}  // namespace

Result<void> add_address(Core& core, InterfaceId id, const IpPrefix& prefix, AddressOptions options) {
  Interface* const ifc = core.iface.find(id);
  if (ifc == nullptr) return fail(Errc::not_found);
  const IpAddress& own = prefix.address;
  if (own.is_unspecified() || own.is_multicast() || own.is_loopback() || own.is_limited_broadcast() ||
      prefix.length > host_length(own)) {
    return fail(Errc::invalid_argument);
  }
  if (!own.is_v4()) {
    if (core.modules.ipv6 == nullptr) return fail(Errc::not_supported);
    if (ifc->mtu < kMinIpv6Mtu) return fail(Errc::invalid_argument);
  }
  if (find_address(core, id, own) != kNoIndex) return fail(Errc::already_exists);
  for (Index r = core.iface.routes.exact(core.scope, {own, host_length(own)}); r != kNoIndex;
       r = core.iface.routes[r].next) {
    if (core.iface.routes[r].kind == RouteKind::local && !own.is_link_local()) return fail(Errc::already_exists);
  }
  // Its routes have room: every address has some of its own, which configured routes never take.
  if (core.iface.address_pool.available() == 0) return fail(Errc::no_memory);
  if (!own.is_v4()) {
    if (const auto joined = join_group(core, id, own.solicited_node()); !joined) return joined;
  }
  const Index i = core.iface.address_pool.take([&](Index k) -> Index& { return core.iface.addresses[k].next; });
  Address& a = core.iface.addresses[i];
  a = Address{};
  a.prefix = prefix;
  a.interface = id;
  Index* last = &ifc->addresses;
  while (*last != kNoIndex) last = &core.iface.addresses[*last].next;
  *last = i;
  if (options.detect_duplicates && ifc->link == LinkType::ethernet && core.options.get(OptionId::dad_transmits) > 0) {
    a.state = AddressState::tentative;
    if (ifc->up) {
      advance(core, i);
    } else {
      start_timer(core, i, core.now);
    }
    return {};
  }
  a.state = AddressState::valid;
  install(core, i);
  return {};
}

Result<void> remove_address(Core& core, InterfaceId id, const IpAddress& own) {
  const Index i = find_address(core, id, own);
  if (i == kNoIndex) return fail(Errc::not_found);
  stop_timer(core, i);
  remove_routes_of(core, i);
  if (!own.is_v4()) (void)leave_group(core, id, own.solicited_node());
  Index* link = &core.iface.interfaces[id - 1U].addresses;
  while (*link != i) link = &core.iface.addresses[*link].next;
  *link = core.iface.addresses[i].next;
  core.iface.addresses[i].state = AddressState::none;
  core.iface.address_pool.give(i, [&](Index k) -> Index& { return core.iface.addresses[k].next; });
  return {};
}

Index find_address(const Core& core, InterfaceId id, const IpAddress& a) {
  const Interface* const ifc = core.iface.find(id);
  if (ifc == nullptr) return kNoIndex;
  for (Index i = ifc->addresses; i != kNoIndex; i = core.iface.addresses[i].next)
    if (core.iface.addresses[i].prefix.address == a) return i;
  return kNoIndex;
}

AddressState address_state(const Core& core, InterfaceId id, const IpAddress& a) {
  const Index i = find_address(core, id, a);
  return i == kNoIndex ? AddressState::none : core.iface.addresses[i].state;
}

void address_conflict(Core& core, Index i) {
  Address& a = core.iface.addresses[i];
  core.counters.add(Counter::arp_conflicts);
  if (a.state == AddressState::tentative) {
    // RFC 4862 5.4.5, RFC 5227 2.1.1: it must not be used.
    stop_timer(core, i);
    a.state = AddressState::duplicated;
    return;
  }
  if (!a.usable() || (a.was_defended && core.now - a.defended < kDefendInterval)) return;
  // RFC 5227 2.4 (c): we keep the address, and say so once per interval.
  a.was_defended = true;
  a.defended = core.now;
  if (a.prefix.address.is_v4()) {
    announce(core, a);
  } else {
    core.modules.ipv6->advertise(core, a.interface, a.prefix.address);
  }
}

void run_address_timers(Core& core, unsigned& budget) {
  for (IndexList* list : {&core.iface.tentative, &core.iface.announcing}) {
    while (budget > 0 && !list->empty() && core.iface.addresses[list->front()].due <= core.now) {
      const Index i = list->front();
      --budget;
      list->remove(i, timer_link(core));
      if (core.iface.interfaces[core.iface.addresses[i].interface - 1U].up) {
        advance(core, i);
      } else {
        start_timer(core, i, core.now + Duration::s(1));  // nothing can be asked on a dead link
      }
    }
  }
}

IpAddress select_source(const Core& core, InterfaceId id, const IpAddress& destination) {
  const Interface* const ifc = core.iface.find(id);
  IpAddress best = IpAddress::any(destination.version());
  if (ifc == nullptr) return best;
  const bool link_scope = destination.is_link_local() ||
                          (!destination.is_v4() && destination.is_multicast() && (destination.bytes()[1] & 0x0f) <= 2);
  int best_score = -1;
  for (Index i = ifc->addresses; i != kNoIndex; i = core.iface.addresses[i].next) {
    const Address& a = core.iface.addresses[i];
    const IpAddress& own = a.prefix.address;
    if (!a.usable() || own.is_v4() != destination.is_v4()) continue;
    if (own == destination) return own;
    // RFC 6724 5, rule 2: the scope that fits; rule 8: the longest common prefix, no longer than the address's own.
    const bool fits = own.is_link_local() == link_scope || own.is_v4();
    const unsigned common = std::min(RouteKey{own}.common(RouteKey{destination}), a.prefix.mapped_length());
    const int score = (fits ? 256 : 0) + static_cast<int>(common);
    if (score > best_score) {
      best_score = score;
      best = own;
    }
  }
  return best;
}

}  // namespace leat::iface
