// bench: the whole-stack benchmarks of bench/, by name.

#include <bench/bench.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "bench_plot.hpp"
#include "commands.hpp"
#include "log.hpp"
#include "text.hpp"

namespace leat::tools {

namespace {

using bench::Bench;

std::string names_text() {
  std::string text;
  for (const Bench& b : bench::benches()) text += cat(text.empty() ? "" : ", ", b.name);
  return text;
}

bench::Request request_of(const Arguments& a) {
  if (!a.bench_device.empty() && a.bench_device != "memory" && a.bench_device != "tap" && a.bench_device != "shm")
    throw Failure(cat("--device: no benchmark over '", a.bench_device, "'"), "take memory, tap or shm");
  if (!a.bench_direction.empty() && a.bench_direction != "receive" && a.bench_direction != "send")
    throw Failure(cat("--direction: '", a.bench_direction, "' is no direction"), "take receive or send");
  if (a.repetitions < 1 || a.repetitions > 1000) throw Failure("--repetitions is out of range", "take 1 to 1000");
  for (const std::uint32_t mtu : a.bench_mtus)
    if (mtu < 576 || mtu > 65535) throw Failure(cat("--mtu: no benchmark with ", mtu), "take one from 576 to 65535");
  for (const std::uint64_t n : a.bench_connections)
    if (n < 1 || n > 8'000'000) throw Failure(cat("--connections: no benchmark with ", n), "take 1 to 8000000");
  if (!(a.bench_scale > 0 && a.bench_scale <= 1000))
    throw Failure("--scale is out of range", "take more than 0, at most 1000");
  bench::Request request;
  request.device = a.bench_device;
  request.mtus = a.bench_mtus;
  request.connections = a.bench_connections;
  request.gso = a.bench_gso;
  request.direction = a.bench_direction;
  request.repetitions = a.repetitions;
  request.scale = a.bench_scale;
  request.peers = a.peers;
  request.progress = [](std::string_view line) { log_info(line); };
  return request;
}

void write_text(const std::string& path, const std::string& text) {
  std::FILE* const file = std::fopen(path.c_str(), "we");
  bool ok = file != nullptr;
  ok = ok && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (file != nullptr && std::fclose(file) != 0) ok = false;
  if (!ok)
    throw Failure(cat("can't write ", path, ": ", std::strerror(errno)),
                  "give --output a file in a folder that is there");
}

void list(const Arguments& a) {
  std::vector<bench::Row> rows;
  std::vector<std::vector<std::string>> lines;
  const auto add = [&](std::string_view name, std::string_view description) {
    rows.push_back(bench::Row{}.set("name", name).set("description", description));
    lines.push_back({std::string(name), std::string(description)});
  };
  for (const Bench& b : bench::benches()) add(b.name, b.description);
  add("all", "every one of them");
  std::fputs(a.json ? bench::to_json("list", rows).c_str() : table(lines).c_str(), stdout);
  if (!a.output.empty()) write_text(a.output, bench::to_csv(rows));
}

}  // namespace

int run_bench(const Arguments& a) {
  if (a.bench == "list") {
    list(a);
    return kExitOk;
  }
  std::vector<const Bench*> chosen;
  if (a.bench == "all") {
    for (const Bench& b : bench::benches()) chosen.push_back(&b);
  } else if (const Bench* b = bench::find_bench(a.bench); b != nullptr) {
    chosen.push_back(b);
  } else {
    std::vector<std::string_view> known{"list", "all"};
    for (const Bench& each : bench::benches()) known.push_back(each.name);
    const std::string hint = did_you_mean(a.bench, known);
    throw Failure(cat("no benchmark '", a.bench, "'"), hint.empty() ? cat("there are: ", names_text()) : hint);
  }
  const bench::Request request = request_of(a);
  if (!a.output.empty()) write_text(a.output, "");
  if (!a.plot.empty()) check_plot(a.bench, a.plot);  // before it takes its time
  std::vector<bench::Row> rows;
  for (const Bench* b : chosen) {
    std::vector<bench::Row> own;
    try {
      own = b->run(request);
    } catch (const bench::Unable& e) {
      if (chosen.size() == 1) throw;
      log_warning(cat(b->name, " is left out: ", e.what()));
      continue;
    }
    if (!a.json) {
      if (chosen.size() > 1) std::printf("%s\n", std::string(b->name).c_str());
      std::fputs(bench::to_table(own).c_str(), stdout);
    }
    for (bench::Row& row : own) {
      if (chosen.size() > 1) row.set("bench", b->name);  // one object, so each row says whose it is
      rows.push_back(std::move(row));
    }
  }
  if (a.json) std::fputs(bench::to_json(a.bench, rows).c_str(), stdout);
  if (!a.output.empty()) write_text(a.output, bench::to_csv(rows));
  if (!a.plot.empty()) plot_latency(rows, a.plot);
  return kExitOk;
}

}  // namespace leat::tools
