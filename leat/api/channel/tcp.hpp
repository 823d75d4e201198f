#pragma once
// TcpStream and TcpListener: TCP in the channel's form. Every call exists three times: blocking with an optional
// time-out, try_ (does what can be done now), and awaited (async_).
//
//   auto stream = TcpStream::connect(channel, {*IpAddress::parse("192.0.2.1"), Port{80}}, Duration::s(5));
//   stream->send_all(request);
//   for (;;) { auto n = stream->recv(buffer); if (!n || *n == 0) break; ... }     // 0: the peer has finished
//
//   auto listener = co_await TcpListener::async_listen(channel, {IpAddress{}, Port{80}});
//   auto peer = co_await listener->async_accept();
//   auto n = co_await peer->async_recv(buffer);
//
// recv gives at least one byte or 0 for the end; send takes at least one. A time-out is Errc::timed_out and takes
// nothing with it. Both directions of a stream may be used by different threads or coroutines at once. shutdown_write
// ends our direction only; close (or the end of the object) does both, and what was sent still arrives: that goes on in
// the background. Who must know that it arrived asks by finish() before he closes. Connections are accepted by the
// stack whether or not somebody waits in accept, and keep what they received, their end included.
//
// Threading: socket_state.hpp.

#include <leat/api/channel/call.hpp>
#include <vector>

namespace leat::channel {

class TcpStream;

namespace call {

struct StreamRecv {
  using Value = std::size_t;
  MutableByteSpan to;
  std::optional<Result<Value>> at_once(SocketState&) const;
  void prepare(SocketState& s, Op& op) const { op.receive(s.handle, to); }
  Result<Value> result(SocketState&, Op& op) const { return op.count; }
  void give_back(SocketState& s, Op& op) const {
    if (op.count > 0) channel::give_back(s.channel.service(), s.handle, to.first(op.count), {}, op.value);
  }
};

// Into memory of its own.
struct StreamRecvBytes {
  using Value = std::vector<std::uint8_t>;
  static constexpr std::size_t kMost = std::size_t{1} << 20;  // at once
  explicit StreamRecvBytes(std::size_t most) : bytes(std::min(most, kMost)) {}
  std::vector<std::uint8_t> bytes;
  std::optional<Result<Value>> at_once(SocketState&) const;
  void prepare(SocketState& s, Op& op) { op.receive(s.handle, bytes); }
  Result<Value> result(SocketState&, Op& op) {
    bytes.resize(op.count);
    return std::move(bytes);
  }
  void give_back(SocketState& s, Op& op) { StreamRecv{bytes}.give_back(s, op); }
};

struct StreamSend {
  using Value = std::size_t;
  ByteSpan bytes;
  bool all = false;
  std::optional<Result<Value>> at_once(SocketState&) const;
  void prepare(SocketState& s, Op& op) const {
    op.send(s.handle, bytes);
    op.flags.some = !all;
  }
  Result<Value> result(SocketState&, Op& op) const { return op.count; }
  void give_back(SocketState&, Op&) const {}  // it was sent
};

struct StreamFinish {
  struct Value {};
  std::optional<Result<Value>> at_once(SocketState&) const { return std::nullopt; }
  void prepare(SocketState& s, Op& op) const { op.finish(s.handle); }
  Result<Value> result(SocketState&, Op&) const { return Value{}; }
  void give_back(SocketState&, Op&) const {}  // the FIN was sent
};

struct Accept {
  using Value = TcpStream;
  explicit Accept(const SocketState& listener) : fresh(std::make_shared<SocketState>(listener.channel)) {}
  std::shared_ptr<SocketState> fresh;
  std::optional<Result<Value>> at_once(SocketState&) const;
  void prepare(SocketState& s, Op& op) const { op.accept(s.handle); }
  Result<Value> result(SocketState&, Op& op);
  void give_back(SocketState& s, Op& op) const {
    if (op.handle) give_back_connection(s.channel.service(), s.handle, op.handle, op.endpoint);
  }
};

}  // namespace call

class TcpStream : public SocketOwner {
 public:
  TcpStream() = default;
  TcpStream(std::shared_ptr<SocketState> state, const Endpoint& remote)
      : SocketOwner(std::move(state)), remote_(remote) {}

  // `local`: unspecified and port 0 are the stack's choice.
  [[nodiscard]] static Result<TcpStream> connect(const Channel& channel, const Endpoint& remote,
                                                 Duration timeout = kForever, const Endpoint& local = {});
  // Begins to connect; try_connected() tells how it goes.
  [[nodiscard]] static Result<TcpStream> try_connect(const Channel& channel, const Endpoint& remote,
                                                     const Endpoint& local = {});
  [[nodiscard]] static OpenAwaiter<TcpStream> async_connect(const Channel& channel, const Endpoint& remote,
                                                            Duration timeout = kForever, const Endpoint& local = {});
  // False: not yet. An error: why there is no connection.
  [[nodiscard]] Result<bool> try_connected() const;

  [[nodiscard]] Result<std::size_t> recv(MutableByteSpan to, Duration timeout = kForever) const {
    return run_call(state(), call::StreamRecv{to}, timeout);
  }
  [[nodiscard]] Result<std::optional<std::size_t>> try_recv(MutableByteSpan to) const {
    return try_call(state(), call::StreamRecv{to});
  }
  [[nodiscard]] CallAwaiter<call::StreamRecv> async_recv(MutableByteSpan to, Duration timeout = kForever) const {
    return {state().shared_from_this(), {to}, timeout};
  }
  // At most this many bytes in memory of their own; none: the peer has finished.
  [[nodiscard]] Result<std::vector<std::uint8_t>> recv_bytes(std::size_t most, Duration timeout = kForever) const {
    return run_call(state(), call::StreamRecvBytes{most}, timeout);
  }
  [[nodiscard]] Result<std::optional<std::vector<std::uint8_t>>> try_recv_bytes(std::size_t most) const {
    return try_call(state(), call::StreamRecvBytes{most});
  }
  [[nodiscard]] CallAwaiter<call::StreamRecvBytes> async_recv_bytes(std::size_t most,
                                                                    Duration timeout = kForever) const {
    return {state().shared_from_this(), call::StreamRecvBytes{most}, timeout};
  }

  [[nodiscard]] Result<std::size_t> send(ByteSpan bytes, Duration timeout = kForever) const {
    return run_call(state(), call::StreamSend{bytes}, timeout);
  }
  // All of them; fewer only when the time was over or the connection ended first.
  [[nodiscard]] Result<std::size_t> send_all(ByteSpan bytes, Duration timeout = kForever) const {
    return run_call(state(), call::StreamSend{bytes, true}, timeout);
  }
  [[nodiscard]] Result<std::optional<std::size_t>> try_send(ByteSpan bytes) const {
    return try_call(state(), call::StreamSend{bytes});
  }
  [[nodiscard]] CallAwaiter<call::StreamSend> async_send(ByteSpan bytes, Duration timeout = kForever) const {
    return {state().shared_from_this(), {bytes}, timeout};
  }
  [[nodiscard]] CallAwaiter<call::StreamSend> async_send_all(ByteSpan bytes, Duration timeout = kForever) const {
    return {state().shared_from_this(), {bytes, true}, timeout};
  }

  // FIN behind what was sent; receiving goes on.
  Result<void> shutdown_write() const;
  // The same, and waits until the peer has acknowledged all of it: what SO_LINGER is for. Receiving goes on. After
  // Errc::timed_out sending goes on too: finish again, close, or abort. An error of the connection: not all arrived.
  Result<void> finish(Duration timeout = kForever) const;
  [[nodiscard]] Result<bool> try_finish() const;  // false: not yet
  // -> Result<...>, whose value says nothing.
  [[nodiscard]] CallAwaiter<call::StreamFinish> async_finish(Duration timeout = kForever) const {
    return {state().shared_from_this(), {}, timeout};
  }
  [[nodiscard]] Endpoint remote_addr() const { return remote_; }
  [[nodiscard]] Result<tcp::TcpInfo> info() const;

  [[nodiscard]] static Result<TcpStream> from(std::shared_ptr<SocketState> state, const Response& response);

 private:
  Endpoint remote_;
};

class TcpListener : public SocketOwner {
 public:
  TcpListener() = default;
  TcpListener(std::shared_ptr<SocketState> state, const Endpoint& local)
      : SocketOwner(std::move(state)), local_(local) {}

  // An unspecified address: every one (`::` takes both versions). Port 0: the stack's choice.
  [[nodiscard]] static Result<TcpListener> listen(const Channel& channel, const Endpoint& local,
                                                  std::uint32_t backlog = 128) {
    return open_blocking<TcpListener>(channel, TcpListen{local, backlog}, kForever);
  }
  [[nodiscard]] static OpenAwaiter<TcpListener> async_listen(const Channel& channel, const Endpoint& local,
                                                             std::uint32_t backlog = 128) {
    return {channel, TcpListen{local, backlog}, kForever};
  }

  [[nodiscard]] Result<TcpStream> accept(Duration timeout = kForever) const {
    return run_call(state(), call::Accept{state()}, timeout);
  }
  [[nodiscard]] Result<std::optional<TcpStream>> try_accept() const { return try_call(state(), call::Accept{state()}); }
  [[nodiscard]] CallAwaiter<call::Accept> async_accept(Duration timeout = kForever) const {
    return {state().shared_from_this(), call::Accept{state()}, timeout};
  }
  [[nodiscard]] Endpoint local_addr() const { return local_; }

  [[nodiscard]] static Result<TcpListener> from(std::shared_ptr<SocketState> state, const Response& response);

 private:
  Endpoint local_;
};

}  // namespace leat::channel
