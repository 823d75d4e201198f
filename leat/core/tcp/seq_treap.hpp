#pragma once
// SeqTreap: an ordered set of nodes keyed by sequence number, O(log n) for insert, erase and find, over nodes that name
// each other by index. Used by the retransmission ranges and the out-of-order queue of a connection.
//
// A treap: a search tree by `start`, a heap by a priority that is a mix of the node's index and a salt. The indices
// that a connection gets are easily guessed: with a salt that a peer does not know, it can't choose sequence numbers
// that make the tree a list. Nodes are also linked in order, so that neighbours are O(1). Keys of one tree lie within
// 2^31 of each other. Deterministic for a salt. No recursion. Threading: one owner.
//
// Node must have: SeqNum start; TreapLink treap.

#include <leat/base/assert.hpp>
#include <leat/base/index_list.hpp>
#include <leat/base/seq_num.hpp>
#include <span>

namespace leat::tcp {

struct TreapLink {
  Index left = kNoIndex;
  Index right = kNoIndex;
  Index next = kNoIndex;
  Index prev = kNoIndex;
};

struct SeqTree {
  Index root = kNoIndex;
  Index first = kNoIndex;
  Index last = kNoIndex;
};

template <class Node>
class SeqTreap {
 public:
  SeqTreap(std::span<Node> nodes, SeqTree& tree, std::uint32_t salt = 0) : nodes_(nodes), tree_(tree), salt_(salt) {}

  // The node with the greatest start that is <= `seq`; kNoIndex when there is none.
  [[nodiscard]] Index find_le(SeqNum seq) const {
    Index best = kNoIndex;
    for (Index i = tree_.root; i != kNoIndex;) {
      if (nodes_[i].start <= seq) {
        best = i;
        i = nodes_[i].treap.right;
      } else {
        i = nodes_[i].treap.left;
      }
    }
    return best;
  }
  [[nodiscard]] Index first() const { return tree_.first; }
  [[nodiscard]] Index last() const { return tree_.last; }
  [[nodiscard]] Index next(Index i) const { return nodes_[i].treap.next; }
  [[nodiscard]] Index prev(Index i) const { return nodes_[i].treap.prev; }

  // Inserts node `n`, whose start no other node has.
  void insert(Index n) {
    const SeqNum key = nodes_[n].start;
    const Index before = find_le(key);
    link_after(before, n);
    // Down to where our priority belongs, then split what is below around our key.
    Index* at = &tree_.root;
    while (*at != kNoIndex && priority(*at) >= priority(n))
      at = nodes_[*at].start < key ? &nodes_[*at].treap.right : &nodes_[*at].treap.left;
    Index below = *at;
    *at = n;
    Index* left = &nodes_[n].treap.left;
    Index* right = &nodes_[n].treap.right;
    while (below != kNoIndex) {
      if (nodes_[below].start < key) {
        *left = below;
        left = &nodes_[below].treap.right;
        below = *left;
      } else {
        *right = below;
        right = &nodes_[below].treap.left;
        below = *right;
      }
    }
    *left = *right = kNoIndex;
  }

  void erase(Index n) {
    const SeqNum key = nodes_[n].start;
    Index* at = &tree_.root;
    while (*at != n) {
      LEAT_ASSERT(*at != kNoIndex);
      at = nodes_[*at].start < key ? &nodes_[*at].treap.right : &nodes_[*at].treap.left;
    }
    Index left = nodes_[n].treap.left;
    Index right = nodes_[n].treap.right;
    while (left != kNoIndex && right != kNoIndex) {
      if (priority(left) >= priority(right)) {
        *at = left;
        at = &nodes_[left].treap.right;
        left = *at;
      } else {
        *at = right;
        at = &nodes_[right].treap.left;
        right = *at;
      }
    }
    *at = left != kNoIndex ? left : right;
    unlink(n);
  }

  // Asserts order, links and heap; returns the number of nodes. O(n).
  std::uint32_t check() const {
    std::uint32_t count = 0;
    Index before = kNoIndex;
    for (Index i = tree_.first; i != kNoIndex; i = nodes_[i].treap.next) {
      LEAT_ASSERT(nodes_[i].treap.prev == before);
      if (before != kNoIndex) LEAT_ASSERT(nodes_[before].start < nodes_[i].start);
      LEAT_ASSERT(find_le(nodes_[i].start) == i);
      for (const Index child : {nodes_[i].treap.left, nodes_[i].treap.right})
        if (child != kNoIndex) LEAT_ASSERT(priority(i) >= priority(child));
      before = i;
      ++count;
    }
    LEAT_ASSERT(tree_.last == before && (tree_.root == kNoIndex) == (count == 0));
    return count;
  }

 private:
  // One-to-one in the index, so that no two nodes are equal.
  [[nodiscard]] constexpr std::uint32_t priority(Index i) const {
    std::uint32_t x = (i + salt_) * 0x9e3779b1U;
    x ^= x >> 15;
    x *= 0x85ebca6bU;
    x ^= x >> 13;
    x *= 0xc2b2ae35U;
    return x ^ (x >> 16);
  }
  void link_after(Index before, Index n) {
    TreapLink& l = nodes_[n].treap;
    l.prev = before;
    l.next = before == kNoIndex ? tree_.first : nodes_[before].treap.next;
    (before == kNoIndex ? tree_.first : nodes_[before].treap.next) = n;
    (l.next == kNoIndex ? tree_.last : nodes_[l.next].treap.prev) = n;
  }
  void unlink(Index n) {
    const TreapLink l = nodes_[n].treap;
    (l.prev == kNoIndex ? tree_.first : nodes_[l.prev].treap.next) = l.next;
    (l.next == kNoIndex ? tree_.last : nodes_[l.next].treap.prev) = l.prev;
  }

  std::span<Node> nodes_;
  SeqTree& tree_;
  std::uint32_t salt_;
};

}  // namespace leat::tcp
