#pragma once
// The error queues of all sockets (architecture, section 7): one bounded pool of records that sockets share, each
// socket with a share of its own at most, so that one which nobody reads can't take it all. A socket's records are
// found by a hash of its index and stand there in order of arrival: a queue costs a socket one byte, its count.
//
// Full means full: what does not fit is not queued (the newest is lost, as on Linux), and the caller counts it.
//
// Complexity: O(records of sockets that share a bucket). Storage may be zero pages. Threading: one owner.

#include <array>
#include <leat/base/bytes.hpp>
#include <leat/base/index_list.hpp>
#include <leat/op/error_entry.hpp>
#include <optional>
#include <span>

namespace leat {

struct ErrorRecord {
  ErrorEntry entry;
  Index socket = kNoIndex;
  Index next = kNoIndex;  // index + 1 in the bucket's chain, 0: the last; of the free list: as IndexPool wants it
  std::array<std::uint8_t, kErrorPayload> payload{};
};

struct ErrorStorage {
  std::span<ErrorRecord> records;
  std::span<Index> buckets;  // a power of two, zero
};

class ErrorQueues {
 public:
  explicit ErrorQueues(const ErrorStorage& s)
      : records_(s.records), buckets_(s.buckets), pool_(static_cast<std::uint32_t>(s.records.size())) {}

  // How many records one socket may have: a quarter of all, at most 64.
  [[nodiscard]] std::uint32_t share() const {
    const std::uint32_t quarter = pool_.capacity() / 4;
    return quarter < 1 ? 1 : quarter > 64 ? 64 : quarter;
  }
  // Behind what `socket` has. The entry's `payload` is set to what was kept of `payload`. False: no record is free.
  [[nodiscard]] bool push(Index socket, const ErrorEntry& entry, ByteSpan payload);
  // The oldest of the socket's entries; nullptr: it has none.
  [[nodiscard]] const ErrorEntry* front(Index socket) const;
  // Takes the oldest, copies of its payload what `to` holds, and says how much that was. Nothing: there is none.
  std::optional<std::size_t> pop(Index socket, ErrorEntry& entry, MutableByteSpan to);
  [[nodiscard]] std::uint32_t used() const { return pool_.used(); }

 private:
  [[nodiscard]] Index bucket_of(Index socket) const {
    return buckets_[socket & (static_cast<Index>(buckets_.size()) - 1)];
  }
  [[nodiscard]] Index& bucket_of(Index socket) { return buckets_[socket & (static_cast<Index>(buckets_.size()) - 1)]; }

  std::span<ErrorRecord> records_;
  std::span<Index> buckets_;  // index + 1; 0: empty
  IndexPool pool_;
};

}  // namespace leat
