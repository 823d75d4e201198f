// The whole stack: the input is a program of received packets, socket calls, steps of time and failing allocations.
// Packets are raw bytes, or segments that fit a live connection as closely as the input likes, learned from what the
// stack sent. After each step every invariant holds; timers never stand still in the past; at the end everything
// closes, and every packet is back in the pool.
#include <algorithm>
#include <array>
#include <cstdio>
#include <deque>
#include <fuzz/stack_memory.hpp>
#include <leat/core/all_modules.hpp>
#include <leat/core/stack.hpp>
#include <leat/offload/checksum_completion.hpp>
#include <leat/wire/tcp_options.hpp>
#include <optional>
#include <tests/support/packet_builder.hpp>

namespace {

using namespace leat;
using namespace leat::test;
using wire::TcpFlag;
using wire::TcpFlags;

constexpr Limits kLimits = [] {
  Limits l;
  l.sockets = 24;
  l.profiles = 4;
  l.tcp.connections = 16;
  l.tcp.active = 8;
  l.tcp.listeners = 3;
  l.tcp.syn_records = 4;
  l.tcp.time_wait = 4;
  l.tcp.ranges = 24;
  l.tcp.ooo_nodes = 12;
  return l;
}();
constexpr PoolLayout kLayout{.packets = 160, .chunks = {160, 80, 2}, .reserve = 8};
using Memory = StackMemory<kLimits, kLayout>;
constexpr int kMostSteps = 250;

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : at_(data), left_(size) {}
  [[nodiscard]] bool empty() const { return left_ == 0; }
  unsigned u8() {
    if (left_ == 0) return 0;
    --left_;
    return *at_++;
  }
  unsigned u16() {
    const unsigned high = u8();
    return high << 8 | u8();
  }
  // Around zero mostly, anything at times.
  std::uint32_t delta() {
    const unsigned k = u8();
    if (k < 128) return 0;
    if (k < 192) return static_cast<std::uint32_t>(static_cast<int>(u8()) - 128);
    if (k < 224) return (u8() - 128U) * 1460U;
    if (k < 240) return u16();
    return std::uint32_t{u16()} << 16 | u16();
  }
  Bytes bytes(std::size_t n) {
    n = std::min(n, left_);
    Bytes b(at_, at_ + n);
    at_ += n;
    left_ -= n;
    return b;
  }

 private:
  const std::uint8_t* at_;
  std::size_t left_;
};

// A connection as the wire has seen it: what the stack sent last.
struct Seen {
  IpAddress us, them;
  unsigned our_port = 0, their_port = 0;
  std::uint32_t end = 0;  // behind the stack's last octet
  std::uint32_t ack = 0;  // what it expects
  std::uint32_t ts = 0;
  bool timestamps = false;
};

class World {
 public:
  World(const std::uint8_t* data, std::size_t size)
      : in_(data, size),
        pool_(Memory::region(), kLayout),
        storage_(Memory::storage()),
        stack_(std::in_place, storage_->view(pool_), kAllModules, Entropy{{1, 2, 3, 4}}, now_) {
    const unsigned first = in_.u8();
    ethernet_ = (first & 1) != 0;
    eth_ = stack_
               ->add_interface({.name = "f0",
                                .link = ethernet_ ? LinkType::ethernet : LinkType::ip,
                                .mac = MacAddress{{2, 0, 0, 0, 0, 1}},
                                .mtu = (first & 2) != 0 ? 1280U : 1500U,
                                .max_gso = (first & 4) != 0 ? 65535U : 0U})
               .value();
    for (const IpAddress& a : {us_[0], us_[1]})
      (void)stack_->add_address(eth_, {a, static_cast<std::uint8_t>(a.is_v4() ? 24 : 64)});
    if ((first & 8) != 0) (void)stack_->set_option(OptionId::receive_buffer, 2000);
    if ((first & 16) != 0) (void)stack_->set_option(OptionId::tcp_syncookies, 2);
    if ((first & 32) != 0) {  // a listener, a UDP socket and a connection attempt to begin with
      call(0, 0);
      call(0, 1);
      call(0, 4);
    }
  }

  void run() {
    for (int step = 0; step < kMostSteps && !in_.empty(); ++step) {
      one_step();
      ReadyEvent event;
      while (stack_->next_ready(event)) {
      }
      stack_->check_invariants();
    }
    pool_.fail_allocation(0);
    for (const Handle h : handles_) (void)stack_->close(h);
    drain(64);
    advance(Duration::s(5));
    for (const Handle h : handles_) (void)stack_->abort(h);
    drain(64);
    stack_->check_invariants();
    stack_.reset();
    LEAT_ASSERT(pool_.all_free());
  }

 private:
  void one_step() {
    switch (in_.u8() % 16) {
      case 0:
        receive(in_.bytes(in_.u8() * 4U));
        break;
      case 1:
      case 2:
      case 3:
        receive_ip(mutate(segment()));
        break;
      case 4:
        receive_ip(mutate(syn()));
        break;
      case 5:
        receive_ip(mutate(udp()));
        break;
      case 6:
        receive_ip(mutate(icmp()));
        break;
      case 7:
      case 8: {
        const unsigned which = in_.u8();
        call(which, in_.u8() % 16);
        break;
      }
      case 9:
        advance(Duration::us(std::int64_t{1} << (in_.u8() % 36)));
        break;
      case 10:
        drain(1 + in_.u8() % 64U);
        break;
      case 11: {
        const unsigned nth = 1 + in_.u8() % 12U;
        pool_.fail_allocation(nth, in_.u8() % 4 == 0);
        break;
      }
      case 12:
        pool_.fail_allocation(0);
        break;
      case 13:
        if (!sent_.empty()) reflect(sent_[in_.u8() % sent_.size()]);
        break;
      case 14:
        fragments();
        break;
      case 15:
        configure();
        break;
    }
  }

  Ip ip() {
    const std::size_t v = in_.u8() % 2;
    Ip h{.source = them_[v], .destination = us_[v]};
    const unsigned odd = in_.u8();
    if (odd > 240) h.source = us_[v];
    if (odd == 240) h.destination = IpAddress::v4(255, 255, 255, 255);
    h.ttl = 64;
    h.tos = odd < 32 ? odd : 0;
    return h;
  }
  Bytes payload() {
    const unsigned kind = in_.u8();
    if (kind < 64) return {};
    return pattern(kind < 200 ? kind - 63 : (kind - 190) * 50);
  }
  Bytes udp() {
    const Ip h = ip();
    const unsigned from = in_.u8() < 200 ? 7000 : in_.u16();
    const unsigned to = in_.u8() < 200 ? 9000 : in_.u16();
    return udp_packet(h, from, to, payload());
  }
  Bytes segment() {
    if (seen_.empty()) return syn();
    const Seen& s = seen_[in_.u8() % seen_.size()];
    Tcp t{.from = s.their_port, .to = s.our_port};
    t.seq = s.ack + in_.delta();
    t.ack = s.end + in_.delta();
    const unsigned f = in_.u8();
    t.flags = f < 160   ? TcpFlags{TcpFlag::ack}
              : f < 200 ? (TcpFlag::fin | TcpFlag::ack)
                        : TcpFlags::from_bits(static_cast<std::uint16_t>(f & 0x3f));
    const unsigned w = in_.u8();
    t.window = w < 64 ? w : w < 128 ? 0 : 65535;
    const unsigned o = in_.u8();
    wire::TcpOptions options;
    if (s.timestamps && o < 200)
      options.timestamps = wire::TcpTimestamps{static_cast<std::uint32_t>(clock_ += o & 3U), s.ts - (o & 15U)};
    if ((o & 16) != 0)
      for (unsigned i = 0; i < 1 + (o & 3U); ++i) {
        const std::uint32_t left = s.end - in_.u8() * 50U;
        const std::uint32_t length = in_.u8() * 20U;
        (void)options.add_sack({SeqNum{left}, SeqNum{left + length}});
      }
    Bytes b(40);
    b.resize(options.emit(b));
    t.options = o > 250 ? in_.bytes(40) : b;
    const unsigned tos = in_.u8() > 250 ? 3U : 0U;
    return tcp_packet({.source = s.them, .destination = s.us, .tos = tos}, t, payload());
  }
  Bytes syn() {
    Tcp t{.from = 5000 + in_.u8() % 8U};
    t.to = in_.u8() < 220 ? 80U + in_.u8() % 2U : in_.u16();
    t.seq = std::uint32_t{in_.u16()} << 16;
    const unsigned o = in_.u8();
    wire::TcpOptions options;
    if ((o & 1) != 0) options.mss = static_cast<std::uint16_t>(o < 128 ? 1460 : in_.u16());
    if ((o & 2) != 0) options.window_scale = static_cast<std::uint8_t>(o >> 4);
    options.sack_permitted = (o & 4) != 0;
    if ((o & 8) != 0) options.timestamps = wire::TcpTimestamps{clock_, 0};
    Bytes b(40);
    b.resize(options.emit(b));
    t.options = o == 255 ? in_.bytes(40) : b;
    const Ip h = ip();
    return tcp_packet(h, t, in_.u8() > 240 ? payload() : Bytes{});
  }
  Bytes icmp() {
    const unsigned kind = in_.u8();
    const Ip h = ip();
    if (kind < 64 || sent_.empty()) {
      const unsigned id = in_.u8();
      const unsigned sequence = in_.u8();
      return echo_request(h, id, sequence, payload());
    }
    // An error that quotes what the stack sent.
    Bytes quoted = sent_[in_.u8() % sent_.size()];
    quoted.resize(std::min<std::size_t>(quoted.size(), 28U + in_.u8() % 64U));
    Ip error = h;
    const bool v4 = !quoted.empty() && (quoted[0] >> 4) == 4;
    error.source = them_[v4 ? 0 : 1];
    error.destination = us_[v4 ? 0 : 1];
    const unsigned type = kind < 128 ? (v4 ? 3 : 1) : kind < 192 ? (v4 ? 3 : 2) : in_.u8();
    const unsigned code = kind < 128 ? in_.u8() % 16U : kind < 192 ? (v4 ? 4U : 0U) : in_.u8();
    const std::uint32_t rest = in_.u16();
    return icmp_packet(error, type, code, rest, quoted);
  }
  // Some bytes change; whether the checksums follow is the input's choice.
  Bytes mutate(Bytes p) {
    const unsigned how = in_.u8();
    if (how < 200 || p.empty()) return p;
    for (unsigned n = how & 7U; n-- > 0;) p[in_.u16() % p.size()] ^= static_cast<std::uint8_t>(1U << (in_.u8() & 7U));
    if ((how & 8) != 0) p.resize(p.size() - std::min<std::size_t>(p.size(), in_.u8()));
    if (p.size() >= 20 && (p[0] >> 4) == 4) fix_ipv4(p);
    return p;
  }
  void fragments() {
    const Bytes whole = (in_.u8() & 1) != 0 ? segment() : udp_packet(ip(), 7000, 9000, pattern(600));
    if (whole.size() < 28 || (whole[0] >> 4) != 4) return;
    const std::size_t header = (whole[0] & 15U) * 4U;
    const auto view = wire::Ipv4View::parse(whole);
    if (!view) return;
    for (std::size_t at = header; at < whole.size();) {
      const std::size_t n = std::min<std::size_t>(whole.size() - at, 8 * (1 + in_.u8() % 40U));
      Ip h{.source = view->source(),
           .destination = view->destination(),
           .protocol = static_cast<unsigned>(view->protocol()),
           .id = 77};
      h.more_fragments = at + n < whole.size();
      h.fragment_offset = static_cast<unsigned>(at - header);
      const unsigned odd = in_.u8();
      if (odd < 230)
        receive_ip(ipv4(h, Bytes(whole.begin() + static_cast<std::ptrdiff_t>(at),
                                 whole.begin() + static_cast<std::ptrdiff_t>(at + n))));
      at += odd > 250 ? 8 : n;
    }
  }
  // What the stack sent comes back as if the other end had said it.
  void reflect(Bytes p) {
    if (p.size() < 40) return;
    if ((p[0] >> 4) == 4) {
      std::swap_ranges(p.begin() + 12, p.begin() + 16, p.begin() + 16);
    } else {
      std::swap_ranges(p.begin() + 8, p.begin() + 24, p.begin() + 24);
    }
    receive_ip(p);  // the sum does not change
  }

  void receive_ip(const Bytes& p) {
    if (!ethernet_) return receive(p);
    receive(test::ethernet(MacAddress{{2, 0, 0, 0, 0, 1}}, MacAddress{{2, 0, 0, 0, 0, 2}}, p));
  }
  void receive(const Bytes& frame) {
    Packet p = pool_.allocate_for(static_cast<std::uint32_t>(frame.size()), (frame.size() & 1) != 0 ? kHeadroom : 0);
    if (!p) return;
    std::ranges::copy(frame, p.append(static_cast<std::uint32_t>(frame.size())).begin());
    PacketBatch batch;
    batch.push(std::move(p));
    stack_->input(eth_, batch, now_);
    LEAT_ASSERT(batch.empty());
  }
  void drain(std::size_t most) {
    for (int rounds = 0; rounds < 200; ++rounds) {
      (void)stack_->run_loopback(now_);
      PacketBatch batch(most);
      stack_->output(eth_, batch, now_);
      if (batch.empty()) return;
      for (Packet& p : batch) learn(p);
      batch.clear();
      if (most < 64) return;
    }
    // Each round acknowledges nothing: output that never ends is a storm.
    LEAT_ASSERT(false);
  }
  void learn(Packet& p) {
    if (!complete_checksum(p, ethernet_ ? LinkType::ethernet : LinkType::ip)) return;
    Bytes b(std::min<std::size_t>(p.size(), 400));
    p.copy_out(0, b);
    if (ethernet_) {
      if (b.size() >= 42 && load_be16(&b[12]) == 0x0806 && b[21] == 1) {  // it asks for a neighbour: there is one
        wire::ArpHeader reply{wire::ArpOperation::reply, MacAddress{{2, 0, 0, 0, 0, 2}}, IpAddress::v4_wire(&b[38]),
                              MacAddress{{2, 0, 0, 0, 0, 1}}, us_[0]};
        receive(test::ethernet(MacAddress{{2, 0, 0, 0, 0, 1}}, MacAddress{{2, 0, 0, 0, 0, 2}}, arp(reply), 0x0806));
        return;
      }
      b.erase(b.begin(), b.begin() + 14);
    }
    sent_.push_back(b);
    if (sent_.size() > 8) sent_.pop_front();
    const Decoded d = decode_ip(b);
    if (d.protocol != 6 || d.l4.size() < 20) return;
    const auto v = wire::TcpView::parse(d.l4);
    if (!v || v->flags().rst()) return;
    Seen s{d.ip_source, d.ip_destination, d.source_port, d.destination_port, 0, v->ack().value(), 0, false};
    s.end = v->seq().value() + p.size() - static_cast<std::uint32_t>(b.size() - d.payload.size()) -
            (ethernet_ ? 14 : 0) + (v->flags().syn() ? 1 : 0) + (v->flags().fin() ? 1 : 0);
    const auto options = wire::TcpOptions::parse(v->options());
    if (options.timestamps) {
      s.timestamps = true;
      s.ts = options.timestamps->value;
    }
    for (Seen& old : seen_) {
      if (old.our_port == s.our_port && old.their_port == s.their_port && old.them == s.them) {
        old = s;
        return;
      }
    }
    seen_.push_back(s);
    if (seen_.size() > 6) seen_.pop_front();
  }
  void advance(Duration d) {
    now_ = now_ + d;
    for (int rounds = 0;; ++rounds) {
      stack_->run_timers(now_);
      if (stack_->next_deadline() > now_) return;
      drain(64);
      LEAT_ASSERT(rounds < 1000);  // timers that stay due are a livelock
    }
  }

  void call(unsigned which, unsigned verb) {
    const Handle h = handles_.empty() ? Handle{} : handles_[which % handles_.size()];
    const std::size_t v = which / 64 % 2;
    static std::array<std::uint8_t, 20'000> buffer;
    switch (verb) {
      case 0: {  // a listener
        const auto s = stack_->open_stream();
        if (!s) break;
        keep(*s);
        (void)stack_->bind(*s, {IpAddress::any(v == 0 ? IpVersion::v6 : IpVersion::v4),
                                Port{static_cast<std::uint16_t>(80 + which % 2)}});
        (void)stack_->listen(*s, 1 + which % 4);
        break;
      }
      case 1: {
        const auto s = stack_->open_udp();
        if (!s) break;
        keep(*s);
        (void)stack_->bind(*s, {IpAddress{}, Port{9000}});
        break;
      }
      case 2:
        for (const Handle l : handles_) {
          if (l.kind() == SocketKind::none) continue;
          const auto a = stack_->try_accept(l);
          if (a && *a) keep(*a);
          if (a && *a) break;
        }
        break;
      case 3:
        (void)stack_->try_send(h, ByteSpan{buffer}.first(1 + which * 70));
        break;
      case 4: {  // a connection: to the peer, or to ourselves
        const auto s = stack_->open_stream();
        if (!s) break;
        keep(*s);
        (void)stack_->connect(
            *s, {which % 8 == 7 ? us_[v] : them_[v], Port{static_cast<std::uint16_t>(which % 8 == 7 ? 80 : 7000)}});
        break;
      }
      case 5:
        (void)stack_->try_receive(h, MutableByteSpan{buffer}.first(1 + which * 70));
        break;
      case 6: {
        Message m;
        (void)stack_->try_receive_from(h, MutableByteSpan{buffer}.first(which * 8), m,
                                       which % 2 == 0 ? RecvFlags::peek : RecvFlags::none);
        break;
      }
      case 7:
        (void)stack_->shutdown(h, static_cast<ShutdownHow>(which / 8 % 3));
        break;
      case 8:
        (void)stack_->close(h);
        break;
      case 9:
        (void)stack_->abort(h);
        break;
      case 10: {
        const auto id = static_cast<OptionId>(in_.u8() % kOptions);
        (void)stack_->set_option(h, id, option_range(id).minimum + in_.u8());
        break;
      }
      case 11:
        (void)stack_->try_send_to(h, ByteSpan{buffer}.first(which * 8), {them_[v], Port{7000}});
        break;
      case 12: {
        const auto s = which % 2 == 0
                           ? stack_->open_raw(v == 0 ? IpVersion::v4 : IpVersion::v6, static_cast<std::uint8_t>(which))
                           : stack_->open_icmp();
        if (s) keep(*s);
        break;
      }
      case 13:
        (void)stack_->set_sink(h, nullptr, which, static_cast<Ready>(which & 127U));
        break;
      case 14:
        (void)stack_->local_endpoint(h);
        (void)stack_->remote_endpoint(h);
        (void)stack_->readiness(h);
        (void)stack_->take_error(h);
        break;
      case 15:
        (void)stack_->run_loopback(now_, 1 + which % 4);
        break;
    }
  }
  void configure() {
    const unsigned what = in_.u8();
    const std::size_t v = what / 16 % 2;
    switch (what % 6) {
      case 0:
        (void)stack_->set_interface_up(eth_, false);
        break;
      case 1:
        (void)stack_->set_interface_up(eth_, true);
        break;
      case 2:
        (void)stack_->set_interface_mtu(eth_, in_.u16());
        break;
      case 3:
        (void)stack_->remove_address(eth_, us_[v]);
        break;
      case 4:
        (void)stack_->add_address(eth_, {us_[v], static_cast<std::uint8_t>(v == 0 ? 24 : 64)});
        break;
      case 5: {
        const auto id = static_cast<OptionId>(in_.u8() % kOptions);
        (void)stack_->set_option(id, option_range(id).minimum + in_.u8());
        break;
      }
    }
  }
  void keep(Handle h) {
    handles_.push_back(h);
    (void)stack_->set_sink(h, nullptr, 0, kAllReady);
    if (handles_.size() > 20) {
      (void)stack_->close(handles_.front());
      handles_.erase(handles_.begin());
    }
  }

  Input in_;
  Instant now_ = Instant::from_ns(1'000'000'000'000);
  PacketPool pool_;
  StackStorage<kLimits>* storage_;
  std::optional<Stack> stack_;
  InterfaceId eth_ = 0;
  bool ethernet_ = false;
  std::uint32_t clock_ = 1000;
  std::vector<Handle> handles_;
  std::deque<Seen> seen_;
  std::deque<Bytes> sent_;
  const std::array<IpAddress, 2> us_{IpAddress::v4(10, 0, 0, 1), IpAddress::v6({0xfd00, 0, 0, 0, 0, 0, 0, 1})};
  const std::array<IpAddress, 2> them_{IpAddress::v4(10, 0, 0, 2), IpAddress::v6({0xfd00, 0, 0, 0, 0, 0, 0, 2})};
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
