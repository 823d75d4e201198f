#pragma once
// Sockets: BSD sockets on a stack, for any program or harness that knows the POSIX calls. Every method does what the
// call of its name does on Linux and answers what that would answer: zero or more, or minus an errno value. calls.hpp
// has functions that set errno instead.
//
//   leat::posix::Sockets net(stack);                                  // a shared_ptr<Service>
//   const int fd = net.socket(AF_INET, SOCK_STREAM, 0);
//   if (net.connect(fd, &address, sizeof address) == 0) net.send(fd, "GET /\r\n", 7, 0);
//
// Descriptors are numbers that the kernel reserved for us, so they never collide with its own; poll, select and epoll
// take both kinds in one call. dup() shares an open file description, as ever. After fork() every call of the child's
// fails (EBADF) but close(), which gives its number back; the parent is unaffected. When the stack ends, calls fail
// with ENETDOWN. A descriptor that is closed while another thread blocks in it ends that call with EBADF.
//
// What differs from Linux stands in docs/posix.md. Threading: any thread, any call. Calls that make, end or duplicate
// descriptors and epoll_ctl share one mutex; all others take no lock here.

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <leat/api/posix/descriptors.hpp>
#include <leat/op/control.hpp>
#include <leat/op/service.hpp>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

namespace leat::posix {

struct GivenAddress;
class Lent;
class OwnedBuffer;

class Sockets {
 public:
  explicit Sockets(std::shared_ptr<Service> service, OwnerId owner = 0);
  // Closes what is open. No call may be under way.
  ~Sockets();
  Sockets(const Sockets&) = delete;
  Sockets& operator=(const Sockets&) = delete;

  // Is the number a descriptor of ours? What it names: for other skins.
  [[nodiscard]] bool owns(int fd) const { return table_.owns(fd); }
  [[nodiscard]] Handle handle(int fd) const;
  [[nodiscard]] Service& service() { return *service_; }

  // --- life ---
  int socket(int domain, int type, int protocol);
  int close(int fd);
  int dup(int fd);
  int dup2(int from, int to);  // either may be the kernel's
  int dup3(int from, int to, int flags);
  int fcntl(int fd, int command, long argument = 0);
  int ioctl(int fd, unsigned long request, void* argument);

  // --- names and connections ---
  int bind(int fd, const sockaddr* address, socklen_t length);
  int listen(int fd, int backlog);
  int accept(int fd, sockaddr* address, socklen_t* length) { return accept4(fd, address, length, 0); }
  int accept4(int fd, sockaddr* address, socklen_t* length, int flags);
  int connect(int fd, const sockaddr* address, socklen_t length);
  int getsockname(int fd, sockaddr* address, socklen_t* length);
  int getpeername(int fd, sockaddr* address, socklen_t* length);
  int shutdown(int fd, int how);

  // --- data ---
  ssize_t send(int fd, const void* data, size_t size, int flags) { return sendto(fd, data, size, flags, nullptr, 0); }
  ssize_t sendto(int fd, const void* data, size_t size, int flags, const sockaddr* to, socklen_t length);
  ssize_t sendmsg(int fd, const msghdr* message, int flags);
  int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags);
  ssize_t recv(int fd, void* data, size_t size, int flags) { return recvfrom(fd, data, size, flags, nullptr, nullptr); }
  ssize_t recvfrom(int fd, void* data, size_t size, int flags, sockaddr* from, socklen_t* length);
  ssize_t recvmsg(int fd, msghdr* message, int flags);
  int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, const timespec* timeout);
  ssize_t read(int fd, void* data, size_t size);
  ssize_t write(int fd, const void* data, size_t size);
  ssize_t readv(int fd, const iovec* parts, int count);
  ssize_t writev(int fd, const iovec* parts, int count);

  // Without a copy: what came is shown where it lies until `to` is released (lent.hpp). Of a datagram all, of a stream
  // what is there. Flags: MSG_DONTWAIT. ENOBUFS: leases hold half of the pool; read by a copy, or release some.
  ssize_t receive_lent(int fd, Lent& to, int flags, sockaddr* from = nullptr, socklen_t* length = nullptr);

  // A buffer of packet memory, at most 64 KiB, and to send the first `size` octets of it without a copy: on a stream in
  // order with all other sends, or as one datagram, whether there is room now or not. The buffer tells when it is
  // complete, and of errors that are found later (owned_buffer.hpp).
  int take_buffer(OwnedBuffer& buffer, std::size_t size);
  int send_owned(int fd, OwnedBuffer& buffer, std::size_t size, const sockaddr* to = nullptr, socklen_t length = 0);

  // --- options ---
  int getsockopt(int fd, int level, int name, void* value, socklen_t* length);
  int setsockopt(int fd, int level, int name, const void* value, socklen_t length);

  // What is known of the connection between these two addresses, of whatever socket, in the layout of TCP_INFO and cut
  // to *length as TCP_INFO is: of a live one all, of a half-open one and of one in TIME-WAIT what is kept of them.
  // Where none is but a listener would take the peer's SYN, its state is TCP_LISTEN. -ENOENT: nothing. -EFAULT,
  // -EINVAL, -EAFNOSUPPORT: an address that is none, or two families. O(1), any thread. As sock_diag(7) answers for one
  // flow.
  int tcp_info_of(const sockaddr* local, socklen_t local_length, const sockaddr* remote, socklen_t remote_length,
                  void* info, socklen_t* length);

  // --- waiting: Leat's descriptors and the kernel's together ---
  int poll(pollfd* fds, nfds_t count, int timeout_ms);
  int ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask);
  int select(int count, fd_set* readable, fd_set* writable, fd_set* exceptional, timeval* timeout);
  int pselect(int count, fd_set* readable, fd_set* writable, fd_set* exceptional, const timespec* timeout,
              const sigset_t* mask);
  int epoll_create1(int flags);
  int epoll_create(int size);
  int epoll_ctl(int set, int operation, int fd, epoll_event* event);
  int epoll_wait(int set, epoll_event* events, int most, int timeout_ms) {
    return epoll_pwait(set, events, most, timeout_ms, nullptr);
  }
  int epoll_pwait(int set, epoll_event* events, int most, int timeout_ms, const sigset_t* mask);
  int epoll_pwait2(int set, epoll_event* events, int most, const timespec* timeout, const sigset_t* mask);
  // From now on the set's descriptor, watched by the kernel (its epoll, poll, select), tells of Leat's sockets in the
  // set too. Sets that are put into other sets or polled beside kernel descriptors do this by themselves.
  int export_readiness(int set);

 private:
  struct Received;
  struct SendExtras;
  using Parts = std::span<const MutableByteSpan>;
  using ConstParts = std::span<const ByteSpan>;

  [[nodiscard]] bool find(int fd, File& file) const;
  // The same, and it must be a socket: 0, -EBADF, -ENOTSOCK.
  [[nodiscard]] int find_socket(int fd, File& file) const;
  [[nodiscard]] int find_set(int fd, std::shared_ptr<EpollSet>& set);
  // Runs an operation that must happen: a signal does not keep it from it.
  void run_through(Op& op);
  // Runs an operation that waits: a signal ends it as signal(7) has it, never without a time-out and with SA_RESTART.
  void run_waiting(Op& op);
  [[nodiscard]] bool waits(const File& f, int flags) const;
  [[nodiscard]] Instant deadline_after(std::int64_t timeout_ns) const;
  // What a parked operation that ended without moving anything answers.
  [[nodiscard]] int failed(int fd, const File& f, const Op& op) const;
  void end_leftover(int number);
  int name_new(Handle h, std::uint32_t flags, Phase phase, int protocol, int number, bool close_on_exec);
  int end_file(OpenFile& open, std::unique_lock<std::mutex>& lock, bool may_linger = true);
  void leave_sets(OpenFile& open);
  int stop_listening(int fd, const File& f);
  int begin_again(int fd, const File& f);
  int disconnect_stream(int fd, const File& f);
  int connect_stream(int fd, const File& f, const GivenAddress& to);
  int ensure_bound(const File& f, bool also_v6 = false);
  bool change_phase(const File& f, Phase to, bool bound = false);
  // The first interface for which `wanted` is true.
  template <class F>
  std::optional<InterfaceInfo> interface_where(F&& wanted) {
    std::array<InterfaceInfo, 64> list;
    ControlRequest request{.verb = ControlVerb::list_interfaces, .interfaces = list};
    Op op;
    op.control(request);
    run_through(op);
    for (std::size_t i = 0; i < std::min(request.total, list.size()); ++i)
      if (wanted(list[i])) return list[i];
    return std::nullopt;
  }
  int stay_on_link(const File& f, const GivenAddress& to);
  InterfaceId link_of(const File& f, const IpAddress& named);

  ssize_t send_parts(int fd, const File& f, ConstParts from, int flags, const sockaddr* to, socklen_t length,
                     const SendExtras* extras);
  void note_zero_copy(int fd, const File& f, int flags);
  ssize_t send_stream(int fd, const File& f, ConstParts from, int flags);
  int read_extras(const File& f, const msghdr& m, socklen_t name_length, SendExtras& extras);
  ssize_t receive_parts(int fd, const File& f, Parts to, int flags, Received& result);
  ssize_t receive_stream(int fd, const File& f, Parts to, int flags);
  ssize_t receive_error(int fd, const File& f, Parts to, Received& result);
  ssize_t discard(int fd, const File& f, std::size_t size, int flags);

  int set_option(const File& f, OptionId id, std::int64_t value);
  int get_option(const File& f, OptionId id, std::int64_t& value);
  void remember(const File& f, int level, int name, std::int64_t value);
  [[nodiscard]] std::int64_t remembered(const File& f, int level, int name, std::int64_t otherwise);
  int set_socket_option(const File& f, int name, const void* value, socklen_t length);
  int set_ip_option(const File& f, int name, const void* value, socklen_t length);
  int set_ipv6_option(const File& f, int name, const void* value, socklen_t length);
  int set_tcp_option(const File& f, int name, const void* value, socklen_t length);
  int get_socket_option(const File& f, int name, void* value, socklen_t* length);
  int get_ip_option(const File& f, int name, void* value, socklen_t* length);
  int get_ipv6_option(const File& f, int name, void* value, socklen_t* length);
  int get_tcp_option(const File& f, int name, void* value, socklen_t* length);
  static bool is_raw_option(const File& f, int level, int name);
  int change_raw(const File& f, Verb verb, RawSettings& settings);
  int set_raw_option(const File& f, int level, int name, const void* value, socklen_t length);
  int get_raw_option(const File& f, int level, int name, void* value, socklen_t* length);
  int group_call(const File& f, GroupCall& call);
  int interface_of(const IpAddress& address, InterfaceId& id);
  int set_ip_membership(const File& f, int name, const void* value, socklen_t length);
  int set_multicast_interface(const File& f, const void* value, socklen_t length);
  int get_multicast_interface(const File& f, void* value, socklen_t* length);
  int set_ipv6_membership(const File& f, int name, const void* value, socklen_t length);
  int set_protocol_independent_membership(const File& f, int level, int name, const void* value, socklen_t length);
  int set_low_water(const File& f, int octets);
  int set_timestamping(const File& f, int flags);
  int set_unicast_interface(const File& f, int index);
  int get_unicast_interface(const File& f, std::int64_t& index);
  int bind_to_device(const File& f, const void* value, socklen_t length);
  int take_error(const File& f);
  void give_error(const File& f, Errc error);
  // 0, or a negative errno value and nothing written.
  int read_info(const File& f, tcp::TcpInfo& info);
  int read_endpoint(const File& f, Verb local_or_remote, Endpoint& e);
  bool set_is_ready(int set_fd);
  int readable_octets(const File& f);

  int poll_until(std::span<pollfd> fds, Instant until, bool block);
  int poll_in_child(std::span<pollfd> fds, Instant until, bool block);
  int wait_set(EpollSet& set, epoll_event* events, int most, Instant until, bool block);
  int control_kernel_member(EpollSet& set, int operation, int fd, epoll_event* event);
  void tell_zero_copy(int fd, const File& f);
  int zero_copy_events(EpollSet& set, epoll_event* events, int most);
  int add_member(EpollSet& set, const File& f, int fd, const epoll_event& e);

  std::shared_ptr<Service> service_;
  OwnerId owner_;
  unsigned fork_generation_;
  std::mutex mutex_;
  Descriptors table_;
};

}  // namespace leat::posix
