#pragma once
// The heap, watched: this binary replaces operator new and counts the calls of all threads while a
// HeapWatch lives.

#include <cstdint>

namespace leat::test {

class HeapWatch {
 public:
  HeapWatch();
  ~HeapWatch();
  HeapWatch(const HeapWatch&) = delete;
  HeapWatch& operator=(const HeapWatch&) = delete;
  [[nodiscard]] std::uint64_t calls() const;
};

}  // namespace leat::test
