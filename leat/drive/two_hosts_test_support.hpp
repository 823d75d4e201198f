#pragma once
// Two hosts on one wire under a virtual clock: for tests of what stands above the stack.

#include <gtest/gtest.h>

#include <array>
#include <leat/core/all_modules.hpp>
#include <leat/device/memory_pipe.hpp>
#include <leat/drive/callback_socket.hpp>
#include <leat/drive/shard.hpp>
#include <memory>
#include <vector>

namespace leat::test {

inline constexpr Limits kTestLimits{.sockets = 64};

class TwoHosts {
 public:
  struct Options {
    DeviceCaps caps{.link = LinkType::ethernet, .mtu = 1500};
    std::size_t ring = 64;
    Budgets budgets{};
    PoolLayout pool{.packets = 2048, .chunks = {1024, 1024, 16}, .reserve = 16};
  };

  TwoHosts() : TwoHosts(Options{}) {}
  explicit TwoHosts(const Options& o)
      : memory_(PacketPool::bytes_needed(o.pool)),
        pool_(memory_, o.pool),
        to_a_(o.ring),
        to_b_(o.ring),
        pipe_({.pool_a = &pool_,
               .pool_b = &pool_,
               .to_a = to_a_,
               .to_b = to_b_,
               .caps = o.caps,
               .mac_a = MacAddress{{2, 0, 0, 0, 0, 1}},
               .mac_b = MacAddress{{2, 0, 0, 0, 0, 2}}}) {
    for (std::size_t i = 0; i < 2; ++i) {
      storage_[i] = std::make_unique<StackStorage<kTestLimits>>();
      const Entropy entropy{{1 + i, 2, 3, 4}};
      stack_[i] = std::make_unique<Stack>(storage_[i]->view(pool_), kAllModules, entropy, now_);
      shard_[i] = std::make_unique<Shard>(*stack_[i], std::span{&port_[i], 1}, o.budgets);
      shard_[i]->check_invariants_every_turn(true);
    }
    interface_[0] = shard_[0]->attach(device_a_, {.name = "a"}).value();
    interface_[1] = shard_[1]->attach(device_b_, {.name = "b"}).value();
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_TRUE(stack_[i]->add_address(interface_[i], {address(i), 24}));
      if (o.caps.mtu >= 1280) {
        EXPECT_TRUE(stack_[i]->add_address(interface_[i], {address6(i), 64}));
      }
    }
  }

  static IpAddress address(std::size_t host) { return IpAddress::v4(10, 0, 0, static_cast<std::uint8_t>(1 + host)); }
  static IpAddress address6(std::size_t host) {
    return IpAddress::v6({0xfd00, 0, 0, 0, 0, 0, 0, static_cast<std::uint16_t>(1 + host)});
  }

  // Turns both hosts until nothing happens before `until`, or `done` says so. False: time is over.
  template <class Done>
  bool run(Instant until, Done&& done) {
    for (;;) {
      if (done()) return true;  // before the turns: what it writes must go out at this time
      const Instant a = shard_[0]->turn(now_);
      const Instant b = shard_[1]->turn(now_);
      const Instant next = earlier(earlier(a, b), device_a_.next_event());  // host 1 may have sent something to host 0
      if (next > until) {
        now_ = until;
        return done();
      }
      if (next > now_) now_ = next;
    }
  }
  void run_for(Duration d) {
    (void)run(now_ + d, [] { return false; });
  }

  [[nodiscard]] Stack& stack(std::size_t i) { return *stack_[i]; }
  [[nodiscard]] Shard& shard(std::size_t i) { return *shard_[i]; }
  [[nodiscard]] PacketPool& pool() { return pool_; }
  [[nodiscard]] Instant now() const { return now_; }
  [[nodiscard]] InterfaceId interface(std::size_t i) const { return interface_[i]; }
  // Ends both stacks; the pool must then be whole.
  void finish() {
    for (std::size_t i = 0; i < 2; ++i) {
      (void)shard_[i]->detach(interface_[i]);
      stack_[i].reset();
    }
    for (Packet& p : to_a_) p.reset();
    for (Packet& p : to_b_) p.reset();
    EXPECT_TRUE(pool_.all_free());
  }

 private:
  Instant now_ = Instant::from_ns(1'000'000'000);
  std::vector<std::uint8_t> memory_;
  PacketPool pool_;
  std::vector<Packet> to_a_, to_b_;
  MemoryPipe pipe_;
  DeviceRef<MemoryPipe::End> device_a_{pipe_.a()};
  DeviceRef<MemoryPipe::End> device_b_{pipe_.b()};
  std::array<std::unique_ptr<StackStorage<kTestLimits>>, 2> storage_;
  std::array<DevicePort, 2> port_;
  std::array<std::unique_ptr<Stack>, 2> stack_;
  std::array<std::unique_ptr<Shard>, 2> shard_;
  std::array<InterfaceId, 2> interface_{};
};

}  // namespace leat::test
