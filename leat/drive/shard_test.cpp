#include <leat/drive/shard.hpp>
#include <leat/drive/two_hosts_test_support.hpp>

namespace leat {
namespace {

using test::TwoHosts;

// Moves `bytes` from host 0 to host 1 and returns what arrived.
std::vector<std::uint8_t> transfer(TwoHosts& net, std::size_t bytes) {
  Stack& from = net.stack(0);
  Stack& to = net.stack(1);
  const Handle listener = to.open_stream().value();
  EXPECT_TRUE(to.bind(listener, {TwoHosts::address(1), Port{80}}));
  EXPECT_TRUE(to.listen(listener, 4));
  const Handle out = from.open_stream().value();
  EXPECT_TRUE(from.connect(out, {TwoHosts::address(1), Port{80}}));
  Handle in;
  std::size_t sent = 0;
  std::vector<std::uint8_t> got;
  std::vector<std::uint8_t> data(bytes);
  for (std::size_t i = 0; i < bytes; ++i) data[i] = static_cast<std::uint8_t>(i * 13);
  const bool finished = net.run(net.now() + Duration::s(60), [&] {
    if (!in) in = to.try_accept(listener).value_or(Handle{});
    if (sent < bytes)
      if (const auto n = from.try_send(out, ByteSpan{data}.subspan(sent))) sent += n->count;
    std::array<std::uint8_t, 8192> buffer;
    while (in) {
      const auto n = to.try_receive(in, buffer);
      if (!n || n->count == 0) break;
      got.insert(got.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(n->count));
    }
    return got.size() == bytes;
  });
  EXPECT_TRUE(finished) << got.size() << " of " << bytes;
  EXPECT_EQ(got, data);
  return got;
}

TEST(Shard, ADeviceWithoutOffloadsGetsFramesThatFitItsMtu) {
  TwoHosts net({.caps = {.link = LinkType::ip, .mtu = 600}});
  transfer(net, 200'000);
}

TEST(Shard, ADeviceThatTakesSuperSegmentsGetsThemWhole) {
  TwoHosts net({.caps = {.link = LinkType::ethernet,
                         .mtu = 1500,
                         .max_gso = 65535,
                         .tx_checksum = true,
                         .rx_checksum = true,
                         .rx_merges = true,
                         .gather = true}});
  transfer(net, 2'000'000);
  // 2 MB in segments of 1,448 bytes would be 1,382 packets.
  EXPECT_LT(net.shard(0).ports()[0].device()->counters().tx_packets, 700U);
}

TEST(Shard, AFullDeviceHoldsTheSenderBackWithoutLoss) {
  TwoHosts net({.ring = 4});
  transfer(net, 500'000);
  EXPECT_EQ(net.stack(0).counters().get(Counter::tcp_timeouts), 0U);
}

TEST(Shard, BatchesOfOneAndOfSixtyFourGiveTheSameStream) {
  for (const std::size_t batch : {std::size_t{1}, std::size_t{64}}) {
    TwoHosts net({.budgets = {.receive_batches = 64, .transmit_batches = 256, .batch = batch}});
    transfer(net, 100'000);
  }
}

TEST(Shard, AnIdleShardAsksForNothing) {
  TwoHosts net;
  transfer(net, 1000);
  net.run_for(Duration::s(5));
  const auto before = net.stack(0).counters().get(Counter::ip_sent);
  net.run_for(Duration::s(60));
  EXPECT_EQ(net.stack(0).counters().get(Counter::ip_sent), before);
}

TEST(Shard, DetachingADeviceMidTransferLeavesNothingBehind) {
  TwoHosts net;
  Stack& s = net.stack(0);
  const Handle h = s.open_stream().value();
  ASSERT_TRUE(s.connect(h, {TwoHosts::address(1), Port{80}}));
  (void)net.shard(0).turn(net.now());
  ASSERT_TRUE(net.shard(0).detach(net.interface(0)));
  (void)net.shard(0).turn(net.now());
  EXPECT_EQ(net.shard(0).detach(net.interface(0)).error(), Errc::not_found);
  ASSERT_TRUE(s.close(h));
}

TEST(Shard, PostedWorkIsDrainedFirstInEveryTurn) {
  TwoHosts net;
  int drained = 0;
  net.shard(0).set_inbox({[](void* n) { ++*static_cast<int*>(n); }, &drained});
  (void)net.shard(0).turn(net.now());
  (void)net.shard(0).turn(net.now());
  EXPECT_EQ(drained, 2);
}

}  // namespace
}  // namespace leat
