#include <leat/core/tcp/info.hpp>
#include <leat/core/tcp/machine.hpp>
#include <leat/core/tcp/snapshot.hpp>

namespace leat::tcp {
namespace {

bool can_be_taken(const Hot& h) {
  return kSynchronized.has(h.state) && !h.has(Flag::detached) && h.state != TcpState::time_wait;
}

// What a snapshot must fulfil whoever made it.
bool is_sound(const Snapshot& s, std::size_t bytes) {
  if (s.version != Snapshot::kVersion || !kSynchronized.has(s.state) || s.state == TcpState::time_wait) return false;
  if (std::size_t{s.send_bytes} + s.receive_bytes > bytes) return false;
  if (s.snd_shift > wire::TcpOptions::kMaxWindowScale || s.rcv_shift > wire::TcpOptions::kMaxWindowScale) return false;
  const std::uint32_t flight = s.snd_nxt - s.snd_una;
  const std::uint32_t fin = s.fin_sent ? 1 : 0;
  if (flight > s.send_bytes + fin || s.fin_sent != (s.fin_sent && s.fin_queued)) return false;
  if (s.fin_sent && flight != 0 && flight != s.send_bytes + 1) return false;
  return s.rcv_adv - s.rcv_nxt <= (0xffffU << s.rcv_shift) + (1U << s.rcv_shift);
}

}  // namespace

std::size_t snapshot_bytes(const Core& core, Index connection) {
  const Hot& h = core.tcp.hot[connection];
  if (h.active == kNoIndex) return 0;
  const Active& a = core.tcp.active[h.active];
  return std::size_t{a.send.size()} + a.receive.size();
}

Result<Snapshot> snapshot(Core& core, Index connection, MutableByteSpan bytes) {
  const Tcb t{core, connection};
  const Hot& h = t.hot;
  if (!can_be_taken(h)) return fail(Errc::wrong_state);
  if (bytes.size() < snapshot_bytes(core, connection)) return fail(Errc::invalid_argument);
  Snapshot s;
  s.state = h.state;
  s.key = h.key;
  s.iss = t.cold.iss.value();
  s.irs = t.cold.irs.value();
  s.snd_una = h.snd_una.value();
  s.snd_nxt = h.snd_nxt.value();
  s.snd_wnd = h.snd_wnd;
  s.snd_wl1 = h.snd_wl1.value();
  s.rcv_nxt = h.rcv_nxt.value();
  s.rcv_adv = h.rcv_adv.value();
  s.peer_mss = t.cold.peer_mss;
  s.max_window = t.hot.max_window;
  s.snd_shift = static_cast<std::uint8_t>(h.snd_shift());
  s.rcv_shift = static_cast<std::uint8_t>(h.rcv_shift());
  s.timestamps = h.has(Flag::timestamps);
  s.sack = h.has(Flag::sack);
  s.window_scaling = h.has(Flag::window_scaling);
  s.fin_queued = h.has(Flag::fin_queued);
  s.fin_sent = h.has(Flag::fin_sent);
  s.ts_recent = h.ts_recent;
  s.ts_now = timestamp_now(t);
  s.cwnd = t.cold.window.cwnd;
  s.ssthresh = t.cold.window.ssthresh;
  s.srtt_us = t.cold.rtt.srtt_us();
  s.rttvar_us = t.cold.rtt.rttvar_us();
  s.backoff = static_cast<std::uint8_t>(t.cold.rtt.backoff());
  s.lost_syn = t.cold.rtt.lost_syn();
  s.min_rtt_us = t.cold.min_rtt_us;
  s.w_max = t.cold.w_max;
  if (const Active* a = t.active()) {
    s.send_bytes = a->send.size();
    s.receive_bytes = a->receive.size();
    a->send.peek(core.pool, 0, bytes.first(s.send_bytes));
    a->receive.peek(core.pool, 0, bytes.subspan(s.send_bytes, s.receive_bytes));
  }
  return s;
}

Result<Handle> restore(Core& core, const Snapshot& s, ByteSpan bytes, std::uint8_t owner) {
  if (!is_sound(s, bytes.size())) return fail(Errc::invalid_argument);
  if (find_connection(core, s.key)) return fail(Errc::address_in_use);
  const Index i = create(core, s.state);
  if (i == kNoIndex) return fail(Errc::no_memory);
  Tcb t{core, i};
  Hot& h = t.hot;
  h.flags.set(Flag::detached);
  h.key = s.key;
  if (s.send_bytes + s.receive_bytes != 0) {
    if (!acquire_active(t)) {
      destroy(t);
      return fail(Errc::no_memory);
    }
    Active& a = *t.active();
    if (a.send.append(core.pool, bytes.first(s.send_bytes)) != s.send_bytes ||
        a.receive.append(core.pool, bytes.subspan(s.send_bytes, s.receive_bytes)) != s.receive_bytes) {
      destroy(t);
      return fail(Errc::no_buffers);
    }
    const std::uint32_t flight = s.snd_nxt - s.snd_una - (s.fin_sent && s.snd_nxt != s.snd_una ? 1U : 0U);
    if (flight != 0) {
      if (!t.tables().ranges.room(a.ranges)) {
        destroy(t);
        return fail(Errc::no_memory);
      }
      const SeqNum una{s.snd_una};
      t.tables().ranges.sent(a.ranges, una, una + flight, us_now(core), 0, kRangeCap);
    }
  }
  const Index socket = core.sockets.open(SocketKind::stream, i, owner);
  if (socket == kNoIndex) {
    destroy(t);
    return fail(Errc::no_memory);
  }
  h.socket = socket;
  h.set_shifts(s.snd_shift, s.rcv_shift);
  t.cold.iss = SeqNum{s.iss};
  t.cold.irs = SeqNum{s.irs};
  h.snd_una = SeqNum{s.snd_una};
  h.snd_nxt = SeqNum{s.snd_nxt};
  h.snd_wnd = s.snd_wnd;
  h.snd_wl1 = SeqNum{s.snd_wl1};
  h.rcv_nxt = h.last_ack_sent = SeqNum{s.rcv_nxt};
  h.rcv_adv = SeqNum{s.rcv_adv};
  h.ts_recent = s.ts_recent;
  t.cold.window = {s.cwnd, s.ssthresh};
  t.cold.rtt.restore(s.srtt_us, s.rttvar_us, s.backoff);
  if (s.lost_syn) t.cold.rtt.syn_timed_out();
  load_options(t);
  h.flags.put(Flag::timestamps, s.timestamps);
  h.flags.put(Flag::sack, s.sack && core.modules.sack != nullptr);
  h.flags.put(Flag::window_scaling, s.window_scaling);
  h.flags.put(Flag::fin_queued, s.fin_queued);
  h.flags.put(Flag::fin_sent, s.fin_sent);
  t.cold.peer_mss = s.peer_mss;
  t.hot.max_window = s.max_window;
  t.cold.min_rtt_us = s.min_rtt_us;
  t.cold.w_max = s.w_max;
  t.hot.ts_offset = s.ts_now - ms_now(core);
  t.hot.last_rx_ms = t.hot.last_tx_ms = ms_now(core);
  if (!attach(t, t.tables().flows.hash(t.hot.key))) {
    core.sockets.close(socket);
    destroy(t);
    return fail(Errc::no_memory);
  }
  if (path_of(t) == nullptr) compute_mss(t, 576);
  if (Active* a = t.active()) begin_spending(t, *a);
  if (h.in_flight() != 0) {
    if (Active* a = t.active(); a != nullptr && a->ranges.count != 0) {
      t.tables().ranges.mark_all_lost(a->ranges, false);
      a->recovery = Recovery::timeout;
      a->recover = h.snd_nxt;
      h.flags.set(Flag::resend_head);
    }
    if (h.has(Flag::fin_sent)) h.flags.set(Flag::fin_lost);
    start_rtx(t);
  }
  ack_soon(t);  // the peer learns where we stand
  core.sockets.notify(socket,
                      Ready::connected | Ready::writable | (s.receive_bytes != 0 ? Ready::readable : Ready::none));
  return core.sockets.handle(socket);
}

}  // namespace leat::tcp
