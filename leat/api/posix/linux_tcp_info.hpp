#pragma once
// TCP_INFO as Linux lays it out, up to tcpi_snd_wnd and what later kernels put behind it. The C library's headers and
// the kernel's of a machine may be older, so the layout is our own: `ss`, iperf3 and others read it by offset.
// Threading: pure.

#include <cstddef>
#include <cstdint>
#include <leat/op/tcp_info.hpp>

namespace leat::posix {

struct LinuxTcpInfo {
  std::uint8_t state = 0, ca_state = 0, retransmits = 0, probes = 0, backoff = 0, options = 0;
  std::uint8_t window_scales = 0;  // low half: of the peer's window (send), high half: of ours
  std::uint8_t flags = 0;          // 1: the rate was limited by the application
  std::uint32_t rto = 0, ato = 0, snd_mss = 0, rcv_mss = 0;
  std::uint32_t unacked = 0, sacked = 0, lost = 0, retrans = 0, fackets = 0;
  std::uint32_t last_data_sent = 0, last_ack_sent = 0, last_data_recv = 0, last_ack_recv = 0;
  std::uint32_t pmtu = 0, rcv_ssthresh = 0, rtt = 0, rttvar = 0, snd_ssthresh = 0, snd_cwnd = 0, advmss = 0;
  std::uint32_t reordering = 0, rcv_rtt = 0, rcv_space = 0, total_retrans = 0;
  std::uint64_t pacing_rate = 0, max_pacing_rate = 0, bytes_acked = 0, bytes_received = 0;
  std::uint32_t segs_out = 0, segs_in = 0, notsent_bytes = 0, min_rtt = 0, data_segs_in = 0, data_segs_out = 0;
  std::uint64_t delivery_rate = 0, busy_time = 0, rwnd_limited = 0, sndbuf_limited = 0;
  std::uint32_t delivered = 0, delivered_ce = 0;
  std::uint64_t bytes_sent = 0, bytes_retrans = 0;
  std::uint32_t dsack_dups = 0, reord_seen = 0, rcv_ooopack = 0, snd_wnd = 0;
  std::uint32_t rcv_wnd = 0, rehash = 0;
};
static_assert(offsetof(LinuxTcpInfo, rto) == 8 && offsetof(LinuxTcpInfo, pacing_rate) == 104 &&
              offsetof(LinuxTcpInfo, delivery_rate) == 160 && offsetof(LinuxTcpInfo, snd_wnd) == 228 &&
              sizeof(LinuxTcpInfo) == 240);

[[nodiscard]] LinuxTcpInfo linux_tcp_info(const tcp::TcpInfo& i);

}  // namespace leat::posix
