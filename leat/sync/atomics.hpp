#pragma once
// Which atomics the sources of `sync` use. A template parameter, so that the schedule-enumerating test runs the very
// same source with atomics that hand control to a scheduler at every access.

#include <atomic>

namespace leat::sync {

struct StdAtomics {
  template <class T>
  using Atomic = std::atomic<T>;
  template <class T>
  using Ref = std::atomic_ref<T>;
};

}  // namespace leat::sync
