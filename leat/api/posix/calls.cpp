#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <leat/api/posix/calls.hpp>

namespace leat::posix {
namespace {

// Written by use(), before other threads call; read by every call. Acquire, release: what it points at is complete.
std::atomic<Sockets*> current{nullptr};

template <class T>
T as_call(T result) {
  if (result >= 0) return result;
  errno = static_cast<int>(-result);
  return -1;
}

// The call of ours for a descriptor of ours, the kernel's for all others.
template <class Ours, class Kernels, class... Args>
auto either(Ours ours, Kernels kernels, int fd, Args... args) {
  Sockets* const s = in_use();
  return s != nullptr && s->owns(fd) ? as_call((s->*ours)(fd, args...)) : kernels(fd, args...);
}

}  // namespace

void use(Sockets* sockets) {
  current.store(sockets, std::memory_order_release);
}
Sockets* in_use() {
  return current.load(std::memory_order_acquire);
}

int socket(int domain, int type, int protocol) {
  Sockets* const s = in_use();
  if (s == nullptr || (domain != AF_INET && domain != AF_INET6)) return ::socket(domain, type, protocol);
  return as_call(s->socket(domain, type, protocol));
}
int epoll_create1(int flags) {
  Sockets* const s = in_use();
  return s == nullptr ? ::epoll_create1(flags) : as_call(s->epoll_create1(flags));
}
int epoll_create(int size) {
  Sockets* const s = in_use();
  return s == nullptr ? ::epoll_create(size) : as_call(s->epoll_create(size));
}
// These two take descriptors of both kinds themselves.
int poll(pollfd* fds, nfds_t count, int timeout_ms) {
  Sockets* const s = in_use();
  return s == nullptr ? ::poll(fds, count, timeout_ms) : as_call(s->poll(fds, count, timeout_ms));
}
int ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  Sockets* const s = in_use();
  return s == nullptr ? ::ppoll(fds, count, timeout, mask) : as_call(s->ppoll(fds, count, timeout, mask));
}
int select(int count, fd_set* readable, fd_set* writable, fd_set* exceptional, timeval* timeout) {
  Sockets* const s = in_use();
  return s == nullptr ? ::select(count, readable, writable, exceptional, timeout)
                      : as_call(s->select(count, readable, writable, exceptional, timeout));
}
int pselect(int count, fd_set* readable, fd_set* writable, fd_set* exceptional, const timespec* timeout,
            const sigset_t* mask) {
  Sockets* const s = in_use();
  return s == nullptr ? ::pselect(count, readable, writable, exceptional, timeout, mask)
                      : as_call(s->pselect(count, readable, writable, exceptional, timeout, mask));
}
int dup2(int from, int to) {
  Sockets* const s = in_use();
  return s != nullptr && (s->owns(from) || s->owns(to)) ? as_call(s->dup2(from, to)) : ::dup2(from, to);
}
int dup3(int from, int to, int flags) {
  Sockets* const s = in_use();
  return s != nullptr && (s->owns(from) || s->owns(to)) ? as_call(s->dup3(from, to, flags)) : ::dup3(from, to, flags);
}

int bind(int fd, const sockaddr* address, socklen_t length) {
  return either(&Sockets::bind, ::bind, fd, address, length);
}
int listen(int fd, int backlog) {
  return either(&Sockets::listen, ::listen, fd, backlog);
}
int accept(int fd, sockaddr* address, socklen_t* length) {
  return either(&Sockets::accept, ::accept, fd, address, length);
}
int accept4(int fd, sockaddr* address, socklen_t* length, int flags) {
  return either(&Sockets::accept4, ::accept4, fd, address, length, flags);
}
int connect(int fd, const sockaddr* address, socklen_t length) {
  return either(&Sockets::connect, ::connect, fd, address, length);
}
int getsockname(int fd, sockaddr* address, socklen_t* length) {
  return either(&Sockets::getsockname, ::getsockname, fd, address, length);
}
int getpeername(int fd, sockaddr* address, socklen_t* length) {
  return either(&Sockets::getpeername, ::getpeername, fd, address, length);
}
int shutdown(int fd, int how) {
  return either(&Sockets::shutdown, ::shutdown, fd, how);
}
int close(int fd) {
  return either(&Sockets::close, ::close, fd);
}
int dup(int fd) {
  return either(&Sockets::dup, ::dup, fd);
}
int fcntl(int fd, int command, long argument) {
  return either(&Sockets::fcntl, ::fcntl, fd, command, argument);
}
int ioctl(int fd, unsigned long request, void* argument) {
  return either(&Sockets::ioctl, ::ioctl, fd, request, argument);
}
ssize_t send(int fd, const void* data, size_t size, int flags) {
  return either(&Sockets::send, ::send, fd, data, size, flags);
}
ssize_t sendto(int fd, const void* data, size_t size, int flags, const sockaddr* to, socklen_t length) {
  return either(&Sockets::sendto, ::sendto, fd, data, size, flags, to, length);
}
ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  return either(&Sockets::sendmsg, ::sendmsg, fd, message, flags);
}
int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  return either(&Sockets::sendmmsg, ::sendmmsg, fd, messages, count, flags);
}
ssize_t recv(int fd, void* data, size_t size, int flags) {
  return either(&Sockets::recv, ::recv, fd, data, size, flags);
}
ssize_t recvfrom(int fd, void* data, size_t size, int flags, sockaddr* from, socklen_t* length) {
  return either(&Sockets::recvfrom, ::recvfrom, fd, data, size, flags, from, length);
}
ssize_t recvmsg(int fd, msghdr* message, int flags) {
  return either(&Sockets::recvmsg, ::recvmsg, fd, message, flags);
}
int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
  return either(&Sockets::recvmmsg, ::recvmmsg, fd, messages, count, flags, timeout);
}
ssize_t read(int fd, void* data, size_t size) {
  return either(&Sockets::read, ::read, fd, data, size);
}
ssize_t write(int fd, const void* data, size_t size) {
  return either(&Sockets::write, ::write, fd, data, size);
}
ssize_t readv(int fd, const iovec* parts, int count) {
  return either(&Sockets::readv, ::readv, fd, parts, count);
}
ssize_t writev(int fd, const iovec* parts, int count) {
  return either(&Sockets::writev, ::writev, fd, parts, count);
}
int getsockopt(int fd, int level, int name, void* value, socklen_t* length) {
  return either(&Sockets::getsockopt, ::getsockopt, fd, level, name, value, length);
}
int setsockopt(int fd, int level, int name, const void* value, socklen_t length) {
  return either(&Sockets::setsockopt, ::setsockopt, fd, level, name, value, length);
}
int epoll_ctl(int set, int operation, int fd, epoll_event* event) {
  return either(&Sockets::epoll_ctl, ::epoll_ctl, set, operation, fd, event);
}
int epoll_wait(int set, epoll_event* events, int most, int timeout_ms) {
  return either(&Sockets::epoll_wait, ::epoll_wait, set, events, most, timeout_ms);
}
int epoll_pwait(int set, epoll_event* events, int most, int timeout_ms, const sigset_t* mask) {
  return either(&Sockets::epoll_pwait, ::epoll_pwait, set, events, most, timeout_ms, mask);
}
int epoll_pwait2(int set, epoll_event* events, int most, const timespec* timeout, const sigset_t* mask) {
  return either(&Sockets::epoll_pwait2, ::epoll_pwait2, set, events, most, timeout, mask);
}

}  // namespace leat::posix
