#include <pthread.h>

#include <atomic>
#include <leat/api/posix/fork_watch.hpp>

namespace leat::posix {
namespace {

// Written in the child by its only thread, before fork() returns there; read by every call. Relaxed: nothing hangs on
// it.
std::atomic<unsigned> generation{0};

}  // namespace

unsigned fork_generation() {
  [[maybe_unused]] static const int registered =
      pthread_atfork(nullptr, nullptr, [] { generation.fetch_add(1, std::memory_order_relaxed); });
  return generation.load(std::memory_order_relaxed);
}

}  // namespace leat::posix
