#pragma once
// EventCounter: what the processor or the kernel counts of this thread in user mode (perf_event_open), from its
// making on. Many virtual machines have no such counters and some systems allow nobody to use them: then there is no
// figure.
//
//   const EventCounter instructions = EventCounter::instructions();
//   const auto before = instructions.read();
//
// Threading: counts the thread that made it.

#include <cstdint>
#include <leat/device/descriptor.hpp>
#include <optional>

namespace leat::bench {

class EventCounter {
 public:
  [[nodiscard]] static EventCounter instructions();
  // As perf_event_open(2) names them.
  EventCounter(std::uint32_t type, std::uint64_t event);

  // Nothing: it is not known here.
  [[nodiscard]] std::optional<std::uint64_t> read() const;

 private:
  Descriptor fd_;
};

}  // namespace leat::bench
