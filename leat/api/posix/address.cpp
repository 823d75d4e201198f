#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <leat/api/posix/address.hpp>

namespace leat::posix {
namespace {

// SIN6_LEN_RFC2133: an address without a scope is long enough.
constexpr socklen_t kLeastV6 = 24;

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

// To connect or send to "any" means this host, on Linux.
IpAddress or_this_host(const IpAddress& a) {
  if (a == IpAddress{}) return IpAddress::v6({0, 0, 0, 0, 0, 0, 0, 1});
  return a.is_unspecified() ? IpAddress::v4(127, 0, 0, 1) : a;
}

}  // namespace

int read_address(const sockaddr* address, socklen_t length, bool v6_socket, AddressUse use, GivenAddress& to) {
  // Linux copies the address first, and of length 0 there is nothing to copy.
  if (length > sizeof(sockaddr_storage)) return -EINVAL;
  if (address == nullptr && length > 0) return -EFAULT;
  if (length < sizeof(sa_family_t)) return -EINVAL;
  sockaddr_storage storage{};
  std::memcpy(&storage, address, length);
  const bool connects = use == AddressUse::connect_stream || use == AddressUse::connect_datagram;
  const bool to_peer = use != AddressUse::bind;
  if (connects && storage.ss_family == AF_UNSPEC) {
    to = {.endpoint = {}, .disconnect = true};
    return 0;
  }
  // Datagrams of an AF_INET6 socket may go to plain IPv4 addresses; nothing else mixes.
  const bool v4_on_v6 = v6_socket && storage.ss_family == AF_INET &&
                        (use == AddressUse::send_datagram || use == AddressUse::connect_datagram);
  if (v6_socket && !v4_on_v6) {
    if (length < kLeastV6) return -EINVAL;
    if (storage.ss_family != AF_INET6) return use == AddressUse::send_datagram ? -EINVAL : -EAFNOSUPPORT;
    sockaddr_in6 in6{};
    std::memcpy(&in6, &storage, sizeof in6);
    to = {.endpoint = {from(in6.sin6_addr), Port{ntohs(in6.sin6_port)}}, .scope = in6.sin6_scope_id};
  } else {
    if (length < sizeof(sockaddr_in)) return -EINVAL;
    sockaddr_in in{};
    std::memcpy(&in, &storage, sizeof in);
    const bool unspecified_passes =
        use == AddressUse::send_datagram || (use == AddressUse::bind && in.sin_addr.s_addr == htonl(INADDR_ANY));
    if (in.sin_family != AF_INET && !(in.sin_family == AF_UNSPEC && unspecified_passes)) return -EAFNOSUPPORT;
    to = {.endpoint = {from(in.sin_addr), Port{ntohs(in.sin_port)}}};
  }
  if (to_peer) to.endpoint.address = or_this_host(to.endpoint.address);
  return 0;
}

InterfaceId scope_of(const GivenAddress& a) {
  const IpAddress& to = a.endpoint.address;
  if (to.is_v4()) return kNoInterface;
  const bool of_link = to.is_multicast() ? (to.bytes()[1] & 0x0f) == 2 : to.is_link_local();
  return of_link ? static_cast<InterfaceId>(a.scope) : kNoInterface;
}

socklen_t write_address(const Endpoint& e, bool v6_socket, sockaddr_storage& to, InterfaceId interface) {
  to = {};
  if (v6_socket) {
    sockaddr_in6 in6{};
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(e.port.value());
    std::memcpy(&in6.sin6_addr, e.address.bytes().data(), 16);
    if (!e.address.is_v4() && e.address.is_link_local()) in6.sin6_scope_id = interface;
    std::memcpy(&to, &in6, sizeof in6);
    return sizeof in6;
  }
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(e.port.value());
  if (e.address.is_v4()) std::memcpy(&in.sin_addr, e.address.v4_bytes(), 4);
  std::memcpy(&to, &in, sizeof in);
  return sizeof in;
}

void write_address(const Endpoint& e, bool v6_socket, sockaddr* address, socklen_t* length, InterfaceId interface) {
  if (address == nullptr || length == nullptr) return;
  sockaddr_storage storage;
  const socklen_t full = write_address(e, v6_socket, storage, interface);
  std::memcpy(address, &storage, std::min(*length, full));
  *length = full;
}

}  // namespace leat::posix
