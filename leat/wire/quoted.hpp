#pragma once
// The packet that an ICMP error quotes: cut short anywhere behind its IP header, its lengths speaking of bytes that are
// not there. What is returned identifies the flow, so that an error is believed only when it speaks of live traffic
// (RFC 1122 3.2.2, RFC 4443 2.4, RFC 5927 4).
//
// Threading: pure functions; `transport` borrows the bytes.

#include <leat/wire/ipv4.hpp>
#include <leat/wire/ipv6.hpp>
#include <leat/wire/ipv6_ext.hpp>
#include <optional>

namespace leat::wire {

struct QuotedPacket {
  IpAddress source;
  IpAddress destination;
  IpProtocol protocol{};
  bool first_part = true;  // false: a later fragment, `transport` is empty
  ByteSpan transport;      // from the upper layer's header on, as much as was quoted

  // Of TCP and UDP; RFC 792 guarantees the first 8 bytes, which hold the ports and TCP's sequence number.
  [[nodiscard]] constexpr bool has_ports() const { return transport.size() >= 8; }
  [[nodiscard]] constexpr Port source_port() const { return Port{load_be16(&transport[0])}; }
  [[nodiscard]] constexpr Port destination_port() const { return Port{load_be16(&transport[2])}; }
  [[nodiscard]] constexpr std::uint32_t tcp_sequence() const { return load_be32(&transport[4]); }
};

// Nothing when not even the IP header is there.
[[nodiscard]] inline std::optional<QuotedPacket> parse_quoted(ByteSpan bytes) {
  if (const auto v4 = Ipv4View::parse_quoted(bytes)) {
    const bool first = v4->fragment_offset() == 0;
    return QuotedPacket{v4->source(), v4->destination(), v4->protocol(), first,
                        first ? bytes.subspan(v4->header_length()) : ByteSpan{}};
  }
  if (const auto v6 = Ipv6View::parse_quoted(bytes)) {
    const ByteSpan payload = bytes.subspan(Ipv6Header::kLength);
    const auto upper = skip_extensions(v6->next_header(), payload);
    return QuotedPacket{v6->source(), v6->destination(), upper.protocol, upper.complete,
                        upper.complete ? payload.subspan(upper.offset) : ByteSpan{}};
  }
  return std::nullopt;
}

}  // namespace leat::wire
