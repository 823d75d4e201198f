#pragma once
// FlowMemo: guesses in front of the flow table. A direct-mapped array remembers which connection the last flow with
// such a mix of addresses and ports was, so that a busy connection is found without the keyed hash and its bucket:
//
//   const std::uint64_t mix = FlowMemo::mix(...);
//   Index i = memo.guess(mix);               // kNoIndex: nothing known
//   if (i != kNoIndex && is_the_flow(i)) ... // the caller compares the key: a guess proves nothing
//   else { find it in the table;  memo.note(mix, i); }
//
// The mix is not keyed: who chooses tuples that push each other out gets the way through the table, which is keyed. An
// entry is 8 bytes with a tag, so that a wrong guess rarely touches a stranger's memory. Entries are never taken back:
// the comparison finds out. Complexity: O(1), one cache line. Threading: one owner.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <leat/base/index_list.hpp>
#include <span>

namespace leat {

class FlowMemo {
 public:
  struct Entry {
    std::uint32_t tag;
    Index connection;
  };
  // As many as help: a power of two.
  static constexpr std::size_t entries_for(std::size_t connections) {
    return std::bit_ceil(std::clamp<std::size_t>(connections, 1, 2048));
  }

  explicit FlowMemo(std::span<Entry> entries) : entries_(entries) { std::ranges::fill(entries_, Entry{0, kNoIndex}); }

  // Of the last 8 bytes of each address and both ports.
  static constexpr std::uint64_t mix(std::uint64_t local, std::uint64_t remote, std::uint32_t ports) {
    std::uint64_t x = remote ^ std::rotl(local, 32) ^ (std::uint64_t{ports} * 0x9e3779b97f4a7c15U);
    x ^= x >> 32;
    return x * 0xd6e8feb86659fd93U;
  }
  [[nodiscard]] Index guess(std::uint64_t mix) const {
    const Entry& e = entries_[slot(mix)];
    return e.tag == tag(mix) ? e.connection : kNoIndex;
  }
  void note(std::uint64_t mix, Index connection) { entries_[slot(mix)] = {tag(mix), connection}; }

 private:
  [[nodiscard]] std::size_t slot(std::uint64_t mix) const {
    return static_cast<std::size_t>(mix >> 48) & (entries_.size() - 1);
  }
  static std::uint32_t tag(std::uint64_t mix) { return static_cast<std::uint32_t>(mix >> 16); }
  std::span<Entry> entries_;
};

}  // namespace leat
