#include <algorithm>
#include <array>
#include <leat/script/names.hpp>

namespace leat::script {
namespace {

struct Constant {
  std::string_view name;
  std::int64_t value;
};

constexpr std::array kErrnos = std::to_array<Constant>({
    {"EPERM", 1},          {"ENOENT", 2},         {"EINTR", 4},          {"EIO", 5},
    {"EBADF", 9},          {"EAGAIN", 11},        {"EWOULDBLOCK", 11},   {"ENOMEM", 12},
    {"EACCES", 13},        {"EFAULT", 14},        {"EEXIST", 17},        {"EINVAL", 22},
    {"EPIPE", 32},         {"EPROTO", 71},        {"EDESTADDRREQ", 89},  {"EMSGSIZE", 90},
    {"ENOPROTOOPT", 92},   {"EOPNOTSUPP", 95},    {"EADDRINUSE", 98},    {"EADDRNOTAVAIL", 99},
    {"ENETDOWN", 100},     {"ENETUNREACH", 101},  {"ECONNABORTED", 103}, {"ECONNRESET", 104},
    {"ENOBUFS", 105},      {"EISCONN", 106},      {"ENOTCONN", 107},     {"ETIMEDOUT", 110},
    {"ECONNREFUSED", 111}, {"EHOSTUNREACH", 113}, {"EALREADY", 114},     {"EINPROGRESS", 115},
    {"ECANCELED", 125},
});

constexpr std::array kConstants = std::to_array<Constant>({
    {"AF_INET", 2},         {"AF_INET6", 10},     {"PF_INET", 2},          {"PF_INET6", 10},
    {"SOCK_STREAM", 1},     {"SOCK_DGRAM", 2},    {"SOCK_RAW", 3},         {"IPPROTO_IP", 0},
    {"IPPROTO_ICMP", 1},    {"IPPROTO_TCP", 6},   {"IPPROTO_UDP", 17},     {"IPPROTO_IPV6", 41},
    {"SOL_IP", 0},          {"SOL_SOCKET", 1},    {"SOL_TCP", 6},          {"SOL_UDP", 17},
    {"SOL_IPV6", 41},       {"SOL_LEAT", 0x1ea7}, {"O_RDONLY", 0},         {"O_WRONLY", 1},
    {"O_RDWR", 2},          {"O_NONBLOCK", 2048}, {"SOCK_NONBLOCK", 2048}, {"F_GETFL", 3},
    {"F_SETFL", 4},         {"SHUT_RD", 0},       {"SHUT_WR", 1},          {"SHUT_RDWR", 2},
    {"MSG_PEEK", 2},        {"MSG_DONTWAIT", 64}, {"MSG_NOSIGNAL", 16384}, {"POLLIN", 1},
    {"POLLOUT", 4},         {"POLLERR", 8},       {"POLLHUP", 16},         {"POLLRDHUP", 8192},
    {"TCP_ESTABLISHED", 1}, {"TCP_SYN_SENT", 2},  {"TCP_SYN_RECV", 3},     {"TCP_FIN_WAIT1", 4},
    {"TCP_FIN_WAIT2", 5},   {"TCP_TIME_WAIT", 6}, {"TCP_CLOSE", 7},        {"TCP_CLOSE_WAIT", 8},
    {"TCP_LAST_ACK", 9},    {"TCP_LISTEN", 10},   {"TCP_CLOSING", 11},     {"TCP_CA_Open", 0},
    {"TCP_CA_Disorder", 1}, {"TCP_CA_CWR", 2},    {"TCP_CA_Recovery", 3},  {"TCP_CA_Loss", 4},
});

constexpr std::array kSocketOptions = std::to_array<OptionName>({
    {"SO_REUSEADDR", OptionId::reuse_address},
    {"SO_REUSEPORT", OptionId::reuse_port},
    {"SO_BROADCAST", OptionId::broadcast},
    {"SO_KEEPALIVE", OptionId::keep_alive},
    {"SO_RCVBUF", OptionId::receive_buffer},
    {"SO_RCVLOWAT", OptionId::receive_lowat},
    {"SO_DONTROUTE", OptionId::dont_route},
    {"SO_SNDBUF", OptionId::send_buffer},
    {"SO_MARK", OptionId::mark},
    {"SO_LINGER", OptionId::linger},
    {"IP_TTL", OptionId::ip_default_ttl},
    {"IP_TOS", OptionId::ip_tos},
    {"IP_RECVERR", OptionId::ip_receive_errors},
    {"IP_MINTTL", OptionId::ip_min_ttl},
    {"IPV6_V6ONLY", OptionId::v6only},
    {"IPV6_UNICAST_HOPS", OptionId::ip_default_ttl},
    {"IPV6_TCLASS", OptionId::ip_tos},
    {"TCP_NODELAY", OptionId::tcp_nodelay},
    {"TCP_CORK", OptionId::tcp_cork},
    {"TCP_QUICKACK", OptionId::tcp_quickack},
    {"TCP_MAXSEG", OptionId::tcp_max_segment},
    {"TCP_WINDOW_CLAMP", OptionId::tcp_window_clamp},
    {"TCP_THIN_LINEAR_TIMEOUTS", OptionId::tcp_thin_linear_timeouts},
    {"TCP_KEEPIDLE", OptionId::tcp_keep_idle, Scale::seconds},
    {"TCP_KEEPINTVL", OptionId::tcp_keep_interval, Scale::seconds},
    {"TCP_KEEPCNT", OptionId::tcp_keep_count},
    {"TCP_SYNCNT", OptionId::tcp_syn_retries},
    {"TCP_LINGER2", OptionId::tcp_fin_timeout, Scale::seconds},
    {"TCP_DEFER_ACCEPT", OptionId::tcp_defer_accept, Scale::seconds},
    {"TCP_USER_TIMEOUT", OptionId::tcp_user_timeout, Scale::milliseconds},
    {"TCP_NOTSENT_LOWAT", OptionId::tcp_notsent_lowat},
    {"TCP_CONGESTION", OptionId::tcp_congestion, Scale::congestion},
});

constexpr std::array kSysctls = std::to_array<OptionName>({
    {"net.ipv4.ip_default_ttl", OptionId::ip_default_ttl},
    {"net.ipv4.tcp_congestion_control", OptionId::tcp_congestion, Scale::congestion},
    {"net.ipv4.tcp_dsack", OptionId::tcp_dsack},
    {"net.ipv4.tcp_ecn", OptionId::tcp_ecn},
    {"net.ipv4.tcp_fin_timeout", OptionId::tcp_fin_timeout, Scale::seconds},
    {"net.ipv4.tcp_keepalive_intvl", OptionId::tcp_keep_interval, Scale::seconds},
    {"net.ipv4.tcp_keepalive_probes", OptionId::tcp_keep_count},
    {"net.ipv4.tcp_keepalive_time", OptionId::tcp_keep_idle, Scale::seconds},
    {"net.ipv4.tcp_notsent_lowat", OptionId::tcp_notsent_lowat},
    {"net.ipv4.tcp_orphan_retries", OptionId::tcp_orphan_retries},
    {"net.ipv4.tcp_retries2", OptionId::tcp_retries},
    {"net.ipv4.tcp_rfc1337", OptionId::tcp_rfc1337},
    {"net.ipv4.tcp_rmem", OptionId::receive_buffer, Scale::last_of_three},
    {"net.ipv4.tcp_wmem", OptionId::send_buffer, Scale::last_of_three},
    {"net.ipv4.tcp_rto_max_ms", OptionId::tcp_rto_max, Scale::milliseconds},
    {"net.ipv4.tcp_rto_min_us", OptionId::tcp_rto_min},
    {"net.ipv4.tcp_sack", OptionId::tcp_sack},
    {"net.ipv4.tcp_slow_start_after_idle", OptionId::tcp_slow_start_after_idle},
    {"net.ipv4.tcp_syn_retries", OptionId::tcp_syn_retries},
    {"net.ipv4.tcp_synack_retries", OptionId::tcp_synack_retries},
    {"net.ipv4.tcp_syncookies", OptionId::tcp_syncookies},
    {"net.ipv4.tcp_timestamps", OptionId::tcp_timestamps, Scale::positive},
    {"net.ipv4.tcp_window_scaling", OptionId::tcp_window_scaling},
    {"net.inet.tcp.delacktime", OptionId::tcp_delayed_ack, Scale::milliseconds},
    {"net.inet.tcp.drop_synfin", OptionId::tcp_drop_synfin},
    {"net.inet.tcp.initcwnd_segments", OptionId::tcp_initial_window},
    {"net.inet.tcp.keepcnt", OptionId::tcp_keep_count},
    {"net.inet.tcp.keepidle", OptionId::tcp_keep_idle, Scale::milliseconds},
    {"net.inet.tcp.keepintvl", OptionId::tcp_keep_interval, Scale::milliseconds},
    {"net.inet.tcp.recvspace", OptionId::receive_buffer},
    {"net.inet.tcp.rexmit_initial", OptionId::tcp_rto_initial, Scale::milliseconds},
    {"net.inet.tcp.rexmit_min", OptionId::tcp_rto_min, Scale::milliseconds},
    {"net.inet.tcp.sack.enable", OptionId::tcp_sack},
    {"net.inet.tcp.sendspace", OptionId::send_buffer},
});

constexpr std::array<std::string_view, 4> kCongestion{"reno", "cubic", "bbr", "dctcp"};

constexpr std::array kIcmpv4 = std::to_array<IcmpName>({
    {"unreachable", "net_unreachable", 3, 0},
    {"unreachable", "host_unreachable", 3, 1},
    {"unreachable", "protocol_unreachable", 3, 2},
    {"unreachable", "port_unreachable", 3, 3},
    {"unreachable", "frag_needed", 3, 4},
    {"unreachable", "source_route_failed", 3, 5},
    {"unreachable", "net_unknown", 3, 6},
    {"unreachable", "host_unknown", 3, 7},
    {"unreachable", "net_prohibited", 3, 9},
    {"unreachable", "host_prohibited", 3, 10},
    {"unreachable", "packet_filtered", 3, 13},
    {"source_quench", "", 4, 0},
    {"time_exceeded", "", 11, 0},
    {"parameter_problem", "", 12, 0},
});
constexpr std::array kIcmpv6 = std::to_array<IcmpName>({
    {"unreachable", "no_route", 1, 0},
    {"unreachable", "net_unreachable", 1, 0},
    {"unreachable", "admin_prohibited", 1, 1},
    {"unreachable", "address_unreachable", 1, 3},
    {"unreachable", "host_unreachable", 1, 3},
    {"unreachable", "port_unreachable", 1, 4},
    {"packet_too_big", "", 2, 0},
    {"time_exceeded", "", 3, 0},
    {"parameter_problem", "", 4, 0},
});

template <class Table>
const OptionName* find_in(const Table& table, std::string_view name) {
  const auto it = std::ranges::find(table, name, &OptionName::name);
  return it == table.end() ? nullptr : &*it;
}

}  // namespace

std::optional<std::int64_t> constant(std::string_view name) {
  if (const auto it = std::ranges::find(kErrnos, name, &Constant::name); it != kErrnos.end()) return it->value;
  if (const auto it = std::ranges::find(kConstants, name, &Constant::name); it != kConstants.end()) return it->value;
  return std::nullopt;
}

std::string errno_name(std::int64_t value) {
  const auto it = std::ranges::find(kErrnos, value, &Constant::value);
  return it == kErrnos.end() ? std::to_string(value) : std::string{it->name};
}

const OptionName* find_socket_option(std::string_view name) {
  return find_in(kSocketOptions, name);
}

const OptionName* find_sysctl(std::string_view name) {
  return find_in(kSysctls, name);
}

std::int64_t scaled(Scale scale, std::int64_t value) {
  switch (scale) {
    case Scale::same:
    case Scale::last_of_three:
    case Scale::congestion:
      return value;
    case Scale::seconds:
      return value * 1'000'000;
    case Scale::milliseconds:
      return value * 1'000;
    case Scale::positive:
      return value > 0 ? 1 : 0;
  }
  return value;
}

std::int64_t unscaled(Scale scale, std::int64_t value) {
  switch (scale) {
    case Scale::same:
    case Scale::last_of_three:
    case Scale::congestion:
    case Scale::positive:
      return value;
    case Scale::seconds:
      return value / 1'000'000;
    case Scale::milliseconds:
      return value / 1'000;
  }
  return value;
}

std::optional<std::int64_t> congestion_value(std::string_view name) {
  if (name == "newreno") name = "reno";
  const auto it = std::ranges::find(kCongestion, name);
  if (it == kCongestion.end()) return std::nullopt;
  return it - kCongestion.begin();
}

std::string_view congestion_name(std::int64_t value) {
  return value >= 0 && value < static_cast<std::int64_t>(kCongestion.size())
             ? kCongestion[static_cast<std::size_t>(value)]
             : "?";
}

std::span<const IcmpName> icmp_names(bool ipv6) {
  if (ipv6) return kIcmpv6;
  return kIcmpv4;
}

}  // namespace leat::script
