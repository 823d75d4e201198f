// Two stacks and a link: handshake, data both ways, the ways a connection ends.

#include <gtest/gtest.h>

#include <leat/wire/ipv4.hpp>
#include <leat/wire/tcp.hpp>
#include <tests/support/tcp_pair.hpp>

namespace leat::test {
namespace {

using tcp::TcpState;

TEST(TcpConnection, OpensAndBothSidesAgree) {
  TcpPair net;
  const auto [c, s] = net.connect();
  EXPECT_EQ(net.state(0, c), TcpState::established);
  EXPECT_EQ(net.state(1, s), TcpState::established);
  const auto a = net.info(0, c);
  const auto b = net.info(1, s);
  EXPECT_TRUE(a.timestamps && a.sack && a.window_scaling);
  EXPECT_TRUE(b.timestamps && b.sack && b.window_scaling);
  EXPECT_EQ(a.snd_mss, 1448U);
  EXPECT_EQ(b.snd_mss, 1448U);
  EXPECT_EQ(a.snd_nxt, b.rcv_nxt);
  EXPECT_EQ(net.stack(0).remote_endpoint(c)->port, Port{80});
  EXPECT_EQ(*net.stack(1).remote_endpoint(s), *net.stack(0).local_endpoint(c));
  EXPECT_NEAR(a.srtt_us, 20000, 200);
  EXPECT_NEAR(b.srtt_us, 20000, 2000);
}

TEST(TcpConnection, CarriesDataBothWaysOverBothIpVersions) {
  for (const bool v6 : {false, true}) {
    TcpPair net;
    const auto [c, s] = net.connect(v6);
    const auto there = TcpPair::pattern(300'000, 1);
    const auto back = TcpPair::pattern(200'000, 2);
    EXPECT_EQ(net.transfer(0, c, s, there), there);
    EXPECT_EQ(net.transfer(1, s, c, back), back);
    EXPECT_EQ(net.info(0, c).retransmits, 0U);
    EXPECT_EQ(net.info(1, s).retransmits, 0U);
  }
}

// Sequence numbers compare within 2^31: what was far behind once is ahead later.
TEST(TcpConnection, GoesOnWhenTheInitialNumberIsGigabytesAway) {
  for (const std::uint32_t gigabytes : {1U, 2U, 3U}) {
    TcpPair net;
    const auto [c, s] = net.connect();
    for (const unsigned side : {0U, 1U}) {
      tcp::Cold& cold = net.stack(side).core().tcp.cold[0];
      cold.iss = cold.iss - (gigabytes << 30);
      cold.irs = cold.irs - (gigabytes << 30);
    }
    const auto data = TcpPair::pattern(300'000, 1);
    EXPECT_EQ(net.transfer(0, c, s, data), data) << gigabytes;
    EXPECT_EQ(net.transfer(1, s, c, data), data) << gigabytes;
    EXPECT_EQ(net.info(0, c).retransmits, 0U);
    net.stack(0).check_invariants();
    net.stack(1).check_invariants();
  }
}

TEST(TcpConnection, SuperSegmentsCarryTheSame) {
  TcpPair net{{.max_gso = 65535}};
  EXPECT_TRUE(net.stack(1).set_option(OptionId::tcp_stretch_acks, 2));
  const auto [c, s] = net.connect();
  const auto there = TcpPair::pattern(3'000'000, 1);
  const std::size_t before = net.packets_seen();
  EXPECT_EQ(net.transfer(0, c, s, there), there);
  EXPECT_LT(net.packets_seen() - before, 400U);
  EXPECT_EQ(net.info(0, c).retransmits, 0U);
}

// RFC 9293 3.8.6.3, and the exception that the default makes for what arrives merged. Two super-segments of ten
// segments come in one burst.
TEST(TcpConnection, AcksOfSuperSegmentsFollowTheOption) {
  const auto acks_of = [](std::int64_t policy, std::int64_t segments) {
    TcpPair net{{.max_gso = 10 * 1448 + 100}};
    EXPECT_TRUE(net.stack(1).set_option(OptionId::tcp_stretch_acks, policy));
    EXPECT_TRUE(net.stack(1).set_option(OptionId::tcp_ack_segments, segments));
    EXPECT_TRUE(net.stack(0).set_option(OptionId::tcp_initial_window, 40));
    const auto [c, s] = net.connect();
    std::vector<std::uint32_t> acks;
    std::vector<std::size_t> data;
    net.set_hook([&](unsigned from, ByteSpan packet) {
      const auto ip = wire::Ipv4View::parse(packet);
      const auto tcp = wire::TcpView::parse(ip->payload());
      if (from == 0 && !tcp->payload().empty()) data.push_back(tcp->payload().size());
      if (from == 1) acks.push_back(tcp->ack().value());
      return true;
    });
    const std::uint32_t first = net.info(0, c).snd_nxt;
    const auto sent = TcpPair::pattern(20 * 1448);
    EXPECT_EQ(net.transfer(0, c, s, sent), sent);
    net.run();
    EXPECT_EQ(data, (std::vector<std::size_t>{14480, 14480}));
    std::vector<std::uint32_t> steps;  // in segments
    std::uint32_t last = first;
    for (const std::uint32_t ack : acks) {
      EXPECT_EQ((ack - last) % 1448, 0U);
      steps.push_back((ack - std::exchange(last, ack)) / 1448);
    }
    return steps;
  };
  EXPECT_EQ(acks_of(0, 2), (std::vector<std::uint32_t>(10, 2)));
  EXPECT_EQ(acks_of(0, 5), (std::vector<std::uint32_t>(4, 5)));
  EXPECT_EQ(acks_of(1, 2), (std::vector<std::uint32_t>{10, 10}));
  EXPECT_EQ(acks_of(1, 4), (std::vector<std::uint32_t>{10, 10}));
  EXPECT_EQ(acks_of(2, 2), (std::vector<std::uint32_t>{20}));
}

TEST(TcpConnection, IsQuietWhenIdleAndHoldsNoActiveBlock) {
  TcpPair net;
  const auto [c, s] = net.connect();
  const auto data = TcpPair::pattern(5000);
  EXPECT_EQ(net.transfer(0, c, s, data), data);
  net.run();
  EXPECT_EQ(net.stack(0).core().tcp.active_pool.used(), 0U);
  EXPECT_EQ(net.stack(1).core().tcp.active_pool.used(), 0U);
  EXPECT_TRUE(net.stack(0).next_deadline().is_never());
  EXPECT_TRUE(net.stack(1).next_deadline().is_never());
}

TEST(TcpConnection, OrderlyCloseEndsInTimeWaitAndThenInNothing) {
  TcpPair net;
  const auto [c, s] = net.connect();
  EXPECT_TRUE(net.stack(0).close(c));
  net.run_for(Duration::ms(50));
  EXPECT_EQ(net.state(1, s), TcpState::close_wait);
  std::array<std::uint8_t, 10> buffer;
  EXPECT_EQ(net.stack(1).try_receive(s, buffer)->status, IoStatus::end_of_stream);
  const FlowKey key = net.info(1, s).key;
  EXPECT_TRUE(net.stack(1).close(s));
  net.run_for(Duration::ms(100));
  EXPECT_EQ(tcp::state_of(net.stack(1).core(), key), TcpState::closed);
  const FlowKey mirror{key.remote, key.local, key.remote_port, key.local_port, key.scope};
  EXPECT_EQ(tcp::state_of(net.stack(0).core(), mirror), TcpState::time_wait);
  net.run();
  EXPECT_EQ(tcp::state_of(net.stack(0).core(), mirror), TcpState::closed);
  EXPECT_EQ(net.stack(0).core().tcp.connection_pool.used(), 0U);
  EXPECT_EQ(net.stack(1).core().tcp.connection_pool.used(), 0U);
}

TEST(TcpConnection, HalfCloseStillReceives) {
  TcpPair net;
  const auto [c, s] = net.connect();
  EXPECT_TRUE(net.stack(0).shutdown(c, ShutdownHow::write));
  net.run_for(Duration::ms(50));
  EXPECT_EQ(net.state(0, c), TcpState::fin_wait_2);
  const auto back = TcpPair::pattern(100'000);
  EXPECT_EQ(net.transfer(1, s, c, back), back);
  EXPECT_EQ(net.stack(0).try_send(c, back).error(), Errc::broken_pipe);
  EXPECT_TRUE(net.stack(1).close(s));
  net.run_for(Duration::ms(50));
  EXPECT_EQ(net.state(0, c), TcpState::time_wait);
  EXPECT_TRUE(net.stack(0).close(c));
}

TEST(TcpConnection, RefusedAndAborted) {
  TcpPair net;
  const Handle c = net.stack(0).open_stream().value();
  EXPECT_TRUE(net.stack(0).connect(c, {TcpPair::address(1), Port{9}}));
  EXPECT_TRUE(net.run_until([&] { return any(net.stack(0).readiness(c) & Ready::closed); }));
  EXPECT_EQ(net.stack(0).take_error(c), Errc::connection_refused);
  EXPECT_TRUE(net.stack(0).close(c));

  const auto [a, b] = net.connect();
  EXPECT_TRUE(net.stack(0).abort(a));
  EXPECT_EQ(net.stack(0).try_send(a, {}).error(), Errc::bad_handle);
  EXPECT_TRUE(net.run_until([&, peer = b] { return any(net.stack(1).readiness(peer) & Ready::closed); }));
  std::array<std::uint8_t, 10> buffer;
  EXPECT_EQ(net.stack(1).try_receive(b, buffer).error(), Errc::connection_reset);
}

TEST(TcpConnection, SurvivesLoss) {
  for (const unsigned every : {7U, 23U, 50U}) {
    TcpPair net;
    const auto [c, s] = net.connect();
    unsigned n = 0;
    net.set_hook([&](unsigned, ByteSpan) { return ++n % every != 0; });
    const auto there = TcpPair::pattern(500'000, every);
    EXPECT_EQ(net.transfer(0, c, s, there), there);
    net.set_hook({});
    EXPECT_GT(net.info(0, c).retransmits, 0U);
    EXPECT_TRUE(net.stack(0).close(c));
    EXPECT_TRUE(net.stack(1).close(s));
    net.run();
  }
}

TEST(TcpConnection, ConnectsToItsOwnStack) {
  TcpPair net;
  const Handle l = net.listen(0, 8080);
  const Handle c = net.stack(0).open_stream().value();
  EXPECT_TRUE(net.stack(0).connect(c, {TcpPair::address(0), Port{8080}}));
  Handle s;
  EXPECT_TRUE(net.run_until([&] {
    if (!s) s = net.stack(0).try_accept(l).value();
    return static_cast<bool>(s);
  }));
  const auto data = TcpPair::pattern(300'000);
  std::vector<std::uint8_t> got;
  std::size_t sent = 0;
  EXPECT_TRUE(net.run_until([&] {
    const auto n = net.stack(0).try_send(c, ByteSpan{data}.subspan(sent));
    if (n) sent += n->count;
    net.read_some(0, s, got);
    return got.size() == data.size();
  }));
  EXPECT_EQ(got, data);
}

}  // namespace
}  // namespace leat::test
