#pragma once
// prefetch: asks for the cache line of an address, for writing, and does not wait. GCC takes a function that does
// nothing else for one without effect and drops the calls to it, unless it was inlined in time; the empty instruction
// says that there is one. Threading: none.

namespace leat {

inline void prefetch(const void* at) {
  __builtin_prefetch(at, 1);
  asm volatile("" : : "r"(at));
}
// The next line, too.
inline void prefetch_two(const void* at) {
  prefetch(at);
  prefetch(static_cast<const char*>(at) + 64);
}

}  // namespace leat
