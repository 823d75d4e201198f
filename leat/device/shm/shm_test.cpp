#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <leat/device/shm/shm_unsafe.hpp>
#include <string>
#include <thread>
#include <vector>

namespace leat {
namespace {

constexpr PoolLayout kLayout{.packets = 64, .chunks = {32, 32, 4}, .reserve = 2};

struct Memory {
  Memory() : region(PacketPool::bytes_needed(kLayout)), pool(region, kLayout) {}
  std::vector<std::uint8_t> region;
  PacketPool pool;
  Packet frame(std::size_t size, std::uint8_t fill) {
    Packet p = pool.allocate(size > 1900 ? ChunkClass::large : ChunkClass::normal);
    std::ranges::fill(p.append(static_cast<std::uint32_t>(size)), fill);
    return p;
  }
};

bool readable(int fd) {
  pollfd p{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&p, 1, 0) == 1;
}

TEST(Device_shm, FramesOfAllSizesCrossAndTooLargeOnesAreCounted) {
  Memory a, b;
  auto pair = ShmPair::make({.mtu = 9000, .frames = 8}, a.pool, b.pool).value();
  EXPECT_NE(pair->a().caps().mac, pair->b().caps().mac);
  for (const std::size_t size : {14U, 60U, 128U, 129U, 1514U, 1921U, 9014U}) {
    PacketBatch out, in;
    out.push(a.frame(size, static_cast<std::uint8_t>(size)));
    EXPECT_EQ(pair->a().tx(out, {}), 1U);
    ASSERT_EQ(pair->b().rx(in, Instant::from_ns(5)), 1U);
    EXPECT_EQ(in[0].size(), size);
    std::vector<std::uint8_t> bytes(size);
    in[0].copy_out(0, bytes);
    EXPECT_TRUE(std::ranges::all_of(bytes, [&](std::uint8_t v) { return v == static_cast<std::uint8_t>(size); }));
    EXPECT_EQ(in[0].meta().time, Instant::from_ns(5));
  }
  PacketBatch out;
  out.push(a.frame(9015, 1));
  EXPECT_EQ(pair->a().tx(out, {}), 1U);
  EXPECT_EQ(pair->a().counters().tx_dropped, 1U);
}

TEST(Device_shm, AFullRingKeepsTheRestInOrder) {
  Memory a, b;
  auto pair = ShmPair::make({.frames = 4}, a.pool, b.pool).value();
  PacketBatch out, in;
  for (std::uint8_t i = 0; i < 6; ++i) out.push(a.frame(60, i));
  EXPECT_EQ(pair->a().tx(out, {}), 4U);
  ASSERT_EQ(out.size(), 2U);
  EXPECT_EQ(pair->b().rx(in, {}), 4U);
  EXPECT_EQ(pair->a().tx(out, {}), 2U);
  EXPECT_EQ(pair->b().rx(in, {}), 2U);
  for (std::uint8_t i = 0; i < 6; ++i) {
    std::uint8_t first = 255;
    in[i].copy_out(0, MutableByteSpan{&first, 1});
    EXPECT_EQ(first, i);
  }
}

TEST(Device_shm, AReceiverWithoutMemoryDropsAndCounts) {
  Memory a, b;
  auto pair = ShmPair::make({.frames = 8}, a.pool, b.pool).value();
  std::vector<Packet> hoard;
  while (Packet p = b.pool.allocate(ChunkClass::normal)) hoard.push_back(std::move(p));
  PacketBatch out, in;
  out.push(a.frame(1000, 1));
  (void)pair->a().tx(out, {});
  EXPECT_EQ(pair->b().rx(in, {}), 0U);
  EXPECT_EQ(pair->b().counters().rx_dropped, 1U);
}

// S1: a partner that fills the ring keeps nobody in one call, however little of it can be taken.
TEST(Device_shm, FramesThatAreDroppedCountForTheBudgetOfACall) {
  Memory a, b;
  auto pair = ShmPair::make({.frames = 1024}, a.pool, b.pool).value();
  std::vector<Packet> hoard;
  while (Packet p = b.pool.allocate(ChunkClass::normal)) hoard.push_back(std::move(p));
  for (int i = 0; i < 1024; ++i) {
    PacketBatch out;
    out.push(a.frame(1000, 1));
    ASSERT_EQ(pair->a().tx(out, {}), 1U);
  }
  PacketBatch in;
  EXPECT_EQ(pair->b().rx(in, {}), 0U);
  EXPECT_GE(pair->b().counters().rx_dropped, PacketBatch::kMax);
  EXPECT_LE(pair->b().counters().rx_dropped, 2 * PacketBatch::kMax);
  EXPECT_FALSE(pair->b().before_sleep());  // there is more: who would sleep looks again
}

TEST(Device_shm, WhoSleepsIsRungAndWhoIsAwakeIsNot) {
  Memory a, b;
  auto pair = ShmPair::make({}, a.pool, b.pool).value();
  const auto send = [&] {
    PacketBatch out;
    out.push(a.frame(60, 1));
    (void)pair->a().tx(out, {});
  };
  send();
  EXPECT_FALSE(readable(pair->b().poll_fd()));
  EXPECT_FALSE(pair->b().before_sleep());  // something is there
  PacketBatch in;
  (void)pair->b().rx(in, {});
  EXPECT_TRUE(pair->b().before_sleep());
  send();
  EXPECT_TRUE(readable(pair->b().poll_fd()));
  pair->b().after_sleep();
  EXPECT_FALSE(readable(pair->b().poll_fd()));
}

TEST(Device_shm, TwoSidesMeetByNameAndPart) {
  const std::string name = "test-" + std::to_string(::getpid());
  Memory a, b;
  auto first = Shm::open(name, {.mtu = 4000, .frames = 16}, a.pool).value();
  PacketBatch out, in;
  out.push(a.frame(60, 1));
  EXPECT_EQ(first.tx(out, {}), 1U);  // nobody is there
  EXPECT_EQ(first.counters().tx_dropped, 1U);
  std::atomic<bool> open{true};
  const auto join = [&] {
    Result<Shm> second = fail(Errc::not_found);
    open = true;
    std::thread joiner([&] {
      second = Shm::open(name, {}, b.pool);
      open = false;
    });
    while (open) {
      (void)first.rx(in, {});
      first.after_sleep();
    }
    joiner.join();
    return second;
  };
  for (int round = 0; round < 2; ++round) {
    auto second = join();
    ASSERT_TRUE(second);
    EXPECT_EQ(second->caps().mtu, 4000U);  // the first side's
    EXPECT_TRUE(first.joined());
    EXPECT_FALSE(join()) << "a third side was let in";
    out.push(a.frame(3000, 7));
    EXPECT_TRUE(second->before_sleep());
    (void)first.tx(out, {});
    EXPECT_TRUE(readable(second->poll_fd()));
    second->after_sleep();
    EXPECT_FALSE(readable(second->poll_fd()));
    EXPECT_EQ(second->rx(in, {}), 1U);
    in.clear();
    second = fail(Errc::not_found);  // it ends
    EXPECT_TRUE(readable(first.poll_fd()));
    first.after_sleep();
    EXPECT_FALSE(first.joined());
  }
}

// Found out while a batch is sent: the ring is full because its reader is gone.
TEST(Device_shm, AReaderThatIsGoneIsNoticedInTheMiddleOfABatch) {
  const std::string name = "gone-" + std::to_string(::getpid());
  Memory a, b;
  auto first = Shm::open(name, {.frames = 4}, a.pool).value();
  Result<Shm> second = fail(Errc::not_found);
  std::atomic<bool> open{true};
  std::thread joiner([&] {
    second = Shm::open(name, {}, b.pool);
    open = false;
  });
  PacketBatch in;
  while (open) (void)first.rx(in, {});
  joiner.join();
  ASSERT_TRUE(second && first.joined());
  EXPECT_TRUE(second->before_sleep());
  PacketBatch out;
  for (int i = 0; i < 5; ++i) out.push(a.frame(60, 1));
  EXPECT_EQ(first.tx(out, {}), 4U);
  EXPECT_TRUE(first.joined());
  EXPECT_TRUE(readable(second->poll_fd())) << "a look at the socket of who sends takes no ring of who sleeps";
  second->after_sleep();
  EXPECT_EQ(second->rx(in, {}), 4U);
  in.clear();
  second = fail(Errc::not_found);
  for (int i = 0; i < 4; ++i) out.push(a.frame(60, 1));
  EXPECT_EQ(first.tx(out, {}), 4U);
  EXPECT_FALSE(first.joined());
}

TEST(Device_shm, WhoIsLeftAloneFindsTheNextPartner) {
  const std::string name = "left-" + std::to_string(::getpid());
  Memory a, b, c;
  PacketBatch in, out;
  auto first = std::make_unique<Shm>(Shm::open(name, {}, a.pool).value());
  std::thread joiner;
  Result<Shm> second = fail(Errc::not_found);
  std::atomic<bool> open{true};
  joiner = std::thread([&] {
    second = Shm::open(name, {}, b.pool);
    open = false;
  });
  while (open) (void)first->rx(in, {});
  joiner.join();
  ASSERT_TRUE(second);
  first.reset();
  second->after_sleep();
  EXPECT_FALSE(second->joined());
  // It takes the name itself, and the next one to come is let in.
  Instant now;
  EXPECT_FALSE(second->next_event().is_never());
  (void)second->rx(in, now = second->next_event());
  EXPECT_TRUE(second->next_event().is_never());
  Result<Shm> third = fail(Errc::not_found);
  open = true;
  joiner = std::thread([&] {
    third = Shm::open(name, {}, c.pool);
    open = false;
  });
  while (open) (void)second->rx(in, now);
  joiner.join();
  ASSERT_TRUE(third);
  out.push(c.frame(60, 3));
  (void)third->tx(out, now);
  EXPECT_EQ(second->rx(in, now), 1U);
}

TEST(Device_shm, BadNamesAndSizesAreErrors) {
  Memory a;
  ShmProblem why;
  EXPECT_EQ(Shm::open("", {}, a.pool, &why).error(), Errc::invalid_argument);
  EXPECT_FALSE(why.cause.empty());
  EXPECT_EQ(Shm::open(std::string(99, 'x'), {}, a.pool).error(), Errc::invalid_argument);
  EXPECT_EQ(Shm::open("x", {.mtu = 20}, a.pool).error(), Errc::invalid_argument);
  EXPECT_EQ(Shm::open("x", {.frames = 3}, a.pool).error(), Errc::invalid_argument);
}

}  // namespace
}  // namespace leat
