// The verbs of UDP sockets.

#include <leat/base/checksum.hpp>
#include <leat/core/iface/multicast.hpp>
#include <leat/core/udp/udp.hpp>
#include <leat/core/udp/udp_input.hpp>
#include <leat/wire/udp.hpp>

namespace leat::udp {
namespace {

constexpr auto kProtocol = std::uint8_t{17};

UdpSocket& socket_of(Core& core, Index socket) {
  return core.udp.sockets[core.sockets[socket].object];
}

const OptionValues& options_of(const Core& core, const UdpSocket& s) {
  return core.options_of(core.sockets[s.socket]);
}

BindFlags flags_of(const Core& core, const UdpSocket& s) {
  const OptionValues& o = options_of(core, s);
  return {.reuse_address = o.on(OptionId::reuse_address),
          .reuse_port = o.on(OptionId::reuse_port),
          .v6only = o.on(OptionId::v6only),
          .user = core.sockets[s.socket].owner};
}

BindKey key_of(const Core& core, const UdpSocket& s, const Endpoint& local) {
  return {local.address, local.port, static_cast<std::uint16_t>(options_of(core, s).get(OptionId::bind_interface)),
          core.scope};
}

// Takes a place in the bind table; port 0 is chosen (RFC 6056).
Result<void> take_endpoint(Core& core, UdpSocket& s, Endpoint local, const Endpoint& remote) {
  const Index self = core.sockets[s.socket].object;
  const BindFlags flags = flags_of(core, s);
  if (local.port == Port{}) {
    const PortRange range{Port{static_cast<std::uint16_t>(core.options.get(OptionId::ephemeral_first))},
                          Port{static_cast<std::uint16_t>(core.options.get(OptionId::ephemeral_last))}};
    const auto port = core.udp.ports.pick(local.address, remote, core.scope, range, [&](Port p) {
      return core.udp.binds.port_taken(key_of(core, s, {local.address, p}), flags.v6only);
    });
    if (!port) return fail(Errc::address_not_available);
    local.port = *port;
  }
  const auto entry = core.udp.binds.bind(key_of(core, s, local), flags, self);
  if (!entry) return fail(entry.error());
  if (!core.udp.binds.activate(*entry)) {
    core.udp.binds.unbind(*entry);
    return fail(Errc::address_in_use);
  }
  s.bind = *entry;
  s.local = local;
  return {};
}

// A socket that never said where it is takes any address of both versions.
IpAddress any_address(const Core& core, const UdpSocket& s, const IpAddress& remote) {
  const bool both = core.modules.ipv6 != nullptr && !(remote.is_v4() && options_of(core, s).on(OptionId::v6only));
  return both ? IpAddress{} : IpAddress::any(IpVersion::v4);
}

FlowKey flow_of(const Core& core, const UdpSocket& s) {
  return {s.local.address, s.remote.address, s.local.port, s.remote.port, core.scope};
}

void leave_flow(Core& core, UdpSocket& s) {
  if (!s.in_flows) return;
  core.udp.flows.erase(core.udp.flows.hash(flow_of(core, s)),
                       FlowValue{FlowKind::connection, core.sockets[s.socket].object});
  s.in_flows = false;
}

void disconnect(Core& core, UdpSocket& s) {
  leave_flow(core, s);
  if (s.connected && s.bind != kNoIndex) (void)core.udp.binds.activate(s.bind);
  s.connected = false;
  s.remote = {};
  if (s.bind != kNoIndex) s.local.address = core.udp.binds[s.bind].key.address;
}

Result<Handle> open(Core& core, std::uint8_t owner, IpVersion, std::uint8_t) {
  const Index i = core.udp.pool.take([&](Index k) -> Index& { return core.udp.sockets[k].free_next; });
  if (i == kNoIndex) return fail(Errc::no_memory);
  UdpSocket& s = core.udp.sockets[i];
  s = UdpSocket{};
  s.socket = core.sockets.open(SocketKind::udp, i, owner);
  if (s.socket == kNoIndex) {
    core.udp.pool.give(i, [&](Index k) -> Index& { return core.udp.sockets[k].free_next; });
    return fail(Errc::no_memory);
  }
  return core.sockets.handle(s.socket);
}

void close(Core& core, Index socket) {
  const Index i = core.sockets[socket].object;
  UdpSocket& s = core.udp.sockets[i];
  leave_flow(core, s);
  if (s.bind != kNoIndex) core.udp.binds.unbind(s.bind);
  stop_waiting(core, s);
  iface::leave_all(core, s);
  s.queue.clear(core.pool);
  core.profiles.drop_user(core.sockets[socket].profile);
  core.sockets.close(socket);
  core.udp.pool.give(i, [&](Index k) -> Index& { return core.udp.sockets[k].free_next; });
}

Result<void> bind(Core& core, Index socket, const Endpoint& local, BindHow) {
  UdpSocket& s = socket_of(core, socket);
  if (s.bind != kNoIndex) return fail(Errc::invalid_argument);
  const IpAddress& a = local.address;
  // A group or a broadcast address may be bound too: such a socket receives what is sent to it.
  if (!a.is_unspecified() && !a.is_multicast() && ip::is_unicast_peer(core, a, kNoInterface) &&
      !ip::is_local_address(core, a, core.scope) && !options_of(core, s).on(OptionId::ip_freebind)) {
    return fail(Errc::address_not_available);
  }
  const auto taken = take_endpoint(core, s, local, {IpAddress::any(a.version()), Port{}});
  if (taken) s.named = local.port != Port{} || !a.is_unspecified();
  return taken;
}

// RFC 3493 3.7, 5.3: what a socket is bound to, and whether it takes IPv6 only, also says whom it can send to.
bool can_reach(const Core& core, const UdpSocket& s, const IpAddress& remote) {
  const bool v6only = options_of(core, s).on(OptionId::v6only);
  if (remote.is_v4() && v6only) return false;
  if (s.bind == kNoIndex) return true;
  const IpAddress& bound = core.udp.binds[s.bind].key.address;
  return bound.is_v4() == remote.is_v4() || bound == IpAddress{};
}

Result<void> connect(Core& core, Index socket, const Endpoint& remote) {
  UdpSocket& s = socket_of(core, socket);
  if (remote.address.is_unspecified()) {
    disconnect(core, s);
    if (!s.named && s.bind != kNoIndex) {
      core.udp.binds.unbind(s.bind);
      s.bind = kNoIndex;
      s.local = {};
    }
    return {};
  }
  if (remote.port == Port{}) return fail(Errc::invalid_argument);
  if (!can_reach(core, s, remote.address)) return fail(Errc::network_unreachable);
  disconnect(core, s);
  const auto path = path_of(core, s, remote.address);
  if (!path) return fail(path.error());
  if (s.bind == kNoIndex) {
    if (const auto taken = take_endpoint(core, s, {(*path)->source, Port{}}, remote); !taken) return taken;
  }
  s.local.address = (*path)->source;
  s.remote = remote;
  s.connected = true;
  if (!core.udp.flows.insert(core.udp.flows.hash(flow_of(core, s)),
                             FlowValue{FlowKind::connection, core.sockets[socket].object})) {
    disconnect(core, s);
    return fail(Errc::no_memory);
  }
  s.in_flows = true;
  // From now on only this peer's datagrams are for it.
  core.udp.binds.deactivate(s.bind);
  core.sockets.notify(socket, Ready::connected | Ready::writable);
  return {};
}

Result<IoCount> send(Core& core, Index socket, ByteSpan bytes, const Endpoint* to, const SendOverrides* as) {
  UdpSocket& s = socket_of(core, socket);
  if (to == nullptr && !s.connected) return fail(Errc::destination_required);
  const Endpoint remote = to != nullptr ? *to : s.remote;
  if (remote.port == Port{}) return fail(Errc::invalid_argument);
  if (to != nullptr && !can_reach(core, s, remote.address)) return fail(Errc::network_unreachable);
  if (const auto error = take_error(core, s)) return fail(*error);
  if (s.write_shut) return fail(Errc::broken_pipe);
  const auto path = path_of(core, s, remote.address, as);
  if (!path) return fail(path.error());
  const bool v4 = remote.address.is_v4();
  // I18: what can't leave whole is an error of the call. (Fragmentation, once there is one, is asked for by an option.)
  const std::uint32_t headers = (v4 ? 20U : 40U) + wire::UdpHeader::kLength;
  if (bytes.size() > 0xffffU - headers + (v4 ? 0 : 40) || bytes.size() + headers > (*path)->mtu) {
    return fail(too_long(core, s, remote));
  }
  if (s.bind == kNoIndex) {
    const IpAddress any = any_address(core, s, remote.address);
    if (const auto taken = take_endpoint(core, s, {any, Port{}}, remote); !taken) return fail(taken.error());
  }
  if (!has_room(core, s)) return IoCount{0, IoStatus::would_block};
  Packet p = ip::make_datagram(core, wire::UdpHeader::kLength, bytes, as);
  if (!p) return fail(Errc::no_buffers);
  const auto length = static_cast<std::uint16_t>(wire::UdpHeader::kLength + bytes.size());
  wire::UdpHeader h{s.local.port, remote.port, length};
  if (!v4 || options_of(core, s).on(OptionId::udp_checksum)) {
    // Whoever sends it completes it: what stands there is the sum of the pseudo-header.
    h.checksum = static_cast<std::uint16_t>(pseudo_header_sum((*path)->source, remote.address, kProtocol, length));
    p.meta().checksum = ChecksumState::to_fill;
  }
  (void)h.emit(p.writable_head());
  p.meta().l4_offset = 0;
  p.meta().payload_offset = wire::UdpHeader::kLength;
  if (ip::send(core, std::move(p), send_info(core, s, remote.address, kProtocol, as), **path) ==
      ip::SendStatus::dropped) {
    return fail(Errc::no_buffers);
  }
  core.counters.add(Counter::udp_sent);
  return IoCount{bytes.size(), IoStatus::done};
}

Result<Endpoint> local(Core& core, Index socket) {
  return socket_of(core, socket).local;
}

Result<Endpoint> remote(Core& core, Index socket) {
  const UdpSocket& s = socket_of(core, socket);
  if (!s.connected) return fail(Errc::not_connected);
  return s.remote;
}

void option_changed(Core& core, Index socket, OptionId id) {
  UdpSocket& s = socket_of(core, socket);
  // The interface is part of where a socket is bound. When the new place is taken the old one stays.
  if (id != OptionId::bind_interface || s.bind == kNoIndex) return;
  const BindEntry old = core.udp.binds[s.bind];
  core.udp.binds.unbind(s.bind);
  const Endpoint at{old.key.address, old.key.port};
  auto entry = core.udp.binds.bind(key_of(core, s, at), flags_of(core, s), core.sockets[socket].object);
  if (!entry) entry = core.udp.binds.bind(old.key, old.flags, old.value);
  LEAT_ASSERT(entry.has_value());
  s.bind = *entry;
  if (!s.connected) (void)core.udp.binds.activate(s.bind);
}

void check_invariants(const Core& core) {
  core.udp.binds.check_invariants();
  core.udp.flows.check_invariants();
}

}  // namespace

const TransportModule kUdpModule{
    .protocol = kProtocol,
    .input = input,
    .icmp_error = icmp_error,
    .open = open,
    .check_invariants = check_invariants,
};

const SocketOps kUdpOps{
    .bind = bind,
    .connect = connect,
    .send = send,
    .receive = [](Core& core, Index i, MutableByteSpan to, RecvFlags flags,
                  Message* m) { return ip::receive(core, socket_of(core, i), ip::Shown::udp_data, to, flags, m); },
    .shutdown = [](Core& core, Index i, ShutdownHow how) { return ip::shutdown(core, socket_of(core, i), how); },
    .close = close,
    .abort = close,
    .readiness = [](Core& core, Index i) { return ip::readiness(core, socket_of(core, i)); },
    .local = local,
    .remote = remote,
    .option_changed = option_changed,
};

}  // namespace leat::udp
