#pragma once
// IGMP for IPv4: queries of all versions read, reports and leaves of version 2 (RFC 2236) and reports of version 3
// (RFC 3376) written and read. Every message travels with TTL 1 and a router alert option (version 2 and 3).
//
// `parse` takes the IP payload and verifies the checksum, which covers nothing else. `emit` writes it.
//
// Threading: values.

#include <leat/wire/mld.hpp>

namespace leat::wire {

// RFC 2113: the option that goes into the IP header of every message.
constexpr std::array<std::uint8_t, 4> router_alert_option() {
  return {148, 4, 0, 0};
}

enum class IgmpType : std::uint8_t {
  query = 0x11,
  v1_report = 0x12,
  v2_report = 0x16,
  v2_leave = 0x17,
  v3_report = 0x22,
};

namespace detail {
inline bool igmp_intact(ByteSpan message) {
  return checksum_finish(checksum_add(0, message)) == 0;
}
}  // namespace detail

struct IgmpQuery {
  enum class Version : std::uint8_t { v1, v2, v3 };
  Version version = Version::v3;
  std::uint32_t max_response_ms = 10'000;
  IpAddress group = IpAddress::v4(0);  // 0.0.0.0: a general query
  std::uint16_t source_count = 0;      // version 3; `sources` reads them
  std::uint8_t robustness = 0;         // version 3: QRV; 0: above 7
  std::uint32_t interval_s = 0;        // version 3: QQIC
  constexpr bool operator==(const IgmpQuery&) const = default;

  // RFC 3376 7.1: 8 bytes with a code of 0 are version 1, with another version 2, 12 and more version 3.
  static Parsed<IgmpQuery> parse(ByteSpan message) {
    if (message.size() < 8) return ParseError::truncated;
    if (message[0] != static_cast<std::uint8_t>(IgmpType::query)) return ParseError::bad_type;
    if (message.size() > 8 && message.size() < 12) return ParseError::bad_length;
    if (!detail::igmp_intact(message)) return ParseError::bad_checksum;
    IgmpQuery query;
    query.group = IpAddress::v4_wire(&message[4]);
    if (!query.group.is_multicast() && !query.group.is_unspecified()) return ParseError::bad_address;
    const std::uint32_t code = message[1];
    if (message.size() == 8) {
      query.version = code == 0 ? Version::v1 : Version::v2;
      query.max_response_ms = code == 0 ? 10'000 : code * 100;
      return query;
    }
    query.max_response_ms = decode_code(code, 4) * 100;
    query.robustness = message[8] & 7;
    query.interval_s = decode_code(message[9], 4);
    query.source_count = load_be16(&message[10]);
    if (message.size() - 12 < query.source_count * std::size_t{4}) return ParseError::bad_length;
    return query;
  }
  // The sources of a message that was parsed.
  [[nodiscard]] constexpr SourceList sources(ByteSpan message) const {
    return source_count == 0 ? SourceList{}
                             : SourceList{message.subspan(12, source_count * std::size_t{4}), IpVersion::v4};
  }
  // Without sources. The response time is written in tenths of a second, at most 12.7 s, the interval in seconds, at
  // most 127.
  [[nodiscard]] std::size_t emit(MutableByteSpan out) const {
    const std::size_t length = version == Version::v3 ? 12 : 8;
    if (out.size() < length) return 0;
    std::fill(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(length), std::uint8_t{0});
    out[0] = static_cast<std::uint8_t>(IgmpType::query);
    out[1] = version == Version::v1 ? std::uint8_t{0}
                                    : static_cast<std::uint8_t>(max_response_ms < 12'700 ? max_response_ms / 100 : 127);
    store_be32(&out[4], group.v4_value());
    if (version == Version::v3) {
      out[8] = robustness & 7;
      out[9] = static_cast<std::uint8_t>(interval_s < 127 ? interval_s : 127);
    }
    store_be16(&out[2], checksum_finish(checksum_add(0, out.first(length))));
    return length;
  }
};

// A report or leave about one group, as versions 1 and 2 have it.
struct IgmpV2Message {
  IgmpType type = IgmpType::v2_report;
  IpAddress group = IpAddress::v4(0);
  constexpr bool operator==(const IgmpV2Message&) const = default;

  static Parsed<IgmpV2Message> parse(ByteSpan message) {
    if (message.size() < 8) return ParseError::truncated;
    const auto type = static_cast<IgmpType>(message[0]);
    if (type != IgmpType::v1_report && type != IgmpType::v2_report && type != IgmpType::v2_leave) {
      return ParseError::bad_type;
    }
    if (!detail::igmp_intact(message)) return ParseError::bad_checksum;
    const IpAddress group = IpAddress::v4_wire(&message[4]);
    if (!group.is_multicast()) return ParseError::bad_address;
    return IgmpV2Message{type, group};
  }
  [[nodiscard]] std::size_t emit(MutableByteSpan out) const {
    if (out.size() < 8) return 0;
    store_be32(&out[0], std::uint32_t{static_cast<std::uint8_t>(type)} << 24);
    store_be32(&out[4], group.v4_value());
    store_be16(&out[2], checksum_finish(checksum_add(0, out.first(8))));
    return 8;
  }
};

// A version 3 report, as records are appended to it; the record types are those of MLD.
class IgmpReportWriter {
 public:
  constexpr explicit IgmpReportWriter(MutableByteSpan out) : out_(out) {}
  constexpr bool add(const MulticastRecord& record) {
    if (out_.size() < length_ + 8) return false;
    store_be32(&out_[length_], std::uint32_t{static_cast<std::uint8_t>(record.type)} << 24);
    store_be32(&out_[length_ + 4], record.group.v4_value());
    record_ = length_;
    ++records_;
    length_ += 8;
    return true;
  }
  // A source of the last record; false when it doesn't fit.
  constexpr bool add_source(const IpAddress& source) {
    if (record_ == 0 || out_.size() < length_ + 4) return false;
    store_be32(&out_[length_], source.v4_value());
    store_be16(&out_[record_ + 2], static_cast<std::uint16_t>(load_be16(&out_[record_ + 2]) + 1));
    length_ += 4;
    return true;
  }
  [[nodiscard]] constexpr bool empty() const { return records_ == 0; }
  std::size_t finish() {
    if (records_ == 0) return 0;
    store_be32(&out_[0], std::uint32_t{static_cast<std::uint8_t>(IgmpType::v3_report)} << 24);
    store_be32(&out_[4], records_);
    store_be16(&out_[2], checksum_finish(checksum_add(0, out_.first(length_))));
    return length_;
  }

 private:
  MutableByteSpan out_;
  std::size_t length_ = 8;
  std::size_t record_ = 0;  // where the last record begins; 0: there is none
  std::uint32_t records_ = 0;
};

// Reads a version 3 report record by record.
class IgmpReportReader {
 public:
  static Parsed<IgmpReportReader> parse(ByteSpan message) {
    if (message.size() < 8) return ParseError::truncated;
    if (message[0] != static_cast<std::uint8_t>(IgmpType::v3_report)) return ParseError::bad_type;
    if (!detail::igmp_intact(message)) return ParseError::bad_checksum;
    IgmpReportReader reader;
    reader.rest_ = message.subspan(8);
    reader.records_ = load_be16(&message[6]);
    return reader;
  }
  constexpr std::optional<MulticastRecord> next() {
    if (records_ == 0 || rest_.size() < 8) return std::nullopt;
    const std::size_t length = 8 + std::size_t{load_be16(&rest_[2])} * 4 + std::size_t{rest_[1]} * 4;
    if (length > rest_.size()) return std::nullopt;
    const MulticastRecord record{static_cast<MulticastRecordType>(rest_[0]), IpAddress::v4_wire(&rest_[4])};
    rest_ = rest_.subspan(length);
    --records_;
    return record;
  }

 private:
  friend class Parsed<IgmpReportReader>;
  constexpr IgmpReportReader() = default;
  ByteSpan rest_;
  std::uint16_t records_ = 0;
};

}  // namespace leat::wire
