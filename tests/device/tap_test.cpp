// The TAP device against the kernel's stack: real packets, offloads in both directions, refusals. The test process
// makes a network namespace of its own (an ordinary user's stands in a user namespace), so that nothing outside is
// touched; it skips where it may not.

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <functional>
#include <leat/device/netlink_unsafe.hpp>
#include <leat/device/tap_unsafe.hpp>
#include <leat/device/wrap/fault_injector.hpp>
#include <leat/offload/checksum_completion.hpp>
#include <leat/offload/frames_test_support.hpp>
#include <leat/offload/gro.hpp>
#include <leat/offload/gso.hpp>
#include <leat/wire/arp.hpp>
#include <leat/wire/icmpv4.hpp>
#include <map>

#include "../support/own_network.hpp"

namespace leat {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)
using Clock = std::chrono::steady_clock;

const IpAddress kKernel = IpAddress::v4(10, 77, 0, 1);
const IpAddress kOurs = IpAddress::v4(10, 77, 0, 2);
const IpAddress kKernel6 = *IpAddress::parse("fd77::1");
const IpAddress kOurs6 = *IpAddress::parse("fd77::2");

// Why this machine can't run these tests; empty when it can. Enters a namespace of our own on the first call.
const OwnNetwork& own_network() {
  static const OwnNetwork network = [] {
    OwnNetwork n = enter_own_network();
    if (!n.why_not.empty()) return n;
    Memory m({.packets = 4, .chunks = {4, 4, 1}});
    TapProblem why;
    if (!Tap::open({.name = "probe%d"}, m.pool, &why)) n.why_not = why.cause;
    return n;
  }();
  return network;
}

sockaddr_storage socket_address(const IpAddress& a, std::uint16_t port, socklen_t& length) {
  sockaddr_storage s{};
  if (a.is_v4()) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, a.wire().data(), 4);
    std::memcpy(&s, &v4, sizeof v4);
    length = sizeof v4;
  } else {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, a.wire().data(), 16);
    std::memcpy(&s, &v6, sizeof v6);
    length = sizeof v6;
  }
  return s;
}

struct Device_tap : testing::Test {  // NOLINT(readability-identifier-naming): in tests' names
  Memory m{{.packets = 600, .chunks = {1200, 600, 24}}};
  PacketBatch batch;

  void SetUp() override {
    if (!own_network().why_not.empty()) GTEST_SKIP() << own_network().why_not;
  }

  Tap open(TapOptions options) {
    TapProblem why;
    if (options.name.empty()) options.name = "leat%d";
    auto tap = Tap::open(options, m.pool, &why);
    EXPECT_TRUE(tap) << why.cause << ": " << std::strerror(why.os_error);
    const std::string_view name = tap->info().name_view();
    EXPECT_TRUE(netlink::add_address(name, {kKernel, 24}));
    EXPECT_TRUE(netlink::add_address(name, {kKernel6, 64}));
    return std::move(*tap);
  }

  // Lets the device speak until `done` says so, or 30 seconds have passed: only what hangs takes that long. `handle`
  // gets every packet received.
  template <class Device>
  bool run(Device& device, const std::function<bool()>& done, const std::function<void(Packet&)>& handle) {
    const auto end = Clock::now() + std::chrono::seconds(30);
    for (;;) {
      if (done()) return true;
      if (Clock::now() > end) return false;
      PacketBatch in;
      const Instant now = Instant::from_ns(Clock::now().time_since_epoch().count());
      if (device.rx(in, now) == 0) {
        pollfd p{.fd = device.poll_fd(), .events = POLLIN, .revents = 0};
        ::poll(&p, 1, 5);
        continue;
      }
      for (Packet& packet : in) handle(packet);
    }
  }

  template <class Device>
  void send(Device& device, Packet&& p) {
    PacketBatch out;
    out.push(std::move(p));
    EXPECT_EQ(device.tx(out, Instant::from_ns(1)), 1U);
  }

  // Answers ARP requests and neighbour solicitations for our addresses the short way: true when it was one.
  bool resolve(Tap& tap, Packet& p) {
    if (tap.caps().link != LinkType::ethernet) return false;
    const Bytes frame = contents(p);
    if (frame.size() < 42 || load_be16(&frame[12]) != 0x0806) return false;
    const auto arp = wire::ArpView::parse(ByteSpan{frame}.subspan(14));
    if (!arp || arp->operation() != wire::ArpOperation::request || arp->target_ip() != kOurs) return true;
    Bytes reply(42);
    const wire::EthernetHeader ethernet{arp->sender_mac(), tap.caps().mac, wire::EtherType::arp};
    EXPECT_EQ(ethernet.emit(reply), 14U);
    const wire::ArpHeader answer{wire::ArpOperation::reply, tap.caps().mac, kOurs, arp->sender_mac(), arp->sender_ip()};
    EXPECT_EQ(answer.emit(MutableByteSpan{reply}.subspan(14)), 28U);
    send(tap, packet_of(m.pool, reply));
    return true;
  }
};

// ---------------------------------------------------------------- opening

TEST_F(Device_tap, OpensWithAllOffloadsAndSaysSo) {
  Tap tap = open({.mtu = 1400});
  const TapInfo& info = tap.info();
  EXPECT_TRUE(info.vnet_header);
  EXPECT_TRUE(info.checksum_offload && info.tso4 && info.tso6 && info.tso_ecn);
  EXPECT_FALSE(info.multi_queue);
  EXPECT_TRUE(info.mtu_set && info.up);
  EXPECT_FALSE(info.kernel_mac.is_zero());
  const DeviceCaps c = tap.caps();
  EXPECT_EQ(c.mtu, 1400U);
  EXPECT_EQ(c.max_gso, 65535U);
  EXPECT_TRUE(c.tx_checksum && c.rx_checksum && c.rx_merges && c.gather);
  EXPECT_NE(c.mac, info.kernel_mac);
  EXPECT_FALSE(c.mac.is_multicast());
  EXPECT_EQ(*netlink::get_mtu(info.name_view()), 1400U);
  EXPECT_TRUE(info.queue_set);
  EXPECT_EQ(*netlink::get_queue_length(info.name_view()), 4096U);
  EXPECT_EQ(*netlink::get_mac(info.name_view()), info.kernel_mac);
}

TEST_F(Device_tap, FallsBackCleanlyWithoutEachPiece) {
  {
    Tap plain = open({.vnet_header = false});
    EXPECT_FALSE(plain.info().vnet_header || plain.info().checksum_offload || plain.info().tso4);
    EXPECT_EQ(plain.caps().max_gso, 0U);
    EXPECT_FALSE(plain.caps().tx_checksum);
  }
  {
    Tap no_gso = open({.gso = false});
    EXPECT_TRUE(no_gso.info().checksum_offload);
    EXPECT_FALSE(no_gso.info().tso4);
    EXPECT_FALSE(no_gso.caps().rx_merges);
    EXPECT_EQ(no_gso.caps().max_gso, 0U);
  }
  Memory no_large({.packets = 64, .chunks = {64, 64, 0}});
  auto small = Tap::open({.name = "leat%d"}, no_large.pool);
  ASSERT_TRUE(small);
  EXPECT_FALSE(small->info().tso4);  // nowhere to put super-segments
  EXPECT_EQ(small->caps().max_gso, 65535U);
}

TEST_F(Device_tap, ErrorsSayTheirCause) {
  TapProblem why;
  Tap first = open({.name = "leatbusy"});
  auto again = Tap::open({.name = "leatbusy"}, m.pool, &why);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error(), Errc::address_in_use);
  EXPECT_NE(why.cause.find("in use"), std::string_view::npos);

  auto other_kind = Tap::open({.name = "leatbusy", .link = LinkType::ip}, m.pool, &why);
  ASSERT_FALSE(other_kind);
  EXPECT_EQ(other_kind.error(), Errc::already_exists) << why.cause;

  auto loopback = Tap::open({.name = "lo"}, m.pool, &why);
  ASSERT_FALSE(loopback);
  EXPECT_EQ(loopback.error(), Errc::already_exists) << why.cause;

  auto long_name = Tap::open({.name = "sixteen_letters_"}, m.pool, &why);
  ASSERT_FALSE(long_name);
  EXPECT_EQ(long_name.error(), Errc::invalid_argument);
  EXPECT_FALSE(why.fix.empty());

  auto slash = Tap::open({.name = "a/b"}, m.pool, &why);
  ASSERT_FALSE(slash);
  EXPECT_EQ(slash.error(), Errc::invalid_argument) << why.cause;

  auto mtu = Tap::open({.mtu = 70000}, m.pool, &why);
  ASSERT_FALSE(mtu);
  EXPECT_EQ(mtu.error(), Errc::invalid_argument);

  Memory tiny({.packets = 4, .chunks = {4, 1, 0}});
  auto no_room = Tap::open({.name = "leat%d", .mtu = 9000}, tiny.pool, &why);
  ASSERT_FALSE(no_room);
  EXPECT_EQ(no_room.error(), Errc::invalid_argument);
  EXPECT_NE(why.cause.find("pool"), std::string_view::npos);
}

// Runs `f` in a child process; true when it returns true.
bool in_child(const std::function<bool()>& f) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(f() ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST_F(Device_tap, SaysWhenPermissionOrTheNodeIsMissing) {
  const auto refused = [&] {
    TapProblem why;
    const auto tap = Tap::open({.name = "leat%d"}, m.pool, &why);
    return !tap && tap.error() == Errc::permission_denied && why.cause.find("permission") != std::string_view::npos;
  };
  // The node is open to us, and the network not ours: a user namespace of one's own has no power over it.
  EXPECT_TRUE(in_child([&] { return ::unshare(CLONE_NEWUSER) != 0 || refused(); }));
  if (!own_network().ordinary_user) {  // who has no other user can't become one
    EXPECT_TRUE(in_child([&] { return ::setgid(65534) == 0 && ::setuid(65534) == 0 && refused(); }));
  }
  EXPECT_TRUE(in_child([&] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
    if (::mount("none", "/dev/net", "tmpfs", 0, nullptr) != 0) return false;
    TapProblem why;
    const auto tap = Tap::open({.name = "leat%d"}, m.pool, &why);
    return !tap && tap.error() == Errc::not_found && why.fix.find("mknod") != std::string_view::npos;
  }));
}

TEST_F(Device_tap, OpensFurtherQueuesWhenAsked) {
  Tap first = open({.multi_queue = true});
  EXPECT_TRUE(first.info().multi_queue);
  auto second = first.open_queue(m.pool);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->info().name_view(), first.info().name_view());
  EXPECT_EQ(second->caps().mac, first.caps().mac);
  EXPECT_NE(second->poll_fd(), first.poll_fd());
  // Both can be written.
  for (Tap* queue : {&first, &*second}) {
    send(*queue, packet_of(m.pool, Bytes(60, 0)));
    EXPECT_EQ(queue->counters().tx_packets, 1U);
  }
  Tap single = open({});
  EXPECT_EQ(single.open_queue(m.pool).error(), Errc::not_supported);
}

TEST_F(Device_tap, KernelSideConfigurationReportsItsErrors) {
  Tap tap = open({});
  const std::string_view name = tap.info().name_view();
  EXPECT_EQ(netlink::add_address(name, {kKernel, 24}).error(), Errc::already_exists);
  EXPECT_EQ(netlink::add_address("nosuch0", {kKernel, 24}).error(), Errc::not_found);
  EXPECT_EQ(netlink::link_up("nosuch0").error(), Errc::not_found);
  EXPECT_EQ(netlink::set_mtu(name, 10).error(), Errc::invalid_argument);
  EXPECT_TRUE(netlink::add_route(name, {IpAddress::v4(10, 99, 0, 0), 16}, kOurs));
  EXPECT_EQ(netlink::add_route(name, {IpAddress::v4(10, 99, 0, 0), 16}, kOurs).error(), Errc::already_exists);
  EXPECT_TRUE(netlink::add_route(name, {*IpAddress::parse("fd99::"), 32}));
  EXPECT_EQ(netlink::add_route(name, {IpAddress::v4(10, 98, 0, 0), 16}, IpAddress::v4(9, 9, 9, 9)).error(),
            Errc::network_unreachable);
}

TEST_F(Device_tap, AnInterfaceThatIsDownOrGoneIsCountedAndNeverFatal) {
  Tap tap = open({});
  const std::string name(tap.info().name_view());
  ASSERT_TRUE(netlink::link_down(name));
  send(tap, packet_of(m.pool, Bytes(60, 0)));
  EXPECT_EQ(tap.counters().tx_dropped, 1U);
  EXPECT_EQ(tap.last_error(), EIO);
  EXPECT_FALSE(tap.gone());
  ASSERT_TRUE(netlink::link_up(name));
  send(tap, packet_of(m.pool, Bytes(60, 0)));
  EXPECT_EQ(tap.counters().tx_packets, 1U);
  ASSERT_TRUE(netlink::delete_link(name));
  send(tap, packet_of(m.pool, Bytes(60, 0)));
  EXPECT_EQ(tap.counters().tx_dropped, 2U);
  EXPECT_EQ(tap.rx(batch, Instant{}), 0U);
}

// The kernel calls its descriptor ready for ever: a program that waits for packets would burn a processor.
TEST_F(Device_tap, NobodyIsWokenForAnInterfaceThatIsGone) {
  for (const bool reads : {true, false}) {
    Tap tap = open({});
    const int fd = tap.poll_fd();
    ASSERT_TRUE(netlink::delete_link(tap.info().name_view()));
    if (reads) {
      EXPECT_EQ(tap.rx(batch, Instant{}), 0U);
    } else {
      send(tap, packet_of(m.pool, Bytes(60, 0)));
    }
    EXPECT_EQ(tap.last_error(), EBADFD);
    EXPECT_TRUE(tap.gone());
    EXPECT_EQ(tap.poll_fd(), fd) << "nobody else gets the number";
    pollfd p{.fd = fd, .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&p, 1, 0), 0);
    send(tap, packet_of(m.pool, Bytes(60, 0)));
    EXPECT_EQ(tap.rx(batch, Instant{}), 0U);
    EXPECT_EQ(tap.counters().tx_dropped, reads ? 1U : 2U);
    EXPECT_EQ(::poll(&p, 1, 0), 0);
  }
}

// ---------------------------------------------------------------- packets

TEST_F(Device_tap, AnswersAPingOfTheKernelOnTapAndOnTun) {
  for (const LinkType link : {LinkType::ethernet, LinkType::ip}) {
    Tap tap = open({.link = link});
    const Descriptor ping(::socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMP));
    if (!ping) GTEST_SKIP() << "no permission for a raw socket";
    Bytes echo = numbers(100);
    std::fill_n(echo.begin(), 8, std::uint8_t{0});
    echo[0] = 8;
    store_be16(&echo[4], 321);
    store_be16(&echo[2], slow_checksum(echo));
    socklen_t length = 0;
    const sockaddr_storage to = socket_address(kOurs, 0, length);
    ASSERT_GT(::sendto(ping.get(), echo.data(), echo.size(), 0, reinterpret_cast<const sockaddr*>(&to), length), 0);
    Bytes reply(200);
    ssize_t got = -1;
    EXPECT_TRUE(run(
        tap,
        [&] {
          got = ::recv(ping.get(), reply.data(), reply.size(), 0);
          return got > 0 && reply[20] == 0;
        },
        [&](Packet& p) {
          if (resolve(tap, p)) return;
          Bytes frame = contents(p);
          const std::size_t l3 = link_header_length(link);
          if (frame.size() < l3 + 28 || frame[l3] != 0x45 || frame[l3 + 9] != 1 || frame[l3 + 20] != 8) return;
          if (l3 > 0) std::swap_ranges(frame.begin(), frame.begin() + 6, frame.begin() + 6);
          std::swap_ranges(frame.begin() + static_cast<std::ptrdiff_t>(l3) + 12,
                           frame.begin() + static_cast<std::ptrdiff_t>(l3) + 16,
                           frame.begin() + static_cast<std::ptrdiff_t>(l3) + 16);
          frame[l3 + 20] = 0;
          store_be16(&frame[l3 + 22], checksum_update(load_be16(&frame[l3 + 22]), 0x0800, 0));
          send(tap, packet_of(m.pool, frame));
        }));
    ASSERT_EQ(got, 120);
    EXPECT_TRUE(std::equal(echo.begin() + 8, echo.end(), reply.begin() + 28));
    EXPECT_GT(tap.counters().rx_packets, 0U);
  }
}

// Swaps the sides of a received IP packet's addresses and ports, in place, in the bytes of a TUN packet.
void reverse(Bytes& ip) {
  const bool v6 = (ip[0] >> 4) == 6;
  const std::ptrdiff_t a = v6 ? 8 : 12;
  const std::ptrdiff_t n = v6 ? 16 : 4;
  std::swap_ranges(ip.begin() + a, ip.begin() + a + n, ip.begin() + a + n);
  const std::ptrdiff_t l4 = v6 ? 40 : 20;
  std::swap_ranges(ip.begin() + l4, ip.begin() + l4 + 2, ip.begin() + l4 + 2);
}

TEST_F(Device_tap, ChecksumsAreLeftUnfinishedBothWays) {
  for (const bool v6 : {false, true}) {
    Tap tap = open({.link = LinkType::ip});
    const Descriptor udp(::socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    socklen_t length = 0;
    const sockaddr_storage to = socket_address(v6 ? kOurs6 : kOurs, 7777, length);
    const Bytes hello = numbers(333);
    ASSERT_EQ(::sendto(udp.get(), hello.data(), hello.size(), 0, reinterpret_cast<const sockaddr*>(&to), length), 333);
    Bytes received(1000);
    int answers = 0;
    bool sent_bad = false;
    EXPECT_TRUE(run(
        tap,
        [&] {
          const ssize_t got = ::recv(udp.get(), received.data(), received.size(), 0);
          if (got > 0) {
            EXPECT_EQ(Bytes(received.begin(), received.begin() + got), hello);
            ++answers;
          }
          return answers == 2 && sent_bad;
        },
        [&](Packet& p) {
          const PacketLayers layers = packet_layers(p, LinkType::ip);
          if (layers.kind != PacketLayers::Kind::udp || p.size() != layers.payload + hello.size()) return;
          EXPECT_EQ(p.meta().checksum, ChecksumState::to_fill);
          // The kernel keeps the same promise as we do: the field holds the folded sum of the pseudo-header.
          const std::uint16_t field = load_be16(p.head().data() + layers.l4 + 6);
          EXPECT_EQ(field, pseudo_header_sum_at(p.head().data(), layers.version, 17, layers.l4_length()));
          Bytes reply = contents(p);
          reverse(reply);  // the pseudo-header's sum stays
          // Once unfinished, once completed by us: both must arrive. And one that is wrong must not.
          Packet unfinished = packet_of(m.pool, reply);
          unfinished.meta().checksum = ChecksumState::to_fill;
          Packet whole = packet_of(m.pool, reply);
          whole.meta().checksum = ChecksumState::to_fill;
          EXPECT_TRUE(complete_checksum(whole, LinkType::ip));
          Packet bad = packet_of(m.pool, contents(whole));
          bad.writable_head()[layers.payload] ^= 1;
          send(tap, std::move(bad));
          sent_bad = true;
          send(tap, std::move(unfinished));
          send(tap, std::move(whole));
        }));
    EXPECT_EQ(answers, 2) << (v6 ? "IPv6" : "IPv4") << ", received " << tap.counters().rx_packets << ", dropped "
                          << tap.counters().rx_dropped << ", sent " << tap.counters().tx_packets;
  }
}

// Copied together where it is small, as a list where it is not: the kernel gets the same bytes.
TEST_F(Device_tap, APacketInPiecesIsOneFrame) {
  for (const bool vnet : {true, false})
    for (const std::size_t size : {333U, 1990U, 5000U}) {
      Tap tap = open({.link = LinkType::ip, .mtu = 9000, .vnet_header = vnet});
      const Descriptor udp(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      socklen_t length = 0;
      const sockaddr_storage to = socket_address(kOurs, 7777, length);
      const Bytes hello = numbers(size);
      ASSERT_EQ(::sendto(udp.get(), hello.data(), size, 0, reinterpret_cast<const sockaddr*>(&to), length),
                static_cast<ssize_t>(size));
      Bytes received(10'000);
      EXPECT_TRUE(run(
          tap,
          [&] {
            const ssize_t got = ::recv(udp.get(), received.data(), received.size(), 0);
            if (got > 0) received.resize(static_cast<std::size_t>(got));
            return got > 0;
          },
          [&](Packet& p) {
            const PacketLayers layers = packet_layers(p, LinkType::ip);
            if (layers.kind != PacketLayers::Kind::udp || p.size() != layers.payload + size) return;
            Bytes reply = contents(p);
            reverse(reply);
            const bool unfinished = p.meta().checksum == ChecksumState::to_fill;
            constexpr std::size_t kHead = 40, kPiece = 700;
            Packet pieces = packet_of(m.pool, Bytes(reply.begin(), reply.begin() + kHead));
            for (std::size_t at = kHead; at < reply.size(); at += kPiece) {
              const std::size_t n = std::min(kPiece, reply.size() - at);
              const ChunkRef chunk = m.pool.take_chunk(ChunkClass::normal);
              std::memcpy(m.pool.data(chunk), &reply[at], n);
              EXPECT_TRUE(pieces.add_fragment(chunk, 0, static_cast<std::uint32_t>(n)));
              m.pool.drop_ref(chunk);
            }
            if (unfinished) pieces.meta().checksum = ChecksumState::to_fill;
            send(tap, std::move(pieces));
          }));
      EXPECT_EQ(received, hello) << size << (vnet ? " bytes with vnet header" : " bytes");
    }
}

// Just enough of TCP to shake hands with the kernel and take or give bytes: the peer that has no stack. TUN only.
struct MiniTcp {
  Memory& memory;
  bool v6;
  std::uint32_t seq = 5000;
  std::uint32_t ack = 0;
  std::uint16_t port = 0;  // the kernel's
  bool established = false;
  std::map<std::uint32_t, Bytes> data{};  // by offset
  std::uint32_t first = 0;
  std::size_t largest = 0;
  std::uint16_t largest_gso = 0;
  std::uint32_t acknowledged = 0;  // of ours, by the kernel

  Packet segment(wire::TcpFlags flags, const Bytes& payload, std::uint16_t gso_size = 0) const {
    FrameSpec s{.link = LinkType::ip, .v6 = v6};
    s.source_port = 80;
    s.destination_port = port;
    s.seq = seq;
    s.ack = ack;
    s.flags = flags;
    s.window = 65535;
    s.timestamps = false;
    s.payload = payload;
    if (flags.syn()) s.options = {2, 4, 5, 180, 1, 3, 3, 4};  // mss 1460, window scale 4
    Bytes bytes = make_frame(s);
    // Our test addresses instead of the helper's; checksum left to the kernel.
    const ByteSpan from = (v6 ? kOurs6 : kOurs).wire();
    const ByteSpan to = (v6 ? kKernel6 : kKernel).wire();
    std::copy(from.begin(), from.end(), bytes.begin() + (v6 ? 8 : 12));
    std::copy(to.begin(), to.end(), bytes.begin() + (v6 ? 24 : 16));
    const std::size_t l4 = v6 ? 40 : 20;
    if (!v6) {
      store_be16(&bytes[10], 0);
      store_be16(&bytes[10], checksum_finish(wire::Ipv4Header::header_sum(ByteSpan{bytes}.first(20))));
    }
    store_be16(&bytes[l4 + 16],
               static_cast<std::uint16_t>(pseudo_header_sum_at(bytes.data(), v6 ? IpVersion::v6 : IpVersion::v4, 6,
                                                               static_cast<std::uint32_t>(bytes.size() - l4))));
    Packet p = packet_of(memory.pool, bytes);
    PacketMeta& m = p.meta();
    m.checksum = ChecksumState::to_fill;
    m.l4_offset = static_cast<std::uint16_t>(l4);
    m.payload_offset = static_cast<std::uint16_t>(bytes.size() - payload.size());
    m.gso_size = gso_size;
    m.gso_type = gso_size == 0 ? GsoType::none : (v6 ? GsoType::tcp_v6 : GsoType::tcp_v4);
    return p;
  }

  // What to answer; empty for nothing.
  Packet input(const Packet& p) {
    const PacketLayers layers = packet_layers(p, LinkType::ip);
    if (layers.kind != PacketLayers::Kind::tcp) return {};
    const auto tcp = wire::TcpView::parse(p.head().subspan(layers.l4), layers.l4_length());
    if (!tcp || (tcp->source_port().value() != port && !tcp->flags().syn())) return {};  // of an earlier test's socket
    acknowledged = tcp->ack().value();
    if (tcp->flags().syn()) {
      port = tcp->source_port().value();
      ack = tcp->seq().value() + 1;
      first = ack;
      Packet reply = segment(wire::TcpFlag::syn | wire::TcpFlag::ack, {});
      ++seq;
      return reply;
    }
    established = true;
    const std::size_t n = layers.end - layers.payload;
    if (n == 0) return {};
    largest = std::max(largest, n);
    largest_gso = std::max(largest_gso, p.meta().gso_size);
    Bytes payload = contents(p);
    data[tcp->seq().value() - first] = Bytes(payload.begin() + layers.payload, payload.end());
    if (tcp->seq().value() == ack) ack += static_cast<std::uint32_t>(n);
    return segment(wire::TcpFlag::ack, {});
  }
  [[nodiscard]] Bytes received() const {
    Bytes all;
    for (const auto& [offset, bytes] : data) {
      if (offset < all.size()) continue;  // sent again
      if (offset > all.size()) break;
      all.insert(all.end(), bytes.begin(), bytes.end());
    }
    return all;
  }
};

struct Stream {
  Descriptor socket;
  explicit Stream(bool v6) : socket(::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    socklen_t length = 0;
    const sockaddr_storage to = socket_address(v6 ? kOurs6 : kOurs, 80, length);
    const int big = 1 << 20;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &big, sizeof big);
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &big, sizeof big);
    ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), length);
  }
};

TEST_F(Device_tap, TheKernelsSuperSegmentsArriveWhole) {
  for (const bool v6 : {false, true}) {
    Tap tap = open({.link = LinkType::ip});
    const std::uint32_t large_before = m.pool.chunks_free(ChunkClass::large);
    MiniTcp peer{m, v6};
    Stream stream(v6);
    const Bytes text = numbers(200'000);
    std::size_t written = 0;
    bool only_super_segments_use_large_chunks = true;
    EXPECT_TRUE(run(
        tap,
        [&] {
          if (peer.established && written < text.size()) {
            const ssize_t n = ::send(stream.socket.get(), &text[written], text.size() - written, MSG_NOSIGNAL);
            if (n > 0) written += static_cast<std::size_t>(n);
          }
          return peer.received().size() == text.size();
        },
        [&](Packet& p) {
          const bool large = chunk_class(p.meta().chunk) == ChunkClass::large;
          if (large != (p.size() > 1920)) only_super_segments_use_large_chunks = false;
          if (Packet reply = peer.input(p)) send(tap, std::move(reply));
        }));
    EXPECT_EQ(peer.received(), text);
    EXPECT_GT(peer.largest, 10'000U);
    EXPECT_EQ(peer.largest_gso, v6 ? 1440 : 1460);
    EXPECT_TRUE(only_super_segments_use_large_chunks);
    EXPECT_GE(m.pool.chunks_free(ChunkClass::large) + 1, large_before);  // one waits for the next read
  }
}

TEST_F(Device_tap, OurSuperSegmentsReachTheKernelsSocket) {
  for (const bool v6 : {false, true}) {
    for (const bool filled : {false, true}) {
      Tap tap = open({.link = LinkType::ip});
      MiniTcp peer{m, v6};
      Stream stream(v6);
      const Bytes text = numbers(180'000);
      std::size_t sent = 0;
      Bytes got;
      EXPECT_TRUE(run(
          tap,
          [&] {
            // One super-segment at a time, the next when the kernel acknowledged the one before.
            if (peer.established && peer.acknowledged == peer.seq && sent < text.size()) {
              const std::size_t n = std::min<std::size_t>(30'000, text.size() - sent);
              Packet p = peer.segment(wire::TcpFlag::ack | wire::TcpFlag::psh,
                                      Bytes(text.begin() + static_cast<std::ptrdiff_t>(sent),
                                            text.begin() + static_cast<std::ptrdiff_t>(sent + n)),
                                      1400);
              if (!filled) p.meta().checksum = ChecksumState::none;  // then the device writes what the kernel needs
              send(tap, std::move(p));
              peer.seq += static_cast<std::uint32_t>(n);
              sent += n;
            }
            Bytes part(65536);
            const ssize_t n = ::recv(stream.socket.get(), part.data(), part.size(), 0);
            if (n > 0) got.insert(got.end(), part.begin(), part.begin() + n);
            return got.size() == text.size();
          },
          [&](Packet& p) {
            if (Packet reply = peer.input(p)) send(tap, std::move(reply));
          }));
      EXPECT_EQ(got, text);
      EXPECT_EQ(tap.counters().tx_dropped, 0U);
    }
  }
}

TEST_F(Device_tap, SoftwareOffloadGivesTheKernelTheSameBytesWithoutAVnetHeader) {
  Tap tap = open({.link = LinkType::ip, .vnet_header = false});
  MiniTcp peer{m, false};
  Stream stream(false);
  const Bytes text = numbers(100'000);
  std::size_t sent = 0;
  Bytes got;
  EXPECT_TRUE(run(
      tap,
      [&] {
        if (peer.established && peer.acknowledged == peer.seq && sent < text.size()) {
          const std::size_t n = std::min<std::size_t>(30'000, text.size() - sent);
          Packet p = peer.segment(wire::TcpFlag::ack | wire::TcpFlag::psh,
                                  Bytes(text.begin() + static_cast<std::ptrdiff_t>(sent),
                                        text.begin() + static_cast<std::ptrdiff_t>(sent + n)),
                                  1400);
          GsoSplitter gso;
          EXPECT_TRUE(gso.begin(std::move(p), {}));
          PacketBatch frames;
          EXPECT_EQ(gso.run(frames), GsoSplitter::Progress::done);
          tap.tx(frames, Instant{});
          EXPECT_TRUE(frames.empty());
          peer.seq += static_cast<std::uint32_t>(n);
          sent += n;
        }
        Bytes part(65536);
        const ssize_t n = ::recv(stream.socket.get(), part.data(), part.size(), 0);
        if (n > 0) got.insert(got.end(), part.begin(), part.begin() + n);
        return got.size() == text.size();
      },
      [&](Packet& p) {
        EXPECT_LE(p.size(), 1500U);
        if (Packet reply = peer.input(p)) {
          EXPECT_TRUE(complete_checksum(reply, LinkType::ip));
          send(tap, std::move(reply));
        }
      }));
  EXPECT_EQ(got, text);
}

TEST_F(Device_tap, FaultInjectorSeesMtuSizedFramesOfTheKernelsSuperSegments) {
  Tap tap = open({.link = LinkType::ip});
  DeviceRef<Tap> ref(tap);
  std::vector<DelaySlot> tx_slots(1024);
  std::vector<DelaySlot> rx_slots(1024);
  FaultInjector wrapped(ref, {}, tx_slots, rx_slots);
  MiniTcp peer{m, false};
  Stream stream(false);
  const Bytes text = numbers(100'000);
  std::size_t written = 0;
  EXPECT_TRUE(run(
      wrapped,
      [&] {
        if (peer.established && written < text.size()) {
          const ssize_t n = ::send(stream.socket.get(), &text[written], text.size() - written, MSG_NOSIGNAL);
          if (n > 0) written += static_cast<std::size_t>(n);
        }
        return peer.received().size() == text.size();
      },
      [&](Packet& p) {
        EXPECT_LE(p.size(), 1500U);
        EXPECT_NE(verify_checksum(p, LinkType::ip), ChecksumVerdict::bad);
        if (Packet reply = peer.input(p)) {
          EXPECT_TRUE(complete_checksum(reply, LinkType::ip));
          send(wrapped, std::move(reply));
        }
      }));
  EXPECT_EQ(peer.received(), text);
  EXPECT_GT(wrapped.counters().rx_packets, tap.counters().rx_packets);  // they were cut
}

TEST_F(Device_tap, ABurstOfTheKernelWaitsUntilItIsRead) {
  const auto received_of = [this](std::uint32_t queue_packets, int burst) {
    Tap tap = open({.link = LinkType::ip, .queue_packets = queue_packets});
    const Descriptor udp(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    socklen_t length = 0;
    const sockaddr_storage to = socket_address(kOurs, 7777, length);
    for (int i = 0; i < burst; ++i)
      EXPECT_EQ(::sendto(udp.get(), &i, sizeof i, 0, reinterpret_cast<const sockaddr*>(&to), length), 4);
    int received = 0;
    for (;;) {
      PacketBatch in;
      if (tap.rx(in, Instant{}) == 0) return received;
      for (const Packet& p : in) received += packet_layers(p, LinkType::ip).kind == PacketLayers::Kind::udp ? 1 : 0;
    }
  };
  EXPECT_EQ(received_of(4096, 3000), 3000);
  EXPECT_LT(received_of(0, 3000), 3000);  // the kernel's own choice
}

TEST_F(Device_tap, WithoutLargeChunksFramesStillArriveAndAcksGetInLast) {
  Memory tight({.packets = 64, .chunks = {32, 24, 1}, .reserve = 8});
  auto tap = Tap::open({.name = "leat%d", .link = LinkType::ip, .mtu = 9000}, tight.pool);
  ASSERT_TRUE(tap);
  ASSERT_TRUE(netlink::add_address(tap->info().name_view(), {kKernel, 24}));
  const Descriptor udp(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  socklen_t length = 0;
  const sockaddr_storage to = socket_address(kOurs, 7777, length);
  std::vector<Packet> hoard;
  bool keep = false;  // what is received, as a slow reader does
  const auto datagram = [&](std::size_t n) {
    const Bytes bytes = numbers(n);
    EXPECT_EQ(::sendto(udp.get(), bytes.data(), n, 0, reinterpret_cast<const sockaddr*>(&to), length),
              static_cast<ssize_t>(n));
    PacketBatch in;
    tap->rx(in, Instant{});
    std::size_t got = 0;
    for (const Packet& p : in) {
      const PacketLayers layers = packet_layers(p, LinkType::ip);
      if (layers.kind != PacketLayers::Kind::udp || p.size() < layers.payload + n) continue;
      const Bytes all = contents(p);
      EXPECT_EQ(Bytes(all.begin() + layers.payload, all.end()), bytes);
      got = n;
    }
    if (keep) std::ranges::move(in, std::back_inserter(hoard));
    return got;
  };
  EXPECT_EQ(datagram(8000), 8000U);
  // The reader keeps what it got, the only large chunk with it: 2 KiB ones take its place.
  keep = true;
  EXPECT_EQ(datagram(8000), 8000U);
  EXPECT_EQ(tight.pool.chunks_free(ChunkClass::large), 0U);
  EXPECT_EQ(datagram(8000), 8000U);
  while (tight.pool.chunks_free(ChunkClass::normal) > 0) hoard.push_back(tight.pool.allocate(ChunkClass::normal));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(datagram(60), 60U) << i;  // small ones get in with the control reserve
  hoard.clear();
  keep = false;
  EXPECT_EQ(datagram(8000), 8000U);
}

}  // namespace
}  // namespace leat
