#pragma once
// Ping sockets: the user sends an ICMP echo request (from its type byte on; its identifier and checksum are filled in)
// and receives the replies that bear the socket's identifier, from their type byte on. The identifier is the local
// port; bind chooses one. Both versions. Threading: the owner of the shard.

#include <leat/core/modules.hpp>

namespace leat::ip {

extern const TransportModule kPingModule;
extern const SocketOps kPingOps;

}  // namespace leat::ip
