#pragma once
// The network layer's tables: interfaces, addresses, neighbours, routes.

#include <cstdint>
#include <span>

namespace leat::iface {

struct Limits {
  std::uint32_t interfaces = 4;
  std::uint32_t addresses = 16;
  std::uint32_t neighbors = 64;
  std::uint32_t routes = 32;
};

struct Storage {};

template <Limits limits>
struct StaticStorage {
  [[nodiscard]] Storage view() { return {}; }
};

struct State {
  explicit State(const Storage&) {}
};

}  // namespace leat::iface
