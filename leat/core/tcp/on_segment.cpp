// The way in: a burst of segments is parsed, looked up and processed in stages, so that the memory accesses of one
// overlap with the work on others; then the spine of RFC 9293 3.10.7: header prediction first, else the checks of the
// state. What a check wants done about the segment is done here.

#include <leat/core/tcp/machine.hpp>
#include <leat/core/tcp/tcp.hpp>
#include <leat/offload/checksum_completion.hpp>

namespace leat::tcp {
namespace {

constexpr std::size_t kStage = 16;  // segments in the air at once

// True: `s` is a whole segment with a right checksum. Else its packet is gone.
bool parse(Core& core, TransportInput& in, Segment& s) {
  Packet& p = in.packet;
  const std::uint32_t at = p.meta().l4_offset;
  const std::uint32_t size = p.size();
  if (p.head().size() < at + wire::TcpHeader::kMaxLength && p.head().size() < size)
    (void)p.pull(std::min<std::uint32_t>(size, at + wire::TcpHeader::kMaxLength));
  const ByteSpan head = p.head();
  if (size < at || head.size() < at) {
    core.drop(std::move(p), DropReason::tcp_malformed);
    return false;
  }
  const auto view = wire::TcpView::parse(head.subspan(at), size - at);
  if (!view) {
    core.drop(std::move(p), DropReason::tcp_malformed);
    return false;
  }
  if (!checksum_trusted(p.meta().checksum)) {
    const Sum pseudo = pseudo_header_sum(in.source, in.destination, 6, size - at);
    if (checksum_finish(checksum_packet(pseudo, p, at, size - at)) != 0) {
      core.drop(std::move(p), DropReason::tcp_bad_checksum);
      return false;
    }
  }
  // Row T1: TCP is spoken between two hosts, from port to port (RFC 9293 3.9.2.3, RFC 1122 4.2.3.10).
  if (in.cast != IpCast::unicast || view->source_port() == Port{} || view->destination_port() == Port{}) {
    core.drop(std::move(p), DropReason::tcp_bad_address);
    return false;
  }
  s.in = &in;
  s.seq = view->seq();
  s.ack = view->ack();
  s.flags = view->flags();
  s.window = view->window();
  s.header_length = static_cast<std::uint8_t>(view->header_length());
  s.length = static_cast<std::uint32_t>(view->payload_length());
  const ByteSpan options = view->options();
  s.timestamps = wire::fast_timestamps(options, s.ts_value, s.ts_echo);
  s.fast_options = s.timestamps || options.empty();
  return true;
}

bool matches(const State& s, FlowValue v, const FlowKey& key) {
  switch (v.kind()) {
    case FlowKind::connection:
      return s.hot[v.index()].key == key;
    case FlowKind::time_wait:
      return s.time_wait[v.index()].matches(key);
    case FlowKind::syn_record:
      return s.syn_cache[v.index()].matches(key);
    case FlowKind::none:
      break;
  }
  return false;
}

FlowValue find(const State& s, FlowHash hash, const FlowKey& key) {
  return s.flows.find(hash, [&](FlowValue v) { return matches(s, v, key); });
}

void prefetch(const State& s, FlowHash hash) {
  // Whose slot it is is known only by its key, so this compares hashes alone and may bring a stranger's lines.
  const FlowValue v = s.flows.find(hash, [](FlowValue) { return true; });
  if (v.kind() != FlowKind::connection) return;
  const auto* hot = static_cast<const char*>(static_cast<const void*>(&s.hot[v.index()]));
  __builtin_prefetch(hot, 1);
  __builtin_prefetch(hot + 64, 1);
  __builtin_prefetch(&s.cold[v.index()], 1);
}

void dispatch(Core& core, FlowValue v, Segment& s) {
  core.counters.add(Counter::tcp_segments_in);
  switch (v.kind()) {
    case FlowKind::connection: {
      Tcb t{core, v.index()};
      on_segment(t, s);
      break;
    }
    case FlowKind::time_wait:
      input_time_wait(core, v.index(), s);
      break;
    case FlowKind::syn_record:
      input_syn_record(core, v.index(), s);
      break;
    case FlowKind::none:
      if (const Index listener = find_listener(core, s); listener != kNoIndex) {
        input_listen(core, listener, s, {}, false);
      } else {
        input_closed(core, s);
      }
      break;
  }
  s.in->packet.reset();
}

void input_stage(Core& core, std::span<TransportInput> burst) {
  State& state = core.tcp;
  RawArray<Segment, kStage> segment_memory;  // made one by one: a burst is often a single segment
  RawArray<FlowKey, kStage> key_memory;
  RawArray<FlowValue, kStage> value_memory;
  const std::span<Segment> segments = segment_memory.span();
  const std::span<FlowKey> keys = key_memory.span();
  const std::span<FlowValue> values = value_memory.span();
  std::size_t n = 0;
  for (TransportInput& in : burst) {
    Segment& s = *std::construct_at(&segments[n]);
    if (!parse(core, in, s)) continue;
    std::construct_at(&keys[n], s.key(core.scope));
    s.hash = state.flows.hash(keys[n]);
    state.flows.prefetch(s.hash);
    ++n;
  }
  if (n > 1) {
    for (std::size_t i = 0; i < n; ++i) prefetch(state, segments[i].hash);
  }
  const std::uint32_t epoch = state.flows.epoch();
  for (std::size_t i = 0; i < n; ++i) {
    std::construct_at(&values[i], find(state, segments[i].hash, keys[i]));
    if (n == 1 || values[i].kind() != FlowKind::connection) continue;
    const Hot& h = state.hot[values[i].index()];
    if (!h.has(Flag::in_accept_queue) && h.socket != kNoIndex) __builtin_prefetch(&core.sockets[h.socket], 1);
    if (h.active != kNoIndex) __builtin_prefetch(&state.active[h.active], 1);
  }
  for (std::size_t i = 0; i < n; ++i) {
    // An earlier segment of the burst may have opened or ended connections.
    if (state.flows.epoch() != epoch) values[i] = find(state, segments[i].hash, keys[i]);
    dispatch(core, values[i], segments[i]);
  }
}

// RFC 1323-style header prediction: in ESTABLISHED, the next octets in order, or an acknowledgement of new data, or
// both, and nothing unusual. False: nothing was done.
bool predicted(Tcb& t, Segment& s) {
  using wire::TcpFlag;
  Hot& h = t.hot;
  constexpr wire::TcpFlags kLooked = TcpFlag::fin | TcpFlag::syn | TcpFlag::rst | TcpFlag::urg | TcpFlag::ack;
  if (h.state != TcpState::established || s.flags.only(kLooked) != wire::TcpFlags{TcpFlag::ack}) return false;
  if (s.seq != h.rcv_nxt || !s.fast_options || s.timestamps != h.has(Flag::timestamps)) return false;
  if (s.timestamps && static_cast<std::int32_t>(s.ts_value - h.ts_recent) < 0) return false;
  const std::uint32_t acked = s.ack - h.snd_una;
  if (acked > h.in_flight() || (acked == 0 && s.length == 0)) return false;
  if (s.length > h.receive_window() || h.flags.any(Flag::reader_gone, Flag::orphan, Flag::fin_ahead)) return false;
  if (const Active* a = t.active();
      a != nullptr && (a->ooo.count != 0 || a->recovery != Recovery::none || a->dup_acks != 0))
    return false;
  t.core.counters.add(Counter::tcp_header_predicted);
  ++t.cold.segments_in;
  t.cold.last_rx_ms = ms_now(t.core);
  record_timestamp(t, s);
  if (acked != 0) {
    on_ack(t, s, nullptr);
  } else {
    update_window(t, s);
  }
  if (s.length != 0) {
    carry_out(t, s, take_text(t, s));
  } else {
    s.in->packet.reset();
  }
  return true;
}

}  // namespace

void input(Core& core, std::span<TransportInput> burst) {
  for (std::size_t i = 0; i < burst.size(); i += kStage)
    input_stage(core, burst.subspan(i, std::min(kStage, burst.size() - i)));
}

wire::TcpOptions parse_options(const Segment& s) {
  return wire::TcpOptions::parse(s.option_bytes());
}

void on_segment(Tcb& t, Segment& s) {
  if (predicted(t, s)) return;
  ++t.cold.segments_in;
  if (t.hot.state == TcpState::syn_sent) {
    input_syn_sent(t, s);
  } else {
    input_synchronized(t, s);
  }
}

void carry_out(Tcb& t, Segment& s, Disposition d) {
  switch (d.then) {
    case Then::go_on:
      s.in->packet.reset();
      return;
    case Then::drop:
      break;
    case Then::ack:
      ack_soon(t);
      break;
    case Then::challenge:
      if (!may_challenge(t)) {
        d.reason = DropReason::tcp_challenge_limited;
        break;
      }
      t.core.counters.add(Counter::tcp_challenge_acks);
      ack_soon(t);
      break;
    case Then::reset:
      send_reset_for(t.core, s);
      break;
    case Then::finished:
      s.in->packet.reset();
      return;
  }
  if (s.in->packet) t.core.drop(std::move(s.in->packet), d.reason);
}

}  // namespace leat::tcp
