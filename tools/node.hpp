#pragma once
// Node: a stack as the plan says, with its devices, capture and impairments, ready to be used and run. What the
// kernel's side of a TAP needs is printed as commands, or done with --setup. Over a memory device a second stack is at
// the other end, which answers ping and serves echo. Everything that fails is a Failure with cause and fix.
//
//   Node node(make_plan(arguments));
//   node.announce();
//   node.host().run();

#include <functional>
#include <leat/runtime/host.hpp>
#include <memory>
#include <string>
#include <vector>

#include "json.hpp"
#include "plan.hpp"

namespace leat::tools {

class Node {
 public:
  explicit Node(const Plan& plan);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  [[nodiscard]] Host& host() { return *host_; }
  [[nodiscard]] Stack& stack() { return host_->stack(); }
  [[nodiscard]] Runner& runner() { return host_->runner(); }
  [[nodiscard]] const Plan& plan() const { return plan_; }
  // The other end of a memory device; nullptr without one.
  [[nodiscard]] Host* peer();

  // The commands that give the kernel's side of each TAP its addresses.
  [[nodiscard]] std::vector<std::string> kernel_commands() const;
  // Prints them on stderr, or with --setup has run what they would.
  void announce();
  // Addresses of the other side, as kernel_commands() gives them to it.
  [[nodiscard]] std::vector<IpAddress> peer_addresses() const;
  // Non-zero counters by name; drops under "drops".
  [[nodiscard]] Value counters() const;
  // Ends the capture file; a failure to write it is told here.
  void finish_capture();

 private:
  struct Link;
  class Capture;
  void add_interface(const InterfacePlan& plan);
  AnyDevice* open_tap(Link& link, const InterfacePlan& plan);
  AnyDevice* open_memory(Link& link, const InterfacePlan& plan);
  AnyDevice* open_shm(Link& link, const InterfacePlan& plan);
  void configure_kernel_side();
  void add_routes();

  Plan plan_;
  Entropy entropy_;
  std::unique_ptr<Capture> capture_;
  std::unique_ptr<Host> peer_;
  std::vector<std::unique_ptr<Link>> links_;
  std::unique_ptr<Host> host_;
};

// The address of the other side in the network of `own`: the gateway when it is in it, else the first other one.
[[nodiscard]] std::optional<IpPrefix> other_side(const IpPrefix& own, std::span<const IpAddress> gateways);
// An error of the stack in words.
[[nodiscard]] std::string error_text(Errc error);

// Echo over TCP and UDP, for `echo`, `up --echo` and the other end of a memory device.
class EchoServices {
 public:
  EchoServices(Host& host, std::uint16_t port);
  ~EchoServices();
  EchoServices(const EchoServices&) = delete;
  EchoServices& operator=(const EchoServices&) = delete;
  struct Counts {
    std::uint64_t connections = 0;
    std::uint64_t stream_bytes = 0;
    std::uint64_t datagrams = 0;
  };
  [[nodiscard]] const Counts& counts() const { return counts_; }

 private:
  void on_datagrams(CallbackSocket& socket, Ready events);
  Counts counts_;
  std::unique_ptr<StreamServer> stream_;
  CallbackSocket datagrams_;
  std::vector<std::uint8_t> buffer_;
};

}  // namespace leat::tools
