#pragma once
// What becomes of an error for the socket that it concerns: the one table from ICMP errors to Errc, which are hard, and
// the way into the error queue (option ip_receive_errors). RFC 1122 3.2.2.1, 4.1.3.3, 4.2.3.9; RFC 4443 3; Linux
// IP_RECVERR. Threading: the owner of the shard.

#include <leat/core/modules.hpp>

namespace leat::ip {

// One table for every transport, with the errno values that programs know from Linux.
[[nodiscard]] Errc errc_of(const IcmpError&);
// RFC 1122 4.2.3.9, RFC 1812 5.2.7.1: trying again is in vain. (Soft: the network may recover.)
[[nodiscard]] bool is_hard(IcmpErrorKind);

// Whether the socket asked for its errors to be queued.
[[nodiscard]] bool queues_errors(const Core&, Index socket);
// Queues what an ICMP error said of a datagram of the socket's, if it asked for that. `payload`: of the datagram, as
// much as was quoted.
void queue_icmp_error(Core&, Index socket, const IcmpError&, Port destination, ByteSpan payload);
// Queues an error that this stack itself found: the datagram did not leave. `info` is the MTU where one is to blame.
void queue_local_error(Core&, Index socket, Errc, const Endpoint& destination, std::uint32_t info);

}  // namespace leat::ip
