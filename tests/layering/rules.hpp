// The rules about what may stand in which folder, as functions over text.
//
// `Table` is tests/layering/allowed.txt. `check_file` gives one sentence for each violation in a file, so that the test
// can feed it the project's sources and, to prove that it would notice, sources that break each rule.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

namespace leat::layering {

using Names = std::set<std::string>;

struct Table {
  std::map<std::string, Names> may_include;  // folder under leat/ -> folders; "*" is everything
  Names freestanding;                        // floors without an operating system
  Names std_headers;                         // all that these may take from the standard library
  Names arch;                                // floors that may ask for the processor
  Names arch_headers;
  Names arch_macros;
  Names deterministic;

  // The row that governs a folder or file below leat/ ("device/wrap/tracer.hpp" -> "device/wrap"); empty when there is
  // none.
  [[nodiscard]] std::string row_of(const std::string& path) const;
};

// Throws std::runtime_error, naming the line, when the text is not a table.
[[nodiscard]] Table parse_table(const std::string& text);

// One folder of each cycle in the table; empty when there is none.
[[nodiscard]] Names cyclic_folders(const Table& table);

// The text without comments and without the contents of string and character literals; lines stay where they are.
[[nodiscard]] std::string strip_comments_and_literals(const std::string& text);

// Violations in one source file, `path` being relative to leat/ ("core/tcp/rtt.cpp"). Tests and benches (*_test.cpp,
// *_bench.cpp) follow the include directions only.
[[nodiscard]] std::vector<std::string> check_file(const Table& table, const std::string& path, const std::string& text);

// Violations in the DEPS of a folder's CMakeLists.txt, `folder` being relative to leat/.
[[nodiscard]] std::vector<std::string> check_cmake(const Table& table, const std::string& folder,
                                                   const std::string& text);

}  // namespace leat::layering
