#include <leat/core/core.hpp>
#include <leat/core/iface/multicast.hpp>
#include <leat/core/ip/error_report.hpp>
#include <leat/core/ip/ping.hpp>
#include <leat/offload/checksum_completion.hpp>
#include <leat/wire/icmpv4.hpp>
#include <leat/wire/icmpv6.hpp>

namespace leat::ip {
namespace {

PingSocket& socket_of(Core& core, Index socket) {
  return core.ip.ping_sockets[core.sockets[socket].object];
}

Index& bucket_of(Core& core, Port id) {
  return core.ip.ping_buckets[id.value() & (core.ip.ping_buckets.size() - 1)];
}

Index find(Core& core, Port id) {
  for (Index i = bucket_of(core, id); i != 0; i = core.ip.ping_sockets[i - 1].id_next)
    if (core.ip.ping_sockets[i - 1].local.port == id) return i - 1;
  return kNoIndex;
}

void forget_id(Core& core, Index i) {
  PingSocket& s = core.ip.ping_sockets[i];
  if (s.local.port == Port{}) return;
  Index* link = &bucket_of(core, s.local.port);
  while (*link != i + 1) link = &core.ip.ping_sockets[*link - 1].id_next;
  *link = s.id_next;
  s.local.port = Port{};
}

Result<void> take_id(Core& core, Index i, Port id) {
  if (id == Port{}) {
    // More identifiers than sockets: a free one is found before long.
    do {
      id = Port{static_cast<std::uint16_t>(core.rng.next32())};
    } while (id == Port{} || find(core, id) != kNoIndex);
  } else if (const Index other = find(core, id); other != kNoIndex && other != i) {
    return fail(Errc::address_in_use);
  }
  forget_id(core, i);
  PingSocket& s = core.ip.ping_sockets[i];
  s.local.port = id;
  s.id_next = bucket_of(core, id);
  bucket_of(core, id) = i + 1;
  return {};
}

Result<Handle> open(Core& core, std::uint8_t owner, IpVersion, std::uint8_t) {
  const Index i = core.ip.ping_pool.take([&](Index k) -> Index& { return core.ip.ping_sockets[k].id_next; });
  if (i == kNoIndex) return fail(Errc::no_memory);
  PingSocket& s = core.ip.ping_sockets[i];
  s = PingSocket{};
  s.socket = core.sockets.open(SocketKind::icmp, i, owner);
  if (s.socket == kNoIndex) {
    core.ip.ping_pool.give(i, [&](Index k) -> Index& { return core.ip.ping_sockets[k].id_next; });
    return fail(Errc::no_memory);
  }
  return core.sockets.handle(s.socket);
}

void close(Core& core, Index socket) {
  const Index i = core.sockets[socket].object;
  stop_waiting(core, core.ip.ping_sockets[i]);
  iface::leave_all(core, core.ip.ping_sockets[i]);
  core.ip.ping_sockets[i].queue.clear(core.pool);
  forget_id(core, i);
  core.profiles.drop_user(core.sockets[socket].profile);
  core.sockets.close(socket);
  core.ip.ping_pool.give(i, [&](Index k) -> Index& { return core.ip.ping_sockets[k].id_next; });
}

// Echo replies; anything else does not come here.
void input(Core& core, std::span<TransportInput> packets) {
  for (TransportInput& in : packets) {
    const std::uint8_t* const echo = &in.packet.head()[in.packet.meta().l4_offset];
    const Index i = find(core, Port{load_be16(echo + 4)});
    const PingSocket* const s = i == kNoIndex ? nullptr : &core.ip.ping_sockets[i];
    const std::int64_t bound =
        s == nullptr ? 0 : core.options_of(core.sockets[s->socket]).get(OptionId::bind_interface);
    if (s == nullptr || s->read_shut || (s->connected && s->remote.address != in.source) ||
        (!s->local.address.is_unspecified() && s->local.address != in.destination) ||
        (bound != 0 && bound != in.interface)) {
      core.drop(std::move(in.packet), DropReason::icmp_ignored);
      continue;
    }
    const std::int64_t limit = core.options_of(core.sockets[s->socket]).get(OptionId::receive_buffer);
    if (core.ip.ping_sockets[i].queue.push(core, std::move(in.packet), limit, DropReason::raw_receive_full)) {
      core.sockets.notify(s->socket, Ready::readable);
    }
  }
}

void icmp_error(Core& core, const IcmpError& e) {
  if (e.quoted.size() < 8) return;
  const std::uint8_t type = e.quoted[0];
  if (type != static_cast<std::uint8_t>(wire::Icmpv4Type::echo_request) &&
      type != static_cast<std::uint8_t>(wire::Icmpv6Type::echo_request)) {
    return;
  }
  const Index i = find(core, Port{load_be16(&e.quoted[4])});
  if (i == kNoIndex) return;
  PingSocket& s = core.ip.ping_sockets[i];
  // A socket that sends to many is told only of the one that it sent to last, unless it queues errors.
  const bool any_peer = !s.connected && queues_errors(core, s.socket);
  if (!any_peer && (s.connected ? s.remote.address : s.path_to) != e.remote) return;
  core.counters.add(Counter::icmp_errors_accepted);
  if (e.kind == IcmpErrorKind::packet_too_big) {
    update_path_mtu(core, e.remote, e.info, e.scope);
    if (!queues_errors(core, s.socket)) return;
  }
  report_error(core, s, e, Port{}, e.quoted);
}

Result<void> bind(Core& core, Index socket, const Endpoint& local, BindHow) {
  if (!local.address.is_unspecified() && !is_local_address(core, local.address, core.scope)) {
    return fail(Errc::address_not_available);
  }
  const Index i = core.sockets[socket].object;
  if (const auto taken = take_id(core, i, local.port); !taken) return taken;
  core.ip.ping_sockets[i].local.address = local.address;
  return {};
}

Result<IoCount> send(Core& core, Index socket, ByteSpan bytes, const Endpoint* to, const SendOverrides* as) {
  PingSocket& s = socket_of(core, socket);
  if (to == nullptr && !s.connected) return fail(Errc::destination_required);
  if (const auto error = take_error(core, s)) return fail(*error);
  if (s.write_shut) return fail(Errc::broken_pipe);
  const IpAddress remote = to != nullptr ? to->address : s.remote.address;
  const bool v4 = remote.is_v4();
  const auto request = v4 ? static_cast<std::uint8_t>(wire::Icmpv4Type::echo_request)
                          : static_cast<std::uint8_t>(wire::Icmpv6Type::echo_request);
  // Only questions: what else ICMP says is the stack's own business.
  if (bytes.size() < 8 || bytes[0] != request || bytes[1] != 0) return fail(Errc::invalid_argument);
  const auto path = path_of(core, s, remote, as);
  if (!path) return fail(path.error());
  if (bytes.size() + (v4 ? 20 : 40) > (*path)->mtu) return fail(too_long(core, s, {remote, Port{}}));
  if (s.local.port == Port{}) {
    if (const auto id = take_id(core, core.sockets[socket].object, Port{}); !id) return fail(id.error());
  }
  if (!has_room(core, s)) return IoCount{0, IoStatus::would_block};
  Packet p = make_datagram(core, 0, bytes);
  if (!p) return fail(Errc::no_buffers);
  const MutableByteSpan head = p.writable_head();
  store_be16(&head[4], s.local.port.value());
  store_be16(&head[2], 0);
  const Sum pseudo = v4 ? 0 : pseudo_header_sum((*path)->source, remote, 58, static_cast<std::uint32_t>(bytes.size()));
  store_be16(&head[2], checksum_finish(checksum_packet(pseudo, p, 0, p.size())));
  const auto protocol = static_cast<std::uint8_t>(v4 ? wire::IpProtocol::icmpv4 : wire::IpProtocol::icmpv6);
  if (ip::send(core, std::move(p), send_info(core, s, remote, protocol, as), **path) == SendStatus::dropped) {
    return fail(Errc::no_buffers);
  }
  return IoCount{bytes.size(), IoStatus::done};
}

}  // namespace

const TransportModule kPingModule{.input = input, .icmp_error = icmp_error, .open = open};

const SocketOps kPingOps{
    .bind = bind,
    .connect = [](Core& core, Index i, const Endpoint& to) { return connect(core, socket_of(core, i), to); },
    .send = send,
    .receive = [](Core& core, Index i, MutableByteSpan to, RecvFlags flags,
                  Message* m) { return receive(core, socket_of(core, i), Shown::transport, to, flags, m); },
    .shutdown = [](Core& core, Index i, ShutdownHow how) { return shutdown(core, socket_of(core, i), how); },
    .close = close,
    .abort = close,
    .readiness = [](Core& core, Index i) { return readiness(core, socket_of(core, i)); },
    .local = [](Core& core, Index i) -> Result<Endpoint> { return socket_of(core, i).local; },
    .remote = [](Core& core, Index i) { return remote_of(socket_of(core, i)); },
};

}  // namespace leat::ip
