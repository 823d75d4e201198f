// Delayed ACKs: when each leaves, and what the queue that holds them may remember without harm.

#include <leat/core/tcp/machine.hpp>
#include <tests/support/tcp_pair.hpp>

namespace leat::test {
namespace {

using tcp::Flag;

constexpr Duration kDelay = Duration::ms(40);
// A deadline is rounded up to a tick of the wheel, and so is what waits for it.
constexpr Duration kTicks = Duration::us(200);

struct Connection {
  Handle client, server;
};

struct DelayedAck : testing::Test {
  DelayedAck() {
    // A window that the handshake can tell: no update of it follows the first read.
    EXPECT_TRUE(net.stack(1).set_option(OptionId::receive_buffer, 60'000));
    listener = net.listen(1, 80, 64);
    net.set_hook([this](unsigned from, ByteSpan p) {
      const std::size_t header = std::size_t{p[32]} >> 4U << 2U;
      if (from == 1 && p.size() == 20 + header) acks.push_back({load_be16(&p[22]), net.now()});
      return true;
    });
  }
  ~DelayedAck() override { EXPECT_TRUE(net.stack(1).close(listener)); }
  Connection connect() {
    const auto [c, s] = net.connect_to(listener);
    EXPECT_TRUE(net.stack(0).set_option(c, OptionId::tcp_nodelay, 1));
    net.run_for(Duration::ms(20));
    tables().hot[index(s)].quick_acks = 0;  // the first ones would not wait
    acks.clear();
    return {c, s};
  }
  // Octets go from the client; when they are there the server reads them.
  void send(const Connection& c, std::size_t n = 100) {
    EXPECT_EQ(net.stack(0).try_send(c.client, TcpPair::pattern(n))->count, n);
    net.run_for(Duration::ms(10));
    std::vector<std::uint8_t> got;
    net.read_some(1, c.server, got);
    EXPECT_EQ(got.size(), n);
    net.settle();
  }
  [[nodiscard]] tcp::State& tables() { return net.stack(1).core().tcp; }
  [[nodiscard]] Index index(Handle server) {
    const SocketTable& sockets = net.stack(1).core().sockets;
    return sockets[sockets.find(server)].object;
  }
  std::uint16_t port(const Connection& c) { return net.info(0, c.client).key.local_port.value(); }
  // The next ACK left at `due`, for connection c.
  void expect_ack(const Connection& c, Instant due) {
    ASSERT_LT(seen, acks.size());
    EXPECT_EQ(acks[seen].port, port(c));
    EXPECT_GE(acks[seen].at, due);
    EXPECT_LE(acks[seen].at, due + kTicks);
    ++seen;
  }

  struct Ack {
    std::uint16_t port = 0;
    Instant at;
  };
  TcpPair net;
  Handle listener;
  std::vector<Ack> acks;
  std::size_t seen = 0;
};

TEST_F(DelayedAck, LeaveInTheirOrderEachAtItsTime) {
  const Connection c[]{connect(), connect(), connect()};  // NOLINT(modernize-avoid-c-arrays)
  const std::uint32_t armed = tables().wheel.armed_count();
  Instant due[3];  // NOLINT(modernize-avoid-c-arrays)
  for (unsigned i = 0; i < 3; ++i) {
    send(c[i]);
    due[i] = net.now() + kDelay;
  }
  EXPECT_EQ(tables().acks.size(), 3U);
  EXPECT_EQ(tables().wheel.armed_count(), armed) << "no timer is needed";
  EXPECT_EQ(tables().active_pool.used(), 0U) << "who has read it all needs no block to wait";
  net.run_for(kDelay + Duration::ms(1));
  for (unsigned i = 0; i < 3; ++i) expect_ack(c[i], due[i]);
  EXPECT_EQ(acks.size(), 3U);
  EXPECT_TRUE(tables().acks.empty());
}

// RFC 5681 4.2: what was received before the block was given back counts.
TEST_F(DelayedAck, TheSecondFullSegmentIsAcknowledgedAtOnceThoughTheFirstWasRead) {
  const Connection c = connect();
  send(c);
  EXPECT_TRUE(acks.empty());
  EXPECT_EQ(tables().active_pool.used(), 0U);
  send(c);
  expect_ack(c, net.now());
  // A smaller one is none: its ACK waits.
  send(c);
  const Instant due = net.now() + kDelay;
  send(c, 50);
  EXPECT_EQ(acks.size(), 1U);
  net.run_for(kDelay);
  expect_ack(c, due);
  EXPECT_EQ(acks.size(), 2U);
  // Nor does it change what a full one is.
  send(c);
  send(c, 50);
  EXPECT_EQ(tables().active_pool.used(), 1U) << "two that wait can't be told from one";
  send(c);
  expect_ack(c, net.now());
  EXPECT_EQ(acks.size(), 3U);
}

TEST_F(DelayedAck, AnEntryWhoseAckHasLeftDoesNothing) {
  const Connection c = connect();
  send(c);
  EXPECT_EQ(net.stack(1).try_send(c.server, TcpPair::pattern(10))->count, 10U);  // and the ACK with it
  net.settle();
  EXPECT_EQ(tables().acks.size(), 1U);
  std::vector<std::uint8_t> got;
  net.run_for(Duration::ms(20));
  net.read_some(0, c.client, got);
  // What comes meanwhile waits for its own time, not for that of the old entry.
  send(c);
  const Instant due = net.now() + kDelay;
  net.run_for(Duration::ms(200));
  expect_ack(c, due);
  EXPECT_EQ(acks.size(), 1U);
  EXPECT_TRUE(tables().acks.empty());
}

TEST_F(DelayedAck, AnEntryOfAConnectionThatIsOverDoesNotHurtTheNextInItsPlace) {
  const Connection old = connect();
  send(old);
  const Index place = index(old.server);
  EXPECT_TRUE(net.stack(1).abort(old.server));
  net.settle();
  EXPECT_EQ(tables().acks.size(), 1U);
  const auto [client, server] = net.connect_to(listener);  // 20 ms
  tables().hot[index(server)].quick_acks = 0;
  acks.clear();
  const Connection c{client, server};
  ASSERT_EQ(index(server), place);
  send(c);  // and 10: the old entry comes up in between
  const Instant due = net.now() + kDelay;
  net.run_for(Duration::ms(200));
  expect_ack(c, due);
  EXPECT_EQ(acks.size(), 1U);
  EXPECT_TRUE(net.stack(0).close(old.client));
}

TEST_F(DelayedAck, AFullQueueLeavesThemToTheWheel) {
  const Connection c = connect();
  const std::uint32_t armed = tables().wheel.armed_count();
  std::size_t entries = 0;
  while (tables().acks.push(index(c.server), tcp::tick_in(net.stack(1).core(), 20'000))) ++entries;
  EXPECT_EQ(entries, tcp::AckQueue::entries_for(kPairLimits.tcp.connections));
  send(c);
  const Instant due = net.now() + kDelay;
  EXPECT_EQ(tables().acks.size(), entries);
  EXPECT_EQ(tables().wheel.armed_count(), armed + 1);
  net.run_for(Duration::ms(200));
  expect_ack(c, due);
  EXPECT_EQ(acks.size(), 1U);
  EXPECT_TRUE(tables().acks.empty());
}

TEST_F(DelayedAck, SocketsWithDelaysOfTheirOwnKeepThemAndStandInNobodysWay) {
  const Connection slow = connect(), usual = connect(), fast = connect();
  EXPECT_TRUE(net.stack(1).set_option(slow.server, OptionId::tcp_delayed_ack, 150'000));
  EXPECT_TRUE(net.stack(1).set_option(fast.server, OptionId::tcp_delayed_ack, 5'000));
  send(slow);
  const Instant slow_due = net.now() + Duration::ms(150);
  EXPECT_TRUE(tables().acks.empty());
  send(usual);
  const Instant usual_due = net.now() + kDelay;
  EXPECT_EQ(tables().acks.size(), 1U);
  send(fast);
  const Instant fast_due = net.now() + Duration::ms(5);
  net.run_for(Duration::ms(300));
  expect_ack(fast, fast_due);
  expect_ack(usual, usual_due);
  expect_ack(slow, slow_due);
  EXPECT_EQ(acks.size(), 3U);
}

// An entry of the old length is of no use to an ACK that is due before it.
TEST_F(DelayedAck, AShorterDelayDoesNotWaitForAnEntryOfALongerOne) {
  const Connection c = connect();
  send(c);
  EXPECT_EQ(net.stack(1).try_send(c.server, TcpPair::pattern(10))->count, 10U);  // and the ACK with it
  net.settle();
  EXPECT_TRUE(net.stack(1).set_option(c.server, OptionId::tcp_delayed_ack, 5'000));
  send(c);
  const Instant due = net.now() + Duration::ms(5);
  net.run_for(Duration::ms(15));
  expect_ack(c, due);
}

// Whoever runs the stack was away: what is long past must not look like the future.
TEST_F(DelayedAck, IsOverdueHoweverLateTheStackRuns) {
  for (const bool by_wheel : {false, true}) {
    for (const int late_ms : {101, 500, 2'000, by_wheel ? 3'500 : 4'000}) {
      const Connection c = connect();
      EXPECT_TRUE(net.stack(1).set_option(c.server, OptionId::tcp_delayed_ack, by_wheel ? 100'000 : 40'000));
      send(c);
      EXPECT_TRUE(tables().hot[index(c.server)].has(Flag::ack_later));
      EXPECT_EQ(tables().acks.empty(), by_wheel);
      net.stack(1).run_timers(net.now() + Duration::ms(late_ms));
      EXPECT_FALSE(tables().hot[index(c.server)].has(Flag::ack_later)) << late_ms;
      EXPECT_TRUE(tables().hot[index(c.server)].has(Flag::ack_now)) << late_ms;
      EXPECT_TRUE(net.stack(0).abort(c.client));
      net.run_for(Duration::s(10));
    }
  }
}

}  // namespace
}  // namespace leat::test
