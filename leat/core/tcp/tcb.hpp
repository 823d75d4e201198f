#pragma once
// The control block of one connection, in three parts, so that an idle connection costs 192 bytes, a received segment
// touches one cache line before it is known to be good, and who only receives and acknowledges two:
//
//   Hot    128 B  what text that comes in order, and its ACK, need (line 0: demux compare and receive, line 1: the
//   rest) Cold    64 B  what else a sender needs, what is needed per connection, and the timer Active 256 B  only from
//   the first byte in flight, unread or out of order until the connection is quiescent. One full
//                 segment that was read and waits for its ACK is quiet enough: acquire_active works out the rest.
//
// Beside them a Tally of 64 B counts what nobody but TCP_INFO asks for, where the storage has room for it; it is not
// touched before there is something to count.
//
// All parts name each other by index; Hot and Cold of a connection have the same one. Sequence numbers are absolute.
// The front of the send queue is the octet at max(SND.UNA, ISS + 1); the queue holds what is unacknowledged and unsent.
// SND.NXT is the highest number ever sent: retransmission never rewinds it, so that ACKs always carry the true one.
// SND.WL2 is not kept: a window is taken only from an acceptable ACK, and such a one is never below the last (D10).
//
// Threading: one owner.

#include <leat/base/address.hpp>
#include <leat/base/index_list.hpp>
#include <leat/base/seq_num.hpp>
#include <leat/buf/chunk_queue.hpp>
#include <leat/core/modules.hpp>
#include <leat/core/socket.hpp>
#include <leat/core/tcp/congestion/congestion.hpp>
#include <leat/core/tcp/out_of_order.hpp>
#include <leat/core/tcp/ranges.hpp>
#include <leat/core/tcp/rtt.hpp>
#include <leat/core/tcp/state.hpp>
#include <leat/core/timer_wheel.hpp>
#include <leat/wire/tcp_options.hpp>

namespace leat::tcp {

// What is true of a connection, one bit each.
enum class Flag : std::uint32_t {
  timestamps = 1U << 0,        // negotiated
  sack = 1U << 1,              // negotiated
  window_scaling = 1U << 2,    // negotiated
  ack_now = 1U << 3,           // an ACK must leave with the next visit
  ack_later = 1U << 4,         // an ACK is owed, the delayed-ACK deadline runs
  send_syn = 1U << 5,          // SYN or SYN-ACK is to be sent (again)
  fin_queued = 1U << 6,        // the sending side was closed: FIN follows the last octet
  fin_sent = 1U << 7,          // SND.NXT counts our FIN
  fin_lost = 1U << 8,          // our FIN must be sent again
  fin_ahead = 1U << 9,         // the peer's FIN is known, at Active::fin_seq, but what precedes it is not here yet
  read_shut = 1U << 10,        // receiving was shut down: a reader that finds nothing is at the end
  orphan = 1U << 11,           // the user closed the socket: later data is answered with RST
  probe_now = 1U << 12,        // a zero-window or keep-alive probe is due
  rtx_running = 1U << 13,      // rtx_due runs: retransmission, persist, FIN-WAIT-2
  persist = 1U << 14,          // what rtx_due runs for is a zero-window probe
  resend_head = 1U << 15,      // the front of the queue goes again, whatever the windows say
  in_accept_queue = 1U << 16,  // Hot::socket is the link of that queue
  nodelay = 1U << 17,          // options, copied where the sender and the receiver read them
  cork = 1U << 18,
  ack_queued = 1U << 19,  // an entry of the AckQueue comes up not later than `ack_due`
  talks_back = 1U << 20,  // what the peer sends is answered: its ACK may wait for the reply
  keep_alive = 1U << 21,
  uncork = 1U << 22,         // a corked partial segment has waited long enough
  wants_memory = 1U << 23,   // a writer found a pool empty
  write_blocked = 1U << 24,  // a writer was told to wait: tell it when there is room
  passive = 1U << 25,        // opened by a listener
  detached = 1U << 26,       // not in the flow table: the connection is over, only the socket or unread data holds it
  copies_out = 1U << 27,     // without SACK: copies of what is acknowledged may be answered still, as duplicate ACKs
  freed = 1U << 28,          // to be given back when its list lets go of it
  soft_error = 1U << 29,     // Socket::soft_error was set since data was last acknowledged
  tallied = 1U << 30,        // the connection's Tally is in use
  window_update = 1U << 31,  // the reader freed enough: tell the peer with the next visit
};
class Flags {
 public:
  [[nodiscard]] constexpr bool has(Flag f) const { return (bits_ & static_cast<std::uint32_t>(f)) != 0; }
  template <class... More>
  [[nodiscard]] constexpr bool any(More... flags) const {
    return (bits_ & (0U | ... | static_cast<std::uint32_t>(flags))) != 0;
  }
  constexpr void set(Flag f) { bits_ |= static_cast<std::uint32_t>(f); }
  template <class... More>
  constexpr void clear(Flag f, More... flags) {
    bits_ &= ~(static_cast<std::uint32_t>(f) | ... | static_cast<std::uint32_t>(flags));
  }
  constexpr void put(Flag f, bool on) {
    if (on) {
      set(f);
    } else {
      clear(f);
    }
  }
  // Clears the flag; whether it was set.
  constexpr bool take(Flag f) {
    const bool was = has(f);
    clear(f);
    return was;
  }

 private:
  std::uint32_t bits_ = 0;
};

struct alignas(64) Hot {
  FlowKey key;  // 38 bytes
  TcpState state = TcpState::closed;
  std::uint8_t scales = 0;  // SND.WIND.SHIFT in the low four bits, RCV.WIND.SHIFT in the high ones
  SeqNum rcv_nxt;
  SeqNum snd_una;
  SeqNum snd_nxt;
  std::uint32_t snd_wnd = 0;  // octets
  SeqNum rcv_adv;             // right edge of the window that we advertised; it never moves back
  std::uint32_t ts_recent = 0;

  SeqNum snd_wl1;
  SeqNum last_ack_sent;
  Flags flags;
  Index active = kNoIndex;
  Index link = kUnlinked;  // of the dirty list of its interface, or of the list that waits for memory
  Index socket = kNoIndex;
  std::uint16_t mss = 536;       // payload of a full segment that we send: options are taken off
  std::uint16_t pmtu = 0;        // what `mss` was computed from
  std::uint16_t profile = 0;     // the option profile: the connection outlives its socket
  std::uint16_t max_window = 0;  // the largest window that the peer advertised, unscaled
  std::uint16_t ack_due = 0;     // ticks modulo 2^16, with Flag::ack_later
  std::uint8_t quick_acks = 0;   // ACKs that need not wait, until it is known that replies carry them
  std::uint8_t interface = 0;    // InterfaceId
  std::uint32_t last_rx_ms = 0;  // last acceptable segment; also the age of TS.Recent (RFC 7323 5.5)
  std::uint32_t last_tx_ms = 0;  // last segment with payload sent
  std::uint32_t ts_offset = 0;   // added to our timestamp clock: no relation between connections (RFC 7323 5.4)
  std::uint32_t segments_in = 0;
  std::uint32_t segments_out = 0;
  std::uint32_t data_in = 0;
  std::uint32_t data_out = 0;

  [[nodiscard]] constexpr unsigned snd_shift() const { return scales & 15U; }
  [[nodiscard]] constexpr unsigned rcv_shift() const { return scales >> 4U; }
  constexpr void set_shifts(unsigned snd, unsigned rcv) { scales = static_cast<std::uint8_t>(rcv << 4U | snd); }
  [[nodiscard]] constexpr bool has(Flag f) const { return flags.has(f); }
  [[nodiscard]] constexpr std::uint32_t in_flight() const { return snd_nxt - snd_una; }
  [[nodiscard]] constexpr bool any_ack_owed() const { return flags.any(Flag::ack_now, Flag::ack_later); }
  [[nodiscard]] constexpr std::uint32_t receive_window() const { return rcv_nxt < rcv_adv ? rcv_adv - rcv_nxt : 0; }
};
// The user neither reads nor sends any more, though he has not closed the socket.
constexpr bool shut_both_ways(const Hot& h) {
  return h.has(Flag::read_shut) && h.has(Flag::fin_queued);
}
static_assert(sizeof(FlowKey) == 38);
static_assert(sizeof(Hot) == 128);

struct alignas(64) Cold {
  static constexpr std::uint16_t kUndrawn = 0xffff;
  SeqNum iss;
  SeqNum irs;
  Window window;  // cwnd and ssthresh
  Rtt rtt;
  TimerNode timer;
  std::uint32_t rtx_due = 0;  // ticks
  std::uint32_t min_rtt_us = 0;
  std::uint32_t w_max = 0;  // congestion memory between flights; before ESTABLISHED: when the SYN was sent, us
  std::uint16_t peer_mss = 536;
  std::uint16_t challenge_left = kUndrawn;  // challenge ACKs left in second `challenge_second`
  std::uint16_t una_wraps = 0;              // times SND.UNA and RCV.NXT came around
  std::uint16_t rcv_wraps = 0;
  std::uint16_t bind_entry = 0;  // index + 1; 0: none
  std::uint8_t retries = 0;      // retransmissions or probes without an answer
  std::uint8_t challenge_second = 0;
  std::uint32_t retransmits = 0;
};
static_assert(sizeof(Cold) == 64);

enum class Recovery : std::uint8_t {
  none,
  fast,     // RFC 6675 or RFC 6582
  timeout,  // after a retransmission time-out, until what was in flight then is acknowledged
};

// What time passes with while there is payload to send, as Linux's chronographs tell it apart.
enum class Spending : std::uint8_t {
  nothing,  // there is none
  busy,     // it is on its way, or waits for the congestion window
  window,   // the peer's window holds it back
  buffer,   // all of it is in flight, the network would take more, and a writer waits for room in the buffer
};

struct alignas(64) Tally {
  std::array<std::uint64_t, 4> spent_ns{};  // by Spending
  std::uint32_t delivered = 0;              // segments with payload that the peer has, as of when the queue was empty
  std::uint32_t dsacks = 0;                 // segments that the peer says it had twice (RFC 2883)
  std::uint32_t reorderings = 0;            // times that what was sent once arrived behind what was sent later
};
static_assert(sizeof(Tally) == 64);

struct alignas(64) Active {
  Active() {
  }  // NOLINT(modernize-use-equals-default): each member once; a defaulted one would clear all 256 bytes first
  // Line 0: all that a connection needs which only receives.
  ChunkQueue receive;
  OutOfOrder ooo;
  Index next_free = kNoIndex;  // of a free block
  std::uint16_t rcv_mss = 0;   // largest payload received: what "a full segment" means
  Recovery recovery = Recovery::none;
  std::uint8_t full_segments = 0;  // full segments received since the last ACK
  bool owes_dsack = false;         // `dsack` is to be reported
  bool corked = false;             // a partial segment is held back until cork_due
  bool congestion_ready = false;   // `congestion` is set up
  bool ack_may_wait = false;       // with Flag::ack_now: for the reply
  // Line 1: what is in flight, and what waits to be sent.
  ChunkQueue send;
  RangeList ranges;  // of the payload in flight; SYN and FIN are not in it
  // Lines 2 and 3.
  CongestionState congestion;
  ChunkCursor send_cursor;          // where new data continues
  ChunkCursor resend_cursor;        // where retransmission continues
  std::uint32_t stalled_since = 0;  // ticks: since when what is unacknowledged makes no progress
  std::uint32_t delivered = 0;      // octets acknowledged since the queue was empty, SACKed ones included
  SeqNum recover;                   // SND.NXT when recovery or the time-out began (RFC 6582, RFC 6675)
  SeqNum fin_seq;                   // with Flag::fin_ahead
  SeqNum small_end;                 // behind the last segment sent that was not full
  wire::SackBlock dsack;            // to report once (RFC 2883)
  std::uint32_t cork_due = 0;       // ticks, with `corked`
  std::uint16_t dup_acks = 0;
  std::uint16_t confirmed = 0;       // in which second of some the path was last confirmed; 0: not yet
  std::uint8_t duplicates_owed = 0;  // ACKs that arrivals behind a gap made due since the last one
  std::uint32_t lent = 0;            // octets that were shown to a reader without a copy and are not given back yet
  Window before;                     // the window before the last reduction
  Instant spending_since;
  Spending spending = Spending::nothing;
  // How much of the window was in use, as of SND.NXT `flight_end`: until that is acknowledged only more counts.
  bool app_limited = true;           // less than all of it
  std::uint32_t largest_flight = 0;  // octets
  SeqNum flight_end;

  // `flight` octets are in flight now; `full`: the congestion window lets no more out.
  void note_flight(std::uint32_t flight, bool full, SeqNum una, SeqNum nxt) {
    if (!full && una < flight_end && !(app_limited && flight > largest_flight)) return;
    app_limited = !full;
    largest_flight = flight;
    flight_end = nxt;
  }
  void report_twice(const wire::SackBlock& b) {
    dsack = b;
    owes_dsack = true;
  }
};
static_assert(sizeof(Active) == 256);

}  // namespace leat::tcp
