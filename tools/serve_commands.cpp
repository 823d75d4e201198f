// up, http, echo: a stack that serves until SIGINT or SIGTERM.

#include <cstdio>
#include <leat/runtime/clock.hpp>
#include <leat/runtime/signals.hpp>
#include <memory>
#include <optional>

#include "commands.hpp"
#include "http_server.hpp"
#include "log.hpp"
#include "node.hpp"
#include "process.hpp"
#include "shared_services.hpp"
#include "text.hpp"

namespace leat::tools {

namespace {

struct Services {
  std::unique_ptr<HttpServer> http;
  std::unique_ptr<EchoServices> echo;
  std::uint16_t http_port = 0;
  std::uint16_t echo_port = 0;
};

void start_http(Services& services, Node& node, const std::string& root, std::optional<std::uint32_t> port,
                bool quiet) {
  services.http_port = checked_port(port.value_or(80), "--port");
  services.http = std::make_unique<HttpServer>(
      node.host(), HttpServer::Options{.root = root, .port = services.http_port, .log_requests = !quiet});
}

void start_echo(Services& services, Node& node, std::uint32_t port, std::string_view option) {
  services.echo_port = checked_port(port, option);
  services.echo = std::make_unique<EchoServices>(node.host(), services.echo_port);
}

std::string url(const IpAddress& address, std::uint16_t port) {
  std::string text = address.is_v4() ? cat("http://", address) : cat("http://[", address, "]");
  if (port != 80) text += cat(":", port);
  return text + "/";
}

void say_what_is_served(std::uint16_t http_port, std::uint16_t echo_port, const Node& node) {
  for (const InterfacePlan& interface : node.plan().interfaces) {
    std::string line = cat(interface.name, " is up at");
    for (const IpPrefix& address : interface.addresses) line += cat(" ", address);
    log_info(line);
    for (const IpPrefix& address : interface.addresses)
      if (http_port != 0) log_info(cat("serving ", url(address.address, http_port)));
  }
  if (echo_port != 0) log_info(cat("serving echo over TCP and UDP on port ", echo_port));
}

int report(const Plan& plan, const SharedServices::Counts& counts, bool http, bool echo, const Value& counters) {
  if (plan.json) {
    Value result = Value{};
    if (http) result.set("http_requests", counts.http_requests).set("http_bytes", counts.http_bytes);
    if (echo)
      result.set("echo_connections", counts.echo.connections)
          .set("echo_bytes", counts.echo.stream_bytes)
          .set("echo_datagrams", counts.echo.datagrams);
    result.set("counters", counters);
    std::puts(result.dump().c_str());
  } else {
    log_info("stopped");
    log_debug(counters.dump());
  }
  return kExitOk;
}

void run_until_stopped(Node& node) {
  const StopOnSignals signals(node.runner());
  while (node.runner().run(monotonic_now() + Duration::s(1)) == Runner::End::deadline) node.look_at_interfaces();
}

int serve(const Services& services, Node& node) {
  node.announce();
  say_what_is_served(services.http ? services.http_port : 0, services.echo ? services.echo_port : 0, node);
  run_until_stopped(node);
  node.finish_capture();
  SharedServices::Counts counts;
  if (services.http) counts = {services.http->requests(), services.http->bytes_sent(), {}};
  if (services.echo) counts.echo = services.echo->counts();
  return report(node.plan(), counts, services.http != nullptr, services.echo != nullptr, node.counters());
}

// The same in a form that any thread may call. A port of 0 is not served.
int serve_shared(const Plan& plan, Form form, const std::string& root, std::uint16_t http_port, std::uint16_t echo_port,
                 bool log_requests) {
  block_stop_signals();  // before any thread is made
  Node node(plan, Node::Owner::shared);
  SharedServices services(node, form);
  if (http_port != 0) services.serve_http(root, http_port, log_requests);
  if (echo_port != 0) services.serve_echo(echo_port);
  services.start();
  node.announce();
  say_what_is_served(http_port, echo_port, node);
  wait_for_stop_signal([&node] {
    node.flush_capture();
    node.look_at_interfaces();
  });
  node.finish_capture();
  const Value counters = node.counters();
  services.stop();
  return report(plan, services.counts(), http_port != 0, echo_port != 0, counters);
}

// A server whose clients would all be in its own process serves nobody.
void refuse_memory(const Plan& plan, std::string_view command) {
  for (const InterfacePlan& interface : plan.interfaces)
    if (interface.device.kind == "memory")
      throw Failure(cat("'leat ", command, "' over a memory device would have no clients"),
                    "take --device tap, or see 'leat up --demo --device memory'");
}

}  // namespace

int run_up(const Arguments& a) {
  if (a.demo) return run_demo(a);
  raise_descriptor_limit();
  const Plan plan = make_plan(a.stack);
  refuse_memory(plan, "up");
  Node node(plan);
  Services services;
  if (a.echo) start_echo(services, node, a.echo_port, "--echo-port");
  if (!a.http_root.empty()) start_http(services, node, a.http_root, a.port, a.stack.quiet);
  return serve(services, node);
}

int run_http(const Arguments& a) {
  raise_descriptor_limit();
  const Plan plan = make_plan(a.stack);
  refuse_memory(plan, "http");
  if (const Form form = parse_form(a.form); form != Form::event)
    return serve_shared(plan, form, a.http_root, checked_port(a.port.value_or(80), "--port"), 0, !a.stack.quiet);
  Node node(plan);
  Services services;
  start_http(services, node, a.http_root, a.port, a.stack.quiet);
  return serve(services, node);
}

int run_echo(const Arguments& a) {
  raise_descriptor_limit();
  const Plan plan = make_plan(a.stack);
  refuse_memory(plan, "echo");
  if (const Form form = parse_form(a.form); form != Form::event)
    return serve_shared(plan, form, {}, 0, checked_port(a.port.value_or(7), "--port"), false);
  Node node(plan);
  Services services;
  start_echo(services, node, a.port.value_or(7), "--port");
  return serve(services, node);
}

}  // namespace leat::tools
