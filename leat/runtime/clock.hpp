#pragma once
// The clocks of a hosted program. Instants are CLOCK_MONOTONIC's nanoseconds, the same for every thread of a machine.
// Wall time is for people and for HTTP only; no protocol of the core ever sees it. Threading: any.

#include <cstdint>
#include <leat/base/time.hpp>

namespace leat {

[[nodiscard]] Instant monotonic_now();
// Nanoseconds since 1970-01-01 UTC.
[[nodiscard]] std::int64_t wall_clock_ns();

}  // namespace leat
