// What sockets of every kind can be asked and told, on Linux and on Leat: SOL_SOCKET, duplicates, many messages at
// once.

#include "tests/posix/same_program.hpp"

namespace leat::test {
namespace {

TYPED_TEST_SUITE(PosixOptions, Backends, BackendNames);

TYPED_TEST(PosixOptions, SocketLevel) {
  auto& n = this->net;
  const int s = this->tcp();
  const int u = this->udp6();
  EXPECT_EQ(this->option(s, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
  EXPECT_EQ(this->option(u, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
  EXPECT_EQ(this->option(s, SOL_SOCKET, SO_DOMAIN), AF_INET);
  EXPECT_EQ(this->option(u, SOL_SOCKET, SO_DOMAIN), AF_INET6);
  EXPECT_EQ(this->option(s, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
  EXPECT_EQ(this->option(u, SOL_SOCKET, SO_PROTOCOL), IPPROTO_UDP);
  EXPECT_EQ(this->option(s, SOL_SOCKET, SO_ACCEPTCONN), 0);
  EXPECT_EQ(this->option(s, SOL_SOCKET, SO_ERROR), 0);
  for (const int name : {SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ACCEPTCONN, SO_ERROR}) {
    EXPECT_EQ(this->set(s, SOL_SOCKET, name, 1), -ENOPROTOOPT) << name;
  }
  for (const int name : {SO_REUSEADDR, SO_REUSEPORT, SO_KEEPALIVE, SO_BROADCAST, SO_OOBINLINE, SO_DONTROUTE}) {
    SCOPED_TRACE(name);
    EXPECT_EQ(this->option(s, SOL_SOCKET, name), 0);
    EXPECT_EQ(this->set(s, SOL_SOCKET, name, 7), 0);
    EXPECT_EQ(this->option(s, SOL_SOCKET, name), 1);
    EXPECT_EQ(this->set(s, SOL_SOCKET, name, 0), 0);
    EXPECT_EQ(this->option(s, SOL_SOCKET, name), 0);
  }
  char octet = 1;
  EXPECT_EQ(n.setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &octet, 1), -EINVAL);
  EXPECT_EQ(n.setsockopt(s, SOL_SOCKET, SO_REUSEADDR, nullptr, 4), -EFAULT);
  EXPECT_EQ(this->set(s, SOL_SOCKET, 9999, 1), -ENOPROTOOPT);
  EXPECT_EQ(this->option(s, SOL_SOCKET, 9999), -ENOPROTOOPT);
  EXPECT_EQ(this->set(s, 9999, 1, 1), -ENOPROTOOPT);
  EXPECT_EQ(this->option(s, 9999, 1), -EOPNOTSUPP);
  this->close_all({s, u});
}

TYPED_TEST(PosixOptions, Buffers) {
  const int s = this->tcp();
  EXPECT_EQ(this->set(s, SOL_SOCKET, SO_RCVBUF, 20000), 0);
  EXPECT_EQ(this->option(s, SOL_SOCKET, SO_RCVBUF), 40000);
  EXPECT_EQ(this->set(s, SOL_SOCKET, SO_SNDBUF, 20000), 0);
  EXPECT_EQ(this->option(s, SOL_SOCKET, SO_SNDBUF), 40000);
  EXPECT_EQ(this->set(s, SOL_SOCKET, SO_RCVBUF, 1), 0);
  EXPECT_EQ(this->option(s, SOL_SOCKET, SO_RCVBUF), 2304);
  EXPECT_EQ(this->set(s, SOL_SOCKET, SO_SNDBUF, 0), 0);
  EXPECT_EQ(this->option(s, SOL_SOCKET, SO_SNDBUF), 4608);
  EXPECT_EQ(this->option(s, SOL_SOCKET, SO_RCVLOWAT), 1);
  EXPECT_EQ(this->set(s, SOL_SOCKET, SO_RCVLOWAT, 0), 0);
  EXPECT_EQ(this->option(s, SOL_SOCKET, SO_RCVLOWAT), 1);
  this->close_all({s});
}

TYPED_TEST(PosixOptions, LingerAndTimes) {
  auto& n = this->net;
  const int s = this->tcp();
  linger l{9, 9};
  socklen_t len = length_of(l);
  EXPECT_EQ(n.getsockopt(s, SOL_SOCKET, SO_LINGER, &l, &len), 0);
  EXPECT_EQ(l.l_onoff, 0);
  l = {1, 7};
  EXPECT_EQ(n.setsockopt(s, SOL_SOCKET, SO_LINGER, &l, length_of(l)), 0);
  EXPECT_EQ(n.setsockopt(s, SOL_SOCKET, SO_LINGER, &l, 4), -EINVAL);
  l = {};
  EXPECT_EQ(n.getsockopt(s, SOL_SOCKET, SO_LINGER, &l, &len), 0);
  EXPECT_EQ(l.l_onoff, 1);
  EXPECT_EQ(l.l_linger, 7);
  timeval t{1, 500'000};
  EXPECT_EQ(n.setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, length_of(t)), 0);
  t = {0, 2'000'000};
  EXPECT_EQ(n.setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, length_of(t)), -EDOM);
  EXPECT_EQ(n.setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &t, 8), -EINVAL);
  t = {};
  len = length_of(t);
  EXPECT_EQ(n.getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, &len), 0);
  EXPECT_EQ(t.tv_sec, 1);
  EXPECT_EQ(t.tv_usec / 100'000, 5);
  const int u = this->udp();
  t = {0, 20'000};
  EXPECT_EQ(n.setsockopt(u, SOL_SOCKET, SO_RCVTIMEO, &t, length_of(t)), 0);
  char b;
  EXPECT_EQ(n.recv(u, &b, 1, 0), -EAGAIN);
  std::uint16_t port = 0;
  const int listener = this->listener(port);
  EXPECT_EQ(n.setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &t, length_of(t)), 0);
  EXPECT_EQ(n.accept(listener, nullptr, nullptr), -EAGAIN);
  this->close_all({s, u, listener});
}

TYPED_TEST(PosixOptions, Duplicates) {
  auto& n = this->net;
  const int s = this->udp(SOCK_NONBLOCK | SOCK_CLOEXEC);
  const std::uint16_t port = this->bind_any(s);
  const int d = n.dup(s);
  ASSERT_GE(d, 0);
  EXPECT_NE(d, s);
  EXPECT_EQ(n.fcntl(d, F_GETFD, 0L), 0);                        // a descriptor's own
  EXPECT_EQ(n.fcntl(d, F_GETFL, 0L) & O_NONBLOCK, O_NONBLOCK);  // the description's
  EXPECT_EQ(n.fcntl(d, F_SETFL, 0L), 0);
  EXPECT_EQ(n.fcntl(s, F_GETFL, 0L) & O_NONBLOCK, 0);
  EXPECT_EQ(n.fcntl(d, F_SETFL, long{O_NONBLOCK}), 0);
  EXPECT_EQ(n.fcntl(d, F_SETFD, long{FD_CLOEXEC}), 0);
  EXPECT_EQ(n.fcntl(d, F_GETFD, 0L), FD_CLOEXEC);
  EXPECT_EQ(this->port_of(d), port);
  EXPECT_EQ(n.close(s), 0);
  const int other = this->udp();
  const sockaddr_in to = v4(port);
  EXPECT_EQ(n.sendto(other, "x", 1, 0, sa(to), length_of(to)), 1);
  EXPECT_EQ(this->wait_for(d, POLLIN), POLLIN);
  char b;
  EXPECT_EQ(n.recv(d, &b, 1, 0), 1);
  const int at = n.fcntl(d, F_DUPFD_CLOEXEC, 150L);
  EXPECT_GE(at, 150);
  EXPECT_EQ(n.dup2(d, 140), 140);
  EXPECT_EQ(this->port_of(140), port);
  EXPECT_EQ(n.dup2(other, 140), 140);  // another takes its place
  EXPECT_NE(this->port_of(140), port);
  EXPECT_EQ(n.dup2(d, d), d);
  EXPECT_EQ(n.dup3(d, d, 0), -EINVAL);
  EXPECT_EQ(n.dup3(d, 141, 0x1234), -EINVAL);
  EXPECT_EQ(n.fcntl(d, F_DUPFD, -1L), -EINVAL);
  EXPECT_EQ(n.fcntl(d, 12345, 0L), -EINVAL);
  this->close_all({d, at, 140, other});
}

TYPED_TEST(PosixOptions, NonBlockingByIoctl) {
  auto& n = this->net;
  const int s = this->udp();
  int on = 1;
  EXPECT_EQ(n.ioctl(s, FIONBIO, &on), 0);
  EXPECT_EQ(n.fcntl(s, F_GETFL, 0L), O_RDWR | O_NONBLOCK);
  char b;
  EXPECT_EQ(n.recv(s, &b, 1, 0), -EAGAIN);
  on = 0;
  EXPECT_EQ(n.ioctl(s, FIONBIO, &on), 0);
  EXPECT_EQ(n.fcntl(s, F_GETFL, 0L), O_RDWR);
  EXPECT_EQ(n.ioctl(s, 0x1234, &on), -ENOTTY);
  EXPECT_EQ(n.ioctl(s, FIONREAD, &on), 0);
  EXPECT_EQ(on, 0);
  this->close_all({s});
}

TYPED_TEST(PosixOptions, ManyMessagesInOneCall) {
  auto& n = this->net;
  const int r = this->udp(SOCK_NONBLOCK);
  const sockaddr_in to = v4(this->bind_any(r));
  const int s = this->udp();
  EXPECT_EQ(n.connect(s, sa(to), length_of(to)), 0);
  std::array<std::string, 3> text{"a", "bb", "ccc"};
  std::array<iovec, 3> parts{};
  std::array<mmsghdr, 3> m{};
  for (std::size_t i = 0; i < 3; ++i) {
    parts[i] = {text[i].data(), text[i].size()};
    m[i].msg_hdr.msg_iov = &parts[i];
    m[i].msg_hdr.msg_iovlen = 1;
  }
  EXPECT_EQ(n.sendmmsg(s, m.data(), 3U, 0), 3);
  EXPECT_EQ(m[2].msg_len, 3U);
  EXPECT_EQ(n.sendmmsg(s, m.data(), 0U, 0), 0);
  EXPECT_EQ(this->wait_for(r, POLLIN), POLLIN);
  EXPECT_EQ(n.recvmmsg(r, m.data(), 2U, 0, nullptr), 2);
  EXPECT_EQ(m[0].msg_len, 1U);
  EXPECT_EQ(m[1].msg_len, 2U);
  EXPECT_EQ(n.recvmmsg(r, m.data(), 3U, MSG_WAITFORONE, nullptr), 1);
  EXPECT_EQ(n.recvmmsg(r, m.data(), 3U, 0, nullptr), -EAGAIN);
  timespec bad{0, -1};
  EXPECT_EQ(n.recvmmsg(r, m.data(), 3U, 0, &bad), -EINVAL);
  text = {"a", "bb", "ccc"};
  // Several parts make one datagram, and one datagram fills several parts.
  std::array<iovec, 2> two{iovec{text[0].data(), 1}, iovec{text[2].data(), 3}};
  EXPECT_EQ(n.writev(s, two.data(), 2), 4);
  EXPECT_EQ(this->wait_for(r, POLLIN), POLLIN);
  std::array<char, 3> x{}, y{};
  std::array<iovec, 2> in{iovec{x.data(), 3}, iovec{y.data(), 3}};
  EXPECT_EQ(n.readv(r, in.data(), 2), 4);
  EXPECT_EQ(std::string(x.data(), 3), "acc");
  EXPECT_EQ(y[0], 'c');
  this->close_all({r, s});
}

// SO_RXQ_OVFL: how many datagrams found no room.
TYPED_TEST(PosixOptions, MissedDatagramsAreCounted) {
  auto& n = this->net;
  const int r = this->udp(SOCK_NONBLOCK);
  const sockaddr_in to = v4(this->bind_any(r));
  EXPECT_EQ(this->set(r, SOL_SOCKET, SO_RXQ_OVFL, 1), 0);
  EXPECT_EQ(this->option(r, SOL_SOCKET, SO_RXQ_OVFL), 1);
  EXPECT_EQ(this->set(r, SOL_SOCKET, SO_RCVBUF, 4000), 0);
  const int s = this->udp();
  std::array<char, 1000> data{};
  const auto send = [&] { return n.sendto(s, data.data(), data.size(), 0, sa(to), length_of(to)); };
  EXPECT_EQ(send(), 1000);
  EXPECT_EQ(this->wait_for(r, POLLIN), POLLIN);
  EXPECT_TRUE(receive_all_of(n, r, 0).beside.empty());  // nothing is missing
  for (int i = 0; i < 50; ++i) EXPECT_EQ(send(), 1000);
  EXPECT_EQ(this->wait_for(r, POLLIN), POLLIN);
  while (receive_all_of(n, r, 0).count > 0) continue;
  EXPECT_EQ(send(), 1000);
  EXPECT_EQ(this->wait_for(r, POLLIN), POLLIN);
  const Told t = receive_all_of(n, r, 0);
  ASSERT_EQ(t.beside.size(), 1U);
  EXPECT_EQ(t.beside[0].first, SO_RXQ_OVFL);
  EXPECT_GT(as<std::uint32_t>(t.beside[0].second), 20U);
  EXPECT_LT(as<std::uint32_t>(t.beside[0].second), 50U);
  this->close_all({r, s});
}

TYPED_TEST(PosixOptions, TimesOfDatagrams) {
  auto& n = this->net;
  const int r = this->udp();
  const sockaddr_in to = v4(this->bind_any(r));
  constexpr int kBySoftware = 1 << 3 | 1 << 4;  // SOF_TIMESTAMPING_RX_SOFTWARE, SOF_TIMESTAMPING_SOFTWARE
  EXPECT_EQ(this->set(r, SOL_SOCKET, SO_TIMESTAMPING, 1 << 30), -EINVAL);
  EXPECT_EQ(this->set(r, SOL_SOCKET, SO_TIMESTAMPING, kBySoftware), 0);
  EXPECT_EQ(this->option(r, SOL_SOCKET, SO_TIMESTAMPING), kBySoftware);
  timespec before{}, after{};
  ::clock_gettime(CLOCK_REALTIME, &before);
  Told t;
  for (int i = 0; i < 100 && t.beside.empty(); ++i) {  // Linux begins to stamp some time later
    EXPECT_EQ(this->wait_for(r, POLLIN, i), 0);
    EXPECT_EQ(n.sendto(r, "x", 1, 0, sa(to), length_of(to)), 1);
    t = receive_all_of(n, r, 0);
  }
  ::clock_gettime(CLOCK_REALTIME, &after);
  ASSERT_EQ(t.beside.size(), 1U);
  EXPECT_EQ(t.beside[0].first, SO_TIMESTAMPING);
  ASSERT_EQ(t.beside[0].second.size(), 3 * sizeof(timespec));
  const auto told = as<timespec>(t.beside[0].second);
  EXPECT_LE(std::pair(before.tv_sec, before.tv_nsec), std::pair(told.tv_sec, told.tv_nsec));
  EXPECT_LE(std::pair(told.tv_sec, told.tv_nsec), std::pair(after.tv_sec, after.tv_nsec));
  this->close_all({r});
}

TYPED_TEST(PosixOptions, LongSpans) {
  auto& n = this->net;
  const auto p = this->connected();
  std::string data(100, 'x');
  EXPECT_EQ(n.send(p.client, data.data(), 100, 0), 100);
  // Lengths that no buffer has: what is there is read, and the sum of a vector must be a ssize_t.
  std::vector<char> room(1 << 16);
  EXPECT_EQ(n.recv(p.server, room.data(), std::size_t{3} << 30, MSG_PEEK | MSG_DONTWAIT), 100);
  EXPECT_EQ(n.recv(p.server, room.data(), std::size_t{3} << 30, 0), 100);
  iovec bad[2] = {{room.data(), SIZE_MAX / 2 + 1}, {room.data(), 1}};
  EXPECT_EQ(n.readv(p.server, bad, 2), -EINVAL);
  EXPECT_EQ(n.writev(p.client, bad, 2), -EINVAL);
  std::vector<iovec> many(1025, iovec{room.data(), 0});
  msghdr m{};
  m.msg_iov = many.data();
  m.msg_iovlen = many.size();
  EXPECT_EQ(n.sendmsg(p.client, &m, 0), -EMSGSIZE);
  EXPECT_EQ(n.recvmsg(p.server, &m, 0), -EMSGSIZE);
  m.msg_iovlen = 1024;
  EXPECT_EQ(n.sendmsg(p.client, &m, 0), 0);
  this->close_all({p.client, p.server, p.listener});
}

TYPED_TEST(PosixOptions, ALevelThatTheSocketLacksIsRefusedAsByLinux) {
  const int t = this->tcp();
  const int u = this->udp();
  EXPECT_EQ(this->option(t, IPPROTO_IPV6, IPV6_UNICAST_HOPS), -EOPNOTSUPP);
  EXPECT_EQ(this->option(u, IPPROTO_IPV6, IPV6_RECVTCLASS), -EOPNOTSUPP);
  EXPECT_EQ(this->option(u, IPPROTO_TCP, TCP_NODELAY), -EOPNOTSUPP);
  EXPECT_EQ(this->set(u, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 1), -ENOPROTOOPT);
  if (this->has_v6()) {
    const int u6 = this->udp6();
    EXPECT_EQ(this->option(u6, IPPROTO_TCP, TCP_NODELAY), -ENOPROTOOPT);
    this->close_all({u6});
  }
  this->close_all({t, u});
}

}  // namespace
}  // namespace leat::test
