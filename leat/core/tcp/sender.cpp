// The sending half, pulled: output() visits the connections on an interface's dirty list while the batch has room. A
// visit sends, in this order: SYN, what is lost, new data as super-segments, FIN, a probe, and an ACK when nothing else
// carried it. How a segment is built: segment_output.cpp.

#include <leat/core/tcp/tcp.hpp>
#include <leat/core/tcp/visit.hpp>

namespace leat::tcp {

using wire::TcpFlag;

namespace {
constexpr unsigned kVisitsPerCall = 256;
constexpr unsigned kLoopbackVisits = 8;  // what they send goes to a queue of its own, not to the batch
}  // namespace

// --- SYN -------------------------------------------------------------------------------------------------------------

bool Visit::send_syn() {
  if (!h_.has(Flag::send_syn)) return true;
  const OptionValues& o = t_.options();
  Bare b{.key = h_.key,
         .seq = t_.cold.iss,
         .flags = TcpFlag::syn,
         .window = static_cast<std::uint16_t>(std::min<std::uint32_t>(largest_window(o), 0xffff))};
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
  if (!send_bare(t_.core, b, *cached_, id_, &batch_)) return stop(Outcome::starved);
  h_.flags.clear(Flag::send_syn);
  if (t_.cold.retries == 0) t_.cold.w_max = us_now(t_.core);
  if (t_.cold.retries != 0) t_.core.counters.add(Counter::tcp_retransmitted_segments);
  ++t_.hot.segments_out;
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
      const std::uint32_t room = t_.cold.window.cwnd > in_pipe ? t_.cold.window.cwnd - in_pipe : 0;
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
  const std::uint32_t idle_ms = ms_now(t_.core) - t_.hot.last_tx_ms;
  if (idle_ms == 0 || h_.in_flight() != 0) return;
  // No answer to a copy is under way any more.
  if (h_.has(Flag::copies_out) && std::uint64_t{idle_ms} * 1000 > rto_us(t_)) h_.flags.clear(Flag::copies_out);
  if (!t_.options().on(OptionId::tcp_slow_start_after_idle)) return;
  if (std::uint64_t{idle_ms} * 1000 <= rto_us(t_)) return;
  prepare_congestion(t_, a);
  // RFC 7661 4.4: not long ago the network took more: slow start goes up to near what it was.
  Window& w = t_.cold.window;
  w.ssthresh = std::max(w.ssthresh, w.cwnd - w.cwnd / 4);
  t_.congestion().on_idle(a.congestion, w, h_.mss, t_.option(OptionId::tcp_initial_window));
}

// What leaves soon after something came is taken for a reply: so will the next one be.
void Visit::note_reply() {
  if (h_.data_in == 0) return;  // an answer to the handshake's ACK is none
  const std::uint32_t since_ms = ms_now(t_.core) - t_.hot.last_rx_ms;
  if (std::uint64_t{since_ms} * 1000 > t_.option(OptionId::tcp_reply_wait)) return;
  h_.flags.set(Flag::talks_back);
}

bool Visit::send_new() {
  Active* a = t_.active();
  if (a == nullptr || !kSending.has(h_.state) || h_.has(Flag::fin_sent)) return true;
  State& tables = t_.tables();
  if (t_.unsent() != 0) {
    restart_after_idle(*a);
    if (t_.payload_in_flight() == 0) note_reply();
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
    const std::uint32_t room = t_.cold.window.cwnd > in_pipe ? t_.cold.window.cwnd - in_pipe : 0;
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
    if (h_.in_flight() == 0) begin_flight(a);
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
  const std::uint32_t flight = pipe(t_, *a);
  a->note_flight(flight, flight + h_.mss > t_.cold.window.cwnd, h_.snd_una, h_.snd_nxt);
  note_spending(t_, *a);
  return true;
}

// What header prediction is to the way in: in ESTABLISHED, with nothing lost or missing, all that is unsent leaves in
// one segment, and the acknowledgement with it. A request, or its reply. False: nothing was done.
bool Visit::send_usual() {
  Hot& h = h_;
  // Who only receives is sent off before anything but the block's first lines is touched.
  if (h.active == kNoIndex || h.state != TcpState::established || batch_.full()) return false;
  Core& core = t_.core;
  Active& a = core.tcp.active[h.active];
  const std::uint32_t queued = a.send.size();
  if (queued == 0) return false;
  if (h.flags.any(Flag::send_syn, Flag::resend_head, Flag::fin_queued, Flag::fin_lost, Flag::probe_now, Flag::uncork,
                  Flag::cork, Flag::persist))
    return false;
  if (a.recovery != Recovery::none || a.dup_acks != 0 || (a.ranges.sacked | a.ranges.lost) != 0) return false;
  if (a.ooo.count != 0 || a.owes_dsack) return false;  // ACKs of their own are owed, or options
  const std::uint32_t in_flight = h.in_flight();       // payload alone: in ESTABLISHED neither SYN nor FIN is
  const std::uint32_t n = queued - in_flight;
  if (n == 0 || n > kCopyBytes || n > h.mss || in_flight > kCopyDepth) return false;
  if (queued > h.snd_wnd || queued > t_.cold.window.cwnd) return false;
  if (in_flight != 0 && !h.has(Flag::nodelay)) return false;
  RangePool& ranges = core.tcp.ranges;
  if (!ranges.room(a.ranges) || !prepared()) return false;
  Packet packet = core.pool.allocate(ChunkClass::small, kHeadroom, in_flight == 0 ? Priority::control : Priority::data);
  if (!packet) return false;
  if (in_flight == 0) {
    restart_after_idle(a);  // it leaves room for one segment
    note_reply();
    begin_flight(&a);
  }
  const Sum sum = copy_payload(a, in_flight, n, packet);
  count_data(n, 1);
  const SeqNum seq = h.snd_nxt;
  send_plain(std::move(packet), seq, h.rcv_nxt, TcpFlag::ack | TcpFlag::psh, sum);
  acknowledged(h.rcv_nxt);
  ranges.sent(a.ranges, seq, seq + n, us_now(core), a.delivered, kRangeCap);
  h.snd_nxt = seq + n;
  if (n < h.mss) a.small_end = h.snd_nxt;
  a.corked = false;
  core.counters.add(Counter::tcp_bytes_out, n);
  if (!h.has(Flag::rtx_running)) start_rtx(t_);  // RFC 6298 5.1
  a.note_flight(queued, queued + h.mss > t_.cold.window.cwnd, h.snd_una, h.snd_nxt);
  if (a.spending != Spending::busy || h.has(Flag::write_blocked)) note_spending(t_, a);
  return true;
}

bool Visit::send_fin() {
  if (!h_.has(Flag::fin_queued) || h_.has(Flag::fin_sent) || t_.unsent() != 0 || !kSending.has(h_.state)) return true;
  // A FIN needs a sequence number of the peer's window; with nothing in flight it is its own window probe.
  if (h_.snd_una + h_.snd_wnd <= h_.snd_nxt && h_.in_flight() != 0) return true;
  if (!emit_empty(h_.snd_nxt, TcpFlag::fin | TcpFlag::ack)) return false;
  if (h_.in_flight() == 0) begin_flight(t_.active());
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
  a->ack_may_wait = false;
  h_.flags.clear(Flag::ack_now);
  if (!h_.has(Flag::ack_later) || tick_in(t_.core, most) - tick_now(t_.core) < ack_wait(t_.core, h_))
    delay_ack(t_, most);
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

// What came is read, or waits for its reader; its ACK waits, too.
bool Visit::nothing_leaves() const {
  const Active* a = t_.active();
  return !h_.flags.any(Flag::ack_now, Flag::window_update) && (a == nullptr || a->ooo.count == 0) &&
         only_acknowledges();
}

Outcome Visit::run() {
  if (h_.has(Flag::detached) || h_.state == TcpState::closed) return Outcome::done;
  if (nothing_leaves()) {
    finish_visit();
    return Outcome::done;
  }
  cached_ = path_of(t_);
  if (cached_ == nullptr) {
    // No way there now: what is owed is dropped, what waits for an acknowledgement is tried again by its timer.
    const auto bound = static_cast<InterfaceId>(t_.option(OptionId::bind_interface));
    t_.core.counters.add(ip::why_no_path(t_.core, h_.key.remote, bound));
    h_.flags.clear(Flag::ack_now);
    h_.flags.clear(Flag::probe_now);
    if (!h_.has(Flag::rtx_running) && (h_.in_flight() != 0 || wants_data() || h_.has(Flag::send_syn))) start_rtx(t_);
    h_.flags.clear(Flag::send_syn);
    probe_if_held();
    finish_visit();
    return Outcome::done;
  }
  path_ = &cached_->path;
  headers_ = &cached_->headers;
  if (send_usual()) {
    tell_writer(t_);
    return Outcome::done;
  }
  measure_options();
  if (only_acknowledges()) {
    send_acks();
  } else {
    if (send_syn() && resend() && send_new() && send_fin() && send_probe()) send_acks();
    probe_if_held();
  }
  finish_visit();
  return outcome_;
}

// RFC 9293 3.8.6.1: data waits, nothing is in flight whose acknowledgement could open the window: probe.
void Visit::probe_if_held() {
  Active* const a = t_.active();
  if (outcome_ != Outcome::done || !kSending.has(h_.state) || h_.in_flight() != 0 || h_.has(Flag::rtx_running)) return;
  if (!wants_data() || (a != nullptr && a->corked)) return;
  h_.flags.set(Flag::persist);
  begin_flight(a);
  if (h_.snd_wnd == 0) return start_rtx(t_);
  // RFC 1122 4.2.3.4: what a small window holds back overrides it after 0.1 to 1 s.
  start_rtx_in(t_, std::clamp<std::uint32_t>(rto_us(t_), 100'000, 1'000'000));
}

void Visit::finish_visit() {
  const Active* const a = t_.active();
  const bool corked = a != nullptr && a->corked;
  if (h_.has(Flag::ack_later) || corked) schedule(t_);  // what rtx_due runs for was scheduled when it began
  if (sent_bytes_ != 0) tell_writer(t_);                // TCP_NOTSENT_LOWAT: less is unsent now
  release_if_quiet(t_);
}

bool output(Core& core, InterfaceId id, PacketBatch& batch) {
  State& s = core.tcp;
  IndexFifo& dirty = s.dirty[id < kDirtyLists ? id : 0];
  if (dirty.empty()) return false;  // who waits for memory stays there: its deadline is what brings the next turn
  if (s.waiting_count != 0) wake_waiting(core);
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
  return !dirty.empty();
}

bool has_output(const Core& core, InterfaceId id) {
  const State& s = core.tcp;
  return !s.dirty[id < kDirtyLists ? id : 0].empty();
}

}  // namespace leat::tcp
