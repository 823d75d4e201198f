// epoll as on Linux: what random programs found to differ.

#include <sys/epoll.h>

#include "tests/posix/same_program.hpp"

namespace leat::test {
namespace {

template <class Backend>
class SameEpoll : public SameProgram<Backend> {
 protected:
  int control(int set, int operation, int fd, std::uint32_t events) {
    epoll_event e{.events = events, .data = {.fd = fd}};
    return this->net.epoll_ctl(set, operation, fd, &e);
  }
  std::uint32_t events_of_one(int set) {
    epoll_event e{};
    return this->net.epoll_wait(set, &e, 1, 0) == 1 ? e.events : 0;
  }
};
TYPED_TEST_SUITE(SameEpoll, Backends, BackendNames);

TYPED_TEST(SameEpoll, ExclusiveIsForSomeEventsAndForSocketsOnly) {
  const int set = this->net.epoll_create1(0);
  const int other = this->net.epoll_create1(0);
  const int s = this->udp();
  EXPECT_EQ(this->control(set, EPOLL_CTL_ADD, s, EPOLLIN | EPOLLRDHUP | EPOLLEXCLUSIVE), -EINVAL);
  EXPECT_EQ(this->control(set, EPOLL_CTL_ADD, s, EPOLLIN | EPOLLONESHOT | EPOLLEXCLUSIVE), -EINVAL);
  EXPECT_EQ(this->control(set, EPOLL_CTL_ADD, other, EPOLLIN | EPOLLEXCLUSIVE), -EINVAL);
  EXPECT_EQ(this->control(set, EPOLL_CTL_ADD, s, EPOLLIN | EPOLLOUT | EPOLLET | EPOLLEXCLUSIVE), 0);
  EXPECT_EQ(this->control(set, EPOLL_CTL_MOD, s, EPOLLIN), -EINVAL);
  this->close_all({s, set, other});
}

// "Exclusive" is about who is woken: where nobody waits, every set has it.
TYPED_TEST(SameEpoll, ExclusiveEntriesOfSetsInWhichNobodyWaitsAreAllTold) {
  for (const std::uint32_t trigger : {std::uint32_t{0}, std::uint32_t{EPOLLET}}) {
    const int first = this->net.epoll_create1(0);
    const int second = this->net.epoll_create1(0);
    const int s = this->udp();
    const sockaddr_in to = v4(this->bind_any(s));
    for (const int set : {first, second})
      EXPECT_EQ(this->control(set, EPOLL_CTL_ADD, s, EPOLLIN | EPOLLEXCLUSIVE | trigger), 0);
    EXPECT_EQ(this->net.sendto(s, "x", 1, 0, sa(to), length_of(to)), 1);
    EXPECT_EQ(this->wait_for(s, POLLIN), POLLIN);
    EXPECT_EQ(this->events_of_one(second), EPOLLIN);
    EXPECT_EQ(this->events_of_one(first), EPOLLIN);
    this->close_all({s, first, second});
  }
}

TYPED_TEST(SameEpoll, ANumberThatNamesAnotherSocketIsAnotherEntry) {
  const int set = this->net.epoll_create1(0);
  const int first = this->udp();
  const int kept = this->net.dup(first);
  EXPECT_EQ(this->control(set, EPOLL_CTL_ADD, first, EPOLLIN), 0);
  const int second = this->udp();
  EXPECT_EQ(this->net.dup2(second, first), first);
  EXPECT_EQ(this->control(set, EPOLL_CTL_MOD, first, EPOLLIN | EPOLLOUT), -ENOENT);
  EXPECT_EQ(this->control(set, EPOLL_CTL_ADD, first, EPOLLIN), 0);
  EXPECT_EQ(this->control(set, EPOLL_CTL_ADD, first, EPOLLIN), -EEXIST);
  this->close_all({kept, first, second, set});
}

TYPED_TEST(SameEpoll, ASetIsNoLongerReadyWhenWhatWasReadyIsClosed) {
  const int set = this->net.epoll_create1(0);
  const int s = this->udp();
  EXPECT_EQ(this->control(set, EPOLL_CTL_ADD, s, EPOLLOUT), 0);
  EXPECT_EQ(this->wait_for(set, POLLIN, 0), POLLIN);
  EXPECT_EQ(this->net.close(s), 0);
  EXPECT_EQ(this->wait_for(set, POLLIN, 0), 0);
  this->close_all({set});
}

TYPED_TEST(SameEpoll, ASetIsNoLongerReadyWhenAllWasRead) {
  const int set = this->net.epoll_create1(0);
  const int outer = this->net.epoll_create1(0);
  const int s = this->udp();
  const sockaddr_in to = v4(this->bind_any(s));
  EXPECT_EQ(this->control(set, EPOLL_CTL_ADD, s, EPOLLIN), 0);
  EXPECT_EQ(this->control(outer, EPOLL_CTL_ADD, set, EPOLLIN), 0);
  EXPECT_EQ(this->net.sendto(s, "x", 1, 0, sa(to), length_of(to)), 1);
  EXPECT_EQ(this->wait_for(set, POLLIN), POLLIN);
  EXPECT_EQ(this->events_of_one(outer), EPOLLIN);
  char octet = 0;
  EXPECT_EQ(this->net.recv(s, &octet, 1, 0), 1);
  EXPECT_EQ(this->wait_for(set, POLLIN, 0), 0);
  EXPECT_EQ(this->events_of_one(outer), 0U);
  this->close_all({s, outer, set});
}

TYPED_TEST(SameEpoll, TheEndOfReadingIsAnEdge) {
  const auto p = this->connected();
  const int set = this->net.epoll_create1(0);
  EXPECT_EQ(this->control(set, EPOLL_CTL_ADD, p.server, EPOLLIN | EPOLLRDHUP | EPOLLET), 0);
  EXPECT_EQ(this->events_of_one(set), 0U);
  EXPECT_EQ(this->net.shutdown(p.server, SHUT_RD), 0);
  EXPECT_EQ(this->events_of_one(set), EPOLLIN | EPOLLRDHUP);
  EXPECT_EQ(this->events_of_one(set), 0U);
  EXPECT_EQ(this->net.shutdown(p.server, SHUT_WR), 0);
  EXPECT_EQ(this->events_of_one(set), EPOLLIN | EPOLLRDHUP | EPOLLHUP);
  this->close_all({set, p.client, p.server, p.listener});
}

TYPED_TEST(SameEpoll, AStreamThatIsNotConnectedIsHungUp) {
  auto& n = this->net;
  const int set = n.epoll_create1(0);
  const int taken = this->tcp();
  const sockaddr_in a = v4(this->bind_any(taken));
  const int c = this->tcp(SOCK_NONBLOCK);
  EXPECT_EQ(this->control(set, EPOLL_CTL_ADD, c, EPOLLIN | EPOLLOUT | EPOLLRDHUP), 0);
  EXPECT_EQ(this->events_of_one(set), EPOLLOUT | EPOLLHUP);
  EXPECT_EQ(this->wait_for(set, POLLIN, 0), POLLIN);
  EXPECT_EQ(n.connect(c, sa(a), length_of(a)), -EINPROGRESS);
  EXPECT_NE(this->wait_for(c, POLLOUT) & POLLERR, 0);
  EXPECT_EQ(this->events_of_one(set), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLERR | EPOLLHUP);
  EXPECT_EQ(n.connect(c, sa(a), length_of(a)), -ECONNREFUSED);
  EXPECT_EQ(this->events_of_one(set), EPOLLOUT | EPOLLHUP);  // as new
  EXPECT_EQ(n.listen(taken, 1), 0);
  EXPECT_EQ(n.connect(c, sa(a), length_of(a)), -EINPROGRESS);
  EXPECT_EQ(this->wait_for(c, POLLOUT), POLLOUT);
  EXPECT_EQ(this->events_of_one(set), EPOLLOUT);
  this->close_all({c, taken, set});
}

TYPED_TEST(SameEpoll, AnAttemptThatFailsRearmsNoOneShotEntry) {
  auto& n = this->net;
  const int set = n.epoll_create1(0);
  const int taken = this->tcp();
  const sockaddr_in a = v4(this->bind_any(taken));
  const int c = this->tcp();
  EXPECT_EQ(this->control(set, EPOLL_CTL_ADD, c, EPOLLOUT | EPOLLONESHOT), 0);
  EXPECT_EQ(this->events_of_one(set), EPOLLOUT | EPOLLHUP);
  EXPECT_EQ(n.connect(c, sa(a), length_of(a)), -ECONNREFUSED);
  EXPECT_EQ(this->events_of_one(set), 0U);
  EXPECT_EQ(this->control(set, EPOLL_CTL_MOD, c, EPOLLOUT | EPOLLONESHOT), 0);
  EXPECT_EQ(this->events_of_one(set), EPOLLOUT | EPOLLHUP);
  EXPECT_EQ(n.connect(c, sa(a), length_of(a)), -ECONNREFUSED);
  EXPECT_EQ(this->control(set, EPOLL_CTL_DEL, c, 0), 0);
  this->close_all({c, taken, set});
}

}  // namespace
}  // namespace leat::test
