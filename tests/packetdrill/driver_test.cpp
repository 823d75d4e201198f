// The packetdrill plug-in, driven as packetdrill drives it: packets in and out as bare IP, a clock that is the stack's,
// and blocking calls on a second thread.

#include <arpa/inet.h>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <tools/packetdrill/interface.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <string>
#include <tests/support/packet_builder.hpp>
#include <thread>

namespace leat::test {
namespace {

using wire::TcpFlag;
using Init = void (*)(const char*, packetdrill_interface*);

// The plug-in as packetdrill finds it: all symbols at once, kept to itself.
Init find_init() {
#ifdef LEAT_PACKETDRILL_SO
  void* const library = ::dlopen(LEAT_PACKETDRILL_SO, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return nullptr;
  void* const found = ::dlsym(library, "packetdrill_interface_init");
  Init init = nullptr;
  std::memcpy(&init, &found, sizeof init);
  return init;
#else
  return &packetdrill_interface_init;
#endif
}

struct Seen {
  Bytes packet;
  long long time_us = 0;
  Decoded ip;
  wire::TcpHeader tcp;
};

// Whether the thread comes to sleep: how the tool knows that a call blocks.
bool sleeps(pid_t thread) {
  for (int looks = 0; looks < 1'000'000; ++looks) {
    std::ifstream stat("/proc/self/task/" + std::to_string(thread) + "/stat");
    std::string text;
    std::getline(stat, text);
    if (text.find(") S ") != std::string::npos) return true;
    std::this_thread::yield();
  }
  return false;
}

class Packetdrill : public ::testing::Test {
 protected:
  void SetUp() override { open("local=192.168.0.8,remote=192.0.2.1,mtu=1500,seed=3"); }
  void TearDown() override { close(); }
  void open(const char* flags) {
    const Init init = find_init();
    ASSERT_NE(init, nullptr);
    init(flags, &i);
    u = i.userdata;
  }
  void close() {
    if (u != nullptr) i.free(u);
    u = nullptr;
  }
  void inject(const Tcp& t, const Bytes& data = {}) {
    const Bytes p = tcp_packet({.source = ip("192.0.2.1"), .destination = ip("192.168.0.8")}, t, data);
    ASSERT_EQ(i.netdev_send(u, p.data(), p.size()), 0);
  }
  // The next packet; nothing: none will ever come.
  std::optional<Seen> receive() {
    Seen s;
    s.packet.resize(65536);
    std::size_t n = s.packet.size();
    EXPECT_EQ(i.netdev_receive(u, s.packet.data(), &n, &s.time_us), 0);
    if (n == 0) return std::nullopt;
    s.packet.resize(n);
    s.ip = decode_ip(s.packet);
    EXPECT_TRUE(s.ip.checksums_ok);
    s.tcp = wire::TcpView::parse(s.ip.l4)->header();
    return s;
  }
  long long now() {
    timeval t{};
    EXPECT_EQ(i.gettimeofday(u, &t, nullptr), 0);
    return t.tv_sec * 1'000'000LL + t.tv_usec;
  }
  int listen() {
    const int fd = i.socket(u, AF_INET, SOCK_STREAM, IPPROTO_TCP);
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(8080);
    EXPECT_EQ(i.bind(u, fd, static_cast<sockaddr*>(static_cast<void*>(&a)), sizeof a), 0);
    EXPECT_EQ(i.listen(u, fd, 1), 0);
    return fd;
  }
  // A connection from the peer; its sequence numbers begin at 1001, ours at `ours`.
  int accept(int listener) {
    inject({.from = 5000, .to = 8080, .seq = 1000, .flags = TcpFlag::syn});
    const auto syn_ack = receive();
    EXPECT_TRUE(syn_ack && syn_ack->tcp.flags.all(TcpFlag::syn | wire::TcpFlags(TcpFlag::ack)));
    ours = syn_ack->tcp.seq.value() + 1;
    inject({.from = 5000, .to = 8080, .seq = 1001, .ack = ours, .flags = TcpFlag::ack});
    return i.accept(u, listener, nullptr, nullptr);
  }

  packetdrill_interface i{};
  void* u = nullptr;
  std::uint32_t ours = 0;
};

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

TEST(PacketdrillFlags, NonsenseEndsTheProgramWithOneLine) {
  const Init init = find_init();
  ASSERT_NE(init, nullptr);
  packetdrill_interface i{};
  EXPECT_EXIT(init("local=nowhere", &i), ::testing::ExitedWithCode(2), "'nowhere' is no address");
  EXPECT_EXIT(init("no_such_key=1", &i), ::testing::ExitedWithCode(2), "unknown flag 'no_such_key'");
}

}  // namespace
}  // namespace leat::test
