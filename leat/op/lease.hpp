#pragma once
// Lease: packet memory that is shown to a program where it lies, without a copy: what a socket received. It stays valid
// until it is given back (Verb::release_lease); what was lent is not read again.
//
//   Lease lease;
//   op.verb = Verb::receive_lease; op.socket = s; op.lease = &lease; service.run(op);
//   for (ByteSpan piece : lease.pieces()) use(piece);
//   op.reset(); op.verb = Verb::release_lease; op.lease = &lease; service.run(op);
//
// The other way: take_lease gives an empty piece of it that a program fills (writable()), and send_lease queues it on a
// stream as it is, or sends it as one datagram. That operation completes when nothing refers to the memory any more:
// when the peer has acknowledged it (of a stream) and the device has let go, or the connection is over; of what went to
// this host itself, when it was read. The lease is empty then. Pieces of a few hundred octets are copied all the same,
// and it completes at once. One that ends before its time (a deadline, a cancellation) tells what became of the octets:
// with an error nothing was queued, and the lease has them still; with IoStatus::would_block and no error all of them
// are on their way, only the memory is not free yet: the lease is empty, and who sends them again sends them twice.
//
// What a socket lent counts against its receive_buffer until it is given back: its peer is not invited to send more.
// All leases together hold at most half of the pool; beyond that receive_lease answers no_buffers, and the data waits
// to be read by a copy. Memory outlives the stack's end as long as the Service lives. Threading: a value; whoever has
// it may give it back, once.

#include <array>
#include <cstddef>
#include <leat/base/bytes.hpp>
#include <leat/base/index_list.hpp>
#include <leat/op/handle.hpp>
#include <span>

namespace leat {

class Lease {
 public:
  static constexpr std::size_t kMost = 20;  // a packet's head and all its fragments
  [[nodiscard]] std::span<const ByteSpan> pieces() const { return std::span{pieces_}.first(count_); }
  [[nodiscard]] bool held() const { return packet_ != kNoIndex; }
  [[nodiscard]] MutableByteSpan writable() const { return writable_; }

 private:
  friend class OpEngine;
  std::array<ByteSpan, kMost> pieces_{};
  std::size_t count_ = 0;
  MutableByteSpan writable_;
  Index packet_ = kNoIndex;
  std::uint32_t chunk_ = 0;  // of what is being sent
  Handle lender_;            // the socket that lent it
  std::uint32_t lent_ = 0;   // what counts there
};

}  // namespace leat
