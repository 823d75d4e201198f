#pragma once
// What time costs here: the processor's cycle counter, in nanoseconds, and the CPU time of the process.

#include <cstdint>

namespace leat::bench {

// Ticks of the cycle counter (rdtsc; the generic timer on AArch64). Reading it takes some 10 ns: cost_of_reading() is
// what two reads with nothing between them show, and short sections subtract it.
inline std::uint64_t ticks() {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
  std::uint64_t t = 0;
  asm volatile("mrs %0, cntvct_el0" : "=r"(t));
  return t;
#else
#error "no cycle counter known for this processor"
#endif
}
[[nodiscard]] double ns_per_tick();
[[nodiscard]] double ticks_of_reading();

// CPU seconds of this thread, and of the whole process with its ended children; user and kernel.
[[nodiscard]] double thread_cpu_seconds();
[[nodiscard]] double process_cpu_seconds();

}  // namespace leat::bench
