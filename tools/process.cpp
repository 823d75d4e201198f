#include "process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <leat/runtime/clock.hpp>
#include <utility>

#include "failure.hpp"
#include "text.hpp"

namespace leat::tools {

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);  // if not, the old limit stands
}

Process::Process(const std::vector<std::string>& arguments, Stdin stdin_kind) {
  std::array<int, 2> in{-1, -1};
  std::array<int, 2> out{-1, -1};
  if (::pipe2(out.data(), O_CLOEXEC) != 0 || (stdin_kind == Stdin::pipe && ::pipe2(in.data(), O_CLOEXEC) != 0))
    throw Failure(cat("no pipe: ", std::strerror(errno)), "");
  stdout_ = Descriptor(out[0]);
  const Descriptor child_out(out[1]);
  const Descriptor child_in(in[0]);
  if (stdin_kind == Stdin::pipe) stdin_ = Descriptor(in[1]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  if (stdin_kind == Stdin::pipe) {
    ::posix_spawn_file_actions_adddup2(&actions, child_in.get(), STDIN_FILENO);
  } else {
    ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  }
  ::posix_spawn_file_actions_adddup2(&actions, child_out.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, child_out.get(), STDERR_FILENO);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t defaults;  // we ignore SIGPIPE; programs expect it
  ::sigemptyset(&defaults);
  ::sigaddset(&defaults, SIGPIPE);
  ::posix_spawnattr_setsigdefault(&attributes, &defaults);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  std::vector<char*> argv;
  std::vector<std::string> copies = arguments;
  for (std::string& argument : copies) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const int error = ::posix_spawnp(&pid_, argv[0], &actions, &attributes, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    pid_ = -1;
    throw Failure(cat("can't run ", arguments[0], ": ", std::strerror(error)), "scripts/install-deps installs it");
  }
}

Process::Process(Process&& o) noexcept
    : pid_(std::exchange(o.pid_, -1)),
      code_(o.code_),
      stdin_(std::move(o.stdin_)),
      stdout_(std::move(o.stdout_)),
      output_(std::move(o.output_)) {}

Process::~Process() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

bool Process::write(const void* bytes, std::size_t count) {
  const char* at = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t n = ::write(stdin_.get(), at, count);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += n;
    count -= static_cast<std::size_t>(n);
  }
  return true;
}

bool Process::read_some(int timeout_ms) {
  pollfd p{stdout_.get(), POLLIN, 0};
  if (::poll(&p, 1, timeout_ms) <= 0) return true;
  std::array<char, 4096> piece{};
  const ssize_t got = ::read(stdout_.get(), piece.data(), piece.size());
  if (got > 0) output_.append(piece.data(), static_cast<std::size_t>(got));
  return got > 0 || (got < 0 && errno == EINTR);
}

int Process::wait(Duration limit) {
  if (pid_ <= 0) return code_;
  constexpr int kLookMs = 20;
  const Instant end = monotonic_now() + limit;
  bool open = true;
  int status = 0;
  for (;;) {
    if (open) open = read_some(kLookMs);
    const pid_t ended = ::waitpid(pid_, &status, open || monotonic_now() < end ? WNOHANG : 0);
    if (ended == pid_) break;
    if (ended < 0 && errno != EINTR) break;
    if (monotonic_now() >= end) ::kill(pid_, SIGKILL);
    if (!open) ::usleep(1000);
  }
  while (open && read_some(0)) {
    pollfd p{stdout_.get(), POLLIN, 0};
    if (::poll(&p, 1, 0) <= 0) break;
  }
  pid_ = -1;
  code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return code_;
}

std::string run_program(const std::vector<std::string>& arguments, int& code, Duration limit) {
  Process process(arguments);
  code = process.wait(limit);
  return process.output();
}

}  // namespace leat::tools
