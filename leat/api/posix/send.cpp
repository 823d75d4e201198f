// send, sendto, sendmsg, sendmmsg, write, writev.

#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <leat/api/posix/address.hpp>
#include <leat/api/posix/control_messages.hpp>
#include <leat/api/posix/errors.hpp>
#include <leat/api/posix/transfer.hpp>

namespace leat::posix {
namespace {

// A stream that can't be written any more: the signal comes first, as on Linux.
int broken_pipe(int flags) {
  if ((flags & MSG_NOSIGNAL) == 0) (void)std::raise(SIGPIPE);
  return -EPIPE;
}

std::size_t octets_of(std::span<const ByteSpan> parts) {
  std::size_t size = 0;
  for (const ByteSpan part : parts) size += part.size();
  return size;
}

}  // namespace

// Linux: those of a datagram, by the version of IP that it is sent with. 0, or what the message is refused with.
int Sockets::read_extras(const File& f, const msghdr& m, socklen_t name_length, SendExtras& extras) {
  if (m.msg_controllen == 0) return 0;
  if (f.handle.kind() == SocketKind::stream) return read_control(m, {}, extras);
  GivenAddress to;
  if (name_length == 0) {
    (void)read_endpoint(f, Verb::remote_endpoint, to.endpoint);
    if (to.endpoint.address.is_unspecified()) return 0;  // nobody: told when it is sent
  } else if (read_address(static_cast<const sockaddr*>(m.msg_name), name_length, f.has(kV6), AddressUse::send_datagram,
                          to) != 0) {
    return 0;  // so is that
  }
  const bool v4 = !f.has(kV6) || to.endpoint.address.is_v4();
  std::int64_t v6only = 0;
  if (v4 && f.has(kV6) && get_option(f, OptionId::v6only, v6only) == 0 && v6only != 0) return 0;  // and that
  const bool udp = f.handle.kind() == SocketKind::udp;
  const int bad = read_control(m, {.ip = v4, .ipv6 = !v4, .udp = udp, .mapped = v4 && f.has(kV6)}, extras);
  if (bad != 0) (void)ensure_bound(f, true);  // Linux: it has a name by then
  return bad;
}

ssize_t Sockets::send_stream(int fd, const File& f, ConstParts from, int flags) {
  const bool wait = waits(f, flags);
  const bool more = (flags & MSG_MORE) != 0;
  if (more && !f.has(kMore)) {
    if (set_option(f, OptionId::tcp_cork, 1) == 0) f.open->put(kMore, true);
  }
  Op op;
  op.send(f.handle, from);
  op.flags.dont_wait = !wait;
  if (wait) op.deadline = deadline_after(f.open->send_timeout_ns.load(std::memory_order_relaxed));
  run_waiting(op);
  if (!more && f.has(kMore)) {
    f.open->put(kMore, false);
    (void)set_option(f, OptionId::tcp_cork, remembered(f, IPPROTO_TCP, 3 /* TCP_CORK */, 0));
  }
  if (op.error != Errc{}) {
    // Linux: who never connected, or was cut off, has a broken pipe.
    if (op.error == Errc::broken_pipe || op.error == Errc::not_connected || op.error == Errc::not_supported) {
      return broken_pipe(flags);
    }
    return failed(fd, f, op);
  }
  if (op.count == 0 && op.status == IoStatus::would_block) return -EAGAIN;
  return static_cast<ssize_t>(op.count);
}

// MSG_ZEROCOPY: all was copied, and its completion waits to be read.
void Sockets::note_zero_copy(int fd, const File& f, int flags) {
  if ((flags & MSG_ZEROCOPY) == 0 || !f.has(kZeroCopy)) return;
  f.open->pending_zero_copy.fetch_add(1, std::memory_order_relaxed);
  tell_zero_copy(fd, f);
}

ssize_t Sockets::send_parts(int fd, const File& f, ConstParts from, int flags, const sockaddr* to, socklen_t length,
                            const SendExtras* extras) {
  if (f.handle.kind() == SocketKind::stream) {
    if ((flags & MSG_OOB) != 0) return -EOPNOTSUPP;
    const ssize_t sent = send_stream(fd, f, from, flags);
    if (sent > 0) note_zero_copy(fd, f, flags);
    return sent;
  }
  const std::size_t size = octets_of(from);
  if (size > kMostDatagram || (flags & MSG_OOB) != 0) {
    (void)ensure_bound(f, true);  // Linux: it has a name by then
    return size > kMostDatagram ? -EMSGSIZE : -EOPNOTSUPP;
  }
  Op op;
  InterfaceId scope = kNoInterface;
  if (to != nullptr) {
    GivenAddress address;
    if (const int bad = read_address(to, length, f.has(kV6), AddressUse::send_datagram, address); bad != 0) {
      (void)ensure_bound(f, true);
      return bad;
    }
    op.endpoint = address.endpoint;
    op.has_endpoint = true;
    scope = scope_of(address);
  }
  // Linux: who sends has a name, also when there is nobody to send to.
  if (const int bad = ensure_bound(f, !op.has_endpoint); bad != 0) return bad;
  const bool wait = waits(f, flags);
  // A datagram is one span.
  std::vector<std::uint8_t> gathered;
  ByteSpan one = from.empty() ? ByteSpan{} : from[0];
  if (from.size() > 1) {
    gathered.reserve(size);
    for (const ByteSpan part : from) gathered.insert(gathered.end(), part.begin(), part.end());
    one = gathered;
  }
  const Endpoint peer = op.endpoint;
  const bool has_peer = op.has_endpoint;
  op.send(f.handle, one);
  op.endpoint = peer;
  op.has_endpoint = has_peer;
  op.flags.dont_wait = !wait;
  if (wait) op.deadline = deadline_after(f.open->send_timeout_ns.load(std::memory_order_relaxed));
  SendOverrides as;
  if (extras != nullptr) as = extras->overrides;
  as.dont_route = (flags & MSG_DONTROUTE) != 0;
  if (as.interface == kNoInterface) as.interface = scope;
  if (as.any()) op.overrides = &as;
  run_waiting(op);
  if (op.error != Errc{}) {
    (void)ensure_bound(f, true);  // and so has who failed to
    return failed(fd, f, op);
  }
  if (op.status == IoStatus::would_block) return -EAGAIN;
  if (!f.has(kBound)) f.open->put(kBound, true);
  if (size > 0) note_zero_copy(fd, f, flags);
  return static_cast<ssize_t>(op.count);
}

ssize_t Sockets::sendto(int fd, const void* data, size_t size, int flags, const sockaddr* to, socklen_t length) {
  File f;
  if (const int bad = find_socket(fd, f); bad != 0) return bad;
  if (to != nullptr && length > sizeof(sockaddr_storage)) return -EINVAL;
  if (data == nullptr && size > 0) return -EFAULT;
  const ByteSpan bytes{static_cast<const std::uint8_t*>(data), std::min(size, kMostOctets)};
  return send_parts(fd, f, {&bytes, 1}, flags, to, length, nullptr);
}

ssize_t Sockets::sendmsg(int fd, const msghdr* message, int flags) {
  File f;
  if (const int bad = find_socket(fd, f); bad != 0) return bad;
  if (message == nullptr) return -EFAULT;
  const socklen_t name_length = name_length_of(*message);
  if (static_cast<int>(name_length) < 0) return -EINVAL;
  if (message->msg_iovlen > kMostParts) return -EMSGSIZE;
  PartList<ByteSpan> parts;
  if (const int bad = parts.read(message->msg_iov, message->msg_iovlen); bad != 0) return bad;
  SendExtras extras;
  if (const int bad = read_extras(f, *message, name_length, extras); bad != 0) return bad;
  // Nothing is cut here: as Linux on a path without checksum offload.
  if (extras.segment != 0 && octets_of(parts.list()) > extras.segment) return -EIO;
  return send_parts(fd, f, parts.list(), flags,
                    name_length > 0 ? static_cast<const sockaddr*>(message->msg_name) : nullptr, name_length,
                    extras.overrides.any() ? &extras : nullptr);
}

int Sockets::sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  count = std::min(count, unsigned{kMostParts});
  File f;
  if (const int bad = find_socket(fd, f); bad != 0) return bad;
  if (messages == nullptr && count > 0) return -EFAULT;
  for (unsigned i = 0; i < count; ++i) {
    const ssize_t sent = sendmsg(fd, &messages[i].msg_hdr, flags);
    if (sent < 0) return i > 0 ? static_cast<int>(i) : static_cast<int>(sent);
    messages[i].msg_len = static_cast<unsigned>(sent);
  }
  return static_cast<int>(count);
}

ssize_t Sockets::write(int fd, const void* data, size_t size) {
  File f;
  if (!find(fd, f)) return -EBADF;
  if (f.has(kSet)) return -EINVAL;
  if (size >= kNoMemory) return -EFAULT;
  return sendto(fd, data, size, 0, nullptr, 0);
}

ssize_t Sockets::writev(int fd, const iovec* parts, int count) {
  File f;
  if (!find(fd, f)) return -EBADF;
  if (f.has(kSet) || count < 0 || static_cast<std::size_t>(count) > kMostParts) return -EINVAL;
  PartList<ByteSpan> list;
  if (const int bad = list.read(parts, static_cast<std::size_t>(count)); bad != 0) return bad;
  if (octets_of(list.list()) == 0) return 0;  // Linux: no empty datagram, nor a signal
  return send_parts(fd, f, list.list(), 0, nullptr, 0, nullptr);
}

}  // namespace leat::posix
