// A number goes there and back between two stacks on a pipe: in threads of their own with calls that block, and in one
// thread, with coroutines under a virtual clock, where the run is the same every time.
#include <cstdio>
#include <leat/api/channel/tcp.hpp>
#include <leat/netstack/piped.hpp>
#include <leat/runtime/entropy.hpp>
#include <thread>
using namespace leat;
using namespace leat::channel;

namespace {

constexpr std::uint8_t kRounds = 100;
const Endpoint kServer{piped_address(1), Port{7}};

void bounce(const TcpStream& s) {
  std::array<std::uint8_t, 1> ball{};
  while (s.recv(ball).value_or(0U) == 1 && ball[0] < kRounds) {
    ++ball[0];
    if (!s.send(ball)) return;
  }
}

Task<std::uint8_t> bounce_async(const TcpStream& s) {
  std::array<std::uint8_t, 1> ball{};
  while ((co_await s.async_recv(ball)).value_or(0U) == 1 && ball[0] < kRounds) {
    ++ball[0];
    if (!co_await s.async_send(ball)) break;
  }
  co_return ball[0];
}

int blocking() {
  ThreadedPair stacks({}, system_entropy(), system_entropy());
  const auto listener = TcpListener::listen(stacks.channel(1), {{}, Port{7}});
  if (!listener) return 2;
  std::thread other([&] {
    const auto s = listener->accept();
    if (s) bounce(*s);
  });
  const auto s = TcpStream::connect(stacks.channel(0), kServer, Duration::s(5));
  const std::array<std::uint8_t, 1> ball{0};
  const bool served = s && s->send(ball);
  if (served) bounce(*s);
  if (s) (void)s->shutdown_write();
  other.join();
  std::printf("sync: %s\n", served ? "done" : "failed");
  return served ? 0 : 1;
}

int awaited() {
  PipedPair stacks({}, seeded_entropy(1), seeded_entropy(2));
  const auto listener = TcpListener::listen(stacks.channel(1), {{}, Port{7}});
  const auto one = TcpStream::connect(stacks.channel(0), kServer);
  if (!listener || !one) return 2;
  const auto two = listener->accept();
  const std::array<std::uint8_t, 1> ball{0};
  if (!two || !one->send(ball)) return 1;
  Task<std::uint8_t> left = bounce_async(*one);
  left.start();
  const std::uint8_t last = stacks.run(bounce_async(*two));
  std::printf("async: %d after %lld us of virtual time\n", last,
              static_cast<long long>(stacks.now().count_us() - 1'000'000));
  return last >= kRounds - 1 ? 0 : 1;
}

}  // namespace

int main() {
  return blocking() + awaited();
}
