#pragma once
// Rtt: the smoothed round-trip time and its variation, and the retransmission time-out from them (RFC 6298), in whole
// microseconds, and how often it was doubled since (5.5), which holds until something is measured, also in between
// flights. 8 bytes; a smoothed time of zero means that nothing was measured yet.
//
// Karn's rule is the caller's: no sample from what was retransmitted, unless timestamps tell which copy was answered
// (RFC 7323 4.1). Threading: a value.

#include <algorithm>
#include <cstdint>

namespace leat::tcp {

class Rtt {
 public:
  [[nodiscard]] constexpr bool measured() const { return srtt_us() != 0; }
  [[nodiscard]] constexpr std::uint32_t srtt_us() const { return static_cast<std::uint32_t>(word_) & kTimeMask; }
  [[nodiscard]] constexpr std::uint32_t rttvar_us() const {
    return static_cast<std::uint32_t>(word_ >> 28) & kTimeMask;
  }

  // RFC 6298 2.2 and 2.3: alpha 1/8, beta 1/4. A sample of 0 counts as one microsecond.
  // What was backed off begins anew.
  constexpr void sample(std::uint32_t rtt_us) {
    rtt_us = std::clamp<std::uint32_t>(rtt_us, 1, kLongest);
    const std::uint32_t srtt = srtt_us();
    const std::uint32_t rttvar = rttvar_us();
    if (srtt == 0) return restore(rtt_us, rtt_us / 2, 0);
    const std::uint32_t error = rtt_us > srtt ? rtt_us - srtt : srtt - rtt_us;
    restore(std::max<std::uint32_t>(1, srtt - srtt / 8 + rtt_us / 8), rttvar - rttvar / 4 + error / 4, 0);
  }

  [[nodiscard]] constexpr unsigned backoff() const { return static_cast<unsigned>(word_ >> 56) & kBackoffMask; }
  constexpr void back_off() {
    if (backoff() < kMostBackoff) word_ += std::uint64_t{1} << 56;
  }
  constexpr void forget_backoff() { word_ &= ~(std::uint64_t{kBackoffMask} << 56); }

  // RFC 6298 5.7: the SYN was sent again, and its round trip is not known: the first data waits for 3 s.
  constexpr void syn_timed_out() {
    if (!measured()) word_ |= kSynTimedOut;
  }
  [[nodiscard]] constexpr bool lost_syn() const { return (word_ & kSynTimedOut) != 0; }

  // RFC 6298 2.1 to 2.5, then doubled `backoff` times (5.5). `granularity` is the clock's, in microseconds.
  // RFC 6298 2.4: exception: the minimum is an option and one of the variation's share, as in Linux: SRTT + 200 ms, not
  // 1 s. Samples of every ACK let RTTVAR fall to nothing within a round trip (RFC 7323 appendix G): were the sum what
  // is held up, a delayed ACK would look like a loss on every path longer than the minimum.
  [[nodiscard]] constexpr std::uint32_t rto_us(std::uint32_t initial, std::uint32_t least, std::uint32_t most,
                                               unsigned backoff, std::uint32_t granularity = 1000) const {
    std::uint64_t rto = lost_syn() ? std::max(initial, kAfterLostSyn) : initial;
    if (measured()) rto = std::uint64_t{srtt_us()} + std::max({least, granularity, 4 * rttvar_us()});
    rto <<= std::min(backoff, kMostBackoff);
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(rto, most));
  }

  constexpr void restore(std::uint32_t srtt_us, std::uint32_t rttvar_us, unsigned backoff) {
    const std::uint64_t doublings = std::min(backoff, kMostBackoff);
    word_ = std::min(srtt_us, kLongest) | std::uint64_t{std::min(rttvar_us, kLongest)} << 28 | doublings << 56;
  }

 private:
  static constexpr std::uint32_t kLongest = 240'000'000;  // four minutes: 4 * rttvar can't overflow 32 bits
  static constexpr std::uint32_t kTimeMask = (1U << 28) - 1;
  static_assert(kLongest <= kTimeMask);
  static constexpr unsigned kBackoffMask = 31;
  static constexpr unsigned kMostBackoff = 16;
  static constexpr std::uint64_t kSynTimedOut = std::uint64_t{1} << 61;
  static constexpr std::uint32_t kAfterLostSyn = 3'000'000;

  std::uint64_t word_ = 0;  // srtt 28 bits | rttvar 28 | doublings 5 | the SYN timed out 1
};
static_assert(sizeof(Rtt) == 8);

}  // namespace leat::tcp
