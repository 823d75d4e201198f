#pragma once
// How FrameHeaders (ip.hpp) are made and used: what ip::send puts in front of a packet, worked out once for many
// packets of a path.
//
//   if (!still_true(core, headers, path, marks)) prepare(core, info, path, headers);
//   if (headers.length != 0) write_headers(core, headers, packet.fill_headroom(headers.length), payload, 1);
//   else send(core, ..., path, &out);
//
// Asked once in a visit: nothing that a path depends on may happen in between. RFC 791 3.1, RFC 1071. Threading: the
// owner of the shard.

#include <array>
#include <cstring>
#include <leat/base/checksum.hpp>
#include <leat/core/core.hpp>
#include <leat/core/ip/ip.hpp>
#include <leat/wire/ethernet.hpp>
#include <leat/wire/ipv4.hpp>

namespace leat::ip {

// Leaves `length` 0 for IPv6, for a next hop that must be resolved first, for groups and for paths to ourselves.
void prepare(Core&, const SendInfo&, const Path&, FrameHeaders&);
// Whether what was prepared for this path would come out the same now. Between the same two addresses only the marks of
// a socket and the state of the neighbour can differ.
[[nodiscard]] bool still_true(const Core&, const FrameHeaders&, const Path&, const HeaderMarks&);

// Whether `to` holds the headers of such a packet, prepared now if they are not.
[[nodiscard]] inline bool prepared(Core& core, const SendInfo& info, const Path& path, FrameHeaders& to) {
  if (!still_true(core, to, path, {info.ttl, info.traffic_class, info.mark})) prepare(core, info, path, to);
  return to.length != 0;
}
// Sends a packet that has its headers: into `out` when it is given and has room, else into the interface's queue.
SendStatus send_framed(Core&, Packet&&, InterfaceId, PacketBatch* out);

// I17, RFC 7739 3: identifiers come from counters that a keyed hash of the address pair selects, each pair with an
// offset of its own, so that those seen by one peer tell nothing about those that another will see.
inline std::uint16_t next_id(Core& core, std::uint32_t hash, std::uint32_t packets) {
  IdSlot& slot = core.ip.id_slots[hash & (core.ip.id_slots.size() - 1)];
  const auto tick = static_cast<std::uint32_t>(static_cast<std::uint64_t>(core.now.count_ns()) / 16'000'000);
  if (slot.tick != tick) {
    // How many packets others sent meanwhile must not show: the counter moves by something random as well.
    const std::uint32_t idle = tick - slot.tick;
    slot.tick = tick;
    slot.next += core.rng.below(idle < 64 ? idle + 1 : 64);
  }
  const auto id = static_cast<std::uint16_t>(slot.next + (hash >> 16));
  slot.next += packets;
  return id;
}

// Writes the headers to `at`, for a transport packet of `payload` bytes in `packets` wire segments.
inline void write_headers(Core& core, const FrameHeaders& h, std::uint8_t* at, std::uint32_t payload,
                          std::uint32_t packets) {
  const std::uint32_t total = payload + static_cast<std::uint32_t>(wire::Ipv4Header::kLength);
  const std::uint32_t id = next_id(core, h.id_hash, packets);
  const Sum sum = h.ip_sum;
  std::uint8_t* const ip = at + h.link;
  // Copies of known lengths are a few moves.
  if (h.link != 0) {
    std::memcpy(at, h.bytes.data(), wire::EthernetHeader::kLength + wire::Ipv4Header::kLength);
  } else {
    std::memcpy(at, h.bytes.data(), wire::Ipv4Header::kLength);
  }
  store_be16(ip + 2, static_cast<std::uint16_t>(total));
  store_be16(ip + 4, static_cast<std::uint16_t>(id));
  store_be16(ip + 10, checksum_finish(checksum_fold(std::uint64_t{sum} + total + id)));
}

}  // namespace leat::ip
