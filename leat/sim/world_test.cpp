// Worlds and links without a protocol above them: order, delays, determinism.

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <leat/core/all_modules.hpp>
#include <leat/sim/transfer.hpp>
#include <leat/sim/world.hpp>

namespace leat::sim {
namespace {

struct Pool {
  static constexpr PoolLayout kLayout{.packets = 512, .chunks = {512, 512, 0}, .reserve = 0};
  std::vector<std::uint8_t> region = std::vector<std::uint8_t>(PacketPool::bytes_needed(kLayout));
  PacketPool pool{region, kLayout};
};

Packet frame(PacketPool& pool, std::uint32_t number, std::uint32_t size = 100) {
  Packet p = pool.allocate_for(size);
  const MutableByteSpan bytes = p.append(size);
  std::ranges::fill(bytes, std::uint8_t{0});
  store_be32(&bytes[20], number);
  return p;
}

LinkConfig bad_line() {
  LinkConfig c;
  c.there = {.delay = Duration::ms(5),
             .jitter = Duration::ms(2),
             .loss_ppm = 50'000,
             .reorder_ppm = 50'000,
             .duplicate_ppm = 50'000,
             .corrupt_ppm = 50'000};
  c.back = c.there;
  c.in_flight = 256;
  return c;
}

// What comes out of a link: times and numbers, when frames enter in batches of this size.
std::vector<std::pair<std::int64_t, std::uint32_t>> through(std::uint64_t seed, std::size_t batch_size,
                                                            unsigned number = 1, bool back = false) {
  Pool a;
  Pool b;
  Link link(bad_line(), seed, number, a.pool, b.pool);
  Link::End& from = back ? link.second() : link.first();
  Link::End& to = back ? link.first() : link.second();
  std::vector<std::pair<std::int64_t, std::uint32_t>> out;
  const auto drain = [&](Instant until) {
    while (to.next_event() <= until) {
      const Instant now = to.next_event();
      PacketBatch batch(batch_size);
      to.rx(batch, now);
      for (const Packet& p : batch) out.emplace_back(now.count_us(), load_be32(&p.head()[20]));
      batch.clear();
    }
  };
  for (std::uint32_t round = 0; round < 20; ++round) {
    const Instant now = Instant::from_ns(1'000'000 * std::int64_t{round});
    drain(now);
    for (std::uint32_t i = 0; i < 16;) {
      PacketBatch batch(batch_size);
      while (!batch.full() && i < 16) batch.push(frame(a.pool, round * 16 + i++));
      EXPECT_GT(from.tx(batch, now), 0U);
      EXPECT_TRUE(batch.empty());
    }
  }
  drain(Instant::from_ns(1'000'000'000));
  link.check_invariants();
  EXPECT_TRUE(a.pool.all_free());
  EXPECT_TRUE(b.pool.all_free());
  return out;
}

TEST(SimLink, TheSeedDecidesAndBatchesDoNot) {
  const auto one = through(7, 1);
  EXPECT_EQ(one, through(7, 1));
  EXPECT_EQ(one, through(7, 64));
  EXPECT_NE(one, through(8, 64));
  EXPECT_GT(one.size(), 280U);  // 320 frames, some lost, some twice
  EXPECT_LT(one.size(), 340U);
}

TEST(SimLink, EachLinkAndEachDirectionHasALuckOfItsOwn) {
  EXPECT_NE(through(7, 64), through(7, 64, 2));
  EXPECT_NE(through(7, 64), through(7, 64, 1, true));
}

TEST(SimLink, DirectionsAreConfiguredApart) {
  Pool a;
  Pool b;
  LinkConfig config;
  config.there.delay = Duration::ms(1);
  config.back.delay = Duration::ms(30);
  config.in_flight = 16;
  Link link(config, 1, 1, a.pool, b.pool);
  PacketBatch batch;
  batch.push(frame(a.pool, 1));
  link.first().tx(batch, Instant::from_ns(0));
  batch.push(frame(b.pool, 2));
  link.second().tx(batch, Instant::from_ns(0));
  EXPECT_EQ(link.second().next_event(), Instant::from_ns(1'000'000));
  EXPECT_EQ(link.first().next_event(), Instant::from_ns(30'000'000));
  link.back().set_down(true);  // and one of them may fail alone
  batch.push(frame(b.pool, 3));
  link.second().tx(batch, Instant::from_ns(0));
  batch.push(frame(a.pool, 4));
  link.first().tx(batch, Instant::from_ns(0));
  EXPECT_EQ(link.back().in_flight(), 1U);
  EXPECT_EQ(link.there().in_flight(), 2U);
}

TEST(SimLink, EndsHaveAddressesOfTheirOwnAndCountWhatTheyMove) {
  Pool a;
  Pool b;
  Link link(LinkConfig{}, 1, 1, a.pool, b.pool);
  Link other(LinkConfig{}, 1, 2, a.pool, b.pool);
  EXPECT_NE(link.first().caps().mac, link.second().caps().mac);
  EXPECT_NE(link.first().caps().mac, other.first().caps().mac);
  PacketBatch batch;
  Packet verified = frame(a.pool, 1, 100);
  verified.meta().checksum = ChecksumState::verified;
  batch.push(std::move(verified));
  batch.push(frame(a.pool, 2, 60));
  link.first().tx(batch, Instant::from_ns(5000));
  ASSERT_EQ(link.second().rx(batch, Instant::from_ns(7000)), 2U);
  EXPECT_EQ(batch[0].meta().time, Instant::from_ns(7000));
  EXPECT_EQ(batch[0].meta().checksum, ChecksumState::none);  // a line does not vouch for anything
  EXPECT_EQ(link.first().counters().tx_packets, 2U);
  EXPECT_EQ(link.first().counters().tx_bytes, 160U);
  EXPECT_EQ(link.second().counters().rx_packets, 2U);
  EXPECT_EQ(link.second().counters().rx_bytes, 160U);
}

TEST(SimLink, FramesTakeTheDelay) {
  Pool a;
  Pool b;
  LinkConfig config;
  config.there.delay = Duration::ms(20);
  config.in_flight = 16;
  Link link(config, 1, 1, a.pool, b.pool);
  PacketBatch batch;
  batch.push(frame(a.pool, 1));
  link.first().tx(batch, Instant::from_ns(0));
  EXPECT_EQ(link.second().next_event(), Instant::from_ns(20'000'000));
  EXPECT_EQ(link.second().rx(batch, Instant::from_ns(19'999'999)), 0U);
  EXPECT_EQ(link.second().rx(batch, Instant::from_ns(20'000'000)), 1U);
  EXPECT_TRUE(link.first().next_event().is_never());
}

TEST(SimLink, APartitionLosesWhatEnters) {
  Pool a;
  Pool b;
  LinkConfig config;
  config.in_flight = 16;
  Link link(config, 1, 1, a.pool, b.pool);
  link.set_down(true);
  PacketBatch batch;
  batch.push(frame(a.pool, 1));
  link.first().tx(batch, Instant::from_ns(0));
  EXPECT_TRUE(link.second().next_event().is_never());
  link.set_down(false);
  batch.push(frame(a.pool, 2));
  link.first().tx(batch, Instant::from_ns(0));
  EXPECT_EQ(link.second().rx(batch, Instant::from_ns(0)), 1U);
  EXPECT_EQ(link.there().counters().down, 1U);
}

TEST(SimLink, AReceiverWithoutMemoryLosesFramesAndCountsThem) {
  Pool a;
  Pool b;
  LinkConfig config;
  config.in_flight = 16;
  Link link(config, 1, 1, a.pool, b.pool);
  PacketBatch batch;
  batch.push(frame(a.pool, 1, 1000));  // only one class of chunks is large enough
  batch.push(frame(a.pool, 2, 1000));
  link.first().tx(batch, Instant::from_ns(0));
  b.pool.fail_allocation(1);
  EXPECT_EQ(link.second().rx(batch, Instant::from_ns(0)), 1U);
  EXPECT_EQ(link.second().counters().rx_dropped, 1U);
}

TEST(SimWorld, EventsComeInTheOrderOfTimeAndPlanning) {
  World world({.seed = 1, .modules = &kAllModules});
  std::vector<int> order;
  world.at(Duration::ms(2), [&] { order.push_back(3); });
  world.at(Duration::ms(1), [&] {
    order.push_back(1);
    world.after({}, [&] { order.push_back(2); });
  });
  world.at(Duration::ms(2), [&] { order.push_back(4); });
  EXPECT_FALSE(world.run(Duration::ms(10)));
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3, 4}));
  EXPECT_EQ(world.now(), Duration::ms(10));
  EXPECT_TRUE(world.run(Duration::ms(20), [] { return true; }));
}

TEST(SimWorld, WhatIsPlannedInThePastComesNowInTheOrderOfPlanning) {
  World world({.seed = 1, .modules = &kAllModules});
  std::vector<int> order;
  world.at(Duration::ms(5), [&] {
    world.at(Duration::ms(5), [&] { order.push_back(1); });
    world.at(Duration::ms(2), [&] { order.push_back(2); });
    EXPECT_EQ(world.now(), Duration::ms(5));
  });
  EXPECT_FALSE(world.run(Duration::ms(10)));
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST(SimWorld, StopsAtItsLimitWithTimeThere) {
  World world({.seed = 1, .modules = &kAllModules});
  bool early = false;
  bool late = false;
  world.at(Duration::ms(10), [&] { early = true; });
  world.at(Duration::ms(11), [&] { late = true; });
  EXPECT_FALSE(world.run(Duration::ms(10)));
  EXPECT_TRUE(early);
  EXPECT_FALSE(late);
  EXPECT_EQ(world.now(), Duration::ms(10));
  EXPECT_FALSE(world.run(Duration::ms(20)));
  EXPECT_TRUE(late);
}

// A datagram socket on each of two hosts; who receives is written down.
struct TwoHosts {
  struct Receiver {
    TwoHosts* net;
    unsigned number;
    Handle socket;
    Sink sink;
    static void on_ready(void* context, std::uint64_t, Handle, Ready, Ready) {
      auto* self = static_cast<Receiver*>(context);
      std::array<std::uint8_t, 64> bytes;
      while (self->net->host(self->number).stack().try_receive(self->socket, bytes)->count > 0) {
        self->net->received.emplace_back(self->net->world.now(), self->number);
        if (self->net->answers) self->net->send(self->number, self->number);
      }
    }
  };
  TwoHosts() {
    LinkConfig line;
    line.link = LinkType::ip;
    line.there.delay = Duration::ms(5);
    line.back.delay = Duration::ms(5);
    world.join(a, {address(0), 24}, b, {address(1), 24}, line);
    for (unsigned i = 0; i < 2; ++i) {
      Receiver& r = receivers[i];
      r = {this, i, host(i).stack().open_udp().value(), {}};
      r.sink = {&Receiver::on_ready, &r};
      EXPECT_TRUE(host(i).stack().bind(r.socket, {address(i), Port{9}}));
      EXPECT_TRUE(host(i).stack().set_sink(r.socket, &r.sink, 0, Ready::readable));
    }
  }
  static IpAddress address(unsigned i) { return IpAddress::v4(10, 0, 0, static_cast<std::uint8_t>(1 + i)); }
  Host& host(unsigned i) { return i == 0 ? a : b; }
  void send(unsigned from, unsigned to) {
    const std::array<std::uint8_t, 8> bytes{};
    EXPECT_TRUE(host(from).stack().try_send_to(receivers[from].socket, bytes, {address(to), Port{9}}));
  }

  World world{{.seed = 1, .modules = &kAllModules}};
  Host& a = world.add_host({.name = "a", .pool = Pool::kLayout, .budgets = {}});
  Host& b = world.add_host({.name = "b", .pool = Pool::kLayout, .budgets = {}});
  std::array<Receiver, 2> receivers;
  bool answers = false;  // each datagram with one to oneself
  std::vector<std::pair<Duration, unsigned>> received;
};

TEST(SimWorld, AnEventMayUseHostsAndThoseThatAreDueTogetherTakeTurnsInTheOrderOfTheirMaking) {
  TwoHosts net;
  net.world.at(Duration::ms(3), [&] {
    net.send(1, 0);
    net.send(0, 1);
  });
  net.world.at(Duration::ms(8), [&] { EXPECT_TRUE(net.received.empty()) << "events come before hosts"; });
  EXPECT_FALSE(net.world.run(Duration::ms(100)));
  EXPECT_EQ(net.received, (std::vector<std::pair<Duration, unsigned>>{{Duration::ms(8), 0}, {Duration::ms(8), 1}}));
  EXPECT_GT(net.world.turns(), 2U);
}

TEST(SimWorld, AHostThatNeverComesToRestIsTold) {
  TwoHosts net;
  net.answers = true;
  net.world.at(Duration::ms(3), [&] { net.send(0, 0); });
  EXPECT_FALSE(net.world.run(Duration::s(1)));
  EXPECT_TRUE(net.world.stuck());
  EXPECT_EQ(net.world.now(), Duration::ms(3));
}

TEST(SimWorld, ManyTurnsWhileTimeMovesAreNone) {
  World world({.seed = 1, .modules = &kAllModules, .check_invariants = false});
  world.add_host({.name = "a", .pool = Pool::kLayout, .budgets = {}});
  std::function<void()> tick = [&] { world.after(Duration::us(1), tick); };
  tick();
  EXPECT_FALSE(world.run(Duration::ms(250)));
  EXPECT_GT(world.turns(), 200'000U);
  EXPECT_FALSE(world.stuck());
}

TEST(SimHost, APortTooManyIsRefusedAndLeavesNothing) {
  Pool other;
  World world({.seed = 1, .modules = &kAllModules});
  Host& host = world.add_host({.name = "a", .pool = Pool::kLayout, .budgets = {}});
  std::list<Link> links;
  for (unsigned i = 0; i <= Host::kMaxPorts; ++i) {
    Link& link = links.emplace_back(LinkConfig{}, 1, i + 1, host.pool(), other.pool);
    EXPECT_EQ(host.attach(link.first(), nullptr).has_value(), i < Host::kMaxPorts);
  }
  host.turn(Instant::from_ns(2'000'000'000));
  PacketBatch batch;
  batch.push(frame(other.pool, 1));
  links.back().second().tx(batch, Instant::from_ns(2'000'000'000));
  EXPECT_GT(host.due(), Instant::from_ns(2'000'000'000)) << "it looks at the link that it did not take";
}

TEST(SimCapture, SaysWhenItCannotBeWritten) {
  EXPECT_FALSE(Capture("/nonexistent/x").good());
  Capture nowhere;
  EXPECT_TRUE(nowhere.good());
  EXPECT_TRUE(nowhere.close());
  if (std::FILE* full = std::fopen("/dev/full", "wb")) {
    std::fclose(full);
    Capture small("/dev/full");
    EXPECT_TRUE(small.good());
    EXPECT_FALSE(small.close()) << "its bytes wait in the library until then";
    Capture large("/dev/full");
    for (int i = 0; i < 1000; ++i) (void)large.writer().add_interface(LinkType::ip, "eth0");
    EXPECT_FALSE(large.good()) << "more than the library holds back";
  }
}

TEST(SimPattern, IsTheSameHoweverItIsCut) {
  std::vector<std::uint8_t> whole(1000);
  fill_pattern(5, 3, whole);
  for (std::size_t cut = 0; cut <= whole.size(); cut += 7) {
    std::vector<std::uint8_t> parts(1000);
    fill_pattern(5, 3, {parts.data(), cut});
    fill_pattern(5, 3 + cut, {parts.data() + cut, parts.size() - cut});
    EXPECT_EQ(parts, whole);
  }
  EXPECT_EQ(check_pattern(5, 3, whole), whole.size());
  whole[700] ^= 1;
  EXPECT_EQ(check_pattern(5, 3, whole), 700U);
  EXPECT_LT(check_pattern(6, 3, whole), 10U);
}

}  // namespace
}  // namespace leat::sim
