#pragma once
// Signals and time: the mask of ppoll() and its like, whether a signal's end of a wait is told, time-outs as timespec.
// The mask is exchanged around the wait, not within it: a signal that comes between is seen by the next call only.
// Threading: values of the calling thread.

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <leat/base/time.hpp>

namespace leat::posix {

class SignalMask {
 public:
  explicit SignalMask(const sigset_t* mask) : on_(mask != nullptr) {
    if (on_) pthread_sigmask(SIG_SETMASK, mask, &before_);
  }
  ~SignalMask() {
    if (on_) pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  SignalMask(const SignalMask&) = delete;
  SignalMask& operator=(const SignalMask&) = delete;

 private:
  sigset_t before_{};
  bool on_;
};

// A signal ended a wait: whether the call goes on, as SA_RESTART has it. The wait can't say which signal it was, so it
// goes on only if every handler of the process says so (or there is none: a stop signal). Handlers of faults don't
// count: a thread that sleeps has none, and programs install them for a last word, as sanitizers do.
[[nodiscard]] inline bool handlers_restart() {
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    const bool fault = signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL ||
                       signal == SIGTRAP || signal == SIGABRT || signal == SIGSYS;
    if (fault) continue;
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) != 0) continue;
    const bool handled =
        (action.sa_flags & SA_SIGINFO) != 0 || (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
    if (handled && (action.sa_flags & SA_RESTART) == 0) return false;
  }
  return true;
}

// Null is for ever. 0, or -EINVAL.
[[nodiscard]] inline int deadline_of(const timespec* timeout, Instant now, Instant& until) {
  until = Instant::never();
  if (timeout == nullptr) return 0;
  if (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= 1'000'000'000) return -EINVAL;
  constexpr std::int64_t kForEver = INT64_MAX / 2'000'000'000;
  if (timeout->tv_sec < kForEver) until = now + Duration::s(timeout->tv_sec) + Duration::ns(timeout->tv_nsec);
  return 0;
}

}  // namespace leat::posix
