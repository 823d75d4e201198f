#pragma once
// Assertions: the part of packetdrill's embedded Python that scripts of TCP use, `assert` over fields of tcp_info:
//
//   %{ assert tcpi_unacked == 10; assert tcpi_snd_cwnd >= 4 and not tcpi_backoff }%
//
// Integers, names, + - * / // %, comparisons, and, or, not, parentheses. Anything else is an error with its place.
//
// Threading: pure functions.

#include <functional>
#include <leat/script/script.hpp>
#include <string_view>

namespace leat::script {

struct AssertionsResult {
  std::vector<AssertSpec> asserts;
  std::optional<Diagnostic> error;
};
// `text` begins at `start` of its file.
[[nodiscard]] AssertionsResult parse_assertions(std::string_view text, Position start);

// The value of a name; nothing when it is unknown.
using FieldSource = std::function<std::optional<std::int64_t>(std::string_view name)>;
struct Evaluation {
  std::int64_t value = 0;
  std::string error;    // unknown field, division by zero
  std::string details;  // "tcpi_unacked is 3": every field that was looked at
};
[[nodiscard]] Evaluation evaluate(const AssertSpec& spec, const FieldSource& fields);

}  // namespace leat::script
