// The POSIX form on a shared stack, with real threads: blocking calls, calls that others end, mixed waits, fork, and
// what happens when descriptors, or the stack, are gone. Everything goes over the stack's own loopback addresses.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <leat/api/posix/calls.hpp>
#include <leat/runtime/shared_stack.hpp>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "tests/posix/sockaddr.hpp"

namespace leat::test {
namespace {

// Waits until the kernel says that this many of the process' other threads sleep where the stack's callers do: in
// epoll_wait. The janitor is one of them.
void until_asleep(int threads) {
  const pid_t self = ::gettid();
  for (int asleep = 0; asleep < threads; std::this_thread::yield()) {
    asleep = 0;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      if (task.path().filename() == std::to_string(self)) continue;
      std::ifstream file(task.path() / "syscall");
      long number = -1;
      // Where the kernel does not tell, it is taken for granted.
      if (!file.is_open() || (file >> number && (number == SYS_epoll_wait || number == SYS_epoll_pwait))) ++asleep;
    }
  }
}
// The same of one thread.
void until_asleep_in(pid_t thread) {
  for (long number = -1; number != SYS_epoll_wait && number != SYS_epoll_pwait; std::this_thread::yield()) {
    std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/syscall");
    if (!file.is_open()) return;
    if (!(file >> number)) number = -1;
  }
}

class PosixThreads : public testing::Test {
 protected:
  PosixThreads() { std::signal(SIGPIPE, SIG_IGN); }
  std::uint16_t port_of(int fd) {
    sockaddr_in a{};
    socklen_t n = length_of(a);
    EXPECT_EQ(net.getsockname(fd, sa(a), &n), 0);
    return ntohs(a.sin_port);
  }
  int listener(std::uint16_t& port) {
    const int fd = net.socket(AF_INET, SOCK_STREAM, 0);
    const sockaddr_in a = v4(0);
    EXPECT_EQ(net.bind(fd, sa(a), length_of(a)), 0);
    EXPECT_EQ(net.listen(fd, 64), 0);
    port = port_of(fd);
    return fd;
  }
  int connect_to(std::uint16_t port) {
    const int fd = net.socket(AF_INET, SOCK_STREAM, 0);
    const sockaddr_in a = v4(port);
    EXPECT_EQ(net.connect(fd, sa(a), length_of(a)), 0);
    return fd;
  }
  // Runs `call` in a thread and waits until it has begun to.
  template <class F>
  std::thread begin(F call) {
    std::atomic<bool> begun{false};
    std::thread t([&begun, call] {
      begun.store(true, std::memory_order_release);
      begun.notify_one();
      call();
    });
    begun.wait(false, std::memory_order_acquire);
    return t;
  }

  std::shared_ptr<SharedStack> stack =
      SharedStack::make({.limits = hosted_limits(1024), .packet_memory = std::size_t{32} << 20}).value();
  posix::Sockets net{stack};
};

TEST_F(PosixThreads, BlockingEchoOfManyThreads) {
  std::uint16_t port = 0;
  const int l = listener(port);
  constexpr int kClients = 4;
  std::vector<std::thread> threads;
  for (int i = 0; i < kClients; ++i) {
    threads.emplace_back([&] {
      const int s = net.accept(l, nullptr, nullptr);
      ASSERT_GE(s, 0);
      std::array<char, 4096> b;
      for (;;) {
        const ssize_t n = net.recv(s, b.data(), b.size(), 0);
        if (n <= 0) break;
        ASSERT_EQ(net.send(s, b.data(), static_cast<std::size_t>(n), 0), n);
      }
      ASSERT_EQ(net.close(s), 0);
    });
    threads.emplace_back([&, i] {
      const int c = connect_to(port);
      std::string request(static_cast<std::size_t>(100 + i * 900), static_cast<char>('a' + i));
      std::string reply(request.size(), '-');
      for (int round = 0; round < 100; ++round) {
        ASSERT_EQ(net.send(c, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
        ASSERT_EQ(net.recv(c, reply.data(), reply.size(), MSG_WAITALL), static_cast<ssize_t>(reply.size()));
        ASSERT_EQ(reply, request);
      }
      ASSERT_EQ(net.close(c), 0);
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(net.close(l), 0);
}

// One thread serves all by epoll, others come and go.
TEST_F(PosixThreads, EpollServer) {
  std::uint16_t port = 0;
  const int l = listener(port);
  const int stop = ::eventfd(0, EFD_CLOEXEC);
  ASSERT_EQ(net.fcntl(l, F_SETFL, O_NONBLOCK), 0);
  std::thread server([&] {
    const int set = net.epoll_create1(0);
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.fd = l;
    ASSERT_EQ(net.epoll_ctl(set, EPOLL_CTL_ADD, l, &e), 0);
    e.data.fd = stop;
    ASSERT_EQ(net.epoll_ctl(set, EPOLL_CTL_ADD, stop, &e), 0);
    std::array<epoll_event, 16> events;
    for (bool go = true; go;) {
      const int n = net.epoll_wait(set, events.data(), 16, -1);
      if (n == -EINTR) continue;
      ASSERT_GT(n, 0);
      for (int i = 0; i < n; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        if (fd == stop) {
          go = false;
        } else if (fd == l) {
          for (int s = 0; (s = net.accept4(l, nullptr, nullptr, SOCK_NONBLOCK)) >= 0;) {
            e.events = EPOLLIN | EPOLLET;
            e.data.fd = s;
            ASSERT_EQ(net.epoll_ctl(set, EPOLL_CTL_ADD, s, &e), 0);
          }
        } else {
          std::array<char, 256> b;
          ssize_t got = 0;
          while ((got = net.recv(fd, b.data(), b.size(), 0)) > 0) {
            ASSERT_EQ(net.send(fd, b.data(), static_cast<std::size_t>(got), 0), got);
          }
          if (got == 0) {
            ASSERT_EQ(net.close(fd), 0);
          }
        }
      }
    }
    ASSERT_EQ(net.close(set), 0);
  });
  std::vector<std::thread> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back([&] {
      for (int k = 0; k < 10; ++k) {
        const int c = connect_to(port);
        for (int round = 0; round < 10; ++round) {
          char b = 'x';
          ASSERT_EQ(net.send(c, &b, 1, 0), 1);
          ASSERT_EQ(net.recv(c, &b, 1, 0), 1);
        }
        ASSERT_EQ(net.close(c), 0);
      }
    });
  }
  for (auto& t : clients) t.join();
  const std::uint64_t one = 1;
  ASSERT_EQ(::write(stop, &one, sizeof one), 8);
  server.join();
  ::close(stop);
  EXPECT_EQ(net.close(l), 0);
}

TEST_F(PosixThreads, CloseEndsBlockedCalls) {
  std::uint16_t port = 0;
  const int l = listener(port);
  const int c = connect_to(port);
  const int s = net.accept(l, nullptr, nullptr);
  const int u = net.socket(AF_INET, SOCK_DGRAM, 0);
  const int set = net.epoll_create1(0);
  std::atomic<int> results[4] = {0, 0, 0, 0};
  std::vector<std::thread> threads;
  threads.push_back(begin([&] {
    char b;
    results[0] = static_cast<int>(net.recv(s, &b, 1, 0));
  }));
  threads.push_back(begin([&] { results[1] = net.accept(l, nullptr, nullptr); }));
  threads.push_back(begin([&] {
    char b;
    results[2] = static_cast<int>(net.recv(u, &b, 1, 0));
  }));
  threads.push_back(begin([&] {
    epoll_event e;
    results[3] = net.epoll_wait(set, &e, 1, -1);
  }));
  until_asleep(5);  // the four, and the janitor
  for (const int fd : {s, l, u, set}) EXPECT_EQ(net.close(fd), 0);
  for (auto& t : threads) t.join();
  for (const auto& r : results) EXPECT_EQ(r, -EBADF);
  EXPECT_EQ(net.close(c), 0);
}

TEST_F(PosixThreads, CloseEndsABlockedSendAndConnect) {
  std::uint16_t port = 0;
  const int l = listener(port);
  const int c = connect_to(port);
  const int s = net.accept(l, nullptr, nullptr);
  const std::vector<char> much(std::size_t{1} << 20, 'x');
  const auto send_some = [&](int flags) { return net.send(c, much.data(), much.size(), flags); };
  // Until there has been no room for a while: what is under way has arrived.
  for (int full = 0; full < 100;) full = send_some(MSG_DONTWAIT) > 0 ? 0 : full + 1;

  // A listener whose queue is full answers no SYN.
  const int busy = net.socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in any = v4(0);
  ASSERT_EQ(net.bind(busy, sa(any), length_of(any)), 0);
  ASSERT_EQ(net.listen(busy, 1), 0);
  const sockaddr_in to = v4(port_of(busy));
  const int first = connect_to(port_of(busy)), second = connect_to(port_of(busy));
  const int late = net.socket(AF_INET, SOCK_STREAM, 0);

  ssize_t sent = 0;
  int connected = 0;
  std::thread sender = begin([&] { sent = send_some(0); });
  std::thread connecter = begin([&] { connected = net.connect(late, sa(to), length_of(to)); });
  until_asleep(3);
  for (const int fd : {c, late}) EXPECT_EQ(net.close(fd), 0);
  sender.join();
  connecter.join();
  EXPECT_EQ(sent, -EBADF);
  EXPECT_EQ(connected, -EBADF);
  for (const int fd : {l, s, busy, first, second}) EXPECT_EQ(net.close(fd), 0);
}

// Who waits for several descriptors is told which of them it was.
TEST_F(PosixThreads, CloseEndsPollAndSelect) {
  const int u = net.socket(AF_INET, SOCK_DGRAM, 0);
  const int other = net.socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in any = v4(0);
  for (const int fd : {u, other}) ASSERT_EQ(net.bind(fd, sa(any), length_of(any)), 0);
  pollfd fds[2] = {{u, POLLIN, 0}, {other, POLLIN, 0}};
  fd_set readable;
  FD_ZERO(&readable);
  FD_SET(u, &readable);
  FD_SET(other, &readable);
  int polled = 0, selected = 0;
  std::thread polls = begin([&] { polled = net.poll(fds, 2, -1); });
  std::thread selects =
      begin([&] { selected = net.select(std::max(u, other) + 1, &readable, nullptr, nullptr, nullptr); });
  until_asleep(3);
  EXPECT_EQ(net.close(u), 0);
  polls.join();
  selects.join();
  EXPECT_EQ(polled, 1);
  EXPECT_EQ(fds[0].revents, POLLIN | POLLERR | POLLHUP);
  EXPECT_EQ(fds[1].revents, 0);
  EXPECT_EQ(selected, 1);
  EXPECT_TRUE(FD_ISSET(u, &readable));
  EXPECT_FALSE(FD_ISSET(other, &readable));
  fds[0].revents = 0;
  EXPECT_EQ(net.poll(fds, 1, 0), 1);
  EXPECT_EQ(fds[0].revents, POLLNVAL) << "it is no descriptor any more";
  EXPECT_EQ(net.close(other), 0);
}

TEST_F(PosixThreads, ShutdownWakesAcceptAndReceive) {
  std::uint16_t port = 0;
  const int l = listener(port);
  const int c = connect_to(port);
  const int s = net.accept(l, nullptr, nullptr);
  std::atomic<int> accepted{0}, received{-1};
  std::thread a = begin([&] { accepted = net.accept(l, nullptr, nullptr); });
  std::thread r = begin([&] {
    char b;
    received = static_cast<int>(net.recv(s, &b, 1, 0));
  });
  until_asleep(3);
  EXPECT_EQ(net.shutdown(l, SHUT_RDWR), 0);
  EXPECT_EQ(net.shutdown(s, SHUT_RD), 0);
  a.join();
  r.join();
  EXPECT_EQ(accepted, -EINVAL);
  EXPECT_EQ(received, 0);
  for (const int fd : {l, c, s}) EXPECT_EQ(net.close(fd), 0);
}

TEST_F(PosixThreads, PollWaitsForBothKinds) {
  const int event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  const int u = net.socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in any = v4(0);
  ASSERT_EQ(net.bind(u, sa(any), length_of(any)), 0);
  const sockaddr_in to = v4(port_of(u));
  for (int round = 0; round < 20; ++round) {
    std::thread t = begin([&] {
      if (round % 2 == 0) {
        const std::uint64_t one = 1;
        ASSERT_EQ(::write(event, &one, sizeof one), 8);
      } else {
        const int other = net.socket(AF_INET, SOCK_DGRAM, 0);
        ASSERT_EQ(net.sendto(other, "x", 1, 0, sa(to), length_of(to)), 1);
        ASSERT_EQ(net.close(other), 0);
      }
    });
    pollfd fds[2] = {{u, POLLIN, 0}, {event, POLLIN, 0}};
    ASSERT_EQ(net.poll(fds, 2, 30'000), 1);
    t.join();
    EXPECT_EQ(fds[round % 2 == 0 ? 1 : 0].revents, POLLIN);
    std::uint64_t drained = 0;
    char b;
    if (round % 2 == 0) {
      ASSERT_EQ(::read(event, &drained, sizeof drained), 8);
    } else {
      ASSERT_EQ(net.recv(u, &b, 1, 0), 1);
    }
  }
  ::close(event);
  EXPECT_EQ(net.close(u), 0);
}

// A descriptor of the kernel's may stand in the array once for each way.
TEST_F(PosixThreads, PollOfADescriptorThatStandsTwice) {
  int ends[2];  // NOLINT(modernize-avoid-c-arrays)
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  const int u = net.socket(AF_INET, SOCK_DGRAM, 0);
  pollfd fds[3] = {{ends[0], 0, 0}, {ends[0], POLLIN, 0}, {u, POLLIN, 0}};  // NOLINT(modernize-avoid-c-arrays)
  const pid_t self = ::gettid();
  std::thread writer([&] {
    until_asleep_in(self);
    EXPECT_EQ(::write(ends[1], "x", 1), 1);
  });
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(net.poll(fds, 3, 20'000), 1);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20)) << "the last look found it";
  EXPECT_EQ(fds[1].revents, POLLIN);
  writer.join();
  for (const int fd : ends) ::close(fd);
  EXPECT_EQ(net.close(u), 0);
}

// The description of a connect() that was waited for in vain is another socket's by the time that the caller wakes.
TEST_F(PosixThreads, AnEndedConnectLeavesTheNextSocketAlone) {
  const int full = net.socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in any = v4(0);
  ASSERT_EQ(net.bind(full, sa(any), length_of(any)), 0);
  ASSERT_EQ(net.listen(full, 0), 0);
  const std::uint16_t port = port_of(full);
  const int first = connect_to(port);
  for (int round = 0; round < 20; ++round) {
    const int waiting = net.socket(AF_INET, SOCK_STREAM, 0);
    std::atomic<int> result{0};
    std::atomic<pid_t> thread{0};
    std::thread t([&] {
      thread.store(::gettid());
      const sockaddr_in a = v4(port);
      result = net.connect(waiting, sa(a), length_of(a));
    });
    while (thread.load() == 0) std::this_thread::yield();
    until_asleep_in(thread.load());
    EXPECT_EQ(net.close(waiting), 0);
    std::uint16_t own = 0;
    const int l = listener(own);
    t.join();
    EXPECT_EQ(result, -EBADF);
    const int c = connect_to(own);
    const int s = net.accept(l, nullptr, nullptr);
    EXPECT_GE(s, 0);
    for (const int fd : {l, c, s}) EXPECT_EQ(net.close(fd), 0);
  }
  for (const int fd : {full, first}) EXPECT_EQ(net.close(fd), 0);
}

// A new set gets the number of one that was closed: its kernel part must be watched all the same.
TEST_F(PosixThreads, SetOfTheSameNumberAsOneThatIsGone) {
  const int event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  int first = -1;
  for (int round = 0; round < 4; ++round) {
    const int set = net.epoll_create1(0);
    if (round == 0) first = set;
    EXPECT_EQ(set, first);
    epoll_event e{};
    e.events = EPOLLIN;
    ASSERT_EQ(net.epoll_ctl(set, EPOLL_CTL_ADD, event, &e), 0);
    EXPECT_EQ(net.epoll_wait(set, &e, 1, 2), 0);  // it sleeps on both parts
    std::thread t = begin([event, waiter = ::gettid()] {
      until_asleep_in(waiter);
      const std::uint64_t one = 1;
      ASSERT_EQ(::write(event, &one, sizeof one), 8);
    });
    EXPECT_EQ(net.epoll_wait(set, &e, 1, 30'000), 1);
    t.join();
    std::uint64_t drained = 0;
    ASSERT_EQ(::read(event, &drained, sizeof drained), 8);
    ASSERT_EQ(net.close(set), 0);
  }
  ::close(event);
}

// The kernel's own epoll sees Leat's readiness through the set's descriptor.
TEST_F(PosixThreads, ExportedSetInAKernelEpoll) {
  const int u = net.socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in any = v4(0);
  ASSERT_EQ(net.bind(u, sa(any), length_of(any)), 0);
  const sockaddr_in to = v4(port_of(u));
  const int set = net.epoll_create1(0);
  epoll_event e{};
  e.events = EPOLLIN;
  e.data.u64 = 9;
  ASSERT_EQ(net.epoll_ctl(set, EPOLL_CTL_ADD, u, &e), 0);
  ASSERT_EQ(net.export_readiness(set), 0);
  pollfd f{set, POLLIN, 0};
  EXPECT_EQ(::poll(&f, 1, 0), 0);
  for (int round = 0; round < 5; ++round) {
    std::thread t = begin([&] {
      const int other = net.socket(AF_INET, SOCK_DGRAM, 0);
      ASSERT_EQ(net.sendto(other, "x", 1, 0, sa(to), length_of(to)), 1);
      ASSERT_EQ(net.close(other), 0);
    });
    ASSERT_EQ(::poll(&f, 1, 30'000), 1);  // the kernel's own call
    t.join();
    ASSERT_EQ(net.epoll_wait(set, &e, 1, 0), 1);
    EXPECT_EQ(e.data.u64, 9U);
    char b;
    ASSERT_EQ(net.recv(u, &b, 1, 0), 1);
    ASSERT_EQ(net.epoll_wait(set, &e, 1, 0), 0);
    EXPECT_EQ(::poll(&f, 1, 0), 0);
  }
  EXPECT_EQ(net.close(set), 0);
  EXPECT_EQ(net.close(u), 0);
}

TEST_F(PosixThreads, DescriptorsComeAndGoWhileOthersLookThemUp) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!stop.load(std::memory_order_relaxed)) {
        const int u = net.socket(AF_INET, SOCK_DGRAM, 0);
        ASSERT_GE(u, 0);
        const int d = net.dup(u);
        ASSERT_GE(d, 0);
        ASSERT_EQ(net.close(u), 0);
        ASSERT_EQ(net.close(d), 0);
      }
    });
  }
  threads.emplace_back([&] {
    for (int i = 0; i < 20'000; ++i) {
      const int fd = 3 + i % 40;
      char b;
      const ssize_t r = net.recv(fd, &b, 1, MSG_DONTWAIT);
      ASSERT_TRUE(r == -EAGAIN || r == -EBADF || r == -ENOTSOCK || r == -EINVAL) << r;
    }
    stop = true;
  });
  for (auto& t : threads) t.join();
}

TEST_F(PosixThreads, ManyDescriptorsThenEmfile) {
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  const rlimit few{200, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  std::uint16_t port = 0;
  const int l = listener(port);
  const int c = connect_to(port);
  std::vector<int> all;
  int fd = 0;
  while ((fd = net.socket(AF_INET, SOCK_DGRAM, 0)) >= 0) all.push_back(fd);
  EXPECT_EQ(fd, -EMFILE);
  EXPECT_GT(all.size(), 100U);
  EXPECT_EQ(net.dup(c), -EMFILE);
  EXPECT_EQ(net.epoll_create1(0), -EMFILE);
  EXPECT_EQ(net.accept(l, nullptr, nullptr), -EMFILE);  // and nothing is lost by that
  EXPECT_EQ(net.close(all.back()), 0);
  all.pop_back();
  const int s = net.accept(l, nullptr, nullptr);  // all else goes on
  EXPECT_GE(s, 0);
  EXPECT_EQ(net.send(c, "x", 1, 0), 1);
  char b;
  EXPECT_EQ(net.recv(s, &b, 1, 0), 1);
  for (const int x : all) EXPECT_EQ(net.close(x), 0);
  for (const int x : {l, c, s}) EXPECT_EQ(net.close(x), 0);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &old), 0);
}

TEST_F(PosixThreads, SignalEndsAWait) {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  ASSERT_EQ(::sigaction(SIGUSR1, &action, nullptr), 0);
  const int u = net.socket(AF_INET, SOCK_DGRAM, 0);
  std::atomic<bool> over{false};
  std::atomic<int> result{0};
  std::thread t = begin([&] {
    char b;
    result = static_cast<int>(net.recv(u, &b, 1, 0));
    over = true;
  });
  while (!over) {  // until it has come while the call slept
    ::pthread_kill(t.native_handle(), SIGUSR1);
    std::this_thread::yield();
  }
  t.join();
  EXPECT_EQ(result, -EINTR);
  EXPECT_EQ(net.close(u), 0);
}

// signal(7): what waits for a socket goes on after a handler that was installed with SA_RESTART, unless it has a
// time-out; what waits for several never does.
TEST_F(PosixThreads, SignalDoesNotEndAWaitThatRestarts) {
  static std::atomic<int> came = 0;
  constexpr int kUntilOver = std::numeric_limits<int>::max();
  came = 0;
  struct sigaction action {
  }, before{};
  action.sa_handler = [](int) { ++came; };
  action.sa_flags = SA_RESTART;
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  std::uint16_t port = 0;
  const int l = listener(port);
  const int u = net.socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in any = v4(0);
  ASSERT_EQ(net.bind(u, sa(any), length_of(any)), 0);
  const auto interrupted = [&](int rounds, auto call, auto end) {
    std::atomic<pid_t> id{0};
    std::atomic<bool> over{false};
    ssize_t result = 0;
    std::thread t([&] {
      id = ::gettid();
      result = call();
      over = true;
    });
    while (id == 0) std::this_thread::yield();
    for (int round = 0; round < rounds && !over; ++round) {
      until_asleep_in(id);
      const int seen = came;
      ::pthread_kill(t.native_handle(), SIGUSR1);
      while (came == seen && !over) std::this_thread::yield();
    }
    end();
    t.join();
    return result;
  };
  char b = 0;
  EXPECT_EQ(interrupted(
                3, [&] { return net.recv(u, &b, 1, 0); },
                [&] {
                  const int from = net.socket(AF_INET, SOCK_DGRAM, 0);
                  const sockaddr_in to = v4(port_of(u));
                  EXPECT_EQ(net.sendto(from, "x", 1, 0, sa(to), length_of(to)), 1);
                  EXPECT_EQ(net.close(from), 0);
                }),
            1);
  int c = -1;
  const ssize_t s = interrupted(
      3, [&] { return net.accept(l, nullptr, nullptr); }, [&] { c = connect_to(port); });
  EXPECT_GE(s, 0);
  const timeval minute{60, 0};
  ASSERT_EQ(net.setsockopt(u, SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof minute), 0);
  EXPECT_EQ(interrupted(
                kUntilOver, [&] { return net.recv(u, &b, 1, 0); }, [] {}),
            -EINTR);
  pollfd p{u, POLLIN, 0};
  EXPECT_EQ(interrupted(
                kUntilOver, [&] { return net.poll(&p, 1, -1); }, [] {}),
            -EINTR);
  for (const int fd : {l, u, c, static_cast<int>(s)}) EXPECT_EQ(net.close(fd), 0);
  ASSERT_EQ(::sigaction(SIGUSR1, &before, nullptr), 0);
}

// A signal that the thread holds back comes while it waits with another mask, and ends that wait; never before or
// after.
TEST_F(PosixThreads, SignalEndsAMaskedWait) {
  static std::atomic<int> came = 0;
  came = 0;
  struct sigaction action {
  }, before{};
  action.sa_handler = [](int) { ++came; };
  action.sa_flags = SA_RESTART;  // such waits end all the same
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  const int u = net.socket(AF_INET, SOCK_DGRAM, 0);
  const int set = net.epoll_create1(0);
  epoll_event e{};
  e.events = EPOLLIN;
  ASSERT_EQ(net.epoll_ctl(set, EPOLL_CTL_ADD, u, &e), 0);
  sigset_t none, held;
  sigemptyset(&none);
  sigemptyset(&held);
  sigaddset(&held, SIGUSR1);
  const timespec minute{60, 0};
  const auto expect_interrupted = [&](const char* name, auto call) {
    SCOPED_TRACE(name);
    const int first = came;
    std::atomic<pid_t> id{0};
    std::atomic<bool> again{false}, over{false};
    int result = 0;
    std::thread t([&] {
      ::pthread_sigmask(SIG_BLOCK, &held, nullptr);
      ::raise(SIGUSR1);  // held back until the call
      EXPECT_EQ(came, first);
      EXPECT_EQ(call(), -EINTR);
      EXPECT_EQ(came, first + 1);
      id = ::gettid();
      result = call();
      over = true;
      over.notify_one();
      again.wait(false);
      EXPECT_EQ(came, first + 2);
    });
    while (id == 0) std::this_thread::yield();
    until_asleep_in(id);
    ::pthread_kill(t.native_handle(), SIGUSR1);
    over.wait(false);
    EXPECT_EQ(came, first + 2);
    ::pthread_kill(t.native_handle(), SIGUSR1);
    again = true;
    again.notify_one();
    t.join();
    EXPECT_EQ(result, -EINTR);
    EXPECT_EQ(came, first + 2);
  };
  pollfd p{u, POLLIN, 0};
  expect_interrupted("ppoll", [&] { return net.ppoll(&p, 1, &minute, &none); });
  expect_interrupted("pselect", [&] {
    fd_set one;
    FD_ZERO(&one);
    FD_SET(u, &one);
    return net.pselect(u + 1, &one, nullptr, nullptr, &minute, &none);
  });
  expect_interrupted("epoll_pwait", [&] { return net.epoll_pwait(set, &e, 1, 60'000, &none); });
  expect_interrupted("epoll_pwait2", [&] { return net.epoll_pwait2(set, &e, 1, &minute, &none); });
  for (const int fd : {u, set}) EXPECT_EQ(net.close(fd), 0);
  ASSERT_EQ(::sigaction(SIGUSR1, &before, nullptr), 0);
}

TEST_F(PosixThreads, SetLearnsOfItsFirstKernelDescriptorWhileItIsWaitedFor) {
  const int set = net.epoll_create1(0);
  const int u = net.socket(AF_INET, SOCK_DGRAM, 0);
  epoll_event e{};
  e.events = EPOLLIN;
  ASSERT_EQ(net.epoll_ctl(set, EPOLL_CTL_ADD, u, &e), 0);
  std::atomic<pid_t> id{0};
  epoll_event got{};
  int n = 0;
  std::thread t([&] {
    id = ::gettid();
    n = net.epoll_wait(set, &got, 1, -1);
  });
  while (id == 0) std::this_thread::yield();
  until_asleep_in(id);
  const int bell = ::eventfd(1, EFD_CLOEXEC);
  e.data.u64 = 77;
  ASSERT_EQ(net.epoll_ctl(set, EPOLL_CTL_ADD, bell, &e), 0);
  t.join();
  EXPECT_EQ(n, 1);
  EXPECT_EQ(got.data.u64, 77U);
  ::close(bell);
  for (const int fd : {set, u}) EXPECT_EQ(net.close(fd), 0);
}

// The number that epoll_create1() gave may be closed, and another file's, while a duplicate goes on.
TEST_F(PosixThreads, SetLivesOnInItsDuplicate) {
  const int first = net.epoll_create1(0);
  const int set = net.dup(first);
  ASSERT_EQ(net.close(first), 0);
  const int bell = ::eventfd(1, EFD_CLOEXEC);  // gets the number
  epoll_event e{};
  e.events = EPOLLIN;
  e.data.u64 = 7;
  ASSERT_EQ(net.epoll_ctl(set, EPOLL_CTL_ADD, bell, &e), 0);
  epoll_event got{};
  EXPECT_EQ(net.epoll_wait(set, &got, 1, 5000), 1);
  EXPECT_EQ(got.data.u64, 7U);
  ::close(bell);
  EXPECT_EQ(net.close(set), 0);
}

// Several threads wait for one kernel descriptor: whoever comes too late for what it had goes on waiting. No signal
// came.
TEST_F(PosixThreads, WhoIsLateForAKernelDescriptorGoesOnWaiting) {
  const int u = net.socket(AF_INET, SOCK_DGRAM, 0);
  const int set = net.epoll_create1(0);
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  epoll_event e{};
  e.events = EPOLLIN;
  ASSERT_EQ(net.epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &e), 0);
  const auto by_set = [&] {
    epoll_event got{};
    return net.epoll_wait(set, &got, 1, -1);
  };
  const auto by_poll = [&] {
    pollfd both[2] = {{u, POLLIN, 0}, {ends[0], POLLIN, 0}};
    return net.poll(both, 2, -1);
  };
  constexpr int kRounds = 300;
  const auto share = [&](auto wait) {
    std::atomic<int> taken{0}, wrong{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        while (taken < kRounds && wrong == 0) {
          const int n = wait();
          if (n != 1) wrong = n;
          char octet = 0;
          if (::read(ends[0], &octet, 1) == 1) ++taken;
        }
        (void)!::write(ends[1], "x", 1);  // the next one ends, too
      });
    }
    for (int round = 0; round < kRounds && wrong == 0; ++round) {
      EXPECT_EQ(::write(ends[1], "x", 1), 1);
      while (taken <= round && wrong == 0) std::this_thread::yield();
    }
    for (std::thread& t : threads) t.join();
    for (char octet = 0; ::read(ends[0], &octet, 1) == 1;) {
    }
    return wrong.load();
  };
  EXPECT_EQ(share(by_set), 0);
  EXPECT_EQ(share(by_poll), 0);
  for (const int fd : ends) ::close(fd);
  for (const int fd : {set, u}) EXPECT_EQ(net.close(fd), 0);
}

// A child of a fork keeps the kernel's side of a wait alive: the thread that waited must not hear of it again.
TEST_F(PosixThreads, ForkDuringAMixedWaitLeavesNothingBehind) {
  const int u = net.socket(AF_INET, SOCK_DGRAM, 0);
  const timeval briefly{0, 200'000};
  ASSERT_EQ(net.setsockopt(u, SOL_SOCKET, SO_RCVTIMEO, &briefly, sizeof briefly), 0);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  std::atomic<pid_t> id{0};
  int polled = 0;
  ssize_t received = 0;
  std::thread t([&] {
    id = ::gettid();
    pollfd both[2] = {{u, POLLIN, 0}, {ends[0], POLLIN, 0}};
    polled = net.poll(both, 2, -1);
    char b = 0;
    received = net.recv(u, &b, 1, 0);
  });
  while (id == 0) std::this_thread::yield();
  until_asleep_in(id);
  const pid_t child = ::fork();
  if (child == 0) {
    for (;;) ::pause();
  }
  EXPECT_EQ(::write(ends[1], "x", 1), 1);
  t.join();
  EXPECT_EQ(polled, 1);
  EXPECT_EQ(received, -EAGAIN);
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  for (const int fd : ends) ::close(fd);
  EXPECT_EQ(net.close(u), 0);
}

// As poll() tells it: EPOLLERR until the error queue is read, also to somebody who waits already.
TEST_F(PosixThreads, ZeroCopyCompletionShowsInASet) {
  std::uint16_t port = 0;
  const int l = listener(port);
  const int c = connect_to(port);
  const int s = net.accept(l, nullptr, nullptr);
  const int on = 1;
  ASSERT_EQ(net.setsockopt(c, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on), 0);
  const int level = net.epoll_create1(0), edge = net.epoll_create1(0);
  epoll_event e{};
  e.data.u64 = 5;
  ASSERT_EQ(net.epoll_ctl(level, EPOLL_CTL_ADD, c, &e), 0);
  e.events = EPOLLET;
  ASSERT_EQ(net.epoll_ctl(edge, EPOLL_CTL_ADD, c, &e), 0);
  epoll_event got[4];
  EXPECT_EQ(net.epoll_wait(level, got, 4, 0), 0);
  std::atomic<pid_t> id{0};
  int n = 0;
  std::thread t([&] {
    id = ::gettid();
    n = net.epoll_wait(level, got, 4, -1);
  });
  while (id == 0) std::this_thread::yield();
  until_asleep_in(id);
  ASSERT_EQ(net.send(c, "x", 1, MSG_ZEROCOPY), 1);
  t.join();
  for (int look = 0; look < 2; ++look, n = net.epoll_wait(level, got, 4, 0)) {
    ASSERT_EQ(n, 1);
    EXPECT_EQ(got[0].events, std::uint32_t{EPOLLERR});
    EXPECT_EQ(got[0].data.u64, 5U);
  }
  EXPECT_EQ(net.epoll_wait(edge, got, 4, 0), 1);
  EXPECT_EQ(got[0].events, std::uint32_t{EPOLLERR});
  EXPECT_EQ(net.epoll_wait(edge, got, 4, 0), 0);
  std::array<char, 256> control;
  msghdr m{};
  m.msg_control = control.data();
  m.msg_controllen = control.size();
  EXPECT_EQ(net.recvmsg(c, &m, MSG_ERRQUEUE), 0);
  EXPECT_EQ(net.epoll_wait(level, got, 4, 0), 0);
  for (const int fd : {l, c, s, level, edge}) EXPECT_EQ(net.close(fd), 0);
}

TEST_F(PosixThreads, SigpipeUnlessAskedNotTo) {
  static volatile std::sig_atomic_t came = 0;
  came = 0;
  std::signal(SIGPIPE, [](int) { came = 1; });
  const int s = net.socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(net.send(s, "x", 1, MSG_NOSIGNAL), -EPIPE);
  EXPECT_EQ(came, 0);
  EXPECT_EQ(net.send(s, "x", 1, 0), -EPIPE);
  EXPECT_EQ(came, 1);
  EXPECT_EQ(net.close(s), 0);
}

TEST_F(PosixThreads, ForkedChildsCallsFail) {
  std::uint16_t port = 0;
  const int l = listener(port);
  const int c = connect_to(port);
  const int s = net.accept(l, nullptr, nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    char b = 'x';
    const bool fails = net.send(c, &b, 1, 0) == -EBADF && net.recv(s, &b, 1, MSG_DONTWAIT) == -EBADF &&
                       net.socket(AF_INET, SOCK_STREAM, 0) == -EBADF && net.dup(c) == -EBADF &&
                       net.shutdown(c, SHUT_RDWR) == -EBADF && net.accept(l, nullptr, nullptr) == -EBADF &&
                       net.epoll_create1(0) == -EBADF && net.close(c) == 0;
    ::_exit(fails ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  char b = 'y';  // the parent did not notice
  EXPECT_EQ(net.send(c, &b, 1, 0), 1);
  EXPECT_EQ(net.recv(s, &b, 1, 0), 1);
  EXPECT_EQ(b, 'y');
  EXPECT_EQ(net.recv(s, &b, 1, MSG_DONTWAIT), -EAGAIN);
  for (const int fd : {l, c, s}) EXPECT_EQ(net.close(fd), 0);
}

// What is not Leat's is the kernel's in a child, too: also under a number that was Leat's once.
TEST_F(PosixThreads, ForkedChildKeepsTheKernelsDescriptors) {
  auto other = std::make_unique<posix::Sockets>(stack);
  const int c = net.socket(AF_INET, SOCK_STREAM, 0);
  const int o = other->socket(AF_INET, SOCK_STREAM, 0);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    int step = 1;
    const auto check = [&](bool right) {
      if (!right) ::_exit(step);
      ++step;
    };
    pollfd kernels{ends[0], POLLIN, 0}, both[2] = {{ends[0], POLLIN, 0}, {c, POLLIN, 0}};
    check(net.poll(&kernels, 1, -1) == 1 && kernels.revents == POLLIN);
    check(net.poll(both + 1, 1, -1) == -EBADF);
    check(net.poll(both, 2, -1) == -EBADF);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    check(net.select(ends[0] + 1, &set, nullptr, nullptr, nullptr) == 1 && FD_ISSET(ends[0], &set));
    FD_SET(c, &set);
    check(net.select(std::max(c, ends[0]) + 1, &set, nullptr, nullptr, nullptr) == -EBADF);
    for (const int fd : {c, o}) {
      posix::Sockets& its = fd == c ? net : *other;
      check(its.close(fd) == 0);
      check(::dup2(ends[0], fd) == fd);
      check(!its.owns(fd) && its.close(fd) == -EBADF);
    }
    other.reset();
    check(::fcntl(o, F_GETFD) >= 0);
    ::_exit(0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0) << "the number of the step";
  for (const int fd : ends) ::close(fd);
  EXPECT_EQ(net.close(c), 0);
}

// A number that stands for another Sockets' socket is no descriptor here: whoever waited for it would wait for ever.
TEST_F(PosixThreads, DescriptorsOfAnotherAreNone) {
  posix::Sockets other(stack);
  const int u = net.socket(AF_INET, SOCK_DGRAM, 0);
  const int set = other.epoll_create1(0);
  char b = 0;
  EXPECT_EQ(other.recv(u, &b, 1, MSG_DONTWAIT), -EBADF);
  EXPECT_EQ(other.close(u), -EBADF);
  pollfd p{u, POLLIN, 0};
  EXPECT_EQ(other.poll(&p, 1, 1000), 1);
  EXPECT_EQ(p.revents, POLLNVAL);
  fd_set one;
  FD_ZERO(&one);
  FD_SET(u, &one);
  EXPECT_EQ(other.select(u + 1, &one, nullptr, nullptr, nullptr), -EBADF);
  epoll_event e{};
  EXPECT_EQ(other.epoll_ctl(set, EPOLL_CTL_ADD, u, &e), -EBADF);
  EXPECT_EQ(other.epoll_ctl(net.epoll_create1(0), EPOLL_CTL_ADD, u, &e), -EINVAL);
  EXPECT_EQ(net.close(u), 0);
  const int kernels = ::eventfd(1, EFD_CLOEXEC);  // under that number
  EXPECT_EQ(other.epoll_ctl(set, EPOLL_CTL_ADD, kernels, &e), 0);
  ::close(kernels);
}

TEST_F(PosixThreads, StackThatIsGone) {
  std::uint16_t port = 0;
  const int l = listener(port);
  const int u = net.socket(AF_INET, SOCK_DGRAM, 0);
  std::atomic<int> result{0};
  std::thread t = begin([&] { result = net.accept(l, nullptr, nullptr); });
  stack->stop();
  t.join();
  EXPECT_EQ(result, -ENETDOWN);
  char b = 0;
  EXPECT_EQ(net.recv(u, &b, 1, 0), -ENETDOWN);
  EXPECT_EQ(net.socket(AF_INET, SOCK_STREAM, 0), -ENETDOWN);
  EXPECT_EQ(net.listen(l, 1), -ENETDOWN);
  pollfd p{u, POLLIN, 0};
  EXPECT_EQ(net.poll(&p, 1, 1000), -ENETDOWN);
  EXPECT_EQ(net.close(l), -ENETDOWN);
  EXPECT_EQ(net.close(l), -EBADF);
  EXPECT_EQ(net.close(u), -ENETDOWN);
}

TEST_F(PosixThreads, FunctionsThatSetErrno) {
  posix::use(&net);
  const int s = posix::socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_TRUE(net.owns(s));
  char b = 0;
  errno = 0;
  EXPECT_EQ(posix::recv(s, &b, 1, 0), -1);
  EXPECT_EQ(errno, ENOTCONN);
  EXPECT_EQ(posix::close(s), 0);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  EXPECT_EQ(posix::write(ends[1], "x", 1), 1);  // the kernel's
  EXPECT_EQ(posix::read(ends[0], &b, 1), 1);
  EXPECT_EQ(posix::close(ends[0]), 0);
  EXPECT_EQ(posix::close(ends[1]), 0);
  posix::use(nullptr);
}

// Every function of calls.hpp on descriptors of the stack, which the kernel takes for eventfds.
TEST_F(PosixThreads, EveryFunctionThatSetsErrnoIsTheStacks) {
  EXPECT_EQ(posix::in_use(), nullptr);
  posix::use(&net);
  EXPECT_EQ(posix::in_use(), &net);
  const int l = posix::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in a = v4(0);
  socklen_t length = length_of(a);
  EXPECT_EQ(posix::bind(l, sa(a), length), 0);
  EXPECT_EQ(posix::listen(l, 4), 0);
  EXPECT_EQ(posix::getsockname(l, sa(a), &length), 0);
  const int c = posix::socket(AF_INET, SOCK_STREAM, 0), d = posix::socket(AF_INET, SOCK_STREAM, 0);
  for (const int fd : {c, d}) EXPECT_EQ(posix::connect(fd, sa(a), length), 0);
  const int s = posix::accept(l, nullptr, nullptr);
  const int t = posix::accept4(l, nullptr, nullptr, SOCK_NONBLOCK);
  EXPECT_TRUE(net.owns(s) && net.owns(t));
  EXPECT_NE(net.handle(s).bits(), Handle{}.bits());
  EXPECT_NE(net.handle(s).bits(), net.handle(t).bits());
  EXPECT_EQ(net.handle(-1).bits(), Handle{}.bits());
  EXPECT_EQ(posix::getpeername(c, sa(a), &length), 0);
  int number = 1;
  EXPECT_EQ(posix::setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &number, sizeof number), 0);
  socklen_t size = sizeof number;
  EXPECT_EQ(posix::getsockopt(c, IPPROTO_TCP, TCP_NODELAY, &number, &size), 0);
  EXPECT_EQ(posix::fcntl(t, F_GETFL) & O_NONBLOCK, O_NONBLOCK);

  // Data: an octet by each call.
  char octet = 'x';
  iovec part{&octet, 1};
  msghdr m{};
  m.msg_iov = &part;
  m.msg_iovlen = 1;
  mmsghdr many{m, 0};
  EXPECT_EQ(posix::send(c, &octet, 1, 0), 1);
  EXPECT_EQ(posix::sendto(c, &octet, 1, 0, nullptr, 0), 1);
  EXPECT_EQ(posix::sendmsg(c, &m, 0), 1);
  EXPECT_EQ(posix::sendmmsg(c, &many, 1, 0), 1);
  EXPECT_EQ(posix::write(c, &octet, 1), 1);
  EXPECT_EQ(posix::writev(c, &part, 1), 1);
  pollfd p{s, POLLIN, 0};
  EXPECT_EQ(posix::poll(&p, 1, 1000), 1);
  EXPECT_EQ(posix::recv(s, &octet, 1, 0), 1);
  EXPECT_EQ(posix::recvfrom(s, &octet, 1, 0, nullptr, nullptr), 1);
  EXPECT_EQ(posix::recvmsg(s, &m, 0), 1);
  EXPECT_EQ(posix::recvmmsg(s, &many, 1, 0, nullptr), 1);
  EXPECT_EQ(posix::read(s, &octet, 1), 1);
  EXPECT_EQ(posix::ioctl(s, FIONREAD, &number), 0);
  EXPECT_EQ(number, 1);

  // Waiting, while one octet is there.
  const timespec second{1, 0};
  timeval also_second{1, 0};
  fd_set set;
  FD_ZERO(&set);
  FD_SET(s, &set);
  EXPECT_EQ(posix::ppoll(&p, 1, &second, nullptr), 1);
  EXPECT_EQ(posix::select(s + 1, &set, nullptr, nullptr, &also_second), 1);
  EXPECT_EQ(posix::pselect(s + 1, &set, nullptr, nullptr, &second, nullptr), 1);
  epoll_event e{};
  e.events = EPOLLIN;
  const int e0 = posix::epoll_create(1), e1 = posix::epoll_create1(EPOLL_CLOEXEC);
  for (const int fd : {e0, e1}) {
    EXPECT_TRUE(net.owns(fd));
    EXPECT_EQ(posix::epoll_ctl(fd, EPOLL_CTL_ADD, s, &e), 0);
  }
  EXPECT_EQ(posix::epoll_wait(e0, &e, 1, 1000), 1);
  EXPECT_EQ(posix::epoll_pwait(e1, &e, 1, 1000, nullptr), 1);
  EXPECT_EQ(posix::epoll_pwait2(e1, &e, 1, &second, nullptr), 1);
  EXPECT_EQ(posix::readv(s, &part, 1), 1);

  const int copy = posix::dup(s);
  EXPECT_EQ(posix::dup2(t, copy), copy);
  EXPECT_EQ(net.handle(copy).bits(), net.handle(t).bits());
  EXPECT_EQ(posix::dup3(s, copy, O_CLOEXEC), copy);
  EXPECT_EQ(net.handle(copy).bits(), net.handle(s).bits());
  EXPECT_EQ(posix::shutdown(c, SHUT_WR), 0);
  EXPECT_EQ(posix::recv(copy, &octet, 1, 0), 0);
  for (const int fd : {l, c, d, s, t, e0, e1, copy}) {
    EXPECT_EQ(posix::close(fd), 0);
    EXPECT_FALSE(net.owns(fd));
  }
  posix::use(nullptr);
}

}  // namespace
}  // namespace leat::test
