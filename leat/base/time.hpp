#pragma once
// Duration and Instant: signed 64-bit nanoseconds, so that quantities of time never mix with plain numbers. The core
// reads no clock: every call that depends on time takes `Instant now`, one per turn. Instants are monotonic and count
// from an origin that the owner of the clock chooses; 64 bits of nanoseconds last 292 years.

#include <compare>
#include <cstdint>

namespace leat {

class Duration {
 public:
  constexpr Duration() = default;
  static constexpr Duration ns(std::int64_t n) { return Duration{n}; }
  static constexpr Duration us(std::int64_t n) { return Duration{n * 1'000}; }
  static constexpr Duration ms(std::int64_t n) { return Duration{n * 1'000'000}; }
  static constexpr Duration s(std::int64_t n) { return Duration{n * 1'000'000'000}; }
  static constexpr Duration max() { return Duration{INT64_MAX}; }
  [[nodiscard]] constexpr std::int64_t count_ns() const { return ns_; }
  [[nodiscard]] constexpr std::int64_t count_us() const { return ns_ / 1'000; }
  [[nodiscard]] constexpr std::int64_t count_ms() const { return ns_ / 1'000'000; }
  [[nodiscard]] constexpr std::int64_t count_s() const { return ns_ / 1'000'000'000; }
  constexpr auto operator<=>(const Duration&) const = default;
  constexpr Duration operator+(Duration o) const { return Duration{ns_ + o.ns_}; }
  constexpr Duration operator-(Duration o) const { return Duration{ns_ - o.ns_}; }
  constexpr Duration operator*(std::int64_t k) const { return Duration{ns_ * k}; }
  constexpr Duration operator/(std::int64_t k) const { return Duration{ns_ / k}; }
  constexpr std::int64_t operator/(Duration o) const { return ns_ / o.ns_; }
  constexpr Duration& operator+=(Duration o) {
    ns_ += o.ns_;
    return *this;
  }
  constexpr Duration& operator-=(Duration o) {
    ns_ -= o.ns_;
    return *this;
  }

 private:
  constexpr explicit Duration(std::int64_t ns) : ns_(ns) {}
  std::int64_t ns_ = 0;
};

class Instant {
 public:
  constexpr Instant() = default;
  static constexpr Instant from_ns(std::int64_t n) { return Instant{n}; }
  static constexpr Instant never() { return Instant{INT64_MAX}; }
  [[nodiscard]] constexpr std::int64_t count_ns() const { return ns_; }
  [[nodiscard]] constexpr std::int64_t count_us() const { return ns_ / 1'000; }
  [[nodiscard]] constexpr std::int64_t count_ms() const { return ns_ / 1'000'000; }
  [[nodiscard]] constexpr bool is_never() const { return ns_ == INT64_MAX; }
  constexpr auto operator<=>(const Instant&) const = default;
  // `never` stays never; a sum that would pass it becomes never.
  constexpr Instant operator+(Duration d) const {
    std::int64_t sum = 0;
    if (is_never() || __builtin_add_overflow(ns_, d.count_ns(), &sum)) return never();
    return Instant{sum};
  }
  constexpr Instant operator-(Duration d) const { return is_never() ? never() : Instant{ns_ - d.count_ns()}; }
  constexpr Duration operator-(Instant o) const { return Duration::ns(ns_ - o.ns_); }

 private:
  constexpr explicit Instant(std::int64_t ns) : ns_(ns) {}
  std::int64_t ns_ = 0;
};

constexpr Instant earlier(Instant a, Instant b) {
  return b < a ? b : a;
}

}  // namespace leat
