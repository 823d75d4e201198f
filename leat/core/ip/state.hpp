#pragma once
// State of IP itself: identifiers, path MTUs, ICMP rate limits, the loopback queue, and the TCP segments of the batch
// that is being received. Storage may be zero pages: all-zero entries mean "not used yet".
//
// Threading: one owner.

#include <array>
#include <bit>
#include <cstdint>
#include <leat/core/demux/raw_table.hpp>
#include <leat/core/iface/route_table.hpp>
#include <leat/core/ip/datagram.hpp>
#include <leat/core/ip/token_bucket.hpp>
#include <leat/core/modules.hpp>
#include <leat/op/raw_settings.hpp>
#include <span>

namespace leat::ip {

struct Limits {
  std::uint32_t raw_sockets = 4;
  std::uint32_t ping_sockets = 4;
  std::uint32_t rate_slots = 64;      // ICMP rate limits of their own for destinations, by hash
  std::uint32_t path_mtus = 64;       // destinations with a path MTU of their own
  std::uint32_t id_slots = 64;        // counters of IPv4 identifiers, by hash
  std::uint32_t loopback_queue = 64;  // packets to ourselves that wait
  std::uint32_t paths = 16;           // paths that find_path() remembers
};

struct PathMtu {
  IpAddress remote;
  Scope scope = 0;
  std::uint32_t mtu = 0;  // 0: unused
  Instant expires;
};

// What find_path() was asked, and what it found.
struct KnownPath {
  Path path;  // route_epoch 0: unused
  IpAddress remote, local;
  Instant expires;  // with the path MTU
};

struct IdSlot {
  std::uint32_t next = 0;
  std::uint32_t tick = 0;  // when last used
};

struct RawSocket : DatagramSocket {
  IpVersion version = IpVersion::v4;
  std::uint8_t protocol = 0;  // 0: all
  RawSettings settings;
  Index entry = kNoIndex;  // in State::raw
  Index free_next = kNoIndex;
};

// A socket for echo requests and their replies, told apart by the identifier: the local "port".
struct PingSocket : DatagramSocket {
  Index id_next = kNoIndex;  // in its hash bucket, or of the free list
};

struct Storage {
  std::span<RawSocket> raw_sockets;
  std::span<RawEntry> raw_entries;
  std::span<PingSocket> ping_sockets;
  std::span<Index> ping_buckets;  // this and the next four: powers of two, zero
  std::span<TokenBucket> rate_slots;
  std::span<PathMtu> path_mtus;
  std::span<IdSlot> id_slots;
  std::span<KnownPath> paths;
  std::uint32_t loopback_queue = 64;
};

inline constexpr std::size_t kPathMtuWays = 4;

template <Limits limits>
struct StaticStorage {
  [[nodiscard]] Storage view() {
    return {raw_sockets, raw_entries, ping_sockets, ping_buckets,         rate_slots,
            path_mtus,   id_slots,    paths,        limits.loopback_queue};
  }
  std::array<RawSocket, limits.raw_sockets> raw_sockets{};
  std::array<RawEntry, limits.raw_sockets> raw_entries{};
  std::array<PingSocket, limits.ping_sockets> ping_sockets{};
  std::array<Index, std::bit_ceil(limits.ping_sockets)> ping_buckets{};
  std::array<TokenBucket, std::bit_ceil(limits.rate_slots)> rate_slots{};
  std::array<PathMtu, std::max<std::size_t>(std::bit_ceil(limits.path_mtus), kPathMtuWays)> path_mtus{};
  std::array<IdSlot, std::bit_ceil(limits.id_slots)> id_slots{};
  std::array<KnownPath, std::bit_ceil(limits.paths)> paths{};
};

// What the destination of a received packet means to us.
enum class Verdict : std::uint8_t { foreign, rejected, local, any_ip, broadcast, multicast };

struct State {
  explicit State(const Storage& s)
      : raw_sockets(s.raw_sockets),
        raw_pool(static_cast<std::uint32_t>(s.raw_sockets.size())),
        raw(s.raw_entries),
        ping_sockets(s.ping_sockets),
        ping_pool(static_cast<std::uint32_t>(s.ping_sockets.size())),
        ping_buckets(s.ping_buckets),
        rate_slots(s.rate_slots),
        path_mtus(s.path_mtus),
        id_slots(s.id_slots),
        paths(s.paths),
        loopback_limit(s.loopback_queue) {}

  std::span<RawSocket> raw_sockets;
  IndexPool raw_pool;
  RawTable raw;
  std::span<PingSocket> ping_sockets;
  IndexPool ping_pool;
  std::span<Index> ping_buckets;  // by identifier: index + 1; 0: empty

  std::span<TokenBucket> rate_slots;
  std::span<PathMtu> path_mtus;              // sets of kPathMtuWays
  Instant path_mtus_due = Instant::never();  // when the first of them ends
  std::span<IdSlot> id_slots;
  std::span<KnownPath> paths;
  TokenBucket icmp_errors;
  std::uint32_t icmp_burst_cut = 0;  // of the allowed burst, drawn anew now and then

  PacketFifo loopback;  // data at the IP header
  std::uint32_t loopback_limit;
  IndexList loopback_waiters;  // sockets that found it full

  struct CachedVerdict {
    iface::RouteKey destination;
    std::uint32_t epoch = 0;
    InterfaceId interface = kNoInterface;
    Verdict verdict = Verdict::foreign;
  };
  std::array<CachedVerdict, 4> verdicts{};
  [[nodiscard]] static std::size_t verdict_slot(const iface::RouteKey& to, InterfaceId in) {
    return static_cast<std::size_t>(to.low ^ in) & 3U;
  }

  // TCP segments of the batch that is being received, handed over in one call.
  std::array<TransportInput, PacketBatch::kMax> staged;
  std::uint32_t staged_count = 0;
};

}  // namespace leat::ip
