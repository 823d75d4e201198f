#include <leat/base/byte_reader.hpp>
#include <leat/core/iface/link.hpp>
#include <leat/core/iface/mld.hpp>
#include <leat/core/iface/multicast_report.hpp>
#include <leat/core/ip/input.hpp>
#include <leat/wire/ipv6.hpp>

namespace leat::iface {
namespace {

constexpr IpAddress kAllRouters = IpAddress::v6({0xff02, 0, 0, 0, 0, 0, 0, 2});
constexpr IpAddress kAllMldv2Routers = IpAddress::v6({0xff02, 0, 0, 0, 0, 0, 0, 0x16});  // RFC 3810 5.2.14
constexpr std::uint32_t kOverhead = wire::Ipv6Header::kLength + wire::kMldHopByHopLength;

bool send_message(Core& core, InterfaceId id, Packet&& p, const IpAddress& to) {
  // RFC 3810 5.2.13, RFC 3590 4: from a link-local address, or from none while there is none.
  IpAddress from = select_source(core, id, to);
  if (!from.is_link_local()) from = IpAddress{};
  wire::finish_icmpv6_checksum(p.writable_head(), from, to);
  const auto alert = wire::mld_hop_by_hop();
  std::copy(alert.begin(), alert.end(), p.prepend(wire::kMldHopByHopLength).begin());
  core.modules.ipv6->push_header(p, {.source = from,
                                     .destination = to,
                                     .protocol = static_cast<std::uint8_t>(wire::IpProtocol::hop_by_hop),
                                     .ttl = 1});
  p.meta().l3_offset = 0;
  const Interface& ifc = core.iface.interfaces[id - 1U];
  if (ifc.link == LinkType::ethernet) push_ethernet(p, ifc.mac, to.multicast_mac(), wire::EtherType::ipv6);
  return enqueue(core, id, std::move(p), true);
}

// RFC 3810 5.1.14, 6.2: from a router of this link, and marked for routers. The packet begins at its IPv6 header; its
// chain of extensions was walked.
bool is_of_this_link(const TransportInput& in) {
  const ByteSpan head = in.packet.head();
  if (in.ttl != 1 || !in.source.is_link_local() || head[6] != static_cast<std::uint8_t>(wire::IpProtocol::hop_by_hop)) {
    return false;
  }
  ByteReader header{head.subspan(wire::Ipv6Header::kLength)};
  header.skip(1);
  const std::size_t length = header.u8() * std::size_t{8} + 6;
  ByteReader options{header.bytes(length)};
  while (!options.at_end()) {
    const std::uint8_t type = options.u8();
    if (type == 0) continue;  // Pad1
    const ByteSpan value = options.bytes(options.u8());
    if (type == 5 && value.size() == 2 && load_be16(value.data()) == 0) return true;  // RFC 2711 2.1
  }
  return false;
}

}  // namespace

bool send_mld_report(Core& core, InterfaceId id, ReportKind kind, Index only_group) {
  return write_report<wire::MldReportWriter>(core, id, IpVersion::v6, kind, only_group, kOverhead, [&](Packet&& p) {
    return send_message(core, id, std::move(p), kAllMldv2Routers);
  });
}

bool send_mld_older(Core& core, InterfaceId id, OlderMessage message, const IpAddress& group) {
  Packet p = core.pool.allocate(ChunkClass::small, kHeadroom, Priority::control);
  if (!p) {
    core.counters.add(DropReason::no_buffers);
    return false;
  }
  const bool leave = message == OlderMessage::leave;
  (void)wire::MldV1Message{leave ? wire::Icmpv6Type::mld_done : wire::Icmpv6Type::mld_report, group}.emit(p.append(24));
  return send_message(core, id, std::move(p), leave ? kAllRouters : group);
}

void mld_input(Core& core, TransportInput&& in) {
  const std::uint32_t at = in.packet.meta().l4_offset;
  if (core.iface.find(in.interface) == nullptr || !ip::need_contiguous(in.packet, 1500) || !is_of_this_link(in)) {
    core.drop(std::move(in.packet), DropReason::igmp_ignored);
    return;
  }
  const ByteSpan message = in.packet.head().subspan(at);
  if (const auto query = wire::MldQuery::parse(message)) {
    group_queried(
        core, in.interface,
        {.version = query->version == wire::MldQuery::Version::v1 ? QuerierVersion::older : QuerierVersion::current,
         .group = query->group,
         .sources = query->sources(message),
         .max_response_ms = query->max_response_ms,
         .robustness = query->robustness,
         .interval_s = query->interval_s});
  } else if (const auto report = wire::MldV1Message::parse(message);
             report && report->type == wire::Icmpv6Type::mld_report && report->group == in.destination) {
    group_reported(core, in.interface, report->group);
  } else {
    core.drop(std::move(in.packet), DropReason::igmp_ignored);
    return;
  }
  in.packet.reset();
}

}  // namespace leat::iface
