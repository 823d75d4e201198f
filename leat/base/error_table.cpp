#include <array>
#include <leat/base/error_table.hpp>

namespace leat {
namespace {

namespace e = errno_value;

#define ROW(code, number, sentence) \
  { Errc::code, e::number, #code, sentence }
constexpr std::array kErrors{
    ErrorInfo ROW(invalid_argument, kInvalid, "An argument is out of its range."),
    ErrorInfo ROW(bad_handle, kBadFile, "The handle names no socket: it is stale, foreign or was never given out."),
    ErrorInfo ROW(wrong_state, kInvalid, "The call does not fit the state that the socket is in."),
    ErrorInfo ROW(not_supported, kNotSupported, "This kind of socket or device does not have the operation."),
    ErrorInfo ROW(address_in_use, kAddressInUse, "The local address and port are taken."),
    ErrorInfo ROW(address_not_available, kAddressNotAvailable,
                  "The address is not one of ours, or no local port is left."),
    ErrorInfo ROW(network_unreachable, kNetUnreachable, "No route leads to the destination."),
    ErrorInfo ROW(host_unreachable, kHostUnreachable,
                  "The next hop does not answer, or a router reports the host unreachable."),
    ErrorInfo ROW(protocol_unreachable, kNoProtocolOption, "The peer's host does not have the protocol."),
    ErrorInfo ROW(connection_refused, kConnectionRefused, "Nothing listens at the peer's address and port."),
    ErrorInfo ROW(connection_reset, kConnectionReset, "The peer reset the connection."),
    ErrorInfo ROW(connection_aborted, kConnectionAborted, "The connection was aborted from this side."),
    ErrorInfo ROW(timed_out, kTimedOut, "The peer did not answer in time."),
    ErrorInfo ROW(not_connected, kNotConnected, "The socket has no peer."),
    ErrorInfo ROW(already_connected, kIsConnected, "The socket has a peer already."),
    ErrorInfo ROW(in_progress, kInProgress, "The operation has begun and will complete later."),
    ErrorInfo ROW(message_too_long, kMessageSize, "The datagram is larger than the protocol or the path allows."),
    ErrorInfo ROW(no_buffers, kNoBuffers, "No packet memory is free at the moment."),
    ErrorInfo ROW(no_memory, kNoMemory, "A table of the stack is full."),
    ErrorInfo ROW(permission_denied, kAccess, "The caller may not do this."),
    ErrorInfo ROW(interrupted, kInterrupted, "The wait was interrupted."),
    ErrorInfo ROW(cancelled, kCancelled, "The operation was cancelled."),
    ErrorInfo ROW(broken_pipe, kPipe, "The sending side of the connection has been shut down."),
    ErrorInfo ROW(destination_required, kDestinationRequired, "The datagram names no destination."),
    ErrorInfo ROW(again, kAgain, "The shard is in the middle of a call; call again after it returns."),
    ErrorInfo ROW(shut_down, kNetDown, "The stack has ended."),
    ErrorInfo ROW(io_error, kIo, "A device failed."),
    ErrorInfo ROW(not_found, kNoEntry, "There is no such entry."),
    ErrorInfo ROW(already_exists, kExists, "There is such an entry already."),
    ErrorInfo ROW(protocol_error, kProtocol, "The peer broke the protocol."),
    ErrorInfo ROW(no_protocol_option, kNoProtocolOption, "The level does not have the option."),
    ErrorInfo ROW(no_device, kNoDevice, "There is no such interface."),
};
#undef ROW

constexpr bool rows_stand_at_their_values() {
  for (std::size_t i = 0; i < kErrors.size(); ++i) {
    if (static_cast<std::size_t>(kErrors[i].code) != i + 1) return false;
  }
  return kErrors.size() == static_cast<std::size_t>(Errc::no_device);
}
static_assert(rows_stand_at_their_values());

}  // namespace

std::span<const ErrorInfo> error_table() {
  return kErrors;
}

const ErrorInfo& error_info(Errc code) {
  const std::size_t row = static_cast<std::size_t>(code) - 1;
  LEAT_ASSERT(row < kErrors.size());
  return kErrors[row];
}

}  // namespace leat
