#pragma once
// Datagrams and ICMP errors that arrived. Threading: the owner of the shard.

#include <leat/core/core.hpp>

namespace leat::udp {

void input(Core&, std::span<TransportInput>);
void icmp_error(Core&, const IcmpError&);
// The socket that is connected to this four-tuple; kNoIndex: none.
[[nodiscard]] Index find_connected(const Core&, const FlowKey&, InterfaceId);

}  // namespace leat::udp
