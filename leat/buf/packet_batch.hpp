#pragma once
// PacketBatch: up to 64 packets on their way between a device and the stack. Fixed storage, no allocation; whoever
// holds the batch owns its packets. `capacity` may be set lower (a batch of 1 must give the same output as one of 64).
// An empty one costs nothing to make and to end: slots hold a Packet only below size().
// Threading: one owner.

#include <array>
#include <leat/buf/packet.hpp>
#include <memory>

namespace leat {

class PacketBatch {
 public:
  static constexpr std::size_t kMax = 64;
  explicit PacketBatch(std::size_t capacity = kMax) { set_capacity(capacity); }
  ~PacketBatch() { clear(); }
  PacketBatch(const PacketBatch&) = delete;
  PacketBatch& operator=(const PacketBatch&) = delete;

  // Of an empty batch.
  void set_capacity(std::size_t capacity) {
    LEAT_ASSERT(empty());
    capacity_ = capacity < kMax ? capacity : kMax;
  }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  [[nodiscard]] std::size_t room() const { return capacity_ - size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] bool full() const { return size_ == capacity_; }
  void push(Packet&& p) {
    LEAT_ASSERT(!full());
    std::construct_at(&packets_[size_], std::move(p));
    ++size_;
  }
  Packet& operator[](std::size_t i) { return packets_[i]; }
  const Packet& operator[](std::size_t i) const { return packets_[i]; }
  Packet* begin() { return packets_.data(); }
  Packet* end() { return packets_.data() + size_; }
  // Ends all packets that are still there.
  void clear() {
    for (std::size_t i = 0; i < size_; ++i) std::destroy_at(&packets_[i]);
    size_ = 0;
  }
  // Ends the first n and moves the others up: what a device did not take stays, in order.
  void pop_front(std::size_t n) {
    LEAT_ASSERT(n <= size_);
    if (n == 0) return;
    for (std::size_t i = n; i < size_; ++i) packets_[i - n] = std::move(packets_[i]);
    for (std::size_t i = size_ - n; i < size_; ++i) std::destroy_at(&packets_[i]);
    size_ -= n;
  }
  // Removes empty packets (moved from), keeping the order.
  void compact() {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < size_; ++i) {
      if (!packets_[i]) continue;
      if (kept != i) packets_[kept] = std::move(packets_[i]);
      ++kept;
    }
    for (std::size_t i = kept; i < size_; ++i) std::destroy_at(&packets_[i]);
    size_ = kept;
  }

 private:
  union {  // without a lifetime until pushed
    std::array<Packet, kMax> packets_;
  };
  std::size_t size_ = 0;
  std::size_t capacity_ = kMax;
};

}  // namespace leat
