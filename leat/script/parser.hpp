#pragma once
// Parser: text of a `.pkt` file to a Script. The first thing that is wrong, or that this runner does not do, ends it
// with one Diagnostic that names line and column: a script never runs in part, and nothing is silently skipped.
//
// Threading: a pure function.

#include <leat/script/script.hpp>
#include <string_view>

namespace leat::script {

struct ParseResult {
  Script script;
  std::optional<Diagnostic> error;
  explicit operator bool() const { return !error.has_value(); }
};

[[nodiscard]] ParseResult parse(std::string_view name, std::string_view text);

// "FILE:LINE:COLUMN: MESSAGE"
[[nodiscard]] std::string to_text(std::string_view file, const Diagnostic& diagnostic);

}  // namespace leat::script
