// Names and connections: bind, listen, accept, connect, shutdown.

#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <leat/api/posix/address.hpp>
#include <leat/api/posix/epoll_set.hpp>
#include <leat/api/posix/errors.hpp>
#include <leat/api/posix/sockets.hpp>

namespace leat::posix {

int Sockets::bind(int fd, const sockaddr* address, socklen_t length) {
  File f;
  if (const int bad = find_socket(fd, f); bad != 0) return bad;
  GivenAddress to;
  if (const int bad = read_address(address, length, f.has(kV6), AddressUse::bind, to); bad != 0) return bad;
  std::int64_t v6only = 0;
  if (f.has(kV6) && to.endpoint.address.is_v4() && get_option(f, OptionId::v6only, v6only) == 0 && v6only != 0) {
    return -EINVAL;
  }
  // Linux: the link of such an address takes the place of SO_BINDTODEVICE.
  const InterfaceId link = scope_of(to);
  std::int64_t link_before = link;
  if (link != kNoInterface) {
    if (!interface_where([link](const InterfaceInfo& i) { return i.id == link; })) return -ENODEV;
    (void)get_option(f, OptionId::bind_interface, link_before);
    if (const int bad = set_option(f, OptionId::bind_interface, link); bad != 0) return bad;
  }
  Op op;
  op.bind(f.handle, to.endpoint);
  op.flags.alone = true;
  run_through(op);
  if (op.error == Errc::invalid_argument && link != link_before)  // it had a name: nothing happened
    (void)set_option(f, OptionId::bind_interface, link_before);
  if (op.error == Errc{}) {
    f.open->put(kBound, true);
    const std::lock_guard lock(mutex_);
    f.open->name = to.endpoint;
  }
  return negative(op.error);
}

// Linux: who connects to an address of a link (fe80::1%eth0) is bound to that interface.
int Sockets::stay_on_link(const File& f, const GivenAddress& to) {
  const InterfaceId link = scope_of(to);
  std::int64_t now = 0;
  if (link == kNoInterface || get_option(f, OptionId::bind_interface, now) != 0 || now == link) return 0;
  return now != 0 ? -EINVAL : set_option(f, OptionId::bind_interface, link);
}

// What such an address is told with.
InterfaceId Sockets::link_of(const File& f, const IpAddress& named) {
  std::int64_t link = 0;
  if (!named.is_v4() && named.is_link_local()) (void)get_option(f, OptionId::bind_interface, link);
  return static_cast<InterfaceId>(link);
}

// After a wait another thread may have closed the descriptor, and the description may be another socket's by now.
bool Sockets::change_phase(const File& f, Phase to, bool bound) {
  const std::lock_guard lock(mutex_);
  if (f.open->descriptors == 0 || Descriptors::description_of(*f.open) != Descriptors::description_of(f)) return false;
  f.open->phase.store(to, std::memory_order_relaxed);
  if (bound) f.open->put(kBound, true);
  return true;
}

// Linux's limit, which a negative backlog asks for.
constexpr std::uint32_t kMostBacklog = 4096;

int Sockets::listen(int fd, int backlog) {
  File f;
  if (const int bad = find_socket(fd, f); bad != 0) return bad;
  if (f.handle.kind() != SocketKind::stream) return -EOPNOTSUPP;
  // Without a name it gets one of its own family.
  if (const int bad = ensure_bound(f); bad != 0) return bad;
  Op op;
  op.listen(f.handle, backlog < 0 ? kMostBacklog : static_cast<std::uint32_t>(std::min(backlog, 65535)));
  op.flags.alone = true;
  run_through(op);
  if (op.error == Errc{}) {
    (void)change_phase(f, Phase::listening, true);
  }
  return negative(op.error);
}

// The stack names a socket that never said where it is by an address of both versions; an AF_INET socket must not get
// IPv6 by that.
int Sockets::ensure_bound(const File& f, bool also_v6) {
  if ((f.has(kV6) && !also_v6) || f.has(kBound) || f.phase != Phase::fresh) return 0;
  if (f.handle.kind() != SocketKind::udp && (f.handle.kind() != SocketKind::stream || also_v6)) return 0;
  Op op;
  op.bind(f.handle, {f.has(kV6) ? IpAddress{} : IpAddress::any(IpVersion::v4), Port{}});
  op.flags.alone = true;
  run_through(op);
  if (op.error == Errc{} || op.error == Errc::invalid_argument) {  // somebody else was first
    f.open->put(kBound, true);
    return 0;
  }
  return negative(op.error);
}

int Sockets::accept4(int fd, sockaddr* address, socklen_t* length, int flags) {
  File f;
  if (const int bad = find_socket(fd, f); bad != 0) return bad;
  if ((flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != 0) return -EINVAL;
  if (f.handle.kind() != SocketKind::stream) return -EOPNOTSUPP;
  if (f.phase != Phase::listening) return -EINVAL;
  Op op;
  if (!waits(f, 0)) {  // a loop over accept() ends here each time: before a number is reserved
    op.verb = Verb::readiness;
    op.socket = f.handle;
    run_through(op);
    if (op.error == Errc{} && !any(op.ready & Ready::readable)) return -EAGAIN;
    op.reset();
  }
  // The number comes first: without one nothing is accepted.
  const int number = table_.reserve();
  if (number < 0) return number;
  op.accept(f.handle);
  op.flags.dont_wait = !waits(f, 0);
  const std::int64_t receive_timeout_ns = f.open->receive_timeout_ns.load(std::memory_order_relaxed);
  const std::int64_t send_timeout_ns = f.open->send_timeout_ns.load(std::memory_order_relaxed);
  op.deadline = deadline_after(receive_timeout_ns);
  run_waiting(op);
  if (op.error != Errc{} || !op.handle) {
    ::close(number);
    return op.error == Errc{} ? -EAGAIN : failed(fd, f, op);
  }
  // Where nothing can be told of the peer, the connection is gone, as on Linux.
  if (address != nullptr && (length == nullptr || static_cast<int>(*length) < 0)) {
    ::close(number);
    const Handle unwanted = op.handle;
    op.reset();
    op.close(unwanted);
    run_through(op);
    return length == nullptr ? -EFAULT : -EINVAL;
  }
  std::uint32_t file_flags = (f.flags & (kV6 | kZeroCopy | kTellInQueue)) | kBound;
  if ((flags & SOCK_NONBLOCK) != 0) file_flags |= kNonBlocking;
  const Endpoint peer = op.endpoint;
  const int accepted =
      name_new(op.handle, file_flags, Phase::connected, IPPROTO_TCP, number, (flags & SOCK_CLOEXEC) != 0);
  if (accepted < 0) return accepted;
  File made;
  if (find(accepted, made)) {  // as Linux: it waits as long as its listener would
    made.open->receive_timeout_ns.store(receive_timeout_ns, std::memory_order_relaxed);
    made.open->send_timeout_ns.store(send_timeout_ns, std::memory_order_relaxed);
  }
  write_address(peer, f.has(kV6), address, length, link_of(f, peer.address));
  return accepted;
}

int Sockets::connect(int fd, const sockaddr* address, socklen_t length) {
  File f;
  if (const int bad = find_socket(fd, f); bad != 0) return bad;
  const bool stream = f.handle.kind() == SocketKind::stream;
  GivenAddress to;
  const int bad =
      read_address(address, length, f.has(kV6), stream ? AddressUse::connect_stream : AddressUse::connect_datagram, to);
  // Linux: a stream that is under way, or was, is told so before anybody looks at the address.
  const bool free_to_connect = !stream || f.phase == Phase::fresh || f.phase == Phase::failed;
  const bool unreadable = address == nullptr || length < sizeof(sa_family_t) || length > sizeof(sockaddr_storage);
  if (bad != 0 && (free_to_connect || unreadable)) {
    if (bad != -EFAULT) (void)ensure_bound(f, true);  // Linux names a datagram socket before it looks at the address
    return bad;
  }
  if (!to.disconnect && free_to_connect)
    if (const int other_link = stay_on_link(f, to); other_link != 0) return other_link;
  if (stream) return connect_stream(fd, f, to);
  if (to.endpoint.address.is_unspecified() && f.handle.kind() == SocketKind::raw && !f.has(kV6)) {
    to.endpoint.address = IpAddress::any(IpVersion::v4);
  }
  Op op;
  op.connect(f.handle, to.endpoint);
  run_through(op);
  if (op.error != Errc{}) return negative(op.error);
  f.open->phase.store(to.disconnect ? Phase::fresh : Phase::connected, std::memory_order_relaxed);
  bool named = true;
  if (to.disconnect) {
    Endpoint local;
    (void)read_endpoint(f, Verb::local_endpoint, local);
    named = local.port != Port{};
  }
  f.open->put(kBound, named);
  return 0;
}

int Sockets::connect_stream(int fd, const File& f, const GivenAddress& to) {
  const Phase before = f.phase;
  if (to.disconnect) return before == Phase::fresh ? 0 : disconnect_stream(fd, f);
  if (before == Phase::listening || before == Phase::connected) return -EISCONN;
  if (before == Phase::failed) {  // what was tried is over and told: a new attempt
    if (const int bad = begin_again(fd, f); bad != 0) return bad;
    File fresh;
    if (const int bad = find_socket(fd, fresh); bad != 0) return bad;
    return connect_stream(fd, fresh, to);
  }
  const bool wait = waits(f, 0);
  Op op;
  op.connect(f.handle, to.endpoint);
  op.flags.dont_wait = !wait;
  op.deadline = wait ? deadline_after(f.open->send_timeout_ns.load(std::memory_order_relaxed)) : Instant::never();
  if (before == Phase::fresh && !change_phase(f, Phase::connecting)) return -EBADF;
  run_waiting(op);
  if (op.error == Errc{}) return change_phase(f, Phase::connected, true) ? 0 : -EBADF;
  switch (op.error) {
    case Errc::in_progress:
      if (!change_phase(f, Phase::connecting, true)) return -EBADF;
      return before == Phase::connecting ? -EALREADY : -EINPROGRESS;
    case Errc::already_connected:
      if (!change_phase(f, Phase::connected)) return -EBADF;
      return before == Phase::connecting ? 0 : -EISCONN;
    case Errc::interrupted:
      return -EINTR;
    case Errc::timed_out:
      if (wait && !op.deadline.is_never() && service_->now() >= op.deadline) {
        return before == Phase::connecting ? -EALREADY : -EINPROGRESS;
      }
      break;
    case Errc::invalid_argument:
      if (before == Phase::connecting) {  // it failed in the meantime: now it is told, unless SO_ERROR was asked
        const int error = take_error(f);
        if (!change_phase(f, Phase::failed)) return -EBADF;
        (void)begin_again(fd, f);
        return error != 0 ? -error : -ECONNABORTED;
      }
      break;
    default:
      break;
  }
  // An attempt that never left the socket as it was can be followed by another; after all others the socket is as new.
  const bool begun = op.started || before == Phase::connecting;
  if (!change_phase(f, begun ? Phase::failed : Phase::fresh)) return -EBADF;
  const int error = op.error == Errc::address_not_available && to.endpoint.port == Port{}
                        ? -ECONNREFUSED
                        : static_cast<int>(failed(fd, f, op));
  if (begun) (void)begin_again(fd, f);
  return error;
}

namespace {

// Disconnecting in these states breaks something off: the peer is reset, or an attempt is given up.
bool is_broken_off(tcp::TcpState s) {
  switch (s) {
    case tcp::TcpState::syn_sent:
    case tcp::TcpState::syn_received:
    case tcp::TcpState::established:
    case tcp::TcpState::fin_wait_1:
    case tcp::TcpState::fin_wait_2:
    case tcp::TcpState::close_wait:
      return true;
    case tcp::TcpState::closed:
    case tcp::TcpState::listen:
    case tcp::TcpState::closing:
    case tcp::TcpState::last_ack:
    case tcp::TcpState::time_wait:
      return false;
  }
  return false;
}

}  // namespace

// As Linux: what was pending still is, and who broke a connection off is told so as well.
int Sockets::disconnect_stream(int fd, const File& f) {
  tcp::TcpInfo info;
  Op op;
  Errc pending = Errc::connection_reset;
  if (read_info(f, info) != 0 || !is_broken_off(info.state)) {
    op.verb = Verb::take_error;
    op.socket = f.handle;
    run_through(op);
    pending = op.error == Errc{} ? static_cast<Errc>(op.value) : Errc{};
  }
  if (const int bad = begin_again(fd, f); bad != 0 || pending == Errc{}) return bad;
  File fresh;
  if (const int bad = find_socket(fd, fresh); bad != 0) return bad;
  give_error(fresh, pending);
  return 0;
}

// What the next call that asks for an error is told.
void Sockets::give_error(const File& f, Errc error) {
  Op op;
  op.verb = Verb::give_error;
  op.socket = f.handle;
  op.value = static_cast<std::int64_t>(error);
  run_through(op);
}

// A fresh stream in the place of one that is over, with its options, in the same sets: what Linux makes of a socket
// whose connect() failed, or that was disconnected or stopped listening.
int Sockets::begin_again(int fd, const File& f) {
  const std::lock_guard lock(mutex_);
  if (!table_.still(fd, f)) return -EBADF;
  if (f.open->handle.load(std::memory_order_relaxed) != f.handle.bits()) return 0;  // another thread did it
  Op op;
  op.open(SocketKind::stream);
  op.owner = owner_;
  run_through(op);
  if (op.error != Errc{}) return negative(op.error);
  const Handle fresh = op.handle;
  for (std::size_t i = 0; i < kOptions; ++i) {
    const auto id = static_cast<OptionId>(i);
    if (option_range(id).level == OptionLevel::stack) continue;
    op.reset();
    op.get_option(f.handle, id);
    run_through(op);
    const std::int64_t value = op.value;
    const bool known = op.error == Errc{};
    op.reset();
    op.get_option(fresh, id);
    run_through(op);
    if (!known || op.value == value) continue;
    op.reset();
    op.set_option(fresh, id, value);
    run_through(op);
  }
  // The sets that it is in watch the new one from now on.
  const auto in_each_set = [&](Verb verb, auto&& prepare) {
    for (const Membership& m : f.open->memberships) {
      const std::shared_ptr<EpollSet> set = m.set.lock();
      if (set == nullptr) continue;
      const auto found = set->members.find(m.key);
      if (found == set->members.end() || !prepare(*found->second)) continue;
      op.reset();
      op.verb = verb;
      op.set = &set->ready;
      op.member = found->second.get();
      run_through(op);
      set->look_again(*service_);
    }
  };
  in_each_set(Verb::remove_member, [](EpollMember&) { return true; });
  op.reset();
  op.abort(f.handle);
  run_through(op);
  // What it asked bind() for, it keeps: the address alone, too, but not a port that was chosen for it.
  const bool address_alone = f.open->name.port == Port{};
  bool named = !address_alone || !f.open->name.address.is_unspecified();
  if (named) {
    File renewed = f;
    renewed.handle = fresh;
    std::int64_t leaves_port = 0;
    (void)get_option(renewed, OptionId::ip_bind_address_no_port, leaves_port);
    if (address_alone) (void)set_option(renewed, OptionId::ip_bind_address_no_port, 1);
    op.reset();
    op.bind(fresh, f.open->name);
    run_through(op);
    named = op.error == Errc{};
    if (address_alone) (void)set_option(renewed, OptionId::ip_bind_address_no_port, leaves_port);
  }
  if (!named) f.open->name = {};
  f.open->handle.store(fresh.bits(), std::memory_order_release);
  f.open->put(kBound, named);
  f.open->phase.store(Phase::fresh, std::memory_order_release);
  in_each_set(Verb::add_member, [fresh](EpollMember& m) {
    m.socket = fresh;
    return m.armed;  // one-shot, and told: it comes back with EPOLL_CTL_MOD
  });
  return 0;
}

int Sockets::read_endpoint(const File& f, Verb verb, Endpoint& e) {
  Op op;
  op.verb = verb;
  op.socket = f.handle;
  run_through(op);
  if (op.error == Errc{}) e = op.endpoint;
  return negative(op.error);
}

int Sockets::getsockname(int fd, sockaddr* address, socklen_t* length) {
  File f;
  if (const int bad = find_socket(fd, f); bad != 0) return bad;
  if (address == nullptr || length == nullptr) return -EFAULT;
  Endpoint local;
  if (const int bad = read_endpoint(f, Verb::local_endpoint, local); bad != 0) return bad;
  if (static_cast<int>(*length) < 0) return -EINVAL;
  if (f.handle.kind() == SocketKind::raw) local.port = Port{f.open->protocol.load(std::memory_order_relaxed)};
  if (f.has(kV6) && local.address == IpAddress::any(IpVersion::v4)) local.address = IpAddress{};
  write_address(local, f.has(kV6), address, length, link_of(f, local.address));
  return 0;
}

int Sockets::getpeername(int fd, sockaddr* address, socklen_t* length) {
  File f;
  if (const int bad = find_socket(fd, f); bad != 0) return bad;
  if (address == nullptr || length == nullptr) return -EFAULT;
  if (f.phase != Phase::connected && f.phase != Phase::connecting) return -ENOTCONN;
  tcp::TcpInfo info;
  if (f.handle.kind() == SocketKind::stream && read_info(f, info) == 0) {
    const tcp::TcpState s = info.state;
    if (s == tcp::TcpState::closed || s == tcp::TcpState::syn_sent || s == tcp::TcpState::time_wait) return -ENOTCONN;
  }
  Endpoint remote;
  if (const int bad = read_endpoint(f, Verb::remote_endpoint, remote); bad != 0) return bad;
  if (static_cast<int>(*length) < 0) return -EINVAL;
  write_address(remote, f.has(kV6), address, length, link_of(f, remote.address));
  return 0;
}

int Sockets::shutdown(int fd, int how) {
  File f;
  if (const int bad = find_socket(fd, f); bad != 0) return bad;
  if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) return -EINVAL;
  if (f.phase == Phase::listening) return how == SHUT_WR ? 0 : disconnect_stream(fd, f);
  Op op;
  op.shutdown(f.handle, how == SHUT_RD ? ShutdownHow::read : how == SHUT_WR ? ShutdownHow::write : ShutdownHow::both);
  run_through(op);
  // A connection that was begun without waiting is one from here on: connect() has no more to tell of it.
  if (op.error == Errc{} && f.phase == Phase::connecting) {
    f.open->phase.store(Phase::connected, std::memory_order_relaxed);
  }
  return negative(op.error);
}

}  // namespace leat::posix
