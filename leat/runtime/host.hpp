#pragma once
// Host: a whole stack for a hosted program: tables, packet memory, shard, runner, and the devices that it opened.
//
//   leat::Host host;
//   if (!host.open_tap("leat0", {"10.9.0.2/24", "fd09::2/64"})) return 2;
//   host.serve(leat::Port{7}, [](leat::StreamConnection& c) { ... });
//   host.run();                                                   // until SIGINT or SIGTERM
//
// It is a convenience over the parts, each of which can be had: stack(), shard(), runner(), pool(). Threading: as the
// runner's (runner.hpp).

#include <initializer_list>
#include <leat/core/all_modules.hpp>
#include <leat/device/tap_unsafe.hpp>
#include <leat/runtime/entropy.hpp>
#include <leat/runtime/packet_memory.hpp>
#include <leat/runtime/reserved_storage.hpp>
#include <leat/runtime/runner.hpp>
#include <leat/runtime/stream.hpp>

namespace leat {

struct OpenTap;

struct HostOptions {
  Limits limits = hosted_limits(4096);
  std::size_t packet_memory = std::size_t{128} << 20;  // when all of it is in use
  std::size_t interfaces = 4;
  Entropy entropy = system_entropy();
  const Modules* modules = &kAllModules;  // lives as long as the host
  Budgets budgets = {};
  WaitPolicy wait = {};
};

class Host {
 public:
  // Nothing when there is no address space for these sizes.
  [[nodiscard]] static Result<std::unique_ptr<Host>> make(const HostOptions& options);
  // The same, and asserts that there is.
  explicit Host(const HostOptions& options = {});
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  [[nodiscard]] Stack& stack() { return stack_; }
  [[nodiscard]] Shard& shard() { return shard_; }
  [[nodiscard]] Runner& runner() { return runner_; }
  [[nodiscard]] PacketPool& pool() { return memory_.pool(); }

  // Opens a TAP, brings it up, attaches it with these addresses ("10.9.0.2/24"). `why` says what went wrong in words.
  Result<InterfaceId> open_tap(std::string_view name, std::initializer_list<std::string_view> addresses,
                               TapProblem* why = nullptr);
  // A device of the caller's, which outlives the host.
  Result<InterfaceId> attach(AnyDevice& device, const AttachOptions& options, std::span<const IpPrefix> addresses);

  // Serves TCP on every address, or on one.
  Result<void> serve(Port port, StreamServer::Handler handler) {
    return serve({IpAddress{}, port}, std::move(handler));
  }
  Result<void> serve(const Endpoint& local, StreamServer::Handler handler);

  // Until SIGINT, SIGTERM or runner().request_stop().
  void run();

 private:
  Host(const HostOptions& options, ReservedStorage&& storage, PacketMemory&& memory);

  ReservedStorage storage_;
  PacketMemory memory_;
  std::vector<std::unique_ptr<OpenTap>> taps_;  // end after the stack's packets have gone
  Stack stack_;
  std::vector<DevicePort> ports_;
  Shard shard_;
  Runner runner_;
  std::vector<std::unique_ptr<StreamServer>> servers_;
};

}  // namespace leat
