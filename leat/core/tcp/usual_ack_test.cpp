// The short way of an acknowledgement (on_usual_ack) against the general one: the same connection twice, the same
// segment, and nothing that may differ afterwards.

#include <leat/core/tcp/machine.hpp>
#include <tests/support/tcp_pair.hpp>

namespace leat::test {
namespace {

using tcp::Flag;

struct Case {
  bool more_waits = false;  // octets that Nagle held back follow in the queue
  bool text = false;        // the segment brings text, too
  bool app_limited = false;
  bool wraps = false;  // SND.UNA passes 2^32
};

// Everything that an acknowledgement may change, as numbers.
std::vector<std::uint64_t> state_of(tcp::Tcb& t) {
  const tcp::Hot& h = t.hot;
  const tcp::Cold& c = t.cold;
  std::vector<std::uint64_t> all{h.snd_una.value(),
                                 h.snd_nxt.value(),
                                 h.snd_wnd,
                                 h.snd_wl1.value(),
                                 c.window.cwnd,
                                 c.window.ssthresh,
                                 c.rtt.srtt_us(),
                                 c.rtt.rttvar_us(),
                                 c.rtt.backoff(),
                                 h.active,
                                 h.link,
                                 c.rtx_due,
                                 c.min_rtt_us,
                                 c.w_max,
                                 c.una_wraps,
                                 h.max_window,
                                 c.retries,
                                 t.core.pool.packets_free(),
                                 t.tables().ranges.used(),
                                 t.core.counters.get(Counter::tcp_bytes_in)};
  for (unsigned bit = 0; bit < 32; ++bit) all.push_back(h.has(static_cast<Flag>(1U << bit)) ? 1 : 0);
  if (const tcp::Active* a = t.active()) {
    for (const std::uint64_t n :
         {std::uint64_t{a->send.size()}, std::uint64_t{a->send.front_position()}, std::uint64_t{a->delivered},
          std::uint64_t{a->stalled_since}, std::uint64_t{a->dup_acks}, std::uint64_t{a->confirmed},
          std::uint64_t{a->app_limited ? 1U : 0U}, std::uint64_t{a->largest_flight},
          std::uint64_t{a->flight_end.value()}, std::uint64_t{a->ranges.count},
          std::uint64_t{a->ranges.resend_hint.value()}, std::uint64_t{a->ranges.lost_edge.value()},
          std::uint64_t{a->ranges.highest_sacked.value()}})
      all.push_back(n);
    for (const std::uint32_t word : a->congestion.words) all.push_back(word);
  }
  return all;
}

std::vector<std::uint64_t> after(const Case& of, bool usual) {
  TcpPair net;
  const auto [client, server] = net.connect();
  tcp::Tcb t{net.stack(0).core(), 0};
  const auto data = TcpPair::pattern(100);
  EXPECT_EQ(net.stack(0).try_send(client, data)->count, 100U);
  net.settle();  // it is on its way
  if (of.more_waits) {
    EXPECT_EQ(net.stack(0).try_send(client, data)->count, 100U);
    net.settle();
  }
  net.stack(0).set_now(net.now() + Duration::ms(37));
  tcp::Active& a = *t.active();
  prepare_congestion(t, a);
  EXPECT_EQ(t.hot.link, kUnlinked);
  EXPECT_EQ(t.hot.in_flight(), 100U);
  if (of.wraps) {
    const std::uint32_t by = 50U - t.hot.snd_nxt.value();
    t.hot.snd_una += by;
    t.hot.snd_nxt += by;
    t.cold.iss += by;
    t.tables().ranges.clear(a.ranges);
    t.tables().ranges.sent(a.ranges, t.hot.snd_una, t.hot.snd_nxt, tcp::us_now(t.core) - 37'000, 0, 8);
  }
  t.cold.rtt.restore(t.cold.rtt.srtt_us(), t.cold.rtt.rttvar_us(), 2);
  a.dup_acks = 2;
  t.cold.retries = 1;
  t.cold.min_rtt_us = 50'000;
  t.cold.window.cwnd = 5000;
  a.app_limited = of.app_limited;
  tcp::Segment s;
  s.seq = t.hot.rcv_nxt;
  s.ack = t.hot.snd_nxt;
  s.flags = wire::TcpFlag::ack;
  s.window = 777;
  s.length = of.text ? 10 : 0;
  if (usual) {
    EXPECT_TRUE(on_usual_ack(t, a, s));
  } else {
    on_ack(t, s, nullptr);
  }
  auto all = state_of(t);
  net.stack(0).check_invariants();
  if (of.wraps) net.set_hook([](unsigned, ByteSpan) { return false; });  // the peer knows other numbers
  return all;
}

TEST(UsualAck, ChangesWhatTheGeneralWayChanges) {
  for (unsigned bits = 0; bits < 16; ++bits) {
    const Case of{(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0};
    EXPECT_EQ(after(of, true), after(of, false)) << bits;
  }
}

// Whatever gives the general way more to do keeps an acknowledgement from the short one.
TEST(UsualAck, LeavesTheUnusualAlone) {
  TcpPair net;
  const auto [client, server] = net.connect();
  tcp::Tcb t{net.stack(0).core(), 0};
  EXPECT_EQ(net.stack(0).try_send(client, TcpPair::pattern(100))->count, 100U);
  net.settle();
  tcp::Active& a = *t.active();
  tcp::Segment s;
  s.seq = t.hot.rcv_nxt;
  s.ack = t.hot.snd_nxt;
  s.flags = wire::TcpFlag::ack;
  EXPECT_FALSE(on_usual_ack(t, a, s)) << "congestion control is not set up";
  prepare_congestion(t, a);
  for (const Flag f : {Flag::fin_queued, Flag::persist, Flag::soft_error, Flag::keep_alive, Flag::write_blocked,
                       Flag::resend_head, Flag::copies_out}) {
    t.hot.flags.set(f);
    EXPECT_FALSE(on_usual_ack(t, a, s)) << static_cast<std::uint32_t>(f);
    t.hot.flags.clear(f);
  }
  a.recovery = tcp::Recovery::timeout;
  EXPECT_FALSE(on_usual_ack(t, a, s)) << "a time-out is being repaired";
  a.recovery = tcp::Recovery::none;
  s.ack = s.ack - 1U;
  EXPECT_FALSE(on_usual_ack(t, a, s)) << "part of it only";
  s.ack += 1;
  EXPECT_TRUE(on_usual_ack(t, a, s));
  net.run();
}

}  // namespace
}  // namespace leat::test
