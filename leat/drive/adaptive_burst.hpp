#pragma once
// AdaptiveBurst: how many packets to ask of a device whose descriptor tells what is left (DeviceCaps::rx_level).
//
// Asking for one more than there is costs a system call that brings nothing, a third of what a request and its reply
// cost. Asking for too few costs bulk a wait for every few packets. So it goes by what the last bursts brought:
//
//   whole    asks for everything; kSame bursts of the same small size in a row make it steady
//   steady   asks for that many, and now and then for one more: when that comes, there is more behind it, and
//            everything is asked for again in the same turn. Each look in vain doubles the time to the next one, up to
//            kRarest bursts. A burst that brings less lowers the size.
//
// So in a closed loop of requests and replies nearly every packet costs one read, also when a request comes as two
// packets (an ACK and data); bulk that begins after it is found out within kRarest bursts. A burst of nothing (a timer,
// a spinning caller) says nothing. Threading: one owner.

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace leat {

class AdaptiveBurst {
 public:
  static constexpr std::size_t kLargest = 4;  // a steady burst
  static constexpr std::uint16_t kSame = 4;
  static constexpr std::uint16_t kOften = 8;
  static constexpr std::uint16_t kRarest = 1024;

  // Packets to ask for now, at most `most`.
  [[nodiscard]] std::size_t ask(std::size_t most) const {
    return steady_ == 0 ? most : std::min<std::size_t>(most, steady_ + (until_look_ == 0 ? 1U : 0U));
  }
  // What asking for `asked` brought. False: that was all for now; what is left, if any, the descriptor tells.
  [[nodiscard]] bool brought(std::size_t asked, std::size_t received) {
    if (received == 0) return false;
    if (steady_ == 0) {
      same_ = static_cast<std::uint16_t>(received == last_ ? same_ + 1 : 1);
      last_ = received;
      if (same_ == kSame && received <= kLargest && received < asked) enter(received, kOften);
      return received == asked;
    }
    if (received > steady_) {
      enter(0, kOften);
      return true;
    }
    if (asked > steady_) {
      enter(received, std::min<std::uint16_t>(kRarest, static_cast<std::uint16_t>(2 * interval_)));
    } else {
      steady_ = received;
      --until_look_;
    }
    return false;
  }

 private:
  void enter(std::size_t steady, std::uint16_t interval) {
    steady_ = steady;
    same_ = 0;
    interval_ = until_look_ = interval;
  }

  std::size_t steady_ = 0;        // 0: everything is asked for
  std::size_t last_ = 0;          // size of the last burst, while that is so
  std::uint16_t same_ = 0;        // bursts of that size in a row
  std::uint16_t interval_ = 0;    // bursts between two looks
  std::uint16_t until_look_ = 0;  // bursts until the next one
};

}  // namespace leat
