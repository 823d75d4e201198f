// TCP over IPv4 with NewReno, and nothing else.
// modules: no   no   no
#include <leat/core/tcp/congestion/congestion.hpp>
#include <leat/core/tcp/tcp.hpp>

#include "board.hpp"
#include "echo.hpp"

namespace {

constexpr leat::Modules kModules{
    .tcp = &leat::tcp::kTcpModule,
    .sockets = {nullptr, &leat::tcp::kStreamOps, &leat::tcp::kListenerOps},
    .congestion = {&leat::tcp::kNewReno},
};

}  // namespace

int run_image() {
  return run_echo(kModules);
}
