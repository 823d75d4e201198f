#include <algorithm>
#include <leat/wire/icmpv6.hpp>
#include <leat/wire/ipv6.hpp>
#include <leat/wire/ipv6_ext.hpp>

namespace leat::wire {
namespace {

using Verdict = Ipv6Extensions::Verdict;

constexpr std::uint8_t kPad1 = 0;
constexpr std::uint8_t kPadN = 1;
constexpr std::uint8_t kRouterAlert = 5;

// The length of the extension header at `p` (two bytes of it are there).
std::size_t extension_length(IpProtocol type, const std::uint8_t* p) {
  if (type == IpProtocol::fragment) return Ipv6FragmentHeader::kLength;
  return (std::size_t{p[1]} + 1) * 8;
}

void report(Ipv6Extensions& result, std::uint8_t code, std::size_t offset_in_payload) {
  result.verdict = Verdict::report;
  result.report_code = code;
  result.report_pointer = static_cast<std::uint32_t>(Ipv6Header::kLength + offset_in_payload);
}

// The options of a hop-by-hop or destination options header that spans [begin, end) of the payload. False when the
// packet must go.
bool walk_options(Ipv6Extensions& result, ByteSpan payload, std::size_t begin, std::size_t end) {
  for (std::size_t i = begin + 2; i < end;) {
    const std::uint8_t type = payload[i];
    if (type == kPad1) {
      ++i;
      continue;
    }
    if (end - i < 2 || payload[i + 1] > end - i - 2) {
      result.verdict = Verdict::discard;
      return false;
    }
    if (type == kRouterAlert && payload[i + 1] == 2) {
      result.router_alert = true;
    } else if (type != kPadN && type != kRouterAlert) {
      // RFC 8200 4.2: the two high bits say what to do with an option that is not understood.
      switch (type >> 6) {
        case 0:  // skip it
          break;
        case 1:  // discard
          result.verdict = Verdict::discard;
          return false;
        case 2:  // discard and report, whatever the destination
          report(result, icmpv6_problem::kOption, i);
          result.report_even_multicast = true;
          return false;
        default:  // discard and report, unless the destination is a group
          report(result, icmpv6_problem::kOption, i);
          return false;
      }
    }
    i += 2 + std::size_t{payload[i + 1]};
  }
  return true;
}

// RFC 7112 5: the first fragment holds all headers, the upper layer's included.
std::size_t least_upper_header(IpProtocol protocol) {
  switch (protocol) {
    case IpProtocol::tcp:
      return 20;
    case IpProtocol::udp:
      return 8;
    case IpProtocol::icmpv6:
      return 4;
    default:
      return 0;
  }
}

// True when the walk goes on behind the fragment header at `at`.
bool walk_fragment(Ipv6Extensions& result, ByteSpan payload, std::size_t at, std::size_t payload_length) {
  if (result.has_fragment_header) {  // one is all that a sender may write
    result.verdict = Verdict::discard;
    return false;
  }
  const std::uint16_t word = load_be16(&payload[at + 2]);
  result.has_fragment_header = true;
  result.fragment = {static_cast<IpProtocol>(payload[at]), static_cast<std::uint16_t>(word & 0xfff8U), (word & 1) != 0,
                     load_be32(&payload[at + 4])};
  result.fragment_header_offset = static_cast<std::uint16_t>(at);
  result.fragment_named_at = result.next_header_at;
  // RFC 6946 4: a fragment that is the whole is processed as if it had no fragment header.
  if (result.fragment.offset == 0 && !result.fragment.more_fragments) return true;

  const std::size_t begin = at + Ipv6FragmentHeader::kLength;
  const std::size_t length = payload_length - begin;
  result.protocol = result.fragment.next_header;
  result.payload_offset = static_cast<std::uint16_t>(begin);
  result.next_header_at = static_cast<std::uint16_t>(Ipv6Header::kLength + at);
  if (result.fragment.more_fragments && length % 8 != 0) {
    // RFC 8200 4.5: all but the last are multiples of 8; the pointer names the payload length field.
    result.verdict = Verdict::report;
    result.report_code = icmpv6_problem::kField;
    result.report_pointer = 4;
    return false;
  }
  if (result.fragment.offset + length > 0xffff) {
    report(result, icmpv6_problem::kField, at + 2);  // RFC 8200 4.5: ... names the fragment offset field
    return false;
  }
  result.verdict = Verdict::reassemble;
  if (result.fragment.offset == 0) {
    const auto rest = skip_extensions(result.fragment.next_header, payload.subspan(begin));
    result.whole_chain = rest.complete && payload_length - begin - rest.offset >= least_upper_header(rest.protocol);
  }
  return false;
}

}  // namespace

Ipv6Extensions walk_extensions(IpProtocol next_header, ByteSpan payload, std::size_t payload_length) {
  Ipv6Extensions result;
  payload = payload.first(std::min(payload.size(), payload_length));
  std::size_t at = 0;
  while (is_extension(next_header)) {
    // RFC 8200 4.1: hop-by-hop options stand first or nowhere; elsewhere their number is an unknown next header.
    if (next_header == IpProtocol::hop_by_hop && at != 0) {
      result.verdict = Verdict::report;
      result.report_code = icmpv6_problem::kNextHeader;
      result.report_pointer = result.next_header_at;
      return result;
    }
    if (result.headers == kMaxExtensionHeaders || payload.size() - at < 8 ||
        extension_length(next_header, &payload[at]) > payload.size() - at) {
      result.verdict = Verdict::discard;
      return result;
    }
    ++result.headers;
    const std::size_t end = at + extension_length(next_header, &payload[at]);
    switch (next_header) {
      case IpProtocol::hop_by_hop:
      case IpProtocol::destination_options:
        if (!walk_options(result, payload, at, end)) return result;
        break;
      case IpProtocol::routing:
        // RFC 8200 4.4, RFC 5095 3: no routing type is known here, type 0 least; one with nothing left to visit is
        // skipped.
        if (payload[at + 3] != 0) {
          report(result, icmpv6_problem::kField, at + 2);
          return result;
        }
        break;
      default:
        if (!walk_fragment(result, payload, at, payload_length)) return result;
        break;
    }
    result.next_header_at = static_cast<std::uint16_t>(Ipv6Header::kLength + at);
    next_header = static_cast<IpProtocol>(payload[at]);
    at = end;
  }
  result.protocol = next_header;
  result.payload_offset = static_cast<std::uint16_t>(at);
  return result;
}

SkippedExtensions skip_extensions(IpProtocol next_header, ByteSpan payload) {
  SkippedExtensions result{next_header, 0, false};
  for (std::size_t n = 0; n < kMaxExtensionHeaders && is_extension(result.protocol); ++n) {
    const ByteSpan rest = payload.subspan(result.offset);
    if (rest.size() < 8) return result;
    const std::size_t length = extension_length(result.protocol, rest.data());
    if (length > rest.size()) return result;
    if (result.protocol == IpProtocol::fragment && (load_be16(&rest[2]) & 0xfff8) != 0) return result;
    result.protocol = static_cast<IpProtocol>(rest[0]);
    result.offset += length;
  }
  result.complete = !is_extension(result.protocol);
  return result;
}

}  // namespace leat::wire
