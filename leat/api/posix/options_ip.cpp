// Options of IPPROTO_IP and IPPROTO_IPV6.

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <leat/api/posix/errors.hpp>
#include <leat/api/posix/option_value.hpp>
#include <leat/api/posix/sockets.hpp>
#include <optional>

namespace leat::posix {
namespace {

// Names that turn a flag of the description on and off; none for others.
std::uint32_t ip_flag(int name) {
  switch (name) {
    case IP_PKTINFO:
      return kTellPacketInfo;
    case IP_RECVTTL:
      return kTellTtl;
    case IP_RECVTOS:
      return kTellTos;
    case IP_RECVORIGDSTADDR:
      return kTellDestination;
    default:
      return 0;
  }
}
std::uint32_t ipv6_flag(int name) {
  switch (name) {
    case IPV6_RECVPKTINFO:
      return kTellPacketInfo6;
    case IPV6_RECVHOPLIMIT:
      return kTellHopLimit;
    case IPV6_RECVTCLASS:
      return kTellTrafficClass;
    default:
      return 0;
  }
}

// Names whose number is an option of the stack's; what may be set is asked where it is set.
std::optional<OptionId> ip_number(int name) {
  switch (name) {
    case IP_TTL:
      return OptionId::ip_default_ttl;
    case IP_TOS:
      return OptionId::ip_tos;
    case IP_MULTICAST_TTL:
      return OptionId::ip_multicast_ttl;
    case IP_MULTICAST_LOOP:
      return OptionId::ip_multicast_loop;
    case IP_MULTICAST_ALL:
      return OptionId::ip_multicast_all;
    case IP_RECVERR:
      return OptionId::ip_receive_errors;
    case IP_MINTTL:
      return OptionId::ip_min_ttl;
    case IP_FREEBIND:
      return OptionId::ip_freebind;
    case IP_BIND_ADDRESS_NO_PORT:
      return OptionId::ip_bind_address_no_port;
    default:
      return std::nullopt;
  }
}
std::optional<OptionId> ipv6_number(int name) {
  switch (name) {
    case IPV6_V6ONLY:
      return OptionId::v6only;
    case IPV6_UNICAST_HOPS:
      return OptionId::ip_default_ttl;
    case IPV6_MULTICAST_HOPS:
      return OptionId::ip_multicast_ttl;
    case IPV6_MULTICAST_LOOP:
      return OptionId::ip_multicast_loop;
    case IPV6_MULTICAST_IF:
      return OptionId::ip_multicast_interface;
    case IPV6_MULTICAST_ALL:
      return OptionId::ip_multicast_all;
    case IPV6_TCLASS:
      return OptionId::ip_tos;
    case IPV6_RECVERR:
      return OptionId::ip_receive_errors;
    case IPV6_MINHOPCOUNT:
      return OptionId::ip_min_hop_limit;
    case IPV6_FREEBIND:
      return OptionId::ip_freebind;
    default:
      return std::nullopt;
  }
}

// Names that are kept, and told again, without effect: docs/posix.md says why.
bool ipv6_kept(int name) {
  switch (name) {
    case IPV6_DONTFRAG:
    case IPV6_AUTOFLOWLABEL:
    case IPV6_ADDR_PREFERENCES:
      return true;
    default:
      return false;
  }
}

// RFC 3678 5: the calls of both levels.
bool is_protocol_independent(int name) {
  return (name >= MCAST_JOIN_GROUP && name <= MCAST_LEAVE_SOURCE_GROUP) || name == MCAST_MSFILTER;
}

// Linux: bulk, interactive, interactive bulk. The lowest bit of the four of RFC 1349 says nothing.
int priority_of(int tos) {
  constexpr std::array<int, 4> kPriorities{0, 2, 6, 4};
  return kPriorities[static_cast<std::size_t>(tos >> 3 & 3)];
}

// Linux: the ECN bits of a stream are TCP's.
int ecn_mask(const File& f) {
  return f.handle.kind() == SocketKind::stream ? ~3 : ~0;
}

}  // namespace

// The number of an interface in network order, as Linux has it here and nowhere else.
int Sockets::set_unicast_interface(const File& f, int index) {
  const std::uint32_t id = ntohl(static_cast<std::uint32_t>(index));
  if (id != 0) {
    std::array<InterfaceInfo, 64> list;
    ControlRequest request{.verb = ControlVerb::list_interfaces, .interfaces = list};
    Op op;
    op.control(request);
    run_through(op);
    const auto known = std::span{list}.first(std::min(request.total, list.size()));
    if (std::ranges::none_of(known, [&](const InterfaceInfo& i) { return i.id == id; })) return -EADDRNOTAVAIL;
  }
  return set_option(f, OptionId::ip_unicast_interface, id);
}

int Sockets::get_unicast_interface(const File& f, std::int64_t& index) {
  if (const int bad = get_option(f, OptionId::ip_unicast_interface, index); bad != 0) return bad;
  index = static_cast<std::int32_t>(htonl(static_cast<std::uint32_t>(index)));
  return 0;
}

int Sockets::set_ip_option(const File& f, int name, const void* value, socklen_t length) {
  switch (name) {  // values that are no numbers
    case IP_ADD_MEMBERSHIP:
    case IP_DROP_MEMBERSHIP:
    case IP_ADD_SOURCE_MEMBERSHIP:
    case IP_DROP_SOURCE_MEMBERSHIP:
    case IP_BLOCK_SOURCE:
    case IP_UNBLOCK_SOURCE:
      return set_ip_membership(f, name, value, length);
    case IP_MULTICAST_IF:
      return set_multicast_interface(f, value, length);
    default:
      if (is_protocol_independent(name)) {
        return set_protocol_independent_membership(f, IPPROTO_IP, name, value, length);
      }
  }
  int number = 0;
  if (!read_short_value(value, length, number)) return -EINVAL;
  if (const std::uint32_t flag = ip_flag(name); flag != 0) {
    f.open->put(static_cast<FileFlag>(flag), number != 0);
    return 0;
  }
  switch (name) {
    case IP_TTL:
      if (number != -1 && (number < 1 || number > 255)) return -EINVAL;
      return set_option(f, OptionId::ip_default_ttl, number == -1 ? 64 : number);
    case IP_TOS: {
      std::int64_t before = 0;
      if (const int bad = get_option(f, OptionId::ip_tos, before); bad != 0) return bad;
      const int tos = number & 0xff & ecn_mask(f);
      if (tos != before) remember(f, SOL_SOCKET, SO_PRIORITY, priority_of(tos));
      return set_option(f, OptionId::ip_tos, tos);
    }
    case IP_MULTICAST_TTL:
      if (f.handle.kind() == SocketKind::stream) return -EINVAL;
      if (number < -1 || number > 255) return -EINVAL;
      return set_option(f, OptionId::ip_multicast_ttl, number == -1 ? 1 : number);
    case IP_MULTICAST_LOOP:
      return set_option(f, OptionId::ip_multicast_loop, number != 0);
    case IP_MULTICAST_ALL:
      if (number != 0 && number != 1) return -EINVAL;
      return set_option(f, OptionId::ip_multicast_all, number);
    case IP_RECVERR:
      return set_option(f, OptionId::ip_receive_errors, number != 0);
    case IP_HDRINCL:
      if (f.handle.kind() != SocketKind::raw) return -ENOPROTOOPT;
      return set_option(f, OptionId::ip_header_included, number != 0);
    case IP_MINTTL:
      if (number < 0 || number > 255) return -EINVAL;
      return set_option(f, OptionId::ip_min_ttl, number);
    case IP_FREEBIND:
      return set_option(f, OptionId::ip_freebind, number != 0);
    case IP_BIND_ADDRESS_NO_PORT:
      return set_option(f, OptionId::ip_bind_address_no_port, number != 0);
    case IP_UNICAST_IF:
      return set_unicast_interface(f, number);
    case IP_MTU_DISCOVER:
      if (number < IP_PMTUDISC_DONT || number > 5) return -EINVAL;
      remember(f, IPPROTO_IP, name, number);
      return 0;
    default:
      return -ENOPROTOOPT;
  }
}

int Sockets::get_ip_option(const File& f, int name, void* value, socklen_t* length) {
  if (name == IP_MULTICAST_IF) return get_multicast_interface(f, value, length);
  std::int64_t number = 0;
  if (const std::uint32_t flag = ip_flag(name); flag != 0) {
    number = f.has(static_cast<FileFlag>(flag)) ? 1 : 0;
  } else if (const auto id = ip_number(name)) {
    if (const int bad = get_option(f, *id, number); bad != 0) return bad;
  } else if (name == IP_HDRINCL) {
    if (f.handle.kind() != SocketKind::raw) return -ENOPROTOOPT;
    if (const int bad = get_option(f, OptionId::ip_header_included, number); bad != 0) return bad;
  } else if (name == IP_UNICAST_IF) {
    if (const int bad = get_unicast_interface(f, number); bad != 0) return bad;
  } else if (name == IP_MTU_DISCOVER) {
    number = remembered(f, IPPROTO_IP, name, IP_PMTUDISC_WANT);
  } else {
    return -ENOPROTOOPT;
  }
  // A caller with less room than an int gets a byte (Linux).
  if (*length > 0 && *length < sizeof(int) && number >= 0 && number <= 255) {
    return write_value(value, length, static_cast<std::uint8_t>(number));
  }
  return write_value(value, length, static_cast<int>(number));
}

int Sockets::set_ipv6_option(const File& f, int name, const void* value, socklen_t length) {
  if (name == IPV6_JOIN_GROUP || name == IPV6_LEAVE_GROUP) return set_ipv6_membership(f, name, value, length);
  if (is_protocol_independent(name)) return set_protocol_independent_membership(f, IPPROTO_IPV6, name, value, length);
  int number = 0;
  if (!read_value(value, length, number)) return -EINVAL;
  if (const std::uint32_t flag = ipv6_flag(name); flag != 0) {
    f.open->put(static_cast<FileFlag>(flag), number != 0);
    return 0;
  }
  switch (name) {
    case IPV6_V6ONLY:
      if (f.has(kBound)) return -EINVAL;
      return set_option(f, OptionId::v6only, number != 0);
    case IPV6_UNICAST_HOPS:
      if (number < -1 || number > 255) return -EINVAL;
      return set_option(f, OptionId::ip_default_ttl, number <= 0 ? 64 : number);
    case IPV6_MULTICAST_HOPS:
      if (f.handle.kind() == SocketKind::stream) return -ENOPROTOOPT;
      if (number < -1 || number > 255) return -EINVAL;
      return set_option(f, OptionId::ip_multicast_ttl, number == -1 ? 1 : number);
    case IPV6_MULTICAST_LOOP:
      if (number != 0 && number != 1) return -EINVAL;
      return set_option(f, OptionId::ip_multicast_loop, number);
    case IPV6_MULTICAST_IF:
      if (number < 0 || number > 0xffff) return -ENODEV;
      return set_option(f, OptionId::ip_multicast_interface, number);
    case IPV6_MULTICAST_ALL:
      if (number != 0 && number != 1) return -EINVAL;
      return set_option(f, OptionId::ip_multicast_all, number);
    case IPV6_TCLASS:
      if (number < -1 || number > 255) return -EINVAL;
      return set_option(f, OptionId::ip_tos, number == -1 ? 0 : number & ecn_mask(f));
    case IPV6_RECVERR:
      return set_option(f, OptionId::ip_receive_errors, number != 0);
    case IPV6_MTU_DISCOVER:
      if (number < IPV6_PMTUDISC_DONT || number > 5) return -EINVAL;
      remember(f, IPPROTO_IPV6, name, number);
      return 0;
    case IPV6_MINHOPCOUNT:
      if (number < 0 || number > 255) return -EINVAL;
      return set_option(f, OptionId::ip_min_hop_limit, number);
    case IPV6_FREEBIND:
      return set_option(f, OptionId::ip_freebind, number != 0);
    case IPV6_UNICAST_IF:
      return set_unicast_interface(f, number);
    default:
      if (!ipv6_kept(name)) return -ENOPROTOOPT;
      remember(f, IPPROTO_IPV6, name, number);
      return 0;
  }
}

int Sockets::get_ipv6_option(const File& f, int name, void* value, socklen_t* length) {
  std::int64_t number = 0;
  if (const std::uint32_t flag = ipv6_flag(name); flag != 0) {
    number = f.has(static_cast<FileFlag>(flag)) ? 1 : 0;
  } else if (const auto id = ipv6_number(name)) {
    if (const int bad = get_option(f, *id, number); bad != 0) return bad;
  } else if (name == IPV6_MTU_DISCOVER) {
    number = remembered(f, IPPROTO_IPV6, name, IPV6_PMTUDISC_WANT);
  } else if (name == IPV6_UNICAST_IF) {
    if (const int bad = get_unicast_interface(f, number); bad != 0) return bad;
  } else if (ipv6_kept(name)) {
    number = remembered(f, IPPROTO_IPV6, name, name == IPV6_AUTOFLOWLABEL ? 1 : 0);
  } else {
    return -ENOPROTOOPT;
  }
  return write_value(value, length, static_cast<int>(number));
}

}  // namespace leat::posix
