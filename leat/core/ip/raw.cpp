#include <leat/base/checksum.hpp>
#include <leat/core/core.hpp>
#include <leat/core/iface/multicast.hpp>
#include <leat/core/ip/error_report.hpp>
#include <leat/core/ip/raw.hpp>
#include <leat/offload/checksum_completion.hpp>
#include <leat/wire/ip_protocol.hpp>
#include <leat/wire/ipv6.hpp>

namespace leat::ip {
namespace {

constexpr auto kIcmpv4 = static_cast<std::uint8_t>(wire::IpProtocol::icmpv4);
constexpr auto kIcmpv6 = static_cast<std::uint8_t>(wire::IpProtocol::icmpv6);

RawSocket& socket_of(Core& core, Index socket) {
  return core.ip.raw_sockets[core.sockets[socket].object];
}

Result<Handle> open(Core& core, std::uint8_t owner, IpVersion version, std::uint8_t protocol) {
  if (version == IpVersion::v6 && core.modules.ipv6 == nullptr) return fail(Errc::not_supported);
  const Index i = core.ip.raw_pool.take([&](Index k) -> Index& { return core.ip.raw_sockets[k].free_next; });
  if (i == kNoIndex) return fail(Errc::no_memory);
  RawSocket& s = core.ip.raw_sockets[i];
  s = RawSocket{};
  s.version = version;
  s.protocol = protocol;
  if (version == IpVersion::v6 && protocol == kIcmpv6) s.settings.checksum_at = 2;  // RFC 3542 3.1
  s.local.address = s.remote.address = IpAddress::any(version);
  s.entry = core.ip.raw.add(version, protocol, i);
  s.socket = s.entry == kNoIndex ? kNoIndex : core.sockets.open(SocketKind::raw, i, owner);
  if (s.socket == kNoIndex) {
    if (s.entry != kNoIndex) core.ip.raw.remove(s.entry);
    core.ip.raw_pool.give(i, [&](Index k) -> Index& { return core.ip.raw_sockets[k].free_next; });
    return fail(Errc::no_memory);
  }
  return core.sockets.handle(s.socket);
}

void close(Core& core, Index socket) {
  const Index i = core.sockets[socket].object;
  RawSocket& s = core.ip.raw_sockets[i];
  stop_waiting(core, s);
  iface::leave_all(core, s);
  s.queue.clear(core.pool);
  core.ip.raw.remove(s.entry);
  core.profiles.drop_user(core.sockets[socket].profile);
  core.sockets.close(socket);
  core.ip.raw_pool.give(i, [&](Index k) -> Index& { return core.ip.raw_sockets[k].free_next; });
}

// RFC 3542 3.2, Linux ICMP_FILTER: does the program want messages of this type? What is too short has none.
bool wants_type(const RawSocket& s, const TransportInput& in) {
  if (s.protocol != kIcmpv4 && s.protocol != kIcmpv6) return true;
  std::array<std::uint8_t, 1> type{};
  return in.packet.copy_out(in.packet.meta().l4_offset, type) == 0 || !s.settings.blocks(type[0]);
}

// RFC 3542 3.1: what arrives with a wrong checksum is dropped. It covers the checksum wherever that stands.
bool checksum_fits(const RawSocket& s, const TransportInput& in) {
  const PacketMeta& m = in.packet.meta();
  if (s.settings.checksum_at < 0 || checksum_trusted(m.checksum)) return true;
  const std::uint32_t length = m.length - m.l4_offset;
  const Sum pseudo = pseudo_header_sum(in.source, in.destination, in.protocol, length);
  return checksum_finish(checksum_packet(pseudo, in.packet, m.l4_offset, length)) == 0;
}

void input(Core& core, std::span<TransportInput> packets) {
  for (TransportInput& in : packets) {
    core.ip.raw.for_each(in.destination.version(), in.protocol, [&](Index i) {
      RawSocket& s = core.ip.raw_sockets[i];
      const OptionValues& o = core.options_of(core.sockets[s.socket]);
      const auto bound = o.get(OptionId::bind_interface);
      if ((!s.local.address.is_unspecified() && s.local.address != in.destination) ||
          (s.connected && s.remote.address != in.source) || (bound != 0 && bound != in.interface) || s.read_shut ||
          (in.cast == IpCast::multicast && !iface::wants(core, s, in)) || !wants_type(s, in)) {
        return;
      }
      if (!checksum_fits(s, in)) {
        core.counters.add(DropReason::raw_bad_checksum);
        return;
      }
      Packet copy = in.packet.clone();
      if (!copy) {
        core.counters.add(DropReason::no_buffers);
        return;
      }
      if (s.queue.push(core, std::move(copy), o.get(OptionId::receive_buffer), DropReason::raw_receive_full)) {
        core.sockets.notify(s.socket, Ready::readable);
      }
    });
    in.packet.reset();
  }
}

void icmp_error(Core& core, const IcmpError& e) {
  core.ip.raw.for_each(e.remote.version(), e.protocol, [&](Index i) {
    const RawSocket& s = core.ip.raw_sockets[i];
    if (!s.local.address.is_unspecified() && s.local.address != e.local) return;
    const bool queues = queues_errors(core, s.socket);
    // U3: one that is not connected is told only when it asked for errors.
    if (s.connected ? s.remote.address != e.remote : !queues) return;
    if (e.kind == IcmpErrorKind::packet_too_big) {
      if (s.connected || s.path_to == e.remote) update_path_mtu(core, e.remote, e.info, e.scope);
      if (!queues) return;
    }
    report_error(core, s, e, Port{}, e.quoted);
  });
}

Result<void> bind(Core& core, Index socket, const Endpoint& local, BindHow) {
  RawSocket& s = socket_of(core, socket);
  if (local.address.version() != s.version) return fail(Errc::invalid_argument);
  if (!local.address.is_unspecified() && !local.address.is_multicast() &&
      !is_local_address(core, local.address, core.scope) &&
      !core.options_of(core.sockets[socket]).on(OptionId::ip_freebind)) {
    return fail(Errc::address_not_available);
  }
  s.local.address = local.address;
  return {};
}

Result<void> connect_of_version(Core& core, Index socket, const Endpoint& remote) {
  RawSocket& s = socket_of(core, socket);
  if (!remote.address.is_unspecified() && remote.address.version() != s.version) return fail(Errc::invalid_argument);
  return connect(core, s, {remote.address, Port{}});
}

// RFC 3542 3.1: a checksum that covers the source address, as ICMPv6 has one, is the stack's work. False: it has no
// place in so few octets.
bool fill_checksum(Packet& p, std::int32_t checksum_at, const IpAddress& from, const IpAddress& to,
                   std::uint8_t protocol) {
  const auto at = static_cast<std::uint32_t>(checksum_at);
  const MutableByteSpan head = p.writable_head();
  if (std::uint64_t{at} + 2 > head.size()) return false;
  const std::uint32_t length = p.meta().length;
  store_be16(&head[at], 0);
  const Sum sum = checksum_packet(pseudo_header_sum(from, to, protocol, length), p, 0, length);
  std::uint16_t field = checksum_finish(sum);
  // RFC 8200 8.1: zero would say that there is none.
  if (field == 0 && protocol == static_cast<std::uint8_t>(wire::IpProtocol::udp)) field = 0xffff;
  store_be16(&head[at], field);
  return true;
}

// IPV6_HDRINCL, as Linux: the packet is the caller's altogether.
Result<IoCount> send_with_ipv6_header(Core& core, RawSocket& s, ByteSpan bytes, const IpAddress& remote,
                                      const Path& path, const SendOverrides* as) {
  constexpr std::size_t kHeader = wire::Ipv6Header::kLength;
  if (bytes.size() < kHeader || bytes[0] >> 4 != 6) return fail(Errc::invalid_argument);
  if (bytes.size() > path.mtu) return fail(too_long(core, s, {remote, Port{}}));
  if (!has_room(core, s)) return IoCount{0, IoStatus::would_block};
  Packet p = make_datagram(core, 0, bytes, as);
  if (!p || p.head().size() < kHeader) return fail(Errc::no_buffers);
  p.meta().l4_offset = kHeader;
  if (send_made(core, std::move(p), remote, path) == SendStatus::dropped) return fail(Errc::no_buffers);
  return IoCount{bytes.size(), IoStatus::done};
}

// Linux raw(7), IP_HDRINCL: the header is the caller's, but for length and checksum, and for the source and the
// identifier where they are zero. Where it goes says the call, not the header.
Result<IoCount> send_with_header(Core& core, RawSocket& s, ByteSpan bytes, const IpAddress& remote, const Path& path,
                                 const SendOverrides* as) {
  constexpr std::size_t kLeast = wire::Ipv4Header::kLength;
  if (bytes.size() < kLeast) return fail(Errc::invalid_argument);
  const std::size_t header = (bytes[0] & 15U) * std::size_t{4};
  if (bytes[0] >> 4 != 4 || header < kLeast || header > bytes.size()) return fail(Errc::invalid_argument);
  if (bytes.size() > path.mtu || bytes.size() > 0xffff) return fail(too_long(core, s, {remote, Port{}}));
  if (!has_room(core, s)) return IoCount{0, IoStatus::would_block};
  Packet p = make_datagram(core, 0, bytes, as);
  if (!p || p.head().size() < header) return fail(Errc::no_buffers);
  const MutableByteSpan at = p.writable_head();
  store_be16(&at[2], static_cast<std::uint16_t>(bytes.size()));
  if (load_be16(&at[4]) == 0) store_be16(&at[4], fresh_id(core, path));
  if (load_be32(&at[12]) == 0) store_be32(&at[12], path.source.v4_value());
  store_be16(&at[10], 0);
  store_be16(&at[10], checksum_finish(checksum_add(0, at.first(header))));
  p.meta().l4_offset = static_cast<std::uint16_t>(header);
  if (send_made(core, std::move(p), remote, path) == SendStatus::dropped) return fail(Errc::no_buffers);
  return IoCount{bytes.size(), IoStatus::done};
}

Result<IoCount> send(Core& core, Index socket, ByteSpan bytes, const Endpoint* to, const SendOverrides* as) {
  RawSocket& s = socket_of(core, socket);
  if (to == nullptr && !s.connected) return fail(Errc::destination_required);
  if (const auto error = take_error(core, s)) return fail(*error);
  if (s.write_shut) return fail(Errc::broken_pipe);
  const IpAddress remote = to != nullptr ? to->address : s.remote.address;
  const bool own_header = core.options_of(core.sockets[socket]).on(OptionId::ip_header_included);
  // Protocol 0 listens to everything: it names nothing to send.
  if ((s.protocol == 0 && !own_header) || remote.version() != s.version) return fail(Errc::invalid_argument);
  const auto path = path_of(core, s, remote, as);
  if (!path) return fail(path.error());
  if (own_header)
    return (s.version == IpVersion::v4 ? send_with_header : send_with_ipv6_header)(core, s, bytes, remote, **path, as);
  const std::uint32_t header = s.version == IpVersion::v4 ? 20 : 40;
  // I18: what can't leave is an error of the call.
  if (bytes.size() + header > (*path)->mtu) return fail(too_long(core, s, {remote, Port{}}));
  if (!has_room(core, s)) return IoCount{0, IoStatus::would_block};
  Packet p = make_datagram(core, 0, bytes, as);
  if (!p) return fail(Errc::no_buffers);
  if (s.settings.checksum_at >= 0 && !fill_checksum(p, s.settings.checksum_at, (*path)->source, remote, s.protocol)) {
    return fail(Errc::invalid_argument);
  }
  switch (ip::send(core, std::move(p), send_info(core, s, remote, s.protocol, as), **path)) {
    case SendStatus::sent:
    case SendStatus::pending:
      break;
    case SendStatus::dropped:
      return fail(Errc::no_buffers);
  }
  return IoCount{bytes.size(), IoStatus::done};
}

Result<IoCount> receive_packet(Core& core, Index socket, MutableByteSpan to, RecvFlags flags, Message* message) {
  RawSocket& s = socket_of(core, socket);
  return receive(core, s, s.version == IpVersion::v4 ? Shown::packet : Shown::transport, to, flags, message);
}

}  // namespace

const TransportModule kRawModule{.input = input, .icmp_error = icmp_error, .open = open};

const SocketOps kRawOps{
    .bind = bind,
    .connect = connect_of_version,
    .send = send,
    .receive = receive_packet,
    .shutdown = [](Core& core, Index i, ShutdownHow how) { return shutdown(core, socket_of(core, i), how); },
    .close = close,
    .abort = close,
    .readiness = [](Core& core, Index i) { return readiness(core, socket_of(core, i)); },
    .local = [](Core& core, Index i) -> Result<Endpoint> { return socket_of(core, i).local; },
    .remote = [](Core& core, Index i) { return remote_of(socket_of(core, i)); },
};

}  // namespace leat::ip
