#pragma once
// What every asynchronous function here is made of: one Op and one handler in one block of memory, which the handler's
// associated allocator gives (without one: Boost.Asio's recycling allocator, so that a steady state asks no heap).
//
//   initiate<Signature>(token, executor, socket, result, fill)
//
// `fill(op, keep)` says what to do, `keep` is room of the operation's own (spans, a message); `result(op, keep,
// deliver)` calls deliver(error_code, values...). The handler is posted to the I/O executor, also when the operation is
// complete at once, and dispatched from there on its associated executor. Both executors count work meanwhile. Its
// cancellation slot ends the operation, for every type of cancellation: an operation that is cancelled has moved
// nothing, or tells what it moved.
//
// The slot belongs to the handler's executor, on which it is emitted as well: it is cleared, and the operation that it
// points to freed, there and not in the thread that completed the operation or in one of the I/O executor.
//
// Threading: as for the socket; completion in any thread.

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <leat/asio/error.hpp>
#include <leat/asio/pending.hpp>
#include <utility>

namespace leat::asio::detail {

template <class Handler, class IoExecutor, class Keep, class GetResult>
class pending_op final : public pending {
 public:
  using handler_executor = net::associated_executor_t<Handler, IoExecutor>;
  using allocator = typename std::allocator_traits<
      net::associated_allocator_t<Handler, net::recycling_allocator<void>>>::template rebind_alloc<pending_op>;

  static pending_op* make(Handler&& handler, const IoExecutor& executor, context_service& owner,
                          std::shared_ptr<socket_state> s, GetResult get_result) {
    allocator a(net::get_associated_allocator(handler, net::recycling_allocator<void>()));
    pending_op* const p = std::allocator_traits<allocator>::allocate(a, 1);
    struct Guard {
      allocator* a;
      pending_op* p;
      ~Guard() {
        if (p != nullptr) std::allocator_traits<allocator>::deallocate(*a, p, 1);
      }
    } guard{&a, p};
    std::construct_at(p, std::move(handler), executor, owner, std::move(s), std::move(get_result));
    guard.p = nullptr;
    return p;
  }

  pending_op(Handler&& handler, const IoExecutor& executor, context_service& owner, std::shared_ptr<socket_state> s,
             GetResult get_result)
      : pending(owner, std::move(s)),
        handler_(std::move(handler)),
        io_work_(executor),
        handler_work_(net::get_associated_executor(handler_, executor)),
        get_result_(std::move(get_result)) {}

  void begin() {
    auto slot = net::get_associated_cancellation_slot(handler_);
    if (slot.is_connected()) {
      slot.assign([this](net::cancellation_type type) {
        using net::cancellation_type;
        if ((type & (cancellation_type::terminal | cancellation_type::partial | cancellation_type::total)) !=
            cancellation_type::none)
          context_service::cancel(*this);
      });
    }
    context->begin(*this);
  }
  void post() override { net::post(io_work_.get_executor(), completion(this)); }
  void destroy() override {
    context->end(*this);
    free(get_allocator());
  }

  Keep keep;

 private:
  // A queue's part in it: calls it once, or destroys it when the queue ends.
  template <void (pending_op::*kCall)(), void (pending_op::*kDestroy)()>
  struct queued {
    using allocator_type = net::associated_allocator_t<Handler, net::recycling_allocator<void>>;
    explicit queued(pending_op* p) : op(p) {}
    queued(queued&& o) noexcept : op(std::exchange(o.op, nullptr)) {}
    queued& operator=(queued&&) = delete;
    queued(const queued&) = delete;
    queued& operator=(const queued&) = delete;
    ~queued() {
      if (op != nullptr) (op->*kDestroy)();
    }
    void operator()() { (std::exchange(op, nullptr)->*kCall)(); }
    [[nodiscard]] allocator_type get_allocator() const noexcept {
      return net::get_associated_allocator(op->handler_, net::recycling_allocator<void>());
    }
    pending_op* op;
  };

  // In a thread of the I/O executor, whose context knows the operation no longer; the slot may be emitted meanwhile.
  void pass_on() {
    context->end(*this);
    const auto io_work = std::move(io_work_);
    const auto handler_work = std::move(handler_work_);
    net::dispatch(handler_work.get_executor(), delivery(this));
  }
  // On the handler's executor: the memory returns before the handler is called, so that it can be used again.
  void deliver() {
    if (auto slot = net::get_associated_cancellation_slot(handler_); slot.is_connected()) slot.clear();
    GetResult get_result = std::move(get_result_);
    get_result(op, keep, [this](auto... values) {
      Handler handler = std::move(handler_);
      free(allocator(net::get_associated_allocator(handler, net::recycling_allocator<void>())));
      std::move(handler)(std::move(values)...);
    });
  }
  void abandon() { free(get_allocator()); }
  using delivery = queued<&pending_op::deliver, &pending_op::abandon>;
  using completion = queued<&pending_op::pass_on, &pending_op::destroy>;

  [[nodiscard]] allocator get_allocator() const noexcept {
    return allocator(net::get_associated_allocator(handler_, net::recycling_allocator<void>()));
  }
  void free(allocator a) {
    std::destroy_at(this);
    std::allocator_traits<allocator>::deallocate(a, this, 1);
  }

  Handler handler_;
  net::executor_work_guard<IoExecutor> io_work_;
  net::executor_work_guard<handler_executor> handler_work_;
  GetResult get_result_;
};

// How asynchronous functions begin. Its executor is that of the socket, which tokens like deferred ask for.
template <class IoExecutor>
struct initiation {
  using executor_type = IoExecutor;
  IoExecutor executor;
  std::shared_ptr<socket_state> socket;
  [[nodiscard]] executor_type get_executor() const noexcept { return executor; }

  template <class Handler, class Keep, class GetResult, class Fill>
  void operator()(Handler&& handler, std::in_place_type_t<Keep>, GetResult get_result, Fill fill) const {
    using op_type = pending_op<std::decay_t<Handler>, IoExecutor, Keep, GetResult>;
    auto& context = net::use_service<context_service>(net::query(executor, net::execution::context));
    std::decay_t<Handler> own(std::forward<Handler>(handler));
    op_type* const p = op_type::make(std::move(own), executor, context, socket, std::move(get_result));
    fill(p->op, p->keep);
    p->begin();
  }
};

template <class Signature, class Keep, class Token, class IoExecutor, class GetResult, class Fill>
auto initiate(Token&& token, const IoExecutor& executor, std::shared_ptr<socket_state> socket, GetResult get_result,
              Fill fill) {
  return net::async_initiate<Token, Signature>(initiation<IoExecutor>{executor, std::move(socket)}, token,
                                               std::in_place_type<Keep>, std::move(get_result), std::move(fill));
}

// Nothing to keep.
struct nothing {};

// The error of a complete operation. Who closes a socket aborts what is pending on it.
[[nodiscard]] inline error_code error_of(const Op& op) {
  if (op.error == Errc::bad_handle && op.socket) return net::error::operation_aborted;
  return to_error_code(op.error);
}

}  // namespace leat::asio::detail
