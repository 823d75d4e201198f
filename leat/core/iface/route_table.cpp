#include <algorithm>
#include <leat/core/iface/route_table.hpp>

namespace leat::iface {

Index* RouteTable::root_link(Scope scope) {
  for (std::size_t i = 0; i < root_count_; ++i)
    if (roots_[i].scope == scope) return &roots_[i].node;
  if (root_count_ == kMaxScopes) return nullptr;
  roots_[root_count_] = {scope, kNoIndex};
  return &roots_[root_count_++].node;
}

Index RouteTable::new_node(const RouteKey& key, unsigned length) {
  const Index n = node_pool_.take([this](Index i) -> Index& { return nodes_[i].routes; });
  LEAT_ASSERT(n != kNoIndex);  // twice the routes always suffice
  nodes_[n] = RouteNode{};
  nodes_[n].key = key.masked(length);
  nodes_[n].length = static_cast<std::uint8_t>(length);
  return n;
}

// Finds or makes the node of a prefix.
Index RouteTable::node_for(Index* link, const RouteKey& key, unsigned length) {
  while (*link != kNoIndex) {
    RouteNode& node = nodes_[*link];
    const unsigned common = std::min({key.common(node.key), unsigned{node.length}, length});
    if (common == node.length) {
      if (common == length) return *link;
      link = &node.child[key.bit(common)];
      continue;
    }
    // The paths part inside this node's prefix: either the new prefix stands above it, or both hang below a fork.
    const Index above = new_node(key, common);
    nodes_[above].child[nodes_[*link].key.bit(common)] = *link;
    *link = above;
    if (common == length) return above;
    link = &nodes_[above].child[key.bit(common)];
  }
  const Index leaf = new_node(key, length);
  *link = leaf;
  return leaf;
}

Index RouteTable::add(Scope scope, const Route& route) {
  Index* const root = root_link(scope);
  if (root == nullptr || route_pool_.available() == 0) return kNoIndex;
  const Index r = route_pool_.take([this](Index i) -> Index& { return routes_[i].next; });
  routes_[r] = route;
  const Index n = node_for(root, RouteKey{route.destination.address}, route.destination.mapped_length());
  Index* link = &nodes_[n].routes;
  while (*link != kNoIndex) {
    const Route& other = routes_[*link];
    if (route.kind < other.kind || (route.kind == other.kind && route.metric < other.metric)) break;
    link = &routes_[*link].next;
  }
  routes_[r].next = *link;
  *link = r;
  return r;
}

void RouteTable::remove(Scope scope, Index route) {
  const RouteKey key{routes_[route].destination.address};
  const unsigned length = routes_[route].destination.mapped_length();
  Index* parent = nullptr;  // the link that leads to the node above
  Index* link = root_link(scope);
  while (nodes_[*link].length != length) {
    parent = link;
    link = &nodes_[*link].child[key.bit(nodes_[*link].length)];
  }
  Index* r = &nodes_[*link].routes;
  while (*r != route) r = &routes_[*r].next;
  *r = routes_[route].next;
  route_pool_.give(route, [this](Index i) -> Index& { return routes_[i].next; });

  // A node without routes stays only as a fork. Taking a leaf away may leave the node above with one child.
  for (Index* at : {link, parent}) {
    if (at == nullptr) break;
    const Index n = *at;
    if (nodes_[n].routes != kNoIndex) break;
    const auto [left, right] = nodes_[n].child;
    if (left != kNoIndex && right != kNoIndex) break;
    *at = left != kNoIndex ? left : right;
    node_pool_.give(n, [this](Index i) -> Index& { return nodes_[i].routes; });
    if (*at != kNoIndex) break;
  }
}

Index RouteTable::exact(Scope scope, const IpPrefix& prefix) const {
  const RouteKey key{prefix.address};
  const unsigned length = prefix.mapped_length();
  for (Index n = root_of(scope); n != kNoIndex;) {
    const RouteNode& node = nodes_[n];
    if (node.length > length || key.common(node.key) < node.length) return kNoIndex;
    if (node.length == length) return node.routes;
    n = node.child[key.bit(node.length)];
  }
  return kNoIndex;
}

void RouteTable::check_invariants() const {
  std::uint32_t routes = 0;
  std::uint32_t nodes = 0;
  for (std::size_t i = 0; i < root_count_; ++i) {
    std::array<Index, 130> waiting{};
    std::size_t depth = 0;
    if (roots_[i].node != kNoIndex) waiting[depth++] = roots_[i].node;
    while (depth > 0) {
      const RouteNode& node = nodes_[waiting[--depth]];
      ++nodes;
      for (Index r = node.routes; r != kNoIndex; r = routes_[r].next) ++routes;
      LEAT_ASSERT(node.routes != kNoIndex || (node.child[0] != kNoIndex && node.child[1] != kNoIndex));
      for (unsigned side = 0; side < 2; ++side) {
        const Index c = node.child[side];
        if (c == kNoIndex) continue;
        LEAT_ASSERT(nodes_[c].length > node.length && nodes_[c].key.common(node.key) >= node.length);
        LEAT_ASSERT(nodes_[c].key.bit(node.length) == side);
        waiting[depth++] = c;
      }
    }
  }
  LEAT_ASSERT(routes == route_pool_.used() && nodes == node_pool_.used());
}

}  // namespace leat::iface
