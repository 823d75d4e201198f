#pragma once
// The network layer's tables: interfaces, addresses, multicast groups, neighbours, routes. Storage may be zero pages
// that were never constructed: entries are made on first use.
//
// Threading: one owner.

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <leat/base/link_type.hpp>
#include <leat/core/iface/neighbor_cache.hpp>
#include <leat/core/iface/route_table.hpp>
#include <leat/core/ip/token_bucket.hpp>
#include <leat/core/keys.hpp>
#include <leat/op/multicast.hpp>
#include <span>
#include <string_view>

namespace leat::iface {

struct Limits {
  std::uint32_t interfaces = 4;
  std::uint32_t addresses = 16;
  std::uint32_t neighbors = 64;
  std::uint32_t routes = 32;          // besides those that addresses make
  std::uint32_t groups = 16;          // multicast groups of all interfaces; each IPv6 address has one
  std::uint32_t memberships = 8;      // of sockets in groups
  std::uint32_t group_sources = 16;   // in source filters; a socket's source takes two
  std::uint32_t queried_sources = 8;  // that routers ask about at a time; more are answered for their whole group
  std::uint32_t transmit_queue = 64;  // packets that wait for one interface
};

enum class AddressState : std::uint8_t {
  none,
  tentative,   // RFC 4862 2: probes are out; not ours yet
  valid,       //
  announcing,  // valid, and RFC 5227 announcements are still to be sent
  duplicated,  // somebody else has it: never used
};

struct Address {
  IpPrefix prefix;  // the address itself, with its prefix length
  InterfaceId interface = kNoInterface;
  AddressState state = AddressState::none;
  std::uint8_t sent = 0;  // probes or announcements
  Index next = kNoIndex;  // on the same interface, in order of addition
  IndexLink timer;
  Instant due;       // tentative and announcing
  Instant defended;  // RFC 5227 2.4: when last
  bool was_defended = false;
  [[nodiscard]] bool usable() const { return state == AddressState::valid || state == AddressState::announcing; }
};

// What is spoken with the routers of a link: IGMPv1; IGMPv2 or MLDv1; IGMPv3 or MLDv2.
enum class QuerierVersion : std::uint8_t { oldest, older, current };

// A source in the filter of a group or of a membership.
struct GroupSource {
  IpAddress address;
  std::uint16_t includers = 0, excluders = 0;  // group: memberships that name it
  std::uint8_t changes = 0;                    // group: reports that must still tell of its change
  bool was_taken = false;                      // group: before the change that is being made
  Index next = kNoIndex;
};

struct QueriedSource {  // that a router asked about, until it is answered
  IpAddress address;
  Index next = kNoIndex;
};

struct Group {  // an IP multicast group that an interface takes, or has just left
  IpAddress group;
  InterfaceId interface = kNoInterface;        // kNoInterface: the record is free
  std::uint8_t mode_changes = 0;               // reports that must still tell of a change of the filter mode
  std::uint8_t reports = 0;                    // older versions: reports that nobody asked for, still to be sent
  bool last_reporter = false;                  // RFC 2236 6: nobody has reported it since we did
  std::uint32_t excluders = 0, includers = 0;  // memberships by mode, the stack's own among the first
  Index sources = kNoIndex;
  Instant due = Instant::never();  // a message about this group alone
  Index queried = kNoIndex;        // what it must answer for; none: for the whole group
  Index next_free = kNoIndex;
};

struct Membership {  // of a socket
  IpAddress group;
  InterfaceId interface = kNoInterface;
  FilterMode mode = FilterMode::exclude;
  Index socket = kNoIndex;
  Index sources = kNoIndex;
  Index next = kNoIndex;  // of the same socket
};

// What is to be said to the routers of an interface, and in which version.
struct GroupReports {
  Instant change_due = Instant::never();   // state changes
  Instant general_due = Instant::never();  // the answer to a general query
  Instant oldest_until, older_until;       // a querier of an older version is there so long
  QuerierVersion version = QuerierVersion::current;
  std::uint8_t robustness = 2;
  std::uint32_t interval_s = 125;  // between queries
};

struct Interface {
  bool used = false;
  bool up = false;
  bool promiscuous = false;
  bool tx_checksum = false;
  LinkType link = LinkType::ip;
  MacAddress mac;
  std::uint8_t name_length = 0;
  std::array<char, 15> name{};
  std::uint32_t mtu = 0;
  std::uint32_t max_gso = 0;
  Index addresses = kNoIndex;
  PacketFifo queue;                     // packets ready to leave, data at the link header
  IndexList waiters;                    // datagram sockets that found it full
  std::array<GroupReports, 2> reports;  // IPv4, IPv6
  Index free_next = kNoIndex;
  [[nodiscard]] std::string_view name_text() const { return {name.data(), name_length}; }
};

struct Storage {
  std::span<Interface> interfaces;
  std::span<Address> addresses;
  std::span<Group> groups;
  std::span<Membership> memberships;
  std::span<GroupSource> group_sources;
  std::span<QueriedSource> queried_sources;
  std::span<Neighbor> neighbors;
  std::span<Index> neighbor_buckets;  // a power of two; zero
  std::span<Route> routes;            // at least 4 per address, and those of the configuration
  std::span<RouteNode> nodes;         // twice as many
  std::uint32_t transmit_queue = 64;
};

// An address makes up to four routes: itself, its network, and two broadcast addresses.
inline constexpr std::uint32_t kRoutesPerAddress = 4;
constexpr std::uint32_t route_count(const Limits& l) {
  return l.routes + kRoutesPerAddress * l.addresses;
}

template <Limits limits>
struct StaticStorage {
  [[nodiscard]] Storage view() {
    return {interfaces, addresses, groups, memberships, group_sources,        queried_sources,
            neighbors,  buckets,   routes, nodes,       limits.transmit_queue};
  }
  std::array<Interface, limits.interfaces> interfaces{};
  std::array<Address, limits.addresses> addresses{};
  std::array<Group, limits.groups> groups{};
  std::array<Membership, limits.memberships> memberships{};
  std::array<GroupSource, limits.group_sources> group_sources{};
  std::array<QueriedSource, limits.queried_sources> queried_sources{};
  std::array<Neighbor, limits.neighbors> neighbors{};
  std::array<Index, std::bit_ceil(limits.neighbors)> buckets{};
  std::array<Route, route_count(limits)> routes{};
  std::array<RouteNode, 2 * route_count(limits)> nodes{};
};

struct State {
  State(const Storage& s, const Keys& keys)
      : interfaces(s.interfaces),
        addresses(s.addresses),
        groups(s.groups),
        memberships(s.memberships),
        group_sources(s.group_sources),
        queried_sources(s.queried_sources),
        neighbors(s.neighbors, s.neighbor_buckets, keys.flow_hash),
        routes(s.routes, s.nodes),
        interface_pool(static_cast<std::uint32_t>(s.interfaces.size())),
        address_pool(static_cast<std::uint32_t>(s.addresses.size())),
        group_pool(static_cast<std::uint32_t>(s.groups.size())),
        membership_pool(static_cast<std::uint32_t>(s.memberships.size())),
        source_pool(static_cast<std::uint32_t>(s.group_sources.size())),
        queried_pool(static_cast<std::uint32_t>(s.queried_sources.size())),
        transmit_queue(s.transmit_queue) {}

  // nullptr for an id that names no interface.
  [[nodiscard]] Interface* find(InterfaceId id) {
    if (id == 0 || id > interface_pool.watermark() || !interfaces[id - 1U].used) return nullptr;
    return &interfaces[id - 1U];
  }
  [[nodiscard]] const Interface* find(InterfaceId id) const {
    if (id == 0 || id > interface_pool.watermark() || !interfaces[id - 1U].used) return nullptr;
    return &interfaces[id - 1U];
  }

  std::span<Interface> interfaces;  // by id - 1
  std::span<Address> addresses;
  std::span<Group> groups;
  std::span<Membership> memberships;
  std::span<GroupSource> group_sources;
  std::span<QueriedSource> queried_sources;
  NeighborCache neighbors;
  RouteTable routes;
  IndexPool interface_pool;
  IndexPool address_pool;
  IndexPool group_pool;
  IndexPool membership_pool;
  IndexPool source_pool;
  IndexPool queried_pool;
  IndexList tentative, announcing;  // addresses that wait for time, earliest first
  std::uint32_t configured_routes = 0;
  std::uint32_t any_ip_routes = 0;
  std::uint32_t reject_routes = 0;
  Instant multicast_due = Instant::never();  // not later than the first message about groups
  std::uint32_t transmit_queue;
  // Which addresses may be ours or broadcast: two bits each by a small hash, so that most foreign addresses are told
  // apart without a look-up. Bits are only added; rebuilt when addresses go.
  std::array<std::uint64_t, 4> maybe_ours{};
  ip::TokenBucket solicitations;  // RFC 6583 6.1: what scans of the link may make us send
  ip::TokenBucket defences;       // answers to probes for our addresses

  // Two bits for an address, so that hardly any foreign one (one in a thousand with four of our own) has both.
  struct FilterBits {
    unsigned one, other;
  };
  [[nodiscard]] static FilterBits filter_bits(std::uint64_t low) {
    const std::uint32_t mix = static_cast<std::uint32_t>(low ^ (low >> 32)) * 0x9e3779b1U;
    return {mix >> 24, (mix >> 16) & 255U};
  }
  void filter_add(const IpAddress& a) {
    const FilterBits bits = filter_bits(RouteKey{a}.low);
    for (const unsigned bit : {bits.one, bits.other}) maybe_ours[bit / 64] |= std::uint64_t{1} << (bit % 64);
  }
  [[nodiscard]] bool filter_has(const RouteKey& a) const {
    const FilterBits bits = filter_bits(a.low);
    return ((maybe_ours[bits.one / 64] >> (bits.one % 64)) & (maybe_ours[bits.other / 64] >> (bits.other % 64)) & 1) !=
           0;
  }
  [[nodiscard]] bool filter_has(const IpAddress& a) const { return filter_has(RouteKey{a}); }
};

}  // namespace leat::iface
