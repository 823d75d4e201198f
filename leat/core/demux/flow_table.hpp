#pragma once
// FlowTable: which object owns a flow. One probe of a keyed table for every received segment; the value's tag says what
// was found, so that connections, TIME-WAIT and SYN records share the probe. Keys stand in the records themselves:
//
//   const FlowHash h = table.hash(key);
//   table.prefetch(h);                          // a batch prefetches all, then finds all
//   const FlowValue v = table.find(h, [&](FlowValue candidate) { return records.key_equals(candidate, key); });
//
// The hash is SipHash-1-3 with a secret key: a peer that picks its tuples can't make them collide.
// Threading: one owner. Complexity: O(1), two cache lines at most; see index_table.hpp for memory and growth.

#include <leat/base/flow_siphash.hpp>
#include <leat/base/index_list.hpp>
#include <leat/core/demux/index_table.hpp>

namespace leat {

using FlowHash = std::uint32_t;

enum class FlowKind : std::uint8_t { none = 0, connection = 1, time_wait = 2, syn_record = 3 };

class FlowValue {
 public:
  static constexpr Index kMaxIndex = 0x3fffffffU;
  constexpr FlowValue() = default;
  constexpr FlowValue(FlowKind kind, Index index)
      : bits_((std::uint32_t{static_cast<std::uint8_t>(kind)} << 30) | index) {
    LEAT_ASSERT(index <= kMaxIndex);
  }
  static constexpr FlowValue from_bits(std::uint32_t bits) {
    FlowValue v;
    v.bits_ = bits;
    return v;
  }
  [[nodiscard]] constexpr std::uint32_t bits() const { return bits_; }
  [[nodiscard]] constexpr FlowKind kind() const { return static_cast<FlowKind>(bits_ >> 30); }
  [[nodiscard]] constexpr Index index() const { return bits_ & kMaxIndex; }
  constexpr explicit operator bool() const { return bits_ != 0; }
  constexpr bool operator==(const FlowValue&) const = default;

 private:
  std::uint32_t bits_ = 0;  // kind 2, index 30
};

// The keyed hash of a flow.
[[nodiscard]] inline FlowHash keyed_flow_hash(SipKey secret, const FlowKey& key) {
  return static_cast<FlowHash>(flow_siphash<1, 3>(secret, key) >> 32);
}

class FlowTable {
 public:
  using Bucket = IndexBucket;
  static constexpr std::size_t buckets_for(std::size_t flows) { return IndexTable::buckets_for(flows); }

  FlowTable(std::span<Bucket> storage, SipKey secret, IndexTable::Commit commit = {})
      : table_(storage, commit), secret_(secret) {}

  [[nodiscard]] FlowHash hash(const FlowKey& key) const { return keyed_flow_hash(secret_, key); }
  void prefetch(FlowHash hash) const { table_.prefetch(hash); }
  // match(FlowValue) compares the owner's key. Empty when there is none.
  template <class Match>
  [[nodiscard]] FlowValue find(FlowHash hash, Match&& match) const {
    return FlowValue::from_bits(
        table_.find(hash, [&match](std::uint32_t bits) { return match(FlowValue::from_bits(bits)); }));
  }
  // The caller knows that the flow is not in the table. False: full.
  [[nodiscard]] bool insert(FlowHash hash, FlowValue value) { return table_.insert(hash, value.bits()); }
  bool erase(FlowHash hash, FlowValue value) { return table_.erase(hash, value.bits()); }
  // Another object takes the flow over (SYN record -> connection -> TIME-WAIT); never fails for want of room.
  bool replace(FlowHash hash, FlowValue old_value, FlowValue value) {
    return table_.replace(hash, old_value.bits(), value.bits());
  }
  [[nodiscard]] std::uint32_t epoch() const { return table_.epoch(); }
  [[nodiscard]] std::size_t size() const { return table_.size(); }
  [[nodiscard]] std::size_t capacity() const { return table_.capacity(); }
  void check_invariants() const { table_.check_invariants(); }

 private:
  IndexTable table_;
  SipKey secret_;
};

}  // namespace leat
