// Time. One wheel node per connection carries the earliest of its deadlines. The node is lazy: a deadline that moves
// away leaves it where it is, and when it fires too early it is armed for what is true then.

#include <leat/core/tcp/machine.hpp>
#include <leat/core/tcp/tcp.hpp>
#include <optional>

namespace leat::tcp {
namespace {

std::uint32_t clamp_ticks(std::uint64_t us) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>((us * 1000) >> TimerWheel::kTickShift, 0x3fffffffU));
}

// --- keep-alive (RFC 9293 3.8.4)
// --------------------------------------------------------------------------------------

bool keep_alive_runs(const Tcb& t) {
  return t.hot.has(Flag::keep_alive) && kSynchronized.has(t.hot.state) && !t.hot.has(Flag::detached) &&
         t.hot.in_flight() == 0 && !t.hot.has(Flag::persist);
}

// Microseconds until the next probe is due; 0: now.
std::uint64_t keep_alive_in(const Tcb& t) {
  const OptionValues& o = t.options();
  const auto wait = static_cast<std::uint64_t>(o.get(OptionId::tcp_keep_idle)) +
                    std::uint64_t{t.cold.retries} * static_cast<std::uint64_t>(o.get(OptionId::tcp_keep_interval));
  const std::uint64_t idle = std::uint64_t{ms_now(t.core) - t.hot.last_rx_ms} * 1000;
  return idle >= wait ? 0 : wait - idle;
}

void keep_alive_expired(Tcb& t) {
  // retries counts probes since the peer was last heard; hearing from it starts anew.
  const std::uint64_t idle = std::uint64_t{ms_now(t.core) - t.hot.last_rx_ms} * 1000;
  if (idle < static_cast<std::uint64_t>(t.options().get(OptionId::tcp_keep_idle)) +
                 static_cast<std::uint64_t>(t.options().get(OptionId::tcp_keep_interval)) / 2)
    t.cold.retries = 0;
  if (keep_alive_in(t) != 0) return;
  // As Linux: with a user timeout the time counts, not the number of probes.
  const auto limit = static_cast<std::uint64_t>(t.options().get(OptionId::tcp_user_timeout));
  const bool over =
      limit != 0 ? idle >= limit && t.cold.retries > 0 : t.cold.retries >= t.option(OptionId::tcp_keep_count);
  if (over) {
    send_reset(t);
    finish(t, TcpEvent::give_up, why_given_up(t));
    return;
  }
  ++t.cold.retries;
  t.core.counters.add(Counter::tcp_keepalive_probes);
  t.hot.flags.set(Flag::probe_now);
  mark_dirty(t);
}

// --- retransmission
// -----------------------------------------------------------------------------------------------------

std::uint32_t retry_limit(const Tcb& t) {
  switch (t.hot.state) {
    case TcpState::syn_sent:
      // RFC 9293 3.8.3: exception: the default ends after 127 s, as Linux's, not after three minutes; 7 is more.
      return t.option(OptionId::tcp_syn_retries);
    case TcpState::syn_received:
      return t.option(OptionId::tcp_synack_retries);
    case TcpState::closed:
    case TcpState::listen:
    case TcpState::established:
    case TcpState::fin_wait_1:
    case TcpState::fin_wait_2:
    case TcpState::close_wait:
    case TcpState::closing:
    case TcpState::last_ack:
    case TcpState::time_wait:
      break;
  }
  return t.option(t.hot.has(Flag::orphan) ? OptionId::tcp_orphan_retries : OptionId::tcp_retries);
}

// RFC 5482: what is left of the user timeout, us; nothing: none runs. An attempt to connect counts from its first SYN.
std::optional<std::uint64_t> user_timeout_left(const Tcb& t, const Active* a) {
  const auto limit = static_cast<std::uint64_t>(t.options().get(OptionId::tcp_user_timeout));
  if (limit == 0) return std::nullopt;
  std::uint64_t gone = 0;
  if (t.hot.state == TcpState::syn_sent) {
    gone = us_now(t.core) - t.cold.w_max;
  } else if (a != nullptr && kSynchronized.has(t.hot.state)) {
    gone = us_since_tick(t.core, a->stalled_since);
  } else {
    return std::nullopt;
  }
  return gone < limit ? limit - gone : 0;
}

// RFC 9293 3.8.3 (R2), RFC 5482: has it been tried for long enough? Once there is a connection the user timeout alone
// says so; an attempt has its count of SYNs besides.
bool exhausted(const Tcb& t, const Active* a) {
  const auto left = user_timeout_left(t, a);
  if (left && (*left == 0 || t.hot.state != TcpState::syn_sent)) return *left == 0;
  return t.cold.retries >= retry_limit(t);
}

// RFC 9293 3.8.3 (R1): the network layer hears that nothing arrives, and looks after the next hop.
void doubt_path(Tcb& t) {
  constexpr std::uint8_t kR1 = 3;
  if (t.cold.retries < kR1) return;
  if (const CachedPath* c = path_of(t); c != nullptr) ip::doubt_reachable(t.core, c->path);
}

void window_probe(Tcb& t, Active* a) {
  t.core.counters.add(Counter::tcp_zero_window_probes);
  t.cold.rtt.back_off();
  if (a != nullptr && a->ranges.count != 0) {
    // Row D6: the window closed over what was in flight. Whether that was kept, the peer says when it opens.
    t.tables().ranges.mark_all_lost(a->ranges, false);
    a->recovery = Recovery::timeout;
    a->recover = t.hot.snd_nxt;
    a->dup_acks = 0;
  }
  t.hot.flags.set(Flag::probe_now);
  start_rtx(t);
  mark_dirty(t);
}

void rtx_expired(Tcb& t) {
  Hot& h = t.hot;
  Active* a = t.active();
  h.flags.clear(Flag::rtx_running);
  if (h.state == TcpState::fin_wait_2) {  // row C5: nobody waits for the peer's FIN any more
    finish(t, TcpEvent::give_up, Errc{});
    return;
  }
  if (exhausted(t, a)) {
    finish(t, TcpEvent::give_up, why_given_up(t));
    return;
  }
  ++t.cold.retries;
  doubt_path(t);
  if (h.state == TcpState::syn_sent || h.state == TcpState::syn_received) {
    h.flags.set(Flag::send_syn);
    t.core.counters.add(Counter::tcp_timeouts);
    mark_dirty(t);
    start_rtx(t);
    return;
  }
  if (h.has(Flag::persist) && h.snd_wnd != 0) {
    // RFC 9293 3.8.6.2.1 (4): the override: what silly-window avoidance held back goes now.
    h.flags.clear(Flag::persist);
    --t.cold.retries;  // nothing was lost
    h.flags.set(Flag::uncork);
    h.flags.set(Flag::resend_head);
    mark_dirty(t);
    return;
  }
  if (h.snd_wnd == 0) return window_probe(t, a);
  on_retransmission_timeout(t, a);
  start_rtx(t);
}

// --- delayed ACKs (RFC 9293 3.8.6.3)
// --------------------------------------------------------------------------------------

// Nobody waits longer than the largest value of the option; what seems to be further away is long past.
constexpr std::uint32_t kLongestAckWait = (500'000'000U >> TimerWheel::kTickShift) + 2;  // both ends rounded

void send_delayed_ack(Tcb& t) {
  t.hot.flags.clear(Flag::talks_back);
  t.hot.flags.clear(Flag::ack_later);  // due is due: with an empty pool the deadline must not come again at once
  ack_soon(t);
}

// Into the queue, unless that takes longer deadlines first: one socket with a long delay must not shut all others out.
bool queue_ack(Tcb& t) {
  const Core& core = t.core;
  const std::uint32_t now = tick_now(core);
  const std::uint32_t wait = ack_wait(core, t.hot);
  const auto usual = static_cast<std::uint64_t>(core.options.get(OptionId::tcp_delayed_ack));
  return wait <= tick_in(core, usual) - now && t.tables().acks.push(t.id, now + wait);
}

// Entries of the queue that are due. Those of the next ones are fetched meanwhile: they come from all over memory.
void run_acks(Core& core, unsigned budget) {
  constexpr std::size_t kAhead = 16;
  State& s = core.tcp;
  for (; budget != 0 && !s.acks.empty() && tick_passed(core, s.acks.front().due); --budget) {
    if (const Index later = s.acks.upcoming(kAhead); later != kNoIndex) prefetch_connection(s, later);
    const AckQueue::Entry entry = s.acks.pop();
    Tcb t{core, entry.connection};
    t.hot.flags.clear(Flag::ack_queued);
    if (!t.hot.has(Flag::ack_later)) continue;
    if (static_cast<std::uint16_t>(entry.due) == t.hot.ack_due || ack_wait(core, t.hot) == 0) {
      send_delayed_ack(t);
    } else {
      schedule(t);
    }
  }
}

void expired(Core& core, Index i) {
  Tcb t{core, i};
  Hot& h = t.hot;
  if (h.has(Flag::freed) || h.state == TcpState::closed) return;
  if (h.has(Flag::rtx_running) && tick_passed(core, t.cold.rtx_due)) {
    rtx_expired(t);
    if (h.has(Flag::detached) || h.state == TcpState::closed) return;
  }
  if (h.has(Flag::ack_later) && ack_wait(core, h) == 0) send_delayed_ack(t);
  if (Active* a = t.active(); a != nullptr && a->corked && tick_passed(core, a->cork_due)) {
    a->corked = false;
    h.flags.set(Flag::uncork);
    mark_dirty(t);
  }
  if (keep_alive_runs(t)) {
    keep_alive_expired(t);
    if (h.has(Flag::detached) || h.state == TcpState::closed) return;
  }
  schedule(t);
}

// A passing context for callbacks that are given an index only.
void on_wheel(void* context, Index i) {
  Core& core = *static_cast<Core*>(context);
  const Index next = core.tcp.wheel.upcoming();
  if (next != kNoIndex) prefetch_connection(core.tcp, next);
  expired(core, i);
  if (next != kNoIndex) prefetch_sender(core.tcp, next);
}
void on_time_wait(void* context, Index record) {
  Core& core = *static_cast<Core*>(context);
  FlowTable& flows = core.tcp.flows;
  flows.erase(flows.hash(core.tcp.time_wait[record].key()), {FlowKind::time_wait, record});
}
void on_syn(void* context, Index record, SynEvent event) {
  Core& core = *static_cast<Core*>(context);
  State& s = core.tcp;
  switch (event) {
    case SynEvent::retransmit:
      // As Linux: who acknowledged already is asked again only when the time for its data is over.
      if (s.syn_cache[record].acknowledged() && is_deferred(core, record)) return;
      core.counters.add(Counter::tcp_retransmitted_segments);
      send_syn_ack(core, record);
      return;
    case SynEvent::expired:
      --s.listeners[s.syn_cache[record].listener()].half_open;
      s.flows.erase(s.flows.hash(s.syn_cache[record].key()), {FlowKind::syn_record, record});
      return;
  }
}

// RFC 6298 5.5: exception: when asked for, and as Linux: who has fewer than four segments in flight makes no congestion
// by asking again, and no fast retransmission helps it.
bool is_thin(const Tcb& t) {
  constexpr std::uint8_t kLinearTries = 6;
  return t.hot.state == TcpState::established && t.hot.in_flight() < 4U * t.hot.mss && t.cold.retries <= kLinearTries;
}

}  // namespace

std::uint32_t rto_us(const Tcb& t) {
  const OptionValues& o = t.options();
  const auto value = [&](OptionId id) { return static_cast<std::uint32_t>(o.get(id)); };
  unsigned backoff = kSynchronized.has(t.hot.state) ? t.cold.rtt.backoff() : t.cold.retries;
  if (backoff != 0 && o.on(OptionId::tcp_thin_linear_timeouts) && is_thin(t)) backoff = 0;
  return t.cold.rtt.rto_us(value(OptionId::tcp_rto_initial), value(OptionId::tcp_rto_min), value(OptionId::tcp_rto_max),
                           backoff);
}

void start_rtx_in(Tcb& t, std::uint64_t us) {
  t.cold.rtx_due = tick_in(t.core, us);
  t.hot.flags.set(Flag::rtx_running);
  // With every flight the deadline moves away, while the node stays where an earlier one left it.
  if (!t.tables().wheel.fires_by(t.id, t.cold.rtx_due)) schedule(t);
}

void start_rtx(Tcb& t) {
  std::uint64_t us = rto_us(t);
  // RFC 5482: the user timeout ends the wait, not the next retransmission after it.
  if (const auto left = user_timeout_left(t, t.active())) us = std::min(us, *left);
  start_rtx_in(t, us);
}

std::uint32_t ack_wait(const Core& core, const Hot& h) {
  const auto wait = static_cast<std::uint16_t>(h.ack_due - tick_now(core));
  return wait <= kLongestAckWait ? wait : 0;
}

// An entry that is in the queue already comes first, and finds out that there is more to wait for. A deadline that is
// earlier than such an entry needs one of its own.
void delay_ack(Tcb& t, std::uint64_t us) {
  Hot& h = t.hot;
  const std::uint32_t due = tick_in(t.core, us);
  if (h.has(Flag::ack_later) || !t.tables().acks.none_after(due)) h.flags.clear(Flag::ack_queued);
  h.flags.set(Flag::ack_later);
  h.ack_due = static_cast<std::uint16_t>(due);
}

void forget_near_ack(Tcb& t) {
  AckQueue& acks = t.tables().acks;
  if (acks.empty() || acks.front().connection != t.id) return;
  const std::uint32_t near = tick_in(t.core, t.option(OptionId::tcp_reply_wait));
  if (static_cast<std::int32_t>(acks.front().due - near) > 0) return;
  (void)acks.pop();
  t.hot.flags.clear(Flag::ack_queued);
}

void stop_rtx(Tcb& t) {
  t.hot.flags.clear(Flag::rtx_running);
}

void schedule(Tcb& t) {
  Hot& h = t.hot;
  const std::uint32_t now = tick_now(t.core);
  constexpr std::uint32_t kNever = 0x7fffffffU;
  std::uint32_t wait = kNever;  // ticks
  const auto consider = [&](std::uint32_t due) {
    const auto left = static_cast<std::int32_t>(due - now);
    wait = std::min(wait, left < 0 ? 0U : static_cast<std::uint32_t>(left));
  };
  if (h.has(Flag::ack_later) && !h.has(Flag::ack_queued)) {
    h.flags.put(Flag::ack_queued, queue_ack(t));
    if (!h.has(Flag::ack_queued)) wait = ack_wait(t.core, h);
  }
  if (h.has(Flag::rtx_running)) consider(t.cold.rtx_due);
  if (const Active* a = t.active(); a != nullptr && a->corked) consider(a->cork_due);
  if (keep_alive_runs(t)) wait = std::min(wait, clamp_ticks(keep_alive_in(t)) + 1);
  if (wait == kNever) return;
  TimerWheel& wheel = t.tables().wheel;
  if (!wheel.fires_by(t.id, now + wait)) wheel.arm_tick(t.id, (t.core.now.count_ns() >> TimerWheel::kTickShift) + wait);
}

void run_timers(Core& core, unsigned budget) {
  State& s = core.tcp;
  if (s.waiting_count != 0) wake_waiting(core);
  s.wheel.advance(core.now, budget, {&on_wheel, &core});
  run_acks(core, budget);
  s.syn_cache.advance(core.now, budget, {&on_syn, &core});
  s.time_wait.advance(core.now, budget, {&on_time_wait, &core});
}

Instant next_deadline(const Core& core) {
  const State& s = core.tcp;
  Instant t = earlier(s.wheel.next_deadline(), earlier(s.syn_cache.next_deadline(), s.time_wait.next_deadline()));
  if (!s.acks.empty()) t = earlier(t, tick_instant(core, s.acks.front().due));
  // Memory comes back without a sign: who waits for it looks again soon.
  if (s.waiting_count != 0) t = earlier(t, core.now + Duration::ms(10));
  return t;
}

}  // namespace leat::tcp
