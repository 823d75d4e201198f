#pragma once
// The way in, inside the network layer: from the link to IP, from IP to transports. Every function takes its packet.
// Threading: the owner of the shard.

#include <leat/core/core.hpp>
#include <leat/core/ip/ipv6_module.hpp>

namespace leat::ip {

// What must be contiguous for parsers: an IP header and a TCP header with all their options.
inline constexpr std::uint32_t kLongestHeaders = 128;

enum class Origin : std::uint8_t { wire, loopback };

// Takes a header off the front of a packet. The common case touches only the meta.
inline void strip_header(Packet& p, std::uint32_t n) {
  PacketMeta& m = p.meta();
  if (n > m.head_length) {
    p.trim_front(n);
    return;
  }
  m.offset += n;
  m.head_length -= n;
  m.length -= n;
  const auto back = [n](std::uint16_t o) { return static_cast<std::uint16_t>(o < n ? 0 : o - n); };
  m.l3_offset = back(m.l3_offset);
  m.l4_offset = back(m.l4_offset);
  m.payload_offset = back(m.payload_offset);
}
// Cuts off what the link padded.
inline void trim_to(Packet& p, std::uint32_t length) {
  PacketMeta& m = p.meta();
  if (m.length == length) return;
  if (m.fragment_count != 0) {
    p.truncate(length);
    return;
  }
  m.head_length = length;
  m.length = length;
}
// Makes the first min(size, n) bytes contiguous. False when there is no memory for it.
inline bool need_contiguous(Packet& p, std::uint32_t n) {
  n = std::min(n, p.size());
  return p.meta().head_length >= n || p.pull(n);
}

// Nearly every packet is a whole TCP segment over IPv4 without options, for an address that the last ones were for,
// too. It is staged here, its IP header `at` bytes behind the begin; false, and nothing is changed, for all others,
// even wrong ones: the long way looks at everything. The link layer has said that the packet was sent to us alone.
[[nodiscard]] bool stage_usual_segment(Core&, Packet&, InterfaceId, std::uint32_t at);

// Data at the IP header.
void ipv4_input(Core&, Packet&&, InterfaceId, Origin);
inline void ipv6_input(Core& core, Packet&& p, InterfaceId id, Origin origin) {
  core.modules.ipv6->input(core, std::move(p), id, origin == Origin::wire);
}
// For links that carry bare IP packets, and the loopback queue.
void input_by_version(Core&, Packet&&, InterfaceId, Origin);

// What `to` means to us; RFC 1122 3.3.1, 3.2.1.3. `in` is where it came in. `words` are the address once more, taken
// straight from the wire: an IpAddress that was just put together is slow to read back.
[[nodiscard]] Verdict look_up_verdict(Core&, const IpAddress& to, InterfaceId in);
[[nodiscard]] inline Verdict verdict_of(Core& core, const iface::RouteKey& words, const IpAddress& to, InterfaceId in) {
  const State::CachedVerdict& cached = core.ip.verdicts[State::verdict_slot(words, in)];
  if (cached.epoch == core.route_epoch && cached.destination == words && cached.interface == in) return cached.verdict;
  return look_up_verdict(core, to, in);
}
// Sources that must not come from the wire, apart from what the version's own rules say: our addresses, and broadcast.
[[nodiscard]] bool is_listed_as_own(const Core&, const IpAddress&);
[[nodiscard]] inline bool is_own_or_broadcast(const Core& core, const iface::RouteKey& words, const IpAddress& a) {
  return core.iface.filter_has(words) && is_listed_as_own(core, a);
}

// Hands what is staged to TCP. Called before anything that is not TCP is processed, so that order stays.
inline void flush_staged(Core& core) {
  const std::uint32_t n = core.ip.staged_count;
  if (n == 0) return;
  core.ip.staged_count = 0;
  core.modules.tcp->input(core, std::span{core.ip.staged.data(), n});
}
// Where the next packet's TransportInput is put together: TCP segments stay there until they are flushed.
inline TransportInput& next_slot(Core& core) {
  return core.ip.staged[core.ip.staged_count];
}
// The rest of delivery: raw sockets, and every transport but TCP.
void deliver_slowly(Core&, TransportInput& slot);
// The packet in next_slot(), its l4_offset set: to raw sockets that asked for it, then to its transport.
inline void deliver(Core& core, TransportInput& slot) {
  core.counters.add(Counter::ip_received);
  if (slot.protocol != 6 || core.modules.tcp == nullptr || !core.ip.raw.empty() ||
      slot.packet.meta().link_cast == LinkCast::multicast) [[unlikely]] {
    deliver_slowly(core, slot);
    return;
  }
  if (++core.ip.staged_count == core.ip.staged.size()) flush_staged(core);
}

void icmpv4_input(Core&, TransportInput&& in);

}  // namespace leat::ip
