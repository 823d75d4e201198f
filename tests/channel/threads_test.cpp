// The channel between threads: over stacks that one thread each turns (Netstack), and over stacks that every thread may
// call (SharedStack), joined by a wire between threads. Real time, but nothing waits for it to pass except the
// time-outs that are tested, which are a few milliseconds.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <leat/api/channel/stack_control.hpp>
#include <leat/api/channel/tcp.hpp>
#include <leat/api/channel/udp.hpp>
#include <leat/netstack/piped.hpp>
#include <leat/runtime/clock.hpp>
#include <leat/runtime/shared_stack.hpp>
#include <numeric>
#include <optional>
#include <thread>

namespace leat::channel {
namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr Port kPort{7};

NetstackConfig small() {
  NetstackConfig c;
  c.limits = hosted_limits(64);
  c.packet_memory = std::size_t{8} << 20;
  return c;
}

Instant real_clock(void*) {
  return monotonic_now();
}

class World {
 public:
  virtual ~World() = default;
  virtual Channel channel(std::size_t i, Executor* executor = nullptr) = 0;
  virtual void end(std::size_t i) = 0;  // the stack goes
};

class NetstackWorld final : public World {
 public:
  NetstackWorld() {
    ThreadPipe::Options o;
    o.caps.mtu = 1500;
    pipe_ = std::make_unique<ThreadPipe>(o);
    for (std::size_t i = 0; i < 2; ++i) {
      stacks_[i] = std::make_unique<Netstack>(small(), seeded_entropy(1 + i), monotonic_now());
      devices_[i] = std::make_unique<ThreadPipe::Device>(pipe_->end(i), stacks_[i]->pool());
      const std::array<IpPrefix, 1> ip{IpPrefix{piped_address(i), 24}};
      (void)stacks_[i]->attach(*devices_[i], ip).value();
      threads_[i] = std::make_unique<NetstackThread>(*stacks_[i]);
    }
  }
  ~NetstackWorld() override {
    end(0);
    end(1);
  }
  Channel channel(std::size_t i, Executor* executor) override { return stacks_[i]->channel(executor); }
  void end(std::size_t i) override {
    threads_[i].reset();
    stacks_[i].reset();
  }

 private:
  std::unique_ptr<ThreadPipe> pipe_;
  std::array<std::unique_ptr<ThreadPipe::Device>, 2> devices_;
  std::array<std::unique_ptr<Netstack>, 2> stacks_;
  std::array<std::unique_ptr<NetstackThread>, 2> threads_;
};

class SharedWorld final : public World {
 public:
  SharedWorld() {
    ThreadPipe::Options o;
    o.caps.mtu = 1500;
    pipe_ = std::make_unique<ThreadPipe>(o);
    for (std::size_t i = 0; i < 2; ++i) {
      stacks_[i] =
          SharedStack::make(
              {.limits = hosted_limits(64), .packet_memory = std::size_t{8} << 20, .entropy = seeded_entropy(1 + i)})
              .value();
      devices_[i] = std::make_unique<ThreadPipe::Device>(pipe_->end(i), stacks_[i]->pool());
      const std::array<IpPrefix, 1> ip{IpPrefix{piped_address(i), 24}};
      (void)stacks_[i]->attach(*devices_[i], {}, ip).value();
    }
  }
  ~SharedWorld() override {
    for (auto& s : stacks_) s->stop();
  }
  Channel channel(std::size_t i, Executor* executor) override { return Channel(stacks_[i], executor); }
  void end(std::size_t i) override { stacks_[i]->stop(); }

 private:
  std::unique_ptr<ThreadPipe> pipe_;
  std::array<std::unique_ptr<ThreadPipe::Device>, 2> devices_;
  std::array<std::shared_ptr<SharedStack>, 2> stacks_;
};

template <class W>
class ChannelThreads : public ::testing::Test {
 protected:
  W w;
  Channel a = w.channel(0, nullptr), b = w.channel(1, nullptr);
};
using Worlds = ::testing::Types<NetstackWorld, SharedWorld>;
TYPED_TEST_SUITE(ChannelThreads, Worlds);

// Echoes until the peer finishes.
void echo(const TcpStream& s) {
  std::array<std::uint8_t, 4096> buffer{};
  for (;;) {
    const auto n = s.recv(buffer);
    if (!n || *n == 0 || !s.send_all(ByteSpan{buffer}.first(*n))) return;
  }
}

TYPED_TEST(ChannelThreads, ManyThreadsEachWithAConnection) {
  constexpr int kThreads = 4, kRounds = 100;
  const TcpListener listener = TcpListener::listen(this->b, {IpAddress{}, kPort}).value();
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] { echo(listener.accept().value()); });
    threads.emplace_back([&, t] {
      const TcpStream s = TcpStream::connect(this->a, {piped_address(1), kPort}, Duration::s(20)).value();
      const Bytes sent(100, static_cast<std::uint8_t>(t));
      Bytes got(sent.size());
      for (int i = 0; i < kRounds; ++i) {
        if (s.send_all(sent).value() != sent.size()) return;
        for (std::size_t at = 0; at < got.size();) {
          const auto n = s.recv(MutableByteSpan{got}.subspan(at), Duration::s(20));
          if (!n || *n == 0) return;
          at += *n;
        }
        if (got != sent) return;
      }
      ++good;
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(good, kThreads);
}

// One stream, a thread for each direction at each end.
TYPED_TEST(ChannelThreads, BothDirectionsAtOnce) {
  constexpr std::size_t kBytes = 2'000'000;
  const TcpListener listener = TcpListener::listen(this->b, {IpAddress{}, kPort}).value();
  const TcpStream one = TcpStream::connect(this->a, {piped_address(1), kPort}, Duration::s(20)).value();
  const TcpStream two = listener.accept(Duration::s(20)).value();
  const auto sender = [](const TcpStream& s) {
    Bytes piece(10'000);
    std::iota(piece.begin(), piece.end(), std::uint8_t{0});
    for (std::size_t at = 0; at < kBytes; at += piece.size()) EXPECT_EQ(s.send_all(piece).value(), piece.size());
    EXPECT_TRUE(s.shutdown_write());
  };
  const auto receiver = [](const TcpStream& s, std::size_t& total, bool& right) {
    Bytes buffer(7'000);
    right = true;
    for (;;) {
      const std::size_t n = s.recv(buffer).value();
      if (n == 0) return;
      for (std::size_t i = 0; i < n; ++i)
        right = right && buffer[i] == static_cast<std::uint8_t>((total + i) % 10'000U);
      total += n;
    }
  };
  std::size_t n1 = 0, n2 = 0;
  bool r1 = false, r2 = false;
  std::thread t1([&] { sender(one); }), t2([&] { sender(two); }), t3([&] { receiver(one, n1, r1); });
  receiver(two, n2, r2);
  for (std::thread* t : {&t1, &t2, &t3}) t->join();
  EXPECT_EQ(n1, kBytes);
  EXPECT_EQ(n2, kBytes);
  EXPECT_TRUE(r1 && r2);
}

TYPED_TEST(ChannelThreads, ATimeOutEndsABlockingCall) {
  const UdpSocket s = UdpSocket::bind(this->a, {IpAddress{}, kPort}).value();
  Bytes into(10);
  EXPECT_EQ(s.recv_from(into, Duration::ms(5)).error(), Errc::timed_out);
  EXPECT_FALSE(s.try_recv_from(into).value().has_value());
  const UdpSocket t = UdpSocket::bind(this->b, {IpAddress{}, kPort}).value();
  t.send_to(Bytes(3), {piped_address(0), kPort}).value();
  EXPECT_EQ(s.recv_from(into, Duration::s(20)).value().count, 3U);
}

TYPED_TEST(ChannelThreads, WhoWaitsIsToldWhenTheStackOrTheSocketGoes) {
  const TcpListener listener = TcpListener::listen(this->b, {IpAddress{}, kPort}).value();
  const UdpSocket closed = UdpSocket::bind(this->b, {IpAddress{}, kPort}).value();
  std::atomic<int> entered = 0;
  Errc accepted{}, received{}, gone{};
  std::thread t1([&] {
    ++entered;
    accepted = listener.accept().error();
  });
  std::thread t2([&] {
    ++entered;
    Bytes into(10);
    received = closed.recv_from(into).error();
  });
  while (entered < 2) std::this_thread::yield();
  const_cast<UdpSocket&>(closed).close();
  t2.join();
  EXPECT_EQ(received, Errc::bad_handle);
  this->w.end(1);
  t1.join();
  EXPECT_EQ(accepted, Errc::shut_down);
  gone = TcpListener::listen(this->b, {IpAddress{}, Port{8}}).error();
  EXPECT_EQ(gone, Errc::shut_down);
  EXPECT_FALSE(this->b.request_nonblocking(TcpRecv{}));
  EXPECT_TRUE(this->b.request_nonblocking(Close{listener.handle()}));
}

// Coroutines in this thread, the stacks in theirs: a hundred connections at once, each says something and reads it
// back.
TYPED_TEST(ChannelThreads, CoroutinesBesideTheStack) {
  constexpr std::size_t kConnections = 20;
  RunQueue tasks({&real_clock, nullptr});
  const Channel left = this->w.channel(0, &tasks), right = this->w.channel(1, &tasks);
  TcpListener listener = TcpListener::listen(right, {IpAddress{}, kPort}).value();
  const auto serve_one = [](TcpStream s) -> Task<void> {
    for (;;) {
      const auto got = co_await s.async_recv_bytes(1000);
      if (!got || got->empty()) co_return;
      if (!co_await s.async_send_all(*got)) co_return;
    }
  };
  std::vector<Task<void>> served;
  const auto serve = [&](TcpListener& l) -> Task<void> {
    for (std::size_t i = 0; i < kConnections; ++i) {
      served.push_back(serve_one(std::move(co_await l.async_accept()).value()));
      served.back().start();
    }
  };
  const auto ask = [](Channel c, std::uint8_t mine) -> Task<bool> {
    const TcpStream s = std::move(co_await TcpStream::async_connect(c, {piped_address(1), kPort})).value();
    for (int i = 0; i < 20; ++i) {
      const Bytes sent(50, mine);
      if (!co_await s.async_send_all(sent)) co_return false;
      Bytes got;
      while (got.size() < sent.size()) {
        const auto some = co_await s.async_recv_bytes(100, Duration::s(20));
        if (!some || some->empty()) co_return false;
        got.insert(got.end(), some->begin(), some->end());
      }
      if (got != sent) co_return false;
    }
    co_return true;
  };
  Task<void> server = serve(listener);
  server.start();
  std::vector<Task<bool>> clients;
  for (std::size_t i = 0; i < kConnections; ++i) {
    clients.push_back(ask(left, static_cast<std::uint8_t>(i)));
    clients.back().start();
  }
  tasks.run_until([&] { return std::ranges::all_of(clients, [](const Task<bool>& t) { return t.done(); }); });
  for (Task<bool>& c : clients) EXPECT_TRUE(c.result());
  clients.clear();
  tasks.run_until([&] { return std::ranges::all_of(served, [](const Task<void>& t) { return t.done(); }); });
}

struct Counted {
  std::uint32_t bytes = 0;
  bool finished = false, right = true;
};

Task<void> receive(const TcpStream& s, Counted& c) {
  Bytes into(3);
  const std::size_t n = (co_await s.async_recv(into, Duration::s(20))).value();
  for (std::size_t i = 0; i < n; ++i, ++c.bytes) c.right = c.right && into[i] == static_cast<std::uint8_t>(c.bytes);
  c.finished = n == 0;
}

// A child of a fork drops its copies of tasks that wait. No thread is there that could complete their operations.
TEST(ChannelFork, AChildDropsATaskThatWaits) {
  const auto stack =
      SharedStack::make({.limits = hosted_limits(64), .packet_memory = std::size_t{8} << 20, .janitor = false}).value();
  RunQueue tasks;
  const UdpSocket waits = UdpSocket::bind(Channel(stack, &tasks), {IpAddress{}, kPort}).value();
  const TcpListener listener = TcpListener::listen(Channel(stack, &tasks), {IpAddress{}, kPort}).value();
  Bytes into(10);
  const auto receive = [](const UdpSocket& s, Bytes& to) -> Task<void> { (void)co_await s.async_recv_from(to); };
  const auto accept = [](const TcpListener& l) -> Task<void> { (void)co_await l.async_accept(); };
  std::optional<Task<void>> one = receive(waits, into);
  std::optional<Task<void>> other = accept(listener);
  one->start();
  other->start();
  (void)tasks.run_ready();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::alarm(20);  // if it hangs
    one.reset();
    other.reset();
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_FALSE(one->done() || other->done());
}

// Receives are dropped while the other thread may be completing them: no byte is lost, whoever gets it.
TYPED_TEST(ChannelThreads, DroppingRacesWithCompleting) {
  constexpr std::uint32_t kBytes = 200;
  RunQueue tasks({&real_clock, nullptr});
  const TcpListener listener = TcpListener::listen(this->w.channel(1, &tasks), {IpAddress{}, kPort}).value();
  const TcpStream one = TcpStream::connect(this->a, {piped_address(1), kPort}, Duration::s(20)).value();
  const TcpStream two = listener.accept(Duration::s(20)).value();
  ASSERT_TRUE(one.set_option(OptionId::tcp_nodelay, 1));
  std::thread sender([&] {
    for (std::uint32_t i = 0; i < kBytes; ++i) {
      const auto byte = static_cast<std::uint8_t>(i);
      EXPECT_EQ(one.send_all({&byte, 1}).value(), 1U);
    }
    EXPECT_TRUE(one.shutdown_write());
  });
  Counted counted;
  std::uint32_t dropped = 0;
  for (std::uint32_t i = 0; !counted.finished; ++i) {
    Task<void> task = receive(two, counted);
    task.start();
    for (std::uint32_t spin = 0; spin < i % 50; ++spin) std::this_thread::yield();
    if (i % 3 != 0) tasks.run_ready();
    if (task.done()) {
      task.result();
    } else {
      ++dropped;
    }
  }
  sender.join();
  EXPECT_EQ(counted.bytes, kBytes);
  EXPECT_TRUE(counted.right);
  EXPECT_GT(dropped, 0U);
}

// The program is the network: it answers a datagram by exchanging who sent it and who gets it, which leaves both
// checksums as they are.
TEST(ChannelPipedStack, TheProgramCarriesThePackets) {
  const std::array<IpPrefix, 1> ip{*IpPrefix::parse("10.0.0.1/24")};
  PipedStack piped(small(), seeded_entropy(1), ip);
  const UdpSocket s = UdpSocket::bind(piped.channel(), {IpAddress{}, kPort}).value();
  const Endpoint peer{IpAddress::v4(10, 0, 0, 9), Port{5353}};
  s.send_to(Bytes(40, 9), peer).value();
  Bytes packet(1500);
  std::optional<std::size_t> n;
  while (!(n = piped.outside().recv(packet)) || packet[9] != 17)
    if (!n) {
      ASSERT_TRUE(piped.outside().wait(Duration::s(20)));
    }
  ASSERT_EQ(*n, 20U + 8U + 40U);
  std::swap_ranges(packet.begin() + 12, packet.begin() + 16, packet.begin() + 16);
  std::swap_ranges(packet.begin() + 20, packet.begin() + 22, packet.begin() + 22);
  ASSERT_TRUE(piped.outside().send(ByteSpan{packet}.first(*n)));
  const Datagram got = s.recv_from_bytes(100, Duration::s(20)).value();
  EXPECT_EQ(got.bytes, Bytes(40, 9));
  EXPECT_EQ(got.message.from, peer);
}

}  // namespace
}  // namespace leat::channel
