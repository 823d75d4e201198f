// The shared stack with real threads. Two stacks are joined by a wire in memory; everything is real time, so tests wait
// for what must happen and never for time to pass, but where a retransmission is the point.

#include <leat/runtime/linked_stacks_test_support.hpp>

namespace leat::test {
namespace {

constexpr std::uint16_t kPort = 7;
const Endpoint kServer{LinkedStacks::address(1), Port{kPort}};

void echo_until_end(Service& s, Handle h) {
  std::array<std::uint8_t, 4096> data;
  for (;;) {
    const auto got = receive_some(s, h, data);
    if (!got || got->count == 0) break;
    if (!send_all(s, h, {data.data(), got->count})) break;
  }
  close_socket(s, h);
}

// Sends `rounds` requests and checks the replies. The bytes tell connections apart.
void request_replies(Service& s, const Endpoint& server, unsigned id, unsigned rounds, std::size_t size) {
  const Handle h = open_stream(s);
  ASSERT_EQ(connect_to(s, h, server), Errc{});
  std::vector<std::uint8_t> request(size), reply(size);
  for (unsigned r = 0; r < rounds; ++r) {
    for (std::size_t i = 0; i < size; ++i) request[i] = static_cast<std::uint8_t>(id * 31 + r * 7 + i);
    ASSERT_TRUE(send_all(s, h, request));
    Op op;
    op.receive(h, reply);
    op.flags.wait_all = true;
    s.run(op);
    ASSERT_EQ(op.error, Errc{});
    ASSERT_EQ(op.count, size);
    ASSERT_EQ(request, reply);
  }
  close_socket(s, h);
}

class SharedThreads : public ::testing::TestWithParam<WaitPolicy> {};

TEST_P(SharedThreads, EchoByManyThreadsOnBothSides) {
  LinkedStacks net({.wait = GetParam()});
  constexpr unsigned kThreads = 4;
  const Handle listener = listen_on(*net.stack[1], {{}, Port{kPort}});
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      const auto h = accept_one(*net.stack[1], listener);
      ASSERT_TRUE(h);
      echo_until_end(*net.stack[1], *h);
    });
    threads.emplace_back([&, t] { request_replies(*net.stack[0], kServer, t, 200, 100 + t * 700); });
  }
  for (auto& t : threads) t.join();
  close_socket(*net.stack[1], listener);
}

INSTANTIATE_TEST_SUITE_P(Waits, SharedThreads,
                         ::testing::Values(WaitPolicy::sleeping(), WaitPolicy::adaptive(), WaitPolicy::spinning()));

}  // namespace
}  // namespace leat::test
