// Stories of the POSIX form between two hosts under a virtual clock: what Linux can't show in one process, or not in
// virtual time.

#include <gtest/gtest.h>
#include <time.h>

// clang-format off: it needs what <time.h> declares.
#include <linux/errqueue.h>
// clang-format on

#include <algorithm>
#include <cstring>
#include <leat/api/posix/lent.hpp>
#include <leat/api/posix/linux_tcp_info.hpp>
#include <leat/api/posix/owned_buffer.hpp>
#include <string>

#include "tests/posix/backends.hpp"
#include "tests/posix/sockaddr.hpp"

namespace leat::test {
namespace {

class PosixStory : public testing::Test {
 protected:
  // A server on host 1, seen from host 0.
  sockaddr_in at(std::uint16_t port) { return v4(port, "10.0.0.2"); }
  int serve(std::uint16_t port, int flags = 0) {
    const int fd = there.socket(AF_INET, SOCK_STREAM | flags, 0);
    const sockaddr_in a = v4(port, "0.0.0.0");
    EXPECT_EQ(there.bind(fd, sa(a), length_of(a)), 0);
    EXPECT_EQ(there.listen(fd, 8), 0);
    return fd;
  }

  std::shared_ptr<VirtualWorld> world = std::make_shared<VirtualWorld>();
  LeatBackend here{world, 0};
  LeatBackend there{world, 1};
};

TEST_F(PosixStory, EchoBetweenTwoHosts) {
  const int l = serve(7);
  const int c = here.socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in a = at(7);
  ASSERT_EQ(here.connect(c, sa(a), length_of(a)), 0);
  sockaddr_in peer{};
  socklen_t len = length_of(peer);
  const int s = there.accept(l, sa(peer), &len);
  ASSERT_GE(s, 0);
  EXPECT_EQ(peer.sin_addr.s_addr, inet_addr("10.0.0.1"));
  std::string sent(200'000, 'x');
  std::string got(sent.size(), '-');
  EXPECT_EQ(here.send(c, sent.data(), sent.size(), 0), static_cast<ssize_t>(sent.size()));
  EXPECT_EQ(there.recv(s, got.data(), got.size(), MSG_WAITALL), static_cast<ssize_t>(got.size()));
  EXPECT_EQ(got, sent);
}

TEST_F(PosixStory, ReceiveTimeoutPassesInVirtualTime) {
  const int u = here.socket(AF_INET, SOCK_DGRAM, 0);
  const timeval t{3, 500'000};
  EXPECT_EQ(here.setsockopt(u, SOL_SOCKET, SO_RCVTIMEO, &t, length_of(t)), 0);
  const Instant begin = world->hosts.now();
  char b;
  EXPECT_EQ(here.recv(u, &b, 1, 0), -EAGAIN);
  EXPECT_EQ((world->hosts.now() - begin).count_ms(), 3500);
}

TEST_F(PosixStory, ConnectGivesUpWaitingAsLinuxDoes) {
  const int c = here.socket(AF_INET, SOCK_STREAM, 0);
  const timeval t{2, 0};
  EXPECT_EQ(here.setsockopt(c, SOL_SOCKET, SO_SNDTIMEO, &t, length_of(t)), 0);
  const sockaddr_in nobody = v4(7, "10.0.0.99");
  EXPECT_EQ(here.connect(c, sa(nobody), length_of(nobody)), -EINPROGRESS);
  EXPECT_EQ(here.connect(c, sa(nobody), length_of(nobody)), -EALREADY);  // still at it
}

// The kernel gives out a number that was closed past Leat: what it named ends, and whatever is made now has it.
TEST_F(PosixStory, ANumberThatWasClosedByTheKernelsCloseIsGivenOutAgain) {
  const int l = serve(7);
  const auto refused = [this] {
    const int c = here.socket(AF_INET, SOCK_STREAM, 0);
    const sockaddr_in a = at(7);
    const int r = here.connect(c, sa(a), length_of(a));
    EXPECT_EQ(here.close(c), 0);
    return r == -ECONNREFUSED;
  };
  const auto close_past = [](int fd) { ASSERT_EQ(::close(fd), 0); };
  close_past(l);
  EXPECT_FALSE(refused());  // nobody knows yet
  // By a socket.
  EXPECT_EQ(there.socket(AF_INET, SOCK_DGRAM, 0), l);
  EXPECT_TRUE(refused());
  EXPECT_EQ(there.close(l), 0);
  // By a set; the socket was a member of another one.
  const int set = there.epoll_create1(0);
  const int again = serve(7);
  epoll_event e{};
  e.events = EPOLLIN;
  EXPECT_EQ(there.epoll_ctl(set, EPOLL_CTL_ADD, again, &e), 0);
  close_past(again);
  EXPECT_GE(there.epoll_create1(0), 0);
  EXPECT_TRUE(refused());
  EXPECT_EQ(there.epoll_wait(set, &e, 1, 0), 0);
  // By a duplicate.
  const int third = serve(7);
  close_past(third);
  EXPECT_EQ(there.fcntl(set, F_DUPFD, third), third);
  EXPECT_TRUE(refused());
  EXPECT_EQ(there.epoll_wait(third, &e, 1, 0), 0);
}

// A "ping" socket: the stack fills in the identifier and the checksum, and gives back replies to its own questions.
TEST_F(PosixStory, PingSocket) {
  const int p = here.socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
  ASSERT_GE(p, 0);
  const sockaddr_in a = at(0);
  std::array<std::uint8_t, 16> request{8, 0, 0, 0, 0, 0, 0, 1, 'p', 'i', 'n', 'g'};
  EXPECT_EQ(here.sendto(p, request.data(), request.size(), 0, sa(a), length_of(a)), 16);
  std::array<std::uint8_t, 64> reply{};
  sockaddr_in from{};
  socklen_t len = length_of(from);
  EXPECT_EQ(here.recvfrom(p, reply.data(), reply.size(), 0, sa(from), &len), 16);
  EXPECT_EQ(reply[0], 0);  // echo reply
  EXPECT_EQ(std::string(reply.begin() + 8, reply.begin() + 12), "ping");
  EXPECT_EQ(from.sin_addr.s_addr, a.sin_addr.s_addr);
  request[0] = 13;
  EXPECT_EQ(here.sendto(p, request.data(), request.size(), 0, sa(a), length_of(a)), -EINVAL);  // only questions
  EXPECT_EQ(here.close(p), 0);
  const int p6 = here.socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6);
  ASSERT_GE(p6, 0);
  const sockaddr_in6 a6 = v6(0, "fd00::2");
  request[0] = 128;
  EXPECT_EQ(here.sendto(p6, request.data(), request.size(), 0, sa(a6), length_of(a6)), 16);
  EXPECT_EQ(here.recv(p6, reply.data(), reply.size(), 0), 16);
  EXPECT_EQ(reply[0], 129);
}

// A raw socket sends what follows the IP header and receives whole IPv4 packets; of IPv6 what follows the headers.
TEST_F(PosixStory, RawSockets) {
  const int r = there.socket(AF_INET, SOCK_RAW, 253);
  const int s = here.socket(AF_INET, SOCK_RAW, 253);
  const sockaddr_in a = at(0);
  EXPECT_EQ(here.sendto(s, "raw", 3, 0, sa(a), length_of(a)), 3);
  std::array<std::uint8_t, 64> got{};
  EXPECT_EQ(there.recv(r, got.data(), got.size(), 0), 23);
  EXPECT_EQ(got[0], 0x45);
  EXPECT_EQ(got[9], 253);
  EXPECT_EQ(got[20], 'r');
  const int r6 = there.socket(AF_INET6, SOCK_RAW, 253);
  const int s6 = here.socket(AF_INET6, SOCK_RAW, 253);
  const sockaddr_in6 a6 = v6(0, "fd00::2");
  EXPECT_EQ(here.sendto(s6, "raw6", 4, 0, sa(a6), length_of(a6)), 4);
  EXPECT_EQ(there.recv(r6, got.data(), got.size(), 0), 4);
  EXPECT_EQ(got[3], '6');
}

// SO_DONTROUTE and MSG_DONTROUTE: to hosts on the link, and to no other.
TEST_F(PosixStory, HostsBehindARouterAreNotReachedWithoutRouting) {
  const RouteConfig by_router{.destination = *IpPrefix::parse("0.0.0.0/0"), .gateway = *IpAddress::parse("10.0.0.2")};
  ASSERT_TRUE(world->hosts.stack(0).add_route(by_router).has_value());
  const sockaddr_in near = v4(9, "10.0.0.2"), far = v4(9, "192.0.2.9");
  const int u = here.socket(AF_INET, SOCK_DGRAM, 0);
  EXPECT_EQ(here.sendto(u, "x", 1, 0, sa(far), length_of(far)), 1);
  EXPECT_EQ(here.sendto(u, "x", 1, MSG_DONTROUTE, sa(far), length_of(far)), -ENETUNREACH);
  EXPECT_EQ(here.sendto(u, "x", 1, MSG_DONTROUTE, sa(near), length_of(near)), 1);
  const int on = 1;
  ASSERT_EQ(here.setsockopt(u, SOL_SOCKET, SO_DONTROUTE, &on, length_of(on)), 0);
  EXPECT_EQ(here.sendto(u, "x", 1, 0, sa(far), length_of(far)), -ENETUNREACH);
  EXPECT_EQ(here.sendto(u, "x", 1, 0, sa(near), length_of(near)), 1);
  const int c = here.socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_EQ(here.setsockopt(c, SOL_SOCKET, SO_DONTROUTE, &on, length_of(on)), 0);
  EXPECT_EQ(here.connect(c, sa(far), length_of(far)), -ENETUNREACH);
}

// IP_UNICAST_IF: another interface than the routes say, and nothing about what is received.
TEST_F(PosixStory, InterfaceOfDatagramsToSingleHosts) {
  const auto second = world->hosts.stack(0).add_interface({.name = "second", .link = LinkType::ip, .mtu = 1500});
  ASSERT_TRUE(second.has_value());
  ASSERT_TRUE(world->hosts.stack(0).add_address(*second, *IpPrefix::parse("10.7.0.1/24")));
  const int u = here.socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in any = v4(9, "0.0.0.0"), near = v4(9, "10.0.0.2"), back = v4(9, "10.0.0.1");
  ASSERT_EQ(here.bind(u, sa(any), length_of(any)), 0);
  EXPECT_EQ(here.sendto(u, "x", 1, 0, sa(near), length_of(near)), 1);
  const auto number = static_cast<int>(htonl(*second));
  ASSERT_EQ(here.setsockopt(u, IPPROTO_IP, IP_UNICAST_IF, &number, length_of(number)), 0);
  int told = 0;
  socklen_t len = length_of(told);
  EXPECT_EQ(here.getsockopt(u, IPPROTO_IP, IP_UNICAST_IF, &told, &len), 0);
  EXPECT_EQ(told, number);
  EXPECT_EQ(here.sendto(u, "x", 1, 0, sa(near), length_of(near)), -ENETUNREACH);  // not there
  const int other = there.socket(AF_INET, SOCK_DGRAM, 0);
  EXPECT_EQ(there.sendto(other, "x", 1, 0, sa(back), length_of(back)), 1);
  char b = 0;
  EXPECT_EQ(here.recv(u, &b, 1, 0), 1);
}

// What would promise something that does not happen is refused.
TEST_F(PosixStory, OptionsWithoutEffectAreRefused) {
  const int s = here.socket(AF_INET6, SOCK_STREAM, 0);
  const int u = here.socket(AF_INET6, SOCK_DGRAM, 0);
  const int on = 1;
  const auto set = [&](int fd, int level, int name) { return here.setsockopt(fd, level, name, &on, length_of(on)); };
  for (const int name : {SO_SELECT_ERR_QUEUE, SO_MAX_PACING_RATE}) {
    EXPECT_EQ(set(s, SOL_SOCKET, name), -ENOPROTOOPT) << name;
  }
  for (const int name : {SO_PASSCRED, SO_PEEK_OFF}) EXPECT_EQ(set(s, SOL_SOCKET, name), -EOPNOTSUPP) << name;
  for (const int name : {IP_TRANSPARENT, IP_RECVOPTS, IP_RETOPTS, IP_PASSSEC, IP_CHECKSUM, IP_RECVFRAGSIZE}) {
    EXPECT_EQ(set(u, IPPROTO_IP, name), -ENOPROTOOPT) << name;
  }
  for (const int name : {IPV6_TRANSPARENT, IPV6_RECVRTHDR, IPV6_RECVHOPOPTS, IPV6_RECVDSTOPTS, IPV6_RECVPATHMTU,
                         IPV6_MTU, IPV6_CHECKSUM}) {
    EXPECT_EQ(set(u, IPPROTO_IPV6, name), -ENOPROTOOPT) << name;
  }
  constexpr int kTcpTxDelay = 37, kUdpSegment = 103;
  for (const int name : {TCP_SAVE_SYN, TCP_FASTOPEN_NO_COOKIE, kTcpTxDelay}) {
    EXPECT_EQ(set(s, IPPROTO_TCP, name), -ENOPROTOOPT) << name;
  }
  EXPECT_EQ(set(s, IPPROTO_TCP, TCP_FASTOPEN_CONNECT), -EOPNOTSUPP);
  EXPECT_EQ(set(u, IPPROTO_UDP, kUdpSegment), -ENOPROTOOPT);
}

// A group that is joined is heard, one that was left is not.
TEST_F(PosixStory, MulticastIsHeardByMembers) {
  const int r = there.socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in any = v4(5000, "0.0.0.0");
  ASSERT_EQ(there.bind(r, sa(any), length_of(any)), 0);
  ip_mreq m{};
  inet_pton(AF_INET, "239.9.9.9", &m.imr_multiaddr);
  inet_pton(AF_INET, "10.0.0.2", &m.imr_interface);
  ASSERT_EQ(there.setsockopt(r, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, length_of(m)), 0);
  const int s = here.socket(AF_INET, SOCK_DGRAM, 0);
  in_addr own{};
  inet_pton(AF_INET, "10.0.0.1", &own);
  ASSERT_EQ(here.setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &own, length_of(own)), 0);
  in_addr told{};
  socklen_t len = length_of(told);
  EXPECT_EQ(here.getsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &told, &len), 0);
  EXPECT_EQ(told.s_addr, own.s_addr);
  const sockaddr_in group = v4(5000, "239.9.9.9");
  EXPECT_EQ(here.sendto(s, "all", 3, 0, sa(group), length_of(group)), 3);
  char b[8];
  EXPECT_EQ(there.recv(r, b, 8, 0), 3);
  ASSERT_EQ(there.setsockopt(r, IPPROTO_IP, IP_DROP_MEMBERSHIP, &m, length_of(m)), 0);
  EXPECT_EQ(here.sendto(s, "all", 3, 0, sa(group), length_of(group)), 3);
  world->run_for(Duration::ms(10));
  EXPECT_EQ(there.recv(r, b, 8, MSG_DONTWAIT), -EAGAIN);
}

// MSG_MORE holds the last segment back until a send without it.
TEST_F(PosixStory, MoreIsSentTogether) {
  const int l = serve(7);
  const int c = here.socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in a = at(7);
  ASSERT_EQ(here.connect(c, sa(a), length_of(a)), 0);
  const int s = there.accept(l, nullptr, nullptr);
  EXPECT_EQ(here.send(c, "head", 4, MSG_MORE), 4);
  world->run_for(Duration::ms(20));
  char b[16];
  EXPECT_EQ(there.recv(s, b, 16, MSG_DONTWAIT), -EAGAIN);
  EXPECT_EQ(here.send(c, "body", 4, 0), 4);
  world->run_for(Duration::ms(20));
  EXPECT_EQ(there.recv(s, b, 16, MSG_DONTWAIT), 8);
}

// close() with SO_LINGER waits until the peer has everything, or until the time is over.
TEST_F(PosixStory, LingeringClose) {
  const int l = serve(7);
  const linger two_seconds{1, 2};
  const sockaddr_in a = at(7);
  for (const bool peer_reads : {true, false}) {
    const int c = here.socket(AF_INET, SOCK_STREAM, 0);
    ASSERT_EQ(here.setsockopt(c, SOL_SOCKET, SO_LINGER, &two_seconds, length_of(two_seconds)), 0);
    ASSERT_EQ(here.connect(c, sa(a), length_of(a)), 0);
    const int s = there.accept(l, nullptr, nullptr);
    const std::string data(peer_reads ? 1000 : 3'000'000, 'x');
    EXPECT_GT(here.send(c, data.data(), data.size(), MSG_DONTWAIT), 0);
    EXPECT_EQ(here.fcntl(c, F_SETFL, O_NONBLOCK), 0);  // which changes nothing, as on Linux
    const Instant begin = world->hosts.now();
    EXPECT_EQ(here.close(c), 0);
    const auto took = (world->hosts.now() - begin).count_ms();
    if (peer_reads) {
      EXPECT_LT(took, 500);
    } else {
      EXPECT_GE(took, 2000);
      EXPECT_LT(took, 2100);
    }
    EXPECT_EQ(there.close(s), 0);
  }
}

// MSG_ZEROCOPY is taken, the data is copied, and the error queue says so.
// The completion of MSG_ZEROCOPY that poll() tells of.
sock_extended_err zero_copy_completion(LeatBackend& net, int fd) {
  pollfd p{fd, 0, 0};
  EXPECT_EQ(net.poll(&p, 1, 0), 1);
  EXPECT_EQ(p.revents, POLLERR);
  alignas(8) std::array<std::uint8_t, 128> control{};
  msghdr m{};
  m.msg_control = control.data();
  m.msg_controllen = control.size();
  EXPECT_EQ(net.recvmsg(fd, &m, MSG_ERRQUEUE), 0);
  sock_extended_err e{};
  if (CMSG_FIRSTHDR(&m) != nullptr) std::memcpy(&e, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof e);
  EXPECT_EQ(e.ee_origin, SO_EE_ORIGIN_ZEROCOPY);
  EXPECT_EQ(net.recvmsg(fd, &m, MSG_ERRQUEUE), -EAGAIN);
  return e;
}

TEST_F(PosixStory, ZeroCopySendsAreTold) {
  const int l = serve(7);
  const int c = here.socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  ASSERT_EQ(here.setsockopt(c, SOL_SOCKET, SO_ZEROCOPY, &on, length_of(on)), 0);
  const sockaddr_in a = at(7);
  ASSERT_EQ(here.connect(c, sa(a), length_of(a)), 0);
  EXPECT_EQ(here.send(c, "abc", 3, MSG_ZEROCOPY), 3);
  EXPECT_EQ(here.send(c, "def", 3, MSG_ZEROCOPY), 3);
  const sock_extended_err e = zero_copy_completion(here, c);
  EXPECT_EQ(e.ee_code, SO_EE_CODE_ZEROCOPY_COPIED);
  EXPECT_EQ(e.ee_info, 0U);
  EXPECT_EQ(e.ee_data, 1U);
  EXPECT_EQ(here.close(c), 0);
  EXPECT_EQ(there.close(l), 0);
}

// So are datagrams.
TEST_F(PosixStory, ZeroCopyDatagramsAreTold) {
  const int u = here.socket(AF_INET, SOCK_DGRAM, 0);
  const int on = 1;
  ASSERT_EQ(here.setsockopt(u, SOL_SOCKET, SO_ZEROCOPY, &on, length_of(on)), 0);
  const sockaddr_in a = at(7);
  EXPECT_EQ(here.sendto(u, "abc", 3, MSG_ZEROCOPY, sa(a), length_of(a)), 3);
  (void)zero_copy_completion(here, u);
}

// UDP_SEGMENT: nothing is cut, so what would have to be is refused as on a path where Linux can't.
TEST_F(PosixStory, DatagramsAreNotCut) {
  const int u = here.socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in a = at(7);
  ASSERT_EQ(here.connect(u, sa(a), length_of(a)), 0);
  std::string data(1000, 'x');
  iovec part{data.data(), data.size()};
  const auto send = [&](std::uint16_t segment, int type = 103) {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof segment)> control{};
    msghdr m{};
    m.msg_iov = &part;
    m.msg_iovlen = 1;
    m.msg_control = control.data();
    m.msg_controllen = control.size();
    *CMSG_FIRSTHDR(&m) = {.cmsg_len = CMSG_LEN(sizeof segment), .cmsg_level = IPPROTO_UDP, .cmsg_type = type};
    std::memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &segment, sizeof segment);
    return here.sendmsg(u, &m, 0);
  };
  EXPECT_EQ(send(1000), 1000);
  EXPECT_EQ(send(999), -EIO);
  EXPECT_EQ(send(1000, 102), -EINVAL);
}

// RFC 4007: fe80::1%second is another host than fe80::1%first.
TEST_F(PosixStory, AddressesOfALinkNameIt) {
  Stack& stack = world->hosts.stack(0);
  const auto second = stack.add_interface({.name = "second", .link = LinkType::ip, .mtu = 1500});
  ASSERT_TRUE(second.has_value());
  for (const char* address : {"fe80::1/64", "10.7.0.1/24"})
    ASSERT_TRUE(stack.add_address(*second, *IpPrefix::parse(address)));
  world->run_for(Duration::s(2));
  const auto of_link = [](unsigned number) {
    sockaddr_in6 a = v6(9, "fe80::9");
    a.sin6_scope_id = number;
    return a;
  };
  const auto link_of = [&](int fd) {
    std::array<char, 16> name{};
    socklen_t n = name.size();
    EXPECT_EQ(here.getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name.data(), &n), 0);
    return std::string(name.data());
  };
  const int u = here.socket(AF_INET6, SOCK_DGRAM, 0);
  const sockaddr_in6 there6 = of_link(*second);
  const sockaddr_in6 first = of_link(*second - 1U);  // has no link-local address
  EXPECT_EQ(here.sendto(u, "x", 1, 0, sa(first), length_of(first)), -ENETUNREACH);
  EXPECT_EQ(here.sendto(u, "x", 1, 0, sa(there6), length_of(there6)), 1);
  EXPECT_EQ(link_of(u), "");
  EXPECT_EQ(here.connect(u, sa(there6), length_of(there6)), 0);
  EXPECT_EQ(link_of(u), "second");
  sockaddr_in6 told{};
  socklen_t n = length_of(told);
  EXPECT_EQ(here.getpeername(u, sa(told), &n), 0);
  EXPECT_EQ(told.sin6_scope_id, *second);
  n = length_of(told);
  EXPECT_EQ(here.getsockname(u, sa(told), &n), 0);
  EXPECT_EQ(told.sin6_scope_id, *second);
  const int bound = here.socket(AF_INET6, SOCK_DGRAM, 0);
  sockaddr_in6 own = v6(9, "fe80::1");
  own.sin6_scope_id = *second + 7U;
  EXPECT_EQ(here.bind(bound, sa(own), length_of(own)), -ENODEV);
  EXPECT_EQ(link_of(bound), "");
  own.sin6_scope_id = *second;
  EXPECT_EQ(here.bind(bound, sa(own), length_of(own)), 0);
  EXPECT_EQ(link_of(bound), "second");
  const sockaddr_in6 elsewhere = of_link(*second + 1U);
  EXPECT_EQ(here.connect(u, sa(elsewhere), length_of(elsewhere)), -EINVAL);
}

std::string joined(const posix::Lent& lent) {
  std::string all;
  for (const ByteSpan piece : lent.pieces()) all.append(piece.begin(), piece.end());
  return all;
}

// Data is read where it lies; it stays while the program holds it, whatever comes after it.
TEST_F(PosixStory, ReceivingWithoutACopy) {
  const int l = serve(7);
  const int c = here.socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in a = at(7);
  ASSERT_EQ(here.connect(c, sa(a), length_of(a)), 0);
  const int s = there.accept(l, nullptr, nullptr);
  std::string sent;
  for (int i = 0; i < 5000; ++i) sent += static_cast<char>('a' + i % 23);
  ASSERT_EQ(here.send(c, sent.data(), sent.size(), 0), 5000);
  world->run_for(Duration::ms(5));
  const auto copied = world->hosts.stack(1).counters().get(Counter::copied_bytes);
  posix::Lent first;
  const ssize_t n = there.receive_lent(s, first, 0);
  ASSERT_GT(n, 0);
  EXPECT_EQ(joined(first), sent.substr(0, static_cast<std::size_t>(n)));
  posix::Lent second = std::move(first);
  EXPECT_TRUE(first.pieces().empty());  // NOLINT(bugprone-use-after-move)
  std::string got = joined(second);
  posix::Lent rest;
  while (got.size() < sent.size()) {
    ASSERT_GT(there.receive_lent(s, rest, 0), 0);
    got += joined(rest);
  }
  EXPECT_EQ(got, sent);
  EXPECT_EQ(world->hosts.stack(1).counters().get(Counter::copied_bytes), copied);
  EXPECT_EQ(there.receive_lent(s, rest, MSG_DONTWAIT), -EAGAIN);
  ASSERT_EQ(here.send(c, "more", 4, 0), 4);
  char b[8];
  EXPECT_EQ(there.recv(s, b, 8, 0), 4);
  EXPECT_EQ(joined(second), sent.substr(0, static_cast<std::size_t>(n)));  // still there
  EXPECT_EQ(here.shutdown(c, SHUT_WR), 0);
  EXPECT_EQ(there.receive_lent(s, rest, 0), 0);
  EXPECT_EQ(there.close(s), 0);
  EXPECT_EQ(joined(second), sent.substr(0, static_cast<std::size_t>(n)));  // beyond the socket's end
  second.release();
  EXPECT_TRUE(second.pieces().empty());
  const int r = there.socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in any = v4(9, "0.0.0.0");
  ASSERT_EQ(there.bind(r, sa(any), length_of(any)), 0);
  const int u = here.socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in to = at(9);
  EXPECT_EQ(here.sendto(u, "datagram", 8, 0, sa(to), length_of(to)), 8);
  sockaddr_in from{};
  socklen_t length = length_of(from);
  EXPECT_EQ(there.receive_lent(r, rest, 0, sa(from), &length), 8);
  EXPECT_EQ(joined(rest), "datagram");
  EXPECT_EQ(from.sin_addr.s_addr, inet_addr("10.0.0.1"));
}

// What a program wrote into packet memory leaves as it lies, and the buffer is complete when nobody needs it.
TEST_F(PosixStory, SendingAnOwnedBuffer) {
  const int l = serve(7);
  const int c = here.socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in a = at(7);
  ASSERT_EQ(here.connect(c, sa(a), length_of(a)), 0);
  const int s = there.accept(l, nullptr, nullptr);
  std::string sent(20'000, '-');
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>('a' + i % 23);
  posix::OwnedBuffer b;
  EXPECT_EQ(here.take_buffer(b, 0), -EINVAL);
  EXPECT_EQ(here.take_buffer(b, 100'000), -EINVAL);
  ASSERT_EQ(here.take_buffer(b, sent.size()), 0);
  ASSERT_EQ(b.data().size(), sent.size());
  std::copy(sent.begin(), sent.end(), b.data().begin());
  const auto copied = world->hosts.stack(0).counters().get(Counter::copied_bytes);
  EXPECT_EQ(here.send_owned(c, b, 30'000), -EINVAL);
  ASSERT_EQ(here.send_owned(c, b, sent.size()), 0);
  EXPECT_TRUE(b.under_way());
  EXPECT_TRUE(b.data().empty());
  EXPECT_EQ(here.send(c, "end", 3, 0), 3);  // behind it
  EXPECT_EQ(world->hosts.stack(0).counters().get(Counter::copied_bytes), copied + 3);
  std::string got(sent.size() + 3, '?');
  EXPECT_EQ(there.recv(s, got.data(), got.size(), MSG_WAITALL), static_cast<ssize_t>(got.size()));
  EXPECT_EQ(got, sent + "end");
  world->run_for(Duration::ms(100));  // the last acknowledgement
  EXPECT_TRUE(b.complete());
  EXPECT_EQ(b.error(), 0);
  // Taken again, and given to a connection that ends before it has gone.
  ASSERT_EQ(here.take_buffer(b, 1000), 0);
  ASSERT_EQ(here.shutdown(c, SHUT_WR), 0);
  ASSERT_EQ(here.send_owned(c, b, 1000), 0);
  EXPECT_TRUE(b.complete());
  EXPECT_EQ(b.error(), EPIPE);
  EXPECT_EQ(b.data().size(), 1000U);  // it is the program's still
  const int u = here.socket(AF_INET, SOCK_DGRAM, 0);
  EXPECT_EQ(here.send_owned(u, b, 1000), -EDESTADDRREQ);
}

// As datagrams they go too, with a small copy for what is looked at on the way.
TEST_F(PosixStory, SendingAnOwnedDatagram) {
  const auto copied = [this] { return world->hosts.stack(0).counters().get(Counter::copied_bytes); };
  const auto expect_sent = [&](int from, int to, const sockaddr_in* address, std::size_t in_front) {
    std::string sent(1200, '-');
    for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>('a' + i % 23);
    posix::OwnedBuffer b;
    ASSERT_EQ(here.take_buffer(b, sent.size()), 0);
    std::copy(sent.begin(), sent.end(), b.data().begin());
    const auto before = copied();
    ASSERT_EQ(here.send_owned(from, b, sent.size(), address == nullptr ? nullptr : sa(*address),
                              address == nullptr ? 0 : length_of(*address)),
              0);
    EXPECT_LE(copied() - before, 100U);
    std::string got(2000, '?');
    EXPECT_EQ(there.recv(to, got.data(), got.size(), 0), static_cast<ssize_t>(in_front + sent.size()));
    EXPECT_EQ(got.substr(in_front, sent.size()), sent);
    world->run_for(Duration::ms(10));
    EXPECT_TRUE(b.complete());
    EXPECT_EQ(b.error(), 0);
    EXPECT_TRUE(b.data().empty());
  };
  const int r = there.socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in any = v4(9, "0.0.0.0"), to = at(9);
  ASSERT_EQ(there.bind(r, sa(any), length_of(any)), 0);
  const int u = here.socket(AF_INET, SOCK_DGRAM, 0);
  expect_sent(u, r, &to, 0);
  ASSERT_EQ(here.connect(u, sa(to), length_of(to)), 0);
  expect_sent(u, r, nullptr, 0);
  const int raw_there = there.socket(AF_INET, SOCK_RAW, 253);
  const int raw_here = here.socket(AF_INET, SOCK_RAW, 253);
  const sockaddr_in host = at(0);
  expect_sent(raw_here, raw_there, &host, 20);
  // One that can't leave is the program's still, and may be sent again.
  posix::OwnedBuffer b;
  ASSERT_EQ(here.take_buffer(b, 60'000), 0);
  ASSERT_EQ(here.send_owned(u, b, 60'000), 0);
  EXPECT_TRUE(b.complete());
  EXPECT_EQ(b.error(), EMSGSIZE);
  EXPECT_EQ(b.data().size(), 60'000U);
  ASSERT_EQ(here.send_owned(u, b, 100), 0);
  char c[200];
  EXPECT_EQ(there.recv(r, c, 200, 0), 100);
  // To this host itself: it is free when it was read.
  const int own = here.socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in mine = v4(10, "127.0.0.1");
  ASSERT_EQ(here.bind(own, sa(mine), length_of(mine)), 0);
  posix::OwnedBuffer looped;
  ASSERT_EQ(here.take_buffer(looped, 30'000), 0);
  std::fill(looped.data().begin(), looped.data().end(), 'z');
  ASSERT_EQ(here.send_owned(own, looped, 30'000, sa(mine), length_of(mine)), 0);
  world->run_for(Duration::ms(10));
  EXPECT_TRUE(looped.under_way());
  std::string got(30'000, '?');
  EXPECT_EQ(here.recv(own, got.data(), got.size(), 0), 30'000);
  EXPECT_EQ(got, std::string(30'000, 'z'));
  world->run_for(Duration::ms(10));
  EXPECT_TRUE(looped.complete());
}

// What is lent counts against SO_RCVBUF until it is given back: the peer is not invited to send more.
TEST_F(PosixStory, LoansCountAgainstTheReceiveBuffer) {
  const int small = 20'000;
  const int l = serve(7);
  ASSERT_EQ(there.setsockopt(l, SOL_SOCKET, SO_RCVBUF, &small, length_of(small)), 0);
  const int c = here.socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in a = at(7);
  ASSERT_EQ(here.connect(c, sa(a), length_of(a)), 0);
  const int s = there.accept(l, nullptr, nullptr);
  const std::string much(300'000, 'x');
  ASSERT_EQ(here.send(c, much.data(), much.size(), 0), 300'000);
  std::vector<posix::Lent> lent(100);
  std::size_t count = 0, octets = 0;
  const auto take_all = [&] {
    for (ssize_t n = 1; n > 0;) {
      world->run_for(Duration::s(1));
      n = there.receive_lent(s, lent[count], MSG_DONTWAIT);
      if (n <= 0) continue;
      ++count;
      octets += static_cast<std::size_t>(n);
    }
  };
  take_all();
  EXPECT_GT(octets, 20'000U);
  EXPECT_LE(octets, 40'000U);
  world->run_for(Duration::s(30));  // however quiet it gets
  EXPECT_EQ(there.receive_lent(s, lent[count], MSG_DONTWAIT), -EAGAIN);
  for (std::size_t i = 0; i < count; ++i) lent[i].release();
  while (octets < much.size()) {
    count = 0;
    const std::size_t before = octets;
    take_all();
    ASSERT_GT(octets, before);
    EXPECT_LE(octets - before, 40'000U);
    for (std::size_t i = 0; i < count; ++i) lent[i].release();
  }
  EXPECT_EQ(octets, much.size());
  // Given back after the socket's end, and after another has its place.
  ASSERT_EQ(here.send(c, "last", 4, 0), 4);
  EXPECT_EQ(there.receive_lent(s, lent[0], 0), 4);
  EXPECT_EQ(there.close(s), 0);
  lent[0].release();
  const int r = there.socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in any = v4(9, "0.0.0.0"), to = at(9);
  ASSERT_EQ(there.bind(r, sa(any), length_of(any)), 0);
  ASSERT_EQ(there.setsockopt(r, SOL_SOCKET, SO_RCVBUF, &small, length_of(small)), 0);
  const int u = here.socket(AF_INET, SOCK_DGRAM, 0);
  for (count = 0; count < 60; ++count) {
    EXPECT_EQ(here.sendto(u, much.data(), 1000, 0, sa(to), length_of(to)), 1000);
    world->run_for(Duration::ms(5));
    if (there.receive_lent(r, lent[count], MSG_DONTWAIT) < 0) break;
  }
  EXPECT_GT(count, 10U);
  EXPECT_LE(count, 40U);  // of 40,000 octets, memory of 1,000 and more
  for (std::size_t i = 0; i < count; ++i) lent[i].release();
  EXPECT_EQ(here.sendto(u, much.data(), 1000, 0, sa(to), length_of(to)), 1000);
  EXPECT_EQ(there.receive_lent(r, lent[0], 0), 1000);
}

// A send that is under way outlives its buffer: the stack keeps the memory, the peer gets the data.
TEST_F(PosixStory, OwnedBufferThatGoesBeforeItsSend) {
  const int l = serve(7);
  const int c = here.socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in a = at(7);
  ASSERT_EQ(here.connect(c, sa(a), length_of(a)), 0);
  const int s = there.accept(l, nullptr, nullptr);
  {
    posix::OwnedBuffer b;
    ASSERT_EQ(here.take_buffer(b, 5000), 0);
    std::fill(b.data().begin(), b.data().end(), 'x');
    ASSERT_EQ(here.send_owned(c, b, 5000), 0);
  }
  std::string got(5000, '?');
  EXPECT_EQ(there.recv(s, got.data(), got.size(), MSG_WAITALL), 5000);
  EXPECT_EQ(got, std::string(5000, 'x'));
  // A full send buffer: it waits for its turn, and is cancelled while it does.
  const std::string much(1 << 20, 'y');
  while (here.send(c, much.data(), much.size(), MSG_DONTWAIT) > 0) world->run_for(Duration::ms(100));
  posix::OwnedBuffer b;
  ASSERT_EQ(here.take_buffer(b, 5000), 0);
  ASSERT_EQ(here.send_owned(c, b, 5000), 0);
  world->run_for(Duration::ms(100));
  EXPECT_TRUE(b.under_way());
  b.reset();
  EXPECT_FALSE(b.under_way());
  EXPECT_EQ(here.close(c), 0);
  EXPECT_EQ(there.close(s), 0);
}

// Leases of all sockets hold at most half of the pool; then data is read by a copy, and nothing is lost.
TEST_F(PosixStory, LeasesHoldHalfOfThePool) {
  const int r = there.socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in any = v4(9, "0.0.0.0");
  ASSERT_EQ(there.bind(r, sa(any), length_of(any)), 0);
  const int large = 1 << 28;  // more than there is
  ASSERT_EQ(there.setsockopt(r, SOL_SOCKET, SO_RCVBUF, &large, length_of(large)), 0);
  const int u = here.socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in to = at(9);
  const std::string data(1400, 'x');
  std::vector<posix::Lent> held;
  ssize_t n = 0;
  for (int i = 0; i < 2000; ++i) {
    ASSERT_EQ(here.sendto(u, data.data(), data.size(), 0, sa(to), length_of(to)), 1400);
    posix::Lent lent;
    n = there.receive_lent(r, lent, 0);
    if (n < 0) break;
    held.push_back(std::move(lent));
  }
  EXPECT_EQ(n, -ENOBUFS);
  EXPECT_GT(held.size(), 100U);
  std::array<char, 1400> b;
  EXPECT_EQ(there.recv(r, b.data(), b.size(), 0), 1400);
  held.clear();
  ASSERT_EQ(here.sendto(u, data.data(), data.size(), 0, sa(to), length_of(to)), 1400);
  posix::Lent again;
  EXPECT_EQ(there.receive_lent(r, again, 0), 1400);
}

// A program that watches a socket while it tries again and again to connect: the set goes on telling.
TEST_F(PosixStory, SetOutlivesAFailedConnect) {
  const int c = here.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  const int set = here.epoll_create1(0);
  epoll_event e{};
  e.events = EPOLLOUT;
  e.data.u64 = 5;
  const sockaddr_in a = at(7);
  EXPECT_EQ(here.connect(c, sa(a), length_of(a)), -EINPROGRESS);
  ASSERT_EQ(here.epoll_ctl(set, EPOLL_CTL_ADD, c, &e), 0);
  ASSERT_EQ(here.epoll_wait(set, &e, 1, 1000), 1);
  EXPECT_EQ(e.events & EPOLLERR, std::uint32_t{EPOLLERR});
  EXPECT_EQ(here.connect(c, sa(a), length_of(a)), -ECONNREFUSED);
  const int l = serve(7);
  EXPECT_EQ(here.connect(c, sa(a), length_of(a)), -EINPROGRESS);
  ASSERT_EQ(here.epoll_wait(set, &e, 1, 1000), 1);
  EXPECT_EQ(e.data.u64, 5U);
  EXPECT_EQ(e.events, std::uint32_t{EPOLLOUT});
  EXPECT_EQ(here.close(c), 0);
  EXPECT_EQ(here.close(set), 0);
  EXPECT_EQ(there.close(l), 0);
}

// What sock_diag(7) tells of one flow: whatever the socket is, and where none is any more.
TEST_F(PosixStory, AConnectionIsFoundByItsAddresses) {
  const int l = serve(7);
  const int c = here.socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in server = at(7), own = v4(4000, "10.0.0.1");
  ASSERT_EQ(here.bind(c, sa(own), length_of(own)), 0);
  posix::LinuxTcpInfo info;
  const auto ask = [&](LeatBackend& host, const sockaddr_in& local, const sockaddr_in& remote) {
    socklen_t n = sizeof info;
    info = {};
    const int r = host.tcp_info_of(sa(local), length_of(local), sa(remote), length_of(remote), &info, &n);
    EXPECT_EQ(n, sizeof info);
    return r;
  };
  EXPECT_EQ(ask(here, own, server), -ENOENT);
  EXPECT_EQ(ask(there, server, own), 0);
  EXPECT_EQ(info.state, 10);  // TCP_LISTEN
  ASSERT_EQ(here.connect(c, sa(server), length_of(server)), 0);
  const int s = there.accept(l, nullptr, nullptr);
  EXPECT_EQ(here.send(c, "hello", 5, 0), 5);
  world->run_for(Duration::s(1));
  EXPECT_EQ(ask(there, server, own), 0);
  EXPECT_EQ(info.state, 1);  // TCP_ESTABLISHED
  EXPECT_EQ(info.bytes_received, 5U);
  EXPECT_EQ(ask(there, own, server), -ENOENT);
  std::uint8_t state = 0;
  socklen_t n = sizeof state;
  EXPECT_EQ(here.tcp_info_of(sa(own), length_of(own), sa(server), length_of(server), &state, &n), 0);
  EXPECT_EQ(n, 1U);
  EXPECT_EQ(state, 1);
  std::array<char, 5> got{};
  EXPECT_EQ(there.recv(s, got.data(), got.size(), 0), 5);
  EXPECT_EQ(here.close(c), 0);
  world->run_for(Duration::ms(50));
  EXPECT_EQ(there.close(s), 0);
  world->run_for(Duration::ms(50));
  EXPECT_EQ(ask(here, own, server), 0);
  EXPECT_EQ(info.state, 6);  // TCP_TIME_WAIT
  world->run_for(Duration::s(300));
  EXPECT_EQ(ask(here, own, server), -ENOENT);
  const sockaddr_in6 other_family = v6(7, "fd00::2");
  n = sizeof info;
  EXPECT_EQ(here.tcp_info_of(sa(own), length_of(own), sa(other_family), length_of(other_family), &info, &n), -EINVAL);
  EXPECT_EQ(here.tcp_info_of(sa(own), 3, sa(server), length_of(server), &info, &n), -EINVAL);
  EXPECT_EQ(here.tcp_info_of(nullptr, 16, sa(server), length_of(server), &info, &n), -EFAULT);
  EXPECT_EQ(here.tcp_info_of(sa(own), length_of(own), sa(server), length_of(server), nullptr, &n), -EFAULT);
}

}  // namespace
}  // namespace leat::test
