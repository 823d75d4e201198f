#pragma once
// Memory for the stack of one input: always at the same place and filled alike, so that nothing depends on the input
// before. Threading: one run at a time, as libFuzzer has it.

#include <algorithm>
#include <leat/core/storage.hpp>
#include <optional>
#include <vector>

namespace leat::test {

template <Limits kLimits, PoolLayout kLayout>
struct StackMemory {
  static MutableByteSpan region() {
    static std::vector<std::uint8_t> memory(PacketPool::bytes_needed(kLayout));
    std::ranges::fill(memory, std::uint8_t{0xa5});
    return memory;
  }
  static StackStorage<kLimits>* storage() {
    static std::optional<StackStorage<kLimits>> storage;
    storage.emplace();
    return &*storage;
  }
};

}  // namespace leat::test
