#pragma once
// Servers in the forms that any thread may call: one thread holds all connections of a server, thousands of them, and
// each form waits for them in its own way: BSD sockets in an epoll set, commands and coroutines as tasks. They answer
// exactly what the event form's do: what HTTP says comes from HttpSite.
//
//   auto server = make_posix_server(node.shared());
//   server->serve_http(site, Port{80}).value();
//   server->run();                               // until the stack is stopped
//
// Threading: made and told what to serve by one thread, run by one; what they count is read by any.

#include <atomic>
#include <cstdint>
#include <leat/base/result.hpp>
#include <leat/base/time.hpp>
#include <memory>

#include "form.hpp"
#include "http_site.hpp"

namespace leat::tools {

// Relaxed: nothing hangs on them.
struct EchoCounters {
  std::atomic<std::uint64_t> connections{0}, stream_bytes{0}, datagrams{0};
};

inline constexpr Duration kIdle = Duration::s(60);     // then an HTTP connection on which nothing moves is ended
inline constexpr Duration kBreath = Duration::ms(10);  // before trying again what wants for resources

class FormServer {
 public:
  virtual ~FormServer() = default;
  // Both before run(), on every address of the stack. Errors: of listen and bind.
  virtual Result<void> serve_http(HttpSite& site, Port port) = 0;
  virtual Result<void> serve_echo(EchoCounters& counters, Port port) = 0;
  virtual void run() = 0;
};

// Throws Failure when there is no descriptor for an epoll set.
[[nodiscard]] std::unique_ptr<FormServer> make_posix_server(std::shared_ptr<SharedStack> stack);
[[nodiscard]] std::unique_ptr<FormServer> make_channel_server(std::shared_ptr<SharedStack> stack);
[[nodiscard]] std::unique_ptr<FormServer> make_coroutine_server(std::shared_ptr<SharedStack> stack);

}  // namespace leat::tools
