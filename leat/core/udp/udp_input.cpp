#include <leat/core/iface/multicast.hpp>
#include <leat/core/ip/error_report.hpp>
#include <leat/core/ip/ip.hpp>
#include <leat/core/udp/udp_input.hpp>
#include <leat/offload/checksum_completion.hpp>
#include <leat/wire/udp.hpp>

namespace leat::udp {
namespace {

// U6: lengths and checksum. Trims what stands behind the datagram.
bool valid(TransportInput& in) {
  PacketMeta& m = in.packet.meta();
  const std::uint32_t l4 = m.l4_offset;
  if (m.head_length < l4 + wire::UdpHeader::kLength &&
      (in.packet.size() < l4 + wire::UdpHeader::kLength || !in.packet.pull(l4 + wire::UdpHeader::kLength))) {
    return false;
  }
  const std::uint32_t available = m.length - l4;
  const auto udp = wire::UdpView::parse(in.packet.head().subspan(l4), available);
  if (!udp) return false;
  if (!checksum_trusted(m.checksum)) {
    if (!udp->has_checksum()) {
      // RFC 768: none was made. RFC 8200 8.1: over IPv6 there must be one.
      if (!in.destination.is_v4()) return false;
    } else {
      const auto length = static_cast<std::uint32_t>(udp->length());
      const Sum pseudo = pseudo_header_sum(in.source, in.destination, in.protocol, length);
      if (checksum_finish(checksum_packet(pseudo, in.packet, l4, length)) != 0) return false;
    }
  }
  if (udp->length() < available) in.packet.truncate(l4 + static_cast<std::uint32_t>(udp->length()));
  m.payload_offset = static_cast<std::uint16_t>(l4 + wire::UdpHeader::kLength);
  return true;
}

bool give(Core& core, Index i, Packet&& p) {
  UdpSocket& s = core.udp.sockets[i];
  const std::int64_t limit = core.options_of(core.sockets[s.socket]).get(OptionId::receive_buffer);
  if (s.read_shut) {
    core.drop(std::move(p), DropReason::udp_receive_full);
    return false;
  }
  if (!s.queue.push(core, std::move(p), limit, DropReason::udp_receive_full)) return false;
  core.counters.add(Counter::udp_received);
  core.sockets.notify(s.socket, Ready::readable);
  return true;
}

void one(Core& core, TransportInput& in) {
  if (!valid(in)) {
    core.drop(std::move(in.packet), DropReason::udp_malformed);
    return;
  }
  const std::uint8_t* const ports = &in.packet.head()[in.packet.meta().l4_offset];
  const FlowKey flow{in.destination, in.source, Port{load_be16(ports + 2)}, Port{load_be16(ports)}, core.scope};
  const BindKey key{in.destination, flow.local_port, in.interface, core.scope};
  if (in.cast != IpCast::unicast) {
    // RFC 1122 4.1.3.3: everybody who listens gets it.
    Index last = kNoIndex;
    core.udp.binds.for_each_match(key, [&](Index i) {
      if (in.cast == IpCast::multicast && !iface::wants(core, core.udp.sockets[i], in)) return;
      if (last != kNoIndex) {
        if (Packet copy = in.packet.clone()) {
          give(core, last, std::move(copy));
        } else {
          core.counters.add(DropReason::no_buffers);
        }
      }
      last = i;
    });
    if (last != kNoIndex) {
      give(core, last, std::move(in.packet));
    } else {
      core.drop(std::move(in.packet), DropReason::udp_no_socket);
    }
    return;
  }
  const FlowHash hash = core.udp.flows.hash(flow);
  Index i = find_connected(core, flow, in.interface);
  if (i == kNoIndex) i = core.udp.binds.lookup(key, hash);
  if (i != kNoIndex) {
    give(core, i, std::move(in.packet));
    return;
  }
  // RFC 1122 4.1.3.1.
  ip::send_port_unreachable(core, in);
  core.drop(std::move(in.packet), DropReason::udp_no_socket);
}

// A socket of one interface hears no other, its peer's address notwithstanding.
bool hears(const Core& core, const UdpSocket& s, InterfaceId id) {
  const auto bound = static_cast<InterfaceId>(core.options_of(core.sockets[s.socket]).get(OptionId::bind_interface));
  return bound == kNoInterface || bound == id;
}

}  // namespace

Index find_connected(const Core& core, const FlowKey& key, InterfaceId interface) {
  if (core.udp.flows.size() == 0) return kNoIndex;
  const FlowValue v = core.udp.flows.find(core.udp.flows.hash(key), [&](FlowValue candidate) {
    const UdpSocket& s = core.udp.sockets[candidate.index()];
    return s.local.port == key.local_port && s.remote.port == key.remote_port && s.local.address == key.local &&
           s.remote.address == key.remote && hears(core, s, interface);
  });
  return v ? v.index() : kNoIndex;
}

void input(Core& core, std::span<TransportInput> packets) {
  for (TransportInput& in : packets) one(core, in);
}

void icmp_error(Core& core, const IcmpError& e) {
  if (e.quoted.size() < 8) return;
  // What is quoted was sent by us: its source is our side.
  const FlowKey flow{e.local, e.remote, Port{load_be16(&e.quoted[0])}, Port{load_be16(&e.quoted[2])}, e.scope};
  Index i = find_connected(core, flow, e.interface);
  const bool connected = i != kNoIndex;
  if (!connected) {
    i = core.udp.binds.lookup({e.local, flow.local_port, e.interface, e.scope}, core.udp.flows.hash(flow));
    if (i == kNoIndex) return;
  }
  const UdpSocket& s = core.udp.sockets[i];
  const bool queues = ip::queues_errors(core, s.socket);
  // U3: an unconnected socket is told only of the destination that it used last, and only what it can't be blind to: a
  // path MTU, and a next hop that did not answer us. One that queues errors is told everything: the queue says of what.
  const bool last_peer = connected || s.path_to == e.remote;
  const bool no_next_hop = e.kind == IcmpErrorKind::host_unreachable && e.offender == e.local;
  const bool too_big = e.kind == IcmpErrorKind::packet_too_big;
  if (!connected && !queues && (!last_peer || (!too_big && !no_next_hop))) return;
  core.counters.add(Counter::icmp_errors_accepted);
  if (too_big) {
    if (last_peer) ip::update_path_mtu(core, e.remote, e.info, e.scope);
    if (!queues) return;
  }
  // RFC 1122 4.1.3.3: every ICMP error is passed to the application.
  report_error(core, s, e, flow.remote_port, e.quoted.subspan(wire::UdpHeader::kLength));
}

}  // namespace leat::udp
