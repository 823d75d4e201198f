// Life of descriptors: made, duplicated, closed.

#include <fcntl.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cerrno>
#include <leat/api/posix/epoll_set.hpp>
#include <leat/api/posix/errors.hpp>
#include <leat/api/posix/fork_watch.hpp>
#include <leat/api/posix/signal_mask.hpp>
#include <leat/api/posix/sockets.hpp>

namespace leat::posix {

Sockets::Sockets(std::shared_ptr<Service> service, OwnerId owner)
    : service_(std::move(service)), owner_(owner), fork_generation_(fork_generation()) {}

Sockets::~Sockets() {
  const bool child = fork_generation_ != fork_generation();
  table_.for_each([this, child](int fd) {
    if (child) {
      (void)close(fd);
      return;
    }
    std::unique_lock lock(mutex_);
    // As of a process that ends: nobody lingers. A number that was closed past us is somebody else's by now.
    if (OpenFile* const open = table_.take(fd, !table_.still_reserved(fd))) (void)end_file(*open, lock, false);
  });
}

bool Sockets::find(int fd, File& file) const {
  return table_.find(fd, file) && fork_generation_ == fork_generation();
}

// Of a kernel descriptor too Linux says that it is no socket.
int Sockets::find_socket(int fd, File& file) const {
  if (!find(fd, file)) {
    const bool kernels = !owns(fd) && fd >= 0 && !Descriptors::stands_in(fd) && ::fcntl(fd, F_GETFD) >= 0;
    return kernels ? -ENOTSOCK : -EBADF;
  }
  return file.has(kSet) ? -ENOTSOCK : 0;
}

Handle Sockets::handle(int fd) const {
  File f;
  return find(fd, f) ? f.handle : Handle{};
}

void Sockets::run_through(Op& op) {
  do service_->run(op);
  while (op.error == Errc::interrupted);
}

void Sockets::run_waiting(Op& op) {
  do service_->run(op);
  while (op.error == Errc::interrupted && op.deadline.is_never() && handlers_restart());
}

bool Sockets::waits(const File& f, int flags) const {
  return !f.has(kNonBlocking) && (flags & MSG_DONTWAIT) == 0;
}

Instant Sockets::deadline_after(std::int64_t timeout_ns) const {
  return timeout_ns == 0 ? Instant::never() : service_->now() + Duration::ns(timeout_ns);
}

// A deadline of ours and a connection that timed out are told apart by the clock.
int Sockets::failed(int fd, const File& f, const Op& op) const {
  if (op.error == Errc::timed_out && !op.deadline.is_never() && service_->now() >= op.deadline) return -EAGAIN;
  // The socket behind the descriptor ended: closed, or exchanged for a fresh one.
  if (op.error == Errc::bad_handle && table_.still(fd, f)) return -EINVAL;
  return negative(op.error);
}

// --- making ----------------------------------------------------------------------------------------------------------

namespace {

// Which kind of socket the three numbers mean; a negative errno value.
int kind_of(int domain, int type, int& protocol, SocketKind& kind) {
  const bool v6 = domain == AF_INET6;
  const int icmp = v6 ? int{IPPROTO_ICMPV6} : int{IPPROTO_ICMP};
  if (protocol < 0 || protocol > 255) return -EINVAL;
  switch (type) {
    case SOCK_STREAM:
      if (protocol != 0 && protocol != IPPROTO_TCP) return -EPROTONOSUPPORT;
      kind = SocketKind::stream;
      protocol = IPPROTO_TCP;
      return 0;
    case SOCK_DGRAM:
      if (protocol == icmp) {
        kind = SocketKind::icmp;
        return 0;
      }
      if (protocol != 0 && protocol != IPPROTO_UDP) return -EPROTONOSUPPORT;
      kind = SocketKind::udp;
      protocol = IPPROTO_UDP;
      return 0;
    case SOCK_RAW:
      if (protocol == 0) return -EPROTONOSUPPORT;
      kind = SocketKind::raw;
      return 0;
    default:
      return type >= 0 && type <= 10 ? -ESOCKTNOSUPPORT : -EINVAL;
  }
}

}  // namespace

int Sockets::socket(int domain, int type, int protocol) {
  if (fork_generation_ != fork_generation()) return -EBADF;
  const int type_flags = type & ~0xf;
  if ((type_flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != 0) return -EINVAL;
  if (domain != AF_INET && domain != AF_INET6) return -EAFNOSUPPORT;
  SocketKind kind = SocketKind::none;
  if (const int bad = kind_of(domain, type & 0xf, protocol, kind); bad != 0) return bad;
  const int number = table_.reserve();
  if (number < 0) return number;
  Op op;
  // IPPROTO_RAW sends headers of the caller's making and receives nothing: there is no such protocol on the wire.
  op.open(kind, domain == AF_INET6 ? IpVersion::v6 : IpVersion::v4, static_cast<std::uint8_t>(protocol));
  op.owner = owner_;
  run_through(op);
  if (op.error != Errc{}) {
    ::close(number);
    return op.error == Errc::no_memory ? -ENFILE : op.error == Errc::not_supported ? -EAFNOSUPPORT : negative(op.error);
  }
  std::uint32_t flags = domain == AF_INET6 ? std::uint32_t{kV6} : 0U;
  if ((type_flags & SOCK_NONBLOCK) != 0) flags |= kNonBlocking;
  if (protocol == IPPROTO_RAW && kind == SocketKind::raw) {
    const Handle raw = op.handle;
    op.reset();
    op.set_option(raw, OptionId::ip_header_included, 1);
    run_through(op);
    op.handle = raw;
  }
  return name_new(op.handle, flags, Phase::fresh, protocol, number, (type_flags & SOCK_CLOEXEC) != 0);
}

// The kernel gave us a number that still names something here: it was closed past us, by close(2). What it named ends.
void Sockets::end_leftover(int number) {
  std::unique_lock lock(mutex_);
  if (OpenFile* const open = table_.take(number, true)) (void)end_file(*open, lock, false);
}

int Sockets::name_new(Handle h, std::uint32_t flags, Phase phase, int protocol, int number, bool close_on_exec) {
  if (owns(number)) end_leftover(number);
  const std::lock_guard lock(mutex_);
  OpenFile* const open = table_.make();
  if (open == nullptr) {
    ::close(number);
    Op op;
    op.abort(h);
    run_through(op);
    return -ENFILE;
  }
  open->handle.store(h.bits(), std::memory_order_relaxed);
  open->flags.store(flags, std::memory_order_relaxed);
  open->phase.store(phase, std::memory_order_relaxed);
  open->protocol.store(static_cast<std::uint8_t>(protocol), std::memory_order_relaxed);
  table_.put(number, *open, close_on_exec);
  return number;
}

// --- closing ---------------------------------------------------------------------------------------------------------

int Sockets::close(int fd) {
  if (fork_generation_ != fork_generation()) {  // a child: only its number goes
    if (!table_.forget(fd)) return -EBADF;
    return ::close(fd) == 0 ? 0 : -errno;
  }
  std::unique_lock lock(mutex_);
  OpenFile* const open = table_.take(fd);
  if (open == nullptr) return -EBADF;
  return end_file(*open, lock);
}

// When that was its last descriptor. Whoever blocks in it is sent home with EBADF.
int Sockets::end_file(OpenFile& open, std::unique_lock<std::mutex>& lock, bool may_linger) {
  if (open.descriptors > 0) return 0;
  leave_sets(open);
  const std::shared_ptr<EpollSet> set = std::move(open.set);
  const Handle h = Handle::from_bits(open.handle.load(std::memory_order_relaxed));
  table_.free(open);
  lock.unlock();
  Op op;
  if (set != nullptr) {
    op.verb = Verb::close_set;
    op.set = &set->ready;
    run_through(op);
    lock.lock();  // a member that is closed just now leaves the set
    set->members.clear();
    return 0;
  }
  op.close(h);
  op.flags.dont_wait = !may_linger;  // O_NONBLOCK does not count here, as on Linux
  run_through(op);
  // The descriptor is gone in any case. That the stack is gone too is worth telling; that the socket had ended is not.
  return op.error == Errc::shut_down ? -ENETDOWN : 0;
}

// --- duplicating -----------------------------------------------------------------------------------------------------

int Sockets::dup(int fd) {
  return fcntl(fd, F_DUPFD, 0);
}

int Sockets::dup2(int from, int to) {
  File f;
  if (from == to && find(from, f)) return to;
  return dup3(from, to, 0);
}

int Sockets::dup3(int from, int to, int flags) {
  if ((flags & ~O_CLOEXEC) != 0 || from == to) return -EINVAL;
  if (fork_generation_ != fork_generation()) return -EBADF;
  std::unique_lock lock(mutex_);
  File f;
  const bool ours = find(from, f);
  if (!ours && (from < 0 || ::fcntl(from, F_GETFD) < 0)) return -EBADF;
  // The kernel's descriptor is exchanged in one step, so that nobody else gets the number between.
  if (!ours || f.has(kSet)) {
    if (const int r = ::dup3(from, to, flags); r < 0) return -errno;
  } else {
    if (const int r = table_.replace_number(to); r < 0) return r;
  }
  OpenFile* const replaced = owns(to) ? table_.take(to, true) : nullptr;
  if (ours) table_.put(to, *f.open, (flags & O_CLOEXEC) != 0);
  if (replaced != nullptr) (void)end_file(*replaced, lock);
  return to;
}

int Sockets::fcntl(int fd, int command, long argument) {
  File f;
  if (!find(fd, f)) return -EBADF;
  switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC: {
      if (argument < 0 || argument >= Descriptors::kMost) return -EINVAL;
      std::unique_lock lock(mutex_);
      if (!find(fd, f)) return -EBADF;
      const int least = static_cast<int>(argument);
      const int number = f.has(kSet) ? ::fcntl(fd, F_DUPFD_CLOEXEC, least) : table_.reserve(least);
      if (number < 0) return f.has(kSet) ? -errno : number;
      OpenFile* const leftover = table_.take(number, true);
      table_.put(number, *f.open, command == F_DUPFD_CLOEXEC);
      if (leftover != nullptr) (void)end_file(*leftover, lock, false);
      return number;
    }
    case F_GETFD:
      return table_.close_on_exec(fd) ? FD_CLOEXEC : 0;
    case F_SETFD: {
      const std::lock_guard lock(mutex_);
      table_.set_close_on_exec(fd, (argument & FD_CLOEXEC) != 0);
      return 0;
    }
    case F_GETFL:
      return O_RDWR | (f.has(kNonBlocking) ? O_NONBLOCK : 0);
    case F_SETFL:
      f.open->put(kNonBlocking, (argument & O_NONBLOCK) != 0);
      return 0;
    case F_GETOWN:
    case F_SETOWN:
      return 0;
    default:
      return -EINVAL;
  }
}

}  // namespace leat::posix
