#include <benchmark/benchmark.h>

#include <leat/base/rng.hpp>
#include <leat/core/timer_wheel.hpp>
#include <vector>

// The wheel as TCP uses it: a retransmission timer that is armed again with every ACK, and many idle connections whose
// keep-alive timers stand hours away. Nodes lie 128 bytes apart, as in control blocks.
namespace leat {
namespace {

struct alignas(128) Block {
  TimerNode timer;
};

struct Wheel {
  explicit Wheel(std::size_t n)
      : blocks(n), wheel(TimerNodes::of(std::span<Block>{blocks}, &Block::timer), Instant{}) {}
  std::vector<Block> blocks;
  TimerWheel wheel;
  std::uint64_t fired = 0;
  void on_fire(Index) { ++fired; }
  Delegate<void(Index)> callback() { return Delegate<void(Index)>::to<&Wheel::on_fire>(*this); }
};

std::vector<Index> random_order(std::uint32_t n) {
  Rng rng(SipKey{5, n});
  std::vector<Index> order(1U << 16);
  for (Index& i : order) i = rng.below(n);
  return order;
}

void rearm(benchmark::State& state) {
  const auto n = static_cast<std::uint32_t>(state.range(0));
  Wheel w(n);
  const auto order = random_order(n);
  Instant now;
  std::size_t k = 0;
  for (auto _ : state) {
    now = now + Duration::us(1);
    w.wheel.arm(order[k++ & 0xffff], now + Duration::ms(200));
    if ((k & 63) == 0) w.wheel.advance(now, 64, w.callback());
  }
}

void arm_cancel(benchmark::State& state) {
  Wheel w(64);
  std::size_t k = 0;
  for (auto _ : state) {
    w.wheel.arm(k & 63, Instant{} + Duration::ms(40));
    w.wheel.cancel(k++ & 63);
  }
}

// Every node fires: all its moves down are in the figure.
void fire(benchmark::State& state) {
  const auto n = static_cast<std::uint32_t>(state.range(0));
  Wheel w(n);
  Instant now;
  for (auto _ : state) {
    for (Index i = 0; i < n; ++i) w.wheel.arm(i, now + Duration::us(200'000 + i % 50'000));
    now = now + Duration::ms(300);
    while (w.wheel.next_deadline() <= now) w.wheel.advance(now, 256, w.callback());
  }
  state.SetItemsProcessed(state.iterations() * n);
}

// What a turn pays when nothing is due, with that many keep-alive timers armed.
void idle_turn(benchmark::State& state) {
  const auto n = static_cast<std::uint32_t>(state.range(0));
  Wheel w(n);
  for (Index i = 0; i < n; ++i) w.wheel.arm(i, Instant{} + Duration::s(7200) + Duration::us(i * 50));
  Instant now;
  for (auto _ : state) {
    now = now + Duration::ns(1);
    w.wheel.advance(now, 64, w.callback());
    benchmark::DoNotOptimize(w.wheel.next_deadline());
  }
}

BENCHMARK(rearm)->Arg(1)->Arg(1000)->Arg(1'000'000);
BENCHMARK(arm_cancel);
BENCHMARK(fire)->Arg(1000)->Arg(1'000'000);
BENCHMARK(idle_turn)->Arg(1)->Arg(1'000'000);

}  // namespace
}  // namespace leat
