#pragma once
// What a packet's metadata says changes when it crosses a link: the sender's notes (mark, departure time, flow hash)
// are not the receiver's. Used by devices that hand a sent packet over as a received one.
//
// Threading: one owner of the packet.

#include <leat/buf/packet.hpp>
#include <leat/device/device.hpp>
#include <leat/offload/gso.hpp>

namespace leat {

// Checksum state, layer offsets, VLAN tag and GSO size are facts about the bytes and stay.
inline void mark_received(Packet& p, Instant now) {
  PacketMeta& m = p.meta();
  m.merged = static_cast<std::uint16_t>(wire_segments(m));
  if (m.merged == 1) {
    m.gso_size = 0;
    m.gso_type = GsoType::none;
  }
  m.time = now;
  m.mark = 0;
  m.interface = 0;
  m.flow_hash = 0;
  m.ce_marks = 0;
  m.link_cast = LinkCast::unicast;
}

// Whether a link in memory with these `caps` takes this packet: what does not fit is dropped and counted, as on a wire.
[[nodiscard]] bool fits(const Packet& p, const DeviceCaps& caps);

// A copy of all data of `p` in `pool`: one chunk when that class has one, else as many 2 KiB chunks as it takes; what
// fits a small chunk may come from the control reserve. Empty when memory is used up.
[[nodiscard]] Packet copy_into(const Packet& p, PacketPool& pool);
// Whether copy_into could succeed if all of the pool were free: waiting for memory makes sense.
[[nodiscard]] bool can_ever_copy(std::uint32_t size, const PacketPool& pool);

}  // namespace leat
