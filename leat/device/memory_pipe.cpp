#include <leat/device/memory_pipe.hpp>
#include <leat/device/received.hpp>

namespace leat {
namespace {

constexpr Duration kMemoryRetry = Duration::ms(1);

}  // namespace

MemoryPipe::MemoryPipe(const Options& o) : a_(*o.pool_a, o.to_a, o.caps), b_(*o.pool_b, o.to_b, o.caps) {
  a_.peer_ = &b_;
  b_.peer_ = &a_;
  a_.caps_.mac = o.mac_a;
  b_.caps_.mac = o.mac_b;
}

std::size_t MemoryPipe::End::tx(PacketBatch& batch, Instant) {
  std::size_t n = 0;
  for (; n < batch.size(); ++n) {
    Packet& p = batch[n];
    if (!fits(p, caps_)) {
      ++counters_.tx_dropped;
      p.reset();
      continue;
    }
    const std::uint32_t bytes = p.size();
    if (!peer_->incoming_.push(std::move(p))) {
      ++counters_.tx_full;
      break;
    }
    ++counters_.tx_packets;
    counters_.tx_bytes += bytes;
  }
  batch.pop_front(n);
  return n;
}

std::size_t MemoryPipe::End::rx(PacketBatch& batch, Instant now) {
  std::size_t n = 0;
  retry_ = Instant{};
  while (!incoming_.empty() && !batch.full()) {
    Packet p;
    if (&incoming_.front().pool() == pool_) {
      p = incoming_.pop();
    } else {
      const Packet& theirs = incoming_.front();
      p = copy_into(theirs, *pool_);
      if (!p) {
        starved_since_ = earlier(starved_since_, now);
        if (can_ever_copy(theirs.size(), *pool_) && now - starved_since_ < kPatience) {
          retry_ = now + kMemoryRetry;
          break;
        }
        ++counters_.rx_dropped;
        incoming_.pop().reset();
        continue;
      }
      starved_since_ = Instant::never();
      incoming_.pop().reset();
    }
    mark_received(p, now);
    ++counters_.rx_packets;
    counters_.rx_bytes += p.size();
    batch.push(std::move(p));
    ++n;
  }
  return n;
}

}  // namespace leat
