#pragma once
// UDP (RFC 768, RFC 1122 4.1, RFC 8085). Sockets are bound in a ListenerTable and, once connected, found by their
// four-tuple before any of those; broadcast and multicast datagrams go to every socket that matches. Threading: the
// owner of the shard.

#include <leat/core/modules.hpp>

namespace leat::udp {

extern const TransportModule kUdpModule;
extern const SocketOps kUdpOps;

}  // namespace leat::udp
