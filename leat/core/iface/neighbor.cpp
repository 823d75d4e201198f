// What neighbours do: RFC 4861 7.2 and 7.3, the same for ARP. The table itself is NeighborCache.

#include <leat/core/core.hpp>
#include <leat/core/iface/link.hpp>
#include <leat/core/ip/icmp_error.hpp>
#include <leat/core/ip/ipv6_module.hpp>

namespace leat::iface {
namespace {

constexpr Duration kDelayFirstProbe = Duration::s(5);  // RFC 4861 10
// RFC 6583 6.1: first solicitations a second, in all. What is over the limit is asked for by the entry's timer.
constexpr std::int64_t kSolicitRate = 500;
constexpr std::int64_t kSolicitBurst = 256;

Duration retransmit_time(const Core& core) {
  return Duration::us(core.options.get(OptionId::neighbor_retransmit_time));
}

// Asks for the entry's link address, in a group or, when it is being probed, from itself.
void solicit(Core& core, Index i) {
  const Neighbor& n = core.iface.neighbors[i];
  const MacAddress* known = n.state == NeighborState::incomplete ? nullptr : &n.mac;
  if (n.address.is_v4()) {
    send_arp_request(core, n.interface, n.address, known);
  } else if (core.modules.ipv6 != nullptr) {
    core.modules.ipv6->solicit(core, n.interface, n.address, known);
  }
}

void become_reachable(Core& core, Index i) {
  core.iface.neighbors.set_state(i, NeighborState::reachable);
  // RFC 4861 6.3.4: between half and one and a half of the base time, so that hosts don't probe in step.
  const std::int64_t base = core.options.get(OptionId::neighbor_reachable_time);
  const auto spread = static_cast<std::uint32_t>(base < 0xffffffff ? base : 0xffffffff);
  core.iface.neighbors[i].reachable_until = core.now + Duration::us(base / 2 + core.rng.below(spread));
}

// The link address is known now: what waited goes out, in order.
void release_pending(Core& core, Index i) {
  Neighbor& n = core.iface.neighbors[i];
  const Interface& ifc = core.iface.interfaces[n.interface - 1U];
  while (!n.pending.empty()) {
    Packet p = n.pending.pop_front(core.pool);
    core.iface.neighbors.pending_bytes -= p.true_size();
    const auto type = (p.head()[0] >> 4) == 4 ? wire::EtherType::ipv4 : wire::EtherType::ipv6;
    push_ethernet(p, ifc.mac, n.mac, type);
    enqueue(core, n.interface, std::move(p));
  }
}

void drop_pending(Core& core, Index i, DropReason reason, bool report) {
  Neighbor& n = core.iface.neighbors[i];
  while (!n.pending.empty()) {
    Packet p = n.pending.pop_front(core.pool);
    core.iface.neighbors.pending_bytes -= p.true_size();
    // RFC 4861 7.2.2: whoever sent it is told. The packet is one of our own, so that means its socket.
    if (report) ip::report_unreachable(core, p);
    core.drop(std::move(p), reason);
  }
}

Index create(Core& core, InterfaceId id, const IpAddress& a, bool resolving_only) {
  NeighborCache& cache = core.iface.neighbors;
  if (cache.full()) {
    const Index victim = cache.victim(resolving_only);
    if (victim == kNoIndex) return kNoIndex;
    drop_pending(core, victim, DropReason::neighbor_table_full, false);
    cache.remove(victim);
  }
  return cache.create(id, a);
}

// A new link address, or the same again.
void set_mac(Core& core, Index i, const MacAddress& mac, bool reachable) {
  core.iface.neighbors[i].mac = mac;
  if (reachable) {
    become_reachable(core, i);
  } else {
    core.iface.neighbors.set_state(i, NeighborState::stale);
  }
  release_pending(core, i);
}

}  // namespace

Index neighbor_for_output(Core& core, InterfaceId id, const IpAddress& next_hop, bool gateway) {
  NeighborCache& cache = core.iface.neighbors;
  Index i = cache.find(id, next_hop);
  if (i == kNoIndex) {
    i = create(core, id, next_hop, false);
    if (i == kNoIndex) return kNoIndex;
    cache[i].gateway = gateway;
    cache[i].probes = 1;
    if (core.iface.solicitations.take(core.now, kSolicitRate, kSolicitBurst)) solicit(core, i);
    cache.arm(i, core.now + retransmit_time(core));
    return i;
  }
  Neighbor& n = cache[i];
  n.gateway = n.gateway || gateway;
  if (n.state == NeighborState::reachable && core.now >= n.reachable_until) cache.set_state(i, NeighborState::stale);
  if (n.state == NeighborState::stale) {
    // RFC 4861 7.3.3: a packet to a stale neighbour goes out; upper layers get 5 s to confirm before we probe.
    cache.set_state(i, NeighborState::delay);
    cache.arm(i, core.now + kDelayFirstProbe);
  }
  return i;
}

void park(Core& core, Index i, Packet&& p) {
  NeighborCache& cache = core.iface.neighbors;
  Neighbor& n = cache[i];
  // L7: what waits for answers that may never come holds at most an eighth of the pool.
  const PoolLayout& pool = core.pool.layout();
  std::uint64_t bytes = 0;
  for (std::size_t c = 0; c < kChunkClasses; ++c) bytes += std::uint64_t{pool.chunks[c]} * kChunkBytes[c];
  const std::uint32_t size = p.true_size();
  // RFC 4861 7.2.2: a full queue gives up its oldest packet.
  const auto limit = static_cast<std::uint32_t>(core.options.get(OptionId::neighbor_queue));
  while (!n.pending.empty() && (n.pending.count() >= limit || cache.pending_bytes + size > bytes / 8)) {
    Packet oldest = n.pending.pop_front(core.pool);
    cache.pending_bytes -= oldest.true_size();
    core.drop(std::move(oldest), DropReason::neighbor_queue_full);
  }
  if (cache.pending_bytes + size > bytes / 8) {
    core.drop(std::move(p), DropReason::neighbor_queue_full);
    return;
  }
  cache.pending_bytes += size;
  n.pending.push_back(std::move(p));
}

void confirm_neighbor(Core& core, Index i) {
  Neighbor& n = core.iface.neighbors[i];
  if (n.state == NeighborState::incomplete) return;  // RFC 4861 7.3.1: there is no address to confirm
  // Once a second is enough: this is called for every acknowledgement.
  if (n.state == NeighborState::reachable && n.reachable_until - core.now > Duration::s(1) &&
      n.reachable_until - core.now > Duration::us(core.options.get(OptionId::neighbor_reachable_time) / 4)) {
    return;
  }
  become_reachable(core, i);
}

void doubt_neighbor(Core& core, Index i) {
  NeighborCache& cache = core.iface.neighbors;
  if (cache[i].state == NeighborState::incomplete || cache[i].state == NeighborState::probe) return;
  // One answer is for all who doubt: thousands of connections go through one gateway.
  if (cache[i].doubted != Instant{} && core.now - cache[i].doubted < kDelayFirstProbe) return;
  if (!core.iface.solicitations.take(core.now, kSolicitRate, kSolicitBurst)) return;
  cache[i].doubted = core.now;
  cache.set_state(i, NeighborState::probe);
  cache[i].probes = 1;
  solicit(core, i);
  cache.arm(i, core.now + retransmit_time(core));
}

void learn_neighbor(Core& core, InterfaceId id, const IpAddress& a, const MacAddress& mac, bool may_create) {
  Index i = core.iface.neighbors.find(id, a);
  if (i == kNoIndex) {
    if (!may_create) return;
    i = create(core, id, a, true);
    if (i == kNoIndex) return;
    set_mac(core, i, mac, false);
    return;
  }
  Neighbor& n = core.iface.neighbors[i];
  // RFC 4861 7.2.3: a new address is stale; the one that is known already stays in its state.
  if (n.state == NeighborState::incomplete || n.mac != mac) set_mac(core, i, mac, false);
}

bool neighbor_advertised(Core& core, InterfaceId id, const IpAddress& a, const NeighborNews& news) {
  const Index i = core.iface.neighbors.find(id, a);
  if (i == kNoIndex) return false;
  Neighbor& n = core.iface.neighbors[i];
  if (n.state == NeighborState::incomplete) {
    if (!news.mac) return true;
    if (news.speaks_of_router) n.router = news.router;
    set_mac(core, i, *news.mac, news.solicited);
    return true;
  }
  const bool differs = news.mac && *news.mac != n.mac;
  if (!news.override_cache && differs) {
    // RFC 4861 7.2.5 (I): a doubt, no more.
    if (n.state == NeighborState::reachable) core.iface.neighbors.set_state(i, NeighborState::stale);
    return true;
  }
  if (differs) n.mac = *news.mac;
  if (news.solicited) {
    become_reachable(core, i);
  } else if (differs) {
    core.iface.neighbors.set_state(i, NeighborState::stale);
  }
  if (news.speaks_of_router) n.router = news.router;
  return true;
}

void forget_neighbors(Core& core, InterfaceId id, DropReason reason) {
  NeighborCache& cache = core.iface.neighbors;
  for (Index i = 0; i < cache.watermark(); ++i) {
    if (cache[i].state == NeighborState::none || (id != kNoInterface && cache[i].interface != id)) continue;
    drop_pending(core, i, reason, false);
    cache.remove(i);
  }
}

void run_neighbor_timers(Core& core, unsigned& budget) {
  NeighborCache& cache = core.iface.neighbors;
  const auto probes = static_cast<std::uint8_t>(core.options.get(OptionId::neighbor_probes));
  for (; budget > 0; --budget) {
    const Index i = cache.due(core.now);
    if (i == kNoIndex) return;
    Neighbor& n = cache[i];
    if (n.state == NeighborState::delay) {
      cache.set_state(i, NeighborState::probe);
    } else if (n.probes >= probes) {
      // RFC 4861 7.3.3: it does not answer. The next packet for it starts over.
      drop_pending(core, i, DropReason::neighbor_unreachable, true);
      cache.remove(i);
      continue;
    }
    ++n.probes;
    solicit(core, i);
    cache.arm(i, core.now + retransmit_time(core));
  }
}

}  // namespace leat::iface
