// What a request and its reply cost on a TAP, in system calls: one wait, one read, one write. The kernel's client is a
// thread with a blocking socket; what is counted begins when the connection has settled. In a namespace of its own.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <leat/device/netlink_unsafe.hpp>
#include <leat/drive/callback_socket.hpp>
#include <leat/runtime/clock.hpp>
#include <leat/runtime/host.hpp>
#include <thread>

#include "../support/own_tap.hpp"

namespace leat {
namespace {

constexpr std::string_view kKernel = "10.78.0.1/24";
constexpr std::string_view kOurs = "10.78.0.2/24";
constexpr std::uint16_t kPort = 7;
constexpr unsigned kSettle = 100, kRounds = 1000;  // round trips
constexpr Duration kPatience = Duration::s(100);   // of a machine that is busy; an idle one takes tenths of a second

// Sends requests and waits for each reply, in a thread.
class KernelClient {
 public:
  KernelClient(std::size_t bytes, unsigned rounds) : thread_([=, this] { ok_ = run(bytes, rounds); }) {}
  bool join() {
    thread_.join();
    return ok_;
  }

 private:
  static bool run(std::size_t bytes, unsigned rounds) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(kPort);
    to.sin_addr.s_addr = htonl(0x0a4e0002);
    timeval limit{.tv_sec = 30, .tv_usec = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    std::vector<std::uint8_t> data(bytes, 0x5a);
    bool ok = ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
    for (unsigned i = 0; ok && i < rounds; ++i) {
      ok = ::send(fd, data.data(), bytes, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes);
      for (std::size_t got = 0; ok && got < bytes;) {
        const ssize_t n = ::recv(fd, data.data(), bytes - got, 0);
        ok = n > 0;
        got += ok ? static_cast<std::size_t>(n) : 0;
      }
    }
    ::close(fd);
    return ok;
  }
  bool ok_ = false;
  std::thread thread_;
};

// Reads requests of `bytes` and counts them; replies in the handler, or leaves that to the caller.
class Server {
 public:
  Server(Host& host, std::size_t bytes, bool reply_at_once) : host_(host), buffer_(bytes), at_once_(reply_at_once) {
    EXPECT_TRUE(listener_.listen(host.stack(), {IpAddress{}, Port{kPort}}, 1,
                                 CallbackSocket::Handler::to<&Server::on_listener>(*this)));
  }
  [[nodiscard]] unsigned replies() const { return replies_; }
  [[nodiscard]] bool ended() const { return ended_; }

  [[nodiscard]] bool owes_reply() const { return owes_reply_; }
  void reply() {
    owes_reply_ = false;
    ++replies_;
    const auto n = connection_.write(buffer_);
    EXPECT_TRUE(n && n->count == buffer_.size());
    if (replies_ == kSettle) before_ = counters();
    if (replies_ == kSettle + kRounds) after_ = counters();
  }
  // Since the connection had settled.
  [[nodiscard]] double reads_per_round() const { return per_round(before_.rx_calls, after_.rx_calls); }
  [[nodiscard]] double writes_per_round() const { return per_round(before_.tx_calls, after_.tx_calls); }
  [[nodiscard]] double packets_per_round() const { return per_round(before_.rx_packets, after_.rx_packets); }

 private:
  static double per_round(std::uint64_t from, std::uint64_t to) { return static_cast<double>(to - from) / kRounds; }
  [[nodiscard]] DeviceCounters counters() const { return host_.shard().ports()[0].device()->counters(); }
  void on_listener(CallbackSocket& listener, Ready) {
    (void)connection_.accept(listener, CallbackSocket::Handler::to<&Server::on_connection>(*this));
  }
  void on_connection(CallbackSocket& c, Ready events) {
    if (any(events & Ready::readable)) {
      const auto n = c.read(MutableByteSpan{buffer_}.subspan(got_));
      if (n) got_ += n->count;
      if (got_ == buffer_.size()) {
        got_ = 0;
        owes_reply_ = true;
        if (at_once_) reply();
      }
    }
    if (any(events & (Ready::peer_fin | Ready::closed))) ended_ = true;
  }

  Host& host_;
  CallbackSocket listener_, connection_;
  std::vector<std::uint8_t> buffer_;
  std::size_t got_ = 0;
  bool at_once_;
  bool owes_reply_ = false;
  bool ended_ = false;
  unsigned replies_ = 0;
  DeviceCounters before_, after_;
};

// NOLINTNEXTLINE(readability-identifier-naming): in tests' names
struct Device_closed_loop : testing::TestWithParam<std::size_t> {
  void SetUp() override {
    if (!test::why_no_tap().empty()) GTEST_SKIP() << test::why_no_tap();
    ASSERT_TRUE(host.open_tap("loop0", {kOurs}));
    ASSERT_TRUE(netlink::add_address("loop0", *IpPrefix::parse(kKernel)));
  }
  // The machine may be busy with other work: a reply that comes late costs an ACK of its own. Linux acknowledges a
  // reply of several segments when it is read, so that there are up to two packets for each request.
  static void expect_one_each(const Server& s) {
    EXPECT_LT(s.packets_per_round(), GetParam() <= 1448 ? 1.1 : 2.1);
    // A second look in vain comes once in eight bursts at most; one for each would read 2.
    EXPECT_LT(s.reads_per_round(), s.packets_per_round() * 1.125) << "reads in vain";
    EXPECT_LT(s.writes_per_round(), 1.1);
    RecordProperty("packets_per_round", std::to_string(s.packets_per_round()));
    RecordProperty("reads_per_round", std::to_string(s.reads_per_round()));
    RecordProperty("writes_per_round", std::to_string(s.writes_per_round()));
  }
  Host host;
};

TEST_P(Device_closed_loop, AReplyFromTheHandlerCostsAWaitAReadAndAWrite) {
  Server server(host, GetParam(), true);
  KernelClient client(GetParam(), kSettle + kRounds);
  std::uint64_t first = 0, last = 0;
  EXPECT_TRUE(host.runner().run_until(
      [&] {
        if (server.replies() <= kSettle) first = host.runner().sleeps();
        if (server.replies() <= kSettle + kRounds) last = host.runner().sleeps();
        return server.ended();
      },
      monotonic_now() + kPatience));
  EXPECT_TRUE(client.join());
  expect_one_each(server);
  EXPECT_LT(static_cast<double>(last - first) / kRounds, server.packets_per_round() * 1.1);
}

// As a blocking receive does it: the turn serves the reader, which replies in its next call.
TEST_P(Device_closed_loop, AReplyFromTheNextCallCostsTheSame) {
  Server server(host, GetParam(), false);
  KernelClient client(GetParam(), kSettle + kRounds);
  const Instant end = monotonic_now() + kPatience;
  pollfd wait{.fd = host.shard().ports()[0].device()->poll_fd(), .events = POLLIN, .revents = 0};
  Instant next = host.shard().turn(monotonic_now());
  for (Instant now = monotonic_now(); !server.ended() && now < end; now = monotonic_now()) {
    const Duration left = next > now ? std::min(next - now, Duration::s(1)) : Duration{};
    const timespec limit{.tv_sec = left.count_s(), .tv_nsec = left.count_ns() % 1'000'000'000};
    ::ppoll(&wait, 1, &limit, nullptr);
    next = host.shard().turn(monotonic_now());
    if (!server.owes_reply()) continue;
    server.reply();
    next = host.shard().flush(monotonic_now());
  }
  EXPECT_TRUE(server.ended());
  EXPECT_TRUE(client.join());
  expect_one_each(server);
}

INSTANTIATE_TEST_SUITE_P(Bytes, Device_closed_loop, testing::Values(100U, 1400U, 4096U));

}  // namespace
}  // namespace leat
