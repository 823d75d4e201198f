#pragma once
// The module table with everything in it. An image that wants less names a table of its own.

#include <leat/core/ip/ipv6_module.hpp>
#include <leat/core/ip/ping.hpp>
#include <leat/core/ip/raw.hpp>
#include <leat/core/modules.hpp>
#include <leat/core/udp/udp.hpp>

namespace leat {

inline constexpr Modules kAllModules{
    .ipv6 = &kIpv6Module,
    .udp = &udp::kUdpModule,
    .raw = &ip::kRawModule,
    .icmp = &ip::kPingModule,
    .sockets = {nullptr, nullptr, nullptr, &udp::kUdpOps, &ip::kRawOps, &ip::kPingOps},
};

}  // namespace leat
