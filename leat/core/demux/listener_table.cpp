#include <leat/base/assert.hpp>
#include <leat/core/demux/listener_table.hpp>

namespace leat {

ListenerTable::ListenerTable(const Storage& s, SipKey secret, BindRule rule)
    : entries_(s.entries),
      groups_(s.groups),
      ports_(s.ports),
      pool_(static_cast<std::uint32_t>(s.entries.size())),
      secret_(secret),
      rule_(rule) {}

// --- rules -----------------------------------------------------------------------------------------------------------

ListenerTable::Class ListenerTable::class_of(const BindKey& key) {
  if (key.address.is_unspecified()) return key.interface != 0 ? any_interface : any_address;
  return key.interface != 0 ? exact_interface : exact_address;
}

bool ListenerTable::accepts(const BindEntry& e, const BindKey& to) {
  if (e.key.port != to.port || e.key.scope != to.scope) return false;
  if (e.key.interface != 0 && e.key.interface != to.interface) return false;
  if (!e.key.address.is_unspecified()) return e.key.address == to.address;
  if (e.key.address.is_v4()) return to.address.is_v4();
  return !to.address.is_v4() || !e.flags.v6only;
}

bool ListenerTable::overlap(const BindKey& a, bool a_v6only, const BindKey& b, bool b_v6only) {
  if (a.port != b.port || a.scope != b.scope) return false;
  if (a.interface != 0 && b.interface != 0 && a.interface != b.interface) return false;
  const bool a_any = a.address.is_unspecified();
  const bool b_any = b.address.is_unspecified();
  if (!a_any && !b_any) return a.address == b.address;
  const bool a_v4 = a.address.is_v4();
  const bool b_v4 = b.address.is_v4();
  if (a_v4 == b_v4) return true;
  // One is IPv6: it meets IPv4 only as a dual-stack wildcard (RFC 3493 5.3).
  return a_v4 ? b_any && !b_v6only : a_any && !a_v6only;
}

bool ListenerTable::conflict(const BindKey& key, BindFlags flags, Index self) const {
  for (Index i = first_on_port(key.scope, key.port); i != kNoIndex; i = entries_[i].next_on_port) {
    const BindEntry& e = entries_[i];
    if (i == self || !overlap(key, flags.v6only, e.key, e.flags.v6only)) continue;
    if (flags.reuse_port && e.flags.reuse_port && flags.user == e.flags.user) continue;
    if (flags.reuse_address && e.flags.reuse_address && (rule_ == BindRule::datagram || !e.active)) continue;
    return true;
  }
  return false;
}

bool ListenerTable::in_use(const BindKey& key, BindFlags flags) const {
  return conflict(key, flags, kNoIndex);
}

bool ListenerTable::port_taken(const BindKey& key, bool v6only) const {
  if (pool_.used() == 0) return false;  // who only connects pays for no look-up
  for (Index i = first_on_port(key.scope, key.port); i != kNoIndex; i = entries_[i].next_on_port)
    if (overlap(key, v6only, entries_[i].key, entries_[i].flags.v6only)) return true;
  return false;
}

// --- binding ---------------------------------------------------------------------------------------------------------

Result<Index> ListenerTable::bind(const BindKey& key, BindFlags flags, Index value) {
  LEAT_ASSERT(key.port != Port{});
  if (in_use(key, flags)) return fail(Errc::address_in_use);
  const Index i = pool_.take([this](Index k) -> Index& { return entries_[k].next_on_port; });
  if (i == kNoIndex) return fail(Errc::no_memory);
  BindEntry& e = entries_[i];
  e = BindEntry{};
  e.key = key;
  e.flags = flags;
  e.value = value;

  const std::uint32_t port = port_hash(key.scope, key.port);
  const Index head = first_on_port(key.scope, key.port);
  const Index leader = find_group(key);
  const bool listed = head == kNoIndex ? ports_.insert(port, i + 1) : ports_.replace(port, head + 1, i + 1);
  if (!listed || (leader == kNoIndex && !groups_.insert(group_hash(key), i + 1))) {
    if (listed) {
      if (head == kNoIndex) {
        ports_.erase(port, i + 1);
      } else {
        ports_.replace(port, i + 1, head + 1);
      }
    }
    e.value = kNoIndex;
    pool_.give(i, [this](Index k) -> Index& { return entries_[k].next_on_port; });
    return fail(Errc::no_memory);
  }
  e.next_on_port = head;
  if (head != kNoIndex) entries_[head].prev_on_port = i;
  if (leader == kNoIndex) {
    e.next_member = e.prev_member = i;
  } else {  // at the end of the ring: members are in order of binding
    const Index last = entries_[leader].prev_member;
    e.next_member = leader;
    e.prev_member = last;
    entries_[last].next_member = i;
    entries_[leader].prev_member = i;
  }
  return i;
}

bool ListenerTable::activate(Index i) {
  BindEntry& e = entries_[i];
  if (e.active) return true;
  if (rule_ == BindRule::stream && conflict(e.key, e.flags, i)) return false;
  e.active = true;
  ++entries_[find_group(e.key)].active_members;
  ++active_[class_of(e.key)];
  return true;
}

void ListenerTable::deactivate(Index i) {
  BindEntry& e = entries_[i];
  if (!e.active) return;
  e.active = false;
  --entries_[find_group(e.key)].active_members;
  --active_[class_of(e.key)];
}

void ListenerTable::unbind(Index i) {
  deactivate(i);
  BindEntry& e = entries_[i];
  if (find_group(e.key) == i) {
    const std::uint32_t hash = group_hash(e.key);
    if (e.next_member == i) {
      groups_.erase(hash, i + 1);
    } else {
      entries_[e.next_member].active_members = e.active_members;
      groups_.replace(hash, i + 1, e.next_member + 1);
    }
  }
  entries_[e.next_member].prev_member = e.prev_member;
  entries_[e.prev_member].next_member = e.next_member;

  const std::uint32_t port = port_hash(e.key.scope, e.key.port);
  if (e.prev_on_port != kNoIndex) {
    entries_[e.prev_on_port].next_on_port = e.next_on_port;
  } else if (e.next_on_port != kNoIndex) {
    ports_.replace(port, i + 1, e.next_on_port + 1);
  } else {
    ports_.erase(port, i + 1);
  }
  if (e.next_on_port != kNoIndex) entries_[e.next_on_port].prev_on_port = e.prev_on_port;
  e.value = kNoIndex;
  pool_.give(i, [this](Index k) -> Index& { return entries_[k].next_on_port; });
}

// --- looking up ------------------------------------------------------------------------------------------------------

Index ListenerTable::lookup(const BindKey& key, std::uint32_t flow) const {
  BindKey k = key;
  Index found = kNoIndex;
  const auto try_address = [&](const IpAddress& address, bool need_v4, Class with_interface, Class without) {
    k.address = address;
    k.interface = key.interface;
    if (key.interface != 0 && active_[with_interface] != 0) found = probe(k, flow, need_v4);
    if (found == kNoIndex && with_interface == exact_interface && active_[without] != 0) {
      k.interface = 0;
      found = probe(k, flow, need_v4);
    }
    return found != kNoIndex;
  };
  if (try_address(key.address, false, exact_interface, exact_address)) return found;
  const bool v4 = key.address.is_v4();
  for (const bool with_interface : {true, false}) {
    if (with_interface ? key.interface == 0 || active_[any_interface] == 0 : active_[any_address] == 0) continue;
    k.interface = with_interface ? key.interface : std::uint16_t { 0 };
    if (v4) {
      k.address = IpAddress::v4(0);
      found = probe(k, flow, false);
      if (found != kNoIndex) return found;
    }
    k.address = IpAddress{};
    found = probe(k, flow, v4);
    if (found != kNoIndex) return found;
  }
  return kNoIndex;
}

Index ListenerTable::probe(const BindKey& key, std::uint32_t flow, bool need_v4) const {
  const Index leader = find_group(key);
  return leader == kNoIndex ? kNoIndex : choose(leader, flow, need_v4);
}

Index ListenerTable::choose(Index leader, std::uint32_t flow, bool need_v4) const {
  if (entries_[leader].active_members == 0) return kNoIndex;
  std::uint32_t eligible = 0;
  bool share = true;
  Index latest = kNoIndex;
  const auto fits = [&](const BindEntry& e) { return e.active && !(need_v4 && e.flags.v6only); };
  Index i = leader;
  do {
    const BindEntry& e = entries_[i];
    if (fits(e)) {
      ++eligible;
      share = share && e.flags.reuse_port;
      latest = e.value;
    }
    i = e.next_member;
  } while (i != leader);
  // Sockets that only share by SO_REUSEADDR: the one that was bound last gets everything, as in Linux.
  if (eligible <= 1 || !share) return latest;
  auto pick = static_cast<std::uint32_t>((std::uint64_t{flow} * eligible) >> 32);
  for (i = leader;; i = entries_[i].next_member)
    if (fits(entries_[i]) && pick-- == 0) return entries_[i].value;
}

std::uint32_t ListenerTable::group_hash(const BindKey& k) const {
  const std::uint8_t* a = k.address.bytes().data();
  return static_cast<std::uint32_t>(
      siphash13(secret_, load_be64(a), load_be64(a + 8),
                (std::uint64_t{k.scope} << 32) | (std::uint64_t{k.interface} << 16) | k.port.value()));
}

std::uint32_t ListenerTable::port_hash(Scope scope, Port port) const {
  return static_cast<std::uint32_t>(siphash13(secret_, (std::uint64_t{scope} << 16) | port.value()));
}

Index ListenerTable::find_group(const BindKey& key) const {
  // Index 0 is value 1, so that "none" (0) minus one is kNoIndex.
  return groups_.find(group_hash(key), [&](std::uint32_t v) { return entries_[v - 1].key == key; }) - 1;
}

Index ListenerTable::first_on_port(Scope scope, Port port) const {
  return ports_.find(port_hash(scope, port), [&](std::uint32_t v) {
    const BindKey& k = entries_[v - 1].key;
    return k.scope == scope && k.port == port;
  }) - 1;
}

void ListenerTable::check_invariants() const {
  std::array<std::uint32_t, kClasses> active{};
  std::uint32_t used = 0;
  for (Index i = 0; i < pool_.watermark(); ++i) {
    const BindEntry& e = entries_[i];
    if (e.value == kNoIndex) continue;
    ++used;
    if (e.active) ++active[class_of(e.key)];
    LEAT_ASSERT(entries_[e.next_member].prev_member == i && entries_[e.next_member].key == e.key);
    LEAT_ASSERT(e.next_on_port == kNoIndex || entries_[e.next_on_port].prev_on_port == i);
    LEAT_ASSERT(e.prev_on_port != kNoIndex || first_on_port(e.key.scope, e.key.port) == i);
  }
  LEAT_ASSERT(active == active_ && used == pool_.used());
}

}  // namespace leat
