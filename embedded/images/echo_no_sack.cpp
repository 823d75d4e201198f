// Without selective acknowledgements.
// modules: yes  no   yes
#include <leat/core/ip/ipv6_module.hpp>
#include <leat/core/tcp/congestion/congestion.hpp>
#include <leat/core/tcp/tcp.hpp>

#include "board.hpp"
#include "echo.hpp"

namespace {

constexpr leat::Modules kModules{
    .ipv6 = &leat::kIpv6Module,
    .tcp = &leat::tcp::kTcpModule,
    .sockets = {nullptr, &leat::tcp::kStreamOps, &leat::tcp::kListenerOps},
    .congestion = {&leat::tcp::kNewReno, &leat::tcp::kCubic},
};

}  // namespace

int run_image() {
  return run_echo(kModules);
}
