#pragma once
// VnetHeader: what Linux puts before each frame of a TAP or TUN interface, and virtio before each frame of a network
// card: a checksum that is not computed yet, and the segment size of a super-segment. Here it is turned into a packet's
// metadata and made from it; who reads and writes descriptors is Tap.
//
//   flags | gso_type | header_length | gso_size | checksum_start | checksum_offset | buffers
//   1       1          2               2          2                2                 2 (not in the short form)
//
// Whatever stands in a received header, a packet that is let through keeps the invariants of PacketMeta. Numbers are in
// the byte order of the machine, as long as nobody asks the kernel for another. Read virtio 1.2, 5.1.6.
// Threading: pure functions, one owner of the packet.

#include <leat/offload/packet_layers.hpp>
#include <optional>

namespace leat {

struct VnetHeader {
  static constexpr std::uint32_t kLength = 12;
  static constexpr std::uint32_t kShortLength = 10;

  // Our own names: linux/virtio_net.h does not compile as C++ everywhere, and older ones lack the UDP offloads.
  static constexpr std::uint8_t kNeedsChecksum = 1;
  static constexpr std::uint8_t kDataValid = 2;
  static constexpr std::uint8_t kGsoTcp4 = 1;
  static constexpr std::uint8_t kGsoTcp6 = 4;
  static constexpr std::uint8_t kGsoUdp = 5;
  static constexpr std::uint8_t kGsoEcn = 0x80;  // besides one of those of TCP

  std::uint8_t flags = 0;
  std::uint8_t gso_type = 0;
  std::uint16_t header_length = 0;  // a hint, not looked at
  std::uint16_t gso_size = 0;
  std::uint16_t checksum_start = 0;   // from the frame's first byte
  std::uint16_t checksum_offset = 0;  // of the field, from checksum_start
  std::uint16_t buffers = 0;

  // `from` has kShortLength bytes or more.
  [[nodiscard]] static VnetHeader parse(ByteSpan from);
  // Writes as many bytes as fit, kLength at most.
  void emit(MutableByteSpan to) const;

  bool operator==(const VnetHeader&) const = default;
};

// Fills the metadata of a received frame. False when header and frame contradict each other: the frame is as it was,
// and to be dropped. The head must be the packet's own: a checksum in a place that we don't know is completed there.
[[nodiscard]] bool apply_vnet_header(const VnetHeader& v, Packet& p, LinkType link);

// The header for a packet that is to be sent. Nothing when it can't be: it promises what its headers don't keep, or is
// a super-segment that `takes_super_segments` does not allow. Of those it may change the checksum field.
[[nodiscard]] std::optional<VnetHeader> make_vnet_header(Packet& p, LinkType link, bool takes_super_segments);

}  // namespace leat
