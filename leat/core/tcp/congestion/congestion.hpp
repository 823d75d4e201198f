#pragma once
// Congestion control: a table of stateless functions over 32 bytes of state per connection, beside cwnd and ssthresh.
// Which algorithms an image has is decided by its module table. Everything is in octets and whole microseconds; 64-bit
// products, no floating point.
//
//   on_ack         new data was acknowledged outside of recovery (byte counting: RFC 3465, so that split ACKs gain
//   nothing) on_congestion  loss was detected: sets ssthresh, and what the algorithm remembers; the caller drives cwnd
//   in recovery on_timeout     RFC 5681 3.1 equation 4 and cwnd of one segment on_exit        recovery is over: cwnd
//   for what follows on_idle        nothing was sent for an RTO or longer (RFC 5681 4.1) on_undo        the last
//   reduction was spurious: back to what it was
//
// Threading: one owner.

#include <algorithm>
#include <array>
#include <cstdint>
#include <leat/base/time.hpp>
#include <string_view>

namespace leat::tcp {

struct Window {
  std::uint32_t cwnd = 0;
  std::uint32_t ssthresh = 0xffffffffU;
};

// What the algorithm keeps between calls; each names the words for itself.
struct CongestionState {
  std::array<std::uint32_t, 8> words{};
};

struct AckEvent {
  Instant now;
  std::uint32_t acked = 0;      // octets newly acknowledged
  std::uint32_t in_flight = 0;  // octets, before this ACK
  std::uint32_t mss = 0;
  std::uint32_t rtt_us = 0;  // this ACK's sample; 0: none
  std::uint32_t srtt_us = 0;
  std::uint32_t snd_una = 0;  // after this ACK, and
  std::uint32_t snd_nxt = 0;  // SND.NXT: what marks a round
  bool app_limited = false;   // too little of the window was in use for it to grow (RFC 7661)
};

struct LossEvent {
  Instant now;
  std::uint32_t in_flight = 0;
  std::uint32_t mss = 0;
  bool by_ecn = false;
};

struct CongestionOps {
  std::string_view name;
  void (*on_start)(CongestionState&, Window&, std::uint32_t mss, std::uint32_t initial_segments);
  void (*on_ack)(CongestionState&, Window&, const AckEvent&);
  void (*on_congestion)(CongestionState&, Window&, const LossEvent&);
  void (*on_timeout)(CongestionState&, Window&, const LossEvent&);
  void (*on_exit)(CongestionState&, Window&, const LossEvent&);
  void (*on_idle)(CongestionState&, Window&, std::uint32_t mss, std::uint32_t initial_segments);
  void (*on_undo)(CongestionState&, Window&, const Window& before);
};

extern const CongestionOps kNewReno;  // RFC 5681, 6582
extern const CongestionOps kCubic;    // RFC 9438, with HyStart++ (RFC 9406)

// RFC 6928: min(10 * MSS, max(2 * MSS, 14600)) for ten segments, in proportion for others.
constexpr std::uint32_t initial_window(std::uint32_t mss, std::uint32_t segments) {
  return std::min(segments * mss, std::max(2 * mss, 1460 * segments));
}
inline constexpr std::uint32_t kMaxWindow = 0x3fffffffU;  // 2^30 - 1: the largest that window scaling can express

}  // namespace leat::tcp
