#include <leat/api/coroutine/operation.hpp>

namespace leat::coroutine {

// True: the coroutine stays suspended.
bool Operation::suspend(std::coroutine_handle<> h, const Context& context) {
  if (phase_ == Phase::failed) return false;
  LEAT_ASSERT(phase_ == Phase::fresh);  // awaited once
  if (service_ == nullptr) service_ = context.executor->service().get();
  if (context.stop.stop_requested() || own_token_.stop_requested()) {
    op_.error = Errc::cancelled;  // before it began: nothing was moved
    phase_ = Phase::failed;
    return false;
  }
  phase_ = Phase::given;
  executor_ = context.executor;
  node_.handle = h;
  op_.deadline = limit_.until;
  if (limit_.within != Duration::max()) op_.deadline = earlier(op_.deadline, service_->now() + limit_.within);
  op_.completed = &on_completed;
  op_.context = this;
  waits_for_.store(2, std::memory_order_relaxed);  // published by whatever hands the operation to another thread
  service_->start(op_);
  // It may be complete already, but this object stays until waits_for_ is 0. A stop that was requested meanwhile
  // cancels from inside these constructors.
  if (context.stop.stop_possible()) task_stop_.emplace(context.stop, Stop{this});
  if (own_token_.stop_possible()) own_stop_.emplace(own_token_, Stop{this});
  if (waits_for_.fetch_sub(1, std::memory_order_acq_rel) > 1) return true;
  if (executor_->may_go_on()) return false;
  executor_->push(node_);
  return true;
}

void Operation::on_completed(Op& op) {
  auto* const self = static_cast<Operation*>(op.context);
  if (self->waits_for_.fetch_sub(1, std::memory_order_acq_rel) == 1) self->executor_->push(self->node_);
}

Op& Operation::finish() {
  // A callback that runs in another thread is waited for: it uses the Op.
  task_stop_.reset();
  own_stop_.reset();
  if (phase_ == Phase::given) phase_ = Phase::over;
  return op_;
}

void Operation::cancel() {
  if (phase_ == Phase::given) service_->cancel(op_);
}

}  // namespace leat::coroutine
