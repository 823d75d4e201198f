#pragma once
// Raw sockets: IP packets of one protocol, or of all, as they arrive; what is sent gets an IP header. Over IPv4 the
// user receives the IP header, over IPv6 he does not (RFC 3542 3). Threading: the owner of the shard.

#include <leat/core/modules.hpp>

namespace leat::ip {

extern const TransportModule kRawModule;
extern const SocketOps kRawOps;

}  // namespace leat::ip
