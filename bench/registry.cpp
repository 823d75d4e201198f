#include <algorithm>
#include <array>
#include <bench/loads.hpp>
#include <string>

namespace leat::bench {
namespace {

constexpr std::array kBenches{
    Bench{"demux",
          "one 64-byte segment for one of N established connections: ns per segment",
          run_demux,
          {.devices = "memory", .connections = true}},
    Bench{"bulk",
          "one transfer over a wire in memory (two stacks, one thread) or a TAP (kernel client)",
          run_bulk,
          {.devices = "memory tap", .mtus = true, .direction = true, .gso = true}},
    Bench{"echo",
          "100-byte echo on a random one of N connections: ns of the server's side",
          run_echo,
          {.devices = "memory", .connections = true}},
    Bench{
        "connect", "connect, accept and close of both sides: connections a second", run_connect, {.devices = "memory"}},
    Bench{"idle",
          "memory of an idle established connection: bytes",
          run_idle,
          {.devices = "memory", .connections = true}},
    Bench{"channel",
          "the command form against direct calls: requests a second, bulk by TCP and UDP over a pipe",
          run_channel,
          {.devices = "memory", .mtus = true}},
    Bench{"latency",
          "TCP echo between two namespaces: Leat's forms and no stack over a TAP, Linux over veth: p50, p99",
          run_latency,
          {.devices = "tap"}},
    Bench{"pingpong",
          "one byte there and back between two stacks over shared memory, both spinning",
          run_pingpong,
          {.devices = "shm"}},
    Bench{"threads",
          "1 to 8 threads call one stack: round trips per CPU second, and how long an operation waits",
          run_threads,
          {.devices = "shm"}},
};

bool has_word(std::string_view words, std::string_view word) {
  while (!words.empty()) {
    const std::size_t end = std::min(words.find(' '), words.size());
    if (words.substr(0, end) == word) return true;
    words.remove_prefix(std::min(end + 1, words.size()));
  }
  return false;
}

}  // namespace

std::vector<Row> Bench::run(const Request& request) const {
  const std::string who{name};
  if (!request.device.empty() && !has_word(choices.devices, request.device))
    throw Unable("--device: " + who + " does not run over '" + request.device + "'; it has " +
                 std::string(choices.devices));
  const auto check = [&](const char* option, bool asked, bool taken) {
    if (asked && !taken) throw Unable(std::string(option) + ": " + who + " has no such choice; leave it out");
  };
  check("--mtu", !request.mtus.empty(), choices.mtus);
  check("--connections", !request.connections.empty(), choices.connections);
  // Of the devices only a TAP has these.
  const bool tap = request.device.empty() || request.device == "tap";
  check("--direction", !request.direction.empty(), choices.direction && tap);
  check("--gso, --no-gso", request.gso.has_value(), choices.gso && tap);
  return rows(request);
}

std::span<const Bench> benches() {
  return kBenches;
}

const Bench* find_bench(std::string_view name) {
  const auto at = std::ranges::find(kBenches, name, &Bench::name);
  return at == kBenches.end() ? nullptr : &*at;
}

}  // namespace leat::bench
