#include <leat/runtime/reserved_storage.hpp>

namespace leat {

namespace {

// First pass: how many bytes.
struct Measure {
  std::size_t bytes = 0;
  template <class T>
  std::span<T> take(std::size_t count) {
    bytes += MemoryMap::bytes_for<T>(count);
    return {};
  }
};

template <class Source>
StorageView build(Source& source, const Limits& limits) {
  StorageView view;
  view.sockets = source.template take<Socket>(limits.sockets);
  view.profiles = source.template take<OptionProfile>(limits.profiles);
  return view;
}

}  // namespace

Result<ReservedStorage> ReservedStorage::make(const Limits& limits) {
  Measure measure;
  build(measure, limits);
  auto map = MemoryMap::reserve(measure.bytes);
  if (!map) return fail(map.error());
  const StorageView view = build(*map, limits);
  return ReservedStorage(std::move(*map), view);
}

StorageView ReservedStorage::view(PacketPool& pool) const {
  StorageView view = view_;
  view.pool = &pool;
  return view;
}

}  // namespace leat
