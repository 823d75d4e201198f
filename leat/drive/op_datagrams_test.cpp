// Operations that move datagrams, many at once.

#include <leat/drive/op_engine_test_support.hpp>

namespace leat::test {
namespace {

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

}  // namespace
}  // namespace leat::test
