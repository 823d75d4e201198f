#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <leat/api/posix/epoll_set.hpp>

namespace leat::posix {

EpollSet::~EpollSet() {
  if (const int fd = event_fd_.load(std::memory_order_relaxed); fd >= 0) ::close(fd);
  ::close(kernel_fd);
}

int EpollSet::export_readiness(Service& service) {
  {
    const std::lock_guard lock(export_mutex_);
    if (exported()) return 0;
    const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) return -errno;
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.u64 = kOwnEvent;
    if (::epoll_ctl(kernel_fd, EPOLL_CTL_ADD, fd, &e) != 0) {
      const int error = errno;
      ::close(fd);
      return -error;
    }
    event_fd_.store(fd, std::memory_order_release);
  }
  look_again(service);
  return 0;
}

void EpollSet::wake(Service& service) {
  Op op;
  op.verb = Verb::wake_set;
  op.set = &ready;
  op.value = news.fetch_add(1, std::memory_order_acq_rel) + 1;
  do service.run(op);
  while (op.error == Errc::interrupted);
}

void EpollSet::look_again(Service& service) {
  if (!exported()) return;
  const std::lock_guard lock(export_mutex_);
  if (waiting_.load(std::memory_order_acquire)) return;
  std::uint64_t drained = 0;
  [[maybe_unused]] const auto n = ::read(event_fd_.load(std::memory_order_relaxed), &drained, sizeof drained);
  arm(service);
}

// The operation takes nothing: it completes when there is something to take.
void EpollSet::arm(Service& service) {
  waiting_.store(true, std::memory_order_relaxed);
  self_ = shared_from_this();
  wait_.completed = [](Op& op) {
    auto& set = *static_cast<EpollSet*>(op.context);
    const std::shared_ptr<EpollSet> alive = std::move(set.self_);  // what follows may be its end
    if (op.error == Errc{}) {
      const std::uint64_t one = 1;
      [[maybe_unused]] const auto n = ::write(set.event_fd_.load(std::memory_order_relaxed), &one, sizeof one);
    }
    set.waiting_.store(false, std::memory_order_release);
  };
  wait_.context = this;
  wait_.reset();
  wait_.verb = Verb::wait_set;
  wait_.set = &ready;
  service.start(wait_);
}

Ready wanted_of(std::uint32_t events) {
  Ready r = Ready::none;
  if ((events & (EPOLLIN | EPOLLRDNORM)) != 0) r |= Ready::readable;
  if ((events & (EPOLLOUT | EPOLLWRNORM)) != 0) r |= Ready::writable;
  if ((events & EPOLLRDHUP) != 0) r |= Ready::peer_fin;
  return r;
}

std::uint32_t events_of(Ready ready, std::uint32_t asked) {
  std::uint32_t e = 0;
  if (any(ready & Ready::readable)) e |= EPOLLIN | EPOLLRDNORM;
  if (any(ready & Ready::writable)) e |= EPOLLOUT | EPOLLWRNORM;
  if (any(ready & Ready::peer_fin)) e |= EPOLLRDHUP;
  if (any(ready & (Ready::closed | Ready::hung_up)))
    e |= EPOLLHUP | EPOLLRDHUP | EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM;
  if (any(ready & Ready::unconnected)) e |= EPOLLHUP | EPOLLOUT | EPOLLWRNORM;  // to be written to in vain
  if (any(ready & Ready::error)) e |= EPOLLERR;
  return e & (asked | EPOLLERR | EPOLLHUP);
}

}  // namespace leat::posix
