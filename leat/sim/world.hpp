#pragma once
// World: hosts and links under virtual time, from one seed. Time jumps from event to event; nothing waits.
//
//   World world({.seed = 7, .modules = &kAllModules});
//   Host& a = world.add_host({.name = "a"});   Host& b = world.add_host({.name = "b"});
//   Link& line = world.join(a, *IpPrefix::parse("10.0.0.1/24"), b, *IpPrefix::parse("10.0.0.2/24"), {...});
//   world.at(Duration::s(5), [&] { line.set_down(true); });
//   world.run(Duration::s(60), [&] { return finished; });
//
// Order is total: events that were planned come first in the order (time, planning), then hosts that are due in the
// order of their making. The same seed and program give the same bytes in every capture, on every compiler and machine.
// Every table of every host is checked after each turn, unless that is turned off.
// Threading: one owner. Applications run in sinks and planned events.

#include <functional>
#include <leat/sim/host.hpp>
#include <queue>

namespace leat::sim {

struct WorldConfig {
  std::uint64_t seed = 1;
  const Modules* modules = nullptr;  // what hosts are made of; must be given
  std::size_t batch = PacketBatch::kMax;
  bool check_invariants = true;
  Capture* capture = nullptr;
};

class World {
 public:
  explicit World(const WorldConfig& config);
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Host& add_host(HostConfig config);
  // A link between two hosts, each with an address on it.
  Link& join(Host& a, const IpPrefix& address_a, Host& b, const IpPrefix& address_b, const LinkConfig& config);

  // Virtual time since the world began.
  [[nodiscard]] Duration now() const { return now_ - kBegin; }
  [[nodiscard]] std::uint64_t turns() const { return turns_; }
  // Plans an event, at a time or after a while; in the past means now.
  void at(Duration when, std::function<void()> event);
  void after(Duration wait, std::function<void()> event) { at(now() + wait, std::move(event)); }

  // Runs until `done` says so (asked after each step), or nothing is left before `limit`, where time then stands.
  // True when `done` said so.
  bool run(Duration limit, const std::function<bool()>& done = {});
  // A host that takes turn after turn while time stands still: a bug, told here instead of a hang.
  [[nodiscard]] bool stuck() const { return stuck_; }

 private:
  static constexpr Instant kBegin = Instant::from_ns(1'000'000'000);  // nothing may count from zero
  static constexpr unsigned kMaxTurnsAtOnce = 200'000;

  struct Planned {
    Instant when;
    std::uint64_t number;
    std::function<void()> event;
    bool operator<(const Planned& o) const { return o.when < when || (o.when == when && o.number < number); }
  };
  bool step(Instant limit);

  WorldConfig config_;
  Instant now_ = kBegin;
  std::uint64_t turns_ = 0;
  unsigned turns_at_once_ = 0;
  bool stuck_ = false;
  std::list<std::unique_ptr<Link>> links_;  // outlive the hosts
  std::list<Host> hosts_;
  unsigned host_count_ = 0;
  std::priority_queue<Planned> planned_;
  std::uint64_t next_number_ = 0;
};

}  // namespace leat::sim
