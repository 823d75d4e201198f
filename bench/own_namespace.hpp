#pragma once
// A network namespace of the calling process's own, as root or through a user namespace: whatever is made in it is gone
// with the last process in it. For child processes, which have one thread.

namespace leat::bench {

// Throws Unable when the machine allows neither.
void enter_own_namespace();

}  // namespace leat::bench
