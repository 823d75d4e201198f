// Sends of nothing and of more than any buffer, any datagram or any ssize_t holds, on Linux and on Leat.

#include <linux/sockios.h>
#include <sys/mman.h>

#include <climits>

#include "tests/posix/same_program.hpp"

namespace leat::test {
namespace {

constexpr std::size_t kLong = std::size_t{3} << 30;
constexpr std::size_t kLongest = PTRDIFF_MAX;

// As much address space, and no memory.
class LongSpan {
 public:
  LongSpan() = default;
  ~LongSpan() {
    if (begin_ != MAP_FAILED) ::munmap(begin_, kLong);
  }
  LongSpan(const LongSpan&) = delete;
  LongSpan& operator=(const LongSpan&) = delete;
  [[nodiscard]] bool is_there() const { return begin_ != MAP_FAILED; }
  [[nodiscard]] void* data() const { return begin_; }

 private:
  void* begin_ = ::mmap(nullptr, kLong, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
};

msghdr message_of(iovec* parts, std::size_t count) {
  msghdr m{};
  m.msg_iov = parts;
  m.msg_iovlen = count;
  return m;
}

template <class Backend>
class PosixSpans : public SameProgram<Backend> {
 protected:
  void SetUp() override {
    SameProgram<Backend>::SetUp();
    ASSERT_TRUE(span.is_there()) << "no address space";
  }
  // A pair of datagram sockets; the sender is connected.
  struct Datagrams {
    int from, to;
    sockaddr_in name;
  };
  Datagrams datagrams() {
    const int to = this->udp(SOCK_NONBLOCK), from = this->udp();
    const sockaddr_in name = v4(this->bind_any(to));
    EXPECT_EQ(this->net.connect(from, sa(name), length_of(name)), 0);
    return {from, to, name};
  }
  // The next datagram's length; -EAGAIN: there is none.
  ssize_t next(int fd, short wait_ms = 1000) {
    std::vector<char> room(1 << 16);
    if (this->wait_for(fd, POLLIN, wait_ms) != POLLIN) return -EAGAIN;
    return this->net.recv(fd, room.data(), room.size(), 0);
  }
  // Reads what was sent, all of it and no more.
  void expect_octets(int fd, ssize_t count) {
    std::vector<char> room(1 << 16);
    ssize_t read = 0;
    while (read < count) {
      const ssize_t n = this->net.recv(fd, room.data(), room.size(), 0);
      ASSERT_GT(n, 0);
      read += n;
    }
    EXPECT_EQ(read, count);
    EXPECT_EQ(this->wait_for(fd, POLLIN, 10), 0);
  }

  LongSpan span;
};
TYPED_TEST_SUITE(PosixSpans, Backends, BackendNames);

// Of more than a buffer holds a part is sent, and the answer says how much that is.
TYPED_TEST(PosixSpans, OfALongSpanAStreamSendsAPart) {
  auto& n = this->net;
  const auto p = this->connected();
  void* const data = this->span.data();
  iovec twice[2] = {{data, kLong}, {data, kLong}};  // together more than one call may move
  msghdr m = message_of(twice, 2);
  mmsghdr many{m, 0};
  const auto sends = [&](auto call) {
    const ssize_t sent = call();
    EXPECT_GT(sent, 0);
    EXPECT_LT(sent, ssize_t{1} << 30);
    this->expect_octets(p.server, sent);
  };
  for (const std::size_t size : {kLong, kLongest, SIZE_MAX}) {
    SCOPED_TRACE(size);
    sends([&] { return n.send(p.client, data, size, MSG_DONTWAIT); });
    sends([&] { return n.sendto(p.client, data, size, MSG_DONTWAIT, nullptr, 0); });
  }
  sends([&] { return n.sendmsg(p.client, &m, MSG_DONTWAIT); });
  sends([&] { return n.sendmmsg(p.client, &many, 1U, MSG_DONTWAIT) == 1 ? static_cast<ssize_t>(many.msg_len) : -1; });
  twice[0].iov_len = kLongest;  // alone it is cut to what a call may move
  m.msg_iovlen = 1;
  sends([&] { return n.sendmsg(p.client, &m, MSG_DONTWAIT); });
  twice[0].iov_len = kLong;
  // Those that wait until all is sent wait until their time is over.
  const timeval moment{0, 20'000};
  EXPECT_EQ(n.setsockopt(p.client, SOL_SOCKET, SO_SNDTIMEO, &moment, length_of(moment)), 0);
  sends([&] { return n.send(p.client, data, kLong, 0); });
  sends([&] { return n.write(p.client, data, kLong); });
  sends([&] { return n.writev(p.client, twice, 2); });
  int unsent = -1;
  EXPECT_EQ(n.ioctl(p.client, SIOCOUTQ, &unsent), 0);
  EXPECT_EQ(unsent, 0);
  this->close_all({p.client, p.server, p.listener});
}

TYPED_TEST(PosixSpans, ALongSpanIsNoDatagram) {
  auto& n = this->net;
  const auto [from, to, name] = this->datagrams();
  void* const data = this->span.data();
  iovec twice[2] = {{data, kLong}, {data, kLong}};
  msghdr m = message_of(twice, 2);
  for (const std::size_t size : {std::size_t{65508}, std::size_t{65536}, kLong, kLongest, SIZE_MAX}) {
    SCOPED_TRACE(size);
    EXPECT_EQ(n.send(from, data, size, 0), -EMSGSIZE);
    EXPECT_EQ(n.sendto(from, data, size, MSG_DONTWAIT, sa(name), length_of(name)), -EMSGSIZE);
  }
  EXPECT_EQ(n.write(from, data, kLong), -EMSGSIZE);
  EXPECT_EQ(n.writev(from, twice, 2), -EMSGSIZE);
  EXPECT_EQ(n.sendmsg(from, &m, 0), -EMSGSIZE);
  // What stands before it among many messages is sent; the error is for who sends that one.
  char octet = 'x';
  iovec one{&octet, 1};
  mmsghdr many[3] = {{message_of(&one, 1), 0}, {m, 0}, {message_of(&one, 1), 0}};
  EXPECT_EQ(n.sendmmsg(from, many, 3U, 0), 1);
  EXPECT_EQ(n.sendmmsg(from, many + 1, 2U, 0), -EMSGSIZE);
  EXPECT_EQ(this->option(from, SOL_SOCKET, SO_ERROR), 0);
  EXPECT_EQ(this->next(to), 1);
  EXPECT_EQ(n.send(from, data, 65507, 0), 65507);  // the longest
  EXPECT_EQ(this->next(to), 65507);
  EXPECT_EQ(this->next(to, 10), -EAGAIN);
  // Who may not send has a name all the same.
  for (const int flags : {0, int{MSG_OOB}}) {
    const int fresh = this->udp();
    EXPECT_EQ(n.sendto(fresh, data, flags == 0 ? kLong : 1, flags, sa(name), length_of(name)),
              flags == 0 ? -EMSGSIZE : -EOPNOTSUPP);
    EXPECT_NE(this->port_of(fresh), 0);
    this->close_all({fresh});
  }
  this->close_all({from, to});
}

// A length that no ssize_t holds, and one that no memory has.
TYPED_TEST(PosixSpans, LengthsThatCannotBe) {
  auto& n = this->net;
  const auto p = this->connected();
  const auto [from, to, name] = this->datagrams();
  void* const data = this->span.data();
  for (const int fd : {p.client, from}) {
    SCOPED_TRACE(fd == from ? "UDP" : "TCP");
    iovec longer[3] = {{data, 1}, {data, kLongest}, {data, kLongest + 1}};
    const auto all = [&](iovec* parts, std::size_t count, ssize_t answer) {
      SCOPED_TRACE(count);
      const msghdr m = message_of(parts, count);
      msghdr in = m;
      EXPECT_EQ(n.sendmsg(fd, &m, MSG_DONTWAIT), answer);
      EXPECT_EQ(n.recvmsg(fd, &in, MSG_DONTWAIT), answer);
      EXPECT_EQ(n.writev(fd, parts, static_cast<int>(count)), answer);
      EXPECT_EQ(n.readv(fd, parts, static_cast<int>(count)), answer);
    };
    all(longer, 3, -EINVAL);  // found before the other
    all(longer, 2, -EFAULT);
    all(longer + 2, 1, -EINVAL);
    for (const std::size_t size : {kLongest, kLongest + 1, SIZE_MAX}) {
      EXPECT_EQ(n.write(fd, data, size), -EFAULT);
      EXPECT_EQ(n.read(fd, data, size), -EFAULT);
    }
  }
  EXPECT_EQ(this->wait_for(p.server, POLLIN, 10), 0);
  EXPECT_EQ(this->next(to, 10), -EAGAIN);
  this->close_all({from, to, p.client, p.server, p.listener});
}

TYPED_TEST(PosixSpans, AsManyPartsAsACallTakes) {
  auto& n = this->net;
  const auto p = this->connected();
  const auto [from, to, name] = this->datagrams();
  char octet = 'x';
  std::vector<iovec> parts(1025, iovec{&octet, 1});
  for (const int fd : {p.client, from}) {
    SCOPED_TRACE(fd == from ? "UDP" : "TCP");
    for (const std::size_t count : {std::size_t{1025}, SIZE_MAX}) {
      const msghdr m = message_of(parts.data(), count);
      mmsghdr many{m, 0};
      EXPECT_EQ(n.sendmsg(fd, &m, 0), -EMSGSIZE);
      EXPECT_EQ(n.sendmmsg(fd, &many, 1U, 0), -EMSGSIZE);
    }
    for (const int count : {1025, -1, INT_MAX, INT_MIN}) {
      EXPECT_EQ(n.writev(fd, parts.data(), count), -EINVAL);
      EXPECT_EQ(n.readv(fd, parts.data(), count), -EINVAL);
    }
    const msghdr most = message_of(parts.data(), 1024);
    EXPECT_EQ(n.sendmsg(fd, &most, 0), 1024);
    EXPECT_EQ(n.writev(fd, parts.data(), 1024), 1024);
  }
  this->expect_octets(p.server, 2048);
  EXPECT_EQ(this->next(to), 1024);
  EXPECT_EQ(this->next(to), 1024);
  EXPECT_EQ(this->next(to, 10), -EAGAIN);
  this->close_all({from, to, p.client, p.server, p.listener});
}

// Nothing is sent at once, also where there is no room for something.
TYPED_TEST(PosixSpans, AStreamSendsNothing) {
  auto& n = this->net;
  const auto p = this->connected();
  char none = 0;
  iovec empty[2] = {{&none, 0}, {nullptr, 0}};
  const msghdr two = message_of(empty, 2), no_parts = message_of(nullptr, 0);
  const auto nothing = [&](int fd, ssize_t answer) {
    for (const int flags : {0, int{MSG_DONTWAIT}, int{MSG_MORE}}) {
      EXPECT_EQ(n.send(fd, &none, 0, flags), answer) << flags;
      EXPECT_EQ(n.send(fd, nullptr, 0, flags), answer) << flags;
      EXPECT_EQ(n.sendmsg(fd, &two, flags), answer) << flags;
      EXPECT_EQ(n.sendmsg(fd, &no_parts, flags), answer) << flags;
    }
    EXPECT_EQ(n.write(fd, &none, 0), answer);
    EXPECT_EQ(n.writev(fd, empty, 2), 0);
    EXPECT_EQ(n.writev(fd, empty, 0), 0);
  };
  nothing(p.client, 0);
  EXPECT_EQ(this->wait_for(p.server, POLLIN, 10), 0);
  ssize_t sent = 0;
  // Until there is no room for an octet: what is on its way makes some.
  for (ssize_t some = 1; some > 0; sent += std::max(some, ssize_t{0})) {
    some = n.send(p.client, this->span.data(), kLong, MSG_DONTWAIT);
    if (some < 0) some = n.send(p.client, "x", 1, MSG_DONTWAIT);
  }
  nothing(p.client, 0);
  this->expect_octets(p.server, sent);
  const int fresh = this->tcp();
  nothing(fresh, -EPIPE);
  EXPECT_EQ(n.shutdown(p.client, SHUT_WR), 0);
  nothing(p.client, -EPIPE);
  this->close_all({fresh, p.client, p.server, p.listener});
}

// Each is a datagram of its own, but of writev().
TYPED_TEST(PosixSpans, NothingIsADatagram) {
  auto& n = this->net;
  const auto [from, to, name] = this->datagrams();
  char none = 0;
  iovec empty[2] = {{&none, 0}, {nullptr, 0}};
  const msghdr two = message_of(empty, 2), no_parts = message_of(nullptr, 0);
  mmsghdr many[2] = {{two, 0}, {no_parts, 0}};
  EXPECT_EQ(n.send(from, &none, 0, 0), 0);
  EXPECT_EQ(n.send(from, nullptr, 0, 0), 0);
  EXPECT_EQ(n.sendto(from, nullptr, 0, 0, sa(name), length_of(name)), 0);
  EXPECT_EQ(n.write(from, &none, 0), 0);
  EXPECT_EQ(n.sendmsg(from, &two, 0), 0);
  EXPECT_EQ(n.sendmsg(from, &no_parts, 0), 0);
  EXPECT_EQ(n.sendmmsg(from, many, 2U, 0), 2);
  EXPECT_EQ(n.writev(from, empty, 2), 0);
  EXPECT_EQ(n.writev(from, empty, 0), 0);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(this->next(to), 0) << i;
  EXPECT_EQ(this->next(to, 10), -EAGAIN);
  this->close_all({from, to});
}

}  // namespace
}  // namespace leat::test
