#pragma once
// PcapngTap: a device around a device that records what passes into a capture. Several may share one writer: each is
// an interface of it. A packet is recorded as the inner device sees it: super-segments whole, and a checksum that is
// left to the device unfinished (as captures on any system show it).
//
// Threading: one owner.

#include <leat/device/device.hpp>
#include <leat/device/pcapng_writer.hpp>
#include <leat/device/wrap/seen_once.hpp>

namespace leat {

class PcapngTap {
 public:
  PcapngTap(AnyDevice& inner, PcapngWriter& writer, std::string_view name)
      : inner_(&inner), writer_(&writer), interface_(writer.add_interface(inner.caps().link, name)) {}

  [[nodiscard]] DeviceCaps caps() const { return inner_->caps(); }
  std::size_t rx(PacketBatch& batch, Instant now) {
    const std::size_t before = batch.size();
    const std::size_t n = inner_->rx(batch, now);
    for (std::size_t i = before; i < before + n; ++i)
      writer_->packet(interface_, now, PcapngWriter::Direction::in, batch[i]);
    return n;
  }
  std::size_t tx(PacketBatch& batch, Instant now) {
    for (std::size_t i = seen_.seen(batch); i < batch.size(); ++i)
      writer_->packet(interface_, now, PcapngWriter::Direction::out, batch[i]);
    const std::size_t n = inner_->tx(batch, now);
    seen_.left(batch);
    return n;
  }
  [[nodiscard]] Instant next_event() const { return inner_->next_event(); }
  [[nodiscard]] int poll_fd() const { return inner_->poll_fd(); }
  bool before_sleep() { return inner_->before_sleep(); }
  void after_sleep() { inner_->after_sleep(); }
  [[nodiscard]] DeviceCounters counters() const { return inner_->counters(); }

 private:
  AnyDevice* inner_;
  PcapngWriter* writer_;
  std::uint32_t interface_;
  SeenOnce seen_;
};
static_assert(NetDevice<PcapngTap>);

}  // namespace leat
