// T10 - T15: options of a SYN, numbers and ports that nobody may guess, and a peer that never answers.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <random>

#include "arena.hpp"

namespace leat::test {
namespace {

Bytes raw(std::initializer_list<unsigned> values) {
  Bytes b;
  for (const unsigned v : values) b.push_back(static_cast<std::uint8_t>(v));
  return b;
}

// What is acknowledged of a SYN's data must reach the application, whatever the policy.
void expect_works(Arena& a, Handle listener, unsigned from, const Tcp& syn, const Bytes& syn_data = {}) {
  a.inject(syn, syn_data);
  const Segment s = a.one();
  ASSERT_TRUE(s.flags.syn() && s.flags.ack() && !s.flags.rst()) << s;
  const std::uint32_t taken = s.ack - syn.seq - 1;
  ASSERT_LE(taken, syn_data.size());
  Peer p = a.answering(s, {}, s.ack);
  p.send(kPshAck, pattern(100));
  const Handle h = a.accept(listener);
  ASSERT_TRUE(h) << from;
  EXPECT_EQ(a.read(h), Bytes(syn_data.begin(), syn_data.begin() + taken) + pattern(100));
  EXPECT_TRUE(a.stack().abort(h));
  a.segments();
}

TEST(T10_SynsFromTheFuture, AreNeverReset) {
  on_both([](IpVersion v) {
    Arena a(v);
    const Handle listener = a.listen(80);
    unsigned port = 40000;
    const auto with = [&](TcpFlags flags, const Bytes& options, const Bytes& data = {}) {
      SCOPED_TRACE(port);
      expect_works(a, listener, port, Tcp{.from = port, .to = 80, .seq = 9, .flags = flags, .options = options}, data);
      ++port;
    };
    const Bytes mss = raw({2, 4, 0x05, 0xb4});
    with(kSyn | TcpFlag::ece | TcpFlag::cwr, mss);                                           // RFC 3168
    with(kSyn | TcpFlag::ece | TcpFlag::cwr | TcpFlag::ae, mss);                             // AccECN
    with(kSyn | TcpFlag::ae, mss);                                                           // bits of no meaning
    with(kSyn | TcpFlag::psh | TcpFlag::urg, mss);                                           //
    with(kSyn, mss + raw({34, 2}));                                                          // Fast Open: a request
    with(kSyn, mss + raw({34, 10, 1, 2, 3, 4, 5, 6, 7, 8}), pattern(200));                   // a cookie, and data
    with(kSyn, mss, pattern(200));                                                           // data without one
    with(kSyn, mss + raw({253, 8, 0xf9, 0x89, 1, 2, 3, 4}));                                 // experiments
    with(kSyn, mss + raw({30, 12, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8}));                           // multipath
    with(kSyn, mss + raw({19, 18, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}));  // MD5 signature
    with(kSyn, raw({172, 11, 1, 2, 3, 4, 5, 6, 7, 8, 9}) + mss);                             // an AccECN option
    EXPECT_EQ(a.count(Counter::tcp_resets_sent), port - 40000) << "only those of our aborts";
  });
}

TEST(T11_OptionsThatLie, NeverLoopNeverResetAndTheGoodOnesCount) {
  on_both([](IpVersion v) {
    Arena a(v);
    const Handle listener = a.listen(80);
    const std::vector<Bytes> lists{
        raw({2, 0, 0, 0}),                                    // length 0
        raw({2, 1, 0, 0}),                                    // length 1
        raw({2, 200, 0, 0}),                                  // past the end
        raw({1, 1, 1, 2}),                                    // a kind without its length
        raw({3, 3, 255, 0}),                                  // a shift of 255
        raw({2, 4, 0, 0}),                                    // MSS 0
        raw({2, 4, 0xff, 0xff}),                              // MSS 65535
        raw({2, 4, 5, 0xb4, 2, 4, 0, 48, 2, 4, 0xff, 0xff}),  // three of them
        raw({8, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}),            // timestamps one too short
        raw({5, 6, 0, 0, 0, 0, 0, 0}),                        // a SACK block that is none, in a SYN
        raw({5, 10, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0}),
        Bytes(40, 255),
        Bytes(40, 0),
        Bytes(40, 1),
        Bytes(40, 2),
    };
    unsigned port = 40000;
    for (const Bytes& options : lists) {
      SCOPED_TRACE(port);
      expect_works(a, listener, port, Tcp{.from = port, .to = 80, .flags = kSyn, .options = options});
      ++port;
    }
    for (unsigned seed = 1; seed <= 2000; ++seed) {  // whatever bytes stand there
      SCOPED_TRACE(testing::Message() << "seed " << seed);
      std::mt19937 random(seed);
      Bytes options(4 * (random() % 11));
      for (std::uint8_t& b : options) b = static_cast<std::uint8_t>(random() % 4 == 0 ? random() : random() % 10);
      Tcp syn{.from = port, .to = 80, .flags = kSyn, .options = options};
      a.inject(syn);
      const Segment s = a.one();
      ASSERT_TRUE(s.is(kSynAck));
      Peer p = a.answering(s, {}, s.ack);
      p.send_at(p.seq, kRst);
      a.expect_silence();
      if (++port == 60000) port = 40000;
    }
  });
}

TEST(T11_OptionsThatLie, ATinyMssDoesNotMakeUsSendHeaders) {
  on_both([](IpVersion v) {
    for (const int n : {0, 1, 2, 3, 4, 5, 6, 7}) {
      const std::uint16_t mss = std::array<std::uint16_t, 4>{0, 1, 48, 65535}[static_cast<std::size_t>(n / 2)];
      const bool they_connect = n % 2 == 0;
      SCOPED_TRACE(testing::Message() << mss << (they_connect ? " of a SYN" : " of a SYN-ACK"));
      Arena a(v);
      Peer p = they_connect ? a.accept_from(40000, a.listen(80), {.mss = mss}) : a.connected_to(80, {.mss = mss});
      EXPECT_EQ(a.write(p.socket, pattern(20'000)), 20'000U);
      Bytes got;
      std::size_t count = 0;
      for (int round = 0; round < 2000 && got.size() < 20'000; ++round) {
        for (const Segment& s : a.segments()) {
          ASSERT_EQ(s.seq, p.ack);
          ASSERT_LE(s.data.size(), mss == 65535 ? 1460U : 536U);
          ASSERT_LE(s.data.size() + (v == IpVersion::v4 ? 40U : 60U), 1500U);
          got.insert(got.end(), s.data.begin(), s.data.end());
          p.ack += static_cast<std::uint32_t>(s.data.size());
          ++count;
        }
        p.acknowledge();
      }
      EXPECT_EQ(got, pattern(20'000));
      EXPECT_LE(count, 20'000U / 48 + 20);
      EXPECT_TRUE(a.stack().abort(p.socket));
      a.segments();
    }
  });
}

// RFC 7323 2.3: a shift above 14 is taken for 14.
TEST(T11_OptionsThatLie, AShiftAboveFourteenIsFourteen) {
  for (const int shift : {14, 15, 100, 255}) {
    Arena a;
    const Handle listener = a.listen(80);
    Peer p = a.accept_from(40000, listener, {.wscale = 0});
    (void)p;
    Tcp syn{.from = 40001,
            .to = 80,
            .seq = 1,
            .flags = kSyn,
            .options = raw({2, 4, 5, 0xb4, 3, 3, static_cast<unsigned>(shift), 0})};
    a.inject(syn);
    Peer q = a.answering(a.one(), {}, 2);
    q.window = 1;  // 16384 octets, whatever was said
    q.acknowledge();
    q.socket = a.accept(listener);
    EXPECT_GT(a.write(q.socket, pattern(60'000)), 30'000U);
    std::uint32_t sent = 0;
    for (int i = 0; i < 20; ++i) {
      for (const Segment& s : a.segments()) sent = std::max(sent, s.end() - q.ack);
      a.advance(Duration::ms(1));
    }
    EXPECT_GT(sent, 10'000U);
    EXPECT_LE(sent, 16'384U);
  }
}

TEST(T12_MissingTimestamps, AreTakenByDefaultAndNeverStallForGood) {
  on_both([](IpVersion v) {
    for (const bool required : {false, true}) {
      SCOPED_TRACE(required);
      Arena a(v);
      ASSERT_TRUE(a.stack().set_option(OptionId::tcp_require_timestamps, required ? 1 : 0));
      const Handle listener = a.listen(80);
      Peer p = a.half_open(40000, {.timestamps = true});
      ASSERT_TRUE(p.timestamps);
      p.timestamps = false;  // a middlebox strips it from the third ACK
      p.acknowledge();
      a.segments();
      p.timestamps = true;
      p.send(kPshAck, pattern(100));
      p.socket = a.accept(listener);
      ASSERT_TRUE(p.socket);
      EXPECT_EQ(a.read(p.socket), pattern(100));
      a.advance(Duration::ms(500));
      a.segments();
      p.timestamps = false;
      const std::uint32_t before = p.seq;
      p.send(kPshAck, pattern(50, 2));
      if (required) {
        EXPECT_TRUE(a.read(p.socket).empty());
        EXPECT_GE(a.drops(DropReason::tcp_missing_timestamp), 1U);
        p.timestamps = true;
        p.send_at(before, kPshAck, pattern(50, 2));
      }
      EXPECT_EQ(a.read(p.socket), pattern(50, 2));
      a.segments();
      p.timestamps = true;
      p.send_at(p.seq, kRst);  // RFC 7323 3.2: a RST needs none; with one it is fine, too
      EXPECT_TRUE(any(a.ready(p.socket) & (Ready::closed | Ready::error)));
    }
  });
}

// Every bit of a set of numbers that should look random is set in about half of them.
void expect_balanced(const std::vector<std::uint32_t>& numbers, int bits = 32) {
  const double n = static_cast<double>(numbers.size());
  for (int bit = 0; bit < bits; ++bit) {
    const auto set = std::ranges::count_if(numbers, [&](std::uint32_t x) { return (x >> bit & 1U) != 0; });
    EXPECT_NEAR(static_cast<double>(set), n / 2, 5 * std::sqrt(n) / 2) << "bit " << bit;
  }
}

std::vector<std::uint32_t> isns_of_peers(Arena& a, std::uint32_t count, std::vector<std::uint32_t>* clocks = nullptr) {
  std::vector<std::uint32_t> isns;
  for (std::uint32_t i = 0; i < count; ++i) {
    Tcp syn{.from = 1024 + i % 50,
            .to = 80,
            .seq = 1,
            .flags = kSyn,
            .options = PeerOptions{.timestamps = true}.bytes(1, 0)};
    a.inject_from(a.stranger(i / 50), syn);
    const Segment s = a.one();
    isns.push_back(s.seq);
    if (clocks != nullptr && s.options.timestamps) clocks->push_back(s.options.timestamps->value);
    syn.seq = 2;
    syn.flags = kRst;
    syn.options.clear();
    a.inject_from(a.stranger(i / 50), syn);
  }
  return isns;
}

TEST(T13_InitialSequenceNumbers, HaveNoRelationOverTuplesRestartsAndClones) {
  on_both([](IpVersion v) {
    Arena a(v);
    (void)a.listen(80);
    std::vector<std::uint32_t> clocks;
    const auto isns = isns_of_peers(a, 1000, &clocks);
    EXPECT_EQ(std::set<std::uint32_t>(isns.begin(), isns.end()).size(), isns.size());
    expect_balanced(isns);
    // Neighbouring tuples have unrelated numbers: their differences and exclusive ors look random as well.
    std::vector<std::uint32_t> differences;
    std::vector<std::uint32_t> xors;
    for (std::size_t i = 1; i < isns.size(); ++i) {
      differences.push_back(isns[i] - isns[i - 1]);
      xors.push_back(isns[i] ^ isns[i - 1]);
    }
    expect_balanced(differences);
    expect_balanced(xors);
    // RFC 7323 5.4: the same of timestamps: an offset for every tuple, so that nobody counts our uptime or our hosts.
    ASSERT_EQ(clocks.size(), 1000U);
    expect_balanced(clocks);
    // Another host, or this one after a restart, has other keys: knowing one says nothing about the other.
    HostOptions other = arena_options();
    other.entropy = Entropy{{1, 2, 3, 5}};
    Arena b(v, other);
    (void)b.listen(80);
    const auto theirs = isns_of_peers(b, 1000);
    std::vector<std::uint32_t> between;
    for (std::size_t i = 0; i < isns.size(); ++i) between.push_back(isns[i] - theirs[i]);
    EXPECT_GE(std::set<std::uint32_t>(between.begin(), between.end()).size(), 999U);
    expect_balanced(between);
  });
}

// RFC 6528 3: for one tuple the numbers follow a clock of 4 us, so that old segments don't fit new connections.
TEST(T13_InitialSequenceNumbers, OfOneTupleMoveForward) {
  Arena a;
  (void)a.listen(80);
  std::uint32_t last = 0;
  for (int i = 0; i < 200; ++i) {
    Peer p = a.half_open(40000);
    const std::uint32_t isn = p.ack - 1;
    if (i > 0) {
      const std::uint32_t step = isn - last;
      EXPECT_NEAR(static_cast<double>(step), 250'000.0, 25'000.0) << i;  // a second
    }
    last = isn;
    p.send_at(p.seq, kRst);
    a.advance(Duration::s(1));
    a.segments();
  }
}

TEST(T14_EphemeralPorts, AreUnpredictableDistinctAndInRange) {
  on_both([](IpVersion v) {
    Arena a(v);
    std::vector<unsigned> ports;
    for (std::uint32_t i = 0; i < 1000; ++i) {  // to a thousand servers
      const Handle h = a.connect(443, a.stranger(i));
      const Segment s = a.one();
      ports.push_back(s.source_port);
      EXPECT_GE(s.source_port, 1024U);
      EXPECT_TRUE(a.stack().abort(h));
      a.segments();
    }
    // Nobody who saw one knows the next: no step is frequent (RFC 6056 3.3.3: an offset for each destination).
    std::map<int, int> steps;
    for (std::size_t i = 1; i < ports.size(); ++i) ++steps[static_cast<int>(ports[i]) - static_cast<int>(ports[i - 1])];
    for (const auto& [step, count] : steps) EXPECT_LE(count, 10) << "step " << step;
    EXPECT_GT(std::set<unsigned>(ports.begin(), ports.end()).size(), 900U);
    // To one server: never the same while the connection lives.
    std::set<unsigned> live;
    std::vector<Handle> sockets;
    for (int i = 0; i < 1500; ++i) {
      sockets.push_back(a.connect(443, a.stranger(5000)));
      EXPECT_TRUE(live.insert(a.one().source_port).second);
    }
    for (const Handle h : sockets) EXPECT_TRUE(a.stack().abort(h));
    a.segments();
  });
}

TEST(T15_NoSynAckEver, GivesUpAtR2AndTells) {
  on_both([](IpVersion v) {
    Arena a(v);
    ASSERT_TRUE(a.stack().set_option(OptionId::tcp_syn_retries, 4));
    const Handle h = a.connect(9000);
    const Segment first = a.one();
    const Instant start = a.now();
    std::vector<std::int64_t> when;
    while (!any(a.ready(h) & (Ready::error | Ready::closed)) && a.now() - start < Duration::s(600)) {
      a.advance(Duration::ms(100));
      for (const Segment& s : a.segments()) {
        EXPECT_TRUE(s.is(kSyn));
        EXPECT_EQ(s.seq, first.seq);
        EXPECT_EQ(s.source_port, first.source_port);
        when.push_back((a.now() - start).count_ms());
      }
    }
    EXPECT_EQ(when.size(), 4U);
    // RFC 6298 5.5: each wait is twice the one before.
    for (std::size_t i = 1; i + 1 < when.size(); ++i)
      EXPECT_NEAR(static_cast<double>(when[i + 1] - when[i]), 2.0 * static_cast<double>(when[i] - when[i - 1]), 250.0);
    EXPECT_EQ(a.stack().take_error(h), Errc::timed_out);
    EXPECT_TRUE(a.stack().close(h));
    a.advance(Duration::s(600));
    a.expect_silence();
    EXPECT_EQ(a.packets_in_use(), 0U);
  });
}

}  // namespace
}  // namespace leat::test
