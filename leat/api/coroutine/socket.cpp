#include <leat/api/coroutine/socket.hpp>

namespace leat::coroutine {

// --- what all have ---------------------------------------------------------------------------------------------------

Socket& Socket::operator=(Socket&& o) noexcept {
  if (this == &o) return *this;
  close();
  service_ = std::move(o.service_);
  handle_ = std::exchange(o.handle_, {});
  return *this;
}

Op& Socket::call(Op& op) const {
  op.flags.dont_wait = true;
  if (service_ == nullptr) {
    op.error = Errc::bad_handle;
  } else {
    service_->run(op);
  }
  return op;
}

void Socket::close() {
  if (!is_open()) return;
  Op op;
  op.close(std::exchange(handle_, {}));
  (void)call(op);
}

Result<Socket> Socket::open(std::shared_ptr<Service> service, SocketKind kind) {
  Socket s(std::move(service), {});
  Op op;
  op.open(kind);
  if (s.call(op).error != Errc{}) return fail(op.error);
  s.handle_ = op.handle;
  return s;
}

Result<void> Socket::bind(const Endpoint& local) {
  Op op;
  op.bind(handle_, local);
  return call(op).done();
}

Result<Endpoint> Socket::local_endpoint() const {
  Op op;
  op.verb = Verb::local_endpoint;
  op.socket = handle_;
  if (call(op).error != Errc{}) return fail(op.error);
  return op.endpoint;
}

Result<Endpoint> Socket::remote_endpoint() const {
  Op op;
  op.verb = Verb::remote_endpoint;
  op.socket = handle_;
  if (call(op).error != Errc{}) return fail(op.error);
  return op.endpoint;
}

Result<std::int64_t> Socket::option(OptionId id) const {
  Op op;
  op.get_option(handle_, id);
  if (call(op).error != Errc{}) return fail(op.error);
  return op.value;
}

Result<void> Socket::set_option(OptionId id, std::int64_t value) {
  Op op;
  op.set_option(handle_, id, value);
  return call(op).done();
}

// --- streams ---------------------------------------------------------------------------------------------------------

ConnectOperation TcpStream::connect(std::shared_ptr<Service> service, const Endpoint& remote, const Limit& limit,
                                    const Endpoint& local) {
  auto socket = open(std::move(service), SocketKind::stream);
  if (!socket) return ConnectOperation{socket.error()};
  TcpStream stream(socket->service(), socket->release());
  if (local != Endpoint{})
    if (const auto bound = stream.bind(local); !bound) return ConnectOperation{bound.error()};
  return {std::move(stream), remote, limit};
}

Result<TcpStream> ConnectOperation::await_resume() {
  if (finish().error != Errc{}) return fail(op().error);  // stream_ closes it
  return std::move(stream_);
}

IoOperation TcpStream::read(MutableByteSpan to, const Limit& limit) {
  return {service_.get(), limit, [&](Op& op) { op.receive(handle_, to); }};
}
IoOperation TcpStream::read(std::span<const MutableByteSpan> to, const Limit& limit) {
  return {service_.get(), limit, [&](Op& op) { op.receive(handle_, to); }};
}
IoOperation TcpStream::read_all(MutableByteSpan to, const Limit& limit) {
  return {service_.get(), limit, [&](Op& op) { op.receive(handle_, to), op.flags.wait_all = true; }};
}
IoOperation TcpStream::peek(MutableByteSpan to, const Limit& limit) {
  return {service_.get(), limit, [&](Op& op) { op.receive(handle_, to), op.flags.peek = true; }};
}
IoOperation TcpStream::write(ByteSpan from, const Limit& limit) {
  return {service_.get(), limit, [&](Op& op) { op.send(handle_, from), op.flags.some = true; }};
}
IoOperation TcpStream::write(std::span<const ByteSpan> from, const Limit& limit) {
  return {service_.get(), limit, [&](Op& op) { op.send(handle_, from), op.flags.some = true; }};
}
IoOperation TcpStream::write_all(ByteSpan from, const Limit& limit) {
  return {service_.get(), limit, [&](Op& op) { op.send(handle_, from); }};
}
IoOperation TcpStream::write_all(std::span<const ByteSpan> from, const Limit& limit) {
  return {service_.get(), limit, [&](Op& op) { op.send(handle_, from); }};
}

Result<void> TcpStream::shutdown(ShutdownHow how) {
  Op op;
  op.shutdown(handle_, how);
  return call(op).done();
}

VoidOperation TcpStream::finish(const Limit& limit) {
  return {service_.get(), limit, [&](Op& op) { op.finish(handle_); }};
}

CloseOperation TcpStream::close_lingering(const Limit& limit) {
  return {std::move(*this), limit};
}

Result<void> CloseOperation::await_resume() {
  const Op& op = finish();
  // A close that began has closed, whatever ended its wait.
  if (op.error == Errc::cancelled || op.error == Errc::again) stream_.close();
  (void)stream_.release();
  return op.done();
}

void TcpStream::abort() {
  if (!is_open()) return;
  Op op;
  op.abort(std::exchange(handle_, {}));
  (void)call(op);
}

// --- listeners -------------------------------------------------------------------------------------------------------

Result<TcpListener> TcpListener::listen(std::shared_ptr<Service> service, const Endpoint& local,
                                        std::uint32_t backlog) {
  auto socket = open(std::move(service), SocketKind::stream);
  if (!socket) return fail(socket.error());
  TcpListener listener(std::move(*socket));
  if (const auto bound = listener.bind(local); !bound) return fail(bound.error());
  Op op;
  op.listen(listener.handle_, backlog);
  if (listener.call(op).error != Errc{}) return fail(op.error);
  return listener;
}

Result<TcpStream> AcceptOperation::await_resume() {
  const Op& op = finish();
  if (op.error != Errc{}) return fail(op.error);
  return TcpStream{std::move(service_owner_), op.handle};
}

// --- datagrams -------------------------------------------------------------------------------------------------------

Result<UdpSocket> UdpSocket::open(std::shared_ptr<Service> service, const Endpoint& local) {
  auto socket = Socket::open(std::move(service), SocketKind::udp);
  if (!socket) return fail(socket.error());
  UdpSocket udp(std::move(*socket));
  if (local != Endpoint{})
    if (const auto bound = udp.bind(local); !bound) return fail(bound.error());
  return udp;
}

Result<void> UdpSocket::connect(const Endpoint& remote) {
  Op op;
  op.connect(handle_, remote);
  return call(op).done();
}

IoOperation UdpSocket::send(ByteSpan bytes, const Limit& limit) {
  return {service_.get(), limit, [&](Op& op) { op.send(handle_, bytes); }};
}
IoOperation UdpSocket::send_to(ByteSpan bytes, const Endpoint& to, const Limit& limit) {
  return {service_.get(), limit, [&](Op& op) { op.send_to(handle_, bytes, to); }};
}
IoOperation UdpSocket::send_many(std::span<const OutDatagram> datagrams, const Limit& limit) {
  return {service_.get(), limit, [&](Op& op) { op.send_many(handle_, datagrams); }};
}
IoOperation UdpSocket::receive_many(std::span<InDatagram> into, const Limit& limit) {
  return {service_.get(), limit, [&](Op& op) { op.receive_many(handle_, into); }};
}

}  // namespace leat::coroutine
