#pragma once
// SYN cookies: the server's ISN and timestamp carry what a SYN record would hold, so that a SYN flood costs no memory.
// Used when the SYN cache is full (or always, by option).
//
//   ISN     31..3  29 bits of MAC over tuple, the client's ISN, epoch, MSS class    2..0  MSS class, masked
//   TSval   31..6  clock                                                           5..0  ECN 1, SACK 1, window scale 4
//
// The key changes its effect every 64 s (the epoch goes into the MAC); a cookie is good in its epoch and the next. A
// blind ACK is accepted with probability 2^-28. Without timestamps the options but MSS are lost, which is the price of
// cookies. Threading: one owner. Read RFC 4987 3.6 and appendix A.

#include <array>
#include <cstdint>
#include <leat/base/address.hpp>
#include <leat/base/seq_num.hpp>
#include <leat/base/siphash.hpp>
#include <leat/base/time.hpp>
#include <optional>

namespace leat::tcp {

// The MSS values that a cookie can say. A peer's MSS is rounded down to one.
inline constexpr std::array<std::uint16_t, 8> kCookieMss{64, 536, 1220, 1360, 1440, 1460, 8940, 65475};
[[nodiscard]] unsigned cookie_mss_class(std::uint16_t mss);

class SynCookies {
 public:
  static constexpr Duration kEpoch = Duration::s(64);

  explicit SynCookies(SipKey secret) : secret_(secret) {}

  // The ISN of the SYN-ACK. `irs` is the sequence number of the client's SYN.
  [[nodiscard]] SeqNum make(const FlowKey& key, SeqNum irs, std::uint16_t peer_mss, Instant now) const;
  // The MSS, when `iss` (SEG.ACK - 1 of the client's ACK) is a cookie that we sent it; `irs` is SEG.SEQ - 1.
  [[nodiscard]] std::optional<std::uint16_t> check(const FlowKey& key, SeqNum irs, SeqNum iss, Instant now) const;

 private:
  [[nodiscard]] std::uint32_t mac(const FlowKey& key, SeqNum irs, std::uint64_t epoch) const;
  SipKey secret_;
};

// What the low bits of a timestamp say.
struct CookieOptions {
  std::uint8_t wscale = kNoScale;  // the peer's shift; kNoScale: it offered none
  bool sack = false;
  bool ecn = false;
  static constexpr std::uint8_t kNoScale = 15;
  constexpr bool operator==(const CookieOptions&) const = default;
};
// The TSval that carries the options: at most `tsval` (as it would go out), at least tsval - 127, so that no later
// timestamp of the connection is smaller.
[[nodiscard]] std::uint32_t cookie_timestamp(std::uint32_t tsval, CookieOptions options);
[[nodiscard]] CookieOptions cookie_options(std::uint32_t tsecr);

}  // namespace leat::tcp
