// D5 - D8, D10, D11, D14, D15, D20: windows, acknowledgements that lie, and recovery.
#include <algorithm>
#include <random>

#include "arena.hpp"

namespace leat::test {
namespace {

// Takes what the stack sends as an honest receiver does: in order, acknowledging each segment.
class Reader {
 public:
  Reader(Arena& a, Peer& p) : a_(a), p_(p) {}
  // One look; true when something new came.
  bool step(bool acknowledge = true) {
    bool fresh = false;
    for (const Segment& s : a_.segments()) {
      if (s.destination_port != p_.port || s.data.empty()) continue;
      const std::uint32_t skip = p_.ack - s.seq;
      if (skip < s.data.size()) {
        got.insert(got.end(), s.data.begin() + skip, s.data.end());
        p_.ack += static_cast<std::uint32_t>(s.data.size()) - skip;
        fresh = true;
      }
    }
    if (acknowledge) p_.acknowledge();
    return fresh;
  }
  // Until `n` octets are here or nothing more comes within ten minutes.
  void until(std::size_t n) {
    for (int idle = 0; got.size() < n && idle < 600;) {
      if (step()) {
        idle = 0;
      } else {
        a_.advance(Duration::s(1));
        ++idle;
      }
    }
  }
  Bytes got;

 private:
  Arena& a_;
  Peer& p_;
};

TEST(D5_WindowOfASynAck, IsNeverScaled) {
  on_both([](IpVersion v) {
    // As the one that answers: 1 MiB of buffer, and still at most 65535 in the SYN-ACK; afterwards all of it.
    Arena a(v);
    ASSERT_TRUE(a.stack().set_option(OptionId::receive_buffer, 1 << 20));
    const Handle listener = a.listen(80);
    Tcp syn{.from = 40000, .to = 80, .seq = 1, .flags = kSyn, .options = PeerOptions{.wscale = 0}.bytes(0, 0)};
    a.inject(syn);
    const Segment answer = a.one();
    ASSERT_TRUE(answer.options.window_scale.has_value());
    EXPECT_EQ(answer.window, 65535U);
    Peer p = a.answering(answer, {}, 2);
    p.send(kPshAck, pattern(10));
    p.socket = a.accept(listener);
    a.advance(Duration::ms(100));
    const Segment ack = a.one();
    const std::uint32_t window = ack.window << *answer.options.window_scale;
    EXPECT_GT(window, 900'000U);
    EXPECT_LE(window, 1U << 20);

    // As the one that asks: the window in the peer's SYN-ACK is taken as it stands, later ones are scaled.
    Peer q = a.connected_to(9000, {.wscale = 7, .window = 2000});
    ASSERT_EQ(a.write(q.socket, pattern(60'000)), 60'000U);
    std::uint32_t sent = 0;
    for (const Segment& s : a.segments()) sent = std::max(sent, s.end() - q.ack);
    EXPECT_LE(sent, 2000U);
    EXPECT_GE(sent, 1400U);
    q.ack += sent;
    q.window = 30;  // 3840 octets
    q.acknowledge();
    sent = 0;
    for (const Segment& s : a.segments()) sent = std::max(sent, s.end() - q.ack);
    EXPECT_LE(sent, 3840U);
    EXPECT_GE(sent, 2880U);

    // Without our offer there is no scaling, whatever the SYN-ACK says (RFC 7323 2.2).
    ASSERT_TRUE(a.stack().set_option(OptionId::tcp_window_scaling, 0));
    Peer r = a.connected_to(9001, {.wscale = 7, .window = 2000});
    ASSERT_EQ(a.write(r.socket, pattern(10'000)), 10'000U);
    sent = 0;
    for (const Segment& s : a.segments()) sent = std::max(sent, s.end() - r.ack);
    r.ack += sent;
    r.window = 3000;
    r.acknowledge();
    sent = 0;
    for (const Segment& s : a.segments()) sent = std::max(sent, s.end() - r.ack);
    EXPECT_LE(sent, 3000U);
  });
}

TEST(D6_WindowShrinksToZero, AndTheDataArrivesWhenItOpens) {
  on_both([](IpVersion v) {
    for (const std::uint32_t acked : {0U, 1U, 700U, 1460U, 2000U}) {
      SCOPED_TRACE(acked);
      Arena a(v);
      const Handle listener = a.listen(80);
      Peer p = a.accept_from(40000, listener);
      ASSERT_EQ(a.write(p.socket, pattern(8000)), 8000U);
      EXPECT_GE(a.segments().size(), 5U);  // all in flight
      p.window = 0;
      p.ack += acked;
      p.acknowledge();
      // RFC 9293 3.8.6.1: probes go on, with growing gaps, and each answer keeps the connection alive.
      std::size_t probes = 0;
      for (int second = 0; second < 300; ++second) {
        a.advance(Duration::s(1));
        for (const Segment& s : a.segments()) {
          ++probes;
          EXPECT_LE(s.data.size(), 1460U);
          p.acknowledge();
        }
      }
      EXPECT_GE(probes, 4U);
      EXPECT_LE(probes, 60U);
      EXPECT_FALSE(any(a.ready(p.socket) & (Ready::error | Ready::closed)));
      p.window = 65535;
      p.acknowledge();
      Reader reader(a, p);
      reader.until(8000 - acked);
      const Bytes all = pattern(8000);
      EXPECT_EQ(reader.got, Bytes(all.begin() + acked, all.end()));
    }
  });
}

// Both windows are closed at once: each side's probe must be answered, or they wait for each other for ever.
TEST(D6_WindowShrinksToZero, OnBothEndsAtOnce) {
  Arena a;
  ASSERT_TRUE(a.stack().set_option(OptionId::receive_buffer, 4000));
  const Handle listener = a.listen(80);
  Peer p = a.accept_from(40000, listener);
  for (int i = 0; i < 4; ++i) p.send(kPshAck, pattern(1000, static_cast<unsigned>(i)));
  a.advance(Duration::s(1));
  EXPECT_EQ(a.segments().back().window, 0U);
  p.window = 0;
  p.acknowledge();
  ASSERT_GT(a.write(p.socket, pattern(3000, 9)), 0U);
  std::size_t answered = 0;
  for (int i = 0; i < 60; ++i) {
    a.advance(Duration::s(5));
    p.send_at(p.seq, kAck, pattern(1));  // the peer's window probe: not taken, answered
    for (const Segment& s : a.segments()) {
      EXPECT_EQ(s.ack, p.seq);
      EXPECT_EQ(s.window, 0U);
      ++answered;
      p.acknowledge();
    }
  }
  EXPECT_GE(answered, 60U);
  EXPECT_EQ(a.read(p.socket).size(), 4000U);
  p.window = 10'000;
  p.acknowledge();
  Reader reader(a, p);
  reader.until(3000);
  EXPECT_EQ(reader.got, pattern(3000, 9));
  p.send(kPshAck, pattern(500, 5));
  EXPECT_EQ(a.read(p.socket), pattern(500, 5));
}

TEST(D7_PartialAckWithAZeroWindow, KeepsATimer) {
  on_both([](IpVersion v) {
    for (const bool sack : {false, true}) {
      Arena a(v);
      const Handle listener = a.listen(80);
      Peer p = a.accept_from(40000, listener, {.sack = sack});
      ASSERT_EQ(a.write(p.socket, pattern(6000)), 6000U);
      a.segments();
      a.advance(Duration::ms(400));  // a time-out: recovery begins
      a.segments();
      p.ack += 1460;
      p.window = 0;
      p.acknowledge();  // and then the peer falls silent
      std::size_t tries = 0;
      for (int i = 0; i < 60; ++i) {
        EXPECT_FALSE(a.stack().next_deadline().is_never()) << "no timer runs: the connection hangs";
        a.advance(Duration::s(1));
        tries += a.segments().size();
      }
      EXPECT_GE(tries, 3U);
      p.window = 65535;
      p.acknowledge();
      Reader reader(a, p);
      reader.until(6000 - 1460);
      EXPECT_EQ(reader.got.size(), 6000U - 1460);
    }
  });
}

TEST(D8_ReadsOfOneByte, NeverOpenTheWindowBySmallSteps) {
  on_both([](IpVersion v) {
    Arena a(v);
    ASSERT_TRUE(a.stack().set_option(OptionId::receive_buffer, 8000));
    const Handle listener = a.listen(80);
    Peer p = a.accept_from(40000, listener);
    std::uint32_t edge = 0;
    Bytes stream;
    for (unsigned i = 0; i < 8; ++i) {
      p.send(kPshAck, pattern(1000, i));
      stream = stream + pattern(1000, i);
    }
    a.advance(Duration::s(1));
    const Segment full = a.segments().back();
    edge = full.ack + full.window;
    std::size_t updates = 0;
    Bytes got;
    Bytes one(1);
    for (int i = 0; i < 8000; ++i) {
      const auto r = a.stack().try_receive(p.socket, one);
      ASSERT_TRUE(r && r->count == 1);
      got.push_back(one[0]);
      for (const Segment& s : a.segments()) {
        ++updates;
        // RFC 9293 3.8.6.2.2: by a full segment or half of the buffer, whichever is less.
        EXPECT_GE(s.ack + s.window - edge, v == IpVersion::v4 ? 1460U : 1440U);
        edge = s.ack + s.window;
      }
    }
    EXPECT_EQ(got, stream);
    EXPECT_GE(updates, 1U);
    EXPECT_LE(updates, 6U);
  });
}

TEST(D10_OldWindows, DoNotReplaceNewerOnes) {
  on_both([](IpVersion v) {
    Arena a(v);
    const Handle listener = a.listen(80);
    Peer p = a.accept_from(40000, listener, {.window = 3000});
    Peer old = p;
    old.window = 60'000;
    ASSERT_EQ(a.write(p.socket, pattern(50'000)), 50'000U);
    EXPECT_LE(a.segments().back().end() - p.ack, 3000U);
    p.window = 2000;
    p.send_at(p.seq + 100, kPshAck, pattern(100));  // newer, with a smaller window; it overtakes
    a.segments();
    old.send(kPshAck, pattern(100));  // the octets from before, with the large window
    p.seq += 200;
    const auto after = a.segments();
    for (const Segment& s : after) EXPECT_TRUE(s.data.empty()) << "sent into a window that was: " << s;
    p.ack += 2000;
    p.acknowledge();
    std::uint32_t edge = p.ack;
    for (const Segment& s : a.segments()) edge = std::max(edge, s.end());
    EXPECT_LE(edge - p.ack, 2000U);
  });
}

TEST(D11_AfterARewind, AcksCarryTheTrueSndNxt) {
  on_both([](IpVersion v) {
    for (const bool sack : {false, true}) {
      Arena a(v);
      const Handle listener = a.listen(80);
      Peer p = a.accept_from(40000, listener, {.sack = sack});
      ASSERT_EQ(a.write(p.socket, pattern(5000)), 5000U);
      a.segments();
      const std::uint32_t nxt = p.ack + 5000;
      for (int i = 0; i < 4; ++i) {
        a.advance(Duration::s(3));
        for (const Segment& s : a.segments()) {
          EXPECT_TRUE(s.data.empty() || s.seq == p.ack) << "the retransmission begins at SND.UNA";
        }
        p.send(kPshAck, pattern(20));  // the peer has its own data, and its own time-outs
        a.advance(Duration::ms(60));
        bool seen = false;
        for (const Segment& s : a.segments()) {
          if (s.ack == p.seq) seen = true;
          EXPECT_TRUE(!s.data.empty() || s.seq == nxt) << s;
        }
        EXPECT_TRUE(seen);
      }
    }
  });
}

// Every lie that a SACK block can be, against a flight of ten segments; nothing is lost, nothing is sent for it.
TEST(D14_SackBlocksThatLie, DoNotHarmTheTransfer) {
  on_both([](IpVersion v) {
    for (unsigned seed = 1; seed <= 40; ++seed) {
      SCOPED_TRACE(testing::Message() << "seed " << seed);
      std::mt19937 random(seed);
      Arena a(v);
      const Handle listener = a.listen(80);
      Peer p = a.accept_from(40000, listener, {.mss = 500, .sack = true, .isn = 0xffff'f000U});
      const Bytes all = pattern(30'000, seed);
      ASSERT_EQ(a.write(p.socket, all), all.size());
      Reader reader(a, p);
      std::size_t lies = 0;
      for (int i = 0; i < 400 && reader.got.size() < all.size(); ++i) {
        for (int k = 0; k < 3; ++k) {
          std::vector<wire::SackBlock> blocks;
          for (std::size_t n = 1 + random() % 3; n > 0; --n) {
            const std::uint32_t left = p.ack + static_cast<std::uint32_t>(random() % 6000) - 2000;
            const std::uint32_t wild = static_cast<std::uint32_t>(random());
            blocks.push_back({SeqNum{random() % 4 == 0 ? wild : left},
                              SeqNum{random() % 4 == 0 ? wild : left + static_cast<std::uint32_t>(random() % 1500)}});
          }
          p.acknowledge(sack_option(blocks));
          ++lies;
        }
        if (random() % 3 == 0) a.advance(Duration::ms(static_cast<std::int64_t>(random() % 400)));
        if (random() % 2 == 0) reader.step();
      }
      reader.until(all.size());
      EXPECT_EQ(reader.got, all);
      EXPECT_GT(lies, 2U);
      EXPECT_LE(a.count(Counter::tcp_segments_out), 60U + 4 * lies) << "lies must not make a flood";
      EXPECT_TRUE(a.stack().abort(p.socket));
      a.segments();
    }
  });
}

// CVE-2019-11477, 11478, 11479: a tiny MSS, much in flight, and a SACK block for every second segment.
TEST(D15_SackWithTinySegments, BoundsNodesAndFinishesTheTransfer) {
  on_both([](IpVersion v) {
    Arena a(v);
    ASSERT_TRUE(a.stack().set_option(OptionId::tcp_initial_window, 64));
    const Handle listener = a.listen(80);
    Peer p = a.accept_from(40000, listener, {.mss = 48, .wscale = 6, .sack = true});
    p.window = 60'000;
    const Bytes all = pattern(600'000, 3);
    std::size_t written = 0;
    Reader reader(a, p);
    std::uint32_t edge = p.ack;
    std::uint32_t segment = 0;
    // Slow start until more than 64 KB are in flight.
    for (int round = 0; round < 30 && edge - p.ack < 100'000; ++round) {
      p.ack = edge;
      a.advance(Duration::ms(10));
      p.acknowledge();
      written += a.write(p.socket, Bytes(all.begin() + static_cast<std::ptrdiff_t>(written), all.end()));
      for (const Segment& s : a.segments()) {
        edge = std::max(edge, s.end());
        segment = std::max(segment, static_cast<std::uint32_t>(s.data.size()));
      }
    }
    EXPECT_GT(edge - p.ack, 65'536U);
    EXPECT_LE(segment, 536U);
    ASSERT_GT(segment, 0U);
    const std::uint32_t base = p.ack;
    std::uint64_t answers = 0;
    for (std::uint32_t at = segment; at + segment < edge - base; at += 2 * segment) {
      p.acknowledge(sack_option({{SeqNum{base + at}, SeqNum{base + at + segment}}}));
      answers += a.segments().size();
    }
    EXPECT_LE(answers, 3 * (edge - base) / segment) << "no more is sent than packets leave";
    EXPECT_LE(a.packets_in_use(), 1000U);
    p.ack = edge;
    p.acknowledge();
    a.segments();
    EXPECT_FALSE(any(a.ready(p.socket) & (Ready::error | Ready::closed)));
    EXPECT_TRUE(a.stack().abort(p.socket));
    a.segments();
  });
}

// RFC 3465, Savage et al. 1999: the three ways in which a receiver makes a sender too fast.
TEST(D20_GreedyReceivers, GainNothingFromSplitOptimisticOrDuplicateAcks) {
  on_both([](IpVersion v) {
    const auto flight = [](Arena& a, Peer& p) {
      std::uint32_t edge = p.ack;
      for (const Segment& s : a.segments()) edge = std::max(edge, s.end());
      return edge;
    };
    for (const std::uint32_t pieces : {1U, 2U, 73U, 1460U}) {  // split
      SCOPED_TRACE(pieces);
      Arena a(v);
      const Handle listener = a.listen(80);
      Peer p = a.accept_from(40000, listener);
      ASSERT_EQ(a.write(p.socket, pattern(200'000)), 200'000U);
      std::uint32_t edge = flight(a, p);
      const std::uint32_t window = edge - p.ack;
      for (std::uint32_t i = 0; i < pieces; ++i) {
        p.ack += 1460 / pieces;
        p.acknowledge();
        edge = std::max(edge, flight(a, p));
      }
      EXPECT_LE(edge - p.ack, window + 1460 + 1460);
      EXPECT_TRUE(a.stack().abort(p.socket));
      a.segments();
    }
    {  // optimistic: of what was never sent
      Arena a(v);
      const Handle listener = a.listen(80);
      Peer p = a.accept_from(40000, listener);
      ASSERT_EQ(a.write(p.socket, pattern(200'000)), 200'000U);
      const std::uint32_t edge = flight(a, p);
      Peer liar = p;
      for (std::uint32_t i = 1; i < 100; ++i) {
        liar.ack = edge + i * 1460;
        liar.acknowledge();
        for (const Segment& s : a.segments()) EXPECT_TRUE(s.data.empty()) << s;
      }
      EXPECT_GE(a.drops(DropReason::tcp_bad_ack) + a.drops(DropReason::tcp_challenge_limited), 99U);
      EXPECT_TRUE(a.stack().abort(p.socket));
      a.segments();
    }
    for (const bool sack :
         {false, true}) {  // duplicates: each says that a segment left, and that can't be more than were sent
      Arena a(v);
      const Handle listener = a.listen(80);
      Peer p = a.accept_from(40000, listener, {.sack = sack});
      ASSERT_EQ(a.write(p.socket, pattern(400'000)), 400'000U);
      std::uint32_t edge = flight(a, p);
      const std::uint32_t window = edge - p.ack;
      std::size_t sent = 0;
      for (int i = 0; i < 5000; ++i) {
        p.acknowledge();
        for (const Segment& s : a.segments()) {
          edge = std::max(edge, s.end());
          ++sent;
        }
      }
      EXPECT_LE(edge - p.ack, 2 * window + 3 * 1460) << (sack ? "with SACK" : "without");
      EXPECT_LE(sent, 2 * window / 1460 + 10);
      EXPECT_TRUE(a.stack().abort(p.socket));
      a.segments();
    }
  });
}

}  // namespace
}  // namespace leat::test
