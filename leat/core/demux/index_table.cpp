#include <algorithm>
#include <array>
#include <bit>
#include <leat/core/demux/index_table.hpp>

namespace leat {
namespace {

constexpr unsigned kSlots = IndexBucket::kSlots;
constexpr std::size_t kCommitStep = 64;  // buckets in a page of 4 KiB

void clear(IndexBucket& bucket) {
  for (unsigned i = 0; i < kSlots; ++i) bucket.hash[i] = bucket.value[i] = 0;
}

}  // namespace

IndexTable::IndexTable(std::span<IndexBucket> storage, Commit commit) : storage_(storage), commit_(commit) {
  LEAT_ASSERT(!storage.empty() && storage.size() <= (std::size_t{1} << 28));
  committed_ = commit_ ? 0 : static_cast<std::uint32_t>(storage.size());
  if (committed_ == 0) {
    const std::size_t wanted = std::min(kCommitStep, storage.size());
    if (commit_(wanted)) committed_ = static_cast<std::uint32_t>(wanted);
    LEAT_ASSERT(committed_ > 0);  // at construction memory is there, or nothing works
  }
  clear(storage_[0]);
}

unsigned IndexTable::free_slot(const IndexBucket& bucket) {
  for (unsigned i = 0; i < kSlots; ++i) {
    if (bucket.value[i] == 0) return i;
  }
  return kSlots;
}

IndexTable::Place IndexTable::locate(std::uint32_t hash, std::uint32_t value) const {
  for (const std::size_t address : {first_bucket(hash), second_bucket(hash)}) {
    IndexBucket& bucket = storage_[address];
    for (unsigned i = 0; i < kSlots; ++i) {
      if (bucket.hash[i] == hash && bucket.value[i] == value) return {&bucket, i};
    }
  }
  return {};
}

bool IndexTable::insert(std::uint32_t hash, std::uint32_t value) {
  LEAT_ASSERT(value != 0);
  if ((size_ + 1) * 10 > std::size_t{buckets_} * kSlots * 8) grow();  // keeps the load at 0.8
  Place place = make_room(hash);
  // A table of a few buckets may be crowded by chance where its load would still be fine.
  for (unsigned tries = 0; place.bucket == nullptr && tries < 4 && grow(); ++tries) place = make_room(hash);
  if (place.bucket == nullptr) return false;
  place.bucket->hash[place.slot] = hash;
  place.bucket->value[place.slot] = value;
  ++size_;
  ++epoch_;
  return true;
}

bool IndexTable::erase(std::uint32_t hash, std::uint32_t value) {
  const Place place = locate(hash, value);
  if (value == 0 || place.bucket == nullptr) return false;
  place.bucket->value[place.slot] = 0;
  --size_;
  ++epoch_;
  return true;
}

bool IndexTable::replace(std::uint32_t hash, std::uint32_t old_value, std::uint32_t value) {
  LEAT_ASSERT(value != 0);
  const Place place = locate(hash, old_value);
  if (old_value == 0 || place.bucket == nullptr) return false;
  place.bucket->value[place.slot] = value;
  ++epoch_;
  return true;
}

// A free slot in one of the hash's buckets. When both are full, a breadth-first search from them over the other buckets
// of their entries finds the nearest one with room, and entries move along that path. At a load of 0.8 one neighbour in
// four has room even in the worst phase, when most buckets that are not split yet are full.
IndexTable::Place IndexTable::make_room(std::uint32_t hash) {
  struct Step {
    std::uint32_t bucket;
    std::uint8_t parent;       // the step from which an entry moves here
    std::uint8_t parent_slot;  // which of its entries
  };
  constexpr std::size_t kMaxSteps = 64;
  constexpr std::uint8_t kRoot = 0xff;
  std::array<Step, kMaxSteps> steps;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled up to `known`
  std::size_t known = 0;
  const std::size_t first = first_bucket(hash);
  const std::size_t second = second_bucket(hash);
  steps[known++] = {static_cast<std::uint32_t>(first), kRoot, 0};
  if (second != first) steps[known++] = {static_cast<std::uint32_t>(second), kRoot, 0};
  for (std::size_t s = 0; s < known; ++s) {
    IndexBucket* bucket = &storage_[steps[s].bucket];
    unsigned slot = free_slot(*bucket);
    if (slot < kSlots) {
      for (std::size_t at = s; steps[at].parent != kRoot;) {  // back along the path: each entry moves one step on
        const Step& step = steps[at];
        IndexBucket& from = storage_[steps[step.parent].bucket];
        bucket->hash[slot] = from.hash[step.parent_slot];
        bucket->value[slot] = from.value[step.parent_slot];
        from.value[step.parent_slot] = 0;
        bucket = &from;
        slot = step.parent_slot;
        at = step.parent;
      }
      return {bucket, slot};
    }
    for (unsigned i = 0; i < kSlots && known < kMaxSteps; ++i) {
      const std::size_t one = first_bucket(bucket->hash[i]);
      const std::size_t other = one == steps[s].bucket ? second_bucket(bucket->hash[i]) : one;
      const bool seen = std::any_of(steps.begin(), steps.begin() + static_cast<std::ptrdiff_t>(known),
                                    [other](const Step& step) { return step.bucket == other; });
      if (!seen) {
        steps[known++] = {static_cast<std::uint32_t>(other), static_cast<std::uint8_t>(s),
                          static_cast<std::uint8_t>(i)};
      }
    }
  }
  return {};
}

// Linear hashing: bucket `buckets_` comes into use and takes its share of the one bucket whose hashes lead to it.
bool IndexTable::grow() {
  if (buckets_ == storage_.size()) return false;
  if (buckets_ == committed_) {
    const std::size_t wanted = std::min(storage_.size(), std::size_t{committed_} + kCommitStep);
    if (!commit_(wanted)) return false;  // the table gets fuller; tried again at the next insert
    committed_ = static_cast<std::uint32_t>(wanted);
  }
  const std::uint32_t added = buckets_;
  if (std::has_single_bit(added)) mask_ = (added << 1) - 1;  // a doubling begins
  const std::uint32_t split = added & (mask_ >> 1);
  IndexBucket& from = storage_[split];
  IndexBucket& to = storage_[added];
  clear(to);
  // An entry stays when either of its addresses is still here. Both were here: it may go or stay.
  ++buckets_;
  unsigned filled = 0;
  for (unsigned i = 0; i < kSlots; ++i) {
    if (from.value[i] == 0) continue;
    if (first_bucket(from.hash[i]) == split || second_bucket(from.hash[i]) == split) continue;
    to.hash[filled] = from.hash[i];
    to.value[filled++] = from.value[i];
    from.value[i] = 0;
  }
  return true;
}

void IndexTable::check_invariants() const {
  std::size_t count = 0;
  for (std::uint32_t b = 0; b < buckets_; ++b) {
    for (unsigned i = 0; i < kSlots; ++i) {
      if (storage_[b].value[i] == 0) continue;
      ++count;
      const std::uint32_t hash = storage_[b].hash[i];
      LEAT_ASSERT(first_bucket(hash) == b || second_bucket(hash) == b);
    }
  }
  LEAT_ASSERT(count == size_);
  LEAT_ASSERT(buckets_ <= committed_ && committed_ <= storage_.size());
}

}  // namespace leat
