#pragma once
// AdaptiveBurst: how many packets to ask of a device whose descriptor tells what is left (DeviceCaps::rx_level).
//
// Asking for one more than there is costs a system call that brings nothing, a third of what a request and its reply
// cost. Asking for one at a time costs bulk a wait for each packet. So it goes by what the last bursts brought:
//
//   whole    asks for everything; kSingles bursts of one packet in a row lead to `single`
//   single   asks for one packet, and now and then for two: when both come, there is more behind them, and `whole` is
//            back in the same turn. Each look in vain doubles the time to the next one, up to kRarest packets.
//
// In a closed loop of requests and replies nearly every packet costs one read; bulk that begins after it is found out
// within kRarest packets. A burst of nothing (a timer, a spinning caller) says nothing. Threading: one owner.

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace leat {

class AdaptiveBurst {
 public:
  static constexpr std::uint16_t kSingles = 4;
  static constexpr std::uint16_t kOften = 8;
  static constexpr std::uint16_t kRarest = 1024;

  // Packets to ask for now, at most `most`. One: the rest is left to the descriptor.
  [[nodiscard]] std::size_t ask(std::size_t most) const {
    if (!single_) return most;
    return std::min<std::size_t>(most, until_look_ == 0 ? 2 : 1);
  }
  // What asking for `asked` brought.
  void brought(std::size_t asked, std::size_t received) {
    if (received == 0) return;
    if (!single_) {
      singles_ = static_cast<std::uint16_t>(received == 1 ? singles_ + 1 : 0);
      if (singles_ == kSingles) enter(true, kOften);
      return;
    }
    if (received > 1) return enter(false, kOften);
    if (asked == 1) {
      --until_look_;
    } else {
      enter(true, std::min<std::uint16_t>(kRarest, static_cast<std::uint16_t>(2 * interval_)));
    }
  }

 private:
  void enter(bool single, std::uint16_t interval) {
    single_ = single;
    singles_ = 0;
    interval_ = until_look_ = interval;
  }

  bool single_ = false;
  std::uint16_t singles_ = 0;     // bursts of one packet in a row, while asking for everything
  std::uint16_t interval_ = 0;    // packets between two looks
  std::uint16_t until_look_ = 0;  // packets until the next one
};

}  // namespace leat
