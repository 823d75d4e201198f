// Coroutines with real threads over the shared stack: executors in several threads on both sides of a wire. Real time,
// so tests wait for what must happen.

#include <leat/api/coroutine/combine.hpp>
#include <leat/api/coroutine/socket.hpp>
#include <leat/runtime/linked_stacks_test_support.hpp>
#include <random>

namespace leat::coroutine {
namespace {

using test::LinkedStacks;

const Endpoint kServer{LinkedStacks::address(1), Port{7}};

Task<void> echo(TcpStream stream) {
  std::array<std::uint8_t, 2000> data{};
  for (;;) {
    const auto got = co_await stream.read(data);
    if (!got || got->count == 0) co_return;
    if (!co_await stream.write_all({data.data(), got->count})) co_return;
  }
}

Task<void> serve(Executor& executor, TcpListener& listener) {
  for (;;) {
    auto stream = co_await listener.accept();
    if (!stream) co_return;
    executor.spawn(echo(std::move(*stream)), {});  // goes on when accepting is stopped
  }
}

Task<void> ask(std::shared_ptr<Service> service, unsigned id, unsigned rounds, std::atomic<unsigned>& done) {
  auto connected = co_await TcpStream::connect(std::move(service), kServer);
  if (!connected) {
    ADD_FAILURE() << static_cast<int>(connected.error());
    co_return;
  }
  TcpStream& stream = *connected;
  std::vector<std::uint8_t> sent(50 + id * 331);
  std::vector<std::uint8_t> back(sent.size());
  for (unsigned r = 0; r < rounds; ++r) {
    for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<std::uint8_t>(id * 31 + r * 7 + i);
    auto [wrote, read] = co_await when_all(stream.write_all(sent), stream.read_all(back));
    if (!wrote || !read || back != sent) {
      ADD_FAILURE() << "connection " << id << " round " << r;
      co_return;
    }
  }
  ++done;
}

void several_executors_on_both_sides(bool janitor) {
  LinkedStacks net({.janitor = janitor});
  constexpr unsigned kConnections = 4;  // of each of two threads
  constexpr unsigned kRounds = 100;
  auto listener = TcpListener::listen(net.stack[1], {{}, Port{7}}).value();
  std::array<std::unique_ptr<Executor>, 2> servers;
  std::vector<std::thread> threads;
  for (auto& server : servers) {
    server = std::make_unique<Executor>(net.stack[1]);
    server->spawn(serve(*server, listener));
    threads.emplace_back([&server] { server->run(); });
  }
  std::atomic<unsigned> done = 0;
  std::vector<std::thread> clients;
  for (unsigned t = 0; t < 2; ++t)
    clients.emplace_back([&, t] {
      Executor executor(net.stack[0]);
      for (unsigned c = 0; c < kConnections; ++c)
        executor.spawn(ask(net.stack[0], t * kConnections + c, kRounds, done));
      executor.run();
    });
  for (auto& c : clients) c.join();
  for (auto& server : servers) server->stop();
  for (auto& t : threads) t.join();
  EXPECT_EQ(done.load(), 2 * kConnections);
}

TEST(CoroutineThreads, SeveralExecutorsOnBothSides) {
  several_executors_on_both_sides(true);
}

// Executors that wait watch the devices: nobody else does.
TEST(CoroutineThreads, SeveralExecutorsWithoutAJanitor) {
  several_executors_on_both_sides(false);
}

TEST(CoroutineThreads, TheEndOfTheStackEndsEveryWait) {
  LinkedStacks net;
  auto listener = TcpListener::listen(net.stack[1], {{}, Port{7}}).value();
  Executor executor(net.stack[1]);
  std::atomic<int> ended = 0;
  executor.spawn([](TcpListener& l, std::atomic<int>& count) -> Task<void> {
    EXPECT_EQ((co_await l.accept()).error(), Errc::shut_down);
    ++count;
  }(listener, ended));
  executor.spawn([](std::atomic<int>& count) -> Task<void> {
    EXPECT_EQ((co_await sleep_for(Duration::s(1000))).error(), Errc::shut_down);
    ++count;
  }(ended));
  std::thread thread([&] { executor.run(); });
  net.stack[1]->stop();
  thread.join();
  EXPECT_EQ(ended.load(), 2);
}

// S5, S8: readers whose reads are stopped by other threads at any moment, while bytes come in small pieces: every wait
// ends, and the bytes are all there, in order.
struct Round {
  std::atomic<std::stop_source*> current{nullptr};  // of the read under way; written by the reader, used by stoppers
  std::mutex mutex;                                 // keeps the source while it is used
};

Task<void> read_all_of_it(TcpStream& stream, Round& round, std::vector<std::uint8_t>& got,
                          std::atomic<unsigned>& stopped) {
  for (;;) {
    std::stop_source source;
    const std::stop_token token = source.get_token();
    {
      const std::scoped_lock lock(round.mutex);
      round.current = &source;
    }
    std::array<std::uint8_t, 64> data{};
    const auto r = co_await stream.read(data, {.within = Duration::ms(50), .stop = &token});
    {
      const std::scoped_lock lock(round.mutex);
      round.current = nullptr;
    }
    if (!r && r.error() == Errc::cancelled) ++stopped;
    if (!r && (r.error() == Errc::cancelled || r.error() == Errc::timed_out)) continue;
    if (!r || r->count == 0) co_return;
    got.insert(got.end(), data.begin(), data.begin() + static_cast<std::ptrdiff_t>(r->count));
  }
}

TEST(S5_CoroutineWakeFuzz, EveryWaitEndsAndNoByteIsLost) {
  LinkedStacks net;
  constexpr std::size_t kBytes = 20000;
  auto listener = TcpListener::listen(net.stack[1], {{}, Port{7}}).value();
  std::vector<std::uint8_t> sent(kBytes);
  for (std::size_t i = 0; i < kBytes; ++i) sent[i] = static_cast<std::uint8_t>(i * 13 + (i >> 7));
  std::vector<std::uint8_t> got;
  std::atomic<unsigned> stopped = 0;
  Round round;
  std::atomic<bool> over = false;
  std::thread reader([&] {
    Executor executor(net.stack[1]);
    executor.run(
        [](TcpListener& l, Round& r, std::vector<std::uint8_t>& to, std::atomic<unsigned>& count) -> Task<void> {
          auto stream = (co_await l.accept()).value();
          co_await read_all_of_it(stream, r, to, count);
        }(listener, round, got, stopped));
    over = true;
  });
  std::vector<std::thread> stoppers;
  for (unsigned t = 0; t < 2; ++t)
    stoppers.emplace_back([&, t] {
      std::mt19937 random(t + 1);
      while (!over) {
        {
          const std::scoped_lock lock(round.mutex);
          if (std::stop_source* const s = round.current.load(); s != nullptr) s->request_stop();
        }
        for (unsigned pause = random() % 64; pause > 0; --pause) std::this_thread::yield();
      }
    });
  std::thread writer([&] {
    Executor executor(net.stack[0]);
    executor.run([](std::shared_ptr<Service> s, const std::vector<std::uint8_t>& from,
                    const std::atomic<unsigned>& count) -> Task<void> {
      auto stream = (co_await TcpStream::connect(std::move(s), kServer)).value();
      while (count == 0) (void)co_await sleep_for(Duration::us(50));  // one at least is stopped while it waits
      EXPECT_TRUE(stream.set_option(OptionId::tcp_nodelay, 1));
      std::mt19937 random(7);
      for (std::size_t at = 0; at < from.size();) {
        const std::size_t n = std::min<std::size_t>(1 + random() % 200, from.size() - at);
        at += (co_await stream.write_all(ByteSpan{from}.subspan(at, n))).value().count;
        if (random() % 8 == 0) (void)co_await sleep_for(Duration::us(50));
      }
    }(net.stack[0], sent, stopped));
  });
  writer.join();
  reader.join();
  for (auto& s : stoppers) s.join();
  EXPECT_EQ(got, sent);
  EXPECT_GT(stopped.load(), 0U);
}

}  // namespace
}  // namespace leat::coroutine
