#pragma once
// Transport checksums over whole packets, fragments included: completing what a sender left to its device, and
// verifying what a device did not. See RFC 1071, and buf/packet_pool.hpp for ChecksumState.
//
// Threading: one owner of the packet.

#include <leat/offload/packet_layers.hpp>
#include <optional>

namespace leat {

// Sum of the `length` bytes from `offset` on, across fragments of any length: the bytes of a piece that starts at an
// odd offset of the whole count swapped.
[[nodiscard]] Sum checksum_packet(Sum sum, const Packet& p, std::uint32_t offset, std::uint32_t length);

// What belongs into the checksum field of a packet in state to_fill, and where (from its first byte of data).
struct ChecksumPatch {
  std::uint32_t offset = 0;
  std::uint16_t field = 0;
};
// Nothing when the state is another one, or the packet's offsets don't lead to a TCP, UDP or ICMPv6 header. Writes
// nothing, so that a capture can show a packet as its device will send it.
[[nodiscard]] std::optional<ChecksumPatch> checksum_to_fill(const Packet& p, LinkType link);

// Completes the field of a packet in state to_fill, which becomes none; other packets are left alone. False when it
// can't be done (malformed, or the head is shared): such a packet must not be sent. Not for super-segments: GSO fills
// the fields of their parts.
[[nodiscard]] bool complete_checksum(Packet& p, LinkType link);

enum class ChecksumVerdict : std::uint8_t {
  good,     // it matches, a device said so, or UDP over IPv4 carries none; state is no longer `none`
  bad,      // it does not; state stays `none`
  unknown,  // no whole TCP, UDP or ICMPv6 packet (see packet_layers.hpp): the core will look
};
ChecksumVerdict verify_checksum(Packet& p, const PacketLayers& layers);
ChecksumVerdict verify_checksum(Packet& p, LinkType link);

}  // namespace leat
