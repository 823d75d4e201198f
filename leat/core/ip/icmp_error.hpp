#pragma once
// ICMP errors, both versions: when one may be sent (RFC 1122 3.2.2, RFC 4443 2.4), and what becomes of one that was
// received. Threading: the owner of the shard.

#include <leat/core/modules.hpp>

namespace leat::ip {

// Sends an error in answer to a received packet, unless a rule or a rate limit forbids it. `info` is the pointer of a
// parameter problem or an MTU. `even_multicast`: RFC 4443 2.4 (e.3) allows two errors in answer to multicast.
void send_error(Core&, const TransportInput& offending, IcmpErrorKind, std::uint32_t info = 0,
                bool even_multicast = false);
// Tells the sockets behind one of our own packets (data at its IP header) that its next hop does not answer.
void report_unreachable(Core&, const Packet& own);
// An error that was received, `quoted_packet` being what it quotes: hands it to the transport of the quoted packet when
// that was one of ours. False: it speaks of nothing that we sent.
[[nodiscard]] bool dispatch_error(Core&, IcmpErrorKind, std::uint8_t type, std::uint8_t code, std::uint32_t info,
                                  const IpAddress& offender, InterfaceId, ByteSpan quoted_packet);
// An echo request, its checksum right, becomes the reply (RFC 1122 3.2.2.6, RFC 4443 4.2).
void answer_echo(Core&, TransportInput&& request, std::uint8_t reply_type);

// The global and the per-destination limit of ICMP errors.
[[nodiscard]] bool take_error_token(Core&, const IpAddress& to);

}  // namespace leat::ip
