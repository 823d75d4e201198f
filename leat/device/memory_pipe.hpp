#pragma once
// MemoryPipe: a wire in memory between two endpoints, A and B, each a NetDevice. Two stacks joined by one are how a
// data path is measured and how firmware talks to itself.
//
//   std::array<Packet, 1024> to_a, to_b;
//   MemoryPipe pipe({.pool_a = &pool, .pool_b = &pool, .to_a = to_a, .to_b = to_b, .caps = {.mtu = 1500}});
//   left.attach(pipe.a()); right.attach(pipe.b());
//
// Each direction is a bounded ring of frames. When both sides use one pool a frame passes by move; otherwise rx copies
// it into the receiver's pool, and while that is used up the frame waits in the ring. It does not wait for ever: what
// the receiver lacks may be memory that only an ACK further back will free, so after kPatience the frame is dropped and
// counted, as are frames that the receiver's pool could never hold. Short frames (ACKs) may use the control reserve.
// What passes is decided by `caps`: with max_gso super-segments pass whole, with tx_checksum unfinished checksums do
// (ChecksumState::to_fill, which counts as verified). A packet that does not fit the caps is dropped and counted, like
// on a wire.
//
// next_event() is the past while something waits, so that a turn goes on. Threading: one owner of both ends.

#include <leat/base/ring.hpp>
#include <leat/device/device.hpp>

namespace leat {

class MemoryPipe {
 public:
  static constexpr Duration kPatience = Duration::ms(20);

  struct Options {
    PacketPool* pool_a = nullptr;
    PacketPool* pool_b = nullptr;
    std::span<Packet> to_a{};  // frames on their way to A: as many as the ring shall hold
    std::span<Packet> to_b{};
    DeviceCaps caps{};   // of both ends, but for the MAC address
    MacAddress mac_a{};  // Ethernet: of the stack at A
    MacAddress mac_b{};
  };

  class End {
   public:
    [[nodiscard]] DeviceCaps caps() const { return caps_; }
    std::size_t rx(PacketBatch& batch, Instant now);
    std::size_t tx(PacketBatch& batch, Instant now);
    // While frames wait only for memory the end asks to be looked at again a little later, not at once.
    [[nodiscard]] Instant next_event() const { return incoming_.empty() ? Instant::never() : retry_; }
    [[nodiscard]] int poll_fd() const { return -1; }
    [[nodiscard]] DeviceCounters counters() const { return counters_; }
    [[nodiscard]] std::size_t waiting() const { return incoming_.size(); }  // frames that rx would look at

   private:
    friend class MemoryPipe;
    End(PacketPool& pool, std::span<Packet> incoming, const DeviceCaps& caps)
        : pool_(&pool), incoming_(incoming), caps_(caps) {}

    PacketPool* pool_;
    SpanRing<Packet> incoming_;
    End* peer_ = nullptr;
    DeviceCaps caps_;
    DeviceCounters counters_;
    Instant retry_;
    Instant starved_since_ = Instant::never();
  };

  explicit MemoryPipe(const Options& options);
  MemoryPipe(const MemoryPipe&) = delete;
  MemoryPipe& operator=(const MemoryPipe&) = delete;
  [[nodiscard]] End& a() { return a_; }
  [[nodiscard]] End& b() { return b_; }

 private:
  End a_;
  End b_;
};
static_assert(NetDevice<MemoryPipe::End>);

}  // namespace leat
