// Boost.Asio with real threads over the shared stack: io_contexts run by several threads, which watch the devices while
// they sleep. Real time, so tests wait for what must happen; the one that waits for a timer says so.

#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <leat/asio/asio.hpp>
#include <leat/runtime/linked_stacks_test_support.hpp>

namespace leat::asio {
namespace {

using net::use_awaitable;
using net::ip::tcp;
using test::LinkedStacks;

tcp::endpoint server_at(std::uint16_t port) {
  return to_asio<tcp::endpoint>({LinkedStacks::address(1), Port{port}});
}

net::awaitable<void> echo(stream_socket socket) {
  std::array<char, 2000> data{};
  for (;;) {
    const auto [e, n] = co_await socket.async_read_some(net::buffer(data), net::as_tuple(use_awaitable));
    if (e) co_return;
    co_await net::async_write(socket, net::buffer(data, n), use_awaitable);
  }
}

net::awaitable<void> serve(acceptor& listener) {
  for (;;) {
    auto strand = net::make_strand(net::any_io_executor(listener.get_executor()));
    auto [e, socket] = co_await listener.async_accept(net::any_io_executor(strand), net::as_tuple(use_awaitable));
    if (e) co_return;
    net::co_spawn(strand, echo(std::move(socket)), net::detached);
  }
}

net::awaitable<void> ask(stream_socket socket, unsigned id, unsigned rounds, std::atomic<unsigned>& done) {
  using namespace net::experimental::awaitable_operators;  // NOLINT(google-build-using-namespace)
  co_await socket.async_connect(server_at(7), use_awaitable);
  std::vector<char> sent(50 + id * 331);
  std::vector<char> back(sent.size());
  for (unsigned r = 0; r < rounds; ++r) {
    for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(id * 31 + r * 7 + i);
    co_await (net::async_write(socket, net::buffer(sent), use_awaitable) &&
              net::async_read(socket, net::buffer(back), use_awaitable));
    if (back != sent) {
      ADD_FAILURE() << "connection " << id << " round " << r;
      co_return;
    }
  }
  ++done;
}

// Without a janitor nothing would move if the io_contexts did not watch the stacks' devices.
TEST(AsioThreads, TwoContextsOfTwoThreadsWatchTheirStacks) {
  LinkedStacks net({.janitor = false});
  net::io_context server;
  net::io_context client;
  attach(server, net.stack[1]);
  attach(client, net.stack[0]);
  acceptor listener(server, {tcp::v4(), 7});
  net::co_spawn(server, serve(listener), net::detached);
  std::atomic<unsigned> done = 0;
  constexpr unsigned kConnections = 6;
  for (unsigned c = 0; c < kConnections; ++c) {
    const net::any_io_executor strand = net::make_strand(client.get_executor());
    net::co_spawn(strand, ask(stream_socket(strand), c, 50, done), [](const std::exception_ptr& e) {
      if (e) std::rethrow_exception(e);
    });
  }
  std::vector<std::thread> servers;
  std::vector<std::thread> clients;
  for (int t = 0; t < 2; ++t) {
    servers.emplace_back([&] { server.run(); });
    clients.emplace_back([&] { client.run(); });
  }
  for (auto& t : clients) t.join();  // run() returns: the watch is no work
  net::post(server, [&] { listener.close(); });
  for (auto& t : servers) t.join();
  EXPECT_EQ(done.load(), kConnections);
}

TEST(AsioThreads, AThreadWaitsForAFuture) {
  LinkedStacks net;
  net::io_context io;
  attach(io, net.stack[0]);
  auto work = net::make_work_guard(io);
  std::thread runs([&] { io.run(); });
  const Handle listening = test::listen_on(*net.stack[1], {{}, Port{7}});
  stream_socket socket(io);
  socket.async_connect(server_at(7), net::use_future).get();
  const Handle peer = test::accept_one(*net.stack[1], listening).value();
  std::array<char, 5> data{};
  auto got = net::async_read(socket, net::buffer(data), net::use_future);
  EXPECT_TRUE(test::send_all(*net.stack[1], peer, ByteSpan{std::array<std::uint8_t, 5>{1, 2, 3, 4, 5}}));
  EXPECT_EQ(got.get(), 5U);
  EXPECT_EQ(data[4], 5);
  test::close_socket(*net.stack[1], peer);
  test::close_socket(*net.stack[1], listening);
  work.reset();
  runs.join();
}

// Waits for time to pass, five milliseconds of it: whether the timer ends the read.
TEST(AsioThreads, ATimerEndsARead) {
  LinkedStacks net;
  net::io_context io;
  attach(io, net.stack[0]);
  acceptor listener(io, {tcp::v4(), 7}, net.stack[1]);
  net::co_spawn(
      io,
      [&]() -> net::awaitable<void> {
        using namespace net::experimental::awaitable_operators;  // NOLINT(google-build-using-namespace)
        stream_socket socket(io);
        auto [peer, none] = co_await (listener.async_accept(use_awaitable) && [&]() -> net::awaitable<int> {
          co_await socket.async_connect(server_at(7), use_awaitable);
          co_return 0;
        }());
        net::steady_timer timer(io, std::chrono::milliseconds(5));
        std::array<char, 5> data{};
        const auto first =
            co_await (socket.async_read_some(net::buffer(data), use_awaitable) || timer.async_wait(use_awaitable));
        EXPECT_EQ(first.index(), 1U);
        // The read that lost took nothing.
        co_await net::async_write(peer, net::buffer("after", 5), use_awaitable);
        EXPECT_EQ(co_await net::async_read(socket, net::buffer(data), use_awaitable), 5U);
        EXPECT_EQ(std::string_view(data.data(), 5), "after");
      },
      [](const std::exception_ptr& e) {
        if (e) std::rethrow_exception(e);
      });
  io.run();
}

// Its socket's executor is the io_context and its own a strand: reads complete in one thread while the strand, in the
// other one, cancels them for a timer that is due at about the same time.
TEST(S8_CancelAsioReads, ATimerOnAStrandMeetsACompletionInAnotherThread) {
  LinkedStacks net({.janitor = false});
  net::io_context io;
  attach(io, net.stack[0]);
  attach(io, net.stack[1]);
  acceptor listener(io, {tcp::v4(), 7}, net.stack[1]);
  constexpr std::size_t kBytes = 500;
  std::size_t got = 0;
  net::co_spawn(
      net::make_strand(io.get_executor()),
      [&]() -> net::awaitable<void> {
        using namespace net::experimental::awaitable_operators;  // NOLINT(google-build-using-namespace)
        stream_socket reader = co_await listener.async_accept(use_awaitable);
        net::steady_timer timer(co_await net::this_coro::executor);
        std::array<char, 10> data{};
        for (unsigned round = 0; got < kBytes; ++round) {
          timer.expires_after(std::chrono::microseconds(round % 64));
          const auto first = co_await (reader.async_read_some(net::buffer(data), net::as_tuple(use_awaitable)) ||
                                       timer.async_wait(net::as_tuple(use_awaitable)));
          if (first.index() == 1) continue;
          const auto [e, n] = std::get<0>(first);
          if (e) break;
          got += n;
        }
      },
      net::detached);
  net::co_spawn(
      io,
      [&]() -> net::awaitable<void> {
        stream_socket writer(io, net.stack[0]);
        co_await writer.async_connect(server_at(7), use_awaitable);
        for (std::size_t i = 0; i < kBytes; ++i) {
          co_await net::async_write(writer, net::buffer("x", 1), use_awaitable);
          co_await net::post(io, use_awaitable);
        }
        co_await writer.async_finish(use_awaitable);
      },
      net::detached);
  std::thread second([&] { io.run(); });
  io.run();
  second.join();
  EXPECT_LE(got, kBytes);
  EXPECT_GT(got, 0U);
}

// S8: the reads of a stream are cancelled over and over by another handler; what the peer sent is all there.
TEST(S8_CancelAsioReads, NoByteIsLost) {
  LinkedStacks net({.janitor = false});
  net::io_context io;
  attach(io, net.stack[0]);
  attach(io, net.stack[1]);
  acceptor listener(io, {tcp::v4(), 7}, net.stack[1]);
  constexpr std::size_t kBytes = 50'000;
  std::vector<char> sent(kBytes);
  for (std::size_t i = 0; i < kBytes; ++i) sent[i] = static_cast<char>(i * 13 + (i >> 7));
  std::vector<char> got;
  std::atomic<unsigned> aborted = 0;
  bool over = false;
  const net::any_io_executor strand = net::make_strand(io.get_executor());
  stream_socket reader(strand, net.stack[1]);
  net::co_spawn(
      strand,
      [&]() -> net::awaitable<void> {
        reader = co_await listener.async_accept(strand, use_awaitable);
        std::array<char, 300> data{};
        for (;;) {
          const auto [e, n] = co_await reader.async_read_some(net::buffer(data), net::as_tuple(use_awaitable));
          if (e == net::error::operation_aborted) {
            ++aborted;
            continue;
          }
          if (e) break;
          got.insert(got.end(), data.begin(), data.begin() + static_cast<std::ptrdiff_t>(n));
        }
        over = true;
      },
      net::detached);
  net::co_spawn(
      strand,
      [&]() -> net::awaitable<void> {
        while (!over) {
          reader.cancel();
          co_await net::post(strand, use_awaitable);
        }
      },
      net::detached);
  net::co_spawn(
      io,
      [&]() -> net::awaitable<void> {
        stream_socket writer(io, net.stack[0]);
        co_await writer.async_connect(server_at(7), use_awaitable);
        while (aborted == 0) co_await net::post(io, use_awaitable);  // one at least is aborted while it waits
        for (std::size_t at = 0; at < kBytes; at += 250)
          co_await net::async_write(writer, net::buffer(sent.data() + at, 250), use_awaitable);
      },
      net::detached);
  std::thread second([&] { io.run(); });
  io.run();
  second.join();
  EXPECT_EQ(got, sent);
  EXPECT_GT(aborted.load(), 0U);
}

// The child's copies of a socket and of its context end, although nobody is there to complete what was pending.
TEST(AsioThreads, AChildOfAForkEndsItsCopyOfTheContext) {
  LinkedStacks net({.janitor = false});
  auto io = std::make_unique<net::io_context>();
  attach(*io, net.stack[0]);
  auto socket = std::make_unique<udp_socket>(*io, net::ip::udp::endpoint(net::ip::udp::v4(), 8));
  std::array<char, 4> data{};
  std::size_t got = 0;
  socket->async_receive(net::buffer(data), [&](error_code, std::size_t n) { got = n; });
  io->poll();
  io->notify_fork(net::execution_context::fork_prepare);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::alarm(20);  // if it hangs
    io->notify_fork(net::execution_context::fork_child);
    socket.reset();
    io.reset();
    ::_exit(got == 0 ? 0 : 1);
  }
  io->notify_fork(net::execution_context::fork_parent);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  udp_socket other(*io, net::ip::udp::endpoint(net::ip::udp::v4(), 9), net.stack[1]);
  error_code e;
  (void)other.send_to(net::buffer("yes", 3), to_asio<net::ip::udp::endpoint>({LinkedStacks::address(0), Port{8}}), e);
  EXPECT_FALSE(e) << e.message();
  io->run();
  EXPECT_EQ(got, 3U);
}

// Contexts end while operations are pending and while the other side completes some, again and again.
TEST(AsioThreads, ContextsEndWhileOperationsArePending) {
  LinkedStacks net;
  const Handle listening = test::listen_on(*net.stack[1], {{}, Port{7}});
  std::thread peers([&] {
    for (;;) {
      const auto h = test::accept_one(*net.stack[1], listening);
      if (!h) return;
      (void)test::send_all(*net.stack[1], *h, ByteSpan{std::array<std::uint8_t, 2>{1, 2}});
      test::close_socket(*net.stack[1], *h);
    }
  });
  for (int round = 0; round < 30; ++round) {
    auto io = std::make_unique<net::io_context>();
    attach(*io, net.stack[0]);
    std::array<char, 100> data{};
    auto socket = std::make_unique<stream_socket>(*io);
    socket->async_connect(server_at(7), [&](error_code e) {
      if (!e) net::async_read(*socket, net::buffer(data), [](error_code, std::size_t) {});
      if (round % 2 == 0) io->stop();
    });
    std::thread runs([&] { io->run(); });
    if (round % 3 == 0) io->stop();
    runs.join();
    socket.reset();
    io.reset();
  }
  test::close_socket(*net.stack[1], listening);
  peers.join();
}

}  // namespace
}  // namespace leat::asio
