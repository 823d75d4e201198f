#pragma once
// PacketPool: packet memory. One caller-supplied region (a static array, an anonymous map, a memfd) is cut into chunks
// of three classes and an array of PacketMeta; nothing is allocated afterwards, and construction touches no page but
// the pool object's own.
//
//   region: | PacketMeta[] | link/refcount per chunk | small 256 B ... | normal 2 KiB ... | large 64 KiB + 128 B ... |
//
//   PacketMeta (64 B)          head chunk                        fragments (for super-segments)
//   +-------------+           +----------+-----------+------+    a small chunk with up to 18 {chunk, offset, length}
//   | chunk ------+---------> | headroom | data      | tail |
//   | frags ------+---------> [ {c,o,l} {c,o,l} ... ]
//   +-------------+
//
// A meta belongs to exactly one Packet (packet.hpp). Reference counts belong to chunks, so that a slice is a second
// meta on one chunk. Exhaustion is normal: allocation returns an empty Packet or kNoChunk and is counted. The last
// `reserve` metas and small chunks are for Priority::control, so that ACKs and RSTs go out when data has eaten the
// rest.
//
// Invariants: a chunk is free or has a count >= 1; counts are plain numbers, touched by the owner of the shard only.
// Threading: one owner.

#include <array>
#include <cstddef>
#include <cstdint>
#include <leat/base/assert.hpp>
#include <leat/base/bytes.hpp>
#include <leat/base/index_list.hpp>
#include <leat/base/time.hpp>
#include <leat/buf/region_unsafe.hpp>
#include <span>

namespace leat {

class Packet;

enum class ChunkClass : std::uint8_t { small = 0, normal = 1, large = 2 };
inline constexpr std::size_t kChunkClasses = 3;
inline constexpr std::array<std::uint32_t, kChunkClasses> kChunkBytes{256, 2048, 65536 + 128};
inline constexpr std::uint32_t kHeadroom = 128;  // for Ethernet, VLAN, IPv6, TCP with all options

// Names a chunk: class in the top two bits, number below.
using ChunkRef = std::uint32_t;
inline constexpr ChunkRef kNoChunk = 0xffffffffU;
constexpr ChunkClass chunk_class(ChunkRef c) {
  return static_cast<ChunkClass>(c >> 30);
}
constexpr Index chunk_number(ChunkRef c) {
  return c & 0x3fffffffU;
}

struct Fragment {
  ChunkRef chunk = kNoChunk;
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
};
inline constexpr std::uint16_t kMaxFragments = 18;

enum class ChecksumState : std::uint8_t {
  none,      // nothing is known: verify on input, compute on output was done by the sender
  verified,  // input: the transport checksum is right (a device or GRO looked)
  to_fill,   // the transport checksum field holds the pseudo-header sum (folded, not complemented); whoever sends must
             // complete it. On input it counts as verified: its sender is on this machine and no wire was between
};
// Input: nothing is left to verify.
constexpr bool checksum_trusted(ChecksumState s) {
  return s != ChecksumState::none;
}
enum class GsoType : std::uint8_t { none, tcp_v4, tcp_v6, udp };

// What the link layer said of a received frame's destination.
enum class LinkCast : std::uint8_t { unicast, multicast, broadcast, other_host };

struct alignas(64) PacketMeta {
  ChunkRef chunk = kNoChunk;      // head chunk
  std::uint32_t offset = 0;       // first byte of data in it
  std::uint32_t head_length = 0;  // bytes of data in it
  std::uint32_t length = 0;       // head_length + all fragments
  ChunkRef fragments = kNoChunk;  // small chunk that holds the Fragment array
  Index next = kNoIndex;          // link of whatever list owns the packet
  std::uint16_t fragment_count = 0;
  std::uint16_t l3_offset = 0;  // from the first byte of data
  std::uint16_t l4_offset = 0;
  std::uint16_t payload_offset = 0;
  std::uint16_t gso_size = 0;  // payload bytes per segment of a super-segment; 0: an ordinary packet
  GsoType gso_type = GsoType::none;
  std::uint8_t ce_marks = 0;  // of the wire segments in this packet, how many carried CE (saturates); set by GRO
  std::uint16_t merged = 1;   // wire segments in this packet
  ChecksumState checksum = ChecksumState::none;
  LinkCast link_cast = LinkCast::unicast;
  std::uint32_t flow_hash = 0;
  std::uint32_t mark = 0;
  std::uint16_t vlan = 0;       // tag control information, 0 = none
  std::uint16_t interface = 0;  // ingress, or egress once routed
  Instant time;                 // input: when received; output: departure time, not sent before it
};
static_assert(sizeof(PacketMeta) == 64);

struct PoolLayout {
  std::uint32_t packets = 0;
  std::array<std::uint32_t, kChunkClasses> chunks{};  // small, normal, large
  std::uint32_t reserve = 0;                          // metas and small chunks kept for Priority::control
};

enum class Priority : std::uint8_t { data, control };

class PacketPool {
 public:
  // Bytes of region that a layout needs, alignment slack included.
  [[nodiscard]] static std::size_t bytes_needed(const PoolLayout& layout);
  // `region` must have bytes_needed(layout) bytes and outlive the pool and its packets; it is used as it is (zeroed or
  // not).
  PacketPool(MutableByteSpan region, const PoolLayout& layout);
  ~PacketPool() = default;
  PacketPool(const PacketPool&) = delete;
  PacketPool& operator=(const PacketPool&) = delete;

  // A packet with one chunk of this class, `headroom` bytes before its (empty) data. Empty Packet when exhausted. O(1).
  [[nodiscard]] Packet allocate(ChunkClass cls, std::uint32_t headroom = kHeadroom, Priority priority = Priority::data);
  // The smallest class that holds headroom + size; empty Packet when none is large enough or all are used up.
  [[nodiscard]] Packet allocate_for(std::uint32_t size, std::uint32_t headroom = kHeadroom,
                                    Priority priority = Priority::data);

  // Chunks, for fragment lists. take: count 1.
  [[nodiscard]] ChunkRef take_chunk(ChunkClass cls, Priority priority = Priority::data);
  // Of the smallest class that holds so many bytes and has one left; kNoChunk when none has.
  [[nodiscard]] ChunkRef take_chunk_for(std::uint32_t bytes, Priority priority = Priority::data);
  void add_ref(ChunkRef chunk) { ++link_[flat(chunk)]; }
  void drop_ref(ChunkRef chunk) {
    std::uint32_t& refs = link_[flat(chunk)];
    LEAT_ASSERT(refs > 0);
    if (--refs == 0) free_chunk(chunk);
  }
  [[nodiscard]] std::uint32_t refs(ChunkRef chunk) const { return link_[flat(chunk)]; }
  [[nodiscard]] std::uint8_t* data(ChunkRef chunk) const {
    const auto cls = static_cast<std::size_t>(chunk_class(chunk));
    return base_[cls] + std::size_t{chunk_number(chunk)} * kChunkBytes[cls];
  }
  [[nodiscard]] PacketMeta& meta(Index packet) { return metas_[packet]; }
  [[nodiscard]] const PacketMeta& meta(Index packet) const { return metas_[packet]; }
  [[nodiscard]] Fragment* fragment_array(ChunkRef chunk) const { return carve<Fragment>(data(chunk)); }

  // Ends a packet: its chunks lose a reference, its meta returns. Only Packet and lists call it.
  void free_packet(Index packet) {
    const PacketMeta& m = metas_[packet];
    if (m.fragments != kNoChunk) drop_fragments(m);
    if (m.chunk != kNoChunk) drop_ref(m.chunk);
    meta_pool_.give(packet, [this](Index k) -> Index& { return metas_[k].next; });
  }
  // A meta without a chunk, for Packet::clone and slices. kNoIndex when exhausted.
  [[nodiscard]] Index take_meta(Priority priority = Priority::data);

  [[nodiscard]] const PoolLayout& layout() const { return layout_; }
  [[nodiscard]] std::uint32_t packets_free() const { return meta_pool_.available(); }
  [[nodiscard]] std::uint32_t chunks_free(ChunkClass cls) const {
    return chunk_pool_[static_cast<std::size_t>(cls)].available();
  }
  // Everything is back: what a test asserts at its end.
  [[nodiscard]] bool all_free() const;
  [[nodiscard]] std::uint64_t exhausted() const { return exhausted_; }      // allocations that found nothing
  [[nodiscard]] std::uint64_t allocations() const { return allocations_; }  // allocations tried

  // Fault injection: the `n`th allocation from now (1 = the next one) fails once; with `and_all_after`, so does every
  // one after it. 0 turns it off.
  void fail_allocation(std::uint64_t n, bool and_all_after = false) {
    fail_at_ = n == 0 ? 0 : allocations_ + n;
    fail_on_ = and_all_after;
  }

 private:
  friend class Packet;
  [[nodiscard]] std::size_t flat(ChunkRef c) const {
    return first_[static_cast<std::size_t>(chunk_class(c))] + chunk_number(c);
  }
  // Counts an allocation; true when fault injection says that this one fails.
  [[nodiscard]] bool refuse() {
    ++allocations_;
    return fail_at_ != 0 && injected_failure();
  }
  [[nodiscard]] bool injected_failure();
  ChunkRef take_chunk_unchecked(ChunkClass cls, Priority priority);
  Index take_meta_unchecked(Priority priority);
  void drop_fragments(const PacketMeta& m);
  void free_chunk(ChunkRef chunk) {
    const auto c = static_cast<std::size_t>(chunk_class(chunk));
    std::uint32_t* links = link_ + first_[c];
    chunk_pool_[c].give(chunk_number(chunk), [links](Index k) -> Index& { return links[k]; });
  }

  PoolLayout layout_;
  PacketMeta* metas_ = nullptr;
  std::uint32_t* link_ = nullptr;  // per chunk: reference count when used, next free when free
  std::array<std::uint8_t*, kChunkClasses> base_{};
  std::array<std::uint32_t, kChunkClasses> first_{};
  IndexPool meta_pool_;
  std::array<IndexPool, kChunkClasses> chunk_pool_;
  std::uint64_t exhausted_ = 0;
  std::uint64_t allocations_ = 0;
  std::uint64_t fail_at_ = 0;
  bool fail_on_ = false;
};

}  // namespace leat
