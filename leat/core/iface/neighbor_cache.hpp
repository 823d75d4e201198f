#pragma once
// NeighborCache: who has which link address, for both versions: a bounded table of entries with the states of RFC 4861
// 7.3.2, found by a keyed hash. It knows no packet format: neighbor.hpp drives it.
//
// Eviction (RFC 6583): a full table gives up its oldest entry that is still being resolved, so that a scan of the link
// pushes out only its own victims; without one, the entry whose confirmation is oldest and that is neither a gateway
// nor in use. Gateways are never evicted. Packets that wait are bounded per entry by the caller, and in all by bytes.
//
// Invariants: an entry is on exactly one of the two age lists; incomplete, delay and probe entries are on exactly one
// timer list, whose dues don't decrease. Complexity: O(1). Storage may be zero pages. Threading: one owner.

#include <leat/base/address.hpp>
#include <leat/base/siphash.hpp>
#include <leat/base/time.hpp>
#include <leat/buf/packet.hpp>
#include <leat/core/modules.hpp>

namespace leat::iface {

enum class NeighborState : std::uint8_t { none, incomplete, reachable, stale, delay, probe };

struct Neighbor {
  IpAddress address;
  InterfaceId interface = kNoInterface;
  NeighborState state = NeighborState::none;
  std::uint8_t probes = 0;  // solicitations sent in this state
  bool gateway = false;     // a route leads through it
  bool router = false;      // it says so (RFC 4861 4.4)
  MacAddress mac;           // valid in every state but incomplete
  std::uint32_t generation = 0;
  Index hash_next = kNoIndex;
  IndexLink age;
  IndexLink timer;
  Instant due;              // on a timer list: when
  Instant reachable_until;  // state reachable lasts this long
  Instant doubted;          // when it was last asked because somebody had no answer from behind it
  PacketFifo pending;       // incomplete: packets that wait, data at the IP header
};

class NeighborCache {
 public:
  // `buckets`: a power of two, all zero. `key` is secret: a peer chooses addresses.
  NeighborCache(std::span<Neighbor> entries, std::span<Index> buckets, SipKey key)
      : entries_(entries), buckets_(buckets), pool_(static_cast<std::uint32_t>(entries.size())), key_(key) {}

  [[nodiscard]] Neighbor& operator[](Index i) { return entries_[i]; }
  [[nodiscard]] const Neighbor& operator[](Index i) const { return entries_[i]; }

  [[nodiscard]] Index find(InterfaceId interface, const IpAddress& a) const {
    for (Index i = buckets_[bucket(interface, a)]; i != 0; i = entries_[i - 1].hash_next)
      if (entries_[i - 1].address == a && entries_[i - 1].interface == interface) return i - 1;
    return kNoIndex;
  }
  // Whether `i` still is the entry that was given out with this generation.
  [[nodiscard]] bool alive(Index i, std::uint32_t generation) const {
    return i < pool_.watermark() && entries_[i].generation == generation && entries_[i].state != NeighborState::none;
  }
  [[nodiscard]] bool full() const { return pool_.available() == 0; }
  // The entry to give up for a new one; kNoIndex when each must stay. With `resolving_only` none that has an address.
  [[nodiscard]] Index victim(bool resolving_only) const;
  // A new entry in state incomplete, on no timer list. The table must not be full and must not have the address.
  Index create(InterfaceId interface, const IpAddress& a);
  // `i` must hold no packets any more.
  void remove(Index i);
  // Changes the state; the entry leaves its timer list. A resolved entry becomes the youngest.
  void set_state(Index i, NeighborState state);
  // Puts an entry (incomplete, delay or probe) on its state's timer list.
  void arm(Index i, Instant due);
  // The next entry whose time has come; kNoIndex: none.
  [[nodiscard]] Index due(Instant now) const {
    for (const IndexList* l : {&retransmit_, &delay_})
      if (!l->empty() && entries_[l->front()].due <= now) return l->front();
    return kNoIndex;
  }
  [[nodiscard]] Instant next_deadline() const {
    Instant t = Instant::never();
    if (!retransmit_.empty()) t = entries_[retransmit_.front()].due;
    if (!delay_.empty()) t = earlier(t, entries_[delay_.front()].due);
    return t;
  }
  [[nodiscard]] std::uint32_t used() const { return pool_.used(); }
  [[nodiscard]] std::uint32_t capacity() const { return pool_.capacity(); }
  [[nodiscard]] std::uint32_t watermark() const { return pool_.watermark(); }
  void check_invariants() const;

  // Bytes of packets that wait in all entries.
  std::uint32_t pending_bytes = 0;

 private:
  [[nodiscard]] std::size_t bucket(InterfaceId interface, const IpAddress& a) const {
    const std::uint64_t h = siphash13(key_, load_be64(&a.bytes()[0]), load_be64(&a.bytes()[8]), interface);
    return static_cast<std::size_t>(h) & (buckets_.size() - 1);
  }
  void disarm(Index i);
  IndexList& age_list(NeighborState s) { return s == NeighborState::incomplete ? resolving_ : resolved_; }
  IndexList& timer_list(NeighborState s) { return s == NeighborState::delay ? delay_ : retransmit_; }

  std::span<Neighbor> entries_;
  std::span<Index> buckets_;  // index + 1; 0: empty
  IndexPool pool_;
  SipKey key_;
  IndexList resolving_, resolved_;  // oldest first
  IndexList retransmit_, delay_;    // earliest first
  std::uint32_t generation_ = 0;
};

}  // namespace leat::iface
