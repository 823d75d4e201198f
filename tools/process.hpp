#pragma once
// Other programs: started, fed, awaited. Every one of them ends with the object that started it. Threading: an object
// has one owner.

#include <sys/types.h>

#include <leat/base/time.hpp>
#include <leat/device/descriptor.hpp>
#include <string>
#include <vector>

namespace leat::tools {

// As many descriptors as the process may have (RLIMIT_NOFILE), for servers: shells start programs with few.
void raise_descriptor_limit();

class Process {
 public:
  enum class Stdin { none, pipe };
  // Looks the program up in PATH. Throws Failure when it can't be started.
  explicit Process(const std::vector<std::string>& arguments, Stdin stdin_kind = Stdin::none);
  ~Process();  // kills what still runs
  Process(Process&&) noexcept;
  Process& operator=(Process&&) = delete;

  // Feeds standard input; false when nobody reads it any more.
  bool write(const void* bytes, std::size_t count);
  void close_stdin() { stdin_.reset(); }
  // Waits until it ends, and kills it at the limit. The exit code; 128 + number for a signal.
  int wait(Duration limit);
  // What it has written so far, standard output and standard error together.
  [[nodiscard]] const std::string& output() const { return output_; }
  // Takes what it has written, without waiting; false when it has closed its output.
  bool read_some(int timeout_ms);

 private:
  pid_t pid_ = -1;
  int code_ = -1;
  Descriptor stdin_;
  Descriptor stdout_;
  std::string output_;
};

// Runs a program to its end. `code` gets its exit code.
std::string run_program(const std::vector<std::string>& arguments, int& code, Duration limit = Duration::s(60));

}  // namespace leat::tools
