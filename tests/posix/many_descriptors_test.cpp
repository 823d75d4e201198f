// As many descriptors as the process may have, and one more: what is refused, what goes on, what makes room, and that
// nothing is left behind. The limit is the machine's (`ulimit -Hn`).

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <leat/api/posix/sockets.hpp>
#include <leat/runtime/shared_stack.hpp>
#include <thread>
#include <vector>

#include "tests/posix/sockaddr.hpp"

namespace leat::test {
namespace {

constexpr rlim_t kMost = 100'000;  // of a machine that allows more
// What a thread sleeps in is made when it is first needed: three for our thread and the echo's, one more of the
// janitor's.
constexpr std::size_t kSpare = 7;

class PosixManyDescriptors : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    most = std::min(before_.rlim_max, kMost);
    const rlimit all{most, before_.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &all), 0);
    const auto room = static_cast<std::uint32_t>(most);
    stack = SharedStack::make({.limits = hosted_limits(room), .packet_memory = std::size_t{32} << 20}).value();
    net = std::make_unique<posix::Sockets>(stack);
  }
  void TearDown() override { (void)::setrlimit(RLIMIT_NOFILE, &before_); }

  static std::size_t open_descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  }
  std::uint32_t sockets_in_use() {
    std::uint32_t n = 0;
    EXPECT_TRUE(stack->with_owner([&n](Shard& shard) { n = shard.stack().core().sockets.used(); }));
    return n;
  }
  std::uint16_t port_of(int fd) {
    sockaddr_in a{};
    socklen_t n = length_of(a);
    EXPECT_EQ(net->getsockname(fd, sa(a), &n), 0);
    return ntohs(a.sin_port);
  }
  int connect_to(std::uint16_t port) {
    const int fd = net->socket(AF_INET, SOCK_STREAM, 0);
    const sockaddr_in a = v4(port);
    EXPECT_EQ(net->connect(fd, sa(a), length_of(a)), 0);
    return fd;
  }
  void expect_echo(int fd, char c) {
    char got = 0;
    ASSERT_EQ(net->send(fd, &c, 1, 0), 1);
    ASSERT_EQ(net->recv(fd, &got, 1, 0), 1);
    ASSERT_EQ(got, c);
  }
  // Opens datagram sockets (even places) and streams until there are no more; returns the error.
  int fill(std::vector<int>& to, int echoes) {
    for (;;) {
      const int fd = net->socket(AF_INET, to.size() % 2 == 0 ? SOCK_DGRAM : SOCK_STREAM, 0);
      if (fd < 0) return fd;
      to.push_back(fd);
      if (to.size() % 1000 == 0) expect_echo(echoes, static_cast<char>(to.size() / 1000));
    }
  }

  rlim_t most = 0;
  std::shared_ptr<SharedStack> stack;
  std::unique_ptr<posix::Sockets> net;

 private:
  rlimit before_{};
};

TEST_F(PosixManyDescriptors, UpToTheHardLimitAndPastItWhileAConnectionEchoes) {
  const int l = net->socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in any = v4(0);
  ASSERT_EQ(net->bind(l, sa(any), length_of(any)), 0);
  ASSERT_EQ(net->listen(l, 8), 0);
  const int c = connect_to(port_of(l));
  const int s = net->accept(l, nullptr, nullptr);
  ASSERT_GE(s, 0);
  std::atomic<std::uint64_t> rounds{0};  // of the echo; written by its thread, read here: a count
  std::thread echo([&] {
    char b = 0;
    while (net->recv(s, &b, 1, 0) == 1 && net->send(s, &b, 1, 0) == 1) rounds.fetch_add(1, std::memory_order_relaxed);
  });
  expect_echo(c, '!');
  const int waits = connect_to(port_of(l));
  const std::size_t descriptors = open_descriptors();
  const std::uint32_t sockets = sockets_in_use();

  std::vector<int> all;
  EXPECT_EQ(fill(all, c), -EMFILE);
  EXPECT_GE(all.size() + descriptors + kSpare, most);
  EXPECT_EQ(sockets_in_use(), sockets + all.size());
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(net->socket(AF_INET, SOCK_STREAM, 0), -EMFILE);
    ASSERT_EQ(net->accept(l, nullptr, nullptr), -EMFILE);
    ASSERT_EQ(net->dup(c), -EMFILE);
    ASSERT_EQ(net->fcntl(c, F_DUPFD, 0), -EMFILE);
    ASSERT_EQ(net->epoll_create1(0), -EMFILE);
    ASSERT_EQ(::open("/dev/null", O_RDONLY | O_CLOEXEC), -1);
    expect_echo(c, 'x');
  }
  EXPECT_EQ(sockets_in_use(), sockets + all.size());  // a refused one takes nothing

  // The highest numbers work as the lowest do.
  const int to =
      all[all.size() - 1 - (all.size() - 1) % 4 + 2 < all.size() ? all.size() - 1 - (all.size() - 1) % 4 + 2
                                                                 : all.size() - 1 - (all.size() - 1) % 4 - 2];
  ASSERT_EQ(net->bind(to, sa(any), length_of(any)), 0);
  const sockaddr_in there = v4(port_of(to));
  for (std::size_t i = 0; i < all.size(); i += 400) {
    char b = 0;
    ASSERT_EQ(net->sendto(all[i], "d", 1, 0, sa(there), length_of(there)), 1);
    ASSERT_EQ(net->recv(to, &b, 1, 0), 1);
  }

  // What closes makes room for as many, no more: the connection that waited to be accepted among them.
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(net->close(all.back()), 0);
    all.pop_back();
  }
  const int late = net->accept(l, nullptr, nullptr);
  ASSERT_GE(late, 0);
  all.push_back(late);
  const std::size_t nine_fewer = all.size();
  EXPECT_EQ(fill(all, c), -EMFILE);
  EXPECT_LE(all.size(), nine_fewer + 9);
  EXPECT_GE(all.size() + kSpare, nine_fewer + 9);

  for (const int fd : all) ASSERT_EQ(net->close(fd), 0);
  ASSERT_EQ(net->close(waits), 0);
  EXPECT_LE(open_descriptors(), descriptors - 1 + kSpare);
  const std::size_t filled = all.size();
  all.clear();
  EXPECT_EQ(fill(all, c), -EMFILE);  // all of it again
  EXPECT_GE(all.size() + kSpare, filled + 1);
  for (const int fd : all) ASSERT_EQ(net->close(fd), 0);
  expect_echo(c, '?');
  ASSERT_EQ(net->close(c), 0);
  echo.join();
  EXPECT_GT(rounds.load(), 100U + 2 * most / 2000);
  for (const int fd : {l, s}) ASSERT_EQ(net->close(fd), 0);
  // The last acknowledgements of what was connected.
  for (int turns = 0; turns < 1000 && sockets_in_use() != 0; ++turns) {
    Op op;
    stack->run(op);
  }
  EXPECT_EQ(sockets_in_use(), 0U);
}

}  // namespace
}  // namespace leat::test
