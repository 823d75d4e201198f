#pragma once
// TcpPair: two stacks joined by a link of IP packets under virtual time. Packets are copied from one pool to the other,
// super-segments whole; a hook may look at, drop or delay each. Everything is deterministic.
//
//   TcpPair net;
//   auto [client, server] = net.connect();
//   net.write_all(client, 0, "hello");  net.run();
//
// At its end both stacks' invariants hold and every packet is back.

#include <gtest/gtest.h>

#include <functional>
#include <leat/core/all_modules.hpp>
#include <leat/core/stack.hpp>
#include <leat/core/tcp/info.hpp>
#include <leat/offload/checksum_completion.hpp>
#include <leat/offload/gso.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace leat::test {

struct PairOptions {
  PoolLayout pool{.packets = 4096, .chunks = {4096, 2048, 64}, .reserve = 32};
  std::uint32_t mtu = 1500;
  std::uint32_t max_gso = 0;
  Duration delay = Duration::ms(10);  // one way
  const Modules* modules = &kAllModules;
};

inline constexpr Limits kPairLimits{.sockets = 512,
                                    .profiles = 16,
                                    .iface = {},
                                    .ip = {},
                                    .udp = {},
                                    .tcp = {.connections = 300,
                                            .active = 200,
                                            .listeners = 8,
                                            .binds = 32,
                                            .syn_records = 64,
                                            .time_wait = 128,
                                            .ranges = 4096,
                                            .ooo_nodes = 2048,
                                            .paths = 8}};

struct PairSide {
  std::vector<std::uint8_t> region;
  std::unique_ptr<PacketPool> pool;
  std::unique_ptr<StackStorage<kPairLimits>> storage;
  std::unique_ptr<Stack> stack;
  InterfaceId eth = 0;
};

class TcpPair {
 public:
  // What becomes of a packet: from which side (0 or 1), its bytes. False: lost.
  using Hook = std::function<bool(unsigned from, ByteSpan packet)>;

  explicit TcpPair(const PairOptions& o = {}) : options_(o) {
    for (unsigned i = 0; i < 2; ++i) {
      PairSide& s = sides_[i];
      s.region.resize(PacketPool::bytes_needed(o.pool));
      s.pool = std::make_unique<PacketPool>(s.region, o.pool);
      s.storage = std::make_unique<StackStorage<kPairLimits>>();
      s.stack = std::make_unique<Stack>(s.storage->view(*s.pool), *o.modules, Entropy{{i + 1, 2, 3, 4}}, now_);
      s.eth =
          s.stack->add_interface({.name = "ip0", .link = LinkType::ip, .mac = {}, .mtu = o.mtu, .max_gso = o.max_gso})
              .value();
      EXPECT_TRUE(s.stack->add_address(s.eth, {address(i), 24}));
      EXPECT_TRUE(s.stack->add_address(s.eth, {address6(i), 64}));
    }
  }
  ~TcpPair() {
    for (PairSide& s : sides_) {
      s.stack->check_invariants();
      s.stack.reset();
      EXPECT_TRUE(s.pool->all_free()) << "packets leaked";
    }
  }
  TcpPair(const TcpPair&) = delete;
  TcpPair& operator=(const TcpPair&) = delete;

  static IpAddress address(unsigned side) { return IpAddress::v4(10, 0, 0, static_cast<std::uint8_t>(side + 1)); }
  static IpAddress address6(unsigned side) {
    return IpAddress::v6({0xfd00, 0, 0, 0, 0, 0, 0, static_cast<std::uint16_t>(side + 1)});
  }
  Stack& stack(unsigned side) { return *sides_[side].stack; }
  PacketPool& pool(unsigned side) { return *sides_[side].pool; }
  InterfaceId interface(unsigned side) const { return sides_[side].eth; }
  [[nodiscard]] Instant now() const { return now_; }
  void set_hook(Hook hook) { hook_ = std::move(hook); }
  void check_every_step(bool on) { check_ = on; }
  [[nodiscard]] std::size_t packets_seen() const { return packets_; }

  // Everything that can happen now; returns when both stacks are silent and the link holds nothing due.
  void settle() {
    for (unsigned rounds = 0; rounds < 100000; ++rounds) {
      bool any = deliver_due();
      for (unsigned i = 0; i < 2; ++i) any = collect(i) || any;
      if (check_)
        for (PairSide& s : sides_) s.stack->check_invariants();
      if (!any) return;
    }
    ADD_FAILURE() << "never silent";
  }
  // Lets time pass until `done` holds or `limit` is over; false when it never held.
  bool run_until(const std::function<bool()>& done, Duration limit = Duration::s(600)) {
    const Instant end = now_ + limit;
    for (;;) {
      settle();
      if (done()) return true;
      const Instant next = next_event();
      if (next > end) {
        step_to(end);
        settle();
        return done();
      }
      step_to(next);
    }
  }
  void run_for(Duration d) {
    (void)run_until([] { return false; }, d);
  }
  // Until nothing more would ever happen (or for an hour).
  void run() {
    (void)run_until([this] { return next_event().is_never(); }, Duration::s(3600));
  }

  Handle listen(unsigned side = 1, std::uint16_t port = 80, std::uint32_t backlog = 16) {
    const Handle h = stack(side).open_stream().value();
    EXPECT_TRUE(stack(side).bind(h, {IpAddress{}, Port{port}}));
    EXPECT_TRUE(stack(side).listen(h, backlog));
    return h;
  }
  // A connection from side 0 to a listener on side 1; both ends.
  std::pair<Handle, Handle> connect(bool v6 = false, std::uint16_t port = 80) {
    const Handle listener = listen(1, port);
    const auto both = connect_to(listener, v6, port);
    EXPECT_TRUE(stack(1).close(listener));
    return both;
  }
  std::pair<Handle, Handle> connect_to(Handle listener, bool v6 = false, std::uint16_t port = 80) {
    const Handle c = stack(0).open_stream().value();
    EXPECT_TRUE(stack(0).connect(c, {v6 ? address6(1) : address(1), Port{port}}));
    Handle s;
    EXPECT_TRUE(run_until([&] {
      if (!s) s = stack(1).try_accept(listener).value();
      return static_cast<bool>(s) && any(stack(0).readiness(c) & Ready::connected);
    }));
    return {c, s};
  }
  tcp::TcpInfo info(unsigned side, Handle h) {
    return tcp::info(stack(side).core(), stack(side).core().sockets.find(h));
  }
  tcp::TcpState state(unsigned side, Handle h) { return info(side, h).state; }

  // Sends `bytes` from one end while the other reads, until all is there; what was read.
  std::vector<std::uint8_t> transfer(unsigned from, Handle writer, Handle reader, ByteSpan bytes,
                                     Duration limit = Duration::s(600)) {
    std::vector<std::uint8_t> got;
    std::size_t sent = 0;
    EXPECT_TRUE(run_until(
        [&] {
          while (sent < bytes.size()) {
            const auto n = stack(from).try_send(writer, bytes.subspan(sent));
            EXPECT_TRUE(n);
            if (!n || n->count == 0) break;
            sent += n->count;
          }
          read_some(1 - from, reader, got);
          return got.size() >= bytes.size();
        },
        limit))
        << "got " << got.size() << " of " << bytes.size() << ", sent " << sent;
    return got;
  }
  void read_some(unsigned side, Handle h, std::vector<std::uint8_t>& got) {
    std::array<std::uint8_t, 65536> buffer;
    for (;;) {
      const auto n = stack(side).try_receive(h, buffer);
      if (!n || n->count == 0) return;
      got.insert(got.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(n->count));
    }
  }
  static std::vector<std::uint8_t> pattern(std::size_t n, unsigned seed = 1) {
    std::vector<std::uint8_t> v(n);
    std::uint32_t x = seed * 2654435761U + 1;
    for (auto& b : v) {
      x = x * 1664525U + 1013904223U;
      b = static_cast<std::uint8_t>(x >> 24);
    }
    return v;
  }
  // Puts a packet on the wire as if side `from` had sent it.
  void inject(unsigned from, std::vector<std::uint8_t> bytes) {
    flying_.emplace(now_ + options_.delay, Flying{1 - from, std::move(bytes), {}});
  }

 private:
  struct Flying {
    unsigned to = 0;
    std::vector<std::uint8_t> bytes;
    PacketMeta meta;
  };

  bool collect(unsigned side) {
    bool any = false;
    PairSide& s = sides_[side];
    for (;;) {
      PacketBatch batch;
      any = s.stack->run_loopback(now_) || any;
      s.stack->output(s.eth, batch, now_);
      if (batch.empty() && !s.stack->has_output(s.eth)) return any;
      any = true;
      for (Packet& p : batch) send(side, p);
      batch.clear();
    }
  }
  void send(unsigned side, Packet& p) {
    ++packets_;
    PacketMeta meta = p.meta();
    if (meta.gso_size == 0) {
      EXPECT_TRUE(complete_checksum(p, LinkType::ip));
    }
    std::vector<std::uint8_t> bytes(p.size());
    p.copy_out(0, bytes);
    if (hook_ && !hook_(side, bytes)) return;
    flying_.emplace(now_ + options_.delay, Flying{1 - side, std::move(bytes), meta});
  }
  bool deliver_due() {
    bool any = false;
    while (!flying_.empty() && flying_.begin()->first <= now_) {
      Flying f = std::move(flying_.begin()->second);
      flying_.erase(flying_.begin());
      PairSide& s = sides_[f.to];
      Packet p = s.pool->allocate_for(static_cast<std::uint32_t>(f.bytes.size()), 0);
      if (!p) continue;  // a full receive ring
      std::copy(f.bytes.begin(), f.bytes.end(), p.append(static_cast<std::uint32_t>(f.bytes.size())).begin());
      if (f.meta.gso_size != 0) {
        p.meta().gso_size = f.meta.gso_size;
        p.meta().gso_type = f.meta.gso_type;
        p.meta().checksum = ChecksumState::to_fill;
        p.meta().merged = static_cast<std::uint16_t>(wire_segments(f.meta));
      }
      PacketBatch batch;
      batch.push(std::move(p));
      s.stack->input(s.eth, batch, now_);
      any = true;
    }
    return any;
  }
  Instant next_event() {
    Instant next = flying_.empty() ? Instant::never() : flying_.begin()->first;
    for (PairSide& s : sides_) next = earlier(next, s.stack->next_deadline());
    return next;
  }
  void step_to(Instant t) {
    now_ = std::max(now_, t);
    for (PairSide& s : sides_) s.stack->run_timers(now_);
  }

  PairOptions options_;
  std::array<PairSide, 2> sides_;
  std::multimap<Instant, Flying> flying_;
  Hook hook_;
  Instant now_ = Instant::from_ns(1'000'000'000'000);
  std::size_t packets_ = 0;
  bool check_ = true;
};

}  // namespace leat::test
