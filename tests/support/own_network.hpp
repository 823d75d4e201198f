#pragma once
// A network namespace for this test process alone, as root or, in a user namespace of its own, as anybody (what
// `leat up --demo` does). With the process everything in there ends. Before any thread starts.

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>

namespace leat::test {

struct OwnNetwork {
  std::string why_not;         // empty: we are in it
  bool ordinary_user = false;  // root here, and nobody outside: no other user exists
};

inline bool write_text(const char* path, const std::string& text) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(fd);
  return written;
}

inline OwnNetwork enter_own_network() {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // whoever ends the test runner ends this as well
  if (::unshare(CLONE_NEWNET) == 0) return {};
  const uid_t user = ::geteuid();
  const gid_t group = ::getegid();
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
    return {std::string("no user and network namespace: ") + std::strerror(errno)};
  (void)write_text("/proc/self/setgroups", "deny");
  if (!write_text("/proc/self/uid_map", "0 " + std::to_string(user) + " 1") ||
      !write_text("/proc/self/gid_map", "0 " + std::to_string(group) + " 1"))
    return {std::string("no user map: ") + std::strerror(errno)};
  return {.why_not = {}, .ordinary_user = true};
}

}  // namespace leat::test
