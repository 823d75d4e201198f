#include <benchmark/benchmark.h>

#include <leat/device/impairment.hpp>
#include <leat/device/memory_pipe.hpp>
#include <vector>

// What a frame's way through a device costs that has no wire.

namespace leat {
namespace {

constexpr PoolLayout kLayout{.packets = 2048, .chunks = {512, 2048, 4}};
constexpr std::size_t kBurst = 64;

struct Memory {
  Memory() : bytes(PacketPool::bytes_needed(kLayout)), pool(bytes, kLayout) {}
  std::vector<std::uint8_t> bytes;
  PacketPool pool;
};

void ns_per_frame(benchmark::State& state) {
  state.counters["ns/frame"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * static_cast<double>(kBurst) * 1e-9,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void memory_pipe(benchmark::State& state, bool one_pool) {
  Memory left;
  Memory right;
  std::vector<Packet> to_a(1024);
  std::vector<Packet> to_b(1024);
  MemoryPipe pipe({.pool_a = &left.pool,
                   .pool_b = one_pool ? &left.pool : &right.pool,
                   .to_a = to_a,
                   .to_b = to_b,
                   .caps = {.mtu = 1500}});
  PacketBatch batch;
  for (std::size_t i = 0; i < kBurst; ++i) {
    Packet p = left.pool.allocate(ChunkClass::normal);
    p.append(1500);
    batch.push(std::move(p));
  }
  for ([[maybe_unused]] auto _ : state) {
    pipe.a().tx(batch, Instant{});
    pipe.b().rx(batch, Instant{});
    pipe.b().tx(batch, Instant{});
    pipe.a().rx(batch, Instant{});
  }
  state.SetItemsProcessed(state.iterations());
  ns_per_frame(state);  // of a round trip: twice a frame's price
}

void impairment(benchmark::State& state) {
  Memory memory;
  std::vector<DelaySlot> slots(1024);
  Impairment line(slots, {.delay = Duration::us(300), .jitter = Duration::us(20), .loss_ppm = 20'000}, {1, 2},
                  LinkType::ip);
  Instant now;
  for ([[maybe_unused]] auto _ : state) {
    for (std::size_t i = 0; i < kBurst; ++i) {
      Packet p = memory.pool.allocate(ChunkClass::normal);
      p.append(1500);
      line.submit(std::move(p), now);
      now = now + Duration::us(1);
      while (Packet out = line.take(now)) benchmark::DoNotOptimize(out.index());
    }
  }
  ns_per_frame(state);
}

BENCHMARK_CAPTURE(memory_pipe, one_pool_round_trip, true);
BENCHMARK_CAPTURE(memory_pipe, two_pools_round_trip, false);
BENCHMARK(impairment);

}  // namespace
}  // namespace leat
