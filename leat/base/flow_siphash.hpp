#pragma once
// SipHash over a connection's tuple. Threading: pure functions.

#include <leat/base/address.hpp>
#include <leat/base/siphash.hpp>

namespace leat {

// SipHash-C-D of the 38 bytes of a FlowKey. IPv4 has a short form of 14 bytes; the length tells the two apart.
template <int C, int D>
[[nodiscard]] constexpr std::uint64_t flow_siphash(SipKey secret, const FlowKey& key) {
  const std::uint8_t* const local = key.local.bytes().data();
  const std::uint8_t* const remote = key.remote.bytes().data();
  const std::uint64_t rest = (std::uint64_t{key.scope} << 32) | (std::uint64_t{key.local_port.value()} << 16) |
                             std::uint64_t{key.remote_port.value()};
  detail::SipState state{secret};
  if (key.local.is_v4() && key.remote.is_v4()) {
    state.absorb<C>((std::uint64_t{load_be32(local + 12)} << 32) | load_be32(remote + 12));
    state.absorb<C>((std::uint64_t{14} << 56) | rest);
  } else {
    state.absorb<C>(load_be64(local));
    state.absorb<C>(load_be64(local + 8));
    state.absorb<C>(load_be64(remote));
    state.absorb<C>(load_be64(remote + 8));
    state.absorb<C>((std::uint64_t{38} << 56) | rest);
  }
  return state.finish<D>();
}

}  // namespace leat
