// Segments for a listener, for a half-open connection, for one in TIME-WAIT, and for nobody: RFC 9293 3.10.7.1,
// 3.10.7.2, and the parts of 3.10.7.4 for states that have no control block.

#include <leat/core/tcp/machine.hpp>

namespace leat::tcp {
namespace {

using wire::TcpFlag;

void refuse(Core& core, Segment& s, DropReason reason) {
  core.drop(std::move(s.in->packet), reason);
}
void refuse_with_reset(Core& core, Segment& s, DropReason reason) {
  send_reset_for(core, s);
  refuse(core, s, reason);
}

const OptionValues& options_of_listener(const Core& core, const Listener& l) {
  return core.options_of(core.sockets[l.socket]);
}

// Row T1: whom nobody may answer. A segment from ourselves to the same port is the "land" attack.
bool may_answer(Core& core, const Segment& s) {
  const FlowKey key = s.key(core.scope);
  if (key.local == key.remote && key.local_port == key.remote_port) return false;
  return s.in->interface == kNoInterface || ip::is_unicast_peer(core, s.in->source, s.in->interface);
}

// The connection is made: into the accept queue, and the segment goes on as in ESTABLISHED. False: nothing was done.
bool open_accepted(Core& core, Index listener, const Opened& o, FlowValue record, Segment& s) {
  State& state = core.tcp;
  const Index i = make_accepted(core, listener, o);
  if (i == kNoIndex) return false;
  Tcb t{core, i};
  const FlowValue mine{FlowKind::connection, i};
  if (record) {
    const bool replaced = state.flows.replace(s.hash, record, mine);
    LEAT_ASSERT(replaced);
    --state.listeners[listener].half_open;
    state.syn_cache.remove(record.index());
  } else if (!state.flows.insert(s.hash, mine)) {
    destroy(t);
    return false;
  }
  attached(t);
  const bool queued = enqueue_accepted(core, listener, i);
  LEAT_ASSERT(queued);
  on_segment(t, s);
  // The ACK was checked against the record; what else the segment had may have been refused.
  if (t.hot.state == TcpState::syn_received) {
    t.hot.snd_una = o.iss + 1;
    happened(t, TcpEvent::ack_of_syn);
    established(t);
  }
  return true;
}

// Row T2: a SYN makes a record, or when there is no room for one a cookie.
void take_syn(Core& core, Index listener, Segment& s, SeqNum least_iss, bool has_least_iss) {
  State& state = core.tcp;
  Listener& l = state.listeners[listener];
  const OptionValues& o = options_of_listener(core, l);
  const wire::TcpOptions options = parse_options(s);
  const std::int64_t cookies = core.options.get(OptionId::tcp_syncookies);
  if (cookies == 2) {
    send_cookie(core, listener, s, options);
    return s.in->packet.reset();
  }
  SynInfo i{.key = s.key(core.scope), .irs = s.seq, .listener = listener};
  const TupleOffsets offsets = tuple_offsets(core.keys.tuples, i.key);
  i.iss = choose_iss(core, offsets);
  if (has_least_iss && i.iss < least_iss) i.iss = least_iss;
  i.mss = options.mss.value_or(i.key.remote.is_v4() ? 536 : 1220);
  if (options.window_scale && o.on(OptionId::tcp_window_scaling)) i.wscale = *options.window_scale;
  i.sack = options.sack_permitted && core.modules.sack != nullptr && o.on(OptionId::tcp_sack);
  i.timestamps = options.timestamps.has_value() && o.on(OptionId::tcp_timestamps);
  if (i.timestamps) i.ts_recent = options.timestamps->value;
  state.syn_cache.set_schedule({.rto = Duration::us(o.get(OptionId::tcp_rto_initial)),
                                .max_rto = Duration::us(o.get(OptionId::tcp_rto_max)),
                                .retries = static_cast<unsigned>(o.get(OptionId::tcp_synack_retries))});
  const Index record = state.syn_cache.insert(i, core.now);
  if (record == kNoIndex) {
    if (cookies == 0) return refuse(core, s, DropReason::tcp_syn_table_full);
    send_cookie(core, listener, s, options);
    return s.in->packet.reset();
  }
  if (!state.flows.insert(s.hash, {FlowKind::syn_record, record})) {
    state.syn_cache.remove(record);
    return refuse(core, s, DropReason::tcp_syn_table_full);
  }
  ++l.half_open;
  // RFC 9293 3.10.7.2 would keep data of the SYN for later; it is sent again (RFC 9293 3.10.7.2: exception), which
  // costs a round trip to who sends some without Fast Open.
  // Whom nobody can answer takes no place from others.
  if (!send_syn_ack(core, i, offsets.timestamp)) drop_syn_record(core, record);
  s.in->packet.reset();
}

// An ACK to a listener: the last part of a handshake by cookie, or a stray.
void take_cookie(Core& core, Index listener, Segment& s) {
  State& state = core.tcp;
  const Listener& l = state.listeners[listener];
  const FlowKey key = s.key(core.scope);
  if (core.options.get(OptionId::tcp_syncookies) == 0) return refuse_with_reset(core, s, DropReason::tcp_no_connection);
  const auto mss = state.cookies.check(key, s.seq - 1, s.ack - 1, core.now);
  if (!mss) return refuse_with_reset(core, s, DropReason::tcp_bad_cookie);
  if (l.queue.full()) return refuse(core, s, DropReason::tcp_listen_overflow);
  Opened o{.key = key, .irs = s.seq - 1, .iss = s.ack - 1, .mss = *mss};
  if (s.timestamps && options_of_listener(core, l).on(OptionId::tcp_timestamps)) {
    const CookieOptions kept = cookie_options(s.ts_echo);
    o.wscale = kept.wscale;
    o.sack = kept.sack;
    o.timestamps = true;
    o.ts_recent = s.ts_value;
  }
  if (!open_accepted(core, listener, o, {}, s)) return refuse(core, s, DropReason::tcp_listen_overflow);
  core.counters.add(Counter::tcp_cookies_accepted);
}

}  // namespace

void input_closed(Core& core, Segment& s) {
  // RFC 9293 3.10.7.1; row T1 for what must not be answered.
  if (!may_answer(core, s)) return refuse(core, s, DropReason::tcp_bad_address);
  refuse_with_reset(core, s, DropReason::tcp_no_connection);
}

void input_listen(Core& core, Index listener, Segment& s, SeqNum least_iss, bool has_least_iss) {
  if (!may_answer(core, s)) return refuse(core, s, DropReason::tcp_bad_address);
  if (s.flags.rst()) return refuse(core, s, DropReason::tcp_bad_state);  // first
  if (!s.fast_options && s.flags.ack()) {
    const wire::TcpOptions o = parse_options(s);
    if (o.timestamps) {
      s.timestamps = true;
      s.ts_value = o.timestamps->value;
      s.ts_echo = o.timestamps->echo;
    }
  }
  if (s.flags.ack()) {  // second
    if (s.flags.syn()) return refuse_with_reset(core, s, DropReason::tcp_bad_state);
    return take_cookie(core, listener, s);
  }
  if (!s.flags.syn()) return refuse(core, s, DropReason::tcp_bad_state);  // fourth
  if (s.flags.fin() && core.options.on(OptionId::tcp_drop_synfin)) return refuse(core, s, DropReason::tcp_bad_state);
  // Row T6: with a full accept queue a handshake could only end in a connection that nobody takes.
  if (core.tcp.listeners[listener].queue.full()) return refuse(core, s, DropReason::tcp_listen_overflow);
  take_syn(core, listener, s, least_iss, has_least_iss);
}

bool is_deferred(const Core& core, Index record) {
  const SynRecord& r = core.tcp.syn_cache[record];
  const OptionValues& o = options_of_listener(core, core.tcp.listeners[r.listener()]);
  std::int64_t waited = 0;
  for (unsigned n = 0; n < r.retries(); ++n) waited += o.get(OptionId::tcp_rto_initial) << n;
  return waited < o.get(OptionId::tcp_defer_accept);
}

void input_syn_record(Core& core, Index record, Segment& s) {
  State& state = core.tcp;
  const SynInfo i = state.syn_cache[record].info();
  const Index listener = i.listener;
  const OptionValues& o = options_of_listener(core, state.listeners[listener]);
  const std::uint32_t window = std::min<std::uint32_t>(largest_window(o), 0xffff);
  const auto challenge = [&](DropReason reason) {
    // RFC 5961 3 and 4: what the record expects; its timer limits nothing, so the stack's ICMP-like budget does not
    // apply here: one answer for one segment.
    Bare b{.key = i.key, .seq = i.iss + 1, .ack = i.irs + 1, .flags = TcpFlag::ack};
    b.take(o);
    b.window = static_cast<std::uint16_t>(window);
    if (i.timestamps) b.options.timestamps = {timestamp_now(core, timestamp_offset_of(core, i.key)), i.ts_recent};
    if (send_bare(core, b)) core.counters.add(Counter::tcp_challenge_acks);
    refuse(core, s, reason);
  };
  if (s.flags.rst()) {
    // Row T4: exactly the next number frees the slot (RFC 5961 3.2).
    if (s.seq == i.irs + 1) {
      core.counters.add(Counter::tcp_resets_received);
      drop_syn_record(core, record);
      return s.in->packet.reset();
    }
    if (s.seq.in_window(i.irs + 1, window)) return challenge(DropReason::tcp_rst_rejected);
    return refuse(core, s, DropReason::tcp_rst_rejected);
  }
  if (s.flags.syn()) {
    // Row T3: the same SYN again, or another one, which changes nothing (RFC 5961 4).
    if (s.seq != i.irs || s.flags.ack()) return challenge(DropReason::tcp_bad_state);
    // RFC 7323 4.3: the newest timestamp is echoed, so that the peer measures the last round trip, not the first.
    if (const wire::TcpOptions options = parse_options(s); i.timestamps && options.timestamps)
      if (static_cast<std::int32_t>(options.timestamps->value - i.ts_recent) > 0)
        state.syn_cache[record].set_ts_recent(options.timestamps->value);
    state.syn_cache[record].forget_sent();
    send_syn_ack(core, record);
    state.syn_cache.restart(record, core.now);
    return refuse(core, s, DropReason::tcp_duplicate);
  }
  if (!s.flags.ack()) return refuse(core, s, DropReason::tcp_bad_state);
  if (!s.fast_options) {
    const wire::TcpOptions options = parse_options(s);
    if (options.timestamps) {
      s.timestamps = true;
      s.ts_value = options.timestamps->value;
      s.ts_echo = options.timestamps->echo;
    }
  }
  if (s.ack != i.iss + 1) return refuse_with_reset(core, s, DropReason::tcp_bad_ack);
  state.syn_cache[record].forget_sent();  // what comes after an answer that changes nothing tells no round trip
  if (s.seq - (i.irs + 1) > window) return challenge(DropReason::tcp_not_acceptable);
  if (i.timestamps && s.timestamps && static_cast<std::int32_t>(s.ts_value - i.ts_recent) < 0)
    return challenge(DropReason::tcp_paws);
  const Listener& l = state.listeners[listener];
  if (l.queue.full()) return refuse(core, s, DropReason::tcp_listen_overflow);  // row T6: the record stays
  // Linux TCP_DEFER_ACCEPT: a bare ACK waits for data; after so many SYN-ACKs the connection is accepted as it is.
  if (s.length == 0 && !s.flags.fin() && is_deferred(core, record)) {
    state.syn_cache[record].set_acknowledged();
    return refuse(core, s, DropReason::tcp_bad_state);
  }
  const Opened opened{.key = i.key,
                      .irs = i.irs,
                      .iss = i.iss,
                      .mss = i.mss,
                      .wscale = i.wscale,
                      .sack = i.sack,
                      .timestamps = i.timestamps,
                      .ts_recent = i.ts_recent,
                      .sent_us = i.sent_us,
                      .resent = state.syn_cache[record].retries() > 0};
  if (!open_accepted(core, listener, opened, {FlowKind::syn_record, record}, s))
    refuse(core, s, DropReason::tcp_listen_overflow);
}

void input_time_wait(Core& core, Index record, Segment& s) {
  State& state = core.tcp;
  TimeWaitRecord& r = state.time_wait[record];
  if (!s.fast_options) {
    const wire::TcpOptions options = parse_options(s);
    s.timestamps = options.timestamps.has_value();
    if (s.timestamps) s.ts_value = options.timestamps->value;
  }
  const TimeWaitSegment segment{.seq = s.seq,
                                .ack = s.ack,
                                .payload = s.length,
                                .syn = s.flags.syn(),
                                .fin = s.flags.fin(),
                                .rst = s.flags.rst(),
                                .has_ack = s.flags.ack(),
                                .has_timestamp = s.timestamps,
                                .tsval = s.ts_value};
  const auto remove = [&] {
    state.flows.erase(s.hash, {FlowKind::time_wait, record});
    state.time_wait.remove(record);
  };
  const auto answer = [&] {
    Bare b{.key = r.key(), .seq = r.snd_nxt, .ack = r.rcv_nxt, .flags = TcpFlag::ack, .window = r.window_field()};
    if (r.timestamps()) b.options.timestamps = {timestamp_now(core, timestamp_offset_of(core, b.key)), r.ts_recent};
    send_bare(core, b);
  };
  switch (time_wait_verdict(r, segment, core.options.on(OptionId::tcp_rfc1337))) {
    case TimeWaitVerdict::ignore:
      break;
    case TimeWaitVerdict::re_ack:
      answer();
      break;
    case TimeWaitVerdict::re_ack_restart:
      answer();
      state.time_wait.restart(record, core.now, Duration::us(core.options.get(OptionId::tcp_time_wait)));
      break;
    case TimeWaitVerdict::reuse: {
      // RFC 6191, RFC 9293 3.6.1: a new incarnation, where somebody listens for it.
      const Index listener = find_listener(core, s);
      if (listener == kNoIndex) {
        answer();
        break;
      }
      const SeqNum least = reuse_iss(r, choose_iss(core, tuple_offsets(core.keys.tuples, r.key())));
      remove();
      core.counters.add(Counter::tcp_time_wait_recycled);
      return input_listen(core, listener, s, least, true);
    }
    case TimeWaitVerdict::end:
      remove();
      break;
  }
  refuse(core, s, DropReason::tcp_bad_state);
}

}  // namespace leat::tcp
