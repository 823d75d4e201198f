// Somebody deletes the interface under a shared stack whose threads wait for it: nobody turns in circles, and the stack
// goes on with the next interface. In a namespace of its own; it skips where it may not.

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <leat/api/posix/sockets.hpp>
#include <leat/device/netlink_unsafe.hpp>
#include <leat/runtime/shard_token.hpp>
#include <leat/runtime/shared_stack.hpp>
#include <string>
#include <thread>
#include <vector>

#include "../support/own_network.hpp"

namespace leat {
namespace {

constexpr std::string_view kName = "leat0";
constexpr std::string_view kKernel = "10.80.0.1/24";
constexpr std::string_view kOurs = "10.80.0.2/24";
constexpr std::uint16_t kPort = 7;

sockaddr_in server_address() {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(kPort);
  to.sin_addr.s_addr = htonl(0x0a500002);
  return to;
}

// The kernel's client: so many bytes, each when the one before has come back.
Descriptor talk(int rounds) {
  Descriptor fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{.tv_sec = 30, .tv_usec = 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  const sockaddr_in to = server_address();
  bool ok = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  for (int i = 0; ok && i < rounds; ++i) {
    char byte = 'a';
    ok = ::send(fd.get(), &byte, 1, MSG_NOSIGNAL) == 1 && ::recv(fd.get(), &byte, 1, 0) == 1 && byte == 'a';
  }
  if (!ok) fd.reset();
  return fd;
}

TEST(Device_tap_gone, ASharedStackSleepsAndGoesOnWithTheNextInterface) {
  const test::OwnNetwork network = test::enter_own_network();
  if (!network.why_not.empty()) GTEST_SKIP() << network.why_not;
  auto stack = SharedStack::make({.wait = WaitPolicy::sleeping(), .check_invariants = true});
  ASSERT_TRUE(stack);
  posix::Sockets net(*stack);
  const int listener = net.socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in any{.sin_family = AF_INET, .sin_port = htons(kPort), .sin_addr = {}, .sin_zero = {}};
  ASSERT_EQ(net.bind(listener, reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
  ASSERT_EQ(net.listen(listener, 4), 0);
  // Each connection has a thread, which waits in a receive when the interface goes.
  std::vector<std::thread> threads;
  std::thread acceptor([&] {
    for (;;) {
      const int c = net.accept(listener, nullptr, nullptr);
      if (c < 0) return;
      threads.emplace_back([&net, c] {
        char byte = 0;
        while (net.recv(c, &byte, 1, 0) == 1 && net.send(c, &byte, 1, MSG_NOSIGNAL) == 1) {
        }
        net.close(c);
      });
    }
  });
  std::string refused;  // what keeps this machine from making a TAP
  std::vector<Descriptor> clients;
  for (int interface = 0; interface < 3 && !HasFailure(); ++interface) {
    TapProblem why;
    const auto id = (*stack)->open_tap(kName, {kOurs}, &why);
    if (!id && interface == 0) {
      refused = why.cause;
      break;
    }
    EXPECT_TRUE(id) << why.cause;
    EXPECT_TRUE(netlink::add_address(kName, *IpPrefix::parse(kKernel)));
    // Often enough that the thread, whose waits follow each other, looks at the device by itself.
    clients.push_back(talk(200));
    EXPECT_TRUE(clients.back()) << "interface " << interface;
    EXPECT_TRUE(netlink::delete_link(kName));
    ::usleep(20'000);  // the kernel's news has been read
    const std::uint64_t before = (*stack)->counters().turns;
    ::usleep(100'000);
    EXPECT_LT((*stack)->counters().turns - before, 50U) << "interface " << interface;
    EXPECT_TRUE(id && (*stack)->detach(*id));
  }
  (*stack)->stop();
  acceptor.join();
  for (std::thread& thread : threads) thread.join();
  if (!refused.empty()) GTEST_SKIP() << refused;
}

}  // namespace
}  // namespace leat
