// leat.h: sockets, and what is asked of any service.

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>
#include <leat/c/stack.hpp>
#include <leat/op/op.hpp>

using leat::c::answer;
using leat::c::guarded;

namespace {

constexpr std::uint32_t kVersion = (LEAT_VERSION_MAJOR << 16) | (LEAT_VERSION_MINOR << 8) | LEAT_VERSION_PATCH;

int control(leat_stack* stack, leat::ControlRequest& request) {
  leat::Op op;
  op.control(request);
  stack->service->run(op);
  return answer(op.error);
}

// How much of a struct that says its own size may be filled.
template <class T>
bool fits(const T* to) {
  return to != nullptr && to->size >= sizeof(to->size) && to->size <= 4096;
}

}  // namespace

uint32_t leat_version(void) {
  return kVersion;
}

const char* leat_strerror(int value) {
  if (value >= 0) return "success";
  if (value == INT_MIN) return "unknown error";  // it has no positive
  for (const leat::ErrorInfo& e : leat::error_table())
    if (e.errno_number == -value) return e.sentence.data();  // the table's texts end with a zero
  return ::strerrordesc_np(-value) != nullptr ? ::strerrordesc_np(-value) : "unknown error";
}

// --- the stack, by its service -------------------------------------------------------------------------------------

int leat_add_address(leat_stack* stack, int interface, const char* address) {
  return guarded(stack, [&] {
    const auto prefix = leat::IpPrefix::parse(address == nullptr ? "" : address);
    if (!prefix || interface <= 0 || interface > UINT16_MAX) return -EINVAL;
    leat::ControlRequest r{.verb = leat::ControlVerb::add_address,
                           .interface = static_cast<leat::InterfaceId>(interface),
                           .prefix = *prefix};
    return control(stack, r);
  });
}

int leat_remove_address(leat_stack* stack, int interface, const char* address) {
  return guarded(stack, [&] {
    const auto prefix = leat::IpPrefix::parse(address == nullptr ? "" : address);
    if (!prefix || interface <= 0 || interface > UINT16_MAX) return -EINVAL;
    leat::ControlRequest r{.verb = leat::ControlVerb::remove_address,
                           .interface = static_cast<leat::InterfaceId>(interface),
                           .prefix = *prefix};
    return control(stack, r);
  });
}

namespace {

int change_route(leat_stack* stack, leat::ControlVerb verb, const char* destination, const char* gateway,
                 int interface) {
  return guarded(stack, [&] {
    const auto prefix = leat::IpPrefix::parse(destination == nullptr ? "" : destination);
    if (!prefix || interface < 0 || interface > UINT16_MAX) return -EINVAL;
    leat::ControlRequest r{.verb = verb};
    r.route.destination = *prefix;
    r.route.interface = static_cast<leat::InterfaceId>(interface);
    if (gateway != nullptr) {
      const auto via = leat::IpAddress::parse(gateway);
      if (!via) return -EINVAL;
      r.route.gateway = *via;
    } else if (interface == 0 && verb == leat::ControlVerb::add_route) {
      return -EINVAL;
    }
    return control(stack, r);
  });
}

}  // namespace

int leat_add_route(leat_stack* stack, const char* destination, const char* gateway, int interface) {
  return change_route(stack, leat::ControlVerb::add_route, destination, gateway, interface);
}

int leat_remove_route(leat_stack* stack, const char* destination, const char* gateway) {
  return change_route(stack, leat::ControlVerb::remove_route, destination, gateway, 0);
}

int leat_set_option(leat_stack* stack, const char* name, int64_t value) {
  return guarded(stack, [&] {
    if (name == nullptr) return -EINVAL;
    const auto id = leat::find_option(name);
    if (!id) return -ENOENT;
    leat::ControlRequest r{.verb = leat::ControlVerb::set_stack_option, .option = *id, .value = value};
    return control(stack, r);
  });
}

int leat_get_option(leat_stack* stack, const char* name, int64_t* value) {
  return guarded(stack, [&] {
    if (name == nullptr || value == nullptr) return -EINVAL;
    const auto id = leat::find_option(name);
    if (!id) return -ENOENT;
    leat::ControlRequest r{.verb = leat::ControlVerb::get_stack_option, .option = *id};
    const int done = control(stack, r);
    if (done == 0) *value = r.value;
    return done;
  });
}

int leat_get_counter(leat_stack* stack, const char* name, uint64_t* value) {
  return guarded(stack, [&] {
    if (name == nullptr || value == nullptr) return -EINVAL;
    leat::Counters counters;
    leat::ControlRequest r{.verb = leat::ControlVerb::counters, .counters = &counters};
    if (const int done = control(stack, r); done < 0) return done;
    const auto named = [name](const leat::CounterInfo& i) { return i.name == name; };
    if (const auto c = std::ranges::find_if(leat::kCounterInfo, named); c != leat::kCounterInfo.end()) {
      *value = counters.get(static_cast<leat::Counter>(c - leat::kCounterInfo.begin()));
      return 0;
    }
    if (const auto d = std::ranges::find_if(leat::kDropInfo, named); d != leat::kDropInfo.end()) {
      *value = counters.get(static_cast<leat::DropReason>(d - leat::kDropInfo.begin()));
      return 0;
    }
    return -ENOENT;
  });
}

int leat_pollable_fd(leat_stack* stack) {
  return guarded(stack, [&] {
    const int fd = stack->service->pollable_fd();
    return fd < 0 ? -ENETDOWN : fd;
  });
}

int leat_release_pollable_fd(leat_stack* stack) {
  return guarded(stack, [&] {
    stack->service->release_pollable_fd();
    return 0;
  });
}

int leat_turn(leat_stack* stack) {
  return guarded(stack, [&] {
    const leat::Instant next = stack->service->poll();
    if (next.is_never()) return -1;
    const std::int64_t ms = (next - stack->service->now()).count_ns() / 1'000'000;
    return static_cast<int>(std::clamp<std::int64_t>(ms, 0, 1'000'000));
  });
}

int leat_get_tcp_info(leat_stack* stack, int fd, leat_tcp_info* info) {
  return guarded(stack, [&] {
    if (!fits(info)) return -EINVAL;
    if (!stack->net->owns(fd)) return -EBADF;
    leat::tcp::TcpInfo known;
    leat::Op op;
    op.verb = leat::Verb::tcp_info;
    op.socket = stack->net->handle(fd);
    op.info = &known;
    stack->service->run(op);
    if (op.error != leat::Errc{}) return answer(op.error);
    leat_tcp_info all{};
    all.size = std::min<std::uint32_t>(info->size, sizeof all);
    all.state = static_cast<std::uint32_t>(known.state);
    all.rto_us = known.rto_us;
    all.srtt_us = known.srtt_us;
    all.rttvar_us = known.rttvar_us;
    all.min_rtt_us = known.min_rtt_us;
    all.snd_mss = known.snd_mss;
    all.rcv_mss = known.rcv_mss;
    all.pmtu = known.pmtu;
    all.cwnd = known.cwnd;
    all.ssthresh = known.ssthresh;
    all.snd_wnd = known.snd_wnd;
    all.rcv_wnd = known.rcv_wnd;
    all.in_flight = known.in_flight;
    all.lost = known.lost;
    all.send_queue = known.send_queue;
    all.receive_queue = known.receive_queue;
    all.retransmits = known.retransmits;
    all.bytes_acked = known.bytes_acked;
    all.bytes_received = known.bytes_received;
    std::memcpy(info, &all, all.size);
    return 0;
  });
}

// --- sockets
// -----------------------------------------------------------------------------------------------------------

int leat_owns(leat_stack* stack, int fd) {
  return guarded(stack, [&] { return stack->net->owns(fd) ? 1 : 0; });
}
int leat_socket(leat_stack* stack, int domain, int type, int protocol) {
  return guarded(stack, [&] { return stack->net->socket(domain, type, protocol); });
}
int leat_close(leat_stack* stack, int fd) {
  return guarded(stack, [&] { return stack->net->close(fd); });
}
int leat_dup(leat_stack* stack, int fd) {
  return guarded(stack, [&] { return stack->net->dup(fd); });
}
int leat_dup3(leat_stack* stack, int from, int to, int flags) {
  return guarded(stack, [&] { return stack->net->dup3(from, to, flags); });
}
int leat_fcntl(leat_stack* stack, int fd, int command, long argument) {
  return guarded(stack, [&] { return stack->net->fcntl(fd, command, argument); });
}
int leat_ioctl(leat_stack* stack, int fd, unsigned long request, void* argument) {
  return guarded(stack, [&] { return stack->net->ioctl(fd, request, argument); });
}
int leat_bind(leat_stack* stack, int fd, const struct sockaddr* address, socklen_t length) {
  return guarded(stack, [&] { return stack->net->bind(fd, address, length); });
}
int leat_listen(leat_stack* stack, int fd, int backlog) {
  return guarded(stack, [&] { return stack->net->listen(fd, backlog); });
}
int leat_accept(leat_stack* stack, int fd, struct sockaddr* address, socklen_t* length, int flags) {
  return guarded(stack, [&] { return stack->net->accept4(fd, address, length, flags); });
}
int leat_connect(leat_stack* stack, int fd, const struct sockaddr* address, socklen_t length) {
  return guarded(stack, [&] { return stack->net->connect(fd, address, length); });
}
int leat_getsockname(leat_stack* stack, int fd, struct sockaddr* address, socklen_t* length) {
  return guarded(stack, [&] { return stack->net->getsockname(fd, address, length); });
}
int leat_getpeername(leat_stack* stack, int fd, struct sockaddr* address, socklen_t* length) {
  return guarded(stack, [&] { return stack->net->getpeername(fd, address, length); });
}
int leat_shutdown(leat_stack* stack, int fd, int how) {
  return guarded(stack, [&] { return stack->net->shutdown(fd, how); });
}
ssize_t leat_send(leat_stack* stack, int fd, const void* data, size_t size, int flags) {
  return guarded(stack, [&] { return stack->net->send(fd, data, size, flags); });
}
ssize_t leat_sendto(leat_stack* stack, int fd, const void* data, size_t size, int flags, const struct sockaddr* to,
                    socklen_t length) {
  return guarded(stack, [&] { return stack->net->sendto(fd, data, size, flags, to, length); });
}
ssize_t leat_sendmsg(leat_stack* stack, int fd, const struct msghdr* message, int flags) {
  return guarded(stack, [&] { return stack->net->sendmsg(fd, message, flags); });
}
ssize_t leat_recv(leat_stack* stack, int fd, void* data, size_t size, int flags) {
  return guarded(stack, [&] { return stack->net->recv(fd, data, size, flags); });
}
ssize_t leat_recvfrom(leat_stack* stack, int fd, void* data, size_t size, int flags, struct sockaddr* from,
                      socklen_t* length) {
  return guarded(stack, [&] { return stack->net->recvfrom(fd, data, size, flags, from, length); });
}
ssize_t leat_recvmsg(leat_stack* stack, int fd, struct msghdr* message, int flags) {
  return guarded(stack, [&] { return stack->net->recvmsg(fd, message, flags); });
}
ssize_t leat_read(leat_stack* stack, int fd, void* data, size_t size) {
  return guarded(stack, [&] { return stack->net->read(fd, data, size); });
}
ssize_t leat_write(leat_stack* stack, int fd, const void* data, size_t size) {
  return guarded(stack, [&] { return stack->net->write(fd, data, size); });
}
ssize_t leat_readv(leat_stack* stack, int fd, const struct iovec* parts, int count) {
  return guarded(stack, [&] { return stack->net->readv(fd, parts, count); });
}
ssize_t leat_writev(leat_stack* stack, int fd, const struct iovec* parts, int count) {
  return guarded(stack, [&] { return stack->net->writev(fd, parts, count); });
}
int leat_getsockopt(leat_stack* stack, int fd, int level, int name, void* value, socklen_t* length) {
  return guarded(stack, [&] { return stack->net->getsockopt(fd, level, name, value, length); });
}
int leat_setsockopt(leat_stack* stack, int fd, int level, int name, const void* value, socklen_t length) {
  return guarded(stack, [&] { return stack->net->setsockopt(fd, level, name, value, length); });
}
int leat_poll(leat_stack* stack, struct pollfd* fds, nfds_t count, int timeout_ms) {
  return guarded(stack, [&] { return stack->net->poll(fds, count, timeout_ms); });
}
int leat_select(leat_stack* stack, int count, fd_set* readable, fd_set* writable, fd_set* exceptional,
                struct timeval* timeout) {
  return guarded(stack, [&] { return stack->net->select(count, readable, writable, exceptional, timeout); });
}
int leat_epoll_create(leat_stack* stack, int flags) {
  return guarded(stack, [&] { return stack->net->epoll_create1(flags); });
}
int leat_epoll_ctl(leat_stack* stack, int set, int operation, int fd, struct epoll_event* event) {
  return guarded(stack, [&] { return stack->net->epoll_ctl(set, operation, fd, event); });
}
int leat_epoll_wait(leat_stack* stack, int set, struct epoll_event* events, int most, int timeout_ms) {
  return guarded(stack, [&] { return stack->net->epoll_wait(set, events, most, timeout_ms); });
}
