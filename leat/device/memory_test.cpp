#include <gtest/gtest.h>

#include <leat/device/loopback.hpp>
#include <leat/device/memory_pipe.hpp>
#include <leat/offload/frames_test_support.hpp>

namespace leat {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)

constexpr Instant kNow = Instant::from_ns(1234);

TEST(Loopback, GivesBackWhatWasSentInOrderAsReceived) {
  Memory m({.packets = 8, .chunks = {8, 8, 1}});
  std::array<Packet, 4> ring;
  LoopbackDevice device(ring);
  PacketBatch batch;
  for (unsigned i = 0; i < 6; ++i) {
    Packet p = packet_of(m.pool, numbers(100, i));
    p.meta().mark = 9;
    p.meta().time = Instant::from_ns(5);
    batch.push(std::move(p));
  }
  EXPECT_EQ(device.tx(batch, kNow), 4U);
  EXPECT_EQ(batch.size(), 2U);
  EXPECT_EQ(contents(batch[0]), numbers(100, 4));  // what was not taken stays, in order
  PacketBatch in(3);
  EXPECT_EQ(device.rx(in, kNow), 3U);
  for (unsigned i = 0; i < 3; ++i) {
    EXPECT_EQ(contents(in[i]), numbers(100, i));
    EXPECT_EQ(in[i].meta().mark, 0U);
    EXPECT_EQ(in[i].meta().time, kNow);
  }
  in.clear();
  EXPECT_NE(device.next_event(), Instant::never());
  EXPECT_EQ(device.rx(in, kNow), 1U);
  EXPECT_EQ(device.next_event(), Instant::never());
  EXPECT_EQ(device.counters().tx_packets, 4U);
  EXPECT_EQ(device.counters().tx_full, 1U);
}

struct Pipe : testing::Test {
  Memory left{{.packets = 64, .chunks = {64, 64, 2}}};
  Memory right{{.packets = 32, .chunks = {32, 32, 1}}};
  std::array<Packet, 8> to_a;
  std::array<Packet, 8> to_b;
  PacketBatch out;
  PacketBatch in;
  DeviceCaps caps{.link = LinkType::ip,
                  .mac = {},
                  .mtu = 1500,
                  .max_gso = 0,
                  .tx_checksum = false,
                  .rx_checksum = false,
                  .rx_merges = false,
                  .gather = true};
  MemoryPipe make(PacketPool& a, PacketPool& b) {
    return MemoryPipe{{.pool_a = &a, .pool_b = &b, .to_a = to_a, .to_b = to_b, .caps = caps, .mac_a = {}, .mac_b = {}}};
  }
};

TEST_F(Pipe, MovesWithinOnePoolAndCopiesBetweenTwo) {
  for (const bool shared : {true, false}) {
    MemoryPipe pipe = make(left.pool, shared ? left.pool : right.pool);
    Packet p = packet_of(left.pool, numbers(700));
    const Index index = p.index();
    out.push(std::move(p));
    EXPECT_EQ(pipe.a().tx(out, kNow), 1U);
    EXPECT_EQ(pipe.b().rx(in, kNow), 1U);
    EXPECT_EQ(&in[0].pool(), shared ? &left.pool : &right.pool);
    if (shared) {
      EXPECT_EQ(in[0].index(), index);
    }
    EXPECT_EQ(contents(in[0]), numbers(700));
    EXPECT_EQ(in[0].meta().time, kNow);
    // And the other way.
    EXPECT_EQ(pipe.b().tx(in, kNow), 1U);
    EXPECT_EQ(pipe.a().rx(out, kNow), 1U);
    EXPECT_EQ(contents(out[0]), numbers(700));
    out.clear();
  }
  EXPECT_TRUE(left.pool.all_free());
  EXPECT_TRUE(right.pool.all_free());
}

TEST_F(Pipe, AFullRingLeavesTheRestToTheSender) {
  MemoryPipe pipe = make(left.pool, left.pool);
  for (unsigned i = 0; i < 10; ++i) out.push(packet_of(left.pool, numbers(50, i)));
  EXPECT_EQ(pipe.a().tx(out, kNow), 8U);
  EXPECT_EQ(out.size(), 2U);
  EXPECT_EQ(pipe.b().rx(in, kNow), 8U);
  EXPECT_EQ(pipe.a().tx(out, kNow), 2U);
  EXPECT_EQ(pipe.b().rx(in, kNow), 2U);
  for (unsigned i = 0; i < 10; ++i) EXPECT_EQ(contents(in[i]), numbers(50, i));
}

TEST_F(Pipe, FramesWaitInTheRingUntilTheReceiverHasMemory) {
  MemoryPipe pipe = make(left.pool, right.pool);
  for (unsigned i = 0; i < 4; ++i) out.push(packet_of(left.pool, numbers(300, i)));
  pipe.a().tx(out, kNow);
  right.pool.fail_allocation(2, true);
  EXPECT_EQ(pipe.b().rx(in, kNow), 1U);
  EXPECT_EQ(pipe.b().rx(in, kNow), 0U);
  EXPECT_GT(pipe.b().next_event(), kNow);  // not a busy loop
  EXPECT_FALSE(pipe.b().next_event().is_never());
  right.pool.fail_allocation(0);
  EXPECT_EQ(pipe.b().rx(in, kNow), 3U);
  for (unsigned i = 0; i < 4; ++i) EXPECT_EQ(contents(in[i]), numbers(300, i));
  EXPECT_EQ(pipe.b().counters().rx_dropped, 0U);
}

TEST_F(Pipe, AnAckBehindDataThatFindsNoMemoryGetsThrough) {
  Memory tight({.packets = 8, .chunks = {4, 2, 0}, .reserve = 2});
  MemoryPipe pipe = make(left.pool, tight.pool);
  std::vector<Packet> hoard;
  while (Packet p = tight.pool.allocate(ChunkClass::normal)) hoard.push_back(std::move(p));
  while (Packet p = tight.pool.allocate(ChunkClass::small)) hoard.push_back(std::move(p));
  out.push(packet_of(left.pool, numbers(1000)));
  out.push(packet_of(left.pool, numbers(52)));
  pipe.a().tx(out, kNow);
  Instant now = kNow;
  EXPECT_EQ(pipe.b().rx(in, now), 0U);
  for (int i = 0; i < 100 && in.empty(); ++i) {
    now = pipe.b().next_event();
    pipe.b().rx(in, now);
  }
  ASSERT_EQ(in.size(), 1U);
  EXPECT_EQ(contents(in[0]), numbers(52));
  EXPECT_EQ(pipe.b().counters().rx_dropped, 1U);
  EXPECT_GE(now - kNow, MemoryPipe::kPatience);
  in.clear();
}

TEST_F(Pipe, SuperSegmentsPassWholeWhenAsked) {
  const FrameSpec s{.link = LinkType::ip, .payload = numbers(20000)};
  MemoryPipe plain = make(left.pool, right.pool);
  out.push(super_segment(left.pool, s, 1448, {0}));
  EXPECT_EQ(plain.a().tx(out, kNow), 1U);  // taken and dropped, never kept
  EXPECT_EQ(plain.a().counters().tx_dropped, 1U);
  EXPECT_EQ(plain.b().rx(in, kNow), 0U);
  // One segment is an ordinary packet, whatever its sender meant to send.
  out.push(super_segment(left.pool, {.link = LinkType::ip, .payload = numbers(1000)}, 1448));
  EXPECT_EQ(plain.a().tx(out, kNow), 1U);
  ASSERT_EQ(plain.b().rx(in, kNow), 1U);
  EXPECT_EQ(in[0].meta().gso_size, 0);
  in.clear();

  caps.max_gso = 65535;
  Memory no_large({.packets = 32, .chunks = {8, 32, 0}});
  for (PacketPool* receiver : {&left.pool, &right.pool, &no_large.pool}) {
    MemoryPipe pipe = make(left.pool, *receiver);
    out.push(super_segment(left.pool, s, 1448, {0}));
    EXPECT_EQ(pipe.a().tx(out, kNow), 1U);
    ASSERT_EQ(pipe.b().rx(in, kNow), 1U);
    EXPECT_EQ(contents(in[0]), make_frame(s));
    EXPECT_EQ(in[0].meta().gso_size, 1448);
    EXPECT_EQ(in[0].meta().gso_type, GsoType::tcp_v4);
    EXPECT_EQ(in[0].meta().merged, 14);
    EXPECT_EQ(in[0].meta().payload_offset, 52);
    in.clear();
    EXPECT_TRUE(receiver->all_free());
  }
}

// 65,535 bytes of IP packet and an Ethernet header leave a large chunk less room than the usual headroom.
TEST_F(Pipe, TheLargestEthernetFrameIsCopied) {
  caps.link = LinkType::ethernet;
  caps.mtu = 65535;
  MemoryPipe pipe = make(left.pool, right.pool);
  Packet p = left.pool.allocate(ChunkClass::large, 0);
  std::ranges::copy(numbers(65549), p.append(65549).begin());
  out.push(std::move(p));
  EXPECT_EQ(pipe.a().tx(out, kNow), 1U);
  ASSERT_EQ(pipe.b().rx(in, kNow), 1U);
  EXPECT_EQ(contents(in[0]), numbers(65549));
  in.clear();
}

TEST_F(Pipe, WhatTheReceiverCanNeverHoldIsDropped) {
  caps.max_gso = 65535;
  Memory tiny({.packets = 4, .chunks = {4, 4, 0}});
  MemoryPipe pipe = make(left.pool, tiny.pool);
  out.push(super_segment(left.pool, {.link = LinkType::ip, .payload = numbers(20000)}, 1448, {0}));
  out.push(packet_of(left.pool, numbers(60)));
  EXPECT_EQ(pipe.a().tx(out, kNow), 2U);
  EXPECT_EQ(pipe.b().rx(in, kNow), 1U);
  EXPECT_EQ(pipe.b().counters().rx_dropped, 1U);
  EXPECT_EQ(contents(in[0]), numbers(60));
  in.clear();
}

TEST_F(Pipe, DropsWhatDoesNotFitItsCaps) {
  MemoryPipe pipe = make(left.pool, left.pool);
  out.push(packet_of(left.pool, numbers(1501)));
  Packet unfinished = packet_of(left.pool, numbers(100));
  unfinished.meta().checksum = ChecksumState::to_fill;
  out.push(std::move(unfinished));
  out.push(packet_of(left.pool, numbers(1500)));
  EXPECT_EQ(pipe.a().tx(out, kNow), 3U);
  EXPECT_EQ(pipe.a().counters().tx_dropped, 2U);
  EXPECT_EQ(pipe.b().rx(in, kNow), 1U);
}

TEST_F(Pipe, EveryFailedAllocationOfACopyLeavesTheFrameWhereItWas) {
  caps.max_gso = 65535;
  Memory no_large({.packets = 32, .chunks = {8, 32, 0}});
  const FrameSpec s{.link = LinkType::ip, .payload = numbers(20000)};
  for (std::uint64_t nth = 1;; ++nth) {
    MemoryPipe pipe = make(left.pool, no_large.pool);
    out.push(super_segment(left.pool, s, 1448, {0}));
    pipe.a().tx(out, kNow);
    const std::uint64_t before = no_large.pool.exhausted();
    no_large.pool.fail_allocation(nth);
    const std::size_t first = pipe.b().rx(in, kNow);
    const bool failed = no_large.pool.exhausted() != before;
    no_large.pool.fail_allocation(0);
    if (first == 0) {
      EXPECT_EQ(pipe.b().rx(in, kNow), 1U);
    }
    ASSERT_EQ(in.size(), 1U);
    EXPECT_EQ(contents(in[0]), make_frame(s));
    in.clear();
    EXPECT_TRUE(no_large.pool.all_free());
    if (!failed) {
      EXPECT_GT(nth, 10U);
      break;
    }
  }
}

}  // namespace
}  // namespace leat
