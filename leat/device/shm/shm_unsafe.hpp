#pragma once
// Shm: a wire in shared memory between two stacks, in two processes or two threads of one. Each direction is a
// sync::FrameRing in one sealed memfd; a descriptor wakes who sleeps. While both sides spin, a frame costs one
// cache-line transfer and no system call.
//
//   auto pair = ShmPair::make({.mtu = 1500}, pool_a, pool_b).value();          // two threads, each with its end
//   auto end = Shm::open("lab", {.mtu = 1500}, pool, &why);                    // or by name: whoever comes first waits
//
// By name: an abstract Unix socket, which the first to come listens on; the second gets the memory through it,
// and each wakes the other by a message.
// Only processes of the same user are let in. While nobody is at the other side, what is sent is dropped and counted,
// as on a cable that is not plugged in; when the other side ends, who is left waits for the next one, or finds it (a
// fresh wire).
//
// The sides need not trust each other: a frame is copied before anything in it is believed (frame_ring_unsafe.hpp), and
// the memory can't shrink under us. A frame that the receiver's pool has no room for is dropped and counted.
//
// Threading: each end has one owner. No allocation after opening.

#include <leat/base/result.hpp>
#include <leat/device/descriptor.hpp>
#include <leat/device/device.hpp>
#include <leat/sync/frame_ring_unsafe.hpp>
#include <memory>
#include <string>
#include <string_view>

namespace leat {

struct ShmOptions {
  std::uint32_t mtu = 1500;     // of both sides: the second takes the first's
  std::uint32_t frames = 1024;  // each way; a power of two
  MacAddress mac{};             // of this side; zero: 02:4c:45 and three random bytes (of a pair: ...:01 and ...:02)
};

struct ShmProblem {
  std::string_view cause;
  std::string_view fix;
  int os_error = 0;
};

class ShmPair;

class Shm {
 public:
  // Errors: invalid_argument (name, sizes), address_in_use (two are there already), permission_denied (another user's),
  // protocol_error (the other side is no Leat), io_error.
  [[nodiscard]] static Result<Shm> open(std::string_view name, const ShmOptions& options, PacketPool& pool,
                                        ShmProblem* why = nullptr);
  Shm(Shm&&) noexcept = default;
  Shm& operator=(Shm&&) noexcept = default;

  [[nodiscard]] DeviceCaps caps() const { return caps_; }
  std::size_t rx(PacketBatch& batch, Instant now);
  std::size_t tx(PacketBatch& batch, Instant now);
  // Who was left alone looks for another partner once in a while.
  [[nodiscard]] Instant next_event() const { return alone() ? look_again_ : Instant::never(); }
  // Of a pair the bell itself: a set between costs a system call, and the kernel, for each sleep.
  [[nodiscard]] int poll_fd() const { return epoll_ ? epoll_.get() : bell_.get(); }
  [[nodiscard]] DeviceCounters counters() const { return counters_; }
  bool before_sleep() { return !joined() || in_.before_sleep(); }
  void after_sleep();

  // Somebody is at the other side.
  [[nodiscard]] bool joined() const { return map_ != nullptr; }

 private:
  friend class ShmPair;
  class Map;
  Shm() = default;
  [[nodiscard]] bool alone() const { return !name_.empty() && !listener_ && !peer_; }
  [[nodiscard]] bool accept();
  enum class Meeting : std::uint8_t { first, second, refused, failed };
  [[nodiscard]] Meeting find_partner();
  enum class Greeting : std::uint8_t { met, not_yet, refused, nonsense, failed };
  [[nodiscard]] Greeting greet();
  [[nodiscard]] bool meet(Descriptor&& memory, std::size_t side, const ShmOptions& options, bool create);
  [[nodiscard]] bool is_hung_up() const;
  void look_at_socket();
  void ring();
  void part();

  PacketPool* pool_ = nullptr;
  ShmOptions options_;
  DeviceCaps caps_;
  DeviceCounters counters_;
  std::shared_ptr<Map> map_;
  sync::FrameRing in_, out_;
  Descriptor epoll_;       // listener_ or peer_; not of a pair, which has no sockets
  Descriptor bell_;        // of a pair: the other side rings it
  Descriptor their_bell_;  // of a pair: we ring it
  Descriptor listener_;    // the first side, while it has a name
  Descriptor peer_;        // the socket to the other side: hangs up when that ends
  std::string name_;
  Instant look_again_;
};
static_assert(NetDevice<Shm>);

// Both ends, for two threads.
class ShmPair {
 public:
  [[nodiscard]] static Result<std::unique_ptr<ShmPair>> make(const ShmOptions& options, PacketPool& pool_a,
                                                             PacketPool& pool_b);
  [[nodiscard]] Shm& a() { return a_; }
  [[nodiscard]] Shm& b() { return b_; }

 private:
  ShmPair() = default;
  Shm a_, b_;
};

}  // namespace leat
