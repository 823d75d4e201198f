#pragma once
// The one place of `buf` that turns raw region memory into typed arrays. The types are trivially destructible and
// either constructed in place before use or plain numbers.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>

namespace leat {

inline std::uint8_t* align_up(std::uint8_t* p, std::size_t alignment) {
  const auto v = reinterpret_cast<std::uintptr_t>(p);
  return p + (((v + alignment - 1) & ~(alignment - 1)) - v);
}

// The array of T that starts at `at` (aligned for T).
template <class T>
T* carve(std::uint8_t* at) {
  static_assert(std::is_trivially_destructible_v<T>);
  return reinterpret_cast<T*>(at);
}

template <class T>
void construct(T* at) {
  ::new (static_cast<void*>(at)) T{};
}

}  // namespace leat
