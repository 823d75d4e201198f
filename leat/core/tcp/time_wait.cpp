#include <algorithm>
#include <leat/base/assert.hpp>
#include <leat/core/tcp/time_wait.hpp>

namespace leat::tcp {
namespace {

bool newer(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>(a - b) > 0;
}

// RFC 6191 2: may this SYN start a new incarnation?
bool may_reuse(const TimeWaitRecord& r, const TimeWaitSegment& s) {
  if (!s.has_timestamp) return s.seq > r.rcv_nxt;  // RFC 9293 3.6.1
  if (!r.timestamps()) return true;                // timestamps begin with this incarnation
  return newer(s.tsval, r.ts_recent) || (s.tsval == r.ts_recent && s.seq > r.rcv_nxt);
}

}  // namespace

TimeWaitVerdict time_wait_verdict(TimeWaitRecord& r, const TimeWaitSegment& s, bool ignore_rst) {
  const std::uint32_t window = r.rcv_wnd();
  if (s.rst) {
    if (ignore_rst) return TimeWaitVerdict::ignore;
    // RFC 5961 3.2: only exactly at RCV.NXT; within the window it must be repeated.
    if (s.seq == r.rcv_nxt) return TimeWaitVerdict::end;
    return s.seq.in_window(r.rcv_nxt, window) ? TimeWaitVerdict::re_ack : TimeWaitVerdict::ignore;
  }
  if (s.syn) return !s.has_ack && may_reuse(r, s) ? TimeWaitVerdict::reuse : TimeWaitVerdict::re_ack;
  if (r.timestamps() && s.has_timestamp && newer(r.ts_recent, s.tsval)) return TimeWaitVerdict::re_ack;  // RFC 7323 5.3
  if (!s.has_ack) return TimeWaitVerdict::ignore;
  const SeqNum end = s.seq + s.payload + (s.fin ? 1U : 0U);
  // RFC 9293 3.10.7.4: the peer's FIN again means that our last ACK was lost.
  if (s.fin && end == r.rcv_nxt) {
    if (r.timestamps() && s.has_timestamp) r.ts_recent = s.tsval;
    return TimeWaitVerdict::re_ack_restart;
  }
  if (end == s.seq && s.seq == r.rcv_nxt) {
    if (r.timestamps() && s.has_timestamp) r.ts_recent = s.tsval;
    return TimeWaitVerdict::ignore;  // an ACK that crossed ours
  }
  return TimeWaitVerdict::re_ack;  // not acceptable: nothing follows a FIN
}

SeqNum reuse_iss(const TimeWaitRecord& r, SeqNum generated) {
  constexpr std::uint32_t kAhead = 128'000;
  return generated > r.snd_nxt ? generated : r.snd_nxt + kAhead;
}

Index TimeWaitTable::add(const TimeWaitInfo& info, Instant now, Duration length) {
  const Index i = pool_.take([this](Index k) -> Index& { return records_[k].link.next; });
  if (i == kNoIndex) return kNoIndex;
  if (fifo_.empty()) clock_ = now;
  TimeWaitRecord& r = records_[i];
  r.local = info.key.local;
  r.remote = info.key.remote;
  r.local_port = info.key.local_port;
  r.remote_port = info.key.remote_port;
  r.scope = info.key.scope;
  r.wscale_flags = static_cast<std::uint8_t>(std::min<unsigned>(info.wscale, 14) | (info.timestamps ? 0x10U : 0U) |
                                             (info.reuse_address ? 0x20U : 0U) | (info.reuse_port ? 0x40U : 0U));
  const std::uint32_t field = std::min<std::uint32_t>(info.rcv_wnd >> (r.wscale_flags & 15U), 0xffff);
  r.window = static_cast<std::uint8_t>(field >> 8);
  r.snd_nxt = info.snd_nxt;
  r.rcv_nxt = info.rcv_nxt;
  r.ts_recent = info.ts_recent;
  r.expiry = static_cast<std::uint32_t>((now + length + Duration::ms(1)).count_ms());
  fifo_.push_back(i, links());
  return i;
}

void TimeWaitTable::restart(Index i, Instant now, Duration length) {
  records_[i].expiry = static_cast<std::uint32_t>((now + length + Duration::ms(1)).count_ms());
  fifo_.remove(i, links());
  fifo_.push_back(i, links());
}

void TimeWaitTable::remove(Index i) {
  fifo_.remove(i, links());
  pool_.give(i, [this](Index k) -> Index& { return records_[k].link.next; });
}

unsigned TimeWaitTable::end_expired(Instant now, unsigned budget, Delegate<void(Index)> expired) {
  unsigned ended = 0;
  while (ended < budget) {
    const Index i = fifo_.front();
    if (i == kNoIndex || expiry(records_[i]) > now) {
      if (now > clock_) clock_ = now;
      break;
    }
    expired(i);
    remove(i);
    ++ended;
  }
  return ended;
}

Instant TimeWaitTable::expiry(const TimeWaitRecord& r) const {
  const auto ahead = static_cast<std::int32_t>(r.expiry - static_cast<std::uint32_t>(clock_.count_ms()));
  return Instant::from_ns(clock_.count_ms() * 1'000'000) + Duration::ms(ahead);
}

void TimeWaitTable::check_invariants() const {
  std::uint32_t listed = 0;
  Index before = kNoIndex;
  for (Index i = fifo_.front(); i != kNoIndex; i = records_[i].link.next) {
    LEAT_ASSERT(records_[i].link.prev == before);
    before = i;
    ++listed;
  }
  LEAT_ASSERT(listed == pool_.used());
}

}  // namespace leat::tcp
