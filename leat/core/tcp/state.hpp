#pragma once
// The states of a connection (RFC 9293 3.3.2) and the one table that says what moves them: for each state and event
// the next state. Legal edges are what the table contains; `set_state` is the only writer of a connection's state and
// asserts that the edge is one of them. A test walks every state and event on a live stack against this table, and
// docs/tcp-states.md is printed from it.
//
// Events are named for what happened, after acceptability was checked: a segment outside of the window is no event.
// `fin_and_ack_of_fin` is one segment that carries the peer's FIN and acknowledges ours.

#include <array>
#include <cstddef>
#include <cstdint>
#include <leat/op/tcp_state.hpp>
#include <string_view>

namespace leat::tcp {

enum class TcpEvent : std::uint8_t {
  passive_open,
  active_open,
  close,    // the user's CLOSE, or the shutdown of the sending side
  abort,    // the user's ABORT
  syn,      // a bare SYN
  syn_ack,  // a SYN that acknowledges ours
  ack_of_syn,
  ack_of_fin,
  fin,
  fin_and_ack_of_fin,
  rst,
  give_up,  // R2, user timeout, FIN-WAIT-2 without a socket for too long, the end of TIME-WAIT
};
inline constexpr std::size_t kEvents = 12;

[[nodiscard]] constexpr std::string_view name_of(TcpEvent e) {
  constexpr std::array<std::string_view, kEvents> kNames{"passive open", "active open",     "close",      "abort",
                                                         "SYN",          "SYN-ACK",         "ACK of SYN", "ACK of FIN",
                                                         "FIN",          "FIN, ACK of FIN", "RST",        "give up"};
  return kNames[static_cast<std::size_t>(e)];
}

struct Edge {
  TcpState from;
  TcpEvent event;
  TcpState to;
};

// RFC 9293 3.3.2, figure 5, with the edges that the figure leaves to the text: RST, ABORT and give-up. What is not here
// leaves the state as it is. A listener answers a SYN with a record of its own (SYN cache) and stays in LISTEN; the
// record is the SYN-RECEIVED of the figure, and the ACK of its SYN-ACK makes the connection. RFC 9293 3.10.1:
// exception: a listener can't be made active; sockets don't offer it. RFC 9293 3.10.4: CLOSE in SYN-RECEIVED is queued
// and takes effect in ESTABLISHED. RFC 9293 3.10.5: exception: TIME-WAIT outlives an ABORT, old duplicates don't care
// for sockets.
inline constexpr std::array kEdges = [] {
  using enum TcpState;
  using enum TcpEvent;
  return std::to_array<Edge>({
      {closed, passive_open, listen},
      {closed, active_open, syn_sent},
      {listen, TcpEvent::close, closed},
      {listen, abort, closed},
      {syn_sent, TcpEvent::close, closed},
      {syn_sent, abort, closed},
      {syn_sent, syn, syn_received},
      {syn_sent, syn_ack, established},
      {syn_sent, rst, closed},
      {syn_sent, give_up, closed},
      {syn_received, abort, closed},
      {syn_received, ack_of_syn, established},
      {syn_received, syn_ack, established},  // both sides opened at once
      {syn_received, fin, close_wait},       // with the ACK of our SYN in the same segment
      {syn_received, rst, closed},
      {syn_received, give_up, closed},
      {established, TcpEvent::close, fin_wait_1},
      {established, abort, closed},
      {established, fin, close_wait},
      {established, rst, closed},
      {established, give_up, closed},
      {fin_wait_1, abort, closed},
      {fin_wait_1, ack_of_fin, fin_wait_2},
      {fin_wait_1, fin, closing},
      {fin_wait_1, fin_and_ack_of_fin, time_wait},
      {fin_wait_1, rst, closed},
      {fin_wait_1, give_up, closed},
      {fin_wait_2, abort, closed},
      {fin_wait_2, fin, time_wait},
      {fin_wait_2, fin_and_ack_of_fin, time_wait},
      {fin_wait_2, rst, closed},
      {fin_wait_2, give_up, closed},
      {close_wait, TcpEvent::close, last_ack},
      {close_wait, abort, closed},
      {close_wait, rst, closed},
      {close_wait, give_up, closed},
      {closing, abort, closed},
      {closing, ack_of_fin, time_wait},
      {closing, fin_and_ack_of_fin, time_wait},  // the FIN that came before, again
      {closing, rst, closed},
      {closing, give_up, closed},
      {last_ack, abort, closed},
      {last_ack, ack_of_fin, closed},
      {last_ack, fin_and_ack_of_fin, closed},
      {last_ack, rst, closed},
      {last_ack, give_up, closed},
      {time_wait, give_up, closed},
  });
}();

namespace detail {
using EdgesOfState = std::array<TcpState, kEvents>;
constexpr std::array<EdgesOfState, kStates> next_states() {
  std::array<EdgesOfState, kStates> next{};
  for (std::size_t from = 0; from < kStates; ++from) next[from].fill(static_cast<TcpState>(from));
  for (const Edge& e : kEdges) next[static_cast<std::size_t>(e.from)][static_cast<std::size_t>(e.event)] = e.to;
  return next;
}
inline constexpr std::array<EdgesOfState, kStates> kNext = next_states();
constexpr std::array<std::uint16_t, kStates> legal_edges() {
  std::array<std::uint16_t, kStates> bits{};
  for (const Edge& e : kEdges)
    bits[static_cast<std::size_t>(e.from)] =
        static_cast<std::uint16_t>(bits[static_cast<std::size_t>(e.from)] | (1U << static_cast<unsigned>(e.to)));
  return bits;
}
inline constexpr std::array<std::uint16_t, kStates> kLegal = legal_edges();
}  // namespace detail

// Where `event` leads from `from`; `from` itself when it changes nothing.
[[nodiscard]] constexpr TcpState next_state(TcpState from, TcpEvent event) {
  return detail::kNext[static_cast<std::size_t>(from)][static_cast<std::size_t>(event)];
}

[[nodiscard]] constexpr bool is_legal_edge(TcpState from, TcpState to) {
  return (detail::kLegal[static_cast<std::size_t>(from)] >> static_cast<unsigned>(to) & 1U) != 0;
}

// A set of states, for the tests that the RFC's text makes ("if the state is ESTABLISHED, FIN-WAIT-1 or ...").
class StateSet {
 public:
  template <class... States>
  constexpr explicit StateSet(States... states)
      : bits_(static_cast<std::uint16_t>((0U | ... | (1U << static_cast<unsigned>(states))))) {}
  [[nodiscard]] constexpr bool has(TcpState s) const { return (bits_ >> static_cast<unsigned>(s) & 1U) != 0; }

 private:
  std::uint16_t bits_;
};

// RFC 9293 3.3.2: both sides know each other's sequence numbers.
inline constexpr StateSet kSynchronized{TcpState::established, TcpState::fin_wait_1, TcpState::fin_wait_2,
                                        TcpState::close_wait,  TcpState::closing,    TcpState::last_ack,
                                        TcpState::time_wait};
// Data from the peer is taken.
inline constexpr StateSet kReceiving{TcpState::established, TcpState::fin_wait_1, TcpState::fin_wait_2};
// The user may queue data (RFC 9293 3.10.2).
inline constexpr StateSet kUserMaySend{TcpState::syn_sent, TcpState::syn_received, TcpState::established,
                                       TcpState::close_wait};
// Data and FIN in the send queue may be transmitted, for the first time or again.
inline constexpr StateSet kSending{TcpState::established, TcpState::fin_wait_1, TcpState::close_wait, TcpState::closing,
                                   TcpState::last_ack};
// Our FIN was sent.
inline constexpr StateSet kFinSent{TcpState::fin_wait_1, TcpState::fin_wait_2, TcpState::closing, TcpState::last_ack,
                                   TcpState::time_wait};
// The peer's FIN was received.
inline constexpr StateSet kFinReceived{TcpState::close_wait, TcpState::closing, TcpState::last_ack,
                                       TcpState::time_wait};

// Both FINs are in the stream's books: nothing new will be sent or received.
inline constexpr StateSet kBothFins{TcpState::closing, TcpState::last_ack, TcpState::time_wait};

}  // namespace leat::tcp
