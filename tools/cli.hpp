#pragma once
// The command line: what was asked for, as plain values. cli.cpp alone includes CLI11. docs/cli.md describes every
// command and option, and a test compares it with --help.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "plan.hpp"

namespace leat::tools {

struct Arguments {
  std::string command;
  StackArguments stack;
  bool json = false;

  // up, http, echo
  bool demo = false;
  std::string demo_bytes = "100M";
  std::string http_root;
  bool echo = false;
  std::optional<std::uint32_t> port;  // none: the command's own default
  std::uint32_t echo_port = 7;        // up
  std::string form = "event";         // http, echo, nc

  // nc
  bool listen = false;
  bool udp = false;
  std::string host;                  // nc, ping
  std::string wait;                  // nc -w, ping -W
  std::vector<std::string> targets;  // nc: HOST PORT, or PORT with -l

  // ping
  std::uint32_t count = 4;
  std::string interval = "1s";
  std::uint32_t payload = 56;
  std::optional<std::uint32_t> ttl;

  // sim
  std::uint64_t seed = 1;
  std::string bytes = "10M";
  std::uint32_t mtu = 1500;
  std::string rtt = "40ms";
  std::string jitter;
  std::string loss, reorder, duplicate, corrupt;
  std::string rate;
  std::uint32_t queue = 0;
  std::string congestion;
  std::string checksum_kernel;
  std::string pcap;
  std::string bound;

  // bench
  std::string bench;
  std::string bench_device;
  std::vector<std::uint32_t> bench_mtus;
  std::vector<std::uint64_t> bench_connections;
  std::string bench_direction;
  std::optional<bool> bench_gso;
  int repetitions = 5;
  double bench_scale = 1;
  bool peers = true;
  std::string output;  // CSV
  std::string plot;    // PNG or SVG
};

struct Parsed {
  Arguments arguments;
  std::optional<int> exit;  // set: end now with this code (help was printed)
};

// Throws Failure for what is not understood.
[[nodiscard]] Parsed parse_command_line(int argc, const char* const* argv);

}  // namespace leat::tools
