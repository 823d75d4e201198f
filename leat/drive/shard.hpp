#pragma once
// Shard: a stack with its devices, and turn(), the only driver of everything:
//
//   drain inbox -> receive -> timers -> deliver -> loopback queue -> egress and transmit
//
// Every stage has a budget, so that neither a flood on one interface nor a busy application starves the rest. Delivery
// comes before egress: a reply written in a callback carries the ACK. turn() returns when it wants to be called next:
// `now` when a budget ended first, else the earliest deadline of stack and devices (Instant::never() when only a packet
// can change anything).
//
//   leat::Shard shard(stack, ports);
//   auto eth = shard.attach(device_ref, {.name = "tap0"});
//   for (;;) { Instant next = shard.turn(clock.now()); wait_until(next, shard); }
//
// User code runs only inside turn(), from the sinks of ready sockets. Threading: one owner at a time. No allocation.

#include <leat/drive/device_port.hpp>
#include <span>

namespace leat {

struct Budgets {
  unsigned receive_batches = 4;    // per port and turn
  unsigned timers = 1024;          // expiries
  unsigned deliveries = 4096;      // sinks called
  unsigned loopback = 256;         // packets
  unsigned transmit_batches = 16;  // per port and turn
  std::size_t batch = PacketBatch::kMax;
};

struct AttachOptions {
  std::string_view name = "leat0";
  std::uint32_t mtu = 0;          // 0: the device's
  std::uint32_t max_gso = 65535;  // largest super-segment the stack builds; split here when the device can't
  bool promiscuous = false;
};

class Shard {
 public:
  Shard(Stack& stack, std::span<DevicePort> ports, const Budgets& budgets = {})
      : stack_(&stack), ports_(ports), budgets_(budgets) {}

  // Makes an interface for the device, which must outlive the shard or be detached. Errc::no_memory without a free
  // port.
  Result<InterfaceId> attach(AnyDevice& device, const AttachOptions& options);
  Result<void> detach(InterfaceId);

  Instant turn(Instant now);
  // The half of a turn that reads no device: what calls of the user's own have queued leaves now. For callers outside
  // of turn() who must not wait for the next one. Returns as turn() does.
  Instant flush(Instant now);

  // For a shard that is about to end: a RST to every peer that still counts on a connection, as a kernel sends for a
  // process that ends. The connections are over, no user code runs. Ends early when a device takes no more.
  // O(connections).
  void reset_peers(Instant now);

  // What was posted by others (runtime's token, a daemon's rings) is drained first in every turn.
  void set_inbox(Delegate<void()> drain) { inbox_ = drain; }
  // Checks every table after every turn: simulation and debug builds.
  void check_invariants_every_turn(bool on) { check_ = on; }
  // A device could not take everything in the last turn: call again when it is writable, or soon.
  [[nodiscard]] bool blocked() const { return blocked_; }
  // Packets that the devices which are attached now gave.
  [[nodiscard]] std::uint64_t received() const;

  [[nodiscard]] Stack& stack() { return *stack_; }
  [[nodiscard]] std::span<DevicePort> ports() { return ports_; }

 private:
  bool receive(Instant now);
  bool deliver();
  bool transmit(Instant now);
  [[nodiscard]] Instant next_call(Instant now, bool more);

  Stack* stack_;
  std::span<DevicePort> ports_;
  Budgets budgets_;
  Delegate<void()> inbox_;
  // No timer runs before: the earliest deadline that the stack had after a turn or a flush since they last ran. What
  // calls have armed since then is due in the next turn at the earliest.
  Instant timers_due_;
  bool check_ = false;
  bool blocked_ = false;
};

}  // namespace leat
