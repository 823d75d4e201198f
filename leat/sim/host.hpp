#pragma once
// Host: one machine of a world: a stack with its storage and pool, a shard that turns it, and a device for each link.
// Its randomness comes from the world's seed and its number.
//
// Threading: one owner, the world.

#include <leat/device/wrap/pcapng_tap.hpp>
#include <leat/drive/shard.hpp>
#include <leat/sim/capture.hpp>
#include <leat/sim/link.hpp>
#include <list>
#include <memory>
#include <optional>
#include <string>

namespace leat::sim {

// What a simulated host has room for.
inline constexpr Limits kHostLimits = [] {
  Limits l;
  l.sockets = 512;
  l.tcp.connections = 512;
  l.tcp.active = 256;
  l.tcp.listeners = 16;
  l.tcp.syn_records = 256;
  l.tcp.time_wait = 256;
  l.tcp.ranges = 16384;
  l.tcp.ooo_nodes = 8192;
  return l;
}();

struct HostConfig {
  std::string name = "host";
  PoolLayout pool{.packets = 16384, .chunks = {16384, 16384, 0}, .reserve = 256};
  Budgets budgets;
};

class Host {
 public:
  static constexpr std::size_t kMaxPorts = 4;

  Host(const HostConfig& config, const Modules& modules, std::uint64_t seed, unsigned number, Instant now);
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] Stack& stack() { return stack_; }
  [[nodiscard]] Shard& shard() { return shard_; }
  [[nodiscard]] PacketPool& pool() { return pool_; }

  // Connects an end of a link as interface "eth0", "eth1" ...; its frames are recorded when `capture` is given.
  Result<InterfaceId> attach(Link::End& end, Capture* capture);

  // One turn. The host is not due again before what it returned, unless something arrives or `wake` is called.
  void turn(Instant now);
  // Calls from outside a turn (connect, send ...) leave something to do: the host is due now.
  void wake() { deadline_ = Instant{}; }
  [[nodiscard]] Instant due() const;

 private:
  // A device as the shard sees it: the end of a link, recorded or not.
  struct Port {
    Port(Link::End& link_end, Capture* capture, const std::string& label);
    [[nodiscard]] AnyDevice& device();

    Link::End* end;
    DeviceRef<Link::End> plain;
    std::optional<PcapngTap> tap;
    std::optional<DeviceRef<PcapngTap>> recorded;
  };

  std::string name_;
  std::unique_ptr<std::uint8_t[]> region_;
  PacketPool pool_;
  std::unique_ptr<StackStorage<kHostLimits>> storage_;
  Stack stack_;
  std::array<DevicePort, kMaxPorts> ports_;
  Shard shard_;
  std::list<Port> devices_;
  Instant deadline_;
};

}  // namespace leat::sim
