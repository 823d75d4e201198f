#pragma once
// ErrorEntry: one piece of news from a socket's error queue (Linux IP_RECVERR): what went wrong with something that the
// socket sent, or when a packet left. Plain data, so that every form of the API can carry it. The bytes of the datagram
// that it speaks of, as far as they are known, go to a buffer of the caller's.
//
//   ErrorEntry e;  std::array<std::uint8_t, kErrorPayload> quoted;
//   stack.set_option(socket, OptionId::ip_receive_errors, 1);  ...
//   if (auto n = stack.try_receive_error(socket, quoted, e); n && n->status == IoStatus::done) ...
//
// Threading: values.

#include <cstddef>
#include <cstdint>
#include <leat/base/address.hpp>
#include <leat/base/result.hpp>
#include <leat/base/time.hpp>

namespace leat {

// Who says so. The values are those of Linux's SO_EE_ORIGIN_*.
enum class ErrorOrigin : std::uint8_t {
  none = 0,
  local = 1,         // this stack: the datagram did not leave
  icmp = 2,          // an ICMP message, of ours if a next hop did not answer
  icmp6 = 3,         // the same of IPv6
  timestamping = 4,  // no error: a packet left at `time`
};

// The longest piece of a quoted datagram that is kept.
inline constexpr std::size_t kErrorPayload = 128;

struct ErrorEntry {
  Errc error{};
  ErrorOrigin origin = ErrorOrigin::none;
  std::uint8_t type = 0, code = 0;  // of the ICMP message
  std::uint32_t info = 0;           // the MTU that fits, or the pointer of a parameter problem
  std::uint32_t data = 0;           // timestamping: which packet
  IpAddress offender{};             // who sent the ICMP message; unspecified for local errors
  Endpoint destination{};           // where the datagram was going
  std::uint16_t interface = 0;      // where the message came in (1-based); 0: nowhere
  std::uint16_t payload = 0;  // bytes of the datagram that are kept: behind UDP's header, from ICMP's and TCP's on
  Instant time{};             // when it was queued, or when the packet left
};

}  // namespace leat
