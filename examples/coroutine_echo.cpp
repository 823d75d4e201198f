// Coroutines over Leat: a server that has all its connections in one thread, and three clients that talk to it at once,
// each on a stack of its own; the stacks are joined by a wire in memory.
#include <array>
#include <cstdio>
#include <leat/api/coroutine/executor.hpp>
#include <leat/api/coroutine/socket.hpp>
#include <string>
#include <thread>

#include "joined_stacks.hpp"

using namespace leat::coroutine;

namespace {

Task<void> echo(TcpStream s) {
  std::array<std::uint8_t, 4096> data;
  for (;;) {
    const auto got = co_await s.read(data);
    if (!got || got->count == 0) co_return;
    if (!co_await s.write_all(leat::ByteSpan{data.data(), got->count})) co_return;
  }
}

Task<void> serve(TcpListener listener, Executor& executor, int clients) {
  for (int i = 0; i < clients; ++i) {
    auto s = co_await listener.accept();
    if (!s) co_return;
    executor.spawn(echo(std::move(*s)));
  }
}

Task<void> ask(std::shared_ptr<leat::Service> service, int number, int& answered) {
  auto s = co_await TcpStream::connect(std::move(service), {JoinedStacks::address(1), leat::Port{7}});
  if (!s) co_return;
  const std::string text = "hello number " + std::to_string(number);
  const leat::ByteSpan bytes{static_cast<const std::uint8_t*>(static_cast<const void*>(text.data())), text.size()};
  if (!co_await s->write_all(bytes)) co_return;
  std::array<std::uint8_t, 100> back;
  const auto got = co_await s->read_all(leat::MutableByteSpan{back}.first(text.size()));
  if (got && got->count == text.size() && std::equal(bytes.begin(), bytes.end(), back.begin())) ++answered;
}

}  // namespace

int main() {
  constexpr int kClients = 3;
  const JoinedStacks stacks;
  auto listener = TcpListener::listen(stacks.server(), {leat::IpAddress{}, leat::Port{7}});
  if (!listener) return 1;
  std::thread server([&] {
    Executor executor(stacks.server());
    executor.spawn(serve(std::move(*listener), executor, kClients));
    executor.run();  // until every task has ended
  });
  int answered = 0;
  Executor executor(stacks.client());
  for (int i = 0; i < kClients; ++i) executor.spawn(ask(stacks.client(), i, answered));
  executor.run();
  server.join();
  std::printf("%d of %d were answered\n", answered, kClients);
  return answered == kClients ? 0 : 1;
}
