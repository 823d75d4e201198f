#pragma once
// Stacks on pipes: what needs no network.
//
//   PipedPair pair({}, entropy_a, entropy_b);     // two stacks on one wire, one thread, a virtual clock
//   Channel a = pair.channel(0), b = pair.channel(1);
//   pair.run(task);                               // or blocking calls: they turn both stacks
//
//   ThreadedPair pair({}, entropy_a, entropy_b);  // the same on a wire between two threads, in real time
//
//   PipedStack piped({}, entropy, addresses);     // one stack in a thread, its raw packets in the program's hands
//   piped.outside().send(packet);
//   piped.outside().recv(buffer);
//
// Addresses: 10.0.0.1 and 10.0.0.2 with /24, fd00::1 and fd00::2 with /64.

#include <array>
#include <leat/device/memory_pipe.hpp>
#include <leat/netstack/runner.hpp>
#include <leat/runtime/thread_pipe.hpp>
#include <memory>
#include <vector>

namespace leat {

// Address of the i-th stack of a pair.
[[nodiscard]] inline IpAddress piped_address(std::size_t i) {
  return IpAddress::v4(10, 0, 0, static_cast<std::uint8_t>(1 + i));
}
[[nodiscard]] inline IpAddress piped_address6(std::size_t i) {
  return IpAddress::v6({0xfd00, 0, 0, 0, 0, 0, 0, static_cast<std::uint16_t>(1 + i)});
}

// Two stacks, one thread, a clock that jumps to the next thing that happens. Deterministic.
class PipedPair {
 public:
  PipedPair(const NetstackConfig& config, const Entropy& a, const Entropy& b, std::uint32_t slots = 256);
  ~PipedPair();

  [[nodiscard]] Netstack& stack(std::size_t i) { return *stacks_[i]; }
  [[nodiscard]] channel::Channel channel(std::size_t i) { return stacks_[i]->channel(&tasks_); }
  [[nodiscard]] channel::RunQueue& tasks() { return tasks_; }
  [[nodiscard]] Instant now() const { return now_; }

  // Commands, packets and coroutines of this time; when there were none, time moves on to what comes next, at most to
  // `until`. False: nothing will happen by then.
  bool step(Instant until = Instant::never()) { return turn(until, true); }
  template <class Done>
  bool run_until(Done&& done, Instant until = Instant::never()) {
    while (!done())
      if (!step(until)) return done();
    return true;
  }
  template <class T>
  T run(channel::Task<T> task) {
    task.start();
    LEAT_ASSERT(run_until([&] { return task.done(); }));
    return task.result();
  }

 private:
  bool turn(Instant until, bool with_tasks);
  bool drive() { return turn(Instant::never(), false); }  // for blocking calls: no coroutine goes on inside them
  Instant clock() { return now_; }

  Instant now_ = Instant::from_ns(1'000'000'000);
  bool quiet_ = false;  // nothing was done in the last turn
  channel::RunQueue tasks_{Delegate<Instant()>::to<&PipedPair::clock>(*this)};
  std::array<std::vector<Packet>, 2> rings_;
  std::array<std::unique_ptr<Netstack>, 2> stacks_;
  std::unique_ptr<MemoryPipe> pipe_;
  std::array<std::unique_ptr<DeviceRef<MemoryPipe::End>>, 2> devices_;
};

// A wire between two threads; super-segments and unfinished checksums pass whole, as between programs of one machine.
class ThreadedPair {
 public:
  ThreadedPair(const NetstackConfig& config, const Entropy& a, const Entropy& b, std::uint32_t slots = 256,
               std::uint32_t max_gso = 0);

  [[nodiscard]] Netstack& stack(std::size_t i) { return sides_[i].stack; }
  [[nodiscard]] channel::Channel channel(std::size_t i, channel::Executor* executor = nullptr) {
    return sides_[i].stack.channel(executor);
  }

 private:
  struct Side {
    Side(const NetstackConfig& config, const Entropy& entropy, ThreadPipe::End& end, std::size_t i);
    ~Side();
    Side(const Side&) = delete;
    Side& operator=(const Side&) = delete;
    Netstack stack;
    ThreadPipe::Device device;
    InterfaceId interface = kNoInterface;
  };
  ThreadPipe pipe_;
  std::array<Side, 2> sides_;
  std::array<NetstackThread, 2> threads_;
};

// A stack in a thread of its own; its other end is the program's: IP packets, one by one.
class PipedStack {
 public:
  PipedStack(const NetstackConfig& config, const Entropy& entropy, std::span<const IpPrefix> addresses,
             std::uint32_t slots = 256);
  ~PipedStack();

  [[nodiscard]] channel::Channel channel(channel::Executor* executor = nullptr) { return stack_.channel(executor); }
  [[nodiscard]] ThreadPipe::Raw& outside() { return outside_; }

 private:
  ThreadPipe pipe_;
  Netstack stack_;
  ThreadPipe::Device device_;
  ThreadPipe::Raw outside_;
  InterfaceId interface_ = kNoInterface;
  std::unique_ptr<NetstackThread> thread_;
};

}  // namespace leat
