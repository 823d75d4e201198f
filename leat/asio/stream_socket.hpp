#pragma once
// stream_socket: TCP over Leat with the interface of boost::asio::ip::tcp::socket: AsyncReadStream, AsyncWriteStream,
// SyncReadStream, SyncWriteStream and a lowest layer, so that composed operations, asio::ssl::stream and Beast run over
// it.
//
//   leat::asio::stream_socket socket(io);
//   co_await socket.async_connect({address, 80}, use_awaitable);
//   co_await async_write(socket, buffer(request), use_awaitable);
//
// Endpoints, options, error codes and tokens are Boost.Asio's own. Threading: one thread at a time.

#include <leat/asio/buffers.hpp>
#include <leat/asio/socket.hpp>

namespace leat::asio {

template <class Executor = net::any_io_executor>
class basic_stream_socket : public basic_socket<net::ip::tcp, Executor> {
  using base = basic_socket<net::ip::tcp, Executor>;

 public:
  using typename base::endpoint_type;
  using typename base::executor_type;
  using typename base::protocol_type;
  using shutdown_type = net::socket_base::shutdown_type;
  using lowest_layer_type = basic_stream_socket;
  using typename base::default_token;
  template <class Other>
  struct rebind_executor {
    using other = basic_stream_socket<Other>;
  };

  using base::base;
  // Adopts a handle of the service.
  basic_stream_socket(const executor_type& executor, std::shared_ptr<Service> service, Handle handle)
      : basic_stream_socket(executor, std::move(service)) {
    this->adopt(handle);
  }
  basic_stream_socket(basic_stream_socket&&) noexcept = default;
  basic_stream_socket& operator=(basic_stream_socket&&) noexcept = default;

  [[nodiscard]] lowest_layer_type& lowest_layer() { return *this; }
  [[nodiscard]] const lowest_layer_type& lowest_layer() const { return *this; }

  // Opens the socket when it is not open.
  void connect(const endpoint_type& to, error_code& e) {
    if (!this->is_open()) {
      this->open(to.protocol(), e);
      if (e) return;
    }
    Op op;
    op.connect(this->handle(), from_asio(to));
    e = this->call(op, !this->non_blocking());
  }
  void connect(const endpoint_type& to) {
    this->throwing([&](error_code& e) { connect(to, e); });
  }
  template <class Token = default_token>
  auto async_connect(const endpoint_type& to, Token&& token = Token{}) {
    if (!this->is_open()) {
      error_code told_by_the_operation;
      this->open(to.protocol(), told_by_the_operation);
    }
    return detail::initiate<void(error_code), detail::nothing>(
        std::forward<Token>(token), this->get_executor(), this->shared_state(),
        [](const Op& op, detail::nothing&, auto deliver) { deliver(detail::error_of(op)); },
        [handle = this->handle(), remote = from_asio(to)](Op& op, detail::nothing&) { op.connect(handle, remote); });
  }

  template <class Buffers>
  std::size_t read_some(const Buffers& buffers, error_code& e) {
    detail::to_spans to;
    Op op;
    op.receive(this->handle(), to.set(buffers));
    const std::size_t n = this->transfer(op, e);
    if (!e && n == 0 && op.status == IoStatus::end_of_stream) e = net::error::eof;
    return n;
  }
  template <class Buffers>
  std::size_t read_some(const Buffers& buffers) {
    return this->throwing([&](error_code& e) { return read_some(buffers, e); });
  }
  template <class Buffers, class Token = default_token>
  auto async_read_some(const Buffers& buffers, Token&& token = Token{}) {
    return detail::initiate<void(error_code, std::size_t), detail::to_spans>(
        std::forward<Token>(token), this->get_executor(), this->shared_state(),
        [](const Op& op, detail::to_spans&, auto deliver) {
          const bool end = op.error == Errc{} && op.count == 0 && op.status == IoStatus::end_of_stream;
          deliver(end ? error_code(net::error::eof) : detail::error_of(op), std::size_t{op.count});
        },
        [handle = this->handle(), buffers](Op& op, detail::to_spans& to) { op.receive(handle, to.set(buffers)); });
  }

  template <class Buffers>
  std::size_t write_some(const Buffers& buffers, error_code& e) {
    detail::from_spans from;
    Op op;
    op.send(this->handle(), from.set(buffers));
    op.flags.some = true;
    return this->transfer(op, e);
  }
  template <class Buffers>
  std::size_t write_some(const Buffers& buffers) {
    return this->throwing([&](error_code& e) { return write_some(buffers, e); });
  }
  template <class Buffers, class Token = default_token>
  auto async_write_some(const Buffers& buffers, Token&& token = Token{}) {
    return detail::initiate<void(error_code, std::size_t), detail::from_spans>(
        std::forward<Token>(token), this->get_executor(), this->shared_state(),
        [](const Op& op, detail::from_spans&, auto deliver) { deliver(detail::error_of(op), std::size_t{op.count}); },
        [handle = this->handle(), buffers](Op& op, detail::from_spans& from) {
          op.send(handle, from.set(buffers));
          op.flags.some = true;
        });
  }

  template <class Buffers>
  std::size_t receive(const Buffers& buffers, error_code& e) {
    return read_some(buffers, e);
  }
  template <class Buffers, class Token = default_token>
  auto async_receive(const Buffers& buffers, Token&& token = Token{}) {
    return async_read_some(buffers, std::forward<Token>(token));
  }
  template <class Buffers, class Token = default_token>
  auto async_send(const Buffers& buffers, Token&& token = Token{}) {
    return async_write_some(buffers, std::forward<Token>(token));
  }

  void shutdown(shutdown_type what, error_code& e) {
    Op op;
    op.shutdown(this->handle(), what == net::socket_base::shutdown_send      ? ShutdownHow::write
                                : what == net::socket_base::shutdown_receive ? ShutdownHow::read
                                                                             : ShutdownHow::both);
    e = this->call(op);
  }
  void shutdown(shutdown_type what) {
    this->throwing([&](error_code& e) { shutdown(what, e); });
  }
  // FIN behind what was written, and the peer has acknowledged all of it; reading goes on. Boost.Asio has only close()
  // with linger for this, which blocks. Handler: void(error_code)
  void finish(error_code& e) {
    Op op;
    op.finish(this->handle());
    e = this->call(op, true);
  }
  void finish() {
    this->throwing([&](error_code& e) { finish(e); });
  }
  template <class Token = default_token>
  auto async_finish(Token&& token = Token{}) {
    return detail::initiate<void(error_code), detail::nothing>(
        std::forward<Token>(token), this->get_executor(), this->shared_state(),
        [](const Op& op, detail::nothing&, auto deliver) { deliver(detail::error_of(op)); },
        [handle = this->handle()](Op& op, detail::nothing&) { op.finish(handle); });
  }
  [[nodiscard]] endpoint_type remote_endpoint(error_code& e) const { return this->name(Verb::remote_endpoint, e); }
  [[nodiscard]] endpoint_type remote_endpoint() const {
    return this->throwing([&](error_code& e) { return remote_endpoint(e); });
  }
};

using stream_socket = basic_stream_socket<>;

}  // namespace leat::asio
