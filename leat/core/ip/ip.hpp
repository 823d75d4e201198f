#pragma once
// What the network layer offers to transports: a path for a destination, and sending. Both IP versions go through the
// same calls; addresses tell the version.
//
// Sending: the packet's data begins at the transport header (headroom kHeadroom left for IP and link headers), its
// l4_offset/payload_offset set; TCP and UDP leave ChecksumState::to_fill with the folded pseudo-header sum in the
// checksum field. `send` takes the packet in every case: on an error it is dropped and counted.
//
// RFC 791, 8200, 1122 3.3.1, 4861. Threading: the owner of the shard.

#include <array>
#include <leat/base/checksum.hpp>
#include <leat/base/counters.hpp>
#include <leat/core/modules.hpp>
#include <leat/wire/ethernet.hpp>
#include <leat/wire/ipv4.hpp>

namespace leat::ip {

// Where packets to a destination go. Cheap to hold: `route_epoch` tells when it must be looked up again; send() does so
// itself when a path is stale.
//
// A path to ourselves (`loopback`) has interface kNoInterface: transports put such connections on a dirty list of that
// number, which run_loopback() drains through TransportModule::output(core, kNoInterface, ...).
struct Path {
  InterfaceId interface = kNoInterface;  // egress; kNoInterface with `loopback`
  Index route = kNoIndex;
  IpAddress source;               // chosen source (RFC 6724 in short), or the one that was asked for
  IpAddress next_hop;             // gateway, or the destination itself
  std::uint32_t mtu = 0;          // bytes of IP packet: interface, route and path MTU taken together
  std::uint32_t max_gso = 0;      // bytes of IP packet that may leave as one super-segment; 0: none
  bool loopback = false;          // the destination is one of our own addresses
  bool tx_checksum = false;       // the interface completes transport checksums
  std::uint32_t route_epoch = 0;  // Core::route_epoch at the look-up

  IpCast cast = IpCast::unicast;     // of the destination: TCP must not connect to the other two
  InterfaceId bound = kNoInterface;  // what the look-up was restricted to
  Scope scope = 0;
  std::uint32_t id_hash = 0;          // which IPv4 identifiers packets get
  mutable Index neighbor = kNoIndex;  // of next_hop: remembered by send()
  mutable std::uint32_t neighbor_generation = 0;
};

// Errc::network_unreachable without a route, Errc::address_not_available when `local` is given and not ours.
// `local` may be unspecified; `bound` restricts to one interface.
[[nodiscard]] Result<Path> find_path(Core&, const IpAddress& remote, const IpAddress& local,
                                     InterfaceId bound = kNoInterface, Scope scope = 0);
// Why a packet to `remote` that find_path() has no path for is dropped: a route says reject, or there is none.
[[nodiscard]] DropReason why_no_path(const Core&, const IpAddress& remote, InterfaceId bound = kNoInterface);

struct SendInfo {
  IpAddress source;
  IpAddress destination;
  std::uint8_t protocol = 0;
  std::uint8_t ttl = 64;
  std::uint8_t traffic_class = 0;
  bool dont_fragment = true;
  bool multicast_loop = false;  // a copy goes back to members here
  std::uint32_t flow_label = 0;
  std::uint32_t mark = 0;  // into the packet's meta
};

// The fields of headers that are a socket's to choose.
struct HeaderMarks {
  std::uint8_t ttl = 0;
  std::uint8_t traffic_class = 0;
  std::uint32_t mark = 0;  // for the packet's meta
  bool operator==(const HeaderMarks&) const = default;
};

// Link and IPv4 headers of a path's packets, with their sums. What is left for each packet are the total length, the
// identifier and the checksum. frame_headers.hpp.
struct FrameHeaders {
  static constexpr std::size_t kMost = wire::EthernetHeader::kLength + wire::Ipv4Header::kLength;
  std::array<std::uint8_t, kMost> bytes;  // the first `length`
  std::uint8_t length = 0;                // 0: they can't be known beforehand, send() does it all
  std::uint8_t link = 0;                  // of them, bytes of the link header
  InterfaceId interface = kNoInterface;
  HeaderMarks marks;
  std::uint32_t id_hash = 0;
  std::uint32_t mtu = 0, max_gso = 0;
  Sum ip_sum = 0;      // of the IP header so far
  Sum pseudo_sum = 0;  // of the transport's pseudo-header without its length
  std::uint32_t route_epoch = 0;
};

enum class SendStatus : std::uint8_t {
  sent,     // in `out`, in the interface's transmit queue, or looped back
  pending,  // waits for its next hop to be resolved
  dropped,  // counted
};

// Puts IP and link headers in front and sends along `path`: into `out` when it is given and has room (the caller is
// collecting for this interface), else into the interface's bounded transmit queue. A super-segment (gso_size set)
// passes when the path's interface allows its size.
SendStatus send(Core&, Packet&& packet, const SendInfo&, const Path&, PacketBatch* out = nullptr);

// A packet that begins at its IPv4 header, which the caller made whole: sent as it is.
SendStatus send_made(Core&, Packet&& packet, const IpAddress& destination, const Path&);
// A fresh identifier for a header of the caller's.
[[nodiscard]] std::uint16_t fresh_id(Core&, const Path&);

// Upper-layer confirmation that the path's next hop is alive (RFC 4861 7.3.1): TCP calls it when new data is
// acknowledged. O(1), rate-limited inside.
void confirm_reachable(Core&, const Path&);
// Advice to the contrary: what was sent along the path stays unanswered. Its next hop is asked whether it is still
// there (RFC 1122 3.3.1.4), and looked for anew when it does not answer. O(1), rate-limited inside.
void doubt_reachable(Core&, const Path&);

// A transport got a "packet too big" that quotes live traffic of its own (RFC 8201 4, RFC 5927 7): the path MTU to
// `remote` becomes `mtu`, never below 552 (IPv4) or 1280 (IPv6, where less is ignored), for ten minutes. It never grows
// here. Returns what holds now; a change moves Core::route_epoch, so that every path is looked up again.
std::uint32_t update_path_mtu(Core&, const IpAddress& remote, std::uint32_t mtu, Scope scope = 0);
// Forgets those whose time is over (RFC 8201 4), which moves Core::route_epoch. O(1) before State::path_mtus_due.
void end_path_mtus(Core&);

// The verdict on an address: is it one of ours (any interface, this scope)?
[[nodiscard]] bool is_local_address(const Core&, const IpAddress&, Scope scope = 0);
// Whether the path leads to `remote` through a router.
[[nodiscard]] inline bool has_gateway(const Path& p, const IpAddress& remote) {
  return !p.loopback && p.next_hop != remote;
}
// What source addresses transports must not answer: unspecified, multicast, broadcast (limited or directed).
[[nodiscard]] bool is_unicast_peer(const Core&, const IpAddress&, InterfaceId);

// ICMP error in answer to a received packet (rate limits and the "never in answer to" rules of RFC 1122 3.2.2 and
// RFC 4443 2.4 inside). `packet` begins at its IP header and is only read.
void send_port_unreachable(Core&, const TransportInput& offending);
void send_protocol_unreachable(Core&, const TransportInput& offending);

}  // namespace leat::ip
