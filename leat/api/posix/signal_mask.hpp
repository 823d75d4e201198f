#pragma once
// Signals and time: the mask of ppoll() and its like, whether a signal's end of a wait is told, time-outs as timespec.
// The mask is exchanged around the wait, not within it: a signal that comes between is seen by the next call only. One
// that was there before is not missed.
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

// What the signal does: calls a handler of the program's. `action`: how it was installed.
[[nodiscard]] inline bool has_handler(int signal, struct sigaction& action) {
  return ::sigaction(signal, nullptr, &action) == 0 &&
         ((action.sa_flags & SA_SIGINFO) != 0 || (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN));
}

// Which signals end a wait: Linux counts those that are ignored where it waits for a set.
enum class EndedBy : std::uint8_t { handled, any };

// A signal that was held back until now, and that the mask lets through.
[[nodiscard]] inline bool is_signal_due(const sigset_t& mask, EndedBy which) {
  sigset_t pending;
  if (::sigpending(&pending) != 0) return false;
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    struct sigaction action {};
    if (sigismember(&pending, signal) != 1 || sigismember(&mask, signal) != 0) continue;
    if (which == EndedBy::any || has_handler(signal, action)) return true;
  }
  return false;
}

// Waits with the mask in place: `wait(block)` answers as a call, 0 for nothing. As on Linux what is ready comes before
// a signal that is due, which stays where it is then.
template <class Wait>
int wait_masked(const sigset_t* mask, EndedBy which, bool block, Wait&& wait) {
  if (mask != nullptr && is_signal_due(*mask, which)) {
    if (const int ready = wait(false); ready != 0) return ready;
    const SignalMask masked(mask);  // its handler runs here
    return -EINTR;
  }
  const SignalMask masked(mask);
  return wait(block);
}

// A signal ended a wait: whether the call goes on, as SA_RESTART has it. The wait can't say which signal it was, so it
// goes on only if every handler of the process says so (or there is none: a stop signal). Handlers of faults don't
// count: a thread that sleeps has none, and programs install them for a last word, as sanitizers do.
[[nodiscard]] inline bool handlers_restart() {
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    const bool fault = signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL ||
                       signal == SIGTRAP || signal == SIGABRT || signal == SIGSYS;
    if (fault) continue;
    struct sigaction action {};
    if (has_handler(signal, action) && (action.sa_flags & SA_RESTART) == 0) return false;
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
