#pragma once
// Socket addresses as the C library has them, to and from Endpoint. An AF_INET6 socket shows IPv4 peers as v4-mapped
// addresses. Functions answer 0 or a negative errno value. Threading: pure functions.

#include <sys/socket.h>

#include <leat/base/address.hpp>
#include <leat/op/message.hpp>

namespace leat::posix {

// What an address is given for: Linux checks differently.
enum class AddressUse : std::uint8_t { bind, connect_stream, connect_datagram, send_datagram };

// `v6_socket`: of the AF_INET6 family. AF_UNSPEC (connect) gives an unspecified endpoint and `disconnect`.
struct GivenAddress {
  Endpoint endpoint;
  bool disconnect = false;
  std::uint32_t scope = 0;  // sin6_scope_id
};
// The interface that `sin6_scope_id` names, of an address that means nothing without one (RFC 4007): else kNoInterface.
[[nodiscard]] InterfaceId scope_of(const GivenAddress& a);
[[nodiscard]] int read_address(const sockaddr* address, socklen_t length, bool v6_socket, AddressUse use,
                               GivenAddress& to);

// Writes the endpoint as an address of the socket's family, at most *length bytes of it; *length becomes the full
// length. Nothing where `address` is null. `interface` goes into sin6_scope_id of link-local addresses.
void write_address(const Endpoint& e, bool v6_socket, sockaddr* address, socklen_t* length, InterfaceId interface = 0);

// The same into a sockaddr_storage; returns the length.
socklen_t write_address(const Endpoint& e, bool v6_socket, sockaddr_storage& to, InterfaceId interface = 0);

}  // namespace leat::posix
