// leat bench latency runs in namespaces of its own and gives the rows and keys that scripts rely on; how fast is not
// looked at.

#include <gtest/gtest.h>

#include <array>
#include <bench/bench.hpp>

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
    // Some machines let nobody trace. A round trip takes a wait, a read and a write at least; never dozens.
    if (row.find("syscalls_per_round_trip") == nullptr) continue;
    EXPECT_GE(number(row, "syscalls_per_round_trip"), 2.5);
    EXPECT_LT(number(row, "syscalls_per_round_trip"), 30);
  }
}

}  // namespace
}  // namespace leat::bench
