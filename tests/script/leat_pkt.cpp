// leat_pkt: runs .pkt scripts, each on a stack of its own, in virtual time.

#include <cstdio>
#include <fstream>
#include <leat/core/all_modules.hpp>
#include <leat/script/parser.hpp>
#include <leat/script/runner.hpp>
#include <sstream>
#include <string>
#include <vector>

namespace {

constexpr const char* kHelp =
    "usage: leat_pkt [--verbose] [--complete] FILE...\n"
    "\n"
    "Runs packetdrill-like scripts against Leat, in process and in virtual time. leat/script/README.md tells the "
    "syntax.\n"
    "\n"
    "  --verbose   print every segment and call\n"
    "  --complete  what the stack sends at a script's end must be in the script\n"
    "  --help      print this\n"
    "\n"
    "Exit code: 0 all scripts passed; 1 the stack did something else than a script says; 2 a file can't be read or "
    "parsed.\n";

int run_file(const std::string& path, bool verbose, bool complete) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    std::fprintf(stderr, "leat_pkt: %s can't be read: check its name and permissions\n", path.c_str());
    return 2;
  }
  const auto parsed = leat::script::parse(path, text.str());
  if (!parsed) {
    std::fprintf(stderr, "%s\n", leat::script::to_text(path, *parsed.error).c_str());
    return 2;
  }
  leat::script::RunOptions options{.modules = &leat::kAllModules, .trace = {}, .complete = complete};
  if (verbose) options.trace = [](const std::string& line) { std::printf("%s\n", line.c_str()); };
  const auto report = leat::script::run(parsed.script, options);
  if (report.passed()) return 0;
  std::fprintf(stderr, "%s\n", leat::script::to_text(path, *report.failure).c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  bool verbose = false;
  bool complete = false;
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--help" || argument == "-h") {
      std::fputs(kHelp, stdout);
      return 0;
    }
    if (argument == "--verbose" || argument == "-v") {
      verbose = true;
    } else if (argument == "--complete") {
      complete = true;
    } else if (argument.starts_with("-")) {
      std::fprintf(stderr, "leat_pkt: no option %s; see leat_pkt --help\n", argument.c_str());
      return 2;
    } else {
      files.push_back(argument);
    }
  }
  if (files.empty()) {
    std::fputs("leat_pkt: no script given; see leat_pkt --help\n", stderr);
    return 2;
  }
  int worst = 0;
  for (const std::string& path : files) worst = std::max(worst, run_file(path, verbose, complete));
  return worst;
}
