#include <leat/api/channel/socket_state.hpp>

namespace leat::channel {

void SocketState::run(Op& op) const {
  if (!handle) {
    op.error = Errc::bad_handle;
    return;
  }
  channel.service().run(op);
}

SocketState& SocketState::nothing() {
  static const auto state = std::make_shared<SocketState>(Channel{});
  return *state;
}

void SocketState::end(Verb verb) {
  if (!handle) return;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
  }
  self_ = shared_from_this();
  close_op_.context = this;
  close_op_.completed = [](Op& o) {
    const auto last = std::move(static_cast<SocketState*>(o.context)->self_);  // perhaps the end of *this
  };
  if (verb == Verb::close) {
    close_op_.close(handle);
  } else {
    close_op_.abort(handle);
  }
  const auto service = channel.shared_service();  // which *this may not outlive
  service->start(close_op_);
}

Result<std::int64_t> SocketOwner::option(OptionId id) const {
  Op op;
  op.get_option(handle(), id);
  state().run(op);
  if (op.error != Errc{}) return fail(op.error);
  return op.value;
}

Result<void> SocketOwner::set_option(OptionId id, std::int64_t value) const {
  Op op;
  op.set_option(handle(), id, value);
  state().run(op);
  return op.done();
}

Result<Endpoint> SocketOwner::local_addr() const {
  Op op;
  op.verb = Verb::local_endpoint;
  op.socket = handle();
  state().run(op);
  if (op.error != Errc{}) return fail(op.error);
  return op.endpoint;
}

}  // namespace leat::channel
