#include <gtest/gtest.h>

#include <leat/drive/shard.hpp>
#include <leat/runtime/packet_memory.hpp>
#include <leat/runtime/thread_pipe.hpp>
#include <numeric>
#include <thread>
#include <vector>

namespace leat {
namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr PoolLayout kLayout{.packets = 64, .chunks = {32, 32, 2}, .reserve = 4};

Bytes numbers(std::size_t n, std::uint8_t first = 0) {
  Bytes b(n);
  std::iota(b.begin(), b.end(), first);
  return b;
}

TEST(Device_thread_pipe, RawPacketsGoBothWaysAndAFullRingSaysSo) {
  ThreadPipe pipe({.caps = {.mac = {}, .mtu = 100}, .slots = 4});
  ThreadPipe::Raw left(pipe.end(0)), right(pipe.end(1));
  Bytes into(200);
  EXPECT_FALSE(right.recv(into));
  for (std::uint8_t i = 0; i < 4; ++i) EXPECT_TRUE(left.send(numbers(10U + i, i)));
  EXPECT_FALSE(left.send(numbers(10))) << "bounded";
  EXPECT_FALSE(right.send(numbers(101))) << "longer than the MTU";
  for (std::uint8_t i = 0; i < 4; ++i) {
    EXPECT_EQ(right.recv(into), 10U + i);
    EXPECT_EQ(into[0], i);
  }
  EXPECT_TRUE(left.send(numbers(10)));
  EXPECT_EQ(right.recv(MutableByteSpan{into}.first(3)), 3U);
  EXPECT_TRUE(right.send(numbers(1)));
  EXPECT_EQ(left.recv(into), 1U);
}

TEST(Device_thread_pipe, ADeviceKeepsBytesAndWhatIsKnownOfThem) {
  auto memory = PacketMemory::make(kLayout).value();
  ThreadPipe pipe({.caps = {.mac = {}, .mtu = 1500, .max_gso = 65535, .tx_checksum = true}, .slots = 4});
  ThreadPipe::Device a(pipe.end(0), memory.pool()), b(pipe.end(1), memory.pool());
  PacketBatch batch;
  for (const std::uint32_t size : {40U, 1500U, 40'000U}) {
    Packet p = memory.pool().allocate_for(size);
    const Bytes bytes = numbers(size);
    std::ranges::copy(bytes, p.append(size).begin());
    p.meta().checksum = ChecksumState::to_fill;
    if (size > 1500) {
      p.meta().gso_size = 1460;
      p.meta().gso_type = GsoType::tcp_v4;
      p.meta().payload_offset = 40;
    }
    batch.push(std::move(p));
  }
  EXPECT_EQ(a.tx(batch, Instant{}), 3U);
  EXPECT_TRUE(batch.empty());
  EXPECT_EQ(b.rx(batch, Instant::from_ns(5)), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    Bytes got(batch[i].size());
    EXPECT_EQ(batch[i].copy_out(0, got), got.size());
    EXPECT_EQ(got, numbers(got.size()));
    EXPECT_EQ(batch[i].meta().checksum, ChecksumState::to_fill);
    EXPECT_EQ(batch[i].meta().time, Instant::from_ns(5));
  }
  EXPECT_EQ(batch[2].meta().gso_size, 1460);
  batch.clear();
  EXPECT_TRUE(memory.pool().all_free());
  EXPECT_EQ(b.counters().rx_packets, 3U);
}

TEST(Device_thread_pipe, FramesWaitForMemoryButNotForEver) {
  auto memory = PacketMemory::make({.packets = 8, .chunks = {8, 2, 0}, .reserve = 0}).value();
  ThreadPipe pipe({.caps = {.mac = {}, .mtu = 1500}, .slots = 8});
  ThreadPipe::Device device(pipe.end(0), memory.pool());
  ThreadPipe::Raw outside(pipe.end(1));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(outside.send(numbers(1500)));
  PacketBatch batch;
  Instant now = Instant::from_ns(1000);
  EXPECT_EQ(device.rx(batch, now), 2U);
  EXPECT_EQ(device.next_event(), now + Duration::ms(1));
  now = now + Duration::ms(30);
  EXPECT_EQ(device.rx(batch, now), 0U);
  EXPECT_EQ(device.counters().rx_dropped, 1U);
  EXPECT_TRUE(device.next_event().is_never());
  batch.clear();
}

// One thread sends, the other sleeps between packets: none is lost, no wake-up either.
TEST(Device_thread_pipe, ASleepingReaderIsWoken) {
  ThreadPipe pipe({.caps = {.mac = {}, .mtu = 100}, .slots = 8});
  constexpr std::uint32_t kPackets = 20'000;
  std::thread writer([&] {
    ThreadPipe::Raw out(pipe.end(0));
    for (std::uint32_t i = 0; i < kPackets;) {
      const auto byte = static_cast<std::uint8_t>(i);
      if (out.send({&byte, 1})) {
        ++i;
      } else {
        std::this_thread::yield();
      }
    }
  });
  ThreadPipe::Raw in(pipe.end(1));
  std::uint8_t byte = 0;
  for (std::uint32_t i = 0; i < kPackets;) {
    if (const auto n = in.recv({&byte, 1})) {
      ASSERT_EQ(byte, static_cast<std::uint8_t>(i));
      ++i;
    } else {
      ASSERT_TRUE(in.wait(Duration::s(20)));
    }
  }
  writer.join();
}

}  // namespace
}  // namespace leat
