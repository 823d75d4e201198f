#include <leat/api/channel/udp.hpp>

namespace leat::channel {
namespace call {

std::optional<Result<RecvFrom>> DatagramRecv::at_once(SocketState&) const {
  if (to.empty()) return Result<Value>{fail(Error::of(BadRequest::zero_size_buffer).code)};
  return std::nullopt;
}

std::optional<Result<Datagram>> DatagramRecvBytes::at_once(SocketState&) const {
  if (d.bytes.empty()) return Result<Value>{fail(Error::of(BadRequest::zero_size_buffer).code)};
  return std::nullopt;
}

namespace {

template <class Value>
std::optional<Result<Value>> refused(const Command& command) {
  const BadRequest bad = check(command);
  if (bad == BadRequest::none) return std::nullopt;
  return Result<Value>{fail(Error::of(bad).code)};
}

}  // namespace

std::optional<Result<std::size_t>> DatagramSend::at_once(SocketState& s) const {
  return refused<Value>(s.handle.kind() == SocketKind::raw ? Command{RawSend{s.handle, to.address, bytes}}
                                                           : Command{UdpSend{s.handle, to, bytes}});
}

std::optional<Result<std::size_t>> DatagramRecvMany::at_once(SocketState& s) const {
  if (auto bad = refused<Value>(RecvMany{s.handle, into})) return bad;
  return std::nullopt;
}

std::optional<Result<std::size_t>> DatagramSendMany::at_once(SocketState& s) const {
  if (datagrams.empty()) return Result<Value>{std::size_t{0}};
  return refused<Value>(SendMany{s.handle, datagrams});
}

}  // namespace call

Result<UdpSocket> UdpSocket::from(std::shared_ptr<SocketState> state, const Response& response) {
  const auto* const bound = std::get_if<Bound>(&response);
  if (bound == nullptr) return fail(std::get<Error>(response).code);
  state->handle = bound->socket;
  return UdpSocket{std::move(state), bound->local};
}

Result<RawSocket> RawSocket::open(const Channel& channel, IpVersion version, std::uint8_t protocol) {
  return open_blocking<RawSocket>(channel, RawOpen{version, protocol}, kForever);
}

Result<RawSocket> RawSocket::from(std::shared_ptr<SocketState> state, const Response& response) {
  const auto* const opened = std::get_if<Opened>(&response);
  if (opened == nullptr) return fail(std::get<Error>(response).code);
  state->handle = opened->socket;
  return RawSocket{std::move(state)};
}

}  // namespace leat::channel
