// up, http, echo: a stack that serves until SIGINT or SIGTERM.

#include <cstdio>
#include <leat/runtime/signals.hpp>
#include <memory>

#include "commands.hpp"
#include "http_server.hpp"
#include "log.hpp"
#include "node.hpp"
#include "text.hpp"

namespace leat::tools {

namespace {

struct Services {
  std::unique_ptr<HttpServer> http;
  std::unique_ptr<EchoServices> echo;
  std::uint16_t http_port = 0;
  std::uint16_t echo_port = 0;
};

void start_http(Services& services, Node& node, const std::string& root, std::uint32_t port, bool quiet) {
  services.http_port = checked_port(port == 0 ? 80 : port, "--port");
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

void say_what_is_served(const Services& services, const Node& node) {
  for (const InterfacePlan& interface : node.plan().interfaces) {
    std::string line = cat(interface.name, " is up at");
    for (const IpPrefix& address : interface.addresses) line += cat(" ", address);
    log_info(line);
    for (const IpPrefix& address : interface.addresses)
      if (services.http) log_info(cat("serving ", url(address.address, services.http_port)));
  }
  if (services.echo) log_info(cat("serving echo over TCP and UDP on port ", services.echo_port));
}

int serve(const Services& services, Node& node) {
  node.announce();
  say_what_is_served(services, node);
  node.host().run();
  node.finish_capture();
  if (node.plan().json) {
    Value result = Value{};
    if (services.http)
      result.set("http_requests", services.http->requests()).set("http_bytes", services.http->bytes_sent());
    if (services.echo)
      result.set("echo_connections", services.echo->counts().connections)
          .set("echo_bytes", services.echo->counts().stream_bytes)
          .set("echo_datagrams", services.echo->counts().datagrams);
    result.set("counters", node.counters());
    std::puts(result.dump().c_str());
  } else {
    log_info("stopped");
    log_debug(node.counters().dump());
  }
  return kExitOk;
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
  const Plan plan = make_plan(a.stack);
  refuse_memory(plan, "up");
  Node node(plan);
  Services services;
  if (a.echo) start_echo(services, node, a.echo_port, "--echo-port");
  if (!a.http_root.empty()) start_http(services, node, a.http_root, a.port, a.stack.quiet);
  return serve(services, node);
}

int run_http(const Arguments& a) {
  const Plan plan = make_plan(a.stack);
  refuse_memory(plan, "http");
  Node node(plan);
  Services services;
  start_http(services, node, a.http_root, a.port, a.stack.quiet);
  return serve(services, node);
}

int run_echo(const Arguments& a) {
  const Plan plan = make_plan(a.stack);
  refuse_memory(plan, "echo");
  Node node(plan);
  Services services;
  start_echo(services, node, a.port == 0 ? 7 : a.port, "--port");
  return serve(services, node);
}

}  // namespace leat::tools
