#pragma once
// The POSIX calls as functions that set errno, over one Sockets that a program names once:
//
//   leat::posix::use(&net);
//   const int fd = leat::posix::socket(AF_INET, SOCK_STREAM, 0);
//   if (leat::posix::connect(fd, ...) < 0) perror("connect");
//
// Descriptors of the kernel's go to the kernel's own call, so that a program may call these for all of them. Without
// use(), and for what is not here, sockets are the kernel's. Threading: use() before other threads call; the rest: any.

#include <leat/api/posix/sockets.hpp>

namespace leat::posix {

// nullptr: none any more.
void use(Sockets* sockets);
[[nodiscard]] Sockets* in_use();

int socket(int domain, int type, int protocol);
int bind(int fd, const sockaddr* address, socklen_t length);
int listen(int fd, int backlog);
int accept(int fd, sockaddr* address, socklen_t* length);
int accept4(int fd, sockaddr* address, socklen_t* length, int flags);
int connect(int fd, const sockaddr* address, socklen_t length);
int getsockname(int fd, sockaddr* address, socklen_t* length);
int getpeername(int fd, sockaddr* address, socklen_t* length);
int shutdown(int fd, int how);
int close(int fd);
int dup(int fd);
int dup2(int from, int to);
int dup3(int from, int to, int flags);
int fcntl(int fd, int command, long argument = 0);
int ioctl(int fd, unsigned long request, void* argument);
ssize_t send(int fd, const void* data, size_t size, int flags);
ssize_t sendto(int fd, const void* data, size_t size, int flags, const sockaddr* to, socklen_t length);
ssize_t sendmsg(int fd, const msghdr* message, int flags);
int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags);
ssize_t recv(int fd, void* data, size_t size, int flags);
ssize_t recvfrom(int fd, void* data, size_t size, int flags, sockaddr* from, socklen_t* length);
ssize_t recvmsg(int fd, msghdr* message, int flags);
int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout);
ssize_t read(int fd, void* data, size_t size);
ssize_t write(int fd, const void* data, size_t size);
ssize_t readv(int fd, const iovec* parts, int count);
ssize_t writev(int fd, const iovec* parts, int count);
int getsockopt(int fd, int level, int name, void* value, socklen_t* length);
int setsockopt(int fd, int level, int name, const void* value, socklen_t length);
int poll(pollfd* fds, nfds_t count, int timeout_ms);
int ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask);
int select(int count, fd_set* readable, fd_set* writable, fd_set* exceptional, timeval* timeout);
int pselect(int count, fd_set* readable, fd_set* writable, fd_set* exceptional, const timespec* timeout,
            const sigset_t* mask);
int epoll_create(int size);
int epoll_create1(int flags);
int epoll_ctl(int set, int operation, int fd, epoll_event* event);
int epoll_wait(int set, epoll_event* events, int most, int timeout_ms);
int epoll_pwait(int set, epoll_event* events, int most, int timeout_ms, const sigset_t* mask);
int epoll_pwait2(int set, epoll_event* events, int most, const timespec* timeout, const sigset_t* mask);

}  // namespace leat::posix
