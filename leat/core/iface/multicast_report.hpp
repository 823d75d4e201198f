#pragma once
// Reports of IGMPv3 and MLDv2: the same records (RFC 3376 4.2, RFC 3810 5.2) in different messages. Inside iface.
// Threading: the owner of the shard.

#include <leat/core/iface/multicast_machine.hpp>
#include <leat/wire/mld.hpp>

namespace leat::iface {

// Whether a report of this kind has something to say of the group.
[[nodiscard]] bool has_records(const Core&, const Group&, ReportKind);
// A report with the changes of this group has left: RFC 3376 5.1 has it repeated.
void changes_were_sent(Core&, Index group);
// Does the interface's filter take this source of the group's list?
[[nodiscard]] inline bool is_taken(const Group& g, const GroupSource& s) {
  return g.excluders == 0 ? s.includers > 0 : s.includers > 0 || s.excluders != g.excluders;
}

// RFC 3376 4.2.12, 5.1: the records of one group. False: they don't fit; with `cut_short` as many sources as do.
template <class Writer>
[[nodiscard]] bool add_records(const Core& core, const Group& g, ReportKind kind, Writer& w, bool cut_short) {
  using Type = wire::MulticastRecordType;
  const auto add = [&](Type type, auto&& wanted) {
    if (!w.add({type, g.group})) return false;
    for (Index i = g.sources; i != kNoIndex; i = core.iface.group_sources[i].next) {
      const GroupSource& s = core.iface.group_sources[i];
      if (wanted(s) && !w.add_source(s.address)) return cut_short;
    }
    return true;
  };
  if (kind == ReportKind::queried) {
    // RFC 3376 5.2: of the sources asked about those that are taken.
    if (!w.add({Type::mode_is_include, g.group})) return false;
    for (Index i = g.queried; i != kNoIndex; i = core.iface.queried_sources[i].next) {
      const IpAddress& source = core.iface.queried_sources[i].address;
      if (takes_source(core, g, source) && !w.add_source(source)) return cut_short;
    }
    return true;
  }
  const bool exclude = g.excluders > 0;
  const auto listed = [&](const GroupSource& s) { return is_taken(g, s) != exclude; };
  if (kind == ReportKind::current) return add(exclude ? Type::mode_is_exclude : Type::mode_is_include, listed);
  if (g.mode_changes > 0) return add(exclude ? Type::change_to_exclude : Type::change_to_include, listed);
  for (const bool allow : {true, false}) {
    bool some = false;
    const auto changed = [&](const GroupSource& s) { return s.changes > 0 && is_taken(g, s) == allow; };
    for (Index i = g.sources; i != kNoIndex && !some; i = core.iface.group_sources[i].next)
      some = changed(core.iface.group_sources[i]);
    if (some && !add(allow ? Type::allow_new_sources : Type::block_old_sources, changed)) return false;
  }
  return true;
}

// Fills packets with the records of the interface's groups of one version, `overhead` bytes of IP headers each, and
// hands them to `send` (bool(Packet&&)).
template <class Writer, class Send>
[[nodiscard]] bool write_report(Core& core, InterfaceId id, IpVersion version, ReportKind kind, Index only,
                                std::uint32_t overhead, Send&& send) {
  State& s = core.iface;
  const std::uint32_t mtu = s.interfaces[id - 1U].mtu;
  const std::uint32_t room = mtu > overhead + 64 ? mtu - overhead : 64;
  Packet packet;
  std::optional<Writer> writer;
  Index first = 0;  // of the groups that stand in `packet`
  const auto begin = [&] {
    packet = core.pool.allocate(ChunkClass::normal, kHeadroom, Priority::control);
    if (!packet) packet = core.pool.allocate(ChunkClass::small, kHeadroom, Priority::control);
    if (!packet) {
      core.counters.add(DropReason::no_buffers);
      return false;
    }
    writer.emplace(packet.append(std::min(packet.tailroom(), room)));
    return true;
  };
  const auto flush = [&](Index end) {
    if (!packet) return true;
    const std::size_t length = writer->finish();
    if (length == 0) return true;
    packet.truncate(static_cast<std::uint32_t>(length));
    const bool sent = send(std::move(packet));
    packet = Packet{};
    for (Index i = first; sent && kind == ReportKind::changes && i < end; ++i) {
      const Group& g = s.groups[i];
      if (g.interface == id && g.group.version() == version && has_records(core, g, kind)) changes_were_sent(core, i);
    }
    first = end;
    return sent;
  };
  for (Index i = 0; i < s.group_pool.watermark(); ++i) {
    const Group& g = s.groups[i];
    if (g.interface != id || g.group.version() != version || (only != kNoIndex && only != i) ||
        !has_records(core, g, kind)) {
      continue;
    }
    if (!packet && !begin()) return false;
    const Writer before = *writer;
    if (add_records(core, g, kind, *writer, false)) continue;
    *writer = before;
    if (!before.empty() && (!flush(i) || !begin())) return false;
    // RFC 3376 4.2.16: exception: of a filter that fills a whole message only as much as fits is told.
    const Writer alone = *writer;
    if (!add_records(core, g, kind, *writer, true)) *writer = alone;
  }
  return flush(s.group_pool.watermark());
}

}  // namespace leat::iface
