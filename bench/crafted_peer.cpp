#include <algorithm>
#include <bench/clock.hpp>
#include <bench/crafted_peer.hpp>
#include <leat/wire/arp.hpp>
#include <leat/wire/ethernet.hpp>
#include <leat/wire/ipv4.hpp>
#include <leat/wire/tcp_options.hpp>
#include <stdexcept>

namespace leat::bench {
namespace {

using wire::TcpFlag;

constexpr MacAddress kOurMac{{2, 0, 0, 0, 0, 2}};
constexpr MacAddress kGatewayMac{{2, 0, 0, 0, 0, 1}};
constexpr std::uint32_t kStackAddress = 0x0a000001, kGateway = 0x0a000002, kFirstPeer = 0x0b000000;
constexpr std::uint32_t kPortsEach = 60'000, kFirstPort = 1'024;

constexpr std::uint32_t address_of(std::uint32_t i) {
  return kFirstPeer + 1 + i / kPortsEach;
}
constexpr std::uint16_t port_of(std::uint32_t i) {
  return static_cast<std::uint16_t>(kFirstPort + i % kPortsEach);
}
constexpr std::uint32_t index_of(std::uint32_t address, std::uint16_t port) {
  return (address - kFirstPeer - 1) * kPortsEach + (port - kFirstPort);
}

}  // namespace

CraftedPeer::CraftedPeer(Stack& stack, std::uint32_t connections)
    : stack_(stack), connections_(connections), handles_(connections) {
  interface_ =
      must(stack.add_interface({.name = "peer", .link = LinkType::ethernet, .mac = kOurMac, .mtu = 1500}), "interface");
  must(stack.add_address(interface_, *IpPrefix::parse("10.0.0.1/24")), "address");
  must(stack.add_route({.destination = *IpPrefix::parse("0.0.0.0/0"), .gateway = IpAddress::v4(kGateway)}), "route");
  listener_ = must(stack.open_stream(), "socket");
  must(stack.bind(listener_, {IpAddress::v4(kStackAddress), Port{kPort}}), "bind");
  must(stack.listen(listener_, 4096), "listen");
}

Packet CraftedPeer::segment(std::uint32_t i, wire::TcpFlags flags, std::uint32_t payload, Instant t, bool syn) {
  Packet p = stack_.pool().allocate(ChunkClass::normal);
  if (!p) return p;
  const Connection& c = connections_[i];
  const IpAddress from = IpAddress::v4(address_of(i)), to = IpAddress::v4(kStackAddress);
  std::array<std::uint8_t, 40> options{};
  std::size_t options_length = 0;
  if (syn) {
    wire::TcpOptions o;
    o.mss = 1460;
    o.window_scale = 7;
    o.sack_permitted = true;
    o.timestamps = wire::TcpTimestamps{1, 0};
    options_length = o.emit(options);
  } else {
    options_length = wire::TcpHeader::kTimestampsLength;
    store_be32(&options[0], 0x0101080a);
    store_be32(&options[4], 1);
    store_be32(&options[8], c.their_time);
  }
  const auto tcp_length = static_cast<std::uint32_t>(wire::TcpHeader::kLength + options_length + payload);
  MutableByteSpan at =
      p.append(static_cast<std::uint32_t>(wire::EthernetHeader::kLength + wire::Ipv4Header::kLength) + tcp_length);
  (void)wire::EthernetHeader{kOurMac, kGatewayMac, wire::EtherType::ipv4}.emit(at);
  (void)wire::Ipv4Header{.dont_fragment = true,
                         .protocol = wire::IpProtocol::tcp,
                         .source = from,
                         .destination = to,
                         .payload_length = static_cast<std::uint16_t>(tcp_length)}
      .emit(at.subspan(wire::EthernetHeader::kLength));
  MutableByteSpan tcp = at.last(tcp_length);
  (void)wire::TcpHeader{.source_port = Port{port_of(i)},
                        .destination_port = Port{kPort},
                        .seq = c.seq,
                        .ack = c.ack,
                        .flags = flags,
                        .window = 0xffff}
      .emit(tcp, options_length);
  std::ranges::copy(std::span(options).first(options_length), tcp.begin() + wire::TcpHeader::kLength);
  std::ranges::fill(tcp.last(payload), std::uint8_t{0x5a});
  wire::TcpHeader::finish_checksum(tcp, pseudo_header_sum(from, to, 6, tcp_length));
  p.meta().time = t;
  return p;
}

Packet CraftedPeer::data(std::uint32_t i, Instant t) {
  Packet p = segment(i, TcpFlag::ack | TcpFlag::psh, kPayload, t, false);
  if (p) connections_[i].seq += kPayload;
  return p;
}

void CraftedPeer::answer(const Packet& request) {
  const auto arp = wire::ArpView::parse(request.head().subspan(wire::EthernetHeader::kLength));
  if (!arp || arp->operation() != wire::ArpOperation::request || replies_.full()) return;
  Packet p = stack_.pool().allocate(ChunkClass::small, 0);
  if (!p) return;
  MutableByteSpan at = p.append(wire::EthernetHeader::kLength + wire::ArpHeader::kLength);
  (void)wire::EthernetHeader{kOurMac, kGatewayMac, wire::EtherType::arp}.emit(at);
  (void)wire::ArpHeader{.operation = wire::ArpOperation::reply,
                        .sender_mac = kGatewayMac,
                        .sender_ip = arp->target_ip(),
                        .target_mac = arp->sender_mac(),
                        .target_ip = arp->sender_ip()}
      .emit(at.subspan(wire::EthernetHeader::kLength));
  replies_.push(std::move(p));
}

void CraftedPeer::flush(Instant t) {
  if (replies_.empty()) return;
  stack_.input(interface_, replies_, t);
}

void CraftedPeer::establish(const Sink* sink, Ready interest) {
  // The gateway is resolved by the first answer that leaves: one connection alone first.
  const auto all = static_cast<std::uint32_t>(connections_.size());
  std::uint32_t done = std::min<std::uint32_t>(1, all);
  handshake(0, done, sink, interest);
  while (done < all) {
    const std::uint32_t n = std::min<std::uint32_t>(PacketBatch::kMax, all - done);
    handshake(done, n, sink, interest);
    done += n;
  }
}

void CraftedPeer::handshake(std::uint32_t first, std::uint32_t count, const Sink* sink, Ready interest) {
  PacketBatch batch;
  Instant t = monotonic_now();
  for (std::uint32_t i = first; i < first + count; ++i) {
    connections_[i].seq = SeqNum{0x10000000U + i};
    batch.push(segment(i, TcpFlag::syn, 0, t, true));
    connections_[i].seq += 1;
  }
  stack_.input(interface_, batch, t);
  std::uint32_t answered = 0;
  for (int round = 0; round < 16 && answered < count; ++round) {
    PacketBatch out;
    stack_.run_timers(t);
    stack_.output(interface_, out, t);
    for (Packet& p : out) {
      const ByteSpan head = p.head();
      if (head[12] == 0x08 && head[13] == 0x06) {
        take(std::move(p));
        continue;
      }
      const auto ip = wire::Ipv4View::parse(head.subspan(wire::EthernetHeader::kLength));
      if (!ip) throw std::runtime_error("not an IPv4 packet");
      const auto tcp = wire::TcpView::parse(ip->payload());
      if (!tcp || !tcp->flags().all(TcpFlag::syn | TcpFlag::ack)) throw std::runtime_error("no SYN-ACK");
      const std::uint32_t i = index_of(ip->destination().v4_value(), tcp->destination_port().value());
      connections_[i].ack = tcp->seq() + 1;
      const wire::TcpOptions o = wire::TcpOptions::parse(tcp->options());
      connections_[i].their_time = o.timestamps ? o.timestamps->value : 0;
      batch.push(segment(i, TcpFlag::ack, 0, t, false));
      ++answered;
    }
    out.clear();
    flush(t);
  }
  if (answered < count) throw std::runtime_error("a SYN was not answered");
  t = monotonic_now();
  stack_.input(interface_, batch, t);
  for (std::uint32_t n = 0; n < count; ++n) {
    Endpoint remote;
    const Handle h = must(stack_.try_accept(listener_, &remote), "accept");
    if (!h) throw std::runtime_error("a connection did not arrive");
    const std::uint32_t i = index_of(remote.address.v4_value(), remote.port.value());
    handles_[i] = h;
    must(stack_.set_sink(h, sink, i, interest), "sink");
  }
}

}  // namespace leat::bench
