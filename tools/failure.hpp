#pragma once
// Failure: what ends a command with exit code 2. One line for people: the cause, and what to do about it.
//
//   throw Failure("no TUN node: /dev/net/tun is missing", "as root: mkdir -p /dev/net && mknod /dev/net/tun c 10 200");
//   prints   leat: no TUN node: /dev/net/tun is missing; as root: mkdir -p ...

#include <algorithm>
#include <stdexcept>
#include <string>

namespace leat::tools {

inline constexpr int kExitOk = 0;
inline constexpr int kExitNegative = 1;  // no reply, refused, mismatch
inline constexpr int kExitUsage = 2;     // usage, or any other error

class Failure : public std::runtime_error {
 public:
  Failure(const std::string& cause, const std::string& fix)
      : std::runtime_error(
            one_line(fix.empty() ? cause : cause.substr(0, cause.find_last_not_of('.') + 1) + "; " + fix)) {}

 private:
  // Whatever was quoted: no line breaks, nothing that a terminal obeys, and not more of it than one can read.
  static std::string one_line(std::string text) {
    constexpr std::size_t kLongest = 1000;
    if (text.size() > kLongest) text.replace(kLongest / 2, text.size() - kLongest, " ... ");
    std::ranges::replace_if(
        text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }, '?');
    return text;
  }
};

}  // namespace leat::tools
