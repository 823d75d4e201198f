#pragma once
// What the forms of nc share: how much moved, the bar, the report, and nc itself in the forms that block.

#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <leat/base/address.hpp>
#include <leat/base/time.hpp>
#include <optional>
#include <string>

#include "form.hpp"
#include "log.hpp"
#include "plan.hpp"
#include "text.hpp"

namespace leat::tools {

inline constexpr std::size_t kMaxDatagram = 65507;
inline constexpr Duration kUdpQuiet = Duration::s(1);  // after the end of input, without -w
inline constexpr Duration kConnectPatience = Duration::s(75);

struct Totals {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
};

// Bytes both ways; a bar only where neither input nor output is the terminal that it would be drawn on.
class NcProgress {
 public:
  NcProgress() {
    if (::isatty(STDIN_FILENO) != 0 || ::isatty(STDOUT_FILENO) != 0) return;
    struct stat s {};
    const bool plain = ::fstat(STDIN_FILENO, &s) == 0 && S_ISREG(s.st_mode);
    sends_file_ = plain && s.st_size > 0;
    bar_.emplace("nc", sends_file_ ? static_cast<std::uint64_t>(s.st_size) : 0);
  }
  void update(const Totals& totals) {
    if (bar_) bar_->update(sends_file_ ? totals.sent : totals.sent + totals.received);
  }
  void finish() {
    if (bar_) bar_->finish();
  }

 private:
  std::optional<Progress> bar_;
  bool sends_file_ = false;
};

// Throws where the error says that the stack is set up wrong: it knows no way to its peer, or may not go it.
void throw_if_set_up_wrong(const Endpoint& remote, Errc error);

// Standard input can't be read: what would be sent is not all.
[[nodiscard]] Failure input_failure(int error);

// The end of nc: numbers as JSON on stderr, the problem in one line. The exit code; `stopped_by`: the signal that ended
// it before there was a peer, told as a shell tells it.
[[nodiscard]] int report_nc(const Plan& plan, const Totals& totals, const std::string& problem, Duration took,
                            int stopped_by = 0);

struct NcRequest {
  bool listen = false;
  bool datagrams = false;
  Endpoint peer;      // listen: our port
  Duration patience;  // zero: the default
};
// In a form that blocks: one thread for each direction.
[[nodiscard]] int run_shared_nc(const Plan& plan, Form form, const NcRequest& request);

}  // namespace leat::tools
