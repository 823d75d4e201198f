// Options of IPPROTO_TCP, and TCP_INFO in Linux's layout.

#include <linux/tcp.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <leat/api/posix/address.hpp>
#include <leat/api/posix/errors.hpp>
#include <leat/api/posix/linux_tcp_info.hpp>
#include <leat/api/posix/option_value.hpp>
#include <leat/api/posix/sockets.hpp>
#include <string_view>

namespace leat::posix {
namespace {

// The names of the congestion controls, at their values of the option.
constexpr std::array<std::string_view, 2> kCongestionNames{"reno", "cubic"};

// Linux: half of the least receive buffer.
constexpr int kLeastClamp = 1152;

int congestion_of(const void* value, socklen_t length) {
  std::string_view name{static_cast<const char*>(value), length};
  name = name.substr(0, name.find('\0'));
  const auto found = std::find(kCongestionNames.begin(), kCongestionNames.end(), name);
  return found == kCongestionNames.end() ? -ENOENT : static_cast<int>(found - kCongestionNames.begin());
}

}  // namespace

int Sockets::set_tcp_option(const File& f, int name, const void* value, socklen_t length) {
  if (name == TCP_CONGESTION) {
    if (length < 1) return -EINVAL;
    const int kind = congestion_of(value, length);
    return kind < 0 ? kind : set_option(f, OptionId::tcp_congestion, kind);
  }
  if (name == TCP_ULP) return -ENOENT;
  int number = 0;
  if (!read_value(value, length, number)) return -EINVAL;
  const auto seconds = [&](OptionId id, int most) {
    if (number < 1 || number > most) return -EINVAL;
    return set_option(f, id, std::int64_t{number} * 1'000'000);
  };
  switch (name) {
    case TCP_NODELAY:
      return set_option(f, OptionId::tcp_nodelay, number != 0);
    case TCP_CORK:
      remember(f, IPPROTO_TCP, name, number != 0);
      return set_option(f, OptionId::tcp_cork, number != 0);
    case TCP_QUICKACK:
      return set_option(f, OptionId::tcp_quickack, number != 0);
    case TCP_MAXSEG:
      if (number != 0 && (number < 88 || number > 32767)) return -EINVAL;
      return set_option(f, OptionId::tcp_max_segment, number);
    case TCP_KEEPIDLE:
      return seconds(OptionId::tcp_keep_idle, 32767);
    case TCP_KEEPINTVL:
      if (number > 3600) number = 3600;  // ours goes no further
      return seconds(OptionId::tcp_keep_interval, 32767);
    case TCP_KEEPCNT:
      if (number < 1 || number > 127) return -EINVAL;
      return set_option(f, OptionId::tcp_keep_count, number);
    case TCP_SYNCNT:
      if (number < 1 || number > 127) return -EINVAL;
      return set_option(f, OptionId::tcp_syn_retries, std::min(number, 16));
    case TCP_LINGER2:
      if (number < 0) return set_option(f, OptionId::tcp_fin_timeout, 0);
      return set_option(f, OptionId::tcp_fin_timeout,
                        std::int64_t{number == 0 ? 60 : std::min(number, 120)} * 1'000'000);
    case TCP_DEFER_ACCEPT:
      return set_option(f, OptionId::tcp_defer_accept, std::int64_t{std::clamp(number, 0, 600)} * 1'000'000);
    case TCP_USER_TIMEOUT:
      if (number < 0) return -EINVAL;
      return set_option(f, OptionId::tcp_user_timeout,
                        std::min(std::int64_t{number} * 1000, std::int64_t{86400000000}));
    case TCP_NOTSENT_LOWAT:
      // Linux' default is "any amount".
      return set_option(f, OptionId::tcp_notsent_lowat, number < 0 || number > 1 << 30 ? 0 : number);
    case TCP_INQ:
      if (number != 0 && number != 1) return -EINVAL;
      f.open->put(kTellInQueue, number != 0);
      return 0;
    case TCP_WINDOW_CLAMP:
      if (number == 0 && f.phase != Phase::fresh) return -EINVAL;
      return set_option(f, OptionId::tcp_window_clamp, number == 0 ? 0 : std::clamp(number, kLeastClamp, 1 << 30));
    case TCP_THIN_LINEAR_TIMEOUTS:
      if (number != 0 && number != 1) return -EINVAL;
      return set_option(f, OptionId::tcp_thin_linear_timeouts, number);
    case TCP_THIN_DUPACK:  // which does nothing on Linux either
      if (number != 0 && number != 1) return -EINVAL;
      remember(f, IPPROTO_TCP, name, number);
      return 0;
    case TCP_FASTOPEN:  // a queue for data in SYNs, of which there is none: who asks is served the usual way
      if (number < 0 || (f.phase != Phase::fresh && f.phase != Phase::listening)) return -EINVAL;
      remember(f, IPPROTO_TCP, name, number);
      return 0;
    case TCP_FASTOPEN_CONNECT:  // as Linux where net.ipv4.tcp_fastopen has it off
      return number == 0 || number == 1 ? -EOPNOTSUPP : -EINVAL;
    case TCP_REPAIR:
      return -EPERM;
    default:  // those that can only be read among them
      return -ENOPROTOOPT;
  }
}

int Sockets::get_tcp_option(const File& f, int name, void* value, socklen_t* length) {
  std::int64_t number = 0;
  const auto stack_option = [&](OptionId id, std::int64_t unit = 1) {
    if (const int bad = get_option(f, id, number); bad != 0) return bad;
    return write_value(value, length, static_cast<int>(number / unit));
  };
  switch (name) {
    case TCP_NODELAY:
      return stack_option(OptionId::tcp_nodelay);
    case TCP_CORK:
      return stack_option(OptionId::tcp_cork);
    case TCP_QUICKACK: {  // as Linux: whether ACKs do not wait for replies
      tcp::TcpInfo info;
      if (const int bad = read_info(f, info); bad != 0) return bad;
      return write_value(value, length, info.talks_back ? 0 : 1);
    }
    case TCP_WINDOW_CLAMP:
      return stack_option(OptionId::tcp_window_clamp);
    case TCP_THIN_LINEAR_TIMEOUTS:
      return stack_option(OptionId::tcp_thin_linear_timeouts);
    case TCP_MAXSEG: {
      tcp::TcpInfo info;
      if (const int bad = read_info(f, info); bad != 0) return bad;
      const bool known = info.snd_mss != 0 && info.state != tcp::TcpState::closed &&
                         info.state != tcp::TcpState::listen && info.state != tcp::TcpState::syn_sent;
      if (const int bad = get_option(f, OptionId::tcp_max_segment, number); bad != 0) return bad;
      return write_value(value, length, static_cast<int>(known ? info.snd_mss : number != 0 ? number : 536));
    }
    case TCP_KEEPIDLE:
      return stack_option(OptionId::tcp_keep_idle, 1'000'000);
    case TCP_KEEPINTVL:
      return stack_option(OptionId::tcp_keep_interval, 1'000'000);
    case TCP_KEEPCNT:
      return stack_option(OptionId::tcp_keep_count);
    case TCP_SYNCNT:
      return stack_option(OptionId::tcp_syn_retries);
    case TCP_LINGER2:
      return stack_option(OptionId::tcp_fin_timeout, 1'000'000);
    case TCP_DEFER_ACCEPT:
      return stack_option(OptionId::tcp_defer_accept, 1'000'000);
    case TCP_USER_TIMEOUT:
      return stack_option(OptionId::tcp_user_timeout, 1000);
    case TCP_NOTSENT_LOWAT:
      return stack_option(OptionId::tcp_notsent_lowat);
    case TCP_INQ:
      return write_value(value, length, f.has(kTellInQueue) ? 1 : 0);
    case TCP_CONGESTION: {
      if (const int bad = get_option(f, OptionId::tcp_congestion, number); bad != 0) return bad;
      std::array<char, 16> text{};
      const auto kind = static_cast<std::size_t>(number);
      const std::string_view known = kind < kCongestionNames.size() ? kCongestionNames[kind] : "other";
      std::copy(known.begin(), known.end(), text.begin());
      return write_value(value, length, text);
    }
    case TCP_INFO: {
      tcp::TcpInfo info;
      if (const int bad = read_info(f, info); bad != 0) return bad;
      return write_value(value, length, linux_tcp_info(info));
    }
    case TCP_CC_INFO:  // neither Reno nor CUBIC tells anything, on Linux too
    case TCP_ULP:
      *length = 0;
      return 0;
    case TCP_THIN_DUPACK:
    case TCP_FASTOPEN:
    case TCP_FASTOPEN_CONNECT:
      return write_value(value, length, static_cast<int>(remembered(f, IPPROTO_TCP, name, 0)));
    default:
      return -ENOPROTOOPT;
  }
}

int Sockets::tcp_info_of(const sockaddr* local, socklen_t local_length, const sockaddr* remote, socklen_t remote_length,
                         void* info, socklen_t* length) {
  GivenAddress here, there;
  const auto read = [](const sockaddr* a, socklen_t n, GivenAddress& to) {
    sa_family_t family = AF_UNSPEC;
    if (a != nullptr && n >= sizeof family) std::memcpy(&family, a, sizeof family);
    return family == AF_UNSPEC ? (a == nullptr ? -EFAULT : -EAFNOSUPPORT)
                               : read_address(a, n, family == AF_INET6, AddressUse::bind, to);
  };
  if (const int bad = read(local, local_length, here); bad != 0) return bad;
  if (const int bad = read(remote, remote_length, there); bad != 0) return bad;
  if (length == nullptr || (info == nullptr && *length > 0)) return -EFAULT;
  if (static_cast<int>(*length) < 0 || here.endpoint.address.is_v4() != there.endpoint.address.is_v4()) return -EINVAL;
  tcp::TcpInfo found;
  ControlRequest request{.verb = ControlVerb::connection_by_flow,
                         .flow = {.local = here.endpoint.address,
                                  .remote = there.endpoint.address,
                                  .local_port = here.endpoint.port,
                                  .remote_port = there.endpoint.port},
                         .info = &found};
  Op op;
  op.control(request);
  run_through(op);
  if (op.error != Errc{}) return negative(op.error);
  if (request.state == tcp::TcpState::closed) return -ENOENT;
  return write_value(info, length, linux_tcp_info(found));
}

}  // namespace leat::posix
