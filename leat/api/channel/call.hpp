#pragma once
// One call of a typed socket, and its three forms. A Call says what to do and what came out; the forms are the same for
// all of them:
//
//   struct Call {
//     using Value = ...;                                      // what the call gives
//     std::optional<Result<Value>> at_once(SocketState&);     // known without asking: refused
//     void prepare(SocketState&, Op&);
//     Result<Value> result(SocketState&, Op&);                // of an operation that did something
//     void give_back(SocketState&, Op&);                      // nobody looked at what it did
//   };
//   run_call(state, call, timeout)   blocks                    -> Result<Value>
//   try_call(state, call)            does what can be done now -> Result<std::optional<Value>>, nothing: would block
//   co_await CallAwaiter(state, call, deadline)                -> Result<Value>
//
// Threading: as the socket's.

#include <leat/api/channel/socket_state.hpp>

namespace leat::channel {

template <class Call>
Result<typename Call::Value> run_call(SocketState& state, Call call, Duration timeout) {
  if (!state.handle) return fail(Errc::bad_handle);
  if (auto known = call.at_once(state)) return std::move(*known);
  Op op;
  call.prepare(state, op);
  op.deadline = state.channel.deadline(timeout);
  state.channel.service().run(op);
  if (op.error != Errc{}) return fail(op.error);
  return call.result(state, op);
}

template <class Call>
Result<std::optional<typename Call::Value>> try_call(SocketState& state, Call call) {
  using Tried = std::optional<typename Call::Value>;
  if (!state.handle) return fail(Errc::bad_handle);
  if (auto known = call.at_once(state)) {
    if (!*known) return fail(known->error());
    return Tried{std::move(**known)};
  }
  Op op;
  call.prepare(state, op);
  op.flags.dont_wait = true;
  state.channel.service().run(op);
  if (op.error != Errc{}) return fail(op.error);
  if (op.count == 0 && op.status == IoStatus::would_block) return Tried{};
  auto r = call.result(state, op);
  if (!r) return fail(r.error());
  return Tried{std::move(*r)};
}

template <class Call>
class CallAwaiter : OpAwaiter {
 public:
  using Value = typename Call::Value;
  CallAwaiter(std::shared_ptr<SocketState> state, Call call, Duration timeout)
      : OpAwaiter(state->channel.shared_service().get(), state->channel.executor()),
        state_(std::move(state)),
        call_(std::move(call)),
        timeout_(timeout) {}
  ~CallAwaiter() {
    if (withdraw() && op.error == Errc{}) call_.give_back(*state_, op);
  }
  [[nodiscard]] bool await_ready() {
    if (!state_->handle) {
      known_ = fail(Errc::bad_handle);
    } else {
      known_ = call_.at_once(*state_);
    }
    return known_.has_value();
  }
  void await_suspend(std::coroutine_handle<> handle) {
    call_.prepare(*state_, op);
    op.deadline = state_->channel.deadline(timeout_);
    start(handle);
  }
  [[nodiscard]] Result<Value> await_resume() {
    if (known_) return std::move(*known_);
    resumed();
    if (op.error != Errc{}) return fail(op.error);
    return call_.result(*state_, op);
  }

 private:
  std::shared_ptr<SocketState> state_;
  Call call_;
  Duration timeout_;
  std::optional<Result<Value>> known_;
};

// A typed socket that is opened: a Request whose response becomes a Socket (Socket::from(state, response)).
template <class Socket>
Result<Socket> open_blocking(const Channel& channel, const Command& command, Duration timeout, bool dont_wait = false) {
  if (!channel) return fail(Errc::shut_down);
  auto state = std::make_shared<SocketState>(channel);
  Request request(command, channel.deadline(timeout), dont_wait);
  for (bool more = request.begin(); more; more = request.advance()) channel.service().run(request.op);
  return Socket::from(std::move(state), request.response);
}

template <class Socket>
class OpenAwaiter : StepsAwaiter<Request> {
 public:
  OpenAwaiter(const Channel& channel, const Command& command, Duration timeout)
      : StepsAwaiter(channel.shared_service().get(), channel.executor(), command, channel.deadline(timeout)),
        state_(std::make_shared<SocketState>(channel)) {}
  // What it opened is closed.
  ~OpenAwaiter() {
    if (!withdraw()) return;
    steps.finish_withdrawn();
    state_->handle = steps.opened();
    state_->abort();
  }
  [[nodiscard]] bool await_ready() {
    if (state_->channel) return !steps.begin();
    steps.response = Error::of(Errc::shut_down);
    return true;
  }
  void await_suspend(std::coroutine_handle<> handle) { start(handle); }
  [[nodiscard]] Result<Socket> await_resume() {
    resumed();
    return Socket::from(std::move(state_), steps.response);
  }

 private:
  std::shared_ptr<SocketState> state_;
};

}  // namespace leat::channel
