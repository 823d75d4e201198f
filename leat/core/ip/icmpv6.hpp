#pragma once
// ICMPv6 (RFC 4443), inside the IPv6 module. Threading: the owner of the shard.

#include <leat/core/modules.hpp>

namespace leat::ip {

void icmpv6_input(Core&, TransportInput&& in);
// The error itself; the rules that allow it were checked (icmp_error.hpp).
void send_error_v6(Core&, const TransportInput& offending, IcmpErrorKind, std::uint32_t info);
// RFC 4443 3.4, with the code and pointer that the walk over extension headers found.
void send_parameter_problem(Core&, const TransportInput& offending, std::uint8_t code, std::uint32_t pointer,
                            bool even_multicast);

}  // namespace leat::ip
