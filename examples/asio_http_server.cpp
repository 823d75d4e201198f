// An HTTP server of Boost.Beast over Leat: a program for boost::asio::ip::tcp with its two types changed.
//
//   example_asio_http_server                        asks itself, over a wire in memory
//   example_asio_http_server leat0 10.9.0.2/24      serves port 80 on a TAP until SIGINT

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cstdio>
#include <leat/asio/asio.hpp>
#include <thread>

#include "joined_stacks.hpp"

namespace net = boost::asio;
namespace http = boost::beast::http;
using net::use_awaitable;

using stream_socket = leat::asio::stream_socket;  // boost::asio::ip::tcp::socket
using acceptor = leat::asio::acceptor;            // boost::asio::ip::tcp::acceptor

net::awaitable<void> serve_one(stream_socket socket) {
  boost::beast::flat_buffer buffer;
  for (;;) {
    http::request<http::string_body> request;
    const auto [e, n] = co_await http::async_read(socket, buffer, request, net::as_tuple(use_awaitable));
    if (e) co_return;  // the end of the stream, in the best case
    http::response<http::string_body> response{http::status::ok, request.version()};
    if (request.target() != "/") response.result(http::status::not_found);
    response.set(http::field::server, "leat");
    response.set(http::field::content_type, "text/plain");
    response.keep_alive(request.keep_alive());
    response.body() = response.result() == http::status::ok ? "hello from user space\n" : "there is no such page\n";
    response.prepare_payload();
    co_await http::async_write(socket, response, use_awaitable);
    if (!request.keep_alive()) co_return;
  }
}

net::awaitable<void> serve(acceptor& listener) {
  for (;;) {
    auto [e, socket] = co_await listener.async_accept(net::as_tuple(use_awaitable));
    if (e) co_return;
    net::co_spawn(listener.get_executor(), serve_one(std::move(socket)), net::detached);
  }
}

net::awaitable<void> ask(stream_socket socket, net::ip::tcp::endpoint server) {
  co_await socket.async_connect(server, use_awaitable);
  boost::beast::flat_buffer buffer;
  for (const char* target : {"/", "/nothing", "/"}) {
    http::request<http::empty_body> request{http::verb::get, target, 11};
    request.set(http::field::host, server.address().to_string());
    co_await http::async_write(socket, request, use_awaitable);
    http::response<http::string_body> response;
    co_await http::async_read(socket, buffer, response, use_awaitable);
    std::printf("%s: %u %s", target, response.result_int(), response.body().c_str());
  }
}

int main(int argc, char** argv) {
  net::io_context io;
  if (argc == 3) {
    const auto stack = leat::SharedStack::make({}).value();
    leat::TapProblem why;
    if (!stack->open_tap(argv[1], {argv[2]}, &why)) {
      std::fprintf(stderr, "%s\n", std::string(why.cause).c_str());
      return 2;
    }
    leat::asio::attach(io, stack);
    acceptor listener(io, {net::ip::tcp::v4(), 80});
    net::co_spawn(io, serve(listener), net::detached);
    net::signal_set signals(io, SIGINT, SIGTERM);
    signals.async_wait([&](auto, int) { io.stop(); });
    io.run();
    return 0;
  }
  const JoinedStacks stacks;
  leat::asio::attach(io, stacks.server());
  acceptor listener(io, {net::ip::tcp::v4(), 80});
  net::co_spawn(io, serve(listener), net::detached);
  std::thread server([&io] { io.run(); });

  net::io_context client;
  leat::asio::attach(client, stacks.client());
  const auto address = leat::asio::to_asio<net::ip::tcp::endpoint>({JoinedStacks::address(1), leat::Port{80}});
  int failed = 0;
  net::co_spawn(client, ask(stream_socket(client), address), [&](const std::exception_ptr& e) { failed = e ? 1 : 0; });
  client.run();
  net::post(io, [&] { listener.close(); });
  server.join();
  return failed;
}
