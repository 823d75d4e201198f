// What is asked of a stack beside its sockets (op/control.hpp).

#include <algorithm>
#include <leat/core/iface/iface.hpp>
#include <leat/core/tcp/info.hpp>
#include <leat/drive/op_engine.hpp>

namespace leat {
namespace {

Errc errc_of(const Result<void>& r) {
  return r ? Errc{} : r.error();
}

// Writes the next entry of a list, if it still fits.
template <class T>
void put(std::span<T> to, std::size_t& count, const T& entry) {
  if (count < to.size()) to[count] = entry;
  ++count;
}

void list_interfaces(const Core& core, ControlRequest& r) {
  for (std::uint32_t n = 1; n <= core.iface.interface_pool.watermark(); ++n) {
    const auto id = static_cast<InterfaceId>(n);
    const iface::Interface* const i = core.iface.find(id);
    if (i == nullptr) continue;
    InterfaceInfo info{.id = id, .link = i->link, .mac = i->mac, .mtu = i->mtu, .up = i->up};
    std::ranges::copy(i->name_text(), info.name.begin());
    put(r.interfaces, r.total, info);
  }
}

template <class Visit>
void each_address(const Core& core, Visit&& visit) {
  for (std::uint32_t n = 1; n <= core.iface.interface_pool.watermark(); ++n) {
    const iface::Interface* const i = core.iface.find(static_cast<InterfaceId>(n));
    if (i == nullptr) continue;
    for (Index a = i->addresses; a != kNoIndex; a = core.iface.addresses[a].next) visit(core.iface.addresses[a]);
  }
}

void list_routes(const Core& core, ControlRequest& r) {
  core.iface.routes.for_each(core.scope, [&](Index, const iface::Route& x) {
    if (x.by_address) return true;
    const auto kind = x.kind == iface::RouteKind::any_ip   ? RouteConfig::Kind::local
                      : x.kind == iface::RouteKind::reject ? RouteConfig::Kind::reject
                                                           : RouteConfig::Kind::unicast;
    put(r.routes, r.total, RouteConfig{x.destination, x.gateway, x.interface, x.metric, x.mtu, kind});
    return true;
  });
}

void list_sockets(Stack& stack, ControlRequest& r) {
  const SocketTable& sockets = stack.core().sockets;
  for (Index i = 0; i < sockets.watermark(); ++i) {
    if (sockets[i].kind == SocketKind::none) continue;
    SocketInfo info{.socket = sockets.handle(i), .owner = sockets[i].owner};
    if (const auto e = stack.local_endpoint(info.socket)) info.local = *e;
    if (const auto e = stack.remote_endpoint(info.socket)) info.remote = *e;
    if (sockets[i].role == SocketKind::stream) info.state = tcp::info(stack.core(), i).state;
    if (sockets[i].role == SocketKind::listener) info.state = tcp::TcpState::listen;
    put(r.sockets, r.total, info);
  }
}

// Those that are missing come before those that are too many go: a failure leaves the interface no worse off.
Errc set_addresses(Stack& stack, const ControlRequest& r) {
  const Core& core = stack.core();
  if (core.iface.find(r.interface) == nullptr) return Errc::not_found;
  for (const IpPrefix& p : r.prefixes)
    if (const auto added = stack.add_address(r.interface, p, r.address_options);
        !added && added.error() != Errc::already_exists)
      return added.error();
  const iface::Interface* const i = core.iface.find(r.interface);
  for (Index a = i->addresses; a != kNoIndex;) {
    const IpPrefix prefix = core.iface.addresses[a].prefix;
    a = core.iface.addresses[a].next;
    if (std::ranges::none_of(r.prefixes, [&](const IpPrefix& p) { return p.address == prefix.address; }))
      if (const auto gone = stack.remove_address(r.interface, prefix.address); !gone) return gone.error();
  }
  return {};
}

}  // namespace

Errc control(Stack& stack, ControlRequest& r) {
  r.total = 0;
  switch (r.verb) {
    case ControlVerb::add_address:
      return errc_of(stack.add_address(r.interface, r.prefix, r.address_options));
    case ControlVerb::remove_address:
      return errc_of(stack.remove_address(r.interface, r.prefix.address));
    case ControlVerb::set_addresses:
      return set_addresses(stack, r);
    case ControlVerb::add_route:
      return errc_of(stack.add_route(r.route));
    case ControlVerb::remove_route:
      return errc_of(stack.remove_route(r.route.destination, r.route.gateway));
    case ControlVerb::set_interface_up:
      return errc_of(stack.set_interface_up(r.interface, r.value != 0));
    case ControlVerb::set_interface_mtu:
      if (r.value < 0 || r.value > 65535) return Errc::invalid_argument;
      return errc_of(stack.set_interface_mtu(r.interface, static_cast<std::uint32_t>(r.value)));
    case ControlVerb::set_stack_option:
      return errc_of(stack.set_option(r.option, r.value));
    case ControlVerb::get_stack_option:
      r.value = stack.option(r.option);
      return {};
    case ControlVerb::list_interfaces:
      list_interfaces(stack.core(), r);
      return {};
    case ControlVerb::list_addresses:
      each_address(stack.core(), [&](const iface::Address& a) {
        put(r.addresses, r.total, AddressInfo{a.interface, a.prefix, a.usable()});
      });
      return {};
    case ControlVerb::list_routes:
      list_routes(stack.core(), r);
      return {};
    case ControlVerb::list_sockets:
      list_sockets(stack, r);
      return {};
    case ControlVerb::connection_by_flow:
      r.state = tcp::state_of(stack.core(), r.flow);
      if (r.info != nullptr) *r.info = tcp::info_of(stack.core(), r.flow);
      return {};
    case ControlVerb::counters:
      if (r.counters == nullptr) return Errc::invalid_argument;
      *r.counters = stack.counters();
      return {};
  }
  return Errc::invalid_argument;
}

}  // namespace leat
