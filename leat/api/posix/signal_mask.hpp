#pragma once
// The signal mask of ppoll() and its like, and time-outs as timespec. The mask is exchanged around the wait, not within
// it: a signal that comes between is seen by the next call only. Threading: values of the calling thread.

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
