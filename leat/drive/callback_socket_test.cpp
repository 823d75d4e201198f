#include <deque>
#include <leat/drive/callback_socket.hpp>
#include <leat/drive/two_hosts_test_support.hpp>
#include <optional>
#include <string>

namespace leat {
namespace {

using test::TwoHosts;

// Echoes what it reads, never holding more than one buffer; closes when the peer has.
struct EchoConnection {
  CallbackSocket socket;
  std::vector<std::uint8_t> pending;
  Ready seen = Ready::none;
  bool eof = false;

  void on_event(CallbackSocket& s, Ready events) {
    seen |= events;
    for (;;) {
      while (!pending.empty()) {
        const auto sent = s.write(pending);
        if (!sent || sent->count == 0) return;
        pending.erase(pending.begin(), pending.begin() + static_cast<std::ptrdiff_t>(sent->count));
      }
      if (eof) break;  // all of it is on its way back
      std::array<std::uint8_t, 4096> buffer;
      const auto got = s.read(buffer);
      if (!got) return;
      eof = got->status == IoStatus::end_of_stream;
      if (got->count == 0 && !eof) return;
      pending.assign(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(got->count));
    }
    s.close();
  }
};

struct EchoServer {
  CallbackSocket listener;
  std::deque<EchoConnection> connections;
  void on_event(CallbackSocket& s, Ready) {
    for (;;) {
      EchoConnection& c = connections.emplace_back();
      if (!c.socket.accept(s, CallbackSocket::Handler::to<&EchoConnection::on_event>(c)).value_or(false)) {
        connections.pop_back();
        return;
      }
      c.on_event(c.socket, Ready::none);  // data may have come before accept
    }
  }
};

struct Client {
  CallbackSocket socket;
  std::vector<std::uint8_t> to_send;
  std::size_t sent = 0;
  std::vector<std::uint8_t> received;
  Ready seen = Ready::none;
  bool end = false;
  std::optional<Errc> error;
  void on_event(CallbackSocket& s, Ready events) {
    seen |= events;
    while (sent < to_send.size()) {
      const auto n = s.write(ByteSpan{to_send}.subspan(sent));
      if (!n || n->count == 0) break;
      sent += n->count;
      if (sent == to_send.size()) (void)s.shutdown(ShutdownHow::write);
    }
    std::array<std::uint8_t, 3000> buffer;
    for (;;) {
      const auto n = s.read(buffer);
      if (!n) {
        error = n.error();
        return;
      }
      received.insert(received.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(n->count));
      end = n->status == IoStatus::end_of_stream;
      if (n->count == 0 || end) return;
    }
  }
};

std::vector<std::uint8_t> numbers(std::size_t n) {
  std::vector<std::uint8_t> v(n);
  for (std::size_t i = 0; i < n; ++i) v[i] = static_cast<std::uint8_t>((i * 31) ^ (i >> 7));
  return v;
}

class CallbackSocketEcho : public testing::TestWithParam<bool> {};

TEST_P(CallbackSocketEcho, EveryByteComesBackAndBothSidesSeeTheirEvents) {
  TwoHosts net;
  const IpAddress server_address = GetParam() ? TwoHosts::address6(1) : TwoHosts::address(1);
  EchoServer server;
  ASSERT_TRUE(server.listener.listen(net.stack(1), {server_address, Port{7}}, 8,
                                     CallbackSocket::Handler::to<&EchoServer::on_event>(server)));
  Client client;
  client.to_send = numbers(300'000);
  ASSERT_TRUE(client.socket.connect(net.stack(0), {server_address, Port{7}},
                                    CallbackSocket::Handler::to<&Client::on_event>(client)));
  ASSERT_TRUE(net.run(net.now() + Duration::s(30), [&] { return client.end; }));
  EXPECT_EQ(client.received, client.to_send);
  EXPECT_TRUE(any(client.seen & Ready::connected));
  EXPECT_TRUE(any(client.seen & Ready::readable));
  EXPECT_TRUE(any(client.seen & Ready::peer_fin));
  ASSERT_EQ(server.connections.size(), 1U);
  EXPECT_TRUE(any(server.connections[0].seen & Ready::peer_fin));
  EXPECT_FALSE(server.connections[0].socket.is_open());
  client.socket.close();
  server.listener.close();
  net.run_for(Duration::s(120));
  net.finish();
}
INSTANTIATE_TEST_SUITE_P(BothVersions, CallbackSocketEcho, testing::Bool(),
                         [](const auto& p) { return p.param ? "IPv6" : "IPv4"; });

TEST(Sink, IsToldTheLevelWhereItWantsToKnow) {
  struct Heard {
    Ready level = Ready::none, edges = Ready::none;
  };
  const auto hear = [](void* context, std::uint64_t, Handle, Ready level, Ready edges) {
    auto& heard = *static_cast<Heard*>(context);
    heard = {heard.level | level, heard.edges | edges};
  };
  TwoHosts net;
  std::array<Heard, 2> heard;
  std::array<Sink, 2> sinks{Sink{hear, &heard[0]}, Sink{hear, &heard[1], false}};
  std::array<Handle, 2> sockets;
  for (std::size_t i = 0; i < 2; ++i) {
    sockets[i] = net.stack(0).open_stream().value();
    ASSERT_TRUE(net.stack(0).set_sink(sockets[i], &sinks[i], 0, kAllReady));
    ASSERT_TRUE(net.stack(0).connect(sockets[i], {TwoHosts::address(1), Port{9}}));  // nobody listens
  }
  net.run_for(Duration::s(1));
  for (const Heard& h : heard) EXPECT_TRUE(any(h.edges & Ready::error));
  EXPECT_TRUE(any(heard[0].level & Ready::error));
  EXPECT_EQ(heard[1].level, Ready::none);
  for (const Handle s : sockets) (void)net.stack(0).close(s);
  net.run_for(Duration::s(1));
  net.finish();
}

TEST(CallbackSocket, ARefusedConnectionIsAnErrorEvent) {
  TwoHosts net;
  Client client;
  ASSERT_TRUE(client.socket.connect(net.stack(0), {TwoHosts::address(1), Port{9}},
                                    CallbackSocket::Handler::to<&Client::on_event>(client)));
  ASSERT_TRUE(net.run(net.now() + Duration::s(5), [&] { return any(client.seen & Ready::error); }));
  EXPECT_EQ(client.error, Errc::connection_refused);
  client.socket.close();
  net.run_for(Duration::s(1));
  net.finish();
}

TEST(CallbackSocket, AnAbortReachesThePeerAsAnErrorAndClosed) {
  TwoHosts net;
  EchoServer server;
  ASSERT_TRUE(server.listener.listen(net.stack(1), {TwoHosts::address(1), Port{7}}, 8,
                                     CallbackSocket::Handler::to<&EchoServer::on_event>(server)));
  Client client;
  ASSERT_TRUE(client.socket.connect(net.stack(0), {TwoHosts::address(1), Port{7}},
                                    CallbackSocket::Handler::to<&Client::on_event>(client)));
  ASSERT_TRUE(net.run(net.now() + Duration::s(5), [&] { return !server.connections.empty(); }));
  client.socket.abort();
  ASSERT_TRUE(net.run(net.now() + Duration::s(5), [&] { return any(server.connections[0].seen & Ready::closed); }));
  EXPECT_TRUE(any(server.connections[0].seen & Ready::error));
  server.connections.clear();
  server.listener.close();
  net.run_for(Duration::s(1));
  net.finish();
}

TEST(CallbackSocket, ASocketThatIsNotOpenIsAnErrorInEveryCall) {
  CallbackSocket never, other;
  std::array<std::uint8_t, 8> b{};
  EXPECT_EQ(never.read(b).error(), Errc::bad_handle);
  EXPECT_EQ(never.write(b).error(), Errc::bad_handle);
  EXPECT_EQ(never.shutdown(ShutdownHow::both).error(), Errc::bad_handle);
  EXPECT_EQ(other.accept(never, {}).error(), Errc::bad_handle);
  never.close();
  never.abort();
  TwoHosts net;
  ASSERT_TRUE(never.open_stream(net.stack(0), {}));
  never.close();
  EXPECT_EQ(never.read(b).error(), Errc::bad_handle);
}

TEST(CallbackSocket, AStaleHandleIsAnErrorInEveryCall) {
  TwoHosts net;
  Stack& s = net.stack(0);
  const Handle h = s.open_stream().value();
  ASSERT_TRUE(s.close(h));
  std::array<std::uint8_t, 8> b{};
  Message m;
  EXPECT_EQ(s.bind(h, {}).error(), Errc::bad_handle);
  EXPECT_EQ(s.listen(h, 1).error(), Errc::bad_handle);
  EXPECT_EQ(s.connect(h, {TwoHosts::address(1), Port{1}}).error(), Errc::bad_handle);
  EXPECT_EQ(s.try_accept(h).error(), Errc::bad_handle);
  EXPECT_EQ(s.try_send(h, b).error(), Errc::bad_handle);
  EXPECT_EQ(s.try_receive(h, b).error(), Errc::bad_handle);
  EXPECT_EQ(s.try_receive_from(h, b, m).error(), Errc::bad_handle);
  EXPECT_EQ(s.shutdown(h, ShutdownHow::both).error(), Errc::bad_handle);
  EXPECT_EQ(s.close(h).error(), Errc::bad_handle);
  EXPECT_EQ(s.abort(h).error(), Errc::bad_handle);
  EXPECT_EQ(s.local_endpoint(h).error(), Errc::bad_handle);
  EXPECT_EQ(s.remote_endpoint(h).error(), Errc::bad_handle);
  EXPECT_EQ(s.set_option(h, OptionId::tcp_nodelay, 1).error(), Errc::bad_handle);
  EXPECT_EQ(s.option(h, OptionId::tcp_nodelay).error(), Errc::bad_handle);
  EXPECT_FALSE(s.take_error(h));
  EXPECT_EQ(s.try_send(Handle{}, b).error(), Errc::bad_handle);
  EXPECT_EQ(s.try_send(Handle::from_bits(~0ULL), b).error(), Errc::bad_handle);
}

}  // namespace
}  // namespace leat
