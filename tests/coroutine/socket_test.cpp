// Coroutines over two stacks joined in memory, under a virtual clock, on one thread: both sides run on one executor.

#include <gtest/gtest.h>

#include <array>
#include <leat/api/coroutine/combine.hpp>
#include <leat/api/coroutine/socket.hpp>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "../support/virtual_service.hpp"

namespace leat::coroutine {
namespace {

using test::TwoHosts;
using test::VirtualWorld;

class CoroutineSocket : public testing::Test {
 protected:
  CoroutineSocket() = default;
  std::shared_ptr<Service> client() { return world.shared_service(0); }
  std::shared_ptr<Service> server() { return world.shared_service(1); }
  static Endpoint at(std::size_t host, std::uint16_t port) { return {TwoHosts::address(host), Port{port}}; }
  [[nodiscard]] Duration since(Instant t) const { return world.hosts.now() - t; }

  // A connection, both ends.
  Task<std::array<TcpStream, 2>> connected(std::uint16_t port = 80) {
    auto listener = TcpListener::listen(server(), {{}, Port{port}}, 8);
    EXPECT_TRUE(listener);
    auto [c, s] = co_await when_all(TcpStream::connect(client(), at(1, port)), listener->accept());
    EXPECT_TRUE(c && s);
    co_return std::array{std::move(*c), std::move(*s)};
  }
  std::array<TcpStream, 2> pair() { return executor.run(connected()); }

  VirtualWorld world;
  Executor executor{world.shared_service(0)};
};

std::vector<std::uint8_t> pattern(std::size_t n, std::size_t start = 0) {
  std::vector<std::uint8_t> v(n);
  for (std::size_t i = 0; i < n; ++i) v[i] = static_cast<std::uint8_t>((start + i) * 131 >> 3);
  return v;
}

ByteSpan bytes(const std::string& text) {
  static std::vector<std::uint8_t> kept;
  kept.assign(text.begin(), text.end());
  return kept;
}

Task<void> echo(TcpStream stream) {
  std::array<std::uint8_t, 1000> data{};
  for (;;) {
    const auto got = co_await stream.read(data);
    if (!got || got->count == 0) co_return;
    if (!co_await stream.write_all({data.data(), got->count})) co_return;
  }
}

// --- streams ---------------------------------------------------------------------------------------------------------

TEST_F(CoroutineSocket, AnEchoServerServesSeveralConnections) {
  auto listener = TcpListener::listen(server(), {{}, Port{7}}).value();
  executor.spawn([](Executor& ex, TcpListener& l) -> Task<void> {
    for (int i = 0; i < 3; ++i) ex.spawn(echo((co_await l.accept()).value()));
  }(executor, listener));
  std::size_t done = 0;
  for (std::size_t size : {1U, 3000U, 300000U}) {
    executor.spawn([](std::shared_ptr<Service> service, Endpoint to, std::size_t n, std::size_t& count) -> Task<void> {
      auto stream = (co_await TcpStream::connect(std::move(service), to)).value();
      const auto sent = pattern(n);
      std::vector<std::uint8_t> back(n);
      auto [wrote, read] = co_await when_all(stream.write_all(sent), stream.read_all(back));
      EXPECT_EQ(wrote.value().count, n);
      EXPECT_EQ(read.value().count, n);
      EXPECT_EQ(back, sent);
      ++count;
    }(client(), at(1, 7), size, done));
  }
  executor.run();
  EXPECT_EQ(done, 3U);
}

TEST_F(CoroutineSocket, TheEndOfTheStreamIsAValue) {
  auto [c, s] = pair();
  EXPECT_EQ(executor.run([](TcpStream& a, TcpStream& b) -> Task<std::size_t> {
    (void)co_await a.write_all(bytes("bye"));
    EXPECT_TRUE(a.shutdown(ShutdownHow::write));
    std::array<std::uint8_t, 8> data{};
    const auto got = co_await b.read_all(data);
    EXPECT_EQ(got->status, IoStatus::end_of_stream);
    const auto end = co_await b.read(data);
    EXPECT_EQ(end->count, 0U);
    EXPECT_EQ(end->status, IoStatus::end_of_stream);
    co_return got->count;
  }(c, s)),
            3U);
}

TEST_F(CoroutineSocket, WhoWaitsHearsOfTheEndOfReadingAndReadsWhatComesStill) {
  auto [c, s] = pair();
  executor.run([](Executor& ex, TcpStream& a, TcpStream& b) -> Task<void> {
    ex.spawn([](TcpStream& reader) -> Task<void> {
      EXPECT_TRUE(reader.shutdown(ShutdownHow::read));
      co_return;
    }(b));
    std::array<std::uint8_t, 8> data{};
    const auto end = co_await b.read(data);
    EXPECT_EQ(end->count, 0U);
    EXPECT_EQ(end->status, IoStatus::end_of_stream);
    (void)co_await a.write_all(bytes("late"));
    (void)co_await a.finish();  // all of it has arrived
    EXPECT_EQ((co_await b.read_all(data))->count, 4U);
    EXPECT_EQ((co_await b.read(data))->count, 0U);
  }(executor, c, s));
}

TEST_F(CoroutineSocket, SeveralSpansAreReadAndWrittenAtOnce) {
  auto [c, s] = pair();
  executor.run([](TcpStream& a, TcpStream& b) -> Task<void> {
    const std::string one = "gather ";
    const std::string two = "scatter";
    std::array<std::uint8_t, 7> x{};
    std::array<std::uint8_t, 7> y{};
    std::vector<std::uint8_t> first(one.begin(), one.end());
    std::vector<std::uint8_t> second(two.begin(), two.end());
    const std::array<ByteSpan, 2> from{first, second};
    const std::array<MutableByteSpan, 2> to{x, y};
    EXPECT_EQ((co_await a.write_all(from))->count, 14U);
    std::array<std::uint8_t, 3> ahead{};
    EXPECT_EQ((co_await b.peek(ahead))->count, 3U);
    EXPECT_EQ((co_await b.read(to))->count, 14U);
    EXPECT_EQ(std::string(x.begin(), x.end()), one);
    EXPECT_EQ(std::string(y.begin(), y.end()), two);
  }(c, s));
}

TEST_F(CoroutineSocket, NobodyListens) {
  const auto r = executor.run([](std::shared_ptr<Service> s) -> Task<Result<TcpStream>> {
    co_return co_await TcpStream::connect(std::move(s), at(1, 9));
  }(client()));
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error(), Errc::connection_refused);
}

TEST_F(CoroutineSocket, AnEmptySocketAnswersBadHandle) {
  executor.run([]() -> Task<void> {
    TcpStream nothing;
    std::array<std::uint8_t, 8> data{};
    EXPECT_EQ((co_await nothing.read(data)).error(), Errc::bad_handle);
    EXPECT_EQ(nothing.shutdown(ShutdownHow::both).error(), Errc::bad_handle);
    EXPECT_EQ(nothing.local_endpoint().error(), Errc::bad_handle);
  }());
}

TEST_F(CoroutineSocket, ClosingASocketEndsWhatWaitsOnIt) {
  auto [c, s] = pair();
  executor.run([](TcpStream& stream) -> Task<void> {
    std::array<std::uint8_t, 8> data{};
    auto [got, unused] = co_await when_all(stream.read(data), [](TcpStream& x) -> Task<void> {
      x.close();
      co_return;
    }(stream));
    EXPECT_EQ(got.error(), Errc::bad_handle);
  }(s));
}

TEST_F(CoroutineSocket, OptionsAndEndpoints) {
  auto [c, s] = pair();
  EXPECT_EQ(c.remote_endpoint().value(), at(1, 80));
  EXPECT_EQ(s.remote_endpoint().value(), c.local_endpoint().value());
  EXPECT_TRUE(c.set_option(OptionId::tcp_nodelay, 1));
  EXPECT_EQ(c.option(OptionId::tcp_nodelay).value(), 1);
}

// --- time ------------------------------------------------------------------------------------------------------------

TEST_F(CoroutineSocket, AReadEndsWhenItsTimeIsOver) {
  auto [c, s] = pair();
  const Instant begin = world.hosts.now();
  executor.run([](TcpStream& stream) -> Task<void> {
    std::array<std::uint8_t, 8> data{};
    const auto got = co_await stream.read(data, {.within = Duration::ms(70)});
    EXPECT_EQ(got.error(), Errc::timed_out);
  }(c));
  EXPECT_EQ(since(begin), Duration::ms(70));
}

TEST_F(CoroutineSocket, SleepersWakeInTheOrderOfTheirTimes) {
  std::vector<int> order;
  const Instant begin = world.hosts.now();
  for (const int ms : {30, 10, 20})
    executor.spawn([](int wait, std::vector<int>& to) -> Task<void> {
      EXPECT_TRUE(co_await sleep_for(Duration::ms(wait)));
      to.push_back(wait);
    }(ms, order));
  executor.run();
  EXPECT_EQ(order, (std::vector{10, 20, 30}));
  EXPECT_EQ(since(begin), Duration::ms(30));
}

TEST_F(CoroutineSocket, WhicheverComesFirst) {
  auto [c, s] = pair();
  executor.run([](TcpStream& stream, TcpStream& peer) -> Task<void> {
    std::array<std::uint8_t, 8> data{};
    auto late = co_await when_any(stream.read(data), sleep_for(Duration::ms(5)));
    EXPECT_EQ(late.first, 1U);
    EXPECT_EQ(std::get<0>(late.results).error(), Errc::cancelled);
    (void)co_await peer.write_all(bytes("now"));
    auto got = co_await when_any(stream.read(data), sleep_for(Duration::s(5)));
    EXPECT_EQ(got.first, 0U);
    EXPECT_EQ(std::get<0>(got.results)->count, 3U);
    EXPECT_EQ(std::get<1>(got.results).error(), Errc::cancelled);
  }(c, s));
}

// --- stopping --------------------------------------------------------------------------------------------------------

TEST_F(CoroutineSocket, AStopTokenEndsAnOperationAndNoOther) {
  auto [c, s] = pair();
  executor.run([](TcpStream& stream, TcpStream& peer) -> Task<void> {
    std::array<std::uint8_t, 8> data{};
    std::stop_source source;
    const std::stop_token token = source.get_token();
    auto [got, unused] = co_await when_all(stream.read(data, {.stop = &token}), [](std::stop_source& x) -> Task<void> {
      co_await yield();
      x.request_stop();
    }(source));
    EXPECT_EQ(got.error(), Errc::cancelled);
    EXPECT_EQ((co_await stream.read(data, {.stop = &token})).error(), Errc::cancelled);  // not begun
    (void)co_await peer.write_all(bytes("still here"));
    EXPECT_EQ((co_await stream.read(data))->count, 8U);
  }(c, s));
}

TEST_F(CoroutineSocket, AnOperationIsCancelledByItsName) {
  auto [c, s] = pair();
  executor.run([](TcpStream& stream) -> Task<void> {
    std::array<std::uint8_t, 8> data{};
    auto read = stream.read(data);
    auto [got, unused] = co_await when_all(read, [](IoOperation& op) -> Task<void> {
      op.cancel();
      op.cancel();  // once more does nothing more
      co_return;
    }(read));
    EXPECT_EQ(got.error(), Errc::cancelled);
    read.cancel();  // over: nothing
  }(c));
}

TEST_F(CoroutineSocket, StoppingTheExecutorStopsAllTasks) {
  auto [c, s] = pair();
  int ended = 0;
  for (TcpStream* stream : {&c, &s})
    executor.spawn([](TcpStream& x, int& count) -> Task<void> {
      std::array<std::uint8_t, 8> data{};
      EXPECT_EQ((co_await x.read(data)).error(), Errc::cancelled);
      EXPECT_EQ((co_await sleep_for(Duration::s(1))).error(), Errc::cancelled);
      ++count;
    }(*stream, ended));
  executor.spawn([](Executor& ex) -> Task<void> {
    (void)co_await sleep_for(Duration::ms(1));
    ex.stop();
  }(executor));
  executor.run();
  EXPECT_EQ(ended, 2);
}

TEST_F(CoroutineSocket, ACancelledWriteTellsWhatThePeerWillGet) {
  auto [c, s] = pair();
  executor.run([](TcpStream& stream, TcpStream& peer) -> Task<void> {
    const auto all = pattern(8'000'000);
    const auto sent = co_await stream.write_all(all, {.within = Duration::ms(10)});
    EXPECT_TRUE(sent);
    EXPECT_GT(sent->count, 0U);
    EXPECT_LT(sent->count, all.size());
    std::vector<std::uint8_t> got(all.size());
    EXPECT_TRUE(stream.shutdown(ShutdownHow::write));
    EXPECT_EQ((co_await peer.read_all(got))->count, sent->count);
    EXPECT_TRUE(std::equal(got.begin(), got.begin() + static_cast<std::ptrdiff_t>(sent->count), all.begin()));
  }(c, s));
}

// --- tasks and executors ---------------------------------------------------------------------------------------------

Task<int> deep(int n) {
  if (n == 0) co_return 0;
  co_return 1 + co_await deep(n - 1);
}

TEST_F(CoroutineSocket, ALongChainOfTasks) {
  EXPECT_EQ(executor.run(deep(1000)), 1000);
}

TEST_F(CoroutineSocket, ExceptionsGoToWhoAwaits) {
  auto throws = []() -> Task<int> {
    co_await yield();
    throw std::runtime_error("lost");
  };
  EXPECT_THROW((void)executor.run(throws()), std::runtime_error);
  executor.spawn([](Task<int> t) -> Task<void> { (void)co_await std::move(t); }(throws()));
  EXPECT_THROW(executor.run(), std::runtime_error);
  bool other_ended = false;
  EXPECT_THROW(executor.run([](Task<int> t, bool& ended) -> Task<void> {
    (void)co_await when_all(std::move(t), [](bool& e) -> Task<void> {
      (void)co_await sleep_for(Duration::ms(1));
      e = true;
    }(ended));
  }(throws(), other_ended)),
               std::runtime_error);
  EXPECT_TRUE(other_ended);
}

TEST_F(CoroutineSocket, ATaskThatNeverWaitsLeavesTheOthersTheirTurn) {
  auto [c, s] = pair();
  bool stop = false;
  executor.spawn([](TcpStream& stream, const bool& over) -> Task<void> {
    std::array<std::uint8_t, 1> data{};
    while (!over) (void)co_await stream.peek(data);  // complete at once, every time
  }(c, stop));
  executor.spawn([](TcpStream& peer, bool& over) -> Task<void> {
    (void)co_await peer.write_all(bytes("x"));
    for (int i = 0; i < 5; ++i) co_await yield();
    over = true;
  }(s, stop));
  executor.run();
  EXPECT_TRUE(stop);
}

TEST_F(CoroutineSocket, PollNeverWaits) {
  EXPECT_EQ(executor.poll(), 0U);
  executor.spawn([]() -> Task<void> { (void)co_await sleep_for(Duration::ms(1)); }());
  EXPECT_EQ(executor.poll(), 1U);
  EXPECT_EQ(executor.poll(), 0U);
  EXPECT_EQ(executor.tasks(), 1U);
  world.run_for(Duration::ms(2));
  EXPECT_EQ(executor.poll(), 1U);
  EXPECT_EQ(executor.tasks(), 0U);
  EXPECT_FALSE(executor.run_one());
}

// What completes an operation, a plain call, the world's turning or a task of another executor, does not go on with the
// task that waits for it.
TEST_F(CoroutineSocket, NobodyElsesCallGoesOnWithATask) {
  auto [c, s] = pair();
  std::size_t resumed = 0;
  executor.spawn([](TcpStream& stream, std::size_t& count) -> Task<void> {
    std::array<std::uint8_t, 1> data{};
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ((co_await stream.read_all(data))->count, 1U);
      ++count;
    }
  }(s, resumed));
  EXPECT_EQ(executor.poll(), 1U);
  EXPECT_EQ(resumed, 0U);

  Op op;
  op.send(c.handle(), bytes("1"));
  world.service(0).run(op);
  world.run_for(Duration::ms(100));
  EXPECT_FALSE(any(world.hosts.stack(1).readiness(s.handle()) & Ready::readable)) << "the read has it";
  EXPECT_EQ(resumed, 0U);
  EXPECT_EQ(executor.poll(), 1U);
  EXPECT_EQ(resumed, 1U);

  Executor other{client()};
  other.run([](TcpStream& stream) -> Task<void> {
    EXPECT_EQ((co_await stream.write_all(bytes("2")))->count, 1U);
    (void)co_await sleep_for(Duration::ms(100));
  }(c));
  EXPECT_FALSE(any(world.hosts.stack(1).readiness(s.handle()) & Ready::readable));
  EXPECT_EQ(resumed, 1U);
  EXPECT_TRUE(executor.run_one());
  EXPECT_EQ(resumed, 2U);

  // Nor does a task of the same executor, in its own call.
  executor.run([](TcpStream& stream, const std::size_t& count) -> Task<void> {
    EXPECT_EQ((co_await stream.write_all(bytes("3")))->count, 1U);
    EXPECT_EQ(count, 2U);
  }(c, resumed));
  executor.run();
  EXPECT_EQ(resumed, 3U);
}

// A coroutine of another type, whose frame can be destroyed at any time.
struct Fire {
  struct promise_type : PromiseBase {  // NOLINT(readability-identifier-naming): the language's name
    Fire get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
    [[nodiscard]] std::suspend_always final_suspend() const noexcept { return {}; }
    void return_void() const {}
    void unhandled_exception() const {}
  };
  std::coroutine_handle<promise_type> handle;
};

void destroy_while_it_reads(Executor& executor, TcpStream& from) {
  std::array<std::uint8_t, 8> data{};
  const Context context{&executor, {}};
  const Fire fire = [](TcpStream& stream, MutableByteSpan to) -> Fire { (void)co_await stream.read(to); }(from, data);
  fire.handle.promise().found_context = &context;
  fire.handle.resume();
  fire.handle.destroy();
}

TEST_F(CoroutineSocket, AFrameMustNotEndBeforeItsOperation) {
  auto [c, s] = pair();
  TcpStream& stream = c;
  EXPECT_DEATH(destroy_while_it_reads(executor, stream), "");
}

TEST_F(CoroutineSocket, FinishWaitsUntilThePeerHasAll) {
  auto [c, s] = pair();
  executor.run([](TcpStream& from, TcpStream& to) -> Task<void> {
    const auto much = pattern(8'000'000);
    EXPECT_LT((co_await from.write_all(much, {.within = Duration::s(1)}))->count, much.size());
    EXPECT_EQ((co_await from.finish({.within = Duration::s(1)})).error(), Errc::timed_out) << "nobody reads";
    std::vector<std::uint8_t> data(100'000);
    auto drink = [](TcpStream& t, MutableByteSpan d) -> Task<void> {
      for (;;) {
        const auto got = co_await t.read(d);
        if (!got || got->count == 0) co_return;
      }
    };
    auto ends = [](TcpStream& f) -> Task<bool> { co_return (co_await f.finish()).has_value(); };
    EXPECT_TRUE(std::get<0>(co_await when_all(ends(from), drink(to, data))));
    EXPECT_TRUE(co_await to.finish());
  }(c, s));
}

TEST_F(CoroutineSocket, CloseLingersAsLongAsItsOptionSays) {
  auto [c, s] = pair();
  executor.run([this](TcpStream& from, TcpStream& to) -> Task<void> {
    EXPECT_TRUE(from.set_option(OptionId::linger, 3));
    const auto much = pattern(8'000'000);
    EXPECT_LT((co_await from.write_all(much, {.within = Duration::s(1)}))->count, much.size());
    const Instant begin = client()->now();
    EXPECT_TRUE(co_await from.close_lingering());
    EXPECT_GE(client()->now() - begin, Duration::s(3));
    EXPECT_FALSE(from.local_endpoint());
    to.close();
  }(c, s));
}

// --- datagrams -------------------------------------------------------------------------------------------------------

TEST_F(CoroutineSocket, ManyDatagramsAtOnce) {
  auto a = UdpSocket::open(client(), {{}, Port{1000}}).value();
  auto b = UdpSocket::open(server(), {{}, Port{2000}}).value();
  executor.run([](UdpSocket& left, UdpSocket& right) -> Task<void> {
    const auto data = pattern(20);
    const std::array<OutDatagram, 2> out{{{data, at(1, 2000)}, {ByteSpan{data}.first(3), at(1, 2000)}}};
    EXPECT_EQ((co_await left.send_many(out))->count, 2U);
    std::array<std::uint8_t, 30> one{}, two{};
    std::array<InDatagram, 2> in{{{one}, {two}}};
    std::size_t n = 0;
    while (n < 2) n += (co_await right.receive_many(std::span{in}.subspan(n)))->count;
    EXPECT_EQ(in[0].count, 20U);
    EXPECT_EQ(in[1].count, 3U);
    EXPECT_EQ(in[1].message.from, at(0, 1000));
  }(a, b));
}

TEST_F(CoroutineSocket, AnAnswerComesFromTheAddressThatWasAsked) {
  const IpAddress second = IpAddress::v4(10, 0, 0, 77);
  ASSERT_TRUE(world.hosts.stack(1).add_address(InterfaceId{1}, {second, 24}));
  auto a = UdpSocket::open(client(), {{}, Port{1000}}).value();
  auto b = UdpSocket::open(server(), {{}, Port{2000}}).value();
  executor.run([](UdpSocket& left, UdpSocket& right, IpAddress asked) -> Task<void> {
    (void)co_await left.send_to(bytes("hello"), {asked, Port{2000}});
    std::array<std::uint8_t, 8> data{};
    const auto got = co_await right.receive_from(data);
    EXPECT_EQ((co_await right.answer(bytes("yes"), got->message))->count, 3U);
    EXPECT_EQ((co_await left.receive_from(data))->message.from, (Endpoint{asked, Port{2000}}));
  }(a, b, second));
}

TEST_F(CoroutineSocket, DatagramsKnowWhereTheyComeFrom) {
  auto a = UdpSocket::open(client(), {{}, Port{1000}}).value();
  auto b = UdpSocket::open(server(), {{}, Port{2000}}).value();
  executor.run([](UdpSocket& left, UdpSocket& right) -> Task<void> {
    EXPECT_EQ((co_await left.send_to(bytes("hello"), at(1, 2000)))->count, 5U);
    std::array<std::uint8_t, 3> data{};
    const auto got = co_await right.receive_from(data);
    EXPECT_EQ(got->count, 3U);
    EXPECT_EQ(got->message.full_size, 5U);
    EXPECT_EQ(got->message.from, at(0, 1000));
    EXPECT_TRUE(right.connect(got->message.from));
    EXPECT_EQ((co_await right.send(bytes("yes")))->count, 3U);
    EXPECT_EQ((co_await left.receive_from(data))->count, 3U);
    EXPECT_EQ((co_await left.receive_from(data, {.within = Duration::ms(3)})).error(), Errc::timed_out);
  }(a, b));
}

}  // namespace
}  // namespace leat::coroutine
