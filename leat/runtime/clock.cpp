#include <ctime>
#include <leat/runtime/clock.hpp>

namespace leat {

namespace {
std::int64_t read(clockid_t id) {
  timespec t{};
  ::clock_gettime(id, &t);
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}
}  // namespace

Instant monotonic_now() {
  return Instant::from_ns(read(CLOCK_MONOTONIC));
}
std::int64_t wall_clock_ns() {
  return read(CLOCK_REALTIME);
}

}  // namespace leat
