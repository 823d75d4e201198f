#pragma once
// What may be asked about a connection (op/tcp_info.hpp). Threading: the owner of the shard; O(1).

#include <leat/base/index_list.hpp>
#include <leat/core/tcp/state.hpp>
#include <leat/op/tcp_info.hpp>
#include <optional>

namespace leat {
struct Core;
}

namespace leat::tcp {

// `socket` is a stream's index in Core::sockets.
[[nodiscard]] TcpInfo info(const Core& core, Index socket);
[[nodiscard]] TcpInfo connection_info(const Core& core, Index connection);
// The state of the connection with this key, TIME-WAIT records, half-open ones and listeners included; CLOSED: none.
[[nodiscard]] TcpState state_of(const Core& core, const FlowKey& key);
// What is known of it: of a connection all, of one in TIME-WAIT and of a half-open one what their records keep, of a
// listener its state.
[[nodiscard]] TcpInfo info_of(const Core& core, const FlowKey& key);
// The control block of a live flow.
[[nodiscard]] std::optional<Index> find_connection(const Core& core, const FlowKey& key);

}  // namespace leat::tcp
