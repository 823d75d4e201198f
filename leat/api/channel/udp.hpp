#pragma once
// UdpSocket and RawSocket: datagrams in the channel's form; each call blocking with an optional time-out, try_, and
// awaited (async_).
//
//   auto socket = UdpSocket::bind(channel, {IpAddress{}, Port{53}});
//   auto got = socket->recv_from(buffer);                   // got->message.from, got->count
//   if (got->truncated()) ...                                // the datagram was this long; the rest is gone
//   socket->answer(bytes, got->message);                     // from the address that was asked; send_to() chooses
//
// Many at once cost one command:
//
//   std::array<InDatagram, 64> in;                           // each with a buffer: in[i].to
//   auto n = socket->recv_many(in);                          // at least one; in[i].count, in[i].message
//   socket->send_many(answers);                              // OutDatagram{bytes, to} each
//
// A raw socket takes all IP packets of one protocol and version. Over IPv4 it receives them with their IP header, over
// IPv6 without (RFC 3542 3); what is sent gets its header from the stack. Threading: socket_state.hpp.

#include <leat/api/channel/call.hpp>
#include <vector>

namespace leat::channel {

// A datagram in memory of its own.
struct Datagram {
  std::vector<std::uint8_t> bytes;
  Message message;
  [[nodiscard]] std::optional<std::size_t> truncated() const {
    return message.full_size > bytes.size() ? std::optional{message.full_size} : std::nullopt;
  }
};

namespace call {

struct DatagramRecv {
  using Value = RecvFrom;
  MutableByteSpan to;
  Message message{};
  std::optional<Result<Value>> at_once(SocketState&) const;
  void prepare(SocketState& s, Op& op) { op.receive_from(s.handle, to, message); }
  Result<Value> result(SocketState&, Op& op) const { return RecvFrom{op.count, message}; }
  void give_back(SocketState& s, Op& op) const {
    channel::give_back(s.channel.service(), s.handle, to.first(op.count), message, 0);
  }
};

struct DatagramRecvBytes {
  using Value = Datagram;
  static constexpr std::size_t kMost = 65535;  // no datagram is longer
  explicit DatagramRecvBytes(std::size_t most) { d.bytes.resize(std::min(most, kMost)); }
  Datagram d;
  std::optional<Result<Value>> at_once(SocketState&) const;
  void prepare(SocketState& s, Op& op) { op.receive_from(s.handle, d.bytes, d.message); }
  Result<Value> result(SocketState&, Op& op) {
    d.bytes.resize(op.count);
    return std::move(d);
  }
  void give_back(SocketState& s, Op& op) const {
    channel::give_back(s.channel.service(), s.handle, ByteSpan{d.bytes}.first(op.count), d.message, 0);
  }
};

struct DatagramSend {
  using Value = std::size_t;
  ByteSpan bytes;
  Endpoint to;
  SendOverrides as{};
  std::optional<Result<Value>> at_once(SocketState& s) const;
  void prepare(SocketState& s, Op& op) const {
    op.send_to(s.handle, bytes, to);
    if (as.any()) op.overrides = &as;
  }
  Result<Value> result(SocketState&, Op& op) const { return op.count; }
  void give_back(SocketState&, Op&) const {}  // it was sent
};

struct DatagramRecvMany {
  using Value = std::size_t;
  std::span<InDatagram> into;
  std::optional<Result<Value>> at_once(SocketState& s) const;
  void prepare(SocketState& s, Op& op) const { op.receive_many(s.handle, into); }
  Result<Value> result(SocketState&, Op& op) const { return op.count; }
  void give_back(SocketState& s, Op& op) const { give_back_many(s.channel.service(), s.handle, into.first(op.count)); }
};

struct DatagramSendMany {
  using Value = std::size_t;
  std::span<const OutDatagram> datagrams;
  std::optional<Result<Value>> at_once(SocketState& s) const;
  void prepare(SocketState& s, Op& op) const { op.send_many(s.handle, datagrams); }
  Result<Value> result(SocketState&, Op& op) const { return op.count; }
  void give_back(SocketState&, Op&) const {}  // they were sent
};

}  // namespace call

class DatagramSocket : public SocketOwner {
 public:
  using SocketOwner::SocketOwner;

  [[nodiscard]] Result<RecvFrom> recv_from(MutableByteSpan to, Duration timeout = kForever) const {
    return run_call(state(), call::DatagramRecv{to}, timeout);
  }
  [[nodiscard]] Result<std::optional<RecvFrom>> try_recv_from(MutableByteSpan to) const {
    return try_call(state(), call::DatagramRecv{to});
  }
  [[nodiscard]] CallAwaiter<call::DatagramRecv> async_recv_from(MutableByteSpan to, Duration timeout = kForever) const {
    return {state().shared_from_this(), {to}, timeout};
  }
  [[nodiscard]] Result<Datagram> recv_from_bytes(std::size_t most, Duration timeout = kForever) const {
    return run_call(state(), call::DatagramRecvBytes{most}, timeout);
  }
  [[nodiscard]] Result<std::optional<Datagram>> try_recv_from_bytes(std::size_t most) const {
    return try_call(state(), call::DatagramRecvBytes{most});
  }
  [[nodiscard]] CallAwaiter<call::DatagramRecvBytes> async_recv_from_bytes(std::size_t most,
                                                                           Duration timeout = kForever) const {
    return {state().shared_from_this(), call::DatagramRecvBytes{most}, timeout};
  }

  // What is there, at least one datagram; how many.
  [[nodiscard]] Result<std::size_t> recv_many(std::span<InDatagram> into, Duration timeout = kForever) const {
    return run_call(state(), call::DatagramRecvMany{into}, timeout);
  }
  [[nodiscard]] Result<std::optional<std::size_t>> try_recv_many(std::span<InDatagram> into) const {
    return try_call(state(), call::DatagramRecvMany{into});
  }
  [[nodiscard]] CallAwaiter<call::DatagramRecvMany> async_recv_many(std::span<InDatagram> into,
                                                                    Duration timeout = kForever) const {
    return {state().shared_from_this(), {into}, timeout};
  }
  // All of them; how many. Fewer: the next one can't be sent (alone it would tell why), or the time was over. A raw
  // socket takes no port.
  [[nodiscard]] Result<std::size_t> send_many(std::span<const OutDatagram> datagrams,
                                              Duration timeout = kForever) const {
    return run_call(state(), call::DatagramSendMany{datagrams}, timeout);
  }
  [[nodiscard]] Result<std::optional<std::size_t>> try_send_many(std::span<const OutDatagram> datagrams) const {
    return try_call(state(), call::DatagramSendMany{datagrams});
  }
  [[nodiscard]] CallAwaiter<call::DatagramSendMany> async_send_many(std::span<const OutDatagram> datagrams,
                                                                    Duration timeout = kForever) const {
    return {state().shared_from_this(), {datagrams}, timeout};
  }

 protected:
  ~DatagramSocket() = default;
  DatagramSocket(DatagramSocket&&) noexcept = default;
  DatagramSocket& operator=(DatagramSocket&&) noexcept = default;
};

class UdpSocket final : public DatagramSocket {
 public:
  UdpSocket() = default;
  UdpSocket(std::shared_ptr<SocketState> state, const Endpoint& local)
      : DatagramSocket(std::move(state)), local_(local) {}

  // An unspecified address: every one. Port 0: the stack's choice.
  [[nodiscard]] static Result<UdpSocket> bind(const Channel& channel, const Endpoint& local) {
    return open_blocking<UdpSocket>(channel, UdpBind{local}, kForever);
  }
  [[nodiscard]] static OpenAwaiter<UdpSocket> async_bind(const Channel& channel, const Endpoint& local) {
    return {channel, UdpBind{local}, kForever};
  }

  [[nodiscard]] Result<std::size_t> send_to(ByteSpan bytes, const Endpoint& to, Duration timeout = kForever) const {
    return run_call(state(), call::DatagramSend{bytes, to}, timeout);
  }
  [[nodiscard]] Result<std::optional<std::size_t>> try_send_to(ByteSpan bytes, const Endpoint& to) const {
    return try_call(state(), call::DatagramSend{bytes, to});
  }
  [[nodiscard]] CallAwaiter<call::DatagramSend> async_send_to(ByteSpan bytes, const Endpoint& to,
                                                              Duration timeout = kForever) const {
    return {state().shared_from_this(), {bytes, to}, timeout};
  }
  // To whom `m` came from, from the address that it came to.
  [[nodiscard]] Result<std::size_t> answer(ByteSpan bytes, const Message& m, Duration timeout = kForever) const {
    return run_call(state(), call::DatagramSend{bytes, m.from, answer_to(m)}, timeout);
  }
  [[nodiscard]] Result<std::optional<std::size_t>> try_answer(ByteSpan bytes, const Message& m) const {
    return try_call(state(), call::DatagramSend{bytes, m.from, answer_to(m)});
  }
  [[nodiscard]] CallAwaiter<call::DatagramSend> async_answer(ByteSpan bytes, const Message& m,
                                                             Duration timeout = kForever) const {
    return {state().shared_from_this(), {bytes, m.from, answer_to(m)}, timeout};
  }
  [[nodiscard]] Endpoint local_addr() const { return local_; }

  [[nodiscard]] static Result<UdpSocket> from(std::shared_ptr<SocketState> state, const Response& response);

 private:
  Endpoint local_;
};

class RawSocket final : public DatagramSocket {
 public:
  RawSocket() = default;
  explicit RawSocket(std::shared_ptr<SocketState> state) : DatagramSocket(std::move(state)) {}

  // Protocol 0: all.
  [[nodiscard]] static Result<RawSocket> open(const Channel& channel, IpVersion version, std::uint8_t protocol);
  [[nodiscard]] static OpenAwaiter<RawSocket> async_open(const Channel& channel, IpVersion version,
                                                         std::uint8_t protocol) {
    return {channel, RawOpen{version, protocol}, kForever};
  }

  [[nodiscard]] Result<std::size_t> send_to(ByteSpan bytes, const IpAddress& to, Duration timeout = kForever) const {
    return run_call(state(), call::DatagramSend{bytes, {to, Port{}}}, timeout);
  }
  [[nodiscard]] Result<std::optional<std::size_t>> try_send_to(ByteSpan bytes, const IpAddress& to) const {
    return try_call(state(), call::DatagramSend{bytes, {to, Port{}}});
  }
  [[nodiscard]] CallAwaiter<call::DatagramSend> async_send_to(ByteSpan bytes, const IpAddress& to,
                                                              Duration timeout = kForever) const {
    return {state().shared_from_this(), {bytes, {to, Port{}}}, timeout};
  }

  [[nodiscard]] static Result<RawSocket> from(std::shared_ptr<SocketState> state, const Response& response);
};

}  // namespace leat::channel
