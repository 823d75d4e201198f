#pragma once
// Counts the system calls of another process: all of them, of every thread, as strace would (ptrace). The process is
// slow meanwhile, so this is no time to measure in.

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>

namespace leat::bench {

// Calls `begin`, then counts what `process` does until `until` ends, which is waited for here; both are children of the
// caller. Blocking waits of `process` see EINTR when it begins. Nothing: this machine lets nobody look, or `until`
// failed.
[[nodiscard]] std::optional<std::uint64_t> count_system_calls(pid_t process, pid_t until,
                                                              const std::function<void()>& begin);

}  // namespace leat::bench
