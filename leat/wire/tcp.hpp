#pragma once
// TCP headers (RFC 9293 3.1; RFC 9768 for the AE flag).
//
//    0       1       2       3
//   | source port   | dest. port     |
//   | sequence number                |
//   | acknowledgement number         |
//   | off  flags    | window         |    data offset in words, 3 reserved bits, 9 flags
//   | checksum      | urgent pointer |
//   | options, 0 to 40 bytes ...     |
//
// `bytes` is what is contiguous of the IP payload and must hold the whole header; `available` is the IP payload's
// whole length: a super-segment's payload may continue in other buffers. Options are parsed by tcp_options.hpp.
//
// Threading: views borrow the bytes that they were parsed from.

#include <algorithm>
#include <leat/base/address.hpp>
#include <leat/base/checksum.hpp>
#include <leat/base/seq_num.hpp>
#include <leat/wire/parse_error.hpp>

namespace leat::wire {

enum class TcpFlag : std::uint16_t {
  fin = 0x001,
  syn = 0x002,
  rst = 0x004,
  psh = 0x008,
  ack = 0x010,
  urg = 0x020,
  ece = 0x040,
  cwr = 0x080,
  ae = 0x100,
};

// A set of flags: TcpFlag::syn | TcpFlag::ack.
class TcpFlags {
 public:
  constexpr TcpFlags() = default;
  constexpr TcpFlags(TcpFlag flag) : bits_(static_cast<std::uint16_t>(flag)) {}  // NOLINT(google-explicit-constructor)
  static constexpr TcpFlags from_bits(std::uint16_t bits) {
    TcpFlags flags;
    flags.bits_ = bits & 0x1ff;
    return flags;
  }
  constexpr bool operator==(const TcpFlags&) const = default;
  [[nodiscard]] constexpr std::uint16_t bits() const { return bits_; }
  [[nodiscard]] constexpr bool has(TcpFlag flag) const { return (bits_ & static_cast<std::uint16_t>(flag)) != 0; }
  [[nodiscard]] constexpr bool any(TcpFlags of) const { return (bits_ & of.bits_) != 0; }
  [[nodiscard]] constexpr bool all(TcpFlags of) const { return (bits_ & of.bits_) == of.bits_; }
  [[nodiscard]] constexpr bool fin() const { return has(TcpFlag::fin); }
  [[nodiscard]] constexpr bool syn() const { return has(TcpFlag::syn); }
  [[nodiscard]] constexpr bool rst() const { return has(TcpFlag::rst); }
  [[nodiscard]] constexpr bool psh() const { return has(TcpFlag::psh); }
  [[nodiscard]] constexpr bool ack() const { return has(TcpFlag::ack); }
  [[nodiscard]] constexpr bool urg() const { return has(TcpFlag::urg); }
  [[nodiscard]] constexpr TcpFlags without(TcpFlags o) const {
    return from_bits(static_cast<std::uint16_t>(bits_ & ~o.bits_));
  }
  [[nodiscard]] constexpr TcpFlags only(TcpFlags o) const { return from_bits(bits_ & o.bits_); }
  friend constexpr TcpFlags operator|(TcpFlags a, TcpFlags b) { return from_bits(a.bits_ | b.bits_); }
  constexpr TcpFlags& operator|=(TcpFlags o) { return *this = *this | o; }

 private:
  std::uint16_t bits_ = 0;
};
constexpr TcpFlags operator|(TcpFlag a, TcpFlag b) {
  return TcpFlags{a} | TcpFlags{b};
}

struct TcpHeader {
  static constexpr std::size_t kLength = 20;
  static constexpr std::size_t kMaxOptions = 40;
  static constexpr std::size_t kMaxLength = kLength + kMaxOptions;
  static constexpr std::size_t kChecksumOffset = 16;
  static constexpr std::size_t kTimestampsLength = 12;  // NOP, NOP, timestamps
  static constexpr std::uint32_t kTimestampsWord = 0x0101080a;
  Port source_port;
  Port destination_port;
  SeqNum seq;
  SeqNum ack;
  TcpFlags flags;
  std::uint16_t window = 0;
  std::uint16_t urgent = 0;

  constexpr bool operator==(const TcpHeader&) const = default;

  // Writes the 20 fixed bytes of a header of which `options_length` bytes (a multiple of 4) of options stand, or will
  // stand, right behind. The checksum field is 0: see finish_checksum. Returns the header's whole length; 0 when `out`
  // is too small.
  [[nodiscard]] constexpr std::size_t emit(MutableByteSpan out, std::size_t options_length = 0) const {
    LEAT_ASSERT(options_length % 4 == 0 && options_length <= kMaxOptions);
    const std::size_t length = kLength + options_length;
    if (out.size() < length) return 0;
    // In words, because finish_checksum reads words: a load that spans two younger stores would stall.
    store_be32(&out[0], (std::uint32_t{source_port.value()} << 16) | destination_port.value());
    store_be32(&out[4], seq.value());
    store_be32(&out[8], ack.value());
    store_be32(&out[12], static_cast<std::uint32_t>(length << 26) | (std::uint32_t{flags.bits()} << 16) | window);
    store_be32(&out[16], urgent);
    return length;
  }
  // The header that nearly every segment has: timestamps as its only option, 32 bytes.
  [[nodiscard]] constexpr std::size_t emit_with_timestamps(MutableByteSpan out, std::uint32_t value,
                                                           std::uint32_t echo) const {
    const std::size_t length = emit(out, kTimestampsLength);
    if (length == 0) return 0;
    store_be32(&out[20], kTimestampsWord);
    store_be32(&out[24], value);
    store_be32(&out[28], echo);
    return length;
  }
  // Completes the checksum of an emitted header (its field still 0). `rest` is the sum of pseudo-header and payload.
  static constexpr void finish_checksum(MutableByteSpan header, Sum rest) {
    LEAT_ASSERT(header.size() >= kLength && header.size() % 4 == 0);
    std::uint64_t sum = rest;
    for (std::size_t i = 0; i < header.size(); i += 4) sum += load_be32(&header[i]);
    store_be16(&header[kChecksumOffset], checksum_finish(checksum_fold(sum)));
  }
};

class TcpView {
 public:
  static constexpr Parsed<TcpView> parse(ByteSpan bytes, std::size_t available) {
    if (bytes.size() < TcpHeader::kLength) return ParseError::truncated;
    const std::size_t length = (bytes[12] >> 4) * 4U;
    if (length < TcpHeader::kLength || length > bytes.size() || length > available) {
      return ParseError::bad_header_length;
    }
    return TcpView{bytes, available};
  }
  static constexpr Parsed<TcpView> parse(ByteSpan segment) { return parse(segment, segment.size()); }

  [[nodiscard]] constexpr Port source_port() const { return Port{load_be16(&bytes_[0])}; }
  [[nodiscard]] constexpr Port destination_port() const { return Port{load_be16(&bytes_[2])}; }
  [[nodiscard]] constexpr SeqNum seq() const { return SeqNum{load_be32(&bytes_[4])}; }
  [[nodiscard]] constexpr SeqNum ack() const { return SeqNum{load_be32(&bytes_[8])}; }
  [[nodiscard]] constexpr std::size_t header_length() const { return (bytes_[12] >> 4) * 4U; }
  [[nodiscard]] constexpr TcpFlags flags() const { return TcpFlags::from_bits(load_be16(&bytes_[12])); }
  [[nodiscard]] constexpr std::uint16_t window() const { return load_be16(&bytes_[14]); }
  [[nodiscard]] constexpr std::uint16_t checksum() const { return load_be16(&bytes_[16]); }
  [[nodiscard]] constexpr std::uint16_t urgent() const { return load_be16(&bytes_[18]); }
  [[nodiscard]] constexpr ByteSpan options() const {
    return bytes_.subspan(TcpHeader::kLength, header_length() - TcpHeader::kLength);
  }
  // All bytes of payload, in this buffer and the following ones.
  [[nodiscard]] constexpr std::size_t payload_length() const { return available_ - header_length(); }
  // The contiguous part of the payload.
  [[nodiscard]] constexpr ByteSpan payload() const {
    return bytes_.subspan(header_length(), std::min(bytes_.size(), available_) - header_length());
  }
  // RFC 9293 3.4: SEG.LEN counts the payload, SYN and FIN.
  [[nodiscard]] constexpr std::uint32_t sequence_length() const {
    return static_cast<std::uint32_t>(payload_length()) + (flags().syn() ? 1 : 0) + (flags().fin() ? 1 : 0);
  }
  [[nodiscard]] constexpr TcpHeader header() const {
    return {source_port(), destination_port(), seq(), ack(), flags(), window(), urgent()};
  }

 private:
  friend class Parsed<TcpView>;
  constexpr TcpView() = default;
  constexpr TcpView(ByteSpan bytes, std::size_t available) : bytes_(bytes), available_(available) {}
  ByteSpan bytes_;
  std::size_t available_ = 0;
};

}  // namespace leat::wire
