#pragma once
// Text for people and from people: quantities with units both ways, near misses of names, small formatting.
// K, M, G mean 1000, 1000^2, 1000^3, and Ki, Mi, Gi the powers of 1024. Threading: any.

#include <cstdint>
#include <leat/base/address.hpp>
#include <leat/base/time.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace leat::tools {

// What `text` says, or nothing. Sizes "10M", "64Ki", "1500"; durations "40ms", "1.5s", "200us", "5m"; chances "2%",
// "0.1%" as parts per million.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);
[[nodiscard]] std::optional<Duration> parse_duration(std::string_view text);
[[nodiscard]] std::optional<std::uint32_t> parse_ppm(std::string_view text);
[[nodiscard]] std::optional<std::uint64_t> parse_number(std::string_view text);

[[nodiscard]] std::string bytes_text(double bytes);      // "104.9 MB"
[[nodiscard]] std::string rate_text(double bits_per_s);  // "8.31 Gbit/s"
[[nodiscard]] std::string time_text(double seconds);     // "41.2 us", "2.30 s"
[[nodiscard]] std::string fixed(double value, int decimals);
[[nodiscard]] std::string percent_text(double fraction);

// The name of `known` that is nearest to `wrong`; empty when none is near.
[[nodiscard]] std::string nearest(std::string_view wrong, std::span<const std::string_view> known);
// "; did you mean 'x'?" or "".
[[nodiscard]] std::string did_you_mean(std::string_view wrong, std::span<const std::string_view> known);

[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char separator);
[[nodiscard]] std::string_view trim(std::string_view text);
// Columns padded to the widest cell, numbers to the right.
[[nodiscard]] std::string table(const std::vector<std::vector<std::string>>& rows);

namespace detail {
inline void append(std::string& to, std::string_view piece) {
  to += piece;
}
inline void append(std::string& to, char piece) {
  to += piece;
}
template <class T>
requires(std::is_integral_v<T> && !std::is_same_v<T, char> && !std::is_same_v<T, bool>) void append(std::string& to,
                                                                                                    T piece) {
  to += std::to_string(piece);
}
template <class T>
requires(std::is_same_v<T, IpAddress> || std::is_same_v<T, IpPrefix> || std::is_same_v<T, Endpoint> ||
         std::is_same_v<T, MacAddress>) void append(std::string& to, const T& piece) {
  to += AddressText(piece).view();
}
}  // namespace detail

// Pieces one behind the other: cat("port ", 80, " of ", address).
template <class... Pieces>
[[nodiscard]] std::string cat(const Pieces&... pieces) {
  std::string text;
  (detail::append(text, pieces), ...);
  return text;
}

}  // namespace leat::tools
