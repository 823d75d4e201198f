#pragma once
// Tracer: a device around a device that writes one line of text for each packet that passes, in the manner of tcpdump:
//
//   0.014233 tap0 out IP 10.0.0.2.80 > 10.0.0.1.33112: Flags [S.], seq 3, ack 497415681, win 64240, length 0
//
// Threading: one owner; the sink is called from rx and tx and must not call back.

#include <leat/device/device.hpp>
#include <leat/device/wrap/seen_once.hpp>
#include <string_view>

namespace leat {

class LogSink {
 public:
  virtual void line(std::string_view text) = 0;  // without a line end; valid during the call

 protected:
  ~LogSink() = default;
};

class Tracer {
 public:
  // `name` and `sink` outlive the tracer.
  Tracer(AnyDevice& inner, LogSink& sink, std::string_view name) : inner_(&inner), sink_(&sink), name_(name) {}

  [[nodiscard]] DeviceCaps caps() const { return inner_->caps(); }
  std::size_t rx(PacketBatch& batch, Instant now);
  std::size_t tx(PacketBatch& batch, Instant now);
  [[nodiscard]] Instant next_event() const { return inner_->next_event(); }
  [[nodiscard]] int poll_fd() const { return inner_->poll_fd(); }
  bool before_sleep() { return inner_->before_sleep(); }
  void after_sleep() { inner_->after_sleep(); }
  [[nodiscard]] DeviceCounters counters() const { return inner_->counters(); }

 private:
  void trace(const Packet& p, std::string_view direction, Instant now);

  AnyDevice* inner_;
  LogSink* sink_;
  std::string_view name_;
  SeenOnce seen_;
};
static_assert(NetDevice<Tracer>);

}  // namespace leat
