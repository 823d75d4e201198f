#include <leat/netstack/runner.hpp>
#include <leat/runtime/clock.hpp>

namespace leat {
namespace {

// wake() as what a stop token and a run queue call.
struct Wake {
  Netstack* stack;
  void operator()() const { stack->wake(); }
  void call() { stack->wake(); }
};

}  // namespace

void run_blocking(Netstack& stack, const NetstackRunner& o) {
  const auto clock = o.clock ? o.clock : std::function<Instant()>{monotonic_now};
  stack.commands().set_clock(clock);
  Wake wake{&stack};
  const std::stop_callback on_stop(o.stop, wake);
  if (o.tasks != nullptr) o.tasks->set_wake(Delegate<void()>::to<&Wake::call>(wake));
  while (!o.stop.stop_requested()) {
    const Instant now = clock();
    std::size_t did = stack.process_cmds(now);
    const Instant next = stack.poll_device_io(now);
    if (o.tasks != nullptr) did += o.tasks->run_ready();
    if (o.done && o.done()) break;
    if (did > 0 || next <= now || o.stop.stop_requested()) continue;
    const Instant until = o.tasks != nullptr ? earlier(next, o.tasks->next_timer()) : next;
    if (o.sleep) {
      o.sleep(stack, now, until);
    } else {
      (void)stack.wait_for_io(until.is_never() ? Duration::max() : until - now);
    }
  }
  if (o.tasks != nullptr) o.tasks->set_wake({});
}

channel::Task<void> run_async(Netstack& stack, channel::RunQueue& tasks, std::stop_token stop) {
  const std::stop_callback on_stop(stop, Wake{&stack});
  while (!stop.stop_requested()) {
    const Instant now = tasks.now();
    const std::size_t did = stack.process_cmds(now);
    const Instant next = stack.poll_device_io(now);
    co_await stack.async_wait_for_io(tasks, did > 0 ? now : next);  // others go on first, also when there is more
  }
}

NetstackThread::NetstackThread(Netstack& stack, NetstackRunner options) : stack_(&stack) {
  stack.release_thread();
  thread_ = std::jthread([&stack, o = std::move(options)](const std::stop_token& stop) mutable {
    o.stop = stop;
    run_blocking(stack, o);
  });
}

NetstackThread::~NetstackThread() {
  thread_.request_stop();
  thread_.join();
  stack_->commands().own(false);
}

}  // namespace leat
