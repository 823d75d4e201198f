#pragma once
// UDP's sockets.

#include <cstdint>
#include <span>

namespace leat::udp {

struct Limits {
  std::uint32_t sockets = 16;
};

struct Storage {};

template <Limits limits>
struct StaticStorage {
  [[nodiscard]] Storage view() { return {}; }
};

struct State {
  explicit State(const Storage&) {}
};

}  // namespace leat::udp
