// The network layer as a whole: batches of any size give the same output, and no allocation may fail it.

#include <leat/core/ip/frame_headers.hpp>
#include <leat/offload/gso.hpp>
#include <random>
#include <tests/support/test_host.hpp>

namespace leat::test {
namespace {

constexpr Limits kManyInterfaces{.iface = {.interfaces = 40}};

TEST(Interfaces, AreAtMostSoManyWhateverTheStorageHolds) {
  BasicTestHost<kManyInterfaces> host;
  while (host.stack().add_interface({.link = LinkType::ip})) {
  }
  EXPECT_EQ(host.core().iface.interface_pool.used(), kMaxInterfaces);
  EXPECT_EQ(host.stack().add_interface({.link = LinkType::ip}).error(), Errc::no_memory);
  ASSERT_TRUE(host.stack().remove_interface(7));
  EXPECT_EQ(host.stack().add_interface({.link = LinkType::ip}).value(), 7);
}

// A mixture of what arrives on a link, much of it damaged.
std::vector<Bytes> traffic(unsigned seed, std::size_t n) {
  std::mt19937 rng(seed);
  std::vector<Bytes> frames;
  const auto address = [&] { return IpAddress::v4(10, 0, 0, static_cast<std::uint8_t>(rng() % 6)); };
  const auto address6 = [&] {
    return IpAddress::v6({0xfd00, 0, 0, 0, 0, 0, 0, static_cast<std::uint16_t>(rng() % 5)});
  };
  while (frames.size() < n) {
    const Ip h4{.source = address(), .destination = rng() % 4 == 0 ? address() : kUs};
    const Ip h6{.source = address6(), .destination = rng() % 4 == 0 ? address6() : kUs6};
    Bytes p;
    switch (rng() % 8) {
      case 0:
        p = echo_request(h4, 1, 1, pattern(rng() % 100));
        break;
      case 1:
        p = echo_request(h6, 1, 1, pattern(rng() % 100));
        break;
      case 2:
        p = udp_packet(h4, 1000, 50 + rng() % 8, pattern(rng() % 600));
        break;
      case 3:
        p = udp_packet(h6, 1000, 50 + rng() % 8, pattern(rng() % 600));
        break;
      case 4:
        p = tcp_packet(h4, {.to = static_cast<unsigned>(rng() % 100)});
        break;
      case 5:
        p = icmp_packet(h4, 3, static_cast<unsigned>(rng() % 16), 0, udp_packet(h4, 50, 60, {}));
        break;
      case 6: {
        wire::NeighborSolicitation ns{.target = kUs6, .options = {}};
        ns.options.source_mac = kPeerMac;
        p = ndp_packet({.source = address6(), .destination = kUs6.solicited_node()}, ns);
        break;
      }
      default: {
        const auto op = rng() % 2 == 0 ? wire::ArpOperation::request : wire::ArpOperation::reply;
        frames.push_back(ethernet(kOurMac, kPeerMac, arp({op, kPeerMac, address(), kOurMac, address()}), 0x0806));
        continue;
      }
    }
    if (rng() % 4 == 0 && !p.empty()) p[rng() % p.size()] ^= static_cast<std::uint8_t>(1U << (rng() % 8));
    if (rng() % 8 == 0) p.resize(rng() % (p.size() + 1));
    if (p.empty()) p.push_back(0x45);
    frames.push_back(ethernet(kOurMac, kPeerMac, p));
  }
  return frames;
}

// S4: a host is renumbered; the route through its gateway stays.
TEST(NetworkLayer, ARouteThroughAGatewayOutlivesTheAddressItCameWith) {
  TestHost host;
  ASSERT_TRUE(host.stack().add_route({.destination = {ip("0.0.0.0"), 0}, .gateway = ip("10.0.0.254")}));
  EXPECT_EQ(ip::find_path(host.core(), ip("8.8.8.8"), {}).value().source, kUs);
  ASSERT_TRUE(host.stack().remove_address(host.eth, kUs));
  ASSERT_TRUE(host.stack().add_address(host.eth, {ip("10.0.0.6"), 24}));
  EXPECT_EQ(ip::find_path(host.core(), ip("8.8.8.8"), {}).value().source, ip("10.0.0.6"));
}

TEST(NetworkLayer, BatchesOfOneAndOfManyGiveTheSameOutput) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  const auto frames = traffic(seed, 1024);
  std::vector<Bytes> output[2];
  for (const std::size_t size : {1U, 64U}) {
    TestHost host;
    const Handle s = host.stack().open_udp().value();
    ASSERT_TRUE(host.stack().bind(s, {IpAddress{}, Port{53}}));
    auto& all = output[size == 1 ? 0 : 1];
    for (std::size_t i = 0; i < frames.size(); i += 64) {
      for (std::size_t k = i; k < i + 64; k += size) {
        host.receive_batch({frames.begin() + static_cast<long>(k), frames.begin() + static_cast<long>(k + size)});
      }
      for (Bytes& f : host.sent()) all.push_back(std::move(f));
      host.advance(Duration::ms(200));
      for (Bytes& f : host.sent()) all.push_back(std::move(f));
    }
  }
  EXPECT_GT(output[0].size(), 50U);
  EXPECT_EQ(output[0], output[1]);
}

// What goes out with headers that were worked out once is bit for bit what send() makes for each packet.
TEST(NetworkLayer, PreparedHeadersAreThoseOfSend) {
  for (const LinkType link : {LinkType::ethernet, LinkType::ip}) {
    std::vector<Bytes> output[2];
    for (const bool prepared : {false, true}) {
      TestHost host({.link = link});
      if (link == LinkType::ethernet) host.resolve();
      (void)host.sent();
      Core& core = host.core();
      const auto path = ip::find_path(core, kPeer, kUs);
      ASSERT_TRUE(path);
      const ip::SendInfo info{
          .source = kUs, .destination = kPeer, .protocol = 6, .ttl = 61, .traffic_class = 0x2a, .dont_fragment = false};
      PacketBatch first;
      (void)ip::send(core, host.pool().allocate_for(20), info, *path, &first);  // the path learns its neighbour
      for (const std::uint32_t size : {20U, 32U, 1480U, 33U, 40'000U}) {
        PacketBatch out;
        ip::FrameHeaders headers;
        ip::prepare(core, info, *path, headers);
        ASSERT_NE(headers.length, 0U);
        Packet p = host.pool().allocate_for(size);
        ASSERT_TRUE(p);
        std::ranges::fill(p.append(size), std::uint8_t{7});
        p.meta().payload_offset = 20;
        if (size >= 40'000) p.meta().gso_size = 1000;
        if (prepared) {
          const std::uint32_t segments = wire_segments(p.meta());
          ip::write_headers(core, headers, p.fill_headroom(headers.length), size, segments);
          p.meta().l3_offset = headers.link;
          p.meta().l4_offset = headers.length;
          p.meta().interface = headers.interface;
          out.push(std::move(p));
        } else {
          (void)ip::send(core, std::move(p), info, *path, &out);
        }
        for (Packet& q : out) {
          Bytes bytes(q.size());
          q.copy_out(0, bytes);
          bytes.push_back(static_cast<std::uint8_t>(q.meta().l3_offset));
          bytes.push_back(static_cast<std::uint8_t>(q.meta().l4_offset));
          bytes.push_back(static_cast<std::uint8_t>(q.meta().interface));
          output[prepared ? 1 : 0].push_back(std::move(bytes));
        }
        host.advance(Duration::ms(7));
      }
    }
    EXPECT_EQ(output[0].size(), 5U);
    EXPECT_EQ(output[0], output[1]);
  }
}

TEST(NetworkLayer, HeadersAreNotPreparedWhereEachPacketIsAQuestion) {
  TestHost host;
  Core& core = host.core();
  const ip::SendInfo info{.source = kUs, .destination = kPeer, .protocol = 6};
  ip::FrameHeaders headers;
  ip::prepare(core, info, *ip::find_path(core, kPeer, kUs), headers);
  EXPECT_EQ(headers.length, 0U) << "nobody knows the neighbour yet";
  ip::prepare(core, {.source = kUs, .destination = kUs, .protocol = 6}, *ip::find_path(core, kUs, kUs), headers);
  EXPECT_EQ(headers.length, 0U) << "to ourselves";
  host.resolve();
  const auto path = *ip::find_path(core, kPeer, kUs);
  PacketBatch first;
  (void)ip::send(core, host.pool().allocate_for(20), info, path, &first);
  ip::prepare(core, info, path, headers);
  EXPECT_EQ(headers.length, 34U);
  ++core.route_epoch;
  ip::prepare(core, info, path, headers);
  EXPECT_EQ(headers.length, 0U) << "the path is stale";
}

TEST(NetworkLayer, EveryAllocationInTurnMayFail) {
  // The nth allocation and all after it fail, for every n, until the scenario passes untouched. Nothing leaks (the
  // host's end looks), nothing asserts, and with memory back the host answers.
  const auto frames = traffic(7, 60);
  bool untouched = false;
  for (std::uint64_t n = 1; !untouched && n < 2000; n += n < 100 ? 1 : 17) {
    TestHost host;
    const Handle s = host.stack().open_udp().value();
    ASSERT_TRUE(host.stack().connect(s, {kPeer, Port{9}}));
    std::vector<Packet> ready;
    for (const Bytes& f : frames) ready.push_back(host.packet(f));
    const std::uint64_t before = host.pool().exhausted();
    host.pool().fail_allocation(n, true);
    for (Packet& p : ready) {
      host.receive(std::move(p));
      (void)host.stack().try_send(s, Bytes(100));
    }
    host.advance(Duration::s(2));
    untouched = host.pool().exhausted() == before;
    host.pool().fail_allocation(0);
    (void)host.sent();
    host.resolve();
    (void)host.sent();
    host.receive_ip(echo_request({.source = kPeer, .destination = kUs}, 1, 1, {}));
    EXPECT_EQ(host.sent_one().icmp_type, 0U) << "after " << n;
  }
  EXPECT_TRUE(untouched);
}

TEST(NetworkLayer, OneAllocationMayFailWithoutHarmToTheNext) {
  const auto frames = traffic(8, 60);
  for (std::uint64_t n = 1; n < 150; ++n) {
    TestHost host;
    std::vector<Packet> ready;
    for (const Bytes& f : frames) ready.push_back(host.packet(f));
    host.pool().fail_allocation(n);
    for (Packet& p : ready) host.receive(std::move(p));
    host.pool().fail_allocation(0);
  }
}

}  // namespace
}  // namespace leat::test
