#pragma once
// What the parts of the multicast machine say to each other: multicast.cpp keeps the groups and their filters,
// multicast_query.cpp notes what routers and other hosts say, multicast_timers.cpp says what is due, and
// multicast_report.hpp writes it down. Inside iface. Threading: the owner of the shard.

#include <leat/core/core.hpp>
#include <leat/core/iface/link.hpp>
#include <leat/core/iface/multicast.hpp>

namespace leat::iface {

inline bool has_users(const Group& g) {
  return g.excluders + g.includers > 0;
}

inline GroupReports& reports_of(Core& core, InterfaceId id, IpVersion version) {
  return core.iface.interfaces[id - 1U].reports[version == IpVersion::v4 ? 0 : 1];
}

inline void wake_at(Core& core, Instant due) {
  core.iface.multicast_due = earlier(core.iface.multicast_due, due);
}

inline Instant in_at_most(Core& core, Duration most) {
  const auto ms = static_cast<std::uint32_t>(std::max<std::int64_t>(most.count_ms(), 1));
  return core.now + Duration::ms(core.rng.below(ms) + 1);
}

template <class F>
void for_each_group(Core& core, InterfaceId id, IpVersion version, F&& f) {
  for (Index i = 0; i < core.iface.group_pool.watermark(); ++i) {
    const Group& g = core.iface.groups[i];
    if (g.interface == id && g.group.version() == version) f(i);
  }
}

// RFC 3376 5, RFC 3810 6: all-hosts and all-nodes are never reported, nor are groups that no router can pass on.
[[nodiscard]] bool is_reportable(const Core&, const Group&);
// Does the group's filter take the source, be it on its list or not?
[[nodiscard]] bool takes_source(const Core&, const Group&, const IpAddress& source);
// Sources that nobody names and of which nothing is to be told go; so does a group.
void prune(Core&, Index group);
// Nothing of what happened to the group will be told any more.
void forget_changes(Core&, Index group);

// RFC 3376 7.2.1, RFC 3810 8.2.1: which version is spoken now. A switch cancels what was pending in the other one: the
// querier that caused it asks for everything anyway.
QuerierVersion version_of(Core&, InterfaceId, IpVersion);
// No message about the group alone is due any more, and what routers asked about it is forgotten.
void forget_answer(Core&, Group&);

}  // namespace leat::iface
