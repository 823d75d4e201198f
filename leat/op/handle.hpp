#pragma once
// Handle: 64 bits that name a socket from outside: kind, shard, generation, index. A handle never dangles: when the
// socket ends its generation moves on, and every call with the old handle answers Errc::bad_handle.
//
//   63..60 kind | 59..52 shard | 51..24 generation | 23..0 index

#include <cstdint>
#include <leat/base/index_list.hpp>

namespace leat {

enum class SocketKind : std::uint8_t { none = 0, stream = 1, listener = 2, udp = 3, raw = 4, icmp = 5 };

class Handle {
 public:
  static constexpr std::uint32_t kGenerationMask = 0x0fffffffU;
  static constexpr std::uint32_t kMaxIndex = 0x00ffffffU;

  constexpr Handle() = default;
  constexpr Handle(SocketKind kind, std::uint8_t shard, std::uint32_t generation, Index index)
      : bits_((std::uint64_t{static_cast<std::uint8_t>(kind)} << 60) | (std::uint64_t{shard} << 52) |
              (std::uint64_t{generation & kGenerationMask} << 24) | (index & kMaxIndex)) {}
  static constexpr Handle from_bits(std::uint64_t bits) {
    Handle h;
    h.bits_ = bits;
    return h;
  }
  [[nodiscard]] constexpr std::uint64_t bits() const { return bits_; }
  [[nodiscard]] constexpr SocketKind kind() const { return static_cast<SocketKind>(bits_ >> 60); }
  [[nodiscard]] constexpr std::uint8_t shard() const { return static_cast<std::uint8_t>(bits_ >> 52); }
  [[nodiscard]] constexpr std::uint32_t generation() const {
    return static_cast<std::uint32_t>(bits_ >> 24) & kGenerationMask;
  }
  [[nodiscard]] constexpr Index index() const { return static_cast<Index>(bits_) & kMaxIndex; }
  constexpr explicit operator bool() const { return bits_ != 0; }
  constexpr bool operator==(const Handle&) const = default;

 private:
  std::uint64_t bits_ = 0;
};

}  // namespace leat
