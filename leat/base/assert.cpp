#include <leat/base/assert.hpp>

namespace leat {
namespace {
AssertHandler g_handler = nullptr;
}

void set_assert_handler(AssertHandler handler) {
  g_handler = handler;
}

void assert_failed(const char* expression, const char* file, int line) {
  if (g_handler != nullptr) g_handler(expression, file, line);
  __builtin_trap();
}

}  // namespace leat
