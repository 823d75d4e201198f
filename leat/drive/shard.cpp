#include <leat/drive/shard.hpp>

namespace leat {
namespace {
constexpr Duration kRetryFullDevice = Duration::us(50);  // for devices that can't say when they have room again
}

Result<InterfaceId> Shard::attach(AnyDevice& device, const AttachOptions& o) {
  for (DevicePort& port : ports_) {
    if (port.attached()) continue;
    const DeviceCaps caps = device.caps();
    auto id = stack_->add_interface({.name = o.name,
                                     .link = caps.link,
                                     .mac = caps.mac,
                                     .mtu = o.mtu == 0 ? caps.mtu : o.mtu,
                                     .max_gso = o.max_gso,
                                     .tx_checksum = caps.tx_checksum,
                                     .promiscuous = o.promiscuous});
    if (id) port.attach(device, *id, budgets_.batch);
    return id;
  }
  return fail(Errc::no_memory);
}

Result<void> Shard::detach(InterfaceId id) {
  for (DevicePort& port : ports_) {
    if (!port.attached() || port.interface() != id) continue;
    port.detach();
    return stack_->remove_interface(id);
  }
  return fail(Errc::not_found);
}

Instant Shard::turn(Instant now) {
  stack_->set_now(now);
  now = stack_->now();  // a clock that went back does not move us back
  if (inbox_) inbox_();
  bool more = receive(now);
  if (now >= timers_due_) {
    timers_due_ = Instant::never();  // next_call() finds out anew
    stack_->run_timers(now, budgets_.timers);
  }
  more = deliver() || more;
  more = stack_->run_loopback(now, budgets_.loopback) || more;
  more = transmit(now) || more;
  more = stack_->has_ready() || more;  // what came in over the loopback queue, and who has room again
  if (check_) stack_->check_invariants();
  return next_call(now, more);
}

void Shard::reset_peers(Instant now) {
  stack_->set_now(now);
  blocked_ = false;
  Index next = 0;
  for (bool more = true; more && !blocked_;) {
    more = stack_->reset_peers(next, PacketBatch::kMax);
    (void)transmit(stack_->now());
  }
}

std::uint64_t Shard::received() const {
  std::uint64_t sum = 0;
  for (const DevicePort& port : ports_)
    if (port.attached()) sum += port.received();
  return sum;
}

Instant Shard::flush(Instant now) {
  stack_->set_now(now);
  now = stack_->now();
  bool more = stack_->run_loopback(now, budgets_.loopback);
  more = deliver() || more;
  more = transmit(now) || more;
  more = stack_->has_ready() || more;
  if (check_) stack_->check_invariants();
  return next_call(now, more);
}

Instant Shard::next_call(Instant now, bool more) {
  Instant next = stack_->next_deadline();
  timers_due_ = earlier(timers_due_, next);
  if (more) return now;
  if (blocked_) next = earlier(next, now + kRetryFullDevice);
  for (const DevicePort& port : ports_)
    if (port.attached()) next = earlier(next, port.device()->next_event());
  return next;
}

bool Shard::receive(Instant now) {
  bool more = false;
  for (DevicePort& port : ports_)
    if (port.attached() && port.receive(*stack_, now, budgets_.receive_batches) == DevicePort::Progress::more)
      more = true;
  return more;
}

bool Shard::deliver() {
  if (!stack_->has_ready()) return false;
  ReadyEvent event;
  for (unsigned i = 0; i < budgets_.deliveries; ++i) {
    if (!stack_->next_ready(event)) return false;
    if (event.sink == nullptr || event.sink->function == nullptr) continue;
    const Sink& sink = *event.sink;
    const Ready level = sink.wants_level ? stack_->readiness(event.socket) : Ready::none;
    sink.function(sink.context, event.user, event.socket, level, event.edges);
  }
  return stack_->has_ready();
}

bool Shard::transmit(Instant now) {
  bool more = false;
  blocked_ = false;
  for (DevicePort& port : ports_) {
    if (!port.attached()) continue;
    const DevicePort::Progress p = port.transmit(*stack_, now, budgets_.transmit_batches);
    more = more || p == DevicePort::Progress::more;
    blocked_ = blocked_ || p == DevicePort::Progress::blocked;
  }
  return more;
}

}  // namespace leat
