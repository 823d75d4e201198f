// poll, select and epoll, on Linux and on Leat.

#include "tests/posix/same_program.hpp"

namespace leat::test {
namespace {

// What a wait told, as (data, events).
using Events = std::vector<std::pair<std::uint64_t, std::uint32_t>>;

template <class Backend>
class PosixWaiting : public SameProgram<Backend> {
 protected:
  int add(int set, int fd, std::uint32_t events, std::uint64_t data) {
    epoll_event e{};
    e.events = events;
    e.data.u64 = data;
    return this->net.epoll_ctl(set, EPOLL_CTL_ADD, fd, &e);
  }
  int change(int set, int fd, std::uint32_t events, std::uint64_t data) {
    epoll_event e{};
    e.events = events;
    e.data.u64 = data;
    return this->net.epoll_ctl(set, EPOLL_CTL_MOD, fd, &e);
  }
  int remove(int set, int fd) { return this->net.epoll_ctl(set, EPOLL_CTL_DEL, fd, nullptr); }
  // The events of one wait, as (data, events).
  Events wait(int set, int timeout_ms = 1000) {
    std::array<epoll_event, 8> e{};
    const int n = this->net.epoll_wait(set, e.data(), 8, timeout_ms);
    EXPECT_GE(n, 0);
    Events all;
    for (int i = 0; i < n; ++i) {
      const epoll_event one = e[static_cast<std::size_t>(i)];
      all.push_back({std::uint64_t{one.data.u64}, std::uint32_t{one.events}});
    }
    return all;
  }
};
TYPED_TEST_SUITE(PosixWaiting, Backends, BackendNames);

TYPED_TEST(PosixWaiting, EpollErrors) {
  auto& n = this->net;
  const int set = n.epoll_create1(EPOLL_CLOEXEC);
  const int s = this->udp();
  epoll_event e{};
  EXPECT_EQ(n.epoll_create1(0x77), -EINVAL);
  EXPECT_EQ(this->add(set, 1 << 19, EPOLLIN, 0), -EBADF);
  EXPECT_EQ(this->add(1 << 19, s, EPOLLIN, 0), -EBADF);
  EXPECT_EQ(this->add(s, set, EPOLLIN, 0), -EINVAL);
  EXPECT_EQ(this->add(set, set, EPOLLIN, 0), -EINVAL);
  EXPECT_EQ(this->remove(set, s), -ENOENT);
  EXPECT_EQ(this->change(set, s, EPOLLIN, 0), -ENOENT);
  EXPECT_EQ(this->add(set, s, EPOLLIN, 0), 0);
  EXPECT_EQ(this->add(set, s, EPOLLIN, 0), -EEXIST);
  EXPECT_EQ(n.epoll_ctl(set, 77, s, &e), -EINVAL);
  EXPECT_EQ(n.epoll_ctl(set, EPOLL_CTL_MOD, s, nullptr), -EFAULT);
  EXPECT_EQ(n.epoll_wait(set, &e, 0, 0), -EINVAL);
  EXPECT_EQ(n.epoll_wait(s, &e, 1, 0), -EINVAL);
  EXPECT_EQ(n.epoll_wait(1 << 19, &e, 1, 0), -EBADF);
  EXPECT_EQ(n.epoll_wait(set, &e, 1, 0), 0);
  EXPECT_EQ(n.epoll_wait(set, &e, 1, 5), 0);
  EXPECT_EQ(this->remove(set, s), 0);
  this->close_all({set, s});
}

TYPED_TEST(PosixWaiting, LevelEdgeOneShot) {
  auto& n = this->net;
  const auto p = this->connected();
  const int set = n.epoll_create1(0);
  EXPECT_EQ(this->add(set, p.server, EPOLLIN, 7), 0);
  EXPECT_EQ(this->wait(set, 0), Events{});
  EXPECT_EQ(n.send(p.client, "ab", 2, 0), 2);
  EXPECT_EQ(this->wait(set), (Events{{7, EPOLLIN}}));
  EXPECT_EQ(this->wait(set), (Events{{7, EPOLLIN}}));  // level: again
  char b[8];
  EXPECT_EQ(n.recv(p.server, b, 1, 0), 1);
  EXPECT_EQ(this->wait(set), (Events{{7, EPOLLIN}}));
  EXPECT_EQ(n.recv(p.server, b, 1, 0), 1);
  EXPECT_EQ(this->wait(set, 0), Events{});
  EXPECT_EQ(this->change(set, p.server, EPOLLIN | EPOLLET, 8), 0);
  EXPECT_EQ(n.send(p.client, "c", 1, 0), 1);
  EXPECT_EQ(this->wait(set), (Events{{8, EPOLLIN}}));
  EXPECT_EQ(this->wait(set, 0), Events{});  // edge: told
  EXPECT_EQ(n.send(p.client, "d", 1, 0), 1);
  EXPECT_EQ(this->wait(set), (Events{{8, EPOLLIN}}));  // a new edge, unread as the first is
  EXPECT_EQ(this->change(set, p.server, EPOLLIN | EPOLLONESHOT, 9), 0);
  EXPECT_EQ(this->wait(set), (Events{{9, EPOLLIN}}));
  EXPECT_EQ(n.send(p.client, "e", 1, 0), 1);
  EXPECT_EQ(this->wait(set, 0), Events{});  // until it is armed again
  EXPECT_EQ(this->change(set, p.server, EPOLLIN | EPOLLOUT | EPOLLONESHOT, 10), 0);
  EXPECT_EQ(this->wait(set), (Events{{10, EPOLLIN | EPOLLOUT}}));
  this->close_all({set, p.client, p.server, p.listener});
}

TYPED_TEST(PosixWaiting, WhatEpollTells) {
  auto& n = this->net;
  const auto p = this->connected();
  const int set = n.epoll_create1(0);
  EXPECT_EQ(this->add(set, p.server, EPOLLIN | EPOLLOUT | EPOLLRDHUP, 1), 0);
  EXPECT_EQ(this->add(set, p.listener, EPOLLIN, 2), 0);
  EXPECT_EQ(this->wait(set), (Events{{1, EPOLLOUT}}));
  EXPECT_EQ(n.shutdown(p.client, SHUT_WR), 0);
  EXPECT_EQ(this->wait_for(p.server, POLLRDHUP), POLLRDHUP);
  EXPECT_EQ(this->wait(set), (Events{{1, EPOLLIN | EPOLLOUT | EPOLLRDHUP}}));
  EXPECT_EQ(n.shutdown(p.server, SHUT_WR), 0);
  EXPECT_EQ(this->wait_for(p.client, POLLRDHUP) & POLLRDHUP, POLLRDHUP);
  EXPECT_EQ(this->wait(set), (Events{{1, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP}}));
  EXPECT_EQ(n.close(p.server), 0);  // leaves the set by itself
  EXPECT_EQ(this->wait(set, 0), Events{});
  EXPECT_EQ(this->remove(set, p.server), -EBADF);
  const int c = this->tcp(SOCK_NONBLOCK);
  const sockaddr_in a = v4(this->port_of(p.listener));
  EXPECT_EQ(n.connect(c, sa(a), length_of(a)), -EINPROGRESS);
  EXPECT_EQ(this->wait(set), (Events{{2, EPOLLIN}}));
  EXPECT_EQ(this->remove(set, p.listener), 0);
  EXPECT_EQ(this->wait(set, 0), Events{});
  this->close_all({set, c, p.client, p.listener});
}

TYPED_TEST(PosixWaiting, DuplicateKeepsItsPlaceInTheSet) {
  auto& n = this->net;
  const int u = this->udp();
  const int d = n.dup(u);
  const int set = n.epoll_create1(0);
  EXPECT_EQ(this->add(set, u, EPOLLOUT, 5), 0);
  EXPECT_EQ(this->add(set, d, EPOLLOUT, 6), 0);  // another number: another entry
  EXPECT_EQ(n.close(u), 0);
  EXPECT_EQ(this->wait(set), (Events{{5, EPOLLOUT}, {6, EPOLLOUT}}));  // the description lives
  EXPECT_EQ(n.close(d), 0);
  EXPECT_EQ(this->wait(set, 0), Events{});
  this->close_all({set});
}

TYPED_TEST(PosixWaiting, FewAtATimeInTurn) {
  auto& n = this->net;
  const int a = this->udp();
  const int b = this->udp();
  const int set = n.epoll_create1(0);
  EXPECT_EQ(this->add(set, a, EPOLLOUT, 1), 0);
  EXPECT_EQ(this->add(set, b, EPOLLOUT, 2), 0);
  epoll_event e{};
  std::uint64_t seen = 0;
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(n.epoll_wait(set, &e, 1, 0), 1);
    seen |= e.data.u64;
  }
  EXPECT_EQ(seen, 3U);  // neither starves the other
  this->close_all({set, a, b});
}

TYPED_TEST(PosixWaiting, MixedWithDescriptorsOfTheKernel) {
  auto& n = this->net;
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  const auto p = this->connected();
  const int set = n.epoll_create1(0);
  EXPECT_EQ(this->add(set, p.server, EPOLLIN, 1), 0);
  EXPECT_EQ(this->add(set, pipe_ends[0], EPOLLIN, 2), 0);
  EXPECT_EQ(this->add(set, pipe_ends[0], EPOLLIN, 2), -EEXIST);
  EXPECT_EQ(this->wait(set, 5), Events{});
  EXPECT_EQ(::write(pipe_ends[1], "x", 1), 1);
  EXPECT_EQ(this->wait(set), (Events{{2, EPOLLIN}}));
  EXPECT_EQ(n.send(p.client, "x", 1, 0), 1);
  EXPECT_EQ(this->wait_for(p.server, POLLIN), POLLIN);
  Events both = this->wait(set);
  std::sort(both.begin(), both.end());
  EXPECT_EQ(both, (Events{{1, EPOLLIN}, {2, EPOLLIN}}));
  pollfd fds[4] = {{p.server, POLLIN, 0}, {pipe_ends[0], POLLIN, 0}, {-1, POLLIN, 9}, {p.client, POLLIN, 0}};
  EXPECT_EQ(n.poll(fds, 4, 1000), 2);
  EXPECT_EQ(fds[0].revents, POLLIN);
  EXPECT_EQ(fds[1].revents, POLLIN);
  EXPECT_EQ(fds[2].revents, 0);
  EXPECT_EQ(fds[3].revents, 0);
  char b;
  EXPECT_EQ(::read(pipe_ends[0], &b, 1), 1);
  EXPECT_EQ(n.recv(p.server, &b, 1, 0), 1);
  EXPECT_EQ(n.poll(fds, 4, 5), 0);
  EXPECT_EQ(n.send(p.client, "x", 1, 0), 1);
  EXPECT_EQ(n.poll(fds, 4, 1000), 1);
  EXPECT_EQ(fds[0].revents, POLLIN);
  EXPECT_EQ(this->remove(set, pipe_ends[0]), 0);
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
  this->close_all({set, p.client, p.server, p.listener});
}

TYPED_TEST(PosixWaiting, SetInASet) {
  auto& n = this->net;
  const auto p = this->connected();
  const int inner = n.epoll_create1(0);
  const int outer = n.epoll_create1(0);
  EXPECT_EQ(this->add(inner, p.server, EPOLLIN, 1), 0);
  EXPECT_EQ(this->add(outer, inner, EPOLLIN, 2), 0);
  EXPECT_EQ(this->wait(outer, 5), Events{});
  EXPECT_EQ(n.send(p.client, "x", 1, 0), 1);
  EXPECT_EQ(this->wait(outer), (Events{{2, EPOLLIN}}));
  pollfd f{inner, POLLIN, 0};
  EXPECT_EQ(n.poll(&f, 1, 1000), 1);
  EXPECT_EQ(this->wait(inner), (Events{{1, EPOLLIN}}));
  char b;
  EXPECT_EQ(n.recv(p.server, &b, 1, 0), 1);
  EXPECT_EQ(this->wait(inner, 0), Events{});
  EXPECT_EQ(this->wait(outer, 5), Events{});
  EXPECT_EQ(n.send(p.client, "y", 1, 0), 1);
  EXPECT_EQ(this->wait(outer), (Events{{2, EPOLLIN}}));
  this->close_all({outer, inner, p.client, p.server, p.listener});
}

TYPED_TEST(PosixWaiting, Select) {
  auto& n = this->net;
  const auto p = this->connected();
  fd_set r, w, e;
  const auto fill = [&] {
    FD_ZERO(&r);
    FD_ZERO(&w);
    FD_ZERO(&e);
    FD_SET(p.server, &r);
    FD_SET(p.server, &w);
    FD_SET(p.server, &e);
    FD_SET(p.listener, &r);
  };
  const int count = std::max({p.client, p.server, p.listener}) + 1;
  timeval t{0, 0};
  fill();
  EXPECT_EQ(n.select(count, &r, &w, &e, &t), 1);
  EXPECT_FALSE(FD_ISSET(p.server, &r));
  EXPECT_TRUE(FD_ISSET(p.server, &w));
  EXPECT_FALSE(FD_ISSET(p.server, &e));
  EXPECT_EQ(n.send(p.client, "x", 1, 0), 1);
  EXPECT_EQ(this->wait_for(p.server, POLLIN), POLLIN);
  fill();
  t = {1, 0};
  EXPECT_EQ(n.select(count, &r, &w, &e, &t), 2);
  EXPECT_TRUE(FD_ISSET(p.server, &r));
  EXPECT_FALSE(FD_ISSET(p.listener, &r));
  FD_ZERO(&r);
  FD_SET(p.listener, &r);
  t = {0, 5000};
  EXPECT_EQ(n.select(count, &r, nullptr, nullptr, &t), 0);
  EXPECT_FALSE(FD_ISSET(p.listener, &r));
  EXPECT_EQ(t.tv_sec * 1'000'000 + t.tv_usec, 0);  // Linux tells what is left
  EXPECT_EQ(n.select(-1, &r, nullptr, nullptr, &t), -EINVAL);
  t = {-1, 0};
  EXPECT_EQ(n.select(count, &r, nullptr, nullptr, &t), -EINVAL);
  FD_SET(p.client, &r);
  this->close_all({p.client});
  t = {0, 0};
  EXPECT_EQ(n.select(count, &r, nullptr, nullptr, &t), -EBADF);
  this->close_all({p.server, p.listener});
}

// A hang-up is no exceptional condition.
TYPED_TEST(PosixWaiting, SelectForExceptionsAlone) {
  auto& n = this->net;
  const int fresh = this->tcp();
  fd_set e;
  FD_ZERO(&e);
  FD_SET(fresh, &e);
  timeval t{0, 30'000};
  EXPECT_EQ(n.select(fresh + 1, nullptr, nullptr, &e, &t), 0);
  EXPECT_EQ(t.tv_usec, 0);  // all of it has passed
  EXPECT_FALSE(FD_ISSET(fresh, &e));
  this->close_all({fresh});
}

// As many as getdtablesize() says.
TYPED_TEST(PosixWaiting, SelectOfAllThatThereMayBe) {
  auto& n = this->net;
  const int u = this->udp();
  fd_set w;
  FD_ZERO(&w);
  FD_SET(u, &w);
  timeval t{0, 0};
  EXPECT_EQ(n.select(100'000, nullptr, &w, nullptr, &t), 1);
  EXPECT_TRUE(FD_ISSET(u, &w));
  this->close_all({u});
}

}  // namespace
}  // namespace leat::test
