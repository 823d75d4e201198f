#include "board.hpp"

#include <cstdint>

extern "C" {
// From the linker script. Their addresses are what they say.
extern std::uint32_t leat_stack_top, leat_stack_bottom;
extern std::uint32_t leat_data_load, leat_data_begin, leat_data_end;
extern std::uint32_t leat_bss_begin, leat_bss_end;
using Initialiser = void (*)();
extern Initialiser leat_init_begin, leat_init_end;

[[noreturn]] void leat_reset();
[[noreturn]] void leat_fault();
}

namespace board {
namespace {

constexpr std::uint32_t kWrite0 = 0x04;
constexpr std::uint32_t kExitExtended = 0x20;
constexpr std::uint32_t kApplicationExit = 0x20026;

std::uint32_t semihosting(std::uint32_t operation, const void* argument) {
  register std::uint32_t r0 asm("r0") = operation;
  register const void* r1 asm("r1") = argument;
  asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

// The stack is filled with this before anything runs; what differs at the end was used.
constexpr std::uint32_t kPaint = 0x5ac35ac3;

__attribute__((noinline)) void paint_stack() {
  std::uint32_t here = 0;
  for (volatile std::uint32_t* p = &leat_stack_bottom; p < &here; ++p) *p = kPaint;
}

void print_number(std::uint32_t n) {
  char text[11];
  char* at = text + sizeof text;
  *--at = 0;
  do {
    *--at = static_cast<char>('0' + n % 10);
    n /= 10;
  } while (n != 0);
  print(at);
}

// Prints how deep the stack was. False: not a quarter of it was left.
bool report_stack() {
  const volatile std::uint32_t* deepest = &leat_stack_bottom;
  while (deepest < &leat_stack_top && *deepest == kPaint) ++deepest;
  const auto address = [](const volatile std::uint32_t* p) { return reinterpret_cast<std::uintptr_t>(p); };
  const std::uint32_t size = address(&leat_stack_top) - address(&leat_stack_bottom);
  const std::uint32_t used = address(&leat_stack_top) - address(deepest);
  print("stack: ");
  print_number(used);
  print(" of ");
  print_number(size);
  print(" bytes\n");
  if (used <= size / 4 * 3) return true;
  print("the stack is nearly used up\n");
  return false;
}

}  // namespace

void print(const char* text) {
  semihosting(kWrite0, text);
}

void exit(int status) {
  const std::uint32_t block[2] = {kApplicationExit, static_cast<std::uint32_t>(status)};
  semihosting(kExitExtended, block);
  while (true) {
  }
}

}  // namespace board

void leat_reset() {
  board::paint_stack();
  const std::uint32_t* from = &leat_data_load;
  for (std::uint32_t* to = &leat_data_begin; to != &leat_data_end;) *to++ = *from++;
  for (std::uint32_t* to = &leat_bss_begin; to != &leat_bss_end;) *to++ = 0;
  for (const Initialiser* f = &leat_init_begin; f != &leat_init_end; ++f) (*f)();
  const int status = run_image();
  board::exit(board::report_stack() ? status : 1);
}

void leat_fault() {
  board::print("fault\n");
  board::exit(1);
}

namespace {

// The first words of the vector table: where the stack starts, where the program does, and what a fault calls.
union Vector {
  const void* address;
  void (*function)();
};
__attribute__((section(".vectors"), used)) constexpr Vector kVectors[16] = {
    {.address = &leat_stack_top}, {.function = leat_reset}, {.function = leat_fault}, {.function = leat_fault},
    {.function = leat_fault},     {.function = leat_fault}, {.function = leat_fault}};

}  // namespace
