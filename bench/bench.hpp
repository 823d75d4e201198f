#pragma once
// The whole-stack benchmarks: what `leat bench NAME` runs. A benchmark takes a Request and gives rows; a row is a flat
// list of keys and values, and the keys are a contract (docs/cli.md). What a benchmark does not know it leaves out.
//
//   for (const leat::bench::Bench& b : leat::bench::benches())
//     if (b.name == "demux") print_json(out, b.name, b.run({}));
//
// Throughput and nanoseconds are the best of `Request::repetitions` runs: the machine may be shared, and a minimum is
// what it can do. Nothing here is a test: nothing fails for being slow. Threading: one benchmark at a time.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace leat::bench {

using Value = std::variant<bool, std::int64_t, double, std::string>;

class Row {
 public:
  Row& set(std::string_view key, bool v) { return put(key, v); }
  Row& set(std::string_view key, double v) { return put(key, v); }
  Row& set(std::string_view key, std::uint64_t v) { return put(key, static_cast<std::int64_t>(v)); }
  Row& set(std::string_view key, std::uint32_t v) { return put(key, static_cast<std::int64_t>(v)); }
  Row& set(std::string_view key, int v) { return put(key, std::int64_t{v}); }
  Row& set(std::string_view key, const char* v) { return put(key, std::string{v}); }
  Row& set(std::string_view key, std::string_view v) { return put(key, std::string{v}); }
  [[nodiscard]] const Value* find(std::string_view key) const;
  [[nodiscard]] const std::vector<std::pair<std::string, Value>>& fields() const { return fields_; }

 private:
  Row& put(std::string_view key, Value v) {
    fields_.emplace_back(key, std::move(v));
    return *this;
  }
  std::vector<std::pair<std::string, Value>> fields_;
};

struct Request {
  std::string device;               // "memory" or "tap"; empty: all that the benchmark has
  std::vector<std::uint32_t> mtus;  // empty: the benchmark's own list, here and below
  std::vector<std::uint64_t> connections;
  std::optional<bool> gso;  // TAP: with or without; unset: both
  std::string direction;    // TAP: "receive" or "send"; empty: both
  int repetitions = 5;
  double scale = 1;                                // of the work in one repetition: tests take a thousandth
  bool peers = true;                               // lwIP in the same run, where it was built
  std::function<void(std::string_view)> progress;  // one line of what runs now; may be unset
};

// What keeps a benchmark from running at all (no right to make a TAP ...): one line of cause and fix.
struct Unable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What of a Request chooses among a benchmark's rows; all take repetitions, scale and peers.
struct Choices {
  std::string_view devices;  // "memory tap": with spaces between; empty: one without a name
  bool mtus = false, connections = false, direction = false, gso = false;
};

struct Bench {
  std::string_view name;
  std::string_view description;
  std::vector<Row> (*rows)(const Request&);
  Choices choices;

  // Unable for a choice that this benchmark has not.
  [[nodiscard]] std::vector<Row> run(const Request&) const;
};

[[nodiscard]] std::span<const Bench> benches();
[[nodiscard]] const Bench* find_bench(std::string_view name);

// {"bench": NAME, "version": 1, "rows": [...]} and a line end.
[[nodiscard]] std::string to_json(std::string_view name, std::span<const Row> rows);
// A line of keys and a line for each row (RFC 4180, with plain line ends); what a row does not know is empty.
[[nodiscard]] std::string to_csv(std::span<const Row> rows);
// A table for people: one line a row, columns as wide as they need.
[[nodiscard]] std::string to_table(std::span<const Row> rows);

}  // namespace leat::bench
