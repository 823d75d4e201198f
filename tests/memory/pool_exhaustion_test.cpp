// The core takes nothing from the heap once it is constructed, and lives with an empty pool: a scenario with TCP over
// IPv4 and IPv6, UDP, ARP, NDP and ICMP runs again and again, and each time another allocation from a pool fails, until
// the scenario passes with no failure left to meet. Attack checklist, row S3.

#include <gtest/gtest.h>

#include <array>
#include <leat/core/all_modules.hpp>
#include <leat/device/memory_pipe.hpp>
#include <leat/drive/callback_socket.hpp>
#include <leat/drive/shard.hpp>
#include <memory>

#include "heap_watch.hpp"

namespace leat {
namespace {

constexpr std::uint16_t kPort = 7;
constexpr std::size_t kBytes = 20'000;  // of each TCP connection, there and back
constexpr Duration kRetry = Duration::ms(100);
constexpr PoolLayout kLayout{.packets = 256, .chunks = {256, 256, 0}, .reserve = 16};

std::uint8_t pattern(std::size_t i) {
  return static_cast<std::uint8_t>(i * 31 + (i >> 8));
}

// Sends back what comes, on any number of connections of its array, and on a UDP socket.
class EchoServer {
 public:
  bool start(Stack& stack) {
    if (!listener_.listen(stack, {IpAddress{}, Port{kPort}}, 4,
                          CallbackSocket::Handler::to<&EchoServer::on_listener>(*this))) {
      return false;
    }
    if (!udp_.open_udp(stack, CallbackSocket::Handler::to<&EchoServer::on_datagram>(*this))) return false;
    return static_cast<bool>(stack.bind(udp_.handle(), {IpAddress{}, Port{kPort}}));
  }
  void stop() {
    listener_.close();
    udp_.close();
    for (Connection& c : connections_) c.socket.close();
  }

 private:
  struct Connection {
    CallbackSocket socket;
    std::array<std::uint8_t, 2000> bytes{};
    std::size_t held = 0;
    bool ended = false;

    void on_event(CallbackSocket&, Ready events) {
      if (any(events & Ready::error)) return socket.abort();
      for (bool more = true; more;) {
        more = false;
        if (held < bytes.size() && !ended) {
          const auto r = socket.read({bytes.data() + held, bytes.size() - held});
          if (!r) return socket.abort();
          held += r->count;
          ended = r->status == IoStatus::end_of_stream;
        }
        if (held > 0) {
          const auto r = socket.write({bytes.data(), held});
          if (!r) return socket.abort();
          std::copy(bytes.begin() + static_cast<std::ptrdiff_t>(r->count),
                    bytes.begin() + static_cast<std::ptrdiff_t>(held), bytes.begin());
          held -= r->count;
          more = r->count > 0;
        }
      }
      if (ended && held == 0) socket.close();
    }
  };

  void on_listener(CallbackSocket& listener, Ready) {
    for (Connection& c : connections_) {
      if (c.socket.is_open()) continue;
      const auto r = c.socket.accept(listener, CallbackSocket::Handler::to<&Connection::on_event>(c));
      if (!r || !*r) return;
      c.held = 0;
      c.ended = false;
      c.on_event(c.socket, Ready::readable);
    }
  }
  void on_datagram(CallbackSocket& socket, Ready) {
    std::array<std::uint8_t, 256> bytes;
    for (;;) {
      Message message;
      const auto r = socket.stack().try_receive_from(socket.handle(), bytes, message);
      if (!r || r->status != IoStatus::done) return;
      (void)socket.stack().try_send_to(socket.handle(), {bytes.data(), r->count},
                                       message.from);  // lost: the client asks again
    }
  }

  CallbackSocket listener_;
  CallbackSocket udp_;
  std::array<Connection, 4> connections_;
};

// Connects, sends its bytes and a FIN, and compares what comes back up to the other FIN.
class EchoClient {
 public:
  void start(Stack& stack, const Endpoint& to) {
    stack_ = &stack;
    to_ = to;
    begin();
  }
  // Called from time to time: only where an error said that memory is short is anything tried again.
  void tick() {
    if (again_) begin();
  }
  [[nodiscard]] bool done() const { return done_; }
  [[nodiscard]] bool wrong() const { return wrong_; }
  [[nodiscard]] std::size_t received() const { return received_; }

 private:
  void begin() {
    again_ = false;
    if (socket_.is_open()) return send();
    const auto r = socket_.connect(*stack_, to_, CallbackSocket::Handler::to<&EchoClient::on_event>(*this));
    if (!r) again_ = true;
  }
  void on_event(CallbackSocket&, Ready events) {
    if (any(events & Ready::error)) return finish(true);
    if (any(events & Ready::connected)) connected_ = true;
    receive();
    if (!done_) send();
  }
  void receive() {
    std::array<std::uint8_t, 4000> bytes;
    while (connected_ && !done_) {
      const auto r = socket_.read(bytes);
      if (!r) return finish(true);
      for (std::size_t i = 0; i < r->count; ++i)
        if (bytes[i] != pattern(received_ + i)) return finish(true);
      received_ += r->count;
      if (r->status == IoStatus::end_of_stream) return finish(received_ != kBytes);
      if (r->count == 0) return;
    }
  }
  void send() {
    std::array<std::uint8_t, 4000> bytes;
    while (connected_ && !shut_) {
      const std::size_t n = std::min(bytes.size(), kBytes - sent_);
      if (n == 0) {
        if (!socket_.shutdown(ShutdownHow::write)) return finish(true);
        shut_ = true;
        return;
      }
      for (std::size_t i = 0; i < n; ++i) bytes[i] = pattern(sent_ + i);
      const auto r = socket_.write({bytes.data(), n});
      if (!r && r.error() == Errc::no_buffers) {
        again_ = true;
        return;
      }
      if (!r) return finish(true);
      sent_ += r->count;
      if (r->count < n) return;
    }
  }
  void finish(bool wrong) {
    wrong_ = wrong;
    done_ = true;
    socket_.close();
  }

  Stack* stack_ = nullptr;
  Endpoint to_;
  CallbackSocket socket_;
  std::size_t sent_ = 0;
  std::size_t received_ = 0;
  bool connected_ = false;
  bool shut_ = false;
  bool again_ = false;
  bool done_ = false;
  bool wrong_ = false;
};

// Asks until it gets an answer, as datagrams must; also asks a closed port, for the ICMP error.
class UdpClient {
 public:
  bool start(Stack& stack, const Endpoint& to) {
    to_ = to;
    if (!socket_.open_udp(stack, CallbackSocket::Handler::to<&UdpClient::on_event>(*this))) return false;
    ask();
    return true;
  }
  void tick() {
    if (!done_) ask();
  }
  [[nodiscard]] bool done() const { return done_; }

 private:
  void ask() {
    constexpr std::array<std::uint8_t, 5> kQuestion{'h', 'e', 'l', 'l', 'o'};
    (void)socket_.stack().try_send_to(socket_.handle(), kQuestion, {to_.address, Port{9}});
    (void)socket_.stack().try_send_to(socket_.handle(), kQuestion, to_);
  }
  void on_event(CallbackSocket&, Ready) {
    std::array<std::uint8_t, 16> bytes;
    for (unsigned i = 0; i < 64; ++i) {
      const auto r = socket_.read(bytes);
      if (!r) continue;  // the error about the closed port: taken now
      if (r->status != IoStatus::done) return;
      if (r->count == 5 && bytes[4] == 'o') {
        done_ = true;
        return socket_.close();
      }
    }
  }

  CallbackSocket socket_;
  Endpoint to_;
  bool done_ = false;
};

template <Limits limits>
struct Machine {
  explicit Machine(unsigned number)
      : stack(storage.view(pool), kAllModules, Entropy{{number, 2, 3, 4}}, Instant::from_ns(1'000'000'000)) {
    shard.check_invariants_every_turn(true);
  }
  std::array<std::uint8_t, 1 << 20> region;
  PacketPool pool{region, kLayout};
  StackStorage<limits> storage;
  Stack stack;
  std::array<DevicePort, 1> ports;
  Shard shard{stack, ports};
};

// Two machines on a wire, and what runs on them. Nothing in here takes memory after construction.
template <Limits client_limits = kSmallLimits, Limits server_limits = kSmallLimits>
struct Net {
  Net() : a(1), b(2) {
    const auto join = [](auto& m, AnyDevice& device, std::uint8_t last) {
      const auto id = m.shard.attach(device, {.name = "wire0"});
      return id && m.stack.add_address(*id, {IpAddress::v4(10, 0, 0, last), 24}) &&
             m.stack.add_address(*id, {IpAddress::v6({0xfd00, 0, 0, 0, 0, 0, 0, last}), 64});
    };
    ok = join(a, device_a, 1) && join(b, device_b, 2);
  }

  // Plays the scenario to its end and closes everything. False when it does not end within the virtual hour.
  bool play() {
    bool started = server.start(b.stack);
    client4.start(a.stack, {IpAddress::v4(10, 0, 0, 2), Port{kPort}});
    client6.start(a.stack, {IpAddress::v6({0xfd00, 0, 0, 0, 0, 0, 0, 2}), Port{kPort}});
    started = udp.start(a.stack, {IpAddress::v4(10, 0, 0, 2), Port{kPort}}) && started;
    if (!started) return false;
    const bool ended = run(Duration::s(3600), true);
    server.stop();
    (void)run(Duration::s(600), false);  // TIME-WAIT and everything else that waits
    return ended;
  }

  bool run(Duration limit, bool until_done) {
    const Instant end = now + limit;
    Instant tick = now + kRetry;
    while (now < end) {
      const Instant next = earlier(a.shard.turn(now), b.shard.turn(now));
      if (next <= now && ++standing > 100'000) return false;  // nobody lets time go on
      // Persistent shortage ends some time after it began.
      if (persistent && persistent->exhausted() > 0) {
        if (short_since.is_never()) short_since = now;
        if (now - short_since > Duration::ms(700)) {
          persistent->fail_allocation(0);
          persistent = nullptr;
        }
      }
      if (now >= tick) {
        client4.tick();
        client6.tick();
        udp.tick();
        tick = now + kRetry;
      }
      if (until_done && client4.done() && client6.done() && udp.done()) return true;
      if (next > now) {
        now = earlier(next, until_done ? tick : end);
        standing = 0;
      }
    }
    return !until_done;
  }

  Machine<client_limits> a;
  Machine<server_limits> b;
  std::array<Packet, 64> to_a, to_b;
  MemoryPipe pipe{{.pool_a = &a.pool,
                   .pool_b = &b.pool,
                   .to_a = to_a,
                   .to_b = to_b,
                   .caps = {.link = LinkType::ethernet, .mtu = 1500},
                   .mac_a = {{2, 0, 0, 0, 0, 1}},
                   .mac_b = {{2, 0, 0, 0, 0, 2}}}};
  DeviceRef<MemoryPipe::End> device_a{pipe.a()};
  DeviceRef<MemoryPipe::End> device_b{pipe.b()};
  EchoServer server;
  EchoClient client4, client6;
  UdpClient udp;
  Instant now = Instant::from_ns(1'000'000'000);
  Instant short_since = Instant::never();
  PacketPool* persistent = nullptr;
  unsigned standing = 0;
  bool ok = false;
};

struct Verdict {
  bool met = false;              // the failure that was planned took place
  std::string text;              // what went wrong; empty: nothing
  std::uint64_t no_buffers = 0;  // counted by the machine that was short
  std::uint64_t exhausted = 0;
};

template <Limits client_limits = kSmallLimits, Limits server_limits = kSmallLimits>
Verdict play_with_failure(bool at_server, std::uint64_t n, bool persistent) {
  auto net = std::make_unique<Net<client_limits, server_limits>>();
  if (!net->ok) return {.text = "the machines can't be configured"};
  PacketPool& pool = at_server ? net->b.pool : net->a.pool;
  if (n > 0) pool.fail_allocation(n, persistent);
  if (persistent) net->persistent = &pool;
  bool ended = false;
  std::uint64_t heap_calls = 0;
  {
    const test::HeapWatch heap;
    ended = net->play();
    heap_calls = heap.calls();
  }
  const Counters& counters = at_server ? net->b.stack.counters() : net->a.stack.counters();
  Verdict v{.met = pool.exhausted() > 0,
            .text = {},
            .no_buffers = counters.get(DropReason::no_buffers),
            .exhausted = counters.get(Counter::pool_exhausted)};
  const auto blame = [&](bool wrong, const std::string& text) {
    if (wrong) v.text += (v.text.empty() ? "" : "; ") + text;
  };
  blame(!ended, "it did not end by " + std::to_string(net->now.count_ms()) + " ms (" + std::to_string(net->standing) +
                    " turns at once): IPv4 " + std::to_string(net->client4.received()) + " bytes, IPv6 " +
                    std::to_string(net->client6.received()) + " bytes, UDP " + (net->udp.done() ? "done" : "not done"));
  blame(ended && (net->client4.wrong() || net->client6.wrong()), "a connection failed or its data was wrong");
  blame(!net->a.pool.all_free() || !net->b.pool.all_free(), "packets leaked");
  blame(heap_calls != 0, "the heap was asked " + std::to_string(heap_calls) + " times");
  return v;
}

void every_allocation_fails_once(bool at_server, bool persistent) {
  unsigned failed = 0;
  std::uint64_t no_buffers = 0;
  for (std::uint64_t n = 1; n < 20'000; ++n) {
    const Verdict v = play_with_failure(at_server, n, persistent);
    if (!v.text.empty()) {
      ADD_FAILURE() << "allocation " << n << " of the " << (at_server ? "server" : "client") << "'s pool"
                    << (persistent ? " and all after it" : "") << " failed: " << v.text;
      if (++failed == 5) return;
    }
    no_buffers += v.no_buffers;
    if (!v.met) {
      EXPECT_GT(n, 50U) << "the scenario hardly allocates: it tests nothing";
      EXPECT_GT(no_buffers, 0U) << "what was lost for want of memory is not counted";
      return;
    }
  }
  ADD_FAILURE() << "the scenario never passed without a failure";
}

TEST(S3_PoolExhaustion, TheScenarioTakesNothingFromTheHeap) {
  EXPECT_EQ(play_with_failure(false, 0, false).text, "");
}

// The watch works: otherwise the tests below would prove nothing.
TEST(S3_PoolExhaustion, TheHeapIsWatched) {
  const test::HeapWatch heap;
  auto p = std::make_unique<std::array<int, 100>>();
  EXPECT_GT(heap.calls(), 0U);
  EXPECT_NE(p, nullptr);
}

TEST(S3_PoolExhaustion, EveryAllocationOfTheClientFailsOnce) {
  every_allocation_fails_once(false, false);
}
TEST(S3_PoolExhaustion, EveryAllocationOfTheServerFailsOnce) {
  every_allocation_fails_once(true, false);
}
TEST(S3_PoolExhaustion, TheClientsPoolRunsDryAtEveryAllocation) {
  every_allocation_fails_once(false, true);
}
TEST(S3_PoolExhaustion, TheServersPoolRunsDryAtEveryAllocation) {
  every_allocation_fails_once(true, true);
}

// Two connections at each end, and fewer blocks for those that send or keep data: what comes for the others is dropped
// and counted, and comes again.
constexpr Limits with_active(std::uint32_t n) {
  Limits l = kSmallLimits;
  l.tcp.active = n;
  return l;
}
TEST(S3_PoolExhaustion, OneActiveBlockLosesNothing) {
  constexpr Limits kOne = with_active(1);
  const Verdict client = play_with_failure<kOne>(false, 0, false);
  EXPECT_EQ(client.text, "");
  EXPECT_GT(client.exhausted, 0U);
  const Verdict server = play_with_failure<kSmallLimits, kOne>(true, 0, false);
  EXPECT_EQ(server.text, "");
  EXPECT_GT(server.exhausted, 0U);
  EXPECT_GT(server.no_buffers, 0U);
  EXPECT_EQ((play_with_failure<kOne, kOne>(true, 0, false).text), "");
}

}  // namespace
}  // namespace leat
