#pragma once
// What a command is refused with, as a plain value. `bad_request` says that the command itself can't be done and why;
// `connection_reset` and `channel_closed` are what a program treats by name; everything else is `internal`, and `code`
// says which (timed_out, connection_refused, address_in_use ...). Every error has its Errc, and with it errno's number
// and a std::error_code of the generic category.
//
// Threading: values.

#include <cstdint>
#include <leat/base/error_table.hpp>
#include <string_view>
#include <system_error>

namespace leat::channel {

enum class BadRequest : std::uint8_t {
  none,
  unaddressable,     // nobody can be reached by this endpoint: no address, or port 0
  big_packet,        // longer than a datagram or a packet can be
  zero_size_buffer,  // a stream was given nothing to send, or a receiver nothing to receive into
  wrong_ip_version,  // IPv4 and IPv6 are mixed
};

struct Error {
  enum class Kind : std::uint8_t {
    bad_request,
    connection_reset,
    channel_closed,  // the stack is gone
    channel_full,    // a command that does not wait found no room
    internal,
  };
  Kind kind = Kind::internal;
  BadRequest bad_request = BadRequest::none;
  Errc code = Errc::invalid_argument;
  constexpr bool operator==(const Error&) const = default;

  static constexpr Error of(BadRequest why) {
    switch (why) {
      case BadRequest::unaddressable:
        return {Kind::bad_request, why, Errc::address_not_available};
      case BadRequest::big_packet:
        return {Kind::bad_request, why, Errc::message_too_long};
      case BadRequest::none:
      case BadRequest::zero_size_buffer:
      case BadRequest::wrong_ip_version:
        break;
    }
    return {Kind::bad_request, why, Errc::invalid_argument};
  }
  static constexpr Error of(Errc code) {
    if (code == Errc::connection_reset) return {Kind::connection_reset, BadRequest::none, code};
    if (code == Errc::shut_down) return {Kind::channel_closed, BadRequest::none, code};
    if (code == Errc::message_too_long) return {Kind::bad_request, BadRequest::big_packet, code};
    return {Kind::internal, BadRequest::none, code};
  }
  static constexpr Error full() { return {Kind::channel_full, BadRequest::none, kFullCode}; }

  [[nodiscard]] int errno_number() const { return errno_of(code); }
  [[nodiscard]] std::error_code error_code() const { return {errno_number(), std::generic_category()}; }

  // What a full channel answers to an operation that may not wait.
  static constexpr Errc kFullCode = Errc::no_buffers;
};

[[nodiscard]] constexpr std::string_view name_of(BadRequest why) {
  switch (why) {
    case BadRequest::none:
      return "none";
    case BadRequest::unaddressable:
      return "unaddressable";
    case BadRequest::big_packet:
      return "big_packet";
    case BadRequest::zero_size_buffer:
      return "zero_size_buffer";
    case BadRequest::wrong_ip_version:
      return "wrong_ip_version";
  }
  return "unknown";
}

}  // namespace leat::channel
