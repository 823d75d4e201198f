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

// As the StaticStorage of each module, with lengths that are known only now.
template <class Source>
StorageView build(Source& source, const Limits& limits) {
  StorageView view;
  view.sockets = source.template take<Socket>(limits.sockets);
  view.profiles = source.template take<OptionProfile>(limits.profiles);
  view.errors.records = source.template take<ErrorRecord>(limits.errors);
  view.errors.buckets = source.template take<Index>(std::bit_ceil(limits.errors));
  const iface::Limits& i = limits.iface;
  view.iface.interfaces = source.template take<iface::Interface>(i.interfaces);
  view.iface.addresses = source.template take<iface::Address>(i.addresses);
  view.iface.groups = source.template take<iface::Group>(i.groups);
  view.iface.memberships = source.template take<iface::Membership>(i.memberships);
  view.iface.group_sources = source.template take<iface::GroupSource>(i.group_sources);
  view.iface.queried_sources = source.template take<iface::QueriedSource>(i.queried_sources);
  view.iface.neighbors = source.template take<iface::Neighbor>(i.neighbors);
  view.iface.neighbor_buckets = source.template take<Index>(std::bit_ceil(i.neighbors));
  view.iface.routes = source.template take<iface::Route>(iface::route_count(i));
  view.iface.nodes = source.template take<iface::RouteNode>(std::size_t{2} * iface::route_count(i));
  view.iface.transmit_queue = i.transmit_queue;
  view.ip.rate_slots = source.template take<ip::TokenBucket>(std::bit_ceil(limits.ip.rate_slots));
  view.ip.path_mtus =
      source.template take<ip::PathMtu>(std::max<std::size_t>(std::bit_ceil(limits.ip.path_mtus), ip::kPathMtuWays));
  view.ip.id_slots = source.template take<ip::IdSlot>(std::bit_ceil(limits.ip.id_slots));
  view.ip.raw_sockets = source.template take<ip::RawSocket>(limits.ip.raw_sockets);
  view.ip.raw_entries = source.template take<RawEntry>(limits.ip.raw_sockets);
  view.ip.ping_sockets = source.template take<ip::PingSocket>(limits.ip.ping_sockets);
  view.ip.ping_buckets = source.template take<Index>(std::bit_ceil(limits.ip.ping_sockets));
  view.ip.paths = source.template take<ip::KnownPath>(std::bit_ceil(limits.ip.paths));
  view.ip.loopback_queue = limits.ip.loopback_queue;
  const std::uint32_t udp = limits.udp.sockets;
  view.udp.sockets = source.template take<udp::UdpSocket>(udp);
  view.udp.binds.entries = source.template take<BindEntry>(udp);
  view.udp.binds.groups = source.template take<IndexBucket>(IndexTable::buckets_for(udp));
  view.udp.binds.ports = source.template take<IndexBucket>(IndexTable::buckets_for(udp));
  view.udp.flows = source.template take<FlowTable::Bucket>(FlowTable::buckets_for(udp));
  const tcp::Limits& t = limits.tcp;
  view.tcp.hot = source.template take<tcp::Hot>(t.connections);
  view.tcp.cold = source.template take<tcp::Cold>(t.connections);
  view.tcp.active = source.template take<tcp::Active>(t.active);
  view.tcp.listeners = source.template take<tcp::Listener>(t.listeners);
  view.tcp.flows = source.template take<IndexBucket>(FlowTable::buckets_for(tcp::flow_count(t)));
  view.tcp.binds.entries = source.template take<BindEntry>(t.binds);
  view.tcp.binds.groups = source.template take<IndexBucket>(IndexTable::buckets_for(t.binds));
  view.tcp.binds.ports = source.template take<IndexBucket>(IndexTable::buckets_for(t.binds));
  view.tcp.syn_records = source.template take<tcp::SynRecord>(t.syn_records);
  view.tcp.time_wait = source.template take<tcp::TimeWaitRecord>(t.time_wait);
  view.tcp.ranges = source.template take<tcp::Range>(t.ranges);
  view.tcp.ooo = source.template take<tcp::OooRange>(t.ooo_nodes);
  view.tcp.paths = source.template take<tcp::CachedPath>(std::bit_ceil(t.paths));
  view.tcp.tallies = source.template take<tcp::Tally>(tcp::tally_count(t));
  view.tcp.memo = source.template take<FlowMemo::Entry>(FlowMemo::entries_for(t.connections));
  view.tcp.acks = source.template take<tcp::AckQueue::Entry>(tcp::AckQueue::entries_for(t.connections));
  return view;
}

}  // namespace

Limits hosted_limits(std::uint32_t connections) {
  Limits limits;
  limits.sockets = connections * 2 + 1024;
  limits.profiles = 256;
  limits.errors = 1024;
  limits.iface.interfaces = 16;
  limits.iface.addresses = 128;
  limits.iface.neighbors = 4096;
  limits.iface.routes = 1024;
  limits.iface.groups = 384;
  limits.iface.memberships = 1024;
  limits.iface.group_sources = 2048;
  limits.iface.queried_sources = 64;
  limits.iface.transmit_queue = 1024;
  limits.ip.raw_sockets = 64;
  limits.ip.ping_sockets = 64;
  limits.ip.rate_slots = 1024;
  limits.ip.path_mtus = 1024;
  limits.ip.id_slots = 1024;
  limits.ip.loopback_queue = 1024;
  limits.udp.sockets = std::max<std::uint32_t>(1024, connections);
  limits.tcp.connections = connections;
  limits.tcp.active = connections;
  limits.tcp.listeners = 256;
  limits.tcp.binds = std::max<std::uint32_t>(4096, connections);
  limits.tcp.paths = 256;
  limits.tcp.syn_records = 4096;
  limits.tcp.time_wait = 16384;
  limits.tcp.ranges = connections * 16;
  limits.tcp.ooo_nodes = connections * 8;
  return limits;
}

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
