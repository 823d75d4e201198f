#include <benchmark/benchmark.h>

#include <leat/base/checksum.hpp>
#include <vector>

namespace leat {
namespace {

void sum(benchmark::State& state, ChecksumKernel kernel) {
  if (!checksum_kernel_supported(kernel)) return state.SkipWithError("not on this processor");
  const ChecksumKernel was = checksum_kernel();
  set_checksum_kernel(kernel);
  const std::vector<std::uint8_t> from(static_cast<std::size_t>(state.range(0)), 0x5a);
  for (auto _ : state) benchmark::DoNotOptimize(checksum_add(0, from));
  state.SetBytesProcessed(state.iterations() * state.range(0));
  set_checksum_kernel(was);
}

void copy_and_sum(benchmark::State& state, ChecksumKernel kernel) {
  if (!checksum_kernel_supported(kernel)) return state.SkipWithError("not on this processor");
  const ChecksumKernel was = checksum_kernel();
  set_checksum_kernel(kernel);
  const std::vector<std::uint8_t> from(static_cast<std::size_t>(state.range(0)), 0x5a);
  std::vector<std::uint8_t> to(from.size());
  for (auto _ : state) {
    benchmark::DoNotOptimize(checksum_copy(0, to.data(), from));
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
  set_checksum_kernel(was);
}

void pseudo_header(benchmark::State& state) {
  IpAddress a = IpAddress::v4(10, 0, 0, 1);
  IpAddress b = IpAddress::v4(10, 0, 0, 2);
  for (auto _ : state) {
    benchmark::DoNotOptimize(a);
    benchmark::DoNotOptimize(b);
    benchmark::DoNotOptimize(pseudo_header_sum(a, b, 6, 1460));
  }
}

#define SIZES Arg(20)->Arg(32)->Arg(40)->Arg(64)->Arg(128)->Arg(1448)->Arg(8948)->Arg(65536)
BENCHMARK_CAPTURE(sum, scalar, ChecksumKernel::scalar)->SIZES;
BENCHMARK_CAPTURE(sum, avx2, ChecksumKernel::avx2)->SIZES;
BENCHMARK_CAPTURE(sum, avx512, ChecksumKernel::avx512)->SIZES;
BENCHMARK_CAPTURE(copy_and_sum, scalar, ChecksumKernel::scalar)->SIZES;
BENCHMARK_CAPTURE(copy_and_sum, avx2, ChecksumKernel::avx2)->SIZES;
BENCHMARK_CAPTURE(copy_and_sum, avx512, ChecksumKernel::avx512)->SIZES;
BENCHMARK(pseudo_header);

}  // namespace
}  // namespace leat
