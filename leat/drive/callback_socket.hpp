#pragma once
// CallbackSocket: a socket with one function that is called on events: connected, readable, writable, FIN, closed,
// error. Write what fits and go on at the next writable event; read until it would block.
//
//   void on_event(EchoConnection&, CallbackSocket& s, Ready event) {
//     if (any(event & Ready::readable)) ... s.read(buffer) ... s.write(...)
//     if (any(event & Ready::peer_fin)) s.close();
//   }
//
// The handler runs inside Shard::turn, never inside a call of this class, and may do anything with any socket, closing
// this one included. The object must stay where it is while it is open (the stack holds its address) and closes its
// socket when it ends. Events are edges: readable comes again when more arrives after the handler looked.
// Threading: the owner of the shard. No allocation.

#include <leat/base/assert.hpp>
#include <leat/base/delegate.hpp>
#include <leat/core/stack.hpp>

namespace leat {

class CallbackSocket {
 public:
  using Handler = Delegate<void(CallbackSocket&, Ready events)>;

  CallbackSocket() = default;
  CallbackSocket(const CallbackSocket&) = delete;
  CallbackSocket& operator=(const CallbackSocket&) = delete;
  ~CallbackSocket() { close(); }

  // Errors: whatever the stack's verbs say; wrong_state when a socket is open already.
  Result<void> open_stream(Stack& stack, Handler handler) { return take(stack, stack.open_stream(), handler); }
  Result<void> open_udp(Stack& stack, Handler handler) { return take(stack, stack.open_udp(), handler); }
  // Opens a stream, binds it (port 0 or an unspecified address: the stack chooses), listens.
  Result<void> listen(Stack& stack, const Endpoint& local, std::uint32_t backlog, Handler handler);
  // Opens a stream and starts to connect; Ready::connected or Ready::error follows.
  Result<void> connect(Stack& stack, const Endpoint& remote, Handler handler);
  // Takes one waiting connection from `listener`. True when there was one.
  Result<bool> accept(CallbackSocket& listener, Handler handler, Endpoint* remote = nullptr);

  // bad_handle when no socket is open.
  Result<IoCount> read(MutableByteSpan to) {
    if (!is_open()) return fail(Errc::bad_handle);
    return stack_->try_receive(handle_, to);
  }
  Result<IoCount> write(ByteSpan from) {
    if (!is_open()) return fail(Errc::bad_handle);
    return stack_->try_send(handle_, from);
  }
  Result<void> shutdown(ShutdownHow how) {
    if (!is_open()) return fail(Errc::bad_handle);
    return stack_->shutdown(handle_, how);
  }
  // Graceful; the connection finishes by itself. Nothing is called afterwards.
  void close();
  void abort();  // RST

  [[nodiscard]] bool is_open() const { return static_cast<bool>(handle_); }
  [[nodiscard]] Handle handle() const { return handle_; }
  [[nodiscard]] Stack& stack() const {  // of an object that was opened once
    LEAT_ASSERT(stack_ != nullptr);
    return *stack_;
  }

 private:
  Result<void> take(Stack& stack, Result<Handle> socket, Handler handler);
  static void on_ready(void* context, std::uint64_t user, Handle socket, Ready level, Ready edges);

  Stack* stack_ = nullptr;
  Handle handle_;
  Handler handler_;
  Sink sink_;
};

}  // namespace leat
