// The error queue of sockets (Linux IP_RECVERR; architecture, section 7).

#include <tests/support/test_host.hpp>

namespace leat::test {
namespace {

const IpAddress kRouter = ip("10.0.0.254");

TEST(ErrorQueues, KeepOrderPerSocketAndShareThePool) {
  std::array<ErrorRecord, 8> records;
  std::array<Index, 2> buckets{};
  ErrorQueues queues({records, buckets});
  EXPECT_EQ(queues.share(), 2U);
  for (std::uint32_t n = 0; n < 8; ++n) {
    // Sockets 0, 2 and 4 share a bucket.
    EXPECT_TRUE(queues.push(n % 3 * 2, {.info = n}, Bytes{static_cast<std::uint8_t>(n)}));
  }
  EXPECT_FALSE(queues.push(1, {}, {})) << "the pool is empty";
  ErrorEntry e;
  Bytes to(4);
  for (const std::uint32_t n : {1U, 4U, 7U}) {
    ASSERT_EQ(queues.pop(2, e, to), 1U);
    EXPECT_EQ(e.info, n);
    EXPECT_EQ(to[0], n);
  }
  EXPECT_FALSE(queues.pop(2, e, to));
  EXPECT_EQ(queues.front(4)->info, 2U);
  EXPECT_TRUE(queues.push(1, {.info = 77}, Bytes(kErrorPayload + 50, 9)));
  EXPECT_EQ(queues.front(1)->payload, kErrorPayload) << "bounded";
  EXPECT_EQ(queues.pop(1, e, to), 4U) << "as much as the buffer holds";
  EXPECT_EQ(queues.used(), 5U);
}

struct ErrorQueue : testing::Test {
  ErrorQueue() {
    host.resolve();
    host.resolve(kPeer6);
  }
  void queue_errors(Handle s) { ASSERT_TRUE(host.stack().set_option(s, OptionId::ip_receive_errors, 1)); }
  // The next entry; its error is Errc{} when the queue is empty.
  ErrorEntry next(Handle s) {
    ErrorEntry e;
    quoted.assign(kErrorPayload, 0);
    const auto n = host.stack().try_receive_error(s, quoted, e).value();
    quoted.resize(n.count);
    EXPECT_EQ(n.status == IoStatus::done, e.origin != ErrorOrigin::none);
    return e;
  }
  [[nodiscard]] bool has_error(Handle s) { return any(host.stack().readiness(s) & Ready::error); }
  Bytes ours(const Handle s, unsigned port, const Bytes& data, const IpAddress& to = kPeer) {
    return udp_packet({.source = to.is_v4() ? kUs : kUs6, .destination = to},
                      host.stack().local_endpoint(s)->port.value(), port, data);
  }
  TestHost host;
  Bytes quoted;
};

TEST_F(ErrorQueue, AnUnconnectedUdpSocketHearsOfEveryDestination) {
  const Handle s = host.stack().open_udp().value();
  queue_errors(s);
  ASSERT_TRUE(host.stack().bind(s, {kUs, Port{53}}));
  ASSERT_TRUE(host.stack().set_sink(s, nullptr, 0, kAllReady));
  ReadyEvent event;
  while (host.stack().next_ready(event)) {
  }
  host.receive_ip(icmp_packet({.source = kRouter, .destination = kUs}, 3, 1, 0, ours(s, 9, {1, 2, 3}, ip("10.1.2.3"))));
  host.receive_ip(icmp_packet({.source = kPeer, .destination = kUs}, 3, 3, 0, ours(s, 8, {4})));
  ASSERT_TRUE(host.stack().next_ready(event));
  EXPECT_EQ(event.edges, Ready::error);
  EXPECT_TRUE(has_error(s));
  ErrorEntry e = next(s);
  EXPECT_EQ(e.error, Errc::host_unreachable);
  EXPECT_EQ(e.origin, ErrorOrigin::icmp);
  EXPECT_EQ(e.type, 3);
  EXPECT_EQ(e.code, 1);
  EXPECT_EQ(e.offender, kRouter);
  EXPECT_EQ(e.destination, (Endpoint{ip("10.1.2.3"), Port{9}}));
  EXPECT_EQ(e.interface, host.eth);
  EXPECT_EQ(quoted, (Bytes{1, 2, 3}));
  EXPECT_TRUE(has_error(s));
  e = next(s);
  EXPECT_EQ(e.error, Errc::connection_refused);
  EXPECT_EQ(e.offender, kPeer);
  EXPECT_EQ(e.destination, (Endpoint{kPeer, Port{8}}));
  EXPECT_EQ(quoted, Bytes{4});
  EXPECT_FALSE(has_error(s)) << "reading the last one clears SO_ERROR, as on Linux";
  EXPECT_FALSE(host.stack().take_error(s));
  EXPECT_EQ(next(s).origin, ErrorOrigin::none);
}

TEST_F(ErrorQueue, SocketErrorFollowsTheQueueAndFailsTheNextCall) {
  const Handle s = host.stack().open_udp().value();
  queue_errors(s);
  ASSERT_TRUE(host.stack().connect(s, {kPeer, Port{9}}));
  host.receive_ip(icmp_packet({.source = kPeer, .destination = kUs}, 3, 3, 0, ours(s, 9, {})));
  host.receive_ip(icmp_packet({.source = kRouter, .destination = kUs}, 11, 0, 0, ours(s, 9, {})));
  EXPECT_EQ(host.stack().take_error(s), Errc::host_unreachable) << "the latest";
  EXPECT_EQ(next(s).error, Errc::connection_refused);
  EXPECT_EQ(host.stack().try_send(s, Bytes{1}).error(), Errc::host_unreachable) << "the next entry's";
  EXPECT_EQ(next(s).type, 11);
  EXPECT_TRUE(host.stack().try_send(s, Bytes{1}));
}

TEST_F(ErrorQueue, WithoutTheOptionNothingIsQueued) {
  const Handle s = host.stack().open_udp().value();
  ASSERT_TRUE(host.stack().connect(s, {kPeer, Port{9}}));
  host.receive_ip(icmp_packet({.source = kPeer, .destination = kUs}, 3, 3, 0, ours(s, 9, {})));
  EXPECT_EQ(next(s).origin, ErrorOrigin::none);
  EXPECT_EQ(host.stack().take_error(s), Errc::connection_refused);
  ErrorEntry e;
  EXPECT_EQ(host.stack().try_receive_error(Handle{}, quoted, e).error(), Errc::bad_handle);
}

TEST_F(ErrorQueue, MessageTooLongIsALocalError) {
  const Handle udp = host.stack().open_udp().value();
  const Handle ping = host.stack().open_icmp().value();
  const Handle raw = host.stack().open_raw(IpVersion::v4, 200).value();
  Bytes large(1500);
  large[0] = 8;
  for (const Handle s : {udp, ping, raw}) {
    EXPECT_EQ(host.stack().try_send_to(s, large, {kPeer, Port{9}}).error(), Errc::message_too_long);
    EXPECT_FALSE(has_error(s)) << "not asked for";
    queue_errors(s);
    EXPECT_EQ(host.stack().try_send_to(s, large, {kPeer, Port{9}}).error(), Errc::message_too_long);
    EXPECT_TRUE(has_error(s));
    EXPECT_FALSE(host.stack().take_error(s)) << "the call has told it already";
    const ErrorEntry e = next(s);
    EXPECT_EQ(e.error, Errc::message_too_long);
    EXPECT_EQ(e.origin, ErrorOrigin::local);
    EXPECT_EQ(e.info, 1500U);
    EXPECT_EQ(e.destination.address, kPeer);
    EXPECT_TRUE(quoted.empty());
  }
}

TEST_F(ErrorQueue, APathMtuIsToldWithItsValue) {
  const Handle s = host.stack().open_udp().value();
  queue_errors(s);
  ASSERT_TRUE(host.stack().connect(s, {kPeer6, Port{9}}));
  host.receive_ip(icmp_packet({.source = ip("fd00::254"), .destination = kUs6}, 2, 0, 1280, ours(s, 9, {5}, kPeer6)));
  const ErrorEntry e = next(s);
  EXPECT_EQ(e.origin, ErrorOrigin::icmp6);
  EXPECT_EQ(e.error, Errc::message_too_long);
  EXPECT_EQ(e.info, 1280U);
  EXPECT_EQ(quoted, Bytes{5});
  EXPECT_EQ(host.stack().try_send(s, Bytes(1300)).error(), Errc::message_too_long) << "and it is in force";
}

TEST_F(ErrorQueue, ANextHopThatDoesNotAnswerIsAnErrorOfOurOwnAddress) {
  const Handle s = host.stack().open_udp().value();
  queue_errors(s);
  ASSERT_TRUE(host.stack().try_send_to(s, Bytes{7}, {ip("10.0.0.77"), Port{9}}));
  host.advance(Duration::s(10));
  const ErrorEntry e = next(s);
  EXPECT_EQ(e.error, Errc::host_unreachable);
  EXPECT_EQ(e.offender, kUs);
  EXPECT_EQ(e.destination, (Endpoint{ip("10.0.0.77"), Port{9}}));
  EXPECT_EQ(quoted, Bytes{7});
}

TEST_F(ErrorQueue, RawAndPingSocketsKeepTheTransportHeader) {
  const Handle raw = host.stack().open_raw(IpVersion::v4, 200).value();
  const Handle ping = host.stack().open_icmp().value();
  queue_errors(raw);
  queue_errors(ping);
  host.receive_ip(icmp_packet({.source = kRouter, .destination = kUs}, 3, 13, 0,
                              ipv4({.source = kUs, .destination = kPeer, .protocol = 200}, {1, 2, 3})));
  ErrorEntry e = next(raw);
  EXPECT_EQ(e.error, Errc::host_unreachable);
  EXPECT_EQ(quoted, (Bytes{1, 2, 3})) << "less than a header of UDP is enough";
  ASSERT_TRUE(host.stack().try_send_to(ping, Bytes{8, 0, 0, 0, 0, 0, 0, 5}, {kPeer, Port{}}));
  const Decoded echo = host.sent_one();
  host.receive_ip(icmp_packet({.source = kRouter, .destination = kUs}, 11, 0, 0, echo.ip));
  e = next(ping);
  EXPECT_EQ(e.type, 11);
  EXPECT_EQ(e.destination.address, kPeer);
  EXPECT_EQ(quoted, echo.l4);
}

TEST_F(ErrorQueue, ProhibitedIsWhatLinuxSays) {
  const Handle four = host.stack().open_udp().value();
  const Handle six = host.stack().open_udp().value();
  ASSERT_TRUE(host.stack().connect(four, {kPeer, Port{9}}));
  ASSERT_TRUE(host.stack().connect(six, {kPeer6, Port{9}}));
  const Bytes ours4 = ours(four, 9, {});
  host.receive_ip(icmp_packet({.source = kRouter, .destination = kUs}, 3, 13, 0, ours4));
  EXPECT_EQ(host.stack().take_error(four), Errc::host_unreachable);
  host.receive_ip(icmp_packet({.source = kRouter, .destination = kUs}, 3, 9, 0, ours4));
  EXPECT_EQ(host.stack().take_error(four), Errc::network_unreachable);
  host.receive_ip(icmp_packet({.source = kPeer6, .destination = kUs6}, 1, 1, 0, ours(six, 9, {}, kPeer6)));
  EXPECT_EQ(host.stack().take_error(six), Errc::permission_denied);
}

TEST_F(ErrorQueue, OneSocketGetsAQuarterOfThePoolAndClosingGivesItBack) {
  const Handle s = host.stack().open_udp().value();
  queue_errors(s);
  ASSERT_TRUE(host.stack().bind(s, {kUs, Port{53}}));
  const auto flood = [&](Handle to) {
    for (int i = 0; i < 100; ++i)
      host.receive_ip(icmp_packet({.source = kRouter, .destination = kUs}, 3, 1, 0, ours(to, 9, {})));
  };
  flood(s);
  EXPECT_EQ(host.count(Counter::error_queue_full), 96U);
  const Handle other = host.stack().open_udp().value();
  queue_errors(other);
  ASSERT_TRUE(host.stack().bind(other, {kUs, Port{54}}));
  flood(other);
  EXPECT_EQ(host.count(Counter::error_queue_full), 192U);
  ASSERT_TRUE(host.stack().close(s));
  ASSERT_TRUE(host.stack().close(other));
  host.settle();  // check_invariants: nothing is left in the pool
}

// --- TCP -------------------------------------------------------------------------------------------------------------

struct TcpErrors : ErrorQueue {
  Handle connecting() {
    const Handle s = host.stack().open_stream().value();
    EXPECT_TRUE(host.stack().set_option(OptionId::tcp_isn_seed, 1000));
    EXPECT_TRUE(host.stack().connect(s, {kPeer, Port{80}}));
    syn = host.sent_one().ip;
    return s;
  }
  void icmp(unsigned type, unsigned code) {
    host.receive_ip(icmp_packet({.source = kRouter, .destination = kUs}, type, code, 0, syn));
  }
  Bytes syn;
};

TEST_F(TcpErrors, ASoftErrorSaysWhyAConnectGaveUp) {
  const Handle s = connecting();
  icmp(3, 1);
  EXPECT_FALSE(has_error(s)) << "not the end";
  host.advance(Duration::s(300));
  EXPECT_TRUE(has_error(s));
  EXPECT_EQ(host.stack().take_error(s), Errc::host_unreachable);
}

TEST_F(TcpErrors, WithoutOneItTimedOut) {
  const Handle s = connecting();
  host.advance(Duration::s(300));
  EXPECT_EQ(host.stack().take_error(s), Errc::timed_out);
}

TEST_F(TcpErrors, AConnectQueuesItsErrors) {
  const Handle s = host.stack().open_stream().value();
  queue_errors(s);
  ASSERT_TRUE(host.stack().connect(s, {kPeer, Port{80}}));
  const Decoded d = host.sent_one();
  syn = d.ip;
  icmp(11, 0);
  icmp(3, 3);
  ErrorEntry e = next(s);
  EXPECT_EQ(e.type, 11);
  EXPECT_EQ(e.offender, kRouter);
  EXPECT_EQ(e.destination, (Endpoint{kPeer, Port{80}}));
  EXPECT_EQ(quoted, d.l4);
  EXPECT_EQ(host.stack().take_error(s), Errc::connection_refused) << "of the hard error behind it";
  EXPECT_EQ(next(s).error, Errc::connection_refused);
}

}  // namespace
}  // namespace leat::test
