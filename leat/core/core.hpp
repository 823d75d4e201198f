#pragma once
// Core: the state of one stack, as the protocols see it. A plain struct of tables; protocols are functions over it, so
// that each can live in files of its own. Users see Stack (stack.hpp), never Core.
//
// Invariants: `now` is set once per turn and moves forward only. Packets are discarded through drop() alone.
// Threading: one owner at a time; nothing here locks.

#include <leat/base/counters.hpp>
#include <leat/base/delegate.hpp>
#include <leat/base/rng.hpp>
#include <leat/base/time.hpp>
#include <leat/buf/packet_batch.hpp>
#include <leat/core/keys.hpp>
#include <leat/core/modules.hpp>
#include <leat/core/socket.hpp>
#include <leat/core/storage.hpp>
#include <leat/op/options.hpp>

namespace leat {

struct Core {
  Core(const StorageView& storage, const Modules& modules, const Entropy& entropy, std::uint8_t shard, Instant now);

  // The only way to discard a packet. Cold: what leads here stays out of the way of what is delivered.
  [[gnu::cold]] void drop(Packet&& packet, DropReason reason);

  const Modules& modules;
  PacketPool& pool;
  Instant now;
  Scope scope = 0;
  Keys keys;
  Rng rng;
  Counters counters;
  OptionValues options;  // the stack's own
  Delegate<void(const Packet&, DropReason)> on_drop;
  std::uint32_t route_epoch = 1;  // moves when an address, a route or an interface changed

  SocketTable sockets;
  OptionProfiles profiles;
  iface::State iface;  // interfaces, addresses, neighbours, routes
  ip::State ip;        // identifiers, rate limits, reassembly, raw sockets, loopback queue
  udp::State udp;
  tcp::State tcp;

  // The option values that apply to a socket: its profile, or the stack's.
  [[nodiscard]] const OptionValues& options_of(const Socket& s) const {
    return s.profile == 0 ? options : profiles[s.profile];
  }
};

}  // namespace leat
