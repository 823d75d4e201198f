#pragma once
// Which generation of the process this is: a child after fork() has another than its parent. Threading: any thread.

namespace leat::posix {

[[nodiscard]] unsigned fork_generation();

}  // namespace leat::posix
