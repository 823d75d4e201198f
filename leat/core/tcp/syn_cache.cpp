#include <algorithm>
#include <bit>
#include <leat/base/assert.hpp>
#include <leat/core/tcp/syn_cache.hpp>

namespace leat::tcp {
namespace {
constexpr std::uint32_t kDueBits = 22;  // milliseconds, modulo 2^22: 70 minutes
constexpr std::uint32_t kDueMask = (1U << kDueBits) - 1;
// No wait is longer than 240 s, so what seems further ahead is overdue: by up to 65 minutes, or because the clock went
// back.
constexpr std::uint32_t kMaxAhead = 1U << 18;

std::uint32_t due_ms(Instant t) {
  return static_cast<std::uint32_t>(t.count_ms()) & kDueMask;
}
}  // namespace

SynInfo SynRecord::info() const {
  const bool timestamps = (b_ & kTimestamps) != 0;
  return {.key = key(),
          .irs = irs_,
          .iss = iss_,
          .ts_recent = timestamps ? ts_recent_ : 0,
          .sent_us = timestamps ? 0 : ts_recent_,
          .listener = listener(),
          .mss = mss_,
          .wscale = static_cast<std::uint8_t>((b_ >> 20) & 15U),
          .ecn = static_cast<std::uint8_t>(a_ >> 30),
          .sack = ((b_ >> 24) & 1U) != 0,
          .timestamps = timestamps,
          .acknowledged = acknowledged()};
}

SynCache::SynCache(std::span<SynRecord> records, const Schedule& schedule)
    : records_(records), capacity_(static_cast<std::uint32_t>(std::min<std::size_t>(records.size(), kEnd))) {
  set_schedule(schedule);
}

void SynCache::set_schedule(const Schedule& s) {
  schedule_ = s;
  schedule_.retries = std::min(s.retries, kMaxRetries);
  schedule_.max_rto = std::min(s.max_rto, Duration::s(240));
}

Index SynCache::insert(const SynInfo& info, Instant now) {
  LEAT_ASSERT(info.listener <= 0xffff && info.wscale <= 15 && info.ecn <= 3);
  std::uint32_t i = free_;
  if (i != kEnd) {
    free_ = next(i);
  } else {
    if (watermark_ == capacity_) return kNoIndex;
    i = watermark_++;
  }
  ++used_;
  SynRecord& r = records_[i];
  r.local_ = info.key.local;
  r.remote_ = info.key.remote;
  r.local_port_ = info.key.local_port;
  r.remote_port_ = info.key.remote_port;
  r.scope_ = info.key.scope;
  r.irs_ = info.irs;
  r.iss_ = info.iss;
  r.ts_recent_ = info.timestamps ? info.ts_recent : static_cast<std::uint32_t>(now.count_ns() / 1000);
  r.mss_ = info.mss;
  r.a_ = kEnd | (info.acknowledged ? SynRecord::kAcknowledged : 0) | (std::uint32_t{info.ecn} << 30);
  r.b_ = kEnd | (std::uint32_t{info.wscale} << 20) | (info.sack ? 1U << 24 : 0) |
         (info.timestamps ? SynRecord::kTimestamps : 0);
  r.c_ = info.listener;
  enqueue(i, 0, now);
  return i;
}

void SynCache::remove(Index record) {
  dequeue(record);
  release(record);
}

void SynCache::restart(Index record, Instant now) {
  const unsigned retries = records_[record].retries();
  dequeue(record);
  enqueue(record, retries, now);
}

Index SynCache::oldest() const {
  for (const Fifo& f : fifos_)
    if (f.head != kEnd) return f.head;
  return kNoIndex;
}

unsigned SynCache::handle_due(Instant now, unsigned budget, Callback callback) {
  clock_ = now;
  unsigned handled = 0;
  while (handled < budget) {
    const std::uint32_t i = first_due();
    if (i == kEnd || due(i) > now) break;
    ++handled;
    const unsigned retries = records_[i].retries();
    dequeue(i);
    if (retries < schedule_.retries) {
      enqueue(i, retries + 1, now);
      records_[i].forget_sent();
      callback(i, SynEvent::retransmit);
    } else {
      callback(i, SynEvent::expired);
      release(i);
    }
  }
  return handled;
}

void SynCache::set_next(std::uint32_t i, std::uint32_t to) {
  records_[i].a_ = (records_[i].a_ & ~kEnd) | to;
}
void SynCache::set_prev(std::uint32_t i, std::uint32_t to) {
  records_[i].b_ = (records_[i].b_ & ~kEnd) | to;
}

void SynCache::enqueue(std::uint32_t i, unsigned retries, Instant now) {
  clock_ = now;
  SynRecord& r = records_[i];
  // One millisecond more than asked for: never early.
  const std::uint32_t when = due_ms(now + delay(retries) + Duration::ms(1));
  r.a_ = (r.a_ & ~(31U << 20)) | (retries << 20);
  r.b_ = (r.b_ & ~(63U << 26)) | ((when >> 16) << 26);
  r.c_ = (r.c_ & 0xffffU) | (when << 16);
  Fifo& f = fifos_[retries];
  set_next(i, kEnd);
  set_prev(i, f.tail);
  if (f.tail == kEnd) {
    f.head = i;
    occupied_ |= 1U << retries;
  } else {
    set_next(f.tail, i);
  }
  f.tail = i;
}

void SynCache::dequeue(std::uint32_t i) {
  const unsigned retries = records_[i].retries();
  Fifo& f = fifos_[retries];
  const std::uint32_t before = prev(i);
  const std::uint32_t after = next(i);
  if (before == kEnd) {
    f.head = after;
  } else {
    set_next(before, after);
  }
  if (after == kEnd) {
    f.tail = before;
  } else {
    set_prev(after, before);
  }
  if (f.head == kEnd) occupied_ &= ~(1U << retries);
}

void SynCache::release(std::uint32_t i) {
  LEAT_ASSERT(used_ > 0);
  --used_;
  set_next(i, free_);
  free_ = i;
}

Duration SynCache::delay(unsigned retries) const {
  Duration d = schedule_.rto;
  for (unsigned i = 0; i < retries && d < schedule_.max_rto; ++i) d += d;  // RFC 6298 5.5
  return std::min(d, schedule_.max_rto);
}

Instant SynCache::due(std::uint32_t i) const {
  const SynRecord& r = records_[i];
  const std::uint32_t when = ((r.b_ >> 26) << 16) | (r.c_ >> 16);
  std::int64_t ahead = (when - due_ms(clock_)) & kDueMask;
  if (ahead > kMaxAhead) ahead -= std::int64_t{kDueMask} + 1;
  return Instant::from_ns(clock_.count_ms() * 1'000'000) + Duration::ms(ahead);
}

std::uint32_t SynCache::first_due() const {
  std::uint32_t best = kEnd;
  for (std::uint32_t left = occupied_; left != 0; left &= left - 1) {
    const std::uint32_t head = fifos_[static_cast<unsigned>(std::countr_zero(left))].head;
    if (best == kEnd || due(head) < due(best)) best = head;
  }
  return best;
}

void SynCache::check_invariants() const {
  std::uint32_t listed = 0;
  for (unsigned retries = 0; retries < fifos_.size(); ++retries) {
    std::uint32_t before = kEnd;
    for (std::uint32_t i = fifos_[retries].head; i != kEnd; i = next(i)) {
      LEAT_ASSERT(prev(i) == before && records_[i].retries() == retries);
      before = i;
      ++listed;
    }
    LEAT_ASSERT(fifos_[retries].tail == before && ((occupied_ >> retries & 1U) != 0) == (before != kEnd));
  }
  LEAT_ASSERT(listed == used_);
}

}  // namespace leat::tcp
