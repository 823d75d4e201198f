#include <algorithm>
#include <bit>
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
  const iface::Limits& i = limits.iface;
  view.iface.interfaces = source.template take<iface::Interface>(i.interfaces);
  view.iface.addresses = source.template take<iface::Address>(i.addresses);
  view.iface.groups = source.template take<iface::Group>(i.groups);
  view.iface.neighbors = source.template take<iface::Neighbor>(i.neighbors);
  view.iface.neighbor_buckets = source.template take<Index>(std::bit_ceil(i.neighbors));
  view.iface.routes = source.template take<iface::Route>(iface::route_count(i));
  view.iface.nodes = source.template take<iface::RouteNode>(std::size_t{2} * iface::route_count(i));
  view.iface.transmit_queue = i.transmit_queue;
  view.ip.rate_slots = source.template take<ip::TokenBucket>(std::bit_ceil(limits.ip.rate_slots));
  view.ip.path_mtus =
      source.template take<ip::PathMtu>(std::max<std::size_t>(std::bit_ceil(limits.ip.path_mtus), ip::kPathMtuWays));
  view.ip.id_slots = source.template take<ip::IdSlot>(std::bit_ceil(limits.ip.id_slots));
  view.ip.loopback_queue = limits.ip.loopback_queue;
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
