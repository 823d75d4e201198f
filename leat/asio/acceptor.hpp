#pragma once
// acceptor: a TCP listener over Leat with the interface of boost::asio::ip::tcp::acceptor.
//
//   leat::asio::acceptor acceptor(io, {boost::asio::ip::tcp::v4(), 80});
//   leat::asio::stream_socket peer = co_await acceptor.async_accept(use_awaitable);
//
// A connection whose handler is never called, because the io_context ends, is closed. Threading: one thread at a time.

#include <leat/asio/stream_socket.hpp>

namespace leat::asio {

namespace detail {

// Stands beside an operation that accepts. A connection that it got and that no socket object took is closed.
struct accepted {
  std::shared_ptr<Service> service;
  const Op* accepting = nullptr;
  accepted() = default;
  accepted(accepted&&) = delete;
  ~accepted() {
    if (accepting == nullptr || !accepting->handle) return;
    Op op;
    op.close(accepting->handle);
    op.flags.dont_wait = true;
    service->run(op);
  }
};

}  // namespace detail

template <class Executor = net::any_io_executor>
class basic_acceptor : public basic_socket<net::ip::tcp, Executor> {
  using base = basic_socket<net::ip::tcp, Executor>;

 public:
  using typename base::default_token;
  using typename base::endpoint_type;
  using typename base::executor_type;
  using typename base::protocol_type;
  template <class Other>
  struct rebind_executor {
    using other = basic_acceptor<Other>;
  };

  using base::base;
  // Opens, binds with reuse_address, listens.
  template <HasExecutorFor<Executor> Context>
  basic_acceptor(Context& context, const endpoint_type& local, std::shared_ptr<Service> service = nullptr)
      : basic_acceptor(context, std::move(service)) {
    this->open(local.protocol());
    this->set_option(net::socket_base::reuse_address(true));
    this->bind(local);
    listen();
  }
  basic_acceptor(basic_acceptor&&) noexcept = default;
  basic_acceptor& operator=(basic_acceptor&&) noexcept = default;

  void listen(int backlog, error_code& e) {
    Op op;
    op.listen(this->handle(), static_cast<std::uint32_t>(backlog));
    op.flags.alone = true;
    e = this->call(op);
  }
  void listen(int backlog = 128) {
    this->throwing([&](error_code& e) { listen(backlog, e); });
  }

  [[nodiscard]] basic_stream_socket<Executor> accept(error_code& e) {
    Op op;
    op.accept(this->handle());
    e = this->call(op, !this->non_blocking());
    if (!e && !op.handle) e = net::error::would_block;
    return {this->get_executor(), this->service(), op.handle};
  }
  [[nodiscard]] basic_stream_socket<Executor> accept() {
    return this->throwing([&](error_code& e) { return accept(e); });
  }
  // Handler: void(error_code, basic_stream_socket<Executor>)
  template <class Token = default_token>
  auto async_accept(Token&& token = Token{}) {
    return start_accept<void(error_code, basic_stream_socket<Executor>)>(
        std::forward<Token>(token),
        [executor = this->get_executor(), service = this->service()](error_code e, Handle h, auto deliver) {
          deliver(e, basic_stream_socket<Executor>(executor, service, h));
        });
  }
  // The peer's handlers run on another executor. Handler: void(error_code, basic_stream_socket<Other>)
  template <class Other, class Token = default_token>
  requires(net::execution::is_executor<Other>::value ||
           net::is_executor<Other>::value) auto async_accept(const Other& executor, Token&& token = Token{}) {
    return start_accept<void(error_code, basic_stream_socket<Other>)>(
        std::forward<Token>(token), [executor, service = this->service()](error_code e, Handle h, auto deliver) {
          deliver(e, basic_stream_socket<Other>(executor, service, h));
        });
  }
  // Handler: void(error_code); `peer` is replaced.
  template <class Other, class Token = default_token>
  auto async_accept(basic_stream_socket<Other>& peer, Token&& token = Token{}) {
    return start_accept<void(error_code)>(std::forward<Token>(token),
                                          [&peer, service = this->service()](error_code e, Handle h, auto deliver) {
                                            if (!e) peer = basic_stream_socket<Other>(peer.get_executor(), service, h);
                                            deliver(e);
                                          });
  }

 private:
  template <class Signature, class Token, class Give>
  auto start_accept(Token&& token, Give give) {
    return detail::initiate<Signature, detail::accepted>(
        std::forward<Token>(token), this->get_executor(), this->shared_state(),
        [give = std::move(give)](const Op& op, detail::accepted& kept, auto deliver) {
          kept.accepting = nullptr;
          give(detail::error_of(op), op.handle, std::move(deliver));
        },
        [listener = this->handle(), service = this->service()](Op& op, detail::accepted& kept) {
          kept.service = service;
          kept.accepting = &op;
          op.accept(listener);
        });
  }
};

using acceptor = basic_acceptor<>;

}  // namespace leat::asio
