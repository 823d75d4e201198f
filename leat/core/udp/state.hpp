#pragma once
// UDP's sockets, where they are bound and what they are connected to. Threading: one owner.

#include <array>
#include <cstdint>
#include <leat/core/demux/flow_table.hpp>
#include <leat/core/demux/listener_table.hpp>
#include <leat/core/demux/port_alloc.hpp>
#include <leat/core/ip/datagram.hpp>
#include <leat/core/keys.hpp>
#include <span>

namespace leat::udp {

struct Limits {
  std::uint32_t sockets = 16;
};

struct UdpSocket : ip::DatagramSocket {
  Index bind = kNoIndex;  // in State::binds; every socket with a local port has one
  bool in_flows = false;  // connected: found by its four-tuple, and by nothing else
  bool named = false;     // by bind(): who connects or sends gets a port that goes with the peer
  Index free_next = kNoIndex;
};

struct Storage {
  std::span<UdpSocket> sockets;
  ListenerTable::Storage binds;
  std::span<FlowTable::Bucket> flows;
};

template <Limits limits>
struct StaticStorage {
  [[nodiscard]] Storage view() { return {sockets, {binds, groups, on_ports}, flows}; }
  std::array<UdpSocket, limits.sockets> sockets{};
  std::array<BindEntry, limits.sockets> binds{};
  std::array<IndexBucket, IndexTable::buckets_for(limits.sockets)> groups{};
  std::array<IndexBucket, IndexTable::buckets_for(limits.sockets)> on_ports{};
  std::array<FlowTable::Bucket, FlowTable::buckets_for(limits.sockets)> flows{};
};

struct State {
  State(const Storage& s, const Keys& keys)
      : sockets(s.sockets),
        pool(static_cast<std::uint32_t>(s.sockets.size())),
        binds(s.binds, keys.flow_hash, BindRule::datagram),
        flows(s.flows, keys.flow_hash),
        ports(keys.ports) {}

  std::span<UdpSocket> sockets;
  IndexPool pool;
  ListenerTable binds;
  FlowTable flows;  // connected sockets
  PortAllocator ports;
};

}  // namespace leat::udp
