#pragma once
// The link layer's way out, and what its protocols offer to the network layer. RFC 894, 826, 5227, 4861. Threading: the
// owner of the shard.

#include <leat/base/counters.hpp>
#include <leat/core/iface/state.hpp>
#include <leat/wire/arp.hpp>
#include <leat/wire/ethernet.hpp>
#include <optional>

namespace leat {
struct Core;
}

namespace leat::iface {

// Puts a packet that is ready to leave (data at the link header) into the interface's bounded queue. `control` packets
// (ARP, NDP) have some room of their own, so that a flood of datagrams can't keep neighbours from being resolved.
bool enqueue(Core&, InterfaceId, Packet&&, bool control = false);
// Writes the Ethernet header in front of the packet's data.
inline void push_ethernet(Packet& p, const MacAddress& from, const MacAddress& to, wire::EtherType type) {
  std::uint8_t* const h = p.prepend(wire::EthernetHeader::kLength).data();
  wire::store_mac(h, to);
  wire::store_mac(h + 6, from);
  store_be16(h + 12, static_cast<std::uint16_t>(type));
}

// --- neighbours (neighbor.cpp) ---------------------------------------------------------------------------------------

// The entry for a next hop that a packet is about to be sent to, made if need be; the states of RFC 4861 7.3.3 move on.
// In state incomplete the packet must be parked. kNoIndex: the table is full of entries that must stay.
[[nodiscard]] Index neighbor_for_output(Core&, InterfaceId, const IpAddress& next_hop, bool gateway);
// Keeps a packet until the neighbour is resolved; the oldest gives way when the entry's queue is full.
void park(Core&, Index neighbor, Packet&&);
// Someone on the path beyond it answered (RFC 4861 7.3.1).
void confirm_neighbor(Core&, Index neighbor);
// Nobody on the path beyond it answers any more: it is probed now, not when its confirmation is old.
void doubt_neighbor(Core&, Index neighbor);
// The sender of a request told its link address (RFC 826, RFC 4861 7.2.3). Without an entry one is made only if
// `create` is set and nobody who is resolved must give way.
void learn_neighbor(Core&, InterfaceId, const IpAddress&, const MacAddress&, bool create);
struct NeighborNews {
  std::optional<MacAddress> mac;
  bool solicited = false;
  bool override_cache = true;
  bool speaks_of_router = false;  // `router` means something
  bool router = false;
};
// RFC 4861 7.2.5. False when nobody here asked: there is no entry.
bool neighbor_advertised(Core&, InterfaceId, const IpAddress&, const NeighborNews&);
void forget_neighbors(Core&, InterfaceId, DropReason);
// Handles at most `budget` expiries; lowers it by those.
void run_neighbor_timers(Core&, unsigned& budget);

// --- ARP (arp.cpp) ---------------------------------------------------------------------------------------------------

// An ARP packet that arrived; data at the ARP header.
void arp_input(Core&, InterfaceId, Packet&&);
void send_arp(Core&, InterfaceId, const wire::ArpHeader&, const MacAddress& to);
// Asks for `target`: to everybody, or to `known` alone.
void send_arp_request(Core&, InterfaceId, const IpAddress& target, const MacAddress* known);

// --- addresses (address.cpp) -----------------------------------------------------------------------------------------

// The address entry of this interface; kNoIndex: none.
[[nodiscard]] Index find_address(const Core&, InterfaceId, const IpAddress&);
// Another station claims the address: a tentative one is given up, a valid one is defended at a limited rate.
void address_conflict(Core&, Index address);
void run_address_timers(Core&, unsigned& budget);

// RFC 6724 in short, for a destination on the way out of `interface`: the same address, equal scope, longest common
// prefix. Unspecified: the interface has none of that version.
[[nodiscard]] IpAddress select_source(const Core&, InterfaceId, const IpAddress& destination);

}  // namespace leat::iface
