// The waits that take a signal mask (ppoll, pselect, epoll_pwait, epoll_pwait2): what is ready, times as timespec, and
// signals that were held back, on Linux and on Leat. Signals that come while a thread sleeps: threads_test.cpp.

#include <chrono>

#include "tests/posix/same_program.hpp"

namespace leat::test {
namespace {

enum class Form : std::uint8_t { poll, select, epoll, epoll_in_ms };
constexpr std::array kForms{Form::poll, Form::select, Form::epoll, Form::epoll_in_ms};
constexpr std::array kNames{"ppoll", "pselect", "epoll_pwait2", "epoll_pwait"};
const char* name_of(Form f) {
  return kNames[static_cast<std::size_t>(f)];
}

sigset_t only(int signal) {
  sigset_t set;
  sigemptyset(&set);
  if (signal != 0) sigaddset(&set, signal);
  return set;
}

template <class Backend>
class PosixMaskedWaiting : public SameProgram<Backend> {
 protected:
  // Waits until the descriptor can be read: what the call answers. epoll_pwait() takes milliseconds.
  int wait(Form form, int fd, const timespec* timeout, const sigset_t* mask = nullptr) {
    if (form == Form::poll) {
      pollfd p{fd, POLLIN, 0};
      const int ready = this->net.ppoll(&p, 1, timeout, mask);
      EXPECT_EQ(p.revents, ready == 1 ? POLLIN : 0);
      return ready;
    }
    if (form == Form::select) {
      fd_set set;
      FD_ZERO(&set);
      FD_SET(fd, &set);
      const int ready = this->net.pselect(fd + 1, &set, nullptr, nullptr, timeout, mask);
      EXPECT_EQ(FD_ISSET(fd, &set) != 0, ready != 0);  // with an error all is as it was
      return ready;
    }
    const int set = this->net.epoll_create(1);
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.u64 = 7;
    EXPECT_EQ(this->net.epoll_ctl(set, EPOLL_CTL_ADD, fd, &e), 0);
    e = {};
    const auto in_ms = [](const timespec& t) { return static_cast<int>(t.tv_sec * 1000 + t.tv_nsec / 1'000'000); };
    const int ready = form == Form::epoll
                          ? this->net.epoll_pwait2(set, &e, 1, timeout, mask)
                          : this->net.epoll_pwait(set, &e, 1, timeout == nullptr ? -1 : in_ms(*timeout), mask);
    EXPECT_EQ(std::uint64_t{e.data.u64}, ready == 1 ? 7U : 0U);
    this->close_all({set});
    return ready;
  }
  std::int64_t now_us() {
    if constexpr (Backend::kIsLeat) {
      return this->net.service().now().count_us();
    } else {
      const auto since = std::chrono::steady_clock::now().time_since_epoch();
      return std::chrono::duration_cast<std::chrono::microseconds>(since).count();
    }
  }
};
TYPED_TEST_SUITE(PosixMaskedWaiting, Backends, BackendNames);

TYPED_TEST(PosixMaskedWaiting, WhatIsThereIsToldAtOnce) {
  auto& n = this->net;
  const int u = this->udp();
  const sockaddr_in own = v4(this->bind_any(u));
  EXPECT_EQ(n.sendto(u, "x", 1, 0, sa(own), length_of(own)), 1);
  EXPECT_EQ(this->wait_for(u, POLLIN), POLLIN);
  const timespec none{0, 0}, hour{3600, 0}, longest{INT64_MAX, 999'999'999};
  const std::int64_t begin = this->now_us();
  for (const Form f : kForms) {
    SCOPED_TRACE(name_of(f));
    EXPECT_EQ(this->wait(f, u, &none), 1);
    EXPECT_EQ(this->wait(f, u, &hour), 1);
    EXPECT_EQ(this->wait(f, u, nullptr), 1);
    if (f == Form::epoll_in_ms) continue;
    EXPECT_EQ(this->wait(f, u, &longest), 1);
  }
  EXPECT_LT(this->now_us() - begin, 60'000'000);
  this->close_all({u});
}

TYPED_TEST(PosixMaskedWaiting, TheTimePassesAndNothingComes) {
  const int u = this->udp();
  const timespec none{0, 0}, shortest{0, 1}, moment{0, 20'000'000};
  for (const Form f : kForms) {
    SCOPED_TRACE(name_of(f));
    EXPECT_EQ(this->wait(f, u, &none), 0);
    EXPECT_EQ(this->wait(f, u, &shortest), 0);
    const std::int64_t begin = this->now_us();
    EXPECT_EQ(this->wait(f, u, &moment), 0);
    EXPECT_GE(this->now_us() - begin, 20'000);
    EXPECT_LT(this->now_us() - begin, 10'000'000);
  }
  this->close_all({u});
}

// Told before all else that is wrong, and before what is ready.
TYPED_TEST(PosixMaskedWaiting, TimesThatCannotBe) {
  auto& n = this->net;
  const int u = this->udp();
  const sockaddr_in own = v4(this->bind_any(u));
  EXPECT_EQ(n.sendto(u, "x", 1, 0, sa(own), length_of(own)), 1);
  EXPECT_EQ(this->wait_for(u, POLLIN), POLLIN);
  for (const timespec bad : {timespec{0, 1'000'000'000}, timespec{0, -1}, timespec{-1, 0}}) {
    SCOPED_TRACE(testing::Message() << bad.tv_sec << " s " << bad.tv_nsec << " ns");
    for (const Form f : {Form::poll, Form::select, Form::epoll})
      EXPECT_EQ(this->wait(f, u, &bad), -EINVAL) << name_of(f);
    epoll_event e{};
    EXPECT_EQ(n.ppoll(nullptr, 1U, &bad, nullptr), -EINVAL);
    EXPECT_EQ(n.epoll_pwait2(1 << 19, &e, 1, &bad, nullptr), -EINVAL);
  }
  this->close_all({u});
}

TYPED_TEST(PosixMaskedWaiting, WhatElseIsWrong) {
  auto& n = this->net;
  const timespec none{0, 0};
  const int u = this->udp();
  const int set = n.epoll_create(7);
  epoll_event e{};
  EXPECT_EQ(n.epoll_create(0), -EINVAL);
  EXPECT_EQ(n.epoll_create(-1), -EINVAL);
  EXPECT_EQ(n.ppoll(nullptr, 1U, &none, nullptr), -EFAULT);
  EXPECT_EQ(n.ppoll(nullptr, 0U, &none, nullptr), 0);
  EXPECT_EQ(n.pselect(-1, nullptr, nullptr, nullptr, &none, nullptr), -EINVAL);
  EXPECT_EQ(n.pselect(0, nullptr, nullptr, nullptr, &none, nullptr), 0);
  EXPECT_EQ(n.epoll_pwait2(1 << 19, &e, 1, &none, nullptr), -EBADF);
  EXPECT_EQ(n.epoll_pwait2(u, &e, 1, &none, nullptr), -EINVAL);
  for (const int most : {0, -1}) {
    EXPECT_EQ(n.epoll_pwait2(set, &e, most, &none, nullptr), -EINVAL);
    EXPECT_EQ(n.epoll_pwait(set, &e, most, 0, nullptr), -EINVAL);
  }
  this->close_all({u, set});
}

// The peer's segment is not heard (RFC 5082), and heard when it is sent again.
TYPED_TEST(PosixMaskedWaiting, WithoutATimeItWaitsForWhatComes) {
  auto& n = this->net;
  const auto p = this->connected();
  for (const Form f : kForms) {
    SCOPED_TRACE(name_of(f));
    EXPECT_EQ(this->set(p.server, IPPROTO_IP, IP_MINTTL, 255), 0);
    EXPECT_EQ(n.send(p.client, "x", 1, 0), 1);
    EXPECT_EQ(this->wait_for(p.server, POLLIN, 0), 0);
    EXPECT_EQ(this->set(p.server, IPPROTO_IP, IP_MINTTL, 0), 0);
    EXPECT_EQ(this->wait(f, p.server, nullptr), 1);
    char b = 0;
    EXPECT_EQ(n.recv(p.server, &b, 1, 0), 1);
  }
  this->close_all({p.client, p.server, p.listener});
}

// Counts SIGUSR1, which is held back while this lives.
class HeldBack {
 public:
  HeldBack() {
    came() = 0;
    struct sigaction action {};
    action.sa_handler = [](int) { came() = came() + 1; };
    ::sigaction(SIGUSR1, &action, &action_before_);
    const sigset_t one = only(SIGUSR1);
    ::pthread_sigmask(SIG_BLOCK, &one, &mask_before_);
  }
  ~HeldBack() {
    std::signal(SIGUSR1, SIG_IGN);  // what is still there is forgotten
    ::pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
    ::sigaction(SIGUSR1, &action_before_, nullptr);
  }
  HeldBack(const HeldBack&) = delete;
  HeldBack& operator=(const HeldBack&) = delete;
  static volatile std::sig_atomic_t& came() {
    static volatile std::sig_atomic_t count = 0;
    return count;
  }

 private:
  sigset_t mask_before_{};
  struct sigaction action_before_ {};
};

// What a program relies on that looks at a flag of its handler's, and then waits with the signal let through.
TYPED_TEST(PosixMaskedWaiting, ASignalThatWasHeldBackEndsTheWait) {
  const HeldBack held;
  const int u = this->udp();
  const sigset_t none = only(0);
  const timespec minute{60, 0};
  int expected = 0;
  for (const Form f : kForms) {
    SCOPED_TRACE(name_of(f));
    for (const timespec* const timeout : {&minute, static_cast<const timespec*>(nullptr)}) {
      ::raise(SIGUSR1);
      EXPECT_EQ(HeldBack::came(), expected);
      EXPECT_EQ(this->wait(f, u, timeout, &none), -EINTR);
      EXPECT_EQ(HeldBack::came(), ++expected);
      ::raise(SIGUSR1);  // held back as before
      EXPECT_EQ(HeldBack::came(), expected);
      EXPECT_EQ(this->wait(f, u, timeout, &none), -EINTR);
      EXPECT_EQ(HeldBack::came(), ++expected);
    }
  }
  this->close_all({u});
}

TYPED_TEST(PosixMaskedWaiting, WhatIsReadyComesBeforeASignal) {
  const HeldBack held;
  const int u = this->udp();
  const sockaddr_in own = v4(this->bind_any(u));
  EXPECT_EQ(this->net.sendto(u, "x", 1, 0, sa(own), length_of(own)), 1);
  EXPECT_EQ(this->wait_for(u, POLLIN), POLLIN);
  ::raise(SIGUSR1);
  const sigset_t none = only(0);
  const timespec minute{60, 0};
  for (const Form f : kForms) EXPECT_EQ(this->wait(f, u, &minute, &none), 1) << name_of(f);
  EXPECT_EQ(HeldBack::came(), 0);
  this->close_all({u});
}

// Who only looks is told of a signal by ppoll() and pselect(), not by a set.
TYPED_TEST(PosixMaskedWaiting, ALookAndASignal) {
  const HeldBack held;
  const int u = this->udp();
  const sigset_t none = only(0);
  const timespec now{0, 0};
  ::raise(SIGUSR1);
  for (const Form f : {Form::epoll, Form::epoll_in_ms}) EXPECT_EQ(this->wait(f, u, &now, &none), 0) << name_of(f);
  EXPECT_EQ(HeldBack::came(), 0);
  EXPECT_EQ(this->wait(Form::poll, u, &now, &none), -EINTR);
  ::raise(SIGUSR1);
  EXPECT_EQ(this->wait(Form::select, u, &now, &none), -EINTR);
  EXPECT_EQ(HeldBack::came(), 2);
  this->close_all({u});
}

// One that the mask holds back too, and one that does nothing; of a set it ends the wait (Linux).
TYPED_TEST(PosixMaskedWaiting, ASignalThatDoesNotEndTheWait) {
  const HeldBack held;
  const int u = this->udp();
  const sigset_t same = only(SIGUSR1), none = only(0);
  const timespec moment{0, 5'000'000};
  ::raise(SIGUSR1);
  for (const Form f : kForms) EXPECT_EQ(this->wait(f, u, &moment, &same), 0) << name_of(f);
  EXPECT_EQ(HeldBack::came(), 0);
  for (const Form f : kForms) {
    std::signal(SIGUSR1, SIG_IGN);
    ::raise(SIGUSR1);
    const bool of_a_set = f == Form::epoll || f == Form::epoll_in_ms;
    EXPECT_EQ(this->wait(f, u, &moment, &none), of_a_set ? -EINTR : 0) << name_of(f);
  }
  this->close_all({u});
}

}  // namespace
}  // namespace leat::test
