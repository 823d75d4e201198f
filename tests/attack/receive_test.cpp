// D1 - D4, D9, D12, D16 - D19, D23: what a peer may send into an established connection.
#include <algorithm>
#include <numeric>
#include <random>

#include "arena.hpp"

namespace leat::test {
namespace {

TEST(D1_AcksOfWhatNeverWas, AreAnsweredDroppedAndCounted) {
  on_both([](IpVersion v) {
    Arena a(v);
    const Handle listener = a.listen(80);
    Peer p = a.accept_from(40000, listener);
    ASSERT_EQ(a.write(p.socket, pattern(1000)), 1000U);
    EXPECT_EQ(a.one().data.size(), 1000U);
    const std::uint32_t una = p.ack;
    std::uint64_t bad = 0;
    // RFC 5961 5.2: acceptable are SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.NXT. The rest is answered, as far as the
    // limit of challenges allows, and its data is not taken.
    for (const std::uint32_t ack :
         {una + 1001, una + 5000, una + 0x7fff'ffffU, una - 65'536 - 1000, una - 0x4000'0000U}) {
      p.ack = ack;
      p.send_at(p.seq, kPshAck, pattern(10));
      const auto answers = a.segments();
      EXPECT_FALSE(answers.empty());
      for (const Segment& s : answers) {
        EXPECT_TRUE(s.is(kAck)) << s;
        EXPECT_EQ(s.ack, p.seq);
        EXPECT_EQ(s.seq, una + 1000);
      }
      EXPECT_EQ(a.drops(DropReason::tcp_bad_ack), ++bad);
      EXPECT_TRUE(a.read(p.socket).empty());
      a.advance(Duration::ms(150));
      a.segments();
    }
    // Old, but not too old: an ordinary duplicate. Its data counts.
    p.ack = una - 1000;
    p.send(kPshAck, pattern(10));
    EXPECT_EQ(a.read(p.socket), pattern(10));
    EXPECT_EQ(a.drops(DropReason::tcp_bad_ack), bad);
    p.ack = una + 1000;
    p.acknowledge();
    a.advance(Duration::s(2));
    for (const Segment& s : a.segments()) EXPECT_TRUE(s.data.empty()) << "all is acknowledged";
  });
}

// A burst with one segment missing comes at once. RFC 5681 4.2: each segment behind the gap makes a duplicate ACK due,
// or a sender without SACK never counts three; with SACK one for each arrival, so that no single lost ACK hides the
// gap.
TEST(D12_SegmentsBehindAGap, MakeOneDuplicateAckEach) {
  on_both([](IpVersion v) {
    for (const bool sack : {false, true}) {
      SCOPED_TRACE(sack);
      Arena a(v);
      const Handle listener = a.listen(80);
      Peer p = a.accept_from(40000, listener, {.sack = sack});
      std::vector<Bytes> burst;
      for (const std::uint32_t i : {0U, 1U, 3U, 4U, 5U}) {  // 2 is missing
        Tcp t = p.segment(kAck);
        t.seq += i * 1000;
        burst.push_back(tcp_packet({.source = p.address, .destination = a.us}, t, pattern(1000)));
      }
      a.receive_batch(burst);
      const auto acks = a.segments();
      ASSERT_EQ(acks.size(), 4U);
      for (const Segment& s : acks) {
        EXPECT_TRUE(s.is(kAck)) << s;
        EXPECT_EQ(s.ack, p.seq + 2000);
        EXPECT_EQ(s.options.sack_count, sack ? 1 : 0);
      }
      // The gap closes: what was owed is told by the one ACK.
      burst.clear();
      for (const std::uint32_t i : {6U, 2U}) {
        Tcp t = p.segment(kAck);
        t.seq += i * 1000;
        burst.push_back(tcp_packet({.source = p.address, .destination = a.us}, t, pattern(1000)));
      }
      a.receive_batch(burst);
      EXPECT_EQ(a.one().ack, p.seq + 7000);
    }
  });
}

// What was merged on the way in was that many segments all the same.
TEST(D12_SegmentsBehindAGap, CountWhenMerged) {
  for (const bool sack : {false, true}) {
    SCOPED_TRACE(sack);
    Arena a;
    const Handle listener = a.listen(80);
    Peer p = a.accept_from(40000, listener, {.sack = sack});
    Tcp t = p.segment(kAck);
    t.seq += 1000;
    Packet merged = a.packet(tcp_packet({.source = p.address, .destination = a.us}, t, pattern(5000)));
    merged.meta().gso_size = 1000;
    merged.meta().gso_type = GsoType::tcp_v4;
    merged.meta().merged = 5;
    a.receive(std::move(merged));
    EXPECT_EQ(a.segments().size(), sack ? 1U : 5U);
  }
}

TEST(D2_FinBeyondTheWindow, IsNotProcessed) {
  on_both([](IpVersion v) {
    for (const std::uint32_t beyond : {1U, 2U, 500U, 10'000U}) {
      SCOPED_TRACE(beyond);
      Arena a(v);
      ASSERT_TRUE(a.stack().set_option(OptionId::receive_buffer, 1000));
      const Handle listener = a.listen(80);
      Peer p = a.half_open(40000);
      p.acknowledge();
      p.socket = a.accept(listener);
      p.send_at(p.seq, kFinAck, pattern(std::min(1000U + beyond, 1400U)));
      const Bytes first = a.read(p.socket);
      EXPECT_LE(first.size(), 1000U);
      EXPECT_GT(first.size(), 0U);
      EXPECT_FALSE(any(a.ready(p.socket) & Ready::peer_fin));
      a.advance(Duration::ms(300));
      const auto answers = a.segments();
      ASSERT_FALSE(answers.empty());
      EXPECT_EQ(answers.back().ack, p.seq + first.size());
      // A FIN alone, beyond the window: no.
      p.send_at(answers.back().ack + answers.back().window + beyond, kFinAck);
      EXPECT_FALSE(any(a.ready(p.socket) & Ready::peer_fin));
      // What is missing, with its FIN, within the window: yes.
      const Bytes all = pattern(1200);
      p.seq += static_cast<std::uint32_t>(first.size());
      p.send(kFinAck, Bytes(all.begin() + static_cast<std::ptrdiff_t>(first.size()), all.end()));
      IoStatus status{};
      EXPECT_EQ(first + a.read(p.socket, 1 << 20, &status), all);
      EXPECT_EQ(status, IoStatus::end_of_stream);
      EXPECT_TRUE(a.stack().close(p.socket));
    }
  });
}

// D3 and D4: a stream with its FIN cut into segments that come in any order, doubled, overlapping, and followed by
// octets that can't exist: the reader gets the stream once, then its end.
TEST(D4_FinOutOfOrder, IsRememberedWhateverTheOrder) {
  on_both([](IpVersion v) {
    for (unsigned seed = 1; seed <= 60; ++seed) {
      SCOPED_TRACE(testing::Message() << "seed " << seed);
      std::mt19937 random(seed);
      Arena a(v);
      const Handle listener = a.listen(80);
      Peer p = a.accept_from(40000, listener, {.sack = seed % 2 == 0, .isn = 0xffff'ff00U + seed * 7});
      const Bytes stream = pattern(3000, seed);
      struct Piece {
        std::uint32_t from, to;
      };
      std::vector<Piece> pieces;
      for (std::uint32_t at = 0; at < stream.size();) {
        const std::uint32_t end = std::min<std::uint32_t>(3000, at + 1 + static_cast<std::uint32_t>(random() % 400));
        pieces.push_back({at > 20 ? at - static_cast<std::uint32_t>(random() % 20) : at, end});
        at = end;
      }
      for (std::size_t i = pieces.size(); i-- > 0;)
        if (random() % 4 == 0) pieces.push_back(pieces[i]);
      std::shuffle(pieces.begin(), pieces.end(), random);
      Bytes got;
      IoStatus status{};
      for (const Piece& piece : pieces) {
        const bool last = piece.to == stream.size();
        p.send_at(p.seq + piece.from, last ? kFinAck : kAck,
                  Bytes(stream.begin() + piece.from, stream.begin() + piece.to));
        if (random() % 5 == 0) p.send_at(p.seq + 3001, kPshAck, pattern(50, 99));  // behind the FIN (D3)
        if (random() % 3 == 0) got = got + a.read(p.socket, 1 << 20, &status);
        a.segments();
      }
      got = got + a.read(p.socket, 1 << 20, &status);
      EXPECT_EQ(got, stream);
      EXPECT_EQ(status, IoStatus::end_of_stream);
      EXPECT_TRUE(any(a.ready(p.socket) & Ready::peer_fin));
      p.seq += 3001;
      p.acknowledge();
      EXPECT_TRUE(a.stack().close(p.socket));
      const auto fin = a.segments();
      ASSERT_FALSE(fin.empty());
      EXPECT_TRUE(fin.back().flags.fin());
      EXPECT_EQ(fin.back().ack, p.seq) << "the FIN is acknowledged, and nothing behind it";
    }
  });
}

TEST(D3_DataBehindTheFin, IsIgnored) {
  on_both([](IpVersion v) {
    Arena a(v);
    const Handle listener = a.listen(80);
    Peer p = a.accept_from(40000, listener);
    p.send_at(p.seq + 50, kPshAck, pattern(500, 2));  // queued out of order, right in the place of the FIN that follows
    p.send(kFinAck, pattern(50));
    a.segments();
    p.send_at(p.seq, kPshAck, pattern(100, 3));
    p.send_at(p.seq - 1, kFinAck, pattern(100, 3));  // the FIN again, with data in its place
    IoStatus status{};
    EXPECT_EQ(a.read(p.socket, 1 << 20, &status), pattern(50));
    EXPECT_EQ(status, IoStatus::end_of_stream);
    for (const Segment& s : a.segments()) EXPECT_EQ(s.ack, p.seq) << s;
    EXPECT_TRUE(a.stack().close(p.socket));
    a.segments();
    EXPECT_EQ(a.packets_in_use(), 0U) << "what lay beyond the FIN is still there";
  });
}

TEST(D9_ProbesBelowTheWindow, AreAnsweredEachTime) {
  on_both([](IpVersion v) {
    Arena a(v);
    ASSERT_TRUE(a.stack().set_option(OptionId::tcp_challenge_rate, 1));
    const Handle listener = a.listen(80);
    Peer p = a.accept_from(40000, listener);
    for (int i = 0; i < 100; ++i) {
      p.send_at(p.seq - 1, kAck, i % 2 == 0 ? Bytes{} : pattern(1));  // a keep-alive, or a window probe
      const Segment s = a.one();
      EXPECT_TRUE(s.is(kAck));
      EXPECT_EQ(s.ack, p.seq);
      a.advance(Duration::us(10));
    }
    EXPECT_TRUE(a.read(p.socket).empty());
  });
}

TEST(D16_SegmentsOfOneByte, HoldBoundedMemoryAndOthersAreServed) {
  on_both([](IpVersion v) {
    Arena a(v);
    const Handle listener = a.listen(80);
    Peer p = a.accept_from(40000, listener, {.sack = true});
    Peer other = a.accept_from(40001, listener);
    std::mt19937 random(5);
    std::vector<std::uint32_t> at(65'000 / 2);
    std::iota(at.begin(), at.end(), 0U);
    std::shuffle(at.begin(), at.end(), random);
    std::size_t most = 0;
    for (std::size_t i = 0; i < at.size(); ++i) {
      Tcp t = p.segment(kPshAck);
      t.seq = p.seq + 1 + 2 * at[i];
      a.flood(tcp_packet({.source = a.them, .destination = a.us}, t, {static_cast<std::uint8_t>(at[i])}));
      most = std::max(most, a.packets_in_use());
      if (i % 16 == 0) {
        for (const Segment& s : a.segments()) {
          ASSERT_TRUE(s.is(kAck));
          ASSERT_EQ(s.ack, p.seq);
        }
      }
      if (i % 1000 == 0) {
        other.send(kPshAck, pattern(100, static_cast<unsigned>(i)));
        ASSERT_EQ(a.read(other.socket), pattern(100, static_cast<unsigned>(i)));
        a.segments();
      }
    }
    a.stack().check_invariants();
    EXPECT_LE(most, 300U + 32U);  // tcp_max_ooo_nodes is 256
    EXPECT_GT(a.drops(DropReason::tcp_ooo_full), 30'000U);
    // The holes close: what was kept is delivered, and what was refused comes again.
    Bytes stream(65'000);
    for (std::size_t i = 0; i < stream.size(); ++i) stream[i] = i % 2 == 1 ? static_cast<std::uint8_t>(i / 2) : 0x55;
    Bytes got;
    while (got.size() < stream.size()) {
      const std::size_t n = std::min<std::size_t>(1000, stream.size() - got.size());
      const std::uint32_t from = static_cast<std::uint32_t>(got.size());
      p.send_at(p.seq + from, kPshAck,
                Bytes(stream.begin() + from, stream.begin() + from + static_cast<std::ptrdiff_t>(n)));
      const Bytes more = a.read(p.socket);
      ASSERT_FALSE(more.empty());
      got = got + more;
      a.segments();
    }
    got.resize(stream.size());
    EXPECT_EQ(got, stream);
    a.segments();
  });
}

TEST(D17_OverlapsWithOtherBytes, TheFirstReceivedWinsInTheStreamToo) {
  on_both([](IpVersion v) {
    for (unsigned seed = 1; seed <= 40; ++seed) {
      SCOPED_TRACE(testing::Message() << "seed " << seed);
      std::mt19937 random(seed);
      Arena a(v);
      const Handle listener = a.listen(80);
      Peer p = a.accept_from(40000, listener, {.isn = 0x7fff'fff0U});
      std::vector<int> first(600, -1);  // what the stack saw first for each octet
      std::uint32_t next = 0;
      Bytes got;
      const auto send = [&](std::uint32_t from, std::uint32_t n) {
        Bytes data(n);
        for (std::uint8_t& b : data) b = static_cast<std::uint8_t>(random());
        for (std::uint32_t i = 0; i < n; ++i)
          if (first[from + i] < 0) first[from + i] = data[i];
        p.send_at(p.seq + from, kPshAck, data);
      };
      for (int i = 0; i < 40; ++i) {
        const std::uint32_t from = static_cast<std::uint32_t>(random() % 480);
        send(from, 1 + static_cast<std::uint32_t>(random() % 100));
        if (i % 4 == 0) got = got + a.read(p.socket);
        a.segments();
      }
      while (next < first.size() && first[next] >= 0) ++next;
      while (next < 580) {  // fill the holes
        if (first[next] < 0) send(next, 1);
        ++next;
      }
      got = got + a.read(p.socket);
      ASSERT_GE(got.size(), 580U);
      for (std::size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], first[i]) << "octet " << i;
      a.segments();
    }
  });
}

// Both directions cross 2^31 and 2^32 in the middle of everything: data, holes, SACK, retransmission, FIN.
TEST(D18_NumbersWrapAtEveryBoundary, InAWholeConversation) {
  on_both([](IpVersion v) {
    for (const std::uint32_t edge : {0U, 0x8000'0000U}) {
      for (std::uint32_t before = 0; before <= 3000; before += 375) {
        SCOPED_TRACE(testing::Message() << edge << " - " << before);
        Arena a(v);
        const std::uint32_t start = edge - before - 1;
        ASSERT_TRUE(a.stack().set_option(OptionId::tcp_isn_seed, start == 0 ? 1 : start));
        const Handle listener = a.listen(80);
        Peer p = a.accept_from(40000, listener, {.sack = true, .isn = start});
        const Bytes ours = pattern(3000, 1);
        const Bytes theirs = pattern(3000, 2);
        ASSERT_EQ(a.write(p.socket, ours), ours.size());
        const std::uint32_t base = p.ack;
        auto flight = a.segments();
        ASSERT_EQ(flight.size(), 3U);
        // Their stream arrives backwards.
        Segment last;
        for (std::ptrdiff_t i = 5; i >= 0; --i) {
          p.send_at(p.seq + static_cast<std::uint32_t>(i) * 500, kAck,
                    Bytes(theirs.begin() + i * 500, theirs.begin() + (i + 1) * 500));
          last = a.one();
          EXPECT_EQ(last.options.sack_count, i == 0 ? 0 : 1);
        }
        EXPECT_EQ(a.read(p.socket), theirs);
        p.seq += 3000;
        EXPECT_EQ(last.ack, p.seq);
        // Of ours the first is lost; SACK says so, and after three hints it comes again.
        for (std::size_t k = 1; k < flight.size(); ++k)
          p.acknowledge(sack_option({{SeqNum{flight[1].seq}, SeqNum{flight[k].end()}}}));
        a.advance(Duration::s(2));
        Bytes got(3000);
        const auto take = [&](const Segment& s) {
          ASSERT_LE(s.seq - base + s.data.size(), got.size());
          std::copy(s.data.begin(), s.data.end(), got.begin() + (s.seq - base));
        };
        for (std::size_t k = 1; k < flight.size(); ++k) take(flight[k]);
        const auto again = a.segments();
        ASSERT_FALSE(again.empty());
        EXPECT_EQ(again[0].seq, base);
        for (const Segment& s : again) take(s);
        EXPECT_EQ(got, ours);
        p.ack = base + 3000;
        p.acknowledge();
        EXPECT_TRUE(a.stack().shutdown(p.socket, ShutdownHow::write));
        const Segment fin = a.one();
        EXPECT_TRUE(fin.flags.fin());
        EXPECT_EQ(fin.seq, p.ack);
        ++p.ack;
        p.send(kFinAck);
        EXPECT_EQ(a.one().ack, p.seq);
        IoStatus status{};
        EXPECT_TRUE(a.read(p.socket, 1, &status).empty());
        EXPECT_EQ(status, IoStatus::end_of_stream);
        EXPECT_TRUE(a.stack().close(p.socket));
      }
    }
  });
}

TEST(D19_OldTimestamps, AreRefusedExactlyWhenRfc7323Says) {
  on_both([](IpVersion v) {
    for (const std::uint32_t start : {5000U, 0x7fff'fff0U, 0xffff'fff0U}) {
      SCOPED_TRACE(start);
      Arena a(v);
      const Handle listener = a.listen(80);
      Peer p = a.accept_from(40000, listener, {.timestamps = true, .clock = start});
      p.send(kPshAck, pattern(10));
      EXPECT_EQ(a.read(p.socket), pattern(10));
      a.segments();
      for (const std::uint32_t older : {1U, 100U, 0x7fff'ffffU}) {
        const std::uint64_t before = a.drops(DropReason::tcp_paws);
        Peer old = p;
        old.ts_value = start - older;
        old.send(kPshAck, pattern(20));
        EXPECT_TRUE(a.read(p.socket).empty());
        EXPECT_EQ(a.drops(DropReason::tcp_paws), before + 1);
        a.segments();
      }
      for (const std::uint32_t newer : {0U, 1U, 30U, 0x7fff'ff00U}) {  // across the wrap
        p.ts_value += newer;
        p.send(kPshAck, pattern(30));
        EXPECT_EQ(a.read(p.socket), pattern(30));
        const auto acks = a.segments();
        for (const Segment& s : acks) EXPECT_EQ(s.options.timestamps->echo, p.ts_value);
        a.advance(Duration::ms(50));
        a.segments();
      }
      // A segment that is not in order does not move TS.Recent (RFC 7323 4.3).
      Peer ahead = p;
      ahead.ts_value += 1000;
      ahead.send_at(p.seq + 500, kPshAck, pattern(10));
      a.segments();
      p.send(kPshAck, pattern(40));
      EXPECT_EQ(a.read(p.socket), pattern(40));
      a.segments();
      // 24 days of silence: TS.Recent is not trusted any more (5.5).
      a.advance(Duration::s(25 * 86'400));
      a.segments();
      p.ts_value -= 77;
      p.send(kPshAck, pattern(40));
      EXPECT_EQ(a.read(p.socket), pattern(40));
      a.segments();
    }
  });
}

TEST(D23_UrgentPointers, OfAnyValueLeaveTheDataAlone) {
  on_both([](IpVersion v) {
    Arena a(v);
    const Handle listener = a.listen(80);
    Peer p = a.accept_from(40000, listener);
    std::mt19937 random(1);
    for (int i = 0; i < 400; ++i) {
      Tcp t = p.segment(kPshAck | TcpFlag::urg);
      const Bytes data = pattern(random() % 100, static_cast<unsigned>(i));
      Bytes packet = tcp_packet({.source = a.them, .destination = a.us}, t, data);
      const std::size_t tcp = packet.size() - data.size() - 20;
      const unsigned values[] = {
          0, 1, 2, 65535, 32768, static_cast<unsigned>(data.size()), static_cast<unsigned>(random() % 65536)};
      const unsigned urgent = values[random() % std::size(values)];
      // The checksum field changes by as much as the pointer.
      const std::uint32_t sum = (~load_be16(&packet[tcp + 16]) & 0xffffU) + urgent;
      put16(packet, tcp + 18, urgent);
      put16(packet, tcp + 16, ~((sum & 0xffff) + (sum >> 16)) & 0xffff);
      a.receive(packet);
      EXPECT_EQ(a.read(p.socket), data);
      p.seq += static_cast<std::uint32_t>(data.size());
      for (const Segment& s : a.segments()) EXPECT_TRUE(s.is(kAck)) << s;
    }
    EXPECT_EQ(a.drops(DropReason::tcp_bad_checksum), 0U);
  });
}

}  // namespace
}  // namespace leat::test
