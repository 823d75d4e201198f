// Stories of the POSIX form between two hosts under a virtual clock: what Linux can't show in one process, or not in
// virtual time.

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <csignal>
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

}  // namespace
}  // namespace leat::test
