// Stories that the driver plays against the plug-in: connections, the clock, blocking calls, descriptors, options.

#include "tests/packetdrill/driver.hpp"

#include <fcntl.h>

#include <filesystem>

namespace leat::test {
namespace {

TEST_F(Packetdrill, AHandshakeDataAndAnEnd) {
  const int listener = listen();
  const int fd = accept(listener);
  ASSERT_GE(fd, 0);
  inject({.from = 5000, .to = 8080, .seq = 1001, .ack = ours, .flags = TcpFlag::ack | wire::TcpFlags(TcpFlag::psh)},
         bytes_of("hello"));
  const auto ack = receive();
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->tcp.ack.value(), 1006U);
  std::array<char, 10> buffer{};
  EXPECT_EQ(i.read(u, fd, buffer.data(), buffer.size()), 5);
  EXPECT_EQ(i.write(u, fd, "reply", 5), 5);
  const auto reply = receive();
  ASSERT_TRUE(reply);
  EXPECT_EQ(text_of(reply->ip.payload), "reply");
  EXPECT_EQ(reply->tcp.ack.value(), 1006U);
  tcp_info info{};
  socklen_t length = sizeof info;
  EXPECT_EQ(i.getsockopt(u, fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
  EXPECT_EQ(info.tcpi_state, 1);  // TCP_ESTABLISHED
  EXPECT_EQ(info.tcpi_unacked, 1U);
  EXPECT_EQ(i.close(u, fd), 0);
  const auto fin = receive();
  ASSERT_TRUE(fin);
  EXPECT_TRUE(fin->tcp.flags.fin());
  EXPECT_EQ(i.close(u, listener), 0);
}

TEST_F(Packetdrill, TheClockJumpsToTheNextTimerAndNoFurther) {
  const int fd = accept(listen());
  EXPECT_EQ(i.write(u, fd, "x", 1), 1);
  const auto first = receive();
  const auto second = receive();  // nothing acknowledges it: the retransmission time-out
  ASSERT_TRUE(first && second);
  EXPECT_EQ(second->tcp.seq, first->tcp.seq);
  EXPECT_GE(second->time_us - first->time_us, 200'000);
  EXPECT_LE(second->time_us - first->time_us, 1'100'000);
  EXPECT_GE(now(), second->time_us);
}

TEST_F(Packetdrill, WhenNothingWillEverComeThatIsSaidWithoutAnError) {
  EXPECT_FALSE(receive());
  const int fd = i.socket(u, AF_INET, SOCK_STREAM, 0);
  EXPECT_GE(fd, 0);
  EXPECT_FALSE(receive());
}

TEST_F(Packetdrill, TimeMovesWithEveryQuestionAndWithSleep) {
  const long long a = now(), b = now();
  EXPECT_GE(b, a + 1);
  EXPECT_EQ(i.usleep(u, 5000), 0);
  EXPECT_GE(now(), b + 5000);
  EXPECT_LE(now(), b + 5010);
}

TEST_F(Packetdrill, ABlockingCallSleepsOnItsThreadAndSeesTheTimeOfItsWaking) {
  const int listener = listen();
  long long seen = 0;
  int fd = -1;
  std::atomic<pid_t> thread{0};
  std::thread blocked([&] {
    thread = ::gettid();
    fd = i.accept(u, listener, nullptr, nullptr);
    seen = now();
  });
  while (thread == 0) std::this_thread::yield();
  ASSERT_TRUE(sleeps(thread));
  EXPECT_EQ(i.usleep(u, 100'000), 0);
  inject({.from = 5000, .to = 8080, .seq = 1000, .flags = TcpFlag::syn});
  const auto syn_ack = receive();
  ASSERT_TRUE(syn_ack);
  EXPECT_EQ(i.usleep(u, 100'000), 0);
  const long long before = now();
  inject({.from = 5000, .to = 8080, .seq = 1001, .ack = syn_ack->tcp.seq.value() + 1, .flags = TcpFlag::ack});
  EXPECT_EQ(i.usleep(u, 1'000'000), 0);
  blocked.join();
  EXPECT_GE(fd, 0);
  EXPECT_GE(seen, before);
  EXPECT_LE(seen, before + 1000) << "the clock moved before the woken thread had looked at it";
}

TEST_F(Packetdrill, ErrorsComeByErrno) {
  const int fd = i.socket(u, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(8080);
  a.sin_addr.s_addr = inet_addr("192.0.2.1");
  EXPECT_EQ(i.connect(u, fd, static_cast<sockaddr*>(static_cast<void*>(&a)), sizeof a), -1);
  EXPECT_EQ(errno, EINPROGRESS);
  const auto syn = receive();
  ASSERT_TRUE(syn);
  EXPECT_TRUE(syn->tcp.flags.syn());
  inject({.from = 8080,
          .to = syn->ip.source_port,
          .seq = 0,
          .ack = syn->tcp.seq.value() + 1,
          .flags = TcpFlag::rst | wire::TcpFlags(TcpFlag::ack)});
  int error = 0;
  socklen_t length = sizeof error;
  EXPECT_EQ(i.getsockopt(u, fd, SOL_SOCKET, SO_ERROR, &error, &length), 0);
  EXPECT_EQ(error, ECONNREFUSED);
  EXPECT_EQ(i.listen(u, 12345, 1), -1);
  EXPECT_EQ(errno, EBADF);
}

TEST_F(Packetdrill, EpollPipesAndSpliceAreThere) {
  const int fd = accept(listen());
  const int set = i.epoll_create(u, 1);
  epoll_event e{};
  e.events = EPOLLIN;
  e.data.u64 = 7;
  EXPECT_EQ(i.epoll_ctl(u, set, EPOLL_CTL_ADD, fd, &e), 0);
  epoll_event got{};
  EXPECT_EQ(i.epoll_wait(u, set, &got, 1, 0), 0);
  inject({.from = 5000, .to = 8080, .seq = 1001, .ack = ours, .flags = TcpFlag::ack}, bytes_of("piped"));
  EXPECT_EQ(i.epoll_wait(u, set, &got, 1, 0), 1);
  EXPECT_EQ(got.data.u64, 7U);
  std::array<int, 2> ends{};
  ASSERT_EQ(i.pipe(u, ends.data()), 0);
  EXPECT_EQ(i.splice(u, fd, nullptr, ends[1], nullptr, 100, 0), 5);
  EXPECT_EQ(i.splice(u, ends[0], nullptr, fd, nullptr, 5, 0), 5);
  // Our ACK of the data may come first.
  for (auto seen = receive(); seen; seen = receive())
    if (!seen->ip.payload.empty()) {
      EXPECT_EQ(text_of(seen->ip.payload), "piped");
      break;
    }
  EXPECT_EQ(i.close(u, ends[0]), 0);
  EXPECT_EQ(i.close(u, ends[1]), 0);
}

TEST_F(Packetdrill, OptionsComeFromTheFlagsAndFromAFileAtTheFirstSocket) {
  close();
  const std::string file = ::testing::TempDir() + "leat-packetdrill-" + std::to_string(::getpid());
  const std::string flags = "local=192.168.0.8,tcp_timestamps=0,options_file=" + file;
  open(flags.c_str());
  // The script's own commands run after the plug-in was made.
  std::FILE* f = std::fopen(file.c_str(), "w");
  ASSERT_NE(f, nullptr);
  std::fputs("tcp_sack 0\ntcp_window_scaling=0\n", f);
  std::fclose(f);
  const int listener = listen();
  EXPECT_GE(listener, 0);
  inject({.from = 5000, .to = 8080, .seq = 1000, .flags = TcpFlag::syn, .options = {2, 4, 5, 180, 4, 2, 8, 10, 0, 0,
                                                                                    0, 1, 0, 0,   0, 0, 1, 3,  3, 7}});
  const auto syn_ack = receive();
  ASSERT_TRUE(syn_ack);
  const auto view = wire::TcpView::parse(syn_ack->ip.l4);
  EXPECT_EQ(view->options().size(), 4U);  // the MSS alone
  std::remove(file.c_str());
}

// An options file is read once, at the first socket(); a line that means nothing is told there.
TEST_F(Packetdrill, SysctlsByTheirNamesAndNonsenseInTheFileOfOptions) {
  close();
  const std::string file = ::testing::TempDir() + "leat-packetdrill-sysctl-" + std::to_string(::getpid());
  open(("local=192.168.0.8,net.ipv4.tcp_timestamps=0,options_file=" + file).c_str());
  std::ofstream(file) << "net.ipv4.tcp_sack = 0\nnet.ipv4.tcp_rmem = 4096 8192 20000\n\n"
                         "net.ipv4.tcp_congestion_control=reno\nnet.inet.tcp.rexmit_initial 3000\nno_such_option 1\n";
  EXPECT_EQ(i.socket(u, AF_INET, SOCK_STREAM, 0), -1);
  EXPECT_EQ(errno, EINVAL);
  const int listener = listen();  // what stood before the nonsense is set
  int size = 0;
  socklen_t length = sizeof size;
  EXPECT_EQ(i.getsockopt(u, listener, SOL_SOCKET, SO_RCVBUF, &size, &length), 0);
  EXPECT_EQ(size, 20000);
  std::array<char, 16> name{};
  length = name.size();
  EXPECT_EQ(i.getsockopt(u, listener, IPPROTO_TCP, TCP_CONGESTION, name.data(), &length), 0);
  EXPECT_STREQ(name.data(), "reno");
  inject({.from = 5000,
          .to = 8080,
          .seq = 1000,
          .flags = TcpFlag::syn,
          .options = {2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0}});
  const auto first = receive(), again = receive();
  ASSERT_TRUE(first && again);
  EXPECT_EQ(wire::TcpView::parse(first->ip.l4)->options().size(), 4U);  // the MSS alone
  EXPECT_GE(again->time_us - first->time_us, 3'000'000);
  std::remove(file.c_str());
}

TEST_F(Packetdrill, AddressesMtuAndGatewayComeFromTheFlags) {
  close();
  open(
      "local=fd3d:fa7b:d17d::8/64,local=192.168.0.8/"
      "16,gateway=192.168.0.1,gateway=fd3d:fa7b:d17d::1,ip_version=6,mtu=1400");
  sockaddr_in6 any{};
  any.sin6_family = AF_INET6;
  any.sin6_port = htons(8080);
  const int listener = i.socket(u, AF_INET6, SOCK_STREAM, 0);
  const void* const name = &any;
  ASSERT_EQ(i.bind(u, listener, static_cast<const sockaddr*>(name), sizeof any), 0);
  ASSERT_EQ(i.listen(u, listener, 4), 0);
  // Bare packets of either version, to a peer far away; IPv4 comes to the socket as a mapped address.
  const Bytes syn6 = tcp_packet({.source = ip("2001:db8::1"), .destination = ip("fd3d:fa7b:d17d::8")},
                                {.from = 5000, .to = 8080, .flags = TcpFlag::syn});
  ASSERT_EQ(i.netdev_send(u, syn6.data(), syn6.size()), 0);
  const auto mss_of = [](const Seen& s) {
    const Bytes options(wire::TcpView::parse(s.ip.l4)->options().begin(),
                        wire::TcpView::parse(s.ip.l4)->options().end());
    return options.size() < 4 ? 0 : options[2] << 8 | options[3];
  };
  auto reply = receive();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->ip.version, 6);
  EXPECT_EQ(reply->ip.ip_destination, ip("2001:db8::1"));
  EXPECT_EQ(mss_of(*reply), 1340);
  inject({.from = 5001, .to = 8080, .seq = 9, .flags = TcpFlag::syn});
  reply = receive();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->ip.version, 4);
  EXPECT_EQ(mss_of(*reply), 1360);
  inject({.from = 5001, .to = 8080, .seq = 10, .ack = reply->tcp.seq.value() + 1, .flags = TcpFlag::ack});
  sockaddr_in6 peer{};
  socklen_t length = sizeof peer;
  void* const peer_name = &peer;
  EXPECT_GE(i.accept(u, listener, static_cast<sockaddr*>(peer_name), &length), 0);
  EXPECT_TRUE(IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr));
}

// The tool runs SCHED_RR with all memory locked.
TEST_F(Packetdrill, ThePluginMakesNoThread) {
  const auto threads = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/task"), std::filesystem::directory_iterator{});
  };
  close();
  const auto before = threads();
  open("local=192.168.0.8");
  const int fd = accept(listen());
  EXPECT_EQ(i.write(u, fd, "x", 1), 1);
  EXPECT_EQ(i.usleep(u, 1'000'000), 0);
  EXPECT_EQ(threads(), before);
}

TEST_F(Packetdrill, SleepFiresTimersInTheirOrderAndAtTheirTime) {
  const int fd = accept(listen());
  EXPECT_EQ(i.write(u, fd, "x", 1), 1);
  const long long begin = now();
  EXPECT_EQ(i.usleep(u, 8'000'000), 0);
  const long long end = now();
  EXPECT_LE(end, begin + 8'000'010);
  // The data and its retransmissions, each twice as late as the one before; all of them went out while it slept.
  std::vector<long long> times;
  while (times.size() < 3) {
    const auto seen = receive();
    ASSERT_TRUE(seen);
    EXPECT_EQ(text_of(seen->ip.payload), "x");
    times.push_back(seen->time_us);
  }
  EXPECT_LE(times[0], begin);
  EXPECT_NEAR(static_cast<double>(times[2] - times[1]), static_cast<double>(2 * (times[1] - times[0])), 10'000);
  EXPECT_LE(times[2], end);
  EXPECT_LE(now(), end + 10) << "what had gone out already moved the clock";
}

// A call that blocks on a second thread, as the tool makes them: the main thread goes on when it sleeps.
class Blocked {
 public:
  template <class F>
  explicit Blocked(F&& f)
      : thread_([this, f] {
          id_ = ::gettid();
          f();
        }) {
    while (id_ == 0) std::this_thread::yield();
    EXPECT_TRUE(sleeps(id_));
  }
  void join() { thread_.join(); }

 private:
  std::atomic<pid_t> id_{0};
  std::thread thread_;
};

TEST_F(Packetdrill, ABlockedCallEndsAtItsOwnTimeWhateverIsSlept) {
  const int fd = accept(listen());
  const timeval wait{0, 50'000};
  ASSERT_EQ(i.setsockopt(u, fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait), 0);
  const long long before = now();
  ssize_t got = 0;
  int error = 0;
  long long seen = 0;
  Blocked read([&] {
    char b = 0;
    got = i.read(u, fd, &b, 1);
    error = errno;
    seen = now();
  });
  EXPECT_EQ(i.usleep(u, 1'000'000), 0);
  read.join();
  EXPECT_EQ(got, -1);
  EXPECT_EQ(error, EAGAIN);
  EXPECT_GE(seen, before + 50'000);
  EXPECT_LE(seen, before + 50'100);
}

// The next timer is the retransmission, far behind the time at which the reader is woken.
TEST_F(Packetdrill, TheClockDoesNotJumpWhileAWokenCallHasNotLooked) {
  const int fd = accept(listen());
  EXPECT_EQ(i.write(u, fd, "x", 1), 1);
  const auto first = receive();
  ASSERT_TRUE(first);
  long long seen = 0;
  ssize_t got = 0;
  Blocked read([&] {
    char b = 0;
    got = i.read(u, fd, &b, 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the real time that it takes to look
    seen = now();
  });
  const long long before = now();
  inject({.from = 5000, .to = 8080, .seq = 1001, .ack = ours, .flags = TcpFlag::ack}, bytes_of("y"));
  auto next = receive();
  while (next && next->ip.payload.empty()) next = receive();  // the acknowledgement of "y"
  ASSERT_TRUE(next);
  EXPECT_GE(next->time_us, first->time_us + 200'000);
  read.join();
  EXPECT_EQ(got, 1);
  EXPECT_LE(seen, before + 100);
}

TEST_F(Packetdrill, NothingComesWhileACallBlocksForEverAndCloseEndsIt) {
  const int listener = listen();
  int got = 0, error = 0;
  Blocked accept([&] {
    got = i.accept(u, listener, nullptr, nullptr);
    error = errno;
  });
  EXPECT_FALSE(receive());
  EXPECT_EQ(i.close(u, listener), 0);
  accept.join();
  EXPECT_EQ(got, -1);
  EXPECT_EQ(error, EBADF);
}

TEST_F(Packetdrill, BlockedPollsAndSetsEndByTimeAndByPipes) {
  const int fd = accept(listen());
  const long long before = now();
  int got = -1;
  long long seen = 0;
  Blocked poll([&] {
    pollfd p{fd, POLLIN, 0};
    got = i.poll(u, &p, 1, 30);
    seen = now();
  });
  EXPECT_FALSE(receive());  // jumps to what is next, which is the end of the wait
  poll.join();
  EXPECT_EQ(got, 0);
  EXPECT_GE(seen, before + 30'000);
  EXPECT_LE(seen, before + 30'100);

  std::array<int, 2> ends{};
  ASSERT_EQ(i.pipe(u, ends.data()), 0);
  std::array<pollfd, 2> both{{{fd, POLLIN, 0}, {ends[0], POLLIN, 0}}};
  Blocked poll_both([&] { got = i.poll(u, both.data(), both.size(), -1); });
  EXPECT_EQ(i.write(u, ends[1], "x", 1), 1);
  poll_both.join();
  EXPECT_EQ(got, 1);
  EXPECT_EQ(both[1].revents, POLLIN);

  const int set = i.epoll_create(u, 1);
  epoll_event e{}, told{};
  e.events = EPOLLIN;
  ASSERT_EQ(i.epoll_ctl(u, set, EPOLL_CTL_ADD, fd, &e), 0);
  Blocked wait([&] { got = i.epoll_wait(u, set, &told, 1, -1); });
  inject_data(0, "x");
  wait.join();
  EXPECT_EQ(got, 1);
  EXPECT_EQ(told.events, EPOLLIN);
}

// The tool closes what a script left open with libc's close. The kernel gives the numbers out again; what they named
// ends then.
TEST_F(Packetdrill, LeftoversClosedByLibcEndWhenTheirNumbersAreGivenOutAgain) {
  const int listener = listen();
  const int fd = accept(listener);
  ASSERT_EQ(::close(listener), 0);
  ASSERT_EQ(::close(fd), 0);
  const int first = i.socket(u, AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(first, listener);
  inject({.from = 6000, .to = 8080, .seq = 70, .flags = TcpFlag::syn});
  const auto rst = receive();
  ASSERT_TRUE(rst);
  EXPECT_TRUE(rst->tcp.flags.rst()) << "the listener goes on";
  const int second = listen(8081);
  EXPECT_EQ(second, fd);
  const auto fin = receive();
  ASSERT_TRUE(fin);
  EXPECT_TRUE(fin->tcp.flags.fin()) << "the connection goes on";
  inject({.from = 6000, .to = 8081, .seq = 70, .flags = TcpFlag::syn});
  auto syn_ack = receive();
  while (syn_ack && !syn_ack->tcp.flags.syn()) syn_ack = receive();
  ASSERT_TRUE(syn_ack);
  EXPECT_EQ(syn_ack->ip.source_port, 8081U);
}

TEST_F(Packetdrill, ANumberThatIsTheKernelsAgainIsLeftToIt) {
  const int listener = listen();
  const int fd = accept(listener);
  ASSERT_EQ(::close(listener), 0);
  ASSERT_EQ(::close(fd), 0);
  std::array<int, 2> ends{};
  ASSERT_EQ(i.pipe(u, ends.data()), 0);
  EXPECT_EQ(ends[0], listener);
  EXPECT_EQ(ends[1], fd);
  EXPECT_EQ(i.write(u, ends[1], "x", 1), 1);
  char b = 0;
  EXPECT_EQ(i.read(u, ends[0], &b, 1), 1);
  EXPECT_EQ(b, 'x');
  EXPECT_EQ(i.close(u, ends[0]), 0);
  EXPECT_EQ(i.close(u, ends[1]), 0);
  // A file of the tool's own, which it opened past the plug-in, outlives the plug-in.
  const int last = listen(8081);
  ASSERT_EQ(::close(last), 0);
  const int file = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(file, last);
  close();
  EXPECT_GE(::fcntl(file, F_GETFD), 0);
  EXPECT_EQ(::close(file), 0);
}

TEST(PacketdrillFlags, NonsenseEndsTheProgramWithOneLine) {
  const Init init = find_init();
  ASSERT_NE(init, nullptr);
  packetdrill_interface i{};
  EXPECT_EXIT(init("local=nowhere", &i), ::testing::ExitedWithCode(2), "'nowhere' is no address");
  EXPECT_EXIT(init("no_such_key=1", &i), ::testing::ExitedWithCode(2), "unknown flag 'no_such_key'");
}

}  // namespace
}  // namespace leat::test
