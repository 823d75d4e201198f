#pragma once
// Option values between a caller's memory and numbers. Threading: pure.

#include <sys/socket.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace leat::posix {

inline bool read_value(const void* value, socklen_t length, int& number) {
  if (length < sizeof number) return false;
  std::memcpy(&number, value, sizeof number);
  return true;
}

// At most *length bytes of it; *length becomes what was written.
template <class T>
int write_value(void* value, socklen_t* length, const T& from) {
  *length = std::min<socklen_t>(*length, sizeof from);
  if (*length > 0) std::memcpy(value, &from, *length);
  return 0;
}

// IPPROTO_IP options may be a single byte (Linux).
inline bool read_short_value(const void* value, socklen_t length, int& number) {
  if (length >= sizeof number) return read_value(value, length, number);
  if (length < 1) return false;
  std::uint8_t octet = 0;
  std::memcpy(&octet, value, 1);
  number = octet;
  return true;
}

[[nodiscard]] inline std::uint64_t option_key(int level, int name) {
  return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(level)) << 32) | static_cast<std::uint32_t>(name);
}

}  // namespace leat::posix
