// Options, ancillary data, duplicates and other ways to say what a socket shall do, on Linux and on Leat.

#include <time.h>

// clang-format off: it needs what <time.h> declares.
#include <linux/errqueue.h>
// clang-format on

#include "tests/posix/same_program.hpp"

namespace leat::test {
namespace {

template <class Backend>
class PosixOptions : public SameProgram<Backend> {};
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

TYPED_TEST(PosixOptions, IpLevel) {
  auto& n = this->net;
  const int u = this->udp();
  EXPECT_EQ(this->option(u, IPPROTO_IP, IP_TTL), 64);
  EXPECT_EQ(this->set(u, IPPROTO_IP, IP_TTL, 5), 0);
  EXPECT_EQ(this->option(u, IPPROTO_IP, IP_TTL), 5);
  EXPECT_EQ(this->set(u, IPPROTO_IP, IP_TTL, 0), -EINVAL);
  EXPECT_EQ(this->set(u, IPPROTO_IP, IP_TTL, 256), -EINVAL);
  EXPECT_EQ(this->set(u, IPPROTO_IP, IP_TTL, -1), 0);
  EXPECT_EQ(this->option(u, IPPROTO_IP, IP_TTL), 64);
  EXPECT_EQ(this->set(u, IPPROTO_IP, IP_TOS, 0x28), 0);
  EXPECT_EQ(this->option(u, IPPROTO_IP, IP_TOS), 0x28);
  std::uint8_t octet = 3;
  EXPECT_EQ(n.setsockopt(u, IPPROTO_IP, IP_MULTICAST_TTL, &octet, 1), 0);
  socklen_t len = 1;
  octet = 0;
  EXPECT_EQ(n.getsockopt(u, IPPROTO_IP, IP_MULTICAST_TTL, &octet, &len), 0);
  EXPECT_EQ(octet, 3);
  EXPECT_EQ(len, 1U);
  EXPECT_EQ(this->option(u, IPPROTO_IP, IP_MULTICAST_LOOP), 1);
  EXPECT_EQ(this->set(u, IPPROTO_IP, IP_MULTICAST_LOOP, 0), 0);
  EXPECT_EQ(this->option(u, IPPROTO_IP, IP_MULTICAST_LOOP), 0);
  EXPECT_EQ(this->option(u, IPPROTO_IP, IP_MULTICAST_ALL), 1);
  EXPECT_EQ(this->option(u, IPPROTO_IP, IP_RECVERR), 0);
  EXPECT_EQ(this->option(u, IPPROTO_IP, IP_PKTINFO), 0);
  EXPECT_EQ(this->set(u, IPPROTO_IP, IP_PKTINFO, 1), 0);
  EXPECT_EQ(this->option(u, IPPROTO_IP, IP_PKTINFO), 1);
  EXPECT_EQ(this->set(u, IPPROTO_IP, IP_HDRINCL, 1), -ENOPROTOOPT);
  EXPECT_EQ(this->set(u, IPPROTO_IP, 60, 1), -ENOPROTOOPT);
  EXPECT_EQ(this->option(u, IPPROTO_IP, 60), -ENOPROTOOPT);
  EXPECT_EQ(this->set(u, IPPROTO_IPV6, IPV6_V6ONLY, 1), -ENOPROTOOPT);
  EXPECT_EQ(this->set(u, IPPROTO_TCP, TCP_NODELAY, 1), -ENOPROTOOPT);
  EXPECT_EQ(this->option(u, IPPROTO_TCP, TCP_NODELAY), -EOPNOTSUPP);
  this->close_all({u});
}

TYPED_TEST(PosixOptions, Ipv6Level) {
  if (!this->has_v6()) GTEST_SKIP() << "no IPv6 here";
  auto& n = this->net;
  const int u = this->udp6();
  EXPECT_EQ(this->option(u, IPPROTO_IPV6, IPV6_V6ONLY), 0);
  EXPECT_EQ(this->set(u, IPPROTO_IPV6, IPV6_V6ONLY, 1), 0);
  EXPECT_EQ(this->option(u, IPPROTO_IPV6, IPV6_V6ONLY), 1);
  EXPECT_EQ(this->set(u, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9), 0);
  EXPECT_EQ(this->option(u, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 9);
  EXPECT_EQ(this->set(u, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 256), -EINVAL);
  EXPECT_EQ(this->set(u, IPPROTO_IPV6, IPV6_UNICAST_HOPS, -1), 0);
  EXPECT_EQ(this->option(u, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 64);
  EXPECT_EQ(this->set(u, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 3), 0);
  EXPECT_EQ(this->option(u, IPPROTO_IPV6, IPV6_MULTICAST_HOPS), 3);
  EXPECT_EQ(this->set(u, IPPROTO_IPV6, IPV6_TCLASS, 0x40), 0);
  EXPECT_EQ(this->option(u, IPPROTO_IPV6, IPV6_TCLASS), 0x40);
  EXPECT_EQ(this->set(u, IPPROTO_IPV6, IPV6_TCLASS, 300), -EINVAL);
  EXPECT_EQ(this->set(u, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1), 0);
  EXPECT_EQ(this->option(u, IPPROTO_IPV6, IPV6_RECVPKTINFO), 1);
  const sockaddr_in6 a = v6(0);
  EXPECT_EQ(n.bind(u, sa(a), length_of(a)), 0);
  EXPECT_EQ(this->set(u, IPPROTO_IPV6, IPV6_V6ONLY, 0), -EINVAL);  // too late
  this->close_all({u});
}

TYPED_TEST(PosixOptions, TcpLevel) {
  auto& n = this->net;
  const auto p = this->connected();
  const int s = p.client;
  EXPECT_EQ(this->option(s, IPPROTO_TCP, TCP_NODELAY), 0);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_NODELAY, 5), 0);
  EXPECT_EQ(this->option(s, IPPROTO_TCP, TCP_NODELAY), 1);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_CORK, 1), 0);
  EXPECT_EQ(this->option(s, IPPROTO_TCP, TCP_CORK), 1);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_CORK, 0), 0);
  EXPECT_EQ(this->option(s, IPPROTO_TCP, TCP_KEEPIDLE), 7200);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_KEEPIDLE, 30), 0);
  EXPECT_EQ(this->option(s, IPPROTO_TCP, TCP_KEEPIDLE), 30);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_KEEPIDLE, 0), -EINVAL);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_KEEPIDLE, 40000), -EINVAL);
  EXPECT_EQ(this->option(s, IPPROTO_TCP, TCP_KEEPINTVL), 75);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_KEEPINTVL, 10), 0);
  EXPECT_EQ(this->option(s, IPPROTO_TCP, TCP_KEEPINTVL), 10);
  EXPECT_EQ(this->option(s, IPPROTO_TCP, TCP_KEEPCNT), 9);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_KEEPCNT, 128), -EINVAL);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_KEEPCNT, 3), 0);
  EXPECT_EQ(this->option(s, IPPROTO_TCP, TCP_KEEPCNT), 3);
  EXPECT_EQ(this->option(s, IPPROTO_TCP, TCP_SYNCNT), 6);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_SYNCNT, 0), -EINVAL);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000), 0);
  EXPECT_EQ(this->option(s, IPPROTO_TCP, TCP_USER_TIMEOUT), 5000);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_USER_TIMEOUT, -1), -EINVAL);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_MAXSEG, 10), -EINVAL);
  EXPECT_GT(this->option(s, IPPROTO_TCP, TCP_MAXSEG), 536);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, 250, 1), -ENOPROTOOPT);
  EXPECT_EQ(this->option(s, IPPROTO_TCP, 250), -ENOPROTOOPT);
  EXPECT_EQ(n.setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "nonsense", 8), -ENOENT);
  EXPECT_EQ(n.setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "reno", 4), 0);
  char name[16] = {};
  socklen_t len = length_of(name);
  EXPECT_EQ(n.getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
  EXPECT_STREQ(name, "reno");
  EXPECT_EQ(len, 16U);
  const int fresh = this->tcp();
  EXPECT_EQ(this->option(fresh, IPPROTO_TCP, TCP_MAXSEG), 536);
  EXPECT_EQ(n.setsockopt(s, IPPROTO_TCP, TCP_ULP, "nonsense", 8), -ENOENT);
  this->close_all({fresh, p.client, p.server, p.listener});
}

TYPED_TEST(PosixOptions, TcpInfo) {
  auto& n = this->net;
  const auto p = this->connected();
  std::string data(3000, 'x');
  EXPECT_EQ(n.send(p.client, data.data(), data.size(), 0), 3000);
  EXPECT_EQ(n.recv(p.server, data.data(), data.size(), MSG_WAITALL), 3000);
  tcp_info info{};
  socklen_t len = length_of(info);
  EXPECT_EQ(n.getsockopt(p.server, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
  EXPECT_EQ(len, length_of(info));
  EXPECT_EQ(info.tcpi_state, TCP_ESTABLISHED);
  EXPECT_EQ(info.tcpi_ca_state, TCP_CA_Open);
  EXPECT_EQ(info.tcpi_retransmits, 0);
  EXPECT_EQ(info.tcpi_backoff, 0);
  EXPECT_EQ(info.tcpi_options & (TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE),
            TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE);
  EXPECT_GT(info.tcpi_snd_wscale, 0);
  EXPECT_GT(info.tcpi_rcv_wscale, 0);
  EXPECT_GE(info.tcpi_snd_cwnd, 2U);
  EXPECT_EQ(info.tcpi_unacked, 0U);
  EXPECT_EQ(info.tcpi_lost, 0U);
  EXPECT_EQ(info.tcpi_total_retrans, 0U);
  EXPECT_GT(info.tcpi_snd_mss, 536U);
  EXPECT_GT(info.tcpi_advmss, 536U);
  EXPECT_GT(info.tcpi_pmtu, 1000U);
  EXPECT_GE(info.tcpi_rto, 200'000U);
  EXPECT_EQ(info.tcpi_snd_ssthresh, 0x7fffffffU);
  len = 8;  // a part of it
  EXPECT_EQ(n.getsockopt(p.server, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
  EXPECT_EQ(len, 8U);
  // What the C library's structure lacks, by its offset: tcpi_bytes_received at 128, tcpi_bytes_acked at 120.
  std::array<std::uint8_t, 512> raw{};
  len = length_of(raw);
  const auto at = [&](std::size_t offset) {
    std::uint64_t v = 0;
    std::memcpy(&v, &raw[offset], 8);
    return v;
  };
  EXPECT_EQ(n.getsockopt(p.server, IPPROTO_TCP, TCP_INFO, raw.data(), &len), 0);
  EXPECT_EQ(at(128), 3000U);
  EXPECT_GE(len, 232U);
  EXPECT_EQ(at(192) & 0xffffffffU, 1U) << "tcpi_delivered: its SYN";
  EXPECT_EQ(at(168), 0U) << "tcpi_busy_time: it has sent nothing";
  EXPECT_EQ(n.shutdown(p.client, SHUT_WR), 0);
  EXPECT_EQ(this->wait_for(p.server, POLLRDHUP), POLLRDHUP);
  EXPECT_EQ(n.getsockopt(p.server, IPPROTO_TCP, TCP_INFO, &info, &(len = length_of(info))), 0);
  EXPECT_EQ(info.tcpi_state, TCP_CLOSE_WAIT);
  EXPECT_EQ(n.getsockopt(p.listener, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
  EXPECT_EQ(info.tcpi_state, TCP_LISTEN);
  this->close_all({p.client, p.server, p.listener});
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

TYPED_TEST(PosixOptions, AncillaryDataOfDatagrams) {
  auto& n = this->net;
  const int r = this->udp();
  const sockaddr_in to = v4(this->bind_any(r));
  for (const int name : {IP_PKTINFO, IP_RECVTTL, IP_RECVTOS}) EXPECT_EQ(this->set(r, IPPROTO_IP, name, 1), 0);
  const int s = this->udp();
  EXPECT_EQ(this->set(s, IPPROTO_IP, IP_TTL, 33), 0);
  EXPECT_EQ(this->set(s, IPPROTO_IP, IP_TOS, 0x10), 0);
  EXPECT_EQ(n.sendto(s, "hello", 5, 0, sa(to), length_of(to)), 5);
  Told t = receive_all_of(n, r, 0);
  EXPECT_EQ(t.count, 5);
  EXPECT_EQ(t.flags, 0);
  EXPECT_EQ(t.from_length, sizeof(sockaddr_in));
  ASSERT_EQ(t.beside.size(), 3U);
  EXPECT_EQ(t.beside[0].first, IP_PKTINFO);
  EXPECT_EQ(as<in_pktinfo>(t.beside[0].second).ipi_addr.s_addr, htonl(INADDR_LOOPBACK));
  EXPECT_EQ(t.beside[1].first, IP_TTL);
  EXPECT_EQ(as<int>(t.beside[1].second), 33);
  EXPECT_EQ(t.beside[2].first, IP_TOS);
  EXPECT_EQ(t.beside[2].second, std::vector<std::uint8_t>{0x10});
  // One datagram sent differently.
  iovec part{const_cast<char*>("again"), 5};
  alignas(8) std::array<std::uint8_t, CMSG_SPACE(sizeof(int))> control{};
  msghdr m{};
  m.msg_name = const_cast<sockaddr_in*>(&to);
  m.msg_namelen = length_of(to);
  m.msg_iov = &part;
  m.msg_iovlen = 1;
  m.msg_control = control.data();
  m.msg_controllen = control.size();
  cmsghdr* const c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = IPPROTO_IP;
  c->cmsg_type = IP_TTL;
  c->cmsg_len = CMSG_LEN(sizeof(int));
  int ttl = 44;
  std::memcpy(CMSG_DATA(c), &ttl, sizeof ttl);
  EXPECT_EQ(n.sendmsg(s, &m, 0), 5);
  t = receive_all_of(n, r, 0, 64, 24);  // room for nothing whole
  EXPECT_EQ(t.flags, MSG_CTRUNC);
  EXPECT_EQ(n.sendmsg(s, &m, 0), 5);
  t = receive_all_of(n, r, 0, 3);
  EXPECT_EQ(t.count, 3);
  EXPECT_EQ(t.flags, MSG_TRUNC);
  ASSERT_EQ(t.beside.size(), 3U);
  EXPECT_EQ(as<int>(t.beside[1].second), 44);
  EXPECT_EQ(n.sendto(s, "x", 1, 0, sa(to), length_of(to)), 1);
  EXPECT_EQ(as<int>(receive_all_of(n, r, 0).beside[1].second), 33);  // as before
  ttl = 0;
  std::memcpy(CMSG_DATA(c), &ttl, sizeof ttl);
  EXPECT_EQ(n.sendmsg(s, &m, 0), -EINVAL);
  c->cmsg_len = 4;
  EXPECT_EQ(n.sendmsg(s, &m, 0), -EINVAL);
  this->close_all({r, s});
}

TYPED_TEST(PosixOptions, SourceOfOneDatagram) {
  auto& n = this->net;
  const int r = this->udp();
  const sockaddr_in to = v4(this->bind_any(r));
  const int s = this->udp();
  iovec part{const_cast<char*>("x"), 1};
  alignas(8) std::array<std::uint8_t, CMSG_SPACE(sizeof(in_pktinfo))> control{};
  msghdr m{};
  m.msg_name = const_cast<sockaddr_in*>(&to);
  m.msg_namelen = length_of(to);
  m.msg_iov = &part;
  m.msg_iovlen = 1;
  m.msg_control = control.data();
  m.msg_controllen = control.size();
  cmsghdr* const c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = IPPROTO_IP;
  c->cmsg_type = IP_PKTINFO;
  c->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
  in_pktinfo info{};
  inet_pton(AF_INET, "127.0.0.7", &info.ipi_spec_dst);
  std::memcpy(CMSG_DATA(c), &info, sizeof info);
  EXPECT_EQ(n.sendmsg(s, &m, 0), 1);
  sockaddr_in from{};
  socklen_t len = length_of(from);
  char b;
  EXPECT_EQ(n.recvfrom(r, &b, 1, 0, sa(from), &len), 1);
  EXPECT_EQ(from.sin_addr.s_addr, inet_addr("127.0.0.7"));
  this->close_all({r, s});
}

// A socket of both versions names the source of an IPv4 datagram by a mapped address: what a server that answers from
// the address that was asked got with the request.
TYPED_TEST(PosixOptions, MappedSourceOfOneDatagram) {
  if (!this->has_v6()) GTEST_SKIP() << "no IPv6 here";
  auto& n = this->net;
  const int server = this->udp6();
  EXPECT_EQ(this->set(server, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1), 0);
  const sockaddr_in6 any = v6(0, "::");
  EXPECT_EQ(n.bind(server, sa(any), length_of(any)), 0);
  const sockaddr_in to = v4(this->port_of(server), "127.0.0.7");
  const int client = this->udp();
  EXPECT_EQ(n.sendto(client, "x", 1, 0, sa(to), length_of(to)), 1);
  char b = 0;
  iovec part{&b, 1};
  sockaddr_in6 from{};
  alignas(8) std::array<std::uint8_t, CMSG_SPACE(sizeof(in6_pktinfo))> control{};
  msghdr m{};
  m.msg_name = &from;
  m.msg_namelen = length_of(from);
  m.msg_iov = &part;
  m.msg_iovlen = 1;
  m.msg_control = control.data();
  m.msg_controllen = control.size();
  EXPECT_EQ(n.recvmsg(server, &m, 0), 1);
  ASSERT_NE(CMSG_FIRSTHDR(&m), nullptr);
  EXPECT_EQ(n.sendmsg(server, &m, 0), 1);  // as it came
  sockaddr_in back{};
  socklen_t len = length_of(back);
  EXPECT_EQ(n.recvfrom(client, &b, 1, 0, sa(back), &len), 1);
  EXPECT_EQ(back.sin_addr.s_addr, inet_addr("127.0.0.7"));
  in6_pktinfo info{};
  info.ipi6_addr = in6addr_loopback;  // of the other version
  std::memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &info, sizeof info);
  EXPECT_EQ(n.sendmsg(server, &m, 0), -EINVAL);
  this->close_all({server, client});
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

TYPED_TEST(PosixOptions, ErrorQueue) {
  auto& n = this->net;
  const int gone = this->udp();
  const sockaddr_in to = v4(this->bind_any(gone));
  this->close_all({gone});
  const int s = this->udp(SOCK_NONBLOCK);
  EXPECT_EQ(this->set(s, IPPROTO_IP, IP_RECVERR, 1), 0);
  EXPECT_EQ(n.sendto(s, "lost", 4, 0, sa(to), length_of(to)), 4);
  EXPECT_EQ(this->wait_for(s, 0), POLLERR);
  const Told t = receive_all_of(n, s, MSG_ERRQUEUE);
  EXPECT_EQ(t.count, 4);  // what was sent comes back
  EXPECT_EQ(t.flags, MSG_ERRQUEUE);
  EXPECT_EQ(t.from.sin6_port, to.sin_port);  // where it was going
  ASSERT_EQ(t.beside.size(), 1U);
  EXPECT_EQ(t.beside[0].first, IP_RECVERR);
  const auto e = as<sock_extended_err>(t.beside[0].second);
  EXPECT_EQ(e.ee_errno, unsigned{ECONNREFUSED});
  EXPECT_EQ(e.ee_origin, SO_EE_ORIGIN_ICMP);
  EXPECT_EQ(e.ee_type, 3);
  EXPECT_EQ(e.ee_code, 3);
  EXPECT_EQ(t.beside[0].second.size(), sizeof(sock_extended_err) + sizeof(sockaddr_in));
  EXPECT_EQ(receive_all_of(n, s, MSG_ERRQUEUE).count, -EAGAIN);
  EXPECT_EQ(this->wait_for(s, 0, 0), 0);
  this->close_all({s});
}

TYPED_TEST(PosixOptions, DualStackListener) {
  if (!this->has_v6()) GTEST_SKIP() << "no IPv6 here";
  auto& n = this->net;
  const int l = this->tcp6();
  const sockaddr_in6 any = v6(0, "::");
  EXPECT_EQ(n.bind(l, sa(any), length_of(any)), 0);
  EXPECT_EQ(n.listen(l, 4), 0);
  const std::uint16_t port = this->port_of(l);
  const int c4 = this->tcp();
  const sockaddr_in a4 = v4(port);
  EXPECT_EQ(n.connect(c4, sa(a4), length_of(a4)), 0);
  sockaddr_in6 peer{};
  socklen_t len = length_of(peer);
  const int s4 = n.accept(l, sa(peer), &len);
  ASSERT_GE(s4, 0);
  EXPECT_EQ(len, length_of(peer));
  EXPECT_EQ(peer.sin6_family, AF_INET6);
  EXPECT_TRUE(IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr));
  EXPECT_EQ(n.getsockname(s4, sa(peer), &(len = length_of(peer))), 0);
  EXPECT_TRUE(IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr));
  const int c6 = this->tcp6();
  const sockaddr_in6 a6 = v6(port);
  EXPECT_EQ(n.connect(c6, sa(a6), length_of(a6)), 0);
  const int s6 = n.accept(l, sa(peer), &(len = length_of(peer)));
  ASSERT_GE(s6, 0);
  EXPECT_TRUE(IN6_IS_ADDR_LOOPBACK(&peer.sin6_addr));
  const int mapped = this->tcp6();  // IPv4 from an AF_INET6 socket
  const sockaddr_in6 am = v6(port, "::ffff:127.0.0.1");
  EXPECT_EQ(n.connect(mapped, sa(am), length_of(am)), 0);
  const int other = this->tcp();
  EXPECT_EQ(n.bind(other, sa(a4), length_of(a4)), -EADDRINUSE);  // the port is taken for IPv4 too
  const int only = this->tcp6();
  EXPECT_EQ(this->set(only, IPPROTO_IPV6, IPV6_V6ONLY, 1), 0);
  EXPECT_EQ(n.connect(only, sa(am), length_of(am)), -ENETUNREACH);
  EXPECT_EQ(n.bind(only, sa(any), length_of(any)), 0);
  const int beside = this->tcp();
  const sockaddr_in same = v4(this->port_of(only), "0.0.0.0");
  EXPECT_EQ(n.bind(beside, sa(same), length_of(same)), 0);  // the other is IPv6 alone
  this->close_all({l, c4, s4, c6, s6, mapped, other, only, beside});
}

TYPED_TEST(PosixOptions, DatagramsOfBothFamilies) {
  if (!this->has_v6()) GTEST_SKIP() << "no IPv6 here";
  auto& n = this->net;
  const int r = this->udp6();
  const sockaddr_in6 any = v6(0, "::");
  EXPECT_EQ(n.bind(r, sa(any), length_of(any)), 0);
  const std::uint16_t port = this->port_of(r);
  const int s4 = this->udp();
  const sockaddr_in a4 = v4(port);
  EXPECT_EQ(n.sendto(s4, "x", 1, 0, sa(a4), length_of(a4)), 1);
  sockaddr_in6 from{};
  socklen_t len = length_of(from);
  char b;
  EXPECT_EQ(n.recvfrom(r, &b, 1, 0, sa(from), &len), 1);
  EXPECT_TRUE(IN6_IS_ADDR_V4MAPPED(&from.sin6_addr));
  EXPECT_EQ(n.sendto(r, "y", 1, 0, sa(from), length_of(from)), 1);  // and back
  EXPECT_EQ(n.recv(s4, &b, 1, 0), 1);
  const int s6 = this->udp6();
  const sockaddr_in6 a6 = v6(port);
  EXPECT_EQ(n.sendto(s6, "x", 1, 0, sa(a6), length_of(a6)), 1);
  EXPECT_EQ(n.recvfrom(r, &b, 1, 0, sa(from), &len), 1);
  EXPECT_TRUE(IN6_IS_ADDR_LOOPBACK(&from.sin6_addr));
  EXPECT_EQ(n.sendto(s6, "x", 1, 0, sa(a4), length_of(a4)), 1);  // a plain IPv4 address passes too
  EXPECT_EQ(n.recv(r, &b, 1, 0), 1);
  sockaddr_in6 is{};
  EXPECT_EQ(n.getsockname(s4, sa(is), &(len = length_of(is))), 0);
  EXPECT_EQ(len, sizeof(sockaddr_in));  // the first send named it, in its own family
  const int beside = this->udp6();      // so its port is free in the other
  EXPECT_EQ(this->set(beside, IPPROTO_IPV6, IPV6_V6ONLY, 1), 0);
  const sockaddr_in6 same = v6(this->port_of(s4), "::");
  EXPECT_EQ(n.bind(beside, sa(same), length_of(same)), 0);
  const int l4 = this->tcp();
  EXPECT_EQ(n.listen(l4, 1), 0);
  const int l6 = this->tcp6();
  EXPECT_EQ(this->set(l6, IPPROTO_IPV6, IPV6_V6ONLY, 1), 0);
  const sockaddr_in6 like_l4 = v6(this->port_of(l4), "::");
  EXPECT_EQ(n.bind(l6, sa(like_l4), length_of(like_l4)), 0);
  this->close_all({r, s4, s6, beside, l4, l6});
}

TYPED_TEST(PosixOptions, MulticastMembership) {
  if (!this->has_v6()) GTEST_SKIP() << "no IPv6 here";
  auto& n = this->net;
  const int u = this->udp();
  ip_mreqn r{};
  inet_pton(AF_INET, "127.0.0.1", &r.imr_multiaddr);
  EXPECT_EQ(n.setsockopt(u, IPPROTO_IP, IP_ADD_MEMBERSHIP, &r, length_of(r)), -EINVAL);  // no group
  EXPECT_EQ(n.setsockopt(u, IPPROTO_IP, IP_ADD_MEMBERSHIP, &r, 4), -EINVAL);
  inet_pton(AF_INET, "239.1.2.3", &r.imr_multiaddr);
  r.imr_ifindex = 9999;
  EXPECT_EQ(n.setsockopt(u, IPPROTO_IP, IP_ADD_MEMBERSHIP, &r, length_of(r)), -ENODEV);
  EXPECT_EQ(n.setsockopt(u, IPPROTO_IP, IP_DROP_MEMBERSHIP, &r, length_of(r)), -EADDRNOTAVAIL);
  r.imr_ifindex = 1;
  EXPECT_EQ(n.setsockopt(u, IPPROTO_IP, IP_DROP_MEMBERSHIP, &r, length_of(r)), -EADDRNOTAVAIL);
  EXPECT_EQ(n.setsockopt(u, IPPROTO_IP, IP_ADD_MEMBERSHIP, &r, length_of(r)), 0);
  EXPECT_EQ(n.setsockopt(u, IPPROTO_IP, IP_ADD_MEMBERSHIP, &r, length_of(r)), -EADDRINUSE);
  EXPECT_EQ(n.setsockopt(u, IPPROTO_IP, IP_DROP_MEMBERSHIP, &r, length_of(r)), 0);
  const int s = this->tcp();
  EXPECT_EQ(n.setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &r, length_of(r)), -EPROTO);
  const int u6 = this->udp6();
  ipv6_mreq r6{};
  inet_pton(AF_INET6, "ff02::123", &r6.ipv6mr_multiaddr);
  r6.ipv6mr_interface = 1;
  EXPECT_EQ(n.setsockopt(u6, IPPROTO_IPV6, IPV6_JOIN_GROUP, &r6, length_of(r6)), 0);
  EXPECT_EQ(n.setsockopt(u6, IPPROTO_IPV6, IPV6_JOIN_GROUP, &r6, length_of(r6)), -EADDRINUSE);
  EXPECT_EQ(n.setsockopt(u6, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &r6, length_of(r6)), 0);
  EXPECT_EQ(n.setsockopt(u6, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &r6, length_of(r6)), -EADDRNOTAVAIL);
  group_req g{};
  g.gr_interface = 1;
  const sockaddr_in group = v4(0, "239.4.5.6");
  std::memcpy(&g.gr_group, &group, sizeof group);
  EXPECT_EQ(n.setsockopt(u, IPPROTO_IP, MCAST_JOIN_GROUP, &g, length_of(g)), 0);
  EXPECT_EQ(n.setsockopt(u, IPPROTO_IP, MCAST_LEAVE_GROUP, &g, length_of(g)), 0);
  EXPECT_EQ(n.setsockopt(u, IPPROTO_IP, MCAST_LEAVE_GROUP, &g, length_of(g)), -EADDRNOTAVAIL);
  this->close_all({u, u6, s});
}

// SO_RCVLOWAT: what is less is not readable and does not end a read that waits.
TYPED_TEST(PosixOptions, LowWaterMark) {
  auto& n = this->net;
  const auto p = this->connected();
  char b[64] = {};
  EXPECT_EQ(this->set(p.server, SOL_SOCKET, SO_RCVLOWAT, 10), 0);
  EXPECT_EQ(this->option(p.server, SOL_SOCKET, SO_RCVLOWAT), 10);
  EXPECT_EQ(n.send(p.client, "12345", 5, 0), 5);
  EXPECT_EQ(this->wait_for(p.server, POLLIN, 30), 0);
  EXPECT_EQ(n.recv(p.server, b, 3, MSG_PEEK), 3);  // all that it asks for
  EXPECT_EQ(n.send(p.client, "67890", 5, 0), 5);
  EXPECT_EQ(this->wait_for(p.server, POLLIN), POLLIN);
  EXPECT_EQ(n.recv(p.server, b, 64, 0), 10);
  EXPECT_EQ(n.send(p.client, "12345", 5, 0), 5);
  const timeval t{0, 30'000};
  EXPECT_EQ(n.setsockopt(p.server, SOL_SOCKET, SO_RCVTIMEO, &t, length_of(t)), 0);
  EXPECT_EQ(n.recv(p.server, b, 64, MSG_PEEK), 5);  // what there is when the time is over
  EXPECT_EQ(n.recv(p.server, b, 64, MSG_DONTWAIT), 5);
  EXPECT_EQ(n.send(p.client, "123", 3, 0), 3);
  EXPECT_EQ(this->wait_for(p.server, POLLIN, 30), 0);
  EXPECT_EQ(this->set(p.server, SOL_SOCKET, SO_RCVLOWAT, 3), 0);
  EXPECT_EQ(this->wait_for(p.server, POLLIN), POLLIN);
  EXPECT_EQ(this->set(p.server, SOL_SOCKET, SO_RCVLOWAT, 100), 0);
  EXPECT_EQ(n.shutdown(p.client, SHUT_WR), 0);  // the end is news however little came before
  EXPECT_EQ(this->wait_for(p.server, POLLIN), POLLIN);
  EXPECT_EQ(n.recv(p.server, b, 64, 0), 3);
  EXPECT_EQ(this->set(p.server, SOL_SOCKET, SO_RCVBUF, 20000), 0);
  EXPECT_EQ(this->set(p.server, SOL_SOCKET, SO_RCVLOWAT, 30000), 0);
  EXPECT_EQ(this->option(p.server, SOL_SOCKET, SO_RCVLOWAT), 20000);  // half of the buffer, which counts double
  const int u = this->udp();                                          // of datagrams each is enough
  const sockaddr_in own = v4(this->bind_any(u));
  EXPECT_EQ(this->set(u, SOL_SOCKET, SO_RCVLOWAT, 10), 0);
  EXPECT_EQ(n.sendto(u, "x", 1, 0, sa(own), length_of(own)), 1);
  EXPECT_EQ(this->wait_for(u, POLLIN), POLLIN);
  this->close_all({u, p.client, p.server, p.listener});
}

TYPED_TEST(PosixOptions, QuickAckWearsOff) {
  auto& n = this->net;
  const auto p = this->connected();
  EXPECT_EQ(this->option(p.server, IPPROTO_TCP, TCP_QUICKACK), 1);
  EXPECT_EQ(this->set(p.server, IPPROTO_TCP, TCP_QUICKACK, 0), 0);
  EXPECT_EQ(this->option(p.server, IPPROTO_TCP, TCP_QUICKACK), 0);
  EXPECT_EQ(this->set(p.server, IPPROTO_TCP, TCP_QUICKACK, 1), 0);
  EXPECT_EQ(this->option(p.server, IPPROTO_TCP, TCP_QUICKACK), 1);
  char b = 0;
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(n.send(p.client, "?", 1, 0), 1);
    EXPECT_EQ(n.recv(p.server, &b, 1, 0), 1);
    EXPECT_EQ(n.send(p.server, "!", 1, 0), 1);
    EXPECT_EQ(n.recv(p.client, &b, 1, 0), 1);
  }
  EXPECT_EQ(this->option(p.server, IPPROTO_TCP, TCP_QUICKACK), 0);
  EXPECT_EQ(this->set(p.server, IPPROTO_TCP, TCP_QUICKACK, 1), 0);
  EXPECT_EQ(this->option(p.server, IPPROTO_TCP, TCP_QUICKACK), 1);
  this->close_all({p.client, p.server, p.listener});
}

// IP_MINTTL: only who sends with the highest TTL is heard, because only he can be a neighbour.
TYPED_TEST(PosixOptions, LeastTtl) {
  auto& n = this->net;
  std::uint16_t port = 0;
  const int l = this->listener(port);
  const sockaddr_in a = v4(port);
  EXPECT_EQ(this->option(l, IPPROTO_IP, IP_MINTTL), 0);
  EXPECT_EQ(this->set(l, IPPROTO_IP, IP_MINTTL, 256), -EINVAL);
  EXPECT_EQ(this->set(l, IPPROTO_IP, IP_MINTTL, 255), 0);
  EXPECT_EQ(this->option(l, IPPROTO_IP, IP_MINTTL), 255);
  const int far = this->tcp(SOCK_NONBLOCK);
  EXPECT_EQ(n.connect(far, sa(a), length_of(a)), -EINPROGRESS);
  EXPECT_EQ(this->wait_for(far, POLLOUT, 50), 0);
  const int near = this->tcp();
  EXPECT_EQ(this->set(near, IPPROTO_IP, IP_TTL, 255), 0);
  EXPECT_EQ(n.connect(near, sa(a), length_of(a)), 0);
  const int s = n.accept(l, nullptr, nullptr);
  EXPECT_EQ(this->option(s, IPPROTO_IP, IP_MINTTL), 255);
  EXPECT_EQ(n.send(near, "x", 1, 0), 1);
  EXPECT_EQ(this->wait_for(s, POLLIN), POLLIN);
  char b = 0;
  EXPECT_EQ(n.recv(s, &b, 1, 0), 1);
  EXPECT_EQ(this->set(near, IPPROTO_IP, IP_TTL, 254), 0);
  EXPECT_EQ(n.send(near, "y", 1, 0), 1);
  EXPECT_EQ(this->wait_for(s, POLLIN, 30), 0);
  EXPECT_EQ(this->set(s, IPPROTO_IP, IP_MINTTL, 0), 0);
  EXPECT_EQ(this->wait_for(s, POLLIN), POLLIN);  // it is sent again
  this->close_all({far, near, s, l});
}

// IP_MINTTL says nothing of what comes in IPv6, nor IPV6_MINHOPCOUNT of IPv4.
TYPED_TEST(PosixOptions, LeastTtlOfEachVersion) {
  auto& n = this->net;
  if (!this->has_v6()) GTEST_SKIP() << "no IPv6 here";
  const int l = this->tcp6();
  EXPECT_EQ(this->set(l, IPPROTO_IP, IP_MINTTL, 255), 0);
  const sockaddr_in6 any = v6(0, "::");
  ASSERT_EQ(n.bind(l, sa(any), length_of(any)), 0);
  ASSERT_EQ(n.listen(l, 4), 0);
  const std::uint16_t port = this->port_of(l);
  const sockaddr_in a4 = v4(port);
  const sockaddr_in6 a6 = v6(port);
  const int by4 = this->tcp(SOCK_NONBLOCK);
  EXPECT_EQ(n.connect(by4, sa(a4), length_of(a4)), -EINPROGRESS);
  EXPECT_EQ(this->wait_for(by4, POLLOUT, 50), 0);
  const int by6 = this->tcp6();
  EXPECT_EQ(n.connect(by6, sa(a6), length_of(a6)), 0);
  const int s = n.accept(l, nullptr, nullptr);
  EXPECT_EQ(this->option(s, IPPROTO_IP, IP_MINTTL), 255);
  EXPECT_EQ(this->option(s, IPPROTO_IPV6, IPV6_MINHOPCOUNT), 0);
  EXPECT_EQ(this->set(s, IPPROTO_IPV6, IPV6_MINHOPCOUNT, 256), -EINVAL);
  EXPECT_EQ(this->set(s, IPPROTO_IPV6, IPV6_MINHOPCOUNT, 255), 0);
  EXPECT_EQ(n.send(by6, "x", 1, 0), 1);
  EXPECT_EQ(this->wait_for(s, POLLIN, 30), 0);
  EXPECT_EQ(this->set(s, IPPROTO_IPV6, IPV6_MINHOPCOUNT, 0), 0);
  EXPECT_EQ(this->wait_for(s, POLLIN), POLLIN);
  this->close_all({by4, by6, s, l});
}

// IP_BIND_ADDRESS_NO_PORT: one port serves many connections from an address that was chosen.
TYPED_TEST(PosixOptions, TheAddressNowThePortLater) {
  auto& n = this->net;
  std::uint16_t port = 0;
  const int l = this->listener(port);
  const int c = this->tcp();
  EXPECT_EQ(this->option(c, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT), 0);
  EXPECT_EQ(this->set(c, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 7), 0);
  EXPECT_EQ(this->option(c, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT), 1);
  const auto name = [&](int fd) {
    sockaddr_in a{};
    socklen_t length = length_of(a);
    EXPECT_EQ(n.getsockname(fd, sa(a), &length), 0);
    return std::pair{ntohl(a.sin_addr.s_addr) & 0xffU, ntohs(a.sin_port)};
  };
  const sockaddr_in first = v4(0, "127.0.0.7"), second = v4(0, "127.0.0.8"), to = v4(port);
  EXPECT_EQ(n.bind(c, sa(first), length_of(first)), 0);
  EXPECT_EQ(name(c), (std::pair<unsigned, std::uint16_t>{7, 0}));
  EXPECT_EQ(n.bind(c, sa(second), length_of(second)), 0);  // nothing is held yet
  EXPECT_EQ(n.connect(c, sa(to), length_of(to)), 0);
  EXPECT_EQ(name(c).first, 8U);
  EXPECT_NE(name(c).second, 0);
  EXPECT_EQ(n.bind(c, sa(second), length_of(second)), -EINVAL);
  sockaddr_in from{};
  socklen_t length = length_of(from);
  const int s = n.accept(l, sa(from), &length);
  EXPECT_EQ((std::pair{ntohl(from.sin_addr.s_addr) & 0xffU, ntohs(from.sin_port)}), name(c));

  const int own = this->tcp();  // a listener's port is chosen by listen()
  EXPECT_EQ(this->set(own, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1), 0);
  EXPECT_EQ(n.bind(own, sa(first), length_of(first)), 0);
  EXPECT_EQ(n.listen(own, 1), 0);
  EXPECT_EQ(name(own).first, 7U);
  EXPECT_NE(name(own).second, 0);
  this->close_all({c, s, l, own});
}

// A port that was chosen is let go of with the attempt, the address that was asked for is not.
TYPED_TEST(PosixOptions, AnAddressOutlivesAnAttemptInVain) {
  auto& n = this->net;
  std::uint16_t port = 0;
  const int l = this->listener(port);
  const int c = this->tcp();
  const sockaddr_in here = v4(0, "127.0.0.7"), to = v4(port);
  EXPECT_EQ(n.bind(c, sa(here), length_of(here)), 0);
  const int nobody = this->tcp();
  const sockaddr_in vain = v4(this->bind_any(nobody));
  EXPECT_EQ(n.connect(c, sa(vain), length_of(vain)), -ECONNREFUSED);
  EXPECT_EQ(n.connect(c, sa(to), length_of(to)), 0);
  sockaddr_in a{};
  socklen_t length = length_of(a);
  EXPECT_EQ(n.getsockname(c, sa(a), &length), 0);
  EXPECT_EQ(ntohl(a.sin_addr.s_addr) & 0xffU, 7U);
  this->close_all({c, l, nobody});
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

TYPED_TEST(PosixOptions, WhereTo) {
  auto& n = this->net;
  const int s = this->tcp();
  const int u = this->udp();
  const sockaddr_in absent = v4(0, "192.0.2.77");
  for (const int fd : {s, u}) {
    EXPECT_EQ(n.bind(fd, sa(absent), length_of(absent)), -EADDRNOTAVAIL);
    EXPECT_EQ(this->set(fd, IPPROTO_IP, IP_FREEBIND, 1), 0);
    EXPECT_EQ(this->option(fd, IPPROTO_IP, IP_FREEBIND), 1);
    EXPECT_EQ(n.bind(fd, sa(absent), length_of(absent)), 0);
  }
  const int local = this->udp();
  const sockaddr_in here = v4(this->bind_any(local));
  EXPECT_EQ(this->set(local, SOL_SOCKET, SO_DONTROUTE, 1), 0);
  EXPECT_EQ(n.sendto(local, "x", 1, 0, sa(here), length_of(here)), 1);
  EXPECT_EQ(this->option(local, IPPROTO_IP, IP_UNICAST_IF), 0);
  EXPECT_EQ(this->set(local, IPPROTO_IP, IP_UNICAST_IF, static_cast<int>(htonl(60000))), -EADDRNOTAVAIL);
  EXPECT_EQ(this->set(local, SOL_SOCKET, SO_NO_CHECK, 5), 0);
  EXPECT_EQ(this->option(local, SOL_SOCKET, SO_NO_CHECK), 1);
  EXPECT_EQ(n.sendto(local, "x", 1, 0, sa(here), length_of(here)), 1);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_WINDOW_CLAMP, 1), 0);
  EXPECT_EQ(this->option(s, IPPROTO_TCP, TCP_WINDOW_CLAMP), 1152);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_WINDOW_CLAMP, 0), 0);
  EXPECT_EQ(this->option(s, IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS), 0);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 2), -EINVAL);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 1), 0);
  EXPECT_EQ(this->option(s, IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS), 1);
  this->close_all({s, u, local});
}

// IP_HDRINCL: a datagram whose IP header the program made.
TYPED_TEST(PosixOptions, HeaderOfTheCallers) {
  auto& n = this->net;
  const int raw = n.socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  if (raw == -EPERM) GTEST_SKIP() << "raw sockets are root's";
  ASSERT_GE(raw, 0);
  EXPECT_EQ(this->option(raw, IPPROTO_IP, IP_HDRINCL), 1);
  const int r = this->udp();
  EXPECT_EQ(this->set(r, IPPROTO_IP, IP_RECVTTL, 1), 0);
  EXPECT_EQ(this->set(r, IPPROTO_IP, IP_RECVTOS, 1), 0);
  const std::uint16_t port = this->bind_any(r);
  // Length, identifier and checksum are zero; UDP without a checksum from port 77 says "hi".
  std::array<std::uint8_t, 30> packet{0x45, 0x20, 0, 0, 0, 0, 0,  0, 99, 17, 0,  0, 127, 0,   0,
                                      9,    127,  0, 0, 1, 0, 77, 0, 0,  0,  10, 0, 0,   'h', 'i'};
  packet[22] = static_cast<std::uint8_t>(port >> 8);
  packet[23] = static_cast<std::uint8_t>(port);
  const sockaddr_in to = v4(0);
  EXPECT_EQ(n.sendto(raw, packet.data(), packet.size(), 0, sa(to), length_of(to)), 30);
  EXPECT_EQ(this->wait_for(r, POLLIN), POLLIN);
  const Told t = receive_all_of(n, r, 0);
  EXPECT_EQ(t.count, 2);
  sockaddr_in from{};
  std::memcpy(&from, &t.from, sizeof from);
  EXPECT_EQ(from.sin_addr.s_addr, inet_addr("127.0.0.9"));
  EXPECT_EQ(from.sin_port, htons(77));
  ASSERT_EQ(t.beside.size(), 2U);
  EXPECT_EQ(as<int>(t.beside[0].second), 99);
  EXPECT_EQ(t.beside[1].second, std::vector<std::uint8_t>{0x20});
  packet[12] = 0;  // 0.0.0.0: from where the route says
  packet[15] = 0;
  EXPECT_EQ(n.sendto(raw, packet.data(), packet.size(), 0, sa(to), length_of(to)), 30);
  const Told again = receive_all_of(n, r, 0);
  std::memcpy(&from, &again.from, sizeof from);
  EXPECT_EQ(from.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
  EXPECT_EQ(n.sendto(raw, packet.data(), 19, 0, sa(to), length_of(to)), -EINVAL);
  packet[0] = 0x4f;  // a header longer than all of it
  EXPECT_EQ(n.sendto(raw, packet.data(), packet.size(), 0, sa(to), length_of(to)), -EINVAL);
  EXPECT_EQ(this->set(raw, IPPROTO_IP, IP_HDRINCL, 0), 0);
  EXPECT_EQ(this->option(raw, IPPROTO_IP, IP_HDRINCL), 0);
  this->close_all({raw, r});
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

TYPED_TEST(PosixOptions, TheEcnBitsOfAStreamAreTcps) {
  const int t = this->tcp();
  const int u = this->udp();
  for (const int fd : {t, u}) EXPECT_EQ(this->set(fd, IPPROTO_IP, IP_TOS, 0xb9), 0);
  EXPECT_EQ(this->option(t, IPPROTO_IP, IP_TOS), 0xb8);
  EXPECT_EQ(this->option(u, IPPROTO_IP, IP_TOS), 0xb9);
  this->close_all({t, u});
  if (!this->has_v6()) return;
  const int t6 = this->tcp6();
  EXPECT_EQ(this->set(t6, IPPROTO_IPV6, IPV6_TCLASS, 0xb9), 0);
  EXPECT_EQ(this->option(t6, IPPROTO_IPV6, IPV6_TCLASS), 0xb8);
  this->close_all({t6});
}

TYPED_TEST(PosixOptions, TosSaysThePriority) {
  const int u = this->udp();
  EXPECT_EQ(this->option(u, SOL_SOCKET, SO_PRIORITY), 0);
  const std::vector<std::pair<int, int>> priorities{{0x08, 2}, {0x10, 6}, {0x18, 4}, {0x04, 0}, {0xb8, 4}};
  for (const auto& [tos, priority] : priorities) {
    EXPECT_EQ(this->set(u, IPPROTO_IP, IP_TOS, tos), 0);
    EXPECT_EQ(this->option(u, SOL_SOCKET, SO_PRIORITY), priority) << tos;
  }
  EXPECT_EQ(this->set(u, SOL_SOCKET, SO_PRIORITY, 5), 0);
  EXPECT_EQ(this->set(u, IPPROTO_IP, IP_TOS, 0xb8), 0);  // as it was
  EXPECT_EQ(this->option(u, SOL_SOCKET, SO_PRIORITY), 5);
  this->close_all({u});
}

}  // namespace
}  // namespace leat::test
