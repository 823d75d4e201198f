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

}  // namespace
}  // namespace leat::test
