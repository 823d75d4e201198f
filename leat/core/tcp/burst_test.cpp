// A burst goes through stations, so that what one segment changes can be known too late to one behind it. It must do
// what its segments do one by one.

#include <tests/support/test_host.hpp>

namespace leat::test {
namespace {

using wire::TcpFlag;

// Connections that come to life, receive and end, all in one burst; what the stack counted.
std::vector<std::uint64_t> lives(bool one_by_one) {
  TestHost host;
  host.resolve();
  const Handle listener = host.stack().open_stream().value();
  EXPECT_TRUE(host.stack().bind(listener, {kUs, Port{80}}));
  EXPECT_TRUE(host.stack().listen(listener, 8));
  const auto frame = [](const Tcp& t, const Bytes& data = {}) {
    return ethernet(kOurMac, kPeerMac, tcp_packet({.source = kPeer, .destination = kUs}, t, data));
  };
  std::vector<Bytes> burst;
  for (unsigned from = 40000; from < 40004; ++from) {
    host.receive(frame({.from = from, .seq = 100}));
    const std::uint32_t ack = load_be32(&decode(host.sent().at(0)).l4[4]) + 1;
    burst.push_back(frame({.from = from, .seq = 101, .ack = ack, .flags = TcpFlag::ack}));
    burst.push_back(frame({.from = from, .seq = 101, .ack = ack, .flags = TcpFlag::ack}, pattern(50)));
    burst.push_back(frame({.from = from, .seq = 151, .ack = ack, .flags = TcpFlag::ack}, pattern(50)));
    burst.push_back(frame({.from = from, .seq = 201, .ack = ack, .flags = TcpFlag::rst | TcpFlag::ack}));
    burst.push_back(frame({.from = from, .seq = 201, .ack = ack, .flags = TcpFlag::ack}, pattern(50)));
    burst.push_back(frame({.from = from, .seq = 300}));
  }
  if (one_by_one) {
    for (const Bytes& f : burst) host.receive(f);
  } else {
    host.receive_batch(burst);
  }
  std::vector<std::uint64_t> counts{host.sent().size()};
  for (const Counter c : {Counter::tcp_segments_in, Counter::tcp_bytes_in, Counter::tcp_passive_opens,
                          Counter::tcp_resets_received, Counter::tcp_resets_sent})
    counts.push_back(host.count(c));
  host.stack().check_invariants();
  return counts;
}

TEST(Burst, DoesWhatItsSegmentsDoOneByOne) {
  const auto alone = lives(true);
  EXPECT_EQ(alone[2], 400U);
  EXPECT_EQ(alone[3], 4U);
  EXPECT_EQ(alone[4], 4U);
  EXPECT_EQ(lives(false), alone);
}

}  // namespace
}  // namespace leat::test
