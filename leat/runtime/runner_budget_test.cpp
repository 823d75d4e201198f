// A runner whose shards never have nothing to do: descriptors, timers, posted work, a stop and the other shards get
// their turn all the same, and soon. Counted in turns, not in time.

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <leat/core/all_modules.hpp>
#include <leat/runtime/clock.hpp>
#include <leat/runtime/runner.hpp>
#include <memory>
#include <vector>

namespace leat {
namespace {

constexpr Duration kPatience = Duration::s(20);  // never reached
constexpr Limits kLimits{.sockets = 16};
constexpr PoolLayout kLayout{.packets = 256, .chunks = {256, 256, 0}, .reserve = 16};
// A busy loop looks at its descriptors every 16 turns.
constexpr std::uint64_t kSoon = 17;

// Always has packets, which the stack drops.
class EndlessDevice final : public AnyDevice {
 public:
  explicit EndlessDevice(PacketPool& pool) : pool_(&pool) {}
  DeviceCaps caps() const override { return {.link = LinkType::ip, .mtu = 1500}; }
  std::size_t rx(PacketBatch& batch, Instant) override {
    ++calls;
    std::size_t given = 0;
    for (; !batch.full(); ++given) {
      Packet p = pool_->allocate_for(20);
      if (!p) break;
      std::ranges::fill(p.append(20), std::uint8_t{0});
      batch.push(std::move(p));
    }
    received_ += given;
    return given;
  }
  std::size_t tx(PacketBatch& batch, Instant) override {
    const std::size_t n = batch.size();
    batch.pop_front(n);
    return n;
  }
  Instant next_event() const override { return Instant{}; }
  int poll_fd() const override { return -1; }
  DeviceCounters counters() const override { return {.rx_packets = received_}; }

  std::uint64_t calls = 0;

 private:
  PacketPool* pool_;
  std::uint64_t received_ = 0;
};

struct BusyHost {
  BusyHost()
      : memory(PacketPool::bytes_needed(kLayout)),
        pool(memory, kLayout),
        storage(std::make_unique<StackStorage<kLimits>>()),
        stack(storage->view(pool), kAllModules, Entropy{{1, 2, 3, 4}}, monotonic_now()),
        shard(stack, ports, Budgets{.receive_batches = 1, .batch = 8}) {
    EXPECT_TRUE(shard.attach(device, {.name = "busy"}));
  }
  std::vector<std::uint8_t> memory;
  PacketPool pool;
  std::unique_ptr<StackStorage<kLimits>> storage;
  std::array<DevicePort, 1> ports;
  EndlessDevice device{pool};
  Stack stack;
  Shard shard;
};

class BusyRunner : public ::testing::Test {
 protected:
  BusyRunner() { runner.add(host.shard); }
  bool until(const std::function<bool()>& done) { return runner.run_until(done, monotonic_now() + kPatience); }
  BusyHost host;
  Runner runner;
};

TEST_F(BusyRunner, LooksAtItsDescriptors) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  std::vector<std::uint64_t> seen;  // turns
  ASSERT_TRUE(runner.watch(ends[0], EPOLLIN, [&](std::uint32_t) { seen.push_back(runner.turns()); }));
  ASSERT_TRUE(until([&] { return seen.size() == 3; }));
  for (std::size_t i = 0; i < 3; ++i) EXPECT_LE(seen[i] - (i == 0 ? 0 : seen[i - 1]), kSoon);
  EXPECT_EQ(runner.sleeps(), 0U) << "there was always more";
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(BusyRunner, RunsItsTimers) {
  std::uint64_t fired_in = 0;
  runner.after(Duration{}, [&] { fired_in = runner.turns() + 1; });
  ASSERT_TRUE(until([&] { return fired_in != 0; }));
  EXPECT_LE(fired_in, 2U);
  // One that arms itself anew leaves the shards their turns.
  int fired = 0;
  std::function<void()> again = [&] {
    ++fired;
    runner.after(Duration{}, again);
  };
  again();
  const std::uint64_t before = runner.turns();
  ASSERT_TRUE(until([&] { return fired >= 50; }));
  EXPECT_GE(runner.turns() - before, 49U);
}

TEST_F(BusyRunner, RunsPostedTasksOnceATurn) {
  int ran = 0;
  std::function<void()> again = [&] {
    ++ran;
    runner.post(again);
  };
  runner.post(again);
  const std::uint64_t before = host.device.calls;
  ASSERT_TRUE(until([&] { return ran >= 50; }));
  EXPECT_EQ(host.device.calls - before, 50U) << "each turn of the shard lies between two of them";
}

TEST_F(BusyRunner, StopsInTheNextTurn) {
  runner.request_stop();
  EXPECT_EQ(runner.run(monotonic_now() + kPatience), Runner::End::stopped);
  EXPECT_EQ(runner.turns(), 1U);
  EXPECT_EQ(runner.run(monotonic_now() + Duration::ms(2)), Runner::End::deadline);
}

TEST_F(BusyRunner, TurnsAllShardsEqually) {
  BusyHost second;
  runner.add(second.shard);
  ASSERT_TRUE(until([&] { return runner.turns() == 40; }));
  EXPECT_EQ(host.device.calls, 40U);
  EXPECT_EQ(second.device.calls, 40U);
  runner.remove(second.shard);
}

}  // namespace
}  // namespace leat
