#pragma once
// TCP (RFC 9293): the entries of the module table, and what may be asked about connections from outside.
//
//   constexpr Modules m{.tcp = &tcp::kTcpModule, .sockets = {..., &tcp::kStreamOps, &tcp::kListenerOps, ...},
//                       .sack = &tcp::kSack, .congestion = {&tcp::kNewReno, &tcp::kCubic}};
//
// A socket is made as a stream; listen() makes it a listener without changing its handle. Reading order of the machine:
// tcb.hpp, state.hpp, on_segment.cpp, input_synchronized.cpp, receiver.cpp, recovery.cpp, sender.cpp, timeouts.cpp.
//
// RFC 9293, 5681, 5961, 6298, 6582, 6675, 7323, 2018, 2883, 3042, 6528, 4987, 5927. Threading: the owner of the shard.

#include <leat/core/modules.hpp>
#include <leat/core/tcp/info.hpp>
#include <leat/core/tcp/snapshot.hpp>

namespace leat::tcp {

extern const TransportModule kTcpModule;
extern const SocketOps kStreamOps;
extern const SocketOps kListenerOps;

// The module's entries, also for tests that drive it without a network layer.
void input(Core& core, std::span<TransportInput> burst);
void icmp_error(Core& core, const IcmpError& error);
void run_timers(Core& core, unsigned budget);
[[nodiscard]] Instant next_deadline(const Core& core);
bool output(Core& core, InterfaceId id, PacketBatch& batch);
[[nodiscard]] bool has_output(const Core& core, InterfaceId id);
[[nodiscard]] bool reset_peers(Core& core, Index& next, unsigned budget);
void shut_down(Core& core);
// Walks every table and asserts what must hold between them. O(everything).
void check_invariants(const Core& core);

}  // namespace leat::tcp
