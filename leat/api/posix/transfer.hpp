#pragma once
// What the sending and receiving calls share. Threading: values.

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <leat/api/posix/control_messages.hpp>
#include <leat/api/posix/sockets.hpp>
#include <vector>

namespace leat::posix {

// More than this no call moves, as on Linux (MAX_RW_COUNT).
inline constexpr std::size_t kMostOctets = 0x7ffff000;
// More parts than this no call takes (UIO_MAXIOV).
inline constexpr std::size_t kMostParts = 1024;
// No datagram is longer than an IP packet.
inline constexpr std::size_t kMostDatagram = 65535;

// No memory is as long as this, wherever it begins: EFAULT of calls that look at all of it (Linux).
inline constexpr std::size_t kNoMemory = PTRDIFF_MAX;

// The parts of an iovec array as spans: in the frame as long as they are few. All together are at most kMostOctets;
// what is beyond is left out.
template <class Span>
class PartList {
 public:
  // 0, or -EINVAL for a length that no ssize_t holds, -EFAULT for nothing where something must be. As on Linux a part
  // that is longer than memory is cut where it is the only one, and -EFAULT among others.
  int read(const iovec* parts, std::size_t count) {
    if (parts == nullptr && count > 0) return -EFAULT;
    if (count > few_.size()) many_.resize(count);
    Span* const to = count > few_.size() ? many_.data() : few_.data();
    total_ = 0;
    const std::span<const iovec> given{parts, count};
    if (std::ranges::any_of(given, [](const iovec& p) { return p.iov_len > std::size_t{PTRDIFF_MAX}; })) return -EINVAL;
    for (std::size_t i = 0; i < count; ++i) {
      const iovec& part = parts[i];
      if (count > 1 && part.iov_len >= kNoMemory) return -EFAULT;
      if (part.iov_base == nullptr && part.iov_len > 0) return -EFAULT;
      const std::size_t size = std::min(part.iov_len, kMostOctets - total_);
      to[i] = Span{static_cast<typename Span::pointer>(part.iov_base), size};
      total_ += size;
    }
    list_ = {to, count};
    return 0;
  }
  [[nodiscard]] std::span<const Span> list() const { return list_; }
  [[nodiscard]] std::size_t total() const { return total_; }

 private:
  std::array<Span, 8> few_;
  std::vector<Span> many_;
  std::span<const Span> list_;
  std::size_t total_ = 0;
};

// How long the address of a message is: without one nothing, and no more than an address can be (Linux).
[[nodiscard]] inline socklen_t name_length_of(const msghdr& m) {
  if (m.msg_name == nullptr) return 0;
  return static_cast<int>(m.msg_namelen) < 0 ? m.msg_namelen
                                             : std::min<socklen_t>(m.msg_namelen, sizeof(sockaddr_storage));
}

struct Sockets::Received {
  Message message;
  bool has_address = false;
  bool truncated = false;
  bool is_error = false;
  ErrorEntry error;
  bool zero_copy = false;  // `error` tells of MSG_ZEROCOPY
};

struct Sockets::SendExtras : SendControl {};

}  // namespace leat::posix
