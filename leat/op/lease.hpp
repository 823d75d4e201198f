#pragma once
// Lease: packet memory that is shown to a program where it lies, without a copy: what a socket received. It stays valid
// until it is given back (Verb::release_lease); what was lent has left the socket as if it had been read.
//
//   Lease lease;
//   op.verb = Verb::receive_lease; op.socket = s; op.lease = &lease; service.run(op);
//   for (ByteSpan piece : lease.pieces()) use(piece);
//   op.reset(); op.verb = Verb::release_lease; op.lease = &lease; service.run(op);
//
// All leases together hold at most half of the pool; beyond that receive_lease answers no_buffers, and the data waits
// to be read by a copy. Memory outlives the stack's end as long as the Service lives. Threading: a value; whoever has
// it may give it back, once.

#include <array>
#include <cstddef>
#include <leat/base/bytes.hpp>
#include <leat/base/index_list.hpp>
#include <span>

namespace leat {

class Lease {
 public:
  static constexpr std::size_t kMost = 20;  // a packet's head and all its fragments
  [[nodiscard]] std::span<const ByteSpan> pieces() const { return std::span{pieces_}.first(count_); }
  [[nodiscard]] bool held() const { return packet_ != kNoIndex; }

 private:
  friend class OpEngine;
  std::array<ByteSpan, kMost> pieces_{};
  std::size_t count_ = 0;
  Index packet_ = kNoIndex;
};

}  // namespace leat
