#pragma once
// The plot of `leat bench latency`, drawn by gnuplot: the median round trip over the size, a line for each form and
// number of CPUs.

#include <bench/bench.hpp>
#include <span>
#include <string>

namespace leat::tools {

// Throws Failure when this benchmark has no plot, the name ends in neither .png nor .svg, or gnuplot is missing.
void check_plot(const std::string& benchmark, const std::string& path);
// Throws Failure when gnuplot refuses.
void plot_latency(std::span<const bench::Row> rows, const std::string& path);
// What gnuplot is given.
[[nodiscard]] std::string latency_script(std::span<const bench::Row> rows, const std::string& path);

}  // namespace leat::tools
