// Datagram sockets, on Linux and on Leat: peers, names, errors, and the control messages of what is sent.

#include "tests/posix/same_program.hpp"

namespace leat::test {
namespace {

template <class Backend>
class PosixDatagrams : public SameProgram<Backend> {};
TYPED_TEST_SUITE(PosixDatagrams, Backends, BackendNames);

TYPED_TEST(PosixDatagrams, Datagrams) {
  auto& n = this->net;
  const int a = this->udp(SOCK_NONBLOCK);
  const int b = this->udp();
  char buffer[32] = {};
  EXPECT_EQ(n.send(b, "x", 1, 0), -EDESTADDRREQ);
  EXPECT_EQ(n.recv(a, buffer, length_of(buffer), 0), -EAGAIN);
  const std::uint16_t port = this->bind_any(a);
  sockaddr_in to = v4(port);
  EXPECT_EQ(n.sendto(b, "hello", 5, 0, sa(to), 4), -EINVAL);
  EXPECT_EQ(n.sendto(b, "hello", 5, 0, sa(to), length_of(to)), 5);
  EXPECT_NE(this->port_of(b), 0);
  EXPECT_EQ(this->wait_for(a, POLLIN | POLLOUT), POLLIN | POLLOUT);
  int pending = 0;
  EXPECT_EQ(n.ioctl(a, FIONREAD, &pending), 0);
  EXPECT_EQ(pending, 5);
  EXPECT_EQ(n.recv(a, buffer, 2, MSG_PEEK), 2);
  EXPECT_EQ(n.recv(a, buffer, 2, MSG_PEEK | MSG_TRUNC), 5);
  sockaddr_in from{};
  socklen_t len = length_of(from);
  EXPECT_EQ(n.recvfrom(a, buffer, length_of(buffer), 0, sa(from), &len), 5);
  EXPECT_EQ(len, length_of(from));
  EXPECT_EQ(ntohs(from.sin_port), this->port_of(b));
  EXPECT_EQ(n.sendto(b, "", 0, 0, sa(to), length_of(to)), 0);  // empty, and it arrives
  EXPECT_EQ(this->wait_for(a, POLLIN), POLLIN);
  EXPECT_EQ(n.recv(a, buffer, length_of(buffer), 0), 0);
  EXPECT_EQ(n.recv(a, buffer, length_of(buffer), 0), -EAGAIN);
  std::vector<char> big(70000);
  EXPECT_EQ(n.sendto(b, big.data(), 65508, 0, sa(to), length_of(to)), -EMSGSIZE);
  EXPECT_EQ(n.sendto(b, big.data(), big.size(), 0, sa(to), length_of(to)), -EMSGSIZE);
  sockaddr_in zero = v4(0);
  EXPECT_EQ(n.sendto(b, "x", 1, 0, sa(zero), length_of(zero)), -EINVAL);
  sockaddr_in6 six = v6(port);
  EXPECT_EQ(n.sendto(b, "x", 1, 0, sa(six), length_of(six)), -EAFNOSUPPORT);
  sockaddr_in broadcast = v4(port, "255.255.255.255");
  EXPECT_EQ(n.sendto(b, "x", 1, 0, sa(broadcast), length_of(broadcast)), -EACCES);
  EXPECT_EQ(n.send(b, "x", 1, MSG_OOB), -EOPNOTSUPP);
  EXPECT_EQ(n.recv(a, buffer, 1, MSG_OOB), -EAGAIN);
  this->close_all({a, b});
}

TYPED_TEST(PosixDatagrams, ShutdownWithoutConnectionStillWakes) {
  auto& n = this->net;
  const int u = this->udp();
  EXPECT_EQ(n.shutdown(u, SHUT_RDWR), -ENOTCONN);
  char b;
  EXPECT_EQ(n.recv(u, &b, 1, 0), 0);
  const sockaddr_in to = v4(9);
  EXPECT_EQ(n.sendto(u, "x", 1, 0, sa(to), length_of(to)), -EPIPE);
  this->close_all({u});
}

TYPED_TEST(PosixDatagrams, WhoSendsToNobodyIsToldSoFirst) {
  const int u = this->udp();
  const sockaddr_in to = v4(this->bind_any(u));
  EXPECT_EQ(this->net.shutdown(u, SHUT_WR), -ENOTCONN);
  EXPECT_EQ(this->net.send(u, "x", 1, MSG_NOSIGNAL), -EDESTADDRREQ);
  EXPECT_EQ(this->net.sendto(u, "x", 1, MSG_NOSIGNAL, sa(to), length_of(to)), -EPIPE);
  this->close_all({u});
}

// The end of an association takes the port with it that came with it, and leaves the one that bind() gave.
TYPED_TEST(PosixDatagrams, DatagramSocketWithoutItsPeer) {
  const int u = this->udp(), named = this->udp(), six = this->udp6();
  const std::uint16_t port = this->bind_any(named);
  const sockaddr_in to = v4(9);
  const sockaddr none{};  // AF_UNSPEC
  EXPECT_EQ(this->net.connect(u, sa(to), length_of(to)), 0);
  EXPECT_NE(this->port_of(u), 0);
  EXPECT_EQ(this->net.connect(u, &none, length_of(none)), 0);
  EXPECT_EQ(this->port_of(u), 0);
  const sockaddr_in own = v4(port);
  EXPECT_EQ(this->net.bind(u, sa(own), length_of(own)), -EADDRINUSE);
  EXPECT_EQ(this->net.sendto(u, "x", 1, 0, sa(own), length_of(own)), 1);
  EXPECT_NE(this->port_of(u), 0);
  EXPECT_EQ(this->net.connect(six, &none, length_of(none)), 0);
  EXPECT_EQ(this->set(six, IPPROTO_IPV6, IPV6_V6ONLY, 1), 0);
  this->close_all({u, named, six});
}

TYPED_TEST(PosixDatagrams, ConnectedDatagrams) {
  auto& n = this->net;
  const int a = this->udp(SOCK_NONBLOCK);
  const int b = this->udp(SOCK_NONBLOCK);
  const sockaddr_in at_a = v4(this->bind_any(a));
  const sockaddr_in at_b = v4(this->bind_any(b));
  char buffer[8];
  EXPECT_EQ(n.connect(b, sa(at_a), length_of(at_a)), 0);
  sockaddr_in peer{};
  socklen_t len = length_of(peer);
  EXPECT_EQ(n.getpeername(b, sa(peer), &len), 0);
  EXPECT_EQ(peer.sin_port, at_a.sin_port);
  EXPECT_EQ(n.send(b, "x", 1, 0), 1);
  EXPECT_EQ(this->wait_for(a, POLLIN), POLLIN);
  EXPECT_EQ(n.recv(a, buffer, 8, 0), 1);
  const int other = this->udp();
  EXPECT_EQ(n.sendto(other, "stray", 5, 0, sa(at_b), length_of(at_b)), 5);  // not from its peer
  EXPECT_EQ(this->wait_for(b, POLLIN, 1), 0);
  EXPECT_EQ(n.shutdown(b, SHUT_WR), 0);
  EXPECT_EQ(n.send(b, "x", 1, 0), -EPIPE);
  sockaddr unspecified{};
  unspecified.sa_family = AF_UNSPEC;
  EXPECT_EQ(n.connect(b, &unspecified, length_of(unspecified)), 0);
  EXPECT_EQ(n.getpeername(b, sa(peer), &len), -ENOTCONN);
  this->close_all({a, b, other});
}

TYPED_TEST(PosixDatagrams, RefusedDatagram) {
  auto& n = this->net;
  const int gone = this->udp();
  const sockaddr_in to = v4(this->bind_any(gone));
  this->close_all({gone});
  const int c = this->udp(SOCK_NONBLOCK);
  EXPECT_EQ(n.connect(c, sa(to), length_of(to)), 0);
  EXPECT_EQ(n.send(c, "x", 1, 0), 1);
  EXPECT_EQ(this->wait_for(c, POLLIN) & POLLERR, POLLERR);
  char b;
  EXPECT_EQ(n.recv(c, &b, 1, 0), -ECONNREFUSED);
  EXPECT_EQ(n.recv(c, &b, 1, 0), -EAGAIN);
  EXPECT_EQ(n.send(c, "x", 1, 0), 1);
  EXPECT_EQ(this->wait_for(c, 0) & POLLERR, POLLERR);
  EXPECT_EQ(this->option(c, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
  EXPECT_EQ(this->option(c, SOL_SOCKET, SO_ERROR), 0);
  EXPECT_EQ(n.send(c, "x", 1, 0), 1);
  EXPECT_EQ(this->wait_for(c, 0) & POLLERR, POLLERR);
  EXPECT_EQ(n.send(c, "x", 1, 0), -ECONNREFUSED);
  this->close_all({c});
}

// One control message of a number.
struct NumberMessage {
  NumberMessage(int level, int type, int number) {
    header.msg_iov = &piece;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* const c = CMSG_FIRSTHDR(&header);
    c->cmsg_len = CMSG_LEN(sizeof number);
    c->cmsg_level = level;
    c->cmsg_type = type;
    std::memcpy(CMSG_DATA(c), &number, sizeof number);
  }
  NumberMessage(const NumberMessage&) = delete;
  NumberMessage& operator=(const NumberMessage&) = delete;
  char octet = 'x';
  iovec piece{&octet, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr header{};
};

TYPED_TEST(PosixDatagrams, AnErrorIsToldBeforeWhatIsThere) {
  auto& n = this->net;
  const int peer = this->udp();
  const int u = this->udp();
  const sockaddr_in there = v4(this->bind_any(peer));
  EXPECT_EQ(n.connect(u, sa(there), length_of(there)), 0);
  const sockaddr_in here = v4(this->port_of(u));
  EXPECT_EQ(n.sendto(peer, "data", 4, 0, sa(here), length_of(here)), 4);
  EXPECT_EQ(this->wait_for(u, POLLIN), POLLIN);
  EXPECT_EQ(n.close(peer), 0);
  EXPECT_EQ(n.send(u, "x", 1, 0), 1);
  EXPECT_EQ(this->wait_for(u, 0), POLLERR);
  std::array<char, 8> got{};
  EXPECT_EQ(n.recv(u, got.data(), got.size(), 0), -ECONNREFUSED);
  EXPECT_EQ(n.recv(u, got.data(), got.size(), 0), 4);
  this->close_all({u});
}

// recvmmsg() tells how many came, and an error that ended it to whoever asks next.
struct TwoMessages {
  TwoMessages() {
    messages[0].msg_hdr.msg_iov = &piece;
    messages[0].msg_hdr.msg_iovlen = 1;
    messages[1].msg_hdr.msg_iov = &piece;
    messages[1].msg_hdr.msg_iovlen = 1025;  // more than there may be: EMSGSIZE
  }
  TwoMessages(const TwoMessages&) = delete;
  TwoMessages& operator=(const TwoMessages&) = delete;
  char octet = 0;
  iovec piece{&octet, 1};
  std::array<mmsghdr, 2> messages{};
};

TYPED_TEST(PosixDatagrams, AnErrorAfterTheFirstOfManyIsKept) {
  auto& n = this->net;
  const int u = this->udp(SOCK_NONBLOCK);
  const sockaddr_in own = v4(this->bind_any(u));
  TwoMessages two;
  char b = 0;
  const auto sent = [&](char octet) {
    EXPECT_EQ(n.sendto(u, &octet, 1, 0, sa(own), length_of(own)), 1);
    EXPECT_EQ(this->wait_for(u, POLLIN), POLLIN);
  };
  const auto fail_after_one = [&](char octet) {
    sent(octet);
    EXPECT_EQ(n.recvmmsg(u, two.messages.data(), 2U, 0, nullptr), 1);
    EXPECT_EQ(two.messages[0].msg_len, 1U);
    EXPECT_EQ(two.octet, octet);
    EXPECT_EQ(this->wait_for(u, POLLIN, 0), POLLERR);
  };
  // Each who is told is the only one, and what came meanwhile is not lost.
  fail_after_one('a');
  EXPECT_EQ(this->option(u, SOL_SOCKET, SO_ERROR), EMSGSIZE);
  EXPECT_EQ(this->option(u, SOL_SOCKET, SO_ERROR), 0);
  fail_after_one('b');
  EXPECT_EQ(n.sendto(u, "y", 1, 0, sa(own), length_of(own)), -EMSGSIZE);
  EXPECT_EQ(n.recv(u, &b, 1, 0), -EAGAIN);
  fail_after_one('c');
  EXPECT_EQ(n.recv(u, &b, 1, 0), -EMSGSIZE);
  EXPECT_EQ(n.recv(u, &b, 1, 0), -EAGAIN);
  fail_after_one('d');
  EXPECT_EQ(n.recvmmsg(u, two.messages.data(), 2U, 0, nullptr), -EMSGSIZE);
  EXPECT_EQ(n.recvmmsg(u, two.messages.data(), 2U, 0, nullptr), -EAGAIN);
  sent('e');
  EXPECT_EQ(n.sendto(u, "f", 1, 0, sa(own), length_of(own)), 1);
  EXPECT_EQ(n.recvmmsg(u, two.messages.data(), 2U, 0, nullptr), 1);  // the other one is there still
  EXPECT_EQ(n.recv(u, &b, 1, 0), -EMSGSIZE);
  EXPECT_EQ(n.recv(u, &b, 1, 0), 1);
  EXPECT_EQ(b, 'f');
  // That there is nothing more is no error.
  two.messages[1].msg_hdr.msg_iovlen = 1;
  sent('g');
  EXPECT_EQ(n.recvmmsg(u, two.messages.data(), 2U, 0, nullptr), 1);
  EXPECT_EQ(this->option(u, SOL_SOCKET, SO_ERROR), 0);
  this->close_all({u});
}

// Of a stream it comes after what is there to read.
TYPED_TEST(PosixDatagrams, AnErrorAfterTheFirstOfManyIsKeptForAStream) {
  auto& n = this->net;
  const auto p = this->connected();
  TwoMessages two;
  std::array<char, 8> got{};
  EXPECT_EQ(n.send(p.client, "abc", 3, 0), 3);
  EXPECT_EQ(this->wait_for(p.server, POLLIN), POLLIN);
  EXPECT_EQ(n.recvmmsg(p.server, two.messages.data(), 2U, MSG_WAITFORONE, nullptr), 1);
  EXPECT_EQ(this->wait_for(p.server, POLLIN, 0), POLLIN | POLLERR);
  EXPECT_EQ(n.recv(p.server, got.data(), got.size(), MSG_DONTWAIT), 2);
  EXPECT_EQ(n.recv(p.server, got.data(), got.size(), MSG_DONTWAIT), -EMSGSIZE);
  EXPECT_EQ(n.recv(p.server, got.data(), got.size(), MSG_DONTWAIT), -EAGAIN);
  EXPECT_EQ(n.send(p.client, "de", 2, 0), 2);  // the connection is as it was
  EXPECT_EQ(this->wait_for(p.server, POLLIN), POLLIN);
  EXPECT_EQ(n.recvmmsg(p.server, two.messages.data(), 2U, 0, nullptr), 1);
  EXPECT_EQ(n.send(p.server, "x", 1, 0), -EMSGSIZE);
  EXPECT_EQ(n.send(p.server, "x", 1, 0), 1);
  EXPECT_EQ(n.recv(p.server, got.data(), got.size(), MSG_DONTWAIT), 1);
  this->close_all({p.client, p.server, p.listener});
}

TYPED_TEST(PosixDatagrams, ControlMessagesOfAnotherVersionOfIpSayNothing) {
  const auto [client, server, l] = this->connected();
  NumberMessage bad(IPPROTO_IP, IP_TTL, 0);
  EXPECT_EQ(this->net.sendmsg(client, &bad.header, 0), 1) << "nor any to a stream";
  NumberMessage unknown(SOL_SOCKET, 77, 0);
  EXPECT_EQ(this->net.sendmsg(client, &unknown.header, 0), -EINVAL);
  this->close_all({client, server, l});
  const int u = this->udp();
  sockaddr_in to = v4(this->bind_any(u));
  bad.header.msg_name = &to;
  bad.header.msg_namelen = sizeof to;
  EXPECT_EQ(this->net.sendmsg(u, &bad.header, 0), -EINVAL);
  this->close_all({u});
  if (!this->has_v6()) return;
  const int u6 = this->udp6();
  sockaddr_in6 to6 = v6(9);
  bad.header.msg_name = &to6;
  bad.header.msg_namelen = sizeof to6;
  EXPECT_EQ(this->net.sendmsg(u6, &bad.header, 0), 1);
  this->close_all({u6});
}

// The version of IP that counts is the peer's; where there is none, that is said first.
TYPED_TEST(PosixDatagrams, ControlMessagesOfSendmsgWithoutAName) {
  const int u = this->udp6();
  NumberMessage of_ip(IPPROTO_IP, IP_TTL, 0), of_ipv6(IPPROTO_IPV6, IPV6_HOPLIMIT, 256);
  EXPECT_EQ(this->net.sendmsg(u, &of_ip.header, 0), -EDESTADDRREQ);
  EXPECT_EQ(this->net.sendmsg(u, &of_ipv6.header, 0), -EDESTADDRREQ);
  const sockaddr_in6 to = v6(9), mapped = v6(9, "::ffff:127.0.0.1");
  EXPECT_EQ(this->net.connect(u, sa(to), length_of(to)), 0);
  EXPECT_EQ(this->net.sendmsg(u, &of_ipv6.header, 0), -EINVAL);
  EXPECT_GE(this->net.sendmsg(u, &of_ip.header, 0), 0);
  const int four = this->udp6();
  EXPECT_EQ(this->net.connect(four, sa(mapped), length_of(mapped)), 0);
  EXPECT_EQ(this->net.sendmsg(four, &of_ip.header, 0), -EINVAL);
  EXPECT_GE(this->net.sendmsg(four, &of_ipv6.header, 0), 0);
  this->close_all({u, four});
}

TYPED_TEST(PosixDatagrams, AFailedSendmsgGivesANameToo) {
  const int u = this->udp();
  sockaddr_in to = v4(9);
  NumberMessage bad(IPPROTO_IP, IP_TTL, 0);
  bad.header.msg_name = &to;
  bad.header.msg_namelen = sizeof to;
  EXPECT_EQ(this->net.sendmsg(u, &bad.header, 0), -EINVAL);
  EXPECT_NE(this->port_of(u), 0);
  this->close_all({u});
}

TYPED_TEST(PosixDatagrams, AFailedSendtoGivesANameToo) {
  const int u = this->udp6();
  const sockaddr_in6 to = v6(9);
  EXPECT_EQ(this->net.shutdown(u, SHUT_WR), -ENOTCONN);
  EXPECT_EQ(this->net.sendto(u, "x", 1, MSG_NOSIGNAL, sa(to), length_of(to)), -EPIPE);
  EXPECT_NE(this->port_of(u), 0);
  this->close_all({u});
}

}  // namespace
}  // namespace leat::test
