#include <algorithm>
#include <leat/base/text_writer.hpp>
#include <leat/wire/arp.hpp>
#include <leat/wire/icmpv4.hpp>
#include <leat/wire/ndp.hpp>
#include <leat/wire/pretty_print.hpp>
#include <leat/wire/quoted.hpp>
#include <leat/wire/tcp_options.hpp>
#include <leat/wire/udp.hpp>
#include <leat/wire/vlan.hpp>

namespace leat::wire {
namespace {

// A label and a number: ", id 7".
void field(TextWriter& w, std::string_view label, std::uint64_t value) {
  w.put(label);
  w.decimal(value);
}

void malformed(TextWriter& w, std::string_view what, ParseError error, std::size_t length) {
  w.put(what);
  w.put(" malformed (");
  w.put(name_of(error));
  w.put(')');
  field(w, ", length ", length);
}

// "10.0.0.1.80 > 10.0.0.2.1234: "; without ports when there are none.
void addresses(TextWriter& w, const IpAddress& source, const IpAddress& destination, const Port* from = nullptr,
               const Port* to = nullptr) {
  w.formatted(source);
  if (from != nullptr) field(w, ".", from->value());
  w.put(" > ");
  w.formatted(destination);
  if (to != nullptr) field(w, ".", to->value());
  w.put(": ");
}

// The network layer's part, as the transport layers print it.
struct Envelope {
  IpAddress source;
  IpAddress destination;
  std::uint8_t hop_limit;
};

void tcp_options(TextWriter& w, const TcpOptions& o) {
  w.put(", options [");
  bool first = true;
  const auto item = [&](std::string_view name) {
    if (!first) w.put(',');
    first = false;
    w.put(name);
  };
  if (o.mss) {
    item("mss ");
    w.decimal(*o.mss);
  }
  if (o.sack_permitted) item("sackOK");
  if (o.timestamps) {
    item("TS val ");
    w.decimal(o.timestamps->value);
    field(w, " ecr ", o.timestamps->echo);
  }
  if (o.window_scale) {
    item("wscale ");
    w.decimal(*o.window_scale);
  }
  for (const SackBlock& block : o.sack()) {
    item("sack {");
    w.decimal(block.left.value());
    field(w, ":", block.right.value());
    w.put('}');
  }
  if (o.fast_open) {
    item(o.fast_open->empty() ? "tfo cookiereq" : "tfo cookie ");
    for (const std::uint8_t byte : *o.fast_open) w.hex(byte, 2);
  }
  if (o.unknown > 0) {
    item("unknown ");
    w.decimal(o.unknown);
  }
  if (o.malformed) item("malformed");
  w.put(']');
}

void tcp(TextWriter& w, const Envelope& ip, ByteSpan bytes, std::size_t available) {
  const auto view = TcpView::parse(bytes, available);
  if (!view) {
    addresses(w, ip.source, ip.destination);
    return malformed(w, "TCP", view.error(), available);
  }
  const Port from = view->source_port();
  const Port to = view->destination_port();
  addresses(w, ip.source, ip.destination, &from, &to);
  w.put("Flags [");
  const TcpFlags flags = view->flags();
  constexpr std::string_view kLetters = "FSRP.UEWe";  // in the order of the bits
  for (std::size_t bit = 0; bit < kLetters.size(); ++bit) {
    if ((flags.bits() >> bit & 1) != 0) w.put(kLetters[bit]);
  }
  if (flags.bits() == 0) w.put("none");
  w.put(']');
  const std::size_t length = view->payload_length();
  if (length > 0 || flags.any(TcpFlag::syn | TcpFlag::fin | TcpFlag::rst)) {
    field(w, ", seq ", view->seq().value());
    if (length > 0) field(w, ":", (view->seq() + static_cast<std::uint32_t>(length)).value());
  }
  if (flags.ack()) field(w, ", ack ", view->ack().value());
  field(w, ", win ", view->window());
  if (flags.urg()) field(w, ", urg ", view->urgent());
  if (!view->options().empty()) tcp_options(w, TcpOptions::parse(view->options()));
  field(w, ", length ", length);
}

void udp(TextWriter& w, const Envelope& ip, ByteSpan bytes, std::size_t available) {
  const auto view = UdpView::parse(bytes, available);
  if (!view) {
    addresses(w, ip.source, ip.destination);
    return malformed(w, "UDP", view.error(), available);
  }
  const Port from = view->source_port();
  const Port to = view->destination_port();
  addresses(w, ip.source, ip.destination, &from, &to);
  field(w, "UDP, length ", view->payload_length());
}

// The flow that an error speaks of.
void quoted(TextWriter& w, ByteSpan body) {
  const auto packet = parse_quoted(body);
  if (!packet) return;
  w.put(" for ");
  const bool ports =
      packet->has_ports() && (packet->protocol == IpProtocol::tcp || packet->protocol == IpProtocol::udp);
  w.formatted(packet->source);
  if (ports) field(w, ".", packet->source_port().value());
  w.put(" > ");
  w.formatted(packet->destination);
  if (ports) field(w, ".", packet->destination_port().value());
  field(w, " proto ", static_cast<std::uint8_t>(packet->protocol));
}

void icmpv4(TextWriter& w, const Envelope& ip, ByteSpan bytes, std::size_t available) {
  addresses(w, ip.source, ip.destination);
  const auto view = Icmpv4View::parse(bytes);
  if (!view) return malformed(w, "ICMP", view.error(), available);
  w.put("ICMP ");
  switch (view->type()) {
    case Icmpv4Type::echo_request:
    case Icmpv4Type::echo_reply:
      w.put(view->type() == Icmpv4Type::echo_request ? "echo request" : "echo reply");
      field(w, ", id ", view->echo_id());
      field(w, ", seq ", view->echo_sequence());
      break;
    case Icmpv4Type::destination_unreachable:
      field(w, "unreachable code ", view->code());
      if (view->code() == icmpv4_unreachable::kFragmentationNeeded) field(w, " mtu ", next_hop_mtu(*view));
      quoted(w, view->body());
      break;
    case Icmpv4Type::time_exceeded:
      field(w, "time exceeded code ", view->code());
      quoted(w, view->body());
      break;
    default:
      field(w, "type ", static_cast<std::uint8_t>(view->type()));
      field(w, " code ", view->code());
      if (is_error(view->type())) quoted(w, view->body());
      break;
  }
  field(w, ", length ", available);
}

void mac_option(TextWriter& w, std::string_view label, const std::optional<MacAddress>& mac) {
  if (!mac) return;
  w.put(label);
  w.formatted(*mac);
}

// False when the message is not valid neighbour discovery.
bool ndp(TextWriter& w, const Envelope& ip, const Icmpv6View& view) {
  const NdpEnvelope envelope{ip.source, ip.destination, ip.hop_limit};
  switch (view.type()) {
    case Icmpv6Type::router_solicitation: {
      const auto m = RouterSolicitation::parse(view.message(), envelope);
      if (!m) return false;
      w.put("router solicitation");
      mac_option(w, ", source ", m->options.source_mac);
      return true;
    }
    case Icmpv6Type::router_advertisement: {
      const auto m = RouterAdvertisement::parse(view.message(), envelope);
      if (!m) return false;
      field(w, "router advertisement, lifetime ", m->router_lifetime_s);
      for (const PrefixInformation& prefix : m->options.prefixes) {
        w.put(", prefix ");
        w.formatted(IpPrefix{prefix.prefix, prefix.length});
      }
      if (m->options.mtu) field(w, ", mtu ", *m->options.mtu);
      mac_option(w, ", source ", m->options.source_mac);
      return true;
    }
    case Icmpv6Type::neighbor_solicitation: {
      const auto m = NeighborSolicitation::parse(view.message(), envelope);
      if (!m) return false;
      w.put("neighbor solicitation, who has ");
      w.formatted(m->target);
      mac_option(w, ", source ", m->options.source_mac);
      return true;
    }
    case Icmpv6Type::neighbor_advertisement: {
      const auto m = NeighborAdvertisement::parse(view.message(), envelope);
      if (!m) return false;
      w.put("neighbor advertisement, ");
      w.formatted(m->target);
      w.put(" flags [");
      if (m->router) w.put('R');
      if (m->solicited) w.put('S');
      if (m->override_cache) w.put('O');
      w.put(']');
      mac_option(w, ", target ", m->options.target_mac);
      return true;
    }
    case Icmpv6Type::redirect: {
      const auto m = Redirect::parse(view.message(), envelope);
      if (!m) return false;
      w.put("redirect, ");
      w.formatted(m->destination);
      w.put(" to ");
      w.formatted(m->target);
      return true;
    }
    default:
      return false;
  }
}

void icmpv6(TextWriter& w, const Envelope& ip, ByteSpan bytes, std::size_t available) {
  addresses(w, ip.source, ip.destination);
  const auto view = Icmpv6View::parse(bytes);
  if (!view) return malformed(w, "ICMP6", view.error(), available);
  w.put("ICMP6 ");
  switch (view->type()) {
    case Icmpv6Type::echo_request:
    case Icmpv6Type::echo_reply:
      w.put(view->type() == Icmpv6Type::echo_request ? "echo request" : "echo reply");
      field(w, ", id ", view->echo_id());
      field(w, ", seq ", view->echo_sequence());
      break;
    case Icmpv6Type::destination_unreachable:
      field(w, "unreachable code ", view->code());
      quoted(w, view->body());
      break;
    case Icmpv6Type::packet_too_big:
      field(w, "packet too big, mtu ", view->rest());
      quoted(w, view->body());
      break;
    case Icmpv6Type::time_exceeded:
      field(w, "time exceeded code ", view->code());
      quoted(w, view->body());
      break;
    case Icmpv6Type::parameter_problem:
      field(w, "parameter problem code ", view->code());
      field(w, " pointer ", view->rest());
      quoted(w, view->body());
      break;
    default:
      if (ndp(w, ip, *view)) break;
      field(w, "type ", static_cast<std::uint8_t>(view->type()));
      field(w, " code ", view->code());
      break;
  }
  field(w, ", length ", available);
}

void upper_layer(TextWriter& w, const Envelope& ip, IpProtocol protocol, ByteSpan bytes, std::size_t available) {
  switch (protocol) {
    case IpProtocol::tcp:
      return tcp(w, ip, bytes, available);
    case IpProtocol::udp:
      return udp(w, ip, bytes, available);
    case IpProtocol::icmpv4:
      return icmpv4(w, ip, bytes, available);
    case IpProtocol::icmpv6:
      return icmpv6(w, ip, bytes, available);
    default:
      addresses(w, ip.source, ip.destination);
      field(w, "ip-proto-", static_cast<std::uint8_t>(protocol));
      field(w, ", length ", available);
  }
}

void fragment(TextWriter& w, std::uint32_t id, std::size_t offset, std::size_t length, bool more) {
  field(w, "frag id ", id);
  field(w, " offset ", offset);
  field(w, " length ", length);
  if (more) w.put('+');
}

void ipv4(TextWriter& w, ByteSpan bytes, std::size_t total_length) {
  const auto view = Ipv4View::parse(bytes, total_length);
  if (!view) return malformed(w, "IP", view.error(), total_length);
  const Envelope ip{view->source(), view->destination(), view->ttl()};
  w.put("IP ");
  if (view->is_fragment()) {
    addresses(w, ip.source, ip.destination);
    fragment(w, view->id(), view->fragment_offset(), view->payload_length(), view->more_fragments());
    field(w, " ip-proto-", static_cast<std::uint8_t>(view->protocol()));
    return;
  }
  upper_layer(w, ip, view->protocol(), view->payload(), view->payload_length());
}

void ipv6(TextWriter& w, ByteSpan bytes, std::size_t total_length) {
  const auto view = Ipv6View::parse(bytes, total_length);
  if (!view) return malformed(w, "IP6", view.error(), total_length);
  const Envelope ip{view->source(), view->destination(), view->hop_limit()};
  w.put("IP6 ");
  const auto chain = walk_extensions(view->next_header(), view->payload(), view->payload_length());
  switch (chain.verdict) {
    case Ipv6Extensions::Verdict::deliver: {
      const std::size_t offset = std::min<std::size_t>(chain.payload_offset, view->payload().size());
      return upper_layer(w, ip, chain.protocol, view->payload().subspan(offset), view->payload_length() - offset);
    }
    case Ipv6Extensions::Verdict::reassemble:
      addresses(w, ip.source, ip.destination);
      fragment(w, chain.fragment.id, chain.fragment.offset, view->payload_length() - chain.payload_offset,
               chain.fragment.more_fragments);
      field(w, " ip-proto-", static_cast<std::uint8_t>(chain.protocol));
      return;
    case Ipv6Extensions::Verdict::discard:
    case Ipv6Extensions::Verdict::report:
      addresses(w, ip.source, ip.destination);
      w.put("extension headers refused");
      if (chain.verdict == Ipv6Extensions::Verdict::report) {
        field(w, " (code ", chain.report_code);
        field(w, " pointer ", chain.report_pointer);
        w.put(')');
      }
      field(w, ", length ", view->payload_length());
      return;
  }
}

void network(TextWriter& w, ByteSpan bytes, std::size_t total_length) {
  if (!bytes.empty() && (bytes[0] >> 4) == 6) return ipv6(w, bytes, total_length);
  ipv4(w, bytes, total_length);
}

void arp(TextWriter& w, ByteSpan bytes) {
  const auto view = ArpView::parse(bytes);
  if (!view) return malformed(w, "ARP", view.error(), bytes.size());
  if (view->operation() == ArpOperation::request) {
    w.put("ARP, Request who-has ");
    w.formatted(view->target_ip());
    w.put(" tell ");
    w.formatted(view->sender_ip());
  } else {
    w.put("ARP, Reply ");
    w.formatted(view->sender_ip());
    w.put(" is-at ");
    w.formatted(view->sender_mac());
  }
  field(w, ", length ", bytes.size());
}

void link(TextWriter& w, EtherType type, ByteSpan payload, std::size_t length) {
  switch (type) {
    case EtherType::ipv4:
    case EtherType::ipv6:
      return network(w, payload, length);
    case EtherType::arp:
      return arp(w, payload);
    case EtherType::vlan:
    case EtherType::service_vlan:
      break;
  }
  w.put("ethertype 0x");
  w.hex(static_cast<std::uint16_t>(type), 4);
  field(w, ", length ", length);
}

}  // namespace

std::size_t print_frame(ByteSpan bytes, std::size_t total_length, std::span<char> out) {
  TextWriter w{out};
  const auto frame = EthernetView::parse(bytes);
  if (!frame) {
    malformed(w, "Ethernet", frame.error(), total_length);
    return w.length();
  }
  const std::size_t length = std::max(total_length, bytes.size()) - EthernetHeader::kLength;
  if (frame->type() == EtherType::vlan) {
    if (const auto tag = VlanView::parse(frame->payload())) {
      field(w, "vlan ", tag->id());
      w.put(", ");
      link(w, tag->type(), tag->payload(), length - VlanHeader::kLength);
      return w.length();
    }
  }
  link(w, frame->type(), frame->payload(), length);
  return w.length();
}

std::size_t print_ip(ByteSpan bytes, std::size_t total_length, std::span<char> out) {
  TextWriter w{out};
  network(w, bytes, total_length);
  return w.length();
}

}  // namespace leat::wire
