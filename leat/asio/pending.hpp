#pragma once
// Pending operations, and the part of an execution context that knows them: it starts them, hears of their completion
// in whichever thread lets the token go, and has their handlers posted. When the execution context ends, it cancels
// what is under way, waits for it, and destroys the handlers without calling them.
//
//   initiating function -> begin(): listed, given to the Service -> completed(): posted -> a thread of the I/O
//   executor: end() -> handler's turn: freed
//
// Threading: every function from any thread. One mutex guards the lists; it is never held while the stack, an executor
// or a handler is called.

#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>
#include <condition_variable>
#include <leat/op/service.hpp>
#include <list>
#include <memory>
#include <mutex>

namespace leat::asio::detail {

class context_service;
struct pending;

// What the asynchronous operations of a socket share with it. The handle is the socket object's; the list the mutex's.
struct socket_state {
  std::shared_ptr<Service> service;
  Handle handle;
  bool non_blocking = false;
  pending* first = nullptr;
};

struct pending {
  explicit pending(context_service& c, std::shared_ptr<socket_state> s) : context(&c), socket(std::move(s)) {}
  pending(const pending&) = delete;
  pending& operator=(const pending&) = delete;

  // Queues the handler on its executor. Called once, without locks.
  virtual void post() = 0;
  // Frees it without calling the handler.
  virtual void destroy() = 0;

  Op op;
  context_service* context;
  std::shared_ptr<socket_state> socket;
  pending* all_next = nullptr;
  pending* all_previous = nullptr;
  pending* socket_next = nullptr;
  pending* socket_previous = nullptr;
  // Guarded by the context's mutex.
  bool complete = false;
  bool posted = false;  // its handler is queued, or about to be
  unsigned pins = 0;    // threads that are about to cancel it, or do so

 protected:
  ~pending() = default;
};

class context_service final : public boost::asio::execution_context::service {
 public:
  using key_type = context_service;
  static inline boost::asio::execution_context::id id;

  explicit context_service(boost::asio::execution_context& context);
  ~context_service() override;

  void attach(boost::asio::io_context& io, std::shared_ptr<Service> stack);
  [[nodiscard]] std::shared_ptr<Service> attached();

  // Takes a new operation and gives it to its Service.
  void begin(pending& p);
  // Its handler is about to be dispatched, or destroyed: it leaves the lists.
  void end(pending& p);
  // Cancels what is pending on this socket.
  void cancel(socket_state& socket);
  // Cancels one, which may be complete already.
  static void cancel(pending& p) { p.socket->service->cancel(p.op); }

 private:
  class watch;
  void shutdown() override;
  void completed(pending& p);
  void start_watches();

  std::mutex mutex_;
  std::condition_variable quiet_;  // something ended that end() or shutdown() may wait for
  pending* first_ = nullptr;
  unsigned posting_ = 0;  // threads between the mark of a completion and the end of post()
  bool ending_ = false;
  std::list<watch> watches_;
  bool watching_ = false;
};

}  // namespace leat::asio::detail
