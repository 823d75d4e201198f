#pragma once
// Netstack: a stack that is asked by commands. It owns the stack, its memory and its command queue; one thread turns
// it, any number send commands. There is no I/O and no clock inside: time comes with every call, packets from devices
// that were attached.
//
//   Netstack stack({}, system_entropy(), monotonic_now());
//   stack.attach(device, addresses);
//   Channel channel = stack.channel();                     // for other threads, or for coroutines of this one
//   for (;;) {
//     stack.process_cmds(now);
//     const Instant next = stack.poll_device_io(now);      // packets in, timers, packets out
//     if (next > now) stack.wait_for_io(next - now);       // a command, a packet or wake()
//   }
//
// runner.hpp has that loop: blocking, in a thread, as a coroutine, with a clock and a sleep of the caller's. A command
// that would block is parked on its socket and tried again when that socket becomes ready, and only then. When the
// Netstack ends, every call of its channels fails with channel_closed (Errc::shut_down).
//
// Threading: one thread at a time, but channel(), the channels themselves, and wake(). A call through a channel from
// the stack's own thread never hangs: it is done at once, or driven on by `set_driver`, or ends with Errc::again.

#include <leat/api/channel/channel.hpp>
#include <leat/api/channel/command_queue.hpp>
#include <leat/api/channel/task.hpp>
#include <leat/core/all_modules.hpp>
#include <leat/device/descriptor.hpp>
#include <leat/drive/op_engine.hpp>
#include <leat/drive/shard.hpp>
#include <leat/runtime/packet_memory.hpp>
#include <leat/runtime/reserved_storage.hpp>
#include <vector>

namespace leat {

struct NetstackConfig {
  std::size_t command_capacity = 32;  // commands that wait to be taken; channel::CommandQueue::kUnbounded: no bound
  std::uint32_t mtu = 1500;           // of interfaces; a device may have less
  bool loopback = true;               // 127.0.0.0/8 and ::1 lead back here (StackControl::set_loopback)
  std::size_t tcp_buffer = std::size_t{1} << 20;  // bytes a connection may hold, each way
  // Datagrams and raw packets that a socket may hold: so many bytes, and so many messages of ordinary size.
  std::size_t udp_buffer = std::size_t{1} << 18;
  std::size_t udp_messages = 128;
  std::size_t raw_buffer = std::size_t{1} << 18;
  std::size_t raw_messages = 128;
  Limits limits = hosted_limits(1024);
  std::size_t packet_memory = std::size_t{32} << 20;  // when all of it is in use
  std::size_t interfaces = 4;
  Budgets budgets{};
  const Modules* modules = &kAllModules;
};

class Netstack {
 public:
  // Entropy is never a default: the same sequence numbers everywhere are an invitation. Asserts that there is memory.
  Netstack(const NetstackConfig& config, const Entropy& entropy, Instant now);
  ~Netstack();
  Netstack(const Netstack&) = delete;
  Netstack& operator=(const Netstack&) = delete;

  // Any number of channels; a channel may outlive the stack.
  [[nodiscard]] channel::Channel channel(channel::Executor* executor = nullptr) const {
    return channel::Channel(queue_, executor, config_.command_capacity);
  }
  // The device outlives the stack, or is detached. The packets of the stack are in pool().
  Result<InterfaceId> attach(AnyDevice& device, std::span<const IpPrefix> addresses, AttachOptions options = {});
  Result<void> detach(InterfaceId interface);
  // The end, while the devices are still there: every call fails from now on, and a RST goes to every peer that counts
  // on a connection. Without it a peer finds out by itself. The destructor does the first half; it may come when the
  // devices are gone.
  void stop(Instant now);
  // These addresses and no others, without a command.
  Result<void> direct_set_ips(InterfaceId interface, std::span<const IpPrefix> addresses);

  // When it wants to be called again if nobody sends anything: Instant::never() for never.
  [[nodiscard]] Instant poll_at() const { return earlier(next_, engine_.next_deadline()); }
  [[nodiscard]] Duration poll_delay(Instant now) const;
  // Takes commands, does what can be done and parks the rest. Returns how many; false: none was there.
  std::size_t process_cmds(Instant now);
  bool process_one_cmd(Instant now);
  // Packets in, timers, waiting commands, packets out. Returns poll_at().
  Instant poll_device_io(Instant now);
  // What is to be sent only.
  Instant poll_egress(Instant now);

  // Waits in the calling thread for a command; true: one is there. wait_for_io also ends when a device has packets.
  // Both end, true, with wake().
  bool wait_for_cmd(Duration at_most = Duration::max());
  bool wait_for_io(Duration at_most = Duration::max());
  // From any thread.
  void wake() { queue_->wake(); }
  // Awaited: co_await stack.async_wait_for_io(queue, until). Devices wake it by their wakers (ThreadPipe::End), not by
  // descriptors: coroutines beside a TUN take run_blocking with `tasks`. Cancel-safe: it takes nothing.
  class IoWait;
  [[nodiscard]] IoWait async_wait_for_io(channel::RunQueue& tasks, Instant until);
  [[nodiscard]] IoWait async_wait_for_cmd(channel::RunQueue& tasks, Instant until);

  // What brings a blocking call of the stack's own thread forward: one step (perhaps a sleep), which runs no code of a
  // user's; false: nothing will happen any more.
  void set_driver(Delegate<bool()> driver);
  // Another thread turns it from now on; this one's calls wait for that.
  void release_thread();
  [[nodiscard]] channel::CommandQueue& commands() { return *queue_; }
  [[nodiscard]] Stack& stack() { return stack_; }
  [[nodiscard]] Shard& shard() { return shard_; }
  [[nodiscard]] PacketPool& pool() { return memory_.pool(); }

 private:
  class Inside;
  void take_all();
  bool wait(Duration at_most, bool devices);
  void do_one(Op& op);
  void deliver();
  void end_calls();
  void ring();
  void limit_socket(const Op& op);

  NetstackConfig config_;
  ReservedStorage storage_;
  PacketMemory memory_;
  Stack stack_;
  std::vector<DevicePort> ports_;
  Shard shard_;
  OpEngine engine_;
  std::shared_ptr<channel::CommandQueue> queue_;
  Descriptor bell_;  // an eventfd: commands ring it while wait() sleeps
  Instant next_;
};

class Netstack::IoWait {
 public:
  IoWait(Netstack& stack, channel::RunQueue& tasks, Instant until, bool devices)
      : stack_(&stack), alarm_(tasks.sleep_until(until)), devices_(devices) {}
  IoWait(const IoWait&) = delete;
  IoWait& operator=(const IoWait&) = delete;
  ~IoWait() { end(); }
  [[nodiscard]] bool await_ready();
  void await_suspend(std::coroutine_handle<> handle);
  void await_resume() {
    alarm_.await_resume();
    end();
  }

 private:
  void end();
  Netstack* stack_;
  channel::RunQueue::Sleep alarm_;
  bool devices_;
  bool waiting_ = false;
};

}  // namespace leat
