#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "rules.hpp"

namespace leat::layering {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = LEAT_SOURCE_ROOT;

std::string read(const fs::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

const Table& table() {
  static const Table parsed = parse_table(read(kRoot / "tests/layering/allowed.txt"));
  return parsed;
}

std::vector<std::string> sources() {
  std::vector<std::string> paths;
  for (const auto& entry : fs::recursive_directory_iterator(kRoot / "leat")) {
    const std::string extension = entry.path().extension().string();
    if (entry.is_regular_file() &&
        (extension == ".hpp" || extension == ".cpp" || extension == ".h" || extension == ".inc")) {
      paths.push_back(fs::relative(entry.path(), kRoot / "leat").generic_string());
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::string all(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += "\n  " + line;
  return text;
}

bool complains(const std::string& path, const std::string& text, const std::string& part) {
  const auto found = check_file(table(), path, text);
  return std::any_of(found.begin(), found.end(),
                     [&](const std::string& line) { return line.find(part) != std::string::npos; });
}

bool silent(const std::string& path, const std::string& text) {
  return check_file(table(), path, text).empty();
}

TEST(Layering_Sources, FollowTheTable) {
  const auto paths = sources();
  ASSERT_GT(paths.size(), 10u) << "no sources below " << kRoot;
  std::vector<std::string> violations;
  for (const std::string& path : paths) {
    const auto found = check_file(table(), path, read(kRoot / "leat" / path));
    violations.insert(violations.end(), found.begin(), found.end());
  }
  EXPECT_TRUE(violations.empty()) << all(violations);
}

TEST(Layering_Sources, TargetsDependAsTheTableSays) {
  std::vector<std::string> violations;
  int seen = 0;
  for (const auto& entry : fs::recursive_directory_iterator(kRoot / "leat")) {
    if (entry.path().filename() != "CMakeLists.txt") continue;
    ++seen;
    const std::string folder = fs::relative(entry.path().parent_path(), kRoot / "leat").generic_string();
    const auto found = check_cmake(table(), folder, read(entry.path()));
    violations.insert(violations.end(), found.begin(), found.end());
  }
  EXPECT_GT(seen, 0);
  EXPECT_TRUE(violations.empty()) << all(violations);
}

TEST(Layering_Table, HasNoCycleAndNothingPointsUp) {
  EXPECT_TRUE(cyclic_folders(table()).empty());
  Table looped = table();
  looped.may_include["base"].insert("core");
  EXPECT_FALSE(cyclic_folders(looped).empty());
}

TEST(Layering_Table, RefusesWhatItCannotRead) {
  EXPECT_THROW(static_cast<void>(parse_table("base\n")), std::runtime_error);
  EXPECT_THROW(static_cast<void>(parse_table("base:\nbase:\n")), std::runtime_error);
  EXPECT_THROW(static_cast<void>(parse_table("buf: bsae\nbase:\n")), std::runtime_error);
}

// Each rule, broken once: the checker must notice, and must not cry wolf beside it.

TEST(Layering_Checker, NoticesIncludesAgainstTheTable) {
  EXPECT_TRUE(complains("core/stack.cpp", "#include <leat/drive/shard.hpp>\n", "core may not include drive"));
  EXPECT_TRUE(complains("core/stack.cpp", "#include \"leat/device/tap.hpp\"\n", "core may not include device"));
  EXPECT_TRUE(complains("device/tap.cpp", "#include <leat/wire/tcp.hpp>\n", "device may not include wire"));
  EXPECT_TRUE(complains("wire/tcp_test.cpp", "#include <leat/buf/packet.hpp>\n", "wire may not include buf"));
  EXPECT_TRUE(complains("api/posix/fd_table.cpp", "#include <leat/api/channel/command.hpp>\n",
                        "api/posix may not include api/channel"));
  EXPECT_TRUE(complains("base/x.cpp", "#include <leat/nowhere/x.hpp>\n", "no row"));
  EXPECT_TRUE(complains("nowhere/x.cpp", "", "no row"));
  EXPECT_TRUE(complains("core/stack.cpp", "#include \"config.hpp\"\n", "relative"));
  EXPECT_TRUE(silent("core/stack.cpp", "#include <leat/core/config.hpp>\n#include <leat/base/time.hpp>\n"));
  EXPECT_TRUE(silent("device/wrap/tracer.cpp", "#include <leat/wire/tcp.hpp>\n#include <leat/device/device.hpp>\n"));
  EXPECT_TRUE(silent("core/stack.cpp", "// #include <leat/drive/shard.hpp>\n"));
}

TEST(Layering_Checker, NoticesTheOperatingSystemAndTheHeap) {
  for (const char* header : {"thread", "atomic", "mutex", "chrono", "iostream", "string", "vector", "functional",
                             "unistd.h", "sys/socket.h", "map"}) {
    EXPECT_TRUE(complains("core/stack.cpp", "#include <" + std::string(header) + ">\n", header)) << header;
    EXPECT_TRUE(silent("core/stack_test.cpp", "#include <" + std::string(header) + ">\n")) << header;
    EXPECT_TRUE(silent("runtime/clock.cpp", "#include <" + std::string(header) + ">\n")) << header;
  }
  EXPECT_TRUE(silent("core/stack.cpp", "#include <span>\n#include <algorithm>\n"));
  EXPECT_TRUE(complains("core/stack.cpp", "auto* p = new Stack(1);\n", "heap"));
  EXPECT_TRUE(silent("core/stack.cpp", "::new (place) Stack(1);\n// a new connection\n"));
  EXPECT_TRUE(
      complains("op/sink.hpp", "#pragma once\nstruct Sink { virtual ~Sink() = default; };\n", "virtual destructor"));
  EXPECT_TRUE(complains("core/stack.cpp", "if (bad) throw 1;\n", "exceptions"));
  EXPECT_TRUE(complains("core/stack.cpp", "if (typeid(a) == typeid(b)) {}\n", "RTTI"));
}

TEST(Layering_Checker, NoticesFeatureConditions) {
  EXPECT_TRUE(complains("core/stack.cpp", "#if LEAT_IPV6\n#endif\n", "preprocessor"));
  EXPECT_TRUE(complains("core/stack.cpp", "#ifdef __x86_64__\n#endif\n", "preprocessor"));
  EXPECT_TRUE(complains("base/checksum.cpp", "#if defined(LEAT_FAST)\n#endif\n", "LEAT_FAST"));
  EXPECT_TRUE(silent("base/checksum.cpp", "#if defined(__x86_64__)\n#include <immintrin.h>\n#endif\n"));
  EXPECT_TRUE(complains("core/stack.cpp", "#include <immintrin.h>\n", "immintrin.h"));
  EXPECT_TRUE(complains("base/x.hpp", "int x();\n", "pragma once"));
}

TEST(Layering_Checker, NoticesWhatBreaksDeterminism) {
  EXPECT_TRUE(complains("core/tcp/rtt.cpp", "double srtt = 0;\n", "floating point"));
  EXPECT_TRUE(complains("sim/world.cpp", "std::uniform_int_distribution<int> d;\n", "distributions"));
  EXPECT_TRUE(complains("sim/world.cpp", "std::unordered_map<int, int> hosts;\n", "hash table"));
  EXPECT_TRUE(
      silent("core/tcp/rtt.cpp", "// doubled on each timeout; double it\nauto c = \"double\"; int n = 1'000'000;\n"));
  EXPECT_TRUE(silent("runtime/clock.cpp", "double seconds = 0;\n"));
}

TEST(Layering_Checker, NoticesUnsafeCodeInOrdinaryFiles) {
  EXPECT_TRUE(complains("device/tap.cpp", "auto* p = reinterpret_cast<char*>(q);\n", "_unsafe"));
  EXPECT_TRUE(complains("device/tap.cpp", "void* ring = ::mmap(nullptr, n, 0, 0, fd, 0);\n", "_unsafe"));
  EXPECT_TRUE(silent("device/af_packet_unsafe.cpp", "void* ring = ::mmap(nullptr, n, 0, 0, fd, 0);\n"));
}

TEST(Layering_Checker, ReadsTargets) {
  EXPECT_FALSE(check_cmake(table(), "core", "leat_add_library(core DEPS base drive)").empty());
  EXPECT_TRUE(check_cmake(table(), "core", "leat_add_library(core DEPS base buf wire offload op)").empty());
  EXPECT_TRUE(
      check_cmake(table(), "device", "leat_add_library(device DEPS base buf wire LINK Threads::Threads)").empty());
}

}  // namespace
}  // namespace leat::layering
