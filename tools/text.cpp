#include "text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

namespace leat::tools {

namespace {

struct Unit {
  std::string_view name;
  double factor;
};

// "1.5" and what stands behind it.
struct Quantity {
  double value = 0;
  bool whole = true;
  std::string_view unit;
};

std::optional<Quantity> parse_quantity(std::string_view text) {
  text = trim(text);
  std::size_t digits = 0;
  bool whole = true;
  while (digits < text.size() && ((text[digits] >= '0' && text[digits] <= '9') || text[digits] == '.')) {
    whole = whole && text[digits] != '.';
    ++digits;
  }
  Quantity q;
  const auto result = std::from_chars(text.data(), text.data() + digits, q.value, std::chars_format::fixed);
  if (digits == 0 || result.ec != std::errc{} || result.ptr != text.data() + digits) return std::nullopt;
  q.whole = whole;
  q.unit = trim(text.substr(digits));
  return q;
}

std::optional<double> scaled(const Quantity& q, std::span<const Unit> units) {
  for (const Unit& u : units)
    if (u.name == q.unit) return q.value * u.factor;
  return std::nullopt;
}

std::string with_unit(double value, std::span<const Unit> units) {
  const Unit* best = units.data();
  for (const Unit& u : units)
    if (value >= u.factor * 0.9995) best = &u;
  const double shown = value / best->factor;
  const int decimals = best->factor == units.front().factor && shown == std::floor(shown) ? 0
                       : shown < 9.995                                                    ? 2
                       : shown < 99.95                                                    ? 1
                                                                                          : 0;
  return fmt::format("{:.{}f} {}", shown, decimals, best->name);
}

// Letters put in, left out, replaced, or swapped with their neighbour.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U), last[j] + 1, row[j - 1] + 1});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789.-+%") == std::string_view::npos;
}

}  // namespace

std::optional<std::uint64_t> parse_number(std::string_view text) {
  text = trim(text);
  std::uint64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || result.ec != std::errc{} || result.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  constexpr std::array<Unit, 14> kUnits{{{"", 1},
                                         {"B", 1},
                                         {"K", 1e3},
                                         {"k", 1e3},
                                         {"KB", 1e3},
                                         {"kB", 1e3},
                                         {"M", 1e6},
                                         {"MB", 1e6},
                                         {"G", 1e9},
                                         {"GB", 1e9},
                                         {"T", 1e12},
                                         {"Ki", 1024.0},
                                         {"Mi", 1048576.0},
                                         {"Gi", 1073741824.0}}};
  const auto q = parse_quantity(text);
  if (!q) return std::nullopt;
  if (q->unit.empty() && q->whole) return parse_number(text);
  const auto value = scaled(*q, kUnits);
  if (!value || *value > 9e18 || std::floor(*value) != *value) return std::nullopt;
  return static_cast<std::uint64_t>(*value);
}

std::optional<Duration> parse_duration(std::string_view text) {
  constexpr std::array<Unit, 6> kUnits{{{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}}};
  const auto q = parse_quantity(text);
  if (!q) return std::nullopt;
  if (q->unit.empty()) return q->value == 0 ? std::optional(Duration{}) : std::nullopt;
  const auto value = scaled(*q, kUnits);
  if (!value || *value > 9e18) return std::nullopt;
  return Duration::ns(static_cast<std::int64_t>(std::llround(*value)));
}

std::optional<std::uint32_t> parse_ppm(std::string_view text) {
  const auto q = parse_quantity(text);
  if (!q || (q->unit != "%" && !(q->unit.empty() && q->value == 0)) || q->value > 100) return std::nullopt;
  return static_cast<std::uint32_t>(std::lround(q->value * 1e4));
}

std::string bytes_text(double bytes) {
  constexpr std::array<Unit, 5> kUnits{{{"B", 1}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}}};
  return with_unit(bytes, kUnits);
}

std::string rate_text(double bits_per_s) {
  constexpr std::array<Unit, 4> kUnits{{{"bit/s", 1}, {"kbit/s", 1e3}, {"Mbit/s", 1e6}, {"Gbit/s", 1e9}}};
  return with_unit(bits_per_s, kUnits);
}

std::string time_text(double seconds) {
  constexpr std::array<Unit, 4> kUnits{{{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1}}};
  return with_unit(seconds, kUnits);
}

std::string fixed(double value, int decimals) {
  return fmt::format("{:.{}f}", value, decimals);
}

std::string percent_text(double fraction) {
  return fmt::format("{:.3g} %", fraction * 100);
}

std::string nearest(std::string_view wrong, std::span<const std::string_view> known) {
  std::string_view best;
  std::size_t least = std::max<std::size_t>(1, wrong.size() / 3) + 1;
  for (const std::string_view name : known) {
    const std::size_t d = edit_distance(wrong, name);
    if (d < least) {
      least = d;
      best = name;
    }
  }
  // A name without its prefix, or the start of one: near enough when only one has it.
  if (best.empty() && wrong.size() >= 3) {
    for (const std::string_view name : known) {
      if (name.find(wrong) == std::string_view::npos) continue;
      if (!best.empty()) return {};
      best = name;
    }
  }
  return std::string(best);
}

std::string did_you_mean(std::string_view wrong, std::span<const std::string_view> known) {
  const std::string name = nearest(wrong, known);
  return name.empty() ? std::string{} : cat("did you mean '", name, "'?");
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) text.remove_suffix(1);
  return text;
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> width;
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i == width.size()) width.push_back(0);
      width[i] = std::max(width[i], row[i].size());
    }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string padding(width[i] - row[i].size(), ' ');
      if (i > 0) line += "  ";
      line += is_number(row[i]) ? padding + row[i] : row[i] + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  }
  return text;
}

}  // namespace leat::tools
