// echo: the client sends 100 bytes on a random one of N connections and waits for them to come back. Measured is the
// server's side alone: its turns, with reception, delivery to the echo handler, its read and write, and transmission.

#include <algorithm>
#include <bench/clock.hpp>
#include <bench/loads.hpp>
#include <bench/lwip_peer.hpp>
#include <bench/stacks.hpp>
#include <deque>
#include <limits>

namespace leat::bench {
namespace {

constexpr std::size_t kBytes = 100;
constexpr std::uint16_t kFirstPort = 7000;
constexpr std::uint32_t kPerPort = 20'000;  // below the number of ephemeral ports
// On many connections an answer stays in memory until the client's delayed ACK, 40 ms later: more than 16,000 of them.
Wire::Options options_for(std::uint32_t connections) {
  Wire::Options o{.connections = connections};
  if (connections > 10'000) o.layout = {.packets = 131072, .chunks = {65536, 16384, 64}, .reserve = 64};
  return o;
}

class EchoServer {
 public:
  explicit EchoServer(Stack& stack) : stack_(&stack) {}
  void listen(const Endpoint& at) {
    CallbackSocket& listener = listeners_.emplace_back();
    must(listener.listen(*stack_, at, 4096, CallbackSocket::Handler::to<&EchoServer::on_listener>(*this)), "listen");
  }
  [[nodiscard]] std::size_t accepted() const { return connections_.size(); }

 private:
  void on_listener(CallbackSocket& listener, Ready) {
    while (true) {
      CallbackSocket& next = connections_.emplace_back();
      const auto took = next.accept(listener, CallbackSocket::Handler::to<&EchoServer::on_data>(*this));
      if (took && *took) continue;
      connections_.pop_back();
      return;
    }
  }
  void on_data(CallbackSocket& s, Ready) {
    std::array<std::uint8_t, 2048> buffer;
    while (true) {
      const auto got = s.read(buffer);
      if (!got || got->count == 0) return;
      const auto sent = s.write(ByteSpan{buffer.data(), got->count});
      if (!sent || sent->count != got->count) throw std::runtime_error("the server could not write an answer");
      if (got->count < buffer.size()) return;
    }
  }

  Stack* stack_;
  std::deque<CallbackSocket> listeners_, connections_;
};

class Echo {
 public:
  explicit Echo(std::uint32_t connections) : wire_(options_for(connections)), server_(wire_.server().stack) {
    wire_.set_option(OptionId::tcp_nodelay, 1);
    Stack& client = wire_.client().stack;
    for (std::uint32_t first = 0; first < connections; first += kPerPort) {
      const Endpoint at{wire_.server_address(), Port{static_cast<std::uint16_t>(kFirstPort + first / kPerPort)}};
      server_.listen(at);
      const std::uint32_t end = std::min(connections, first + kPerPort);
      for (std::uint32_t i = first; i < end; ++i) {
        clients_.push_back(must(client.open_stream(), "socket"));
        must(client.connect(clients_.back(), at), "connect");
        if (i % 64 == 0 || i + 1 == end) wire_.settle();  // the first alone: it resolves the neighbour
      }
    }
    wire_.settle();
    if (server_.accepted() != connections) throw std::runtime_error("not all connections arrived");
  }

  // ns of the server's side per echo.
  double run(std::uint32_t echoes) {
    Host& client = wire_.client();
    std::array<std::uint8_t, kBytes> message{}, answer{};
    BlockTimer timer{64};
    for (std::uint32_t i = 0; i < echoes; ++i) {
      const Handle h = clients_[random_.below(static_cast<std::uint32_t>(clients_.size()))];
      const auto sent = client.stack.try_send(h, message);
      if (!sent || sent->count != kBytes) throw std::runtime_error("a send did not fit");
      std::size_t back = 0;
      for (int round = 0; back < kBytes; ++round) {
        if (round > 1'000'000) throw std::runtime_error("an echo did not come back");
        const Instant t = monotonic_now();
        client.shard.turn(t);
        timer.begin();
        serve(t);
        timer.end();
        client.shard.turn(t);
        const auto got = client.stack.try_receive(h, answer);
        if (got) back += got->count;
      }
      timer.done(1);
    }
    return timer.median_ns_per_unit();
  }

 private:
  // What is measured; a function of its own so that profilers can tell it from the client's turns.
  [[gnu::noinline]] void serve(Instant t) { wire_.server().shard.turn(t); }

  Wire wire_;
  EchoServer server_;
  std::vector<Handle> clients_;
  Random random_{7};
};

}  // namespace

std::vector<Row> run_echo(const Request& request) {
  std::vector<Row> rows;
  for (const std::uint64_t n : or_default<std::uint64_t>(request.connections, {1, 1'000, 100'000})) {
    say(request, "echo: " + std::to_string(n) + " connections");
    Echo echo(static_cast<std::uint32_t>(n));
    LwipPeer* lwip = request.peers && n <= 1'000 ? LwipPeer::open() : nullptr;  // beyond, lwIP's scans take minutes
    double best = std::numeric_limits<double>::infinity(), peer = best;
    for (int i = 0; i < request.repetitions; ++i) {
      best = std::min(best, echo.run(static_cast<std::uint32_t>(scaled(request, 200'000))));
      if (lwip != nullptr)
        peer = std::min(peer,
                        lwip->echo(static_cast<std::uint32_t>(n), static_cast<std::uint32_t>(scaled(request, 20'000))));
    }
    Row& row = rows.emplace_back()
                   .set("device", "memory")
                   .set("mtu", 1500)
                   .set("connections", n)
                   .set("bytes", static_cast<std::uint64_t>(kBytes))
                   .set("checksums", "software")
                   .set("form", "event")
                   .set("cpus", 1)
                   .set("ns_per_echo", best);
    if (lwip != nullptr) row.set("peer", "lwip").set("peer_ns_per_echo", peer).set("ratio_to_peer", best / peer);
  }
  return rows;
}

}  // namespace leat::bench
