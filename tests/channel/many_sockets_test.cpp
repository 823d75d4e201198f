// A hundred thousand sockets in the channel's form: handles, so that nothing but the stack's own tables bounds them.

#include <gtest/gtest.h>

#include <array>
#include <leat/api/channel/tcp.hpp>
#include <leat/api/channel/udp.hpp>
#include <leat/runtime/shared_stack.hpp>
#include <vector>

namespace leat::channel {
namespace {

constexpr std::uint32_t kDatagrams = 96'000;
constexpr std::uint32_t kConnections = 2'000;  // each has two ends

// Places on our own 127/8, ten thousand to an address.
Endpoint place(std::uint32_t n) {
  return {IpAddress::v4(127, 0, 1, static_cast<std::uint8_t>(1 + n / 10'000)),
          Port{static_cast<std::uint16_t>(1'000 + n % 10'000)}};
}

TEST(ChannelManySockets, HundredThousandAreUsableAndLeaveNothing) {
  const auto stack =
      SharedStack::make({.limits = hosted_limits(kDatagrams), .packet_memory = std::size_t{32} << 20}).value();
  const auto sockets = [&] {
    std::uint32_t n = 0;
    EXPECT_TRUE(stack->with_owner([&n](Shard& shard) { n = shard.stack().core().sockets.used(); }));
    return n;
  };
  const Channel channel(stack);
  std::array<std::uint8_t, 4> got{};
  {
    std::vector<UdpSocket> udp;
    for (std::uint32_t i = 0; i < kDatagrams; ++i) udp.push_back(UdpSocket::bind(channel, place(i)).value());
    const TcpListener listener = TcpListener::listen(channel, {IpAddress{}, Port{7}}).value();
    std::vector<TcpStream> streams;
    for (std::uint32_t i = 0; i < kConnections; ++i) {
      streams.push_back(TcpStream::connect(channel, {IpAddress::v4(127, 0, 0, 1), Port{7}}).value());
      streams.push_back(listener.accept().value());
    }
    EXPECT_EQ(sockets(), 1 + kDatagrams + 2 * kConnections);

    for (std::uint32_t i = 0; i < kDatagrams; i += 300) {
      const UdpSocket& to = udp[kDatagrams - 1 - i];
      const std::array<std::uint8_t, 2> word{static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(i >> 8)};
      ASSERT_TRUE(udp[i].send_to(word, to.local_addr()));
      const auto r = to.recv_from(got);
      ASSERT_TRUE(r);
      ASSERT_EQ(r->message.from, udp[i].local_addr());
      ASSERT_EQ(r->count, 2U);
      ASSERT_EQ(got[0], word[0]);
      ASSERT_EQ(got[1], word[1]);
    }
    for (std::uint32_t i = 0; i + 1 < streams.size(); i += 200) {
      const std::array<std::uint8_t, 1> word{static_cast<std::uint8_t>(i)};
      ASSERT_TRUE(streams[i].send_all(word));
      ASSERT_EQ(streams[i + 1].recv(got).value(), 1U);
      ASSERT_EQ(got[0], word[0]);
    }
  }
  // Both ends of each connection have closed; their last segments go around.
  for (int turns = 0; turns < 10'000 && sockets() != 0; ++turns) {
    Op op;
    stack->run(op);
  }
  EXPECT_EQ(sockets(), 0U);
}

}  // namespace
}  // namespace leat::channel
