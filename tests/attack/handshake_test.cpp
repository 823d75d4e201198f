// T1 - T9: what arrives before there is a connection, and listeners.
#include <random>

#include "arena.hpp"

namespace leat::test {
namespace {

// A connection from an ordinary peer works: what every attack must leave true.
void expect_service(Arena& a, Handle listener, unsigned from = 61000) {
  a.segments();
  Peer p = a.accept_from(from, listener, {.isn = 77});
  p.send(kPshAck, pattern(50));
  EXPECT_EQ(a.read(p.socket), pattern(50));
  p.send_at(p.seq, kRst);
  EXPECT_TRUE(a.stack().close(p.socket));
  a.segments();
}

TEST(T1_AddressesThatTcpMustNotUse, AreDroppedCountedAndNeverAnswered) {
  struct Row {
    IpAddress from, to;
    unsigned source_port, port;
  };
  on_both([](IpVersion v) {
    Arena a(v);
    const Handle listener = a.listen(80);
    std::vector<Row> rows{
        {a.them, a.us, 0, 80},                 // source port 0
        {a.them, a.us, 40000, 0},              // destination port 0
        {a.us, a.us, 80, 80},                  // land
        {a.us, a.us, 40000, 80},               // our own address as source
        {IpAddress::any(v), a.us, 40000, 80},  // unspecified
        {a.them, IpAddress::any(v), 40000, 80},
    };
    if (v == IpVersion::v4) {
      for (const char* text : {"224.0.0.5", "255.255.255.255", "10.0.0.255", "127.0.0.1", "0.1.2.3", "240.0.0.1"})
        rows.push_back({ip(text), a.us, 40000, 80});
      for (const char* text : {"224.0.0.1", "255.255.255.255", "10.0.0.255", "127.0.0.1"})
        rows.push_back({a.them, ip(text), 40000, 80});
    } else {
      for (const char* text : {"ff02::1", "::1", "ff0e::5"}) rows.push_back({ip(text), a.us, 40000, 80});
      for (const char* text : {"ff02::1", "::1"}) rows.push_back({a.them, ip(text), 40000, 80});
    }
    for (const Row& r : rows) {
      SCOPED_TRACE(testing::Message() << AddressText(r.from).view() << ":" << r.source_port << " > "
                                      << AddressText(r.to).view() << ":" << r.port);
      const std::uint64_t before = a.stack().counters().total_drops();
      for (const TcpFlags flags : {kSyn, kAck, kRst}) {
        a.receive(tcp_packet({.source = r.from, .destination = r.to},
                             Tcp{.from = r.source_port, .to = r.port, .flags = flags}));
        a.expect_silence();
      }
      EXPECT_EQ(a.stack().counters().total_drops(), before + 3);
    }
    EXPECT_GE(a.drops(DropReason::tcp_bad_address), 2U);  // the ports: nobody else looks at them
    EXPECT_EQ(a.packets_in_use(), 0U);
    expect_service(a, listener);
  });
}

// A million SYNs a second from everywhere, for a tenth of a second.
TEST(T2_SynFloodKeepsEstablishedFlows, MemoryIsBoundedAndCookiesServeNewOnes) {
  on_both([](IpVersion v) {
    Arena a(v);
    const Handle listener = a.listen(80);
    Peer friendly = a.accept_from(50000, listener, {.sack = true, .timestamps = true});
    const std::size_t idle = a.packets_in_use();
    std::size_t echoed = 0;
    constexpr std::uint32_t kSyns = 100'000;
    for (std::uint32_t i = 0; i < kSyns; ++i) {
      Tcp syn{.from = 1024 + i % 60000, .to = 80, .seq = i * 7919, .flags = kSyn};
      syn.options = PeerOptions{.sack = true}.bytes(0, 0);
      a.flood(tcp_packet({.source = a.stranger(i), .destination = a.us}, syn));
      if (i % 16 == 15) (void)a.segments();
      if (i % 10'000 == 5'000) {
        (void)a.segments();
        a.advance(Duration::ms(10));
        (void)a.segments();
        ++friendly.ts_value;
        friendly.send(kPshAck, pattern(500, i));
        EXPECT_EQ(a.read(friendly.socket), pattern(500, i));
        ASSERT_EQ(a.write(friendly.socket, pattern(300, i)), 300U);
        Bytes back;
        for (const Segment& s : a.segments())
          if (s.destination_port == friendly.port) back.insert(back.end(), s.data.begin(), s.data.end());
        EXPECT_EQ(back, pattern(300, i));
        friendly.ack += 300;
        friendly.acknowledge();
        ++echoed;
        EXPECT_LE(a.packets_in_use(), idle + 8) << "the flood holds packet memory";
      }
    }
    EXPECT_EQ(echoed, 10U);
    EXPECT_GT(a.count(Counter::tcp_cookies_sent), kSyns / 2);
    EXPECT_EQ(a.count(Counter::tcp_passive_opens), 1U);
    // A new client comes in by a cookie, with its MSS; without timestamps other options are lost.
    (void)a.segments();
    Peer late = a.half_open(51000, {.mss = 1000}, a.stranger(0x12345));
    late.send(kPshAck, pattern(100));
    late.socket = a.accept(listener);
    ASSERT_TRUE(late.socket);
    EXPECT_EQ(a.count(Counter::tcp_cookies_accepted), 1U);
    EXPECT_EQ(a.read(late.socket), pattern(100));
    (void)a.segments();
    EXPECT_GT(a.write(late.socket, pattern(3000)), 0U);
    for (const Segment& s : a.segments()) EXPECT_LE(s.data.size(), 1000U);
    // A cookie with options: they come back in the timestamp.
    Peer modern = a.half_open(51001, {.mss = 1460, .wscale = 9, .sack = true, .timestamps = true}, a.stranger(0x12346));
    ASSERT_TRUE(modern.timestamps);
    modern.acknowledge();
    modern.socket = a.accept(listener);
    ASSERT_TRUE(modern.socket);
    modern.send_at(modern.seq + 100, kPshAck, pattern(10));
    const Segment gap = a.one();
    EXPECT_EQ(gap.options.sack_count, 1U) << "SACK was negotiated, and a cookie must say so";
    // Time passes, the records expire, and nothing is left but the connections.
    a.advance(Duration::s(300));
    (void)a.segments();
    for (const Handle h : {friendly.socket, late.socket, modern.socket}) EXPECT_TRUE(a.stack().abort(h));
    (void)a.segments();
    expect_service(a, listener);
    EXPECT_EQ(a.packets_in_use(), 0U);
  });
}

TEST(T2_SynFloodKeepsEstablishedFlows, AckFloodAgainstCookiesFindsNothing) {
  Arena a;
  ASSERT_TRUE(a.stack().set_option(OptionId::tcp_syncookies, 2));  // always
  const Handle listener = a.listen(80);
  Peer p = a.half_open(40000);
  EXPECT_EQ(a.count(Counter::tcp_cookies_sent), 1U);
  // Blind ACKs, around the right one and elsewhere: not one becomes a connection.
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    const std::uint32_t guess =
        i < 1000 ? p.ack + 1 + static_cast<std::uint32_t>(i) : static_cast<std::uint32_t>(random());
    if (guess == p.ack) continue;
    a.flood(tcp_packet({.source = a.them, .destination = a.us},
                       Tcp{.from = 40000, .to = 80, .seq = p.seq, .ack = guess, .flags = kAck}));
    if (i % 32 == 0) (void)a.segments();
  }
  (void)a.segments();
  EXPECT_EQ(a.count(Counter::tcp_cookies_accepted), 0U);
  EXPECT_FALSE(a.accept(listener));
  EXPECT_GT(a.drops(DropReason::tcp_bad_cookie) + a.drops(DropReason::tcp_no_connection), 19'000U);
  // Another source, port or sequence number does not fit the cookie either.
  a.inject_from(a.stranger(5), Tcp{.from = 40000, .to = 80, .seq = p.seq, .ack = p.ack, .flags = kAck});
  a.inject(Tcp{.from = 40001, .to = 80, .seq = p.seq, .ack = p.ack, .flags = kAck});
  a.inject(Tcp{.from = 40000, .to = 80, .seq = p.seq + 1, .ack = p.ack, .flags = kAck});
  (void)a.segments();
  EXPECT_FALSE(a.accept(listener));
  p.acknowledge();
  EXPECT_TRUE(a.accept(listener));
  EXPECT_EQ(a.count(Counter::tcp_cookies_accepted), 1U);
}

TEST(T2_SynFloodKeepsEstablishedFlows, ACookieEndsWithItsEpochs) {
  Arena a;
  ASSERT_TRUE(a.stack().set_option(OptionId::tcp_syncookies, 2));
  const Handle listener = a.listen(80);
  const Peer p = a.half_open(40000);
  a.advance(Duration::s(200));
  p.acknowledge();
  EXPECT_FALSE(a.accept(listener));
  EXPECT_TRUE(a.one().flags.rst());
}

TEST(T2_SynFloodKeepsEstablishedFlows, WhomNobodyCanAnswerTakesNoPlace) {
  on_both([](IpVersion v) {
    Arena a(v);
    ASSERT_TRUE(a.stack().remove_route({IpAddress::any(v), 0}, {}));
    const Handle listener = a.listen(80);
    constexpr std::uint32_t kSyns = 20'000;  // more than there are records
    for (std::uint32_t i = 0; i < kSyns; ++i)
      a.flood(tcp_packet({.source = a.stranger(i), .destination = a.us}, Tcp{.from = 2000, .to = 80, .flags = kSyn}));
    a.expect_silence();
    EXPECT_GE(a.drops(DropReason::ip_no_route), kSyns);
    (void)a.accept_from(50000, listener);
    EXPECT_EQ(a.count(Counter::tcp_cookies_sent), 0U) << "a record was free for a neighbour";
  });
}

TEST(T2_SynFloodKeepsEstablishedFlows, WithoutCookiesAFullTableDropsSynsAndCountsThem) {
  Arena a;
  ASSERT_TRUE(a.stack().set_option(OptionId::tcp_syncookies, 0));
  const Handle listener = a.listen(80, 4096);
  Peer friendly = a.accept_from(50000, listener);
  for (std::uint32_t i = 0; i < 5000; ++i) {
    a.flood(tcp_packet({.source = a.stranger(i), .destination = a.us}, Tcp{.from = 2000, .to = 80, .seq = i}));
    if (i % 16 == 0) (void)a.segments();
  }
  (void)a.segments();
  EXPECT_GT(a.drops(DropReason::tcp_syn_table_full), 4000U);
  EXPECT_EQ(a.count(Counter::tcp_cookies_sent), 0U);
  friendly.send(kPshAck, pattern(10));
  EXPECT_EQ(a.read(friendly.socket), pattern(10));
  a.advance(Duration::s(300));  // the records gave up
  (void)a.segments();
  expect_service(a, listener);
}

TEST(T3_SynsInSynReceived, MakeOneConnectionOnly) {
  on_both([](IpVersion v) {
    Arena a(v);
    const Handle listener = a.listen(80);
    Peer p = a.half_open(40000, {.sack = true, .timestamps = true});
    const std::uint32_t ours = p.ack - 1;
    for (int i = 0; i < 5; ++i) {  // RFC 9293 3.10.7.4: the same SYN again
      Tcp again = p.segment(kSyn);
      again.seq = p.seq - 1;
      again.options = PeerOptions{.sack = true, .timestamps = true}.bytes(++p.ts_value, 0);
      a.inject(again);
      const Segment s = a.one();
      EXPECT_TRUE(s.is(kSynAck));
      EXPECT_EQ(s.seq, ours);
      EXPECT_EQ(s.ack, p.seq);
    }
    for (std::uint32_t i = 1; i < 6; ++i) {  // SYNs with other numbers: never a second connection, never a reset
      a.inject(Tcp{.from = 40000, .to = 80, .seq = p.seq + i * 100'000, .flags = kSyn});
      for (const Segment& s : a.segments()) {
        EXPECT_FALSE(s.flags.rst());
        EXPECT_EQ(s.ack, p.seq);
      }
    }
    p.acknowledge();
    EXPECT_TRUE(a.accept(listener));
    EXPECT_FALSE(a.accept(listener));
    EXPECT_EQ(a.count(Counter::tcp_passive_opens), 1U);
  });
}

TEST(T4_RstInSynReceived, FreesTheSlotAtOnce) {
  on_both([](IpVersion v) {
    Arena a(v);
    ASSERT_TRUE(a.stack().set_option(OptionId::tcp_syncookies, 0));
    const Handle listener = a.listen(80, 1024);
    // More handshakes than there are records, each ended by its RST: the table never fills.
    for (unsigned i = 0; i < 4 * kArenaLimits.tcp.syn_records; ++i) {
      Peer p = a.half_open(2000 + i);
      p.send_at(p.seq, kRst);
      a.expect_silence();
    }
    EXPECT_EQ(a.drops(DropReason::tcp_syn_table_full), 0U);
    EXPECT_FALSE(a.accept(listener));
    // RFC 5961: one beside RCV.NXT does not.
    Peer p = a.half_open(1999);
    p.send_at(p.seq + 1, kRst);
    p.send_at(p.seq - 5000, kRst);
    a.segments();
    p.acknowledge();
    EXPECT_TRUE(a.accept(listener));
    EXPECT_GE(a.drops(DropReason::tcp_rst_rejected) + a.drops(DropReason::tcp_not_acceptable), 2U);
  });
}

TEST(T5_FinalAck, WithDataWithFinOrLostKeepsEverything) {
  on_both([](IpVersion v) {
    Arena a(v);
    const Handle listener = a.listen(80);
    {  // with data and FIN
      Peer p = a.half_open(40000);
      p.send(kFinAck, pattern(200));
      EXPECT_EQ(a.one().ack, p.seq);
      const Handle h = a.accept(listener);
      ASSERT_TRUE(h);
      IoStatus status{};
      EXPECT_EQ(a.read(h, 1 << 20, &status), pattern(200));
      EXPECT_EQ(status, IoStatus::end_of_stream);
      EXPECT_TRUE(a.stack().close(h));
    }
    {  // the ACK is lost; data that carries it comes later, out of order, then in order
      Peer p = a.half_open(40001);
      p.send_at(p.seq + 100, kPshAck, pattern(100, 2));
      p.send_at(p.seq, kPshAck, pattern(100, 1));
      const Handle h = a.accept(listener);
      ASSERT_TRUE(h);
      EXPECT_EQ(a.read(h), pattern(100, 1) + pattern(100, 2));
      EXPECT_EQ(a.segments().back().ack, p.seq + 200);
      EXPECT_TRUE(a.stack().abort(h));
      a.segments();
    }
    {  // data at once, before the listener's owner accepts: it waits
      Peer p = a.half_open(40002);
      p.acknowledge();
      for (unsigned i = 0; i < 10; ++i) p.send(kPshAck, pattern(1000, i));
      const Handle h = a.accept(listener);
      ASSERT_TRUE(h);
      const Bytes all = a.read(h);
      ASSERT_EQ(all.size(), 10'000U);
      EXPECT_EQ(Bytes(all.begin() + 9000, all.end()), pattern(1000, 9));
    }
    a.segments();
  });
}

TEST(T6_AcceptQueueFull, DropsWithoutResetsAndRecovers) {
  on_both([](IpVersion v) {
    Arena a(v);
    const Handle listener = a.listen(80, 4);
    std::vector<Peer> peers;
    for (unsigned i = 0; i < 20; ++i) peers.push_back(a.half_open(3000 + i));
    for (const Peer& p : peers) {
      p.acknowledge();
      for (const Segment& s : a.segments()) ASSERT_FALSE(s.flags.rst()) << "a reset storm";
    }
    EXPECT_GE(a.drops(DropReason::tcp_listen_overflow), 14U);
    for (unsigned i = 0; i < 20; ++i) {  // new attempts are not even answered now
      a.inject(Tcp{.from = 4000 + i, .to = 80});
      for (const Segment& s : a.segments()) ASSERT_FALSE(s.flags.rst());
    }
    unsigned accepted = 0;
    while (a.accept(listener)) ++accepted;
    EXPECT_GE(accepted, 4U);
    EXPECT_LE(accepted, 6U);
    // Who was left out comes back with data, and is served now.
    a.advance(Duration::s(2));
    for (const Segment& s : a.segments()) EXPECT_TRUE(s.is(kSynAck)) << "our part of the handshake goes on: " << s;
    peers.back().send(kPshAck, pattern(10));
    const Handle h = a.accept(listener);
    ASSERT_TRUE(h);
    EXPECT_EQ(a.read(h), pattern(10));
    expect_service(a, listener);
  });
}

TEST(T7_ListenerClosed, ResetsItsChildrenAndFreesThem) {
  on_both([](IpVersion v) {
    Arena a(v);
    for (int round = 0; round < 3; ++round) {
      const Handle listener = a.listen(80);
      std::vector<Peer> peers;
      for (unsigned i = 0; i < 20; ++i) {
        peers.push_back(a.half_open(4000 + i, {.isn = 100U + round}));
        if (i < 10) peers.back().acknowledge();  // ten wait in the accept queue, ten are half open
      }
      peers[3].send(kPshAck, pattern(100));
      a.segments();
      EXPECT_TRUE(a.stack().close(listener));
      std::set<unsigned> reset;
      for (const Segment& s : a.segments()) {
        EXPECT_TRUE(s.flags.rst()) << s;
        reset.insert(s.destination_port);
      }
      for (unsigned i = 0; i < 10; ++i) EXPECT_TRUE(reset.contains(4000 + i)) << i;
      EXPECT_EQ(a.packets_in_use(), 0U);
      for (const Peer& p : peers) {  // whatever they still send finds nothing
        p.acknowledge();
        EXPECT_TRUE(a.one().flags.rst());
      }
      EXPECT_FALSE(a.stack().try_accept(listener));  // the handle is stale
    }
  });
}

TEST(T8_SimultaneousOpen, EndsEstablishedWithAndWithoutLoss) {
  enum class Lost { nothing, our_synack, their_synack, final_answer };
  on_both([](IpVersion v) {
    for (const Lost lost : {Lost::nothing, Lost::our_synack, Lost::their_synack, Lost::final_answer}) {
      SCOPED_TRACE(static_cast<int>(lost));
      Arena a(v);
      const Handle h = a.connect(9000);
      Peer p = a.answering(a.one(), h);
      Tcp syn = p.segment(kSyn);
      a.inject(syn);
      ++p.seq;
      Segment answer = a.one();  // RFC 9293 3.5 figure 7: SYN-ACK with our number again
      EXPECT_TRUE(answer.is(kSynAck));
      EXPECT_EQ(answer.seq + 1, p.ack);
      EXPECT_EQ(answer.ack, p.seq);
      if (lost == Lost::our_synack) {
        a.advance(Duration::ms(1100));
        answer = a.one();
        EXPECT_TRUE(answer.is(kSynAck));
      }
      if (lost == Lost::their_synack) {
        a.advance(Duration::ms(1100));  // theirs got lost, ours is sent again, and they answer it with an ACK
        EXPECT_TRUE(a.one().is(kSynAck));
        p.acknowledge();
      } else {
        p.send_at(p.seq - 1, kSynAck);
      }
      a.segments();
      if (lost == Lost::final_answer) p.send_at(p.seq - 1, kSynAck);
      a.segments();
      EXPECT_TRUE(any(a.ready(h) & Ready::writable));
      p.send(kPshAck, pattern(20));
      EXPECT_EQ(a.read(h), pattern(20));
      EXPECT_EQ(a.write(h, pattern(30)), 30U);
      EXPECT_EQ(a.segments().back().data, pattern(30));
      EXPECT_TRUE(a.stack().abort(h));
      a.segments();
    }
  });
}

TEST(T9_SynAckThatIsWrong, GetsARstAndTheAttemptGoesOn) {
  on_both([](IpVersion v) {
    Arena a(v);
    const Handle h = a.connect(9000);
    Peer p = a.answering(a.one(), h);
    const std::uint32_t right = p.ack;
    for (const std::uint32_t wrong : {right - 1, right + 1, right + 0x8000'0000U, right - 1000, 0U}) {
      for (const TcpFlags flags : {kSynAck, kSynAck | TcpFlag::psh, kSynAck | TcpFlag::fin, kAck}) {
        p.ack = wrong;
        p.send_at(p.seq, flags, flags == kAck ? Bytes{} : pattern(flags.psh() ? 100 : 0));
        const Segment s = a.one();
        EXPECT_TRUE(s.is(kRst)) << s;
        EXPECT_EQ(s.seq, wrong);
        EXPECT_FALSE(any(a.ready(h) & (Ready::connected | Ready::error)));
      }
      p.ack = wrong;
      p.send_at(p.seq, kRstAck);  // RFC 9293 3.10.7.3: not acceptable, not believed
      a.expect_silence();
      EXPECT_FALSE(any(a.ready(h) & Ready::error));
    }
    p.ack = right;
    Tcp good = p.segment(kSynAck);
    a.inject(good);
    EXPECT_TRUE(a.one().is(kAck));
    EXPECT_TRUE(any(a.ready(h) & Ready::writable));
  });
}

}  // namespace
}  // namespace leat::test
