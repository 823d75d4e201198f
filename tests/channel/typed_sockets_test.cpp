// The typed sockets over a stack under a virtual clock: what each call does, in its three forms, and what it leaves
// when it is given up.

#include <gtest/gtest.h>

#include <leat/api/channel/stack_control.hpp>
#include <leat/api/channel/task.hpp>
#include <leat/api/channel/tcp.hpp>
#include <leat/api/channel/udp.hpp>
#include <numeric>
#include <tests/support/virtual_service.hpp>

namespace leat::channel {
namespace {

using test::TwoHosts;
using test::VirtualWorld;
using Bytes = std::vector<std::uint8_t>;

Bytes numbers(std::size_t n) {
  Bytes b(n);
  std::iota(b.begin(), b.end(), std::uint8_t{0});
  return b;
}

class ChannelVirtual : public ::testing::Test {
 protected:
  static constexpr Port kPort{7};
  static Endpoint server_at() { return {TwoHosts::address(1), kPort}; }

  // A connection with both its ends.
  void connect() {
    listener = TcpListener::listen(b, {IpAddress{}, kPort}).value();
    client = TcpStream::connect(a, server_at()).value();
    server = listener.accept().value();
    ASSERT_TRUE(client.set_option(OptionId::tcp_nodelay, 1));
  }
  // Turns the world and resumes tasks until this one is done.
  template <class T>
  auto wait(Task<T>& task) {
    EXPECT_TRUE(w.advance(
        [&] {
          while (tasks.run_ready() > 0) w.flush();
          return task.done();
        },
        Duration::s(100)));
    return task.result();
  }
  template <class T>
  auto run(Task<T> task) {
    task.start();
    return wait(task);
  }
  void settle() {
    w.run_for(Duration::ms(500));
    tasks.run_ready();
  }

  // After TIME-WAIT, at both sides.
  void expect_no_sockets() {
    w.run_for(Duration::s(300));
    for (const Channel& c : {a, b}) EXPECT_TRUE(StackControl{c}.sockets().value().empty());
    for (std::size_t host : {0U, 1U}) {
      EXPECT_EQ(w.hosts.stack(host).core().tcp.connection_pool.used(), 0U) << "host " << host;
      EXPECT_FALSE(w.engine(host).next_deadline() < Instant::never()) << "host " << host;
    }
  }

  VirtualWorld w;
  RunQueue tasks;
  Channel a{w.shared_service(0), &tasks}, b{w.shared_service(1), &tasks};
  TcpListener listener;
  TcpStream client, server;
};

TEST_F(ChannelVirtual, ConnectsSendsReceivesAndEnds) {
  connect();
  EXPECT_EQ(server.remote_addr().address, TwoHosts::address(0));
  EXPECT_EQ(client.local_addr().value(), server.remote_addr());
  EXPECT_EQ(server.local_addr().value(), client.remote_addr());
  const Bytes sent = numbers(100'000);
  Task<Bytes> reader = [](TcpStream& s) -> Task<Bytes> {
    Bytes all;
    for (;;) {
      const auto got = co_await s.async_recv_bytes(1000);
      if (!got || got->empty()) co_return all;
      all.insert(all.end(), got->begin(), got->end());
    }
  }(server);
  reader.start();
  EXPECT_EQ(client.send_all(sent).value(), sent.size());
  ASSERT_TRUE(client.shutdown_write());
  EXPECT_EQ(wait(reader), sent);
  // Half closed: the other direction goes on.
  EXPECT_EQ(server.send(numbers(5)).value(), 5U);
  EXPECT_EQ(client.recv_bytes(100).value(), numbers(5));
  server.close();
  Bytes buffer(10);
  EXPECT_EQ(client.recv(buffer).value(), 0U) << "the end of the stream";
}

TEST_F(ChannelVirtual, TriesWithoutWaiting) {
  listener = TcpListener::listen(b, {IpAddress{}, kPort}).value();
  EXPECT_FALSE(listener.try_accept().value().has_value());
  client = TcpStream::try_connect(a, server_at()).value();
  EXPECT_FALSE(client.try_connected().value());
  settle();
  EXPECT_TRUE(client.try_connected().value());
  server = std::move(*listener.try_accept().value());
  Bytes buffer(10);
  EXPECT_FALSE(server.try_recv(buffer).value().has_value());
  EXPECT_EQ(client.try_send(numbers(3)).value(), 3U);
  settle();
  EXPECT_EQ(server.try_recv(buffer).value(), 3U);
  const Bytes big(100'000'000);
  const auto some = client.try_send(big).value();
  ASSERT_TRUE(some.has_value());
  EXPECT_LT(*some, big.size());
  EXPECT_FALSE(client.try_send(big).value().has_value()) << "no room";
}

TEST_F(ChannelVirtual, ATimeOutTakesNothing) {
  connect();
  Bytes buffer(10);
  const Instant before = w.hosts.now();
  EXPECT_EQ(server.recv(buffer, Duration::ms(20)).error(), Errc::timed_out);
  EXPECT_EQ((w.hosts.now() - before).count_ms(), 20);
  EXPECT_EQ(listener.accept(Duration::ms(20)).error(), Errc::timed_out);
  client.send(numbers(4)).value();
  EXPECT_EQ(server.recv(buffer, Duration::ms(100)).value(), 4U);
  const auto timed = run([](TcpStream& s, MutableByteSpan to) -> Task<Errc> {
    co_return (co_await s.async_recv(to, Duration::ms(30))).error();
  }(server, buffer));
  EXPECT_EQ(timed, Errc::timed_out);
}

TEST_F(ChannelVirtual, RefusedAndUnreachableAreErrors) {
  EXPECT_EQ(TcpStream::connect(a, server_at()).error(), Errc::connection_refused);
  EXPECT_EQ(TcpStream::connect(a, {TwoHosts::address(1), Port{}}).error(), Errc::address_not_available);
  EXPECT_EQ(TcpStream::connect(a, {IpAddress::v4(192, 0, 2, 1), kPort}).error(), Errc::network_unreachable);
  EXPECT_TRUE(StackControl{a}.sockets().value().empty()) << "what failed left a socket";
}

TEST_F(ChannelVirtual, BytesAndFinBeforeAcceptSurvive) {
  listener = TcpListener::listen(b, {IpAddress{}, kPort}).value();
  client = TcpStream::connect(a, server_at()).value();
  client.send_all(numbers(3000)).value();
  ASSERT_TRUE(client.shutdown_write());
  settle();
  server = listener.accept().value();
  Bytes all;
  for (;;) {
    const Bytes got = server.recv_bytes(1000).value();
    if (got.empty()) break;
    all.insert(all.end(), got.begin(), got.end());
  }
  EXPECT_EQ(all, numbers(3000));
}

Task<std::size_t> receive(TcpStream& s, MutableByteSpan to) {
  co_return (co_await s.async_recv(to)).value();
}

// A receive that is dropped while it waits, and one that was complete when it was dropped.
TEST_F(ChannelVirtual, ADroppedReceiveLosesNothing) {
  connect();
  Bytes buffer(10), into(10);
  {
    Task<std::size_t> waits = receive(server, into);
    waits.start();
    settle();
    EXPECT_FALSE(waits.done());
  }
  client.send(numbers(4)).value();
  settle();
  EXPECT_EQ(server.recv(buffer).value(), 4U);
  {
    Task<std::size_t> complete = receive(server, into);
    complete.start();
    client.send(numbers(6)).value();
    w.run_for(Duration::ms(500));  // the operation is complete, nobody resumed the task
    EXPECT_TRUE(tasks.has_ready());
  }
  EXPECT_FALSE(tasks.has_ready());
  client.send(numbers(1)).value();
  EXPECT_EQ(server.recv(MutableByteSpan{buffer}.first(2)).value(), 2U);
  EXPECT_EQ(server.recv(buffer).value(), 4U);
  EXPECT_EQ(buffer[3], 5);
  EXPECT_EQ(server.recv(buffer).value(), 1U);
}

TEST_F(ChannelVirtual, ADroppedAcceptLosesNothing) {
  listener = TcpListener::listen(b, {IpAddress{}, kPort}).value();
  const auto accept = [](TcpListener& l) -> Task<TcpStream> { co_return std::move(co_await l.async_accept()).value(); };
  {
    auto waits = accept(listener);
    waits.start();
    auto first = accept(listener);
  }
  {
    auto complete = accept(listener);
    complete.start();
    client = TcpStream::connect(a, server_at()).value();
    w.run_for(Duration::ms(500));
    EXPECT_TRUE(tasks.has_ready());
  }
  server = listener.accept(Duration::ms(1)).value();
  EXPECT_EQ(server.remote_addr(), client.local_addr().value());
  {
    auto complete = accept(listener);
    complete.start();
    TcpStream other = TcpStream::connect(a, server_at()).value();
    w.run_for(Duration::ms(500));
  }
  listener = {};  // takes the connection that nobody looked at with it
  settle();
  EXPECT_EQ(StackControl{b}.sockets().value().size(), 1U);
}

// What an accept or a receive got that is dropped when its socket is closed already: nobody will ask for it.
TEST_F(ChannelVirtual, WhatIsDroppedBehindTheCloseIsClosedToo) {
  connect();
  UdpSocket socket = UdpSocket::bind(b, {IpAddress{}, Port{53}}).value();
  const auto finished = [](auto call) -> Task<bool> {
    (void)co_await call();
    co_return true;
  };
  Bytes into(10), more(10);
  for (const bool by_command : {false, true}) {
    const Handle at = listener.handle();
    auto accepts = finished([&] { return listener.async_accept(); });
    auto asks = finished([&] { return b.request(TcpAccept{at}); });
    if (by_command) {
      asks.start();
    } else {
      accepts.start();
    }
    const TcpStream other = TcpStream::connect(a, server_at()).value();
    w.run_for(Duration::ms(500));
    EXPECT_TRUE(tasks.has_ready());
    if (by_command) {
      EXPECT_TRUE(b.request_nonblocking(Close{at}));
    } else {
      listener.close();
    }
    accepts = {};
    asks = {};
    if (!by_command) listener = TcpListener::listen(b, {IpAddress{}, kPort}).value();
  }
  auto receives = finished([&] { return server.async_recv(into); });
  auto receives_from = finished([&] { return socket.async_recv_from(more); });
  receives.start();
  receives_from.start();
  client.send(numbers(4)).value();
  UdpSocket one = UdpSocket::bind(a, {}).value();
  one.send_to(numbers(3), {TwoHosts::address(1), Port{53}}).value();
  w.run_for(Duration::ms(500));
  server.close();
  socket.close();
  receives = {};
  receives_from = {};
  client.close();
  one.close();
  listener.close();
  expect_no_sockets();
}

TEST_F(ChannelVirtual, ADroppedConnectClosesWhatItOpened) {
  {
    auto task = [](Channel c, Endpoint to) -> Task<TcpStream> {
      co_return std::move(co_await TcpStream::async_connect(c, to)).value();
    }(a, {IpAddress::v4(10, 0, 0, 77), kPort});  // nobody is there
    task.start();
    w.run_for(Duration::ms(10));
    EXPECT_EQ(StackControl{a}.sockets().value().size(), 1U);
  }
  EXPECT_TRUE(StackControl{a}.sockets().value().empty());
  listener = TcpListener::listen(b, {IpAddress{}, kPort}).value();
  {
    auto task = [](Channel c, Endpoint to) -> Task<TcpStream> {
      co_return std::move(co_await TcpStream::async_connect(c, to)).value();
    }(a, server_at());
    task.start();
    w.run_for(Duration::ms(10));  // connected, and nobody looked
    EXPECT_TRUE(tasks.has_ready());
  }
  settle();
  EXPECT_TRUE(StackControl{a}.sockets().value().empty());
}

TEST_F(ChannelVirtual, ADroppedSendSendsABeginningAndLeavesNothing) {
  connect();
  ASSERT_TRUE(client.set_option(OptionId::send_buffer, 4096));
  const Bytes all = numbers(3'000'000);
  {
    Task<std::size_t> dropped = [](TcpStream& s, ByteSpan bytes) -> Task<std::size_t> {
      co_return (co_await s.async_send_all(bytes)).value();
    }(client, all);
    dropped.start();
    settle();
    EXPECT_FALSE(dropped.done()) << "nobody reads";
  }
  EXPECT_FALSE(tasks.has_ready());
  client.close();
  Bytes got;
  for (;;) {
    const auto some = server.recv_bytes(100'000, Duration::s(10));
    ASSERT_TRUE(some);
    if (some->empty()) break;
    got.insert(got.end(), some->begin(), some->end());
  }
  EXPECT_GT(got.size(), 4096U);
  ASSERT_LT(got.size(), all.size());
  EXPECT_TRUE(std::equal(got.begin(), got.end(), all.begin()));
  server.close();
  listener.close();
  expect_no_sockets();
}

TEST_F(ChannelVirtual, ADroppedFinishLeavesNothing) {
  connect();
  const Bytes much(8'000'000, 1);
  std::size_t sent = 0;
  while (const auto some = client.try_send(much).value()) {
    sent += *some;
    settle();
  }
  {
    Task<bool> dropped = [](TcpStream& s) -> Task<bool> { co_return (co_await s.async_finish()).has_value(); }(client);
    dropped.start();
    settle();
    EXPECT_FALSE(dropped.done()) << "nobody reads";
  }
  EXPECT_FALSE(tasks.has_ready());
  client.close();
  std::size_t got = 0;
  for (;;) {
    const auto some = server.recv_bytes(1'000'000, Duration::s(10));
    ASSERT_TRUE(some);
    if (some->empty()) break;
    got += some->size();
  }
  EXPECT_EQ(got, sent);
  server.close();
  listener.close();
  expect_no_sockets();
}

TEST_F(ChannelVirtual, ADroppedDatagramSendSendsNothingLater) {
  UdpSocket one = UdpSocket::bind(a, {IpAddress{}, Port{}}).value();
  UdpSocket two = UdpSocket::bind(b, {IpAddress{}, Port{53}}).value();
  const Endpoint to{TwoHosts::address(1), Port{53}};
  const Bytes kept = numbers(3), gone = numbers(7);
  const std::vector<OutDatagram> out(10, {gone, to});
  one.send_to(kept, to).value();
  settle();  // the neighbour is known
  std::size_t sent = 1;
  while (sent < 1000 && one.try_send_to(kept, to).value()) ++sent;  // the other side does not turn
  ASSERT_LT(sent, 1000U);
  {
    auto single = [](UdpSocket& s, ByteSpan bytes, Endpoint where) -> Task<bool> {
      co_return (co_await s.async_send_to(bytes, where)).has_value();
    }(one, gone, to);
    auto many = [](UdpSocket& s, std::span<const OutDatagram> o) -> Task<bool> {
      co_return (co_await s.async_send_many(o)).has_value();
    }(one, out);
    single.start();
    many.start();
    EXPECT_FALSE(tasks.has_ready()) << "no room";
  }
  EXPECT_FALSE(tasks.has_ready());
  settle();
  Bytes buffer(10);
  for (; sent > 0; --sent) ASSERT_EQ(two.try_recv_from(buffer).value().value().count, kept.size()) << sent;
  EXPECT_FALSE(two.try_recv_from(buffer).value().has_value());
  one.close();
  two.close();
  expect_no_sockets();
}

TEST_F(ChannelVirtual, ADroppedListenOrBindClosesWhatItOpened) {
  {
    auto listens = [](Channel c) -> Task<TcpListener> {
      co_return std::move(co_await TcpListener::async_listen(c, {IpAddress{}, kPort})).value();
    }(a);
    auto binds = [](Channel c) -> Task<UdpSocket> {
      co_return std::move(co_await UdpSocket::async_bind(c, {IpAddress{}, kPort})).value();
    }(a);
    auto opens = [](Channel c) -> Task<RawSocket> {
      co_return std::move(co_await RawSocket::async_open(c, IpVersion::v4, 253)).value();
    }(a);
    listens.start();
    binds.start();
    opens.start();
    w.flush();
    EXPECT_EQ(StackControl{a}.sockets().value().size(), 3U);
    EXPECT_TRUE(tasks.has_ready()) << "open, and nobody looked";
  }
  EXPECT_FALSE(tasks.has_ready());
  EXPECT_TRUE(StackControl{a}.sockets().value().empty());
  EXPECT_TRUE(TcpListener::listen(a, {IpAddress{}, kPort})) << "the port is free";
}

TEST_F(ChannelVirtual, ClosingEndsWhoWaits) {
  connect();
  Bytes into(10);
  auto task = [](TcpStream& s, MutableByteSpan to) -> Task<Errc> { co_return (co_await s.async_recv(to)).error(); }(
                                                       server, into);
  task.start();
  settle();
  server.close();
  EXPECT_EQ(wait(task), Errc::bad_handle);
  EXPECT_EQ(server.recv(into).error(), Errc::bad_handle);
  server.close();  // twice is once
}

TEST_F(ChannelVirtual, ResetIsAnErrorByName) {
  connect();
  Bytes into(10);
  client.abort();
  EXPECT_EQ(server.recv(into).error(), Errc::connection_reset);
  EXPECT_EQ(Error::of(Errc::connection_reset).kind, Error::Kind::connection_reset);
  EXPECT_EQ(Error::of(Errc::connection_reset).error_code(), std::errc::connection_reset);
}

// Twenty receivers on one stream, in the order in which they asked.
TEST_F(ChannelVirtual, WaitersAreServedInOrder) {
  connect();
  std::vector<Bytes> into(20, Bytes(1));
  std::vector<Task<std::size_t>> readers;
  for (Bytes& b1 : into) readers.push_back(receive(server, b1));
  for (auto& r : readers) r.start();
  client.send(numbers(20)).value();
  settle();
  for (std::size_t i = 0; i < readers.size(); ++i) {
    ASSERT_TRUE(readers[i].done()) << i;
    EXPECT_EQ(into[i][0], i);
  }
}

TEST_F(ChannelVirtual, DatagramsTellWhereFromAndHowLong) {
  UdpSocket one = UdpSocket::bind(a, {IpAddress{}, Port{}}).value();
  UdpSocket two = UdpSocket::bind(b, {IpAddress{}, Port{53}}).value();
  EXPECT_NE(one.local_addr().port, Port{});
  const Endpoint to{TwoHosts::address(1), Port{53}};
  Bytes buffer(100);
  EXPECT_FALSE(two.try_recv_from(buffer).value().has_value());
  EXPECT_EQ(two.recv_from(buffer, Duration::ms(5)).error(), Errc::timed_out);
  one.send_to(numbers(300), to).value();
  one.send_to(numbers(50), to).value();
  one.send_to({}, to).value();
  RecvFrom got = two.recv_from(buffer).value();
  EXPECT_EQ(got.count, 100U);
  EXPECT_EQ(got.truncated(), 300U);
  EXPECT_EQ(got.message.from, (Endpoint{TwoHosts::address(0), one.local_addr().port}));
  const Datagram whole = two.recv_from_bytes(1000).value();
  EXPECT_EQ(whole.bytes, numbers(50));
  EXPECT_FALSE(whole.truncated());
  got = two.recv_from(buffer).value();
  EXPECT_EQ(got.count, 0U) << "an empty datagram is a datagram";
  two.try_send_to(numbers(2), got.message.from).value().value();
  EXPECT_EQ(one.recv_from_bytes(10).value().bytes, numbers(2));
}

TEST_F(ChannelVirtual, AnAnswerComesFromTheAddressThatWasAsked) {
  const IpAddress second = IpAddress::v4(10, 0, 0, 77);
  ASSERT_TRUE(w.hosts.stack(1).add_address(InterfaceId{1}, {second, 24}));
  UdpSocket one = UdpSocket::bind(a, {IpAddress{}, Port{}}).value();
  UdpSocket two = UdpSocket::bind(b, {IpAddress{}, Port{53}}).value();
  const Endpoint asked{second, Port{53}};
  Bytes buffer(10);
  one.send_to(numbers(3), asked).value();
  const Message request = two.recv_from(buffer).value().message;
  EXPECT_EQ(two.answer(numbers(1), request).value(), 1U);
  EXPECT_EQ(two.try_answer(numbers(2), request).value(), 2U);
  EXPECT_EQ(run([](UdpSocket& s, const Message& m, ByteSpan bytes) -> Task<std::size_t> {
              co_return (co_await s.async_answer(bytes, m)).value();
            }(two, request, numbers(3))),
            3U);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(one.recv_from(buffer).value().message.from, asked);
}

TEST_F(ChannelVirtual, ADroppedDatagramIsThereForTheNext) {
  UdpSocket one = UdpSocket::bind(a, {IpAddress{}, Port{}}).value();
  UdpSocket two = UdpSocket::bind(b, {IpAddress{}, Port{53}}).value();
  Bytes buffer(10);
  {
    auto dropped = [](UdpSocket& s, MutableByteSpan to) -> Task<std::size_t> {
      co_return (co_await s.async_recv_from(to)).value().count;
    }(two, buffer);
    dropped.start();
    one.send_to(numbers(7), {TwoHosts::address(1), Port{53}}).value();
    w.run_for(Duration::ms(500));
    EXPECT_TRUE(tasks.has_ready());
  }
  const auto got = run(
      [](UdpSocket& s) -> Task<Datagram> { co_return std::move(co_await s.async_recv_from_bytes(100)).value(); }(two));
  EXPECT_EQ(got.bytes, numbers(7));
  EXPECT_EQ(got.message.from.address, TwoHosts::address(0));
}

// Datagrams with a buffer each.
struct Inbox {
  explicit Inbox(std::size_t n, std::size_t bytes = 10) : buffers(n, Bytes(bytes)) {
    for (Bytes& b : buffers) in.push_back({b});
  }
  [[nodiscard]] Bytes got(std::size_t i) const {
    return {in[i].to.begin(), in[i].to.begin() + static_cast<std::ptrdiff_t>(in[i].count)};
  }
  std::vector<Bytes> buffers;
  std::vector<InDatagram> in;
};

TEST_F(ChannelVirtual, ManyDatagramsByOneCall) {
  UdpSocket one = UdpSocket::bind(a, {IpAddress{}, Port{}}).value();
  UdpSocket two = UdpSocket::bind(b, {IpAddress{}, Port{53}}).value();
  const Endpoint to{TwoHosts::address(1), Port{53}};
  const Bytes data = numbers(30);
  std::vector<OutDatagram> out;
  for (std::size_t i = 0; i < 10; ++i) out.push_back({ByteSpan{data}.first(i), to});
  Inbox four(4), many(16);
  EXPECT_FALSE(two.try_recv_many(four.in).value().has_value());
  EXPECT_EQ(two.recv_many(four.in, Duration::ms(5)).error(), Errc::timed_out);
  EXPECT_EQ(one.send_many(out).value(), 10U);
  settle();
  EXPECT_EQ(two.recv_many(four.in).value(), 4U);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(four.got(i), numbers(i));
  EXPECT_EQ(run([](UdpSocket& s, std::span<InDatagram> in) -> Task<std::size_t> {
              co_return (co_await s.async_recv_many(in)).value();
            }(two, many.in)),
            6U);
  EXPECT_EQ(many.got(5), numbers(9));
  EXPECT_EQ(many.in[5].message.from.port, one.local_addr().port);
  EXPECT_EQ(one.try_send_many(std::span{out}.first(2)).value(), 2U);
  EXPECT_EQ(run([](UdpSocket& s, std::span<const OutDatagram> o) -> Task<std::size_t> {
              co_return (co_await s.async_send_many(o)).value();
            }(one, std::span{out}.first(3))),
            3U);
  EXPECT_EQ(one.send_many({}).value(), 0U);
  settle();
  EXPECT_EQ(two.recv_many(many.in).value(), 5U);

  out[1].to.port = Port{};
  EXPECT_EQ(one.send_many(out).error(), Errc::address_not_available) << "refused as a whole";
  EXPECT_EQ(two.recv_many({}).error(), Errc::invalid_argument);
  Inbox empty(2, 0);
  EXPECT_EQ(two.recv_many(empty.in).error(), Errc::invalid_argument);
  EXPECT_EQ(Error::of(check(SendMany{one.handle(), out})).code, Errc::address_not_available);
}

TEST_F(ChannelVirtual, ManyRawPacketsTakeNoPort) {
  constexpr std::uint8_t kProtocol = 253;  // for experiments (RFC 3692)
  RawSocket one = RawSocket::open(a, IpVersion::v4, kProtocol).value();
  RawSocket two = RawSocket::open(b, IpVersion::v4, kProtocol).value();
  const Bytes data = numbers(30);
  const std::array<OutDatagram, 2> out{
      {{data, {TwoHosts::address(1), Port{}}}, {data, {TwoHosts::address(1), Port{}}}}};
  EXPECT_EQ(one.send_many(out).value(), 2U);
  settle();
  Inbox in(3, 100);
  EXPECT_EQ(two.recv_many(in.in).value(), 2U);
  EXPECT_EQ(in.in[1].count, 50U);
}

TEST_F(ChannelVirtual, ManyDatagramsThatWereDroppedAreThereForTheNext) {
  UdpSocket one = UdpSocket::bind(a, {IpAddress{}, Port{}}).value();
  UdpSocket two = UdpSocket::bind(b, {IpAddress{}, Port{53}}).value();
  const Bytes data = numbers(3);
  std::vector<OutDatagram> out;
  for (std::size_t i = 1; i <= 3; ++i) out.push_back({ByteSpan{data}.first(i), {TwoHosts::address(1), Port{53}}});
  Inbox first(4), next(4);
  {
    auto dropped = [](UdpSocket& s, std::span<InDatagram> in) -> Task<std::size_t> {
      co_return (co_await s.async_recv_many(in)).value();
    }(two, first.in);
    dropped.start();
    one.send_many(out).value();
    w.run_for(Duration::ms(500));
    EXPECT_TRUE(tasks.has_ready());
  }
  std::size_t n = 0;
  while (n < 3) n += two.recv_many(std::span{next.in}.subspan(n), Duration::ms(10)).value();
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(next.got(i), numbers(i + 1));
}

TEST_F(ChannelVirtual, ManyDatagramsAsCommands) {
  const auto bound = std::get<Bound>(b.request_blocking(UdpBind{{IpAddress{}, Port{53}}}));
  const auto from = std::get<Bound>(a.request_blocking(UdpBind{}));
  Inbox in(8);
  EXPECT_TRUE(std::holds_alternative<WouldBlock>(b.try_request(RecvMany{bound.socket, in.in})));
  {
    Bytes gone = numbers(5);
    std::vector<OutDatagram> out(3, {gone, {TwoHosts::address(1), Port{53}}});
    EXPECT_EQ(std::get<SentMany>(a.request_blocking(SendMany{from.socket, out})).datagrams, 3U);
    EXPECT_TRUE(a.request_nonblocking(SendMany{from.socket, out})) << "what it names is copied";
    EXPECT_FALSE(b.request_nonblocking(RecvMany{bound.socket, in.in})) << "it makes sense only with an answer";
  }
  const auto ask = [](Channel c, Command command) -> Task<Response> { co_return co_await c.request(command); };
  {
    Inbox dropped(8);
    auto task = ask(b, RecvMany{bound.socket, dropped.in});
    task.start();
    w.run_for(Duration::ms(500));
  }
  std::size_t n = 0;
  while (n < 6) {
    const Response r = b.request_blocking(RecvMany{bound.socket, std::span{in.in}.subspan(n)}, Duration::ms(10));
    ASSERT_TRUE(std::holds_alternative<ReceivedMany>(r)) << n;
    n += std::get<ReceivedMany>(r).datagrams;
  }
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(in.got(i), numbers(5));
  EXPECT_TRUE(b.request_nonblocking(Close{bound.socket}));
  EXPECT_TRUE(a.request_nonblocking(Close{from.socket}));
}

TEST_F(ChannelVirtual, FinishTellsThatThePeerHasAll) {
  connect();
  client.send_all(numbers(1000)).value();
  ASSERT_TRUE(client.finish(Duration::s(1)));
  EXPECT_TRUE(client.try_finish().value());
  EXPECT_EQ(server.recv_bytes(2000).value(), numbers(1000));
  EXPECT_TRUE(server.recv_bytes(2000).value().empty());
  EXPECT_EQ(server.send(numbers(3)).value(), 3U) << "the other direction goes on";
  EXPECT_EQ(client.recv_bytes(10).value(), numbers(3));
  EXPECT_TRUE(run([](TcpStream& s) -> Task<bool> { co_return (co_await s.async_finish()).has_value(); }(server)));
  client = {};
  server = {};
  listener = {};

  connect();
  const Bytes much(8'000'000, 1);
  while (client.try_send(much).value()) settle();
  EXPECT_EQ(client.finish(Duration::ms(500)).error(), Errc::timed_out) << "nobody reads";
  EXPECT_FALSE(client.try_finish().value());
  server.abort();
  EXPECT_EQ(client.finish().error(), Errc::connection_reset);
  EXPECT_TRUE(std::holds_alternative<Error>(a.request_blocking(TcpFinish{Handle{}})));
}

TEST_F(ChannelVirtual, BadRequestsAreRefusedByName) {
  UdpSocket udp = UdpSocket::bind(a, {IpAddress{}, Port{}}).value();
  const Endpoint to{TwoHosts::address(1), Port{53}};
  EXPECT_EQ(udp.send_to(numbers(70'000), to).error(), Errc::message_too_long);
  EXPECT_EQ(udp.send_to(numbers(1), {IpAddress{}, Port{53}}).error(), Errc::address_not_available);
  EXPECT_EQ(udp.recv_from({}).error(), Errc::invalid_argument);
  const auto bad = [&](const Command& c) {
    const Response r = a.request_blocking(c);
    return std::holds_alternative<Error>(r) ? std::get<Error>(r).bad_request : BadRequest::none;
  };
  Bytes some(10);
  EXPECT_EQ(bad(UdpSend{udp.handle(), to, numbers(70'000)}), BadRequest::big_packet);
  EXPECT_EQ(bad(UdpSend{udp.handle(), {TwoHosts::address(1), Port{}}, some}), BadRequest::unaddressable);
  EXPECT_EQ(bad(TcpSend{udp.handle(), {}}), BadRequest::zero_size_buffer);
  EXPECT_EQ(bad(TcpRecv{udp.handle(), {}}), BadRequest::zero_size_buffer);
  EXPECT_EQ(bad(TcpConnect{.remote = to, .local = {TwoHosts::address6(0), Port{}}}), BadRequest::wrong_ip_version);
}

TEST_F(ChannelVirtual, RawSocketsSeeWholePackets) {
  constexpr std::uint8_t kProtocol = 253;  // for experiments (RFC 3692)
  RawSocket one = RawSocket::open(a, IpVersion::v4, kProtocol).value();
  RawSocket two = run([](Channel c) -> Task<RawSocket> {
    co_return std::move(co_await RawSocket::async_open(c, IpVersion::v4, kProtocol)).value();
  }(b));
  one.send_to(numbers(64), TwoHosts::address(1)).value();
  const Datagram got = two.recv_from_bytes(1500).value();
  ASSERT_EQ(got.bytes.size(), 84U) << "with its IP header";
  EXPECT_EQ(Bytes(got.bytes.begin() + 20, got.bytes.end()), numbers(64));
  EXPECT_EQ(got.message.from.address, TwoHosts::address(0));
  EXPECT_FALSE(one.send_to(numbers(64), TwoHosts::address6(1))) << "the other version";
}

TEST_F(ChannelVirtual, ControlsAddressesRoutesInterfacesOptionsStatistics) {
  const StackControl control(a);
  const InterfaceId eth = w.hosts.interface(0);
  EXPECT_EQ(control.interfaces().value().at(0).name_text(), "a");
  const std::array<IpPrefix, 2> ips{*IpPrefix::parse("10.0.0.9/24"), *IpPrefix::parse("10.0.0.1/24")};
  ASSERT_TRUE(control.set_ips(eth, ips));
  EXPECT_EQ(control.addresses().value().size(), 2U);
  ASSERT_TRUE(control.remove_address(eth, ips[0].address));
  ASSERT_TRUE(control.add_address(eth, ips[0]));
  ASSERT_TRUE(control.add_route({.destination = *IpPrefix::parse("0.0.0.0/0"), .gateway = TwoHosts::address(1)}));
  EXPECT_EQ(control.routes().value().at(0).gateway, TwoHosts::address(1));
  ASSERT_TRUE(control.remove_route(*IpPrefix::parse("0.0.0.0/0"), TwoHosts::address(1)));
  EXPECT_TRUE(control.routes().value().empty());
  ASSERT_TRUE(control.set_option(OptionId::ip_default_ttl, 33));
  EXPECT_EQ(control.option(OptionId::ip_default_ttl).value(), 33);
  EXPECT_EQ(control.set_option(OptionId::ip_default_ttl, 0).error(), Errc::invalid_argument);
  ASSERT_TRUE(control.set_interface_mtu(eth, 1400));
  EXPECT_EQ(control.interfaces().value().at(0).mtu, 1400U);
  ASSERT_TRUE(control.set_interface_up(eth, false));
  EXPECT_FALSE(control.interfaces().value().at(0).up);
  ASSERT_TRUE(control.set_interface_up(eth, true));
  EXPECT_TRUE(control.counters());
  ControlRequest request{.verb = ControlVerb::get_stack_option, .option = OptionId::ip_default_ttl};
  const auto answer = run([](StackControl c, ControlRequest& r) -> Task<bool> {
    co_return std::holds_alternative<Ok>(co_await c.async_request(r));
  }(control, request));
  EXPECT_TRUE(answer);
  EXPECT_EQ(request.value, 33);
}

// --- commands as values ----------------------------------------------------------------------------------------------

TEST_F(ChannelVirtual, CommandsAndResponsesAreValues) {
  const auto listening = std::get<Listening>(b.request_blocking(TcpListen{{IpAddress{}, kPort}}));
  EXPECT_EQ(listening.local.port, kPort);
  EXPECT_TRUE(std::holds_alternative<WouldBlock>(b.try_request(TcpAccept{listening.listener})));
  const auto connected = std::get<Connected>(a.request_blocking(TcpConnect{.remote = server_at()}));
  const auto accepted = std::get<Accepted>(b.request_blocking(TcpAccept{listening.listener}));
  EXPECT_EQ(accepted.remote, connected.local);
  const Bytes bytes = numbers(9);
  EXPECT_EQ(std::get<Sent>(a.request_blocking(TcpSend{connected.socket, bytes})).count, 9U);
  Bytes into(20);
  const auto got =
      run([](Channel c, TcpRecv r) -> Task<Response> { co_return co_await c.request(r); }(b, {accepted.socket, into}));
  EXPECT_EQ(std::get<Recv>(got).count, 9U);
  EXPECT_TRUE(std::holds_alternative<WouldBlock>(b.try_request(TcpRecv{accepted.socket, into})));
  EXPECT_TRUE(std::holds_alternative<Ok>(a.request_blocking(TcpShutdown{connected.socket})));
  EXPECT_TRUE(std::holds_alternative<Finished>(b.request_blocking(TcpRecv{accepted.socket, into})));
  const auto late = b.request_blocking(TcpAccept{listening.listener}, Duration::ms(3));
  EXPECT_EQ(std::get<Error>(late).code, Errc::timed_out);
  for (const Handle h : {accepted.socket, listening.listener})
    EXPECT_TRUE(std::holds_alternative<Ok>(b.request_blocking(Close{h})));
  EXPECT_EQ(std::get<Error>(b.request_blocking(Close{accepted.socket})).code, Errc::bad_handle);
  EXPECT_TRUE(a.request_nonblocking(Close{connected.socket}));
  const std::array<IpPrefix, 1> ips{*IpPrefix::parse("10.0.0.50/24")};
  EXPECT_TRUE(std::holds_alternative<Ok>(a.request_blocking(SetIps{w.hosts.interface(0), ips})));
  EXPECT_EQ(StackControl{a}.addresses().value().size(), 1U);
}

TEST_F(ChannelVirtual, ADroppedCommandLosesNothing) {
  const auto listening = std::get<Listening>(b.request_blocking(TcpListen{{IpAddress{}, kPort}}));
  const auto ask = [](Channel c, Command command) -> Task<Response> { co_return co_await c.request(command); };
  {
    auto dropped = ask(b, TcpAccept{listening.listener});
    dropped.start();
    client = TcpStream::connect(a, server_at()).value();
    w.run_for(Duration::ms(500));
  }
  const auto accepted = std::get<Accepted>(b.try_request(TcpAccept{listening.listener}));
  Bytes into(20);
  {
    auto dropped = ask(b, TcpRecv{accepted.socket, into});
    dropped.start();
    client.send(numbers(8)).value();
    w.run_for(Duration::ms(500));
  }
  Bytes later(20);
  EXPECT_EQ(std::get<Recv>(b.try_request(TcpRecv{accepted.socket, later})).count, 8U);
  EXPECT_TRUE(b.request_nonblocking(Close{accepted.socket}));
  EXPECT_TRUE(b.request_nonblocking(Close{listening.listener}));
}

// Each command that receives, dropped while it waits and when it is complete: the next one has what it got. Each that
// opens: what it opened is closed.
TEST_F(ChannelVirtual, EveryDroppedCommandLeavesNothing) {
  constexpr std::uint8_t kProtocol = 253;  // for experiments (RFC 3692)
  const auto drop = [&](Channel c, const Command& command, auto meanwhile) {
    auto dropped = [](Channel through, Command what) -> Task<Response> { co_return co_await through.request(what); }(
                                                         c, command);
    dropped.start();
    meanwhile();
    w.run_for(Duration::ms(500));
  };
  const auto nothing = [] {};
  const Endpoint to{TwoHosts::address(1), Port{53}};
  const UdpSocket one = UdpSocket::bind(a, {}).value();
  const UdpSocket two = UdpSocket::bind(b, {IpAddress{}, Port{53}}).value();
  const RawSocket raw_one = RawSocket::open(a, IpVersion::v4, kProtocol).value();
  const RawSocket raw_two = RawSocket::open(b, IpVersion::v4, kProtocol).value();
  const Bytes data = numbers(5);
  const std::vector<OutDatagram> out(2, {data, to});
  Bytes into(40), later(40);
  Inbox first(4), next(4);
  for (const bool complete : {false, true}) {
    const auto send = [&] { one.send_to(data, to).value(); };
    const auto send_raw = [&] { raw_one.send_to(data, TwoHosts::address(1)).value(); };
    const auto send_two = [&] { one.send_many(out).value(); };
    const auto now_or_later = [&](const auto& command, auto sends) {
      drop(b, command, [&] {
        if (complete) sends();
      });
      EXPECT_FALSE(tasks.has_ready());
      if (!complete) sends();
      settle();
    };
    now_or_later(UdpRecv{two.handle(), into}, send);
    EXPECT_EQ(std::get<RecvFrom>(b.try_request(UdpRecv{two.handle(), later})).count, data.size());
    now_or_later(RawRecv{raw_two.handle(), into}, send_raw);
    EXPECT_EQ(std::get<RecvFrom>(b.try_request(RawRecv{raw_two.handle(), later})).count, 20 + data.size());
    now_or_later(RecvMany{two.handle(), first.in}, send_two);
    std::size_t n = 0;
    while (n < 2) {
      const Response r = b.try_request(RecvMany{two.handle(), std::span{next.in}.subspan(n)});
      ASSERT_TRUE(std::holds_alternative<ReceivedMany>(r));
      n += std::get<ReceivedMany>(r).datagrams;
    }
    EXPECT_EQ(next.got(1), data);
    EXPECT_TRUE(std::holds_alternative<WouldBlock>(b.try_request(UdpRecv{two.handle(), later})));
  }
  const std::size_t before = StackControl{a}.sockets().value().size();
  drop(a, TcpListen{{IpAddress{}, kPort}}, nothing);
  drop(a, UdpBind{{IpAddress{}, kPort}}, nothing);
  drop(a, RawOpen{IpVersion::v4, kProtocol}, nothing);
  drop(a, TcpConnect{{IpAddress::v4(10, 0, 0, 77), kPort}}, nothing);
  settle();
  EXPECT_EQ(StackControl{a}.sockets().value().size(), before);
  EXPECT_FALSE(tasks.has_ready());
}

// What was dropped is the socket's: whoever asks for it next has it, by another channel and in another form, too.
TEST_F(ChannelVirtual, WhatWasDroppedIsFoundByOtherChannelsAndForms) {
  connect();
  const Channel other(w.shared_service(1), &tasks);
  const auto drop = [&](auto call) {
    auto dropped = [](auto c) -> Task<bool> {
      (void)co_await c();
      co_return true;
    }(call);
    dropped.start();
    client.send(numbers(8)).value();
    w.run_for(Duration::ms(500));
  };
  Bytes into(20), later(20);
  drop([&] { return b.request(TcpRecv{server.handle(), into}); });
  EXPECT_EQ(server.try_recv(later).value(), 8U);
  drop([&] { return server.async_recv(into); });
  const Response by_command = other.try_request(TcpRecv{server.handle(), later});
  ASSERT_TRUE(std::holds_alternative<Recv>(by_command));
  EXPECT_EQ(std::get<Recv>(by_command).count, 8U);
  auto dropped = [](const TcpListener& l) -> Task<bool> {
    co_return (co_await l.async_accept()).has_value();
  }(listener);
  dropped.start();
  const TcpStream second = TcpStream::connect(a, server_at()).value();
  w.run_for(Duration::ms(500));
  dropped = {};
  const Response accepted = other.try_request(TcpAccept{listener.handle()});
  ASSERT_TRUE(std::holds_alternative<Accepted>(accepted));
  EXPECT_TRUE(other.request_nonblocking(Close{std::get<Accepted>(accepted).socket}));
}

// One that was never opened, or was moved from: every call is refused.
TEST_F(ChannelVirtual, EmptySocketsAndChannelsAreErrors) {
  connect();
  TcpStream empty;
  const TcpStream moved = std::move(client);
  Bytes bytes(4);
  for (TcpStream* const s : {&empty, &client}) {
    EXPECT_EQ(s->recv(bytes).error(), Errc::bad_handle);
    EXPECT_EQ(s->try_recv(bytes).error(), Errc::bad_handle);
    EXPECT_EQ(s->recv_bytes(4).error(), Errc::bad_handle);
    EXPECT_EQ(s->send(bytes).error(), Errc::bad_handle);
    EXPECT_EQ(s->shutdown_write().error(), Errc::bad_handle);
    EXPECT_EQ(s->finish().error(), Errc::bad_handle);
    EXPECT_EQ(s->try_finish().error(), Errc::bad_handle);
    EXPECT_EQ(s->try_connected().error(), Errc::bad_handle);
    EXPECT_EQ(s->info().error(), Errc::bad_handle);
    EXPECT_EQ(s->local_addr().error(), Errc::bad_handle);
    EXPECT_EQ(s->option(OptionId::tcp_nodelay).error(), Errc::bad_handle);
    EXPECT_EQ(s->set_option(OptionId::tcp_nodelay, 1).error(), Errc::bad_handle);
    s->use(tasks);
    s->abort();
    s->close();
  }
  const TcpListener nobody;
  EXPECT_EQ(nobody.accept().error(), Errc::bad_handle);
  EXPECT_EQ(nobody.try_accept().error(), Errc::bad_handle);
  const UdpSocket udp;
  EXPECT_EQ(udp.recv_from(bytes).error(), Errc::bad_handle);
  EXPECT_EQ(udp.send_to(bytes, server_at()).error(), Errc::bad_handle);
  EXPECT_EQ(RawSocket{}.recv_from(bytes).error(), Errc::bad_handle);
  EXPECT_EQ(run([](const TcpStream& s, const TcpListener& l, Bytes& to) -> Task<bool> {
              const auto got = co_await s.async_recv(to);
              const auto peer = co_await l.async_accept();
              co_return got.error() == Errc::bad_handle&& peer.error() == Errc::bad_handle;
            }(empty, nobody, bytes)),
            true);

  const Channel none;
  const auto gone = [](const Response& r) {
    return std::holds_alternative<Error>(r) && std::get<Error>(r).kind == Error::Kind::channel_closed;
  };
  EXPECT_TRUE(gone(none.request_blocking(UdpBind{}, Duration::s(1))));
  EXPECT_TRUE(gone(none.try_request(UdpBind{})));
  EXPECT_FALSE(none.request_nonblocking(Close{server.handle()}));
  EXPECT_TRUE(gone(run([](const Channel& c) -> Task<Response> { co_return co_await c.request(UdpBind{}); }(none))));
  EXPECT_EQ(UdpSocket::bind(none, {}).error(), Errc::shut_down);
  EXPECT_EQ(StackControl(none).counters().error(), Errc::shut_down);
}

// "At most" may be more than there ever is.
TEST_F(ChannelVirtual, ReceivingAtMostAnyNumberTakesNoMoreMemoryThanThereCanBe) {
  connect();
  client.send(numbers(5)).value();
  EXPECT_EQ(server.recv_bytes(SIZE_MAX).value(), numbers(5));
  const UdpSocket to = UdpSocket::bind(b, {IpAddress{}, Port{9}}).value();
  const UdpSocket from = UdpSocket::bind(a, {IpAddress{}, Port{}}).value();
  from.send_to(numbers(3), {TwoHosts::address(1), Port{9}}).value();
  EXPECT_EQ(to.recv_from_bytes(SIZE_MAX).value().bytes, numbers(3));
}

// Nobody is there to send the rest: all of it goes out, and what is asked for later comes behind it.
TEST_F(ChannelVirtual, ASendWithoutAnAnswerSendsAll) {
  connect();
  Bytes expected;
  for (std::uint8_t i = 1; i <= 3; ++i) {
    const Bytes part(3'000'000, i);
    ASSERT_TRUE(a.request_nonblocking(TcpSend{client.handle(), part}));
    expected.insert(expected.end(), part.begin(), part.end());
  }
  Bytes got;
  while (got.size() < expected.size()) {
    const auto some = server.recv_bytes(1'000'000, Duration::s(10));
    ASSERT_TRUE(some);
    got.insert(got.end(), some->begin(), some->end());
  }
  EXPECT_TRUE(got == expected);
}

TEST_F(ChannelVirtual, AStartedTaskIsJoined) {
  connect();
  Bytes buffer(10);
  const auto read = [](TcpStream& s, Bytes& into) -> Task<std::size_t> {
    co_return (co_await s.async_recv(into)).value();
  };
  // It waits still, and goes on when its bytes come, not before.
  auto reader = read(server, buffer);
  reader.start();
  int joined = 0;
  const auto join = [](Task<std::size_t>& t, int& n) -> Task<std::size_t> {
    const std::size_t got = co_await t;
    ++n;
    co_return got;
  };
  auto waits = join(reader, joined);
  waits.start();
  settle();
  EXPECT_FALSE(reader.done());
  EXPECT_EQ(joined, 0);
  client.send(numbers(4)).value();
  EXPECT_EQ(wait(waits), 4U);
  EXPECT_EQ(joined, 1);
  // It is done already.
  auto early = read(server, buffer);
  early.start();
  client.send(numbers(5)).value();
  settle();
  ASSERT_TRUE(early.done());
  EXPECT_EQ(run(join(early, joined)), 5U);
  // Who joins is dropped: the task goes on, and resumes nobody.
  auto alone = read(server, buffer);
  alone.start();
  {
    auto dropped = join(alone, joined);
    dropped.start();
  }
  client.send(numbers(6)).value();
  EXPECT_EQ(wait(alone), 6U);
  EXPECT_EQ(joined, 2);
}

TEST_F(ChannelVirtual, AStoppedQueueBlocksOnNothing) {
  connect();
  tasks.stop();
  Bytes buffer(10);
  EXPECT_EQ(tasks
                .block_on([](TcpStream& s, Bytes& into) -> Task<Result<std::size_t>> {
                  co_return co_await s.async_recv(into);
                }(server, buffer))
                .error(),
            Errc::cancelled);
  bool over = false;
  tasks.block_on([](TcpStream& s, Bytes& into, bool& o) -> Task<void> {
    (void)co_await s.async_recv(into);
    o = true;
  }(server, buffer, over));
  EXPECT_FALSE(over);
}

// What was given back goes to who waits already.
TEST_F(ChannelVirtual, WhatWasDroppedGoesToWhoWaits) {
  connect();
  const auto accept = [](const TcpListener& l) -> Task<Endpoint> {
    co_return (co_await l.async_accept()).value().remote_addr();
  };
  auto dropped = accept(listener), waits = accept(listener);
  dropped.start();
  waits.start();
  const TcpStream second = TcpStream::connect(a, server_at()).value();
  w.run_for(Duration::ms(1));
  dropped = {};
  w.run_for(Duration::ms(1));
  tasks.run_ready();
  ASSERT_TRUE(waits.done());
  EXPECT_EQ(waits.result(), second.local_addr().value());

  std::array<Bytes, 2> into{Bytes(10), Bytes(10)};
  const auto read = [](TcpStream& s, Bytes& to) -> Task<std::size_t> { co_return (co_await s.async_recv(to)).value(); };
  auto first = read(server, into[0]), next = read(server, into[1]);
  first.start();
  next.start();
  client.send(numbers(6)).value();
  w.run_for(Duration::ms(1));
  first = {};
  w.run_for(Duration::ms(1));
  tasks.run_ready();
  ASSERT_TRUE(next.done());
  EXPECT_EQ(next.result(), 6U);
  EXPECT_EQ(into[1][5], 5);

  const UdpSocket to = UdpSocket::bind(b, {IpAddress{}, Port{9}}).value();
  const UdpSocket from = UdpSocket::bind(a, {IpAddress{}, Port{}}).value();
  Inbox many(4);
  const auto take = [](const UdpSocket& s, MutableByteSpan bytes) -> Task<RecvFrom> {
    co_return (co_await s.async_recv_from(bytes)).value();
  };
  auto datagram = take(to, into[0]);
  auto rest = [](const UdpSocket& s, std::span<InDatagram> in) -> Task<std::size_t> {
    co_return (co_await s.async_recv_many(in)).value();
  }(to, many.in);
  datagram.start();
  rest.start();
  from.send_to(numbers(3), {TwoHosts::address(1), Port{9}}).value();
  w.run_for(Duration::ms(1));
  datagram = {};
  w.run_for(Duration::ms(1));
  tasks.run_ready();
  ASSERT_TRUE(rest.done());
  EXPECT_EQ(rest.result(), 1U);
  EXPECT_EQ(many.got(0), numbers(3));
  EXPECT_EQ(many.in[0].message.from.port, from.local_addr().port);
}

// Whichever of them goes first: octets of a stream stay in order, and what is new comes behind them.
TEST_F(ChannelVirtual, WhatWasDroppedOfAStreamStaysInOrder) {
  connect();
  const auto read = [](TcpStream& s, Bytes& to) -> Task<std::size_t> { co_return (co_await s.async_recv(to)).value(); };
  std::array<Bytes, 3> into{Bytes(3), Bytes(3), Bytes(3)};
  std::array<Task<std::size_t>, 3> reads;
  for (std::size_t i = 0; i < 3; ++i) {
    reads[i] = read(server, into[i]);
    reads[i].start();
  }
  client.send(numbers(9)).value();
  w.run_for(Duration::ms(1));
  for (const std::size_t i : {1U, 2U, 0U}) reads[i] = {};
  client.send(Bytes{9, 10}).value();
  w.run_for(Duration::ms(1));
  Bytes some(1), more(1);
  {  // they take a part each, and give it back
    auto again = read(server, some), behind = read(server, more);
    again.start();
    behind.start();
    behind = {};
  }
  Bytes got;
  while (got.size() < 11) {
    const auto part = server.recv_bytes(4).value();
    ASSERT_FALSE(part.empty());
    got.insert(got.end(), part.begin(), part.end());
  }
  EXPECT_EQ(got, numbers(11));
  EXPECT_FALSE(server.try_recv(some).value().has_value());
}

// The socket is closed before the call that had something of it is dropped: nothing is left of either.
TEST_F(ChannelVirtual, WhatWasDroppedAfterTheCloseIsClosed) {
  connect();
  const auto accept = [](const TcpListener& l) -> Task<bool> { co_return (co_await l.async_accept()).has_value(); };
  const auto read = [](TcpStream& s, Bytes& to) -> Task<std::size_t> { co_return (co_await s.async_recv(to)).value(); };
  Bytes into(10);
  auto accepts = accept(listener);
  auto reads = read(server, into);
  accepts.start();
  reads.start();
  TcpStream second = TcpStream::connect(a, server_at()).value();
  client.send(numbers(6)).value();
  w.run_for(Duration::ms(1));
  listener.close();
  server.close();
  accepts = {};
  reads = {};
  client.close();
  EXPECT_EQ(second.recv(into, Duration::s(1)).value(), 0U) << "its other end is closed";
  second.close();
  expect_no_sockets();

  // And what waits to be taken goes with the socket.
  connect();
  accepts = accept(listener);
  reads = read(server, into);
  accepts.start();
  reads.start();
  second = TcpStream::connect(a, server_at()).value();
  client.send(numbers(6)).value();
  w.run_for(Duration::ms(1));
  accepts = {};
  reads = {};
  listener.close();
  server.close();
  client.close();
  second.close();
  expect_no_sockets();
}

// Requests without an answer are bounded; closing is always possible.
TEST_F(ChannelVirtual, AFullChannelSaysSoAndStillCloses) {
  connect();
  const Channel narrow(w.shared_service(0), nullptr, 2);
  const Bytes big(30'000'000);
  EXPECT_TRUE(narrow.request_nonblocking(TcpSend{client.handle(), big}));
  EXPECT_TRUE(narrow.request_nonblocking(TcpSend{client.handle(), big}));
  EXPECT_FALSE(narrow.request_nonblocking(TcpSend{client.handle(), big})) << "two wait for room in the socket";
  EXPECT_TRUE(narrow.request_nonblocking(Close{client.handle()}));
  UdpSocket udp = UdpSocket::bind(a, {IpAddress{}, Port{}}).value();
  EXPECT_TRUE(narrow.request_nonblocking(UdpSend{udp.handle(), {TwoHosts::address(1), Port{9}}, numbers(3)}))
      << "they ended with the socket";
}

}  // namespace
}  // namespace leat::channel
