// ICMP: what both versions share, and ICMPv4 (RFC 792, RFC 1122 3.2.2). ICMPv6 is in icmpv6.cpp.

#include <leat/core/iface/link.hpp>
#include <leat/core/ip/icmp_error.hpp>
#include <leat/core/ip/input.hpp>
#include <leat/offload/checksum_completion.hpp>
#include <leat/wire/icmpv4.hpp>
#include <leat/wire/icmpv6.hpp>
#include <leat/wire/quoted.hpp>

namespace leat::ip {
namespace {

using wire::Icmpv4Type;

// RFC 1812 4.3.2.3: an error quotes as much as fits in 576 bytes.
constexpr std::uint32_t kErrorSize = 576;

// RFC 1191 7: what to guess when a router says "too big" but not how much would fit.
std::uint32_t plateau_below(std::uint32_t length) {
  constexpr std::array<std::uint16_t, 10> kPlateaus{32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68};
  for (const std::uint16_t p : kPlateaus)
    if (p < length) return p;
  return kPlateaus.back();
}

struct Translated {
  bool known = true;
  IcmpErrorKind kind = IcmpErrorKind::other;
};

// RFC 1122 3.2.2.1, RFC 1812 5.2.7.1.
IcmpErrorKind unreachable_kind(std::uint8_t code) {
  switch (code) {
    case wire::icmpv4_unreachable::kNetwork:
    case 6:   // network unknown
    case 11:  // for this type of service
      return IcmpErrorKind::network_unreachable;
    case wire::icmpv4_unreachable::kProtocol:
      return IcmpErrorKind::protocol_unreachable;
    case wire::icmpv4_unreachable::kPort:
      return IcmpErrorKind::port_unreachable;
    case wire::icmpv4_unreachable::kFragmentationNeeded:
      return IcmpErrorKind::packet_too_big;
    case wire::icmpv4_unreachable::kSourceRouteFailed:
      return IcmpErrorKind::source_route_failed;
    case wire::icmpv4_unreachable::kNetworkProhibited:
    case wire::icmpv4_unreachable::kHostProhibited:
    case wire::icmpv4_unreachable::kProhibited:
      return IcmpErrorKind::prohibited;
    default:
      return IcmpErrorKind::host_unreachable;
  }
}

bool is_icmp_error(const TransportInput& in) {
  const ByteSpan head = in.packet.head();
  const std::uint32_t at = in.packet.meta().l4_offset;
  if (in.protocol == static_cast<std::uint8_t>(wire::IpProtocol::icmpv4)) {
    return head.size() <= at || wire::is_error(static_cast<Icmpv4Type>(head[at]));
  }
  if (in.protocol == static_cast<std::uint8_t>(wire::IpProtocol::icmpv6)) {
    // RFC 4443 2.4 (e.1, e.2): neither errors nor redirects are answered.
    return head.size() <= at || wire::is_error(static_cast<wire::Icmpv6Type>(head[at])) ||
           head[at] == static_cast<std::uint8_t>(wire::Icmpv6Type::redirect);
  }
  return false;
}

void send_error_v4(Core& core, const TransportInput& offending, IcmpErrorKind kind, std::uint32_t info) {
  wire::Icmpv4Header h{.type = Icmpv4Type::destination_unreachable};
  switch (kind) {
    case IcmpErrorKind::protocol_unreachable:
      h.code = wire::icmpv4_unreachable::kProtocol;
      break;
    case IcmpErrorKind::port_unreachable:
      h.code = wire::icmpv4_unreachable::kPort;
      break;
    case IcmpErrorKind::packet_too_big:
      h.code = wire::icmpv4_unreachable::kFragmentationNeeded;
      h.rest = info;
      break;
    case IcmpErrorKind::prohibited:
      h.code = wire::icmpv4_unreachable::kProhibited;
      break;
    case IcmpErrorKind::network_unreachable:
      h.code = wire::icmpv4_unreachable::kNetwork;
      break;
    case IcmpErrorKind::parameter_problem:
      h.type = Icmpv4Type::parameter_problem;
      h.rest = info << 24;
      break;
    case IcmpErrorKind::time_exceeded:
      h.type = Icmpv4Type::time_exceeded;
      h.code = 1;  // only reassembly can take too long here
      break;
    case IcmpErrorKind::host_unreachable:
    case IcmpErrorKind::source_route_failed:
    case IcmpErrorKind::other:
      h.code = wire::icmpv4_unreachable::kHost;
      break;
  }
  const auto path = find_path(core, offending.source, offending.destination, kNoInterface, core.scope);
  if (!path) return;
  const std::uint32_t quoted = std::min(offending.packet.size(), kErrorSize - 28);
  Packet p = core.pool.allocate_for(quoted + wire::Icmpv4Header::kLength);
  if (!p) {
    core.counters.add(DropReason::no_buffers);
    return;
  }
  const MutableByteSpan message = p.append(quoted + wire::Icmpv4Header::kLength);
  (void)h.emit(message);
  offending.packet.copy_out(0, message.subspan(wire::Icmpv4Header::kLength));
  wire::Icmpv4Header::finish_checksum(message, 0);
  core.counters.add(Counter::icmp_errors_sent);
  // RFC 1812 4.3.2.5: precedence internetwork control.
  (void)send(core, std::move(p),
             {.source = path->source,
              .destination = offending.source,
              .protocol = static_cast<std::uint8_t>(wire::IpProtocol::icmpv4),
              .ttl = static_cast<std::uint8_t>(core.options.get(OptionId::ip_default_ttl)),
              .traffic_class = 0xc0},
             *path);
}

// Nothing in the packet is to be sent again but its data.
void make_new(Packet& p) {
  PacketMeta& m = p.meta();
  m.gso_size = 0;
  m.gso_type = GsoType::none;
  m.ce_marks = 0;
  m.merged = 1;
  m.checksum = ChecksumState::none;
  m.link_cast = LinkCast::unicast;
  m.flow_hash = 0;
  m.vlan = 0;
  m.l3_offset = 0;
  m.l4_offset = 0;
  m.payload_offset = wire::Icmpv4Header::kLength;
  m.time = Instant{};
}

}  // namespace

bool take_error_token(Core& core, const IpAddress& to) {
  const auto& o = core.options;
  // RFC 1812 4.3.2.8: one destination can't use up what all share. Destinations that share a slot share its rate.
  const std::uint64_t h =
      siphash13(core.keys.flow_hash, load_be64(&to.bytes()[0]), load_be64(&to.bytes()[8]), std::uint64_t{1} << 32);
  TokenBucket& own = core.ip.rate_slots[static_cast<std::size_t>(h) & (core.ip.rate_slots.size() - 1)];
  const std::int64_t rate = o.get(OptionId::icmp_rate_per_destination);
  const std::int64_t burst = o.get(OptionId::icmp_burst);
  if (!own.take(core.now, rate, std::min(rate, burst))) return false;
  // A global limit that an attacker can count exactly tells him which of his probes were answered to others: the burst
  // varies. (The attack is known as "SAD DNS".)
  if (!core.ip.icmp_errors.take(core.now, o.get(OptionId::icmp_rate),
                                burst - static_cast<std::int64_t>(core.ip.icmp_burst_cut))) {
    core.ip.icmp_burst_cut = core.rng.below(static_cast<std::uint32_t>(burst) / 8 + 1);
    return false;
  }
  return true;
}

void send_error(Core& core, const TransportInput& offending, IcmpErrorKind kind, std::uint32_t info,
                bool even_multicast) {
  // RFC 1122 3.2.2, RFC 4443 2.4 (e): never in answer to an error, to what was sent to more than one station, to a
  // source that is not one station, or to ourselves by way of the wire.
  const LinkCast link = offending.packet.meta().link_cast;
  const bool to_many = offending.cast != IpCast::unicast || link == LinkCast::broadcast ||
                       link == LinkCast::multicast || link == LinkCast::other_host;
  if ((to_many && !even_multicast) || is_icmp_error(offending) ||
      !is_unicast_peer(core, offending.source, offending.interface)) {
    return;
  }
  if (!take_error_token(core, offending.source)) {
    core.counters.add(DropReason::icmp_rate_limited);
    return;
  }
  if (offending.destination.is_v4()) {
    send_error_v4(core, offending, kind, info);
  } else {
    core.modules.ipv6->send_error(core, offending, kind, info);
  }
}

void send_port_unreachable(Core& core, const TransportInput& offending) {
  send_error(core, offending, IcmpErrorKind::port_unreachable);
}

void send_protocol_unreachable(Core& core, const TransportInput& offending) {
  send_error(core, offending, IcmpErrorKind::protocol_unreachable);
}

bool dispatch_error(Core& core, IcmpErrorKind kind, std::uint8_t type, std::uint8_t code, std::uint32_t info,
                    const IpAddress& offender, InterfaceId id, ByteSpan quoted_packet) {
  // I21: one level is parsed, never what a quoted error quotes.
  const auto quoted = wire::parse_quoted(quoted_packet);
  // U3: only what bears one of our addresses can be ours.
  if (!quoted || !is_local_address(core, quoted->source, core.scope)) return false;
  // I4: what speaks of traffic that never was on a wire can't come from one.
  // (The link-local address of ours on one link may be a neighbour's on another.)
  const IpAddress& to_whom = quoted->destination;
  if (id != kNoInterface && !(to_whom.is_link_local() && !to_whom.is_v4()) &&
      is_local_address(core, to_whom, core.scope))
    return false;
  const IcmpError error{.kind = kind,
                        .type = type,
                        .code = code,
                        .info = info,
                        .offender = offender,
                        .local = quoted->source,
                        .remote = quoted->destination,
                        .protocol = static_cast<std::uint8_t>(quoted->protocol),
                        .quoted = quoted->transport,
                        .interface = id,
                        .scope = core.scope};
  const TransportModule* to = nullptr;
  switch (quoted->protocol) {
    case wire::IpProtocol::tcp:
      to = core.modules.tcp;
      break;
    case wire::IpProtocol::udp:
      to = core.modules.udp;
      break;
    case wire::IpProtocol::icmpv4:
    case wire::IpProtocol::icmpv6:
      to = core.modules.icmp;
      break;
    default:
      break;
  }
  if (to != nullptr && to->icmp_error != nullptr) to->icmp_error(core, error);
  if (!core.ip.raw.empty() && core.modules.raw->icmp_error != nullptr) core.modules.raw->icmp_error(core, error);
  return to != nullptr;
}

void report_unreachable(Core& core, const Packet& own) {
  const ByteSpan head = own.head();
  const auto packet = wire::parse_quoted(head);
  if (!packet) return;
  const bool v4 = packet->source.is_v4();
  (void)dispatch_error(core, IcmpErrorKind::host_unreachable, v4 ? 3 : 1, v4 ? 1 : 3, 0, packet->source,
                       own.meta().interface, head);
}

void answer_echo(Core& core, TransportInput&& in, std::uint8_t reply_type) {
  Packet p = std::move(in.packet);
  const std::uint32_t l4 = p.meta().l4_offset;
  // RFC 1122 3.2.2.6: from the address that was asked; a group's answer comes from the interface.
  const IpAddress local = in.cast == IpCast::unicast ? in.destination : IpAddress::any(in.destination.version());
  const InterfaceId bound = in.source.is_link_local() && !in.source.is_v4() ? in.interface : kNoInterface;
  const auto path = find_path(core, in.source, local, bound, core.scope);
  if (!path) {
    core.drop(std::move(p), why_no_path(core, in.source, bound));
    return;
  }
  strip_header(p, l4);
  // The packet itself goes back when nobody else holds it and it has room for headers in front.
  if (!p.exclusive() || p.headroom() < 64) {
    Packet copy = p.copy_to(core.pool);
    if (!copy) {
      core.drop(std::move(p), DropReason::no_buffers);
      return;
    }
    p = std::move(copy);
  }
  const bool unfinished = p.meta().checksum == ChecksumState::to_fill;  // the field holds the pseudo-header's sum
  make_new(p);
  const MutableByteSpan h = p.writable_head();
  if (unfinished) store_be16(&h[2], checksum_finish(checksum_packet(0, p, 0, p.size())));
  const std::uint16_t was = load_be16(&h[0]);
  h[0] = reply_type;
  std::uint16_t sum = checksum_update(load_be16(&h[2]), was, load_be16(&h[0]));
  if (!in.destination.is_v4() && path->source != in.destination) {
    // The pseudo-header changed as well.
    for (std::size_t i = 0; i < 16; i += 2) {
      sum = checksum_update(sum, load_be16(&in.destination.bytes()[i]), load_be16(&path->source.bytes()[i]));
    }
  }
  store_be16(&h[2], sum);
  core.counters.add(Counter::icmp_echo_replied);
  (void)send(core, std::move(p),
             {.source = path->source,
              .destination = in.source,
              .protocol = in.protocol,
              .ttl = static_cast<std::uint8_t>(core.options.get(OptionId::ip_default_ttl)),
              .traffic_class = static_cast<std::uint8_t>(in.traffic_class & 0xfc),
              .dont_fragment = false},
             *path);
}

void icmpv4_input(Core& core, TransportInput&& in) {
  const PacketMeta& m = in.packet.meta();
  const std::uint32_t at = m.l4_offset;
  if (m.head_length < at + wire::Icmpv4Header::kLength ||
      checksum_finish(checksum_packet(0, in.packet, at, m.length - at)) != 0) {
    core.drop(std::move(in.packet), DropReason::icmp_malformed);
    return;
  }
  const auto icmp = wire::Icmpv4View::parse(in.packet.head().subspan(at));
  switch (icmp->type()) {
    case Icmpv4Type::echo_request:
      // U1: RFC 1122 3.2.2.6 leaves it open; an answer to broadcast is what a smurf attack lives on.
      if ((in.cast != IpCast::unicast && !core.options.on(OptionId::icmp_echo_broadcast)) ||
          !is_unicast_peer(core, in.source, in.interface)) {
        break;
      }
      answer_echo(core, std::move(in), static_cast<std::uint8_t>(Icmpv4Type::echo_reply));
      return;
    case Icmpv4Type::echo_reply:
      if (core.modules.icmp == nullptr) break;
      core.modules.icmp->input(core, std::span{&in, 1});
      return;
    case Icmpv4Type::destination_unreachable:
    case Icmpv4Type::time_exceeded:
    case Icmpv4Type::parameter_problem: {
      if (in.cast != IpCast::unicast) break;
      IcmpErrorKind kind = IcmpErrorKind::time_exceeded;
      std::uint32_t info = 0;
      if (icmp->type() == Icmpv4Type::destination_unreachable) {
        kind = unreachable_kind(icmp->code());
        if (kind == IcmpErrorKind::packet_too_big) {
          info = wire::next_hop_mtu(*icmp);
          if (info == 0 && icmp->body().size() >= 4) info = plateau_below(load_be16(&icmp->body()[2]));
        }
      } else if (icmp->type() == Icmpv4Type::parameter_problem) {
        kind = IcmpErrorKind::parameter_problem;
        info = wire::problem_pointer(*icmp);
      }
      if (!dispatch_error(core, kind, static_cast<std::uint8_t>(icmp->type()), icmp->code(), info, in.source,
                          in.interface, icmp->body())) {
        break;
      }
      in.packet.reset();
      return;
    }
    case Icmpv4Type::source_quench:  // U4: RFC 6633 3: ignored
    case Icmpv4Type::redirect:
    case Icmpv4Type::router_advertisement:
    case Icmpv4Type::router_solicitation:
    case Icmpv4Type::timestamp_request:
    case Icmpv4Type::timestamp_reply:
      break;
  }
  core.drop(std::move(in.packet), DropReason::icmp_ignored);
}

}  // namespace leat::ip
