#include <leat/api/channel/tcp.hpp>

namespace leat::channel {
namespace call {

std::optional<Result<std::size_t>> StreamRecv::at_once(SocketState&) const {
  if (to.empty()) return Result<std::size_t>{fail(Error::of(BadRequest::zero_size_buffer).code)};
  return std::nullopt;
}

std::optional<Result<std::vector<std::uint8_t>>> StreamRecvBytes::at_once(SocketState&) const {
  if (bytes.empty()) return Result<Value>{fail(Error::of(BadRequest::zero_size_buffer).code)};
  return std::nullopt;
}

std::optional<Result<std::size_t>> StreamSend::at_once(SocketState&) const {
  if (bytes.empty()) return Result<std::size_t>{fail(Error::of(BadRequest::zero_size_buffer).code)};
  return std::nullopt;
}

std::optional<Result<TcpStream>> Accept::at_once(SocketState&) const {
  return std::nullopt;
}

Result<TcpStream> Accept::result(SocketState&, Op& op) {
  fresh->handle = op.handle;
  return TcpStream{std::move(fresh), op.endpoint};
}

}  // namespace call

Result<TcpStream> TcpStream::connect(const Channel& channel, const Endpoint& remote, Duration timeout,
                                     const Endpoint& local) {
  return open_blocking<TcpStream>(channel, TcpConnect{remote, local}, timeout);
}

Result<TcpStream> TcpStream::try_connect(const Channel& channel, const Endpoint& remote, const Endpoint& local) {
  return open_blocking<TcpStream>(channel, TcpConnect{remote, local}, kForever, true);
}

OpenAwaiter<TcpStream> TcpStream::async_connect(const Channel& channel, const Endpoint& remote, Duration timeout,
                                                const Endpoint& local) {
  return {channel, TcpConnect{remote, local}, timeout};
}

Result<bool> TcpStream::try_connected() const {
  Op op;
  op.verb = Verb::readiness;
  op.socket = handle();
  state().run(op);
  if (op.error != Errc{}) return fail(op.error);
  if (!any(op.ready & (Ready::error | Ready::closed))) return any(op.ready & Ready::connected);
  op.reset();
  op.verb = Verb::take_error;
  op.socket = handle();
  state().run(op);
  if (op.error != Errc{}) return fail(op.error);
  return fail(op.value != 0 ? static_cast<Errc>(op.value) : Errc::connection_aborted);
}

Result<void> TcpStream::shutdown_write() const {
  Op op;
  op.shutdown(handle(), ShutdownHow::write);
  state().run(op);
  return op.done();
}

Result<void> TcpStream::finish(Duration timeout) const {
  const auto done = run_call(state(), call::StreamFinish{}, timeout);
  if (!done) return fail(done.error());
  return {};
}

Result<bool> TcpStream::try_finish() const {
  const auto done = try_call(state(), call::StreamFinish{});
  if (done) return true;
  if (done.error() == Errc::in_progress) return false;
  return fail(done.error());
}

Result<tcp::TcpInfo> TcpStream::info() const {
  tcp::TcpInfo info;
  Op op;
  op.verb = Verb::tcp_info;
  op.socket = handle();
  op.info = &info;
  state().run(op);
  if (op.error != Errc{}) return fail(op.error);
  return info;
}

Result<TcpStream> TcpStream::from(std::shared_ptr<SocketState> state, const Response& response) {
  const auto* const connected = std::get_if<Connected>(&response);
  if (connected == nullptr) return fail(std::get<Error>(response).code);
  state->handle = connected->socket;
  return TcpStream{std::move(state), connected->remote};
}

Result<TcpListener> TcpListener::from(std::shared_ptr<SocketState> state, const Response& response) {
  const auto* const listening = std::get_if<Listening>(&response);
  if (listening == nullptr) return fail(std::get<Error>(response).code);
  state->handle = listening->listener;
  return TcpListener{std::move(state), listening->local};
}

}  // namespace leat::channel
