// What active, passive and simultaneous opens share: what is offered in a SYN, what is learnt from the peer's, and what
// happens when the handshake is done.

#include <leat/core/tcp/machine.hpp>

namespace leat::tcp {
namespace {

// A smaller MSS would make us send mostly headers (attack row T11).
constexpr std::uint16_t kLeastMss = 48;

// RFC 9293 3.7.1: what to assume of a peer that says nothing.
std::uint16_t default_mss(const IpAddress& remote) {
  return remote.is_v4() ? 536 : 1220;
}

}  // namespace

// RFC 7323 2.3: the least shift with which the whole buffer can be advertised.
std::uint8_t receive_shift(std::uint32_t buffer) {
  std::uint8_t shift = 0;
  while (shift < wire::TcpOptions::kMaxWindowScale && (std::uint64_t{65535} << shift) < buffer) ++shift;
  return shift;
}

std::uint16_t mss_to_offer(const OptionValues& options, const IpAddress& remote, std::uint32_t mtu) {
  const std::uint32_t headers = ip_header_length(remote) + wire::TcpHeader::kLength;
  std::uint32_t mss = mtu > headers ? std::min<std::uint32_t>(mtu - headers, 0xffff) : kLeastMss;
  if (const auto limit = static_cast<std::uint32_t>(options.get(OptionId::tcp_max_segment)); limit != 0)
    mss = std::min(mss, limit);
  return static_cast<std::uint16_t>(std::max<std::uint32_t>(mss, kLeastMss));
}

SeqNum choose_iss(const Core& core, const TupleOffsets& offsets) {
  if (const std::int64_t fixed = core.options.get(OptionId::tcp_isn_seed); fixed != 0)
    return SeqNum{static_cast<std::uint32_t>(fixed)};
  return initial_sequence(offsets, core.now);
}

void learn_from_syn(Tcb& t, SeqNum irs, std::uint16_t window, const wire::TcpOptions& o) {
  Hot& h = t.hot;
  t.cold.irs = irs;
  h.rcv_nxt = irs + 1;
  h.last_ack_sent = h.rcv_nxt;
  h.rcv_adv = h.rcv_nxt + std::min<std::uint32_t>(largest_window(t.options()), 0xffff);
  // An option is in force when both sides sent it (RFC 7323 1.3 and 3.2, RFC 2018 2).
  if (!o.timestamps) h.flags.clear(Flag::timestamps);
  if (!o.sack_permitted) h.flags.clear(Flag::sack);
  if (!o.window_scale) h.flags.clear(Flag::window_scaling);
  if (h.has(Flag::timestamps)) h.ts_recent = o.timestamps->value;
  const bool scaling = h.has(Flag::window_scaling);
  h.set_shifts(scaling ? *o.window_scale : 0U, scaling ? receive_shift(t.option(OptionId::receive_buffer)) : 0U);
  t.cold.peer_mss = std::max(kLeastMss, o.mss.value_or(default_mss(t.hot.key.remote)));
  // RFC 7323 2.2: the window of a SYN is never scaled (attack row D5).
  h.snd_wnd = window;
  h.snd_wl1 = irs;
  t.hot.max_window = static_cast<std::uint16_t>((std::uint32_t{window} + (1U << h.snd_shift()) - 1) >> h.snd_shift());
  t.hot.last_rx_ms = ms_now(t.core);
  h.pmtu = 0;
  if (path_of(t) == nullptr) compute_mss(t, 576);
}

void established(Tcb& t) {
  CongestionState fresh;
  Active* a = t.active();
  // RFC 5681 3.1: after a lost SYN or SYN-ACK the first window is one segment.
  const bool lost = t.cold.retries > 0 || t.cold.rtt.lost_syn();  // RFC 6298 5.7
  const std::uint32_t segments = lost ? 1 : t.option(OptionId::tcp_initial_window);
  t.congestion().on_start(a != nullptr ? a->congestion : fresh, t.cold.window, t.hot.mss, segments);
  if (lost) {
    t.cold.window.cwnd = t.hot.mss;
    t.cold.rtt.syn_timed_out();
  }
  if (a != nullptr) a->congestion_ready = true;
  t.cold.w_max = 0;
  t.cold.retries = 0;
  if (t.hot.flags.take(Flag::soft_error)) forget_soft_error(t);
  t.hot.last_tx_ms = ms_now(t.core);
  t.hot.flags.clear(Flag::send_syn);
  t.notify(Ready::connected | Ready::writable);
  if (t.hot.has(Flag::keep_alive)) schedule(t);
}

Index make_accepted(Core& core, Index listener, const Opened& o) {
  const Index i = create(core, TcpState::syn_received);
  if (i == kNoIndex) return i;
  Tcb t{core, i};
  const Listener& l = core.tcp.listeners[listener];
  core.profiles.add_user(l.profile);
  t.hot.profile = l.profile;
  load_options(t);
  t.hot.quick_acks = kQuickAcks;
  Hot& h = t.hot;
  h.key = o.key;
  h.flags.set(Flag::passive);
  h.flags.set(Flag::detached);
  h.flags.put(Flag::timestamps, o.timestamps);
  h.flags.put(Flag::sack, o.sack);
  h.flags.put(Flag::window_scaling, o.wscale != SynInfo::kNoScale);
  if (h.has(Flag::window_scaling)) h.set_shifts(o.wscale, l.shift);
  t.cold.iss = o.iss;
  t.cold.irs = o.irs;
  t.hot.ts_offset = timestamp_offset_of(core, o.key);
  t.cold.peer_mss = std::max(kLeastMss, o.mss);
  h.ts_recent = o.ts_recent;
  h.snd_una = o.iss;
  h.snd_nxt = o.iss + 1;
  h.snd_wl1 = o.irs;
  h.rcv_nxt = o.irs + 1;
  h.last_ack_sent = h.rcv_nxt;
  h.rcv_adv = h.rcv_nxt + std::min<std::uint32_t>(largest_window(t.options()), 0xffff);
  t.hot.last_rx_ms = t.hot.last_tx_ms = ms_now(core);
  t.cold.retries = o.resent ? 1 : 0;
  if (o.sent_us != 0) {
    t.cold.min_rtt_us = std::max<std::uint32_t>(1, us_now(core) - o.sent_us);
    t.cold.rtt.sample(t.cold.min_rtt_us);
  }
  if (path_of(t) == nullptr) compute_mss(t, 576);
  return i;
}

}  // namespace leat::tcp
