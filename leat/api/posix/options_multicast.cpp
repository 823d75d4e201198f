// Membership in multicast groups: IP_ADD_MEMBERSHIP and its like, IPV6_JOIN_GROUP, and the calls of RFC 3678 that take
// both families.

#include <netinet/in.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <leat/api/posix/address.hpp>
#include <leat/api/posix/errors.hpp>
#include <leat/api/posix/option_value.hpp>
#include <leat/api/posix/sockets.hpp>
#include <vector>

namespace leat::posix {
namespace {

constexpr std::size_t kMostSources = 1024;

IpAddress from(const in_addr& a) {
  std::array<std::uint8_t, 4> wire{};
  std::memcpy(wire.data(), &a, wire.size());
  return IpAddress::v4_wire(wire.data());
}
IpAddress from(const in6_addr& a) {
  std::array<std::uint8_t, 16> wire{};
  std::memcpy(wire.data(), &a, wire.size());
  return IpAddress::v6_wire(wire.data());
}
int from(const sockaddr_storage& a, bool v6, IpAddress& to) {
  if (a.ss_family != (v6 ? AF_INET6 : AF_INET)) return v6 ? -EINVAL : -EADDRNOTAVAIL;
  if (v6) {
    sockaddr_in6 in6{};
    std::memcpy(&in6, &a, sizeof in6);
    to = from(in6.sin6_addr);
  } else {
    sockaddr_in in{};
    std::memcpy(&in, &a, sizeof in);
    to = from(in.sin_addr);
  }
  return 0;
}

template <class T>
bool take(const void* value, socklen_t length, T& to) {
  if (length < sizeof to) return false;
  std::memcpy(&to, value, sizeof to);
  return true;
}

InterfaceId interface_id(unsigned long index) {
  return index > 0xfffe ? InterfaceId{0xffff} : static_cast<InterfaceId>(index);  // the latter exists nowhere
}

}  // namespace

int Sockets::group_call(const File& f, GroupCall& call) {
  Op op;
  op.verb = Verb::group;
  op.socket = f.handle;
  op.group = &call;
  run_through(op);
  return negative(op.error);
}

// The interface that has this address: how IPv4 programs name one.
int Sockets::interface_of(const IpAddress& address, InterfaceId& id) {
  id = kNoInterface;
  if (address.is_unspecified()) return 0;
  std::array<AddressInfo, 256> list;
  ControlRequest request{.verb = ControlVerb::list_addresses, .addresses = list};
  Op op;
  op.control(request);
  run_through(op);
  for (std::size_t i = 0; i < std::min(request.total, list.size()); ++i) {
    if (list[i].prefix.address == address) {
      id = list[i].interface;
      return 0;
    }
  }
  return -ENODEV;
}

int Sockets::set_ip_membership(const File& f, int name, const void* value, socklen_t length) {
  GroupCall call;
  if (name == IP_ADD_MEMBERSHIP || name == IP_DROP_MEMBERSHIP) {
    call.verb = name == IP_ADD_MEMBERSHIP ? GroupVerb::join : GroupVerb::leave;
    ip_mreqn n{};
    ip_mreq r{};
    if (f.handle.kind() == SocketKind::stream) return -EPROTO;
    if (take(value, length, n)) {
      call.request.group = from(n.imr_multiaddr);
      call.request.interface = interface_id(static_cast<unsigned>(n.imr_ifindex));
      if (n.imr_ifindex == 0) {
        if (const int bad = interface_of(from(n.imr_address), call.request.interface); bad != 0) return bad;
      }
    } else {
      if (!take(value, length, r)) return -EINVAL;
      call.request.group = from(r.imr_multiaddr);
      if (const int bad = interface_of(from(r.imr_interface), call.request.interface); bad != 0) return bad;
    }
    const int result = group_call(f, call);
    // Linux: to leave by an interface that is not there is to be no member there.
    return result == -ENODEV && name == IP_DROP_MEMBERSHIP && call.request.interface != kNoInterface ? -EADDRNOTAVAIL
                                                                                                     : result;
  }
  ip_mreq_source r{};
  if (!take(value, length, r)) return -EINVAL;
  call.verb = name == IP_ADD_SOURCE_MEMBERSHIP    ? GroupVerb::join
              : name == IP_DROP_SOURCE_MEMBERSHIP ? GroupVerb::leave
              : name == IP_BLOCK_SOURCE           ? GroupVerb::block_source
                                                  : GroupVerb::unblock_source;
  call.request.group = from(r.imr_multiaddr);
  call.request.source = from(r.imr_sourceaddr);
  if (const int bad = interface_of(from(r.imr_interface), call.request.interface); bad != 0) return bad;
  return group_call(f, call);
}

// IP_MULTICAST_IF: by address, or by number.
int Sockets::set_multicast_interface(const File& f, const void* value, socklen_t length) {
  ip_mreqn n{};
  ip_mreq r{};
  in_addr a{};
  InterfaceId id = kNoInterface;
  if (take(value, length, n) && n.imr_ifindex != 0) {
    id = interface_id(static_cast<unsigned>(n.imr_ifindex));
  } else {
    if (take(value, length, n)) {
      a = n.imr_address;
    } else if (take(value, length, r)) {
      a = r.imr_interface;
    } else if (!take(value, length, a)) {
      return -EINVAL;
    }
    if (const int bad = interface_of(from(a), id); bad != 0) return -EADDRNOTAVAIL;
  }
  return set_option(f, OptionId::ip_multicast_interface, id);
}

// As an address: the first of the interface, which is what most programs gave.
int Sockets::get_multicast_interface(const File& f, void* value, socklen_t* length) {
  std::int64_t id = 0;
  if (const int bad = get_option(f, OptionId::ip_multicast_interface, id); bad != 0) return bad;
  in_addr address{};
  std::array<AddressInfo, 256> list;
  ControlRequest request{.verb = ControlVerb::list_addresses, .addresses = list};
  Op op;
  op.control(request);
  if (id != 0) run_through(op);
  for (std::size_t i = 0; i < std::min(request.total, list.size()); ++i) {
    if (list[i].interface != id || !list[i].prefix.address.is_v4()) continue;
    std::memcpy(&address, list[i].prefix.address.v4_bytes(), 4);
    break;
  }
  return write_value(value, length, address);
}

int Sockets::set_ipv6_membership(const File& f, int name, const void* value, socklen_t length) {
  ipv6_mreq r{};
  if (!take(value, length, r)) return -EINVAL;
  if (f.handle.kind() == SocketKind::stream) return -EPROTO;
  GroupCall call;
  call.verb = name == IPV6_JOIN_GROUP ? GroupVerb::join : GroupVerb::leave;
  call.request = {.group = from(r.ipv6mr_multiaddr), .interface = interface_id(r.ipv6mr_interface)};
  if (call.request.group.is_v4()) return -EINVAL;
  return group_call(f, call);
}

// MCAST_JOIN_GROUP and its like, of either level.
int Sockets::set_protocol_independent_membership(const File& f, int level, int name, const void* value,
                                                 socklen_t length) {
  const bool v6 = level == IPPROTO_IPV6;
  GroupCall call;
  if (name == MCAST_JOIN_GROUP || name == MCAST_LEAVE_GROUP) {
    group_req r{};
    if (!take(value, length, r)) return -EINVAL;
    call.verb = name == MCAST_JOIN_GROUP ? GroupVerb::join : GroupVerb::leave;
    call.request.interface = interface_id(r.gr_interface);
    if (const int bad = from(r.gr_group, v6, call.request.group); bad != 0) return -EINVAL;
    return group_call(f, call);
  }
  if (name == MCAST_MSFILTER) {
    constexpr std::size_t kHead = offsetof(group_filter, gf_slist);
    group_filter head{};
    if (length < kHead) return -EINVAL;
    std::memcpy(&head, value, kHead);
    if (head.gf_numsrc > kMostSources || length < kHead + head.gf_numsrc * sizeof(sockaddr_storage)) return -EINVAL;
    if (head.gf_fmode != MCAST_INCLUDE && head.gf_fmode != MCAST_EXCLUDE) return -EINVAL;
    std::vector<IpAddress> sources(head.gf_numsrc);
    for (std::size_t i = 0; i < sources.size(); ++i) {
      sockaddr_storage one{};
      std::memcpy(&one, static_cast<const std::uint8_t*>(value) + kHead + i * sizeof one, sizeof one);
      if (const int bad = from(one, v6, sources[i]); bad != 0) return bad;
    }
    call.verb = GroupVerb::set_filter;
    call.request.interface = interface_id(head.gf_interface);
    if (const int bad = from(head.gf_group, v6, call.request.group); bad != 0) return -EINVAL;
    call.mode = head.gf_fmode == MCAST_INCLUDE ? FilterMode::include : FilterMode::exclude;
    call.sources = sources;
    call.count = sources.size();
    return group_call(f, call);
  }
  group_source_req r{};
  if (!take(value, length, r)) return -EINVAL;
  call.verb = name == MCAST_JOIN_SOURCE_GROUP    ? GroupVerb::join
              : name == MCAST_LEAVE_SOURCE_GROUP ? GroupVerb::leave
              : name == MCAST_BLOCK_SOURCE       ? GroupVerb::block_source
                                                 : GroupVerb::unblock_source;
  call.request.interface = interface_id(r.gsr_interface);
  if (const int bad = from(r.gsr_group, v6, call.request.group); bad != 0) return bad;
  if (const int bad = from(r.gsr_source, v6, call.request.source); bad != 0) return bad;
  return group_call(f, call);
}

}  // namespace leat::posix
