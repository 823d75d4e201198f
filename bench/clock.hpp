#pragma once
// What time costs here: the processor's cycle counter, in nanoseconds, and the CPU time of the process.

#include <cstdint>
#include <vector>

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

// Time of short sections by the cycle counter, in blocks of so many units of work. The figure is the median block: on a
// shared machine some blocks hold time in which the thread did not run. A block is much shorter than a time slice, so
// that most hold none.
class BlockTimer {
 public:
  explicit BlockTimer(std::uint64_t units_in_block) : units_in_block_(units_in_block) {}
  void begin() { began_ = ticks(); }
  void end() {
    spent_ += ticks() - began_;
    ++sections_;
  }
  void done(std::uint64_t units) {
    units_ += units;
    if (units_ >= units_in_block_) close();
  }
  [[nodiscard]] double median_ns_per_unit();

 private:
  void close();
  std::uint64_t units_in_block_;
  std::uint64_t began_ = 0, spent_ = 0, sections_ = 0, units_ = 0;
  std::vector<double> blocks_;  // ticks per unit
};

}  // namespace leat::bench
