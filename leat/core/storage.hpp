#pragma once
// Storage: where the core's tables live. The core is compiled once and takes a StorageView: spans of every object type,
// a packet pool, and a delegate that commits memory ahead of need. StackStorage<limits> (static arrays) and
// ReservedStorage (runtime: reserved address space) both yield one. Objects name each other by 32-bit index.
//
//   static leat::StackStorage<leat::kSmallLimits> storage;
//   leat::Stack stack(storage.view(pool), config, leat::kAllModules, entropy, now);

#include <array>
#include <bit>
#include <cstdint>
#include <leat/buf/packet_pool.hpp>
#include <leat/core/iface/state.hpp>
#include <leat/core/ip/state.hpp>
#include <leat/core/option_profiles.hpp>
#include <leat/core/socket.hpp>
#include <leat/core/tcp/tcp_state.hpp>
#include <leat/core/udp/state.hpp>
#include <span>

namespace leat {

// How many of each; the only place where sizes are chosen.
struct Limits {
  std::uint32_t sockets = 64;
  std::uint32_t profiles = 16;
  std::uint32_t errors = 16;  // entries in the error queues of all sockets
  iface::Limits iface{};
  ip::Limits ip{};
  udp::Limits udp{};
  tcp::Limits tcp{};
};

struct StorageView {
  PacketPool* pool = nullptr;
  std::span<Socket> sockets;
  std::span<OptionProfile> profiles;
  ErrorStorage errors;
  iface::Storage iface;
  ip::Storage ip;
  udp::Storage udp;
  tcp::Storage tcp;
};

template <Limits limits>
class StackStorage {
 public:
  [[nodiscard]] StorageView view(PacketPool& pool) {
    return {&pool, sockets_, profiles_, {errors_, error_buckets_}, iface_.view(), ip_.view(), udp_.view(), tcp_.view()};
  }

 private:
  std::array<Socket, limits.sockets> sockets_;
  std::array<OptionProfile, limits.profiles> profiles_;
  std::array<ErrorRecord, limits.errors> errors_;
  std::array<Index, std::bit_ceil(limits.errors)> error_buckets_{};
  iface::StaticStorage<limits.iface> iface_;
  ip::StaticStorage<limits.ip> ip_;
  udp::StaticStorage<limits.udp> udp_;
  tcp::StaticStorage<limits.tcp> tcp_;
};

inline constexpr Limits kSmallLimits{};

}  // namespace leat
