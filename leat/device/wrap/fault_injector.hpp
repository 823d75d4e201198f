#pragma once
// FaultInjector: a device around a device that impairs what passes, each direction on its own (device/impairment.hpp).
//
// Chances are per packet on the wire. Therefore it takes no super-segments (caps().max_gso is 0, so that whoever sends
// cuts them first), and cuts those that the inner device delivers back into the frames that they stand for before any
// of them is lost or damaged: 2 % means 2 % of MTU-sized packets in both directions, also on a TAP with a vnet header.
// Checksums are completed before damage, and its own caps promise none, so that damage is noticed above.
//
//   std::array<DelaySlot, 4096> there, back;
//   FaultInjector bad(tap, {.tx = {.delay = Duration::ms(10), .loss_ppm = 20'000}, .rx = ..., .seed = key}, there,
//   back);
//
// It must be turned (rx or tx called) when next_event() says so: that is when delayed packets move on. Threading: one
// owner.

#include <leat/base/counters.hpp>
#include <leat/device/device.hpp>
#include <leat/device/impairment.hpp>
#include <leat/offload/gso.hpp>

namespace leat {

class FaultInjector {
 public:
  struct Config {
    ImpairmentConfig tx{};
    ImpairmentConfig rx{};
    SipKey seed{};
  };
  FaultInjector(AnyDevice& inner, const Config& config, std::span<DelaySlot> tx_slots, std::span<DelaySlot> rx_slots);

  [[nodiscard]] DeviceCaps caps() const;
  std::size_t rx(PacketBatch& batch, Instant now);
  std::size_t tx(PacketBatch& batch, Instant now);
  [[nodiscard]] Instant next_event() const;
  [[nodiscard]] int poll_fd() const { return inner_->poll_fd(); }
  bool before_sleep() { return inner_->before_sleep(); }
  void after_sleep() { inner_->after_sleep(); }
  // rx: delivered after impairment; tx: taken before it.
  [[nodiscard]] DeviceCounters counters() const { return counters_; }

  // Adds what was lost on purpose, both ways, under the names that drops have (base/counters.hpp). A duplicate that
  // found no room counts, too.
  void add_drops(Counters& to) const;
  [[nodiscard]] Impairment& tx_impairment() { return tx_; }
  [[nodiscard]] Impairment& rx_impairment() { return rx_; }

 private:
  void push_out(Instant now);
  [[nodiscard]] bool pull_in(Instant now);
  [[nodiscard]] bool cut(Instant now);

  AnyDevice* inner_;
  LinkType link_;
  Impairment tx_;
  Impairment rx_;
  PacketBatch out_;  // due, and refused by the inner device so far
  PacketBatch in_;   // received, not yet on the line: waits for memory to cut a super-segment
  GsoSplitter cutter_;
  Instant retry_ = Instant::never();
  DeviceCounters counters_;
};
static_assert(NetDevice<FaultInjector>);

}  // namespace leat
