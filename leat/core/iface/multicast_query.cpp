// What routers ask and other hosts report about groups, and when it will be answered (RFC 3376 5.2, 7.2; RFC 3810 6.2,
// 8.2).

#include <leat/core/iface/multicast_machine.hpp>

namespace leat::iface {
namespace {

constexpr std::uint32_t kOldestResponseMs = 10'000;  // RFC 3376 7.2.1: what a version 1 querier waits
constexpr std::uint8_t kRobustness = 2;              // RFC 3376 8.1
constexpr std::uint32_t kIntervalSeconds = 125;      // RFC 3376 8.2

auto queried_links(State& s) {
  return [&s](Index k) -> Index& { return s.queried_sources[k].next; };
}

// What the querier says of itself.
void heed_querier(Core& core, GroupReports& r, const GroupQuery& q) {
  if (q.version == QuerierVersion::current) {
    // RFC 3376 4.1.6, 4.1.7: the querier's values are everybody's.
    r.robustness = q.robustness != 0 ? q.robustness : kRobustness;
    r.interval_s = q.interval_s != 0 ? q.interval_s : kIntervalSeconds;
  } else if (q.group.is_unspecified()) {
    // RFC 3376 8.12, RFC 3810 9.12: how long an older querier is believed to be there.
    const Instant until =
        core.now + Duration::s(std::int64_t{r.robustness} * r.interval_s) + Duration::ms(q.max_response_ms);
    (q.version == QuerierVersion::oldest ? r.oldest_until : r.older_until) = until;
  }
}

// In an older version each group answers for itself.
void answer_in_older_version(Core& core, InterfaceId id, const GroupQuery& q, Duration most) {
  for_each_group(core, id, q.group.version(), [&](Index i) {
    Group& g = core.iface.groups[i];
    if (!has_users(g) || !is_reportable(core, g) || (!q.group.is_unspecified() && g.group != q.group)) return;
    // RFC 2236 3, RFC 2710 4: a timer that runs is drawn anew only if it would end too late.
    if (!g.due.is_never() && g.due - core.now <= most) return;
    g.due = in_at_most(core, most);
    wake_at(core, g.due);
  });
}

void forget_queried_sources(Core& core, Group& g) {
  State& s = core.iface;
  while (g.queried != kNoIndex) {
    const Index k = g.queried;
    g.queried = s.queried_sources[k].next;
    s.queried_pool.give(k, queried_links(s));
  }
}

// Adds to what is asked about the group. What its filter doesn't take needs no answer: a change of that until the
// answer is due would be told by itself. False: there is no room.
bool note_queried_sources(Core& core, Group& g, const wire::SourceList& sources) {
  State& s = core.iface;
  for (std::size_t n = 0; n < sources.size(); ++n) {
    const IpAddress source = sources[n];
    Index k = g.queried;
    while (k != kNoIndex && s.queried_sources[k].address != source) k = s.queried_sources[k].next;
    if (k != kNoIndex || !takes_source(core, g, source)) continue;
    k = s.queried_pool.take(queried_links(s));
    if (k == kNoIndex) return false;
    s.queried_sources[k] = {source, std::exchange(g.queried, k)};
  }
  return true;
}

// RFC 3376 5.2 (3) to (5), RFC 3810 6.2: what is asked of a group adds up until it is answered; an answer for the whole
// group takes the place of one for certain sources.
void group_asked(Core& core, Group& g, const wire::SourceList& sources, Instant due) {
  const bool whole_is_pending = !g.due.is_never() && g.queried == kNoIndex;
  if (sources.size() == 0) {
    forget_queried_sources(core, g);
  } else if (!whole_is_pending) {
    // More than there is room for is answered for the whole group, which says more than was asked.
    if (!note_queried_sources(core, g, sources)) {
      forget_queried_sources(core, g);
    } else if (g.queried == kNoIndex) {
      return;
    }
  }
  g.due = earlier(g.due, due);
  wake_at(core, g.due);
}

}  // namespace

QuerierVersion version_of(Core& core, InterfaceId id, IpVersion version) {
  GroupReports& r = reports_of(core, id, version);
  const QuerierVersion is = core.now < r.oldest_until  ? QuerierVersion::oldest
                            : core.now < r.older_until ? QuerierVersion::older
                                                       : QuerierVersion::current;
  if (is == r.version) return is;
  r.version = is;
  r.general_due = r.change_due = Instant::never();
  for_each_group(core, id, version, [&](Index i) { forget_changes(core, i); });
  return is;
}

void forget_answer(Core& core, Group& g) {
  g.due = Instant::never();
  forget_queried_sources(core, g);
}

void group_queried(Core& core, InterfaceId id, const GroupQuery& q) {
  const IpVersion version = q.group.version();
  GroupReports& r = reports_of(core, id, version);
  heed_querier(core, r, q);
  const QuerierVersion speaks = version_of(core, id, version);
  const Duration most = Duration::ms(speaks == QuerierVersion::oldest ? kOldestResponseMs : q.max_response_ms);
  if (speaks != QuerierVersion::current) return answer_in_older_version(core, id, q, most);
  const Instant due = in_at_most(core, most);
  // RFC 3376 5.2 (1), RFC 3810 6.2: what will be said of all groups before that is answer enough.
  if (r.general_due <= due) return;
  if (q.group.is_unspecified()) {
    r.general_due = due;
    wake_at(core, due);
    return;
  }
  const Index i = find_group(core, id, q.group);
  if (i == kNoIndex || !has_users(core.iface.groups[i]) || !is_reportable(core, core.iface.groups[i])) return;
  group_asked(core, core.iface.groups[i], q.sources, due);
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

}  // namespace leat::iface
