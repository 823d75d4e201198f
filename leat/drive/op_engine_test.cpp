#include <gtest/gtest.h>

#include <algorithm>
#include <leat/drive/op_engine.hpp>
#include <numeric>
#include <tests/support/virtual_service.hpp>
#include <vector>

namespace leat::test {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes numbers(std::size_t n) {
  Bytes b(n);
  std::iota(b.begin(), b.end(), std::uint8_t{0});
  return b;
}

// An operation that a story starts and looks at later.
struct Started : Op {
  Started() {
    context = this;
    completed = [](Op& o) { static_cast<Started*>(o.context)->over = true; };
  }
  bool over = false;
};

class OpEngineTest : public ::testing::Test {
 protected:
  static constexpr Port kPort{7};

  Handle open(std::size_t host, SocketKind kind) {
    Op op;
    op.open(kind);
    w.service(host).run(op);
    EXPECT_EQ(op.error, Errc{});
    return op.handle;
  }
  Handle listen() {
    const Handle h = open(1, SocketKind::stream);
    Op op;
    op.bind(h, {IpAddress{}, kPort});
    w.service(1).run(op);
    op.reset();
    op.listen(h, 8);
    w.service(1).run(op);
    EXPECT_EQ(op.error, Errc{});
    return h;
  }
  // A connection: client on host 0, server on host 1.
  void connect() {
    listener = listen();
    client = open(0, SocketKind::stream);
    Op op;
    op.connect(client, {TwoHosts::address(1), kPort});
    w.service(0).run(op);
    ASSERT_EQ(op.error, Errc{});
    op.reset();
    op.accept(listener);
    w.service(1).run(op);
    ASSERT_EQ(op.error, Errc{});
    server = op.handle;
    op.reset();
    op.set_option(client, OptionId::tcp_nodelay, 1);  // small writes go out at once
    w.service(0).run(op);
    ASSERT_EQ(op.error, Errc{});
  }
  std::size_t send(std::size_t host, Handle h, ByteSpan bytes) {
    Op op;
    op.send(h, bytes);
    w.service(host).run(op);
    EXPECT_EQ(op.error, Errc{});
    return op.count;
  }
  void close(std::size_t host, Handle h) {
    Op op;
    op.close(h);
    w.service(host).run(op);
    EXPECT_EQ(op.error, Errc{});
  }

  VirtualWorld w;
  Handle listener, client, server;
};

TEST_F(OpEngineTest, AReceiveWaitsForBytesAndASendForRoom) {
  connect();
  Bytes got(100);
  Started receive;
  receive.receive(server, got);
  w.service(1).start(receive);
  w.run_for(Duration::s(5));
  EXPECT_FALSE(receive.over);
  const Bytes sent = numbers(40);
  send(0, client, sent);
  w.run_for(Duration::ms(1));
  ASSERT_TRUE(receive.over);
  EXPECT_EQ(receive.count, 40U);
  EXPECT_TRUE(std::equal(sent.begin(), sent.end(), got.begin()));

  // Far more than the buffers hold: the send is complete when the reader has made room for all of it.
  const Bytes much(8'000'000, 5);
  Started all;
  all.send(client, much);
  w.service(0).start(all);
  w.run_for(Duration::s(1));
  EXPECT_FALSE(all.over);
  Bytes buffer(1'000'000);
  std::size_t read = 0;
  while (read < much.size()) {
    Op op;
    op.receive(server, buffer);
    w.service(1).run(op);
    ASSERT_EQ(op.error, Errc{});
    read += op.count;
  }
  EXPECT_TRUE(all.over);
  EXPECT_EQ(all.count, much.size());
}

TEST_F(OpEngineTest, DontWaitAnswersAtOnce) {
  connect();
  Bytes got(10);
  Op op;
  op.receive(server, got);
  op.flags.dont_wait = true;
  w.service(1).run(op);
  EXPECT_EQ(op.error, Errc{});
  EXPECT_EQ(op.status, IoStatus::would_block);
  op.reset();
  op.accept(listener);
  op.flags.dont_wait = true;
  w.service(1).run(op);
  EXPECT_EQ(op.status, IoStatus::would_block);
  EXPECT_FALSE(op.handle);
  const Handle late = open(0, SocketKind::stream);
  op.reset();
  op.connect(late, {TwoHosts::address(1), kPort});
  op.flags.dont_wait = true;
  w.service(0).run(op);
  EXPECT_EQ(op.error, Errc::in_progress);
}

TEST_F(OpEngineTest, ADeadlineEndsAnOperationThatMovedNothing) {
  connect();
  Bytes got(10);
  const Instant start = w.hosts.now();
  Op op;
  op.receive(server, got);
  op.deadline = start + Duration::ms(250);
  w.service(1).run(op);
  EXPECT_EQ(op.error, Errc::timed_out);
  EXPECT_EQ(w.hosts.now(), start + Duration::ms(250));
  // With something moved, that is the result.
  send(0, client, numbers(4));
  op.reset();
  op.receive(server, got);
  op.flags.wait_all = true;
  op.deadline = w.hosts.now() + Duration::ms(250);
  w.service(1).run(op);
  EXPECT_EQ(op.error, Errc{});
  EXPECT_EQ(op.count, 4U);
}

TEST_F(OpEngineTest, WaitAllFillsEverySpan) {
  connect();
  Bytes first(3), second(5);
  const std::array<MutableByteSpan, 2> parts{MutableByteSpan{first}, MutableByteSpan{second}};
  Started op;
  op.receive(server, std::span<const MutableByteSpan>{parts});
  op.flags.wait_all = true;
  w.service(1).start(op);
  for (std::uint8_t i = 0; i < 8; ++i) {
    EXPECT_FALSE(op.over);
    send(0, client, Bytes{i});
    w.run_for(Duration::ms(1));
  }
  ASSERT_TRUE(op.over);
  EXPECT_EQ(first, (Bytes{0, 1, 2}));
  EXPECT_EQ(second, (Bytes{3, 4, 5, 6, 7}));
}

TEST_F(OpEngineTest, ReadersAreServedFirstComeFirstServed) {
  connect();
  std::array<Bytes, 3> got{Bytes(4), Bytes(4), Bytes(4)};
  std::array<Started, 3> reads;
  for (std::size_t i = 0; i < 3; ++i) {
    reads[i].receive(server, got[i]);
    w.service(1).start(reads[i]);
  }
  for (std::size_t i = 0; i < 3; ++i) {
    send(0, client, Bytes{static_cast<std::uint8_t>(i)});
    w.run_for(Duration::ms(1));
    ASSERT_TRUE(reads[i].over);
    EXPECT_EQ(got[i][0], i);
    for (std::size_t k = i + 1; k < 3; ++k) EXPECT_FALSE(reads[k].over);
  }
}

TEST_F(OpEngineTest, AWithdrawnReceiveLosesNothing) {
  connect();
  Bytes got(10);
  Started op;
  op.receive(server, got);
  w.service(1).start(op);
  w.service(1).cancel(op);
  ASSERT_TRUE(op.over);
  EXPECT_EQ(op.error, Errc::cancelled);
  send(0, client, numbers(6));
  w.run_for(Duration::ms(1));
  Op again;
  again.receive(server, got);
  w.service(1).run(again);
  EXPECT_EQ(again.count, 6U);
}

TEST_F(OpEngineTest, ClosingEndsWhoWaitsOnTheSocket) {
  connect();
  Bytes got(10);
  Started receive, accept, poll;
  receive.receive(server, got);
  w.service(1).start(receive);
  accept.accept(listener);
  w.service(1).start(accept);
  std::array<Watch, 2> watches;
  watches[0].socket = server;
  watches[0].wanted = Ready::readable;
  watches[1].socket = listener;
  watches[1].wanted = Ready::readable;
  poll.verb = Verb::poll;
  poll.watches = watches;
  w.service(1).start(poll);
  close(1, server);
  EXPECT_TRUE(receive.over);
  EXPECT_EQ(receive.error, Errc::bad_handle);
  EXPECT_TRUE(poll.over);
  EXPECT_TRUE(any(watches[0].ready & Ready::error));
  EXPECT_EQ(watches[1].ready, Ready::none);
  EXPECT_FALSE(accept.over);
  close(1, listener);
  EXPECT_TRUE(accept.over);
  EXPECT_EQ(accept.error, Errc::bad_handle);
  Op op;
  op.receive(server, got);
  w.service(1).run(op);
  EXPECT_EQ(op.error, Errc::bad_handle);
}

TEST_F(OpEngineTest, OneOperationSendsAndReceivesManyDatagrams) {
  const Handle from = open(0, SocketKind::udp);
  const Handle to = open(1, SocketKind::udp);
  const Endpoint there{TwoHosts::address(1), kPort};
  Op op;
  op.bind(to, {IpAddress{}, kPort});
  w.service(1).run(op);
  ASSERT_EQ(op.error, Errc{});
  std::vector<Bytes> buffers(8, Bytes(10));
  std::vector<InDatagram> in;
  for (Bytes& b : buffers) in.push_back({b});
  Started receive;
  receive.receive_many(to, in);
  w.service(1).start(receive);
  w.run_for(Duration::ms(1));
  EXPECT_FALSE(receive.over) << "there is none";

  const Bytes data = numbers(300);
  std::vector<OutDatagram> out;
  for (std::size_t i = 1; i <= 3; ++i) out.push_back({ByteSpan{data}.first(i * 4), there});
  op.reset();
  op.send_many(from, out);
  w.service(0).run(op);
  EXPECT_EQ(op.error, Errc{});
  EXPECT_EQ(op.count, 3U);
  w.run_for(Duration::ms(1));
  ASSERT_TRUE(receive.over);
  EXPECT_EQ(receive.count, 3U) << "what is there is enough";
  EXPECT_EQ(in[0].count, 4U);
  EXPECT_EQ(in[2].count, 10U);
  EXPECT_EQ(in[2].truncated(), 12U);
  EXPECT_EQ(in[1].message.from.address, TwoHosts::address(0));

  // The first that can't be sent is the error, a later one ends the call in front of it.
  out[1].to = {IpAddress::v4(192, 0, 2, 1), kPort};
  op.reset();
  op.send_many(from, out);
  w.service(0).run(op);
  EXPECT_EQ(op.error, Errc{});
  EXPECT_EQ(op.count, 1U);
  op.reset();
  op.send_many(from, std::span{out}.subspan(1));
  w.service(0).run(op);
  EXPECT_EQ(op.error, Errc::network_unreachable);
  op.reset();
  op.receive_many(to, in);
  op.flags.dont_wait = true;
  w.run_for(Duration::ms(1));
  w.service(1).run(op);
  EXPECT_EQ(op.count, 1U);
  op.reset();
  op.receive_many(to, in);
  op.flags.dont_wait = true;
  w.service(1).run(op);
  EXPECT_EQ(op.status, IoStatus::would_block);
}

// More than the interface's queue holds: the rest waits for room, and nothing is sent twice.
TEST_F(OpEngineTest, ManyDatagramsWaitForRoom) {
  const Handle from = open(0, SocketKind::udp);
  const Handle to = open(1, SocketKind::udp);
  Op op;
  op.bind(to, {IpAddress{}, kPort});
  w.service(1).run(op);
  const Bytes data = numbers(200);
  op.reset();
  op.send_to(from, {}, {TwoHosts::address(1), kPort});  // so that the neighbour is known
  w.service(0).run(op);
  w.run_for(Duration::ms(10));
  op.reset();
  Bytes none(1);
  op.receive(to, none);
  w.service(1).run(op);
  std::vector<OutDatagram> out;
  for (std::size_t i = 0; i < data.size(); ++i)
    out.push_back({ByteSpan{data}.subspan(i, 1), {TwoHosts::address(1), kPort}});
  Started send;
  send.send_many(from, out);
  EXPECT_FALSE(w.engine(0).start(send)) << "two hundred are more than there is room for";
  const std::size_t at_once = send.count;
  EXPECT_GT(at_once, 0U);
  EXPECT_LT(at_once, out.size());
  Bytes got;
  std::vector<Bytes> buffers(64, Bytes(10));
  std::vector<InDatagram> in;
  for (Bytes& b : buffers) in.push_back({b});
  while (got.size() < out.size()) {
    op.reset();
    op.receive_many(to, in);
    op.deadline = w.hosts.now() + Duration::s(1);
    w.service(1).run(op);
    ASSERT_EQ(op.error, Errc{}) << got.size();
    for (std::size_t i = 0; i < op.count; ++i) got.push_back(buffers[i][0]);
  }
  EXPECT_EQ(got, data);
  ASSERT_TRUE(send.over);
  EXPECT_EQ(send.count, out.size());
  Started ended;
  ended.send_many(from, out);
  EXPECT_FALSE(w.engine(0).start(ended));
  EXPECT_TRUE(w.engine(0).withdraw(ended, Errc::cancelled));
  EXPECT_EQ(ended.error, Errc{}) << "what was sent counts";
  EXPECT_EQ(ended.count, at_once);
  w.run_for(Duration::ms(1));
  EXPECT_TRUE(ended.over);
}

// With no wait, with some, and with all: what a full queue means for each.
TEST_F(OpEngineTest, ManyDatagramsTakeTheRoomThatTheCallerAllows) {
  const Handle from = open(0, SocketKind::udp);
  const Bytes data = numbers(200);
  std::vector<OutDatagram> out;
  for (std::size_t i = 0; i < data.size(); ++i)
    out.push_back({ByteSpan{data}.subspan(i, 1), {TwoHosts::address(1), kPort}});
  Op op;
  op.send_to(from, {}, {TwoHosts::address(1), kPort});  // so that the neighbour is known
  w.service(0).run(op);
  w.run_for(Duration::ms(10));
  op.reset();
  op.send_many(from, out);
  op.flags.some = true;
  ASSERT_TRUE(w.engine(0).start(op)) << "some fit, which is enough";
  EXPECT_EQ(op.error, Errc{});
  EXPECT_GT(op.count, 0U);
  EXPECT_LT(op.count, out.size());
  EXPECT_EQ(op.status, IoStatus::would_block);
  op.reset();
  op.send_many(from, out);
  op.flags.dont_wait = true;
  ASSERT_TRUE(w.engine(0).start(op));
  EXPECT_EQ(op.error, Errc{});
  EXPECT_EQ(op.count, 0U);
  EXPECT_EQ(op.status, IoStatus::would_block);
  Started one;
  one.send_many(from, out);
  one.flags.some = true;
  EXPECT_FALSE(w.engine(0).start(one)) << "not even one fits";
  w.run_for(Duration::ms(1));
  ASSERT_TRUE(one.over);
  EXPECT_GT(one.count, 0U);
  w.run_for(Duration::ms(10));
  Started all;
  all.send_many(from, out);
  EXPECT_FALSE(w.engine(0).start(all));
  w.run_for(Duration::ms(10));
  ASSERT_TRUE(all.over) << all.count;
  EXPECT_EQ(all.count, out.size());
  EXPECT_EQ(all.status, IoStatus::done);
}

// One without payload is a datagram too, and what a peer refused is told.
TEST_F(OpEngineTest, ManyDatagramsMayBeEmptyOrRefused) {
  const Handle from = open(0, SocketKind::udp);
  const Handle to = open(1, SocketKind::udp);
  Op op;
  op.bind(to, {IpAddress{}, kPort});
  w.service(1).run(op);
  op.reset();
  op.connect(from, {TwoHosts::address(1), kPort});
  w.service(0).run(op);
  ASSERT_EQ(op.error, Errc{});
  const Bytes data = numbers(1);
  const std::array<OutDatagram, 3> out{OutDatagram{data}, OutDatagram{ByteSpan{}}, OutDatagram{data}};
  op.reset();
  op.send_many(from, out);  // to where the socket is connected
  w.service(0).run(op);
  EXPECT_EQ(op.count, 3U);
  w.run_for(Duration::ms(1));
  std::vector<Bytes> buffers(4, Bytes(10));
  std::vector<InDatagram> in;
  for (Bytes& b : buffers) in.push_back({b});
  op.reset();
  op.receive_many(to, in);
  w.service(1).run(op);
  EXPECT_EQ(op.count, 3U);
  EXPECT_EQ(in[0].count, 1U);
  EXPECT_EQ(in[1].count, 0U);
  EXPECT_EQ(in[2].count, 1U);
  close(1, to);
  op.reset();
  op.send_many(from, std::span{out}.first(1));
  w.service(0).run(op);
  w.run_for(Duration::ms(1));
  op.reset();
  op.receive_many(from, in);
  op.flags.dont_wait = true;
  w.service(0).run(op);
  EXPECT_EQ(op.error, Errc::connection_refused);
}

TEST_F(OpEngineTest, ManyIsForDatagramsAndFinishForStreams) {
  connect();
  const Handle udp = open(0, SocketKind::udp);
  Bytes data = numbers(4);
  const std::array<OutDatagram, 1> out{OutDatagram{data}};
  std::array<InDatagram, 1> in{InDatagram{data}};
  Op op;
  op.send_many(client, out);
  w.service(0).run(op);
  EXPECT_EQ(op.error, Errc::not_supported);
  op.reset();
  op.receive_many(client, in);
  op.flags.dont_wait = true;
  w.service(0).run(op);
  EXPECT_EQ(op.error, Errc::not_supported);
  op.reset();
  op.finish(udp);
  w.service(0).run(op);
  EXPECT_EQ(op.error, Errc::not_supported);
}

TEST_F(OpEngineTest, CloseLingersAsLongAsItsOptionSays) {
  const Bytes much(3'000'000, 5);
  const auto linger = [this](std::int64_t seconds) {
    Op op;
    op.set_option(client, OptionId::linger, seconds);
    w.service(0).run(op);
  };
  const auto ended = [this] { return w.hosts.stack(0).core().sockets.find(client) == kNoIndex; };
  const auto fill = [&] {
    Op some;
    some.send(client, much);
    some.deadline = w.hosts.now() + Duration::s(1);
    w.service(0).run(some);
    EXPECT_LT(some.count, much.size());
  };
  const auto start_over = [&] {
    close(1, server);
    close(1, listener);
    w.run_for(Duration::ms(10));
    connect();
    linger(3);
  };
  // The peer takes all of it: it ends as soon as that is known.
  connect();
  linger(3);
  send(0, client, ByteSpan{much}.first(500'000));
  Started closing;
  closing.close(client);
  w.service(0).start(closing);
  EXPECT_FALSE(closing.over);
  w.run_for(Duration::s(1));
  ASSERT_TRUE(closing.over);
  EXPECT_EQ(closing.error, Errc{});
  EXPECT_TRUE(ended());

  // It does not read: three seconds. Who waits on the socket hears of the close at once.
  start_over();
  fill();
  Started reading, waiting;
  Bytes room(10);
  reading.receive(client, room);
  w.service(0).start(reading);
  waiting.close(client);
  w.service(0).start(waiting);
  w.run_for(Duration::ms(10));
  EXPECT_TRUE(reading.over);
  EXPECT_EQ(reading.error, Errc::bad_handle);
  w.run_for(Duration::ms(2900));
  EXPECT_FALSE(waiting.over);
  EXPECT_FALSE(ended());
  w.run_for(Duration::ms(200));
  ASSERT_TRUE(waiting.over);
  EXPECT_EQ(waiting.error, Errc{});
  EXPECT_TRUE(ended());

  // Cancelled, it is closed all the same; and so it is at once for who does not wait, and with something unread.
  start_over();
  fill();
  Started given_up;
  given_up.close(client);
  w.service(0).start(given_up);
  EXPECT_TRUE(w.engine(0).withdraw(given_up, Errc::cancelled));
  EXPECT_EQ(given_up.error, Errc{});
  EXPECT_TRUE(ended());
  w.run_for(Duration::ms(1));
  start_over();
  fill();
  Op at_once;
  at_once.close(client);
  at_once.flags.dont_wait = true;
  EXPECT_TRUE(w.engine(0).start(at_once));
  EXPECT_TRUE(ended());
  start_over();
  fill();
  send(1, server, numbers(10));
  w.run_for(Duration::ms(100));
  at_once.reset();
  at_once.close(client);
  EXPECT_TRUE(w.engine(0).start(at_once));
  EXPECT_TRUE(ended());

  // The peer resets: nothing is left to wait for.
  start_over();
  fill();
  Started lost;
  lost.close(client);
  w.service(0).start(lost);
  Op op;
  op.abort(server);
  w.service(1).run(op);
  w.run_for(Duration::ms(10));
  EXPECT_TRUE(lost.over);
  EXPECT_TRUE(ended());
}

TEST_F(OpEngineTest, FinishWaitsUntilThePeerHasAll) {
  connect();
  const Bytes much(3'000'000, 5);
  send(0, client, ByteSpan{much}.first(500'000));
  Started finish;
  finish.finish(client);
  w.service(0).start(finish);
  w.run_for(Duration::s(1));
  EXPECT_TRUE(finish.over) << "it is in the peer's buffer, which is enough";
  EXPECT_EQ(finish.error, Errc{});
  close(0, client);
  close(1, server);
  close(1, listener);

  connect();
  std::size_t sent = 0;
  for (std::size_t n = 1; n > 0; sent += n) {  // until both buffers are full
    Op some;
    some.send(client, much);
    some.flags.dont_wait = true;
    w.service(0).run(some);
    n = some.count;
    w.run_for(Duration::s(1));
  }
  Started late;
  late.finish(client);
  late.deadline = w.hosts.now() + Duration::s(3);
  w.service(0).start(late);
  w.run_for(Duration::s(4));
  ASSERT_TRUE(late.over);
  EXPECT_EQ(late.error, Errc::timed_out) << "the peer does not read";
  Started again;
  again.finish(client);
  w.service(0).start(again);
  w.run_for(Duration::s(1));
  EXPECT_FALSE(again.over);
  Bytes buffer(1'000'000);
  while (sent > 0) {
    Op some;
    some.receive(server, buffer);
    w.service(1).run(some);
    ASSERT_EQ(some.error, Errc{});
    sent -= some.count;
  }
  w.run_for(Duration::s(5));
  ASSERT_TRUE(again.over);
  EXPECT_EQ(again.error, Errc{});
  close(0, client);
  close(1, server);
  close(1, listener);

  // The peer finished first, and both at once: the last ACK is the end of the connection.
  connect();
  Op op;
  op.shutdown(server, ShutdownHow::write);
  w.service(1).run(op);
  w.run_for(Duration::ms(10));
  Started last;
  last.finish(client);
  w.service(0).start(last);
  w.run_for(Duration::ms(10));
  ASSERT_TRUE(last.over);
  EXPECT_EQ(last.error, Errc{});
  close(0, client);
  close(1, server);
  close(1, listener);

  // Who is reset does not have it.
  connect();
  send(0, client, numbers(10));
  w.run_for(Duration::ms(100));
  Started lost;
  lost.finish(client);
  op.reset();
  op.abort(server);
  w.service(1).run(op);
  w.service(0).start(lost);
  w.run_for(Duration::ms(100));
  ASSERT_TRUE(lost.over);
  EXPECT_EQ(lost.error, Errc::connection_reset);
}

TEST_F(OpEngineTest, FinishTellsWhyItCannot) {
  const Handle alone = open(0, SocketKind::stream);
  Op op;
  op.finish(alone);
  w.service(0).run(op);
  EXPECT_EQ(op.error, Errc::not_connected);
  connect();
  op.reset();
  op.finish(client);
  op.flags.dont_wait = true;
  EXPECT_TRUE(w.engine(0).start(op));
  EXPECT_EQ(op.error, Errc::in_progress);
  w.run_for(Duration::ms(10));
  op.reset();
  op.finish(client);
  op.flags.dont_wait = true;
  EXPECT_TRUE(w.engine(0).start(op));
  EXPECT_EQ(op.error, Errc{}) << "the peer has it by now";
}

// Both FINs cross on the way: the peer's end says nothing of ours.
TEST_F(OpEngineTest, FinishOnBothSidesAtOnce) {
  connect();
  Started ours;
  Started theirs;
  ours.finish(client);
  theirs.finish(server);
  ASSERT_FALSE(w.engine(0).start(ours));
  ASSERT_FALSE(w.engine(1).start(theirs));
  for (std::size_t host = 0; host < 2; ++host) (void)w.hosts.shard(host).flush(w.hosts.now());
  (void)w.hosts.shard(0).turn(w.hosts.now());
  w.step();
  EXPECT_TRUE(any(w.hosts.stack(0).readiness(client) & Ready::peer_fin));
  EXPECT_FALSE(ours.over) << "our FIN is not acknowledged";
  w.run_for(Duration::ms(10));
  for (Started* finish : {&ours, &theirs}) {
    EXPECT_TRUE(finish->over);
    EXPECT_EQ(finish->error, Errc{});
  }
}

TEST_F(OpEngineTest, ARefusedConnectTellsWhy) {
  const Handle h = open(0, SocketKind::stream);
  Op op;
  op.connect(h, {TwoHosts::address(1), Port{9}});
  w.service(0).run(op);
  EXPECT_EQ(op.error, Errc::connection_refused);
}

TEST_F(OpEngineTest, PollTellsWhichSocketIsReadyAndNothingAtItsDeadline) {
  connect();
  std::array<Watch, 3> watches;
  watches[0].socket = listener;
  watches[0].wanted = Ready::readable;
  watches[1].socket = server;
  watches[1].wanted = Ready::readable;
  watches[2].socket = server;  // the same socket twice
  watches[2].wanted = Ready::readable;
  Op op;
  op.verb = Verb::poll;
  op.watches = watches;
  op.deadline = w.hosts.now() + Duration::ms(10);
  w.service(1).run(op);
  EXPECT_EQ(op.error, Errc{});
  EXPECT_EQ(op.count, 0U);
  Started later;
  later.verb = Verb::poll;
  later.watches = watches;
  w.service(1).start(later);
  send(0, client, numbers(1));
  w.run_for(Duration::ms(1));
  ASSERT_TRUE(later.over);
  EXPECT_EQ(later.count, 2U);
  EXPECT_EQ(watches[0].ready, Ready::none);
  EXPECT_EQ(watches[1].ready, Ready::readable);
}

class ReadySetTest : public OpEngineTest {
 protected:
  void add(SetMember& m, Handle h, Ready wanted, SetFlags flags, std::uint64_t data) {
    m.socket = h;
    m.wanted = wanted;
    m.flags = flags;
    m.data = data;
    EXPECT_EQ(call(Verb::add_member, &m), Errc{});
  }
  Errc call(Verb verb, SetMember* m = nullptr) {
    Op op;
    op.verb = verb;
    op.set = &set;
    op.member = m;
    w.service(1).run(op);
    return op.error;
  }
  std::size_t wait(Duration patience = {}) {
    Op op;
    op.verb = Verb::wait_set;
    op.set = &set;
    op.events = events;
    op.flags.dont_wait = patience == Duration{};
    if (!op.flags.dont_wait) op.deadline = w.hosts.now() + patience;
    w.service(1).run(op);
    EXPECT_EQ(op.error, Errc{});
    return op.count;
  }
  void send_one() {
    send(0, client, numbers(1));
    w.run_for(Duration::ms(1));
  }
  void TearDown() override { EXPECT_EQ(call(Verb::close_set), Errc{}); }

  ReadySet set;
  SetMember a, b;
  std::array<SetEvent, 4> events;
};

TEST_F(ReadySetTest, LevelIsToldWhileItIsTrue) {
  connect();
  add(a, server, Ready::readable, {}, 7);
  EXPECT_EQ(wait(), 0U);
  send_one();
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(wait(), 1U);
    EXPECT_EQ(events[0].data, 7U);
    EXPECT_EQ(events[0].ready, Ready::readable);
  }
  Bytes got(10);
  Op op;
  op.receive(server, got);
  w.service(1).run(op);
  EXPECT_EQ(wait(), 0U);
}

TEST_F(ReadySetTest, EdgeIsToldOnceForEachChange) {
  connect();
  add(a, server, Ready::readable, {.edge = true}, 1);
  send_one();
  EXPECT_EQ(wait(), 1U);
  EXPECT_EQ(wait(), 0U);
  send_one();
  EXPECT_EQ(wait(), 1U);
  EXPECT_EQ(wait(), 0U);
}

TEST_F(ReadySetTest, OneShotIsSilentUntilItIsChanged) {
  connect();
  add(a, server, Ready::readable, {.one_shot = true}, 1);
  send_one();
  EXPECT_EQ(wait(), 1U);
  send_one();
  EXPECT_EQ(wait(), 0U);
  EXPECT_EQ(call(Verb::change_member, &a), Errc{});
  EXPECT_EQ(wait(), 1U);
}

TEST_F(ReadySetTest, AWaitEndsWhenAMemberBecomesReady) {
  connect();
  add(a, server, Ready::readable, {}, 1);
  add(b, listener, Ready::readable, {}, 2);
  Started op;
  op.verb = Verb::wait_set;
  op.set = &set;
  op.events = events;
  w.service(1).start(op);
  w.run_for(Duration::s(1));
  EXPECT_FALSE(op.over);
  send_one();
  ASSERT_TRUE(op.over);
  EXPECT_EQ(op.count, 1U);
  EXPECT_EQ(events[0].data, 1U);
  const Instant start = w.hosts.now();
  EXPECT_EQ(call(Verb::remove_member, &a), Errc{});
  EXPECT_EQ(wait(Duration::ms(30)), 0U);
  EXPECT_EQ(w.hosts.now(), start + Duration::ms(30));
}

TEST_F(ReadySetTest, OneOfTheExclusiveMembersIsTold) {
  connect();
  ReadySet other;
  SetMember m;
  m.socket = server;
  m.wanted = Ready::readable;
  m.flags = {.edge = true, .exclusive = true};
  Op op;
  op.verb = Verb::add_member;
  op.set = &other;
  op.member = &m;
  w.service(1).run(op);
  add(a, server, Ready::readable, {.edge = true, .exclusive = true}, 1);
  send_one();
  const bool here = set.has_ready();
  EXPECT_NE(here, other.has_ready());
  op.verb = Verb::close_set;
  w.service(1).run(op);
}

TEST_F(ReadySetTest, AClosedSocketLeavesItsSets) {
  connect();
  add(a, server, Ready::readable, {}, 1);
  send_one();
  close(1, server);
  EXPECT_TRUE(a.socket_gone);
  EXPECT_EQ(wait(), 0U);
  EXPECT_EQ(call(Verb::remove_member, &a), Errc::not_found);
}

TEST_F(ReadySetTest, ClosingASetEndsWhoWaitsOnIt) {
  connect();
  add(a, server, Ready::readable, {}, 1);
  Started op;
  op.verb = Verb::wait_set;
  op.set = &set;
  op.events = events;
  w.service(1).start(op);
  EXPECT_EQ(call(Verb::close_set), Errc{});
  EXPECT_TRUE(op.over);
  EXPECT_EQ(op.error, Errc::bad_handle);
}

TEST_F(ReadySetTest, WakingASetEndsWhoWaitsForLessOnceAndNoOther) {
  Started looks, counts;
  for (Started* op : {&looks, &counts}) {
    op->verb = Verb::wait_set;
    op->set = &set;
    op->value = 6;
  }
  looks.events = events;
  w.service(1).start(looks);
  w.service(1).start(counts);
  const auto wake = [&](std::int64_t value) {
    Op op;
    op.verb = Verb::wake_set;
    op.set = &set;
    op.value = value;
    w.service(1).run(op);
    EXPECT_EQ(op.error, Errc{});
  };
  wake(6);
  EXPECT_FALSE(looks.over);
  wake(7);
  EXPECT_TRUE(looks.over);
  EXPECT_EQ(looks.error, Errc::interrupted);
  EXPECT_FALSE(counts.over) << "it takes nothing, so it is not for those";
  Started late;
  late.verb = Verb::wait_set;
  late.set = &set;
  late.events = events;
  late.value = 6;
  w.service(1).start(late);
  EXPECT_TRUE(late.over) << "what it was to be woken for came before";
  Started again;
  again.verb = Verb::wait_set;
  again.set = &set;
  again.events = events;
  again.value = 7;
  w.service(1).start(again);
  EXPECT_FALSE(again.over);
  EXPECT_EQ(call(Verb::close_set), Errc{});
}

TEST_F(OpEngineTest, ControlListsAndChangesWhatTheStackHas) {
  std::array<InterfaceInfo, 2> interfaces;
  ControlRequest r{.verb = ControlVerb::list_interfaces, .interfaces = interfaces};
  Op op;
  op.control(r);
  w.service(0).run(op);
  ASSERT_EQ(op.error, Errc{});
  ASSERT_EQ(r.total, 1U);
  EXPECT_EQ(interfaces[0].name_text(), "a");
  const std::array<IpPrefix, 1> only{*IpPrefix::parse("10.7.0.1/16")};
  r = {.verb = ControlVerb::set_addresses, .interface = interfaces[0].id, .prefixes = only};
  w.service(0).run(op);
  ASSERT_EQ(op.error, Errc{});
  std::array<AddressInfo, 4> addresses;
  r = {.verb = ControlVerb::list_addresses, .addresses = addresses};
  w.service(0).run(op);
  ASSERT_EQ(r.total, 1U);
  EXPECT_EQ(addresses[0].prefix, only[0]);
}

}  // namespace
}  // namespace leat::test
