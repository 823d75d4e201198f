// threads: 1, 2, 4 and 8 threads call one shared stack, each over connections of its own; an echo server answers over
// shared memory, in a thread of its own. What sharing costs is the CPU time of a round trip against that of one thread
// alone, in the same run; what it costs in time is how long an operation takes beyond the time that its thread stood in
// line for a CPU, which no stack can help.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bench/clock.hpp>
#include <bench/loads.hpp>
#include <bench/stacks.hpp>
#include <charconv>
#include <cstring>
#include <ctime>
#include <leat/device/descriptor.hpp>
#include <leat/device/shm/shm_unsafe.hpp>
#include <leat/runtime/host.hpp>
#include <leat/runtime/shard_token.hpp>
#include <leat/runtime/shared_stack.hpp>
#include <thread>

namespace leat::bench {
namespace {

constexpr std::uint64_t kRoundTrips = 80'000;      // of all threads together
constexpr std::uint64_t kTimedRoundTrips = 8'000;  // with every operation timed
constexpr std::size_t kConnections = 4;            // of each thread
constexpr std::size_t kBytes = 100;
constexpr Port kPort{7};
const IpAddress kClient = IpAddress::v4(10, 77, 2, 1), kServer = IpAddress::v4(10, 77, 2, 2);

void run(Service& s, Op& op) {
  s.run(op);
  if (op.error != Errc{}) throw std::runtime_error("an operation of the shared stack failed");
}

// How long this thread has stood in line for a CPU.
class RunQueue {
 public:
  RunQueue() : file_(::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)) {}
  [[nodiscard]] std::int64_t waited_ns() const {
    std::array<char, 128> text{};
    if (::pread(file_.get(), text.data(), text.size() - 1, 0) <= 0) return 0;
    const char* const at = std::strchr(text.data(), ' ');  // time on a CPU, time in line, time slices
    std::int64_t ns = 0;
    if (at != nullptr) std::from_chars(at + 1, text.data() + text.size(), ns);
    return ns;
  }

 private:
  Descriptor file_;
};

class Caller {
 public:
  Caller(SharedStack& stack) : stack_(&stack) {
    for (Handle& h : connections_) {
      Op op;
      op.open(SocketKind::stream);
      run(stack, op);
      h = op.handle;
      op.reset();
      op.set_option(h, OptionId::tcp_nodelay, 1);
      run(stack, op);
      op.reset();
      op.connect(h, {kServer, kPort});
      run(stack, op);
    }
  }
  ~Caller() {
    for (const Handle h : connections_) {
      Op op;
      op.abort(h);
      stack_->run(op);
    }
  }
  // A request on every connection, then every reply.
  void round(std::vector<std::int64_t>* waits) {
    for (const Handle h : connections_) {
      Op op;
      op.send(h, request_);
      timed(op, waits);
    }
    for (const Handle h : connections_) {
      Op op;
      op.receive(h, reply_);
      op.flags.wait_all = true;
      timed(op, waits);
      if (op.count != kBytes) throw std::runtime_error("a reply is missing");
    }
  }

 private:
  void timed(Op& op, std::vector<std::int64_t>* waits) {
    if (waits == nullptr) return run(*stack_, op);
    const std::int64_t line = line_.waited_ns();
    const Instant start = monotonic_now();
    run(*stack_, op);
    const std::int64_t took = (monotonic_now() - start).count_ns();
    waits->push_back(std::max<std::int64_t>(0, took - (line_.waited_ns() - line)));
  }
  SharedStack* stack_;
  RunQueue line_;
  std::array<Handle, kConnections> connections_;
  std::array<std::uint8_t, kBytes> request_{}, reply_{};
};

double cpu_seconds_of(clockid_t clock) {
  timespec t{};
  ::clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

struct Outcome {
  double round_trips_per_cpu_s = 0;
  double round_trips_per_s = 0;
  // Of a round trip.
  double turns = 0, wakes = 0, sleeps = 0, spins_won = 0, spins_lost = 0, role_moves = 0, foreign_ops = 0;
  std::vector<std::int64_t> waits;
};

// One run with so many threads. `waits`: every operation is timed, which costs more than the operation.
Outcome measure(unsigned threads, std::uint64_t round_trips, WaitPolicy wait, bool timed) {
  const auto server =
      must(leat::Host::make({.limits = hosted_limits(128), .packet_memory = std::size_t{32} << 20}), "stack");
  const auto client = must(
      SharedStack::make({.limits = hosted_limits(128), .packet_memory = std::size_t{32} << 20, .wait = wait}), "stack");
  const auto wire = must(ShmPair::make({.frames = 1024}, client->pool(), server->pool()), "shared memory");
  DeviceRef<Shm> at_client(wire->a()), at_server(wire->b());
  const std::array client_addresses{IpPrefix{kClient, 24}};
  const std::array server_addresses{IpPrefix{kServer, 24}};
  const InterfaceId id = must(client->attach(at_client, {.name = "shm"}, client_addresses), "interface");
  const InterfaceId server_id = must(server->attach(at_server, {.name = "shm"}, server_addresses), "interface");
  must(server->stack().set_option(OptionId::tcp_nodelay, 1), "option");
  must(server->serve(kPort,
                     [](StreamConnection& c) {
                       std::array<std::uint8_t, 4096> data;
                       for (;;) {
                         const IoCount got = c.read(data);
                         if (got.count == 0) break;
                         c.write({data.data(), got.count});
                       }
                       if (c.at_end()) c.close();
                     }),
       "server");
  server->runner().start();
  clockid_t server_clock{};
  server->runner().call([&] { ::pthread_getcpuclockid(::pthread_self(), &server_clock); });

  Outcome outcome;
  std::vector<std::vector<std::int64_t>> waits(threads);
  std::atomic<unsigned> ready{0}, failed{0};
  std::atomic<bool> go{false};
  const std::uint64_t rounds = std::max<std::uint64_t>(1, round_trips / (threads * kConnections));
  std::vector<std::thread> all;
  double began = 0;
  Instant start;
  for (unsigned t = 0; t < threads; ++t) {
    all.emplace_back([&, t] {
      try {
        Caller caller(*client);
        caller.round(nullptr);
        ready.fetch_add(1);
        go.wait(false);
        for (std::uint64_t i = 0; i < rounds; ++i) caller.round(timed ? &waits[t] : nullptr);
      } catch (const std::exception&) {
        failed.fetch_add(1);
        ready.fetch_add(1);
      }
    });
  }
  while (ready.load() < threads) std::this_thread::yield();
  // The callers and the janitor: all of the process but the server.
  const auto callers_cpu = [&] { return cpu_seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu_seconds_of(server_clock); };
  const ShardTokenCounters before = client->counters();
  began = callers_cpu();
  start = monotonic_now();
  go.store(true);
  go.notify_all();
  for (std::thread& t : all) t.join();
  const double cpu = callers_cpu() - began;
  const double seconds = static_cast<double>((monotonic_now() - start).count_ns()) * 1e-9;
  const auto done = static_cast<double>(rounds * threads * kConnections);
  outcome.round_trips_per_cpu_s = done / cpu;
  outcome.round_trips_per_s = done / seconds;
  const ShardTokenCounters after = client->counters();
  const auto each = [&](auto count) { return static_cast<double>(count(after) - count(before)) / done; };
  using Counters = ShardTokenCounters;
  outcome.turns = each([](const Counters& c) { return c.turns; });
  outcome.wakes = each([](const Counters& c) { return c.wakes; });
  outcome.sleeps = each([](const Counters& c) { return c.waits.sleeps; });
  outcome.spins_won = each([](const Counters& c) { return c.waits.spins_won; });
  outcome.spins_lost = each([](const Counters& c) { return c.waits.spins_lost; });
  outcome.role_moves = each([](const Counters& c) { return c.role_moves; });
  outcome.foreign_ops = each([](const Counters& c) { return c.foreign_ops; });
  for (auto& w : waits) outcome.waits.insert(outcome.waits.end(), w.begin(), w.end());
  client->stop();
  (void)id;
  server->runner().stop();
  (void)server->shard().detach(server_id);
  if (failed.load() > 0) throw std::runtime_error("a thread failed");
  return outcome;
}

}  // namespace

std::vector<Row> run_threads(const Request& request) {
  struct Wait {
    const char* name;
    WaitPolicy policy;
  };
  std::vector<Row> rows;
  for (const Wait& wait : {Wait{"sleep", WaitPolicy::sleeping()}, Wait{"adaptive", WaitPolicy::adaptive()}}) {
    constexpr std::array kThreads{1U, 2U, 4U, 8U};
    std::array<Outcome, kThreads.size()> best;
    // Round by round, so that all numbers of threads meet the same machine.
    for (int r = 0; r < request.repetitions; ++r)
      for (std::size_t i = 0; i < kThreads.size(); ++i) {
        say(request, std::string("threads: ") + std::to_string(kThreads[i]) + ", " + wait.name);
        Outcome o = measure(kThreads[i], scaled(request, kRoundTrips), wait.policy, false);
        if (o.round_trips_per_cpu_s > best[i].round_trips_per_cpu_s) best[i] = std::move(o);
      }
    for (std::size_t i = 0; i < kThreads.size(); ++i) {
      std::vector<std::int64_t> waits =
          measure(kThreads[i], scaled(request, kTimedRoundTrips), wait.policy, true).waits;
      std::ranges::sort(waits);
      const auto at = [&](double q) {
        const auto n = static_cast<std::size_t>(q * static_cast<double>(waits.size()));
        return static_cast<double>(waits[std::min(n, waits.size() - 1)]) * 1e-3;
      };
      rows.emplace_back()
          .set("device", "shm")
          .set("threads", kThreads[i])
          .set("connections", kThreads[i] * static_cast<unsigned>(kConnections))
          .set("bytes", static_cast<std::uint64_t>(kBytes))
          .set("wait", wait.name)
          .set("cpus", 2)
          .set("round_trips_per_cpu_s", best[i].round_trips_per_cpu_s)
          .set("ratio_to_one_thread", best[i].round_trips_per_cpu_s / best[0].round_trips_per_cpu_s)
          .set("round_trips_per_s", best[i].round_trips_per_s)
          .set("turns", best[i].turns)
          .set("wakes", best[i].wakes)
          .set("sleeps", best[i].sleeps)
          .set("spins_won", best[i].spins_won)
          .set("spins_lost", best[i].spins_lost)
          .set("role_moves", best[i].role_moves)
          .set("foreign_ops", best[i].foreign_ops)
          .set("p50_us", at(0.5))
          .set("p99_us", at(0.99))
          .set("p999_us", at(0.999));
    }
  }
  return rows;
}

}  // namespace leat::bench
