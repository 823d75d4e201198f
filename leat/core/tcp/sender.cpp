// The sending half, pulled: output() visits the connections on an interface's dirty list while the batch has room. A
// visit sends, in this order: SYN, what is lost, new data as super-segments, FIN, a probe, and an ACK when nothing else
// carried it. Segments are built from the send queue by reference; small ones are copied behind their header.
//
// Fairness: a visit sends at most kVisitBytes and goes to the end of the list (deficit round robin with a quantum of
// one super-segment). Pacing (departure times in meta().time) has its place in Visit::emit.

#include <leat/core/ip/frame_headers.hpp>
#include <leat/core/tcp/machine.hpp>
#include <leat/core/tcp/tcp.hpp>

namespace leat::tcp {
namespace {

using wire::TcpFlag;
using wire::TcpFlags;
using wire::TcpHeader;

constexpr std::uint32_t kVisitBytes = 65536;
constexpr std::uint32_t kCopyBytes = 128;   // fits behind the headroom of a small chunk
constexpr std::uint32_t kCopyDepth = 4096;  // so deep in the send queue a copy is found without a cursor
constexpr Sum kNotSummed = 0xffffffffU;
constexpr unsigned kVisitsPerCall = 256;
constexpr unsigned kLoopbackVisits = 8;  // what they send goes to a queue of its own, not to the batch

enum class Outcome : std::uint8_t {
  done,     // nothing more to do now
  more,     // the batch is full, or the quantum is used up
  starved,  // a pool was empty
};

class Visit {
 public:
  Visit(Tcb& t, InterfaceId id, PacketBatch& batch) : t_(t), h_(t.hot), id_(id), batch_(batch) {}
  Outcome run();

 private:
  struct Piece {
    SeqNum seq{};
    std::uint32_t length = 0;
    wire::TcpFlags flags{};
    ChunkCursor* cursor = nullptr;
    bool early_ack = false;  // acknowledge `ack` instead of everything
    SeqNum ack{};
  };
  // Each returns false when the visit must stop; outcome_ says why.
  bool send_syn();
  bool resend();
  bool send_new();
  [[nodiscard]] bool send_usual();
  bool send_fin();
  bool send_probe();
  bool send_acks();
  bool send_duplicates(Active& a);
  [[nodiscard]] bool wait_for_reply();
  bool emit(const Piece& p, std::uint32_t& sent);
  bool emit_empty(SeqNum seq, wire::TcpFlags flags) {
    std::uint32_t sent = 0;
    return emit({.seq = seq, .flags = flags}, sent);
  }
  bool stop(Outcome o) {
    outcome_ = o;
    return false;
  }
  void count_data(std::uint32_t payload, std::uint32_t segments);
  [[nodiscard]] Packet build(const Piece& p, std::uint32_t& taken, Sum& sum);
  void add_header(Packet& packet, const Piece& p, wire::TcpFlags flags, std::uint32_t payload, Sum sum);
  [[nodiscard]] ip::HeaderMarks marks() const;
  [[nodiscard]] ip::SendInfo send_info() const;
  [[nodiscard]] bool only_acknowledges() const;
  bool emit_ack(SeqNum ack);
  [[nodiscard]] bool prepared();
  void send_plain(Packet&& packet, SeqNum seq, SeqNum ack, TcpFlags flags, Sum payload_sum);
  [[nodiscard]] std::size_t write_options(MutableByteSpan out);
  [[nodiscard]] std::uint32_t segment_size() const { return h_.mss > option_bytes_ ? h_.mss - option_bytes_ : 1; }
  [[nodiscard]] std::uint32_t largest() const;
  [[nodiscard]] bool partial_may_go(std::uint32_t n, std::uint32_t unsent) const;
  void hold_partial(Active& a);
  void restart_after_idle(Active& a);
  void begin_flight();
  void acknowledged(SeqNum ack);
  void measure_options();
  [[nodiscard]] bool wants_data() const;
  void finish_visit();

  Tcb& t_;
  Hot& h_;
  InterfaceId id_;
  PacketBatch& batch_;
  const ip::Path* path_ = nullptr;
  ip::FrameHeaders* headers_ = nullptr;  // of the path; good when `asked_`
  bool asked_ = false;                   // with the first packet of the visit, as neighbours may change
  std::uint32_t sent_bytes_ = 0;
  std::uint32_t option_bytes_ = 0;  // SACK blocks that data segments carry now
  Outcome outcome_ = Outcome::done;
};

// --- building a segment --------------------------------------------------------------------------------------------

// The largest payload that may leave as one packet.
std::uint32_t Visit::largest() const {
  const std::uint32_t size = segment_size();
  const std::uint32_t headers = ip_header_length(h_.key.remote) + TcpHeader::kMaxLength;
  const std::uint32_t most = std::min<std::uint32_t>(path_->max_gso, 65535);
  if (most < headers + 2 * size) return size;
  return (most - headers) / size * size;
}

std::size_t Visit::write_options(MutableByteSpan out) {
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
    taken = static_cast<std::uint32_t>(a.send.peek_summed(pool, offset, packet.append(p.length), sum));
    LEAT_ASSERT(taken == p.length);
    t_.core.counters.add(Counter::copied_bytes, taken);
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
          .flow_label = t_.cold.flow_label,
          .mark = m.mark};
}

void Visit::count_data(std::uint32_t payload, std::uint32_t segments) {
  t_.core.counters.add(Counter::tcp_segments_out);
  t_.cold.segments_out += segments;
  t_.cold.data_out += segments;
  t_.cold.last_tx_ms = ms_now(t_.core);
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
    ++t_.cold.segments_out;
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
  ++t_.cold.segments_out;
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

// --- SYN -------------------------------------------------------------------------------------------------------------

bool Visit::send_syn() {
  if (!h_.has(Flag::send_syn)) return true;
  const OptionValues& o = t_.options();
  Bare b{.key = h_.key,
         .seq = t_.cold.iss,
         .flags = TcpFlag::syn,
         .window = static_cast<std::uint16_t>(std::min<std::int64_t>(o.get(OptionId::receive_buffer), 0xffff))};
  b.take(o);
  if (h_.state == TcpState::syn_received) {
    b.flags |= TcpFlag::ack;
    b.ack = h_.rcv_nxt;
  }
  b.options.mss = mss_to_offer(o, h_.key.remote, path_->mtu);
  if (h_.has(Flag::window_scaling))
    b.options.window_scale = receive_shift(static_cast<std::uint32_t>(o.get(OptionId::receive_buffer)));
  b.options.sack_permitted = h_.has(Flag::sack);
  if (h_.has(Flag::timestamps)) b.options.timestamps = {timestamp_now(t_), h_.ts_recent};
  if (!send_bare(t_.core, b, id_, &batch_)) return stop(Outcome::starved);
  h_.flags.clear(Flag::send_syn);
  if (t_.cold.retries == 0) t_.cold.w_max = us_now(t_.core);
  if (t_.cold.retries != 0) t_.core.counters.add(Counter::tcp_retransmitted_segments);
  ++t_.cold.segments_out;
  if (!h_.has(Flag::rtx_running)) start_rtx(t_);
  return true;
}

// --- again -----------------------------------------------------------------------------------------------------------

bool Visit::resend() {
  Active* a = t_.active();
  State& tables = t_.tables();
  while (a != nullptr) {
    const bool forced = h_.has(Flag::resend_head);
    const auto lost = tables.ranges.next_lost(a->ranges);
    if (!lost) break;
    const std::uint32_t size = segment_size();
    std::uint32_t n = std::min<std::uint32_t>(lost->end - lost->start, largest());
    if (forced) {
      n = std::min(n, size);
    } else {
      // RFC 6675 5 (C): while the pipe has room for a segment. Into a closed window only the first one goes.
      const std::uint32_t in_pipe = pipe(t_, *a);
      const std::uint32_t room = h_.window.cwnd > in_pipe ? h_.window.cwnd - in_pipe : 0;
      if (room < std::min(n, size) || h_.snd_wnd == 0) break;
      n = std::min(n, std::max(room, size));
    }
    if (n > size) n -= n % size;
    if (sent_bytes_ >= kVisitBytes) return stop(Outcome::more);
    const SeqNum end_of_data = t_.data_nxt();
    const bool last = lost->start + n == end_of_data;
    wire::TcpFlags flags = TcpFlag::ack;
    if (last && t_.unsent() == 0) flags |= TcpFlag::psh;
    if (last && h_.has(Flag::fin_sent)) flags |= TcpFlag::fin;
    std::uint32_t sent = 0;
    if (!emit({.seq = lost->start, .length = n, .flags = flags, .cursor = &a->resend_cursor}, sent)) return false;
    h_.flags.clear(Flag::resend_head);
    if (last && sent == n) h_.flags.clear(Flag::fin_lost);
    tables.ranges.resent(a->ranges, lost->start, lost->start + sent, us_now(t_.core), a->delivered, kRangeCap);
    const std::uint32_t segments = (sent + size - 1) / size;
    t_.cold.retransmits += segments;
    t_.core.counters.add(Counter::tcp_retransmitted_segments, segments);
    t_.core.counters.add(Counter::tcp_retransmitted_bytes, sent);
    // RFC 6675 6: the time-out gives the first segment's second copy the time of a round trip, too.
    if (!h_.has(Flag::rtx_running) || lost->start == t_.data_una()) start_rtx(t_);
  }
  h_.flags.clear(Flag::resend_head);
  if (h_.has(Flag::fin_lost) && (a == nullptr || a->ranges.lost == a->ranges.resent)) {
    if (!emit_empty(h_.snd_nxt - 1, TcpFlag::fin | TcpFlag::ack)) return false;
    h_.flags.clear(Flag::fin_lost);
    ++t_.cold.retransmits;
    t_.core.counters.add(Counter::tcp_retransmitted_segments);
    if (!h_.has(Flag::rtx_running)) start_rtx(t_);
  }
  return true;
}

// --- new data --------------------------------------------------------------------------------------------------------

// RFC 9293 3.8.6.2.1 and 3.7.4 (Nagle): may octets leave that don't fill the last segment? `n` of `unsent` fit the
// windows.
bool Visit::partial_may_go(std::uint32_t n, std::uint32_t unsent) const {
  if (n < unsent) {  // the window cut it: (3), or (4)
    return n < segment_size() && (n >= t_.max_window() / 2 || h_.has(Flag::uncork));
  }
  if (h_.has(Flag::fin_queued)) return true;
  if (h_.has(Flag::uncork)) return true;
  if (h_.has(Flag::cork)) return false;
  if (h_.has(Flag::nodelay) || t_.payload_in_flight() == 0) return true;
  // Minshall's variant, as Linux has it: what waits for an acknowledgement is the small segment before, not full ones.
  // RFC 9293 3.7.4: exception: there any unacknowledged data holds a small segment back.
  const SeqNum small = t_.active()->small_end;
  return !(h_.snd_una < small && small <= h_.snd_nxt);
}

void Visit::hold_partial(Active& a) {
  if (!h_.has(Flag::cork) || a.corked) return;
  a.corked = true;
  a.cork_due = tick_in(t_.core, 200'000);  // Linux: a cork holds for 200 ms at most
}

// RFC 5681 4.1: after an RTO of silence the window says nothing about the network.
void Visit::restart_after_idle(Active& a) {
  if (h_.in_flight() != 0 || !t_.options().on(OptionId::tcp_slow_start_after_idle)) return;
  const std::uint32_t idle_ms = ms_now(t_.core) - t_.cold.last_tx_ms;
  if (idle_ms == 0 || std::uint64_t{idle_ms} * 1000 <= rto_us(t_)) return;
  prepare_congestion(t_, a);
  t_.congestion().on_idle(a.congestion, h_.window, h_.mss, t_.option(OptionId::tcp_initial_window));
}

// What leaves soon after something came is taken for a reply: so will the next one be.
void Visit::begin_flight() {
  const std::uint32_t since_ms = ms_now(t_.core) - t_.cold.last_rx_ms;
  if (std::uint64_t{since_ms} * 1000 <= t_.option(OptionId::tcp_reply_wait)) h_.flags.set(Flag::talks_back);
}

bool Visit::send_new() {
  Active* a = t_.active();
  if (a == nullptr || !kSending.has(h_.state) || h_.has(Flag::fin_sent)) return true;
  State& tables = t_.tables();
  if (t_.unsent() != 0) {
    restart_after_idle(*a);
    if (t_.payload_in_flight() == 0) begin_flight();
  }
  while (true) {
    const std::uint32_t unsent = t_.unsent();
    if (unsent == 0) break;
    const std::uint32_t size = segment_size();
    const SeqNum edge = h_.snd_una + h_.snd_wnd;
    const std::uint32_t window = h_.snd_nxt < edge ? edge - h_.snd_nxt : 0;
    std::uint32_t n = std::min(unsent, window);
    if (n == 0) break;
    const std::uint32_t in_pipe = pipe(t_, *a);
    const std::uint32_t room = h_.window.cwnd > in_pipe ? h_.window.cwnd - in_pipe : 0;
    if (room < std::min(n, size)) break;  // the congestion window
    n = std::min({n, room, largest()});
    if (n % size != 0 && !partial_may_go(n, unsent)) {
      n -= n % size;
      if (n == 0) {
        hold_partial(*a);
        break;
      }
    }
    if (sent_bytes_ >= kVisitBytes) return stop(Outcome::more);
    if (!tables.ranges.room(a->ranges)) return stop(Outcome::starved);
    wire::TcpFlags flags = TcpFlag::ack;
    const bool last = n == unsent;
    if (last) flags |= TcpFlag::psh;
    const bool fin = last && h_.has(Flag::fin_queued) && n < window;
    if (fin) flags |= TcpFlag::fin;
    std::uint32_t sent = 0;
    if (h_.in_flight() == 0) a->stalled_since = tick_now(t_.core);
    if (!emit({.seq = h_.snd_nxt, .length = n, .flags = flags, .cursor = &a->send_cursor}, sent)) return false;
    tables.ranges.sent(a->ranges, h_.snd_nxt, h_.snd_nxt + sent, us_now(t_.core), a->delivered, kRangeCap);
    h_.snd_nxt += sent;
    if (sent % size != 0) a->small_end = h_.snd_nxt;
    if (fin && sent == n) {
      h_.snd_nxt += 1;
      h_.flags.set(Flag::fin_sent);
    }
    t_.core.counters.add(Counter::tcp_bytes_out, sent);
    if (last && sent == n) a->corked = false;
    if (!h_.has(Flag::rtx_running) || h_.has(Flag::persist)) {
      h_.flags.clear(Flag::persist);
      start_rtx(t_);  // RFC 6298 5.1
    }
  }
  h_.flags.clear(Flag::uncork);
  // RFC 7661 4.3, RFC 9438 5.8: whether the window was what held us back.
  h_.flags.put(Flag::app_limited, t_.unsent() == 0 && pipe(t_, *a) + h_.mss <= h_.window.cwnd);
  return true;
}

// What header prediction is to the way in: in ESTABLISHED, with nothing lost or missing, all that is unsent leaves in
// one segment, and the acknowledgement with it. A request, or its reply. False: nothing was done.
bool Visit::send_usual() {
  Active* const a = t_.active();
  // Who only receives is sent off before anything but the block's first lines is touched.
  if (a == nullptr || a->send.empty() || h_.state != TcpState::established || batch_.full()) return false;
  if (h_.flags.any(Flag::send_syn, Flag::resend_head, Flag::fin_queued, Flag::fin_lost, Flag::probe_now, Flag::uncork,
                   Flag::cork, Flag::persist))
    return false;
  const RangeList& r = a->ranges;
  if (a->recovery != Recovery::none || a->dup_acks != 0 || r.sacked != 0 || r.lost != 0) return false;
  if (a->ooo.count != 0) return false;  // ACKs of their own are owed
  const std::uint32_t in_flight = t_.payload_in_flight();
  const std::uint32_t n = a->send.size() - in_flight;
  if (n == 0 || n > kCopyBytes || n > segment_size() || in_flight > kCopyDepth) return false;
  if (in_flight + n > h_.snd_wnd || in_flight + n > h_.window.cwnd) return false;
  if (in_flight != 0 && !h_.has(Flag::nodelay)) return false;
  RangePool& ranges = t_.tables().ranges;
  if (!ranges.room(r) || !prepared()) return false;
  Core& core = t_.core;
  Packet packet = core.pool.allocate(ChunkClass::small, kHeadroom, in_flight == 0 ? Priority::control : Priority::data);
  if (!packet) return false;
  if (in_flight == 0) {
    restart_after_idle(*a);  // it leaves room for one segment
    begin_flight();
    a->stalled_since = tick_now(core);
  }
  Sum sum = 0;
  (void)a->send.peek_summed(core.pool, in_flight, packet.append(n), sum);
  core.counters.add(Counter::copied_bytes, n);
  count_data(n, 1);
  send_plain(std::move(packet), h_.snd_nxt, h_.rcv_nxt, TcpFlag::ack | TcpFlag::psh, sum);
  acknowledged(h_.rcv_nxt);
  ranges.sent(a->ranges, h_.snd_nxt, h_.snd_nxt + n, us_now(core), a->delivered, kRangeCap);
  h_.snd_nxt += n;
  if (n < segment_size()) a->small_end = h_.snd_nxt;
  a->corked = false;
  core.counters.add(Counter::tcp_bytes_out, n);
  if (!h_.has(Flag::rtx_running)) start_rtx(t_);  // RFC 6298 5.1
  h_.flags.put(Flag::app_limited, in_flight + n + h_.mss <= h_.window.cwnd);
  return true;
}

bool Visit::send_fin() {
  if (!h_.has(Flag::fin_queued) || h_.has(Flag::fin_sent) || t_.unsent() != 0 || !kSending.has(h_.state)) return true;
  // A FIN needs a sequence number of the peer's window; with nothing in flight it is its own window probe.
  if (h_.snd_una + h_.snd_wnd <= h_.snd_nxt && h_.in_flight() != 0) return true;
  if (!emit_empty(h_.snd_nxt, TcpFlag::fin | TcpFlag::ack)) return false;
  if (Active* a = t_.active(); a != nullptr && h_.in_flight() == 0) a->stalled_since = tick_now(t_.core);
  h_.snd_nxt += 1;
  h_.flags.set(Flag::fin_sent);
  if (!h_.has(Flag::rtx_running) || h_.has(Flag::persist)) {
    h_.flags.clear(Flag::persist);
    start_rtx(t_);
  }
  return true;
}

// --- probes and ACKs
// ---------------------------------------------------------------------------------------------------

// RFC 9293 3.8.4 and 3.8.6.1: exception: a window probe carries no octet of data but the sequence number before
// SND.UNA, like a keep-alive: every receiver answers it, and none can take a part of it. So does Linux
// (tcp_xmit_probe_skb), and what Linux's peers are used to is what the network is tested with.
bool Visit::send_probe() {
  if (!h_.has(Flag::probe_now)) return true;
  if (!emit_empty(h_.snd_una - 1, TcpFlag::ack)) return false;
  h_.flags.clear(Flag::probe_now);
  return true;
}

// The reader has all that came and will be heard of soon: what is due becomes what is owed, for a short while.
bool Visit::wait_for_reply() {
  Active* a = t_.active();
  if (a == nullptr || !a->ack_may_wait || !a->receive.empty() || h_.has(Flag::window_update)) return false;
  if (a->owes_dsack) return false;
  const std::uint32_t most = std::min(t_.option(OptionId::tcp_reply_wait), t_.option(OptionId::tcp_delayed_ack));
  const std::uint32_t due = tick_in(t_.core, most);
  if (!h_.has(Flag::ack_later) || static_cast<std::int32_t>(due - a->ack_due) < 0) a->ack_due = due;
  a->ack_may_wait = false;
  h_.flags.clear(Flag::ack_now);
  h_.flags.set(Flag::ack_later);
  return true;
}

// RFC 5681 4.2: for every arrival behind a gap, after what came before it. Data that went just now carried the first.
bool Visit::send_duplicates(Active& a) {
  if (!h_.flags.take(Flag::ack_now)) --a.duplicates_owed;
  bool sent = h_.last_ack_sent == h_.rcv_nxt || emit_ack(h_.rcv_nxt);
  while (sent && a.duplicates_owed != 0) {
    sent = emit_ack(h_.rcv_nxt);
    if (sent) --a.duplicates_owed;
  }
  if (!sent) h_.flags.set(Flag::ack_now);  // the rest of them with the next visit
  return sent;
}

bool Visit::send_acks() {
  Active* a = t_.active();
  if (a != nullptr && a->ooo.count != 0 && a->duplicates_owed != 0) return send_duplicates(*a);
  if (!h_.flags.any(Flag::ack_now, Flag::window_update)) return true;
  if (wait_for_reply()) return true;
  // RFC 5681 4.2: as many ACKs as the arrivals of a burst made due (receiver.cpp says what counts), unless one for all
  // of it will do. The ones before the last acknowledge equal shares of it, in whole segments.
  if (a != nullptr && a->ooo.count == 0 && a->rcv_mss != 0) {
    const std::uint32_t segments = t_.option(OptionId::tcp_ack_segments);
    while (a->full_segments >= 2 * segments && t_.option(OptionId::tcp_stretch_acks) != 2) {
      const std::uint32_t share = (h_.rcv_nxt - h_.last_ack_sent) / (a->full_segments / segments);
      const std::uint32_t step = share / a->rcv_mss * a->rcv_mss;
      if (step == 0) break;
      if (!emit_ack(h_.last_ack_sent + step)) return false;
      a->full_segments = static_cast<std::uint8_t>(a->full_segments - segments);
    }
  }
  return emit_ack(h_.rcv_nxt);
}

// --- the visit
// ---------------------------------------------------------------------------------------------------------

bool Visit::wants_data() const {
  return t_.unsent() != 0 || (h_.has(Flag::fin_queued) && !h_.has(Flag::fin_sent));
}

// Who only receives owes nothing else, visit for visit: what sends is not even asked.
bool Visit::only_acknowledges() const {
  if (h_.flags.any(Flag::send_syn, Flag::resend_head, Flag::fin_queued, Flag::fin_lost, Flag::probe_now, Flag::uncork))
    return false;
  const Active* a = t_.active();
  return a == nullptr || (a->send.empty() && a->ranges.count == 0);
}

Outcome Visit::run() {
  if (h_.has(Flag::detached) || h_.state == TcpState::closed) return Outcome::done;
  CachedPath* const cached = path_of(t_);
  if (cached == nullptr) {
    // No way there now: what is owed is dropped, what waits for an acknowledgement is tried again by its timer.
    t_.core.counters.add(DropReason::ip_no_route);
    h_.flags.clear(Flag::ack_now);
    h_.flags.clear(Flag::probe_now);
    if (!h_.has(Flag::rtx_running) && (h_.in_flight() != 0 || wants_data() || h_.has(Flag::send_syn))) start_rtx(t_);
    h_.flags.clear(Flag::send_syn);
    finish_visit();
    return Outcome::done;
  }
  path_ = &cached->path;
  headers_ = &cached->headers;
  measure_options();
  if (send_usual()) {
    tell_writer(t_);
    return Outcome::done;
  }
  if (only_acknowledges()) {
    if (t_.active() != nullptr) h_.flags.put(Flag::app_limited, h_.mss <= h_.window.cwnd);
    send_acks();
  } else if (send_syn() && resend() && send_new() && send_fin() && send_probe()) {
    send_acks();
  }
  finish_visit();
  return outcome_;
}

void Visit::finish_visit() {
  // RFC 9293 3.8.6.1: data waits, nothing is in flight whose acknowledgement could open the window: probe.
  Active* const a = t_.active();
  const bool corked = a != nullptr && a->corked;
  if (outcome_ == Outcome::done && kSending.has(h_.state) && h_.in_flight() == 0 && wants_data() && !corked &&
      !h_.has(Flag::rtx_running)) {
    h_.flags.set(Flag::persist);
    if (a != nullptr) a->stalled_since = tick_now(t_.core);  // RFC 5482: the user timeout begins here
    start_rtx(t_);
  }
  if (h_.has(Flag::ack_later) || corked) schedule(t_);  // what rtx_due runs for was scheduled when it began
  if (sent_bytes_ != 0) tell_writer(t_);                // TCP_NOTSENT_LOWAT: less is unsent now
  release_if_quiet(t_);
}

}  // namespace

void output(Core& core, InterfaceId id, PacketBatch& batch) {
  State& s = core.tcp;
  if (s.waiting_count != 0) wake_waiting(core);
  IndexFifo& dirty = s.dirty[id < kDirtyLists ? id : 0];
  const auto link = [&s](Index i) -> Index& { return s.hot[i].link; };
  const unsigned most = id == kNoInterface ? kLoopbackVisits : kVisitsPerCall;
  for (unsigned visits = 0; visits < most && !dirty.empty() && (id == kNoInterface || !batch.full()); ++visits) {
    const Index i = dirty.pop_front(link);
    s.hot[i].link = kUnlinked;
    if (s.hot[i].has(Flag::freed)) {
      s.connection_pool.give(i, link);
      continue;
    }
    Tcb t{core, i};
    switch (Visit{t, id, batch}.run()) {
      case Outcome::done:
        if (t.hot.has(Flag::wants_memory) && t.hot.link == kUnlinked) wait_for_memory(t);
        break;
      case Outcome::more:
        if (t.hot.link == kUnlinked) mark_dirty(t);
        break;
      case Outcome::starved:
        if (t.hot.link == kUnlinked) wait_for_memory(t);
        break;
    }
  }
}

bool has_output(const Core& core, InterfaceId id) {
  const State& s = core.tcp;
  return !s.dirty[id < kDirtyLists ? id : 0].empty();
}

}  // namespace leat::tcp
