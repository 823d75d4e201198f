// The life of a control block: taking and giving back, states, the flow table, active blocks, the lists of connections
// with something to do, and the path that its segments take.

#include <leat/core/tcp/machine.hpp>
#include <memory>

namespace leat::tcp {
namespace {

auto links(State& s) {
  return [&s](Index i) -> Index& { return s.hot[i].link; };
}
auto active_links(State& s) {
  return [&s](Index i) -> Index& { return s.active[i].next_free; };
}

void release_active(Tcb& t) {
  Active* a = t.active();
  if (a == nullptr) return;
  State& s = t.tables();
  a->send.clear(t.core.pool);
  a->receive.clear(t.core.pool);
  s.ooo.clear(a->ooo, t.core.pool);
  s.ranges.clear(a->ranges);
  s.active_pool.give(std::exchange(t.hot.active, kNoIndex), active_links(s));
}

std::size_t dirty_list(InterfaceId interface) {
  return interface < kDirtyLists ? interface : 0;
}

}  // namespace

const CongestionOps& Tcb::congestion() const {
  const auto kind = static_cast<std::size_t>(options().get(OptionId::tcp_congestion));
  const auto& kinds = core.modules.congestion;
  const CongestionOps* ops = kind < kinds.size() ? kinds[kind] : nullptr;
  return ops != nullptr ? *ops : kNewReno;  // what an image always has
}

// --- life ------------------------------------------------------------------------------------------------------------

Index create(Core& core, TcpState born) {
  State& s = core.tcp;
  const Index i = s.connection_pool.take(links(s));
  if (i == kNoIndex) return i;
  std::construct_at(&s.hot[i]);
  std::construct_at(&s.cold[i]);
  s.hot[i].key.scope = core.scope;
  s.hot[i].state = born;
  return i;
}

void destroy(Tcb& t) {
  State& s = t.tables();
  detach(t);
  s.wheel.cancel(t.id);
  release_active(t);
  if (t.cold.bind_entry != 0) s.binds.unbind(t.cold.bind_entry - 1U);
  t.cold.bind_entry = 0;
  t.core.profiles.drop_user(t.hot.profile);
  t.hot.profile = 0;
  const Index link = t.hot.link;
  std::construct_at(&t.hot);  // CLOSED, without anything
  if (link != kUnlinked) {    // its list lets go of it first
    t.hot.link = link;
    t.hot.flags.set(Flag::freed);
    return;
  }
  s.connection_pool.give(t.id, links(s));
}

void set_state(Tcb& t, TcpState to) {
  if (t.hot.state == to) return;
  LEAT_ASSERT(is_legal_edge(t.hot.state, to));
  t.hot.state = to;
}

bool attach(Tcb& t, FlowHash hash) {
  FlowTable& flows = t.tables().flows;
  if (!flows.insert(hash, {FlowKind::connection, t.id})) return false;
  attached(t);
  return true;
}

void attached(Tcb& t) {
  t.hot.flags.clear(Flag::detached);
  const FlowKey& k = t.hot.key;
  const std::uint32_t ports = (std::uint32_t{k.remote_port.value()} << 16) | k.local_port.value();
  t.tables().memo.note(flow_mix(k.local, k.remote, ports), t.id);  // the peer's answer comes next
}

void detach(Tcb& t) {
  if (t.hot.state == TcpState::closed || t.hot.has(Flag::detached)) return;
  FlowTable& flows = t.tables().flows;
  flows.erase(flows.hash(t.hot.key), {FlowKind::connection, t.id});
  t.hot.flags.set(Flag::detached);
}

namespace {

// Nothing is sent any more; what was received stays.
void stop_machinery(Tcb& t) {
  State& s = t.tables();
  s.wheel.cancel(t.id);
  t.hot.flags.clear(Flag::ack_now, Flag::ack_later, Flag::send_syn, Flag::fin_lost, Flag::probe_now, Flag::rtx_running,
                    Flag::persist, Flag::resend_head, Flag::window_update, Flag::fin_ahead, Flag::fin_queued,
                    Flag::wants_memory);
  Active* a = t.active();
  if (a == nullptr) return;
  a->send.clear(t.core.pool);
  note_spending(t, *a);
  s.ranges.clear(a->ranges);
  s.ooo.clear(a->ooo, t.core.pool);
  a->recovery = Recovery::none;
  a->corked = false;
  release_if_quiet(t);
}

// A connection that is over lives on only for its socket, or for who will accept it.
void let_go(Tcb& t) {
  if (t.hot.socket == kNoIndex && !t.hot.has(Flag::in_accept_queue)) destroy(t);
}

}  // namespace

void finish(Tcb& t, TcpEvent why, Errc error) {
  detach(t);
  happened(t, why);
  LEAT_ASSERT(t.hot.state == TcpState::closed);
  t.hot.flags.set(Flag::detached);
  stop_machinery(t);
  const Index socket = t.socket();
  if (socket != kNoIndex) {
    if (error != Errc{}) t.core.sockets[socket].error = error;
    const Ready failed = error != Errc{} ? Ready::error : Ready::none;
    t.notify(Ready::readable | Ready::writable | Ready::closed | failed);
  }
  let_go(t);
}

void enter_time_wait(Tcb& t) {
  State& s = t.tables();
  const std::int64_t length = t.options().get(OptionId::tcp_time_wait);
  if (length > 0) {
    const TimeWaitInfo info{.key = t.hot.key,
                            .snd_nxt = t.hot.snd_nxt,
                            .rcv_nxt = t.hot.rcv_nxt,
                            .ts_recent = t.hot.ts_recent,
                            .rcv_wnd = t.hot.receive_window(),
                            .wscale = static_cast<std::uint8_t>(t.hot.rcv_shift()),
                            .timestamps = t.hot.has(Flag::timestamps),
                            .reuse_address = t.options().on(OptionId::reuse_address),
                            .reuse_port = t.options().on(OptionId::reuse_port)};
    Index record = s.time_wait.add(info, t.core.now, Duration::us(length));
    if (record == kNoIndex && s.time_wait.capacity() > 0) {
      // A server under load never refuses to close: the oldest wait ends early.
      const Index oldest = s.time_wait.oldest();
      s.flows.erase(s.flows.hash(s.time_wait[oldest].key()), {FlowKind::time_wait, oldest});
      s.time_wait.remove(oldest);
      t.core.counters.add(Counter::tcp_time_wait_recycled);
      record = s.time_wait.add(info, t.core.now, Duration::us(length));
    }
    if (record != kNoIndex) {
      const bool replaced =
          s.flows.replace(s.flows.hash(t.hot.key), {FlowKind::connection, t.id}, {FlowKind::time_wait, record});
      LEAT_ASSERT(replaced);
      t.hot.flags.set(Flag::detached);
    }
  }
  detach(t);
  // The last ACK may not have left: the record answers the peer's FIN when it comes again, but this one is owed.
  if (t.hot.any_ack_owed()) {
    Bare b{.key = t.hot.key, .seq = t.hot.snd_nxt, .ack = t.hot.rcv_nxt, .flags = wire::TcpFlag::ack};
    b.window = advertise(t, t.hot.rcv_nxt);
    if (t.hot.has(Flag::timestamps)) b.options.timestamps = {timestamp_now(t), t.hot.ts_recent};
    b.take(t.options());
    send_bare(t.core, b);
  }
  stop_machinery(t);
  t.notify(Ready::readable | Ready::writable | Ready::closed);
  let_go(t);
}

// --- active blocks ---------------------------------------------------------------------------------------------------

bool acquire_active(Tcb& t) {
  if (t.hot.active != kNoIndex) return true;
  State& s = t.tables();
  const Index i = s.active_pool.take(active_links(s));
  if (i == kNoIndex) {
    t.core.counters.add(Counter::pool_exhausted);
    return false;
  }
  std::construct_at(&s.active[i]);
  s.active[i].small_end = t.hot.snd_una;
  t.hot.active = i;
  if (t.hot.has(Flag::ack_later)) {  // the block was given back meanwhile
    s.active[i].full_segments = 1;
    s.active[i].rcv_mss = static_cast<std::uint16_t>(t.hot.rcv_nxt - t.hot.last_ack_sent);
  }
  return true;
}

namespace {

// One full segment and nothing else waits for its ACK: what the block knows of that can be told without it. Who has
// sent will probably do so again, and keeps it with what congestion control has learnt.
bool only_owes_for_one_segment(const Hot& h, const Active& a) {
  return a.full_segments == 1 && h.rcv_nxt - h.last_ack_sent == a.rcv_mss && !a.congestion_ready;
}

}  // namespace

void release_if_quiet(Tcb& t) {
  Active* a = t.active();
  if (a == nullptr || !a->send.empty() || !a->receive.empty() || a->ooo.count != 0 || a->ranges.count != 0) return;
  if (t.hot.flags.any(Flag::ack_now, Flag::fin_ahead) || a->corked) return;
  if (t.hot.has(Flag::ack_later) && !only_owes_for_one_segment(t.hot, *a)) return;
  if (a->recovery != Recovery::none || a->owes_dsack || a->lent != 0) return;
  if (a->congestion_ready) t.cold.w_max = a->congestion.words[0];
  State& s = t.tables();
  s.active_pool.give(std::exchange(t.hot.active, kNoIndex), active_links(s));
}

// --- lists -----------------------------------------------------------------------------------------------------------

void mark_dirty(Tcb& t) {
  if (t.hot.link != kUnlinked) return;
  State& s = t.tables();
  s.dirty[dirty_list(t.hot.interface)].push_back(t.id, links(s));
}

void wait_for_memory(Tcb& t) {
  LEAT_ASSERT(t.hot.link == kUnlinked);
  State& s = t.tables();
  s.waiting.push_back(t.id, links(s));
  ++s.waiting_count;
}

void wake_waiting(Core& core) {
  State& s = core.tcp;
  const bool room = !scarce(core.pool, kQueueShare) && s.active_pool.available() > 0;
  for (std::uint32_t n = std::exchange(s.waiting_count, 0); n > 0; --n) {
    const Index i = s.waiting.pop_front(links(s));
    s.hot[i].link = kUnlinked;
    Tcb t{core, i};
    if (t.hot.has(Flag::freed)) {
      s.connection_pool.give(i, links(s));
      continue;
    }
    if (room && t.hot.flags.take(Flag::wants_memory)) t.notify(Ready::writable);
    mark_dirty(t);
  }
}

// --- path ------------------------------------------------------------------------------------------------------------

std::uint32_t ip_header_length(const IpAddress& a) {
  return a.is_v4() ? 20 : 40;
}

namespace {

// Into the slot `c`; apart from who finds it there, which is nearly everybody.
[[gnu::noinline]] CachedPath* look_up_path(Core& core, CachedPath& c, const IpAddress& local, const IpAddress& remote,
                                           InterfaceId bound, Scope scope) {
  const auto path = ip::find_path(core, remote, local, bound, scope);
  if (!path) return nullptr;
  c = {.local = local, .remote = remote, .path = *path, .headers = {}, .used = true, .confirmed = {}};
  c.path.bound = bound;
  c.path.scope = scope;
  c.path.route_epoch = core.route_epoch;
  return &c;
}

}  // namespace

CachedPath* find_cached_path(Core& core, const IpAddress& local, const IpAddress& remote, InterfaceId bound,
                             Scope scope) {
  const auto& r = remote.bytes();
  const auto& l = local.bytes();
  const std::uint32_t mix = (load_be32(&r[12]) ^ (load_be32(&r[8]) * 31U) ^ (load_be32(&l[12]) * 7U)) * 0x9e3779b1U;
  CachedPath& c = core.tcp.paths[(mix >> 16) & (core.tcp.paths.size() - 1)];
  if (c.used && c.path.route_epoch == core.route_epoch && c.remote == remote && c.local == local &&
      c.path.bound == bound && c.path.scope == scope)
    return &c;
  return look_up_path(core, c, local, remote, bound, scope);
}

CachedPath* path_of(Tcb& t) {
  const auto bound = static_cast<InterfaceId>(t.options().get(OptionId::bind_interface));
  CachedPath* c = find_cached_path(t.core, t.hot.key.local, t.hot.key.remote, bound, t.hot.key.scope);
  if (c == nullptr) return nullptr;
  t.hot.interface = static_cast<std::uint8_t>(c->path.interface);
  if (std::min<std::uint32_t>(c->path.mtu, 0xffff) != t.hot.pmtu) compute_mss(t, c->path.mtu);
  return c;
}

void compute_mss(Tcb& t, std::uint32_t mtu) {
  mtu = std::min<std::uint32_t>(mtu, 0xffff);
  const std::uint32_t headers = ip_header_length(t.hot.key.remote) + wire::TcpHeader::kLength;
  std::uint32_t mss = std::min<std::uint32_t>(t.cold.peer_mss, mtu > headers ? mtu - headers : 0);
  if (const std::uint32_t limit = t.option(OptionId::tcp_max_segment); limit != 0) mss = std::min(mss, limit);
  // RFC 6691 3.2: the MSS says nothing of options; the sender takes those off that every segment carries.
  if (t.hot.has(Flag::timestamps)) mss -= std::min<std::uint32_t>(mss, wire::TcpHeader::kTimestampsLength);
  t.hot.mss = static_cast<std::uint16_t>(std::max<std::uint32_t>(mss, 16));
  t.hot.pmtu = static_cast<std::uint16_t>(mtu);
}

void load_options(Tcb& t) {
  const OptionValues& o = t.options();
  Flags& f = t.hot.flags;
  f.put(Flag::nodelay, o.on(OptionId::tcp_nodelay));
  f.put(Flag::cork, o.on(OptionId::tcp_cork));
  f.put(Flag::keep_alive, o.on(OptionId::keep_alive));
}

}  // namespace leat::tcp
