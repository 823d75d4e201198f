// How operations end a stream: close, with and without lingering, and finish.

#include <leat/drive/op_engine_test_support.hpp>

namespace leat::test {
namespace {

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

// A send that moved nothing hears of the close; one that moved something tells how much, as it does whatever ends it.
TEST_F(OpEngineTest, ClosingEndsABlockedSend) {
  connect();
  const Bytes much(8'000'000, 5);
  Started first, second;
  first.send(client, much);
  w.service(0).start(first);
  second.send(client, much);
  w.service(0).start(second);
  w.run_for(Duration::s(1));
  ASSERT_FALSE(first.over);
  ASSERT_FALSE(second.over);
  close(0, client);
  ASSERT_TRUE(first.over);
  EXPECT_EQ(first.error, Errc{});
  EXPECT_EQ(first.status, IoStatus::would_block);
  EXPECT_GT(first.count, 0U);
  EXPECT_LT(first.count, much.size());
  ASSERT_TRUE(second.over);
  EXPECT_EQ(second.error, Errc::bad_handle);
  EXPECT_EQ(second.count, 0U);
  // What was said to be sent arrives.
  Bytes room(much.size());
  Op op;
  op.receive(server, room);
  op.flags.wait_all = true;
  w.service(1).run(op);
  EXPECT_EQ(op.count, first.count);
  EXPECT_EQ(op.status, IoStatus::end_of_stream);
}

TEST_F(OpEngineTest, ClosingEndsABlockedConnect) {
  const Handle h = open(0, SocketKind::stream);
  Started connecting;
  connecting.connect(h, {IpAddress::v4(10, 0, 0, 77), kPort});  // nobody is there
  w.service(0).start(connecting);
  w.run_for(Duration::ms(100));
  ASSERT_FALSE(connecting.over);
  close(0, h);
  ASSERT_TRUE(connecting.over);
  EXPECT_EQ(connecting.error, Errc::bad_handle);
  w.run_for(Duration::s(300));
  EXPECT_EQ(w.hosts.stack(0).core().sockets.used(), 0U);
  EXPECT_EQ(w.hosts.stack(0).core().tcp.connection_pool.used(), 0U);
}

TEST_F(OpEngineTest, ClosingEndsABlockedFinish) {
  connect();
  const Bytes much(8'000'000, 5);
  Op some;
  some.send(client, much);
  some.deadline = w.hosts.now() + Duration::s(1);
  w.service(0).run(some);
  ASSERT_LT(some.count, much.size());
  Started finish;
  finish.finish(client);
  w.service(0).start(finish);
  w.run_for(Duration::s(1));
  ASSERT_FALSE(finish.over) << "the peer does not read";
  close(0, client);
  ASSERT_TRUE(finish.over);
  EXPECT_EQ(finish.error, Errc::bad_handle);
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

// The handle is known until the close is over; who comes by then would wait for what nobody tells him.
TEST_F(OpEngineTest, NobodyWaitsOnASocketWhoseCloseLingers) {
  connect();
  Op op;
  op.set_option(client, OptionId::linger, 3);
  w.service(0).run(op);
  const Bytes much(8'000'000, 5);
  Started fill;
  fill.send(client, much);
  w.service(0).start(fill);
  w.run_for(Duration::s(1));
  ASSERT_FALSE(fill.over);
  Started closing;
  closing.close(client);
  w.service(0).start(closing);
  w.run_for(Duration::ms(10));
  ASSERT_TRUE(fill.over);
  ASSERT_FALSE(closing.over);
  Bytes room(10);
  std::array<Started, 5> late;
  late[0].receive(client, room);
  late[1].send(client, much);
  late[2].finish(client);
  late[3].receive(client, room);
  late[3].flags.peek = true;
  std::array<Watch, 2> watches;
  watches[0].socket = listener;
  watches[1].socket = client;
  watches[1].wanted = Ready::readable;
  late[4].verb = Verb::poll;
  late[4].watches = watches;
  for (Started& o : late) {
    w.service(0).start(o);
    EXPECT_TRUE(o.over);
    EXPECT_EQ(o.error, Errc::bad_handle);
  }
  ReadySet set;
  SetMember member;
  member.socket = client;
  op.reset();
  op.verb = Verb::add_member;
  op.set = &set;
  op.member = &member;
  w.service(0).run(op);
  EXPECT_EQ(op.error, Errc::bad_handle);
  EXPECT_FALSE(closing.over);
  w.run_for(Duration::s(3));
  ASSERT_TRUE(closing.over);
  EXPECT_EQ(closing.error, Errc{});
  for (Started& o : late) EXPECT_TRUE(o.over);
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

}  // namespace
}  // namespace leat::test
