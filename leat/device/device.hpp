#pragma once
// NetDevice: packet I/O in batches. A device never sees the stack and the stack never sees a device: `drive` moves
// batches between them and supplies in software (offload/) what `caps()` does not promise.
//
//   rx(batch, now)  appends up to batch.room() received packets, from the pool that the device was given; returns how
//                   many. Data starts at the link header (Ethernet or IP). meta().time = now, meta().checksum says what
//                   is known (none, verified, or to_fill: came from a sender on this machine that left the field to
//                   its device, counts as verified), and for merged segments meta().gso_size/gso_type/merged.
//   tx(batch, now)  takes packets from the front of the batch and returns how many; what it took is gone from the batch
//                   (pop_front), the rest stays in order: the device is full. Packets fit caps(): no super-segments
//                   without max_gso, complete checksums without tx_checksum, contiguous without gather.
//                   A packet that the device can't send for good is dropped and counted, never kept.
//   next_event()    when the device itself will have something to deliver without outside help (delay lines);
//                   never() otherwise.
//   poll_fd()       a descriptor that becomes readable when rx would return something; -1 when there is none. With
//                   caps().rx_level it stays so while rx would return more: a turn may leave packets where they are and
//                   say "sleep", because that sleep ends at once (watch it level-triggered).
//   before_sleep()  optional, for devices that another thread or process feeds through memory: the owner is about to
//                   sleep on poll_fd(), so the other side must ring it from now on. False: something came meanwhile,
//                   turn again instead. after_sleep(): the owner is awake, ringing costs and is not needed any more.
//
// Threading: every call under the ownership of the shard. No call blocks. Devices are open: any class with these
// members is a NetDevice; AnyDevice is the virtual form, for those who hold several kinds.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <leat/base/address.hpp>
#include <leat/base/link_type.hpp>
#include <leat/base/time.hpp>
#include <leat/buf/packet_batch.hpp>

namespace leat {

struct DeviceCaps {
  LinkType link = LinkType::ip;
  MacAddress mac{};           // Ethernet only
  std::uint32_t mtu = 1500;   // bytes of IP packet
  std::uint32_t max_gso = 0;  // bytes of IP packet that tx accepts as a super-segment; 0: none
  bool tx_checksum = false;   // tx accepts ChecksumState::to_fill
  bool rx_checksum = false;   // rx reports verified checksums
  bool rx_merges = false;     // rx delivers merged segments by itself: software GRO is not worth it
  bool gather = false;        // tx accepts fragments
  bool rx_level = false;      // each packet costs rx a system call, and poll_fd() tells whether one more is worth it
};

struct DeviceCounters {
  std::uint64_t rx_packets = 0, rx_bytes = 0, rx_dropped = 0;
  std::uint64_t tx_packets = 0, tx_bytes = 0, tx_dropped = 0, tx_full = 0;
  std::uint64_t rx_calls = 0, tx_calls = 0;  // system calls, those that brought or took nothing included
};

template <class D>
concept NetDevice = requires(D& d, const D& c, PacketBatch& batch, Instant now) {
  { c.caps() } -> std::convertible_to<DeviceCaps>;
  { d.rx(batch, now) } -> std::same_as<std::size_t>;
  { d.tx(batch, now) } -> std::same_as<std::size_t>;
  { c.next_event() } -> std::same_as<Instant>;
  { c.poll_fd() } -> std::same_as<int>;
  { c.counters() } -> std::convertible_to<DeviceCounters>;
};

class AnyDevice {
 public:
  virtual DeviceCaps caps() const = 0;
  virtual std::size_t rx(PacketBatch& batch, Instant now) = 0;
  virtual std::size_t tx(PacketBatch& batch, Instant now) = 0;
  virtual Instant next_event() const = 0;
  virtual int poll_fd() const = 0;
  virtual DeviceCounters counters() const = 0;
  virtual bool before_sleep() { return true; }
  virtual void after_sleep() {}

 protected:
  ~AnyDevice() = default;  // protected, not virtual: nobody deletes through it, so that firmware links no free()
};

// The virtual form of a concrete device, which it borrows.
template <NetDevice D>
class DeviceRef final : public AnyDevice {
 public:
  explicit DeviceRef(D& device) : device_(&device) {}
  DeviceCaps caps() const override { return device_->caps(); }
  std::size_t rx(PacketBatch& batch, Instant now) override { return device_->rx(batch, now); }
  std::size_t tx(PacketBatch& batch, Instant now) override { return device_->tx(batch, now); }
  Instant next_event() const override { return device_->next_event(); }
  int poll_fd() const override { return device_->poll_fd(); }
  DeviceCounters counters() const override { return device_->counters(); }
  bool before_sleep() override {
    if constexpr (requires(D & d) { d.before_sleep(); }) return device_->before_sleep();
    return true;
  }
  void after_sleep() override {
    if constexpr (requires(D & d) { d.after_sleep(); }) device_->after_sleep();
  }

 private:
  D* device_;
};

}  // namespace leat
