#pragma once
// UDP's sockets.

#include <cstdint>
#include <leat/core/keys.hpp>
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
  State(const Storage&, const Keys&) {}
};

}  // namespace leat::udp
