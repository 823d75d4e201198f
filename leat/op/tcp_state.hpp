#pragma once
// The states of a connection by their names (RFC 9293 3.3.2), for everybody who shows or compares them. What moves a
// connection from one to the next is the protocol's business (core/tcp/state.hpp).

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace leat::tcp {

enum class TcpState : std::uint8_t {
  closed,
  listen,
  syn_sent,
  syn_received,
  established,
  fin_wait_1,
  fin_wait_2,
  close_wait,
  closing,
  last_ack,
  time_wait,
};
inline constexpr std::size_t kStates = 11;

[[nodiscard]] constexpr std::string_view name_of(TcpState s) {
  constexpr std::array<std::string_view, kStates> kNames{"CLOSED",      "LISTEN",     "SYN-SENT",   "SYN-RECEIVED",
                                                         "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT",
                                                         "CLOSING",     "LAST-ACK",   "TIME-WAIT"};
  return kNames[static_cast<std::size_t>(s)];
}

}  // namespace leat::tcp
