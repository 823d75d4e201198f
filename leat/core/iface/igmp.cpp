// IGMP messages (RFC 1112 appendix I, RFC 2236, RFC 3376): what comes and what goes. What it means:
// multicast_query.cpp.

#include <leat/core/iface/iface.hpp>
#include <leat/core/iface/link.hpp>
#include <leat/core/iface/multicast_report.hpp>
#include <leat/core/ip/input.hpp>
#include <leat/wire/igmp.hpp>
#include <leat/wire/ipv4.hpp>

namespace leat::iface {
namespace {

constexpr IpAddress kAllRouters = IpAddress::v4(224, 0, 0, 2);
constexpr IpAddress kAllV3Routers = IpAddress::v4(224, 0, 0, 22);  // RFC 3376 4.2.14
constexpr std::uint32_t kOverhead = 24;                            // the IP header with its option

bool send_message(Core& core, InterfaceId id, Packet&& p, const IpAddress& to) {
  const auto alert = wire::router_alert_option();
  // RFC 3376 4: TTL 1, precedence internetwork control, a router alert. An interface without an address says 0.0.0.0.
  const wire::Ipv4Header h{.tos = 0xc0,
                           .id = static_cast<std::uint16_t>(core.rng.next32()),
                           .dont_fragment = true,
                           .ttl = 1,
                           .protocol = wire::IpProtocol::igmp,
                           .source = select_source(core, id, to),
                           .destination = to,
                           .payload_length = static_cast<std::uint16_t>(p.size()),
                           .options = alert};
  (void)h.emit(p.prepend(kOverhead));
  p.meta().l3_offset = 0;
  const Interface& ifc = core.iface.interfaces[id - 1U];
  if (ifc.link == LinkType::ethernet) push_ethernet(p, ifc.mac, to.multicast_mac(), wire::EtherType::ipv4);
  return enqueue(core, id, std::move(p), true);
}

GroupQuery query_of(const wire::IgmpQuery& q, ByteSpan message) {
  using From = wire::IgmpQuery::Version;
  return {.version = q.version == From::v1   ? QuerierVersion::oldest
                     : q.version == From::v2 ? QuerierVersion::older
                                             : QuerierVersion::current,
          .group = q.group,
          .sources = q.sources(message),
          .max_response_ms = q.max_response_ms,
          .robustness = q.robustness,
          .interval_s = q.interval_s};
}

}  // namespace

bool send_igmp_report(Core& core, InterfaceId id, ReportKind kind, Index only_group) {
  return write_report<wire::IgmpReportWriter>(core, id, IpVersion::v4, kind, only_group, kOverhead, [&](Packet&& p) {
    return send_message(core, id, std::move(p), kAllV3Routers);
  });
}

bool send_igmp_older(Core& core, InterfaceId id, OlderMessage message, const IpAddress& group) {
  Packet p = core.pool.allocate(ChunkClass::small, kHeadroom, Priority::control);
  if (!p) {
    core.counters.add(DropReason::no_buffers);
    return false;
  }
  const bool leave = message == OlderMessage::leave;
  const wire::IgmpType type = leave                                    ? wire::IgmpType::v2_leave
                              : message == OlderMessage::oldest_report ? wire::IgmpType::v1_report
                                                                       : wire::IgmpType::v2_report;
  (void)wire::IgmpV2Message{type, group}.emit(p.append(8));
  return send_message(core, id, std::move(p), leave ? kAllRouters : group);
}

void igmp_input(Core& core, TransportInput&& in) {
  const Interface* const ifc = core.iface.find(in.interface);
  const std::uint32_t at = in.packet.meta().l4_offset;
  if (ifc == nullptr || in.cast == IpCast::broadcast || !ip::need_contiguous(in.packet, 1500)) {
    core.drop(std::move(in.packet), DropReason::igmp_ignored);
    return;
  }
  const ByteSpan message = in.packet.head().subspan(at);
  if (const auto query = wire::IgmpQuery::parse(message)) {
    // RFC 3376 4: no router passes it on, so one with another TTL is not from this link.
    if (in.ttl == 1) {
      group_queried(core, in.interface, query_of(*query, message));
      in.packet.reset();
      return;
    }
  } else if (const auto report = wire::IgmpV2Message::parse(message);
             report && report->type != wire::IgmpType::v2_leave && in.destination == report->group) {
    group_reported(core, in.interface, report->group);
    in.packet.reset();
    return;
  }
  core.drop(std::move(in.packet), DropReason::igmp_ignored);
}

}  // namespace leat::iface
