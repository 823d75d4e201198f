#include <leat/runtime/janitor.hpp>
#include <system_error>

namespace leat {

Sleeper* Janitor::start(const std::shared_ptr<ShardMark>& mark, int watch_fd, const Work& work) {
  sleeper_ = Sleeper::make(mark, watch_fd);
  if (sleeper_ == nullptr) return nullptr;
  control_ = std::make_shared<Control>();
  sleeper_->ref();  // the thread's
  try {
    thread_ = std::thread([control = control_, sleeper = sleeper_, work] {
      loop(control, *sleeper, work);
      sleeper->unref();
    });
  } catch (const std::system_error&) {
    sleeper_->unref();
    sleeper_->unref();
    sleeper_ = nullptr;
  }
  return sleeper_;
}

void Janitor::stop() {
  if (sleeper_ == nullptr) return;
  control_->stop.store(true, std::memory_order_release);
  sleeper_->wake();
  if (thread_.get_id() == std::this_thread::get_id()) {
    thread_.detach();
  } else {
    thread_.join();
  }
  sleeper_->unref();
  sleeper_ = nullptr;
}

void Janitor::loop(const std::shared_ptr<Control>& control, Sleeper& sleeper, const Work& work) {
  constexpr int kNoGrace = -1;
  int grace_ms = kNoGrace;
  for (;;) {
    const Sleeper::Woken woken = sleeper.sleep(-1, grace_ms);
    if (control->stop.load(std::memory_order_acquire)) return;
    if (woken.watch || control->asked.exchange(false, std::memory_order_acq_rel)) {
      work.serve(sleeper);
      // A function that was called from there may have ended the stack, in this very thread.
      if (control->stop.load(std::memory_order_acquire)) return;
    }
    if (woken.rung) {
      grace_ms = static_cast<int>(kShortGrace.count_ms());
      continue;
    }
    if (grace_ms == kNoGrace || woken.watch || woken.interrupted) continue;
    const JanitorPlan plan = work.grace_ends(sleeper);
    grace_ms = plan.mode == JanitorMode::grace ? static_cast<int>(plan.grace.count_ms()) : kNoGrace;
    if (control->stop.load(std::memory_order_acquire)) return;
  }
}

}  // namespace leat
