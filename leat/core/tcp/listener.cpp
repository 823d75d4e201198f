// A listener's calls, and the connections that wait in its accept queue: they are full connections without a socket,
// whose data, FIN or RST that came before accept() is kept for who accepts.

#include <leat/core/tcp/machine.hpp>
#include <leat/core/tcp/tcp.hpp>

namespace leat::tcp {
namespace {

Listener& listener_of(Core& core, Index socket) {
  return core.tcp.listeners[core.sockets[socket].object];
}
// A connection in an accept queue has no socket: the link stands there.
auto accept_links(State& s) {
  return [&s](Index i) -> Index& { return s.hot[i].socket; };
}

Result<void> relisten(Core& core, Index socket, std::uint32_t backlog, BindHow) {
  listener_of(core, socket).queue.set_backlog(backlog);
  return {};
}

Result<Handle> accept(Core& core, Index socket, Endpoint* remote) {
  State& s = core.tcp;
  Listener& l = listener_of(core, socket);
  if (l.queue.empty()) return Handle{};
  const Index i = l.queue.front();
  // The connection leaves the queue only when there is a socket for it.
  const Index accepted = core.sockets.open(SocketKind::stream, i, core.sockets[socket].owner);
  if (accepted == kNoIndex) return fail(Errc::no_memory);
  const Index popped = l.queue.pop(accept_links(s));
  LEAT_ASSERT(popped == i);
  Tcb t{core, i};
  t.hot.flags.clear(Flag::in_accept_queue);
  t.hot.socket = accepted;
  Socket& sock = core.sockets[accepted];
  sock.profile = t.hot.profile;
  if (t.hot.has(Flag::detached) && t.hot.state == TcpState::closed) sock.error = Errc::connection_reset;
  if (remote != nullptr) *remote = {t.hot.key.remote, t.hot.key.remote_port};
  // What happened before anybody listened is told now.
  core.sockets.notify(accepted, kStreamOps.readiness(core, accepted));
  return core.sockets.handle(accepted);
}

void end_listener(Core& core, Index socket) {
  State& s = core.tcp;
  const Index index = core.sockets[socket].object;
  Listener& l = s.listeners[index];
  // Row T7: who waits in the queue, or is half-way, is told that nobody will come.
  s.syn_cache.for_each_of(index, [&](Index record) {
    const SynRecord& r = s.syn_cache[record];
    Bare b{.key = r.key(), .seq = r.iss() + 1, .ack = r.irs() + 1, .flags = wire::TcpFlag::rst | wire::TcpFlag::ack};
    b.take(core.options_of(core.sockets[socket]));
    if (send_bare(core, b)) core.counters.add(Counter::tcp_resets_sent);
    drop_syn_record(core, record);
  });
  while (!l.queue.empty()) {
    const Index i = l.queue.pop(accept_links(s));
    Tcb t{core, i};
    t.hot.flags.clear(Flag::in_accept_queue);
    t.hot.socket = kNoIndex;
    if (!t.hot.has(Flag::detached)) {
      send_reset(t);
      finish(t, TcpEvent::abort, Errc{});
    } else {
      destroy(t);
    }
  }
  s.binds.unbind(l.bind_entry);
  core.profiles.drop_user(l.profile);
  core.sockets.close(socket);
  s.listener_pool.give(index, [&s](Index k) -> Index& { return s.listeners[k].next_free; });
}

Ready readiness(Core& core, Index socket) {
  return listener_of(core, socket).queue.empty() ? Ready::none : Ready::readable;
}

Result<Endpoint> local(Core& core, Index socket) {
  const BindKey& k = core.tcp.binds[listener_of(core, socket).bind_entry].key;
  return Endpoint{k.address, k.port};
}

Result<Endpoint> remote(Core&, Index) {
  return fail(Errc::not_connected);
}

Result<void> refuse_connect(Core&, Index, const Endpoint&) {
  return fail(Errc::wrong_state);
}
Result<IoCount> refuse_send(Core& core, Index socket, ByteSpan, const Endpoint*, const SendOverrides*) {
  const Errc before = std::exchange(core.sockets[socket].error, Errc{});  // from before it listened
  return fail(before != Errc{} ? before : Errc::not_connected);
}
Result<IoCount> refuse_receive(Core&, Index, MutableByteSpan, RecvFlags, Message*) {
  return fail(Errc::not_connected);
}
Result<void> refuse_bind(Core&, Index, const Endpoint&, BindHow) {
  return fail(Errc::invalid_argument);
}
Result<void> refuse_shutdown(Core&, Index, ShutdownHow) {
  return fail(Errc::not_connected);
}

void option_changed(Core& core, Index socket, OptionId id) {
  core.tcp.note_change(id);
  listener_of(core, socket).profile = core.sockets[socket].profile;
}

}  // namespace

bool enqueue_accepted(Core& core, Index listener, Index connection) {
  State& s = core.tcp;
  Listener& l = s.listeners[listener];
  Hot& h = s.hot[connection];
  if (!l.queue.push(connection, accept_links(s))) return false;
  h.flags.set(Flag::in_accept_queue);
  core.counters.add(Counter::tcp_passive_opens);
  core.sockets.notify(l.socket, Ready::readable);
  return true;
}

void drop_syn_record(Core& core, Index record) {
  State& s = core.tcp;
  const SynRecord& r = s.syn_cache[record];
  --s.listeners[r.listener()].half_open;
  s.flows.erase(s.flows.hash(r.key()), {FlowKind::syn_record, record});
  s.syn_cache.remove(record);
}

Index find_listener(const Core& core, const Segment& s) {
  const State& state = core.tcp;
  const BindKey key{s.in->destination, s.key(core.scope).local_port, s.in->interface, core.scope};
  const Index socket = state.binds.lookup(key, s.hash);
  return socket == kNoIndex ? kNoIndex : core.sockets[socket].object;
}

const SocketOps kListenerOps{.bind = &refuse_bind,
                             .connect = &refuse_connect,
                             .listen = &relisten,
                             .accept = &accept,
                             .send = &refuse_send,
                             .receive = &refuse_receive,
                             .shutdown = &refuse_shutdown,
                             .close = &end_listener,
                             .abort = &end_listener,
                             .readiness = &readiness,
                             .local = &local,
                             .remote = &remote,
                             .option_changed = &option_changed};

}  // namespace leat::tcp
