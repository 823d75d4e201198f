#pragma once
// State of IP itself: identifiers, path MTUs, ICMP rate limits, the loopback queue, and the TCP segments of the batch
// that is being received. Storage may be zero pages: all-zero entries mean "not used yet".
//
// Threading: one owner.

#include <array>
#include <bit>
#include <cstdint>
#include <leat/core/ip/token_bucket.hpp>
#include <leat/core/modules.hpp>
#include <span>

namespace leat::ip {

struct Limits {
  std::uint32_t raw_sockets = 4;
  std::uint32_t ping_sockets = 4;
  std::uint32_t rate_slots = 64;      // ICMP rate limits of their own for destinations, by hash
  std::uint32_t path_mtus = 64;       // destinations with a path MTU of their own
  std::uint32_t id_slots = 64;        // counters of IPv4 identifiers, by hash
  std::uint32_t loopback_queue = 64;  // packets to ourselves that wait
};

struct PathMtu {
  IpAddress remote;
  Scope scope = 0;
  std::uint32_t mtu = 0;  // 0: unused
  Instant expires;
};

struct IdSlot {
  std::uint32_t next = 0;
  std::uint32_t tick = 0;  // when last used
};

struct Storage {
  std::span<TokenBucket> rate_slots;  // this and the next two: powers of two
  std::span<PathMtu> path_mtus;
  std::span<IdSlot> id_slots;
  std::uint32_t loopback_queue = 64;
};

inline constexpr std::size_t kPathMtuWays = 4;

template <Limits limits>
struct StaticStorage {
  [[nodiscard]] Storage view() { return {rate_slots, path_mtus, id_slots, limits.loopback_queue}; }
  std::array<TokenBucket, std::bit_ceil(limits.rate_slots)> rate_slots{};
  std::array<PathMtu, std::max<std::size_t>(std::bit_ceil(limits.path_mtus), kPathMtuWays)> path_mtus{};
  std::array<IdSlot, std::bit_ceil(limits.id_slots)> id_slots{};
};

// What the destination of a received packet means to us.
enum class Verdict : std::uint8_t { foreign, local, any_ip, broadcast, multicast };

struct State {
  explicit State(const Storage& s)
      : rate_slots(s.rate_slots), path_mtus(s.path_mtus), id_slots(s.id_slots), loopback_limit(s.loopback_queue) {}

  std::span<TokenBucket> rate_slots;
  std::span<PathMtu> path_mtus;  // sets of kPathMtuWays
  std::span<IdSlot> id_slots;
  TokenBucket icmp_errors;
  std::uint32_t icmp_burst_cut = 0;  // of the allowed burst, drawn anew now and then

  PacketFifo loopback;  // data at the IP header
  std::uint32_t loopback_limit;

  // Raw sockets: which protocols somebody asked for, by version (0: IPv4, 1: IPv6). The raw module keeps it.
  std::array<std::array<std::uint32_t, 8>, 2> raw_protocols{};
  std::array<bool, 2> raw_all{};
  bool raw_any = false;

  struct CachedVerdict {
    IpAddress destination;
    std::uint32_t epoch = 0;
    InterfaceId interface = kNoInterface;
    Verdict verdict = Verdict::foreign;
  };
  std::array<CachedVerdict, 4> verdicts{};

  // TCP segments of the batch that is being received, handed over in one call.
  std::array<TransportInput, PacketBatch::kMax> staged;
  std::uint32_t staged_count = 0;
};

}  // namespace leat::ip
