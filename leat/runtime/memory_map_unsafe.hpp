#pragma once
// MemoryMap: anonymous address space of the kernel, owned. Nothing is committed at construction: a page becomes memory
// when it is first touched, zeroed, so that tables for millions of objects cost what is used of them.
//
//   auto map = leat::MemoryMap::reserve(std::size_t{1} << 40).value();
//   std::span<Record> records = map.take<Record>(1'000'000);
//
// take() carves arrays one behind the other. Their objects are the zeroed memory itself: whoever uses an element first
// constructs it (the core's tables do: "first use: the memory may never have been constructed"), or all-zero is its
// initial state. So T must be trivially destructible.
//
// Threading: a value; reserve() is safe anywhere.

#include <cstddef>
#include <cstdint>
#include <leat/base/bytes.hpp>
#include <leat/base/result.hpp>
#include <span>
#include <type_traits>
#include <utility>

namespace leat {

class MemoryMap {
 public:
  MemoryMap() = default;
  // Errc::no_memory when the kernel gives no address space of this size.
  [[nodiscard]] static Result<MemoryMap> reserve(std::size_t bytes);
  MemoryMap(MemoryMap&& o) noexcept
      : base_(std::exchange(o.base_, nullptr)), size_(std::exchange(o.size_, 0)), taken_(std::exchange(o.taken_, 0)) {}
  MemoryMap& operator=(MemoryMap&& o) noexcept {
    std::swap(base_, o.base_);
    std::swap(size_, o.size_);
    std::swap(taken_, o.taken_);
    return *this;
  }
  ~MemoryMap();

  [[nodiscard]] MutableByteSpan bytes() const { return {base_, size_}; }
  // Bytes that an array of `count` takes, alignment slack included.
  template <class T>
  [[nodiscard]] static constexpr std::size_t bytes_for(std::size_t count) {
    return count * sizeof(T) + kAlignment;
  }
  template <class T>
  [[nodiscard]] std::span<T> take(std::size_t count) {
    static_assert(std::is_trivially_destructible_v<T> && alignof(T) <= kAlignment);
    return {reinterpret_cast<T*>(take_bytes(count * sizeof(T))), count};
  }
  // Bytes of it that are memory now (in core), by asking the kernel. For tests and reports.
  [[nodiscard]] std::size_t resident() const;

 private:
  static constexpr std::size_t kAlignment = 64;
  MemoryMap(std::uint8_t* base, std::size_t size) : base_(base), size_(size) {}
  std::uint8_t* take_bytes(std::size_t count);

  std::uint8_t* base_ = nullptr;
  std::size_t size_ = 0;
  std::size_t taken_ = 0;
};

}  // namespace leat
