// Without IPv6.
// modules: no   yes  yes
#include <leat/core/tcp/congestion/congestion.hpp>
#include <leat/core/tcp/scoreboard.hpp>
#include <leat/core/tcp/tcp.hpp>

#include "board.hpp"
#include "echo.hpp"

namespace {

constexpr leat::Modules kModules{
    .tcp = &leat::tcp::kTcpModule,
    .sockets = {nullptr, &leat::tcp::kStreamOps, &leat::tcp::kListenerOps},
    .sack = &leat::tcp::kSack,
    .congestion = {&leat::tcp::kNewReno, &leat::tcp::kCubic},
};

}  // namespace

int run_image() {
  return run_echo(kModules);
}
