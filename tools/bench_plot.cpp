#include "bench_plot.hpp"

#include <map>
#include <vector>

#include "failure.hpp"
#include "process.hpp"
#include "text.hpp"

namespace leat::tools {

namespace {

std::string text_of(const bench::Row& row, std::string_view key) {
  const bench::Value* v = row.find(key);
  if (v == nullptr) return "";
  if (const auto* s = std::get_if<std::string>(v)) return *s;
  if (const auto* i = std::get_if<std::int64_t>(v)) return cat(*i);
  if (const auto* d = std::get_if<double>(v)) return std::to_string(*d);
  return "";
}

// As a string of gnuplot's between single quotes.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') out += '\'';
    out += c;
  }
  return out + "'";
}

}  // namespace

void check_plot(const std::string& benchmark, const std::string& path) {
  if (benchmark != "latency") throw Failure(cat("--plot: '", benchmark, "' has no plot"), "leat bench latency has one");
  if (!path.ends_with(".png") && !path.ends_with(".svg"))
    throw Failure(cat("--plot: '", path, "' is neither .png nor .svg"), "name a file that ends in one of them");
  int code = 0;
  try {
    (void)run_program({"gnuplot", "--version"}, code);
  } catch (const Failure&) {
    code = -1;
  }
  if (code != 0)
    throw Failure("--plot: gnuplot is not installed", "apt-get install gnuplot-nox, or take --output alone");
}

std::string latency_script(std::span<const bench::Row> rows, const std::string& path) {
  std::map<std::pair<std::string, std::string>, std::string> lines;  // by CPUs and form: the points
  for (const bench::Row& row : rows)
    lines[{text_of(row, "cpus"), text_of(row, "form")}] +=
        cat(text_of(row, "bytes"), " ", text_of(row, "p50_us"), "\n");
  std::string script =
      cat("set terminal ", path.ends_with(".svg") ? "svg" : "pngcairo", " size 900,600\nset output ", quoted(path),
          "\nset title 'TCP echo, one kernel client'\nset xlabel 'bytes'\n"
          "set ylabel 'median round trip, us'\nset yrange [0:*]\nset key outside right center\nset grid\n");
  std::string plots;
  std::size_t number = 0;
  for (const auto& [name, points] : lines) {
    script += cat("$line", number, " << END\n", points, "END\n");
    plots += cat(plots.empty() ? "plot " : ", ", "$line", number, " using 1:2 with linespoints title ",
                 quoted(cat(name.second, name.first == "1" ? ", one CPU" : ", two CPUs")));
    ++number;
  }
  return script + plots + "\n";
}

void plot_latency(std::span<const bench::Row> rows, const std::string& path) {
  Process gnuplot({"gnuplot", "-"}, Process::Stdin::pipe);
  const std::string script = latency_script(rows, path);
  const bool fed = gnuplot.write(script.data(), script.size());
  gnuplot.close_stdin();
  const int code = gnuplot.wait(Duration::s(60));
  if (fed && code == 0) return;
  const std::string& said = gnuplot.output();
  throw Failure(cat("gnuplot made no ", path, ": ", said.substr(0, said.find('\n'))),
                "give --plot a file in a folder that is there");
}

}  // namespace leat::tools
