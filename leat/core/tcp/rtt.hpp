#pragma once
// Rtt: the smoothed round-trip time and its variation, and the retransmission time-out from them (RFC 6298), in whole
// microseconds. 8 bytes; zero means that nothing was measured yet.
//
// Karn's rule is the caller's: no sample from what was retransmitted, unless timestamps tell which copy was answered
// (RFC 7323 4.1). Threading: a value.

#include <algorithm>
#include <cstdint>

namespace leat::tcp {

class Rtt {
 public:
  [[nodiscard]] constexpr bool measured() const { return srtt_us_ != 0; }
  [[nodiscard]] constexpr std::uint32_t srtt_us() const { return srtt_us_; }
  [[nodiscard]] constexpr std::uint32_t rttvar_us() const { return rttvar_us_; }

  // RFC 6298 2.2 and 2.3: alpha 1/8, beta 1/4. A sample of 0 counts as one microsecond.
  constexpr void sample(std::uint32_t rtt_us) {
    rtt_us = std::clamp<std::uint32_t>(rtt_us, 1, kLongest);
    if (!measured()) {
      srtt_us_ = rtt_us;
      rttvar_us_ = rtt_us / 2;
      return;
    }
    const std::uint32_t error = rtt_us > srtt_us_ ? rtt_us - srtt_us_ : srtt_us_ - rtt_us;
    rttvar_us_ = rttvar_us_ - rttvar_us_ / 4 + error / 4;
    srtt_us_ = std::max<std::uint32_t>(1, srtt_us_ - srtt_us_ / 8 + rtt_us / 8);
  }

  // RFC 6298 2.1 to 2.5, then doubled `backoff` times (5.5). `granularity` is the clock's, in microseconds.
  // RFC 6298 2.4: exception: the minimum is an option and one of the variation's share, as in Linux: SRTT + 200 ms, not
  // 1 s. Samples of every ACK let RTTVAR fall to nothing within a round trip (RFC 7323 appendix G): were the sum what
  // is held up, a delayed ACK would look like a loss on every path longer than the minimum.
  [[nodiscard]] constexpr std::uint32_t rto_us(std::uint32_t initial, std::uint32_t least, std::uint32_t most,
                                               unsigned backoff, std::uint32_t granularity = 1000) const {
    std::uint64_t rto = initial;
    if (measured()) rto = std::uint64_t{srtt_us_} + std::max({least, granularity, 4 * rttvar_us_});
    rto <<= std::min(backoff, 16U);
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(rto, most));
  }

  // RFC 6298 5.7: after a time-out of the SYN the first data starts from 3 s; also forgets stale values.
  constexpr void reset() { srtt_us_ = rttvar_us_ = 0; }
  constexpr void restore(std::uint32_t srtt_us, std::uint32_t rttvar_us) {
    srtt_us_ = srtt_us;
    rttvar_us_ = rttvar_us;
  }

 private:
  static constexpr std::uint32_t kLongest = 240'000'000;  // four minutes: 4 * rttvar can't overflow 32 bits
  std::uint32_t srtt_us_ = 0;
  std::uint32_t rttvar_us_ = 0;
};
static_assert(sizeof(Rtt) == 8);

}  // namespace leat::tcp
