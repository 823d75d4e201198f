// Options of sockets that a script can't look at: what stands in headers and metadata, and when a writer is told.

#include <leat/core/iface/link.hpp>
#include <tests/support/test_host.hpp>

namespace leat::test {
namespace {

using wire::TcpFlag;

struct TcpSocketOptions : testing::Test {
  TcpSocketOptions() { host.resolve(); }
  void receive(const Tcp& t, const Bytes& data = {}) {
    host.receive_ip(tcp_packet({.source = kPeer, .destination = kUs}, t, data));
  }
  // The one packet that leaves, with its metadata's mark.
  Decoded out() {
    PacketBatch batch;
    host.stack().output(host.eth, batch, host.now());
    EXPECT_EQ(batch.size(), 1U);
    Decoded d;
    for (Packet& p : batch) {
      mark = p.meta().mark;
      Bytes b(p.size());
      p.copy_out(0, b);
      d = decode(b);
    }
    batch.clear();
    return d;
  }
  void expect_marked(const char* what) {
    const Decoded d = out();
    EXPECT_EQ(d.ttl, 9U) << what;
    EXPECT_EQ(d.tos, 0x28U) << what;
    EXPECT_EQ(mark, 77U) << what;
    last = d;
  }
  void set_all(Handle s) {
    ASSERT_TRUE(host.stack().set_option(s, OptionId::ip_default_ttl, 9));
    ASSERT_TRUE(host.stack().set_option(s, OptionId::ip_tos, 0x28));
    ASSERT_TRUE(host.stack().set_option(s, OptionId::mark, 77));
  }
  [[nodiscard]] std::uint32_t last_seq() const { return load_be32(&last.l4[4]); }
  TestHost host;
  Decoded last;
  std::uint32_t mark = 0;
};

// bind_interface holds from the SYN on, where another interface has the better route.
TEST_F(TcpSocketOptions, SynLeavesThroughTheInterfaceThatItsSocketIsBoundTo) {
  const InterfaceId second = host.stack().add_interface({.name = "second", .link = LinkType::ip, .mtu = 1400}).value();
  ASSERT_TRUE(host.stack().add_address(second, *IpPrefix::parse("10.9.0.1/16")));
  ASSERT_TRUE(host.stack().add_route({.destination = *IpPrefix::parse("10.0.0.0/8"), .interface = second}));
  const Handle s = host.stack().open_stream().value();
  ASSERT_TRUE(host.stack().set_option(s, OptionId::bind_interface, second));
  ASSERT_TRUE(host.stack().connect(s, {kPeer, Port{80}}));
  PacketBatch batch;
  host.stack().output(host.eth, batch, host.now());
  EXPECT_EQ(batch.size(), 0U);
  EXPECT_FALSE(host.stack().output(second, batch, host.now()));
  EXPECT_EQ(batch.size(), 1U);
}

TEST_F(TcpSocketOptions, TtlClassAndMarkStandInEverySegmentOfAnAcceptedConnection) {
  const Handle listener = host.stack().open_stream().value();
  set_all(listener);
  ASSERT_TRUE(host.stack().bind(listener, {kUs, Port{80}}));
  ASSERT_TRUE(host.stack().listen(listener, 4));
  receive({.seq = 100});
  expect_marked("SYN-ACK");
  const std::uint32_t iss = last_seq();
  receive({.seq = 90, .flags = TcpFlag::rst});  // outside: nothing
  receive({.seq = 105, .flags = TcpFlag::rst});
  expect_marked("challenge of a SYN record");
  receive({.seq = 101, .ack = iss + 1, .flags = TcpFlag::ack});
  const Handle s = host.stack().try_accept(listener).value();
  ASSERT_TRUE(s);
  ASSERT_TRUE(host.stack().try_send(s, pattern(10)));
  expect_marked("data");
  receive({.seq = 101, .ack = iss + 11, .flags = TcpFlag::ack});
  ASSERT_TRUE(host.stack().abort(s));
  expect_marked("RST");
  receive({.from = 40001, .seq = 100});
  expect_marked("SYN-ACK");
  ASSERT_TRUE(host.stack().close(listener));
  expect_marked("RST of a listener that goes");
}

TEST_F(TcpSocketOptions, AndOfOneThatIsOpenedFromHere) {
  const Handle s = host.stack().open_stream().value();
  set_all(s);
  ASSERT_TRUE(host.stack().connect(s, {kPeer, Port{80}}));
  expect_marked("SYN");
  const Handle udp = host.stack().open_udp().value();
  set_all(udp);
  ASSERT_TRUE(host.stack().try_send_to(udp, Bytes{1}, {kPeer, Port{9}}));
  expect_marked("UDP");
}

// Headers are kept from visit to visit, for all connections between two addresses: they must not outlive what they were
// made from.
TEST_F(TcpSocketOptions, AChangeStandsInTheNextSegmentThatLeaves) {
  const Handle listener = host.stack().open_stream().value();
  ASSERT_TRUE(host.stack().bind(listener, {kUs, Port{80}}));
  ASSERT_TRUE(host.stack().listen(listener, 4));
  receive({.seq = 100});
  last = out();
  std::uint32_t next = last_seq() + 1;
  receive({.seq = 101, .ack = next, .flags = TcpFlag::ack});
  const Handle s = host.stack().try_accept(listener).value();
  ASSERT_TRUE(s);
  const auto data = [&] {
    EXPECT_TRUE(host.stack().try_send(s, pattern(10)));
    Decoded d = out();
    next += 10;
    receive({.seq = 101, .ack = next, .flags = TcpFlag::ack});
    return d;
  };
  EXPECT_EQ(data().ttl, 64U);
  ASSERT_TRUE(host.stack().set_option(s, OptionId::ip_default_ttl, 9));
  EXPECT_EQ(data().ttl, 9U);
  ASSERT_TRUE(host.stack().set_option(s, OptionId::ip_tos, 0x28));
  EXPECT_EQ(data().tos, 0x28U);
  ASSERT_TRUE(host.stack().set_option(s, OptionId::mark, 77));
  Decoded d = data();
  EXPECT_EQ(mark, 77U);
  EXPECT_EQ(d.link->destination, kPeerMac);
  const MacAddress moved{{2, 0, 0, 0, 9, 9}};
  iface::neighbor_advertised(host.core(), host.eth, kPeer, {.mac = moved, .solicited = true});
  d = data();
  EXPECT_EQ(d.link->destination, moved);
  EXPECT_EQ(d.ttl, 9U);
  ASSERT_TRUE(host.stack().set_interface_mtu(host.eth, 1400));  // a new route epoch: everything is looked up again
  EXPECT_EQ(data().tos, 0x28U);
}

TEST_F(TcpSocketOptions, SegmentsOfNoSocketHaveTheStacksTtl) {
  ASSERT_TRUE(host.stack().set_option(OptionId::ip_default_ttl, 33));
  receive({.seq = 100});
  EXPECT_EQ(out().ttl, 33U) << "RST of a closed port";
}

// TCP_NOTSENT_LOWAT: a writer is told when little is unsent, also when sending is what made it little.
TEST_F(TcpSocketOptions, AWriterIsToldWhenLittleIsUnsent) {
  const Handle s = host.stack().open_stream().value();
  ASSERT_TRUE(host.stack().set_option(s, OptionId::tcp_notsent_lowat, 4000));
  ASSERT_TRUE(host.stack().set_option(s, OptionId::tcp_timestamps, 0));
  ASSERT_TRUE(host.stack().connect(s, {kPeer, Port{80}}));
  last = out();
  const std::uint32_t iss = last_seq();
  const unsigned port = last.source_port;
  receive({.from = 80,
           .to = port,
           .seq = 500,
           .ack = iss + 1,
           .flags = TcpFlag::syn | TcpFlag::ack,
           .options = {2, 4, 3, 0xe8}});
  (void)host.sent();
  ASSERT_EQ(host.stack().try_send(s, Bytes(20'000))->count, 20'000U);
  ASSERT_EQ(host.stack().try_send(s, Bytes(1))->status, IoStatus::would_block);
  (void)host.sent();  // the initial window: half of it
  EXPECT_FALSE(any(host.stack().readiness(s) & Ready::writable));
  ASSERT_TRUE(host.stack().set_sink(s, nullptr, 0, Ready::writable));
  ReadyEvent event;
  while (host.stack().next_ready(event)) {
  }
  receive({.from = 80, .to = port, .seq = 501, .ack = iss + 1 + 8'000, .flags = TcpFlag::ack});
  EXPECT_FALSE(host.stack().next_ready(event)) << "nothing was sent yet";
  EXPECT_FALSE(host.sent().empty());
  ASSERT_TRUE(host.stack().next_ready(event));
  EXPECT_EQ(event.edges, Ready::writable);
  EXPECT_EQ(host.stack().try_send(s, Bytes(1))->count, 1U);
}

}  // namespace
}  // namespace leat::test
