#pragma once
// Task<T>: a coroutine that begins when it is awaited and gives its result, or its exception, to who awaited it. One
// frame per task; operations inside allocate nothing. Tasks hand over by symmetric transfer: a chain of any length uses
// one frame of the machine's stack.
//
//   Task<std::size_t> copy(TcpStream& from, TcpStream& to) { ... co_await from.read(buffer) ... co_return total; }
//   std::size_t n = co_await copy(a, b);
//
// A task knows its Context from who awaits it: the executor on which it runs, and the stop token that ends its
// operations. A task that was begun must reach its end before it is destroyed: cancel it and wait. Threading: a task
// runs on one executor.

#include <coroutine>
#include <exception>
#include <leat/base/assert.hpp>
#include <optional>
#include <stop_token>
#include <utility>
#include <variant>

namespace leat::coroutine {

class Executor;

struct Context {
  Executor* executor = nullptr;
  std::stop_token stop;
};

template <class T>
class Task;

// What every promise here has: awaiters find the context by it. The context stands in a frame that outlives this one:
// the spawned task's, or that of a combination with a stop token of its own.
struct PromiseBase {
  const Context* found_context = nullptr;
  [[nodiscard]] const Context& context() const { return *found_context; }
};

namespace detail {

struct TaskPromiseBase : PromiseBase {
  std::coroutine_handle<> continuation;
  struct Final {
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) const noexcept {
      return h.promise().continuation;
    }
    void await_resume() const noexcept {}
  };
  [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
  [[nodiscard]] Final final_suspend() const noexcept { return {}; }
};

template <class T>
struct TaskPromise : TaskPromiseBase {
  std::variant<std::monostate, T, std::exception_ptr> result;
  Task<T> get_return_object();
  template <class U>
  void return_value(U&& value) {
    result.template emplace<1>(std::forward<U>(value));
  }
  void unhandled_exception() { result.template emplace<2>(std::current_exception()); }
  T take() {
    if (result.index() == 2) std::rethrow_exception(std::get<2>(result));
    return std::move(std::get<1>(result));
  }
};

template <>
struct TaskPromise<void> : TaskPromiseBase {
  std::exception_ptr thrown;
  Task<void> get_return_object();
  void return_void() const {}
  void unhandled_exception() { thrown = std::current_exception(); }
  void take() const {
    if (thrown) std::rethrow_exception(thrown);
  }
};

}  // namespace detail

template <class T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::TaskPromise<T>;  // NOLINT(readability-identifier-naming): the language's name

  Task(Task&& o) noexcept : handle_(std::exchange(o.handle_, nullptr)) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (handle_ == nullptr) return;
    LEAT_ASSERT(handle_.promise().continuation == nullptr || handle_.done());  // cancel a task that runs, and wait
    handle_.destroy();
  }

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) {
    LEAT_ASSERT(handle_ != nullptr && handle_.promise().continuation == nullptr);  // awaited once
    handle_.promise().found_context = &h.promise().context();
    handle_.promise().continuation = h;
    return handle_;
  }
  T await_resume() { return handle_.promise().take(); }

 private:
  friend promise_type;
  explicit Task(std::coroutine_handle<promise_type> h) : handle_(h) {}
  std::coroutine_handle<promise_type> handle_;
};

namespace detail {

template <class T>
Task<T> TaskPromise<T>::get_return_object() {
  return Task<T>{std::coroutine_handle<TaskPromise<T>>::from_promise(*this)};
}
inline Task<void> TaskPromise<void>::get_return_object() {
  return Task<void>{std::coroutine_handle<TaskPromise<void>>::from_promise(*this)};
}

}  // namespace detail

// co_await this_context(): where the task runs, and what stops it.
struct ThisContext {
  const Context* found = nullptr;
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> h) {
    found = &h.promise().context();
    return false;
  }
  [[nodiscard]] const Context& await_resume() const { return *found; }
};
[[nodiscard]] inline ThisContext this_context() {
  return {};
}

}  // namespace leat::coroutine
