#pragma once
// SeenOnce: for devices that look at packets before the inner device takes them. What the inner device refuses comes
// again with the next call, in front and in order; this tells how many of a batch have been looked at already.
//
// Threading: one owner.

#include <leat/buf/packet_batch.hpp>

namespace leat {

class SeenOnce {
 public:
  // How many packets at the front of the batch were refused the last time.
  [[nodiscard]] std::size_t seen(const PacketBatch& batch) const {
    const bool same = refused_ > 0 && batch.size() >= refused_ && batch[0].index() == first_;
    return same ? refused_ : 0;
  }
  // After the inner device took what it could.
  void left(const PacketBatch& batch) {
    refused_ = batch.size();
    if (refused_ > 0) first_ = batch[0].index();
  }

 private:
  std::size_t refused_ = 0;
  Index first_ = kNoIndex;
};

}  // namespace leat
