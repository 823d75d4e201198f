// Operations that open and change things.

#include <leat/drive/op_engine_test_support.hpp>

namespace leat::test {
namespace {

TEST_F(OpEngineTest, ARefusedConnectTellsWhy) {
  const Handle h = open(0, SocketKind::stream);
  Op op;
  op.connect(h, {TwoHosts::address(1), Port{9}});
  w.service(0).run(op);
  EXPECT_EQ(op.error, Errc::connection_refused);
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

// What is known of a flow by its four-tuple, through its life: listened for, half-open, a connection, TIME-WAIT,
// nothing.
TEST_F(OpEngineTest, AFlowIsFoundByItsFourTuple) {
  listener = listen();
  client = open(0, SocketKind::stream);
  FlowKey theirs{.local = TwoHosts::address(1), .remote = TwoHosts::address(0), .local_port = kPort};
  const auto ask = [&](std::size_t host, const FlowKey& flow) {
    tcp::TcpInfo info;
    ControlRequest r{.verb = ControlVerb::connection_by_flow, .flow = flow, .info = &info};
    EXPECT_EQ(control(w.hosts.stack(host), r), Errc{});
    EXPECT_EQ(r.state, info.state);
    EXPECT_EQ(info.key, flow);
    return info;
  };
  EXPECT_EQ(ask(1, theirs).state, tcp::TcpState::listen);
  Started connect;
  connect.connect(client, {TwoHosts::address(1), kPort});
  w.service(0).start(connect);
  theirs.remote_port = w.hosts.stack(0).local_endpoint(client)->port;
  const FlowKey ours{theirs.remote, theirs.local, theirs.remote_port, theirs.local_port};
  tcp::TcpInfo half_open;
  EXPECT_TRUE(
      w.advance([&] { return (half_open = ask(1, theirs)).state == tcp::TcpState::syn_received; }, Duration::s(1)));
  const tcp::TcpInfo opening = ask(0, ours);
  EXPECT_EQ(opening.state, tcp::TcpState::syn_sent);
  EXPECT_EQ(half_open.irs, opening.iss);
  EXPECT_EQ(half_open.rcv_nxt, opening.iss + 1);
  EXPECT_EQ(half_open.snd_nxt, half_open.iss + 1);
  EXPECT_EQ(half_open.snd_mss, 1460U);
  EXPECT_TRUE(half_open.timestamps && half_open.sack && half_open.window_scaling);
  w.run_for(Duration::s(1));
  ASSERT_TRUE(connect.over);
  Op op;
  op.accept(listener);
  w.service(1).run(op);
  server = op.handle;
  EXPECT_EQ(send(0, client, numbers(1000)), 1000U);
  w.run_for(Duration::s(1));
  const tcp::TcpInfo open_there = ask(1, theirs);
  EXPECT_EQ(open_there.state, tcp::TcpState::established);
  EXPECT_EQ(open_there.bytes_received, 1000U);
  EXPECT_EQ(open_there.iss, half_open.iss);
  Bytes got(1000);
  op.reset();
  op.receive(server, got);
  w.service(1).run(op);
  close(0, client);
  w.run_for(Duration::ms(50));
  close(1, server);
  w.run_for(Duration::ms(50));
  const tcp::TcpInfo waiting = ask(0, ours);
  EXPECT_EQ(waiting.state, tcp::TcpState::time_wait);
  EXPECT_EQ(waiting.rcv_nxt, open_there.iss + 2);  // SYN and FIN
  EXPECT_EQ(waiting.snd_nxt, opening.iss + 1002);
  close(1, listener);
  EXPECT_EQ(ask(1, theirs).state, tcp::TcpState::closed);
}

}  // namespace
}  // namespace leat::test
