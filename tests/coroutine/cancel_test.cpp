// S8: every operation of a conversation is cancelled, one at a time, at several moments: before it begins, at once,
// after others had their turn, by its deadline, after it was complete. The conversation must come out the same, byte
// for byte, and leave nothing behind.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <leat/api/coroutine/combine.hpp>
#include <leat/api/coroutine/socket.hpp>
#include <leat/base/error_table.hpp>
#include <optional>
#include <string>
#include <vector>

#include "../support/cancel_every.hpp"

namespace leat::coroutine {
namespace {

using test::TwoHosts;

constexpr std::size_t kBytes = 6000;
constexpr Port kPort{80};
constexpr Port kUdpPort{81};
constexpr Port kLocalPort{5000};
constexpr std::size_t kSingle = 3;  // numbered datagrams, a call for each
constexpr std::size_t kMany = 200;  // by one call: more than the device takes at once

// When the chosen operation is cancelled.
struct Moment {
  enum class Way : std::uint8_t { before, stop, by_name, deadline, late } way;
  int turns = 0;  // of the others
  [[nodiscard]] bool is_before() const { return way == Way::before; }
};
constexpr std::array kMoments{
    Moment{Moment::Way::before},   Moment{Moment::Way::stop},    Moment{Moment::Way::stop, 1},
    Moment{Moment::Way::stop, 2},  Moment{Moment::Way::stop, 3}, Moment{Moment::Way::stop, 5},
    Moment{Moment::Way::stop, 8},  Moment{Moment::Way::by_name}, Moment{Moment::Way::by_name, 1},
    Moment{Moment::Way::deadline}, Moment{Moment::Way::late},    Moment{Moment::Way::late, 3},
};

class Conversation : public test::Cancelled<Moment> {
 public:
  Conversation(std::size_t chosen, Moment moment) : Cancelled(chosen, moment) {
    for (std::size_t i = 0; i < kBytes; ++i) sent_[i] = static_cast<std::uint8_t>(i * 7 + (i >> 8));
  }

  void run() {
    executor_.spawn(serve());
    executor_.spawn(ask());
    executor_.spawn(serve_datagrams());
    executor_.spawn(ask_datagrams());
    executor_.spawn(sleep());
    executor_.run();
    EXPECT_TRUE(conversation_done_);
    EXPECT_TRUE(datagrams_done_);
    EXPECT_EQ(received_, sent_);
    EXPECT_EQ(executor_.tasks(), 0U);
    expect_nothing_left();
  }

 private:
  // Awaits what make() makes, and cancels it when it is the chosen one. `make` gets the limit to use.
  template <class Make>
  auto sabotaged(std::string_view name, Make make) -> Task<detail::Awaited<std::invoke_result_t<Make, const Limit&>>> {
    const bool chosen = is_chosen(name);
    Limit limit;
    std::stop_source source;
    const std::stop_token token = source.get_token();
    limit.stop = &token;
    if (!chosen) co_return co_await make(limit);
    if (moment_.way == Moment::Way::before) source.request_stop();
    if (moment_.way == Moment::Way::deadline) limit.within = Duration{};
    auto operation = make(limit);
    bool over = false;
    auto results = co_await when_all(end_of(operation, over), cancel(operation, source, over));
    auto& result = std::get<0>(results);
    if (!result && (result.error() == Errc::cancelled || result.error() == Errc::timed_out)) was_ended_early();
    co_return std::move(result);
  }
  template <class O>
  Task<detail::Awaited<O>> end_of(O& operation, bool& over) {
    auto result = co_await operation;
    over = true;
    co_return std::move(result);
  }
  Task<void> cancel(Operation& operation, std::stop_source& source, const bool& over) {
    for (int i = 0; i < moment_.turns && !over; ++i) co_await yield();
    // As when another thread turns the stack: it is complete, but its coroutine has not heard of it.
    if (moment_.way == Moment::Way::late) world_.run_for(Duration::us(1));
    if (moment_.way == Moment::Way::stop || moment_.way == Moment::Way::late) source.request_stop();
    if (moment_.way == Moment::Way::by_name) operation.cancel();
  }
  template <class R>
  static bool again(const R& r) {
    if (r) return false;
    EXPECT_TRUE(r.error() == Errc::cancelled || r.error() == Errc::timed_out) << name_of(r.error());
    return r.error() == Errc::cancelled || r.error() == Errc::timed_out;
  }

  // --- the asking side ---
  Task<void> ask() {
    TcpStream stream;
    for (;;) {
      auto r = co_await sabotaged("connect", [&](const Limit& l) {
        return TcpStream::connect(world_.shared_service(0), {TwoHosts::address(1), kPort}, l, {{}, kLocalPort});
      });
      if (again(r)) continue;
      EXPECT_TRUE(r);
      if (!r) co_return;
      stream = std::move(*r);
      break;
    }
    EXPECT_TRUE(stream.set_option(OptionId::send_buffer, 512));
    co_await when_all(write_all(stream), read_all(stream));
    conversation_done_ = true;
  }
  Task<void> write_all(TcpStream& stream) {
    int round = 0;
    for (std::size_t at = 0; at < kBytes; ++round) {
      const ByteSpan rest{sent_.data() + at, std::min<std::size_t>(1500, kBytes - at)};
      const std::array<ByteSpan, 2> parts{rest.first(rest.size() / 3), rest.subspan(rest.size() / 3)};
      Result<IoCount> r = fail(Errc::cancelled);
      switch (round % 5) {
        case 0:
        case 1:  // the first has filled the buffer
          r = co_await sabotaged("write", [&](const Limit& l) { return stream.write(rest, l); });
          break;
        case 2:
          r = co_await sabotaged("write of parts", [&](const Limit& l) { return stream.write(parts, l); });
          break;
        case 3:
          r = co_await sabotaged("write_all", [&](const Limit& l) { return stream.write_all(rest, l); });
          break;
        default:
          r = co_await sabotaged("write_all of parts", [&](const Limit& l) { return stream.write_all(parts, l); });
      }
      if (again(r)) continue;
      if (round % 5 > 2 && r->count < rest.size()) was_ended_early();  // with what it wrote until then
      at += r->count;
    }
    while (again(co_await sabotaged("finish", [&](const Limit& l) { return stream.finish(l); }))) {
    }
  }
  Task<void> read_all(TcpStream& stream) {
    std::size_t at = 0;
    for (int round = 0;; ++round) {
      std::array<std::uint8_t, 700> data{};
      const std::array<MutableByteSpan, 2> parts{MutableByteSpan{data}.first(300), MutableByteSpan{data}.subspan(300)};
      const bool looks = round % 4 == 2;
      Result<IoCount> r = fail(Errc::cancelled);
      switch (round % 4) {
        case 0:
          r = co_await sabotaged("read", [&](const Limit& l) { return stream.read(data, l); });
          break;
        case 1:
          r = co_await sabotaged("read of parts", [&](const Limit& l) { return stream.read(parts, l); });
          break;
        case 2:
          r = co_await sabotaged("peek", [&](const Limit& l) { return stream.peek(data, l); });
          break;
        default:
          r = co_await sabotaged("read_all", [&](const Limit& l) { return stream.read_all(data, l); });
      }
      if (again(r)) continue;
      if (r->count > kBytes - at) co_return;  // received_ will differ
      const auto to = received_.begin() + static_cast<std::ptrdiff_t>(at);
      std::copy_n(data.begin(), r->count, to);  // what was looked at is read again
      if (looks) continue;
      at += r->count;
      if (r->status == IoStatus::end_of_stream) co_return;
      if (round % 4 == 3 && r->count < data.size()) was_ended_early();  // with what it read until then
    }
  }
  Task<void> sleep() {
    const Duration a_while = Duration::ms(5);
    while (again(co_await sabotaged("sleep_for", [&](const Limit& l) { return sleep_for(a_while, l.stop); }))) {
    }
    const Instant then = world_.hosts.now() + a_while;
    while (again(co_await sabotaged("sleep_until", [&](const Limit& l) { return sleep_until(then, l.stop); }))) {
    }
    EXPECT_GE(world_.hosts.now(), then);
  }

  // --- the answering side ---
  Task<void> serve() {
    auto listener = TcpListener::listen(world_.shared_service(1), {{}, kPort}, 4).value();
    EXPECT_TRUE(listener.set_option(OptionId::receive_buffer, 1024));
    for (;;) {
      auto r = co_await sabotaged("accept", [&](const Limit& l) { return listener.accept(l); });
      if (again(r)) continue;
      if (co_await echo(std::move(*r))) co_return;  // a connection that the asking side gave up has no bytes
    }
  }
  Task<bool> echo(TcpStream stream) {
    bool some = false;
    for (;;) {
      std::array<std::uint8_t, 900> data{};
      const auto r = co_await sabotaged("read", [&](const Limit& l) { return stream.read(data, l); });
      if (!r && r.error() == Errc::connection_reset) co_return some;
      if (again(r)) continue;
      if (r->count == 0) break;
      some = true;
      for (std::size_t at = 0; at < r->count;) {
        const ByteSpan rest{data.data() + at, r->count - at};
        const auto w = co_await sabotaged("write_all", [&](const Limit& l) { return stream.write_all(rest, l); });
        if (again(w)) continue;
        at += w->count;
      }
    }
    EXPECT_TRUE(stream.set_option(OptionId::linger, 3));
    const Handle handle = stream.handle();
    (void)co_await sabotaged("close_lingering", [&](const Limit& l) { return stream.close_lingering(l); });
    EXPECT_FALSE(stream.is_open());
    const TcpStream closed(world_.shared_service(1), handle);
    EXPECT_FALSE(closed.local_endpoint()) << "closed, however it ended";
    co_return some;
  }

  // --- datagrams ---
  Task<void> serve_datagrams() {
    auto socket = UdpSocket::open(world_.shared_service(1), {{}, kUdpPort}).value();
    for (int i = 0; i < 3;) {
      std::array<std::uint8_t, 100> data{};
      const auto r = co_await sabotaged("receive_from", [&](const Limit& l) { return socket.receive_from(data, l); });
      if (again(r)) continue;
      const ByteSpan bytes{data.data(), r->count};
      if (i == 0) {
        while (
            again(co_await sabotaged("answer", [&](const Limit& l) { return socket.answer(bytes, r->message, l); }))) {
        }
      } else {
        while (again(
            co_await sabotaged("send_to", [&](const Limit& l) { return socket.send_to(bytes, r->message.from, l); }))) {
        }
      }
      ++i;
    }
    co_await receive_numbers(socket);
  }
  Task<void> ask_datagrams() {
    auto socket = UdpSocket::open(world_.shared_service(0)).value();
    EXPECT_TRUE(socket.connect({TwoHosts::address(1), kUdpPort}));
    Message answered;
    for (std::uint8_t i = 0; i < 3; ++i) {
      const std::array<std::uint8_t, 1> question{i};
      while (again(co_await sabotaged("send", [&](const Limit& l) { return socket.send(question, l); }))) {
      }
      for (;;) {
        std::array<std::uint8_t, 100> data{};
        const auto r = co_await sabotaged("receive_from", [&](const Limit& l) { return socket.receive_from(data, l); });
        if (again(r)) continue;
        EXPECT_EQ(r->count, 1U);
        EXPECT_EQ(data[0], i);
        answered = r->message;
        break;
      }
    }
    fill_device();  // so that each of these waits
    co_await when_all(send_one(socket, 0, answered), send_one(socket, 1, answered), send_one(socket, 2, answered));
    co_await send_numbers();  // fills it, and waits
  }
  // With datagrams that nobody takes at the other side.
  void fill_device() {
    auto socket = UdpSocket::open(world_.shared_service(0)).value();
    const std::array<std::uint8_t, 4> nothing{};
    Op op;
    for (int i = 0; i < 1000 && op.status != IoStatus::would_block; ++i) {
      op.reset();
      op.send_to(socket.handle(), nothing, {TwoHosts::address(1), Port{9}});
      op.flags.dont_wait = true;
      world_.service(0).run(op);
    }
    EXPECT_EQ(op.status, IoStatus::would_block);
  }
  Task<void> send_numbers() {
    auto socket = UdpSocket::open(world_.shared_service(0)).value();
    const Endpoint to{TwoHosts::address(1), kUdpPort};
    std::vector<std::uint8_t> numbers(kMany);
    std::vector<OutDatagram> out;
    for (std::size_t i = 0; i < kMany; ++i) {
      numbers[i] = static_cast<std::uint8_t>(kSingle + i);
      out.push_back({ByteSpan{numbers}.subspan(i, 1), to});
    }
    for (std::size_t at = 0; at < kMany;) {
      const auto r = co_await sabotaged(
          "send_many", [&](const Limit& l) { return socket.send_many(std::span{out}.subspan(at), l); });
      if (again(r)) continue;
      at += r->count;
      if (at < kMany) was_ended_early();  // with what it sent until then
    }
  }
  Task<void> send_one(UdpSocket& socket, std::uint8_t number, const Message& answered) {
    const std::array<std::uint8_t, 1> bytes{number};
    for (;;) {
      Result<IoCount> r = fail(Errc::cancelled);
      if (number == 0) {
        r = co_await sabotaged("send", [&](const Limit& l) { return socket.send(bytes, l); });
      } else if (number == 1) {
        r = co_await sabotaged("send_to", [&](const Limit& l) { return socket.send_to(bytes, answered.from, l); });
      } else {
        r = co_await sabotaged("answer", [&](const Limit& l) { return socket.answer(bytes, answered, l); });
      }
      if (!again(r)) co_return;
    }
  }
  // Each number comes once, and those of one call in their order.
  Task<void> receive_numbers(UdpSocket& socket) {
    std::vector<std::uint8_t> singles, many;
    std::array<std::array<std::uint8_t, 2>, 16> buffers{};
    std::array<InDatagram, 16> in{};
    for (std::size_t i = 0; i < in.size(); ++i) in[i].to = buffers[i];
    while (singles.size() + many.size() < kSingle + kMany) {
      const auto r = co_await sabotaged("receive_many", [&](const Limit& l) { return socket.receive_many(in, l); });
      if (again(r)) continue;
      for (std::size_t i = 0; i < r->count; ++i) {
        EXPECT_EQ(in[i].count, 1U);
        (buffers[i][0] < kSingle ? singles : many).push_back(buffers[i][0]);
      }
    }
    std::ranges::sort(singles);
    EXPECT_EQ(singles, (std::vector<std::uint8_t>{0, 1, 2}));
    for (std::size_t i = 0; i < many.size(); ++i) EXPECT_EQ(many[i], kSingle + i);
    std::array<std::uint8_t, 2> none{};
    EXPECT_EQ((co_await socket.receive_from(none, {.within = Duration::s(1)})).error(), Errc::timed_out);
    datagrams_done_ = true;
  }

  bool conversation_done_ = false;
  bool datagrams_done_ = false;
  std::array<std::uint8_t, kBytes> sent_{};
  std::array<std::uint8_t, kBytes> received_{};
  Executor executor_{world_.shared_service(0)};
};

// One side writes more than the other reads, and closes; its wait is cancelled.
class ClosingConversation : public test::Cancelled<Moment> {
 public:
  explicit ClosingConversation(Moment moment) : Cancelled(0, moment) {}
  void run() {
    executor_.run(talk());
    expect_nothing_left();
  }

 private:
  Task<void> talk() {
    auto listener = TcpListener::listen(world_.shared_service(1), {{}, kPort}, 4).value();
    auto [connected, accepted] = co_await when_all(
        TcpStream::connect(world_.shared_service(0), {TwoHosts::address(1), kPort}), listener.accept());
    TcpStream from = std::move(*connected);
    TcpStream to = std::move(*accepted);
    EXPECT_TRUE(from.set_option(OptionId::linger, 60));
    const std::vector<std::uint8_t> much(8'000'000, 7);
    const std::size_t sent = (co_await from.write_all(much, {.within = Duration::s(1)}))->count;
    const Handle handle = from.handle();

    std::stop_source source;
    const std::stop_token token = source.get_token();
    Limit limit{.stop = &token};
    if (moment_.way == Moment::Way::before) source.request_stop();
    if (moment_.way == Moment::Way::deadline) limit.within = Duration{};
    const Instant begin = world_.hosts.now();
    auto operation = from.close_lingering(limit);
    co_await when_all(end_of(operation), cancel(operation, source));
    EXPECT_LT(world_.hosts.now() - begin, Duration::s(1)) << "nobody reads, so it would linger for a minute";
    const TcpStream closed(world_.shared_service(0), handle);
    EXPECT_FALSE(closed.local_endpoint());

    std::vector<std::uint8_t> got(much.size());
    const auto read = co_await to.read_all(got, {.within = Duration::s(100)});
    EXPECT_EQ(read->count, sent);
    EXPECT_EQ(read->status, IoStatus::end_of_stream);
  }
  Task<void> end_of(CloseOperation& operation) {
    const auto r = co_await operation;
    EXPECT_EQ(r.has_value(), !moment_.is_before()) << "before it begins there is nobody who could wait";
  }
  Task<void> cancel(Operation& operation, std::stop_source& source) {
    for (int i = 0; i < moment_.turns; ++i) co_await yield();
    if (moment_.way == Moment::Way::by_name) operation.cancel();
    if (moment_.way == Moment::Way::stop || moment_.way == Moment::Way::late) source.request_stop();
  }
  Executor executor_{world_.shared_service(0)};
};

TEST(S8_CancelEveryCoroutineOperation, NoByteAndNoConnectionIsLost) {
  test::cancel_every<Conversation>(
      kMoments, {"connect", "accept", "read", "read of parts", "read_all", "peek", "write", "write of parts",
                 "write_all", "write_all of parts", "finish", "sleep_for", "sleep_until", "send", "send_to", "answer",
                 "send_many", "receive_from", "receive_many"});
}

// A close that lingers has no error when its wait is cancelled: the socket is closed, and what was written arrives.
TEST(S8_CancelEveryCoroutineOperation, AClosedSocketIsClosedHoweverItsWaitEnds) {
  for (const auto moment : kMoments) {
    SCOPED_TRACE("way " + std::to_string(static_cast<int>(moment.way)) + ", after " + std::to_string(moment.turns));
    ClosingConversation(moment).run();
  }
}

}  // namespace
}  // namespace leat::coroutine
