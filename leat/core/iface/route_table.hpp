#pragma once
// RouteTable: longest-prefix match over addresses of both versions, in a path-compressed binary trie. IPv4 stands in
// its mapped form, so that one table and one look-up serve both. Addresses of our own are routes too (kind local), so
// that one look-up gives the verdict on a destination and the source address for output.
//
//        [::/0]              a node holds a prefix, the routes to exactly this prefix (best first), and two children
//        /    \              whose prefixes are longer and begin with it; a node without routes has two children
//   [::ffff:10.0.0.0/104]  [2001:db8::/32]
//
// Complexity: look-up, insert and remove O(prefixes nested on the way), at most 129 steps; r routes need at most 2r - 1
// nodes. Storage may be zero pages: entries are made on first use. Threading: one owner.

#include <array>
#include <bit>
#include <cstdint>
#include <leat/base/address.hpp>
#include <leat/base/index_list.hpp>
#include <leat/op/message.hpp>
#include <span>

namespace leat::iface {

// Order counts: among routes to one prefix the smaller kind goes first.
enum class RouteKind : std::uint8_t {
  local,      // one of our addresses
  broadcast,  // of an IPv4 network that we are in
  any_ip,     // taken as ours, without being an address of an interface
  unicast,
  reject,
};

struct Route {
  IpPrefix destination;
  RouteKind kind = RouteKind::unicast;
  bool by_address = false;    // made by an interface address; goes when the address goes
  InterfaceId interface = 0;  // 0 for any_ip and reject without one
  IpAddress gateway;          // unspecified: on-link
  IpAddress source;           // of packets sent along it; unspecified: chosen by rules
  std::uint32_t metric = 0;
  std::uint32_t mtu = 0;     // 0: the interface's
  Index address = kNoIndex;  // by_address: which
  Index next = kNoIndex;     // another route to the same prefix, less preferred
};

// The 128 bits of an address, to be shifted and compared.
struct RouteKey {
  std::uint64_t high = 0, low = 0;
  constexpr RouteKey() = default;
  explicit constexpr RouteKey(const IpAddress& a) : high(load_be64(&a.bytes()[0])), low(load_be64(&a.bytes()[8])) {}
  constexpr RouteKey(std::uint64_t h, std::uint64_t l) : high(h), low(l) {}
  constexpr bool operator==(const RouteKey&) const = default;
  [[nodiscard]] constexpr unsigned bit(unsigned i) const {
    return static_cast<unsigned>((i < 64 ? high >> (63 - i) : low >> (127 - i)) & 1);
  }
  // How many leading bits are equal: 0..128.
  [[nodiscard]] constexpr unsigned common(const RouteKey& o) const {
    if (high != o.high) return static_cast<unsigned>(std::countl_zero(high ^ o.high));
    return low == o.low ? 128U : 64U + static_cast<unsigned>(std::countl_zero(low ^ o.low));
  }
  [[nodiscard]] constexpr RouteKey masked(unsigned length) const {
    RouteKey k;
    if (length > 0) k.high = high & (~std::uint64_t{0} << (length < 64 ? 64 - length : 0));
    if (length > 64) k.low = low & (~std::uint64_t{0} << (128 - length));
    return k;
  }
};

struct RouteNode {
  RouteKey key;
  std::array<Index, 2> child{kNoIndex, kNoIndex};
  Index routes = kNoIndex;
  std::uint8_t length = 0;
};

class RouteTable {
 public:
  static constexpr std::size_t kMaxScopes = 4;
  // `nodes` must hold twice as many as `routes`.
  RouteTable(std::span<Route> routes, std::span<RouteNode> nodes)
      : routes_(routes),
        nodes_(nodes),
        route_pool_(static_cast<std::uint32_t>(routes.size())),
        node_pool_(static_cast<std::uint32_t>(nodes.size())) {}

  // kNoIndex when the table is full. The host bits of the destination are ignored.
  Index add(Scope scope, const Route& route);
  void remove(Scope scope, Index route);

  // The most specific route to `a` that accept(route) takes; among equal prefixes the best one. kNoIndex: none.
  // Prefixes of IPv6 that hold all mapped addresses, as ::/0 does, lead no IPv4 packet.
  template <class Accept>
  [[nodiscard]] Index find(Scope scope, const IpAddress& a, Accept&& accept) const {
    const RouteKey key{a};
    const unsigned least = a.is_v4() ? 96 : 0;
    Index best = kNoIndex;
    for (Index n = root_of(scope); n != kNoIndex;) {
      const RouteNode& node = nodes_[n];
      if (key.common(node.key) < node.length) break;
      for (Index r = node.length < least ? kNoIndex : node.routes; r != kNoIndex; r = routes_[r].next) {
        if (accept(routes_[r])) {
          best = r;
          break;
        }
      }
      if (node.length == 128) break;
      n = node.child[key.bit(node.length)];
    }
    return best;
  }
  // The first of the routes to exactly this prefix, linked by `next`.
  [[nodiscard]] Index exact(Scope scope, const IpPrefix& prefix) const;

  [[nodiscard]] const Route& operator[](Index i) const { return routes_[i]; }
  [[nodiscard]] std::uint32_t used() const { return route_pool_.used(); }
  [[nodiscard]] std::uint32_t available() const { return route_pool_.available(); }
  // Calls visit(index, route) for every route until it returns false. Order: none that means anything.
  template <class Visit>
  void for_each(Scope scope, Visit&& visit) const {
    // Depth-first with a stack: a path has at most 129 nodes, so at most that many siblings wait.
    std::array<Index, 130> waiting{};
    std::size_t depth = 0;
    if (const Index root = root_of(scope); root != kNoIndex) waiting[depth++] = root;
    while (depth > 0) {
      const RouteNode& node = nodes_[waiting[--depth]];
      for (Index r = node.routes; r != kNoIndex; r = routes_[r].next)
        if (!visit(r, routes_[r])) return;
      for (const Index c : node.child)
        if (c != kNoIndex) waiting[depth++] = c;
    }
  }
  void check_invariants() const;

 private:
  struct Root {
    Scope scope = 0;
    Index node = kNoIndex;
  };
  [[nodiscard]] Index root_of(Scope scope) const {
    for (std::size_t i = 0; i < root_count_; ++i)
      if (roots_[i].scope == scope) return roots_[i].node;
    return kNoIndex;
  }
  Index* root_link(Scope scope);
  Index new_node(const RouteKey& key, unsigned length);
  Index node_for(Index* root, const RouteKey& key, unsigned length);

  std::span<Route> routes_;
  std::span<RouteNode> nodes_;
  IndexPool route_pool_;
  IndexPool node_pool_;
  std::array<Root, kMaxScopes> roots_{};
  std::size_t root_count_ = 0;
};

}  // namespace leat::iface
