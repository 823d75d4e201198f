#pragma once
// Data as references to the memory where it lies, for who reads and writes without a copy. Threading: the owner of the
// shard.

#include <leat/core/core.hpp>

namespace leat::tcp {

// Moves up to `most` bytes from the front of a stream's receive queue to the end of `to`, as fragments. How many: less
// when `to` has no room for more fragments. They count against the receive buffer until they are given back.
std::uint32_t lend(Core& core, Index socket, std::uint32_t most, Packet& to);

// `n` octets that lend() moved are given back: they count no longer against the receive buffer.
void give_back(Core& core, Index socket, std::uint32_t n);

// Queues the first `size` bytes of a packet of one chunk for sending, as they lie. The caller gets a reference on the
// chunk of its own. False: no room now, the packet stays, and Ready::writable follows. The stream may send (try_send
// said so).
[[nodiscard]] bool queue_packet(Core& core, Index socket, Packet& p, std::uint32_t size, ChunkRef& chunk);

}  // namespace leat::tcp
