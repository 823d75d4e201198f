#pragma once
// From Errc to what a call of Linux answers. Threading: pure.

#include <leat/base/error_table.hpp>

namespace leat::posix {

// Zero for none.
[[nodiscard]] inline int errno_or_zero(Errc e) {
  return e == Errc{} ? 0 : errno_of(e);
}
[[nodiscard]] inline int negative(Errc e) {
  return -errno_or_zero(e);
}

}  // namespace leat::posix
