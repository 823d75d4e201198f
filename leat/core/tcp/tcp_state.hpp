#pragma once
// TCP's tables: control blocks, listeners, SYN and TIME-WAIT records, the timer wheel, the lists of connections with
// something to do. Storage may be zero pages that were never constructed: every object is made when it is first taken.
//
// Invariants: a connection in the flow table is not `detached`; a connection is on at most one of the dirty lists and
// the list that waits for memory. Threading: one owner.

#include <array>
#include <cstdint>
#include <leat/core/demux/flow_memo.hpp>
#include <leat/core/demux/flow_table.hpp>
#include <leat/core/demux/listener_table.hpp>
#include <leat/core/demux/port_alloc.hpp>
#include <leat/core/ip/ip.hpp>
#include <leat/core/keys.hpp>
#include <leat/core/tcp/accept_queue.hpp>
#include <leat/core/tcp/ack_queue.hpp>
#include <leat/core/tcp/syn_cache.hpp>
#include <leat/core/tcp/syn_cookie.hpp>
#include <leat/core/tcp/tcb.hpp>
#include <leat/core/tcp/time_wait.hpp>
#include <leat/op/options.hpp>
#include <memory>
#include <span>

namespace leat::tcp {

struct Limits {
  std::uint32_t connections = 32;
  std::uint32_t active = 32;  // connections with data in flight or waiting, at once
  std::uint32_t listeners = 4;
  std::uint32_t binds = 16;  // sockets bound to an endpoint, listeners included
  std::uint32_t syn_records = 32;
  std::uint32_t time_wait = 32;
  std::uint32_t ranges = 256;     // retransmission units of all connections
  std::uint32_t ooo_nodes = 128;  // out-of-order ranges of all connections
  std::uint32_t paths = 8;        // remembered look-ups of where to send, by hash
  bool tallies = true;            // count for TCP_INFO how a connection's time is spent
};

struct Listener {
  Index socket = kNoIndex;
  Index bind_entry = kNoIndex;
  AcceptQueue queue;
  std::uint32_t half_open = 0;  // SYN records
  std::uint8_t shift = 0;       // window scale that its connections advertise: fixed when it began to listen
  std::uint16_t profile = 0;    // of the socket
  Index next_free = kNoIndex;
};

// A path that was looked up, for all connections between the two addresses.
struct CachedPath {
  IpAddress local;
  IpAddress remote;
  ip::Path path;
  ip::FrameHeaders headers;  // of packets that took it
  bool used = false;
  Instant confirmed;  // when the next hop was last confirmed from here
};

struct Storage {
  std::span<Hot> hot;
  std::span<Cold> cold;
  std::span<Active> active;
  std::span<Listener> listeners;
  std::span<IndexBucket> flows;  // FlowTable::buckets_for(connections + time_wait + syn_records)
  ListenerTable::Storage binds;
  std::span<SynRecord> syn_records;
  std::span<TimeWaitRecord> time_wait;
  std::span<Range> ranges;
  std::span<OooRange> ooo;
  std::span<CachedPath> paths;      // a power of two
  std::span<FlowMemo::Entry> memo;  // FlowMemo::entries_for(connections)
  std::span<Tally> tallies;         // one a connection, or none
  std::span<AckQueue::Entry> acks;  // AckQueue::entries_for(connections)
};

// Memory for N objects that nobody constructs before they are taken: it stays out of the image's data section.
template <class T, std::size_t N>
class RawArray {
 public:
  constexpr RawArray() {}   // NOLINT(modernize-use-equals-default): a union member must stay without a lifetime
  constexpr ~RawArray() {}  // NOLINT(modernize-use-equals-default)
  RawArray(const RawArray&) = delete;
  RawArray& operator=(const RawArray&) = delete;
  [[nodiscard]] std::span<T> span() { return items_; }

 private:
  union {
    std::array<T, N> items_;
  };
};

constexpr std::uint32_t tally_count(const Limits& l) {
  return l.tallies ? l.connections : 0;
}
constexpr std::size_t flow_count(const Limits& l) {
  return std::size_t{l.connections} + l.time_wait + l.syn_records;
}

template <Limits limits>
struct StaticStorage {
  [[nodiscard]] Storage view() {
    return {hot.span(),         cold.span(),      active.span(),
            listeners.span(),   flows.span(),     {binds.span(), bind_groups.span(), bind_ports.span()},
            syn_records.span(), time_wait.span(), ranges.span(),
            ooo.span(),         paths.span(),     memo.span(),
            tallies.span(),     acks.span()};
  }
  RawArray<Hot, limits.connections> hot;
  RawArray<Cold, limits.connections> cold;
  RawArray<Active, limits.active> active;
  RawArray<Listener, limits.listeners> listeners;
  RawArray<IndexBucket, FlowTable::buckets_for(flow_count(limits))> flows;
  RawArray<BindEntry, limits.binds> binds;
  RawArray<IndexBucket, IndexTable::buckets_for(limits.binds)> bind_groups;
  RawArray<IndexBucket, IndexTable::buckets_for(limits.binds)> bind_ports;
  RawArray<SynRecord, limits.syn_records> syn_records;
  RawArray<TimeWaitRecord, limits.time_wait> time_wait;
  RawArray<Range, limits.ranges> ranges;
  RawArray<OooRange, limits.ooo_nodes> ooo;
  RawArray<CachedPath, limits.paths> paths;
  RawArray<FlowMemo::Entry, FlowMemo::entries_for(limits.connections)> memo;
  RawArray<Tally, tally_count(limits)> tallies;
  RawArray<AckQueue::Entry, AckQueue::entries_for(limits.connections)> acks;
};

// Dirty lists: one for each interface, by id; list 0 is that of connections to ourselves.
inline constexpr std::size_t kDirtyLists = std::size_t{kMaxInterfaces} + 1;

struct State {
  State(const Storage& s, const Keys& keys, Instant now)
      : hot(s.hot),
        cold(s.cold),
        active(s.active),
        listeners(s.listeners),
        paths(s.paths),
        tallies(s.tallies),
        connection_pool(static_cast<std::uint32_t>(s.hot.size())),
        active_pool(static_cast<std::uint32_t>(s.active.size())),
        listener_pool(static_cast<std::uint32_t>(s.listeners.size())),
        flows(s.flows, keys.flow_hash),
        memo(s.memo),
        binds(s.binds, keys.flow_hash, BindRule::stream),
        ports(keys.ports),
        cookies(keys.cookies),
        wheel(TimerNodes::of(s.cold, &Cold::timer), now),
        acks(s.acks),
        syn_cache(s.syn_records, {}),
        time_wait(s.time_wait),
        ranges(s.ranges, static_cast<std::uint32_t>(keys.trees.k0)),
        ooo(s.ooo, static_cast<std::uint32_t>(keys.trees.k1)) {
    for (CachedPath& p : paths) std::construct_at(&p);
  }

  void note_change(OptionId id) {
    if (id == OptionId::ip_min_ttl || id == OptionId::ip_min_hop_limit) checks_ttl = true;
  }

  std::span<Hot> hot;
  std::span<Cold> cold;
  std::span<Active> active;
  std::span<Listener> listeners;
  std::span<CachedPath> paths;
  bool checks_ttl = false;  // somebody asked for ip_min_ttl or ip_min_hop_limit, once
  std::span<Tally> tallies;
  IndexPool connection_pool;
  IndexPool active_pool;
  IndexPool listener_pool;
  FlowTable flows;
  FlowMemo memo;
  ListenerTable binds;
  PortAllocator ports;
  SynCookies cookies;
  TimerWheel wheel;
  AckQueue acks;
  SynCache syn_cache;
  TimeWaitTable time_wait;
  RangePool ranges;
  OooPool ooo;
  std::array<IndexFifo, kDirtyLists> dirty;
  IndexFifo waiting;  // for memory of a pool
  std::uint32_t waiting_count = 0;
};

}  // namespace leat::tcp
