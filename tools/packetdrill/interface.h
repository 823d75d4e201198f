#pragma once
// What packetdrill asks of a stack that it loads from a shared object (--so_filename): a table of functions, in this
// order, each with the user data first and then what the POSIX call of the name takes. Functions answer -1 and set
// errno. The names and the order are packetdrill's.

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

extern "C" {

struct packetdrill_interface {  // NOLINT(readability-identifier-naming)
  void* userdata;
  void (*free)(void* userdata);
  int (*socket)(void* userdata, int domain, int type, int protocol);
  int (*bind)(void* userdata, int fd, const struct sockaddr* address, socklen_t length);
  int (*listen)(void* userdata, int fd, int backlog);
  int (*accept)(void* userdata, int fd, struct sockaddr* address, socklen_t* length);
  int (*connect)(void* userdata, int fd, const struct sockaddr* address, socklen_t length);
  ssize_t (*read)(void* userdata, int fd, void* buffer, size_t count);
  ssize_t (*readv)(void* userdata, int fd, const struct iovec* parts, int count);
  ssize_t (*recv)(void* userdata, int fd, void* buffer, size_t count, int flags);
  ssize_t (*recvfrom)(void* userdata, int fd, void* buffer, size_t count, int flags, struct sockaddr* from,
                      socklen_t* length);
  ssize_t (*recvmsg)(void* userdata, int fd, struct msghdr* message, int flags);
  ssize_t (*write)(void* userdata, int fd, const void* buffer, size_t count);
  ssize_t (*writev)(void* userdata, int fd, const struct iovec* parts, int count);
  ssize_t (*send)(void* userdata, int fd, const void* buffer, size_t count, int flags);
  ssize_t (*sendto)(void* userdata, int fd, const void* buffer, size_t count, int flags, const struct sockaddr* to,
                    socklen_t length);
  ssize_t (*sendmsg)(void* userdata, int fd, const struct msghdr* message, int flags);
  int (*fcntl)(void* userdata, int fd, int command, ...);
  int (*ioctl)(void* userdata, int fd, unsigned long request, ...);
  int (*close)(void* userdata, int fd);
  int (*shutdown)(void* userdata, int fd, int how);
  int (*getsockopt)(void* userdata, int fd, int level, int name, void* value, socklen_t* length);
  int (*setsockopt)(void* userdata, int fd, int level, int name, const void* value, socklen_t length);
  int (*poll)(void* userdata, struct pollfd* fds, nfds_t count, int timeout_ms);
  int (*netdev_send)(void* userdata, const void* packet, size_t count);
  int (*netdev_receive)(void* userdata, void* buffer, size_t* count, long long* time_usecs);
  int (*usleep)(void* userdata, useconds_t usecs);
  int (*gettimeofday)(void* userdata, struct timeval* to, struct timezone* zone);
  int (*epoll_create)(void* userdata, int size);
  int (*epoll_ctl)(void* userdata, int set, int operation, int fd, struct epoll_event* event);
  int (*epoll_wait)(void* userdata, int set, struct epoll_event* events, int most, int timeout_ms);
  int (*pipe)(void* userdata, int fds[2]);
  ssize_t (*splice)(void* userdata, int from, off64_t* from_offset, int to, off64_t* to_offset, size_t count,
                    unsigned flags);
};

__attribute__((visibility("default"))) void packetdrill_interface_init(const char* flags,
                                                                       struct packetdrill_interface* interface);
}
