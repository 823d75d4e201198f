// C1 - C8, C10, C11: how connections end, and how nobody else can end them.
#include <random>

#include "arena.hpp"

namespace leat::test {
namespace {

bool ended(Arena& a, Handle h) {
  return any(a.ready(h) & (Ready::closed | Ready::error));
}

// RFC 5961 3.2: every offset from RCV.NXT, in every synchronized state that a peer can bring about.
TEST(C1_Rsts, EndTheConnectionOnlyExactlyAtRcvNxt) {
  enum class State { established, fin_wait_1, fin_wait_2, close_wait, last_ack, closing };
  on_both([](IpVersion v) {
    for (const State state : {State::established, State::fin_wait_1, State::fin_wait_2, State::close_wait,
                              State::last_ack, State::closing}) {
      for (const std::int64_t offset :
           {std::int64_t{0}, std::int64_t{1}, std::int64_t{-1}, std::int64_t{1000}, std::int64_t{60'000},
            std::int64_t{900'000'000}, std::int64_t{-2'000'000'000}}) {
        SCOPED_TRACE(testing::Message() << "state " << static_cast<int>(state) << " offset " << offset);
        Arena a(v);
        ASSERT_TRUE(a.stack().set_option(OptionId::receive_buffer, 65535));
        const Handle listener = a.listen(80);
        Peer p = a.accept_from(40000, listener);
        if (state == State::close_wait || state == State::last_ack) p.send(kFinAck);
        if (state != State::established && state != State::close_wait) {
          EXPECT_TRUE(a.stack().shutdown(p.socket, ShutdownHow::write));
        }
        a.segments();
        if (state == State::closing) p.send(kFinAck);
        if (state == State::fin_wait_2) {
          ++p.ack;
          p.acknowledge();
        }
        a.segments();
        p.send_at(p.seq + static_cast<std::uint32_t>(offset), kRst);
        const auto answers = a.segments();
        const bool fin_seen = state == State::close_wait || state == State::last_ack || state == State::closing;
        if (offset == 0) {
          EXPECT_TRUE(answers.empty());
          EXPECT_EQ(a.count(Counter::tcp_resets_received), 1U);
        } else {
          EXPECT_EQ(a.count(Counter::tcp_resets_received), 0U);
          EXPECT_LE(answers.size(), 1U);
          for (const Segment& s : answers) {  // a challenge, in the window alone
            EXPECT_TRUE(s.is(kAck));
            EXPECT_EQ(s.ack, p.seq);
            EXPECT_TRUE(offset > 0 && offset < 65535) << offset;
          }
          if (offset == 1 || offset == 1000) {
            EXPECT_EQ(answers.size(), 1U);
          }
          EXPECT_FALSE(fin_seen ? false : any(a.ready(p.socket) & Ready::error));
        }
        EXPECT_TRUE(a.stack().abort(p.socket));
        a.segments();
        EXPECT_EQ(a.packets_in_use(), 0U);
      }
    }
  });
}

TEST(C2_SynInSynchronizedStates, IsChallengedAndChangesNothing) {
  on_both([](IpVersion v) {
    Arena a(v);
    const Handle listener = a.listen(80);
    Peer p = a.accept_from(40000, listener);
    for (const std::uint32_t offset : {0U, 1U, 50'000U, 900'000'000U, 0xffff'0000U}) {
      for (const TcpFlags flags : {kSyn, kSynAck}) {
        Tcp t = p.segment(flags);
        t.seq = p.seq + offset;
        t.options = PeerOptions{.mss = 100}.bytes(0, 0);
        a.inject(t);
        const auto answers = a.segments();
        EXPECT_LE(answers.size(), 1U);
        for (const Segment& s : answers) {
          EXPECT_TRUE(s.is(kAck)) << s;
          EXPECT_EQ(s.ack, p.seq);
          EXPECT_EQ(s.seq, p.ack);
        }
        a.advance(Duration::ms(500));
        a.segments();
      }
    }
    EXPECT_GE(a.count(Counter::tcp_challenge_acks), 5U);
    ASSERT_EQ(a.write(p.socket, pattern(1000)), 1000U);
    EXPECT_EQ(a.one().data.size(), 1000U) << "the MSS of the handshake still counts";
    p.send(kPshAck, pattern(10));
    EXPECT_EQ(a.read(p.socket), pattern(10));
    a.segments();
  });
}

// CVE-2016-5696: a limit that all connections share tells an attacker whether his guess hit.
TEST(C3_ChallengeAcks, AreLimitedForEachConnectionAndNotPredictably) {
  on_both([](IpVersion v) {
    std::set<std::size_t> counts;
    for (std::uint64_t seed = 1; seed <= 24; ++seed) {
      HostOptions o = arena_options();
      o.entropy = Entropy{{seed, 2, 3, 4}};
      Arena a(v, o);
      const Handle listener = a.listen(80);
      Peer victim = a.accept_from(40000, listener);
      Peer attacker = a.accept_from(40001, listener);
      std::size_t answered = 0;
      for (int i = 0; i < 500; ++i) {  // within one second
        attacker.send_at(attacker.seq + 100, kRst);
        answered += a.segments().size();
        a.advance(Duration::us(500));
      }
      EXPECT_GE(answered, 1U);
      EXPECT_LE(answered, 40U);
      EXPECT_GT(a.drops(DropReason::tcp_challenge_limited), 400U);
      counts.insert(answered);
      // The attacker's flood told him nothing: the other connection has its own account.
      victim.send_at(victim.seq + 100, kRst);
      EXPECT_EQ(a.segments().size(), 1U);
    }
    EXPECT_GE(counts.size(), 3U) << "the number of challenges in a second is randomised";
  });
}

// Nor do ACKs that stand nowhere near bring an answer each: who forges them, or has lost its state, would be in a loop
// with us.
TEST(C3_ChallengeAcks, AnswerAcksOutsideOfTheWindowToo) {
  on_both([](IpVersion v) {
    Arena a(v);
    const Handle listener = a.listen(80);
    Peer p = a.accept_from(40000, listener);
    for (const std::uint32_t distance : {0x7000'0000U, 0x9000'0000U}) {
      std::size_t answered = 0;
      a.advance(Duration::s(2));
      for (int i = 0; i < 500; ++i) {
        p.send_at(p.seq + distance, kAck);
        answered += a.segments().size();
        a.advance(Duration::us(500));
      }
      EXPECT_GE(answered, 1U) << distance;
      EXPECT_LE(answered, 40U) << distance;
    }
  });
}

TEST(C4_Close, WithUnreadDataResetsAndInEveryOtherStateEndsAsItMust) {
  on_both([](IpVersion v) {
    Arena a(v);
    const Handle listener = a.listen(80);
    {  // RFC 2525 2.17: data that nobody read
      Peer p = a.accept_from(40000, listener);
      p.send(kPshAck, pattern(100));
      a.advance(Duration::ms(100));
      a.segments();
      EXPECT_TRUE(a.stack().close(p.socket));
      const Segment s = a.one();
      EXPECT_TRUE(s.flags.rst()) << s;
      EXPECT_EQ(s.seq, p.ack);
      p.acknowledge();
      EXPECT_TRUE(a.one().flags.rst()) << "nothing is left of it";
    }
    {  // out of order data counts as unread, too, or ends quietly: never a leak
      Peer p = a.accept_from(40001, listener);
      p.send_at(p.seq + 50, kPshAck, pattern(100));
      a.segments();
      EXPECT_TRUE(a.stack().close(p.socket));
      EXPECT_FALSE(a.segments().empty());
      p.send_at(p.seq, kRst);
    }
    {  // SYN-SENT: gone at once, and silent
      const Handle h = a.connect(9000);
      Peer p = a.answering(a.one(), h);
      EXPECT_TRUE(a.stack().close(h));
      a.expect_silence();
      p.send(kSynAck);
      const Segment s = a.one();
      EXPECT_TRUE(s.is(kRst));
      EXPECT_EQ(s.seq, p.ack);
    }
    {  // SYN-RECEIVED of an active opener: the FIN follows the SYN
      const Handle h = a.connect(9001);
      Peer p = a.answering(a.one(), h);
      p.send(kSyn);
      EXPECT_TRUE(a.one().is(kSynAck));
      EXPECT_TRUE(a.stack().close(h));
      p.acknowledge();
      const auto all = a.segments();
      ASSERT_FALSE(all.empty());
      EXPECT_TRUE(all.back().flags.fin());
      EXPECT_EQ(all.back().seq, p.ack);
      ++p.ack;
      p.send(kFinAck);
      EXPECT_EQ(a.one().ack, p.seq);
    }
    {  // with data still to send: all of it, then FIN
      Peer p = a.accept_from(40002, listener, {.window = 2000});
      ASSERT_EQ(a.write(p.socket, pattern(5000)), 5000U);
      EXPECT_TRUE(a.stack().close(p.socket));
      Bytes got;
      bool fin = false;
      for (int i = 0; i < 20 && !fin; ++i) {
        for (const Segment& s : a.segments()) {
          if (s.seq != p.ack) continue;
          got = got + s.data;
          p.ack = s.end();
          fin = s.flags.fin();
        }
        p.acknowledge();
        a.advance(Duration::ms(10));
      }
      EXPECT_TRUE(fin);
      EXPECT_EQ(got, pattern(5000));
      p.send(kFinAck);
      a.segments();
    }
    a.advance(Duration::s(200));
    a.segments();
    EXPECT_EQ(a.packets_in_use(), 0U);
  });
}

TEST(C5_FinWait2, WithoutASocketEndsInTime) {
  on_both([](IpVersion v) {
    Arena a(v);
    const Handle listener = a.listen(80);
    std::vector<Peer> peers;
    for (unsigned i = 0; i < 300; ++i) {
      peers.push_back(a.accept_from(2000 + i, listener));
      EXPECT_TRUE(a.stack().close(peers.back().socket));
      EXPECT_TRUE(a.one().flags.fin());
      ++peers.back().ack;
      peers.back().acknowledge();  // and never a FIN from there
    }
    const std::int64_t limit = a.stack().option(OptionId::tcp_fin_timeout);
    a.advance(Duration::us(limit / 2));
    peers[0].acknowledge();
    a.expect_silence();  // still known
    a.advance(Duration::us(limit) + Duration::s(2));
    a.segments();
    for (Peer& p : peers) {
      p.send(kFinAck);
      EXPECT_TRUE(a.one().flags.rst()) << "the connection should be forgotten";
    }
    EXPECT_TRUE(a.stack().next_deadline() - a.now() > Duration::s(30)) << "and no timer runs for it";
  });
}

TEST(C6_OnlyTheFinInFlight, IsSentAgain) {
  on_both([](IpVersion v) {
    for (const bool sack : {false, true}) {
      for (const bool duplicates : {false, true}) {
        Arena a(v);
        const Handle listener = a.listen(80);
        Peer p = a.accept_from(40000, listener, {.sack = sack});
        ASSERT_EQ(a.write(p.socket, pattern(3000)), 3000U);
        a.segments();
        EXPECT_TRUE(a.stack().shutdown(p.socket, ShutdownHow::write));
        EXPECT_TRUE(a.one().flags.fin());
        p.ack += 3000;
        p.acknowledge();  // all but the FIN
        if (duplicates)
          for (int i = 0; i < 5; ++i) p.acknowledge();
        std::size_t fins = 0;
        for (const Segment& s : a.segments()) fins += s.flags.fin() ? 1 : 0;
        for (int i = 0; i < 40; ++i) {
          a.advance(Duration::ms(100));
          for (const Segment& s : a.segments()) {
            EXPECT_TRUE(s.flags.fin());
            EXPECT_EQ(s.seq, p.ack);
            EXPECT_TRUE(s.data.empty());
            ++fins;
          }
        }
        EXPECT_GE(fins, 2U);
        EXPECT_LE(fins, 8U);
        ++p.ack;
        p.send(kFinAck);
        EXPECT_EQ(a.one().ack, p.seq);
        EXPECT_TRUE(a.stack().close(p.socket));
      }
    }
  });
}

// A connection that we closed first: in TIME-WAIT, by record.
Peer in_time_wait(Arena& a, unsigned port, Handle listener, const PeerOptions& o = {}) {
  Peer p = a.accept_from(port, listener, o);
  EXPECT_TRUE(a.stack().close(p.socket));
  EXPECT_TRUE(a.one().flags.fin());
  ++p.ack;
  p.send(kFinAck);
  EXPECT_EQ(a.one().ack, p.seq);
  return p;
}

TEST(C7_TimeWait, AnswersLateFinsIgnoresRstsAndYieldsToNewSyns) {
  on_both([](IpVersion v) {
    for (const bool timestamps : {false, true}) {
      SCOPED_TRACE(timestamps);
      Arena a(v);
      const Handle listener = a.listen(80);
      const std::int64_t length = a.stack().option(OptionId::tcp_time_wait);
      Peer p = in_time_wait(a, 40000, listener, {.timestamps = timestamps});
      // RFC 9293 3.10.7.4: our last ACK got lost, the FIN comes again; the wait starts anew.
      a.advance(Duration::us(length * 3 / 4));
      p.send_at(p.seq - 1, kFinAck);
      const Segment again = a.one();
      EXPECT_TRUE(again.is(kAck));
      EXPECT_EQ(again.ack, p.seq);
      EXPECT_EQ(again.seq, p.ack);
      a.advance(Duration::us(length * 3 / 4));
      p.send_at(p.seq - 1, kFinAck);
      EXPECT_TRUE(a.one().is(kAck)) << "it was not restarted";
      // RFC 1337: resets do not end it.
      for (const std::uint32_t at : {p.seq, p.seq + 1, p.seq - 1}) p.send_at(at, kRst);
      a.segments();
      p.send_at(p.seq - 1, kFinAck);
      EXPECT_TRUE(a.one().is(kAck)) << "a RST ended TIME-WAIT";
      // An old SYN does not; a newer one begins a new connection (RFC 6191).
      Tcp syn = p.segment(kSyn);
      syn.seq = p.seq - 10'000;
      syn.options = PeerOptions{.timestamps = timestamps}.bytes(p.ts_value - 10, 0);
      a.inject(syn);
      for (const Segment& s : a.segments()) EXPECT_FALSE(s.flags.syn()) << s;
      Peer q =
          a.accept_from(40000, listener, {.timestamps = timestamps, .isn = p.seq + 100'000, .clock = p.ts_value + 10});
      EXPECT_GT(static_cast<std::int32_t>(q.ack - p.ack), 0) << "our number must be above all that the old one used";
      q.send(kPshAck, pattern(10));
      EXPECT_EQ(a.read(q.socket), pattern(10));
      EXPECT_TRUE(a.stack().abort(q.socket));
      a.segments();
      // At its end it is gone.
      Peer r = in_time_wait(a, 40001, listener, {.timestamps = timestamps});
      a.advance(Duration::us(length) + Duration::s(2));
      a.expect_silence();
      r.send_at(r.seq - 1, kFinAck);
      EXPECT_TRUE(a.one().flags.rst());
    }
  });
}

TEST(C7_TimeWait, WithTimestampsEvenALowerNumberMayReuseIt) {
  Arena a;
  const Handle listener = a.listen(80);
  Peer p = in_time_wait(a, 40000, listener, {.timestamps = true});
  Peer q = a.accept_from(40000, listener, {.timestamps = true, .isn = p.seq - 500'000, .clock = p.ts_value + 1});
  q.send(kPshAck, pattern(10));
  EXPECT_EQ(a.read(q.socket), pattern(10));
}

TEST(C7_TimeWait, IsCappedAndTheOldestGoFirst) {
  Arena a;
  const Handle listener = a.listen(80);
  const std::uint32_t cap = kArenaLimits.tcp.time_wait;
  std::vector<Peer> peers;
  for (unsigned i = 0; i < cap + 100; ++i) {
    peers.push_back(in_time_wait(a, 2000 + i, listener));
    a.advance(Duration::ms(1));
  }
  EXPECT_GE(a.count(Counter::tcp_time_wait_recycled), 100U);
  EXPECT_EQ(a.packets_in_use(), 0U);
  peers.back().send_at(peers.back().seq - 1, kFinAck);
  EXPECT_TRUE(a.one().is(kAck)) << "the newest is kept";
  peers.front().send_at(peers.front().seq - 1, kFinAck);
  EXPECT_TRUE(a.one().flags.rst()) << "the oldest made room";
}

TEST(C8_TimeWaitExpiry, LeavesUnreadDataToTheReader) {
  on_both([](IpVersion v) {
    Arena a(v);
    const Handle listener = a.listen(80);
    Peer p = a.accept_from(40000, listener);
    EXPECT_TRUE(a.stack().shutdown(p.socket, ShutdownHow::write));
    EXPECT_TRUE(a.one().flags.fin());
    ++p.ack;
    p.send(kPshAck, pattern(5000 - 1400 * 3));
    for (unsigned i = 0; i < 3; ++i) p.send(kPshAck, pattern(1400, i));
    p.send(kFinAck);
    a.segments();
    a.advance(Duration::s(600));  // TIME-WAIT came and went
    a.segments();
    IoStatus status{};
    EXPECT_EQ(a.read(p.socket, 1 << 20, &status),
              pattern(800) + pattern(1400, 0) + pattern(1400, 1) + pattern(1400, 2));
    EXPECT_EQ(status, IoStatus::end_of_stream);
    EXPECT_TRUE(a.stack().close(p.socket));
    a.segments();
    EXPECT_EQ(a.packets_in_use(), 0U);
  });
}

TEST(C10_ResetAfterFin, IsNoOrderlyEnd) {
  on_both([](IpVersion v) {
    Arena a(v);
    const Handle listener = a.listen(80);
    // In order: end of stream, nothing else.
    Peer p = a.accept_from(40000, listener);
    p.send(kPshAck | TcpFlag::fin, pattern(10));
    IoStatus status{};
    EXPECT_EQ(a.read(p.socket, 1 << 20, &status), pattern(10));
    EXPECT_EQ(status, IoStatus::end_of_stream);
    EXPECT_FALSE(a.stack().take_error(p.socket).has_value());
    // The same, and then a RST: whoever still wants something of the connection is told.
    Peer q = a.accept_from(40001, listener);
    q.send(kPshAck | TcpFlag::fin, pattern(10));
    q.send_at(q.seq, kRst);
    EXPECT_TRUE(any(a.ready(q.socket) & Ready::error));
    const auto written = a.stack().try_send(q.socket, pattern(5));
    ASSERT_FALSE(written);
    EXPECT_TRUE(written.error() == Errc::connection_reset || written.error() == Errc::broken_pipe);
    // A RST without a FIN: never an end of stream before the error.
    Peer r = a.accept_from(40002, listener);
    r.send_at(r.seq, kRst);
    Errc error{};
    status = IoStatus::done;
    EXPECT_TRUE(a.read(r.socket, 10, &status, &error).empty());
    EXPECT_EQ(error, Errc::connection_reset);
    EXPECT_NE(status, IoStatus::end_of_stream);
    for (const Handle h : {p.socket, q.socket, r.socket}) EXPECT_TRUE(a.stack().close(h));
    a.segments();
  });
}

TEST(C11_TimeThatJumps, MakesNoStormAndNoStall) {
  on_both([](IpVersion v) {
    Arena a(v);
    const Handle listener = a.listen(80);
    std::vector<Peer> peers;
    for (unsigned i = 0; i < 100; ++i) {
      peers.push_back(a.accept_from(2000 + i, listener));
      ASSERT_EQ(a.write(peers.back().socket, pattern(4000, i)), 4000U);
    }
    a.segments();
    // Nobody polls for an hour; then once.
    Stack& s = a.stack();
    const Instant later = a.now() + Duration::s(3600);
    s.run_timers(later, 1 << 20);
    std::size_t sent = 0;
    for (int rounds = 0; rounds < 100; ++rounds) {
      PacketBatch batch;
      s.output(a.eth, batch, later);
      if (batch.empty()) break;
      sent += batch.size();
      batch.clear();
      s.run_timers(later, 1 << 20);  // the hour's worth must not come in slices
    }
    EXPECT_LE(sent, 2 * peers.size()) << "an hour of retransmissions at once";
    EXPECT_GE(sent, peers.size());
    EXPECT_GT(s.next_deadline(), later);
    // The clock steps back by an hour: time stands still until it catches up, and nothing breaks.
    s.run_timers(a.now(), 1 << 20);
    EXPECT_EQ(s.now(), later);
    s.set_now(Instant::from_ns(0));
    EXPECT_EQ(s.now(), later);
    s.check_invariants();
    a.advance(Duration::s(3601));
    // Everybody is alive and well.
    for (Peer& p : peers) {
      EXPECT_FALSE(ended(a, p.socket));
      p.ack += 4000;
      p.acknowledge();
      p.send(kPshAck, pattern(10));
      EXPECT_EQ(a.read(p.socket), pattern(10));
    }
    a.segments();
  });
}

// A poll that is late by seconds each time: timers are late, too, but never lost, and never two for one.
TEST(C11_TimeThatJumps, StarvedTimersStillGiveUpInTheEnd) {
  Arena a;
  ASSERT_TRUE(a.stack().set_option(OptionId::tcp_retries, 5));
  const Handle listener = a.listen(80);
  Peer p = a.accept_from(40000, listener);
  ASSERT_EQ(a.write(p.socket, pattern(100)), 100U);
  a.segments();
  Instant t = a.now();
  std::size_t sent = 0;
  for (int i = 0; i < 200 && !ended(a, p.socket); ++i) {
    t = t + Duration::s(7);
    a.stack().run_timers(t, 1);
    PacketBatch batch;
    a.stack().output(a.eth, batch, t);
    EXPECT_LE(batch.size(), 1U);
    sent += batch.size();
    batch.clear();
  }
  EXPECT_TRUE(ended(a, p.socket));
  EXPECT_LE(sent, 6U);
  EXPECT_EQ(a.stack().take_error(p.socket), Errc::timed_out);
}

// What is due all at once is done piece by piece: a call answers for no more than its budget allows.
TEST(C11_TimeThatJumps, ACallDoesNoMoreThanItsBudget) {
  static constexpr unsigned kMany = 20;
  const auto expect_pieces = [](Arena& a, Duration ahead) {
    const Instant later = a.now() + ahead;
    std::size_t sent = 0;
    for (unsigned calls = 0; calls < 4 * kMany; ++calls) {
      a.stack().run_timers(later, 1);
      PacketBatch batch;
      a.stack().output(a.eth, batch, later);
      EXPECT_LE(batch.size(), 1U);
      sent += batch.size();
      batch.clear();
    }
    EXPECT_EQ(sent, kMany);
  };
  {
    SCOPED_TRACE("retransmissions");
    Arena a;
    const Handle listener = a.listen(80, kMany);
    for (unsigned i = 0; i < kMany; ++i) EXPECT_EQ(a.write(a.accept_from(2000 + i, listener).socket, pattern(10)), 10U);
    a.segments();
    expect_pieces(a, Duration::ms(1500));
  }
  {
    SCOPED_TRACE("delayed ACKs");
    Arena a;
    const Handle listener = a.listen(80, kMany);
    for (unsigned i = 0; i < kMany; ++i) {
      Peer p = a.accept_from(2000 + i, listener);
      EXPECT_TRUE(a.stack().set_option(p.socket, OptionId::tcp_quickack, 0));
      p.send(kPshAck, pattern(10));
    }
    EXPECT_TRUE(a.segments().empty());
    expect_pieces(a, Duration::ms(300));
  }
  {
    SCOPED_TRACE("SYN-ACKs");
    Arena a;
    a.listen(80, kMany);
    for (unsigned i = 0; i < kMany; ++i) a.half_open(2000 + i);
    a.segments();
    expect_pieces(a, Duration::ms(1500));
  }
}

}  // namespace
}  // namespace leat::test
