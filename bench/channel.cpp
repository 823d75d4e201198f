// channel: what the command form costs. A request of 100 bytes there and its answer back on one TCP connection, and
// bulk by TCP and UDP, between two stacks on a pipe:
//   direct    the stacks' own verbs, called by the thread that turns both
//   channel   commands: coroutines of the same thread, or (cpus 2) blocking calls of two threads, each beside a thread
//             that turns its stack; by UDP one datagram a command, or a batch of them
// Rows with cpus 1 count CPU time of both stacks, rows with cpus 2 the clock.

#include <algorithm>
#include <array>
#include <bench/clock.hpp>
#include <bench/loads.hpp>
#include <bench/stacks.hpp>
#include <leat/api/channel/tcp.hpp>
#include <leat/api/channel/udp.hpp>
#include <leat/netstack/piped.hpp>
#include <leat/runtime/clock.hpp>
#include <leat/runtime/entropy.hpp>
#include <thread>

namespace leat::bench {
namespace {

using channel::Task;
using channel::TcpListener;
using channel::TcpStream;
using channel::UdpSocket;

constexpr Port kPort{9000};
constexpr std::size_t kRequest = 100;
constexpr std::size_t kPiece = 65536;
constexpr std::size_t kDatagram = 1400;
constexpr std::size_t kMany = 64;  // datagrams of one command
const Endpoint kServer{piped_address(1), kPort};

NetstackConfig config_of(std::uint32_t mtu) {
  NetstackConfig c;
  c.mtu = mtu;
  c.limits = hosted_limits(64);
  c.udp_buffer = std::size_t{4} << 20;
  c.udp_messages = 2048;
  c.command_capacity = channel::CommandQueue::kUnbounded;
  return c;
}

struct Measured {
  double seconds = 0;
  std::uint64_t count = 0;  // requests, or bytes that arrived
};

// --- one thread, the stacks' own verbs -------------------------------------------------------------------------------

class Direct {
 public:
  explicit Direct(std::uint32_t mtu) : pair_(config_of(mtu), seeded_entropy(1), seeded_entropy(2), 1024) {}

  Measured requests(std::uint64_t count) {
    connect();
    std::array<std::uint8_t, kRequest> bytes{};
    const double began = thread_cpu_seconds();
    for (std::uint64_t i = 0; i < count; ++i) {
      must(a_.try_send(client_, bytes), "send");
      take(b_, server_, bytes);
      must(b_.try_send(server_, bytes), "send");
      take(a_, client_, bytes);
    }
    return {thread_cpu_seconds() - began, count};
  }

  Measured tcp(std::uint64_t bytes) {
    connect();
    std::vector<std::uint8_t> from(kPiece), to(kPiece);
    std::uint64_t sent = 0, got = 0;
    const double began = thread_cpu_seconds();
    while (got < bytes) {
      while (sent < bytes) {
        const std::size_t n = must(a_.try_send(client_, from), "send").count;
        sent += n;
        if (n < from.size()) break;
      }
      turn();
      for (;;) {
        const std::size_t n = must(b_.try_receive(server_, to), "receive").count;
        got += n;
        if (n < to.size()) break;
      }
    }
    return {thread_cpu_seconds() - began, got};
  }

  Measured udp(std::uint64_t bytes, std::size_t) {
    const Handle from = must(a_.open_udp(), "socket"), to = must(b_.open_udp(), "socket");
    must(b_.bind(to, kServer), "bind");
    must(b_.set_option(to, OptionId::receive_buffer, 4 << 20), "option");
    std::array<std::uint8_t, kDatagram> piece{};
    std::uint64_t got = 0;
    const double began = thread_cpu_seconds();
    while (got < bytes) {
      for (int i = 0; i < 64; ++i) (void)must(a_.try_send_to(from, piece, kServer), "send");
      turn();
      for (;;) {
        const std::size_t n = must(b_.try_receive(to, piece), "receive").count;
        if (n == 0) break;
        got += n;
      }
    }
    const double seconds = thread_cpu_seconds() - began;
    must(a_.close(from), "close");
    must(b_.close(to), "close");
    turn();
    return {seconds, got};
  }

 private:
  void turn() {
    now_ = now_ + Duration::us(1);
    pair_.stack(0).shard().turn(now_);
    pair_.stack(1).shard().turn(now_);
  }
  void take(Stack& stack, Handle h, MutableByteSpan to) {
    std::size_t n = 0;
    for (int turns = 0; n < to.size(); ++turns) {
      if (turns > 1'000'000) throw std::runtime_error("a request did not arrive");
      turn();
      n += must(stack.try_receive(h, to.subspan(n)), "receive").count;
    }
  }
  void connect() {
    if (client_) return;
    const Handle listener = must(b_.open_stream(), "socket");
    must(b_.bind(listener, kServer), "bind");
    must(b_.listen(listener, 8), "listen");
    client_ = must(a_.open_stream(), "socket");
    must(a_.connect(client_, kServer), "connect");
    must(a_.set_option(client_, OptionId::tcp_nodelay, 1), "option");
    for (int turns = 0; !server_; ++turns) {
      if (turns > 1'000'000) throw std::runtime_error("a connection did not arrive");
      turn();
      server_ = must(b_.try_accept(listener), "accept");
    }
    must(b_.set_option(server_, OptionId::tcp_nodelay, 1), "option");
  }

  PipedPair pair_;
  Stack& a_ = pair_.stack(0).stack();
  Stack& b_ = pair_.stack(1).stack();
  Instant now_ = pair_.now();
  Handle client_, server_;
};

// --- one thread, coroutines ------------------------------------------------------------------------------------------

Task<bool> take_all(const TcpStream& s, MutableByteSpan to) {
  for (std::size_t n = 0; n < to.size();) {
    const auto got = co_await s.async_recv(to.subspan(n));
    if (!got || *got == 0) co_return false;
    n += *got;
  }
  co_return true;
}
Task<void> answer(const TcpStream& s, std::uint64_t count) {
  std::array<std::uint8_t, kRequest> bytes{};
  for (std::uint64_t i = 0; i < count && co_await take_all(s, bytes); ++i) (void)co_await s.async_send_all(bytes);
}
Task<void> ask(const TcpStream& s, std::uint64_t count) {
  std::array<std::uint8_t, kRequest> bytes{};
  for (std::uint64_t i = 0; i < count; ++i) {
    (void)co_await s.async_send_all(bytes);
    if (!co_await take_all(s, bytes)) throw std::runtime_error("a request did not arrive");
  }
}
Task<void> pour(const TcpStream& s, std::uint64_t bytes) {
  const std::vector<std::uint8_t> piece(kPiece);
  for (std::uint64_t sent = 0; sent < bytes; sent += piece.size()) (void)co_await s.async_send_all(piece);
}
Task<std::uint64_t> drink(const TcpStream& s, std::uint64_t bytes) {
  std::vector<std::uint8_t> piece(kPiece);
  std::uint64_t got = 0;
  while (got < bytes) got += (co_await s.async_recv(piece)).value();
  co_return got;
}
// Datagrams for one command, each with memory of its own.
struct Batch {
  explicit Batch(std::size_t n) : memory(n * kDatagram) {
    MutableByteSpan rest = memory;
    for (std::size_t i = 0; i < n; ++i, rest = rest.subspan(kDatagram)) {
      in.push_back({rest.first(kDatagram)});
      out.push_back({rest.first(kDatagram), kServer});
    }
  }
  [[nodiscard]] std::uint64_t bytes(std::size_t n) const {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += in[i].count;
    return sum;
  }
  std::vector<std::uint8_t> memory;
  std::vector<InDatagram> in;
  std::vector<OutDatagram> out;
};

Task<void> pour(const UdpSocket& s, std::size_t batch) {  // until it is dropped
  const Batch b(batch);
  if (batch > 1)
    for (;;) (void)co_await s.async_send_many(b.out);
  for (;;) (void)co_await s.async_send_to(b.out[0].bytes, kServer);
}
Task<std::uint64_t> drink(const UdpSocket& s, std::uint64_t bytes, std::size_t batch) {
  Batch b(batch);
  std::uint64_t got = 0;
  if (batch > 1)
    while (got < bytes) got += b.bytes((co_await s.async_recv_many(b.in)).value());
  while (got < bytes) got += (co_await s.async_recv_from(b.in[0].to)).value().count;
  co_return got;
}

class Commanded {
 public:
  explicit Commanded(std::uint32_t mtu) : pair_(config_of(mtu), seeded_entropy(1), seeded_entropy(2), 1024) {}

  Measured requests(std::uint64_t count) {
    connect();
    Task<void> other = answer(server_, count);
    other.start();
    const double began = thread_cpu_seconds();
    pair_.run(ask(client_, count));
    return {thread_cpu_seconds() - began, count};
  }
  Measured tcp(std::uint64_t bytes) {
    connect();
    Task<void> other = pour(client_, bytes);
    const double began = thread_cpu_seconds();
    other.start();
    const std::uint64_t got = pair_.run(drink(server_, bytes));
    return {thread_cpu_seconds() - began, got};
  }
  Measured udp(std::uint64_t bytes, std::size_t batch) {
    const UdpSocket from = must(UdpSocket::bind(pair_.channel(0), {}), "bind");
    const UdpSocket to = must(UdpSocket::bind(pair_.channel(1), kServer), "bind");
    Task<void> other = pour(from, batch);
    const double began = thread_cpu_seconds();
    other.start();
    const std::uint64_t got = pair_.run(drink(to, bytes, batch));
    return {thread_cpu_seconds() - began, got};
  }

 private:
  void connect() {
    if (client_) return;
    listener_ = must(TcpListener::listen(pair_.channel(1), kServer), "listen");
    client_ = must(TcpStream::connect(pair_.channel(0), kServer), "connect");
    server_ = must(listener_.accept(), "accept");
    must(client_.set_option(OptionId::tcp_nodelay, 1), "option");
    must(server_.set_option(OptionId::tcp_nodelay, 1), "option");
  }
  PipedPair pair_;
  TcpListener listener_;
  TcpStream client_, server_;
};

// --- threads ---------------------------------------------------------------------------------------------------------

class Threaded {
 public:
  // Each request wakes four threads, some of them on another processor: fewer of them say as much.
  static constexpr std::uint64_t kFewer = 20;

  explicit Threaded(std::uint32_t mtu) : pair_(config_of(mtu), seeded_entropy(1), seeded_entropy(2), 1024) {}

  Measured requests(std::uint64_t count) {
    count = std::max<std::uint64_t>(count / kFewer, 1);
    connect();
    std::thread other([&] {
      std::array<std::uint8_t, kRequest> bytes{};
      for (std::uint64_t i = 0; i < count && take(server_, bytes); ++i) (void)server_.send_all(bytes);
    });
    std::array<std::uint8_t, kRequest> bytes{};
    const Instant began = monotonic_now();
    bool good = true;
    for (std::uint64_t i = 0; i < count && good; ++i) good = client_.send_all(bytes) && take(client_, bytes);
    const Duration took = monotonic_now() - began;
    other.join();
    if (!good) throw std::runtime_error("a request did not arrive");
    return {static_cast<double>(took.count_ns()) * 1e-9, count};
  }
  Measured tcp(std::uint64_t bytes) {
    connect();
    std::thread other([&] {
      const std::vector<std::uint8_t> piece(kPiece);
      for (std::uint64_t sent = 0; sent < bytes; sent += piece.size()) (void)client_.send_all(piece);
    });
    std::vector<std::uint8_t> piece(kPiece);
    std::uint64_t got = 0;
    const Instant began = monotonic_now();
    while (got < bytes) {
      const auto n = server_.recv(piece, Duration::s(10));
      if (!n) break;
      got += *n;
    }
    const Duration took = monotonic_now() - began;
    other.join();
    return {static_cast<double>(took.count_ns()) * 1e-9, got};
  }
  Measured udp(std::uint64_t bytes, std::size_t batch) {
    const UdpSocket from = must(UdpSocket::bind(pair_.channel(0), {}), "bind");
    const UdpSocket to = must(UdpSocket::bind(pair_.channel(1), kServer), "bind");
    std::jthread other([&](const std::stop_token& stop) {
      const Batch b(batch);
      while (!stop.stop_requested()) (void)(batch > 1 ? from.send_many(b.out) : from.send_to(b.out[0].bytes, kServer));
    });
    Batch b(batch);
    std::uint64_t got = 0;
    const Instant began = monotonic_now();
    while (got < bytes) {
      if (batch > 1) {
        const auto n = to.recv_many(b.in, Duration::s(10));
        if (!n) break;
        got += b.bytes(*n);
      } else {
        const auto n = to.recv_from(b.in[0].to, Duration::s(10));
        if (!n) break;
        got += n->count;
      }
    }
    const Duration took = monotonic_now() - began;
    return {static_cast<double>(took.count_ns()) * 1e-9, got};
  }

 private:
  static bool take(const TcpStream& s, MutableByteSpan to) {
    for (std::size_t n = 0; n < to.size();) {
      const auto got = s.recv(to.subspan(n), Duration::s(10));
      if (!got || *got == 0) return false;
      n += *got;
    }
    return true;
  }
  void connect() {
    if (client_) return;
    listener_ = must(TcpListener::listen(pair_.channel(1), kServer), "listen");
    client_ = must(TcpStream::connect(pair_.channel(0), kServer, Duration::s(10)), "connect");
    server_ = must(listener_.accept(Duration::s(10)), "accept");
    must(client_.set_option(OptionId::tcp_nodelay, 1), "option");
    must(server_.set_option(OptionId::tcp_nodelay, 1), "option");
  }
  ThreadedPair pair_;
  TcpListener listener_;
  TcpStream client_, server_;
};

// --- rows ------------------------------------------------------------------------------------------------------------

struct Best {
  double per_second = 0;
  void keep(const Measured& m) {
    if (m.seconds > 0) per_second = std::max(per_second, static_cast<double>(m.count) / m.seconds);
  }
};

// What each form reached, the forms alternating.
struct Figures {
  Best direct, commanded, threaded;
};
template <class Measure>
Figures measure(const Request& request, std::uint32_t mtu, Measure&& once) {
  Figures f;
  Direct direct(mtu);
  Commanded commanded(mtu);
  Threaded threaded(mtu);
  for (int i = 0; i < request.repetitions; ++i) {
    f.direct.keep(once(direct));
    f.commanded.keep(once(commanded));
    f.threaded.keep(once(threaded));
  }
  return f;
}

Row& row_of(std::vector<Row>& rows, std::uint32_t mtu, const char* protocol, const char* form, int cpus) {
  return rows.emplace_back()
      .set("device", "memory")
      .set("mtu", mtu)
      .set("protocol", protocol)
      .set("form", form)
      .set("checksums", "software")
      .set("cpus", cpus)
      .set("wait", cpus == 1 ? "spin" : "sleep");
}

}  // namespace

std::vector<Row> run_channel(const Request& request) {
  std::vector<Row> rows;
  for (const std::uint32_t mtu : or_default(request.mtus, {1500U})) {
    say(request, "channel: requests, mtu " + std::to_string(mtu));
    const std::uint64_t count = scaled(request, 20'000);
    const Figures r = measure(request, mtu, [&](auto& form) { return form.requests(count); });
    const auto requests = [&](const char* form, int cpus, const Best& best) -> Row& {
      return row_of(rows, mtu, "tcp", form, cpus)
          .set("bytes", std::uint64_t{kRequest})
          .set("requests_per_s", best.per_second)
          .set("ns_per_request", best.per_second > 0 ? 1e9 / best.per_second : 0.0);
    };
    requests("direct", 1, r.direct);
    requests("channel", 1, r.commanded).set("ratio_to_direct", r.commanded.per_second / r.direct.per_second);
    requests("channel", 2, r.threaded);
    struct Load {
      const char* protocol;
      std::size_t batch;
    };
    for (const Load load : {Load{"tcp", 1}, Load{"udp", 1}, Load{"udp", kMany}}) {
      const char* const protocol = load.protocol;
      const std::size_t batch = load.batch;
      const bool tcp = std::string_view{protocol} == "tcp";
      say(request, std::string("channel: bulk by ") + protocol + ", mtu " + std::to_string(mtu));
      const std::uint64_t bytes = scaled(request, tcp ? 256'000'000 : 50'000'000, kPiece);
      const Figures f =
          measure(request, mtu, [&](auto& form) { return tcp ? form.tcp(bytes) : form.udp(bytes, batch); });
      const auto bulk = [&](const char* form, int cpus, const Best& best) -> Row& {
        Row& row = row_of(rows, mtu, protocol, form, cpus).set("gbit_per_s", best.per_second * 8e-9);
        if (!tcp) row.set("packets_per_s", best.per_second / static_cast<double>(kDatagram)).set("batch", batch);
        return row;
      };
      if (batch == 1) bulk("direct", 1, f.direct);
      bulk("channel", 1, f.commanded).set("ratio_to_direct", f.commanded.per_second / f.direct.per_second);
      bulk("channel", 2, f.threaded);
    }
  }
  return rows;
}

}  // namespace leat::bench
