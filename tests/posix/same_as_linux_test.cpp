// One program, run on Linux's own sockets and on Leat's, with the same expectations: what a call answers, its errno
// value included. Each EXPECT_EQ is a row of the table that this file is.

#include <gtest/gtest.h>

#include <array>
#include <csignal>
#include <cstring>
#include <string>
#include <vector>

#include "tests/posix/same_program.hpp"

namespace leat::test {
namespace {

template <class Backend>
class PosixSameAsLinux : public SameProgram<Backend> {};
TYPED_TEST_SUITE(PosixSameAsLinux, Backends, BackendNames);

TYPED_TEST(PosixSameAsLinux, Socket) {
  auto& n = this->net;
  EXPECT_EQ(n.socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), -EPROTONOSUPPORT);
  EXPECT_EQ(n.socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP), -EPROTONOSUPPORT);
  EXPECT_EQ(n.socket(AF_INET6, SOCK_DGRAM, IPPROTO_TCP), -EPROTONOSUPPORT);
  EXPECT_EQ(n.socket(AF_INET, SOCK_SEQPACKET, 0), -ESOCKTNOSUPPORT);
  EXPECT_EQ(n.socket(AF_INET, 0, 0), -ESOCKTNOSUPPORT);
  EXPECT_EQ(n.socket(AF_INET, 15, 0), -EINVAL);
  EXPECT_EQ(n.socket(AF_INET, SOCK_STREAM | 0x10000, 0), -EINVAL);
  EXPECT_EQ(n.socket(77, SOCK_STREAM, 0), -EAFNOSUPPORT);
  EXPECT_EQ(n.socket(AF_INET, SOCK_STREAM, -1), -EINVAL);
  const int s = n.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  ASSERT_GE(s, 0);
  EXPECT_EQ(n.fcntl(s, F_GETFL, 0L), O_RDWR | O_NONBLOCK);
  EXPECT_EQ(n.fcntl(s, F_GETFD, 0L), FD_CLOEXEC);
  EXPECT_EQ(n.close(s), 0);
  EXPECT_EQ(n.close(s), -EBADF);
}

TYPED_TEST(PosixSameAsLinux, BadDescriptor) {
  auto& n = this->net;
  const int bad = this->tcp();
  this->close_all({bad});
  for (const int fd : {bad, -1, 1 << 19}) {
    SCOPED_TRACE(fd);
    char b = 0;
    int v = 0;
    sockaddr_in a = v4(1);
    socklen_t len = length_of(a);
    iovec part{&b, 1};
    msghdr m{};
    m.msg_iov = &part;
    m.msg_iovlen = 1;
    mmsghdr mm{};
    mm.msg_hdr = m;
    EXPECT_EQ(n.bind(fd, sa(a), length_of(a)), -EBADF);
    EXPECT_EQ(n.listen(fd, 1), -EBADF);
    EXPECT_EQ(n.accept(fd, nullptr, nullptr), -EBADF);
    EXPECT_EQ(n.accept4(fd, nullptr, nullptr, SOCK_NONBLOCK), -EBADF);
    EXPECT_EQ(n.connect(fd, sa(a), length_of(a)), -EBADF);
    EXPECT_EQ(n.getsockname(fd, sa(a), &len), -EBADF);
    EXPECT_EQ(n.getpeername(fd, sa(a), &len), -EBADF);
    EXPECT_EQ(n.shutdown(fd, SHUT_RDWR), -EBADF);
    EXPECT_EQ(n.send(fd, &b, 1, 0), -EBADF);
    EXPECT_EQ(n.sendmsg(fd, &m, 0), -EBADF);
    EXPECT_EQ(n.sendmmsg(fd, &mm, 1U, 0), -EBADF);
    EXPECT_EQ(n.recv(fd, &b, 1, 0), -EBADF);
    EXPECT_EQ(n.recvmsg(fd, &m, 0), -EBADF);
    EXPECT_EQ(n.recvmmsg(fd, &mm, 1U, 0, nullptr), -EBADF);
    EXPECT_EQ(n.read(fd, &b, 1), -EBADF);
    EXPECT_EQ(n.write(fd, &b, 1), -EBADF);
    EXPECT_EQ(n.readv(fd, &part, 1), -EBADF);
    EXPECT_EQ(n.writev(fd, &part, 1), -EBADF);
    EXPECT_EQ(n.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &v, length_of(v)), -EBADF);
    len = length_of(v);
    EXPECT_EQ(n.getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &v, &len), -EBADF);
    EXPECT_EQ(n.dup(fd), -EBADF);
    EXPECT_EQ(n.dup2(fd, 200), -EBADF);
    EXPECT_EQ(n.fcntl(fd, F_GETFL, 0L), -EBADF);
    EXPECT_EQ(n.ioctl(fd, FIONREAD, &v), -EBADF);
    EXPECT_EQ(n.close(fd), -EBADF);
    if (fd >= 0) {
      pollfd p{fd, POLLIN, 0};
      EXPECT_EQ(n.poll(&p, 1, 0), 1);
      EXPECT_EQ(p.revents, POLLNVAL);
    }
  }
}

TYPED_TEST(PosixSameAsLinux, NotASocket) {
  auto& n = this->net;
  char b = 0;
  sockaddr_in a = v4(1);
  const int set = n.epoll_create1(0);
  ASSERT_GE(set, 0);
  for (const int fd : {0, set}) {
    EXPECT_EQ(n.send(fd, &b, 1, 0), -ENOTSOCK);
    EXPECT_EQ(n.recv(fd, &b, 1, 0), -ENOTSOCK);
    EXPECT_EQ(n.connect(fd, sa(a), length_of(a)), -ENOTSOCK);
    EXPECT_EQ(n.listen(fd, 1), -ENOTSOCK);
    EXPECT_EQ(n.shutdown(fd, SHUT_RD), -ENOTSOCK);
  }
  EXPECT_EQ(n.read(set, &b, 1), -EINVAL);
  EXPECT_EQ(n.write(set, &b, 1), -EINVAL);
  this->close_all({set});
}

// Pointers to nothing and lengths that can't be, in the order in which Linux finds them.
TYPED_TEST(PosixSameAsLinux, BadParts) {
  auto& n = this->net;
  const auto p = this->connected();
  const int u = this->udp(SOCK_NONBLOCK);
  const sockaddr_in own = v4(this->bind_any(u));
  EXPECT_EQ(n.connect(u, sa(own), length_of(own)), 0);
  char b[8] = {};
  for (const int fd : {u, p.client}) {
    SCOPED_TRACE(fd == u ? "UDP" : "TCP");
    const auto both = [&](const msghdr& m, ssize_t send, ssize_t receive) {
      msghdr given = m;
      EXPECT_EQ(n.sendmsg(fd, &given, MSG_DONTWAIT), send);
      EXPECT_EQ(n.recvmsg(fd, &given, MSG_DONTWAIT), receive);
    };
    msghdr m{};
    m.msg_iovlen = 1;  // and no array
    both(m, -EFAULT, -EFAULT);
    mmsghdr many{m, 0};
    EXPECT_EQ(n.sendmmsg(fd, &many, 1U, 0), -EFAULT);
    EXPECT_EQ(n.recvmmsg(fd, &many, 1U, MSG_DONTWAIT, nullptr), -EFAULT);
    m.msg_iovlen = 1025;
    both(m, -EMSGSIZE, -EMSGSIZE);
    iovec part{b, static_cast<std::size_t>(-1)};
    m.msg_iov = &part;
    m.msg_iovlen = 1;
    both(m, -EINVAL, -EINVAL);
    part = {nullptr, 5};
    EXPECT_EQ(n.sendmsg(fd, &m, 0), -EFAULT);
    sockaddr_in to = own;
    m = {};
    m.msg_name = &to;
    m.msg_namelen = static_cast<socklen_t>(-1);
    both(m, -EINVAL, -EINVAL);
    m = {};
    m.msg_controllen = 100;  // and no buffer
    both(m, -EFAULT, -EAGAIN);
    EXPECT_EQ(n.sendmsg(fd, nullptr, 0), -EFAULT);
    EXPECT_EQ(n.recvmsg(fd, nullptr, MSG_DONTWAIT), -EFAULT);
    EXPECT_EQ(n.sendmmsg(fd, nullptr, 1U, 0), -EFAULT);
    EXPECT_EQ(n.recvmmsg(fd, nullptr, 1U, MSG_DONTWAIT, nullptr), -EFAULT);
    EXPECT_EQ(n.sendmmsg(fd, nullptr, 0U, 0), 0);
    EXPECT_EQ(n.recvmmsg(fd, nullptr, 0U, MSG_DONTWAIT, nullptr), 0);
    EXPECT_EQ(n.writev(fd, nullptr, 1), -EFAULT);
    EXPECT_EQ(n.readv(fd, nullptr, 1), -EFAULT);
    EXPECT_EQ(n.writev(fd, nullptr, 0), 0);
    EXPECT_EQ(n.readv(fd, nullptr, 0), 0);
    EXPECT_EQ(n.writev(fd, nullptr, 1025), -EINVAL);
    EXPECT_EQ(n.readv(fd, nullptr, 1025), -EINVAL);
    EXPECT_EQ(n.send(fd, nullptr, 5, 0), -EFAULT);
    EXPECT_EQ(n.write(fd, nullptr, 5), -EFAULT);
    EXPECT_EQ(n.write(fd, nullptr, 0), 0);
    EXPECT_EQ(n.read(fd, nullptr, 0), 0);
    while (n.recv(fd, b, 8, MSG_DONTWAIT) > 0) continue;
  }
  // Data that can't be given to anybody.
  EXPECT_EQ(n.send(u, "hi", 2, 0), 2);
  EXPECT_EQ(n.send(p.server, "hi", 2, 0), 2);
  for (const int fd : {u, p.client}) {
    EXPECT_EQ(this->wait_for(fd, POLLIN), POLLIN);
    EXPECT_EQ(n.recv(fd, nullptr, 5, 0), -EFAULT);
  }
  this->close_all({u, p.client, p.server, p.listener});
}

TYPED_TEST(PosixSameAsLinux, BadAddresses) {
  auto& n = this->net;
  const auto p = this->connected();
  const int u = this->udp(SOCK_NONBLOCK);
  sockaddr_in a = v4(this->bind_any(u));
  EXPECT_EQ(n.connect(u, sa(a), length_of(a)), 0);
  const auto negative = static_cast<socklen_t>(-1);
  char b[8] = {};
  EXPECT_EQ(n.sendto(u, "x", 1, 0, nullptr, 16), 1);
  EXPECT_EQ(n.sendto(u, "x", 1, 0, nullptr, negative), 1);
  for (const socklen_t length : {0U, 1U, 1000U, negative}) {
    EXPECT_EQ(n.sendto(u, "x", 1, 0, sa(a), length), -EINVAL) << length;
  }
  // A stream looks at no address, but it must be one.
  for (const socklen_t length : {0U, 1U}) EXPECT_EQ(n.sendto(p.client, "x", 1, 0, sa(a), length), 1) << length;
  for (const socklen_t length : {1000U, negative}) {
    EXPECT_EQ(n.sendto(p.client, "x", 1, 0, sa(a), length), -EINVAL) << length;
  }
  for (const int fd : {u, p.client}) {
    EXPECT_EQ(n.bind(fd, nullptr, 16), -EFAULT);
    EXPECT_EQ(n.bind(fd, nullptr, 0), -EINVAL);
    EXPECT_EQ(n.connect(fd, nullptr, 16), -EFAULT);
    EXPECT_EQ(n.connect(fd, nullptr, 0), -EINVAL);
    for (const socklen_t length : {0U, 1000U, negative}) {
      EXPECT_EQ(n.bind(fd, sa(a), length), -EINVAL) << length;
      EXPECT_EQ(n.connect(fd, sa(a), length), -EINVAL) << length;
    }
    socklen_t length = 16;
    EXPECT_EQ(n.getsockname(fd, nullptr, &length), -EFAULT);
    EXPECT_EQ(n.getsockname(fd, sa(a), nullptr), -EFAULT);
    EXPECT_EQ(n.getpeername(fd, sa(a), nullptr), -EFAULT);
    EXPECT_EQ(n.getsockname(fd, sa(a), &(length = negative)), -EINVAL);
    EXPECT_EQ(n.getpeername(fd, sa(a), &(length = negative)), -EINVAL);
  }
  // The data is gone by the time that nothing can be told of who sent it.
  EXPECT_EQ(this->wait_for(u, POLLIN), POLLIN);
  EXPECT_EQ(n.recvfrom(u, b, 8, 0, sa(a), nullptr), -EFAULT);
  socklen_t length = negative;
  EXPECT_EQ(n.recvfrom(u, b, 8, 0, sa(a), &length), -EINVAL);
  EXPECT_EQ(n.recv(u, b, 8, 0), -EAGAIN);
  // So is the connection.
  const sockaddr_in listening = v4(this->port_of(p.listener));
  const int other = this->tcp();
  EXPECT_EQ(n.connect(other, sa(listening), length_of(listening)), 0);
  EXPECT_EQ(this->wait_for(p.listener, POLLIN), POLLIN);
  EXPECT_EQ(n.accept(p.listener, sa(a), nullptr), -EFAULT);
  EXPECT_EQ(this->wait_for(p.listener, POLLIN, 0), 0);
  EXPECT_EQ(n.recv(other, b, 8, 0), 0);
  this->close_all({u, p.client, p.server, p.listener, other});
}

TYPED_TEST(PosixSameAsLinux, BadOptionValues) {
  auto& n = this->net;
  const int s = this->tcp();
  const int u = this->udp();
  int v = 1;
  const auto negative = static_cast<socklen_t>(-1);
  for (const int fd : {s, u}) {
    EXPECT_EQ(n.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, nullptr, 4), -EFAULT);
    EXPECT_EQ(n.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, nullptr, 0), -EINVAL);
    EXPECT_EQ(n.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &v, negative), -EINVAL);
    EXPECT_EQ(n.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, nullptr, 0), 0);
    EXPECT_EQ(n.setsockopt(fd, SOL_SOCKET, SO_LINGER, nullptr, 8), -EFAULT);
    EXPECT_EQ(n.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, nullptr, 16), -EFAULT);
    EXPECT_EQ(n.setsockopt(fd, IPPROTO_IP, IP_TTL, nullptr, 4), -EFAULT);
    EXPECT_EQ(n.setsockopt(fd, IPPROTO_IP, IP_TTL, nullptr, 0), -EINVAL);
    EXPECT_EQ(n.setsockopt(fd, IPPROTO_IP, IP_TTL, nullptr, 1), -EFAULT);
    EXPECT_EQ(n.setsockopt(fd, 9999, 1, nullptr, 4), -ENOPROTOOPT);
    for (const int level : {SOL_SOCKET, int{IPPROTO_IP}}) {
      const int name = level == SOL_SOCKET ? SO_TYPE : IP_TTL;
      socklen_t length = negative;
      EXPECT_EQ(n.getsockopt(fd, level, name, &v, &length), -EINVAL);
      EXPECT_EQ(n.getsockopt(fd, level, name, &v, nullptr), -EFAULT);
      EXPECT_EQ(n.getsockopt(fd, level, name, nullptr, &(length = 4)), -EFAULT);
      EXPECT_EQ(n.getsockopt(fd, level, name, nullptr, &(length = 0)), 0);
      EXPECT_EQ(n.getsockopt(fd, level, name, &v, &(length = 0)), 0);
    }
  }
  EXPECT_EQ(n.setsockopt(u, IPPROTO_IP, IP_ADD_MEMBERSHIP, nullptr, 8), -EFAULT);
  EXPECT_EQ(n.setsockopt(u, IPPROTO_TCP, TCP_NODELAY, nullptr, 4), -ENOPROTOOPT);
  EXPECT_EQ(n.setsockopt(s, IPPROTO_TCP, TCP_NODELAY, nullptr, 4), -EFAULT);
  EXPECT_EQ(n.setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, nullptr, 4), -EFAULT);
  EXPECT_EQ(n.setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, nullptr, 0), -EINVAL);
  EXPECT_EQ(n.poll(nullptr, 1, 0), -EFAULT);
  EXPECT_EQ(n.poll(nullptr, static_cast<nfds_t>(-1), 0), -EINVAL);
  EXPECT_EQ(n.poll(nullptr, 0, 0), 0);
  EXPECT_EQ(n.select(-1, nullptr, nullptr, nullptr, nullptr), -EINVAL);
  this->close_all({s, u});
}

TYPED_TEST(PosixSameAsLinux, StreamThatIsNotConnected) {
  auto& n = this->net;
  const int s = this->tcp();
  char b = 'x';
  sockaddr_in a{};
  socklen_t len = length_of(a);
  EXPECT_EQ(n.recv(s, &b, 1, 0), -ENOTCONN);
  EXPECT_EQ(n.recv(s, &b, 1, MSG_DONTWAIT), -ENOTCONN);
  EXPECT_EQ(n.read(s, &b, 1), -ENOTCONN);
  EXPECT_EQ(n.send(s, &b, 1, 0), -EPIPE);
  EXPECT_EQ(n.send(s, &b, 1, MSG_NOSIGNAL), -EPIPE);
  EXPECT_EQ(n.write(s, &b, 1), -EPIPE);
  a = v4(1);
  EXPECT_EQ(n.sendto(s, &b, 1, 0, sa(a), length_of(a)), -EPIPE);
  EXPECT_EQ(n.getpeername(s, sa(a), &len), -ENOTCONN);
  EXPECT_EQ(n.shutdown(s, SHUT_RDWR), -ENOTCONN);
  EXPECT_EQ(n.shutdown(s, 5), -EINVAL);
  EXPECT_EQ(n.accept(s, nullptr, nullptr), -EINVAL);
  len = length_of(a);
  EXPECT_EQ(n.getsockname(s, sa(a), &len), 0);
  EXPECT_EQ(len, length_of(a));
  EXPECT_EQ(a.sin_family, AF_INET);
  EXPECT_EQ(a.sin_port, 0);
  EXPECT_EQ(a.sin_addr.s_addr, 0U);
  this->close_all({s});
  const int fresh = this->tcp();
  EXPECT_EQ(this->wait_for(fresh, POLLIN | POLLOUT, 0), POLLOUT | POLLHUP);
  this->close_all({fresh});
}

TYPED_TEST(PosixSameAsLinux, Bind) {
  if (!this->has_v6()) GTEST_SKIP() << "no IPv6 here";
  auto& n = this->net;
  const int s = this->tcp();
  const sockaddr_in foreign = v4(0, "192.0.2.77");
  const sockaddr_in6 six = v6(0);
  sockaddr_in a = v4(0);
  EXPECT_EQ(n.bind(s, sa(foreign), length_of(foreign)), -EADDRNOTAVAIL);
  EXPECT_EQ(n.bind(s, sa(six), length_of(six)), -EAFNOSUPPORT);
  EXPECT_EQ(n.bind(s, sa(a), 3), -EINVAL);
  EXPECT_EQ(n.bind(s, sa(a), 12), -EINVAL);
  EXPECT_EQ(n.bind(s, sa(a), length_of(a)), 0);
  const std::uint16_t port = this->port_of(s);
  EXPECT_NE(port, 0);
  EXPECT_EQ(n.bind(s, sa(a), length_of(a)), -EINVAL);  // twice
  const int other = this->tcp();
  a = v4(port);
  EXPECT_EQ(n.bind(other, sa(a), length_of(a)), -EADDRINUSE);
  const sockaddr_in any = v4(port, "0.0.0.0");
  EXPECT_EQ(n.bind(other, sa(any), length_of(any)), -EADDRINUSE);
  const int u = this->udp();
  EXPECT_EQ(n.bind(u, sa(a), length_of(a)), 0);  // another protocol
  const int u2 = this->udp();
  EXPECT_EQ(n.bind(u2, sa(a), length_of(a)), -EADDRINUSE);
  EXPECT_EQ(n.bind(u, sa(a), length_of(a)), -EINVAL);
  const int six_socket = this->tcp6();
  EXPECT_EQ(n.bind(six_socket, sa(a), length_of(a)), -EINVAL);  // too short for its family
  const sockaddr_in6 six_foreign = v6(0, "2001:db8::77");
  EXPECT_EQ(n.bind(six_socket, sa(six_foreign), length_of(six_foreign)), -EADDRNOTAVAIL);
  this->close_all({s, other, u, u2, six_socket});
}

TYPED_TEST(PosixSameAsLinux, ReuseAddressAndPort) {
  auto& n = this->net;
  std::uint16_t port = 0;
  const int l = this->listener(port);
  const sockaddr_in a = v4(port);
  const int again = this->tcp();
  EXPECT_EQ(this->set(again, SOL_SOCKET, SO_REUSEADDR, 1), 0);
  EXPECT_EQ(n.bind(again, sa(a), length_of(a)), -EADDRINUSE);  // the other listens
  const int p1 = this->tcp();
  const int p2 = this->tcp();
  EXPECT_EQ(this->set(p1, SOL_SOCKET, SO_REUSEPORT, 1), 0);
  EXPECT_EQ(this->set(p2, SOL_SOCKET, SO_REUSEPORT, 1), 0);
  EXPECT_EQ(n.bind(p1, sa(a), length_of(a)), -EADDRINUSE);  // the other did not ask for it
  const std::uint16_t shared = this->bind_any(p1);
  const sockaddr_in b = v4(shared);
  EXPECT_EQ(n.bind(p2, sa(b), length_of(b)), 0);
  EXPECT_EQ(n.listen(p1, 1), 0);
  EXPECT_EQ(n.listen(p2, 1), 0);
  this->close_all({l, again, p1, p2});
}

TYPED_TEST(PosixSameAsLinux, ConnectionsHoldTheirPort) {
  auto& n = this->net;
  for (const int reuse : {0, 1}) {
    SCOPED_TRACE(reuse);
    const int l = this->tcp();
    EXPECT_EQ(this->set(l, SOL_SOCKET, SO_REUSEADDR, reuse), 0);
    const sockaddr_in a = v4(this->bind_any(l));
    EXPECT_EQ(n.listen(l, 4), 0);
    const int c = this->tcp();
    EXPECT_EQ(n.connect(c, sa(a), length_of(a)), 0);
    const int s = n.accept(l, nullptr, nullptr);
    EXPECT_EQ(this->option(s, SOL_SOCKET, SO_REUSEADDR), reuse);
    EXPECT_EQ(n.close(l), 0);
    const auto try_listen = [&](const sockaddr_in& at, int own_reuse) {
      const int fd = this->tcp();
      EXPECT_EQ(this->set(fd, SOL_SOCKET, SO_REUSEADDR, own_reuse), 0);
      const int bound = n.bind(fd, sa(at), length_of(at));
      const int r = bound != 0 ? bound : n.listen(fd, 1);
      EXPECT_EQ(n.close(fd), 0);
      return r;
    };
    const sockaddr_in any = v4(ntohs(a.sin_port), "0.0.0.0");
    const sockaddr_in other = v4(ntohs(a.sin_port), "127.0.0.2");
    const int shared = reuse == 1 ? 0 : -EADDRINUSE;
    for (const sockaddr_in& at : {a, any}) {
      EXPECT_EQ(try_listen(at, 0), -EADDRINUSE);
      EXPECT_EQ(try_listen(at, 1), shared);
    }
    EXPECT_EQ(try_listen(other, 0), 0);
    EXPECT_EQ(try_listen(v4(this->port_of(c)), 0), -EADDRINUSE);  // who connects holds one, too
    EXPECT_EQ(n.close(s), 0);                                     // first: the TIME-WAIT is here
    char b = 0;
    EXPECT_EQ(n.recv(c, &b, 1, 0), 0);
    EXPECT_EQ(n.close(c), 0);
    EXPECT_EQ(n.poll(nullptr, 0, 2), 0);
    EXPECT_EQ(try_listen(a, 0), -EADDRINUSE);
    EXPECT_EQ(try_listen(a, 1), shared);
  }
}

TYPED_TEST(PosixSameAsLinux, AListenerThatStoppedFindsItsConnectionsInTheWay) {
  auto& n = this->net;
  const int other = this->tcp();
  const sockaddr_in a = v4(this->bind_any(other));
  const int l = this->tcp();
  this->close_all({other});
  EXPECT_EQ(n.bind(l, sa(a), length_of(a)), 0);  // to a port of its own choice, which it keeps
  EXPECT_EQ(n.listen(l, 1), 0);
  const int c = this->tcp();
  EXPECT_EQ(n.connect(c, sa(a), length_of(a)), 0);
  const int s = n.accept(l, nullptr, nullptr);
  EXPECT_EQ(n.shutdown(l, SHUT_RD), 0);
  EXPECT_EQ(n.listen(l, 1), -EADDRINUSE);
  this->close_all({c, s, l});
}

TYPED_TEST(PosixSameAsLinux, Listen) {
  auto& n = this->net;
  const int u = this->udp();
  EXPECT_EQ(n.listen(u, 1), -EOPNOTSUPP);
  EXPECT_EQ(n.accept(u, nullptr, nullptr), -EOPNOTSUPP);
  const int s = this->tcp(SOCK_NONBLOCK);
  EXPECT_EQ(n.listen(s, 1), 0);  // a port is chosen
  EXPECT_NE(this->port_of(s), 0);
  EXPECT_EQ(n.listen(s, 5), 0);
  EXPECT_EQ(n.accept(s, nullptr, nullptr), -EAGAIN);
  EXPECT_EQ(n.accept4(s, nullptr, nullptr, 0x4000000), -EINVAL);
  EXPECT_EQ(this->option(s, SOL_SOCKET, SO_ACCEPTCONN), 1);
  sockaddr_in a = v4(this->port_of(s));
  socklen_t len = length_of(a);
  EXPECT_EQ(n.connect(s, sa(a), length_of(a)), -EISCONN);
  EXPECT_EQ(n.getpeername(s, sa(a), &len), -ENOTCONN);
  char b = 0;
  EXPECT_EQ(n.send(s, &b, 1, MSG_NOSIGNAL), -EPIPE);
  EXPECT_EQ(n.recv(s, &b, 1, 0), -ENOTCONN);
  EXPECT_EQ(this->wait_for(s, POLLIN | POLLOUT, 0), 0);
  int v = 0;
  EXPECT_EQ(n.ioctl(s, FIONREAD, &v), -EINVAL);
  this->close_all({u, s});
}

TYPED_TEST(PosixSameAsLinux, ConnectBlocking) {
  auto& n = this->net;
  std::uint16_t port = 0;
  const int l = this->listener(port);
  const int c = this->tcp();
  sockaddr_in a = v4(port);
  EXPECT_EQ(n.connect(c, sa(a), 4), -EINVAL);
  const sockaddr_in6 six = v6(port);
  EXPECT_EQ(n.connect(c, sa(six), length_of(six)), -EAFNOSUPPORT);
  EXPECT_EQ(n.connect(c, sa(a), length_of(a)), 0);
  EXPECT_EQ(n.connect(c, sa(a), length_of(a)), -EISCONN);
  EXPECT_EQ(n.listen(c, 1), -EINVAL);
  EXPECT_EQ(n.bind(c, sa(a), length_of(a)), -EINVAL);
  EXPECT_EQ(n.accept(c, nullptr, nullptr), -EINVAL);
  sockaddr_in from{};
  socklen_t len = length_of(from);
  const int s = n.accept(l, sa(from), &len);
  ASSERT_GE(s, 0);
  EXPECT_EQ(len, length_of(from));
  EXPECT_EQ(ntohs(from.sin_port), this->port_of(c));
  EXPECT_EQ(from.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
  EXPECT_EQ(this->port_of(s), port);
  len = length_of(from);
  EXPECT_EQ(n.getpeername(c, sa(from), &len), 0);
  EXPECT_EQ(ntohs(from.sin_port), port);
  len = 4;  // what fits, and how long it is
  EXPECT_EQ(n.getpeername(c, sa(from), &len), 0);
  EXPECT_EQ(len, length_of(from));
  EXPECT_EQ(n.getpeername(c, nullptr, &len), -EFAULT);
  EXPECT_EQ(this->option(s, SOL_SOCKET, SO_ERROR), 0);
  EXPECT_EQ(this->wait_for(c, POLLIN | POLLOUT, 0), POLLOUT);
  this->close_all({c, s, l});
}

TYPED_TEST(PosixSameAsLinux, ConnectRefused) {
  auto& n = this->net;
  const int taken = this->tcp();
  const std::uint16_t port = this->bind_any(taken);  // bound, and nobody listens
  const sockaddr_in a = v4(port);
  const int c = this->tcp();
  EXPECT_EQ(n.connect(c, sa(a), length_of(a)), -ECONNREFUSED);
  EXPECT_EQ(n.connect(c, sa(a), length_of(a)), -ECONNREFUSED);  // once more
  EXPECT_EQ(this->option(c, SOL_SOCKET, SO_ERROR), 0);
  EXPECT_EQ(n.listen(taken, 1), 0);
  EXPECT_EQ(n.connect(c, sa(a), length_of(a)), 0);  // and now it works
  this->close_all({c, taken});
}

TYPED_TEST(PosixSameAsLinux, ConnectRefusedWithoutWaiting) {
  auto& n = this->net;
  const int taken = this->tcp();
  const sockaddr_in a = v4(this->bind_any(taken));
  const int c = this->tcp(SOCK_NONBLOCK);
  EXPECT_EQ(n.connect(c, sa(a), length_of(a)), -EINPROGRESS);
  EXPECT_EQ(this->wait_for(c, POLLIN | POLLOUT), POLLIN | POLLOUT | POLLERR | POLLHUP);
  EXPECT_EQ(this->option(c, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
  EXPECT_EQ(this->option(c, SOL_SOCKET, SO_ERROR), 0);
  EXPECT_EQ(n.connect(c, sa(a), length_of(a)), -ECONNABORTED);  // Linux tells so once
  EXPECT_EQ(n.connect(c, sa(a), length_of(a)), -EINPROGRESS);
  EXPECT_EQ(this->wait_for(c, POLLOUT) & POLLERR, POLLERR);
  EXPECT_EQ(n.connect(c, sa(a), length_of(a)), -ECONNREFUSED);
  this->close_all({c, taken});
}

TYPED_TEST(PosixSameAsLinux, ConnectWithoutWaiting) {
  auto& n = this->net;
  std::uint16_t port = 0;
  const int l = this->listener(port);
  const sockaddr_in a = v4(port);
  const int c = this->tcp(SOCK_NONBLOCK);
  EXPECT_EQ(n.connect(c, sa(a), length_of(a)), -EINPROGRESS);
  EXPECT_EQ(this->wait_for(c, POLLOUT), POLLOUT);
  EXPECT_EQ(this->option(c, SOL_SOCKET, SO_ERROR), 0);
  EXPECT_EQ(n.connect(c, sa(a), length_of(a)), 0);  // told once more
  EXPECT_EQ(n.connect(c, sa(a), length_of(a)), -EISCONN);
  this->close_all({c, l});
}

TYPED_TEST(PosixSameAsLinux, ConnectToAnyIsToThisHost) {
  auto& n = this->net;
  std::uint16_t port = 0;
  const int l = this->listener(port);
  const sockaddr_in a = v4(port, "0.0.0.0");
  const int c = this->tcp();
  EXPECT_EQ(n.connect(c, sa(a), length_of(a)), 0);
  sockaddr_in peer{};
  socklen_t len = length_of(peer);
  EXPECT_EQ(n.getpeername(c, sa(peer), &len), 0);
  EXPECT_EQ(peer.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
  this->close_all({c, l});
}

TYPED_TEST(PosixSameAsLinux, Disconnect) {
  auto& n = this->net;
  const auto p = this->connected();
  sockaddr unspecified{};
  unspecified.sa_family = AF_UNSPEC;
  EXPECT_EQ(n.connect(p.client, &unspecified, length_of(unspecified)), 0);
  char b = 0;
  sockaddr_in peer{};
  socklen_t len = length_of(peer);
  EXPECT_EQ(n.getpeername(p.client, sa(peer), &len), -ENOTCONN);
  EXPECT_EQ(n.recv(p.server, &b, 1, 0), -ECONNRESET);
  EXPECT_EQ(n.recv(p.server, &b, 1, 0), 0);
  const sockaddr_in a = v4(this->port_of(p.listener));
  EXPECT_EQ(n.connect(p.client, sa(a), length_of(a)), 0);
  this->close_all({p.client, p.server, p.listener});
}

TYPED_TEST(PosixSameAsLinux, DisconnectLeavesAnError) {
  auto& n = this->net;
  const auto p = this->connected();
  sockaddr unspecified{};
  unspecified.sa_family = AF_UNSPEC;
  EXPECT_EQ(n.connect(p.client, &unspecified, length_of(unspecified)), 0);
  EXPECT_EQ(this->wait_for(p.client, POLLIN | POLLOUT, 0), POLLOUT | POLLERR | POLLHUP);
  EXPECT_EQ(this->option(p.client, SOL_SOCKET, SO_ERROR), ECONNRESET);
  EXPECT_EQ(this->option(p.client, SOL_SOCKET, SO_ERROR), 0);
  EXPECT_EQ(this->wait_for(p.client, POLLIN | POLLOUT, 0), POLLOUT | POLLHUP);
  EXPECT_EQ(n.connect(p.server, &unspecified, length_of(unspecified)), 0);  // it has been reset
  char b = 0;
  EXPECT_EQ(n.recv(p.server, &b, 1, 0), -ECONNRESET);
  EXPECT_EQ(n.recv(p.server, &b, 1, 0), -ENOTCONN);
  // An attempt that failed and was not asked about; and a new one, which forgets it.
  const int taken = this->tcp();
  const sockaddr_in a = v4(this->bind_any(taken));
  const int c = this->tcp(SOCK_NONBLOCK);
  EXPECT_EQ(n.connect(c, sa(a), length_of(a)), -EINPROGRESS);
  EXPECT_NE(this->wait_for(c, POLLOUT) & POLLERR, 0);
  EXPECT_EQ(n.connect(c, &unspecified, length_of(unspecified)), 0);
  EXPECT_EQ(n.listen(taken, 1), 0);
  EXPECT_EQ(n.connect(c, sa(a), length_of(a)), -EINPROGRESS);
  EXPECT_EQ(this->wait_for(c, POLLOUT), POLLOUT);
  EXPECT_EQ(this->option(c, SOL_SOCKET, SO_ERROR), 0);
  EXPECT_EQ(n.connect(c, &unspecified, length_of(unspecified)), 0);
  EXPECT_EQ(n.connect(c, &unspecified, length_of(unspecified)), 0);  // again: there is nothing more to end
  EXPECT_EQ(this->option(c, SOL_SOCKET, SO_ERROR), ECONNRESET);
  this->close_all({p.client, p.server, p.listener, taken, c});
}

// RFC 9293 3.5: both ends of a simultaneous open are one socket.
TYPED_TEST(PosixSameAsLinux, AStreamMayConnectToItself) {
  auto& n = this->net;
  const int s = this->tcp();
  const sockaddr_in a = v4(this->bind_any(s));
  EXPECT_EQ(n.connect(s, sa(a), length_of(a)), 0);
  EXPECT_EQ(n.send(s, "me", 2, 0), 2);
  std::array<char, 8> got{};
  EXPECT_EQ(n.recv(s, got.data(), got.size(), 0), 2);
  EXPECT_EQ(n.shutdown(s, SHUT_WR), 0);
  EXPECT_EQ(n.recv(s, got.data(), got.size(), 0), 0);
  this->close_all({s});
}

TYPED_TEST(PosixSameAsLinux, StreamTransfer) {
  auto& n = this->net;
  const auto p = this->connected();
  char b[64] = {};
  EXPECT_EQ(n.recv(p.server, b, length_of(b), MSG_DONTWAIT), -EAGAIN);
  EXPECT_EQ(n.send(p.client, "hello world", 11, 0), 11);
  EXPECT_EQ(this->wait_for(p.server, POLLIN), POLLIN);
  int pending = 0;
  EXPECT_EQ(n.ioctl(p.server, FIONREAD, &pending), 0);
  EXPECT_EQ(pending, 11);
  EXPECT_EQ(n.recv(p.server, b, 5, MSG_PEEK), 5);
  EXPECT_EQ(n.recv(p.server, b, 64, MSG_PEEK), 11);
  EXPECT_EQ(n.recv(p.server, b, 0, 0), 0);
  EXPECT_EQ(n.recv(p.server, b, 5, 0), 5);
  EXPECT_EQ(std::string(b, 5), "hello");
  EXPECT_EQ(n.recv(p.server, b, 2, MSG_TRUNC), 2);  // taken and not shown
  EXPECT_EQ(std::string(b, 5), "hello");
  sockaddr_in from{};
  socklen_t len = length_of(from);
  EXPECT_EQ(n.recvfrom(p.server, b, length_of(b), 0, sa(from), &len), 4);
  EXPECT_EQ(std::string(b, 4), "orld");
  EXPECT_EQ(len, 0U);  // a stream tells no address
  EXPECT_EQ(n.recv(p.server, b, 0, MSG_DONTWAIT), -EAGAIN);
  EXPECT_EQ(n.read(p.server, b, 0), 0);
  EXPECT_EQ(n.send(p.client, b, 0, 0), 0);
  EXPECT_EQ(n.write(p.client, b, 0), 0);
  iovec out[3] = {{const_cast<char*>("ab"), 2}, {nullptr, 0}, {const_cast<char*>("cde"), 3}};
  EXPECT_EQ(n.writev(p.client, out, 3), 5);
  EXPECT_EQ(n.writev(p.client, out, 0), 0);
  EXPECT_EQ(n.writev(p.client, out, -1), -EINVAL);
  EXPECT_EQ(n.writev(p.client, out, 2000), -EINVAL);
  char c[8] = {};
  iovec in[2] = {{b, 3}, {c, 8}};
  EXPECT_EQ(n.recv(p.server, b, 5, MSG_WAITALL | MSG_PEEK), 5);
  EXPECT_EQ(n.readv(p.server, in, 2), 5);
  EXPECT_EQ(std::string(b, 3), "abc");
  EXPECT_EQ(std::string(c, 2), "de");
  EXPECT_EQ(n.recv(p.server, b, 1, MSG_OOB), -EINVAL);
  EXPECT_EQ(n.recv(p.server, b, 1, MSG_ERRQUEUE), -EAGAIN);
  this->close_all({p.client, p.server, p.listener});
}

TYPED_TEST(PosixSameAsLinux, EndOfStream) {
  auto& n = this->net;
  const auto p = this->connected();
  char b[8];
  EXPECT_EQ(n.send(p.client, "bye", 3, 0), 3);
  EXPECT_EQ(n.shutdown(p.client, SHUT_WR), 0);
  EXPECT_EQ(n.send(p.client, "x", 1, MSG_NOSIGNAL), -EPIPE);
  EXPECT_EQ(n.shutdown(p.client, SHUT_WR), 0);
  EXPECT_EQ(this->wait_for(p.server, POLLRDHUP), POLLRDHUP);
  EXPECT_EQ(this->wait_for(p.server, POLLIN | POLLRDHUP | POLLOUT), POLLIN | POLLRDHUP | POLLOUT);
  EXPECT_EQ(n.recv(p.server, b, 8, MSG_WAITALL), 3);
  EXPECT_EQ(n.recv(p.server, b, 8, 0), 0);
  EXPECT_EQ(n.recv(p.server, b, 8, MSG_DONTWAIT), 0);
  EXPECT_EQ(n.send(p.server, "still", 5, 0), 5);  // half-closed
  EXPECT_EQ(n.recv(p.client, b, 8, 0), 5);
  EXPECT_EQ(n.shutdown(p.client, SHUT_RD), 0);
  EXPECT_EQ(n.recv(p.client, b, 8, 0), 0);
  this->close_all({p.client, p.server, p.listener});
}

TYPED_TEST(PosixSameAsLinux, WhatComesBeforeAndAfterTheEndOfReadingIsRead) {
  auto& n = this->net;
  const auto p = this->connected();
  std::array<char, 8> b{};
  EXPECT_EQ(n.send(p.client, "before", 6, 0), 6);
  EXPECT_EQ(this->wait_for(p.server, POLLIN), POLLIN);
  EXPECT_EQ(n.shutdown(p.server, SHUT_RD), 0);
  EXPECT_EQ(this->wait_for(p.server, POLLIN | POLLOUT | POLLRDHUP, 0), POLLIN | POLLOUT | POLLRDHUP);
  EXPECT_EQ(n.recv(p.server, b.data(), 4, 0), 4);
  EXPECT_EQ(n.recv(p.server, b.data(), 8, MSG_WAITALL), 2);
  EXPECT_EQ(n.recv(p.server, b.data(), 8, 0), 0);
  EXPECT_EQ(n.recv(p.server, b.data(), 8, MSG_DONTWAIT), 0);
  EXPECT_EQ(this->wait_for(p.server, POLLIN | POLLRDHUP, 0), POLLIN | POLLRDHUP);
  EXPECT_EQ(n.send(p.client, "after", 5, 0), 5);
  int waiting = 0;
  for (int i = 0; waiting == 0 && i < 1000; ++i) {
    EXPECT_EQ(n.poll(nullptr, 0, 1), 0);
    EXPECT_EQ(n.ioctl(p.server, FIONREAD, &waiting), 0);
  }
  EXPECT_EQ(n.recv(p.server, b.data(), 8, MSG_PEEK), 5);
  EXPECT_EQ(n.recv(p.server, b.data(), 8, 0), 5);
  EXPECT_EQ(std::string(b.data(), 5), "after");
  EXPECT_EQ(n.recv(p.server, b.data(), 8, 0), 0);
  EXPECT_EQ(n.send(p.server, "still", 5, 0), 5);
  EXPECT_EQ(n.recv(p.client, b.data(), 8, 0), 5);
  EXPECT_EQ(n.shutdown(p.server, SHUT_RD), 0);
  this->close_all({p.client, p.server, p.listener});
}

TYPED_TEST(PosixSameAsLinux, WhatComesForWhoHasShutBothWaysIsReset) {
  auto& n = this->net;
  const auto p = this->connected();
  std::array<char, 8> b{};
  EXPECT_EQ(n.send(p.client, "before", 6, 0), 6);
  EXPECT_EQ(this->wait_for(p.server, POLLIN), POLLIN);
  EXPECT_EQ(n.shutdown(p.server, SHUT_RDWR), 0);
  EXPECT_EQ(this->wait_for(p.server, POLLIN | POLLOUT | POLLRDHUP, 0), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
  EXPECT_EQ(n.recv(p.server, b.data(), 8, 0), 6);
  EXPECT_EQ(n.recv(p.server, b.data(), 8, 0), 0);
  EXPECT_EQ(n.recv(p.client, b.data(), 8, 0), 0);
  EXPECT_EQ(n.send(p.client, "late", 4, 0), 4);
  for (int i = 0; this->wait_for(p.client, 0, 1) == 0 && i < 1000; ++i) continue;
  EXPECT_EQ(this->wait_for(p.client, 0, 0), POLLERR | POLLHUP);
  EXPECT_EQ(this->option(p.client, SOL_SOCKET, SO_ERROR), EPIPE);
  EXPECT_EQ(this->option(p.server, SOL_SOCKET, SO_ERROR), ECONNRESET);
  EXPECT_EQ(n.recv(p.server, b.data(), 8, 0), 0);
  EXPECT_EQ(n.send(p.server, "x", 1, MSG_NOSIGNAL), -EPIPE);
  this->close_all({p.client, p.server, p.listener});
}

// Both ways are over when both were shut, not when the peer has heard of it.
TYPED_TEST(PosixSameAsLinux, HangsUpBeforeItsFinIsAcknowledged) {
  auto& n = this->net;
  const auto [client, server, l] = this->connected();
  EXPECT_EQ(this->set(server, IPPROTO_IP, IP_MINTTL, 255), 0);  // deaf from now on
  EXPECT_EQ(n.shutdown(server, SHUT_WR), 0);
  EXPECT_EQ(this->wait_for(client, POLLRDHUP), POLLRDHUP);
  EXPECT_EQ(this->wait_for(client, 0, 0), 0);
  EXPECT_EQ(n.shutdown(client, SHUT_WR), 0);
  EXPECT_EQ(this->wait_for(client, 0), POLLHUP);
  this->close_all({client, server, l});
}

TYPED_TEST(PosixSameAsLinux, Reset) {
  auto& n = this->net;
  const auto p = this->connected();
  const linger hard{1, 0};
  EXPECT_EQ(n.setsockopt(p.client, SOL_SOCKET, SO_LINGER, &hard, length_of(hard)), 0);
  EXPECT_EQ(n.close(p.client), 0);
  char b = 0;
  EXPECT_EQ(this->wait_for(p.server, POLLIN | POLLOUT | POLLRDHUP), POLLIN | POLLOUT | POLLRDHUP | POLLERR | POLLHUP);
  EXPECT_EQ(n.recv(p.server, &b, 1, 0), -ECONNRESET);
  EXPECT_EQ(n.recv(p.server, &b, 1, 0), 0);
  EXPECT_EQ(n.send(p.server, &b, 1, MSG_NOSIGNAL), -EPIPE);
  EXPECT_EQ(n.shutdown(p.server, SHUT_WR), -ENOTCONN);
  sockaddr_in a{};
  socklen_t len = length_of(a);
  EXPECT_EQ(n.getpeername(p.server, sa(a), &len), -ENOTCONN);
  this->close_all({p.server, p.listener});
}

TYPED_TEST(PosixSameAsLinux, ResetIsToldToTheWriterOnce) {
  auto& n = this->net;
  const auto p = this->connected();
  EXPECT_EQ(n.send(p.server, "x", 1, 0), 1);
  char b = 0;
  EXPECT_EQ(this->wait_for(p.client, POLLIN), POLLIN);
  EXPECT_EQ(n.close(p.client), 0);  // with unread data: a reset
  EXPECT_EQ(this->wait_for(p.server, POLLIN) & POLLERR, POLLERR);
  EXPECT_EQ(n.send(p.server, &b, 1, MSG_NOSIGNAL), -ECONNRESET);
  EXPECT_EQ(n.send(p.server, &b, 1, MSG_NOSIGNAL), -EPIPE);
  EXPECT_EQ(n.recv(p.server, &b, 1, 0), 0);
  this->close_all({p.server, p.listener});
}

TYPED_TEST(PosixSameAsLinux, ReceivingNothingIsWaitedForOnce) {
  const auto [client, server, l] = this->connected();
  const timeval moment{0, 20'000};
  EXPECT_EQ(this->net.setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &moment, length_of(moment)), 0);
  char octet = 0;
  EXPECT_EQ(this->net.recv(server, &octet, 0, MSG_DONTWAIT), -EAGAIN);
  EXPECT_EQ(this->net.recv(server, &octet, 0, 0), 0);
  EXPECT_EQ(this->net.recv(server, &octet, 1, 0), -EAGAIN);
  this->close_all({client, server, l});
}

TYPED_TEST(PosixSameAsLinux, RecvmmsgTellsAnErrorBeforeWhatIsThere) {
  const auto [client, server, l] = this->connected();
  EXPECT_EQ(this->net.send(server, "abc", 3, 0), 3);
  const linger at_once{1, 0};
  EXPECT_EQ(this->net.setsockopt(server, SOL_SOCKET, SO_LINGER, &at_once, length_of(at_once)), 0);
  EXPECT_EQ(this->wait_for(client, POLLIN), POLLIN);
  EXPECT_EQ(this->net.close(server), 0);
  EXPECT_NE(this->wait_for(client, POLLERR) & POLLERR, 0);
  char to[8];  // NOLINT(modernize-avoid-c-arrays)
  iovec piece{&to[0], sizeof to};
  mmsghdr one{};
  one.msg_hdr.msg_iov = &piece;
  one.msg_hdr.msg_iovlen = 1;
  EXPECT_EQ(this->net.recvmmsg(client, &one, 1U, 0, nullptr), -ECONNRESET);
  this->close_all({client, l});
}

TYPED_TEST(PosixSameAsLinux, AcceptedSocketsWaitAsLongAsTheirListener) {
  auto& n = this->net;
  std::uint16_t port = 0;
  const int l = this->listener(port);
  const timeval moment{0, 20'000}, longer{7, 0};
  EXPECT_EQ(n.setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &moment, length_of(moment)), 0);
  EXPECT_EQ(n.setsockopt(l, SOL_SOCKET, SO_SNDTIMEO, &longer, length_of(longer)), 0);
  const int c = this->tcp();
  const sockaddr_in a = v4(port);
  EXPECT_EQ(n.connect(c, sa(a), length_of(a)), 0);
  const int s = n.accept(l, nullptr, nullptr);
  char octet = 0;
  EXPECT_EQ(n.recv(s, &octet, 1, 0), -EAGAIN);
  timeval told{};
  socklen_t length = length_of(told);
  EXPECT_EQ(n.getsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &told, &length), 0);
  EXPECT_EQ(told.tv_sec, 7);
  this->close_all({s, c, l});
}

// A backlog of none is one connection, a negative one as many as there may be.
TYPED_TEST(PosixSameAsLinux, BacklogOfNoneAndOfAll) {
  auto& n = this->net;
  for (const int backlog : {0, -1}) {
    const int l = this->tcp();
    const sockaddr_in a = v4(this->bind_any(l));
    EXPECT_EQ(n.listen(l, backlog), 0);
    std::vector<int> clients;
    int made = 0;
    for (int i = 0; i < 10; ++i) {
      clients.push_back(this->tcp(SOCK_NONBLOCK));
      EXPECT_EQ(n.connect(clients.back(), sa(a), length_of(a)), -EINPROGRESS);
      if (this->wait_for(clients.back(), POLLOUT, backlog < 0 ? 2000 : 10) == POLLOUT) ++made;
    }
    EXPECT_EQ(made, backlog < 0 ? 10 : 1);
    for (const int c : clients) this->close_all({c});
    this->close_all({l});
  }
}

TYPED_TEST(PosixSameAsLinux, SegmentSizeOfAConnectionThatNobodyWaitedFor) {
  auto& n = this->net;
  std::uint16_t port = 0;
  const int l = this->listener(port);
  const int c = this->tcp(SOCK_NONBLOCK);
  EXPECT_EQ(this->option(c, IPPROTO_TCP, TCP_MAXSEG), 536);
  const sockaddr_in a = v4(port);
  EXPECT_EQ(n.connect(c, sa(a), length_of(a)), -EINPROGRESS);
  EXPECT_EQ(this->wait_for(c, POLLOUT), POLLOUT);
  EXPECT_EQ(this->option(c, SOL_SOCKET, SO_ERROR), 0);
  EXPECT_GT(this->option(c, IPPROTO_TCP, TCP_MAXSEG), 1000);
  this->close_all({c, l});
}

TYPED_TEST(PosixSameAsLinux, WritingNothing) {
  auto& n = this->net;
  std::signal(SIGPIPE, SIG_DFL);
  char none = 0;
  const iovec empty{&none, 0};
  const int fresh = this->tcp();
  EXPECT_EQ(n.writev(fresh, &empty, 1), 0);
  const int to = this->udp(SOCK_NONBLOCK), from = this->udp();
  const sockaddr_in a = v4(this->bind_any(to));
  EXPECT_EQ(n.connect(from, sa(a), length_of(a)), 0);
  EXPECT_EQ(n.writev(from, &empty, 1), 0);
  EXPECT_EQ(this->wait_for(to, POLLIN, 20), 0);
  EXPECT_EQ(n.write(from, &none, 0), 0);  // an empty datagram
  EXPECT_EQ(this->wait_for(to, POLLIN), POLLIN);
  this->close_all({fresh, to, from});
}

}  // namespace
}  // namespace leat::test
