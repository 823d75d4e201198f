#pragma once
// FrameRing: a bounded queue of frames from one writer to one reader, in a region of memory that both see: two threads,
// or two processes that need not trust each other. Each slot carries its own sequence number, so that writer and reader
// share no counters and a frame costs one cache-line transfer each way.
//
//   region:  | header: need_wakeup | slot 0: sequence, length, bytes ... | slot 1 | ...
//
//   writer:  if (auto to = ring.reserve(); !to.empty()) { fill(to); ring.publish(n); if (ring.must_ring()) write(fd); }
//   reader:  if (auto frame = ring.front()) { copy(*frame); ring.release(); }
//            before sleeping: if (ring.before_sleep()) sleep(fd); ring.after_sleep();
//
// A slot's sequence is p when position p may be written, p + 1 when it may be read, and p + slots after it was read.
// What the other side writes into the region can make frames garbage, late or lost, never a read outside of the region
// and never more work than the caller asks for: lengths are read once and checked, positions are kept here.
//
// Memory order: `sequence` is released by whoever hands the slot over and acquired by whoever takes it. need_wakeup and
// the sequences are the one pair of words that must be seen in order (rule 11 of the shared stack): the reader stores
// its wish, fences and looks at the ring again; the writer publishes, fences and looks at the wish; one of them sees.
//
// Threading: one writer, one reader, each with a FrameRing of its own over the same region. No allocation.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <leat/base/assert.hpp>
#include <leat/base/bytes.hpp>
#include <optional>

namespace leat::sync {

class FrameRing {
 public:
  static constexpr std::size_t kLine = 64;
  static constexpr std::size_t kSlotHeader = 8;
  struct Layout {
    std::uint32_t slots = 256;         // a power of two
    std::uint32_t frame_bytes = 2040;  // the largest frame
    [[nodiscard]] constexpr std::size_t stride() const {
      return (kSlotHeader + frame_bytes + kLine - 1) / kLine * kLine;
    }
    [[nodiscard]] constexpr std::size_t bytes_needed() const { return kLine + slots * stride(); }
  };

  FrameRing() = default;
  // `region` has layout.bytes_needed() bytes, aligned to a cache line. `create`: makes it an empty ring; the other side
  // attaches after that, before the first frame.
  FrameRing(MutableByteSpan region, const Layout& layout, bool create)
      : base_(region.data()), stride_(layout.stride()), slots_(layout.slots), frame_bytes_(layout.frame_bytes) {
    LEAT_ASSERT(region.size() >= layout.bytes_needed() && (slots_ & (slots_ - 1)) == 0 && slots_ > 0);
    if (!create) return;
    wish().store(0, std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < slots_; ++i) sequence(i).store(i, std::memory_order_release);
  }

  // --- the writer ---
  // Room for the largest frame, or nothing: the ring is full.
  [[nodiscard]] MutableByteSpan reserve() {
    if (sequence(position_).load(std::memory_order_acquire) != position_) return {};
    return {slot(position_) + kSlotHeader, frame_bytes_};
  }
  // The first `length` bytes of what reserve() gave are a frame.
  void publish(std::uint32_t length) {
    this->length(position_).store(length, std::memory_order_relaxed);  // released with the sequence
    sequence(position_).store(position_ + 1, std::memory_order_release);
    ++position_;
  }
  // After a burst of publish(): the reader sleeps or is about to, ring it. Said once for each sleep.
  [[nodiscard]] bool must_ring() {
    std::atomic_thread_fence(std::memory_order_seq_cst);  // pairs with before_sleep()
    if (wish().load(std::memory_order_relaxed) == 0) return false;
    return wish().exchange(0, std::memory_order_relaxed) != 0;
  }

  // --- the reader ---
  // The oldest frame, to be copied before anything in it is believed; nothing: the ring is empty. A frame with an
  // impossible length is given as an empty one.
  [[nodiscard]] std::optional<ByteSpan> front() {
    if (sequence(position_).load(std::memory_order_acquire) != position_ + 1) return std::nullopt;
    const std::uint32_t n = length(position_).load(std::memory_order_relaxed);  // once: the writer may change it
    if (n > frame_bytes_) return ByteSpan{};
    return ByteSpan{slot(position_) + kSlotHeader, n};
  }
  void release() {
    sequence(position_).store(position_ + slots_, std::memory_order_release);
    ++position_;
  }
  [[nodiscard]] bool empty() { return sequence(position_).load(std::memory_order_acquire) != position_ + 1; }
  // False: there is a frame, do not sleep.
  [[nodiscard]] bool before_sleep() {
    wish().store(1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);  // pairs with must_ring()
    if (empty()) return true;
    after_sleep();
    return false;
  }
  void after_sleep() { wish().store(0, std::memory_order_relaxed); }

 private:
  using Word = std::atomic_ref<std::uint32_t>;
  [[nodiscard]] std::uint8_t* slot(std::uint32_t position) const {
    return base_ + kLine + (position & (slots_ - 1)) * stride_;
  }
  // Written by the reader (1) and the writer (0), see above.
  [[nodiscard]] Word wish() const { return Word{*reinterpret_cast<std::uint32_t*>(base_)}; }
  // Written by whoever hands the slot over.
  [[nodiscard]] Word sequence(std::uint32_t position) const {
    return Word{*reinterpret_cast<std::uint32_t*>(slot(position))};
  }
  // Written by the writer before it hands the slot over.
  [[nodiscard]] Word length(std::uint32_t position) const {
    return Word{*reinterpret_cast<std::uint32_t*>(slot(position) + 4)};
  }

  std::uint8_t* base_ = nullptr;
  std::size_t stride_ = 0;
  std::uint32_t slots_ = 0;
  std::uint32_t frame_bytes_ = 0;
  std::uint32_t position_ = 0;  // the next to write or to read
};

}  // namespace leat::sync
