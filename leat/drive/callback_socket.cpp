#include <leat/drive/callback_socket.hpp>

namespace leat {

Result<void> CallbackSocket::take(Stack& stack, Result<Handle> socket, Handler handler) {
  if (is_open()) {
    if (socket) (void)stack.close(*socket);
    return fail(Errc::wrong_state);
  }
  if (!socket) return fail(socket.error());
  stack_ = &stack;
  handle_ = *socket;
  handler_ = handler;
  sink_ = {&CallbackSocket::on_ready, this, false};
  return stack.set_sink(handle_, &sink_, 0, kAllReady);
}

Result<void> CallbackSocket::listen(Stack& stack, const Endpoint& local, std::uint32_t backlog, Handler handler) {
  if (auto r = open_stream(stack, handler); !r) return r;
  auto r = stack.bind(handle_, local);
  if (r) r = stack.listen(handle_, backlog);
  if (!r) close();
  return r;
}

Result<void> CallbackSocket::connect(Stack& stack, const Endpoint& remote, Handler handler) {
  if (auto r = open_stream(stack, handler); !r) return r;
  auto r = stack.connect(handle_, remote);
  if (!r) close();
  return r;
}

Result<bool> CallbackSocket::accept(CallbackSocket& listener, Handler handler, Endpoint* remote) {
  if (is_open()) return fail(Errc::wrong_state);
  if (!listener.is_open()) return fail(Errc::bad_handle);
  auto h = listener.stack_->try_accept(listener.handle_, remote);
  if (!h) return fail(h.error());
  if (!*h) return false;
  if (auto r = take(*listener.stack_, *h, handler); !r) return fail(r.error());
  return true;
}

void CallbackSocket::close() {
  if (!is_open()) return;
  (void)stack_->close(std::exchange(handle_, Handle{}));
}

void CallbackSocket::abort() {
  if (!is_open()) return;
  (void)stack_->abort(std::exchange(handle_, Handle{}));
}

void CallbackSocket::on_ready(void* context, std::uint64_t, Handle, Ready, Ready edges) {
  auto* self = static_cast<CallbackSocket*>(context);
  if (self->handler_) self->handler_(*self, edges);
}

}  // namespace leat
