#pragma once
// Services on a stack that any thread may call: HTTP and echo in the forms posix, channel and coroutine, in a thread of
// their own (form_server.hpp).
//
//   SharedServices services(node, Form::posix);
//   services.serve_http("public", 80, true);
//   services.start();
//   wait_for_stop_signal(...);                // SIGINT or SIGTERM, blocked since before the stack began
//   services.stop();                          // ends the stack, then the thread
//
// Threading: made, used and stopped by one thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "form.hpp"
#include "node.hpp"

namespace leat::tools {

// SIGINT and SIGTERM end nothing by themselves any more; every thread that is made later inherits that.
void block_stop_signals();
// Until one of them comes; calls `every_second` meanwhile.
void wait_for_stop_signal(const std::function<void()>& every_second);

class SharedServices {
 public:
  SharedServices(Node& node, Form form);
  ~SharedServices();
  SharedServices(const SharedServices&) = delete;
  SharedServices& operator=(const SharedServices&) = delete;

  // Both throw Failure when the port is taken or the folder can't be read.
  void serve_http(const std::string& root, std::uint16_t port, bool log_requests);
  void serve_echo(std::uint16_t port);
  void start();
  void stop();

  struct Counts {
    std::uint64_t http_requests = 0, http_bytes = 0;
    EchoServices::Counts echo;
  };
  [[nodiscard]] Counts counts() const;

 private:
  struct Inside;
  std::unique_ptr<Inside> inside_;
};

}  // namespace leat::tools
