#include <leat/core/core.hpp>

namespace leat {

Core::Core(const StorageView& s, const Modules& m, const Entropy& entropy, std::uint8_t shard, Instant start)
    : modules(m),
      pool(*s.pool),
      now(start),
      keys(entropy),
      rng(keys.rng),
      sockets(s.sockets, s.errors, shard),
      profiles(s.profiles),
      iface(s.iface, keys),
      ip(s.ip),
      udp(s.udp, keys),
      tcp(s.tcp, keys, start) {}

void Core::drop(Packet&& packet, DropReason reason) {
  counters.add(reason);
  if (on_drop) on_drop(packet, reason);
  packet.reset();
}

}  // namespace leat
