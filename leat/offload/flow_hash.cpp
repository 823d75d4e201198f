#include <leat/offload/flow_hash.hpp>
#include <leat/wire/ipv4.hpp>
#include <leat/wire/ipv6.hpp>
#include <leat/wire/ipv6_ext.hpp>

namespace leat {

std::optional<PacketFlow> packet_flow(ByteSpan ip, FlowDirection direction) {
  if (ip.empty()) return std::nullopt;
  IpAddress source;
  IpAddress destination;
  PacketFlow flow;
  ByteSpan transport;
  bool whole = true;
  if ((ip[0] >> 4) == 4) {
    const auto view = wire::Ipv4View::parse_quoted(ip);
    if (!view) return std::nullopt;
    source = view->source();
    destination = view->destination();
    flow.protocol = view->protocol();
    transport = ip.subspan(view->header_length());
    whole = !view->is_fragment();
  } else {
    const auto view = wire::Ipv6View::parse_quoted(ip);
    if (!view) return std::nullopt;
    source = view->source();
    destination = view->destination();
    transport = ip.subspan(wire::Ipv6Header::kLength);
    flow.protocol = view->next_header();
    // Walk by hand: a fragment of any offset is steered by its addresses, so that all parts meet.
    for (std::size_t i = 0; i < wire::kMaxExtensionHeaders && wire::is_extension(flow.protocol); ++i) {
      if (flow.protocol == wire::IpProtocol::fragment) whole = false;
      const std::size_t length =
          transport.size() < 8 ? 0
                               : (flow.protocol == wire::IpProtocol::fragment ? 8 : 8 + std::size_t{transport[1]} * 8);
      if (length == 0 || length > transport.size()) {
        whole = false;
        break;
      }
      flow.protocol = static_cast<wire::IpProtocol>(transport[0]);
      transport = transport.subspan(length);
    }
  }
  Port source_port;
  Port destination_port;
  flow.has_ports = whole && transport.size() >= 4 &&
                   (flow.protocol == wire::IpProtocol::tcp || flow.protocol == wire::IpProtocol::udp);
  if (flow.has_ports) {
    source_port = Port{load_be16(&transport[0])};
    destination_port = Port{load_be16(&transport[2])};
  }
  if (direction == FlowDirection::received) {
    flow.key = {.local = destination, .remote = source, .local_port = destination_port, .remote_port = source_port};
  } else {
    flow.key = {.local = source, .remote = destination, .local_port = source_port, .remote_port = destination_port};
  }
  return flow;
}

}  // namespace leat
