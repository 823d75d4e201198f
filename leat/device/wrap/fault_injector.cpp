#include <leat/device/wrap/fault_injector.hpp>
#include <leat/offload/checksum_completion.hpp>

namespace leat {
namespace {

constexpr Duration kRetry = Duration::us(200);  // after the inner device or the pool was full
constexpr int kRoundsPerCall = 16;              // batches that one call takes from the inner device

// A second key from the first, so that the directions don't draw the same numbers.
SipKey other_key(SipKey key) {
  return {siphash24(key, std::uint64_t{1}), siphash24(key, std::uint64_t{2})};
}

}  // namespace

FaultInjector::FaultInjector(AnyDevice& inner, const Config& config, std::span<DelaySlot> tx_slots,
                             std::span<DelaySlot> rx_slots)
    : inner_(&inner),
      link_(inner.caps().link),
      tx_(tx_slots, config.tx, config.seed, link_),
      rx_(rx_slots, config.rx, other_key(config.seed), link_) {}

DeviceCaps FaultInjector::caps() const {
  DeviceCaps c = inner_->caps();
  c.max_gso = 0;
  c.tx_checksum = false;
  c.rx_checksum = false;
  c.rx_merges = false;
  c.rx_level = false;  // what is on the line here, the inner device's descriptor does not tell
  return c;
}

Instant FaultInjector::next_event() const {
  // While the inner device is full, what is due waits for the retry.
  const Instant out = out_.empty() ? tx_.next_event() : retry_;
  return earlier(earlier(out, rx_.next_event()), earlier(retry_, inner_->next_event()));
}

// Gives what is due to the inner device.
void FaultInjector::push_out(Instant now) {
  for (;;) {
    while (!out_.full()) {
      Packet p = tx_.take(now);
      if (!p) break;
      out_.push(std::move(p));
    }
    if (out_.empty()) return;
    inner_->tx(out_, now);
    if (!out_.empty()) {
      retry_ = earlier(retry_, now + kRetry);
      return;
    }
  }
}

// Puts the frames of the super-segment in hand on the line. False when the pool is empty before the last one.
bool FaultInjector::cut(Instant now) {
  PacketBatch frames;
  for (;;) {
    const GsoSplitter::Progress progress = cutter_.run(frames);
    for (Packet& frame : frames) rx_.submit(std::move(frame), now);
    frames.clear();
    if (progress == GsoSplitter::Progress::done) return true;
    if (progress == GsoSplitter::Progress::no_memory) return false;
  }
}

// Puts what was received on the line. False when some of it has to wait for memory.
bool FaultInjector::pull_in(Instant now) {
  if (cutter_.active() && !cut(now)) return false;
  for (std::size_t i = 0; i < in_.size(); ++i) {
    Packet& p = in_[i];
    if (p.meta().gso_size == 0) {
      if (complete_checksum(p, link_)) {
        rx_.submit(std::move(p), now);
      } else {
        ++counters_.rx_dropped;
        p.reset();
      }
      continue;
    }
    if (!cutter_.begin(std::move(p), {.linear = false, .checksum_offload = false})) {
      ++counters_.rx_dropped;
      p.reset();  // NOLINT(bugprone-use-after-move): a refusal leaves it whole
      continue;
    }
    if (!cut(now)) {
      in_.pop_front(i + 1);
      return false;
    }
  }
  in_.clear();
  return true;
}

std::size_t FaultInjector::rx(PacketBatch& batch, Instant now) {
  retry_ = Instant::never();
  push_out(now);
  if (pull_in(now)) {
    for (int round = 0; round < kRoundsPerCall; ++round) {
      const bool more = inner_->rx(in_, now) == PacketBatch::kMax;
      if (!pull_in(now)) {
        retry_ = earlier(retry_, now + kRetry);
        break;
      }
      if (!more) break;
    }
  } else {
    retry_ = earlier(retry_, now + kRetry);
  }
  std::size_t n = 0;
  while (!batch.full()) {
    Packet p = rx_.take(now);
    if (!p) break;
    p.meta().time = now;
    ++n;
    ++counters_.rx_packets;
    counters_.rx_bytes += p.size();
    batch.push(std::move(p));
  }
  return n;
}

std::size_t FaultInjector::tx(PacketBatch& batch, Instant now) {
  const std::size_t n = batch.size();
  for (Packet& p : batch) {
    ++counters_.tx_packets;
    counters_.tx_bytes += p.size();
    tx_.submit(std::move(p), now);
  }
  batch.clear();
  push_out(now);
  return n;
}

void FaultInjector::add_drops(Counters& to) const {
  for (const Impairment* line : {&tx_, &rx_}) {
    const ImpairmentCounters& c = line->counters();
    to.add(DropReason::impairment_lost, c.lost + c.down);
    to.add(DropReason::impairment_queue_full, c.queue_full);
  }
}

}  // namespace leat
