#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstring>
#include <leat/asio/options.hpp>

namespace leat::asio::detail {

std::optional<OptionId> option_of_system(int level, int name) {
  if (level == SOL_SOCKET) {
    switch (name) {
      case SO_REUSEADDR:
        return OptionId::reuse_address;
      case SO_REUSEPORT:
        return OptionId::reuse_port;
      case SO_KEEPALIVE:
        return OptionId::keep_alive;
      case SO_BROADCAST:
        return OptionId::broadcast;
      case SO_SNDBUF:
        return OptionId::send_buffer;
      case SO_RCVBUF:
        return OptionId::receive_buffer;
      case SO_LINGER:
        return OptionId::linger;
      default:
        return std::nullopt;
    }
  }
  if (level == IPPROTO_TCP && name == TCP_NODELAY) return OptionId::tcp_nodelay;
  if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY) return OptionId::v6only;
  if (level == IPPROTO_IP && name == IP_TTL) return OptionId::ip_default_ttl;
  if (level == IPPROTO_IP && name == IP_MULTICAST_TTL) return OptionId::ip_multicast_ttl;
  if (level == IPPROTO_IP && name == IP_MULTICAST_LOOP) return OptionId::ip_multicast_loop;
  return std::nullopt;
}

std::optional<option_value> option_from_system(int level, int name, const void* data, std::size_t size) {
  const auto id = option_of_system(level, name);
  if (!id) return std::nullopt;
  if (*id == OptionId::linger) {
    linger l{};
    if (size != sizeof l) return std::nullopt;
    std::memcpy(&l, data, sizeof l);
    return option_value{*id, l.l_onoff != 0 ? l.l_linger : -1};
  }
  int value = 0;
  if (size == 1) {
    value = *static_cast<const unsigned char*>(data);
  } else if (size == sizeof value) {
    std::memcpy(&value, data, sizeof value);
  } else {
    return std::nullopt;
  }
  return option_value{*id, value};
}

bool option_to_system(int level, int name, std::int64_t value, void* data, std::size_t size) {
  const auto id = option_of_system(level, name);
  if (!id) return false;
  if (*id == OptionId::linger) {
    const linger l{.l_onoff = value >= 0 ? 1 : 0, .l_linger = value >= 0 ? static_cast<int>(value) : 0};
    if (size != sizeof l) return false;
    std::memcpy(data, &l, sizeof l);
    return true;
  }
  if (size == 1) {
    *static_cast<unsigned char*>(data) = static_cast<unsigned char>(value);
    return true;
  }
  const int number = static_cast<int>(value);
  if (size != sizeof number) return false;
  std::memcpy(data, &number, sizeof number);
  return true;
}

}  // namespace leat::asio::detail
