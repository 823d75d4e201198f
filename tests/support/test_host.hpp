#pragma once
// TestHost: a Stack with storage, pool, virtual time and one Ethernet interface, that frames are put into and taken out
// of as bytes.
//
//   TestHost host;                                  // eth0, kUs/24 and kUs6/64
//   host.receive(frame);  for (const Bytes& f : host.sent()) ...;  host.advance(Duration::s(1));
//
// At its end every packet must be back in the pool.

#include <gtest/gtest.h>

#include <leat/core/all_modules.hpp>
#include <leat/core/iface/iface.hpp>
#include <leat/core/stack.hpp>
#include <leat/offload/checksum_completion.hpp>
#include <memory>
#include <tests/support/packet_builder.hpp>

namespace leat::test {

inline const MacAddress kOurMac = mac("02:00:00:00:00:01");
inline const MacAddress kPeerMac = mac("02:00:00:00:00:02");
inline const IpAddress kUs = IpAddress::v4(10, 0, 0, 1);
inline const IpAddress kPeer = IpAddress::v4(10, 0, 0, 2);
inline const IpAddress kUs6 = ip("fd00::1");
inline const IpAddress kPeer6 = ip("fd00::2");

struct HostOptions {
  PoolLayout pool{.packets = 512, .chunks = {512, 256, 8}, .reserve = 16};
  LinkType link = LinkType::ethernet;
  std::uint32_t mtu = 1500;
  std::uint32_t max_gso = 65535;
  bool addresses = true;       // kUs/24 and kUs6/64
  bool group_reports = false;  // IGMP and MLD, else silenced for tests that count frames
  const Modules* modules = &kAllModules;
  Entropy entropy{{1, 2, 3, 4}};
};

template <Limits limits = kSmallLimits>
class BasicTestHost {
 public:
  explicit BasicTestHost(const HostOptions& o = {})
      : region_(PacketPool::bytes_needed(o.pool)),
        pool_(std::make_unique<PacketPool>(region_, o.pool)),
        storage_(std::make_unique<StackStorage<limits>>()),
        stack_(std::make_unique<Stack>(storage_->view(*pool_), *o.modules, o.entropy, Instant::from_ns(0))),
        link_(o.link) {
    advance(Duration::s(1000));
    EXPECT_TRUE(stack_->set_option(OptionId::multicast_reports, o.group_reports ? 1 : 0));
    eth = stack_->add_interface({.name = "eth0", .link = o.link, .mac = kOurMac, .mtu = o.mtu, .max_gso = o.max_gso})
              .value();
    if (!o.addresses) return;
    EXPECT_TRUE(stack_->add_address(eth, {kUs, 24}));
    if (o.mtu >= 1280 && o.modules->ipv6 != nullptr) {
      EXPECT_TRUE(stack_->add_address(eth, {kUs6, 64}));
    }
  }
  ~BasicTestHost() {
    stack_->check_invariants();
    stack_.reset();
    EXPECT_TRUE(pool_->all_free()) << "packets leaked";
  }
  BasicTestHost(const BasicTestHost&) = delete;
  BasicTestHost& operator=(const BasicTestHost&) = delete;

  Stack& stack() { return *stack_; }
  Core& core() { return stack_->core(); }
  PacketPool& pool() { return *pool_; }
  [[nodiscard]] Instant now() const { return now_; }

  // A packet with these bytes, contiguous.
  Packet packet(ByteSpan bytes) {
    Packet p = pool_->allocate_for(static_cast<std::uint32_t>(bytes.size()), 0);
    if (!p) throw std::runtime_error("the test's pool is empty");
    std::copy(bytes.begin(), bytes.end(), p.append(static_cast<std::uint32_t>(bytes.size())).begin());
    return p;
  }
  void receive(Packet p, InterfaceId id = 0) {
    PacketBatch batch;
    batch.push(std::move(p));
    stack_->input(id == 0 ? eth : id, batch, now_);
    settle();
  }
  void receive(const Bytes& frame, InterfaceId id = 0) { receive(packet(frame), id); }
  // Several frames in one batch.
  void receive_batch(const std::vector<Bytes>& frames) {
    PacketBatch batch;
    for (const Bytes& f : frames) batch.push(packet(f));
    stack_->input(eth, batch, now_);
    settle();
  }
  // An IP packet from the peer, in a frame for us where frames there are.
  void receive_ip(const Bytes& p) { receive(link_ == LinkType::ethernet ? ethernet(kOurMac, kPeerMac, p) : p); }

  // What was sent since the last call.
  std::vector<Bytes> sent(InterfaceId id = 0) {
    if (id == 0) id = eth;
    std::vector<Bytes> frames;
    for (int rounds = 0; rounds < 1000; ++rounds) {
      PacketBatch batch;
      stack_->output(id, batch, now_);
      if (batch.empty()) return frames;
      for (Packet& p : batch) {
        EXPECT_TRUE(complete_checksum(p, link_));
        Bytes b(p.size());
        p.copy_out(0, b);
        frames.push_back(std::move(b));
      }
      batch.clear();
    }
    ADD_FAILURE() << "endless output";
    return frames;
  }
  std::vector<Decoded> sent_decoded(InterfaceId id = 0) {
    std::vector<Decoded> all;
    for (const Bytes& f : sent(id)) all.push_back(link_ == LinkType::ethernet ? decode(f) : decode_ip(f));
    return all;
  }
  // The one frame that was sent; an empty Decoded when it was not one.
  Decoded sent_one(InterfaceId id = 0) {
    const auto all = sent_decoded(id);
    EXPECT_EQ(all.size(), 1U);
    return all.size() == 1 ? all[0] : Decoded{};
  }
  // Time passes; timers run when they are due.
  void advance(Duration d) {
    const Instant end = now_ + d;
    for (int rounds = 0; rounds < 100000; ++rounds) {
      const Instant next = stack_->next_deadline();
      if (next > end) break;
      now_ = std::max(now_, next);
      stack_->run_timers(now_);
      settle();
    }
    now_ = end;
    stack_->run_timers(now_);
    settle();
  }
  // Packets to ourselves arrive.
  void settle() {
    for (int rounds = 0; rounds < 1000 && stack_->run_loopback(now_); ++rounds) {
    }
    stack_->check_invariants();
  }
  // Makes the peer's link address known, as an answer to our question would.
  void resolve(const IpAddress& peer = kPeer, const MacAddress& where = kPeerMac) {
    const Index n = iface_neighbor(peer);
    (void)n;
    if (peer.is_v4()) {
      receive(ethernet(kOurMac, where, arp({wire::ArpOperation::reply, where, peer, kOurMac, kUs}), 0x0806));
    } else {
      wire::NeighborAdvertisement na{.solicited = true, .override_cache = true, .target = peer, .options = {}};
      na.options.target_mac = where;
      receive(ethernet(kOurMac, where, ndp_packet({.source = peer, .destination = kUs6}, na)));
    }
  }
  [[nodiscard]] std::uint64_t drops(DropReason r) const { return stack_->counters().get(r); }
  [[nodiscard]] std::uint64_t count(Counter c) const { return stack_->counters().get(c); }

  InterfaceId eth = 0;

 private:
  Index iface_neighbor(const IpAddress& peer);

  std::vector<std::uint8_t> region_;
  std::unique_ptr<PacketPool> pool_;
  std::unique_ptr<StackStorage<limits>> storage_;
  std::unique_ptr<Stack> stack_;
  LinkType link_;
  Instant now_;
};

using TestHost = BasicTestHost<>;

}  // namespace leat::test

#include <leat/core/iface/link.hpp>

namespace leat::test {
// Asks for a neighbour, so that an answer is not unsolicited; what was asked is taken away.
template <Limits limits>
Index BasicTestHost<limits>::iface_neighbor(const IpAddress& peer) {
  const Index n = iface::neighbor_for_output(core(), eth, peer, false);
  (void)sent();
  return n;
}
}  // namespace leat::test
