// What gnuplot is told, what it draws, and what --plot refuses before anything is measured.

#include "bench_plot.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "failure.hpp"
#include "text.hpp"

namespace leat::tools {
namespace {

// What --output wrote of a run, cut to the columns that are drawn.
constexpr std::string_view kCsv =
    "form,bytes,cpus,p50_us\n"
    "linux,100,1,13.6\nposix,100,1,14.1\nchannel,100,1,14\nevent,100,1,13.3\n"
    "linux,500,1,13.7\nposix,500,1,14.2\nchannel,500,1,14.1\nevent,500,1,13.4\n"
    "linux,1400,1,13.9\nposix,1400,1,14.4\nchannel,1400,1,14.3\nevent,1400,1,13.8\n"
    "linux,4096,1,18.6\nposix,4096,1,18.8\nchannel,4096,1,18.6\nevent,4096,1,17.9\n";

std::vector<bench::Row> rows_of(std::string_view csv) {
  std::vector<bench::Row> rows;
  const auto lines = split(csv, '\n');
  const auto keys = split(lines.front(), ',');
  for (std::size_t i = 1; i < lines.size() && !lines[i].empty(); ++i) {
    const auto cells = split(lines[i], ',');
    bench::Row& row = rows.emplace_back();
    for (std::size_t c = 0; c < cells.size(); ++c) row.set(keys[c], std::string(cells[c]));
  }
  return rows;
}

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "leat_plot_XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~Folder() {
    if (!path_.empty()) std::filesystem::remove_all(path_);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string file(std::string_view name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

std::string content(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// Asks for the file as the command does before it measures; empty where gnuplot is there.
std::string refusal(const std::string& path) {
  try {
    check_plot("latency", path);
  } catch (const Failure& e) {
    return e.what();
  }
  return "";
}

// Four forms at four sizes. The size of a PNG's picture stands in its header (PNG 11.2.2); a picture without lines and
// letters would take 3 KB.
TEST(BenchPlot, DrawsAPictureOfEachKind) {
  const Folder folder;
  const std::vector<bench::Row> rows = rows_of(kCsv);
  ASSERT_EQ(rows.size(), 16u);
  const std::string png = folder.file("latency.png"), svg = folder.file("latency.svg");
  if (const std::string why = refusal(png); !why.empty()) GTEST_SKIP() << why;
  plot_latency(rows, png);
  plot_latency(rows, svg);
  const std::string picture = content(png);
  ASSERT_GT(picture.size(), 10'000u);
  EXPECT_EQ(picture.substr(0, 8), "\x89PNG\r\n\x1a\n");
  EXPECT_EQ(picture.substr(12, 12), std::string("IHDR\0\0\x03\x84\0\0\x02\x58", 12)) << "900 x 600";
  const std::string drawing = content(svg);
  EXPECT_NE(drawing.find("<svg"), std::string::npos);
  for (const std::string_view form : {"linux", "posix", "channel", "event"})
    EXPECT_NE(drawing.find(cat("<title>", form, ", one CPU</title>")), std::string::npos) << form;
  EXPECT_THROW(plot_latency(rows, folder.file("no/folder.png")), Failure);
}

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
