// getsockopt and setsockopt, ioctl: what level it is, values in and out, SOL_SOCKET.

#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <leat/api/posix/errors.hpp>
#include <leat/api/posix/option_value.hpp>
#include <leat/api/posix/sockets.hpp>

// Of Linux, and not in the C library's headers everywhere.
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace leat::posix {

int Sockets::set_option(const File& f, OptionId id, std::int64_t value) {
  Op op;
  op.set_option(f.handle, id, value);
  run_through(op);
  return negative(op.error);
}

int Sockets::get_option(const File& f, OptionId id, std::int64_t& value) {
  Op op;
  op.get_option(f.handle, id);
  run_through(op);
  if (op.error == Errc{}) value = op.value;
  return negative(op.error);
}

void Sockets::remember(const File& f, int level, int name, std::int64_t value) {
  const std::lock_guard lock(mutex_);
  f.open->remembered[option_key(level, name)] = value;
}

std::int64_t Sockets::remembered(const File& f, int level, int name, std::int64_t otherwise) {
  const std::lock_guard lock(mutex_);
  const auto found = f.open->remembered.find(option_key(level, name));
  return found == f.open->remembered.end() ? otherwise : found->second;
}

int Sockets::read_info(const File& f, tcp::TcpInfo& info) {
  Op op;
  op.verb = Verb::tcp_info;
  op.socket = f.handle;
  op.info = &info;
  run_through(op);
  return negative(op.error);
}

int Sockets::take_error(const File& f) {
  Op op;
  op.verb = Verb::take_error;
  op.socket = f.handle;
  run_through(op);
  if (op.error != Errc{}) return errno_of(op.error);
  return op.value == 0 ? 0 : errno_of(static_cast<Errc>(op.value));
}

namespace {

// Whether the socket has options of this level that can be set.
bool has_level(const File& f, int level) {
  switch (level) {
    case SOL_SOCKET:
    case IPPROTO_IP:
      return true;
    case IPPROTO_IPV6:
      return f.has(kV6);
    case IPPROTO_TCP:
      return f.handle.kind() == SocketKind::stream;
    case IPPROTO_UDP:
      return f.handle.kind() == SocketKind::udp;
    case IPPROTO_RAW:
    case IPPROTO_ICMPV6:
      return f.handle.kind() == SocketKind::raw;
    default:
      return false;
  }
}

}  // namespace

int Sockets::setsockopt(int fd, int level, int name, const void* value, socklen_t length) {
  File f;
  if (const int bad = find_socket(fd, f); bad != 0) return bad;
  if (static_cast<int>(length) < 0) return -EINVAL;
  if (!has_level(f, level)) return -ENOPROTOOPT;
  if (value == nullptr && length > 0) return -EFAULT;
  if (is_raw_option(f, level, name)) return set_raw_option(f, level, name, value, length);
  switch (level) {
    case SOL_SOCKET:
      return set_socket_option(f, name, value, length);
    case IPPROTO_IP:
      return set_ip_option(f, name, value, length);
    case IPPROTO_IPV6:
      return set_ipv6_option(f, name, value, length);
    case IPPROTO_TCP:
      return set_tcp_option(f, name, value, length);
    case IPPROTO_UDP: {
      int number = 0;
      if (!read_value(value, length, number)) return -EINVAL;
      if (name != UDP_GRO) return -ENOPROTOOPT;
      // It allows to give several datagrams as one, which never happens here.
      remember(f, level, name, number != 0);
      return 0;
    }
    default:
      return -ENOPROTOOPT;
  }
}

int Sockets::getsockopt(int fd, int level, int name, void* value, socklen_t* length) {
  File f;
  if (const int bad = find_socket(fd, f); bad != 0) return bad;
  if (length == nullptr) return -EFAULT;
  if (static_cast<int>(*length) < 0) return -EINVAL;
  if (value == nullptr && *length > 0) return -EFAULT;
  if (is_raw_option(f, level, name)) return get_raw_option(f, level, name, value, length);
  const int no_level = f.has(kV6) ? -ENOPROTOOPT : -EOPNOTSUPP;  // as Linux
  switch (level) {
    case SOL_SOCKET:
      return get_socket_option(f, name, value, length);
    case IPPROTO_IP:
      return get_ip_option(f, name, value, length);
    case IPPROTO_IPV6:
      return f.has(kV6) ? get_ipv6_option(f, name, value, length) : no_level;
    case IPPROTO_TCP:
      return f.handle.kind() == SocketKind::stream ? get_tcp_option(f, name, value, length) : no_level;
    case IPPROTO_UDP:
      if (f.handle.kind() != SocketKind::udp) return no_level;
      if (name != UDP_GRO) return -ENOPROTOOPT;
      return write_value(value, length, static_cast<int>(remembered(f, level, name, 0)));
    default:
      return no_level;
  }
}

// --- SOL_SOCKET ------------------------------------------------------------------------------------------------------

namespace {

// As Linux: what the program asks for counts double, because the bookkeeping is paid from it too.
constexpr std::int64_t kLeastSendBuffer = 4608;
constexpr std::int64_t kLeastReceiveBuffer = 2304;

int read_time(const void* value, socklen_t length, std::int64_t& ns) {
  timeval tv{};
  if (length < sizeof tv) return -EINVAL;
  std::memcpy(&tv, value, sizeof tv);
  if (tv.tv_usec < 0 || tv.tv_usec >= 1'000'000) return -EDOM;
  // A negative time is none at all: the call returns at once.
  ns = tv.tv_sec < 0 ? 1
                     : std::min<std::int64_t>(tv.tv_sec, INT64_MAX / 2'000'000'000) * 1'000'000'000 + tv.tv_usec * 1000;
  return 0;
}

int write_time(std::int64_t ns, void* value, socklen_t* length) {
  return write_value(value, length, timeval{ns / 1'000'000'000, ns % 1'000'000'000 / 1000});
}

}  // namespace

int Sockets::bind_to_device(const File& f, const void* value, socklen_t length) {
  std::array<char, IFNAMSIZ> name{};
  if (length > 0) std::memcpy(name.data(), value, std::min<std::size_t>(length, name.size() - 1));
  const std::string_view wanted{name.data()};
  if (wanted.empty()) return set_option(f, OptionId::bind_interface, 0);
  const auto found = interface_where([wanted](const InterfaceInfo& i) { return i.name_text() == wanted; });
  return found ? set_option(f, OptionId::bind_interface, found->id) : -ENODEV;
}

// As Linux: no more than half of the buffer, or a stream could never have it.
int Sockets::set_low_water(const File& f, int octets) {
  std::int64_t most = INT32_MAX;
  if (f.handle.kind() == SocketKind::stream) {
    if (const int bad = get_option(f, OptionId::receive_buffer, most); bad != 0) return bad;
    most /= 2;
  }
  const std::int64_t wanted = octets < 0 ? INT32_MAX : std::max(octets, 1);
  return set_option(f, OptionId::receive_lowat, std::min(wanted, most));
}

// What comes is stamped, by the clock of this host; no device here has one of its own. What leaves is not.
int Sockets::set_timestamping(const File& f, int flags) {
  constexpr int kReceived = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
  constexpr int kNeverCome =
      SOF_TIMESTAMPING_RX_HARDWARE | SOF_TIMESTAMPING_RAW_HARDWARE | SOF_TIMESTAMPING_SYS_HARDWARE;
  if ((flags & ~(kReceived | kNeverCome)) != 0) return -EINVAL;
  f.open->put(kTellTimes, (flags & kReceived) == kReceived);
  remember(f, SOL_SOCKET, SO_TIMESTAMPING, flags);
  return 0;
}

int Sockets::set_socket_option(const File& f, int name, const void* value, socklen_t length) {
  if (name == SO_BINDTODEVICE) return bind_to_device(f, value, length);
  int number = 0;
  if (!read_value(value, length, number)) return -EINVAL;
  switch (name) {
    case SO_REUSEADDR:
      return set_option(f, OptionId::reuse_address, number != 0);
    case SO_REUSEPORT:
      return set_option(f, OptionId::reuse_port, number != 0);
    case SO_BROADCAST:
      return set_option(f, OptionId::broadcast, number != 0);
    case SO_KEEPALIVE:
      return set_option(f, OptionId::keep_alive, number != 0);
    case SO_SNDBUF:
    case SO_SNDBUFFORCE:
      return set_option(f, OptionId::send_buffer,
                        std::clamp<std::int64_t>(std::int64_t{number} * 2, kLeastSendBuffer, 1 << 30));
    case SO_RCVBUF:
    case SO_RCVBUFFORCE:
      return set_option(f, OptionId::receive_buffer,
                        std::clamp<std::int64_t>(std::int64_t{number} * 2, kLeastReceiveBuffer, 1 << 30));
    case SO_LINGER: {
      linger l{};
      if (length < sizeof l) return -EINVAL;
      std::memcpy(&l, value, sizeof l);
      return set_option(f, OptionId::linger, l.l_onoff == 0 ? -1 : std::clamp(l.l_linger, 0, 65535));
    }
    case SO_RCVTIMEO:
    case SO_SNDTIMEO: {
      std::int64_t ns = 0;
      if (const int bad = read_time(value, length, ns); bad != 0) return bad;
      (name == SO_RCVTIMEO ? f.open->receive_timeout_ns : f.open->send_timeout_ns).store(ns, std::memory_order_relaxed);
      return 0;
    }
    case SO_TIMESTAMP:
      f.open->put(kTellTime, number != 0);
      return 0;
    case SO_TIMESTAMPNS:
      f.open->put(kTellTimeNs, number != 0);
      return 0;
    case SO_ZEROCOPY:
      if (number != 0 && number != 1) return -EINVAL;
      if (f.handle.kind() != SocketKind::stream && f.handle.kind() != SocketKind::udp) return -EOPNOTSUPP;
      f.open->put(kZeroCopy, number != 0);
      return 0;
    case SO_TYPE:
    case SO_PROTOCOL:
    case SO_DOMAIN:
    case SO_ERROR:
    case SO_ACCEPTCONN:
    case SO_PEERNAME:
      return -ENOPROTOOPT;
    case SO_RCVLOWAT:
      return set_low_water(f, number);
    case SO_DONTROUTE:
      return set_option(f, OptionId::dont_route, number != 0);
    case SO_NO_CHECK:
      return set_option(f, OptionId::udp_checksum, number == 0);
    case SO_RXQ_OVFL:
      f.open->put(kTellMissed, number != 0);
      return 0;
    case SO_TIMESTAMPING:
      return set_timestamping(f, number);
    case SO_PEEK_OFF:
    case SO_PASSCRED:
      return -EOPNOTSUPP;  // Linux: of such sockets
    // Kept, without effect: docs/posix.md says why.
    case SO_DEBUG:
    case SO_OOBINLINE:
      remember(f, SOL_SOCKET, name, number != 0);
      return 0;
    case SO_MARK:
      return set_option(f, OptionId::mark, static_cast<std::uint32_t>(number));
    case SO_PRIORITY:
    case SO_BUSY_POLL:
    case SO_INCOMING_CPU:
      remember(f, SOL_SOCKET, name, number);
      return 0;
    default:
      return -ENOPROTOOPT;
  }
}

int Sockets::get_socket_option(const File& f, int name, void* value, socklen_t* length) {
  const auto stack_option = [&](OptionId id) {
    std::int64_t v = 0;
    if (const int bad = get_option(f, id, v); bad != 0) return bad;
    return write_value(value, length, static_cast<int>(v));
  };
  const auto number = [&](std::int64_t v) { return write_value(value, length, static_cast<int>(v)); };
  switch (name) {
    case SO_REUSEADDR:
      return stack_option(OptionId::reuse_address);
    case SO_REUSEPORT:
      return stack_option(OptionId::reuse_port);
    case SO_BROADCAST:
      return stack_option(OptionId::broadcast);
    case SO_MARK:
      return stack_option(OptionId::mark);
    case SO_KEEPALIVE:
      return stack_option(OptionId::keep_alive);
    case SO_SNDBUF:
      return stack_option(OptionId::send_buffer);
    case SO_RCVBUF:
      return stack_option(OptionId::receive_buffer);
    case SO_LINGER: {
      std::int64_t v = -1;
      if (const int bad = get_option(f, OptionId::linger, v); bad != 0) return bad;
      return write_value(value, length, ::linger{v >= 0, v >= 0 ? static_cast<int>(v) : 0});
    }
    case SO_RCVTIMEO:
      return write_time(f.open->receive_timeout_ns.load(std::memory_order_relaxed), value, length);
    case SO_SNDTIMEO:
      return write_time(f.open->send_timeout_ns.load(std::memory_order_relaxed), value, length);
    case SO_ERROR:
      return number(take_error(f));
    case SO_TYPE:
      return number(f.handle.kind() == SocketKind::stream ? SOCK_STREAM
                    : f.handle.kind() == SocketKind::raw  ? SOCK_RAW
                                                          : SOCK_DGRAM);
    case SO_DOMAIN:
      return number(f.has(kV6) ? AF_INET6 : AF_INET);
    case SO_PROTOCOL:
      return number(f.open->protocol.load(std::memory_order_relaxed));
    case SO_ACCEPTCONN:
      return number(f.phase == Phase::listening);
    case SO_TIMESTAMP:
      return number(f.has(kTellTime) || f.has(kTellTimeNs));
    case SO_TIMESTAMPNS:
      return number(f.has(kTellTimeNs));
    case SO_ZEROCOPY:
      return number(f.has(kZeroCopy));
    case SO_MEMINFO: {
      // SK_MEMINFO_*: rmem_alloc, rcvbuf, wmem_alloc, sndbuf, fwd_alloc, wmem_queued, optmem, backlog, drops
      std::array<std::uint32_t, 9> info{};
      std::int64_t v = 0;
      if (get_option(f, OptionId::receive_buffer, v) == 0) info[1] = static_cast<std::uint32_t>(v);
      if (get_option(f, OptionId::send_buffer, v) == 0) info[3] = static_cast<std::uint32_t>(v);
      tcp::TcpInfo tcp;
      (void)read_info(f, tcp);
      info[0] = tcp.receive_queue;
      info[2] = info[5] = tcp.send_queue;
      return write_value(value, length, info);
    }
    case SO_BINDTODEVICE: {
      std::int64_t id = 0;
      if (const int bad = get_option(f, OptionId::bind_interface, id); bad != 0) return bad;
      if (id != 0) {
        const auto found = interface_where([id](const InterfaceInfo& i) { return i.id == id; });
        if (found) return write_value(value, length, found->name);
      }
      *length = 0;
      return 0;
    }
    case SO_PEERNAME:
      return -ENOTCONN;
    case SO_RCVLOWAT:
      return stack_option(OptionId::receive_lowat);
    case SO_DONTROUTE:
      return stack_option(OptionId::dont_route);
    case SO_NO_CHECK: {
      std::int64_t v = 0;
      if (const int bad = get_option(f, OptionId::udp_checksum, v); bad != 0) return bad;
      return number(v == 0);
    }
    case SO_RXQ_OVFL:
      return number(f.has(kTellMissed));
    case SO_SNDLOWAT:
      return number(1);
    case SO_PEEK_OFF:
      return number(-1);
    case SO_INCOMING_CPU:
    case SO_DEBUG:
    case SO_OOBINLINE:
    case SO_PRIORITY:
    case SO_BUSY_POLL:
    case SO_TIMESTAMPING:
      return number(remembered(f, SOL_SOCKET, name, 0));
    default:
      return -ENOPROTOOPT;
  }
}

// --- ioctl -----------------------------------------------------------------------------------------------------------

// What a read would give: of a stream all that waits, of datagrams the next one.
int Sockets::readable_octets(const File& f) {
  if (f.handle.kind() == SocketKind::stream) {
    tcp::TcpInfo info;
    return read_info(f, info) == 0 ? static_cast<int>(info.receive_queue) : 0;
  }
  Op op;
  // Only where something is to be looked at: a look at nothing would take the pending error.
  op.verb = Verb::readiness;
  op.socket = f.handle;
  run_through(op);
  const bool shut = any(op.ready & Ready::peer_fin) && any(op.ready & Ready::error);
  if (op.error != Errc{} || !any(op.ready & Ready::readable) || shut) return 0;
  op.reset();
  Message next;
  op.receive_from(f.handle, {}, next);
  op.flags.dont_wait = true;
  op.flags.peek = true;
  run_through(op);
  return op.error == Errc{} && op.status == IoStatus::done ? static_cast<int>(next.full_size) : 0;
}

int Sockets::ioctl(int fd, unsigned long request, void* argument) {
  File f;
  if (!find(fd, f)) return -EBADF;
  if (request == FIOCLEX || request == FIONCLEX) {
    const std::lock_guard lock(mutex_);
    table_.set_close_on_exec(fd, request == FIOCLEX);
    return 0;
  }
  if (f.has(kSet)) return -ENOTTY;
  if (request != FIONBIO && request != FIONREAD && request != SIOCOUTQ && request != SIOCOUTQNSD) return -ENOTTY;
  if (argument == nullptr) return -EFAULT;
  int number = 0;
  if (request == FIONBIO) {
    std::memcpy(&number, argument, sizeof number);
    f.open->put(kNonBlocking, number != 0);
    return 0;
  }
  if (request == FIONREAD) {  // SIOCINQ
    if (f.phase == Phase::listening) return -EINVAL;
    number = readable_octets(f);
  } else {
    if (f.phase == Phase::listening) return -EINVAL;
    tcp::TcpInfo info;
    (void)read_info(f, info);
    number = static_cast<int>(request == SIOCOUTQ ? info.send_queue : info.unsent);
  }
  std::memcpy(argument, &number, sizeof number);
  return 0;
}

}  // namespace leat::posix
