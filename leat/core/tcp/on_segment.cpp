// The way in: a burst of segments is parsed, looked up and processed in stages, so that the memory accesses of one
// overlap with the work on others; then the spine of RFC 9293 3.10.7: header prediction first, else the checks of the
// state. What a check wants done about the segment is done here.

#include <leat/core/tcp/machine.hpp>
#include <leat/core/tcp/tcp.hpp>
#include <leat/offload/checksum_completion.hpp>

namespace leat::tcp {
namespace {

// The checksum over pseudo-header and segment. The addresses stand right before the segment wherever there are no IP
// options, so that one pass takes them along.
bool checksum_is_right(const TransportInput& in, const Packet& p, std::uint32_t at, std::uint32_t size) {
  const PacketMeta& m = p.meta();
  const std::uint32_t addresses = in.source.is_v4() ? 8 : 32;
  const bool plain = in.source.is_v4() ? at == wire::Ipv4Header::kLength : at == wire::Ipv6Header::kLength;
  if (!plain || m.fragment_count != 0) {
    const Sum pseudo = pseudo_header_sum(in.source, in.destination, 6, size - at);
    return checksum_finish(checksum_packet(pseudo, p, at, size - at)) == 0;
  }
  const Sum rest = checksum_fold(std::uint64_t{6} + (size - at));
  return checksum_finish(checksum_add(rest, {p.head().data() + at - addresses, size - at + addresses})) == 0;
}

// True: `s` is a whole segment with a right checksum. Else its packet is gone.
bool parse(Core& core, TransportInput& in, Segment& s) {
  Packet& p = in.packet;
  const PacketMeta& m = p.meta();
  const std::uint32_t at = m.l4_offset;
  const std::uint32_t size = m.length;
  if (m.head_length < size && m.head_length < at + wire::TcpHeader::kMaxLength)
    (void)p.pull(std::min<std::uint32_t>(size, at + wire::TcpHeader::kMaxLength));
  if (m.head_length < at + wire::TcpHeader::kLength) {
    core.drop(std::move(p), DropReason::tcp_malformed);
    return false;
  }
  const std::uint8_t* const h = p.head().data() + at;
  const std::uint32_t ports = load_be32(h);
  const std::uint32_t fields = load_be32(h + 12);
  const std::uint32_t header = fields >> 28 << 2;
  if (header < wire::TcpHeader::kLength || at + header > m.head_length || at + header > size) {
    core.drop(std::move(p), DropReason::tcp_malformed);
    return false;
  }
  if (!checksum_trusted(m.checksum) && !checksum_is_right(in, p, at, size)) {
    core.drop(std::move(p), DropReason::tcp_bad_checksum);
    return false;
  }
  // Row T1: TCP is spoken between two hosts, from port to port (RFC 9293 3.9.2.3, RFC 1122 4.2.3.10).
  if (in.cast != IpCast::unicast || ports >> 16 == 0 || (ports & 0xffff) == 0) {
    core.drop(std::move(p), DropReason::tcp_bad_address);
    return false;
  }
  s.in = &in;
  s.ports = ports;
  s.seq = SeqNum{load_be32(h + 4)};
  s.ack = SeqNum{load_be32(h + 8)};
  s.flags = wire::TcpFlags::from_bits(static_cast<std::uint16_t>(fields >> 16));
  s.window = static_cast<std::uint16_t>(fields);
  s.header_length = static_cast<std::uint8_t>(header);
  s.length = size - at - header;
  const ByteSpan options{h + wire::TcpHeader::kLength, header - wire::TcpHeader::kLength};
  s.timestamps = wire::fast_timestamps(options, s.ts_value, s.ts_echo);
  s.fast_options = s.timestamps || options.empty();
  return true;
}

std::uint64_t mix_of(const Segment& s) {
  return flow_mix(s.in->destination, s.in->source, s.ports);
}

// Whether connection i is in the flow table with the segment's flow: what a lookup would find.
bool is_flow_of(const Core& core, Index i, const Segment& s) {
  const Hot& h = core.tcp.hot[i];
  return s.ports == (std::uint32_t{h.key.remote_port.value()} << 16 | h.key.local_port.value()) &&
         h.key.remote == s.in->source && h.key.local == s.in->destination && h.key.scope == core.scope &&
         h.state != TcpState::closed && !h.has(Flag::detached);
}

// The way through the table.
FlowValue look_up(Core& core, const Segment& s, std::uint64_t mix) {
  const FlowValue v = find_flow(core.tcp, s.hash, s.key(core.scope));
  if (v.kind() == FlowKind::connection) core.tcp.memo.note(mix, v.index());
  return v;
}

// RFC 5082: who speaks to its neighbours alone does not listen to what came through a router.
bool too_far(Core& core, FlowValue v, const Segment& s) {
  const OptionId least = s.in->source.is_v4() ? OptionId::ip_min_ttl : OptionId::ip_min_hop_limit;
  const auto is_below = [&](const OptionValues& o) { return s.in->ttl < o.get(least); };
  const auto of_listener = [&](Index listener) -> const OptionValues& {
    return core.options_of(core.sockets[core.tcp.listeners[listener].socket]);
  };
  switch (v.kind()) {
    case FlowKind::connection:
      return is_below(Tcb{core, v.index()}.options());
    case FlowKind::syn_record:
      return is_below(of_listener(core.tcp.syn_cache[v.index()].listener()));
    case FlowKind::time_wait:
      return false;
    case FlowKind::none:
      break;
  }
  const Index listener = find_listener(core, s);
  return listener != kNoIndex && is_below(of_listener(listener));
}

void dispatch(Core& core, FlowValue v, Segment& s) {
  core.counters.add(Counter::tcp_segments_in);
  if (core.tcp.checks_ttl && too_far(core, v, s)) return core.drop(std::move(s.in->packet), DropReason::tcp_low_ttl);
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

// One segment alone: there is nothing to overlap with.
void input_one(Core& core, TransportInput& in) {
  State& state = core.tcp;
  Segment s;
  if (!parse(core, in, s)) return;
  const std::uint64_t mix = mix_of(s);
  if (const Index i = state.memo.guess(mix); i < state.connection_pool.watermark() && is_flow_of(core, i, s)) {
    dispatch(core, {FlowKind::connection, i}, s);
    return;
  }
  s.hash = state.flows.hash(s.key(core.scope));
  dispatch(core, look_up(core, s, mix), s);
}

// A segment on its way through the stations below; each asks for memory that a later one will look at, while others
// are looked after.
struct Staged {
  Segment segment;
  std::uint64_t mix = 0;
  Index guess = kNoIndex;  // else segment.hash is set, and the table is asked
  std::uint32_t epoch = 0;
  FlowValue value;
};

// First station: whose may it be?
bool guess_flow(Core& core, TransportInput& in, Staged& e) {
  State& state = core.tcp;
  if (!parse(core, in, e.segment)) return false;
  e.mix = mix_of(e.segment);
  e.guess = state.memo.guess(e.mix);
  if (e.guess < state.connection_pool.watermark()) {
    prefetch_connection(state, e.guess);
  } else {
    e.guess = kNoIndex;
    e.segment.hash = state.flows.hash(e.segment.key(core.scope));
    state.flows.prefetch(e.segment.hash);
  }
  return true;
}

// Second station: the bucket is here. Whose slot it is is known only by its key, so this compares hashes alone and may
// bring a stranger's lines.
void fetch_flow(const State& s, const Staged& e) {
  if (e.guess != kNoIndex) return;
  const FlowValue v = s.flows.find(e.segment.hash, [](FlowValue) { return true; });
  if (v.kind() == FlowKind::connection) prefetch_connection(s, v.index());
}

// Third station: the connection is here.
void find_staged(Core& core, Staged& e) {
  State& state = core.tcp;
  if (e.guess != kNoIndex && !is_flow_of(core, e.guess, e.segment)) {
    e.guess = kNoIndex;
    e.segment.hash = state.flows.hash(e.segment.key(core.scope));
  }
  e.epoch = state.flows.epoch();
  e.value = e.guess != kNoIndex ? FlowValue{FlowKind::connection, e.guess} : look_up(core, e.segment, e.mix);
  if (e.value.kind() != FlowKind::connection) return;
  const Hot& h = state.hot[e.value.index()];
  if (!h.has(Flag::in_accept_queue) && h.socket != kNoIndex) core.sockets.prefetch(h.socket);
  prefetch_sender(state, e.value.index());
}

// Last station.
void take_staged(Core& core, Staged& e) {
  // An earlier segment may have opened or ended connections.
  if (core.tcp.flows.epoch() != e.epoch && (e.guess == kNoIndex || !is_flow_of(core, e.guess, e.segment))) {
    e.segment.hash = core.tcp.flows.hash(e.segment.key(core.scope));
    e.value = look_up(core, e.segment, e.mix);
  }
  dispatch(core, e.value, e.segment);
}

// All but a lone one. Memory answers within some segments' work, so that this is the distance from station to station.
void input_staged(Core& core, std::span<TransportInput> burst) {
  constexpr std::size_t kLag = 5;
  constexpr std::size_t kStaged = 3 * kLag + 1;
  RawArray<Staged, kStaged> memory;  // made one by one
  std::array<bool, kStaged> good;
  const auto at = [&](std::size_t i) -> Staged& { return memory.span()[i % kStaged]; };
  const std::size_t n = burst.size();
  for (std::size_t i = 0; i < n + 3 * kLag; ++i) {
    if (i < n) good[i % kStaged] = guess_flow(core, burst[i], *std::construct_at(&at(i)));
    if (const std::size_t k = i - kLag; k < n && good[k % kStaged]) fetch_flow(core.tcp, at(k));
    if (const std::size_t k = i - 2 * kLag; k < n && good[k % kStaged]) find_staged(core, at(k));
    if (const std::size_t k = i - 3 * kLag; k < n && good[k % kStaged]) take_staged(core, at(k));
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
  if (s.length > h.receive_window() || h.flags.any(Flag::orphan, Flag::fin_ahead)) return false;
  Active* const a = t.active();
  if (a != nullptr && (a->ooo.count != 0 || a->recovery != Recovery::none)) return false;
  t.core.counters.add(Counter::tcp_header_predicted);
  ++t.hot.segments_in;
  heard_now(t);
  record_timestamp(t, s);
  if (acked != 0) {
    if (a == nullptr || !on_usual_ack(t, *a, s)) on_ack(t, s, nullptr);
  } else {
    update_window(t, s);
  }
  if (s.length != 0) {
    take_next_text(t, s);
  } else {
    s.in->packet.reset();
  }
  return true;
}

}  // namespace

FlowValue find_flow(const State& s, FlowHash hash, const FlowKey& key) {
  return s.flows.find(hash, [&](FlowValue v) {
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
  });
}

void input(Core& core, std::span<TransportInput> burst) {
  if (burst.size() == 1) return input_one(core, burst[0]);
  input_staged(core, burst);
}

wire::TcpOptions parse_options(const Segment& s) {
  return wire::TcpOptions::parse(s.option_bytes());
}

void on_segment(Tcb& t, Segment& s) {
  if (predicted(t, s)) return;
  ++t.hot.segments_in;
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
