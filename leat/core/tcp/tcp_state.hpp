#pragma once
// TCP's tables: control blocks, listeners, SYN and TIME-WAIT records, the timer wheel, the dirty lists.

#include <cstdint>
#include <span>

namespace leat::tcp {

struct Limits {
  std::uint32_t connections = 32;
  std::uint32_t active = 32;  // connections with data in flight or waiting, at once
  std::uint32_t listeners = 4;
  std::uint32_t syn_records = 32;
  std::uint32_t time_wait = 32;
  std::uint32_t ranges = 256;     // retransmission units of all connections
  std::uint32_t ooo_nodes = 128;  // out-of-order ranges of all connections
};

struct Storage {};

template <Limits limits>
struct StaticStorage {
  [[nodiscard]] Storage view() { return {}; }
};

struct State {
  explicit State(const Storage&) {}
};

}  // namespace leat::tcp
