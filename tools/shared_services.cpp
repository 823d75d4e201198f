#include "shared_services.hpp"

#include <signal.h>

#include <leat/base/assert.hpp>
#include <thread>

#include "failure.hpp"
#include "form_server.hpp"
#include "text.hpp"

namespace leat::tools {

namespace {

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

std::unique_ptr<FormServer> make_server(Form form, const std::shared_ptr<SharedStack>& stack) {
  switch (form) {
    case Form::posix:
      return make_posix_server(stack);
    case Form::channel:
      return make_channel_server(stack);
    case Form::coroutine:
      return make_coroutine_server(stack);
    case Form::event:
      break;
  }
  LEAT_ASSERT(false);
  return nullptr;
}

void must(const Result<void>& r, std::uint16_t port) {
  if (!r && r.error() == Errc::address_in_use)
    throw Failure(cat("port ", port, " is already in use on this stack"), "choose another with --port");
  if (!r) throw Failure(cat("can't serve on port ", port, ": ", error_text(r.error())), "");
}

}  // namespace

void block_stop_signals() {
  const sigset_t set = stop_signals();
  (void)::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

void wait_for_stop_signal(const std::function<void()>& every_second) {
  const sigset_t set = stop_signals();
  const timespec second{.tv_sec = 1, .tv_nsec = 0};
  while (::sigtimedwait(&set, nullptr, &second) < 0) every_second();
}

struct SharedServices::Inside {
  Inside(Node& n, Form form) : node(n), server(make_server(form, n.shared())) {}
  Node& node;
  std::unique_ptr<HttpSite> site;
  EchoCounters echoed;
  std::unique_ptr<FormServer> server;
  std::thread thread;
};

SharedServices::SharedServices(Node& node, Form form) : inside_(std::make_unique<Inside>(node, form)) {}

SharedServices::~SharedServices() {
  stop();
}

void SharedServices::serve_http(const std::string& root, std::uint16_t port, bool log_requests) {
  inside_->site = std::make_unique<HttpSite>(root, log_requests);
  must(inside_->server->serve_http(*inside_->site, Port{port}), port);
}

void SharedServices::serve_echo(std::uint16_t port) {
  must(inside_->server->serve_echo(inside_->echoed, Port{port}), port);
}

void SharedServices::start() {
  inside_->thread = std::thread([this] { inside_->server->run(); });
}

void SharedServices::stop() {
  inside_->node.shared()->stop();
  if (inside_->thread.joinable()) inside_->thread.join();
}

SharedServices::Counts SharedServices::counts() const {
  const Inside& in = *inside_;
  Counts c;
  if (in.site) {
    c.http_requests = in.site->requests();
    c.http_bytes = in.site->body_bytes();
  }
  c.echo = {in.echoed.connections.load(std::memory_order_relaxed),
            in.echoed.stream_bytes.load(std::memory_order_relaxed),
            in.echoed.datagrams.load(std::memory_order_relaxed)};
  return c;
}

}  // namespace leat::tools
