// bulk over a wire in memory: one connection, one direction, two stacks on one thread. Checksums in software on both
// sides; the application copies in (try_send from its buffer) and out (try_receive into its buffer).

#include <algorithm>
#include <bench/clock.hpp>
#include <bench/event_counter.hpp>
#include <bench/loads.hpp>
#include <bench/lwip_peer.hpp>
#include <bench/stacks.hpp>

namespace leat::bench {
namespace {

struct Transfer {
  double seconds = 1e9;  // CPU time of both sides
  std::uint64_t bytes = 0, data_packets = 0, ack_packets = 0;
  std::optional<std::uint64_t> instructions{};  // of both sides
  [[nodiscard]] double gbit() const { return static_cast<double>(bytes) * 8e-9 / seconds; }
};

class Bulk {
 public:
  Bulk(std::uint32_t mtu, std::uint32_t frames, bool stretch, bool link_copies)
      : wire_({.mtu = mtu, .frames = frames, .link_copies = link_copies}) {
    wire_.set_option(OptionId::tcp_stretch_acks, stretch ? 2 : 0);
    Stack& server = wire_.server().stack;
    listener_ = must(server.open_stream(), "socket");
    must(server.bind(listener_, {wire_.server_address(), Port{5001}}), "bind");
    must(server.listen(listener_, 4), "listen");
    Stack& client = wire_.client().stack;
    sender_ = must(client.open_stream(), "socket");
    must(client.connect(sender_, {wire_.server_address(), Port{5001}}), "connect");
    wire_.settle();
    receiver_ = must(server.try_accept(listener_), "accept");
    if (!receiver_) throw std::runtime_error("the connection did not arrive");
  }

  Transfer run(std::uint64_t bytes) {
    Transfer r;
    const DeviceCounters before = wire_.pipe().a().counters();
    const DeviceCounters acks_before = wire_.pipe().b().counters();
    Host& client = wire_.client();
    Host& server = wire_.server();
    const auto instructions_before = instructions_.read();
    const double began = thread_cpu_seconds();
    Instant progress = monotonic_now();
    while (r.bytes < bytes) {
      while (true) {
        const auto sent = client.stack.try_send(sender_, out_);
        if (!sent) fail_with("send", sent.error());
        if (sent->count < out_.size()) break;
      }
      const Instant t = monotonic_now();
      client.shard.turn(t);
      server.shard.turn(t);
      const std::uint64_t had = r.bytes;
      while (true) {
        const auto got = server.stack.try_receive(receiver_, in_);
        if (!got) fail_with("receive", got.error());
        r.bytes += got->count;
        if (got->count < in_.size()) break;
      }
      if (r.bytes != had) progress = t;
      if (t - progress > Duration::s(10)) throw std::runtime_error("the transfer stands still");
    }
    r.seconds = thread_cpu_seconds() - began;
    const auto instructions_after = instructions_.read();
    if (instructions_before && instructions_after) r.instructions = *instructions_after - *instructions_before;
    r.data_packets = wire_.pipe().a().counters().tx_packets - before.tx_packets;
    r.ack_packets = wire_.pipe().b().counters().tx_packets - acks_before.tx_packets;
    return r;
  }

 private:
  Wire wire_;
  EventCounter instructions_ = EventCounter::instructions();
  Handle listener_, sender_, receiver_;
  std::vector<std::uint8_t> out_ = std::vector<std::uint8_t>(65536, 0x5a);
  std::vector<std::uint8_t> in_ = std::vector<std::uint8_t>(65536);
};

constexpr std::uint64_t kBytes = 1'000'000'000;
constexpr std::uint64_t kPeerBytes = 250'000'000;

}  // namespace

std::vector<Row> run_bulk_memory(const Request& request) {
  std::vector<Row> rows;
  for (const std::uint32_t mtu : or_default<std::uint32_t>(request.mtus, {1500, 9000, 65535})) {
    const std::uint32_t frames = mtu > 30'000 ? 64 : 1024;
    LwipPeer* lwip = request.peers && mtu == 1500 ? LwipPeer::open() : nullptr;
    for (const bool stretch : {true, false}) {
      for (const bool link_copies : {false, true}) {
        say(request, "bulk over memory: MTU " + std::to_string(mtu));
        Bulk bulk(mtu, frames, stretch, link_copies);
        Transfer best;
        double peer = 0;
        for (int i = 0; i < request.repetitions; ++i) {
          const Transfer t = bulk.run(scaled(request, kBytes));
          if (t.gbit() > best.gbit()) best = t;
          if (lwip == nullptr) continue;
          const std::uint64_t bytes = scaled(request, kPeerBytes);
          peer = std::max(peer, static_cast<double>(bytes) * 8e-9 / lwip->bulk(bytes).seconds);
        }
        const auto packets = static_cast<double>(best.data_packets);
        Row& row = rows.emplace_back()
                       .set("device", "memory")
                       .set("mtu", mtu)
                       .set("ring_frames", frames)
                       .set("bytes", best.bytes)
                       .set("checksums", "software")
                       .set("zero_copy", false)
                       .set("link_copies", link_copies)
                       .set("cpus", 1)
                       .set("stretch_acks", stretch)
                       .set("acks_per_segment", static_cast<double>(best.ack_packets) / packets)
                       .set("gbit_per_s_per_core", best.gbit())
                       .set("gbit_per_s", best.gbit())
                       .set("packets_per_s", packets / best.seconds)
                       .set("ns_per_packet", best.seconds * 1e9 / packets);
        if (best.instructions) row.set("instructions_per_packet", static_cast<double>(*best.instructions) / packets);
        if (peer > 0)
          row.set("peer", "lwip").set("peer_gbit_per_s_per_core", peer).set("ratio_to_peer", best.gbit() / peer);
      }
    }
  }
  return rows;
}

std::vector<Row> run_bulk(const Request& request) {
  std::vector<Row> rows;
  if (request.device.empty() || request.device == "memory") rows = run_bulk_memory(request);
  if (request.device.empty() || request.device == "tap") {
    for (Row& row : run_bulk_tap(request)) rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace leat::bench
