// Memberships of sockets in multicast groups: RFC 3678, with the errors that programs know from Linux.

#include <leat/core/core.hpp>
#include <leat/core/iface/iface.hpp>
#include <leat/core/iface/multicast.hpp>
#include <leat/core/ip/datagram.hpp>

namespace leat::iface {
namespace {

using ip::DatagramSocket;

auto membership_links(State& s) {
  return [&s](Index k) -> Index& { return s.memberships[k].next; };
}
auto source_links(State& s) {
  return [&s](Index k) -> Index& { return s.group_sources[k].next; };
}

// The interface that a request means. Without one it is where the routes lead to the group.
Result<InterfaceId> interface_of(Core& core, const DatagramSocket& s, const GroupRequest& r) {
  if (!r.group.is_multicast()) return fail(Errc::invalid_argument);
  if (!r.group.is_v4() && core.modules.ipv6 == nullptr) return fail(Errc::no_device);
  if (!r.source.is_unspecified() &&
      (r.source.is_v4() != r.group.is_v4() || !ip::is_unicast_peer(core, r.source, kNoInterface))) {
    return fail(Errc::invalid_argument);
  }
  if (r.interface != 0) {
    if (core.iface.find(r.interface) == nullptr) return fail(Errc::no_device);
    return InterfaceId{r.interface};
  }
  const auto bound = static_cast<InterfaceId>(core.options_of(core.sockets[s.socket]).get(OptionId::bind_interface));
  const auto path = ip::find_path(core, r.group, IpAddress::any(r.group.version()), bound, core.scope);
  if (!path) return fail(Errc::no_device);
  return path->interface;
}

Index find_membership(const Core& core, const DatagramSocket& s, const IpAddress& group, InterfaceId id) {
  Index m = s.memberships;
  while (m != kNoIndex && (core.iface.memberships[m].group != group ||
                           (id != kNoInterface && core.iface.memberships[m].interface != id)))
    m = core.iface.memberships[m].next;
  return m;
}

Index find_source(const Core& core, const Membership& m, const IpAddress& source) {
  Index k = m.sources;
  while (k != kNoIndex && core.iface.group_sources[k].address != source) k = core.iface.group_sources[k].next;
  return k;
}

Index group_of(const Core& core, const Membership& m) {
  const Index g = find_group(core, m.interface, m.group);
  LEAT_ASSERT(g != kNoIndex);
  return g;
}

// A source of a membership costs two records: one here, one in the interface's list.
bool has_room(const Core& core, std::size_t sources) {
  return core.iface.source_pool.available() >= 2 * sources;
}

// Into the membership's list and the group's; a change has begun, there is room, and it is not there yet.
void put_source(Core& core, Membership& m, Group& g, const IpAddress& source) {
  State& s = core.iface;
  const Index k = s.source_pool.take(source_links(s));
  LEAT_ASSERT(k != kNoIndex);
  s.group_sources[k] = GroupSource{};
  s.group_sources[k].address = source;
  s.group_sources[k].next = std::exchange(m.sources, k);
  add_source(core, g, m.mode, source);
}

void take_source(Core& core, Membership& m, Group& g, Index source) {
  State& s = core.iface;
  Index* link = &m.sources;
  while (*link != source) link = &s.group_sources[*link].next;
  *link = s.group_sources[source].next;
  remove_source(core, g, m.mode, s.group_sources[source].address);
  s.source_pool.give(source, source_links(s));
}

void take_all_sources(Core& core, Membership& m, Group& g) {
  while (m.sources != kNoIndex) take_source(core, m, g, m.sources);
}

// A new membership in a group's record, inside a change.
Membership& put_membership(Core& core, DatagramSocket& s, Index g, FilterMode mode) {
  State& state = core.iface;
  const Index i = state.membership_pool.take(membership_links(state));
  LEAT_ASSERT(i != kNoIndex);
  Membership& m = state.memberships[i];
  m = Membership{};
  m.group = state.groups[g].group;
  m.interface = state.groups[g].interface;
  m.mode = mode;
  m.socket = s.socket;
  m.next = std::exchange(s.memberships, i);
  add_mode(state.groups[g], mode);
  return m;
}

void remove_membership(Core& core, DatagramSocket& s, Index i) {
  State& state = core.iface;
  Membership& m = state.memberships[i];
  const Index g = group_of(core, m);
  const GroupChange change = begin_change(core, g);
  take_all_sources(core, m, state.groups[g]);
  remove_mode(state.groups[g], m.mode);
  end_change(core, change);
  Index* link = &s.memberships;
  while (*link != i) link = &state.memberships[*link].next;
  *link = m.next;
  m.socket = kNoIndex;
  state.membership_pool.give(i, membership_links(state));
}

Result<void> join_new(Core& core, DatagramSocket& s, InterfaceId id, const GroupRequest& r) {
  const bool any_source = r.source.is_unspecified();
  if (core.iface.membership_pool.available() == 0 || !has_room(core, any_source ? 0 : 1)) {
    return fail(Errc::no_buffers);
  }
  const Index g = hold_group(core, id, r.group);
  if (g == kNoIndex) return fail(Errc::no_buffers);
  const GroupChange change = begin_change(core, g);
  Membership& m = put_membership(core, s, g, any_source ? FilterMode::exclude : FilterMode::include);
  if (!any_source) put_source(core, m, core.iface.groups[g], r.source);
  end_change(core, change);
  return {};
}

// Linux, ip_mc_source(): the list of one mode is empty before the other mode can have one.
Result<void> change_source(Core& core, DatagramSocket& s, const GroupRequest& r, FilterMode mode, bool add) {
  const auto id = interface_of(core, s, r);
  if (!id) return fail(id.error());
  if (r.source.is_unspecified()) return fail(Errc::invalid_argument);
  const Index i = find_membership(core, s, r.group, *id);
  if (i == kNoIndex) return fail(Errc::invalid_argument);
  Membership& m = core.iface.memberships[i];
  if (m.mode != mode && m.sources != kNoIndex) return fail(Errc::invalid_argument);
  const Index known = find_source(core, m, r.source);
  if ((known != kNoIndex) == add) return fail(Errc::address_not_available);
  if (add && !has_room(core, 1)) return fail(Errc::no_buffers);
  const bool last = !add && core.iface.group_sources[m.sources].next == kNoIndex;
  if (last && mode == FilterMode::include) {
    remove_membership(core, s, i);  // from nobody at all: that is to leave
    return {};
  }
  const Index g = group_of(core, m);
  const GroupChange change = begin_change(core, g);
  if (m.mode != mode) {
    remove_mode(core.iface.groups[g], m.mode);
    add_mode(core.iface.groups[g], mode);
    m.mode = mode;
  }
  if (add) {
    put_source(core, m, core.iface.groups[g], r.source);
  } else {
    take_source(core, m, core.iface.groups[g], known);
  }
  end_change(core, change);
  return {};
}

}  // namespace

Result<void> join(Core& core, DatagramSocket& s, const GroupRequest& r) {
  const auto id = interface_of(core, s, r);
  if (!id) return fail(id.error());
  const bool member = find_membership(core, s, r.group, *id) != kNoIndex;
  if (!member) return join_new(core, s, *id, r);
  if (r.source.is_unspecified()) return fail(Errc::address_in_use);
  return change_source(core, s, r, FilterMode::include, true);
}

Result<void> leave(Core& core, DatagramSocket& s, const GroupRequest& r) {
  if (!r.group.is_multicast()) return fail(Errc::invalid_argument);
  if (!r.source.is_unspecified()) return change_source(core, s, r, FilterMode::include, false);
  if (r.interface != 0 && core.iface.find(r.interface) == nullptr) return fail(Errc::no_device);
  const Index i = find_membership(core, s, r.group, r.interface);
  if (i == kNoIndex) return fail(Errc::address_not_available);
  remove_membership(core, s, i);
  return {};
}

Result<void> block_source(Core& core, DatagramSocket& s, const GroupRequest& r) {
  return change_source(core, s, r, FilterMode::exclude, true);
}

Result<void> unblock_source(Core& core, DatagramSocket& s, const GroupRequest& r) {
  return change_source(core, s, r, FilterMode::exclude, false);
}

Result<void> set_source_filter(Core& core, DatagramSocket& s, const GroupRequest& r, FilterMode mode,
                               std::span<const IpAddress> sources) {
  const auto id = interface_of(core, s, {.group = r.group, .interface = r.interface});
  if (!id) return fail(id.error());
  const Index i = find_membership(core, s, r.group, *id);
  if (i == kNoIndex) return fail(Errc::invalid_argument);
  for (std::size_t k = 0; k < sources.size(); ++k) {
    if (sources[k].is_v4() != r.group.is_v4() || !ip::is_unicast_peer(core, sources[k], kNoInterface) ||
        std::find(sources.begin(), sources.begin() + static_cast<std::ptrdiff_t>(k), sources[k]) !=
            sources.begin() + static_cast<std::ptrdiff_t>(k)) {
      return fail(Errc::invalid_argument);
    }
  }
  if (mode == FilterMode::include && sources.empty()) {
    remove_membership(core, s, i);
    return {};
  }
  if (!has_room(core, sources.size())) return fail(Errc::no_buffers);
  Membership& m = core.iface.memberships[i];
  const Index g = group_of(core, m);
  const GroupChange change = begin_change(core, g);
  take_all_sources(core, m, core.iface.groups[g]);
  remove_mode(core.iface.groups[g], m.mode);
  m.mode = mode;
  add_mode(core.iface.groups[g], mode);
  for (const IpAddress& source : sources) put_source(core, m, core.iface.groups[g], source);
  end_change(core, change);
  return {};
}

Result<std::size_t> source_filter(Core& core, const DatagramSocket& s, const GroupRequest& r, FilterMode& mode,
                                  std::span<IpAddress> sources) {
  const auto id = interface_of(core, s, {.group = r.group, .interface = r.interface});
  if (!id) return fail(id.error());
  const Index i = find_membership(core, s, r.group, *id);
  if (i == kNoIndex) return fail(Errc::address_not_available);
  const Membership& m = core.iface.memberships[i];
  mode = m.mode;
  std::size_t n = 0;
  for (Index k = m.sources; k != kNoIndex; k = core.iface.group_sources[k].next, ++n)
    if (n < sources.size()) sources[n] = core.iface.group_sources[k].address;
  return n;
}

void leave_all(Core& core, DatagramSocket& s) {
  while (s.memberships != kNoIndex) remove_membership(core, s, s.memberships);
}

void forget_memberships(Core& core, InterfaceId id) {
  for (Index i = 0; i < core.iface.membership_pool.watermark(); ++i) {
    const Membership& m = core.iface.memberships[i];
    if (m.socket != kNoIndex && m.interface == id) remove_membership(core, *ip::datagram_of(core, m.socket), i);
  }
}

bool wants(const Core& core, const DatagramSocket& s, const TransportInput& in) {
  const Index i = find_membership(core, s, in.destination, in.interface);
  if (i != kNoIndex) {
    const Membership& m = core.iface.memberships[i];
    return (find_source(core, m, in.source) != kNoIndex) == (m.mode == FilterMode::include);
  }
  // Linux IP_MULTICAST_ALL: what anybody here has joined. Sources that nobody wants don't count.
  if (!core.options_of(core.sockets[s.socket]).on(OptionId::ip_multicast_all)) return false;
  return in.interface == kNoInterface || takes_source(core, in.interface, in.destination, in.source);
}

}  // namespace leat::iface
