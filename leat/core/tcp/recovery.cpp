// What acknowledgements do: SND.UNA and the send queue, round-trip samples, windows, loss detection and the congestion
// window. Loss is detected by duplicate ACKs (RFC 5681, 6582) or, where SACK is agreed on and linked, by the scoreboard
// (RFC 6675); by time in on_retransmission_timeout (RFC 6298). RACK-TLP (RFC 8985), PRR (RFC 9937) and the undo of
// spurious recoveries (RFC 3522, 5682) have their place here: `before` keeps the window, ranges keep transmit times.

#include <leat/core/tcp/machine.hpp>
#include <leat/core/tcp/scoreboard.hpp>

namespace leat::tcp {
namespace {

constexpr unsigned kDupThresh = 3;  // RFC 5681 3.2

// What one acknowledgement said.
struct AckNews {
  std::uint32_t acked = 0;          // sequence numbers newly acknowledged, SYN and FIN included
  std::uint32_t payload = 0;        // of them, octets of the send queue
  std::uint32_t delivered = 0;      // of these, what had not been SACKed before
  std::uint32_t newly_sacked = 0;   // octets
  std::uint32_t flight_before = 0;  // pipe before it
  std::uint32_t rtt_us = 0;         // of the newest that was acknowledged; 0: no sample
  bool duplicate = false;           // RFC 5681 2: a duplicate ACK
};

LossEvent loss_event(const Tcb& t, std::uint32_t in_flight) {
  return {.now = t.core.now, .in_flight = in_flight, .mss = t.hot.mss};
}

// --- round trips
// -------------------------------------------------------------------------------------------------------

// RFC 6298 3 (Karn) and RFC 7323 4.1: from what was sent once, else from timestamps when there are. The time-out has to
// wait for ACKs as late as the peer sends them: the oldest octet that one covers tells of that. What the path takes,
// the newest does.
void take_rtt_sample(Tcb& t, const Segment& s, const AckedRanges& r, AckNews& news) {
  std::uint32_t oldest = 0;
  if (r.not_sacked != 0 && !r.any_resent) {
    const std::uint32_t now = us_now(t.core);
    oldest = now - r.first_sent_tick;
    news.rtt_us = std::max<std::uint32_t>(1, now - r.last_sent_tick);
  } else {
    if (!t.hot.has(Flag::timestamps) || !s.timestamps || s.ts_echo == 0) return;
    const std::uint32_t ms = timestamp_now(t) - s.ts_echo;
    if (ms > 240'000) return;  // an echo of nothing that we sent
    news.rtt_us = oldest = std::max<std::uint32_t>(1, ms * 1000);
  }
  t.cold.rtt.sample(oldest);
  if (t.cold.min_rtt_us == 0 || news.rtt_us < t.cold.min_rtt_us) t.cold.min_rtt_us = news.rtt_us;
}

// --- acknowledged
// --------------------------------------------------------------------------------------------------------

// RFC 4861 7.3.1: the way there works. Told once a second per path, and asked for once a second per connection.
void confirm_path(Tcb& t, Active* a) {
  if (a != nullptr) {
    const auto second = static_cast<std::uint16_t>(((ms_now(t.core) >> 10) & 0x7fffU) + 1U);
    if (a->confirmed == second) return;
    a->confirmed = second;
  }
  CachedPath* c =
      find_cached_path(t.core, t.hot.key.local, t.hot.key.remote,
                       static_cast<InterfaceId>(t.options().get(OptionId::bind_interface)), t.hot.key.scope);
  if (c == nullptr || (t.core.now - c->confirmed < Duration::s(1) && c->confirmed != Instant{})) return;
  c->confirmed = t.core.now;
  ip::confirm_reachable(t.core, c->path);
}

void advance_una(Tcb& t, const Segment& s, AckNews& news) {
  Hot& h = t.hot;
  Active* a = t.active();
  const SeqNum data_una = t.data_una();
  const SeqNum upto = min(s.ack, t.data_nxt());
  news.acked = s.ack - h.snd_una;
  news.payload = data_una < upto ? upto - data_una : 0;
  AckedRanges covered;
  if (news.payload != 0) {
    LEAT_ASSERT(a != nullptr);
    covered = t.tables().ranges.acked(a->ranges, upto);
    news.delivered = covered.not_sacked;
    a->delivered += covered.not_sacked;
    a->send.consume(t.core.pool, news.payload);
    if (covered.reordered) count_reordering(t);
    if (a->send.empty()) all_delivered(t, *a);
  }
  if (s.ack.value() < h.snd_una.value()) ++t.cold.una_wraps;
  h.snd_una = s.ack;
  if (h.has(Flag::fin_sent) && h.snd_una == h.snd_nxt) h.flags.clear(Flag::fin_lost);
  take_rtt_sample(t, s, covered, news);
  t.cold.retries = 0;
  if (h.flags.take(Flag::soft_error)) forget_soft_error(t);
  h.flags.clear(Flag::persist, Flag::copies_out);
  if (a != nullptr) a->stalled_since = tick_now(t.core);
  // RFC 6298 5.2 and 5.3.
  stop_rtx(t);
  if (h.in_flight() != 0) {
    start_rtx(t);
  } else if (h.has(Flag::keep_alive)) {
    schedule(t);  // with nothing in flight the idle time counts again
  }
  confirm_path(t, a);
}

// The writer hears when a third of the buffer is free, so that it writes more than crumbs.
}  // namespace

void tell_writer(Tcb& t) {
  if (!t.hot.has(Flag::write_blocked)) return;
  const std::uint32_t limit = t.option(OptionId::send_buffer);
  if (t.queued() > limit - limit / 3) return;
  if (const std::uint32_t low = t.option(OptionId::tcp_notsent_lowat); low != 0 && t.unsent() >= low) return;
  t.hot.flags.clear(Flag::write_blocked);
  if (Active* a = t.active(); a != nullptr && a->spending == Spending::buffer) note_spending(t, *a);
  t.notify(Ready::writable);
}

namespace {

// --- loss
// ----------------------------------------------------------------------------------------------------------------

void enter_recovery(Tcb& t, Active& a) {
  State& tables = t.tables();
  Hot& h = t.hot;
  a.before = t.cold.window;
  prepare_congestion(t, a);
  // RFC 6675 5 (4.1), (4.2): FlightSize, then the window; RFC 6582 3.2 (1): recover.
  t.congestion().on_congestion(a.congestion, t.cold.window, loss_event(t, h.in_flight()));
  t.cold.window.cwnd = t.cold.window.ssthresh;
  a.recovery = Recovery::fast;
  a.recover = h.snd_nxt;
  tables.ranges.mark_first_lost(a.ranges, h.mss, kRangeCap);
  h.flags.set(Flag::resend_head);  // RFC 6675 5 (4.3), RFC 5681 3.2 (3): the first goes whatever the window says
  t.core.counters.add(Counter::tcp_fast_retransmits);
  mark_dirty(t);
}

// What was lost behind `recover`, and perhaps sent again since, stays marked: it is the cause of the next reduction.
void leave_recovery(Tcb& t, Active& a, bool by_sack) {
  const bool was_fast = a.recovery == Recovery::fast;
  a.recovery = Recovery::none;
  a.dup_acks = 0;
  if (!by_sack) {
    t.tables().ranges.clear_lost(a.ranges);
    t.hot.flags.put(Flag::copies_out, t.hot.snd_una == a.recover);
  }
  if (was_fast && a.ranges.lost == 0) t.congestion().on_exit(a.congestion, t.cold.window, loss_event(t, pipe(t, a)));
}

// RFC 5681 2: what counts as a duplicate. With SACK: RFC 6675 2, an ACK that SACKs something new.
bool is_duplicate_ack(const Tcb& t, const Segment& s, const AckNews& news, bool window_moved) {
  if (news.acked != 0 || t.hot.in_flight() == 0) return false;
  if (t.hot.has(Flag::sack)) return news.newly_sacked != 0;
  // RFC 6582 3.2: until more than `recover` is acknowledged (2) a duplicate may answer what was sent again.
  if (t.hot.has(Flag::copies_out)) return false;
  return s.length == 0 && !s.flags.fin() && !window_moved && s.ack == t.hot.snd_una;
}

// A report of duplicates often comes when all is acknowledged, and the block is gone.
void apply_sack(Tcb& t, Active* a, const wire::TcpOptions* options, AckNews& news) {
  const SackOps* sack = t.core.modules.sack;
  if (sack == nullptr || !t.hot.has(Flag::sack) || options == nullptr || options->sack_count == 0) return;
  RangeList none;
  RangeList& ranges = a != nullptr ? a->ranges : none;
  const SackResult r = sack->apply(t.tables().ranges, ranges, t.hot.snd_una, t.hot.snd_nxt, options->sack(), kRangeCap);
  if (r.dsack) count_dsack(t, r.duplicate.right - r.duplicate.left);
  if (r.reordered) count_reordering(t);
  news.newly_sacked = r.newly_sacked;
  if (a != nullptr) a->delivered += r.newly_sacked;
}

// RFC 6675 4, NextSeg (3): with nothing lost left to send and nothing new that may go, the first hole goes. So little
// was SACKed above it that it is not known to be lost, and with nothing new to follow it would wait for the time-out.
// What was sent since the recovery began is for the next one to judge.
void resend_next_hole(Tcb& t, Active& a) {
  const Hot& h = t.hot;
  if (a.ranges.lost != a.ranges.resent || h.has(Flag::resend_head)) return;
  if (t.unsent() != 0 && h.snd_nxt < h.snd_una + h.snd_wnd) return;
  if (pipe(t, a) + h.mss <= t.cold.window.cwnd) t.tables().ranges.mark_hole_lost(a.ranges, a.recover, h.mss, kRangeCap);
}

void detect_loss(Tcb& t, Active& a, const AckNews& news) {
  State& tables = t.tables();
  Hot& h = t.hot;
  const SackOps* sack = t.core.modules.sack;
  const bool by_sack = sack != nullptr && h.has(Flag::sack);
  if (news.duplicate && a.dup_acks < 0xffff) ++a.dup_acks;
  if (a.recovery != Recovery::none && h.snd_una >= a.recover) leave_recovery(t, a, by_sack);
  // RFC 6675 5.1: until what timed out is acknowledged, later data is not judged.
  if (by_sack && a.recovery != Recovery::timeout)
    (void)sack->update_lost(tables.ranges, a.ranges, h.mss, kDupThresh, kRangeCap);

  switch (a.recovery) {
    case Recovery::none:
      if (a.ranges.count == 0) {
        // Row C6: only our FIN is in flight, and the peer says three times that it lacks it.
        if (a.dup_acks == kDupThresh && h.has(Flag::fin_sent)) h.flags.set(Flag::fin_lost);
        break;
      }
      if (a.ranges.lost != 0 || a.dup_acks >= kDupThresh) enter_recovery(t, a);
      break;
    case Recovery::fast:
      if (by_sack) {
        resend_next_hole(t, a);
      } else if (news.acked != 0) {
        // RFC 6582 3.2 (3): a partial acknowledgement: the next segment is lost too. Of the duplicates counted, those
        // for what is acknowledged now are gone; they stand for segments that left the network.
        const std::uint32_t segments = (news.payload + h.mss - 1) / h.mss;
        a.dup_acks = static_cast<std::uint16_t>(a.dup_acks > segments ? a.dup_acks - segments + 1 : 1);
        tables.ranges.mark_first_lost(a.ranges, h.mss, kRangeCap);
        h.flags.set(Flag::resend_head);
      }
      break;
    case Recovery::timeout:
      // RFC 6582 3.2 (1), RFC 6675 5.1: what a time-out is repairing starts no second reduction.
      break;
  }
}

// RFC 7661 4.3, RFC 9438 5.8: a window grows that was in use: all of it, or in slow start, where it may double, half.
bool window_was_used(const Active& a, const Window& w) {
  return !a.app_limited || (w.cwnd < w.ssthresh && w.cwnd < 2 * a.largest_flight);
}

void grow_window(Tcb& t, Active& a, const AckNews& news) {
  if (news.payload == 0 || a.recovery == Recovery::fast) return;
  prepare_congestion(t, a);
  // After a time-out an ACK that passes over what was SACKed before tells of the octets between alone.
  const AckEvent e{.now = t.core.now,
                   .acked = a.recovery == Recovery::timeout ? news.delivered : news.payload,
                   .in_flight = news.flight_before,
                   .mss = t.hot.mss,
                   .rtt_us = news.rtt_us,
                   .srtt_us = t.cold.rtt.srtt_us(),
                   .snd_una = t.hot.snd_una.value(),
                   .snd_nxt = t.hot.snd_nxt.value(),
                   .app_limited = !window_was_used(a, t.cold.window)};
  t.congestion().on_ack(a.congestion, t.cold.window, e);
}

}  // namespace

// RFC 6675 4, SetPipe. Without SACK every duplicate ACK stands for a segment that left the network (RFC 6582's inflated
// window, RFC 3042's limited transmit).
std::uint32_t pipe(const Tcb& t, const Active& a) {
  const std::uint32_t flight = RangePool::in_flight(a.ranges, t.payload_in_flight());
  if (t.hot.has(Flag::sack) || a.recovery == Recovery::timeout) return flight;
  std::uint32_t gone = std::uint32_t{a.dup_acks} * t.hot.mss;
  // Row D20, RFC 5681 5: no more of them are believed than segments were out when the recovery began.
  if (a.recovery == Recovery::fast) gone = std::min(gone, a.recover - t.hot.snd_una);
  return flight > gone ? flight - gone : 0;
}

void prepare_congestion(Tcb& t, Active& a) {
  if (a.congestion_ready) return;
  a.congestion_ready = true;
  a.congestion.words[0] = t.cold.w_max;
  Window untouched = t.cold.window;
  t.congestion().on_idle(a.congestion, untouched, t.hot.mss, 64);
}

// RFC 9293 3.10.7.4: SND.WND. `<=` instead of WL2, see tcb.hpp.
void update_window(Tcb& t, const Segment& s) {
  Hot& h = t.hot;
  if (s.seq < h.snd_wl1 || s.ack < h.snd_una) return;  // row D10: older than what the window was taken from
  h.snd_wl1 = s.seq;
  if (t.hot.max_window < s.window) t.hot.max_window = s.window;
  const std::uint32_t window = std::uint32_t{s.window} << h.snd_shift();
  const std::uint32_t before = std::exchange(h.snd_wnd, window);
  if (window <= before) return;
  const Active* a = t.active();
  if (a == nullptr && !h.has(Flag::fin_queued)) return;
  if (before < h.mss || h.has(Flag::persist)) {
    // A closed window opened: the probes end, and what was sent into it goes again now.
    t.cold.retries = 0;
    t.cold.rtt.forget_backoff();
    if (h.flags.take(Flag::persist)) stop_rtx(t);
    if (before == 0 && h.has(Flag::fin_sent) && h.in_flight() != 0) {
      h.flags.set(Flag::fin_lost);
      stop_rtx(t);  // the time-out begins anew, without back-off
    }
    if (a != nullptr && t.active()->recovery == Recovery::timeout && a->ranges.count != 0) {
      t.tables().ranges.mark_all_lost(t.active()->ranges, false);
      h.flags.set(Flag::resend_head);
    }
    if (h.in_flight() != 0 && !h.has(Flag::rtx_running)) start_rtx(t);
  }
  mark_dirty(t);
}

void on_ack(Tcb& t, const Segment& s, const wire::TcpOptions* options) {
  Hot& h = t.hot;
  if (s.ack < h.snd_una) return;  // an old duplicate, acceptable but without news
  AckNews news;
  Active* a = t.active();
  if (a != nullptr) news.flight_before = pipe(t, *a);
  const std::uint32_t window_before = h.snd_wnd;
  if (h.snd_una < s.ack) advance_una(t, s, news);
  update_window(t, s);
  apply_sack(t, a, options, news);
  // RFC 9293 3.8.6.1: a peer that answers is alive: probes into its closed window go on for ever, those of a lone FIN
  // too.
  // RFC 5482: with a user timeout, whose begin stands in the block, they do not; a FIN without one goes by count.
  if (h.snd_wnd == 0 && (a != nullptr || t.options().get(OptionId::tcp_user_timeout) == 0)) t.cold.retries = 0;
  if (a == nullptr) return;
  news.duplicate = is_duplicate_ack(t, s, news, h.snd_wnd != window_before);
  if (news.acked != 0 && a->recovery == Recovery::none) a->dup_acks = 0;
  // The order matters: the acknowledgement that ends a recovery grows nothing.
  grow_window(t, *a, news);
  if (news.duplicate || a->recovery != Recovery::none || news.newly_sacked != 0) detect_loss(t, *a, news);
  tell_writer(t);
  if (t.unsent() != 0 || a->ranges.lost != a->ranges.resent || h.flags.any(Flag::resend_head, Flag::fin_lost) ||
      (h.has(Flag::fin_queued) && !h.has(Flag::fin_sent))) {
    mark_dirty(t);
  } else if (h.link == kUnlinked && s.length == 0) {
    release_if_quiet(t);  // text that comes with it would need the block at once
  }
}

// on_ack for most acknowledgements: of all that is in flight, which left in one piece and once, while nothing is in
// doubt. What the general way finds out bit by bit is known then. False: nothing was done.
bool on_usual_ack(Tcb& t, Active& a, const Segment& s) {
  Hot& h = t.hot;
  RangePool& ranges = t.tables().ranges;
  if (s.ack != h.snd_nxt || !ranges.plain(a.ranges) || !a.congestion_ready || a.recovery != Recovery::none)
    return false;
  if (h.flags.any(Flag::fin_queued, Flag::persist, Flag::soft_error, Flag::keep_alive, Flag::write_blocked,
                  Flag::resend_head, Flag::copies_out))
    return false;
  Core& core = t.core;
  Cold& cold = t.cold;
  const std::uint32_t n = s.ack - h.snd_una;
  const std::uint32_t rtt_us = std::max<std::uint32_t>(1, us_now(core) - ranges.acked_plain(a.ranges, s.ack));
  a.send.consume(core.pool, n);
  a.delivered += n;
  a.dup_acks = 0;
  a.stalled_since = tick_now(core);
  cold.retries = 0;
  if (s.ack.value() < h.snd_una.value()) ++cold.una_wraps;
  h.snd_una = s.ack;
  h.flags.clear(Flag::rtx_running);
  t.cold.rtt.sample(rtt_us);
  if (cold.min_rtt_us == 0 || rtt_us < cold.min_rtt_us) cold.min_rtt_us = rtt_us;
  confirm_path(t, &a);
  update_window(t, s);
  grow_window(t, a, {.acked = n, .payload = n, .delivered = n, .flight_before = n, .rtt_us = rtt_us});
  if (!a.send.empty()) {
    mark_dirty(t);
    return true;
  }
  all_delivered(t, a);
  if (s.length == 0 && h.link == kUnlinked) release_if_quiet(t);
  return true;
}

void on_retransmission_timeout(Tcb& t, Active* a) {
  Hot& h = t.hot;
  t.core.counters.add(Counter::tcp_timeouts);
  if (h.has(Flag::fin_sent)) h.flags.set(Flag::fin_lost);
  if (a != nullptr && a->ranges.count != 0) {
    State& tables = t.tables();
    const Range* first = tables.ranges.first(a->ranges);
    // RFC 5681 3.1: ssthresh falls once for a segment, however often it times out.
    if (t.cold.retries == 1) {
      a->before = t.cold.window;
      prepare_congestion(t, *a);
      t.congestion().on_timeout(a->congestion, t.cold.window, loss_event(t, h.in_flight()));
    }
    t.cold.window.cwnd = h.mss;
    // RFC 6675 5.1: SACK information stays, but where the receiver has taken it back (RFC 2018 8).
    tables.ranges.mark_all_lost(a->ranges, first->sacked);
    a->recovery = Recovery::timeout;
    a->recover = h.snd_nxt;
    a->dup_acks = 0;
    h.flags.set(Flag::resend_head);
  }
  t.cold.rtt.back_off();  // RFC 6298 5.5, of a lone FIN too
  mark_dirty(t);
}

}  // namespace leat::tcp
