#pragma once
// Interfaces, their addresses, and routes: the calls behind Stack's configuration, and the link layer's way in and out.
// RFC 826, 4861, 1122 2.3. Threading: the owner of the shard.

#include <leat/core/config.hpp>
#include <leat/core/iface/state.hpp>

namespace leat::iface {

Result<InterfaceId> add_interface(Core&, const InterfaceConfig&);
Result<void> remove_interface(Core&, InterfaceId);
Result<void> set_up(Core&, InterfaceId, bool up);
Result<void> set_mtu(Core&, InterfaceId, std::uint32_t mtu);
Result<void> add_address(Core&, InterfaceId, const IpPrefix&, AddressOptions);
Result<void> remove_address(Core&, InterfaceId, const IpAddress&);
Result<void> add_route(Core&, const RouteConfig&);
Result<void> remove_route(Core&, const IpPrefix&, const IpAddress& gateway);
// How far duplicate detection of an address is; `none` when the interface has no such address.
[[nodiscard]] AddressState address_state(const Core&, InterfaceId, const IpAddress&);
// Multicast groups that the interface takes, counted by user. IPv6 addresses join their solicited-node group.
Result<void> join_group(Core&, InterfaceId, const IpAddress& group);
Result<void> leave_group(Core&, InterfaceId, const IpAddress& group);
[[nodiscard]] bool is_member(const Core&, InterfaceId, const IpAddress& group);

// Received frames, data at the link header. Takes all packets of the batch; TCP segments are staged so that a batch's
// look-ups overlap, everything else is processed at once.
void input(Core&, InterfaceId, PacketBatch& batch);
// Moves packets from the interface's transmit queue to the batch while it has room.
void output(Core&, InterfaceId, PacketBatch& batch);
[[nodiscard]] bool has_output(const Core&, InterfaceId);

// Neighbour states, DAD, rate limits: everything of the network layer that waits for time.
void run_timers(Core&, unsigned budget);
[[nodiscard]] Instant next_deadline(const Core&);
// Lets up to `budget` packets of the loopback queue in again. True when some are left.
bool run_loopback(Core&, unsigned budget);

// The stack ends: packets that wait anywhere in the network layer go back to the pool.
void shut_down(Core&);
void check_invariants(const Core&);

}  // namespace leat::iface
