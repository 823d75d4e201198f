// recv, recvfrom, recvmsg, recvmmsg, read, readv.

#include <netinet/in.h>
#include <sys/time.h>
#include <time.h>

// clang-format off: it needs what <time.h> declares.
#include <linux/errqueue.h>
// clang-format on

#include <algorithm>
#include <cerrno>
#include <leat/api/posix/address.hpp>
#include <leat/api/posix/control_messages.hpp>
#include <leat/api/posix/errors.hpp>
#include <leat/api/posix/transfer.hpp>

namespace leat::posix {
namespace {

std::size_t total(std::span<const MutableByteSpan> parts) {
  std::size_t n = 0;
  for (const MutableByteSpan p : parts) n += p.size();
  return n;
}

void scatter(ByteSpan bytes, std::span<const MutableByteSpan> parts) {
  for (const MutableByteSpan part : parts) {
    const std::size_t n = std::min(part.size(), bytes.size());
    std::copy_n(bytes.begin(), n, part.begin());
    bytes = bytes.subspan(n);
  }
}

}  // namespace

// MSG_TRUNC on a stream: the data is taken and not shown.
ssize_t Sockets::discard(int fd, const File& f, std::size_t size, int flags) {
  std::vector<std::uint8_t> scratch(std::min(size, std::size_t{65536}));
  std::size_t done = 0;
  while (done < size) {
    MutableByteSpan piece{scratch.data(), std::min(scratch.size(), size - done)};
    const int piece_flags = (flags & ~MSG_TRUNC) | (done > 0 && (flags & MSG_WAITALL) == 0 ? int{MSG_DONTWAIT} : 0);
    const ssize_t n = receive_stream(fd, f, {&piece, 1}, piece_flags);
    if (n < 0) return done > 0 ? static_cast<ssize_t>(done) : n;
    done += static_cast<std::size_t>(n);
    if (n == 0) break;
    // There is no more: another look might take an error that nobody would be told.
    if (static_cast<std::size_t>(n) < piece.size() && (flags & MSG_WAITALL) == 0) break;
  }
  return static_cast<ssize_t>(done);
}

ssize_t Sockets::receive_stream(int fd, const File& f, Parts to, int flags) {
  const bool peek = (flags & MSG_PEEK) != 0;
  const std::size_t wanted = total(to);
  if ((flags & MSG_TRUNC) != 0 && !peek && wanted > 0) return discard(fd, f, wanted, flags);
  const bool wait = waits(f, flags);
  Op op;
  // To look at nothing waits for something all the same, as on Linux; more than one part is looked at through one.
  std::uint8_t octet = 0;
  std::vector<std::uint8_t> gathered;
  const bool look_only = wanted == 0;
  if (look_only) {
    op.receive(f.handle, {&octet, 1});
  } else if (peek && to.size() > 1) {
    gathered.resize(std::min(wanted, std::size_t{1} << 20));
    op.receive(f.handle, gathered);
  } else {
    op.receive(f.handle, to);
  }
  op.flags.dont_wait = !wait;
  op.flags.peek = peek || look_only;
  op.flags.wait_all = (flags & MSG_WAITALL) != 0 && !look_only;
  if (wait) op.deadline = deadline_after(f.open->receive_timeout_ns.load(std::memory_order_relaxed));
  run_waiting(op);
  if (op.error != Errc{}) {
    if (op.error == Errc::not_supported) return -ENOTCONN;
    // Linux: who wanted nothing and waited for it got it, also when the time is over or a signal came.
    const bool in_vain = op.error == Errc::interrupted || (op.error == Errc::timed_out && failed(fd, f, op) == -EAGAIN);
    if (look_only && wait && in_vain) return 0;
    return failed(fd, f, op);
  }
  if (op.count == 0 && op.status == IoStatus::would_block) return -EAGAIN;
  if (look_only) return 0;
  if (!gathered.empty()) scatter({gathered.data(), op.count}, to);
  return static_cast<ssize_t>(op.count);
}

ssize_t Sockets::receive_error(int, const File& f, Parts to, Received& result) {
  result.is_error = true;
  if (f.open->pending_zero_copy.load(std::memory_order_relaxed) > 0) {
    const std::lock_guard lock(mutex_);
    const std::uint32_t count = f.open->pending_zero_copy.exchange(0, std::memory_order_relaxed);
    if (count > 0) {
      result.zero_copy = true;
      result.error.info = f.open->zero_copy_count;
      result.error.data = f.open->zero_copy_count + count - 1;
      f.open->zero_copy_count += count;
      return 0;
    }
  }
  std::array<std::uint8_t, kErrorPayload> quoted{};
  MutableByteSpan one{quoted};
  Op op;
  op.verb = Verb::receive_error;
  op.socket = f.handle;
  op.to = {&one, 1};
  op.error_entry = &result.error;
  run_through(op);
  if (op.error != Errc{}) return negative(op.error);
  if (op.status == IoStatus::would_block) return -EAGAIN;
  scatter({quoted.data(), op.count}, to);
  result.truncated = op.count > total(to);
  result.message.from = result.error.destination;
  result.has_address = true;
  return static_cast<ssize_t>(std::min(op.count, total(to)));
}

ssize_t Sockets::receive_parts(int fd, const File& f, Parts to, int flags, Received& result) {
  if ((flags & MSG_ERRQUEUE) != 0) return receive_error(fd, f, to, result);
  const bool stream = f.handle.kind() == SocketKind::stream;
  if (stream && (flags & MSG_OOB) != 0) return -EINVAL;  // there is no urgent data; datagrams know of none
  if (stream) return receive_stream(fd, f, to, flags);
  const bool wait = waits(f, flags);
  const std::size_t room = total(to);
  std::vector<std::uint8_t> gathered;
  Op op;
  if (to.size() > 1) {
    gathered.resize(std::min(room, kMostDatagram));
    op.receive_from(f.handle, gathered, result.message);
  } else {
    op.receive_from(f.handle, to.empty() ? MutableByteSpan{} : to[0], result.message);
  }
  op.flags.dont_wait = !wait;
  op.flags.peek = (flags & MSG_PEEK) != 0;
  if (wait) op.deadline = deadline_after(f.open->receive_timeout_ns.load(std::memory_order_relaxed));
  run_waiting(op);
  if (op.error != Errc{}) return failed(fd, f, op);
  if (op.status == IoStatus::would_block) return -EAGAIN;
  if (op.status == IoStatus::end_of_stream) return wait ? 0 : -EAGAIN;  // SHUT_RD, as Linux
  if (to.size() > 1) scatter({gathered.data(), op.count}, to);
  result.has_address = true;
  if (f.handle.kind() != SocketKind::udp) result.message.from.port = Port{};
  result.truncated = result.message.full_size > op.count;
  return static_cast<ssize_t>((flags & MSG_TRUNC) != 0 ? result.message.full_size : op.count);
}

ssize_t Sockets::recvfrom(int fd, void* data, size_t size, int flags, sockaddr* from, socklen_t* length) {
  File f;
  if (const int bad = find_socket(fd, f); bad != 0) return bad;
  if (data == nullptr && size > 0) return -EFAULT;
  const MutableByteSpan bytes{static_cast<std::uint8_t*>(data), std::min(size, kMostOctets)};
  Received got;
  const ssize_t n = receive_parts(fd, f, {&bytes, 1}, flags, got);
  if (n < 0 || from == nullptr) return n;
  // As Linux: the data is gone by then.
  if (length == nullptr) return -EFAULT;
  if (static_cast<int>(*length) < 0) return -EINVAL;
  if (got.has_address) {
    write_address(got.message.from, f.has(kV6), from, length, got.message.interface);
  } else {
    *length = 0;
  }
  return n;
}

namespace {

void tell_error(ControlWriter& control, bool v6, const ErrorEntry& e, bool zero_copy) {
  struct {
    sock_extended_err error;
    sockaddr_storage offender;
  } told{};
  const int level = v6 ? int{IPPROTO_IPV6} : int{IPPROTO_IP};
  const int type = v6 ? int{IPV6_RECVERR} : int{IP_RECVERR};
  if (zero_copy) {
    told.error.ee_origin = SO_EE_ORIGIN_ZEROCOPY;
    told.error.ee_code = SO_EE_CODE_ZEROCOPY_COPIED;
    told.error.ee_info = e.info;
    told.error.ee_data = e.data;
    control.put_bytes(level, type, &told, sizeof told.error);
    return;
  }
  told.error.ee_errno = static_cast<std::uint32_t>(errno_or_zero(e.error));
  told.error.ee_origin = static_cast<std::uint8_t>(e.origin);
  told.error.ee_type = e.type;
  told.error.ee_code = e.code;
  told.error.ee_info = e.info;
  told.error.ee_data = e.data;
  socklen_t length = v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  if (e.origin == ErrorOrigin::icmp || e.origin == ErrorOrigin::icmp6) {
    length = write_address({e.offender, Port{}}, v6, told.offender, e.interface);
  }
  control.put_bytes(level, type, &told, sizeof told.error + length);
}

void tell_times(ControlWriter& control, const File& f) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  if (f.has(kTellTimes)) control.put(SOL_SOCKET, SCM_TIMESTAMPING, std::array<timespec, 3>{now, {}, {}});
  if (f.has(kTellTimeNs)) {
    control.put(SOL_SOCKET, SCM_TIMESTAMPNS, now);
  } else if (f.has(kTellTime)) {
    control.put(SOL_SOCKET, SCM_TIMESTAMP, timeval{now.tv_sec, now.tv_nsec / 1000});
  }
}

void tell_packet(ControlWriter& control, const File& f, const Message& m) {
  tell_times(control, f);
  if (f.has(kTellMissed) && m.missed != 0) control.put(SOL_SOCKET, SO_RXQ_OVFL, m.missed);
  if (m.to.address.is_v4()) {
    in_pktinfo info{};
    std::memcpy(&info.ipi_addr, m.to.address.v4_bytes(), 4);
    // Of what was for many there is no address to answer from: as bound, or as the route says.
    if (!m.to.address.is_multicast() && !m.to.address.is_limited_broadcast()) info.ipi_spec_dst = info.ipi_addr;
    info.ipi_ifindex = m.interface;
    if (f.has(kTellPacketInfo)) control.put(IPPROTO_IP, IP_PKTINFO, info);
    if (f.has(kTellTtl)) control.put(IPPROTO_IP, IP_TTL, int{m.ttl});
    if (f.has(kTellTos)) control.put(IPPROTO_IP, IP_TOS, m.traffic_class);
    if (f.has(kTellDestination)) {
      sockaddr_storage to;
      const socklen_t length = write_address(m.to, false, to);
      control.put_bytes(IPPROTO_IP, IP_ORIGDSTADDR, &to, length);
    }
  }
  if (!f.has(kV6)) return;
  in6_pktinfo info{};
  std::memcpy(&info.ipi6_addr, m.to.address.bytes().data(), 16);
  info.ipi6_ifindex = m.interface;
  if (f.has(kTellPacketInfo6)) control.put(IPPROTO_IPV6, IPV6_PKTINFO, info);
  if (m.to.address.is_v4()) return;
  if (f.has(kTellHopLimit)) control.put(IPPROTO_IPV6, IPV6_HOPLIMIT, int{m.ttl});
  if (f.has(kTellTrafficClass)) control.put(IPPROTO_IPV6, IPV6_TCLASS, int{m.traffic_class});
}

}  // namespace

ssize_t Sockets::recvmsg(int fd, msghdr* message, int flags) {
  File f;
  if (const int bad = find_socket(fd, f); bad != 0) return bad;
  if (message == nullptr) return -EFAULT;
  if (static_cast<int>(name_length_of(*message)) < 0) return -EINVAL;
  if (message->msg_iovlen > kMostParts) return -EMSGSIZE;
  PartList<MutableByteSpan> parts;
  if (const int bad = parts.read(message->msg_iov, message->msg_iovlen); bad != 0) return bad;
  Received got;
  const ssize_t n = receive_parts(fd, f, parts.list(), flags, got);
  if (n < 0) return n;
  ControlWriter control(*message);
  if (got.is_error) {
    tell_error(control, f.has(kV6), got.error, got.zero_copy);
  } else if (got.has_address) {
    tell_packet(control, f, got.message);
  } else if (f.has(kTellInQueue)) {
    control.put(IPPROTO_TCP, 36 /* TCP_CM_INQ */, readable_octets(f));
  }
  message->msg_controllen = control.used();
  message->msg_flags = (got.truncated ? int{MSG_TRUNC} : 0) | (control.truncated() ? int{MSG_CTRUNC} : 0) |
                       (got.is_error ? int{MSG_ERRQUEUE} : 0) | (flags & MSG_CMSG_CLOEXEC);
  if (message->msg_name != nullptr) {
    if (got.has_address) {
      write_address(got.message.from, f.has(kV6), static_cast<sockaddr*>(message->msg_name), &message->msg_namelen,
                    got.message.interface);
    } else {
      message->msg_namelen = 0;
    }
  }
  return n;
}

int Sockets::recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, const timespec* timeout) {
  Instant until = Instant::never();
  if (timeout != nullptr) {
    if (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= 1'000'000'000) return -EINVAL;
    until = service_->now() + Duration::s(timeout->tv_sec) + Duration::ns(timeout->tv_nsec);
  }
  count = std::min(count, unsigned{kMostParts});
  File f;
  if (const int bad = find_socket(fd, f); bad != 0) return bad;
  if (messages == nullptr && count > 0) return -EFAULT;
  if ((flags & MSG_ERRQUEUE) == 0) {  // Linux: here an error comes before what is there to read
    if (const int error = take_error(f); error != 0) return -error;
  }
  for (unsigned i = 0; i < count; ++i) {
    const ssize_t n = recvmsg(fd, &messages[i].msg_hdr, flags & ~MSG_WAITFORONE);
    if (n < 0 && i > 0) {  // Linux: the next call is told
      const auto why = std::ranges::find(error_table(), static_cast<int>(-n), &ErrorInfo::errno_number);
      if (n != -EAGAIN && why != error_table().end()) give_error(f, why->code);
    }
    if (n < 0) return i > 0 ? static_cast<int>(i) : static_cast<int>(n);
    messages[i].msg_len = static_cast<unsigned>(n);
    if ((flags & MSG_WAITFORONE) != 0) flags |= MSG_DONTWAIT;
    // As Linux has it: the time is looked at between datagrams only.
    if (service_->now() >= until) return static_cast<int>(i) + 1;
  }
  return static_cast<int>(count);
}

ssize_t Sockets::read(int fd, void* data, size_t size) {
  File f;
  if (!find(fd, f)) return -EBADF;
  if (f.has(kSet)) return -EINVAL;
  if (size >= kNoMemory) return -EFAULT;
  if (size == 0) return 0;
  return recvfrom(fd, data, size, 0, nullptr, nullptr);
}

ssize_t Sockets::readv(int fd, const iovec* parts, int count) {
  File f;
  if (!find(fd, f)) return -EBADF;
  if (f.has(kSet) || count < 0 || static_cast<std::size_t>(count) > kMostParts) return -EINVAL;
  PartList<MutableByteSpan> list;
  if (const int bad = list.read(parts, static_cast<std::size_t>(count)); bad != 0) return bad;
  if (list.total() == 0) return 0;
  Received got;
  return receive_parts(fd, f, list.list(), 0, got);
}

}  // namespace leat::posix
