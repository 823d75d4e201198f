#include <algorithm>
#include <leat/runtime/packet_memory.hpp>

namespace leat {

PoolLayout hosted_pool_layout(std::size_t bytes) {
  const auto count = [](std::size_t share, ChunkClass cls, std::size_t least) {
    const std::size_t n = share / kChunkBytes[static_cast<std::size_t>(cls)];
    return static_cast<std::uint32_t>(std::clamp<std::size_t>(n, least, (1U << 30) - 1));
  };
  PoolLayout layout;
  layout.chunks[0] = count(bytes / 16, ChunkClass::small, 512);
  layout.chunks[1] = count(bytes / 16 * 3, ChunkClass::normal, 512);
  layout.chunks[2] = count(bytes / 4 * 3, ChunkClass::large, 32);
  layout.packets = layout.chunks[0] + layout.chunks[1] + layout.chunks[2];
  layout.reserve = std::min<std::uint32_t>(256, layout.chunks[0] / 8);
  return layout;
}

PacketMemory::PacketMemory(MemoryMap&& map, const PoolLayout& layout)
    : map_(std::move(map)), pool_(std::make_unique<PacketPool>(map_.bytes(), layout)) {}

Result<PacketMemory> PacketMemory::make(const PoolLayout& layout) {
  auto map = MemoryMap::reserve(PacketPool::bytes_needed(layout));
  if (!map) return fail(map.error());
  return PacketMemory(std::move(*map), layout);
}

}  // namespace leat
