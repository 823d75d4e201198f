// A WebSocket of Boost.Beast over Leat: an echo server and its client, with the stream type changed and nothing else.
// leat/asio/beast.hpp says how such a stream is closed.

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket.hpp>
#include <cstdio>
#include <leat/asio/asio.hpp>
#include <leat/asio/beast.hpp>
#include <string>
#include <thread>

#include "joined_stacks.hpp"

namespace net = boost::asio;
namespace websocket = boost::beast::websocket;
using net::use_awaitable;

using stream_socket = leat::asio::stream_socket;  // boost::asio::ip::tcp::socket

net::awaitable<void> echo(leat::asio::acceptor& listener) {
  websocket::stream<stream_socket> ws(co_await listener.async_accept(use_awaitable));
  co_await ws.async_accept(use_awaitable);
  for (;;) {
    boost::beast::flat_buffer message;
    const auto [e, n] = co_await ws.async_read(message, net::as_tuple(use_awaitable));
    if (e == websocket::error::closed) {
      std::printf("server: closed, %s\n", ws.reason().reason.c_str());
      co_return;
    }
    if (e) throw boost::system::system_error(e);
    ws.text(ws.got_text());
    co_await ws.async_write(message.data(), use_awaitable);
  }
}

net::awaitable<void> talk(stream_socket socket, net::ip::tcp::endpoint server) {
  co_await socket.async_connect(server, use_awaitable);
  websocket::stream<stream_socket> ws(std::move(socket));
  ws.set_option(websocket::stream_base::timeout::suggested(boost::beast::role_type::client));
  co_await ws.async_handshake(server.address().to_string(), "/", use_awaitable);
  for (const std::size_t size : {5U, 200U, 100'000U}) {
    const std::string sent(size, 'x');
    co_await ws.async_write(net::buffer(sent), use_awaitable);
    boost::beast::flat_buffer got;
    co_await ws.async_read(got, use_awaitable);
    std::printf("client: %zu bytes, %s\n", size,
                boost::beast::buffers_to_string(got.data()) == sent ? "equal" : "wrong");
  }
  co_await ws.async_close({websocket::close_code::normal, "enough"}, use_awaitable);
}

int main() {
  const JoinedStacks stacks;
  net::io_context io;
  leat::asio::attach(io, stacks.server());
  leat::asio::acceptor listener(io, {net::ip::tcp::v4(), 80});
  int failed = 0;
  net::co_spawn(io, echo(listener), [&](const std::exception_ptr& e) { failed += e ? 1 : 0; });
  std::thread server([&io] { io.run(); });

  net::io_context client;
  leat::asio::attach(client, stacks.client());
  const auto address = leat::asio::to_asio<net::ip::tcp::endpoint>({JoinedStacks::address(1), leat::Port{80}});
  int client_failed = 0;
  net::co_spawn(client, talk(stream_socket(client), address),
                [&](const std::exception_ptr& e) { client_failed += e ? 1 : 0; });
  client.run();
  server.join();
  return failed + client_failed;
}
