#pragma once
// VirtualStack: a stack whose clock stands still but when it is told to move, whose one device is a queue of IP packets
// each way, and which threads may call: what a test tool needs that injects packets, expects packets, and makes
// blocking calls on a second thread.
//
//   VirtualStack stack({.local = "192.168.0.1", ...});
//   stack.inject(packet);                     received at once
//   stack.emitted(packet, time);              the next one sent; moves the clock to the next timer while there is none
//   stack.sleep(Duration::ms(10));            moves the clock, timer by timer
//   Sockets net(stack.shared_from_this());    blocking calls sleep for real until the stack completes them
//
// When the clock moves and a blocked call completes, the clock stands still until that thread has asked for the time or
// made its next call: what it was woken by is what it sees. A thread that does neither is waited for a moment only.
//
// Threading: every function from any thread; one mutex. It makes no thread.

#include <chrono>
#include <condition_variable>
#include <leat/core/all_modules.hpp>
#include <leat/drive/op_engine.hpp>
#include <leat/drive/shard.hpp>
#include <leat/op/service.hpp>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace leat::tools {

struct VirtualStackOptions {
  std::vector<IpPrefix> addresses;
  std::vector<IpAddress> gateways;
  std::uint32_t mtu = 1500;
  std::uint64_t seed = 1;
  std::vector<std::pair<OptionId, std::int64_t>> options;
};

// The device: raw IP packets that wait, each way.
class PacketQueue {
 public:
  struct Emitted {
    std::vector<std::uint8_t> bytes;
    Instant time;
  };
  PacketQueue(PacketPool& pool, std::uint32_t mtu) : pool_(&pool), mtu_(mtu) {}
  [[nodiscard]] DeviceCaps caps() const { return {.link = LinkType::ip, .mtu = mtu_, .gather = true}; }
  std::size_t rx(PacketBatch& batch, Instant now);
  std::size_t tx(PacketBatch& batch, Instant now);
  [[nodiscard]] Instant next_event() const { return incoming_.empty() ? Instant::never() : Instant{}; }
  [[nodiscard]] int poll_fd() const { return -1; }
  [[nodiscard]] DeviceCounters counters() const { return counters_; }

  void inject(ByteSpan packet) { incoming_.emplace_back(packet.begin(), packet.end()); }
  std::optional<Emitted> take();

 private:
  PacketPool* pool_;
  std::uint32_t mtu_;
  std::vector<std::vector<std::uint8_t>> incoming_;
  std::vector<Emitted> sent_;
  DeviceCounters counters_;
};

class VirtualStack final : public Service, public std::enable_shared_from_this<VirtualStack> {
 public:
  // Throws std::runtime_error with one line for what can't be.
  explicit VirtualStack(const VirtualStackOptions& options);
  ~VirtualStack();
  VirtualStack(const VirtualStack&) = delete;
  VirtualStack& operator=(const VirtualStack&) = delete;

  void inject(ByteSpan packet);
  // False: nothing will ever come.
  [[nodiscard]] bool emitted(std::vector<std::uint8_t>& packet, Instant& time);
  void sleep(Duration d);
  // The time, which is later with every question: by a microsecond.
  [[nodiscard]] Instant ask_time();
  void set_option(OptionId id, std::int64_t value);

  void run(Op& op) override;
  void start(Op& op) override;
  void cancel(Op& op) override;
  [[nodiscard]] Instant now() const override;

 private:
  // What a thread that waits in run() is told.
  struct Waiting {
    bool done = false;
  };
  using Lock = std::unique_lock<std::mutex>;
  void settle(Lock& lock);
  void complete_all(Lock& lock);
  [[nodiscard]] Instant next_deadline() const;
  void move_to(Instant when, Lock& lock);
  void woken_thread_calls();
  template <class Done>
  void watch_too(Op& op, const Done& is_done, Lock& lock);

  static constexpr auto kRealPatience = std::chrono::seconds(1);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Instant now_;
  Instant next_;          // when the shard wants to be turned again
  unsigned to_look_ = 0;  // threads that were woken and have not asked for the time yet
  std::vector<std::uint8_t> memory_;
  std::unique_ptr<PacketPool> pool_;
  std::unique_ptr<PacketQueue> queue_;
  std::unique_ptr<DeviceRef<PacketQueue>> device_;
  struct Tables;
  std::unique_ptr<Tables> tables_;
  std::unique_ptr<Stack> stack_;
  DevicePort port_;
  std::unique_ptr<Shard> shard_;
  std::unique_ptr<OpEngine> engine_;
  InterfaceId interface_ = kNoInterface;
};

}  // namespace leat::tools
