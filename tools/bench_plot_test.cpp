// What gnuplot is told, and what --plot refuses before anything is measured.

#include "bench_plot.hpp"

#include <gtest/gtest.h>

#include "failure.hpp"

namespace leat::tools {
namespace {

TEST(BenchPlot, OneLineForEachFormAndNumberOfCpus) {
  std::vector<bench::Row> rows(3);
  rows[0].set("form", "posix").set("bytes", 100).set("cpus", 1).set("p50_us", 12.5);
  rows[1].set("form", "posix").set("bytes", 500).set("cpus", 1).set("p50_us", 13.5);
  rows[2].set("form", "linux").set("bytes", 100).set("cpus", 2).set("p50_us", 20.0);
  const std::string script = latency_script(rows, "it's.svg");
  EXPECT_NE(script.find("set terminal svg"), std::string::npos);
  EXPECT_NE(script.find("set output 'it''s.svg'"), std::string::npos);
  EXPECT_NE(script.find("$line0 << END\n100 12.500000\n500 13.500000\nEND\n"), std::string::npos);
  EXPECT_NE(script.find("plot $line0 using 1:2 with linespoints title 'posix, one CPU', "
                        "$line1 using 1:2 with linespoints title 'linux, two CPUs'\n"),
            std::string::npos);
}

TEST(BenchPlot, RefusesOtherBenchmarksAndOtherFiles) {
  EXPECT_THROW(check_plot("bulk", "a.png"), Failure);
  EXPECT_THROW(check_plot("latency", "a.pdf"), Failure);
}

}  // namespace
}  // namespace leat::tools
