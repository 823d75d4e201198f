#include <netinet/in.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>
#include <leat/api/posix/control_messages.hpp>

namespace leat::posix {

void ControlWriter::put_bytes(int level, int type, const void* data, std::size_t size) {
  const std::size_t space = CMSG_SPACE(size);
  if (used_ + sizeof(cmsghdr) > room_) {
    truncated_ = true;
    return;
  }
  const std::size_t fits = std::min(CMSG_LEN(size), room_ - used_);
  truncated_ = truncated_ || fits < CMSG_LEN(size);
  cmsghdr header{};
  header.cmsg_len = fits;
  header.cmsg_level = level;
  header.cmsg_type = type;
  auto* const to = static_cast<std::uint8_t*>(message_->msg_control) + used_;
  std::memcpy(to, &header, sizeof header);
  std::memcpy(to + CMSG_LEN(0), data, fits - CMSG_LEN(0));
  used_ += std::min(space, room_ - used_);
}

namespace {

template <class T>
bool take(const cmsghdr& c, const std::uint8_t* data, T& to) {
  if (c.cmsg_len < CMSG_LEN(sizeof to)) return false;
  std::memcpy(&to, data, sizeof to);
  return true;
}

int take_source(const cmsghdr& c, const std::uint8_t* data, SendOverrides& to) {
  in6_pktinfo info{};
  if (!take(c, data, info)) return -EINVAL;
  std::array<std::uint8_t, 16> wire{};
  std::memcpy(wire.data(), &info.ipi6_addr, 16);
  to.source = IpAddress::v6_wire(wire.data());
  to.interface = static_cast<InterfaceId>(info.ipi6_ifindex);
  return 0;
}

int read_one(const cmsghdr& c, const std::uint8_t* data, ControlLevels levels, SendControl& control) {
  SendOverrides& to = control.overrides;
  int number = 0;
  if (levels.mapped && c.cmsg_level == IPPROTO_IPV6 && c.cmsg_type == IPV6_PKTINFO) {
    if (const int bad = take_source(c, data, to); bad != 0) return bad;
    return to.source.is_v4() ? 0 : -EINVAL;
  }
  if (c.cmsg_level == IPPROTO_IP && levels.ip) {
    switch (c.cmsg_type) {
      case IP_TTL:
        if (!take(c, data, number) || number < 1 || number > 255) return -EINVAL;
        to.ttl = static_cast<std::int16_t>(number);
        return 0;
      case IP_TOS: {
        std::uint8_t octet = 0;
        if (c.cmsg_len == CMSG_LEN(1) && take(c, data, octet)) {
          number = octet;
        } else if (!take(c, data, number) || number < 0 || number > 255) {
          return -EINVAL;
        }
        to.tos = static_cast<std::int16_t>(number);
        return 0;
      }
      case IP_PKTINFO: {
        in_pktinfo info{};
        if (!take(c, data, info)) return -EINVAL;
        std::array<std::uint8_t, 4> wire{};
        std::memcpy(wire.data(), &info.ipi_spec_dst, 4);
        to.source = IpAddress::v4_wire(wire.data());
        to.interface = static_cast<InterfaceId>(info.ipi_ifindex);
        return 0;
      }
      default:
        return -EINVAL;
    }
  }
  if (c.cmsg_level == IPPROTO_IPV6 && levels.ipv6) {
    switch (c.cmsg_type) {
      case IPV6_HOPLIMIT:
        if (!take(c, data, number) || number < -1 || number > 255) return -EINVAL;
        to.ttl = static_cast<std::int16_t>(number);
        return 0;
      case IPV6_TCLASS:
        if (!take(c, data, number) || number < -1 || number > 255) return -EINVAL;
        to.tos = static_cast<std::int16_t>(number);
        return 0;
      case IPV6_PKTINFO:
        return take_source(c, data, to);
      default:
        return -EINVAL;
    }
  }
  if (c.cmsg_level == IPPROTO_UDP && levels.udp) {
    const bool known = c.cmsg_type == UDP_SEGMENT && c.cmsg_len == CMSG_LEN(sizeof control.segment);
    return known && take(c, data, control.segment) ? 0 : -EINVAL;
  }
  // Of other levels Linux takes no notice, but for its own of the socket.
  return c.cmsg_level == SOL_SOCKET ? -EINVAL : 0;
}

}  // namespace

int read_control(const msghdr& m, ControlLevels levels, SendControl& to) {
  if (m.msg_controllen == 0) return 0;
  if (m.msg_control == nullptr) return -EFAULT;
  const auto* const bytes = static_cast<const std::uint8_t*>(m.msg_control);
  for (std::size_t at = 0; at + sizeof(cmsghdr) <= m.msg_controllen;) {
    cmsghdr c{};
    std::memcpy(&c, bytes + at, sizeof c);
    if (c.cmsg_len < sizeof c || c.cmsg_len > m.msg_controllen - at) return -EINVAL;
    const std::uint8_t* const data = bytes + at + CMSG_LEN(0);
    at += CMSG_ALIGN(c.cmsg_len);
    if (const int bad = read_one(c, data, levels, to); bad != 0) return bad;
  }
  return 0;
}

}  // namespace leat::posix
