// The C interface over two stacks of this process, joined in memory, each call from whichever thread.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <leat/c/leat.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <string>
#include <thread>
#include <vector>

extern "C" int leat_c_echo(leat_stack* stack, const sockaddr_in6* to);

namespace {

constexpr std::array kServer{"10.1.0.1/24", "fd01::1/64"};
constexpr std::array kClient{"10.1.0.2/24", "fd01::2/64"};

sockaddr_in6 at(const char* address, std::uint16_t port) {
  sockaddr_in6 a{};
  a.sin6_family = AF_INET6;
  a.sin6_port = htons(port);
  EXPECT_EQ(inet_pton(AF_INET6, address, &a.sin6_addr), 1);
  return a;
}
const sockaddr* any(const sockaddr_in6& a) {
  return static_cast<const sockaddr*>(static_cast<const void*>(&a));
}

class CApi : public ::testing::Test {
 protected:
  void SetUp() override {
    leat_options small = LEAT_OPTIONS_INIT;
    small.connections = 64;
    small.packet_memory = std::uint64_t{16} << 20;
    ASSERT_EQ(leat_create(&small, &server), 0);
    ASSERT_EQ(leat_create(&small, &client), 0);
    ASSERT_GT(leat_join(server, kServer.data(), kServer.size(), client, kClient.data(), kClient.size()), 0);
  }
  void TearDown() override {
    leat_destroy(client);
    leat_destroy(server);
  }
  int listener(std::uint16_t port) {
    const int fd = leat_socket(server, AF_INET6, SOCK_STREAM, 0);
    const sockaddr_in6 a = at("::", port);
    EXPECT_EQ(leat_bind(server, fd, any(a), sizeof a), 0);
    EXPECT_EQ(leat_listen(server, fd, 8), 0);
    return fd;
  }
  leat_stack* server = nullptr;
  leat_stack* client = nullptr;
};

TEST_F(CApi, AProgramInCTalksToAnEchoServer) {
  const int fd = listener(7);
  std::thread echo([&] {
    const int c = leat_accept(server, fd, nullptr, nullptr, 0);
    std::array<char, 100> data{};
    for (ssize_t n = 0; (n = leat_recv(server, c, data.data(), data.size(), 0)) > 0;)
      EXPECT_EQ(leat_send(server, c, data.data(), static_cast<std::size_t>(n), MSG_NOSIGNAL), n);
    EXPECT_EQ(leat_close(server, c), 0);
  });
  const sockaddr_in6 to = at("fd01::1", 7);
  EXPECT_EQ(leat_c_echo(client, &to), 0);
  echo.join();
}

TEST_F(CApi, ErrorsAreMinusErrnoAndHaveWords) {
  const sockaddr_in6 nobody = at("fd01::1", 9);
  const int fd = leat_socket(client, AF_INET6, SOCK_STREAM, 0);
  const int refused = leat_connect(client, fd, any(nobody), sizeof nobody);
  EXPECT_EQ(refused, -ECONNREFUSED);
  EXPECT_NE(std::string(leat_strerror(refused)), "");
  EXPECT_STREQ(leat_strerror(0), "success");
  EXPECT_EQ(leat_send(client, 1 << 20, "x", 1, 0), -EBADF);
  EXPECT_EQ(leat_socket(nullptr, AF_INET, SOCK_STREAM, 0), -EINVAL);
  EXPECT_EQ(leat_socket(client, AF_UNIX, SOCK_STREAM, 0), -EAFNOSUPPORT);
  EXPECT_EQ(leat_owns(client, fd), 1);
  EXPECT_EQ(leat_owns(client, 0), 0);
  EXPECT_EQ(leat_close(client, fd), 0);
  EXPECT_EQ(leat_owns(client, fd), 0);
}

TEST_F(CApi, TheStackIsConfiguredAndAsked) {
  EXPECT_EQ(leat_add_address(server, 1, "10.2.0.1/24"), 0);
  EXPECT_EQ(leat_add_address(server, 1, "10.2.0.1/24"), -EEXIST);
  EXPECT_EQ(leat_add_address(server, 1, "10.2.0.1/99"), -EINVAL);
  EXPECT_EQ(leat_remove_address(server, 1, "10.2.0.1"), 0);
  EXPECT_EQ(leat_add_route(server, "10.9.0.0/16", "10.1.0.2", 0), 0);
  EXPECT_EQ(leat_remove_route(server, "10.9.0.0/16", "10.1.0.2"), 0);
  EXPECT_LT(leat_remove_route(server, "10.9.0.0/16", "10.1.0.2"), 0);
  EXPECT_EQ(leat_add_route(server, "10.9.0.0/16", nullptr, 0), -EINVAL);
  std::int64_t value = 0;
  EXPECT_EQ(leat_set_option(server, "tcp_keep_count", 5), 0);
  EXPECT_EQ(leat_get_option(server, "tcp_keep_count", &value), 0);
  EXPECT_EQ(value, 5);
  EXPECT_EQ(leat_set_option(server, "tcp_keep_count", 100000), -EINVAL);
  EXPECT_EQ(leat_set_option(server, "no_such_option", 1), -ENOENT);
  std::uint64_t n = 7;
  EXPECT_EQ(leat_get_counter(server, "tcp_resets_sent", &n), 0);
  EXPECT_EQ(n, 0U);
  EXPECT_EQ(leat_get_counter(server, "no_such_counter", &n), -ENOENT);
}

TEST(CApiStructs, AnOlderStructIsTakenAndABrokenOneIsNot) {
  leat_stack* stack = nullptr;
  leat_options o = LEAT_OPTIONS_INIT;
  o.packet_memory = std::uint64_t{16} << 20;
  o.size = offsetof(leat_options, interfaces);  // a program that knows nothing behind packet_memory
  o.wait = 99;                                  // and what stands there is not looked at
  EXPECT_EQ(leat_create(&o, &stack), 0);
  leat_destroy(stack);
  o.size = sizeof o;
  EXPECT_EQ(leat_create(&o, &stack), -EINVAL);
  EXPECT_EQ(stack, nullptr);
  o.wait = LEAT_WAIT_SLEEP;
  o.size = 0;
  EXPECT_EQ(leat_create(&o, &stack), -EINVAL);
  EXPECT_EQ(leat_create(nullptr, nullptr), -EINVAL);
  leat_destroy(nullptr);
}

TEST_F(CApi, ANewerStructGetsWhatTheLibraryKnows) {
  const int fd = listener(7);
  struct Newer {
    leat_tcp_info known;
    std::uint64_t later;
  } info{};
  info.known.size = sizeof info;
  info.later = 42;
  EXPECT_EQ(leat_get_tcp_info(server, fd, &info.known), 0);
  EXPECT_EQ(info.known.size, sizeof(leat_tcp_info));
  EXPECT_EQ(info.known.state, 1U);  // LISTEN
  EXPECT_EQ(info.later, 42U);
  struct Older {
    std::uint32_t size, state, after;
  } older{8, 0, 42};
  EXPECT_EQ(leat_get_tcp_info(server, fd, static_cast<leat_tcp_info*>(static_cast<void*>(&older))), 0);
  EXPECT_EQ(older.state, 1U);
  EXPECT_EQ(older.after, 42U);
}

TEST_F(CApi, ClosingEndsACallThatWaits) {
  const int fd = listener(7);
  std::thread waits([&] { EXPECT_LT(leat_accept(server, fd, nullptr, nullptr, 0), 0); });
  // The thread is in accept, or comes to it: close() of the descriptor ends both.
  EXPECT_EQ(leat_close(server, fd), 0);
  waits.join();
}

// A program's loop watched and has ended: who waits in a call watches for himself again.
TEST_F(CApi, AProgramThatWatchesNoMoreHandsOn) {
  const int fd = listener(7);
  const timeval patience{5, 0};
  EXPECT_EQ(leat_setsockopt(server, fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
  EXPECT_GE(leat_pollable_fd(server), 0);
  EXPECT_EQ(leat_release_pollable_fd(server), 0);
  EXPECT_EQ(leat_release_pollable_fd(nullptr), -EINVAL);
  std::thread connects([&] {
    const int c = leat_socket(client, AF_INET6, SOCK_STREAM, 0);
    const sockaddr_in6 to = at("fd01::1", 7);
    EXPECT_EQ(leat_connect(client, c, any(to), sizeof to), 0);
  });
  EXPECT_GE(leat_accept(server, fd, nullptr, nullptr, 0), 0);
  connects.join();
  EXPECT_GE(leat_pollable_fd(server), 0);  // and once more
}

TEST_F(CApi, NullPointersAreErrors) {
  const int fd = listener(7);
  EXPECT_EQ(leat_set_option(server, nullptr, 1), -EINVAL);
  std::int64_t value = 0;
  EXPECT_EQ(leat_get_option(server, nullptr, &value), -EINVAL);
  EXPECT_EQ(leat_get_option(server, "tcp_keep_count", nullptr), -EINVAL);
  EXPECT_EQ(leat_get_counter(server, nullptr, nullptr), -EINVAL);
  EXPECT_EQ(leat_add_address(server, 1, nullptr), -EINVAL);
  EXPECT_EQ(leat_remove_address(server, 1, nullptr), -EINVAL);
  EXPECT_EQ(leat_add_route(server, nullptr, nullptr, 1), -EINVAL);
  EXPECT_EQ(leat_remove_route(server, nullptr, nullptr), -EINVAL);
  EXPECT_EQ(leat_open_tap(server, nullptr, nullptr, 0), -EINVAL);
  EXPECT_EQ(leat_open_shm(server, nullptr, nullptr, 0), -EINVAL);
  EXPECT_EQ(leat_open_shm(server, "x", nullptr, 1), -EINVAL);
  EXPECT_EQ(leat_join(nullptr, nullptr, 0, server, nullptr, 0), -EINVAL);
  EXPECT_EQ(leat_join(server, nullptr, 0, nullptr, nullptr, 0), -EINVAL);
  EXPECT_EQ(leat_get_tcp_info(server, fd, nullptr), -EINVAL);
  EXPECT_EQ(leat_turn(nullptr), -EINVAL);
  EXPECT_EQ(leat_pollable_fd(nullptr), -EINVAL);
  EXPECT_EQ(leat_bind(server, fd, nullptr, 16), -EFAULT);
  EXPECT_EQ(leat_connect(server, fd, nullptr, 16), -EFAULT);
  EXPECT_EQ(leat_getsockname(server, fd, nullptr, nullptr), -EFAULT);
  EXPECT_EQ(leat_send(server, fd, nullptr, 1, 0), -EFAULT);
  EXPECT_EQ(leat_recv(server, fd, nullptr, 1, 0), -EFAULT);
  EXPECT_EQ(leat_sendmsg(server, fd, nullptr, 0), -EFAULT);
  EXPECT_EQ(leat_recvmsg(server, fd, nullptr, 0), -EFAULT);
  EXPECT_EQ(leat_writev(server, fd, nullptr, 1), -EFAULT);
  EXPECT_EQ(leat_readv(server, fd, nullptr, 1), -EFAULT);
  EXPECT_EQ(leat_setsockopt(server, fd, SOL_SOCKET, SO_KEEPALIVE, nullptr, 4), -EFAULT);
  EXPECT_EQ(leat_getsockopt(server, fd, SOL_SOCKET, SO_KEEPALIVE, nullptr, nullptr), -EFAULT);
  EXPECT_EQ(leat_ioctl(server, fd, FIONREAD, nullptr), -EFAULT);
  EXPECT_EQ(leat_poll(server, nullptr, 1, 0), -EFAULT);
  const int set = leat_epoll_create(server, 0);
  EXPECT_EQ(leat_epoll_ctl(server, set, EPOLL_CTL_ADD, fd, nullptr), -EFAULT);
  EXPECT_EQ(leat_epoll_wait(server, set, nullptr, 1, 0), -EFAULT);
  EXPECT_STREQ(leat_strerror(std::numeric_limits<int>::min()), "unknown error");
}

// A wire that only one of two could take is no wire.
TEST_F(CApi, AJoinThatFailsLeavesNothingBehind) {
  const char* const good_a[] = {"10.77.0.1/24"};
  const char* const good_b[] = {"10.77.0.2/24"};
  const char* const bad[] = {"224.0.0.1/24"};
  ASSERT_EQ(leat_join(server, good_a, 1, client, bad, 1), -EINVAL);
  EXPECT_GE(leat_join(server, good_a, 1, client, good_b, 1), 0);
}

// A stack that ends tells the peers of its connections, over a wire in memory too.
TEST_F(CApi, PeersHearOfTheEndOfAStack) {
  const int fd = listener(7);
  const int c = leat_socket(client, AF_INET6, SOCK_STREAM, 0);
  const sockaddr_in6 to = at("fd01::1", 7);
  ASSERT_EQ(leat_connect(client, c, any(to), sizeof to), 0);
  ASSERT_GE(leat_accept(server, fd, nullptr, nullptr, 0), 0);
  leat_destroy(std::exchange(server, nullptr));
  pollfd p{.fd = c, .events = 0, .revents = 0};
  EXPECT_EQ(leat_poll(client, &p, 1, 5000), 1);
  EXPECT_NE(p.revents & POLLERR, 0);
  EXPECT_EQ(leat_send(client, c, "x", 1, MSG_NOSIGNAL), -EPIPE);
}

TEST_F(CApi, PollAndEpollSeeReadiness) {
  const int fd = listener(7);
  const int c = leat_socket(client, AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
  const sockaddr_in6 to = at("fd01::1", 7);
  EXPECT_EQ(leat_connect(client, c, any(to), sizeof to), -EINPROGRESS);
  pollfd p{.fd = fd, .events = POLLIN, .revents = 0};
  EXPECT_EQ(leat_poll(server, &p, 1, 5000), 1);
  EXPECT_EQ(p.revents, POLLIN);
  const int set = leat_epoll_create(client, 0);
  epoll_event e{};
  e.events = EPOLLOUT;
  e.data.u64 = 99;
  EXPECT_EQ(leat_epoll_ctl(client, set, EPOLL_CTL_ADD, c, &e), 0);
  epoll_event got{};
  EXPECT_EQ(leat_epoll_wait(client, set, &got, 1, 5000), 1);
  EXPECT_EQ(got.data.u64, 99U);
}

// The numbers are the kernel's: its limit is ours, and past it all else goes on.
TEST(CApiDescriptors, UpToTheHardLimitAndPastIt) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit all{std::min<rlim_t>(before.rlim_max, 100'000), before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &all), 0);
  leat_options o = LEAT_OPTIONS_INIT;
  o.connections = static_cast<std::uint32_t>(all.rlim_cur);
  o.packet_memory = std::uint64_t{16} << 20;
  leat_stack* stack = nullptr;
  ASSERT_EQ(leat_create(&o, &stack), 0);
  const int a = leat_socket(stack, AF_INET6, SOCK_DGRAM, 0);
  const sockaddr_in6 here = at("::1", 9);
  ASSERT_EQ(leat_bind(stack, a, any(here), sizeof here), 0);
  std::vector<int> fds;
  int fd = 0;
  while ((fd = leat_socket(stack, AF_INET6, fds.size() % 2 == 0 ? SOCK_DGRAM : SOCK_STREAM, 0)) >= 0) fds.push_back(fd);
  EXPECT_EQ(fd, -EMFILE);
  EXPECT_GT(fds.size() + 100, all.rlim_cur);
  EXPECT_EQ(leat_dup(stack, a), -EMFILE);
  EXPECT_EQ(leat_epoll_create(stack, 0), -EMFILE);
  for (std::size_t i = 0; i < fds.size(); i += 200) {
    char c = 0;
    ASSERT_EQ(leat_sendto(stack, fds[i], "x", 1, 0, any(here), sizeof here), 1);
    ASSERT_EQ(leat_recv(stack, a, &c, 1, MSG_DONTWAIT), 1);
  }
  ASSERT_EQ(leat_close(stack, fds.back()), 0);
  fds.back() = leat_socket(stack, AF_INET6, SOCK_STREAM, 0);
  EXPECT_GE(fds.back(), 0);
  for (const int x : fds) ASSERT_EQ(leat_close(stack, x), 0);
  leat_destroy(stack);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

}  // namespace
