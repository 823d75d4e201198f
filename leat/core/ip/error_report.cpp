#include <leat/core/core.hpp>
#include <leat/core/ip/error_report.hpp>

namespace leat::ip {
namespace {

void queue(Core& core, Index socket, ErrorEntry entry, ByteSpan payload) {
  entry.time = core.now;
  if (!core.sockets.queue_error(socket, entry, payload)) core.counters.add(Counter::error_queue_full);
}

}  // namespace

Errc errc_of(const IcmpError& e) {
  switch (e.kind) {
    case IcmpErrorKind::network_unreachable:
      return Errc::network_unreachable;
    case IcmpErrorKind::host_unreachable:
    case IcmpErrorKind::time_exceeded:
    case IcmpErrorKind::source_route_failed:
      return Errc::host_unreachable;
    case IcmpErrorKind::prohibited:
      // As Linux: EACCES for IPv6; for IPv4 what can't be reached, the network (code 9) or the host.
      if (!e.remote.is_v4()) return Errc::permission_denied;
      return e.code == 9 ? Errc::network_unreachable : Errc::host_unreachable;
    case IcmpErrorKind::protocol_unreachable:
      return Errc::protocol_unreachable;
    case IcmpErrorKind::port_unreachable:
      return Errc::connection_refused;
    case IcmpErrorKind::packet_too_big:
      return Errc::message_too_long;
    case IcmpErrorKind::parameter_problem:
    case IcmpErrorKind::other:
      return Errc::protocol_error;
  }
  return Errc::protocol_error;
}

bool is_hard(IcmpErrorKind kind) {
  switch (kind) {
    case IcmpErrorKind::protocol_unreachable:
    case IcmpErrorKind::port_unreachable:
    case IcmpErrorKind::prohibited:
      return true;
    case IcmpErrorKind::network_unreachable:
    case IcmpErrorKind::host_unreachable:
    case IcmpErrorKind::packet_too_big:
    case IcmpErrorKind::time_exceeded:
    case IcmpErrorKind::parameter_problem:
    case IcmpErrorKind::source_route_failed:
    case IcmpErrorKind::other:
      return false;
  }
  return false;
}

bool queues_errors(const Core& core, Index socket) {
  return core.options_of(core.sockets[socket]).on(OptionId::ip_receive_errors);
}

void queue_icmp_error(Core& core, Index socket, const IcmpError& e, Port destination, ByteSpan payload) {
  if (!queues_errors(core, socket)) return;
  queue(core, socket,
        {.error = errc_of(e),
         .origin = e.remote.is_v4() ? ErrorOrigin::icmp : ErrorOrigin::icmp6,
         .type = e.type,
         .code = e.code,
         .info = e.info,
         .offender = e.offender,
         .destination = {e.remote, destination},
         .interface = e.interface},
        payload);
}

void queue_local_error(Core& core, Index socket, Errc error, const Endpoint& destination, std::uint32_t info) {
  if (!queues_errors(core, socket)) return;
  queue(core, socket,
        {.error = error,
         .origin = ErrorOrigin::local,
         .info = info,
         .offender = IpAddress::any(destination.address.version()),
         .destination = destination},
        {});
}

}  // namespace leat::ip
