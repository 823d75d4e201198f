#pragma once
// StopOnSignals: while it lives, SIGINT and SIGTERM end the runner's loop instead of the program. One at a time per
// process. `caught()` is the signal that came, 0 for none. Threading: made and ended by one thread.

#include <leat/runtime/runner.hpp>

namespace leat {

class StopOnSignals {
 public:
  explicit StopOnSignals(Runner& runner);
  ~StopOnSignals();
  StopOnSignals(const StopOnSignals&) = delete;
  StopOnSignals& operator=(const StopOnSignals&) = delete;
  [[nodiscard]] static int caught();
};

}  // namespace leat
