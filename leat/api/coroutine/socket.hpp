#pragma once
// TcpStream, TcpListener, UdpSocket: sockets of a Service for coroutines. What can wait is awaited, what can't is an
// ordinary call.
//
//   Task<void> echo(TcpStream s) {
//     std::array<std::uint8_t, 4096> data;
//     for (;;) {
//       const auto got = co_await s.read(data);
//       if (!got || got->count == 0) co_return;                       // an error, or the end of the stream
//       if (!co_await s.write_all({data.data(), got->count})) co_return;
//     }
//   }
//
// Sockets own their handle: the end of the object closes the socket (gracefully, in the background), and what still
// waits on it ends with Errc::bad_handle. Awaiting moves nothing out of the caller's spans and copies no span: they
// stay valid until the operation has ended. At most one operation per direction is useful; several are served in order.
//
// Errors: those of the verbs, those of op/service.hpp, and of Limit. Threading: one task at a time uses an object, but
// for one reader and one writer; different sockets of a service are used from any executors.

#include <leat/api/coroutine/operation.hpp>
#include <memory>
#include <span>

namespace leat::coroutine {

// What the three have in common. A moved-from or default one is empty: operations on it end with Errc::bad_handle.
class Socket {
 public:
  Socket() = default;
  Socket(std::shared_ptr<Service> service, Handle handle) : service_(std::move(service)), handle_(handle) {}
  Socket(Socket&& o) noexcept : service_(std::move(o.service_)), handle_(std::exchange(o.handle_, {})) {}
  Socket& operator=(Socket&& o) noexcept;
  ~Socket() { close(); }

  void close();
  [[nodiscard]] bool is_open() const { return static_cast<bool>(handle_); }
  [[nodiscard]] Handle handle() const { return handle_; }
  // Gives the handle away; it is the caller's to close.
  [[nodiscard]] Handle release() { return std::exchange(handle_, {}); }
  [[nodiscard]] const std::shared_ptr<Service>& service() const { return service_; }
  [[nodiscard]] Result<Endpoint> local_endpoint() const;
  [[nodiscard]] Result<Endpoint> remote_endpoint() const;
  [[nodiscard]] Result<std::int64_t> option(OptionId id) const;
  Result<void> set_option(OptionId id, std::int64_t value);

 protected:
  static Result<Socket> open(std::shared_ptr<Service> service, SocketKind kind);
  Result<void> bind(const Endpoint& local);
  // Runs a verb that never waits.
  Op& call(Op& op) const;

  std::shared_ptr<Service> service_;
  Handle handle_;
};

class ConnectOperation;
class CloseOperation;

class TcpStream : public Socket {
 public:
  TcpStream() = default;
  TcpStream(std::shared_ptr<Service> service, Handle handle) : Socket(std::move(service), handle) {}

  // co_await -> Result<TcpStream>. `local`: bound first, when given.
  [[nodiscard]] static ConnectOperation connect(std::shared_ptr<Service> service, const Endpoint& remote,
                                                const Limit& limit = {}, const Endpoint& local = {});

  // At least one byte; count 0 with end_of_stream: the peer has finished, or shutdown() ended reading: what comes still
  // is read by later calls.
  IoOperation read(MutableByteSpan to, const Limit& limit = {});
  IoOperation read(std::span<const MutableByteSpan> to, const Limit& limit = {});
  // All of it, or what came before the end, the time-out or the cancellation.
  IoOperation read_all(MutableByteSpan to, const Limit& limit = {});
  IoOperation peek(MutableByteSpan to, const Limit& limit = {});
  // What fits, at least one byte.
  IoOperation write(ByteSpan from, const Limit& limit = {});
  IoOperation write(std::span<const ByteSpan> from, const Limit& limit = {});
  // All of it is queued; count is less only after a time-out or a cancellation.
  IoOperation write_all(ByteSpan from, const Limit& limit = {});
  IoOperation write_all(std::span<const ByteSpan> from, const Limit& limit = {});

  Result<void> shutdown(ShutdownHow how);
  // FIN behind what was written; co_await: until the peer has acknowledged all of it (what SO_LINGER is for). Reading
  // goes on. After Errc::timed_out or cancelled sending goes on too.
  VoidOperation finish(const Limit& limit = {});
  // Closes, and waits for the peer as long as the option `linger` says. However it ends, also before it began, the
  // socket is closed; the stream is empty from the call on.
  CloseOperation close_lingering(const Limit& limit = {});
  void abort();  // RST
};

// Opens, binds, connects. On failure and on cancellation the socket is closed.
class [[nodiscard]] ConnectOperation final : public Operation {
 public:
  ConnectOperation(TcpStream stream, const Endpoint& remote, const Limit& limit)
      : Operation(stream.service().get(), limit), stream_(std::move(stream)) {
    op().connect(stream_.handle(), remote);
  }
  explicit ConnectOperation(Errc failed) : Operation(failed) {}
  Result<TcpStream> await_resume();

 private:
  TcpStream stream_;
};

// Has the socket, and closes it when the operation never began.
class [[nodiscard]] CloseOperation final : public Operation {
 public:
  CloseOperation(TcpStream stream, const Limit& limit)
      : Operation(stream.service().get(), limit), stream_(std::move(stream)) {
    op().close(stream_.handle());
  }
  Result<void> await_resume();

 private:
  TcpStream stream_;
};

class [[nodiscard]] AcceptOperation final : public Operation {
 public:
  AcceptOperation(std::shared_ptr<Service> service, Handle listener, const Limit& limit)
      : Operation(service.get(), limit), service_owner_(std::move(service)) {
    op().accept(listener);
  }
  Result<TcpStream> await_resume();

 private:
  std::shared_ptr<Service> service_owner_;
};

class TcpListener : public Socket {
 public:
  TcpListener() = default;
  // Port 0: the stack chooses, local_endpoint() tells.
  [[nodiscard]] static Result<TcpListener> listen(std::shared_ptr<Service> service, const Endpoint& local,
                                                  std::uint32_t backlog = 128);
  // co_await -> Result<TcpStream>
  AcceptOperation accept(const Limit& limit = {}) { return {service_, handle_, limit}; }

 private:
  explicit TcpListener(Socket&& s) : Socket(std::move(s)) {}
};

struct Datagram {
  std::size_t count = 0;  // bytes in the caller's span; message.full_size is more when it was truncated
  Message message;
};

class [[nodiscard]] ReceiveFromOperation final : public Operation {
 public:
  ReceiveFromOperation(Service* service, Handle socket, MutableByteSpan to, const Limit& limit)
      : Operation(service, limit) {
    op().receive_from(socket, to, message_);
  }
  Result<Datagram> await_resume() {
    const Op& op = finish();
    if (op.error != Errc{}) return fail(op.error);
    return Datagram{op.count, message_};
  }

 private:
  Message message_;
};

// A datagram that is sent otherwise than its socket's options say.
class [[nodiscard]] SendAsOperation final : public Operation {
 public:
  SendAsOperation(Service* service, Handle socket, ByteSpan bytes, const Endpoint& to, const SendOverrides& as,
                  const Limit& limit)
      : Operation(service, limit), as_(as) {
    op().send_to(socket, bytes, to);
    op().overrides = &as_;
  }
  Result<IoCount> await_resume() { return finish().io(); }

 private:
  SendOverrides as_;
};

class UdpSocket : public Socket {
 public:
  UdpSocket() = default;
  // `local` of port 0 and an unspecified address: bound by the first send.
  [[nodiscard]] static Result<UdpSocket> open(std::shared_ptr<Service> service, const Endpoint& local = {});
  Result<void> connect(const Endpoint& remote);

  IoOperation send(ByteSpan bytes, const Limit& limit = {});  // where it is connected to
  IoOperation send_to(ByteSpan bytes, const Endpoint& to, const Limit& limit = {});
  // To whom `m` came from, from the address that it came to.
  SendAsOperation answer(ByteSpan bytes, const Message& m, const Limit& limit = {}) {
    return {service_.get(), handle_, bytes, m.from, answer_to(m), limit};
  }
  // Many by one operation, count is of datagrams: all of them are sent, or those before one that can't be; and what is
  // there is received, at least one.
  IoOperation send_many(std::span<const OutDatagram> datagrams, const Limit& limit = {});
  IoOperation receive_many(std::span<InDatagram> into, const Limit& limit = {});
  // co_await -> Result<Datagram>
  ReceiveFromOperation receive_from(MutableByteSpan to, const Limit& limit = {}) {
    return {service_.get(), handle_, to, limit};
  }

 private:
  explicit UdpSocket(Socket&& s) : Socket(std::move(s)) {}
};

}  // namespace leat::coroutine
