#pragma once
// Task<T>: a coroutine that starts when it is awaited or started, and belongs to whoever holds it. Ending a Task that
// waits ends its frame: its awaiters take their operations back, and nothing that they would have received is lost.
//
//   Task<std::size_t> talk(Channel c) { auto s = co_await TcpStream::connect(c, peer); ... co_return n; }
//   std::size_t n = tasks.block_on(talk(channel));
//   auto t = talk(channel); t.start(); ... n = co_await t;     // beside other work, joined later
//
// Results are values; exceptions that leave a task come out of result() or of the awaiting coroutine. Threading: one
// executor's.

#include <coroutine>
#include <exception>
#include <leat/base/assert.hpp>
#include <optional>
#include <utility>

namespace leat::channel {

template <class T = void>
class Task;

namespace detail {

struct PromiseBase {
  std::coroutine_handle<> continuation;
  std::exception_ptr thrown;
  bool started = false;
  [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
  struct Final {
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> h) const noexcept {
      const auto next = h.promise().continuation;
      return next ? next : std::noop_coroutine();
    }
    void await_resume() const noexcept {}
  };
  [[nodiscard]] Final final_suspend() const noexcept { return {}; }
  void unhandled_exception() { thrown = std::current_exception(); }
};

template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;
  Task<T> get_return_object();
  template <class U>
  void return_value(U&& v) {
    value.emplace(std::forward<U>(v));
  }
  T take() {
    if (thrown) std::rethrow_exception(std::exchange(thrown, nullptr));
    LEAT_ASSERT(value.has_value());
    return std::move(*value);
  }
};
template <>
struct Promise<void> : PromiseBase {
  Task<void> get_return_object();
  void return_void() {}
  void take() {
    if (thrown) std::rethrow_exception(std::exchange(thrown, nullptr));
  }
};

}  // namespace detail

template <class T>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::Promise<T>;
  Task() = default;
  explicit Task(std::coroutine_handle<promise_type> h) : handle_(h) {}
  Task(Task&& o) noexcept : handle_(std::exchange(o.handle_, nullptr)) {}
  Task& operator=(Task&& o) noexcept {
    if (this != &o) {
      end();
      handle_ = std::exchange(o.handle_, nullptr);
    }
    return *this;
  }
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  ~Task() { end(); }

  // Runs it until it waits for something. Started, it goes on by itself, and may be awaited later: a join.
  void start() {
    LEAT_ASSERT(!handle_.promise().started);
    handle_.promise().started = true;
    handle_.resume();
  }
  [[nodiscard]] bool done() const { return !handle_ || handle_.done(); }
  [[nodiscard]] T result() { return handle_.promise().take(); }

  // One at a time waits for a task. A waiter that is dropped is not resumed; a task that was started goes on without
  // it.
  class Awaiter {
   public:
    explicit Awaiter(std::coroutine_handle<promise_type> h) : handle_(h) {}
    Awaiter(const Awaiter&) = delete;
    Awaiter& operator=(const Awaiter&) = delete;
    ~Awaiter() {
      if (waits_) handle_.promise().continuation = nullptr;
    }
    [[nodiscard]] bool await_ready() const { return handle_.done(); }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) {
      handle_.promise().continuation = waiter;
      waits_ = true;
      if (std::exchange(handle_.promise().started, true)) return std::noop_coroutine();  // it waits for something else
      return handle_;
    }
    T await_resume() {
      waits_ = false;
      return handle_.promise().take();
    }

   private:
    std::coroutine_handle<promise_type> handle_;
    bool waits_ = false;
  };
  [[nodiscard]] Awaiter operator co_await() const { return Awaiter{handle_}; }

 private:
  void end() {
    if (handle_) std::exchange(handle_, nullptr).destroy();
  }
  std::coroutine_handle<promise_type> handle_;
};

namespace detail {

template <class T>
Task<T> Promise<T>::get_return_object() {
  return Task<T>{std::coroutine_handle<Promise<T>>::from_promise(*this)};
}
inline Task<void> Promise<void>::get_return_object() {
  return Task<void>{std::coroutine_handle<Promise<void>>::from_promise(*this)};
}

}  // namespace detail

}  // namespace leat::channel
