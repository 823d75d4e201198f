#pragma once
// What the files of the TCP machine share: a connection at hand (Tcb), time in the units of its tables, and the
// functions that more than one file calls, by file. Nothing outside core/tcp includes this.
//
// A received segment: on_segment.cpp stages and dispatches, input_*.cpp check (RFC 9293 3.10.7), receiver.cpp takes
// text, recovery.cpp takes acknowledgements. A visit of the egress: sender.cpp, segment_output.cpp. Time: timeouts.cpp.
// Threading: the owner of the shard.

#include <leat/base/prefetch.hpp>
#include <leat/core/core.hpp>
#include <leat/core/tcp/isn.hpp>
#include <leat/core/tcp/segment.hpp>

namespace leat::tcp {

// --- time --------------------------------------------------------------------------------------------------------

// Deadlines are ticks of the wheel modulo 2^32 (78 hours), compared within half of that.
[[nodiscard]] inline std::uint32_t tick_now(const Core& core) {
  return static_cast<std::uint32_t>(static_cast<std::uint64_t>(core.now.count_ns()) >> TimerWheel::kTickShift);
}
// The first tick that is at least `us` away.
[[nodiscard]] inline std::uint32_t tick_in(const Core& core, std::uint64_t us) {
  constexpr std::uint64_t kRoundUp = (1U << TimerWheel::kTickShift) - 1;
  return static_cast<std::uint32_t>((static_cast<std::uint64_t>(core.now.count_ns()) + us * 1000 + kRoundUp) >>
                                    TimerWheel::kTickShift);
}
[[nodiscard]] inline bool tick_passed(const Core& core, std::uint32_t due) {
  return static_cast<std::int32_t>(due - tick_now(core)) <= 0;
}
[[nodiscard]] inline Instant tick_instant(const Core& core, std::uint32_t due) {
  const std::int64_t now = core.now.count_ns() >> TimerWheel::kTickShift;
  const std::int64_t at = now + static_cast<std::int32_t>(due - static_cast<std::uint32_t>(now));
  return Instant::from_ns(at * TimerWheel::kTick.count_ns());
}
// Microseconds that passed since tick `since`, which is not in the future.
[[nodiscard]] inline std::uint64_t us_since_tick(const Core& core, std::uint32_t since) {
  return (std::uint64_t{tick_now(core) - since} << TimerWheel::kTickShift) / 1000;
}
[[nodiscard]] inline std::uint32_t ms_now(const Core& core) {
  return static_cast<std::uint32_t>(static_cast<std::uint64_t>(core.now.count_ns()) / 1'000'000);
}
[[nodiscard]] inline std::uint32_t us_now(const Core& core) {
  return static_cast<std::uint32_t>(static_cast<std::uint64_t>(core.now.count_ns()) / 1'000);
}

// --- memory --------------------------------------------------------------------------------------------------------

// Queues must leave memory for packets on their way: who holds the last chunk in a send queue can't receive the ACK
// that would free it, and who holds it out of order can't receive what fills the gap. True when less than 1 / `share`
// of a class of chunks is left.
[[nodiscard]] inline bool scarce(const PacketPool& pool, ChunkClass c, std::uint32_t share) {
  const std::uint32_t all = pool.layout().chunks[static_cast<std::size_t>(c)];
  return std::uint64_t{pool.chunks_free(c)} * share < all;
}
// True when less than 1 / `share` of the metas or of the chunks that every packet may need is left.
[[nodiscard]] inline bool scarce(const PacketPool& pool, std::uint32_t share) {
  return std::uint64_t{pool.packets_free()} * share < pool.layout().packets || scarce(pool, ChunkClass::small, share) ||
         scarce(pool, ChunkClass::normal, share);
}
inline constexpr std::uint32_t kQueueShare = 4;   // new data of writers, and data out of order
inline constexpr std::uint32_t kReaderShare = 8;  // data in order for a reader that has some already

// --- a connection --------------------------------------------------------------------------------------------------

struct Tcb {
  Tcb(Core& c, Index i) : core(c), id(i), hot(c.tcp.hot[i]), cold(c.tcp.cold[i]) {}

  [[nodiscard]] State& tables() const { return core.tcp; }
  [[nodiscard]] Active* active() const { return hot.active == kNoIndex ? nullptr : &core.tcp.active[hot.active]; }
  [[nodiscard]] const OptionValues& options() const {
    return hot.profile == 0 ? core.options : core.profiles[hot.profile];
  }
  [[nodiscard]] std::uint32_t option(OptionId o) const { return static_cast<std::uint32_t>(options().get(o)); }
  // The socket that listens to events; kNoIndex while nobody has accepted, and after close.
  [[nodiscard]] Index socket() const { return hot.has(Flag::in_accept_queue) ? kNoIndex : hot.socket; }
  void notify(Ready edges) const { core.sockets.notify(socket(), edges); }

  // The payload in the send queue: data_una .. data_nxt is in flight, the rest unsent.
  // The SYN has a number but no place in the queue. `max(snd_una, iss + 1)` would be wrong 2 GB later.
  [[nodiscard]] SeqNum data_una() const {
    const bool syn_unacknowledged = hot.snd_una == cold.iss && cold.una_wraps == 0;
    return hot.snd_una + (syn_unacknowledged ? 1U : 0U);
  }
  [[nodiscard]] SeqNum data_nxt() const { return hot.snd_nxt - (hot.has(Flag::fin_sent) ? 1U : 0U); }
  [[nodiscard]] std::uint32_t queued() const {
    const Active* a = active();
    return a == nullptr ? 0 : a->send.size();
  }
  [[nodiscard]] std::uint32_t unsent() const { return queued() - payload_in_flight(); }
  [[nodiscard]] std::uint32_t payload_in_flight() const {
    // With the FIN acknowledged SND.UNA stands behind it.
    const SeqNum nxt = data_nxt();
    const SeqNum una = data_una();
    return una < nxt ? nxt - una : 0;
  }
  [[nodiscard]] std::uint32_t max_window() const { return std::uint32_t{hot.max_window} << hot.snd_shift(); }
  [[nodiscard]] const CongestionOps& congestion() const;

  Core& core;
  Index id;
  Hot& hot;
  Cold& cold;
};

// What will be asked of connection i before anything else, and what else a sender needs and its active block. The
// second needs the first to have arrived, else it waits.
inline void prefetch_connection(const State& s, Index i) {
  prefetch_two(&s.hot[i]);
}
inline void prefetch_sender(const State& s, Index i) {
  const Hot& h = s.hot[i];
  if (h.in_flight() != 0) prefetch(&s.cold[i]);
  if (h.active != kNoIndex) prefetch_two(&s.active[h.active]);
}

// --- connection.cpp: life, state, lists ----------------------------------------------------------------------------

// A connection with neither socket nor flow; kNoIndex when all are in use.
[[nodiscard]] Index create(Core& core, TcpState born = TcpState::closed);
// Gives everything back, the flow-table entry included. The socket, if any, was closed or points elsewhere.
void destroy(Tcb& t);
// The only writer of a connection's state.
void set_state(Tcb& t, TcpState to);
inline void happened(Tcb& t, TcpEvent e) {
  set_state(t, next_state(t.hot.state, e));
}
[[nodiscard]] bool attach(Tcb& t, FlowHash hash);  // into the flow table; false: no room
void attached(Tcb& t);                             // it took an entry over
// What the memo knows a flow by; `ports` as in the peer's segments.
[[nodiscard]] inline std::uint64_t flow_mix(const IpAddress& local, const IpAddress& remote, std::uint32_t ports) {
  return FlowMemo::mix(load_be64(&local.bytes()[8]), load_be64(&remote.bytes()[8]), ports);
}
void detach(Tcb& t);
// The connection is over: timers stop, what was not sent is dropped, the socket hears of `error` (Errc{}: none).
// Received data stays for the reader. Without a socket everything goes.
void finish(Tcb& t, TcpEvent why, Errc error);
// RFC 1122 4.2.3.9: a soft error does not end a connection, but says why when it gives up. icmp.cpp.
[[nodiscard]] Errc why_given_up(const Tcb& t);
void forget_soft_error(Tcb& t);
// From CLOSING, FIN-WAIT-1 or FIN-WAIT-2: a record keeps TIME-WAIT, the control block goes as soon as nobody holds it.
void enter_time_wait(Tcb& t);
// False: all active blocks are in use (counted).
[[nodiscard]] bool acquire_active(Tcb& t);
// Gives the active block back when nothing is in it.
void release_if_quiet(Tcb& t);
void mark_dirty(Tcb& t);
void wait_for_memory(Tcb& t);
// Puts connections that waited for memory back on the dirty lists.
void wake_waiting(Core& core);
// The path of the connection, looked up at most once per change of routes; takes over a changed MTU. nullptr: no route.
[[nodiscard]] CachedPath* path_of(Tcb& t);
[[nodiscard]] CachedPath* find_cached_path(Core& core, const IpAddress& local, const IpAddress& remote,
                                           InterfaceId bound, Scope scope);
[[nodiscard]] std::uint32_t ip_header_length(const IpAddress& a);
// Hot::mss from the peer's MSS, the path's MTU and the options (RFC 9293 3.7.1, RFC 6691).
void compute_mss(Tcb& t, std::uint32_t mtu);
// Copies the options that have a flag and stay.
void load_options(Tcb& t);
// Linux: the first ACKs of a connection, and those after a silence, leave at once: a sender that begins knows little of
// the network and its window is small (slow start), and what it holds back for an ACK (Nagle) is part of a request.
constexpr std::uint8_t kQuickAcks = 16;
// An acceptable segment came.
inline void heard_now(Tcb& t) {
  constexpr std::uint32_t kSilenceMs = 200;  // Linux: an RTO, which is hardly ever longer
  Hot& h = t.hot;
  const std::uint32_t now_ms = ms_now(t.core);
  if (now_ms - h.last_rx_ms > kSilenceMs) h.quick_acks = kQuickAcks;
  h.last_rx_ms = now_ms;
}

// --- port_holders.cpp: who binds as BSD sockets do asks which connections, and which in TIME-WAIT, hold the port -----

// O(connections).
[[nodiscard]] bool connections_hold(Core& core, const BindKey& key, BindFlags flags);
// The same of many ports, one after the other, whatever may be shared: all connections are looked at once per 256.
class PortsOfConnections {
 public:
  PortsOfConnections(Core& core, const BindKey& key, bool v6only) : core_(core), key_(key), v6only_(v6only) {}
  [[nodiscard]] bool has(Port port);

 private:
  static constexpr std::uint32_t kAtOnce = 256;
  [[nodiscard]] bool in_window(std::uint32_t port) const { return port >= first_ && port < first_ + kAtOnce; }
  // Moves the window to the ports from `first` on and fills it.
  void look_from(std::uint32_t first);

  Core& core_;
  BindKey key_;  // of the bind; its port does not matter
  bool v6only_;
  std::uint32_t first_ = 0x10000;     // where the window begins: behind every port, until the first look
  std::array<bool, kAtOnce> held_{};  // held_[p - first_]: a connection holds port p
};

// --- open.cpp: what active, passive and simultaneous opens share ----------------------------------------------------

// The buffer, or less where tcp_window_clamp says so.
[[nodiscard]] inline std::uint32_t largest_window(const OptionValues& o) {
  const auto clamp = static_cast<std::uint32_t>(o.get(OptionId::tcp_window_clamp));
  const auto buffer = static_cast<std::uint32_t>(o.get(OptionId::receive_buffer));
  return clamp == 0 ? buffer : std::min(clamp, buffer);
}
[[nodiscard]] std::uint8_t receive_shift(std::uint32_t buffer);
[[nodiscard]] std::uint16_t mss_to_offer(const OptionValues& options, const IpAddress& remote, std::uint32_t mtu);
[[nodiscard]] SeqNum choose_iss(const Core& core, const TupleOffsets& offsets);
// The peer's SYN (of a SYN-ACK, or a crossing SYN): RCV.NXT, options, windows.
void learn_from_syn(Tcb& t, SeqNum irs, std::uint16_t window, const wire::TcpOptions& options);
// Handshake done: congestion window, notification, keep-alive.
void established(Tcb& t);
// A connection for the ACK that completes a SYN record or a cookie; kNoIndex when it could not be made.
struct Opened {
  FlowKey key;
  SeqNum irs, iss;
  std::uint16_t mss = 536;
  std::uint8_t wscale = 15;  // 15: none
  bool sack = false;
  bool timestamps = false;
  std::uint32_t ts_recent = 0;
  std::uint32_t sent_us = 0;  // when the SYN-ACK left that is answered; 0: not known
  bool resent = false;        // the SYN-ACK had to be sent again
};
[[nodiscard]] Index make_accepted(Core& core, Index listener, const Opened& o);

// --- on_segment.cpp, input_*.cpp ------------------------------------------------------------------------------------

void on_segment(Tcb& t, Segment& s);
void input_listen(Core& core, Index listener, Segment& s, SeqNum least_iss, bool has_least_iss);
void input_syn_record(Core& core, Index record, Segment& s);
// Linux TCP_DEFER_ACCEPT: is it still waited for data, and not yet accepted as it is?
[[nodiscard]] bool is_deferred(const Core& core, Index record);
void input_time_wait(Core& core, Index record, Segment& s);
void input_syn_sent(Tcb& t, Segment& s);
void input_synchronized(Tcb& t, Segment& s);
// A segment for nobody: RST, or nothing (RFC 9293 3.10.7.1).
void input_closed(Core& core, Segment& s);
void carry_out(Tcb& t, Segment& s, Disposition d);
[[nodiscard]] wire::TcpOptions parse_options(const Segment& s);

// --- receiver.cpp ---------------------------------------------------------------------------------------------------

[[nodiscard]] Disposition take_text(Tcb& t, Segment& s);
// The same for what header prediction has looked at: ESTABLISHED, the octets at RCV.NXT within the window, nothing out
// of order, no FIN, somebody who reads. Takes the packet.
void take_next_text(Tcb& t, Segment& s);
[[nodiscard]] Disposition take_fin(Tcb& t, Segment& s);
// What the window field of a segment that acknowledges `ack` says, and moves the advertised edge.
[[nodiscard]] std::uint16_t advertise(Tcb& t, SeqNum ack);
// After the reader took data: is a window update due?
void after_read(Tcb& t);
void ack_soon(Tcb& t);  // at the next visit
// In-order payload in `merged` segments of `size` octets came, the last with PSH or not: now, later, or with the reply.
void owe_ack(Tcb& t, Active& a, std::uint32_t size, std::uint32_t merged, bool pushed);
// The reader found nothing: it has no reply yet, so the ACK that waits for one goes.
void reader_waits(Tcb& t);
void record_timestamp(Tcb& t, const Segment& s);

// --- recovery.cpp ---------------------------------------------------------------------------------------------------

// An acceptable acknowledgement (SND.UNA <= SEG.ACK <= SND.NXT, or a bit older).
void on_ack(Tcb& t, const Segment& s, const wire::TcpOptions* options);
[[nodiscard]] bool on_usual_ack(Tcb& t, Active& a, const Segment& s);
void update_window(Tcb& t, const Segment& s);
void on_retransmission_timeout(Tcb& t, Active* a);
[[nodiscard]] std::uint32_t pipe(const Tcb& t, const Active& a);
void prepare_congestion(Tcb& t, Active& a);
// Wakes a writer that was told to wait, if there is room now.
void tell_writer(Tcb& t);
inline constexpr std::uint32_t kRangeCap = 256;  // retransmission units per connection

// --- tally.cpp -------------------------------------------------------------------------------------------------------

// How time is spent from now on: after payload was queued, sent or acknowledged, and when a writer begins or ends to
// wait.
void note_spending(Tcb& t, Active& a);
void all_delivered(Tcb& t, Active& a);  // the last of it was acknowledged
// Payload was queued. What may hold it back is noted when it is visited.
inline void begin_spending(Tcb& t, Active& a) {
  if (a.spending != Spending::nothing) return;
  a.spending = Spending::busy;
  a.spending_since = t.core.now;
  a.delivered = 0;
}
// The peer reports to have seen `octets` twice.
void count_dsack(Tcb& t, std::uint32_t octets);
void count_reordering(Tcb& t);
struct Spent {
  std::uint64_t busy_us = 0, window_us = 0, buffer_us = 0;  // busy: all of it
  std::uint32_t delivered = 0, dsacks = 0, reorderings = 0;
};
[[nodiscard]] Spent spent(const Core& core, Index connection);

// --- timeouts.cpp ---------------------------------------------------------------------------------------------------

void schedule(Tcb& t);  // sees to it that the earliest deadline is met
void delay_ack(Tcb& t, std::uint64_t us);
// The ACK has left: a deadline of it that is as near as one that waits for a reply would wake somebody for nothing. One
// that is further away stays in the queue, for the ACKs that will be delayed meanwhile.
void forget_near_ack(Tcb& t);
// Ticks until the delayed ACK is due; 0: it is.
[[nodiscard]] std::uint32_t ack_wait(const Core& core, const Hot& h);
void start_rtx(Tcb& t);
void start_rtx_in(Tcb& t, std::uint64_t us);
void stop_rtx(Tcb& t);
[[nodiscard]] std::uint32_t rto_us(const Tcb& t);

// --- sender.cpp -----------------------------------------------------------------------------------------------------

bool output(Core& core, InterfaceId id, PacketBatch& batch);
[[nodiscard]] bool has_output(const Core& core, InterfaceId id);

// --- control.cpp: segments that belong to no send queue --------------------------------------------------------------

struct Bare {
  FlowKey key{};
  SeqNum seq{};
  SeqNum ack{};
  wire::TcpFlags flags{};
  std::uint16_t window = 0;
  wire::TcpOptions options{};
  std::uint8_t ttl = 0;  // 0: the stack's
  std::uint8_t traffic_class = 0;
  std::uint32_t mark = 0;
  // As the options of a socket have it.
  void take(const OptionValues& o) {
    ttl = static_cast<std::uint8_t>(o.get(OptionId::ip_default_ttl));
    traffic_class = static_cast<std::uint8_t>(o.get(OptionId::ip_tos));
    mark = static_cast<std::uint32_t>(o.get(OptionId::mark));
  }
};
// Into `out` when it is given and has room (it collects for the egress interface), else into the interface's queue.
bool send_bare(Core& core, const Bare& b, CachedPath& path, InterfaceId collecting = kNoInterface,
               PacketBatch* out = nullptr);
bool send_bare(Core& core, const Bare& b);          // along the path between the two addresses
void send_reset_for(Core& core, const Segment& s);  // RFC 9293 3.10.7.1 and 3.5.2
void send_reset(Tcb& t);                            // SEQ = SND.NXT
void send_syn_ack(Core& core, Index record);
// False: no route leads back.
bool send_syn_ack(Core& core, const SynInfo& half_open, std::uint32_t ts_offset);
void send_cookie(Core& core, Index listener, const Segment& s, const wire::TcpOptions& options);
[[nodiscard]] bool may_challenge(Tcb& t);
[[nodiscard]] std::uint32_t timestamp_now(const Core& core, std::uint32_t offset);
[[nodiscard]] std::uint32_t timestamp_offset_of(const Core& core, const FlowKey& key);
inline std::uint32_t timestamp_now(const Tcb& t) {
  return timestamp_now(t.core, t.hot.ts_offset);
}

// --- listener.cpp ---------------------------------------------------------------------------------------------------

void drop_syn_record(Core& core, Index record);
// False: the accept queue is full.
[[nodiscard]] bool enqueue_accepted(Core& core, Index listener, Index connection);
[[nodiscard]] Index find_listener(const Core& core, const Segment& s);
// What the table has under the key: a connection, a half-open one, or one in TIME-WAIT.
[[nodiscard]] FlowValue find_flow(const State& s, FlowHash hash, const FlowKey& key);

}  // namespace leat::tcp
