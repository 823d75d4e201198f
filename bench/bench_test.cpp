// The benchmarks run, give the rows and keys that scripts rely on, and print them as JSON; how fast is not looked at.

#include <gtest/gtest.h>

#include <bench/bench.hpp>
#include <bench/event_counter.hpp>
#include <thread>

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

Request small() {
  Request request;
  request.repetitions = 1;
  request.scale = 0.001;
  return request;
}

std::vector<Row> run(std::string_view name, const Request& request) {
  const Bench* bench = find_bench(name);
  if (bench == nullptr) throw std::runtime_error("no such benchmark");
  return bench->run(request);
}

TEST(Bench_Report, PrintsRowsAsJson) {
  std::vector<Row> rows(2);
  rows[0].set("device", "mem\"ory").set("mtu", 1500U).set("gso", true).set("ns_per_packet", 270.5);
  rows[1].set("connections", std::uint64_t{1'000'000});
  EXPECT_EQ(to_json("bulk", rows),
            "{\"bench\": \"bulk\", \"version\": 1, \"rows\": [\n"
            "  {\"device\": \"mem\\\"ory\", \"mtu\": 1500, \"gso\": true, \"ns_per_packet\": 270.5},\n"
            "  {\"connections\": 1000000}\n]}\n");
}

TEST(Bench_Report, TableHasEveryColumnOnce) {
  std::vector<Row> rows(2);
  rows[0].set("mtu", 1500U);
  rows[1].set("mtu", 9000U).set("peer", "lwip");
  EXPECT_EQ(to_table(rows), "mtu   peer\n1500  -\n9000  lwip\n");
}

TEST(Bench_Report, CsvHasEveryColumnOnceAndQuotesWhatItMust) {
  std::vector<Row> rows(2);
  rows[0].set("mtu", 1500U).set("gso", true);
  rows[1].set("mtu", 9000U).set("peer", "a \"b\", c");
  EXPECT_EQ(to_csv(rows), "mtu,gso,peer\n1500,true,\n9000,,\"a \"\"b\"\", c\"\n");
}

TEST(Bench_Runs, DemuxAtEveryBurst) {
  Request request = small();
  request.connections = {10, 1'000};
  const auto rows = run("demux", request);
  ASSERT_EQ(rows.size(), 4U);
  for (const Row& row : rows) EXPECT_GT(number(row, "ns_per_segment"), 0);
  EXPECT_EQ(number(rows[0], "connections"), 10);
  EXPECT_EQ(number(rows[0], "batch"), 64);
  EXPECT_EQ(number(rows[1], "batch"), 1);
}

TEST(Bench_Runs, BulkOverMemory) {
  Request request = small();
  request.device = "memory";
  const auto rows = run("bulk", request);
  EXPECT_EQ(rows.size(), 12U);
  for (const Row& row : rows) {
    EXPECT_GT(number(row, "gbit_per_s_per_core"), 0);
    EXPECT_GT(number(row, "ns_per_packet"), 0);
    EXPECT_GE(number(row, "bytes"), 1'000'000);
    // Few machines in a cloud let their processor's counters be seen: an unknown key is left out.
    EXPECT_EQ(row.find("instructions_per_packet") != nullptr, EventCounter::instructions().read().has_value());
    if (row.find("instructions_per_packet") != nullptr) {
      EXPECT_GT(number(row, "instructions_per_packet"), 100);
    }
  }
}

TEST(Bench_Runs, EchoAndConnectAndIdle) {
  Request request = small();
  request.connections = {1, 100};
  for (const Row& row : run("echo", request)) EXPECT_GT(number(row, "ns_per_echo"), 0);
  for (const Row& row : run("connect", small())) EXPECT_GT(number(row, "connections_per_s"), 0);
  request.connections = {1'000};
  for (const Row& row : run("idle", request)) EXPECT_GT(number(row, "bytes_per_connection"), 100);
}

TEST(Bench_Runs, PingPong) {
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "needs two CPUs";
  const auto rows = run("pingpong", small());
  ASSERT_EQ(rows.size(), 2U);
  for (const Row& row : rows) EXPECT_GT(number(row, "p50_us"), 0);
}

TEST(Bench_Runs, Threads) {
  const auto rows = run("threads", small());
  ASSERT_EQ(rows.size(), 8U);
  for (const Row& row : rows) {
    EXPECT_GT(number(row, "round_trips_per_cpu_s"), 0);
    EXPECT_GT(number(row, "p999_us"), 0);
  }
}

TEST(Bench_Runs, AChoiceThatABenchmarkHasNotIsOneLine) {
  const auto refused = [](std::string_view name, auto&& change) -> std::string {
    Request request = small();
    change(request);
    try {
      (void)run(name, request);
    } catch (const Unable& e) {
      return e.what();
    }
    return "it ran";
  };
  const auto device = [](const char* to) { return [to](Request& r) { r.device = to; }; };
  EXPECT_EQ(refused("bulk", device("pigeon")), "--device: bulk does not run over 'pigeon'; it has memory tap");
  EXPECT_EQ(refused("bulk", device("shm")), "--device: bulk does not run over 'shm'; it has memory tap");
  EXPECT_EQ(refused("bulk", device("memory ")), "--device: bulk does not run over 'memory '; it has memory tap");
  EXPECT_EQ(refused("demux", device("tap")), "--device: demux does not run over 'tap'; it has memory");
  const auto none = [](const char* option, const char* name) {
    return std::string(option) + ": " + name + " has no such choice; leave it out";
  };
  EXPECT_EQ(refused("demux", [](Request& r) { r.mtus = {1500}; }), none("--mtu", "demux"));
  EXPECT_EQ(refused("channel", [](Request& r) { r.connections = {1}; }), none("--connections", "channel"));
  EXPECT_EQ(refused("echo", [](Request& r) { r.direction = "send"; }), none("--direction", "echo"));
  EXPECT_EQ(refused("bulk", [](Request& r) { r.device = "memory", r.direction = "send"; }),
            none("--direction", "bulk"));
  EXPECT_EQ(refused("idle", [](Request& r) { r.gso = false; }), none("--gso, --no-gso", "idle"));
  EXPECT_EQ(refused("bulk", [](Request& r) { r.device = "memory", r.gso = true; }), none("--gso, --no-gso", "bulk"));
}

TEST(Bench_Runs, ChannelInEveryForm) {
  Request request = small();
  request.repetitions = 2;
  const auto rows = run("channel", request);
  ASSERT_EQ(rows.size(), 11U);  // datagrams a command each, and many by one
  for (std::size_t i = 0; i < 3; ++i) EXPECT_GT(number(rows[i], "requests_per_s"), 0);
  for (std::size_t i = 3; i < 11; ++i) EXPECT_GT(number(rows[i], "gbit_per_s"), 0);
  EXPECT_GT(number(rows[1], "ratio_to_direct"), 0);
}

}  // namespace
}  // namespace leat::bench
