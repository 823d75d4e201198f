// What a TAP does without. The kernel refuses a piece (a filter on this thread's system calls answers for it), or the
// interface was made before, by somebody who wanted it otherwise. Each time info() says what came of it, and a megabyte
// of the kernel's goes through a stack and back. In a namespace of its own; it skips where it may not.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <leat/base/rng.hpp>
#include <leat/device/netlink_unsafe.hpp>
#include <leat/runtime/clock.hpp>
#include <leat/runtime/host.hpp>
#include <optional>
#include <thread>

#include "../support/own_tap.hpp"

namespace leat {
namespace {

constexpr std::string_view kName = "leat0";
constexpr std::string_view kKernel = "10.79.0.1/24";
constexpr std::string_view kOurs = "10.79.0.2/24";
constexpr std::uint16_t kPort = 7;
constexpr std::size_t kBytes = 1'000'000;
constexpr std::uint64_t kFullFrames = kBytes / 1460;  // at least, when none is larger than an MTU of 1500
constexpr Duration kPatience = Duration::s(60);       // of a machine that is busy; an idle one takes hundredths

// --- refusals

// An ioctl that the kernel does not know: always, or when its argument has one of these bits.
struct RefusedCall {
  unsigned long request = 0;
  unsigned bits = ~0U;
  bool always = false;
};

// From now on, for this thread and those that it starts. False where this machine has no such filters.
bool refuse(const RefusedCall& call) {
  constexpr auto low_half = [](std::size_t argument) {
    return static_cast<unsigned>(offsetof(seccomp_data, args) + argument * sizeof(std::uint64_t) +
                                 (std::endian::native == std::endian::big ? 4 : 0));
  };
  constexpr unsigned load = BPF_LD | BPF_W | BPF_ABS, jump_equal = BPF_JMP | BPF_JEQ | BPF_K,
                     jump_bits = BPF_JMP | BPF_JSET | BPF_K, answer = BPF_RET | BPF_K;
  const auto request = static_cast<unsigned>(call.request);
  std::array<sock_filter, 8> program{{
      BPF_STMT(load, offsetof(seccomp_data, nr)),
      BPF_JUMP(jump_equal, SYS_ioctl, 0, 4),
      BPF_STMT(load, low_half(1)),
      BPF_JUMP(jump_equal, request, 0, 2),
      BPF_STMT(load, low_half(2)),
      BPF_JUMP(jump_bits, call.bits, 1, static_cast<unsigned char>(call.always ? 1 : 0)),
      BPF_STMT(answer, SECCOMP_RET_ALLOW),
      BPF_STMT(answer, SECCOMP_RET_ERRNO | EINVAL),
  }};
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

// An interface that stays when nobody has it open, until it is deleted. `flags`: what its maker asks for beside TAP;
// `offloads`: what the maker lets the kernel hand it.
bool make_lasting(int flags, unsigned offloads = 0) {
  const Descriptor tun(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  ifreq request{};
  std::memcpy(request.ifr_name, kName.data(), kName.size());
  request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | flags);
  return tun && ::ioctl(tun.get(), TUNSETIFF, &request) == 0 &&
         ::ioctl(tun.get(), TUNSETOFFLOAD, static_cast<unsigned long>(offloads)) == 0 &&
         ::ioctl(tun.get(), TUNSETPERSIST, 1UL) == 0;
}

// --- a megabyte there and back

// The kernel's client: sends, and takes what comes meanwhile. True when what came is what was sent.
bool talk(int fd, const std::vector<std::uint8_t>& sent) {
  std::vector<std::uint8_t> got;
  std::vector<std::uint8_t> part(65536);
  std::size_t written = 0;
  const Instant end = monotonic_now() + kPatience;
  while (got.size() < sent.size() && monotonic_now() < end) {
    const auto events = static_cast<short>(POLLIN | (written < sent.size() ? POLLOUT : 0));
    pollfd wait{.fd = fd, .events = events, .revents = 0};
    ::poll(&wait, 1, 1000);
    if ((wait.revents & POLLOUT) != 0) {
      const ssize_t n = ::send(fd, &sent[written], sent.size() - written, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n > 0) written += static_cast<std::size_t>(n);
    }
    const ssize_t n = ::recv(fd, part.data(), part.size(), MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN)) return false;
    if (n > 0) got.insert(got.end(), part.begin(), part.begin() + n);
  }
  return got == sent;
}

bool kernel_client() {
  const Descriptor fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(kPort);
  to.sin_addr.s_addr = htonl(0x0a4f0002);
  const timeval limit{.tv_sec = 30, .tv_usec = 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);  // of connect
  std::vector<std::uint8_t> data(kBytes);
  Rng rng{{1, 2}};
  for (auto& byte : data) byte = static_cast<std::uint8_t>(rng.next32());
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0 && talk(fd.get(), data);
}

void echo(StreamConnection& c) {
  std::array<std::uint8_t, 16384> data;
  while (c.pending() == 0) {
    const IoCount got = c.read(data);
    if (got.count == 0) break;
    c.write({data.data(), got.count});
  }
  if (c.at_end()) c.close();
}

// What came of an interface, and of the megabyte.
struct Outcome {
  bool opened = false;
  TapInfo info;
  DeviceCaps caps;
  std::uint32_t header = 0;
  Errc second_queue{};  // of one more queue; Errc{}: it came
  bool echoed = false;
  DeviceCounters counters;
};

Outcome echo_over(TapOptions options) {
  Outcome o;
  options.name = kName;
  Host host;
  TapProblem why;
  auto tap = Tap::open(options, host.pool(), &why);
  EXPECT_TRUE(tap) << why.cause << ": " << std::strerror(why.os_error);
  if (!tap) return o;
  o.opened = true;
  o.info = tap->info();
  o.caps = tap->caps();
  o.header = tap->vnet_header_length();
  {
    const auto second = tap->open_queue(host.pool());
    if (!second) o.second_queue = second.error();
  }
  DeviceRef<Tap> device(*tap);
  const auto id = host.attach(device, {.name = kName}, std::array{*IpPrefix::parse(kOurs)});
  EXPECT_TRUE(id && netlink::add_address(kName, *IpPrefix::parse(kKernel)) && host.serve(Port{kPort}, echo));
  bool over = false;
  std::thread client([&] {
    o.echoed = kernel_client();
    host.runner().post([&over] { over = true; });
  });
  EXPECT_TRUE(host.runner().run_until([&over] { return over; }, monotonic_now() + kPatience + Duration::s(40)));
  client.join();
  o.counters = tap->counters();
  EXPECT_TRUE(host.shard().detach(*id));
  return o;
}

struct Device_tap_fallback : testing::Test {  // NOLINT(readability-identifier-naming): in tests' names
  void SetUp() override {
    if (!test::why_no_tap().empty()) GTEST_SKIP() << test::why_no_tap();
  }
  void TearDown() override { (void)netlink::delete_link(kName); }  // one that lasts

  // In a thread of its own, whose calls are refused. Nothing where this machine has no such filters.
  static std::optional<Outcome> echo_without(const RefusedCall& call, const TapOptions& options = {}) {
    std::optional<Outcome> o;
    std::thread([&] {
      if (refuse(call)) o = echo_over(options);
    }).join();
    return o;
  }
};
constexpr std::string_view kNoFilters = "this machine has no filters of system calls";

TEST_F(Device_tap_fallback, WithEveryPieceNothingIsCut) {
  const Outcome o = echo_over({});
  EXPECT_TRUE(o.echoed);
  EXPECT_TRUE(o.info.vnet_header && o.info.checksum_offload && o.info.tso4 && o.info.tso6 && o.info.tso_ecn);
  EXPECT_EQ(o.header, 12U);
  EXPECT_LT(o.counters.rx_packets, kFullFrames);
}

TEST_F(Device_tap_fallback, RefusedSuperSegmentsComeCut) {
  const auto o = echo_without({.request = TUNSETOFFLOAD, .bits = TUN_F_TSO4 | TUN_F_TSO6});
  if (!o) GTEST_SKIP() << kNoFilters;
  EXPECT_TRUE(o->echoed);
  EXPECT_TRUE(o->info.checksum_offload && o->caps.rx_checksum);
  EXPECT_FALSE(o->info.tso4 || o->info.tso6 || o->info.tso_ecn || o->caps.rx_merges);
  EXPECT_GE(o->counters.rx_packets, kFullFrames);
}

TEST_F(Device_tap_fallback, RefusedEcnCostsNothingElse) {
  const auto o = echo_without({.request = TUNSETOFFLOAD, .bits = TUN_F_TSO_ECN});
  if (!o) GTEST_SKIP() << kNoFilters;
  EXPECT_TRUE(o->echoed);
  EXPECT_TRUE(o->info.checksum_offload && o->info.tso4 && o->info.tso6 && o->caps.rx_merges);
  EXPECT_FALSE(o->info.tso_ecn);
}

TEST_F(Device_tap_fallback, RefusedChecksumsAreVerifiedInSoftware) {
  for (const bool always : {false, true}) {
    const auto o = echo_without({.request = TUNSETOFFLOAD, .bits = TUN_F_CSUM, .always = always});
    if (!o) GTEST_SKIP() << kNoFilters;
    EXPECT_TRUE(o->echoed) << always;
    EXPECT_TRUE(o->info.vnet_header);
    EXPECT_FALSE(o->info.checksum_offload || o->info.tso4 || o->info.tso6 || o->caps.rx_checksum || o->caps.rx_merges);
    EXPECT_TRUE(o->caps.tx_checksum);
    EXPECT_GE(o->counters.rx_packets, kFullFrames);
  }
}

TEST_F(Device_tap_fallback, ARefusedLengthLeavesTheShortHeader) {
  const auto o = echo_without({.request = TUNSETVNETHDRSZ, .always = true});
  if (!o) GTEST_SKIP() << kNoFilters;
  EXPECT_TRUE(o->echoed);
  EXPECT_TRUE(o->info.vnet_header && o->info.checksum_offload && o->info.tso4);
  EXPECT_EQ(o->header, 10U);
}

TEST_F(Device_tap_fallback, WithoutAVnetHeaderSoftwareSumsAndCuts) {
  const Outcome o = echo_over({.vnet_header = false});
  EXPECT_TRUE(o.echoed);
  EXPECT_EQ(o.header, 0U);
  EXPECT_FALSE(o.caps.tx_checksum || o.caps.rx_checksum || o.caps.rx_merges);
  EXPECT_EQ(o.caps.max_gso, 0U);
  EXPECT_GE(o.counters.rx_packets, kFullFrames);
  EXPECT_GE(o.counters.tx_packets, kFullFrames);
  EXPECT_EQ(o.counters.tx_dropped, 0U);
}

// --- interfaces that somebody made before

TEST_F(Device_tap_fallback, AnInterfaceOfOneQueueIsTakenAsItIs) {
  ASSERT_TRUE(make_lasting(0));
  const Outcome o = echo_over({.multi_queue = true});
  EXPECT_TRUE(o.echoed);
  EXPECT_FALSE(o.info.multi_queue);
  EXPECT_EQ(o.second_queue, Errc::not_supported);
  EXPECT_TRUE(o.info.vnet_header && o.info.tso4);
}

TEST_F(Device_tap_fallback, AnInterfaceOfManyQueuesIsTakenAsItIs) {
  ASSERT_TRUE(make_lasting(IFF_MULTI_QUEUE));
  const Outcome o = echo_over({.multi_queue = false});
  EXPECT_TRUE(o.echoed);
  EXPECT_TRUE(o.info.multi_queue);
  EXPECT_EQ(o.second_queue, Errc{});
  EXPECT_TRUE(o.info.vnet_header && o.info.tso4);
}

TEST_F(Device_tap_fallback, AnInterfaceMadeWithoutAVnetHeaderGetsOne) {
  ASSERT_TRUE(make_lasting(0));
  const Outcome o = echo_over({});
  EXPECT_TRUE(o.echoed);
  EXPECT_TRUE(o.info.vnet_header && o.info.checksum_offload && o.info.tso4);
  EXPECT_EQ(o.header, 12U);
}

// An interface keeps what its last user let the kernel hand over.
TEST_F(Device_tap_fallback, WithoutAVnetHeaderTheLastUsersOffloadsEnd) {
  ASSERT_TRUE(make_lasting(IFF_VNET_HDR, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6));
  const Outcome o = echo_over({.vnet_header = false});
  EXPECT_TRUE(o.echoed);
  EXPECT_EQ(o.header, 0U);
  EXPECT_GE(o.counters.rx_packets, kFullFrames);
}

}  // namespace
}  // namespace leat
