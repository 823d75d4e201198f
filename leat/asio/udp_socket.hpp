#pragma once
// udp_socket: datagrams over Leat with the interface of boost::asio::ip::udp::socket. A datagram of several buffers is
// gathered into, or scattered from, one block of its own; one buffer is used in place.
//
//   leat::asio::udp_socket socket(io, {boost::asio::ip::udp::v4(), 53});
//   std::size_t n = co_await socket.async_receive_from(buffer(data), sender, use_awaitable);
//
// Threading: one thread at a time.

#include <boost/asio/ip/udp.hpp>
#include <leat/asio/socket.hpp>
#include <vector>

namespace leat::asio {

namespace detail {

// A datagram's bytes: the caller's buffer when it is one, a block of our own otherwise.
template <class Buffers>
struct datagram {
  std::vector<std::uint8_t> block;
  Buffers buffers;
  explicit datagram(const Buffers& b) : buffers(b) {}
  [[nodiscard]] bool single() const {
    const auto begin = net::buffer_sequence_begin(buffers);
    const auto end = net::buffer_sequence_end(buffers);
    return begin == end || std::next(begin) == end;
  }
  ByteSpan from() {
    if (single()) {
      const net::const_buffer b = first<net::const_buffer>();
      return {static_cast<const std::uint8_t*>(b.data()), b.size()};
    }
    block.resize(net::buffer_size(buffers));
    net::buffer_copy(net::buffer(block), buffers);
    return block;
  }
  MutableByteSpan to() {
    if (single()) {
      const net::mutable_buffer b = first<net::mutable_buffer>();
      return {static_cast<std::uint8_t*>(b.data()), b.size()};
    }
    block.resize(net::buffer_size(buffers));
    return block;
  }
  void received(std::size_t n) {
    if (!single()) net::buffer_copy(buffers, net::buffer(block.data(), n));
  }

 private:
  template <class Buffer>
  Buffer first() const {
    const auto begin = net::buffer_sequence_begin(buffers);
    return begin == net::buffer_sequence_end(buffers) ? Buffer{} : Buffer(*begin);
  }
};

// What stands beside an operation on a datagram until it is over.
template <class Buffers>
struct datagram_room {
  std::optional<datagram<Buffers>> bytes;
  Message message;
};

}  // namespace detail

template <class Executor = net::any_io_executor>
class basic_udp_socket : public basic_socket<net::ip::udp, Executor> {
  using base = basic_socket<net::ip::udp, Executor>;

 public:
  using typename base::default_token;
  using typename base::endpoint_type;
  using typename base::executor_type;
  using typename base::protocol_type;
  template <class Other>
  struct rebind_executor {
    using other = basic_udp_socket<Other>;
  };

  using base::base;
  // Opens and binds.
  template <HasExecutorFor<Executor> Context>
  basic_udp_socket(Context& context, const endpoint_type& local, std::shared_ptr<Service> service = nullptr)
      : basic_udp_socket(context, std::move(service)) {
    this->open(local.protocol());
    this->bind(local);
  }
  basic_udp_socket(basic_udp_socket&&) noexcept = default;
  basic_udp_socket& operator=(basic_udp_socket&&) noexcept = default;

  void connect(const endpoint_type& to, error_code& e) {
    Op op;
    op.connect(this->handle(), from_asio(to));
    e = this->call(op);
  }
  void connect(const endpoint_type& to) {
    this->throwing([&](error_code& e) { connect(to, e); });
  }

  template <class Buffers>
  std::size_t send_to(const Buffers& buffers, const endpoint_type& to, error_code& e) {
    detail::datagram<Buffers> bytes(buffers);
    Op op;
    op.send_to(this->handle(), bytes.from(), from_asio(to));
    return this->transfer(op, e);
  }
  template <class Buffers>
  std::size_t receive_from(const Buffers& buffers, endpoint_type& from, error_code& e) {
    detail::datagram<Buffers> bytes(buffers);
    Message message;
    Op op;
    op.receive_from(this->handle(), bytes.to(), message);
    const std::size_t n = this->transfer(op, e);
    if (e) return n;
    bytes.received(n);
    from = to_asio<endpoint_type>(message.from);
    return n;
  }

  template <class Buffers, class Token = default_token>
  auto async_send_to(const Buffers& buffers, const endpoint_type& to, Token&& token = Token{}) {
    return start_send(buffers, std::optional(from_asio(to)), std::forward<Token>(token));
  }
  template <class Buffers, class Token = default_token>
  auto async_send(const Buffers& buffers, Token&& token = Token{}) {
    return start_send(buffers, std::optional<Endpoint>{}, std::forward<Token>(token));
  }
  // `from` is written before the handler is called.
  template <class Buffers, class Token = default_token>
  auto async_receive_from(const Buffers& buffers, endpoint_type& from, Token&& token = Token{}) {
    return start_receive(buffers, &from, std::forward<Token>(token));
  }
  template <class Buffers, class Token = default_token>
  auto async_receive(const Buffers& buffers, Token&& token = Token{}) {
    return start_receive(buffers, static_cast<endpoint_type*>(nullptr), std::forward<Token>(token));
  }

 private:
  template <class Buffers, class Token>
  auto start_send(const Buffers& buffers, std::optional<Endpoint> to, Token&& token) {
    using room = detail::datagram_room<Buffers>;
    return detail::initiate<void(error_code, std::size_t), room>(
        std::forward<Token>(token), this->get_executor(), this->shared_state(),
        [](const Op& op, room&, auto deliver) { deliver(detail::error_of(op), std::size_t{op.count}); },
        [handle = this->handle(), buffers, to](Op& op, room& kept) {
          const ByteSpan bytes = kept.bytes.emplace(buffers).from();
          if (to) {
            op.send_to(handle, bytes, *to);
          } else {
            op.send(handle, bytes);
          }
        });
  }
  template <class Buffers, class Token>
  auto start_receive(const Buffers& buffers, endpoint_type* from, Token&& token) {
    using room = detail::datagram_room<Buffers>;
    return detail::initiate<void(error_code, std::size_t), room>(
        std::forward<Token>(token), this->get_executor(), this->shared_state(),
        [from](const Op& op, room& kept, auto deliver) {
          if (op.error == Errc{}) {
            kept.bytes->received(op.count);
            if (from != nullptr) *from = to_asio<endpoint_type>(kept.message.from);
          }
          deliver(detail::error_of(op), std::size_t{op.count});
        },
        [handle = this->handle(), buffers](Op& op, room& kept) {
          op.receive_from(handle, kept.bytes.emplace(buffers).to(), kept.message);
        });
  }
};

using udp_socket = basic_udp_socket<>;

}  // namespace leat::asio
