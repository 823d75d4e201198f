// IPv6 input (RFC 8200) and the table of the IPv6 module.

#include <leat/core/iface/link.hpp>
#include <leat/core/iface/mld.hpp>
#include <leat/core/iface/ndp.hpp>
#include <leat/core/ip/icmp_error.hpp>
#include <leat/core/ip/icmpv6.hpp>
#include <leat/core/ip/input.hpp>
#include <leat/wire/ipv6.hpp>
#include <leat/wire/ipv6_ext.hpp>

namespace leat {
namespace {

using namespace ip;  // NOLINT(google-build-using-namespace): this file is part of it

void push_header(Packet& p, const SendInfo& info) {
  const wire::Ipv6Header h{.traffic_class = info.traffic_class,
                           .flow_label = info.flow_label,
                           .payload_length = static_cast<std::uint16_t>(p.size()),
                           .next_header = static_cast<wire::IpProtocol>(info.protocol),
                           .hop_limit = info.ttl,
                           .source = info.source,
                           .destination = info.destination};
  (void)h.emit(p.prepend(wire::Ipv6Header::kLength));
}

// Walks the extension headers. False: the packet was dropped.
bool walk(Core& core, TransportInput& in, const wire::Ipv6View& ip) {
  const auto chain = wire::walk_extensions(ip.next_header(), ip.payload(), ip.payload_length());
  switch (chain.verdict) {
    case wire::Ipv6Extensions::Verdict::deliver:
      in.protocol = static_cast<std::uint8_t>(chain.protocol);
      in.packet.meta().l4_offset = static_cast<std::uint16_t>(wire::Ipv6Header::kLength + chain.payload_offset);
      // RFC 6980 5: neighbour discovery in a fragment, atomic ones included, is dropped.
      if (chain.has_fragment_header && chain.protocol == wire::IpProtocol::icmpv6 &&
          iface::is_ndp(in.packet.head(), in.packet.meta().l4_offset)) {
        core.drop(std::move(in.packet), DropReason::ndp_malformed);
        return false;
      }
      return true;
    case wire::Ipv6Extensions::Verdict::reassemble:
      // I10: RFC 7112 5: the first fragment must hold every header, else filters could be passed by.
      if (chain.fragment.offset == 0 && !chain.whole_chain) {
        core.drop(std::move(in.packet), DropReason::ip_fragment_header_chain);
        return false;
      }
      // Reassembly has its place here: it would take the packet and return the whole one.
      core.drop(std::move(in.packet), DropReason::ip_fragment);
      return false;
    case wire::Ipv6Extensions::Verdict::discard:
      core.drop(std::move(in.packet), DropReason::ip_extension);
      return false;
    case wire::Ipv6Extensions::Verdict::report: {
      // RFC 4443 2.4 (e): whether it is an error itself shows behind the header that is to blame.
      const auto upper = wire::skip_extensions(ip.next_header(), ip.payload());
      in.protocol = static_cast<std::uint8_t>(upper.complete ? upper.protocol : wire::IpProtocol::no_next_header);
      in.packet.meta().l4_offset = static_cast<std::uint16_t>(wire::Ipv6Header::kLength + upper.offset);
      // I9: RFC 8200 4.2.
      send_parameter_problem(core, in, chain.report_code, chain.report_pointer, chain.report_even_multicast);
      core.drop(std::move(in.packet), DropReason::ip_extension);
      return false;
    }
  }
  return false;
}

void input(Core& core, Packet&& packet, InterfaceId id, bool from_wire) {
  if (!need_contiguous(packet, kLongestHeaders)) {
    core.drop(std::move(packet), DropReason::no_buffers);
    return;
  }
  PacketMeta& m = packet.meta();
  auto ip = wire::Ipv6View::parse(packet.head(), m.length);
  if (!ip) {
    core.drop(std::move(packet), DropReason::ip_malformed);
    return;
  }
  TransportInput& in = next_slot(core);
  in.source = ip->source();
  in.destination = ip->destination();
  const std::uint8_t* const wire = packet.head().data();
  const iface::RouteKey source{load_be64(wire + 8), load_be64(wire + 16)};
  const iface::RouteKey destination{load_be64(wire + 24), load_be64(wire + 32)};
  // I3: RFC 4291 2.7, 2.5.3. The unspecified address is for neighbour discovery, which checks it.
  const bool small_source = source.high == 0 && source.low <= 1;  // `::` or ::1
  if (wire[8] == 0xff ||
      (from_wire &&
       ((small_source && source.low == 1) || is_own_or_broadcast(core, source, in.source) ||
        (small_source && ip->next_header() != wire::IpProtocol::icmpv6 && !wire::is_extension(ip->next_header()))))) {
    core.drop(std::move(packet), DropReason::ip_bad_source);
    return;
  }
  Verdict verdict = Verdict::local;
  if ((destination.high == 0 && destination.low <= 1) || (wire[24] == 0xff && (wire[25] & 0x0f) <= 1)) {
    // I4, and RFC 4291 2.7: interface-local groups don't come from a wire.
    if (from_wire) {
      core.drop(std::move(packet), DropReason::ip_bad_destination);
      return;
    }
  } else {
    verdict = verdict_of(core, destination, in.destination, id);
  }
  switch (verdict) {
    case Verdict::local:
    case Verdict::any_ip:
      in.cast = IpCast::unicast;
      if (m.link_cast == LinkCast::broadcast) {
        core.drop(std::move(packet), DropReason::ip_bad_destination);
        return;
      }
      break;
    case Verdict::multicast:
      in.cast = IpCast::multicast;
      break;
    case Verdict::rejected:
      core.drop(std::move(packet), DropReason::ip_reject_route);
      return;
    case Verdict::broadcast:
    case Verdict::foreign:
      // RFC 4862 5.4.3: to a tentative address nothing may be delivered but solicitations, which go to its group.
      core.drop(std::move(packet), DropReason::ip_not_for_us);
      return;
  }
  trim_to(packet, static_cast<std::uint32_t>(ip->total_length()));
  m.l3_offset = 0;
  m.l4_offset = wire::Ipv6Header::kLength;
  in.interface = id;
  in.protocol = static_cast<std::uint8_t>(ip->next_header());
  in.ttl = ip->hop_limit();
  in.traffic_class = ip->traffic_class();
  in.packet = std::move(packet);
  if (wire::is_extension(ip->next_header())) {
    // A chain may be longer than what is contiguous.
    if (!need_contiguous(in.packet, 1280)) {
      core.drop(std::move(in.packet), DropReason::no_buffers);
      return;
    }
    ip = wire::Ipv6View::parse(in.packet.head(), in.packet.size());
    // The walk may answer: what came earlier is done first.
    TransportInput walked = std::move(in);
    flush_staged(core);
    if (!walk(core, walked, *ip)) return;
    if (walked.source.is_unspecified() && walked.protocol != static_cast<std::uint8_t>(wire::IpProtocol::icmpv6)) {
      core.drop(std::move(walked.packet), DropReason::ip_bad_source);
      return;
    }
    TransportInput& slot = next_slot(core);
    slot = std::move(walked);
    deliver(core, slot);
    return;
  }
  deliver(core, in);
}

}  // namespace

const Ipv6Module kIpv6Module{.input = input,
                             .icmp_input = ip::icmpv6_input,
                             .push_header = push_header,
                             .solicit = iface::solicit_neighbor,
                             .probe_duplicate = iface::probe_duplicate,
                             .advertise = iface::advertise_address,
                             .group_report = iface::send_mld_report,
                             .older_group_message = iface::send_mld_older,
                             .send_error = ip::send_error_v6};

}  // namespace leat
