#pragma once
// StaticVector<T, N>: up to N objects in place, no heap. Pushing to a full vector is a value, not an error: try_push
// says whether it fitted; push_back asserts.
//
// Iterators and references stay valid until the element is removed. Threading: one owner.

#include <algorithm>
#include <cstddef>
#include <leat/base/assert.hpp>
#include <memory>
#include <utility>

namespace leat {

template <class T, std::size_t N>
class StaticVector {
 public:
  constexpr StaticVector() {}
  constexpr StaticVector(const StaticVector& o) {
    for (const T& item : o) push_back(item);
  }
  constexpr StaticVector(StaticVector&& o) noexcept {
    for (T& item : o) push_back(std::move(item));
    o.clear();
  }
  constexpr StaticVector& operator=(const StaticVector& o) {
    if (this == &o) return *this;
    clear();
    for (const T& item : o) push_back(item);
    return *this;
  }
  constexpr StaticVector& operator=(StaticVector&& o) noexcept {
    if (this == &o) return *this;
    clear();
    for (T& item : o) push_back(std::move(item));
    o.clear();
    return *this;
  }
  constexpr ~StaticVector() { clear(); }

  [[nodiscard]] static constexpr std::size_t capacity() { return N; }
  [[nodiscard]] constexpr std::size_t size() const { return size_; }
  [[nodiscard]] constexpr bool empty() const { return size_ == 0; }
  [[nodiscard]] constexpr bool full() const { return size_ == N; }

  [[nodiscard]] constexpr bool try_push(T value) {
    if (full()) return false;
    std::construct_at(&items_[size_], std::move(value));
    ++size_;
    return true;
  }
  constexpr void push_back(T value) {
    const bool fitted = try_push(std::move(value));
    LEAT_ASSERT(fitted);
  }
  constexpr T pop_back() {
    LEAT_ASSERT(size_ > 0);
    T value = std::move(items_[size_ - 1]);
    std::destroy_at(&items_[--size_]);
    return value;
  }
  // Removes element i and closes the gap: order stays, O(n).
  constexpr void erase(std::size_t i) {
    LEAT_ASSERT(i < size_);
    for (; i + 1 < size_; ++i) items_[i] = std::move(items_[i + 1]);
    std::destroy_at(&items_[--size_]);
  }
  // Removes element i and puts the last one in its place: O(1).
  constexpr void swap_erase(std::size_t i) {
    LEAT_ASSERT(i < size_);
    if (i + 1 != size_) items_[i] = std::move(items_[size_ - 1]);
    std::destroy_at(&items_[--size_]);
  }
  constexpr void clear() {
    while (size_ > 0) std::destroy_at(&items_[--size_]);
  }

  constexpr bool operator==(const StaticVector& o) const { return std::equal(begin(), end(), o.begin(), o.end()); }

  constexpr T& operator[](std::size_t i) {
    LEAT_ASSERT(i < size_);
    return items_[i];
  }
  constexpr const T& operator[](std::size_t i) const {
    LEAT_ASSERT(i < size_);
    return items_[i];
  }
  constexpr T& back() { return (*this)[size_ - 1]; }
  constexpr const T& back() const { return (*this)[size_ - 1]; }
  [[nodiscard]] constexpr T* data() { return items_; }
  [[nodiscard]] constexpr const T* data() const { return items_; }
  constexpr T* begin() { return items_; }
  constexpr T* end() { return items_ + size_; }
  [[nodiscard]] constexpr const T* begin() const { return items_; }
  [[nodiscard]] constexpr const T* end() const { return items_ + size_; }

 private:
  std::size_t size_ = 0;
  union {
    T items_[N];  // the first size_ of them are alive
  };
};

}  // namespace leat
