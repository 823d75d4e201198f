#pragma once
// PacketLayers: where the layers of a frame begin. A parse for those below the core (GRO, the checksum functions,
// devices around devices): it understands enough to find a TCP, UDP or ICMPv6 header and claims nothing else. What is
// odd (fragments, VLAN tags in the frame, unknown protocols, lengths that contradict each other) has kind `other` and
// is left to the core, which names its reason.
//
//   data: | link header | IP header, extensions | TCP, UDP or ICMPv6 header | payload ... | link padding |
//         0             l3                      l4                          payload       end
//
// Only the head of a packet is looked at: headers that continue in fragments are `other`. Threading: pure functions.

#include <leat/base/link_type.hpp>
#include <leat/buf/packet.hpp>
#include <leat/wire/ethernet.hpp>
#include <leat/wire/ipv4.hpp>
#include <leat/wire/ipv6.hpp>
#include <leat/wire/ipv6_ext.hpp>
#include <leat/wire/tcp.hpp>
#include <leat/wire/udp.hpp>

namespace leat {

struct PacketLayers {
  enum class Kind : std::uint8_t { other, tcp, udp, icmpv6 };
  Kind kind = Kind::other;
  IpVersion version = IpVersion::v4;
  bool extensions = false;  // IPv4 options or IPv6 extension headers stand between l3 and l4
  std::uint16_t l3 = 0;     // all three are 0 for Kind::other
  std::uint16_t l4 = 0;
  std::uint16_t payload = 0;
  std::uint32_t end = 0;  // one past the IP packet's last byte: what follows is link padding

  [[nodiscard]] std::uint32_t l4_length() const { return end - l4; }
  [[nodiscard]] std::uint8_t protocol() const {
    switch (kind) {
      case Kind::tcp:
        return static_cast<std::uint8_t>(wire::IpProtocol::tcp);
      case Kind::udp:
        return static_cast<std::uint8_t>(wire::IpProtocol::udp);
      case Kind::icmpv6:
        return static_cast<std::uint8_t>(wire::IpProtocol::icmpv6);
      case Kind::other:
        return 0;
    }
    return 0;
  }
};

constexpr std::size_t link_header_length(LinkType link) {
  return link == LinkType::ethernet ? wire::EthernetHeader::kLength : 0;
}

namespace detail {

// The transport header at `at`; `end` is where the IP packet ends, which may lie in the fragments.
inline PacketLayers transport_layers(ByteSpan head, PacketLayers layers, wire::IpProtocol protocol, std::size_t at,
                                     std::size_t end) {
  const std::size_t available = end - at;
  std::size_t header = 0;
  if (protocol == wire::IpProtocol::tcp) {
    if (available < wire::TcpHeader::kLength || head.size() < at + wire::TcpHeader::kLength) return {};
    header = (head[at + 12] >> 4) * 4U;
    if (header < wire::TcpHeader::kLength) return {};
    layers.kind = PacketLayers::Kind::tcp;
  } else if (protocol == wire::IpProtocol::udp) {
    header = wire::UdpHeader::kLength;
    if (available < header || head.size() < at + header) return {};
    // A datagram shorter than its packet: legal, rare, and its checksum ends elsewhere. Left to the core.
    if (load_be16(&head[at + 4]) != available) return {};
    layers.kind = PacketLayers::Kind::udp;
  } else if (protocol == wire::IpProtocol::icmpv6 && layers.version == IpVersion::v6) {
    header = 4;
    layers.kind = PacketLayers::Kind::icmpv6;
  } else {
    return {};
  }
  if (available < header || head.size() < at + header) return {};
  layers.l4 = static_cast<std::uint16_t>(at);
  layers.payload = static_cast<std::uint16_t>(at + header);
  layers.end = static_cast<std::uint32_t>(end);
  return layers;
}

}  // namespace detail

// `head` is the contiguous begin of a packet of `length` bytes.
inline PacketLayers packet_layers(ByteSpan head, std::uint32_t length, LinkType link) {
  PacketLayers layers;
  const std::size_t l3 = link_header_length(link);
  if (head.size() < l3 + wire::Ipv4Header::kLength) return {};
  layers.l3 = static_cast<std::uint16_t>(l3);
  const std::uint8_t* ip = &head[l3];
  const unsigned version = ip[0] >> 4;
  if (link == LinkType::ethernet) {
    const auto type = static_cast<wire::EtherType>(load_be16(&head[12]));
    if (type != (version == 4 ? wire::EtherType::ipv4 : wire::EtherType::ipv6)) return {};
  }
  if (version == 4) {
    const std::size_t header = (ip[0] & 15U) * 4;
    const std::size_t total = load_be16(ip + 2);
    // A fragment has no whole transport packet to look at.
    if (header < wire::Ipv4Header::kLength || total < header || l3 + total > length ||
        (load_be16(ip + 6) & 0x3fff) != 0) {
      return {};
    }
    layers.extensions = header != wire::Ipv4Header::kLength;
    return detail::transport_layers(head, layers, static_cast<wire::IpProtocol>(ip[9]), l3 + header, l3 + total);
  }
  if (version != 6 || head.size() < l3 + wire::Ipv6Header::kLength) return {};
  layers.version = IpVersion::v6;
  const std::size_t end = l3 + wire::Ipv6Header::kLength + load_be16(ip + 4);
  if (end > length) return {};
  auto protocol = static_cast<wire::IpProtocol>(ip[6]);
  std::size_t at = l3 + wire::Ipv6Header::kLength;
  if (wire::is_extension(protocol)) {
    // The pseudo-header of a packet with a routing header names its last hop, and a fragment is not whole: stop at
    // both.
    layers.extensions = true;
    for (std::size_t i = 0; i < wire::kMaxExtensionHeaders && wire::is_extension(protocol); ++i) {
      if (protocol == wire::IpProtocol::fragment || protocol == wire::IpProtocol::routing) return {};
      if (at + 8 > head.size() || at + 8 > end) return {};
      protocol = static_cast<wire::IpProtocol>(head[at]);
      at += 8 + std::size_t{head[at + 1]} * 8;
    }
    if (at > end || wire::is_extension(protocol)) return {};
  }
  return detail::transport_layers(head, layers, protocol, at, end);
}
inline PacketLayers packet_layers(const Packet& p, LinkType link) {
  return packet_layers(p.head(), p.size(), link);
}

// The sum of the pseudo-header: addresses, protocol and the length of the transport packet. `ip` is the IP header.
inline Sum pseudo_header_sum_at(const std::uint8_t* ip, IpVersion version, std::uint8_t protocol,
                                std::uint32_t length) {
  std::uint64_t sum = std::uint64_t{protocol} + length;
  const std::uint8_t* addresses = version == IpVersion::v4 ? ip + 12 : ip + 8;
  const std::size_t bytes = version == IpVersion::v4 ? 8 : 32;
  for (std::size_t i = 0; i < bytes; i += 4) sum += load_be32(addresses + i);
  return checksum_fold(sum);
}

}  // namespace leat
