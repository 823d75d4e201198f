#pragma once
// What all awaiters of the channel share: the operation stands in the awaiter, in the coroutine's frame, and nothing is
// allocated. Completion posts the coroutine to the executor. An awaiter that ends before its coroutine went on takes
// the operation back and waits for its end, which the owner of the stack bounds.
//
//   class MyAwaiter : OpAwaiter { ~MyAwaiter() { if (withdraw()) give back what op received; } ... };
//
// Threading: the coroutine's executor; completion comes from anywhere.

#include <leat/api/channel/executor.hpp>
#include <leat/op/service.hpp>
#include <mutex>
#include <utility>

namespace leat::channel {

// One operation.
class OpAwaiter {
 public:
  OpAwaiter(const OpAwaiter&) = delete;
  OpAwaiter& operator=(const OpAwaiter&) = delete;

 protected:
  // Without a service it is not started.
  OpAwaiter(Service* service, Executor* executor) : service_(service), executor_(executor) {}
  ~OpAwaiter() { LEAT_ASSERT(!started_); }

  // Nothing of *this may be touched afterwards: the coroutine may have gone on in another thread.
  void start(std::coroutine_handle<> handle) {
    LEAT_ASSERT(executor_ != nullptr);  // a channel whose calls are awaited has an executor
    started_ = true;
    resumption_.handle = handle;
    executor_->expect(resumption_);
    op.context = this;
    op.completed = [](Op& o) {
      auto& self = *static_cast<OpAwaiter*>(o.context);
      self.executor_->post(self.resumption_);
    };
    service_->start(op);
  }
  void resumed() { started_ = false; }
  // True: the operation was under way or complete, and its result has not been looked at.
  [[nodiscard]] bool withdraw() {
    if (!started_) return false;
    started_ = false;
    if (!executor_->posted(resumption_)) service_->cancel(op);
    executor_->abandon(resumption_);
    return true;
  }

  Op op;

 private:
  Service* service_;
  Executor* executor_;
  Resumption resumption_;
  bool started_ = false;
};

// Several operations, one after the other, by an object that has `op`, `advance()`, as Request has.
template <class Steps>
class StepsAwaiter {
 public:
  StepsAwaiter(const StepsAwaiter&) = delete;
  StepsAwaiter& operator=(const StepsAwaiter&) = delete;

 protected:
  template <class... Args>
  StepsAwaiter(Service* service, Executor* executor, Args&&... args)
      : steps(std::forward<Args>(args)...), service_(service), executor_(executor) {}
  ~StepsAwaiter() { LEAT_ASSERT(!started_); }

  // `steps.begin()` was true.
  void start(std::coroutine_handle<> handle) {
    LEAT_ASSERT(executor_ != nullptr);  // a channel whose calls are awaited has an executor
    started_ = true;
    resumption_.handle = handle;
    executor_->expect(resumption_);
    launch();
  }
  void resumed() { started_ = false; }
  [[nodiscard]] bool withdraw() {
    if (!started_) return false;
    started_ = false;
    if (!executor_->posted(resumption_)) {
      const std::lock_guard lock(between_);
      withdrawn_ = true;
      service_->cancel(steps.op);
    }
    executor_->abandon(resumption_);
    return true;
  }
  [[nodiscard]] Service& service() { return *service_; }
  [[nodiscard]] Executor* executor() { return executor_; }

  Steps steps;

 private:
  void launch() {
    steps.op.context = this;
    steps.op.completed = [](Op& o) { static_cast<StepsAwaiter*>(o.context)->next(); };
    service_->start(steps.op);
  }
  void next() {
    std::unique_lock lock(between_);
    if (in_start_) {  // complete before its own start() returned: the loop below goes on
      ended_in_start_ = true;
      return;
    }
    while (!withdrawn_ && steps.advance()) {
      in_start_ = true;
      ended_in_start_ = false;
      service_->start(steps.op);  // inside the lock: withdraw() finds the operation not begun, or under way
      in_start_ = false;
      if (!ended_in_start_) return;
    }
    lock.unlock();
    executor_->post(resumption_);  // the last that touches *this
  }

  Service* service_;
  Executor* executor_;
  Resumption resumption_;
  // Held between the end of one operation and the start of the next; an operation may end inside its own start.
  std::recursive_mutex between_;
  bool in_start_ = false;  // guarded by between_, as the next two are
  bool ended_in_start_ = false;
  bool withdrawn_ = false;
  bool started_ = false;
};

}  // namespace leat::channel
