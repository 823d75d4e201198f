#pragma once
// A number that whoever runs a test may give by an environment variable: more seeds, another first one.

#include <cstdint>
#include <cstdlib>

namespace leat::test {

inline std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* const given = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before there are threads
  return given == nullptr ? otherwise : std::strtoull(given, nullptr, 10);
}

}  // namespace leat::test
