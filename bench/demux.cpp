// demux: in-order 64-byte data segments for random ones of N established connections, straight into Stack::input.
// Measured is all that the stack does for them: input, timers, delivery with the application's copy, and the ACKs that
// leave. Not measured: writing the segments.

#include <bench/clock.hpp>
#include <bench/crafted_peer.hpp>
#include <bench/loads.hpp>
#include <limits>

namespace leat::bench {
namespace {

// One run ends here whatever it has done: a million connections on a machine with other work took minutes.
constexpr Duration kMostOfARun = Duration::s(2);

struct Measurement {
  double ns_per_segment = 0;
  double acks_per_segment = 0;
};

Measurement measure(Stack& stack, CraftedPeer& peer, std::uint32_t connections, std::size_t burst,
                    std::uint64_t segments, Random& random) {
  std::array<std::uint8_t, 4096> application;
  std::uint64_t received = 0, acks = 0, sent = 0;
  BlockTimer timer{256};
  PacketBatch in{burst}, out;
  const Instant began = monotonic_now();
  for (Instant t = began; sent < segments && t - began < kMostOfARun; t = monotonic_now()) {
    while (!in.full()) {
      Packet p = peer.data(random.below(connections), t);
      if (!p) throw std::runtime_error("the packet pool is empty");
      in.push(std::move(p));
    }
    sent += burst;
    timer.begin();
    stack.input(peer.interface(), in, t);
    stack.run_timers(t);
    ReadyEvent event;
    while (stack.next_ready(event)) {
      const auto got = stack.try_receive(event.socket, application);
      if (got) received += got->count;
    }
    while (stack.has_output(peer.interface())) {
      stack.output(peer.interface(), out, t);
      if (out.empty()) break;
      acks += out.size();
      for (Packet& p : out) peer.take(std::move(p));
      out.clear();
    }
    timer.end();
    timer.done(burst);
    peer.flush(t);
  }
  if (received != sent * CraftedPeer::kPayload) throw std::runtime_error("bytes are missing");
  return {timer.median_ns_per_unit(), static_cast<double>(acks) / static_cast<double>(sent)};
}

}  // namespace

std::vector<Row> run_demux(const Request& request) {
  std::vector<Row> rows;
  for (const std::uint64_t n : or_default<std::uint64_t>(request.connections, {10, 1'000, 100'000, 1'000'000})) {
    say(request, "demux: " + std::to_string(n) + " connections");
    const auto connections = static_cast<std::uint32_t>(n);
    PacketMemory pool = make_pool({.packets = 16384, .chunks = {8192, 8192, 0}, .reserve = 64});
    const ReservedStorage tables = make_tables(limits_for(connections));
    Stack stack(tables.view(pool.pool()), kAllModules, seeded_entropy(3), monotonic_now());
    CraftedPeer peer(stack, connections);
    static constexpr Sink kNobody{};
    peer.establish(&kNobody, Ready::readable);
    ReadyEvent event;
    while (stack.next_ready(event)) {
    }
    for (const std::size_t burst : {std::size_t{64}, std::size_t{1}}) {
      Random random(n + burst);
      const std::uint64_t segments = scaled(request, burst == 1 ? 500'000 : 2'000'000, burst);
      Measurement best{std::numeric_limits<double>::infinity(), 0};
      for (int i = 0; i < request.repetitions; ++i) {
        const Measurement m = measure(stack, peer, connections, burst, segments, random);
        if (m.ns_per_segment < best.ns_per_segment) best = m;
      }
      rows.emplace_back()
          .set("connections", n)
          .set("batch", static_cast<std::uint64_t>(burst))
          .set("bytes", CraftedPeer::kPayload)
          .set("checksums", "software")
          .set("acks_per_segment", best.acks_per_segment)
          .set("ns_per_segment", best.ns_per_segment);
    }
  }
  return rows;
}

}  // namespace leat::bench
