// What must hold between TCP's tables, whatever peers and users did; and the end of a stack.

#include <leat/core/tcp/machine.hpp>
#include <leat/core/tcp/tcp.hpp>

namespace leat::tcp {
namespace {

void check_active(const Core& core, const Hot& h, const Cold& c, const Active& a) {
  const State& s = core.tcp;
  a.send.check_invariants(core.pool);
  a.receive.check_invariants(core.pool);
  s.ooo.check_invariants(a.ooo, core.pool);
  s.ranges.check_invariants(a.ranges);
  const SeqNum una = h.snd_una + (h.snd_una == c.iss && c.una_wraps == 0 ? 1U : 0U);
  const SeqNum nxt = h.snd_nxt - (h.has(Flag::fin_sent) ? 1U : 0U);
  const std::uint32_t flying = una < nxt ? nxt - una : 0;
  if (h.has(Flag::detached)) return;
  LEAT_ASSERT(flying <= a.send.size());
  // The ranges cover what is in flight without a gap.
  const Range* first = s.ranges.first(a.ranges);
  LEAT_ASSERT((first == nullptr) == (flying == 0));
  if (first != nullptr) {
    LEAT_ASSERT(first->start == una);
    LEAT_ASSERT(s.ranges[a.ranges.tree.last].end == nxt);
  }
}

void check_connection(const Core& core, Index i) {
  const State& s = core.tcp;
  const Hot& h = s.hot[i];
  const Cold& c = s.cold[i];
  const bool listed = h.state != TcpState::closed && !h.has(Flag::detached);
  if (h.state != TcpState::closed) LEAT_ASSERT(find_connection(core, h.key).has_value() == listed || !listed);
  if (listed) LEAT_ASSERT(find_connection(core, h.key) == i);
  if (h.active != kNoIndex) check_active(core, h, c, s.active[h.active]);
  if (!listed) return;
  LEAT_ASSERT(h.snd_una <= h.snd_nxt);
  LEAT_ASSERT(h.state == TcpState::syn_sent || h.rcv_nxt <= h.rcv_adv);
  // Nothing waits for ever: what is in flight has a timer, or is about to leave.
  if (h.in_flight() != 0) LEAT_ASSERT(h.has(Flag::rtx_running) || h.link != kUnlinked);
  if (h.has(Flag::rtx_running)) LEAT_ASSERT(s.wheel.armed(i) || h.link != kUnlinked);
  if (h.flags.any(Flag::ack_now, Flag::probe_now, Flag::send_syn)) LEAT_ASSERT(h.link != kUnlinked);
  if (h.has(Flag::ack_later)) LEAT_ASSERT(h.has(Flag::ack_queued) || s.wheel.armed(i) || h.link != kUnlinked);
}

}  // namespace

void check_invariants(const Core& core) {
  const State& s = core.tcp;
  s.flows.check_invariants();
  s.binds.check_invariants();
  s.wheel.check_invariants();
  s.acks.check_invariants();
  s.syn_cache.check_invariants();
  s.time_wait.check_invariants();
  std::uint32_t active = 0;
  for (Index i = 0; i < s.connection_pool.watermark(); ++i) {
    if (s.hot[i].has(Flag::freed)) continue;
    check_connection(core, i);
    if (s.hot[i].active != kNoIndex) ++active;
  }
  LEAT_ASSERT(active == s.active_pool.used());
}

void shut_down(Core& core) {
  State& s = core.tcp;
  // Sockets were aborted; what is left are connections on their way out.
  for (Index i = 0; i < s.connection_pool.watermark(); ++i) {
    Tcb t{core, i};
    if (t.hot.state == TcpState::closed || t.hot.has(Flag::freed)) continue;
    if (t.hot.has(Flag::in_accept_queue)) continue;  // its listener's
    destroy(t);
  }
}

}  // namespace leat::tcp
