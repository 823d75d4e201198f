#pragma once
// PacketMemory: a packet pool and the memory it stands on. Address space is taken for the whole layout, pages are
// committed as chunks are used for the first time and stay with the pool (its free lists are last-in first-out, so a
// quiet stack keeps using the same few). Threading: the pool has one owner.

#include <leat/buf/packet_pool.hpp>
#include <leat/runtime/memory_map_unsafe.hpp>
#include <memory>

namespace leat {

// A layout for a stack with devices that deliver super-segments: `bytes` of memory when all of it is in use, of which
// three quarters are chunks of 64 KiB and the rest ordinary ones.
[[nodiscard]] PoolLayout hosted_pool_layout(std::size_t bytes);

class PacketMemory {
 public:
  [[nodiscard]] static Result<PacketMemory> make(const PoolLayout& layout);
  [[nodiscard]] PacketPool& pool() { return *pool_; }
  [[nodiscard]] const MemoryMap& map() const { return map_; }

 private:
  explicit PacketMemory(MemoryMap&& map, const PoolLayout& layout);
  MemoryMap map_;
  std::unique_ptr<PacketPool> pool_;
};

}  // namespace leat
