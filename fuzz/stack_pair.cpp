// Two stacks and a wire that the input mangles: packets are lost, doubled, swapped, held back, cut and bitten, time
// runs, allocations fail, applications write, read and close. Whatever happens, what a reader gets is a prefix of what
// the other side wrote; and once the wire is honest again every byte arrives, or an error was reported. A single wrong
// bit is always caught by a checksum, so nothing that was bitten may be delivered.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <leat/core/all_modules.hpp>
#include <leat/core/stack.hpp>
#include <leat/offload/checksum_completion.hpp>
#include <leat/wire/tcp.hpp>
#include <memory>
#include <optional>
#include <vector>

namespace {

using namespace leat;

constexpr Limits kLimits = [] {
  Limits l;
  l.sockets = 8;
  l.profiles = 2;
  l.tcp.connections = 4;
  l.tcp.active = 4;
  l.tcp.listeners = 1;
  l.tcp.syn_records = 4;
  l.tcp.time_wait = 4;
  l.tcp.ranges = 16;
  l.tcp.ooo_nodes = 8;
  return l;
}();
constexpr PoolLayout kLayout{.packets = 256, .chunks = {256, 128, 2}, .reserve = 16};
constexpr std::size_t kQueue = 24;       // packets in one direction of the wire
constexpr std::uint32_t kMost = 60'000;  // octets that one side writes

std::uint8_t octet(unsigned side, std::uint32_t at) {
  return static_cast<std::uint8_t>((at * 31 + (at >> 7)) ^ (side * 0x5a));
}

class Host {
 public:
  Host(unsigned side, Instant now) : side_(side), pool_(region(side), kLayout), storage_(fresh_storage(side)) {
    stack.emplace(storage_->view(pool_), kAllModules, Entropy{{side + 1, 2, 3, 4}}, now);
    InterfaceConfig c;
    c.name = "w0";
    c.link = LinkType::ip;
    c.max_gso = 0;
    eth = stack->add_interface(c).value();
    (void)stack->add_address(eth, {address(side, IpVersion::v4), 24});
    (void)stack->add_address(eth, {address(side, IpVersion::v6), 64});
  }
  static IpAddress address(unsigned side, IpVersion v) {
    return v == IpVersion::v4 ? IpAddress::v4(10, 0, 0, static_cast<std::uint8_t>(1 + side))
                              : IpAddress::v6({0xfd00, 0, 0, 0, 0, 0, 0, static_cast<std::uint16_t>(1 + side)});
  }

  void write(std::uint32_t n) {
    if (!socket || shut) return;
    std::array<std::uint8_t, 4096> b;
    n = std::min({n, std::uint32_t{b.size()}, kMost - written});
    for (std::uint32_t i = 0; i < n; ++i) b[i] = octet(side_, written + i);
    if (n == 0) return;
    const auto r = stack->try_send(socket, ByteSpan{b}.first(n));
    if (!r) {
      note(r.error());
    } else {
      written += static_cast<std::uint32_t>(r->count);
    }
  }
  void read(std::uint32_t n, const Host& from) {
    if (!socket || eof || failed) return;  // an error is told once, then the stream is at its end
    std::array<std::uint8_t, 4096> b;
    const auto r = stack->try_receive(socket, MutableByteSpan{b}.first(std::min<std::size_t>(n, b.size())));
    if (!r) {
      note(r.error());
      return;
    }
    for (std::size_t i = 0; i < r->count; ++i)
      LEAT_ASSERT(b[i] == octet(from.side_, got + static_cast<std::uint32_t>(i)));
    got += static_cast<std::uint32_t>(r->count);
    LEAT_ASSERT(got <= from.written);
    if (r->status == IoStatus::end_of_stream) {
      eof = true;
      LEAT_ASSERT(from.shut && got == from.written);  // an end that nobody said is a lost tail
    }
  }
  void shut_down() {
    if (!socket || shut) return;
    if (const auto r = stack->shutdown(socket, ShutdownHow::write); !r) {
      if (r.error() != Errc::not_connected && r.error() != Errc::wrong_state) note(r.error());
    } else {
      shut = true;
    }
  }
  void note(Errc e) {
    if (e != Errc::no_buffers && e != Errc::not_connected && e != Errc::in_progress) failed = true;
  }
  void look() {
    if (socket && any(stack->readiness(socket) & Ready::error)) failed = true;
  }
  PacketPool& pool() { return pool_; }

  std::optional<Stack> stack;
  InterfaceId eth = 0;
  Handle socket;
  std::uint32_t written = 0, got = 0;
  bool shut = false, eof = false, failed = false;

 private:
  static MutableByteSpan region(unsigned side) {
    static std::array<std::vector<std::uint8_t>, 2> memory{
        std::vector<std::uint8_t>(PacketPool::bytes_needed(kLayout)),
        std::vector<std::uint8_t>(PacketPool::bytes_needed(kLayout))};
    std::ranges::fill(memory[side], std::uint8_t{0x5a});
    return memory[side];
  }
  static StackStorage<kLimits>* fresh_storage(unsigned side) {
    static std::array<std::optional<StackStorage<kLimits>>, 2> storage;
    storage[side].emplace();
    return &*storage[side];
  }
  unsigned side_;
  PacketPool pool_;
  StackStorage<kLimits>* storage_;
};

struct OnTheWire {
  std::vector<std::uint8_t> bytes;
  bool bitten = false;
};

class World {
 public:
  World(const std::uint8_t* data, std::size_t size) : at_(data), left_(size) {
    const unsigned first = u8();
    const IpVersion v = (first & 1) != 0 ? IpVersion::v6 : IpVersion::v4;
    for (auto& h : hosts_) {
      const auto set = [&](OptionId id, std::int64_t value) { (void)h.stack->set_option(id, value); };
      if ((first & 2) != 0) set(OptionId::tcp_sack, 0);
      if ((first & 4) != 0) set(OptionId::tcp_timestamps, 0);
      if ((first & 8) != 0) set(OptionId::receive_buffer, 3000);
      if ((first & 16) != 0) set(OptionId::tcp_congestion, 0);
      if ((first & 32) != 0) set(OptionId::tcp_syncookies, 2);
      if ((first & 64) != 0) set(OptionId::tcp_isn_seed, 0xffff'f000);
      if ((first & 128) != 0) set(OptionId::tcp_max_segment, 200);
    }
    listener_ = hosts_[1].stack->open_stream().value();
    LEAT_ASSERT(hosts_[1].stack->bind(listener_, {IpAddress::any(v), Port{80}}).has_value());
    LEAT_ASSERT(hosts_[1].stack->listen(listener_, 2).has_value());
    hosts_[0].socket = hosts_[0].stack->open_stream().value();
    (void)hosts_[0].stack->connect(hosts_[0].socket, {Host::address(1, v), Port{80}});
  }

  void run() {
    for (int step = 0; step < 600 && left_ > 0; ++step) {
      one_step();
      for (auto& h : hosts_) {
        h.look();
        h.stack->check_invariants();
      }
    }
    finish();
    for (auto& h : hosts_) {
      if (h.socket) (void)h.stack->abort(h.socket);
    }
    (void)hosts_[1].stack->abort(listener_);
    for (auto& wire : wires_) wire.clear();
    for (auto& h : hosts_) {
      h.stack.reset();
      LEAT_ASSERT(h.pool().all_free());
    }
  }

 private:
  unsigned u8() {
    if (left_ == 0) return 0;
    --left_;
    return *at_++;
  }

  void one_step() {
    const unsigned op = u8();
    Host& h = hosts_[op >> 7];
    auto& wire = wires_[op >> 7];  // towards h
    switch (op & 15U) {
      case 0:
        h.write(1 + u8() * 16);
        break;
      case 1:
        h.read(1 + u8() * 16, other(h));
        break;
      case 2:
      case 3:
        carry(op >> 7, 1 + (op >> 4 & 7U));
        break;
      case 4:
        if (!wire.empty()) wire.pop_front();
        break;
      case 5:
        if (!wire.empty()) wire.push_back(OnTheWire{wire[u8() % wire.size()]});
        break;
      case 6:
        if (wire.size() > 1) std::swap(wire.front(), wire[u8() % wire.size()]);
        break;
      case 7:
        if (!wire.empty()) bite(wire[u8() % wire.size()]);
        break;
      case 8:
        if (!wire.empty()) {
          auto& p = wire[u8() % wire.size()].bytes;
          p.resize(p.size() - std::min<std::size_t>(p.size() - 1, u8()));
        }
        break;
      case 9:
        advance(Duration::ms(u8()));
        break;
      case 10:
        advance(Duration::us(std::int64_t{1} << (u8() % 33)));
        break;
      case 11:
        h.pool().fail_allocation(1 + u8() % 20U, (op & 64) != 0);
        break;
      case 12:
        h.pool().fail_allocation(0);
        break;
      case 13:
        if (u8() > 160) h.shut_down();
        break;
      case 14:
        collect();
        carry(0, 64);
        carry(1, 64);
        break;
      case 15:
        accept();
        break;
    }
    collect();
  }

  Host& other(const Host& h) { return &h == &hosts_[0] ? hosts_[1] : hosts_[0]; }
  void accept() {
    if (hosts_[1].socket) return;
    if (const auto h = hosts_[1].stack->try_accept(listener_); h && *h) hosts_[1].socket = *h;
  }
  // One bit, once: checksums find it (but in IPv6's header, where it makes another address, class or length).
  void bite(OnTheWire& p) {
    const std::size_t from = p.bytes.empty() || (p.bytes[0] >> 4) == 4 ? 0 : 40;
    const unsigned where = u8() << 8;
    const std::size_t at = where + u8();
    const unsigned bit = u8() & 7U;
    if (p.bitten || p.bytes.size() <= from) return;  // two bites may cancel out in the sum
    p.bytes[from + at % (p.bytes.size() - from)] ^= static_cast<std::uint8_t>(1U << bit);
    p.bitten = true;
  }
  void collect() {
    for (unsigned side = 0; side < 2; ++side) {
      Host& h = hosts_[side];
      auto& wire = wires_[1 - side];
      for (int rounds = 0; rounds < 50; ++rounds) {
        PacketBatch batch(8);
        h.stack->output(h.eth, batch, now_);
        if (batch.empty()) break;
        for (Packet& p : batch) {
          if (!complete_checksum(p, LinkType::ip)) continue;  // no memory for it: lost
          std::vector<std::uint8_t> b(p.size());
          p.copy_out(0, b);
          if (std::getenv("FUZZ_TRACE") != nullptr) show(side, b);
          if (wire.size() < kQueue) wire.push_back({std::move(b)});
        }
        batch.clear();
        LEAT_ASSERT(rounds < 49);
      }
    }
  }
  void show(unsigned side, const std::vector<std::uint8_t>& b) {
    const std::size_t at = b[0] >> 4 == 4 ? 20 : 40;
    if (b.size() < at + 20) return;
    const auto v = wire::TcpView::parse(ByteSpan{b}.subspan(at));
    if (v)
      std::fprintf(stderr, "%.6f %u: flags %x seq %u ack %u win %u len %zu\n",
                   static_cast<double>(now_.count_ns()) / 1e9, side, v->flags().bits(), v->seq().value(),
                   v->ack().value(), v->window(), v->payload().size());
  }
  void carry(unsigned side, std::size_t n) {
    Host& h = hosts_[side];
    auto& wire = wires_[side];
    PacketBatch batch(8);
    while (n-- > 0 && !wire.empty()) {
      Packet p = h.pool().allocate_for(static_cast<std::uint32_t>(wire.front().bytes.size()), 0);
      if (p) {
        std::ranges::copy(wire.front().bytes, p.append(static_cast<std::uint32_t>(wire.front().bytes.size())).begin());
        batch.push(std::move(p));
      }
      wire.pop_front();
      if (batch.full()) h.stack->input(h.eth, batch, now_);
    }
    h.stack->input(h.eth, batch, now_);
  }
  void advance(Duration d) {
    now_ = now_ + d;
    for (auto& h : hosts_) {
      for (int rounds = 0;; ++rounds) {
        h.stack->run_timers(now_);
        if (h.stack->next_deadline() > now_) break;
        LEAT_ASSERT(rounds < 1000);
      }
    }
    collect();
  }

  // The wire is honest now, memory is there: everything that was written arrives, in bounded time.
  void finish() {
    for (auto& h : hosts_) h.pool().fail_allocation(0);
    Duration waited;
    for (int rounds = 0; rounds < 20'000; ++rounds) {
      accept();
      collect();
      carry(0, 64);
      carry(1, 64);
      collect();
      for (auto& h : hosts_) {
        h.look();
        if (h.written > 0 || &h == &hosts_[0]) h.shut_down();
        for (std::uint32_t before = ~h.got; before != h.got;) {
          before = h.got;
          h.read(4096, other(h));
        }
      }
      if (hosts_[0].failed || hosts_[1].failed) return;  // reported
      if (hosts_[1].socket && !hosts_[1].shut) hosts_[1].shut_down();
      if (hosts_[0].eof && hosts_[1].eof) return;
      collect();
      if (wires_[0].empty() && wires_[1].empty()) {
        const Instant next = earlier(hosts_[0].stack->next_deadline(), hosts_[1].stack->next_deadline());
        if (next.is_never()) break;
        const Duration step = next > now_ ? next - now_ : Duration::us(1);
        waited += step;
        if (waited > Duration::s(3600)) break;
        advance(step);
      }
    }
    if (std::getenv("FUZZ_TRACE") != nullptr)
      for (auto& h : hosts_)
        std::fprintf(stderr, "socket %d written %u got %u shut %d eof %d\n", h.socket ? 1 : 0, h.written, h.got, h.shut,
                     h.eof);
    // Nothing was reported, and yet the streams did not end.
    LEAT_ASSERT(hosts_[0].eof && hosts_[1].eof);
  }

  const std::uint8_t* at_;
  std::size_t left_;
  Instant now_ = Instant::from_ns(1'000'000'000'000);
  std::array<Host, 2> hosts_{Host{0, now_}, Host{1, now_}};
  std::array<std::deque<OnTheWire>, 2> wires_;
  Handle listener_;
};

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  leat::set_assert_handler([](const char* expression, const char* file, int line) {
    (void)std::fprintf(stderr, "%s:%d: %s\n", file, line, expression);
    __builtin_trap();
  });
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 8192) return 0;
  World world(data, size);
  world.run();
  return 0;
}
