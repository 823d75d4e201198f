// Options of IPPROTO_IP and IPPROTO_IPV6, what stands beside datagrams, and sockets of both versions, on Linux and on
// Leat.

#include <time.h>

// clang-format off: it needs what <time.h> declares.
#include <linux/errqueue.h>
// clang-format on

#include "tests/posix/same_program.hpp"

namespace leat::test {
namespace {

TYPED_TEST_SUITE(PosixOptions, Backends, BackendNames);

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

// Options of IPv4 and of IPv6 that have a sibling, on a socket of both versions: each is set, and the other asked.
TYPED_TEST(PosixOptions, OptionsOfBothVersions) {
  if (!this->has_v6()) GTEST_SKIP() << "no IPv6 here";
  struct Siblings {
    int v4, v6, number;
  };
  const auto change = [&](bool v6, const Siblings& s, int number) {
    const int u = this->udp6();
    const int level = v6 ? int{IPPROTO_IPV6} : int{IPPROTO_IP};
    const int other_level = v6 ? int{IPPROTO_IP} : int{IPPROTO_IPV6};
    const int before = this->option(u, other_level, v6 ? s.v4 : s.v6);
    EXPECT_GE(before, 0);
    EXPECT_EQ(this->set(u, level, v6 ? s.v6 : s.v4, number), 0);
    EXPECT_EQ(this->option(u, level, v6 ? s.v6 : s.v4), number);
    const int after = this->option(u, other_level, v6 ? s.v4 : s.v6);
    EXPECT_TRUE(after == before || after == number);
    this->close_all({u});
    return after != before;
  };
  // Two of them, on Linux and here.
  for (const Siblings& s : {Siblings{IP_PKTINFO, IPV6_RECVPKTINFO, 1}, Siblings{IP_RECVTTL, IPV6_RECVHOPLIMIT, 1},
                            Siblings{IP_RECVTOS, IPV6_RECVTCLASS, 1}, Siblings{IP_MINTTL, IPV6_MINHOPCOUNT, 9},
                            Siblings{IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, IP_PMTUDISC_DO}}) {
    for (const bool v6 : {false, true}) EXPECT_FALSE(change(v6, s, s.number)) << s.v4;
  }
  // One.
  for (const bool v6 : {false, true}) EXPECT_TRUE(change(v6, {IP_FREEBIND, IPV6_FREEBIND, 1}, 1));
  // One here, as docs/posix.md says, and two on Linux.
  for (const Siblings& s :
       {Siblings{IP_TOS, IPV6_TCLASS, 0x28}, Siblings{IP_TTL, IPV6_UNICAST_HOPS, 9},
        Siblings{IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS, 9}, Siblings{IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP, 0},
        Siblings{IP_MULTICAST_ALL, IPV6_MULTICAST_ALL, 0}, Siblings{IP_RECVERR, IPV6_RECVERR, 1},
        Siblings{IP_UNICAST_IF, IPV6_UNICAST_IF, static_cast<int>(htonl(1))}}) {
    for (const bool v6 : {false, true}) EXPECT_EQ(change(v6, s, s.number), TypeParam::kIsLeat) << s.v4;
  }
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
