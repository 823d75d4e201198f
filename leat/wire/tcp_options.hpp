#pragma once
// TCP options (RFC 9293 3.2, RFC 7323, RFC 2018, RFC 7413).
//
// Parsing never fails and never loops: an option with a length of 0, 1 or past the end stops it and sets `malformed`;
// an option that we know with a length that it can't have is ignored; one that we don't know is skipped and counted;
// of duplicates the last counts. Nearly every segment of a connection carries exactly NOP, NOP, timestamps: test for
// that first with fast_timestamps.
//
// Threading: values; `fast_open` borrows the bytes that it was parsed from.

#include <array>
#include <leat/base/seq_num.hpp>
#include <leat/wire/tcp.hpp>
#include <optional>

namespace leat::wire {

enum class TcpOptionKind : std::uint8_t {
  end = 0,
  nop = 1,
  mss = 2,
  window_scale = 3,
  sack_permitted = 4,
  sack = 5,
  timestamps = 8,
  fast_open = 34,
};

// In which order a SYN carries its options; hosts are recognised by it.
enum class TcpOptionOrder : std::uint8_t {
  mss_sack_timestamps_scale,  // mss, sackOK, TS, nop, wscale
  mss_scale_sack_timestamps,  // mss, nop, wscale, sackOK, TS
};

struct TcpTimestamps {
  std::uint32_t value = 0;
  std::uint32_t echo = 0;
  constexpr bool operator==(const TcpTimestamps&) const = default;
};

struct SackBlock {
  SeqNum left;   // first number of the block
  SeqNum right;  // the number after its last
  constexpr bool operator==(const SackBlock&) const = default;
};

struct TcpOptions {
  static constexpr std::uint8_t kMaxWindowScale = 14;
  static constexpr std::size_t kMaxSackBlocks = 4;
  static constexpr std::size_t kMaxCookie = 16;

  std::optional<std::uint16_t> mss;
  std::optional<std::uint8_t> window_scale;  // at most 14: RFC 7323 2.3 takes more for 14
  bool sack_permitted = false;
  bool malformed = false;
  std::uint8_t sack_count = 0;
  std::uint8_t unknown = 0;  // options that were skipped
  std::optional<TcpTimestamps> timestamps;
  std::array<SackBlock, kMaxSackBlocks> sack_blocks{};
  std::optional<ByteSpan> fast_open;  // a cookie of 4 to 16 bytes, or empty: a request for one

  [[nodiscard]] constexpr std::span<const SackBlock> sack() const { return {sack_blocks.data(), sack_count}; }
  // Adds a block; false when four are there.
  constexpr bool add_sack(SackBlock block) {
    if (sack_count == kMaxSackBlocks) return false;
    sack_blocks[sack_count++] = block;
    return true;
  }
  bool operator==(const TcpOptions& o) const;

  static TcpOptions parse(ByteSpan options);
  // Writes the options, padded to a multiple of 4, at most 40 bytes. Of the SACK blocks as many are written as fit
  // behind the others, the first first. Returns the length; 0 when `out` is too small for the others (or there is
  // nothing to write).
  [[nodiscard]] std::size_t emit(MutableByteSpan out,
                                 TcpOptionOrder order = TcpOptionOrder::mss_sack_timestamps_scale) const;
};

// True, and the values, when the options are exactly NOP, NOP, timestamps (RFC 7323 appendix A).
[[nodiscard]] constexpr bool fast_timestamps(ByteSpan options, std::uint32_t& value, std::uint32_t& echo) {
  if (options.size() != TcpHeader::kTimestampsLength || load_be32(&options[0]) != 0x0101080a) return false;
  value = load_be32(&options[4]);
  echo = load_be32(&options[8]);
  return true;
}

}  // namespace leat::wire
