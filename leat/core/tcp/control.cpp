// Segments that belong to no send queue: RST, SYN-ACK of records and cookies, ACKs of what is over. They are built from
// nothing but their arguments, from the reserve of the pool, and go to the interface's queue at once.

#include <leat/core/ip/frame_headers.hpp>
#include <leat/core/tcp/machine.hpp>

namespace leat::tcp {

using wire::TcpFlag;

std::uint32_t timestamp_now(const Core& core, std::uint32_t offset) {
  return ms_now(core) + offset;  // RFC 7323 5.4: one millisecond a tick
}

std::uint32_t timestamp_offset_of(const Core& core, const FlowKey& key) {
  return timestamp_offset(core.keys.tuples, key);
}

namespace {

ip::SendInfo send_info(const Core& core, const Bare& b) {
  return {.source = b.key.local,
          .destination = b.key.remote,
          .protocol = 6,
          .ttl = static_cast<std::uint8_t>(b.ttl != 0 ? b.ttl : core.options.get(OptionId::ip_default_ttl)),
          .traffic_class = b.traffic_class,
          .mark = b.mark};
}

// To who has no socket that chose a way; nullptr, and counted: there is none.
CachedPath* path_back(Core& core, const FlowKey& key) {
  CachedPath* const c = find_cached_path(core, key.local, key.remote, kNoInterface, key.scope);
  if (c == nullptr) core.counters.add(ip::why_no_path(core, key.remote));
  return c;
}

// Puts the path's prepared headers in front of a segment whose TCP checksum is right. False, and nothing is changed:
// it takes the long way.
bool prepend_prepared(Core& core, Packet& p, const ip::FrameHeaders& frame) {
  PacketMeta& m = p.meta();
  const std::uint32_t size = m.length;
  if (size + wire::Ipv4Header::kLength > frame.mtu) return false;
  m.payload_offset = static_cast<std::uint16_t>(frame.length + size);
  m.l3_offset = frame.link;
  m.l4_offset = frame.length;
  m.interface = frame.interface;
  m.mark = frame.marks.mark;
  ip::write_headers(core, frame, p.fill_headroom(frame.length), size, 1);
  return true;
}

// The header and its options; behind prepared headers the sum of the pseudo-header is known.
void write_segment(Core& core, Packet& p, const Bare& b, const ip::FrameHeaders* frame, bool loopback) {
  using wire::TcpHeader;
  std::array<std::uint8_t, TcpHeader::kMaxOptions> options;
  const auto order = static_cast<wire::TcpOptionOrder>(core.options.get(OptionId::tcp_syn_option_order));
  const std::size_t n = b.options.emit(options, order);
  const auto length = static_cast<std::uint32_t>(TcpHeader::kLength + n);
  std::uint8_t* const at = p.append(length).data();
  const std::uint32_t ports = (std::uint32_t{b.key.local_port.value()} << 16) | b.key.remote_port.value();
  const std::uint32_t fields = (length << 26) | (std::uint32_t{b.flags.bits()} << 16) | b.window;
  const Sum pseudo = frame != nullptr ? checksum_fold(std::uint64_t{frame->pseudo_sum} + length)
                                      : pseudo_header_sum(b.key.local, b.key.remote, 6, length);
  std::uint64_t sum = std::uint64_t{pseudo} + ports + b.seq.value() + b.ack.value() + fields;
  store_be32(at, ports);
  store_be32(at + 4, b.seq.value());
  store_be32(at + 8, b.ack.value());
  store_be32(at + 12, fields);
  for (std::size_t i = 0; i < n; i += 4) {
    const std::uint32_t word = load_be32(&options[i]);
    store_be32(at + TcpHeader::kLength + i, word);
    sum += word;
  }
  // Nobody will look at the checksum of what goes to ourselves.
  const std::uint32_t field = loopback ? pseudo : checksum_finish(checksum_fold(sum));
  store_be32(at + TcpHeader::kChecksumOffset, field << 16);
  if (loopback) p.meta().checksum = ChecksumState::to_fill;
}

}  // namespace

bool send_bare(Core& core, const Bare& b, CachedPath& c, InterfaceId collecting, PacketBatch* out) {
  Packet p = core.pool.allocate(ChunkClass::small, kHeadroom, Priority::control);
  if (!p) {
    core.counters.add(DropReason::no_buffers);
    return false;
  }
  const ip::SendInfo info = send_info(core, b);
  const bool prepared = ip::prepared(core, info, c.path, c.headers);
  write_segment(core, p, b, prepared ? &c.headers : nullptr, c.path.loopback);
  core.counters.add(Counter::tcp_segments_out);
  const bool collected = out != nullptr && c.path.interface == collecting && !c.path.loopback;
  if (prepared && prepend_prepared(core, p, c.headers)) {
    (void)ip::send_framed(core, std::move(p), c.path.interface, collected ? out : nullptr);
    return true;
  }
  PacketMeta& m = p.meta();
  m.l4_offset = 0;
  m.payload_offset = static_cast<std::uint16_t>(m.length);
  (void)ip::send(core, std::move(p), info, c.path, collected ? out : nullptr);
  return true;
}

bool send_bare(Core& core, const Bare& b) {
  CachedPath* const c = path_back(core, b.key);
  return c != nullptr && send_bare(core, b, *c);
}

void send_reset_for(Core& core, const Segment& s) {
  // RFC 9293 3.10.7.1: with an ACK the RST takes its sequence number from it, else it acknowledges what came.
  if (s.flags.rst()) return;
  Bare b{.key = s.key(core.scope), .flags = TcpFlag::rst};
  if (s.flags.ack()) {
    b.seq = s.ack;
  } else {
    b.ack = s.end();
    b.flags |= TcpFlag::ack;
  }
  if (send_bare(core, b)) core.counters.add(Counter::tcp_resets_sent);
}

void send_reset(Tcb& t) {
  Bare b{.key = t.hot.key, .seq = t.hot.snd_nxt, .ack = t.hot.rcv_nxt, .flags = TcpFlag::rst | TcpFlag::ack};
  b.take(t.options());
  // RFC 7323 3.2: a RST may carry them too; one that answers a segment has no state to take them from.
  if (t.hot.has(Flag::timestamps)) b.options.timestamps = {timestamp_now(t), t.hot.ts_recent};
  if (send_bare(t.core, b)) t.core.counters.add(Counter::tcp_resets_sent);
}

namespace {

// What a SYN-ACK offers: only what the peer's SYN had (RFC 7323 2.2, 3.2; RFC 2018 2).
Bare syn_ack(Core& core, const Listener& l, const SynInfo& i, std::uint32_t mtu, std::uint32_t ts_offset) {
  const OptionValues& values = core.options_of(core.sockets[l.socket]);
  Bare b{.key = i.key,
         .seq = i.iss,
         .ack = i.irs + 1,
         .flags = TcpFlag::syn | TcpFlag::ack,
         .window = static_cast<std::uint16_t>(std::min<std::uint32_t>(largest_window(values), 0xffff))};
  b.take(values);
  b.options.mss = mss_to_offer(values, i.key.remote, mtu);
  if (i.wscale != SynInfo::kNoScale) b.options.window_scale = l.shift;
  b.options.sack_permitted = i.sack;
  if (i.timestamps) b.options.timestamps = {timestamp_now(core, ts_offset), i.ts_recent};
  return b;
}

}  // namespace

void send_syn_ack(Core& core, Index record) {
  const SynInfo info = core.tcp.syn_cache[record].info();
  (void)send_syn_ack(core, info, timestamp_offset_of(core, info.key));
}

bool send_syn_ack(Core& core, const SynInfo& half_open, std::uint32_t ts_offset) {
  CachedPath* const c = path_back(core, half_open.key);
  if (c == nullptr) return false;
  const Listener& l = core.tcp.listeners[half_open.listener];
  send_bare(core, syn_ack(core, l, half_open, c->path.mtu, ts_offset), *c);
  return true;
}

void send_cookie(Core& core, Index listener, const Segment& s, const wire::TcpOptions& o) {
  const Listener& l = core.tcp.listeners[listener];
  const OptionValues& values = core.options_of(core.sockets[l.socket]);
  SynInfo i{.key = s.key(core.scope), .irs = s.seq, .listener = listener};
  i.mss = o.mss.value_or(536);
  i.timestamps = o.timestamps.has_value() && values.on(OptionId::tcp_timestamps);
  i.ts_recent = i.timestamps ? o.timestamps->value : 0;
  // RFC 4987 3.6: what can't be kept in a timestamp is not agreed on.
  if (i.timestamps) {
    if (o.window_scale && values.on(OptionId::tcp_window_scaling)) i.wscale = *o.window_scale;
    i.sack = o.sack_permitted && core.modules.sack != nullptr && values.on(OptionId::tcp_sack);
  }
  i.iss = core.tcp.cookies.make(i.key, i.irs, i.mss, core.now);
  CachedPath* const c = path_back(core, i.key);
  if (c == nullptr) return;
  Bare b = syn_ack(core, l, i, c->path.mtu, timestamp_offset_of(core, i.key));
  if (i.timestamps)
    b.options.timestamps->value =
        cookie_timestamp(b.options.timestamps->value, {.wscale = i.wscale, .sack = i.sack, .ecn = false});
  if (send_bare(core, b, *c)) core.counters.add(Counter::tcp_cookies_sent);
}

// RFC 5961 7: so many challenge ACKs in a second, per connection; the number is drawn anew every second, so that it
// says nothing (CVE-2016-5696).
bool may_challenge(Tcb& t) {
  const auto second = static_cast<std::uint8_t>(ms_now(t.core) / 1000);
  const bool fresh = t.cold.challenge_left != Cold::kUndrawn && t.cold.challenge_second == second;
  if (!fresh) {
    const std::uint32_t rate = t.option(OptionId::tcp_challenge_rate);
    t.cold.challenge_second = second;
    t.cold.challenge_left = static_cast<std::uint16_t>(rate / 2 + t.core.rng.below(rate - rate / 2) + 1);
  }
  if (t.cold.challenge_left == 0) return false;
  --t.cold.challenge_left;
  return true;
}

}  // namespace leat::tcp
