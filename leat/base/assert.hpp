#pragma once
// Assertions for what only we can cause. They are always on: a broken invariant stops the program before it corrupts a
// peer's data. What a peer, a client or a device can cause is never asserted; it is handled and counted.
//
// Threading: any. The handler is set once at start-up; it must not return.

namespace leat {

using AssertHandler = void (*)(const char* expression, const char* file, int line);

// Replaces what happens before the trap (a hosted program prints; firmware resets). nullptr restores the default: trap.
void set_assert_handler(AssertHandler handler);

[[noreturn]] [[gnu::cold]] void assert_failed(const char* expression, const char* file, int line);

}  // namespace leat

#define LEAT_ASSERT(condition) \
  (__builtin_expect(!!(condition), 1) ? static_cast<void>(0) : ::leat::assert_failed(#condition, __FILE__, __LINE__))
