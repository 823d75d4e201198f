#pragma once
// Small values of socket calls: which way to shut down, how to receive, what is known of a datagram, many datagrams at
// once. Values.

#include <cstddef>
#include <cstdint>
#include <leat/base/address.hpp>
#include <leat/base/bytes.hpp>
#include <optional>

namespace leat {

using InterfaceId = std::uint16_t;  // 1-based; 0: none or any
inline constexpr InterfaceId kNoInterface = 0;
inline constexpr InterfaceId kMaxInterfaces = 32;  // of one stack
using OwnerId = std::uint8_t;                      // process or quota group; 0: the stack's own program

enum class ShutdownHow : std::uint8_t { read, write, both };
// What is in the way of a stream that shall be bound or listen: sockets that are bound or listen; with `alone`, as BSD
// sockets have it, connections of the port and what is left of them (TIME-WAIT) too, unless both have reuse_address.
enum class BindHow : std::uint8_t { beside_connections, alone };

struct Message {  // of a datagram that was received
  Endpoint from;
  Endpoint to;                // the destination it carried
  std::size_t full_size = 0;  // more than count: it was truncated
  InterfaceId interface = kNoInterface;
  std::uint8_t ttl = 0, traffic_class = 0;
  std::uint32_t missed = 0;  // datagrams that found the socket's buffer full, from the beginning on
};
// One of many datagrams that are sent or received by one operation.
struct OutDatagram {
  ByteSpan bytes;
  Endpoint to{};  // none: where the socket is connected to
};
struct InDatagram {
  MutableByteSpan to;
  std::size_t count = 0;  // bytes that came
  Message message{};
  // The whole length when the datagram was longer than the buffer.
  [[nodiscard]] std::optional<std::size_t> truncated() const {
    return message.full_size > count ? std::optional{message.full_size} : std::nullopt;
  }
};
// How one datagram is sent differently from what the socket's options say (IP_PKTINFO, IP_TTL, IP_TOS and the like).
struct SendOverrides {
  IpAddress source{};  // one of ours; unspecified, a group or broadcast: as the socket is bound, or as the route says
  InterfaceId interface = kNoInterface;  // kNoInterface: as usual
  std::int16_t ttl = -1;                 // hop limit; -1: as usual
  std::int16_t tos = -1;                 // traffic class
  bool dont_route = false;               // through no gateway
  std::uint32_t chunk = 0xffffffff;      // the engine's: the chunk of packet memory that the data is sent from
  [[nodiscard]] bool any() const {
    return !source.is_unspecified() || interface != kNoInterface || ttl >= 0 || tos >= 0 || dont_route;
  }
};
// To answer a datagram: from the address that was asked, on the link that it came from where addresses are of a link.
[[nodiscard]] constexpr SendOverrides answer_to(const Message& m) {
  const bool of_link = m.from.address.is_link_local() && !m.from.address.is_v4();
  return {.source = m.to.address, .interface = of_link ? m.interface : kNoInterface};
}
enum class RecvFlags : std::uint8_t { none = 0, peek = 1 };

}  // namespace leat
