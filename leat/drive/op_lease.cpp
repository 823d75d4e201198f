// Receiving without a copy (op/lease.hpp).

#include <algorithm>
#include <leat/core/ip/datagram.hpp>
#include <leat/core/tcp/lend.hpp>
#include <leat/drive/op_engine.hpp>

namespace leat {
namespace {

// Half of the pool.
std::size_t most_lent(const PacketPool& pool) {
  std::size_t bytes = 0;
  for (std::size_t c = 0; c < kChunkClasses; ++c) bytes += std::size_t{pool.layout().chunks[c]} * kChunkBytes[c];
  return bytes / 2;
}

// One chunk.
constexpr std::int64_t kMostTaken = 65536;
// One lease shows at most this much, so that a long queue is lent piece by piece as it is needed.
constexpr std::uint32_t kMostOfAStream = 256 * 1024;

}  // namespace

OpEngine::Try OpEngine::attempt_receive_lease(Op& op) {
  Message unused;
  Message& message = op.message != nullptr ? *op.message : unused;
  if (op.lease->held()) return end(op, Errc::invalid_argument);
  if (lent_ >= most_lent(stack_->pool())) return end(op, Errc::no_buffers);
  // A look with no room takes nothing and says what is there.
  const bool stream = op.socket.kind() == SocketKind::stream;
  const auto look = stack_->try_receive_from(op.socket, {}, message, stream ? RecvFlags::none : RecvFlags::peek);
  if (!look) return end(op, look.error());
  if (look->status == IoStatus::would_block && !op.flags.dont_wait) return Try::blocked;
  op.status = look->status;
  if (look->status != IoStatus::done) return end(op, Errc{});
  if (stream && !op.flags.dont_wait && !any(stack_->readiness(op.socket) & Ready::readable)) return Try::blocked;

  Core& core = stack_->core();
  const Index i = core.sockets.find(op.socket);
  Packet p;
  std::uint32_t from = 0;
  if (ip::DatagramSocket* const s = ip::datagram_of(core, i); s != nullptr) {
    p = s->queue.lend(core.pool);
    from = p.size() - static_cast<std::uint32_t>(message.full_size);
    op.lease->lent_ = p.true_size();
  } else {
    p = core.pool.allocate(ChunkClass::small, 0);
    const std::uint32_t lent = p ? tcp::lend(core, i, kMostOfAStream, p) : 0;
    if (lent == 0) return end(op, Errc::no_buffers);
    op.lease->lent_ = lent;
  }
  Lease& lease = *op.lease;
  lease.lender_ = op.socket;
  lease.count_ = 0;
  p.for_each_piece(from, [&lease](ByteSpan piece) {
    if (!piece.empty()) lease.pieces_[lease.count_++] = piece;
  });
  op.count = p.size() - from;
  lent_ += p.true_size();
  lease.packet_ = p.release();
  return end(op, Errc{});
}

Errc OpEngine::release_lease(Lease& lease) {
  if (!lease.held()) return Errc::invalid_argument;
  const Packet p = Packet::adopt(stack_->pool(), lease.packet_);
  lent_ -= p.true_size();
  Core& core = stack_->core();
  if (const Index i = core.sockets.find(lease.lender_); i != kNoIndex) {
    if (ip::DatagramSocket* const s = ip::datagram_of(core, i); s != nullptr) {
      s->queue.give_back(lease.lent_);
    } else {
      tcp::give_back(core, i, lease.lent_);
    }
  }
  lease = Lease{};
  return {};
}

Errc OpEngine::take_lease(Lease& lease, std::int64_t octets) {
  if (lease.held() || octets <= 0) return Errc::invalid_argument;
  if (octets > kMostTaken) return Errc::message_too_long;
  if (lent_ >= most_lent(stack_->pool())) return Errc::no_buffers;
  Packet p = stack_->pool().allocate_for(static_cast<std::uint32_t>(octets), 0);
  if (!p) return Errc::no_buffers;
  lease = Lease{};
  lease.writable_ = p.append(static_cast<std::uint32_t>(octets));
  lent_ += p.true_size();
  lease.packet_ = p.release();
  return {};
}

// False: there is no room now.
Result<bool> OpEngine::queue_lease(Op& op) {
  const auto may = stack_->try_send(op.socket, {});
  if (!may) return fail(may.error());
  Lease& lease = *op.lease;
  Packet p = Packet::adopt(stack_->pool(), lease.packet_);
  const bool queued =
      may->status == IoStatus::done && tcp::queue_packet(stack_->core(), stack_->core().sockets.find(op.socket), p,
                                                         static_cast<std::uint32_t>(op.value), lease.chunk_);
  if (!queued) (void)p.release();
  return queued;
}

Result<bool> OpEngine::send_lease_as_datagram(Op& op) {
  Lease& lease = *op.lease;
  Packet p = Packet::adopt(stack_->pool(), lease.packet_);
  SendOverrides as = op.overrides != nullptr ? *op.overrides : SendOverrides{};
  as.chunk = p.meta().chunk;
  const auto sent = stack_->try_send_as(op.socket, lease.writable_.first(static_cast<std::size_t>(op.value)),
                                        op.has_endpoint ? &op.endpoint : nullptr, as);
  if (!sent || sent->status == IoStatus::would_block) {
    (void)p.release();
    if (!sent) return fail(sent.error());
    return false;
  }
  lease.chunk_ = as.chunk;
  stack_->pool().add_ref(lease.chunk_);  // the operation's own; that of the packet goes with it
  return true;
}

OpEngine::Try OpEngine::attempt_send_lease(Op& op) {
  PacketPool& pool = stack_->pool();
  if (!op.started) {
    Lease& lease = *op.lease;
    if (!lease.held() || lease.writable_.empty() || op.value <= 0 ||
        op.value > static_cast<std::int64_t>(lease.writable_.size())) {
      return end(op, Errc::invalid_argument);
    }
    const auto queued = op.socket.kind() == SocketKind::stream ? queue_lease(op) : send_lease_as_datagram(op);
    if (!queued) return end(op, queued.error());
    if (!*queued) {  // the lease has it still
      if (!op.flags.dont_wait) return Try::blocked;
      op.status = IoStatus::would_block;
      return end(op, Errc{});
    }
    op.started = true;
    op.count = static_cast<std::size_t>(op.value);
    lease.packet_ = kNoIndex;
    lease.writable_ = {};
    // From the list of the socket's waiters, where it may stand, it goes to that of those who wait for memory.
    if (op.linked()) {
      unlink(op);
      op.list_next = lent_out_;
      lent_out_ = &op;
      return Try::blocked;
    }
  }
  if (pool.refs(op.lease->chunk_) > 1) return Try::blocked;
  finish_lease(op);
  return end(op, Errc{});
}

// The memory's last user is the lease itself.
void OpEngine::settle_leases() {
  for (Op* op = lent_out_; op != nullptr;) {
    Op* const next = op->list_next;
    if (stack_->pool().refs(op->lease->chunk_) == 1) complete(*op);
    op = next;
  }
}

void OpEngine::finish_lease(Op& op) {
  PacketPool& pool = stack_->pool();
  for (Op** at = &lent_out_; *at != nullptr; at = &(*at)->list_next) {
    if (*at != &op) continue;
    *at = op.list_next;
    break;
  }
  lent_ -= kChunkBytes[static_cast<std::size_t>(chunk_class(op.lease->chunk_))];
  pool.drop_ref(op.lease->chunk_);
  *op.lease = Lease{};
}

}  // namespace leat
