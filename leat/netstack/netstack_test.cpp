// A stack that is asked by commands: what its one thread does, what its callers see, and what becomes of them when it
// goes. Under a virtual clock.

#include <gtest/gtest.h>

#include <leat/api/channel/stack_control.hpp>
#include <leat/api/channel/tcp.hpp>
#include <leat/api/channel/udp.hpp>
#include <leat/netstack/piped.hpp>
#include <leat/runtime/entropy.hpp>
#include <numeric>

namespace leat {
namespace {

using channel::Channel;
using channel::CommandQueue;
using channel::RunQueue;
using channel::StackControl;
using channel::Task;
using channel::TcpListener;
using channel::TcpStream;
using channel::UdpSocket;
using Bytes = std::vector<std::uint8_t>;

constexpr Port kPort{7};

NetstackConfig small() {
  NetstackConfig c;
  c.limits = hosted_limits(64);
  c.packet_memory = std::size_t{4} << 20;
  return c;
}

Bytes numbers(std::size_t n) {
  Bytes b(n);
  std::iota(b.begin(), b.end(), std::uint8_t{0});
  return b;
}

class ChannelPair : public ::testing::Test {
 protected:
  void connect() {
    listener = TcpListener::listen(b, {IpAddress{}, kPort}).value();
    client = TcpStream::connect(a, {piped_address(1), kPort}).value();
    server = listener.accept().value();
  }
  PipedPair pair{small(), seeded_entropy(1), seeded_entropy(2)};
  Channel a = pair.channel(0), b = pair.channel(1);
  TcpListener listener;
  TcpStream client, server;
};

// Blocking calls of the thread that turns both stacks: they turn them.
TEST_F(ChannelPair, BlockingCallsOfTheOwnThreadTurnTheStacks) {
  const Instant began = pair.now();
  connect();
  EXPECT_EQ(pair.now(), began) << "the wire has no length, and nothing was waited for";
  const Bytes sent = numbers(50'000);
  EXPECT_EQ(client.send_all(sent).value(), sent.size());
  client.close();
  Bytes got;
  for (;;) {
    const Bytes some = server.recv_bytes(4096).value();
    if (some.empty()) break;
    got.insert(got.end(), some.begin(), some.end());
  }
  EXPECT_EQ(got, sent);
  EXPECT_EQ(server.recv(got, Duration::ms(1)).value(), 0U);
  EXPECT_EQ(listener.accept(Duration::ms(7)).error(), Errc::timed_out);
}

TEST_F(ChannelPair, CoroutinesOfBothSidesTalk) {
  const auto serve = [](Channel c, std::size_t rounds) -> Task<std::size_t> {
    auto l = std::move(co_await TcpListener::async_listen(c, {IpAddress{}, kPort})).value();
    auto s = std::move(co_await l.async_accept()).value();
    std::size_t n = 0;
    std::array<std::uint8_t, 64> buffer{};
    for (std::size_t i = 0; i < rounds; ++i) {
      const auto got = co_await s.async_recv(buffer);
      if (!got || *got == 0) break;
      n += (co_await s.async_send_all(ByteSpan{buffer}.first(*got))).value();
    }
    co_return n;
  };
  const auto ask = [](Channel c, std::size_t rounds) -> Task<std::size_t> {
    auto s = std::move(co_await TcpStream::async_connect(c, {piped_address6(1), kPort})).value();
    std::size_t n = 0;
    std::array<std::uint8_t, 64> buffer{};
    for (std::size_t i = 0; i < rounds; ++i) {
      (void)(co_await s.async_send_all(Bytes(10, 1))).value();
      n += (co_await s.async_recv(buffer)).value();
    }
    co_return n;
  };
  auto server_task = serve(b, 100);
  server_task.start();
  pair.run_until([&] { return StackControl{b}.sockets().value().size() == 1; });
  EXPECT_EQ(pair.run(ask(a, 100)), 1000U);
  EXPECT_EQ(server_task.result(), 1000U);
}

TEST_F(ChannelPair, AStackThatIsGoneFailsItsCallers) {
  connect();
  Task<Errc> waits = [](TcpStream& s) -> Task<Errc> {
    Bytes buffer(10);
    co_return (co_await s.async_recv(buffer)).error();
  }(server);
  waits.start();
  pair.step();
  auto lone = std::make_unique<Netstack>(small(), seeded_entropy(3), Instant{});
  const Channel orphan = lone->channel(&pair.tasks());
  UdpSocket socket = UdpSocket::bind(orphan, {IpAddress{}, kPort}).value();
  Task<Errc> other = [](UdpSocket& s) -> Task<Errc> {
    Bytes buffer(10);
    co_return (co_await s.async_recv_from(buffer)).error();
  }(socket);
  other.start();
  lone->process_cmds(Instant{});
  lone.reset();
  pair.tasks().run_ready();
  ASSERT_TRUE(other.done());
  EXPECT_EQ(other.result(), Errc::shut_down);
  EXPECT_EQ(socket.send_to(numbers(1), {piped_address(1), kPort}).error(), Errc::shut_down);
  EXPECT_EQ(UdpSocket::bind(orphan, {}).error(), Errc::shut_down);
  const auto r = orphan.request_blocking(channel::TcpListen{{IpAddress{}, kPort}});
  EXPECT_EQ(std::get<channel::Error>(r).kind, channel::Error::Kind::channel_closed);
  socket.close();
}

TEST_F(ChannelPair, PeersHearOfAStackThatIsStopped) {
  connect();
  const auto receive = [](TcpStream& s) -> Task<Errc> {
    Bytes buffer(10);
    co_return (co_await s.async_recv(buffer)).error();
  };
  Task<Errc> here = receive(server);
  Task<Errc> there = receive(client);
  here.start();
  there.start();
  pair.step();
  const Instant began = pair.now();
  pair.stack(1).stop(began);
  pair.run_until([&] { return here.done() && there.done(); }, began + Duration::s(1));
  ASSERT_TRUE(here.done() && there.done());
  EXPECT_EQ(here.result(), Errc::shut_down);
  EXPECT_EQ(there.result(), Errc::connection_reset);
  EXPECT_EQ(pair.now(), began);
  EXPECT_EQ(server.recv_bytes(1).error(), Errc::shut_down);
}

TEST_F(ChannelPair, DroppedCallsLeaveEverything) {
  connect();
  ASSERT_TRUE(client.set_option(OptionId::tcp_nodelay, 1));
  Bytes got;
  int dropped = 0, complete = 0;
  for (int i = 0; i < 200; ++i) {
    auto task = [](TcpStream& s, Bytes& out) -> Task<void> {
      Bytes into(4);
      into.resize((co_await s.async_recv(into)).value());
      out.insert(out.end(), into.begin(), into.end());
    }(server, got);
    task.start();
    if (i % 3 > 0) (void)client.try_send(Bytes(1, static_cast<std::uint8_t>(i)));
    // Dropped in the queue, parked, complete but not resumed, or not at all.
    for (int s = 0; s < i % 5; ++s) {
      if ((s + i) % 2 == 0) {
        (void)pair.step();
      } else {
        for (std::size_t k = 0; k < 2; ++k) {
          (void)pair.stack(k).process_cmds(pair.now());
          (void)pair.stack(k).poll_device_io(pair.now());
        }
      }
    }
    if (pair.tasks().has_ready()) ++complete;
    if (!task.done()) ++dropped;
  }
  EXPECT_GT(dropped, 20);
  EXPECT_GT(complete, 10);
  client.close();
  for (;;) {
    const Bytes some = server.recv_bytes(10).value();
    if (some.empty()) break;
    got.insert(got.end(), some.begin(), some.end());
  }
  Bytes expected;
  for (std::uint8_t i = 0; i < 200; ++i)
    if (i % 3 > 0) expected.push_back(i);
  EXPECT_EQ(got, expected);
}

// The command that ends a call stands in the queue when the call is dropped: the cancellation of one takes it, and that
// of the other finds its operation complete and not told yet.
TEST_F(ChannelPair, CallsAreDroppedBetweenAnEndAndItsNews) {
  connect();
  Task<Errc> accepts = [](TcpListener& l) -> Task<Errc> { co_return (co_await l.async_accept()).error(); }(listener);
  Task<Errc> receives = [](TcpStream& s) -> Task<Errc> {
    Bytes into(10);
    co_return (co_await s.async_recv(into)).error();
  }(server);
  accepts.start();
  receives.start();
  pair.step();
  server.close();
  accepts = {};
  receives = {};
  EXPECT_FALSE(pair.tasks().has_ready());
}

// Dropped before the stack took its first command, after each of them, and when it was complete.
TEST_F(ChannelPair, DroppedOpensLeaveNoSocketAndNoCommand) {
  const auto listens = [](Channel c) -> Task<bool> {
    co_return (co_await TcpListener::async_listen(c, {IpAddress{}, kPort})).has_value();
  };
  const auto binds = [](Channel c) -> Task<bool> {
    co_return (co_await UdpSocket::async_bind(c, {IpAddress{}, kPort})).has_value();
  };
  const auto connects = [](Channel c) -> Task<bool> {
    co_return (co_await TcpStream::async_connect(c, {IpAddress::v4(10, 0, 0, 77), kPort})).has_value();
  };
  Netstack& stack = pair.stack(0);
  const auto try_all = [&](const auto& opens) {
    std::size_t most = 0;
    for (std::size_t commands = 0; commands < 6; ++commands) {
      auto task = opens(a);
      task.start();
      std::size_t taken = 0;
      while (taken < commands && stack.process_one_cmd(pair.now())) ++taken;
      most = std::max(most, taken);
      EXPECT_FALSE(task.done());
      task = {};
      EXPECT_FALSE(pair.tasks().has_ready());
      (void)stack.process_cmds(pair.now());
      EXPECT_EQ(stack.commands().waiting(), 0U) << commands;
      EXPECT_TRUE(StackControl{a}.sockets().value().empty()) << commands;
    }
    return most;
  };
  EXPECT_EQ(try_all(listens), 4U) << "open, bind, listen, and what it is called";
  EXPECT_EQ(try_all(binds), 3U);
  EXPECT_EQ(try_all(connects), 2U) << "and there it waits";
  (void)stack.poll_device_io(pair.now());
  EXPECT_TRUE(pair.run(listens(a))) << "the port is free";
}

// --- the engine by hand ----------------------------------------------------------------------------------------------

struct Waiting : Op {
  Waiting() {
    context = this;
    completed = [](Op& o) { static_cast<Waiting*>(o.context)->over = true; };
  }
  bool over = false;
};

TEST(ChannelNetstack, TakesCommandsOneByOneAndKnowsItsTime) {
  Instant now = Instant::from_ns(1000);
  Netstack stack(small(), seeded_entropy(1), now);
  EXPECT_FALSE(stack.process_one_cmd(now));
  (void)stack.poll_device_io(now);
  EXPECT_TRUE(stack.poll_at().is_never());
  EXPECT_EQ(stack.poll_delay(now), Duration::max());
  Waiting one, two;
  one.open(SocketKind::udp);
  two.open(SocketKind::stream);
  stack.commands().start(one);
  stack.commands().start(two);
  EXPECT_FALSE(one.over);
  EXPECT_TRUE(stack.wait_for_cmd(Duration{}));
  EXPECT_TRUE(stack.process_one_cmd(now));
  EXPECT_TRUE(one.over);
  EXPECT_FALSE(two.over);
  EXPECT_EQ(stack.process_cmds(now), 1U);
  EXPECT_TRUE(two.over);
  EXPECT_EQ(stack.poll_delay(now), Duration{}) << "something may have to be sent";
  (void)stack.poll_device_io(now);
  EXPECT_FALSE(stack.wait_for_cmd(Duration{}));
  stack.wake();
  EXPECT_TRUE(stack.wait_for_cmd(Duration::max()));
  // A parked command with a deadline.
  Waiting late;
  const Handle udp = one.handle;
  one.reset();
  one.over = false;
  one.bind(udp, {IpAddress{}, kPort});
  stack.commands().start(one);
  Bytes into(10);
  late.receive(udp, into);
  late.deadline = now + Duration::ms(5);
  stack.commands().start(late);
  stack.process_cmds(now);
  (void)stack.poll_device_io(now);
  EXPECT_EQ(stack.poll_at(), late.deadline);
  EXPECT_EQ(stack.poll_delay(now), Duration::ms(5));
  now = stack.poll_at();
  (void)stack.poll_device_io(now);
  EXPECT_TRUE(late.over);
  EXPECT_EQ(late.error, Errc::timed_out);
  // A command that ends another one: both are told.
  late.reset();
  late.over = one.over = false;
  late.receive(udp, into);
  stack.commands().start(late);
  stack.process_cmds(now);
  one.reset();
  one.close(udp);
  stack.commands().start(one);
  EXPECT_TRUE(stack.process_one_cmd(now));
  EXPECT_TRUE(one.over);
  EXPECT_TRUE(late.over);
  EXPECT_EQ(late.error, Errc::bad_handle);
}

TEST(ChannelNetstack, AFullQueueTellsThoseWhoMayNotWait) {
  NetstackConfig config = small();
  config.command_capacity = 2;
  const Instant now;
  Netstack stack(config, seeded_entropy(1), now);
  stack.release_thread();
  std::array<Waiting, 4> ops;
  for (Waiting& op : ops) op.open(SocketKind::udp);
  ops[2].flags.dont_wait = true;
  for (Waiting& op : ops) stack.commands().start(op);
  EXPECT_TRUE(ops[2].over);
  EXPECT_EQ(ops[2].error, channel::Error::kFullCode);
  Waiting close;
  close.close(Handle::from_bits(12345));
  close.flags.dont_wait = true;
  stack.commands().start(close);
  EXPECT_FALSE(close.over) << "closing is never refused";
  // One that may wait stands in line; ended there, it is told at once.
  stack.commands().cancel(ops[3]);
  EXPECT_TRUE(ops[3].over);
  EXPECT_EQ(ops[3].error, Errc::cancelled);
  EXPECT_EQ(stack.process_cmds(now), 3U);
  EXPECT_TRUE(ops[0].over && ops[1].over && close.over);
  EXPECT_EQ(close.error, Errc::bad_handle);
}

// A socket that goes while the queue is full closes all the same.
TEST(ChannelNetstack, ASocketClosesThroughAFullQueue) {
  NetstackConfig config = small();
  config.command_capacity = 1;
  const Instant now;
  Netstack stack(config, seeded_entropy(1), now);
  const Channel c = stack.channel();
  UdpSocket socket = UdpSocket::bind(c, {IpAddress{}, kPort}).value();
  stack.release_thread();
  Waiting fills;
  fills.open(SocketKind::udp);
  stack.commands().start(fills);
  Op no_wait;
  no_wait.flags.dont_wait = true;
  stack.commands().run(no_wait);
  EXPECT_EQ(no_wait.error, channel::Error::kFullCode);
  EXPECT_TRUE(c.request_nonblocking(channel::UdpSend{socket.handle(), {piped_address(1), kPort}, numbers(3)}));
  EXPECT_FALSE(c.request_nonblocking(channel::UdpSend{socket.handle(), {piped_address(1), kPort}, numbers(3)}));
  socket = {};
  EXPECT_EQ(stack.process_cmds(now), 3U);
  EXPECT_EQ(StackControl{c}.sockets().value().size(), 1U) << "only what filled the queue is open";
}

TEST(ChannelNetstack, AnUnboundedQueueTakesWhatComes) {
  NetstackConfig config = small();
  config.command_capacity = CommandQueue::kUnbounded;
  const Instant now;
  Netstack stack(config, seeded_entropy(1), now);
  stack.release_thread();
  std::vector<std::unique_ptr<Waiting>> ops;
  for (int i = 0; i < 5'000; ++i) {
    ops.push_back(std::make_unique<Waiting>());
    ops.back()->flags.dont_wait = true;
    stack.commands().start(*ops.back());
  }
  EXPECT_EQ(stack.commands().waiting(), ops.size());
  while (stack.process_cmds(now) > 0) {
  }
  for (const auto& op : ops) EXPECT_TRUE(op->over && op->error == Errc{});
}

TEST(ChannelNetstack, ACallThatNobodyWouldEndIsRefused) {
  Netstack stack(small(), seeded_entropy(1), Instant{});
  const Channel c = stack.channel();
  UdpSocket socket = UdpSocket::bind(c, {IpAddress{}, kPort}).value();
  Bytes into(10);
  EXPECT_EQ(socket.recv_from(into).error(), Errc::again);
  EXPECT_FALSE(socket.try_recv_from(into).value().has_value());
}

// Another thread's close comes behind a call of the stack's own thread, and is done with it.
TEST(ChannelNetstack, ACallOfTheOwnThreadIsEndedByAClose) {
  Netstack stack(small(), seeded_entropy(1), Instant{});
  UdpSocket socket = UdpSocket::bind(stack.channel(), {IpAddress{}, kPort}).value();
  Bytes into(10);
  ASSERT_TRUE(stack.commands().before_sleep());
  stack.commands().set_bell({[](void* s) { static_cast<UdpSocket*>(s)->close(); }, &socket});
  EXPECT_EQ(socket.recv_from(into).error(), Errc::bad_handle);
}

// A Close whose task goes before the stack has looked at its queue.
TEST(ChannelNetstack, ADroppedCloseClosesAllTheSame) {
  const Instant now;
  Netstack stack(small(), seeded_entropy(1), now);
  channel::RunQueue tasks;
  const Channel c = stack.channel(&tasks);
  UdpSocket socket = UdpSocket::bind(c, {IpAddress{}, kPort}).value();
  auto closes = [](Channel through, Handle h) -> channel::Task<bool> {
    co_return std::holds_alternative<channel::Ok>(co_await through.request(channel::Close{h}));
  }(c, socket.handle());
  closes.start();
  closes = {};
  (void)stack.process_cmds(now);
  EXPECT_EQ(StackControl{c}.sockets().value().size(), 0U);
}

// A device that counts who sleeps on it.
class Watched final : public AnyDevice {
 public:
  [[nodiscard]] DeviceCaps caps() const override { return {}; }
  std::size_t rx(PacketBatch&, Instant) override { return 0; }
  std::size_t tx(PacketBatch&, Instant) override { return 0; }
  [[nodiscard]] Instant next_event() const override { return Instant::never(); }
  [[nodiscard]] int poll_fd() const override { return -1; }
  [[nodiscard]] DeviceCounters counters() const override { return {}; }
  bool before_sleep() override {
    ++sleeps;
    return !has_packets;
  }
  void after_sleep() override { ++wakes; }
  bool has_packets = false;
  int sleeps = 0, wakes = 0;
};

TEST(ChannelNetstack, ADeviceBehindAFreePortIsHeard) {
  std::array<Watched, 3> devices;
  Netstack stack(small(), seeded_entropy(1), Instant{});
  constexpr std::array<std::string_view, 3> names{"a", "b", "c"};
  std::array<InterfaceId, 3> ids{};
  for (std::size_t i = 0; i < 3; ++i) ids[i] = stack.attach(devices[i], {}, {.name = names[i]}).value();
  ASSERT_TRUE(stack.detach(ids[0]));
  devices[2].has_packets = true;
  EXPECT_TRUE(stack.wait_for_io(Duration{}));
  devices[1].has_packets = true;
  EXPECT_TRUE(stack.wait_for_io(Duration{})) << "and the one behind is not asked";
  const auto counts = [](const Watched& d) { return std::pair{d.sleeps, d.wakes}; };
  EXPECT_EQ(counts(devices[0]), std::pair(0, 0));
  EXPECT_EQ(counts(devices[1]), std::pair(2, 2));
  EXPECT_EQ(counts(devices[2]), std::pair(1, 1));
  devices[1].has_packets = devices[2].has_packets = false;
  EXPECT_FALSE(stack.wait_for_io(Duration{}));
  for (std::size_t i = 1; i < 3; ++i) ASSERT_TRUE(stack.detach(ids[i]));
}

TEST(ChannelNetstack, ReceiveBudgetsFollowTheConfiguration) {
  NetstackConfig config = small();
  config.tcp_buffer = 10'000;
  config.udp_buffer = 100'000;
  config.udp_messages = 4;
  config.raw_buffer = 5'000;
  Netstack stack(config, seeded_entropy(1), Instant{});
  const Channel c = stack.channel();
  EXPECT_EQ(StackControl{c}.option(OptionId::receive_buffer).value(), 10'000);
  EXPECT_EQ(StackControl{c}.option(OptionId::send_buffer).value(), 10'000);
  const UdpSocket udp = UdpSocket::bind(c, {IpAddress{}, kPort}).value();
  EXPECT_EQ(udp.option(OptionId::receive_buffer).value(), 4 * 2048);
  const auto raw = channel::RawSocket::open(c, IpVersion::v4, 253).value();
  EXPECT_EQ(raw.option(OptionId::receive_buffer).value(), 5'000);
}

TEST(ChannelNetstack, LoopbackAddressesNeedNoDevice) {
  Netstack stack(small(), seeded_entropy(1), Instant{});
  const Channel c = stack.channel();
  Instant now;
  auto turn = [&] {
    stack.process_cmds(now);
    const Instant next = stack.poll_device_io(now);
    if (next.is_never()) return false;
    now = next < now ? now : next;
    return true;
  };
  stack.set_driver({[](void* f) { return (*static_cast<decltype(turn)*>(f))(); }, &turn});
  TcpListener l = TcpListener::listen(c, {IpAddress::v4(127, 0, 0, 1), kPort}).value();
  TcpStream s = TcpStream::connect(c, {IpAddress::v4(127, 0, 0, 1), kPort}).value();
  TcpStream t = l.accept().value();
  s.send(numbers(20)).value();
  EXPECT_EQ(t.recv_bytes(100).value(), numbers(20));
}

TEST(ChannelNetstack, LoopbackAddressesCanBeSwitchedOff) {
  NetstackConfig config = small();
  config.loopback = false;
  Netstack stack(config, seeded_entropy(1), Instant{});
  const Channel c = stack.channel();
  Instant now;
  auto turn = [&] {
    stack.process_cmds(now);
    now = now + Duration::ms(1);
    (void)stack.poll_device_io(now);
    return true;
  };
  stack.set_driver({[](void* f) { return (*static_cast<decltype(turn)*>(f))(); }, &turn});
  const StackControl control(c);
  for (const IpAddress& here : {IpAddress::v4(127, 0, 0, 1), IpAddress::v6({0, 0, 0, 0, 0, 0, 0, 1})}) {
    ASSERT_TRUE(control.set_loopback(false));
    EXPECT_FALSE(control.loopback().value());
    const TcpListener any = TcpListener::listen(c, {IpAddress{}, kPort}).value();
    EXPECT_EQ(TcpStream::connect(c, {here, kPort}).error(), Errc::network_unreachable);
    EXPECT_EQ(UdpSocket::bind(c, {here, kPort}).error(), Errc::address_not_available);
    ASSERT_TRUE(control.set_loopback(true));
    EXPECT_TRUE(TcpStream::connect(c, {here, kPort}));
    EXPECT_TRUE(UdpSocket::bind(c, {here, kPort}));
    const UdpSocket sender = UdpSocket::bind(c, {IpAddress{}, Port{}}).value();
    EXPECT_TRUE(sender.send_to(numbers(1), {here, kPort}));
    ASSERT_TRUE(control.set_loopback(false));
    EXPECT_EQ(sender.send_to(numbers(1), {here, kPort}).error(), Errc::network_unreachable) << "no path is kept";
  }
}

TEST(ChannelNetstack, EntropyDecidesSequenceNumbers) {
  const auto iss = [](std::uint64_t seed) {
    PipedPair pair(small(), seeded_entropy(seed), seeded_entropy(9));
    Channel a = pair.channel(0), b = pair.channel(1);
    TcpListener l = TcpListener::listen(b, {IpAddress{}, kPort}).value();
    return TcpStream::connect(a, {piped_address(1), kPort}).value().info().value().iss;
  };
  EXPECT_EQ(iss(1), iss(1));
  EXPECT_NE(iss(1), iss(2));
}

// Three milliseconds, and a day that a test could not wait for.
TEST(ChannelNetstack, TheClockAndTheSleepMayBeTheCallers) {
  Instant now = Instant::from_ns(5'000);
  Netstack stack(small(), seeded_entropy(1), now);
  RunQueue tasks;
  const UdpSocket socket = UdpSocket::bind(stack.channel(&tasks), {IpAddress{}, kPort}).value();
  for (const Duration limit : {Duration::ms(3), Duration::s(86'400)}) {
    auto user = [](const UdpSocket& s, Duration timeout) -> Task<Errc> {
      Bytes into(10);
      co_return (co_await s.async_recv_from(into, timeout)).error();
    }(socket, limit);
    const Instant began = now;
    int sleeps = 0;
    const auto sleep = [&](Netstack& s, Instant at, Instant until) {
      EXPECT_EQ(&s, &stack);
      EXPECT_EQ(at, now);
      EXPECT_FALSE(user.done());
      ++sleeps;
      now = earlier(until, at + limit / 3);  // it may end before its time, as any sleep may
    };
    user.start();
    const auto over = [&] { return user.done() || sleeps > 10; };
    run_blocking(stack, {.clock = [&] { return now; }, .sleep = sleep, .tasks = &tasks, .done = over});
    ASSERT_TRUE(user.done());
    EXPECT_EQ(user.result(), Errc::timed_out);
    EXPECT_EQ(now - began, limit);
    EXPECT_GE(sleeps, 3);
  }
}

// The runner as a coroutine: it sleeps until a command comes, and is stopped while it sleeps.
TEST(ChannelNetstack, RunsAsACoroutineBesideItsCallers) {
  Instant now = Instant::from_ns(5);
  RunQueue tasks({[](void* t) { return *static_cast<Instant*>(t); }, &now});
  Netstack stack(small(), seeded_entropy(1), now);
  std::stop_source stop;
  auto runner = run_async(stack, tasks, stop.get_token());
  runner.start();
  const auto turn = [&] {
    while (tasks.run_ready() > 0) {
    }
  };
  turn();
  EXPECT_FALSE(tasks.has_ready()) << "an idle stack does not turn";
  auto user = [](Channel c) -> Task<Errc> {
    auto s = std::move(co_await UdpSocket::async_bind(c, {IpAddress{}, kPort})).value();
    Bytes into(10);
    co_return (co_await s.async_recv_from(into, Duration::ms(3))).error();
  }(stack.channel(&tasks));
  user.start();
  turn();
  EXPECT_FALSE(user.done());
  EXPECT_EQ(tasks.next_timer().count_ns(), 5 + 3'000'000);
  now = tasks.next_timer();
  turn();
  ASSERT_TRUE(user.done());
  EXPECT_EQ(user.result(), Errc::timed_out);
  stop.request_stop();
  turn();
  EXPECT_TRUE(runner.done());
}

// Waiting for I/O takes nothing: it may be dropped at any time.
TEST(ChannelNetstack, WaitingForIoIsCancelSafe) {
  Instant now;
  RunQueue tasks({[](void* t) { return *static_cast<Instant*>(t); }, &now});
  Netstack stack(small(), seeded_entropy(1), now);
  const auto wait = [](Netstack& s, RunQueue& q) -> Task<int> {
    co_await s.async_wait_for_io(q, Instant::never());
    co_return 1;
  };
  const auto wait_for_command = [](Netstack& s, RunQueue& q) -> Task<int> {
    co_await s.async_wait_for_cmd(q, Instant::never());
    co_return 1;
  };
  {
    auto dropped = wait(stack, tasks);
    dropped.start();
    auto never_started = wait(stack, tasks);
  }
  Waiting op;
  op.open(SocketKind::udp);
  {
    auto rung = wait(stack, tasks);
    rung.start();
    stack.commands().start(op);
    EXPECT_TRUE(tasks.has_ready());
  }
  EXPECT_FALSE(tasks.has_ready());
  auto third = wait(stack, tasks);
  third.start();  // the command is still there
  tasks.run_ready();
  EXPECT_TRUE(third.done());
  auto fourth = wait_for_command(stack, tasks);
  fourth.start();
  tasks.run_ready();
  EXPECT_TRUE(fourth.done());
  EXPECT_EQ(stack.process_cmds(now), 1U);
  EXPECT_TRUE(op.over);
  auto until_rung = wait_for_command(stack, tasks);
  until_rung.start();
  tasks.run_ready();
  EXPECT_FALSE(until_rung.done());
  op.reset();
  op.open(SocketKind::udp);
  stack.commands().start(op);
  tasks.run_ready();
  EXPECT_TRUE(until_rung.done());
  EXPECT_EQ(stack.process_cmds(now), 1U);
}

}  // namespace
}  // namespace leat
