#include <leat/device/received.hpp>
#include <leat/sim/link.hpp>

namespace leat::sim {
namespace {

PoolLayout layout_of(const LinkConfig& c) {
  // A frame that is damaged or sent twice needs a second packet for a moment.
  const std::uint32_t frames = 2 * c.in_flight + 64;
  const bool jumbo = c.mtu + 64 + kHeadroom > kChunkBytes[1];
  return {.packets = frames, .chunks = {frames, jumbo ? 0 : frames, jumbo ? frames : 0}, .reserve = 0};
}

SipKey direction_key(std::uint64_t seed, unsigned number, unsigned direction) {
  return derive_key({{seed, 0x6c696e6b, number, direction}}, 1);
}

MacAddress mac_of(unsigned number, unsigned end) {
  return {{0x02, 0x1e, 0xa7, static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number),
           static_cast<std::uint8_t>(end)}};
}

}  // namespace

Link::Link(const LinkConfig& config, std::uint64_t seed, unsigned number, PacketPool& first, PacketPool& second)
    : config_(config),
      layout_(layout_of(config)),
      region_(std::make_unique_for_overwrite<std::uint8_t[]>(PacketPool::bytes_needed(layout_))),
      pool_({region_.get(), PacketPool::bytes_needed(layout_)}, layout_),
      there_slots_(config.in_flight),
      back_slots_(config.in_flight),
      there_(there_slots_, config.there, direction_key(seed, number, 1), config.link),
      back_(back_slots_, config.back, direction_key(seed, number, 2), config.link),
      first_(*this, there_, back_, first, mac_of(number, 1)),
      second_(*this, back_, there_, second, mac_of(number, 2)) {}

void Link::check_invariants() const {
  there_.check_invariants();
  back_.check_invariants();
}

DeviceCaps Link::End::caps() const {
  return {.link = link_->config_.link,
          .mac = mac_,
          .mtu = link_->config_.mtu,
          .max_gso = 0,
          .tx_checksum = false,
          .rx_checksum = false,
          .rx_merges = !link_->config_.software_gro,
          .gather = true};
}

std::size_t Link::End::tx(PacketBatch& batch, Instant now) {
  const std::size_t n = batch.size();
  for (Packet& p : batch) {
    Packet frame = p.copy_to(link_->pool_, 0);
    if (!frame) {
      ++counters_.tx_dropped;
      continue;
    }
    ++counters_.tx_packets;
    counters_.tx_bytes += frame.size();
    out_->submit(std::move(frame), now);
  }
  batch.clear();
  return n;
}

std::size_t Link::End::rx(PacketBatch& batch, Instant now) {
  const std::size_t before = batch.size();
  while (!batch.full()) {
    const Packet frame = in_->take(now);
    if (!frame) break;
    Packet p = copy_into(frame, *pool_);
    if (!p) {
      ++counters_.rx_dropped;
      continue;
    }
    p.meta().time = now;
    p.meta().checksum = ChecksumState::none;
    ++counters_.rx_packets;
    counters_.rx_bytes += p.size();
    batch.push(std::move(p));
  }
  return batch.size() - before;
}

}  // namespace leat::sim
