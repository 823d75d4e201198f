#include <leat/core/tcp/congestion/congestion.hpp>

// CUBIC (RFC 9438) with HyStart++ (RFC 9406), in integers. C = 0.4, beta = 0.7. Windows are octets, times 2^-10 s:
//
//   W(t) = C * mss * (t - K)^3 + W_max          K = cbrt((W_max - cwnd) / (C * mss))
//
// |t - K| is held below 2^21 (34 minutes; K itself stays below 24), and the product is taken from the cube's upper bits
// where it is large, so that everything fits 64 bits for any mss and window (attack row D21).

namespace leat::tcp {
namespace {

constexpr std::uint32_t kBetaTenths = 7;
constexpr std::uint32_t kNone = 0xffffffffU;
constexpr std::int64_t kLongestT = (1 << 21) - 1;
constexpr std::uint32_t kRoundRuns = 1U << 31;  // of HyStart::counts

// Views of CongestionState::words. Slow start and congestion avoidance never need the second half at the same time.
struct Avoidance {
  std::uint32_t& w_max;
  std::uint32_t& epoch_start;  // 2^-10 s, 0: no epoch runs
  std::uint32_t& k;            // 2^-10 s
  std::uint32_t& w_est;        // octets: what Reno would have
  std::uint32_t& w_est_left;   // octets acknowledged that have not yet made w_est grow
  std::uint32_t& step_left;    // what is left of the last steps of cwnd, in 1 / cwnd octets
  explicit Avoidance(CongestionState& s)
      : w_max(s.words[0]),
        epoch_start(s.words[1]),
        k(s.words[2]),
        w_est(s.words[3]),
        w_est_left(s.words[4]),
        step_left(s.words[5]) {}
};
struct HyStart {
  std::uint32_t& window_end;  // sequence number that ends the round
  std::uint32_t& last_min;    // us, lowest of the last round; kNone
  std::uint32_t& current_min;
  std::uint32_t& css_baseline;  // us, lowest of the round in which conservative slow start began; 0: not in it
  std::uint32_t& counts;        // samples of this round, low 16 bits; rounds of conservative slow start, next 15;
                                // kRoundRuns: window_end holds (any number may be a sequence number)
  explicit HyStart(CongestionState& s)
      : window_end(s.words[5]),
        last_min(s.words[6]),
        current_min(s.words[7]),
        css_baseline(s.words[2]),
        counts(s.words[3]) {}
};

std::uint32_t ticks(Instant now) {
  // 2^20 ns is 1.048 ms; 2^-10 s is 0.977 ms. One more, because 0 means "none".
  const auto ns = static_cast<std::uint64_t>(now.count_ns());
  return static_cast<std::uint32_t>((ns / 1000 * 128) / 125'000) + 1;
}

std::uint64_t cube_root(std::uint64_t n) {
  std::uint64_t root = 0;
  for (int bit = 63; bit >= 0; bit -= 3) {
    root <<= 1;
    const std::uint64_t step = 3 * root * (root + 1) + 1;
    if ((n >> bit) >= step) {
      n -= step << bit;
      ++root;
    }
  }
  return root;
}

// Slow start takes over the words: no epoch of avoidance runs on with what it leaves there.
void reset_slow_start(CongestionState& s) {
  Avoidance{s}.epoch_start = 0;
  HyStart h{s};
  h.window_end = 0;
  h.last_min = h.current_min = kNone;
  h.css_baseline = h.counts = 0;
}

void start(CongestionState& s, Window& w, std::uint32_t mss, std::uint32_t segments) {
  s = {};
  w.cwnd = initial_window(mss, segments);
  w.ssthresh = kNone;
  reset_slow_start(s);
}

// RFC 9406 4.2. Leaves slow start, by way of five slow rounds, when the round's lowest RTT grew.
void slow_start(CongestionState& s, Window& w, const AckEvent& e) {
  HyStart h{s};
  const bool new_round = (h.counts & kRoundRuns) == 0 || static_cast<std::int32_t>(e.snd_una - h.window_end) >= 0;
  if (new_round) {
    h.last_min = h.current_min;
    h.current_min = kNone;
    h.window_end = e.snd_nxt;
    std::uint32_t rounds = (h.counts & ~kRoundRuns) >> 16;
    if (h.css_baseline != 0 && ++rounds >= 5) {
      w.ssthresh = w.cwnd;
      return;
    }
    h.counts = rounds << 16 | kRoundRuns;
  }
  if (e.rtt_us != 0) {
    h.current_min = std::min(h.current_min, e.rtt_us);
    if ((h.counts & 0xffff) < 0xffff) ++h.counts;
  }
  const bool enough = (h.counts & 0xffff) >= 8 && h.current_min != kNone;
  if (h.css_baseline == 0 && enough && h.last_min != kNone) {
    const std::uint32_t threshold = std::clamp<std::uint32_t>(h.last_min / 8, 4'000, 16'000);
    if (h.current_min >= h.last_min + threshold) {
      h.css_baseline = h.current_min;
      h.counts &= kRoundRuns | 0xffff;
    }
  } else if (h.css_baseline != 0 && enough && h.current_min < h.css_baseline) {
    h.css_baseline = 0;  // it was jitter
  }
  const std::uint32_t growth = h.css_baseline != 0 ? e.acked / 4 : e.acked;
  w.cwnd = std::min(kMaxWindow, w.cwnd + std::min(growth, w.ssthresh - w.cwnd));
}

std::uint32_t cubic_window(const Avoidance& a, std::int64_t t, std::uint32_t mss) {
  const std::int64_t d = std::clamp<std::int64_t>(t - std::int64_t{a.k}, -kLongestT, kLongestT);
  const auto magnitude = static_cast<std::uint64_t>(d < 0 ? -d : d);
  // 0.4 = 410 / 2^10; d^3 has 30 fraction bits. Ten of them go before the product, or all where 19 bits are left.
  const std::uint64_t cube = magnitude * magnitude * magnitude;  // < 2^63
  const std::uint64_t per_second = std::uint64_t{410} * mss;     // < 2^25
  const std::uint64_t change =
      cube < std::uint64_t{1} << 49 ? ((cube >> 10) * per_second) >> 30 : ((cube >> 30) * per_second) >> 10;
  if (d < 0) return change >= a.w_max ? 0 : static_cast<std::uint32_t>(a.w_max - change);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(kMaxWindow, a.w_max + change));
}

void avoid(CongestionState& s, Window& w, const AckEvent& e) {
  Avoidance a{s};
  const std::uint32_t now = ticks(e.now);
  if (a.epoch_start == 0) {  // RFC 9438 4.2: a new epoch
    a.epoch_start = now;
    a.w_est = w.cwnd;
    a.w_est_left = a.step_left = 0;
    if (w.cwnd < a.w_max) {
      const std::uint64_t cubed = (std::uint64_t{a.w_max - w.cwnd} << 30) / e.mss * 5 / 2;
      a.k = static_cast<std::uint32_t>(cube_root(cubed));
    } else {
      a.k = 0;
      a.w_max = w.cwnd;
    }
  }
  // RFC 9438 4.3: what Reno would have; alpha 0.529 until it reaches W_max, then 1.
  a.w_est_left += e.acked;
  const std::uint64_t alpha = a.w_est < a.w_max ? 542 : 1024;
  const std::uint64_t gain = alpha * e.mss * a.w_est_left / (std::uint64_t{w.cwnd} * 1024);
  if (gain > 0) {
    a.w_est = static_cast<std::uint32_t>(std::min<std::uint64_t>(kMaxWindow, a.w_est + gain));
    // What made no whole octet stays: rounded away with every ACK, W_est would grow at half its rate in some windows.
    a.w_est_left -= static_cast<std::uint32_t>(gain * w.cwnd * 1024 / (alpha * e.mss));
  }
  const std::int64_t t = static_cast<std::uint32_t>(now - a.epoch_start);
  if (cubic_window(a, t, e.mss) < a.w_est) {
    w.cwnd = std::max(w.cwnd, a.w_est);
    return;
  }
  // RFC 9438 4.4 and 4.5: towards the target of one RTT ahead, at most half a window in an RTT.
  const std::int64_t rtt = std::int64_t{e.srtt_us} * 128 / 125'000;
  const std::uint32_t target =
      std::clamp(cubic_window(a, t + rtt, e.mss), w.cwnd, std::min(kMaxWindow, w.cwnd + w.cwnd / 2));
  const std::uint64_t product = std::uint64_t{target - w.cwnd} * e.acked + a.step_left;
  const std::uint64_t step = product / w.cwnd;
  a.step_left = static_cast<std::uint32_t>(product % w.cwnd);
  w.cwnd = static_cast<std::uint32_t>(std::min<std::uint64_t>(kMaxWindow, w.cwnd + step));
}

void ack(CongestionState& s, Window& w, const AckEvent& e) {
  if (e.app_limited) {
    // RFC 9438 5.8: time in which the application held back does not count.
    Avoidance{s}.epoch_start = w.cwnd < w.ssthresh ? Avoidance{s}.epoch_start : 0;
    return;
  }
  if (w.cwnd < w.ssthresh) {
    if (Avoidance{s}.epoch_start != 0) reset_slow_start(s);
    slow_start(s, w, e);
    if (w.cwnd < w.ssthresh) return;
    Avoidance a{s};
    a.epoch_start = a.k = a.w_est = a.w_est_left = 0;
    return;
  }
  avoid(s, w, e);
}

// RFC 9438 4.6 and 4.7, fast convergence included.
void reduce(CongestionState& s, Window& w, const LossEvent& e) {
  Avoidance a{s};
  a.w_max = w.cwnd < a.w_max ? static_cast<std::uint32_t>(std::uint64_t{w.cwnd} * (10 + kBetaTenths) / 20) : w.cwnd;
  a.epoch_start = a.k = a.w_est = a.w_est_left = 0;
  const std::uint64_t flight = std::min(w.cwnd, e.in_flight);
  w.ssthresh = std::max(static_cast<std::uint32_t>(flight * kBetaTenths / 10), 2 * e.mss);
}

void congestion(CongestionState& s, Window& w, const LossEvent& e) {
  reduce(s, w, e);
}

void timeout(CongestionState& s, Window& w, const LossEvent& e) {
  reduce(s, w, e);  // RFC 9438 4.8
  w.cwnd = e.mss;
  reset_slow_start(s);
}

void leave(CongestionState&, Window& w, const LossEvent& e) {
  w.cwnd = std::max(2 * e.mss, std::min({w.ssthresh, e.in_flight + e.mss, kMaxWindow}));
}

void idle(CongestionState& s, Window& w, std::uint32_t mss, std::uint32_t segments) {
  w.cwnd = std::min(w.cwnd, initial_window(mss, segments));
  if (w.cwnd < w.ssthresh) {
    reset_slow_start(s);
  } else {
    Avoidance{s}.epoch_start = 0;
  }
}

void undo(CongestionState& s, Window& w, const Window& before) {
  w.cwnd = std::max(w.cwnd, before.cwnd);
  w.ssthresh = before.ssthresh;
  Avoidance{s}.epoch_start = 0;
  if (w.cwnd < w.ssthresh) reset_slow_start(s);  // the words may hold what avoidance left there
}

}  // namespace

const CongestionOps kCubic{"cubic", &start, &ack, &congestion, &timeout, &leave, &idle, &undo};

}  // namespace leat::tcp
