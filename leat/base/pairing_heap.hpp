#pragma once
// PairingHeap: a priority queue whose links live in its elements: no memory of its own, any number of elements. For
// deadlines that mostly are taken out again before they come.
//
//   struct Links { static T*& child(T&); static T*& sibling(T&); static T*& previous(T&);
//                  static bool before(const T&, const T&); };
//
// `previous` is the parent of a first child and the elder sibling of the others. Elements that compare equal come in no
// order that means anything, but the same calls give the same order.
//
// Complexity: top and push O(1); pop and remove O(log n) amortized. Threading: one owner.

#include <leat/base/assert.hpp>

namespace leat {

template <class T, class Links>
class PairingHeap {
 public:
  [[nodiscard]] bool empty() const { return root_ == nullptr; }
  [[nodiscard]] T* top() const { return root_; }

  void push(T& e) {
    Links::child(e) = Links::sibling(e) = Links::previous(e) = nullptr;
    root_ = meld(root_, &e);
  }

  void remove(T& e) {
    if (&e == root_) {
      root_ = pair_up(Links::child(e));
    } else {
      T* const elder = Links::previous(e);
      T* const younger = Links::sibling(e);
      (Links::child(*elder) == &e ? Links::child(*elder) : Links::sibling(*elder)) = younger;
      if (younger != nullptr) Links::previous(*younger) = elder;
      root_ = meld(root_, pair_up(Links::child(e)));
    }
    Links::child(e) = Links::sibling(e) = Links::previous(e) = nullptr;
  }

 private:
  // Both are roots: without siblings.
  static T* meld(T* a, T* b) {
    if (a == nullptr) return b;
    if (b == nullptr) return a;
    if (Links::before(*b, *a)) {
      T* const t = a;
      a = b;
      b = t;
    }
    T* const first = Links::child(*a);
    Links::sibling(*b) = first;
    if (first != nullptr) Links::previous(*first) = b;
    Links::child(*a) = b;
    Links::previous(*b) = a;
    Links::sibling(*a) = nullptr;
    Links::previous(*a) = nullptr;
    return a;
  }
  // Melds a list of siblings into one root: first in pairs, then from the last pair to the first.
  static T* pair_up(T* first) {
    T* pairs = nullptr;  // newest first, by sibling
    while (first != nullptr) {
      T* const a = first;
      T* const b = Links::sibling(*a);
      first = b == nullptr ? nullptr : Links::sibling(*b);
      cut(*a);
      if (b != nullptr) cut(*b);
      T* const m = meld(a, b);
      Links::sibling(*m) = pairs;
      pairs = m;
    }
    T* root = nullptr;
    while (pairs != nullptr) {
      T* const m = pairs;
      pairs = Links::sibling(*m);
      cut(*m);
      root = meld(root, m);
    }
    return root;
  }
  static void cut(T& e) { Links::sibling(e) = Links::previous(e) = nullptr; }

  T* root_ = nullptr;
};

}  // namespace leat
