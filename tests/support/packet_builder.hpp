#pragma once
// Packets for tests: built from the inside out by functions that return bytes, and taken apart again by `decode`.
//
//   const Bytes request = ethernet(ours, theirs, ipv4({.source = peer, .destination = us}, icmp_echo(7, 1, "hi")));
//   host.receive(request);
//   const Decoded reply = decode(host.sent().at(0));
//   EXPECT_EQ(reply.ip_source, us);
//
// Builders fill lengths and checksums; a test that wants a wrong one patches the bytes with put8, put16 or put32, and
// calls fix_ipv4 when only what it patched may be wrong.

#include <leat/base/checksum.hpp>
#include <leat/wire/arp.hpp>
#include <leat/wire/ethernet.hpp>
#include <leat/wire/icmpv4.hpp>
#include <leat/wire/icmpv6.hpp>
#include <leat/wire/ipv4.hpp>
#include <leat/wire/ipv6.hpp>
#include <leat/wire/ndp.hpp>
#include <leat/wire/tcp.hpp>
#include <leat/wire/udp.hpp>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace leat::test {

using Bytes = std::vector<std::uint8_t>;

inline Bytes bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}
inline std::string_view text_of(ByteSpan b) {
  return {reinterpret_cast<const char*>(b.data()), b.size()};  // NOLINT: a test's look at text
}
// `n` bytes that are not all the same.
inline Bytes pattern(std::size_t n, unsigned seed = 1) {
  Bytes b(n);
  for (std::size_t i = 0; i < n; ++i) b[i] = static_cast<std::uint8_t>(seed * 31 + i * 7 + (i >> 8));
  return b;
}
inline void put8(Bytes& b, std::size_t at, unsigned v) {
  b.at(at) = static_cast<std::uint8_t>(v);
}
inline void put16(Bytes& b, std::size_t at, unsigned v) {
  (void)b.at(at + 1);
  store_be16(&b[at], static_cast<std::uint16_t>(v));
}
inline void put32(Bytes& b, std::size_t at, std::uint32_t v) {
  (void)b.at(at + 3);
  store_be32(&b[at], v);
}
inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
inline IpAddress ip(std::string_view text) {
  return IpAddress::parse(text).value();
}
inline MacAddress mac(std::string_view text) {
  return MacAddress::parse(text).value();
}

// --- building --------------------------------------------------------------------------------------------------------

// The type follows from the payload's IP version unless it is given.
inline Bytes ethernet(const MacAddress& to, const MacAddress& from, const Bytes& payload,
                      std::optional<unsigned> type = std::nullopt) {
  const unsigned guessed = !payload.empty() && (payload[0] >> 4) == 6 ? 0x86dd : 0x0800;
  Bytes b(14);
  (void)wire::EthernetHeader{to, from, static_cast<wire::EtherType>(type.value_or(guessed))}.emit(b);
  return b + payload;
}
inline Bytes arp(const wire::ArpHeader& h) {
  Bytes b(28);
  (void)h.emit(b);
  return b;
}

struct Ip {
  IpAddress source;
  IpAddress destination;
  unsigned protocol = 0;  // 0: from the payload builder below, else as given
  unsigned ttl = 64;
  unsigned tos = 0;
  unsigned id = 0x1234;
  bool dont_fragment = false;
  bool more_fragments = false;
  unsigned fragment_offset = 0;
  Bytes options{};
};
inline Bytes ipv4(const Ip& h, const Bytes& payload) {
  const wire::Ipv4Header header{.tos = static_cast<std::uint8_t>(h.tos),
                                .id = static_cast<std::uint16_t>(h.id),
                                .dont_fragment = h.dont_fragment,
                                .more_fragments = h.more_fragments,
                                .fragment_offset = static_cast<std::uint16_t>(h.fragment_offset),
                                .ttl = static_cast<std::uint8_t>(h.ttl),
                                .protocol = static_cast<wire::IpProtocol>(h.protocol),
                                .source = h.source,
                                .destination = h.destination,
                                .payload_length = static_cast<std::uint16_t>(payload.size()),
                                .options = h.options};
  Bytes b(header.header_length());
  if (header.emit(b) == 0) throw std::length_error("ipv4");
  return b + payload;
}
// Makes the header checksum right again after a patch.
inline void fix_ipv4(Bytes& packet, std::size_t at = 0) {
  const std::size_t length = std::min<std::size_t>((packet.at(at) & 15U) * 4U, packet.size() - at);
  put16(packet, at + 10, 0);
  put16(packet, at + 10, checksum_finish(checksum_add(0, ByteSpan{packet}.subspan(at, length))));
}
inline Bytes ipv6(const Ip& h, const Bytes& payload) {
  Bytes b(40);
  (void)wire::Ipv6Header{.traffic_class = static_cast<std::uint8_t>(h.tos),
                         .payload_length = static_cast<std::uint16_t>(payload.size()),
                         .next_header = static_cast<wire::IpProtocol>(h.protocol),
                         .hop_limit = static_cast<std::uint8_t>(h.ttl),
                         .source = h.source,
                         .destination = h.destination}
      .emit(b);
  return b + payload;
}
// By the version of the destination.
inline Bytes ip_packet(const Ip& h, const Bytes& payload) {
  return h.destination.is_v4() ? ipv4(h, payload) : ipv6(h, payload);
}

inline Bytes udp(const Ip& h, unsigned from, unsigned to, const Bytes& data) {
  Bytes b(8);
  (void)wire::UdpHeader{Port{static_cast<std::uint16_t>(from)}, Port{static_cast<std::uint16_t>(to)},
                        static_cast<std::uint16_t>(8 + data.size())}
      .emit(b);
  b = b + data;
  const Sum pseudo = pseudo_header_sum(h.source, h.destination, 17, static_cast<std::uint32_t>(b.size()));
  put16(b, 6, wire::UdpHeader::checksum_field(checksum_finish(checksum_add(pseudo, b))));
  return b;
}
// A whole IP packet with a datagram.
inline Bytes udp_packet(Ip h, unsigned from, unsigned to, const Bytes& data) {
  h.protocol = 17;
  return ip_packet(h, udp(h, from, to, data));
}

struct Tcp {
  unsigned from = 40000;
  unsigned to = 80;
  std::uint32_t seq = 1000;
  std::uint32_t ack = 0;
  wire::TcpFlags flags = wire::TcpFlag::syn;
  unsigned window = 65535;
  Bytes options{};
};
inline Bytes tcp_packet(Ip h, const Tcp& t, const Bytes& data = {}) {
  h.protocol = 6;
  Bytes options = t.options;
  while (options.size() % 4 != 0) options.push_back(0);
  Bytes b(20 + options.size());
  (void)wire::TcpHeader{.source_port = Port{static_cast<std::uint16_t>(t.from)},
                        .destination_port = Port{static_cast<std::uint16_t>(t.to)},
                        .seq = SeqNum{t.seq},
                        .ack = SeqNum{t.ack},
                        .flags = t.flags,
                        .window = static_cast<std::uint16_t>(t.window)}
      .emit(b, options.size());
  std::copy(options.begin(), options.end(), b.begin() + 20);
  b = b + data;
  const Sum pseudo = pseudo_header_sum(h.source, h.destination, 6, static_cast<std::uint32_t>(b.size()));
  put16(b, 16, checksum_finish(checksum_add(pseudo, b)));
  return ip_packet(h, b);
}

// An ICMP message of either version in its IP packet; `rest` is the second word of the header.
inline Bytes icmp_packet(Ip h, unsigned type, unsigned code, std::uint32_t rest, const Bytes& body) {
  const bool v4 = h.destination.is_v4();
  h.protocol = v4 ? 1 : 58;
  Bytes b(8);
  put8(b, 0, type);
  put8(b, 1, code);
  put32(b, 4, rest);
  b = b + body;
  const Sum pseudo = v4 ? 0 : pseudo_header_sum(h.source, h.destination, 58, static_cast<std::uint32_t>(b.size()));
  put16(b, 2, checksum_finish(checksum_add(pseudo, b)));
  return ip_packet(h, b);
}
inline Bytes echo_request(const Ip& h, unsigned id, unsigned sequence, const Bytes& data) {
  return icmp_packet(h, h.destination.is_v4() ? 8 : 128, 0, (id << 16) | sequence, data);
}
inline Bytes echo_reply(const Ip& h, unsigned id, unsigned sequence, const Bytes& data) {
  return icmp_packet(h, h.destination.is_v4() ? 0 : 129, 0, (id << 16) | sequence, data);
}
// A message of neighbour discovery (one of wire/ndp.hpp).
template <class Message>
Bytes ndp_packet(Ip h, const Message& message) {
  h.protocol = 58;
  if (h.ttl == 64) h.ttl = 255;
  Bytes b(512);
  b.resize(message.emit(b));
  wire::finish_icmpv6_checksum(b, h.source, h.destination);
  return ipv6(h, b);
}

// --- taking apart ----------------------------------------------------------------------------------------------------

struct Decoded {
  std::optional<wire::EthernetHeader> link;
  std::optional<wire::ArpHeader> arp;
  int version = 0;  // 4 or 6; 0: no IP packet
  IpAddress ip_source, ip_destination;
  unsigned protocol = 0, ttl = 0, tos = 0, id = 0;
  bool dont_fragment = false;
  bool checksums_ok = true;  // IPv4 header and transport
  Bytes ip;                  // the whole IP packet
  Bytes l4;                  // from the transport header on
  // ICMP
  unsigned icmp_type = 999, icmp_code = 0;
  std::uint32_t icmp_rest = 0;
  // UDP and TCP
  unsigned source_port = 0, destination_port = 0;
  Bytes payload;  // behind the ICMP, UDP or TCP header
};

inline Decoded decode_ip(const Bytes& packet) {
  Decoded d;
  d.ip = packet;
  if (packet.empty()) return d;
  if ((packet[0] >> 4) == 4) {
    const auto v = wire::Ipv4View::parse(packet);
    if (!v) return d;
    d.version = 4;
    d.ip_source = v->source();
    d.ip_destination = v->destination();
    d.protocol = static_cast<unsigned>(v->protocol());
    d.ttl = v->ttl();
    d.tos = v->tos();
    d.id = v->id();
    d.dont_fragment = v->dont_fragment();
    d.checksums_ok = v->checksum_ok();
    d.l4.assign(v->payload().begin(), v->payload().end());
  } else {
    const auto v = wire::Ipv6View::parse(packet);
    if (!v) return d;
    d.version = 6;
    d.ip_source = v->source();
    d.ip_destination = v->destination();
    d.protocol = static_cast<unsigned>(v->next_header());
    d.ttl = v->hop_limit();
    d.tos = v->traffic_class();
    d.l4.assign(v->payload().begin(), v->payload().end());
  }
  const Sum pseudo = pseudo_header_sum(d.ip_source, d.ip_destination, static_cast<std::uint8_t>(d.protocol),
                                       static_cast<std::uint32_t>(d.l4.size()));
  const auto take_payload = [&](std::size_t header) {
    if (d.l4.size() >= header) d.payload.assign(d.l4.begin() + static_cast<std::ptrdiff_t>(header), d.l4.end());
  };
  if ((d.protocol == 1 || d.protocol == 58) && d.l4.size() >= 8) {
    d.icmp_type = d.l4[0];
    d.icmp_code = d.l4[1];
    d.icmp_rest = load_be32(&d.l4[4]);
    d.checksums_ok = d.checksums_ok && checksum_finish(checksum_add(d.protocol == 1 ? 0 : pseudo, d.l4)) == 0;
    take_payload(8);
  } else if (d.protocol == 17 && d.l4.size() >= 8) {
    d.source_port = load_be16(&d.l4[0]);
    d.destination_port = load_be16(&d.l4[2]);
    if (load_be16(&d.l4[6]) != 0) d.checksums_ok = d.checksums_ok && checksum_finish(checksum_add(pseudo, d.l4)) == 0;
    take_payload(8);
  } else if (d.protocol == 6 && d.l4.size() >= 20) {
    d.source_port = load_be16(&d.l4[0]);
    d.destination_port = load_be16(&d.l4[2]);
    d.checksums_ok = d.checksums_ok && checksum_finish(checksum_add(pseudo, d.l4)) == 0;
    take_payload((d.l4[12] >> 4) * 4U);
  }
  return d;
}
// An Ethernet frame.
inline Decoded decode(const Bytes& frame) {
  const auto link = wire::EthernetView::parse(frame);
  if (!link) return {};
  const Bytes rest(frame.begin() + 14, frame.end());
  Decoded d;
  if (link->type() == wire::EtherType::arp) {
    if (const auto a = wire::ArpView::parse(rest)) d.arp = a->header();
  } else {
    d = decode_ip(rest);
  }
  d.link = link->header();
  return d;
}

}  // namespace leat::test
