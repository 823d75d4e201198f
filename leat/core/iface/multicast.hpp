#pragma once
// Multicast, the host's side: which groups an interface listens to, from which sources, and how routers are told. IGMP
// versions 1 to 3 (RFC 1112, 2236, 3376) and MLD versions 1 and 2 (RFC 2710, 3810) are one machine here: they differ in
// how messages look (igmp.cpp, mld.cpp), not in what is said when.
//
// A socket's membership has a filter mode and sources. An interface's filter for a group follows from all memberships
// (RFC 3376 3.2): with anybody in mode exclude, all sources are taken but those that everybody in that mode excludes
// and nobody includes; else the sources that somebody includes. What changes is reported as often as the robustness
// variable says, and what is asked is answered at a random time.
//
// State-change reports leave with the next turn, so that several changes at once are one report. Without memory for one
// it is tried again (attack row U9).
//
// Invariants: a group's record lives while it has a user or something to be reported. Complexity: O(groups) where
// something changes or is due. Threading: the owner of the shard.

#include <leat/core/iface/state.hpp>
#include <leat/op/multicast.hpp>
#include <leat/wire/mld.hpp>

namespace leat {
struct Core;
struct TransportInput;
namespace ip {
struct DatagramSocket;
}
}  // namespace leat

namespace leat::iface {

// --- sockets (membership.cpp) ----------------------------------------------------------------------------------------

// RFC 3678 4.1, 5.1 with Linux's errors: no_device, invalid_argument, address_in_use (a member already),
// address_not_available (no member, or no such source), no_buffers (a table is full).
Result<void> join(Core&, ip::DatagramSocket&, const GroupRequest&);
Result<void> leave(Core&, ip::DatagramSocket&, const GroupRequest&);
// A source of a group that was joined from any source.
Result<void> block_source(Core&, ip::DatagramSocket&, const GroupRequest&);
Result<void> unblock_source(Core&, ip::DatagramSocket&, const GroupRequest&);
// All at once. An empty include list leaves the group.
Result<void> set_source_filter(Core&, ip::DatagramSocket&, const GroupRequest&, FilterMode,
                               std::span<const IpAddress> sources);
// How many sources there are; as many as fit stand in `sources`.
Result<std::size_t> source_filter(Core&, const ip::DatagramSocket&, const GroupRequest&, FilterMode&,
                                  std::span<IpAddress> sources);
void leave_all(Core&, ip::DatagramSocket&);
// The interface goes: all sockets leave its groups.
void forget_memberships(Core&, InterfaceId);
// Does the socket want a datagram to a group? Its own membership decides; without one option ip_multicast_all does.
[[nodiscard]] bool wants(const Core&, const ip::DatagramSocket&, const TransportInput&);

// --- an interface's groups (multicast.cpp) ---------------------------------------------------------------------------

[[nodiscard]] Index find_group(const Core&, InterfaceId, const IpAddress& group);
// The record of a group, made if need be; kNoIndex: none is free.
[[nodiscard]] Index hold_group(Core&, InterfaceId, const IpAddress& group);
// The interface's filter.
[[nodiscard]] bool takes_source(const Core&, InterfaceId, const IpAddress& group, const IpAddress& source);

// One change of a group's filter: begin, change the counts by these functions, end (which may give the record back).
struct GroupChange {
  Index group = kNoIndex;
  bool was_exclude = false;
  bool was_member = false;
};
[[nodiscard]] GroupChange begin_change(Core&, Index group);
void add_mode(Group&, FilterMode);
void remove_mode(Group&, FilterMode);
void add_source(Core&, Group&, FilterMode, const IpAddress&);  // a source record is free
void remove_source(Core&, Group&, FilterMode, const IpAddress&);
void end_change(Core&, const GroupChange&);

// The interface came up: all its groups are told anew.
void report_again(Core&, InterfaceId);
void forget_groups(Core&, InterfaceId);
void run_multicast_timers(Core&, unsigned& budget);

// --- messages --------------------------------------------------------------------------------------------------------

struct GroupQuery {
  QuerierVersion version = QuerierVersion::current;
  IpAddress group;           // unspecified of its version: a general query
  wire::SourceList sources;  // none: a query about the whole group
  std::uint32_t max_response_ms = 0;
  std::uint8_t robustness = 0;   // 0: not said
  std::uint32_t interval_s = 0;  // 0: not said
};
void group_queried(Core&, InterfaceId, const GroupQuery&);
// Another host reported the group, in a message of an older version (RFC 2236 3, RFC 2710 4): we need not.
void group_reported(Core&, InterfaceId, const IpAddress& group);

// An IGMP message that arrived.
void igmp_input(Core&, TransportInput&&);

enum class ReportKind : std::uint8_t {
  current,
  queried,  // the current state of the sources that were asked about
  changes,
};
enum class OlderMessage : std::uint8_t { report, oldest_report, leave };
// One or more reports of the current version: of one group or of all. False: not everything could be sent.
[[nodiscard]] bool send_igmp_report(Core&, InterfaceId, ReportKind, Index only_group);
[[nodiscard]] bool send_igmp_older(Core&, InterfaceId, OlderMessage, const IpAddress& group);

}  // namespace leat::iface
