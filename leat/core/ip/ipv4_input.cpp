// IPv4 input: RFC 791, RFC 1122 3.2.1. And what both versions share behind it: the verdict on a destination and the
// hand-over to transports.

#include <leat/core/iface/iface.hpp>
#include <leat/core/iface/multicast.hpp>
#include <leat/core/ip/icmp_error.hpp>
#include <leat/core/ip/input.hpp>
#include <leat/wire/ipv4.hpp>

namespace leat::ip {
namespace {

// RFC 4541 2.1.1: a switch without an address asks for members of groups from 0.0.0.0.
bool snooper_asks(const wire::Ipv4View& ip) {
  return ip.protocol() == wire::IpProtocol::igmp && ip.source().is_unspecified() && ip.destination().is_multicast();
}

// I3: 0/8, 127/8, multicast and 240/4 (broadcast included) are nobody's source. RFC 1122 3.2.1.3, RFC 6890.
bool impossible_source(std::uint32_t a) {
  const std::uint32_t top = a >> 24;
  return top == 0 || top == 127 || top >= 224;
}

iface::RouteKey mapped(std::uint32_t a) {
  return {0, 0xffff'0000'0000ULL | a};
}

// The sum of the 20 bytes of a header without options, in the machine's own byte order: RFC 1071 2 (B) has the order
// not matter to whether it is all ones.
bool header_sum_is_right(const std::uint8_t* header) {
  std::uint64_t first = 0;
  std::uint64_t second = 0;
  std::uint32_t last = 0;
  std::memcpy(&first, header, 8);
  std::memcpy(&second, header + 8, 8);
  std::memcpy(&last, header + 16, 4);
  const auto halves = [](std::uint64_t word) { return (word >> 32) + static_cast<std::uint32_t>(word); };
  return checksum_fold(halves(first) + halves(second) + last) == 0xffff;
}

// I6: what options call for. Everything but source routes is skipped: we forward nothing and record nothing.
bool options_allow(Core& core, TransportInput& in, const wire::Ipv4View& ip) {
  const auto options = wire::Ipv4Options::parse(ip.options());
  if (options.malformed) {
    // RFC 1122 3.2.2.5: the pointer names the octet.
    send_error(core, in, IcmpErrorKind::parameter_problem, options.problem_at);
    core.drop(std::move(in.packet), DropReason::ip_malformed);
    return false;
  }
  if (options.source_route && !core.options.on(OptionId::ip_accept_source_route)) {
    core.drop(std::move(in.packet), DropReason::ip_source_route);
    return false;
  }
  return true;
}

// Copies for raw sockets. True when one asked for this very protocol.
bool offer_raw(Core& core, const TransportInput& in) {
  bool exact = false;
  const unsigned takers = core.ip.raw.for_each(in.destination.version(), in.protocol, [&](Index s) {
    exact = exact || core.ip.raw_sockets[s].protocol == in.protocol;
  });
  if (takers == 0) return false;
  TransportInput copy;
  copy.packet = in.packet.clone();
  if (!copy.packet) {
    core.counters.add(DropReason::no_buffers);
    return exact;
  }
  copy.source = in.source;
  copy.destination = in.destination;
  copy.interface = in.interface;
  copy.protocol = in.protocol;
  copy.ttl = in.ttl;
  copy.traffic_class = in.traffic_class;
  copy.cast = in.cast;
  core.modules.raw->input(core, std::span{&copy, 1});
  return exact;
}

}  // namespace

bool stage_usual_segment(Core& core, Packet& packet, InterfaceId id, std::uint32_t at) {
  PacketMeta& m = packet.meta();
  if (m.head_length < at + wire::Ipv4Header::kLength || core.modules.tcp == nullptr || !core.ip.raw.empty()) {
    return false;
  }
  const std::uint8_t* const h = packet.head().data() + at;
  const std::uint32_t first = load_be32(h);
  const std::uint32_t total = first & 0xffff;
  const std::uint32_t source = load_be32(h + 12);
  const iface::RouteKey destination = mapped(load_be32(h + 16));
  const State::CachedVerdict& cached = core.ip.verdicts[State::verdict_slot(destination, id)];
  if (first >> 24 != 0x45 || total < wire::Ipv4Header::kLength || at + total > m.length || m.fragment_count != 0 ||
      m.head_length < at + std::min(total, kLongestHeaders) || (load_be16(h + 6) & 0x3fff) != 0 ||
      h[9] != static_cast<std::uint8_t>(wire::IpProtocol::tcp) || impossible_source(source) ||
      core.iface.filter_has(mapped(source)) || cached.epoch != core.route_epoch || cached.destination != destination ||
      cached.interface != id || cached.verdict != Verdict::local || !header_sum_is_right(h)) {
    return false;
  }
  m.offset += at;
  m.head_length = total;
  m.length = total;
  m.l3_offset = 0;
  m.l4_offset = wire::Ipv4Header::kLength;
  TransportInput& in = next_slot(core);
  in.packet = std::move(packet);
  in.source = IpAddress::v4(source);
  in.destination = IpAddress::v4(static_cast<std::uint32_t>(destination.low));
  in.interface = id;
  in.protocol = static_cast<std::uint8_t>(wire::IpProtocol::tcp);
  in.ttl = h[8];
  in.traffic_class = h[1];
  in.cast = IpCast::unicast;
  core.counters.add(Counter::ip_received);
  if (++core.ip.staged_count == core.ip.staged.size()) flush_staged(core);
  return true;
}

void input_by_version(Core& core, Packet&& p, InterfaceId id, Origin origin) {
  const unsigned version =
      p.meta().head_length > 0 || p.pull(std::min<std::uint32_t>(p.size(), 1U)) ? p.head()[0] >> 4 : 0;
  if (version == 4) {
    ipv4_input(core, std::move(p), id, origin);
  } else if (version == 6 && core.modules.ipv6 != nullptr) {
    ipv6_input(core, std::move(p), id, origin);
  } else {
    core.drop(std::move(p), DropReason::ip_malformed);
  }
}

Verdict look_up_verdict(Core& core, const IpAddress& to, InterfaceId in) {
  Verdict v = Verdict::foreign;
  if (to.is_multicast()) {
    if (in == kNoInterface || iface::is_member(core, in, to)) v = Verdict::multicast;
  } else if (to.is_limited_broadcast()) {
    v = Verdict::broadcast;
  } else if (core.iface.any_ip_routes + core.iface.reject_routes > 0 || core.iface.filter_has(to)) {
    const Index r = core.iface.routes.find(core.scope, to, [&](const iface::Route& route) {
      // A link-local address means something on its own link only (RFC 4007 6).
      return route.kind != iface::RouteKind::local || !to.is_link_local() || to.is_v4() || in == kNoInterface ||
             route.interface == in;
    });
    if (r != kNoIndex) {
      switch (core.iface.routes[r].kind) {
        case iface::RouteKind::local:
          v = Verdict::local;
          break;
        case iface::RouteKind::any_ip:
          v = Verdict::any_ip;
          break;
        case iface::RouteKind::broadcast:
          v = Verdict::broadcast;
          break;
        case iface::RouteKind::reject:
          v = Verdict::rejected;
          break;
        case iface::RouteKind::unicast:
          break;
      }
    }
  }
  const iface::RouteKey words{to};
  core.ip.verdicts[State::verdict_slot(words, in)] = {words, core.route_epoch, in, v};
  return v;
}

bool is_listed_as_own(const Core& core, const IpAddress& a) {
  const Index r = core.iface.routes.find(core.scope, a, [](const iface::Route&) { return true; });
  return r != kNoIndex && (core.iface.routes[r].kind == iface::RouteKind::local ||
                           core.iface.routes[r].kind == iface::RouteKind::broadcast);
}

void ipv4_input(Core& core, Packet&& packet, InterfaceId id, Origin origin) {
  if (packet.meta().link_cast == LinkCast::unicast && stage_usual_segment(core, packet, id, 0)) return;
  if (!need_contiguous(packet, kLongestHeaders)) {
    core.drop(std::move(packet), DropReason::no_buffers);
    return;
  }
  PacketMeta& m = packet.meta();
  // I1: lengths and version.
  const auto ip = wire::Ipv4View::parse(packet.head(), m.length);
  if (!ip) {
    core.drop(std::move(packet), DropReason::ip_malformed);
    return;
  }
  // I2: the header checksum is cheap enough to verify always, but for a packet that was merged from several: its header
  // stands for many, whose checksums were verified by whoever merged them.
  const bool merged = (m.merged > 1 || m.gso_size > 0) && checksum_trusted(m.checksum);
  if (!merged && !ip->checksum_ok()) {
    core.drop(std::move(packet), DropReason::ip_bad_checksum);
    return;
  }
  TransportInput& in = next_slot(core);
  in.source = ip->source();
  in.destination = ip->destination();
  const bool wire_origin = origin == Origin::wire;
  const std::uint32_t source = load_be32(&packet.head()[12]);
  const std::uint32_t destination = load_be32(&packet.head()[16]);
  if (wire_origin &&
      ((impossible_source(source) && !snooper_asks(*ip)) || is_own_or_broadcast(core, mapped(source), in.source))) {
    core.drop(std::move(packet), DropReason::ip_bad_source);
    return;
  }
  Verdict verdict = Verdict::local;
  if (destination >> 24 == 127) {
    // I4: RFC 1122 3.2.1.3 (g): never outside a host.
    if (wire_origin) {
      core.drop(std::move(packet), DropReason::ip_bad_destination);
      return;
    }
  } else {
    verdict = verdict_of(core, mapped(destination), in.destination, id);
  }
  switch (verdict) {
    case Verdict::local:
    case Verdict::any_ip:
      in.cast = IpCast::unicast;
      // RFC 1122 3.3.6: a unicast destination in a broadcast frame is somebody's mistake or attack.
      if (m.link_cast == LinkCast::broadcast) {
        core.drop(std::move(packet), DropReason::ip_bad_destination);
        return;
      }
      break;
    case Verdict::broadcast:
      in.cast = IpCast::broadcast;
      break;
    case Verdict::multicast:
      in.cast = IpCast::multicast;
      break;
    case Verdict::rejected:
      core.drop(std::move(packet), DropReason::ip_reject_route);
      return;
    case Verdict::foreign:
      core.drop(std::move(packet), DropReason::ip_not_for_us);
      return;
  }
  // L1: what the link padded is not ours.
  trim_to(packet, static_cast<std::uint32_t>(ip->total_length()));
  m.l3_offset = 0;
  m.l4_offset = static_cast<std::uint16_t>(ip->header_length());
  in.interface = id;
  in.protocol = static_cast<std::uint8_t>(ip->protocol());
  in.ttl = ip->ttl();
  in.traffic_class = ip->tos();
  if (ip->is_fragment()) {
    // Reassembly has its place here: it would take the packet and return the whole one.
    core.drop(std::move(packet), DropReason::ip_fragment);
    return;
  }
  in.packet = std::move(packet);
  if (ip->has_options()) {
    // A refusal may answer: what came earlier is done first.
    TransportInput asked = std::move(in);
    flush_staged(core);
    if (!options_allow(core, asked, *ip)) return;
    TransportInput& slot = next_slot(core);
    slot = std::move(asked);
    deliver(core, slot);
    return;
  }
  deliver(core, in);
}

void deliver_slowly(Core& core, TransportInput& slot) {
  // What came earlier is done first, so that order stays. That takes the slots over: this one moves out of the way.
  TransportInput in = std::move(slot);
  flush_staged(core);
  bool taken = false;
  if (!core.ip.raw.empty()) taken = offer_raw(core, in);
  if (in.protocol == static_cast<std::uint8_t>(wire::IpProtocol::tcp) &&
      in.packet.meta().link_cast == LinkCast::multicast) {
    // L3: a connection has one peer, and no station may answer with a reset what the link gave to many.
    core.drop(std::move(in.packet), DropReason::ip_bad_destination);
    return;
  }
  if (in.protocol == static_cast<std::uint8_t>(wire::IpProtocol::tcp) && core.modules.tcp != nullptr) {
    next_slot(core) = std::move(in);
    ++core.ip.staged_count;
    flush_staged(core);
    return;
  }
  if (in.protocol == static_cast<std::uint8_t>(wire::IpProtocol::udp) && core.modules.udp != nullptr) {
    core.modules.udp->input(core, std::span{&in, 1});
    return;
  }
  const bool v4 = in.destination.is_v4();
  if (v4 && in.protocol == static_cast<std::uint8_t>(wire::IpProtocol::igmp)) {
    iface::igmp_input(core, std::move(in));
    return;
  }
  if (v4 && in.protocol == static_cast<std::uint8_t>(wire::IpProtocol::icmpv4)) {
    icmpv4_input(core, std::move(in));
    return;
  }
  if (!v4 && in.protocol == static_cast<std::uint8_t>(wire::IpProtocol::icmpv6)) {
    core.modules.ipv6->icmp_input(core, std::move(in));
    return;
  }
  if (taken) {
    in.packet.reset();
    return;
  }
  // RFC 8200 4.7: "no next header" asks for silence.
  if (!(in.protocol == static_cast<std::uint8_t>(wire::IpProtocol::no_next_header) && !v4)) {
    send_protocol_unreachable(core, in);
  }
  core.drop(std::move(in.packet), DropReason::ip_unknown_protocol);
}

}  // namespace leat::ip
