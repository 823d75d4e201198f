// S8 for Boost.Asio: every operation of a conversation is cancelled, one at a time, by its cancellation slot or by
// cancel() of its socket, at several moments, one of them after it was complete and before its handler ran. The
// conversation must come out the same, byte for byte, and leave nothing behind.

#include <gtest/gtest.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <leat/asio/asio.hpp>
#include <vector>

#include "../support/cancel_every.hpp"

namespace leat::asio {
namespace {

using net::ip::tcp;
using net::ip::udp;
using test::TwoHosts;

constexpr std::size_t kBytes = 5000;

struct Moment {
  enum class Way : std::uint8_t { slot, socket, late_slot, late_socket } way;
  int turns = 0;  // of the other handlers before it
  [[nodiscard]] static bool is_before() { return false; }
};
constexpr std::array kMoments{
    Moment{Moment::Way::slot},         Moment{Moment::Way::slot, 1},        Moment{Moment::Way::slot, 3},
    Moment{Moment::Way::slot, 6},      Moment{Moment::Way::socket},         Moment{Moment::Way::socket, 2},
    Moment{Moment::Way::late_slot, 1}, Moment{Moment::Way::late_socket, 1}, Moment{Moment::Way::late_slot, 4},
};

class Conversation : public test::Cancelled<Moment> {
 public:
  Conversation(std::size_t chosen, Moment moment)
      : Cancelled(chosen, moment), variant_(2 * static_cast<int>(moment.way) + moment.turns) {
    for (std::size_t i = 0; i < kBytes; ++i) sent_[i] = static_cast<char>(i * 7 + (i >> 8));
  }

  void run() {
    for (auto task :
         {&Conversation::serve, &Conversation::ask, &Conversation::serve_datagrams, &Conversation::ask_datagrams})
      net::co_spawn(io_, (this->*task)(), [](const std::exception_ptr& e) {
        if (e) std::rethrow_exception(e);
      });
    while (!io_.stopped()) {
      if (io_.poll_one() > 0 || io_.stopped()) continue;
      if (world_.advance([this] { return io_.poll_one() > 0; }, Duration::s(1000))) continue;
      ADD_FAILURE() << "the conversation does not end";
      break;
    }
    EXPECT_TRUE(received_ == sent_) << "the first that differs is "
                                    << std::mismatch(received_.begin(), received_.end(), sent_.begin()).first -
                                           received_.begin();
    EXPECT_TRUE(datagrams_done_);
    expect_nothing_left();
  }

 private:
  using token = net::as_tuple_t<net::use_awaitable_t<>>;
  static constexpr token kToken{};

  // Awaits what start(token) begins on this socket, and cancels it when it is the chosen one.
  template <class Socket, class Start>
  auto sabotaged(std::string_view name, Socket& socket, Start start) -> decltype(start(kToken)) {
    if (!is_chosen(name)) co_return co_await start(kToken);
    net::cancellation_signal signal;
    bool over = false;
    bool hopping = true;
    std::function<void(int)> hop = [&](int turns) {
      net::post(io_, [&, turns] {
        if (!over && turns > 0) return hop(turns - 1);
        hopping = false;
        if (over) return;
        // As when another thread turns the stack: it is complete, but its handler has not run.
        const bool late = moment_.way == Moment::Way::late_slot || moment_.way == Moment::Way::late_socket;
        if (late) world_.run_for(Duration::us(1));
        if (moment_.way == Moment::Way::slot || moment_.way == Moment::Way::late_slot) {
          signal.emit(net::cancellation_type::total);
        } else {
          socket.cancel();
        }
      });
    };
    hop(moment_.turns);
    auto result = co_await start(net::bind_cancellation_slot(signal.slot(), kToken));
    over = true;
    while (hopping) co_await net::post(io_, net::use_awaitable);  // NOLINT(bugprone-infinite-loop): hop() ends it
    if (std::get<0>(result) == net::error::operation_aborted) was_ended_early();
    co_return result;
  }
  static bool again(const error_code& e) { return e == net::error::operation_aborted; }

  net::awaitable<void> ask() {
    const auto to = to_asio<tcp::endpoint>({TwoHosts::address(1), Port{80}});
    for (;;) {
      stream_socket socket(io_, world_.shared_service(0));
      const auto [e] = co_await sabotaged("connect", socket, [&](auto t) { return socket.async_connect(to, t); });
      if (again(e)) continue;
      EXPECT_FALSE(e) << e.message();
      socket.set_option(net::socket_base::send_buffer_size(512));
      bool written = false;
      net::co_spawn(io_, write_all(socket, written), net::detached);
      std::size_t at = 0;
      for (int round = 0;; ++round) {
        std::array<char, 700> data{};
        const std::array<net::mutable_buffer, 2> parts{net::buffer(data.data(), 300),
                                                       net::buffer(data.data() + 300, 400)};
        const auto [re, n] = co_await sabotaged(
            round % 2 == 0 ? "read_some" : "read_some of parts", socket, [&, scatter = round % 2 == 1](auto t) {
              return scatter ? socket.async_read_some(parts, t) : socket.async_receive(net::buffer(data), t);
            });
        if (again(re)) continue;
        if (re || n > kBytes - at) break;
        std::copy_n(data.begin(), n, received_.begin() + static_cast<std::ptrdiff_t>(at));
        at += n;
      }
      while (!written) co_await net::post(io_, net::use_awaitable);  // NOLINT(bugprone-infinite-loop): the writer does
      co_return;
    }
  }
  net::awaitable<void> write_all(stream_socket& socket, bool& done) {
    int round = 0;
    for (std::size_t at = 0; at < kBytes; ++round) {
      const std::size_t size = std::min<std::size_t>(1500, kBytes - at);
      const net::const_buffer buffer(sent_.data() + at, size);
      const std::array<net::const_buffer, 2> parts{net::const_buffer(sent_.data() + at, size / 3), buffer + size / 3};
      const auto [e, n] = co_await sabotaged(
          round % 2 == 0 ? "write_some" : "write_some of parts", socket, [&, gather = round % 2 == 1](auto t) {
            return gather ? socket.async_write_some(parts, t) : socket.async_send(buffer, t);
          });
      if (again(e)) {
        // cancel() of the socket ends the other direction's operation, and this one's, with what it moved.
        EXPECT_EQ(n, 0U);
        continue;
      }
      EXPECT_FALSE(e) << e.message();
      if (e) break;
      at += n;
    }
    for (;;) {
      const auto [e] = co_await sabotaged("finish", socket, [&](auto t) { return socket.async_finish(t); });
      if (again(e)) continue;
      EXPECT_FALSE(e) << e.message();
      break;
    }
    done = true;
  }
  // Accepts in each of the three ways.
  net::awaitable<std::tuple<error_code, stream_socket>> accept(acceptor& listener, int round) {
    if (round % 3 == 1)
      co_return co_await sabotaged("accept for an executor", listener, [&](auto t) {
        return listener.async_accept(net::any_io_executor(io_.get_executor()), t);
      });
    if (round % 3 == 2) {
      stream_socket peer(io_, world_.shared_service(1));
      const auto [e] =
          co_await sabotaged("accept into a socket", listener, [&](auto t) { return listener.async_accept(peer, t); });
      EXPECT_EQ(peer.is_open(), !e);
      co_return std::tuple(e, std::move(peer));
    }
    co_return co_await sabotaged("accept", listener, [&](auto t) { return listener.async_accept(t); });
  }
  net::awaitable<void> serve() {
    acceptor listener(io_, {tcp::v4(), 80}, world_.shared_service(1));
    listener.set_option(net::socket_base::receive_buffer_size(1024));
    bool some = false;
    for (int round = variant_; !some; ++round) {
      auto [e, socket] = co_await accept(listener, round);
      if (again(e)) continue;
      EXPECT_FALSE(e) << e.message();
      for (;;) {  // a connection that the asking side gave up ends without a byte
        std::array<char, 900> data{};
        stream_socket& peer = socket;
        const auto [re, n] =
            co_await sabotaged("read_some", peer, [&](auto t) { return peer.async_read_some(net::buffer(data), t); });
        if (again(re)) continue;
        if (re) break;
        some = true;
        for (std::size_t at = 0; at < n;) {
          const auto buffer = net::buffer(data.data() + at, n - at);
          const auto [we, w] =
              co_await sabotaged("write_some", peer, [&](auto t) { return peer.async_write_some(buffer, t); });
          if (!again(we) && we) co_return;
          at += w;
        }
      }
    }
  }
  net::awaitable<void> serve_datagrams() {
    udp_socket socket(io_, udp::endpoint(udp::v4(), 81), world_.shared_service(1));
    udp::endpoint from;
    for (int i = 0; i < 3;) {
      std::array<char, 100> data{};
      const auto [e, n] = co_await sabotaged(
          "receive_from", socket, [&](auto t) { return socket.async_receive_from(net::buffer(data), from, t); });
      if (again(e)) continue;
      const std::size_t count = n;
      for (bool sent = false; !sent;) {
        const auto [se, m] = co_await sabotaged(
            "send_to", socket, [&](auto t) { return socket.async_send_to(net::buffer(data, count), from, t); });
        sent = !again(se);
      }
      ++i;
    }
    co_await receive_numbers(socket);
  }
  net::awaitable<void> ask_datagrams() {
    udp_socket socket(io_, udp::endpoint(udp::v4(), 82), world_.shared_service(0));
    socket.connect(to_asio<udp::endpoint>({TwoHosts::address(1), Port{81}}));
    for (char i = 0; i < 3; ++i) {
      for (bool sent = false; !sent;) {
        const auto [e, n] =
            co_await sabotaged("send", socket, [&](auto t) { return socket.async_send(net::buffer(&i, 1), t); });
        sent = !again(e);
      }
      for (bool got = false; !got;) {
        std::array<char, 100> data{};
        const auto [e, n] =
            co_await sabotaged("receive", socket, [&](auto t) { return socket.async_receive(net::buffer(data), t); });
        if (again(e)) continue;
        EXPECT_EQ(n, 1U);
        EXPECT_EQ(data[0], i);
        got = true;
      }
    }
    // The device is full, and each of these waits.
    fill_device();
    for (int number = 0; number < kNumbers; ++number)
      net::co_spawn(io_, send_number(static_cast<char>(number)), net::detached);
  }
  // With datagrams that the other side does not take: nobody listens there.
  void fill_device() {
    udp_socket socket(io_, udp::endpoint(udp::v4(), 83), world_.shared_service(0));
    socket.non_blocking(true);
    error_code e;
    for (int i = 0; i < 1000 && !e; ++i)
      socket.send_to(net::buffer("none"), to_asio<udp::endpoint>({TwoHosts::address(1), Port{84}}), e);
    EXPECT_EQ(e, net::error::would_block);
  }
  // One buffer and several, to where the socket is connected and to an address.
  net::awaitable<void> send_number(char number) {
    udp_socket socket(io_, udp::endpoint(udp::v4(), 0), world_.shared_service(0));
    const auto to = to_asio<udp::endpoint>({TwoHosts::address(1), Port{81}});
    if (number % 2 == 0) socket.connect(to);
    const auto one = net::buffer(&number, 1);
    const std::array<net::const_buffer, 2> parts{one, one};
    for (;;) {
      error_code e;
      switch (number) {
        case 0:
          e = std::get<0>(co_await sabotaged("send", socket, [&](auto t) { return socket.async_send(one, t); }));
          break;
        case 1:
          e = std::get<0>(
              co_await sabotaged("send_to", socket, [&](auto t) { return socket.async_send_to(one, to, t); }));
          break;
        case 2:
          e = std::get<0>(
              co_await sabotaged("send of parts", socket, [&](auto t) { return socket.async_send(parts, t); }));
          break;
        default:
          e = std::get<0>(co_await sabotaged("send_to of parts", socket,
                                             [&](auto t) { return socket.async_send_to(parts, to, t); }));
      }
      if (again(e)) continue;
      EXPECT_FALSE(e) << e.message();
      co_return;
    }
  }
  // Each once.
  net::awaitable<void> receive_numbers(udp_socket& socket) {
    std::array<int, kNumbers> came{};
    for (int left = kNumbers; left > 0;) {
      std::array<char, 1> first{};
      std::array<char, 9> second{};
      const std::array<net::mutable_buffer, 2> parts{net::buffer(first), net::buffer(second)};
      udp::endpoint from;
      const bool named = (left + variant_) % 2 == 1;
      const auto [e, n] = co_await sabotaged(named ? "receive_from of parts" : "receive of parts", socket, [&](auto t) {
        return named ? socket.async_receive_from(parts, from, t) : socket.async_receive(parts, t);
      });
      if (again(e)) continue;
      EXPECT_FALSE(e) << e.message();
      const auto number = static_cast<std::size_t>(static_cast<unsigned char>(first[0]));
      EXPECT_LT(number, came.size());
      if (number >= came.size()) co_return;
      EXPECT_EQ(n, number < 2 ? 1U : 2U);
      EXPECT_EQ(second[0], n == 2 ? first[0] : 0);
      ++came[number];
      --left;
    }
    for (const int times : came) EXPECT_EQ(times, 1);
    error_code e;
    socket.non_blocking(true);
    std::array<char, 1> none{};
    udp::endpoint from;
    socket.receive_from(net::buffer(none), from, e);
    EXPECT_EQ(e, net::error::would_block);
    datagrams_done_ = true;
  }

  static constexpr int kNumbers = 4;
  int variant_;
  bool datagrams_done_ = false;
  std::array<char, kBytes> sent_{};
  std::array<char, kBytes> received_{};
  net::io_context io_;
};

TEST(S8_CancelEveryAsioOperation, NoByteAndNoConnectionIsLost) {
  test::cancel_every<Conversation>(kMoments, {"connect", "accept", "accept for an executor", "accept into a socket",
                                              "read_some", "read_some of parts", "write_some", "write_some of parts",
                                              "finish", "send", "send_to", "send of parts", "send_to of parts",
                                              "receive", "receive_from", "receive of parts", "receive_from of parts"});
}

}  // namespace
}  // namespace leat::asio
