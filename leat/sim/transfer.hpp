#pragma once
// Transfer: the scenario that most tests of TCP are made of. Two hosts and a bad line; one or more connections move
// bytes, one way or both; every byte is compared with what was written, and a watch sees to it that things go on:
//
//   every byte arrives, or an error is reported, and between two steps of progress there is never more than
//   `stall_bound` of virtual time.
//
// The report tells the seed, with which the run repeats exactly.
// Threading: a function; everything it needs is its own.

#include <functional>
#include <leat/sim/world.hpp>
#include <string>
#include <utility>
#include <vector>

namespace leat::sim {

struct Partition {
  Duration from;
  Duration to;
};

struct TransferOptions {
  const Modules* modules = nullptr;  // what hosts are made of; must be given
  std::uint64_t seed = 1;
  std::uint64_t bytes = 10'000'000;  // of each connection, and each way
  unsigned connections = 1;
  bool both_ways = false;
  IpVersion version = IpVersion::v4;

  LinkType link = LinkType::ethernet;
  std::uint32_t mtu = 1500;
  Duration rtt = Duration::ms(10);
  Duration jitter;  // of each direction
  std::uint32_t loss_ppm = 0;
  std::uint32_t reorder_ppm = 0;
  std::uint32_t duplicate_ppm = 0;
  std::uint32_t corrupt_ppm = 0;
  std::uint64_t rate_bps = 0;       // 0: no limit
  std::uint32_t queue_packets = 0;  // 0: as many as the line holds
  std::vector<Partition> partitions;

  std::vector<std::pair<OptionId, std::int64_t>> options;  // of both stacks
  bool server_absent = false;                              // nobody has the server's address: an error must be reported

  Duration stall_bound = Duration::s(1500);  // above R2: a dead peer is given up after some 15 minutes
  Duration limit = Duration::s(1'000'000);
  std::size_t batch = PacketBatch::kMax;
  bool software_gro = true;
  bool check_invariants = true;
  bool hash = true;       // of the capture; costs a little
  std::string pcap_path;  // empty: no file
  std::function<void(std::uint64_t delivered)>
      on_progress;  // called again and again with all bytes that arrived so far
  PoolLayout pool = HostConfig{}.pool;
};

struct TransferReport {
  bool ok = false;      // every byte arrived, in both directions that were asked for
  std::string problem;  // empty, or what went wrong, with the seed
  // An error that a connection reported. With server_absent or a partition for ever this is the right end.
  std::optional<Errc> error;
  bool stalled = false;  // the liveness bound passed, or a host did not stop: never right

  std::uint64_t seed = 0;
  std::uint64_t bytes_to_server = 0;
  std::uint64_t bytes_to_client = 0;
  Duration elapsed;  // virtual, from the first connect to the last byte
  std::uint64_t goodput_bps = 0;
  ImpairmentCounters there, back;
  std::uint64_t retransmitted_segments = 0;
  std::uint64_t timeouts = 0;
  std::uint64_t fast_retransmits = 0;
  std::uint64_t turns = 0;
  bool capture_failed = false;  // its file: nothing is wrong with the transfer
  std::uint64_t capture_packets = 0;
  std::uint64_t capture_hash = 0;
  bool pools_clean = false;  // after closing everything, every packet was back in its pool
};

[[nodiscard]] TransferReport run_transfer(const TransferOptions& options);

// Byte `offset` of one direction of one connection; `stream` tells them apart.
void fill_pattern(std::uint64_t stream, std::uint64_t offset, MutableByteSpan out);
// The first byte that is not the pattern's; bytes.size() when all are.
[[nodiscard]] std::size_t check_pattern(std::uint64_t stream, std::uint64_t offset, ByteSpan bytes);

}  // namespace leat::sim
