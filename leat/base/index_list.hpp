#pragma once
// Lists of objects that name each other by 32-bit index into one array: half the size of pointers, valid across
// processes and after a restore. The links live in the objects; the accessor tells where. Used for dirty lists, ready
// lists, free lists, accept queues and the timer wheel.
//
//   struct Node { std::uint32_t next, prev; };
//   IndexFifo ready;  ready.push_back(i, [&](auto k) -> std::uint32_t& { return nodes[k].next; });
//
// All operations are O(1). Threading: one owner.

#include <cstdint>
#include <leat/base/assert.hpp>

namespace leat {

using Index = std::uint32_t;
inline constexpr Index kNoIndex = 0xffffffffU;

// Singly linked FIFO. `next(i)` must return a reference to the link of object i. A linked object's link is never
// kUnlinked, so membership can be tested in the object itself.
class IndexFifo {
 public:
  [[nodiscard]] constexpr bool empty() const { return head_ == kNoIndex; }
  [[nodiscard]] constexpr Index front() const { return head_; }
  template <class Next>
  constexpr void push_back(Index i, Next&& next) {
    next(i) = kNoIndex;
    if (head_ == kNoIndex) {
      head_ = i;
    } else {
      next(tail_) = i;
    }
    tail_ = i;
  }
  template <class Next>
  constexpr Index pop_front(Next&& next) {
    LEAT_ASSERT(head_ != kNoIndex);
    const Index i = head_;
    head_ = next(i);
    if (head_ == kNoIndex) tail_ = kNoIndex;
    return i;
  }
  constexpr void clear() { head_ = tail_ = kNoIndex; }

 private:
  Index head_ = kNoIndex;
  Index tail_ = kNoIndex;
};

// Doubly linked list with O(1) removal. `link(i)` returns a reference to an IndexLink.
struct IndexLink {
  Index next = kNoIndex;
  Index prev = kNoIndex;
};
class IndexList {
 public:
  [[nodiscard]] constexpr bool empty() const { return head_ == kNoIndex; }
  [[nodiscard]] constexpr Index front() const { return head_; }
  [[nodiscard]] constexpr Index back() const { return tail_; }
  template <class Link>
  constexpr void push_back(Index i, Link&& link) {
    link(i) = {kNoIndex, tail_};
    (tail_ == kNoIndex ? head_ : link(tail_).next) = i;
    tail_ = i;
  }
  template <class Link>
  constexpr void push_front(Index i, Link&& link) {
    link(i) = {head_, kNoIndex};
    (head_ == kNoIndex ? tail_ : link(head_).prev) = i;
    head_ = i;
  }
  template <class Link>
  constexpr void remove(Index i, Link&& link) {
    IndexLink& l = link(i);
    (l.prev == kNoIndex ? head_ : link(l.prev).next) = l.next;
    (l.next == kNoIndex ? tail_ : link(l.next).prev) = l.prev;
    l = {};
  }

 private:
  Index head_ = kNoIndex;
  Index tail_ = kNoIndex;
};

// Free list over `capacity` slots: indices never used yet come from a watermark, returned ones LIFO, so that
// construction touches no slot. `next(i)` returns a reference to the link kept in a free slot.
class IndexPool {
 public:
  constexpr explicit IndexPool(std::uint32_t capacity = 0) : capacity_(capacity) {}
  // kNoIndex when all are in use.
  template <class Next>
  [[nodiscard]] constexpr Index take(Next&& next) {
    if (free_ != kNoIndex) {
      const Index i = free_;
      free_ = next(i);
      ++used_;
      return i;
    }
    if (watermark_ == capacity_) return kNoIndex;
    ++used_;
    return watermark_++;
  }
  template <class Next>
  constexpr void give(Index i, Next&& next) {
    LEAT_ASSERT(i < watermark_ && used_ > 0);
    next(i) = free_;
    free_ = i;
    --used_;
  }
  [[nodiscard]] constexpr std::uint32_t used() const { return used_; }
  [[nodiscard]] constexpr std::uint32_t capacity() const { return capacity_; }
  [[nodiscard]] constexpr std::uint32_t available() const { return capacity_ - used_; }
  [[nodiscard]] constexpr std::uint32_t watermark() const { return watermark_; }

 private:
  std::uint32_t capacity_;
  std::uint32_t watermark_ = 0;
  std::uint32_t used_ = 0;
  Index free_ = kNoIndex;
};

}  // namespace leat
