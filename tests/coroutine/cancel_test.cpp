// S8: every operation of a conversation is cancelled, one at a time, at several moments: before it begins, at once,
// after others had their turn, by its deadline, after it was complete. The conversation must come out the same, byte
// for byte, and leave nothing behind.

#include <gtest/gtest.h>

#include <array>
#include <leat/api/coroutine/combine.hpp>
#include <leat/api/coroutine/socket.hpp>
#include <leat/base/error_table.hpp>
#include <optional>
#include <vector>

#include "../support/cancel_every.hpp"

namespace leat::coroutine {
namespace {

using test::TwoHosts;

constexpr std::size_t kBytes = 6000;
constexpr Port kPort{80};
constexpr Port kUdpPort{81};

// When the chosen operation is cancelled.
struct Moment {
  enum class Way : std::uint8_t { before, stop, by_name, deadline, late } way;
  int turns = 0;  // of the others
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
    executor_.run();
    EXPECT_TRUE(conversation_done_);
    EXPECT_TRUE(datagrams_done_);
    EXPECT_EQ(received_, sent_);
    expect_nothing_left();
  }

 private:
  // Awaits what make() makes, and cancels it when it is the chosen one. `make` gets the limit to use.
  template <class Make>
  auto sabotaged(Make make) -> Task<detail::Awaited<std::invoke_result_t<Make, const Limit&>>> {
    const bool chosen = is_chosen();
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
      auto r = co_await sabotaged([&](const Limit& l) {
        return TcpStream::connect(world_.shared_service(0), {TwoHosts::address(1), kPort}, l);
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
    for (std::size_t at = 0; at < kBytes;) {
      const auto r = co_await sabotaged([&](const Limit& l) {
        const ByteSpan rest{sent_.data() + at, std::min<std::size_t>(1500, kBytes - at)};
        return at % 2 == 0 ? stream.write(rest, l) : stream.write_all(rest, l);
      });
      if (again(r)) continue;
      at += r->count;
    }
    EXPECT_TRUE(stream.shutdown(ShutdownHow::write));
  }
  Task<void> read_all(TcpStream& stream) {
    std::size_t at = 0;
    for (;;) {
      std::array<std::uint8_t, 700> data{};
      const auto r = co_await sabotaged(
          [&](const Limit& l) { return at < kBytes / 2 ? stream.read(data, l) : stream.read_all(data, l); });
      if (again(r)) continue;
      if (r->count > kBytes - at) co_return;  // received_ will differ
      std::copy_n(data.begin(), r->count, received_.begin() + static_cast<std::ptrdiff_t>(at));
      at += r->count;
      if (r->status == IoStatus::end_of_stream) co_return;
    }
  }

  // --- the answering side ---
  Task<void> serve() {
    auto listener = TcpListener::listen(world_.shared_service(1), {{}, kPort}, 4).value();
    EXPECT_TRUE(listener.set_option(OptionId::receive_buffer, 1024));
    for (;;) {
      auto r = co_await sabotaged([&](const Limit& l) { return listener.accept(l); });
      if (again(r)) continue;
      if (co_await echo(std::move(*r))) co_return;  // a connection that the asking side gave up has no bytes
    }
  }
  Task<bool> echo(TcpStream stream) {
    bool some = false;
    for (;;) {
      std::array<std::uint8_t, 900> data{};
      const auto r = co_await sabotaged([&](const Limit& l) { return stream.read(data, l); });
      if (!r && r.error() == Errc::connection_reset) co_return some;
      if (again(r)) continue;
      if (r->count == 0) co_return some;
      some = true;
      for (std::size_t at = 0; at < r->count;) {
        const auto w = co_await sabotaged([&](const Limit& l) {
          return stream.write_all(ByteSpan{data.data() + at, r->count - at}, l);
        });
        if (again(w)) continue;
        at += w->count;
      }
    }
  }

  // --- datagrams ---
  Task<void> serve_datagrams() {
    auto socket = UdpSocket::open(world_.shared_service(1), {{}, kUdpPort}).value();
    for (int i = 0; i < 3;) {
      std::array<std::uint8_t, 100> data{};
      const auto r = co_await sabotaged([&](const Limit& l) { return socket.receive_from(data, l); });
      if (again(r)) continue;
      for (;;) {
        const auto w = co_await sabotaged([&](const Limit& l) {
          return socket.send_to({data.data(), r->count}, r->message.from, l);
        });
        if (!again(w)) break;
      }
      ++i;
    }
  }
  Task<void> ask_datagrams() {
    auto socket = UdpSocket::open(world_.shared_service(0)).value();
    EXPECT_TRUE(socket.connect({TwoHosts::address(1), kUdpPort}));
    for (std::uint8_t i = 0; i < 3; ++i) {
      const std::array<std::uint8_t, 1> question{i};
      while (again(co_await sabotaged([&](const Limit& l) { return socket.send(question, l); }))) {
      }
      for (;;) {
        std::array<std::uint8_t, 100> data{};
        const auto r = co_await sabotaged([&](const Limit& l) { return socket.receive_from(data, l); });
        if (again(r)) continue;
        EXPECT_EQ(r->count, 1U);
        EXPECT_EQ(data[0], i);
        break;
      }
    }
    datagrams_done_ = true;
  }

  bool conversation_done_ = false;
  bool datagrams_done_ = false;
  std::array<std::uint8_t, kBytes> sent_{};
  std::array<std::uint8_t, kBytes> received_{};
  Executor executor_{world_.shared_service(0)};
};

TEST(S8_CancelEveryCoroutineOperation, NoByteAndNoConnectionIsLost) {
  test::cancel_every<Conversation>(kMoments);
}

}  // namespace
}  // namespace leat::coroutine
