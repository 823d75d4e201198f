#pragma once
// IPv4 headers (RFC 791, 6864).
//
//    0       1       2       3
//   | v  ihl | tos   | total length  |
//   | id             | f  offset     |    flags: reserved, DF, MF; offset in units of 8 bytes
//   | ttl    | proto | checksum      |
//   | source                         |
//   | destination                    |
//   | options, 0 to 40 bytes ...     |
//
// `bytes` is what is contiguous of the packet and must hold the whole header; `available` is the length of the whole
// packet, which may continue in other buffers (a super-segment of GRO) or have link padding behind it: use
// total_length() to trim. The parser does not verify the checksum, because a device may have: ask checksum_ok().
//
// Threading: views borrow the bytes that they were parsed from.

#include <algorithm>
#include <leat/base/checksum.hpp>
#include <leat/wire/ip_protocol.hpp>
#include <leat/wire/parse_error.hpp>

namespace leat::wire {

struct Ipv4Header {
  static constexpr std::size_t kLength = 20;
  static constexpr std::size_t kMaxOptions = 40;
  static constexpr std::size_t kChecksumOffset = 10;
  std::uint8_t tos = 0;  // DSCP in the upper six bits, ECN in the lower two
  std::uint16_t id = 0;
  bool dont_fragment = false;
  bool more_fragments = false;
  std::uint16_t fragment_offset = 0;  // bytes, a multiple of 8
  std::uint8_t ttl = 64;
  IpProtocol protocol{};
  IpAddress source = IpAddress::v4(0);
  IpAddress destination = IpAddress::v4(0);
  std::uint16_t payload_length = 0;
  ByteSpan options{};  // at most 40 bytes; emit pads with end-of-list to a multiple of 4

  [[nodiscard]] constexpr std::size_t header_length() const {
    return kLength + ((options.size() + 3) & ~std::size_t{3});
  }
  constexpr bool operator==(const Ipv4Header& o) const {
    return tos == o.tos && id == o.id && dont_fragment == o.dont_fragment && more_fragments == o.more_fragments &&
           fragment_offset == o.fragment_offset && ttl == o.ttl && protocol == o.protocol && source == o.source &&
           destination == o.destination && payload_length == o.payload_length && std::ranges::equal(options, o.options);
  }
  // Writes the header with its checksum. 0 when `out` is too small, or header and payload exceed 65,535 bytes.
  [[nodiscard]] std::size_t emit(MutableByteSpan out) const {
    const std::size_t length = header_length();
    if (out.size() < length || options.size() > kMaxOptions || length + payload_length > 0xffff) return 0;
    // In words, summed as they are made: reading back what was stored in other sizes would stall.
    const std::uint32_t fragment =
        (dont_fragment ? 0x4000U : 0U) | (more_fragments ? 0x2000U : 0U) | ((fragment_offset / 8U) & 0x1fffU);
    const std::uint32_t word0 = 0x40000000U | static_cast<std::uint32_t>(length << 22) | (std::uint32_t{tos} << 16) |
                                static_cast<std::uint32_t>(length + payload_length);
    const std::uint32_t word1 = (std::uint32_t{id} << 16) | fragment;
    const std::uint32_t word2 = (std::uint32_t{ttl} << 24) | (std::uint32_t{static_cast<std::uint8_t>(protocol)} << 16);
    const std::uint32_t word3 = source.v4_value();
    const std::uint32_t word4 = destination.v4_value();
    std::uint64_t sum = std::uint64_t{word0} + word1 + word2 + word3 + word4;
    if (!options.empty()) {
      std::ranges::copy(options, out.begin() + kLength);
      std::fill(out.begin() + static_cast<std::ptrdiff_t>(kLength + options.size()),
                out.begin() + static_cast<std::ptrdiff_t>(length), std::uint8_t{0});
      sum += checksum_add(0, out.first(length).subspan(kLength));
    }
    store_be32(&out[0], word0);
    store_be32(&out[4], word1);
    store_be32(&out[8], word2 | checksum_finish(checksum_fold(sum)));
    store_be32(&out[12], word3);
    store_be32(&out[16], word4);
    return length;
  }
  // The sum of the bytes of a header, its checksum included: 0xffff when it is intact.
  [[nodiscard]] static Sum header_sum(ByteSpan header) {
    const std::uint8_t* p = header.data();
    std::uint64_t sum =
        std::uint64_t{load_be32(p)} + load_be32(p + 4) + load_be32(p + 8) + load_be32(p + 12) + load_be32(p + 16);
    if (header.size() > kLength) sum += checksum_add(0, header.subspan(kLength));
    return checksum_fold(sum);
  }
};

class Ipv4View {
 public:
  static constexpr Parsed<Ipv4View> parse(ByteSpan bytes, std::size_t available) {
    if (const auto e = check_header(bytes); e != ParseError::none) return e;
    // RFC 791 3.1: the total length counts the header, and can't be more than arrived.
    const std::size_t total = load_be16(&bytes[2]);
    if (total < (bytes[0] & 15U) * 4 || total > available) return ParseError::bad_length;
    return Ipv4View{bytes};
  }
  static constexpr Parsed<Ipv4View> parse(ByteSpan packet) { return parse(packet, packet.size()); }
  // The header alone, as an ICMP error quotes it: the total length may speak of bytes that are not there.
  static constexpr Parsed<Ipv4View> parse_quoted(ByteSpan bytes) {
    if (const auto e = check_header(bytes); e != ParseError::none) return e;
    return Ipv4View{bytes};
  }

  [[nodiscard]] constexpr std::size_t header_length() const { return (bytes_[0] & 15U) * 4; }
  [[nodiscard]] constexpr std::size_t total_length() const { return load_be16(&bytes_[2]); }
  [[nodiscard]] constexpr std::size_t payload_length() const { return total_length() - header_length(); }
  [[nodiscard]] constexpr std::uint8_t tos() const { return bytes_[1]; }
  [[nodiscard]] constexpr Ecn ecn() const { return static_cast<Ecn>(bytes_[1] & 3); }
  [[nodiscard]] constexpr std::uint16_t id() const { return load_be16(&bytes_[4]); }
  [[nodiscard]] constexpr bool dont_fragment() const { return (bytes_[6] & 0x40) != 0; }
  [[nodiscard]] constexpr bool more_fragments() const { return (bytes_[6] & 0x20) != 0; }
  [[nodiscard]] constexpr std::uint16_t fragment_offset() const {  // bytes
    return static_cast<std::uint16_t>((load_be16(&bytes_[6]) & 0x1fffU) * 8);
  }
  // A part of a datagram: one test of the two fields.
  [[nodiscard]] constexpr bool is_fragment() const { return (load_be16(&bytes_[6]) & 0x3fff) != 0; }
  [[nodiscard]] constexpr std::uint8_t ttl() const { return bytes_[8]; }
  [[nodiscard]] constexpr IpProtocol protocol() const { return static_cast<IpProtocol>(bytes_[9]); }
  [[nodiscard]] constexpr std::uint16_t checksum() const { return load_be16(&bytes_[10]); }
  [[nodiscard]] bool checksum_ok() const { return Ipv4Header::header_sum(header_bytes()) == 0xffff; }
  [[nodiscard]] constexpr IpAddress source() const { return IpAddress::v4_wire(&bytes_[12]); }
  [[nodiscard]] constexpr IpAddress destination() const { return IpAddress::v4_wire(&bytes_[16]); }
  [[nodiscard]] constexpr bool has_options() const { return bytes_[0] != 0x45; }
  [[nodiscard]] constexpr ByteSpan options() const {
    return bytes_.subspan(Ipv4Header::kLength, header_length() - Ipv4Header::kLength);
  }
  [[nodiscard]] constexpr ByteSpan header_bytes() const { return bytes_.first(header_length()); }
  // The contiguous part of the payload, without link padding.
  [[nodiscard]] constexpr ByteSpan payload() const {
    const std::size_t end = std::min(bytes_.size(), total_length());
    return end <= header_length() ? ByteSpan{} : bytes_.subspan(header_length(), end - header_length());
  }
  [[nodiscard]] constexpr Ipv4Header header() const {
    return {tos(),    id(),       dont_fragment(), more_fragments(), fragment_offset(),
            ttl(),    protocol(), source(),        destination(),    static_cast<std::uint16_t>(payload_length()),
            options()};
  }

 private:
  friend class Parsed<Ipv4View>;
  static constexpr ParseError check_header(ByteSpan bytes) {
    if (bytes.size() < Ipv4Header::kLength) return ParseError::truncated;
    if ((bytes[0] >> 4) != 4) return ParseError::bad_version;
    const std::size_t length = (bytes[0] & 15U) * 4;
    if (length < Ipv4Header::kLength || length > bytes.size()) return ParseError::bad_header_length;
    return ParseError::none;
  }
  constexpr Ipv4View() = default;
  constexpr explicit Ipv4View(ByteSpan bytes) : bytes_(bytes) {}
  ByteSpan bytes_;
};

// What the options of a header say, as far as anyone here cares. Unknown options are skipped.
struct Ipv4Options {
  bool malformed = false;       // a length of 0 or 1, or past the end; parsing stopped there
  std::uint8_t problem_at = 0;  // where, counted from the start of the IP header (for a parameter problem)
  bool source_route = false;    // loose or strict (RFC 791 3.1, RFC 7126 4.3)
  bool record_route = false;
  bool timestamp = false;
  bool router_alert = false;  // RFC 2113
  constexpr bool operator==(const Ipv4Options&) const = default;

  static constexpr Ipv4Options parse(ByteSpan options) {
    Ipv4Options result;
    for (std::size_t i = 0; i < options.size();) {
      const std::uint8_t kind = options[i];
      if (kind == 0) break;  // end of list
      if (kind == 1) {       // no operation
        ++i;
        continue;
      }
      if (i + 1 >= options.size() || options[i + 1] < 2 || options[i + 1] > options.size() - i) {
        result.malformed = true;
        result.problem_at = static_cast<std::uint8_t>(Ipv4Header::kLength + i);
        break;
      }
      result.source_route |= kind == 131 || kind == 137;
      result.record_route |= kind == 7;
      result.timestamp |= kind == 68;
      result.router_alert |= kind == 148;
      i += options[i + 1];
    }
    return result;
  }
};

}  // namespace leat::wire
