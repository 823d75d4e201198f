#include <leat/sim/world.hpp>

namespace leat::sim {

World::World(const WorldConfig& config) : config_(config) {
  LEAT_ASSERT(config.modules != nullptr);
}

Host& World::add_host(HostConfig config) {
  // The same number of packets in a turn whatever a batch holds, so that a batch of 1 gives the same output as one of
  // 64.
  const std::size_t batch = std::min(config_.batch, PacketBatch::kMax);
  const auto scale = static_cast<unsigned>(PacketBatch::kMax / std::max<std::size_t>(batch, 1));
  config.budgets.batch = batch;
  config.budgets.receive_batches *= scale;
  config.budgets.transmit_batches *= scale;
  Host& host = hosts_.emplace_back(config, *config_.modules, config_.seed, ++host_count_, now_);
  host.shard().check_invariants_every_turn(config_.check_invariants);
  return host;
}

Link& World::join(Host& a, const IpPrefix& address_a, Host& b, const IpPrefix& address_b, const LinkConfig& config) {
  const auto number = static_cast<unsigned>(links_.size() + 1);
  Link& link = *links_.emplace_back(std::make_unique<Link>(config, config_.seed, number, a.pool(), b.pool()));
  const auto connect = [this](Host& host, Link::End& end, const IpPrefix& address) {
    const auto id = host.attach(end, config_.capture);
    LEAT_ASSERT(id && host.stack().add_address(*id, address));
    host.wake();
  };
  connect(a, link.first(), address_a);
  connect(b, link.second(), address_b);
  return link;
}

void World::at(Duration when, std::function<void()> event) {
  planned_.push({std::max(now_, kBegin + when), next_number_++, std::move(event)});
}

// The next thing that happens, if it does not happen after `limit`.
bool World::step(Instant limit) {
  Host* next = nullptr;
  Instant due = Instant::never();
  for (Host& h : hosts_) {
    const Instant t = h.due();
    if (t < due) {
      due = t;
      next = &h;
    }
  }
  const bool event = !planned_.empty() && planned_.top().when <= due;
  if (event) due = planned_.top().when;
  if (due > limit) return false;
  if (due > now_) {
    now_ = due;
    turns_at_once_ = 0;
  }
  if (event) {
    const auto call = planned_.top().event;
    planned_.pop();
    call();
    // Whatever it did with whichever host: all look.
    for (Host& h : hosts_) h.wake();
    return true;
  }
  if (next == nullptr) return false;
  if (++turns_at_once_ > kMaxTurnsAtOnce) {
    stuck_ = true;
    return false;
  }
  next->turn(now_);
  ++turns_;
  if (config_.check_invariants && turns_ % 64 == 0)
    for (const auto& link : links_) link->check_invariants();
  return true;
}

bool World::run(Duration limit, const std::function<bool()>& done) {
  const Instant end = kBegin + limit;
  if (done && done()) return true;
  while (step(end))
    if (done && done()) return true;
  if (!stuck_ && now_ < end) now_ = end;
  return false;
}

}  // namespace leat::sim
