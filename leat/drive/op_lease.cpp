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

constexpr std::uint32_t kUdpHeader = 8;
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

  Core& core = stack_->core();
  const Index i = core.sockets.find(op.socket);
  Packet p;
  std::uint32_t from = 0;
  if (ip::DatagramSocket* const s = ip::datagram_of(core, i); s != nullptr) {
    p = s->queue.pop(core.pool);
    from = p.size() - static_cast<std::uint32_t>(message.full_size);
  } else {
    p = core.pool.allocate(ChunkClass::small, 0);
    if (!p || tcp::lend(core, i, kMostOfAStream, p) == 0) return end(op, Errc::no_buffers);
  }
  Lease& lease = *op.lease;
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
  lease.packet_ = kNoIndex;
  lease.count_ = 0;
  return {};
}

}  // namespace leat
