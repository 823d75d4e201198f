#pragma once
// Arena: one stack with every module behind an interface of raw IP packets, and peers made of single segments. A test
// says what a peer sends and looks at each segment that the stack answers with; time is virtual.
//
//   Arena a(IpVersion::v6);
//   const Handle listener = a.listen(80);
//   Peer p = a.accept_from(40000, listener);      // the handshake, checked
//   p.send(kPshAck, pattern(100));                // in order, from the peer
//   EXPECT_EQ(a.one().ack, p.seq);
//
// Sequence numbers are absolute. Peer::seq is what the peer sends next, Peer::ack what it expects from the stack.

#include <iostream>
#include <leat/wire/tcp_options.hpp>
#include <set>
#include <tests/support/test_host.hpp>
#include <utility>

namespace leat::test {

using wire::TcpFlag;
using wire::TcpFlags;
inline constexpr TcpFlags kSyn = TcpFlag::syn;
inline constexpr TcpFlags kAck = TcpFlag::ack;
inline constexpr TcpFlags kRst = TcpFlag::rst;
inline constexpr TcpFlags kSynAck = TcpFlag::syn | TcpFlag::ack;
inline constexpr TcpFlags kPshAck = TcpFlag::psh | TcpFlag::ack;
inline constexpr TcpFlags kFinAck = TcpFlag::fin | TcpFlag::ack;
inline constexpr TcpFlags kRstAck = TcpFlag::rst | TcpFlag::ack;

// A segment that the stack sent.
struct Segment {
  IpAddress from, to;
  unsigned source_port = 0, destination_port = 0;
  std::uint32_t seq = 0, ack = 0;
  TcpFlags flags;
  unsigned window = 0;
  wire::TcpOptions options;
  Bytes data;

  [[nodiscard]] std::uint32_t end() const {
    return seq + static_cast<std::uint32_t>(data.size()) + (flags.syn() ? 1 : 0) + (flags.fin() ? 1 : 0);
  }
  [[nodiscard]] bool is(TcpFlags f) const { return flags.without(TcpFlag::psh) == f.without(TcpFlag::psh); }
};
inline std::ostream& operator<<(std::ostream& os, const Segment& s) {
  return os << s.source_port << " > " << s.destination_port << " flags " << s.flags.bits() << " seq " << s.seq
            << " ack " << s.ack << " win " << s.window << " length " << s.data.size();
}

inline Bytes option_bytes(const wire::TcpOptions& o) {
  Bytes b(40);
  b.resize(o.emit(b));
  return b;
}
inline Bytes sack_option(const std::vector<wire::SackBlock>& blocks) {
  wire::TcpOptions o;
  for (const wire::SackBlock& b : blocks) EXPECT_TRUE(o.add_sack(b));
  return option_bytes(o);
}

inline constexpr Limits kArenaLimits = [] {
  Limits l;
  l.sockets = 2048;
  l.profiles = 32;
  l.iface.transmit_queue = 256;
  l.tcp.connections = 2048;
  l.tcp.active = 512;
  l.tcp.listeners = 8;
  l.tcp.syn_records = 256;
  l.tcp.time_wait = 512;
  l.tcp.ranges = 8192;
  l.tcp.ooo_nodes = 2048;
  return l;
}();

class Arena;

// The other end of one connection.
struct Peer {
  Arena* arena = nullptr;
  IpAddress address;
  unsigned port = 0;      // the peer's
  unsigned to = 0;        // the stack's
  std::uint32_t seq = 0;  // next octet that the peer sends
  std::uint32_t ack = 0;  // next octet that it expects
  unsigned window = 65535;
  bool timestamps = false;
  std::uint32_t ts_value = 0, ts_echo = 0;
  Handle socket;  // the stack's end

  [[nodiscard]] Tcp segment(TcpFlags flags) const;
  void send_at(std::uint32_t at, TcpFlags flags, const Bytes& data = {}) const;
  void send(TcpFlags flags, const Bytes& data = {});  // in order
  void acknowledge(const Bytes& options = {}) const;  // `ack`, and nothing else
};

struct PeerOptions {
  std::uint16_t mss = 1460;
  int wscale = -1;
  bool sack = false;
  bool timestamps = false;
  unsigned window = 65535;
  std::uint32_t isn = 1'000'000;
  std::uint32_t clock = 5000;  // TSval of the SYN
  [[nodiscard]] Bytes bytes(std::uint32_t ts_value, std::uint32_t ts_echo) const {
    wire::TcpOptions o;
    o.mss = mss;
    if (wscale >= 0) o.window_scale = static_cast<std::uint8_t>(wscale);
    o.sack_permitted = sack;
    if (timestamps) o.timestamps = {ts_value, ts_echo};
    return option_bytes(o);
  }
};

inline HostOptions arena_options() {
  HostOptions o;
  o.link = LinkType::ip;
  o.max_gso = 0;  // every segment leaves by itself
  o.pool = {.packets = 8192, .chunks = {8192, 4096, 16}, .reserve = 64};
  return o;
}

class Arena : public BasicTestHost<kArenaLimits> {
 public:
  explicit Arena(IpVersion v = IpVersion::v4, const HostOptions& o = arena_options())
      : BasicTestHost(o), us(v == IpVersion::v4 ? kUs : kUs6), them(v == IpVersion::v4 ? kPeer : kPeer6) {
    EXPECT_TRUE(stack().set_option(OptionId::tcp_nodelay, 1));  // what is written leaves
    for (const IpVersion version : {IpVersion::v4, IpVersion::v6}) {
      RouteConfig everywhere;
      everywhere.destination = {IpAddress::any(version), 0};
      everywhere.interface = eth;
      EXPECT_TRUE(stack().add_route(everywhere));
    }
  }

  // The n-th stranger, not on our link.
  [[nodiscard]] IpAddress stranger(std::uint32_t n) const {
    if (us.is_v4()) return IpAddress::v4(0xc6120000U + n % 0x1ffff);  // 198.18.0.0/15
    return IpAddress::v6(
        {0x2001, 0x0db8, static_cast<std::uint16_t>(n >> 16), static_cast<std::uint16_t>(n), 0, 0, 0, 7});
  }

  void inject(const Tcp& t, const Bytes& data = {}) { inject_from(them, t, data); }
  void inject_from(const IpAddress& from, const Tcp& t, const Bytes& data = {}) {
    receive(tcp_packet({.source = from, .destination = us}, t, data));
  }
  // For floods: no check of invariants after each.
  void flood(const Bytes& ip_packet) {
    PacketBatch batch;
    batch.push(packet(ip_packet));
    stack().input(eth, batch, now());
  }

  // All that was sent since the last look.
  std::vector<Segment> segments() {
    look();
    return std::exchange(seen_, {});
  }
  // Time passes as in a turn that ends with output: what timers decide leaves when they fire.
  void advance(Duration d) {
    const Instant end = now() + d;
    for (;;) {
      look();
      const Instant next = stack().next_deadline();
      if (next > end) break;
      BasicTestHost::advance(std::max(next - now(), Duration{}));
    }
    BasicTestHost::advance(end - now());
    look();
  }
  // Exactly one was sent.
  Segment one() {
    const auto all = segments();
    EXPECT_EQ(all.size(), 1U);
    if (all.size() > 1)
      for (const Segment& s : all) std::cerr << "  " << s << "\n";
    return all.empty() ? Segment{} : all[0];
  }
  void expect_silence() {
    for (const Segment& s : segments()) ADD_FAILURE() << "unexpected: " << s;
  }

  Handle listen(unsigned port, std::uint32_t backlog = 64) {
    const Handle h = stack().open_stream().value();
    EXPECT_TRUE(stack().bind(h, {IpAddress::any(us.version()), Port{static_cast<std::uint16_t>(port)}}));
    EXPECT_TRUE(stack().listen(h, backlog));
    listening = port;
    return h;
  }
  Handle accept(Handle listener) {
    const auto h = stack().try_accept(listener);
    return h ? *h : Handle{};
  }

  // A peer that has sent its SYN and got the SYN-ACK.
  Peer half_open(unsigned from, const PeerOptions& o = {}, const IpAddress& address = IpAddress{}) {
    Peer p;
    p.arena = this;
    p.address = address.is_unspecified() ? them : address;
    p.port = from;
    p.to = listening;
    p.seq = o.isn;
    p.timestamps = o.timestamps;
    p.ts_value = o.clock;
    Tcp syn = p.segment(kSyn);
    syn.window = o.window;
    syn.options = o.bytes(p.ts_value, 0);
    segments();  // of other connections
    inject_from(p.address, syn);
    ++p.seq;
    const Segment answer = one();
    EXPECT_TRUE(answer.is(kSynAck)) << answer;
    EXPECT_EQ(answer.ack, p.seq);
    p.ack = answer.seq + 1;
    if (answer.options.timestamps) p.ts_echo = answer.options.timestamps->value;
    p.timestamps = o.timestamps && answer.options.timestamps.has_value();
    p.window = o.window;
    return p;
  }
  Peer accept_from(unsigned from, Handle listener, const PeerOptions& o = {}, const IpAddress& address = IpAddress{}) {
    Peer p = half_open(from, o, address);
    p.acknowledge();
    p.socket = accept(listener);
    EXPECT_TRUE(p.socket) << "nothing to accept";
    expect_silence();
    return p;
  }
  // A socket of ours connects to `port` of the peer.
  Handle connect(unsigned port, const IpAddress& address = IpAddress{}) {
    const Handle h = stack().open_stream().value();
    EXPECT_TRUE(
        stack().connect(h, {address.is_unspecified() ? them : address, Port{static_cast<std::uint16_t>(port)}}));
    return h;
  }
  // The peer that answers the SYN `syn` (its SYN-ACK is not sent yet).
  Peer answering(const Segment& syn, Handle socket, std::uint32_t isn = 1'000'000) {
    Peer p;
    p.arena = this;
    p.address = syn.to;
    p.port = syn.destination_port;
    p.to = syn.source_port;
    p.seq = isn;
    p.ack = syn.seq + 1;
    p.socket = socket;
    return p;
  }
  Peer connected_to(unsigned port, const PeerOptions& o = {}) {
    const Handle h = connect(port);
    const Segment syn = one();
    EXPECT_TRUE(syn.is(kSyn));
    Peer p = answering(syn, h, o.isn);
    p.timestamps = o.timestamps;
    p.ts_value = o.clock;
    if (syn.options.timestamps) p.ts_echo = syn.options.timestamps->value;
    Tcp t = p.segment(kSynAck);
    t.window = o.window;
    t.options = o.bytes(p.ts_value, p.ts_echo);
    inject_from(p.address, t);
    ++p.seq;
    p.window = o.window;
    const Segment last = one();
    EXPECT_TRUE(last.is(kAck)) << last;
    EXPECT_EQ(last.ack, p.seq);
    return p;
  }

  std::size_t write(Handle h, const Bytes& b) {
    const auto r = stack().try_send(h, b);
    return r ? r->count : 0;
  }
  // What can be read now; `status` tells how it ended.
  Bytes read(Handle h, std::size_t most = 1 << 20, IoStatus* status = nullptr, Errc* error = nullptr) {
    Bytes all;
    Bytes piece(65536);
    while (all.size() < most) {
      const auto r = stack().try_receive(h, MutableByteSpan{piece}.first(std::min(piece.size(), most - all.size())));
      if (!r) {
        if (error != nullptr) *error = r.error();
        return all;
      }
      if (status != nullptr) *status = r->status;
      all.insert(all.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(r->count));
      if (r->status != IoStatus::done) return all;
    }
    return all;
  }
  [[nodiscard]] Ready ready(Handle h) { return stack().readiness(h); }
  [[nodiscard]] std::size_t packets_in_use() { return pool().layout().packets - pool().packets_free(); }

  const IpAddress us, them;
  unsigned listening = 0;

 private:
  void look() {
    for (const Decoded& d : sent_decoded()) {
      if (d.protocol != 6) continue;
      EXPECT_TRUE(d.checksums_ok);
      const auto v = wire::TcpView::parse(d.l4);
      if (!v) {
        ADD_FAILURE() << "a malformed segment was sent";
        continue;
      }
      seen_.push_back({d.ip_source, d.ip_destination, d.source_port, d.destination_port, v->seq().value(),
                       v->ack().value(), v->flags(), v->window(), wire::TcpOptions::parse(v->options()), d.payload});
    }
  }
  std::vector<Segment> seen_;
};

inline Tcp Peer::segment(TcpFlags flags) const {
  Tcp t{.from = port, .to = to, .seq = seq, .ack = flags.ack() ? ack : 0, .flags = flags, .window = window};
  if (timestamps) {
    wire::TcpOptions o;
    o.timestamps = {ts_value, ts_echo};
    t.options = option_bytes(o);
  }
  return t;
}
inline void Peer::send_at(std::uint32_t at, TcpFlags flags, const Bytes& data) const {
  Tcp t = segment(flags);
  t.seq = at;
  arena->inject_from(address, t, data);
}
inline void Peer::send(TcpFlags flags, const Bytes& data) {
  send_at(seq, flags, data);
  seq += static_cast<std::uint32_t>(data.size()) + (flags.syn() ? 1 : 0) + (flags.fin() ? 1 : 0);
}
inline void Peer::acknowledge(const Bytes& options) const {
  Tcp t = segment(kAck);
  t.options = t.options + options;
  arena->inject_from(address, t);
}

// Runs a story over both versions of IP.
template <class Story>
void on_both(Story&& story) {
  for (const IpVersion v : {IpVersion::v4, IpVersion::v6}) {
    SCOPED_TRACE(v == IpVersion::v4 ? "IPv4" : "IPv6");
    story(v);
  }
}

}  // namespace leat::test
