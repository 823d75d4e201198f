#include <algorithm>
#include <bench/bench.hpp>
#include <cinttypes>
#include <cmath>
#include <cstdio>

namespace leat::bench {
namespace {

std::string text_of(const Value& v) {
  std::array<char, 40> buffer{};
  if (const auto* b = std::get_if<bool>(&v)) return *b ? "true" : "false";
  if (const auto* s = std::get_if<std::string>(&v)) return *s;
  if (const auto* i = std::get_if<std::int64_t>(&v)) {
    std::snprintf(buffer.data(), buffer.size(), "%" PRId64, *i);
    return buffer.data();
  }
  const double d = std::get<double>(v);
  if (!std::isfinite(d)) return "0";
  std::snprintf(buffer.data(), buffer.size(), d >= 1000 ? "%.0f" : d >= 100 ? "%.1f" : d >= 10 ? "%.2f" : "%.3f", d);
  return buffer.data();
}

std::string quoted(std::string_view s) {
  std::string out = "\"";
  for (const char c : s) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= ' ') out += c;
  }
  return out + '"';
}

// Every key once, in the order of their first use.
std::vector<std::string> columns_of(std::span<const Row> rows) {
  std::vector<std::string> columns;
  for (const Row& row : rows)
    for (const auto& [key, value] : row.fields())
      if (std::ranges::find(columns, key) == columns.end()) columns.push_back(key);
  return columns;
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

}  // namespace

const Value* Row::find(std::string_view key) const {
  const auto at = std::ranges::find(fields_, key, [](const auto& f) -> std::string_view { return f.first; });
  return at == fields_.end() ? nullptr : &at->second;
}

std::string to_json(std::string_view name, std::span<const Row> rows) {
  std::string out = "{\"bench\": " + quoted(name) + ", \"version\": 1, \"rows\": [";
  for (std::size_t r = 0; r < rows.size(); ++r) {
    out += r == 0 ? "\n  {" : ",\n  {";
    bool first = true;
    for (const auto& [key, value] : rows[r].fields()) {
      if (!std::exchange(first, false)) out += ", ";
      out += quoted(key) + ": " +
             (std::holds_alternative<std::string>(value) ? quoted(std::get<std::string>(value)) : text_of(value));
    }
    out += '}';
  }
  return out + "\n]}\n";
}

std::string to_csv(std::span<const Row> rows) {
  const std::vector<std::string> columns = columns_of(rows);
  std::string out;
  for (const std::string& column : columns) out += (out.empty() ? "" : ",") + column;
  out += '\n';
  for (const Row& row : rows) {
    bool first = true;
    for (const std::string& column : columns) {
      if (!std::exchange(first, false)) out += ',';
      if (const Value* v = row.find(column)) out += csv_field(text_of(*v));
    }
    out += '\n';
  }
  return out;
}

std::string to_table(std::span<const Row> rows) {
  const std::vector<std::string> columns = columns_of(rows);
  std::vector<std::vector<std::string>> lines{columns};
  for (const Row& row : rows) {
    std::vector<std::string>& line = lines.emplace_back();
    for (const std::string& column : columns) {
      const Value* v = row.find(column);
      line.push_back(v == nullptr ? "-" : text_of(*v));
    }
  }
  std::string out;
  for (const auto& line : lines) {
    for (std::size_t c = 0; c < columns.size(); ++c) {
      std::size_t width = 0;
      for (const auto& other : lines) width = std::max(width, other[c].size());
      out += line[c] + std::string(width - line[c].size() + (c + 1 < columns.size() ? 2 : 0), ' ');
    }
    while (!out.empty() && out.back() == ' ') out.pop_back();
    out += '\n';
  }
  return out;
}

}  // namespace leat::bench
