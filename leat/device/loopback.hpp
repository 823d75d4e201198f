#pragma once
// LoopbackDevice: what is sent comes back, in order. A device like any other, for tests and for stacks that want a
// loopback interface of their own; packets to a stack's own addresses need none (the stack has a loopback queue).
//
// The ring is the caller's memory. Packets move, nothing is copied. Full is full: tx leaves the rest in the batch.
// Threading: one owner.

#include <leat/base/ring.hpp>
#include <leat/device/device.hpp>
#include <leat/device/received.hpp>

namespace leat {

class LoopbackDevice {
 public:
  // `caps.max_gso`, checksum offload and gather are free here: nothing reaches a wire.
  explicit LoopbackDevice(std::span<Packet> ring, const DeviceCaps& caps = free_caps()) : caps_(caps), ring_(ring) {}
  static constexpr DeviceCaps free_caps() {
    return {.link = LinkType::ip,
            .mac = {},
            .mtu = 65535,
            .max_gso = 65535,
            .tx_checksum = true,
            .rx_checksum = true,
            .rx_merges = true,
            .gather = true};
  }

  [[nodiscard]] DeviceCaps caps() const { return caps_; }
  std::size_t rx(PacketBatch& batch, Instant now) {
    std::size_t n = 0;
    for (; !ring_.empty() && !batch.full(); ++n) {
      Packet p = ring_.pop();
      mark_received(p, now);
      ++counters_.rx_packets;
      counters_.rx_bytes += p.size();
      batch.push(std::move(p));
    }
    return n;
  }
  std::size_t tx(PacketBatch& batch, Instant) {
    std::size_t n = 0;
    for (; n < batch.size(); ++n) {
      const std::uint32_t bytes = batch[n].size();
      if (!ring_.push(std::move(batch[n]))) {
        ++counters_.tx_full;
        break;
      }
      ++counters_.tx_packets;
      counters_.tx_bytes += bytes;
    }
    batch.pop_front(n);
    return n;
  }
  [[nodiscard]] Instant next_event() const { return ring_.empty() ? Instant::never() : Instant{}; }
  [[nodiscard]] int poll_fd() const { return -1; }
  [[nodiscard]] DeviceCounters counters() const { return counters_; }

 private:
  DeviceCaps caps_;
  SpanRing<Packet> ring_;
  DeviceCounters counters_;
};
static_assert(NetDevice<LoopbackDevice>);

}  // namespace leat
