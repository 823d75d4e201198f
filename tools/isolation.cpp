#include "isolation.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "failure.hpp"
#include "text.hpp"

namespace leat::tools {

namespace {

constexpr int kNoNamespace = 113;  // the child's exit code for it; the reason is in the pipe

bool write_file(const char* path, const std::string& text) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool ok = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(fd);
  return ok;
}

// Makes the namespaces. The process namespace matters only to what comes after the next fork: its first process takes
// all others of it along when it ends. Empty when all is well.
std::string enter_namespaces() {
  const uid_t user = ::geteuid();
  const gid_t group = ::getegid();
  if (user == 0 && ::unshare(CLONE_NEWNET | CLONE_NEWPID) == 0) return "";
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWPID) != 0)
    return cat("no user and network namespace: ", std::strerror(errno));
  (void)write_file("/proc/self/setgroups", "deny");
  if (!write_file("/proc/self/uid_map", cat("0 ", user, " 1")) ||
      !write_file("/proc/self/gid_map", cat("0 ", group, " 1")))
    return cat("no user map: ", std::strerror(errno));
  return "";
}

int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// A child that dies with its parent, whatever ends that.
pid_t fork_bound() {
  std::fflush(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child != 0) return child;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // 0: the parent is outside of this process namespace.
  if (::getppid() != parent && ::getppid() != 0) ::_exit(kNoNamespace);
  return 0;
}

}  // namespace

Isolation run_isolated(const std::function<int()>& inside) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return {false, 0, std::strerror(errno)};
  const pid_t outer = fork_bound();
  if (outer < 0) return {false, 0, std::strerror(errno)};
  if (outer == 0) {
    const std::string why = enter_namespaces();
    if (!why.empty()) {
      [[maybe_unused]] const ssize_t told = ::write(ends[1], why.data(), why.size());
      ::_exit(kNoNamespace);
    }
    const pid_t inner = fork_bound();
    if (inner == 0) {
      const int code = inside();
      std::fflush(nullptr);
      ::_exit(code);
    }
    ::_exit(inner < 0 ? kNoNamespace : wait_for(inner));
  }
  ::close(ends[1]);
  std::string why;
  std::array<char, 256> piece{};
  for (ssize_t got = 0; (got = ::read(ends[0], piece.data(), piece.size())) > 0;)
    why.append(piece.data(), static_cast<std::size_t>(got));
  ::close(ends[0]);
  const int code = wait_for(outer);
  if (code == kNoNamespace) return {false, 0, why.empty() ? "no process for it" : why};
  return {true, code, ""};
}

int run_cleaned_up(const std::function<int()>& inside) {
  sigset_t wanted;
  sigset_t before;
  sigemptyset(&wanted);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&wanted, number);
  (void)::pthread_sigmask(SIG_BLOCK, &wanted, &before);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // who loses its parent below becomes our child
  const pid_t child = fork_bound();
  if (child < 0) throw Failure(cat("can't start a process: ", std::strerror(errno)), "end some others");
  if (child == 0) {
    (void)::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    int code = kExitUsage;
    try {
      code = inside();
    } catch (const std::exception& e) {
      std::fprintf(stderr, "leat: %s\n", e.what());
    }
    std::fflush(nullptr);
    ::_exit(code);
  }
  int number = 0;
  int code = -1;
  while (code < 0) {
    number = ::sigwaitinfo(&wanted, nullptr);
    if (number != SIGCHLD && number > 0) {
      (void)::kill(child, SIGKILL);
      (void)wait_for(child);
      code = 128 + number;
    }
    int status = 0;
    if (number == SIGCHLD && ::waitpid(child, &status, WNOHANG) == child)
      code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  while (::waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
  }
  (void)::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return code;
}

}  // namespace leat::tools
