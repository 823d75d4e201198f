#include <sys/mman.h>

#include <bench/stacks.hpp>
#include <leat/base/error_table.hpp>
#include <stdexcept>
#include <string>

namespace leat::bench {
namespace {

DeviceCaps wire_caps(std::uint32_t mtu) {
  DeviceCaps caps;
  caps.link = LinkType::ethernet;
  caps.mtu = mtu;
  caps.gather = true;
  return caps;
}

}  // namespace

void fail_with(const char* what, Errc error) {
  throw std::runtime_error(std::string(what) + ": " + std::string(error_info(error).sentence));
}

Limits limits_for(std::uint32_t connections) {
  Limits l;
  l.sockets = connections + 64;
  l.tcp.connections = connections + 16;
  l.tcp.active = connections + 16;
  l.tcp.listeners = 16;
  l.tcp.syn_records = 4096;
  l.tcp.time_wait = 65536;
  l.tcp.ranges = connections + 8192;
  l.tcp.ooo_nodes = 4096;
  l.tcp.paths = 256;  // as hosted_limits: a million connections have 17 addresses
  return l;
}

ReservedStorage make_tables(const Limits& limits, bool huge_pages) {
  ReservedStorage storage = must(ReservedStorage::make(limits), "tables");
  const MutableByteSpan bytes = storage.map().bytes();
  if (huge_pages) madvise(bytes.data(), bytes.size(), MADV_HUGEPAGE);  // a wish: without it page walks cost more
  return storage;
}

PacketMemory make_pool(const PoolLayout& layout) {
  PacketMemory memory = must(PacketMemory::make(layout), "packet memory");
  const MutableByteSpan bytes = memory.map().bytes();
  madvise(bytes.data(), bytes.size(), MADV_HUGEPAGE);
  return memory;
}

Host::Host(PacketPool& pool, std::uint32_t connections, std::uint64_t seed, const Budgets& budgets)
    : tables(make_tables(limits_for(connections))),
      stack(tables.view(pool), kAllModules, seeded_entropy(seed), monotonic_now()),
      shard(stack, ports, budgets) {}

Wire::Wire(const Options& o)
    : pool_(make_pool(o.layout)),
      other_pool_(o.link_copies ? std::optional(make_pool(o.layout)) : std::nullopt),
      to_client_(o.frames),
      to_server_(o.frames),
      client_(pool_.pool(), o.connections, 1, o.budgets),
      server_(other_pool_ ? other_pool_->pool() : pool_.pool(), o.connections, 2, o.budgets),
      pipe_({.pool_a = &pool_.pool(),
             .pool_b = other_pool_ ? &other_pool_->pool() : &pool_.pool(),
             .to_a = to_client_,
             .to_b = to_server_,
             .caps = wire_caps(o.mtu),
             .mac_a = MacAddress{{2, 0, 0, 0, 0, 1}},
             .mac_b = MacAddress{{2, 0, 0, 0, 0, 2}}}),
      client_end_(pipe_.a()),
      server_end_(pipe_.b()) {
  const InterfaceId c = must(client_.shard.attach(client_end_, {.name = "wire"}), "attach");
  const InterfaceId s = must(server_.shard.attach(server_end_, {.name = "wire"}), "attach");
  must(client_.stack.add_address(c, *IpPrefix::parse("10.77.0.1/16")), "address");
  must(server_.stack.add_address(s, *IpPrefix::parse("10.77.0.2/16")), "address");
}

Wire::~Wire() = default;

void Wire::set_option(OptionId id, std::int64_t value) {
  must(client_.stack.set_option(id, value), "option");
  must(server_.stack.set_option(id, value), "option");
}

void Wire::settle(unsigned rounds) {
  for (unsigned i = 0; i < rounds; ++i) {
    const Instant t = monotonic_now();
    const Instant a = client_.shard.turn(t);
    const Instant b = server_.shard.turn(t);
    if (a > t && b > t && pipe_.a().waiting() == 0 && pipe_.b().waiting() == 0) return;
  }
}

}  // namespace leat::bench
