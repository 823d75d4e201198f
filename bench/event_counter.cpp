#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bench/event_counter.hpp>

namespace leat::bench {

EventCounter EventCounter::instructions() {
  return {PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS};
}

EventCounter::EventCounter(std::uint32_t type, std::uint64_t event) {
  perf_event_attr what{};
  what.size = sizeof what;
  what.type = type;
  what.config = event;
  what.exclude_kernel = 1;  // what an ordinary user may see
  what.exclude_hv = 1;
  what.pinned = 1;  // all of the time or not at all: reading then gives nothing
  fd_ = Descriptor(static_cast<int>(::syscall(SYS_perf_event_open, &what, 0, -1, -1, PERF_FLAG_FD_CLOEXEC)));
}

std::optional<std::uint64_t> EventCounter::read() const {
  std::uint64_t count = 0;
  if (!fd_ || ::read(fd_.get(), &count, sizeof count) != sizeof count) return std::nullopt;
  return count;
}

}  // namespace leat::bench
