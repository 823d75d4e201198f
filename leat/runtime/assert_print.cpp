#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <leat/base/assert.hpp>
#include <leat/runtime/assert_print.hpp>

namespace leat {

namespace {

// One writev of pieces that exist already: nothing is allocated in a program whose invariants are broken.
[[noreturn]] void print_and_abort(const char* expression, const char* file, int line) {
  std::array<char, 16> number{};
  const auto end = std::to_chars(number.data(), number.data() + number.size(), line);
  const auto piece = [](const char* text) {
    return iovec{const_cast<char*>(text), std::strlen(text)};  // NOLINT: writev only reads
  };
  const std::array<iovec, 6> pieces{piece("leat: broken invariant: "),
                                    piece(expression),
                                    piece(" at "),
                                    piece(file),
                                    piece(":"),
                                    iovec{number.data(), static_cast<std::size_t>(end.ptr - number.data())}};
  [[maybe_unused]] ssize_t written = ::writev(STDERR_FILENO, pieces.data(), static_cast<int>(pieces.size()));
  written = ::write(STDERR_FILENO, "\n", 1);
  std::abort();
}

}  // namespace

void print_failed_assertions() {
  set_assert_handler(print_and_abort);
}

}  // namespace leat
