// A turn of a shard: every phase ends with its budget, whoever has more than that is served in the next turn, and
// nothing starves: timers, posted work, sinks, operations, other devices. Devices here are the test's own: one gives
// packets without end, another takes as many as it is told.

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <leat/core/all_modules.hpp>
#include <leat/drive/op_engine.hpp>
#include <leat/drive/shard.hpp>
#include <leat/wire/ipv4.hpp>
#include <leat/wire/tcp.hpp>
#include <leat/wire/udp.hpp>
#include <memory>
#include <string>
#include <vector>

namespace leat {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr Limits kLimits = [] {
  Limits l;
  l.sockets = 256;
  l.tcp.connections = 256;
  l.tcp.active = 256;
  return l;
}();
constexpr PoolLayout kLayout{.packets = 1024, .chunks = {512, 512, 0}, .reserve = 16};
const IpAddress kOurs = IpAddress::v4(10, 0, 0, 1);
const IpAddress kPeer = IpAddress::v4(10, 0, 0, 2);
const IpAddress kStranger = IpAddress::v4(10, 0, 0, 77);

Bytes ip_packet(const IpAddress& to, wire::IpProtocol protocol, const Bytes& transport) {
  Bytes packet(wire::Ipv4Header::kLength);
  wire::Ipv4Header h;
  h.ttl = 64;
  h.protocol = protocol;
  h.source = kPeer;
  h.destination = to;
  h.payload_length = static_cast<std::uint16_t>(transport.size());
  EXPECT_EQ(h.emit(packet), packet.size());
  packet.insert(packet.end(), transport.begin(), transport.end());
  return packet;
}

Bytes datagram(Port port, const IpAddress& to = kOurs) {
  Bytes udp(wire::UdpHeader::kLength + 4);
  const wire::UdpHeader h{Port{4000}, port, static_cast<std::uint16_t>(udp.size()), 0};
  EXPECT_EQ(h.emit(udp), wire::UdpHeader::kLength);
  return ip_packet(to, wire::IpProtocol::udp, udp);
}

Bytes segment(Port to, SeqNum seq, SeqNum ack, wire::TcpFlags flags, Port from = Port{80}) {
  wire::TcpHeader h;
  h.source_port = from;
  h.destination_port = to;
  h.seq = seq;
  h.ack = ack;
  h.flags = flags;
  h.window = 60'000;
  Bytes tcp(wire::TcpHeader::kLength);
  EXPECT_EQ(h.emit(tcp, 0), tcp.size());
  const Sum sum = pseudo_header_sum(kPeer, kOurs, 6, static_cast<std::uint32_t>(tcp.size()));
  store_be16(&tcp[wire::TcpHeader::kChecksumOffset], checksum_finish(checksum_add(sum, tcp)));
  return ip_packet(kOurs, wire::IpProtocol::tcp, tcp);
}

// Bare IP. What it does is written into the log: r and t with its name.
class TestDevice final : public AnyDevice {
 public:
  TestDevice(PacketPool& pool, std::string& log, char name) : pool_(&pool), log_(&log), name_(name) {}

  DeviceCaps caps() const override { return {.link = LinkType::ip, .mtu = 1500, .rx_checksum = true}; }
  std::size_t rx(PacketBatch& batch, Instant) override {
    *log_ += std::string{"r"} + name_;
    std::size_t given = 0;
    while (!batch.full()) {
      Bytes bytes;
      if (!incoming.empty()) {
        bytes = incoming.front();
        incoming.pop_front();
      } else if (endless) {
        bytes = datagram(Port{9}, kStranger);
      } else {
        break;
      }
      Packet p = pool_->allocate_for(static_cast<std::uint32_t>(bytes.size()));
      EXPECT_TRUE(p);
      std::ranges::copy(bytes, p.append(static_cast<std::uint32_t>(bytes.size())).begin());
      batch.push(std::move(p));
      ++given;
    }
    received += given;
    return given;
  }
  std::size_t tx(PacketBatch& batch, Instant) override {
    *log_ += std::string{"t"} + name_;
    const std::size_t taken = std::min(room, batch.size());
    for (std::size_t i = 0; i < taken; ++i) {
      Bytes bytes(batch[i].size());
      batch[i].copy_out(0, bytes);
      sent.push_back(std::move(bytes));
    }
    room -= taken;
    batch.pop_front(taken);
    return taken;
  }
  Instant next_event() const override { return endless || !incoming.empty() ? Instant{} : later; }
  int poll_fd() const override { return -1; }
  DeviceCounters counters() const override { return {.rx_packets = received, .tx_packets = sent.size()}; }

  bool endless = false;
  Instant later = Instant::never();  // when it will have something by itself
  std::deque<Bytes> incoming;
  std::size_t room = 1'000'000;
  std::size_t received = 0;
  std::vector<Bytes> sent;

 private:
  PacketPool* pool_;
  std::string* log_;
  char name_;
};

class Turn : public ::testing::Test {
 protected:
  Turn()
      : memory_(PacketPool::bytes_needed(kLayout)),
        pool(memory_, kLayout),
        storage_(std::make_unique<StackStorage<kLimits>>()),
        stack(storage_->view(pool), kAllModules, Entropy{{1, 2, 3, 4}}, now) {}

  void start(const Budgets& budgets) {
    shard = std::make_unique<Shard>(stack, ports_, budgets);
    shard->check_invariants_every_turn(true);
    const auto a_id = shard->attach(a, {.name = "a"});
    const auto b_id = shard->attach(b, {.name = "b"});
    ASSERT_TRUE(a_id);
    ASSERT_TRUE(b_id);
    ASSERT_TRUE(stack.add_address(*a_id, {kOurs, 24}));
    ASSERT_TRUE(stack.add_address(*b_id, {IpAddress::v4(10, 0, 1, 1), 24}));
    run_dry();
    log.clear();
  }
  void stop() {
    for (DevicePort& port : ports_) {
      ASSERT_TRUE(shard->detach(port.interface()));
    }
  }
  // What a new interface wants to say first.
  void run_dry() {
    for (int i = 0; i < 20; ++i) (void)shard->turn(now);
    a.sent.clear();
    b.sent.clear();
    a.received = b.received = 0;
  }
  Instant turn() {
    log.clear();
    return shard->turn(now);
  }

  Handle udp(Port port, const Sink* sink = nullptr, std::uint64_t user = 0) {
    const Handle h = stack.open_udp().value();
    EXPECT_TRUE(stack.bind(h, {IpAddress{}, port}));
    if (sink != nullptr) {
      EXPECT_TRUE(stack.set_sink(h, sink, user, Ready::readable));
    }
    return h;
  }
  // Opens so many connections to a peer that does not answer: each has one SYN, repeated after a second.
  void connect(int connections) {
    for (int i = 0; i < connections; ++i) {
      const Handle h = stack.open_stream().value();
      ASSERT_TRUE(stack.connect(h, {kPeer, Port{80}}));
      handles.push_back(h);
    }
  }
  // Established connections to the peer's port 80, whose other end is the test. In the order of `handles`.
  struct Remote {
    Port port{};
    SeqNum seq{}, ack{};  // of the next segment to us
  };
  std::vector<Remote> establish(int connections) {
    connect(connections);
    for (int i = 0; i < 10; ++i) (void)turn();
    std::vector<Remote> all;
    for (const Bytes& syn : a.sent) {
      const auto tcp = wire::TcpView::parse(ByteSpan{syn}.subspan(20));
      EXPECT_TRUE(tcp);
      all.push_back({tcp->source_port(), SeqNum{1001}, tcp->seq() + 1});
      a.incoming.push_back(
          segment(all.back().port, SeqNum{1000}, all.back().ack, wire::TcpFlag::syn | wire::TcpFlag::ack));
    }
    for (int i = 0; i < 10; ++i) (void)turn();
    EXPECT_EQ(all.size(), static_cast<std::size_t>(connections));
    for (const Handle h : handles) EXPECT_TRUE(any(stack.readiness(h) & Ready::connected));
    a.sent.clear();
    return all;
  }
  // The ports of ours that have sent a RST.
  std::vector<Port> resets() const {
    std::vector<Port> ports;
    for (const Bytes& frame : a.sent)
      if (const auto tcp = wire::TcpView::parse(ByteSpan{frame}.subspan(20)); tcp && tcp->flags().rst())
        ports.push_back(tcp->source_port());
    return ports;
  }
  static bool readable(Stack& s, Handle h) { return any(s.readiness(h) & Ready::readable); }

  Instant now = Instant::from_ns(1'000'000'000);
  std::string log;

 private:
  std::vector<std::uint8_t> memory_;

 protected:
  PacketPool pool;

 private:
  std::unique_ptr<StackStorage<kLimits>> storage_;
  std::array<DevicePort, 2> ports_;

 protected:
  TestDevice a{pool, log, 'a'};
  TestDevice b{pool, log, 'b'};
  Stack stack;
  std::unique_ptr<Shard> shard;
  std::vector<Handle> handles;
  std::vector<std::uint64_t> called;  // users of the sinks, in order
  Sink noting{[](void* context, std::uint64_t user, Handle, Ready, Ready) {
                auto& test = *static_cast<Turn*>(context);
                test.called.push_back(user);
                test.log += 'd';
              },
              this};
};

TEST_F(Turn, ReceivesAsManyBurstsAsItsBudgetSays) {
  start({.receive_batches = 3, .batch = 16});
  a.endless = true;
  EXPECT_EQ(turn(), now) << "there is more";
  EXPECT_EQ(a.received, 48U);
  EXPECT_EQ(log, "rarararb");
  EXPECT_EQ(shard->received(), 48U);
  EXPECT_EQ(turn(), now);
  EXPECT_EQ(a.received, 96U);
  // A burst that is not full ends it: the device has no more.
  a.endless = false;
  a.incoming.assign(20, datagram(Port{9}, kStranger));
  (void)turn();
  EXPECT_EQ(a.received, 116U);
  EXPECT_EQ(log, "rararb");
}

TEST_F(Turn, AFloodOnOneDeviceLeavesTheOtherItsTurn) {
  start({.receive_batches = 2, .batch = 8});
  const Handle h = udp(Port{7}, &noting, 7);
  for (TestDevice* flooded : {&a, &b}) {
    TestDevice& other = flooded == &a ? b : a;
    flooded->endless = true;
    other.incoming.push_back(datagram(Port{7}, flooded == &a ? IpAddress::v4(10, 0, 1, 1) : kOurs));
    called.clear();
    EXPECT_EQ(turn(), now);
    EXPECT_TRUE(readable(stack, h));
    EXPECT_EQ(called, (std::vector<std::uint64_t>{7}));
    Bytes got(4);
    EXPECT_EQ(stack.try_receive(h, got).value().count, 4U);
    flooded->endless = false;
  }
}

TEST_F(Turn, AFloodLeavesTimersPostedWorkAndEgressTheirTurn) {
  start({.receive_batches = 1, .batch = 8});
  int drained = 0;
  shard->set_inbox({[](void* n) { ++*static_cast<int*>(n); }, &drained});
  connect(3);
  a.endless = true;
  EXPECT_EQ(turn(), now);
  EXPECT_EQ(a.sent.size(), 3U) << "the SYNs";
  now = now + Duration::ms(1500);
  EXPECT_EQ(turn(), now);
  EXPECT_EQ(a.sent.size(), 6U) << "once more, by their timers";
  EXPECT_EQ(drained, 2);
}

TEST_F(Turn, AFloodLeavesOperationsTheirTurn) {
  start({.receive_batches = 1, .batch = 8});
  OpEngine engine(stack);
  Op op;
  op.open(SocketKind::udp);
  ASSERT_TRUE(engine.start(op));
  const Handle h = op.handle;
  op.reset();
  op.bind(h, {IpAddress{}, Port{7}});
  ASSERT_TRUE(engine.start(op));
  Bytes got(4);
  Op receive;
  receive.receive(h, got);
  ASSERT_FALSE(engine.start(receive)) << "nothing is there yet";
  a.endless = true;
  a.incoming.push_back(datagram(Port{7}));
  EXPECT_EQ(turn(), now);
  EXPECT_EQ(engine.take_completed(), &receive) << "in the turn that brought the datagram";
  EXPECT_EQ(receive.count, 4U);
}

TEST_F(Turn, RunsAsManyTimersAsItsBudgetSays) {
  start({.timers = 4});
  connect(12);
  (void)turn();
  ASSERT_EQ(a.sent.size(), 12U);
  now = now + Duration::ms(1500);
  int turns = 0;
  for (std::size_t before = 12; a.sent.size() < 24; ++turns, before = a.sent.size()) {
    ASSERT_LT(turns, 20);
    const Instant next = turn();
    EXPECT_LE(a.sent.size() - before, 4U);
    if (a.sent.size() < 24) {
      EXPECT_LE(next, now) << "some are overdue still";
    }
  }
  EXPECT_GE(turns, 3);
  EXPECT_GT(turn(), now);
}

// Peers that do not go on with their handshakes: their SYN-ACKs are repeated, budget by budget.
TEST_F(Turn, RepeatsAsManySynAcksAsItsBudgetSays) {
  start({.timers = 4});
  const Handle listener = stack.open_stream().value();
  ASSERT_TRUE(stack.bind(listener, {IpAddress{}, Port{80}}));
  ASSERT_TRUE(stack.listen(listener, 64));
  for (std::uint16_t i = 0; i < 12; ++i)
    a.incoming.push_back(
        segment(Port{80}, SeqNum{1}, SeqNum{0}, wire::TcpFlag::syn, Port{static_cast<std::uint16_t>(5000 + i)}));
  (void)turn();
  ASSERT_EQ(a.sent.size(), 12U);
  now = now + Duration::ms(1500);
  int turns = 0;
  for (std::size_t before = 12; a.sent.size() < 24; ++turns, before = a.sent.size()) {
    ASSERT_LT(turns, 20);
    (void)turn();
    EXPECT_LE(a.sent.size() - before, 4U);
  }
  EXPECT_GE(turns, 3);
}

TEST_F(Turn, CallsAsManySinksAsItsBudgetSaysInOrder) {
  start({.deliveries = 3});
  for (std::uint16_t i = 0; i < 10; ++i) {
    udp(Port{static_cast<std::uint16_t>(100 + i)}, &noting, i);
    a.incoming.push_back(datagram(Port{static_cast<std::uint16_t>(100 + i)}));
  }
  std::vector<std::uint64_t> all;
  for (std::uint64_t i = 0; i < 10; ++i) {
    if (i % 3 == 0) {
      EXPECT_EQ(called.size(), i);
      const Instant next = turn();
      EXPECT_EQ(next == now, i < 9) << i;
    }
    all.push_back(i);
  }
  EXPECT_EQ(called, all);
}

// Two sockets of this stack that answer each other at once, for ever.
TEST_F(Turn, EndlessTalkOverTheLoopbackQueueEndsWithItsBudget) {
  start({.deliveries = 1000, .loopback = 4});
  struct Talk {
    Stack& stack;
    std::array<Handle, 2> ends{};
    int answers = 0;
  } talk{stack};
  const Sink answering{[](void* context, std::uint64_t user, Handle self, Ready, Ready) {
                         auto& t = *static_cast<Talk*>(context);
                         Bytes got(16);
                         Message from;
                         while (true) {
                           const auto r = t.stack.try_receive_from(self, got, from);
                           if (!r || r->status == IoStatus::would_block) break;
                           ++t.answers;
                           const Port other{static_cast<std::uint16_t>(user == 0 ? 101 : 100)};
                           (void)t.stack.try_send_to(self, ByteSpan{got}.first(r->count), {kOurs, other});
                         }
                       },
                       &talk};
  talk.ends = {udp(Port{100}, &answering, 0), udp(Port{101}, &answering, 1)};
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(stack.try_send_to(talk.ends[0], Bytes(8), {kOurs, Port{101}}));
  connect(1);
  for (int i = 0; i < 50; ++i) {
    const int before = talk.answers;
    EXPECT_EQ(turn(), now) << "there is more";
    EXPECT_LE(talk.answers - before, 4);
    if (i > 0) {
      EXPECT_EQ(talk.answers - before, 4) << "what came in over the queue in the turn before";
    }
  }
  EXPECT_EQ(a.sent.size(), 1U) << "and what leaves, leaves";
}

// Nobody is to be told, so only the queue itself says that there is more.
TEST_F(Turn, TakesAsMuchFromTheLoopbackQueueAsItsBudgetSays) {
  start({.loopback = 4});
  const Handle h = udp(Port{7});
  const Handle to = udp(Port{8});
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(stack.try_send_to(h, Bytes(8), {kOurs, Port{8}}));
  for (const int expected : {4, 4, 2}) {
    EXPECT_EQ(turn() == now, expected == 4);
    Bytes got(16);
    int arrived = 0;
    while (stack.try_receive(to, got).value().count != 0) ++arrived;
    EXPECT_EQ(arrived, expected);
  }
}

// No packet to ourselves takes two steps in one turn.
TEST_F(Turn, TalkToOurselvesTakesAStepATurn) {
  start({});
  const Handle listener = stack.open_stream().value();
  ASSERT_TRUE(stack.bind(listener, {kOurs, Port{80}}));
  ASSERT_TRUE(stack.listen(listener, 4));
  const Handle h = stack.open_stream().value();
  ASSERT_TRUE(stack.connect(h, {kOurs, Port{80}}));
  const auto segments = [&] { return stack.counters().get(Counter::tcp_segments_in); };
  for (std::uint64_t before = 0; before < 3; ++before) {  // SYN, SYN-ACK, ACK
    EXPECT_EQ(segments(), before);
    EXPECT_EQ(turn() == now, before < 2);
  }
  EXPECT_EQ(segments(), 3U);
  EXPECT_TRUE(stack.try_accept(listener).value());
}

TEST_F(Turn, TransmitsAsManyBurstsAsItsBudgetSays) {
  start({.transmit_batches = 2, .batch = 8});
  const Handle h = udp(Port{7});
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(stack.try_send_to(h, Bytes(8), {kPeer, Port{9}}));
  for (const std::size_t expected : {16U, 32U}) {
    EXPECT_EQ(turn(), now) << "there is more";
    EXPECT_EQ(a.sent.size(), expected);
    EXPECT_EQ(log, "rarbtata");
  }
  EXPECT_GT(turn(), now);
  EXPECT_EQ(a.sent.size(), 40U);
  EXPECT_FALSE(shard->blocked());
}

TEST_F(Turn, AFullDeviceKeepsWhatItHasInOrderAndStopsNoOther) {
  start({.batch = 8});
  const Handle h = udp(Port{7});
  for (std::uint8_t i = 0; i < 20; ++i) ASSERT_TRUE(stack.try_send_to(h, Bytes(8, i), {kPeer, Port{9}}));
  for (std::uint8_t i = 0; i < 20; ++i)
    ASSERT_TRUE(stack.try_send_to(h, Bytes(8, i), {IpAddress::v4(10, 0, 1, 2), Port{9}}));
  a.room = 5;
  const Instant next = turn();
  EXPECT_TRUE(shard->blocked());
  EXPECT_GT(next, now) << "asking a full device again at once is in vain";
  EXPECT_LE(next, now + Duration::us(50));
  EXPECT_EQ(a.sent.size(), 5U);
  EXPECT_EQ(b.sent.size(), 20U);
  a.room = 100;
  EXPECT_GT(turn(), now);
  EXPECT_FALSE(shard->blocked());
  ASSERT_EQ(a.sent.size(), 20U);
  for (std::uint8_t i = 0; i < 20; ++i) EXPECT_EQ(a.sent[i].back(), i);
}

// A socket that found the interface's queue full is writable when egress has emptied it: that is news for a sink.
TEST_F(Turn, RoomThatEgressMakesIsToldAtOnce) {
  for (const bool by_flush : {false, true}) {
    start({});
    const Handle h = udp(Port{7});
    ASSERT_TRUE(stack.set_sink(h, &noting, 7, Ready::writable));
    run_dry();
    called.clear();
    IoStatus status = IoStatus::done;
    for (int i = 0; i < 1000 && status == IoStatus::done; ++i)
      status = stack.try_send_to(h, Bytes(8), {kPeer, Port{9}}).value().status;
    ASSERT_EQ(status, IoStatus::would_block);
    EXPECT_EQ(by_flush ? shard->flush(now) : turn(), now) << "a sink is to be called";
    EXPECT_TRUE(called.empty());
    EXPECT_GT(turn(), now);
    EXPECT_EQ(called, (std::vector<std::uint64_t>{7}));
    ASSERT_TRUE(stack.close(h));
    stop();
  }
}

// Memory comes back without a sign, so who lacks it asks to be called again soon, long before a retransmission.
TEST_F(Turn, WhoLacksMemoryLooksAgainSoon) {
  start({});
  (void)establish(1);
  ASSERT_EQ(stack.try_send(handles[0], Bytes(100)).value().count, 100U);
  std::vector<Packet> all;
  while (Packet p = pool.allocate_for(100, kHeadroom, Priority::control)) all.push_back(std::move(p));
  EXPECT_LE(turn(), now + Duration::ms(10));
  EXPECT_TRUE(a.sent.empty());
  all.clear();
  now = now + Duration::ms(10);
  (void)turn();
  EXPECT_EQ(a.sent.size(), 1U);
}

// drain inbox -> receive -> timers -> deliver -> loopback queue -> transmit (architecture.md 5).
TEST_F(Turn, ThePhasesComeInOrder) {
  start({});
  shard->set_inbox({[](void* text) { *static_cast<std::string*>(text) += 'i'; }, &log});
  udp(Port{7}, &noting);
  const Handle out = udp(Port{8});
  a.incoming.push_back(datagram(Port{7}));
  ASSERT_TRUE(stack.try_send_to(out, Bytes(8), {kPeer, Port{9}}));
  (void)turn();
  EXPECT_EQ(log, "irarbdta");
}

// What posted work queues leaves in the same turn, and what a sink sends, too.
TEST_F(Turn, WhatAPhaseQueuesTheNextOnesTake) {
  start({});
  struct Sender {
    Stack& stack;
    Handle handle;
    IpAddress to;
    void send() { EXPECT_TRUE(stack.try_send_to(handle, Bytes(8), {to, Port{9}})); }
  } sender{stack, udp(Port{8}), kPeer};
  shard->set_inbox({[](void* s) { static_cast<Sender*>(s)->send(); }, &sender});
  (void)turn();
  EXPECT_EQ(a.sent.size(), 1U);
  shard->set_inbox({});
  const Sink sending{[](void* s, std::uint64_t, Handle, Ready, Ready) { static_cast<Sender*>(s)->send(); }, &sender};
  udp(Port{7}, &sending);
  a.incoming.push_back(datagram(Port{7}));
  (void)turn();
  EXPECT_EQ(a.sent.size(), 2U);
  // To ourselves: the loopback queue comes behind delivery, so it is there in this turn and told in the next one.
  sender.to = kOurs;
  const Handle self = udp(Port{9}, &noting, 9);
  a.incoming.push_back(datagram(Port{7}));
  EXPECT_EQ(turn(), now) << "a sink is to be called";
  EXPECT_TRUE(readable(stack, self));
  EXPECT_TRUE(called.empty());
  EXPECT_GT(turn(), now);
  EXPECT_EQ(called, (std::vector<std::uint64_t>{9}));
}

// The answer is there when the timer is due: receiving comes first, so nothing is sent twice.
TEST_F(Turn, PacketsComeBeforeTimers) {
  start({});
  connect(1);
  (void)turn();
  ASSERT_EQ(a.sent.size(), 1U);
  const auto syn = wire::TcpView::parse(ByteSpan{a.sent[0]}.subspan(20));
  ASSERT_TRUE(syn);
  a.incoming.push_back(segment(syn->source_port(), SeqNum{1}, syn->seq() + 1, wire::TcpFlag::rst | wire::TcpFlag::ack));
  ASSERT_TRUE(stack.set_sink(handles[0], &noting, 1, kAllReady));
  now = now + Duration::s(2);
  (void)turn();
  EXPECT_EQ(a.sent.size(), 1U) << "the SYN, not its repetition";
  EXPECT_EQ(stack.counters().get(Counter::tcp_timeouts), 0U);
  EXPECT_EQ(called, (std::vector<std::uint64_t>{1}));
}

// What a timer finds out is told in the same turn.
TEST_F(Turn, TimersComeBeforeDelivery) {
  start({});
  connect(1);
  ASSERT_TRUE(stack.set_option(handles[0], OptionId::tcp_syn_retries, 1));
  (void)turn();
  ASSERT_TRUE(stack.set_sink(handles[0], &noting, 1, Ready::error | Ready::closed));
  for (int i = 0; i < 100 && called.empty(); ++i) {
    EXPECT_FALSE(any(stack.readiness(handles[0]) & Ready::error)) << "found out, and not told";
    now = now + Duration::ms(100);
    (void)turn();
  }
  EXPECT_EQ(called, (std::vector<std::uint64_t>{1}));
}

TEST_F(Turn, AFlushReadsNoDeviceAndKeepsTheBudgets) {
  start({.deliveries = 2, .loopback = 3, .transmit_batches = 1, .batch = 4});
  a.endless = true;
  const Handle h = udp(Port{7});
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(stack.try_send_to(h, Bytes(8), {kPeer, Port{9}}));
  std::vector<Handle> own;
  for (std::uint16_t i = 0; i < 5; ++i) {
    const Port port{static_cast<std::uint16_t>(100 + i)};
    own.push_back(udp(port, &noting, i));
    ASSERT_TRUE(stack.try_send_to(h, Bytes(8), {kOurs, port}));
  }
  log.clear();
  EXPECT_EQ(shard->flush(now), now) << "there is more";
  EXPECT_EQ(log, "ddta");
  EXPECT_EQ(a.sent.size(), 4U);
  EXPECT_EQ(called, (std::vector<std::uint64_t>{0, 1}));
  EXPECT_EQ(std::ranges::count_if(own, [&](Handle s) { return readable(stack, s); }), 3);
  EXPECT_EQ(a.received, 0U);
  for (int i = 0; i < 3; ++i) (void)shard->flush(now);
  EXPECT_EQ(a.sent.size(), 10U);
  EXPECT_EQ(called, (std::vector<std::uint64_t>{0, 1, 2, 3, 4}));
}

// More connections than one batch holds: every peer hears it before reset_peers() returns, and hears it once.
TEST_F(Turn, ResettingPeersReachesAllOfThem) {
  start({});
  const auto remotes = establish(150);
  shard->reset_peers(now);
  auto ports = resets();
  EXPECT_EQ(ports.size(), 150U);
  for (const Remote& r : remotes) EXPECT_EQ(std::ranges::count(ports, r.port), 1);
  shard->reset_peers(now);
  (void)turn();
  EXPECT_EQ(resets().size(), 150U);
}

TEST_F(Turn, ResettingPeersEndsWithADeviceThatIsFull) {
  start({});
  (void)establish(200);
  a.room = 10;
  shard->reset_peers(now);
  EXPECT_TRUE(shard->blocked());
  EXPECT_EQ(resets().size(), 10U);
  EXPECT_LE(stack.counters().get(Counter::tcp_resets_sent), 64U) << "the others could not leave either";
}

// Who still counts on a connection, and who does not.
TEST_F(Turn, ResettingPeersLeavesThoseAloneWhoCountOnNothing) {
  start({});
  auto remotes = establish(5);
  const auto ack_of_fin = [&](std::size_t i) {
    return segment(remotes[i].port, remotes[i].seq, remotes[i].ack + 1, wire::TcpFlag::ack);
  };
  ASSERT_TRUE(stack.close(handles[0]));  // and acknowledged: it waits for a FIN that it needs no more
  ASSERT_TRUE(stack.shutdown(handles[1], ShutdownHow::write));  // acknowledged, and the program still reads
  ASSERT_TRUE(stack.close(handles[2]));                         // not acknowledged
  (void)turn();
  a.incoming.push_back(ack_of_fin(0));
  a.incoming.push_back(ack_of_fin(1));
  a.incoming.push_back(
      segment(remotes[3].port, remotes[3].seq, remotes[3].ack, wire::TcpFlag::rst | wire::TcpFlag::ack));
  (void)turn();
  ASSERT_TRUE(any(stack.readiness(handles[3]) & Ready::closed)) << "over, but the program has it open";
  a.sent.clear();
  shard->reset_peers(now);
  const auto ports = resets();
  EXPECT_EQ(ports.size(), 3U);
  for (const std::size_t i : {1U, 2U, 4U}) EXPECT_EQ(std::ranges::count(ports, remotes[i].port), 1) << i;
}

// A clock that goes back moves nothing back.
TEST_F(Turn, TimeDoesNotGoBack) {
  start({});
  connect(1);
  (void)turn();
  now = now + Duration::ms(1500);
  (void)turn();
  EXPECT_EQ(a.sent.size(), 2U);
  const Instant next = shard->turn(now - Duration::s(1));
  EXPECT_EQ(stack.now(), now);
  EXPECT_GT(next, now);
  EXPECT_EQ(a.sent.size(), 2U);
  a.endless = true;
  EXPECT_EQ(shard->turn(now - Duration::s(1)), now) << "again at once, not a second ago";
}

TEST_F(Turn, ReturnsTheEarliestOfTheStackAndItsDevices) {
  start({});
  EXPECT_EQ(turn(), Instant::never());
  b.later = now + Duration::ms(7);
  EXPECT_EQ(turn(), now + Duration::ms(7));
  connect(1);
  (void)turn();
  EXPECT_EQ(turn(), now + Duration::ms(7));
  b.later = Instant::never();
  EXPECT_GT(turn(), now + Duration::ms(900)) << "the SYN's timer";
  EXPECT_LT(turn(), now + Duration::ms(1100));
}

}  // namespace
}  // namespace leat
