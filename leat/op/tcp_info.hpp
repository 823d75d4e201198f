#pragma once
// TcpInfo: what may be asked about a connection: a superset of what TCP_INFO, TCP_CC_INFO and netstat need. A value.

#include <cstdint>
#include <leat/base/address.hpp>
#include <leat/op/tcp_state.hpp>
#include <string_view>

namespace leat::tcp {

struct TcpInfo {
  TcpState state = TcpState::closed;
  FlowKey key;
  bool timestamps = false, sack = false, window_scaling = false, ecn = false;
  std::uint8_t snd_shift = 0, rcv_shift = 0;
  bool in_recovery = false, after_timeout = false;
  bool app_limited = false;
  bool talks_back = false;   // ACKs wait for replies
  std::uint8_t retries = 0;  // retransmissions or probes without an answer
  std::uint8_t backoff = 0;
  std::string_view congestion;
  std::uint32_t rto_us = 0, srtt_us = 0, rttvar_us = 0, min_rtt_us = 0;
  std::uint32_t ato_us = 0;  // delayed-ACK time
  std::uint32_t snd_mss = 0, rcv_mss = 0, advertised_mss = 0, pmtu = 0;
  std::uint32_t cwnd = 0, ssthresh = 0;  // octets
  std::uint32_t snd_wnd = 0, rcv_wnd = 0, rcv_space = 0;
  std::uint32_t iss = 0, irs = 0, snd_una = 0, snd_nxt = 0, rcv_nxt = 0;
  std::uint32_t in_flight = 0, sacked = 0, lost = 0, resent = 0;                  // octets
  std::uint32_t send_queue = 0, unsent = 0, receive_queue = 0, out_of_order = 0;  // octets; the last: ranges
  std::uint32_t since_data_sent_ms = 0, since_received_ms = 0;
  std::uint64_t bytes_acked = 0, bytes_received = 0;
  std::uint32_t segments_in = 0, segments_out = 0, data_segments_in = 0, data_segments_out = 0, retransmits = 0;
  // While there was payload to send; of that, held back by the peer's window; and by a full send buffer.
  std::uint64_t busy_us = 0, window_limited_us = 0, buffer_limited_us = 0;
  std::uint32_t delivered = 0;    // segments, the SYN among them
  std::uint32_t dsacks = 0;       // segments that the peer says it had twice
  std::uint32_t reorderings = 0;  // seen by SACK
};

}  // namespace leat::tcp
