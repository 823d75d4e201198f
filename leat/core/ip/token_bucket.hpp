#pragma once
// TokenBucket: how many of something may happen: `rate` a second, `burst` at once. Time is the credit: one token costs
// 1 s / rate. A bucket of zero bytes is full. Threading: one owner.

#include <leat/base/time.hpp>

namespace leat::ip {

struct TokenBucket {
  Instant full_since;         // credit is counted from here
  std::int64_t spent_ns = 0;  // of the credit

  // Takes a token if there is one. A rate of 0 has none.
  [[nodiscard]] bool take(Instant now, std::int64_t rate, std::int64_t burst) {
    if (rate <= 0 || burst <= 0) return false;
    const std::int64_t cost = 1'000'000'000 / rate;
    // The debt shrinks by the time that passed; full means no debt.
    const std::int64_t debt = spent_ns - (now - full_since).count_ns();
    spent_ns = debt > 0 ? debt : 0;
    full_since = now;
    if (spent_ns + cost > cost * burst) return false;
    spent_ns += cost;
    return true;
  }
};

}  // namespace leat::ip
