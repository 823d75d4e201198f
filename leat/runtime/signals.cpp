#include <array>
#include <csignal>
#include <leat/runtime/signals.hpp>

namespace leat {

namespace {

// Written by the constructor and destructor, read by the handler in any thread. Release/acquire: the handler must see
// the runner that it points at.
std::atomic<Runner*> target{nullptr};
// Written by the handler, read by caught(). Relaxed: a plain number.
std::atomic<int> last{0};
std::array<struct sigaction, 2> before;
constexpr std::array kSignals{SIGINT, SIGTERM};

void handle(int number) {
  last.store(number, std::memory_order_relaxed);
  if (Runner* runner = target.load(std::memory_order_acquire); runner != nullptr) runner->request_stop();
}

}  // namespace

StopOnSignals::StopOnSignals(Runner& runner) {
  LEAT_ASSERT(target.load(std::memory_order_relaxed) == nullptr);
  last.store(0, std::memory_order_relaxed);
  target.store(&runner, std::memory_order_release);
  struct sigaction action {};
  action.sa_handler = handle;
  ::sigemptyset(&action.sa_mask);
  for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &action, &before[i]);
}

StopOnSignals::~StopOnSignals() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &before[i], nullptr);
  target.store(nullptr, std::memory_order_release);
}

int StopOnSignals::caught() {
  return last.load(std::memory_order_relaxed);
}

}  // namespace leat
