// Every pointer of the table, once where it works and once where it can't.

#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "tests/packetdrill/driver.hpp"

namespace leat::test {
namespace {

constexpr int kNobody = 12345;

// "It failed, and errno says why."
#define EXPECT_ERRNO(call, number)                    \
  do {                                                \
    errno = 0;                                        \
    EXPECT_EQ(call, -1);                              \
    EXPECT_EQ(errno, number) << std::strerror(errno); \
  } while (false)

class PacketdrillCalls : public Packetdrill {
 protected:
  // A connection; what it sends leaves at once, in segments of their own.
  void SetUp() override {
    Packetdrill::SetUp();
    fd = accept(listener = listen());
    ASSERT_GE(fd, 0);
    const int on = 1;
    ASSERT_EQ(i.setsockopt(u, fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
  }
  // The payload of the next packet that has one.
  std::string sent() {
    for (auto seen = receive(); seen; seen = receive())
      if (!seen->ip.payload.empty()) return std::string(text_of(seen->ip.payload));
    return {};
  }

  int listener = -1, fd = -1;
};

TEST_F(PacketdrillCalls, OfAnUnknownDescriptorAnswerEbadf) {
  std::array<char, 8> b{};
  iovec part{b.data(), b.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  sockaddr_in a = address("192.0.2.1", 9);
  socklen_t length = sizeof a;
  int number = 0;
  socklen_t number_length = sizeof number;
  epoll_event e{};
  EXPECT_ERRNO(i.bind(u, kNobody, sa(a), sizeof a), EBADF);
  EXPECT_ERRNO(i.listen(u, kNobody, 1), EBADF);
  EXPECT_ERRNO(i.accept(u, kNobody, nullptr, nullptr), EBADF);
  EXPECT_ERRNO(i.connect(u, kNobody, sa(a), sizeof a), EBADF);
  EXPECT_ERRNO(i.read(u, kNobody, b.data(), b.size()), EBADF);
  EXPECT_ERRNO(i.readv(u, kNobody, &part, 1), EBADF);
  EXPECT_ERRNO(i.recv(u, kNobody, b.data(), b.size(), 0), EBADF);
  EXPECT_ERRNO(i.recvfrom(u, kNobody, b.data(), b.size(), 0, sa(a), &length), EBADF);
  EXPECT_ERRNO(i.recvmsg(u, kNobody, &message, 0), EBADF);
  EXPECT_ERRNO(i.write(u, kNobody, b.data(), b.size()), EBADF);
  EXPECT_ERRNO(i.writev(u, kNobody, &part, 1), EBADF);
  EXPECT_ERRNO(i.send(u, kNobody, b.data(), b.size(), 0), EBADF);
  EXPECT_ERRNO(i.sendto(u, kNobody, b.data(), b.size(), 0, sa(a), sizeof a), EBADF);
  EXPECT_ERRNO(i.sendmsg(u, kNobody, &message, 0), EBADF);
  EXPECT_ERRNO(i.fcntl(u, kNobody, F_GETFL), EBADF);
  EXPECT_ERRNO(i.ioctl(u, kNobody, FIONREAD, &number), EBADF);
  EXPECT_ERRNO(i.close(u, kNobody), EBADF);
  EXPECT_ERRNO(i.shutdown(u, kNobody, SHUT_WR), EBADF);
  EXPECT_ERRNO(i.getsockopt(u, kNobody, SOL_SOCKET, SO_TYPE, &number, &number_length), EBADF);
  EXPECT_ERRNO(i.setsockopt(u, kNobody, SOL_SOCKET, SO_KEEPALIVE, &number, sizeof number), EBADF);
  EXPECT_ERRNO(i.epoll_ctl(u, kNobody, EPOLL_CTL_ADD, fd, &e), EBADF);
  EXPECT_ERRNO(i.epoll_wait(u, kNobody, &e, 1, 0), EBADF);
  EXPECT_ERRNO(i.splice(u, kNobody, nullptr, fd, nullptr, 8, 0), EBADF);
  pollfd p{kNobody, POLLIN, 0};
  EXPECT_EQ(i.poll(u, &p, 1, 0), 1);
  EXPECT_EQ(p.revents, POLLNVAL);
}

TEST_F(PacketdrillCalls, SocketBindListenAndAcceptNameTheirErrors) {
  EXPECT_ERRNO(i.socket(u, AF_UNIX, SOCK_STREAM, 0), EAFNOSUPPORT);
  const int other = i.socket(u, AF_INET, SOCK_STREAM, 0);
  const sockaddr_in taken = address("0.0.0.0", 8080), foreign = address("192.0.2.77", 81);
  EXPECT_ERRNO(i.bind(u, other, sa(taken), sizeof taken), EADDRINUSE);
  EXPECT_ERRNO(i.bind(u, other, sa(foreign), sizeof foreign), EADDRNOTAVAIL);
  EXPECT_ERRNO(i.accept(u, other, nullptr, nullptr), EINVAL);
  EXPECT_ERRNO(i.listen(u, fd, 1), EINVAL);
  EXPECT_ERRNO(i.connect(u, fd, sa(foreign), sizeof foreign), EISCONN);
  EXPECT_EQ(i.fcntl(u, listener, F_SETFL, O_NONBLOCK), 0);
  EXPECT_ERRNO(i.accept(u, listener, nullptr, nullptr), EAGAIN);
}

TEST_F(PacketdrillCalls, AcceptTellsThePeer) {
  inject({.from = 6000, .to = 8080, .seq = 70, .flags = TcpFlag::syn});
  const auto syn_ack = receive();
  ASSERT_TRUE(syn_ack);
  inject({.from = 6000, .to = 8080, .seq = 71, .ack = syn_ack->tcp.seq.value() + 1, .flags = TcpFlag::ack});
  sockaddr_in peer{};
  socklen_t length = sizeof peer;
  EXPECT_GE(i.accept(u, listener, sa(peer), &length), 0);
  EXPECT_EQ(length, sizeof peer);
  EXPECT_EQ(ntohs(peer.sin_port), 6000);
  EXPECT_EQ(peer.sin_addr.s_addr, inet_addr("192.0.2.1"));
}

TEST_F(PacketdrillCalls, ConnectCompletesWithTheHandshake) {
  const int c = i.socket(u, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  const sockaddr_in to = address("192.0.2.1", 80);
  EXPECT_ERRNO(i.connect(u, c, sa(to), sizeof to), EINPROGRESS);
  const auto syn = receive();
  ASSERT_TRUE(syn && syn->tcp.flags.syn());
  EXPECT_ERRNO(i.connect(u, c, sa(to), sizeof to), EALREADY);
  inject({.from = 80,
          .to = syn->ip.source_port,
          .seq = 9,
          .ack = syn->tcp.seq.value() + 1,
          .flags = TcpFlag::syn | wire::TcpFlags(TcpFlag::ack)});
  EXPECT_EQ(i.connect(u, c, sa(to), sizeof to), 0);
}

TEST_F(PacketdrillCalls, EachWayToReadTakesWhatIsNext) {
  inject_data(0, "abcdefghijklmnopqrst");
  std::array<char, 4> b{}, c{};
  const auto text = [](const std::array<char, 4>& a) { return std::string(a.data(), a.size()); };
  EXPECT_EQ(i.recv(u, fd, b.data(), 4, MSG_PEEK), 4);
  EXPECT_EQ(text(b), "abcd");
  EXPECT_EQ(i.read(u, fd, b.data(), 4), 4);
  EXPECT_EQ(text(b), "abcd");
  std::array<iovec, 2> parts{{{b.data(), 2}, {c.data(), 2}}};
  EXPECT_EQ(i.readv(u, fd, parts.data(), 2), 4);
  EXPECT_EQ(std::string(b.data(), 2) + std::string(c.data(), 2), "efgh");
  EXPECT_EQ(i.recv(u, fd, b.data(), 4, 0), 4);
  EXPECT_EQ(text(b), "ijkl");
  EXPECT_EQ(i.recvfrom(u, fd, b.data(), 4, 0, nullptr, nullptr), 4);
  EXPECT_EQ(text(b), "mnop");
  msghdr message{};
  parts = {{{b.data(), 1}, {c.data(), 3}}};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  EXPECT_EQ(i.recvmsg(u, fd, &message, 0), 4);
  EXPECT_EQ(b[0], 'q');
  EXPECT_EQ(std::string(c.data(), 3), "rst");
  EXPECT_ERRNO(i.recv(u, fd, b.data(), 4, MSG_DONTWAIT), EAGAIN);
  EXPECT_ERRNO(i.readv(u, fd, parts.data(), -1), EINVAL);
}

TEST_F(PacketdrillCalls, EachWayToWriteSendsWhatItWasGiven) {
  EXPECT_EQ(i.write(u, fd, "write", 5), 5);
  EXPECT_EQ(sent(), "write");
  std::string first = "wri", second = "tev";
  std::array<iovec, 2> parts{{{first.data(), 3}, {second.data(), 3}}};
  EXPECT_EQ(i.writev(u, fd, parts.data(), 2), 6);
  EXPECT_EQ(sent(), "writev");
  EXPECT_EQ(i.send(u, fd, "send", 4, 0), 4);
  EXPECT_EQ(sent(), "send");
  EXPECT_EQ(i.sendto(u, fd, "sendto", 6, 0, nullptr, 0), 6);
  EXPECT_EQ(sent(), "sendto");
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  first = "sen", second = "dms";
  EXPECT_EQ(i.sendmsg(u, fd, &message, 0), 6);
  EXPECT_EQ(sent(), "sendms");
  EXPECT_ERRNO(i.send(u, fd, "x", 1, MSG_OOB), EOPNOTSUPP);
  EXPECT_ERRNO(i.writev(u, fd, parts.data(), -1), EINVAL);
}

TEST_F(PacketdrillCalls, DatagramsGoToAndComeFromAnAddress) {
  const int d = i.socket(u, AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in ours_is = address("192.168.0.8", 7000), peer = address("192.0.2.1", 7001);
  ASSERT_EQ(i.bind(u, d, sa(ours_is), sizeof ours_is), 0);
  EXPECT_ERRNO(i.send(u, d, "x", 1, 0), EDESTADDRREQ);
  EXPECT_EQ(i.sendto(u, d, "there", 5, 0, sa(peer), sizeof peer), 5);
  auto seen = receive();
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->ip.protocol, 17U);
  EXPECT_EQ(seen->ip.destination_port, 7001U);
  EXPECT_EQ(text_of(seen->ip.payload), "there");
  sockaddr_in name = peer;
  std::string text = "message";
  iovec part{text.data(), text.size()};
  msghdr message{};
  message.msg_name = &name;
  message.msg_namelen = sizeof name;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  EXPECT_EQ(i.sendmsg(u, d, &message, 0), 7);
  seen = receive();
  ASSERT_TRUE(seen);
  EXPECT_EQ(text_of(seen->ip.payload), "message");
  inject_udp(7002, 7000, bytes_of("back"));
  inject_udp(7003, 7000, bytes_of("too long for it"));
  std::array<char, 8> b{};
  sockaddr_in from{};
  socklen_t length = sizeof from;
  EXPECT_EQ(i.recvfrom(u, d, b.data(), b.size(), 0, sa(from), &length), 4);
  EXPECT_EQ(ntohs(from.sin_port), 7002);
  EXPECT_EQ(from.sin_addr.s_addr, inet_addr("192.0.2.1"));
  part = {b.data(), b.size()};
  message.msg_namelen = sizeof name;
  EXPECT_EQ(i.recvmsg(u, d, &message, 0), 8);
  EXPECT_EQ(ntohs(name.sin_port), 7003);
  EXPECT_NE(message.msg_flags & MSG_TRUNC, 0);
  EXPECT_ERRNO(i.recvmsg(u, d, &message, MSG_DONTWAIT), EAGAIN);
}

TEST_F(PacketdrillCalls, FcntlAndIoctlTellAndChange) {
  EXPECT_EQ(i.fcntl(u, fd, F_GETFL), O_RDWR);
  EXPECT_EQ(i.fcntl(u, fd, F_SETFL, O_RDWR | O_NONBLOCK), 0);
  EXPECT_EQ(i.fcntl(u, fd, F_GETFL), O_RDWR | O_NONBLOCK);
  char b = 0;
  EXPECT_ERRNO(i.read(u, fd, &b, 1), EAGAIN);
  EXPECT_ERRNO(i.fcntl(u, fd, F_GETLK, 0), EINVAL);
  const int second = i.fcntl(u, fd, F_DUPFD, 100);
  EXPECT_GE(second, 100);
  inject_data(0, "12345");
  int n = 0;
  EXPECT_EQ(i.ioctl(u, second, FIONREAD, &n), 0);
  EXPECT_EQ(n, 5);
  EXPECT_EQ(i.write(u, second, "abc", 3), 3);
  EXPECT_EQ(i.ioctl(u, fd, SIOCOUTQ, &n), 0);
  EXPECT_EQ(n, 3);
  n = 0;
  EXPECT_EQ(i.ioctl(u, fd, FIONBIO, &n), 0);
  EXPECT_EQ(i.fcntl(u, fd, F_GETFL), O_RDWR);
  EXPECT_ERRNO(i.ioctl(u, fd, TIOCGWINSZ, &n), ENOTTY);
  EXPECT_ERRNO(i.ioctl(u, fd, FIONREAD, nullptr), EFAULT);
}

TEST_F(PacketdrillCalls, ShutdownSendsAFinAndEndsWriting) {
  EXPECT_ERRNO(i.shutdown(u, fd, 7), EINVAL);
  EXPECT_EQ(i.shutdown(u, fd, SHUT_WR), 0);
  const auto fin = receive();
  ASSERT_TRUE(fin);
  EXPECT_TRUE(fin->tcp.flags.fin());
  EXPECT_ERRNO(i.send(u, fd, "x", 1, MSG_NOSIGNAL), EPIPE);
  inject_data(0, "still read");
  std::array<char, 16> b{};
  EXPECT_EQ(i.read(u, fd, b.data(), b.size()), 10);
}

TEST_F(PacketdrillCalls, OptionsAreSetReadAndRefused) {
  int n = 0;
  socklen_t length = sizeof n;
  EXPECT_EQ(i.getsockopt(u, fd, IPPROTO_TCP, TCP_NODELAY, &n, &length), 0);
  EXPECT_EQ(n, 1);
  n = 77;
  EXPECT_EQ(i.setsockopt(u, fd, IPPROTO_IP, IP_TTL, &n, sizeof n), 0);
  EXPECT_EQ(i.write(u, fd, "x", 1), 1);
  const auto seen = receive();
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->ip.ttl, 77U);
  EXPECT_ERRNO(i.setsockopt(u, fd, IPPROTO_IP, IP_TTL, &n, 0), EINVAL);
  EXPECT_ERRNO(i.setsockopt(u, fd, SOL_SOCKET, 9999, &n, sizeof n), ENOPROTOOPT);
  EXPECT_ERRNO(i.getsockopt(u, fd, SOL_SOCKET, 9999, &n, &length), ENOPROTOOPT);
  std::array<std::uint32_t, 9> memory{};
  length = sizeof memory;
  inject_data(0, "unread");
  EXPECT_EQ(i.getsockopt(u, fd, SOL_SOCKET, SO_MEMINFO, memory.data(), &length), 0);
  EXPECT_EQ(length, sizeof memory);
  EXPECT_EQ(memory[0], 6U);
}

TEST_F(PacketdrillCalls, PollShowsReadinessOfOursAndOfPipes) {
  std::array<int, 2> ends{};
  ASSERT_EQ(i.pipe(u, ends.data()), 0);
  std::array<pollfd, 2> p{{{fd, POLLIN | POLLOUT, 0}, {ends[0], POLLIN, 0}}};
  EXPECT_EQ(i.poll(u, p.data(), 2, 0), 1);
  EXPECT_EQ(p[0].revents, POLLOUT);
  inject_data(0, "x");
  EXPECT_EQ(i.write(u, ends[1], "y", 1), 1);
  EXPECT_EQ(i.poll(u, p.data(), 2, 0), 2);
  EXPECT_EQ(p[0].revents, POLLIN | POLLOUT);
  EXPECT_EQ(p[1].revents, POLLIN);
  EXPECT_EQ(i.close(u, ends[0]), 0);
  EXPECT_EQ(i.close(u, ends[1]), 0);
}

TEST_F(PacketdrillCalls, EpollTellsOfItsMembers) {
  EXPECT_ERRNO(i.epoll_create(u, 0), EINVAL);
  const int set = i.epoll_create(u, 1);
  ASSERT_GE(set, 0);
  epoll_event e{};
  e.events = EPOLLIN;
  e.data.u64 = 7;
  EXPECT_ERRNO(i.epoll_ctl(u, set, EPOLL_CTL_DEL, fd, nullptr), ENOENT);
  EXPECT_EQ(i.epoll_ctl(u, set, EPOLL_CTL_ADD, fd, &e), 0);
  EXPECT_ERRNO(i.epoll_ctl(u, set, EPOLL_CTL_ADD, fd, &e), EEXIST);
  epoll_event got{};
  EXPECT_EQ(i.epoll_wait(u, set, &got, 1, 0), 0);
  EXPECT_ERRNO(i.epoll_wait(u, set, &got, 0, 0), EINVAL);
  inject_data(0, "x");
  EXPECT_EQ(i.epoll_wait(u, set, &got, 1, 0), 1);
  EXPECT_EQ(got.data.u64, 7U);
  EXPECT_EQ(got.events, EPOLLIN);
  EXPECT_EQ(i.close(u, set), 0);
  EXPECT_ERRNO(i.epoll_wait(u, set, &got, 1, 0), EBADF);
}

// Ends of pipes are the kernel's and work all the same; splice() moves between them and sockets.
TEST_F(PacketdrillCalls, PipesAndSplice) {
  EXPECT_ERRNO(i.pipe(u, nullptr), EFAULT);
  std::array<int, 2> ends{}, more{};
  ASSERT_EQ(i.pipe(u, ends.data()), 0);
  ASSERT_EQ(i.pipe(u, more.data()), 0);
  std::array<char, 16> b{};
  std::string text = "pipe";
  iovec part{text.data(), text.size()};
  EXPECT_EQ(i.writev(u, ends[1], &part, 1), 4);
  EXPECT_EQ(i.splice(u, ends[0], nullptr, more[1], nullptr, 16, 0), 4);
  int n = 0;
  EXPECT_EQ(i.ioctl(u, more[0], FIONREAD, &n), 0);
  EXPECT_EQ(n, 4);
  part = {b.data(), b.size()};
  EXPECT_EQ(i.readv(u, more[0], &part, 1), 4);
  EXPECT_EQ(std::string(b.data(), 4), "pipe");
  EXPECT_EQ(i.fcntl(u, ends[0], F_SETFL, O_NONBLOCK), 0);
  EXPECT_ERRNO(i.read(u, ends[0], b.data(), b.size()), EAGAIN);
  EXPECT_ERRNO(i.recv(u, ends[0], b.data(), b.size(), 0), ENOTSOCK);

  inject_data(0, "piped");
  EXPECT_ERRNO(i.splice(u, fd, nullptr, kNobody, nullptr, 100, 0), EBADF);  // and takes nothing
  EXPECT_EQ(i.splice(u, fd, nullptr, ends[1], nullptr, 100, 0), 5);
  EXPECT_ERRNO(i.splice(u, fd, nullptr, ends[1], nullptr, 100, SPLICE_F_NONBLOCK), EAGAIN);
  EXPECT_EQ(i.splice(u, ends[0], nullptr, fd, nullptr, 5, 0), 5);
  EXPECT_EQ(sent(), "piped");
  off64_t offset = 0;
  EXPECT_ERRNO(i.splice(u, fd, &offset, ends[1], nullptr, 5, 0), ESPIPE);
  EXPECT_ERRNO(i.splice(u, fd, nullptr, fd, nullptr, 5, 0), EINVAL);
  for (const int end : {ends[0], ends[1], more[0], more[1]}) EXPECT_EQ(i.close(u, end), 0);
}

TEST_F(PacketdrillCalls, TheDeviceRefusesABufferThatIsTooSmall) {
  EXPECT_EQ(i.write(u, fd, "x", 1), 1);
  std::array<char, 8> small{};
  std::size_t n = small.size();
  long long time = 0;
  EXPECT_ERRNO(i.netdev_receive(u, small.data(), &n, &time), EMSGSIZE);
  EXPECT_EQ(i.netdev_send(u, small.data(), small.size()), 0);  // no packet: the stack drops it
  EXPECT_EQ(i.gettimeofday(u, nullptr, nullptr), 0);
}

TEST_F(PacketdrillCalls, FreeGivesTheDescriptorsBack) {
  EXPECT_EQ(::fcntl(fd, F_GETFD), FD_CLOEXEC);
  close();
  EXPECT_ERRNO(::fcntl(fd, F_GETFD), EBADF);
  EXPECT_ERRNO(::fcntl(listener, F_GETFD), EBADF);
}

}  // namespace
}  // namespace leat::test
