#include <algorithm>
#include <array>
#include <bench/loads.hpp>

namespace leat::bench {
namespace {

constexpr std::array kBenches{
    Bench{"demux", "one 64-byte segment for one of N established connections: ns per segment", run_demux},
    Bench{"bulk", "one transfer over a wire in memory (two stacks, one thread) or a TAP (kernel client)", run_bulk},
    Bench{"echo", "100-byte echo on a random one of N connections: ns of the server's side", run_echo},
    Bench{"connect", "connect, accept and close of both sides: connections a second", run_connect},
    Bench{"idle", "memory of an idle established connection: bytes", run_idle},
    Bench{"channel", "the command form against direct calls: requests a second, bulk by TCP and UDP over a pipe",
          run_channel},
    Bench{"latency", "TCP echo between two namespaces: Leat's forms and no stack over a TAP, Linux over veth: p50, p99",
          run_latency},
    Bench{"pingpong", "one byte there and back between two stacks over shared memory, both spinning", run_pingpong},
    Bench{"threads", "1 to 8 threads call one stack: round trips per CPU second, and how long an operation waits",
          run_threads},
};

}  // namespace

std::span<const Bench> benches() {
  return kBenches;
}

const Bench* find_bench(std::string_view name) {
  const auto at = std::ranges::find(kBenches, name, &Bench::name);
  return at == kBenches.end() ? nullptr : &*at;
}

}  // namespace leat::bench
