#include <algorithm>
#include <leat/netstack/piped.hpp>
#include <leat/runtime/clock.hpp>

namespace leat {
namespace {

std::array<IpPrefix, 2> addresses_of(std::size_t i) {
  return {IpPrefix{piped_address(i), 24}, IpPrefix{piped_address6(i), 64}};
}

}  // namespace

PipedPair::PipedPair(const NetstackConfig& config, const Entropy& a, const Entropy& b, std::uint32_t slots) {
  const std::array<const Entropy*, 2> entropy{&a, &b};
  for (std::size_t i = 0; i < 2; ++i) {
    rings_[i] = std::vector<Packet>(slots);
    stacks_[i] = std::make_unique<Netstack>(config, *entropy[i], now_);
  }
  DeviceCaps caps;
  caps.mtu = config.mtu;
  pipe_ = std::make_unique<MemoryPipe>(MemoryPipe::Options{.pool_a = &stacks_[0]->pool(),
                                                           .pool_b = &stacks_[1]->pool(),
                                                           .to_a = rings_[0],
                                                           .to_b = rings_[1],
                                                           .caps = caps,
                                                           .mac_a = {},
                                                           .mac_b = {}});
  devices_[0] = std::make_unique<DeviceRef<MemoryPipe::End>>(pipe_->a());
  devices_[1] = std::make_unique<DeviceRef<MemoryPipe::End>>(pipe_->b());
  for (std::size_t i = 0; i < 2; ++i) {
    LEAT_ASSERT(stacks_[i]->attach(*devices_[i], addresses_of(i)).has_value());
    stacks_[i]->set_driver(Delegate<bool()>::to<&PipedPair::drive>(*this));
  }
}

// Frames on the wire belong to their sender's pool: they go before the stacks do, and the stacks before the devices.
PipedPair::~PipedPair() {
  for (auto& ring : rings_)
    for (Packet& p : ring) p.reset();
  for (auto& s : stacks_) s.reset();
}

// Time moves at the beginning of a turn, when the one before did nothing: whoever was told in that turn still acts at
// its time.
bool PipedPair::turn(Instant until, bool with_tasks) {
  const auto busy = [](const auto& s) { return s->commands().has_work(); };
  if (quiet_ && std::ranges::none_of(stacks_, busy) && !(with_tasks && tasks_.has_ready())) {
    Instant next = with_tasks ? tasks_.next_timer() : Instant::never();
    for (auto& s : stacks_) next = earlier(next, s->poll_at());
    for (auto& d : devices_) next = earlier(next, d->next_event());
    if (next.is_never() || next > until) {
      if (!until.is_never()) now_ = until;
      return false;
    }
    if (next > now_) now_ = next;
  }
  std::size_t did = 0;
  for (auto& s : stacks_) did += s->process_cmds(now_);
  for (auto& s : stacks_) (void)s->poll_device_io(now_);
  if (with_tasks) did += tasks_.run_ready();
  quiet_ = did == 0;
  return true;
}

ThreadedPair::Side::Side(const NetstackConfig& config, const Entropy& entropy, ThreadPipe::End& end, std::size_t i)
    : stack(config, entropy, monotonic_now()), device(end, stack.pool()) {
  interface = stack.attach(device, addresses_of(i)).value();
}

ThreadedPair::Side::~Side() {
  (void)stack.detach(interface);
}

namespace {

ThreadPipe::Options pipe_options(std::uint32_t mtu, std::uint32_t slots, std::uint32_t max_gso) {
  ThreadPipe::Options o;
  o.caps.mtu = mtu;
  o.caps.max_gso = max_gso;
  o.caps.tx_checksum = max_gso > 0;
  o.slots = slots;
  return o;
}

}  // namespace

ThreadedPair::ThreadedPair(const NetstackConfig& config, const Entropy& a, const Entropy& b, std::uint32_t slots,
                           std::uint32_t max_gso)
    : pipe_(pipe_options(config.mtu, slots, max_gso)),
      sides_{Side(config, a, pipe_.end(0), 0), Side(config, b, pipe_.end(1), 1)},
      threads_{NetstackThread(sides_[0].stack), NetstackThread(sides_[1].stack)} {}

PipedStack::PipedStack(const NetstackConfig& config, const Entropy& entropy, std::span<const IpPrefix> addresses,
                       std::uint32_t slots)
    : pipe_(pipe_options(config.mtu, slots, 0)),
      stack_(config, entropy, monotonic_now()),
      device_(pipe_.end(0), stack_.pool()),
      outside_(pipe_.end(1)) {
  interface_ = stack_.attach(device_, addresses).value();
  thread_ = std::make_unique<NetstackThread>(stack_);
}

PipedStack::~PipedStack() {
  thread_.reset();
  (void)stack_.detach(interface_);
}

}  // namespace leat
