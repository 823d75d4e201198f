#include <leat/core/tcp/isn.hpp>
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
  return static_cast<std::uint32_t>(tuple_hash(secret_, key, epoch, irs.value()));
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
