#pragma once
// ThreadPipe: a wire between two threads: two rings of frames in memory, bounded, each end waking the other when it
// sleeps. An end is either a device of a stack (Device) or is held by a program that speaks raw packets itself (Raw): a
// tunnel, a VPN, a test.
//
//   ThreadPipe pipe({.caps = {.mtu = 1500}});
//   ThreadPipe::Device device(pipe.end(0), pool);      // of one thread's stack
//   ThreadPipe::Raw outside(pipe.end(1));              // of another thread: outside.send(packet), outside.recv(buffer)
//
// Frames are copied: the two sides' memory stays apart. What passes is decided by `caps`, as with MemoryPipe: with
// max_gso super-segments pass whole, with tx_checksum unfinished checksums do; a Raw end wants neither. A full ring
// refuses, and the stack keeps the packets.
//
// Waking: poll_fd() of an end is an eventfd that the other side writes only when this side said that it sleeps
// (before_sleep); an end may have a waker besides (set_waker), which is called in the other side's thread: for loops
// that don't wait for descriptors. Threading: each end belongs to one thread; set_waker before the other side runs.

#include <leat/base/delegate.hpp>
#include <leat/device/descriptor.hpp>
#include <leat/device/device.hpp>
#include <leat/runtime/memory_map_unsafe.hpp>
#include <leat/sync/frame_ring_unsafe.hpp>
#include <optional>

namespace leat {

class ThreadPipe {
 public:
  struct Options {
    DeviceCaps caps{};          // of both ends, but for the MAC address
    MacAddress mac[2]{};        // Ethernet: of the stack at end 0 and 1
    std::uint32_t slots = 256;  // frames each way; a power of two
  };

  class End {
   public:
    End() = default;
    [[nodiscard]] const DeviceCaps& caps() const { return caps_; }
    [[nodiscard]] int poll_fd() const { return bell_.get(); }
    // False: frames are there, do not sleep.
    [[nodiscard]] bool before_sleep() { return in_.before_sleep(); }
    void after_sleep();
    void set_waker(Delegate<void()> waker) { waker_ = waker; }

   private:
    friend class ThreadPipe;
    void ring();  // called by the other side's thread
    DeviceCaps caps_;
    sync::FrameRing in_;   // this side reads
    sync::FrameRing out_;  // this side writes
    End* peer_ = nullptr;
    Descriptor bell_;
    Delegate<void()> waker_;
  };

  class Device final : public AnyDevice {
   public:
    Device(End& end, PacketPool& pool) : end_(&end), pool_(&pool) {}
    [[nodiscard]] DeviceCaps caps() const override { return end_->caps(); }
    std::size_t rx(PacketBatch& batch, Instant now) override;
    std::size_t tx(PacketBatch& batch, Instant now) override;
    // While frames wait only for memory it asks to be looked at again a little later.
    [[nodiscard]] Instant next_event() const override { return retry_; }
    [[nodiscard]] int poll_fd() const override { return end_->poll_fd(); }
    [[nodiscard]] DeviceCounters counters() const override { return counters_; }
    bool before_sleep() override { return end_->before_sleep(); }
    void after_sleep() override { end_->after_sleep(); }

   private:
    End* end_;
    PacketPool* pool_;
    DeviceCounters counters_;
    Instant retry_ = Instant::never();
    Instant starved_since_ = Instant::never();
  };

  class Raw {
   public:
    explicit Raw(End& end) : end_(&end) {}
    // A whole packet (or frame, as caps().link says). False: the ring is full, or the packet is longer than the MTU.
    [[nodiscard]] bool send(ByteSpan packet);
    // The next packet; what does not fit is cut off. Nothing: none is there.
    [[nodiscard]] std::optional<std::size_t> recv(MutableByteSpan to);
    // Sleeps until a packet is there. False: the time was over first.
    [[nodiscard]] bool wait(Duration at_most);
    [[nodiscard]] End& end() { return *end_; }

   private:
    End* end_;
  };

  // Asserts that there is memory for it.
  explicit ThreadPipe(const Options& options);
  ThreadPipe(const ThreadPipe&) = delete;
  ThreadPipe& operator=(const ThreadPipe&) = delete;
  [[nodiscard]] End& end(std::size_t i) { return ends_[i]; }

 private:
  MemoryMap memory_;
  End ends_[2];
};

}  // namespace leat
