#pragma once
// A received segment, parsed once: what the input functions pass along, trim and take from.
//
// Invariants: `length` counts the payload octets that are still to be processed: behind the header and `skip` octets.
// SYN and FIN stand in `flags` until the check that consumes them takes them out.
// Threading: lives on the stack of tcp::input.

#include <leat/base/counters.hpp>
#include <leat/base/seq_num.hpp>
#include <leat/core/modules.hpp>
#include <leat/wire/tcp_options.hpp>

namespace leat::tcp {

struct Segment {
  TransportInput* in = nullptr;
  SeqNum seq;
  SeqNum ack;
  wire::TcpFlags flags;
  std::uint16_t window = 0;   // as on the wire, unscaled
  bool fast_options = false;  // the only options are timestamps, or there are none
  bool timestamps = false;    // ts_value and ts_echo are there
  std::uint8_t header_length = 0;
  std::uint32_t length = 0;
  std::uint32_t ts_value = 0;
  std::uint32_t ts_echo = 0;
  std::uint32_t skip = 0;   // octets of payload before `seq` that were trimmed
  std::uint32_t ports = 0;  // as on the wire: source, destination
  std::uint32_t hash = 0;   // of the flow; not of one whose connection was guessed right

  // RFC 9293 3.4: SEG.LEN counts SYN and FIN.
  [[nodiscard]] std::uint32_t sequence_length() const {
    return length + (flags.syn() ? 1U : 0U) + (flags.fin() ? 1U : 0U);
  }
  [[nodiscard]] SeqNum end() const { return seq + sequence_length(); }
  [[nodiscard]] ByteSpan option_bytes() const {
    return in->packet.head().subspan(in->packet.meta().l4_offset + wire::TcpHeader::kLength,
                                     header_length - wire::TcpHeader::kLength);
  }
  // Drops the packet's headers and what was trimmed: what is left are the `length` octets from `seq` on.
  void strip() {
    Packet& p = in->packet;
    p.trim_front(p.meta().l4_offset + header_length + skip);
    if (p.size() > length) p.truncate(length);
  }
  // The first `n` octets of payload are not wanted.
  void trim_front(std::uint32_t n) {
    seq += n;
    skip += n;
    length -= n;
  }
  [[nodiscard]] FlowKey key(Scope scope) const {
    return {in->destination, in->source, Port{static_cast<std::uint16_t>(ports)},
            Port{static_cast<std::uint16_t>(ports >> 16)}, scope};
  }
};

// What a check of RFC 9293 3.10.7.4 says about the segment; the spine does it.
enum class Then : std::uint8_t {
  go_on,      // the next check
  drop,       // discard, for `reason`
  ack,        // answer with an ACK and discard
  challenge,  // answer with a challenge ACK as far as its rate allows, and discard (RFC 5961 7)
  reset,      // answer with a RST and discard
  finished,   // the packet was taken, or the connection is over: nothing is left to do
};
struct Disposition {
  Then then = Then::go_on;
  DropReason reason{};
};
[[nodiscard]] constexpr Disposition go_on() {
  return {};
}
[[nodiscard]] constexpr Disposition drop(DropReason reason) {
  return {Then::drop, reason};
}
[[nodiscard]] constexpr Disposition ack_and_drop(DropReason reason) {
  return {Then::ack, reason};
}
[[nodiscard]] constexpr Disposition challenge_and_drop(DropReason reason) {
  return {Then::challenge, reason};
}
[[nodiscard]] constexpr Disposition reset_and_drop(DropReason reason) {
  return {Then::reset, reason};
}
[[nodiscard]] constexpr Disposition finished() {
  return {Then::finished, {}};
}

}  // namespace leat::tcp
