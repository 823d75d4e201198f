#include <leat/core/iface/link.hpp>
#include <leat/core/iface/mld.hpp>
#include <leat/core/iface/ndp.hpp>
#include <leat/core/ip/icmp_error.hpp>
#include <leat/core/ip/icmpv6.hpp>
#include <leat/core/ip/input.hpp>
#include <leat/offload/checksum_completion.hpp>
#include <leat/wire/icmpv6.hpp>
#include <leat/wire/ipv6.hpp>
#include <leat/wire/ipv6_ext.hpp>

namespace leat::ip {
namespace {

using wire::Icmpv6Type;

// A parameter problem carries its code in the upper byte of `info`: pointers are below 65,536.
constexpr unsigned kCodeShift = 24;

IcmpErrorKind kind_of(Icmpv6Type type, std::uint8_t code) {
  switch (type) {
    case Icmpv6Type::destination_unreachable:
      switch (code) {
        case wire::icmpv6_unreachable::kNoRoute:
        case wire::icmpv6_unreachable::kBeyondScope:
          return IcmpErrorKind::network_unreachable;
        case wire::icmpv6_unreachable::kPort:
          return IcmpErrorKind::port_unreachable;
        case wire::icmpv6_unreachable::kProhibited:
        case wire::icmpv6_unreachable::kPolicy:
        case wire::icmpv6_unreachable::kRejectRoute:
          return IcmpErrorKind::prohibited;
        default:
          return IcmpErrorKind::host_unreachable;
      }
    case Icmpv6Type::packet_too_big:
      return IcmpErrorKind::packet_too_big;
    case Icmpv6Type::time_exceeded:
      return IcmpErrorKind::time_exceeded;
    case Icmpv6Type::parameter_problem:
      return code == wire::icmpv6_problem::kNextHeader ? IcmpErrorKind::protocol_unreachable
                                                       : IcmpErrorKind::parameter_problem;
    default:
      return IcmpErrorKind::other;
  }
}

// The byte of the packet that names the protocol which nobody took.
std::uint32_t next_header_pointer(const Packet& p) {
  const auto ip = wire::Ipv6View::parse_quoted(p.head());
  if (!ip || !wire::is_extension(ip->next_header())) return wire::Ipv6Header::kNextHeaderOffset;
  return wire::walk_extensions(ip->next_header(), ip->payload(), ip->payload_length()).next_header_at;
}

}  // namespace

void send_error_v6(Core& core, const TransportInput& offending, IcmpErrorKind kind, std::uint32_t info) {
  wire::Icmpv6Header h{.type = Icmpv6Type::destination_unreachable};
  switch (kind) {
    case IcmpErrorKind::port_unreachable:
      h.code = wire::icmpv6_unreachable::kPort;
      break;
    case IcmpErrorKind::protocol_unreachable:
      h.type = Icmpv6Type::parameter_problem;
      h.code = wire::icmpv6_problem::kNextHeader;
      h.rest = next_header_pointer(offending.packet);
      break;
    case IcmpErrorKind::parameter_problem:
      h.type = Icmpv6Type::parameter_problem;
      h.code = static_cast<std::uint8_t>(info >> kCodeShift);
      h.rest = info & ((1U << kCodeShift) - 1);
      break;
    case IcmpErrorKind::packet_too_big:
      h.type = Icmpv6Type::packet_too_big;
      h.rest = info;
      break;
    case IcmpErrorKind::time_exceeded:
      h.type = Icmpv6Type::time_exceeded;
      h.code = 1;
      break;
    case IcmpErrorKind::network_unreachable:
      h.code = wire::icmpv6_unreachable::kNoRoute;
      break;
    case IcmpErrorKind::prohibited:
      h.code = wire::icmpv6_unreachable::kProhibited;
      break;
    case IcmpErrorKind::host_unreachable:
    case IcmpErrorKind::source_route_failed:
    case IcmpErrorKind::other:
      h.code = wire::icmpv6_unreachable::kAddress;
      break;
  }
  // RFC 4443 2.2 (b): an answer to a group comes from an address of the interface.
  const IpAddress local = offending.cast == IpCast::unicast ? offending.destination : IpAddress{};
  const InterfaceId bound = offending.source.is_link_local() ? offending.interface : kNoInterface;
  const auto path = find_path(core, offending.source, local, bound, core.scope);
  if (!path) return;
  // RFC 4443 2.4 (c): as much as fits in the minimum MTU.
  const std::uint32_t quoted = std::min<std::uint32_t>(offending.packet.size(), 1280U - 48U);
  Packet p = core.pool.allocate_for(quoted + wire::Icmpv6Header::kLength);
  if (!p) {
    core.counters.add(DropReason::no_buffers);
    return;
  }
  const MutableByteSpan message = p.append(quoted + wire::Icmpv6Header::kLength);
  (void)h.emit(message);
  offending.packet.copy_out(0, message.subspan(wire::Icmpv6Header::kLength));
  wire::finish_icmpv6_checksum(message, path->source, offending.source);
  core.counters.add(Counter::icmp_errors_sent);
  (void)send(core, std::move(p),
             {.source = path->source,
              .destination = offending.source,
              .protocol = static_cast<std::uint8_t>(wire::IpProtocol::icmpv6),
              .ttl = static_cast<std::uint8_t>(core.options.get(OptionId::ip_default_ttl))},
             *path);
}

void send_parameter_problem(Core& core, const TransportInput& offending, std::uint8_t code, std::uint32_t pointer,
                            bool even_multicast) {
  send_error(core, offending, IcmpErrorKind::parameter_problem, (std::uint32_t{code} << kCodeShift) | pointer,
             even_multicast);
}

void icmpv6_input(Core& core, TransportInput&& in) {
  const PacketMeta& m = in.packet.meta();
  const std::uint32_t at = m.l4_offset;
  const std::uint32_t length = m.length - at;
  if (!need_contiguous(in.packet, at + 8) || m.head_length < at + wire::Icmpv6Header::kLength) {
    core.drop(std::move(in.packet), DropReason::icmp_malformed);
    return;
  }
  if (!checksum_trusted(m.checksum)) {
    const Sum pseudo = pseudo_header_sum(in.source, in.destination, 58, length);
    if (checksum_finish(checksum_packet(pseudo, in.packet, at, length)) != 0) {
      core.drop(std::move(in.packet), DropReason::icmp_malformed);
      return;
    }
  }
  const auto icmp = wire::Icmpv6View::parse(in.packet.head().subspan(at));
  const Icmpv6Type type = icmp->type();
  if (iface::is_ndp(in.packet.head(), at)) {
    iface::ndp_input(core, std::move(in));
    return;
  }
  if (iface::is_mld(in.packet.head(), at)) {
    iface::mld_input(core, std::move(in));
    return;
  }
  // Apart from neighbour discovery nobody without an address may ask anything.
  if (in.source.is_unspecified()) {
    core.drop(std::move(in.packet), DropReason::ip_bad_source);
    return;
  }
  if (type == Icmpv6Type::echo_request) {
    if (in.cast != IpCast::unicast && !core.options.on(OptionId::icmp_echo_broadcast)) {
      core.drop(std::move(in.packet), DropReason::icmp_ignored);
      return;
    }
    answer_echo(core, std::move(in), static_cast<std::uint8_t>(Icmpv6Type::echo_reply));
    return;
  }
  if (type == Icmpv6Type::echo_reply && core.modules.icmp != nullptr) {
    core.modules.icmp->input(core, std::span{&in, 1});
    return;
  }
  if (wire::is_error(type) && in.cast == IpCast::unicast) {
    const std::uint32_t info =
        type == Icmpv6Type::packet_too_big || type == Icmpv6Type::parameter_problem ? icmp->rest() : 0;
    if (dispatch_error(core, kind_of(type, icmp->code()), static_cast<std::uint8_t>(type), icmp->code(), info,
                       in.source, in.interface, icmp->body())) {
      in.packet.reset();
      return;
    }
  }
  // RFC 4443 2.4 (b): an informational message of unknown type is dropped in silence.
  core.drop(std::move(in.packet), DropReason::icmp_ignored);
}

}  // namespace leat::ip
