#include <leat/sim/host.hpp>

namespace leat::sim {

Host::Port::Port(Link::End& link_end, Capture* capture, const std::string& label) : end(&link_end), plain(link_end) {
  if (capture == nullptr) return;
  tap.emplace(plain, capture->writer(), label);
  recorded.emplace(*tap);
}

AnyDevice& Host::Port::device() {
  if (recorded) return *recorded;
  return plain;
}

Host::Host(const HostConfig& config, const Modules& modules, std::uint64_t seed, unsigned number, Instant now)
    : name_(config.name),
      region_(std::make_unique_for_overwrite<std::uint8_t[]>(PacketPool::bytes_needed(config.pool))),
      pool_({region_.get(), PacketPool::bytes_needed(config.pool)}, config.pool),
      storage_(std::make_unique<StackStorage<kHostLimits>>()),
      stack_(storage_->view(pool_), modules, Entropy{{seed, 0x686f7374, number, 0x6c656174}}, now),
      shard_(stack_, ports_, config.budgets),
      deadline_(now) {}

Result<InterfaceId> Host::attach(Link::End& end, Capture* capture) {
  const std::string name = "eth" + std::to_string(devices_.size());
  Port& port = devices_.emplace_back(end, capture, name_ + "." + name);
  auto id = shard_.attach(port.device(), {.name = name, .mtu = 0, .max_gso = 65535, .promiscuous = false});
  if (!id) devices_.pop_back();
  return id;
}

void Host::turn(Instant now) {
  deadline_ = shard_.turn(now);
}

Instant Host::due() const {
  Instant t = deadline_;
  for (const Port& p : devices_) t = earlier(t, p.end->next_event());
  return t;
}

}  // namespace leat::sim
