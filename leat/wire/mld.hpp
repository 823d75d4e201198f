#pragma once
// Multicast listener discovery for IPv6: queries of both versions read, reports of version 2 written and read (RFC
// 3810), version 1 reports and dones for old queriers (RFC 2710). Every message travels behind a hop-by-hop header with
// a router alert and with hop limit 1, from a link-local address or `::`.
//
// `parse` takes the ICMPv6 message from its type byte on, its checksum verified by the caller. `emit` leaves the
// checksum 0: finish it with finish_icmpv6_checksum.
//
// Threading: values.

#include <algorithm>
#include <array>
#include <leat/wire/icmpv6.hpp>
#include <leat/wire/ip_protocol.hpp>
#include <optional>

namespace leat::wire {

// The hop-by-hop header that goes before every message (RFC 2711: router alert, value 0; PadN).
constexpr std::array<std::uint8_t, 8> mld_hop_by_hop() {
  return {static_cast<std::uint8_t>(IpProtocol::icmpv6), 0, 5, 2, 0, 0, 1, 0};
}
inline constexpr std::size_t kMldHopByHopLength = 8;

// RFC 3810 5.1.3, RFC 3376 4.1.1: codes from the high bit on are floating point, 3 bits of exponent behind it.
constexpr std::uint32_t decode_code(std::uint32_t code, unsigned mantissa_bits) {
  if ((code >> (mantissa_bits + 3)) == 0) return code;
  const std::uint32_t mantissa = code & ((1U << mantissa_bits) - 1);
  const unsigned exponent = (code >> mantissa_bits) & 7;
  return (mantissa | (1U << mantissa_bits)) << (exponent + 3);
}

// The sources of a query, where they stand in the message. Of a default one there are none.
class SourceList {
 public:
  constexpr SourceList() = default;
  constexpr SourceList(ByteSpan bytes, IpVersion version)
      : bytes_(bytes), each_(version == IpVersion::v4 ? std::size_t{4} : std::size_t{16}) {}
  [[nodiscard]] constexpr std::size_t size() const { return bytes_.size() / each_; }
  [[nodiscard]] constexpr IpAddress operator[](std::size_t i) const {
    const std::uint8_t* const at = &bytes_[i * each_];
    return each_ == 4 ? IpAddress::v4_wire(at) : IpAddress::v6_wire(at);
  }

 private:
  ByteSpan bytes_;
  std::size_t each_ = 16;
};

struct MldQuery {
  enum class Version : std::uint8_t { v1, v2 };
  Version version = Version::v2;
  std::uint32_t max_response_ms = 10'000;
  IpAddress group{};               // `::`: a general query
  std::uint16_t source_count = 0;  // version 2; `sources` reads them
  std::uint8_t robustness = 0;     // version 2: QRV; 0: above 7
  std::uint32_t interval_s = 0;    // version 2: QQIC
  constexpr bool operator==(const MldQuery&) const = default;

  // RFC 3810 8.1: 24 bytes are version 1, 28 and more version 2, anything between is dropped.
  static constexpr Parsed<MldQuery> parse(ByteSpan message) {
    if (message.size() < 24) return ParseError::truncated;
    if (message[0] != static_cast<std::uint8_t>(Icmpv6Type::mld_query) || message[1] != 0) return ParseError::bad_type;
    if (message.size() > 24 && message.size() < 28) return ParseError::bad_length;
    MldQuery query;
    query.group = IpAddress::v6_wire(&message[8]);
    if (!query.group.is_multicast() && query.group != IpAddress{}) return ParseError::bad_address;
    const std::uint32_t code = load_be16(&message[4]);
    if (message.size() == 24) {
      query.version = Version::v1;
      query.max_response_ms = code;
      return query;
    }
    query.max_response_ms = decode_code(code, 12);
    query.robustness = message[24] & 7;
    query.interval_s = decode_code(message[25], 4);
    query.source_count = load_be16(&message[26]);
    if (message.size() - 28 < query.source_count * std::size_t{16}) return ParseError::bad_length;
    return query;
  }
  // The sources of a message that was parsed.
  [[nodiscard]] constexpr SourceList sources(ByteSpan message) const {
    return source_count == 0 ? SourceList{}
                             : SourceList{message.subspan(28, source_count * std::size_t{16}), IpVersion::v6};
  }
  // Without sources. The response time is written exactly up to 32,767 ms, the interval up to 127 s, and as that
  // beyond.
  [[nodiscard]] constexpr std::size_t emit(MutableByteSpan out) const {
    const std::size_t length = version == Version::v1 ? 24 : 28;
    if (out.size() < length) return 0;
    std::fill(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(length), std::uint8_t{0});
    out[0] = static_cast<std::uint8_t>(Icmpv6Type::mld_query);
    store_be16(&out[4], static_cast<std::uint16_t>(max_response_ms < 32'767 ? max_response_ms : 32'767));
    std::ranges::copy(group.bytes(), out.begin() + 8);
    if (version == Version::v2) {
      out[24] = robustness & 7;
      out[25] = static_cast<std::uint8_t>(interval_s < 127 ? interval_s : 127);
    }
    return length;
  }
};

// RFC 3810 5.2.12.
enum class MulticastRecordType : std::uint8_t {
  mode_is_include = 1,
  mode_is_exclude = 2,    // with no source: "I listen"
  change_to_include = 3,  // with no source: "I left"
  change_to_exclude = 4,  // with no source: "I joined"
  allow_new_sources = 5,
  block_old_sources = 6,
};

struct MulticastRecord {
  MulticastRecordType type{};
  IpAddress group;
  constexpr bool operator==(const MulticastRecord&) const = default;
};

// A version 2 report, as records are appended to it.
//
//   MldReportWriter w{buffer};  w.add({MulticastRecordType::change_to_exclude, group});  message =
//   buffer.first(w.finish());
class MldReportWriter {
 public:
  constexpr explicit MldReportWriter(MutableByteSpan out) : out_(out) {}
  // A record without sources; false when it doesn't fit.
  constexpr bool add(const MulticastRecord& record) {
    if (out_.size() < length_ + kRecord) return false;
    const std::size_t at = length_;
    record_ = at;
    ++records_;
    out_[at] = static_cast<std::uint8_t>(record.type);
    out_[at + 1] = out_[at + 2] = out_[at + 3] = 0;
    std::ranges::copy(record.group.bytes(), out_.begin() + static_cast<std::ptrdiff_t>(at + 4));
    length_ += kRecord;
    return true;
  }
  // A source of the last record; false when it doesn't fit.
  constexpr bool add_source(const IpAddress& source) {
    if (record_ == 0 || out_.size() < length_ + 16) return false;
    std::ranges::copy(source.bytes(), out_.begin() + static_cast<std::ptrdiff_t>(length_));
    store_be16(&out_[record_ + 2], static_cast<std::uint16_t>(load_be16(&out_[record_ + 2]) + 1));
    length_ += 16;
    return true;
  }
  [[nodiscard]] constexpr bool empty() const { return records_ == 0; }
  // Writes the header; the message's length, 0 without a record.
  constexpr std::size_t finish() {
    if (records_ == 0) return 0;
    store_be32(&out_[0], std::uint32_t{static_cast<std::uint8_t>(Icmpv6Type::mldv2_report)} << 24);
    store_be32(&out_[4], records_);
    return length_;
  }

 private:
  static constexpr std::size_t kHeader = 8;
  static constexpr std::size_t kRecord = 20;
  MutableByteSpan out_;
  std::size_t length_ = kHeader;
  std::size_t record_ = 0;  // where the last record begins; 0: there is none
  std::uint32_t records_ = 0;
};

// Reads a version 2 report record by record.
class MldReportReader {
 public:
  static constexpr Parsed<MldReportReader> parse(ByteSpan message) {
    if (message.size() < 8) return ParseError::truncated;
    if (message[0] != static_cast<std::uint8_t>(Icmpv6Type::mldv2_report)) return ParseError::bad_type;
    MldReportReader reader;
    reader.rest_ = message.subspan(8);
    reader.records_ = load_be16(&message[6]);
    return reader;
  }
  // The next record, sources and auxiliary data skipped; nothing at the end, or where the message contradicts itself.
  constexpr std::optional<MulticastRecord> next() {
    if (records_ == 0 || rest_.size() < 20) return std::nullopt;
    const std::size_t length = 20 + std::size_t{load_be16(&rest_[2])} * 16 + std::size_t{rest_[1]} * 4;
    if (length > rest_.size()) return std::nullopt;
    const MulticastRecord record{static_cast<MulticastRecordType>(rest_[0]), IpAddress::v6_wire(&rest_[4])};
    rest_ = rest_.subspan(length);
    --records_;
    return record;
  }

 private:
  friend class Parsed<MldReportReader>;
  constexpr MldReportReader() = default;
  ByteSpan rest_;
  std::uint16_t records_ = 0;
};

// RFC 2710 3: a version 1 report or done.
struct MldV1Message {
  Icmpv6Type type = Icmpv6Type::mld_report;  // or mld_done
  IpAddress group;
  constexpr bool operator==(const MldV1Message&) const = default;

  static constexpr Parsed<MldV1Message> parse(ByteSpan message) {
    if (message.size() < 24) return ParseError::truncated;
    const auto type = static_cast<Icmpv6Type>(message[0]);
    if ((type != Icmpv6Type::mld_report && type != Icmpv6Type::mld_done) || message[1] != 0) {
      return ParseError::bad_type;
    }
    if (message[8] != 0xff) return ParseError::bad_address;
    return MldV1Message{type, IpAddress::v6_wire(&message[8])};
  }
  [[nodiscard]] constexpr std::size_t emit(MutableByteSpan out) const {
    if (out.size() < 24) return 0;
    store_be64(&out[0], std::uint64_t{static_cast<std::uint8_t>(type)} << 56);
    std::ranges::copy(group.bytes(), out.begin() + 8);
    return 24;
  }
};

}  // namespace leat::wire
