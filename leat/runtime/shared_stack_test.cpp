// The shared stack with real threads. Two stacks are joined by a wire in memory; everything is real time, so tests wait
// for what must happen and never for time to pass, but where a retransmission is the point.

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <leat/runtime/linked_stacks_test_support.hpp>
#include <mutex>

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

INSTANTIATE_TEST_SUITE_P(Shared, SharedThreads,
                         ::testing::Values(WaitPolicy::sleeping(), WaitPolicy::adaptive(), WaitPolicy::spinning()));

// A connection between the two stacks, both ends.
struct Connection {
  explicit Connection(LinkedStacks& net) : client(*net.stack[0]), server(*net.stack[1]) {
    listener = listen_on(server, {{}, Port{kPort}});
    at_client = open_stream(client);
    std::thread accepts([this] { at_server = accept_one(server, listener).value(); });
    EXPECT_EQ(connect_to(client, at_client, kServer), Errc{});
    accepts.join();
  }
  SharedStack& client;
  SharedStack& server;
  Handle listener, at_client, at_server;
};

// Runs a receive that blocks, in a thread of its own, and returns when it does: the janitor's role has moved to it.
struct BlockedReceive {
  BlockedReceive(SharedStack& s, Handle h) {
    thread = std::thread([this, &s, h] {
      Op op;
      op.receive(h, data);
      running.store(true);
      s.run(op);
      error = op.error;
      count = op.count;
      done.store(true);
    });
    while (!running.load()) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // not needed to pass; makes it sleep as a rule
    EXPECT_FALSE(done.load());
  }
  ~BlockedReceive() { join(); }
  void join() {
    if (thread.joinable()) thread.join();
  }
  std::array<std::uint8_t, 64> data{};
  std::thread thread;
  std::atomic<bool> running{false}, done{false};
  Errc error{};
  std::size_t count = 0;
};

const std::array<std::uint8_t, 5> kHello{'h', 'e', 'l', 'l', 'o'};

TEST(SharedStack, ABlockedReceiveGetsWhatTheOtherSideSends) {
  LinkedStacks net;
  Connection c(net);
  BlockedReceive r(c.server, c.at_server);
  ASSERT_TRUE(send_all(c.client, c.at_client, kHello));
  r.join();
  EXPECT_EQ(r.error, Errc{});
  EXPECT_EQ(r.count, kHello.size());
}

TEST(SharedStack, CloseEndsACallThatBlocksOnTheSocket) {
  LinkedStacks net;
  Connection c(net);
  BlockedReceive r(c.server, c.at_server);
  close_socket(c.server, c.at_server);
  r.join();
  EXPECT_EQ(r.error, Errc::bad_handle);
}

TEST(SharedStack, StopEndsEveryCallAndFailsLaterOnes) {
  LinkedStacks net;
  Connection c(net);
  BlockedReceive first(c.server, c.at_server);
  std::vector<std::unique_ptr<BlockedReceive>> more;
  for (int i = 0; i < 4; ++i) more.push_back(std::make_unique<BlockedReceive>(c.server, c.at_server));
  std::atomic<int> told{0};
  Op started;
  started.accept(c.listener);
  started.context = &told;
  started.completed = [](Op& op) { static_cast<std::atomic<int>*>(op.context)->fetch_add(1); };
  c.server.start(started);
  c.server.stop();
  first.join();
  EXPECT_EQ(first.error, Errc::shut_down);
  for (auto& r : more) {
    r->join();
    EXPECT_EQ(r->error, Errc::shut_down);
  }
  EXPECT_EQ(told.load(), 1);
  EXPECT_EQ(started.error, Errc::shut_down);
  EXPECT_TRUE(c.server.stopped());
  Op op;
  op.open(SocketKind::stream);
  c.server.run(op);
  EXPECT_EQ(op.error, Errc::shut_down);
  EXPECT_EQ(c.server.with_owner([](Shard&) {}).error(), Errc::shut_down);
  EXPECT_TRUE(c.server.poll().is_never());
  c.server.stop();  // once more is nothing
}

TEST(SharedStack, ADeadlineEndsAWait) {
  LinkedStacks net;
  Connection c(net);
  std::array<std::uint8_t, 8> data;
  Op op;
  op.receive(c.at_server, data);
  const Instant start = c.server.now();
  op.deadline = start + Duration::ms(20);
  c.server.run(op);
  EXPECT_EQ(op.error, Errc::timed_out);
  EXPECT_GE(c.server.now(), start + Duration::ms(20));
}

TEST(SharedStack, ASignalInterruptsAWaitAndASecondDescriptorDoesToo) {
  LinkedStacks net;
  Connection c(net);
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) {};
  ::sigaction(SIGUSR1, &action, &before);
  {
    BlockedReceive r(c.server, c.at_server);
    while (!r.done.load()) {  // the first may come before it sleeps
      ::pthread_kill(r.thread.native_handle(), SIGUSR1);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    r.join();
    EXPECT_EQ(r.error, Errc::interrupted);
  }
  ::sigaction(SIGUSR1, &before, nullptr);

  const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  std::array<std::uint8_t, 8> data;
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    const std::uint64_t one = 1;
    ASSERT_EQ(::write(fd, &one, sizeof one), 8);
  });
  Op op;
  op.receive(c.server.stopped() ? Handle{} : c.at_server, data);
  op.also_fd = fd;
  c.server.run(op);
  EXPECT_EQ(op.error, Errc::interrupted);
  other.join();
  // Still readable, and a wait that does not name it does not care.
  ASSERT_TRUE(send_all(c.client, c.at_client, kHello));
  const auto got = receive_some(c.server, c.at_server, data);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->count, kHello.size());
  ::close(fd);
}

TEST(SharedStack, StartTellsOnceAndOutsideOfTheToken) {
  LinkedStacks net;
  Connection c(net);
  struct Told {
    SharedStack* stack;
    std::atomic<int> times{0};
    std::atomic<bool> may_call{false};
  } told{&c.server};
  std::array<std::uint8_t, 8> data;
  Op op;
  op.receive(c.at_server, data);
  op.context = &told;
  op.completed = [](Op& o) {
    auto* const t = static_cast<Told*>(o.context);
    // Not inside: a call is not refused with Errc::again.
    if (t->stack->with_owner([](Shard&) {})) t->may_call.store(true);
    t->times.fetch_add(1);
  };
  c.server.start(op);
  EXPECT_EQ(told.times.load(), 0);
  ASSERT_TRUE(send_all(c.client, c.at_client, kHello));
  while (told.times.load() == 0) std::this_thread::yield();  // the janitor's work: nobody waits there
  EXPECT_EQ(op.error, Errc{});
  EXPECT_EQ(op.count, kHello.size());
  EXPECT_TRUE(told.may_call.load());
}

TEST(SharedStack, ACompletionMayStartTheNextWithoutEnd) {
  LinkedStacks net({.janitor = false});  // else it may be the one who runs them
  struct Chain {
    SharedStack* stack;
    int left = 20'000;  // would overflow the stack if it nested
  } chain{net.stack[0].get()};
  Op op;
  op.verb = Verb::take_error;
  op.context = &chain;
  op.completed = [](Op& o) {
    auto* const c = static_cast<Chain*>(o.context);
    if (--c->left > 0) c->stack->start(o);
  };
  net.stack[0]->start(op);
  EXPECT_EQ(chain.left, 0);
}

TEST(SharedStack, ACallFromInsideIsRefused) {
  LinkedStacks net({.janitor = false});  // else the call may run in its thread, which tells later
  Errc inner{}, inner_owner{};
  int told = 0;
  Op started;
  started.verb = Verb::none;
  started.context = &told;
  started.completed = [](Op& o) { ++*static_cast<int*>(o.context); };
  ASSERT_TRUE(net.stack[0]->with_owner([&](Shard&) {
    Op op;
    op.open(SocketKind::stream);
    net.stack[0]->run(op);
    inner = op.error;
    inner_owner = net.stack[0]->with_owner([](Shard&) {}).error();
    net.stack[0]->start(started);
    EXPECT_EQ(told, 0) << "told only when the token is free";
  }));
  EXPECT_EQ(inner, Errc::again);
  EXPECT_EQ(inner_owner, Errc::again);
  EXPECT_EQ(told, 1);
  EXPECT_EQ(started.error, Errc::again);
}

// Which is refused as well while somebody else has that stack's token; here nobody does.
TEST(SharedStack, WhoHoldsOneTokenCallsAnotherStackButDoesNotBlockInIt) {
  LinkedStacks net({.janitor = false});
  Connection c(net);
  Errc opened = Errc::again, received{};
  ASSERT_TRUE(c.client.with_owner([&](Shard&) {
    Op op;
    op.open(SocketKind::stream);
    c.server.run(op);
    opened = op.error;
    std::array<std::uint8_t, 8> data;
    op.reset();
    op.receive(c.at_server, data);
    c.server.run(op);
    received = op.error;
  }));
  EXPECT_EQ(opened, Errc{});
  EXPECT_EQ(received, Errc::again);
}

TEST(SharedStack, CancelEndsWhatStartTook) {
  LinkedStacks net;
  Connection c(net);
  std::atomic<int> told{0};
  std::array<std::uint8_t, 8> data;
  Op op;
  op.receive(c.at_server, data);
  op.context = &told;
  op.completed = [](Op& o) { static_cast<std::atomic<int>*>(o.context)->fetch_add(1); };
  c.server.start(op);
  c.server.cancel(op);  // by this thread, or by the one that has the token just then
  while (told.load() == 0) std::this_thread::yield();
  EXPECT_EQ(told.load(), 1);
  EXPECT_EQ(op.error, Errc::cancelled);
  c.server.cancel(op);
  EXPECT_EQ(told.load(), 1);
}

// Threads start, cancel and complete at once; each operation is told exactly once, and no byte is lost: what was
// received by cancelled operations and by others adds up.
TEST(SharedStack, ACancelStormLosesNeitherAnOperationNorAByte) {
  LinkedStacks net;
  Connection c(net);
  constexpr int kRounds = 500;
  constexpr std::size_t kBytes = 5'000;
  std::atomic<bool> sent{false};
  Op nodelay;
  nodelay.set_option(c.at_client, OptionId::tcp_nodelay, 1);
  c.client.run(nodelay);
  std::thread sender([&] {
    for (std::size_t i = 0; i < kBytes; ++i) {
      const std::array<std::uint8_t, 1> byte{static_cast<std::uint8_t>(i)};
      ASSERT_TRUE(send_all(c.client, c.at_client, byte));
    }
    sent.store(true);
  });
  std::array<std::thread, 2> cancellers;
  std::mutex mutex;
  std::vector<std::uint8_t> stream;
  struct Pending {
    Op op;
    std::array<std::uint8_t, 256> data{};
    std::atomic<int> told{0};
  };
  std::atomic<Pending*> current{nullptr};
  std::atomic<bool> stop{false};
  for (auto& t : cancellers) {
    t = std::thread([&] {
      while (!stop.load()) {
        const std::lock_guard lock(mutex);  // keeps it alive; the race with the completion is the point
        if (Pending* p = current.load()) c.server.cancel(p->op);
      }
    });
  }
  int cancelled = 0;
  for (int i = 0; i < kRounds || !sent.load() || stream.size() < kBytes; ++i) {
    auto p = std::make_unique<Pending>();
    p->op.receive(c.at_server, p->data);
    p->op.context = p.get();
    p->op.completed = [](Op& o) { static_cast<Pending*>(o.context)->told.fetch_add(1); };
    c.server.start(p->op);
    current.store(p.get());
    while (p->told.load() == 0) std::this_thread::yield();
    {
      const std::lock_guard lock(mutex);
      current.store(nullptr);
    }
    ASSERT_EQ(p->told.load(), 1);
    ASSERT_TRUE(p->op.error == Errc{} || p->op.error == Errc::cancelled);
    if (p->op.error == Errc::cancelled) ++cancelled;
    stream.insert(stream.end(), p->data.begin(), p->data.begin() + static_cast<std::ptrdiff_t>(p->op.count));
  }
  stop.store(true);
  for (auto& t : cancellers) t.join();
  sender.join();
  EXPECT_GT(cancelled, 0);
  ASSERT_EQ(stream.size(), kBytes);
  for (std::size_t i = 0; i < kBytes; ++i) ASSERT_EQ(stream[i], static_cast<std::uint8_t>(i));
}

// The one who watches gets its data and leaves; the others still wait, and one of them watches then.
TEST(SharedStack, TheWatchIsHandedOn) {
  LinkedStacks net;
  const Handle listener = listen_on(*net.stack[1], {{}, Port{kPort}});
  constexpr std::size_t kConnections = 4;
  std::vector<Handle> client, server;
  for (std::size_t i = 0; i < kConnections; ++i) {
    client.push_back(open_stream(*net.stack[0]));
    ASSERT_EQ(connect_to(*net.stack[0], client.back(), kServer), Errc{});
    server.push_back(accept_one(*net.stack[1], listener).value());
  }
  std::vector<std::unique_ptr<BlockedReceive>> waiting;
  for (const Handle h : server) waiting.push_back(std::make_unique<BlockedReceive>(*net.stack[1], h));
  const auto before = net.stack[1]->counters();
  // The first has the watch, then the one who came last, and so on.
  std::size_t left = kConnections;
  for (const std::size_t i : {0U, 3U, 2U, 1U}) {
    ASSERT_TRUE(send_all(*net.stack[0], client[i], kHello));
    waiting[i]->join();
    EXPECT_EQ(waiting[i]->error, Errc{});
    EXPECT_EQ(waiting[i]->count, kHello.size());
    --left;
    EXPECT_EQ(std::ranges::count_if(waiting, [](const auto& w) { return !w->done.load(); }),
              static_cast<std::ptrdiff_t>(left));
  }
  const auto after = net.stack[1]->counters();
  EXPECT_GE(after.role_moves, before.role_moves + 1);
  EXPECT_GE(after.departures, before.departures + 1);
}

// Nobody calls, and yet a segment that was lost is sent again.
TEST(SharedStack, TheJanitorKeepsTimeWhileCallersCompute) {
  LinkedStacks net;
  Connection c(net);
  net.end[0]->cut.store(true);
  ASSERT_TRUE(send_all(c.client, c.at_client, kHello));
  net.end[0]->cut.store(false);
  const Instant until = c.client.now() + Duration::s(20);
  std::uint64_t resent = 0;
  while (resent == 0 && monotonic_now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // computing
    tcp::TcpInfo info;
    ASSERT_TRUE(c.client.with_owner([&](Shard&) {}));
    Op op;
    op.verb = Verb::tcp_info;
    op.socket = c.at_client;
    op.info = &info;
    c.client.run(op);
    resent = info.retransmits;
  }
  EXPECT_GT(resent, 0U);
  std::array<std::uint8_t, 8> data;
  const auto got = receive_some(c.server, c.at_server, data);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->count, kHello.size());
  EXPECT_GT(c.client.counters().janitor_turns, 0U);
}

// Rule 15: a deadline of which nobody would be told costs no system call. Whoever waits later is told of it.
TEST(SharedStack, NoTimerRunsWhileNobodyWatches) {
  LinkedStacks net({.janitor = false});
  SharedStack& s = *net.stack[0];
  net.end[0]->cut.store(true);
  const Handle h = open_stream(s);
  Op connect;
  connect.connect(h, kServer);
  connect.flags.dont_wait = true;
  s.run(connect);
  EXPECT_EQ(connect.error, Errc::in_progress);
  EXPECT_EQ(s.counters().timer_writes, 0U) << "the SYN will be sent again, if somebody asks";
  Watch watch;
  watch.socket = h;
  watch.wanted = Ready::connected;
  Op poll;
  poll.verb = Verb::poll;
  poll.watches = {&watch, 1};
  poll.deadline = s.now() + Duration::s(20);
  std::thread waits([&] { s.run(poll); });
  while (s.counters().timer_writes == 0) std::this_thread::yield();
  net.end[0]->cut.store(false);
  s.stop();
  waits.join();
  EXPECT_EQ(poll.error, Errc::shut_down);
}

// A program's loop watched and ended: what was started and nobody waits for is the janitor's again.
TEST(SharedStack, AProgramThatWatchesNoMoreHandsOn) {
  LinkedStacks net;
  SharedStack& server = *net.stack[1];
  const Handle listener = listen_on(server, {{}, Port{kPort}});
  ASSERT_GE(server.pollable_fd(), 0);
  server.release_pollable_fd();
  std::atomic<bool> told{false};
  Op op;
  op.context = &told;
  op.completed = [](Op& o) {
    auto& t = *static_cast<std::atomic<bool>*>(o.context);
    t = true;
    t.notify_one();
  };
  op.accept(listener);
  server.start(op);
  const Handle client = open_stream(*net.stack[0]);
  EXPECT_EQ(connect_to(*net.stack[0], client, kServer), Errc{});
  told.wait(false);
  EXPECT_EQ(op.error, Errc{});
  EXPECT_GT(server.counters().janitor_turns, 0U);
}

// A program with a loop of its own and no janitor: the descriptor says when to poll.
TEST(SharedStack, AProgramWatchesByItsOwnLoop) {
  LinkedStacks net({.janitor = false});
  SharedStack& server = *net.stack[1];
  const int fd = server.pollable_fd();
  ASSERT_GE(fd, 0);
  const Handle listener = listen_on(server, {{}, Port{kPort}});
  std::thread client([&] { request_replies(*net.stack[0], kServer, 1, 50, 100); });
  struct Loop {
    SharedStack* stack;
    Op op;
    std::array<std::uint8_t, 256> data{};
    bool done = false, ended = false;
  } loop{&server, {}, {}};
  loop.op.context = &loop;
  loop.op.completed = [](Op& o) { static_cast<Loop*>(o.context)->done = true; };
  const auto await = [&] {
    loop.done = false;
    server.start(loop.op);
    Instant next{};
    while (!loop.done) {
      if (next > server.now()) {
        pollfd p{fd, POLLIN, 0};
        ::poll(&p, 1, 1000);
      }
      next = server.poll();
    }
  };
  loop.op.accept(listener);
  await();
  const Handle h = loop.op.handle;
  for (;;) {
    loop.op.reset();
    loop.op.receive(h, loop.data);
    await();
    if (loop.op.error != Errc{} || loop.op.count == 0) break;
    const std::size_t n = loop.op.count;
    loop.op.reset();
    loop.op.send(h, {loop.data.data(), n});
    await();
    ASSERT_EQ(loop.op.error, Errc{});
  }
  client.join();
}

// Without a janitor and with nobody else, a blocked caller is enough.
// How many of this process's epoll sets hold the descriptor, and how many of them would report it.
struct Sets {
  unsigned hold = 0, hear = 0;
};
Sets sets_with(int fd) {
  Sets sets;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fdinfo")) {
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) {
      int target = -1;
      unsigned events = 0;
      if (std::sscanf(line.c_str(), "tfd: %d events: %x", &target, &events) != 2 || target != fd) continue;
      ++sets.hold;
      if ((events & EPOLLIN) != 0) ++sets.hear;
    }
  }
  return sets;
}

// It then stands in the caller's own set, and not twice: neither another caller nor the program's loop may miss it.
TEST(SharedStack, WhoWatchesAgainAndAgainLooksAtTheDeviceItself) {
  LinkedStacks net({.janitor = false}, true);
  SharedStack& client = *net.stack[0];
  SharedStack& server = *net.stack[1];
  const Handle listener = listen_on(server, {{}, Port{kPort}});
  std::thread echo([&] {
    const auto h = accept_one(server, listener);
    ASSERT_TRUE(h);
    echo_until_end(server, *h);
  });
  const Handle h = open_stream(client);
  ASSERT_EQ(connect_to(client, h, kServer), Errc{});
  std::array<std::uint8_t, 100> data{};
  const auto round_trips = [&](int n) {
    for (int i = 0; i < n; ++i) {
      ASSERT_TRUE(send_all(client, h, data));
      ASSERT_TRUE(receive_some(client, h, data));
    }
  };
  EXPECT_EQ(sets_with(net.bell[0]).hold, 1U);  // the watch
  round_trips(100);
  EXPECT_EQ(sets_with(net.bell[0]).hold, 2U);
  EXPECT_EQ(sets_with(net.bell[0]).hear, 1U) << "muted in the watch, heard in the caller's set";
  std::thread([&] {  // the watch is handed on
    round_trips(10);
    EXPECT_EQ(sets_with(net.bell[0]).hold, 1U) << "the first caller's set still has it";
    round_trips(100);
    EXPECT_EQ(sets_with(net.bell[0]).hold, 2U);
  })
      .join();
  // Nobody of the client's waits now, and its loop begins to watch.
  const int fd = client.pollable_fd();
  EXPECT_EQ(sets_with(net.bell[0]).hold, 1U);
  EXPECT_EQ(sets_with(net.bell[0]).hear, 1U) << "the program's set does not hear of the device";
  const auto drain = [&] {
    while (client.poll() <= client.now()) {
    }
  };
  drain();
  ASSERT_TRUE(send_all(client, h, data));
  drain();
  pollfd p{fd, POLLIN, 0};
  EXPECT_EQ(::poll(&p, 1, 10'000), 1);
  ASSERT_TRUE(receive_some(client, h, data));
  close_socket(client, h);
  echo.join();
}

TEST(SharedStack, BlockedCallersDoWithoutAJanitor) {
  LinkedStacks net({.janitor = false});
  const Handle listener = listen_on(*net.stack[1], {{}, Port{kPort}});
  std::thread server([&] { echo_until_end(*net.stack[1], accept_one(*net.stack[1], listener).value()); });
  request_replies(*net.stack[0], kServer, 3, 200, 300);
  server.join();
}

double cpu_seconds() {
  rusage u{};
  ::getrusage(RUSAGE_SELF, &u);
  return static_cast<double>(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
         static_cast<double>(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

TEST(SharedStack, AnIdleStackUsesNoCpu) {
  LinkedStacks net;
  Connection c(net);
  BlockedReceive waits(c.server, c.at_server);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // delayed ACKs, grace
  const double before = cpu_seconds();
  const auto turns = c.client.counters().turns + c.server.counters().turns;
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const auto more = c.client.counters().turns + c.server.counters().turns - turns;
  EXPECT_LT(cpu_seconds() - before, 0.02);
  EXPECT_LE(more, 8U) << "somebody turns an idle shard";
  ASSERT_TRUE(send_all(c.client, c.at_client, kHello));
}

// The child's calls fail at once and write nothing; the parent goes on.
TEST(SharedStack, AForkedChildIsShutOut) {
  LinkedStacks net;
  Connection c(net);
  struct Told : Op {
    unsigned times = 0;
    Told() {
      context = &times;
      completed = [](Op& o) { ++*static_cast<unsigned*>(o.context); };
    }
  };
  std::array<std::uint8_t, 16> room{};
  Told pending;
  pending.receive(c.at_client, room);
  c.client.start(pending);
  const std::uint64_t sent = net.end[0]->counters().tx_packets;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    // Only what is async-signal-safe, and the calls that are tested.
    Op op;
    op.send(c.at_client, kHello);
    c.client.run(op);
    bool good = op.error == Errc::shut_down;
    Told started;
    started.verb = Verb::none;
    c.client.start(started);
    c.client.cancel(started);  // it is over
    good = good && started.times == 1 && started.error == Errc::shut_down;
    for (int twice = 0; twice < 2; ++twice) c.client.cancel(pending);
    good = good && pending.times == 1 && pending.error == Errc::shut_down && !pending.pending;
    c.client.stop();
    good = good && c.client.poll().is_never() && c.client.pollable_fd() == -1;
    net.stack[0].reset();  // must touch nothing of the parent's
    good = good && net.end[0]->counters().tx_packets == sent;
    ::_exit(good ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(pending.times, 0U);
  c.client.cancel(pending);
  EXPECT_EQ(pending.times, 1U);
  EXPECT_EQ(pending.error, Errc::cancelled);
  BlockedReceive r(c.server, c.at_server);
  ASSERT_TRUE(send_all(c.client, c.at_client, kHello));
  r.join();
  EXPECT_EQ(r.error, Errc{});
  EXPECT_EQ(r.count, kHello.size());
}

// The kernel lets 500 sets hold the watch; any number of threads may wait all the same, whoever of them watches.
TEST(SharedStack, MoreThreadsWaitThanSetsMayHoldTheWatch) {
  LinkedStacks net({.janitor = false});
  constexpr std::uint16_t kThreads = 600;
  constexpr std::uint16_t kFirst = 2000;
  std::atomic<unsigned> waiting{0}, right{0};
  std::vector<std::thread> threads;
  for (std::uint16_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      const Handle h = open_datagrams(*net.stack[1], Port{static_cast<std::uint16_t>(kFirst + i)});
      std::array<std::uint8_t, 8> data{};
      waiting.fetch_add(1);
      const auto got = receive_some(*net.stack[1], h, data);
      if (got && got->count == 2 && data[0] == (i & 0xff) && data[1] == (i >> 8)) right.fetch_add(1);
      close_socket(*net.stack[1], h);
    });
  }
  while (waiting.load() < kThreads) std::this_thread::yield();
  const Handle h = open_datagrams(*net.stack[0], Port{kFirst});
  for (std::uint16_t i = 0; i < kThreads; ++i) {
    const std::array<std::uint8_t, 2> number{static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(i >> 8)};
    Op op;
    op.send_to(h, number, {LinkedStacks::address(1), Port{static_cast<std::uint16_t>(kFirst + i)}});
    net.stack[0]->run(op);
    ASSERT_EQ(op.error, Errc{});
    while (right.load() <= i) std::this_thread::yield();  // each is the one who watches for a time
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(right.load(), kThreads);
}

// Threads come and go; each leaves nothing behind.
TEST(SharedStack, ThreadsThatEndLeaveNoDescriptors) {
  LinkedStacks net;
  const int low = ::dup(0);
  ::close(low);
  for (int i = 0; i < 200; ++i) {
    std::thread([&] {
      Op op;
      op.open(SocketKind::udp);
      net.stack[0]->run(op);
      ASSERT_EQ(op.error, Errc{});
      const Handle h = op.handle;
      op.reset();
      op.bind(h, {{}, Port{static_cast<std::uint16_t>(20'000 + i)}});
      net.stack[0]->run(op);
      std::array<std::uint8_t, 8> data;
      op.reset();
      op.receive(h, data);
      op.deadline = net.stack[0]->now() + Duration::us(200);
      net.stack[0]->run(op);
      ASSERT_EQ(op.error, Errc::timed_out);
      close_socket(*net.stack[0], h);
    }).join();
  }
  const int high = ::dup(0);
  ::close(high);
  EXPECT_LE(high - low, 8);
}

// Once the last handle goes inside a completion that the janitor calls, the stack ends in the janitor's own thread.
TEST(SharedStack, MayEndInTheJanitorsThread) {
  auto net = std::make_unique<LinkedStacks>();
  Connection c(*net);
  struct Last {
    std::shared_ptr<SharedStack> stack;
    std::array<std::uint8_t, 8> data{};
    Op op;
    std::atomic<bool> done{false};
  } last{net->stack[1], {}, {}};
  last.op.receive(c.at_server, last.data);
  last.op.context = &last;
  last.op.completed = [](Op& o) {
    auto* const l = static_cast<Last*>(o.context);
    l->stack.reset();
    l->done.store(true);
  };
  c.server.start(last.op);
  net->stack[1].reset();
  ASSERT_TRUE(send_all(c.client, c.at_client, kHello));
  while (!last.done.load()) std::this_thread::yield();
  net.reset();
}

}  // namespace
}  // namespace leat::test
