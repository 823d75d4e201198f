#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <leat/device/descriptor.hpp>
#include <leat/device/netlink_unsafe.hpp>

namespace leat::netlink {
namespace {

// An interface request with its name filled in; nothing when the name is too long.
std::optional<ifreq> request_for(std::string_view name) {
  ifreq r{};
  if (name.empty() || name.size() >= sizeof r.ifr_name) return std::nullopt;
  std::memcpy(r.ifr_name, name.data(), name.size());
  return r;
}

Result<ifreq> interface_ioctl(unsigned long what, std::string_view name, auto&& fill) {
  std::optional<ifreq> r = request_for(name);
  if (!r) return fail(Errc::invalid_argument);
  const Descriptor s(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!s) return fail(errc_of(errno));
  fill(*r);
  if (::ioctl(s.get(), what, &*r) != 0) return fail(errc_of(errno));
  return *r;
}
Result<ifreq> interface_ioctl(unsigned long what, std::string_view name) {
  return interface_ioctl(what, name, [](ifreq&) {});
}

// One netlink message under construction.
class Message {
 public:
  Message(std::uint16_t type, std::uint16_t flags) {
    nlmsghdr h{};
    h.nlmsg_type = type;
    h.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    h.nlmsg_seq = 1;
    put(&h, sizeof h);
  }
  template <class T>
  void body(const T& value) {
    put(&value, sizeof value);
  }
  void attribute(std::uint16_t type, const void* data, std::size_t length) {
    rtattr a{};
    a.rta_type = type;
    a.rta_len = static_cast<std::uint16_t>(RTA_LENGTH(length));
    put(&a, sizeof a);
    put(data, length);
  }
  void attribute(std::uint16_t type, const IpAddress& address) {
    const ByteSpan bytes = address.wire();
    attribute(type, bytes.data(), bytes.size());
  }
  void attribute(std::uint16_t type, std::uint32_t value) { attribute(type, &value, sizeof value); }
  // With the zero behind it that names have.
  void text(std::uint16_t type, std::string_view value) {
    std::array<char, IFNAMSIZ> padded{};
    LEAT_ASSERT(value.size() < padded.size());
    std::memcpy(padded.data(), value.data(), value.size());
    attribute(type, padded.data(), value.size() + 1);
  }
  // An attribute of attributes: what is put until end_nest() stands in it.
  [[nodiscard]] std::size_t begin_nest(std::uint16_t type) {
    const std::size_t at = size_;
    attribute(type, nullptr, 0);
    return at;
  }
  void end_nest(std::size_t at) {
    const auto length = static_cast<std::uint16_t>(size_ - at);
    std::memcpy(bytes_.data() + at + offsetof(rtattr, rta_len), &length, sizeof length);
  }
  // Sends it and waits for the answer.
  [[nodiscard]] Result<void> call();
  // The same for a question: whether the answer is a message of `type`, whose body begins as `body` is filled.
  template <class T>
  [[nodiscard]] bool ask(std::uint16_t type, T& body);

 private:
  using Answer = std::array<std::uint8_t, 1024>;
  [[nodiscard]] Result<std::size_t> exchange(Answer& answer);
  void put(const void* data, std::size_t length) {
    LEAT_ASSERT(size_ + length + 4 <= bytes_.size());
    if (length > 0) std::memcpy(bytes_.data() + size_, data, length);
    size_ += (length + 3) & ~std::size_t{3};
  }
  alignas(nlmsghdr) std::array<std::uint8_t, 256> bytes_{};
  std::size_t size_ = 0;
};

Result<std::size_t> Message::exchange(Answer& answer) {
  const Descriptor s(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!s) return fail(errc_of(errno));
  const auto length = static_cast<std::uint32_t>(size_);
  std::memcpy(bytes_.data(), &length, sizeof length);
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (::sendto(s.get(), bytes_.data(), size_, 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) < 0) {
    return fail(errc_of(errno));
  }
  const ssize_t n = ::recv(s.get(), answer.data(), answer.size(), 0);
  if (n < 0) return fail(errc_of(errno));
  return static_cast<std::size_t>(n);
}

Result<void> Message::call() {
  alignas(nlmsghdr) Answer answer;
  const Result<std::size_t> n = exchange(answer);
  if (!n) return fail(n.error());
  nlmsghdr h{};
  nlmsgerr e{};
  if (*n < sizeof h + sizeof e) return fail(Errc::io_error);
  std::memcpy(&h, answer.data(), sizeof h);
  std::memcpy(&e, answer.data() + sizeof h, sizeof e);
  if (h.nlmsg_type != NLMSG_ERROR) return fail(Errc::io_error);
  if (e.error != 0) return fail(errc_of(-e.error));
  return {};
}

template <class T>
bool Message::ask(std::uint16_t type, T& body) {
  alignas(nlmsghdr) Answer answer;
  const Result<std::size_t> n = exchange(answer);
  nlmsghdr h{};
  if (!n || *n < sizeof h + sizeof body) return false;
  std::memcpy(&h, answer.data(), sizeof h);
  std::memcpy(&body, answer.data() + sizeof h, sizeof body);
  return h.nlmsg_type == type;
}

Result<void> set_up(std::string_view name, bool up) {
  const Result<ifreq> now = interface_ioctl(SIOCGIFFLAGS, name);
  if (!now) return fail(now.error());
  const auto set = interface_ioctl(SIOCSIFFLAGS, name, [&](ifreq& r) {
    r.ifr_flags = static_cast<short>(up ? now->ifr_flags | IFF_UP : now->ifr_flags & ~IFF_UP);
  });
  if (!set) return fail(set.error());
  return {};
}

std::uint8_t family_of(const IpAddress& a) {
  return a.is_v4() ? AF_INET : AF_INET6;
}

// Even without duplicate detection the kernel brings an IPv6 address into use by a work queue of its own, a moment
// after it said yes. Until its local route stands, packets to it are dropped.
void await_use(const IpAddress& address) {
  for (int i = 0; i < 200; ++i) {  // 200 ms in all: an interface that is down gets there later
    Message m(RTM_GETROUTE, 0);
    rtmsg question{};
    question.rtm_family = family_of(address);
    question.rtm_dst_len = 128;
    m.body(question);
    m.attribute(RTA_DST, address);
    rtmsg route{};
    if (m.ask(RTM_NEWROUTE, route) && route.rtm_type == RTN_LOCAL) return;
    ::usleep(1000);
  }
}

}  // namespace

Errc errc_of(int os_error) {
  switch (os_error) {
    case EPERM:
    case EACCES:
      return Errc::permission_denied;
    case ENODEV:
    case ENXIO:
    case ENOENT:
      return Errc::not_found;
    case EBUSY:
      return Errc::address_in_use;
    case EEXIST:
      return Errc::already_exists;
    case EINVAL:
      return Errc::invalid_argument;
    case ENETUNREACH:
    case EHOSTUNREACH:
      return Errc::network_unreachable;
    case EOPNOTSUPP:
      return Errc::not_supported;
    case ENOMEM:
    case ENOBUFS:
      return Errc::no_buffers;
    default:
      return Errc::io_error;
  }
}

Result<std::uint32_t> interface_index(std::string_view name) {
  const Result<ifreq> r = interface_ioctl(SIOCGIFINDEX, name);
  if (!r) return fail(r.error());
  return static_cast<std::uint32_t>(r->ifr_ifindex);
}

Result<void> link_up(std::string_view name) {
  return set_up(name, true);
}
Result<void> link_down(std::string_view name) {
  return set_up(name, false);
}

Result<void> delete_link(std::string_view name) {
  const Result<std::uint32_t> index = interface_index(name);
  if (!index) return fail(index.error());
  Message m(RTM_DELLINK, 0);
  ifinfomsg link{};
  link.ifi_index = static_cast<int>(*index);
  m.body(link);
  return m.call();
}

Result<void> add_veth(std::string_view name, std::string_view peer, std::uint32_t process) {
  if (!request_for(name) || !request_for(peer)) return fail(Errc::invalid_argument);
  Message m(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  m.body(ifinfomsg{});
  m.text(IFLA_IFNAME, name);
  const std::size_t info = m.begin_nest(IFLA_LINKINFO);
  m.text(IFLA_INFO_KIND, "veth");
  const std::size_t data = m.begin_nest(IFLA_INFO_DATA);
  const std::size_t other = m.begin_nest(VETH_INFO_PEER);
  m.body(ifinfomsg{});
  m.text(IFLA_IFNAME, peer);
  if (process != 0) m.attribute(IFLA_NET_NS_PID, process);
  m.end_nest(other);
  m.end_nest(data);
  m.end_nest(info);
  return m.call();
}

Result<void> set_mtu(std::string_view name, std::uint32_t mtu) {
  const auto set = interface_ioctl(SIOCSIFMTU, name, [&](ifreq& r) { r.ifr_mtu = static_cast<int>(mtu); });
  if (!set) return fail(set.error());
  return {};
}

Result<std::uint32_t> get_mtu(std::string_view name) {
  const Result<ifreq> r = interface_ioctl(SIOCGIFMTU, name);
  if (!r) return fail(r.error());
  return static_cast<std::uint32_t>(r->ifr_mtu);
}

// By rtnetlink: the ioctl is refused in a user namespace.
Result<void> set_queue_length(std::string_view name, std::uint32_t packets) {
  const Result<std::uint32_t> index = interface_index(name);
  if (!index) return fail(index.error());
  Message m(RTM_SETLINK, 0);
  ifinfomsg link{};
  link.ifi_index = static_cast<int>(*index);
  m.body(link);
  m.attribute(IFLA_TXQLEN, packets);
  return m.call();
}

Result<std::uint32_t> get_queue_length(std::string_view name) {
  const Result<ifreq> r = interface_ioctl(SIOCGIFTXQLEN, name);
  if (!r) return fail(r.error());
  return static_cast<std::uint32_t>(r->ifr_qlen);
}

Result<MacAddress> get_mac(std::string_view name) {
  const Result<ifreq> r = interface_ioctl(SIOCGIFHWADDR, name);
  if (!r) return fail(r.error());
  if (r->ifr_hwaddr.sa_family != ARPHRD_ETHER) return fail(Errc::not_supported);
  MacAddress mac;
  std::memcpy(mac.bytes.data(), r->ifr_hwaddr.sa_data, mac.bytes.size());
  return mac;
}

Result<void> add_address(std::string_view name, const IpPrefix& prefix) {
  const Result<std::uint32_t> index = interface_index(name);
  if (!index) return fail(index.error());
  Message m(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
  ifaddrmsg a{};
  a.ifa_family = family_of(prefix.address);
  a.ifa_prefixlen = prefix.length;
  a.ifa_flags = prefix.address.is_v4() ? 0 : IFA_F_NODAD;
  a.ifa_index = *index;
  m.body(a);
  m.attribute(IFA_LOCAL, prefix.address);
  m.attribute(IFA_ADDRESS, prefix.address);
  if (const auto broadcast = prefix.broadcast()) m.attribute(IFA_BROADCAST, *broadcast);
  const Result<void> added = m.call();
  if (added && !prefix.address.is_v4() && !prefix.address.is_link_local()) await_use(prefix.address);
  return added;
}

Result<void> add_route(std::string_view name, const IpPrefix& destination, std::optional<IpAddress> gateway) {
  const Result<std::uint32_t> index = interface_index(name);
  if (!index) return fail(index.error());
  Message m(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
  rtmsg r{};
  r.rtm_family = family_of(destination.address);
  r.rtm_dst_len = destination.length;
  r.rtm_table = RT_TABLE_MAIN;
  r.rtm_protocol = RTPROT_BOOT;
  r.rtm_scope = gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  r.rtm_type = RTN_UNICAST;
  m.body(r);
  if (destination.length > 0) m.attribute(RTA_DST, destination.address);
  if (gateway) m.attribute(RTA_GATEWAY, *gateway);
  m.attribute(RTA_OIF, *index);
  return m.call();
}

}  // namespace leat::netlink
