#pragma once
// Channel: how commands reach a stack. It is a small value that may be copied and passed around; it stands on a Service
// (op/service.hpp): a stack that any thread may call, the command queue of a stack that one thread turns (Netstack), or
// a client of the service process. The typed sockets (tcp.hpp, udp.hpp, stack_control.hpp) do the same in the
// types of the language.
//
//   Channel channel(service, &tasks);
//   Response r = channel.request_blocking(TcpConnect{.remote = peer}, Duration::s(5));
//   Response r = co_await channel.request(TcpRecv{socket, buffer});
//   Response r = channel.try_request(TcpRecv{socket, buffer});        // perhaps WouldBlock
//   if (!channel.request_nonblocking(UdpSend{socket, to, bytes})) ... // no answer wanted; false: the channel is full
//
// A stack that is gone answers every call with channel_closed, and so does a Channel without one. Cancel-safe: a
// request that ends before its answer was looked at leaves bytes and connections where the next request for the socket
// finds them.
//
// Threading: any number of threads at once.

#include <leat/api/channel/awaiter.hpp>
#include <leat/api/channel/command.hpp>
#include <leat/api/channel/give_back.hpp>
#include <memory>
#include <mutex>

namespace leat::channel {

inline constexpr Duration kForever = Duration::max();

class Channel {
 public:
  static constexpr std::size_t kUnbounded = SIZE_MAX;

  Channel() = default;
  // `capacity`: how many requests without an answer may be under way at once (closing is always possible).
  explicit Channel(std::shared_ptr<Service> service, Executor* executor = nullptr, std::size_t capacity = 32);
  // The same channel, for coroutines of another executor.
  [[nodiscard]] Channel on(Executor& executor) const {
    Channel c = *this;
    c.executor_ = &executor;
    return c;
  }

  // Waits for the answer in the calling thread, at most this long (then Error with Errc::timed_out).
  [[nodiscard]] Response request_blocking(const Command& command, Duration timeout = kForever) const;
  // Does what can be done now. WouldBlock: the socket has nothing or no room. channel_full: the channel has none.
  [[nodiscard]] Response try_request(const Command& command) const;
  // Fire and forget, for destructors and the like: the bytes of the command are copied, and it is done as soon as it
  // can be. False, and nothing happens: the channel is full, the command is refused as it stands, or it is one that
  // makes sense only with an answer (receive, accept, Control). Close is never refused.
  [[nodiscard]] bool request_nonblocking(const Command& command) const;
  class Awaiter;
  [[nodiscard]] Awaiter request(const Command& command, Duration timeout = kForever) const;

  explicit operator bool() const { return service_ != nullptr; }
  [[nodiscard]] Service& service() const { return *service_; }
  [[nodiscard]] const std::shared_ptr<Service>& shared_service() const { return service_; }
  [[nodiscard]] Executor* executor() const { return executor_; }
  [[nodiscard]] Instant deadline(Duration timeout) const {
    return timeout == kForever || !*this ? Instant::never() : service_->now() + timeout;
  }

 private:
  struct Shared {
    explicit Shared(std::size_t limit) : capacity(limit) {}
    const std::size_t capacity;
    std::mutex mutex;
    std::size_t under_way = 0;  // requests without an answer; guarded by mutex
  };
  struct Detached;
  [[nodiscard]] Response run(const Command& command, Instant deadline, bool dont_wait) const;

  std::shared_ptr<Service> service_;
  Executor* executor_ = nullptr;
  std::shared_ptr<Shared> shared_;
};

class Channel::Awaiter : StepsAwaiter<Request> {
 public:
  Awaiter(const Channel& channel, const Command& command, Instant deadline)
      : StepsAwaiter(channel.service_.get(), channel.executor_, command, deadline),
        channel_(channel),
        command_(command) {}
  ~Awaiter();
  [[nodiscard]] bool await_ready();
  void await_suspend(std::coroutine_handle<> handle) { start(handle); }
  [[nodiscard]] Response await_resume() {
    resumed();
    return steps.response;
  }

 private:
  Channel channel_;
  Command command_;
};

}  // namespace leat::channel
