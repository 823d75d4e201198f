// How the egress builds a segment: the payload from the send queue, by reference or, where it is small, copied behind
// its header; then the headers, the usual ones in one go.

#include <leat/core/tcp/visit.hpp>

namespace leat::tcp {

using wire::TcpFlag;
using wire::TcpFlags;
using wire::TcpHeader;

namespace {
// What SACK blocks leave of a segment's text at least, on paths whose packets are hardly larger than their headers.
constexpr std::uint32_t kLeastText = 4;

// RFC 6437 3: the same for all packets of a flow, and nobody's guess. The initial sequence number is that, and what it
// tells who sees the packets is nothing new.
std::uint32_t flow_label(SeqNum iss) {
  return (iss.value() * 0x9e3779b1U) >> 16;
}
}  // namespace

// The largest payload that may leave as one packet.
std::uint32_t Visit::largest() const {
  const std::uint32_t size = segment_size();
  const std::uint32_t headers = ip_header_length(h_.key.remote) + TcpHeader::kMaxLength;
  const std::uint32_t most = std::min<std::uint32_t>(path_->max_gso, 65535);
  if (most < headers + 2 * size) return size;
  return (most - headers) / size * size;
}

// Options share the segment with its text (RFC 9293 3.7.1), also those of a bare ACK: one that is longer than the
// path's packets never arrives.
std::size_t Visit::write_options(MutableByteSpan out) {
  const std::size_t usual = h_.has(Flag::timestamps) ? TcpHeader::kTimestampsLength : 0;
  out = out.first(std::min<std::size_t>(out.size(), usual + (h_.mss > kLeastText ? h_.mss - kLeastText : 0)));
  wire::TcpOptions o;
  if (h_.has(Flag::timestamps)) o.timestamps = {timestamp_now(t_), h_.ts_recent};
  if (h_.has(Flag::sack)) {
    if (const Active* a = t_.active()) {
      if (a->owes_dsack) o.add_sack(a->dsack);  // RFC 2883 4: the first block
      std::array<wire::SackBlock, wire::TcpOptions::kMaxSackBlocks> blocks;
      const std::size_t n = t_.tables().ooo.sack_blocks(a->ooo, blocks);
      for (std::size_t i = 0; i < n; ++i) (void)o.add_sack(blocks[i]);
    }
  }
  return o.emit(out);
}

// The sum of what was copied; where the interface sums, nobody wants it.
Sum Visit::copy_payload(const Active& a, std::uint32_t offset, std::uint32_t length, Packet& to) {
  const MutableByteSpan at = to.append(length);
  Sum sum = path_->tx_checksum ? kNotSummed : 0;
  const std::size_t copied =
      path_->tx_checksum ? a.send.peek(t_.core.pool, offset, at) : a.send.peek_summed(t_.core.pool, offset, at, sum);
  LEAT_ASSERT(copied == length);
  t_.core.counters.add(Counter::copied_bytes, length);
  return sum;
}

// The payload: copied where it is small, else by reference. `taken` may be less than asked for. `sum` is that of the
// payload where it came for nothing: while it was copied.
Packet Visit::build(const Piece& p, std::uint32_t& taken, Sum& sum) {
  PacketPool& pool = t_.core.pool;
  taken = 0;
  sum = 0;
  // The one segment that gets things going again may use the reserve: its acknowledgement frees memory.
  const bool vital = p.length == 0 || h_.has(Flag::resend_head) || h_.in_flight() == 0;
  const Priority priority = vital ? Priority::control : Priority::data;
  Packet packet = pool.allocate(ChunkClass::small, kHeadroom, priority);
  if (!packet || p.length == 0) return packet;
  Active& a = *t_.active();
  const std::uint32_t offset = p.seq - t_.data_una();
  if (p.length <= kCopyBytes && offset <= kCopyDepth) {
    taken = p.length;
    sum = copy_payload(a, offset, taken, packet);
    return packet;
  }
  sum = kNotSummed;
  taken = a.send.slice(pool, offset, p.length, packet, *p.cursor, priority);
  if (taken == 0) return {};
  // Not all fitted into the fragment list: whole segments only.
  if (taken < p.length && taken > segment_size()) {
    taken -= taken % segment_size();
    packet.truncate(taken);
  }
  return packet;
}

void Visit::add_header(Packet& packet, const Piece& p, wire::TcpFlags flags, std::uint32_t payload, Sum sum) {
  const SeqNum ack = p.early_ack ? p.ack : h_.rcv_nxt;
  TcpHeader header{h_.key.local_port, h_.key.remote_port, p.seq, ack, flags, 0, 0};
  header.window = advertise(t_, ack);
  std::uint32_t length = TcpHeader::kLength;
  if (option_bytes_ == 0) {
    if (h_.has(Flag::timestamps)) {
      length += TcpHeader::kTimestampsLength;
      (void)header.emit_with_timestamps(packet.prepend(length), timestamp_now(t_), h_.ts_recent);
    } else {
      (void)header.emit(packet.prepend(length));
    }
  } else {
    std::array<std::uint8_t, TcpHeader::kMaxOptions> options;
    const std::size_t n = write_options(options);
    length += static_cast<std::uint32_t>(n);
    const MutableByteSpan at = packet.prepend(length);
    (void)header.emit(at, n);
    std::copy_n(options.begin(), n, at.begin() + TcpHeader::kLength);
  }
  PacketMeta& m = packet.meta();
  const MutableByteSpan at = packet.writable_head().first(length);
  const Sum pseudo = pseudo_header_sum(h_.key.local, h_.key.remote, 6, m.length);
  if (sum == kNotSummed || path_->loopback) {
    store_be16(&at[TcpHeader::kChecksumOffset], static_cast<std::uint16_t>(pseudo));
    m.checksum = ChecksumState::to_fill;
  } else {
    TcpHeader::finish_checksum(at, pseudo + sum);
  }
  m.l4_offset = 0;
  m.payload_offset = static_cast<std::uint16_t>(length);
  if (payload > segment_size()) {
    m.gso_size = static_cast<std::uint16_t>(segment_size());
    m.gso_type = h_.key.remote.is_v4() ? GsoType::tcp_v4 : GsoType::tcp_v6;
  }
}

// An acknowledgement of everything up to `ack` is on its way.
void Visit::acknowledged(SeqNum ack) {
  h_.last_ack_sent = ack;
  if (ack != h_.rcv_nxt) return;
  h_.flags.clear(Flag::ack_now);
  h_.flags.clear(Flag::ack_later);
  h_.flags.clear(Flag::window_update);
  if (Active* a = t_.active()) {
    a->full_segments = 0;
    a->owes_dsack = false;
  }
  if (option_bytes_ != 0) measure_options();
  if (h_.has(Flag::ack_queued)) forget_near_ack(t_);
}

// RFC 2018 3: every segment that acknowledges less than what is held here tells what is held, also with data.
void Visit::measure_options() {
  option_bytes_ = 0;
  const Active* a = t_.active();
  if (a == nullptr || !h_.has(Flag::sack) || (a->ooo.count == 0 && !a->owes_dsack)) return;
  std::array<std::uint8_t, TcpHeader::kMaxOptions> scratch;
  const std::size_t all = write_options(scratch);
  option_bytes_ = static_cast<std::uint32_t>(all - (h_.has(Flag::timestamps) ? TcpHeader::kTimestampsLength : 0));
}

ip::HeaderMarks Visit::marks() const {
  const OptionValues& o = t_.options();
  return {.ttl = static_cast<std::uint8_t>(o.get(OptionId::ip_default_ttl)),
          .traffic_class = static_cast<std::uint8_t>(o.get(OptionId::ip_tos)),
          .mark = static_cast<std::uint32_t>(o.get(OptionId::mark))};
}

ip::SendInfo Visit::send_info() const {
  const ip::HeaderMarks m = marks();
  return {.source = h_.key.local,
          .destination = h_.key.remote,
          .protocol = 6,
          .ttl = m.ttl,
          .traffic_class = m.traffic_class,
          .flow_label = h_.key.remote.is_v4() ? 0 : flow_label(t_.cold.iss),
          .mark = m.mark};
}

void Visit::count_data(std::uint32_t payload, std::uint32_t segments) {
  t_.core.counters.add(Counter::tcp_segments_out);
  t_.hot.segments_out += segments;
  t_.hot.data_out += segments;
  t_.hot.last_tx_ms = ms_now(t_.core);
  sent_bytes_ += payload;
}

bool Visit::emit(const Piece& p, std::uint32_t& sent) {
  const bool collected = path_->interface == id_ && !path_->loopback;
  if (collected && batch_.full()) return stop(Outcome::more);
  Sum sum = 0;
  Packet packet = build(p, sent, sum);
  if (!packet) return stop(Outcome::starved);
  wire::TcpFlags flags = p.flags;
  // What stands at the end of a segment goes only with all of it.
  if (sent < p.length) flags = p.flags.without(TcpFlag::fin | TcpFlag::psh);
  const SeqNum ack = p.early_ack ? p.ack : h_.rcv_nxt;
  if (sent == 0) {
    t_.core.counters.add(Counter::tcp_segments_out);
    ++t_.hot.segments_out;
  } else {
    count_data(sent, sent > segment_size() ? (sent + segment_size() - 1) / segment_size() : 1);
  }
  if (prepared()) {
    send_plain(std::move(packet), p.seq, ack, flags, sum);
  } else {
    add_header(packet, p, flags, sent, sum);
    (void)ip::send(t_.core, std::move(packet), send_info(), *path_, collected ? &batch_ : nullptr);
  }
  if (flags.ack()) acknowledged(ack);
  return true;
}

// The usual segment: over IPv4, with timestamps as its only option or none, behind prepared headers. All of them are
// written in one go.
void Visit::send_plain(Packet&& packet, SeqNum seq, SeqNum ack, TcpFlags flags, Sum payload_sum) {
  Core& core = t_.core;
  PacketMeta& m = packet.meta();
  const std::uint32_t payload = m.length;
  const bool stamped = h_.has(Flag::timestamps);
  const std::uint32_t header = TcpHeader::kLength + (stamped ? TcpHeader::kTimestampsLength : 0U);
  const ip::FrameHeaders& frame = *headers_;
  const std::uint32_t headers = frame.length;
  std::uint32_t segments = 1;
  std::uint32_t limit = frame.mtu;
  if (payload > segment_size()) {
    const std::uint32_t size = segment_size();
    segments = (payload + size - 1) / size;
    limit = frame.max_gso;
    m.gso_size = static_cast<std::uint16_t>(size);
    m.gso_type = GsoType::tcp_v4;
  }
  if (payload + header + wire::Ipv4Header::kLength > std::min<std::uint32_t>(limit, 0xffff))
    return core.drop(std::move(packet), DropReason::ip_too_big);
  m.l3_offset = frame.link;
  m.l4_offset = static_cast<std::uint16_t>(headers);
  m.payload_offset = static_cast<std::uint16_t>(headers + header);
  m.interface = frame.interface;
  m.mark = frame.marks.mark;
  m.checksum = payload_sum == kNotSummed ? ChecksumState::to_fill : ChecksumState::none;
  std::uint8_t* const at = packet.fill_headroom(headers + header);
  std::uint8_t* const tcp = at + headers;
  const std::uint32_t ports = (std::uint32_t{h_.key.local_port.value()} << 16) | h_.key.remote_port.value();
  const std::uint32_t fields = (header << 26) | (std::uint32_t{flags.bits()} << 16) | advertise(t_, ack);
  const std::uint32_t value = stamped ? timestamp_now(t_) : 0;
  const std::uint32_t echo = h_.ts_recent;
  const std::uint64_t pseudo = std::uint64_t{frame.pseudo_sum} + payload + header;
  std::uint64_t sum = pseudo + payload_sum + ports + seq.value() + ack.value() + fields;
  store_be32(tcp, ports);
  store_be32(tcp + 4, seq.value());
  store_be32(tcp + 8, ack.value());
  store_be32(tcp + 12, fields);
  if (stamped) {
    store_be32(tcp + 20, TcpHeader::kTimestampsWord);
    store_be32(tcp + 24, value);
    store_be32(tcp + 28, echo);
    sum += std::uint64_t{TcpHeader::kTimestampsWord} + value + echo;
  }
  // Where the payload is to be summed still, the field holds the sum of the pseudo-header (see ChecksumState).
  const std::uint32_t field = payload_sum == kNotSummed ? checksum_fold(pseudo) : checksum_finish(checksum_fold(sum));
  store_be32(tcp + 16, field << 16);
  ip::write_headers(core, frame, at, payload + header, segments);
  core.counters.add(Counter::ip_sent);
  batch_.push(std::move(packet));
}

// An acknowledgement and nothing else: what a receiver sends most.
bool Visit::emit_ack(SeqNum ack) {
  if (batch_.full() || !prepared()) {
    std::uint32_t sent = 0;
    return emit({.seq = h_.snd_nxt, .flags = TcpFlag::ack, .early_ack = true, .ack = ack}, sent);
  }
  Packet packet = t_.core.pool.allocate(ChunkClass::small, kHeadroom, Priority::control);
  if (!packet) return stop(Outcome::starved);
  t_.core.counters.add(Counter::tcp_segments_out);
  ++t_.hot.segments_out;
  send_plain(std::move(packet), h_.snd_nxt, ack, TcpFlag::ack, 0);
  acknowledged(ack);
  return true;
}

// Whether what goes out now is plain and has its headers ready, for the batch that is being collected.
bool Visit::prepared() {
  if (option_bytes_ != 0 || path_->interface != id_ || path_->loopback) return false;
  if (!asked_) {
    if (!ip::still_true(t_.core, *headers_, *path_, marks())) ip::prepare(t_.core, send_info(), *path_, *headers_);
    asked_ = headers_->length != 0;
  }
  return asked_;
}

}  // namespace leat::tcp
