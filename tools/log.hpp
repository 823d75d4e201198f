#pragma once
// Logs and progress, on stderr: data alone goes to stdout. Threading: log from any thread; a progress bar has one.

#include <cstdint>
#include <leat/base/time.hpp>
#include <string>
#include <string_view>

namespace leat::tools {

enum class LogLevel : std::uint8_t { debug, info, warning, error };

void set_log_level(LogLevel least);
void log(LogLevel level, std::string_view text);
inline void log_debug(std::string_view text) {
  log(LogLevel::debug, text);
}
inline void log_info(std::string_view text) {
  log(LogLevel::info, text);
}
inline void log_warning(std::string_view text) {
  log(LogLevel::warning, text);
}

[[nodiscard]] bool stderr_is_terminal();

// A bar with rate and time left, drawn ten times a second at most, only when stderr is a terminal and informative lines
// are wanted there.
class Progress {
 public:
  // `total` 0: unknown.
  Progress(std::string label, std::uint64_t total);
  ~Progress() { finish(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void update(std::uint64_t done);
  // Wipes the bar.
  void finish();

 private:
  std::string label_;
  std::uint64_t total_;
  Instant start_;
  Instant drawn_;
  bool active_;
  bool visible_ = false;
};

}  // namespace leat::tools
