#pragma once
// IndexTable: a hash table of 8-byte slots, {hash 32, value 32}. The keys stand in the objects that the values name, so
// a lookup compares hashes here and the caller compares the key. It grows one bucket at a time (linear hashing, Litwin
// 1980): no rehash of everything, no pause, and reserved address space is committed as it is needed.
//
//   bucket, one cache line:  | hash 0 .. hash 7 | value 0 .. value 7 |      value 0: free
//
// A hash has two buckets, both derived from its 32 bits alone, so that a split or a displacement needs no key. An entry
// stands in its first bucket where there is room, else in the second; when both are full, entries move to their other
// bucket along a bounded search (cuckoo hashing). This keeps a load of 0.8 in every phase of growth, where plain linear
// hashing has buckets of double load. Entries with one hash can't exceed two buckets: hashes must be keyed.
//
// Threading: one owner. The span may be zero pages or used memory: a bucket is cleared when the table grows into it.

#include <cstddef>
#include <cstdint>
#include <leat/base/assert.hpp>
#include <leat/base/delegate.hpp>
#include <leat/base/prefetch.hpp>
#include <span>

namespace leat {

struct alignas(64) IndexBucket {
  static constexpr std::size_t kSlots = 8;
  std::uint32_t hash[kSlots];   // NOLINT(modernize-avoid-c-arrays): never constructed
  std::uint32_t value[kSlots];  // NOLINT(modernize-avoid-c-arrays)
};
static_assert(sizeof(IndexBucket) == 64);

class IndexTable {
 public:
  // Makes the first `buckets` buckets usable; false: no memory.
  using Commit = Delegate<bool(std::size_t buckets)>;

  // Buckets to hold `entries` at the load the table keeps.
  static constexpr std::size_t buckets_for(std::size_t entries) { return (entries * 10 + 63) / 64 + 2; }

  // At least one bucket. Without a commit delegate the whole span is usable.
  explicit IndexTable(std::span<IndexBucket> storage, Commit commit = {});

  void prefetch(std::uint32_t hash) const {
    leat::prefetch(&storage_[first_bucket(hash)]);
    leat::prefetch(&storage_[second_bucket(hash)]);
  }
  // The value with this hash for which match(value) holds; 0: none. `match` sees values whose hashes are equal.
  template <class Match>
  [[nodiscard]] std::uint32_t find(std::uint32_t hash, Match&& match) const {
    const std::size_t first = first_bucket(hash);
    if (const std::uint32_t value = find_in(storage_[first], hash, match)) return value;
    const std::size_t second = second_bucket(hash);
    return second == first ? 0 : find_in(storage_[second], hash, match);
  }
  // Adds an entry; equal ones are not looked for. False: no room, nothing changed.
  [[nodiscard]] bool insert(std::uint32_t hash, std::uint32_t value);
  bool erase(std::uint32_t hash, std::uint32_t value);                             // false: not there
  bool replace(std::uint32_t hash, std::uint32_t old_value, std::uint32_t value);  // false: not there

  // Moves on with every insert, erase and replace: a lookup done under another epoch may be out of date.
  [[nodiscard]] std::uint32_t epoch() const { return epoch_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t capacity() const { return storage_.size() * IndexBucket::kSlots; }
  [[nodiscard]] std::size_t buckets() const { return buckets_; }  // in use now
  void check_invariants() const;

 private:
  struct Place {
    IndexBucket* bucket = nullptr;
    unsigned slot = 0;
  };
  [[nodiscard]] std::size_t address(std::uint32_t hash) const {
    const std::uint32_t low = hash & mask_;
    return low < buckets_ ? low : low & (mask_ >> 1);
  }
  [[nodiscard]] std::size_t first_bucket(std::uint32_t hash) const { return address(hash); }
  [[nodiscard]] std::size_t second_bucket(std::uint32_t hash) const {
    hash = (hash ^ (hash >> 16)) * 0x85ebca6bU;  // the finaliser of MurmurHash3: a bijection in which all bits mix
    hash = (hash ^ (hash >> 13)) * 0xc2b2ae35U;
    return address(hash ^ (hash >> 16));
  }
  // Bit i: slot i has this hash. Four lanes at a time, in the vector notation that both compilers lower for any target.
  static unsigned equal_slots(const IndexBucket& bucket, std::uint32_t hash) {
    using Lanes [[gnu::vector_size(16)]] = std::uint32_t;
    using Halves [[gnu::vector_size(16)]] = std::uint64_t;
    Lanes low, high;
    __builtin_memcpy(&low, &bucket.hash[0], sizeof low);
    __builtin_memcpy(&high, &bucket.hash[4], sizeof high);
    const Lanes wanted{hash, hash, hash, hash};
    const Lanes bits = (Lanes(low == wanted) & Lanes{1, 2, 4, 8}) | (Lanes(high == wanted) & Lanes{16, 32, 64, 128});
    const auto halves = Halves(bits);
    const std::uint64_t both = halves[0] | halves[1];
    return static_cast<unsigned>(both | (both >> 32)) & 0xffU;
  }
  template <class Match>
  static std::uint32_t find_in(const IndexBucket& bucket, std::uint32_t hash, Match& match) {
    unsigned equal = equal_slots(bucket, hash);
    for (; equal != 0; equal &= equal - 1) {
      const std::uint32_t value = bucket.value[__builtin_ctz(equal)];
      if (value != 0 && match(value)) return value;
    }
    return 0;
  }
  [[nodiscard]] Place locate(std::uint32_t hash, std::uint32_t value) const;
  [[nodiscard]] Place make_room(std::uint32_t hash);
  bool grow();                                           // false: as large as it gets
  static unsigned free_slot(const IndexBucket& bucket);  // kSlots: full

  std::span<IndexBucket> storage_;
  Commit commit_;
  std::uint32_t mask_ = 0;  // hash bits that address the buckets once the present doubling is complete
  std::uint32_t buckets_ = 1;
  std::uint32_t committed_ = 0;
  std::uint32_t epoch_ = 0;
  std::size_t size_ = 0;
};

}  // namespace leat
