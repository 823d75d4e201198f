// The POSIX form takes nothing from the heap once its descriptors are there: calls that find what they want at once,
// and calls that block until another thread has done its part.

#include <gtest/gtest.h>
#include <netinet/tcp.h>

#include <leat/api/posix/calls.hpp>
#include <leat/runtime/shared_stack.hpp>
#include <thread>

#include "heap_watch.hpp"
#include "tests/posix/sockaddr.hpp"

namespace leat::test {
namespace {

constexpr int kWarmUp = 100;
constexpr int kRounds = 1000;

class SharedHeap : public testing::Test {
 protected:
  // A TCP connection over loopback: c connected, s accepted.
  void connect() {
    const int l = net.socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in a = v4(0);
    ASSERT_EQ(net.bind(l, sa(a), length_of(a)), 0);
    ASSERT_EQ(net.listen(l, 4), 0);
    socklen_t n = length_of(a);
    ASSERT_EQ(net.getsockname(l, sa(a), &n), 0);
    c = net.socket(AF_INET, SOCK_STREAM, 0);
    ASSERT_EQ(net.connect(c, sa(a), length_of(a)), 0);
    s = net.accept(l, nullptr, nullptr);
    ASSERT_GE(s, 0);
    ASSERT_EQ(net.close(l), 0);
    const int on = 1;
    for (const int fd : {c, s}) ASSERT_EQ(net.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
  }
  // `round` says whether it went well. Once warm it takes nothing.
  template <class F>
  void expect_no_heap(F round) {
    int good = 0;
    for (int i = 0; i < kWarmUp; ++i) good += round() ? 1 : 0;
    ASSERT_EQ(good, kWarmUp);
    std::uint64_t calls = 0;
    {
      const HeapWatch heap;
      for (int i = 0; i < kRounds; ++i) good += round() ? 1 : 0;
      calls = heap.calls();
    }
    EXPECT_EQ(calls, 0U);
    EXPECT_EQ(good, kWarmUp + kRounds);
  }

  std::shared_ptr<SharedStack> stack =
      SharedStack::make({.limits = hosted_limits(64), .packet_memory = std::size_t{8} << 20, .janitor = false}).value();
  posix::Sockets net{stack};
  int c = -1;
  int s = -1;
  char b = 'x';
};

TEST_F(SharedHeap, SendAndReceiveAllocateNothing) {
  ASSERT_NO_FATAL_FAILURE(connect());
  expect_no_heap([&] { return net.send(c, &b, 1, 0) == 1 && net.recv(s, &b, 1, 0) == 1; });
}

// Each of the two threads sleeps until the other one has sent.
TEST_F(SharedHeap, BlockingCallsAllocateNothing) {
  ASSERT_NO_FATAL_FAILURE(connect());
  std::thread echo([this] {
    char e = 0;
    while (net.recv(s, &e, 1, 0) == 1 && net.send(s, &e, 1, 0) == 1) {
    }
  });
  expect_no_heap([&] { return net.send(c, &b, 1, 0) == 1 && net.recv(c, &b, 1, 0) == 1; });
  EXPECT_EQ(net.close(c), 0);
  echo.join();
}

TEST_F(SharedHeap, WaitingInASetAllocatesNothing) {
  ASSERT_NO_FATAL_FAILURE(connect());
  const int set = net.epoll_create1(0);
  epoll_event e{};
  e.events = EPOLLIN;
  e.data.fd = s;
  ASSERT_EQ(net.epoll_ctl(set, EPOLL_CTL_ADD, s, &e), 0);
  expect_no_heap([&] {
    epoll_event told{};
    return net.send(c, &b, 1, 0) == 1 && net.epoll_wait(set, &told, 1, -1) == 1 && told.data.fd == s &&
           net.recv(s, &b, 1, 0) == 1 && net.epoll_wait(set, &told, 1, 0) == 0;
  });
}

// As long as the descriptors are few.
TEST_F(SharedHeap, PollAllocatesNothing) {
  ASSERT_NO_FATAL_FAILURE(connect());
  expect_no_heap([&] {
    std::array<pollfd, 3> all{pollfd{c, POLLIN, 0}, pollfd{s, POLLIN, 0}, pollfd{-1, 0, 0}};
    return net.send(c, &b, 1, 0) == 1 && net.poll(all.data(), all.size(), -1) == 1 && all[1].revents == POLLIN &&
           net.recv(s, &b, 1, 0) == 1 && net.poll(all.data(), all.size(), 0) == 0;
  });
}

TEST_F(SharedHeap, DatagramsAllocateNothing) {
  const int u = net.socket(AF_INET, SOCK_DGRAM, 0);
  const int w = net.socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in to = v4(0);
  ASSERT_EQ(net.bind(w, sa(to), length_of(to)), 0);
  socklen_t n = length_of(to);
  ASSERT_EQ(net.getsockname(w, sa(to), &n), 0);
  expect_no_heap([&] {
    sockaddr_in from{};
    socklen_t m = length_of(from);
    return net.sendto(u, &b, 1, 0, sa(to), length_of(to)) == 1 && net.recvfrom(w, &b, 1, 0, sa(from), &m) == 1 &&
           m == sizeof from;
  });
}

}  // namespace
}  // namespace leat::test
