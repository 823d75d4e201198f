#pragma once
// One program that is run on Linux's own sockets and on Leat's, with the same expectations: what a call answers, its
// errno value included. Each EXPECT_EQ of a test over this is a row of the table that the tests are.

#include <gtest/gtest.h>

#include <csignal>
#include <cstring>
#include <string>
#include <vector>

#include "tests/posix/backends.hpp"
#include "tests/posix/sockaddr.hpp"

namespace leat::test {

template <class Backend>
class SameProgram : public testing::Test {
 public:
  SameProgram() { std::signal(SIGPIPE, SIG_IGN); }
  // The kernel's loopback interface may be down, or without IPv6.
  void SetUp() override {
    const int u = udp();
    const sockaddr_in a = v4(9);
    if (net.connect(u, sa(a), length_of(a)) != 0) GTEST_SKIP() << "the loopback interface is down";
    (void)net.close(u);
  }
  bool has_v6() {
    const int u = udp6();
    const sockaddr_in6 a = v6(0);
    const bool works = u >= 0 && net.bind(u, sa(a), length_of(a)) == 0;
    if (u >= 0) (void)net.close(u);
    return works;
  }

 protected:
  int tcp(int flags = 0) { return net.socket(AF_INET, SOCK_STREAM | flags, 0); }
  int tcp6(int flags = 0) { return net.socket(AF_INET6, SOCK_STREAM | flags, 0); }
  int udp(int flags = 0) { return net.socket(AF_INET, SOCK_DGRAM | flags, 0); }
  int udp6(int flags = 0) { return net.socket(AF_INET6, SOCK_DGRAM | flags, 0); }

  std::uint16_t port_of(int fd) {
    sockaddr_in6 a{};
    socklen_t n = length_of(a);
    EXPECT_EQ(net.getsockname(fd, sa(a), &n), 0);
    return ntohs(a.sin6_port);  // stands where sin_port does
  }
  std::uint16_t bind_any(int fd) {
    const sockaddr_in a = v4(0);
    EXPECT_EQ(net.bind(fd, sa(a), length_of(a)), 0);
    return port_of(fd);
  }
  int listener(std::uint16_t& port) {
    const int fd = tcp();
    port = bind_any(fd);
    EXPECT_EQ(net.listen(fd, 16), 0);
    return fd;
  }
  // Two ends of a connection.
  struct Pair {
    int client, server, listener;
  };
  Pair connected() {
    std::uint16_t port = 0;
    const int l = listener(port);
    const int c = tcp();
    const sockaddr_in a = v4(port);
    EXPECT_EQ(net.connect(c, sa(a), length_of(a)), 0);
    return {c, net.accept(l, nullptr, nullptr), l};
  }
  short wait_for(int fd, short events, int timeout_ms = 2000) {
    pollfd p{fd, events, 0};
    return net.poll(&p, 1, timeout_ms) < 0 ? short{-1} : p.revents;
  }
  int option(int fd, int level, int name) {
    int v = 0;
    socklen_t n = length_of(v);
    const int r = net.getsockopt(fd, level, name, &v, &n);
    return r < 0 ? r : v;
  }
  int set(int fd, int level, int name, int v) { return net.setsockopt(fd, level, name, &v, length_of(v)); }
  void close_all(std::initializer_list<int> fds) {
    for (const int fd : fds) EXPECT_EQ(net.close(fd), 0);
  }

  Backend net;
};

// What can be said of sockets stands in a file for each level.
template <class Backend>
class PosixOptions : public SameProgram<Backend> {};

// The message that came, and what stood beside it.
struct Told {
  ssize_t count = 0;
  int flags = 0;
  sockaddr_in6 from{};
  socklen_t from_length = 0;
  std::vector<std::pair<int, std::vector<std::uint8_t>>> beside;  // by type
};
template <class Net>
Told receive_all_of(Net& net, int fd, int flags, std::size_t room = 64, std::size_t control_room = 256) {
  Told t;
  std::vector<char> data(room);
  iovec part{data.data(), data.size()};
  alignas(8) std::array<std::uint8_t, 512> control{};
  msghdr m{};
  m.msg_name = &t.from;
  m.msg_namelen = sizeof t.from;
  m.msg_iov = &part;
  m.msg_iovlen = 1;
  m.msg_control = control.data();
  m.msg_controllen = control_room;
  t.count = net.recvmsg(fd, &m, flags);
  if (t.count < 0) return t;
  t.flags = m.msg_flags;
  t.from_length = m.msg_namelen;
  for (cmsghdr* c = CMSG_FIRSTHDR(&m); c != nullptr; c = CMSG_NXTHDR(&m, c)) {
    const std::uint8_t* const d = CMSG_DATA(c);
    t.beside.emplace_back(c->cmsg_type, std::vector<std::uint8_t>(d, d + (c->cmsg_len - CMSG_LEN(0))));
  }
  return t;
}

template <class T>
T as(const std::vector<std::uint8_t>& bytes) {
  T v{};
  std::memcpy(&v, bytes.data(), std::min(sizeof v, bytes.size()));
  return v;
}

struct BackendNames {
  template <class Backend>
  static std::string GetName(int) {  // NOLINT(readability-identifier-naming): GoogleTest asks for it
    return Backend::kName;
  }
};
using Backends = testing::Types<LinuxBackend, LeatBackend>;

}  // namespace leat::test
