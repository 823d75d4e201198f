#pragma once
// Initial sequence numbers and timestamp offsets, both from one function of connection tuple and secret. Threading:
// pure functions. Read RFC 6528 3, RFC 9293 3.4.1, RFC 7323 5.4 and 7.1.

#include <leat/base/flow_siphash.hpp>
#include <leat/base/seq_num.hpp>
#include <leat/base/time.hpp>

namespace leat::tcp {

// What is added to the clocks of a tuple: two halves of one secret function of it. A half of a pseudo-random function's
// output tells nothing about the other.
struct TupleOffsets {
  std::uint32_t sequence = 0;
  std::uint32_t timestamp = 0;
};
[[nodiscard]] constexpr TupleOffsets tuple_offsets(SipKey secret, const FlowKey& key) {
  const std::uint64_t hash = flow_siphash<2, 4>(secret, key);
  return {static_cast<std::uint32_t>(hash), static_cast<std::uint32_t>(hash >> 32)};
}

// RFC 6528 3: ISN = M + F(tuple, secret), M a clock that ticks every 4 us. Numbers of one tuple grow with time, so that
// a new incarnation is ahead of the old one; numbers of different tuples tell nothing about each other.
[[nodiscard]] constexpr SeqNum initial_sequence(const TupleOffsets& offsets, Instant now) {
  const auto clock = static_cast<std::uint32_t>(static_cast<std::uint64_t>(now.count_ns()) / 4000U);
  return SeqNum{clock + offsets.sequence};
}

// RFC 7323 5.4, 7.1: what is added to the clock in TSval, constant for a tuple so that timestamps of its incarnations
// grow, and different between tuples so that nobody learns the uptime or counts hosts.
[[nodiscard]] constexpr std::uint32_t timestamp_offset(SipKey secret, const FlowKey& key) {
  return tuple_offsets(secret, key).timestamp;
}

}  // namespace leat::tcp
