#include "commands.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <leat/runtime/assert_print.hpp>
#include <new>
#include <string>

#include "json.hpp"
#include "log.hpp"
#include "text.hpp"

namespace leat::tools {

namespace {

struct Command {
  std::string_view name;
  int (*run)(const Arguments&);
};
constexpr std::array<Command, 9> kCommands{{{"up", run_up},
                                            {"http", run_http},
                                            {"echo", run_echo},
                                            {"nc", run_nc},
                                            {"ping", run_ping},
                                            {"sim", run_sim},
                                            {"bench", run_bench},
                                            {"doctor", run_doctor},
                                            {"version", run_version}}};

int run_parsed(const Arguments& a) {
  set_log_level(a.stack.quiet ? LogLevel::error : a.stack.verbose ? LogLevel::debug : LogLevel::info);
  for (const Command& command : kCommands)
    if (command.name == a.command) return command.run(a);
  throw Failure(cat("no command '", a.command, "'"), "'leat --help' lists them");
}

// What a caller closed is opened, so that no device or capture gets its number and is read or written by mistake. For
// reading alone: what is written there fails as it would have.
void open_standard_descriptors() {
  int fd = 0;
  do fd = ::open("/dev/null", O_RDONLY);
  while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) ::close(fd);
}

}  // namespace

int run_version(const Arguments& a) {
  if (a.json) {
    std::puts(Value{}.set("version", LEAT_VERSION).dump().c_str());
  } else {
    std::puts("leat " LEAT_VERSION);
  }
  return kExitOk;
}

int run_command(int argc, const char* const* argv) {
  open_standard_descriptors();
  print_failed_assertions();
  std::signal(SIGPIPE, SIG_IGN);  // a reader of stdout that has gone is an error of write()
  try {
    const Parsed parsed = parse_command_line(argc, argv);
    const int code = parsed.exit ? *parsed.exit : run_parsed(parsed.arguments);
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
      throw Failure("can't write to standard output", "make room, or keep its reader open");
    return code;
  } catch (const std::bad_alloc&) {
    std::fputs("leat: out of memory; take smaller limits\n", stderr);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "leat: %s\n", e.what());
  }
  return kExitUsage;
}

}  // namespace leat::tools
