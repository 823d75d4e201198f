#include "log.hpp"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <leat/runtime/clock.hpp>

#include "text.hpp"

namespace leat::tools {

namespace {

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto made = std::make_shared<spdlog::logger>("leat", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    made->set_pattern("%H:%M:%S.%e %^%l%$ %v");
    made->flush_on(spdlog::level::trace);
    return made;
  }();
  return *instance;
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

constexpr Duration kDrawInterval = Duration::ms(100);

}  // namespace

void set_log_level(LogLevel least) {
  logger().set_level(to_spdlog(least));
}

void log(LogLevel level, std::string_view text) {
  logger().log(to_spdlog(level), spdlog::string_view_t(text.data(), text.size()));
}

bool stderr_is_terminal() {
  static const bool terminal = ::isatty(STDERR_FILENO) != 0;
  return terminal;
}

Progress::Progress(std::string label, std::uint64_t total)
    : label_(std::move(label)),
      total_(total),
      start_(monotonic_now()),
      drawn_(start_),
      active_(stderr_is_terminal() && logger().should_log(spdlog::level::info)) {}

void Progress::update(std::uint64_t done) {
  if (!active_) return;
  const Instant now = monotonic_now();
  if (now - drawn_ < kDrawInterval) return;
  drawn_ = now;
  visible_ = true;
  const double seconds = static_cast<double>((now - start_).count_ns()) / 1e9;
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  std::string line = "\r" + label_ + "  ";
  if (total_ > 0) {
    constexpr std::size_t kWidth = 24;
    const auto filled = static_cast<std::size_t>(
        std::min(1.0, static_cast<double>(done) / static_cast<double>(total_)) * static_cast<double>(kWidth));
    line += "[" + std::string(filled, '=') + std::string(kWidth - filled, ' ') + "]  ";
  }
  line += bytes_text(static_cast<double>(done)) + "  " + rate_text(rate * 8);
  if (total_ > done && rate > 0) line += "  " + time_text(static_cast<double>(total_ - done) / rate) + " left";
  line += "\x1b[K";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

void Progress::finish() {
  if (!visible_) return;
  visible_ = false;
  constexpr std::string_view kWipe = "\r\x1b[K";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kWipe.data(), kWipe.size());
}

}  // namespace leat::tools
