#pragma once
// Node: a stack as the plan says, with its devices, capture and impairments, ready to be used and run. What the
// kernel's side of a TAP needs is printed as commands, or done with --setup. Over a memory device a second stack is at
// the other end, which answers ping and serves echo. Everything that fails is a Failure with cause and fix.
//
//   Node node(make_plan(arguments));                          one thread owns the stack: callbacks
//   node.announce();
//   node.host().run();
//
//   Node node(make_plan(arguments), Node::Owner::shared);     any thread may call it: node.shared()

#include <exception>
#include <functional>
#include <leat/runtime/host.hpp>
#include <leat/runtime/shared_stack.hpp>
#include <memory>
#include <string>
#include <vector>

#include "failure.hpp"
#include "json.hpp"
#include "plan.hpp"

namespace leat::tools {

class EchoServices;

// The device itself can't be had.
class TapFailure : public Failure {
 public:
  using Failure::Failure;
};

class Node {
 public:
  enum class Owner : std::uint8_t { one_thread, shared };
  explicit Node(const Plan& plan, Owner owner = Owner::one_thread);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  [[nodiscard]] Host& host() { return *host_; }
  [[nodiscard]] Stack& stack() { return host_->stack(); }
  [[nodiscard]] Runner& runner() { return host_->runner(); }
  // Of a shared node, where the three above are not to be had.
  [[nodiscard]] const std::shared_ptr<SharedStack>& shared() { return shared_; }
  // With the stack to itself, whoever owns it. Failures come through.
  template <class F>
  void with_stack(F&& function) {
    if (!shared_) return function(host_->stack());
    std::exception_ptr thrown;
    const auto called = shared_->with_owner([&](Shard& shard) {
      try {
        function(shard.stack());
      } catch (...) {
        thrown = std::current_exception();
      }
    });
    if (thrown) std::rethrow_exception(thrown);
    if (!called) throw Failure(cat_error("the stack has ended", called.error()), "");
  }
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
  [[nodiscard]] Value counters();
  // Says of each interface once that it was deleted; a failure when that was the last.
  void look_at_interfaces();
  // Brings the capture file up to date.
  void flush_capture();
  // Ends the capture file; a failure to write it is told here.
  void finish_capture();

 private:
  struct Link;
  class Capture;
  static std::string cat_error(std::string_view what, Errc error);
  [[nodiscard]] PacketPool& pool();
  Host& make_peer();
  void add_interface(const InterfacePlan& plan);
  AnyDevice* open_tap(Link& link, const InterfacePlan& plan);
  AnyDevice* open_memory(Link& link, const InterfacePlan& plan);
  AnyDevice* open_shm(Link& link, const InterfacePlan& plan);
  void configure_kernel_side();
  void configure(Stack& stack, InterfaceId id, const InterfacePlan& plan);
  void add_routes(Stack& stack);
  AnyDevice* open_pipe(Link& link, const InterfacePlan& plan, std::uint32_t mtu);

  Plan plan_;
  Entropy entropy_;
  std::unique_ptr<Capture> capture_;
  std::unique_ptr<Host> peer_;
  std::unique_ptr<EchoServices> peer_echo_;
  std::vector<std::unique_ptr<Link>> links_;
  std::unique_ptr<Host> host_;
  std::shared_ptr<SharedStack> shared_;
};

// The addresses of the other side: one in each network of the interface, the gateway where it is in it.
[[nodiscard]] std::vector<IpPrefix> other_sides(const InterfacePlan& plan);
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
