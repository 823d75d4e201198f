#pragma once
// One line of text for a frame or packet, in the manner of tcpdump, for traces and failing tests:
//
//   IP 10.0.0.1.33112 > 10.0.0.2.80: Flags [S], seq 497415680, win 64240, options [mss 1460,sackOK,...], length 0
//
// Any bytes are fine: what can't be parsed is named. `total_length` is the whole packet's length where `bytes` is only
// its contiguous start. The text is cut at the end of `out`; the characters written are returned. 256 are enough for
// nearly everything.
//
// Threading: pure functions.

#include <leat/base/bytes.hpp>
#include <span>

namespace leat::wire {

inline constexpr std::size_t kPrettyLength = 320;

std::size_t print_frame(ByteSpan bytes, std::size_t total_length, std::span<char> out);  // from the Ethernet header on
std::size_t print_ip(ByteSpan bytes, std::size_t total_length, std::span<char> out);     // from the IP header on
inline std::size_t print_frame(ByteSpan frame, std::span<char> out) {
  return print_frame(frame, frame.size(), out);
}
inline std::size_t print_ip(ByteSpan packet, std::span<char> out) {
  return print_ip(packet, packet.size(), out);
}

}  // namespace leat::wire
