// The groups of an interface: who listens, the filter that follows, and what of its changes must be told (RFC 3376 3.2,
// 5.1; RFC 3810 4.2, 6.1).

#include <leat/core/iface/iface.hpp>
#include <leat/core/iface/multicast_machine.hpp>
#include <leat/core/iface/multicast_report.hpp>

namespace leat::iface {
namespace {

auto group_links(State& s) {
  return [&s](Index k) -> Index& { return s.groups[k].next_free; };
}
auto source_links(State& s) {
  return [&s](Index k) -> Index& { return s.group_sources[k].next; };
}

}  // namespace

bool is_reportable(const Core& core, const Group& g) {
  if (!core.options.on(OptionId::multicast_reports)) return false;
  const IpAddress& a = g.group;
  if (a.is_v4()) return a != IpAddress::v4(224, 0, 0, 1);
  const RouteKey words{a};
  const unsigned scope = a.bytes()[1] & 0x0fU;
  if (scope <= 1 || ((words.high & 0xffff'ffff'ffff) == 0 && words.low == 1 && scope == 2)) return false;
  // Where nobody is solicited nobody needs to know of solicited-node groups.
  const bool solicited = words.high == 0xff02'0000'0000'0000 && (words.low >> 24) == 0x1ff;
  return !solicited || core.iface.interfaces[g.interface - 1U].link == LinkType::ethernet;
}

void prune(Core& core, Index i) {
  State& s = core.iface;
  Group& g = s.groups[i];
  for (Index* link = &g.sources; *link != kNoIndex;) {
    const Index k = *link;
    GroupSource& source = s.group_sources[k];
    if (source.includers + source.excluders > 0 || source.changes > 0) {
      link = &source.next;
      continue;
    }
    *link = source.next;
    s.source_pool.give(k, source_links(s));
  }
  if (has_users(g) || g.mode_changes > 0 || g.sources != kNoIndex || !g.due.is_never()) return;
  g.interface = kNoInterface;
  s.group_pool.give(i, group_links(s));
}

void forget_changes(Core& core, Index i) {
  Group& g = core.iface.groups[i];
  forget_answer(core, g);
  g.reports = g.mode_changes = 0;
  for (Index k = g.sources; k != kNoIndex; k = core.iface.group_sources[k].next)
    core.iface.group_sources[k].changes = 0;
  prune(core, i);
}

bool has_records(const Core& core, const Group& g, ReportKind kind) {
  if (kind == ReportKind::current) return has_users(g) && is_reportable(core, g);
  if (kind == ReportKind::queried) {
    for (Index i = g.queried; i != kNoIndex; i = core.iface.queried_sources[i].next)
      if (takes_source(core, g, core.iface.queried_sources[i].address)) return true;
    return false;
  }
  if (g.mode_changes > 0) return true;
  for (Index i = g.sources; i != kNoIndex; i = core.iface.group_sources[i].next)
    if (core.iface.group_sources[i].changes > 0) return true;
  return false;
}

void changes_were_sent(Core& core, Index i) {
  Group& g = core.iface.groups[i];
  if (g.mode_changes > 0) --g.mode_changes;
  for (Index k = g.sources; k != kNoIndex; k = core.iface.group_sources[k].next)
    if (core.iface.group_sources[k].changes > 0) --core.iface.group_sources[k].changes;
  prune(core, i);
}

Index find_group(const Core& core, InterfaceId id, const IpAddress& group) {
  for (Index i = 0; i < core.iface.group_pool.watermark(); ++i)
    if (core.iface.groups[i].group == group && core.iface.groups[i].interface == id) return i;
  return kNoIndex;
}

Index hold_group(Core& core, InterfaceId id, const IpAddress& group) {
  (void)version_of(core, id, group.version());  // a switch takes away records without users
  if (const Index known = find_group(core, id, group); known != kNoIndex) return known;
  State& s = core.iface;
  const Index i = s.group_pool.take(group_links(s));
  if (i == kNoIndex) return kNoIndex;
  s.groups[i] = Group{};
  s.groups[i].group = group;
  s.groups[i].interface = id;
  return i;
}

bool takes_source(const Core& core, InterfaceId id, const IpAddress& group, const IpAddress& source) {
  const Index i = find_group(core, id, group);
  if (i == kNoIndex) return is_member(core, id, group);
  return takes_source(core, core.iface.groups[i], source);
}

bool takes_source(const Core& core, const Group& g, const IpAddress& source) {
  for (Index k = g.sources; k != kNoIndex; k = core.iface.group_sources[k].next)
    if (core.iface.group_sources[k].address == source) return is_taken(g, core.iface.group_sources[k]);
  return g.excluders > 0;
}

GroupChange begin_change(Core& core, Index group) {
  Group& g = core.iface.groups[group];
  // A switch of versions comes before what happens now, so that this is told in the new one.
  if (has_users(g)) (void)version_of(core, g.interface, g.group.version());
  for (Index k = g.sources; k != kNoIndex; k = core.iface.group_sources[k].next)
    core.iface.group_sources[k].was_taken = is_taken(g, core.iface.group_sources[k]);
  return {group, g.excluders > 0, has_users(g)};
}

void add_mode(Group& g, FilterMode mode) {
  ++(mode == FilterMode::exclude ? g.excluders : g.includers);
}

void remove_mode(Group& g, FilterMode mode) {
  --(mode == FilterMode::exclude ? g.excluders : g.includers);
}

void add_source(Core& core, Group& g, FilterMode mode, const IpAddress& address) {
  State& s = core.iface;
  Index k = g.sources;
  while (k != kNoIndex && s.group_sources[k].address != address) k = s.group_sources[k].next;
  if (k == kNoIndex) {
    k = s.source_pool.take(source_links(s));
    LEAT_ASSERT(k != kNoIndex);
    s.group_sources[k] = GroupSource{};
    s.group_sources[k].address = address;
    // What no list names is taken in mode exclude and not in mode include: so it was before this change.
    s.group_sources[k].was_taken = g.excluders > 0;
    s.group_sources[k].next = std::exchange(g.sources, k);
  }
  ++(mode == FilterMode::exclude ? s.group_sources[k].excluders : s.group_sources[k].includers);
}

void remove_source(Core& core, Group& g, FilterMode mode, const IpAddress& address) {
  State& s = core.iface;
  Index k = g.sources;
  while (k != kNoIndex && s.group_sources[k].address != address) k = s.group_sources[k].next;
  LEAT_ASSERT(k != kNoIndex);
  --(mode == FilterMode::exclude ? s.group_sources[k].excluders : s.group_sources[k].includers);
}

void end_change(Core& core, const GroupChange& before) {
  Group& g = core.iface.groups[before.group];
  const bool member = has_users(g);
  if (member != before.was_member) ++core.route_epoch;
  if (!is_reportable(core, g)) return forget_changes(core, before.group);
  GroupReports& r = reports_of(core, g.interface, g.group.version());
  if (r.version != QuerierVersion::current) {
    // RFC 3376 7.2.1: older versions know nothing of sources.
    if (member && !before.was_member) {
      g.reports = r.robustness;
      g.due = core.now;
    } else if (!member && before.was_member) {
      // RFC 2236 3: who reported last says that it leaves; version 1 has no word for it.
      const bool tell = r.version == QuerierVersion::older && g.last_reporter;
      g.reports = 0;
      g.due = tell ? core.now : Instant::never();
    }
    wake_at(core, g.due);
    return prune(core, before.group);
  }
  const bool exclude = g.excluders > 0;
  if (exclude != before.was_exclude) {
    g.mode_changes = r.robustness;
    for (Index k = g.sources; k != kNoIndex; k = core.iface.group_sources[k].next)
      core.iface.group_sources[k].changes = 0;  // the record of the mode lists them all
  } else {
    for (Index k = g.sources; k != kNoIndex; k = core.iface.group_sources[k].next) {
      GroupSource& s = core.iface.group_sources[k];
      if (is_taken(g, s) != s.was_taken) s.changes = r.robustness;
    }
  }
  if (!member) forget_answer(core, g);
  if (has_records(core, g, ReportKind::changes)) {
    r.change_due = core.now;
    wake_at(core, core.now);
  }
  prune(core, before.group);
}

void report_again(Core& core, InterfaceId id) {
  for (const IpVersion version : {IpVersion::v4, IpVersion::v6}) {
    GroupReports& r = reports_of(core, id, version);
    const QuerierVersion speaks = version_of(core, id, version);
    for_each_group(core, id, version, [&](Index i) {
      Group& g = core.iface.groups[i];
      if (!has_users(g) || !is_reportable(core, g)) return;
      wake_at(core, core.now);
      if (speaks != QuerierVersion::current) {
        g.reports = r.robustness;
        g.due = core.now;
        return;
      }
      r.change_due = core.now;
      if (g.excluders > 0) g.mode_changes = r.robustness;
      for (Index k = g.sources; k != kNoIndex; k = core.iface.group_sources[k].next)
        core.iface.group_sources[k].changes = r.robustness;
    });
  }
}

void forget_groups(Core& core, InterfaceId id) {
  State& s = core.iface;
  for (Index i = 0; i < s.group_pool.watermark(); ++i) {
    Group& g = s.groups[i];
    if (g.interface != id) continue;
    g.excluders = g.includers = 0;
    for (Index k = g.sources; k != kNoIndex; k = s.group_sources[k].next)
      s.group_sources[k].includers = s.group_sources[k].excluders = 0;
    forget_changes(core, i);
  }
  ++core.route_epoch;
}

Result<void> join_group(Core& core, InterfaceId id, const IpAddress& group) {
  if (core.iface.find(id) == nullptr) return fail(Errc::not_found);
  if (!group.is_multicast()) return fail(Errc::invalid_argument);
  const Index i = hold_group(core, id, group);
  if (i == kNoIndex) return fail(Errc::no_memory);
  const GroupChange change = begin_change(core, i);
  add_mode(core.iface.groups[i], FilterMode::exclude);
  end_change(core, change);
  return {};
}

Result<void> leave_group(Core& core, InterfaceId id, const IpAddress& group) {
  const Index i = find_group(core, id, group);
  if (i == kNoIndex || core.iface.groups[i].excluders == 0) return fail(Errc::not_found);
  const GroupChange change = begin_change(core, i);
  remove_mode(core.iface.groups[i], FilterMode::exclude);
  end_change(core, change);
  return {};
}

bool is_member(const Core& core, InterfaceId id, const IpAddress& group) {
  // RFC 1112 4 and RFC 4291 2.8: all-hosts and all-nodes have no end.
  if (group == IpAddress::v4(224, 0, 0, 1)) return true;
  if (!group.is_v4() && group.bytes()[1] <= 2 && RouteKey{group}.low == 1 &&
      (RouteKey{group}.high & 0x0000ffffffffffffULL) == 0) {
    return true;
  }
  const Index i = find_group(core, id, group);
  return i != kNoIndex && has_users(core.iface.groups[i]);
}

}  // namespace leat::iface
