#pragma once
// A network of one's own: a child process in a new network namespace (and, for an ordinary user, a new user namespace
// in which it is root), where it may make interfaces and run stock programs without anybody noticing. With the child
// everything in there ends. Threading: call it while the process has one thread.

#include <functional>
#include <string>

namespace leat::tools {

struct Isolation {
  bool possible = false;  // the namespaces could be made, and `inside` ran
  int code = 0;           // what `inside` returned
  std::string why;        // not possible: the reason
};

// Runs `inside` in such a child. When this process ends, so do the child and all that it started.
[[nodiscard]] Isolation run_isolated(const std::function<int()>& inside);

// Runs `inside` in a process of its own, so that the caller can clean up after it also when SIGINT, SIGTERM or SIGHUP
// ends it: all processes below have ended when this returns. The exit code; 128 + the signal. Before any thread is
// made.
[[nodiscard]] int run_cleaned_up(const std::function<int()>& inside);

}  // namespace leat::tools
