#pragma once
// The commands. Each returns its exit code and throws Failure for what it can't do; main prints that.

#include "cli.hpp"

namespace leat::tools {

int run_up(const Arguments& arguments);
int run_demo(const Arguments& arguments);
int run_http(const Arguments& arguments);
int run_echo(const Arguments& arguments);
int run_nc(const Arguments& arguments);
int run_ping(const Arguments& arguments);
int run_sim(const Arguments& arguments);
int run_bench(const Arguments& arguments);
int run_doctor(const Arguments& arguments);
int run_version(const Arguments& arguments);

// All of them: parses, runs, prints a failure as one line. What main() is.
int run_command(int argc, const char* const* argv);

}  // namespace leat::tools
