#include <leat/core/tcp/lend.hpp>
#include <leat/core/tcp/machine.hpp>

namespace leat::tcp {

std::uint32_t lend(Core& core, Index socket, std::uint32_t most, Packet& to) {
  Tcb t{core, core.sockets[socket].object};
  Active* const a = t.active();
  if (a == nullptr || a->receive.empty()) return 0;
  ChunkCursor front;
  const std::uint32_t n = a->receive.slice(core.pool, 0, most, to, front);
  if (n == 0) return 0;
  a->receive.consume(core.pool, n);
  a->lent += n;
  after_read(t);
  if (t.hot.link == kUnlinked) release_if_quiet(t);
  return n;
}

void give_back(Core& core, Index socket, std::uint32_t n) {
  Tcb t{core, core.sockets[socket].object};
  Active* const a = t.active();
  LEAT_ASSERT(a != nullptr && a->lent >= n);  // what is out keeps the block
  a->lent -= n;
  after_read(t);
  if (t.hot.link == kUnlinked) release_if_quiet(t);
}

bool queue_packet(Core& core, Index socket, Packet& p, std::uint32_t size, ChunkRef& chunk) {
  Tcb t{core, core.sockets[socket].object};
  if (t.queued() >= t.option(OptionId::send_buffer) || !acquire_active(t)) {
    t.hot.flags.set(Flag::write_blocked);
    return false;
  }
  chunk = p.meta().chunk;
  core.pool.add_ref(chunk);
  p.meta().head_length = p.meta().length = size;
  t.active()->send.push(std::move(p));
  begin_spending(t, *t.active());
  mark_dirty(t);
  return true;
}

}  // namespace leat::tcp
