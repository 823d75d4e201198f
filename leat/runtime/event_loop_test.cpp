// Sockets with callbacks over a shared stack, one thread and several. Real time, as all of the shared stack.

#include <chrono>
#include <leat/runtime/event_loop.hpp>
#include <leat/runtime/linked_stacks_test_support.hpp>
#include <list>
#include <stdexcept>

namespace leat::test {
namespace {

const Endpoint kServer{LinkedStacks::address(1), Port{7}};

// An echo server in callbacks. Each connection counts who is inside its callback.
class EchoServer {
 public:
  EchoServer(std::shared_ptr<SharedStack> stack, EventLoop& loop) : stack_(std::move(stack)), loop_(&loop) {
    listener_ = listen_on(*stack_, {{}, Port{7}});
    EXPECT_TRUE(loop_->add(watch_, listener_, Ready::readable, [this](Handle, Ready) { accept(); }));
  }
  ~EchoServer() {
    loop_->remove(watch_);
    for (auto& c : connections_) loop_->remove(c.watch);
  }
  std::atomic<unsigned> overlaps{0};
  std::atomic<unsigned> callbacks{0};

 private:
  struct Connection {
    EventLoop::Watch watch;
    std::atomic<unsigned> inside{0};
  };
  void accept() {
    for (;;) {
      Op op;
      op.flags.dont_wait = true;
      op.accept(listener_);
      stack_->run(op);
      if (op.error != Errc{} || op.status == IoStatus::would_block) return;
      Connection* c = nullptr;
      {
        const std::lock_guard lock(mutex_);
        c = &connections_.emplace_back();
      }
      ASSERT_TRUE(loop_->add(c->watch, op.handle, Ready::readable, [this, c](Handle h, Ready) { on_event(*c, h); }));
    }
  }
  void on_event(Connection& c, Handle h) {
    callbacks.fetch_add(1);
    if (c.inside.fetch_add(1) != 0) overlaps.fetch_add(1);
    std::array<std::uint8_t, 1024> data;
    Op op;
    op.flags.dont_wait = true;
    op.receive(h, data);
    stack_->run(op);
    if (op.error != Errc{} || op.status == IoStatus::end_of_stream) {
      loop_->remove(c.watch);
      close_socket(*stack_, h);
    } else if (op.count > 0) {
      EXPECT_TRUE(send_all(*stack_, h, {data.data(), op.count}));  // blocks if it must
    }
    c.inside.fetch_sub(1);
  }

  std::shared_ptr<SharedStack> stack_;
  EventLoop* loop_;
  EventLoop::Watch watch_;
  Handle listener_;
  std::mutex mutex_;
  std::list<Connection> connections_;
};

void converse(Service& s, unsigned id, unsigned rounds) {
  const Handle h = open_stream(s);
  ASSERT_EQ(connect_to(s, h, kServer), Errc{});
  std::vector<std::uint8_t> request(900), reply(900);
  for (unsigned r = 0; r < rounds; ++r) {
    for (std::size_t i = 0; i < request.size(); ++i) request[i] = static_cast<std::uint8_t>(id * 17 + r + i);
    ASSERT_TRUE(send_all(s, h, request));
    Op op;
    op.receive(h, reply);
    op.flags.wait_all = true;
    s.run(op);
    ASSERT_EQ(op.error, Errc{});
    ASSERT_EQ(reply, request);
  }
  close_socket(s, h);
}

TEST(SharedEventLoop, SeveralThreadsRunCallbacksInOrderAndNeverTwoOfASocket) {
  LinkedStacks net;
  EventLoop loop(net.stack[1]);
  EchoServer server(net.stack[1], loop);
  std::vector<std::thread> loops, clients;
  for (int i = 0; i < 3; ++i) loops.emplace_back([&] { EXPECT_TRUE(loop.run()); });
  for (unsigned i = 0; i < 4; ++i) clients.emplace_back([&, i] { converse(*net.stack[0], i, 100); });
  for (auto& t : clients) t.join();
  loop.stop();
  for (auto& t : loops) t.join();
  EXPECT_EQ(server.overlaps.load(), 0U);
  EXPECT_GE(server.callbacks.load(), 400U);
}

// The exception comes out of run(); the socket that had it and the one whose event was taken with it are told again.
TEST(SharedEventLoop, ACallbackThatThrowsSilencesNobody) {
  LinkedStacks net;
  EventLoop loop(net.stack[1]);
  std::array<Handle, 3> sockets;
  std::array<EventLoop::Watch, 2> watches;
  std::array<unsigned, 2> told{};
  bool throws = true;
  const std::array<std::uint8_t, 1> word{1};
  const Handle from = open_datagrams(*net.stack[0], {});
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    const Port port{static_cast<std::uint16_t>(8 + i)};
    sockets[i] = open_datagrams(*net.stack[1], port);
    Op op;
    op.send_to(from, word, {LinkedStacks::address(1), port});
    net.stack[0]->run(op);
    EXPECT_EQ(op.error, Errc{});
  }
  std::array<std::uint8_t, 4> data;
  EXPECT_EQ(receive_some(*net.stack[1], sockets[2], data)->count, 1U);  // and so the others' are there, and stay
  for (std::size_t i = 0; i < watches.size(); ++i)
    ASSERT_TRUE(loop.add(watches[i], sockets[i], Ready::readable, [&, i](Handle, Ready) {
      ++told[i];
      if (std::exchange(throws, false)) throw std::runtime_error("of a callback");
      loop.stop();
    }));
  EXPECT_THROW((void)loop.run(), std::runtime_error);
  EXPECT_EQ(told[0] + told[1], 1U);
  for (const unsigned all : {2U, 3U}) {
    EXPECT_TRUE(loop.run_one(Duration::s(5)));
    EXPECT_EQ(told[0] + told[1], all);
    loop.restart();
  }
  EXPECT_EQ(std::max(told[0], told[1]), 2U);
  if (!HasFailure()) {
    EXPECT_TRUE(loop.run());  // it is the only thread again, which takes both before it sees the stop
    EXPECT_EQ(told[0] + told[1], 5U);
  }
  const auto remove_all = [&] {
    for (auto& watch : watches) loop.remove(watch);
  };
  if (HasFailure()) return remove_all();
  std::thread(remove_all).join();  // waits for nobody
  for (const Handle h : sockets) close_socket(*net.stack[1], h);
  close_socket(*net.stack[0], from);
}

// Whoever calls the stack may bring the packets in and find the event; the callback waits for a thread of the loop.
TEST(SharedEventLoop, CallbacksRunInThreadsOfTheLoopAlone) {
  constexpr int kRounds = 50;
  static thread_local bool in_loop = false;
  LinkedStacks net;
  EventLoop loop(net.stack[1]);
  const Handle watched = open_datagrams(*net.stack[1], Port{8});
  std::atomic<int> strangers{0}, calls{0};
  EventLoop::Watch watch;
  ASSERT_TRUE(loop.add(watch, watched, Ready::readable, [&](Handle h, Ready) {
    if (!in_loop) strangers.fetch_add(1);
    calls.fetch_add(1);
    std::array<std::uint8_t, 16> data;
    Op op;
    op.flags.dont_wait = true;
    op.receive(h, data);
    net.stack[1]->run(op);
  }));
  // Two threads that know nothing of the loop are served by the same stack; one of them changes what the watch wants.
  const auto converse_with_others = [&] {
    std::vector<std::thread> threads;
    for (const Port port : {Port{9}, Port{10}}) {
      threads.emplace_back([&net, &loop, &watch, port] {
        const Handle mine = open_datagrams(*net.stack[1], port);
        for (int i = 0; i < kRounds; ++i) {
          Op tell;
          const std::array<std::uint8_t, 1> word{static_cast<std::uint8_t>(i)};
          const Handle from = open_datagrams(*net.stack[0], {});
          for (const Port to : {Port{8}, port}) {
            tell.reset();
            tell.send_to(from, word, {LinkedStacks::address(1), to});
            net.stack[0]->run(tell);
            EXPECT_EQ(tell.error, Errc{});
          }
          std::array<std::uint8_t, 16> data;
          EXPECT_EQ(receive_some(*net.stack[1], mine, data)->count, 1U);
          if (port == Port{9}) {
            EXPECT_TRUE(loop.change(watch, Ready::readable));
          }
          close_socket(*net.stack[0], from);
        }
        close_socket(*net.stack[1], mine);
      });
    }
    for (auto& t : threads) t.join();
  };
  converse_with_others();
  EXPECT_EQ(calls.load(), 0) << "no thread runs the loop";
  std::vector<std::thread> loops;
  for (int i = 0; i < 2; ++i) {
    loops.emplace_back([&loop] {
      in_loop = true;
      EXPECT_TRUE(loop.run());
    });
  }
  converse_with_others();
  while (calls.load() == 0) std::this_thread::yield();
  loop.stop();
  for (auto& t : loops) t.join();
  const int told = calls.load();
  converse_with_others();
  EXPECT_EQ(calls.load(), told) << "the loops have ended";
  EXPECT_EQ(strangers.load(), 0);
  loop.remove(watch);
}

TEST(SharedEventLoop, RunOneWaitsAsLongAsItIsTold) {
  LinkedStacks net;
  EventLoop loop(net.stack[1]);
  const Instant start = monotonic_now();
  EXPECT_FALSE(loop.run_one(Duration::ms(10)));
  EXPECT_GE(monotonic_now() - start, Duration::ms(10));
  const Handle listener = listen_on(*net.stack[1], kServer);
  EventLoop::Watch watch;
  int calls = 0;
  ASSERT_TRUE(loop.add(watch, listener, Ready::readable, [&](Handle h, Ready ready) {
    EXPECT_EQ(h, listener);
    EXPECT_TRUE(any(ready & Ready::readable));
    ++calls;
  }));
  EXPECT_EQ(loop.add(watch, listener, Ready::readable, {}).error(), Errc::already_exists);
  std::thread client([&] { EXPECT_EQ(connect_to(*net.stack[0], open_stream(*net.stack[0]), kServer), Errc{}); });
  EXPECT_TRUE(loop.run_one(Duration::s(20)));
  EXPECT_TRUE(loop.run_one(Duration::s(20))) << "level-triggered: nobody accepted it";
  EXPECT_EQ(calls, 2);
  client.join();
  ASSERT_TRUE(loop.change(watch, Ready::none));
  EXPECT_FALSE(loop.run_one(Duration::ms(5)));
  loop.remove(watch);
}

TEST(SharedEventLoop, StopEndsALoopThatWaits) {
  LinkedStacks net;
  EventLoop loop(net.stack[1]);
  std::thread runs([&] { EXPECT_TRUE(loop.run()); });
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  loop.stop();
  runs.join();
  EXPECT_TRUE(loop.run()) << "stopped before it began";
  loop.restart();
  EXPECT_FALSE(loop.run_one(Duration::ms(1)));
  std::thread again([&] { EXPECT_FALSE(loop.run()) << "the stack is gone"; });
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  net.stack[1]->stop();
  again.join();
}

// remove() from outside returns when no callback runs any more, so that what the callback uses may end.
TEST(SharedEventLoop, RemoveWaitsForTheCallback) {
  LinkedStacks net;
  EventLoop loop(net.stack[1]);
  const Handle listener = listen_on(*net.stack[1], kServer);
  std::atomic<bool> inside{false}, left{false};
  EventLoop::Watch watch;
  ASSERT_TRUE(loop.add(watch, listener, Ready::readable, [&](Handle, Ready) {
    inside.store(true);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    left.store(true);
  }));
  std::thread runs([&] { loop.run(); });
  EXPECT_EQ(connect_to(*net.stack[0], open_stream(*net.stack[0]), kServer), Errc{});
  while (!inside.load()) std::this_thread::yield();
  loop.remove(watch);
  EXPECT_TRUE(left.load());
  EXPECT_FALSE(watch.added());
  loop.stop();
  runs.join();
}

TEST(SharedEventLoop, AClosedSocketIsSilentAndItsWatchCanGo) {
  LinkedStacks net;
  EventLoop loop(net.stack[1]);
  const Handle listener = listen_on(*net.stack[1], kServer);
  EventLoop::Watch watch;
  ASSERT_TRUE(loop.add(watch, listener, Ready::readable, [](Handle, Ready) { FAIL(); }));
  close_socket(*net.stack[1], listener);
  EXPECT_FALSE(loop.run_one(Duration::ms(5)));
  loop.remove(watch);
  EXPECT_EQ(loop.add(watch, listener, Ready::readable, {}).error(), Errc::bad_handle);
}

}  // namespace
}  // namespace leat::test
