#include "virtual_stack.hpp"

#include <poll.h>

#include <algorithm>
#include <leat/base/error_table.hpp>
#include <leat/buf/packet_pool.hpp>
#include <leat/core/storage.hpp>
#include <span>
#include <stdexcept>
#include <thread>

namespace leat::tools {
namespace {

constexpr PoolLayout kPool{.packets = 8192, .chunks = {4096, 4096, 64}, .reserve = 64};
constexpr Limits kLimits{.sockets = 256};
// A clock of a tool shows a time of day; where it begins means nothing.
constexpr Instant kBeginning = Instant::from_ns(1'000'000'000'000);

// Whether the thread that calls was woken by the stack and has made no call since.
thread_local bool was_woken = false;

}  // namespace

// --- the device
// --------------------------------------------------------------------------------------------------------

std::size_t PacketQueue::rx(PacketBatch& batch, Instant now) {
  std::size_t n = 0;
  while (!incoming_.empty() && !batch.full()) {
    const std::vector<std::uint8_t> bytes = std::move(incoming_.front());
    incoming_.erase(incoming_.begin());
    Packet p = pool_->allocate_for(static_cast<std::uint32_t>(bytes.size()));
    if (!p) {
      ++counters_.rx_dropped;
      continue;
    }
    std::ranges::copy(bytes, p.append(static_cast<std::uint32_t>(bytes.size())).begin());
    p.meta().time = now;
    ++counters_.rx_packets;
    counters_.rx_bytes += bytes.size();
    batch.push(std::move(p));
    ++n;
  }
  return n;
}

std::size_t PacketQueue::tx(PacketBatch& batch, Instant now) {
  const std::size_t n = batch.size();
  for (std::size_t i = 0; i < n; ++i) {
    Packet& p = batch[i];
    Emitted e{std::vector<std::uint8_t>(p.size()), now};
    p.copy_out(0, e.bytes);
    counters_.tx_bytes += e.bytes.size();
    sent_.push_back(std::move(e));
    p.reset();
  }
  counters_.tx_packets += n;
  batch.pop_front(n);
  return n;
}

std::optional<PacketQueue::Emitted> PacketQueue::take() {
  if (sent_.empty()) return std::nullopt;
  Emitted e = std::move(sent_.front());
  sent_.erase(sent_.begin());
  return e;
}

// --- the stack
// ---------------------------------------------------------------------------------------------------------

struct VirtualStack::Tables {
  StackStorage<kLimits> storage;
};

VirtualStack::VirtualStack(const VirtualStackOptions& o)
    : now_(kBeginning),
      memory_(PacketPool::bytes_needed(kPool)),
      pool_(std::make_unique<PacketPool>(memory_, kPool)),
      queue_(std::make_unique<PacketQueue>(*pool_, o.mtu)),
      device_(std::make_unique<DeviceRef<PacketQueue>>(*queue_)),
      tables_(std::make_unique<Tables>()),
      stack_(std::make_unique<Stack>(tables_->storage.view(*pool_), kAllModules, Entropy{{o.seed, 2, 3, 4}}, now_)),
      shard_(std::make_unique<Shard>(*stack_, std::span{&port_, 1})),
      engine_(std::make_unique<OpEngine>(*stack_)) {
  const auto must = [](const char* what, const auto& r) {
    if (!r) throw std::runtime_error(std::string(what) + ": " + std::string(error_info(r.error()).sentence));
  };
  const auto id = shard_->attach(*device_, {.name = "tun0"});
  must("interface", id);
  interface_ = *id;
  for (const auto& [option, value] : o.options) must("option", stack_->set_option(option, value));
  for (const IpPrefix& a : o.addresses) must("local address", stack_->add_address(interface_, a));
  // Whoever is the peer: packets leave by the one device.
  for (const IpVersion v : {IpVersion::v4, IpVersion::v6}) {
    RouteConfig route{.destination = {IpAddress::any(v), 0}, .interface = interface_};
    for (const IpAddress& g : o.gateways)
      if (g.version() == v) route.gateway = g;
    must("route", stack_->add_route(route));
  }
  next_ = now_;
}

VirtualStack::~VirtualStack() {
  Lock lock(mutex_);
  engine_->withdraw_all(Errc::shut_down);
  complete_all(lock);
  (void)shard_->detach(interface_);
}

Instant VirtualStack::next_deadline() const {
  return earlier(next_, engine_->next_deadline());
}

// Everything that is to be done at this time.
void VirtualStack::settle(Lock& lock) {
  for (int rounds = 0; rounds < 1000; ++rounds) {
    next_ = shard_->turn(now_);
    engine_->settle(now_);
    complete_all(lock);
    if (next_ > now_ && !engine_->unsettled()) return;
  }
}

void VirtualStack::complete_all(Lock& lock) {
  while (Op* const op = engine_->take_completed()) {
    if (op->completed != nullptr) {
      lock.unlock();
      op->completed(*op);
      lock.lock();
      continue;
    }
    static_cast<Waiting*>(op->sleeper)->done = true;
    ++to_look_;
    changed_.notify_all();
  }
}

// The clock moves when nobody who was woken has still to look at it.
void VirtualStack::move_to(Instant when, Lock& lock) {
  changed_.wait_for(lock, kRealPatience, [this] { return to_look_ == 0; });
  to_look_ = 0;
  if (when > now_) now_ = when;
}

void VirtualStack::woken_thread_calls() {
  if (!was_woken) return;
  was_woken = false;
  if (to_look_ > 0) --to_look_;
  changed_.notify_all();
}

void VirtualStack::inject(ByteSpan packet) {
  Lock lock(mutex_);
  woken_thread_calls();
  queue_->inject(packet);
  settle(lock);
}

bool VirtualStack::emitted(std::vector<std::uint8_t>& packet, Instant& time) {
  Lock lock(mutex_);
  woken_thread_calls();
  for (;;) {
    settle(lock);
    if (auto e = queue_->take()) {
      packet = std::move(e->bytes);
      time = e->time;
      return true;
    }
    const Instant next = next_deadline();
    if (next.is_never()) return false;
    move_to(next, lock);
  }
}

void VirtualStack::sleep(Duration d) {
  Lock lock(mutex_);
  woken_thread_calls();
  const Instant until = now_ + d;
  for (;;) {
    settle(lock);
    const Instant next = next_deadline();
    if (next > until) break;
    move_to(next, lock);
  }
  move_to(until, lock);
  settle(lock);
}

Instant VirtualStack::ask_time() {
  Lock lock(mutex_);
  now_ = now_ + Duration::us(1);
  if (next_deadline() <= now_) settle(lock);
  const Instant answer = now_;
  woken_thread_calls();
  return answer;
}

void VirtualStack::set_option(OptionId id, std::int64_t value) {
  const Lock lock(mutex_);
  if (const auto r = stack_->set_option(id, value); !r) throw std::runtime_error("an option's value is out of range");
}

// --- the service
// -------------------------------------------------------------------------------------------------------

void VirtualStack::run(Op& op) {
  Lock lock(mutex_);
  woken_thread_calls();
  stack_->set_now(now_);
  if (engine_->start(op)) {
    settle(lock);
    return;
  }
  Waiting waiting;
  op.sleeper = &waiting;
  settle(lock);
  const auto is_done = [&waiting] { return waiting.done; };
  if (op.also_fd < 0) {
    changed_.wait(lock, is_done);
  } else {
    watch_too(op, is_done, lock);
  }
  was_woken = true;
}

// Descriptors of the kernel's are in the call too. The kernel's time is not ours: they are looked at now and then.
template <class Done>
void VirtualStack::watch_too(Op& op, const Done& is_done, Lock& lock) {
  while (!changed_.wait_for(lock, std::chrono::milliseconds(1), is_done)) {
    pollfd other{.fd = op.also_fd, .events = POLLIN, .revents = 0};
    if (::poll(&other, 1, 0) <= 0) continue;
    op.also_ready = engine_->withdraw(op, Errc::interrupted);
    complete_all(lock);
  }
}

void VirtualStack::start(Op& op) {
  Lock lock(mutex_);
  stack_->set_now(now_);
  if (engine_->start(op)) {
    lock.unlock();
    op.completed(op);
    lock.lock();
  }
  settle(lock);
}

void VirtualStack::cancel(Op& op) {
  Lock lock(mutex_);
  engine_->withdraw(op, Errc::cancelled);
  complete_all(lock);
}

Instant VirtualStack::now() const {
  const Lock lock(mutex_);
  return now_;
}

}  // namespace leat::tools
