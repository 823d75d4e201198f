// leat bench latency runs in namespaces of its own and gives the rows and keys that scripts rely on; how fast is not
// looked at.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bench/bench.hpp>
#include <map>
#include <string>
#include <vector>

namespace leat::bench {
namespace {

double number(const Row& row, std::string_view key) {
  const Value* v = row.find(key);
  if (v == nullptr) {
    ADD_FAILURE() << "no key " << key;
    return 0;
  }
  if (const auto* i = std::get_if<std::int64_t>(v)) return static_cast<double>(*i);
  if (const auto* d = std::get_if<double>(v)) return *d;
  ADD_FAILURE() << key << " is no number";
  return 0;
}

// Linux, Leat's three forms and no stack at four sizes, on one CPU and, where there are two, on two.
TEST(Bench_Runs, LatencyInEveryForm) {
  std::vector<Row> rows;
  try {
    Request request;
    request.repetitions = 1;
    request.scale = 0.001;
    rows = find_bench("latency")->run(request);
  } catch (const Unable& e) {
    GTEST_SKIP() << e.what();
  }
  ASSERT_TRUE(rows.size() == 20 || rows.size() == 40) << rows.size();
  std::map<std::string, std::vector<double>> calls_up_to_a_segment;  // of each form
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    EXPECT_GT(number(row, "p50_us"), 1);
    EXPECT_GE(number(row, "p99_us"), number(row, "p50_us"));
    EXPECT_EQ(number(row, "bytes"), (std::array{100, 500, 1400, 4096})[i / 5 % 4]);
    EXPECT_EQ(std::get<std::string>(*row.find("form")),
              (std::array{"linux", "posix", "channel", "event", "floor"})[i % 5]);
    EXPECT_EQ(number(row, "cpus"), i < 20 ? 1 : 2);
    if (i % 5 == 0) continue;
    EXPECT_GT(number(row, "ratio_to_peer"), 0);
    // Some machines let nobody trace, and who spins is not counted.
    if (row.find("syscalls_per_round_trip") == nullptr) continue;
    const double calls = number(row, "syscalls_per_round_trip");
    EXPECT_GE(calls, 2.5);
    EXPECT_LT(calls, 10);
    if (number(row, "bytes") <= 1400) calls_up_to_a_segment[std::get<std::string>(*row.find("form"))].push_back(calls);
  }
  // A wait, a read and a write; what a busy machine adds (an ACK of its own, a wait in vain) shows in one size of the
  // three and not in another.
  for (auto& [form, calls] : calls_up_to_a_segment) {
    std::ranges::sort(calls);
    EXPECT_LT(calls[calls.size() / 2], form == "posix" || form == "channel" ? 4 : 3.5) << form;
  }
}

}  // namespace
}  // namespace leat::bench
