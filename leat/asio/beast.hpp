#pragma once
// What Boost.Beast asks of a stream that it doesn't know: how to close it, and how a WebSocket over it is torn down.
// Include it beside Beast's headers; then beast::websocket::stream<leat::asio::stream_socket> is all there is to it.
//
// The teardown is Beast's own for TCP: the server shuts down first and the client last, and both read to the end of
// the stream before they close. Threading: as for the socket.

#include <boost/asio/compose.hpp>
#include <boost/beast/core/role.hpp>
#include <leat/asio/stream_socket.hpp>
#include <memory>

namespace leat::asio {

template <class Executor>
void beast_close_socket(basic_stream_socket<Executor>& socket) {
  error_code ignored;
  socket.close(ignored);
}

namespace detail {

inline constexpr std::size_t kTeardownBytes = 2048;

inline error_code without_eof(error_code e) {
  return e == net::error::eof ? error_code{} : e;
}

template <class Executor>
struct teardown_op {
  boost::beast::role_type role;
  basic_stream_socket<Executor>* socket;
  std::unique_ptr<std::array<std::uint8_t, kTeardownBytes>> bytes;
  bool reading = false;

  template <class Self>
  void operator()(Self& self, error_code e = {}, std::size_t = 0) {
    if (!reading) {
      reading = true;
      if (role == boost::beast::role_type::server) socket->shutdown(net::socket_base::shutdown_send, e);
    }
    if (!e) {
      socket->async_read_some(net::buffer(*bytes), std::move(self));
      return;
    }
    e = without_eof(e);
    error_code closing;
    if (!e && role == boost::beast::role_type::client) socket->shutdown(net::socket_base::shutdown_send, closing);
    socket->close(closing);
    self.complete(e);
  }
};

}  // namespace detail

template <class Executor>
void teardown(boost::beast::role_type role, basic_stream_socket<Executor>& socket, error_code& e) {
  e = {};
  if (role == boost::beast::role_type::server) socket.shutdown(net::socket_base::shutdown_send, e);
  std::array<std::uint8_t, detail::kTeardownBytes> bytes{};
  while (!e) socket.read_some(net::buffer(bytes), e);
  e = detail::without_eof(e);
  error_code closing;
  if (!e && role == boost::beast::role_type::client) socket.shutdown(net::socket_base::shutdown_send, closing);
  socket.close(closing);
}

template <class Executor, class Handler>
void async_teardown(boost::beast::role_type role, basic_stream_socket<Executor>& socket, Handler&& handler) {
  auto bytes = std::make_unique<std::array<std::uint8_t, detail::kTeardownBytes>>();
  net::async_compose<Handler, void(error_code)>(detail::teardown_op<Executor>{role, &socket, std::move(bytes)}, handler,
                                                socket);
}

}  // namespace leat::asio
