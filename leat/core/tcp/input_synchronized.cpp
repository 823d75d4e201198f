// RFC 9293 3.10.7.4: segments that arrive in SYN-RECEIVED and later. One function for each of the eight checks, in the
// RFC's order; each returns what to do, and the end of this file does it.

#include <leat/core/tcp/machine.hpp>

namespace leat::tcp {
namespace {

using wire::TcpFlag;

constexpr std::uint32_t kPawsIdleMs = 24U * 24 * 3600 * 1000;  // RFC 7323 5.5

struct Arrival {
  Tcb& t;
  Segment& s;
  wire::TcpOptions options;
};

// --- First: sequence number ----------------------------------------------------------------------------------------

// RFC 7323 5.3: PAWS. A segment with a timestamp older than the last one in order is an old duplicate.
Disposition check_timestamp(Arrival& a) {
  Tcb& t = a.t;
  Segment& s = a.s;
  if (!t.hot.has(Flag::timestamps) || s.flags.rst()) return go_on();  // RFC 7323 5.2: RSTs are not subject to it
  if (!s.timestamps) {
    // RFC 7323 3.2 has such a segment dropped; peers exist that leave it out, so this is an option (attack row T12).
    if (t.options().on(OptionId::tcp_require_timestamps)) return drop(DropReason::tcp_missing_timestamp);
    return go_on();
  }
  if (static_cast<std::int32_t>(s.ts_value - t.hot.ts_recent) >= 0) return go_on();
  if (ms_now(t.core) - t.hot.last_rx_ms > kPawsIdleMs) {
    t.hot.ts_recent = s.ts_value;  // RFC 7323 5.5: after 24 days the value says nothing
    return go_on();
  }
  return s.length == 0 ? challenge_and_drop(DropReason::tcp_paws) : ack_and_drop(DropReason::tcp_paws);
}

// The segment repeats what we have: its ACK tells the peer (RFC 9293 3.10.7.4), with a DSACK where that is agreed on.
void note_duplicate(Tcb& t, SeqNum from, SeqNum to) {
  if (!t.hot.has(Flag::sack) || !t.options().on(OptionId::tcp_dsack) || !(from < to)) return;
  if (acquire_active(t)) t.active()->report_twice({from, to});
}

Disposition unacceptable(Arrival& a) {
  Segment& s = a.s;
  if (s.flags.rst()) return drop(DropReason::tcp_rst_rejected);
  // RFC 5961 4: a SYN outside of the window is answered like one inside.
  if (s.flags.syn()) return challenge_and_drop(DropReason::tcp_not_acceptable);
  const SeqNum next = a.t.hot.rcv_nxt;
  const bool old = s.end() <= next;
  // Row D9: a keep-alive or window probe stands at RCV.NXT - 1 and always gets its answer; so does payload sent again.
  // An ACK far away could come from a peer that has lost its state, and two such must not answer each other for ever.
  if (s.length == 0 && !s.flags.fin() && s.seq != next - 1) return challenge_and_drop(DropReason::tcp_not_acceptable);
  if (old && s.length > 0) {
    const SeqNum from = s.seq;
    note_duplicate(a.t, from, s.seq + s.length);
    return ack_and_drop(DropReason::tcp_duplicate);
  }
  return ack_and_drop(DropReason::tcp_not_acceptable);
}

// What came last, again: its payload and FIN say nothing, but it may bring an ACK that is news, and a window with it.
// RFC 9293 3.10.7.4: exception: the whole segment is dropped there; Linux and FreeBSD go on to the ACK, which may be
// the only one of our FIN. Without news it may be a copy that the network made: its window is an old one (row D10).
bool take_repeated(Arrival& a) {
  Hot& h = a.t.hot;
  Segment& s = a.s;
  if (s.flags.rst() || s.flags.syn() || s.sequence_length() == 0 || !s.flags.ack() || s.ack <= h.snd_una) return false;
  if (h.rcv_nxt < s.end() || s.end() < h.last_ack_sent) return false;
  note_duplicate(a.t, s.seq, s.seq + s.length);
  a.t.core.counters.add(DropReason::tcp_duplicate);
  ack_soon(a.t);
  s.trim_front(s.length);
  s.flags = s.flags.without(TcpFlag::fin);
  s.seq = h.rcv_nxt;
  return true;
}

// Cuts the segment to the window (RFC 9293 3.10.7.4: "segments ... should be trimmed").
void trim(Arrival& a) {
  Hot& h = a.t.hot;
  Segment& s = a.s;
  if (s.seq < h.rcv_nxt) {
    const std::uint32_t old = h.rcv_nxt - s.seq;
    if (s.length > 0) note_duplicate(a.t, s.seq, s.seq + std::min(old, s.length));
    s.trim_front(std::min(old, s.length));
  }
  const std::uint32_t room = h.rcv_adv - s.seq;  // seq <= rcv_adv
  if (s.sequence_length() > room) {
    // Row D2: a FIN beyond the right edge is not there.
    s.flags = s.flags.without(TcpFlag::fin);
    s.length = std::min(s.length, room);
    ack_soon(a.t);
  }
}

Disposition check_sequence(Arrival& a) {
  Hot& h = a.t.hot;
  Segment& s = a.s;
  if (const Disposition d = check_timestamp(a); d.then != Then::go_on) return d;
  if (h.state == TcpState::syn_received && s.flags.syn() && s.seq == a.t.cold.irs) {
    // The peer's SYN again, or its SYN-ACK in a simultaneous open: RFC 9293 3.10.7.4 trims the SYN, which would leave
    // an old segment; the acknowledgement in it counts.
    if (!s.flags.ack()) {
      h.flags.set(Flag::send_syn);
      mark_dirty(a.t);
      return drop(DropReason::tcp_duplicate);
    }
    s.seq += 1;
    s.flags = s.flags.without(TcpFlag::syn);
  }
  const std::uint32_t window = h.receive_window();
  const std::uint32_t n = s.sequence_length();
  // The four cases of RFC 9293 3.10.7.4, table 6, with two exceptions: a segment without payload right at the right
  // edge is good (the peer has filled the window and acknowledges), and to a closed window the acknowledgement of a
  // probe at RCV.NXT is good, its payload not ("special allowance ... to accept valid ACKs").
  bool good = false;
  if (n == 0) {
    good = s.seq == h.rcv_nxt || s.seq - h.rcv_nxt <= window;
  } else if (window == 0) {
    if (s.seq == h.rcv_nxt && !s.flags.syn() && !s.flags.rst()) {
      good = true;
      ack_soon(a.t);
    }
  } else {
    good = s.seq.in_window(h.rcv_nxt, window) || (s.end() - 1).in_window(h.rcv_nxt, window) ||
           (s.seq < h.rcv_nxt && h.rcv_adv <= s.end());
  }
  if (!good && !take_repeated(a)) return unacceptable(a);
  // RFC 5961 3.2 and 4.2: a RST and a SYN are judged by the number that they came with: were one cut that reaches over
  // RCV.NXT, it would stand right there.
  if (!s.flags.rst() && !s.flags.syn()) trim(a);
  heard_now(a.t);
  return go_on();
}

// --- Second: RST -----------------------------------------------------------------------------------------------------

Disposition check_rst(Arrival& a) {
  Tcb& t = a.t;
  if (!a.s.flags.rst()) return go_on();
  // RFC 5961 3.2: only a RST exactly at RCV.NXT is believed; one in the window is answered, so that a peer that is
  // really gone sends the exact one.
  if (a.s.seq != t.hot.rcv_nxt) return challenge_and_drop(DropReason::tcp_rst_rejected);
  t.core.counters.add(Counter::tcp_resets_received);
  switch (t.hot.state) {
    case TcpState::syn_received:
      finish(t, TcpEvent::rst, Errc::connection_refused);
      break;
    case TcpState::time_wait:
      finish(t, TcpEvent::rst, Errc{});
      break;
    case TcpState::established:
    case TcpState::fin_wait_1:
    case TcpState::fin_wait_2:
    case TcpState::closing:
    case TcpState::last_ack:
    case TcpState::close_wait:  // row C10: after the peer's FIN too, everybody learns that it was no orderly end
      // Who has read the peer's end and goes on writing has a broken pipe, as on Linux.
      finish(t, TcpEvent::rst, t.hot.state == TcpState::close_wait ? Errc::broken_pipe : Errc::connection_reset);
      break;
    case TcpState::closed:
    case TcpState::listen:
    case TcpState::syn_sent:
      break;
  }
  return finished();
}

// --- Third: security -------------------------------------------------------------------------------------------------

// RFC 9293 3.10.7.4 third: security compartments and TCP-AO (RFC 5925) are checked here by who implements them; without
// them every segment passes.
Disposition check_security(Arrival&) {
  return go_on();
}

// --- Fourth: SYN -----------------------------------------------------------------------------------------------------

// RFC 5961 4.2: whatever its sequence number, a SYN is answered by a challenge ACK and changes nothing (row C2).
Disposition check_syn(Arrival& a) {
  if (!a.s.flags.syn()) return go_on();
  return challenge_and_drop(DropReason::tcp_bad_state);
}

// --- Fifth: ACK ------------------------------------------------------------------------------------------------------

// In SYN-RECEIVED only an ACK of our SYN counts; anything else belongs to an old connection.
Disposition check_ack_of_syn(Arrival& a) {
  Tcb& t = a.t;
  const Hot& h = t.hot;
  if (!(h.snd_una < a.s.ack && a.s.ack <= h.snd_nxt)) return reset_and_drop(DropReason::tcp_bad_ack);
  happened(t, TcpEvent::ack_of_syn);
  if (!h.has(Flag::passive)) t.core.counters.add(Counter::tcp_active_opens);
  stop_rtx(t);
  established(t);
  if (h.has(Flag::fin_queued)) {  // the user has closed in the meantime
    happened(t, TcpEvent::close);
    mark_dirty(t);
  }
  return go_on();
}

Disposition check_ack(Arrival& a) {
  Tcb& t = a.t;
  Hot& h = t.hot;
  const Segment& s = a.s;
  if (!s.flags.ack()) return drop(DropReason::tcp_bad_state);
  if (h.state == TcpState::syn_received)
    if (const Disposition d = check_ack_of_syn(a); d.then != Then::go_on) return d;
  // Row D1: what was never sent can't be acknowledged (RFC 9293 3.10.7.4), and nothing is older than the largest window
  // (RFC 5961 5.2).
  if (h.snd_nxt < s.ack) return challenge_and_drop(DropReason::tcp_bad_ack);
  if (s.ack < h.snd_una - t.max_window()) return challenge_and_drop(DropReason::tcp_bad_ack);

  // Not before: TS.Recent from a segment with an impossible acknowledgement would have PAWS turn the peer's away.
  if (s.timestamps && h.has(Flag::timestamps)) record_timestamp(t, s);
  on_ack(t, s, &a.options);

  if (!h.has(Flag::fin_sent) || h.snd_una != h.snd_nxt) return go_on();
  switch (h.state) {  // our FIN is acknowledged
    case TcpState::fin_wait_1:
      happened(t, TcpEvent::ack_of_fin);
      // RFC 9293 3.6.1 has no limit here; without a reader the peer could hold the connection for ever (row C5).
      if (h.has(Flag::orphan)) start_rtx_in(t, t.option(OptionId::tcp_fin_timeout));
      t.notify(Ready::writable);
      break;
    case TcpState::closing:
      happened(t, TcpEvent::ack_of_fin);
      enter_time_wait(t);
      return finished();
    case TcpState::last_ack:
      finish(t, TcpEvent::ack_of_fin, Errc{});
      return finished();
    case TcpState::closed:
    case TcpState::listen:
    case TcpState::syn_sent:
    case TcpState::syn_received:
    case TcpState::established:
    case TcpState::fin_wait_2:
    case TcpState::close_wait:
    case TcpState::time_wait:
      break;
  }
  return go_on();
}

// --- Sixth: URG ------------------------------------------------------------------------------------------------------

// RFC 9293 3.8.5 and RFC 6093: exception: urgent data is delivered in line like all other; the pointer is not looked
// at, so that no value of it can index anything (row D23).
Disposition check_urgent(Arrival&) {
  return go_on();
}

// --- Seventh and eighth: text and FIN
// ----------------------------------------------------------------------------------

Disposition check_text(Arrival& a) {
  return take_text(a.t, a.s);
}
Disposition check_fin(Arrival& a) {
  return take_fin(a.t, a.s);
}

}  // namespace

namespace {

// All of them, until one decides.
Disposition check(Arrival& a) {
  Disposition d = check_sequence(a);
  if (d.then == Then::go_on) d = check_rst(a);
  if (d.then == Then::go_on) d = check_security(a);
  if (d.then == Then::go_on) d = check_syn(a);
  if (d.then == Then::go_on) d = check_ack(a);
  if (d.then == Then::go_on) d = check_urgent(a);
  if (d.then == Then::go_on) d = check_text(a);
  if (d.then == Then::go_on) d = check_fin(a);
  return d;
}

}  // namespace

void input_synchronized(Tcb& t, Segment& s) {
  Arrival a{t, s, {}};
  if (!s.fast_options) {
    a.options = parse_options(s);
    if (a.options.timestamps) {
      s.timestamps = true;
      s.ts_value = a.options.timestamps->value;
      s.ts_echo = a.options.timestamps->echo;
    }
  }
  // FreeBSD's drop_synfin: no honest segment carries both.
  if (s.flags.syn() && s.flags.fin() && t.core.options.on(OptionId::tcp_drop_synfin))
    return carry_out(t, s, drop(DropReason::tcp_bad_state));
  carry_out(t, s, check(a));
}

}  // namespace leat::tcp
