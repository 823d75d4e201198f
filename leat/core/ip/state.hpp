#pragma once
// State of IP itself: identifiers, ICMP rate limits, raw sockets, the loopback queue.

#include <cstdint>
#include <span>

namespace leat::ip {

struct Limits {
  std::uint32_t raw_sockets = 4;
  std::uint32_t rate_slots = 64;  // destinations with an ICMP rate limit of their own
};

struct Storage {};

template <Limits limits>
struct StaticStorage {
  [[nodiscard]] Storage view() { return {}; }
};

struct State {
  explicit State(const Storage&) {}
};

}  // namespace leat::ip
