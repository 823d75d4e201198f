#include <leat/core/tcp/congestion/congestion.hpp>

namespace leat::tcp {
namespace {

// words[0]: octets acknowledged that have not yet made cwnd grow (RFC 3465 appropriate byte counting).

void start(CongestionState& s, Window& w, std::uint32_t mss, std::uint32_t segments) {
  s = {};
  w.cwnd = initial_window(mss, segments);
  w.ssthresh = 0xffffffffU;
}

void ack(CongestionState& s, Window& w, const AckEvent& e) {
  if (e.app_limited) return;  // RFC 7661 4.3: what was not used must not grow
  if (w.cwnd < w.ssthresh) {
    // RFC 3465 2.2: at most two segments per ACK, so that a stretched ACK makes no burst. A merged ACK stands for
    // several.
    w.cwnd = std::min(kMaxWindow, w.cwnd + std::min(e.acked, w.ssthresh - w.cwnd));
    return;
  }
  // RFC 3465 2.1: one segment per window of acknowledged octets.
  std::uint32_t& counted = s.words[0];
  counted += e.acked;
  if (counted < w.cwnd) return;
  counted -= w.cwnd;
  w.cwnd = std::min(kMaxWindow, w.cwnd + e.mss);
}

// RFC 5681 3.1 equation 4. What is unacknowledged may exceed the window by what limited transmit let out, which 3.2 (2)
// leaves out, and by all that was sent while a recovery stood still.
std::uint32_t half_flight(const Window& w, const LossEvent& e) {
  return std::max(std::min(w.cwnd, e.in_flight) / 2, 2 * e.mss);
}

void congestion(CongestionState& s, Window& w, const LossEvent& e) {
  w.ssthresh = half_flight(w, e);
  s.words[0] = 0;
}

void timeout(CongestionState& s, Window& w, const LossEvent& e) {
  w.ssthresh = half_flight(w, e);
  w.cwnd = e.mss;
  s.words[0] = 0;
}

void leave(CongestionState&, Window& w, const LossEvent& e) {
  // RFC 6582 3.2 step 3 (1): no burst after a recovery in which much was acknowledged at once.
  w.cwnd = std::max(2 * e.mss, std::min({w.ssthresh, e.in_flight + e.mss, kMaxWindow}));
}

void idle(CongestionState& s, Window& w, std::uint32_t mss, std::uint32_t segments) {
  w.cwnd = std::min(w.cwnd, initial_window(mss, segments));  // RFC 5681 4.1: the restart window
  s.words[0] = 0;
}

void undo(CongestionState&, Window& w, const Window& before) {
  w.cwnd = std::max(w.cwnd, before.cwnd);
  w.ssthresh = before.ssthresh;
}

}  // namespace

const CongestionOps kNewReno{"newreno", &start, &ack, &congestion, &timeout, &leave, &idle, &undo};

}  // namespace leat::tcp
