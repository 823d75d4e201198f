#pragma once
// Every packet that is discarded has a reason, and every reason a name, a unit and a sentence. `Stack::drop(packet,
// reason)` is the only way to discard a packet; captures, traces and these counters hang on it. The second list counts
// events that are not drops.
//
// Threading: plain numbers of one owner.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace leat {

// name, sentence. Unit: packets.
#define LEAT_DROP_REASONS(X)                                                                             \
  X(link_too_short, "Frame shorter than its link header.")                                               \
  X(link_not_for_us, "Unicast frame for another station.")                                               \
  X(link_unknown_ethertype, "Ethertype that nothing here handles, 802.3 lengths included.")              \
  X(link_vlan, "VLAN tag that this interface is not a member of, or a double tag.")                      \
  X(arp_malformed, "ARP packet with wrong lengths, types or addresses.")                                 \
  X(arp_ignored, "ARP packet that concerns nobody here or was not asked for.")                           \
  X(neighbor_queue_full, "Packet pushed out of a neighbour's bounded pending queue.")                    \
  X(neighbor_table_full, "No neighbour entry could be made or evicted.")                                 \
  X(neighbor_unreachable, "Packet for a neighbour that did not answer.")                                 \
  X(ndp_malformed, "NDP message that RFC 4861 tells to drop whole.")                                     \
  X(ndp_ignored, "NDP message for a foreign target, or not asked for.")                                  \
  X(ip_malformed, "IP header with impossible lengths, version or options.")                              \
  X(ip_bad_checksum, "IPv4 header checksum does not match.")                                             \
  X(ip_bad_source, "Source address that must not appear on the wire.")                                   \
  X(ip_bad_destination, "Destination address that must not appear on the wire.")                         \
  X(ip_not_for_us, "Destination is not ours and nothing forwards it.")                                   \
  X(ip_reject_route, "The route says reject.")                                                           \
  X(ip_no_route, "No route to the destination.")                                                         \
  X(ip_source_route, "Source-routed packet, refused by policy.")                                         \
  X(ip_fragment, "Fragment that could not be reassembled.")                                              \
  X(ip_fragment_header_chain, "First fragment without the whole header chain (RFC 7112).")               \
  X(ip_extension, "IPv6 extension header chain malformed, too long or told to discard.")                 \
  X(ip_unknown_protocol, "Protocol that nobody took.")                                                   \
  X(ip_too_big, "Packet larger than the egress MTU that must not be fragmented.")                        \
  X(icmp_malformed, "ICMP message too short or with a bad checksum.")                                    \
  X(icmp_ignored, "ICMP message that must be ignored (unknown type, not our traffic, broadcast echo).")  \
  X(icmp_rate_limited, "ICMP message not sent or not answered because of a rate limit.")                 \
  X(igmp_ignored, "IGMP or MLD message that is malformed, not of this link or for routers only.")        \
  X(udp_malformed, "UDP length or checksum wrong.")                                                      \
  X(udp_no_socket, "No UDP socket for the datagram.")                                                    \
  X(udp_receive_full, "The UDP socket's receive budget is used up.")                                     \
  X(raw_receive_full, "The raw socket's receive budget is used up.")                                     \
  X(raw_bad_checksum, "The checksum that a raw socket of IPv6 looks at is wrong.")                       \
  X(tcp_malformed, "TCP header lengths or options impossible.")                                          \
  X(tcp_bad_checksum, "TCP checksum does not match.")                                                    \
  X(tcp_bad_address, "TCP segment from or to an address TCP must not use, or port 0.")                   \
  X(tcp_no_connection, "TCP segment for no connection or listener.")                                     \
  X(tcp_listen_overflow, "Connection attempt dropped because the accept queue is full.")                 \
  X(tcp_syn_table_full, "Connection attempt dropped because the SYN cache is full and cookies are off.") \
  X(tcp_bad_cookie, "ACK that carries no valid SYN cookie.")                                             \
  X(tcp_not_acceptable, "Segment outside the receive window.")                                           \
  X(tcp_paws, "Segment with an old timestamp (PAWS).")                                                   \
  X(tcp_missing_timestamp, "Segment without the negotiated timestamp option.")                           \
  X(tcp_bad_ack, "Acknowledgement of data never sent, or far too old.")                                  \
  X(tcp_low_ttl, "Segment from farther away than ip_min_ttl or ip_min_hop_limit says.")                  \
  X(tcp_bad_state, "Segment that its state tells to drop.")                                              \
  X(tcp_challenge_limited, "Segment that called for a challenge ACK beyond its rate.")                   \
  X(tcp_rst_rejected, "RST that is not exactly at RCV.NXT (RFC 5961).")                                  \
  X(tcp_duplicate, "Segment whose data had all been received.")                                          \
  X(tcp_ooo_full, "Out-of-order data beyond the node or byte budget.")                                   \
  X(tcp_receive_closed, "Data for a connection whose reader is gone.")                                   \
  X(no_buffers, "A pool was empty.")                                                                     \
  X(interface_down, "The interface is down or gone.")                                                    \
  X(interface_queue_full, "The interface's transmit queue is full.")                                     \
  X(loopback_queue_full, "The loopback queue is full.")                                                  \
  X(device_error, "The device refused the packet.")                                                      \
  X(impairment_lost, "Dropped on purpose by an impaired link.")                                          \
  X(impairment_queue_full, "Dropped by a full queue of an impaired link.")                               \
  X(stack_gone, "The stack ended with the packet in hand.")

// name, unit, sentence.
#define LEAT_EVENT_COUNTERS(X)                                                                       \
  X(ip_received, "packets", "IP packets that passed validation.")                                    \
  X(ip_sent, "packets", "IP packets given to an interface.")                                         \
  X(icmp_echo_replied, "packets", "Echo requests answered.")                                         \
  X(icmp_errors_sent, "packets", "ICMP errors sent.")                                                \
  X(icmp_errors_accepted, "packets", "ICMP errors that matched a live flow.")                        \
  X(error_queue_full, "events", "Errors that a socket's error queue had no room for.")               \
  X(arp_conflicts, "events", "Another station claimed one of our addresses.")                        \
  X(udp_received, "datagrams", "UDP datagrams delivered to a socket.")                               \
  X(udp_sent, "datagrams", "UDP datagrams sent.")                                                    \
  X(tcp_segments_in, "segments", "TCP segments processed, after merging.")                           \
  X(tcp_segments_out, "segments", "TCP segments sent, before splitting.")                            \
  X(tcp_bytes_in, "bytes", "In-order payload received.")                                             \
  X(tcp_bytes_out, "bytes", "New payload sent.")                                                     \
  X(tcp_retransmitted_segments, "segments", "Segments sent again.")                                  \
  X(tcp_retransmitted_bytes, "bytes", "Payload sent again.")                                         \
  X(tcp_fast_retransmits, "events", "Recoveries entered by duplicate ACKs or SACK.")                 \
  X(tcp_timeouts, "events", "Retransmission time-outs.")                                             \
  X(tcp_active_opens, "connections", "Connections opened from here.")                                \
  X(tcp_passive_opens, "connections", "Connections that reached the accept queue.")                  \
  X(tcp_cookies_sent, "segments", "SYN cookies sent.")                                               \
  X(tcp_cookies_accepted, "connections", "Connections made from a SYN cookie.")                      \
  X(tcp_resets_sent, "segments", "RSTs sent.")                                                       \
  X(tcp_resets_received, "segments", "RSTs that ended a connection.")                                \
  X(tcp_challenge_acks, "segments", "Challenge ACKs sent.")                                          \
  X(tcp_zero_window_probes, "segments", "Zero-window probes sent.")                                  \
  X(tcp_keepalive_probes, "segments", "Keep-alive probes sent.")                                     \
  X(tcp_header_predicted, "segments", "Segments that took the header-prediction path.")              \
  X(tcp_out_of_order, "segments", "Segments that arrived out of order.")                             \
  X(tcp_time_wait_recycled, "connections", "TIME-WAIT records ended early by a new SYN or the cap.") \
  X(pool_exhausted, "events", "Allocations that found a pool empty.")                                \
  X(copied_bytes, "bytes", "Payload copied by the core.")

enum class DropReason : std::uint16_t {
#define X(name, sentence) name,
  LEAT_DROP_REASONS(X)
#undef X
      count_
};

enum class Counter : std::uint16_t {
#define X(name, unit, sentence) name,
  LEAT_EVENT_COUNTERS(X)
#undef X
      count_
};

struct CounterInfo {
  std::string_view name;
  std::string_view unit;
  std::string_view sentence;
};

inline constexpr std::size_t kDropReasons = static_cast<std::size_t>(DropReason::count_);
inline constexpr std::size_t kCounters = static_cast<std::size_t>(Counter::count_);

inline constexpr std::array<CounterInfo, kDropReasons> kDropInfo{{
#define X(name, sentence) {#name, "packets", sentence},
    LEAT_DROP_REASONS(X)
#undef X
}};
inline constexpr std::array<CounterInfo, kCounters> kCounterInfo{{
#define X(name, unit, sentence) {#name, unit, sentence},
    LEAT_EVENT_COUNTERS(X)
#undef X
}};

class Counters {
 public:
  void add(Counter c, std::uint64_t n = 1) { events_[static_cast<std::size_t>(c)] += n; }
  void add(DropReason r, std::uint64_t n = 1) { drops_[static_cast<std::size_t>(r)] += n; }
  [[nodiscard]] std::uint64_t get(Counter c) const { return events_[static_cast<std::size_t>(c)]; }
  [[nodiscard]] std::uint64_t get(DropReason r) const { return drops_[static_cast<std::size_t>(r)]; }
  [[nodiscard]] std::uint64_t total_drops() const {
    std::uint64_t n = 0;
    for (const auto d : drops_) n += d;
    return n;
  }

 private:
  std::array<std::uint64_t, kCounters> events_{};
  std::array<std::uint64_t, kDropReasons> drops_{};
};

}  // namespace leat
