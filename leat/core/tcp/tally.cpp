// What is counted for TCP_INFO alone. Times are Linux's chronographs (tcp_chrono_start() and where it is called): busy
// while there is payload to send or in flight; of that, how long the peer's window held the rest back, and how long all
// was in flight, the congestion window had room, and the application waited for the send buffer.

#include <leat/core/tcp/machine.hpp>

namespace leat::tcp {
namespace {

Tally* tally_of(Tcb& t) {
  State& s = t.tables();
  if (s.tallies.empty()) return nullptr;
  Tally& tally = s.tallies[t.id];
  if (!t.hot.has(Flag::tallied)) {
    std::construct_at(&tally);
    t.hot.flags.set(Flag::tallied);
  }
  return &tally;
}

constexpr std::size_t slot(Spending s) {
  return static_cast<std::size_t>(s);
}

Spending spending_now(const Tcb& t, const Active& a) {
  if (a.send.empty()) return Spending::nothing;
  const Hot& h = t.hot;
  const std::uint32_t in_pipe = pipe(t, a);
  const std::uint32_t room = t.cold.window.cwnd > in_pipe ? t.cold.window.cwnd - in_pipe : 0;
  const std::uint32_t unsent = t.unsent();
  if (unsent == 0) return h.has(Flag::write_blocked) && room >= h.mss ? Spending::buffer : Spending::busy;
  const std::uint32_t next = std::min<std::uint32_t>(unsent, h.mss);
  const SeqNum edge = h.snd_una + h.snd_wnd;
  const std::uint32_t window = h.snd_nxt < edge ? edge - h.snd_nxt : 0;
  return window < next && room >= next ? Spending::window : Spending::busy;
}

void add_time(Tally& tally, const Active& a, Spending on, Instant now) {
  tally.spent_ns[slot(on)] += static_cast<std::uint64_t>((now - a.spending_since).count_ns());
}

void change_spending(Tcb& t, Active& a, Spending to) {
  const Spending from = std::exchange(a.spending, to);
  if (from == to) return;
  if (from == Spending::nothing) {
    a.delivered = 0;
  } else if (Tally* tally = tally_of(t); tally != nullptr) {
    add_time(*tally, a, from, t.core.now);
  }
  a.spending_since = t.core.now;
}

}  // namespace

void note_spending(Tcb& t, Active& a) {
  change_spending(t, a, spending_now(t, a));
}

void all_delivered(Tcb& t, Active& a) {
  const Spending from = std::exchange(a.spending, Spending::nothing);
  Tally* const tally = tally_of(t);
  if (tally == nullptr) return;
  if (from != Spending::nothing) add_time(*tally, a, from, t.core.now);
  // Of what was sent, each once. (A FIN that went again is counted with what did.)
  if (t.cold.retransmits < t.hot.data_out) tally->delivered = t.hot.data_out - t.cold.retransmits;
}

// As Linux: what is longer than any window was is not believed.
void count_dsack(Tcb& t, std::uint32_t octets) {
  if (octets > t.max_window()) return;
  if (Tally* tally = tally_of(t)) tally->dsacks += std::max<std::uint32_t>(1, (octets + t.hot.mss - 1) / t.hot.mss);
}

void count_reordering(Tcb& t) {
  if (Tally* tally = tally_of(t)) ++tally->reorderings;
}

Spent spent(const Core& core, Index connection) {
  const State& s = core.tcp;
  const Hot& h = s.hot[connection];
  Tally tally;
  if (h.has(Flag::tallied)) tally = s.tallies[connection];
  if (h.active != kNoIndex && !s.tallies.empty()) {
    const Active& a = s.active[h.active];
    if (a.spending != Spending::nothing) {
      add_time(tally, a, a.spending, core.now);
      tally.delivered += a.delivered / h.mss;
    }
  }
  const auto us = [&](Spending on) { return tally.spent_ns[slot(on)] / 1000; };
  return {.busy_us = (tally.spent_ns[slot(Spending::busy)] + tally.spent_ns[slot(Spending::window)] +
                      tally.spent_ns[slot(Spending::buffer)]) /
                     1000,
          .window_us = us(Spending::window),
          .buffer_us = us(Spending::buffer),
          .delivered = tally.delivered,
          .dsacks = tally.dsacks,
          .reorderings = tally.reorderings};
}

}  // namespace leat::tcp
