#pragma once
// DevicePort: one device joined to one interface of a stack. It moves batches both ways and does in software what the
// device does not: merging on the way in (GRO), splitting super-segments, completing checksums and gathering on the way
// out.
//
//   stack.output -> source_ -> [GSO | checksum, linearise] -> frames_ -> device.tx
//
// What a full device leaves stays here in order, and the stack is not asked for more until it has gone: back-pressure
// reaches the connections by itself. Invariant: a packet is in exactly one of source_, the splitter and frames_.
// Threading: the owner of the shard. Nothing is allocated.

#include <leat/core/stack.hpp>
#include <leat/device/device.hpp>
#include <leat/drive/adaptive_burst.hpp>
#include <leat/offload/gro.hpp>
#include <leat/offload/gso.hpp>

namespace leat {

class DevicePort {
 public:
  DevicePort() = default;
  void attach(AnyDevice& device, InterfaceId interface, std::size_t batch);
  void detach();
  [[nodiscard]] bool attached() const { return device_ != nullptr; }
  [[nodiscard]] InterfaceId interface() const { return interface_; }
  [[nodiscard]] AnyDevice* device() const { return device_; }

  enum class Progress : std::uint8_t { idle, more, blocked };
  // Up to `batches` bursts from the device into the stack. `more`: the budget ended first. What a device with rx_level
  // may still have is not `more`: its descriptor tells.
  Progress receive(Stack& stack, Instant now, unsigned batches);
  // Packets that the device gave since it was attached.
  [[nodiscard]] std::uint64_t received() const { return received_; }
  // Up to `batches` bursts from the stack to the device. `blocked`: the device is full, or memory for frames is
  // missing.
  Progress transmit(Stack& stack, Instant now, unsigned batches);

 private:
  bool fill(Stack& stack, Instant now, bool& dry);
  void stage(Stack& stack, Packet&& packet);

  AnyDevice* device_ = nullptr;
  InterfaceId interface_ = kNoInterface;
  DeviceCaps caps_;
  std::size_t batch_ = PacketBatch::kMax;
  std::uint64_t received_ = 0;
  AdaptiveBurst burst_;
  Gro gro_{LinkType::ip};
  GsoSplitter gso_;
  PacketBatch source_;  // from the stack, before splitting
  std::size_t source_at_ = 0;
  PacketBatch frames_;  // as the device takes them
};

}  // namespace leat
