// Boost.Asio's programs over two stacks joined in memory, under a virtual clock, on one thread: tokens, executors,
// allocators, cancellation, work.

#include <gtest/gtest.h>

#include <boost/asio/append.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <leat/asio/asio.hpp>

#include "../support/virtual_service.hpp"

namespace leat::asio {
namespace {

using net::use_awaitable;
using net::ip::tcp;
using net::ip::udp;
using test::TwoHosts;
using test::VirtualWorld;

class AsioSocket : public testing::Test {
 protected:
  std::shared_ptr<Service> client() { return world.shared_service(0); }
  std::shared_ptr<Service> server() { return world.shared_service(1); }
  template <class E = tcp::endpoint>
  static E at(std::size_t host, std::uint16_t port) {
    return to_asio<E>({TwoHosts::address(host), Port{port}});
  }

  // Runs handlers, and the stacks when there are none, until no work is left.
  void run() {
    io.restart();
    while (!io.stopped()) {
      if (io.poll_one() > 0 || io.stopped()) continue;
      if (!world.advance([this] { return io.poll_one() > 0; }, Duration::s(1000))) {
        ADD_FAILURE() << "the work does not end";
        return;
      }
    }
  }
  void spawn(net::awaitable<void> task) {
    net::co_spawn(io, std::move(task), [](const std::exception_ptr& e) {
      if (e) std::rethrow_exception(e);
    });
  }
  // A connection: client's end, server's end.
  std::pair<stream_socket, stream_socket> pair(std::uint16_t port = 80) {
    acceptor listener(io, {tcp::v4(), port}, server());
    std::pair<stream_socket, stream_socket> both{stream_socket(io, client()), stream_socket(io, server())};
    listener.async_accept(both.second, [](error_code e) { EXPECT_FALSE(e) << e.message(); });
    both.first.async_connect(at(1, port), [](error_code e) { EXPECT_FALSE(e) << e.message(); });
    run();
    return both;
  }

  VirtualWorld world;
  net::io_context io;
};

// --- tokens ----------------------------------------------------------------------------------------------------------

net::awaitable<void> echo_once(acceptor& listener) {
  stream_socket peer = co_await listener.async_accept(use_awaitable);
  std::array<char, 1000> data{};
  for (;;) {
    const auto [e, n] = co_await peer.async_read_some(net::buffer(data), net::as_tuple(use_awaitable));
    if (e == net::error::eof) co_return;
    EXPECT_FALSE(e) << e.message();
    co_await net::async_write(peer, net::buffer(data, n), use_awaitable);
  }
}

TEST_F(AsioSocket, ComposedOperationsOfAwaitables) {
  acceptor listener(io, {tcp::v4(), 7}, server());
  spawn(echo_once(listener));
  std::vector<char> sent(100'000);
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 7);
  std::vector<char> back(sent.size());
  spawn(
      [](AsioSocket& t, stream_socket socket, std::vector<char>& from, std::vector<char>& to) -> net::awaitable<void> {
        using namespace net::experimental::awaitable_operators;  // NOLINT(google-build-using-namespace)
        co_await socket.async_connect(t.at(1, 7), use_awaitable);
        const auto [wrote, read] = co_await (net::async_write(socket, net::buffer(from), use_awaitable) &&
                                             net::async_read(socket, net::buffer(to), use_awaitable));
        EXPECT_EQ(wrote, from.size());
        EXPECT_EQ(read, to.size());
        socket.shutdown(tcp::socket::shutdown_send);
      }(*this, stream_socket(io, client()), sent, back));
  run();
  EXPECT_EQ(sent, back);
}

TEST_F(AsioSocket, WhoWaitsHearsOfTheEndOfReadingAndReadsWhatComesStill) {
  auto [c, s] = pair();
  std::array<char, 4> data{};
  auto end = s.async_read_some(net::buffer(data), net::use_future);
  s.shutdown(tcp::socket::shutdown_receive);
  run();
  EXPECT_THROW((void)end.get(), boost::system::system_error);
  auto wrote = net::async_write(c, net::buffer("late", 4), net::use_future);
  auto arrived = c.async_finish(net::use_future);
  run();
  EXPECT_EQ(wrote.get(), 4U);
  arrived.get();
  auto got = net::async_read(s, net::buffer(data), net::use_future);
  run();
  EXPECT_EQ(got.get(), 4U);
}

TEST_F(AsioSocket, FuturesAndDeferredOperations) {
  auto [c, s] = pair();
  auto later = c.async_write_some(net::buffer("hello", 5), net::deferred);
  auto future = std::move(later)(net::use_future);
  std::array<char, 5> data{};
  auto got = net::async_read(s, net::buffer(data), net::use_future);
  run();
  EXPECT_EQ(future.get(), 5U);
  EXPECT_EQ(got.get(), 5U);
  EXPECT_EQ(std::string_view(data.data(), 5), "hello");
  s.close();
  auto end = c.async_read_some(net::buffer(data), net::use_future);
  run();
  EXPECT_THROW((void)end.get(), boost::system::system_error);
}

TEST_F(AsioSocket, LinesAreReadIntoAStreambuf) {
  auto [c, s] = pair();
  net::async_write(c, net::buffer("one\ntwo\n", 8), [](error_code e, std::size_t) { EXPECT_FALSE(e); });
  net::streambuf lines;
  std::size_t first = 0;
  net::async_read_until(s, lines, '\n', [&](error_code e, std::size_t n) {
    EXPECT_FALSE(e);
    first = n;
  });
  run();
  EXPECT_EQ(first, 4U);
}

TEST_F(AsioSocket, ScatterAndGather) {
  auto [c, s] = pair();
  const std::string a = "scatter";
  const std::string b;
  const std::string d = "gather";
  const std::array<net::const_buffer, 3> from{net::buffer(a), net::buffer(b), net::buffer(d)};
  std::array<char, 4> x{};
  std::array<char, 20> y{};
  const std::array<net::mutable_buffer, 2> to{net::buffer(x), net::buffer(y)};
  c.async_write_some(from, [](error_code, std::size_t n) { EXPECT_EQ(n, 13U); });
  s.async_read_some(to, [&](error_code, std::size_t n) {
    EXPECT_EQ(std::string(x.begin(), x.end()) + std::string(y.begin(), y.begin() + static_cast<std::ptrdiff_t>(n - 4)),
              "scattergather");
  });
  run();
}

// --- errors ----------------------------------------------------------------------------------------------------------

TEST_F(AsioSocket, ErrorsCompareWithBoostsOwn) {
  stream_socket socket(io, client());
  error_code connecting;
  socket.async_connect(at(1, 9), [&](error_code e) { connecting = e; });
  run();
  EXPECT_EQ(connecting, net::error::connection_refused);
  stream_socket closed(io, client());
  error_code reading;
  std::array<char, 4> data{};
  closed.async_read_some(net::buffer(data), [&](error_code e, std::size_t) { reading = e; });
  run();
  EXPECT_EQ(reading, net::error::bad_descriptor);
  EXPECT_THROW((void)closed.read_some(net::buffer(data)), boost::system::system_error);
  net::io_context without_stack;
  EXPECT_THROW(stream_socket{without_stack}, boost::system::system_error);
}

TEST_F(AsioSocket, BlockingCallsAndNonBlockingOnes) {
  auto [c, s] = pair();
  EXPECT_EQ(net::write(c, net::buffer("hello", 5)), 5U);
  std::array<char, 5> data{};
  EXPECT_EQ(net::read(s, net::buffer(data)), 5U);
  s.non_blocking(true);
  error_code e;
  EXPECT_EQ(s.read_some(net::buffer(data), e), 0U);
  EXPECT_EQ(e, net::error::would_block);
  c.close();
  s.non_blocking(false);
  EXPECT_EQ(s.read_some(net::buffer(data), e), 0U);
  EXPECT_EQ(e, net::error::eof);
}

TEST_F(AsioSocket, OptionsAndNames) {
  auto [c, s] = pair();
  EXPECT_EQ(c.remote_endpoint(), at(1, 80));
  EXPECT_EQ(s.remote_endpoint(), c.local_endpoint());
  c.set_option(tcp::no_delay(true));
  tcp::no_delay delay;
  c.get_option(delay);
  EXPECT_TRUE(delay.value());
  c.set_option(net::socket_base::linger(true, 3));
  net::socket_base::linger linger;
  c.get_option(linger);
  EXPECT_TRUE(linger.enabled());
  EXPECT_EQ(linger.timeout(), 3);
  error_code e;
  c.set_option(net::socket_base::do_not_route(true), e);
  EXPECT_EQ(e, net::error::no_protocol_option);
}

template <class T>
struct Counting {
  using value_type = T;
  int* live;
  explicit Counting(int& count) : live(&count) {}
  template <class U>
  Counting(const Counting<U>& o) : live(o.live) {}  // NOLINT(google-explicit-constructor)
  T* allocate(std::size_t n) {
    ++*live;
    return std::allocator<T>().allocate(n);
  }
  void deallocate(T* p, std::size_t n) {
    --*live;
    std::allocator<T>().deallocate(p, n);
  }
  bool operator==(const Counting&) const = default;
};

// --- cancelling ------------------------------------------------------------------------------------------------------

TEST_F(AsioSocket, CancelEndsWhatIsPendingAndNothingElse) {
  auto [c, s] = pair();
  std::array<char, 4> data{};
  int aborted = 0;
  for (int i = 0; i < 3; ++i)
    s.async_read_some(net::buffer(data), [&](error_code e, std::size_t n) {
      EXPECT_EQ(e, net::error::operation_aborted);
      EXPECT_EQ(n, 0U);
      ++aborted;
    });
  s.cancel();
  run();
  EXPECT_EQ(aborted, 3);
  net::async_write(c, net::buffer("data", 4), net::detached);
  std::size_t got = 0;
  s.async_read_some(net::buffer(data), [&](error_code, std::size_t n) { got = n; });
  run();
  EXPECT_EQ(got, 4U);
}

TEST_F(AsioSocket, ClosingAbortsWhatIsPending) {
  auto [c, s] = pair();
  std::array<char, 4> data{};
  error_code ended;
  s.async_read_some(net::buffer(data), [&](error_code e, std::size_t) { ended = e; });
  s.close();
  run();
  EXPECT_EQ(ended, net::error::operation_aborted);
  acceptor listener(io, {tcp::v4(), 90}, server());
  error_code accepting;
  listener.async_accept([&](error_code e, const stream_socket& peer) {
    accepting = e;
    EXPECT_FALSE(peer.is_open());
  });
  listener.close();
  run();
  EXPECT_EQ(accepting, net::error::operation_aborted);
}

TEST_F(AsioSocket, FinishAndLingerWaitUntilThePeerHasAll) {
  auto [c, s] = pair();
  c.async_write_some(net::buffer("hello", 5), [](error_code e, std::size_t) { EXPECT_FALSE(e); });
  bool finished = false;
  c.async_finish([&](error_code e) {
    EXPECT_FALSE(e) << e.message();
    finished = true;
  });
  EXPECT_FALSE(finished);
  run();
  EXPECT_TRUE(finished);
  c.finish();  // at once: it is done

  // Linger: close() waits as long as it says, a destructor does not.
  const std::vector<char> much(8'000'000);
  error_code e;
  const auto fill = [&](stream_socket& socket) {
    socket.set_option(net::socket_base::linger(true, 3));
    socket.non_blocking(true);
    while (socket.write_some(net::buffer(much), e) > 0) world.run_for(Duration::ms(100));
  };
  {
    auto [d, t] = pair(81);
    fill(d);
    const auto before = world.hosts.now();
    d.close();
    EXPECT_EQ((world.hosts.now() - before).count_s(), 3) << "nobody reads";
  }
  world.run_for(Duration::s(1));
  {
    auto [d, t] = pair(82);
    d.set_option(net::socket_base::linger(true, 3));
    d.write_some(net::buffer("hello", 5));
    const auto before = world.hosts.now();
    d.close();
    EXPECT_LT((world.hosts.now() - before).count_ms(), 300);
  }
  world.run_for(Duration::s(1));
  Instant before;
  {
    auto [d, t] = pair(83);
    fill(d);
    before = world.hosts.now();
  }
  EXPECT_LT((world.hosts.now() - before).count_s(), 3);
}

TEST_F(AsioSocket, ACancellationSlotEndsItsOperation) {
  auto [c, s] = pair();
  for (const auto type :
       {net::cancellation_type::terminal, net::cancellation_type::partial, net::cancellation_type::total}) {
    net::cancellation_signal signal;
    std::array<char, 4> data{};
    error_code ended;
    s.async_read_some(net::buffer(data),
                      net::bind_cancellation_slot(signal.slot(), [&](error_code e, std::size_t) { ended = e; }));
    signal.emit(type);
    run();
    EXPECT_EQ(ended, net::error::operation_aborted);
    signal.emit(type);  // it is over: nothing
  }
}

// On the handler's executor somebody may emit the signal while the completion is in a thread of the I/O executor: the
// slot is left alone there, and what it points to lives, until the handler has its turn on its own executor.
TEST_F(AsioSocket, ACancellationSlotIsTouchedOnTheHandlersExecutorAlone) {
  net::io_context handlers;
  auto [c, s] = pair();
  net::cancellation_signal signal;
  std::array<char, 4> data{};
  int live = 0;
  error_code ended = net::error::try_again;
  const auto handler = [&](error_code e, std::size_t n) {
    ended = e;
    EXPECT_EQ(n, 4U);
    EXPECT_EQ(live, 0) << "its memory is back";
    EXPECT_FALSE(signal.slot().has_handler());
  };
  s.async_read_some(net::buffer(data),
                    net::bind_executor(handlers.get_executor(),
                                       net::bind_cancellation_slot(
                                           signal.slot(), net::bind_allocator(Counting<void>(live), handler))));
  net::async_write(c, net::buffer("data", 4), net::detached);
  run();
  EXPECT_EQ(ended, net::error::try_again);
  EXPECT_TRUE(signal.slot().has_handler());
  EXPECT_EQ(live, 2) << "the operation, and its place in the queue";
  signal.emit(net::cancellation_type::total);  // too late
  EXPECT_EQ(handlers.poll(), 1U);
  EXPECT_FALSE(ended) << ended.message();
}

// What waits for its turn on another executor needs the context of its socket no longer, whether it is called or not.
TEST_F(AsioSocket, AHandlerOfAnotherContextOutlivesTheSocketsContext) {
  for (const bool runs : {true, false}) {
    auto handlers = std::make_unique<net::io_context>();
    auto of_socket = std::make_unique<net::io_context>();
    auto alive = std::make_shared<int>(0);
    std::weak_ptr<int> handler = alive;
    bool called = false;
    {
      udp_socket socket(*of_socket, udp::endpoint(udp::v4(), 95), server());
      socket.async_send_to(
          net::buffer("x", 1), at<udp::endpoint>(0, 9),
          net::bind_executor(handlers->get_executor(), [&called, alive](error_code, std::size_t) { called = true; }));
      alive.reset();
      EXPECT_EQ(of_socket->poll(), 1U);
    }
    of_socket.reset();
    EXPECT_FALSE(handler.expired());
    if (runs) handlers->poll();
    handlers.reset();
    EXPECT_TRUE(handler.expired());
    EXPECT_EQ(called, runs);
  }
}

TEST_F(AsioSocket, TheLoserOfTwoOperationsIsCancelled) {
  auto [c, s] = pair();
  acceptor listener(io, {tcp::v4(), 91}, server());
  spawn([](stream_socket& reads, acceptor& accepts, stream_socket& writes) -> net::awaitable<void> {
    using namespace net::experimental::awaitable_operators;  // NOLINT(google-build-using-namespace)
    std::array<char, 4> data{};
    net::async_write(writes, net::buffer("data", 4), net::detached);
    const auto result =
        co_await (reads.async_read_some(net::buffer(data), use_awaitable) || accepts.async_accept(use_awaitable));
    EXPECT_EQ(result.index(), 0U);
  }(s, listener, c));
  run();
}

// --- executors, allocators, work -------------------------------------------------------------------------------------

TEST_F(AsioSocket, AnOperationThatIsCompleteAtOnceIsPosted) {
  auto [c, s] = pair();
  bool called = false;
  c.async_write_some(net::buffer("x", 1), [&](error_code, std::size_t) { called = true; });
  EXPECT_FALSE(called);  // never inside the initiating function
  run();
  EXPECT_TRUE(called);
}

TEST_F(AsioSocket, HandlersRunOnTheirExecutor) {
  auto [c, s] = pair();
  auto strand = net::make_strand(io);
  bool called = false;
  c.async_write_some(net::buffer("x", 1), net::bind_executor(strand, [&](error_code, std::size_t) {
                       EXPECT_TRUE(strand.running_in_this_thread());
                       called = true;
                     }));
  run();
  EXPECT_TRUE(called);
}

TEST_F(AsioSocket, APendingOperationIsWork) {
  auto [c, s] = pair();
  std::array<char, 4> data{};
  s.async_read_some(net::buffer(data), net::detached);
  io.restart();
  EXPECT_EQ(io.poll(), 0U);
  EXPECT_FALSE(io.stopped());
  s.cancel();
  io.poll();
  EXPECT_TRUE(io.stopped());
}

TEST_F(AsioSocket, TheHandlersAllocatorGivesAllMemoryAndHasItBackBeforeTheHandler) {
  auto [c, s] = pair();
  int live = 0;
  bool called = false;
  std::array<char, 4> data{};
  s.async_read_some(net::buffer(data), net::bind_allocator(Counting<void>(live), [&](error_code, std::size_t) {
                      called = true;
                      EXPECT_EQ(live, 0);
                    }));
  EXPECT_EQ(live, 1);
  net::async_write(c, net::buffer("x", 1), net::detached);
  run();
  EXPECT_TRUE(called);
}

TEST_F(AsioSocket, TheEndOfTheContextDestroysHandlersUncalled) {
  struct Watched {
    std::shared_ptr<int> alive = std::make_shared<int>();
    void operator()(error_code, std::size_t) { ADD_FAILURE(); }
    void operator()(error_code, stream_socket) { ADD_FAILURE(); }  // NOLINT(performance-unnecessary-value-param)
  };
  std::weak_ptr<int> pending;
  std::weak_ptr<int> queued;
  std::weak_ptr<int> accepting;
  std::array<char, 4> data{};
  auto other = std::make_unique<net::io_context>();
  {
    acceptor listener(*other, {tcp::v4(), 92}, server());
    Watched a;
    Watched b;
    Watched d;
    pending = a.alive, queued = b.alive, accepting = d.alive;
    // Kept open by a handle, so that the object's end aborts nothing.
    udp_socket never(*other, udp::endpoint(udp::v4(), 93), server());
    never.async_receive(net::buffer(data), std::move(a));
    udp_socket at_once(*other, udp::endpoint(udp::v4(), 94), server());
    at_once.async_send_to(net::buffer("x", 1), at<udp::endpoint>(0, 9), std::move(b));
    listener.async_accept(std::move(d));
    // A connection comes, and its handler is never called: it is closed with the context.
    stream_socket asks(io, client());
    asks.async_connect(at(1, 92), [](error_code e) { EXPECT_FALSE(e); });
    run();
    EXPECT_FALSE(pending.expired() || queued.expired() || accepting.expired());
    asks.close();
  }
  other.reset();
  EXPECT_TRUE(pending.expired() && queued.expired() && accepting.expired());
  world.run_for(Duration::s(300));
  EXPECT_EQ(world.hosts.stack(1).core().sockets.used(), 0U);
}

// --- datagrams -------------------------------------------------------------------------------------------------------

TEST_F(AsioSocket, Datagrams) {
  udp_socket a(io, udp::endpoint(udp::v4(), 1000), client());
  udp_socket b(io, udp::endpoint(udp::v4(), 2000), server());
  spawn([](udp_socket& left, udp_socket& right) -> net::awaitable<void> {
    const std::array<net::const_buffer, 2> parts{net::buffer("lea", 3), net::buffer("t!", 2)};
    EXPECT_EQ(co_await left.async_send_to(parts, at<udp::endpoint>(1, 2000), use_awaitable), 5U);
    std::array<char, 3> x{};
    std::array<char, 10> y{};
    const std::array<net::mutable_buffer, 2> room{net::buffer(x), net::buffer(y)};
    udp::endpoint from;
    EXPECT_EQ(co_await right.async_receive_from(room, from, use_awaitable), 5U);
    EXPECT_EQ(from, at<udp::endpoint>(0, 1000));
    EXPECT_EQ(std::string(x.begin(), x.end()) + std::string(y.data(), 2), "leat!");
    right.connect(from);
    EXPECT_EQ(co_await right.async_send(net::buffer("yes", 3), use_awaitable), 3U);
    EXPECT_EQ(co_await left.async_receive(net::buffer(y), use_awaitable), 3U);
  }(a, b));
  run();
}

}  // namespace
}  // namespace leat::asio
