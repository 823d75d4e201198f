#include <benchmark/benchmark.h>

#include <leat/base/rng.hpp>
#include <leat/core/demux/flow_table.hpp>
#include <vector>

// Lookups in a flow table: SipHash of the key, one or two buckets, the owner's key compared elsewhere (not here: the
// match is by index, so that the figure is the table's own).
namespace leat {
namespace {

struct Flows {
  explicit Flows(std::uint32_t n) : memory(FlowTable::buckets_for(n)), table(memory, {1, 2}), keys(n) {
    for (std::uint32_t i = 0; i < n; ++i) {
      keys[i] = {IpAddress::v4(10, 0, 0, 1), IpAddress::v4(0x0b000000U + i / 7), Port{80},
                 Port{static_cast<std::uint16_t>(1024 + i % 7)}, 0};
      if (!table.insert(table.hash(keys[i]), {FlowKind::connection, i})) std::abort();
    }
  }
  std::vector<IndexBucket> memory;
  FlowTable table;
  std::vector<FlowKey> keys;
};

std::vector<std::uint32_t> random_order(std::uint32_t n) {
  Rng rng(SipKey{9, n});
  std::vector<std::uint32_t> order(1U << 16);
  for (std::uint32_t& i : order) i = rng.below(n);
  return order;
}

void hash(benchmark::State& state) {
  const Flows flows(64);
  std::size_t k = 0;
  for (auto _ : state) benchmark::DoNotOptimize(flows.table.hash(flows.keys[k++ & 63]));
}

// One after the other, keys at hand.
void find_one(benchmark::State& state) {
  const auto n = static_cast<std::uint32_t>(state.range(0));
  const Flows flows(n);
  const auto order = random_order(n);
  std::size_t k = 0;
  for (auto _ : state) {
    const std::uint32_t i = order[k++ & 0xffff];
    benchmark::DoNotOptimize(
        flows.table.find(flows.table.hash(flows.keys[i]), [i](FlowValue v) { return v.index() == i; }));
  }
}

// As a received batch does it: hash and prefetch 32, then find 32. The keys come packed, as from packets.
void find_batch(benchmark::State& state) {
  const auto n = static_cast<std::uint32_t>(state.range(0));
  const Flows flows(n);
  const auto order = random_order(n);
  std::vector<FlowKey> arriving;
  for (const std::uint32_t i : order) arriving.push_back(flows.keys[i]);
  std::size_t k = 0;
  for (auto _ : state) {
    FlowHash hashes[32];
    for (std::size_t j = 0; j < 32; ++j) {
      hashes[j] = flows.table.hash(arriving[(k + j) & 0xffff]);
      flows.table.prefetch(hashes[j]);
    }
    for (std::size_t j = 0; j < 32; ++j) {
      const std::uint32_t i = order[(k + j) & 0xffff];
      benchmark::DoNotOptimize(flows.table.find(hashes[j], [i](FlowValue v) { return v.index() == i; }));
    }
    k += 32;
  }
  state.SetItemsProcessed(state.iterations() * 32);
}

void find_missing(benchmark::State& state) {
  const auto n = static_cast<std::uint32_t>(state.range(0));
  const Flows flows(n);
  std::uint32_t k = 0;
  for (auto _ : state) {
    const FlowKey key{IpAddress::v4(10, 0, 0, 1), IpAddress::v4(0xc0000000U + k++), Port{80}, Port{1}, 0};
    benchmark::DoNotOptimize(
        flows.table.find(flows.table.hash(key), [k](FlowValue v) { return v.index() == k + 0x20000000U; }));
  }
}

void insert_erase(benchmark::State& state) {
  const auto n = static_cast<std::uint32_t>(state.range(0));
  Flows flows(n);
  const auto order = random_order(n);
  std::size_t k = 0;
  for (auto _ : state) {
    const std::uint32_t i = order[k++ & 0xffff];
    const FlowHash h = flows.table.hash(flows.keys[i]);
    flows.table.erase(h, {FlowKind::connection, i});
    if (!flows.table.insert(h, {FlowKind::connection, i})) std::abort();
  }
}

void fill(benchmark::State& state) {  // growth included
  const auto n = static_cast<std::uint32_t>(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(Flows(n).table.size());
  state.SetItemsProcessed(state.iterations() * n);
}

BENCHMARK(hash);
BENCHMARK(find_one)->Arg(64)->Arg(4096)->Arg(65536)->Arg(1'000'000);
BENCHMARK(find_batch)->Arg(64)->Arg(4096)->Arg(65536)->Arg(1'000'000);
BENCHMARK(find_missing)->Arg(64)->Arg(1'000'000);
BENCHMARK(insert_erase)->Arg(64)->Arg(1'000'000);
BENCHMARK(fill)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace leat
