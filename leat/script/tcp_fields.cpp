#include <array>
#include <leat/core/tcp/info.hpp>
#include <leat/script/tcp_fields.hpp>

namespace leat::script {
namespace {

// Linux's numbers for the states.
std::int64_t state_number(tcp::TcpState state) {
  switch (state) {
    case tcp::TcpState::established:
      return 1;
    case tcp::TcpState::syn_sent:
      return 2;
    case tcp::TcpState::syn_received:
      return 3;
    case tcp::TcpState::fin_wait_1:
      return 4;
    case tcp::TcpState::fin_wait_2:
      return 5;
    case tcp::TcpState::time_wait:
      return 6;
    case tcp::TcpState::closed:
      return 7;
    case tcp::TcpState::close_wait:
      return 8;
    case tcp::TcpState::last_ack:
      return 9;
    case tcp::TcpState::listen:
      return 10;
    case tcp::TcpState::closing:
      return 11;
  }
  return 0;
}

// Linux counts in segments what we count in octets.
std::int64_t segments(std::uint32_t octets, std::uint32_t mss) {
  return mss == 0 ? 0 : (std::int64_t{octets} + mss - 1) / mss;
}

std::int64_t recovery_number(const tcp::TcpInfo& i) {
  constexpr std::int64_t kOpen = 0;
  constexpr std::int64_t kRecovery = 3;
  constexpr std::int64_t kLoss = 4;
  return i.after_timeout ? kLoss : i.in_recovery ? kRecovery : kOpen;
}

struct Field {
  std::string_view name;
  std::int64_t (*value)(const tcp::TcpInfo&);
};

constexpr std::array kFields = std::to_array<Field>({
    {"tcpi_state", [](const tcp::TcpInfo& i) { return state_number(i.state); }},
    {"tcpi_ca_state", recovery_number},
    {"tcpi_retransmits", [](const tcp::TcpInfo& i) { return std::int64_t{i.retries}; }},
    {"tcpi_backoff", [](const tcp::TcpInfo& i) { return std::int64_t{i.backoff}; }},
    {"tcpi_snd_wscale", [](const tcp::TcpInfo& i) { return std::int64_t{i.snd_shift}; }},
    {"tcpi_rcv_wscale", [](const tcp::TcpInfo& i) { return std::int64_t{i.rcv_shift}; }},
    {"tcpi_rto", [](const tcp::TcpInfo& i) { return std::int64_t{i.rto_us}; }},
    {"tcpi_ato", [](const tcp::TcpInfo& i) { return std::int64_t{i.ato_us}; }},
    {"tcpi_snd_mss", [](const tcp::TcpInfo& i) { return std::int64_t{i.snd_mss}; }},
    {"tcpi_rcv_mss", [](const tcp::TcpInfo& i) { return std::int64_t{i.rcv_mss}; }},
    {"tcpi_advmss", [](const tcp::TcpInfo& i) { return std::int64_t{i.advertised_mss}; }},
    {"tcpi_pmtu", [](const tcp::TcpInfo& i) { return std::int64_t{i.pmtu}; }},
    {"tcpi_unacked", [](const tcp::TcpInfo& i) { return segments(i.in_flight, i.snd_mss); }},
    {"tcpi_sacked", [](const tcp::TcpInfo& i) { return segments(i.sacked, i.snd_mss); }},
    {"tcpi_lost", [](const tcp::TcpInfo& i) { return segments(i.lost, i.snd_mss); }},
    {"tcpi_retrans", [](const tcp::TcpInfo& i) { return segments(i.resent, i.snd_mss); }},
    {"tcpi_total_retrans", [](const tcp::TcpInfo& i) { return std::int64_t{i.retransmits}; }},
    {"tcpi_rtt", [](const tcp::TcpInfo& i) { return std::int64_t{i.srtt_us}; }},
    {"tcpi_rttvar", [](const tcp::TcpInfo& i) { return std::int64_t{i.rttvar_us}; }},
    {"tcpi_min_rtt", [](const tcp::TcpInfo& i) { return std::int64_t{i.min_rtt_us}; }},
    {"tcpi_snd_cwnd", [](const tcp::TcpInfo& i) { return std::int64_t{i.cwnd} / std::max(1U, i.snd_mss); }},
    {"tcpi_snd_ssthresh", [](const tcp::TcpInfo& i) { return std::int64_t{i.ssthresh} / std::max(1U, i.snd_mss); }},
    {"tcpi_snd_wnd", [](const tcp::TcpInfo& i) { return std::int64_t{i.snd_wnd}; }},
    {"tcpi_rcv_wnd", [](const tcp::TcpInfo& i) { return std::int64_t{i.rcv_wnd}; }},
    {"tcpi_rcv_space", [](const tcp::TcpInfo& i) { return std::int64_t{i.rcv_space}; }},
    {"tcpi_notsent_bytes", [](const tcp::TcpInfo& i) { return std::int64_t{i.unsent}; }},
    {"tcpi_bytes_acked", [](const tcp::TcpInfo& i) { return static_cast<std::int64_t>(i.bytes_acked); }},
    {"tcpi_bytes_received", [](const tcp::TcpInfo& i) { return static_cast<std::int64_t>(i.bytes_received); }},
    {"tcpi_segs_in", [](const tcp::TcpInfo& i) { return std::int64_t{i.segments_in}; }},
    {"tcpi_segs_out", [](const tcp::TcpInfo& i) { return std::int64_t{i.segments_out}; }},
    {"tcpi_data_segs_in", [](const tcp::TcpInfo& i) { return std::int64_t{i.data_segments_in}; }},
    {"tcpi_busy_time", [](const tcp::TcpInfo& i) { return static_cast<std::int64_t>(i.busy_us); }},
    {"tcpi_rwnd_limited", [](const tcp::TcpInfo& i) { return static_cast<std::int64_t>(i.window_limited_us); }},
    {"tcpi_sndbuf_limited", [](const tcp::TcpInfo& i) { return static_cast<std::int64_t>(i.buffer_limited_us); }},
    {"tcpi_delivered", [](const tcp::TcpInfo& i) { return std::int64_t{i.delivered}; }},
    {"tcpi_dsack_dups", [](const tcp::TcpInfo& i) { return std::int64_t{i.dsacks}; }},
    {"tcpi_reord_seen", [](const tcp::TcpInfo& i) { return std::int64_t{i.reorderings}; }},
    {"tcpi_data_segs_out", [](const tcp::TcpInfo& i) { return std::int64_t{i.data_segments_out}; }},
});

}  // namespace

std::optional<std::int64_t> tcp_field(Stack& stack, Handle socket, std::string_view name) {
  const Core& core = stack.core();
  const Index i = core.sockets.find(socket);
  if (i == kNoIndex || core.sockets[i].kind != SocketKind::stream || core.sockets[i].object == kNoIndex) {
    return std::nullopt;
  }
  const tcp::TcpInfo info = tcp::info(core, i);
  for (const Field& f : kFields)
    if (f.name == name) return f.value(info);
  return std::nullopt;
}

}  // namespace leat::script
