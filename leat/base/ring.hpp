#pragma once
// Ring: a FIFO of fixed capacity. Ring<T, N> holds its elements; SpanRing<T> stands on memory that the caller supplies
// (every core table does, so that sizes are decided in one place). A full ring refuses, and the caller decides what to
// drop and counts it.
//
// Elements are default-constructed in place and moved in and out: a popped slot keeps a moved-from value, so a
// move-only owner such as Packet releases what it held. Threading: one owner; the ring between threads is
// sync/spsc_ring.

#include <array>
#include <cstddef>
#include <cstdint>
#include <leat/base/assert.hpp>
#include <span>
#include <utility>

namespace leat {

template <class T, class Storage>
class BasicRing {
 public:
  constexpr BasicRing() = default;
  constexpr explicit BasicRing(Storage slots) : slots_(std::move(slots)) {}

  [[nodiscard]] constexpr std::size_t capacity() const { return slots_.size(); }
  [[nodiscard]] constexpr std::size_t size() const { return size_; }
  [[nodiscard]] constexpr bool empty() const { return size_ == 0; }
  [[nodiscard]] constexpr bool full() const { return size_ == slots_.size(); }

  // False when full; `value` is then untouched.
  [[nodiscard]] constexpr bool push(T&& value) {
    if (full()) return false;
    slots_[at(size_)] = std::move(value);
    ++size_;
    return true;
  }
  [[nodiscard]] constexpr bool push(const T& value) {
    if (full()) return false;
    slots_[at(size_)] = value;
    ++size_;
    return true;
  }
  constexpr T pop() {
    LEAT_ASSERT(size_ > 0);
    T value = std::move(slots_[head_]);
    head_ = static_cast<std::uint32_t>(at(1));
    --size_;
    return value;
  }
  constexpr T& front() { return (*this)[0]; }
  constexpr const T& front() const { return (*this)[0]; }
  constexpr T& back() { return (*this)[size_ - 1]; }
  // Element i counted from the front.
  constexpr T& operator[](std::size_t i) {
    LEAT_ASSERT(i < size_);
    return slots_[at(i)];
  }
  constexpr const T& operator[](std::size_t i) const {
    LEAT_ASSERT(i < size_);
    return slots_[at(i)];
  }
  constexpr void clear() {
    while (!empty()) static_cast<void>(pop());
  }

 private:
  [[nodiscard]] constexpr std::size_t at(std::size_t i) const {
    const std::size_t slot = head_ + i;
    return slot < slots_.size() ? slot : slot - slots_.size();
  }
  Storage slots_{};
  std::uint32_t head_ = 0;
  std::uint32_t size_ = 0;
};

template <class T, std::size_t N>
using Ring = BasicRing<T, std::array<T, N>>;
template <class T>
using SpanRing = BasicRing<T, std::span<T>>;

}  // namespace leat
