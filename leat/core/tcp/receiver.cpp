// The receiving half: text and FIN of acceptable segments, what window is advertised and when an ACK is due.

#include <leat/core/tcp/machine.hpp>
#include <limits>

namespace leat::tcp {
namespace {

// --- windows
// -----------------------------------------------------------------------------------------------------------

std::uint32_t receive_room(const Tcb& t, const Active* a) {
  const std::uint32_t limit = t.option(OptionId::receive_buffer);
  const std::uint32_t used = a == nullptr ? 0 : a->receive.size() + a->lent;
  return limit > used ? limit - used : 0;
}

// RFC 9293 3.8.6.2.2: the least step by which the window opens.
std::uint32_t least_step(const Tcb& t) {
  return std::min<std::uint32_t>(t.hot.mss, std::max<std::uint32_t>(1, largest_window(t.options()) / 2));
}

// Where the right edge would stand, were it moved now; RCV.ADV when that gains too little.
SeqNum next_edge(const Tcb& t, const Active* a) {
  const Hot& h = t.hot;
  const std::uint32_t most = 0xffffU << h.rcv_shift();
  const std::uint32_t room = std::min({receive_room(t, a), largest_window(t.options()), most}) >> h.rcv_shift()
                                                                                                      << h.rcv_shift();
  const SeqNum edge = h.rcv_nxt + room;
  if (edge <= h.rcv_adv || edge - h.rcv_adv < least_step(t)) return h.rcv_adv;  // it never moves back
  return edge;
}

// --- text
// --------------------------------------------------------------------------------------------------------------

void deliver(Tcb& t, Active& a, Segment& s) {
  State& tables = t.tables();
  Hot& h = t.hot;
  std::uint32_t n = s.length;
  s.strip();
  if (a.ooo.count != 0 && tables.ooo.first_start(a.ooo) < s.seq + n) {
    // Row D17: part of it is here already, and what came first wins. It goes through the queue, of which it needs no
    // node: its front joins the first range.
    wire::SackBlock overlap;
    (void)tables.ooo.insert(a.ooo, s.seq, std::move(s.in->packet), t.option(OptionId::tcp_max_ooo_nodes),
                            std::numeric_limits<std::uint32_t>::max(), &overlap);
    if (h.has(Flag::sack) && t.options().on(OptionId::tcp_dsack) && overlap.left < overlap.right)
      a.report_twice(overlap);
    n = 0;
  } else {
    a.receive.push(std::move(s.in->packet));
  }
  const SeqNum before = h.rcv_nxt;
  h.rcv_nxt += n;
  if (a.ooo.count != 0) {
    a.duplicates_owed = 0;  // they would repeat what is no longer true
    // RFC 5681 4.2: an ACK at once when a segment fills (part of) a gap.
    const std::uint32_t joined = tables.ooo.deliver(a.ooo, t.core.pool, h.rcv_nxt, a.receive);
    h.rcv_nxt += joined;
    n += joined;
    ack_soon(t);
  }
  if (h.rcv_nxt.value() < before.value()) ++t.cold.rcv_wraps;
  t.core.counters.add(Counter::tcp_bytes_in, n);
  t.notify(Ready::readable);
}

// Payload behind a gap. RFC 5681 4.2: an ACK at once, which is the duplicate that the sender counts; as many as there
// were segments. With SACK the last tells all: one for each arrival, so that it does not hang on a single packet.
void keep_for_later(Tcb& t, Active& a, Segment& s) {
  const std::uint32_t due = t.hot.has(Flag::sack) ? 1 : std::max<std::uint32_t>(1, s.in->packet.meta().merged);
  t.core.counters.add(Counter::tcp_out_of_order);
  const std::uint32_t cap = t.option(OptionId::tcp_max_ooo_nodes);
  const std::uint32_t budget = 2 * t.option(OptionId::receive_buffer);
  if (scarce(t.core.pool, kQueueShare)) {
    t.core.drop(std::move(s.in->packet), DropReason::no_buffers);
    ack_soon(t);
    return;
  }
  s.strip();
  wire::SackBlock overlap;
  switch (t.tables().ooo.insert(a.ooo, s.seq, std::move(s.in->packet), cap, budget, &overlap)) {
    case OooInsert::stored:
      break;
    case OooInsert::duplicate:
      t.core.counters.add(DropReason::tcp_duplicate);
      break;
    case OooInsert::refused:
      t.core.counters.add(DropReason::tcp_ooo_full);
      break;
  }
  if (t.hot.has(Flag::sack) && t.options().on(OptionId::tcp_dsack) && overlap.left < overlap.right)
    a.report_twice(overlap);
  if (a.ooo.count != 0)
    a.duplicates_owed = static_cast<std::uint8_t>(std::min<std::uint32_t>(255, a.duplicates_owed + due));
  ack_soon(t);
}

void take_peer_fin(Tcb& t) {
  Hot& h = t.hot;
  h.rcv_nxt += 1;
  if (h.rcv_adv < h.rcv_nxt) h.rcv_adv = h.rcv_nxt;
  h.flags.clear(Flag::fin_ahead);
  if (Active* a = t.active()) t.tables().ooo.clear(a->ooo, t.core.pool);  // row D3: nothing comes behind a FIN
  ack_soon(t);
  happened(t, TcpEvent::fin);
  t.notify(Ready::readable | Ready::peer_fin | (kBothFins.has(h.state) ? Ready::hung_up : Ready::none));
  if (h.state == TcpState::time_wait) enter_time_wait(t);
}

}  // namespace

std::uint16_t advertise(Tcb& t, SeqNum ack) {
  Hot& h = t.hot;
  h.rcv_adv = next_edge(t, t.active());
  return static_cast<std::uint16_t>(std::min<std::uint32_t>((h.rcv_adv - ack) >> h.rcv_shift(), 0xffff));
}

void after_read(Tcb& t) {
  Hot& h = t.hot;
  if (!kReceiving.has(h.state) || h.has(Flag::detached)) return;
  const std::uint32_t limit = largest_window(t.options());
  const std::uint32_t window = h.receive_window();
  if (window > limit - limit / 2 && window >= 2U * h.mss) return;  // what can be gained is not worth a segment
  const SeqNum edge = next_edge(t, t.active());
  if (edge == h.rcv_adv) return;
  // Every ACK carries the window; a segment of its own is worth it when the peer may be held back.
  const std::uint32_t gain = edge - h.rcv_adv;
  if (window >= 2U * h.mss && gain < limit / 2) return;
  h.flags.set(Flag::window_update);
  mark_dirty(t);
}

void ack_soon(Tcb& t) {
  t.hot.flags.set(Flag::ack_now);
  if (Active* a = t.active()) a->ack_may_wait = false;
  mark_dirty(t);
}

namespace {

// How many full segments an arrival of `merged` ones counts for.
//
// RFC 9293 3.8.6.3: exception: a super-segment, which the device or GRO merged, is one arrival and makes one ACK due,
// however many segments it holds, as on Linux. To acknowledge every second one of its 45 segments costs as much as to
// receive it (on a TAP 22 writes, each processed by the sender's TCP), and tells nothing that the last ACK does not.
// A sender that counts ACKs instead of octets grows its window by the number of arrivals: slower than it could, never
// too fast. Those that count octets (RFC 3465, CUBIC, BBR: all in use) see no difference. Value 0 keeps to the letter.
std::uint32_t weight(const Tcb& t, std::uint32_t merged) {
  if (merged == 1) return 1;
  const OptionValues& o = t.options();
  const auto most = o.get(OptionId::tcp_stretch_acks) == 0 ? 255 : o.get(OptionId::tcp_ack_segments);
  return std::min(merged, static_cast<std::uint32_t>(most));
}

// RFC 9293 3.8.6.3: exception: the ACK of a request of several segments may wait for the reply that carries it, when
// replies have come at once so far (Linux: ping-pong mode). The sender must have nothing more to say (PSH: it is not
// its window that ended the burst) and room to go on if it has: a few segments are less than half of any initial
// window. The limit is far below a delayed ACK's, because the sender's probe of RFC 8985 7.2 expects an ACK of two
// segments within two round trips.
constexpr std::uint32_t kReplySegments = 4;

bool reply_may_carry(const Tcb& t, const Active& a, bool pushed) {
  const Hot& h = t.hot;
  const std::uint32_t most = kReplySegments * a.rcv_mss;
  return pushed && h.has(Flag::talks_back) && h.rcv_nxt - h.last_ack_sent <= most && h.receive_window() >= most &&
         t.option(OptionId::tcp_reply_wait) != 0;
}

}  // namespace

// RFC 9293 3.8.6.3, RFC 5681 4.2: at least every second full segment is acknowledged, and none waits longer than the
// limit. "Full" is measured by what the peer really sends.
void owe_ack(Tcb& t, Active& a, std::uint32_t size, std::uint32_t merged, bool pushed) {
  Hot& h = t.hot;
  mark_dirty(t);
  if (a.rcv_mss < size) a.rcv_mss = static_cast<std::uint16_t>(std::min<std::uint32_t>(size, 0xffff));
  if (size >= a.rcv_mss)
    a.full_segments = static_cast<std::uint8_t>(std::min<std::size_t>(a.full_segments + weight(t, merged), 255U));
  if (h.has(Flag::ack_now)) {
    a.ack_may_wait = a.ack_may_wait && reply_may_carry(t, a, pushed);
    return;
  }
  const OptionValues& o = t.options();
  // Segments that are smaller than the largest one was count by their octets (RFC 5681 4.2: 2 * RMSS), as on Linux.
  constexpr std::uint32_t kLeastMss = 536;
  const auto every = static_cast<std::uint32_t>(o.get(OptionId::tcp_ack_segments));
  const bool enough = h.has(Flag::ack_later) && every > 1 &&
                      h.rcv_nxt - h.last_ack_sent > (every - 1) * std::max<std::uint32_t>(a.rcv_mss, kLeastMss);
  const bool quick = h.quick_acks != 0 && !h.has(Flag::talks_back);
  if (quick) --h.quick_acks;
  if (quick || enough || a.full_segments >= every) {
    h.flags.set(Flag::ack_now);
    a.ack_may_wait = reply_may_carry(t, a, pushed);
    return;
  }
  if (h.has(Flag::ack_later)) return;
  const std::int64_t delay = o.get(OptionId::tcp_delayed_ack);
  if (delay == 0) {
    h.flags.set(Flag::ack_now);
    a.ack_may_wait = false;
    return;
  }
  delay_ack(t, static_cast<std::uint64_t>(delay));
}

void reader_waits(Tcb& t) {
  const Active* a = t.active();
  if (a == nullptr) return;
  const bool due = t.hot.has(Flag::ack_later) && a->full_segments >= t.option(OptionId::tcp_ack_segments);
  if (a->ack_may_wait || due) ack_soon(t);
}

// RFC 7323 4.3 (2): from segments that begin at or before what we acknowledged last.
void record_timestamp(Tcb& t, const Segment& s) {
  if (!s.timestamps || t.hot.last_ack_sent < s.seq) return;
  if (static_cast<std::int32_t>(s.ts_value - t.hot.ts_recent) >= 0) t.hot.ts_recent = s.ts_value;
}

Disposition take_text(Tcb& t, Segment& s) {
  if (s.length == 0) return go_on();
  Hot& h = t.hot;
  if (!kReceiving.has(h.state)) return drop(DropReason::tcp_bad_state);  // row D3: behind the peer's FIN
  if (h.has(Flag::orphan) || shut_both_ways(h)) {
    // RFC 9293 3.10.4 and RFC 2525 2.17: nobody will ever read this, and the peer must know.
    send_reset_for(t.core, s);
    t.core.drop(std::move(s.in->packet), DropReason::tcp_receive_closed);
    finish(t, TcpEvent::abort, Errc::connection_reset);
    return finished();
  }
  if (!acquire_active(t)) return drop(DropReason::no_buffers);  // not acknowledged: the peer sends it again
  Active& a = *t.active();
  if (h.has(Flag::fin_ahead) && a.fin_seq < s.seq + s.length) {
    // Octets past the end of the stream are not there.
    if (a.fin_seq <= s.seq) return ack_and_drop(DropReason::tcp_not_acceptable);
    s.length = a.fin_seq - s.seq;
    s.flags = s.flags.without(wire::TcpFlag::fin);
  }
  const PacketMeta& m = s.in->packet.meta();
  const std::uint32_t merged = std::max<std::uint32_t>(1, m.merged);
  t.hot.data_in += merged;
  const std::uint32_t size = m.gso_size != 0 ? std::min<std::uint32_t>(m.gso_size, s.length) : s.length;
  if (s.seq != h.rcv_nxt) {
    keep_for_later(t, a, s);
    return go_on();
  }
  if (!a.receive.empty() && scarce(t.core.pool, kReaderShare)) return drop(DropReason::no_buffers);
  // Row D3: octets that were queued behind the end of the stream are not there either.
  if (s.flags.fin()) t.tables().ooo.clear(a.ooo, t.core.pool);
  deliver(t, a, s);
  owe_ack(t, a, size, merged, s.flags.psh());
  if (h.has(Flag::fin_ahead) && a.fin_seq == h.rcv_nxt) {
    take_peer_fin(t);
    return finished();
  }
  return go_on();
}

void take_next_text(Tcb& t, Segment& s) {
  Core& core = t.core;
  Hot& h = t.hot;
  Packet& p = s.in->packet;
  if (!acquire_active(t)) return core.drop(std::move(p), DropReason::no_buffers);  // not acknowledged: it comes again
  Active& a = *t.active();
  if (!a.receive.empty() && scarce(core.pool, kReaderShare)) return core.drop(std::move(p), DropReason::no_buffers);
  const PacketMeta& m = p.meta();
  const std::uint32_t n = s.length;
  const std::uint32_t merged = std::max<std::uint32_t>(1, m.merged);
  const std::uint32_t size = m.gso_size != 0 ? std::min<std::uint32_t>(m.gso_size, n) : n;
  const std::uint32_t at = m.l4_offset + std::uint32_t{s.header_length};
  if (a.receive.empty() && m.fragment_count == 0) {
    a.receive.take_alone(std::move(p), at, n);
  } else if (m.head_length >= at + n && a.receive.take_copy(core.pool, {p.head().data() + at, n})) {
    p.reset();
  } else {
    s.strip();
    a.receive.push(std::move(p));
  }
  const std::uint32_t before = h.rcv_nxt.value();
  h.rcv_nxt += n;
  if (h.rcv_nxt.value() < before) ++t.cold.rcv_wraps;
  t.hot.data_in += merged;
  core.counters.add(Counter::tcp_bytes_in, n);
  t.notify(Ready::readable);
  owe_ack(t, a, size, merged, s.flags.psh());
}

Disposition take_fin(Tcb& t, Segment& s) {
  if (!s.flags.fin()) return go_on();
  Hot& h = t.hot;
  if (!kReceiving.has(h.state)) {
    ack_soon(t);  // RFC 9293 3.10.7.4 eighth: remain in the state; the peer's FIN came again
    return go_on();
  }
  const SeqNum at = s.seq + s.length;
  if (at == h.rcv_nxt) {
    take_peer_fin(t);
    return finished();
  }
  // Row D4: the FIN came before what precedes it. It is believed unless payload behind it is here already.
  if (h.has(Flag::fin_ahead) || !acquire_active(t)) return go_on();
  Active& a = *t.active();
  if (a.ooo.count != 0) {
    std::array<wire::SackBlock, 1> newest;
    SeqNum end = h.rcv_nxt;
    if (t.tables().ooo.sack_blocks(a.ooo, newest) == 1) end = newest[0].right;
    if (at < end) return go_on();
  }
  h.flags.set(Flag::fin_ahead);
  a.fin_seq = at;
  ack_soon(t);
  return go_on();
}

}  // namespace leat::tcp
