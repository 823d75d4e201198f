// An interface's multicast groups: filters, changes, queries and timers (RFC 3376 3.2, 5, 7.2; RFC 3810 4.2, 6, 8.2).

#include <leat/core/iface/iface.hpp>
#include <leat/core/iface/link.hpp>
#include <leat/core/iface/multicast.hpp>
#include <leat/core/iface/multicast_report.hpp>
#include <leat/core/ip/ipv6_module.hpp>

namespace leat::iface {
namespace {

constexpr Duration kUnsolicited = Duration::s(1);        // RFC 3376 8.11, RFC 3810 9.11
constexpr Duration kUnsolicitedOlder = Duration::s(10);  // RFC 2236 8.10, RFC 2710 7.10
constexpr std::uint32_t kOldestResponseMs = 10'000;      // RFC 3376 7.2.1: what a version 1 querier waits
constexpr std::uint8_t kRobustness = 2;                  // RFC 3376 8.1
constexpr std::uint32_t kIntervalSeconds = 125;          // RFC 3376 8.2
constexpr Duration kRetry = Duration::ms(100);           // U9: without memory

auto group_links(State& s) {
  return [&s](Index k) -> Index& { return s.groups[k].next_free; };
}
auto source_links(State& s) {
  return [&s](Index k) -> Index& { return s.group_sources[k].next; };
}

bool has_users(const Group& g) {
  return g.excluders + g.includers > 0;
}

GroupReports& reports_of(Core& core, InterfaceId id, const IpAddress& group) {
  return core.iface.interfaces[id - 1U].reports[group.is_v4() ? 0 : 1];
}

// RFC 3376 5, RFC 3810 6: all-hosts and all-nodes are never reported, nor are groups that no router can pass on.
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

void wake_at(Core& core, Instant due) {
  core.iface.multicast_due = earlier(core.iface.multicast_due, due);
}

Instant in_at_most(Core& core, Duration most) {
  const auto ms = static_cast<std::uint32_t>(std::max<std::int64_t>(most.count_ms(), 1));
  return core.now + Duration::ms(core.rng.below(ms) + 1);
}

// Sources that nobody names and of which nothing is to be told go; so does a group.
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

// Nothing of what happened to the group will be told any more.
void forget_changes(Core& core, Index i) {
  Group& g = core.iface.groups[i];
  g.due = Instant::never();
  g.reports = g.mode_changes = 0;
  for (Index k = g.sources; k != kNoIndex; k = core.iface.group_sources[k].next)
    core.iface.group_sources[k].changes = 0;
  prune(core, i);
}

template <class F>
void for_each_group(Core& core, InterfaceId id, IpVersion version, F&& f) {
  for (Index i = 0; i < core.iface.group_pool.watermark(); ++i) {
    const Group& g = core.iface.groups[i];
    if (g.interface == id && g.group.version() == version) f(i);
  }
}

// RFC 3376 7.2.1, RFC 3810 8.2.1: which version is spoken now. A switch cancels what was pending in the other one: the
// querier that caused it asks for everything anyway.
QuerierVersion version_of(Core& core, InterfaceId id, IpVersion version) {
  GroupReports& r = core.iface.interfaces[id - 1U].reports[version == IpVersion::v4 ? 0 : 1];
  const QuerierVersion is = core.now < r.oldest_until  ? QuerierVersion::oldest
                            : core.now < r.older_until ? QuerierVersion::older
                                                       : QuerierVersion::current;
  if (is == r.version) return is;
  r.version = is;
  r.general_due = r.change_due = Instant::never();
  for_each_group(core, id, version, [&](Index i) { forget_changes(core, i); });
  return is;
}

bool send_report(Core& core, InterfaceId id, IpVersion version, ReportKind kind, Index only) {
  if (version == IpVersion::v4) return send_igmp_report(core, id, kind, only);
  return core.modules.ipv6->group_report(core, id, kind, only);
}

bool send_older(Core& core, const Group& g, OlderMessage message) {
  if (g.group.is_v4()) return send_igmp_older(core, g.interface, message, g.group);
  return core.modules.ipv6->older_group_message(core, g.interface, message, g.group);
}

// The group's own timer: an answer about it alone, or a message of an older version.
void group_expired(Core& core, Index i) {
  Group& g = core.iface.groups[i];
  const QuerierVersion version = version_of(core, g.interface, g.group.version());
  if (g.interface == kNoInterface || g.due > core.now) return;  // the switch took it
  if (version == QuerierVersion::current) {
    const bool done = !has_users(g) || send_report(core, g.interface, g.group.version(), ReportKind::current, i);
    g.due = done ? Instant::never() : core.now + kRetry;
    prune(core, i);
    return;
  }
  const OlderMessage message = !has_users(g)                       ? OlderMessage::leave
                               : version == QuerierVersion::oldest ? OlderMessage::oldest_report
                                                                   : OlderMessage::report;
  if (!send_older(core, g, message)) {
    g.due = core.now + kRetry;
    return;
  }
  g.last_reporter = message != OlderMessage::leave;
  if (g.reports > 0) --g.reports;
  g.due = g.reports > 0 && has_users(g) ? in_at_most(core, kUnsolicitedOlder) : Instant::never();
  prune(core, i);
}

bool has_changes(Core& core, InterfaceId id, IpVersion version) {
  bool some = false;
  for_each_group(core, id, version,
                 [&](Index i) { some = some || has_records(core, core.iface.groups[i], ReportKind::changes); });
  return some;
}

// The interface's timers of one version.
void interface_expired(Core& core, InterfaceId id, IpVersion version) {
  GroupReports& r = core.iface.interfaces[id - 1U].reports[version == IpVersion::v4 ? 0 : 1];
  if (r.general_due > core.now && r.change_due > core.now) return;
  if (version_of(core, id, version) != QuerierVersion::current) return;
  if (r.general_due <= core.now) {
    const bool sent = send_report(core, id, version, ReportKind::current, kNoIndex);
    r.general_due = sent ? Instant::never() : core.now + kRetry;
  }
  if (r.change_due <= core.now) {
    const bool sent = send_report(core, id, version, ReportKind::changes, kNoIndex);
    if (!sent) {
      r.change_due = core.now + kRetry;  // U9
    } else {
      // RFC 3376 5.1: again, at a random time, until it was told as often as the robustness variable says.
      r.change_due = has_changes(core, id, version) ? in_at_most(core, kUnsolicited) : Instant::never();
    }
  }
}

}  // namespace

bool has_records(const Core& core, const Group& g, ReportKind kind) {
  if (kind == ReportKind::current) return has_users(g) && is_reportable(core, g);
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

// --- groups ----------------------------------------------------------------------------------------------------------

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
  const Group& g = core.iface.groups[i];
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
  GroupReports& r = reports_of(core, g.interface, g.group);
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
  if (!member) g.due = Instant::never();
  if (has_records(core, g, ReportKind::changes)) {
    r.change_due = core.now;
    wake_at(core, core.now);
  }
  prune(core, before.group);
}

void report_again(Core& core, InterfaceId id) {
  for (const IpVersion version : {IpVersion::v4, IpVersion::v6}) {
    GroupReports& r = core.iface.interfaces[id - 1U].reports[version == IpVersion::v4 ? 0 : 1];
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

// --- queries and time ------------------------------------------------------------------------------------------------

void group_queried(Core& core, InterfaceId id, const GroupQuery& q) {
  const IpVersion version = q.group.version();
  const bool general = q.group.is_unspecified();
  GroupReports& r = core.iface.interfaces[id - 1U].reports[version == IpVersion::v4 ? 0 : 1];
  if (q.version == QuerierVersion::current) {
    // RFC 3376 4.1.6, 4.1.7: the querier's values are everybody's.
    r.robustness = q.robustness != 0 ? q.robustness : kRobustness;
    r.interval_s = q.interval_s != 0 ? q.interval_s : kIntervalSeconds;
  } else if (general) {
    // RFC 3376 8.12, RFC 3810 9.12: how long an older querier is believed to be there.
    const Instant until =
        core.now + Duration::s(std::int64_t{r.robustness} * r.interval_s) + Duration::ms(q.max_response_ms);
    (q.version == QuerierVersion::oldest ? r.oldest_until : r.older_until) = until;
  }
  const QuerierVersion speaks = version_of(core, id, version);
  const Duration most = Duration::ms(speaks == QuerierVersion::oldest ? kOldestResponseMs : q.max_response_ms);
  if (speaks != QuerierVersion::current) {
    for_each_group(core, id, version, [&](Index i) {
      Group& g = core.iface.groups[i];
      if (!has_users(g) || !is_reportable(core, g) || (!general && g.group != q.group)) return;
      // RFC 2236 3, RFC 2710 4: a timer that runs is drawn anew only if it would end too late.
      if (!g.due.is_never() && g.due - core.now <= most) return;
      g.due = in_at_most(core, most);
      wake_at(core, g.due);
    });
    return;
  }
  const Instant due = in_at_most(core, most);
  // RFC 3376 5.2 (1), RFC 3810 6.2: what will be said of all groups before that is answer enough.
  if (r.general_due <= due) return;
  if (general) {
    r.general_due = due;
    wake_at(core, due);
    return;
  }
  const Index i = find_group(core, id, q.group);
  if (i == kNoIndex || !has_users(core.iface.groups[i]) || !is_reportable(core, core.iface.groups[i])) return;
  // RFC 3376 5.2 (3) to (5): exception: a query about certain sources is answered for the whole group, which says more
  // than was asked.
  Group& g = core.iface.groups[i];
  g.due = earlier(g.due, due);
  wake_at(core, g.due);
}

void group_reported(Core& core, InterfaceId id, const IpAddress& group) {
  if (version_of(core, id, group.version()) == QuerierVersion::current) return;
  const Index i = find_group(core, id, group);
  if (i == kNoIndex || !has_users(core.iface.groups[i])) return;
  Group& g = core.iface.groups[i];
  g.due = Instant::never();
  g.reports = 0;
  g.last_reporter = false;
}

void run_multicast_timers(Core& core, unsigned& budget) {
  State& s = core.iface;
  if (budget == 0 || core.now < s.multicast_due) return;
  --budget;
  s.multicast_due = Instant::never();
  for (std::uint32_t i = 0; i < s.interface_pool.watermark(); ++i) {
    if (!s.interfaces[i].used || !s.interfaces[i].up) continue;
    for (const IpVersion version : {IpVersion::v4, IpVersion::v6})
      interface_expired(core, static_cast<InterfaceId>(i + 1), version);
    for (const GroupReports& r : s.interfaces[i].reports) wake_at(core, earlier(r.general_due, r.change_due));
  }
  for (Index i = 0; i < s.group_pool.watermark(); ++i) {
    if (s.groups[i].interface == kNoInterface || !s.interfaces[s.groups[i].interface - 1U].up) continue;
    if (s.groups[i].due <= core.now) group_expired(core, i);
    if (s.groups[i].interface != kNoInterface) wake_at(core, s.groups[i].due);
  }
}

}  // namespace leat::iface
