#pragma once
// when_all, when_any: several awaitables at once, in one task: tasks, operations, sleeps.
//
//   auto [a, b] = co_await when_all(left.read(x), right.read(y));
//   auto got = co_await when_any(stream.read(buffer), sleep_for(Duration::s(5)));
//   if (got.first == 0) use(std::get<0>(got.results));
//
// when_all waits for all. when_any asks the others to stop as soon as one is complete, waits for them too, and gives
// every result: one that was complete before it saw the request has moved bytes or a connection, which would be lost
// otherwise. Results of type void are std::monostate. When one throws, the first exception leaves after all have ended
// (when_any: it counts as complete).
//
// Temporaries that can be moved (tasks) are moved into the combination; operations can't, and are referred to: await
// them in the expression that makes them. One frame for each argument and two in all are allocated. Threading: the
// task's executor.

#include <array>
#include <leat/api/coroutine/task.hpp>
#include <optional>
#include <stop_token>
#include <tuple>
#include <utility>
#include <variant>

namespace leat::coroutine {

namespace detail {

// What is known of one argument: its result once it is there.
template <class T>
struct Slot {
  std::optional<T> value;
  std::exception_ptr thrown;
};

template <class A>
using Awaited = decltype(std::declval<std::remove_reference_t<A>&>().await_resume());
template <class A>
using Kept = std::conditional_t<std::is_void_v<Awaited<A>>, std::monostate, Awaited<A>>;

// Counts those that have not ended, and goes on with the task that waits when none is left.
struct Latch {
  std::size_t left;
  std::coroutine_handle<> waiting;
  std::stop_source* stop = nullptr;  // when_any: requested by the first
  std::size_t first = SIZE_MAX;
};

// The frame around one argument. It goes on by itself until its end, and destroys itself there.
struct Branch {
  // NOLINTNEXTLINE(readability-identifier-naming): the language's name
  struct promise_type : PromiseBase {
    Latch* latch;
    template <class... Rest>
    promise_type(Latch& l, const Context& context, Rest&...) : latch(&l) {
      found_context = &context;
    }
    Branch get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
    struct Final {
      [[nodiscard]] bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> h) const noexcept {
        Latch& counted = *h.promise().latch;
        h.destroy();
        return --counted.left == 0 ? counted.waiting : std::noop_coroutine();
      }
      void await_resume() const noexcept {}
    };
    [[nodiscard]] Final final_suspend() const noexcept { return {}; }
    void return_void() const {}
    void unhandled_exception() const { std::terminate(); }
  };
  std::coroutine_handle<promise_type> handle;
};

template <class A>
Branch branch(Latch& latch, const Context&, A& awaitable, Slot<Kept<A>>& slot, std::size_t index) {
  try {
    if constexpr (std::is_void_v<Awaited<A>>) {
      co_await awaitable;
      slot.value.emplace();
    } else {
      slot.value.emplace(co_await awaitable);
    }
  } catch (...) {
    slot.thrown = std::current_exception();
  }
  if (latch.first == SIZE_MAX) {
    latch.first = index;
    if (latch.stop != nullptr) latch.stop->request_stop();
  }
}

// Begins all branches, in order, and is ready when all have ended.
template <std::size_t n>
struct Begin {
  Latch* latch;
  std::array<std::coroutine_handle<>, n> branches;
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> h) {
    latch->waiting = h;
    for (const auto b : branches) b.resume();
    return --latch->left > 0;  // one was counted for us, so that no branch goes on with the task before this
  }
  void await_resume() const noexcept {}
};

struct PassStop {
  std::stop_source* to;
  void operator()() const noexcept { to->request_stop(); }
};

template <class... A, std::size_t... i>
Task<std::tuple<Kept<A>...>> run_branches(Latch& latch, const Context& context, std::index_sequence<i...>, A&... a) {
  std::tuple<Slot<Kept<A>>...> slots;
  co_await Begin<sizeof...(A)>{&latch, {branch(latch, context, a, std::get<i>(slots), i).handle...}};
  std::exception_ptr thrown;
  ((thrown = thrown ? thrown : std::get<i>(slots).thrown), ...);
  if (thrown) std::rethrow_exception(thrown);
  co_return std::tuple<Kept<A>...>{std::move(*std::get<i>(slots).value)...};
}

// How the combination keeps an argument: a temporary by value when that is possible, all else by reference.
template <class A>
using Held = std::conditional_t<!std::is_lvalue_reference_v<A> && std::is_move_constructible_v<A>, A, A&>;

template <class... A>
Task<std::tuple<Kept<A>...>> when_all_of(A... a) {
  const Context context = co_await this_context();
  Latch latch{sizeof...(A) + 1, {}};
  co_return co_await run_branches(latch, context, std::index_sequence_for<A...>{}, a...);
}

}  // namespace detail

template <class... Results>
struct AnyResult {
  std::size_t first;  // which argument was complete first
  std::tuple<Results...> results;
};

namespace detail {

template <class... A>
Task<AnyResult<Kept<A>...>> when_any_of(A... a) {
  const Context outer = co_await this_context();
  std::stop_source stop;
  const std::stop_callback pass(outer.stop, PassStop{&stop});
  const Context context{outer.executor, stop.get_token()};
  Latch latch{sizeof...(A) + 1, {}, &stop};
  auto results = co_await run_branches(latch, context, std::index_sequence_for<A...>{}, a...);
  co_return AnyResult<Kept<A>...>{latch.first, std::move(results)};
}

}  // namespace detail

template <class... A>
[[nodiscard]] auto when_all(A&&... awaitables) {
  return detail::when_all_of<detail::Held<A>...>(static_cast<detail::Held<A>&&>(awaitables)...);
}
template <class... A>
[[nodiscard]] auto when_any(A&&... awaitables) {
  return detail::when_any_of<detail::Held<A>...>(static_cast<detail::Held<A>&&>(awaitables)...);
}

}  // namespace leat::coroutine
