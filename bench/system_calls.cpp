#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bench/system_calls.hpp>
#include <charconv>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

namespace leat::bench {
namespace {

constexpr int kCallStop = SIGTRAP | 0x80;  // PTRACE_O_TRACESYSGOOD

std::vector<pid_t> threads_of(pid_t process) {
  std::vector<pid_t> threads;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/task", error)) {
    const std::string name = entry.path().filename();
    pid_t id = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), id).ec == std::errc{}) threads.push_back(id);
  }
  return threads;
}

bool at_entry(pid_t thread) {
  __ptrace_syscall_info info{};
  return ::ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info) > 0 && info.op == PTRACE_SYSCALL_INFO_ENTRY;
}

// What a stopped thread stopped for is passed on when it is a signal of its own.
void go_on(pid_t thread, int status) {
  const int signal = WSTOPSIG(status);
  const bool own = status >> 16 == 0 && signal != kCallStop;
  ::ptrace(PTRACE_SYSCALL, thread, nullptr, own ? signal : 0);
}

void let_go(const std::vector<pid_t>& threads) {
  for (const pid_t thread : threads) {
    if (::ptrace(PTRACE_INTERRUPT, thread, nullptr, nullptr) != 0) continue;
    int status = 0;
    if (::waitpid(thread, &status, __WALL) == thread && WIFSTOPPED(status))
      ::ptrace(PTRACE_DETACH, thread, nullptr, nullptr);
  }
}

}  // namespace

std::optional<std::uint64_t> count_system_calls(pid_t process, pid_t until, const std::function<void()>& begin) {
  const std::vector<pid_t> threads = threads_of(process);
  bool all = !threads.empty();
  for (const pid_t thread : threads)
    all = ::ptrace(PTRACE_SEIZE, thread, nullptr, PTRACE_O_TRACESYSGOOD) == 0 &&
          ::ptrace(PTRACE_INTERRUPT, thread, nullptr, nullptr) == 0 && all;
  if (!all) {
    let_go(threads);
    begin();
    ::waitpid(until, nullptr, 0);
    return std::nullopt;
  }
  std::uint64_t calls = 0;
  std::size_t stopped = 0;  // threads that have come to their first stop
  bool begun = false;
  for (;;) {
    if (!begun && stopped == threads.size()) {
      begin();
      begun = true;
    }
    int status = 0;
    const pid_t who = ::waitpid(-1, &status, __WALL);
    if (who < 0) return std::nullopt;
    if (who == until && !WIFSTOPPED(status)) {
      all = all && WIFEXITED(status) && WEXITSTATUS(status) == 0;
      break;
    }
    if (!WIFSTOPPED(status)) {
      if (who == process) all = false;
      continue;
    }
    if (!begun && status >> 16 == PTRACE_EVENT_STOP) ++stopped;
    if (WSTOPSIG(status) == kCallStop && at_entry(who)) ++calls;
    go_on(who, status);
  }
  let_go(threads);
  return all ? std::optional(calls) : std::nullopt;
}

}  // namespace leat::bench
