#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <leat/netstack/netstack.hpp>

namespace leat {
namespace {

// A datagram of ordinary size keeps one chunk of 2 KiB busy, which is what a receive budget counts.
std::int64_t receive_budget(std::size_t bytes, std::size_t messages) {
  constexpr std::size_t kMessage = kChunkBytes[static_cast<std::size_t>(ChunkClass::normal)];
  const OptionRange& range = option_range(OptionId::receive_buffer);
  const std::size_t most = messages > bytes / kMessage ? bytes : messages * kMessage;
  return std::clamp(static_cast<std::int64_t>(most), range.minimum, range.maximum);
}

}  // namespace

// While it lives, this thread is in the middle of the stack's work.
class Netstack::Inside {
 public:
  explicit Inside(Netstack& s) : queue_(s.queue_.get()) { queue_->own(true); }
  ~Inside() { queue_->own(false); }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  channel::CommandQueue* queue_;
};

Netstack::Netstack(const NetstackConfig& config, const Entropy& entropy, Instant now)
    : config_(config),
      storage_(ReservedStorage::make(config.limits).value()),
      memory_(PacketMemory::make(hosted_pool_layout(config.packet_memory)).value()),
      stack_(storage_.view(memory_.pool()), *config.modules, entropy, now),
      ports_(config.interfaces),
      shard_(stack_, ports_, config.budgets),
      engine_(stack_),
      queue_(std::make_shared<channel::CommandQueue>(config.command_capacity)),
      bell_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      next_(now) {
  LEAT_ASSERT(bell_);
  queue_->set_now(now);
  set_driver({});
  queue_->own(false);
  LEAT_ASSERT(stack_.set_option(OptionId::ip_loopback, config.loopback ? 1 : 0).has_value());
  const OptionRange& range = option_range(OptionId::receive_buffer);
  const auto buffer = std::clamp(static_cast<std::int64_t>(config.tcp_buffer), range.minimum, range.maximum);
  for (const OptionId id : {OptionId::receive_buffer, OptionId::send_buffer})
    LEAT_ASSERT(stack_.set_option(id, buffer).has_value());
}

void Netstack::end_calls() {
  queue_->close();
  engine_.withdraw_all(Errc::shut_down);
  deliver();
}

void Netstack::stop(Instant now) {
  end_calls();
  shard_.reset_peers(now);
}

Netstack::~Netstack() {
  end_calls();
  for (const DevicePort& port : ports_)
    if (port.attached()) (void)shard_.detach(port.interface());
}

Result<InterfaceId> Netstack::attach(AnyDevice& device, std::span<const IpPrefix> addresses, AttachOptions options) {
  if (options.mtu == 0) options.mtu = std::min(config_.mtu, device.caps().mtu);
  auto id = shard_.attach(device, options);
  if (!id) return id;
  if (const auto set = direct_set_ips(*id, addresses); !set) {
    (void)shard_.detach(*id);
    return fail(set.error());
  }
  return id;
}

Result<void> Netstack::detach(InterfaceId interface) {
  return shard_.detach(interface);
}

Result<void> Netstack::direct_set_ips(InterfaceId interface, std::span<const IpPrefix> addresses) {
  ControlRequest r{.verb = ControlVerb::set_addresses, .interface = interface, .prefixes = addresses};
  const Errc error = control(stack_, r);
  next_ = stack_.now();
  if (error != Errc{}) return fail(error);
  return {};
}

Duration Netstack::poll_delay(Instant now) const {
  const Instant at = poll_at();
  if (at.is_never()) return Duration::max();
  return at <= now ? Duration{} : at - now;
}

void Netstack::deliver() {
  while (Op* const op = engine_.take_completed()) queue_->finish(*op);
}

void Netstack::limit_socket(const Op& op) {
  if (op.kind != SocketKind::udp && op.kind != SocketKind::raw) return;
  const std::int64_t budget = op.kind == SocketKind::udp ? receive_budget(config_.udp_buffer, config_.udp_messages)
                                                         : receive_budget(config_.raw_buffer, config_.raw_messages);
  (void)stack_.set_option(op.handle, OptionId::receive_buffer, budget);
}

void Netstack::do_one(Op& op) {
  const bool opens = op.verb == Verb::open;
  if (!engine_.start(op)) return;
  if (opens && op.error == Errc{}) limit_socket(op);
  queue_->finish(op);
}

bool Netstack::process_one_cmd(Instant now) {
  const Inside inside(*this);
  stack_.set_now(now);
  queue_->set_now(stack_.now());
  while (Op* const op = queue_->take_cancel()) {
    next_ = now;
    (void)engine_.withdraw(*op, Errc::cancelled);  // not parked any more: its end waits to be told
  }
  deliver();
  Op* const op = queue_->take();
  if (op == nullptr) return false;
  next_ = now;
  do_one(*op);
  deliver();  // whom it ended beside itself: nobody may be there to turn the stack who would tell them later
  return true;
}

// As many as there are now and the queue may hold, so that a caller who sends for ever does not keep the packets out.
std::size_t Netstack::process_cmds(Instant now) {
  constexpr std::size_t kBudget = 1024;
  std::size_t n = 0;
  while (n < kBudget && process_one_cmd(now)) ++n;
  return n;
}

Instant Netstack::poll_device_io(Instant now) {
  const Inside inside(*this);
  next_ = shard_.turn(now);
  queue_->set_now(stack_.now());
  if (engine_.settle(stack_.now())) next_ = stack_.now();
  deliver();
  return poll_at();
}

Instant Netstack::poll_egress(Instant now) {
  const Inside inside(*this);
  next_ = earlier(next_, shard_.flush(now));
  if (engine_.settle(stack_.now())) next_ = stack_.now();
  deliver();
  return poll_at();
}

void Netstack::set_driver(Delegate<bool()> driver) {
  queue_->set_own_calls(Delegate<void()>::to<&Netstack::take_all>(*this), driver);
}

void Netstack::take_all() {
  (void)process_cmds(stack_.now());
}

void Netstack::ring() {
  const std::uint64_t one = 1;
  (void)!::write(bell_.get(), &one, sizeof one);
}

bool Netstack::wait_for_cmd(Duration at_most) {
  return wait(at_most, false);
}

bool Netstack::wait_for_io(Duration at_most) {
  return wait(at_most, true);
}

bool Netstack::wait(Duration at_most, bool devices) {
  queue_->own(false);
  queue_->set_bell(Delegate<void()>::to<&Netstack::ring>(*this));
  bool ready = !queue_->before_sleep();
  std::vector<pollfd> fds{{bell_.get(), POLLIN, 0}};
  std::size_t told = 0;  // devices, the first that are attached
  if (devices) {
    for (const DevicePort& port : ports_) {
      if (ready) break;
      if (!port.attached()) continue;
      if (!port.device()->before_sleep()) ready = true;
      ++told;
      if (port.device()->poll_fd() >= 0) fds.push_back({port.device()->poll_fd(), POLLIN, 0});
    }
  }
  if (!ready) {
    const timespec limit{at_most.count_s(), at_most.count_ns() % 1'000'000'000};
    ready = ::ppoll(fds.data(), fds.size(), at_most == Duration::max() ? nullptr : &limit, nullptr) > 0;
  }
  for (auto port = ports_.begin(); told > 0; ++port) {
    if (!port->attached()) continue;
    port->device()->after_sleep();
    --told;
  }
  queue_->after_sleep();
  std::uint64_t rung = 0;
  (void)!::read(bell_.get(), &rung, sizeof rung);
  return ready;
}

void Netstack::release_thread() {
  queue_->disown();
}

// --- awaited ---------------------------------------------------------------------------------------------------------

Netstack::IoWait Netstack::async_wait_for_io(channel::RunQueue& tasks, Instant until) {
  return {*this, tasks, until, true};
}

Netstack::IoWait Netstack::async_wait_for_cmd(channel::RunQueue& tasks, Instant until) {
  return {*this, tasks, until, false};
}

bool Netstack::IoWait::await_ready() {
  stack_->queue_->own(false);
  return false;
}

void Netstack::IoWait::await_suspend(std::coroutine_handle<> handle) {
  alarm_.await_suspend(handle);
  waiting_ = true;
  stack_->queue_->set_bell(Delegate<void()>::to<&channel::RunQueue::Sleep::ring>(alarm_));
  bool ready = !stack_->queue_->before_sleep();
  for (const DevicePort& port : stack_->ports_)
    if (devices_ && port.attached() && !port.device()->before_sleep()) ready = true;
  if (ready) alarm_.ring();
}

void Netstack::IoWait::end() {
  if (!waiting_) return;
  waiting_ = false;
  stack_->queue_->set_bell({});  // nobody rings the alarm any more
  stack_->queue_->after_sleep();
  for (const DevicePort& port : stack_->ports_)
    if (devices_ && port.attached()) port.device()->after_sleep();
}

}  // namespace leat
