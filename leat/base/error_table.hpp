#pragma once
// The one table of errors: each Errc with its errno value, its name and a sentence for people. Every skin (POSIX, C,
// std::error_code, the command) reads it. The errno values are Linux's, as constants of our own, because <errno.h> is
// an OS header.
//
// Threading: constants.

#include <leat/base/result.hpp>
#include <span>
#include <string_view>

namespace leat {

namespace errno_value {
inline constexpr int kNoEntry = 2;
inline constexpr int kInterrupted = 4;
inline constexpr int kIo = 5;
inline constexpr int kBadFile = 9;
inline constexpr int kAgain = 11;
inline constexpr int kNoMemory = 12;
inline constexpr int kAccess = 13;
inline constexpr int kExists = 17;
inline constexpr int kNoDevice = 19;
inline constexpr int kInvalid = 22;
inline constexpr int kPipe = 32;
inline constexpr int kProtocol = 71;
inline constexpr int kDestinationRequired = 89;
inline constexpr int kMessageSize = 90;
inline constexpr int kNoProtocolOption = 92;
inline constexpr int kNotSupported = 95;
inline constexpr int kAddressInUse = 98;
inline constexpr int kAddressNotAvailable = 99;
inline constexpr int kNetDown = 100;
inline constexpr int kNetUnreachable = 101;
inline constexpr int kConnectionAborted = 103;
inline constexpr int kConnectionReset = 104;
inline constexpr int kNoBuffers = 105;
inline constexpr int kIsConnected = 106;
inline constexpr int kNotConnected = 107;
inline constexpr int kTimedOut = 110;
inline constexpr int kConnectionRefused = 111;
inline constexpr int kHostUnreachable = 113;
inline constexpr int kInProgress = 115;
inline constexpr int kCancelled = 125;
}  // namespace errno_value

struct ErrorInfo {
  Errc code;
  int errno_number;
  std::string_view name;
  std::string_view sentence;
};

// All errors in the order of their values, starting with 1.
[[nodiscard]] std::span<const ErrorInfo> error_table();
// Every value of Errc has a row; any other value is a broken invariant.
[[nodiscard]] const ErrorInfo& error_info(Errc code);

[[nodiscard]] inline int errno_of(Errc code) {
  return error_info(code).errno_number;
}
[[nodiscard]] inline std::string_view name_of(Errc code) {
  return error_info(code).name;
}

}  // namespace leat
