// TCP over the command channel: listen and connect, with calls that block and with coroutines. Two stacks in threads of
// their own, joined by a wire in memory: no privilege is needed.
#include <cstdio>
#include <leat/api/channel/tcp.hpp>
#include <leat/netstack/piped.hpp>
#include <leat/runtime/clock.hpp>
#include <leat/runtime/entropy.hpp>
#include <string_view>
#include <thread>
using namespace leat;
using namespace leat::channel;

namespace {

constexpr Endpoint kAnywhere{{}, Port{7}};
const Endpoint kServer{piped_address(1), Port{7}};

ByteSpan bytes(std::string_view text) {
  return {static_cast<const std::uint8_t*>(static_cast<const void*>(text.data())), text.size()};
}
void print(const char* who, const std::vector<std::uint8_t>& v) {
  std::printf("%s: %.*s\n", who, static_cast<int>(v.size()),
              static_cast<const char*>(static_cast<const void*>(v.data())));
}

// --- calls that block ---

void listen_and_answer(const TcpListener& listener) {
  const auto stream = listener.accept();
  if (!stream) return;
  while (true) {
    const auto got = stream->recv_bytes(1024);
    if (!got || got->empty()) break;  // the peer has finished
    (void)stream->send_all(*got);
  }
}  // the stream closes

int connect_and_ask(const Channel& channel) {
  const auto stream = TcpStream::connect(channel, kServer, Duration::s(5));
  if (!stream) return 1;
  (void)stream->send_all(bytes("hello, blocking"));
  const auto answer = stream->recv_bytes(1024, Duration::s(5));
  if (!answer) return 1;
  print("sync", *answer);
  return 0;
}

// --- coroutines ---

Task<void> serve(const TcpListener& listener) {
  const auto stream = co_await listener.async_accept();
  if (!stream) co_return;
  while (true) {
    const auto got = co_await stream->async_recv_bytes(1024);
    if (!got || got->empty()) co_return;
    (void)co_await stream->async_send_all(*got);
  }
}

Task<int> ask(Channel channel) {
  const auto stream = co_await TcpStream::async_connect(channel, kServer, Duration::s(5));
  if (!stream) co_return 1;
  (void)co_await stream->async_send_all(bytes("hello, awaited"));
  const auto answer = co_await stream->async_recv_bytes(1024, Duration::s(5));
  if (!answer) co_return 1;
  print("async", *answer);
  co_return 0;
}

}  // namespace

int main() {
  ThreadedPair stacks({}, system_entropy(), system_entropy());
  RunQueue tasks({[](void*) { return monotonic_now(); }, nullptr});
  const auto listener = TcpListener::listen(stacks.channel(1, &tasks), kAnywhere);
  if (!listener) return 2;

  std::thread server([&] { listen_and_answer(*listener); });
  const int failed = connect_and_ask(stacks.channel(0));
  server.join();

  Task<void> serving = serve(*listener);
  serving.start();
  return failed + tasks.block_on(ask(stacks.channel(0, &tasks)));
}
