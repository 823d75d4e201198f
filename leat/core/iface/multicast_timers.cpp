// What is due about groups is said: answers, changes, and messages of older versions (RFC 3376 5.1, 5.2; RFC 2236 3).

#include <leat/core/iface/iface.hpp>
#include <leat/core/iface/multicast_machine.hpp>
#include <leat/core/iface/multicast_report.hpp>
#include <leat/core/ip/ipv6_module.hpp>

namespace leat::iface {
namespace {

constexpr Duration kUnsolicited = Duration::s(1);        // RFC 3376 8.11, RFC 3810 9.11
constexpr Duration kUnsolicitedOlder = Duration::s(10);  // RFC 2236 8.10, RFC 2710 7.10
constexpr Duration kRetry = Duration::ms(100);           // U9: without memory

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
    const ReportKind kind = g.queried == kNoIndex ? ReportKind::current : ReportKind::queried;
    if (has_users(g) && !send_report(core, g.interface, g.group.version(), kind, i)) {
      g.due = core.now + kRetry;
      return;
    }
    forget_answer(core, g);
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
  GroupReports& r = reports_of(core, id, version);
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
