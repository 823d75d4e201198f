// up --demo: Leat at work in half a minute. On a TAP in a network namespace of its own, stock ping and curl on the
// kernel's side against a stack with an HTTP server; where there may be no TAP, the same between two Leat stacks that a
// link in memory joins. Everything it makes besides the capture is gone afterwards.

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <leat/device/netlink_unsafe.hpp>
#include <leat/runtime/clock.hpp>
#include <leat/runtime/entropy.hpp>
#include <sstream>

#include "commands.hpp"
#include "http_fetch.hpp"
#include "http_server.hpp"
#include "isolation.hpp"
#include "log.hpp"
#include "node.hpp"
#include "pinger.hpp"
#include "process.hpp"
#include "text.hpp"

namespace leat::tools {

namespace {

namespace fs = std::filesystem;

constexpr int kNoTap = 111;  // exit code of the isolated part: there can be no TAP
constexpr unsigned kPings = 20;
constexpr unsigned kParallel = 100;
constexpr std::uint32_t kSnapLength = 128;
constexpr Duration kPatience = Duration::s(60);

// The folder for files of the demo, removed at the end.
class WorkFolder {
 public:
  WorkFolder() {
    const bool has_build = fs::is_directory("build");
    std::string pattern = (has_build ? fs::path("build") : fs::temp_directory_path()) / "leat-demo.XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr)
      throw Failure(cat("can't make a folder ", pattern, ": ", std::strerror(errno)), "run it where you may write");
    path_ = fs::absolute(pattern);
    capture_ = has_build ? "build/demo.pcapng" : "leat-demo.pcapng";
  }
  ~WorkFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  [[nodiscard]] const fs::path& path() const { return path_; }
  [[nodiscard]] const std::string& capture() const { return capture_; }

 private:
  fs::path path_;
  std::string capture_;
};

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream all;
  all << file.rdbuf();
  return all.str();
}

void write_file(const fs::path& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.flush()) throw Failure(cat("can't write ", path.string()), "make room on the disk");
}

std::string small_text(unsigned number) {
  return cat("File ", number, " of ", kParallel, ", served by Leat.\n");
}

// What is served: a page, a hundred small files, a large one with random bytes.
void make_site(const fs::path& site, std::uint64_t big_bytes) {
  fs::create_directory(site);
  write_file(site / "index.html",
             "<!doctype html>\n<html><head><title>Leat</title></head>\n<body><h1>It works</h1>\n"
             "<p>This page left a TCP/IP stack in user space.</p></body></html>\n");
  for (unsigned i = 1; i <= kParallel; ++i) write_file(site / cat("small-", i, ".txt"), small_text(i));
  std::ofstream big(site / "big.bin", std::ios::binary);
  Rng rng(derive_key(system_entropy(), 1));
  std::vector<std::uint64_t> block(8192);
  for (std::uint64_t left = big_bytes; left > 0;) {
    for (std::uint64_t& word : block) word = rng.next();
    const std::uint64_t n = std::min<std::uint64_t>(left, block.size() * sizeof block[0]);
    big.write(static_cast<const char*>(static_cast<const void*>(block.data())), static_cast<std::streamsize>(n));
    left -= n;
  }
  if (!big.flush())
    throw Failure(cat("can't write a file of ", bytes_text(static_cast<double>(big_bytes))), "make room on the disk");
}

std::string sha256_of(const fs::path& file) {
  int code = 0;
  const std::string output = run_program({"sha256sum", file.string()}, code);
  return code == 0 ? output.substr(0, 64) : "";
}

std::string url(const IpAddress& address, std::string_view path) {
  return address.is_v4() ? cat("http://", address, path) : cat("http://[", address, "]", path);
}

std::string_view version_name(const IpAddress& a) {
  return a.is_v4() ? "IPv4" : "IPv6";
}

// What the steps found out, and their lines on stdout.
class Report {
 public:
  explicit Report(bool json) : json_(json) {}

  void begin(std::string_view what) {
    if (stderr_is_terminal()) std::fprintf(stderr, "\r  ..  %s\x1b[K", std::string(what).c_str());
  }
  void line(bool ok, std::string_view what, std::string_view found) {
    if (stderr_is_terminal()) std::fputs("\r\x1b[K", stderr);
    all_ok_ = all_ok_ && ok;
    steps_.push(Value{}.set("step", what).set("ok", ok).set("found", found));
    if (json_) return;
    std::printf("  %-5s %-28s %s\n", ok ? "ok" : "FAIL", std::string(what).c_str(), std::string(found).c_str());
    std::fflush(stdout);
  }
  void say(const std::string& text) const {
    if (!json_) std::printf("%s\n", text.c_str());
    std::fflush(stdout);
  }
  void rtt(Duration d) {
    if (rtt_ == Duration{} || d < rtt_) rtt_ = d;
  }
  void goodput(double bits_per_s) { goodput_ = std::max(goodput_, bits_per_s); }

  int finish(Node& node, const std::string& capture) {
    const Counters& c = node.stack().counters();
    const std::uint64_t again = c.get(Counter::tcp_retransmitted_segments);
    const std::uint64_t out = c.get(Counter::tcp_segments_out);
    node.finish_capture();
    if (json_) {
      Value v;
      v.set("ok", all_ok_)
          .set("rtt_us", static_cast<double>(rtt_.count_ns()) / 1e3)
          .set("goodput_bit_per_s", goodput_)
          .set("retransmitted_segments", again)
          .set("segments_out", out)
          .set("capture", capture)
          .set("steps", steps_)
          .set("counters", node.counters());
      std::puts(v.dump(true).c_str());
    } else {
      std::printf("\nRTT %s, goodput %s, %llu retransmissions in %llu segments\n",
                  time_text(static_cast<double>(rtt_.count_ns()) / 1e9).c_str(), rate_text(goodput_).c_str(),
                  static_cast<unsigned long long>(again), static_cast<unsigned long long>(out));
      std::printf("capture: %s (the first %u bytes of each packet)\n", capture.c_str(), kSnapLength);
    }
    std::fflush(stdout);
    return all_ok_ ? kExitOk : kExitNegative;
  }

 private:
  bool json_;
  bool all_ok_ = true;
  Value steps_ = Value::Array{};
  Duration rtt_;
  double goodput_ = 0;
};

struct Scene {
  fs::path site;
  fs::path got;  // where clients put what they fetched
  std::uint64_t big_bytes = 0;
  std::string big_hash;
  std::array<IpAddress, 2> leat;  // IPv4, IPv6
};

// Stock programs on the kernel's side ----------------------------------------------------------------------------

// How many of the first kPings requests were answered: "64 bytes from 10.9.0.2: icmp_seq=1 ttl=64 time=0.051 ms"
std::size_t answered(std::string_view output) {
  std::bitset<kPings> seen;
  constexpr std::string_view kKey = "icmp_seq=";
  for (std::size_t at = 0; (at = output.find(kKey, at)) != std::string_view::npos;) {
    at += kKey.size();
    const auto number = parse_number(output.substr(at, output.find(' ', at) - at));
    if (number && *number >= 1 && *number <= kPings) seen.set(*number - 1);
  }
  return seen.count();
}

// "rtt min/avg/max/mdev = 0.021/0.034/0.101/0.010 ms"
void stock_ping(Report& report, const IpAddress& to) {
  const std::string what = cat("ping -c ", kPings, " -i 0.05 ", to);
  report.begin(what);
  int code = 0;
  // Without -w it waits for the last reply two round trips and no longer, which a busy machine may take to run anybody.
  const std::string output =
      run_program({"ping", "-n", "-c", std::to_string(kPings), "-i", "0.05", "-w", "5", cat(to)}, code, kPatience);
  const std::size_t rtt_at = output.find("min/avg/max/mdev = ");
  const std::size_t received = answered(output);
  std::string found = cat(received, " of ", kPings, " replies");
  if (rtt_at != std::string::npos) {
    const std::string_view rest = std::string_view(output).substr(rtt_at + 19);
    const auto parts = split(rest.substr(0, rest.find(' ')), '/');
    if (parts.size() == 4) {
      found += cat(", RTT min ", parts[0], " avg ", parts[1], " max ", parts[2], " ms");
      if (const auto average = parse_duration(cat(parts[1], "ms"))) report.rtt(*average);
    }
  } else {
    const std::size_t last = output.find_last_not_of('\n');
    found += cat("; ping says: ", std::string_view(output).substr(output.rfind('\n', last) + 1, last));
  }
  report.line(code == 0 && received == kPings, what, found);
}

std::vector<std::string> curl(const std::string& from, const fs::path& to) {
  return {"curl",      "--globoff", "--silent",    "--show-error",
          "--noproxy", "*",         "--max-time",  "60",
          "--output",  to.string(), "--write-out", "%{http_code} %{time_total} %{speed_download}",
          from};
}

void curl_page(Report& report, const Scene& scene, const IpAddress& leat) {
  const std::string what = cat("curl ", url(leat, "/"));
  report.begin(what);
  int code = 0;
  const std::string output = run_program(curl(url(leat, "/"), scene.got / "page"), code, kPatience);
  const std::string page = read_file(scene.got / "page");
  const bool same = page == read_file(scene.site / "index.html");
  report.line(code == 0 && same, what,
              code == 0 ? cat("status ", output.substr(0, 3), ", ", page.size(), " bytes, ",
                              same ? "as served" : "not as served")
                        : output);
}

void curl_big(Report& report, const Scene& scene, const IpAddress& leat, HttpServer& http, Runner& runner) {
  const std::string what = cat(bytes_text(static_cast<double>(scene.big_bytes)), " by curl, ", version_name(leat));
  report.begin(what);
  std::uint64_t before = 0;
  runner.call([&] { before = http.bytes_sent(); });
  const fs::path to = scene.got / "big.bin";
  Process process(curl(url(leat, "/big.bin"), to));
  if (stderr_is_terminal()) {
    Progress progress(cat("  ..  ", what), scene.big_bytes);
    while (process.read_some(50) && process.output().empty()) {
      std::uint64_t sent = 0;
      runner.call([&] { sent = http.bytes_sent(); });
      progress.update(sent - before);
    }
  }
  const int code = process.wait(kPatience);
  const auto parts = split(std::string_view(process.output()), ' ');
  const bool same = sha256_of(to) == scene.big_hash;
  std::string found = process.output();
  if (code == 0 && parts.size() == 3) {
    const auto time = parse_duration(cat(parts[1], "s"));
    const double seconds = time ? static_cast<double>(time->count_ns()) / 1e9 : 0;
    const double rate = seconds > 0 ? static_cast<double>(scene.big_bytes) * 8 / seconds : 0;
    report.goodput(rate);
    found = cat(time_text(seconds), ", ", rate_text(rate), ", SHA-256 ", same ? "equal " : "NOT equal ",
                scene.big_hash.substr(0, 12), "...");
  }
  report.line(code == 0 && same, what, found);
  std::error_code ignored;
  fs::remove(to, ignored);
}

void curl_parallel(Report& report, const Scene& scene) {
  const std::string what = cat(kParallel, " curls at once");
  report.begin(what);
  const Instant start = monotonic_now();
  std::vector<Process> clients;
  for (unsigned i = 1; i <= kParallel; ++i)
    clients.emplace_back(curl(url(scene.leat[i % 2], cat("/small-", i, ".txt")), scene.got / std::to_string(i)));
  unsigned good = 0;
  std::string problem;
  for (unsigned i = 1; i <= kParallel; ++i) {
    const int code = clients[i - 1].wait(kPatience);
    const bool same = read_file(scene.got / std::to_string(i)) == small_text(i);
    if (code == 0 && same) {
      ++good;
    } else {
      problem = clients[i - 1].output();
    }
  }
  const double seconds = static_cast<double>((monotonic_now() - start).count_ns()) / 1e9;
  report.line(
      good == kParallel, what,
      cat(good, " of ", kParallel, " files as served, in ", time_text(seconds), problem.empty() ? "" : "; ", problem));
}

// In the namespace: the kernel on one side of a TAP, Leat on the other.
int play_on_tap(const Plan& plan, const Scene& scene, bool json) {
  Report report(json);
  try {
    // Loopback is down in a new namespace; programs may look for it.
    (void)netlink::link_up("lo");
    std::unique_ptr<Node> node;
    try {
      node = std::make_unique<Node>(plan);
      node->announce();
    } catch (const TapFailure& f) {
      log_warning(f.what());
      return kNoTap;
    }
    HttpServer http(node->host(), {.root = scene.site.string()});
    const std::vector<IpAddress> kernel = node->peer_addresses();
    report.say(cat("A network namespace of its own: the kernel with ", kernel.at(0), " and ", kernel.at(1),
                   " on one side of a TAP,\nLeat with ", scene.leat[0], " and ", scene.leat[1],
                   " on the other. Stock programs against Leat:\n"));
    node->runner().start();
    for (const IpAddress& leat : scene.leat) stock_ping(report, leat);
    for (const IpAddress& leat : scene.leat) curl_page(report, scene, leat);
    for (const IpAddress& leat : scene.leat) curl_big(report, scene, leat, http, node->runner());
    curl_parallel(report, scene);
    node->runner().stop();
    return report.finish(*node, plan.pcap);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "leat: %s\n", e.what());
    return kExitUsage;
  }
}

// Two Leat stacks ------------------------------------------------------------------------------------------------

void leat_ping(Report& report, Node& node, const IpAddress& to) {
  const std::string what = cat("ping ", to);
  report.begin(what);
  Pinger pinger(node.peer()->stack(), node.runner(),
                {.to = to, .count = kPings, .interval = Duration::ms(50), .wait = Duration::s(2)});
  node.runner().run_until([&] { return pinger.done(); }, monotonic_now() + kPatience);
  const PingTotals& t = pinger.totals();
  if (t.received > 0) report.rtt(t.mean());
  report.line(
      t.received == kPings, what,
      cat(t.received, " of ", kPings, " replies, RTT avg ", time_text(static_cast<double>(t.mean().count_ns()) / 1e9)));
}

void leat_page(Report& report, Node& node, const Scene& scene, const IpAddress& leat) {
  const std::string what = cat("fetch ", url(leat, "/"));
  report.begin(what);
  std::string page;
  HttpFetch fetch(node.peer()->stack(), {leat, Port{80}}, "/", [&](ByteSpan b) { page.append(b.begin(), b.end()); });
  node.runner().run_until([&] { return fetch.done(); }, monotonic_now() + kPatience);
  const bool same = fetch.ok() && page == read_file(scene.site / "index.html");
  report.line(same, what,
              fetch.ok()
                  ? cat("status ", fetch.status(), ", ", page.size(), " bytes, ", same ? "as served" : "not as served")
                  : fetch.problem());
}

void leat_big(Report& report, Node& node, const Scene& scene, const IpAddress& leat) {
  const std::string what = cat(bytes_text(static_cast<double>(scene.big_bytes)), " by Leat, ", version_name(leat));
  report.begin(what);
  const fs::path to = scene.got / "big.bin";
  std::FILE* file = std::fopen(to.c_str(), "wb");
  if (file == nullptr) throw Failure(cat("can't write ", to.string()), "make room on the disk");
  const Instant start = monotonic_now();
  Progress progress(cat("  ..  ", what), scene.big_bytes);
  HttpFetch fetch(node.peer()->stack(), {leat, Port{80}}, "/big.bin",
                  [&](ByteSpan b) { std::fwrite(b.data(), 1, b.size(), file); });
  node.runner().run_until(
      [&] {
        progress.update(fetch.received());
        return fetch.done();
      },
      monotonic_now() + kPatience);
  const double seconds = static_cast<double>((monotonic_now() - start).count_ns()) / 1e9;
  progress.finish();
  std::fclose(file);
  const bool same = fetch.ok() && sha256_of(to) == scene.big_hash;
  const double rate = static_cast<double>(fetch.received()) * 8 / seconds;
  if (same) report.goodput(rate);
  report.line(same, what,
              fetch.ok() ? cat(time_text(seconds), ", ", rate_text(rate), ", SHA-256 ", same ? "equal " : "NOT equal ",
                               scene.big_hash.substr(0, 12), "...")
                         : fetch.problem());
  std::error_code ignored;
  fs::remove(to, ignored);
}

void leat_parallel(Report& report, Node& node, const Scene& scene) {
  const std::string what = cat(kParallel, " fetches at once");
  report.begin(what);
  const Instant start = monotonic_now();
  std::vector<std::string> got(kParallel);
  std::vector<std::unique_ptr<HttpFetch>> fetches;
  for (unsigned i = 1; i <= kParallel; ++i)
    fetches.push_back(std::make_unique<HttpFetch>(node.peer()->stack(), Endpoint{scene.leat[i % 2], Port{80}},
                                                  cat("/small-", i, ".txt"),
                                                  [&to = got[i - 1]](ByteSpan b) { to.append(b.begin(), b.end()); }));
  node.runner().run_until(
      [&] { return std::all_of(fetches.begin(), fetches.end(), [](const auto& f) { return f->done(); }); },
      monotonic_now() + kPatience);
  unsigned good = 0;
  for (unsigned i = 1; i <= kParallel; ++i) good += fetches[i - 1]->ok() && got[i - 1] == small_text(i) ? 1 : 0;
  const double seconds = static_cast<double>((monotonic_now() - start).count_ns()) / 1e9;
  report.line(good == kParallel, what, cat(good, " of ", kParallel, " files as served, in ", time_text(seconds)));
}

int play_in_memory(Plan plan, const Scene& scene, bool json) {
  Report report(json);
  for (InterfacePlan& interface : plan.interfaces) interface.device = {"memory", "leat0"};
  Node node(plan);
  HttpServer http(node.host(), {.root = scene.site.string()});
  report.say(cat("Two Leat stacks joined by a link in memory, the server with ", scene.leat[0], " and ", scene.leat[1],
                 ":\n"));
  for (const IpAddress& leat : scene.leat) leat_ping(report, node, leat);
  for (const IpAddress& leat : scene.leat) leat_page(report, node, scene, leat);
  for (const IpAddress& leat : scene.leat) leat_big(report, node, scene, leat);
  leat_parallel(report, node, scene);
  return report.finish(node, plan.pcap);
}

}  // namespace

namespace {

int play(Plan& plan, const WorkFolder& work, std::uint64_t big_bytes, bool in_memory, bool json) {
  const auto& addresses = plan.interfaces.front().addresses;
  Scene scene{.site = work.path() / "site",
              .got = work.path() / "got",
              .big_bytes = big_bytes,
              .big_hash = {},
              .leat = {addresses[0].address, addresses[1].address}};
  make_site(scene.site, scene.big_bytes);
  fs::create_directory(scene.got);
  scene.big_hash = sha256_of(scene.site / "big.bin");
  if (scene.big_hash.empty()) throw Failure("sha256sum does not run", "install coreutils");

  if (!in_memory) {
    const Isolation isolated = run_isolated([&] { return play_on_tap(plan, scene, json); });
    if (isolated.possible && isolated.code != kNoTap) return isolated.code;
    if (!isolated.possible) log_warning(isolated.why);
    log_warning("no TAP for this user: the same between two Leat stacks instead");
  }
  return play_in_memory(plan, scene, json);
}

}  // namespace

int run_demo(const Arguments& a) {
  const auto big_bytes = parse_size(a.demo_bytes);
  if (!big_bytes || *big_bytes == 0)
    throw Failure(cat("--demo-bytes: '", a.demo_bytes, "' is not a size"), "write it as 100M");
  StackArguments stack = a.stack;
  const bool in_memory = stack.device.starts_with("memory");
  if (!stack.device.empty() && !in_memory && !stack.device.starts_with("tap"))
    throw Failure(cat("--device: no demo over '", stack.device, "'"), "take tap or memory");
  Plan plan = make_plan(stack);
  const auto& addresses = plan.interfaces.front().addresses;
  if (addresses.size() != 2 || !addresses[0].address.is_v4() || addresses[1].address.is_v4())
    throw Failure("the demo needs one IPv4 and one IPv6 address, in this order", "leave --ip out");
  const WorkFolder work;
  if (plan.pcap.empty()) plan.pcap = work.capture();
  if (plan.snap_length == 0) plan.snap_length = kSnapLength;
  plan.setup = true;

  return run_cleaned_up([&] { return play(plan, work, *big_bytes, in_memory, a.json); });
}

}  // namespace leat::tools
