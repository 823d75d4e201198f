// The program of docs/channel.md, over two stacks on a pipe.

#include CHANNEL_PAGE

#include <gtest/gtest.h>

#include <leat/netstack/piped.hpp>
#include <leat/runtime/entropy.hpp>
#include <vector>

namespace {

constexpr Port kPort{7};

TEST(ChannelPage, ItsProgramRuns) {
  PipedPair stacks({}, seeded_entropy(1), seeded_entropy(2));
  const Channel here = stacks.channel(0);
  const Channel there = stacks.channel(1);
  const Endpoint server{piped_address(1), kPort};
  const std::vector<std::uint8_t> hello{'h', 'e', 'l', 'l', 'o'};
  std::vector<std::uint8_t> answer(10);

  EXPECT_EQ(ask(here, server, hello, answer).error(), Errc::connection_refused);
  const auto listener = TcpListener::listen(there, {{}, kPort}).value();
  EXPECT_EQ(ask(here, server, hello, answer).error(), Errc::timed_out) << "nobody answers";
  const auto asked = listener.accept().value();
  EXPECT_EQ(asked.recv(answer).value(), hello.size());
  EXPECT_EQ(asked.recv(answer).value(), 0U) << "it has closed";

  auto mine = TcpStream::connect(here, server).value();
  const auto theirs = listener.accept().value();
  EXPECT_TRUE(stacks.run(finish(std::move(mine))));
  EXPECT_EQ(theirs.recv(answer).value(), 0U);

  const auto bouncer = UdpSocket::bind(there, {{}, kPort}).value();
  const auto one = UdpSocket::bind(here, {}).value();
  const std::vector<OutDatagram> three(3, {hello, server});
  EXPECT_EQ(bounce(bouncer), 0U) << "nothing came";
  EXPECT_EQ(one.send_many(three).value(), 3U);
  std::size_t bounced = 0;
  while (bounced < 3) {
    const std::size_t n = bounce(bouncer);
    ASSERT_GT(n, 0U);
    bounced += n;
  }
  for (int i = 0; i < 3; ++i) {
    const auto got = one.recv_from(answer).value();
    EXPECT_EQ(got.count, hello.size());
    EXPECT_EQ(got.message.from, server);
  }
}

}  // namespace
