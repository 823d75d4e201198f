#include <algorithm>
#include <leat/base/byte_reader.hpp>
#include <leat/base/checksum.hpp>
#include <leat/script/names.hpp>
#include <leat/script/segment.hpp>
#include <leat/wire/icmpv4.hpp>
#include <leat/wire/icmpv6.hpp>
#include <leat/wire/ipv4.hpp>
#include <leat/wire/ipv6.hpp>
#include <leat/wire/udp.hpp>

namespace leat::script {
namespace {

using Bytes = std::vector<std::uint8_t>;
using wire::IpProtocol;
using wire::TcpHeader;
using wire::TcpView;

constexpr auto kIcmpv4 = static_cast<std::uint8_t>(IpProtocol::icmpv4);
constexpr auto kIcmpv6 = static_cast<std::uint8_t>(IpProtocol::icmpv6);
constexpr auto kTcp = static_cast<std::uint8_t>(IpProtocol::tcp);
constexpr auto kUdp = static_cast<std::uint8_t>(IpProtocol::udp);

void append_be16(Bytes& out, std::uint32_t v) {
  out.push_back(static_cast<std::uint8_t>(v >> 8));
  out.push_back(static_cast<std::uint8_t>(v));
}
void append_be32(Bytes& out, std::uint32_t v) {
  append_be16(out, v >> 16);
  append_be16(out, v & 0xffff);
}

std::uint8_t traffic_class(const IpSpec& ip) {
  std::uint8_t value = ip.tos.value_or(0);
  const auto mark = [&](unsigned ecn) { value = static_cast<std::uint8_t>((value & ~3U) | ecn); };
  switch (ip.ecn) {
    case EcnSpec::unchecked:
    case EcnSpec::not_ect:
      break;
    case EcnSpec::ect1:
      mark(1);
      break;
    case EcnSpec::ect0:
    case EcnSpec::ect01:
      mark(2);
      break;
    case EcnSpec::ce:
      mark(3);
      break;
  }
  return value;
}

Bytes ip_packet(const IpAddress& source, const IpAddress& destination, std::uint8_t protocol, const IpSpec& ip,
                const Bytes& transport, std::size_t claimed_payload) {
  Bytes out(source.is_v4() ? wire::Ipv4Header::kLength : wire::Ipv6Header::kLength);
  const std::uint8_t ttl = ip.ttl.value_or(255);
  if (source.is_v4()) {
    wire::Ipv4Header h;
    h.tos = traffic_class(ip);
    h.dont_fragment = true;
    h.ttl = ttl;
    h.protocol = static_cast<IpProtocol>(protocol);
    h.source = source;
    h.destination = destination;
    h.payload_length = static_cast<std::uint16_t>(claimed_payload);
    static_cast<void>(h.emit(out));
  } else {
    wire::Ipv6Header h;
    h.traffic_class = traffic_class(ip);
    h.payload_length = static_cast<std::uint16_t>(claimed_payload);
    h.next_header = static_cast<IpProtocol>(protocol);
    h.hop_limit = ttl;
    h.source = source;
    h.destination = destination;
    static_cast<void>(h.emit(out));
  }
  out.insert(out.end(), transport.begin(), transport.end());
  return out;
}

// Writes the checksum at `at`; it covers the pseudo-header of these addresses unless `protocol` is ICMPv4.
void fill_checksum(Bytes& transport, std::size_t at, const IpAddress& source, const IpAddress& destination,
                   std::uint8_t protocol) {
  Sum sum = 0;
  if (protocol != kIcmpv4) {
    sum = pseudo_header_sum(source, destination, protocol, static_cast<std::uint32_t>(transport.size()));
  }
  std::uint16_t field = checksum_finish(checksum_add(sum, transport));
  if (protocol == kUdp) field = wire::UdpHeader::checksum_field(field);
  store_be16(&transport[at], field);
}

Bytes option_bytes(const TcpOptionSpec& o, const Flow& flow) {
  using Kind = TcpOptionSpec::Kind;
  Bytes out;
  switch (o.kind) {
    case Kind::eol:
      out = {0};
      break;
    case Kind::nop:
      out = {1};
      break;
    case Kind::mss:
      out = {2, 4};
      append_be16(out, o.value);
      break;
    case Kind::wscale:
      out = {3, 3, static_cast<std::uint8_t>(o.value)};
      break;
    case Kind::sack_ok:
      out = {4, 2};
      break;
    case Kind::sack:
      out = {5, static_cast<std::uint8_t>(2 + 8 * o.blocks.size())};
      for (const auto& [left, right] : o.blocks) {
        append_be32(out, flow.to_live(left));
        append_be32(out, flow.to_live(right));
      }
      break;
    case Kind::timestamps:
      out = {8, 10};
      append_be32(out, o.value);
      append_be32(out, flow.echo_to_live(o.echo));
      break;
    case Kind::fast_open:
      out = {34, static_cast<std::uint8_t>(2 + o.bytes.size())};
      out.insert(out.end(), o.bytes.begin(), o.bytes.end());
      break;
    case Kind::hex:
      out = o.bytes;
      break;
  }
  return out;
}

// Where the payload of a segment lies in the stream whose ISN this is.
std::uint64_t stream_offset(std::uint32_t seq, bool syn, std::optional<std::uint32_t> isn) {
  return seq + (syn ? 1U : 0U) - (isn.value_or(0) + 1U);
}

Bytes tcp_segment(const TcpSpec& spec, Flow& flow, const IpAddress& source, const IpAddress& destination) {
  if (spec.flags.syn() && flow.remote_isn && *flow.remote_isn != spec.seq.start) flow.over = true;
  if (spec.flags.syn() && (!flow.remote_isn || flow.over)) flow.remote_isn = spec.seq.start;
  if (spec.flags.rst()) flow.over = true;
  Bytes options;
  for (const TcpOptionSpec& o : spec.options) {
    const Bytes one = option_bytes(o, flow);
    options.insert(options.end(), one.begin(), one.end());
  }
  TcpHeader h;
  h.source_port = flow.remote.port;
  h.destination_port = flow.local.port;
  h.seq = SeqNum{spec.seq.start};
  h.ack = SeqNum{spec.ack ? flow.to_live(*spec.ack) : 0};
  h.flags = spec.flags;
  h.window = spec.window.value_or(0);
  h.urgent = spec.urgent.value_or(0);
  Bytes out(TcpHeader::kMaxLength);
  out.resize(h.emit(out, options.size()));
  std::ranges::copy(options, out.begin() + TcpHeader::kLength);
  const std::uint64_t offset = stream_offset(spec.seq.start, spec.flags.syn(), flow.remote_isn);
  for (std::uint32_t i = 0; i < spec.seq.length; ++i) out.push_back(stream_byte(offset + i));
  fill_checksum(out, TcpHeader::kChecksumOffset, source, destination, kTcp);
  return out;
}

Bytes udp_datagram(const UdpSpec& spec, const Flow& flow, const IpAddress& source, const IpAddress& destination) {
  wire::UdpHeader h;
  h.source_port = flow.remote.port;
  h.destination_port = flow.local.port;
  h.length = static_cast<std::uint16_t>(wire::UdpHeader::kLength + spec.length);
  Bytes out(wire::UdpHeader::kLength);
  static_cast<void>(h.emit(out));
  for (std::uint32_t i = 0; i < spec.length; ++i) out.push_back(stream_byte(i));
  fill_checksum(out, wire::UdpHeader::kChecksumOffset, source, destination, kUdp);
  return out;
}

// An error about something that we sent: our IP header and the first eight bytes behind it (RFC 792).
Bytes icmp_message(const IcmpSpec& spec, const Flow& flow, const IpAddress& source, const IpAddress& destination) {
  const bool udp = spec.quoted_udp || (!spec.quoted_tcp && flow.protocol == kUdp);
  Bytes quoted;
  append_be16(quoted, flow.local.port.value());
  append_be16(quoted, flow.remote.port.value());
  std::size_t full = 0;
  if (udp) {
    full = wire::UdpHeader::kLength + spec.quoted_udp.value_or(0);
    append_be16(quoted, static_cast<std::uint32_t>(full));
    append_be16(quoted, 0);
  } else {
    const SequenceRange range = spec.quoted_tcp.value_or(SequenceRange{});
    full = TcpHeader::kLength + range.length;
    append_be32(quoted, flow.to_live(range.start));
  }
  const Bytes inner = ip_packet(flow.local.address, flow.remote.address, udp ? kUdp : kTcp, IpSpec{}, quoted, full);
  Bytes out{spec.type, spec.code};
  append_be16(out, 0);
  append_be32(out, spec.mtu.value_or(0));
  out.insert(out.end(), inner.begin(), inner.end());
  fill_checksum(out, 2, source, destination, source.is_v4() ? kIcmpv4 : kIcmpv6);
  return out;
}

// --- comparing -------------------------------------------------------------------------------------------------------

std::string differ(std::string_view what, std::uint64_t expected, std::uint64_t actual) {
  if (expected == actual) return {};
  return std::string{what} + " is " + std::to_string(actual) + ", expected " + std::to_string(expected);
}

std::string compare_ip(const IpSpec& spec, const Decoded& p) {
  const unsigned ecn = p.traffic_class & 3U;
  const auto expect_ecn = [&](unsigned want) { return differ("the ECN field", want, ecn); };
  std::string text;
  switch (spec.ecn) {
    case EcnSpec::unchecked:
      break;
    case EcnSpec::not_ect:
      text = expect_ecn(0);
      break;
    case EcnSpec::ect0:
      text = expect_ecn(2);
      break;
    case EcnSpec::ect1:
      text = expect_ecn(1);
      break;
    case EcnSpec::ect01:
      if (ecn != 1 && ecn != 2) text = expect_ecn(2);
      break;
    case EcnSpec::ce:
      text = expect_ecn(3);
      break;
  }
  if (text.empty() && spec.tos) text = differ("the traffic class", *spec.tos & 0xfcU, p.traffic_class & 0xfcU);
  if (text.empty() && spec.ttl) text = differ("the TTL", *spec.ttl, p.ttl);
  return text;
}

std::string differ(std::string_view what, const IpAddress& expected, const IpAddress& actual) {
  if (expected == actual) return {};
  return std::string{what} + " is " + std::string{AddressText(actual).view()} + ", expected " +
         std::string{AddressText(expected).view()};
}

// They are the connection's unless the script names others.
std::string compare_addresses(const IpSpec& spec, const Decoded& p, const Flow& flow) {
  std::string text = differ("the source address", spec.source.value_or(flow.local.address), p.source);
  if (text.empty()) {
    text = differ("the destination address", spec.destination.value_or(flow.remote.address), p.destination);
  }
  return text;
}

// Learns or checks the time stamp of a segment that the stack sent.
std::string check_stamp(const TcpOptionSpec& o, std::uint32_t live, Flow& flow, const Config& config) {
  for (const auto& [script, was] : flow.stamps) {
    if (script == o.value) return differ("TS val", o.value, flow.stamp_to_script(live));
  }
  if (config.timestamp_tick > Duration{} && !flow.stamps.empty()) {
    const auto& [script, was] = flow.stamps.front();
    const std::int64_t off =
        std::int64_t{static_cast<std::int32_t>(live - was)} - std::int64_t{static_cast<std::int32_t>(o.value - script)};
    const std::int64_t allowed = config.tolerance / config.timestamp_tick + 1;
    if (off > allowed || off < -allowed) return differ("TS val", o.value, flow.stamp_to_script(live));
  }
  flow.stamps.emplace_back(o.value, live);
  return {};
}

// Options are compared byte for byte and in order; only our own time stamp is mapped.
std::string compare_options(const TcpSpec& spec, ByteSpan live, Flow& flow, const Config& config) {
  if (spec.any_options) return {};
  ByteReader in{live};
  for (const TcpOptionSpec& o : spec.options) {
    if (o.kind == TcpOptionSpec::Kind::timestamps) {
      const bool is_stamp = in.u8() == 8 && in.u8() == 10;
      const std::uint32_t value = in.be32();
      const std::uint32_t echo = in.be32();
      if (!in.ok() || !is_stamp) return "TCP options differ";
      if (std::string text = check_stamp(o, value, flow, config); !text.empty()) return text;
      if (std::string text = differ("TS ecr", o.echo, echo); !text.empty()) return text;
      continue;
    }
    TcpOptionSpec verbatim = o;
    if (o.kind == TcpOptionSpec::Kind::sack) {  // blocks that we send are in the other side's numbers
      for (auto& [left, right] : verbatim.blocks) {
        left = flow.to_script(left);
        right = flow.to_script(right);
      }
    }
    const Bytes expected = option_bytes(verbatim, flow);
    if (!std::ranges::equal(in.bytes(expected.size()), expected)) return "TCP options differ";
  }
  return in.remaining() == 0 && in.ok() ? "" : "TCP options differ";
}

std::string flags_text(wire::TcpFlags flags) {
  constexpr std::string_view kLetters = "FSRP.UEWA";
  constexpr std::string_view kOrder = "SFRPUEWA.";  // how people write them: S. and FP.
  std::string text;
  for (const char c : kOrder)
    if ((flags.bits() & (1U << kLetters.find(c))) != 0) text += c;
  return text.empty() ? "-" : text;
}

std::string compare_tcp(const TcpSpec& spec, const Decoded& p, Flow& flow, const Config& config) {
  const auto view = TcpView::parse(p.transport);
  if (!view) return "the TCP header is malformed";
  if (spec.flags.syn() && view->flags().syn() && (!flow.script_isn || flow.over)) {
    flow.script_isn = spec.seq.start;
    flow.live_isn = view->seq().value();
    flow.stamps.clear();
    flow.over = false;
  }
  if (view->flags().rst()) flow.over = true;
  if (view->flags() != spec.flags) {
    return "flags are " + flags_text(view->flags()) + ", expected " + flags_text(spec.flags);
  }
  std::string text = differ("the sequence number", spec.seq.start, flow.to_script(view->seq().value()));
  if (text.empty()) text = differ("the payload's length", spec.seq.length, view->payload_length());
  if (text.empty() && spec.ack) text = differ("the acknowledgement number", *spec.ack, view->ack().value());
  if (text.empty() && spec.window) text = differ("the window", *spec.window, view->window());
  if (text.empty() && (spec.urgent || view->flags().urg())) {
    text = differ("the urgent pointer", spec.urgent.value_or(0), view->urgent());
  }
  if (text.empty()) text = compare_options(spec, view->options(), flow, config);
  if (!text.empty()) return text;
  // A probe below the window may carry any byte; everything else carries the stream.
  const std::uint64_t offset = stream_offset(spec.seq.start, spec.flags.syn(), flow.script_isn);
  const ByteSpan payload = view->payload();
  for (std::size_t i = 0; i < payload.size(); ++i) {
    if (payload[i] != stream_byte(offset + i)) return "payload byte " + std::to_string(i) + " is not what was written";
  }
  return {};
}

std::string compare_udp(const UdpSpec& spec, const Decoded& p) {
  const auto view = wire::UdpView::parse(p.transport);
  if (!view) return "the UDP header is malformed";
  if (std::string text = differ("the payload's length", spec.length, view->payload_length()); !text.empty())
    return text;
  const ByteSpan payload = view->payload();
  for (std::size_t i = 0; i < payload.size(); ++i) {
    if (payload[i] != stream_byte(i)) return "payload byte " + std::to_string(i) + " is not what was written";
  }
  return {};
}

std::string compare_icmp(const IcmpSpec& spec, const Decoded& p) {
  std::string text = differ("the ICMP type", spec.type, p.transport[0]);
  if (text.empty()) text = differ("the ICMP code", spec.code, p.transport[1]);
  if (text.empty() && spec.mtu) text = differ("the MTU", *spec.mtu, load_be32(&p.transport[4]));
  return text;
}

// --- describing ------------------------------------------------------------------------------------------------------

std::string options_text(ByteSpan options, const Flow& flow) {
  std::string text;
  ByteReader in{options};
  while (in.remaining() > 0) {
    text += text.empty() ? "" : ",";
    const std::uint8_t kind = in.u8();
    if (kind == 0) {
      text += "eol";
      continue;
    }
    if (kind == 1) {
      text += "nop";
      continue;
    }
    const std::uint8_t length = in.u8();
    const ByteSpan value = in.bytes(length < 2 ? in.remaining() + 1 : length - 2U);
    if (!in.ok()) return text + "malformed";
    if (kind == 2 && length == 4) {
      text += "mss " + std::to_string(load_be16(value.data()));
    } else if (kind == 3 && length == 3) {
      text += "wscale " + std::to_string(value[0]);
    } else if (kind == 4 && length == 2) {
      text += "sackOK";
    } else if (kind == 5) {
      text += "sack";
      for (std::size_t i = 0; i + 8 <= value.size(); i += 8) {
        text += " " + std::to_string(load_be32(&value[i])) + ":" + std::to_string(load_be32(&value[i + 4]));
      }
    } else if (kind == 8 && length == 10) {
      text += "TS val " + std::to_string(flow.stamp_to_script(load_be32(&value[0]))) + " ecr " +
              std::to_string(load_be32(&value[4]));
    } else {
      constexpr std::string_view kHex = "0123456789abcdef";
      text += "hex ";
      for (const std::uint8_t b : {kind, length}) (text += kHex[b >> 4]) += kHex[b & 15];
      for (const std::uint8_t b : value) (text += kHex[b >> 4]) += kHex[b & 15];
    }
  }
  return text;
}

std::string tcp_text(const Decoded& p, const Flow& flow) {
  const auto view = TcpView::parse(p.transport);
  if (!view) return "malformed TCP";
  const std::uint32_t seq = flow.to_script(view->seq().value());
  const std::size_t length = view->payload_length();
  std::string text = flags_text(view->flags()) + " " + std::to_string(seq) + ":" +
                     std::to_string(seq + static_cast<std::uint32_t>(length)) + "(" + std::to_string(length) + ")";
  if (view->flags().ack()) text += " ack " + std::to_string(view->ack().value());
  text += " win " + std::to_string(view->window());
  if (view->flags().urg()) text += " urg " + std::to_string(view->urgent());
  if (!view->options().empty()) text += " <" + options_text(view->options(), flow) + ">";
  return text;
}

std::string icmp_text(const Decoded& p) {
  for (const IcmpName& n : icmp_names(p.protocol == kIcmpv6)) {
    if (n.type_value == p.transport[0] && (n.code.empty() || n.code_value == p.transport[1])) {
      return "icmp " + std::string{n.type} + (n.code.empty() ? "" : " " + std::string{n.code});
    }
  }
  return "icmp type " + std::to_string(p.transport[0]) + " code " + std::to_string(p.transport[1]);
}

}  // namespace

std::uint32_t Flow::echo_to_live(std::uint32_t stamp) const {
  for (const auto& [script, live] : stamps)
    if (script == stamp) return live;
  if (stamps.empty() || stamp == 0) return stamp;
  return stamps.front().second + (stamp - stamps.front().first);
}

std::uint32_t Flow::stamp_to_script(std::uint32_t live) const {
  for (const auto& [script, was] : stamps)
    if (was == live) return script;
  if (stamps.empty()) return live;
  return stamps.front().first + (live - stamps.front().second);
}

std::vector<std::uint8_t> build(const PacketSpec& spec, Flow& flow) {
  const IpAddress source = spec.ip.source.value_or(flow.remote.address);
  const IpAddress destination = spec.ip.destination.value_or(flow.local.address);
  Bytes transport;
  std::uint8_t protocol = kTcp;
  if (const auto* tcp = std::get_if<TcpSpec>(&spec.body)) {
    transport = tcp_segment(*tcp, flow, source, destination);
  } else if (const auto* udp = std::get_if<UdpSpec>(&spec.body)) {
    protocol = kUdp;
    transport = udp_datagram(*udp, flow, source, destination);
  } else {
    protocol = flow.local.address.is_v4() ? kIcmpv4 : kIcmpv6;
    transport = icmp_message(std::get<IcmpSpec>(spec.body), flow, source, destination);
  }
  return ip_packet(source, destination, protocol, spec.ip, transport, transport.size());
}

Decoded decode(ByteSpan packet) {
  Decoded d;
  if (packet.empty()) {
    d.error = "it is empty";
    return d;
  }
  if ((packet[0] >> 4) == 4) {
    const auto ip = wire::Ipv4View::parse(packet);
    if (!ip || ip->total_length() != packet.size()) {
      d.error = "its IPv4 header is malformed";
      return d;
    }
    if (!ip->checksum_ok()) d.error = "its IPv4 header checksum is wrong";
    d.source = ip->source();
    d.destination = ip->destination();
    d.protocol = static_cast<std::uint8_t>(ip->protocol());
    d.ttl = ip->ttl();
    d.traffic_class = ip->tos();
    d.transport = packet.subspan(ip->header_length());
  } else {
    const auto ip = wire::Ipv6View::parse(packet);
    if (!ip || ip->total_length() != packet.size()) {
      d.error = "its IPv6 header is malformed";
      return d;
    }
    d.source = ip->source();
    d.destination = ip->destination();
    d.protocol = static_cast<std::uint8_t>(ip->next_header());
    d.ttl = ip->hop_limit();
    d.traffic_class = ip->traffic_class();
    d.transport = ip->payload();
  }
  if (!d.error.empty()) return d;
  if (d.transport.size() < 8) {
    if (d.protocol == kTcp || d.protocol == kUdp || d.protocol == kIcmpv4) d.error = "its transport header is cut";
    return d;
  }
  Sum sum = 0;
  if (d.protocol != kIcmpv4) {
    sum = pseudo_header_sum(d.source, d.destination, d.protocol, static_cast<std::uint32_t>(d.transport.size()));
  }
  const bool known = d.protocol == kTcp || d.protocol == kUdp || d.protocol == kIcmpv4 || d.protocol == kIcmpv6;
  if (known && checksum_finish(checksum_add(sum, d.transport)) != 0) d.error = "its transport checksum is wrong";
  if (d.protocol == kTcp || d.protocol == kUdp) {
    d.source_port = Port{load_be16(&d.transport[0])};
    d.destination_port = Port{load_be16(&d.transport[2])};
  }
  return d;
}

std::string compare(const PacketSpec& spec, const LivePacket& live, const Decoded& packet, Flow& flow,
                    const Config& config) {
  if (!packet.error.empty()) return "the stack sent a malformed packet: " + packet.error;
  const auto* tcp = std::get_if<TcpSpec>(&spec.body);
  const auto* udp = std::get_if<UdpSpec>(&spec.body);
  const std::uint8_t protocol = tcp != nullptr          ? kTcp
                                : udp != nullptr        ? kUdp
                                : packet.source.is_v4() ? kIcmpv4
                                                        : kIcmpv6;
  if (packet.protocol != protocol) return differ("the IP protocol", protocol, packet.protocol);
  if (live.bytes.size() > config.mtu) return "the packet is larger than the MTU of " + std::to_string(config.mtu);
  if (std::string text = compare_addresses(spec.ip, packet, flow); !text.empty()) return text;
  if (std::string text = compare_ip(spec.ip, packet); !text.empty()) return text;
  if (tcp != nullptr) return compare_tcp(*tcp, packet, flow, config);
  if (udp != nullptr) return compare_udp(*udp, packet);
  return compare_icmp(std::get<IcmpSpec>(spec.body), packet);
}

std::string time_text(Duration time) {
  const std::int64_t us = time.count_us();
  std::string fraction = std::to_string(us % 1'000'000);
  fraction.insert(0, 6 - std::min<std::size_t>(6, fraction.size()), '0');
  return std::to_string(us / 1'000'000) + "." + fraction;
}

std::string describe(const LivePacket& live, const Decoded& p, const Flow* flow) {
  const Flow none;
  const Flow& f = flow != nullptr ? *flow : none;
  std::string text = time_text(live.time) + " > ";
  if ((p.traffic_class & 3) != 0) text += p.traffic_class & 1 ? (p.traffic_class & 2 ? "[ce] " : "[ect1] ") : "[ect0] ";
  if (flow == nullptr && (p.protocol == kTcp || p.protocol == kUdp)) {
    text += std::to_string(p.source_port.value()) + " > " + std::to_string(p.destination_port.value()) + ": ";
  }
  if (p.protocol == kTcp) return text + tcp_text(p, f);
  if (p.protocol == kUdp && p.transport.size() >= 8)
    return text + "udp (" + std::to_string(p.transport.size() - 8) + ")";
  if ((p.protocol == kIcmpv4 || p.protocol == kIcmpv6) && p.transport.size() >= 8) return text + icmp_text(p);
  return text + "IP protocol " + std::to_string(p.protocol) + ", " + std::to_string(p.transport.size()) + " bytes";
}

}  // namespace leat::script
