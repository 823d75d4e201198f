#include <algorithm>
#include <array>
#include <leat/api/posix/linux_tcp_info.hpp>

namespace leat::posix {
namespace {

// Linux's numbers of the states, at ours.
constexpr std::array<std::uint8_t, tcp::kStates> kLinuxStates{
    7,   // closed: TCP_CLOSE
    10,  // listen
    2,   // syn_sent
    3,   // syn_received
    1,   // established
    4,   // fin_wait_1
    5,   // fin_wait_2
    8,   // close_wait
    11,  // closing
    9,   // last_ack
    6,   // time_wait
};
constexpr std::uint8_t kCaOpen = 0, kCaDisorder = 1, kCaRecovery = 3, kCaLoss = 4;
constexpr std::uint8_t kTimestamps = 1, kSack = 2, kWindowScale = 4, kEcn = 8;

// Linux counts packets where we count octets.
std::uint32_t packets(std::uint32_t octets, std::uint32_t mss) {
  return mss == 0 ? 0 : (octets + mss - 1) / mss;
}

}  // namespace

LinuxTcpInfo linux_tcp_info(const tcp::TcpInfo& i) {
  LinuxTcpInfo o;
  o.state = kLinuxStates[static_cast<std::size_t>(i.state)];
  o.ca_state = i.after_timeout ? kCaLoss : i.in_recovery ? kCaRecovery : i.sacked != 0 ? kCaDisorder : kCaOpen;
  const bool probing = i.in_flight == 0 && i.unsent != 0;
  (probing ? o.probes : o.retransmits) = i.retries;
  o.backoff = i.backoff;
  o.options = static_cast<std::uint8_t>((i.timestamps ? kTimestamps : 0) | (i.sack ? kSack : 0) |
                                        (i.window_scaling ? kWindowScale : 0) | (i.ecn ? kEcn : 0));
  o.window_scales = static_cast<std::uint8_t>((i.snd_shift & 15) | ((i.rcv_shift & 15) << 4));
  o.flags = i.app_limited ? 1 : 0;
  o.rto = i.rto_us;
  o.ato = i.ato_us;
  o.snd_mss = i.snd_mss;
  o.rcv_mss = i.rcv_mss != 0 ? i.rcv_mss : i.advertised_mss;
  o.unacked = packets(i.in_flight, i.snd_mss);
  o.sacked = packets(i.sacked, i.snd_mss);
  o.lost = packets(i.lost, i.snd_mss);
  o.retrans = packets(i.resent, i.snd_mss);
  o.last_data_sent = i.since_data_sent_ms;
  o.last_data_recv = i.since_received_ms;
  o.last_ack_recv = i.since_received_ms;
  o.pmtu = i.pmtu;
  o.rcv_ssthresh = i.rcv_wnd;
  o.rtt = i.srtt_us;
  o.rttvar = i.rttvar_us;
  o.snd_ssthresh = i.ssthresh >= 0x7fffffffU ? 0x7fffffffU : packets(i.ssthresh, i.snd_mss);
  o.snd_cwnd = packets(i.cwnd, i.snd_mss);
  o.advmss = i.advertised_mss;
  o.reordering = 3;  // RFC 5681's threshold, which does not adapt
  o.rcv_space = i.rcv_space;
  o.total_retrans = i.retransmits;
  // Without pacing: what a window a round trip makes.
  o.pacing_rate = i.srtt_us == 0 ? UINT64_MAX : std::uint64_t{i.cwnd} * 1'000'000 / i.srtt_us;
  o.max_pacing_rate = UINT64_MAX;
  o.bytes_acked = i.bytes_acked;
  o.bytes_received = i.bytes_received;
  o.segs_out = i.segments_out;
  o.segs_in = i.segments_in;
  o.notsent_bytes = i.unsent;
  o.min_rtt = i.min_rtt_us;
  o.data_segs_in = i.data_segments_in;
  o.data_segs_out = i.data_segments_out;
  o.delivery_rate = i.srtt_us == 0 ? 0 : std::uint64_t{std::min(i.cwnd, i.in_flight)} * 1'000'000 / i.srtt_us;
  o.busy_time = i.busy_us;
  o.rwnd_limited = i.window_limited_us;
  o.sndbuf_limited = i.buffer_limited_us;
  o.delivered = i.delivered;
  o.bytes_sent = i.bytes_acked + i.in_flight;
  o.bytes_retrans = std::uint64_t{i.retransmits} * i.snd_mss;
  o.dsack_dups = i.dsacks;
  o.reord_seen = i.reorderings;
  o.rcv_ooopack = i.out_of_order;
  o.snd_wnd = i.snd_wnd;
  o.rcv_wnd = i.rcv_wnd;
  return o;
}

}  // namespace leat::posix
