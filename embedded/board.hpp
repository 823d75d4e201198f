#pragma once
// The little that an image needs of its board: printing and ending by semihosting (the debugger or emulator serves the
// request), and a start that fills memory and calls run_image. Arm Cortex-M; no operating system, no heap.
//
// References: "Semihosting for AArch32 and AArch64" (SYS_WRITE0, SYS_EXIT_EXTENDED).

namespace board {

void print(const char* text);  // ends with a zero
[[noreturn]] void exit(int status);

}  // namespace board

// The program: every image defines it. What it returns is the exit status.
int run_image();
