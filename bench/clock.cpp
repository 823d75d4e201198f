#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <bench/clock.hpp>
#include <leat/runtime/clock.hpp>

namespace leat::bench {
namespace {

double seconds(const timeval& t) {
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
}
double seconds_of(int who) {
  rusage usage{};
  getrusage(who, &usage);
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

double ns_per_tick() {
  static const double value = [] {
    const Instant began = monotonic_now();
    const std::uint64_t first = ticks();
    while (monotonic_now() - began < Duration::ms(20)) {
    }
    const std::uint64_t last = ticks();
    return static_cast<double>((monotonic_now() - began).count_ns()) / static_cast<double>(last - first);
  }();
  return value;
}

double ticks_of_reading() {
  static const double value = [] {
    std::uint64_t least = ~std::uint64_t{0};
    for (int i = 0; i < 10'000; ++i) {
      const std::uint64_t a = ticks();
      least = std::min(least, ticks() - a);
    }
    return static_cast<double>(least);
  }();
  return value;
}

double thread_cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

double process_cpu_seconds() {
  return seconds_of(RUSAGE_SELF) + seconds_of(RUSAGE_CHILDREN);
}

void BlockTimer::close() {
  const double ticks_spent = static_cast<double>(spent_) - static_cast<double>(sections_) * ticks_of_reading();
  blocks_.push_back(ticks_spent / static_cast<double>(units_));
  spent_ = sections_ = units_ = 0;
}

double BlockTimer::median_ns_per_unit() {
  if (units_ != 0 && blocks_.empty()) close();
  const auto middle = blocks_.begin() + static_cast<std::ptrdiff_t>(blocks_.size() / 2);
  std::ranges::nth_element(blocks_, middle);
  return *middle * ns_per_tick();
}

}  // namespace leat::bench
