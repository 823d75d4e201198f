#pragma once
// Fiber: a second stack to run on, for tests that schedule threads themselves. A switch asks the kernel for nothing
// (_setjmp); under AddressSanitizer and ThreadSanitizer it goes by swapcontext, and the sanitizer is told of it.
//
//   Fiber main, f;  f.begin_with(&entry);  Fiber::go(main, f);   // entry() never returns: it ends with go(f, main,
//   ...)
//
// Threading: one thread.

#include <setjmp.h>
#include <ucontext.h>

#include <array>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEAT_TEST_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define LEAT_TEST_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define LEAT_TEST_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define LEAT_TEST_TSAN 1
#endif
#ifdef LEAT_TEST_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef LEAT_TEST_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace leat::test {

// How many runs a test can afford: all (0), or so many of each kind.
#if defined(LEAT_TEST_ASAN)
inline constexpr unsigned kFewer = 1000;
#elif defined(LEAT_TEST_TSAN)
inline constexpr unsigned kFewer = 200;
#else
inline constexpr unsigned kFewer = 0;
#endif

class Fiber {
 public:
  Fiber() = default;  // of the thread itself, which begins the others
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber() {
    if (stack_ == nullptr) return;
    stacks().push_back(std::move(stack_));
#ifdef LEAT_TEST_TSAN
    __tsan_destroy_fiber(tsan_);
#endif
  }

  void begin_with(void (*entry)()) {
    if (stacks().empty()) {
      stack_ = std::make_unique<Stack>();
    } else {
      stack_ = std::move(stacks().back());
      stacks().pop_back();
    }
    getcontext(&context_);
    context_.uc_stack.ss_sp = stack_->data();
    context_.uc_stack.ss_size = stack_->size();
    context_.uc_link = nullptr;
    makecontext(&context_, entry, 0);
#ifdef LEAT_TEST_ASAN
    bottom_ = stack_->data();
    size_ = stack_->size();
#endif
#ifdef LEAT_TEST_TSAN
    tsan_ = __tsan_create_fiber(0);
#endif
  }
  [[nodiscard]] bool begun() const {
    return begun_;
  }

  // The first thing that an entry does, with the thread's own Fiber.
  static void arrived([[maybe_unused]] Fiber& main) {
#ifdef LEAT_TEST_ASAN
    const void* bottom = nullptr;
    std::size_t size = 0;
    __sanitizer_finish_switch_fiber(nullptr, &bottom, &size);
    if (main.bottom_ == nullptr) main.bottom_ = bottom, main.size_ = size;  // the first one comes from there
#endif
  }

  // From one to the other; `for_good`: nobody comes back.
  static void go(Fiber& from, Fiber& to, [[maybe_unused]] bool for_good = false) {
#if defined(LEAT_TEST_ASAN) || defined(LEAT_TEST_TSAN)
    to.begun_ = true;
#ifdef LEAT_TEST_ASAN
    __sanitizer_start_switch_fiber(for_good ? nullptr : &from.fake_, to.bottom_, to.size_);
#endif
#ifdef LEAT_TEST_TSAN
    if (from.tsan_ == nullptr) from.tsan_ = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to.tsan_, 0);
#endif
    swapcontext(&from.context_, &to.context_);
#ifdef LEAT_TEST_ASAN
    __sanitizer_finish_switch_fiber(from.fake_, nullptr, nullptr);
#endif
#else
    if (_setjmp(from.place_) != 0) return;
    if (to.begun_ || to.stack_ == nullptr) _longjmp(to.place_, 1);
    to.begun_ = true;
    setcontext(&to.context_);
#endif
  }

 private:
  using Stack = std::array<char, std::size_t{128} << 10>;
  // For the next run: they cost more than the run.
  static std::vector<std::unique_ptr<Stack>>& stacks() {
    static std::vector<std::unique_ptr<Stack>> all;
    return all;
  }

  std::unique_ptr<Stack> stack_;
  ucontext_t context_{};  // how it begins
  jmp_buf place_{};       // where it went on, later: unlike swapcontext it asks the kernel for nothing
  bool begun_ = false;
#ifdef LEAT_TEST_ASAN
  const void* bottom_ = nullptr;
  std::size_t size_ = 0;
  void* fake_ = nullptr;
#endif
#ifdef LEAT_TEST_TSAN
  void* tsan_ = nullptr;
#endif
};

}  // namespace leat::test
