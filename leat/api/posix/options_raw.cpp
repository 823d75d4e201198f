// Options of raw sockets alone: which ICMP messages come, and which checksum of IPv6 is the stack's work. As on Linux
// by the protocol that the socket is for.

#include <netinet/icmp6.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <leat/api/posix/errors.hpp>
#include <leat/api/posix/option_value.hpp>
#include <leat/api/posix/sockets.hpp>

namespace leat::posix {
namespace {

constexpr int kIcmpFilter = 1;    // <linux/icmp.h> does not go together with <netinet/ip_icmp.h>
constexpr int kIpv6HdrIncl = 36;  // IPV6_HDRINCL, <linux/in6.h>

int protocol_of(const File& f) {
  return f.open->protocol.load(std::memory_order_relaxed);
}

// How many octets of the types that are blocked a program gives and gets by this option; 0: it is none of these.
std::size_t filter_size(const File& f, int level, int name, int& error) {
  const bool v4 = level == IPPROTO_RAW && !f.has(kV6) && name == kIcmpFilter;
  const bool v6 = level == IPPROTO_ICMPV6 && f.has(kV6);
  error = 0;
  if ((v4 && protocol_of(f) != IPPROTO_ICMP) || (v6 && protocol_of(f) != IPPROTO_ICMPV6)) error = -EOPNOTSUPP;
  if (v4) return sizeof(std::uint32_t);
  return v6 && name == ICMP6_FILTER ? sizeof(icmp6_filter) : 0;
}

}  // namespace

bool Sockets::is_raw_option(const File& f, int level, int name) {
  if (f.handle.kind() != SocketKind::raw) return false;
  if (level == IPPROTO_RAW) return true;
  return f.has(kV6) &&
         (level == IPPROTO_ICMPV6 || (level == IPPROTO_IPV6 && (name == IPV6_CHECKSUM || name == kIpv6HdrIncl)));
}

int Sockets::change_raw(const File& f, Verb verb, RawSettings& settings) {
  Op op;
  op.verb = verb;
  op.socket = f.handle;
  op.raw = &settings;
  run_through(op);
  return negative(op.error);
}

int Sockets::set_raw_option(const File& f, int level, int name, const void* value, socklen_t length) {
  RawSettings settings;
  int error = 0;
  if (const std::size_t size = filter_size(f, level, name, error); size > 0 || error != 0) {
    if (error == 0) error = change_raw(f, Verb::get_raw, settings);
    if (error != 0) return error;
    std::memcpy(settings.blocked_types.data(), value, std::min<std::size_t>(length, size));
    return change_raw(f, Verb::set_raw, settings);
  }
  if (!f.has(kV6) || level == IPPROTO_ICMPV6) return -ENOPROTOOPT;
  int number = 0;
  if (!read_value(value, length, number)) return -EINVAL;
  if (name == kIpv6HdrIncl) return set_option(f, OptionId::ip_header_included, number != 0);
  if (name != IPV6_CHECKSUM) return -ENOPROTOOPT;
  if (protocol_of(f) == IPPROTO_ICMPV6 && level == IPPROTO_IPV6) return -EINVAL;  // where it stands is settled
  if (const int bad = change_raw(f, Verb::get_raw, settings); bad != 0) return bad;
  settings.checksum_at = std::max(number, -1);
  return change_raw(f, Verb::set_raw, settings);
}

int Sockets::get_raw_option(const File& f, int level, int name, void* value, socklen_t* length) {
  RawSettings settings;
  int error = 0;
  const std::size_t size = filter_size(f, level, name, error);
  if (error != 0) return error;
  if (size == 0 && (!f.has(kV6) || level == IPPROTO_ICMPV6)) return -ENOPROTOOPT;
  if (const int bad = change_raw(f, Verb::get_raw, settings); bad != 0) return bad;
  if (size == sizeof(std::uint32_t)) return write_value(value, length, settings.blocked_types[0]);
  if (size != 0) return write_value(value, length, settings.blocked_types);
  if (name == IPV6_CHECKSUM) return write_value(value, length, int{settings.checksum_at});
  if (name != kIpv6HdrIncl) return -ENOPROTOOPT;
  std::int64_t on = 0;
  if (const int bad = get_option(f, OptionId::ip_header_included, on); bad != 0) return bad;
  return write_value(value, length, static_cast<int>(on));
}

}  // namespace leat::posix
