// ICMP errors that quote a segment of ours (RFC 5927, RFC 1122 4.2.3.9, RFC 8201): believed only when they quote a live
// connection and a sequence number that is in flight.

#include <leat/core/ip/error_report.hpp>
#include <leat/core/tcp/machine.hpp>
#include <leat/core/tcp/tcp.hpp>

namespace leat::tcp {
namespace {

// The path is narrower than thought: what was sent is lost, and goes again in smaller segments, without any change of
// the congestion window (RFC 8201 5.4, RFC 1191 6.3).
void too_big(Tcb& t, std::uint32_t mtu) {
  const std::uint16_t before = t.hot.mss;
  (void)ip::update_path_mtu(t.core, t.hot.key.remote, mtu, t.hot.key.scope);
  if (path_of(t) == nullptr || t.hot.mss >= before) return;
  Active* a = t.active();
  if (a == nullptr || a->ranges.count == 0) return;
  t.tables().ranges.mark_all_lost(a->ranges, false);
  if (a->recovery == Recovery::none) {
    a->recovery = Recovery::timeout;  // until what is in flight now is acknowledged, losses say nothing new
    a->recover = t.hot.snd_nxt;
    a->dup_acks = 0;
  }
  t.hot.flags.set(Flag::resend_head);
  mark_dirty(t);
}

// The next hop does not answer, as this stack itself found out; no ICMP message from elsewhere says so (row I3).
// Questions can be lost: an attempt to connect ends only when the SYN went out, or waited, four times. RFC 1122 4.2.3.9
// asks that ICMP messages not do that; Linux gives up after the first three questions.
bool next_hop_is_dead(const Tcb& t, const IcmpError& e) {
  constexpr std::uint8_t kAttempts = 3;
  return e.offender == e.local && t.hot.state == TcpState::syn_sent && t.cold.retries >= kAttempts;
}

}  // namespace

void icmp_error(Core& core, const IcmpError& e) {
  if (e.quoted.size() < 8) return;
  State& s = core.tcp;
  const FlowKey key{e.local, e.remote, Port{load_be16(&e.quoted[0])}, Port{load_be16(&e.quoted[2])}, e.scope};
  const FlowValue v = s.flows.find(
      s.flows.hash(key), [&](FlowValue c) { return c.kind() == FlowKind::connection && s.hot[c.index()].key == key; });
  if (!v) return;
  Tcb t{core, v.index()};
  // RFC 5927 4.1: SND.UNA =< SEG.SEQ < SND.NXT.
  const SeqNum seq{load_be32(&e.quoted[4])};
  if (!seq.in_window(t.hot.snd_una, t.hot.in_flight())) return;
  core.counters.add(Counter::icmp_errors_accepted);
  if (e.kind == IcmpErrorKind::packet_too_big) return too_big(t, e.info);
  // RFC 5927 5.2: a synchronized connection outlives every error; before that a hard one ends it (RFC 1122 4.2.3.9).
  const bool opening = t.hot.state == TcpState::syn_sent || t.hot.state == TcpState::syn_received;
  const Errc error = ip::errc_of(e);
  const Index socket = t.socket();
  if (opening) {
    // As Linux: only an attempt to connect fills the error queue, and what is quoted begins with TCP's header.
    if (socket != kNoIndex) ip::queue_icmp_error(core, socket, e, key.remote_port, e.quoted);
    if (next_hop_is_dead(t, e) || (ip::is_hard(e.kind) && core.options.on(OptionId::icmp_may_reset))) {
      finish(t, TcpEvent::give_up, error);
      return;
    }
  }
  if (socket == kNoIndex) return;
  if (!opening && ip::queues_errors(core, socket)) {
    // Linux, ip(7): who asked for errors of a connection is told of each at once; the connection goes on.
    core.sockets[socket].error = error;
    t.notify(Ready::error);
    return;
  }
  core.sockets[socket].soft_error = error;
  t.hot.flags.set(Flag::soft_error);
}

Errc why_given_up(const Tcb& t) {
  const Index socket = t.socket();
  const Errc soft = socket == kNoIndex ? Errc{} : t.core.sockets[socket].soft_error;
  return soft != Errc{} ? soft : Errc::timed_out;
}

void forget_soft_error(Tcb& t) {
  if (const Index socket = t.socket(); socket != kNoIndex) t.core.sockets[socket].soft_error = Errc{};
}

}  // namespace leat::tcp
