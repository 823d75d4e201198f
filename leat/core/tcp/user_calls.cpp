// The user's calls on a stream (RFC 9293 3.10.1 to 3.10.6): non-blocking verbs that take effect on the state at once;
// segments leave with the next visit.

#include <leat/core/tcp/machine.hpp>
#include <leat/core/tcp/tcp.hpp>

namespace leat::tcp {
namespace {

Tcb connection_of(Core& core, Index socket) {
  return {core, core.sockets[socket].object};
}

// --- open and bind -------------------------------------------------------------------------------------------------

Result<Handle> open(Core& core, std::uint8_t owner, IpVersion, std::uint8_t) {
  const Index i = create(core);
  if (i == kNoIndex) return fail(Errc::no_memory);
  Tcb t{core, i};
  const Index socket = core.sockets.open(SocketKind::stream, i, owner);
  if (socket == kNoIndex) {
    destroy(t);
    return fail(Errc::no_memory);
  }
  t.hot.socket = socket;
  load_options(t);
  return core.sockets.handle(socket);
}

bool never_used(const Tcb& t) {
  return t.hot.state == TcpState::closed && !t.hot.has(Flag::detached);
}

PortRange port_range(const Core& core) {
  return {Port{static_cast<std::uint16_t>(core.options.get(OptionId::ephemeral_first))},
          Port{static_cast<std::uint16_t>(core.options.get(OptionId::ephemeral_last))}};
}

BindFlags bind_flags(const Tcb& t, Index socket) {
  const OptionValues& o = t.options();
  return {.reuse_address = o.on(OptionId::reuse_address),
          .reuse_port = o.on(OptionId::reuse_port),
          .v6only = o.on(OptionId::v6only),
          .user = t.core.sockets[socket].owner};
}

// Into the table of binds, where a free port is found when `to` has none.
Result<void> take_endpoint(Core& core, Index socket, const Endpoint& to, BindHow how) {
  Tcb t = connection_of(core, socket);
  State& s = t.tables();
  BindKey key{to.address, to.port, static_cast<std::uint16_t>(t.options().get(OptionId::bind_interface)), core.scope};
  const BindFlags flags = bind_flags(t, socket);
  const bool alone = how == BindHow::alone;
  if (key.port == Port{}) {
    PortsOfConnections held(core, key, flags.v6only);
    const auto picked = s.ports.pick(to.address, {}, core.scope, port_range(core), [&](Port p) {
      key.port = p;
      return s.binds.port_taken(key, flags.v6only) || (alone && held.has(p));
    });
    if (!picked) return fail(Errc::address_in_use);
    key.port = *picked;
  } else if (alone && connections_hold(core, key, flags)) {
    return fail(Errc::address_in_use);
  }
  const Result<Index> entry = s.binds.bind(key, flags, socket);
  if (!entry) return fail(entry.error());
  if (*entry >= 0xffff) {
    s.binds.unbind(*entry);
    return fail(Errc::no_memory);
  }
  t.cold.bind_entry = static_cast<std::uint16_t>(*entry + 1);
  t.hot.key.local = key.address;
  t.hot.key.local_port = key.port;
  return {};
}

Result<void> bind(Core& core, Index socket, const Endpoint& to, BindHow how) {
  Tcb t = connection_of(core, socket);
  if (!never_used(t) || t.cold.bind_entry != 0) return fail(Errc::invalid_argument);
  const OptionValues& o = t.options();
  if (!to.address.is_unspecified() && !o.on(OptionId::ip_freebind) &&
      !ip::is_local_address(core, to.address, core.scope))
    return fail(Errc::address_not_available);
  if (to.port != Port{} || !o.on(OptionId::ip_bind_address_no_port)) return take_endpoint(core, socket, to, how);
  t.hot.key.local = to.address;
  return {};
}

// --- listen ----------------------------------------------------------------------------------------------------------

Result<void> listen(Core& core, Index socket, std::uint32_t backlog, BindHow how) {
  Tcb t = connection_of(core, socket);
  State& s = t.tables();
  if (!never_used(t)) return fail(Errc::invalid_argument);
  if (t.cold.bind_entry == 0)
    if (const auto bound = take_endpoint(core, socket, {t.hot.key.local, Port{}}, how); !bound) return bound;
  const Index entry = t.cold.bind_entry - 1U;
  if (how == BindHow::alone && connections_hold(core, s.binds[entry].key, bind_flags(t, socket)))
    return fail(Errc::address_in_use);
  const Index i = s.listener_pool.take([&s](Index k) -> Index& { return s.listeners[k].next_free; });
  if (i == kNoIndex) return fail(Errc::no_memory);
  Listener& l = *std::construct_at(&s.listeners[i]);
  if (i > 0xffff || !s.binds.activate(entry)) {
    s.listener_pool.give(i, [&s](Index k) -> Index& { return s.listeners[k].next_free; });
    return fail(i > 0xffff ? Errc::no_memory : Errc::address_in_use);
  }
  l.socket = socket;
  l.bind_entry = entry;
  l.queue.set_backlog(backlog);
  l.shift = receive_shift(t.option(OptionId::receive_buffer));
  l.profile = std::exchange(t.hot.profile, std::uint16_t{0});
  t.cold.bind_entry = 0;  // the listener's now
  set_state(t, TcpState::listen);
  destroy(t);
  Socket& sock = core.sockets[socket];
  sock.object = i;
  sock.role = SocketKind::listener;
  return {};
}

// --- connect
// -----------------------------------------------------------------------------------------------------------

Result<void> connect(Core& core, Index socket, const Endpoint& to) {
  Tcb t = connection_of(core, socket);
  State& s = t.tables();
  Hot& h = t.hot;
  if (h.state == TcpState::syn_sent || h.state == TcpState::syn_received) return fail(Errc::in_progress);
  if (h.has(Flag::detached)) return fail(Errc::invalid_argument);
  if (h.state != TcpState::closed) return fail(Errc::already_connected);
  const OptionValues& o = t.options();
  if (to.port == Port{} || to.address.is_unspecified()) return fail(Errc::address_not_available);
  if (to.address.is_v4() && o.on(OptionId::v6only)) return fail(Errc::network_unreachable);
  const bool bound = t.cold.bind_entry != 0;
  const IpAddress local = h.key.local;
  if (!local.is_unspecified() && local.is_v4() != to.address.is_v4()) return fail(Errc::network_unreachable);
  const auto interface = static_cast<InterfaceId>(o.get(OptionId::bind_interface));
  const auto path = ip::find_path(
      core, to.address, local.is_unspecified() ? IpAddress::any(to.address.version()) : local, interface, core.scope);
  if (!path) return fail(path.error());
  if (o.on(OptionId::dont_route) && ip::has_gateway(*path, to.address)) return fail(Errc::network_unreachable);
  if (path->cast != IpCast::unicast) return fail(Errc::network_unreachable);
  FlowKey key{local.is_unspecified() ? path->source : local, to.address, h.key.local_port, to.port, core.scope};
  FlowHash hash = 0;
  const auto in_use = [&] {
    hash = s.flows.hash(key);
    return static_cast<bool>(find_flow(s, hash, key));
  };
  if (bound) {
    if (in_use()) return fail(Errc::address_in_use);
  } else {
    // RFC 6056: a port is free when nobody is bound to it and the four-tuple is new (row T14).
    const auto picked = s.ports.pick(key.local, to, core.scope, port_range(core), [&](Port p) {
      key.local_port = p;
      return s.binds.port_taken({key.local, p, interface, core.scope}, false) || in_use();
    });
    if (!picked) return fail(Errc::address_not_available);
    key.local_port = *picked;
  }
  const FlowKey before = std::exchange(h.key, key);
  if (!attach(t, hash)) {
    h.key = before;
    return fail(Errc::no_memory);
  }
  happened(t, TcpEvent::active_open);
  core.sockets[socket].error = Errc{};  // as Linux: what went before is forgotten
  load_options(t);
  h.quick_acks = kQuickAcks;
  h.flags.put(Flag::timestamps, o.on(OptionId::tcp_timestamps));
  h.flags.put(Flag::sack, o.on(OptionId::tcp_sack) && core.modules.sack != nullptr);
  h.flags.put(Flag::window_scaling, o.on(OptionId::tcp_window_scaling));
  const TupleOffsets offsets = tuple_offsets(core.keys.tuples, key);
  t.cold.iss = choose_iss(core, offsets);
  t.hot.ts_offset = offsets.timestamp;
  t.hot.last_rx_ms = ms_now(core);
  h.snd_una = t.cold.iss;
  h.snd_nxt = t.cold.iss + 1;
  h.interface = static_cast<std::uint8_t>(path->interface);
  h.flags.set(Flag::send_syn);
  t.cold.w_max = us_now(core);
  start_rtx(t);
  mark_dirty(t);
  return {};
}

// --- send and receive ------------------------------------------------------------------------------------------------

// What a call on a connection that is over answers: its error once, then `after`. One that goes on may have an error
// too (ip(7): IP_RECVERR), which whoever calls next is told.
Errc taken_error(Core& core, Index socket, Errc after) {
  const Errc e = std::exchange(core.sockets[socket].error, Errc{});
  return e != Errc{} ? e : after;
}

std::uint32_t send_room(const Tcb& t) {
  const std::uint32_t limit = t.option(OptionId::send_buffer);
  const std::uint32_t used = t.queued();
  if (used >= limit) return 0;
  if (const std::uint32_t low = t.option(OptionId::tcp_notsent_lowat); low != 0 && used != 0 && t.unsent() >= low)
    return 0;
  return limit - used;
}

Result<IoCount> writer_waits(Tcb& t, bool for_memory) {
  t.hot.flags.set(Flag::write_blocked);
  if (Active* a = t.active()) note_spending(t, *a);
  if (for_memory) {
    t.hot.flags.set(Flag::wants_memory);
    if (t.hot.link == kUnlinked) wait_for_memory(t);
  }
  return IoCount{0, IoStatus::would_block};
}

// As much as memory allows. Looked at anew for each piece, so that one large write leaves something for others.
std::size_t queue_octets(Tcb& t, ByteSpan bytes) {
  // A piece of a large pool is nothing; of a small one it could be all that is left.
  const std::size_t most = std::clamp<std::size_t>(t.core.pool.layout().packets / 64 * std::size_t{2048}, 2048, 16384);
  Active& a = *t.active();
  std::size_t taken = 0;
  while (taken < bytes.size() && !scarce(t.core.pool, kQueueShare)) {
    const ByteSpan piece = bytes.subspan(taken, std::min(most, bytes.size() - taken));
    // Large chunks are what a device with large frames receives into.
    const ChunkClass largest =
        scarce(t.core.pool, ChunkClass::large, kQueueShare) ? ChunkClass::normal : ChunkClass::large;
    const std::size_t n = a.send.append(t.core.pool, piece, largest);
    taken += n;
    if (n < piece.size()) break;
  }
  t.core.counters.add(Counter::copied_bytes, taken);
  return taken;
}

Result<IoCount> send(Core& core, Index socket, ByteSpan bytes, const Endpoint* to, const SendOverrides*) {
  Tcb t = connection_of(core, socket);
  Hot& h = t.hot;
  if (to != nullptr && h.state == TcpState::closed) return fail(Errc::not_connected);
  if (h.has(Flag::detached) || core.sockets[socket].error != Errc{})
    return fail(taken_error(core, socket, Errc::broken_pipe));
  if (h.has(Flag::fin_queued)) return fail(Errc::broken_pipe);
  if (!kUserMaySend.has(h.state)) return fail(taken_error(core, socket, Errc::not_connected));
  // RFC 9293 3.10.2: exception: data is not queued before the handshake is done; the writer waits instead.
  if (!kSynchronized.has(h.state)) return writer_waits(t, false);
  if (bytes.empty()) return IoCount{};
  const std::uint32_t room = send_room(t);
  if (room == 0) return writer_waits(t, false);
  if (!acquire_active(t)) return writer_waits(t, true);
  const std::size_t n = queue_octets(t, bytes.first(std::min<std::size_t>(bytes.size(), room)));
  if (n == 0) {
    release_if_quiet(t);
    return writer_waits(t, true);
  }
  begin_spending(t, *t.active());
  mark_dirty(t);
  if (n == bytes.size()) return IoCount{n, IoStatus::done};
  (void)writer_waits(t, n < room && n < bytes.size());
  return IoCount{n, IoStatus::would_block};
}

bool at_end(const Tcb& t) {
  return t.hot.flags.any(Flag::detached, Flag::read_shut) || kFinReceived.has(t.hot.state);
}

Result<IoCount> receive(Core& core, Index socket, MutableByteSpan to, RecvFlags flags, Message* message) {
  Tcb t = connection_of(core, socket);
  if (message != nullptr) {
    *message = {};
    message->from = {t.hot.key.remote, t.hot.key.remote_port};
    message->to = {t.hot.key.local, t.hot.key.local_port};
  }
  Active* a = t.active();
  if (a != nullptr && !a->receive.empty()) {
    const bool peek = flags == RecvFlags::peek;
    const std::size_t n = peek ? a->receive.peek(core.pool, 0, to) : a->receive.read(core.pool, to);
    core.counters.add(Counter::copied_bytes, n);
    const bool more = !a->receive.empty() && !peek;
    if (!peek) {
      after_read(t);
      if (t.hot.link == kUnlinked) release_if_quiet(t);
    }
    if (n == to.size()) return IoCount{n, IoStatus::done};
    return IoCount{n, !more && at_end(t) ? IoStatus::end_of_stream : IoStatus::would_block};
  }
  if (never_used(t)) return fail(taken_error(core, socket, Errc::not_connected));
  if (core.sockets[socket].error != Errc{}) {
    const Errc error = taken_error(core, socket, Errc::connection_reset);
    return fail(error == Errc::broken_pipe ? Errc::connection_reset : error);  // a broken pipe is the writer's word
  }
  if (at_end(t)) return IoCount{0, IoStatus::end_of_stream};
  reader_waits(t);
  return IoCount{0, IoStatus::would_block};
}

// --- shutdown, close, abort
// --------------------------------------------------------------------------------------------

// RFC 9293 3.10.4: FIN follows what was sent before.
void queue_fin(Tcb& t) {
  Hot& h = t.hot;
  if (h.has(Flag::fin_queued)) return;
  h.flags.set(Flag::fin_queued);
  // In SYN-RECEIVED the handshake comes first, then the CLOSE is carried out.
  if (h.state != TcpState::syn_received) happened(t, TcpEvent::close);
  mark_dirty(t);
}

// As Linux: what is here stays readable, and so does what comes still; a reader that finds nothing is at the end.
Result<void> shutdown(Core& core, Index socket, ShutdownHow how) {
  Tcb t = connection_of(core, socket);
  Hot& h = t.hot;
  if (h.has(Flag::detached) || h.state == TcpState::closed || h.state == TcpState::syn_sent)
    return fail(Errc::not_connected);
  if (how != ShutdownHow::write) {
    h.flags.set(Flag::read_shut);
    t.notify(Ready::readable | Ready::peer_fin);
  }
  if (how != ShutdownHow::read) {
    queue_fin(t);
    t.notify(Ready::writable);  // who waits to send never will
  }
  if (shut_both_ways(h)) t.notify(Ready::closed);
  if (kBothFins.has(h.state)) t.notify(Ready::hung_up);
  return {};
}

// RFC 9293 3.10.5: who has data in flight or has sent a FIN that counts is told.
void abort_connection(Tcb& t) {
  if (kSynchronized.has(t.hot.state) && t.hot.state != TcpState::closing && t.hot.state != TcpState::last_ack &&
      t.hot.state != TcpState::time_wait)
    send_reset(t);
  if (t.hot.state == TcpState::syn_received) send_reset(t);
  finish(t, TcpEvent::abort, Errc{});
}

Tcb release_socket(Core& core, Index socket) {
  Tcb t = connection_of(core, socket);
  core.sockets.close(socket);
  if (Active* a = t.active()) a->lent = 0;  // nobody will say that it is given back
  t.hot.socket = kNoIndex;
  t.hot.flags.set(Flag::orphan);
  return t;
}

void close(Core& core, Index socket) {
  Tcb t = release_socket(core, socket);
  Hot& h = t.hot;
  if (h.state == TcpState::closed || h.has(Flag::detached)) return destroy(t);
  if (h.state == TcpState::syn_sent) return finish(t, TcpEvent::close, Errc{});
  Active* a = t.active();
  const bool unread = a != nullptr && !a->receive.empty();
  // Row C4, RFC 2525 2.17: who closes without having read it all says so by a RST; linger 0 asks for one.
  if (unread || t.options().get(OptionId::linger) == 0) return abort_connection(t);
  queue_fin(t);
  if (h.state == TcpState::fin_wait_2) start_rtx_in(t, t.option(OptionId::tcp_fin_timeout));
}

void abort(Core& core, Index socket) {
  Tcb t = release_socket(core, socket);
  if (t.hot.state == TcpState::closed || t.hot.has(Flag::detached)) return destroy(t);
  abort_connection(t);
}

}  // namespace

// What a kernel does for a process that ends: whoever counts on a connection hears that it is over. Who was closed and
// has the acknowledgement of its FIN leaves a peer that counts on nothing.
bool reset_peers(Core& core, Index& next, unsigned budget) {
  const State& s = core.tcp;
  for (; next < s.connection_pool.watermark(); ++next) {
    Tcb t{core, next};
    const Hot& h = t.hot;
    if (h.state == TcpState::closed || h.flags.any(Flag::detached, Flag::freed)) continue;
    if (h.state == TcpState::fin_wait_2 && h.has(Flag::orphan)) continue;
    if (budget-- == 0) return true;
    abort_connection(t);
  }
  return false;
}

namespace {

// --- what is true of it
// -------------------------------------------------------------------------------------------------

// SO_RCVLOWAT. As Linux: where the peer has no window to reach it by, what is there is enough.
bool enough_to_read(const Tcb& t, const Active* a) {
  if (a == nullptr || a->receive.empty()) return false;
  return a->receive.size() >= t.option(OptionId::receive_lowat) || t.hot.receive_window() <= a->rcv_mss;
}

Ready readiness(Core& core, Index socket) {
  const Tcb t = connection_of(core, socket);
  const Hot& h = t.hot;
  Ready r = Ready::none;
  const Active* a = t.active();
  if (never_used(t))
    return core.sockets[socket].error != Errc{} ? Ready::unconnected | Ready::error : Ready::unconnected;
  if (core.sockets[socket].error != Errc{}) r |= Ready::error | Ready::readable | Ready::writable;
  if (enough_to_read(t, a) || at_end(t)) r |= Ready::readable;
  if (kFinReceived.has(h.state) || h.has(Flag::read_shut)) r |= Ready::peer_fin;
  if (h.has(Flag::detached)) return r | Ready::closed | Ready::writable;
  if (shut_both_ways(h)) r |= Ready::closed;
  if (kBothFins.has(h.state)) r |= Ready::hung_up;
  if (!kSynchronized.has(h.state)) return r;
  r |= Ready::connected;
  const bool open = h.state == TcpState::established || h.state == TcpState::close_wait;
  const std::uint32_t limit = t.option(OptionId::send_buffer);
  const std::uint32_t queued = a == nullptr ? 0 : a->send.size();
  if (!open || queued == 0 || (send_room(t) != 0 && queued <= limit - limit / 3)) r |= Ready::writable;
  return r;
}

Result<Endpoint> local(Core& core, Index socket) {
  const Tcb t = connection_of(core, socket);
  return Endpoint{t.hot.key.local, t.hot.key.local_port};
}

Result<Endpoint> remote(Core& core, Index socket) {
  const Tcb t = connection_of(core, socket);
  if (t.hot.key.remote_port == Port{}) return fail(Errc::not_connected);
  return Endpoint{t.hot.key.remote, t.hot.key.remote_port};
}

void option_changed(Core& core, Index socket, OptionId id) {
  Tcb t = connection_of(core, socket);
  t.hot.profile = core.sockets[socket].profile;
  load_options(t);
  core.tcp.note_change(id);
  if (id == OptionId::tcp_quickack) {
    t.hot.quick_acks = kQuickAcks;
    t.hot.flags.put(Flag::talks_back, !t.options().on(id));  // as Linux: off is to wait for replies
  }
  if (id == OptionId::receive_lowat) t.notify(Ready::readable);  // less may be enough now
  if (t.hot.has(Flag::detached) || t.hot.state == TcpState::closed) return;
  Active* a = t.active();
  // What may go now goes with the next visit; what waits for time is looked at anew.
  t.hot.pmtu = 0;
  if (id == OptionId::tcp_quickack && t.options().on(id) && t.hot.has(Flag::ack_later)) t.hot.flags.set(Flag::ack_now);
  if (id == OptionId::tcp_cork && !t.hot.has(Flag::cork)) {
    t.hot.flags.set(Flag::uncork);  // as Linux: taking the cork off means "send now"
    if (a != nullptr) a->corked = false;
  }
  if (id == OptionId::tcp_congestion) {
    if (a != nullptr) a->congestion_ready = false;
    t.cold.w_max = 0;
  }
  if (id == OptionId::receive_buffer || id == OptionId::tcp_window_clamp) after_read(t);
  mark_dirty(t);
  schedule(t);
}

}  // namespace

const SocketOps kStreamOps{.bind = &bind,
                           .connect = &connect,
                           .listen = &listen,
                           .send = &send,
                           .receive = &receive,
                           .shutdown = &shutdown,
                           .close = &close,
                           .abort = &abort,
                           .readiness = &readiness,
                           .local = &local,
                           .remote = &remote,
                           .option_changed = &option_changed};

const TransportModule kTcpModule{.protocol = 6,
                                 .input = &input,
                                 .icmp_error = &icmp_error,
                                 .run_timers = &run_timers,
                                 .next_deadline = &next_deadline,
                                 .output = &output,
                                 .has_output = &has_output,
                                 .open = &open,
                                 .reset_peers = &reset_peers,
                                 .shut_down = &shut_down,
                                 .check_invariants = &check_invariants};

}  // namespace leat::tcp
