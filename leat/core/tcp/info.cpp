#include <leat/core/tcp/info.hpp>
#include <leat/core/tcp/machine.hpp>

namespace leat::tcp {
namespace {

// Octets between `from` and `to`, `wraps` times around.
std::uint64_t distance(SeqNum from, SeqNum to, std::uint16_t wraps) {
  // A wrap is counted when the number passes zero; the first octet stands at `from`.
  return (std::uint64_t{wraps} << 32) + to.value() - from.value();
}

// Of a half-open connection: its SYN-ACK is on its way.
TcpInfo record_info(const SynRecord& record) {
  const SynInfo r = record.info();
  TcpInfo i;
  i.state = TcpState::syn_received;
  i.key = r.key;
  i.timestamps = r.timestamps;
  i.sack = r.sack;
  i.window_scaling = r.wscale != SynInfo::kNoScale;
  if (i.window_scaling) i.snd_shift = r.wscale;
  i.retries = i.backoff = static_cast<std::uint8_t>(record.retries());
  i.retransmits = record.retries();
  i.snd_mss = r.mss;
  i.iss = i.snd_una = r.iss.value();
  i.snd_nxt = r.iss.value() + 1;
  i.irs = r.irs.value();
  i.rcv_nxt = r.irs.value() + 1;
  i.in_flight = 1;
  return i;
}

TcpInfo record_info(const TimeWaitRecord& r) {
  TcpInfo i;
  i.state = TcpState::time_wait;
  i.key = r.key();
  i.timestamps = r.timestamps();
  i.snd_una = i.snd_nxt = r.snd_nxt.value();
  i.rcv_nxt = r.rcv_nxt.value();
  i.rcv_wnd = r.rcv_wnd();
  return i;
}

}  // namespace

TcpInfo info(const Core& core, Index socket) {
  return connection_info(core, core.sockets[socket].object);
}

TcpInfo connection_info(const Core& core, Index connection) {
  const State& s = core.tcp;
  const Hot& h = s.hot[connection];
  const Cold& c = s.cold[connection];
  const OptionValues& o = h.profile == 0 ? core.options : core.profiles[h.profile];
  const Active* a = h.active == kNoIndex ? nullptr : &s.active[h.active];
  const auto kind = static_cast<std::size_t>(o.get(OptionId::tcp_congestion));
  const CongestionOps* ops = kind < kCongestionKinds ? core.modules.congestion[kind] : nullptr;
  TcpInfo i;
  i.state = h.state;
  i.key = h.key;
  i.timestamps = h.has(Flag::timestamps);
  i.sack = h.has(Flag::sack);
  i.window_scaling = h.has(Flag::window_scaling);
  i.snd_shift = static_cast<std::uint8_t>(h.snd_shift());
  i.rcv_shift = static_cast<std::uint8_t>(h.rcv_shift());
  i.app_limited = a == nullptr || a->app_limited;
  i.talks_back = h.has(Flag::talks_back);
  i.retries = c.retries;
  i.congestion = ops != nullptr ? ops->name : kNewReno.name;
  i.backoff = static_cast<std::uint8_t>(kSynchronized.has(h.state) ? c.rtt.backoff() : c.retries);
  const auto us = [&](OptionId id) { return static_cast<std::uint32_t>(o.get(id)); };
  i.rto_us =
      c.rtt.rto_us(us(OptionId::tcp_rto_initial), us(OptionId::tcp_rto_min), us(OptionId::tcp_rto_max), i.backoff);
  i.srtt_us = c.rtt.srtt_us();
  i.rttvar_us = c.rtt.rttvar_us();
  i.min_rtt_us = c.min_rtt_us;
  i.ato_us = us(OptionId::tcp_delayed_ack);
  i.snd_mss = h.mss;
  i.pmtu = h.pmtu;
  i.advertised_mss = mss_to_offer(o, h.key.remote, h.pmtu);
  i.cwnd = c.window.cwnd;
  i.ssthresh = c.window.ssthresh;
  i.snd_wnd = h.snd_wnd;
  i.rcv_wnd = h.receive_window();
  i.iss = c.iss.value();
  i.irs = c.irs.value();
  i.snd_una = h.snd_una.value();
  i.snd_nxt = h.snd_nxt.value();
  i.rcv_nxt = h.rcv_nxt.value();
  i.rcv_space = us(OptionId::receive_buffer);
  if (a != nullptr) {
    i.in_recovery = a->recovery == Recovery::fast;
    i.after_timeout = a->recovery == Recovery::timeout;
    i.rcv_mss = a->rcv_mss;
    i.sacked = a->ranges.sacked;
    i.lost = a->ranges.lost;
    i.resent = a->ranges.resent;
    i.send_queue = a->send.size();
    i.receive_queue = a->receive.size();
    i.out_of_order = a->ooo.count;
    i.rcv_space -= std::min(i.rcv_space, i.receive_queue);
    const std::uint32_t flying = h.in_flight() - (h.has(Flag::fin_sent) && h.in_flight() > 0 ? 1U : 0U);
    i.unsent = i.send_queue - std::min(i.send_queue, flying);
  }
  i.in_flight = h.in_flight();
  i.since_data_sent_ms = ms_now(core) - h.last_tx_ms;
  i.since_received_ms = ms_now(core) - h.last_rx_ms;
  if (h.state != TcpState::closed || h.has(Flag::detached)) {
    i.bytes_acked = distance(c.iss, h.snd_una, c.una_wraps);
    i.bytes_received = distance(c.irs, h.rcv_nxt, c.rcv_wraps);
    if (i.bytes_acked > 0) --i.bytes_acked;  // the SYNs
    if (i.bytes_received > 0) --i.bytes_received;
  }
  i.segments_in = h.segments_in;
  i.segments_out = h.segments_out;
  i.data_segments_in = h.data_in;
  i.data_segments_out = h.data_out;
  i.retransmits = c.retransmits;
  const Spent all = spent(core, connection);
  i.busy_us = all.busy_us;
  i.window_limited_us = all.window_us;
  i.buffer_limited_us = all.buffer_us;
  i.delivered = all.delivered + (i.bytes_acked != 0 || kSynchronized.has(h.state) ? 1U : 0U);
  i.dsacks = all.dsacks;
  i.reorderings = all.reorderings;
  return i;
}

TcpState state_of(const Core& core, const FlowKey& key) {
  const State& s = core.tcp;
  const FlowValue v = find_flow(core.tcp, core.tcp.flows.hash(key), key);
  switch (v.kind()) {
    case FlowKind::connection:
      return s.hot[v.index()].state;
    case FlowKind::time_wait:
      return TcpState::time_wait;
    case FlowKind::syn_record:
      return TcpState::syn_received;
    case FlowKind::none:
      break;
  }
  const Index listener = s.binds.lookup({key.local, key.local_port, kNoInterface, key.scope}, 0);
  return listener != kNoIndex ? TcpState::listen : TcpState::closed;
}

TcpInfo info_of(const Core& core, const FlowKey& key) {
  const State& s = core.tcp;
  const FlowValue v = find_flow(s, s.flows.hash(key), key);
  switch (v.kind()) {
    case FlowKind::connection:
      return connection_info(core, v.index());
    case FlowKind::time_wait:
      return record_info(s.time_wait[v.index()]);
    case FlowKind::syn_record:
      return record_info(s.syn_cache[v.index()]);
    case FlowKind::none:
      break;
  }
  TcpInfo i;
  i.state = state_of(core, key);
  i.key = key;
  return i;
}

std::optional<Index> find_connection(const Core& core, const FlowKey& key) {
  const FlowValue v = find_flow(core.tcp, core.tcp.flows.hash(key), key);
  if (v.kind() != FlowKind::connection) return std::nullopt;
  return v.index();
}

}  // namespace leat::tcp
