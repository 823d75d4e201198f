#ifndef LEAT_C_LEAT_H
#define LEAT_C_LEAT_H
/*
 * Leat's C interface: a stack of this process, and BSD sockets on it.
 *
 *   leat_options options = LEAT_OPTIONS_INIT;
 *   leat_stack *stack;
 *   const char *addresses[] = {"10.9.0.2/24", "fd09::2/64"};
 *   if (leat_create(&options, &stack) < 0 || leat_open_tap(stack, "leat0", addresses, 2) < 0) ...
 *   int fd = leat_socket(stack, AF_INET6, SOCK_STREAM, 0);
 *   if (leat_bind(stack, fd, ...) < 0 || leat_listen(stack, fd, 128) < 0) ...
 *
 * Errors: every function answers zero or more, or minus an errno value as Linux gives it for the call of the same name;
 * leat_strerror() puts it in words. errno itself is left alone. Pointers that must not be null are checked: a null
 * stack is -EINVAL, a null name, string or struct of this interface too; a null pointer of a socket call is -EFAULT
 * wherever Linux has that.
 *
 * Structs begin with `size`: the caller's sizeof. A newer library takes an older struct and gives what fits into it, so
 * programs need not be compiled again; members are only added at the end. What may change at all is what
 * LEAT_VERSION_MAJOR says.
 *
 * Descriptors are numbers that the kernel reserved for the stack: they never collide with its own, and leat_poll,
 * leat_select and leat_epoll_wait take both kinds. Ownership: leat_create gives a stack that leat_destroy takes; spans
 * and structs belong to the caller, during the call only. Threading: every function from any thread, but leat_destroy:
 * every other call on the stack must have returned before it begins, those that wait too, and none may follow. After
 * fork() the child's calls fail.
 */

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LEAT_VERSION_MAJOR 0
#define LEAT_VERSION_MINOR 1
#define LEAT_VERSION_PATCH 0
#define LEAT_API __attribute__((visibility("default")))

typedef struct leat_stack leat_stack;

/* The library's version: major << 16 | minor << 8 | patch. */
LEAT_API uint32_t leat_version(void);
/* A sentence for an answer below zero, never null, valid for ever. */
LEAT_API const char* leat_strerror(int answer);

/* --- the stack ------------------------------------------------------------------------------------------------- */

enum leat_wait {
  LEAT_WAIT_ADAPTIVE = 0, /* spins for 50 us as long as that has been winning, then sleeps */
  LEAT_WAIT_SLEEP = 1,    /* uses no CPU while it waits */
  LEAT_WAIT_SPIN = 2      /* for threads that have a CPU of their own */
};

typedef struct leat_options {
  uint32_t size;          /* sizeof(leat_options) */
  uint32_t connections;   /* room for so many (4096) */
  uint64_t packet_memory; /* bytes, when all of it is in use (128 MiB) */
  uint32_t interfaces;    /* at most (4) */
  uint32_t wait;          /* enum leat_wait */
  uint32_t no_janitor;    /* 1: no thread of the stack's own; time passes only inside calls */
  uint32_t reserved;      /* 0 */
} leat_options;
#define LEAT_OPTIONS_INIT \
  { sizeof(leat_options), 4096, UINT64_C(134217728), 4, LEAT_WAIT_ADAPTIVE, 0, 0 }

/* `options` may be null: the defaults. -EINVAL: a value is out of range; -ENOMEM: no address space, no thread. */
LEAT_API int leat_create(const leat_options* options, leat_stack** stack);
/* Closes all descriptors, without lingering, and ends every connection, of which the peers are told. No other call may
 * be under way: who waits in one must be woken first (leat_shutdown, leat_close of the descriptor). Null is allowed. */
LEAT_API void leat_destroy(leat_stack* stack);

/* Opens a TAP and gives the stack these addresses ("10.9.0.2/24"). Answers the interface's number. -EPERM, -ENOENT (no
 * TUN node), -EADDRINUSE (the name is another program's), -EINVAL. */
LEAT_API int leat_open_tap(leat_stack* stack, const char* name, const char* const* addresses, size_t count);
/* A wire in shared memory to another program of the same user that says the same name. */
LEAT_API int leat_open_shm(leat_stack* stack, const char* name, const char* const* addresses, size_t count);
/* A wire in memory between two stacks of this process. Both answer as leat_open_tap; the first one's number is given.
 */
LEAT_API int leat_join(leat_stack* a, const char* const* addresses_a, size_t count_a, leat_stack* b,
                       const char* const* addresses_b, size_t count_b);

LEAT_API int leat_add_address(leat_stack* stack, int interface, const char* address);
LEAT_API int leat_remove_address(leat_stack* stack, int interface, const char* address);
/* `destination` as "0.0.0.0/0"; `gateway` null: on-link, then `interface` must be given, otherwise it may be 0. */
LEAT_API int leat_add_route(leat_stack* stack, const char* destination, const char* gateway, int interface);
LEAT_API int leat_remove_route(leat_stack* stack, const char* destination, const char* gateway);
/* Options of the stack by the names of `leat up --option list`. Values: yes or no are 1 and 0, times are microseconds,
 * sizes are octets, all else is a number as that list explains it. -ENOENT: no such name; -EINVAL: out of range. */
LEAT_API int leat_set_option(leat_stack* stack, const char* name, int64_t value);
LEAT_API int leat_get_option(leat_stack* stack, const char* name, int64_t* value);
/* A counter or a reason of drops by its name ("udp_received", "no_route" ...). -ENOENT: no such name. */
LEAT_API int leat_get_counter(leat_stack* stack, const char* name, uint64_t* value);

/* For programs with an event loop of their own: a descriptor that is readable when leat_turn() has something to do. It
 * belongs to the stack. From now on the program watches the devices whenever it sleeps. */
LEAT_API int leat_pollable_fd(leat_stack* stack);
/* The program does so no more: its loop has ended, and threads that wait in calls, or the stack's own, watch again.
 * leat_pollable_fd() may follow. */
LEAT_API int leat_release_pollable_fd(leat_stack* stack);
/* One turn of the stack. Answers after how many milliseconds it wants to be called again at the latest; -1: only when
 * the descriptor is readable. */
LEAT_API int leat_turn(leat_stack* stack);

/* --- sockets: what the call of the name does on Linux ----------------------------------------------------------------
 */

/* 1: the number is a descriptor of this stack. */
LEAT_API int leat_owns(leat_stack* stack, int fd);
LEAT_API int leat_socket(leat_stack* stack, int domain, int type, int protocol);
LEAT_API int leat_close(leat_stack* stack, int fd);
LEAT_API int leat_dup(leat_stack* stack, int fd);
LEAT_API int leat_dup3(leat_stack* stack, int from, int to, int flags);
LEAT_API int leat_fcntl(leat_stack* stack, int fd, int command, long argument);
LEAT_API int leat_ioctl(leat_stack* stack, int fd, unsigned long request, void* argument);
LEAT_API int leat_bind(leat_stack* stack, int fd, const struct sockaddr* address, socklen_t length);
LEAT_API int leat_listen(leat_stack* stack, int fd, int backlog);
LEAT_API int leat_accept(leat_stack* stack, int fd, struct sockaddr* address, socklen_t* length, int flags);
LEAT_API int leat_connect(leat_stack* stack, int fd, const struct sockaddr* address, socklen_t length);
LEAT_API int leat_getsockname(leat_stack* stack, int fd, struct sockaddr* address, socklen_t* length);
LEAT_API int leat_getpeername(leat_stack* stack, int fd, struct sockaddr* address, socklen_t* length);
LEAT_API int leat_shutdown(leat_stack* stack, int fd, int how);
LEAT_API ssize_t leat_send(leat_stack* stack, int fd, const void* data, size_t size, int flags);
LEAT_API ssize_t leat_sendto(leat_stack* stack, int fd, const void* data, size_t size, int flags,
                             const struct sockaddr* to, socklen_t length);
LEAT_API ssize_t leat_sendmsg(leat_stack* stack, int fd, const struct msghdr* message, int flags);
LEAT_API ssize_t leat_recv(leat_stack* stack, int fd, void* data, size_t size, int flags);
LEAT_API ssize_t leat_recvfrom(leat_stack* stack, int fd, void* data, size_t size, int flags, struct sockaddr* from,
                               socklen_t* length);
LEAT_API ssize_t leat_recvmsg(leat_stack* stack, int fd, struct msghdr* message, int flags);
LEAT_API ssize_t leat_read(leat_stack* stack, int fd, void* data, size_t size);
LEAT_API ssize_t leat_write(leat_stack* stack, int fd, const void* data, size_t size);
LEAT_API ssize_t leat_readv(leat_stack* stack, int fd, const struct iovec* parts, int count);
LEAT_API ssize_t leat_writev(leat_stack* stack, int fd, const struct iovec* parts, int count);
LEAT_API int leat_getsockopt(leat_stack* stack, int fd, int level, int name, void* value, socklen_t* length);
LEAT_API int leat_setsockopt(leat_stack* stack, int fd, int level, int name, const void* value, socklen_t length);
LEAT_API int leat_poll(leat_stack* stack, struct pollfd* fds, nfds_t count, int timeout_ms);
LEAT_API int leat_select(leat_stack* stack, int count, fd_set* readable, fd_set* writable, fd_set* exceptional,
                         struct timeval* timeout);
LEAT_API int leat_epoll_create(leat_stack* stack, int flags);
LEAT_API int leat_epoll_ctl(leat_stack* stack, int set, int operation, int fd, struct epoll_event* event);
LEAT_API int leat_epoll_wait(leat_stack* stack, int set, struct epoll_event* events, int most, int timeout_ms);

/* What is known of a TCP connection, beside TCP_INFO in Linux's layout (leat_getsockopt). */
typedef struct leat_tcp_info {
  uint32_t size;  /* sizeof(leat_tcp_info); the answer: how much of it was filled */
  uint32_t state; /* RFC 9293 3.3.2, CLOSED 0 to TIME-WAIT 10 */
  uint32_t rto_us, srtt_us, rttvar_us, min_rtt_us;
  uint32_t snd_mss, rcv_mss, pmtu;
  uint32_t cwnd, ssthresh;            /* octets */
  uint32_t snd_wnd, rcv_wnd;          /* octets */
  uint32_t in_flight, lost;           /* octets */
  uint32_t send_queue, receive_queue; /* octets */
  uint32_t retransmits;               /* segments */
  uint64_t bytes_acked, bytes_received;
} leat_tcp_info;
LEAT_API int leat_get_tcp_info(leat_stack* stack, int fd, leat_tcp_info* info);

#ifdef __cplusplus
}
#endif
#endif
