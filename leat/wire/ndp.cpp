#include <algorithm>
#include <leat/base/byte_writer.hpp>
#include <leat/wire/ipv6.hpp>
#include <leat/wire/ndp.hpp>

namespace leat::wire {
namespace {

constexpr std::uint8_t kSourceMac = 1;
constexpr std::uint8_t kTargetMac = 2;
constexpr std::uint8_t kPrefix = 3;
constexpr std::uint8_t kRedirected = 4;
constexpr std::uint8_t kMtu = 5;
constexpr std::size_t kPrefixOptionLength = 32;

// The rules that all five messages share, for a message with `fixed` bytes before its options.
ParseError check(ByteSpan message, const NdpEnvelope& envelope, Icmpv6Type type, std::size_t fixed) {
  if (message.size() < fixed) return ParseError::truncated;
  if (message[0] != static_cast<std::uint8_t>(type) || message[1] != 0) return ParseError::bad_type;
  // RFC 4861 6.1, 7.1, 8.1: only a neighbour can send with 255.
  if (envelope.hop_limit != 255) return ParseError::bad_hop_limit;
  return ParseError::none;
}

// A unicast address that the message speaks of.
ParseError check_target(const std::uint8_t* p) {
  const IpAddress target = IpAddress::v6_wire(p);
  if (target.is_multicast() || target.is_unspecified() || Ipv6View::is_mapped(p)) return ParseError::bad_address;
  return ParseError::none;
}

void begin(ByteWriter& w, Icmpv6Type type) {
  w.u8(static_cast<std::uint8_t>(type));
  w.u8(0);
  w.be16(0);
}

std::size_t finish(const ByteWriter& w, const NdpOptions& options, MutableByteSpan out) {
  if (!w.ok()) return 0;
  const std::size_t length = options.emit(out.subspan(w.size()));
  if (length == 0 && options != NdpOptions{}) return 0;
  return w.size() + length;
}

void parse_one(NdpOptions& result, std::uint8_t type, ByteSpan option) {
  switch (type) {
    case kSourceMac:
    case kTargetMac:
      if (option.size() != 8) break;  // not an Ethernet address
      (type == kSourceMac ? result.source_mac : result.target_mac) = load_mac(&option[2]);
      return;
    case kPrefix: {
      if (option.size() != kPrefixOptionLength || option[2] > 128 || Ipv6View::is_mapped(&option[16])) break;
      const PrefixInformation prefix{IpAddress::v6_wire(&option[16]), option[2],
                                     (option[3] & 0x80) != 0,         (option[3] & 0x40) != 0,
                                     load_be32(&option[4]),           load_be32(&option[8])};
      if (result.prefixes.try_push(prefix)) return;
      break;
    }
    case kRedirected:
      result.redirected = option.subspan(8);
      return;
    case kMtu:
      if (option.size() != 8) break;
      result.mtu = load_be32(&option[4]);
      return;
    default:
      break;
  }
  if (result.skipped != 0xff) ++result.skipped;
}

void write_mac(ByteWriter& w, std::uint8_t type, const std::optional<MacAddress>& mac) {
  if (!mac) return;
  w.u8(type);
  w.u8(1);
  w.bytes(mac->bytes);
}

}  // namespace

bool NdpOptions::operator==(const NdpOptions& o) const {
  return source_mac == o.source_mac && target_mac == o.target_mac && mtu == o.mtu && prefixes == o.prefixes &&
         std::ranges::equal(redirected, o.redirected) && skipped == o.skipped;
}

Parsed<NdpOptions> NdpOptions::parse(ByteSpan options) {
  NdpOptions result;
  for (std::size_t i = 0; i < options.size();) {
    if (options.size() - i < 2) return ParseError::bad_option;
    const std::size_t length = options[i + 1] * std::size_t{8};
    if (length == 0 || length > options.size() - i) return ParseError::bad_option;
    parse_one(result, options[i], options.subspan(i, length));
    i += length;
  }
  return result;
}

std::size_t NdpOptions::emit(MutableByteSpan out) const {
  ByteWriter w{out};
  write_mac(w, kSourceMac, source_mac);
  write_mac(w, kTargetMac, target_mac);
  if (mtu) {
    w.u8(kMtu);
    w.u8(1);
    w.be16(0);
    w.be32(*mtu);
  }
  for (const PrefixInformation& prefix : prefixes) {
    w.u8(kPrefix);
    w.u8(kPrefixOptionLength / 8);
    w.u8(prefix.length);
    w.u8(static_cast<std::uint8_t>((prefix.on_link ? 0x80U : 0U) | (prefix.autonomous ? 0x40U : 0U)));
    w.be32(prefix.valid_lifetime_s);
    w.be32(prefix.preferred_lifetime_s);
    w.be32(0);
    w.bytes(prefix.prefix.bytes());
  }
  if (!redirected.empty()) {
    // RFC 4861 4.6.3: whole units of 8 bytes; what doesn't fill one is not quoted.
    const std::size_t units = std::min<std::size_t>(redirected.size() / 8, 254);
    w.u8(kRedirected);
    w.u8(static_cast<std::uint8_t>(1 + units));
    w.fill(6, 0);
    w.bytes(redirected.first(units * 8));
  }
  return w.ok() ? w.size() : 0;
}

Parsed<RouterSolicitation> RouterSolicitation::parse(ByteSpan message, const NdpEnvelope& envelope) {
  if (const auto e = check(message, envelope, Icmpv6Type::router_solicitation, 8); e != ParseError::none) return e;
  const auto options = NdpOptions::parse(message.subspan(8));
  if (!options) return options.error();
  // RFC 4861 6.1.1: who has no address yet can't say how to reach it.
  if (envelope.source.is_unspecified() && options->source_mac) return ParseError::bad_option;
  return RouterSolicitation{*options};
}

std::size_t RouterSolicitation::emit(MutableByteSpan out) const {
  ByteWriter w{out};
  begin(w, Icmpv6Type::router_solicitation);
  w.be32(0);
  return finish(w, options, out);
}

Parsed<RouterAdvertisement> RouterAdvertisement::parse(ByteSpan message, const NdpEnvelope& envelope) {
  if (const auto e = check(message, envelope, Icmpv6Type::router_advertisement, 16); e != ParseError::none) return e;
  // RFC 4861 6.1.2: routers are known by their link-local address.
  if (envelope.source.is_v4() || !envelope.source.is_link_local()) return ParseError::bad_address;
  const auto options = NdpOptions::parse(message.subspan(16));
  if (!options) return options.error();
  const unsigned preference = (message[5] >> 3) & 3U;
  return RouterAdvertisement{message[4], (message[5] & 0x80) != 0, (message[5] & 0x40) != 0,
                             // RFC 4191 2.2: the reserved value is taken for medium.
                             preference == 2 ? RouterPreference::medium : static_cast<RouterPreference>(preference),
                             load_be16(&message[6]), load_be32(&message[8]), load_be32(&message[12]), *options};
}

std::size_t RouterAdvertisement::emit(MutableByteSpan out) const {
  ByteWriter w{out};
  begin(w, Icmpv6Type::router_advertisement);
  w.u8(hop_limit);
  w.u8(static_cast<std::uint8_t>((managed ? 0x80U : 0U) | (other ? 0x40U : 0U) |
                                 (static_cast<unsigned>(preference) << 3)));
  w.be16(router_lifetime_s);
  w.be32(reachable_time_ms);
  w.be32(retransmit_timer_ms);
  return finish(w, options, out);
}

Parsed<NeighborSolicitation> NeighborSolicitation::parse(ByteSpan message, const NdpEnvelope& envelope) {
  if (const auto e = check(message, envelope, Icmpv6Type::neighbor_solicitation, 24); e != ParseError::none) return e;
  if (const auto e = check_target(&message[8]); e != ParseError::none) return e;
  const auto options = NdpOptions::parse(message.subspan(24));
  if (!options) return options.error();
  const IpAddress target = IpAddress::v6_wire(&message[8]);
  if (envelope.source.is_unspecified()) {
    // RFC 4861 7.1.1: duplicate address detection goes to the solicited-node address and tells no link address.
    const auto& d = envelope.destination.bytes();
    const IpAddress group = envelope.destination.solicited_node();
    if (!std::equal(d.begin(), d.begin() + 13, group.bytes().begin())) return ParseError::bad_address;
    if (options->source_mac) return ParseError::bad_option;
  }
  return NeighborSolicitation{target, *options};
}

std::size_t NeighborSolicitation::emit(MutableByteSpan out) const {
  ByteWriter w{out};
  begin(w, Icmpv6Type::neighbor_solicitation);
  w.be32(0);
  w.bytes(target.bytes());
  return finish(w, options, out);
}

Parsed<NeighborAdvertisement> NeighborAdvertisement::parse(ByteSpan message, const NdpEnvelope& envelope) {
  if (const auto e = check(message, envelope, Icmpv6Type::neighbor_advertisement, 24); e != ParseError::none) return e;
  if (const auto e = check_target(&message[8]); e != ParseError::none) return e;
  const bool solicited = (message[4] & 0x40) != 0;
  // RFC 4861 7.1.2: an answer goes to the one who asked.
  if (solicited && envelope.destination.is_multicast()) return ParseError::bad_address;
  const auto options = NdpOptions::parse(message.subspan(24));
  if (!options) return options.error();
  return NeighborAdvertisement{(message[4] & 0x80) != 0, solicited, (message[4] & 0x20) != 0,
                               IpAddress::v6_wire(&message[8]), *options};
}

std::size_t NeighborAdvertisement::emit(MutableByteSpan out) const {
  ByteWriter w{out};
  begin(w, Icmpv6Type::neighbor_advertisement);
  w.be32((router ? 0x80000000U : 0U) | (solicited ? 0x40000000U : 0U) | (override_cache ? 0x20000000U : 0U));
  w.bytes(target.bytes());
  return finish(w, options, out);
}

Parsed<Redirect> Redirect::parse(ByteSpan message, const NdpEnvelope& envelope) {
  if (const auto e = check(message, envelope, Icmpv6Type::redirect, 40); e != ParseError::none) return e;
  if (envelope.source.is_v4() || !envelope.source.is_link_local()) return ParseError::bad_address;
  if (const auto e = check_target(&message[8]); e != ParseError::none) return e;
  if (const auto e = check_target(&message[24]); e != ParseError::none) return e;
  const IpAddress target = IpAddress::v6_wire(&message[8]);
  const IpAddress destination = IpAddress::v6_wire(&message[24]);
  // RFC 4861 8.1: the target is a router's link-local address, or the destination itself.
  if (!target.is_link_local() && target != destination) return ParseError::bad_address;
  const auto options = NdpOptions::parse(message.subspan(40));
  if (!options) return options.error();
  return Redirect{target, destination, *options};
}

std::size_t Redirect::emit(MutableByteSpan out) const {
  ByteWriter w{out};
  begin(w, Icmpv6Type::redirect);
  w.be32(0);
  w.bytes(target.bytes());
  w.bytes(destination.bytes());
  return finish(w, options, out);
}

}  // namespace leat::wire
