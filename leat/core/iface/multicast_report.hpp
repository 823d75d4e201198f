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

// Where the records of a group go on in the next message.
struct Rest {
  bool blocks = false;      // the record of what is allowed was told
  Index source = kNoIndex;  // the first of the record that was not; kNoIndex: all are to be told
};

// RFC 3376 4.2.12, 5.1: the records of one group, from `rest` on. False: not all fit, and `rest` is what is left.
template <class Writer>
[[nodiscard]] bool add_records(const Core& core, const Group& g, ReportKind kind, Writer& w, Rest& rest) {
  using Type = wire::MulticastRecordType;
  const bool alone = w.empty();
  const auto add = [&](Type type, Index head, const auto& sources, auto&& wanted) {
    const Writer before = w;
    if (!w.add({type, g.group})) return false;
    bool some = false;
    for (Index i = rest.source == kNoIndex ? head : rest.source; i != kNoIndex; i = sources[i].next) {
      if (!wanted(sources[i])) continue;
      if (w.add_source(sources[i].address)) {
        some = true;
        continue;
      }
      // RFC 3376 4.2.16, RFC 3810 5.2.15: of what is not wanted as much as fits into one message is told, always the
      // same; a second record would be a list of its own. All other kinds are split.
      if (alone && (type == Type::mode_is_exclude || type == Type::change_to_exclude)) return true;
      if (!some) w = before;  // without a source it would mean another thing
      rest.source = i;
      return false;
    }
    rest.source = kNoIndex;
    return true;
  };
  const auto& sources = core.iface.group_sources;
  if (kind == ReportKind::queried) {
    // RFC 3376 5.2: of the sources asked about those that are taken.
    return add(Type::mode_is_include, g.queried, core.iface.queried_sources,
               [&](const QueriedSource& s) { return takes_source(core, g, s.address); });
  }
  const bool exclude = g.excluders > 0;
  const auto listed = [&](const GroupSource& s) { return is_taken(g, s) != exclude; };
  if (kind == ReportKind::current)
    return add(exclude ? Type::mode_is_exclude : Type::mode_is_include, g.sources, sources, listed);
  if (g.mode_changes > 0)
    return add(exclude ? Type::change_to_exclude : Type::change_to_include, g.sources, sources, listed);
  for (const bool allow : {true, false}) {
    if (allow && rest.blocks) continue;
    rest.blocks = !allow;
    const auto changed = [&](const GroupSource& s) { return s.changes > 0 && is_taken(g, s) == allow; };
    Index first = g.sources;
    while (first != kNoIndex && !changed(sources[first])) first = sources[first].next;
    if (first == kNoIndex) continue;
    if (!add(allow ? Type::allow_new_sources : Type::block_old_sources, first, sources, changed)) return false;
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
    Rest rest;
    if (add_records(core, g, kind, *writer, rest)) continue;
    *writer = before;
    if (!before.empty() && (!flush(i) || !begin())) return false;
    // The group has not left before its last part has: who lacks memory for that says all of it again.
    rest = {};
    while (!add_records(core, g, kind, *writer, rest))
      if (!flush(i) || !begin()) return false;
  }
  return flush(s.group_pool.watermark());
}

}  // namespace leat::iface
