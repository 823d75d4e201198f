#pragma once
// ReservedStorage: the core's tables for limits chosen at run time, in address space that becomes memory as it is used.
// A stack with room for a million connections starts as fast, and as small, as one with room for ten.
//
//   auto storage = leat::ReservedStorage::make({.sockets = 1'000'000, .tcp = {.connections = 1'000'000}}).value();
//   leat::Stack stack(storage.view(pool), leat::kAllModules, leat::system_entropy(), leat::monotonic_now());
//
// It must outlive the stack. StackStorage (core/storage.hpp) is the static form. Threading: a value.

#include <leat/core/storage.hpp>
#include <leat/runtime/memory_map_unsafe.hpp>

namespace leat {

// Limits of a server on a hosted machine: everything else in proportion to its connections.
[[nodiscard]] Limits hosted_limits(std::uint32_t connections);

class ReservedStorage {
 public:
  // Errc::no_memory when there is no address space of this size.
  [[nodiscard]] static Result<ReservedStorage> make(const Limits& limits);
  [[nodiscard]] StorageView view(PacketPool& pool) const;
  [[nodiscard]] const MemoryMap& map() const { return map_; }

 private:
  ReservedStorage(MemoryMap&& map, const StorageView& view) : map_(std::move(map)), view_(view) {}
  MemoryMap map_;
  StorageView view_;
};

}  // namespace leat
