// RFC 9293 3.10.7.3: segments that arrive in SYN-SENT.

#include <leat/core/tcp/machine.hpp>

namespace leat::tcp {
namespace {

Disposition check_ack(const Tcb& t, const Segment& s) {
  if (!s.flags.ack()) return go_on();
  // First: an ACK that is not of our SYN. A cookie-less SYN without data was sent: only ISS + 1 fits.
  if (s.ack != t.hot.snd_nxt)
    return s.flags.rst() ? drop(DropReason::tcp_bad_ack) : reset_and_drop(DropReason::tcp_bad_ack);
  return go_on();
}

Disposition check_rst(Tcb& t, const Segment& s) {
  if (!s.flags.rst()) return go_on();
  // Second: RFC 5961 3.2: with an acceptable ACK it is the answer to our SYN; without one it is nobody's.
  if (!s.flags.ack()) return drop(DropReason::tcp_rst_rejected);
  t.core.counters.add(Counter::tcp_resets_received);
  finish(t, TcpEvent::rst, Errc::connection_refused);
  return finished();
}

// The SYN's round trip. RFC 6298 3 (Karn): only when it was sent once, or timestamps tell which copy was answered.
void sample_syn_rtt(Tcb& t, const wire::TcpOptions& o) {
  if (t.cold.retries == 0) {
    t.cold.rtt.sample(us_now(t.core) - t.cold.w_max);
  } else if (o.timestamps && t.hot.has(Flag::timestamps)) {
    // The echo may be of the first SYN, when the peer's answers were what was lost: then it says nothing (RFC
    // 6298 5.7).
    const std::uint32_t ms = timestamp_now(t) - o.timestamps->echo;
    if (ms < 3000) t.cold.rtt.sample(ms * 1000);
  }
  t.cold.min_rtt_us = t.cold.rtt.srtt_us();
}

}  // namespace

void input_syn_sent(Tcb& t, Segment& s) {
  if (const Disposition d = check_ack(t, s); d.then != Then::go_on) return carry_out(t, s, d);
  if (const Disposition d = check_rst(t, s); d.then != Then::go_on) return carry_out(t, s, d);
  // Third: security and precedence are not implemented (RFC 9293 3.10.7.3 has them for who does).
  if (!s.flags.syn()) return carry_out(t, s, drop(DropReason::tcp_bad_state));
  if (s.flags.fin() && t.core.options.on(OptionId::tcp_drop_synfin))
    return carry_out(t, s, drop(DropReason::tcp_bad_state));

  // Fourth: a SYN, with or without the ACK of ours.
  const wire::TcpOptions options = parse_options(s);
  learn_from_syn(t, s.seq, s.window, options);
  s.seq += 1;
  s.flags = s.flags.without(wire::TcpFlag::syn);
  stop_rtx(t);
  if (!s.flags.ack()) {
    // Simultaneous open (RFC 9293 3.5, figure 7): the SYN-ACK repeats our ISS.
    happened(t, TcpEvent::syn);
    if (t.cold.retries > 0) t.cold.rtt.syn_timed_out();  // RFC 6298 5.7
    t.cold.retries = 0;
    t.hot.flags.set(Flag::send_syn);
    start_rtx(t);
    mark_dirty(t);
    return carry_out(t, s, go_on());
  }
  sample_syn_rtt(t, options);
  t.hot.snd_una = s.ack;
  happened(t, TcpEvent::syn_ack);
  t.core.counters.add(Counter::tcp_active_opens);
  established(t);
  ack_soon(t);
  // What else the segment carries is taken as in ESTABLISHED.
  if (const Disposition d = take_text(t, s); d.then != Then::go_on) return carry_out(t, s, d);
  carry_out(t, s, take_fin(t, s));
}

}  // namespace leat::tcp
