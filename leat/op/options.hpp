#pragma once
// The option table: every behaviour that can be changed at run time, in one place that the sockets' skins, the
// configuration file and the documentation share. A stack has a value for each; a socket may override those whose level
// is not `stack`. Values are 64-bit integers: yes/no are 0 and 1, times are microseconds, sizes bytes.

#include <array>
#include <cstddef>
#include <cstdint>
#include <leat/base/result.hpp>
#include <optional>
#include <string_view>

namespace leat {

enum class OptionLevel : std::uint8_t { stack, socket, ip, tcp, udp };
enum class OptionType : std::uint8_t { boolean, integer, bytes, duration_us, choice };

// id, level, type, minimum, maximum, default, RFC or source, sentence
#define LEAT_OPTIONS(X)                                                                                                \
  X(ip_default_ttl, ip, integer, 1, 255, 64, "RFC 1700", "TTL and hop limit of packets sent.")                         \
  X(ip_tos, ip, integer, 0, 255, 0, "RFC 2474", "Traffic class of packets sent.")                                      \
  X(ip_accept_source_route, stack, boolean, 0, 1, 0, "RFC 7126", "Process packets with a source-route option.")        \
  X(ip_loopback, stack, boolean, 0, 1, 1, "RFC 1122 3.2.1.3, RFC 4291 2.5.3",                                          \
    "127.0.0.0/8 and ::1 lead back to this stack; 0: nowhere.")                                                        \
  X(ip_multicast_ttl, ip, integer, 0, 255, 1, "RFC 1112", "TTL and hop limit of multicast packets sent.")              \
  X(ip_multicast_loop, ip, boolean, 0, 1, 1, "RFC 1112", "Own multicast packets also come back to members here.")      \
  X(ip_multicast_interface, ip, integer, 0, 65535, 0, "Linux IP_MULTICAST_IF",                                         \
    "Where datagrams to groups leave (1-based); 0: where the routes lead.")                                            \
  X(ip_multicast_all, ip, boolean, 0, 1, 1, "Linux IP_MULTICAST_ALL",                                                  \
    "Also take datagrams to groups that other sockets joined.")                                                        \
  X(multicast_reports, stack, boolean, 0, 1, 1, "RFC 3376, RFC 3810", "Tell routers which groups are joined.")         \
  X(ip_unicast_interface, ip, integer, 0, 65535, 0, "Linux IP_UNICAST_IF",                                             \
    "Where datagrams to single hosts leave (1-based); 0: where the routes lead.")                                      \
  X(ip_min_ttl, ip, integer, 0, 255, 0, "RFC 5082, Linux IP_MINTTL",                                                   \
    "TCP segments that come in IPv4 with a lower TTL are dropped.")                                                    \
  X(ip_min_hop_limit, ip, integer, 0, 255, 0, "RFC 5082, Linux IPV6_MINHOPCOUNT",                                      \
    "TCP segments that come in IPv6 with a lower hop limit are dropped.")                                              \
  X(ip_header_included, ip, boolean, 0, 1, 0, "Linux IP_HDRINCL",                                                      \
    "What a raw IPv4 socket sends begins at the header.")                                                              \
  X(ip_freebind, ip, boolean, 0, 1, 0, "Linux IP_FREEBIND", "Bind to addresses that are not there (yet).")             \
  X(ip_bind_address_no_port, ip, boolean, 0, 1, 0, "Linux IP_BIND_ADDRESS_NO_PORT",                                    \
    "bind() of a stream without a port leaves it to connect() or listen().")                                           \
  X(ip_receive_errors, ip, boolean, 0, 1, 0, "Linux IP_RECVERR", "Queue ICMP errors for the socket.")                  \
  X(icmp_echo_broadcast, stack, boolean, 0, 1, 0, "RFC 1122 3.2.2.6", "Answer echo requests to broadcast addresses.")  \
  X(icmp_rate, stack, integer, 0, 1000000, 1000, "RFC 4443 2.4", "ICMP errors a second, in all.")                      \
  X(icmp_burst, stack, integer, 1, 65535, 50, "RFC 4443 2.4", "ICMP errors that may leave at once.")                   \
  X(icmp_rate_per_destination, stack, integer, 0, 1000000, 10, "RFC 1812 4.3.2.8",                                     \
    "ICMP errors a second to one destination.")                                                                        \
  X(icmp_may_reset, stack, boolean, 0, 1, 1, "RFC 5927 5",                                                             \
    "Hard ICMP errors end connections that are not synchronized yet.")                                                 \
  X(neighbor_reachable_time, stack, duration_us, 1000, 3600000000, 30000000, "RFC 4861 10",                            \
    "How long a confirmation lasts.")                                                                                  \
  X(neighbor_retransmit_time, stack, duration_us, 1000, 60000000, 1000000, "RFC 4861 10", "Between solicitations.")    \
  X(neighbor_probes, stack, integer, 1, 20, 3, "RFC 4861 10", "Solicitations before a neighbour is unreachable.")      \
  X(neighbor_queue, stack, integer, 1, 64, 16, "RFC 4861 7.2.2", "Packets that wait for one neighbour.")               \
  X(dad_transmits, stack, integer, 0, 10, 1, "RFC 4862 5.1, RFC 5227", "Probes before an address is used.")            \
  X(reuse_address, socket, boolean, 0, 1, 0, "POSIX SO_REUSEADDR", "Bind beside sockets of ended connections.")        \
  X(reuse_port, socket, boolean, 0, 1, 0, "Linux SO_REUSEPORT", "Several sockets share one endpoint.")                 \
  X(v6only, socket, boolean, 0, 1, 0, "RFC 3493 5.3", "A socket bound to :: takes no IPv4.")                           \
  X(broadcast, socket, boolean, 0, 1, 0, "POSIX SO_BROADCAST", "May send to broadcast addresses.")                     \
  X(bind_interface, socket, integer, 0, 65535, 0, "Linux SO_BINDTODEVICE", "Only this interface (1-based); 0: any.")   \
  X(mark, socket, integer, 0, 4294967295, 0, "Linux SO_MARK", "Mark of packets sent, for devices and captures.")       \
  X(keep_alive, socket, boolean, 0, 1, 0, "RFC 9293 3.8.4", "Probe idle connections.")                                 \
  X(linger, socket, integer, -1, 65535, -1, "POSIX SO_LINGER",                                                         \
    "Seconds that close() waits for the peer, where it can wait; 0: close resets; -1: off.")                           \
  X(receive_lowat, socket, bytes, 1, 2147483647, 1, "POSIX SO_RCVLOWAT",                                               \
    "A stream is readable, and a receive that waits is served, from so many octets on.")                               \
  X(dont_route, socket, boolean, 0, 1, 0, "POSIX SO_DONTROUTE",                                                        \
    "Only to hosts on attached links, through no gateway.")                                                            \
  X(receive_buffer, socket, bytes, 256, 1073741824, 1048576, "POSIX SO_RCVBUF", "Receive buffer limit.")               \
  X(send_buffer, socket, bytes, 256, 1073741824, 1048576, "POSIX SO_SNDBUF", "Send buffer limit.")                     \
  X(ephemeral_first, stack, integer, 1024, 65535, 32768, "RFC 6056", "First ephemeral port.")                          \
  X(ephemeral_last, stack, integer, 1024, 65535, 60999, "RFC 6056", "Last ephemeral port.")                            \
  X(tcp_nodelay, tcp, boolean, 0, 1, 0, "RFC 9293 3.7.4", "Send small segments at once (no Nagle).")                   \
  X(tcp_cork, tcp, boolean, 0, 1, 0, "Linux TCP_CORK", "Hold partial segments back, 200 ms at most.")                  \
  X(tcp_quickack, tcp, boolean, 0, 1, 0, "Linux TCP_QUICKACK",                                                         \
    "ACKs at once, until data of ours answers or 16 of them have left; to set it again begins anew.")                  \
  X(tcp_window_clamp, tcp, bytes, 0, 1073741824, 0, "Linux TCP_WINDOW_CLAMP", "Largest window to offer; 0: any.")      \
  X(tcp_thin_linear_timeouts, tcp, boolean, 0, 1, 0, "Linux TCP_THIN_LINEAR_TIMEOUTS",                                 \
    "The first six time-outs of a stream with little in flight do not grow.")                                          \
  X(tcp_max_segment, tcp, bytes, 0, 65535, 0, "RFC 9293 3.7.1", "Largest segment to offer and send; 0: from the MTU.") \
  X(tcp_timestamps, tcp, boolean, 0, 1, 1, "RFC 7323", "Offer and accept timestamps.")                                 \
  X(tcp_require_timestamps, tcp, boolean, 0, 1, 0, "RFC 7323 3.2", "Drop segments that lack a negotiated timestamp.")  \
  X(tcp_window_scaling, tcp, boolean, 0, 1, 1, "RFC 7323", "Offer and accept window scaling.")                         \
  X(tcp_sack, tcp, boolean, 0, 1, 1, "RFC 2018", "Offer and accept selective acknowledgements.")                       \
  X(tcp_dsack, tcp, boolean, 0, 1, 1, "RFC 2883", "Report duplicate segments.")                                        \
  X(tcp_ecn, tcp, integer, 0, 0, 0, "RFC 3168", "Explicit congestion notification: not there yet, so it is off.")      \
  X(tcp_congestion, tcp, choice, 0, 15, 1, "RFC 5681, RFC 9438", "Congestion control: 0 NewReno, 1 CUBIC.")            \
  X(tcp_initial_window, tcp, integer, 1, 64, 10, "RFC 6928", "Initial congestion window, segments.")                   \
  X(tcp_delayed_ack, tcp, duration_us, 0, 500000, 40000, "RFC 9293 3.8.6.3", "Longest delay of an ACK.")               \
  X(tcp_ack_segments, tcp, integer, 1, 64, 2, "RFC 9293 3.8.6.3", "Full segments that make an ACK due.")               \
  X(tcp_stretch_acks, tcp, choice, 0, 2, 1, "RFC 5681 4.2: exception as Linux",                                        \
    "ACKs of a burst: 0 exactly tcp_ack_segments each, 1 one per merged super-segment (as Linux), 2 one per burst.")   \
  X(tcp_reply_wait, tcp, duration_us, 0, 500000, 1000, "RFC 9293 3.8.6.3: exception",                                  \
    "How long the ACK of a whole request waits for the reply to carry it; 0: not at all.")                             \
  X(tcp_syn_retries, tcp, integer, 1, 16, 6, "RFC 9293 3.8.3", "SYNs sent again before giving up.")                    \
  X(tcp_synack_retries, tcp, integer, 1, 16, 5, "RFC 9293 3.8.3", "SYN-ACKs sent again before giving up.")             \
  X(tcp_retries, tcp, integer, 1, 32, 15, "RFC 9293 3.8.3 (R2)", "Retransmissions of data before giving up.")          \
  X(tcp_orphan_retries, tcp, integer, 1, 32, 8, "Linux", "Retransmissions after the socket was closed.")               \
  X(tcp_user_timeout, tcp, duration_us, 0, 86400000000, 0, "RFC 5482",                                                 \
    "Unacknowledged for this long: give up; 0: by count.")                                                             \
  X(tcp_rto_initial, tcp, duration_us, 1000, 60000000, 1000000, "RFC 6298 2", "First retransmission time-out.")        \
  X(tcp_rto_min, tcp, duration_us, 1000, 60000000, 200000, "RFC 6298 2.4: exception as Linux",                         \
    "Least time by which the retransmission time-out exceeds the smoothed round trip.")                                \
  X(tcp_rto_max, tcp, duration_us, 1000000, 240000000, 120000000, "RFC 6298 2.5", "Largest retransmission time-out.")  \
  X(tcp_keep_idle, tcp, duration_us, 1000000, 86400000000, 7200000000, "RFC 9293 3.8.4",                               \
    "Idle time before the first probe.")                                                                               \
  X(tcp_keep_interval, tcp, duration_us, 1000000, 3600000000, 75000000, "RFC 9293 3.8.4", "Between probes.")           \
  X(tcp_keep_count, tcp, integer, 1, 127, 9, "RFC 9293 3.8.4", "Probes before giving up.")                             \
  X(tcp_fin_timeout, tcp, duration_us, 0, 3600000000, 60000000, "Linux TCP_LINGER2",                                   \
    "Longest FIN-WAIT-2 without a socket.")                                                                            \
  X(tcp_time_wait, tcp, duration_us, 0, 240000000, 60000000, "RFC 9293 3.6.1", "Length of TIME-WAIT.")                 \
  X(tcp_rfc1337, tcp, boolean, 0, 1, 1, "RFC 1337", "RSTs don't end TIME-WAIT.")                                       \
  X(tcp_defer_accept, tcp, duration_us, 0, 600000000, 0, "Linux TCP_DEFER_ACCEPT", "Accept only once data came.")      \
  X(tcp_notsent_lowat, tcp, bytes, 0, 1073741824, 0, "Linux TCP_NOTSENT_LOWAT",                                        \
    "Writable only below this much unsent; 0: off.")                                                                   \
  X(tcp_syncookies, tcp, integer, 0, 2, 1, "RFC 4987", "0 never, 1 when the SYN cache is full, 2 always.")             \
  X(tcp_slow_start_after_idle, tcp, boolean, 0, 1, 1, "RFC 5681 4.1",                                                  \
    "Restart the congestion window after idle time.")                                                                  \
  X(tcp_syn_option_order, stack, choice, 0, 1, 0, "-", "0: mss,sackOK,TS,nop,wscale; 1: mss,nop,wscale,sackOK,TS.")    \
  X(tcp_drop_synfin, stack, boolean, 0, 1, 1, "FreeBSD", "Drop segments that carry SYN and FIN.")                      \
  X(tcp_isn_seed, stack, integer, 0, 4294967295, 0, "for tests", "Fixed ISN for scripts; 0: RFC 6528.")                \
  X(tcp_max_ooo_nodes, tcp, integer, 1, 65535, 256, "-", "Out-of-order ranges kept per connection.")                   \
  X(tcp_challenge_rate, tcp, integer, 1, 10000, 10, "RFC 5961 7",                                                      \
    "Challenge ACKs a second per connection, randomised.")                                                             \
  X(udp_checksum, udp, boolean, 0, 1, 1, "RFC 768", "Send checksums over IPv4.")

enum class OptionId : std::uint16_t {
#define X(id, ...) id,
  LEAT_OPTIONS(X)
#undef X
      count_
};
inline constexpr std::size_t kOptions = static_cast<std::size_t>(OptionId::count_);

struct OptionInfo {
  std::string_view name;
  OptionLevel level;
  OptionType type;
  std::int64_t minimum;
  std::int64_t maximum;
  std::int64_t initial;
  std::string_view source;
  std::string_view sentence;
};
inline constexpr std::array<OptionInfo, kOptions> kOptionInfo{{
#define X(id, level, type, min, max, init, source, sentence) \
  {#id, OptionLevel::level, OptionType::type, min, max, init, source, sentence},
    LEAT_OPTIONS(X)
#undef X
}};
// What the stack itself asks, in a table of its own: firmware that prints no option names links no texts.
struct OptionRange {
  OptionLevel level;
  std::int64_t minimum;
  std::int64_t maximum;
  std::int64_t initial;
};
inline constexpr std::array<OptionRange, kOptions> kOptionRanges{{
#define X(id, level, type, min, max, init, source, sentence) {OptionLevel::level, min, max, init},
    LEAT_OPTIONS(X)
#undef X
}};
[[nodiscard]] constexpr const OptionRange& option_range(OptionId id) {
  return kOptionRanges[static_cast<std::size_t>(id)];
}
[[nodiscard]] constexpr const OptionInfo& option_info(OptionId id) {
  return kOptionInfo[static_cast<std::size_t>(id)];
}
[[nodiscard]] constexpr std::optional<OptionId> find_option(std::string_view name) {
  for (std::size_t i = 0; i < kOptions; ++i)
    if (kOptionInfo[i].name == name) return static_cast<OptionId>(i);
  return std::nullopt;
}

// One full set of values: the stack's, or a profile that some sockets share.
class OptionValues {
 public:
  constexpr OptionValues() {
    for (std::size_t i = 0; i < kOptions; ++i) values_[i] = kOptionRanges[i].initial;
  }
  [[nodiscard]] constexpr std::int64_t get(OptionId id) const { return values_[static_cast<std::size_t>(id)]; }
  [[nodiscard]] constexpr bool on(OptionId id) const { return get(id) != 0; }
  // Errc::invalid_argument outside the option's range.
  constexpr Result<void> set(OptionId id, std::int64_t value) {
    const OptionRange& range = option_range(id);
    if (value < range.minimum || value > range.maximum) return fail(Errc::invalid_argument);
    values_[static_cast<std::size_t>(id)] = value;
    return {};
  }
  constexpr bool operator==(const OptionValues&) const = default;

 private:
  std::array<std::int64_t, kOptions> values_{};
};

}  // namespace leat
