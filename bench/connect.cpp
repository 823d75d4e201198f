// connect: a connection is opened, accepted, and closed by both sides, the client first; then the next. CPU time of
// both stacks, on one thread. `batch` of them are under way at once.

#include <algorithm>
#include <bench/clock.hpp>
#include <bench/loads.hpp>
#include <bench/lwip_peer.hpp>
#include <bench/stacks.hpp>

namespace leat::bench {
namespace {

constexpr std::uint16_t kPort = 9000;

class Connects {
 public:
  explicit Connects(std::uint32_t time_wait_us) : wire_({.connections = 1024}) {
    wire_.set_option(OptionId::tcp_time_wait, time_wait_us);
    Stack& server = wire_.server().stack;
    listener_ = must(server.open_stream(), "socket");
    must(server.bind(listener_, {wire_.server_address(), Port{kPort}}), "bind");
    must(server.listen(listener_, 1024), "listen");
    round(1);  // resolves the neighbour
  }

  // Connections a second.
  double run(std::uint32_t count, std::uint32_t batch) {
    const double began = thread_cpu_seconds();
    for (std::uint32_t done = 0; done < count; done += batch) round(batch);
    return count / (thread_cpu_seconds() - began);
  }

 private:
  void turn() {
    const Instant t = monotonic_now();
    wire_.client().shard.turn(t);
    wire_.server().shard.turn(t);
  }
  void round(std::uint32_t batch) {
    Stack& client = wire_.client().stack;
    Stack& server = wire_.server().stack;
    opened_.clear();
    accepted_.clear();
    for (std::uint32_t i = 0; i < batch; ++i) {
      opened_.push_back(must(client.open_stream(), "socket"));
      must(client.connect(opened_.back(), {wire_.server_address(), Port{kPort}}), "connect");
    }
    for (int turns = 0; accepted_.size() < batch; ++turns) {
      if (turns > 1'000'000) throw std::runtime_error("a connection did not arrive");
      turn();
      while (accepted_.size() < batch) {
        const Handle h = must(server.try_accept(listener_), "accept");
        if (!h) break;
        accepted_.push_back(h);
      }
    }
    for (const Handle h : opened_) must(client.close(h), "close");
    turn();
    // The server closes when it has read the client's end.
    std::array<std::uint8_t, 16> buffer;
    for (const Handle h : accepted_) {
      for (int turns = 0;; ++turns) {
        const auto got = server.try_receive(h, buffer);
        if (!got || got->status == IoStatus::end_of_stream) break;
        if (turns > 1'000'000) throw std::runtime_error("an end did not arrive");
        turn();
      }
      must(server.close(h), "close");
    }
    turn();  // the server's FIN leaves
    turn();  // the client's answer arrives
  }

  Wire wire_;
  Handle listener_;
  std::vector<Handle> opened_, accepted_;
};

}  // namespace

std::vector<Row> run_connect(const Request& request) {
  std::vector<Row> rows;
  LwipPeer* lwip = request.peers ? LwipPeer::open() : nullptr;
  for (const std::uint32_t batch : {1U, 64U}) {
    say(request, "connect: " + std::to_string(batch) + " at once");
    Connects connects(0);
    double best = 0, peer = 0;
    for (int i = 0; i < request.repetitions; ++i) {
      best = std::max(best, connects.run(static_cast<std::uint32_t>(scaled(request, 256'000, batch)), batch));
      if (lwip != nullptr && batch == 1)
        peer = std::max(peer, lwip->connect_rate(static_cast<std::uint32_t>(scaled(request, 100'000))));
    }
    Row& row = rows.emplace_back()
                   .set("device", "memory")
                   .set("mtu", 1500)
                   .set("batch", batch)
                   .set("checksums", "software")
                   .set("cpus", 1)
                   .set("connections_per_s", best);
    if (peer > 0) row.set("peer", "lwip").set("peer_connections_per_s", peer).set("ratio_to_peer", best / peer);
  }
  return rows;
}

}  // namespace leat::bench
