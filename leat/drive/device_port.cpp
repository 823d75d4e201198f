#include <leat/drive/device_port.hpp>
#include <leat/offload/checksum_completion.hpp>

namespace leat {

void DevicePort::attach(AnyDevice& device, InterfaceId interface, std::size_t batch) {
  LEAT_ASSERT(!attached());
  device_ = &device;
  interface_ = interface;
  caps_ = device.caps();
  batch_ = batch;
  burst_ = {};
  received_ = 0;
  gro_ = Gro{caps_.link};
  source_.set_capacity(batch);
  frames_.set_capacity(batch);
  source_at_ = 0;
}

void DevicePort::detach() {
  source_.clear();
  frames_.clear();
  gso_.cancel();
  device_ = nullptr;
  interface_ = kNoInterface;
}

DevicePort::Progress DevicePort::receive(Stack& stack, Instant now, unsigned batches) {
  const bool adaptive = caps_.rx_level && batch_ > 1;
  PacketBatch batch{batch_};
  for (unsigned i = 0; i < batches; ++i) {
    const std::size_t asked = adaptive ? burst_.ask(batch_) : batch_;
    batch.set_capacity(asked);
    const std::size_t received = device_->rx(batch, now);
    const bool go_on = adaptive ? burst_.brought(asked, received) : received == asked;
    if (received == 0) return Progress::idle;
    received_ += received;
    if (!caps_.rx_merges) gro_.merge(batch);
    stack.input(interface_, batch, now);
    LEAT_ASSERT(batch.empty());
    if (!go_on) return Progress::idle;  // the device has no more, or its descriptor tells
  }
  return Progress::more;
}

DevicePort::Progress DevicePort::transmit(Stack& stack, Instant now, unsigned batches) {
  bool dry = false;
  for (unsigned i = 0; i < batches; ++i) {
    const bool stuck = fill(stack, now, dry);
    if (frames_.empty()) return stuck ? Progress::blocked : Progress::idle;
    device_->tx(frames_, now);
    if (!frames_.empty()) return Progress::blocked;
    if (stuck) return Progress::blocked;
    if (dry && !gso_.active() && source_at_ == source_.size()) return Progress::idle;
  }
  return frames_.empty() && !gso_.active() && source_at_ == source_.size() && !stack.has_output(interface_)
             ? Progress::idle
             : Progress::more;
}

// Fills frames_ from the splitter, the source batch and the stack, in this order. True when memory for frames is
// missing. `dry`: the stack has said that it has nothing more; it is not asked again.
bool DevicePort::fill(Stack& stack, Instant now, bool& dry) {
  while (!frames_.full()) {
    if (gso_.active()) {
      const auto progress = gso_.run(frames_);
      if (progress == GsoSplitter::Progress::no_memory) return true;
      if (progress == GsoSplitter::Progress::batch_full) return false;
      continue;
    }
    if (source_at_ == source_.size()) {
      source_.clear();
      source_at_ = 0;
      if (dry) return false;
      dry = !stack.output(interface_, source_, now);
      if (source_.empty()) return false;
    }
    stage(stack, std::move(source_[source_at_++]));
  }
  return false;
}

void DevicePort::stage(Stack& stack, Packet&& packet) {
  const PacketMeta& m = packet.meta();
  // Also where all of it fits one frame: it is several segments, as large as the peer takes them (RFC 9293 3.7.1).
  if (m.gso_size > 0 && packet.size() - m.l3_offset > caps_.max_gso) {
    // Refused: no chunk of the pool can ever hold a frame of this device.
    if (!gso_.begin(std::move(packet), {.linear = !caps_.gather, .checksum_offload = caps_.tx_checksum})) {
      stack.core().drop(std::move(packet), DropReason::device_error);  // NOLINT(bugprone-use-after-move): not taken
    }
    return;
  }
  if (!caps_.tx_checksum && m.checksum == ChecksumState::to_fill && !complete_checksum(packet, caps_.link)) {
    stack.core().drop(std::move(packet), DropReason::device_error);
    return;
  }
  if (!caps_.gather && !packet.fragments().empty() && !packet.pull(packet.size())) {
    stack.core().drop(std::move(packet), DropReason::no_buffers);
    return;
  }
  frames_.push(std::move(packet));
}

}  // namespace leat
