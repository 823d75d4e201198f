#pragma once
// The module table with everything in it. An image that wants less names a table of its own.

#include <leat/core/ip/ipv6_module.hpp>
#include <leat/core/ip/ping.hpp>
#include <leat/core/ip/raw.hpp>
#include <leat/core/modules.hpp>
#include <leat/core/tcp/congestion/congestion.hpp>
#include <leat/core/tcp/scoreboard.hpp>
#include <leat/core/tcp/tcp.hpp>
#include <leat/core/udp/udp.hpp>

namespace leat {

inline constexpr Modules kAllModules{
    .ipv6 = &kIpv6Module,
    .tcp = &tcp::kTcpModule,
    .udp = &udp::kUdpModule,
    .raw = &ip::kRawModule,
    .icmp = &ip::kPingModule,
    .sockets = {nullptr, &tcp::kStreamOps, &tcp::kListenerOps, &udp::kUdpOps, &ip::kRawOps, &ip::kPingOps},
    .sack = &tcp::kSack,
    .congestion = {&tcp::kNewReno, &tcp::kCubic},
};

}  // namespace leat
