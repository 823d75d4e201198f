#include <leat/core/core.hpp>
#include <leat/core/ip/datagram.hpp>
#include <leat/core/ip/error_report.hpp>
#include <leat/wire/ipv4.hpp>
#include <leat/wire/ipv6.hpp>

namespace leat::ip {

DatagramQueue::ChunkCounts DatagramQueue::chunks_of(const Packet& p) {
  ChunkCounts n{};
  ++n[static_cast<std::size_t>(chunk_class(p.meta().chunk))];
  for (const Fragment& f : p.fragments()) ++n[static_cast<std::size_t>(chunk_class(f.chunk))];
  return n;
}

bool DatagramQueue::push(Core& core, Packet&& p, std::int64_t limit, DropReason full) {
  // A small datagram must not keep a large chunk: it moves into one that fits.
  if (chunk_class(p.meta().chunk) != ChunkClass::small && p.size() <= kChunkBytes[0] &&
      core.pool.chunks_free(ChunkClass::small) > core.pool.layout().reserve) {
    if (Packet copy = p.copy_to(core.pool, 0)) {
      core.counters.add(Counter::copied_bytes, p.size());
      p = std::move(copy);
    }
  }
  const std::uint32_t size = p.true_size();
  const ChunkCounts n = chunks_of(p);
  // POSIX lets a socket receive something however small its buffer: the first datagram always fits the byte limit.
  bool fits = (packets_.empty() && lent_ == 0) || std::int64_t{bytes_} + lent_ + size <= limit;
  const PoolLayout& pool = core.pool.layout();
  for (std::size_t c = 0; c < kChunkClasses; ++c) {
    if (n[c] > 0 && chunks_[c] + n[c] > std::max(pool.chunks[c] / 4, n[c])) fits = false;
  }
  if (packets_.count() >= pool.packets / 4) fits = false;
  if (!fits) {
    ++missed_;
    core.drop(std::move(p), full);
    return false;
  }
  bytes_ += size;
  for (std::size_t c = 0; c < kChunkClasses; ++c) chunks_[c] += n[c];
  packets_.push_back(std::move(p));
  return true;
}

Packet DatagramQueue::pop(PacketPool& pool) {
  Packet p = packets_.pop_front(pool);
  bytes_ -= p.true_size();
  const ChunkCounts n = chunks_of(p);
  for (std::size_t c = 0; c < kChunkClasses; ++c) chunks_[c] -= n[c];
  return p;
}

void DatagramQueue::clear(PacketPool& pool) {
  packets_.clear(pool);
  bytes_ = 0;
  chunks_ = {};
}

DatagramSocket* datagram_of(Core& core, Index socket) {
  const Socket& s = core.sockets[socket];
  switch (s.kind) {
    case SocketKind::udp:
      return &core.udp.sockets[s.object];
    case SocketKind::raw:
      return &core.ip.raw_sockets[s.object];
    case SocketKind::icmp:
      return &core.ip.ping_sockets[s.object];
    case SocketKind::none:
    case SocketKind::stream:
    case SocketKind::listener:
      break;
  }
  return nullptr;
}

IpFacts ip_facts(const Packet& p) {
  if (const auto v4 = wire::Ipv4View::parse_quoted(p.head())) {
    return {v4->source(), v4->destination(), v4->ttl(), v4->tos()};
  }
  const auto v6 = wire::Ipv6View::parse_quoted(p.head());
  LEAT_ASSERT(v6.has_value());  // IP input checked it
  return {v6->source(), v6->destination(), v6->hop_limit(), v6->traffic_class()};
}

Result<const Path*> path_of(Core& core, DatagramSocket& s, const IpAddress& to, const SendOverrides* as) {
  const OptionValues& o = core.options_of(core.sockets[s.socket]);
  auto bound = static_cast<InterfaceId>(o.get(OptionId::bind_interface));
  if (bound == kNoInterface && to.is_multicast()) {
    bound = static_cast<InterfaceId>(o.get(OptionId::ip_multicast_interface));
  } else if (bound == kNoInterface) {
    bound = static_cast<InterfaceId>(o.get(OptionId::ip_unicast_interface));
  }
  if (as != nullptr && as->interface != kNoInterface) bound = as->interface;
  // A socket that is bound to a group or to broadcast sends from an ordinary address.
  IpAddress from = as == nullptr || as->source.is_unspecified() ? s.local.address : as->source;
  if (from.is_unspecified() || from.is_v4() != to.is_v4() || from.is_multicast() ||
      !is_unicast_peer(core, from, kNoInterface)) {
    from = IpAddress::any(to.version());
  }
  if (s.path.route_epoch != core.route_epoch || s.path_to != to || s.path_from != from || s.path.bound != bound) {
    const auto path = find_path(core, to, from, bound, core.scope);
    if (!path) return fail(path.error());
    s.path = *path;
    s.path_to = to;
    s.path_from = from;
  }
  const bool attached_only = o.on(OptionId::dont_route) || (as != nullptr && as->dont_route);
  if (attached_only && s.path.cast == IpCast::unicast && has_gateway(s.path, to)) {
    return fail(Errc::network_unreachable);
  }
  if (s.path.cast == IpCast::broadcast && !o.on(OptionId::broadcast)) return fail(Errc::permission_denied);
  return &s.path;
}

namespace {

// So much of borrowed data is copied in any case: headers of the program's making are looked at and written to.
constexpr std::uint32_t kCopiedFront = 64;

Packet borrow(Core& core, std::uint32_t header, ByteSpan data, ChunkRef chunk) {
  Packet p = core.pool.allocate(ChunkClass::small);
  if (!p) return {};
  const auto front = std::min<std::uint32_t>(kCopiedFront, static_cast<std::uint32_t>(data.size()));
  const MutableByteSpan to = p.append(header + front);
  std::copy_n(data.begin(), front, to.begin() + header);
  core.counters.add(Counter::copied_bytes, front);
  if (front == data.size()) return p;
  const auto at = static_cast<std::uint32_t>(data.data() - core.pool.data(chunk));
  if (!p.add_fragment(chunk, at + front, static_cast<std::uint32_t>(data.size()) - front)) return {};
  return p;
}

}  // namespace

Packet make_datagram(Core& core, std::uint32_t header, ByteSpan data, const SendOverrides* as) {
  if (as != nullptr && as->chunk != kNoChunk) return borrow(core, header, data, as->chunk);
  const auto size = static_cast<std::uint32_t>(data.size());
  core.counters.add(Counter::copied_bytes, size);
  if (Packet p = core.pool.allocate_for(header + size)) {
    const MutableByteSpan to = p.append(header + size);
    std::copy(data.begin(), data.end(), to.begin() + header);
    return p;
  }
  // No chunk holds all of it.
  Packet p = core.pool.allocate(ChunkClass::normal);
  if (!p) return {};
  (void)p.append(header);
  const std::uint32_t first = std::min(p.tailroom(), size);
  std::copy_n(data.begin(), first, p.append(first).begin());
  for (std::uint32_t at = first; at < size;) {
    const ChunkRef chunk = core.pool.take_chunk(ChunkClass::normal);
    if (chunk == kNoChunk) return {};
    const std::uint32_t n = std::min(size - at, kChunkBytes[static_cast<std::size_t>(ChunkClass::normal)]);
    std::copy_n(data.begin() + at, n, core.pool.data(chunk));
    const bool added = p.add_fragment(chunk, 0, n);
    core.pool.drop_ref(chunk);  // the packet holds its own reference
    if (!added) return {};
    at += n;
  }
  return p;
}

namespace {

IndexList& waiters(Core& core, InterfaceId id) {
  return id == kNoInterface ? core.ip.loopback_waiters : core.iface.interfaces[id - 1U].waiters;
}

auto wait_links(Core& core) {
  return [&core](Index k) -> IndexLink& { return datagram_of(core, k)->wait_link; };
}

}  // namespace

bool has_room(Core& core, DatagramSocket& s) {
  const bool full = s.path.loopback
                        ? core.ip.loopback.count() >= core.ip.loopback_limit
                        : core.iface.interfaces[s.path.interface - 1U].queue.count() >= core.iface.transmit_queue;
  if (!full) return true;
  if (!s.waiting) {
    s.waiting = true;
    s.waits_for = s.path.interface;
    waiters(core, s.waits_for).push_back(s.socket, wait_links(core));
  }
  return false;
}

void room_again(Core& core, InterfaceId id) {
  IndexList& list = waiters(core, id);
  while (!list.empty()) {
    const Index socket = list.front();
    stop_waiting(core, *datagram_of(core, socket));
    core.sockets.notify(socket, Ready::writable);
  }
}

void stop_waiting(Core& core, DatagramSocket& s) {
  if (!s.waiting) return;
  waiters(core, s.waits_for).remove(s.socket, wait_links(core));
  s.waiting = false;
}

SendInfo send_info(Core& core, const DatagramSocket& s, const IpAddress& to, std::uint8_t protocol,
                   const SendOverrides* as) {
  const OptionValues& o = core.options_of(core.sockets[s.socket]);
  const bool group = to.is_multicast();
  std::int64_t ttl = o.get(group ? OptionId::ip_multicast_ttl : OptionId::ip_default_ttl);
  std::int64_t traffic_class = o.get(OptionId::ip_tos);
  if (as != nullptr && as->ttl >= 0) ttl = as->ttl;
  if (as != nullptr && as->tos >= 0) traffic_class = as->tos;
  return {.source = s.path.source,
          .destination = to,
          .protocol = protocol,
          .ttl = static_cast<std::uint8_t>(ttl),
          .traffic_class = static_cast<std::uint8_t>(traffic_class),
          .multicast_loop = group && o.on(OptionId::ip_multicast_loop),
          .mark = static_cast<std::uint32_t>(o.get(OptionId::mark))};
}

void set_error(Core& core, const DatagramSocket& s, Errc error) {
  core.sockets[s.socket].error = error;
  core.sockets.notify(s.socket, Ready::error);
}

std::optional<Errc> take_error(Core& core, const DatagramSocket& s) {
  Errc& error = core.sockets[s.socket].error;
  if (error == Errc{}) return std::nullopt;
  return std::exchange(error, Errc{});
}

void report_error(Core& core, const DatagramSocket& s, const IcmpError& e, Port destination, ByteSpan payload) {
  queue_icmp_error(core, s.socket, e, destination, payload);
  set_error(core, s, errc_of(e));
}

Errc too_long(Core& core, const DatagramSocket& s, const Endpoint& to) {
  queue_local_error(core, s.socket, Errc::message_too_long, to, s.path.mtu);
  return Errc::message_too_long;
}

Result<IoCount> receive(Core& core, DatagramSocket& s, Shown shown, MutableByteSpan to, RecvFlags flags,
                        Message* message) {
  if (const auto error = take_error(core, s)) return fail(*error);
  if (s.queue.empty()) return IoCount{0, s.read_shut ? IoStatus::end_of_stream : IoStatus::would_block};
  const bool peek = flags == RecvFlags::peek;
  // To peek is to look at the front packet without taking it from the list that owns it.
  Packet p = peek ? Packet::adopt(core.pool, s.queue.front()) : s.queue.pop(core.pool);
  const std::uint32_t l4 = p.meta().l4_offset;
  const std::uint32_t from = shown == Shown::packet ? 0 : shown == Shown::transport ? l4 : l4 + 8;
  const std::size_t size = p.size() - from;
  const std::size_t count = p.copy_out(from, to.first(std::min(to.size(), size)));
  if (message != nullptr) {
    const IpFacts ip = ip_facts(p);
    message->from.address = ip.source;
    message->to.address = ip.destination;
    message->full_size = size;
    message->interface = p.meta().interface;
    message->ttl = ip.ttl;
    message->traffic_class = ip.traffic_class;
    message->missed = s.queue.missed();
    if (shown == Shown::udp_data) {
      const std::uint8_t* const ports = &p.head()[l4];
      message->from.port = Port{load_be16(ports)};
      message->to.port = Port{load_be16(ports + 2)};
    }
  }
  if (peek) {
    (void)p.release();
  } else {
    core.counters.add(Counter::copied_bytes, count);
  }
  return IoCount{count, IoStatus::done};
}

Ready readiness(Core& core, const DatagramSocket& s) {
  Ready r = s.waiting ? Ready::none : Ready::writable;
  if (!s.queue.empty() || s.read_shut) r |= Ready::readable;
  if (s.read_shut) r |= s.write_shut ? Ready::peer_fin | Ready::closed : Ready::peer_fin;
  if (core.sockets[s.socket].error != Errc{}) r |= Ready::error;
  return r;
}

Result<void> connect(Core& core, DatagramSocket& s, const Endpoint& remote) {
  if (remote.address.is_unspecified()) {
    s.connected = false;
    s.remote = {IpAddress::any(s.remote.address.version()), Port{}};
    return {};
  }
  if (const auto path = path_of(core, s, remote.address); !path) return fail(path.error());
  s.connected = true;
  s.remote = remote;
  core.sockets.notify(s.socket, Ready::connected | Ready::writable);
  return {};
}

Result<Endpoint> remote_of(const DatagramSocket& s) {
  if (!s.connected) return fail(Errc::not_connected);
  return s.remote;
}

Result<void> shutdown(Core& core, DatagramSocket& s, ShutdownHow how) {
  if (how != ShutdownHow::write) {
    s.read_shut = true;
    core.sockets.notify(s.socket, Ready::readable | Ready::peer_fin);
  }
  if (how != ShutdownHow::read) {
    s.write_shut = true;
    core.sockets.notify(s.socket, Ready::writable);
  }
  if (s.read_shut && s.write_shut) core.sockets.notify(s.socket, Ready::closed);
  // As Linux: it is an error and works all the same, so that who waits can be woken.
  if (!s.connected) return fail(Errc::not_connected);
  return {};
}

}  // namespace leat::ip
