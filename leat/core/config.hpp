#pragma once
// What is configured on a stack: interfaces, addresses, routes.

#include <cstdint>
#include <leat/base/address.hpp>
#include <leat/base/link_type.hpp>
#include <leat/core/modules.hpp>
#include <string_view>

namespace leat {

struct InterfaceConfig {
  std::string_view name{};  // copied, at most 15 characters
  LinkType link = LinkType::ip;
  MacAddress mac{};
  std::uint32_t mtu = 1500;   // 68..65535; IPv6 needs 1280
  std::uint32_t max_gso = 0;  // bytes of IP packet that the way out accepts as one super-segment
  bool promiscuous = false;   // take frames for other stations too
};

struct RouteConfig {
  IpPrefix destination{};
  IpAddress gateway{};                   // unspecified: on-link
  InterfaceId interface = kNoInterface;  // found from the gateway when not given
  std::uint32_t metric = 0;
  std::uint32_t mtu = 0;
  enum class Kind : std::uint8_t { unicast, local, reject } kind = Kind::unicast;  // local: any-IP
};

struct AddressOptions {
  bool detect_duplicates = false;  // RFC 4862 5.4, RFC 5227: tentative first
};

}  // namespace leat
