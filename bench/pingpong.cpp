// pingpong: two stacks over shared memory, each spinning on a core of its own in a thread of its own; one byte goes
// there and comes back. Beside it, in the same run and on the same cores, one byte over the kernel's loopback with
// blocking reads.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <bench/clock.hpp>
#include <bench/loads.hpp>
#include <bench/stacks.hpp>
#include <leat/device/descriptor.hpp>
#include <leat/device/shm/shm_unsafe.hpp>
#include <leat/drive/callback_socket.hpp>
#include <stop_token>
#include <thread>

namespace leat::bench {
namespace {

constexpr std::uint64_t kRoundTrips = 200'000;
constexpr std::uint64_t kKernelRoundTrips = 20'000;
constexpr Port kPort{7};
constexpr PoolLayout kPool{.packets = 4096, .chunks = {2048, 2048, 16}, .reserve = 64};

// The thread stays on this CPU; false where there is none of that number.
bool pin(std::size_t cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return ::pthread_setaffinity_np(::pthread_self(), sizeof set, &set) == 0;
}

// One side: a stack with its end of the wire.
struct Side {
  Side(PacketPool& pool, Shm& end, std::uint64_t seed, std::uint8_t number)
      : device(end), host(pool, 64, seed), address(IpAddress::v4(10, 77, 1, number)) {
    const InterfaceId id = must(host.shard.attach(device, {.name = "shm"}), "interface");
    must(host.stack.add_address(id, {address, 24}), "address");
  }
  ~Side() { (void)host.shard.detach(1); }
  Instant turn() { return host.shard.turn(monotonic_now()); }
  DeviceRef<Shm> device;
  Host host;
  IpAddress address;
};

// Sends back what it gets. By callbacks, as a program does that has a stack to itself: the answer is written in the
// turn that brings the question, and leaves with it.
class Echo {
 public:
  explicit Echo(Side& side) : side_(&side) {
    must(side.host.stack.set_option(OptionId::tcp_nodelay, 1), "option");
    must(listener_.listen(side.host.stack, {side.address, kPort}, 4,
                          CallbackSocket::Handler::to<&Echo::on_listener>(*this)),
         "listener");
  }
  // Spins until it is told to stop.
  void run(const std::stop_token& stop) {
    (void)pin(1);
    while (!stop.stop_requested()) side_->turn();
  }

 private:
  void on_listener(CallbackSocket& listener, Ready) {
    if (!connection_.is_open()) (void)connection_.accept(listener, CallbackSocket::Handler::to<&Echo::on_event>(*this));
  }
  void on_event(CallbackSocket& s, Ready) {
    std::array<std::uint8_t, 64> buffer;
    const auto got = s.read(buffer);
    if (got && got->count > 0) (void)s.write(ByteSpan{buffer.data(), got->count});
  }

  Side* side_;
  CallbackSocket listener_, connection_;
};

// Asks, and asks again in the turn that brings the answer.
class Asker {
 public:
  Asker(Side& side, std::uint64_t round_trips) : side_(&side), left_(round_trips), ns_per_tick_(ns_per_tick()) {
    times_.reserve(round_trips);
  }
  // Nanoseconds of each round trip: from write() until the byte is read.
  std::vector<std::uint64_t> run(const IpAddress& server) {
    Stack& stack = side_->host.stack;
    must(stack.set_option(OptionId::tcp_nodelay, 1), "option");
    must(socket_.connect(stack, {server, kPort}, CallbackSocket::Handler::to<&Asker::on_event>(*this)), "connect");
    const Instant patience = monotonic_now() + Duration::s(10);
    while (left_ > 0) {
      const Instant now = monotonic_now();
      side_->host.shard.turn(now);
      if (times_.empty() && now > patience) throw Unable("the two stacks did not meet; try again on a quieter machine");
      if (failed_) throw std::runtime_error("the connection ended");
    }
    return std::move(times_);
  }

 private:
  void on_event(CallbackSocket&, Ready events) {
    if (any(events & (Ready::error | Ready::closed | Ready::peer_fin))) failed_ = true;
    if (any(events & Ready::connected)) ask();
    if (!any(events & Ready::readable)) return;
    std::array<std::uint8_t, 1> byte;
    const auto got = socket_.read(byte);
    if (!got || got->count != 1) return;
    times_.push_back(static_cast<std::uint64_t>(static_cast<double>(ticks() - asked_) * ns_per_tick_));
    if (--left_ > 0) ask();
  }
  void ask() {
    constexpr std::array<std::uint8_t, 1> kByte{0x55};
    asked_ = ticks();
    const auto sent = socket_.write(kByte);
    failed_ = failed_ || !sent || sent->count != 1;
  }

  Side* side_;
  CallbackSocket socket_;
  std::uint64_t left_;
  double ns_per_tick_;
  std::uint64_t asked_ = 0;
  bool failed_ = false;
  std::vector<std::uint64_t> times_;
};

std::vector<std::uint64_t> leat_round_trips(std::uint64_t count) {
  PacketMemory memory_a = make_pool(kPool), memory_b = make_pool(kPool);
  const auto pair = must(ShmPair::make({.frames = 256}, memory_a.pool(), memory_b.pool()), "shared memory");
  Side client(memory_a.pool(), pair->a(), 1, 1);
  Side server(memory_b.pool(), pair->b(), 2, 2);
  Echo echo(server);
  std::jthread thread([&](const std::stop_token& stop) { echo.run(stop); });
  (void)pin(0);
  return Asker(client, count).run(server.address);
}

// The kernel's own loopback, blocking, on the same two cores.
std::vector<std::uint64_t> kernel_round_trips(std::uint64_t count) {
  const Descriptor listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof at;
  auto* const name = reinterpret_cast<sockaddr*>(&at);
  if (::bind(listener.get(), name, length) != 0 || ::listen(listener.get(), 1) != 0 ||
      ::getsockname(listener.get(), name, &length) != 0)
    throw Unable("the kernel's loopback is not up: ip link set lo up");
  const int on = 1;
  std::jthread thread([&] {
    (void)pin(1);
    const Descriptor s{::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    (void)::setsockopt(s.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    char byte = 0;
    while (::recv(s.get(), &byte, 1, 0) == 1 && ::send(s.get(), &byte, 1, MSG_NOSIGNAL) == 1) {
    }
  });
  const Descriptor client{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (::connect(client.get(), name, length) != 0) throw Unable("the kernel's loopback refuses connections");
  (void)::setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  (void)pin(0);
  const double ns = ns_per_tick();
  std::vector<std::uint64_t> times;
  char byte = 1;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t start = ticks();
    if (::send(client.get(), &byte, 1, MSG_NOSIGNAL) != 1 || ::recv(client.get(), &byte, 1, 0) != 1) break;
    times.push_back(static_cast<std::uint64_t>(static_cast<double>(ticks() - start) * ns));
  }
  return times;
}

struct Percentiles {
  double p50_us = 1e9, p99_us = 1e9;
};
Percentiles percentiles(std::vector<std::uint64_t> times) {
  if (times.empty()) throw std::runtime_error("no round trip was made");
  std::ranges::sort(times);
  return {static_cast<double>(times[times.size() / 2]) / 1000,
          static_cast<double>(times[times.size() * 99 / 100]) / 1000};
}

// Of several runs the one with the least median, as the other core may be busy with something else.
template <class Run>
Percentiles best(int repetitions, Run&& run) {
  Percentiles least;
  for (int i = 0; i < repetitions; ++i)
    if (const Percentiles p = percentiles(run()); p.p50_us < least.p50_us) least = p;
  return least;
}

}  // namespace

std::vector<Row> run_pingpong(const Request& request) {
  cpu_set_t before;
  (void)::sched_getaffinity(0, sizeof before, &before);
  if (CPU_COUNT(&before) < 2) throw Unable("pingpong needs two CPUs; this process may use one only");
  std::vector<Row> rows;
  say(request, "pingpong: two stacks over shared memory, spinning");
  const Percentiles ours = best(request.repetitions, [&] { return leat_round_trips(scaled(request, kRoundTrips)); });
  say(request, "pingpong: the kernel's loopback, blocking");
  const Percentiles kernel =
      best(request.repetitions, [&] { return kernel_round_trips(scaled(request, kKernelRoundTrips)); });
  (void)::sched_setaffinity(0, sizeof before, &before);
  rows.emplace_back()
      .set("device", "shm")
      .set("bytes", 1)
      .set("cpus", 2)
      .set("wait", "spin")
      .set("p50_us", ours.p50_us)
      .set("p99_us", ours.p99_us)
      .set("peer", "linux-loopback")
      .set("ratio_to_peer", ours.p50_us / kernel.p50_us);
  rows.emplace_back()
      .set("device", "loopback")
      .set("form", "linux")
      .set("bytes", 1)
      .set("cpus", 2)
      .set("wait", "sleep")
      .set("p50_us", kernel.p50_us)
      .set("p99_us", kernel.p99_us);
  return rows;
}

}  // namespace leat::bench
