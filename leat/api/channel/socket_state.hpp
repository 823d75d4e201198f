#pragma once
// What stands behind every typed socket: its handle, the channel it is reached by, and the node that closes it. The
// node is part of the state, so closing needs no room in any queue and can't fail; the state lives until the close is
// done. Results of operations as the typed sockets give them.
//
// Threading: any; the typed socket itself may be moved or destroyed only while nobody else calls it.

#include <leat/api/channel/channel.hpp>

namespace leat::channel {

class SocketState : public std::enable_shared_from_this<SocketState> {
 public:
  explicit SocketState(Channel c) : channel(std::move(c)) {}
  ~SocketState() { LEAT_ASSERT(closed_ || !handle); }

  // Graceful: what was sent still arrives; whoever waits on the socket gets bad_handle. Twice is once.
  void close() { end(Verb::close); }
  void abort() { end(Verb::abort); }

  // Runs a verb that never waits; without a handle: bad_handle.
  void run(Op& op) const;
  // What a typed socket without a state has.
  [[nodiscard]] static SocketState& nothing();

  Channel channel;
  Handle handle;

 private:
  void end(Verb verb);

  std::mutex mutex_;
  bool closed_ = false;  // guarded by mutex_
  Op close_op_;
  std::shared_ptr<SocketState> self_;  // while close_op_ is under way
};

// A typed socket's share of the state: closes when it goes. One that was never opened, or was moved from, is empty:
// calls on it end with bad_handle.
class SocketOwner {
 public:
  SocketOwner() = default;
  explicit SocketOwner(std::shared_ptr<SocketState> state) : state_(std::move(state)) {}
  SocketOwner(SocketOwner&&) noexcept = default;
  SocketOwner& operator=(SocketOwner&& o) noexcept {
    if (this != &o) {
      if (state_) state_->close();
      state_ = std::move(o.state_);
    }
    return *this;
  }
  SocketOwner(const SocketOwner&) = delete;
  SocketOwner& operator=(const SocketOwner&) = delete;

  explicit operator bool() const { return state_ != nullptr; }
  [[nodiscard]] Handle handle() const { return state_ ? state_->handle : Handle{}; }
  // Callers may wait in it in other threads: they get bad_handle.
  void close() {
    if (state_) state_->close();
  }
  // TCP: RST instead of FIN.
  void abort() {
    if (state_) state_->abort();
  }
  // Awaited calls go on in this executor from now on.
  void use(Executor& executor) {
    if (state_) state_->channel = state_->channel.on(executor);
  }
  [[nodiscard]] Result<std::int64_t> option(OptionId id) const;
  Result<void> set_option(OptionId id, std::int64_t value) const;
  [[nodiscard]] Result<Endpoint> local_addr() const;

  [[nodiscard]] SocketState& state() const { return state_ ? *state_ : SocketState::nothing(); }

 protected:
  ~SocketOwner() {
    if (state_) state_->close();
  }

 private:
  std::shared_ptr<SocketState> state_;
};

}  // namespace leat::channel
