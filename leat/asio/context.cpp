#include <fcntl.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <leat/asio/context.hpp>
#include <leat/asio/pending.hpp>

namespace leat::asio {
namespace detail {
namespace {

// Turns in a row that one look at the stack may take before the io_context's other handlers have theirs.
constexpr int kTurns = 4;

}  // namespace

// The stack's descriptor in the reactor of the io_context. Its wait is taken out of the io_context's count of work as
// soon as it stands, and put back before its handler ends.
class context_service::watch {
 public:
  watch(boost::asio::io_context& io, std::shared_ptr<Service> service)
      : io_(&io), service_(std::move(service)), descriptor_(io) {}
  watch(const watch&) = delete;
  watch& operator=(const watch&) = delete;
  ~watch() {
    if (descriptor_.is_open()) service_->release_pollable_fd();
  }

  [[nodiscard]] const std::shared_ptr<Service>& service() const { return service_; }
  void start() {
    if (descriptor_.is_open()) return;
    const int fd = service_->pollable_fd();
    if (fd < 0) return;
    const int own = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);  // the descriptor object closes what it has
    boost::system::error_code failed;
    if (own >= 0) descriptor_.assign(own, failed);
    if (descriptor_.is_open()) wait();
  }

 private:
  void wait() {
    descriptor_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](boost::system::error_code e) {
      io_->get_executor().on_work_started();
      if (!e) serve();
    });
    io_->get_executor().on_work_finished();
  }
  void serve() {
    for (int turn = 0; turn < kTurns; ++turn)
      if (service_->poll() > service_->now()) return wait();
    boost::asio::post(*io_, [this] { serve(); });
  }

  boost::asio::io_context* io_;
  std::shared_ptr<Service> service_;
  boost::asio::posix::stream_descriptor descriptor_;
};

context_service::context_service(boost::asio::execution_context& context)
    : boost::asio::execution_context::service(context) {}
context_service::~context_service() = default;

void context_service::attach(boost::asio::io_context& io, std::shared_ptr<Service> stack) {
  const std::scoped_lock lock(mutex_);
  watches_.emplace_back(io, std::move(stack));
  watching_ = false;
}

std::shared_ptr<Service> context_service::attached() {
  const std::scoped_lock lock(mutex_);
  return watches_.empty() ? nullptr : watches_.front().service();
}

void context_service::begin(pending& p) {
  p.op.context = &p;
  p.op.completed = [](Op& op) {
    auto* const done = static_cast<pending*>(op.context);
    done->context->completed(*done);
  };
  bool first = false;
  {
    const std::scoped_lock lock(mutex_);
    p.all_next = first_;
    if (first_ != nullptr) first_->all_previous = &p;
    first_ = &p;
    pending*& of_socket = p.socket->first;
    p.socket_next = of_socket;
    if (of_socket != nullptr) of_socket->socket_previous = &p;
    of_socket = &p;
    first = !std::exchange(watching_, true);
  }
  const std::shared_ptr<socket_state> socket = p.socket;  // p may be gone before start() returns
  if (first) start_watches();
  socket->service->start(p.op);
}

// Only now, while the operation counts as work: the watch itself must not be the last work of the io_context.
void context_service::start_watches() {
  std::list<watch>::iterator w;
  {
    const std::scoped_lock lock(mutex_);
    w = watches_.begin();
  }
  for (; w != watches_.end(); ++w) w->start();
}

void context_service::completed(pending& p) {
  {
    const std::scoped_lock lock(mutex_);
    p.complete = true;
    if (ending_) {
      quiet_.notify_all();
      return;
    }
    p.posted = true;
    ++posting_;
  }
  p.post();  // p may be gone
  const std::scoped_lock lock(mutex_);
  --posting_;
  if (ending_) quiet_.notify_all();
}

void context_service::end(pending& p) {
  std::unique_lock lock(mutex_);
  quiet_.wait(lock, [&] { return p.pins == 0; });
  (p.all_previous == nullptr ? first_ : p.all_previous->all_next) = p.all_next;
  if (p.all_next != nullptr) p.all_next->all_previous = p.all_previous;
  (p.socket_previous == nullptr ? p.socket->first : p.socket_previous->socket_next) = p.socket_next;
  if (p.socket_next != nullptr) p.socket_next->socket_previous = p.socket_previous;
}

// One at a time, and without the lock: cancelling completes operations, and completion takes it. What is pinned stays
// in the lists although its handler may have its turn meanwhile.
void context_service::cancel(socket_state& socket) {
  std::unique_lock lock(mutex_);
  for (pending* p = socket.first; p != nullptr; p = p->socket_next) {
    if (p->complete) continue;
    ++p->pins;
    lock.unlock();
    cancel(*p);
    lock.lock();
    if (--p->pins == 0) quiet_.notify_all();
  }
}

// The execution context ends, and no thread runs it. What is under way is cancelled and waited for; then no other
// thread knows this object. Handlers that are queued belong to their queue, which is about to destroy them.
void context_service::shutdown() {
  std::unique_lock lock(mutex_);
  ending_ = true;
  for (pending* p = first_; p != nullptr; p = p->all_next) {
    if (p->complete) continue;
    lock.unlock();
    cancel(*p);  // nothing leaves the list now
    lock.lock();
  }
  const auto all_complete = [&] {
    for (const pending* p = first_; p != nullptr; p = p->all_next)
      if (!p->complete) return false;
    return posting_ == 0;
  };
  quiet_.wait(lock, all_complete);
  for (pending* p = first_; p != nullptr;) {
    pending* const next = p->all_next;
    if (!p->posted) {
      lock.unlock();
      p->destroy();
      lock.lock();
    }
    p = next;
  }
  lock.unlock();
  watches_.clear();  // while the reactor is there
}

}  // namespace detail

void attach(boost::asio::io_context& io, std::shared_ptr<Service> service) {
  boost::asio::use_service<detail::context_service>(io).attach(io, std::move(service));
}

std::shared_ptr<Service> attached(boost::asio::execution_context& context) {
  return boost::asio::use_service<detail::context_service>(context).attached();
}

}  // namespace leat::asio
