#pragma once
// Readiness. A socket has a level (what is true now) and edges (what became true since last told). Whoever wants to
// know sets a Sink on the socket: one function, called in delivery and never from inside a call of the user's own.

#include <cstdint>
#include <leat/op/handle.hpp>

namespace leat {

enum class Ready : std::uint16_t {
  none = 0,
  readable = 1,      // data, or end of stream, or a connection to accept, or a datagram
  writable = 2,      // room in the send buffer
  connected = 4,     // the handshake is done
  peer_fin = 8,      // the peer sent FIN: end of stream after the data that is there
  closed = 16,       // both directions are over, or were shut down
  error = 32,        // an error waits (socket_error), or something is in the error queue
  unconnected = 64,  // a stream without a connection, and without an attempt
  hung_up = 128,     // both directions have their FIN; what was sent last may still be on its way
};
constexpr Ready operator|(Ready a, Ready b) {
  return static_cast<Ready>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr Ready operator&(Ready a, Ready b) {
  return static_cast<Ready>(static_cast<unsigned>(a) & static_cast<unsigned>(b));
}
constexpr Ready operator~(Ready a) {
  return static_cast<Ready>(~static_cast<unsigned>(a) & 255U);
}
constexpr Ready& operator|=(Ready& a, Ready b) {
  return a = a | b;
}
constexpr bool any(Ready r) {
  return r != Ready::none;
}
inline constexpr Ready kAllReady = static_cast<Ready>(255U);

// A sink may stay unset. `on_ready(context, user, socket, level, edges)`: `user` is the socket's user data.
struct Sink {
  using Function = void (*)(void* context, std::uint64_t user, Handle socket, Ready level, Ready edges);
  Function function = nullptr;
  void* context = nullptr;
  bool wants_level = true;  // else `level` is none: who acts on edges alone saves the question
};

}  // namespace leat
