// An operation that a coroutine awaits allocates nothing: neither one that is complete at once nor one that waits.

#include <gtest/gtest.h>

#include <array>
#include <leat/api/coroutine/socket.hpp>

#include "../memory/heap_watch.hpp"
#include "../support/virtual_service.hpp"

namespace leat::coroutine {
namespace {

using test::TwoHosts;
using test::VirtualWorld;

struct Counts {
  std::uint64_t heap = 0;
  int rounds = 0;
};

Task<void> answer(TcpStream& stream) {
  std::array<std::uint8_t, 100> data{};
  for (;;) {
    const auto got = co_await stream.read(data);
    if (!got || got->count == 0) co_return;
    (void)co_await stream.write_all({data.data(), got->count});
  }
}

Task<void> ask(TcpStream& stream, const std::stop_token& stop, Counts& counts) {
  const std::array<std::uint8_t, 100> question{};
  std::array<std::uint8_t, 100> data{};
  for (int warm = 0; warm < 2; ++warm) {  // the first round may fill pools of the library
    test::HeapWatch watch;
    for (int i = 0; i < 100; ++i) {
      (void)co_await stream.write(question, {.within = Duration::s(1), .stop = &stop});
      if ((co_await stream.read_all(data, {.within = Duration::s(1), .stop = &stop}))->count == 100) ++counts.rounds;
      (void)co_await sleep_for(Duration::us(1));
    }
    counts.heap = watch.calls();
  }
  (void)stream.shutdown(ShutdownHow::write);
}

TEST(CoroutineHeap, OperationsAllocateNothing) {
  VirtualWorld world;
  Executor executor(world.shared_service(0));
  auto listener = TcpListener::listen(world.shared_service(1), {{}, Port{80}}).value();
  auto client = executor.run([](VirtualWorld& w) -> Task<TcpStream> {
    co_return (co_await TcpStream::connect(w.shared_service(0), {TwoHosts::address(1), Port{80}})).value();
  }(world));
  auto server =
      executor.run([](TcpListener& l) -> Task<TcpStream> { co_return (co_await l.accept()).value(); }(listener));
  Counts counts;
  const std::stop_source stop;
  const std::stop_token token = stop.get_token();
  executor.spawn(answer(server));
  executor.spawn(ask(client, token, counts));
  executor.run();
  EXPECT_EQ(counts.rounds, 200);
  EXPECT_EQ(counts.heap, 0U);
}

}  // namespace
}  // namespace leat::coroutine
