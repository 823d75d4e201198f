#include "heap_watch.hpp"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {
// Written by the thread that watches, the count by every thread; read by all. Relaxed: whoever starts and ends the
// threads orders what is asked afterwards.
std::atomic<bool> watching{false};
std::atomic<std::uint64_t> heap_calls{0};

void* take(std::size_t size, std::size_t alignment) {
  if (watching.load(std::memory_order_relaxed)) heap_calls.fetch_add(1, std::memory_order_relaxed);
  if (size == 0) size = 1;
  void* p = alignment <= alignof(std::max_align_t)
                ? std::malloc(size)
                : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (p == nullptr) std::abort();
  return p;
}
}  // namespace

void* operator new(std::size_t n) {
  return take(n, 1);
}
void* operator new[](std::size_t n) {
  return take(n, 1);
}
void* operator new(std::size_t n, std::align_val_t a) {
  return take(n, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t n, std::align_val_t a) {
  return take(n, static_cast<std::size_t>(a));
}
void operator delete(void* p) noexcept {
  std::free(p);
}
void operator delete[](void* p) noexcept {
  std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}
void operator delete[](void* p, std::size_t) noexcept {
  std::free(p);
}
void operator delete(void* p, std::align_val_t) noexcept {
  std::free(p);
}
void operator delete[](void* p, std::align_val_t) noexcept {
  std::free(p);
}
void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
  std::free(p);
}
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept {
  std::free(p);
}

namespace leat::test {

HeapWatch::HeapWatch() {
  heap_calls.store(0, std::memory_order_relaxed);
  watching.store(true, std::memory_order_relaxed);
}
HeapWatch::~HeapWatch() {
  watching.store(false, std::memory_order_relaxed);
}
std::uint64_t HeapWatch::calls() const {
  return heap_calls.load(std::memory_order_relaxed);
}

}  // namespace leat::test
