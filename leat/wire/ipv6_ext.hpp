#pragma once
// IPv6 extension headers (RFC 8200 4): a bounded walk from the fixed header to the upper layer. Hop-by-hop options,
// destination options, routing and fragment headers are understood; anything else is the upper layer, known or not.
// Each step advances by at least 8 bytes and there are at most kMaxHeaders, so no input makes it loop or run long.
//
// Most packets have none: test is_extension(view.next_header()) first.
//
// Threading: pure functions.

#include <leat/base/bytes.hpp>
#include <leat/wire/ip_protocol.hpp>

namespace leat::wire {

inline constexpr std::size_t kMaxExtensionHeaders = 8;

constexpr bool is_extension(IpProtocol next_header) {
  return next_header == IpProtocol::hop_by_hop || next_header == IpProtocol::routing ||
         next_header == IpProtocol::fragment || next_header == IpProtocol::destination_options;
}

// RFC 8200 4.5.
struct Ipv6FragmentHeader {
  static constexpr std::size_t kLength = 8;
  IpProtocol next_header{};
  std::uint16_t offset = 0;  // bytes, a multiple of 8
  bool more_fragments = false;
  std::uint32_t id = 0;

  constexpr bool operator==(const Ipv6FragmentHeader&) const = default;
  [[nodiscard]] constexpr std::size_t emit(MutableByteSpan out) const {
    if (out.size() < kLength) return 0;
    out[0] = static_cast<std::uint8_t>(next_header);
    out[1] = 0;
    store_be16(&out[2], static_cast<std::uint16_t>((offset & 0xfff8U) | (more_fragments ? 1U : 0U)));
    store_be32(&out[4], id);
    return kLength;
  }
};

struct Ipv6Extensions {
  enum class Verdict : std::uint8_t {
    deliver,     // to `protocol`, at `payload_offset`
    reassemble,  // a fragment; its data stands at `payload_offset`, `fragment` describes it
    discard,     // silently
    report,      // discard, and send a parameter problem with `report_code` and `report_pointer`
  };
  Verdict verdict = Verdict::deliver;
  IpProtocol protocol{};             // deliver: the upper layer; reassemble: what follows the fragment header
  std::uint16_t payload_offset = 0;  // from the end of the fixed header
  std::uint16_t next_header_at = 6;  // the byte of the packet that names `protocol` (RFC 4443 3.4 code 1 points here)

  std::uint8_t report_code = 0;        // of an ICMPv6 parameter problem
  std::uint32_t report_pointer = 0;    // from the start of the packet
  bool report_even_multicast = false;  // option types 10xxxxxx: also when the destination is a group

  bool has_fragment_header = false;  // with `deliver`: an atomic fragment (RFC 6946)
  Ipv6FragmentHeader fragment;
  std::uint16_t fragment_header_offset = 0;  // from the end of the fixed header: the length of the unfragmentable part
  std::uint16_t fragment_named_at = 6;       // the byte of the packet that says "fragment header follows"
  bool whole_chain = true;  // reassemble, first fragment: it holds every header up to the upper layer's (RFC 7112)

  bool router_alert = false;  // RFC 2711
  std::uint8_t headers = 0;   // how many extension headers
};

// `payload` is the contiguous part of what follows the fixed header; `payload_length` is its whole length.
[[nodiscard]] Ipv6Extensions walk_extensions(IpProtocol next_header, ByteSpan payload, std::size_t payload_length);

// Steps over extension headers without obeying them, for a packet quoted by an ICMP error. `complete` is false when the
// bytes end first, or a fragment that is not the first hides the rest.
struct SkippedExtensions {
  IpProtocol protocol{};
  std::size_t offset = 0;  // of the upper layer, from the end of the fixed header
  bool complete = false;
};
[[nodiscard]] SkippedExtensions skip_extensions(IpProtocol next_header, ByteSpan payload);

}  // namespace leat::wire
