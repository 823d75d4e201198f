#pragma once
// Initial sequence numbers and timestamp offsets, both per connection tuple and secret. Threading: pure functions.
// Read RFC 6528 3, RFC 9293 3.4.1, RFC 7323 5.4 and 7.1.

#include <leat/base/address.hpp>
#include <leat/base/seq_num.hpp>
#include <leat/base/siphash.hpp>
#include <leat/base/time.hpp>

namespace leat::tcp {

// A 64-bit secret function of the whole tuple; `domain` separates uses of one key.
[[nodiscard]] constexpr std::uint64_t tuple_hash(SipKey secret, const FlowKey& key, std::uint64_t domain,
                                                 std::uint64_t salt = 0) {
  const std::uint8_t* local = key.local.bytes().data();
  const std::uint8_t* remote = key.remote.bytes().data();
  const std::uint64_t rest =
      (std::uint64_t{key.scope} << 32) | (std::uint64_t{key.local_port.value()} << 16) | key.remote_port.value();
  if (key.local.is_v4() && key.remote.is_v4())  // shorter, and so told apart from the other form
    return siphash24(secret, domain, salt, (std::uint64_t{load_be32(local + 12)} << 32) | load_be32(remote + 12), rest);
  return siphash24(secret, domain, salt, load_be64(local), load_be64(local + 8), load_be64(remote),
                   load_be64(remote + 8), rest);
}

// RFC 6528 3: ISN = M + F(tuple, secret), M a clock that ticks every 4 us. Numbers of one tuple grow with time, so that
// a new incarnation is ahead of the old one; numbers of different tuples tell nothing about each other.
[[nodiscard]] constexpr SeqNum initial_sequence(SipKey secret, const FlowKey& key, Instant now) {
  const auto clock = static_cast<std::uint32_t>(static_cast<std::uint64_t>(now.count_ns()) / 4000U);
  return SeqNum{clock + static_cast<std::uint32_t>(tuple_hash(secret, key, 0x69736e))};
}

// RFC 7323 5.4, 7.1: what is added to the clock in TSval, constant for a tuple so that timestamps of its incarnations
// grow, and different between tuples so that nobody learns the uptime or counts hosts.
[[nodiscard]] constexpr std::uint32_t timestamp_offset(SipKey secret, const FlowKey& key) {
  return static_cast<std::uint32_t>(tuple_hash(secret, key, 0x7473));
}

}  // namespace leat::tcp
