#pragma once
// Impairment: what a bad link does to packets, one direction of it. The simulator's links and the fault injector share
// it, so that a number means the same in both. Every packet submitted is one packet on the wire: super-segments are
// cut before.
//
//   submit -> down? lost? -> queue (packets) -> rate -> corrupt -> duplicate -> delay + jitter, reorder -> take
//
//   down       everything that enters is lost; what is on its way arrives
//   loss       lost before the queue, independent of all others
//   rate       bits per second of the frame without link header; packets wait for their turn in a queue of
//              `queue_packets` (0: as many as the line holds), and when it is full the newest is dropped
//   corrupt    one bit flipped or one byte changed behind the link header, headers included. ARP is spared: it has no
//              checksum, and no real link would deliver it damaged without its frame check failing
//   duplicate  a second copy, delayed on its own
//   delay      fixed, plus a jitter drawn from [0, jitter]; jitter alone never changes the order
//   reorder    the packet comes `reorder_by` later than its turn, so that later ones overtake it
//
// Deterministic: the same seed, configuration and packets give the same results on every machine. Chances are parts
// per million; time and rate are integers. No memory of its own: packets on their way stand in slots of the caller,
// and when those are used up the newest is dropped and counted. O(log slots) per packet. Threading: one owner.

#include <leat/base/index_list.hpp>
#include <leat/base/link_type.hpp>
#include <leat/base/rng.hpp>
#include <leat/base/time.hpp>
#include <leat/buf/packet.hpp>
#include <span>

namespace leat {

inline constexpr std::uint32_t kPpm = 1'000'000;  // a chance of one

struct ImpairmentConfig {
  Duration delay{};
  Duration jitter{};
  std::uint32_t loss_ppm = 0;
  std::uint32_t reorder_ppm = 0;
  Duration reorder_by = Duration::ms(1);
  std::uint32_t duplicate_ppm = 0;
  std::uint32_t corrupt_ppm = 0;
  std::uint64_t rate_bps = 0;  // 0: no limit
  std::uint32_t queue_packets = 0;
  bool down = false;
  bool operator==(const ImpairmentConfig&) const = default;
};

struct ImpairmentCounters {
  std::uint64_t submitted = 0;
  std::uint64_t delivered = 0;
  std::uint64_t lost = 0;        // by chance
  std::uint64_t down = 0;        // while the link was down
  std::uint64_t queue_full = 0;  // queue, or all slots
  std::uint64_t no_memory = 0;   // a damaged packet or a duplicate could not be made: the former is lost too
  std::uint64_t corrupted = 0;
  std::uint64_t duplicated = 0;
  std::uint64_t reordered = 0;
};

// A place on the line. The caller supplies an array of them and never looks inside.
struct DelaySlot {
  Packet packet;
  Instant due;
  Instant sent;  // when its last bit had left the queue
  std::uint64_t number = 0;
  Index next = kNoIndex;        // of the free list, or of the queue
  Index heap_entry = kNoIndex;  // the heap array lies across the slots
};

class Impairment {
 public:
  Impairment(std::span<DelaySlot> slots, const ImpairmentConfig& config, SipKey seed, LinkType link);
  ~Impairment() = default;
  Impairment(const Impairment&) = delete;
  Impairment& operator=(const Impairment&) = delete;

  // Takes the packet, which may be lost at once.
  void submit(Packet&& p, Instant now);
  // The next packet that is due, empty when none is. Packets come in order of (due, arrival).
  [[nodiscard]] Packet take(Instant now);
  // When the next packet is due; never() when the line is empty.
  [[nodiscard]] Instant next_event() const { return size_ == 0 ? Instant::never() : slots_[slots_[0].heap_entry].due; }
  [[nodiscard]] std::size_t in_flight() const { return size_; }

  // Takes effect for packets submitted from now on.
  void configure(const ImpairmentConfig& config) { config_ = config; }
  void set_down(bool down) { config_.down = down; }
  [[nodiscard]] const ImpairmentConfig& config() const { return config_; }
  [[nodiscard]] const ImpairmentCounters& counters() const { return counters_; }
  void check_invariants() const;

 private:
  [[nodiscard]] bool chance(std::uint32_t ppm);
  [[nodiscard]] bool damage(Packet& p);
  [[nodiscard]] bool damageable(const Packet& p) const;
  [[nodiscard]] Instant arrival(Instant sent);
  [[nodiscard]] Index take_slot();
  void leave_queue(Instant now);
  void insert(Packet&& p, Instant due, Instant sent, bool queued);
  [[nodiscard]] bool before(Index a, Index b) const;

  std::span<DelaySlot> slots_;
  ImpairmentConfig config_;
  Rng rng_;
  LinkType link_;
  ImpairmentCounters counters_;
  std::uint32_t size_ = 0;  // slots in the heap
  std::uint32_t used_ = 0;  // slots that were ever used
  Index free_ = kNoIndex;
  Index queue_head_ = kNoIndex;
  Index queue_tail_ = kNoIndex;
  std::uint32_t queued_ = 0;
  std::uint64_t next_number_ = 0;
  Instant line_free_;
  Instant last_due_;
};

}  // namespace leat
