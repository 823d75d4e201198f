// Operations that move octets: on streams.

#include <algorithm>
#include <leat/drive/op_engine_test_support.hpp>

namespace leat::test {
namespace {

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

class ASendThatWaits : public OpEngineTest {
 protected:
  static constexpr std::size_t kBuffer = 300'000;
  // The reader takes a little at a time, until there is room that the writer is not told of: less than a third.
  void make_untold_room() {
    connect();
    Op op;
    op.set_option(client, OptionId::send_buffer, kBuffer);
    w.service(0).run(op);
    op.reset();
    op.set_option(server, OptionId::receive_buffer, 50'000);
    w.service(1).run(op);
    first.send(client, much);
    w.service(0).start(first);
    w.run_for(Duration::s(1));
    ASSERT_FALSE(first.over);
    while (queued() >= kBuffer - 5000) {
      taken += read(5000).size();
      w.run_for(Duration::ms(1));
    }
    ASSERT_GT(queued(), kBuffer - kBuffer / 3);
  }
  std::size_t queued() {
    tcp::TcpInfo info;
    Op op;
    op.verb = Verb::tcp_info;
    op.socket = client;
    op.info = &info;
    w.service(0).run(op);
    return info.send_queue;
  }
  Bytes read(std::size_t n) {
    Bytes room(n);
    Op op;
    op.receive(server, room);
    w.service(1).run(op);
    EXPECT_EQ(op.error, Errc{});
    room.resize(op.count);
    return room;
  }
  const Bytes much = Bytes(1'000'000, 1), little = Bytes(1000, 2);
  Started first;
  std::size_t taken = 0;
};

TEST_F(ASendThatWaits, IsNeverCutInto) {
  make_untold_room();
  const std::size_t before = first.count;
  Started at_once, second;
  at_once.send(client, little);
  at_once.flags.dont_wait = true;
  w.service(0).start(at_once);
  EXPECT_TRUE(at_once.over);
  EXPECT_EQ(at_once.count, 0U);
  EXPECT_EQ(at_once.status, IoStatus::would_block);
  second.send(client, little);
  w.service(0).start(second);
  EXPECT_FALSE(second.over);
  EXPECT_EQ(first.count, before) << "it was not told yet";
  Bytes end;
  while (taken + end.size() < much.size() + little.size()) {
    const Bytes some = read(50'000);
    const auto twos = std::ranges::find(some, 2);
    taken += static_cast<std::size_t>(twos - some.begin());
    end.insert(end.end(), twos, some.end());
  }
  EXPECT_TRUE(first.over);
  EXPECT_TRUE(second.over);
  EXPECT_EQ(taken, much.size());
  EXPECT_EQ(end, little);
}

TEST_F(ASendThatWaits, LeavesItsRoomToTheNextWhenItGivesUp) {
  make_untold_room();
  Started second, third;
  second.send(client, little);
  second.deadline = w.hosts.now() + Duration::ms(5);
  w.service(0).start(second);
  third.send(client, little);
  w.service(0).start(third);
  w.run_for(Duration::ms(10));
  ASSERT_TRUE(second.over);
  EXPECT_EQ(second.error, Errc::timed_out);
  ASSERT_FALSE(third.over);
  w.service(0).cancel(first);
  EXPECT_TRUE(first.over);
  EXPECT_TRUE(third.over);
  EXPECT_EQ(third.count, little.size());
}

TEST_F(ASendThatWaits, LeavesItsRoomToTheNextWhenItsTimeIsOver) {
  first.deadline = w.hosts.now() + Duration::s(2);
  make_untold_room();
  Started second;
  second.send(client, little);
  w.service(0).start(second);
  ASSERT_FALSE(second.over);
  EXPECT_TRUE(w.advance([&] { return first.over; }, Duration::s(3)));
  EXPECT_TRUE(second.over);
}

TEST_F(ASendThatWaits, EndsWithTheWritingSide) {
  make_untold_room();
  Started second;
  second.send(client, little);
  w.service(0).start(second);
  ASSERT_FALSE(second.over);
  Op op;
  op.shutdown(client, ShutdownHow::write);
  w.service(0).run(op);
  ASSERT_EQ(op.error, Errc{});
  EXPECT_TRUE(first.over);
  EXPECT_LT(first.count, much.size());
  EXPECT_TRUE(second.over);
  EXPECT_EQ(second.error, Errc::broken_pipe);
}

// A peek that wants more than is there takes nothing: what is there is for those who came later.
TEST_F(OpEngineTest, APeekThatWaitsForMoreHoldsNobodyUp) {
  connect();
  Bytes all(100), some(4), more(4);
  Started peek, behind;
  peek.receive(server, all);
  peek.flags.peek = peek.flags.wait_all = true;
  w.service(1).start(peek);
  behind.receive(server, some);
  w.service(1).start(behind);
  ASSERT_FALSE(peek.over || behind.over);
  const Bytes eight(8, 7);
  Op op;
  op.send(client, eight);
  w.service(0).run(op);
  w.run_for(Duration::ms(100));
  EXPECT_TRUE(behind.over);
  EXPECT_EQ(behind.count, 4U);
  op.reset();
  op.receive(server, more);
  op.flags.dont_wait = true;
  w.service(1).run(op);
  EXPECT_EQ(op.count, 4U);
  w.service(1).cancel(peek);
}

// What came over the loopback queue is there, and who waits has not been told.
TEST_F(OpEngineTest, AReceiveTakesNothingFromOneThatWaits) {
  listener = open(0, SocketKind::stream);
  client = open(0, SocketKind::stream);
  const Endpoint here{*IpAddress::parse("127.0.0.1"), kPort};
  Op op;
  op.bind(listener, here);
  w.service(0).run(op);
  op.reset();
  op.listen(listener, 8);
  w.service(0).run(op);
  op.reset();
  op.connect(client, here);
  w.service(0).run(op);
  ASSERT_EQ(op.error, Errc{});
  op.reset();
  op.accept(listener);
  w.service(0).run(op);
  server = op.handle;
  Bytes all(8), some(4);
  Started first, at_once, second;
  first.receive(server, all);
  first.flags.wait_all = true;
  w.service(0).start(first);
  send(0, client, numbers(4));
  w.run_for(Duration::ms(1));
  ASSERT_EQ(first.count, 4U);
  op.reset();
  const Bytes rest{4, 5, 6, 7};
  op.send(client, rest);
  ASSERT_TRUE(w.engine(0).start(op));
  (void)w.hosts.stack(0).run_loopback(w.hosts.now(), 16);
  ASSERT_TRUE(any(w.hosts.stack(0).readiness(server) & Ready::readable));
  at_once.receive(server, some);
  at_once.flags.peek = at_once.flags.dont_wait = true;
  EXPECT_TRUE(w.engine(0).start(at_once));
  EXPECT_EQ(at_once.count, 4U) << "a look takes nothing";
  at_once.reset();
  at_once.receive(server, some);
  at_once.flags.dont_wait = true;
  EXPECT_TRUE(w.engine(0).start(at_once));
  EXPECT_EQ(at_once.count, 0U);
  EXPECT_EQ(at_once.status, IoStatus::would_block);
  second.receive(server, some);
  EXPECT_FALSE(w.engine(0).start(second));
  w.flush();
  ASSERT_TRUE(first.over);
  EXPECT_EQ(all, numbers(8));
  EXPECT_FALSE(second.over);

  // When the first gives up, what it was not told of is there for the second.
  Started third;
  third.receive(server, all);
  EXPECT_FALSE(w.engine(0).start(third));
  op.reset();
  op.send(client, rest);
  ASSERT_TRUE(w.engine(0).start(op));
  (void)w.hosts.stack(0).run_loopback(w.hosts.now(), 16);
  EXPECT_TRUE(w.engine(0).withdraw(second, Errc::cancelled));
  EXPECT_EQ(w.engine(0).take_completed(), &second);
  EXPECT_EQ(w.engine(0).take_completed(), &third);
  EXPECT_EQ(third.count, 4U);
}

class ALease : public OpEngineTest {
 protected:
  void fill_both_buffers() {
    Op op;
    op.set_option(client, OptionId::send_buffer, 100'000);
    w.service(0).run(op);
    op.reset();
    op.set_option(server, OptionId::receive_buffer, 100'000);
    w.service(1).run(op);
    const Bytes much(200'000, 1);
    do {
      w.run_for(Duration::s(1));
      op.reset();
      op.send(client, much);
      op.flags.dont_wait = true;
      w.service(0).run(op);
    } while (op.count > 0);
  }
};

// It waits for its memory then, not for room.
TEST_F(ALease, ThatIsQueuedHoldsNobodyUp) {
  connect();
  fill_both_buffers();
  const Bytes little(1000, 2);
  Lease lease;
  Op op;
  op.verb = Verb::take_lease;
  op.lease = &lease;
  op.value = 60'000;
  w.service(0).run(op);
  ASSERT_EQ(op.error, Errc{});
  Started leased, behind;
  leased.verb = Verb::send_lease;
  leased.socket = client;
  leased.lease = &lease;
  leased.value = 60'000;
  w.service(0).start(leased);
  behind.send(client, little);
  w.service(0).start(behind);
  ASSERT_FALSE(leased.started);
  ASSERT_FALSE(behind.over);
  Bytes room(1'000'000);
  for (int i = 0; i < 100 && !leased.started; ++i) {
    op.reset();
    op.receive(server, room);
    op.flags.dont_wait = true;
    w.service(1).run(op);
    w.run_for(Duration::ms(10));
  }
  ASSERT_TRUE(leased.started);
  EXPECT_FALSE(leased.over);
  EXPECT_TRUE(behind.over);
  while (!leased.over) {
    op.reset();
    op.receive(server, room);
    w.service(1).run(op);
    ASSERT_EQ(op.error, Errc{});
    w.run_for(Duration::ms(10));
  }
}

TEST_F(ALease, ThatGivesUpTellsWhetherItsOctetsAreOnTheirWay) {
  connect();
  constexpr std::size_t kSize = 60'000;
  Op op;
  fill_both_buffers();
  std::array<Lease, 2> leases;
  std::array<Started, 2> sends;
  for (std::size_t i = 0; i < 2; ++i) {
    op.reset();
    op.verb = Verb::take_lease;
    op.lease = &leases[i];
    op.value = kSize;
    w.service(0).run(op);
    ASSERT_EQ(op.error, Errc{});
    std::ranges::fill(leases[i].writable(), static_cast<std::uint8_t>(7 + i));
    sends[i].verb = Verb::send_lease;
    sends[i].socket = client;
    sends[i].lease = &leases[i];
    sends[i].value = kSize;
    sends[i].deadline = w.hosts.now() + Duration::s(5);
    w.service(0).start(sends[i]);
  }
  Bytes room(10'000), all;
  while (!sends[0].started) {
    op.reset();
    op.receive(server, room);
    w.service(1).run(op);
    all.insert(all.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(op.count));
    w.run_for(Duration::ms(1));
  }
  w.run_for(Duration::s(6));
  ASSERT_TRUE(sends[0].over);
  EXPECT_EQ(sends[0].error, Errc{});
  EXPECT_EQ(sends[0].status, IoStatus::would_block);
  EXPECT_EQ(sends[0].count, kSize);
  EXPECT_FALSE(leases[0].held());
  ASSERT_TRUE(sends[1].over);
  EXPECT_EQ(sends[1].error, Errc::timed_out);
  EXPECT_TRUE(leases[1].held());
  op.reset();
  op.verb = Verb::release_lease;
  op.lease = &leases[1];
  w.service(0).run(op);
  EXPECT_EQ(op.error, Errc{});
  op.reset();
  op.shutdown(client, ShutdownHow::write);
  w.service(0).run(op);
  do {
    op.reset();
    op.receive(server, room);
    w.service(1).run(op);
    all.insert(all.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(op.count));
  } while (op.count > 0);
  EXPECT_EQ(std::ranges::count(all, 7), static_cast<std::ptrdiff_t>(kSize));
  EXPECT_EQ(std::ranges::count(all, 8), 0);
}

}  // namespace
}  // namespace leat::test
