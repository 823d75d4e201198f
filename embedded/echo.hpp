#pragma once
// The whole of Leat's core in one firmware image: two stacks joined by a wire in memory, an echo server on one, a
// client on the other that sends a pattern and checks what comes back, over IPv4 and, when the module table has it,
// IPv6. Every byte of memory is static. Each image is this with a module table of its own (images/*.cpp).

#include <leat/core/modules.hpp>

// 0 when every byte came back, everything was closed and all packet memory returned. Prints what went wrong.
int run_echo(const leat::Modules& modules);
