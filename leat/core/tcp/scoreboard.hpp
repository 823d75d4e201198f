#pragma once
// Scoreboard: what SACK blocks say about the ranges in flight (RFC 2018, 2883, 6675). Everything that needs SACK is
// behind SackOps, so that an image without it links none of this.
//
// A block is believed when it lies within SND.UNA..SND.NXT and left < right; the first block may also be a DSACK: below
// SND.UNA, or inside the second block (RFC 2883 4). All others are ignored (attack rows D14). Threading: one owner.

#include <leat/core/tcp/ranges.hpp>
#include <leat/wire/tcp_options.hpp>
#include <span>

namespace leat::tcp {

struct SackResult {
  std::uint32_t newly_sacked = 0;  // bytes
  bool dsack = false;              // the peer saw something twice
  wire::SackBlock duplicate{};     // what, with dsack
  bool reordered = false;          // something that was sent once arrived behind what was SACKed before
  bool reneged = false;            // the first range in flight had been SACKed and SND.UNA stands before it
};

struct SackOps {
  // `una` is the acknowledgement number of this segment (ranges below are gone already), `nxt` SND.NXT.
  SackResult (*apply)(RangePool&, RangeList&, SeqNum una, SeqNum nxt, std::span<const wire::SackBlock> blocks,
                      std::uint32_t cap);
  // RFC 6675 4 IsLost for all ranges: what has `dup_threshold` discontiguous SACKed ranges, or more than
  // (dup_threshold - 1) * mss SACKed bytes, above it is lost. Returns the bytes newly lost.
  std::uint32_t (*update_lost)(RangePool&, RangeList&, std::uint32_t mss, unsigned dup_threshold, std::uint32_t cap);
};
extern const SackOps kSack;

}  // namespace leat::tcp
