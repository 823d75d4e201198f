#include <leat/drive/shard.hpp>
#include <leat/drive/two_hosts_test_support.hpp>
#include <leat/offload/checksum_completion.hpp>

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

// Ten of them fit one frame, but a frame is one segment.
TEST(Shard, SegmentsSmallerThanTheFrameAreSplitToo) {
  TwoHosts net;
  ASSERT_TRUE(net.stack(0).set_option(OptionId::tcp_max_segment, 100));
  transfer(net, 100'000);
  EXPECT_EQ(net.stack(0).counters().get(Counter::tcp_retransmitted_segments), 0U);
  EXPECT_GE(net.shard(0).ports()[0].device()->counters().tx_packets, 1'000U);
  EXPECT_EQ(net.shard(0).ports()[0].device()->counters().tx_dropped, 0U);
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

// A payload that is copied is summed on the way, unless the device sums for nothing; what is right comes of both.
TEST(Shard, ASmallSegmentIsSummedOnlyWhereTheDeviceDoesNot) {
  for (const bool offload : {false, true})
    for (const IpAddress& server : {TwoHosts::address(1), TwoHosts::address6(1)}) {
      TwoHosts net({.caps = {.link = LinkType::ethernet, .mtu = 1500, .tx_checksum = offload}});
      Stack& from = net.stack(0);
      Stack& to = net.stack(1);
      const Handle listener = to.open_stream().value();
      ASSERT_TRUE(to.bind(listener, {server, Port{80}}));
      ASSERT_TRUE(to.listen(listener, 4));
      const Handle out = from.open_stream().value();
      ASSERT_TRUE(from.connect(out, {server, Port{80}}));
      ASSERT_TRUE(net.run(net.now() + Duration::s(60), [&] { return to.try_accept(listener).has_value(); }));
      net.run_for(Duration::s(10));  // reports and probes of the beginning
      const std::array<std::uint8_t, 7> data{1, 2, 3, 4, 5, 6, 7};
      ASSERT_TRUE(from.try_send(out, data));
      PacketBatch batch;
      from.output(net.interface(0), batch, net.now());
      ASSERT_EQ(batch.size(), 1U);
      EXPECT_EQ(batch[0].meta().checksum, offload ? ChecksumState::to_fill : ChecksumState::none);
      ASSERT_TRUE(complete_checksum(batch[0], LinkType::ethernet));  // as a device does
      EXPECT_EQ(verify_checksum(batch[0], LinkType::ethernet), ChecksumVerdict::good);
    }
}

TEST(Shard, AFullDeviceHoldsTheSenderBackWithoutLoss) {
  TwoHosts net({.ring = 4});
  transfer(net, 500'000);
  EXPECT_EQ(net.stack(0).counters().get(Counter::tcp_timeouts), 0U);
}

// Room comes while packets leave, behind the stage that tells of it: nobody else would call the shard again.
TEST(Shard, AWriterWhomLeavingPacketsMadeRoomForIsToldWithoutDelay) {
  for (const bool flush : {false, true}) {
    SCOPED_TRACE(flush);
    TwoHosts net({.ring = 256});
    Stack& stack = net.stack(0);
    const Endpoint to{TwoHosts::address(1), Port{9}};
    ASSERT_TRUE(net.stack(1).bind(net.stack(1).open_udp().value(), to));
    const Handle writer = stack.open_udp().value();
    unsigned told = 0;
    const Sink sink{[](void* n, std::uint64_t, Handle, Ready, Ready) { ++*static_cast<unsigned*>(n); }, &told};
    ASSERT_TRUE(stack.set_sink(writer, &sink, 0, Ready::writable));
    const std::array<std::uint8_t, 3> data{1, 2, 3};
    ASSERT_TRUE(stack.try_send_to(writer, data, to));
    net.run_for(Duration::s(10));
    told = 0;
    while (stack.try_send_to(writer, data, to)->status == IoStatus::done) {
    }
    Shard& shard = net.shard(0);
    const auto call = [&] { return flush ? shard.flush(net.now()) : shard.turn(net.now()); };
    EXPECT_EQ(call(), net.now());
    EXPECT_FALSE(stack.has_output(net.interface(0)));
    (void)call();
    EXPECT_EQ(told, 1U);
  }
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

// A server that ends: who waits for its answer, who is not accepted yet, and a dozen more learn that it is gone; who
// was served and closed keeps what it has got.
TEST(Shard, PeersHearThatTheStackEnds) {
  TwoHosts net;
  Stack& server = net.stack(1);
  Stack& client = net.stack(0);
  const Handle listener = server.open_stream().value();
  ASSERT_TRUE(server.bind(listener, {TwoHosts::address(1), Port{80}}));
  ASSERT_TRUE(server.listen(listener, 16));
  constexpr std::size_t kMany = 14;
  std::vector<Handle> ends;
  for (std::size_t i = 0; i < kMany; ++i) {
    ends.push_back(client.open_stream().value());
    ASSERT_TRUE(client.connect(ends.back(), {TwoHosts::address(1), Port{80}}));
  }
  const auto until = [&](const auto& done) { ASSERT_TRUE(net.run(net.now() + Duration::s(5), done)); };
  const auto is = [&](Handle h, Ready what) { return any(client.readiness(h) & what); };
  until([&] { return std::ranges::all_of(ends, [&](Handle h) { return is(h, Ready::connected); }); });
  const Handle served = server.try_accept(listener).value();
  const std::array<std::uint8_t, 3> answer{1, 2, 3};
  ASSERT_EQ(server.try_send(served, answer)->count, 3U);
  ASSERT_TRUE(server.close(served));
  const Handle accepted = server.try_accept(listener).value();
  ASSERT_TRUE(accepted);
  until([&] { return std::ranges::any_of(ends, [&](Handle h) { return is(h, Ready::peer_fin); }); });
  net.run_for(Duration::s(1));

  net.shard(1).reset_peers(net.now());
  std::size_t reset = 0;
  std::size_t whole = 0;
  net.run_for(Duration::s(1));
  for (const Handle h : ends) {
    std::array<std::uint8_t, 8> data;
    const auto got = client.try_receive(h, data);
    if (!got) reset += got.error() == Errc::connection_reset ? 1 : 0;
    if (got && got->count == 3) ++whole;
  }
  EXPECT_EQ(reset, kMany - 1);
  EXPECT_EQ(whole, 1U);
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
