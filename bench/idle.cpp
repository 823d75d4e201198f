// idle: what an established connection that carries nothing costs: memory of the stack's tables that became resident
// while connections were made, and nothing of the other end's. Each was idle when it was counted.

#include <bench/crafted_peer.hpp>
#include <bench/loads.hpp>

namespace leat::bench {

std::vector<Row> run_idle(const Request& request) {
  std::vector<Row> rows;
  for (const std::uint64_t n : or_default<std::uint64_t>(request.connections, {100'000})) {
    say(request, "idle: " + std::to_string(n) + " connections");
    const auto connections = static_cast<std::uint32_t>(n);
    PacketMemory pool = make_pool({.packets = 16384, .chunks = {8192, 8192, 0}, .reserve = 64});
    const ReservedStorage tables = make_tables(limits_for(connections), false);  // small pages count truly
    Stack stack(tables.view(pool.pool()), kAllModules, seeded_entropy(3), monotonic_now());
    CraftedPeer peer(stack, connections);
    static constexpr Sink kNobody{};
    const std::size_t before = tables.map().resident();
    peer.establish(&kNobody, Ready::readable);
    const std::size_t after = tables.map().resident();
    rows.emplace_back()
        .set("connections", n)
        .set("bytes_per_connection", static_cast<double>(after - before) / static_cast<double>(n));
  }
  return rows;
}

}  // namespace leat::bench
