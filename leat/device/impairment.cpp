#include <leat/base/assert.hpp>
#include <leat/device/impairment.hpp>
#include <leat/offload/packet_layers.hpp>

namespace leat {

Impairment::Impairment(std::span<DelaySlot> slots, const ImpairmentConfig& config, SipKey seed, LinkType link)
    : slots_(slots), config_(config), rng_(seed), link_(link) {
  LEAT_ASSERT(!slots.empty());
}

bool Impairment::chance(std::uint32_t ppm) {
  return ppm > 0 && rng_.below(kPpm) < ppm;
}

bool Impairment::before(Index a, Index b) const {
  const DelaySlot& x = slots_[a];
  const DelaySlot& y = slots_[b];
  return x.due < y.due || (x.due == y.due && x.number < y.number);
}

Index Impairment::take_slot() {
  if (free_ != kNoIndex) {
    const Index i = free_;
    free_ = slots_[i].next;
    return i;
  }
  return used_ < slots_.size() ? used_++ : kNoIndex;
}

// Forgets, as queued, the packets whose last bit has left by `now`. Nothing is due before it was sent, so a slot is
// never reused while it is in this list.
void Impairment::leave_queue(Instant now) {
  while (queue_head_ != kNoIndex && slots_[queue_head_].sent <= now) {
    queue_head_ = slots_[queue_head_].next;
    --queued_;
  }
  if (queue_head_ == kNoIndex) queue_tail_ = kNoIndex;
}

void Impairment::insert(Packet&& p, Instant due, Instant sent, bool queued) {
  const Index slot = take_slot();
  if (slot == kNoIndex) {
    ++counters_.queue_full;
    p.reset();
    return;
  }
  DelaySlot& s = slots_[slot];
  s.packet = std::move(p);
  s.due = due;
  s.sent = sent;
  s.number = next_number_++;
  s.next = kNoIndex;
  if (queued) {
    (queue_tail_ == kNoIndex ? queue_head_ : slots_[queue_tail_].next) = slot;
    queue_tail_ = slot;
    ++queued_;
  }
  std::uint32_t at = size_++;
  while (at > 0) {
    const std::uint32_t up = (at - 1) / 2;
    if (!before(slot, slots_[up].heap_entry)) break;
    slots_[at].heap_entry = slots_[up].heap_entry;
    at = up;
  }
  slots_[at].heap_entry = slot;
}

Packet Impairment::take(Instant now) {
  leave_queue(now);
  if (size_ == 0) return {};
  const Index slot = slots_[0].heap_entry;
  if (slots_[slot].due > now) return {};
  const Index last = slots_[--size_].heap_entry;
  std::uint32_t at = 0;
  for (;;) {
    std::uint32_t child = 2 * at + 1;
    if (child >= size_) break;
    if (child + 1 < size_ && before(slots_[child + 1].heap_entry, slots_[child].heap_entry)) ++child;
    if (!before(slots_[child].heap_entry, last)) break;
    slots_[at].heap_entry = slots_[child].heap_entry;
    at = child;
  }
  if (size_ > 0) slots_[at].heap_entry = last;
  Packet p = std::move(slots_[slot].packet);
  slots_[slot].next = free_;
  free_ = slot;
  ++counters_.delivered;
  return p;
}

bool Impairment::damageable(const Packet& p) const {
  const std::size_t link = link_header_length(link_);
  if (p.size() <= link) return false;
  const ByteSpan head = p.head();
  return link_ != LinkType::ethernet || head.size() < link ||
         static_cast<wire::EtherType>(load_be16(&head[12])) != wire::EtherType::arp;
}

// Changes a bit or a byte. Memory that others share is copied first; false when that is not possible.
bool Impairment::damage(Packet& p) {
  if (!p.exclusive() || !p.fragments().empty()) {
    Packet copy = p.copy_to(p.pool());
    if (!copy) return false;
    p = std::move(copy);
  }
  const auto link = static_cast<std::uint32_t>(link_header_length(link_));
  const std::uint32_t where = link + rng_.below(p.size() - link);
  const std::uint32_t what = rng_.next32();
  const std::uint32_t flip = (what & 1) != 0 ? 1U << ((what >> 1) & 7) : 1U + (what >> 8) % 255;
  std::uint8_t& byte = p.writable_head()[where];
  byte = static_cast<std::uint8_t>(byte ^ flip);
  p.meta().checksum = ChecksumState::none;
  return true;
}

// When a packet whose last bit left at `sent` arrives.
Instant Impairment::arrival(Instant sent) {
  Instant due = sent + config_.delay;
  if (config_.jitter > Duration{}) {
    // Multiply-shift over 64 bits of nanoseconds: jitter stays below 2^32 us.
    const auto us = static_cast<std::uint64_t>(config_.jitter.count_us());
    const std::uint64_t drawn = rng_.next32();
    due = due + Duration::us(static_cast<std::int64_t>((drawn * (us + 1)) >> 32));
  }
  if (due < last_due_) due = last_due_;  // jitter does not reorder
  if (chance(config_.reorder_ppm)) {
    ++counters_.reordered;
    return due + config_.reorder_by;  // later packets keep their times
  }
  last_due_ = due;
  return due;
}

void Impairment::submit(Packet&& p, Instant now) {
  ++counters_.submitted;
  leave_queue(now);
  if (config_.down) {
    ++counters_.down;
    p.reset();
    return;
  }
  if (chance(config_.loss_ppm)) {
    ++counters_.lost;
    p.reset();
    return;
  }
  if (size_ == slots_.size() ||
      (config_.rate_bps > 0 && config_.queue_packets > 0 && queued_ >= config_.queue_packets)) {
    ++counters_.queue_full;
    p.reset();
    return;
  }
  Instant sent = now;
  if (config_.rate_bps > 0) {
    if (line_free_ < now) line_free_ = now;
    const std::uint64_t bits = (p.size() - std::uint64_t{link_header_length(link_)}) * 8;
    line_free_ = line_free_ + Duration::ns(static_cast<std::int64_t>(bits * 1'000'000'000 / config_.rate_bps));
    sent = line_free_;
  }
  if (damageable(p) && chance(config_.corrupt_ppm)) {
    if (!damage(p)) {
      ++counters_.no_memory;
      p.reset();
      return;
    }
    ++counters_.corrupted;
  }
  Packet second;
  if (chance(config_.duplicate_ppm)) {
    second = p.copy_to(p.pool());
    ++(second ? counters_.duplicated : counters_.no_memory);
  }
  const Instant due = arrival(sent);
  insert(std::move(p), due, sent, config_.rate_bps > 0);
  if (!second) return;
  const Instant second_due = arrival(sent);
  insert(std::move(second), second_due, sent, false);
}

void Impairment::check_invariants() const {
  for (std::uint32_t i = 1; i < size_; ++i) LEAT_ASSERT(!before(slots_[i].heap_entry, slots_[(i - 1) / 2].heap_entry));
  std::uint32_t n = 0;
  for (Index i = queue_head_; i != kNoIndex; i = slots_[i].next) {
    LEAT_ASSERT(slots_[i].packet);
    ++n;
  }
  LEAT_ASSERT(n == queued_ && n <= size_);
}

}  // namespace leat
