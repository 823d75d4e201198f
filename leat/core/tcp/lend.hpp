#pragma once
// Received data as references to the memory where it lies, for who reads without a copy. Threading: the owner of the
// shard.

#include <leat/core/core.hpp>

namespace leat::tcp {

// Moves up to `most` bytes from the front of a stream's receive queue to the end of `to`, as fragments. How many: less
// when `to` has no room for more fragments.
std::uint32_t lend(Core& core, Index socket, std::uint32_t most, Packet& to);

}  // namespace leat::tcp
