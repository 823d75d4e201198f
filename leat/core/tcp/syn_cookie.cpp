#include <leat/core/tcp/syn_cookie.hpp>

namespace leat::tcp {
namespace {
constexpr std::uint32_t kClassBits = 7;
constexpr std::uint64_t kMask = 8;  // in place of a class: what masks the class bits

std::uint64_t epoch_of(Instant now) {
  return static_cast<std::uint64_t>(now.count_ns()) / static_cast<std::uint64_t>(SynCookies::kEpoch.count_ns());
}
}  // namespace

unsigned cookie_mss_class(std::uint16_t mss) {
  unsigned c = 0;
  while (c + 1 < kCookieMss.size() && kCookieMss[c + 1] <= mss) ++c;
  return c;
}

// `epoch` is the epoch times 16 plus what the value is for: a class, or kMask.
std::uint32_t SynCookies::mac(const FlowKey& key, SeqNum irs, std::uint64_t epoch) const {
  const std::uint8_t* const local = key.local.bytes().data();
  const std::uint8_t* const remote = key.remote.bytes().data();
  const std::uint64_t salt = irs.value();
  const std::uint64_t rest =
      (std::uint64_t{key.scope} << 32) | (std::uint64_t{key.local_port.value()} << 16) | key.remote_port.value();
  if (key.local.is_v4() && key.remote.is_v4())  // shorter, and so told apart from the other form
    return static_cast<std::uint32_t>(
        siphash24(secret_, epoch, salt, (std::uint64_t{load_be32(local + 12)} << 32) | load_be32(remote + 12), rest));
  return static_cast<std::uint32_t>(siphash24(secret_, epoch, salt, load_be64(local), load_be64(local + 8),
                                              load_be64(remote), load_be64(remote + 8), rest));
}

SeqNum SynCookies::make(const FlowKey& key, SeqNum irs, std::uint16_t peer_mss, Instant now) const {
  const std::uint64_t epoch = epoch_of(now) * 16;
  const unsigned c = cookie_mss_class(peer_mss);
  return SeqNum{(mac(key, irs, epoch + c) & ~kClassBits) | ((mac(key, irs, epoch + kMask) ^ c) & kClassBits)};
}

std::optional<std::uint16_t> SynCookies::check(const FlowKey& key, SeqNum irs, SeqNum iss, Instant now) const {
  const std::uint64_t current = epoch_of(now);
  for (std::uint64_t back = 0; back < 2 && back <= current; ++back) {
    const std::uint64_t epoch = (current - back) * 16;
    const std::uint32_t c = (mac(key, irs, epoch + kMask) ^ iss.value()) & kClassBits;
    if (((mac(key, irs, epoch + c) ^ iss.value()) & ~kClassBits) == 0) return kCookieMss[c];
  }
  return std::nullopt;
}

std::uint32_t cookie_timestamp(std::uint32_t tsval, CookieOptions o) {
  const std::uint32_t low = (o.ecn ? 32U : 0U) | (o.sack ? 16U : 0U) | (o.wscale & 15U);
  const std::uint32_t base = tsval & ~63U;
  return (low <= (tsval & 63U) ? base : base - 64) | low;
}

CookieOptions cookie_options(std::uint32_t tsecr) {
  return {.wscale = static_cast<std::uint8_t>(tsecr & 15), .sack = (tsecr & 16) != 0, .ecn = (tsecr & 32) != 0};
}

}  // namespace leat::tcp
